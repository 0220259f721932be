//! Trains, and what follows them.

use crate::study_runs::View;
use crate::target::{ALL, AT_20, AT_37, FAST_37, SLOW_20, SLOW_37, Section, TARGET, Target};

const FIFTY: &str = "08_train_50_hz";
const EXERCISE: &str = "09_after_exercise";

/// Ten seconds at 50 Hz.
pub static TRAIN: Section = Section {
    title: "Ten seconds at 50 Hz",
    about: "**The 38 to 46 mM of number 14 cannot be reached, and the model is not adjusted to it.** That rise of sodium by some \
            28 mM was found after 10 s of stimulation whatever its frequency, from 2 Hz on. At 2 Hz these are 20 action \
            potentials, so each would have to let in 1.4 mM, or 1750 pmol through every cm^2 of surface (a fibre of 50 um has \
            0.00125 cm^3 of cytoplasm behind it). To charge the membrane, tubules included (5 uF/cm^2), by the 120 mV of an \
            action potential takes 6 pmol/cm^2; real action potentials need little more, and uptake measured over 1500 \
            pulses comes to about 5 uM for each (below). Two orders of magnitude lie between: whatever that sodium was, it did \
            not come in through action potentials.",
    targets: TRAIN_TARGETS,
};

/// After exercise.
pub static AFTER: Section = Section {
    title: "After exercise",
    about: "After five minutes of exercise a muscle at body temperature is hyperpolarised for many minutes: the pump still \
            runs fast. The effect is gone in the cold and with ouabain, so only the values at 37 °C are marked.",
    targets: AFTER_TARGETS,
};

static TRAIN_TARGETS: &[Target] = &[
    Target {
        number: 14,
        quantity: "rise of sodium inside by 10 s at 50 Hz",
        unit: "mM",
        low: 2.0,
        high: 30.0,
        source: "lower end: 5 uM per pulse (below); upper end: in situ (below)",
        study: FIFTY,
        missed: &[(
            &[SLOW_20, FAST_37, SLOW_37],
            "action potentials are shorter in the warm, and the slow set has fewer sodium channels; meanwhile the pump takes out a part",
        )],
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
        missed: &[(
            &[SLOW_20, FAST_37, SLOW_37],
            "the stimulus is carried by potassium out of that same space, 8 uM with each pulse, which hides the rise",
        )],
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
        missed: &[(ALL, "cannot be reached, see above")],
        read: |v| v.get("Na_end"),
        ..TARGET
    },
    Target {
        number: 14,
        quantity: "sodium taken up per action potential, net",
        unit: "uM",
        low: 2.5,
        high: 7.0,
        source: "rat EDL, 4.6 umol/g by 1500 pulses, about 5 uM: Clausen 2013, J Gen Physiol 142:327",
        study: FIFTY,
        missed: &[(&[SLOW_20, FAST_37, SLOW_37], "as the rise of sodium")],
        read: |v| 1000.0 * (v.get("Na_end") - v.get("Na_rest")) / v.get("spikes.count"),
        ..TARGET
    },
    Target {
        number: 25,
        quantity: "chloride conductance left after 500 action potentials",
        digits: 2,
        low: 0.3,
        high: 0.45,
        source: "rat EDL, falls by 70 % with a constant of 200 action potentials: Pedersen et al 2009, J Gen Physiol 134:309",
        study: FIFTY,
        fitted: ALL,
        read: |v| v.get("r_end"),
        ..TARGET
    },
];

static AFTER_TARGETS: &[Target] = &[
    Target {
        number: 15,
        quantity: "potential 10 s after exercise, from rest",
        unit: "mV",
        low: -9.0,
        high: -1.0,
        source: "rat soleus, -11: Hicks and McComas 1989, J Physiol 414:337; -7.3: Lindinger, Cairns and Sejersted 2024, J Physiol 602:3469",
        study: EXERCISE,
        judged: AT_37,
        shown: AT_20,
        missed: &[(
            AT_37,
            "chloride taken up in the exercise holds the potential near its own equilibrium for a minute or two",
        )],
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
    Target {
        number: 15,
        quantity: "lowest sodium inside after exercise, from rest",
        unit: "%",
        digits: 0,
        low: -45.0,
        high: -15.0,
        source: "rat, -30, for up to 30 min: Nielsen and Clausen 1997, J Physiol 503:571",
        study: EXERCISE,
        judged: AT_37,
        shown: AT_20,
        missed: &[(
            AT_37,
            "what activity does to the pump is too weak: it slows down as soon as sodium is nearly back",
        )],
        read: |v| {
            let v = v.with(&[("protocol.ouabain", 0.0)]);
            100.0 * (v.get("Na_low") / v.get("Na_rest") - 1.0)
        },
        ..TARGET
    },
];

fn after(v: &View, ouabain: f64, when: &str) -> f64 {
    let v = v.with(&[("protocol.ouabain", ouabain)]);
    v.get(when) - v.get("V_rest")
}
