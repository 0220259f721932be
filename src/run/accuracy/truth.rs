//! What the reference says of a trial's fibres, and the file that keeps it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::backend::reference::{FibreEnd, Reference, Tolerances};
use crate::model::VariableKind;

use super::{COARSE, FINE_MS, HAIR_MS, Trial, TrialError, WEAKER};

/// Changes when what a file holds does.
const FORM: &str = "truth 2";

/// The reference's courses of all fibres.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// Varied parameters of each fibre: its literals, then its state at the start.
    pub(super) parameters: Vec<Vec<f64>>,
    /// Watched quantities, `[fibre][row * watched + k]`. Single precision holds 1e-5 mV.
    pub(super) fine: Vec<Vec<f32>>,
    /// All states each ms, `[fibre][row * states + i]`.
    pub(super) coarse: Vec<Vec<f64>>,
    /// Times of the spikes of each fibre, ms.
    pub(super) spikes: Vec<Vec<f64>>,
    /// Whether the reference reached the end.
    pub(super) finished: Vec<bool>,
    /// Whether its spikes do not hang on a hair.
    pub(super) steady: Vec<bool>,
}

impl Trial {
    /// Runs the reference at its own tolerance, or takes what an earlier call left in a folder. A file that cannot be written
    /// or read costs the time only.
    ///
    /// # Errors
    /// If the reference cannot be built.
    pub fn truth(&self, folder: Option<&Path>) -> Result<Truth, TrialError> {
        let file = folder.map(|folder| self.file(folder));
        if let Some(truth) = file.as_deref().and_then(|file| self.read(file)) {
            return Ok(truth);
        }
        let truth = self.compute()?;
        if let Some(file) = &file {
            // Written aside and renamed: two tables may be made at once.
            let aside = file.with_extension(std::process::id().to_string());
            let written = std::fs::create_dir_all(folder.unwrap_or(Path::new(".")))
                .and_then(|()| write(&truth, &aside))
                .and_then(|()| std::fs::rename(&aside, file));
            if written.is_err() {
                std::fs::remove_file(&aside).ok();
            }
        }
        Ok(truth)
    }

    fn compute(&self) -> Result<Truth, TrialError> {
        let n_watched = self.watched.len();
        let rest = Reference::new(&self.rest(), Tolerances::default())?;
        let mut observables = self.watched.clone();
        observables.extend(&self.model.states);
        let experiment = self.experiment(observables, FINE_MS);
        let reference = Reference::new(&experiment, Tolerances::default())?;
        let spikes_of = &experiment.features[0];
        let weaker = self.experiment_at(
            1.0 - WEAKER,
            self.watched[..1].to_vec(),
            self.occasion.duration_ms(),
        );
        let weaker = Reference::new(&weaker, Tolerances::default())?;
        let runs: Vec<_> = self
            .drawn
            .par_iter()
            .map(|drawn| {
                let mut parameters = drawn.clone();
                let mut rested = Vec::new();
                rest.run_fibre(
                    drawn,
                    &|| false,
                    &mut |_, states| rested = states.to_vec(),
                    &mut |_, _| {},
                );
                parameters.extend(rested);
                let mut fine = vec![f32::NAN; experiment.n_samples * n_watched];
                let mut coarse = Vec::new();
                let mut gathered = spikes_of.start();
                let mut spikes = Vec::new();
                let (end, _) = reference.run_fibre(
                    &parameters,
                    &|| false,
                    &mut |row, observed| {
                        let (watched, states) = observed.split_at(n_watched);
                        for (k, &value) in watched.iter().enumerate() {
                            fine[row * n_watched + k] = value as f32;
                        }
                        if row % COARSE == 0 {
                            coarse.extend_from_slice(states);
                        }
                    },
                    &mut |observable, piece| {
                        if observable == 0 {
                            spikes_of.feed(&mut gathered, piece, &mut |at| spikes.push(at));
                        }
                    },
                );
                let mut gathered = spikes_of.start();
                let mut shifted = Vec::new();
                weaker.run_fibre(&parameters, &|| false, &mut |_, _| {}, &mut |_, piece| {
                    spikes_of.feed(&mut gathered, piece, &mut |at| shifted.push(at));
                });
                let near = |(a, b): (&f64, &f64)| (a - b).abs() <= HAIR_MS;
                let steady = spikes.len() == shifted.len() && spikes.iter().zip(&shifted).all(near);
                let finished = end == FibreEnd::Finished;
                (parameters, fine, coarse, spikes, finished, steady)
            })
            .collect();
        let mut truth = Truth {
            parameters: Vec::new(),
            fine: Vec::new(),
            coarse: Vec::new(),
            spikes: Vec::new(),
            finished: Vec::new(),
            steady: Vec::new(),
        };
        for (parameters, fine, coarse, spikes, finished, steady) in runs {
            truth.parameters.push(parameters);
            truth.fine.push(fine);
            truth.coarse.push(coarse);
            truth.spikes.push(spikes);
            truth.finished.push(finished);
            truth.steady.push(steady);
        }
        Ok(truth)
    }

    /// Named by everything on which the truth depends: the model with its numbers, the fibres, the occasion, the engine's version.
    fn file(&self, folder: &Path) -> PathBuf {
        let mut hash = Sha256::new();
        let names: Vec<&str> = self
            .literals
            .iter()
            .chain(&self.watched)
            .map(|&id| &*self.model.variable(id).name)
            .collect();
        let literals = self.model.variables.iter().filter_map(|v| match v.kind {
            VariableKind::Literal(number) => Some(number),
            _ => None,
        });
        hash.update(FORM);
        hash.update(&self.model.text);
        hash.update(format!(
            "{:?}{names:?}{:?}{:?}{:?}{}{}{:?}",
            literals.collect::<Vec<f64>>(),
            self.drawn,
            self.occasion.protocol(1.0),
            self.occasion.duration_ms(),
            self.rest_ms,
            self.threshold,
            Tolerances::default(),
        ));
        let name: String = hash.finalize()[..12]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        folder.join(format!("{}-{name}.truth", self.occasion.name()))
    }

    fn read(&self, file: &Path) -> Option<Truth> {
        let mut bytes = Vec::new();
        std::fs::File::open(file)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .ok()?;
        let mut rest = bytes.as_slice();
        let mut lists = |width: usize| -> Option<Vec<Vec<u8>>> {
            let mut lists = Vec::new();
            for _ in 0..self.fibres() {
                let (head, more) = rest.split_at_checked(8)?;
                let n = u64::from_le_bytes(head.try_into().ok()?) as usize;
                let (list, more) = more.split_at_checked(n.checked_mul(width)?)?;
                lists.push(list.to_vec());
                rest = more;
            }
            Some(lists)
        };
        let numbers = |lists: Vec<Vec<u8>>| lists.iter().map(|b| doubles(b)).collect();
        let parameters = numbers(lists(8)?);
        let fine = lists(4)?.iter().map(|b| singles(b)).collect();
        let coarse = numbers(lists(8)?);
        let spikes = numbers(lists(8)?);
        let yes = |lists: Vec<Vec<u8>>| lists.iter().map(|b| b.first() == Some(&1)).collect();
        let (finished, steady) = (yes(lists(1)?), yes(lists(1)?));
        let truth = Truth {
            parameters,
            fine,
            coarse,
            spikes,
            finished,
            steady,
        };
        rest.is_empty().then_some(truth)
    }
}

fn doubles(bytes: &[u8]) -> Vec<f64> {
    let (numbers, _) = bytes.as_chunks::<8>();
    numbers.iter().map(|&b| f64::from_le_bytes(b)).collect()
}

fn singles(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

fn write(truth: &Truth, file: &Path) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(file)?);
    let mut put = |n: usize, bytes: Vec<u8>| {
        file.write_all(&(n as u64).to_le_bytes())
            .and_then(|()| file.write_all(&bytes))
    };
    let of = |list: &[f64]| list.iter().flat_map(|x| x.to_le_bytes()).collect();
    for list in &truth.parameters {
        put(list.len(), of(list))?;
    }
    for list in &truth.fine {
        put(
            list.len(),
            list.iter().flat_map(|x| x.to_le_bytes()).collect(),
        )?;
    }
    for list in truth.coarse.iter().chain(&truth.spikes) {
        put(list.len(), of(list))?;
    }
    for &yes in truth.finished.iter().chain(&truth.steady) {
        put(1, vec![u8::from(yes)])?;
    }
    file.flush()
}
