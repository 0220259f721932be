//! The number types that ops compute with, and their elementary functions.
//!
//! Every method is branch-free where the hot path needs it, so that a loop over a slice vectorises. Nothing here depends
//! on vector width: the same input gives the same bits on every machine with IEEE arithmetic.
//!
//! [`Real`] is what the bodies are written over; `f32` and `f64` are real numbers, and so is anything that writes down what is done to
//! it (the CPU backend makes machine code of that). [`Lane`] is a real number that is there: it can be compared, stored and printed.

use std::num::Wrapping;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Shl, Shr, Sub};

/// What a body computes with.
pub trait Real:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// What a comparison gives.
    type Truth: Copy
        + BitAnd<Output = Self::Truth>
        + BitOr<Output = Self::Truth>
        + Not<Output = Self::Truth>;
    /// The bits as a whole number that wraps; shifts are logical.
    type Word: Copy
        + Add<Output = Self::Word>
        + Sub<Output = Self::Word>
        + Shl<usize, Output = Self::Word>
        + Shr<usize, Output = Self::Word>;

    /// Name of the precision as studies and files spell it: `f32` or `f64`.
    const PRECISION: &'static str;
    /// Bits of the fraction.
    const FRACTION_BITS: usize;
    /// What the exponent of 1 is stored as.
    const BIAS: u64;

    /// The nearest value to `x`.
    fn of(x: f64) -> Self;
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
    fn choose(condition: Self::Truth, yes: Self, no: Self) -> Self;
    /// `self < other`
    fn below(self, other: Self) -> Self::Truth;
    /// `self <= other`
    fn at_most(self, other: Self) -> Self::Truth;
    /// `self == other`
    fn equals(self, other: Self) -> Self::Truth;
    /// Whether the value is NaN.
    fn is_nan(self) -> Self::Truth;
    /// The value with these bits.
    fn from_word(word: Self::Word) -> Self;
    /// The bits of the value.
    fn to_word(self) -> Self::Word;
    /// A whole number; bits beyond the width are cut off.
    fn word(bits: u64) -> Self::Word;

    /// `self · 2^k`, rounded once, where `shifted` is `k` plus [`shifter`]; |k| is at most 1100, and below 1 the value times its root of `2^k`
    /// must not underflow (an exponential's mantissa is near 1). Here by two factors, each a half of the power, which reaches
    /// denormals and infinity without a branch; some machines have an instruction for it.
    #[inline(always)]
    fn scaled(self, shifted: Self) -> Self {
        scaled_in_halves(self, shifted)
    }
}

/// A real number type whose values are there.
pub trait Lane:
    Real<Truth = bool> + Send + Sync + PartialOrd + Default + std::fmt::Debug + bytemuck::Pod
{
    /// The value as a double.
    fn f64(self) -> f64;
    /// Whether the value is neither infinite nor NaN.
    fn is_finite(self) -> bool;
}

macro_rules! shared_methods {
    ($t:ty, $word:ty) => {
        type Truth = bool;
        type Word = Wrapping<$word>;
        const FRACTION_BITS: usize = <$t>::MANTISSA_DIGITS as usize - 1;
        const BIAS: u64 = <$t>::MAX_EXP as u64 - 1;

        #[inline(always)]
        fn of(x: f64) -> Self {
            x as $t
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
        fn below(self, other: Self) -> bool {
            self < other
        }
        #[inline(always)]
        fn at_most(self, other: Self) -> bool {
            self <= other
        }
        #[inline(always)]
        fn equals(self, other: Self) -> bool {
            self == other
        }
        #[inline(always)]
        fn is_nan(self) -> bool {
            <$t>::is_nan(self)
        }
        #[inline(always)]
        fn from_word(word: Self::Word) -> Self {
            <$t>::from_bits(word.0)
        }
        #[inline(always)]
        fn to_word(self) -> Self::Word {
            Wrapping(self.to_bits())
        }
        #[inline(always)]
        fn word(bits: u64) -> Self::Word {
            Wrapping(bits as $word)
        }
    };
}

/// `c[0] + x (c[1] + x (c[2] + …))` by fused multiply-adds.
#[inline(always)]
pub(super) fn horner<L: Real, const N: usize>(x: L, coefficients: [f64; N]) -> L {
    horner_from::<L, N, 0>(x, coefficients)
}

/// The same of the coefficients from `FIRST` on.
#[inline(always)]
fn horner_from<L: Real, const N: usize, const FIRST: usize>(x: L, coefficients: [f64; N]) -> L {
    let mut sum = L::of(coefficients[N - 1]);
    let mut i = N - 1;
    while i > FIRST {
        i -= 1;
        sum = sum.fma(x, L::of(coefficients[i]));
    }
    sum
}

/// 1.5 times the first number beside which there are no fractions: adding it leaves the nearest whole number in the low bits, without a
/// conversion instruction.
pub fn shifter<R: Real>() -> f64 {
    1.5 * (1u64 << R::FRACTION_BITS) as f64
}

/// See [`Real::scaled`].
#[inline(always)]
pub fn scaled_in_halves<R: Real>(x: R, shifted: R) -> R {
    /// Keeps `k` positive, so that a logical shift halves it and rounds down.
    const OFFSET: u64 = 4096;
    let k = shifted.to_word() - R::of(shifter::<R>()).to_word();
    let half = (k + R::word(OFFSET)) >> 1;
    let first = (half - R::word(OFFSET / 2 - R::BIAS)) << R::FRACTION_BITS;
    let second = (k - half + R::word(OFFSET / 2 + R::BIAS)) << R::FRACTION_BITS;
    x * R::from_word(first) * R::from_word(second)
}

/// An exponential of one precision: ln 2 in two words, whose first times an exponent is exact, and the minimax polynomial of `exp(r)` for
/// |r| <= ln(2)/2. The coefficients are those of `shaders/maths_*.wgsl`.
struct Exponential<const N: usize> {
    ln2: [f64; 2],
    series: [f64; N],
}

/// Relative error 1.1e-17.
static EXP_DOUBLE: Exponential<12> = Exponential {
    ln2: LN2_DOUBLE,
    series: [
        1.0,
        1.0,
        0.500_000_000_000_001_1,
        0.166_666_666_666_664_1,
        0.041_666_666_666_529_71,
        0.008_333_333_333_494_98,
        0.001_388_888_894_376_363_3,
        0.000_198_412_695_057_843_04,
        2.480_149_294_607_918_4e-5,
        2.755_758_678_563_136e-6,
        2.763_030_744_012_213e-7,
        2.500_002_661_738_889_2e-8,
    ],
};

/// Relative error 3.2e-9.
static EXP_SINGLE: Exponential<7> = Exponential {
    ln2: LN2_SINGLE,
    series: [
        1.0,
        1.0,
        0.499_999_94,
        0.166_665_17,
        0.041_668_102,
        0.008_369_192_5,
        0.001_383_881_2,
    ],
};

/// Cody and Waite's reduction `x = n ln 2 + r`: `r`, `n`, and `n` plus [`shifter`].
#[inline(always)]
fn reduce<R: Real>(x: R, ln2: [f64; 2]) -> [R; 3] {
    let round = R::of(shifter::<R>());
    let shifted = x.fma(R::of(std::f64::consts::LOG2_E), round);
    let n = shifted - round;
    let r = n.fma(R::of(-ln2[0]), x);
    let r = n.fma(R::of(-ln2[1]), r);
    [r, n, shifted]
}

/// The argument between two bounds; a NaN stays one.
#[inline(always)]
fn held<R: Real>(x: R, least: f64, most: f64) -> R {
    let (least, most) = (R::of(least), R::of(most));
    let x = R::choose(most.below(x), most, x);
    R::choose(x.below(least), least, x)
}

#[inline(always)]
fn exp<R: Real, const N: usize>(x: R, range: [f64; 2], of: &Exponential<N>) -> R {
    let [r, _, shifted] = reduce(held(x, range[0], range[1]), of.ln2);
    horner(r, of.series).scaled(shifted)
}

/// The minimax polynomials of `2^r` for |r| <= 1/2, those of `exp(r)` in powers of `r ln 2`. Relative error 2.7e-17.
static EXP2_DOUBLE: [f64; 12] = [
    1.0,
    std::f64::consts::LN_2,
    0.240_226_506_959_101_25,
    0.055_504_108_664_820_73,
    0.009_618_129_107_596_863,
    0.001_333_355_814_668_708_2,
    0.000_154_035_304_542_406_74,
    1.525_273_354_615_943_2e-5,
    1.321_543_651_296_019e-6,
    1.017_818_483_109_599_9e-7,
    7.073_597_234_231_652e-9,
    4.436_296_275_565_22e-10,
];

/// Relative error 3.3e-9.
static EXP2_SINGLE: [f64; 7] = [
    1.0,
    std::f64::consts::LN_2,
    0.240_226_48,
    0.055_503_6,
    0.009_618_461,
    0.001_339_091,
    0.000_153_479_92,
];

/// A number near 1 times `2^n`, `n` being in the low bits of `shifted` and the product neither denormal nor infinite: `n` is added to the bits
/// of the exponent, on units that have nothing else to do. A NaN that arithmetic has made has no bits there, and stays one.
#[inline(always)]
fn times_power<R: Real>(near_one: R, shifted: R) -> R {
    R::from_word(near_one.to_word() + (shifted.to_word() << R::FRACTION_BITS))
}

/// `exp(x)`, but `x` counts as -80 at least and 80 at most in single, as -690 and 690 in double precision. So the factor `2^n` is neither
/// denormal nor infinite.
#[inline(always)]
pub(super) fn bounded_exp<R: Real>(x: R) -> R {
    #[inline(always)]
    fn within<R: Real, const N: usize>(x: R, end: f64, of: &Exponential<N>) -> R {
        let [r, _, shifted] = reduce(held(x, -end, end), of.ln2);
        times_power(horner(r, of.series), shifted)
    }
    if R::PRECISION == "f32" {
        within(x, 80.0, &EXP_SINGLE)
    } else {
        within(x, 690.0, &EXP_DOUBLE)
    }
}

/// `2^x`, but `x` counts as -115 at least and 115 at most in single, as -995 and 995 in double precision. What is left of an argument beside
/// the nearest whole number is exact: two subtractions in the place of three products.
#[inline(always)]
pub(super) fn bounded_exp2<R: Real>(x: R) -> R {
    #[inline(always)]
    fn within<R: Real, const N: usize>(x: R, end: f64, series: [f64; N]) -> R {
        let x = held(x, -end, end);
        let round = R::of(shifter::<R>());
        let shifted = x + round;
        let r = x - (shifted - round);
        times_power(horner(r, series), shifted)
    }
    if R::PRECISION == "f32" {
        within(x, 115.0, EXP2_SINGLE)
    } else {
        within(x, 995.0, EXP2_DOUBLE)
    }
}

/// `(exp(x) - 1)/x`, which is 1 at `x = 0`. Where `2^n` is 1 the series of `exp(r)` without its 1, over `r`, is that already; elsewhere
/// the difference loses a factor of 3.4 at most.
#[inline(always)]
pub(super) fn mean_exp<R: Real>(x: R) -> R {
    #[inline(always)]
    fn within<R: Real, const N: usize>(x: R, end: f64, of: &Exponential<N>) -> R {
        let [r, n, shifted] = reduce(held(x, -end, end), of.ln2);
        let near = horner_from::<R, N, 1>(r, of.series);
        let exp = times_power(near.fma(r, R::of(1.0)), shifted);
        R::choose(n.equals(R::of(0.0)), near, (exp - R::of(1.0)) / x)
    }
    if R::PRECISION == "f32" {
        within(x, 80.0, &EXP_SINGLE)
    } else {
        within(x, 690.0, &EXP_DOUBLE)
    }
}

/// The polynomial that [`mean_exp`] is where `|x|` is at most [`MEAN_EXP_NEAR`], from the constant on: evaluated by Horner's rule with fused
/// multiply-adds it has the same bits there.
pub(crate) fn mean_exp_near<R: Real>() -> &'static [f64] {
    if R::PRECISION == "f32" {
        &EXP_SINGLE.series[1..]
    } else {
        &EXP_DOUBLE.series[1..]
    }
}

/// A little below ln(2)/2, up to where `2^n` is 1.
pub(crate) const MEAN_EXP_NEAR: f64 = 0.346;

/// Mantissa in [sqrt(1/2), sqrt(2)), then the series of 2 atanh(s) in s = (m-1)/(m+1), |s| <= 0.172. `root_half` are the bits of sqrt(1/2),
/// `tiny` is the smallest normal number.
#[inline(always)]
fn ln<R: Real, const N: usize>(
    argument: R,
    tiny: f64,
    root_half: u64,
    ln2: [f64; 2],
    series: [f64; N],
) -> R {
    let digits = R::FRACTION_BITS + 2;
    let is_tiny = argument.below(R::of(tiny));
    let x = R::choose(is_tiny, argument * R::of((1u64 << digits) as f64), argument);
    let bits = x.to_word();
    // Offset so that mantissas from sqrt(1/2) up share an exponent, and by the sign bit so that it is positive.
    let offset = (R::BIAS + 1) * 2;
    let sign = R::word(offset) << R::FRACTION_BITS;
    let exponent = (bits - R::word(root_half) + sign) >> R::FRACTION_BITS;
    let m = R::from_word(bits - (exponent << R::FRACTION_BITS) + sign);
    // A whole number in the low bits of the first number without fractions is that number, plus it.
    let first = (1u64 << R::FRACTION_BITS) as f64;
    let e = R::from_word(R::of(first).to_word() + exponent) - R::of(first + offset as f64);
    let e = e - R::choose(is_tiny, R::of(digits as f64), R::of(0.0));
    let f = m - R::of(1.0);
    let s = f / (m + R::of(1.0));
    let z = s * s;
    let tail = horner(z, series) * z;
    // ln m = f - s (f - tail): f is exact, the rest is small.
    let ln_m = f - s * (f - tail);
    let result = e.fma(R::of(ln2[0]), e.fma(R::of(ln2[1]), ln_m));
    let infinity = R::of(f64::INFINITY);
    let result = R::choose(argument.equals(infinity), argument, result);
    let result = R::choose(
        argument.equals(R::of(0.0)),
        R::of(f64::NEG_INFINITY),
        result,
    );
    R::choose(R::of(0.0).at_most(argument), result, R::of(f64::NAN))
}

const LN2_DOUBLE: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
const LN2_SINGLE: [f64; 2] = [0.693_145_75_f32 as f64, 1.428_606_8e-6_f32 as f64];

/// The exponential in double precision.
#[inline(always)]
pub fn exp_double<R: Real>(x: R) -> R {
    exp(x, [-746.0, 709.9], &EXP_DOUBLE)
}

/// The exponential in single precision.
#[inline(always)]
pub fn exp_single<R: Real>(x: R) -> R {
    exp(x, [-104.0, 89.0], &EXP_SINGLE)
}

/// The natural logarithm in double precision.
#[inline(always)]
pub fn ln_double<R: Real>(x: R) -> R {
    let series = [
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
    ];
    let root_half = 0x3fe6_a09e_0000_0000;
    ln(x, f64::MIN_POSITIVE, root_half, LN2_DOUBLE, series)
}

/// The natural logarithm in single precision.
#[inline(always)]
pub fn ln_single<R: Real>(x: R) -> R {
    let series = [2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0, 2.0 / 11.0];
    let tiny = f64::from(f32::MIN_POSITIVE);
    ln(x, tiny, 0x3f35_04f3, LN2_SINGLE, series)
}

impl Real for f64 {
    const PRECISION: &'static str = "f64";
    shared_methods!(f64, u64);

    #[inline(always)]
    fn exp(self) -> Self {
        exp_double(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        ln_double(self)
    }
}

impl Real for f32 {
    const PRECISION: &'static str = "f32";
    shared_methods!(f32, u32);

    #[inline(always)]
    fn exp(self) -> Self {
        exp_single(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        ln_single(self)
    }
}

impl Lane for f64 {
    #[inline(always)]
    fn f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
}

impl Lane for f32 {
    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }
}
