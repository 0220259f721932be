//! Every row of the table against what it says: derivatives by differences, elementary functions by the standard library's.

use super::{Algebra, Op, Real, eval};

/// Numbers themselves, as an algebra: a derivative written in it is its value.
struct Numbers;

impl Algebra for Numbers {
    type Value = f64;
    fn constant(&mut self, value: f64) -> f64 {
        value
    }
    fn apply(&mut self, op: Op, args: &[f64]) -> f64 {
        assert_eq!(args.len(), op.arity(), "{}", op.name());
        value(op, args)
    }
}

fn value(op: Op, args: &[f64]) -> f64 {
    let at = |i: usize| args.get(i).copied().unwrap_or(0.0);
    eval(op, at(0), at(1), at(2))
}

/// Distance in units of the last place of `exact`, in the precision that has `digits` bits.
fn ulps(found: f64, exact: f64, digits: i32, smallest_exponent: i32) -> f64 {
    if found == exact || (found.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    let exponent = (exact.abs().log2().floor() as i32).max(smallest_exponent);
    (found - exact).abs() / f64::from(exponent - digits + 1).exp2()
}

fn ulps64(found: f64, exact: f64) -> f64 {
    ulps(found, exact, 53, -1022)
}

fn ulps32(found: f32, exact: f64) -> f64 {
    if found == exact as f32 {
        0.0
    } else {
        ulps(f64::from(found), exact, 24, -126)
    }
}

/// Arguments inside the smooth domain of an op.
fn probes(op: Op) -> Vec<Vec<f64>> {
    let wide = [-3.7, -1.3, -0.45, 0.31, 0.77, 2.9];
    let pairs = |a: &[f64], b: &[f64]| {
        a.iter()
            .flat_map(|&x| b.iter().map(move |&y| vec![x, y]))
            .collect()
    };
    match op {
        Op::Pow => pairs(&[0.2, 1.3, 4.5], &[-2.3, 0.4, 1.0, 3.7]),
        Op::Sqrt | Op::Log | Op::Log10 => [0.02, 0.9, 1.1, 37.0, 1e5].map(|x| vec![x]).to_vec(),
        Op::Asin | Op::Acos => [-0.9, -0.2, 0.1, 0.8].map(|x| vec![x]).to_vec(),
        Op::Tan => [-1.2, -0.3, 0.2, 1.3].map(|x| vec![x]).to_vec(),
        // The exponential follows from the first argument; both sides of the series' limit of 0.5.
        Op::Bernoulli => [-30.0, -4.0, -0.6, -0.49, -0.01, 0.3, 0.51, 2.0, 30.0]
            .map(|u: f64| vec![u, u.exp()])
            .to_vec(),
        Op::BernoulliSlope => [-30.0f64, -4.0, -0.6, -0.3, -0.01, 0.2, 0.51, 2.0, 20.0]
            .map(|u| vec![u, value(Op::Bernoulli, &[u, u.exp()])])
            .to_vec(),
        op => match op.arity() {
            1 => wide.map(|x| vec![x]).to_vec(),
            2 => pairs(&wide, &[-2.1, 0.6, 1.7]),
            _ => wide
                .iter()
                .flat_map(|&x| [-2.1, 1.7].map(|y| vec![x, y, 0.9 * x - 1.0]))
                .collect(),
        },
    }
}

#[test]
fn derivatives_are_those_of_the_values() {
    for &op in Op::ALL {
        for args in probes(op) {
            let partials = op.partials(&mut Numbers, &args, value(op, &args));
            assert_eq!(partials.len(), op.arity(), "{}", op.name());
            for (i, &partial) in partials.iter().enumerate() {
                let moved = |by: f64| {
                    let mut args = args.clone();
                    args[i] += by;
                    // Second arguments that the op counts as functions of the first move with it.
                    match (op, i) {
                        (Op::Bernoulli, 0) => args[1] = args[0].exp(),
                        (Op::BernoulliSlope, 0) => {
                            args[1] = value(Op::Bernoulli, &[args[0], args[0].exp()])
                        }
                        (Op::Bernoulli | Op::BernoulliSlope, _) => args[i] -= by,
                        _ => {}
                    }
                    value(op, &args)
                };
                // The fourth-order central difference: truncation h⁴ and rounding 1e-16/h balance near 1e-3 and 1e-12.
                let h = 1e-3 * args[i].abs().max(0.02);
                let difference = (8.0 * (moved(h) - moved(-h))
                    - (moved(2.0 * h) - moved(-2.0 * h)))
                    / (12.0 * h);
                let size = partial.abs().max(value(op, &args).abs()).max(1e-3);
                // The slope's own derivative has a series to u⁴ only: its truncation is 2e-5 at the limit of 0.5.
                let allowed = if op == Op::BernoulliSlope { 5e-5 } else { 1e-8 };
                assert!(
                    (difference - partial).abs() <= allowed * size,
                    "{} by argument {i} at {args:?}: {partial} is said, {difference} is found",
                    op.name()
                );
            }
        }
    }
}

#[test]
fn names_are_unique_and_arities_are_those_of_the_spelling() {
    let mut names: Vec<_> = Op::ALL.iter().map(|op| op.name()).collect();
    names.extend(Op::ALL.iter().filter_map(|op| op.mmt_name()));
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(
        Op::ALL
            .iter()
            .filter(|op| op.mmt_name().is_some())
            .all(|op| op.arity() == 1)
    );
}

#[test]
fn the_exponential_is_within_an_ulp() {
    let (mut worst64, mut worst32) = (0.0f64, 0.0f64);
    for i in -800_000..=800_000 {
        let x = f64::from(i) * 1e-3 + 1e-7;
        worst64 = worst64.max(ulps64(Real::exp(x), x.exp()));
        let x = (f64::from(i) * 1.3e-4) as f32;
        worst32 = worst32.max(ulps32(Real::exp(x), f64::from(x).exp()));
    }
    for x in [
        1e-300,
        -1e-300,
        1e-17,
        -1e-17,
        f64::MIN_POSITIVE,
        5e-324,
        0.0,
        -0.0,
    ] {
        assert_eq!(Real::exp(x), 1.0);
        assert_eq!(Real::exp(x as f32), 1.0);
    }
    // The standard library's is within half an ulp and a little; ours is said to be within one.
    assert!(
        worst64 <= 1.0 && worst32 <= 1.0,
        "f64 {worst64}, f32 {worst32}"
    );
    assert_eq!(Real::exp(f64::INFINITY), f64::INFINITY);
    assert_eq!(Real::exp(710.0f64), f64::INFINITY);
    assert_eq!(Real::exp(f64::NEG_INFINITY), 0.0);
    assert_eq!(Real::exp(-746.0f64), 0.0);
    assert!(Real::exp(f64::NAN).is_nan());
    assert_eq!(Real::exp(f32::INFINITY), f32::INFINITY);
    assert_eq!(Real::exp(89.0f32), f32::INFINITY);
    assert_eq!(Real::exp(f32::NEG_INFINITY), 0.0);
    assert_eq!(Real::exp(-104.0f32), 0.0);
    assert!(Real::exp(f32::NAN).is_nan());
}

#[test]
fn the_exponential_is_right_to_the_last_number_before_overflow_and_underflow() {
    // ln(f64::MAX) = 709.782712893384, ln(f32::MAX) = 88.722839.
    for x in [709.0, 709.5, 709.78, 709.782_712_893_383_9] {
        assert!(
            ulps64(Real::exp(x), f64::exp(x)) <= 1.0,
            "{x}: {:e} {:e}",
            Real::exp(x),
            f64::exp(x)
        );
    }
    for x in [88.0f32, 88.5, 88.7, 88.722_83] {
        let exact = f64::from(x).exp();
        assert!(
            ulps32(Real::exp(x), exact) <= 1.0,
            "{x}: {:e} {exact:e}",
            Real::exp(x)
        );
    }
    // Denormals: one unit of the smallest number.
    for x in [-708.5, -720.0, -740.0, -744.4, -745.1] {
        assert!(
            ulps64(Real::exp(x), f64::exp(x)) <= 1.0,
            "{x}: {:e} {:e}",
            Real::exp(x),
            f64::exp(x)
        );
    }
    for x in [-87.5f32, -95.0, -100.0, -103.2, -103.9] {
        let exact = f64::from(x).exp();
        assert!(
            ulps32(Real::exp(x), exact) <= 1.0,
            "{x}: {:e} {exact:e}",
            Real::exp(x)
        );
    }
}

#[test]
fn the_logarithm_is_within_two_ulps() {
    let (mut worst64, mut worst32) = (0.0f64, 0.0f64);
    let mut check = |x: f64| {
        worst64 = worst64.max(ulps64(Real::ln(x), x.ln()));
        let narrow = x as f32;
        if narrow > 0.0 && narrow.is_finite() {
            worst32 = worst32.max(ulps32(Real::ln(narrow), f64::from(narrow).ln()));
        }
    };
    for i in 0..400_000 {
        // Every magnitude, denormals included, and densely about 1 where the logarithm is small.
        check(2.0f64.powf(f64::from(i) * 5.2e-3 - 1074.0));
        check(1.0 + (f64::from(i) - 200_000.0) * 2.3e-6);
        check(1.0 + (f64::from(i) - 200_000.0) * 1.1e-12);
    }
    check(5e-324);
    check(f64::from(f32::from_bits(1)));
    check(f64::MAX);
    check(f64::from(f32::MAX));
    assert!(
        worst64 <= 2.0 && worst32 <= 2.0,
        "f64 {worst64}, f32 {worst32}"
    );
    assert_eq!(Real::ln(1.0f64), 0.0);
    assert_eq!(Real::ln(1.0f32), 0.0);
    for zero in [0.0, -0.0] {
        assert_eq!(Real::ln(zero), f64::NEG_INFINITY);
        assert_eq!(Real::ln(zero as f32), f32::NEG_INFINITY);
    }
    assert_eq!(Real::ln(f64::INFINITY), f64::INFINITY);
    assert_eq!(Real::ln(f32::INFINITY), f32::INFINITY);
    for bad in [-1.0, -5e-324, f64::NEG_INFINITY, f64::NAN] {
        assert!(Real::ln(bad).is_nan());
    }
    assert!(
        Real::ln(-1.0f32).is_nan()
            && Real::ln(f32::NAN).is_nan()
            && Real::ln(f32::NEG_INFINITY).is_nan()
    );
}

#[test]
fn the_mean_of_the_exponential_is_accurate_everywhere() {
    let exact = |u: f64| if u == 0.0 { 1.0 } else { u.exp_m1() / u };
    for u in sweep().filter(|u| u.abs() <= 690.0) {
        // Where it is a difference, that has lost a factor of up to 3.4 of the exponential's ulp.
        let found: f64 = eval(Op::MeanExp, u, 0.0, 0.0);
        assert!(
            (found - exact(u)).abs() <= 1e-15 * exact(u),
            "f64 at {u}: {found:e}"
        );
        let narrow = u as f32;
        let exact = exact(f64::from(narrow));
        let found: f32 = eval(Op::MeanExp, narrow, 0.0, 0.0);
        assert!(
            narrow.abs() > 80.0 || (f64::from(found) - exact).abs() <= 5e-7 * exact,
            "f32 at {u}: {found:e}, {exact:e}"
        );
    }
    assert_eq!(eval(Op::MeanExp, 0.0f32, 0.0, 0.0), 1.0);
    assert_eq!(eval(Op::MeanExp, f64::NEG_INFINITY, 0.0, 0.0), 0.0);
    assert!(eval(Op::MeanExp, f64::NAN, 0.0, 0.0).is_nan());
}

#[test]
fn the_bounded_exponential_is_the_exponential_between_its_bounds_and_finite_beyond() {
    for i in -80_000..=80_000 {
        let x = f64::from(i) * 1e-3 + 1e-7;
        let narrow = x.clamp(-80.0, 80.0) as f32;
        let found: f32 = eval(Op::BoundedExp, narrow, 0.0, 0.0);
        assert!(ulps32(found, f64::from(narrow).exp()) <= 1.0, "{narrow}");
        let found: f64 = eval(Op::BoundedExp, 8.6 * x, 0.0, 0.0);
        assert!(ulps64(found, (8.6 * x).exp()) <= 1.0, "{x}");
    }
    for (x, held) in [(1e3, 80.0), (f32::INFINITY, 80.0), (-81.0, -80.0)] {
        let at = |x| eval::<f32>(Op::BoundedExp, x, 0.0, 0.0);
        assert_eq!(at(x), at(held));
    }
    assert!(eval(Op::BoundedExp, f32::NAN, 0.0, 0.0).is_nan());
    assert!(eval(Op::BoundedExp, f64::NAN, 0.0, 0.0).is_nan());
}

#[test]
fn the_power_of_two_is_one_between_its_bounds_and_finite_beyond() {
    for i in -115_000..=115_000 {
        let x = f64::from(i) * 1e-3 + 1e-7;
        let narrow = x.clamp(-115.0, 115.0) as f32;
        let found: f32 = eval(Op::BoundedExp2, narrow, 0.0, 0.0);
        assert!(ulps32(found, f64::from(narrow).exp2()) <= 1.0, "{narrow}");
        let found: f64 = eval(Op::BoundedExp2, 8.6 * x, 0.0, 0.0);
        assert!(ulps64(found, (8.6 * x).exp2()) <= 1.0, "{x}");
    }
    // Whole exponents are exact, and so is what lies between two numbers of the reduction.
    for k in -115..=115 {
        let x = k as f32;
        assert_eq!(eval::<f32>(Op::BoundedExp2, x, 0.0, 0.0), x.exp2());
        let half = f64::from(x) + 0.5;
        let found: f64 = eval(Op::BoundedExp2, half, 0.0, 0.0);
        assert!(ulps64(found, half.exp2()) <= 1.0, "{half}");
    }
    for (x, held) in [(1e3, 115.0), (f32::INFINITY, 115.0), (-116.0, -115.0)] {
        let at = |x| eval::<f32>(Op::BoundedExp2, x, 0.0, 0.0);
        assert_eq!(at(x), at(held));
    }
    assert!(eval(Op::BoundedExp2, f32::NAN, 0.0, 0.0).is_nan());
    assert!(eval(Op::BoundedExp2, f64::NAN, 0.0, 0.0).is_nan());
}

/// `u/(exp(u)-1)`, accurate everywhere.
fn bernoulli(u: f64) -> f64 {
    if u == 0.0 { 1.0 } else { u / u.exp_m1() }
}

/// Its derivative. Where the closed form cancels, the series with Bernoulli's numbers far beyond what the op uses.
fn slope(u: f64) -> f64 {
    if u.abs() > 1.0 {
        let b = bernoulli(u);
        return b * ((1.0 - b) / u - 1.0);
    }
    // B_2k / (2k)! (2k) u^(2k-1), k = 1 … 11; |u| < 2 pi converges like (u/2pi)^2k.
    let numbers = [
        1.0 / 6.0,
        -1.0 / 30.0,
        1.0 / 42.0,
        -1.0 / 30.0,
        5.0 / 66.0,
        -691.0 / 2730.0,
        7.0 / 6.0,
        -3617.0 / 510.0,
        43867.0 / 798.0,
        -174_611.0 / 330.0,
        854_513.0 / 138.0,
    ];
    let mut sum = 0.0;
    let mut factorial = 1.0;
    for (k, number) in numbers.iter().enumerate() {
        let order = 2 * k as i32 + 2;
        factorial *= f64::from(order - 1) * f64::from(order).max(1.0);
        sum += number / factorial * f64::from(order) * u.powi(order - 1);
    }
    sum - 0.5
}

/// Arguments over [-700, 700], dense near 0 and on both sides of the series' limit.
fn sweep() -> impl Iterator<Item = f64> {
    let wide = (-70_000..=70_000).map(|i| f64::from(i) * 0.01);
    let near = (-30_000..=30_000).map(|i| f64::from(i) * 2.5e-5);
    let tiny = (-320..0).flat_map(|e| [10.0f64.powi(e), -(10.0f64.powi(e))]);
    wide.chain(near)
        .chain(tiny)
        .chain([0.0, -0.0, 0.5, -0.5, 0.5f64.next_down(), 0.5f64.next_up()])
}

#[test]
fn the_bernoulli_function_is_accurate_everywhere() {
    for u in sweep() {
        let exact = bernoulli(u);
        let found: f64 = eval(Op::Bernoulli, u, Real::exp(u), 0.0);
        // Beyond the series, exp(u) - 1 loses a factor of 1/(1 - exp(-0.5)) = 2.5 of the exponential's 1 ulp.
        assert!(
            (found - exact).abs() <= 1e-15 * exact,
            "f64 at {u}: {found:e}, {exact:e}"
        );
        let narrow = u as f32;
        let exact = bernoulli(f64::from(narrow));
        let found: f32 = eval(Op::Bernoulli, narrow, Real::exp(narrow), 0.0);
        // As above with 6e-8. Above u = 88.72 the exponential is infinite and the result 0 instead of 3e-37.
        let allowed = 5e-7 * exact + 3e-37;
        assert!(
            (f64::from(found) - exact).abs() <= allowed,
            "f32 at {u}: {found:e}, {exact:e}"
        );
    }
    assert_eq!(eval(Op::Bernoulli, 0.0f64, 1.0, 0.0), 1.0);
    assert_eq!(eval(Op::Bernoulli, 800.0f64, f64::INFINITY, 0.0), 0.0);
    assert!(eval(Op::Bernoulli, f64::NAN, f64::NAN, 0.0).is_nan());
}

#[test]
fn the_slope_of_the_bernoulli_function_is_accurate_everywhere() {
    for u in sweep() {
        let exact = slope(u);
        let b: f64 = eval(Op::Bernoulli, u, Real::exp(u), 0.0);
        let found: f64 = eval(Op::BernoulliSlope, u, b, 0.0);
        // (1-b)/u - 1 cancels: by a factor of up to 4 just beyond the series, by |u| where u is very negative and b = -u.
        let allowed = 2.3e-16 * (20.0 + 2.0 * (-u).max(0.0)) * exact.abs();
        assert!(
            (found - exact).abs() <= allowed + 1e-300,
            "f64 at {u}: {found:e}, {exact:e}"
        );
        let narrow = u as f32;
        let exact = slope(f64::from(narrow));
        let b: f32 = eval(Op::Bernoulli, narrow, Real::exp(narrow), 0.0);
        let found: f32 = eval(Op::BernoulliSlope, narrow, b, 0.0);
        let allowed = 1.2e-7 * (20.0 + 2.0 * (-u).max(0.0)) * exact.abs() + 3e-35;
        assert!(
            (f64::from(found) - exact).abs() <= allowed,
            "f32 at {u}: {found:e}, {exact:e}"
        );
    }
}

#[test]
fn division_with_rounding_goes_to_minus_infinity() {
    for (a, b, quotient, remainder) in [
        (7.0, 3.0, 2.0, 1.0),
        (-7.0, 3.0, -3.0, 2.0),
        (7.0, -3.0, -3.0, -2.0),
        (-7.0, -3.0, 2.0, -1.0),
    ] {
        assert_eq!(value(Op::Quotient, &[a, b]), quotient);
        assert_eq!(value(Op::Remainder, &[a, b]), remainder);
    }
}

#[test]
fn choices_keep_what_is_no_number_out_or_in() {
    assert_eq!(value(Op::Select, &[1.0, 2.0, f64::NAN]), 2.0);
    assert_eq!(value(Op::Select, &[0.0, f64::NAN, 3.0]), 3.0);
    // Anything but 0 is true; NaN is not 0.
    assert_eq!(value(Op::Select, &[f64::NAN, 2.0, 3.0]), 2.0);
    for op in [Op::Min, Op::Max] {
        assert!(
            value(op, &[1.0, f64::NAN]).is_nan() && value(op, &[f64::NAN, 1.0]).is_nan(),
            "{}",
            op.name()
        );
    }
    for op in [Op::Eq, Op::Lt, Op::Le, Op::Gt, Op::Ge] {
        assert_eq!(value(op, &[f64::NAN, f64::NAN]), 0.0, "{}", op.name());
    }
    assert_eq!(value(Op::Ne, &[f64::NAN, f64::NAN]), 1.0);
    assert_eq!(value(Op::Not, &[0.0]), 1.0);
    assert_eq!(value(Op::And, &[2.0, -1.0]), 1.0);
    assert_eq!(value(Op::Or, &[0.0, 0.0]), 0.0);
}

#[test]
fn powers_of_negative_numbers_are_known_for_whole_exponents_only() {
    assert_eq!(value(Op::Pow, &[-2.0, 3.0]), -8.0);
    assert!(value(Op::Pow, &[-2.0, 0.5]).is_nan());
    // The derivative by the exponent does not ask for the logarithm of 0.
    assert_eq!(Op::Pow.partials(&mut Numbers, &[0.0, 2.0], 0.0), [0.0, 0.0]);
}

#[test]
fn the_wgsl_of_an_op_names_each_argument() {
    for &op in Op::ALL {
        let names = ["first", "second", "third"];
        let text = op.wgsl(&names[..op.arity()]);
        for name in &names[..op.arity()] {
            assert!(text.contains(name), "{}: {text}", op.name());
        }
        assert!(!text.contains(['{', '}']), "{}: {text}", op.name());
    }
    assert_eq!(Op::Fnma.wgsl(&["x", "-2.0", "y"]), "fma(-(x), -2.0, y)");
}
