//! A model as text: what [`super::read`] reads as the same model again.
//!
//! The text is canonical: templates are expanded, aliases gone, brackets only where the language needs them. Comments
//! and meta-data that the model does not keep are lost.

use std::fmt::Write;

use super::checked::{Bound, Expr, ExprKind, Model, Variable, VariableId, VariableKind};
use super::functions;
use super::syntax::{Infix, Prefix};
use crate::ops::Op;

/// Writes a model as `.mmt` text, its protocol included.
pub fn print(model: &Model) -> String {
    let mut text = String::from("[[model]]\n");
    property(&mut text, "", "name", &model.name);
    for (key, value) in &model.meta {
        property(&mut text, "", key, value);
    }
    for id in &model.states {
        let variable = model.variable(*id);
        if let VariableKind::State { initial, .. } = &variable.kind {
            let value = expression(model, initial, None);
            let _ = writeln!(text, "{} = {value}", variable.name);
        }
    }
    let mut component = "";
    for (i, variable) in model.variables.iter().enumerate() {
        let own = component_of(variable);
        if own != component {
            let _ = write!(text, "\n[{own}]\n");
            component = own;
        }
        definition(&mut text, model, VariableId(i));
    }
    if !model.protocol.is_empty() {
        text.push_str("\n[[protocol]]\n# level start length period multiplier\n");
        for event in &model.protocol {
            let numbers = [event.level, event.start, event.length, event.period].map(number);
            let _ = writeln!(text, "{} {}", numbers.join(" "), event.count);
        }
    }
    text
}

fn component_of(variable: &Variable) -> &str {
    variable.name.split('.').next().unwrap_or_default()
}

fn local(variable: &Variable) -> &str {
    variable.name.rsplit('.').next().unwrap_or_default()
}

fn property(text: &mut String, indent: &str, key: &str, value: &str) {
    let plain = !value.contains(['#', '\n', '\r'])
        && !value.ends_with('\\')
        && !value.starts_with("\"\"\"");
    if plain {
        let _ = writeln!(text, "{indent}{key}: {value}");
        return;
    }
    let _ = writeln!(text, "{indent}{key}: \"\"\"");
    for line in value.lines() {
        let _ = writeln!(text, "{indent}    {line}");
    }
    let _ = writeln!(text, "{indent}    \"\"\"");
}

fn definition(text: &mut String, model: &Model, id: VariableId) {
    let variable = model.variable(id);
    // The component is one level, each variable around this one another.
    let indent = "    ".repeat(variable.name.matches('.').count().saturating_sub(1));
    let rhs = expression(model, &variable.rhs, Some(variable));
    let name = local(variable);
    let _ = match &variable.kind {
        VariableKind::State { .. } => writeln!(text, "{indent}dot({name}) = {rhs}"),
        _ => writeln!(text, "{indent}{name} = {rhs}"),
    };
    if let Some(unit) = variable.unit {
        let _ = writeln!(text, "{indent}    in [{unit}]");
    }
    if let VariableKind::Bound(bound) = &variable.kind {
        let input = match bound {
            Bound::Time => "time",
            Bound::Pace => "pace",
            Bound::Other(other) => other,
        };
        let _ = writeln!(text, "{indent}    bind {input}");
    }
    if let Some(label) = &variable.label {
        let _ = writeln!(text, "{indent}    label {label}");
    }
    if let Some(description) = &variable.description {
        property(text, &format!("{indent}    "), "desc", description);
    }
}

/// The expression as it stands in the definition of `at`, or in an initial value.
fn expression(model: &Model, expr: &Expr, at: Option<&Variable>) -> String {
    let mut printer = Printer {
        model,
        at,
        text: String::new(),
    };
    printer.expr(expr);
    printer.text
}

struct Printer<'a> {
    model: &'a Model,
    at: Option<&'a Variable>,
    text: String,
}

/// Binds stronger than any operator.
const ATOM: u8 = u8::MAX;

/// How strongly the outermost operator of an expression binds.
fn binding(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Number(value, _) if value.is_sign_negative() && !value.is_nan() => {
            Prefix::BINDING
        }
        ExprKind::Apply(Op::Neg | Op::Not, _) => Prefix::BINDING,
        ExprKind::Apply(op, _) => functions::infix(*op).map_or(ATOM, Infix::binding),
        _ => ATOM,
    }
}

impl Printer<'_> {
    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Number(value, unit) => {
                self.text.push_str(&number(*value));
                if let Some(unit) = unit {
                    let _ = write!(self.text, " [{unit}]");
                }
            }
            ExprKind::Variable(id) => self.name(*id),
            ExprKind::Derivative(id) => {
                self.text.push_str("dot(");
                self.name(*id);
                self.text.push(')');
            }
            ExprKind::Apply(op, arguments) => self.apply(*op, arguments),
            ExprKind::Piecewise(pieces, last) => {
                self.text.push_str(if pieces.len() == 1 {
                    "if("
                } else {
                    "piecewise("
                });
                for (condition, value) in pieces {
                    self.expr(condition);
                    self.text.push_str(", ");
                    self.expr(value);
                    self.text.push_str(", ");
                }
                self.expr(last);
                self.text.push(')');
            }
        }
    }

    fn apply(&mut self, op: Op, arguments: &[Expr]) {
        match (op, arguments, functions::infix(op)) {
            (Op::Neg | Op::Not, [operand], _) => {
                self.text.push_str(if op == Op::Neg { "-" } else { "not " });
                self.bracketed(operand, binding(operand) < Prefix::BINDING);
            }
            (_, [left, right], Some(infix)) => {
                // Every operator groups from the left.
                self.bracketed(left, binding(left) < infix.binding());
                let symbol = functions::symbol(op).unwrap_or_default();
                let _ = match infix {
                    Infix::Power => write!(self.text, "{symbol}"),
                    _ => write!(self.text, " {symbol} "),
                };
                self.bracketed(right, binding(right) <= infix.binding());
            }
            _ => {
                self.text.push_str(op.mmt_name().unwrap_or(op.name()));
                self.text.push('(');
                for (i, argument) in arguments.iter().enumerate() {
                    if i > 0 {
                        self.text.push_str(", ");
                    }
                    self.expr(argument);
                }
                self.text.push(')');
            }
        }
    }

    fn bracketed(&mut self, expr: &Expr, brackets: bool) {
        if brackets {
            self.text.push('(');
        }
        self.expr(expr);
        if brackets {
            self.text.push(')');
        }
    }

    fn name(&mut self, id: VariableId) {
        let variable = self.model.variable(id);
        let nested = variable.name.matches('.').count() > 1;
        let own = self
            .at
            .is_some_and(|at| component_of(at) == component_of(variable));
        self.text.push_str(if nested || own {
            local(variable)
        } else {
            &variable.name
        });
    }
}

/// The shortest text of a number, with a power of ten where that is shorter.
fn number(x: f64) -> String {
    if x.is_nan() {
        return "nan".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 {
            "infinity".to_owned()
        } else {
            "-infinity".to_owned()
        };
    }
    let (plain, scientific) = (format!("{x}"), format!("{x:e}"));
    if plain.len() <= scientific.len() + 2 {
        plain
    } else {
        scientific
    }
}
