//! The table of targets, as data: quantity, range, source, study, how the value is read, and the known misses.

mod excitability;
mod force;
mod potassium;
mod rest;
mod spike;

use crate::target::Target;

/// Every target, in the order of the page.
pub fn all() -> impl Iterator<Item = &'static Target> {
    [
        rest::TARGETS,
        spike::TARGETS,
        potassium::TARGETS,
        excitability::TARGETS,
        force::TARGETS,
    ]
    .into_iter()
    .flatten()
}

/// The studies that the targets need; the long ones first, so that cores end together.
pub fn studies() -> Vec<&'static str> {
    const LONG: [&str; 3] = ["09_after_exercise", "18_fatigue", "15_force_frequency"];
    let mut studies: Vec<&str> = LONG.to_vec();
    for target in all() {
        if !studies.contains(&target.study) {
            studies.push(target.study);
        }
    }
    studies
}
