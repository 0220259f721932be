//! How little current fires the fibre, by bath, persistent sodium and chloride; and the nerve.

use crate::shape::{first_at_least, nearest};
use crate::study_runs::View;
use crate::target::{ALL, AT_20, TARGET, Target};

const BATH: &str = "10_rheobase";
const PERSISTENT: &str = "11_persistent_sodium";
const CHLORIDE: &str = "12_low_chloride_step";
const TRAIN: &str = "13_low_chloride_train";
const NERVE: &str = "19_nerve";
const SCREENING: &str = "Hille, Woodhull and Shapiro 1975, Phil Trans R Soc B 270:301; Costantin 1968, J Physiol 195:119";
const CANNON: &str = "Cannon, Brown and Corey 1993, Biophys J 65:270";
const LOW_CL: &str = "Adrian and Bryant 1974, J Physiol 240:505";

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        number: 16,
        quantity: "rheobase, step of 300 ms, normal bath",
        unit: "uA/cm^2",
        digits: 1,
        study: BATH,
        judged: &[],
        shown: ALL,
        read: |v| 300.0 * rheobase_in(v, 1.2, 0.55),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "change of rheobase, 0.2 mM magnesium in the bath",
        unit: "%",
        low: -9.0,
        high: -3.0,
        source: SCREENING,
        study: BATH,
        read: |v| change(v, 1.2, 0.2),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "change of rheobase, 2 mM magnesium in the bath",
        unit: "%",
        low: 15.0,
        high: 29.0,
        source: SCREENING,
        study: BATH,
        read: |v| change(v, 1.2, 2.0),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "change of rheobase, 0.8 mM calcium",
        unit: "%",
        study: BATH,
        judged: &[],
        shown: ALL,
        read: |v| change(v, 0.8, 0.55),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "change of rheobase, 0.8 mM calcium, 0.2 mM magnesium",
        unit: "%",
        study: BATH,
        judged: &[],
        shown: ALL,
        read: |v| change(v, 0.8, 0.2),
        ..TARGET
    },
    Target {
        number: 17,
        quantity: "spikes at 1.05 rheobase, persistent sodium 0.001",
        digits: 0,
        low: 1.0,
        high: 1.0,
        source: CANNON,
        study: PERSISTENT,
        fitted: AT_20,
        read: |v| persistent(v, 0.001, 1.05, "spikes.count"),
        ..TARGET
    },
    Target {
        number: 17,
        quantity: "spikes at 1.05 rheobase, persistent sodium 0.0075",
        digits: 0,
        low: 1.0,
        high: 1.0,
        source: CANNON,
        study: PERSISTENT,
        fitted: AT_20,
        read: |v| persistent(v, 0.0075, 1.05, "spikes.count"),
        ..TARGET
    },
    Target {
        number: 17,
        quantity: "spikes at 1.05 rheobase, persistent sodium 0.015",
        digits: 0,
        low: 3.0,
        source: CANNON,
        study: PERSISTENT,
        fitted: AT_20,
        read: |v| persistent(v, 0.015, 1.05, "spikes.count"),
        ..TARGET
    },
    Target {
        number: 17,
        quantity: "spikes at 1.05 rheobase, persistent sodium 0.02",
        digits: 0,
        low: 3.0,
        source: CANNON,
        study: PERSISTENT,
        fitted: AT_20,
        read: |v| persistent(v, 0.02, 1.05, "spikes.count"),
        ..TARGET
    },
    Target {
        number: 17,
        quantity: "late potential at 1.5 rheobase, persistent sodium 0.03",
        unit: "mV",
        low: -50.0,
        high: 0.0,
        source: CANNON,
        study: PERSISTENT,
        read: |v| persistent(v, 0.03, 1.5, "V_late"),
        ..TARGET
    },
    Target {
        number: 18,
        quantity: "rheobase with a tenth of the chloride channels, ratio",
        digits: 2,
        high: 0.5,
        source: LOW_CL,
        study: CHLORIDE,
        read: |v| {
            let at = |fraction| rheobase(&v.with(&[("chloride.fraction", fraction)]));
            at(0.1) / at(1.0)
        },
        ..TARGET
    },
    Target {
        number: 18,
        quantity: "after-depolarisation, 50 ms after 30 pulses, 1/10 chloride",
        unit: "mV",
        low: 5.0,
        source: LOW_CL,
        study: TRAIN,
        read: |v| after_train(v, 0.1, |v| v.get("V50") - v.get("V_rest")),
        ..TARGET
    },
    Target {
        number: 18,
        quantity: "after-depolarisation with healthy chloride channels",
        unit: "mV",
        study: TRAIN,
        judged: &[],
        shown: ALL,
        read: |v| after_train(v, 1.0, |v| v.get("V50") - v.get("V_rest")),
        ..TARGET
    },
    Target {
        number: 18,
        quantity: "action potentials after the train, 1/10 chloride",
        digits: 0,
        study: TRAIN,
        judged: &[],
        shown: ALL,
        read: |v| after_train(v, 0.1, |v| v.get("after.count")),
        ..TARGET
    },
    Target {
        number: 22,
        quantity: "nerve spikes unasked, normal bath",
        digits: 0,
        low: 0.0,
        high: 0.0,
        source: "a healthy motor nerve is silent",
        study: NERVE,
        fitted: AT_20,
        read: |v| nerve(v, "nerve_before.count") + nerve(v, "nerve_after.count"),
        ..TARGET
    },
    Target {
        number: 22,
        quantity: "nerve spikes of 30 pulses at 50 Hz",
        digits: 0,
        low: 30.0,
        high: 30.0,
        source: "one for one: a motor unit follows 50 Hz",
        study: NERVE,
        read: |v| nerve(v, "nerve_train.count"),
        ..TARGET
    },
    Target {
        number: 22,
        quantity: "fibre spikes of 30 pulses at 50 Hz on the nerve",
        digits: 0,
        low: 30.0,
        high: 30.0,
        source: "one for one: a motor unit follows 50 Hz",
        study: NERVE,
        read: |v| nerve(v, "fibre_train.count"),
        ..TARGET
    },
    Target {
        number: 22,
        quantity: "fibre spikes after the train",
        digits: 0,
        low: 0.0,
        high: 0.0,
        source: "a healthy fibre falls silent with its nerve",
        study: NERVE,
        read: |v| nerve(v, "fibre_after.count"),
        ..TARGET
    },
];

/// The least level that fires, in units of the pacing level.
fn rheobase(v: &View) -> f64 {
    first_at_least(&v.curve("protocol.current", "spikes.count"), 1.0)
}

fn rheobase_in(v: &View, ca_mm: f64, mg_mm: f64) -> f64 {
    rheobase(&v.with(&[("bath.Ca", ca_mm), ("bath.Mg", mg_mm)]))
}

/// Change of the rheobase from the normal bath, %.
fn change(v: &View, ca_mm: f64, mg_mm: f64) -> f64 {
    100.0 * (rheobase_in(v, ca_mm, mg_mm) / rheobase_in(v, 1.2, 0.55) - 1.0)
}

/// A feature at so many times the rheobase, for a share of persistent sodium current.
fn persistent(v: &View, share: f64, times: f64, column: &str) -> f64 {
    let v = v.with(&[("sodium.persistent", share)]);
    nearest(&v.curve("protocol.current", column), times * rheobase(&v))
}

fn after_train(v: &View, fraction: f64, read: fn(&View) -> f64) -> f64 {
    read(&v.with(&[("chloride.fraction", fraction)]))
}

fn nerve(v: &View, column: &str) -> f64 {
    v.with(&[("bath.Ca", 1.2), ("bath.Mg", 0.55)]).get(column)
}
