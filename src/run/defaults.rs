//! What a run does where a study says nothing: the scheme that `auto` means, and the tolerance.
//!
//! Both follow from the work-precision table (`cargo bench --bench accuracy`, results in `benches/README.md`).

use crate::model::Model;
use crate::scheme::Scheme;

use super::pilot::Pilot;

/// The scheme of `auto`: at equal error the cheapest for every model of the table, stiff or not.
pub const AUTO: Scheme = Scheme::Ros3;

/// Error allowed in a step of an adaptive scheme where neither the study nor [`TUNED`] says anything.
///
/// It suits a model that nobody has looked at: the Hodgkin-Huxley axon, whose pulses are weak and whose spikes therefore hang on
/// small errors, needs it to hold its potential within 0.1 % of its range.
pub const DEFAULT_TOLERANCE: f64 = 0.001;

/// Tolerances of shipped models, by name: the largest of the ladder with which 32 varied fibres meet
/// [`crate::run::accuracy::TARGETS`]. Their pulses are strong, so that a larger one than the general will do and saves half the steps.
pub const TUNED: [(&str, f64); 3] = [
    ("shorten_2007_fast", 0.02),
    ("shorten_2007_slow", 0.02),
    ("skeletal_fibre", 0.01),
];

/// The tolerance of a model's runs where the study names none.
pub fn default_tolerance(model: &Model) -> f64 {
    let tuned = TUNED.iter().find(|(name, _)| *name == model.name);
    tuned.map_or(DEFAULT_TOLERANCE, |(_, tolerance)| *tolerance)
}

/// What `auto` means for a model, and why, in words.
pub fn auto(pilot: &Pilot) -> (Scheme, String) {
    let word = if pilot.is_stiff() {
        "stiff"
    } else {
        "not stiff"
    };
    let reason = format!(
        "the least work for the same error; the model is {word}: its fastest mode decays at {:.3} per ms",
        pilot.fastest_per_ms
    );
    (AUTO, reason)
}
