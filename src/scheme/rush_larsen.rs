//! Rush and Larsen (1978, IEEE Trans Biomed Eng 25:389): a gate `dx/dt = a x + b`, whose `a` and `b` depend on the membrane
//! potential alone, moves by its exact solution for the present potential; everything else by forward Euler.
//!
//! `x1 = x + h f (exp(a h) - 1)/(a h)`, and the last factor is an op that is smooth at `a h = 0`. Here `h f` is computed as `b h + a h x`, since
//! `a h` is there already: of `α (1 - x) - β x` that leaves the opening rate, the sum of both and a product. Rates are multiplied by the step one by
//! one: most are numbers times something, and the step goes to the number.

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
                let (euler, ah) = match at_zero(graph, f, state) {
                    None => (graph.mul(parts.step, f), graph.mul(a, parts.step)),
                    Some(b) => {
                        let [bh, ah] = times_step(graph, [b, a], parts.step);
                        let axh = graph.mul(ah, state);
                        (graph.add(bh, axh), ah)
                    }
                };
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

/// Both times the step. Where they are sums and differences of two rates at most, these are multiplied, each once: the step finds numbers in them.
fn times_step(graph: &mut Graph, both: [Value; 2], step: Value) -> [Value; 2] {
    let mut rates = Set::default();
    let mut open = both.to_vec();
    while let Some(value) = open.pop() {
        let value = opposite(graph, value).unwrap_or(value);
        match graph.node(value) {
            node @ Node::Apply(Op::Add | Op::Sub | Op::Neg, _) => open.extend(node.args()),
            _ => {
                rates.insert(value);
            }
        }
    }
    if rates.len() > 2 {
        return both.map(|value| graph.mul(value, step));
    }
    both.map(|value| spread(graph, value, step))
}

/// A sum times the step, term by term.
fn spread(graph: &mut Graph, value: Value, step: Value) -> Value {
    if let Some(opposite) = opposite(graph, value) {
        let product = graph.mul(opposite, step);
        return graph.neg(product);
    }
    match graph.node(value) {
        Node::Apply(op @ (Op::Add | Op::Sub | Op::Neg), args) => {
            let terms: Vec<Value> = args[..op.arity()]
                .iter()
                .map(|&term| spread(graph, term, step))
                .collect();
            graph.apply(op, &terms)
        }
        _ => graph.mul(value, step),
    }
}

/// The product whose negative this one is, by the sign of its number: what a rate is in one place is its negative in the other.
fn opposite(graph: &mut Graph, value: Value) -> Option<Value> {
    let Node::Apply(Op::Mul, [x, c, _]) = graph.node(value) else {
        return None;
    };
    let c = graph.as_constant(c).filter(|&c| c < 0.0)?;
    let c = graph.constant(-c);
    Some(graph.mul(x, c))
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
