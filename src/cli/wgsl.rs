//! `sarcolemma wgsl`: the exact program that a GPU would run.

use std::path::Path;

use crate::backend::gpu::{self, Real};
use crate::run::{self, Choices, sink};
use crate::scheme::{Scheme, Summation};
use crate::study::Overrides;

use super::choices::{Precision, Residence};
use super::exit::{Exit, Failure};
use super::{output, shipped};

/// Print the GPU program of a model or a study
///
/// For a model: stepped by the scheme, under its own protocol or pulses at 50 Hz, its spikes counted. For a study: with all that it
/// records, gathers and drives. The text is whole WGSL and exactly what is handed to the driver; what varies between fibres is in
/// buffers. A device on which compensated sums do not survive its compiler runs the form that --summation quanta prints.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A shipped model's name, a path to a .mmt file, or a study
    #[arg(value_name = "MODEL|STUDY.toml", value_hint = clap::ValueHint::FilePath)]
    pub model: String,

    /// The scheme: euler, rush_larsen, ros3, ros4 [default: the one that 'auto' means in a study]
    #[arg(long, value_name = "S")]
    pub scheme: Option<String>,

    /// Single or double precision
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: Precision,

    /// How steps are summed up in single precision
    #[arg(long, value_enum, default_value = "compensated")]
    pub summation: Sums,

    /// Where states are between iterations
    #[arg(long, value_enum, default_value = "registers")]
    pub residence: Residence,
}

/// A form of the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sums {
    /// Each state alone: what single precision must not be run with, for comparison.
    Plain,
    /// Beside each state, what rounding has taken from it.
    Compensated,
    /// Each state in whole quanta, and beside it the rest.
    Quanta,
}

/// Prints the program.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let scheme = match &args.scheme {
        None => None,
        Some(name) => Some(super::bench::scheme(name)?),
    };
    let (real, summation) = match (args.precision, args.summation) {
        (Precision::F64, _) => (Real::F64, Summation::Plain),
        (Precision::F32, Sums::Plain) => (Real::F32, Summation::Plain),
        (Precision::F32, Sums::Compensated) => (Real::F32, Summation::Compensated),
        (Precision::F32, Sums::Quanta) => (Real::F32, Summation::Quanta),
    };
    let form = gpu::Form {
        summation,
        residence: args.residence.into(),
    };
    let is_study = Path::new(&args.model)
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("toml"));
    let text = if is_study {
        of_study(&args, scheme, real, form)?
    } else {
        let (model, _) = shipped::load(&args.model)?;
        run::check_protocol(&model, super::bench::DURATION_MS)
            .map_err(|e| Failure::Usage(e.to_string()))?;
        let case = super::bench::usual_case(scheme);
        run::bench_wgsl(&model, &case, real, form).map_err(|e| Failure::Usage(e.to_string()))?
    };
    output::data(&text)?;
    Ok(Exit::Done)
}

fn of_study(
    args: &Args,
    scheme: Option<Scheme>,
    real: Real,
    form: gpu::Form,
) -> Result<String, Failure> {
    let study = super::run::load_study(Path::new(&args.model), &Overrides::default(), false)?;
    let choices = Choices {
        backend: run::Backend::Cpu,
        precision: match real {
            Real::F32 => sink::Precision::F32,
            Real::F64 => sink::Precision::F64,
        },
        threads: 0,
        adapter: None,
        agreement_fibres: Some(0),
    };
    let batch = run::prepare(&study, &choices).map_err(super::run::prepare_failure)?;
    let mut stepping = batch.stepping();
    if let Some(scheme) = scheme {
        stepping.scheme = scheme;
    }
    gpu::wgsl(&batch.experiment, &stepping, real, form).map_err(|e| Failure::Usage(e.to_string()))
}
