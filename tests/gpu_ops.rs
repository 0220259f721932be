//! Every operation of the table as a GPU computes it, against double precision on the CPU.
//!
//! The list of operations is the table itself, so an operation without WGSL, or with WGSL that computes something else,
//! cannot exist. `cargo test --release --test gpu_ops -- --nocapture` prints the largest error of each.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use naga::valid::{Capabilities, ValidationFlags, Validator};
use sarcolemma::backend::gpu::{Choice, Device, adapters, choose};
use sarcolemma::ops::{Op, eval};

/// Arguments of one evaluation; those beyond the op's arity are ignored.
type Args = [f64; 3];

/// A precision: its name, its functions, and its format.
struct Precision {
    name: &'static str,
    maths: &'static str,
    /// Significant bits.
    digits: i32,
    /// Exponents of the smallest normal and the largest number.
    exponents: (i32, i32),
    /// Bytes of a number.
    bytes: usize,
}

const SINGLE: Precision = Precision {
    name: "f32",
    maths: include_str!("../shaders/maths_f32.wgsl"),
    digits: 24,
    exponents: (-126, 127),
    bytes: 4,
};

const DOUBLE: Precision = Precision {
    name: "f64",
    maths: include_str!("../shaders/maths_f64.wgsl"),
    digits: 53,
    exponents: (-1022, 1023),
    bytes: 8,
};

impl Precision {
    /// The nearest number of this precision.
    fn round(&self, x: f64) -> f64 {
        if self.bytes == 4 {
            f64::from(x as f32)
        } else {
            x
        }
    }

    fn pack(&self, values: &[f64]) -> Vec<u8> {
        if self.bytes == 4 {
            values
                .iter()
                .flat_map(|x| (*x as f32).to_le_bytes())
                .collect()
        } else {
            values.iter().flat_map(|x| x.to_le_bytes()).collect()
        }
    }

    fn unpack(&self, bytes: &[u8]) -> Vec<f64> {
        if self.bytes == 4 {
            let singles: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
            singles.into_iter().map(f64::from).collect()
        } else {
            bytemuck::pod_collect_to_vec(bytes)
        }
    }

    fn smallest_normal(&self) -> f64 {
        f64::from(self.exponents.0).exp2()
    }

    fn largest(&self) -> f64 {
        self.round(if self.bytes == 4 {
            f64::from(f32::MAX)
        } else {
            f64::MAX
        })
    }

    /// The distance of `found` from `exact` in units of the last place at `size`.
    fn ulps(&self, found: f64, exact: f64, size: f64) -> f64 {
        if found.is_nan() || exact.is_nan() {
            return if found.is_nan() && exact.is_nan() {
                0.0
            } else {
                f64::INFINITY
            };
        }
        if found == self.round(exact) {
            return if self.bytes == 4 && exact.is_finite() && found.is_finite() {
                (found - exact).abs() / self.last_place(size)
            } else {
                0.0
            };
        }
        // A device may flush what is too small to be normal.
        let tiny = self.smallest_normal();
        if exact.abs() < tiny && found.abs() <= tiny {
            return 0.0;
        }
        (found - exact).abs() / self.last_place(size)
    }

    fn last_place(&self, size: f64) -> f64 {
        let exponent = size.abs().log2().floor();
        let (least, most) = self.exponents;
        (exponent.clamp(f64::from(least), f64::from(most)) - f64::from(self.digits - 1)).exp2()
    }
}

/// The device, or `None` where there is no driver; under CI that is a failure.
fn device() -> Option<Device> {
    let list = adapters();
    match choose(&list, &Choice::Best) {
        Ok(adapter) => Some(Device::open(adapter).unwrap()),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{why}");
            eprintln!("not run: {why}");
            None
        }
    }
}

/// A shader that reads triples of arguments and writes `body`'s `result`.
fn shader(precision: &Precision, body: &str) -> String {
    format!(
        "{}
@group(0) @binding(0) var<storage, read_write> zero: array<u32>;
@group(0) @binding(1) var<storage, read_write> arguments: array<Real>;
@group(0) @binding(2) var<storage, read_write> results: array<Real>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
    hidden_zero = zero[0];
    let a = arguments[3u * id.x];
    let b = arguments[3u * id.x + 1u];
    let c = arguments[3u * id.x + 2u];
    var result = Real(0);
    {body}
    results[id.x] = result;
}}
",
        precision.maths
    )
}

fn shader_of(op: Op, precision: &Precision) -> String {
    shader(
        precision,
        &format!("result = {};", op.wgsl(&["a", "b", "c"][..op.arity()])),
    )
}

/// The results of a shader for each triple.
fn run(device: &Device, precision: &Precision, shader: &str, args: &[Args]) -> Vec<f64> {
    let groups = args.len().div_ceil(64);
    let mut flat: Vec<f64> = args.iter().flatten().copied().collect();
    flat.resize(64 * 3 * groups, 1.0);
    let mut buffers = [
        vec![0u8; 16],
        precision.pack(&flat),
        vec![0u8; 64 * groups * precision.bytes],
    ];
    device
        .run_once(shader, &mut buffers, groups as u32)
        .unwrap_or_else(|e| panic!("{e}\n{shader}"));
    let mut results = precision.unpack(&buffers[2]);
    results.truncate(args.len());
    results
}

/// Numbers that follow from a seed alone (splitmix64).
struct Draws(u64);

impl Draws {
    /// Uniform in `low..high`.
    fn within(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        low + (high - low) * ((z >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// Of either sign, with a magnitude of two to a power that is uniform in `low..high`.
    fn scattered(&mut self, low: f64, high: f64) -> f64 {
        let sign = if self.within(0.0, 1.0) < 0.5 {
            -1.0
        } else {
            1.0
        };
        sign * self.within(low, high).exp2()
    }
}

fn grid(low: f64, high: f64, n: usize) -> impl Iterator<Item = f64> {
    (0..=n).map(move |k| low + (high - low) * k as f64 / n as f64)
}

/// What single arguments are probed with beside an op's own range.
fn special(precision: &Precision) -> Vec<f64> {
    let mut list = vec![0.0, f64::INFINITY, f64::NAN, precision.largest()];
    list.extend([1.0, 0.5, 2.0, 3.0, 1e-3, 1e3, 1e10, 1e30]);
    list.push(precision.smallest_normal());
    list.iter().flat_map(|&x| [x, -x]).collect()
}

/// Arguments: dense over the range in which an op is used, both sides of the points where its formula changes, special values.
fn probes(op: Op, precision: &Precision) -> Vec<Args> {
    let mut draws = Draws(1 + op as u64);
    let special = special(precision);
    let single = precision.bytes == 4;
    let mut one: Vec<f64> = Vec::new();
    let mut list: Vec<Args> = Vec::new();
    match op {
        Op::Exp => {
            one.extend(grid(-90.0, 90.0, 30_000));
            one.extend(grid(-1.0, 1.0, 10_000));
            if !single {
                one.extend(grid(-750.0, 715.0, 30_000));
            }
        }
        Op::BoundedExp | Op::MeanExp => {
            let end = if single { 80.0 } else { 690.0 };
            one.extend(grid(-1.1 * end, 1.1 * end, 60_000));
            one.extend(grid(-1.0, 1.0, 10_000));
            one.extend([end, -end]);
        }
        Op::BoundedExp2 => {
            let end = if single { 115.0 } else { 995.0 };
            one.extend(grid(-1.1 * end, 1.1 * end, 60_000));
            one.extend(grid(-1.0, 1.0, 10_000));
            one.extend([end, -end]);
        }
        Op::Log | Op::Log10 => {
            let (least, most) = precision.exponents;
            one.extend(grid(f64::from(least), f64::from(most), 30_000).map(f64::exp2));
            one.extend(grid(0.5, 2.0, 30_000));
            one.extend((1..40).flat_map(|k| {
                let by = f64::from(-k).exp2();
                [1.0 - by, 1.0 + by]
            }));
        }
        Op::Sin | Op::Cos | Op::Tan => {
            let far = if single { 1e4 } else { 1e6 };
            one.extend(grid(-10.0, 10.0, 20_000));
            one.extend((0..20_000).map(|_| draws.within(-far, far)));
            // Next to the zeros, where the reduction cancels most.
            one.extend(grid(-6000.0, 6000.0, 12_000).map(|k| k * std::f64::consts::FRAC_PI_2));
            one.retain(|x| x.abs() <= far);
            one.extend([0.0, -0.0, f64::INFINITY, f64::NAN, 1e-3, 1e-10]);
        }
        Op::Asin | Op::Acos => {
            one.extend(grid(-1.0, 1.0, 40_000));
            one.extend((1..30).flat_map(|k| {
                let by = f64::from(-k).exp2();
                [1.0 - by, by - 1.0, 0.5 + by, 0.5 - by, by, -by]
            }));
        }
        Op::Atan => {
            one.extend(grid(-4.0, 4.0, 30_000));
            one.extend((0..10_000).map(|_| draws.scattered(-40.0, 40.0)));
        }
        Op::Sqrt => one.extend((0..20_000).map(|_| draws.scattered(-100.0, 100.0).abs())),
        Op::Bernoulli | Op::BernoulliSlope => {
            let mut u: Vec<f64> = grid(-40.0, 40.0, 20_000).collect();
            u.extend(grid(-0.6, 0.6, 20_000));
            u.extend((1..60).flat_map(|k| {
                let by = f64::from(-k).exp2();
                [by, -by, 0.5 - by, 0.5 + by, by - 0.5, -by - 0.5]
            }));
            u.extend([0.0, 80.0, -80.0, 1e3]);
            // The second argument is that of a program: the exponential, or the value, as this precision holds it.
            list.extend(u.iter().map(|&u| {
                let u = precision.round(u);
                let e = precision.round(u.clamp(-690.0, 690.0).exp());
                let b = precision.round(eval(Op::Bernoulli, u, u.clamp(-690.0, 690.0).exp(), 0.0));
                [u, if op == Op::Bernoulli { e } else { b }, 0.0]
            }));
            list.push([f64::NAN, f64::NAN, 0.0]);
            if op == Op::Bernoulli {
                list.push([800.0, f64::INFINITY, 0.0]);
            }
        }
        Op::Pow => {
            // Powers over the whole range of results, near and far from a base of 1.
            let most = f64::from(precision.exponents.1) - 1.0;
            for spread in [0.02, 0.5, 3.0, 30.0] {
                for _ in 0..15_000 {
                    let x = precision.round(draws.within(-spread, spread).exp2());
                    let y = precision.round(draws.within(-most, most) / x.log2());
                    list.push([x, y, 0.0]);
                    list.push([x, draws.within(-6.0, 6.0), 0.0]);
                }
            }
            for base in 1..12 {
                for whole in -20..=20 {
                    list.push([f64::from(-base), f64::from(whole), 0.0]);
                    list.push([f64::from(base) * 0.25, f64::from(whole) * 0.5, 0.0]);
                }
            }
            for &x in &special {
                for &y in &special {
                    list.push([x, y, 0.0]);
                }
            }
        }
        Op::Quotient | Op::Remainder => {
            for _ in 0..20_000 {
                list.push([draws.scattered(-5.0, 10.0), draws.scattered(-5.0, 5.0), 0.0]);
                // Whole multiples, where a division that is a hair short gives the wrong number.
                let b = precision.round(draws.scattered(-5.0, 5.0));
                let b = f64::from_bits(b.to_bits() & !0x00ff_ffff_ffff);
                list.push([b * draws.within(-4000.0, 4000.0).round(), b, 0.0]);
            }
            for &a in &special {
                for b in [-3.0, 1.0, 7.0] {
                    if a.abs() <= 1e3 || a.is_nan() {
                        list.push([a, b, 0.0]);
                    }
                }
            }
        }
        op => {
            let choices: Vec<f64> = special
                .iter()
                .copied()
                .chain((0..40).map(|_| draws.scattered(-8.0, 8.0)))
                .collect();
            match op.arity() {
                1 => {
                    one.extend(&choices);
                    one.extend(grid(-5.0, 5.0, 1000));
                    one.extend((0..20_000).map(|_| draws.scattered(-60.0, 60.0)));
                }
                2 => {
                    for &a in &choices {
                        list.extend(choices.iter().map(|&b| [a, b, 0.0]));
                    }
                    list.extend((0..20_000).map(|_| {
                        let a = draws.scattered(-30.0, 30.0);
                        [a, draws.scattered(-30.0, 30.0), 0.0]
                    }));
                }
                _ => {
                    list.extend((0..20_000).map(|_| {
                        let a = draws.scattered(-10.0, 10.0);
                        let b = draws.scattered(-10.0, 10.0);
                        // Half of the sums cancel.
                        let c = if draws.within(0.0, 1.0) < 0.5 {
                            -a * b * draws.within(0.9, 1.1)
                        } else {
                            draws.scattered(-10.0, 10.0)
                        };
                        [a, b, c]
                    }));
                    for a in [0.0, -0.0, 1.0, f64::NAN] {
                        list.push([a, 2.0, f64::NAN]);
                        list.push([a, f64::NAN, 3.0]);
                    }
                }
            }
        }
    }
    if !matches!(op, Op::Sin | Op::Cos | Op::Tan) && op.arity() == 1 {
        one.extend(&special);
    }
    list.extend(one.into_iter().map(|x| [x, 0.0, 0.0]));
    for args in &mut list {
        *args = args.map(|x| precision.round(x));
    }
    list
}

/// What an op gives: the table's own body in double precision, or the standard library's function where it has one.
fn exact(op: Op, precision: &Precision, [a, b, c]: Args) -> f64 {
    let end = if precision.bytes == 4 { 80.0 } else { 690.0 };
    match op {
        Op::Exp => a.exp(),
        Op::BoundedExp if a.is_nan() => a,
        Op::BoundedExp => a.clamp(-end, end).exp(),
        Op::BoundedExp2 if a.is_nan() => a,
        Op::BoundedExp2 if precision.bytes == 4 => a.clamp(-115.0, 115.0).exp2(),
        Op::BoundedExp2 => a.clamp(-995.0, 995.0).exp2(),
        Op::MeanExp if a == 0.0 => 1.0,
        Op::MeanExp => a.clamp(-end, end).exp_m1() / a,
        Op::Log => a.ln(),
        Op::Log10 => a.log10(),
        // A quotient that rounds to a whole number in single precision counts as that number.
        Op::Quotient if precision.bytes == 4 => f64::from(eval::<f32>(op, a as f32, b as f32, 0.0)),
        // The table's body rounds the product; the device does not.
        Op::Remainder => b.mul_add(-exact(Op::Quotient, precision, [a, b, c]), a),
        op => eval(op, a, b, c),
    }
}

/// The number in whose last place an error counts: the result, or the largest of the terms that cancel in it.
fn size(op: Op, [a, b, c]: Args, exact: f64) -> f64 {
    match op {
        Op::Fma | Op::Fms | Op::Fnma => exact.abs().max((a * b).abs()).max(c.abs()),
        // b (1-b)/u less b, for large negative u nearly equal.
        Op::BernoulliSlope => exact.abs().max(b.abs()),
        _ => exact.abs(),
    }
}

/// The largest error that an op may have, in ulps, and why.
///
/// WGSL rounds sums and products correctly and lets a division be wrong by 2.5 ulp, a square root by as much here; a device
/// that makes use of it may be worse than the software driver, on which all divide and take roots to half an ulp.
fn allowed(op: Op) -> (f64, &'static str) {
    match op {
        Op::Neg | Op::Abs | Op::Floor | Op::Ceil | Op::Min | Op::Max | Op::Select => {
            (0.0, "a choice of digits")
        }
        Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::And | Op::Or | Op::Not => {
            (0.0, "a truth value")
        }
        Op::Add | Op::Sub | Op::Mul => (0.5, "one rounding"),
        Op::Fma | Op::Fms | Op::Fnma => (1.0, "two roundings, if the device does not fuse"),
        Op::Div | Op::Recip => (2.5, "a division as WGSL allows it"),
        Op::Sqrt => (2.5, "a root as WGSL allows it"),
        Op::Quotient => (0.0, "the division is put right by its remainder"),
        Op::Remainder => (1.0, "a product in two words, taken away in four roundings"),
        Op::Exp | Op::BoundedExp => (1.5, "series 0.6, the sum of reduction and series 0.5"),
        Op::BoundedExp2 => (
            1.5,
            "series 0.1, its last two sums 0.5 and 0.3, which count up to twice below 1",
        ),
        Op::MeanExp => (
            6.0,
            "the exponential 1.5, seen up to 1.5 times larger, and a division 2.5",
        ),
        Op::Log => (2.0, "the last sum 1.1, the division under it 0.5"),
        Op::Log10 => (
            3.5,
            "the logarithm 1.1, seen up to twice larger, and the product 0.5",
        ),
        Op::Pow => (2.0, "exponential 1.1, two words leave 0.2"),
        Op::Sin | Op::Cos => (2.5, "reduction 1, series 1"),
        Op::Tan => (6.0, "sine and cosine 3.2 together, the division 2.5"),
        Op::Asin => (5.0, "the series 1.2 seen up to twice larger, the root 2.5"),
        Op::Acos => (4.0, "the series 1.2, the root 2.5"),
        Op::Atan => (5.0, "the series and the sum 2.3, the division 2.5"),
        Op::Bernoulli => (4.0, "series 2, or a difference 0.5 and a division 2.5"),
        Op::BernoulliSlope => (4.0, "series 1, or three roundings and a division 2.5"),
    }
}

/// The largest error of an op over its probes, and where it is.
struct Worst {
    ulps: f64,
    args: Args,
    found: f64,
    exact: f64,
}

fn worst(device: &Device, precision: &Precision, op: Op) -> Worst {
    let list = probes(op, precision);
    let found = run(device, precision, &shader_of(op, precision), &list);
    let mut worst = Worst {
        ulps: -1.0,
        args: [0.0; 3],
        found: 0.0,
        exact: 0.0,
    };
    for (&args, found) in list.iter().zip(found) {
        let exact = exact(op, precision, args);
        let ulps = precision.ulps(found, exact, size(op, args, exact));
        // An error that is no number is the worst of all.
        if ulps > worst.ulps || ulps.is_nan() {
            worst = Worst {
                ulps: if ulps.is_nan() { f64::INFINITY } else { ulps },
                args,
                found,
                exact,
            };
        }
    }
    worst
}

fn every_op_is_right(precision: &Precision) {
    let Some(device) = device() else { return };
    if precision.bytes == 8 && !device.adapter.has_f64 {
        assert!(std::env::var_os("CI").is_none(), "no double precision");
        eprintln!("not run: '{}' has no double precision", device.adapter.name);
        return;
    }
    println!(
        "{} on {} ({}): largest error in ulps",
        precision.name, device.adapter.name, device.adapter.driver
    );
    let mut wrong = Vec::new();
    for &op in Op::ALL {
        let worst = worst(&device, precision, op);
        let (allowed, why) = allowed(op);
        println!(
            "{:>15} {:.3} of {allowed} ({why})",
            op.name(),
            worst.ulps.max(0.0)
        );
        // The oracle's own rounding: 2^-29 of a place of single precision.
        if worst.ulps > allowed + 1e-6 {
            wrong.push(format!(
                "{} of {:?} gives {:e}, not {:e}: {} ulps, {allowed} are allowed ({why})",
                op.name(),
                &worst.args[..op.arity()],
                worst.found,
                worst.exact,
                worst.ulps
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "in {}:\n{}",
        precision.name,
        wrong.join("\n")
    );
}

#[test]
fn every_op_is_right_in_single_precision() {
    every_op_is_right(&SINGLE);
}

#[test]
fn every_op_is_right_in_double_precision() {
    every_op_is_right(&DOUBLE);
}

#[test]
fn what_is_no_number_is_known_by_its_bits() {
    let Some(device) = device() else { return };
    for precision in [&SINGLE, &DOUBLE] {
        if precision.bytes == 8 && !device.adapter.has_f64 {
            continue;
        }
        let body = "result = select(Real(0), Real(1), is_finite_real(a)) + select(Real(0), Real(2), is_nan_real(a));
            result += select(Real(0), Real(4), is_nan_real(kept(b)));";
        let mut list: Vec<Args> = special(precision).iter().map(|&x| [x, x, 0.0]).collect();
        list.push([-f64::NAN, 1.0, 0.0]);
        let found = run(&device, precision, &shader(precision, body), &list);
        for ([a, b, _], found) in list.into_iter().zip(found) {
            let code = f64::from(u8::from(a.is_finite()) + 2 * u8::from(a.is_nan()));
            let code = code + if b.is_nan() { 4.0 } else { 0.0 };
            assert_eq!(found, code, "{} {a}", precision.name);
        }
    }
}

/// Adds `term` to 1 a million times on the device, with the error of each sum in a second word; the sum and that word.
fn compensated(device: &Device, precision: &Precision, term: f64, keep: &str) -> (f64, f64) {
    // A software driver ends an invocation after 65,535 turns of its loops.
    const TURNS: u32 = 50_000;
    let body = format!(
        "var sum = a;
    var less = b;
    for (var k = 0u; k < {TURNS}u; k++) {{
        let term = c - less;
        let next = {keep}(sum + term);
        less = {keep}(next - sum) - term;
        sum = next;
    }}
    arguments[3u * id.x] = sum;
    arguments[3u * id.x + 1u] = less;
    result = sum;"
    );
    let shader = shader(precision, &body);
    let first = [1.0, 0.0, term].repeat(64);
    let mut buffers = [
        vec![0u8; 16],
        precision.pack(&first),
        vec![0u8; 64 * precision.bytes],
    ];
    for _ in 0..1_000_000 / TURNS {
        device.run_once(&shader, &mut buffers, 1).unwrap();
    }
    let left = precision.unpack(&buffers[1]);
    (left[0], left[1])
}

#[test]
fn a_compensated_sum_survives_the_compiler() {
    let Some(device) = device() else { return };
    for (precision, term) in [(&SINGLE, 1e-8), (&DOUBLE, 1e-17)] {
        if precision.bytes == 8 && !device.adapter.has_f64 {
            continue;
        }
        let term = precision.round(term);
        // Each term is below half a last place of 1, so that a plain sum would stay 1 for ever.
        assert_eq!(precision.round(1.0 + term), 1.0);
        let (sum, less) = compensated(&device, precision, term, "kept");
        let place = precision.last_place(1.0);
        let error = ((sum - 1.0) - less - 1e6 * term) / place;
        println!("{}: kept, the sum is off by {error:.4} ulp", precision.name);
        // What the compensation itself rounds away: half a place of the second word, 2^-24 of a place, a million times at most.
        assert!(error.abs() < 0.1, "{sum} and {less}: {error} ulp");
        assert!(less.abs() <= place, "{less}");
        let (plain, _) = compensated(&device, precision, term, "");
        println!(
            "{}: not kept, this compiler's sum is off by {} ulp",
            precision.name,
            ((plain - 1.0) - 1e6 * term) / place
        );
    }
}

/// What naga says against a text, if it does.
fn fault(text: &str) -> Option<String> {
    let module = match naga::front::wgsl::parse_str(text) {
        Ok(module) => module,
        Err(e) => return Some(e.emit_to_string(text)),
    };
    let needed = if text.contains("f64") {
        Capabilities::FLOAT64 | Capabilities::SHADER_INT64
    } else {
        Capabilities::empty()
    };
    let mut validator = Validator::new(ValidationFlags::all(), needed);
    validator
        .validate(&module)
        .err()
        .map(|e| e.emit_to_string(text))
}

#[test]
fn the_functions_and_every_op_are_valid_wgsl() {
    for precision in [&SINGLE, &DOUBLE] {
        assert_eq!(fault(precision.maths), None);
        for &op in Op::ALL {
            // Names, and a literal in each place.
            for literal in 0..=op.arity() {
                let mut args = ["a", "b", "c"];
                if literal < op.arity() {
                    // Of a literal alone WGSL computes the value itself, and refuses what is no number.
                    args[literal] = if op.arity() == 1 { "0.5" } else { "-1.5" };
                }
                let text = op.wgsl(&args[..op.arity()]);
                let text = shader(precision, &format!("result = c * b + a + {text};"));
                assert_eq!(fault(&text), None, "{} {}", precision.name, op.name());
            }
        }
    }
    assert!(fault("fn f() { nonsense }").is_some());
}

#[test]
fn both_precisions_have_the_same_functions() {
    let names = |precision: &Precision| -> Vec<String> {
        let declared = precision.maths.lines().filter_map(|l| l.split_once(" {"));
        declared
            .map(|(head, _)| head.to_owned())
            .filter(|head| head.starts_with("fn "))
            .collect()
    };
    assert!(names(&SINGLE).len() > 20);
    assert_eq!(names(&SINGLE), names(&DOUBLE));
}
