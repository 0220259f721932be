//! `sarcolemma run`: runs a study and writes its result file.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use super::choices::{Backend, Precision, Shard};
use super::exit::{Exit, Failure};

/// Run a study and write its results to an HDF5 file
///
/// The file is also a valid netCDF-4 file, and can be looked at while the run goes on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The study
    #[arg(value_name = "STUDY.toml", value_hint = clap::ValueHint::FilePath)]
    pub study: PathBuf,

    /// Where the results go [default: the study's stem and .h5, in the working directory]
    #[arg(short, long, value_name = "OUT.h5", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Which engine computes
    #[arg(long, value_enum, default_value = "auto")]
    pub backend: Backend,

    /// Single or double precision [default: f32, and f64 with the reference backend]
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,

    /// A GPU, by its number in 'sarcolemma devices' or by part of its name
    #[arg(long, value_name = "N|NAME")]
    pub device: Option<String>,

    /// Number of CPU threads [default: as many as the machine has]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// Number of fibres, in place of the study's
    #[arg(long, value_name = "N")]
    pub fibres: Option<NonZeroU64>,

    /// Duration, such as "100 ms", in place of the study's
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,

    /// Run only this part of the population, such as 1/8; 'merge' joins the parts
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,

    /// Overwrite an existing output
    #[arg(long)]
    pub force: bool,

    /// End with code 1 if a fibre is lost
    #[arg(long)]
    pub strict: bool,

    /// Print one JSON object with the outcome
    #[arg(long)]
    pub json: bool,

    /// No progress and no summary
    #[arg(long)]
    pub quiet: bool,
}

/// Runs the study.
pub fn execute(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::Usage(
        "'run' is not available in this version".to_owned(),
    ))
}
