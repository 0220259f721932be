//! What a run does where a study says nothing: the scheme that `auto` means, and the tolerance.
//!
//! Both follow from the work-precision table (`cargo bench --bench accuracy`, results in `benches/README.md`).

use crate::model::Model;
use crate::scheme::Scheme;

use super::pilot::Pilot;

/// The scheme of `auto`: at equal error the cheapest for every model of the table, stiff or not.
pub const AUTO: Scheme = Scheme::Ros4;

/// Error allowed in a step of a scheme where neither the study nor [`TUNED`] says anything: for a model that nobody has looked at.
///
/// It is what the most demanding model of the table needs, the axon of Hodgkin and Huxley: its pulses are weak, so that the time of
/// a spike hangs on small errors. Cardiac models for which nothing was tuned stay far below the targets with it.
pub fn general_tolerance(scheme: Scheme) -> f64 {
    match scheme {
        Scheme::Ros3 => 0.0005,
        // Schemes with fixed steps have no use for one.
        Scheme::Ros4 | Scheme::Euler | Scheme::RushLarsen => 0.002,
    }
}

/// Tolerances of shipped models that need another, by scheme and name: the largest of the ladder with which 32 varied fibres meet
/// [`crate::run::accuracy::TARGETS`] with something to spare, on every occasion of the table that the model has.
///
/// The pulses of the fibres of 2007 are strong, and nothing fires by itself there: large steps do. `skeletal_fibre` can fire on after a
/// train, and spikes that a fibre makes by itself amplify errors, so it needs the smallest of all. Where every spike has its pulse it
/// would meet the targets at 0.02, for a third of the work.
pub const TUNED: [(Scheme, &str, f64); 5] = [
    (Scheme::Ros3, "shorten_2007_fast", 0.04),
    (Scheme::Ros3, "shorten_2007_slow", 0.04),
    (Scheme::Ros4, "shorten_2007_fast", 0.04),
    (Scheme::Ros4, "shorten_2007_slow", 0.02),
    (Scheme::Ros4, "skeletal_fibre", 0.0005),
];

/// The tolerance of a model's runs where the study names none.
pub fn default_tolerance(scheme: Scheme, model: &Model) -> f64 {
    let tuned = TUNED
        .iter()
        .find(|(of, name, _)| *of == scheme && *name == model.name);
    tuned.map_or_else(|| general_tolerance(scheme), |(_, _, tolerance)| *tolerance)
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
        pilot.fastest_per_ms()
    );
    (AUTO, reason)
}
