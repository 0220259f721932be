//! Fatigue by repeated tetani.

use crate::study_runs::View;
use crate::target::{ALL, AT_20, AT_37, FAST_20, FAST_37, SLOW, Section, TARGET, Target};

const TETANI: &str = "19_fatigue_of_tetani";
const UNITS: &str = "20_fatigue_of_motor_units";

/// Fatigue.
pub static FATIGUE: Section = Section {
    title: "Fatigue",
    about: "Force in repeated tetani, by two protocols: short tetani with long pauses, as single fibres are studied, and trains \
            of 330 ms every second, as motor units are told apart.",
    targets: TARGETS,
};

static TARGETS: &[Target] = &[
    Target {
        number: 23,
        quantity: "force of the 10th tetanus over the first, fast",
        digits: 2,
        low: 0.8,
        high: 0.95,
        source: "0.87, Xenopus, 21 °C: Lee, Westerblad and Allen 1991, J Physiol 433:307",
        study: TETANI,
        judged: &[FAST_20],
        fitted: &[FAST_20],
        shown: &[FAST_37],
        missed: &[(
            &[FAST_20],
            "the action potentials of later tetani are lower, since sodium channels inactivate slowly, and open the release channels less",
        )],
        read: |v| v.get("F_10") / v.get("F_1"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "calcium in the 10th tetanus over the first, fast",
        digits: 2,
        low: 0.95,
        high: 1.25,
        source: "1.06 (fura-2 ratio), Xenopus, 21 °C: Lee, Westerblad and Allen 1991, J Physiol 433:307",
        study: TETANI,
        judged: &[FAST_20],
        fitted: &[FAST_20],
        shown: &[FAST_37],
        missed: &[(&[FAST_20], "as the force")],
        read: |v| v.get("Ca_10") / v.get("Ca_1"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "force of the 40th tetanus over the first, fast",
        digits: 2,
        low: 0.75,
        high: 0.95,
        source: "about 0.9, mouse: Westerblad, Dahlstedt and Lännergren 1998, J Physiol 510:269",
        study: TETANI,
        judged: &[FAST_20],
        fitted: &[FAST_20],
        shown: &[FAST_37],
        missed: &[(&[FAST_20], "as the 10th")],
        read: |v| v.get("F_40") / v.get("F_1"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "force of the 40th tetanus over the first, slow",
        digits: 2,
        study: TETANI,
        judged: &[],
        shown: SLOW,
        read: |v| v.get("F_40") / v.get("F_1"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "force after 5 min of rest over the first",
        digits: 2,
        low: 0.8,
        high: 1.1,
        source: "most of it comes back in minutes: Lee, Westerblad and Allen 1991, J Physiol 433:307",
        study: TETANI,
        judged: AT_20,
        fitted: AT_20,
        shown: AT_37,
        read: |v| v.get("F_back") / v.get("F_1"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "phosphate after 40 tetani",
        unit: "mM",
        study: TETANI,
        judged: &[],
        shown: ALL,
        read: |v| v.get("P_end"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "action potentials for 1435 pulses",
        digits: 0,
        study: TETANI,
        judged: &[],
        shown: ALL,
        read: |v| v.get("spikes.count"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "fatigue index: force of the 120th train at 40 Hz over the first, slow",
        digits: 2,
        low: 0.75,
        source: "slow units resist: Hammarberg and Kellerth 1975, Acta Physiol Scand 95:231",
        study: UNITS,
        judged: SLOW,
        fitted: SLOW,
        read: index,
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "the same, fast",
        digits: 2,
        study: UNITS,
        judged: &[],
        shown: &[FAST_20, FAST_37],
        read: index,
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "phosphate after 120 trains at 40 Hz",
        unit: "mM",
        study: UNITS,
        judged: &[],
        shown: ALL,
        read: |v| v.get("P_end"),
        ..TARGET
    },
];

fn index(v: &View) -> f64 {
    v.get("F_120") / v.get("F_1")
}
