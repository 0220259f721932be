//! What a target is: a quantity, how it is read from a study, what is published of it, and what the model is known to do.

use crate::study_runs::View;

/// Set and temperature under which a target is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Condition {
    /// The slow set rather than the fast one.
    pub slow: bool,
    /// 37 degrees Celsius rather than 20.
    pub warm: bool,
}

/// Fast set, 20 degrees Celsius.
pub const FAST_20: Condition = Condition {
    slow: false,
    warm: false,
};
/// Slow set, 20 degrees Celsius.
pub const SLOW_20: Condition = Condition {
    slow: true,
    warm: false,
};
/// Fast set, 37 degrees Celsius.
pub const FAST_37: Condition = Condition {
    slow: false,
    warm: true,
};
/// Slow set, 37 degrees Celsius.
pub const SLOW_37: Condition = Condition {
    slow: true,
    warm: true,
};
/// All of them, in the order of the page's columns.
pub const ALL: &[Condition] = &[FAST_20, SLOW_20, FAST_37, SLOW_37];
/// Both sets at 20 degrees Celsius.
pub const AT_20: &[Condition] = &[FAST_20, SLOW_20];
/// Both sets at 37 degrees Celsius.
pub const AT_37: &[Condition] = &[FAST_37, SLOW_37];
/// The fast set at both temperatures.
pub const FAST: &[Condition] = &[FAST_20, FAST_37];
/// The slow set at both temperatures.
pub const SLOW: &[Condition] = &[SLOW_20, SLOW_37];

impl Condition {
    /// Temperature in K, as the studies sweep it.
    pub fn kelvin(self) -> f64 {
        if self.warm { 310.0 } else { 293.0 }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match (self.slow, self.warm) {
            (false, false) => "fast, 20 °C",
            (true, false) => "slow, 20 °C",
            (false, true) => "fast, 37 °C",
            (true, true) => "slow, 37 °C",
        }
    }
}

/// A part of the page: what belongs together, and what is to be said of it.
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// A paragraph for a reader who is no physiologist; Markdown.
    pub about: &'static str,
    /// Its rows.
    pub targets: &'static [Target],
}

/// One quantity with one published range.
#[derive(Clone, Copy)]
pub struct Target {
    /// Number on the page; rows of one number belong together.
    pub number: u32,
    /// What it is, in a physiologist's words.
    pub quantity: &'static str,
    /// Its unit; empty for a pure number.
    pub unit: &'static str,
    /// Decimals shown.
    pub digits: usize,
    /// Least value that agrees with what is published; minus infinity for none.
    pub low: f64,
    /// Largest such value; infinity for none.
    pub high: f64,
    /// Where the range comes from.
    pub source: &'static str,
    /// The study file, without `.toml`.
    pub study: &'static str,
    /// Conditions to which the range applies.
    pub judged: &'static [Condition],
    /// Further conditions whose value is shown, with no verdict.
    pub shown: &'static [Condition],
    /// Conditions in which the model's numbers were chosen so that this quantity comes out.
    pub fitted: &'static [Condition],
    /// Whether it holds by definition: it tests the arithmetic, not the physiology.
    pub definition: bool,
    /// Conditions in which the model is known to miss the range, and why.
    pub missed: &'static [(&'static [Condition], &'static str)],
    /// Reads it from the fibres of a condition.
    pub read: fn(&View) -> f64,
}

/// What the rows below leave out: judged everywhere, nothing fitted, nothing missed.
pub const TARGET: Target = Target {
    number: 0,
    quantity: "",
    unit: "",
    digits: 1,
    low: f64::NEG_INFINITY,
    high: f64::INFINITY,
    source: "",
    study: "",
    judged: ALL,
    shown: &[],
    fitted: &[],
    definition: false,
    missed: &[],
    read: |_| f64::NAN,
};

/// How a measured value stands to the published range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Inside.
    Met,
    /// Outside, or not there at all.
    Missed,
    /// Nothing is published for this condition.
    Shown,
}

/// A measured target.
pub struct Measured {
    /// What was measured.
    pub target: &'static Target,
    /// Where.
    pub condition: Condition,
    /// The value; NaN where the fibre does not have it (no spike, no half).
    pub value: f64,
}

impl Target {
    /// The conditions that have a value, in the order of [`ALL`].
    pub fn conditions(&self) -> impl Iterator<Item = Condition> {
        ALL.iter()
            .copied()
            .filter(|c| self.judged.contains(c) || self.shown.contains(c))
    }

    /// The published range in words.
    pub fn range(&self) -> String {
        let shown = |x: f64| trimmed(x);
        match (self.low.is_finite(), self.high.is_finite()) {
            (true, true) if self.low == self.high => shown(self.low),
            (true, true) => format!("{} to {}", shown(self.low), shown(self.high)),
            (true, false) => format!("{} or more", shown(self.low)),
            (false, true) => format!("{} or less", shown(self.high)),
            (false, false) => "–".to_string(),
        }
    }

    /// Fit, prediction or definition.
    pub fn kind(&self, condition: Condition) -> &'static str {
        match () {
            () if self.definition => "definition",
            () if self.fitted.contains(&condition) => "fit",
            () => "prediction",
        }
    }

    /// Why it is known to be missed.
    pub fn known_miss(&self, condition: Condition) -> Option<&'static str> {
        let known = self.missed.iter().find(|(c, _)| c.contains(&condition));
        known.map(|(_, reason)| *reason)
    }
}

impl Measured {
    /// How it stands to the range.
    pub fn verdict(&self) -> Verdict {
        let t = self.target;
        if !t.judged.contains(&self.condition) {
            Verdict::Shown
        } else if t.low <= self.value && self.value <= t.high {
            Verdict::Met
        } else {
            Verdict::Missed
        }
    }

    /// The value as the page shows it.
    pub fn shown(&self) -> String {
        let (value, digits) = (self.value, self.target.digits);
        if value.is_finite() {
            // No minus before a zero that rounding made.
            let text = format!("{value:.digits$}");
            match text.strip_prefix('-') {
                Some(rest) if rest.bytes().all(|b| b == b'0' || b == b'.') => rest.to_string(),
                _ => text,
            }
        } else {
            "none".to_string()
        }
    }

    /// What is wrong with the verdict, if the page would say something else.
    pub fn surprise(&self) -> Option<String> {
        let known = self.target.known_miss(self.condition);
        match (self.verdict(), known) {
            (Verdict::Missed, None) => Some("missed, and the table does not say so".to_string()),
            (Verdict::Met, Some(reason)) => Some(format!("met, but listed as missed: {reason}")),
            (Verdict::Shown, Some(_)) => Some("listed as missed without a range".to_string()),
            _ => None,
        }
    }
}

/// A number without needless zeros.
fn trimmed(x: f64) -> String {
    format!("{x}")
}

#[test]
fn a_value_outside_its_range_is_a_miss_and_must_be_known() {
    static HELD: Target = Target {
        low: -1.0,
        high: 1.0,
        judged: AT_20,
        shown: AT_37,
        missed: &[(&[SLOW_20], "a reason")],
        ..TARGET
    };
    let at = |condition, value| Measured {
        target: &HELD,
        condition,
        value,
    };
    assert_eq!(HELD.range(), "-1 to 1");
    assert_eq!(at(FAST_20, 1.0).verdict(), Verdict::Met);
    assert_eq!(at(FAST_20, 1.0).surprise(), None);
    assert_eq!(at(FAST_20, f64::NAN).verdict(), Verdict::Missed);
    assert!(at(FAST_20, 2.0).surprise().is_some());
    assert_eq!(at(SLOW_20, 2.0).surprise(), None);
    assert!(at(SLOW_20, 0.0).surprise().is_some());
    assert_eq!(at(FAST_37, 2.0).verdict(), Verdict::Shown);
    assert_eq!(at(FAST_20, -0.04).shown(), "0.0");
    assert_eq!(at(FAST_20, f64::NAN).shown(), "none");
}
