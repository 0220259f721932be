//! Units: what each expression is in, and where two known units do not fit.
//!
//! A number or variable without a unit fits anything, and so does every product it takes part in. Nothing is converted: a
//! fault here means that the arithmetic of the model adds or compares numbers of different scales.

use super::check::MILLISECOND;
use super::checked::{Bound, Expr, ExprKind, Model, VariableId, VariableKind};
use super::resolve::Drafts;
use super::{codes, functions};
use crate::diag::{Diagnostic, Source, Span};
use crate::ops::{Op, UnitRule};
use crate::units::Unit;

/// Every fault of units in a model, as errors.
pub(super) fn check_units(source: &Source, drafts: &Drafts<'_>, model: &Model) -> Vec<Diagnostic> {
    let time = model
        .bound(&Bound::Time)
        .and_then(|id| model.variable(id).unit);
    let mut checker = Checker {
        source,
        drafts,
        model,
        time,
        constants: Vec::new(),
        faults: Vec::new(),
    };
    checker.constants();
    checker.time_unit();
    for i in 0..model.variables.len() {
        checker.variable(VariableId(i));
    }
    checker.faults
}

struct Checker<'a> {
    source: &'a Source,
    drafts: &'a Drafts<'a>,
    model: &'a Model,
    time: Option<Unit>,
    /// The values of variables that are constant, for exponents.
    constants: Vec<Option<f64>>,
    faults: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn constants(&mut self) {
        let mut constants = vec![None; self.model.variables.len()];
        for id in &self.model.order {
            let variable = self.model.variable(*id);
            if matches!(
                variable.kind,
                VariableKind::Literal(_) | VariableKind::Constant
            ) {
                constants[id.0] = value(&variable.rhs, &constants);
            }
        }
        self.constants = constants;
    }

    /// The unit of time is a time, or none.
    fn time_unit(&mut self) {
        let (Some(id), Some(unit)) = (self.model.bound(&Bound::Time), self.time) else {
            return;
        };
        if unit.is_dimensionless() || unit.same_dimension(MILLISECOND) {
            return;
        }
        let draft = &self.drafts.variables[id.0];
        let span = draft
            .declared
            .map_or(draft.syntax.name.span, |(_, span)| span);
        let message = format!("the unit of time is a time, found [{unit}]");
        let fault = Diagnostic::error(codes::TIME_UNIT, message).at(span, "");
        self.faults.push(fault.help("write [ms] or [s]"));
    }

    fn variable(&mut self, id: VariableId) {
        let model = self.model;
        let variable = model.variable(id);
        let found = self.unit(&variable.rhs);
        let (name, unit) = (&variable.name, variable.unit);
        let VariableKind::State { initial, .. } = &variable.kind else {
            let wanted = (unit, self.spelled(id));
            return self.declared(&format!("'{name}'"), &variable.rhs, found, wanted, id);
        };
        let rate = unit.zip(self.time).map(|(unit, time)| unit.over(time));
        let wanted = (rate, self.spelled_rate(id));
        self.declared(
            &format!("the derivative of '{name}'"),
            &variable.rhs,
            found,
            wanted,
            id,
        );
        let found = self.unit(initial);
        let wanted = (unit, self.spelled(id));
        self.declared(
            &format!("the initial value of '{name}'"),
            initial,
            found,
            wanted,
            id,
        );
    }

    /// Compares what was found with what is wanted, which is `wanted.0` and shown as `wanted.1`.
    fn declared(
        &mut self,
        what: &str,
        expr: &Expr,
        found: Option<Unit>,
        (wanted, spelled): (Option<Unit>, String),
        id: VariableId,
    ) {
        let (Some(found), Some(wanted)) = (found, wanted) else {
            return;
        };
        if found.is_close(wanted) {
            return;
        }
        let shown = self.shown(expr, found);
        let message = format!("{what} should be in {spelled}, but is in {shown}");
        let mut fault = Diagnostic::error(codes::NOT_AS_DECLARED, message)
            .at(expr.span, format!("this is in {shown}"));
        if let Some((_, span)) = self.drafts.variables[id.0].declared {
            fault = fault.also(span, "declared here");
        }
        self.faults
            .push(scale_help(fault, (found, &shown), (wanted, &spelled)));
    }

    /// A variable's unit as its declaration spells it.
    fn spelled(&self, id: VariableId) -> String {
        match (
            self.drafts.variables[id.0].declared,
            self.model.variable(id).unit,
        ) {
            (Some((_, span)), _) => self.source.slice(span).to_owned(),
            (None, Some(unit)) => format!("[{unit}]"),
            (None, None) => String::new(),
        }
    }

    /// `[mV/ms]` for a state in `[mV]`.
    fn spelled_rate(&self, state: VariableId) -> String {
        let time = self
            .model
            .bound(&Bound::Time)
            .map_or_else(String::new, |id| self.spelled(id));
        let time = time.trim_matches(['[', ']']).trim();
        let state = self.spelled(state);
        let state = state.trim_matches(['[', ']']).trim();
        if time.chars().all(char::is_alphanumeric) && !state.contains('(') {
            format!("[{state}/{time}]")
        } else {
            format!("[{state}] per [{time}]")
        }
    }

    /// A unit as the text spells it where it does, else as it is printed.
    fn shown(&self, expr: &Expr, unit: Unit) -> String {
        let spelled = match &expr.kind {
            ExprKind::Variable(id) => self.drafts.variables[id.0]
                .declared
                .map(|(_, span)| self.source.slice(span)),
            ExprKind::Number(_, Some(_)) => self
                .source
                .slice(expr.span)
                .find('[')
                .map(|i| &self.source.slice(expr.span)[i..]),
            _ => None,
        };
        match spelled {
            Some(text) if Unit::parse(text).is_ok_and(|parsed| parsed.is_close(unit)) => {
                text.to_owned()
            }
            _ => format!("[{unit}]"),
        }
    }

    fn unit(&mut self, expr: &Expr) -> Option<Unit> {
        match &expr.kind {
            ExprKind::Number(_, unit) => *unit,
            ExprKind::Variable(id) => self.model.variable(*id).unit,
            ExprKind::Derivative(id) => Some(self.model.variable(*id).unit?.over(self.time?)),
            ExprKind::Apply(op, arguments) => self.apply(*op, arguments),
            ExprKind::Piecewise(pieces, last) => {
                for (condition, _) in pieces {
                    self.unit(condition);
                }
                let branches = pieces.iter().map(|(_, value)| value).chain([&**last]);
                self.same(
                    branches,
                    "the branches of a choice are in different units",
                    None,
                )
            }
        }
    }

    fn apply(&mut self, op: Op, arguments: &[Expr]) -> Option<Unit> {
        match op.unit_rule() {
            UnitRule::Same => self.same(
                arguments.iter(),
                same_message(op),
                self.operator(op, arguments),
            ),
            UnitRule::Comparison => {
                self.same(
                    arguments.iter(),
                    "compared numbers are in different units",
                    self.operator(op, arguments),
                );
                Some(Unit::DIMENSIONLESS)
            }
            UnitRule::Logic => {
                for argument in arguments {
                    self.unit(argument);
                }
                Some(Unit::DIMENSIONLESS)
            }
            UnitRule::Product => self.both(arguments).map(|(a, b)| a.times(b)),
            UnitRule::Quotient => self.both(arguments).map(|(a, b)| a.over(b)),
            UnitRule::Root => arguments
                .first()
                .and_then(|argument| self.unit(argument))
                .map(|unit| unit.root(2.0)),
            UnitRule::Dimensionless => {
                for argument in arguments {
                    if let Some(unit) = self.unit(argument)
                        && !unit.is_dimensionless()
                    {
                        self.not_dimensionless(op, argument, unit);
                    }
                }
                Some(Unit::DIMENSIONLESS)
            }
            UnitRule::Power => self.power(arguments),
            UnitRule::Internal => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn not_dimensionless(&mut self, op: Op, argument: &Expr, unit: Unit) {
        let name = op.mmt_name().unwrap_or("the function");
        let shown = self.shown(argument, unit);
        let message = format!("'{name}' takes a number without unit, found {shown}");
        let fault = Diagnostic::error(codes::NOT_DIMENSIONLESS, message)
            .at(argument.span, format!("this is in {shown}"));
        let help = match unit.factor_to(Unit::DIMENSIONLESS) {
            Some(factor) => format!(
                "this is a pure number times {factor}: multiply it by 1 [{}]",
                Unit::DIMENSIONLESS.over(unit)
            ),
            None => format!("divide it by 1 {shown}"),
        };
        self.faults.push(fault.help(help));
    }

    fn both(&mut self, arguments: &[Expr]) -> Option<(Unit, Unit)> {
        let [a, b] = arguments else { return None };
        // Both sides are looked at, whatever the first gives.
        let (a, b) = (self.unit(a), self.unit(b));
        a.zip(b)
    }

    #[inline(never)]
    fn power(&mut self, arguments: &[Expr]) -> Option<Unit> {
        let [base, exponent] = arguments else {
            return None;
        };
        let (unit, power) = (self.unit(base), self.unit(exponent));
        if let Some(power) = power.filter(|power| !power.is_dimensionless()) {
            let shown = self.shown(exponent, power);
            let fault = Diagnostic::error(
                codes::EXPONENT,
                format!("an exponent has no unit, found {shown}"),
            );
            self.faults
                .push(fault.at(exponent.span, format!("this is in {shown}")));
            return None;
        }
        let unit = unit?;
        match value(exponent, &self.constants) {
            _ if unit.is_dimensionless() => Some(unit),
            Some(power) if power.is_finite() => Some(unit.powf(power)),
            Some(_) => None,
            None => {
                let shown = self.shown(base, unit);
                let fault = Diagnostic::error(
                    codes::EXPONENT,
                    format!("a power of {shown} has a constant exponent"),
                );
                let fault = fault
                    .at(exponent.span, "this changes in time")
                    .also(base.span, format!("this is in {shown}"));
                self.faults
                    .push(fault.help(format!("divide the base by 1 {shown}")));
                None
            }
        }
    }

    /// The one unit that all have, as far as it is known.
    fn same<'e>(
        &mut self,
        all: impl Iterator<Item = &'e Expr>,
        message: &str,
        at: Option<Span>,
    ) -> Option<Unit> {
        let mut known: Option<(Unit, &Expr)> = None;
        for expr in all {
            let Some(unit) = self.unit(expr) else {
                continue;
            };
            match known {
                None => known = Some((unit, expr)),
                Some(first) if !first.0.is_close(unit) => {
                    self.differ(message, at, first, (unit, expr));
                }
                Some(_) => {}
            }
        }
        known.map(|(unit, _)| unit)
    }

    // Reports stand apart from the recursion, whose frames they would swell.

    #[cold]
    #[inline(never)]
    fn differ(
        &mut self,
        message: &str,
        at: Option<Span>,
        (first, one): (Unit, &Expr),
        (unit, expr): (Unit, &Expr),
    ) {
        let (a, b) = (self.shown(one, first), self.shown(expr, unit));
        let fault = Diagnostic::error(codes::UNITS_DIFFER, format!("{message}: {a} and {b}"));
        let (there, here) = (format!("this is in {a}"), format!("this is in {b}"));
        let fault = match at {
            Some(at) => fault.at(at, "").also(one.span, there).also(expr.span, here),
            None => fault.at(expr.span, here).also(one.span, there),
        };
        self.faults.push(scale_help(fault, (unit, &b), (first, &a)));
    }

    /// The place of an operator between its operands.
    fn operator(&self, op: Op, arguments: &[Expr]) -> Option<Span> {
        let [left, right] = arguments else {
            return None;
        };
        let symbol = functions::symbol(op)?;
        let mut at = left.span.end;
        loop {
            // Blanks, line breaks and comments may come before it.
            let rest = self.source.text.get(at..right.span.start)?;
            at += rest.len()
                - rest
                    .trim_start_matches(|c: char| c.is_whitespace() || c == '\\')
                    .len();
            let rest = self.source.text.get(at..right.span.start)?;
            if rest.starts_with(symbol) {
                return Some(Span::new(at, at + symbol.len()));
            }
            at += rest.strip_prefix('#')?.find(['\n', '\r'])?;
        }
    }
}

fn same_message(op: Op) -> &'static str {
    match op {
        Op::Add => "added numbers are in different units",
        Op::Sub => "subtracted numbers are in different units",
        Op::Remainder => "a remainder's numbers are in different units",
        _ => "these numbers are in different units",
    }
}

/// Says by how much two units of one dimension differ.
fn scale_help(fault: Diagnostic, found: (Unit, &str), wanted: (Unit, &str)) -> Diagnostic {
    let Some(factor) = found.0.factor_to(wanted.0) else {
        return fault;
    };
    let inner = |text: &str| text.trim_matches(['[', ']']).to_owned();
    let (of, to) = (inner(found.1), inner(wanted.1));
    let plain = |text: &str| {
        text.starts_with(char::is_alphabetic) && text.chars().all(char::is_alphanumeric)
    };
    let ratio = if plain(&of) && plain(&to) {
        format!("[{to}/{of}]")
    } else {
        format!("[{}]", wanted.0.over(found.0))
    };
    fault.help(format!(
        "1 {} is {factor} {}: multiply by {factor} {ratio}",
        found.1, wanted.1
    ))
}

/// The value of an expression of constants.
fn value(expr: &Expr, constants: &[Option<f64>]) -> Option<f64> {
    match &expr.kind {
        ExprKind::Number(value, _) => Some(*value),
        ExprKind::Variable(id) => constants[id.0],
        ExprKind::Derivative(_) => None,
        ExprKind::Apply(op, arguments) => {
            let mut values = [0.0; 3];
            for (slot, argument) in values.iter_mut().zip(arguments) {
                *slot = value(argument, constants)?;
            }
            let [a, b, c] = values;
            Some(crate::ops::eval(*op, a, b, c))
        }
        ExprKind::Piecewise(pieces, last) => {
            for (condition, branch) in pieces {
                if value(condition, constants)? != 0.0 {
                    return value(branch, constants);
                }
            }
            value(last, constants)
        }
    }
}
