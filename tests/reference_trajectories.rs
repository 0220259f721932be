//! The reference backend on the models of the repository against trajectories that CVODES computed at 1e-11 (`tests/oracle`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod judge;

use std::collections::BTreeMap;

use judge::{FLAGSHIP, Table, load, names};
use sarcolemma::backend::Experiment;
use sarcolemma::backend::reference::{FibreEnd, Reference, Tolerances, Work};
use sarcolemma::protocol::{Drive, Level, Schedule, Segment, Target, tick};

/// Pulses of pacing level 1, as `(start, length)` in ms, within `[from, to)`.
fn paced(from_ms: f64, to_ms: f64, pulses: &[(f64, f64)]) -> Schedule {
    let mut edges = vec![tick(from_ms), tick(to_ms)];
    let inside: Vec<_> = pulses.iter().filter(|(start, _)| *start < to_ms).collect();
    for (start, length) in &inside {
        edges.extend([tick(*start), tick(start + length).min(tick(to_ms))]);
    }
    if from_ms < 0.0 {
        edges.push(0);
    }
    edges.sort_unstable();
    edges.dedup();
    let segment = |pair: &[i64]| {
        let on = inside
            .iter()
            .any(|(start, length)| tick(*start) <= pair[0] && pair[0] < tick(start + length));
        let level = Level::Number(f64::from(u8::from(on)));
        Segment {
            start: pair[0],
            end: pair[1],
            drives: vec![Some(Drive::constant(level))],
        }
    };
    Schedule {
        targets: vec![Target::Pace],
        segments: edges.windows(2).map(segment).collect(),
    }
}

struct Case<'a> {
    model: &'static str,
    table: &'a str,
    /// Literals that are set.
    settings: &'a [(&'static str, f64)],
    pulses: Vec<(f64, f64)>,
    to_ms: f64,
    every_ms: f64,
    tolerance: f64,
}

/// Largest error of each column over its range in the table, beyond what the table's digits allow.
fn compare(case: &Case<'_>) -> (BTreeMap<String, f64>, Work) {
    let model = load(case.model);
    let table = Table::read(case.table);
    let columns: Vec<(usize, String, f64)> = names(case.model, &table)
        .into_iter()
        .filter_map(|(column, name, scale)| Some((table.place(&column)?, name, scale)))
        .collect();
    let (varied, parameters): (Vec<_>, Vec<f64>) = case
        .settings
        .iter()
        .map(|(name, value)| {
            (
                Some(model.find(name).expect("a literal of the model")),
                *value,
            )
        })
        .unzip();
    let observables = columns
        .iter()
        .map(|(_, name, _)| model.find(name).unwrap_or_else(|| panic!("no {name}")))
        .collect();
    let n_samples = (case.to_ms / case.every_ms).round() as usize + 1;
    let experiment = Experiment {
        features: Vec::new(),
        n_recorded: 0,
        schedule: paced(0.0, case.to_ms, &case.pulses),
        varied,
        observables,
        sample_every_ms: case.every_ms,
        n_samples,
        model: model.into(),
    };
    let reference =
        Reference::new(&experiment, Tolerances::default()).expect("the experiment is sound");
    let mut samples = Vec::new();
    let (end, work) = reference.run_fibre(
        &parameters,
        &|| false,
        &mut |_, row| samples.push(row.to_vec()),
        &mut |_, _| {},
    );
    assert_eq!(end, FibreEnd::Finished);
    assert_eq!(samples.len(), n_samples);
    let mut errors = BTreeMap::new();
    for (place, (column, name, scale)) in columns.iter().enumerate() {
        let exact: Vec<f64> = table
            .rows
            .iter()
            .map(|row| row[*column].parse::<f64>().expect("a number") * scale)
            .collect();
        let largest = exact.iter().copied().fold(f64::MIN, f64::max);
        let smallest = exact.iter().copied().fold(f64::MAX, f64::min);
        let range = largest - smallest;
        // The tables hold 10 digits at least: half a unit of the last is up to 5e-10 of the number.
        let printed = 5.1e-10 * largest.abs().max(smallest.abs());
        let mut worst = 0.0f64;
        for (row, exact) in table.rows.iter().zip(&exact) {
            let t: f64 = row[0].parse().expect("a time");
            let found = samples[(t / case.every_ms).round() as usize][place];
            worst = worst.max(((found - exact).abs() - printed).max(0.0) / range);
        }
        errors.insert(name.clone(), worst);
    }
    (errors, work)
}

fn check(case: &Case<'_>) {
    let (errors, work) = compare(case);
    let mut sorted: Vec<_> = errors.iter().collect();
    sorted.sort_by(|a, b| b.1.total_cmp(a.1));
    println!(
        "{}: {work:?}, worst {:?}",
        case.table,
        &sorted[..4.min(sorted.len())]
    );
    for (name, error) in sorted {
        assert!(
            *error <= case.tolerance,
            "{}: {name} differs by {error:.1e} of its range",
            case.table
        );
    }
}

#[test]
fn hodgkin_huxley_follows_the_table() {
    let pulses = (0..5).map(|k| (5.0 + 20.0 * f64::from(k), 0.5)).collect();
    check(&Case {
        model: "hodgkin_huxley_1952",
        table: "hodgkin_huxley_1952.csv",
        settings: &[],
        pulses,
        to_ms: 100.0,
        every_ms: 0.05,
        tolerance: 1e-6,
    });
}

#[test]
fn the_fast_fibre_follows_the_table() {
    check(&Case {
        model: "shorten_2007_fast",
        table: "shorten_fast_twitch.csv",
        settings: &[],
        pulses: vec![(0.0, 0.5)],
        to_ms: 200.0,
        every_ms: 0.1,
        tolerance: 1e-6,
    });
}

#[test]
fn the_slow_fibre_follows_the_table() {
    check(&Case {
        model: "shorten_2007_slow",
        table: "shorten_slow_twitch.csv",
        settings: &[],
        pulses: vec![(0.0, 0.5)],
        to_ms: 200.0,
        every_ms: 0.1,
        tolerance: 1e-6,
    });
}

#[test]
fn the_prototype_of_the_flagship_follows_the_table() {
    check(&Case {
        model: "skeletal_fibre_prototype",
        table: "skeletal_fibre_prototype_twitch.csv",
        settings: &[],
        pulses: vec![(1.0, 0.5)],
        to_ms: 59.8,
        every_ms: 0.05,
        tolerance: 1e-6,
    });
}

#[test]
fn the_flagship_follows_its_tables() {
    for (name, settings) in FLAGSHIP {
        let (to_ms, length_ms) = match name {
            "slow" => (200.0, 0.5),
            "nerve" => (60.0, 0.2),
            _ => (60.0, 0.5),
        };
        check(&Case {
            model: "skeletal_fibre",
            table: &format!("skeletal_fibre_{name}.csv"),
            settings,
            pulses: vec![(1.0, length_ms)],
            to_ms,
            every_ms: 0.1,
            tolerance: 1e-6,
        });
    }
}

/// A reference for a model left alone for 1 ms.
fn at_rest(name: &str) -> Reference {
    let model = load(name);
    let experiment = Experiment {
        features: Vec::new(),
        n_recorded: 0,
        schedule: paced(0.0, 1.0, &[]),
        varied: Vec::new(),
        observables: Vec::new(),
        sample_every_ms: 1.0,
        n_samples: 0,
        model: model.into(),
    };
    Reference::new(&experiment, Tolerances::default()).expect("the experiment is sound")
}

#[test]
fn jacobians_of_shipped_models_are_those_of_their_rates() {
    for name in [
        "hodgkin_huxley_1952",
        "shorten_2007_fast",
        "shorten_2007_slow",
        "skeletal_fibre",
        "skeletal_fibre_prototype",
    ] {
        let reference = at_rest(name);
        let mut state = reference.initial_state(&[]);
        // Off the initial zeros, and away from rest.
        for y in &mut state {
            *y = 0.9 * *y + 1e-3;
        }
        let n = state.len();
        let jacobian = reference.jacobian(&state, &[]);
        for j in 0..n {
            let h = 1e-4 * state[j].abs().max(1e-3);
            let moved = |by: f64| {
                let mut state = state.clone();
                state[j] += by;
                reference.rates(&state, &[])
            };
            let [a, b, c, d] = [2.0 * h, h, -h, -2.0 * h].map(moved);
            for i in 0..n {
                let difference = (8.0 * (b[i] - c[i]) - (a[i] - d[i])) / (12.0 * h);
                let exact = jacobian[i * n + j];
                // Rounding of the rates over h, and the truncation of the difference, h⁴ of the entry.
                let allowed = 1e-13 * (b[i].abs() + 1e3 * state[i].abs()) / h + 1e-7 * exact.abs();
                assert!(
                    (difference - exact).abs() <= allowed,
                    "{name} [{i}, {j}]: {exact} is said, {difference} found"
                );
            }
        }
    }
}

#[test]
fn the_stiffness_of_the_fast_fibre_is_the_known_one() {
    let reference = at_rest("shorten_2007_fast");
    let eigenvalues = reference
        .jacobian_eigenvalues(&reference.initial_state(&[]), &[])
        .unwrap();
    let fastest = eigenvalues.iter().map(|e| e.re).fold(f64::MAX, f64::min);
    // At rest it is -1765 per ms, in the release of calcium; the initial state is not quite at rest.
    assert!((-2100.0..-1500.0).contains(&fastest), "{fastest}");
}

/// Not a check: what a run costs. `cargo test --release --test reference_trajectories -- --ignored --nocapture`
#[test]
#[ignore = "prints times, checks nothing"]
fn what_it_costs() {
    for (name, settle_ms) in [
        ("shorten_2007_fast", 0.0),
        ("shorten_2007_slow", 0.0),
        ("skeletal_fibre", 5000.0),
    ] {
        let model = load(name);
        let pulses: Vec<_> = (0..30).map(|k| (20.0 * f64::from(k), 0.5)).collect();
        for (what, from_ms, to_ms, pulses) in [
            ("settling", -200_000.0, 0.0, &[][..]),
            (
                "settling and 3 s with 30 pulses",
                -settle_ms,
                3000.0,
                &pulses[..],
            ),
            ("600 ms of pulses at 50 Hz", 0.0, 600.0, &pulses[..]),
        ] {
            let observables = model.labelled("membrane_potential").into_iter().collect();
            let experiment = Experiment {
                features: Vec::new(),
                n_recorded: 0,
                schedule: paced(from_ms, to_ms, pulses),
                varied: Vec::new(),
                observables,
                sample_every_ms: 0.5,
                n_samples: (to_ms / 0.5) as usize + 1,
                model: model.clone().into(),
            };
            for relative in [1e-8, 1e-9] {
                let tolerances = Tolerances {
                    relative,
                    absolute: relative * 1e-2,
                };
                let built = std::time::Instant::now();
                let reference = Reference::new(&experiment, tolerances).unwrap();
                let built = built.elapsed();
                let start = std::time::Instant::now();
                let (end, work) =
                    reference.run_fibre(&[], &|| false, &mut |_, _| {}, &mut |_, _| {});
                println!(
                    "{name}, {what}, {relative:e}: {:?} (built in {built:?}), {end:?}, {work:?}",
                    start.elapsed()
                );
            }
        }
    }
}
