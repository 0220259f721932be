//! A run: fibres moved through time by a backend, what they give handed on slab by slab.
//!
//! [`prepare`] makes a [`Batch`] of a study and the choices of whoever starts it; [`Batch::run`] runs it into a
//! [`sink::Sink`] and says how it went.

pub mod accuracy;
mod agreement;
mod batch;
mod behind;
mod bench;
mod checkpoint;
mod defaults;
mod device_state;
pub mod difference;
mod driver;
mod error;
mod events;
mod gpu;
mod judge;
mod judged;
mod lanes_state;
mod layout;
mod limiting;
mod one_fibre;
pub mod part;
mod pilot;
mod reference;
pub mod sink;
mod tap;
mod threshold;

pub use agreement::Disagreement;
pub use batch::{
    Backend, Batch, CHECKPOINT_EVERY, Choices, OnDevice, RunReport, least_memory_bytes, prepare,
    prepare_part,
};
pub use bench::{Case, Measure, bench, bench_wgsl, check_protocol};
pub use checkpoint::{Past, Point};
pub use defaults::{AUTO, TUNED, auto, default_tolerance, general_tolerance};
pub use driver::{Done, Job, Progress, drive};
pub use error::{PrepareError, RunError};
pub use gpu::{DeviceRunError, drive_gpu};
pub use judge::JUDGE_TOLERANCE;
pub use judged::Driver;
pub use layout::{ERROR_SCALES, JUDGED_FIBRES, drawn_in, sha256};
pub use limiting::{Limit, Steps, limiting, limiting_json};
pub use one_fibre::Kept;
pub use pilot::{DEFAULT_STEP_MS, Pilot, PilotError};
