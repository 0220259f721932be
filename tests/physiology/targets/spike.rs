//! The action potential and what it leaves in the tubules.

use crate::shape::{steepest, width_at_half};
use crate::study_runs::View;
use crate::target::{ALL, AT_20, AT_37, FAST, FAST_20, FAST_37, SLOW, Section, TARGET, Target};

const STUDY: &str = "03_action_potential";
const MCARDLE: &str =
    "rat EDL and soleus: McArdle, Michelson and D'Alonzo 1980, J Gen Physiol 75:655";
/// When the stimulus ends, ms.
const STIMULUS_END_MS: f64 = 10.35;

/// The action potential.
pub static SPIKE: Section = Section {
    title: "The action potential",
    about: "One action potential after a short pulse. Real ones travel: part of the current that charges the next piece of \
            membrane is lost there, so a travelling action potential rises less steeply than that of a patch alone. A fast fibre rests at a more negative potential than a slow one, and its action potential is higher, steeper and shorter.",
    targets: TARGETS,
};

static TARGETS: &[Target] = &[
    Target {
        number: 4,
        quantity: "amplitude of the action potential",
        unit: "mV",
        low: 95.0,
        high: 125.0,
        source: "rat soleus, in vivo, 82 to 97: Hicks and McComas 1989, J Physiol 414:337; upper end for a patch alone",
        study: STUDY,
        fitted: AT_20,
        read: |v| v.get("V_peak") - v.get("V_rest"),
        ..TARGET
    },
    Target {
        number: 4,
        quantity: "peak of the action potential",
        unit: "mV",
        study: STUDY,
        judged: &[],
        shown: ALL,
        read: |v| v.get("V_peak"),
        ..TARGET
    },
    Target {
        number: 4,
        quantity: "width at half amplitude",
        unit: "ms",
        digits: 2,
        low: 1.0,
        high: 2.0,
        source: "as the amplitude, 20 to 25 °C",
        study: STUDY,
        judged: AT_20,
        shown: AT_37,
        fitted: AT_20,
        read: width,
        ..TARGET
    },
    Target {
        number: 5,
        quantity: "steepest rise, after the end of the stimulus",
        unit: "V/s",
        digits: 0,
        low: 140.0,
        high: 700.0,
        source: "rat soleus, propagated, 142 to 178: Pedersen et al 2005, J Gen Physiol 125:237; upper end for a patch alone",
        study: STUDY,
        fitted: AT_20,
        missed: &[(
            &[FAST_37],
            "a patch charges no neighbours, and its gates are four times as fast as at 20 °C; published values are of travelling action potentials",
        )],
        read: rise,
        ..TARGET
    },
    Target {
        number: 6,
        quantity: "rise of tubular potassium by one action potential",
        unit: "mM",
        digits: 2,
        low: 0.1,
        high: 0.45,
        source: "Adrian and Marshall 1976, J Physiol 258:125; 0.40 computed: Shorten et al 2007, J Muscle Res Cell Motil 28:293",
        study: STUDY,
        fitted: &[FAST_20],
        missed: &[(
            SLOW,
            "the slow set has half the potassium channels of the fast one and less tubular membrane",
        )],
        read: |v| v.get("K_t_peak") - v.get("K_t_rest"),
        ..TARGET
    },
    Target {
        number: 24,
        quantity: "resting potential, fast less slow",
        unit: "mV",
        high: -1.0,
        source: MCARDLE,
        study: STUDY,
        judged: FAST,
        missed: &[(
            FAST,
            "both sets rest within a few mV of the potassium equilibrium potential; what makes slow fibres rest higher is not in the model",
        )],
        read: |v| v.get("V_rest") - v.set(true).get("V_rest"),
        ..TARGET
    },
    Target {
        number: 24,
        quantity: "peak of the action potential, fast less slow",
        unit: "mV",
        low: 1.0,
        source: MCARDLE,
        study: STUDY,
        judged: FAST,
        read: |v| v.get("V_peak") - v.set(true).get("V_peak"),
        ..TARGET
    },
    Target {
        number: 24,
        quantity: "steepest rise, fast over slow",
        digits: 2,
        low: 1.05,
        source: MCARDLE,
        study: STUDY,
        judged: FAST,
        read: |v| rise(v) / rise(&v.set(true)),
        ..TARGET
    },
    Target {
        number: 24,
        quantity: "width at half amplitude, fast over slow",
        digits: 2,
        high: 0.95,
        source: MCARDLE,
        study: STUDY,
        judged: FAST,
        read: |v| width(v) / width(&v.set(true)),
        ..TARGET
    },
];

/// Steepest rise after the end of the stimulus, V/s.
fn rise(v: &View) -> f64 {
    steepest(&v.trace("membrane.V"), STIMULUS_END_MS)
}

/// Width at half amplitude, ms.
fn width(v: &View) -> f64 {
    width_at_half(&v.trace("membrane.V"), v.get("V_rest"))
}
