//! `sarcolemma rerun`: one fibre of a finished study again, from its result file alone.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::report::redone::{Redone, redone};
use crate::report::replay::{Recorded, ReplayError, recorded};
use crate::run::sink::{self, Attribute, FibreStatus};
use crate::run::{self, Batch, Choices, Kept, PrepareError, RunError, RunReport, prepare};
use crate::store::{self, CreateOptions, ResultFile, RunStatus, StoreError};
use crate::study::Scheme;

use super::build;
use super::choices::{Backend, Precision};
use super::exit::{Exit, Failure};
use super::lost::{self, Autopsy};
use super::output::number;
use super::summary::short;
use super::table::aligned;
use super::{engine, output};

/// Run one fibre of a finished study again, from its result file alone
///
/// The study, the model, the fibre's parameters, the scheme and its tolerance are those of the file; nothing else is needed. By default
/// the reference runs it, in double precision. With the file's own backend and precision the results are the same to the last bit. Of a
/// fibre that was lost it tells which formula first gave no finite number, and whether double precision survives.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The result file
    #[arg(value_name = "OUT.h5", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,

    /// The fibre's number
    #[arg(long, value_name = "N")]
    pub fibre: u64,

    /// Which engine computes
    #[arg(long, value_enum, default_value = "reference")]
    pub backend: Backend,

    /// Single or double precision [default: that of the file, and f64 with the reference backend]
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,

    /// A GPU, by its number in 'sarcolemma devices' or by part of its name
    #[arg(long, value_name = "N|NAME")]
    pub device: Option<String>,

    /// Where the fibre's results go, as a result file of one fibre; without it a summary is printed and nothing is kept
    #[arg(short, long, value_name = "ONE.h5", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Overwrite an existing output
    #[arg(long)]
    pub force: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the fibre.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let engine = engine::engine(args.backend, args.device.as_deref())?;
    let file = store::open(&args.file).map_err(read_failure)?;
    let then = recorded(&file, args.fibre).map_err(replay_failure)?;
    let another = build::other_version(&file, "was computed");
    let another = another.or_else(|| build::other_build(&file, "was computed"));
    drop(file);
    if let Some(output) = &args.output {
        may_write(output, &args)?;
    }
    if let (Some(note), false) = (&engine.note, args.json) {
        output::note(note);
    }
    let choices = Choices {
        backend: engine.backend,
        precision: precision(args.precision, engine.backend, &then)?,
        threads: 1,
        adapter: engine.adapter,
        agreement_fibres: Some(0),
    };
    let batch = alone(&then, &choices)?;
    // Another engine or precision promises no bits anyway.
    let promised = batch.backend.name() == then.backend && batch.precision == then.precision;
    if let (Some(why), true) = (another, promised) {
        let path = args.file.display();
        output::note(&format!(
            "warning: '{path}' {why}: the bits may differ from the file's"
        ));
    }
    let cancel = super::run::interrupt_flag();
    let (kept, report) = batch.run_kept(cancel).map_err(run_failure)?;
    if report.done.interrupted {
        return Err(Failure::Interrupted(
            "interrupted; nothing was written".to_owned(),
        ));
    }
    let redone = redone(&then, &batch, &kept, &report);
    let autopsy = lost::autopsy(&then, &batch, redone.status, cancel)?;
    let bytes = match &args.output {
        Some(path) => Some(write(path, &then, &batch, &kept, args.force)?),
        None => None,
    };
    let told = Told {
        then: &then,
        batch: &batch,
        report: &report,
        redone: &redone,
        autopsy: autopsy.as_ref(),
    };
    match args.json {
        true => output::json(&told.json(args.output.as_deref()))?,
        false => {
            let mut text = told.text();
            if let (Some(path), Some(bytes)) = (&args.output, bytes) {
                let size = super::summary::bytes(bytes);
                let _ = writeln!(text, "Results: {} ({size})", path.display());
            }
            output::data(&text)?;
        }
    }
    Ok(Exit::Done)
}

fn may_write(output: &std::path::Path, args: &Args) -> Result<(), Failure> {
    let same = |a: &std::path::Path, b: &std::path::Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(output, &args.file) {
        return Err(Failure::Usage(format!(
            "'{}' is the file that the fibre comes from\nhelp: -o names another output",
            output.display()
        )));
    }
    if output.exists() && !args.force {
        return Err(Failure::Usage(format!(
            "'{}' exists already\nhelp: --force overwrites it, -o names another output",
            output.display()
        )));
    }
    Ok(())
}

/// The precision: the file's, where nothing else is said and the backend has both.
fn precision(
    chosen: Option<Precision>,
    backend: run::Backend,
    then: &Recorded,
) -> Result<sink::Precision, Failure> {
    match (chosen, backend) {
        (None, run::Backend::Cpu | run::Backend::Gpu) => Ok(then.precision),
        (chosen, backend) => super::run::precision(chosen, backend),
    }
}

/// The run of the fibre by itself.
pub(super) fn alone(then: &Recorded, choices: &Choices) -> Result<Batch, Failure> {
    let named = matches!(&then.study.scheme, Scheme::Named(name) if name == "reference");
    if named && choices.backend != run::Backend::Reference {
        return Err(Failure::Usage(format!(
            "the study's scheme 'reference' is the reference backend's own, and the {} backend has none of that name",
            choices.backend.name()
        )));
    }
    let parameters = then.parameters.iter().map(|(_, value)| *value).collect();
    let batch = prepare(&then.study, choices).map_err(prepare_failure)?;
    Ok(batch.of_fibre(then.fibre, parameters))
}

fn prepare_failure(error: PrepareError) -> Failure {
    super::run::prepare_failure(error)
}

pub(super) fn run_failure(error: RunError) -> Failure {
    match error {
        RunError::Prepare(error) => prepare_failure(error),
        RunError::Gpu(error) => engine::failure(&error),
        error @ (RunError::Sink(_) | RunError::Threads(_)) => Failure::Machine(error.to_string()),
    }
}

/// What it means that a result cannot be read.
pub(super) fn read_failure(error: StoreError) -> Failure {
    match &error {
        StoreError::Io { path, source, .. } => {
            Failure::file("read", &path.display().to_string(), source)
        }
        _ => Failure::Usage(error.to_string()),
    }
}

pub(super) fn replay_failure(error: ReplayError) -> Failure {
    let message = error.to_string();
    match error {
        ReplayError::Store(error) => read_failure(error),
        ReplayError::NoFibre { .. } | ReplayError::Contradiction { .. } => Failure::Usage(message),
        ReplayError::Study { reports, .. } => {
            for report in reports {
                output::diagnostics(&report.diagnostics, &report.source);
            }
            Failure::Usage(message)
        }
    }
}

/// Writes a result file of the one fibre.
fn write(
    path: &std::path::Path,
    then: &Recorded,
    batch: &Batch,
    kept: &Kept,
    overwrite: bool,
) -> Result<u64, Failure> {
    let mut extra = then.said.clone();
    let from = then.path.file_name().unwrap_or_default().to_string_lossy();
    extra.push(("rerun_of".to_owned(), Attribute::Text(from.into_owned())));
    let layout = batch.layout(&then.study, extra);
    let mut file = ResultFile::create(path, &layout, CreateOptions { overwrite })
        .map_err(super::run::store_failure)?;
    kept.hand_on(&layout, &mut file)
        .map_err(|error| Failure::Machine(format!("{}: {error}", path.display())))
}

/// All that is told.
struct Told<'a> {
    then: &'a Recorded,
    batch: &'a Batch,
    report: &'a RunReport,
    redone: &'a Redone,
    autopsy: Option<&'a Autopsy>,
}

impl Told<'_> {
    fn text(&self) -> String {
        let (then, redone) = (self.then, self.redone);
        let mut text = format!(
            "{}\nFibre {} of {} in {}, model {}.\n\n",
            then.study.title,
            then.fibre,
            then.n_fibres,
            then.path.display(),
            then.study.model.name
        );
        if !then.parameters.is_empty() {
            let mut rows = vec![["parameter", "value", "unit"].map(str::to_owned)];
            for (column, value) in &then.parameters {
                rows.push([column.name.clone(), number(*value), column.units.clone()]);
            }
            let _ = writeln!(text, "{}", aligned(&rows));
        }
        let _ = writeln!(text, "Then: {}", self.how_then());
        let _ = writeln!(text, "Now:  {}", self.how_now());
        if !redone.features.is_empty() {
            let _ = write!(text, "\n{}", self.features());
        }
        for s in &redone.spikes {
            let shift = match s.largest_shift_ms {
                x if x.is_nan() => String::new(),
                x => format!(", the largest shift is {} ms", short(x)),
            };
            let _ = writeln!(
                text,
                "Spikes of '{}': {} then, {} now{shift}.",
                s.name, s.then, s.now
            );
        }
        match &redone.traces {
            None if !then.variables.is_empty() => {
                text.push_str("\nThe file does not hold the course of this fibre over time.\n");
            }
            Some(traces) if !traces.is_empty() => {
                let _ = write!(text, "\n{}", self.traces());
            }
            None | Some(_) => {}
        }
        text.push_str(match redone.same_bits {
            true => "\nAll that the file holds of this fibre is the same to the last bit.\n",
            false => "\nThe two differ.\n",
        });
        if let Some(autopsy) = self.autopsy {
            let _ = write!(text, "\n{}", autopsy.text(then));
        }
        text
    }

    fn how_then(&self) -> String {
        let then = self.then;
        let end = match (then.run, then.status) {
            (RunStatus::Complete, Some(status)) => self.end(status),
            (run, _) => {
                let until = then.time_ms.last().map_or_else(
                    || "nothing is whole yet".to_owned(),
                    |t| format!("whole up to {} ms", number(*t)),
                );
                format!("the run is {}, {until}", run.name())
            }
        };
        format!(
            "{} {}, scheme {}; {end}.",
            then.backend,
            then.precision.name(),
            then.scheme
        )
    }

    fn how_now(&self) -> String {
        let batch = self.batch;
        let steps = self.report.done.accepted + self.report.done.rejected;
        let how = match (batch.chosen_tolerance(), batch.fixed_step_ms()) {
            (Some(tolerance), _) => format!("tolerance {}", number(tolerance)),
            (None, Some(ms)) => format!("step {} ms", number(ms)),
            (None, None) => String::new(),
        };
        format!(
            "{} {}, scheme {} ({how}), {steps} steps; {}.",
            batch.backend.name(),
            batch.precision.name(),
            batch.scheme_name(),
            self.end(self.redone.status)
        )
    }

    fn end(&self, status: FibreStatus) -> String {
        match status {
            FibreStatus::Finished => "finished".to_owned(),
            FibreStatus::Stopped => "stopped".to_owned(),
            FibreStatus::Lost { at_ms, variable } => {
                let name = self.then.state_names.get(variable);
                format!(
                    "lost at {} ms in {}",
                    number(at_ms),
                    name.map_or("an unknown state", String::as_str)
                )
            }
        }
    }

    fn features(&self) -> String {
        let mut rows = vec![["feature", "unit", "then", "now", "difference"].map(str::to_owned)];
        let shown = |x: f64| {
            if x.is_nan() {
                "-".to_owned()
            } else {
                number(x)
            }
        };
        for f in &self.redone.features {
            let apart = match f.then {
                Some(then) if then.is_nan() && f.now.is_nan() => "0".to_owned(),
                Some(then) => short(f.now - then),
                None => "-".to_owned(),
            };
            rows.push([
                f.name.clone(),
                f.units.clone(),
                f.then.map_or_else(|| "-".to_owned(), shown),
                shown(f.now),
                apart,
            ]);
        }
        aligned(&rows)
    }

    fn traces(&self) -> String {
        let head = [
            "quantity",
            "unit",
            "rms difference",
            "largest",
            "at ms",
            "range in the file",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        for t in self.redone.traces.iter().flatten() {
            let d = &t.difference;
            let missing = match d.missing() {
                0 => String::new(),
                n => format!(" ({n} values in one only)"),
            };
            rows.push([
                t.name.clone(),
                t.units.clone(),
                short(d.rms_paired()),
                short(d.largest_paired()) + &missing,
                t.worst_at_ms.map_or_else(|| "-".to_owned(), number),
                short(d.range()),
            ]);
        }
        aligned(&rows)
    }

    fn json(&self, output: Option<&std::path::Path>) -> Value {
        let (then, batch, redone) = (self.then, self.batch, self.redone);
        let parameters: serde_json::Map<String, Value> = then
            .parameters
            .iter()
            .map(|(c, value)| (c.name.clone(), json!({ "value": value, "units": c.units })))
            .collect();
        let features: Vec<Value> = redone
            .features
            .iter()
            .map(|f| json!({ "name": f.name, "units": f.units, "then": f.then, "now": f.now }))
            .collect();
        let spikes: Vec<Value> = redone
            .spikes
            .iter()
            .map(|s| {
                json!({
                    "name": s.name,
                    "then": s.then,
                    "now": s.now,
                    "shift_max_ms": s.largest_shift_ms,
                })
            })
            .collect();
        let traces = redone.traces.as_ref().map(|traces| {
            let each = traces.iter().map(|t| {
                json!({
                    "name": t.name,
                    "units": t.units,
                    "rms": t.difference.rms(),
                    "max": t.difference.largest(),
                    "range": t.difference.range(),
                    "missing": t.difference.missing(),
                    "worst_at_ms": t.worst_at_ms,
                })
            });
            each.collect::<Vec<_>>()
        });
        json!({
            "schema": 1,
            "file": then.path.display().to_string(),
            "fibre": then.fibre,
            "fibres": then.n_fibres,
            "title": then.study.title,
            "model": then.study.model.name,
            "parameters": parameters,
            "then": {
                "backend": then.backend,
                "device": then.device,
                "precision": then.precision.name(),
                "summation": then.summation,
                "scheme": then.scheme,
                "run": then.run.name(),
                "end": then.status.map(|s| self.end_json(s)),
            },
            "now": {
                "backend": batch.backend.name(),
                "device": batch.device(),
                "precision": batch.precision.name(),
                "summation": batch.summation().name(),
                "scheme": batch.scheme_name(),
                "tolerance": batch.chosen_tolerance(),
                "step_ms": batch.fixed_step_ms(),
                "steps": self.report.done.accepted + self.report.done.rejected,
                "compute_s": self.report.done.compute_s,
                "end": self.end_json(redone.status),
                "output": output.map(|p| p.display().to_string()),
            },
            "same_bits": redone.same_bits,
            "features": features,
            "spikes": spikes,
            "variables": traces,
            "loss": self.autopsy.map(|a| a.json(then)),
        })
    }

    fn end_json(&self, status: FibreStatus) -> Value {
        match status {
            FibreStatus::Finished => json!({ "status": "finished" }),
            FibreStatus::Stopped => json!({ "status": "stopped" }),
            FibreStatus::Lost { at_ms, variable } => json!({
                "status": "lost",
                "lost_at_ms": at_ms,
                "lost_variable": self.then.state_names.get(variable),
            }),
        }
    }
}
