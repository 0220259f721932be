//! A number with a unit, as a person types it: `0.5 ms`.

use std::ops::Range;

use super::parse::number_length;
use super::{Unit, UnitError};

/// A number, in a unit or without one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    /// The number as written.
    pub value: f64,
    /// The unit behind it.
    pub unit: Option<Unit>,
}

/// What is wrong with the text of a quantity, and at which bytes of it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// It does not start with a number.
    #[error("expected a number and a unit, such as 0.5 ms, found {found}")]
    Number {
        /// What stands there.
        found: String,
        /// Its place.
        at: Range<usize>,
    },
    /// The number is beyond the range of doubles.
    #[error("the number {text} is beyond the range of numbers")]
    Range {
        /// The number as written.
        text: String,
        /// Its place.
        at: Range<usize>,
    },
    /// What follows the number is no unit.
    #[error(transparent)]
    Unit(#[from] UnitError),
}

impl QuantityError {
    /// The bytes at fault, counted from the start of the text that was parsed.
    pub fn place(&self) -> Range<usize> {
        match self {
            QuantityError::Number { at, .. } | QuantityError::Range { at, .. } => at.clone(),
            QuantityError::Unit(error) => error.place(),
        }
    }

    /// What to write instead, where that is known.
    pub fn help(&self) -> Option<String> {
        match self {
            QuantityError::Number { .. } | QuantityError::Range { .. } => None,
            QuantityError::Unit(error) => error.help(),
        }
    }
}

impl Quantity {
    /// Reads `22`, `-30 mV`, `1e-3 mS/cm^2` or `0.5 [ms]`.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        let lead = text.len() - text.trim_start().len();
        let body = &text[lead..];
        let sign = usize::from(body.starts_with(['-', '+']));
        let length = number_length(&body[sign..]);
        let end = lead + sign + length;
        if length == 0 {
            let found = if body.is_empty() {
                "nothing".to_owned()
            } else {
                format!("'{}'", body.trim_end())
            };
            return Err(QuantityError::Number {
                found,
                at: lead..text.trim_end().len().max(lead),
            });
        }
        let number = &text[lead..end];
        let value: f64 = match number.parse() {
            Ok(value) => value,
            Err(_) => {
                return Err(QuantityError::Number {
                    found: format!("'{number}'"),
                    at: lead..end,
                });
            }
        };
        if !value.is_finite() {
            return Err(QuantityError::Range {
                text: number.to_owned(),
                at: lead..end,
            });
        }
        let rest = &text[end..];
        let unit = match rest.trim() {
            "" => None,
            _ => Some(Unit::parse(rest).map_err(|error| error.moved(end))?),
        };
        Ok(Quantity { value, unit })
    }

    /// The number in another unit; a quantity without a unit is taken to be in it. `None` where the units do not fit.
    pub fn to(self, unit: Unit) -> Option<f64> {
        match self.unit {
            None => Some(self.value),
            Some(own) => own.convert(self.value, unit),
        }
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.unit {
            Some(unit) if unit != Unit::DIMENSIONLESS => write!(f, "{} {unit}", self.value),
            _ => write!(f, "{}", self.value),
        }
    }
}
