//! Calcium and force in a twitch and by frequency.

use crate::shape::{half_fall, width_at_half};
use crate::study_runs::View;
use crate::target::{
    ALL, AT_20, FAST, FAST_20, FAST_37, SLOW_20, SLOW_37, Section, TARGET, Target,
};

const TWITCH: &str = "15_twitch";
const FREQUENCY: &str = "16_force_frequency";
const SHORTEN: &str = "computed: Shorten et al 2007, J Muscle Res Cell Motil 28:293";
const CALDERON: &str = "mouse, 20 to 22 °C: Calderón, Bolaños and Caputo 2010, J Physiol 588:267";

/// When the pulse comes, ms.
const PULSE: f64 = 10.0;

/// The calcium transient.
pub static CALCIUM: Section = Section {
    title: "Calcium in a twitch",
    about: "Free calcium, averaged over all of the fibre but the 1 % next to the release channels. The model of Shorten et al, \
            from which this block comes, is one yardstick; dyes in real fibres are the other.",
    targets: CALCIUM_TARGETS,
};

/// Twitch and tetanus.
pub static FORCE: Section = Section {
    title: "Twitch and tetanus",
    about: "Force is the share of force-bearing crossbridges; no elastic tissue is in series with it.",
    targets: FORCE_TARGETS,
};

static CALCIUM_TARGETS: &[Target] = &[
    Target {
        number: 19,
        quantity: "calcium peak in a twitch",
        unit: "uM",
        digits: 2,
        low: 7.0,
        high: 10.0,
        source: SHORTEN,
        study: TWITCH,
        judged: &[FAST_20],
        shown: &[FAST_37],
        fitted: &[FAST_20],
        missed: &[(
            &[FAST_20],
            "release was set by force, and calcium comes out a little below",
        )],
        read: |v| v.get("Ca_peak"),
        ..TARGET
    },
    Target {
        number: 19,
        quantity: "the same against measurement, fast",
        unit: "uM",
        low: 17.5,
        high: 19.5,
        source: "mouse EDL, 16 °C, 18.5: Baylor and Hollingworth 2003, J Physiol 551:125",
        study: TWITCH,
        judged: &[FAST_20],
        missed: &[(
            &[FAST_20],
            "the buffers of the calcium block, kept from Shorten et al, leave free less than half of what dyes report",
        )],
        read: |v| v.get("Ca_peak"),
        ..TARGET
    },
    Target {
        number: 19,
        quantity: "the same against measurement, slow",
        unit: "uM",
        low: 7.4,
        high: 11.4,
        source: "mouse soleus, 16 °C, 9.4: Baylor and Hollingworth 2003, J Physiol 551:125",
        study: TWITCH,
        judged: &[SLOW_20],
        shown: &[SLOW_37],
        missed: &[(&[SLOW_20], "as in the fast set")],
        read: |v| v.get("Ca_peak"),
        ..TARGET
    },
    Target {
        number: 19,
        quantity: "calcium peak of the fast over that of the slow set",
        digits: 2,
        low: 1.6,
        high: 2.4,
        source: "2.0: Baylor and Hollingworth 2003, J Physiol 551:125",
        study: TWITCH,
        judged: &[FAST_20],
        shown: &[FAST_37],
        fitted: &[FAST_20],
        read: |v| v.get("Ca_peak") / v.set(true).get("Ca_peak"),
        ..TARGET
    },
    Target {
        number: 19,
        quantity: "time to the calcium peak",
        unit: "ms",
        low: 1.0,
        high: 2.5,
        source: "1.8 computed: Shorten et al 2007; rise 1.1 to 1.6: Calderón, Bolaños and Caputo 2010, J Physiol 588:267",
        study: TWITCH,
        judged: AT_20,
        shown: &[FAST_37, SLOW_37],
        missed: &[(&[SLOW_20], "release goes on longer than in the fast set")],
        read: |v| v.get("t_Ca") - PULSE,
        ..TARGET
    },
    Target {
        number: 19,
        quantity: "half duration of the calcium transient, fast",
        unit: "ms",
        low: 4.0,
        high: 6.0,
        source: CALDERON,
        study: TWITCH,
        judged: &[FAST_20],
        shown: &[FAST_37],
        missed: &[(
            &[FAST_20],
            "the same buffers take calcium up faster than real ones",
        )],
        read: |v| width_at_half(&v.trace("calcium.Ca"), v.get("Ca_rest")),
        ..TARGET
    },
    Target {
        number: 19,
        quantity: "half duration of the calcium transient, slow",
        unit: "ms",
        low: 7.0,
        high: 21.0,
        source: "7.7 at 16 °C: Baylor and Hollingworth 2003; 19.1: Calderón, Bolaños and Caputo 2010",
        study: TWITCH,
        judged: &[SLOW_20],
        shown: &[SLOW_37],
        missed: &[(
            &[SLOW_20],
            "the same buffers take calcium up faster than real ones",
        )],
        read: |v| width_at_half(&v.trace("calcium.Ca"), v.get("Ca_rest")),
        ..TARGET
    },
];

static FORCE_TARGETS: &[Target] = &[
    Target {
        number: 19,
        quantity: "time to the peak of a twitch, fast",
        unit: "ms",
        low: 13.0,
        high: 18.0,
        source: "rat gastrocnemius, in situ, 15.5 ± 1.1: Rassier and MacIntosh 2002, Can J Physiol Pharmacol 80:993",
        study: TWITCH,
        judged: &[FAST_37],
        shown: &[FAST_20],
        missed: &[(
            &[FAST_37],
            "one temperature factor stands for all of calcium and crossbridges, and no elastic tissue delays the force",
        )],
        read: |v| v.get("t_F") - PULSE,
        ..TARGET
    },
    Target {
        number: 19,
        quantity: "time to the peak of a twitch, slow",
        unit: "ms",
        low: 40.0,
        source: "cat, slow units: Hammarberg and Kellerth 1975, Acta Physiol Scand 95:231",
        study: TWITCH,
        judged: &[SLOW_37],
        shown: &[SLOW_20],
        missed: &[(&[SLOW_37], "as in the fast set")],
        read: |v| v.get("t_F") - PULSE,
        ..TARGET
    },
    Target {
        number: 19,
        quantity: "half relaxation time of a twitch",
        unit: "ms",
        low: 9.0,
        high: 14.0,
        source: "rat EDL 9.4: Heizmann, Berchtold and Rowlerson 1982, PNAS 79:7243; gastrocnemius 12.2 ± 0.9: as above",
        study: TWITCH,
        judged: &[FAST_37],
        shown: &[FAST_20, SLOW_20, SLOW_37],
        missed: &[(&[FAST_37], "as the time to the peak")],
        read: |v| half_fall(&v.trace("force.F"), 0.0),
        ..TARGET
    },
    Target {
        number: 20,
        quantity: "force at 100 Hz, 200 ms, over a twitch, fast",
        low: 3.7,
        high: 5.5,
        source: "4.6 computed: Shorten et al 2007, J Muscle Res Cell Motil 28:293",
        study: FREQUENCY,
        judged: &[FAST_20],
        shown: &[FAST_37],
        fitted: &[FAST_20],
        read: |v| v.get("F_100_200ms") / v.get("F_1"),
        ..TARGET
    },
    Target {
        number: 20,
        quantity: "force at 100 Hz, 200 ms, over a twitch, slow",
        low: 4.7,
        high: 7.1,
        source: "5.9 computed: Shorten et al 2007, J Muscle Res Cell Motil 28:293",
        study: FREQUENCY,
        judged: &[SLOW_20],
        shown: &[SLOW_37],
        fitted: &[SLOW_20],
        read: |v| v.get("F_100_200ms") / v.get("F_1"),
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
        quantity: "tetanic force, as a fraction of the model's full scale",
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
        quantity: "tetanic force at 20 over that at 37 °C",
        digits: 2,
        low: 0.6,
        high: 1.0,
        source: "falls a little from 35 to 25 °C and markedly below 20 °C: Ranatunga and Wylie 1983, J Physiol 339:87",
        study: FREQUENCY,
        judged: AT_20,
        missed: &[(
            AT_20,
            "in the warm calcium is taken up so fast that 150 Hz does not saturate the fast set; the temperature dependence of force itself is left out",
        )],
        read: |v| tetanus(v) / tetanus(&v.warm()),
        ..TARGET
    },
    Target {
        number: 20,
        quantity: "action potentials for 100 pulses at 100 Hz",
        digits: 0,
        study: FREQUENCY,
        judged: FAST,
        low: 100.0,
        high: 100.0,
        source: "one for one; the tetanus of fast muscle is at 100 Hz and above",
        shown: &[SLOW_20, SLOW_37],
        read: |v| v.get("spikes_100.count"),
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
