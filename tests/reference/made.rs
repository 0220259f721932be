//! Models made by hand, and their runs.

use std::ops::{Add, Div, Mul, Neg, Sub};

use sarcolemma::backend::Experiment;
use sarcolemma::backend::reference::{FibreEnd, Reference, Tolerances, Work};
use sarcolemma::diag::Span;
use sarcolemma::feature::Piece;
use sarcolemma::model::{Bound, Expr, ExprKind, Model, Variable, VariableId, VariableKind};
use sarcolemma::ops::Op;
use sarcolemma::protocol::{Schedule, Segment, tick};

/// An expression, written with the usual operators.
#[derive(Clone)]
pub struct E(pub Expr);

pub fn e(kind: ExprKind) -> E {
    E(Expr {
        kind,
        span: Span::default(),
    })
}
pub fn n(x: f64) -> E {
    e(ExprKind::Number(x, None))
}
pub fn apply(op: Op, args: &[&E]) -> E {
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
pub struct Maker(pub Model);

impl Maker {
    pub fn new() -> Self {
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

    pub fn variable(&mut self, name: &str, kind: VariableKind, rhs: E) -> E {
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

    pub fn literal(&mut self, name: &str, value: f64) -> E {
        self.variable(name, VariableKind::Literal(value), n(value))
    }

    pub fn intermediate(&mut self, name: &str, rhs: E) -> E {
        self.variable(name, VariableKind::Intermediate, rhs)
    }

    /// A state whose derivative is given by [`Maker::dot`].
    pub fn state(&mut self, name: &str, initial: f64) -> E {
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

    pub fn dot(&mut self, name: &str, rhs: E) {
        let id = self.id(name);
        self.0.variables[id.0].rhs = rhs.0;
        self.0.order.push(id);
    }

    pub fn get(&self, name: &str) -> E {
        e(ExprKind::Variable(self.id(name)))
    }

    pub fn id(&self, name: &str) -> VariableId {
        self.0.find(name).expect("the variable exists")
    }
}

/// An experiment without a protocol: `length_ms` from 0 on, all observables sampled at the end only.
pub fn plain(maker: &Maker, length_ms: f64, observables: &[&str]) -> Experiment {
    Experiment {
        features: Vec::new(),
        n_recorded: 0,
        model: maker.0.clone().into(),
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

pub struct Ran {
    pub rows: Vec<Vec<f64>>,
    pub pieces: Vec<Vec<Piece>>,
    pub end: FibreEnd,
    pub work: Work,
}

pub fn run_with(experiment: &Experiment, parameters: &[f64], tolerances: Tolerances) -> Ran {
    let reference = Reference::new(experiment, tolerances).expect("the experiment is sound");
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

pub fn run(experiment: &Experiment) -> Ran {
    run_with(experiment, &[], Tolerances::default())
}

pub fn last(ran: &Ran) -> &[f64] {
    assert_eq!(ran.end, FibreEnd::Finished);
    ran.rows.last().expect("there is a row")
}

pub fn close(found: f64, exact: f64, relative: f64) {
    let error = (found - exact).abs() / exact.abs();
    assert!(
        error <= relative,
        "found {found:e}, expected {exact:e}: off by {error:.1e}, allowed {relative:.1e}"
    );
}

pub fn decay(rate: f64) -> Maker {
    let mut m = Maker::new();
    let y = m.state("y", 1.0);
    m.dot("y", n(rate) * y);
    m
}

pub fn robertson() -> Maker {
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
