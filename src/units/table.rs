//! The names of units: those that Myokit knows, each a factor times earlier ones.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{Unit, parse};

/// Prefixes and their factors. There is no `da`, and `h` alone is the hour.
pub(super) const PREFIXES: [(char, f64); 20] = [
    ('y', 1e-24),
    ('z', 1e-21),
    ('a', 1e-18),
    ('f', 1e-15),
    ('p', 1e-12),
    ('n', 1e-9),
    ('u', 1e-6),
    ('m', 1e-3),
    ('c', 1e-2),
    ('d', 1e-1),
    ('h', 1e2),
    ('k', 1e3),
    ('M', 1e6),
    ('G', 1e9),
    ('T', 1e12),
    ('P', 1e15),
    ('E', 1e18),
    ('Z', 1e21),
    ('Y', 1e24),
    // Accepted where a person types a quantity; a model file has no such letter.
    ('µ', 1e-6),
];

/// A named unit and whether it takes prefixes.
#[derive(Clone, Copy)]
pub(super) struct Named {
    pub unit: Unit,
    pub prefixed: bool,
}

const PREFIXED: bool = true;
const ALONE: bool = false;

/// Names, factor, what the factor multiplies (from names above), whether prefixes are taken.
const ROWS: &[(&[&str], f64, &str, bool)] = &[
    (
        &["dimensionless", "rad", "radian", "sr", "steradian"],
        1.0,
        "1",
        ALONE,
    ),
    // The base units stand in `table`.
    (&["kilogram"], 1.0, "kg", ALONE),
    (&["metre", "meter"], 1.0, "m", ALONE),
    (&["second"], 1.0, "s", ALONE),
    (&["ampere", "Ampere"], 1.0, "A", ALONE),
    (&["kelvin", "Kelvin"], 1.0, "K", ALONE),
    (&["candela"], 1.0, "cd", ALONE),
    (&["mole"], 1.0, "mol", ALONE),
    (&["g"], 1e-3, "kg", PREFIXED),
    // Derived SI units.
    (&["Hz"], 1.0, "1/s", PREFIXED),
    (&["hertz", "Hertz"], 1.0, "Hz", ALONE),
    (&["N"], 1.0, "kg*m/s^2", PREFIXED),
    (&["newton", "Newton"], 1.0, "N", ALONE),
    (&["Pa"], 1.0, "N/m^2", PREFIXED),
    (&["pascal", "Pascal"], 1.0, "Pa", ALONE),
    (&["J"], 1.0, "N*m", PREFIXED),
    (&["joule", "Joule"], 1.0, "J", ALONE),
    (&["W"], 1.0, "J/s", PREFIXED),
    (&["watt", "Watt"], 1.0, "W", ALONE),
    (&["C"], 1.0, "A*s", PREFIXED),
    (&["coulomb", "Coulomb"], 1.0, "C", ALONE),
    (&["V"], 1.0, "J/C", PREFIXED),
    (&["volt", "Volt"], 1.0, "V", ALONE),
    (&["F"], 1.0, "C/V", PREFIXED),
    (&["farad", "Farad"], 1.0, "F", ALONE),
    (&["Ohm"], 1.0, "V/A", PREFIXED),
    (&["ohm"], 1.0, "Ohm", ALONE),
    (&["R"], 1.0, "Ohm", PREFIXED),
    (&["S"], 1.0, "A/V", PREFIXED),
    (&["siemens", "Siemens"], 1.0, "S", ALONE),
    (&["Wb"], 1.0, "J/A", PREFIXED),
    (&["weber", "Weber"], 1.0, "Wb", ALONE),
    (&["T"], 1.0, "Wb/m^2", PREFIXED),
    (&["tesla", "Tesla"], 1.0, "T", ALONE),
    (&["H"], 1.0, "Wb/A", PREFIXED),
    (&["henry", "Henry"], 1.0, "H", ALONE),
    (&["lm"], 1.0, "cd", PREFIXED),
    (&["lumen"], 1.0, "lm", ALONE),
    (&["lx"], 1.0, "lm/m^2", PREFIXED),
    (&["lux"], 1.0, "lx", ALONE),
    (&["Bq"], 1.0, "1/s", PREFIXED),
    (&["becquerel", "Becquerel"], 1.0, "Bq", ALONE),
    (&["Gy"], 1.0, "J/kg", PREFIXED),
    (&["gray", "Gray"], 1.0, "Gy", ALONE),
    (&["Sv"], 1.0, "J/kg", PREFIXED),
    (&["sievert", "Sievert"], 1.0, "Sv", ALONE),
    (&["kat"], 1.0, "mol/s", PREFIXED),
    (&["katal"], 1.0, "kat", ALONE),
    // Time.
    (&["minute"], 60.0, "s", ALONE),
    (&["hour", "hr", "h"], 60.0, "minute", ALONE),
    (&["day"], 24.0, "hour", ALONE),
    (&["week", "wk"], 7.0, "day", ALONE),
    (&["forthnight"], 14.0, "day", ALONE),
    (&["julian_year", "year", "yr"], 365.25, "day", ALONE),
    (&["dog_year"], 1.0 / 7.0, "year", ALONE),
    // Length, area, volume.
    (&["parsec", "pc"], 30.857e15, "m", ALONE),
    (&["light_year", "ly"], 9.460_528_4e15, "m", ALONE),
    (&["angstrom"], 1e-10, "m", ALONE),
    (&["hectare"], 1e4, "m^2", ALONE),
    (&["L"], 1e-3, "m^3", PREFIXED),
    (&["liter", "litre"], 1.0, "L", ALONE),
    (&["cc"], 1e-6, "m^3", ALONE),
    // Mass, pressure, concentration.
    (&["Da"], 1.660_538_86e-27, "kg", PREFIXED),
    (&["dalton"], 1.0, "Da", ALONE),
    (&["tonne"], 1e3, "kg", ALONE),
    (&["bar"], 1e5, "Pa", ALONE),
    (&["atm"], 1.013_25, "bar", ALONE),
    (&["torr"], 1.0 / 760.0, "atm", ALONE),
    (&["M"], 1.0, "mol/L", PREFIXED),
    (&["molar"], 1.0, "M", ALONE),
    // Imperial units, by the yard of 1959; plural, as one says them.
    (&["inches"], 0.0254, "m", ALONE),
    (&["thou"], 1e-3, "inches", ALONE),
    (&["feet"], 0.3048, "m", ALONE),
    (&["yards"], 0.9144, "m", ALONE),
    (&["chains"], 22.0, "yards", ALONE),
    (&["furlongs"], 10.0, "chains", ALONE),
    (&["miles"], 8.0, "furlongs", ALONE),
    (&["leagues"], 3.0, "miles", ALONE),
    (&["nautical_miles"], 6080.0, "feet", ALONE),
    (&["cables"], 0.1, "nautical_miles", ALONE),
    (&["fathoms"], 0.01, "cables", ALONE),
    (&["rods"], 0.25, "chains", ALONE),
    (&["links"], 0.04, "rods", ALONE),
    (&["perches"], 1.0, "rods^2", ALONE),
    (&["roods"], 1.0, "furlongs*rods", ALONE),
    (&["acres"], 1.0, "furlongs*chains", ALONE),
    (&["smoot"], 67.0, "inches", ALONE),
    (&["gallons"], 4.546_09, "L", ALONE),
    (&["quarts"], 0.25, "gallons", ALONE),
    (&["pints"], 0.5, "quarts", ALONE),
    (&["half_pints"], 0.5, "pints", ALONE),
    (&["gills"], 0.25, "pints", ALONE),
    (&["fluid_ounces", "floz"], 0.05, "pints", ALONE),
    (&["pounds", "lb"], 453.592_37, "g", ALONE),
    (&["ounces", "oz"], 0.0625, "pounds", ALONE),
    (&["drachms"], 0.0625, "ounces", ALONE),
    (&["grains"], 1.0 / 7000.0, "pounds", ALONE),
    (&["stones"], 14.0, "pounds", ALONE),
    (&["quarters"], 2.0, "stones", ALONE),
    (&["hundredweights"], 4.0, "quarters", ALONE),
    (&["imp_tons"], 20.0, "hundredweights", ALONE),
];

/// Every name.
pub(super) type Names = HashMap<&'static str, Named>;

/// The table by name.
pub(super) fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(build)
}

fn build() -> Names {
    let mut names = Names::new();
    for (i, name) in ["kg", "m", "s", "A", "K", "cd", "mol"]
        .into_iter()
        .enumerate()
    {
        let mut unit = Unit::DIMENSIONLESS;
        unit.exponents[i] = 1.0;
        names.insert(
            name,
            Named {
                unit,
                prefixed: name != "kg",
            },
        );
    }
    for (row, factor, of, prefixed) in ROWS {
        let unit = parse::parse_with(&names, of)
            .expect("a row refers to rows above it")
            .scaled(*factor);
        for name in *row {
            names.insert(
                name,
                Named {
                    unit,
                    prefixed: *prefixed,
                },
            );
        }
    }
    names
}

/// The unit of a name, with or without a prefix.
pub(super) fn find(names: &Names, name: &str) -> Result<Unit, Missing> {
    if let Some(named) = names.get(name) {
        return Ok(named.unit);
    }
    let mut letters = name.chars();
    let first = letters.next();
    let prefix = first.and_then(|c| PREFIXES.iter().find(|(symbol, _)| *symbol == c));
    match (prefix, names.get(letters.as_str())) {
        (Some((_, factor)), Some(named)) if named.prefixed => Ok(named.unit.scaled(*factor)),
        (Some((symbol, _)), Some(_)) => {
            Err(Missing::NoPrefix(*symbol, letters.as_str().to_owned()))
        }
        _ => Err(Missing::Unknown),
    }
}

/// Why there is no such unit.
pub(super) enum Missing {
    Unknown,
    NoPrefix(char, String),
}

/// The known unit that was probably meant.
pub(super) fn nearest(name: &str) -> Option<String> {
    // What people write that is no name here.
    const ALIASES: [(&str, &str); 12] = [
        ("min", "minute"),
        ("sec", "s"),
        ("msec", "ms"),
        ("l", "L"),
        ("ml", "mL"),
        ("ul", "uL"),
        ("degC", "K"),
        ("celsius", "K"),
        ("molar", "M"),
        ("in", "inches"),
        ("ft", "feet"),
        ("percent", "1 (0.01)"),
    ];
    if let Some((_, known)) = ALIASES.iter().find(|(typed, _)| *typed == name) {
        return Some((*known).to_owned());
    }
    let mut known: Vec<String> = names().keys().map(|name| (*name).to_owned()).collect();
    for base in [
        "s", "V", "A", "F", "S", "M", "mol", "m", "L", "Ohm", "g", "N", "Pa", "J", "C",
    ] {
        known.extend(["m", "u", "n", "p", "k"].map(|prefix| format!("{prefix}{base}")));
    }
    known.sort();
    crate::diag::nearest(name, known.iter().map(String::as_str)).map(str::to_owned)
}
