//! From names to variables: scopes, aliases, functions; and from what was written to expressions of the checked model.
//!
//! A name in an expression means, in this order: an alias of the component; a variable nested in the one being defined; one
//! beside it; one beside each variable around it, up to the component. `component.name` means that component's variable.
//! Names of one component may not hide each other, so there is never a doubt.

use std::collections::{HashMap, HashSet};

use super::checked::{Expr, ExprKind, VariableId};
use super::syntax::{self, File};
use super::{codes, functions, templates};
use crate::diag::{Diagnostic, Span, nearest};
use crate::units::Unit;

/// Faults beyond which no more suggestions are looked for: each costs a comparison with every name.
const MAX_SUGGESTIONS: usize = 200;

/// A variable with its names resolved.
pub(super) struct Draft<'a> {
    pub name: String,
    pub syntax: &'a syntax::Variable,
    /// Index of its component.
    pub component: usize,
    /// The variable that it is nested in.
    pub parent: Option<usize>,
    /// Its right-hand side; `None` where there is none.
    pub rhs: Option<Expr>,
    /// `in [unit]`
    pub declared: Option<(Unit, Span)>,
}

/// An initial value with its names resolved.
pub(super) struct DraftInitial {
    pub state: usize,
    pub value: Expr,
}

/// A file with its names resolved.
pub(super) struct Drafts<'a> {
    pub variables: Vec<Draft<'a>>,
    /// In the order of the text.
    pub initials: Vec<DraftInitial>,
}

/// Resolves every name. What cannot be resolved is reported and stands as NaN in the result.
pub(super) fn resolve<'a>(file: &'a File, faults: &mut Vec<Diagnostic>) -> Drafts<'a> {
    let mut resolver = Resolver {
        file,
        variables: Vec::new(),
        components: HashMap::new(),
        scopes: HashMap::new(),
        aliases: HashMap::new(),
        broken_aliases: HashSet::new(),
        templates: HashMap::new(),
        broken_templates: HashSet::new(),
        faults,
    };
    resolver.declare();
    resolver.declare_aliases();
    templates::declare(&mut resolver);
    resolver.expressions();
    let initials = resolver.initials();
    Drafts {
        variables: resolver.variables,
        initials,
    }
}

/// Where a name is looked up: in a component or in a variable.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    Component(usize),
    Variable(usize),
}

pub(super) struct Resolver<'a, 'f> {
    pub file: &'a File,
    pub variables: Vec<Draft<'a>>,
    /// Index of the first component of that name.
    components: HashMap<&'a str, usize>,
    scopes: HashMap<(Scope, &'a str), usize>,
    aliases: HashMap<(usize, &'a str), (usize, Span)>,
    /// Aliases whose fault is reported.
    broken_aliases: HashSet<(usize, &'a str)>,
    /// Index of the template with that name and number of arguments.
    pub templates: HashMap<(&'a str, usize), usize>,
    /// Templates whose fault is reported.
    pub broken_templates: HashSet<usize>,
    pub faults: &'f mut Vec<Diagnostic>,
}

impl<'a> Resolver<'a, '_> {
    fn declare(&mut self) {
        let file = self.file;
        for (i, component) in file.components.iter().enumerate() {
            let name = &component.name;
            if let Some(first) = self.components.get(name.text.as_str()) {
                let first = file.components[*first].name.span;
                let message = format!("there are two components called '{}'", name.text);
                let fault = Diagnostic::error(codes::DOUBLED_NAME, message);
                self.faults
                    .push(fault.at(name.span, "again here").also(first, "first here"));
            } else {
                self.components.insert(&name.text, i);
            }
            // Names of this component at any depth, to find those that would hide each other.
            let mut known: HashMap<&str, Vec<usize>> = HashMap::new();
            for variable in &component.variables {
                self.declare_variable(i, None, variable, &component.name.text, &mut known);
            }
        }
    }

    fn declare_variable(
        &mut self,
        component: usize,
        parent: Option<usize>,
        syntax: &'a syntax::Variable,
        prefix: &str,
        known: &mut HashMap<&'a str, Vec<usize>>,
    ) {
        let index = self.variables.len();
        let local = syntax.name.text.as_str();
        let name = format!("{prefix}.{local}");
        // A unit that could not be read fits anything.
        let declared = syntax.unit.filter(|(unit, _)| !unit.factor.is_nan());
        self.variables.push(Draft {
            name: name.clone(),
            syntax,
            component,
            parent,
            rhs: None,
            declared,
        });
        let same = known.entry(local).or_default();
        let clash = same.iter().copied().find(|other| {
            let other_parent = self.variables[*other].parent;
            self.is_within(parent, other_parent) || self.is_within(other_parent, parent)
        });
        same.push(index);
        match clash {
            Some(other) => {
                let fault =
                    Diagnostic::error(codes::DOUBLED_NAME, format!("the name '{local}' is taken"));
                let fault = fault.at(syntax.name.span, "again here");
                let first = &self.variables[other];
                let fault = fault.also(first.syntax.name.span, "first here");
                let nested = parent.is_some() || first.parent.is_some();
                let help =
                    "a nested variable may not have the name of one that can be seen from it";
                self.faults
                    .push(if nested { fault.help(help) } else { fault });
            }
            None => {
                let scope = parent.map_or(Scope::Component(component), Scope::Variable);
                // The second component of a name is reported, and its variables take part all the same.
                self.scopes.insert((scope, local), index);
            }
        }
        for child in &syntax.children {
            self.declare_variable(component, Some(index), child, &name, known);
        }
    }

    /// Whether the scope `inner` is `outer` or lies in it; `None` is the component.
    fn is_within(&self, mut inner: Option<usize>, outer: Option<usize>) -> bool {
        loop {
            if inner == outer {
                return true;
            }
            match inner {
                None => return false,
                Some(variable) => inner = self.variables[variable].parent,
            }
        }
    }

    fn declare_aliases(&mut self) {
        let file = self.file;
        for (i, component) in file.components.iter().enumerate() {
            let lost = component.lost.iter().map(|name| (i, name.as_str()));
            self.broken_aliases.extend(lost);
            for alias in &component.aliases {
                let full = format!("{}.{}", alias.component.text, alias.variable.text);
                let place = alias.component.span.to(alias.variable.span);
                let Some(target) = self.full(&alias.component.text, &alias.variable.text) else {
                    self.undefined(&full, place, None);
                    self.broken_aliases.insert((i, &alias.name.text));
                    continue;
                };
                if self.variables[target].component == i {
                    let fault = Diagnostic::error(
                        codes::ALIAS,
                        format!("'{full}' needs no alias in its own component"),
                    );
                    let name = &alias.variable.text;
                    self.faults
                        .push(fault.at(place, "").help(format!("write '{name}'")));
                    self.broken_aliases.insert((i, &alias.name.text));
                    continue;
                }
                let name = alias.name.text.as_str();
                let taken = self
                    .variables
                    .iter()
                    .find(|v| v.component == i && v.syntax.name.text == name);
                let first = match (taken, self.aliases.get(&(i, name))) {
                    (Some(variable), _) => Some(variable.syntax.name.span),
                    // The same alias again does no harm.
                    (None, Some((other, span))) if *other != target => Some(*span),
                    _ => None,
                };
                if let Some(first) = first {
                    let fault = Diagnostic::error(
                        codes::DOUBLED_NAME,
                        format!("the name '{name}' is taken"),
                    );
                    let fault = fault
                        .at(alias.name.span, "as an alias here")
                        .also(first, "first here");
                    self.faults
                        .push(fault.help(format!("write 'use {full} as another_name'")));
                } else {
                    self.aliases.insert((i, name), (target, alias.name.span));
                }
            }
        }
    }

    fn full(&self, component: &str, variable: &str) -> Option<usize> {
        let component = self.components.get(component)?;
        self.scopes
            .get(&(Scope::Component(*component), variable))
            .copied()
    }

    /// What a name means in the definition of a variable, or in an initial value.
    pub fn find(&self, name: &str, at: Option<usize>) -> Option<usize> {
        if let Some((component, variable)) = name.split_once('.') {
            return self.full(component, variable);
        }
        let component = self.variables[at?].component;
        if let Some((target, _)) = self.aliases.get(&(component, name)) {
            return Some(*target);
        }
        let mut around = at;
        while let Some(variable) = around {
            if let Some(found) = self.scopes.get(&(Scope::Variable(variable), name)) {
                return Some(*found);
            }
            around = self.variables[variable].parent;
        }
        self.scopes
            .get(&(Scope::Component(component), name))
            .copied()
    }

    /// Reports a name that means nothing, with the nearest one that would.
    pub fn undefined(&mut self, name: &str, span: Span, at: Option<usize>) {
        let component = at.map(|at| self.variables[at].component);
        if component.is_some_and(|component| self.broken_aliases.contains(&(component, name))) {
            return;
        }
        let message = match name.split_once('.') {
            Some((component, _)) if !self.components.contains_key(component) => {
                format!("there is no component '{component}' and so no '{name}'")
            }
            None if at.is_none() => format!("'{name}' has no component"),
            _ => format!("nothing is called '{name}'"),
        };
        let fault = Diagnostic::error(codes::UNDEFINED, message).at(span, "");
        let near = if self.faults.len() < MAX_SUGGESTIONS {
            self.suggestion(name, at)
        } else {
            None
        };
        let mut fault = fault.did_you_mean(near);
        if fault.help.is_none() {
            // It may be nested in another variable, where nobody else sees it.
            let inner = self.variables.iter().find(|v| {
                v.parent.is_some() && Some(v.component) == component && v.syntax.name.text == name
            });
            if let Some((inner, around)) = inner.and_then(|inner| Some((inner, inner.parent?))) {
                let around = &self.variables[around].name;
                fault = fault.also(
                    inner.syntax.name.span,
                    format!("seen from within '{around}' only"),
                );
            }
        }
        self.faults.push(fault);
    }

    /// The name that was probably meant.
    fn suggestion(&self, name: &str, at: Option<usize>) -> Option<&str> {
        let mut candidates: Vec<&str> = Vec::new();
        if let Some(at) = at.filter(|_| !name.contains('.')) {
            let component = self.variables[at].component;
            let aliases = self.aliases.keys().filter(|(c, _)| *c == component);
            candidates.extend(aliases.map(|(_, alias)| *alias));
            let seen =
                |v: &&Draft<'_>| v.component == component && self.is_within(Some(at), v.parent);
            candidates.extend(
                self.variables
                    .iter()
                    .filter(seen)
                    .map(|v| v.syntax.name.text.as_str()),
            );
            // A hash map has no order of its own; the suggestion must not depend on chance.
            candidates.sort_unstable();
        }
        let full = self.variables.iter().filter(|v| v.parent.is_none());
        candidates.extend(full.map(|v| v.name.as_str()));
        nearest(name, candidates)
    }

    fn expressions(&mut self) {
        for i in 0..self.variables.len() {
            if let Some(rhs) = &self.variables[i].syntax.rhs {
                self.variables[i].rhs = Some(functions::number(self, rhs, Some(i)));
            }
        }
    }

    fn initials(&mut self) -> Vec<DraftInitial> {
        let file = self.file;
        let mut initials: Vec<DraftInitial> = Vec::new();
        let mut places: HashMap<usize, Span> = HashMap::new();
        for initial in &file.initials {
            let name = format!("{}.{}", initial.component.text, initial.variable.text);
            let span = initial.component.span.to(initial.variable.span);
            let Some(state) = self.full(&initial.component.text, &initial.variable.text) else {
                let message = format!("the initial value of '{name}' belongs to nothing");
                let fault = Diagnostic::error(codes::STRAY_INITIAL, message).at(span, "");
                let states = self
                    .variables
                    .iter()
                    .filter(|v| v.syntax.state)
                    .map(|v| v.name.as_str());
                let near = nearest(&name, states);
                self.faults.push(fault.did_you_mean(near));
                continue;
            };
            let variable = &self.variables[state];
            if !variable.syntax.state {
                let message = format!("'{name}' is no state and has no initial value");
                let fault = Diagnostic::error(codes::STRAY_INITIAL, message).at(span, "");
                let local = &variable.syntax.name;
                let fault = fault.also(local.span, "defined by its value here");
                self.faults
                    .push(fault.help(format!("remove this line, or define 'dot({})'", local.text)));
                continue;
            }
            if let Some(first) = places.get(&state) {
                let message = format!("'{name}' has two initial values");
                let fault = Diagnostic::error(codes::DOUBLED_NAME, message);
                self.faults
                    .push(fault.at(span, "again here").also(*first, "first here"));
                continue;
            }
            places.insert(state, span);
            let value = match &initial.value {
                Some(value) => functions::number(self, value, None),
                None => functions::placeholder(span),
            };
            initials.push(DraftInitial { state, value });
        }
        initials
    }
}

/// Calls `visit` for every reference to a variable in an expression: the variable, whether it is `dot(…)`, the place.
pub(super) fn references(expr: &Expr, visit: &mut impl FnMut(VariableId, bool, Span)) {
    match &expr.kind {
        ExprKind::Number(..) => {}
        ExprKind::Variable(id) => visit(*id, false, expr.span),
        ExprKind::Derivative(id) => visit(*id, true, expr.span),
        ExprKind::Apply(_, arguments) => arguments
            .iter()
            .for_each(|argument| references(argument, visit)),
        ExprKind::Piecewise(pieces, last) => {
            for (condition, value) in pieces {
                references(condition, visit);
                references(value, visit);
            }
            references(last, visit);
        }
    }
}
