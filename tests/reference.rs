//! The reference backend on problems whose solution is known, and its handling of a protocol.

use std::ops::{Add, Div, Mul, Neg, Sub};

use sarcolemma::backend::Experiment;
use sarcolemma::backend::reference::{FibreEnd, Reference, Tolerances, Work};
use sarcolemma::diag::Span;
use sarcolemma::feature::Piece;
use sarcolemma::model::{Bound, Expr, ExprKind, Model, Variable, VariableId, VariableKind};
use sarcolemma::ops::Op;
use sarcolemma::protocol::{Drive, Level, Schedule, Segment, Target, tick};

/// An expression, written with the usual operators.
#[derive(Clone)]
struct E(Expr);

fn e(kind: ExprKind) -> E {
    E(Expr {
        kind,
        span: Span::default(),
    })
}
fn n(x: f64) -> E {
    e(ExprKind::Number(x, None))
}
fn apply(op: Op, args: &[&E]) -> E {
    e(ExprKind::Apply(
        op,
        args.iter().map(|a| a.0.clone()).collect(),
    ))
}
macro_rules! operator {
    ($trait:ident, $method:ident, $op:ident) => {
        impl $trait for E {
            type Output = E;
            fn $method(self, other: E) -> E {
                apply(Op::$op, &[&self, &other])
            }
        }
    };
}
operator!(Add, add, Add);
operator!(Sub, sub, Sub);
operator!(Mul, mul, Mul);
operator!(Div, div, Div);
impl Neg for E {
    type Output = E;
    fn neg(self) -> E {
        apply(Op::Neg, &[&self])
    }
}

/// A model in the making. Variables are added first, the states' derivatives last.
struct Maker(Model);

impl Maker {
    fn new() -> Self {
        let mut maker = Maker(Model {
            name: "made".into(),
            meta: Vec::new(),
            text: String::new(),
            variables: Vec::new(),
            states: Vec::new(),
            order: Vec::new(),
            protocol: Vec::new(),
            ms_per_time: 1.0,
        });
        maker.variable("time", VariableKind::Bound(Bound::Time), n(0.0));
        maker.variable("pace", VariableKind::Bound(Bound::Pace), n(0.0));
        maker
    }

    fn variable(&mut self, name: &str, kind: VariableKind, rhs: E) -> E {
        let id = VariableId(self.0.variables.len());
        self.0.variables.push(Variable {
            name: name.into(),
            kind,
            rhs: rhs.0,
            unit: None,
            description: None,
            label: None,
            span: Span::default(),
        });
        self.0.order.push(id);
        e(ExprKind::Variable(id))
    }

    fn literal(&mut self, name: &str, value: f64) -> E {
        self.variable(name, VariableKind::Literal(value), n(value))
    }

    fn intermediate(&mut self, name: &str, rhs: E) -> E {
        self.variable(name, VariableKind::Intermediate, rhs)
    }

    /// A state whose derivative is given by [`Maker::dot`].
    fn state(&mut self, name: &str, initial: f64) -> E {
        let index = self.0.states.len();
        let state = self.variable(
            name,
            VariableKind::State {
                index,
                initial: n(initial).0,
            },
            n(0.0),
        );
        let id = self.0.order.pop().expect("just added");
        self.0.states.push(id);
        state
    }

    fn dot(&mut self, name: &str, rhs: E) {
        let id = self.id(name);
        self.0.variables[id.0].rhs = rhs.0;
        self.0.order.push(id);
    }

    fn get(&self, name: &str) -> E {
        e(ExprKind::Variable(self.id(name)))
    }

    fn id(&self, name: &str) -> VariableId {
        self.0.find(name).expect("the variable exists")
    }
}

/// An experiment without a protocol: `length_ms` from 0 on, all observables sampled at the end only.
fn plain(maker: &Maker, length_ms: f64, observables: &[&str]) -> Experiment {
    Experiment {
        features: Vec::new(),
        n_recorded: 0,
        model: maker.0.clone(),
        varied: Vec::new(),
        schedule: Schedule {
            targets: Vec::new(),
            segments: vec![Segment {
                start: 0,
                end: tick(length_ms),
                drives: Vec::new(),
            }],
        },
        observables: observables.iter().map(|name| maker.id(name)).collect(),
        sample_every_ms: length_ms,
        n_samples: 2,
    }
}

struct Ran {
    rows: Vec<Vec<f64>>,
    pieces: Vec<Vec<Piece>>,
    end: FibreEnd,
    work: Work,
}

fn run_with(experiment: &Experiment, parameters: &[f64], tolerances: Tolerances) -> Ran {
    let reference = Reference::new(experiment, tolerances).unwrap();
    let mut rows = Vec::new();
    let mut pieces = vec![Vec::new(); experiment.observables.len()];
    let (end, work) = reference.run_fibre(
        parameters,
        &|| false,
        &mut |row, values| {
            assert_eq!(row, rows.len(), "rows come in order");
            rows.push(values.to_vec());
        },
        &mut |observable, piece| pieces[observable].push(*piece),
    );
    Ran {
        rows,
        pieces,
        end,
        work,
    }
}

fn run(experiment: &Experiment) -> Ran {
    run_with(experiment, &[], Tolerances::default())
}

fn last(ran: &Ran) -> &[f64] {
    assert_eq!(ran.end, FibreEnd::Finished);
    ran.rows.last().expect("there is a row")
}

fn close(found: f64, exact: f64, relative: f64) {
    let error = (found - exact).abs() / exact.abs();
    assert!(
        error <= relative,
        "found {found:e}, expected {exact:e}: off by {error:.1e}, allowed {relative:.1e}"
    );
}

fn decay(rate: f64) -> Maker {
    let mut m = Maker::new();
    let y = m.state("y", 1.0);
    m.dot("y", n(rate) * y);
    m
}

// Global errors gather from steps: tens of them at 1e-8 each are allowed 1e-7 below.

#[test]
fn a_decay_follows_the_exponential() {
    let ran = run(&plain(&decay(-0.5), 10.0, &["y"]));
    close(last(&ran)[0], (-5.0f64).exp(), 1e-7);
}

#[test]
fn an_oscillator_keeps_amplitude_and_phase_for_ten_periods() {
    let mut m = Maker::new();
    let (x, v) = (m.state("x", 1.0), m.state("v", 0.0));
    m.dot("x", v);
    m.dot("v", -x);
    let length = 20.0 * std::f64::consts::PI;
    let ran = run(&plain(&m, length, &["x", "v"]));
    // The end is on a tick, 5e-6 ms at most from the tenth period.
    let t = sarcolemma::protocol::ms(tick(length));
    // Nothing damps an error here: 1e-9 from each of several thousand steps.
    assert!((last(&ran)[0] - t.cos()).abs() < 1e-5, "{:?}", last(&ran));
    assert!((last(&ran)[1] + t.sin()).abs() < 1e-5, "{:?}", last(&ran));
}

#[test]
fn a_stiff_linear_problem_costs_few_steps() {
    // y' = -1e4 (y - sin t) + cos t, y = sin t (Prothero and Robinson), from a start off the solution.
    let mut m = Maker::new();
    let y = m.state("y", 1.0);
    let t = m.get("time");
    let (sin, cos) = (apply(Op::Sin, &[&t]), apply(Op::Cos, &[&t]));
    m.dot("y", n(-1e4) * (y - sin) + cos);
    let ran = run(&plain(&m, 10.0, &["y"]));
    close(last(&ran)[0], 10.0f64.sin(), 1e-7);
    assert!(ran.work.steps < 1000, "{:?}", ran.work);
}

#[test]
fn rest_takes_few_steps_however_long() {
    let ran = run(&plain(&decay(-100.0), 200_000.0, &["y"]));
    assert!(last(&ran)[0].abs() < 1e-10);
    assert!(ran.work.steps < 500, "{:?}", ran.work);
}

fn robertson() -> Maker {
    let mut m = Maker::new();
    let (a, b, c) = (m.state("a", 1.0), m.state("b", 0.0), m.state("c", 0.0));
    let slow = n(0.04) * a;
    let fast = n(1e4) * b.clone() * c;
    let third = n(3e7) * b.clone() * b;
    m.dot("a", fast.clone() - slow.clone());
    m.dot("b", slow - fast - third.clone());
    m.dot("c", third);
    m
}

#[test]
fn robertsons_kinetics_end_at_the_published_values() {
    let mut experiment = plain(&robertson(), 40.0, &["a", "b", "c"]);
    // 1e11 time units in one segment, the published end (Test Set for IVP Solvers, release 2.4, problem ROBER).
    experiment.schedule.segments[0].end = tick(1e11);
    experiment.sample_every_ms = 1e11;
    // The solution falls over 13 decades, so only the relative tolerance means something.
    let ran = run_with(
        &experiment,
        &[],
        Tolerances {
            relative: 1e-8,
            absolute: 1e-20,
        },
    );
    let row = last(&ran);
    close(row[0], 0.208_334_014_970_125_5e-7, 1e-6);
    close(row[1], 0.833_336_077_033_471_3e-13, 1e-6);
    close(row[2], 0.999_999_979_166_505_0, 1e-7);
    assert!(ran.work.steps < 5000, "{:?}", ran.work);
}

#[test]
fn van_der_pols_relaxation_ends_at_the_published_values() {
    // eps = 1/mu², mu = 1000 (Test Set for IVP Solvers, release 2.4, problem VDPOL): to t = 2.
    let mut m = Maker::new();
    let (x, v) = (m.state("x", 2.0), m.state("v", 0.0));
    m.dot("x", v.clone());
    m.dot("v", ((n(1.0) - x.clone() * x.clone()) * v - x) / n(1e-6));
    let ran = run(&plain(&m, 2.0, &["x", "v"]));
    close(last(&ran)[0], 0.170_616_773_217_048_3e1, 1e-6);
    close(last(&ran)[1], -0.892_809_701_024_797_5, 1e-6);
    assert!(ran.work.steps < 5000, "{:?}", ran.work);
}

#[test]
fn the_error_falls_with_the_tolerance() {
    let mut m = Maker::new();
    let (x, v) = (m.state("x", 2.0), m.state("v", 0.0));
    m.dot("x", v.clone());
    m.dot("v", n(5.0) * (n(1.0) - x.clone() * x.clone()) * v - x);
    let experiment = plain(&m, 20.0, &["x", "v"]);
    let at = |relative: f64| {
        last(&run_with(
            &experiment,
            &[],
            Tolerances {
                relative,
                absolute: relative,
            },
        ))
        .to_vec()
    };
    let exact = at(1e-12);
    let error = |relative: f64| {
        at(relative)
            .iter()
            .zip(&exact)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max)
    };
    let errors = [1e-4, 1e-6, 1e-8, 1e-10].map(error);
    for pair in errors.windows(2) {
        // 100 times the tolerance is 100 times the error, within a factor of 5 either way: the order changes between.
        assert!((20.0..500.0).contains(&(pair[0] / pair[1])), "{errors:?}");
    }
}

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
    experiment.varied = vec![m.id("z")];
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
    experiment.varied = vec![m.id("k"), m.id("y")];
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
    varied.varied = vec![m.id("seen")];
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
