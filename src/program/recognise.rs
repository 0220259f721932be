//! Finds `w / (exp(u) - 1)` where `w` is a multiple of `u`, however it is written, and puts the op
//! [`Op::Bernoulli`] in its place. The rates of Hodgkin and Huxley, `(V-V0)/(1-exp(-(V-V0)/k))`, and every
//! constant-field current are of this form. As written they are 0/0 at `u = 0`, inaccurate near it, and their
//! derivatives are far worse; the op is smooth there, in single precision too.
//!
//! A product is taken apart into a number and powers of *atoms* (sums made comparable by a leading coefficient of one).
//! If an atom to the power -1 is `exp(u) - 1`, and all that `u` is made of is among the other factors, the rest is
//! multiplied by the op. What is divided by stays free of states, so that no new singularity arises.

use std::collections::BTreeMap;

use crate::ops::{Algebra, Op};

use super::graph::fold;
use super::{Graph, Node, Value};

/// A normalised sum, `first + c2 second + … + constant`, or any other expression taken whole; comparable by structure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Atom {
    /// Terms (representatives) with the bits of their coefficients, the first being 1.
    terms: Vec<(Value, u64)>,
    constant: u64,
}

/// `value = scale * atom`, and how often it is a factor.
#[derive(Clone, Copy, Debug)]
struct Factor {
    value: Value,
    scale: f64,
    power: i32,
}

#[derive(Clone, Debug)]
struct Product {
    coefficient: f64,
    factors: BTreeMap<Atom, Factor>,
}

/// How deep products and sums are taken apart; formulas of models nest far less.
const DEPTH: usize = 64;

/// `a b` or `a / b` by the op, if it has the form.
pub(super) fn bernoulli(graph: &mut Graph, op: Op, a: Value, b: Value) -> Option<Value> {
    let is_divided = |value: Value, above: bool| divides_by_a_sum(graph, value, above, DEPTH);
    if !is_divided(a, true) && !is_divided(b, op != Op::Div) {
        return None;
    }
    let mut product = Product {
        coefficient: 1.0,
        factors: BTreeMap::new(),
    };
    take_apart(graph, a, 1, &mut product, DEPTH);
    take_apart(
        graph,
        b,
        if op == Op::Div { -1 } else { 1 },
        &mut product,
        DEPTH,
    );

    // A division by a number that is zero is left for the user to see.
    if !product.coefficient.is_finite() {
        return None;
    }
    let candidates: Vec<(Atom, Value, Value)> = product
        .factors
        .iter()
        .filter(|(_, factor)| factor.power < 0)
        .filter_map(|(atom, _)| {
            // exp(u) - 1, normalised: one term with coefficient 1 and the constant -1.
            let [(term, _)] = atom.terms[..] else {
                return None;
            };
            let Node::Apply(Op::Exp, [u, ..]) = graph.node(term) else {
                return None;
            };
            (f64::from_bits(atom.constant) == -1.0).then(|| (atom.clone(), term, u))
        })
        .collect();
    candidates.into_iter().find_map(|(atom, exponential, u)| {
        let rest = without(graph, &product, &atom, u)?;
        let smooth = graph.apply(Op::Bernoulli, &[u, exponential]);
        Some(rebuild(graph, smooth, &rest))
    })
}

/// Whether a sum is among the factors by which `value` divides, or by which it multiplies if it is not `above`: `exp(u) - 1` is one. It is
/// quickly told of most products, which need not be taken apart.
fn divides_by_a_sum(graph: &Graph, value: Value, above: bool, depth: usize) -> bool {
    let Node::Apply(op, args) = graph.node(value) else {
        return false;
    };
    if depth == 0 {
        return false;
    }
    let of = |arg: usize, above: bool| divides_by_a_sum(graph, args[arg], above, depth - 1);
    match op {
        Op::Mul => of(0, above) || of(1, above),
        Op::Div => of(0, above) || of(1, !above),
        Op::Recip => of(0, !above),
        Op::Neg => of(0, above),
        Op::Add | Op::Sub => !above,
        _ => false,
    }
}

/// `product (exp(u) - 1) / u`, `atom` being the factor `exp(u) - 1`; `None` where that would divide by something that varies.
fn without(graph: &Graph, product: &Product, atom: &Atom, u: Value) -> Option<Product> {
    let mut divisor = Product {
        coefficient: 1.0,
        factors: BTreeMap::new(),
    };
    take_apart(graph, u, 1, &mut divisor, DEPTH);
    let mut rest = product.clone();
    let mut multiply = |key: &Atom, by: Factor, power: i32| {
        let entry = rest
            .factors
            .entry(key.clone())
            .or_insert(Factor { power: 0, ..by });
        entry.power += power;
        let power_left = entry.power;
        if power_left == 0 {
            rest.factors.remove(key);
        }
        power_left
    };
    multiply(atom, product.factors[atom], 1);
    for (key, factor) in &divisor.factors {
        if multiply(key, *factor, -factor.power) < 0
            && factor.power > 0
            && graph.depends_on_state(factor.value)
        {
            return None;
        }
    }
    rest.coefficient /= divisor.coefficient;
    Some(rest)
}

fn rebuild(graph: &mut Graph, smooth: Value, rest: &Product) -> Value {
    let mut coefficient = rest.coefficient;
    let mut above = smooth;
    let mut below: Option<Value> = None;
    for factor in rest.factors.values() {
        coefficient /= factor.scale.powi(factor.power);
        for _ in 0..factor.power.unsigned_abs() {
            if factor.power > 0 {
                above = graph.mul(above, factor.value);
            } else {
                below = Some(match below {
                    None => factor.value,
                    Some(b) => graph.mul(b, factor.value),
                });
            }
        }
    }
    let scaled = if coefficient == 1.0 {
        above
    } else {
        let c = graph.constant(coefficient);
        graph.mul(above, c)
    };
    match below {
        None => scaled,
        Some(b) => graph.div(scaled, b),
    }
}

/// The number that an expression of numbers alone comes to: a plain graph keeps `-0.1` as a negation of 0.1.
fn number(graph: &Graph, value: Value, depth: usize) -> Option<f64> {
    match graph.node(value) {
        Node::Constant(bits) => Some(f64::from_bits(bits)),
        Node::Apply(op, args) if depth > 0 => {
            let mut numbers = [0.0; 3];
            for (number_of, &arg) in numbers.iter_mut().zip(&args[..op.arity()]) {
                *number_of = number(graph, arg, depth - 1)?;
            }
            Some(fold(op, &numbers[..op.arity()]))
        }
        Node::Apply(..) | Node::Input(_) => None,
    }
}

/// Multiplies `product` by `value` to the given power.
fn take_apart(graph: &Graph, value: Value, power: i32, product: &mut Product, depth: usize) {
    if let Some(number) = number(graph, value, depth) {
        product.coefficient *= number.powi(power);
        return;
    }
    match graph.node(value) {
        Node::Apply(op, args) if depth > 0 => match op {
            Op::Mul => {
                take_apart(graph, args[0], power, product, depth - 1);
                take_apart(graph, args[1], power, product, depth - 1);
                return;
            }
            Op::Div => {
                take_apart(graph, args[0], power, product, depth - 1);
                take_apart(graph, args[1], -power, product, depth - 1);
                return;
            }
            Op::Recip => {
                take_apart(graph, args[0], -power, product, depth - 1);
                return;
            }
            Op::Neg => {
                if power % 2 != 0 {
                    product.coefficient = -product.coefficient;
                }
                take_apart(graph, args[0], power, product, depth - 1);
                return;
            }
            _ => {}
        },
        Node::Apply(..) | Node::Input(_) | Node::Constant(_) => {}
    }
    let (atom, scale) = normalise(graph, value, depth);
    product.coefficient *= scale.powi(power);
    let entry = product.factors.entry(atom.clone()).or_insert(Factor {
        value,
        scale,
        power: 0,
    });
    entry.power += power;
    if entry.power == 0 {
        product.factors.remove(&atom);
    }
}

/// `value` as a sum: terms with their coefficients, and a constant.
pub(super) fn sum_of(graph: &Graph, value: Value) -> (BTreeMap<Value, f64>, f64) {
    let mut terms = BTreeMap::new();
    let mut constant = 0.0;
    add_terms(graph, value, 1.0, &mut terms, &mut constant, DEPTH);
    terms.retain(|_, c| *c != 0.0);
    (terms, constant)
}

/// The sum behind `value` with a leading coefficient of one, and the coefficient that it had.
fn normalise(graph: &Graph, value: Value, depth: usize) -> (Atom, f64) {
    let mut terms = BTreeMap::new();
    let mut constant = 0.0;
    add_terms(graph, value, 1.0, &mut terms, &mut constant, depth);
    terms.retain(|_, c: &mut f64| *c != 0.0);
    let lead = terms.values().next().copied().unwrap_or(1.0);
    let bits = |x: f64| if x == 0.0 { 0 } else { x.to_bits() };
    let atom = Atom {
        terms: terms
            .into_iter()
            .map(|(v, c)| (v, bits(c / lead)))
            .collect(),
        constant: bits(constant / lead),
    };
    (atom, lead)
}

fn add_terms(
    graph: &Graph,
    value: Value,
    scale: f64,
    terms: &mut BTreeMap<Value, f64>,
    constant: &mut f64,
    depth: usize,
) {
    if let (Node::Apply(op, args), true) = (graph.node(value), depth > 0) {
        let number = |v: Value| number(graph, v, depth);
        match op {
            Op::Add | Op::Sub => {
                add_terms(graph, args[0], scale, terms, constant, depth - 1);
                let sign = if op == Op::Sub { -scale } else { scale };
                add_terms(graph, args[1], sign, terms, constant, depth - 1);
                return;
            }
            Op::Neg => return add_terms(graph, args[0], -scale, terms, constant, depth - 1),
            Op::Mul => {
                if let Some(c) = number(args[0]) {
                    return add_terms(graph, args[1], scale * c, terms, constant, depth - 1);
                }
                if let Some(c) = number(args[1]) {
                    return add_terms(graph, args[0], scale * c, terms, constant, depth - 1);
                }
            }
            Op::Div => {
                if let Some(c) = number(args[1]) {
                    return add_terms(graph, args[0], scale / c, terms, constant, depth - 1);
                }
            }
            _ => {}
        }
    }
    match number(graph, value, depth) {
        Some(c) => *constant += scale * c,
        None => *terms.entry(graph.representative(value)).or_insert(0.0) += scale,
    }
}
