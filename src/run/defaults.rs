//! What a run does where a study says nothing: the scheme that `auto` means, and the tolerance.
//!
//! Both follow from the work-precision table (`cargo bench --bench accuracy`, results in `benches/README.md`).

use crate::model::Model;
use crate::scheme::Scheme;

use super::pilot::Pilot;

/// The scheme of `auto`: at equal error the cheapest for every model of the table, stiff or not.
pub const AUTO: Scheme = Scheme::Ros3;

/// Error allowed in a step of a scheme where neither the study nor [`TUNED`] says anything: for a model that nobody has looked at.
///
/// Cardiac and nerve models that were not tuned for it stay ten to a hundred times below the targets with it. They need it where pulses are
/// weak, so that the time of a spike hangs on small errors.
pub const GENERAL_TOLERANCE: f64 = 0.001;

/// Tolerances of shipped models, by scheme and name: the largest of the ladder with which 32 varied fibres meet
/// [`crate::run::accuracy::TARGETS`]. The pulses of the axon are weak, those of the muscle fibres strong.
pub const TUNED: [(Scheme, &str, f64); 4] = [
    (Scheme::Ros3, "hodgkin_huxley_1952", 0.0005),
    (Scheme::Ros3, "shorten_2007_fast", 0.02),
    (Scheme::Ros3, "shorten_2007_slow", 0.02),
    (Scheme::Ros3, "skeletal_fibre", 0.01),
];

/// The tolerance of a model's runs where the study names none.
pub fn default_tolerance(scheme: Scheme, model: &Model) -> f64 {
    let tuned = TUNED
        .iter()
        .find(|(of, name, _)| *of == scheme && *name == model.name);
    tuned.map_or(GENERAL_TOLERANCE, |(_, _, tolerance)| *tolerance)
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
