//! The fibre at rest: potential, ions, conductances, pump.

use crate::study_runs::View;
use crate::target::{ALL, AT_20, AT_37, SLOW_37, Section, TARGET, Target};

/// pmol per cm^2 and s of a univalent ion in a current of 1 uA/cm^2.
const PMOL_PER_UA: f64 = 1e6 / 96485.0;

/// Potential, ions, stability, conductance.
pub static REST: Section = Section {
    title: "Rest",
    about: "Potential, ions and conductance of a fibre that nothing is done to, after six hours at its own parameters. Drift is \
            what is left of movement over one more hour: it shows that the rest is one, with the leaks of the membrane \
            balanced by the pump, and that the initial values in the model's file are that rest.",
    targets: REST_TARGETS,
};

/// The sodium-potassium pump.
pub static PUMP: Section = Section {
    title: "The sodium-potassium pump at rest",
    about: "What the pump carries at rest, and what it could carry with as much sodium inside as it can bind.",
    targets: PUMP_TARGETS,
};

static REST_TARGETS: &[Target] = &[
    Target {
        number: 1,
        quantity: "resting potential, 4 mM potassium in the bath",
        unit: "mV",
        low: -90.0,
        high: -78.0,
        source: "rat soleus, in vivo, -79.5 ± 4.8: Hicks and McComas 1989, J Physiol 414:337; rat EDL -75 to -85",
        study: "01_rest",
        fitted: AT_20,
        missed: &[(
            AT_37,
            "the potassium equilibrium potential is near -97 mV there, and nothing holds the fibre far above it: the sodium leak grows too little with temperature",
        )],
        read: |v| v.get("V_rest"),
        ..TARGET
    },
    Target {
        number: 2,
        quantity: "sodium inside at rest",
        unit: "mM",
        low: 10.0,
        high: 16.0,
        source: "rat soleus, in situ, 14: Lindinger, Cairns and Sejersted 2024, J Physiol 602:3469",
        study: "01_rest",
        fitted: AT_20,
        read: |v| v.get("Na_rest"),
        ..TARGET
    },
    Target {
        number: 2,
        quantity: "potassium inside at rest",
        unit: "mM",
        low: 140.0,
        high: 155.0,
        source: "as sodium",
        study: "01_rest",
        fitted: AT_20,
        read: |v| v.get("K_rest"),
        ..TARGET
    },
    Target {
        number: 2,
        quantity: "chloride inside at rest",
        unit: "mM",
        study: "01_rest",
        judged: &[],
        shown: ALL,
        read: |v| v.get("Cl_rest"),
        ..TARGET
    },
    Target {
        number: 2,
        quantity: "potassium equilibrium potential at rest",
        unit: "mV",
        study: "01_rest",
        judged: &[],
        shown: ALL,
        read: |v| v.get("E_K"),
        ..TARGET
    },
    Target {
        number: 3,
        quantity: "drift of the potential, from its own rest",
        unit: "mV",
        digits: 4,
        high: 0.1,
        source: "a rest does not move",
        study: "01_rest",
        definition: true,
        read: |v| v.get("V_high") - v.get("V_low"),
        ..TARGET
    },
    Target {
        number: 3,
        quantity: "largest drift of Na, K, Cl inside, from its own rest",
        unit: "%",
        digits: 4,
        high: 0.1,
        source: "a rest does not move",
        study: "01_rest",
        definition: true,
        read: |v| drift(v, "rest"),
        ..TARGET
    },
    Target {
        number: 3,
        quantity: "drift of the potential, from the file's initial values",
        unit: "mV",
        digits: 4,
        high: 0.1,
        source: "a rest does not move",
        study: "02_initial_values",
        judged: AT_20,
        definition: true,
        read: |v| v.get("V_high") - v.get("V_low"),
        ..TARGET
    },
    Target {
        number: 3,
        quantity: "largest drift of Na, K, Cl inside, from the file's values",
        unit: "%",
        digits: 4,
        high: 0.1,
        source: "a rest does not move",
        study: "02_initial_values",
        judged: AT_20,
        definition: true,
        read: |v| drift(v, "start"),
        ..TARGET
    },
    Target {
        number: 9,
        quantity: "conductance at rest",
        unit: "mS/cm^2",
        digits: 2,
        low: 0.9,
        high: 2.5,
        source: "rat: Lorkovic and Tomanek 1977, Am J Physiol 232:C109; at 37 °C: Palade and Barchi 1977, J Gen Physiol 69:325",
        study: "04_conductance",
        fitted: AT_20,
        missed: &[(
            &[SLOW_37],
            "potassium channels grow with temperature, and the slow set has more of them",
        )],
        read: |v| conductance(v, 1.0),
        ..TARGET
    },
    Target {
        number: 9,
        quantity: "share of chloride in it",
        unit: "%",
        low: 75.0,
        high: 90.0,
        source: "as the conductance",
        study: "04_conductance",
        fitted: AT_20,
        read: |v| 100.0 * (1.0 - conductance(v, 0.0) / conductance(v, 1.0)),
        ..TARGET
    },
];

static PUMP_TARGETS: &[Target] = &[
    Target {
        number: 7,
        quantity: "sodium efflux through the pump at rest",
        unit: "pmol/cm^2/s",
        low: 5.0,
        high: 20.0,
        source: "frog 10 to 17: Sjodin and Beaugé 1968, J Gen Physiol 52:389; rat soleus 4.5: Chinet, Clausen and Girardier 1977, J Physiol 265:43",
        study: "05_pump",
        fitted: AT_20,
        read: |v| 3.0 * PMOL_PER_UA * pump(v, "I_rest", "I_tubule_rest"),
        ..TARGET
    },
    Target {
        number: 7,
        quantity: "pump at rest over its capacity",
        unit: "%",
        low: 5.0,
        high: 10.0,
        source: "rest uses a small part of the capacity: Clausen 2003, Physiol Rev 83:1269",
        study: "05_pump",
        missed: &[(
            AT_20,
            "the pump slows down in the cold more than the sodium leak does",
        )],
        read: |v| 100.0 * pump(v, "I_rest", "I_tubule_rest") / pump(v, "I_max", "I_tubule_max"),
        ..TARGET
    },
    Target {
        number: 8,
        quantity: "pump at saturating sodium, net current, both membranes",
        unit: "uA/cm^2",
        low: 4.0,
        high: 8.0,
        source: "man, 300 pmol/g of ouabain sites, 8000 turnovers a minute: Kjeldsen 1990, Int J Sports Med 11:304",
        study: "05_pump",
        judged: AT_37,
        shown: AT_20,
        missed: &[(
            AT_37,
            "the capacity at 20 °C makes sodium inside come out right; its temperature factor then gives a little more than the sites that were counted",
        )],
        read: |v| pump(v, "I_max", "I_tubule_max"),
        ..TARGET
    },
];

/// The largest drift of an ion inside, % of its value at the start.
fn drift(v: &View, start: &str) -> f64 {
    ["Na", "K", "Cl"]
        .iter()
        .map(|ion| {
            let (low, high) = (v.get(&format!("{ion}_low")), v.get(&format!("{ion}_high")));
            100.0 * (high - low) / v.get(&format!("{ion}_{start}"))
        })
        .fold(0.0, f64::max)
}

/// Pump current of both membranes, uA per cm^2 of surface.
fn pump(v: &View, surface: &str, tubule: &str) -> f64 {
    v.get(surface) + v.literal("cell.gamma") * v.get(tubule)
}

/// Current over the change of potential, between the two directions, mS/cm^2.
fn conductance(v: &View, chloride: f64) -> f64 {
    let level = 0.002;
    let v = v.with(&[("protocol.chloride", chloride)]);
    let end = |level: f64| v.with(&[("protocol.current", level)]).get("V_end");
    2.0 * level * v.literal("stimulus.amplitude") / (end(level) - end(-level))
}
