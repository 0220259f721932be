//! Quantities of a study, converted into the model's own units; times into milliseconds.

use super::faults;
use super::walk::{Item, Reader};
use crate::model::{Model, VariableId};
use crate::units::{Quantity, Unit};

/// Longest time that a study may speak of, ms: 30 years. Ticks of 10 ns reach 90 times as far.
const LONGEST_MS: f64 = 1e12;

/// The unit that a number is wanted in, and in which words to ask for it.
pub(super) struct Wanted<'w> {
    /// `None` where the model gives no unit: then anything fits.
    pub unit: Option<Unit>,
    /// Such as `a time`, or the name of the variable.
    pub what: &'w str,
}

/// The unit of time of the whole project.
pub(super) fn millisecond() -> Unit {
    Unit {
        exponents: [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
        factor: 1e-3,
    }
}

impl Wanted<'_> {
    /// A pure number.
    pub fn pure(what: &str) -> Wanted<'_> {
        Wanted {
            unit: Some(Unit::DIMENSIONLESS),
            what,
        }
    }

    /// Whatever that variable is measured in.
    pub fn like(model: &Model, id: VariableId) -> Wanted<'_> {
        let variable = model.variable(id);
        Wanted {
            unit: variable.unit,
            what: &variable.name,
        }
    }

    fn expected(&self) -> String {
        match self.unit {
            Some(unit) if unit.is_dimensionless() => format!("{}: a pure number", self.what),
            Some(unit) => format!("{} in {unit}", self.what),
            None => self.what.to_string(),
        }
    }
}

impl Reader<'_> {
    /// A number in the wanted unit: a text with a unit is converted, a bare number is taken as it is.
    pub fn quantity(&mut self, item: &Item<'_>, wanted: &Wanted<'_>) -> Option<f64> {
        if let Some(number) = self.bare_number(item) {
            return number;
        }
        let Some(text) = item.as_text() else {
            self.wrong_type(
                item,
                &format!(
                    "{}, as a number or in quotes with its unit",
                    wanted.expected()
                ),
            );
            return None;
        };
        let quantity = match Quantity::parse(text) {
            Ok(quantity) => quantity,
            Err(error) => {
                let span = self.within(item, error.place());
                let message = format!(
                    "'{}' is \"{text}\", expected {}: {error}",
                    item.path,
                    wanted.expected()
                );
                self.error(faults::QUANTITY, span, message).help = error.help();
                return None;
            }
        };
        self.convert(item, quantity, wanted)
    }

    /// The quantity in the wanted unit, or a fault at its place.
    pub fn convert(
        &mut self,
        item: &Item<'_>,
        quantity: Quantity,
        wanted: &Wanted<'_>,
    ) -> Option<f64> {
        let (Some(found), true) = (quantity.unit, self.model.is_some() || wanted.unit.is_some())
        else {
            return Some(quantity.value);
        };
        let Some(unit) = wanted.unit else {
            let message = format!(
                "the model gives no unit for {}, so {quantity} is taken as {}",
                wanted.what, quantity.value
            );
            self.warning(faults::DOUBTFUL, item.span, message);
            return Some(quantity.value);
        };
        let value = found.convert(quantity.value, unit);
        if value.is_none() {
            let message = format!(
                "'{}' is {}, expected {}",
                item.path,
                item.shown(),
                wanted.expected()
            );
            self.error(faults::UNIT, item.span, message);
        }
        value
    }

    /// A time in ms; a bare number is in the model's own unit of time.
    pub fn time(&mut self, item: &Item<'_>) -> Option<f64> {
        let wanted = Wanted {
            unit: Some(millisecond()),
            what: "a time",
        };
        let ms = match self.bare_number(item) {
            Some(number) => number? * self.model.map_or(1.0, |m| m.ms_per_time),
            None => {
                let text = item.as_text();
                let parsed = text.and_then(|t| Quantity::parse(t).ok());
                match parsed {
                    Some(Quantity { value, unit: None }) => {
                        value * self.model.map_or(1.0, |m| m.ms_per_time)
                    }
                    _ => self.quantity(item, &wanted)?,
                }
            }
        };
        if ms.abs() > LONGEST_MS {
            let message = format!(
                "'{}' is {}, more than the longest time, 30 years",
                item.path,
                item.shown()
            );
            self.error(faults::RANGE, item.span, message);
            return None;
        }
        Some(ms)
    }

    /// A time that is not negative, ms.
    pub fn time_from_zero(&mut self, item: &Item<'_>) -> Option<f64> {
        let ms = self.time(item)?;
        self.at_least_zero(item, ms)
    }

    /// A time above 0, ms.
    pub fn positive_time(&mut self, item: &Item<'_>) -> Option<f64> {
        let ms = self.time(item)?;
        self.above_zero(item, ms)
    }

    /// The value, if it is 0 or more.
    pub fn at_least_zero(&mut self, item: &Item<'_>, value: f64) -> Option<f64> {
        if value < 0.0 {
            let message = format!("'{}' is {}, expected 0 or more", item.path, item.shown());
            self.error(faults::RANGE, item.span, message);
            return None;
        }
        Some(value)
    }

    /// The value, if it is more than 0.
    pub fn above_zero(&mut self, item: &Item<'_>, value: f64) -> Option<f64> {
        if value <= 0.0 {
            let message = format!("'{}' is {}, expected more than 0", item.path, item.shown());
            self.error(faults::RANGE, item.span, message);
            return None;
        }
        Some(value)
    }
}
