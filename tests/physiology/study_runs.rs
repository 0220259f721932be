//! Running a study file by the public API, and looking values up in what it gave.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use sarcolemma::diag::{Source, render_text};
use sarcolemma::model::{Model, VariableKind};
use sarcolemma::run::sink::{FibreStatus, Precision};
use sarcolemma::run::{Backend, Choices, Kept, prepare};
use sarcolemma::study::{self, Overrides, SCHEMES, VariedTarget, Wish};

use crate::target::Condition;

/// The folder of the study files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/physiology/studies")
}

/// What one study gave.
pub struct Results {
    /// Name of the study, without `.toml`.
    pub study: String,
    /// Wall time, s.
    pub wall_s: f64,
    model: Model,
    /// Varied parameters and features: name, then one number per fibre.
    columns: BTreeMap<String, Vec<f64>>,
    /// Recorded quantities: name, then `[row][fibre]`.
    traces: BTreeMap<String, Vec<f64>>,
    time_ms: Vec<f64>,
    n_fibres: usize,
}

impl Results {
    /// Runs a study in double precision on one thread of the CPU; every fibre's bits are the same on any machine. `model` stands
    /// in for the shipped model where it is given.
    ///
    /// # Errors
    /// The faults of the study or of the model, or what stopped the run, in words.
    pub fn of(name: &str, model: Option<&Path>) -> Result<Results, String> {
        let started = Instant::now();
        let path = folder().join(format!("{name}.toml"));
        let text = read(&path)?;
        let loader = |_: Wish, wanted: &str| {
            let shipped =
                Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("models/{wanted}.mmt"));
            let path = model.unwrap_or(&shipped);
            read(path).map(|text| Source::new(path.display().to_string(), text))
        };
        let source = Source::new(path.display().to_string(), text);
        let (study, warnings) = study::read(&source, &loader, &Overrides::default(), &SCHEMES)
            .map_err(|reports| rendered(&reports))?;
        if !warnings.is_empty() && model.is_none() {
            return Err(rendered(&warnings));
        }
        let choices = Choices {
            backend: Backend::Cpu,
            precision: Precision::F64,
            threads: 1,
            adapter: None,
            agreement_fibres: Some(0),
        };
        let batch = prepare(&study, &choices).map_err(|error| error.to_string())?;
        let mut memory = Kept::default();
        let report = batch
            .run(&mut memory, &|_| {}, &AtomicBool::new(false))
            .map_err(|error| error.to_string())?;
        let lost = report
            .done
            .status
            .iter()
            .filter(|s| !matches!(s, FibreStatus::Finished))
            .count();
        if lost > 0 {
            return Err(format!("{name}: {lost} fibres did not reach the end"));
        }
        let mut columns = BTreeMap::new();
        for (k, varied) in study.population.varied.iter().enumerate() {
            debug_assert!(matches!(
                varied.target,
                VariedTarget::Literal(_) | VariedTarget::Initial(_) | VariedTarget::Level
            ));
            let values = batch.parameters().iter().map(|row| row[k]).collect();
            columns.insert(varied.name.clone(), values);
        }
        for (column, values) in study.feature_columns().iter().zip(report.done.features) {
            columns.insert(column.name.clone(), values);
        }
        let recorded = study.record.variables.iter().zip(memory.values);
        Ok(Results {
            study: name.to_string(),
            wall_s: started.elapsed().as_secs_f64(),
            traces: recorded
                .map(|(&id, values)| (study.model.variable(id).name.clone(), values))
                .collect(),
            time_ms: batch.time_ms(),
            n_fibres: batch.n_fibres,
            columns,
            model: study.model,
        })
    }

    /// The values of a varied parameter or a feature, fibre by fibre.
    fn column(&self, name: &str) -> &[f64] {
        self.columns
            .get(name)
            .unwrap_or_else(|| panic!("{} has no column '{name}'", self.study))
    }
}

/// A text file.
fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn rendered(reports: &[study::Report]) -> String {
    let texts: Vec<String> = reports
        .iter()
        .map(|r| render_text(&r.diagnostics, &r.source, false))
        .collect();
    texts.join("\n")
}

/// Some fibres of a study: those of a condition, and of the parameters asked for since.
#[derive(Clone)]
pub struct View<'a> {
    results: &'a Results,
    condition: Condition,
    fibres: Vec<usize>,
}

impl<'a> View<'a> {
    /// The fibres of a condition. A study that varies neither the set nor the temperature has them all in it.
    pub fn new(results: &'a Results, condition: Condition) -> Self {
        let all = View {
            results,
            condition,
            fibres: (0..results.n_fibres).collect(),
        };
        let set = [
            ("fibre.slow", f64::from(u8::from(condition.slow))),
            ("cell.T", condition.kelvin()),
        ];
        let known: Vec<(&str, f64)> = set
            .into_iter()
            .filter(|(name, _)| results.columns.contains_key(*name))
            .collect();
        all.with(&known)
    }

    /// All fibres of one set at the same temperature.
    pub fn set(&self, slow: bool) -> View<'a> {
        View::new(
            self.results,
            Condition {
                slow,
                ..self.condition
            },
        )
    }

    /// All fibres of the same set at 37 degrees Celsius.
    pub fn warm(&self) -> View<'a> {
        View::new(
            self.results,
            Condition {
                warm: true,
                ..self.condition
            },
        )
    }

    /// Those of the fibres whose varied parameters have these values.
    pub fn with(&self, parameters: &[(&str, f64)]) -> View<'a> {
        let fits = |fibre: usize| {
            parameters.iter().all(|(name, value)| {
                let own = self.results.column(name)[fibre];
                (own - value).abs() <= 1e-9 * value.abs().max(1.0)
            })
        };
        View {
            results: self.results,
            condition: self.condition,
            fibres: self.fibres.iter().copied().filter(|f| fits(*f)).collect(),
        }
    }

    /// A feature of the only fibre there is.
    pub fn get(&self, column: &str) -> f64 {
        self.results.column(column)[self.only()]
    }

    /// Two columns of all its fibres, in ascending order of the first.
    pub fn curve(&self, x: &str, y: &str) -> Vec<(f64, f64)> {
        let (x, y) = (self.results.column(x), self.results.column(y));
        let mut points: Vec<(f64, f64)> = self.fibres.iter().map(|f| (x[*f], y[*f])).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    }

    /// The trace of a recorded quantity of the only fibre there is: time in ms, value.
    pub fn trace(&self, name: &str) -> Vec<(f64, f64)> {
        let r = self.results;
        let values = r
            .traces
            .get(name)
            .unwrap_or_else(|| panic!("{} does not record '{name}'", r.study));
        let own = values.iter().skip(self.only()).step_by(r.n_fibres);
        r.time_ms.iter().copied().zip(own.copied()).collect()
    }

    /// The value that the model's file gives a literal; where it has one for each set (`NAME_fast`, `NAME_slow`), that of the set.
    pub fn literal(&self, name: &str) -> f64 {
        let model = &self.results.model;
        let value = |name: &str| {
            let id = model.find(name)?;
            match model.variable(id).kind {
                VariableKind::Literal(value) => Some(value),
                _ => None,
            }
        };
        let set = if self.condition.slow { "slow" } else { "fast" };
        value(name)
            .or_else(|| value(&format!("{name}_{set}")))
            .unwrap_or_else(|| panic!("the model has no literal '{name}'"))
    }

    fn only(&self) -> usize {
        match self.fibres[..] {
            [fibre] => fibre,
            _ => panic!(
                "{}: {} fibres where one is wanted",
                self.results.study,
                self.fibres.len()
            ),
        }
    }
}
