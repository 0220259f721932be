//! What costs much is computed once: exponentials that differ by a known factor, or are a known power of one another, and reciprocals of what
//! several values are divided by.
//!
//! Rates of one channel, and of different ones, are often exponentials of the potential with one slope and another offset: `exp((V - 10)/8)`
//! and `exp((V - 25)/8)`, or `exp((25 - V)/8)`. They are multiples of one another, or of its reciprocal; with twice the slope, the square of one.
//! An exponential costs fifteen times what a product does. What is given up is a rounding or two; an eighth power has eight times the relative
//! error of its root, but an exponential of the argument, eight times as large, has the rounding of that argument in it, which is as much.

use std::collections::BTreeMap;

use crate::ops::{Algebra, Op};

use super::recognise::sum_of;
use super::{Graph, Map, Node, Value};

/// Largest difference of two offsets. An exponential is held within `exp(±80)` in single precision, so that what is made of it by a
/// factor of `exp(±7)` is neither infinite nor denormal.
const FURTHEST: f64 = 7.0;
/// Within this slopes are equal: some units in the last place of double precision.
const ALIKE: f64 = 1e-15;
/// Terms of a sum that is written once more, with other numbers.
const LONGEST: usize = 2;
/// Powers that are made by squares.
const POWERS: [f64; 4] = [1.0, 2.0, 4.0, 8.0];

/// The argument of an exponential: variable terms with their coefficients, and a constant.
#[derive(Clone, Debug)]
struct Argument {
    terms: BTreeMap<Value, f64>,
    constant: f64,
}

impl Argument {
    fn of(graph: &Graph, argument: Value) -> Self {
        let (terms, constant) = sum_of(graph, argument);
        Argument { terms, constant }
    }

    /// Whether the variable terms are those of `other` times `factor`.
    fn is_multiple(&self, other: &Argument, factor: f64) -> bool {
        self.terms.len() == other.terms.len()
            && self
                .terms
                .iter()
                .zip(&other.terms)
                .all(|((va, ca), (vb, cb))| {
                    let cb = factor * cb;
                    va == vb && (ca - cb).abs() <= ALIKE * ca.abs()
                })
    }

    /// The sign and the power by which the terms of `other` become these.
    fn power_of(&self, other: &Argument) -> Option<(f64, f64)> {
        let all = POWERS.iter().flat_map(|&n| [(1.0, n), (-1.0, n)]);
        all.into_iter()
            .find(|(sign, n)| self.is_multiple(other, sign * n))
    }

    /// The argument whose `power`th power of the exponential is this one's.
    fn root(&self, graph: &mut Graph, power: f64) -> (Value, Argument) {
        let root = self.times(1.0 / power);
        (root.written(graph), root)
    }

    fn times(&self, factor: f64) -> Argument {
        Argument {
            terms: self.terms.iter().map(|(&v, c)| (v, c * factor)).collect(),
            constant: self.constant * factor,
        }
    }

    /// The sum as arithmetic.
    fn written(&self, graph: &mut Graph) -> Value {
        let mut sum = graph.constant(self.constant);
        for (&v, &c) in &self.terms {
            let c = graph.constant(c);
            let term = graph.mul(v, c);
            sum = graph.add(term, sum);
        }
        sum
    }
}

/// The same values with as few exponentials as that.
pub fn share_exponentials(graph: &mut Graph, roots: &[Value]) -> Vec<Value> {
    // Arguments come before their users, so that an exponential is looked at when those within its argument are done.
    let needed = needed(graph, roots);
    let all: Vec<Argument> = needed
        .iter()
        .filter_map(|&v| match graph.node(v) {
            Node::Apply(Op::Exp, [argument, ..]) => Some(Argument::of(graph, argument)),
            _ => None,
        })
        .collect();
    let mut known: Vec<(Value, Argument)> = Vec::new();
    rebuilt(graph, needed, roots, |graph, op, args| match op {
        Op::Exp => Some(share(graph, args[0], &all, &mut known)),
        _ => None,
    })
}

/// The same values, where arguments that are sums of known multiples are written as such: `(V - V0)/k`, however a model spells it, is one fused
/// product and sum. Of an exponential the numbers take the factor `1/ln 2` up, which would be a product and two more of its reduction: it becomes a
/// power of 2, bounded as by [`super::bound_exponentials`].
///
/// An argument of an exponential that is one term, and nothing added to it, stays: there the factor would be one more rounding.
pub fn write_out_sums(graph: &mut Graph, roots: &[Value]) -> Vec<Value> {
    let needed = needed(graph, roots);
    rebuilt(graph, needed, roots, |graph, op, args| {
        if !matches!(op, Op::Exp | Op::Bernoulli) {
            return None;
        }
        let argument = Argument::of(graph, args[0]);
        if argument.terms.is_empty() || argument.terms.len() > LONGEST {
            return None;
        }
        let is_plain = argument.constant == 0.0 && argument.terms.values().all(|c| c.abs() == 1.0);
        match op {
            Op::Exp if !is_plain => {
                let argument = argument.times(std::f64::consts::LOG2_E).written(graph);
                Some(graph.apply(Op::BoundedExp2, &[argument]))
            }
            Op::Bernoulli if argument.terms.len() == 1 => {
                let argument = argument.written(graph);
                Some(graph.apply(Op::Bernoulli, &[argument, args[1]]))
            }
            _ => None,
        }
    })
}

/// The same values, where several are divided by one, with its reciprocal: a division keeps a processor busy for as long as ten products do,
/// or thirty. What is given up is one more rounding.
pub fn share_divisions(graph: &mut Graph, roots: &[Value]) -> Vec<Value> {
    let needed = needed(graph, roots);
    let mut divides: Map<Value, u32> = Map::default();
    for &v in &needed {
        match graph.node(v) {
            Node::Apply(Op::Div, [_, by, _]) | Node::Apply(Op::Recip, [by, ..]) => {
                *divides.entry(by).or_default() += 1;
            }
            _ => {}
        }
    }
    // Divisors may have become others when their users are looked at; those that have are left alone.
    rebuilt(graph, needed, roots, |graph, op, args| match op {
        Op::Div if divides.get(&args[1]).is_some_and(|&n| n > 1) => {
            let reciprocal = graph.apply(Op::Recip, &[args[1]]);
            Some(graph.mul(args[0], reciprocal))
        }
        _ => None,
    })
}

/// The roots after `other` has had its way with each operation that is needed, its arguments being new already.
pub(super) fn rebuilt(
    graph: &mut Graph,
    needed: Vec<Value>,
    roots: &[Value],
    mut other: impl FnMut(&mut Graph, Op, &[Value]) -> Option<Value>,
) -> Vec<Value> {
    // By node; what is made here is not looked up again.
    let mut by = vec![Value::NONE; graph.nodes().len()];
    for v in needed {
        let Node::Apply(op, args) = graph.node(v) else {
            by[v.index()] = v;
            continue;
        };
        let mut new = args;
        for a in &mut new[..op.arity()] {
            *a = by[a.index()];
        }
        let shared = match other(graph, op, &new[..op.arity()]) {
            Some(shared) => shared,
            None if new == args => v,
            None => graph.apply(op, &new[..op.arity()]),
        };
        by[v.index()] = shared;
    }
    roots.iter().map(|r| by[r.index()]).collect()
}

/// The exponential of an argument: what is known, as it is or raised to a power and times a factor; else a new one, which may be a root that
/// others are powers of.
fn share(
    graph: &mut Graph,
    argument: Value,
    all: &[Argument],
    known: &mut Vec<(Value, Argument)>,
) -> Value {
    let own = Argument::of(graph, argument);
    let found = known.iter().find_map(|(exponential, other)| {
        let (sign, power) = own.power_of(other)?;
        let beside = own.constant - sign * power * other.constant;
        (beside.abs() <= FURTHEST).then_some((*exponential, sign, power, beside))
    });
    if let Some((exponential, sign, power, beside)) = found {
        let raised = raise(graph, exponential, power);
        let signed = if sign < 0.0 {
            graph.apply(Op::Recip, &[raised])
        } else {
            raised
        };
        let factor = graph.constant(beside.exp());
        return graph.mul(signed, factor);
    }
    // Of what is asked for somewhere, the root of which this is the highest power.
    let powers = all.iter().filter_map(|other| own.power_of(other));
    let highest = powers.map(|(_, power)| power).fold(1.0, f64::max);
    let (exponential, root) = if highest > 1.0 {
        let (sum, root) = own.root(graph, highest);
        (graph.apply(Op::Exp, &[sum]), root)
    } else {
        (graph.apply(Op::Exp, &[argument]), own)
    };
    known.push((exponential, root));
    raise(graph, exponential, highest)
}

/// A power by squares.
fn raise(graph: &mut Graph, value: Value, power: f64) -> Value {
    let mut raised = value;
    for _ in POWERS.iter().skip(1).filter(|&&n| n <= power) {
        raised = graph.mul(raised, raised);
    }
    raised
}

/// What the roots need, in the order in which it was written.
pub(super) fn needed(graph: &Graph, roots: &[Value]) -> Vec<Value> {
    let mut seen = vec![false; graph.nodes().len()];
    let mut open = roots.to_vec();
    while let Some(v) = open.pop() {
        if !std::mem::replace(&mut seen[v.index()], true) {
            open.extend(graph.node(v).args());
        }
    }
    let all = (0..seen.len() as u32).map(Value);
    all.filter(|v| seen[v.index()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Program, Style, program};

    /// The outputs of a program whose inputs are all `x`.
    fn values(program: &Program, x: f64) -> Vec<f64> {
        let mut values: Vec<f64> = Vec::new();
        for node in &program.nodes {
            values.push(match *node {
                Node::Constant(bits) => f64::from_bits(bits),
                Node::Input(_) => x,
                Node::Apply(op, args) => {
                    let at = |k: usize| values.get(args[k].index()).copied().unwrap_or(0.0);
                    crate::ops::eval(op, at(0), at(1), at(2))
                }
            });
        }
        program.outputs.iter().map(|o| values[o.index()]).collect()
    }

    /// `exp(slope x + offset)` for each, and how many exponentials are left of them; with the results at `x`.
    fn shared(exponents: &[(f64, f64)], x: f64) -> (usize, Vec<f64>) {
        let mut graph = Graph::new(Style::Simplified);
        let input = graph.input(0);
        let roots: Vec<Value> = exponents
            .iter()
            .map(|&(slope, offset)| {
                let (slope, offset) = (graph.constant(slope), graph.constant(offset));
                let product = graph.mul(input, slope);
                let sum = graph.add(product, offset);
                graph.apply(Op::Exp, &[sum])
            })
            .collect();
        let roots = share_exponentials(&mut graph, &roots);
        let program = program(&graph, &roots);
        let is_exp = |node: &&Node| matches!(node, Node::Apply(Op::Exp, _));
        let left = program.nodes.iter().filter(is_exp).count();
        (left, values(&program, x))
    }

    #[test]
    fn exponentials_of_one_slope_become_one_and_keep_their_values() {
        let exponents = [(0.125, -1.25), (0.125, 3.1), (-0.125, 2.0), (0.125, -1.25)];
        for x in [-80.0, -3.0, 0.0, 41.0] {
            let (left, found) = shared(&exponents, x);
            assert_eq!(left, 1);
            for ((slope, offset), found) in exponents.iter().zip(found) {
                let exact = (slope * x + offset).exp();
                // Some roundings of arguments up to 10.
                assert!((found - exact).abs() <= 2e-14 * exact, "{found} {exact}");
            }
        }
    }

    #[test]
    fn exponentials_of_twice_to_eight_times_a_slope_are_powers_of_it() {
        // The root comes last, and one is a power of its reciprocal.
        let exponents = [(0.1, -1.0), (0.05, 0.3), (-0.025, 1.0), (0.0125, 0.7)];
        for x in [-80.0, -3.0, 0.0, 41.0] {
            let (left, found) = shared(&exponents, x);
            assert_eq!(left, 1);
            for ((slope, offset), found) in exponents.iter().zip(found) {
                let exact = (slope * x + offset).exp();
                assert!((found - exact).abs() <= 2e-14 * exact, "{found} {exact}");
            }
        }
    }

    #[test]
    fn other_slopes_and_offsets_too_far_apart_stay() {
        // The second is three times the first, the third is further than 7 from both; the last is 16 times the first.
        let exponents = [(0.1, 0.0), (0.3, 0.0), (0.1, 7.5), (1.6, 0.0)];
        assert_eq!(shared(&exponents, 1.0).0, 4);
    }

    #[test]
    fn sums_are_written_out_and_exponentials_of_them_are_powers_of_two() {
        // `0.1 ((x + 75) - 10)` is one product and one sum, for the exponential with 1/ln 2 in its numbers.
        let mut graph = Graph::new(Style::Simplified);
        let (x, slope) = (graph.input(0), graph.constant(0.1));
        let [far, near] = [75.0, -10.0].map(|c| graph.constant(c));
        let sum = graph.add(x, far);
        let sum = graph.add(sum, near);
        let u = graph.mul(sum, slope);
        let exponential = graph.apply(Op::Exp, &[u]);
        let smooth = graph.apply(Op::Bernoulli, &[u, exponential]);
        let plain = graph.apply(Op::Exp, &[x]);
        let roots = write_out_sums(&mut graph, &[smooth, exponential, plain]);
        let program = program(&graph, &roots);
        let count = |op: Op| {
            let is_op = |node: &&Node| matches!(node, Node::Apply(o, _) if *o == op);
            program.nodes.iter().filter(is_op).count()
        };
        let counts = [Op::Add, Op::Mul, Op::BoundedExp2, Op::Bernoulli, Op::Exp].map(count);
        assert_eq!(counts, [2, 2, 1, 1, 1]);
        for x in [-80.0, -66.0, -65.0, -12.0, 30.0] {
            let [smooth, exponential, plain] = values(&program, x)[..] else {
                panic!("three outputs");
            };
            let u: f64 = 0.1 * (x + 65.0);
            let of_u = if u == 0.0 { 1.0 } else { u / u.exp_m1() };
            // Some roundings of numbers up to 14.
            assert!((smooth - of_u).abs() <= 1e-14 * of_u.max(1.0), "{x}");
            assert!((exponential - u.exp()).abs() <= 2e-14 * u.exp(), "{x}");
            assert_eq!(plain, crate::ops::eval(Op::Exp, x, 0.0, 0.0));
        }
    }

    #[test]
    fn what_several_are_divided_by_is_divided_by_once() {
        let mut graph = Graph::new(Style::Simplified);
        let inputs: Vec<Value> = (0..4).map(|k| graph.input(k)).collect();
        let quotient = |graph: &mut Graph, a: usize, b: usize| graph.div(inputs[a], inputs[b]);
        let roots = [
            quotient(&mut graph, 0, 1),
            quotient(&mut graph, 2, 1),
            quotient(&mut graph, 0, 3),
        ];
        let roots = share_divisions(&mut graph, &roots);
        let program = program(&graph, &roots);
        let count = |op: Op| {
            let is_op = |node: &&Node| matches!(node, Node::Apply(o, _) if *o == op);
            program.nodes.iter().filter(is_op).count()
        };
        // A single one stays as it is.
        assert_eq!((count(Op::Recip), count(Op::Div)), (1, 1));
    }

    #[test]
    fn an_exponential_within_another_s_argument_is_shared_as_well() {
        let mut graph = Graph::new(Style::Simplified);
        let x = graph.input(0);
        let one = graph.constant(1.0);
        let inner = graph.apply(Op::Exp, &[x]);
        let further = graph.add(x, one);
        let multiple = graph.apply(Op::Exp, &[further]);
        let outer = graph.apply(Op::Exp, &[multiple]);
        let roots = share_exponentials(&mut graph, &[inner, outer]);
        let program = program(&graph, &roots);
        let is_exp = |node: &&Node| matches!(node, Node::Apply(Op::Exp, _));
        // The inner one, and the outer one of its multiple.
        assert_eq!(program.nodes.iter().filter(is_exp).count(), 2);
    }
}
