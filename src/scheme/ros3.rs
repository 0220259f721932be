//! ROS3: a Rosenbrock method of order 3 with three stages, two evaluations of the right-hand side, one exact Jacobian and
//! one factorisation a step; L-stable, with an embedded solution of order 2 for the error.
//! (Sandu, Verwer, Blom, Spee, Carmichael & Potra 1997, Atmos Environ 31:3459.)
//!
//! `(1/(h γ) I - J) U_i = f(y + Σ a_ij U_j) + Σ (c_ij/h) U_j`, `y1 = y + Σ m_i U_i`, error `Σ e_i U_i`. Stages 2 and 3 share
//! their argument, `y + U_1`. Inputs that move linearly in time are states with a constant derivative, whose `U` are
//! known in closed form; they enter the other rows through their column of the Jacobian.

#![expect(
    clippy::excessive_precision,
    reason = "the coefficients as published, to all their digits"
)]

use crate::ops::{Algebra, Op};
use crate::program::{Graph, Value};

use super::eliminate::factor;
use super::jacobian;
use super::step_program::{Advance, Parts, largest_so_far};

pub(super) const GAMMA: f64 = 0.435_866_521_508_458_999_42;
pub(super) const C21: f64 = -1.015_617_108_387_770_209_197_560_011_554_5;
pub(super) const C31: f64 = 4.075_995_645_253_769_982_480_583_538_067;
pub(super) const C32: f64 = 9.207_679_429_833_079_124_215_681_847_4;
pub(super) const M: [f64; 3] = [
    1.0,
    6.169_794_704_382_824_559_255_361_568_973,
    -0.427_722_565_432_185_733_262_383_738_065_14,
];
pub(super) const E: [f64; 3] = [
    0.5,
    -2.907_955_871_680_546_982_171_823_620_801_7,
    0.223_540_698_978_115_696_273_609_092_761_99,
];

pub(super) fn advance(parts: &mut Parts, scales: &[f64], tolerance: f64) -> Advance {
    let states = parts.states.clone();
    let moving = parts.moving.clone();
    let n = states.len();
    let matrix = jacobian(&mut parts.rhs, &states);
    let moving_columns = jacobian(
        &mut parts.rhs,
        &moving.iter().map(|m| m.0).collect::<Vec<_>>(),
    );

    let g = &mut parts.rhs.graph;
    let inverse_step = g.apply(Op::Recip, &[parts.step]);
    let over_gamma = g.constant(1.0 / GAMMA);
    let e = g.mul(inverse_step, over_gamma);
    let factors = factor(g, &matrix, e);

    // U_i of an input that moves at rate s: h γ s times a number.
    let growth = [
        1.0,
        1.0 + C21 * GAMMA,
        1.0 + C31 * GAMMA + C32 * GAMMA * (1.0 + C21 * GAMMA),
    ];
    let step = parts.step;
    let moved_by = |g: &mut Graph, rate: Value, factor: f64| {
        let c = g.constant(GAMMA * factor);
        let hc = g.mul(step, c);
        g.mul(hc, rate)
    };
    let drift = |g: &mut Graph, b: Value, i: usize, stage: usize| {
        moving_columns.rows[i].iter().fold(b, |b, &(j, entry)| {
            let u = moved_by(g, moving[j].1, growth[stage]);
            let product = g.mul(entry, u);
            g.add(b, product)
        })
    };

    let f1 = parts.rhs.derivatives.clone();
    let g = &mut parts.rhs.graph;
    let b1: Vec<Value> = (0..n).map(|i| drift(g, f1[i], i, 0)).collect();
    let u1 = factors.solve(g, &b1);

    let inner: Vec<Value> = (0..n).map(|i| g.add(states[i], u1[i])).collect();
    let moved: Vec<Value> = moving
        .iter()
        .map(|&(input, rate)| {
            let u = moved_by(g, rate, growth[0]);
            g.add(input, u)
        })
        .collect();
    let f2 = parts.derivatives_at(&inner, &moved);

    let g = &mut parts.rhs.graph;
    let c21 = g.constant(C21);
    let c21 = g.mul(inverse_step, c21);
    let b2: Vec<Value> = (0..n)
        .map(|i| {
            let t = g.mul(u1[i], c21);
            let b = g.add(f2[i], t);
            drift(g, b, i, 1)
        })
        .collect();
    let u2 = factors.solve(g, &b2);

    let (c31, c32) = (g.constant(C31), g.constant(C32));
    let (c31, c32) = (g.mul(inverse_step, c31), g.mul(inverse_step, c32));
    let b3: Vec<Value> = (0..n)
        .map(|i| {
            let t = g.mul(u1[i], c31);
            let b = g.add(f2[i], t);
            let t = g.mul(u2[i], c32);
            let b = g.add(b, t);
            drift(g, b, i, 2)
        })
        .collect();
    let u3 = factors.solve(g, &b3);

    let weighted = |g: &mut Graph, i: usize, w: [f64; 3]| {
        let (w1, w2, w3) = (g.constant(w[0]), g.constant(w[1]), g.constant(w[2]));
        let s = g.mul(u1[i], w1);
        let t = g.mul(u2[i], w2);
        let s = g.add(s, t);
        let t = g.mul(u3[i], w3);
        g.add(s, t)
    };
    let change = (0..n).map(|i| weighted(g, i, M)).collect();
    let order = factors.order();
    let errors: Vec<Value> = order
        .iter()
        .map(|&i| {
            let w = 1.0 / (tolerance * scales[i]);
            let error = weighted(g, i, E.map(|c| c * w));
            g.apply(Op::Abs, &[error])
        })
        .collect();
    let errors = largest_so_far(&mut parts.rhs, &errors);
    let zero = parts.rhs.graph.constant(0.0);
    Advance {
        change,
        error: Some(errors.last().copied().unwrap_or(zero)),
        order: order
            .into_iter()
            .zip(errors.into_iter().map(Some))
            .collect(),
    }
}
