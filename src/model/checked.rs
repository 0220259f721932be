//! The checked model: what the rest of the pipeline reads. Names are resolved, there are no cycles, every state has a
//! derivative and an initial value.

use crate::diag::Span;
use crate::ops::Op;
use crate::units::Unit;

/// Index of a variable in [`Model::variables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariableId(pub usize);

/// An expression with its place in the text.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The forms of an expression. Operators and functions are [`Op`]s; conditions are expressions that give 1 or 0.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A literal, in the unit written behind it.
    Number(f64, Option<Unit>),
    /// The value of a variable (of a state: its current value).
    Variable(VariableId),
    /// `dot(x)`: the time derivative of a state.
    Derivative(VariableId),
    /// An operation on as many arguments as the op takes. `log(a, b)` arrives as `log(a)/log(b)`; unary plus is dropped.
    Apply(Op, Vec<Expr>),
    /// `if` and `piecewise`: the value behind the first true condition, else the last. Only the chosen branch has a meaning.
    Piecewise(Vec<(Expr, Expr)>, Box<Expr>),
}

/// What an external input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `bind time`
    Time,
    /// `bind pace`
    Pace,
    /// Any other binding: the variable keeps its own right-hand side as the value.
    Other(String),
}

/// What determines a variable's value.
#[derive(Clone, Debug)]
pub enum VariableKind {
    /// `dot(x) = …`: the index among the states, in the order of the initial values, and the initial value (which may refer to constants).
    State {
        /// Index in [`Model::states`].
        index: usize,
        /// Initial value: refers only to literals and constants.
        initial: Expr,
    },
    /// An external input.
    Bound(Bound),
    /// A number: a parameter that a study may vary. The value is in the variable's unit.
    Literal(f64),
    /// Computed from literals alone.
    Constant,
    /// Computed from states or inputs.
    Intermediate,
}

/// One variable of a model.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Full name: `component.variable`, and `component.variable.nested` for a nested one.
    pub name: String,
    /// State, input, literal, constant or intermediate.
    pub kind: VariableKind,
    /// Its right-hand side (of a state: its derivative).
    pub rhs: Expr,
    /// `in [unit]`, or the unit of the literal that defines it.
    pub unit: Option<Unit>,
    /// `desc:`, with line breaks folded.
    pub description: Option<String>,
    /// `label`
    pub label: Option<String>,
    /// Where its name stands.
    pub span: Span,
}

/// One line of `[[protocol]]`, in the model's units of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacingEvent {
    /// Value of the pacing variable during the event.
    pub level: f64,
    /// Start of the first occurrence.
    pub start: f64,
    /// Length of an occurrence.
    pub length: f64,
    /// Time from start to start; 0 for an event that happens once.
    pub period: f64,
    /// Number of occurrences; 0 for no end (where `period` > 0).
    pub count: u32,
}

/// A checked model.
#[derive(Clone, Debug)]
pub struct Model {
    /// `name:` in the model's head, else the file's stem.
    pub name: String,
    /// Every other `key: value` of the model's head, in order.
    pub meta: Vec<(String, String)>,
    /// The whole text that it was read from.
    pub text: String,
    /// Every variable, in the order of the text.
    pub variables: Vec<Variable>,
    /// The states, in the order of their initial values.
    pub states: Vec<VariableId>,
    /// Variables such that each comes after all that it refers to (states count as known; a state's derivative does not come before what it needs).
    pub order: Vec<VariableId>,
    /// The pacing events of `[[protocol]]`.
    pub protocol: Vec<PacingEvent>,
    /// Milliseconds in one unit of the model's time, from the unit of the variable bound to time; 1 where it has none.
    pub ms_per_time: f64,
}

impl Model {
    /// The variable of that full name.
    pub fn find(&self, name: &str) -> Option<VariableId> {
        self.variables
            .iter()
            .position(|v| v.name == name)
            .map(VariableId)
    }

    /// The variable with that label.
    pub fn labelled(&self, label: &str) -> Option<VariableId> {
        self.variables
            .iter()
            .position(|v| v.label.as_deref() == Some(label))
            .map(VariableId)
    }

    /// The variable with that number.
    pub fn variable(&self, id: VariableId) -> &Variable {
        &self.variables[id.0]
    }

    /// The variable bound to an input, if any.
    pub fn bound(&self, input: &Bound) -> Option<VariableId> {
        self.variables
            .iter()
            .position(|v| matches!(&v.kind, VariableKind::Bound(b) if b == input))
            .map(VariableId)
    }
}
