//! Magnesium inside: the release channel and the twitch.

use crate::shape::crosses;
use crate::study_runs::View;
use crate::target::{ALL, AT_20, AT_37, FAST, FAST_20, FAST_37, SLOW, Section, TARGET, Target};

const RELEASE: &str = "17_release_by_magnesium";
const TWITCH: &str = "18_twitch_by_magnesium";
const JONA: &str = "rat: Jóna et al 2001, Pflügers Arch 441:729";

/// Potential at which release is at its most, mV.
const OPEN_MV: f64 = 20.0;

/// Magnesium inside the fibre.
pub static MAGNESIUM: Section = Section {
    title: "Magnesium inside the fibre",
    about: "Magnesium holds the release channel shut, so with less of it more calcium is released; it also takes up sites of \
            parvalbumin that calcium would otherwise find empty. It is part of the pump's fuel, MgATP, which stays in excess.",
    targets: TARGETS,
};

static TARGETS: &[Target] = &[
    Target {
        number: 21,
        quantity: "magnesium that halves release, depolarised",
        unit: "uM",
        digits: 0,
        low: 140.0,
        high: 210.0,
        source: "174; rat: Jóna et al 2001, Pflügers Arch 441:729",
        study: RELEASE,
        judged: AT_20,
        shown: AT_37,
        fitted: AT_20,
        read: |v| {
            let curve = v.with(&[("protocol.V", OPEN_MV)]).curve("protocol.Mg", "O");
            crosses(&curve, curve[0].1 / 2.0)
        },
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "largest open fraction at 512 uM magnesium",
        digits: 3,
        study: RELEASE,
        judged: &[],
        shown: ALL,
        read: |v| open(v, 512.0),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "largest open fraction at 100 over that at 512 uM",
        digits: 2,
        low: 1.05,
        source: JONA,
        study: RELEASE,
        read: |v| open(v, 100.0) / open(v, 512.0),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "shift of half release from 512 to 100 uM",
        unit: "mV",
        high: -0.5,
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
        study: TWITCH,
        read: |v| ratio(v, "O_peak", 100.0),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "calcium of a twitch at 100 over that at 560 uM, fast",
        digits: 2,
        low: 0.8,
        high: 1.3,
        source: "frog, peak about unchanged from 25 to 1000 uM: Jacquemond and Schneider 1992, J Gen Physiol 100:115",
        study: TWITCH,
        judged: &[FAST_20],
        shown: &[FAST_37],
        missed: &[(
            &[FAST_20],
            "parvalbumin that magnesium has left binds the calcium of the twitch; in real fibres the peak hardly changes",
        )],
        read: |v| ratio(v, "Ca_peak", 100.0),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "calcium of a twitch at 100 over that at 560 uM, slow",
        digits: 2,
        study: TWITCH,
        judged: &[],
        shown: SLOW,
        read: |v| ratio(v, "Ca_peak", 100.0),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "calcium of a twitch at 300 over that at 560 uM",
        digits: 2,
        study: TWITCH,
        judged: &[],
        shown: ALL,
        read: |v| ratio(v, "Ca_peak", 300.0),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "force of a twitch at 300 over that at 560 uM",
        digits: 2,
        study: TWITCH,
        judged: &[],
        shown: ALL,
        read: |v| ratio(v, "F_peak", 300.0),
        ..TARGET
    },
    Target {
        number: 21,
        quantity: "fuel of the pump at 300 uM over that at 560 uM",
        digits: 3,
        low: 0.95,
        high: 1.0,
        source: "half activation at 0.40 mM MgATP: J Gen Physiol 2022, article 202113039; 0.1 mM Mg holds half of the ATP",
        study: TWITCH,
        judged: FAST,
        read: |v| ratio(v, "fuel", 300.0),
        ..TARGET
    },
];

fn open(v: &View, mg_um: f64) -> f64 {
    v.with(&[("protocol.Mg", mg_um), ("protocol.V", OPEN_MV)])
        .get("O")
}

/// The potential of half of the largest open fraction, mV.
fn half_voltage(v: &View, mg_um: f64) -> f64 {
    let curve = v.with(&[("protocol.Mg", mg_um)]).curve("protocol.V", "O");
    let most = curve.iter().map(|p| p.1).fold(0.0, f64::max);
    crosses(&curve, most / 2.0)
}

/// A feature of the twitch over that at 560 uM magnesium.
fn ratio(v: &View, column: &str, mg_um: f64) -> f64 {
    let at = |um: f64| v.with(&[("magnesium.set", um)]).get(column);
    at(mg_um) / at(560.0)
}
