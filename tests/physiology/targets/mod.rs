//! The table of targets, as data: quantity, range, source, study, how the value is read, and the known misses.

mod activity;
mod excitability;
mod fatigue;
mod force;
mod fuel;
mod magnesium;
mod potassium;
mod rest;
mod spike;

use crate::target::{Section, Target};

/// Every part of the page, in order.
pub static SECTIONS: &[&Section] = &[
    &rest::REST,
    &rest::PUMP,
    &spike::SPIKE,
    &potassium::HIGH_POTASSIUM,
    &potassium::OUABAIN,
    &activity::TRAIN,
    &activity::AFTER,
    &excitability::BATH,
    &excitability::PERSISTENT,
    &excitability::CHLORIDE,
    &excitability::NERVE,
    &force::CALCIUM,
    &force::FORCE,
    &magnesium::MAGNESIUM,
    &fatigue::FATIGUE,
    &fuel::FUEL,
];

/// Every target, in the order of the page.
pub fn all() -> impl Iterator<Item = &'static Target> {
    SECTIONS.iter().flat_map(|section| section.targets)
}

/// The studies that the targets need; the long ones first, so that all cores end together.
pub fn studies() -> Vec<&'static str> {
    let mut studies = vec![
        "09_after_exercise",
        "20_fatigue_of_motor_units",
        "19_fatigue_of_tetani",
        "12_persistent_sodium",
        "11_rheobase",
    ];
    for target in all() {
        if !studies.contains(&target.study) {
            studies.push(target.study);
        }
    }
    studies
}
