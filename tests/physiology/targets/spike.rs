//! The action potential and what it leaves in the tubules.

use crate::shape::{steepest, width_at_half};
use crate::target::{ALL, AT_20, AT_37, FAST_20, Section, TARGET, Target};

const STUDY: &str = "03_action_potential";

/// The action potential.
pub const SPIKE: Section = Section {
    title: "The action potential",
    about: "One action potential after a short pulse. Real ones travel: part of the current that charges the next piece of \
            membrane is lost there, so a travelling action potential rises less steeply than that of a patch alone.",
    targets: TARGETS,
};

const TARGETS: &[Target] = &[
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
        read: |v| width_at_half(&v.trace("membrane.V"), v.get("V_rest")),
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
        read: |v| steepest(&v.trace("membrane.V"), 10.35),
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
        read: |v| v.get("K_t_peak") - v.get("K_t_rest"),
        ..TARGET
    },
];
