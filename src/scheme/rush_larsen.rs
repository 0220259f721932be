//! Rush and Larsen (1978, IEEE Trans Biomed Eng 25:389): a gate `dx/dt = a x + b`, whose `a` and `b` depend on the membrane
//! potential alone, moves by its exact solution for the present potential; everything else by forward Euler.
//!
//! `x1 = x + h f (exp(a h) - 1)/(a h)`, and the last factor is an op that is smooth at `a h = 0`. Here `f` is computed as `b + a x`, since `a` is
//! there already: of `α (1 - x) - β x` that leaves the opening rate, the sum of both and a product.

use crate::model::Model;
use crate::ops::{Algebra, Op};
use crate::program::{Graph, Map, Node, Set, Tangents, Value, depends_on, substitute};

use super::step_program::{Advance, Parts};

pub(super) fn advance(parts: &mut Parts, model: &Model) -> Advance {
    let potential = model
        .labelled("membrane_potential")
        .and_then(|id| model.states.iter().position(|&s| s == id));
    let one = parts.rhs.graph.constant(1.0);
    let mut change = Vec::new();
    for (i, f) in parts.rhs.derivatives.clone().into_iter().enumerate() {
        let state = parts.states[i];
        let slope = Tangents::new([(state, one)]).of(&mut parts.rhs.graph, f);
        let graph = &mut parts.rhs.graph;
        let others =
            parts.states.iter().enumerate().filter(|&(j, &s)| {
                j != i && Some(j) != potential && depends_on(graph, s)[f.index()]
            });
        // Without a labelled potential: exactly one other state may move the gate.
        let n_others = others.count();
        let allowed = if potential.is_some() { 0 } else { 1 };
        let is_gate = Some(i) != potential && n_others <= allowed;
        let affine = slope.filter(|a| is_gate && !depends_on(graph, state)[a.index()]);
        change.push(match affine {
            None => graph.mul(parts.step, f),
            Some(a) => {
                let f = at_zero(graph, f, state).map_or(f, |b| {
                    let ax = graph.mul(a, state);
                    graph.add(b, ax)
                });
                let euler = graph.mul(parts.step, f);
                let ah = graph.mul(a, parts.step);
                let mean = graph.apply(Op::MeanExp, &[ah]);
                graph.mul(euler, mean)
            }
        });
    }
    Advance {
        change,
        error: None,
        order: Vec::new(),
        slopes: None,
        pivots: None,
    }
}

/// What is left of `f` where the state is 0; `None` if the state may decide in it which way is taken.
fn at_zero(graph: &mut Graph, f: Value, state: Value) -> Option<Value> {
    let depends = depends_on(graph, state);
    let (mut open, mut seen) = (vec![f], Set::default());
    while let Some(value) = open.pop() {
        let node = graph.node(value);
        if value == state || !depends[value.index()] || !seen.insert(value) {
            continue;
        }
        let Node::Apply(Op::Add | Op::Sub | Op::Mul | Op::Neg | Op::Div, _) = node else {
            return None;
        };
        open.extend(node.args());
    }
    let zero = graph.constant(0.0);
    let by = Map::from_iter([(state, zero)]);
    substitute(graph, &[f], &by).pop()
}
