//! The quantile function of the standard normal distribution, and chances below it.

use crate::ops::Real;

/// `c[0] + r (c[1] + r (c[2] + …))`
fn polynomial(r: f64, c: [f64; 8]) -> f64 {
    c.iter().rev().fold(0.0, |sum, &k| sum * r + k)
}

/// The x below which a standard normal number falls with chance `p`, 0 < p < 1. Relative error about 1e-16.
///
/// Wichura 1988, Applied Statistics 37:477, algorithm AS 241 (PPND16). The logarithm is that of the ops table, so that a
/// draw has the same bits on every machine.
#[expect(clippy::excessive_precision, reason = "coefficients as published")]
pub fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        let above = polynomial(
            r,
            [
                3.387_132_872_796_366_608,
                133.141_667_891_784_377_45,
                1_971.590_950_306_551_442_7,
                13_731.693_765_509_461_125,
                45_921.953_931_549_871_457,
                67_265.770_927_008_700_853,
                33_430.575_583_588_128_105,
                2_509.080_928_730_122_672_7,
            ],
        );
        let below = polynomial(
            r,
            [
                1.0,
                42.313_330_701_600_911_252,
                687.187_007_492_057_908_3,
                5_394.196_021_424_751_107_7,
                21_213.794_301_586_595_867,
                39_307.895_800_092_710_61,
                28_729.085_735_721_942_674,
                5_226.495_278_852_854_561,
            ],
        );
        return q * above / below;
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = Real::sqrt(-Real::ln(tail));
    let x = if r <= 5.0 {
        let r = r - 1.6;
        let above = polynomial(
            r,
            [
                1.423_437_110_749_683_577_34,
                4.630_337_846_156_545_295_9,
                5.769_497_221_460_691_405_5,
                3.647_848_324_763_204_605_04,
                1.270_458_252_452_368_382_58,
                0.241_780_725_177_450_611_77,
                0.022_723_844_989_269_184_583_3,
                7.745_450_142_783_414_076_4e-4,
            ],
        );
        let below = polynomial(
            r,
            [
                1.0,
                2.053_191_626_637_758_821_87,
                1.676_384_830_183_803_849_4,
                0.689_767_334_985_100_004_55,
                0.148_103_976_427_480_074_59,
                0.015_198_666_563_616_457_196_6,
                5.475_938_084_995_344_946e-4,
                1.050_750_071_644_416_843_24e-9,
            ],
        );
        above / below
    } else {
        let r = r - 5.0;
        let above = polynomial(
            r,
            [
                6.657_904_643_501_103_777_2,
                5.463_784_911_164_114_369_9,
                1.784_826_539_917_291_335_8,
                0.296_560_571_828_504_891_23,
                0.026_532_189_526_576_123_093,
                1.242_660_947_388_078_438_6e-3,
                2.711_555_568_743_487_578_15e-5,
                2.010_334_399_292_288_132_65e-7,
            ],
        );
        let below = polynomial(
            r,
            [
                1.0,
                0.599_832_206_555_887_937_69,
                0.136_929_880_922_735_805_31,
                0.014_875_361_290_850_614_852_5,
                7.868_691_311_456_132_591e-4,
                1.846_318_317_510_054_681_8e-5,
                1.421_511_758_316_445_888_7e-7,
                2.044_263_103_389_939_785_64e-15,
            ],
        );
        above / below
    };
    if q < 0.0 { -x } else { x }
}

/// The chance that a standard normal number falls below `x`: the inverse of [`normal_quantile`], by halving, so that the
/// two agree to the last bits. Slow; for setting up truncated distributions.
pub fn normal_chance_below(x: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        return 0.0;
    }
    if x == f64::INFINITY {
        return 1.0;
    }
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    // Halving the exponent too, so that small chances keep their relative precision.
    for _ in 0..1200 {
        let middle = if high < 0.25 && low == 0.0 {
            high * 0.5
        } else {
            low + 0.5 * (high - low)
        };
        if middle <= low || middle >= high {
            break;
        }
        if normal_quantile(middle) < x {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The density, integrated by Simpson's rule from the quantile at 1/2, must give the chance back.
    #[test]
    fn quantiles_invert_the_integral_of_the_density() {
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        for p in [
            1e-12,
            1e-7,
            1e-4,
            0.01,
            0.074,
            0.076,
            0.3,
            0.49,
            0.5,
            0.6,
            0.924,
            0.926,
            0.99,
            1.0 - 1e-6,
        ] {
            let x = normal_quantile(p);
            let n = 20_000;
            let h = x / f64::from(n);
            let weight = |i: i32| {
                if i == 0 || i == n {
                    1.0
                } else {
                    2.0 + 2.0 * f64::from(i % 2)
                }
            };
            let sum: f64 = (0..=n).map(|i| weight(i) * density(f64::from(i) * h)).sum();
            let chance = 0.5 + sum * h / 3.0;
            // The sum of 20 000 terms is known to a few 1e-15.
            assert!((chance - p).abs() < 1e-14, "{p}: {chance}");
        }
    }

    #[test]
    fn quantiles_agree_with_published_ones() {
        // Wichura's own test values: 0.25, 0.001 and 1e-20.
        assert!((normal_quantile(0.25) + 0.674_489_750_196_081_7).abs() < 1e-15);
        assert!((normal_quantile(0.001) + 3.090_232_306_167_814).abs() < 1e-14);
        assert!((normal_quantile(1e-20) + 9.262_340_089_798_408).abs() < 1e-14);
    }

    #[test]
    fn chances_and_quantiles_are_inverse() {
        for x in [-12.0, -5.0, -1.0, 0.0, 0.5, 2.0, 5.0] {
            let p = normal_chance_below(x);
            // A chance near 1 is known to 1e-16 only; the density says how far that is on the axis.
            let slack = 1e-13 + 2e-16 / (-0.5 * x * x).exp() * 2.6 * f64::from(x > 0.0);
            assert!((normal_quantile(p) - x).abs() < slack, "{x}");
        }
        assert_eq!(normal_chance_below(f64::NEG_INFINITY), 0.0);
        assert_eq!(normal_chance_below(f64::INFINITY), 1.0);
    }
}
