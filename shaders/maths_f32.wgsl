alias Real = f32;
var<private> hidden_zero: u32;
const LARGEST: Real = 3.4028234e38;
fn kept(x: Real) -> Real { return bitcast<f32>(bitcast<u32>(x) ^ hidden_zero); }
fn is_finite_real(x: Real) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }
fn max_kept(a: Real, b: Real) -> Real { return select(a, b, b > a || (bitcast<u32>(b) & 0x7fffffffu) > 0x7f800000u); }
fn min_kept(a: Real, b: Real) -> Real { return select(a, b, b < a || (bitcast<u32>(b) & 0x7fffffffu) > 0x7f800000u); }
fn bounded_exp(a: Real) -> Real {
    let x = max(min(a, 80.0), -87.0);
    let shifted = kept(fma(x, 1.442695, 12582912.0));
    let n = shifted - 12582912.0;
    let r = fma(n, -1.4286068e-6, kept(fma(n, -0.69314575, x)));
    let p = fma(fma(fma(fma(fma(fma(fma(1.0/5040.0, r, 1.0/720.0), r, 1.0/120.0), r, 1.0/24.0), r, 1.0/6.0), r, 0.5), r, 1.0), r, 1.0);
    return bitcast<f32>(bitcast<u32>(p) + ((bitcast<u32>(shifted) - 0x4b400000u) << 23u));
}
fn exp_real(a: Real) -> Real { return bounded_exp(a); }
fn log_real(a: Real) -> Real { return log(a); }
fn bernoulli(u: Real, e: Real) -> Real {
    let z = u * u;
    let near = fma(fma(fma(fma(1.0/30240.0, z, -1.0/720.0), z, 1.0/12.0), z, 1.0), 1.0, u * -0.5);
    return select(u / (e - 1.0), near, abs(u) < 0.5);
}
fn bernoulli_slope(u: Real, b: Real) -> Real {
    let z = u * u;
    let near = fma(u, fma(fma(1.0/5040.0, z, -1.0/180.0), z, 1.0/6.0), -0.5);
    return select(b * ((1.0 - b) / u - 1.0), near, abs(u) < 0.5);
}
