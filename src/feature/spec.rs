//! What a feature is: its kind, its observable, its window; and the columns that it fills in a result.

use crate::model::{Model, VariableId};

/// What is gathered of an observable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureKind {
    /// Upward crossings of a threshold: their number, the first and the last; each is an event.
    Spikes,
    /// Largest value.
    Max,
    /// Smallest value.
    Min,
    /// Mean over time.
    Mean,
    /// Integral over time.
    Integral,
    /// When the largest value is first reached.
    TimeOfMax,
    /// When the smallest value is first reached.
    TimeOfMin,
    /// Value at the end of the window.
    Final,
    /// Value at a given time.
    ValueAt,
    /// Time spent at a threshold or above.
    TimeAbove,
}

impl FeatureKind {
    /// Every kind, in the order in which messages list them.
    pub const ALL: [FeatureKind; 10] = [
        FeatureKind::Spikes,
        FeatureKind::Max,
        FeatureKind::Min,
        FeatureKind::Mean,
        FeatureKind::Integral,
        FeatureKind::TimeOfMax,
        FeatureKind::TimeOfMin,
        FeatureKind::Final,
        FeatureKind::ValueAt,
        FeatureKind::TimeAbove,
    ];

    /// As studies spell it.
    pub fn name(self) -> &'static str {
        match self {
            FeatureKind::Spikes => "spikes",
            FeatureKind::Max => "max",
            FeatureKind::Min => "min",
            FeatureKind::Mean => "mean",
            FeatureKind::Integral => "integral",
            FeatureKind::TimeOfMax => "time_of_max",
            FeatureKind::TimeOfMin => "time_of_min",
            FeatureKind::Final => "final",
            FeatureKind::ValueAt => "value_at",
            FeatureKind::TimeAbove => "time_above",
        }
    }

    /// Whether a threshold belongs to it.
    pub fn takes_threshold(self) -> bool {
        matches!(self, FeatureKind::Spikes | FeatureKind::TimeAbove)
    }

    /// Whether it can be limited to a window of time.
    pub fn takes_window(self) -> bool {
        self != FeatureKind::ValueAt
    }
}

/// A feature of a study. Fields that its kind does not use are NaN (`threshold`, `at_ms`) or infinite (the window).
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSpec {
    /// Name in the study and, alone or before a dot, in the result.
    pub name: String,
    /// What is gathered.
    pub kind: FeatureKind,
    /// The observable: a state or an intermediate.
    pub of: VariableId,
    /// In the observable's unit; NaN where the kind has none.
    pub threshold: f64,
    /// For [`FeatureKind::ValueAt`], ms; else NaN.
    pub at_ms: f64,
    /// Start of the window, ms; minus infinity for none.
    pub after_ms: f64,
    /// End of the window, ms; infinity for none.
    pub before_ms: f64,
}

/// Name and meaning of one number per fibre.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureColumn {
    /// Name in the result: `peak_V`, `after.count`.
    pub name: String,
    /// Unit in UDUNITS spelling; `1` for a pure number or where the model gives none.
    pub units: String,
    /// Plain description.
    pub long_name: String,
    /// CF `cell_methods`, such as `time: maximum`.
    pub cell_methods: String,
    /// What a number of the column measures.
    pub measure: Measure,
}

/// What a feature's number measures: which unit it can be compared in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// A number of events.
    Count,
    /// A time or a length of time, ms.
    Time,
    /// The observable itself.
    Observable,
    /// The observable times time, its unit times ms.
    ObservableTime,
}

impl FeatureSpec {
    /// A feature over all time, without threshold.
    pub fn new(name: &str, kind: FeatureKind, of: VariableId) -> Self {
        FeatureSpec {
            name: name.to_string(),
            kind,
            of,
            threshold: f64::NAN,
            at_ms: f64::NAN,
            after_ms: f64::NEG_INFINITY,
            before_ms: f64::INFINITY,
        }
    }

    /// Names of the columns that [`FeatureSpec::values`] fills, in order.
    pub fn column_names(&self) -> Vec<String> {
        match self.kind {
            FeatureKind::Spikes => ["count", "first", "last"]
                .iter()
                .map(|part| format!("{}.{part}", self.name))
                .collect(),
            _ => vec![self.name.clone()],
        }
    }

    /// The columns that [`FeatureSpec::values`] fills, in order.
    pub fn columns(&self, model: &Model) -> Vec<FeatureColumn> {
        let variable = model.variable(self.of);
        let of = &variable.name;
        let unit = variable
            .unit
            .map_or_else(|| "1".to_string(), |u| u.to_udunits());
        let threshold = format!("{} {unit}", self.threshold);
        let crossings = format!("upward crossings of {threshold} by {of}");
        let facts = |part: usize| match (self.kind, part) {
            (FeatureKind::Spikes, 0) => (
                Measure::Count,
                format!("number of {crossings}"),
                "sum",
                "number of upward crossings",
            ),
            (FeatureKind::Spikes, 1) => (
                Measure::Time,
                format!("first of the {crossings}"),
                "minimum",
                "over times of upward crossings",
            ),
            (FeatureKind::Spikes, _) => (
                Measure::Time,
                format!("last of the {crossings}"),
                "maximum",
                "over times of upward crossings",
            ),
            (FeatureKind::Max, _) => (Measure::Observable, format!("largest {of}"), "maximum", ""),
            (FeatureKind::Min, _) => (Measure::Observable, format!("smallest {of}"), "minimum", ""),
            (FeatureKind::Mean, _) => (Measure::Observable, format!("mean {of}"), "mean", ""),
            (FeatureKind::Integral, _) => (
                Measure::ObservableTime,
                format!("integral of {of} over time"),
                "sum",
                "integral over time",
            ),
            (FeatureKind::TimeOfMax, _) => (
                Measure::Time,
                format!("time of the largest {of}"),
                "point",
                "time of the maximum",
            ),
            (FeatureKind::TimeOfMin, _) => (
                Measure::Time,
                format!("time of the smallest {of}"),
                "point",
                "time of the minimum",
            ),
            (FeatureKind::Final, _) => (
                Measure::Observable,
                format!("{of} at the end"),
                "point",
                "at the end",
            ),
            (FeatureKind::ValueAt, _) => (
                Measure::Observable,
                format!("{of} at {} ms", self.at_ms),
                "point",
                "",
            ),
            (FeatureKind::TimeAbove, _) => (
                Measure::Time,
                format!("time that {of} spends at {threshold} or above"),
                "sum",
                "time at the threshold or above",
            ),
        };
        let window = self.window();
        let column = |(part, name): (usize, String)| {
            let (measure, long_name, method, comment) = facts(part);
            let units = match measure {
                Measure::Count => "1".to_string(),
                Measure::Time => "ms".to_string(),
                Measure::Observable => unit.clone(),
                Measure::ObservableTime if unit == "1" => "ms".to_string(),
                Measure::ObservableTime => format!("{unit} ms"),
            };
            let comment = match (comment.is_empty(), window.is_empty()) {
                (true, true) => String::new(),
                (false, true) => format!(" ({comment})"),
                (true, false) => format!(" ({})", window.trim_start()),
                (false, false) => format!(" ({comment}{window})"),
            };
            FeatureColumn {
                name,
                units,
                long_name: format!("{long_name}{window}"),
                cell_methods: format!("time: {method}{comment}"),
                measure,
            }
        };
        self.column_names()
            .into_iter()
            .enumerate()
            .map(column)
            .collect()
    }

    /// The window in words, with a space before; empty where there is none.
    fn window(&self) -> String {
        let mut words = String::new();
        if self.after_ms.is_finite() {
            words.push_str(&format!(" after {} ms", self.after_ms));
        }
        if self.before_ms.is_finite() {
            words.push_str(&format!(" before {} ms", self.before_ms));
        }
        words
    }
}
