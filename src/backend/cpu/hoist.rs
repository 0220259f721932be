//! What depends on a fibre's parameters alone is computed once, when the fibre enters its lane, and not in every step.
//!
//! The values become inputs of the program, in rows of their own. They are had from the bodies of the same operations in the same precision, so no
//! bit depends on it.

use crate::ops::{Lane, eval};
use crate::program::{Hoisted, Node, Program, hoist};

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
        let moves: Vec<bool> = (0..n_inputs).map(|row| !stays(row)).collect();
        if !has_still_op(program, &moves) {
            return None;
        }
        let Hoisted { still, moving } = hoist(program, &moves);
        if still.outputs.is_empty() {
            return None;
        }
        let hoist = Hoist {
            program: still,
            first_row: n_inputs,
        };
        Some((hoist, moving))
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

/// Whether any op depends on no input that moves. Where no parameter varies there is none, and nothing is to be parted.
fn has_still_op(program: &Program, moves: &[bool]) -> bool {
    let mut moved: Vec<bool> = Vec::with_capacity(program.nodes.len());
    program.nodes.iter().any(|node| {
        moved.push(match node {
            Node::Input(number) => moves[*number as usize],
            Node::Constant(_) => false,
            Node::Apply(..) => node.args().iter().any(|a| moved[a.index()]),
        });
        matches!((node, moved.last()), (Node::Apply(..), Some(false)))
    })
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
