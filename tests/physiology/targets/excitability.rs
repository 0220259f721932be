//! How little current fires the fibre, by bath, persistent sodium and chloride; and the nerve.

use crate::shape::{crosses, first_at_least, nearest};
use crate::study_runs::View;
use crate::target::{
    ALL, AT_20, FAST, FAST_20, FAST_37, SLOW, SLOW_20, SLOW_37, Section, TARGET, Target,
};

const SCREENING: &str = "10_screening";
const RHEOBASE: &str = "11_rheobase";
const STEP: &str = "12_persistent_sodium";
const LOW_STEP: &str = "13_low_chloride_step";
const LOW_TRAIN: &str = "14_low_chloride_train";
const TERMINAL: &str = "21_nerve";
const CANNON: &str = "Cannon, Brown and Corey 1993, Biophys J 65:270";
const MCARDLE: &str = "rat: McArdle, Michelson and D'Alonzo 1980, J Gen Physiol 75:655";

/// Calcium and magnesium in the bath.
pub static BATH: Section = Section {
    title: "Calcium and magnesium in the bath",
    about: "Divalent ions screen the charges on the outside of the membrane. With fewer of them channels open earlier, as if \
            the fibre were depolarised by a few mV, and a weaker current fires it.",
    targets: BATH_TARGETS,
};

/// Persistent sodium current.
pub static PERSISTENT: Section = Section {
    title: "Steps of current, and the persistent sodium current",
    about: "A small part of the sodium channels does not inactivate. In some inherited diseases it is larger: then a step of \
            current brings a train of action potentials, or leaves the fibre depolarised. A healthy slow fibre answers a step \
            with one action potential, a fast one with several.",
    targets: STEP_TARGETS,
};

/// Few chloride channels.
pub static CHLORIDE: Section = Section {
    title: "Few chloride channels",
    about: "Most of the conductance at rest is chloride's. Without it (myotonia congenita) little current fires the fibre, \
            and the potassium that a train leaves in the tubules sets off further action potentials.",
    targets: CHLORIDE_TARGETS,
};

/// The motor nerve terminal.
pub static NERVE: Section = Section {
    title: "The motor nerve",
    about: "The terminal of the motor nerve drives the fibre through its endplate. Its conductances were chosen so that it is \
            silent in the normal bath and fires by itself with little calcium and magnesium, so the last rows show a \
            choice, not a finding.",
    targets: NERVE_TARGETS,
};

static BATH_TARGETS: &[Target] = &[
    Target {
        number: 16,
        quantity: "shift of sodium activation from 2 to 0 mM calcium, no magnesium",
        unit: "mV",
        low: -20.0,
        high: -16.0,
        source: "-18: Hille, Woodhull and Shapiro 1975, Phil Trans R Soc B 270:301",
        study: SCREENING,
        judged: &[FAST_20],
        fitted: &[FAST_20],
        read: |v| midpoint(v, "m", 0.0, 0.0) - midpoint(v, "m", 2.0, 0.0),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "shift of sodium activation, 0.2 mM magnesium",
        unit: "mV",
        digits: 2,
        study: SCREENING,
        judged: &[],
        shown: &[FAST_20],
        read: |v| shift(v, "m", 1.2, 0.2),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "shift of sodium activation, 2 mM magnesium",
        unit: "mV",
        digits: 2,
        study: SCREENING,
        judged: &[],
        shown: &[FAST_20],
        read: |v| shift(v, "m", 1.2, 2.0),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "shift of sodium activation, 0.8 mM calcium",
        unit: "mV",
        digits: 2,
        study: SCREENING,
        judged: &[],
        shown: &[FAST_20],
        read: |v| shift(v, "m", 0.8, 0.55),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "shift of potassium activation over that of sodium",
        digits: 2,
        high: 0.99,
        source: "sodium is more sensitive; 4 mV per threefold for potassium: Costantin 1968, J Physiol 195:119",
        study: SCREENING,
        judged: &[FAST_20],
        fitted: &[FAST_20],
        read: |v| shift(v, "n", 1.2, 2.0) / shift(v, "m", 1.2, 2.0),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "rheobase, step of 300 ms, normal bath",
        unit: "uA/cm^2",
        study: RHEOBASE,
        judged: &[],
        shown: ALL,
        read: |v| v.literal("stimulus.amplitude") * rheobase_in(v, 1.2, 0.55),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "change of rheobase, 0.2 mM magnesium",
        unit: "%",
        low: -9.0,
        high: -3.0,
        source: "what a shift of -1 mV is worth; the shift from Hille et al 1975",
        study: RHEOBASE,
        read: |v| change(v, 1.2, 0.2),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "change of rheobase, 2 mM magnesium",
        unit: "%",
        low: 15.0,
        high: 29.0,
        source: "what a shift of 3.2 mV is worth; the shift from Hille et al 1975",
        study: RHEOBASE,
        read: |v| change(v, 1.2, 2.0),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "change of rheobase, 0.8 mM calcium",
        unit: "%",
        study: RHEOBASE,
        judged: &[],
        shown: ALL,
        read: |v| change(v, 0.8, 0.55),
        ..TARGET
    },
    Target {
        number: 16,
        quantity: "change of rheobase, 0.8 mM calcium and 0.2 mM magnesium",
        unit: "%",
        study: RHEOBASE,
        judged: &[],
        shown: ALL,
        read: |v| change(v, 0.8, 0.2),
        ..TARGET
    },
];

static STEP_TARGETS: &[Target] = &[
    Target {
        number: 17,
        quantity: "spikes at 1.05 rheobase, persistent fraction 0.001 (normal)",
        digits: 0,
        low: 1.0,
        high: 1.0,
        source: CANNON,
        study: STEP,
        fitted: AT_20,
        read: |v| step(v, 0.001, 1.05, "spikes.count"),
        ..TARGET
    },
    Target {
        number: 17,
        quantity: "spikes at 1.05 rheobase, persistent fraction 0.0075",
        digits: 0,
        low: 1.0,
        high: 1.0,
        source: CANNON,
        study: STEP,
        fitted: AT_20,
        read: |v| step(v, 0.0075, 1.05, "spikes.count"),
        ..TARGET
    },
    Target {
        number: 17,
        quantity: "spikes at 1.05 rheobase, persistent fraction 0.015",
        digits: 0,
        low: 3.0,
        source: CANNON,
        study: STEP,
        fitted: AT_20,
        missed: &[(
            &[SLOW_20, FAST_37, SLOW_37],
            "trains begin at a larger persistent fraction, in the slow set at 37 °C not at all",
        )],
        read: |v| step(v, 0.015, 1.05, "spikes.count"),
        ..TARGET
    },
    Target {
        number: 17,
        quantity: "spikes at 1.05 rheobase, persistent fraction 0.02",
        digits: 0,
        low: 3.0,
        source: CANNON,
        study: STEP,
        fitted: AT_20,
        missed: &[(
            &[SLOW_20, FAST_37, SLOW_37],
            "trains begin at a larger persistent fraction, in the slow set at 37 °C not at all",
        )],
        read: |v| step(v, 0.02, 1.05, "spikes.count"),
        ..TARGET
    },
    Target {
        number: 17,
        quantity: "late potential at 1.5 rheobase, persistent fraction 0.03",
        unit: "mV",
        low: -50.0,
        high: 0.0,
        source: "stays depolarised: Cannon, Brown and Corey 1993, Biophys J 65:270",
        study: STEP,
        read: |v| step(v, 0.03, 1.5, "V_late"),
        ..TARGET
    },
    Target {
        number: 24,
        quantity: "spikes in a step at 1.5 rheobase, slow set",
        digits: 0,
        low: 1.0,
        high: 1.0,
        source: MCARDLE,
        study: STEP,
        judged: SLOW,
        read: |v| step(v, 0.001, 1.5, "spikes.count"),
        ..TARGET
    },
    Target {
        number: 24,
        quantity: "spikes in a step at 1.5 rheobase, fast set",
        digits: 0,
        low: 2.0,
        source: MCARDLE,
        study: STEP,
        judged: FAST,
        missed: &[(
            FAST,
            "with its normal persistent current the fast set, too, answers a step of any strength with one action potential",
        )],
        read: |v| step(v, 0.001, 1.5, "spikes.count"),
        ..TARGET
    },
];

static CHLORIDE_TARGETS: &[Target] = &[
    Target {
        number: 18,
        quantity: "rheobase with a tenth of the chloride channels, ratio",
        digits: 2,
        high: 0.5,
        source: "goat: Adrian and Bryant 1974, J Physiol 240:505",
        study: LOW_STEP,
        read: |v| {
            let at = |fraction| rheobase(&v.with(&[("chloride.fraction", fraction)]));
            at(0.1) / at(1.0)
        },
        ..TARGET
    },
    Target {
        number: 18,
        quantity: "after-depolarisation 50 ms after 30 pulses, a tenth of the channels",
        unit: "mV",
        low: 5.0,
        source: "Adrian and Bryant 1974, J Physiol 240:505; Dutka et al 2008, J Physiol 586:875",
        study: LOW_TRAIN,
        read: |v| afterwards(v, 0.1),
        ..TARGET
    },
    Target {
        number: 18,
        quantity: "the same with all of them",
        unit: "mV",
        study: LOW_TRAIN,
        judged: &[],
        shown: ALL,
        read: |v| afterwards(v, 1.0),
        ..TARGET
    },
    Target {
        number: 18,
        quantity: "spikes after 30 pulses, all chloride channels",
        digits: 0,
        low: 0.0,
        high: 0.0,
        source: "a healthy fibre falls silent with its last pulse",
        study: LOW_TRAIN,
        read: |v| v.with(&[("chloride.fraction", 1.0)]).get("after.count"),
        ..TARGET
    },
    Target {
        number: 18,
        quantity: "spikes after 30 pulses, a tenth of the channels",
        digits: 0,
        study: LOW_TRAIN,
        judged: &[],
        shown: ALL,
        read: |v| v.with(&[("chloride.fraction", 0.1)]).get("after.count"),
        ..TARGET
    },
    Target {
        number: 18,
        quantity: "potential 0.5 s after 30 pulses, a tenth of the channels",
        unit: "mV",
        study: LOW_TRAIN,
        judged: &[],
        shown: ALL,
        read: |v| v.with(&[("chloride.fraction", 0.1)]).get("V500"),
        ..TARGET
    },
    Target {
        number: 18,
        quantity: "chloride channels left when the fibre no longer falls silent",
        unit: "%",
        digits: 0,
        low: 20.0,
        high: 45.0,
        source: "rat diaphragm in low chloride, myotonia from 38 %: Kurihara, Tanaka and Shioya 1984, doi 10.1111/j.1440-1819.1984.tb00798.x",
        study: LOW_TRAIN,
        missed: &[(
            ALL,
            "in the model the potassium that a train leaves in the tubules is enough for further action potentials only when nearly all chloride channels are gone; in the slow set and in the warm it never is",
        )],
        read: |v| {
            let (spikes, late) = (
                v.curve("chloride.fraction", "after.count"),
                v.curve("chloride.fraction", "V500"),
            );
            let restless = |i: &usize| spikes[*i].1 >= 3.0 || late[*i].1 > -60.0;
            let most = (0..spikes.len()).rev().find(restless);
            most.map_or(f64::NAN, |i| 100.0 * spikes[i].0)
        },
        ..TARGET
    },
];

static NERVE_TARGETS: &[Target] = &[
    Target {
        number: 22,
        quantity: "nerve spikes that nobody asked for, normal bath",
        digits: 0,
        low: 0.0,
        high: 0.0,
        source: "a healthy motor nerve is silent",
        study: TERMINAL,
        fitted: ALL,
        read: |v| nerve(v, "nerve_before.count") + nerve(v, "nerve_after.count"),
        ..TARGET
    },
    Target {
        number: 22,
        quantity: "nerve spikes for 30 pulses at 50 Hz",
        digits: 0,
        low: 30.0,
        high: 30.0,
        source: "one for one; motor units follow 50 Hz",
        study: TERMINAL,
        missed: &[(AT_20, "one more spike follows 10 ms after the second pulse")],
        read: |v| nerve(v, "nerve_train.count"),
        ..TARGET
    },
    Target {
        number: 22,
        quantity: "fibre spikes for 30 pulses at 50 Hz on the nerve",
        digits: 0,
        low: 30.0,
        high: 30.0,
        source: "one for one; motor units follow 50 Hz",
        study: TERMINAL,
        missed: &[(AT_20, "one more spike follows 10 ms after the second pulse")],
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
        study: TERMINAL,
        read: |v| nerve(v, "fibre_after.count"),
        ..TARGET
    },
    Target {
        number: 22,
        quantity: "nerve spikes after the train, 0.2 mM magnesium",
        digits: 0,
        study: TERMINAL,
        judged: &[],
        shown: ALL,
        read: |v| unasked(v, 1.2, 0.2),
        ..TARGET
    },
    Target {
        number: 22,
        quantity: "nerve spikes after the train, 0.8 mM calcium",
        digits: 0,
        study: TERMINAL,
        judged: &[],
        shown: ALL,
        read: |v| unasked(v, 0.8, 0.55),
        ..TARGET
    },
    Target {
        number: 22,
        quantity: "nerve spikes after the train, 0.8 mM calcium, 0.2 mM magnesium",
        digits: 0,
        study: TERMINAL,
        judged: &[],
        shown: ALL,
        read: |v| unasked(v, 0.8, 0.2),
        ..TARGET
    },
];

/// Potential at which a gate is half open, mV.
fn midpoint(v: &View, gate: &str, ca_mm: f64, mg_mm: f64) -> f64 {
    let v = v.with(&[("bath.Ca", ca_mm), ("bath.Mg", mg_mm)]);
    crosses(&v.curve("protocol.V", gate), 0.5)
}

/// Change of the midpoint from the normal bath, mV.
fn shift(v: &View, gate: &str, ca_mm: f64, mg_mm: f64) -> f64 {
    midpoint(v, gate, ca_mm, mg_mm) - midpoint(v, gate, 1.2, 0.55)
}

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

/// A feature at so many times the rheobase, for a persistent fraction of the sodium channels.
fn step(v: &View, fraction: f64, times: f64, column: &str) -> f64 {
    let v = v.with(&[("sodium.persistent", fraction)]);
    nearest(&v.curve("protocol.current", column), times * rheobase(&v))
}

/// Potential 50 ms after the train, from rest, mV.
fn afterwards(v: &View, fraction: f64) -> f64 {
    let v = v.with(&[("chloride.fraction", fraction)]);
    v.get("V50") - v.get("V_rest")
}

fn nerve(v: &View, column: &str) -> f64 {
    v.with(&[("bath.Ca", 1.2), ("bath.Mg", 0.55)]).get(column)
}

fn unasked(v: &View, ca_mm: f64, mg_mm: f64) -> f64 {
    v.with(&[("bath.Ca", ca_mm), ("bath.Mg", mg_mm)])
        .get("nerve_after.count")
}
