//! The GPU backend: one invocation per fibre, on any device that Vulkan, Metal or DirectX 12 knows.

mod device;
#[allow(dead_code, reason = "the kernel that calls it is a work of its own")]
mod features;

pub use device::{Adapter, Choice, Device, DeviceKind, GpuError, adapters, choose};
