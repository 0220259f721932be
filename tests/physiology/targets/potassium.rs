//! High potassium in the bath, and blocked pumps.

use crate::study_runs::View;
use crate::target::{ALL, AT_20, AT_37, FAST_37, SLOW_20, Section, TARGET, Target};

const HIGH_K: &str = "06_hyperkalaemia";
const BLOCKED: &str = "07_ouabain";
const CAIRNS: &str = "mouse, 25 °C: Cairns et al 2022, Am J Physiol Cell Physiol";
const SEABROOKE: &str = "mouse EDL, 25 mV in 2 h: Seabrooke et al 1988, Q J Exp Physiol 73:561";

/// High potassium.
pub static HIGH_POTASSIUM: Section = Section {
    title: "High potassium in the bath",
    about: "Potassium outside depolarises, and a depolarised fibre first loses the peak of its action potential and then the \
            action potential: the reason why high potassium paralyses. Published measurements are of mouse muscle at 25 °C, \
            so only the values at 20 °C are marked, but for the slope, which the laws of diffusion set at any temperature.",
    targets: POTASSIUM_TARGETS,
};

/// Blocked pumps.
pub static OUABAIN: Section = Section {
    title: "Blocked pumps",
    about: "With all pumps blocked by ouabain the fibre first loses the small potential that the pump makes by itself, and \
            then, over hours, its ion gradients.",
    targets: OUABAIN_TARGETS,
};

static POTASSIUM_TARGETS: &[Target] = &[
    Target {
        number: 10,
        quantity: "slope of V by potassium, 10 to 40 mM",
        unit: "mV/decade",
        low: 45.0,
        high: 58.0,
        source: "frog: Hodgkin and Horowicz 1959, J Physiol 148:127; Nernst's slope is 58 at 20 °C and 61.5 at 37 °C",
        study: HIGH_K,
        read: |v| (at_k(v, 40.0).get("V") - at_k(v, 10.0).get("V")) / 4f64.log10(),
        ..TARGET
    },
    Target {
        number: 11,
        quantity: "potential after 5 min in 8 mM potassium",
        unit: "mV",
        low: -76.0,
        high: -68.0,
        source: CAIRNS,
        study: HIGH_K,
        judged: AT_20,
        shown: AT_37,
        fitted: AT_20,
        read: |v| at_k(v, 8.0).get("V"),
        ..TARGET
    },
    Target {
        number: 11,
        quantity: "potential after 5 min in 10 mM potassium",
        unit: "mV",
        low: -71.0,
        high: -63.0,
        source: CAIRNS,
        study: HIGH_K,
        judged: AT_20,
        shown: AT_37,
        fitted: AT_20,
        read: |v| at_k(v, 10.0).get("V"),
        ..TARGET
    },
    Target {
        number: 11,
        quantity: "potential after 5 min in 12 mM potassium",
        unit: "mV",
        low: -66.0,
        high: -58.0,
        source: CAIRNS,
        study: HIGH_K,
        judged: AT_20,
        shown: AT_37,
        fitted: AT_20,
        read: |v| at_k(v, 12.0).get("V"),
        ..TARGET
    },
    Target {
        number: 12,
        quantity: "peak of the action potential in 8 mM potassium",
        unit: "mV",
        low: 10.0,
        source: CAIRNS,
        study: HIGH_K,
        judged: AT_20,
        shown: AT_37,
        fitted: AT_20,
        read: |v| at_k(v, 8.0).get("V_peak"),
        ..TARGET
    },
    Target {
        number: 12,
        quantity: "peak of the action potential in 12 mM potassium",
        unit: "mV",
        high: 0.0,
        source: CAIRNS,
        study: HIGH_K,
        judged: AT_20,
        shown: AT_37,
        fitted: AT_20,
        read: |v| at_k(v, 12.0).get("V_peak"),
        ..TARGET
    },
];

static OUABAIN_TARGETS: &[Target] = &[
    Target {
        number: 13,
        quantity: "depolarisation 1 min after ouabain",
        unit: "mV",
        low: 1.0,
        high: 4.0,
        source: SEABROOKE,
        study: BLOCKED,
        fitted: AT_20,
        read: |v| v.get("V_1") - v.get("V_0"),
        ..TARGET
    },
    Target {
        number: 13,
        quantity: "depolarisation 30 min after ouabain",
        unit: "mV",
        low: 10.0,
        high: 25.0,
        source: SEABROOKE,
        study: BLOCKED,
        fitted: AT_20,
        missed: &[(
            ALL,
            "the course is wrong: slow at first, then faster and faster",
        )],
        read: |v| v.get("V_30") - v.get("V_0"),
        ..TARGET
    },
    Target {
        number: 13,
        quantity: "depolarisation 60 min after ouabain",
        unit: "mV",
        low: 10.0,
        high: 25.0,
        source: SEABROOKE,
        study: BLOCKED,
        fitted: AT_20,
        missed: &[(&[SLOW_20, FAST_37], "the same course")],
        read: |v| v.get("V_60") - v.get("V_0"),
        ..TARGET
    },
    Target {
        number: 13,
        quantity: "depolarisation 120 min after ouabain",
        unit: "mV",
        low: 10.0,
        high: 25.0,
        source: SEABROOKE,
        study: BLOCKED,
        fitted: AT_20,
        missed: &[(
            ALL,
            "too fast in the second hour: what holds real fibres back then is not known",
        )],
        read: |v| v.get("V_120") - v.get("V_0"),
        ..TARGET
    },
];

fn at_k<'a>(v: &View<'a>, mm: f64) -> View<'a> {
    v.with(&[("protocol.K", mm)])
}
