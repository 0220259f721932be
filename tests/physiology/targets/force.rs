//! Release, calcium, force, magnesium inside, fatigue.

use crate::shape::{crosses, half_fall};
use crate::study_runs::View;
use crate::target::{ALL, AT_20, AT_37, TARGET, Target};

const TWITCH: &str = "14_twitch";
const FREQUENCY: &str = "15_force_frequency";
const RELEASE: &str = "16_release_by_magnesium";
const MAGNESIUM: &str = "17_twitch_by_magnesium";
const FATIGUE: &str = "18_fatigue";
const JONA: &str = "Jona et al 2001, Pflugers Arch 441:729";

/// When the pulse comes, ms.
const PULSE: f64 = 10.0;

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        number: 19,
        quantity: "calcium peak in a twitch",
        unit: "uM",
        digits: 2,
        study: TWITCH,
        judged: &[],
        shown: ALL,
        read: |v| v.get("Ca_peak"),
        ..TARGET
    },
    Target {
        number: 19,
        quantity: "time to the calcium peak",
        unit: "ms",
        study: TWITCH,
        judged: &[],
        shown: ALL,
        read: |v| v.get("t_Ca") - PULSE,
        ..TARGET
    },
    Target {
        number: 19,
        quantity: "time to the peak of a twitch",
        unit: "ms",
        study: TWITCH,
        judged: &[],
        shown: ALL,
        read: |v| v.get("t_F") - PULSE,
        ..TARGET
    },
    Target {
        number: 19,
        quantity: "half relaxation time of a twitch",
        unit: "ms",
        study: TWITCH,
        judged: &[],
        shown: ALL,
        read: |v| half_fall(&v.trace("force.F"), 0.0),
        ..TARGET
    },
    Target {
        number: 20,
        quantity: "twitch force over tetanic force",
        digits: 2,
        study: FREQUENCY,
        judged: &[],
        shown: ALL,
        read: |v| v.get("F_1") / tetanus(v),
        ..TARGET
    },
    Target {
        number: 20,
        quantity: "tetanic force, as a fraction of the saturating one",
        digits: 2,
        study: FREQUENCY,
        judged: &[],
        shown: ALL,
        read: tetanus,
        ..TARGET
    },
    Target {
        number: 20,
        quantity: "force at 10 Hz over tetanic force",
        digits: 2,
        study: FREQUENCY,
        judged: &[],
        shown: ALL,
        read: |v| v.get("F_10") / tetanus(v),
        ..TARGET
    },
    Target {
        number: 20,
        quantity: "force at 20 Hz over tetanic force",
        digits: 2,
        study: FREQUENCY,
        judged: &[],
        shown: ALL,
        read: |v| v.get("F_20") / tetanus(v),
        ..TARGET
    },
    Target {
        number: 20,
        quantity: "force at 50 Hz over tetanic force",
        digits: 2,
        study: FREQUENCY,
        judged: &[],
        shown: ALL,
        read: |v| v.get("F_50") / tetanus(v),
        ..TARGET
    },
    Target {
        number: 20,
        quantity: "force at 100 Hz, 200 ms, over a twitch",
        study: FREQUENCY,
        judged: &[],
        shown: ALL,
        read: |v| v.get("F_100_200") / v.get("F_1"),
        ..TARGET
    },
    Target {
        number: 20,
        quantity: "action potentials of 100 pulses at 100 Hz",
        digits: 0,
        study: FREQUENCY,
        judged: &[],
        shown: ALL,
        read: |v| v.get("spikes_100.count"),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "magnesium that halves release, depolarised",
        unit: "uM",
        digits: 0,
        low: 140.0,
        high: 210.0,
        source: JONA,
        study: RELEASE,
        judged: AT_20,
        shown: AT_37,
        read: |v| {
            let v = v.with(&[("protocol.V", 20.0)]);
            let curve = v.curve("protocol.Mg", "O");
            crosses(&curve, curve[0].1 / 2.0)
        },
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "largest open fraction, magnesium 512 uM",
        digits: 3,
        study: RELEASE,
        judged: &[],
        shown: ALL,
        read: |v| open(v, 512.0, 20.0),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "largest open fraction at 100 over that at 512 uM",
        digits: 2,
        low: 1.05,
        source: JONA,
        study: RELEASE,
        read: |v| open(v, 100.0, 20.0) / open(v, 512.0, 20.0),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "shift of half release from 512 to 100 uM",
        unit: "mV",
        high: -1.0,
        source: JONA,
        study: RELEASE,
        read: |v| half_voltage(v, 100.0) - half_voltage(v, 512.0),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "opening in a twitch at 100 over that at 560 uM",
        digits: 2,
        low: 1.05,
        source: JONA,
        study: MAGNESIUM,
        read: |v| at_mg(v, 100.0).get("O_peak") / at_mg(v, 560.0).get("O_peak"),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "calcium of a twitch at 300 over that at 560 uM",
        digits: 2,
        study: MAGNESIUM,
        judged: &[],
        shown: ALL,
        read: |v| at_mg(v, 300.0).get("Ca_peak") / at_mg(v, 560.0).get("Ca_peak"),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "calcium of a twitch at 100 over that at 560 uM",
        digits: 2,
        study: MAGNESIUM,
        judged: &[],
        shown: ALL,
        read: |v| at_mg(v, 100.0).get("Ca_peak") / at_mg(v, 560.0).get("Ca_peak"),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "force of a twitch at 300 over that at 560 uM",
        digits: 2,
        study: MAGNESIUM,
        judged: &[],
        shown: ALL,
        read: |v| at_mg(v, 300.0).get("F_peak") / at_mg(v, 560.0).get("F_peak"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "force of the 10th tetanus over the first",
        digits: 2,
        study: FATIGUE,
        judged: &[],
        shown: ALL,
        read: |v| v.get("F_10") / v.get("F_1"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "force of the 60th tetanus over the first",
        digits: 2,
        study: FATIGUE,
        judged: &[],
        shown: ALL,
        read: |v| v.get("F_60") / v.get("F_1"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "force of the 120th tetanus over the first",
        digits: 2,
        study: FATIGUE,
        judged: &[],
        shown: ALL,
        read: |v| v.get("F_120") / v.get("F_1"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "force of a tetanus after 6 min of rest over the first",
        digits: 2,
        study: FATIGUE,
        judged: &[],
        shown: ALL,
        read: |v| v.get("F_back") / v.get("F_1"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "phosphate after 120 tetani",
        unit: "mM",
        digits: 2,
        study: FATIGUE,
        judged: &[],
        shown: ALL,
        read: |v| v.get("P_120"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "potential after 120 tetani",
        unit: "mV",
        study: FATIGUE,
        judged: &[],
        shown: ALL,
        read: |v| v.get("V_120"),
        ..TARGET
    },
    Target {
        number: 23,
        quantity: "action potentials of 3630 pulses",
        digits: 0,
        study: FATIGUE,
        judged: &[],
        shown: ALL,
        read: |v| v.get("spikes.count"),
        ..TARGET
    },
];

/// The largest force at any frequency.
fn tetanus(v: &View) -> f64 {
    ["F_30", "F_40", "F_50", "F_80", "F_100", "F_150"]
        .iter()
        .map(|column| v.get(column))
        .fold(f64::NAN, f64::max)
}

fn open(v: &View, mg_um: f64, mv: f64) -> f64 {
    v.with(&[("protocol.Mg", mg_um), ("protocol.V", mv)])
        .get("O")
}

/// The potential of half of the largest open fraction.
fn half_voltage(v: &View, mg_um: f64) -> f64 {
    let curve = v.with(&[("protocol.Mg", mg_um)]).curve("protocol.V", "O");
    let most = curve.iter().map(|p| p.1).fold(0.0, f64::max);
    crosses(&curve, most / 2.0)
}

fn at_mg<'a>(v: &View<'a>, um: f64) -> View<'a> {
    v.with(&[("magnesium.set", um)])
}
