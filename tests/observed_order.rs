//! The observed order of every scheme on the shipped models: along the smooth stretch behind the peak of an action potential, the
//! error of the membrane potential falls with the step to the power of the method's order, stiff calcium exchange or not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod judge;

use judge::load;
use sarcolemma::backend::reference::evaluate;
use sarcolemma::model::Model;
use sarcolemma::program::{Input, initial_state, program};
use sarcolemma::scheme::{Request, Scheme, StepProgram, Summation, build};

/// The step program of a scheme in double precision.
fn step_program(model: &Model, scheme: Scheme) -> StepProgram {
    build(&Request {
        model,
        free: &[],
        ramped: &[],
        clamped: &[],
        observables: &[],
        scheme,
        summation: Summation::Plain,
        scales: &vec![1.0; model.states.len()],
        tolerance: 1.0,
    })
    .unwrap()
}

/// Runs `n` equal steps over `length_ms`.
fn integrate(step: &StepProgram, from: &[f64], pace: f64, length_ms: f64, n: usize) -> Vec<f64> {
    let mut y = from.to_vec();
    for _ in 0..n {
        let inputs: Vec<f64> = step
            .inputs
            .iter()
            .map(|input| match *input {
                Input::State(i) => y[i],
                Input::Step => length_ms / n as f64,
                Input::Pace => pace,
                _ => 0.0,
            })
            .collect();
        y = evaluate(&step.program, &inputs)[..step.n_states].to_vec();
    }
    y
}

/// Where a stretch begins, and how it is cut, by scheme.
struct Stretch {
    model: &'static str,
    /// From the start of a pulse of 0.5 ms.
    begins_ms: f64,
    length_ms: f64,
}

const STRETCHES: [Stretch; 3] = [
    Stretch {
        model: "hodgkin_huxley_1952",
        begins_ms: 2.6,
        length_ms: 0.8,
    },
    Stretch {
        model: "shorten_2007_fast",
        begins_ms: 1.5,
        length_ms: 0.8,
    },
    Stretch {
        model: "skeletal_fibre",
        begins_ms: 1.5,
        length_ms: 0.8,
    },
];

/// Orders of the potential's error seen between `n` steps and twice as many.
fn orders(stretch: &Stretch, scheme: Scheme, n: usize) -> Vec<f64> {
    let model = load(stretch.model);
    let (rhs, values) = initial_state(&model, &[]).unwrap();
    let initial = evaluate(
        &program(&rhs.graph, &values),
        &vec![f64::NAN; rhs.inputs.len()],
    );
    let exact = step_program(&model, Scheme::Ros4);
    let pulse = integrate(&exact, &initial, 1.0, 0.5, 200);
    let start = integrate(&exact, &pulse, 0.0, stretch.begins_ms - 0.5, 400);
    // The error of the exact one is some 1e-8 of that of the coarsest.
    let end = integrate(&exact, &start, 0.0, stretch.length_ms, 4000);
    let step = step_program(&model, scheme);
    let v = model
        .states
        .iter()
        .position(|&s| model.variable(s).name == "membrane.V")
        .unwrap();
    let errors: Vec<f64> = [n, 2 * n, 4 * n]
        .map(|n| (integrate(&step, &start, 0.0, stretch.length_ms, n)[v] - end[v]).abs())
        .to_vec();
    println!(
        "{} {scheme:?} from {:.2} mV: errors {errors:?} mV, orders {:.2?}",
        stretch.model,
        start[v],
        errors
            .windows(2)
            .map(|e| (e[0] / e[1]).log2())
            .collect::<Vec<_>>()
    );
    errors.windows(2).map(|e| (e[0] / e[1]).log2()).collect()
}

#[test]
fn rosenbrock_methods_keep_their_order_behind_the_peak_of_an_action_potential() {
    for stretch in &STRETCHES {
        for (scheme, n, order) in [(Scheme::Ros3, 64, 3.0), (Scheme::Ros4, 96, 4.0)] {
            for seen in orders(stretch, scheme, n) {
                // Half an order less or more is what terms of the next order make of steps of a practical size.
                assert!(
                    (seen - order).abs() <= 0.5,
                    "{} {scheme:?}: observed order {seen}",
                    stretch.model
                );
            }
        }
    }
}

#[test]
fn fixed_step_schemes_keep_first_order_behind_the_peak_of_an_action_potential() {
    for scheme in [Scheme::Euler, Scheme::RushLarsen] {
        for seen in orders(&STRETCHES[0], scheme, 200) {
            assert!(
                (seen - 1.0).abs() <= 0.1,
                "{scheme:?}: observed order {seen}"
            );
        }
    }
}
