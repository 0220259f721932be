// Elementary functions in single precision, under the names that the table of operations calls.
// The twin in double precision has the same functions in the same order; the bounds of their errors, in ulps, are measured
// against the CPU by the tests of the operations.
//
// WGSL lets exp, log, pow and sin be wrong by far more than that (a software driver's exp by 64 ulps at its ends), so nothing
// here calls them. Devices may flush denormal numbers to zero; a function of one may then give what it gives at zero.

alias Real = f32;

// Zero, but no compiler knows it: the kernel sets it from a buffer.
var<private> hidden_zero: u32;

// The largest finite number.
const LARGEST: Real = 3.4028234663852886e38;

// 1.5 * 2^23: a number to which this is added stands as a whole number in the low bits of the sum.
const ROUND: Real = 12582912.0;
const LOG2_E: Real = 1.44269504088896341;
const LN2: Real = 0.69314718055994531;
// ln 2 in two words; the first has 15 significant bits, so that its product with an exponent is exact.
const LN2_HIGH: Real = 0.693145751953125;
const LN2_LOW: Real = 1.428606765330187e-6;

// x, hidden from the compiler. Compilers take sums and products apart and put them together otherwise, as if rounding did
// not exist: where the order of two roundings matters, the result of the first goes through this.
fn kept(x: Real) -> Real {
    return bitcast<Real>(bitcast<u32>(x) ^ hidden_zero);
}

// By the bits of the exponent: a comparison of x with itself may be optimised away.
fn is_finite_real(x: Real) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

fn is_nan_real(x: Real) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// WGSL has no literal for it and refuses constant expressions that give it.
fn infinite() -> Real {
    return bitcast<Real>(0x7f800000u ^ hidden_zero);
}

fn not_a_number() -> Real {
    return bitcast<Real>(0x7fc00000u ^ hidden_zero);
}

// The first 12 significant bits of x: the product of two such numbers is exact.
fn upper(x: Real) -> Real {
    return bitcast<Real>(bitcast<u32>(x) & 0xfffff000u);
}

// a - b c, exact wherever the result has no more digits than a number can hold and the product does not overflow.
// A fused multiply-add would do, if WGSL's were certain to round once.
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

// exp(r) for |r| <= ln(2)/2, from its minimax polynomial of degree 6 (relative error 3.2e-9).
fn exp_series(r: Real) -> Real {
    return fma(mean_series(r), r, 1.0);
}

// (exp(r) - 1)/r, from the same polynomial.
fn mean_series(r: Real) -> Real {
    var q = fma(r, 0.0013838812, 0.0083691925);
    q = fma(q, r, 0.041668102);
    q = fma(q, r, 0.16666517);
    q = fma(q, r, 0.49999994);
    return fma(q, r, 1.0);
}

// p 2^k for |k| <= 252, in two halves, which reach denormals and infinity without a branch.
fn scaled(p: Real, k: i32) -> Real {
    let half = k >> 1u;
    return kept(p * bitcast<Real>((half + 127) << 23u)) * bitcast<Real>((k - half + 127) << 23u);
}

// exp(x), but x counts as 80 at most and as -80 at least. This is where a step spends its time.
// One comparison bounds both ends; a NaN fails it and goes through.
fn bounded_exp(x: Real) -> Real {
    let end = bitcast<Real>((bitcast<u32>(x) & 0x80000000u) | 0x42a00000u);
    let y = select(x, end, abs(x) > 80.0);
    // Cody and Waite's reduction.
    let shifted = kept(fma(y, LOG2_E, ROUND));
    let n = shifted - ROUND;
    let r = fma(n, -LN2_LOW, kept(fma(n, -LN2_HIGH, y)));
    // n stands in the low bits of `shifted`; the factor 2^n is never denormal or infinite here. Adding n to the exponent
    // of the series instead would save an instruction and turn some NaNs into numbers.
    return exp_series(r) * bitcast<Real>((bitcast<u32>(shifted) << 23u) + 0x3f800000u);
}

// 2^x, but x counts as 115 at most and as -115 at least. A NaN goes through. What is left of x beside the nearest whole number is exact.
fn bounded_exp2(x: Real) -> Real {
    let end = bitcast<Real>((bitcast<u32>(x) & 0x80000000u) | 0x42e60000u);
    let y = select(x, end, abs(x) > 115.0);
    let shifted = kept(y + ROUND);
    let r = y - kept(shifted - ROUND);
    var q = fma(r, 0.00015347992, 0.001339091);
    q = fma(q, r, 0.009618461);
    q = fma(q, r, 0.0555036);
    q = fma(q, r, 0.24022648);
    q = fma(q, r, 0.6931472);
    q = fma(q, r, 1.0);
    return q * bitcast<Real>((bitcast<u32>(shifted) << 23u) + 0x3f800000u);
}

// (exp(x) - 1)/x, which is 1 at 0; bounded as above. Where 2^n is 1 the series is that already.
fn mean_exp(x: Real) -> Real {
    let end = bitcast<Real>((bitcast<u32>(x) & 0x80000000u) | 0x42a00000u);
    let y = select(x, end, abs(x) > 80.0);
    let shifted = kept(fma(y, LOG2_E, ROUND));
    let n = shifted - ROUND;
    let r = fma(n, -LN2_LOW, kept(fma(n, -LN2_HIGH, y)));
    let near = mean_series(r);
    let e = kept(fma(near, r, 1.0) * bitcast<Real>((bitcast<u32>(shifted) << 23u) + 0x3f800000u));
    return select((e - 1.0) / x, near, n == 0.0);
}

// exp(x); infinite above the range, 0 below it.
fn exp_real(x: Real) -> Real {
    let below = select(x, 89.0, x > 89.0);
    let y = select(below, -104.0, below < -104.0);
    let shifted = kept(fma(y, LOG2_E, ROUND));
    let n = shifted - ROUND;
    let r = fma(n, -LN2_LOW, kept(fma(n, -LN2_HIGH, y)));
    return scaled(exp_series(r), bitcast<i32>(shifted) - bitcast<i32>(ROUND));
}

// x > 0 as m 2^e with m in [sqrt(1/2), sqrt(2)): m and e.
fn mantissa_and_exponent(x: Real) -> vec2<Real> {
    let tiny = x < 1.1754943508222875e-38;
    let bits = bitcast<u32>(select(x, x * 33554432.0, tiny));
    // Offset so that mantissas from sqrt(1/2) up share an exponent.
    let e = bitcast<i32>(bits - 0x3f3504f3u) >> 23u;
    let m = bitcast<Real>(bits - (bitcast<u32>(e) << 23u));
    return vec2<Real>(m, Real(e) - select(Real(0.0), Real(25.0), tiny));
}

// ln(x); minus infinity at 0, NaN below.
fn log_real(x: Real) -> Real {
    let parts = mantissa_and_exponent(x);
    let f = parts.x - 1.0;
    // 2 atanh(s) for s = (m-1)/(m+1), |s| <= 0.172: ln m = f - s (f - tail), where f is exact and the rest is small.
    let s = f / (parts.x + 1.0);
    let z = s * s;
    var tail = fma(z, 0.29871067, 0.39977577);
    tail = fma(tail, z, 0.66666776) * z;
    let ln_m = f - s * (f - tail);
    let finite = fma(parts.y, LN2_HIGH, fma(parts.y, LN2_LOW, ln_m));
    let bits = bitcast<u32>(x);
    let result = select(finite, x, bits == 0x7f800000u);
    let real = select(result, not_a_number(), bits > 0x7f800000u);
    return select(real, -infinite(), (bits & 0x7fffffffu) == 0u);
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
    var series = fma(z, 0.35129452, 0.42820635);
    series = fma(series, z, 0.6000023);
    let rest = fma(z * z, series, s_low * (s_high + s));
    let t_high = upper(3.0 + square + rest);
    let t_low = rest - kept(kept(t_high - 3.0) - square);
    let u = s_high * t_high;
    let v = fma(s_low, t_high, s * t_low);
    let w_high = upper(u + v);
    let w_low = v - kept(w_high - u);
    // log2 m = c s t for c = 2/(3 ln 2), whose first word has 12 bits.
    let p_high = 0.961669921875 * w_high;
    let p_low = fma(0.00012677205086220056, w_high, 0.9617967009544373 * w_low);
    let log_high = upper(e + (p_high + p_low));
    let log_low = p_low - kept(kept(log_high - e) - p_high);
    // No finite power other than 1 needs an exponent beyond 2^32.
    let exponent = select(y, select(Real(-4294967296.0), Real(4294967296.0), y > 0.0), abs(y) > 4294967296.0);
    let y_high = upper(exponent);
    let y_low = exponent - y_high;
    let q_high = y_high * log_high;
    let q_low = fma(y_low, log_high, exponent * log_low);
    let q = q_high + q_low;
    let far = abs(q) > 200.0;
    let n = round(select(q, select(Real(-200.0), Real(200.0), q > 0.0), far));
    let r = select(kept(q_high - n) + q_low, 0.0, far);
    return scaled(exp_series(r * LN2), i32(n));
}

// x^y as C's pow: NaN for a negative x unless y is whole.
fn pow_real(x: Real, y: Real) -> Real {
    let size = abs(x);
    let unbounded = bitcast<u32>(size) == 0x7f800000u;
    let edge = (size == 0.0) | unbounded;
    let whole = floor(y) == y;
    let half = 0.5 * y;
    let odd = whole & (floor(half) != half);
    let negative = (bitcast<u32>(x) & 0x80000000u) != 0u;
    let at_edge = select(0.0, infinite(), unbounded == (y > 0.0));
    let positive = select(power_of_positive(size, y), at_edge, edge);
    let signed = select(positive, -positive, negative & odd);
    let undefined = (negative & !edge & !whole) | is_nan_real(x) | is_nan_real(y);
    let result = select(signed, not_a_number(), undefined);
    return select(result, 1.0, (x == 1.0) | (y == 0.0));
}

// sin(r) for |r| <= pi/4 (minimax, absolute error below 3.7e-9 r).
fn sin_series(r: Real) -> Real {
    let z = r * r;
    var p = fma(z, -0.00019518405, 0.00833219);
    p = fma(p, z, -0.16666655);
    return fma(p * z, r, r);
}

// cos(r) for |r| <= pi/4 (minimax, relative error 1.2e-10).
fn cos_series(r: Real) -> Real {
    let z = r * r;
    var p = fma(z, 2.4432327e-5, -0.001388731);
    p = fma(p, z, 0.041666646);
    return fma(p * z, z, fma(z, -0.5, 1.0));
}

// x = n pi/2 + r, |r| <= pi/4: r and n. pi/2 is in four words, the first three of 11 bits, so that their products with n
// are exact up to |x| = 12867. Beyond, the results are those of an argument that is wrong by about its own rounding, and
// beyond 4e6, where an argument names no angle any more, they are only bounded.
fn quarter_turns(x: Real) -> vec2<Real> {
    let n = round(x * 0.6366197723675814);
    var r = kept(fma(n, -1.5703125, x));
    r = kept(fma(n, -0.0004837512969970703, r));
    r = kept(fma(n, -7.549533620476723e-8, r));
    r = fma(n, -2.5633440682570896e-12, r);
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

// (asin(q) - q)/q for z = q^2 <= 1/4 (minimax, error 4.9e-9).
fn asin_series(z: Real) -> Real {
    var p = fma(z, 0.042166412, 0.024180774);
    p = fma(p, z, 0.045469772);
    p = fma(p, z, 0.074953064);
    return fma(p, z, 0.16666752) * z;
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
    // Minimax, relative error 6.8e-10.
    var p = fma(z, -0.060915694, 0.10599772);
    p = fma(p, z, -0.14244467);
    p = fma(p, z, 0.19998531);
    p = fma(p, z, -0.33333316) * z;
    let near = fma(t, p, t);
    let result = near + select(0.0, select(Real(0.7853981633974483), Real(1.5707963267948966), far), middle);
    return select(result, -result, x < 0.0);
}

// u/(e - 1) for e = exp(u), which is 1 at u = 0. Below |u| = 0.5 its series, with the Bernoulli numbers; what is left out
// is below 4e-9.
fn bernoulli(u: Real, e: Real) -> Real {
    let z = u * u;
    var even = fma(z, 3.3068783068783069e-5, -0.0013888888888888889);
    even = fma(even, z, 0.083333333333333333);
    even = fma(even, z, 1.0);
    let near = fma(u, -0.5, even);
    return select(u / (e - 1.0), near, abs(u) < 0.5);
}

// The derivative of b = u/(exp(u) - 1) by u. What the series leaves out is below 5e-10.
fn bernoulli_slope(u: Real, b: Real) -> Real {
    let z = u * u;
    var odd = fma(z, -6.6137566137566138e-6, 0.00019841269841269841);
    odd = fma(odd, z, -0.0055555555555555556);
    odd = fma(odd, z, 0.16666666666666667);
    let near = fma(u, odd, -0.5);
    return select(b * ((1.0 - b) / u - 1.0), near, abs(u) < 0.5);
}
