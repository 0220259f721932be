//! What was written: the statements of a model's text with their places, names not yet resolved.

use super::checked::PacingEvent;
use crate::diag::Span;
use crate::units::Unit;

/// A name with its place.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub text: String,
    pub span: Span,
}

/// `key: value`
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub key: Word,
    pub value: String,
}

/// `component.variable = expression` in the model's head.
#[derive(Clone, Debug)]
pub(super) struct Initial {
    pub component: Word,
    pub variable: Word,
    /// `None` where it could not be read; the fault is reported.
    pub value: Option<Expr>,
}

/// `name(a, b) = expression` in the model's head: a template that is expanded where it is called.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub name: Word,
    pub arguments: Vec<Word>,
    pub body: Option<Expr>,
}

/// `use component.variable as name`
#[derive(Clone, Debug)]
pub(super) struct Alias {
    pub name: Word,
    pub component: Word,
    pub variable: Word,
}

/// `[name]` and what stands below it.
#[derive(Clone, Debug)]
pub(super) struct Component {
    pub name: Word,
    pub aliases: Vec<Alias>,
    /// Names in lines of aliases that could not be read: each may have been meant as one.
    pub lost: Vec<String>,
    pub variables: Vec<Variable>,
}

/// The definition of a variable.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub name: Word,
    /// Whether it is `dot(name)` that is defined.
    pub state: bool,
    /// `None` where there is none, or where it could not be read.
    pub rhs: Option<Expr>,
    /// Whether a part could not be read; the fault is reported.
    pub broken: bool,
    /// `in [unit]`
    pub unit: Option<(Unit, Span)>,
    pub binding: Option<Word>,
    pub label: Option<Word>,
    pub meta: Vec<Meta>,
    /// Variables nested in it.
    pub children: Vec<Variable>,
}

/// A file's model and protocol.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub meta: Vec<Meta>,
    pub initials: Vec<Initial>,
    pub templates: Vec<Template>,
    pub components: Vec<Component>,
    pub protocol: Vec<PacingEvent>,
}

/// An expression as written. Brackets leave no trace but in the span.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub kind: ExprKind,
    pub span: Span,
    /// Levels of the tree from here down: what recursion over it costs.
    pub height: usize,
}

/// The forms of an expression.
#[derive(Clone, Debug)]
pub(super) enum ExprKind {
    Number(f64, Option<Unit>),
    /// `name` or `component.name`
    Name(String),
    Prefix(Prefix, Box<Expr>),
    Infix(Infix, Box<Expr>, Box<Expr>),
    Call(Word, Vec<Expr>),
}

/// Operators before their operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Plus,
    Minus,
    Not,
}

/// Operators between their operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Infix {
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Add,
    Sub,
    Mul,
    Div,
    Quotient,
    Remainder,
    Power,
}

impl Prefix {
    /// How strongly it binds: below a power, above a product, `not` too.
    pub const BINDING: u8 = 50;
}

impl Infix {
    /// Every operator and its spelling.
    pub const ALL: [(Infix, &'static str); 15] = [
        (Infix::Or, "or"),
        (Infix::And, "and"),
        (Infix::Eq, "=="),
        (Infix::Ne, "!="),
        (Infix::Lt, "<"),
        (Infix::Le, "<="),
        (Infix::Gt, ">"),
        (Infix::Ge, ">="),
        (Infix::Add, "+"),
        (Infix::Sub, "-"),
        (Infix::Mul, "*"),
        (Infix::Div, "/"),
        (Infix::Quotient, "//"),
        (Infix::Remainder, "%"),
        (Infix::Power, "^"),
    ];

    /// The operator so spelled.
    pub fn from_symbol(symbol: &str) -> Option<Infix> {
        Infix::ALL
            .iter()
            .find(|(_, spelling)| *spelling == symbol)
            .map(|(infix, _)| *infix)
    }

    /// How strongly it binds. All of them group from the left, powers too; `and` binds no stronger than `or`.
    pub fn binding(self) -> u8 {
        match self {
            Infix::Or | Infix::And => 10,
            Infix::Eq | Infix::Ne | Infix::Lt | Infix::Le | Infix::Gt | Infix::Ge => 20,
            Infix::Add | Infix::Sub => 30,
            Infix::Mul | Infix::Div | Infix::Quotient | Infix::Remainder => 40,
            Infix::Power => 60,
        }
    }
}
