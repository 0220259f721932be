//! Reading a unit.

use std::ops::Range;

use super::Unit;
use super::table::{self, Missing, Names};

/// What is wrong with the text of a unit, and at which bytes of it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// No unit of that name.
    #[error("unknown unit '{name}'")]
    Unknown {
        /// The name as written.
        name: String,
        /// The known unit that was probably meant.
        nearest: Option<String>,
        /// Its place.
        at: Range<usize>,
    },
    /// A prefix on a unit that takes none.
    #[error("the unit '{unit}' takes no prefix '{prefix}'")]
    NoPrefix {
        /// The prefix.
        prefix: char,
        /// The unit behind it.
        unit: String,
        /// Their place.
        at: Range<usize>,
    },
    /// Something else than the language of units.
    #[error("expected {expected}, found {found}")]
    Syntax {
        /// What could have stood there.
        expected: &'static str,
        /// What stands there.
        found: String,
        /// Its place.
        at: Range<usize>,
    },
    /// A multiplier that is zero, negative or not finite, or powers that leave the range of numbers.
    #[error("the factor {factor} of a unit is not a positive finite number")]
    Factor {
        /// Its value.
        factor: f64,
        /// Its place.
        at: Range<usize>,
    },
}

impl UnitError {
    /// The bytes at fault, counted from the start of the text that was parsed.
    pub fn place(&self) -> Range<usize> {
        match self {
            UnitError::Unknown { at, .. }
            | UnitError::NoPrefix { at, .. }
            | UnitError::Syntax { at, .. }
            | UnitError::Factor { at, .. } => at.clone(),
        }
    }

    /// What to write instead, where that is known.
    pub fn help(&self) -> Option<String> {
        match self {
            UnitError::Unknown { name, .. }
                if matches!(name.as_str(), "degC" | "celsius" | "Celsius" | "degF") =>
            {
                Some("scales with an offset are no units; write kelvin: [K]".to_owned())
            }
            UnitError::Unknown { nearest, .. } => nearest
                .as_ref()
                .map(|known| format!("did you mean '{known}'?")),
            UnitError::NoPrefix { .. } => {
                Some("put the power of ten behind the unit: [unit (1e-3)]".to_owned())
            }
            UnitError::Syntax { .. } => {
                Some("a unit is written like [mS/cm^2], [1/ms] or [m/s (1e-3)]".to_owned())
            }
            UnitError::Factor { .. } => None,
        }
    }

    /// The same error in a longer text that has this one at byte `offset`.
    pub(crate) fn moved(mut self, offset: usize) -> Self {
        match &mut self {
            UnitError::Unknown { at, .. }
            | UnitError::NoPrefix { at, .. }
            | UnitError::Syntax { at, .. }
            | UnitError::Factor { at, .. } => *at = at.start + offset..at.end + offset,
        }
        self
    }
}

pub(super) fn parse(text: &str) -> Result<Unit, UnitError> {
    parse_with(table::names(), text)
}

pub(super) fn parse_with(names: &Names, text: &str) -> Result<Unit, UnitError> {
    let mut cursor = Cursor {
        text,
        at: 0,
        names,
        depth: 0,
    };
    let bracket = cursor.eat('[');
    let unit = cursor.unit()?;
    if bracket && !cursor.eat(']') {
        return Err(cursor.unexpected("']'"));
    }
    cursor.blank();
    if cursor.at < text.len() {
        return Err(cursor.unexpected("'*', '/', '^' or the end of the unit"));
    }
    if !(unit.factor > 0.0 && unit.factor.is_finite())
        || unit.exponents.iter().any(|x| !x.is_finite())
    {
        return Err(UnitError::Factor {
            factor: unit.factor,
            at: 0..text.len(),
        });
    }
    Ok(unit)
}

/// Brackets inside brackets of a multiplier; more are no honest unit.
const MAX_DEPTH: usize = 32;

struct Cursor<'a> {
    text: &'a str,
    at: usize,
    names: &'a Names,
    depth: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn peek(&mut self) -> Option<char> {
        self.blank();
        self.rest().chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn unexpected(&mut self, expected: &'static str) -> UnitError {
        self.blank();
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return UnitError::Syntax {
                expected,
                found: "the end".to_owned(),
                at: self.at..self.at,
            };
        };
        let word = word_length(rest)
            .max(number_length(rest))
            .max(first.len_utf8());
        UnitError::Syntax {
            expected,
            found: format!("'{}'", &rest[..word]),
            at: self.at..self.at + word,
        }
    }

    fn unit(&mut self) -> Result<Unit, UnitError> {
        let mut unit = match self.peek() {
            Some('0'..='9' | '.') => {
                let length = number_length(self.rest());
                if &self.rest()[..length] != "1" {
                    return Err(self.unexpected("a unit's name or '1'"));
                }
                self.at += length;
                Unit::DIMENSIONLESS
            }
            _ => self.factor()?,
        };
        loop {
            match self.peek() {
                Some('*') => {
                    self.at += 1;
                    unit = unit.times(self.factor()?);
                }
                Some('/') => {
                    self.at += 1;
                    unit = unit.over(self.factor()?);
                }
                Some('(') => {
                    let start = self.at;
                    let multiplier = self.primary()?;
                    if !(multiplier > 0.0 && multiplier.is_finite()) {
                        return Err(UnitError::Factor {
                            factor: multiplier,
                            at: start..self.at,
                        });
                    }
                    return Ok(unit.scaled(multiplier));
                }
                _ => return Ok(unit),
            }
        }
    }

    /// A name and its power.
    fn factor(&mut self) -> Result<Unit, UnitError> {
        self.blank();
        let rest = self.rest();
        let length = word_length(rest);
        if length == 0 {
            return Err(self.unexpected("a unit's name"));
        }
        let (name, at) = (&rest[..length], self.at..self.at + length);
        let unit = table::find(self.names, name).map_err(|missing| match missing {
            Missing::Unknown => UnitError::Unknown {
                name: name.to_owned(),
                nearest: table::nearest(name),
                at: at.clone(),
            },
            Missing::NoPrefix(prefix, unit) => UnitError::NoPrefix {
                prefix,
                unit,
                at: at.clone(),
            },
        })?;
        self.at += length;
        if !self.eat('^') {
            return Ok(unit);
        }
        let sign = if self.eat('-') { -1.0 } else { 1.0 };
        let power = self.number()?;
        Ok(unit.powf(sign * power))
    }

    fn number(&mut self) -> Result<f64, UnitError> {
        self.blank();
        let length = number_length(self.rest());
        match self.rest()[..length].parse() {
            Ok(number) if length > 0 => {
                self.at += length;
                Ok(number)
            }
            _ => Err(self.unexpected("a number")),
        }
    }

    // Arithmetic of a multiplier, with the precedences of the model language.

    fn sum(&mut self) -> Result<f64, UnitError> {
        let mut value = self.product()?;
        loop {
            match self.peek() {
                Some('+') => {
                    self.at += 1;
                    value += self.product()?;
                }
                Some('-') => {
                    self.at += 1;
                    value -= self.product()?;
                }
                _ => return Ok(value),
            }
        }
    }

    fn product(&mut self) -> Result<f64, UnitError> {
        let mut value = self.signed()?;
        loop {
            match self.peek() {
                Some('*') => {
                    self.at += 1;
                    value *= self.signed()?;
                }
                Some('/') => {
                    self.at += 1;
                    value /= self.signed()?;
                }
                _ => return Ok(value),
            }
        }
    }

    /// A sign binds weaker than a power, before it and in it: `2^-1^2` is `2^-(1^2)`.
    fn signed(&mut self) -> Result<f64, UnitError> {
        let mut sign = 1.0;
        while let Some(c @ ('-' | '+')) = self.peek() {
            self.at += 1;
            sign = if c == '-' { -sign } else { sign };
        }
        let mut value = self.primary()?;
        while self.eat('^') {
            let exponent = match self.peek() {
                Some('-' | '+') => self.nested(Self::signed)?,
                _ => self.primary()?,
            };
            value = value.powf(exponent);
        }
        Ok(sign * value)
    }

    fn primary(&mut self) -> Result<f64, UnitError> {
        if !self.eat('(') {
            return self.number();
        }
        let value = self.nested(Self::sum)?;
        if self.eat(')') {
            Ok(value)
        } else {
            Err(self.unexpected("')'"))
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<f64, UnitError>) -> Result<f64, UnitError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.unexpected("a simpler multiplier"));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }
}

/// Bytes of the name at the start of a text.
fn word_length(text: &str) -> usize {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == 'µ' || c == 'μ');
    if !starts {
        return 0;
    }
    text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

/// Bytes of the unsigned number at the start of a text: digits, a point, an exponent.
pub(crate) fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let whole = digits(0);
    let mut length = whole;
    if bytes.get(length) == Some(&b'.') {
        let fraction = digits(length + 1);
        if whole == 0 && fraction == 0 {
            return 0;
        }
        length += 1 + fraction;
    }
    if length == 0 {
        return 0;
    }
    if let Some(b'e' | b'E') = bytes.get(length) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let power = if length + 1 + sign <= bytes.len() {
            digits(length + 1 + sign)
        } else {
            0
        };
        if power > 0 {
            length += 1 + sign + power;
        }
    }
    length
}
