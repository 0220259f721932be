//! Why a run cannot be prepared, and why one fails.

use crate::backend::gpu::{GpuError, KernelError};
use crate::scheme::BuildError;

use super::gpu::DeviceRunError;
use super::pilot::PilotError;
use super::sink::SinkError;

/// Why a run cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The model's pilot failed.
    #[error(transparent)]
    Pilot(#[from] PilotError),
    /// No step program.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The scheme's name.
    #[error("there is no scheme '{0}'")]
    Scheme(String),
    /// The device.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// Parts without a fibre.
    #[error(
        "there are {population} fibres: they cannot be dealt into {of} parts\nhelp: {population} parts at most"
    )]
    Parts {
        /// How many parts.
        of: u64,
        /// How many fibres.
        population: u64,
    },
    /// The protocol contradicts itself.
    #[error("the protocol cannot stand: {0}")]
    Protocol(String),
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The result could not be stored.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The programs could not be built.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The device failed.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The threads could not be started.
    #[error("the threads could not be started: {0}")]
    Threads(String),
}

impl From<BuildError> for RunError {
    fn from(e: BuildError) -> Self {
        RunError::Prepare(e.into())
    }
}

impl From<PilotError> for RunError {
    fn from(e: PilotError) -> Self {
        RunError::Prepare(e.into())
    }
}

impl From<KernelError> for RunError {
    fn from(e: KernelError) -> Self {
        match e {
            KernelError::Build(e) => e.into(),
            KernelError::Gpu(e) => e.into(),
        }
    }
}

impl From<DeviceRunError> for RunError {
    fn from(e: DeviceRunError) -> Self {
        match e {
            DeviceRunError::Gpu(e) => e.into(),
            DeviceRunError::Sink(e) => e.into(),
        }
    }
}
