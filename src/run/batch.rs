//! From a study and the choices of whoever starts it to a run: which backend, scheme, step, precision; the file's layout.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::backend::cpu::{Cpu, Engine, Simd};
use crate::backend::gpu::{self, Gpu, GpuError};
use crate::backend::reference::{Reference, Tolerances};
use crate::backend::{DEFAULT_LARGEST_STEP_MS, Experiment, Stepping};
use crate::feature::{FeatureKind, FeatureSpec};
use crate::model::VariableId;
use crate::ops::Lane;
use crate::scheme::{BuildError, Control, Scheme, StepProgram, Summation};
use crate::study::{self, Study, VariedTarget};

use super::agreement::Disagreement;
use super::behind::behind;
use super::checkpoint::Point;
use super::defaults::{AUTO, auto, default_tolerance};
use super::driver::{Done, Job, Progress, drive};
use super::error::{PrepareError, RunError};
use super::gpu::{DeviceRunError, drive_gpu};
use super::limiting::{Limit, Steps, limiting};
use super::pilot::{DEFAULT_STEP_MS, Pilot, PilotError};
use super::reference::drive_reference;
use super::sink::{Agreement, FibreStatus, Outcome, Part, Precision, Sink};

/// What runs the fibres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// SIMD lanes on all cores.
    Cpu,
    /// Invocations of a device.
    Gpu,
    /// The judge: double precision, tight tolerance, fibre by fibre.
    Reference,
}

impl Backend {
    /// As studies, files and command lines spell it.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Cpu => "cpu",
            Backend::Gpu => "gpu",
            Backend::Reference => "reference",
        }
    }
}

/// What the study leaves to whoever starts the run.
#[derive(Clone, Debug)]
pub struct Choices {
    /// What runs the fibres.
    pub backend: Backend,
    /// Precision of the CPU backend; the reference has double precision always.
    pub precision: Precision,
    /// Threads; 0 for all.
    pub threads: usize,
    /// The device of the GPU backend; no other backend asks for it.
    pub adapter: Option<gpu::Adapter>,
    /// How many fibres are compared with the reference; 0 for none, `None` for what the study says.
    pub agreement_fibres: Option<u64>,
}

/// A run ready to start.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What is simulated.
    pub experiment: Experiment,
    /// What runs the fibres.
    pub backend: Backend,
    /// Precision of the traces.
    pub precision: Precision,
    /// The scheme; `None` for the reference's own.
    pub scheme: Option<Scheme>,
    /// How the scheme was chosen, in words.
    pub scheme_reason: String,
    /// Step of a fixed-step scheme, ms.
    pub step_ms: f64,
    /// Tolerance of an adaptive scheme.
    pub tolerance: f64,
    /// Largest step of an adaptive scheme from time 0 on, ms.
    pub largest_step_ms: f64,
    /// What the pilot saw.
    pub pilot: Pilot,
    /// Number of fibres.
    pub n_fibres: usize,
    /// The open device of the GPU backend, and what its arithmetic can be trusted with.
    pub device: Option<(gpu::Device, gpu::Probe)>,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Where it goes on, if it was cut off.
    pub(super) from: Option<Point>,
    threads: usize,
    pub(super) agreement_fibres: u64,
    /// Whether fibres are compared in double precision as well.
    pub(super) agreement_in_f64: bool,
    /// What the study allows.
    pub(super) agreement_limits: study::Agreement,
    pub(super) first_fibre: u64,
    pub(super) seed: u64,
    /// Fibres that an earlier part of the run drew for the comparison with the reference.
    pub(super) drawn_before: Option<Vec<u64>>,
    /// Where this is one part of a population.
    pub(super) part: Option<Part>,
    pub(super) traces: Option<Vec<u64>>,
    pub(super) parameters: Vec<Vec<f64>>,
    pub(super) rows_per_slab: usize,
    pub(super) pacing_edges: usize,
}

/// What a run takes of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnDevice {
    /// Batches that take turns in the device's memory.
    pub batches: usize,
    /// Fibres of a batch.
    pub fibres_per_batch: usize,
    /// Memory of the device, bytes, roughly.
    pub bytes: u64,
    /// Fewest dispatches: one for each batch and slab.
    pub dispatches: u64,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Features, status, counts.
    pub done: Done,
    /// Comparison with the reference.
    pub agreement: Option<Agreement>,
    /// What of it is beyond the study's limits.
    pub beyond: Vec<Disagreement>,
    /// Seconds from the start to the first step.
    pub setup_s: f64,
    /// Seconds in all.
    pub wall_s: f64,
    /// Seconds that the comparison with the reference took after the last step.
    pub agreement_s: f64,
    /// Bytes of the finished file.
    pub bytes_written: u64,
}

/// Time between two checkpoints, where nothing else is asked for.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);
/// Samples of a slab, bytes: what is held in memory before it is handed over.
const SLAB_BYTES: usize = 64 << 20;
/// Events of a slab that are held in memory before they are handed over, and how many a fibre can have in a millisecond at most.
const EVENTS_OF_A_SLAB: f64 = 2e6;
const MOST_SPIKES_PER_MS: f64 = 0.25;
/// Least number of slabs of a run, so that it can be watched, stopped and resumed.
const SLABS: usize = 32;
/// How many of the states that limit steps are named.
const LIMITS: usize = 3;
/// Rows into which time is cut where nothing is recorded, so that a run can be watched and stopped.
const ROWS_WITHOUT_RECORD: usize = 32;

/// Bytes of memory that a study's fibres take in any case: parameters, states, time keeping. Known before anything is drawn.
pub fn least_memory_bytes(study: &Study, precision: Precision) -> u64 {
    let states = 2 * study.model.states.len() * precision.bytes();
    let clock = size_of::<crate::backend::cpu::Clock>();
    let parameters = 2 * (size_of::<Vec<f64>>() + 8 * study.population.varied.len());
    study
        .population
        .fibres
        .saturating_mul((states + clock + parameters) as u64)
}

/// Chooses, draws the population and lays out the run.
///
/// # Errors
/// If the scheme is unknown or cannot be built for the model.
pub fn prepare(study: &Study, choices: &Choices) -> Result<Batch, PrepareError> {
    prepare_part(study, choices, None)
}

/// The same for one part of the population: `(index, of)`, counted from 1. Its fibres keep the numbers that they have in the whole.
///
/// # Errors
/// As [`prepare`], and if there are fewer fibres than parts.
pub fn prepare_part(
    study: &Study,
    choices: &Choices,
    part: Option<(u64, u64)>,
) -> Result<Batch, PrepareError> {
    let population = study.population.fibres;
    let part = part.map(|(index, of)| Part {
        index,
        of,
        population,
        slabs: 0,
        candidates: 0,
    });
    if let Some(part) = part.filter(|p| p.of > population) {
        return Err(PrepareError::Parts {
            of: part.of,
            population,
        });
    }
    let ids = part.map_or(0..population, |p| p.fibres());
    let by_reference = study.scheme == study::Scheme::Named("reference".to_string());
    let backend = if by_reference {
        Backend::Reference
    } else {
        choices.backend
    };
    let device = match backend {
        Backend::Gpu => Some(open(choices.adapter.as_ref())?),
        Backend::Cpu | Backend::Reference => None,
    };
    let model = &study.model;
    let shared = Arc::new(model.clone());
    let mut pilot = Pilot::of(&shared)?;
    for &(state, scale) in &study.scales {
        if let Some(i) = model.states.iter().position(|&s| s == state) {
            pilot.scales[i] = scale;
        }
    }
    let (scheme, scheme_reason) = match (&study.scheme, backend) {
        (_, Backend::Reference) => (None, "the reference's own method".to_string()),
        (study::Scheme::Named(name), _) => (
            Some(Scheme::from_name(name).ok_or_else(|| PrepareError::Scheme(name.clone()))?),
            "the study's choice".to_string(),
        ),
        (study::Scheme::Auto, _) => {
            let (scheme, reason) = auto(&pilot);
            (Some(scheme), reason)
        }
    };
    let recorded: Vec<VariableId> = study.record.variables.clone();
    let mut observables = recorded.clone();
    for f in &study.features {
        if !observables.contains(&f.of) {
            observables.push(f.of);
        }
    }
    let n_fibres = (ids.end - ids.start) as usize;
    let traces = match &study.record.traces {
        study::Traces::All => None,
        study::Traces::Some(ids) => Some(ids.clone()),
    };
    let precision = if backend == Backend::Reference {
        Precision::F64
    } else {
        choices.precision
    };
    // The slabs of a part are those of the whole: events are ordered slab by slab.
    let n_traces = traces.as_ref().map_or(population as usize, Vec::len);
    let is_spikes = |f: &&FeatureSpec| f.kind == FeatureKind::Spikes;
    let n_spikes = study.features.iter().filter(is_spikes).count();
    // So long a slab has as many events as are held in memory, where all fibres fire as fast as they can.
    let fastest_per_ms = (population as usize * n_spikes) as f64 * MOST_SPIKES_PER_MS;
    let longest_slab_ms = EVENTS_OF_A_SLAB / fastest_per_ms;
    let (sample_every_ms, n_samples, rows_per_slab) = if recorded.is_empty() {
        let rows = (study.duration_ms / longest_slab_ms).ceil() as usize;
        let rows = rows.max(ROWS_WITHOUT_RECORD);
        (study.duration_ms / rows as f64, rows + 1, 1)
    } else {
        let every = study.record.every_ms;
        let n = (study.duration_ms / every + 1e-9).floor() as usize + 1;
        let row_bytes = (n_traces * recorded.len() * precision.bytes()).max(1);
        (
            every,
            n,
            (SLAB_BYTES / row_bytes)
                .min(n.div_ceil(SLABS))
                .min((longest_slab_ms / every) as usize)
                .clamp(1, n),
        )
    };
    let schedule = study.schedule();
    let pacing_edges = schedule.segments.len();
    let varied = study
        .population
        .varied
        .iter()
        .map(|v| match v.target {
            VariedTarget::Literal(id) | VariedTarget::Initial(id) => Some(id),
            VariedTarget::Level => None,
        })
        .collect();
    let own = |traces: Vec<u64>| traces.into_iter().filter(|id| ids.contains(id)).collect();
    let mut batch = Batch {
        experiment: Experiment {
            model: shared,
            varied,
            schedule,
            n_recorded: recorded.len(),
            observables,
            features: study.features.clone(),
            sample_every_ms,
            n_samples,
        },
        backend,
        precision,
        scheme,
        scheme_reason,
        step_ms: study.step_ms.unwrap_or(DEFAULT_STEP_MS),
        tolerance: study
            .tolerance
            .unwrap_or_else(|| default_tolerance(scheme.unwrap_or(AUTO), model)),
        largest_step_ms: study.largest_step_ms.unwrap_or(DEFAULT_LARGEST_STEP_MS),
        pilot,
        n_fibres,
        device,
        checkpoint_every: CHECKPOINT_EVERY,
        from: None,
        threads: choices.threads,
        agreement_fibres: choices.agreement_fibres.unwrap_or(study.agreement.fibres),
        agreement_in_f64: choices.agreement_fibres.is_some() || study.agreement.asked_for,
        agreement_limits: study.agreement,
        first_fibre: ids.start,
        seed: study.population.seed,
        drawn_before: None,
        part: None,
        traces: traces.map(own),
        parameters: ids.clone().map(|id| study.draw(id)).collect(),
        rows_per_slab,
        pacing_edges,
    };
    if let Some(part) = part {
        batch.part = Some(part);
        batch.part = Some(Part {
            slabs: n_samples.div_ceil(rows_per_slab),
            candidates: batch.part_candidates().len(),
            ..part
        });
    }
    Ok(batch)
}

impl Batch {
    /// How fibres are stepped, by any engine of lanes.
    pub fn stepping(&self) -> Stepping {
        Stepping {
            scheme: self.scheme.unwrap_or(AUTO),
            step_ms: self.step_ms,
            tolerance: self.tolerance,
            scales: self.pilot.scales.clone(),
            largest_step_ms: self.largest_step_ms,
        }
    }

    /// Whether every fibre has its own step.
    pub fn is_adaptive(&self) -> bool {
        self.scheme
            .is_none_or(|s| matches!(s.control(), Control::Adaptive { .. }))
    }

    /// Step of a scheme with fixed steps, ms.
    pub fn fixed_step_ms(&self) -> Option<f64> {
        (!self.is_adaptive()).then_some(self.step_ms)
    }

    /// Number of steps of a scheme with fixed steps, settling included; edges between them cost one more each.
    pub fn fixed_steps(&self) -> Option<u64> {
        let segments = &self.experiment.schedule.segments;
        let length = segments.last()?.end - segments.first()?.start;
        Some((crate::protocol::ms(length) / self.fixed_step_ms()?).ceil() as u64)
    }

    /// Tolerance of a scheme that chooses its steps.
    pub fn chosen_tolerance(&self) -> Option<f64> {
        match self.scheme {
            None => Some(Tolerances::default().relative),
            Some(_) => self.is_adaptive().then_some(self.tolerance),
        }
    }

    /// Largest step from time 0 on of a scheme that chooses its steps, ms; `None` for the reference, which has no bound.
    pub fn chosen_largest_step_ms(&self) -> Option<f64> {
        (self.scheme.is_some() && self.is_adaptive()).then_some(self.largest_step_ms)
    }

    /// The arithmetic of a step; `None` for the reference, which has none.
    ///
    /// # Errors
    /// If the scheme cannot be built for the model.
    pub fn step_program(&self) -> Result<Option<StepProgram>, BuildError> {
        if self.scheme.is_none() {
            return Ok(None);
        }
        let cpu = Cpu::<f32>::new(&self.experiment, &self.stepping(), Simd::best())?;
        Ok(Some(cpu.step_program().clone()))
    }

    /// The states that limit most steps, the first three: found with the model's own fibre in the pilot's train. None for a scheme
    /// with fixed steps, nor for the reference.
    ///
    /// # Errors
    /// If the scheme cannot be built for the model.
    pub fn limiting(&self) -> Result<Vec<Limit>, BuildError> {
        let Some(scheme) = self.scheme else {
            return Ok(Vec::new());
        };
        let steps = Steps {
            scheme,
            scales: &self.pilot.scales,
            tolerance: self.tolerance,
            largest_step_ms: self.largest_step_ms,
        };
        let mut limits = limiting(&self.experiment.model, &steps)?;
        limits.truncate(LIMITS);
        Ok(limits)
    }

    /// What the run takes of a device; `None` on the CPU.
    ///
    /// # Errors
    /// If the scheme cannot be built for the model.
    pub fn on_device(&self) -> Result<Option<OnDevice>, BuildError> {
        let Some((device, _)) = &self.device else {
            return Ok(None);
        };
        let (e, stepping, form) = (&self.experiment, self.stepping(), self.summation());
        let most = match self.precision {
            Precision::F32 => gpu::most_fibres::<f32>(&device.adapter, e, &stepping, form)?,
            Precision::F64 => gpu::most_fibres::<f64>(&device.adapter, e, &stepping, form)?,
        };
        let batches = self.n_fibres.div_ceil(most).max(1);
        let fibres_per_batch = self.n_fibres.div_ceil(batches);
        let per_fibre = gpu::saved_bytes_per_fibre(e, self.precision.bytes(), form)
            + (e.varied.len() * self.precision.bytes());
        let n_traces = self.traces.as_ref().map_or(self.n_fibres, Vec::len);
        let samples = self.rows_per_slab * n_traces * e.n_recorded * self.precision.bytes();
        Ok(Some(OnDevice {
            batches,
            fibres_per_batch,
            bytes: (fibres_per_batch * per_fibre + samples) as u64,
            dispatches: (batches * e.n_samples.div_ceil(self.rows_per_slab).max(1)) as u64,
        }))
    }

    /// Memory that the run needs, roughly: the fibres, their parameters, and one slab of rows twice.
    pub fn memory_bytes(&self) -> u64 {
        let n_traces = self.traces.as_ref().map_or(self.n_fibres, Vec::len);
        let rows = match self.backend {
            // In the making, side by side, and waiting to be written.
            Backend::Cpu => 4 * self.rows_per_slab,
            // On the device, read back, and waiting to be written.
            Backend::Gpu => 4 * self.rows_per_slab,
            // A fibre on each thread.
            Backend::Reference => 0,
        };
        let samples = rows * n_traces * self.experiment.n_recorded * self.precision.bytes();
        let parameters = 2 * self.n_fibres * (24 + 8 * self.experiment.varied.len());
        (samples + parameters + self.checkpoint_bytes()) as u64
    }

    /// Name of the scheme.
    pub fn scheme_name(&self) -> &'static str {
        self.scheme.map_or("reference", Scheme::name)
    }

    /// How steps are summed up.
    pub fn summation(&self) -> Summation {
        match (self.backend, self.precision, &self.device) {
            (Backend::Reference, ..) | (_, Precision::F64, _) => Summation::Plain,
            (Backend::Gpu, Precision::F32, Some((_, probe))) => probe.summation(),
            (_, Precision::F32, _) => Summation::Compensated,
        }
    }

    /// The device's driver; `none` where there is no device.
    pub fn driver(&self) -> String {
        self.device.as_ref().map_or("none".to_string(), |(d, _)| {
            format!("{} {}", d.adapter.api, d.adapter.driver)
        })
    }

    /// The device or the processor in words.
    pub fn device(&self) -> String {
        if let Some((device, _)) = &self.device {
            return device.adapter.name.clone();
        }
        let best = match self.backend {
            Backend::Reference => Simd::best().name().to_owned(),
            Backend::Cpu | Backend::Gpu => Engine::best().name(),
        };
        format!("{} {best}", std::env::consts::ARCH)
    }

    /// What the study allows a run to differ from the reference by.
    pub fn agreement_limits(&self) -> &study::Agreement {
        &self.agreement_limits
    }

    /// Which part of a population this is, if it is not the whole.
    pub fn part(&self) -> Option<&Part> {
        self.part.as_ref()
    }

    /// Whether any feature counts spikes.
    pub(super) fn counts_spikes(&self) -> bool {
        let mut features = self.experiment.features.iter();
        features.any(|f| f.kind == FeatureKind::Spikes)
    }

    /// The varied parameters of every fibre.
    pub fn parameters(&self) -> &[Vec<f64>] {
        &self.parameters
    }

    /// Times of the samples, ms; empty where nothing is recorded.
    pub fn time_ms(&self) -> Vec<f64> {
        let e = &self.experiment;
        if e.n_recorded == 0 {
            Vec::new()
        } else {
            (0..e.n_samples)
                .map(|k| k as f64 * e.sample_every_ms)
                .collect()
        }
    }

    /// The rest of a run that was cut off at this point.
    #[must_use]
    pub fn going_on(mut self, from: Point) -> Self {
        self.from = Some(from);
        self
    }

    /// Whether it is the rest of a run.
    pub fn is_going_on(&self) -> bool {
        self.from.is_some()
    }

    /// Runs all fibres into the sink and finishes it.
    ///
    /// # Errors
    /// If the sink cannot take what it is handed, or the scheme cannot be built.
    pub fn run(
        &self,
        out: &mut dyn Sink,
        progress: &(dyn Fn(Progress) + Sync),
        cancel: &AtomicBool,
    ) -> Result<RunReport, RunError> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build()
            .map_err(|e| RunError::Threads(e.to_string()))?;
        threads.install(|| match (self.backend, self.precision) {
            (Backend::Reference, _) => self.run_reference(out, progress, cancel),
            (Backend::Cpu, Precision::F32) => {
                behind(out, |out| self.run_lanes::<f32>(out, progress, cancel))
            }
            (Backend::Cpu, Precision::F64) => {
                behind(out, |out| self.run_lanes::<f64>(out, progress, cancel))
            }
            (Backend::Gpu, Precision::F32) => self.run_device::<f32>(out, progress, cancel),
            (Backend::Gpu, Precision::F64) => self.run_device::<f64>(out, progress, cancel),
        })
    }

    pub(super) fn job(&self) -> Job {
        Job {
            first_fibre: self.first_fibre,
            parameters: self.parameters.clone(),
            traces: self.traces.clone(),
            rows_per_slab: self.rows_per_slab,
            threads: rayon::current_num_threads(),
            checkpoint_every: self.checkpoint_every,
            from: self.from.as_ref().map(|point| point.state.clone()),
        }
    }

    fn run_lanes<T: Lane>(
        &self,
        out: &mut dyn Sink,
        progress: &(dyn Fn(Progress) + Sync),
        cancel: &AtomicBool,
    ) -> Result<RunReport, RunError> {
        let started = Instant::now();
        let fibres = self.n_fibres.div_ceil(rayon::current_num_threads());
        let cpu = Cpu::<T>::for_fibres(&self.experiment, &self.stepping(), Simd::best(), fibres)?;
        let setup_s = started.elapsed().as_secs_f64();
        self.judged(out, (started, setup_s), cancel, &mut |job, out| {
            Ok(drive(&cpu, &self.experiment, job, out, progress, cancel)?)
        })
    }

    fn run_device<T: Lane>(
        &self,
        out: &mut dyn Sink,
        progress: &(dyn Fn(Progress) + Sync),
        cancel: &AtomicBool,
    ) -> Result<RunReport, RunError> {
        let started = Instant::now();
        let (device, _) = self.device.as_ref().ok_or_else(no_device)?;
        let gpu = Gpu::<T>::new(device, &self.experiment, &self.stepping(), self.summation())?;
        let setup_s = started.elapsed().as_secs_f64();
        self.judged(out, (started, setup_s), cancel, &mut |job, out| {
            match drive_gpu(&gpu, &self.experiment, &job, out, progress, cancel) {
                Ok(done) => Ok(done),
                Err(DeviceRunError::Sink(e)) => Err(e.into()),
                Err(DeviceRunError::Gpu(e)) => {
                    // What was handed over stays, marked as interrupted.
                    out.finish(&self.cut_short())?;
                    Err(RunError::Gpu(e))
                }
            }
        })
    }

    /// The outcome of a run that a device did not survive: nothing is known of any fibre's end.
    fn cut_short(&self) -> Outcome {
        let n_columns = self
            .experiment
            .features
            .iter()
            .map(|f| f.column_names().len())
            .sum();
        Outcome {
            features: vec![vec![f64::NAN; self.n_fibres]; n_columns],
            status: vec![FibreStatus::Stopped; self.n_fibres],
            agreement: None,
            interrupted: true,
        }
    }

    fn run_reference(
        &self,
        out: &mut dyn Sink,
        progress: &(dyn Fn(Progress) + Sync),
        cancel: &AtomicBool,
    ) -> Result<RunReport, RunError> {
        let started = Instant::now();
        let reference =
            Reference::new(&self.experiment, Tolerances::default()).map_err(PilotError::from)?;
        let setup_s = started.elapsed().as_secs_f64();
        let done = drive_reference(
            &reference,
            &self.experiment,
            &self.job(),
            out,
            progress,
            cancel,
        )?;
        self.finish(out, done, None, (started, setup_s), 0.0)
    }
}

/// Opens a device and probes it.
fn open(adapter: Option<&gpu::Adapter>) -> Result<(gpu::Device, gpu::Probe), GpuError> {
    let adapter = adapter.ok_or_else(|| GpuError::None("none was chosen".to_string()))?;
    let device = gpu::Device::open(adapter)?;
    let probe = gpu::Probe::run(&device)?;
    probe.check(&device)?;
    Ok((device, probe))
}

fn no_device() -> RunError {
    RunError::Gpu(GpuError::None("none was opened".to_string()))
}
