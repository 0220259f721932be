//! The GPU backend: one invocation per fibre, on any device that Vulkan, Metal or DirectX 12 knows.

mod device;

pub use device::{Adapter, Choice, Device, DeviceKind, GpuError, adapters, choose};
