//! Writing a unit: in the familiar spelling where there is one, for models and for UDUNITS.

use std::fmt;
use std::sync::OnceLock;

use super::Unit;

/// Units that stand alone, and numerators, the familiar first: `uM/ms` before `mM/s`, which is the same.
const NUMERATORS: &[&str] = &[
    "ms", "s", "us", "mV", "V", "uV", "uM", "mM", "M", "nM", "pM", "uA", "nA", "pA", "mA", "A",
    "mS", "uS", "nS", "pS", "S", "uF", "nF", "pF", "mF", "F", "um", "cm", "m", "mm", "nm", "km",
    "umol", "mmol", "nmol", "pmol", "mol", "C", "mC", "uC", "nC", "pC", "K", "kPa", "Pa", "MPa",
    "mN", "uN", "N", "J", "mJ", "kJ", "L", "mL", "uL", "nL", "pL", "Ohm", "kOhm", "MOhm", "GOhm",
    "W", "mW", "kg", "g", "mg", "ug", "ng", "cd", "T", "Wb", "H", "hour", "day",
];

/// Powers that stand alone, and numerators.
const POWERS: &[(&str, i32)] = &[
    ("cm", 2),
    ("um", 2),
    ("mm", 2),
    ("m", 2),
    ("nm", 2),
    ("cm", 3),
    ("um", 3),
    ("m", 3),
    ("mm", 3),
    ("nm", 3),
    ("mM", 2),
    ("uM", 2),
    ("mM", 3),
    ("uM", 3),
    ("mM", 4),
    ("uM", 4),
    ("mV", 2),
    ("ms", 2),
    ("s", 2),
];

/// What stands below the line.
const DENOMINATORS: &[(&str, i32)] = &[
    ("ms", 1),
    ("s", 1),
    ("cm", 2),
    ("cm", 1),
    ("um", 1),
    ("mV", 1),
    ("uM", 1),
    ("mM", 1),
    ("uF", 1),
    ("F", 1),
    ("pF", 1),
    ("um", 2),
    ("mm", 2),
    ("m", 2),
    ("m", 1),
    ("mm", 1),
    ("L", 1),
    ("um", 3),
    ("mol", 1),
    ("mmol", 1),
    ("K", 1),
    ("mV", 2),
    ("uM", 2),
    ("mM", 2),
    ("uM", 3),
    ("mM", 3),
    ("uM", 4),
    ("mM", 4),
    ("V", 1),
    ("g", 1),
    ("mg", 1),
    ("kg", 1),
    ("C", 1),
    ("ms", 2),
    ("s", 2),
    ("m", 3),
];

/// Units of more than one name that would not be found, or not in this form, from the lists above.
const WHOLE: &[&[(&str, i32)]] = &[
    &[("J", 1), ("mol", -1), ("K", -1)],
    &[("mJ", 1), ("mol", -1), ("K", -1)],
    &[("kJ", 1), ("mol", -1), ("K", -1)],
    &[("J", 1), ("K", -1)],
    // Currents are seen more often than rates of a potential, `mV/ms`.
    &[("A", 1), ("F", -1)],
    &[("C", 1), ("mol", -1)],
    &[("C", 1), ("mmol", -1)],
];

/// Names of the base units, in the order of the exponents.
const BASE: [&str; 7] = ["kg", "m", "s", "A", "K", "cd", "mol"];

type Power = (&'static str, i32);

struct Vocabulary {
    whole: Vec<(&'static [Power], Unit)>,
    numerators: Vec<(Power, Unit)>,
    denominators: Vec<(Power, Unit)>,
}

fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
    VOCABULARY.get_or_init(|| {
        let unit = |(name, power): Power| {
            let unit = Unit::parse(name).expect("the vocabulary is made of known names");
            ((name, power), unit.powf(f64::from(power)))
        };
        let whole = |powers: &'static [Power]| {
            (
                powers,
                powers.iter().fold(Unit::DIMENSIONLESS, |product, power| {
                    product.times(unit(*power).1)
                }),
            )
        };
        Vocabulary {
            whole: WHOLE.iter().copied().map(whole).collect(),
            numerators: NUMERATORS
                .iter()
                .map(|name| (*name, 1))
                .chain(POWERS.iter().copied())
                .map(unit)
                .collect(),
            denominators: DENOMINATORS.iter().copied().map(unit).collect(),
        }
    })
}

/// A product whose rounding is left: comparing forgives it, and there are many.
fn product(a: Unit, b: Unit) -> Unit {
    Unit {
        exponents: std::array::from_fn(|i| a.exponents[i] + b.exponents[i]),
        factor: a.factor * b.factor,
    }
}

/// The familiar spelling as powers of named units.
fn familiar(unit: Unit) -> Option<Vec<Power>> {
    if unit.same_dimension(Unit::DIMENSIONLESS) {
        return unit.is_dimensionless().then(Vec::new);
    }
    let Vocabulary {
        whole,
        numerators,
        denominators,
    } = vocabulary();
    if let Some((powers, _)) = whole.iter().find(|(_, w)| w.is_close(unit)) {
        return Some(powers.to_vec());
    }
    let above = |left: Unit| {
        numerators
            .iter()
            .find(|(_, n)| n.is_close(left))
            .map(|(power, _)| *power)
    };
    let inverse = |(name, power): Power| (name, -power);
    if let Some(power) = above(unit) {
        return Some(vec![power]);
    }
    if let Some((power, _)) = denominators
        .iter()
        .find(|(_, d)| product(unit, *d).is_dimensionless())
    {
        return Some(vec![inverse(*power)]);
    }
    // The numerator leads: the first of the familiar ones decides.
    let fraction = numerators.iter().find_map(|(n, nu)| {
        denominators
            .iter()
            .find(|(_, du)| product(unit, *du).is_close(*nu))
            .map(|(d, _)| vec![*n, inverse(*d)])
    });
    if fraction.is_some() {
        return fraction;
    }
    for (i, (first, fu)) in denominators.iter().enumerate() {
        for (second, su) in &denominators[i..] {
            let left = product(product(unit, *fu), *su);
            let power = above(left);
            if power.is_none() && !left.is_dimensionless() {
                continue;
            }
            // Time comes last: mM/mV/ms.
            let (first, second) = if first.0.ends_with('s') {
                (second, first)
            } else {
                (first, second)
            };
            return Some(
                power
                    .into_iter()
                    .chain([inverse(*first), inverse(*second)])
                    .collect(),
            );
        }
    }
    None
}

/// A power of one familiar unit: `mV^0.5`, `mM^6`.
fn power_of_one(unit: Unit) -> Option<(&'static str, f64)> {
    const POWERS: [f64; 8] = [0.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    if unit.same_dimension(Unit::DIMENSIONLESS) {
        return None;
    }
    let numerators = &vocabulary().numerators;
    POWERS
        .iter()
        .flat_map(|power| [*power, -power])
        .find_map(|power| {
            let root = unit.root(power);
            let found = numerators
                .iter()
                .find(|((_, whole), n)| *whole == 1 && n.is_close(root));
            found.map(|((name, _), _)| (*name, power))
        })
}

/// A named unit of the same dimension, and the number of it that makes the unit.
fn multiple(unit: Unit) -> Option<(&'static str, f64)> {
    const NAMES: [&str; 19] = [
        "s", "m", "V", "A", "F", "S", "Ohm", "M", "L", "mol", "C", "K", "N", "Pa", "J", "W", "kg",
        "cd", "1",
    ];
    NAMES.iter().find_map(|name| {
        let factor = unit.factor_to(Unit::parse(name).ok()?)?;
        Some((*name, factor))
    })
}

/// The shortest text of a number, with a power of ten where that is shorter.
fn number(x: f64) -> String {
    let (plain, scientific) = (format!("{x}"), format!("{x:e}"));
    if plain.len() <= scientific.len() + 2 {
        plain
    } else {
        scientific
    }
}

impl fmt::Display for Unit {
    /// The familiar spelling (`mV`, `mS/cm^2`, `1/ms`), else a multiple of a named unit, else base units.
    ///
    /// Reading it gives the same unit again. Units that are equal print alike: `mV/ms` is `A/F`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let familiar = familiar(*self)
            .map(|powers| {
                powers
                    .into_iter()
                    .map(|(name, power)| (name, f64::from(power)))
                    .collect()
            })
            .or_else(|| power_of_one(*self).map(|power| vec![power]));
        if let Some(powers) = familiar {
            return f.write_str(&fraction(&powers));
        }
        if let Some((name, factor)) = multiple(*self) {
            return write!(f, "{name} ({})", number(factor));
        }
        let powers: Vec<(&str, f64)> = BASE
            .iter()
            .copied()
            .zip(self.exponents)
            .filter(|(_, power)| power.abs() > super::TOLERANCE)
            .collect();
        f.write_str(&fraction(&powers))?;
        if super::close(self.factor.log10(), 0.0) {
            return Ok(());
        }
        write!(f, " ({})", number(self.factor))
    }
}

fn fraction(powers: &[(&str, f64)]) -> String {
    let one = |(name, power): &(&str, f64)| {
        let size = power.abs();
        if size == 1.0 {
            (*name).to_owned()
        } else {
            format!("{name}^{}", number(size))
        }
    };
    let above: Vec<String> = powers
        .iter()
        .filter(|(_, power)| *power > 0.0)
        .map(one)
        .collect();
    let mut text = if above.is_empty() {
        "1".to_owned()
    } else {
        above.join("*")
    };
    for power in powers.iter().filter(|(_, power)| *power < 0.0) {
        text.push('/');
        text.push_str(&one(power));
    }
    text
}

impl Unit {
    /// The unit as UDUNITS reads it, for netCDF attributes: `mS cm-2`, `umol L-1`, `1`.
    ///
    /// A power that is no whole number cannot be said in UDUNITS; it is written as in a model.
    pub fn to_udunits(self) -> String {
        if let Some(powers) = familiar(self) {
            return udunits(&powers, None);
        }
        if let Some((name, factor)) = multiple(self) {
            let powers: &[Power] = if name == "1" { &[] } else { &[(name, 1)] };
            return udunits(powers, Some(factor));
        }
        let mut powers = Vec::new();
        for (name, power) in BASE.iter().copied().zip(self.exponents) {
            if (power - power.round()).abs() > super::TOLERANCE || power.abs() > 64.0 {
                return self.to_string();
            }
            if power.round() != 0.0 {
                powers.push((name, power.round() as i32));
            }
        }
        let plain = super::close(self.factor.log10(), 0.0);
        udunits(&powers, (!plain).then_some(self.factor))
    }
}

fn udunits(powers: &[Power], factor: Option<f64>) -> String {
    let mut words: Vec<String> = factor.map(number).into_iter().collect();
    let mut word = |name: &str, power: i32| {
        words.push(if power == 1 {
            name.to_owned()
        } else {
            format!("{name}{power}")
        });
    };
    for (name, power) in powers {
        // UDUNITS has no molar, and spells the ohm in lower case.
        if let Some(prefix) = name.strip_suffix('M') {
            word(&format!("{prefix}mol"), *power);
            word("L", -power);
        } else if let Some(prefix) = name.strip_suffix("Ohm") {
            word(&format!("{prefix}ohm"), *power);
        } else {
            word(name, *power);
        }
    }
    if words.is_empty() {
        "1".to_owned()
    } else {
        words.join(" ")
    }
}
