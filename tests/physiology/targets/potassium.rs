//! High potassium, blocked pumps, trains and what follows them.

use crate::study_runs::View;
use crate::target::{ALL, AT_20, AT_37, TARGET, Target};

const HIGH_K: &str = "06_hyperkalaemia";
const OUABAIN: &str = "07_ouabain";
const TRAIN: &str = "08_train_50_hz";
const AFTER: &str = "09_after_exercise";
const CAIRNS: &str = "Cairns, Leader, Higgins and Renaud 2022, Am J Physiol Cell";
const SEABROOKE: &str =
    "Seabrooke, Ward and Gordon 1988, Q J Exp Physiol 73:561 (mouse EDL, 25 mV in 2 h)";

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        number: 10,
        quantity: "slope of V by potassium, 10 to 40 mM",
        unit: "mV/decade",
        low: 45.0,
        high: 58.0,
        source: "Nernst's slope is 58 at 20 °C and 61 at 37 °C; Hodgkin and Horowicz 1959, J Physiol 148:127",
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
        fitted: AT_20,
        read: |v| at_k(v, 12.0).get("V_peak"),
        ..TARGET
    },
    Target {
        number: 13,
        quantity: "depolarisation 1 min after ouabain",
        unit: "mV",
        low: 1.0,
        high: 4.0,
        source: SEABROOKE,
        study: OUABAIN,
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
        study: OUABAIN,
        fitted: AT_20,
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
        study: OUABAIN,
        fitted: AT_20,
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
        study: OUABAIN,
        fitted: AT_20,
        read: |v| v.get("V_120") - v.get("V_0"),
        ..TARGET
    },
    Target {
        number: 14,
        quantity: "rise of sodium inside by 10 s at 50 Hz",
        unit: "mM",
        low: 2.0,
        high: 30.0,
        source: "assumption, between net uptakes of 5 uM per action potential and the 38 to 46 mM of number 14 below",
        study: TRAIN,
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
        study: TRAIN,
        read: |v| v.get("K_e_peak") - v.get("K_e_rest"),
        ..TARGET
    },
    Target {
        number: 14,
        quantity: "action potentials of 500 pulses",
        digits: 0,
        study: TRAIN,
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
        study: TRAIN,
        read: |v| v.get("Na_end"),
        ..TARGET
    },
    Target {
        number: 15,
        quantity: "potential 10 s after exercise, from rest",
        unit: "mV",
        low: -9.0,
        high: -1.0,
        source: "Hicks and McComas 1989, J Physiol 414:337 (-11); Lindinger, Cairns and Sejersted 2024 (-7.3)",
        study: AFTER,
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
        study: AFTER,
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
        study: AFTER,
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
        study: AFTER,
        judged: AT_37,
        shown: AT_20,
        read: |v| after(v, 1.0, "V_3min"),
        ..TARGET
    },
];

fn at_k<'a>(v: &View<'a>, mm: f64) -> View<'a> {
    v.with(&[("protocol.K", mm)])
}

fn after(v: &View, ouabain: f64, when: &str) -> f64 {
    let v = v.with(&[("protocol.ouabain", ouabain)]);
    v.get(when) - v.get("V_rest")
}
