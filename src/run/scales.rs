//! The size of every state, against which the error of a step is judged, found without asking the user.
//!
//! A pilot runs one fibre with the model's own parameters through ten pulses at 50 Hz. A potential counts 30 mV, a fraction
//! 0.3, anything else the largest magnitude that it reached.

use crate::backend::Experiment;
use crate::backend::cpu::{Cpu, Lanes, Samples, Settings, Simd};
use crate::feature::{FeatureKind, FeatureSpec};
use crate::model::{Bound, Model, VariableId};
use crate::protocol::{Frame, Level, Protocol};
use crate::scheme::{BuildError, Scheme};
use crate::units::Unit;

/// Error of a potential that counts as one, mV: about a quarter of an action potential.
const POTENTIAL_MV: f64 = 30.0;
/// Error of a fraction (a gate, an occupancy) that counts as one.
const FRACTION: f64 = 0.3;
/// Length of the pilot, ms: ten pulses, near the plateau of a tetanus.
const PILOT_MS: f64 = 200.0;

/// What the pilot saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    /// Per state, in its own unit.
    pub sizes: Vec<f64>,
}

/// Runs the pilot.
///
/// # Errors
/// If no step program can be built for the model.
pub fn scales(model: &Model) -> Result<Scales, BuildError> {
    let kinds = [FeatureKind::Max, FeatureKind::Min];
    let features: Vec<FeatureSpec> =
        model.states.iter().flat_map(|&s| kinds.map(|kind| FeatureSpec::new("pilot", kind, s))).collect();
    let experiment = Experiment {
        schedule: pilot_schedule(model),
        varied: Vec::new(),
        observables: model.states.clone(),
        n_recorded: 0,
        features,
        sample_every_ms: PILOT_MS,
        n_samples: 0,
        model: model.clone(),
    };
    let initial = crate::backend::InitialStates::new(&experiment)?.of(&[]);
    let guess: Vec<f64> = model.states.iter().zip(&initial).map(|(&s, y)| size(model, s, y.abs(), (*y, *y))).collect();
    let settings = Settings { scheme: Scheme::Ros3, step_ms: 0.01, tolerance: 0.005, scales: guess, simd: Simd::best() };
    let cpu = Cpu::<f64>::new(&experiment, &settings)?;
    let mut group = cpu.start(0, vec![Vec::new()]);
    let mut lanes = Lanes::new(&cpu, 16);
    let samples = Samples { first_row: 0, n_rows: 0, n_traces: 0, trace_of: &[None], values: &mut [] };
    cpu.advance(&mut group, &mut lanes, samples, true, &mut Vec::new(), &|| false);
    let sizes = model
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
    Ok(Scales { sizes })
}

/// Ten pulses of 0.5 ms at 50 Hz for a model that can be paced; rest for another.
fn pilot_schedule(model: &Model) -> crate::protocol::Schedule {
    Protocol::fifty_hertz().schedule(&Frame {
        duration_ms: PILOT_MS,
        settle_ms: 0.0,
        paced: model.bound(&Bound::Pace).is_some(),
        own: &|id| match model.variable(id).kind {
            crate::model::VariableKind::Literal(number) => Level::Number(number),
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
    let is_potential = factor.is_some() || variable.label.as_deref() == Some("membrane_potential");
    if is_potential {
        return POTENTIAL_MV * 1e-3 * factor.unwrap_or(1e3);
    }
    let pure = variable.unit.is_none_or(|u| u.is_dimensionless());
    if pure && least >= -0.01 && most <= 1.01 {
        return FRACTION;
    }
    if magnitude > 0.0 { magnitude } else { 1.0 }
}
