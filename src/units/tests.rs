use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn unit(text: &str) -> Unit {
    Unit::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Units that are awkward in one way or another: prefixes, powers, multipliers, roots.
const SAMPLES: &[&str] = &[
    "1",
    "mV",
    "ms",
    "mS/cm^2",
    "uA/uF",
    "1/ms",
    "mM",
    "g/mol*m^2 (1e-3)",
    "uF/cm^2",
    "J/mol/K",
    "C/mmol",
    "1/mM^2/ms",
    "mM/mV/ms",
    "L/F/s",
    "m^0.5",
    "mV^-2",
    "m/s (1000)",
    "1 (0.01)",
    "kat",
    "hour",
    "kmol",
    "Gy",
    "TOhm",
    "cd",
    "nmol/cm^2/ms",
    "uM",
    "um^3",
    "pL",
    "acres",
    "atm",
    "kDa",
    "1/K",
    "mN/mm^2",
    "uM/s",
    "K^1.5/s^0.25",
];

#[test]
fn units_have_their_sizes() {
    for (text, factor, exponents) in [
        ("ms", 1e-3, [0, 0, 1, 0, 0, 0, 0]),
        ("mV", 1e-3, [1, 2, -3, -1, 0, 0, 0]),
        ("mS/cm^2", 10.0, [-1, -4, 3, 2, 0, 0, 0]),
        ("uF/cm^2", 1e-2, [-1, -4, 4, 2, 0, 0, 0]),
        ("uA/uF", 1.0, [1, 2, -4, -1, 0, 0, 0]),
        ("mM", 1.0, [0, -3, 0, 0, 0, 0, 1]),
        ("uM", 1e-3, [0, -3, 0, 0, 0, 0, 1]),
        ("g/mol*m^2 (1e-3)", 1e-6, [1, 2, 0, 0, 0, 0, -1]),
        ("[ 1 / ms ]", 1e3, [0, 0, -1, 0, 0, 0, 0]),
        ("cd", 1.0, [0, 0, 0, 0, 0, 1, 0]),
        ("Pa", 1.0, [1, -1, -2, 0, 0, 0, 0]),
        ("h", 3600.0, [0, 0, 1, 0, 0, 0, 0]),
        ("µM", 1e-3, [0, -3, 0, 0, 0, 0, 1]),
        ("m (2*10^-3)", 2e-3, [0, 1, 0, 0, 0, 0, 0]),
    ] {
        let u = unit(text);
        assert_eq!(u.factor, factor, "{text}");
        assert_eq!(u.exponents, exponents.map(f64::from), "{text}");
    }
}

#[test]
fn familiar_units_are_printed_as_people_write_them() {
    for text in [
        "1",
        "mV",
        "V",
        "ms",
        "s",
        "mS/cm^2",
        "uA/cm^2",
        "uF/cm^2",
        "1/ms",
        "1/s",
        "mM",
        "uM",
        "uM/ms",
        "mM/ms",
        "nS",
        "pA",
        "pF",
        "um",
        "cm",
        "cm^2",
        "um^3",
        "cm/s",
        "mS/mm^2",
        "C/mol",
        "C/mmol",
        "J/mol/K",
        "1/mV",
        "1/mV/ms",
        "1/uM/ms",
        "1/mM/ms",
        "mM/mV/ms",
        "K",
        "kPa",
        "mN",
        "A/F",
        "umol/cm^2",
        "nmol/cm^2/ms",
        "1/um",
        "pL",
        "MOhm",
        "1 (0.01)",
    ] {
        assert_eq!(unit(text).to_string(), text);
    }
    assert_eq!(unit("m^0.5").to_string(), "m^0.5");
    assert_eq!(unit("kg*m^5/A (3)").to_string(), "kg*m^5/A (3)");
}

#[test]
fn udunits_spelling_uses_no_molar() {
    for (text, udunits) in [
        ("1", "1"),
        ("mV", "mV"),
        ("mS/cm^2", "mS cm-2"),
        ("uM", "umol L-1"),
        ("1/mM^2/ms", "mmol-2 L2 ms-1"),
        ("MOhm", "Mohm"),
        ("1/ms", "ms-1"),
        ("V (0.3)", "0.3 V"),
        ("1 (0.01)", "0.01"),
        ("kg*m^5/A (3)", "3 kg m5 A-1"),
    ] {
        assert_eq!(unit(text).to_udunits(), udunits, "{text}");
    }
}

#[test]
fn printed_units_read_back() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut units: Vec<Unit> = SAMPLES.iter().map(|text| unit(text)).collect();
    for _ in 0..500 {
        let mut u = Unit::DIMENSIONLESS;
        for _ in 0..rng.random_range(1..4) {
            let power = f64::from(rng.random_range(-6..7)) / 2.0;
            u = u.times(unit(SAMPLES[rng.random_range(0..SAMPLES.len())]).powf(power));
        }
        units.push(u.scaled(10f64.powi(rng.random_range(-9..9)) * rng.random_range(1.0..2.0)));
    }
    for u in units {
        let text = u.to_string();
        assert!(unit(&text).is_close(u), "{text} is not {u:?}");
    }
}

#[test]
fn products_and_powers_obey_algebra() {
    let units: Vec<Unit> = SAMPLES.iter().map(|text| unit(text)).collect();
    for &a in &units {
        assert!(a.over(a).is_dimensionless());
        assert!(a.powf(0.0).is_dimensionless());
        assert!(a.powf(2.0).root(2.0).is_close(a));
        assert!(a.times(a).is_close(a.powf(2.0)));
        assert_eq!(a.factor_to(a), Some(1.0));
        for &b in &units {
            assert!(a.times(b).is_close(b.times(a)));
            assert!(a.times(b).over(b).is_close(a));
            assert!(a.over(b).is_close(b.over(a).powf(-1.0)));
            assert_eq!(a.same_dimension(b), a.factor_to(b).is_some());
            for &c in &units {
                assert!(a.times(b).times(c).is_close(a.times(b.times(c))));
            }
            if let (Some(there), Some(back)) = (a.factor_to(b), b.factor_to(a)) {
                assert!((there * back - 1.0).abs() < 1e-14);
            }
        }
    }
}

#[test]
fn conversions_of_decimal_units_are_exact() {
    assert_eq!(unit("mV").factor_to(unit("V")), Some(1e-3));
    assert_eq!(unit("uM").factor_to(unit("mM")), Some(1e-3));
    assert_eq!(unit("mS/cm^2").factor_to(unit("S/m^2")), Some(10.0));
    assert_eq!(unit("mV").convert(30.0, unit("V")), Some(0.03));
    assert_eq!(unit("s").convert(0.3, unit("ms")), Some(300.0));
    assert_eq!(unit("minute").convert(1.0, unit("ms")), Some(60_000.0));
    assert_eq!(unit("mV").convert(1.0, unit("ms")), None);
    assert!(!unit("pF").is_close(unit("nF")));
    assert!(unit("F (1.0000000001)").is_close(unit("F")));
}

#[test]
fn unit_errors_have_places() {
    for (text, place, message) in [
        ("mS/cmm^2", 3..6, "unknown unit 'cmm'"),
        ("kkg", 0..3, "the unit 'kg' takes no prefix 'k'"),
        ("", 0..0, "expected a unit's name, found the end"),
        ("2*m", 0..1, "expected a unit's name or '1', found '2'"),
        ("1.0/ms", 0..3, "expected a unit's name or '1', found '1.0'"),
        ("m/1", 2..3, "expected a unit's name, found '1'"),
        ("m^", 2..2, "expected a number, found the end"),
        (
            "m s",
            2..3,
            "expected '*', '/', '^' or the end of the unit, found 's'",
        ),
        ("[m", 2..2, "expected ']', found the end"),
        (
            "m (-1)",
            2..6,
            "the factor -1 of a unit is not a positive finite number",
        ),
        (
            "m (0)",
            2..5,
            "the factor 0 of a unit is not a positive finite number",
        ),
        (
            "Ym^99",
            0..5,
            "the factor inf of a unit is not a positive finite number",
        ),
        ("m (1", 4..4, "expected ')', found the end"),
    ] {
        let error = Unit::parse(text).unwrap_err();
        assert_eq!(
            (error.place(), error.to_string().as_str()),
            (place, message),
            "{text}"
        );
    }
    assert_eq!(
        Unit::parse("mv").unwrap_err().help().unwrap(),
        "did you mean 'mV'?"
    );
    assert_eq!(
        Unit::parse("min").unwrap_err().help().unwrap(),
        "did you mean 'minute'?"
    );
    assert!(
        Unit::parse("degC")
            .unwrap_err()
            .help()
            .unwrap()
            .contains("[K]")
    );
    assert!(Unit::parse(&format!("m {}1", "(".repeat(100_000))).is_err());
}

#[test]
fn quantities_are_numbers_with_or_without_a_unit() {
    for (text, value, of) in [
        ("0.5 ms", 0.5, Some("ms")),
        ("5 mV", 5.0, Some("mV")),
        ("-30 mV", -30.0, Some("mV")),
        ("1e-3 mS/cm^2", 1e-3, Some("mS/cm^2")),
        ("  22 ", 22.0, None),
        ("+.5e1[mV]", 5.0, Some("mV")),
        ("3 1/ms", 3.0, Some("1/ms")),
        ("7 [1]", 7.0, Some("1")),
    ] {
        let quantity = Quantity::parse(text).unwrap();
        assert_eq!(
            (quantity.value, quantity.unit),
            (value, of.map(unit)),
            "{text}"
        );
    }
    for (text, place) in [
        ("ms", 0..2),
        ("", 0..0),
        ("  x 5 ", 2..5),
        ("0.5 mz", 4..6),
        ("1e999 ms", 0..5),
        ("5 m m", 4..5),
    ] {
        assert_eq!(Quantity::parse(text).unwrap_err().place(), place, "{text}");
    }
    assert_eq!(
        Quantity::parse("0.5 s").unwrap().to(unit("ms")),
        Some(500.0)
    );
    assert_eq!(Quantity::parse("5").unwrap().to(unit("ms")), Some(5.0));
    assert_eq!(Quantity::parse("5 mV").unwrap().to(unit("ms")), None);
    assert_eq!(Quantity::parse("5 mV").unwrap().to_string(), "5 mV");
}
