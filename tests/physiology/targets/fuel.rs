//! Phosphocreatine, phosphate and ATP.

use crate::target::{ALL, AT_20, AT_37, FAST, FAST_20, SLOW, SLOW_20, Section, TARGET, Target};

const STUDY: &str = "22_fuel";
const KUSHMERICK: &str =
    "rat and mouse: Kushmerick, Moerland and Wiseman 1992, Proc Natl Acad Sci USA 89:7521";
const BARCLAY: &str =
    "from the heat of mouse muscle, 21 °C: Barclay, Constable and Gibbs 1993, J Physiol 472:61";

/// Fuel.
pub static FUEL: Section = Section {
    title: "Fuel",
    about: "What splits ATP draws on phosphocreatine (PCr) and sets phosphate free, which weakens the crossbridges and, in \
            the SR, binds calcium.",
    targets: TARGETS,
};

static TARGETS: &[Target] = &[
    Target {
        number: 26,
        quantity: "phosphocreatine at rest, fast",
        unit: "mM",
        low: 27.0,
        high: 37.0,
        source: KUSHMERICK,
        study: STUDY,
        judged: FAST,
        fitted: FAST,
        read: |v| v.get("PCr_rest"),
        ..TARGET
    },
    Target {
        number: 26,
        quantity: "phosphocreatine at rest, slow",
        unit: "mM",
        low: 13.0,
        high: 19.0,
        source: KUSHMERICK,
        study: STUDY,
        judged: SLOW,
        fitted: SLOW,
        read: |v| v.get("PCr_rest"),
        ..TARGET
    },
    Target {
        number: 26,
        quantity: "phosphate at rest, fast",
        unit: "mM",
        low: 0.4,
        high: 1.6,
        source: KUSHMERICK,
        study: STUDY,
        judged: FAST,
        fitted: &[FAST_20],
        read: |v| v.get("P_rest"),
        ..TARGET
    },
    Target {
        number: 26,
        quantity: "phosphate at rest, slow",
        unit: "mM",
        low: 4.0,
        high: 8.0,
        source: KUSHMERICK,
        study: STUDY,
        judged: SLOW,
        fitted: &[SLOW_20],
        missed: &[(SLOW, "chosen lower, at 2 mM")],
        read: |v| v.get("P_rest"),
        ..TARGET
    },
    Target {
        number: 26,
        quantity: "ATP split at rest",
        unit: "mM/s",
        digits: 3,
        study: STUDY,
        judged: &[],
        shown: ALL,
        read: |v| 1000.0 * v.get("rest"),
        ..TARGET
    },
    Target {
        number: 26,
        quantity: "ATP split in a tetanus, fast",
        unit: "mM/s",
        low: 4.4,
        high: 6.6,
        source: BARCLAY,
        study: STUDY,
        judged: &[FAST_20],
        fitted: &[FAST_20],
        read: |v| 1000.0 * v.get("turnover"),
        ..TARGET
    },
    Target {
        number: 26,
        quantity: "ATP split in a tetanus, slow",
        unit: "mM/s",
        low: 0.8,
        high: 1.5,
        source: BARCLAY,
        study: STUDY,
        judged: &[SLOW_20],
        fitted: &[SLOW_20],
        missed: &[(&[SLOW_20], "the SR pump splits more than real ones")],
        read: |v| 1000.0 * v.get("turnover"),
        ..TARGET
    },
    Target {
        number: 26,
        quantity: "share of the ion pumps in it",
        unit: "%",
        digits: 0,
        low: 25.0,
        high: 45.0,
        source: "30 to 40: Barclay, Woledge and Curtin 2007, J Muscle Res Cell Motil 28:259",
        study: STUDY,
        judged: AT_20,
        shown: AT_37,
        missed: &[(
            AT_20,
            "the SR pump turns over more calcium than in real fibres, and the crossbridges of an isometric tetanus less ATP",
        )],
        read: |v| 100.0 * v.get("split") / v.get("turnover"),
        ..TARGET
    },
    Target {
        number: 26,
        quantity: "time constant of recovery after a minute at 5 Hz",
        unit: "s",
        digits: 0,
        low: 22.0,
        high: 74.0,
        source: "man, 22 to 61: Slade et al 2006, NMR Biomed 19:573; 41 to 74: Blei, Conley and Kushmerick 1993, Proc Natl Acad Sci USA 90:7396",
        study: STUDY,
        judged: AT_37,
        shown: AT_20,
        missed: &[(
            AT_37,
            "resynthesis, driven by phosphate alone, is too fast after light exercise",
        )],
        read: |v| {
            let (low, rest) = (v.get("PCr_low"), v.get("PCr_rest"));
            let back = low + (1.0 - (-1f64).exp()) * (rest - low);
            let trace = v.trace("metabolism.PCr");
            let after = trace.iter().find(|p| p.0 >= AFTER_MS && p.1 >= back);
            after.map_or(f64::NAN, |p| (p.0 - AFTER_MS) / 1000.0)
        },
        ..TARGET
    },
];

/// When the exercise ends, ms.
const AFTER_MS: f64 = 120_000.0;
