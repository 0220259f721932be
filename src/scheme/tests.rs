//! The coefficient tables satisfy their order conditions, and step programs converge at their order.

use nalgebra::{Complex, DMatrix, DVector};

use super::rosenbrock::{Classical, Table};
use super::{Request, Scheme, StepProgram, Summation, build, ros3, ros4};
use crate::diag::Source;
use crate::model::{self, Model};
use crate::ops::eval;
use crate::program::{Input, Node};

fn classical(table: &Table) -> Classical {
    table.classical().expect("lower triangular with a diagonal")
}

/// How far weights are from the conditions of each order from 1 to 4: the largest of each order. (Hairer & Wanner, Solving ODEs II,
/// table IV.7.1, with β for α + Γ.)
fn conditions(b: &DVector<f64>, t: &Classical) -> [f64; 4] {
    let one = DVector::repeat(b.len(), 1.0);
    let (alpha, beta) = (&t.alpha * &one, &t.beta * &one);
    let squares = alpha.component_mul(&alpha);
    let inner = alpha.component_mul(&(&t.alpha * &beta));
    let off = |left: DVector<f64>, right: f64| (b.dot(&left) - right).abs();
    [
        off(one, 1.0),
        off(beta.clone(), 0.5),
        off(squares.clone(), 1.0 / 3.0).max(off(&t.beta * &beta, 1.0 / 6.0)),
        off(squares.component_mul(&alpha), 0.25)
            .max(off(inner, 0.125))
            .max(off(&t.beta * &squares, 1.0 / 12.0))
            .max(off(&t.beta * (&t.beta * &beta), 1.0 / 24.0)),
    ]
}

/// The order of the weights: how many orders' conditions hold to 1e-13; tables have more digits than that.
fn order(b: &DVector<f64>, t: &Classical) -> usize {
    conditions(b, t)
        .iter()
        .take_while(|&&off| off < 1e-13)
        .count()
}

#[test]
fn ros3_has_order_three_and_an_embedded_solution_of_order_two() {
    let t = classical(&ros3::TABLE);
    assert_eq!((order(&t.b, &t), order(&t.embedded, &t)), (3, 2));
}

/// Otherwise a dense output would be held near a slope that is further from the derivative than the error of the step.
#[test]
fn the_slope_of_ros4s_stages_is_the_derivative_to_third_order() {
    let t = classical(&ros4::TABLE);
    let v = t
        .gamma
        .tr_mul(&DVector::from_vec(ros4::TABLE.slope_weights()));
    let one = DVector::repeat(v.len(), 1.0);
    let (alpha, beta) = (&t.alpha * &one, &t.beta * &one);
    assert!((v.sum() - 1.0).abs() < 1e-13);
    for condition in [beta.clone(), &t.beta * &beta, alpha.component_mul(&alpha)] {
        assert!(v.dot(&condition).abs() < 1e-13);
    }
}

#[test]
fn ros4_has_order_four_and_an_embedded_solution_of_order_two() {
    let t = classical(&ros4::TABLE);
    assert_eq!((order(&t.b, &t), order(&t.embedded, &t)), (4, 2));
}

/// What a step multiplies a mode by whose rate times the step is `z`: `R(z) = 1 + z b (I - z β)^-1 1`.
fn factor(b: &DVector<f64>, t: &Classical, z: Complex<f64>) -> Complex<f64> {
    let n = b.len();
    let matrix = DMatrix::<Complex<f64>>::identity(n, n) - t.beta.map(|x| z * x);
    let ones = DVector::repeat(n, Complex::from(1.0));
    let x = matrix.lu().solve(&ones).expect("z is no pole");
    Complex::from(1.0) + z * b.map(Complex::from).dot(&x)
}

#[test]
fn rosenbrock_methods_damp_infinitely_fast_modes_completely_and_amplify_no_oscillation() {
    for table in [&ros3::TABLE, &ros4::TABLE] {
        let t = classical(table);
        // R(∞) = 1 - b B^-1 1 with B = β (which includes γ on the diagonal).
        let inverse = t.beta.clone().try_inverse().expect("γ on the diagonal");
        let ones = DVector::repeat(t.b.len(), 1.0);
        let r = 1.0 - t.b.dot(&(inverse.clone() * &ones));
        assert!(r.abs() < 1e-12, "R(inf) = {r}");
        // The embedded solution does not grow such modes either: the estimate sees them no larger than they are.
        let r = 1.0 - t.embedded.dot(&(inverse * ones));
        assert!(r.abs() < 1.0, "embedded R(inf) = {r}");
        // No pole on the left and at most 1 on the imaginary axis: at most 1 on the whole left (maximum principle).
        for k in -300..300 {
            let z = Complex::new(0.0, 10f64.powf(f64::from(k) / 100.0));
            let r = factor(&t.b, &t, z).norm();
            assert!(r <= 1.0 + 1e-12, "R({z}) = {r}");
        }
    }
}

fn read(text: &str) -> Model {
    let source = Source {
        name: "test.mmt".into(),
        text: text.into(),
    };
    model::read(&source).expect("the test's model is sound").0
}

/// Non-linear, stiff in part, driven by time: y1' = -y1² + y2 cos(t), y2' = -50 (y2 - y1) + y1, and an oscillating gate.
const NONLINEAR: &str = "
[[model]]
c.y1 = 1
c.y2 = 0.5
c.x = 0.2

[engine]
time = 0 bind time

[c]
dot(y1) = -y1^2 + y2 * cos(engine.time)
dot(y2) = -50 * (y2 - y1) + y1 * x
dot(x) = (0.3 + y1) * (1 - x) - 0.5 * exp(y1) * x
";

fn step_program(model: &Model, scheme: Scheme) -> StepProgram {
    let scales = vec![1.0; model.states.len()];
    build(&Request {
        model,
        free: &[],
        ramped: &[],
        clamped: &[],
        observables: &[],
        scheme,
        summation: Summation::Plain,
        scales: &scales,
        tolerance: 1.0,
    })
    .expect("the model has no parameter")
}

/// Runs `n` equal steps to `end` in doubles.
fn integrate(step: &StepProgram, initial: &[f64], end: f64, n: usize) -> (Vec<f64>, f64) {
    let h = end / n as f64;
    let mut y = initial.to_vec();
    let mut largest_error = 0.0f64;
    for k in 0..n {
        let inputs: Vec<f64> = step
            .inputs
            .iter()
            .map(|i| match *i {
                Input::State(i) => y[i],
                Input::Step => h,
                Input::Time => h * k as f64,
                _ => 0.0,
            })
            .collect();
        let mut values = Vec::new();
        for node in &step.program.nodes {
            values.push(match *node {
                Node::Constant(bits) => f64::from_bits(bits),
                Node::Input(i) => inputs[i as usize],
                Node::Apply(op, a) => {
                    let at = |k: usize| {
                        if k < op.arity() {
                            values[a[k].index()]
                        } else {
                            0.0
                        }
                    };
                    eval(op, at(0), at(1), at(2))
                }
            });
        }
        let out: Vec<f64> = step
            .program
            .outputs
            .iter()
            .map(|o| values[o.index()])
            .collect();
        y = out[..step.n_states].to_vec();
        largest_error = largest_error.max(out[step.error_output()]);
    }
    (y, largest_error)
}

fn observed_order(scheme: Scheme, n: usize) -> f64 {
    let model = read(NONLINEAR);
    let initial = [1.0, 0.5, 0.2];
    // ROS3 with very many steps stands for the exact solution: its error is below 1e-14.
    let (exact, _) = integrate(&step_program(&model, Scheme::Ros3), &initial, 1.0, 20_000);
    let step = step_program(&model, scheme);
    let error = |n: usize| {
        let (y, _) = integrate(&step, &initial, 1.0, n);
        y.iter()
            .zip(&exact)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max)
    };
    (error(n) / error(2 * n)).log2()
}

#[test]
fn euler_converges_at_order_one() {
    let order = observed_order(Scheme::Euler, 400);
    assert!((0.9..1.1).contains(&order), "observed order {order}");
}

#[test]
fn rush_larsen_converges_at_order_one() {
    let order = observed_order(Scheme::RushLarsen, 400);
    assert!((0.9..1.2).contains(&order), "observed order {order}");
}

#[test]
fn ros3_converges_at_order_three_with_time_in_the_right_hand_side() {
    let order = observed_order(Scheme::Ros3, 100);
    assert!((2.8..3.3).contains(&order), "observed order {order}");
}

#[test]
fn ros4_converges_at_order_four_with_time_in_the_right_hand_side() {
    let order = observed_order(Scheme::Ros4, 400);
    assert!((3.8..4.3).contains(&order), "observed order {order}");
}

#[test]
fn the_error_estimates_fall_with_the_third_power_of_the_step() {
    let model = read(NONLINEAR);
    for scheme in [Scheme::Ros3, Scheme::Ros4] {
        let step = step_program(&model, scheme);
        let first = |h: f64| integrate(&step, &[1.0, 0.5, 0.2], h, 1).1;
        let order = (first(2e-3) / first(1e-3)).log2();
        assert!(
            (2.7..3.3).contains(&order),
            "{scheme:?}: observed order {order}"
        );
    }
}

#[test]
fn rush_larsen_is_exact_for_a_gate_at_constant_voltage() {
    let model = read(
        "
[[model]]
g.V = -30
g.m = 0.1

[g]
dot(V) = 0
    label membrane_potential
dot(m) = a * (1 - m) - b * m
a = 0.1 * (V + 40) / (1 - exp(-(V + 40) / 10))
b = 4 * exp(-(V + 65) / 18)
",
    );
    let a = 1.0 / (1.0 - (-1.0f64).exp());
    let b = 4.0 * (-35.0f64 / 18.0).exp();
    let exact = a / (a + b) + (0.1 - a / (a + b)) * (-(a + b) * 3.0).exp();
    gate_ends_at(&model, 0.1, 3.0, exact);
}

/// One step of a gate from `x` at -30 mV ends where the exact solution does, but for rounding.
fn gate_ends_at(model: &Model, x: f64, step_ms: f64, exact: f64) {
    let step = step_program(model, Scheme::RushLarsen);
    let (y, _) = integrate(&step, &[-30.0, x], step_ms, 1);
    assert!((y[1] - exact).abs() < 1e-14, "{} is not {exact}", y[1]);
}

/// Its slope is the same both ways, yet it is not `b + a x` with what it is at 0.
#[test]
fn rush_larsen_is_exact_for_a_gate_whose_state_decides_its_way() {
    let model = read(
        "
[[model]]
g.V = -30
g.x = 0.6

[g]
dot(V) = 0
    label membrane_potential
dot(x) = 2 * if(x > 0.5, 1 - x, 3 - x)
",
    );
    gate_ends_at(&model, 0.6, 0.1, 1.0 - 0.4 * (-0.2f64).exp());
}
