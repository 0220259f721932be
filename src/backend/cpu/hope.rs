//! Short forms of a watched program, for most of the steps: they leave out what is seldom needed, and say where it is.
//!
//! A gate moves by a mean exponential, which is a polynomial as long as the step is short beside the gate's time constant. A rate that is 0/0 at one
//! potential is a series near it and a quotient elsewhere, and a fibre is there for a moment of each spike. The whole program computes both forms
//! and chooses. A hopeful one computes the likely form, with the same bits; a lane in which it is the wrong one asks to be looked at, and the step
//! is computed again by a program that hopes for less.

use super::watch::{Watch, Writer};
use crate::ops::{BERNOULLI_NEAR, Lane, MEAN_EXP_NEAR, Op, mean_exp_near};
use crate::program::{Node, Program, Value, never_negative};

/// What a program relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hope {
    /// The step is short beside the time constants of all gates, and no rate is near its 0/0.
    ShortAndFar,
    /// The step is short beside the time constants of all gates.
    Short,
}

/// Programs that can stand in for a watched one, by that which asks of its lanes; those that hope for most come first.
pub(super) fn hopeful<T: Lane>(watch: &Watch, watched: &Program) -> Vec<Program> {
    let has = |op: Op| {
        let is_it = |node: &Node| matches!(node, Node::Apply(o, _) if *o == op);
        watched.nodes.iter().any(is_it)
    };
    let far = has(Op::Bernoulli).then_some(Hope::ShortAndFar);
    let short = has(Op::MeanExp).then_some(Hope::Short);
    let hopes = far.into_iter().chain(short);
    hopes
        .map(|hope| hoping::<T>(watch, watched, hope))
        .collect()
}

fn hoping<T: Lane>(watch: &Watch, watched: &Program, hope: Hope) -> Program {
    let mut w = Writer(Program {
        nodes: Vec::with_capacity(watched.nodes.len()),
        outputs: Vec::new(),
    });
    let is_unsigned = never_negative(watched, |row| row == watch.step_row);
    let mut place: Vec<Value> = Vec::with_capacity(watched.nodes.len());
    // The largest size of an argument that has to be small, the smallest of one that has to be large.
    let (mut largest, mut least): (Option<Value>, Option<Value>) = (None, None);
    for &node in &watched.nodes {
        // The size of a value that is there; where it is the negative of what has no sign, that.
        let size = |w: &mut Writer, x: Value| {
            let unsigned = match watched.nodes[x.index()] {
                Node::Apply(Op::Neg, [negated, ..]) => negated,
                _ => x,
            };
            let moved = place[unsigned.index()];
            if is_unsigned[unsigned.index()] {
                moved
            } else {
                w.apply(Op::Abs, &[moved])
            }
        };
        let moved = match node {
            Node::Apply(Op::MeanExp, [x, ..]) => {
                let size = size(&mut w, x);
                largest = Some(largest.map_or(size, |l| w.larger(l, size)));
                w.horner(place[x.index()], mean_exp_near::<T>())
            }
            Node::Apply(Op::Bernoulli, [u, e, _]) if hope == Hope::ShortAndFar => {
                let size = size(&mut w, u);
                least = Some(least.map_or(size, |l| w.smaller(size, l)));
                let one = w.constant(1.0);
                let below = w.apply(Op::Sub, &[place[e.index()], one]);
                w.apply(Op::Div, &[place[u.index()], below])
            }
            Node::Apply(op, _) => {
                let args: Vec<Value> = node.args().iter().map(|a| place[a.index()]).collect();
                w.apply(op, &args)
            }
            given => w.push(given),
        };
        place.push(moved);
    }
    w.0.outputs = watched.outputs.iter().map(|o| place[o.index()]).collect();
    // An argument that is no number makes none of a state, and the lane asks for that.
    let short = largest.map(|largest| {
        let limit = w.constant(MEAN_EXP_NEAR);
        w.apply(Op::Sub, &[limit, largest])
    });
    let far = least.map(|least| {
        let limit = w.constant(BERNOULLI_NEAR);
        w.apply(Op::Sub, &[least, limit])
    });
    let spare = match (short, far) {
        (Some(short), Some(far)) => Some(w.smaller(far, short)),
        (short, far) => short.or(far),
    };
    watch.with_question(w, spare)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::backend::cpu::native::by_the_bodies;

    /// Rows of [`gate`]: the step, what the watch has, potential, another rate's root, a feature's own number.
    const STEP: usize = 0;
    const ACTIVE: usize = 1;
    const POTENTIAL: usize = 2;
    const ROOT: usize = 3;
    const SPARE: usize = 4;
    const OUTPUTS: usize = 2;

    /// A gate with a rate that is 0/0 at one potential, watched with or without a feature.
    fn gate(n_features: usize) -> (Watch, Program) {
        let watch = Watch::in_rows(STEP, ACTIVE, OUTPUTS, n_features);
        let mut w = Writer(Program {
            nodes: Vec::new(),
            outputs: Vec::new(),
        });
        let rows = [STEP, POTENTIAL, ROOT, SPARE];
        let [step, potential, root, spare] = rows.map(|row| w.input(row));
        let slope = w.constant(0.1);
        let u = w.apply(Op::Mul, &[potential, slope]);
        let e = w.apply(Op::BoundedExp, &[u]);
        let opening = w.apply(Op::Bernoulli, &[u, e]);
        let closing = w.apply(Op::Mul, &[root, root]);
        let rate = w.apply(Op::Add, &[opening, closing]);
        let passed = w.apply(Op::Mul, &[step, rate]);
        let x = w.apply(Op::Neg, &[passed]);
        let mean = w.apply(Op::MeanExp, &[x]);
        let state = w.apply(Op::Fma, &[mean, passed, potential]);
        let nothing = w.apply(Op::Sub, &[state, state]);
        w.0.outputs = vec![state, nothing];
        w.0.outputs.extend(vec![spare; n_features]);
        w.0.outputs.extend(vec![potential; n_features]);
        (watch, w.0)
    }

    fn hopes_hold_or_ask<T: Lane>() {
        let mut random = SmallRng::seed_from_u64(9);
        for n_features in [0, 1] {
            let (watch, watched) = gate(n_features);
            let whole = watch.asking(&watched);
            let all = hopeful::<T>(&watch, &watched);
            assert_eq!(all.len(), 2);
            // How often each hope was borne out, was in vain, and how often the whole program asks.
            let mut counts = [[0; 2]; 3];
            for _ in 0..3000 {
                let row = |row: usize| match row {
                    STEP => 0.02,
                    ACTIVE => 1.0,
                    POTENTIAL => random.random_range(-20.0..20.0),
                    ROOT => random.random_range(-6.0..6.0),
                    _ => random.random_range(-0.1..1.0),
                };
                let mut inputs: Vec<T> = (0..=SPARE).map(row).map(T::of).collect();
                if random.random_range(0..50) == 0 {
                    inputs[POTENTIAL] = T::of(f64::NAN);
                }
                let expected = by_the_bodies(&whole, &inputs);
                let asks = |outputs: &[T]| usize::from(outputs[OUTPUTS] != T::of(0.0));
                counts[2][asks(&expected)] += 1;
                let potential = inputs[POTENTIAL].f64();
                let u = 0.1 * potential;
                let rate = u / u.exp_m1() + inputs[ROOT].f64().powi(2);
                let (near, long) = (u.abs() < 0.5, 0.02 * rate > MEAN_EXP_NEAR);
                for ((program, hope), counts) in
                    all.iter().zip([near || long, long]).zip(&mut counts)
                {
                    let found = by_the_bodies(program, &inputs);
                    let in_vain = asks(&found) == 1;
                    assert!(in_vain || asks(&expected) == 0, "{inputs:?}");
                    if asks(&expected) == 0 {
                        // No argument is so near a limit that rounding decides.
                        assert_eq!(in_vain, hope, "{inputs:?}");
                        counts[usize::from(in_vain)] += 1;
                    }
                    if !in_vain {
                        assert_eq!(found[..OUTPUTS], expected[..OUTPUTS], "{inputs:?}");
                    }
                }
            }
            assert!(counts.as_flattened().iter().all(|&n| n > 20), "{counts:?}");
        }
    }

    #[test]
    fn a_hopeful_program_gives_the_bits_of_the_whole_or_asks() {
        hopes_hold_or_ask::<f32>();
        hopes_hold_or_ask::<f64>();
    }

    #[test]
    fn a_lane_without_a_fibre_does_not_ask() {
        let (watch, watched) = gate(1);
        for program in hopeful::<f32>(&watch, &watched) {
            let mut inputs = [0.02, 0.0, 1.0, 6.0, -1.0];
            assert_eq!(by_the_bodies(&program, &inputs)[OUTPUTS], 0.0);
            inputs[ACTIVE] = 1.0;
            assert!(by_the_bodies(&program, &inputs)[OUTPUTS] > 0.0);
        }
    }
}
