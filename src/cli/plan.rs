//! `sarcolemma plan`: what a study would take, without running it.

use std::num::NonZeroU64;
use std::path::PathBuf;

use super::choices::{Backend, Precision};
use super::exit::{Exit, Failure};

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
pub fn execute(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::Usage(
        "'plan' is not available in this version".to_owned(),
    ))
}
