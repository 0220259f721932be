//! Finding GPUs and opening one: what can run, why what is there cannot, and how failures are told.
//!
//! Every call that can fail on the device returns a [`GpuError`]; what the driver reports out of band (a lost device, an
//! error outside any call) is kept and given by the next call.

use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Storage buffers that the kernel binds.
const STORAGE_BUFFERS: u32 = 7;
/// How long one wait for the device may take: dispatches are held to a tenth of a second, a first compilation to minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// What kind of device an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the machine's memory.
    Integrated,
    /// A GPU seen through a virtual machine.
    Virtual,
    /// A driver that computes on the CPU. Never taken unless asked for: it is there for tests.
    Software,
    /// The driver does not say.
    Unknown,
}

impl DeviceKind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            DeviceKind::Discrete => "discrete GPU",
            DeviceKind::Integrated => "integrated GPU",
            DeviceKind::Virtual => "virtual GPU",
            DeviceKind::Software => "software",
            DeviceKind::Unknown => "unknown kind",
        }
    }

    /// Better kinds first.
    fn rank(self) -> u8 {
        match self {
            DeviceKind::Discrete => 0,
            DeviceKind::Integrated => 1,
            DeviceKind::Virtual => 2,
            DeviceKind::Unknown => 3,
            DeviceKind::Software => 4,
        }
    }
}

/// A device that a driver offers.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Its place in the list, as `--device` takes it.
    pub number: usize,
    /// The device's name.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// The interface through which it is reached: `vulkan`, `metal`, `dx12`.
    pub api: String,
    /// The driver and its version; empty where the interface does not tell.
    pub driver: String,
    /// Whether its shaders compute in double precision.
    pub has_f64: bool,
    /// Largest buffer that a shader can see, bytes.
    pub most_binding_bytes: u64,
    /// Largest buffer, bytes.
    pub most_buffer_bytes: u64,
    /// Most workgroups in a dispatch.
    pub most_workgroups: u32,
    /// Fewest and most invocations that run in lockstep.
    pub subgroup: (u32, u32),
    /// Why it cannot run our kernels, if it cannot.
    pub unusable: Option<String>,
    inner: wgpu::Adapter,
}

/// Which device is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The best that is no software.
    Real,
    /// The best there is, software if nothing better.
    Best,
    /// The one with this number, or with this in its name.
    Named(String),
}

/// Why there is no device, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// No driver offers a device of the wanted kind.
    #[error("there is no GPU that can be used: {0}")]
    None(String),
    /// The number or name fits no device, or several.
    #[error("{0}")]
    Choice(String),
    /// The device cannot do what is asked of it.
    #[error("'{device}' cannot run this: {why}")]
    Unsuited {
        /// Name of the device.
        device: String,
        /// What is missing.
        why: String,
    },
    /// The device's memory does not suffice.
    #[error("the memory of '{device}' does not suffice: {what}")]
    Memory {
        /// Name of the device.
        device: String,
        /// What was being allotted.
        what: String,
    },
    /// The device stopped, was reset or was taken away.
    #[error("'{device}' was lost: {why}")]
    Lost {
        /// Name of the device.
        device: String,
        /// What the driver said.
        why: String,
    },
    /// The device did not answer in time.
    #[error("'{device}' has not answered for {seconds} s")]
    Timeout {
        /// Name of the device.
        device: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The driver refused our program or a call: a fault of ours or of the driver.
    #[error("'{device}' refused: {what}")]
    Refused {
        /// Name of the device.
        device: String,
        /// What the driver said.
        what: String,
    },
}

/// Every device that a driver offers here, best first. Empty where there is no loader or no driver.
pub fn adapters() -> Vec<Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends &= wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    descriptor.flags = wgpu::InstanceFlags::empty();
    let backends = descriptor.backends;
    let instance = wgpu::Instance::new(descriptor);
    let mut found: Vec<Adapter> = pollster::block_on(instance.enumerate_adapters(backends))
        .into_iter()
        .map(describe)
        .collect();
    found.sort_by_key(|a| (a.unusable.is_some(), a.kind.rank()));
    for (number, adapter) in found.iter_mut().enumerate() {
        adapter.number = number;
    }
    found
}

fn describe(inner: wgpu::Adapter) -> Adapter {
    let info = inner.get_info();
    let limits = inner.limits();
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => DeviceKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => DeviceKind::Integrated,
        wgpu::DeviceType::VirtualGpu => DeviceKind::Virtual,
        wgpu::DeviceType::Cpu => DeviceKind::Software,
        wgpu::DeviceType::Other => DeviceKind::Unknown,
    };
    let compute = inner
        .get_downlevel_capabilities()
        .flags
        .contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
    let unusable = if !compute {
        Some("it has no compute shaders".to_string())
    } else if limits.max_storage_buffers_per_shader_stage < STORAGE_BUFFERS {
        Some(format!(
            "its shaders see {} buffers, {STORAGE_BUFFERS} are needed",
            limits.max_storage_buffers_per_shader_stage
        ))
    } else {
        None
    };
    Adapter {
        number: 0,
        name: info.name,
        kind,
        api: info.backend.to_str().to_string(),
        driver: format!("{} {}", info.driver, info.driver_info)
            .trim()
            .to_string(),
        // The functions of doubles reach their bits through 64-bit integers.
        has_f64: inner
            .features()
            .contains(wgpu::Features::SHADER_F64 | wgpu::Features::SHADER_INT64),
        // Indices are 32-bit and some drivers count bytes in 31.
        most_binding_bytes: limits.max_storage_buffer_binding_size.min(1 << 31) & !3,
        most_buffer_bytes: limits.max_buffer_size,
        most_workgroups: limits.max_compute_workgroups_per_dimension,
        subgroup: (info.subgroup_min_size, info.subgroup_max_size),
        unusable,
        inner,
    }
}

/// Picks a device.
///
/// # Errors
/// If none fits, or a name fits several.
pub fn choose<'a>(adapters: &'a [Adapter], choice: &Choice) -> Result<&'a Adapter, GpuError> {
    let usable = |a: &&Adapter| a.unusable.is_none();
    match choice {
        Choice::Real => adapters
            .iter()
            .find(|a| usable(a) && a.kind != DeviceKind::Software)
            .ok_or_else(|| GpuError::None(why_none(adapters))),
        Choice::Best => adapters
            .iter()
            .find(usable)
            .ok_or_else(|| GpuError::None(why_none(adapters))),
        Choice::Named(name) => {
            let wanted = name.to_lowercase();
            let fits: Vec<&Adapter> = match name.parse::<usize>() {
                Ok(number) => adapters.iter().filter(|a| a.number == number).collect(),
                Err(_) => adapters
                    .iter()
                    .filter(|a| a.name.to_lowercase().contains(&wanted))
                    .collect(),
            };
            let list = || {
                adapters
                    .iter()
                    .map(|a| format!("{} '{}' ({})", a.number, a.name, a.api))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            match fits[..] {
                [] if adapters.is_empty() => Err(GpuError::None(why_none(adapters))),
                [] => Err(GpuError::Choice(format!(
                    "no device is called '{name}'; there are: {}",
                    list()
                ))),
                [one] => match &one.unusable {
                    None => Ok(one),
                    Some(why) => Err(GpuError::Unsuited {
                        device: one.name.clone(),
                        why: why.clone(),
                    }),
                },
                _ => Err(GpuError::Choice(format!(
                    "several devices are called '{name}': {}; name one by its number",
                    list()
                ))),
            }
        }
    }
}

fn why_none(adapters: &[Adapter]) -> String {
    if adapters.is_empty() {
        return "no Vulkan, Metal or DirectX 12 driver offers one".to_string();
    }
    adapters
        .iter()
        .map(|a| match &a.unusable {
            Some(why) => format!("'{}': {why}", a.name),
            None => format!("'{}' is software", a.name),
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// An open device.
#[derive(Clone, Debug)]
pub struct Device {
    /// What it is.
    pub adapter: Adapter,
    pub(super) inner: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    fault: Arc<Mutex<Option<GpuError>>>,
}

impl Device {
    /// Opens a device with all that its driver allows.
    ///
    /// # Errors
    /// If the driver refuses.
    pub fn open(adapter: &Adapter) -> Result<Device, GpuError> {
        let limits = adapter.inner.limits();
        let features = if adapter.has_f64 {
            wgpu::Features::SHADER_F64 | wgpu::Features::SHADER_INT64
        } else {
            wgpu::Features::empty()
        };
        let request = adapter.inner.request_device(&wgpu::DeviceDescriptor {
            label: Some("sarcolemma"),
            required_features: features,
            required_limits: limits,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        });
        let (inner, queue) = pollster::block_on(request).map_err(|e| GpuError::Refused {
            device: adapter.name.clone(),
            what: e.to_string(),
        })?;
        let fault = Arc::new(Mutex::new(None));
        let (name, kept) = (adapter.name.clone(), Arc::clone(&fault));
        inner.set_device_lost_callback(move |reason, message| {
            let why = match (reason, message.is_empty()) {
                (wgpu::DeviceLostReason::Destroyed, true) => "it was withdrawn".to_string(),
                (_, true) => "the driver gives no reason".to_string(),
                (_, false) => message,
            };
            keep(
                &kept,
                GpuError::Lost {
                    device: name.clone(),
                    why,
                },
            );
        });
        let (name, kept) = (adapter.name.clone(), Arc::clone(&fault));
        inner.on_uncaptured_error(Arc::new(move |e: wgpu::Error| {
            keep(&kept, of_wgpu(&name, "a call", e));
        }));
        Ok(Device {
            adapter: adapter.clone(),
            inner,
            queue,
            fault,
        })
    }

    /// Gives the device up, as if it were taken away: every later call fails. For tests of what happens then.
    pub fn withdraw(&self) {
        self.inner.destroy();
    }

    /// What went wrong since the device was opened.
    ///
    /// # Errors
    /// With the first fault, if there was one.
    pub fn check(&self) -> Result<(), GpuError> {
        // That a device is lost is told only to those who ask.
        let _ = self.inner.poll(wgpu::PollType::Poll);
        let fault = self.fault.lock().unwrap_or_else(|e| e.into_inner());
        fault.clone().map_or(Ok(()), Err)
    }

    /// A buffer of zeros in the device's memory. `what` names it in messages.
    ///
    /// # Errors
    /// If it is too large for the device or its memory is full.
    pub fn buffer(
        &self,
        what: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, GpuError> {
        let limit = if usage.contains(wgpu::BufferUsages::STORAGE) {
            self.adapter.most_binding_bytes
        } else {
            self.adapter.most_buffer_bytes
        };
        if bytes > limit {
            return Err(GpuError::Memory {
                device: self.adapter.name.clone(),
                what: format!("{what} of {bytes} bytes, one buffer holds {limit}"),
            });
        }
        self.scoped(&format!("{what} of {bytes} bytes"), || {
            self.inner.create_buffer(&wgpu::BufferDescriptor {
                label: Some(what),
                size: bytes.max(16).next_multiple_of(16),
                usage,
                mapped_at_creation: false,
            })
        })
    }

    /// Runs a creating call and gives what the driver says against it.
    pub(super) fn scoped<R>(&self, what: &str, call: impl FnOnce() -> R) -> Result<R, GpuError> {
        let memory = self.inner.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.inner.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = self.inner.push_error_scope(wgpu::ErrorFilter::Internal);
        let result = call();
        let errors = [internal.pop(), validation.pop(), memory.pop()].map(pollster::block_on);
        self.check()?;
        match errors.into_iter().flatten().next() {
            None => Ok(result),
            Some(e) => Err(of_wgpu(&self.adapter.name, what, e)),
        }
    }

    /// Waits until everything submitted so far is done.
    ///
    /// # Errors
    /// If the device was lost or does not answer.
    pub fn wait(&self) -> Result<(), GpuError> {
        self.wait_for(None)
    }

    pub(super) fn wait_for(
        &self,
        submission: Option<wgpu::SubmissionIndex>,
    ) -> Result<(), GpuError> {
        let waited = self.inner.poll(wgpu::PollType::Wait {
            submission_index: submission,
            timeout: Some(LONGEST_WAIT),
        });
        self.check()?;
        waited.map(|_| ()).map_err(|e| match e {
            wgpu::PollError::Timeout => GpuError::Timeout {
                device: self.adapter.name.clone(),
                seconds: LONGEST_WAIT.as_secs(),
            },
            other => GpuError::Refused {
                device: self.adapter.name.clone(),
                what: other.to_string(),
            },
        })
    }

    /// The bytes of a buffer that can be mapped for reading, after all submitted work.
    ///
    /// # Errors
    /// If the device was lost or does not answer.
    pub(super) fn mapped(
        &self,
        buffer: &wgpu::Buffer,
        bytes: u64,
        read: impl FnOnce(&[u8]),
    ) -> Result<(), GpuError> {
        let bytes = bytes.next_multiple_of(8);
        let lost = |why: String| GpuError::Lost {
            device: self.adapter.name.clone(),
            why,
        };
        if bytes == 0 {
            read(&[]);
            return self.check();
        }
        let answer = Arc::new(Mutex::new(None));
        let told = Arc::clone(&answer);
        buffer.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
            *told.lock().unwrap_or_else(|e| e.into_inner()) = Some(result);
        });
        self.wait()?;
        let result = answer.lock().unwrap_or_else(|e| e.into_inner()).take();
        match result {
            Some(Ok(())) => {}
            Some(Err(e)) => return Err(lost(e.to_string())),
            None => return Err(lost("a buffer could not be read back".to_string())),
        }
        {
            let view = buffer
                .get_mapped_range(..bytes)
                .map_err(|e| lost(e.to_string()))?;
            read(&view);
        }
        buffer.unmap();
        self.check()
    }

    /// Compiles a shader and runs its entry point `main` once: buffer `k` is bound at `@group(0) @binding(k)` as
    /// read-write storage, and holds on return what the shader left in it. For probes and tests.
    ///
    /// # Errors
    /// If the device refuses, is lost or does not answer.
    pub fn run_once(
        &self,
        shader: &str,
        buffers: &mut [Vec<u8>],
        workgroups: u32,
    ) -> Result<(), GpuError> {
        use wgpu::BufferUsages as Usage;
        let module = self.module("a probe", shader)?;
        let pipeline = self.scoped("a probe's pipeline", || {
            self.inner
                .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some("probe"),
                    layout: None,
                    module: &module,
                    entry_point: Some("main"),
                    compilation_options: Default::default(),
                    cache: None,
                })
        })?;
        let mut on_device = Vec::new();
        for bytes in buffers.iter() {
            let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
            let buffer = self.buffer("a probe's data", bytes.len() as u64, usage)?;
            self.queue.write_buffer(&buffer, 0, bytes);
            on_device.push(buffer);
        }
        let entries: Vec<wgpu::BindGroupEntry<'_>> = on_device
            .iter()
            .enumerate()
            .map(|(k, b)| wgpu::BindGroupEntry {
                binding: k as u32,
                resource: b.as_entire_binding(),
            })
            .collect();
        let group = self.scoped("a probe's buffers", || {
            self.inner.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("probe"),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &entries,
            })
        })?;
        let mut encoder = self.inner.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(workgroups, 1, 1);
        }
        let mut staged = Vec::new();
        for buffer in &on_device {
            let copy = self.buffer(
                "a probe's result",
                buffer.size(),
                Usage::MAP_READ | Usage::COPY_DST,
            )?;
            encoder.copy_buffer_to_buffer(buffer, 0, &copy, 0, buffer.size());
            staged.push(copy);
        }
        self.queue.submit([encoder.finish()]);
        for (copy, bytes) in staged.iter().zip(buffers) {
            self.mapped(copy, bytes.len() as u64, |view| {
                let n = bytes.len();
                bytes.copy_from_slice(&view[..n]);
            })?;
        }
        Ok(())
    }

    /// A checked shader module.
    pub(super) fn module(&self, what: &str, wgsl: &str) -> Result<wgpu::ShaderModule, GpuError> {
        self.scoped(what, || {
            self.inner
                .create_shader_module(wgpu::ShaderModuleDescriptor {
                    label: Some(what),
                    source: wgpu::ShaderSource::Wgsl(wgsl.into()),
                })
        })
    }
}

fn keep(slot: &Mutex<Option<GpuError>>, fault: GpuError) {
    let mut slot = slot.lock().unwrap_or_else(|e| e.into_inner());
    // The first fault explains the others; that the device is gone explains all.
    if slot.is_none() || matches!(fault, GpuError::Lost { .. }) {
        *slot = Some(fault);
    }
}

fn of_wgpu(device: &str, what: &str, error: wgpu::Error) -> GpuError {
    let device = device.to_string();
    match error {
        wgpu::Error::OutOfMemory { .. } => GpuError::Memory {
            device,
            what: what.to_string(),
        },
        other => GpuError::Refused {
            device,
            what: format!("{what}: {other}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_devices_the_reason_is_told() {
        let none = choose(&[], &Choice::Real).expect_err("there is none");
        assert!(
            none.to_string()
                .contains("no Vulkan, Metal or DirectX 12 driver")
        );
        let named = choose(&[], &Choice::Named("A".into())).expect_err("there is none");
        assert!(matches!(named, GpuError::None(_)));
    }
}
