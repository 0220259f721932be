//! How fast a model runs here: a population of equal fibres, no features beyond a spike count, no output.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::backend::cpu::{Census, Cpu, Simd};
use crate::backend::gpu::{self, Gpu, GpuError};
use crate::backend::reference::{Reference, Tolerances};
use crate::backend::{Experiment, Stepping};
use crate::feature::{FeatureKind, FeatureSpec};
use crate::model::{Bound, Model, VariableKind};
use crate::ops::Lane;
use crate::protocol::{Frame, Level, Protocol};
use crate::scheme::{Scheme, Summation};

use super::batch::Backend;
use super::defaults::{AUTO, default_tolerance};
use super::driver::{Done, Job, drive};
use super::gpu::drive_gpu;
use super::pilot::{Pilot, PilotError};
use super::reference::drive_reference;
use super::sink::{Discard, Precision};
use super::{PrepareError, RunError};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Case {
    /// What runs the fibres.
    pub backend: Backend,
    /// The device of the GPU backend.
    pub adapter: Option<gpu::Adapter>,
    /// Where the GPU backend keeps states.
    pub residence: gpu::Residence,
    /// Precision of the lanes.
    pub precision: Precision,
    /// The scheme; `None` for what a study's `auto` means.
    pub scheme: Option<Scheme>,
    /// Step of a fixed-step scheme, ms.
    pub step_ms: f64,
    /// Tolerance of an adaptive one; `None` for the model's default.
    pub tolerance: Option<f64>,
    /// Largest step of an adaptive one, ms.
    pub largest_step_ms: f64,
    /// Number of fibres.
    pub fibres: usize,
    /// Threads; 0 for all.
    pub threads: usize,
    /// Simulated time, ms.
    pub duration_ms: f64,
    /// Pulses a second in place of the model's protocol; 0 for rest.
    pub rate_hz: Option<f64>,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Measure {
    /// The scheme; `None` for the reference's own.
    pub scheme: Option<Scheme>,
    /// Steps, accepted and rejected, all fibres.
    pub fibre_steps: u64,
    /// Seconds of time stepping.
    pub compute_s: f64,
    /// Seconds from the checked model to the first step: pilot, step program, lanes.
    pub setup_s: f64,
    /// Of these, seconds in which a device's driver compiled.
    pub compile_s: f64,
    /// Threads.
    pub threads: usize,
    /// Operations of a step, where a step program runs.
    pub ops: Option<usize>,
    /// Machine instructions of a step, where machine code runs.
    pub census: Option<Census>,
    /// Spikes of the first fibre: a sign that the model did what it should.
    pub spikes: u64,
}

/// Measures one case.
///
/// # Errors
/// If the scheme cannot be built for the model or the threads cannot be started.
pub fn bench(model: &Model, case: &Case) -> Result<Measure, RunError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(case.threads)
        .build()
        .map_err(|e| RunError::Threads(e.to_string()))?;
    pool.install(|| match (case.backend, case.precision) {
        (Backend::Cpu, Precision::F32) => lanes::<f32>(model, case),
        (Backend::Cpu, Precision::F64) => lanes::<f64>(model, case),
        (Backend::Gpu, Precision::F32) => device::<f32>(model, case),
        (Backend::Gpu, Precision::F64) => device::<f64>(model, case),
        (Backend::Reference, _) => reference(model, case),
    })
}

/// The program that a device would run for a case.
///
/// # Errors
/// If the scheme cannot be built for the model.
pub fn bench_wgsl(
    model: &Model,
    case: &Case,
    real: gpu::Real,
    form: gpu::Form,
) -> Result<String, RunError> {
    let model = Arc::new(model.clone());
    let stepping = stepping(&model, case)?;
    let experiment = experiment(&model, case);
    Ok(gpu::wgsl(&experiment, &stepping, real, form)?)
}

/// How the fibres of a case are stepped.
fn stepping(model: &Arc<Model>, case: &Case) -> Result<Stepping, PilotError> {
    let pilot = Pilot::of(model)?;
    let scheme = case.scheme.unwrap_or(AUTO);
    Ok(Stepping {
        scheme,
        step_ms: case.step_ms,
        tolerance: case
            .tolerance
            .unwrap_or_else(|| default_tolerance(scheme, model)),
        scales: pilot.scales,
        largest_step_ms: case.largest_step_ms,
    })
}

fn device<T: Lane>(model: &Model, case: &Case) -> Result<Measure, RunError> {
    let adapter = case
        .adapter
        .as_ref()
        .ok_or_else(|| GpuError::None("none was chosen".to_string()))?;
    let started = Instant::now();
    let device = gpu::Device::open(adapter)?;
    let probe = gpu::Probe::run(&device)?;
    probe.check(&device)?;
    let summation = match T::PRECISION {
        "f32" => probe.summation(),
        _ => Summation::Plain,
    };
    let model = Arc::new(model.clone());
    let stepping = stepping(&model, case)?;
    let experiment = experiment(&model, case);
    let form = gpu::Form {
        summation,
        residence: case.residence,
    };
    let gpu = Gpu::<T>::new(&device, &experiment, &stepping, form)?;
    // Some drivers compile at the first dispatch.
    let warm = Job {
        parameters: vec![Vec::new(); 1],
        ..job(case)
    };
    let never = AtomicBool::new(false);
    let soon = Experiment {
        n_samples: 0,
        ..experiment.clone()
    };
    drive_gpu(&gpu, &soon, &warm, &mut Discard, &|_| (), &never)?;
    let setup_s = started.elapsed().as_secs_f64();
    let done = drive_gpu(&gpu, &experiment, &job(case), &mut Discard, &|_| (), &never)?;
    Ok(measure(
        &done,
        Some(stepping.scheme),
        setup_s,
        gpu.compile_s,
    ))
}

fn lanes<T: Lane>(model: &Model, case: &Case) -> Result<Measure, RunError> {
    let started = Instant::now();
    let model = Arc::new(model.clone());
    let stepping = stepping(&model, case)?;
    let experiment = experiment(&model, case);
    let fibres = case.fibres.div_ceil(rayon::current_num_threads());
    let cpu = Cpu::<T>::for_fibres(&experiment, &stepping, Simd::best(), fibres)?;
    let setup_s = started.elapsed().as_secs_f64();
    let done = drive(
        &cpu,
        &experiment,
        job(case),
        &mut Discard,
        &|_| (),
        &AtomicBool::new(false),
    )?;
    Ok(Measure {
        ops: Some(cpu.step_program().program.n_ops()),
        census: cpu.census(),
        ..measure(&done, Some(stepping.scheme), setup_s, 0.0)
    })
}

fn reference(model: &Model, case: &Case) -> Result<Measure, RunError> {
    let started = Instant::now();
    let experiment = experiment(&Arc::new(model.clone()), case);
    let reference = Reference::new(&experiment, Tolerances::default()).map_err(PilotError::from)?;
    let setup_s = started.elapsed().as_secs_f64();
    let done = drive_reference(
        &reference,
        &experiment,
        &job(case),
        &mut Discard,
        &|_| (),
        &AtomicBool::new(false),
    )?;
    Ok(measure(&done, None, setup_s, 0.0))
}

fn measure(done: &Done, scheme: Option<Scheme>, setup_s: f64, compile_s: f64) -> Measure {
    Measure {
        scheme,
        fibre_steps: done.accepted + done.rejected,
        compute_s: done.compute_s,
        setup_s,
        compile_s,
        threads: rayon::current_num_threads(),
        ops: None,
        census: None,
        spikes: done
            .features
            .first()
            .and_then(|f| f.first())
            .map_or(0, |&n| n as u64),
    }
}

fn job(case: &Case) -> Job {
    Job {
        first_fibre: 0,
        parameters: vec![Vec::new(); case.fibres],
        traces: Some(Vec::new()),
        rows_per_slab: 1,
        threads: rayon::current_num_threads(),
        checkpoint_every: Duration::MAX,
        from: None,
    }
}

fn experiment(model: &Arc<Model>, case: &Case) -> Experiment {
    let protocol = match case.rate_hz {
        None if !model.protocol.is_empty() => Protocol::of_model(model),
        None => Protocol::fifty_hertz(),
        Some(rate) if rate > 0.0 => {
            let mut protocol = Protocol::fifty_hertz();
            protocol.pulses[0].period_ms = Some(1e3 / rate);
            protocol
        }
        Some(_) => Protocol::default(),
    };
    let schedule = protocol.schedule(&Frame {
        duration_ms: case.duration_ms,
        settle_ms: 0.0,
        paced: model.bound(&Bound::Pace).is_some(),
        own: &|id| match model.variable(id).kind {
            VariableKind::Literal(number) => Level::Number(number),
            _ => Level::Number(f64::NAN),
        },
    });
    let watched = model
        .labelled("membrane_potential")
        .or_else(|| model.states.first().copied());
    let features = watched.map(|v| FeatureSpec {
        threshold: 0.0,
        ..FeatureSpec::new("spikes", FeatureKind::Spikes, v)
    });
    Experiment {
        model: Arc::clone(model),
        varied: Vec::new(),
        schedule,
        observables: watched.into_iter().collect(),
        n_recorded: 0,
        features: features.into_iter().collect(),
        sample_every_ms: case.duration_ms,
        n_samples: 0,
    }
}

/// Whether the protocol that a bench of this model would use can stand.
///
/// # Errors
/// If the model's own `[[protocol]]` contradicts itself.
pub fn check_protocol(model: &Model, duration_ms: f64) -> Result<(), PrepareError> {
    match Protocol::of_model(model).check(duration_ms).first() {
        None => Ok(()),
        Some(conflict) => Err(PrepareError::Protocol(format!("{conflict:?}"))),
    }
}
