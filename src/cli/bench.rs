//! `sarcolemma bench`: fibre-steps per second of each backend on this machine.

use std::num::{NonZeroU64, NonZeroUsize};

use serde_json::json;

use crate::backend::cpu::{Census, Engine, Simd};
use crate::backend::gpu::{self, DeviceKind};
use crate::backend::{DEFAULT_LARGEST_STEP_MS, LARGEST_STEPS_MS};
use crate::run::{self, Case, RunError, sink};
use crate::scheme::Scheme;

use super::choices::{Backend, Precision, Residence, time_ms};
use super::exit::{Exit, Failure};
use super::table::aligned;
use super::{engine, output, shipped};

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

    /// The scheme: euler, rush_larsen, ros3, ros4 [default: the one that 'auto' means in a study]
    #[arg(long, value_name = "SCHEME")]
    pub scheme: Option<String>,

    /// Step of a fixed-step scheme, such as "0.01 ms"
    #[arg(long, value_name = "DT")]
    pub step: Option<String>,

    /// Error allowed in a step of an adaptive scheme, relative to each state's scale [default: the one of a study of this model]
    #[arg(long, value_name = "X", value_parser = tolerance)]
    pub tolerance: Option<f64>,

    /// Largest step of an adaptive scheme, such as "1 s" [default: 20 ms]
    #[arg(long, value_name = "TIME")]
    pub largest_step: Option<String>,

    /// Number of CPU threads [default: as many as the machine has]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// Number of fibres [default: enough to fill the machine]
    #[arg(long, value_name = "N")]
    pub fibres: Option<NonZeroU64>,

    /// Pulses a second, in place of the model's protocol; 0 for rest
    #[arg(long, value_name = "HZ")]
    pub rate: Option<f64>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// Where a GPU keeps states between iterations
    #[arg(long, value_enum, default_value = "registers")]
    pub residence: Residence,
}

/// Simulated time of a measurement, ms.
pub(super) const DURATION_MS: f64 = 1e3;
/// Fibres of the CPU backend for each thread: four full blocks.
const FIBRES_PER_THREAD: usize = 1024;

/// Fibres of a GPU: enough for the largest to be busy.
const FIBRES_OF_DEVICE: usize = 1 << 18;
/// Fibres of a software device.
const FIBRES_OF_SOFTWARE: usize = 2048;

/// Every backend that runs here; a software device only where one is named.
fn all_here(device: Option<&str>) -> Vec<Backend> {
    let gpu = engine::engine(Backend::Auto, device).is_ok_and(|e| e.backend == run::Backend::Gpu);
    let gpu = gpu.then_some(Backend::Gpu);
    [Backend::Cpu]
        .into_iter()
        .chain(gpu)
        .chain([Backend::Reference])
        .collect()
}

/// Measures.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let (model, _) = shipped::load(&args.model)?;
    run::check_protocol(&model, DURATION_MS).map_err(|e| Failure::Usage(e.to_string()))?;
    let backends = if args.backend.is_empty() {
        all_here(args.device.as_deref())
    } else {
        args.backend.clone()
    };
    let mut rows = vec![
        [
            "backend",
            "precision",
            "scheme",
            "threads",
            "fibres",
            "setup s",
            "of it compiling s",
            "compute s",
            "fibre-steps/s",
            "fibre-seconds/s",
        ]
        .map(String::from)
        .to_vec(),
    ];
    let mut results = Vec::new();
    for backend in backends {
        let case = case(&args, backend)?;
        let measure = run::bench(&model, &case).map_err(|e| match e {
            RunError::Gpu(e) => engine::failure(&e),
            other => Failure::Usage(other.to_string()),
        })?;
        let device = case.adapter.as_ref().map_or_else(
            || {
                let best = match case.backend {
                    run::Backend::Reference => Simd::best().name().to_owned(),
                    run::Backend::Cpu | run::Backend::Gpu => Engine::best().name(),
                };
                format!("{} {best}", std::env::consts::ARCH)
            },
            |a| a.name.clone(),
        );
        let steps_per_s = measure.fibre_steps as f64 / measure.compute_s;
        let seconds_per_s = case.fibres as f64 * DURATION_MS / 1e3 / measure.compute_s;
        let precision = if case.backend == run::Backend::Reference {
            "f64"
        } else {
            case.precision.name()
        };
        let scheme = measure.scheme.map_or("reference", Scheme::name);
        rows.push(vec![
            case.backend.name().to_owned(),
            precision.to_owned(),
            scheme.to_owned(),
            measure.threads.to_string(),
            case.fibres.to_string(),
            format!("{:.3}", measure.setup_s),
            format!("{:.3}", measure.compile_s),
            format!("{:.3}", measure.compute_s),
            format!("{steps_per_s:.3e}"),
            format!("{seconds_per_s:.1}"),
        ]);
        results.push(json!({
            "backend": case.backend.name(),
            "device": device,
            "model": model.name,
            "scheme": scheme,
            "precision": precision,
            "fibres": case.fibres,
            "steps": measure.fibre_steps / case.fibres.max(1) as u64,
            "spikes": measure.spikes,
            "setup_s": measure.setup_s,
            "compile_s": measure.compile_s,
            "compute_s": measure.compute_s,
            "fibre_steps_per_s": steps_per_s,
            "fibre_seconds_per_s": seconds_per_s,
            "threads": measure.threads,
            "ops": measure.ops,
            "instructions": measure.census.map(instructions),
        }));
    }
    if args.json {
        output::json(&json!({ "schema": 1, "results": results }))?;
    } else {
        output::data(&aligned(&rows))?;
    }
    Ok(Exit::Done)
}

/// Instructions of one vector of lanes, by kind.
fn instructions(census: Census) -> serde_json::Value {
    let of_a_vector = |n: usize| n as f64 / census.vectors as f64;
    json!({
        "vector_lanes": census.vector_lanes,
        "vectors_in_flight": census.vectors,
        "all": of_a_vector(census.all),
        "sums": of_a_vector(census.sums),
        "divisions": of_a_vector(census.divisions),
        "choices": of_a_vector(census.choices),
        "bits": of_a_vector(census.bits),
        "calls": of_a_vector(census.calls),
        "moves": of_a_vector(census.moves),
        "loads": of_a_vector(census.loads),
        "stores": of_a_vector(census.stores),
        "spills": of_a_vector(census.spills),
        "reloads": of_a_vector(census.reloads),
    })
}

fn case(args: &Args, backend: Backend) -> Result<Case, Failure> {
    let device = match backend {
        Backend::Auto | Backend::Gpu => args.device.as_deref(),
        Backend::Cpu | Backend::Reference => None,
    };
    let engine = engine::engine(backend, device)?;
    if let (Some(note), false) = (&engine.note, args.json) {
        output::note(note);
    }
    let backend = engine.backend;
    let scheme = match &args.scheme {
        None => None,
        Some(name) => Some(scheme(name)?),
    };
    let threads = args.threads.map_or(0, NonZeroUsize::get);
    let available = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let fibres = match (args.fibres, backend) {
        (Some(n), _) => n.get() as usize,
        (None, run::Backend::Reference) => 1,
        (None, run::Backend::Gpu) => match engine.adapter.as_ref().map(|a| a.kind) {
            Some(DeviceKind::Software) => FIBRES_OF_SOFTWARE,
            _ => FIBRES_OF_DEVICE,
        },
        (None, run::Backend::Cpu) => {
            FIBRES_PER_THREAD * if threads == 0 { available } else { threads }
        }
    };
    Ok(Case {
        backend,
        adapter: engine.adapter,
        residence: args.residence.into(),
        precision: match args.precision {
            Some(Precision::F64) => sink::Precision::F64,
            Some(Precision::F32) | None => sink::Precision::F32,
        },
        scheme,
        step_ms: match &args.step {
            None => run::DEFAULT_STEP_MS,
            Some(text) => step_ms(text)?,
        },
        tolerance: args.tolerance,
        largest_step_ms: match &args.largest_step {
            None => DEFAULT_LARGEST_STEP_MS,
            Some(text) => largest_step_ms(text)?,
        },
        fibres,
        threads,
        duration_ms: DURATION_MS,
        rate_hz: args.rate,
    })
}

/// The scheme of that name.
pub(super) fn scheme(name: &str) -> Result<Scheme, Failure> {
    Scheme::from_name(name).ok_or_else(|| {
        let known = Scheme::ALL.map(Scheme::name).join(", ");
        Failure::Usage(format!(
            "there is no scheme '{name}'\nhelp: schemes are {known}"
        ))
    })
}

/// What is measured where nothing is asked for.
pub(super) fn usual_case(scheme: Option<Scheme>) -> Case {
    Case {
        backend: run::Backend::Gpu,
        adapter: None,
        residence: gpu::Residence::Registers,
        precision: sink::Precision::F32,
        scheme,
        step_ms: run::DEFAULT_STEP_MS,
        tolerance: None,
        largest_step_ms: DEFAULT_LARGEST_STEP_MS,
        fibres: 1,
        threads: 0,
        duration_ms: DURATION_MS,
        rate_hz: None,
    }
}

fn step_ms(text: &str) -> Result<f64, Failure> {
    match time_ms("--step", text)? {
        step if step > 0.0 => Ok(step),
        _ => Err(Failure::Usage(format!(
            "--step '{text}': a step is longer than 0"
        ))),
    }
}

/// A tolerance, as a study may have it.
fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x > 0.0 && x.is_finite() => Ok(x),
        _ => Err("a tolerance is a number above 0".to_string()),
    }
}

fn largest_step_ms(text: &str) -> Result<f64, Failure> {
    let (least, most) = (LARGEST_STEPS_MS.start(), LARGEST_STEPS_MS.end().floor());
    match time_ms("--largest-step", text)? {
        step if LARGEST_STEPS_MS.contains(&step) => Ok(step),
        _ => Err(Failure::Usage(format!(
            "--largest-step '{text}': expected {least} to {most} ms"
        ))),
    }
}
