//! Exponentials that differ by a known factor are computed once.
//!
//! Rates of one channel, and of different ones, are often exponentials of the potential with one slope and another offset: `exp((V - 10)/8)`
//! and `exp((V - 25)/8)`, or `exp((25 - V)/8)`. They are multiples of one another, or of its reciprocal, and an exponential costs twenty times
//! what a product does. What is given up is a rounding or two.

use std::collections::BTreeMap;

use crate::ops::{Algebra, Op};

use super::recognise::sum_of;
use super::{Graph, Map, Node, Set, Value};

/// Largest difference of two offsets. An exponential is held within `exp(±80)` in single precision, so that what is made of it by a
/// factor of `exp(±7)` is neither infinite nor denormal.
const FURTHEST: f64 = 7.0;
/// Within this slopes are equal: some units in the last place of double precision.
const ALIKE: f64 = 1e-15;

struct Known {
    exponential: Value,
    terms: BTreeMap<Value, f64>,
    constant: f64,
}

/// The same values with as few exponentials as that.
pub fn share_exponentials(graph: &mut Graph, roots: &[Value]) -> Vec<Value> {
    let mut known: Vec<Known> = Vec::new();
    let mut by: Map<Value, Value> = Map::default();
    // Arguments come before their users, so that an exponential is looked at when those within its argument are done.
    for v in needed(graph, roots) {
        let Node::Apply(op, args) = graph.node(v) else {
            by.insert(v, v);
            continue;
        };
        let old = &args[..op.arity()];
        let new: Vec<Value> = old.iter().map(|a| by[a]).collect();
        let same = if new == old { v } else { graph.apply(op, &new) };
        let shared = match op {
            Op::Exp => share(graph, same, new[0], &mut known),
            _ => same,
        };
        by.insert(v, shared);
    }
    roots.iter().map(|r| by[r]).collect()
}

/// The exponential, or the multiple of one that is known.
fn share(graph: &mut Graph, exponential: Value, argument: Value, known: &mut Vec<Known>) -> Value {
    let (terms, constant) = sum_of(graph, argument);
    let found = [1.0, -1.0].into_iter().find_map(|sign| {
        let is_near = |k: &&Known| {
            (constant - sign * k.constant).abs() <= FURTHEST && are_alike(&terms, &k.terms, sign)
        };
        known.iter().find(is_near).map(|k| (sign, k))
    });
    let Some((sign, k)) = found else {
        known.push(Known {
            exponential,
            terms,
            constant,
        });
        return exponential;
    };
    let factor = graph.constant((constant - sign * k.constant).exp());
    let base = match sign {
        1.0 => k.exponential,
        _ => graph.apply(Op::Recip, &[k.exponential]),
    };
    graph.mul(base, factor)
}

fn are_alike(a: &BTreeMap<Value, f64>, b: &BTreeMap<Value, f64>, sign: f64) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((va, ca), (vb, cb))| {
            let cb = sign * cb;
            va == vb && (ca - cb).abs() <= ALIKE * ca.abs()
        })
}

/// What the roots need, in the order in which it was written.
fn needed(graph: &Graph, roots: &[Value]) -> Vec<Value> {
    let mut seen: Set<Value> = roots.iter().copied().collect();
    let mut open = roots.to_vec();
    while let Some(v) = open.pop() {
        open.extend(graph.node(v).args().iter().filter(|a| seen.insert(**a)));
    }
    let mut needed: Vec<Value> = seen.into_iter().collect();
    needed.sort_unstable();
    needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Style, program};

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
        let outputs = program.outputs.iter().map(|o| values[o.index()]).collect();
        (left, outputs)
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
    fn other_slopes_and_offsets_too_far_apart_stay() {
        // The second is twice the first, the third is further than 7 from both.
        assert_eq!(shared(&[(0.1, 0.0), (0.2, 0.0), (0.1, 7.5)], 1.0).0, 3);
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
