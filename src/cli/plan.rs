//! `sarcolemma plan`: what a study would take, without running it.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::run;
use crate::store::{bytes_free, required_bytes};
use crate::study::Overrides;

use super::choices::{Backend, Precision};
use super::exit::{Exit, Failure};
use super::output;
use super::table::aligned;

/// Show what a study would take: steps, memory, size of the output
///
/// A dry run: nothing is computed and no output is opened. Says what does not fit, and what would.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The study
    #[arg(value_name = "STUDY.toml", value_hint = clap::ValueHint::FilePath)]
    pub study: PathBuf,

    /// Which engine would compute
    #[arg(long, value_enum, default_value = "auto")]
    pub backend: Backend,

    /// A GPU, by its number in 'sarcolemma devices' or by part of its name
    #[arg(long, value_name = "N|NAME")]
    pub device: Option<String>,

    /// Single or double precision [default: f32, and f64 with the reference backend]
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,

    /// Number of fibres, in place of the study's
    #[arg(long, value_name = "N")]
    pub fibres: Option<NonZeroU64>,

    /// Duration, such as "100 ms", in place of the study's
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Prints the plan.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let engine = super::engine::engine(args.backend, args.device.as_deref())?;
    let choices = run::Choices {
        backend: engine.backend,
        precision: super::run::precision(args.precision, engine.backend)?,
        threads: 0,
        adapter: engine.adapter.clone(),
        agreement_fibres: None,
    };
    let overrides = Overrides {
        fibres: args.fibres.map(NonZeroU64::get),
        duration: args.duration.clone(),
    };
    let study = super::run::load_study(&args.study, &overrides, args.json)?;
    let batch = run::prepare(&study, &choices).map_err(super::run::prepare_failure)?;
    let layout = batch.layout(&study, Vec::new());
    let output_bytes = required_bytes(&layout).map_err(|e| Failure::Usage(e.to_string()))?;
    let free_bytes = bytes_free(Path::new("."));
    let memory_bytes = batch.memory_bytes();
    let program = batch
        .step_program()
        .map_err(|e| Failure::Usage(e.to_string()))?;
    let device = batch
        .on_device()
        .map_err(|e| Failure::Usage(e.to_string()))?;
    let segments = &batch.experiment.schedule.segments;
    let fits = free_bytes.is_none_or(|free| free >= output_bytes);
    if args.json {
        output::json(&json!({
            "schema": 1,
            "title": study.title,
            "model": study.model.name,
            "states": study.model.states.len(),
            "fibres": batch.n_fibres,
            "varied": study.population.varied.iter().map(|v| v.name.clone()).collect::<Vec<_>>(),
            "backend": batch.backend.name(),
            "device": batch.device(),
            "precision": batch.precision.name(),
            "scheme": batch.scheme_name(),
            "scheme_reason": batch.scheme_reason,
            "step_ms": batch.fixed_step_ms(),
            "tolerance": batch.chosen_tolerance(),
            "largest_step_ms": batch.chosen_largest_step_ms(),
            "limiting": run::limiting_json(&batch.limiting().unwrap_or_default()),
            "steps": batch.fixed_steps(),
            "batches": device.as_ref().map(|d| d.batches),
            "dispatches": device.as_ref().map_or(0, |d| d.dispatches),
            "device_bytes": device.as_ref().map(|d| d.bytes),
            "summation": batch.summation().name(),
            "ops_per_step": program.as_ref().map(|p| p.program.n_ops()),
            "segments": segments.len(),
            "rows": layout.time_ms.len(),
            "memory_bytes": memory_bytes,
            "output_bytes": output_bytes,
            "free_bytes": free_bytes,
            "fits": fits,
        }))?;
        return Ok(Exit::Done);
    }
    let bytes = super::summary::bytes;
    let mut rows = vec![
        row("study", study.title.clone()),
        row(
            "model",
            format!("{}, {} states", study.model.name, study.model.states.len()),
        ),
        row(
            "fibres",
            format!(
                "{}, {} parameters vary",
                batch.n_fibres,
                study.population.varied.len()
            ),
        ),
        row(
            "backend",
            format!(
                "{} {} on {}",
                batch.backend.name(),
                batch.precision.name(),
                batch.device()
            ),
        ),
        row(
            "scheme",
            format!("{}: {}", batch.scheme_name(), batch.scheme_reason),
        ),
        row(
            "steps",
            match (batch.fixed_steps(), batch.chosen_tolerance()) {
                (Some(n), _) => format!("{n} of {} ms", batch.step_ms),
                (None, tolerance) => format!(
                    "every fibre its own, tolerance {}{}",
                    tolerance.unwrap_or(f64::NAN),
                    super::summary::at_most(&batch)
                ),
            },
        ),
    ];
    rows.extend(super::summary::limits(&batch).map(|limits| row("limited by", limits)));
    rows.push(row("segments between edges", segments.len().to_string()));
    if let Some(program) = &program {
        rows.push(row(
            "operations in a step",
            program.program.n_ops().to_string(),
        ));
    }
    if let Some(d) = &device {
        rows.push(row(
            "batches",
            match d.batches {
                1 => format!(
                    "1: all fibres stay in the device's memory, about {}",
                    bytes(d.bytes)
                ),
                n => format!(
                    "{n}: {} fibres at a time in the device's memory, about {}",
                    d.fibres_per_batch,
                    bytes(d.bytes)
                ),
            },
        ));
        rows.push(row(
            "dispatches",
            format!(
                "at least {}: their length adapts to 50 to 100 ms",
                d.dispatches
            ),
        ));
    }
    rows.extend([
        row("rows", layout.time_ms.len().to_string()),
        row("memory", format!("about {}", bytes(memory_bytes))),
        row(
            "output",
            match free_bytes {
                Some(free) => format!("{}; {} are free here", bytes(output_bytes), bytes(free)),
                None => bytes(output_bytes),
            },
        ),
    ]);
    output::data(&aligned(&rows))?;
    if !fits {
        let advice = super::room::advice(&layout, free_bytes)
            .unwrap_or_else(|| "free some room, or name another disk".to_owned());
        output::data(&format!("The output does not fit: {advice}.\n"))?;
    }
    Ok(Exit::Done)
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}
