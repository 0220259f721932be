//! The axons with what their gates need computed from the potential: nine exponentials and six divisions a step, or five and seven, where rates share
//! theirs. Written once for all sets of vector instructions.

use std::arch::x86_64::*;

/// States of all fibres, in single precision: potential, m, h, n.
pub struct Axons(pub [Vec<f32>; 4]);

impl Axons {
    pub fn new(fibres: usize) -> Self {
        Axons([-75.0, 0.05, 0.6, 0.325].map(|x| vec![x; fibres]))
    }
}

/// An expression for each of the vectors that are computed side by side: two or four.
macro_rules! every {
    (2, $k:ident => $body:expr) => {
        [
            {
                const $k: usize = 0;
                $body
            },
            {
                const $k: usize = 1;
                $body
            },
        ]
    };
    (4, $k:ident => $body:expr) => {
        [
            {
                const $k: usize = 0;
                $body
            },
            {
                const $k: usize = 1;
                $body
            },
            {
                const $k: usize = 2;
                $body
            },
            {
                const $k: usize = 3;
                $body
            },
        ]
    };
}

/// The program for one set of instructions: the module, its vector of so many numbers, how many vectors are computed side by side, the
/// instructions by what they do, and the expressions for which the sets differ.
macro_rules! program {
    (
        $(#[$doc:meta])* $name:ident, $features:literal, $vector:ty, $lanes:literal, $side:tt,
        set $set:ident, load $load:ident, store $store:ident,
        add $add:ident, sub $sub:ident, mul $mul:ident, div $div:ident, fma $fma:ident, fnma $fnma:ident, min $min:ident, max $max:ident,
        power_of_2 |$p:ident| $power_of_2:expr,
        if_small |$u:ident, $near:ident, $far:ident| $if_small:expr
    ) => {
        $(#[$doc])*
        pub mod $name {
            use super::*;

            type Side = [$vector; $side];

            #[inline]
            #[target_feature(enable = $features)]
            fn c(x: f32) -> $vector {
                $set(x)
            }

            /// Within the range of arguments that occurs; relative error 3e-9 and rounding.
            #[inline]
            #[target_feature(enable = $features)]
            fn exp(x: Side) -> Side {
                let round = c(12_582_912.0 + 127.0);
                let x = every!($side, K => $max($min(x[K], c(80.0)), c(-80.0)));
                let t = every!($side, K => $fma(x[K], c(std::f32::consts::LOG2_E), round));
                let n = every!($side, K => $sub(t[K], round));
                let r = every!($side, K => $fnma(n[K], c(0.693_145_75), x[K]));
                let r = every!($side, K => $fnma(n[K], c(1.428_606_8e-6), r[K]));
                let mut p = every!($side, K => $fma(r[K], c(0.001_383_881_2), c(0.008_369_192_5)));
                for a in [0.041_668_102, 0.166_665_17, 0.499_999_94, 1.0, 1.0] {
                    p = every!($side, K => $fma(p[K], r[K], c(a)));
                }
                every!($side, K => {
                    let $p = t[K];
                    $mul(p[K], $power_of_2)
                })
            }

            /// `u/(1 - e)` for `e = exp(-u)`.
            #[inline]
            #[target_feature(enable = $features)]
            fn opening(u: Side, e: Side) -> Side {
                every!($side, K => {
                    let $u = u[K];
                    let $far = $div(u[K], $sub(c(1.0), e[K]));
                    let $near = $fma(u[K], c(0.5), c(1.0));
                    $if_small
                })
            }

            /// A gate after a step.
            #[inline]
            #[target_feature(enable = $features)]
            fn gate(x: Side, opening: Side, closing: Side, step: f32) -> Side {
                let sum = every!($side, K => $add(opening[K], closing[K]));
                let end = every!($side, K => $div(opening[K], sum[K]));
                let e = exp(every!($side, K => $mul(sum[K], c(-step))));
                every!($side, K => $fma($sub(x[K], end[K]), e[K], end[K]))
            }

            /// What the gates need of the potential by six exponentials, one for each: opening and closing of m, h and n.
            #[inline]
            #[target_feature(enable = $features)]
            fn rates(v: Side) -> [Side; 6] {
                let linear = |slope: f32, offset: f32| every!($side, K => $fma(v[K], c(slope), c(offset)));
                let times = |x: Side, by: f32| every!($side, K => $mul(x[K], c(by)));
                let am = opening(linear(0.1, 5.0), exp(linear(-0.1, -5.0)));
                let bm = times(exp(linear(-1.0 / 18.0, -75.0 / 18.0)), 4.0);
                let ah = times(exp(linear(-0.05, -3.75)), 0.07);
                let bh = exp(linear(-0.1, -4.5));
                let bh = every!($side, K => $div(c(1.0), $add(bh[K], c(1.0))));
                let an = times(opening(linear(0.1, 6.5), exp(linear(-0.1, -6.5))), 0.1);
                let bn = times(exp(linear(1.0 / 80.0, 75.0 / 80.0)), 0.125);
                [am, bm, ah, bh, an, bn]
            }

            /// The same by two: the slopes of five rates are powers of one.
            #[inline]
            #[target_feature(enable = $features)]
            fn rates_that_share(v: Side) -> [Side; 6] {
                let linear = |slope: f32, offset: f32| every!($side, K => $fma(v[K], c(slope), c(offset)));
                let times = |x: Side, by: f32| every!($side, K => $mul(x[K], c(by)));
                let squared = |x: Side| every!($side, K => $mul(x[K], x[K]));
                let root = exp(linear(-1.0 / 80.0, -75.0 / 80.0));
                let fourth = squared(squared(root));
                let eighth = squared(fourth);
                let am = opening(linear(0.1, 5.0), times(eighth, 12.182_494));
                let bm = times(exp(linear(-1.0 / 18.0, -75.0 / 18.0)), 4.0);
                let ah = times(fourth, 0.07);
                let bh = every!($side, K => $div(c(1.0), $fma(eighth[K], c(20.085_537), c(1.0))));
                let an = times(opening(linear(0.1, 6.5), times(eighth, std::f32::consts::E)), 0.1);
                let bn = every!($side, K => $div(c(0.125), root[K]));
                [am, bm, ah, bh, an, bn]
            }

            /// Takes `n` steps of all axons under a current; with rates that share their exponentials or each with its own.
            #[target_feature(enable = $features)]
            pub fn run<const SHARING: bool>(axons: &mut Axons, n: usize, step: f32, current: f32) {
                let [v, m, h, n_gate] = &mut axons.0;
                let width = $lanes * $side;
                let all = v
                    .chunks_exact_mut(width)
                    .zip(m.chunks_exact_mut(width))
                    .zip(h.chunks_exact_mut(width))
                    .zip(n_gate.chunks_exact_mut(width));
                for (((v_, m_), h_), n_) in all {
                    // SAFETY: each chunk holds `width` numbers.
                    let load = |from: &[f32]| every!($side, K => unsafe { $load(from.as_ptr().add(K * $lanes)) });
                    let (mut v, mut m, mut h, mut n4) = (load(v_), load(m_), load(h_), load(n_));
                    for _ in 0..n {
                        let [am, bm, ah, bh, an, bn] = if SHARING { rates_that_share(v) } else { rates(v) };
                        let dv = every!($side, K => {
                            let m3h = $mul($mul(m[K], m[K]), $mul(m[K], h[K]));
                            let n2 = $mul(n4[K], n4[K]);
                            let sodium = $mul($mul(m3h, c(120.0)), $sub(v[K], c(40.0)));
                            let potassium = $mul($mul(n2, n2), $mul(c(36.0), $add(v[K], c(87.0))));
                            let leak = $mul(c(0.3), $add(v[K], c(64.387)));
                            $sub(c(current), $add($add(sodium, potassium), leak))
                        });
                        m = gate(m, am, bm, step);
                        h = gate(h, ah, bh, step);
                        n4 = gate(n4, an, bn, step);
                        v = every!($side, K => $fma(dv[K], c(step), v[K]));
                    }
                    for (to, x) in [(v_, v), (m_, m), (h_, h), (n_, n4)] {
                        for (k, x) in x.into_iter().enumerate() {
                            // SAFETY: each chunk holds `width` numbers.
                            unsafe { $store(to.as_mut_ptr().add(k * $lanes), x) };
                        }
                    }
                }
            }
        }
    };
}

program!(
    /// Eight numbers a vector.
    avx2, "avx2,fma", __m256, 8, 2,
    set _mm256_set1_ps, load _mm256_loadu_ps, store _mm256_storeu_ps,
    add _mm256_add_ps, sub _mm256_sub_ps, mul _mm256_mul_ps, div _mm256_div_ps,
    fma _mm256_fmadd_ps, fnma _mm256_fnmadd_ps, min _mm256_min_ps, max _mm256_max_ps,
    power_of_2 |t| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(t))),
    if_small |u, near, far| {
        let size = _mm256_andnot_ps(c(-0.0), u);
        _mm256_blendv_ps(far, near, _mm256_cmp_ps::<_CMP_LT_OQ>(size, c(1e-3)))
    }
);

program!(
    /// Sixteen numbers a vector.
    avx512, "avx512f", __m512, 16, 4,
    set _mm512_set1_ps, load _mm512_loadu_ps, store _mm512_storeu_ps,
    add _mm512_add_ps, sub _mm512_sub_ps, mul _mm512_mul_ps, div _mm512_div_ps,
    fma _mm512_fmadd_ps, fnma _mm512_fnmadd_ps, min _mm512_min_ps, max _mm512_max_ps,
    power_of_2 |t| _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(t))),
    if_small |u, near, far| {
        _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(_mm512_abs_ps(u), c(1e-3)), far, near)
    }
);
