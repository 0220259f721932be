//! `sarcolemma bench`: fibre-steps per second of each backend on this machine.

use std::num::{NonZeroU64, NonZeroUsize};

use super::choices::{Backend, Precision};
use super::exit::{Exit, Failure};

/// Measure the fibre-steps per second of each backend here
///
/// Which one to use, and how much faster it is. Writes no output. The protocol is the model's own or, where it has none, pulses
/// at 50 Hz for 1 s.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A shipped model's name, or a path to a .mmt file
    #[arg(value_name = "MODEL", default_value = "skeletal_fibre", value_hint = clap::ValueHint::FilePath)]
    pub model: String,

    /// The engines, separated by commas [default: all that run here]
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',')]
    pub backend: Vec<Backend>,

    /// A GPU, by its number in 'sarcolemma devices' or by part of its name
    #[arg(long, value_name = "N|NAME")]
    pub device: Option<String>,

    /// Single or double precision [default: f32, and f64 with the reference backend]
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,

    /// The scheme: euler, rush_larsen, ros3 [default: the one that 'auto' means in a study]
    #[arg(long, value_name = "SCHEME")]
    pub scheme: Option<String>,

    /// Step of a fixed-step scheme, such as "0.01 ms"
    #[arg(long, value_name = "DT")]
    pub step: Option<String>,

    /// Number of CPU threads [default: as many as the machine has]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// Number of fibres [default: enough to fill the machine]
    #[arg(long, value_name = "N")]
    pub fibres: Option<NonZeroU64>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Measures.
pub fn execute(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::Usage(
        "'bench' is not available in this version".to_owned(),
    ))
}
