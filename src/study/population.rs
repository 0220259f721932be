//! Reading `[population]`: how many fibres, and what distinguishes them.

use super::faults;
use super::names::Role;
use super::quantity::Wanted;
use super::rule::Rules;
use super::sampling::{Population, Rule, Sampling, Varied, VariedTarget};
use super::walk::{Item, Reader, Table};
use super::{Loader, Overrides, Report};
use crate::diag::{Diagnostic, Span};
use crate::model::VariableKind;
use crate::units::Unit;

/// More fibres than this cannot be meant: their states alone fill any disk.
const MOST_FIBRES: u64 = 1_000_000_000;

/// Prefix of a study's own levels, which are no part of the model.
pub(super) const LEVEL_PREFIX: &str = "protocol.";

/// One entry of `[population.parameters]`, with the place of its name.
struct Entry {
    varied: Varied,
    place: Span,
}

impl Reader<'_> {
    /// Reads the table; `level_unit` knows the unit in which the protocol uses a level of the study's own.
    pub fn population(
        &mut self,
        item: Option<Item<'_>>,
        overrides: &Overrides,
        level_unit: &dyn Fn(&str) -> Option<Option<Unit>>,
        loader: &dyn Loader,
        reports: &mut Vec<Report>,
    ) -> Population {
        let mut population = Population {
            fibres: 1,
            seed: 0,
            sampling: Sampling::Random,
            varied: Vec::new(),
        };
        let Some(mut table) = item.as_ref().and_then(|item| self.table(item)) else {
            population.fibres = overrides.fibres.unwrap_or(1).max(1);
            return population;
        };
        if let Some(item) = table.take("seed") {
            population.seed = self.whole(&item).unwrap_or(0);
        }
        if let Some(item) = table.take("sampling") {
            population.sampling = self
                .choice(&item, &Sampling::ALL, Sampling::name)
                .unwrap_or(Sampling::Random);
        }
        let fibres_item = table.take("fibres");
        let parameters = table.take("parameters");
        self.finish(&table);
        let entries = match parameters.as_ref().and_then(|item| self.table(item)) {
            Some(parameters) => self.parameters(&parameters, level_unit, loader, reports),
            None => Vec::new(),
        };
        let places: Vec<Span> = entries.iter().map(|e| e.place).collect();
        population.varied = entries.into_iter().map(|e| e.varied).collect();
        self.check_zip(&population, &places);
        population.fibres = self.fibres(&table, fibres_item.as_ref(), overrides, &population);
        self.check_design(
            &population,
            &places,
            fibres_item.map_or(table.span, |item| item.span),
        );
        population
    }

    /// One of several names, with a suggestion.
    pub fn choice<T: Copy>(
        &mut self,
        item: &Item<'_>,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let text = self.text(item)?;
        let found = all.iter().copied().find(|t| name(*t) == text);
        if found.is_none() {
            let names: Vec<&str> = all.iter().map(|t| name(*t)).collect();
            let help = crate::diag::nearest(text, names.iter().copied())
                .map(|near| format!("did you mean '{near}'?"));
            let message = format!(
                "'{}' is \"{text}\", expected one of {}",
                item.path,
                names.join(", ")
            );
            self.error(faults::UNKNOWN_NAME, item.span, message).help = help;
        }
        found
    }

    fn fibres(
        &mut self,
        table: &Table<'_>,
        item: Option<&Item<'_>>,
        overrides: &Overrides,
        population: &Population,
    ) -> u64 {
        let written = item.and_then(|item| {
            let n = self.whole(item)?;
            if n == 0 {
                self.error(
                    faults::RANGE,
                    item.span,
                    "'population.fibres' is 0, expected at least 1",
                );
            } else if n > MOST_FIBRES {
                let message = format!("'population.fibres' is {n}, expected at most {MOST_FIBRES}");
                self.error(faults::RANGE, item.span, message);
            }
            Some(n.clamp(1, MOST_FIBRES))
        });
        if let Some(n) = overrides.fibres {
            if n == 0 || n > MOST_FIBRES {
                let message = format!("--fibres is {n}, expected 1 to {MOST_FIBRES}");
                self.faults.push(Diagnostic::error(faults::RANGE, message));
            }
            return n.clamp(1, MOST_FIBRES);
        }
        if let Some(n) = written {
            return n;
        }
        let rows = population.varied.iter().filter_map(|v| match &v.rule {
            Rule::Table(rows) => Some(rows.len() as u64),
            _ => None,
        });
        let cells = population.cells();
        let dealt = rows.min().or((cells > 1).then_some(cells));
        let drawn = population.varied.iter().any(|v| {
            matches!(
                v.rule,
                Rule::Uniform { .. } | Rule::Normal { .. } | Rule::Choice { .. }
            )
        });
        if item.is_none() && dealt.is_none() && drawn {
            let fault = self.error(
                faults::KEYS,
                table.span,
                "'population': 'fibres' is missing",
            );
            fault.help =
                Some("write fibres = 1000: nothing else says how many to draw".to_string());
        }
        dealt.unwrap_or(1).clamp(1, MOST_FIBRES)
    }

    fn check_zip(&mut self, population: &Population, places: &[Span]) {
        if population.sampling != Sampling::Zip {
            return;
        }
        let mut first: Option<(usize, usize)> = None;
        for (i, varied) in population.varied.iter().enumerate() {
            let Rule::Factor(levels) = &varied.rule else {
                continue;
            };
            match first {
                None => first = Some((i, levels.len())),
                Some((j, n)) if n != levels.len() => {
                    let other = &population.varied[j].name;
                    let message = format!(
                        "'{}' has {} values and '{other}' has {n}; zip pairs them row by row",
                        varied.name,
                        levels.len()
                    );
                    let other_place = places[j];
                    self.error(faults::RANGE, places[i], message)
                        .secondary
                        .push(crate::diag::Label {
                            span: other_place,
                            message: format!("{n} values"),
                        });
                }
                Some(_) => {}
            }
        }
    }

    /// What can only be seen once the number of fibres is known.
    fn check_design(&mut self, population: &Population, places: &[Span], fibres_place: Span) {
        let (fibres, cells) = (population.fibres, population.cells());
        for (varied, place) in population.varied.iter().zip(places) {
            if let Rule::Table(rows) = &varied.rule
                && (rows.len() as u64) < fibres
            {
                let message = format!(
                    "'{}' has {} rows in its table for {fibres} fibres",
                    varied.name,
                    rows.len()
                );
                self.error(faults::RANGE, *place, message);
            }
        }
        if fibres < cells {
            let message =
                format!("{fibres} fibres do not fill the {cells} combinations of the factors");
            self.warning(faults::DOUBTFUL, fibres_place, message);
        } else if fibres % cells != 0 {
            let message = format!(
                "{fibres} fibres are no multiple of the {cells} combinations of the factors"
            );
            self.warning(faults::DOUBTFUL, fibres_place, message).help = Some(format!(
                "{} or {} would deal them evenly",
                fibres - fibres % cells,
                fibres - fibres % cells + cells
            ));
        }
        let drawn = population.varied.iter().filter(|v| {
            matches!(
                v.rule,
                Rule::Uniform { .. } | Rule::Normal { .. } | Rule::Choice { .. }
            )
        });
        let n = drawn.count();
        if population.sampling == Sampling::Sobol && n > super::design::SOBOL_DIMENSIONS {
            let message = format!(
                "sobol serves up to {} distributions, found {n}",
                super::design::SOBOL_DIMENSIONS
            );
            self.error(faults::NOT_AVAILABLE, fibres_place, message)
                .help = Some("latin_hypercube and random serve any number".to_string());
        }
        if population.sampling == Sampling::Grid && cells == 1 {
            let message = "'population.sampling' is \"grid\", but no parameter has values, linspace or logspace";
            self.warning(faults::NO_EFFECT, fibres_place, message);
        }
    }

    fn parameters(
        &mut self,
        table: &Table<'_>,
        level_unit: &dyn Fn(&str) -> Option<Option<Unit>>,
        loader: &dyn Loader,
        reports: &mut Vec<Report>,
    ) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut files = super::csv::Files::default();
        for (name, item) in flat(table) {
            let Some((target, unit, description, default)) = self.target(&item, &name, level_unit)
            else {
                continue;
            };
            let wanted = Wanted { unit, what: &name };
            let mut rules = Rules {
                reader: self,
                wanted,
                default,
                loader,
                files: &mut files,
                reports,
            };
            // A rule with a fault keeps its name, so that nothing else is blamed for it; the study is refused anyway.
            let rule = rules.read(&item).unwrap_or(Rule::Value(f64::NAN));
            if let Some(earlier) = entries.iter().find(|e| e.varied.name == name) {
                let place = earlier.place;
                self.error(
                    faults::DUPLICATE,
                    item.key,
                    format!("'{name}' varies twice"),
                )
                .secondary
                .push(crate::diag::Label {
                    span: place,
                    message: "first here".to_string(),
                });
                continue;
            }
            let varied = Varied::new(&name, target, unit, description, rule);
            entries.push(Entry {
                varied,
                place: item.key,
            });
        }
        entries
    }

    /// What a name stands for: target, unit, description and the model's own value.
    #[expect(clippy::type_complexity, reason = "four facts used in one place")]
    fn target(
        &mut self,
        item: &Item<'_>,
        name: &str,
        level_unit: &dyn Fn(&str) -> Option<Option<Unit>>,
    ) -> Option<(VariedTarget, Option<Unit>, Option<String>, Option<f64>)> {
        let known = self.model.is_none_or(|m| m.find(name).is_some());
        if !known && name.starts_with(LEVEL_PREFIX) {
            let Some(unit) = level_unit(name) else {
                let message = format!("'{name}' is a level of no pulse, set or clamp");
                self.error(faults::KEYS, item.key, message).help = Some(format!(
                    "write level = \"{name}\" or value = \"{name}\" in [protocol]"
                ));
                return None;
            };
            return Some((
                VariedTarget::Level,
                unit,
                Some("level of the protocol".to_string()),
                None,
            ));
        }
        let id = self.named(item, name, Role::Varied)?;
        let variable = self.model?.variable(id);
        let (target, default) = match &variable.kind {
            VariableKind::State { initial, .. } => {
                (VariedTarget::Initial(id), super::constant(initial))
            }
            VariableKind::Literal(value) => (VariedTarget::Literal(id), Some(*value)),
            _ => return None,
        };
        Some((target, variable.unit, variable.description.clone(), default))
    }
}

/// The entries under their full names: `"bath.Mg" = …` and `bath.Mg = …` are the same.
fn flat<'t>(table: &Table<'t>) -> Vec<(String, Item<'t>)> {
    let mut entries = Vec::new();
    for (name, item) in table.items() {
        match item.value {
            // A component's name has no dot and its table is no rule: rules stand under full names.
            toml::de::DeValue::Table(inner) if !name.contains('.') => {
                let inner = Table::new(&item.path, item.span, inner);
                entries.extend(
                    inner
                        .items()
                        .map(|(rest, item)| (format!("{name}.{rest}"), item)),
                );
            }
            _ => entries.push((name.to_string(), item)),
        }
    }
    entries
}

/// The names in `[population.parameters]` that may be levels of the study's own.
pub(super) fn own_levels(population: &Item<'_>) -> Vec<String> {
    let parameters = population
        .value
        .as_table()
        .and_then(|t| t.get("parameters"))
        .and_then(|v| v.get_ref().as_table());
    let Some(parameters) = parameters else {
        return Vec::new();
    };
    let table = Table::new("", population.span, parameters);
    flat(&table)
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with(LEVEL_PREFIX))
        .collect()
}
