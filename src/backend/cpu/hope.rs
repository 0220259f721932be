//! Short forms of a watched program, for most of the steps: they leave out what is seldom needed, and say where it is.
//!
//! A gate moves by a mean exponential, which is a polynomial as long as the step is short beside the gate's time constant. A rate that is 0/0 at one
//! potential is a series near it and a quotient elsewhere, and a fibre is there for a moment of each spike. The whole program computes both forms
//! and chooses. Its step is an input, since the last one before an edge is shorter; but for these it is one number, which others can be multiplied with
//! once and for all. A hopeful program computes the likely form, with the same bits; a lane in which it is the wrong one asks to be looked at, and the step
//! is computed again by a program that hopes for less.

use super::watch::{Watch, Writer};
use crate::ops::{BERNOULLI_NEAR, Lane, MEAN_EXP_NEAR, Op, mean_exp_near};
use crate::program::{Node, Program, Value, signs};

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
    let signs = signs(watched, |row| (row == watch.step_row).then_some(false));
    let mut place: Vec<Value> = Vec::with_capacity(watched.nodes.len());
    let mut bounds = Bounds::default();
    for &node in &watched.nodes {
        let moved = match node {
            Node::Apply(Op::MeanExp, [x, ..]) => {
                bounds.keep_small(&mut w, (watched, &signs, &place), x);
                w.horner(place[x.index()], mean_exp_near::<T>())
            }
            Node::Apply(Op::Bernoulli, [u, e, _]) if hope == Hope::ShortAndFar => {
                let size = w.apply(Op::Abs, &[place[u.index()]]);
                bounds.least = Some(bounds.least.map_or(size, |l| w.smaller(size, l)));
                let one = w.constant(1.0);
                let below = w.apply(Op::Sub, &[place[e.index()], one]);
                w.apply(Op::Div, &[place[u.index()], below])
            }
            Node::Apply(op, _) => {
                let args: Vec<Value> = node.args().iter().map(|a| place[a.index()]).collect();
                w.apply(op, &args)
            }
            Node::Input(row) if row as usize == watch.step_row => w.constant(watch.full_step),
            given => w.push(given),
        };
        place.push(moved);
    }
    w.0.outputs = watched.outputs.iter().map(|o| place[o.index()]).collect();
    let spare = bounds.spare(&mut w);
    watch.with_question(w, spare)
}

/// What is known of the arguments so far. One that is no number is left out: it makes none of a state, and the lane asks for that.
#[derive(Default)]
struct Bounds {
    /// Of those that have to be small: the largest, and the lowest of those below 0.
    largest: Option<Value>,
    lowest: Option<Value>,
    /// The smallest size of those that have to be large.
    least: Option<Value>,
}

impl Bounds {
    /// Takes an argument in that has to be small; where its sign is known it is compared as it is.
    fn keep_small(
        &mut self,
        w: &mut Writer,
        (watched, signs, place): (&Program, &[Option<bool>], &[Value]),
        x: Value,
    ) {
        // A sign more or less is no matter.
        let x = match watched.nodes[x.index()] {
            Node::Apply(Op::Neg, [negated, ..]) => negated,
            _ => x,
        };
        let moved = place[x.index()];
        if signs[x.index()] == Some(true) {
            self.lowest = Some(self.lowest.map_or(moved, |l| w.smaller(moved, l)));
            return;
        }
        let size = match signs[x.index()] {
            Some(_) => moved,
            None => w.apply(Op::Abs, &[moved]),
        };
        self.largest = Some(self.largest.map_or(size, |l| w.larger(l, size)));
    }

    /// A number that is negative where one of them is not as it has to be.
    fn spare(self, w: &mut Writer) -> Option<Value> {
        let limit = w.constant(MEAN_EXP_NEAR);
        let below = self.largest.map(|x| w.apply(Op::Sub, &[limit, x]));
        let above = self.lowest.map(|x| w.apply(Op::Add, &[limit, x]));
        let limit = w.constant(BERNOULLI_NEAR);
        let far = self.least.map(|x| w.apply(Op::Sub, &[x, limit]));
        let all = [below, above, far].into_iter().flatten();
        all.reduce(|a, b| w.smaller(b, a))
    }
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
    fn gate<T: Lane>(n_features: usize) -> (Watch, Program) {
        let watch = Watch::in_rows((STEP, T::of(0.02).f64()), ACTIVE, OUTPUTS, n_features);
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
            let (watch, watched) = gate::<T>(n_features);
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
        let (watch, watched) = gate::<f32>(1);
        for program in hopeful::<f32>(&watch, &watched) {
            let mut inputs = [0.02, 0.0, 1.0, 6.0, -1.0];
            assert_eq!(by_the_bodies(&program, &inputs)[OUTPUTS], 0.0);
            inputs[ACTIVE] = 1.0;
            assert!(by_the_bodies(&program, &inputs)[OUTPUTS] > 0.0);
        }
    }
}
