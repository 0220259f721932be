//! An experiment compiled for a device: the kernel's pipeline, and the tables that every fibre shares.

use std::marker::PhantomData;
use std::time::Instant;

use crate::backend::lane_plan::LanePlan;
use crate::backend::{Experiment, Stepping};
use crate::ops::Lane;
use crate::protocol::{Drive, Level, Segment};
use crate::scheme::{BuildError, StepProgram, Summation};

use super::device::{Device, GpuError};
use super::features;
use super::form::{CLOCK_WORDS, Form, Places, Real, Residence};
use super::wgsl::{self, WORKGROUP};

/// In the table of levels: a number, no parameter.
const NUMBER: u32 = u32::MAX;
/// In the table of levels: the clamp does not hold.
const NOT_HELD: u32 = u32::MAX - 1;
/// After the last row: a time that never comes.
const NEVER: i64 = i64::MAX;

/// Why an experiment cannot be compiled for a device.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// No step program.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The device.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

/// An experiment compiled for a device, in one precision.
#[derive(Clone, Debug)]
pub struct Gpu<T> {
    pub(super) device: Device,
    pub(super) plan: LanePlan,
    pub(super) places: Places,
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) fill: wgpu::ComputePipeline,
    pub(super) tables: Tables<T>,
    /// Seconds that the driver took to compile.
    pub compile_s: f64,
    most_fibres: Option<usize>,
    lane: PhantomData<T>,
}

/// What all fibres share, as the kernel reads it.
#[derive(Clone, Debug)]
pub(super) struct Tables<T> {
    /// Ticks and indices.
    pub words: Vec<[u32; 2]>,
    pub rows_at: u32,
    pub levels_at: u32,
    /// Four numbers for each segment and driven input.
    pub drives: Vec<T>,
    pub n_segments: u32,
}

/// The text of the kernel for an experiment, as a device would compile it.
///
/// # Errors
/// If the scheme cannot be built for the model.
pub fn wgsl(
    experiment: &Experiment,
    stepping: &Stepping,
    real: Real,
    form: impl Into<Form>,
) -> Result<String, BuildError> {
    let form = form.into();
    let plan = LanePlan::new(experiment, stepping, form.summation)?;
    Ok(wgsl::kernel(&plan, real, form.residence))
}

fn real_of<T: Lane>() -> Real {
    match T::PRECISION {
        "f32" => Real::F32,
        _ => Real::F64,
    }
}

impl<T: Lane> Gpu<T> {
    /// Compiles an experiment for a device, in a form of sums that it can be trusted with: see [`super::Probe::summation`].
    ///
    /// # Errors
    /// If the scheme cannot be built for the model, or the device lacks the precision or refuses the program.
    pub fn new(
        device: &Device,
        experiment: &Experiment,
        stepping: &Stepping,
        form: impl Into<Form>,
    ) -> Result<Self, KernelError> {
        let form = form.into();
        let real = real_of::<T>();
        if real == Real::F64 && !device.adapter.has_f64 {
            return Err(KernelError::Gpu(GpuError::Unsuited {
                device: device.adapter.name.clone(),
                why: "its shaders have no double precision; single precision can be used"
                    .to_string(),
            }));
        }
        let plan = LanePlan::new(experiment, stepping, form.summation)?;
        let text = wgsl::kernel(&plan, real, form.residence);
        let started = Instant::now();
        let module = trusted_module(device, "the kernel", &text)?;
        let pipeline = pipeline(device, "the kernel", &module, &KERNEL_BINDINGS)?;
        let fill = device.module("the filler", include_str!("../../../shaders/fill.wgsl"))?;
        let fill = self::pipeline(device, "the filler", &fill, &FILL_BINDINGS)?;
        Ok(Gpu {
            device: device.clone(),
            places: Places::new(&plan, form.residence),
            tables: Tables::new(&plan),
            plan,
            pipeline,
            fill,
            compile_s: started.elapsed().as_secs_f64(),
            most_fibres: None,
            lane: PhantomData,
        })
    }

    /// The step program that the invocations run.
    pub fn step_program(&self) -> &StepProgram {
        &self.plan.step
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How steps are summed up.
    pub fn summation(&self) -> Summation {
        self.plan.step.summation
    }

    /// Holds no more fibres at a time than this, whatever would fit; for devices that others use too, and for tests.
    pub fn limit_fibres(&mut self, most: Option<usize>) {
        self.most_fibres = most;
    }

    /// Most fibres that the device's buffers hold at a time.
    pub fn most_fibres(&self) -> usize {
        if let Some(most) = self.most_fibres {
            return most.max(1);
        }
        let limits = Bounds {
            n_reals: self.places.n_reals,
            n_words: self.places.n_words,
            n_parameters: self.plan.experiment.varied.len(),
            real_bytes: size_of::<T>(),
        };
        limits.most_fibres(
            self.device
                .adapter
                .most_binding_bytes
                .min(self.device.adapter.most_buffer_bytes),
            self.device.adapter.most_workgroups,
        )
    }

    /// Events that one iteration of one fibre may find, at most: three crossings for each feature that counts them.
    pub(super) fn events_per_iteration(&self) -> usize {
        3 * self
            .plan
            .features
            .iter()
            .filter(|f| f.0.kind == crate::feature::FeatureKind::Spikes)
            .count()
    }
}

/// What decides how many fibres a buffer holds.
struct Bounds {
    n_reals: usize,
    n_words: usize,
    n_parameters: usize,
    real_bytes: usize,
}

impl Bounds {
    fn most_fibres(&self, binding_bytes: u64, workgroups: u32) -> usize {
        let per_fibre = (self.n_reals.max(self.n_parameters) * self.real_bytes)
            .max(self.n_words * 4)
            .max(16);
        // The drives of long protocols lie behind the parameters.
        let bytes = binding_bytes - binding_bytes / 16;
        let by_bytes = (bytes / per_fibre as u64) as usize;
        by_bytes
            .min((workgroups * WORKGROUP) as usize)
            .max(WORKGROUP as usize)
    }
}

/// Most fibres that a device's buffers hold at a time for an experiment, without opening the device.
///
/// # Errors
/// If the scheme cannot be built for the model.
pub fn most_fibres<T: Lane>(
    adapter: &super::Adapter,
    experiment: &Experiment,
    stepping: &Stepping,
    summation: Summation,
) -> Result<usize, BuildError> {
    let plan = LanePlan::new(experiment, stepping, summation)?;
    let places = Places::new(&plan, Residence::Registers);
    let bounds = Bounds {
        n_reals: places.n_reals,
        n_words: places.n_words,
        n_parameters: experiment.varied.len(),
        real_bytes: size_of::<T>(),
    };
    Ok(bounds.most_fibres(
        adapter.most_binding_bytes.min(adapter.most_buffer_bytes),
        adapter.most_workgroups,
    ))
}

/// Bytes of an image, for each fibre.
pub fn saved_bytes_per_fibre(
    experiment: &Experiment,
    real_bytes: usize,
    summation: Summation,
) -> usize {
    let n_states = experiment.model.states.len();
    let (width, n_aside) = match summation {
        Summation::Compensated => (2 * n_states, 0),
        Summation::Quanta => (2 * n_states, n_states),
        Summation::Plain => (n_states, n_states),
    };
    let n_features = experiment.features.len();
    let reals =
        width + 2 * experiment.observables.len() + 1 + features::REALS * n_features + n_aside;
    let words = CLOCK_WORDS + features::WORDS * n_features;
    reals * real_bytes + 4 * words
}

/// The kernel's module, without bounds checks and loop counters of its own.
fn trusted_module(device: &Device, what: &str, text: &str) -> Result<wgpu::ShaderModule, GpuError> {
    device.scoped(what, || {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(what),
            source: wgpu::ShaderSource::Wgsl(text.into()),
        };
        // SAFETY: the checks that are left out guard against indices out of bounds, endless loops and division of integers by
        // zero. Every index into a buffer is a constant row below the rows allotted times the stride plus a fibre below the stride
        // (a number of the whole range or of a list that only the kernel writes), a row below the slab's end, a segment below the
        // last (a fibre on the last edge leaves), or an event's slot that is compared with the length. Every loop counts `work`
        // towards the budget or ends after a fixed number of rounds. No integer is divided but by a constant.
        unsafe {
            device
                .inner
                .create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        }
    })
}

/// How a buffer is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    Uniform,
    Read,
    ReadWrite,
}

/// The kernel's bindings in their order: frame, tables, given, reals, words, samples, events, queue.
const KERNEL_BINDINGS: [Binding; 8] = [
    Binding::Uniform,
    Binding::Read,
    Binding::Read,
    Binding::ReadWrite,
    Binding::ReadWrite,
    Binding::ReadWrite,
    Binding::ReadWrite,
    Binding::ReadWrite,
];

/// The filler's bindings.
const FILL_BINDINGS: [Binding; 2] = [Binding::Uniform, Binding::ReadWrite];

/// A pipeline whose layout does not depend on which buffers a program happens to use.
fn pipeline(
    device: &Device,
    what: &str,
    module: &wgpu::ShaderModule,
    bindings: &[Binding],
) -> Result<wgpu::ComputePipeline, GpuError> {
    let entries: Vec<wgpu::BindGroupLayoutEntry> = bindings
        .iter()
        .enumerate()
        .map(|(k, binding)| wgpu::BindGroupLayoutEntry {
            binding: k as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match binding {
                    Binding::Uniform => wgpu::BufferBindingType::Uniform,
                    Binding::Read => wgpu::BufferBindingType::Storage { read_only: true },
                    Binding::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
                },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    device.scoped(&format!("{what}'s pipeline"), || {
        let group = device
            .inner
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(what),
                entries: &entries,
            });
        let layout = device
            .inner
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(what),
                bind_group_layouts: &[Some(&group)],
                ..Default::default()
            });
        device
            .inner
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(what),
                layout: Some(&layout),
                module,
                entry_point: Some("main"),
                compilation_options: Default::default(),
                cache: None,
            })
    })
}

impl<T: Lane> Tables<T> {
    fn new(plan: &LanePlan) -> Self {
        let segments = &plan.schedule.segments;
        let mut words: Vec<[u32; 2]> = segments.iter().map(|s| ticks(s.start)).collect();
        words.push(ticks(segments.last().map_or(0, |s| s.end)));
        let rows_at = words.len() as u32;
        let row = |k: usize| (k as f64 * plan.ticks_per_row).round() as i64;
        words.extend((0..plan.experiment.n_samples).map(|k| ticks(row(k))));
        words.push(ticks(NEVER));
        let levels_at = words.len() as u32;
        let mut drives = Vec::new();
        for segment in segments {
            for drive in &segment.drives {
                words.push(parameters(drive.as_ref()));
                drives.extend(numbers(drive.as_ref(), segment).map(T::of));
            }
        }
        Tables {
            words,
            rows_at,
            levels_at,
            drives,
            n_segments: segments.len() as u32,
        }
    }
}

/// A time in two words, the low one first.
pub(super) fn ticks(t: i64) -> [u32; 2] {
    [t as u32, (t >> 32) as u32]
}

/// The time in two words.
pub(super) fn of_ticks(low: u32, high: u32) -> i64 {
    ((u64::from(high) << 32) | u64::from(low)) as i64
}

/// Which parameters a drive's levels are.
fn parameters(drive: Option<&Drive>) -> [u32; 2] {
    let of = |level: Level| match level {
        Level::Number(_) => NUMBER,
        Level::Parameter(i) => i as u32,
    };
    drive.map_or([NOT_HELD, NOT_HELD], |d| [of(d.from), of(d.to)])
}

/// The levels that are numbers; the share of the way at the segment's start; its growth per ms.
fn numbers(drive: Option<&Drive>, segment: &Segment) -> [f64; 4] {
    let of = |level: Level| match level {
        Level::Number(x) => x,
        Level::Parameter(_) => 0.0,
    };
    drive.map_or([0.0; 4], |d| {
        let length_ms = crate::protocol::ms(segment.end - segment.start);
        [of(d.from), of(d.to), d.start, (d.end - d.start) / length_ms]
    })
}

/// What the features of a plan have gathered before the first step, feature by feature.
pub(super) fn nothing_gathered(
    plan: &LanePlan,
) -> Vec<([f64; features::REALS], [u32; features::WORDS])> {
    plan.features
        .iter()
        .map(|f| features::start(&f.0))
        .collect()
}
