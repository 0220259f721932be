//! The options that `run` and `resume` share, and what both do when a run is over.

use std::path::Path;
use std::time::Duration;

use crate::run::sink::FibreStatus;
use crate::run::{self, Batch, RunReport};
use crate::store;
use crate::study::Study;

use super::exit::{Exit, Failure};
use super::run::store_failure;
use super::{output, summary};

/// How often a run is saved, and what becomes of its results.
#[derive(Debug, clap::Args)]
pub struct RunOptions {
    /// Time between two checkpoints, from which 'resume' goes on [default: 30 s]
    #[arg(long, value_name = "TIME", value_parser = super::choices::interval)]
    pub checkpoint_every: Option<Duration>,

    /// Compress the traces when the run is over (deflate, 1 to 9): smaller, slower to read in part
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u32).range(1..=9))]
    pub compress: Option<u32>,

    /// End with code 1 if a fibre is lost, or the run differs from the reference by more than the study's [agreement] allows
    #[arg(long)]
    pub strict: bool,

    /// Print one JSON object with the outcome
    #[arg(long)]
    pub json: bool,

    /// No progress and no summary
    #[arg(long)]
    pub quiet: bool,
}

impl RunOptions {
    /// Time between two checkpoints.
    pub(super) fn checkpoint_every(&self) -> Duration {
        self.checkpoint_every.unwrap_or(run::CHECKPOINT_EVERY)
    }

    /// Whether progress and notes are for people to read.
    pub(super) fn is_for_people(&self) -> bool {
        !self.quiet && !self.json
    }

    /// Compresses the file where it is asked for, tells how the run went, and what `--strict` makes of it.
    ///
    /// # Errors
    /// If the file cannot be compressed, nothing can be told, or `--strict` finds a fault.
    pub(super) fn end(
        &self,
        study: &Study,
        (batch, mut report): (&Batch, RunReport),
        output: &Path,
    ) -> Result<Exit, Failure> {
        if let Some(bytes) = compressed(output, self.compress)? {
            report.bytes_written = bytes;
        }
        if self.json {
            output::json(&summary::json(study, batch, &report, output))?;
        } else if !self.quiet {
            output::data(&summary::text(study, batch, &report, output))?;
        }
        match strict_fault(&report, batch.n_fibres) {
            Some(fault) if self.strict => Err(Failure::Tolerance(fault)),
            _ => Ok(Exit::Done),
        }
    }
}

/// Compresses a finished file where it is asked for; the bytes that it then has.
pub(super) fn compressed(path: &Path, level: Option<u32>) -> Result<Option<u64>, Failure> {
    let bytes = level.map(|level| store::compress(path, level)).transpose();
    bytes.map_err(store_failure)
}

/// What `--strict` does not let pass.
fn strict_fault(report: &RunReport, n_fibres: usize) -> Option<String> {
    let is_lost = |status: &&FibreStatus| matches!(status, FibreStatus::Lost { .. });
    let lost = report.done.status.iter().filter(is_lost).count();
    let lost = (lost > 0).then(|| format!("{lost} of {n_fibres} fibres were lost"));
    let beyond = report.beyond.iter().map(|d| d.text.clone());
    let faults: Vec<String> = lost.into_iter().chain(beyond).collect();
    (!faults.is_empty()).then(|| faults.join("\n"))
}
