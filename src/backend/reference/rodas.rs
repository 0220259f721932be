//! One step of Rodas5P (Steinebach 2023, BIT Numerical Mathematics 63:27): a linearly implicit method of order 5 with an
//! embedded one of order 4, both stable at infinite stiffness, and an interpolant of order 4.
//!
//! It makes the first step after an edge, of which a protocol may have 100 in a second: its interpolant is the past that
//! the multistep method needs to begin at order 4 instead of 1. For all steps it would cost several times as much: eight
//! evaluations a step against less than two.
//!
//! In the transformed variables of Hairer and Wanner (Solving Ordinary Differential Equations II, section IV.7) a step is
//!
//! `(I/(γh) - J) u_i = f(t + c_i h, y + Σ a_ij u_j) + Σ (C_ij/h) u_j + h d_i f_t`, `i = 1 … 8`;
//! the result is `y + Σ a_8j u_j + u_8` and the error estimate `u_8` alone.

use super::linear::{Elimination, Factors, Pattern, backward_error};

/// A system of ordinary differential equations with its exact derivatives, on a stretch of time without an edge.
pub(super) trait System {
    /// Derivatives (per ms) at `at_ms`, counted from the start of the stretch.
    fn rates(&mut self, at_ms: f64, state: &[f64], rates: &mut [f64]);
    /// Derivatives of the rates by the states, in the order of the pattern, and by time.
    fn jacobian(&mut self, at_ms: f64, state: &[f64], jacobian: &mut [f64], by_time: &mut [f64]);
}

/// Order of the embedded method plus one: the error of a step falls with this power of its size.
pub(super) const ERROR_POWER: f64 = 5.0;

const STAGES: usize = 8;
const GAMMA: f64 = 0.211_937_563_194_290_14;

/// Rows 7 and 8 are the sixth with one stage more each, so that `u_6`, `u_7` and `u_8` are added as they come.
const A: [[f64; 5]; 6] = [
    [0.0; 5],
    [3.0, 0.0, 0.0, 0.0, 0.0],
    [
        2.849_394_379_747_939,
        0.458_422_422_044_639_23,
        0.0,
        0.0,
        0.0,
    ],
    [
        -6.954_028_509_809_101,
        2.489_845_061_869_568,
        -10.358_996_098_473_584,
        0.0,
        0.0,
    ],
    [
        2.802_998_627_562_896_4,
        0.507_246_473_622_820_6,
        -0.398_831_254_177_052_4,
        -0.047_211_872_304_046_41,
        0.0,
    ],
    [
        -7.502_846_399_306_121,
        2.561_846_144_803_919,
        -11.627_539_656_261_098,
        -0.182_687_676_599_422_56,
        0.030_198_172_008_377_946,
    ],
];

const C: [[f64; 7]; STAGES] = [
    [0.0; 7],
    [-14.155_112_264_123_755, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [
        -17.972_960_358_859_52,
        -2.859_693_295_451_294,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
    ],
    [
        147.121_502_757_117_16,
        -1.412_214_027_182_13,
        71.689_402_513_023_58,
        0.0,
        0.0,
        0.0,
        0.0,
    ],
    [
        165.435_170_248_716_76,
        -0.459_282_345_649_112_6,
        42.909_383_369_586_03,
        -5.961_986_721_573_306,
        0.0,
        0.0,
        0.0,
    ],
    [
        24.854_864_614_690_072,
        -3.000_922_700_283_218_6,
        47.493_111_002_076_8,
        5.581_419_782_155_812_5,
        -0.661_069_182_524_947_1,
        0.0,
        0.0,
    ],
    [
        30.912_732_140_285_99,
        -3.120_824_334_993_797_4,
        77.799_546_460_708_92,
        34.286_460_282_947_83,
        -19.097_331_116_725_623,
        -28.087_943_162_872_662,
        0.0,
    ],
    [
        37.802_771_233_905_63,
        -3.257_196_902_907_227_6,
        112.269_188_494_963_27,
        66.934_723_124_404_7,
        -40.066_189_370_910_02,
        -54.667_802_628_779_68,
        -9.488_616_523_096_27,
    ],
];

const TIMES: [f64; STAGES] = [
    0.0,
    0.635_812_689_582_870_4,
    0.409_579_839_339_753_5,
    0.976_930_672_506_071_6,
    0.428_840_360_955_866_4,
    1.0,
    1.0,
    1.0,
];

const BY_TIME: [f64; STAGES] = [
    0.211_937_563_194_290_14,
    -0.423_875_126_388_580_27,
    -0.338_462_712_623_592_4,
    1.804_645_287_288_273_4,
    2.325_825_639_765_069,
    0.0,
    0.0,
    0.0,
];

/// The interpolant: `(1-x) y0 + x (y1 + (1-x) (k_0 + x (k_1 + x k_2)))` with `k_m = Σ INTERPOLANT[m][i] u_i`.
const INTERPOLANT: [[f64; STAGES]; 3] = [
    [
        25.948_786_856_663_858,
        -2.557_972_484_584_623_5,
        10.433_815_404_888_879,
        -2.367_925_102_268_520_4,
        0.524_948_541_321_073,
        1.124_108_831_045_040_4,
        0.427_287_619_443_187_4,
        -0.172_022_210_701_554_93,
    ],
    [
        -9.915_688_506_951_71,
        -0.968_994_459_411_515_4,
        3.043_803_724_297_845_3,
        -24.495_224_566_215_796,
        20.176_138_334_709_044,
        15.980_663_614_246_51,
        -6.789_040_303_419_874,
        -6.710_236_069_923_372,
    ],
    [
        11.419_903_575_922_262,
        2.887_964_514_613_699_4,
        72.921_379_959_960_29,
        80.125_118_346_226_43,
        -52.072_871_366_152_654,
        -59.789_936_252_667_29,
        -0.155_826_842_827_519_13,
        4.883_087_185_713_722,
    ],
];

/// Backward error of a linear solution beyond which the pivots from the diagonal are not trusted. Elimination of 60 rows
/// without growth stays below 1e-14; the result is to be good to 1e-8 and better.
const BACKWARD_ERROR: f64 = 1e-11;

/// The method's memory for one fibre: the linearisation at the start of the step, the stages and the result.
pub(super) struct Rodas {
    pattern: Pattern,
    elimination: Elimination,
    factors: Factors,
    /// Derivatives at the start of the step.
    pub(super) rates: Vec<f64>,
    /// Their derivatives by the states, in the pattern's order.
    pub(super) jacobian: Vec<f64>,
    /// Their derivatives by time.
    pub(super) by_time: Vec<f64>,
    u: [Vec<f64>; STAGES],
    at: Vec<f64>,
    right: Vec<f64>,
    /// The state at the end of the step.
    pub(super) end: Vec<f64>,
    k: [Vec<f64>; 3],
    /// Factorisations so far that needed pivoting.
    pub(super) dense_factorisations: u64,
}

impl Rodas {
    /// Memory for systems of one pattern.
    pub(super) fn new(pattern: Pattern, elimination: Elimination) -> Self {
        let n = pattern.n();
        let zeros = || vec![0.0; n];
        Rodas {
            factors: Factors::new(&elimination),
            rates: zeros(),
            jacobian: vec![0.0; pattern.len()],
            by_time: zeros(),
            u: std::array::from_fn(|_| zeros()),
            at: zeros(),
            right: zeros(),
            end: zeros(),
            k: std::array::from_fn(|_| zeros()),
            dense_factorisations: 0,
            pattern,
            elimination,
        }
    }

    /// Evaluates what all steps from this state have in common.
    pub(super) fn linearise(&mut self, system: &mut impl System, at_ms: f64, state: &[f64]) {
        system.rates(at_ms, state, &mut self.rates);
        system.jacobian(at_ms, state, &mut self.jacobian, &mut self.by_time);
        // A power or a root at 0 may have an infinite derivative. Without that entry the method has a lower order, which
        // the error estimate sees; with it there is no step at all.
        for x in self.jacobian.iter_mut().chain(&mut self.by_time) {
            if !x.is_finite() {
                *x = 0.0;
            }
        }
    }

    /// The second derivative of the solution at the start of the step, per ms².
    pub(super) fn second_derivative(&self) -> Vec<f64> {
        let mut second = vec![0.0; self.rates.len()];
        self.pattern
            .multiply(&self.jacobian, &self.rates, &mut second);
        for (s, t) in second.iter_mut().zip(&self.by_time) {
            *s += t;
        }
        second
    }

    /// Tries a step of `h` ms from the linearised state into [`Rodas::end`]. The error is [`Rodas::error`].
    pub(super) fn step(&mut self, system: &mut impl System, at_ms: f64, state: &[f64], h: f64) {
        let shift = 1.0 / (GAMMA * h);
        let mut dense =
            !self
                .factors
                .factor(&self.elimination, &self.pattern, &self.jacobian, shift);
        if dense {
            self.factor_dense(shift);
        }
        for i in 0..STAGES {
            match i {
                0 => self.right.copy_from_slice(&self.rates),
                1..=5 => {
                    self.at.copy_from_slice(state);
                    for (u, a) in self.u[..i].iter().zip(A[i]) {
                        add(&mut self.at, a, u);
                    }
                }
                _ => add(&mut self.at, 1.0, &self.u[i - 1]),
            }
            if i > 0 {
                system.rates(at_ms + TIMES[i] * h, &self.at, &mut self.right);
            }
            for (u, c) in self.u[..i].iter().zip(C[i]) {
                add(&mut self.right, c / h, u);
            }
            if BY_TIME[i] != 0.0 {
                add(&mut self.right, h * BY_TIME[i], &self.by_time);
            }
            self.u[i].copy_from_slice(&self.right);
            self.factors.solve(&self.elimination, &mut self.u[i]);
            if i == 0 && !dense {
                let error = backward_error(
                    &self.pattern,
                    &self.jacobian,
                    shift,
                    &self.u[0],
                    &self.right,
                );
                let trusted = error < BACKWARD_ERROR || self.right.iter().any(|x| !x.is_finite());
                if !trusted {
                    dense = true;
                    self.factor_dense(shift);
                    self.u[0].copy_from_slice(&self.right);
                    self.factors.solve(&self.elimination, &mut self.u[0]);
                }
            }
        }
        self.end.copy_from_slice(&self.at);
        add(&mut self.end, 1.0, &self.u[STAGES - 1]);
    }

    fn factor_dense(&mut self, shift: f64) {
        self.dense_factorisations += 1;
        // If it is singular too, the solution is NaN, and the step is rejected.
        self.factors
            .factor_dense(&self.pattern, &self.jacobian, shift);
    }

    /// Estimated error of each state at the end of the step.
    pub(super) fn error(&self) -> &[f64] {
        &self.u[STAGES - 1]
    }

    /// Gets ready to interpolate in the step just made.
    pub(super) fn prepare_interpolant(&mut self) {
        for (k, weights) in self.k.iter_mut().zip(&INTERPOLANT) {
            k.fill(0.0);
            for (u, &weight) in self.u.iter().zip(weights) {
                add(k, weight, u);
            }
        }
    }

    /// The state at the fraction `x` of the step from `start` to `end`.
    pub(super) fn interpolate(&self, x: f64, start: &[f64], end: &[f64], state: &mut [f64]) {
        let y = 1.0 - x;
        for (i, s) in state.iter_mut().enumerate() {
            let bend = self.k[0][i] + x * (self.k[1][i] + x * self.k[2][i]);
            *s = y * start[i] + x * (end[i] + y * bend);
        }
    }
}

/// `sum += factor * x`
fn add(sum: &mut [f64], factor: f64, x: &[f64]) {
    for (s, x) in sum.iter_mut().zip(x) {
        *s += factor * x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `y' = cos t + y z - z²`, `z' = sin(t) y - z`: not linear, and with time in it.
    struct Forced;

    impl System for Forced {
        fn rates(&mut self, t: f64, y: &[f64], rates: &mut [f64]) {
            rates[0] = t.cos() + y[0] * y[1] - y[1] * y[1];
            rates[1] = t.sin() * y[0] - y[1];
        }
        fn jacobian(&mut self, t: f64, y: &[f64], jacobian: &mut [f64], by_time: &mut [f64]) {
            jacobian.copy_from_slice(&[y[1], y[0] - 2.0 * y[1], t.sin(), -1.0]);
            by_time.copy_from_slice(&[-t.sin(), t.cos() * y[0]]);
        }
    }

    /// Result at t = 1 with `steps` equal steps; the state at 0.99, interpolated in the last step; its error estimate.
    fn run(steps: u32) -> ([f64; 2], [f64; 2], f64) {
        let pattern = Pattern::new(2, [(0, 1), (1, 0)]);
        let elimination = Elimination::new(&pattern);
        let mut method = Rodas::new(pattern, elimination);
        let h = 1.0 / f64::from(steps);
        let mut y = vec![0.5, 0.25];
        let mut between = [0.0; 2];
        for step in 0..steps {
            let t = f64::from(step) * h;
            method.linearise(&mut Forced, t, &y);
            method.step(&mut Forced, t, &y, h);
            method.prepare_interpolant();
            let end = method.end.clone();
            if (t..t + h).contains(&0.99) {
                method.interpolate((0.99 - t) / h, &y, &end, &mut between);
            }
            y = end;
        }
        ([y[0], y[1]], between, method.error()[0].abs())
    }

    fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
        (a[0] - b[0]).abs().max((a[1] - b[1]).abs())
    }

    #[test]
    fn the_result_is_of_order_five_and_the_embedded_one_of_order_four() {
        let (exact, _, _) = run(1280);
        let errors: Vec<(f64, f64)> = [10, 20, 40]
            .map(|n| (distance(run(n).0, exact), run(n).2))
            .to_vec();
        for pair in errors.windows(2) {
            let order = (pair[0].0 / pair[1].0).log2();
            // Order 5 is a factor of 32; 0.4 is the distance from the limit at these steps.
            assert!(
                (order - 5.0).abs() < 0.4,
                "order {order}, errors {errors:?}"
            );
            let power = (pair[0].1 / pair[1].1).log2();
            assert!(
                (power - ERROR_POWER).abs() < 0.4,
                "estimate falls with power {power}, {errors:?}"
            );
        }
    }

    #[test]
    fn the_interpolant_is_of_order_four() {
        // The same fraction (0.9) of the last step each time, so that only the step differs.
        let at = |steps: u32| {
            let pattern = Pattern::new(2, [(0, 1), (1, 0)]);
            let elimination = Elimination::new(&pattern);
            let mut method = Rodas::new(pattern, elimination);
            let h = 1.0 / f64::from(steps);
            let start = [0.5, 0.25];
            method.linearise(&mut Forced, 0.0, &start);
            method.step(&mut Forced, 0.0, &start, h);
            method.prepare_interpolant();
            let end = method.end.clone();
            let mut between = [0.0; 2];
            method.interpolate(0.4, &start, &end, &mut between);
            // The truth: the same time by a hundred small steps.
            let mut y = start.to_vec();
            let small = 0.4 * h / 100.0;
            for step in 0..100 {
                let t = f64::from(step) * small;
                method.linearise(&mut Forced, t, &y);
                method.step(&mut Forced, t, &y, small);
                y.copy_from_slice(&method.end);
            }
            distance(between, [y[0], y[1]])
        };
        let order = (at(4) / at(8)).log2();
        // A local error of order 5 belongs to an interpolant of order 4.
        assert!(order > 4.6, "{order}");
    }

    #[test]
    fn a_step_far_beyond_the_fastest_mode_damps_it() {
        struct Decay;
        impl System for Decay {
            fn rates(&mut self, _: f64, y: &[f64], rates: &mut [f64]) {
                rates[0] = -1e8 * y[0];
            }
            fn jacobian(&mut self, _: f64, _: &[f64], jacobian: &mut [f64], by_time: &mut [f64]) {
                jacobian[0] = -1e8;
                by_time[0] = 0.0;
            }
        }
        let pattern = Pattern::new(1, []);
        let elimination = Elimination::new(&pattern);
        let mut method = Rodas::new(pattern, elimination);
        method.linearise(&mut Decay, 0.0, &[1.0]);
        method.step(&mut Decay, 0.0, &[1.0], 1.0);
        // R(z) tends to 0 like 1/z, here 1e-8 times a constant near one.
        assert!(method.end[0].abs() < 1e-6, "{}", method.end[0]);
    }
}
