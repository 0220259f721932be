//! A study: which model, how many fibres and what distinguishes them, what is done to them and what is kept.
//!
//! Takes a study's TOML, with a [`Loader`] for the files that it names; gives a [`Study`] in which every quantity is in the
//! model's own units and every time in ms, or every fault of the text with its place. Nothing here reads a file or prints.
//!
//! A study's own parameters: a name that begins with `protocol.` and is no variable of the model may stand in
//! `[population.parameters]` where a pulse's `level`, or the `value` of a set or clamp, names it. It varies by fibre like
//! any other, in the unit of what it drives; a current-voltage curve is one population that way.
//!
//! ```
//! use sarcolemma::diag::Source;
//! use sarcolemma::study::{Overrides, SCHEMES, Wish, read};
//! let model = "[[model]]\nx.y = 1\n[x]\nt = 0 [ms] in [ms] bind time\ntau = 5 [ms]\ndot(y) = -y / tau\n";
//! let loader = |_: Wish, name: &str| Ok(Source::new(name, model));
//! let text = "model = 'decay'\nduration = '1 s'\n[population]\nfibres = 4\n[population.parameters]\n'x.tau' = { values = [5, '1 s'] }";
//! let (study, _) = read(&Source::new("study.toml", text), &loader, &Overrides::default(), &SCHEMES).unwrap();
//! assert_eq!([study.draw(0), study.draw(1), study.draw(2)], [[5.0], [1000.0], [5.0]]);
//! ```
//!
//! Without `[protocol]` nothing is done to the fibres: pacing is 0 throughout. Without `[record]` nothing is recorded over time.

pub mod condition;
mod csv;
pub mod design;
mod events;
mod faults;
mod names;
mod population;
mod quantile;
mod quantity;
mod read;
mod record;
mod rule;
mod sampling;
mod summary;
mod walk;

pub use quantile::{normal_chance_below, normal_quantile};
pub use read::read;
pub use record::{Record, Traces};
pub use sampling::{Population, Rule, Sampling, Varied, VariedTarget, unit_interval};
pub use summary::{Class, Group, Share, Statistic, Summary, SummaryTable, wilson_interval};

use crate::diag::{Diagnostic, Source};
use crate::feature::{FeatureColumn, FeatureSpec};
use crate::model::{Bound, Expr, ExprKind, Model, VariableId, VariableKind};
use crate::ops::Op;
use crate::protocol::{Frame, Level, Protocol, Schedule};

/// What a study asks its loader for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A model: a shipped one's name, or a path relative to the study.
    Model,
    /// A table of parameters: a path relative to the study.
    Table,
}

/// Finds the files that a study names. A closure will do.
pub trait Loader {
    /// The text of that name, or why it cannot be had (lower case, no full stop).
    fn load(&self, wish: Wish, name: &str) -> Result<Source, String>;
}

impl<F: Fn(Wish, &str) -> Result<Source, String>> Loader for F {
    fn load(&self, wish: Wish, name: &str) -> Result<Source, String> {
        self(wish, name)
    }
}

/// What a command line sets in place of a study's own words; it acts before anything is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// In place of `population.fibres`.
    pub fibres: Option<u64>,
    /// In place of `duration`: a quantity.
    pub duration: Option<String>,
}

/// Diagnostics and the text that they speak of.
#[derive(Clone, Debug)]
pub struct Report {
    /// The study, its model or a table.
    pub source: Source,
    /// In order of place.
    pub diagnostics: Vec<Diagnostic>,
}

/// A scheme that a study may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemeName {
    /// As studies spell it.
    pub name: &'static str,
    /// Whether it chooses its own step.
    pub adaptive: bool,
}

/// The schemes there are.
pub const SCHEMES: [SchemeName; 5] = [
    SchemeName {
        name: "euler",
        adaptive: false,
    },
    SchemeName {
        name: "rush_larsen",
        adaptive: false,
    },
    SchemeName {
        name: "ros3",
        adaptive: true,
    },
    SchemeName {
        name: "ros4",
        adaptive: true,
    },
    SchemeName {
        name: "reference",
        adaptive: true,
    },
];

/// How fibres are to be moved through time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// The program chooses.
    #[default]
    Auto,
    /// One of the known schemes.
    Named(String),
}

/// How the run is to be compared with the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// How many fibres are run again.
    pub fibres: u64,
    /// Whether the study itself says how many: then runs in double precision are compared as well.
    pub asked_for: bool,
    /// The largest RMS difference, as a share of a variable's range, that counts as agreement.
    pub tolerance: f64,
    /// The largest shift of a spike that counts as agreement, ms.
    pub spike_shift_ms: f64,
    /// The largest difference of a feature, as a share of its range over all fibres, that counts as agreement; `None` for any.
    pub feature_tolerance: Option<f64>,
}

impl Default for Agreement {
    fn default() -> Self {
        Agreement {
            fibres: 8,
            asked_for: false,
            // Wide enough for fibres that fire by themselves: in the main study their spikes come up to 0.9 ms early or late.
            tolerance: 0.05,
            spike_shift_ms: 1.0,
            feature_tolerance: None,
        }
    }
}

/// A checked study. Quantities are in the model's own units, times in ms.
#[derive(Clone, Debug)]
pub struct Study {
    /// What it is about; the model's name where the study has no title.
    pub title: String,
    /// The whole text that it was read from.
    pub text: String,
    /// The model.
    pub model: Model,
    /// The model as the study names it.
    pub model_name: String,
    /// Length of the recorded time, ms.
    pub duration_ms: f64,
    /// Length of the time before 0, unpaced and unrecorded, ms; 0 for none.
    pub settle_ms: f64,
    /// How to step.
    pub scheme: Scheme,
    /// Step of a scheme with fixed steps, ms.
    pub step_ms: Option<f64>,
    /// Error allowed in a step of an adaptive scheme, relative to each state's scale.
    pub tolerance: Option<f64>,
    /// Largest step of an adaptive scheme from time 0 on, ms.
    pub largest_step_ms: Option<f64>,
    /// Errors that count as one, of states for which the study says so, in each state's unit.
    pub scales: Vec<(VariableId, f64)>,
    /// The fibres.
    pub population: Population,
    /// What is done to them.
    pub protocol: Protocol,
    /// What is recorded over time.
    pub record: Record,
    /// What is gathered while stepping.
    pub features: Vec<FeatureSpec>,
    /// What the summary shows, where the study says so.
    pub summary: Option<Summary>,
    /// Comparison with the reference.
    pub agreement: Agreement,
}

impl Study {
    /// A fibre's values of the varied parameters, in the order of [`Population::varied`] and in the model's units.
    pub fn draw(&self, fibre: u64) -> Vec<f64> {
        self.population.draw(fibre)
    }

    /// Segments of time for all fibres, from `-settle` to the end.
    pub fn schedule(&self) -> Schedule {
        self.protocol.schedule(&Frame {
            duration_ms: self.duration_ms,
            settle_ms: self.settle_ms,
            paced: self.model.bound(&Bound::Pace).is_some(),
            own: &|id| self.own_level(id),
        })
    }

    /// The columns of all features, in order; [`FeatureSpec::values`] of each feature in turn fills them.
    pub fn feature_columns(&self) -> Vec<FeatureColumn> {
        self.features
            .iter()
            .flat_map(|f| f.columns(&self.model))
            .collect()
    }

    /// Where a literal's value comes from: the model, or a varied parameter.
    fn own_level(&self, id: VariableId) -> Level {
        let varied = self
            .population
            .varied
            .iter()
            .position(|v| v.target == VariedTarget::Literal(id));
        match (varied, &self.model.variable(id).kind) {
            (Some(index), _) => Level::Parameter(index),
            (None, VariableKind::Literal(value)) => Level::Number(*value),
            // Only literals are set; nothing else is asked for.
            (None, _) => Level::Number(f64::NAN),
        }
    }
}

/// The value of an initial value that is a plain number, with or without a sign.
fn constant(expression: &Expr) -> Option<f64> {
    match &expression.kind {
        ExprKind::Number(value, _) => Some(*value),
        ExprKind::Apply(Op::Neg, arguments) => {
            arguments.first().and_then(constant).map(|value| -value)
        }
        _ => None,
    }
}
