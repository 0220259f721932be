//! From resolved names to a model: states and their initial values, bindings and labels, cycles, and an order of
//! evaluation.

use std::collections::HashMap;

use super::checked::{Bound, Expr, ExprKind, Model, Variable, VariableId, VariableKind};
use super::codes;
use super::resolve::{Drafts, references};
use super::syntax::{File, Word};
use crate::diag::{Diagnostic, Source, Span};
use crate::ops::Op;
use crate::units::Unit;

/// What the rest of the pipeline counts time in.
pub(super) const MILLISECOND: Unit = Unit {
    exponents: [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
    factor: 1e-3,
};

/// Builds the model. It is fit for use only where no fault was reported, by this stage or an earlier one.
pub(super) fn check(
    source: &Source,
    file: &File,
    drafts: &Drafts<'_>,
    faults: &mut Vec<Diagnostic>,
) -> Model {
    properties(drafts, faults);
    let graph = Graph::new(drafts);
    graph.cycles(drafts, faults);
    let order = graph.order();
    let states = states(drafts, faults);
    let kinds = kinds(drafts, &states, &order);
    initial_values(drafts, &kinds, faults);

    let variables: Vec<Variable> = drafts
        .variables
        .iter()
        .zip(kinds)
        .map(|(draft, kind)| {
            let span = draft.syntax.name.span;
            let rhs = draft.rhs.clone().unwrap_or(Expr {
                kind: ExprKind::Number(f64::NAN, None),
                span,
            });
            let description = draft
                .syntax
                .meta
                .iter()
                .find(|meta| meta.key.text == "desc");
            // A literal's unit is its variable's; of a state, the initial value is what may be one.
            let defining = match &kind {
                VariableKind::State { initial, .. } => initial,
                _ => &rhs,
            };
            let unit = literal(defining).and_then(|(_, unit)| unit);
            Variable {
                name: draft.name.clone(),
                unit: draft.declared.map(|(unit, _)| unit).or(unit),
                kind,
                rhs,
                description: description
                    .map(|meta| folded(&meta.value))
                    .filter(|text| !text.is_empty()),
                label: draft.syntax.label.as_ref().map(|label| label.text.clone()),
                span,
            }
        })
        .collect();
    let mut model = Model {
        name: String::new(),
        meta: Vec::new(),
        text: source.text.clone(),
        variables,
        states: states.into_iter().map(VariableId).collect(),
        order: order.into_iter().map(VariableId).collect(),
        protocol: file.protocol.clone(),
        ms_per_time: 1.0,
    };
    head(source, file, &mut model);
    time(source, &mut model, faults);
    model
}

/// A text in one line.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn head(source: &Source, file: &File, model: &mut Model) {
    for meta in &file.meta {
        if meta.key.text == "name" && !meta.value.is_empty() {
            model.name = folded(&meta.value);
        } else if meta.key.text != "name" {
            model.meta.push((meta.key.text.clone(), meta.value.clone()));
        }
    }
    if model.name.is_empty() {
        let stem = std::path::Path::new(&source.name).file_stem();
        model.name = stem.map_or_else(
            || source.name.clone(),
            |stem| stem.to_string_lossy().into_owned(),
        );
    }
}

fn time(source: &Source, model: &mut Model, faults: &mut Vec<Diagnostic>) {
    match model.bound(&Bound::Time) {
        Some(id) => {
            let unit = model.variable(id).unit;
            let factor = unit.and_then(|unit| unit.factor_to(MILLISECOND));
            model.ms_per_time = factor.unwrap_or(1.0);
        }
        None if model.variables.is_empty() => {}
        None => {
            // Where the header is missing, which is a fault of its own, the first character stands for it.
            let header = source.text.find("[[model]]");
            let first = source.text.chars().next().map_or(0, char::len_utf8);
            let span = match header {
                Some(start) => Span::new(start, start + "[[model]]".len()),
                None => Span::new(0, first),
            };
            let fault = Diagnostic::warning(codes::NO_TIME, "this model has no time variable");
            let help = "add 'time = 0 [ms] in [ms] bind time'; without it, time is in ms";
            faults.push(fault.at(span, "").help(help));
        }
    }
}

/// Right-hand sides are there; bindings and labels are unique and fit.
fn properties(drafts: &Drafts<'_>, faults: &mut Vec<Diagnostic>) {
    let mut taken: HashMap<&str, (&Word, &str)> = HashMap::new();
    for draft in &drafts.variables {
        let (syntax, name) = (draft.syntax, draft.syntax.name.text.as_str());
        if syntax.rhs.is_none() && !syntax.broken {
            let what = if syntax.state {
                format!("'dot({name})'")
            } else {
                format!("'{name}'")
            };
            let fault = Diagnostic::error(codes::NO_RHS, format!("{what} has no value"));
            let fault = fault.at(syntax.name.span, "");
            let help = if syntax.binding.is_some() {
                "an input needs a value for where there is no input: 'time = 0 bind time'"
            } else {
                "write '= expression' behind the name"
            };
            faults.push(fault.help(help));
        }
        if let (true, Some(binding)) = (syntax.state, &syntax.binding) {
            let fault = Diagnostic::error(
                codes::BOUND_STATE,
                format!("the state '{name}' cannot be an input"),
            );
            faults.push(fault.at(binding.span, "").also(syntax.name.span, "a state"));
        }
        for (word, what) in [(&syntax.binding, "binding"), (&syntax.label, "label")] {
            let Some(word) = word else { continue };
            match taken.get(word.text.as_str()) {
                Some((first, kind)) => {
                    let message =
                        format!("the {what} '{}' is already given as a {kind}", word.text);
                    let fault = Diagnostic::error(codes::DOUBLED_BINDING, message);
                    faults.push(
                        fault
                            .at(word.span, "again here")
                            .also(first.span, "first here"),
                    );
                }
                None => {
                    taken.insert(&word.text, (word, what));
                }
            }
        }
    }
}

/// The states in the order of their initial values.
fn states(drafts: &Drafts<'_>, faults: &mut Vec<Diagnostic>) -> Vec<usize> {
    let states: Vec<usize> = drafts
        .initials
        .iter()
        .map(|initial| initial.state)
        .collect();
    let with: std::collections::HashSet<usize> = states.iter().copied().collect();
    for (i, draft) in drafts.variables.iter().enumerate() {
        if draft.syntax.state && !with.contains(&i) {
            let fault = Diagnostic::error(
                codes::NO_INITIAL,
                format!("the state '{}' has no initial value", draft.name),
            );
            let help = format!("write '{} = …' above the first component", draft.name);
            faults.push(fault.at(draft.syntax.name.span, "").help(help));
        }
    }
    states
}

/// The number that an expression is, signs applied, and its unit.
pub(super) fn literal(expr: &Expr) -> Option<(f64, Option<Unit>)> {
    match &expr.kind {
        ExprKind::Number(value, unit) => Some((*value, *unit)),
        ExprKind::Apply(Op::Neg, arguments) => {
            let (value, unit) = literal(arguments.first()?)?;
            Some((-value, unit))
        }
        _ => None,
    }
}

fn kinds(drafts: &Drafts<'_>, states: &[usize], order: &[usize]) -> Vec<VariableKind> {
    let mut kinds = vec![VariableKind::Intermediate; drafts.variables.len()];
    for (index, (state, initial)) in states.iter().zip(&drafts.initials).enumerate() {
        kinds[*state] = VariableKind::State {
            index,
            initial: initial.value.clone(),
        };
    }
    for &i in order {
        let draft = &drafts.variables[i];
        if draft.syntax.state {
            continue;
        }
        if let Some(binding) = &draft.syntax.binding {
            kinds[i] = VariableKind::Bound(match binding.text.as_str() {
                "time" => Bound::Time,
                "pace" => Bound::Pace,
                other => Bound::Other(other.to_owned()),
            });
            continue;
        }
        let Some(rhs) = &draft.rhs else { continue };
        if let Some((value, _)) = literal(rhs) {
            kinds[i] = VariableKind::Literal(value);
            continue;
        }
        let mut constant = true;
        references(rhs, &mut |id, _, _| constant &= is_constant(&kinds[id.0]));
        if constant {
            kinds[i] = VariableKind::Constant;
        }
    }
    kinds
}

fn is_constant(kind: &VariableKind) -> bool {
    matches!(kind, VariableKind::Literal(_) | VariableKind::Constant)
}

fn initial_values(drafts: &Drafts<'_>, kinds: &[VariableKind], faults: &mut Vec<Diagnostic>) {
    for initial in &drafts.initials {
        references(&initial.value, &mut |id, _, span| {
            if is_constant(&kinds[id.0]) {
                return;
            }
            let name = &drafts.variables[initial.state].name;
            let message = format!("the initial value of '{name}' is not constant");
            let what = match kinds[id.0] {
                VariableKind::State { .. } => "this is a state",
                VariableKind::Bound(_) => "this is an input",
                _ => "this changes in time",
            };
            let fault = Diagnostic::error(codes::INITIAL_NOT_CONSTANT, message).at(span, what);
            let defined = drafts.variables[id.0].syntax.name.span;
            faults.push(
                fault
                    .also(defined, "defined here")
                    .help("an initial value refers to numbers and constants only"),
            );
        });
    }
}

/// Who needs whom: from a variable to those whose value, or derivative, its right-hand side refers to.
struct Graph {
    needs: Vec<Vec<usize>>,
}

impl Graph {
    fn new(drafts: &Drafts<'_>) -> Self {
        let needs = drafts.variables.iter().map(|draft| {
            let mut needs = Vec::new();
            let Some(rhs) = &draft.rhs else { return needs };
            references(rhs, &mut |id, derivative, _| {
                // The value of a state is known; its derivative is not.
                if (derivative || !drafts.variables[id.0].syntax.state) && !needs.contains(&id.0) {
                    needs.push(id.0);
                }
            });
            needs
        });
        Graph {
            needs: needs.collect(),
        }
    }

    /// Every variable after those it needs, else in the order of the text. Members of a cycle come somewhere.
    fn order(&self) -> Vec<usize> {
        let n = self.needs.len();
        let mut seen = vec![false; n];
        let mut order = Vec::with_capacity(n);
        // A stack of its own: chains of variables may be longer than the machine's.
        let mut stack: Vec<(usize, usize)> = Vec::new();
        for root in 0..n {
            if !seen[root] {
                seen[root] = true;
                stack.push((root, 0));
            }
            while let Some((variable, next)) = stack.last_mut() {
                match self.needs[*variable].get(*next) {
                    Some(&needed) => {
                        *next += 1;
                        if !seen[needed] {
                            seen[needed] = true;
                            stack.push((needed, 0));
                        }
                    }
                    None => {
                        order.push(*variable);
                        stack.pop();
                    }
                }
            }
        }
        order
    }

    /// Groups of variables each of which needs, directly or not, all of its group (Tarjan 1972).
    fn groups(&self) -> Vec<Vec<usize>> {
        const NEW: usize = usize::MAX;
        let n = self.needs.len();
        let (mut number, mut low, mut on_path) = (vec![NEW; n], vec![0; n], vec![false; n]);
        let (mut path, mut groups, mut count) = (Vec::new(), Vec::new(), 0);
        let mut stack: Vec<(usize, usize)> = Vec::new();
        for root in 0..n {
            if number[root] == NEW {
                stack.push((root, 0));
            }
            while let Some((variable, next)) = stack.last().copied() {
                if next == 0 && number[variable] == NEW {
                    (number[variable], low[variable]) = (count, count);
                    count += 1;
                    path.push(variable);
                    on_path[variable] = true;
                }
                if let Some(&needed) = self.needs[variable].get(next) {
                    stack.last_mut().expect("just looked at").1 += 1;
                    if number[needed] == NEW {
                        stack.push((needed, 0));
                    } else if on_path[needed] {
                        low[variable] = low[variable].min(number[needed]);
                    }
                    continue;
                }
                stack.pop();
                if let Some((before, _)) = stack.last() {
                    low[*before] = low[*before].min(low[variable]);
                }
                if low[variable] == number[variable] {
                    let start = path
                        .iter()
                        .rposition(|member| *member == variable)
                        .unwrap_or(0);
                    let group = path.split_off(start);
                    group.iter().for_each(|member| on_path[*member] = false);
                    groups.push(group);
                }
            }
        }
        groups
    }

    fn cycles(&self, drafts: &Drafts<'_>, faults: &mut Vec<Diagnostic>) {
        for mut group in self.groups() {
            group.sort_unstable();
            let first = group[0];
            if group.len() == 1 && !self.needs[first].contains(&first) {
                continue;
            }
            let cycle = self.shortest(first, &group);
            let shown = |i: usize| {
                let draft = &drafts.variables[i];
                if draft.syntax.state {
                    format!("dot({})", draft.name)
                } else {
                    draft.name.clone()
                }
            };
            let names: Vec<String> = cycle.iter().chain([&first]).map(|i| shown(*i)).collect();
            let message = format!("a cycle: {}", names.join(" -> "));
            let label = |i: usize| {
                let at = cycle.iter().position(|member| *member == i);
                match at {
                    Some(at) => format!("needs '{}'", shown(cycle[(at + 1) % cycle.len()])),
                    None => "needs one of the cycle, and is needed by it".to_owned(),
                }
            };
            let mut fault = Diagnostic::error(codes::CYCLE, message)
                .at(drafts.variables[first].syntax.name.span, label(first));
            for member in cycle
                .iter()
                .chain(group.iter().filter(|member| !cycle.contains(member)))
            {
                if *member != first {
                    fault = fault.also(drafts.variables[*member].syntax.name.span, label(*member));
                }
            }
            faults.push(fault.help("a variable cannot be computed from itself; one of these must be a state or not refer to the next"));
        }
    }

    /// The shortest way from a variable back to itself within its group.
    fn shortest(&self, first: usize, group: &[usize]) -> Vec<usize> {
        let mut from: HashMap<usize, usize> = HashMap::new();
        let mut queue = std::collections::VecDeque::from([first]);
        while let Some(variable) = queue.pop_front() {
            if self.needs[variable].contains(&first) {
                let mut cycle = vec![variable];
                let mut at = variable;
                while at != first {
                    at = from[&at];
                    cycle.push(at);
                }
                cycle.reverse();
                return cycle;
            }
            for &needed in &self.needs[variable] {
                if needed != first
                    && group.binary_search(&needed).is_ok()
                    && !from.contains_key(&needed)
                {
                    from.insert(needed, variable);
                    queue.push_back(needed);
                }
            }
        }
        vec![first]
    }
}
