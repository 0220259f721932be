//! Edges, samples, pieces, ramps, clamps, parameters, and how a fibre ends.

use sarcolemma::backend::Experiment;
use sarcolemma::backend::reference::{FibreEnd, Reference, Tolerances};
use sarcolemma::feature::Piece;
use sarcolemma::model::VariableKind;
use sarcolemma::ops::Op;
use sarcolemma::protocol::{Drive, Level, Schedule, Segment, Target, tick};

use crate::made::{Maker, apply, close, decay, last, n, plain, robertson, run, run_with};

/// `ms_from, ms_to` and the level of each target.
type Part = (f64, f64, Vec<Option<Drive>>);

fn with_protocol(mut experiment: Experiment, targets: Vec<Target>, parts: Vec<Part>) -> Experiment {
    let segments = parts.into_iter().map(|(from, to, drives)| Segment {
        start: tick(from),
        end: tick(to),
        drives,
    });
    experiment.schedule = Schedule {
        targets,
        segments: segments.collect(),
    };
    experiment
}

fn level(number: f64) -> Option<Drive> {
    Some(Drive::constant(Level::Number(number)))
}

/// `y' = pace`, and `seen = 10 pace`.
fn pulse_counter() -> Maker {
    let mut m = Maker::new();
    let _ = m.state("y", 0.0);
    let pace = m.get("pace");
    m.intermediate("seen", n(10.0) * pace.clone());
    m.dot("y", pace);
    m
}

#[test]
fn edges_are_hit_exactly_and_belong_to_the_segment_that_begins() {
    let mut experiment = with_protocol(
        plain(&pulse_counter(), 3.0, &["y", "seen"]),
        vec![Target::Pace],
        vec![
            (0.0, 1.0, vec![level(0.0)]),
            (1.0, 2.0, vec![level(1.0)]),
            (2.0, 3.0, vec![level(0.0)]),
        ],
    );
    experiment.sample_every_ms = 0.1;
    experiment.n_samples = 31;
    let ran = run(&experiment);
    assert_eq!((ran.end, ran.rows.len()), (FibreEnd::Finished, 31));
    for (k, row) in ran.rows.iter().enumerate() {
        let t = k as f64 * 0.1;
        // A straight line is exact for every order: rounding only.
        assert!(
            (row[0] - (t - 1.0).clamp(0.0, 1.0)).abs() < 1e-13,
            "at {t}: {row:?}"
        );
        let seen = if (10..20).contains(&k) { 10.0 } else { 0.0 };
        assert_eq!(row[1], seen, "at {t}");
    }
}

#[test]
fn pieces_cover_the_time_from_zero_without_a_gap() {
    let mut m = Maker::new();
    let (x, v) = (m.state("x", 1.0), m.state("v", 0.0));
    m.dot("x", v.clone());
    m.dot("v", -x.clone());
    m.intermediate("energy", x.clone() * x + v.clone() * v);
    let parts = vec![(-5.0, 0.0, vec![]), (0.0, 2.0, vec![]), (2.0, 5.0, vec![])];
    let experiment = with_protocol(plain(&m, 5.0, &["x", "energy"]), vec![], parts);
    let ran = run(&experiment);
    for pieces in &ran.pieces {
        assert_eq!(pieces[0].t0, 0.0);
        assert!(
            pieces.windows(2).all(|pair| pair[0].t1 == pair[1].t0),
            "a gap"
        );
        assert!((pieces.last().unwrap().t1 - 5.0).abs() < 1e-12);
    }
    for piece in &ran.pieces[0] {
        let h = piece.t1 - piece.t0;
        let middle = (piece.g0 + piece.g1) / 2.0 + h * (piece.d0 - piece.d1) / 8.0;
        let exact = ((piece.t0 + piece.t1) / 2.0 + 5.0).cos();
        // The cubic is off by h⁴/384 at most, the steps by 1e-9 each.
        assert!((middle - exact).abs() < 1e-6, "{piece:?}");
    }
    assert!(
        ran.pieces[1]
            .iter()
            .all(|p| (p.g0 - 1.0).abs() < 1e-5 && p.d0.abs() < 1e-12)
    );
}

#[test]
fn a_sample_at_zero_comes_after_settling_and_before_the_pulse() {
    let mut m = decay(-1.0);
    let _ = m.get("pace");
    let y = m.get("y");
    let pace = m.get("pace");
    let id = m.id("y");
    m.0.order.retain(|&other| other != id);
    m.dot("y", pace - y);
    let parts = vec![(-10.0, 0.0, vec![level(0.0)]), (0.0, 1.0, vec![level(1.0)])];
    let mut experiment = with_protocol(plain(&m, 1.0, &["y", "pace"]), vec![Target::Pace], parts);
    experiment.sample_every_ms = 1.0;
    let ran = run(&experiment);
    close(ran.rows[0][0], (-10.0f64).exp(), 1e-5);
    assert_eq!(ran.rows[0][1], 1.0);
    close(
        ran.rows[1][0],
        1.0 - (1.0 - (-10.0f64).exp()) * (-1.0f64).exp(),
        1e-7,
    );
}

#[test]
fn a_ramp_moves_in_a_straight_line_and_its_pieces_have_its_slope() {
    let mut m = Maker::new();
    let p = m.literal("p", 0.5);
    m.state("y", 0.0);
    m.dot("y", p.clone() * p);
    let id = m.id("p");
    let ramp = Drive {
        from: Level::Number(0.5),
        to: Level::Number(2.5),
        start: 0.0,
        end: 1.0,
    };
    let mut experiment = with_protocol(
        plain(&m, 5.0, &["y", "p"]),
        vec![Target::Parameter(id)],
        vec![
            (0.0, 1.0, vec![level(0.5)]),
            (1.0, 3.0, vec![Some(ramp)]),
            (3.0, 5.0, vec![level(2.5)]),
        ],
    );
    experiment.sample_every_ms = 0.5;
    experiment.n_samples = 11;
    let ran = run(&experiment);
    for (k, row) in ran.rows.iter().enumerate() {
        let t = k as f64 * 0.5;
        let p = 0.5 + (t - 1.0).clamp(0.0, 2.0);
        let y = 0.25 * t.min(1.0) + (p * p * p - 0.125) / 3.0 + 6.25 * (t - 3.0).max(0.0);
        assert!((row[1] - p).abs() < 1e-14, "at {t}: {row:?}");
        // A cubic, which orders 3 and up follow exactly.
        assert!((row[0] - y).abs() < 1e-8, "at {t}: {row:?}, {y}");
    }
    for piece in &ran.pieces[1] {
        let slope = if piece.t0 >= 1.0 && piece.t1 <= 3.0 {
            1.0
        } else {
            0.0
        };
        assert_eq!((piece.d0, piece.d1), (slope, slope), "{piece:?}");
    }
}

#[test]
fn a_clamp_holds_a_state_and_releases_it_where_it_stands() {
    let mut m = Maker::new();
    let (y, _) = (m.state("y", 1.0), m.state("z", 0.0));
    m.dot("y", -y.clone());
    m.dot("z", y.clone());
    m.intermediate("twice", n(2.0) * y);
    let id = m.id("y");
    let mut experiment = with_protocol(
        plain(&m, 3.0, &["y", "z", "twice"]),
        vec![Target::Clamp(id)],
        vec![
            (0.0, 1.0, vec![None]),
            (1.0, 2.0, vec![Some(Drive::constant(Level::Parameter(0)))]),
            (2.0, 3.0, vec![None]),
        ],
    );
    experiment.varied = vec![Some(m.id("z"))];
    experiment.schedule.segments[1].drives[0] = level(3.0);
    experiment.sample_every_ms = 0.5;
    experiment.n_samples = 7;
    let ran = run_with(&experiment, &[10.0], Tolerances::default());
    let fall = 1.0 - (-1.0f64).exp();
    let values: Vec<f64> = ran.rows.iter().map(|row| row[0]).collect();
    assert_eq!(values[2..5], [3.0, 3.0, 3.0]);
    close(values[6], 3.0 * (-1.0f64).exp(), 1e-7);
    close(ran.rows[2][1], 10.0 + fall, 1e-7);
    close(ran.rows[4][1], 13.0 + fall, 1e-7);
    close(ran.rows[6][1], 13.0 + 4.0 * fall, 1e-7);
    let held = |piece: &&Piece| piece.t0 >= 1.0 && piece.t1 <= 2.0;
    assert!(
        ran.pieces[2]
            .iter()
            .filter(held)
            .all(|p| p.d0 == 0.0 && p.d1 == 0.0 && p.g0 == 6.0)
    );
}

#[test]
fn time_is_in_the_models_own_unit() {
    let mut m = Maker::new();
    m.state("y", 0.0);
    let t = m.get("time");
    m.dot("y", apply(Op::Cos, &[&t]));
    m.0.ms_per_time = 1000.0;
    let mut experiment = plain(&m, 3000.0, &["y", "time"]);
    experiment.sample_every_ms = 1500.0;
    experiment.n_samples = 3;
    let ran = run(&experiment);
    close(ran.rows[1][0], 1.5f64.sin(), 1e-7);
    close(ran.rows[2][0], 3.0f64.sin(), 1e-6);
    assert_eq!(ran.rows[2][1], 3.0);
    // Slopes of pieces are per ms.
    assert!((ran.pieces[0][0].d0 - 1e-3).abs() < 1e-15);
    assert!((ran.pieces[1][0].d0 - 1e-3).abs() < 1e-15);
}

#[test]
fn fibres_differ_in_literals_initial_values_and_levels() {
    let mut m = Maker::new();
    let k = m.literal("k", -1.0);
    let y = m.state("y", 1.0);
    m.state("z", 0.0);
    m.dot("y", k.clone() * y);
    m.dot("z", m.get("pace"));
    // The initial value of z is a formula of a literal.
    let z = m.id("z");
    m.0.variables[z.0].kind = VariableKind::State {
        index: 1,
        initial: (n(2.0) * k).0,
    };
    let mut experiment = with_protocol(
        plain(&m, 1.0, &["y", "z", "k"]),
        vec![Target::Pace],
        vec![(0.0, 1.0, vec![Some(Drive::constant(Level::Parameter(1)))])],
    );
    experiment.varied = vec![Some(m.id("k")), Some(m.id("y"))];
    let ran = run_with(&experiment, &[-2.0, 5.0], Tolerances::default());
    close(last(&ran)[0], 5.0 * (-2.0f64).exp(), 1e-7);
    close(last(&ran)[1], -4.0 + 5.0, 1e-12);
    assert_eq!(last(&ran)[2], -2.0);
}

#[test]
fn a_fibre_that_goes_to_infinity_is_lost_there() {
    let mut m = Maker::new();
    m.state("x", 0.0);
    let y = m.state("y", 1.0);
    m.dot("x", n(1.0));
    m.dot("y", y.clone() * y);
    let ran = run(&plain(&m, 2.0, &["y"]));
    match ran.end {
        // 1/(1-t) is infinite at 1; the time is that of the last good step.
        FibreEnd::Lost { at_ms, state } => {
            assert!((at_ms - 1.0).abs() < 1e-6 && state == 1, "{at_ms} {state}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(ran.rows.len(), 1);
}

#[test]
fn a_fibre_whose_formula_is_no_number_any_more_is_lost_there() {
    let mut m = Maker::new();
    m.state("x", 0.0);
    m.state("y", 1.0);
    m.dot("x", n(1.0));
    m.dot("y", apply(Op::Sqrt, &[&(n(1.0) - m.get("time"))]));
    let ran = run(&plain(&m, 2.0, &["y"]));
    match ran.end {
        FibreEnd::Lost { at_ms, state } => {
            assert!((at_ms - 1.0).abs() < 1e-6 && state == 1, "{at_ms} {state}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_can_be_cancelled_and_leaves_what_it_had() {
    let experiment = plain(&decay(-1.0), 10.0, &["y"]);
    let reference = Reference::new(&experiment, Tolerances::default()).unwrap();
    let asked = std::cell::Cell::new(0);
    let cancel = || {
        asked.set(asked.get() + 1);
        asked.get() == 5
    };
    let (end, work) = reference.run_fibre(&[], &cancel, &mut |_, _| {}, &mut |_, _| {});
    assert_eq!((end, work.steps), (FibreEnd::Cancelled, 5));
}

#[test]
fn threads_share_a_reference_and_find_the_same_bits() {
    let reference = Reference::new(
        &plain(&robertson(), 40.0, &["a", "b", "c"]),
        Tolerances::default(),
    )
    .unwrap();
    let run = || {
        let mut rows = Vec::new();
        reference.run_fibre(
            &[],
            &|| false,
            &mut |_, row| rows.push(row.to_vec()),
            &mut |_, _| {},
        );
        rows
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(run), scope.spawn(run)];
        let [a, b] = threads.map(|thread| thread.join().unwrap());
        assert_eq!(a, b);
    });
}

#[test]
fn eigenvalues_tell_how_stiff_a_model_is() {
    let mut m = Maker::new();
    let (x, v) = (m.state("x", 1.0), m.state("v", 0.0));
    let z = m.state("z", 1.0);
    m.dot("x", n(2.0) * v);
    m.dot("v", n(-2.0) * x);
    m.dot("z", n(-1e4) * z);
    m.0.ms_per_time = 2.0;
    let reference = Reference::new(&plain(&m, 1.0, &["x"]), Tolerances::default()).unwrap();
    let state = reference.initial_state(&[]);
    assert_eq!(state, [1.0, 0.0, 1.0]);
    assert_eq!(reference.rates(&state, &[]), [0.0, -1.0, -5e3]);
    assert_eq!(
        reference.jacobian(&state, &[]),
        [0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, -5e3]
    );
    let mut eigenvalues = reference.jacobian_eigenvalues(&state, &[]).unwrap();
    eigenvalues.sort_by(|a, b| (a.re, a.im).partial_cmp(&(b.re, b.im)).unwrap());
    // Per ms; well separated, so that only rounding is between them and the exact ones.
    for (found, exact) in eigenvalues
        .iter()
        .zip([(-5e3, 0.0), (0.0, -1.0), (0.0, 1.0)])
    {
        assert!(
            (found.re - exact.0).abs() < 1e-9 && (found.im.abs() - f64::abs(exact.1)).abs() < 1e-9,
            "{found}"
        );
    }
}

#[test]
fn what_cannot_be_varied_or_clamped_is_refused() {
    let mut m = decay(-1.0);
    m.intermediate("seen", n(1.0) * m.get("y"));
    let mut varied = plain(&m, 1.0, &["y"]);
    varied.varied = vec![Some(m.id("seen"))];
    let mut clamped = plain(&m, 1.0, &["y"]);
    clamped.schedule.targets = vec![Target::Clamp(m.id("seen"))];
    clamped.schedule.segments[0].drives = vec![None];
    for experiment in [varied, clamped] {
        let error = Reference::new(&experiment, Tolerances::default()).unwrap_err();
        assert!(error.to_string().contains("'seen'"), "{error}");
    }
    let exact = Tolerances {
        relative: 0.0,
        absolute: 0.0,
    };
    assert!(Reference::new(&plain(&m, 1.0, &["y"]), exact).is_err());
}
