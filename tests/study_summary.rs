//! Conditions, shares and their intervals, and the table of a summary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod studies;

use sarcolemma::study::condition::{Condition, Name, Term};
use sarcolemma::study::wilson_interval;
use sarcolemma::units::Unit;
use studies::study;

fn names() -> Vec<Name> {
    let name = |name: &str, term, unit: &str| Name {
        name: name.to_string(),
        term,
        unit: Unit::parse(unit).ok(),
    };
    vec![
        name("after.count", Term::Feature(0), "1"),
        name("V500", Term::Feature(1), "mV"),
        name("rest", Term::Feature(2), "mV"),
        name("bath.Mg", Term::Parameter(0), "mM"),
    ]
}

fn holds(text: &str, features: [f64; 3]) -> bool {
    match Condition::parse(text, &names()) {
        Ok(condition) => condition.holds(&features, &[0.55]),
        Err(error) => panic!("{text}: {error:?}"),
    }
}

#[test]
fn conditions_mean_what_they_say() {
    let row = [3.0, -50.0, -85.0];
    for text in [
        "after.count >= 3",
        "after.count==3",
        "after.count > 3 or V500 > -60 mV",
        "V500 > -0.06 V",
        "-60 mV < V500",
        "V500 - rest > 30 mV",
        "V500 - rest >= 35 mV and V500 - rest <= 35 mV",
        "not V500 < -60 mV",
        "not (after.count < 3 and V500 > 0 mV)",
        "bath.Mg < 0.6 mM",
        "bath.Mg <= 600 uM",
        "bath.Mg != 1",
        "(after.count > 5 or after.count > 2) and (V500 < 0 mV)",
        // `and` binds tighter than `or`.
        "after.count == 3 or after.count == 4 and V500 > 0 mV",
        "V500 > -5.1e1 mV",
        "V500 > -60",
    ] {
        assert!(holds(text, row), "{text}");
    }
    for text in [
        "after.count > 3",
        "V500 > -40 mV",
        "not not V500 > 0 mV",
        "V500 != -50 mV",
        "bath.Mg > 0.00056 M",
    ] {
        assert!(!holds(text, row), "{text}");
    }
}

#[test]
fn a_missing_number_fulfils_no_comparison() {
    let row = [f64::NAN, f64::NAN, -85.0];
    for text in [
        "V500 > -60 mV",
        "V500 <= -60 mV",
        "V500 == -60 mV",
        "V500 != -60 mV",
        "after.count < 3",
    ] {
        assert!(!holds(text, row), "{text}");
    }
    assert!(holds("not V500 > -60 mV", row));
}

#[test]
fn faults_of_conditions_have_places() {
    for (text, place, part) in [
        ("", 0..0, "expected a feature"),
        ("V500", 4..4, "expected a comparison"),
        ("V500 > ", 6..6, "the condition ends"),
        ("V500 = 3 mV", 5..6, "no comparison"),
        ("V50 > 3 mV", 0..3, "neither a feature"),
        ("V500 > 3 mM", 7..11, "is in mM, expected mV"),
        ("after.count >= 3 mV", 15..19, "expected"),
        ("V500 > 3 mW/", 0..0, ""),
        ("(V500 > 3 mV", 12..12, "')'"),
        ("V500 > 3 mV)", 11..12, "'and', 'or' or the end"),
        ("V500 > 3 mV V500 < 4 mV", 12..16, "'and', 'or'"),
        ("V500 > & 3", 7..8, "expected"),
        ("V500 > bath.Mg", 7..14, "expected mV"),
        ("and", 0..3, "expected"),
    ] {
        let error = Condition::parse(text, &names()).expect_err(text);
        assert!(error.message.contains(part), "{text}: {error:?}");
        if !part.is_empty() {
            assert_eq!(error.place, place, "{text}: {error:?}");
        }
    }
    let deep = format!("{}V500 > 0", "(".repeat(10_000));
    assert!(Condition::parse(&deep, &names()).is_err());
    let help = Condition::parse("after.cont > 3", &names())
        .unwrap_err()
        .help;
    assert_eq!(help.as_deref(), Some("did you mean 'after.count'?"));
}

/// Values of Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3.
#[test]
fn wilson_intervals_are_those_published() {
    for (count, of, low, high) in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ] {
        let (a, b) = wilson_interval(count, of);
        assert!(
            (a - low).abs() < 5e-5 && (b - high).abs() < 5e-5,
            "{count}/{of}: {a} {b}"
        );
    }
    assert!(wilson_interval(0, 0).0.is_nan());
    assert_eq!(wilson_interval(5, 5).1, 1.0);
}

#[test]
fn the_table_counts_classes_by_group() {
    let study = study(include_str!("studies/cramp.toml"));
    let summary = study.summary.clone().unwrap();
    let n = 42;
    let rows: Vec<Vec<f64>> = (0..n).map(|i| study.draw(i)).collect();
    let parameters: Vec<Vec<f64>> = (0..rows[0].len())
        .map(|p| rows.iter().map(|r| r[p]).collect())
        .collect();
    // Ten columns; of them after.count is 4 and V500 is 8.
    let mut features = vec![vec![0.0; n as usize]; 10];
    features[8] = vec![-80.0; n as usize];
    // Fibres 0 and 21 share a group: one plateau that also discharges, one after-discharge.
    (features[4][0], features[8][0]) = (5.0, -30.0);
    features[4][21] = 3.0;
    let mut lost = vec![false; n as usize];
    lost[22] = true;
    let table = summary.table(&parameters, &features, &lost);
    assert_eq!(
        table.shares,
        ["abnormal", "plateau", "after-discharge", "quiet"]
    );
    assert_eq!(table.groups.len(), 21);
    let group = |mg: f64, cl: f64| table.groups.iter().find(|g| g.key == [mg, cl]).unwrap();
    let counts =
        |g: &sarcolemma::study::Group| g.shares.iter().map(|s| s.count).collect::<Vec<_>>();
    assert_eq!(counts(group(0.2, 1.0)), [2, 1, 1, 0]);
    assert_eq!(group(0.2, 1.0).features[8].mean, -55.0);
    assert_eq!(
        (
            group(0.2, 0.5).fibres,
            group(0.2, 0.5).lost,
            group(0.2, 0.5).shares[3].of
        ),
        (2, 1, 1)
    );
    assert_eq!(counts(group(1.2, 0.05)), [0, 0, 0, 2]);
    // Ascending keys.
    assert_eq!(table.groups[0].key, [0.2, 0.05]);
}
