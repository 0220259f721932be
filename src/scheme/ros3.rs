//! ROS3: a Rosenbrock method of order 3 with three stages, two evaluations of the right-hand side, one exact Jacobian and
//! one factorisation a step; L-stable, with an embedded solution of order 2 for the error.
//! (Sandu, Verwer, Blom, Spee, Carmichael & Potra 1997, Atmos Environ 31:3459.)
#![expect(
    clippy::excessive_precision,
    reason = "the coefficients as published, to all their digits"
)]

use super::rosenbrock::Table;

pub(super) const TABLE: Table = Table {
    gamma: 0.435_866_521_508_458_999_42,
    a: &[&[], &[1.0], &[1.0]],
    c: &[
        &[],
        &[-1.015_617_108_387_770_209_197_560_011_554_5],
        &[
            4.075_995_645_253_769_982_480_583_538_067,
            9.207_679_429_833_079_124_215_681_847_4,
        ],
    ],
    m: &[
        1.0,
        6.169_794_704_382_824_559_255_361_568_973,
        -0.427_722_565_432_185_733_262_383_738_065_14,
    ],
    e: &[
        0.5,
        -2.907_955_871_680_546_982_171_823_620_801_7,
        0.223_540_698_978_115_696_273_609_092_761_99,
    ],
    error_order: 3.0,
    first_step_ms: 0.02,
};
