//! Rush and Larsen (1978, IEEE Trans Biomed Eng 25:389): a gate `dx/dt = a x + b`, whose `a` and `b` depend on the membrane
//! potential alone, moves by its exact solution for the present potential; everything else by forward Euler.
//!
//! `x1 = x + h f (exp(a h) - 1)/(a h)`, and the last factor is an op that is smooth at `a h = 0`.

use crate::model::Model;
use crate::ops::{Algebra, Op};
use crate::program::{Tangents, depends_on};

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
        let euler = graph.mul(parts.step, f);
        change.push(match affine {
            None => euler,
            Some(a) => {
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
