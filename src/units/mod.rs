//! Units: text to dimension and scale, and back.
//!
//! The language is that of Myokit's models: names joined by `*` and `/`, powers with `^`, and a multiplier in brackets at
//! the end, such as `mS/cm^2`, `1/ms` or `g/mol*m^2 (1e-3)`. Names are those of the SI with their prefixes and of common
//! units beside it; what has an offset (degrees Celsius) is no unit here.
//!
//! ```
//! use sarcolemma::units::{Quantity, Unit};
//! let conductance: Unit = "mS/cm^2".parse()?;
//! let voltage: Unit = "mV".parse()?;
//! assert_eq!(conductance.times(voltage).to_string(), "uA/cm^2");
//! assert_eq!(voltage.factor_to("V".parse()?), Some(0.001));
//! assert_eq!(Quantity::parse("0.5 ms")?.to("s".parse()?), Some(0.0005));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod parse;
mod print;
mod quantity;
mod table;

pub use parse::UnitError;
pub(crate) use parse::number_length;
pub use quantity::{Quantity, QuantityError};

/// A unit: a product of powers of the seven base units, times a factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// Powers of kg, m, s, A, K, cd, mol.
    pub exponents: [f64; 7],
    /// Factor in front of the base units: 1e-3 for `ms`.
    pub factor: f64,
}

/// Exponents that differ by less are the same, and so are decimal logarithms of factors (Myokit's tolerance).
const TOLERANCE: f64 = 1e-9;

impl Unit {
    /// The unit of a pure number.
    pub const DIMENSIONLESS: Unit = Unit {
        exponents: [0.0; 7],
        factor: 1.0,
    };

    /// Reads a unit, with or without `[` and `]` around it.
    pub fn parse(text: &str) -> Result<Unit, UnitError> {
        parse::parse(text)
    }

    /// Whether it is the unit of a pure number, factor 1.
    pub fn is_dimensionless(self) -> bool {
        self.is_close(Unit::DIMENSIONLESS)
    }

    /// The unit of a product.
    #[must_use]
    pub fn times(self, other: Unit) -> Unit {
        let exponents = std::array::from_fn(|i| self.exponents[i] + other.exponents[i]);
        Unit {
            exponents,
            factor: decimal(self.factor * other.factor),
        }
    }

    /// The unit of a quotient.
    #[must_use]
    pub fn over(self, other: Unit) -> Unit {
        let exponents = std::array::from_fn(|i| self.exponents[i] - other.exponents[i]);
        Unit {
            exponents,
            factor: decimal(self.factor / other.factor),
        }
    }

    /// The unit of a power.
    #[must_use]
    pub fn powf(self, power: f64) -> Unit {
        let whole = power.fract() == 0.0 && power.abs() <= 64.0;
        let factor = if whole {
            self.factor.powi(power as i32)
        } else {
            self.factor.powf(power)
        };
        Unit {
            exponents: self.exponents.map(|x| whole_if_close(x * power)),
            factor: decimal(factor),
        }
    }

    /// The unit of the `degree`-th root: 2 for the square root.
    #[must_use]
    pub fn root(self, degree: f64) -> Unit {
        self.powf(1.0 / degree)
    }

    /// The unit of a number given in this unit times `factor`.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Unit {
        Unit {
            exponents: self.exponents,
            factor: decimal(self.factor * factor),
        }
    }

    /// Whether both measure the same kind of thing, so that a number converts one into the other.
    pub fn same_dimension(self, other: Unit) -> bool {
        self.exponents
            .iter()
            .zip(other.exponents)
            .all(|(a, b)| close(*a, b))
    }

    /// Whether both are the same unit but for rounding.
    pub fn is_close(self, other: Unit) -> bool {
        self.same_dimension(other) && close(self.factor.log10(), other.factor.log10())
    }

    /// The number to multiply a value in this unit with to get it in the other; `None` where no number does.
    pub fn factor_to(self, other: Unit) -> Option<f64> {
        self.same_dimension(other)
            .then(|| decimal(self.factor / other.factor))
    }

    /// A value in this unit, in the other: exact to rounding where one unit is a whole multiple of the other.
    pub fn convert(self, value: f64, other: Unit) -> Option<f64> {
        let factor = self.factor_to(other)?;
        let inverse = decimal(other.factor / self.factor);
        Some(if factor < 1.0 && inverse.fract() == 0.0 {
            value / inverse
        } else {
            value * factor
        })
    }
}

impl std::str::FromStr for Unit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Unit, UnitError> {
        Unit::parse(text)
    }
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() < TOLERANCE * 1f64.max(a.abs()).max(b.abs())
}

/// Roots of powers come back to whole exponents.
fn whole_if_close(x: f64) -> f64 {
    if (x - x.round()).abs() < 1e-12 {
        x.round()
    } else {
        x
    }
}

/// Takes the rounding of products of decimal prefixes away: a factor within a few ulp of a number with 12 decimal digits
/// is that number, so that `mS/cm^2` is 10 S/m² and not 10.000000000000002.
fn decimal(x: f64) -> f64 {
    match format!("{x:.11e}").parse::<f64>() {
        Ok(rounded) if (rounded - x).abs() <= 4.0 * f64::EPSILON * x.abs() => rounded,
        _ => x,
    }
}

#[cfg(test)]
mod tests;
