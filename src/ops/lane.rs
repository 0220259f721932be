//! The number types that ops compute with, and their elementary functions.
//!
//! Every method is branch-free where the hot path needs it, so that a loop over a slice vectorises. Nothing here depends
//! on vector width: the same input gives the same bits on every machine with IEEE arithmetic.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number type: what an op's body computes with.
pub trait Lane:
    Copy
    + Send
    + Sync
    + PartialOrd
    + Default
    + std::fmt::Debug
    + bytemuck::Pod
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// Name of the precision as studies and files spell it: `f32` or `f64`.
    const PRECISION: &'static str;
    /// The nearest value to `x`.
    fn of(x: f64) -> Self;
    /// The value as a double.
    fn f64(self) -> f64;
    /// `self * b + c`, rounded once.
    fn fma(self, b: Self, c: Self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Square root; NaN below zero.
    fn sqrt(self) -> Self;
    /// Rounds towards minus infinity.
    fn floor(self) -> Self;
    /// Rounds towards plus infinity.
    fn ceil(self) -> Self;
    /// Exponential, within 1 ulp; infinite above the range, 0 below it.
    fn exp(self) -> Self;
    /// Natural logarithm, within 2 ulp; minus infinity at 0, NaN below.
    fn ln(self) -> Self;
    /// Power with a real exponent; NaN for a negative base unless the exponent is a whole number.
    fn pow(self, exponent: Self) -> Self;
    /// A function of a double applied to the value and rounded: for functions too rare to have a fast form.
    fn via_f64(self, f: fn(f64) -> f64) -> Self;
    /// `yes` where `condition`, else `no`: a data choice, not a jump.
    fn choose(condition: bool, yes: Self, no: Self) -> Self;
    /// Whether the value is neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Whether the value is NaN.
    fn is_nan(self) -> bool;
}

macro_rules! shared_lane_methods {
    ($t:ty) => {
        #[inline(always)]
        fn of(x: f64) -> Self {
            x as $t
        }
        #[inline(always)]
        fn f64(self) -> f64 {
            f64::from(self)
        }
        #[inline(always)]
        fn fma(self, b: Self, c: Self) -> Self {
            self.mul_add(b, c)
        }
        #[inline(always)]
        fn abs(self) -> Self {
            <$t>::abs(self)
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            <$t>::sqrt(self)
        }
        #[inline(always)]
        fn floor(self) -> Self {
            <$t>::floor(self)
        }
        #[inline(always)]
        fn ceil(self) -> Self {
            <$t>::ceil(self)
        }
        #[inline(always)]
        fn pow(self, exponent: Self) -> Self {
            f64::powf(f64::from(self), f64::from(exponent)) as $t
        }
        #[inline(always)]
        fn via_f64(self, f: fn(f64) -> f64) -> Self {
            f(f64::from(self)) as $t
        }
        #[inline(always)]
        fn choose(condition: bool, yes: Self, no: Self) -> Self {
            if condition { yes } else { no }
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            <$t>::is_finite(self)
        }
        #[inline(always)]
        fn is_nan(self) -> bool {
            <$t>::is_nan(self)
        }
    };
}

/// `c[0] + x (c[1] + x (c[2] + …))` by fused multiply-adds.
#[inline(always)]
pub(super) fn horner<L: Lane, const N: usize>(x: L, coefficients: [f64; N]) -> L {
    let mut sum = L::of(coefficients[N - 1]);
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = sum.fma(x, L::of(coefficients[i]));
    }
    sum
}

impl Lane for f64 {
    const PRECISION: &'static str = "f64";
    shared_lane_methods!(f64);

    /// Cody and Waite's reduction to |r| <= ln(2)/2, then the Taylor series to r^13 (truncation 4e-18).
    #[inline(always)]
    fn exp(self) -> Self {
        // 1.5 * 2^52: adding it leaves the nearest whole number in the low bits, without a conversion instruction.
        const ROUND: f64 = 6_755_399_441_055_744.0;
        const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
        const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
        let x = if self > 709.9 { 709.9 } else { self };
        let x = if x < -746.0 { -746.0 } else { x };
        let shifted = x.mul_add(std::f64::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = n.mul_add(-LN2_HIGH, x);
        let r = n.mul_add(-LN2_LOW, r);
        let p = horner(
            r,
            [
                1.0,
                1.0,
                1.0 / 2.0,
                1.0 / 6.0,
                1.0 / 24.0,
                1.0 / 120.0,
                1.0 / 720.0,
                1.0 / 5_040.0,
                1.0 / 40_320.0,
                1.0 / 362_880.0,
                1.0 / 3_628_800.0,
                1.0 / 39_916_800.0,
                1.0 / 479_001_600.0,
                1.0 / 6_227_020_800.0,
            ],
        );
        // Scaling in two halves reaches denormals and infinity without a branch.
        let k = (shifted.to_bits() as u32) as i32;
        let half = k >> 1;
        let two_to = |e: i32| f64::from_bits(((1023 + e) as i64 as u64) << 52);
        p * two_to(half) * two_to(k - half)
    }

    /// Mantissa in [sqrt(1/2), sqrt(2)), then the series of 2 atanh(s) in s = (m-1)/(m+1), |s| <= 0.172.
    #[inline(always)]
    fn ln(self) -> Self {
        const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
        const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
        let tiny = self < f64::MIN_POSITIVE;
        let x = if tiny {
            self * 18_014_398_509_481_984.0
        } else {
            self
        };
        let bits = x.to_bits();
        // Offset so that mantissas from sqrt(1/2) up share an exponent.
        let shifted = bits.wrapping_sub(0x3fe6_a09e_0000_0000) as i64 >> 52;
        let m = f64::from_bits(bits.wrapping_sub((shifted as u64) << 52));
        let e = (shifted as i32) as f64 - if tiny { 54.0 } else { 0.0 };
        let f = m - 1.0;
        let s = f / (m + 1.0);
        let z = s * s;
        let tail = horner(
            z,
            [
                2.0 / 3.0,
                2.0 / 5.0,
                2.0 / 7.0,
                2.0 / 9.0,
                2.0 / 11.0,
                2.0 / 13.0,
                2.0 / 15.0,
                2.0 / 17.0,
                2.0 / 19.0,
                2.0 / 21.0,
                2.0 / 23.0,
            ],
        ) * z;
        // ln m = f - s (f - tail): f is exact, the rest is small.
        let ln_m = f - s * (f - tail);
        let result = e.mul_add(LN2_HIGH, e.mul_add(LN2_LOW, ln_m));
        let result = if self == f64::INFINITY { self } else { result };
        let result = if self == 0.0 {
            f64::NEG_INFINITY
        } else {
            result
        };
        if self >= 0.0 { result } else { f64::NAN }
    }
}

impl Lane for f32 {
    const PRECISION: &'static str = "f32";
    shared_lane_methods!(f32);

    /// As for `f64`, with the series to r^7 (truncation 5e-9).
    #[inline(always)]
    fn exp(self) -> Self {
        // 1.5 * 2^23.
        const ROUND: f32 = 12_582_912.0;
        const LN2_HIGH: f32 = 0.693_145_75;
        const LN2_LOW: f32 = 1.428_606_8e-6;
        let x = if self > 89.0 { 89.0 } else { self };
        let x = if x < -104.0 { -104.0 } else { x };
        let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = n.mul_add(-LN2_HIGH, x);
        let r = n.mul_add(-LN2_LOW, r);
        let p = horner(
            r,
            [
                1.0,
                1.0,
                1.0 / 2.0,
                1.0 / 6.0,
                1.0 / 24.0,
                1.0 / 120.0,
                1.0 / 720.0,
                1.0 / 5_040.0,
            ],
        );
        let k = (shifted.to_bits() as i32) - (ROUND.to_bits() as i32);
        let half = k >> 1;
        let two_to = |e: i32| f32::from_bits(((127 + e) as u32) << 23);
        p * two_to(half) * two_to(k - half)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        const LN2_HIGH: f32 = 0.693_145_75;
        const LN2_LOW: f32 = 1.428_606_8e-6;
        let tiny = self < f32::MIN_POSITIVE;
        let x = if tiny { self * 33_554_432.0 } else { self };
        let bits = x.to_bits();
        let shifted = bits.wrapping_sub(0x3f35_04f3) as i32 >> 23;
        let m = f32::from_bits(bits.wrapping_sub((shifted as u32) << 23));
        let e = shifted as f32 - if tiny { 25.0 } else { 0.0 };
        let f = m - 1.0;
        let s = f / (m + 1.0);
        let z = s * s;
        let tail = horner(z, [2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0, 2.0 / 11.0]) * z;
        let ln_m = f - s * (f - tail);
        let result = e.mul_add(LN2_HIGH, e.mul_add(LN2_LOW, ln_m));
        let result = if self == f32::INFINITY { self } else { result };
        let result = if self == 0.0 {
            f32::NEG_INFINITY
        } else {
            result
        };
        if self >= 0.0 { result } else { f32::NAN }
    }
}
