//! The GPU backend: one invocation per fibre, on any device that Vulkan, Metal or DirectX 12 knows.
//!
//! [`Gpu`] is an experiment compiled for a [`Device`]: the step program of the CPU's lanes as WGSL, in the kernel of
//! `shaders/kernel.wgsl`. A [`Population`] lies in the device's memory and is moved by bounded dispatches; features and
//! events are gathered there, samples stream back while the next dispatch runs.

mod device;
mod features;
mod form;
mod image;
mod kernel;
mod population;
mod probe;
mod wgsl;

pub use device::{Adapter, Choice, Device, DeviceKind, GpuError, adapters, choose};
pub use form::{Form, Real, Residence};
pub use image::{Image, Members, Standing};
pub use kernel::{Gpu, KernelError, most_fibres, saved_bytes_per_fibre, wgsl};
pub use population::{Moved, Population, SlabSamples};
pub use probe::Probe;
