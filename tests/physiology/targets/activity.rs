//! Trains, and what follows them.

use crate::study_runs::View;
use crate::target::{ALL, AT_20, AT_37, Section, TARGET, Target};

const FIFTY: &str = "08_train_50_hz";
const EXERCISE: &str = "09_after_exercise";

/// Ten seconds at 50 Hz.
pub const TRAIN: Section = Section {
    title: "Ten seconds at 50 Hz",
    about: "",
    targets: TRAIN_TARGETS,
};

/// After exercise.
pub const AFTER: Section = Section {
    title: "After exercise",
    about: "",
    targets: AFTER_TARGETS,
};

const TRAIN_TARGETS: &[Target] = &[
    Target {
        number: 14,
        quantity: "rise of sodium inside by 10 s at 50 Hz",
        unit: "mM",
        low: 2.0,
        high: 30.0,
        source: "assumption, between net uptakes of 5 uM per action potential and the 38 to 46 mM of number 14 below",
        study: FIFTY,
        read: |v| v.get("Na_end") - v.get("Na_rest"),
        ..TARGET
    },
    Target {
        number: 14,
        quantity: "rise of potassium between the fibres by 10 s at 50 Hz",
        unit: "mM",
        low: 1.0,
        high: 6.0,
        source: "Sejersted and Sjøgaard 2000, Physiol Rev 80:1411",
        study: FIFTY,
        read: |v| v.get("K_e_peak") - v.get("K_e_rest"),
        ..TARGET
    },
    Target {
        number: 14,
        quantity: "action potentials of 500 pulses",
        digits: 0,
        study: FIFTY,
        judged: &[],
        shown: ALL,
        read: |v| v.get("spikes.count"),
        ..TARGET
    },
    Target {
        number: 14,
        quantity: "sodium inside after 10 s at 50 Hz",
        unit: "mM",
        low: 38.0,
        high: 46.0,
        source: "Lindinger, Cairns and Sejersted 2024, J Physiol 602:3469",
        study: FIFTY,
        read: |v| v.get("Na_end"),
        ..TARGET
    },
];

const AFTER_TARGETS: &[Target] = &[
    Target {
        number: 15,
        quantity: "potential 10 s after exercise, from rest",
        unit: "mV",
        low: -9.0,
        high: -1.0,
        source: "Hicks and McComas 1989, J Physiol 414:337 (-11); Lindinger, Cairns and Sejersted 2024 (-7.3)",
        study: EXERCISE,
        judged: AT_37,
        shown: AT_20,
        read: |v| after(v, 0.0, "V_10s"),
        ..TARGET
    },
    Target {
        number: 15,
        quantity: "potential 3 min after exercise, from rest",
        unit: "mV",
        low: -9.0,
        high: -1.0,
        source: "as at 10 s",
        study: EXERCISE,
        judged: AT_37,
        shown: AT_20,
        read: |v| after(v, 0.0, "V_3min"),
        ..TARGET
    },
    Target {
        number: 15,
        quantity: "lowest potential in the 5 min after exercise, from rest",
        unit: "mV",
        low: -9.0,
        high: -1.0,
        source: "as at 10 s",
        study: EXERCISE,
        judged: AT_37,
        shown: AT_20,
        read: |v| after(v, 0.0, "V_low"),
        ..TARGET
    },
    Target {
        number: 15,
        quantity: "the same with ouabain at the end of exercise, 3 min",
        unit: "mV",
        low: 0.0,
        source: "abolished by ouabain: Hicks and McComas 1989",
        study: EXERCISE,
        judged: AT_37,
        shown: AT_20,
        read: |v| after(v, 1.0, "V_3min"),
        ..TARGET
    },
];

fn after(v: &View, ouabain: f64, when: &str) -> f64 {
    let v = v.with(&[("protocol.ouabain", ouabain)]);
    v.get(when) - v.get("V_rest")
}
