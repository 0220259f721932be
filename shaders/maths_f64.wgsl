// Elementary functions in double precision, under the names that the table of operations calls.
// The twin in single precision has the same functions in the same order, and the comments that hold for both; the bounds
// of their errors, in ulps, are measured against the CPU by the tests of the operations.
//
// Vulkan knows exp, log, pow and sin of single precision only, and a driver that takes a double gives nonsense. The bits of
// a number are reached through 64-bit integers, which every known device with doubles has. Devices may flush denormal
// numbers to zero; a function of one may then give what it gives at zero.

alias Real = f64;

// Zero, but no compiler knows it: the kernel sets it from a buffer.
var<private> hidden_zero: u32;

// The largest finite number.
const LARGEST: Real = 1.7976931348623157e308;

// 1.5 * 2^52: a number to which this is added stands as a whole number in the low bits of the sum.
const ROUND: Real = 6755399441055744.0;
const LOG2_E: Real = 1.44269504088896341;
const LN2: Real = 0.69314718055994531;
// ln 2 in two words; the first has 32 significant bits, so that its product with an exponent is exact.
const LN2_HIGH: Real = 0.6931471803691238;
const LN2_LOW: Real = 1.9082149292705877e-10;

// x, hidden from the compiler.
fn kept(x: Real) -> Real {
    return bitcast<Real>(bitcast<u64>(x) ^ u64(hidden_zero));
}

fn is_finite_real(x: Real) -> bool {
    return (u32(bitcast<u64>(x) >> 32u) & 0x7ff00000u) != 0x7ff00000u;
}

fn is_nan_real(x: Real) -> bool {
    return (bitcast<u64>(x) & 0x7ffffffffffffffflu) > 0x7ff0000000000000lu;
}

fn infinite() -> Real {
    return bitcast<Real>(0x7ff0000000000000lu ^ u64(hidden_zero));
}

fn not_a_number() -> Real {
    return bitcast<Real>(0x7ff8000000000000lu ^ u64(hidden_zero));
}

// The first 26 significant bits of x.
fn upper(x: Real) -> Real {
    return bitcast<Real>(bitcast<u64>(x) & 0xfffffffff8000000lu);
}

// a - b c, exact wherever the result has no more digits than a number can hold and the product does not overflow.
fn residual(a: Real, b: Real, c: Real) -> Real {
    let b_high = upper(b);
    let c_high = upper(c);
    let b_low = b - b_high;
    let c_low = c - c_high;
    return kept(kept(kept(a - b_high * c_high) - b_high * c_low) - b_low * c_high) - b_low * c_low;
}

// The smaller one; a NaN in either is kept, which min() does not promise.
fn min_kept(a: Real, b: Real) -> Real {
    return select(select(a, b, (b < a) | is_nan_real(b)), a, is_nan_real(a));
}

// The larger one; a NaN in either is kept.
fn max_kept(a: Real, b: Real) -> Real {
    return select(select(a, b, (b > a) | is_nan_real(b)), a, is_nan_real(a));
}

// floor(a/b). Devices divide to 2.5 ulp, by which 6/3 may fall short of 2: the remainder of the division puts it right.
fn quotient(a: Real, b: Real) -> Real {
    let rough = a / b;
    let better = rough + residual(a, rough, b) / b;
    return floor(select(rough, better, is_finite_real(better)));
}

// a - b floor(a/b), so that the sign is the divisor's.
fn remainder(a: Real, b: Real) -> Real {
    return residual(a, quotient(a, b), b);
}

// exp(r) for |r| <= ln(2)/2, from its minimax polynomial of degree 11 (relative error 1.1e-17).
fn exp_series(r: Real) -> Real {
    return fma(mean_series(r), r, 1.0);
}

// (exp(r) - 1)/r, from the same polynomial.
fn mean_series(r: Real) -> Real {
    var q = fma(r, 2.5000026617388892e-8, 2.763030744012213e-7);
    q = fma(q, r, 2.755758678563136e-6);
    q = fma(q, r, 2.4801492946079184e-5);
    q = fma(q, r, 0.00019841269505784304);
    q = fma(q, r, 0.0013888888943763633);
    q = fma(q, r, 0.00833333333349498);
    q = fma(q, r, 0.04166666666652971);
    q = fma(q, r, 0.1666666666666641);
    q = fma(q, r, 0.5000000000000011);
    return fma(q, r, 1.0);
}

// p 2^k for |k| <= 2044, in two halves, which reach denormals and infinity without a branch.
fn scaled(p: Real, k: i32) -> Real {
    let half = k >> 1u;
    return kept(p * bitcast<Real>(u64(u32(half + 1023)) << 52u)) * bitcast<Real>(u64(u32(k - half + 1023)) << 52u);
}

// exp(x), but x counts as 690 at most and as -690 at least. A NaN goes through.
fn bounded_exp(x: Real) -> Real {
    let end = bitcast<Real>((bitcast<u64>(x) & 0x8000000000000000lu) | 0x4085900000000000lu);
    let y = select(x, end, abs(x) > 690.0);
    let shifted = kept(fma(y, LOG2_E, ROUND));
    let n = shifted - ROUND;
    let r = fma(n, -LN2_LOW, kept(fma(n, -LN2_HIGH, y)));
    return exp_series(r) * bitcast<Real>((bitcast<u64>(shifted) << 52u) + 0x3ff0000000000000lu);
}

// 2^x, but x counts as 995 at most and as -995 at least. A NaN goes through. What is left of x beside the nearest whole number is exact.
fn bounded_exp2(x: Real) -> Real {
    let end = bitcast<Real>((bitcast<u64>(x) & 0x8000000000000000lu) | 0x408f180000000000lu);
    let y = select(x, end, abs(x) > 995.0);
    let shifted = kept(y + ROUND);
    let r = y - kept(shifted - ROUND);
    var q = fma(r, 4.4362962755652197e-10, 7.073597234231652e-9);
    q = fma(q, r, 1.0178184831095999e-7);
    q = fma(q, r, 1.3215436512960194e-6);
    q = fma(q, r, 1.5252733546159432e-5);
    q = fma(q, r, 0.00015403530454240674);
    q = fma(q, r, 0.0013333558146687082);
    q = fma(q, r, 0.009618129107596863);
    q = fma(q, r, 0.05550410866482073);
    q = fma(q, r, 0.24022650695910125);
    q = fma(q, r, 0.69314718055994531);
    q = fma(q, r, 1.0);
    return q * bitcast<Real>((bitcast<u64>(shifted) << 52u) + 0x3ff0000000000000lu);
}

// (exp(x) - 1)/x, which is 1 at 0; bounded as above. Where 2^n is 1 the series is that already.
fn mean_exp(x: Real) -> Real {
    let end = bitcast<Real>((bitcast<u64>(x) & 0x8000000000000000lu) | 0x4085900000000000lu);
    let y = select(x, end, abs(x) > 690.0);
    let shifted = kept(fma(y, LOG2_E, ROUND));
    let n = shifted - ROUND;
    let r = fma(n, -LN2_LOW, kept(fma(n, -LN2_HIGH, y)));
    let near = mean_series(r);
    let e = kept(fma(near, r, 1.0) * bitcast<Real>((bitcast<u64>(shifted) << 52u) + 0x3ff0000000000000lu));
    return select((e - 1.0) / x, near, n == 0.0);
}

// exp(x); infinite above the range, 0 below it.
fn exp_real(x: Real) -> Real {
    let below = select(x, 709.9, x > 709.9);
    let y = select(below, -746.0, below < -746.0);
    let shifted = kept(fma(y, LOG2_E, ROUND));
    let n = shifted - ROUND;
    let r = fma(n, -LN2_LOW, kept(fma(n, -LN2_HIGH, y)));
    return scaled(exp_series(r), bitcast<i32>(u32(bitcast<u64>(shifted))));
}

// x > 0 as m 2^e with m in [sqrt(1/2), sqrt(2)): m and e.
fn mantissa_and_exponent(x: Real) -> vec2<Real> {
    let tiny = x < 2.2250738585072014e-308;
    let bits = bitcast<u64>(select(x, x * 18014398509481984.0, tiny));
    let e = bitcast<i32>(u32((bits - 0x3fe6a09e00000000lu) >> 32u)) >> 20u;
    let m = bitcast<Real>(bits - (u64(bitcast<u32>(e)) << 52u));
    return vec2<Real>(m, Real(e) - select(Real(0.0), Real(54.0), tiny));
}

// ln(x); minus infinity at 0, NaN below.
fn log_real(x: Real) -> Real {
    let parts = mantissa_and_exponent(x);
    let f = parts.x - 1.0;
    // 2 atanh(s) for s = (m-1)/(m+1), |s| <= 0.172: ln m = f - s (f - tail), where f is exact and the rest is small.
    let s = f / (parts.x + 1.0);
    let z = s * s;
    var tail = fma(z, 0.14798250992169024, 0.1531383267202647);
    tail = fma(tail, z, 0.18183572343464835);
    tail = fma(tail, z, 0.22222198429080595);
    tail = fma(tail, z, 0.2857142874368621);
    tail = fma(tail, z, 0.3999999999940935);
    tail = fma(tail, z, 0.6666666666666735) * z;
    let ln_m = f - s * (f - tail);
    let finite = fma(parts.y, LN2_HIGH, fma(parts.y, LN2_LOW, ln_m));
    let bits = bitcast<u64>(x);
    let result = select(finite, x, bits == 0x7ff0000000000000lu);
    let real = select(result, not_a_number(), bits > 0x7ff0000000000000lu);
    return select(real, -infinite(), (bits & 0x7ffffffffffffffflu) == 0lu);
}

fn log10_real(x: Real) -> Real {
    return log_real(x) * 0.43429448190325183;
}

// x^y for x > 0 and finite y, by 2^(y log2 x) with the logarithm and the product in two words each.
fn power_of_positive(x: Real, y: Real) -> Real {
    let parts = mantissa_and_exponent(x);
    let m = parts.x;
    let e = parts.y;
    // s = (m-1)/(m+1) in two words.
    let f = m - 1.0;
    let d = m + 1.0;
    let d_high = upper(d);
    let d_low = m - kept(d_high - 1.0);
    let s = f / d;
    let s_high = upper(s);
    let s_low = (kept(f - s_high * d_high) - s_high * d_low) / d;
    // atanh(s) = s t/3 with t = 3 + z + 3/5 z^2 + 3/7 z^3 + ... for z = s^2; the sum from z^2 on is a minimax polynomial.
    let z = s * s;
    let square = s_high * s_high;
    var series = fma(z, 0.19795495519843653, 0.198851214118372);
    series = fma(series, z, 0.23080140387701126);
    series = fma(series, z, 0.272726764582964);
    series = fma(series, z, 0.33333333780904567);
    series = fma(series, z, 0.4285714285514386);
    series = fma(series, z, 0.600000000000034);
    let rest = fma(z * z, series, s_low * (s_high + s));
    let t_high = upper(3.0 + square + rest);
    let t_low = rest - kept(kept(t_high - 3.0) - square);
    let u = s_high * t_high;
    let v = fma(s_low, t_high, s * t_low);
    let w_high = upper(u + v);
    let w_low = v - kept(w_high - u);
    // log2 m = c s t for c = 2/(3 ln 2), whose first word has 26 bits.
    let p_high = 0.9617966860532761 * w_high;
    let p_low = fma(7.872699542894897e-9, w_high, 0.9617966939259756 * w_low);
    let log_high = upper(e + (p_high + p_low));
    let log_low = p_low - kept(kept(log_high - e) - p_high);
    // No finite power other than 1 needs an exponent beyond 2^64.
    let exponent = select(y, select(Real(-18446744073709551616.0), Real(18446744073709551616.0), y > 0.0), abs(y) > 18446744073709551616.0);
    let y_high = upper(exponent);
    let y_low = exponent - y_high;
    let q_high = y_high * log_high;
    let q_low = fma(y_low, log_high, exponent * log_low);
    let q = q_high + q_low;
    let far = abs(q) > 1200.0;
    let n = round(select(q, select(Real(-1200.0), Real(1200.0), q > 0.0), far));
    let r = select(kept(q_high - n) + q_low, 0.0, far);
    return scaled(exp_series(r * LN2), i32(n));
}

// x^y as C's pow: NaN for a negative x unless y is whole.
fn pow_real(x: Real, y: Real) -> Real {
    let size = abs(x);
    let unbounded = bitcast<u64>(size) == 0x7ff0000000000000lu;
    let edge = (size == 0.0) | unbounded;
    let whole = floor(y) == y;
    let half = 0.5 * y;
    let odd = whole & (floor(half) != half);
    let negative = (bitcast<u64>(x) & 0x8000000000000000lu) != 0lu;
    let at_edge = select(0.0, infinite(), unbounded == (y > 0.0));
    let positive = select(power_of_positive(size, y), at_edge, edge);
    let signed = select(positive, -positive, negative & odd);
    let undefined = (negative & !edge & !whole) | is_nan_real(x) | is_nan_real(y);
    let result = select(signed, not_a_number(), undefined);
    return select(result, 1.0, (x == 1.0) | (y == 0.0));
}

// sin(r) for |r| <= pi/4 (minimax, absolute error below 3.5e-18 r).
fn sin_series(r: Real) -> Real {
    let z = r * r;
    var p = fma(z, 1.5896681810483292e-10, -2.5050756713810158e-8);
    p = fma(p, z, 2.755731368757074e-6);
    p = fma(p, z, -0.00019841269829813413);
    p = fma(p, z, 0.008333333333322455);
    p = fma(p, z, -0.16666666666666632);
    return fma(p * z, r, r);
}

// cos(r) for |r| <= pi/4 (minimax, relative error 5.8e-20).
fn cos_series(r: Real) -> Real {
    let z = r * r;
    var p = fma(z, -1.1358616991131575e-11, 2.0875703139295864e-9);
    p = fma(p, z, -2.755731420307781e-7);
    p = fma(p, z, 2.4801587288965227e-5);
    p = fma(p, z, -0.0013888888888873307);
    p = fma(p, z, 0.041666666666666595);
    return fma(p * z, z, fma(z, -0.5, 1.0));
}

// x = n pi/2 + r, |r| <= pi/4: r and n. pi/2 is in four words, the first three of 33 bits, so that their products with n
// are exact up to |x| = 1.6e6. Beyond, the results are those of an argument that is wrong by about its own rounding, and
// beyond 3e9, where n is no longer a 32-bit number, they are only bounded.
fn quarter_turns(x: Real) -> vec2<Real> {
    let n = round(x * 0.6366197723675814);
    var r = kept(fma(n, -1.5707963267341256, x));
    r = kept(fma(n, -6.077100506303966e-11, r));
    r = kept(fma(n, -2.0222662487111665e-21, r));
    r = fma(n, -8.4784276603689e-32, r);
    return vec2<Real>(select(r, 0.0, abs(r) > 1.0), n);
}

fn sin_real(x: Real) -> Real {
    let turned = quarter_turns(x);
    let n = i32(turned.y);
    let size = select(sin_series(turned.x), cos_series(turned.x), (n & 1) != 0);
    return select(size, -size, (n & 2) != 0);
}

fn cos_real(x: Real) -> Real {
    let turned = quarter_turns(x);
    let n = i32(turned.y);
    let size = select(cos_series(turned.x), sin_series(turned.x), (n & 1) != 0);
    return select(size, -size, ((n + 1) & 2) != 0);
}

fn tan_real(x: Real) -> Real {
    let turned = quarter_turns(x);
    let s = sin_series(turned.x);
    let c = cos_series(turned.x);
    let odd = (i32(turned.y) & 1) != 0;
    return select(s, -c, odd) / select(c, s, odd);
}

// (asin(q) - q)/q for z = q^2 <= 1/4 (minimax, error 1.8e-18).
fn asin_series(z: Real) -> Real {
    var p = fma(z, 0.032648507896034996, -0.021029287044654486);
    p = fma(p, z, 0.021727650407105822);
    p = fma(p, z, 0.0036986062620909346);
    p = fma(p, z, 0.010782175953682258);
    p = fma(p, z, 0.011398596949147355);
    p = fma(p, z, 0.013980855265291641);
    p = fma(p, z, 0.017351609484387);
    p = fma(p, z, 0.022372215104091032);
    p = fma(p, z, 0.030381942704729506);
    p = fma(p, z, 0.044642857174645605);
    p = fma(p, z, 0.0749999999997081);
    return fma(p, z, 0.1666666666666676) * z;
}

// Beyond 1/2 by asin(x) = pi/2 - 2 asin(sqrt((1-x)/2)).
fn asin_real(x: Real) -> Real {
    let size = abs(x);
    let far = size > 0.5;
    let z = select(x * x, 0.5 * (1.0 - size), far);
    let q = select(size, sqrt(z), far);
    let near = fma(q, asin_series(z), q);
    let result = select(near, fma(near, -2.0, 1.5707963267948966), far);
    let signed = select(result, -result, x < 0.0);
    return select(signed, not_a_number(), (size > 1.0) | is_nan_real(x));
}

fn acos_real(x: Real) -> Real {
    let size = abs(x);
    let far = size > 0.5;
    let z = select(x * x, 0.5 * (1.0 - size), far);
    let q = select(x, sqrt(z), far);
    let near = fma(q, asin_series(z), q);
    let away = select(2.0 * near, fma(near, -2.0, 3.1415926535897932), x < 0.0);
    let result = select(1.5707963267948966 - near, away, far);
    return select(result, not_a_number(), (size > 1.0) | is_nan_real(x));
}

// By atan(x) = pi/4 + atan((x-1)/(x+1)) from tan(pi/8) to tan(3 pi/8), and pi/2 - atan(1/x) beyond.
fn atan_real(x: Real) -> Real {
    let size = abs(x);
    let middle = size > 0.41421356237309503;
    let far = size > 2.414213562373095;
    let above = select(size, select(size - 1.0, -1.0, far), middle);
    let below = select(1.0, select(size + 1.0, size, far), middle);
    let t = above / below;
    let z = t * t;
    // Minimax, relative error 1.3e-18.
    var p = fma(z, -0.01791137242974383, 0.03806858486535467);
    p = fma(p, z, -0.05039471738106872);
    p = fma(p, z, 0.05847928224932515);
    p = fma(p, z, -0.06663109633286608);
    p = fma(p, z, 0.07692060724272441);
    p = fma(p, z, -0.09090897787205666);
    p = fma(p, z, 0.11111110784507953);
    p = fma(p, z, -0.14285714280217862);
    p = fma(p, z, 0.19999999999953802);
    p = fma(p, z, -0.333333333333332) * z;
    let near = fma(t, p, t);
    let result = near + select(0.0, select(Real(0.7853981633974483), Real(1.5707963267948966), far), middle);
    return select(result, -result, x < 0.0);
}

// u/(e - 1) for e = exp(u), which is 1 at u = 0. Below |u| = 0.5 its series, with the Bernoulli numbers; what is left out
// is below 6e-18.
fn bernoulli(u: Real, e: Real) -> Real {
    let z = u * u;
    // 1/12, -1/720, 1/30240, -1/1209600, 1/47900160, -691/1307674368000, 1/74724249600.
    var even = fma(z, 1.3382536530684679e-11, -5.2841901386874932e-10);
    even = fma(even, z, 2.0876756987868099e-8);
    even = fma(even, z, -8.2671957671957672e-7);
    even = fma(even, z, 3.3068783068783069e-5);
    even = fma(even, z, -0.0013888888888888889);
    even = fma(even, z, 0.083333333333333333);
    even = fma(even, z, 1.0);
    let near = fma(u, -0.5, even);
    return select(u / (e - 1.0), near, abs(u) < 0.5);
}

// The derivative of b = u/(exp(u) - 1) by u.
fn bernoulli_slope(u: Real, b: Real) -> Real {
    let z = u * u;
    // 1/6, -1/180, 1/5040, -1/151200, 1/4790016, -691/108972864000, 1/5337446400.
    var odd = fma(z, 1.8735551142958550e-10, -6.3410281664249919e-9);
    odd = fma(odd, z, 2.0876756987868099e-7);
    odd = fma(odd, z, -6.6137566137566138e-6);
    odd = fma(odd, z, 0.00019841269841269841);
    odd = fma(odd, z, -0.0055555555555555556);
    odd = fma(odd, z, 0.16666666666666667);
    let near = fma(u, odd, -0.5);
    return select(b * ((1.0 - b) / u - 1.0), near, abs(u) < 0.5);
}
