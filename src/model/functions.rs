//! From expressions as written to expressions of the checked model: operators and functions become ops, templates are
//! expanded, conditions and numbers are kept apart.

use std::collections::HashMap;

use super::checked::{Expr, ExprKind, VariableId};
use super::parse_expr::MAX_HEIGHT;
use super::resolve::Resolver;
use super::syntax::{self, Infix, Prefix, Word};
use super::{codes, templates};
use crate::diag::{Diagnostic, Span, nearest};
use crate::ops::{Op, UnitRule};

/// Nodes that the expansion of templates may give one expression.
const MAX_SIZE: usize = 100_000;

/// Functions that are no ops.
pub(super) const SPECIAL: [&str; 3] = ["if", "piecewise", "dot"];

/// Whether an expression gives a number or a truth value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Number,
    Condition,
    /// Its fault is reported.
    Unknown,
}

/// An expression and what is known of it.
#[derive(Clone)]
pub(super) struct Typed {
    pub expr: Expr,
    pub sort: Sort,
    pub height: usize,
    pub size: usize,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    /// The variable being defined; `None` in an initial value.
    pub at: Option<usize>,
    /// Inside a template: what its arguments stand for, and where it is called.
    pub template: Option<(&'c HashMap<&'c str, Typed>, Span)>,
    /// How many of the templates are known here.
    pub templates: usize,
}

/// What stands for an expression whose fault is reported.
pub(super) fn placeholder(span: Span) -> Expr {
    Expr {
        kind: ExprKind::Number(f64::NAN, None),
        span,
    }
}

/// The expression of a variable or an initial value, which is a number.
pub(super) fn number(
    resolver: &mut Resolver<'_, '_>,
    expr: &syntax::Expr,
    at: Option<usize>,
) -> Expr {
    // Templates are known to variables only.
    let templates = if at.is_some() {
        resolver.file.templates.len()
    } else {
        0
    };
    let typed = typed(
        resolver,
        expr,
        Context {
            at,
            template: None,
            templates,
        },
    );
    let what = if at.is_some() {
        "the value of a variable"
    } else {
        "an initial value"
    };
    wanted(resolver, &typed, Sort::Number, what);
    typed.expr
}

pub(super) fn unknown(span: Span) -> Typed {
    Typed {
        expr: placeholder(span),
        sort: Sort::Unknown,
        height: 1,
        size: 1,
    }
}

fn leaf(kind: ExprKind, span: Span) -> Typed {
    Typed {
        expr: Expr { kind, span },
        sort: Sort::Number,
        height: 1,
        size: 1,
    }
}

pub(super) fn typed(
    resolver: &mut Resolver<'_, '_>,
    expr: &syntax::Expr,
    context: Context<'_>,
) -> Typed {
    // Inside a template every place is the call's: that is where a person would look.
    let span = context.template.map_or(expr.span, |(_, call)| call);
    match &expr.kind {
        syntax::ExprKind::Number(value, unit) => leaf(ExprKind::Number(*value, *unit), span),
        syntax::ExprKind::Name(name) => {
            if let Some((arguments, _)) = context.template {
                return arguments
                    .get(name.as_str())
                    .cloned()
                    .unwrap_or_else(|| unknown(span));
            }
            match resolver.find(name, context.at) {
                Some(variable) => leaf(ExprKind::Variable(VariableId(variable)), span),
                None => {
                    resolver.undefined(name, span, context.at);
                    unknown(span)
                }
            }
        }
        syntax::ExprKind::Prefix(prefix, operand) => {
            let operand = typed(resolver, operand, context);
            match prefix {
                Prefix::Plus => {
                    wanted(resolver, &operand, Sort::Number, "the operand of '+'");
                    // Unary plus leaves no trace but in the span.
                    Typed {
                        expr: Expr {
                            span,
                            ..operand.expr
                        },
                        ..operand
                    }
                }
                Prefix::Minus => apply(resolver, Op::Neg, vec![operand], span, "'-'"),
                Prefix::Not => apply(resolver, Op::Not, vec![operand], span, "'not'"),
            }
        }
        syntax::ExprKind::Infix(..) => infix_chain(resolver, expr, context),
        syntax::ExprKind::Call(name, arguments) => call(resolver, name, arguments, span, context),
    }
}

/// Operators that group from the left, `((a + b) + c) + d`, in a loop: chains are long where recursion is dear.
fn infix_chain(
    resolver: &mut Resolver<'_, '_>,
    expr: &syntax::Expr,
    context: Context<'_>,
) -> Typed {
    let mut links = Vec::new();
    let mut first = expr;
    while let syntax::ExprKind::Infix(infix, left, right) = &first.kind {
        links.push((*infix, right, first.span));
        first = left;
    }
    let misplaced = links
        .last()
        .and_then(|(infix, ..)| misplaced_not(*infix, first));
    let mut found = match misplaced {
        Some(fault) => {
            resolver.faults.push(fault);
            unknown(first.span)
        }
        None => typed(resolver, first, context),
    };
    while let Some((infix, right, span)) = links.pop() {
        let span = context.template.map_or(span, |(_, call)| call);
        let right = typed(resolver, right, context);
        let op = op(infix);
        let what = format!("'{}'", symbol(op).unwrap_or_default());
        found = apply(resolver, op, vec![found, right], span, &what);
    }
    found
}

/// The operator between two operands that an op is; `None` for other ops.
pub(super) fn infix(wanted: Op) -> Option<Infix> {
    Infix::ALL
        .iter()
        .map(|(infix, _)| *infix)
        .find(|infix| op(*infix) == wanted)
}

/// The spelling of such an operator.
pub(super) fn symbol(wanted: Op) -> Option<&'static str> {
    Infix::ALL
        .iter()
        .find(|(infix, _)| op(*infix) == wanted)
        .map(|(_, symbol)| *symbol)
}

fn op(infix: Infix) -> Op {
    match infix {
        Infix::Or => Op::Or,
        Infix::And => Op::And,
        Infix::Eq => Op::Eq,
        Infix::Ne => Op::Ne,
        Infix::Lt => Op::Lt,
        Infix::Le => Op::Le,
        Infix::Gt => Op::Gt,
        Infix::Ge => Op::Ge,
        Infix::Add => Op::Add,
        Infix::Sub => Op::Sub,
        Infix::Mul => Op::Mul,
        Infix::Div => Op::Div,
        Infix::Quotient => Op::Quotient,
        Infix::Remainder => Op::Remainder,
        Infix::Power => Op::Pow,
    }
}

/// `not a > b`, which means `(not a) > b` and is never what is meant.
fn misplaced_not(infix: Infix, left: &syntax::Expr) -> Option<Diagnostic> {
    let syntax::ExprKind::Prefix(Prefix::Not, operand) = &left.kind else {
        return None;
    };
    // Brackets would reach beyond the operand.
    if op(infix).unit_rule() != UnitRule::Comparison || left.span.end > operand.span.end {
        return None;
    }
    let symbol = symbol(op(infix)).unwrap_or_default();
    let fault = Diagnostic::error(codes::SORT, format!("'not' binds stronger than '{symbol}'"));
    let fault = fault.at(left.span, "this is taken first");
    Some(fault.help(format!("put brackets: 'not (… {symbol} …)'")))
}

/// Reports a number where a condition is wanted and the reverse.
fn wanted(resolver: &mut Resolver<'_, '_>, found: &Typed, sort: Sort, what: &str) {
    if found.sort == sort || found.sort == Sort::Unknown {
        return;
    }
    let (expected, label, help) = match sort {
        Sort::Condition => (
            "a condition",
            "this is a number",
            "compare it, as in 'x > 0'",
        ),
        _ => (
            "a number",
            "this is a condition",
            "write 'if(condition, 1, 0)' to make it a number",
        ),
    };
    let fault = Diagnostic::error(codes::SORT, format!("{what} must be {expected}"));
    resolver
        .faults
        .push(fault.at(found.expr.span, label).help(help));
}

fn apply(
    resolver: &mut Resolver<'_, '_>,
    op: Op,
    arguments: Vec<Typed>,
    span: Span,
    what: &str,
) -> Typed {
    let rule = op.unit_rule();
    let sort = if rule == UnitRule::Logic {
        Sort::Condition
    } else {
        Sort::Number
    };
    for argument in &arguments {
        wanted(resolver, argument, sort, &format!("an operand of {what}"));
    }
    let sort = if matches!(rule, UnitRule::Logic | UnitRule::Comparison) {
        Sort::Condition
    } else {
        Sort::Number
    };
    let (height, size) = measure(&arguments);
    let arguments = arguments
        .into_iter()
        .map(|argument| argument.expr)
        .collect();
    limited(
        resolver,
        Typed {
            expr: Expr {
                kind: ExprKind::Apply(op, arguments),
                span,
            },
            sort,
            height,
            size,
        },
    )
}

fn measure(arguments: &[Typed]) -> (usize, usize) {
    let height = arguments
        .iter()
        .map(|argument| argument.height)
        .max()
        .unwrap_or(0);
    (
        1 + height,
        1 + arguments
            .iter()
            .map(|argument| argument.size)
            .sum::<usize>(),
    )
}

/// Templates can make small texts into huge expressions.
fn limited(resolver: &mut Resolver<'_, '_>, typed: Typed) -> Typed {
    if typed.height <= MAX_HEIGHT && typed.size <= MAX_SIZE {
        return typed;
    }
    let message =
        format!("functions expand to more than {MAX_SIZE} operations, or {MAX_HEIGHT} in a row");
    let fault = Diagnostic::error(codes::DEPTH, message).at(typed.expr.span, "");
    resolver
        .faults
        .push(fault.help("give parts of the expression a name of their own"));
    unknown(typed.expr.span)
}

fn call(
    resolver: &mut Resolver<'_, '_>,
    name: &Word,
    arguments: &[syntax::Expr],
    span: Span,
    context: Context<'_>,
) -> Typed {
    if name.text == "dot" {
        return derivative(resolver, arguments, name, span, context);
    }
    let found: Vec<Typed> = arguments
        .iter()
        .map(|argument| typed(resolver, argument, context))
        .collect();
    match (name.text.as_str(), Op::from_mmt_name(&name.text)) {
        ("if" | "piecewise", _) => piecewise(resolver, name, found, span),
        (_, Some(Op::Log)) if found.len() == 2 => {
            let what = "'log'";
            let logs: Vec<Typed> = found
                .into_iter()
                .map(|argument| {
                    let span = argument.expr.span;
                    apply(resolver, Op::Log, vec![argument], span, what)
                })
                .collect();
            apply(resolver, Op::Div, logs, span, what)
        }
        (_, Some(op)) if found.len() == op.arity() => {
            apply(resolver, op, found, span, &format!("'{}'", name.text))
        }
        (_, Some(op)) => {
            let takes = if op == Op::Log {
                "1 or 2".to_owned()
            } else {
                op.arity().to_string()
            };
            wrong_count(resolver, name, &takes, found.len(), span)
        }
        _ => templates::expand(resolver, name, &found, span, context),
    }
}

fn wrong_count(
    resolver: &mut Resolver<'_, '_>,
    name: &Word,
    takes: &str,
    found: usize,
    span: Span,
) -> Typed {
    let plural = if takes == "1" {
        "argument"
    } else {
        "arguments"
    };
    let message = format!("'{}' takes {takes} {plural}, found {found}", name.text);
    resolver
        .faults
        .push(Diagnostic::error(codes::ARGUMENTS, message).at(span, ""));
    unknown(span)
}

fn derivative(
    resolver: &mut Resolver<'_, '_>,
    arguments: &[syntax::Expr],
    name: &Word,
    span: Span,
    context: Context<'_>,
) -> Typed {
    if context.template.is_some() {
        let fault = Diagnostic::error(codes::TEMPLATE, "'dot' cannot be used in a function")
            .at(name.span, "");
        resolver
            .faults
            .push(fault.help("pass the derivative as an argument"));
        return unknown(span);
    }
    let [argument] = arguments else {
        return wrong_count(resolver, name, "1", arguments.len(), span);
    };
    let syntax::ExprKind::Name(variable) = &argument.kind else {
        let fault = Diagnostic::error(codes::NOT_A_STATE, "'dot' takes the name of a state");
        resolver
            .faults
            .push(fault.at(argument.span, "this is an expression"));
        return unknown(span);
    };
    let Some(found) = resolver.find(variable, context.at) else {
        resolver.undefined(variable, argument.span, context.at);
        return unknown(span);
    };
    let defined = &resolver.variables[found].syntax;
    if !defined.state {
        let fault = Diagnostic::error(
            codes::NOT_A_STATE,
            format!("'{variable}' is no state and has no derivative"),
        );
        let fault = fault
            .at(argument.span, "")
            .also(defined.name.span, "defined by its value here");
        resolver.faults.push(fault);
        return unknown(span);
    }
    leaf(ExprKind::Derivative(VariableId(found)), span)
}

fn piecewise(
    resolver: &mut Resolver<'_, '_>,
    name: &Word,
    arguments: Vec<Typed>,
    span: Span,
) -> Typed {
    let n = arguments.len();
    if name.text == "if" && n != 3 {
        return wrong_count(resolver, name, "3", n, span);
    }
    if n < 3 || n.is_multiple_of(2) {
        let message = format!(
            "'piecewise' takes pairs of condition and value, and a last value: 3, 5, … arguments, found {n}"
        );
        resolver
            .faults
            .push(Diagnostic::error(codes::ARGUMENTS, message).at(span, ""));
        return unknown(span);
    }
    let (height, size) = measure(&arguments);
    for (i, argument) in arguments.iter().enumerate() {
        let condition = i % 2 == 0 && i + 1 < n;
        let sort = if condition {
            Sort::Condition
        } else {
            Sort::Number
        };
        wanted(
            resolver,
            argument,
            sort,
            &format!("argument {} of '{}'", i + 1, name.text),
        );
    }
    let mut pieces = Vec::with_capacity(n / 2);
    let mut rest = arguments.into_iter().map(|argument| argument.expr);
    let mut last = None;
    while let Some(first) = rest.next() {
        match rest.next() {
            Some(value) => pieces.push((first, value)),
            None => last = Some(first),
        }
    }
    let last = last.unwrap_or_else(|| placeholder(span));
    let kind = ExprKind::Piecewise(pieces, Box::new(last));
    limited(
        resolver,
        Typed {
            expr: Expr { kind, span },
            sort: Sort::Number,
            height,
            size,
        },
    )
}

pub(super) fn unknown_function(
    resolver: &mut Resolver<'_, '_>,
    name: &Word,
    n: usize,
    span: Span,
    context: Context<'_>,
) -> Typed {
    let text = name.text.as_str();
    let file = resolver.file;
    let same = file
        .templates
        .iter()
        .position(|template| template.name.text == text);
    let fault =
        |message: String| Diagnostic::error(codes::UNKNOWN_FUNCTION, message).at(name.span, "");
    let fault = match (text, same) {
        ("diff" | "partial", _) => fault(format!(
            "partial derivatives, '{text}(…)', are not part of a model"
        ))
        .help("write the derivative out; 'dot(x)' is the time derivative of a state"),
        ("init", _) => {
            fault("initial values, 'init(…)', cannot be referred to in a model".to_owned())
                .help("give the initial value a name: a constant that both lines refer to")
        }
        ("and" | "or" | "not" | "in" | "use" | "as" | "bind" | "label", _) => {
            fault(format!("'{text}' is no function"))
                .help(format!("put a space behind it: '{text} ('"))
        }
        (_, Some(_)) if context.at.is_none() && context.template.is_none() => fault(format!(
            "the function '{text}' cannot be used in an initial value"
        )),
        (_, Some(template)) if file.templates[template].arguments.len() != n => {
            let takes = file.templates[template].arguments.len();
            return wrong_count(resolver, name, &takes.to_string(), n, span);
        }
        (_, Some(template)) => fault(format!(
            "the function '{text}' is defined only further down"
        ))
        .also(file.templates[template].name.span, "here"),
        _ => {
            let built_in = Op::ALL.iter().filter_map(|op| op.mmt_name()).chain(SPECIAL);
            let own = file.templates[..context.templates]
                .iter()
                .map(|template| template.name.text.as_str());
            let near = nearest(text, built_in.chain(own));
            let near = near.or(match text {
                "ln" => Some("log"),
                "pow" | "power" => Some("^"),
                "fabs" => Some("abs"),
                "ceiling" => Some("ceil"),
                _ => None,
            });
            fault(format!("there is no function '{text}'")).did_you_mean(near)
        }
    };
    resolver.faults.push(fault);
    unknown(span)
}
