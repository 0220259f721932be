//! Every derivative in the tables of `tests/oracle`, by the formulas as written and by the programs made of them.
//!
//! A derivative is a sum of terms that cancel at rest, so its error is measured against the largest of the terms: the value
//! that the formula would have if nothing cancelled. It is found by walking the plain program with each node's size
//! beside its value: a sum has the size of its larger operand, a product the product of the sizes, everything else its own
//! magnitude.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod judge;

use judge::{FLAGSHIP, Table, load, names};
use sarcolemma::backend::reference::evaluate;
use sarcolemma::model::{Model, VariableId, VariableKind};
use sarcolemma::ops::{Op, eval};
use sarcolemma::program::{Input, Node, Program, Rhs, Style, Value, fuse, lower, program};
use sarcolemma::scheme::{Request, Scheme, Summation, build};

/// The error of tables made by other formulas: those of `skeletal_fibre_prototype` come from code that took a series that is
/// off by 5e-10 of the largest term (see `tests/oracle/README.md`); all others agree to rounding.
const OTHER_FORMULAS: f64 = 1e-9;
/// That of tables made from the very formulas: rounding, some ten times a derivative, and what `u / (exp(u) - 1)` as written
/// loses near `u = 0`.
const SAME_FORMULAS: f64 = 1e-13;

/// A table of derivatives at one state.
struct Case {
    model: &'static str,
    table: &'static str,
    value: String,
    derivative: String,
    pace: f64,
    settings: &'static [(&'static str, f64)],
    /// Of the largest term.
    tolerance: f64,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (model, stem) in [
        ("hodgkin_huxley_1952", "hodgkin_huxley_1952"),
        ("shorten_2007_fast", "shorten_fast"),
        ("shorten_2007_slow", "shorten_slow"),
    ] {
        for (pace, table) in [
            (0.0, format!("{stem}_derivatives_t0_pace0.csv")),
            (1.0, format!("{stem}_derivatives_t0_pace1.csv")),
        ] {
            let table = Box::leak(table.into_boxed_str());
            cases.push(Case {
                model,
                table,
                value: "initial_value".into(),
                derivative: "derivative".into(),
                pace,
                settings: &[],
                tolerance: OTHER_FORMULAS,
            });
        }
    }
    for t in [0, 2, 6] {
        for pace in [0, 1] {
            cases.push(Case {
                model: "skeletal_fibre_prototype",
                table: "skeletal_fibre_prototype_derivatives.csv",
                value: format!("value_t{t}ms_pace{pace}"),
                derivative: format!("derivative_t{t}ms_pace{pace}"),
                pace: f64::from(pace),
                settings: &[],
                tolerance: OTHER_FORMULAS,
            });
            for (name, settings) in FLAGSHIP {
                let table = format!("skeletal_fibre_{name}_derivatives.csv");
                cases.push(Case {
                    model: "skeletal_fibre",
                    table: Box::leak(table.into_boxed_str()),
                    value: format!("value_t{t}ms"),
                    derivative: format!("derivative_t{t}ms_pace{pace}"),
                    pace: f64::from(pace),
                    settings,
                    tolerance: SAME_FORMULAS,
                });
            }
        }
    }
    cases
}

/// A state of the model and its derivative, both by the table and in the model's units.
struct Row {
    state: usize,
    derivative: f64,
    /// In the prototype's table nerve and endplate run unconnected: in the model only where the nerve is on.
    nerve_runs: bool,
}

struct Known {
    states: Vec<f64>,
    rows: Vec<Row>,
}

fn known(case: &Case, model: &Model) -> Known {
    let table = Table::read(case.table);
    let names = names(case.model, &table);
    let (values, derivatives) = (table.column(&case.value), table.column(&case.derivative));
    let mut states = vec![f64::NAN; model.states.len()];
    let mut rows = Vec::new();
    for ((name, value), derivative) in table
        .rows
        .iter()
        .map(|row| &row[0])
        .zip(values)
        .zip(derivatives)
    {
        let (_, name, scale) = names
            .iter()
            .find(|n| n.0 == *name)
            .unwrap_or_else(|| panic!("{name} has no name in the model"));
        let id = model.find(name).unwrap_or_else(|| panic!("no {name}"));
        let VariableKind::State { index, .. } = model.variable(id).kind else {
            panic!("{name} is no state")
        };
        states[index] = value / scale;
        let nerve_runs = case.model == "skeletal_fibre_prototype"
            && (name.starts_with("nerve.") || name.starts_with("endplate."));
        rows.push(Row {
            state: index,
            derivative: derivative / scale,
            nerve_runs,
        });
    }
    assert!(
        states.iter().all(|x| x.is_finite()),
        "{}: a state is missing in the table",
        case.table
    );
    assert_eq!(rows.len(), model.states.len());
    Known { states, rows }
}

/// Literals and their values.
type Settings = Vec<(VariableId, f64)>;

/// The literals that a case sets, and the one that says whether the nerve drives the fibre, where the model has one.
fn settings(case: &Case, model: &Model, nerve_runs: bool) -> Settings {
    let mut all: Settings = case
        .settings
        .iter()
        .map(|(name, value)| (model.find(name).expect("a literal of the model"), *value))
        .collect();
    if let (true, Some(on)) = (
        case.model == "skeletal_fibre_prototype",
        model.find("nerve.on"),
    ) {
        all.push((on, f64::from(u8::from(nerve_runs))));
    }
    all
}

fn inputs(rhs: &[Input], states: &[f64], pace: f64, settings: &Settings) -> Vec<f64> {
    rhs.iter()
        .map(|input| match *input {
            Input::State(i) => states[i],
            Input::Pace => pace,
            Input::Parameter(id) => settings
                .iter()
                .find(|(literal, _)| *literal == id)
                .map_or(f64::NAN, |(_, value)| *value),
            // The slope that an interpolation uses differs from the derivative by a power of the step.
            Input::Step => 1e-10,
            _ => 0.0,
        })
        .collect()
}

/// Value and size of every output; see the head of this file.
fn sizes(program: &Program, inputs: &[f64]) -> Vec<f64> {
    let mut values: Vec<(f64, f64)> = Vec::with_capacity(program.nodes.len());
    for node in &program.nodes {
        let at = |v: Value| {
            if v == Value::NONE {
                (0.0, 0.0)
            } else {
                values[v.index()]
            }
        };
        let pair = match *node {
            Node::Constant(bits) => (f64::from_bits(bits), f64::from_bits(bits).abs()),
            Node::Input(i) => (inputs[i as usize], inputs[i as usize].abs()),
            Node::Apply(op, [a, b, c]) => {
                let ((x, xs), (y, ys), (z, zs)) = (at(a), at(b), at(c));
                let value = eval(op, x, y, z);
                let size = match op {
                    Op::Neg => xs,
                    Op::Add | Op::Sub => xs.max(ys),
                    Op::Mul => xs * ys,
                    Op::Div => xs / y.abs(),
                    Op::Select => {
                        if x != 0.0 {
                            ys
                        } else {
                            zs
                        }
                    }
                    _ => value.abs(),
                };
                (value, size)
            }
        };
        values.push(pair);
    }
    program
        .outputs
        .iter()
        .map(|o| values[o.index()].1)
        .collect()
}

/// Compares with the table what `derivatives` computes of a lowered model, and returns the worst error.
fn worst(
    case: &Case,
    derivatives: impl Fn(&Model, &[VariableId], &[f64], &Settings) -> Vec<f64>,
) -> f64 {
    let model = load(case.model);
    let known = known(case, &model);
    let free: Vec<VariableId> = settings(case, &model, false).iter().map(|s| s.0).collect();
    let plain = lower(&model, &free, Style::Plain).unwrap();
    let as_written = program(&plain.graph, &plain.derivatives);
    let mut worst = 0.0f64;
    for nerve_runs in [false, true] {
        let set = settings(case, &model, nerve_runs);
        let found = derivatives(&model, &free, &known.states, &set);
        let sizes = sizes(
            &as_written,
            &inputs(&plain.inputs, &known.states, case.pace, &set),
        );
        for row in known.rows.iter().filter(|row| row.nerve_runs == nerve_runs) {
            let error = (found[row.state] - row.derivative).abs()
                / sizes[row.state].max(row.derivative.abs());
            // Where nothing moves at all, slopes from the stages leave rounding: there is no term to divide by.
            let error = if (found[row.state] - row.derivative).abs() < 1e-14 {
                0.0
            } else {
                error
            };
            let name = &model.variable(model.states[row.state]).name;
            assert!(
                error <= case.tolerance,
                "{} {} of {name}: {} instead of {}, {error:.1e} of the largest term",
                case.table,
                case.derivative,
                found[row.state],
                row.derivative
            );
            worst = worst.max(error);
        }
    }
    worst
}

fn by_program(
    model: &Model,
    free: &[VariableId],
    states: &[f64],
    pace: f64,
    set: &Settings,
    style: Style,
    make: &dyn Fn(&Rhs) -> Program,
) -> Vec<f64> {
    let rhs = lower(model, free, style).unwrap();
    evaluate(&make(&rhs), &inputs(&rhs.inputs, states, pace, set))
}

#[test]
fn formulas_as_written_give_the_tables_derivatives() {
    for case in cases() {
        let worst = worst(&case, |model, free, states, set| {
            by_program(model, free, states, case.pace, set, Style::Plain, &|rhs| {
                program(&rhs.graph, &rhs.derivatives)
            })
        });
        println!("{} {}: {worst:.1e}", case.table, case.derivative);
    }
}

#[test]
fn simplified_formulas_give_the_tables_derivatives() {
    for case in cases() {
        let worst = worst(&case, |model, free, states, set| {
            by_program(
                model,
                free,
                states,
                case.pace,
                set,
                Style::Simplified,
                &|rhs| program(&rhs.graph, &rhs.derivatives),
            )
        });
        println!("{} {}: {worst:.1e}", case.table, case.derivative);
    }
}

#[test]
fn simplified_and_fused_formulas_give_the_tables_derivatives() {
    for case in cases() {
        let worst = worst(&case, |model, free, states, set| {
            by_program(
                model,
                free,
                states,
                case.pace,
                set,
                Style::Simplified,
                &|rhs| fuse(&program(&rhs.graph, &rhs.derivatives)),
            )
        });
        println!("{} {}: {worst:.1e}", case.table, case.derivative);
    }
}

/// The rates of the observables in a step program are what samples and features are interpolated with; of a state they
/// are its derivatives.
#[test]
fn the_rates_of_a_step_program_are_the_tables_derivatives() {
    for case in cases() {
        let worst = worst(&case, |model, free, states, set| {
            let scales = vec![1.0; states.len()];
            let step = build(&Request {
                model,
                free,
                ramped: &[],
                clamped: &[],
                observables: &model.states,
                scheme: Scheme::Ros3,
                summation: Summation::Plain,
                scales: &scales,
                tolerance: 1.0,
            })
            .unwrap();
            let outputs = evaluate(&step.program, &inputs(&step.inputs, states, case.pace, set));
            (0..states.len())
                .map(|i| outputs[step.observable_output(i) + 1])
                .collect()
        });
        println!("{} {}: {worst:.1e}", case.table, case.derivative);
    }
}

/// Numbers at which a gate's rate is 0/0 as written: the potential on the half-activation itself, and near it.
#[test]
fn rates_are_finite_and_smooth_where_their_formula_is_0_over_0() {
    let model = load("hodgkin_huxley_1952");
    for style in [Style::Plain, Style::Simplified] {
        let rhs = lower(&model, &[], style).unwrap();
        let program = program(&rhs.graph, &rhs.derivatives);
        let at = |v: f64| {
            let mut states = vec![0.3; model.states.len()];
            states[0] = v;
            evaluate(&program, &inputs(&rhs.inputs, &states, 0.0, &Vec::new()))
        };
        for v0 in [-50.0, -65.0] {
            let (exact, near) = (at(v0), at(v0 + 1e-7));
            for (a, b) in exact.iter().zip(&near) {
                // Derivatives move by 1e-7 mV times slopes below 100 per mV.
                assert!((a - b).abs() < 1e-5, "{style:?} at {v0}: {a} and {b}");
            }
        }
    }
}
