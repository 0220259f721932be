//! Parts a program into what stands still and what moves, so that the first is computed once and the second often.

use crate::ops::Op;

use super::{Node, Places, Program, Value};

/// A program in two parts; see [`hoist`].
#[derive(Clone, Debug)]
pub struct Hoisted {
    /// Computes, from the program's inputs, what stands still and is needed by what moves.
    pub still: Program,
    /// Computes the outputs from the program's inputs and, numbered after them, the outputs of `still`.
    pub moving: Program,
}

/// Parts a program: `moves` says of each of its inputs whether it may change while the others stand still. Ops that repeat an earlier one find the
/// same bits and are left out; nothing else is changed.
pub fn hoist(program: &Program, moves: &[bool]) -> Hoisted {
    let nodes = &program.nodes;
    // Arguments are replaced by the first node of the same structure.
    let mut known = Places::default();
    let (mut first, mut own) = (Vec::with_capacity(nodes.len()), nodes.clone());
    let mut moved = Vec::with_capacity(nodes.len());
    for i in 0..own.len() {
        let mut node = own[i];
        if let Node::Apply(op, args) = &mut node {
            for a in args.iter_mut().take(op.arity()) {
                *a = Value(first[a.index()] as u32);
            }
        }
        own[i] = node;
        first.push(known.find_or_add(&node, i as u32, |k| own[k as usize]) as usize);
        moved.push(match node {
            Node::Input(number) => moves[number as usize],
            Node::Constant(_) => false,
            Node::Apply(..) => node.args().iter().any(|a| moved[a.index()]),
        });
    }
    let is_still_op = |i: usize| matches!(own[i], Node::Apply(..)) && !moved[i];
    // What crosses: ops that stand still and that a moving op or an output asks for. A sign costs nothing where it is used, so it stays there.
    let mut crossing: Vec<usize> = Vec::new();
    let mut kept: Vec<bool> = (0..own.len()).map(|i| !is_still_op(i)).collect();
    let asked = (0..own.len())
        .filter(|&i| moved[i] && first[i] == i)
        .flat_map(|i| own[i].args().iter().map(|a| a.index()));
    for mut i in asked.chain(program.outputs.iter().map(|o| first[o.index()])) {
        while let (Node::Apply(Op::Neg, [of, ..]), true) = (own[i], is_still_op(i)) {
            kept[i] = true;
            i = of.index();
        }
        if is_still_op(i) && !std::mem::replace(&mut kept[i], true) {
            crossing.push(i);
        }
    }
    crossing.sort_unstable();
    let still = part(&own, |i| first[i] == i && !moved[i], &crossing);
    let mut rest = own.clone();
    for (k, &i) in crossing.iter().enumerate() {
        rest[i] = Node::Input((moves.len() + k) as u32);
    }
    let outputs: Vec<usize> = program.outputs.iter().map(|o| first[o.index()]).collect();
    Hoisted {
        still,
        moving: part(&rest, |i| first[i] == i && kept[i], &outputs),
    }
}

/// The nodes that are kept, which need no others, as a program.
fn part(nodes: &[Node], kept: impl Fn(usize) -> bool, outputs: &[usize]) -> Program {
    let mut place = vec![Value::NONE; nodes.len()];
    let mut own = Vec::new();
    for (i, node) in nodes.iter().enumerate().filter(|(i, _)| kept(*i)) {
        place[i] = Value(own.len() as u32);
        own.push(match *node {
            Node::Apply(op, mut args) => {
                for a in args.iter_mut().take(op.arity()) {
                    *a = place[a.index()];
                }
                Node::Apply(op, args)
            }
            other => other,
        });
    }
    Program {
        nodes: own,
        outputs: outputs.iter().map(|&o| place[o]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Algebra, eval};
    use crate::program::{Graph, Style, program};

    fn evaluate(program: &Program, inputs: &[f64]) -> Vec<f64> {
        let mut known: Vec<f64> = Vec::new();
        for node in &program.nodes {
            let at = |k: usize| node.args().get(k).map_or(0.0, |a| known[a.index()]);
            known.push(match *node {
                Node::Constant(bits) => f64::from_bits(bits),
                Node::Input(number) => inputs[number as usize],
                Node::Apply(op, _) => eval(op, at(0), at(1), at(2)),
            });
        }
        program.outputs.iter().map(|o| known[o.index()]).collect()
    }

    #[test]
    fn the_parts_together_find_the_bits_of_the_whole() {
        let mut graph = Graph::new(Style::Plain);
        let (x, p, q) = (graph.input(0), graph.input(1), graph.input(2));
        let two = graph.constant(2.0);
        let rate = graph.apply(Op::Exp, &[p]);
        let again = graph.apply(Op::Exp, &[p]);
        let both = graph.mul(rate, q);
        let moving = graph.mul(again, x);
        let sum = graph.add(moving, both);
        let less = graph.neg(both);
        let scaled = graph.mul(sum, less);
        let whole = program(&graph, &[scaled, both, q, two, x]);
        let parts = hoist(&whole, &[true, false, false]);
        // The exponential, once, and its product with q; the sign of it stays with what moves.
        assert_eq!(parts.still.outputs.len(), 2);
        assert_eq!(parts.moving.n_ops(), 4);
        let inputs = [0.3, 1.7, -2.1];
        let known = evaluate(&parts.still, &inputs);
        let found = evaluate(&parts.moving, &[&inputs[..], &known].concat());
        assert_eq!(found, evaluate(&whole, &inputs));
    }
}
