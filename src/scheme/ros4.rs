//! ROS4: a Rosenbrock method of order 4 with four stages but two evaluations of the right-hand side, one exact Jacobian and one
//! factorisation a step; L-stable, with an embedded solution for the error whose order is 2.
//!
//! Derived for this program, since for models of excitable cells an evaluation costs more than a solve. With `W = (1 - h γ J)^-1`,
//! `F = h f(y)` and `G = h f(y + A(W) F)`, a step of stages that share these two is `y1 = y + P(W) F + Q(W) G` with polynomials
//! `A = a1 W + a2 W²`, `Q = q1 W + q2 W²`, `P = p1 W + … + p4 W⁴`. The eight conditions of order 4 are then
//! - `α = a1 + a2 = 3/4` and `q1 + q2 = 16/27` (from `f''(f,f)`, `f'''(f,f,f)`);
//! - `a1 + 2 a2 = 9/(32 γ)` (`f''(f, f'f)`) and `q1 + 2 q2 = 4/(27 γ)` (`f' f''(f,f)`);
//! - four linear ones, by which `P` follows from the rest: `P + Q (1 + h J A)` agrees with `1 + z/2 + z²/6 + z³/24`.
//!
//! `γ` alone is free, and makes the method L-stable as the root 0.5728 of `24 γ⁴ - 96 γ³ + 72 γ² - 16 γ + 1`. Every stage behind
//! the first is written as a difference, `O(h²)`, which keeps all numbers near one and suits single precision.
//!
//! Weights of the error: the first is 0 and one condition (order 2) binds the others, so that a ratio and a size are free. The
//! ratio 1/4 of the third to the fourth was the cheapest in V, calcium, force and spike time of the shipped models
//! (`benches/README.md`); the size makes a tolerance mean about what it means for ROS3.
#![expect(
    clippy::excessive_precision,
    reason = "the coefficients as computed, to 30 digits"
)]

use super::rosenbrock::Table;

const GAMMA: f64 = 0.572_816_062_482_134_855_408_001_384_976;
const OVER_GAMMA: f64 = 1.745_761_101_158_346_575_686_816_712_517;
/// Of the third and the fourth stage alike, which share their evaluation.
const A3: &[f64] = &[
    1.309_320_825_868_759_931_765_112_534_388,
    0.452_160_313_341_934_148_302_099_775_124,
];

pub(super) const TABLE: Table = Table {
    gamma: GAMMA,
    a: &[&[], &[], A3, A3],
    c: &[
        &[],
        &[-OVER_GAMMA],
        &[-OVER_GAMMA, 0.865_063_144_386_312_163_387_044_488_531],
        &[
            -OVER_GAMMA,
            -0.502_388_988_695_987_325_965_856_614_23,
            -OVER_GAMMA,
        ],
    ],
    m: &[
        OVER_GAMMA,
        0.485_966_453_032_476_488_822_392_350_834,
        1.034_525_096_982_723_896_703_298_792_603,
        0.583_016_678_861_597_558_089_036_927_641,
    ],
    e: &[
        0.0,
        -0.257_861_882_925_760_251_689_294_499_59,
        -0.087_5,
        -0.35,
    ],
    error_order: 3.0,
    first_step_ms: 0.05,
};
