//! Which models are tried, in what their fibres differ, and what is done to them: data.

use crate::protocol::{Level, Protocol, Pulse};

/// What is done to the fibres of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// One pulse, 150 ms.
    Twitch,
    /// Three pulses at 10 Hz.
    TenHertz,
    /// Ten pulses at 50 Hz.
    FiftyHertz,
    /// Fifteen pulses at 100 Hz.
    HundredHertz,
    /// Nothing, 200 ms.
    Rest,
    /// Thirty pulses at 50 Hz in fibres that may fire on after them, and 300 ms more.
    AfterDischarge,
}

/// Start of the first pulse, ms.
const FIRST_MS: f64 = 10.0;
/// Length of a pulse, ms; at level 1 it is suprathreshold in the shipped models.
const PULSE_MS: f64 = 0.5;

impl Occasion {
    /// Every occasion, in the order of the table.
    pub const ALL: [Occasion; 6] = [
        Occasion::Twitch,
        Occasion::TenHertz,
        Occasion::FiftyHertz,
        Occasion::HundredHertz,
        Occasion::Rest,
        Occasion::AfterDischarge,
    ];

    /// As the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Occasion::Twitch => "twitch",
            Occasion::TenHertz => "10hz",
            Occasion::FiftyHertz => "50hz",
            Occasion::HundredHertz => "100hz",
            Occasion::Rest => "rest",
            Occasion::AfterDischarge => "after_discharge",
        }
    }

    /// Length, ms.
    pub fn duration_ms(self) -> f64 {
        match self {
            Occasion::Twitch => 150.0,
            Occasion::TenHertz => 300.0,
            Occasion::FiftyHertz | Occasion::Rest => 200.0,
            Occasion::HundredHertz => 160.0,
            Occasion::AfterDischarge => 900.0,
        }
    }

    pub(super) fn protocol(self, level: f64) -> Protocol {
        let (period_ms, count) = match self {
            Occasion::Twitch => (None, 1),
            Occasion::TenHertz => (Some(100.0), 3),
            Occasion::FiftyHertz => (Some(20.0), 10),
            Occasion::HundredHertz => (Some(10.0), 15),
            Occasion::Rest => return Protocol::default(),
            Occasion::AfterDischarge => (Some(20.0), 30),
        };
        Protocol {
            pulses: vec![Pulse {
                start_ms: FIRST_MS,
                length_ms: PULSE_MS,
                period_ms,
                count: Some(count),
                level: Level::Number(level),
            }],
            ..Protocol::default()
        }
    }
}

/// A model with a set of numbers, and what of it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Name in the table.
    pub name: &'a str,
    /// Name of the shipped model.
    pub model: &'a str,
    /// Literals that are set for all fibres.
    pub sets: &'a [(&'a str, f64)],
    /// Literals in which fibres differ: conductances, and a few rates and sizes.
    pub varied: &'a [&'a str],
    /// The free calcium that makes force.
    pub calcium: Option<&'a str>,
    /// The force.
    pub force: Option<&'a str>,
    /// How long fibres rest before the occasion, ms. Short where the model has no rest of its own to find.
    pub rest_ms: f64,
    /// What makes the fibres fire on after a train; `None` where nothing does.
    pub discharges: Option<&'a [(&'a str, f64)]>,
}

/// In what fibres of the models of Shorten and others differ, as in skeletal muscle's own spread of channels and uptake.
const SHORTEN_VARIED: &[&str] = &[
    "sodium.g",
    "potassium.g",
    "rectifier.g",
    "chloride.g",
    "cell.Ra",
    "calcium.nu_SR",
    "ryr.a1",
    "troponin.k_on",
];

/// What is varied in the main study, and rates of release and binding.
const SKELETAL_VARIED: &[&str] = &[
    "sodium.g",
    "potassium.g",
    "rectifier.g",
    "chloride.g",
    "cell.tubule_share",
    "tubule.tau_T",
    "ryr.a1",
    "troponin.k_off",
];

/// The shipped models.
///
/// No after-discharge of `hodgkin_huxley_1952` and of the models of Shorten: with their own numbers nothing fires on after a
/// train there.
pub const SUBJECTS: [Subject<'static>; 5] = [
    Subject {
        name: "hodgkin_huxley_1952",
        model: "hodgkin_huxley_1952",
        sets: &[],
        varied: &["sodium.g", "potassium.g", "leak.g", "membrane.Cm"],
        calcium: None,
        force: None,
        rest_ms: 500.0,
        discharges: None,
    },
    Subject {
        name: "shorten_2007_fast",
        model: "shorten_2007_fast",
        sets: &[],
        varied: SHORTEN_VARIED,
        calcium: Some("calcium.Ca"),
        force: Some("crossbridge.A2"),
        // Its resting fluxes do not balance: it would drift.
        rest_ms: 100.0,
        discharges: None,
    },
    Subject {
        name: "shorten_2007_slow",
        model: "shorten_2007_slow",
        sets: &[],
        varied: SHORTEN_VARIED,
        calcium: Some("calcium.Ca"),
        force: Some("crossbridge.A2"),
        rest_ms: 100.0,
        discharges: None,
    },
    Subject {
        name: "skeletal_fibre",
        model: "skeletal_fibre",
        sets: &[],
        varied: SKELETAL_VARIED,
        calcium: Some("calcium.Ca"),
        force: Some("force.F"),
        rest_ms: 100_000.0,
        discharges: Some(&[("chloride.fraction", 0.1)]),
    },
    Subject {
        name: "skeletal_fibre_slow",
        model: "skeletal_fibre",
        sets: &[("fibre.slow", 1.0)],
        varied: SKELETAL_VARIED,
        calcium: Some("calcium.Ca"),
        force: Some("force.F"),
        rest_ms: 100_000.0,
        discharges: None,
    },
];
