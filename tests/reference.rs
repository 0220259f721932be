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

fn run_at(experiment: &Experiment, parameters: &[f64], relative: f64) -> Ran {
    let tolerances = Tolerances {
        relative,
        absolute: relative * 1e-2,
    };
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
    run_at(experiment, &[], Tolerances::default().relative)
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
    assert!((last(&ran)[0] - t.cos()).abs() < 1e-6);
    assert!((last(&ran)[1] + t.sin()).abs() < 1e-6);
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
    assert!(ran.work.steps < 400, "{:?}", ran.work);
}

#[test]
fn rest_takes_few_steps_however_long() {
    let ran = run(&plain(&decay(-100.0), 200_000.0, &["y"]));
    assert!(last(&ran)[0].abs() < 1e-10);
    assert!(ran.work.steps < 200, "{:?}", ran.work);
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
    let ran = run(&experiment);
    let row = last(&ran);
    // The published digits; the error gathers while the solution falls over 11 decades.
    close(row[0], 0.208_334_014_970_125_5e-7, 1e-5);
    close(row[1], 0.833_336_077_033_471_3e-13, 1e-5);
    close(row[2], 0.999_999_979_166_505_0, 1e-7);
    assert!(ran.work.steps < 2000, "{:?}", ran.work);
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
    assert!(ran.work.steps < 3000, "{:?}", ran.work);
}
