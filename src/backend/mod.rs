//! Backends move fibres through time. Each takes an [`Experiment`] and the parameters of its fibres, and gives samples,
//! events and features; none knows of studies, files or command lines.
//!
//! [`mod@reference`] is the judge: double precision, the program as written, an implicit method of variable order and tight
//! tolerance. [`cpu`] is the fast one: SIMD over lanes, each lane a fibre with its own step and its own time.

pub mod cpu;
pub mod gpu;
mod initial;
mod lane_plan;
pub mod loss;
pub mod reference;

pub use initial::InitialStates;
pub use lane_plan::{
    DEFAULT_LARGEST_STEP_MS, LARGEST_HELD_STEP_MS, LARGEST_STEPS_MS, SMALLEST_STEP_MS, Stepping,
};

use std::sync::Arc;

use crate::feature::FeatureSpec;
use crate::model::{Model, VariableId, VariableKind};
use crate::protocol::{Drive, Level, Schedule, Segment, Target};

/// What is to be simulated, the same for every fibre; the fibres differ in their varied parameters only.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The model, shared by all that is made of the experiment.
    pub model: Arc<Model>,
    /// What varies by fibre: literals, states for their initial values, and (`None`) levels of the protocol that are no part
    /// of the model. [`Level::Parameter`] indexes this list.
    pub varied: Vec<Option<VariableId>>,
    /// What is done and when; its first segment starts at minus the settling time.
    pub schedule: Schedule,
    /// Quantities that are recorded, then those that features watch beside them.
    pub observables: Vec<VariableId>,
    /// How many of the observables are recorded.
    pub n_recorded: usize,
    /// What is gathered; each watches one of the observables.
    pub features: Vec<FeatureSpec>,
    /// Times at which recorded quantities are sampled are `k * sample_every_ms`, k = 0, 1, … `n_samples - 1`.
    pub sample_every_ms: f64,
    /// Number of samples.
    pub n_samples: usize,
}

impl Experiment {
    /// The literals that are inputs of the program: varied ones, then those that the protocol drives.
    pub fn free_literals(&self) -> Vec<VariableId> {
        let is_literal =
            |id: &VariableId| matches!(self.model.variable(*id).kind, VariableKind::Literal(_));
        let mut free: Vec<VariableId> = self
            .varied
            .iter()
            .copied()
            .flatten()
            .filter(is_literal)
            .collect();
        for target in &self.schedule.targets {
            if let Target::Parameter(id) = target
                && !free.contains(id)
            {
                free.push(*id);
            }
        }
        free
    }

    /// The value that a literal has in a fibre before any protocol touches it.
    pub fn own_value(&self, literal: VariableId, parameters: &[f64]) -> f64 {
        if let Some(i) = self.varied.iter().position(|&v| v == Some(literal)) {
            return parameters[i];
        }
        match self.model.variable(literal).kind {
            VariableKind::Literal(number) => number,
            _ => f64::NAN,
        }
    }
}

/// An upward crossing of a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    /// When, ms.
    pub time_ms: f64,
    /// Which fibre, by its id.
    pub fibre: u64,
    /// Which of [`Experiment::features`].
    pub feature: usize,
}

/// The number behind a level for one fibre.
pub fn level(level: Level, parameters: &[f64]) -> f64 {
    match level {
        Level::Number(number) => number,
        Level::Parameter(i) => parameters[i],
    }
}

/// Value at the start of the segment and rate per ms of a driven input, for one fibre.
pub fn course(drive: &Drive, segment: &Segment, parameters: &[f64]) -> (f64, f64) {
    let from = level(drive.from, parameters);
    let to = level(drive.to, parameters);
    let length_ms = crate::protocol::ms(segment.end - segment.start);
    let span = to - from;
    (
        from + span * drive.start,
        span * (drive.end - drive.start) / length_ms,
    )
}
