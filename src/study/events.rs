//! Reading `[protocol]`: pulses, sets and clamps, with places, and what of them cannot stand together.

use super::faults;
use super::names::Role;
use super::quantity::Wanted;
use super::sampling::{Population, VariedTarget};
use super::walk::{Item, Reader, Table};
use crate::diag::{Label, Span, nearest};
use crate::model::{Bound, VariableKind};
use crate::protocol::{Change, Clamp, Conflict, Level, MOST_PULSES, Protocol, Pulse};
use crate::units::Unit;
use toml::de::{DeTable, DeValue};

/// Where the parts of a protocol stand.
#[derive(Default)]
struct Places {
    pulses: Vec<Span>,
    changes: Vec<Span>,
    clamps: Vec<Span>,
}

/// The end of a study, as far as it is known.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// `None` where the duration has a fault.
    pub duration_ms: Option<f64>,
    /// Whether the user shortened the study on purpose: what then falls outside is no surprise.
    pub overridden: bool,
}

/// The unit in which a protocol uses a level of the study's own; `None` where it does not use it.
pub(super) fn level_unit(
    protocol: Option<&DeValue<'_>>,
    reader: &Reader<'_>,
    name: &str,
) -> Option<Option<Unit>> {
    let tables = |key: &str| -> Vec<&DeTable<'_>> {
        let list = protocol
            .and_then(DeValue::as_table)
            .and_then(|t| t.get(key))
            .and_then(|v| v.get_ref().as_array());
        list.map(|l| l.iter().filter_map(|v| v.get_ref().as_table()).collect())
            .unwrap_or_default()
    };
    let text = |table: &DeTable<'_>, key: &str| {
        table
            .get(key)
            .and_then(|v| v.get_ref().as_str().map(str::to_string))
    };
    if tables("pulse")
        .iter()
        .any(|t| text(t, "level").as_deref() == Some(name))
    {
        return Some(pace_unit(reader));
    }
    for (list, target) in [("set", "parameter"), ("clamp", "state")] {
        for table in tables(list) {
            if text(table, "value").as_deref() == Some(name) {
                let id = text(table, target).and_then(|target| reader.model?.find(&target));
                return Some(id.and_then(|id| reader.model?.variable(id).unit));
            }
        }
    }
    None
}

fn pace_unit(reader: &Reader<'_>) -> Option<Unit> {
    let model = reader.model?;
    model
        .bound(&Bound::Pace)
        .and_then(|id| model.variable(id).unit)
        .or(Some(Unit::DIMENSIONLESS))
}

impl Reader<'_> {
    /// Reads the table; what of it is sound is in the protocol.
    pub fn protocol(
        &mut self,
        item: Option<Item<'_>>,
        population: &Population,
        end: End,
    ) -> Protocol {
        let mut protocol = Protocol::default();
        let Some(mut table) = item.as_ref().and_then(|item| self.table(item)) else {
            return protocol;
        };
        let mut places = Places::default();
        let (pulses, sets, clamps) = (table.take("pulse"), table.take("set"), table.take("clamp"));
        self.finish(&table);
        for table in pulses.map(|item| self.tables(&item)).unwrap_or_default() {
            let place = table.span;
            if let Some(pulse) = self.pulse(table, population, end) {
                protocol.pulses.push(pulse);
                places.pulses.push(place);
            }
        }
        for table in sets.map(|item| self.tables(&item)).unwrap_or_default() {
            let place = table.span;
            if let Some(change) = self.change(table, population, end) {
                protocol.changes.push(change);
                places.changes.push(place);
            }
        }
        for table in clamps.map(|item| self.tables(&item)).unwrap_or_default() {
            let place = table.span;
            if let Some(clamp) = self.clamp(table, population, end) {
                protocol.clamps.push(clamp);
                places.clamps.push(place);
            }
        }
        if let Some(duration_ms) = end.duration_ms {
            for conflict in protocol.check(duration_ms) {
                self.conflict(&conflict, &places);
            }
        }
        protocol
    }

    fn pulse(&mut self, mut table: Table<'_>, population: &Population, end: End) -> Option<Pulse> {
        if let Some(model) = self.model
            && model.bound(&Bound::Pace).is_none()
        {
            let message = format!(
                "model {} has no variable bound to pace, so no pulse can act",
                model.name
            );
            self.error(faults::WRONG_KIND, table.span, message).help =
                Some("clamp a state or set a parameter instead".to_string());
        }
        let start = self.require(&mut table, "start", "\"10 ms\"");
        let length = self.require(&mut table, "length", "\"0.5 ms\"");
        let (period, count, level) = (
            table.take("period"),
            table.take("count"),
            table.take("level"),
        );
        self.finish(&table);
        let start_ms = start.as_ref().and_then(|item| self.time_from_zero(item));
        let length_ms = length.as_ref().and_then(|item| self.positive_time(item));
        let period_ms = match &period {
            Some(item) => self.positive_time(item).map(Some),
            None => Some(None),
        };
        let n = match &count {
            Some(item) => self.whole(item).map(Some),
            None => Some(None),
        };
        if let (Some(Some(0)), Some(item)) = (n, &count) {
            self.error(
                faults::RANGE,
                item.span,
                "'protocol.pulse.count' is 0, expected at least 1",
            );
        }
        if let (Some(Some(2..)), Some(item), None) = (n, &count, &period) {
            self.error(
                faults::KEYS,
                item.key,
                "'protocol.pulse': 'count' without 'period'",
            )
            .help = Some("write period = \"20 ms\"".to_string());
        }
        let unit = pace_unit(self);
        let wanted = Wanted {
            unit,
            what: "the pacing level",
        };
        let level = match &level {
            Some(item) => self.level(item, &wanted, population),
            None => Some(Level::Number(1.0)),
        };
        let pulse = Pulse {
            start_ms: start_ms?,
            length_ms: length_ms?,
            period_ms: period_ms?,
            count: n?,
            level: level?,
        };
        if let (Some(duration_ms), false, Some(start)) = (end.duration_ms, end.overridden, &start) {
            let (fitting, all) = (pulse.occurrences(duration_ms), pulse.count.unwrap_or(1));
            if fitting == 0 {
                self.outside(start, duration_ms);
            } else if fitting < all && pulse.period_ms.is_some() {
                let message = format!(
                    "only {fitting} of the {all} pulses start before the study ends at {duration_ms} ms"
                );
                let place = count.as_ref().map_or(start.span, |item| item.span);
                self.warning(faults::NO_EFFECT, place, message);
            }
        }
        Some(pulse)
    }

    fn change(
        &mut self,
        mut table: Table<'_>,
        population: &Population,
        end: End,
    ) -> Option<Change> {
        let at = self.require(&mut table, "at", "\"1 s\"");
        let parameter = self.require(&mut table, "parameter", "\"bath.K\"");
        let value = self.require(&mut table, "value", "\"8 mM\"");
        let ramp = table.take("ramp");
        self.finish(&table);
        let at_ms = at.as_ref().and_then(|item| self.time_from_zero(item));
        let ramp_ms = match &ramp {
            Some(item) => self.time_from_zero(item),
            None => Some(0.0),
        };
        let id = parameter
            .as_ref()
            .and_then(|item| self.variable(item, Role::Literal));
        let value = self.target_level(id, value.as_ref(), population);
        let change = Change {
            parameter: id?,
            at_ms: at_ms?,
            ramp_ms: ramp_ms?,
            value: value?,
        };
        if let (Some(duration_ms), false, Some(at)) = (end.duration_ms, end.overridden, &at) {
            if change.at_ms >= duration_ms {
                self.outside(at, duration_ms);
            } else if let (Some(ramp), true) = (&ramp, change.at_ms + change.ramp_ms > duration_ms)
            {
                let message = format!(
                    "the ramp ends at {} ms, after the study ends at {duration_ms} ms",
                    change.at_ms + change.ramp_ms
                );
                self.warning(faults::NO_EFFECT, ramp.span, message);
            }
        }
        Some(change)
    }

    fn clamp(&mut self, mut table: Table<'_>, population: &Population, end: End) -> Option<Clamp> {
        let state = self.require(&mut table, "state", "\"membrane.V\"");
        let at = self.require(&mut table, "at", "\"100 ms\"");
        let until = self.require(&mut table, "until", "\"200 ms\"");
        let value = self.require(&mut table, "value", "\"-30 mV\"");
        self.finish(&table);
        let at_ms = at.as_ref().and_then(|item| self.time_from_zero(item));
        let until_ms = until.as_ref().and_then(|item| self.time_from_zero(item));
        let id = state
            .as_ref()
            .and_then(|item| self.variable(item, Role::State));
        let value = self.target_level(id, value.as_ref(), population);
        let clamp = Clamp {
            state: id?,
            at_ms: at_ms?,
            until_ms: until_ms?,
            value: value?,
        };
        if let (Some(duration_ms), false, Some(at)) = (end.duration_ms, end.overridden, &at)
            && clamp.at_ms >= duration_ms
        {
            self.outside(at, duration_ms);
        }
        Some(clamp)
    }

    fn outside(&mut self, at: &Item<'_>, duration_ms: f64) {
        let message = format!(
            "'{}' is {}, but the study ends at {duration_ms} ms: it never happens",
            at.path,
            at.shown()
        );
        self.warning(faults::NO_EFFECT, at.span, message);
    }

    /// A level in the unit of a target; with an unknown target only its form is checked.
    fn target_level(
        &mut self,
        id: Option<crate::model::VariableId>,
        item: Option<&Item<'_>>,
        population: &Population,
    ) -> Option<Level> {
        let (item, model) = (item?, self.model?);
        match id {
            Some(id) => self.level(item, &Wanted::like(model, id), population),
            None => None,
        }
    }

    /// A number, or the name of a parameter whose value it is.
    fn level(
        &mut self,
        item: &Item<'_>,
        wanted: &Wanted<'_>,
        population: &Population,
    ) -> Option<Level> {
        let name = item
            .as_text()
            .filter(|t| t.starts_with(|c: char| c.is_alphabetic() || c == '_'));
        let Some(name) = name else {
            return self.quantity(item, wanted).map(Level::Number);
        };
        if let Some(index) = population.find(name) {
            self.same_unit(item, name, population.varied[index].unit, wanted)?;
            return Some(Level::Parameter(index));
        }
        let model = self.model?;
        let literal = model.find(name).map(|id| model.variable(id));
        if let Some(variable) = literal
            && let VariableKind::Literal(value) = variable.kind
        {
            let quantity = crate::units::Quantity {
                value,
                unit: variable.unit,
            };
            return self.convert(item, quantity, wanted).map(Level::Number);
        }
        let varied = population
            .varied
            .iter()
            .filter(|v| !matches!(v.target, VariedTarget::Initial(_)))
            .map(|v| v.name.as_str());
        let literals = model
            .variables
            .iter()
            .filter(|v| matches!(v.kind, VariableKind::Literal(_)))
            .map(|v| v.name.as_str());
        let near =
            nearest(name, varied.chain(literals)).map(|known| format!("did you mean '{known}'?"));
        let help = near.unwrap_or_else(|| {
            format!("to let it vary by fibre under a name of its own, add \"{}NAME\" to [population.parameters]", super::population::LEVEL_PREFIX)
        });
        let message = format!(
            "'{}' is \"{name}\", expected a quantity or the name of a parameter",
            item.path
        );
        self.error(faults::UNKNOWN_NAME, item.span, message).help = Some(help);
        None
    }

    /// A varied parameter is used without conversion, so its unit must be the target's.
    fn same_unit(
        &mut self,
        item: &Item<'_>,
        name: &str,
        unit: Option<Unit>,
        wanted: &Wanted<'_>,
    ) -> Option<()> {
        let (Some(found), Some(expected)) = (unit, wanted.unit) else {
            return Some(());
        };
        if found.is_close(expected) {
            return Some(());
        }
        let message = format!(
            "'{}' is {name}, which is in {found}; expected {} in {expected}",
            item.path, wanted.what
        );
        self.error(faults::UNIT, item.span, message);
        None
    }

    fn conflict(&mut self, conflict: &Conflict, places: &Places) {
        let (place, message, other) = match *conflict {
            Conflict::PulseTooShort(i) => (
                places.pulses[i],
                "the pulse is shorter than 10 ns".to_string(),
                None,
            ),
            Conflict::PulseOutlastsPeriod(i) => (
                places.pulses[i],
                "the pulse is longer than its period".to_string(),
                None,
            ),
            Conflict::TooManyPulses(i) => (
                places.pulses[i],
                format!("the protocol has more than {MOST_PULSES} pulses"),
                None,
            ),
            Conflict::PulsesOverlap {
                first,
                second,
                at_ms,
            } => {
                let message = format!(
                    "pulse {} begins at {at_ms} ms, while pulse {} is on",
                    second + 1,
                    first + 1
                );
                (
                    places.pulses[second],
                    message,
                    Some((places.pulses[first], format!("pulse {}", first + 1))),
                )
            }
            Conflict::ChangesOverlap { first, second } => {
                let message = format!(
                    "set {} begins before set {} of the same parameter has ended",
                    second + 1,
                    first + 1
                );
                (
                    places.changes[second],
                    message,
                    Some((places.changes[first], format!("set {}", first + 1))),
                )
            }
            Conflict::ClampTooShort(i) => (
                places.clamps[i],
                "the clamp ends before it begins".to_string(),
                None,
            ),
            Conflict::ClampsOverlap { first, second } => {
                let message = format!(
                    "clamp {} begins while clamp {} holds the same state",
                    second + 1,
                    first + 1
                );
                (
                    places.clamps[second],
                    message,
                    Some((places.clamps[first], format!("clamp {}", first + 1))),
                )
            }
        };
        let fault = self.error(faults::CONFLICT, place, message);
        if let Some((span, message)) = other {
            fault.secondary.push(Label { span, message });
        }
    }
}
