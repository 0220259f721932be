//! Random formulas: whatever is rewritten, fused or differentiated keeps its value. And the forms that are recognised.

use std::collections::BTreeSet;

use crate::diag::Source;
use crate::model::{self, Model};
use crate::ops::{Algebra, Op, eval};

use super::{
    Graph, Input, Node, Program, Style, Tangents, Value, depends_on, fuse, lower, program,
};

/// Runs a program, and bounds the rounding error of each value: first order, from the ops' own derivatives.
fn run(program: &Program, inputs: &[f64]) -> (Vec<f64>, Vec<f64>) {
    struct Numbers;
    impl Algebra for Numbers {
        type Value = f64;
        fn constant(&mut self, value: f64) -> f64 {
            value
        }
        fn apply(&mut self, op: Op, args: &[f64]) -> f64 {
            let at = |i: usize| args.get(i).copied().unwrap_or(0.0);
            eval(op, at(0), at(1), at(2))
        }
    }
    let mut values: Vec<f64> = Vec::new();
    let mut errors: Vec<f64> = Vec::new();
    for node in &program.nodes {
        let (value, error) = match *node {
            Node::Constant(bits) => (f64::from_bits(bits), 0.0),
            // Rounded, too: differences move it.
            Node::Input(i) => (inputs[i as usize], f64::EPSILON * inputs[i as usize].abs()),
            Node::Apply(op, _) => {
                let args: Vec<f64> = node.args().iter().map(|a| values[a.index()]).collect();
                let value = Numbers.apply(op, &args);
                let moved = node.args().iter().map(|a| errors[a.index()]);
                let error = match op {
                    // A comparison of what may be equal, or is no number, has an unknown outcome: rules hold for real numbers.
                    Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::Eq | Op::Ne => {
                        let bound: f64 = moved.sum();
                        let known = (args[0] - args[1]).abs() > 100.0 * bound;
                        if !known { f64::INFINITY } else { 0.0 }
                    }
                    // The branch that is not taken does not matter.
                    Op::Select => {
                        let moved: Vec<f64> = moved.collect();
                        moved[0] + if args[0] != 0.0 { moved[1] } else { moved[2] }
                    }
                    op => {
                        let partials = op.partials(&mut Numbers, &args, value);
                        let bound: f64 = partials
                            .iter()
                            .zip(moved)
                            .map(|(p, e)| if e == 0.0 { 0.0 } else { p.abs() * e })
                            .sum();
                        bound + 4.0 * f64::EPSILON * value.abs()
                    }
                };
                (value, error)
            }
        };
        values.push(value);
        errors.push(error);
    }
    let pick = |of: &[f64]| program.outputs.iter().map(|o| of[o.index()]).collect();
    (pick(&values), pick(&errors))
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() * n as f64) as usize
    }

    /// The same formula in every graph for the same seed. With `smooth`, it has derivatives nearly everywhere.
    fn formula(&mut self, graph: &mut Graph, depth: usize, smooth: bool) -> Value {
        if depth == 0 || self.next() < 0.1 {
            return match self.below(3) {
                // Neutral elements and signs, so that every rule of simplification is met.
                0 => {
                    let constants = [0.0, 1.0, -1.0, 2.0, 0.5, -3.25, 10.0];
                    graph.constant(constants[self.below(constants.len())])
                }
                _ => graph.input(self.below(4) as u32),
            };
        }
        let a = self.formula(graph, depth - 1, smooth);
        let binary = |random: &mut Random, graph: &mut Graph, op: Op| {
            let b = random.formula(graph, depth - 1, smooth);
            graph.apply(op, &[a, b])
        };
        match self.below(if smooth { 9 } else { 13 }) {
            0 => binary(self, graph, Op::Add),
            1 => binary(self, graph, Op::Sub),
            2 | 3 => binary(self, graph, Op::Mul),
            4 => binary(self, graph, Op::Div),
            5 => graph.neg(a),
            6 => {
                // Kept small, or there is nothing left to compare.
                let s = graph.apply(Op::Sin, &[a]);
                graph.apply(Op::Exp, &[s])
            }
            7 => {
                let s = graph.mul(a, a);
                let one = graph.constant(1.5);
                let s = graph.add(s, one);
                graph.apply(Op::Log, &[s])
            }
            8 => {
                let b = self.formula(graph, depth - 1, smooth);
                let c = self.formula(graph, depth - 1, smooth);
                let ops = [Op::Lt, Op::Le, Op::Gt, Op::Ge];
                let condition = graph.apply(ops[self.below(4)], &[a, b]);
                graph.apply(Op::Select, &[condition, b, c])
            }
            // A root and a logarithm that may be no number, chosen only where they are.
            9 => {
                let zero = graph.constant(0.0);
                let positive = graph.apply(Op::Gt, &[a, zero]);
                let root = graph.apply(if self.next() < 0.5 { Op::Sqrt } else { Op::Log }, &[a]);
                graph.apply(Op::Select, &[positive, root, zero])
            }
            10 => graph.apply(Op::Abs, &[a]),
            11 => {
                let b = self.formula(graph, depth - 1, smooth);
                let (x, y) = (graph.apply(Op::Lt, &[a, b]), graph.apply(Op::Ge, &[b, a]));
                let logic = graph.apply(if self.next() < 0.5 { Op::And } else { Op::Or }, &[x, y]);
                let not = graph.apply(Op::Not, &[logic]);
                graph.apply(Op::Select, &[not, a, b])
            }
            _ => binary(self, graph, Op::Min),
        }
    }
}

fn random_program(seed: u64, style: Style, smooth: bool) -> (Graph, Vec<Value>) {
    let mut graph = Graph::new(style);
    let mut random = Random(seed);
    let outputs = (0..3)
        .map(|_| random.formula(&mut graph, 6, smooth))
        .collect();
    (graph, outputs)
}

fn points() -> Vec<[f64; 4]> {
    let mut random = Random(7);
    (0..8)
        .map(|_| std::array::from_fn(|_| 6.0 * random.next() - 3.0))
        .collect()
}

/// Compares two programs at all points and says how many numbers could be compared.
fn same(a: &Program, b: &Program, what: &str) -> usize {
    let mut compared = 0;
    for inputs in points() {
        let ((x, x_error), (y, y_error)) = (run(a, &inputs), run(b, &inputs));
        for i in 0..x.len() {
            let allowed = 4.0 * (x_error[i] + y_error[i]);
            // Where the plain one is not finite, or nothing but rounding, there is nothing to keep.
            if !x[i].is_finite() || !allowed.is_finite() || allowed > 1e-3 * (1.0 + x[i].abs()) {
                continue;
            }
            compared += 1;
            assert!(
                (x[i] - y[i]).abs() <= allowed,
                "{what}: {} became {} at {inputs:?}, allowed {allowed:e}",
                x[i],
                y[i]
            );
        }
    }
    compared
}

#[test]
fn simplifying_keeps_every_value() {
    let mut compared = 0;
    for seed in 0..400 {
        let (plain, plain_outputs) = random_program(seed, Style::Plain, false);
        let (simple, outputs) = random_program(seed, Style::Simplified, false);
        let (plain, simple) = (program(&plain, &plain_outputs), program(&simple, &outputs));
        assert!(
            simple.n_ops() <= plain.n_ops(),
            "seed {seed}: {} ops became {}",
            plain.n_ops(),
            simple.n_ops()
        );
        compared += same(&plain, &simple, &format!("seed {seed}"));
    }
    assert!(compared > 4000, "only {compared} numbers could be compared");
}

#[test]
fn equal_factors_of_a_product_gather_to_squares() {
    let mut graph = Graph::new(Style::Simplified);
    let (n, conductance) = (graph.input(0), graph.input(1));
    let product = (0..4).fold(conductance, |product, _| graph.mul(product, n));
    let program = program(&graph, &[product]);
    let products = program
        .nodes
        .iter()
        .filter(|node| matches!(node, Node::Apply(Op::Mul, _)));
    assert_eq!(products.count(), 3, "a square, its square, the conductance");
    assert_eq!(run(&program, &[1.5, 36.0]).0.last(), Some(&182.25));
}

#[test]
fn fusing_keeps_every_value() {
    let (mut compared, mut fused) = (0, 0);
    for seed in 0..400 {
        let (graph, outputs) = random_program(seed, Style::Simplified, false);
        let plain = program(&graph, &outputs);
        let fast = fuse(&plain);
        let fma = |n: &&Node| matches!(n, Node::Apply(Op::Fma | Op::Fms | Op::Fnma, _));
        fused += fast.nodes.iter().filter(fma).count();
        assert!(fast.n_ops() <= plain.n_ops());
        compared += same(&plain, &fast, &format!("seed {seed}"));
    }
    assert!(
        compared > 4000 && fused > 400,
        "{compared} numbers, {fused} fused"
    );
}

#[test]
fn programs_hold_what_their_outputs_need_and_arguments_come_first() {
    for seed in 0..50 {
        let (graph, outputs) = random_program(seed, Style::Simplified, false);
        let program = program(&graph, &outputs);
        let mut needed: BTreeSet<usize> = program.outputs.iter().map(|o| o.index()).collect();
        for (i, node) in program.nodes.iter().enumerate().rev() {
            assert!(needed.contains(&i), "seed {seed}: node {i} is of no use");
            for a in node.args() {
                assert!(a.index() < i);
                needed.insert(a.index());
            }
        }
    }
}

#[test]
fn tangents_are_the_derivatives_along_a_direction() {
    let mut compared = 0;
    for seed in 0..400 {
        for style in [Style::Plain, Style::Simplified] {
            let (mut graph, outputs) = random_program(seed, style, true);
            let direction = [1.0, 0.0, -0.5, 2.0];
            let seeds: Vec<(Value, Value)> = (0..4)
                .filter(|&i| direction[i] != 0.0)
                .map(|i| (graph.input(i as u32), graph.constant(direction[i])))
                .collect();
            let mut tangents = Tangents::new(seeds);
            let zero = graph.constant(0.0);
            let rates: Vec<Value> = outputs
                .iter()
                .map(|&o| tangents.of(&mut graph, o).unwrap_or(zero))
                .collect();
            let (values, rates) = (program(&graph, &outputs), program(&graph, &rates));
            for inputs in points() {
                let (found, found_error) = run(&rates, &inputs);
                let along = |by: f64| {
                    let moved: Vec<f64> = inputs
                        .iter()
                        .zip(direction)
                        .map(|(x, d)| x + by * d)
                        .collect();
                    run(&values, &moved)
                };
                // Two sizes of difference: what they disagree by is what they are worth.
                let difference = |h: f64| -> Vec<(f64, f64)> {
                    let [a, b, c, d] = [2.0 * h, h, -h, -2.0 * h].map(along);
                    let at = |i: usize| (8.0 * (b.0[i] - c.0[i]) - (a.0[i] - d.0[i])) / (12.0 * h);
                    let noise = |i: usize| 2.0 * (a.1[i] + b.1[i] + c.1[i] + d.1[i]) / h;
                    (0..outputs.len()).map(|i| (at(i), noise(i))).collect()
                };
                let (coarse, fine) = (difference(2e-3), difference(1e-3));
                for i in 0..outputs.len() {
                    let allowed =
                        (coarse[i].0 - fine[i].0).abs() + fine[i].1 + 4.0 * found_error[i];
                    let size = fine[i].0.abs() + 1e-3;
                    if !allowed.is_finite() || allowed > 1e-5 * size || !found[i].is_finite() {
                        continue;
                    }
                    compared += 1;
                    assert!(
                        (found[i] - fine[i].0).abs() <= allowed,
                        "seed {seed}, {style:?}: {} is said, {} is found at {inputs:?}",
                        found[i],
                        fine[i].0
                    );
                }
            }
        }
    }
    assert!(compared > 5000, "only {compared} numbers could be compared");
}

#[test]
fn nothing_is_the_derivative_of_what_stands_still() {
    let mut graph = Graph::new(Style::Simplified);
    let (x, y) = (graph.input(0), graph.input(1));
    let one = graph.constant(1.0);
    let square = graph.mul(y, y);
    let floor = graph.apply(Op::Floor, &[x]);
    let product = graph.mul(x, square);
    let mut tangents = Tangents::new([(x, one)]);
    assert_eq!(tangents.of(&mut graph, square), None);
    assert_eq!(tangents.of(&mut graph, floor), None);
    assert_eq!(tangents.of(&mut graph, product), Some(square));
    let depends = depends_on(&graph, x);
    assert!(depends[product.index()] && depends[floor.index()] && !depends[square.index()]);
}

#[test]
fn the_derivative_of_the_branch_not_taken_stays_out() {
    let mut graph = Graph::new(Style::Simplified);
    let x = graph.input(0);
    let (zero, one) = (graph.constant(0.0), graph.constant(1.0));
    let positive = graph.apply(Op::Gt, &[x, zero]);
    let root = graph.apply(Op::Sqrt, &[x]);
    let chosen = graph.apply(Op::Select, &[positive, root, x]);
    let rate = Tangents::new([(x, one)]).of(&mut graph, chosen).unwrap();
    let program = program(&graph, &[rate]);
    assert_eq!(run(&program, &[0.0]).0, [1.0]);
    assert_eq!(run(&program, &[-2.0]).0, [1.0]);
    assert_eq!(run(&program, &[4.0]).0, [0.25]);
}

/// A model with one state `m.V` and the formula `m.x`.
fn with_formula(lines: &str) -> Model {
    let text = format!(
        "[[model]]\nm.V = -40\n\n[engine]\ntime = 0 bind time\n\n[m]\ndot(V) = 0 * x\nV0 = -40\nk = 10\na = 0.1\nP = 2\nz = 2\nF = 96.5\nR = 8.3\nT = 293\nci = 0.1\nco = 1.8\nu = z * V * F / (R * T)\n{lines}\n"
    );
    let source = Source {
        name: "formula.mmt".into(),
        text,
    };
    match model::read(&source) {
        Ok((model, _)) => model,
        Err(faults) => panic!("{lines}: {faults:?}"),
    }
}

/// `m.x` and its derivative by `m.V`, lowered in every style, with literals as numbers and as inputs; and the values of
/// the program's inputs for a V.
fn lowered(lines: &str) -> Vec<(Program, Vec<Input>, Model)> {
    let model = with_formula(lines);
    let literals = [
        "m.V0", "m.k", "m.a", "m.P", "m.z", "m.F", "m.R", "m.T", "m.ci", "m.co",
    ];
    let all: Vec<_> = literals
        .iter()
        .map(|name| model.find(name).unwrap())
        .collect();
    let x = model.find("m.x").unwrap();
    let mut found = Vec::new();
    for style in [Style::Plain, Style::Simplified] {
        for free in [&[][..], &all] {
            let mut rhs = lower(&model, free, style).unwrap();
            let (value, state) = (rhs.variables[x.0], rhs.input(Input::State(0)));
            let one = rhs.graph.constant(1.0);
            let zero = rhs.graph.constant(0.0);
            let slope = Tangents::new([(state, one)])
                .of(&mut rhs.graph, value)
                .unwrap_or(zero);
            found.push((
                program(&rhs.graph, &[value, slope]),
                rhs.inputs,
                model.clone(),
            ));
        }
    }
    found
}

fn at_voltage(inputs: &[Input], model: &Model, v: f64) -> Vec<f64> {
    let number = |input: &Input| match input {
        Input::State(_) => v,
        Input::Parameter(id) => match model.variable(*id).kind {
            model::VariableKind::Literal(number) => number,
            _ => f64::NAN,
        },
        _ => 0.0,
    };
    inputs.iter().map(number).collect()
}

fn is_recognised(program: &Program) -> bool {
    program
        .nodes
        .iter()
        .any(|n| matches!(n, Node::Apply(Op::Bernoulli, _)))
}

/// Checks that a formula is recognised in every style and has this value and this slope at its singularity, and near
/// enough beside it.
fn smooth_at(lines: &str, v: f64, value: f64, slope: f64) {
    for (program, inputs, model) in lowered(lines) {
        assert!(is_recognised(&program), "{lines}: not recognised");
        let at = |v: f64| run(&program, &at_voltage(&inputs, &model, v)).0;
        let found = at(v);
        // A handful of roundings, relative to the terms that make up a current.
        assert!(
            (found[0] - value).abs() <= 1e-13 * value.abs(),
            "{lines}: {} instead of {value}",
            found[0]
        );
        assert!(
            (found[1] - slope).abs() <= 1e-12 * slope.abs(),
            "{lines}: slope {} instead of {slope}",
            found[1]
        );
        let beside = at(v + 1e-7)[0];
        assert!(
            (beside - value - slope * 1e-7).abs() <= 1e-12 * value.abs(),
            "{lines}: {beside} beside it"
        );
        // Far away, the difference of values is the integral of the slopes.
        let far = (at(v + 30.0)[0] - at(v + 29.99)[0]) / 0.01;
        assert!(
            (far - at(v + 29.995)[1]).abs() <= 1e-6 * far.abs(),
            "{lines}: slope far away"
        );
    }
}

#[test]
fn rates_of_hodgkin_and_huxley_are_recognised_however_they_are_written() {
    // a (V-V0)/(1-exp(-(V-V0)/k)) is a k at V0, with the slope a/2.
    for x in [
        "0.1 * (V + 40) / (1 - exp(-(V + 40) / 10))",
        "0.1 * (-40 - V) / (exp((-40 - V) / 10) - 1)",
        "-0.1 * (40 + V) / (exp(-0.1 * (V + 40)) - 1)",
        "(V + 40) * 0.1 / (1 - exp(-0.1 * V - 4))",
        "((V + 40) / 10) / (1 - exp(-((V + 40) / 10)))",
        "a * k * ((V - V0) / k) / (1 - exp((V0 - V) / k))",
        "a * (V - V0) / (1 - exp(-(V - V0) / k))",
        "a / (1 - exp((V0 - V) / k)) * (V - V0)",
        "a * (V - V0) / -(exp((V0 - V) / k) - 1)",
        "1 / ((1 - exp(-(V - V0) / k)) / (a * (V - V0)))",
    ] {
        smooth_at(&format!("x = {x}"), -40.0, 1.0, 0.05);
    }
    smooth_at(
        "x = (25 - V) * 0.1 / (exp((25 - V) / 10) - 1)",
        25.0,
        1.0,
        0.05,
    );
    smooth_at(
        "d = V - V0\ne = exp(-d / k)\nx = a * d / (1 - e)",
        -40.0,
        1.0,
        0.05,
    );
}

#[test]
fn constant_field_currents_are_recognised_however_they_are_written() {
    // P z F u (ci - co exp(-u))/(1-exp(-u)) is P z F (ci-co) at 0, with the slope P z F (ci+co)/2 by u = z V F/(R T).
    let (p, z, f, r, t, ci, co) = (2.0, 2.0, 96.5, 8.3, 293.0, 0.1, 1.8);
    let value = p * z * f * (ci - co);
    let slope = p * z * f * (ci + co) / 2.0 * (z * f / (r * t));
    for x in [
        "P * z^2 * V * F^2 / (R * T) * ((ci - co * exp(-u)) / (1 - exp(-u)))",
        "P * z * F * u * (ci - co * exp(-u)) / (1 - exp(-u))",
        "P * z * F * (u / (exp(u) - 1)) * (ci * exp(u) - co)",
        "P * z * F * (ci * exp(u) - co) * u / (exp(u) - 1)",
        "P * z^2 * (V * F * F / (R * T)) * (ci * exp(z * V * F / (R * T)) - co) / (exp(z * V * F / (R * T)) - 1)",
    ] {
        smooth_at(&format!("x = {x}"), 0.0, value, slope);
    }
}

#[test]
fn what_only_looks_alike_is_left_as_it_is() {
    for x in [
        "(V + 41) / (1 - exp(-(V + 40) / 10))",
        "(V + 40) / (2 - exp(-(V + 40) / 10))",
        "(V + 40) / (1 + exp(-(V + 40) / 10))",
        "(V + 40) / (1 - 2 * exp(-(V + 40) / 10))",
        "(V + 40) / (1 - exp(-V / 10))",
        "1 / (1 - exp(-(V + 40) / 10))",
        "(V + 40) / (1 - exp(-(V + 40) * (V + 40) / 100))",
        "(V + 40) * (1 - exp(-(V + 40) / 10))",
        "(1 - exp(-(V + 40) / 10)) / (V + 40)",
        "(V + 40) / (k - exp(-(V + 40) / 10))",
    ] {
        for (program, inputs, model) in lowered(&format!("x = {x}")) {
            assert!(!is_recognised(&program), "{x}: recognised");
            let found = run(&program, &at_voltage(&inputs, &model, -17.0)).0[0];
            let (d, e): (f64, f64) = (23.0, (-2.3f64).exp());
            let exact = match x {
                "(V + 41) / (1 - exp(-(V + 40) / 10))" => 24.0 / (1.0 - e),
                "(V + 40) / (2 - exp(-(V + 40) / 10))" => d / (2.0 - e),
                "(V + 40) / (1 + exp(-(V + 40) / 10))" => d / (1.0 + e),
                "(V + 40) / (1 - 2 * exp(-(V + 40) / 10))" => d / (1.0 - 2.0 * e),
                "(V + 40) / (1 - exp(-V / 10))" => d / (1.0 - 1.7f64.exp()),
                "1 / (1 - exp(-(V + 40) / 10))" => 1.0 / (1.0 - e),
                "(V + 40) / (1 - exp(-(V + 40) * (V + 40) / 100))" => d / (1.0 - (-5.29f64).exp()),
                "(V + 40) * (1 - exp(-(V + 40) / 10))" => d * (1.0 - e),
                "(1 - exp(-(V + 40) / 10)) / (V + 40)" => (1.0 - e) / d,
                _ => d / (10.0 - e),
            };
            assert!(
                (found - exact).abs() <= 1e-13 * exact.abs(),
                "{x}: {found} instead of {exact}"
            );
        }
    }
}

#[test]
fn whole_powers_are_products_and_negative_bases_are_welcome() {
    for (x, exact) in [
        ("V^2", 1600.0),
        ("V^3", -64000.0),
        ("V^-2", 1.0 / 1600.0),
        ("(-V)^0.5", 40.0f64.sqrt()),
    ] {
        for (program, inputs, model) in lowered(&format!("x = {x}")) {
            let found = run(&program, &at_voltage(&inputs, &model, -40.0)).0[0];
            assert!((found - exact).abs() <= 1e-15 * exact.abs(), "{x}: {found}");
            assert!(
                !program
                    .nodes
                    .iter()
                    .any(|n| matches!(n, Node::Apply(Op::Pow, _))),
                "{x}"
            );
        }
    }
}
