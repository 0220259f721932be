//! What one fibre shows before a run: the size of every state, and how stiff the model is.
//!
//! The pilot runs a fibre with the model's own parameters through ten pulses at 50 Hz. From it come the sizes against which
//! the error of a step is judged (a potential counts 30 mV, a fraction 0.3, anything else the largest magnitude that it
//! reached) and the fastest mode of the Jacobian at rest and in activity.

use crate::backend::cpu::{Cpu, Lanes, Samples, Settings, Simd};
use crate::backend::reference::{Reference, ReferenceError, Tolerances};
use crate::backend::{Experiment, InitialStates};
use crate::feature::{FeatureKind, FeatureSpec};
use crate::model::{Bound, Model, VariableId, VariableKind};
use crate::protocol::{Frame, Level, Protocol, Schedule};
use crate::scheme::{BuildError, Scheme};
use crate::units::Unit;

/// Error of a potential that counts as one, mV: about a quarter of an action potential.
const POTENTIAL_MV: f64 = 30.0;
/// Error of a fraction (a gate, an occupancy) that counts as one.
const FRACTION: f64 = 0.3;
/// A magnitude below this is a zero that somebody computed: no unit in use makes a real one so small.
const SOMETHING: f64 = 1e-15;
/// Length of the pilot, ms: ten pulses, near the plateau of a tetanus.
const PILOT_MS: f64 = 200.0;
/// Instants at which stiffness is looked at, ms: rest, and the upstroke, release and recovery after the pulse at 10 ms.
const LOOK_AT_MS: [usize; 6] = [0, 11, 12, 13, 15, 20];
/// Step of the schemes with fixed steps where a study names none, ms.
pub const DEFAULT_STEP_MS: f64 = 0.01;
/// Error allowed in a step of the adaptive scheme where a study names none.
pub const DEFAULT_TOLERANCE: f64 = 0.02;

/// What the pilot saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Pilot {
    /// Per state, in its own unit: an error of this size counts as one.
    pub scales: Vec<f64>,
    /// Largest magnitude of a decaying mode, per ms; infinite where it could not be found.
    pub fastest_per_ms: f64,
}

/// Why there is no pilot.
#[derive(Debug, thiserror::Error)]
pub enum PilotError {
    /// No step program.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// No reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl Pilot {
    /// Runs the pilot.
    ///
    /// # Errors
    /// If no step program can be built for the model.
    pub fn run(model: &Model) -> Result<Pilot, PilotError> {
        let kinds = [FeatureKind::Max, FeatureKind::Min];
        let features: Vec<FeatureSpec> =
            model.states.iter().flat_map(|&s| kinds.map(|kind| FeatureSpec::new("pilot", kind, s))).collect();
        let experiment = Experiment {
            schedule: schedule(model),
            varied: Vec::new(),
            observables: model.states.clone(),
            n_recorded: model.states.len(),
            features,
            sample_every_ms: 1.0,
            n_samples: PILOT_MS as usize + 1,
            model: model.clone(),
        };
        let n_states = model.states.len();
        let initial = InitialStates::new(&experiment).map_err(BuildError::from)?.of(&[]);
        let guess: Vec<f64> = model.states.iter().zip(&initial).map(|(&s, y)| size(model, s, y.abs(), (*y, *y))).collect();
        let settings = Settings { scheme: Scheme::Ros3, step_ms: DEFAULT_STEP_MS, tolerance: 0.005, scales: guess, simd: Simd::best() };
        let cpu = Cpu::<f64>::new(&experiment, &settings)?;
        let mut group = cpu.start(0, vec![Vec::new()]);
        let mut lanes = Lanes::new(&cpu, 16);
        let mut values = vec![f64::NAN; n_states * experiment.n_samples];
        let samples = Samples { first_row: 0, n_rows: experiment.n_samples, n_traces: 1, trace_of: &[Some(0)], values: &mut values };
        cpu.advance(&mut group, &mut lanes, samples, true, &mut Vec::new(), &|| false);

        let scales = model
            .states
            .iter()
            .enumerate()
            .map(|(i, &s)| {
                let seen = |k: usize| experiment.features[2 * i + k].values(&group.gathered[2 * i + k])[0];
                let (most, least) = (seen(0), seen(1));
                let reached = if most.is_finite() && least.is_finite() { (least, most) } else { (initial[i], initial[i]) };
                size(model, s, reached.0.abs().max(reached.1.abs()), reached)
            })
            .collect();
        let reference = Reference::new(&experiment, Tolerances::default())?;
        let fastest_per_ms = LOOK_AT_MS
            .iter()
            .map(|&row| {
                let state: Vec<f64> = (0..n_states).map(|i| values[i * experiment.n_samples + row]).collect();
                match reference.jacobian_eigenvalues(&state, &[]) {
                    Some(modes) => modes.iter().map(|m| -m.re).fold(0.0, f64::max),
                    None => f64::INFINITY,
                }
            })
            .fold(0.0, f64::max);
        Ok(Pilot { scales, fastest_per_ms })
    }

    /// Whether fixed explicit steps of the default size would be near their limit of stability, 2 over the fastest mode.
    pub fn is_stiff(&self) -> bool {
        self.fastest_per_ms * DEFAULT_STEP_MS > 1.0
    }
}

/// Pulses at 50 Hz for a model that can be paced; rest for another.
fn schedule(model: &Model) -> Schedule {
    Protocol::fifty_hertz().schedule(&Frame {
        duration_ms: PILOT_MS,
        settle_ms: 0.0,
        paced: model.bound(&Bound::Pace).is_some(),
        own: &|id| match model.variable(id).kind {
            VariableKind::Literal(number) => Level::Number(number),
            _ => Level::Number(f64::NAN),
        },
    })
}

fn size(model: &Model, state: VariableId, magnitude: f64, (least, most): (f64, f64)) -> f64 {
    let variable = model.variable(state);
    let volt = Unit::parse("V").ok();
    let factor = match (&variable.unit, volt) {
        (Some(unit), Some(volt)) => volt.factor_to(*unit),
        _ => None,
    };
    if factor.is_some() || variable.label.as_deref() == Some("membrane_potential") {
        return POTENTIAL_MV * 1e-3 * factor.unwrap_or(1e3);
    }
    let pure = variable.unit.is_none_or(|u| u.is_dimensionless());
    if pure && least >= -0.01 && most <= 1.01 {
        return FRACTION;
    }
    if magnitude > SOMETHING { magnitude } else { 1.0 }
}
