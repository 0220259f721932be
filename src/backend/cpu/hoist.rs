//! What depends on a fibre's parameters alone is computed once, when the fibre enters its lane, and not in every step.
//!
//! The values become inputs of the program, in rows of their own. They are had from the bodies of the same operations in the same precision, so no
//! bit depends on it.

use crate::ops::{Lane, Op, eval};
use crate::program::{Node, Program, Value};

/// The part of a program that stays the same for a fibre.
#[derive(Clone, Debug)]
pub(super) struct Hoist {
    /// From the inputs of the whole program to the values.
    program: Program,
    /// The row of the first value.
    pub first_row: usize,
}

impl Hoist {
    /// Takes what depends on the inputs in `stays` alone out of a program with so many inputs, and gives both parts; `None` if that is nothing.
    pub fn new(
        program: &Program,
        n_inputs: usize,
        stays: &dyn Fn(usize) -> bool,
    ) -> Option<(Self, Program)> {
        let n = program.nodes.len();
        let mut moves = vec![false; n];
        for (i, node) in program.nodes.iter().enumerate() {
            moves[i] = match *node {
                Node::Constant(_) => false,
                Node::Input(row) => !stays(row as usize),
                Node::Apply(..) => node.args().iter().any(|a| moves[a.index()]),
            };
        }
        // A sign costs nothing where it is used.
        let is_taken = |v: Value| {
            let node = program.nodes[v.index()];
            !moves[v.index()] && matches!(node, Node::Apply(op, _) if op != Op::Neg)
        };
        let mut taken: Vec<Value> = Vec::new();
        let mut rest: Vec<Node> = Vec::new();
        let mut place: Vec<Option<Value>> = vec![None; n];
        // What moves, in its order, and what it needs of the rest.
        let roots = (0..n as u32).map(Value).filter(|v| moves[v.index()]);
        for root in roots.chain(program.outputs.iter().copied()) {
            let mut open = vec![root];
            while let Some(&v) = open.last() {
                if place[v.index()].is_some() {
                    open.pop();
                    continue;
                }
                if is_taken(v) {
                    place[v.index()] = Some(Value(rest.len() as u32));
                    rest.push(Node::Input((n_inputs + taken.len()) as u32));
                    taken.push(v);
                    continue;
                }
                let node = program.nodes[v.index()];
                let waiting = node.args().iter().filter(|a| place[a.index()].is_none());
                let before = open.len();
                open.extend(waiting.rev());
                if open.len() > before {
                    continue;
                }
                place[v.index()] = Some(Value(rest.len() as u32));
                rest.push(moved(node, &place));
            }
        }
        if taken.is_empty() {
            return None;
        }
        let outputs = program.outputs.iter().filter_map(|o| place[o.index()]);
        let rest = Program {
            nodes: rest,
            outputs: outputs.collect(),
        };
        let hoist = Hoist {
            program: only(program, &taken),
            first_row: n_inputs,
        };
        Some((hoist, rest))
    }

    /// Number of values.
    pub fn n_values(&self) -> usize {
        self.program.outputs.len()
    }

    /// Computes the values of a fibre; [`Hoist::values`] are among what is in `scratch` then.
    pub fn compute<T: Lane>(&self, scratch: &mut Vec<T>, input: impl Fn(usize) -> T) {
        scratch.clear();
        for node in &self.program.nodes {
            let value = match *node {
                Node::Constant(bits) => T::of(f64::from_bits(bits)),
                Node::Input(row) => input(row as usize),
                Node::Apply(op, args) => {
                    let at = |k: usize| scratch.get(args[k].index()).copied().unwrap_or_default();
                    eval(op, at(0), at(1), at(2))
                }
            };
            scratch.push(value);
        }
    }

    /// The values, in the order of their rows.
    pub fn values<T: Lane>(&self, scratch: &[T]) -> impl Iterator<Item = T> {
        self.program.outputs.iter().map(|o| scratch[o.index()])
    }
}

/// The node with its arguments at their new places.
fn moved(node: Node, place: &[Option<Value>]) -> Node {
    match node {
        Node::Apply(op, mut args) => {
            for a in args.iter_mut().take(op.arity()) {
                *a = place[a.index()].unwrap_or(Value::NONE);
            }
            Node::Apply(op, args)
        }
        other => other,
    }
}

/// What the values need of a program.
fn only(program: &Program, values: &[Value]) -> Program {
    let mut needed = vec![false; program.nodes.len()];
    for v in values {
        needed[v.index()] = true;
    }
    for i in (0..needed.len()).rev() {
        if needed[i] {
            for a in program.nodes[i].args() {
                needed[a.index()] = true;
            }
        }
    }
    let mut place = vec![None; program.nodes.len()];
    let mut nodes = Vec::new();
    for (i, &node) in program.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        let node = moved(node, &place);
        place[i] = Some(Value(nodes.len() as u32));
        nodes.push(node);
    }
    Program {
        nodes,
        outputs: values.iter().filter_map(|v| place[v.index()]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::backend::cpu::native::{by_the_bodies, random_program};

    #[test]
    fn both_parts_together_give_the_bits_of_the_whole() {
        let mut random = SmallRng::seed_from_u64(5);
        let (mut n_hoisted, mut scratch) = (0, Vec::new());
        for k in 0..500 {
            let (whole, n_inputs) = random_program(&mut random, 5 + k % 90, k % 2 == 0);
            let some: Vec<bool> = (0..n_inputs)
                .map(|_| random.random_range(0..2) == 0)
                .collect();
            let Some((hoist, rest)) = Hoist::new(&whole, n_inputs, &|row| some[row]) else {
                continue;
            };
            let mut inputs: Vec<f32> = (0..n_inputs)
                .map(|_| random.random_range(-3.0..3.0))
                .collect();
            let expected = by_the_bodies(&whole, &inputs);
            hoist.compute(&mut scratch, |row| {
                assert!(some[row], "an input that moves is not asked for");
                inputs[row]
            });
            let own: Vec<f32> = hoist.values(&scratch).collect();
            assert_eq!(own.len(), hoist.n_values());
            n_hoisted += own.len();
            inputs.extend(own);
            let found = by_the_bodies(&rest, &inputs);
            let bits = |values: &[f32]| -> Vec<u32> {
                let bits = |x: &f32| {
                    if x.is_nan() {
                        f32::NAN.to_bits()
                    } else {
                        x.to_bits()
                    }
                };
                values.iter().map(bits).collect()
            };
            assert_eq!(bits(&found), bits(&expected), "program {k}");
            // What was taken out is not computed again.
            assert!(rest.n_ops() < whole.n_ops());
        }
        assert!(n_hoisted > 1000, "{n_hoisted}");
    }
}
