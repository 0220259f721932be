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
