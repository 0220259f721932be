//! `sarcolemma rerun`: one fibre of a finished study again, from its result file alone.

use std::path::PathBuf;

use super::choices::Backend;
use super::exit::{Exit, Failure};

/// Run one fibre of a finished study again, from its file alone
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The result file
    #[arg(value_name = "OUT.h5", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,

    /// The fibre's id
    #[arg(long, value_name = "N")]
    pub fibre: u64,

    /// Which engine computes
    #[arg(long, value_enum, default_value = "reference")]
    pub backend: Backend,

    /// Where the fibre's results go; without it a summary is printed
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
pub fn execute(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::Usage(
        "'rerun' is not available in this version".to_owned(),
    ))
}
