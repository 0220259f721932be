//! How the machine code that the engine makes compares with programs written by hand for one model: Hodgkin and Huxley 1952 in single precision,
//! Rush and Larsen's scheme with 0.01 ms. One computes the gates, one looks them up. See `benches/README.md`.
//!
//! The hand-written program is as good as it is because it is nothing else: no protocol, no spikes, no compensated sums, no check of what comes
//! out; states stay in registers over many steps, and two vectors are computed side by side. It has nine exponentials and six divisions a
//! step, and polynomials of the same quality. Both run in turn; where Linux tells, the time is the processor's, so that others on the machine
//! disturb little.

use std::hint::black_box;
use std::time::Instant;

/// Fibres of both.
const FIBRES: usize = 8192;
/// Simulated time of a turn, ms.
const DURATION_MS: f64 = 200.0;
/// Step, ms.
const STEP_MS: f64 = 0.01;
/// Turns of each.
const TURNS: usize = 9;

#[cfg(target_arch = "x86_64")]
mod hand {
    use std::arch::x86_64::*;

    /// Vectors that are computed side by side.
    const SIDE_BY_SIDE: usize = 2;
    const LANES: usize = 8;

    /// States of all fibres, in single precision: potential, m, h, n.
    pub struct Axons(pub [Vec<f32>; 4]);

    impl Axons {
        pub fn new(fibres: usize) -> Self {
            Axons([-75.0, 0.05, 0.6, 0.325].map(|x| vec![x; fibres]))
        }
    }

    /// An expression for each of the vectors.
    macro_rules! every {
        ($k:ident => $body:expr) => {
            [
                {
                    let $k = 0;
                    $body
                },
                {
                    let $k = 1;
                    $body
                },
            ]
        };
    }

    type Pair = [__m256; SIDE_BY_SIDE];

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn c(x: f32) -> __m256 {
        _mm256_set1_ps(x)
    }

    /// Within the range of arguments that occurs; relative error 3e-9 and rounding.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn exp(x: Pair) -> Pair {
        let round = c(12_582_912.0 + 127.0);
        let x = every!(k => _mm256_max_ps(_mm256_min_ps(x[k], c(80.0)), c(-80.0)));
        let t = every!(k => _mm256_fmadd_ps(x[k], c(std::f32::consts::LOG2_E), round));
        let n = every!(k => _mm256_sub_ps(t[k], round));
        let r = every!(k => _mm256_fnmadd_ps(n[k], c(0.693_145_75), x[k]));
        let r = every!(k => _mm256_fnmadd_ps(n[k], c(1.428_606_8e-6), r[k]));
        let mut p = every!(k => _mm256_fmadd_ps(r[k], c(0.001_383_881_2), c(0.008_369_192_5)));
        for a in [0.041_668_102, 0.166_665_17, 0.499_999_94, 1.0, 1.0] {
            p = every!(k => _mm256_fmadd_ps(p[k], r[k], c(a)));
        }
        every!(k => _mm256_mul_ps(p[k], _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(t[k])))))
    }

    /// `u/(1 - exp(-u))`
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn opening(u: Pair) -> Pair {
        let e = exp(every!(k => _mm256_xor_ps(u[k], c(-0.0))));
        let far = every!(k => _mm256_div_ps(u[k], _mm256_sub_ps(c(1.0), e[k])));
        let near = every!(k => _mm256_fmadd_ps(u[k], c(0.5), c(1.0)));
        every!(k => {
            let size = _mm256_andnot_ps(c(-0.0), u[k]);
            _mm256_blendv_ps(far[k], near[k], _mm256_cmp_ps::<_CMP_LT_OQ>(size, c(1e-3)))
        })
    }

    /// A gate after a step.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn gate(x: Pair, opening: Pair, closing: Pair, step: f32) -> Pair {
        let sum = every!(k => _mm256_add_ps(opening[k], closing[k]));
        let end = every!(k => _mm256_div_ps(opening[k], sum[k]));
        let e = exp(every!(k => _mm256_mul_ps(sum[k], c(-step))));
        every!(k => _mm256_fmadd_ps(_mm256_sub_ps(x[k], end[k]), e[k], end[k]))
    }

    /// Takes `n` steps of all axons under a current.
    #[target_feature(enable = "avx2,fma")]
    pub fn run(axons: &mut Axons, n: usize, step: f32, current: f32) {
        let [v, m, h, n_gate] = &mut axons.0;
        let width = LANES * SIDE_BY_SIDE;
        let all = v
            .chunks_exact_mut(width)
            .zip(m.chunks_exact_mut(width))
            .zip(h.chunks_exact_mut(width))
            .zip(n_gate.chunks_exact_mut(width));
        for (((v_, m_), h_), n_) in all {
            // SAFETY: each chunk holds `width` numbers.
            let load = |from: &[f32]| every!(k => unsafe { _mm256_loadu_ps(from.as_ptr().add(k * LANES)) });
            let (mut v, mut m, mut h, mut n4) = (load(v_), load(m_), load(h_), load(n_));
            for _ in 0..n {
                let linear = |slope: f32, offset: f32| every!(k => _mm256_fmadd_ps(v[k], c(slope), c(offset)));
                let am = opening(linear(0.1, 5.0));
                let bm = exp(linear(-1.0 / 18.0, -75.0 / 18.0));
                let bm = every!(k => _mm256_mul_ps(bm[k], c(4.0)));
                let ah = exp(linear(-0.05, -3.75));
                let ah = every!(k => _mm256_mul_ps(ah[k], c(0.07)));
                let bh = exp(linear(-0.1, -4.5));
                let bh = every!(k => _mm256_div_ps(c(1.0), _mm256_add_ps(bh[k], c(1.0))));
                let an = opening(linear(0.1, 6.5));
                let an = every!(k => _mm256_mul_ps(an[k], c(0.1)));
                let bn = exp(linear(1.0 / 80.0, 75.0 / 80.0));
                let bn = every!(k => _mm256_mul_ps(bn[k], c(0.125)));
                let dv = every!(k => {
                    let m3h = _mm256_mul_ps(_mm256_mul_ps(m[k], m[k]), _mm256_mul_ps(m[k], h[k]));
                    let n2 = _mm256_mul_ps(n4[k], n4[k]);
                    let sodium = _mm256_mul_ps(_mm256_mul_ps(m3h, c(120.0)), _mm256_sub_ps(v[k], c(40.0)));
                    let potassium = _mm256_mul_ps(_mm256_mul_ps(n2, n2), _mm256_mul_ps(c(36.0), _mm256_add_ps(v[k], c(87.0))));
                    let leak = _mm256_mul_ps(c(0.3), _mm256_add_ps(v[k], c(64.387)));
                    _mm256_sub_ps(c(current), _mm256_add_ps(_mm256_add_ps(sodium, potassium), leak))
                });
                m = gate(m, am, bm, step);
                h = gate(h, ah, bh, step);
                n4 = gate(n4, an, bn, step);
                v = every!(k => _mm256_fmadd_ps(dv[k], c(step), v[k]));
            }
            let store = |to: &mut [f32], x: Pair| {
                for (k, x) in x.into_iter().enumerate() {
                    // SAFETY: each chunk holds `width` numbers.
                    unsafe { _mm256_storeu_ps(to.as_mut_ptr().add(k * LANES), x) };
                }
            };
            store(v_, v);
            store(m_, m);
            store(h_, h);
            store(n_, n4);
        }
    }
}

/// The same axons with what their gates need of the potential from tables, as other simulators do it: of each gate the two numbers that make the
/// new from the old, between whose neighbours a straight line is drawn.
#[cfg(target_arch = "x86_64")]
mod tables {
    use std::arch::x86_64::*;

    use super::hand::Axons;

    const LANES: usize = 8;
    /// Potentials of the tables, mV; beyond them the last entry holds.
    const FROM_MV: f64 = -120.0;
    const TO_MV: f64 = 60.0;

    /// Entries of two numbers for each of m, h and n, and two that stay empty: a vector.
    pub struct Tables {
        entries: Vec<[f32; LANES]>,
        per_mv: f32,
    }

    impl Tables {
        pub fn new(width_mv: f64, step_ms: f64) -> Self {
            let n = ((TO_MV - FROM_MV) / width_mv).ceil() as usize;
            let entries = (0..=n + 1).map(|i| {
                let v = FROM_MV + i as f64 * width_mv;
                let opening = |u: f64| {
                    if u.abs() < 1e-9 {
                        1.0
                    } else {
                        u / -(-u).exp_m1()
                    }
                };
                let rates = [
                    (opening((v + 50.0) / 10.0), 4.0 * (-(v + 75.0) / 18.0).exp()),
                    (
                        0.07 * (-(v + 75.0) / 20.0).exp(),
                        1.0 / ((-(v + 45.0) / 10.0).exp() + 1.0),
                    ),
                    (
                        0.1 * opening((v + 65.0) / 10.0),
                        0.125 * ((v + 75.0) / 80.0).exp(),
                    ),
                ];
                let mut entry = [0.0; LANES];
                for (k, (open, close)) in rates.into_iter().enumerate() {
                    let kept = (-(open + close) * step_ms).exp();
                    entry[2 * k] = (open / (open + close) * (1.0 - kept)) as f32;
                    entry[2 * k + 1] = kept as f32;
                }
                entry
            });
            Tables {
                entries: entries.collect(),
                per_mv: (1.0 / width_mv) as f32,
            }
        }
    }

    /// Eight rows of eight as columns.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn turned(r: [__m256; LANES]) -> [__m256; LANES] {
        let pair = |a, b| (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let ((a0, a1), (a2, a3)) = (pair(r[0], r[1]), pair(r[2], r[3]));
        let ((a4, a5), (a6, a7)) = (pair(r[4], r[5]), pair(r[6], r[7]));
        let low = |a, b| _mm256_shuffle_ps::<0b01_00_01_00>(a, b);
        let high = |a, b| _mm256_shuffle_ps::<0b11_10_11_10>(a, b);
        let (b0, b1, b2, b3) = (low(a0, a2), high(a0, a2), low(a1, a3), high(a1, a3));
        let (b4, b5, b6, b7) = (low(a4, a6), high(a4, a6), low(a5, a7), high(a5, a7));
        let near = |a, b| _mm256_permute2f128_ps::<0x20>(a, b);
        let far = |a, b| _mm256_permute2f128_ps::<0x31>(a, b);
        [
            near(b0, b4),
            near(b1, b5),
            near(b2, b6),
            near(b3, b7),
            far(b0, b4),
            far(b1, b5),
            far(b2, b6),
            far(b3, b7),
        ]
    }

    /// Takes `n` steps of all axons under a current.
    #[target_feature(enable = "avx2,fma")]
    pub fn run(axons: &mut Axons, tables: &Tables, n: usize, step: f32, current: f32) {
        let c = |x: f32| _mm256_set1_ps(x);
        let [v, m, h, n_gate] = &mut axons.0;
        let last = (tables.entries.len() - 2) as f32;
        let all = v
            .chunks_exact_mut(LANES)
            .zip(m.chunks_exact_mut(LANES))
            .zip(h.chunks_exact_mut(LANES))
            .zip(n_gate.chunks_exact_mut(LANES));
        for (((v_, m_), h_), n_) in all {
            // SAFETY: each chunk holds `LANES` numbers.
            let load = |from: &[f32]| unsafe { _mm256_loadu_ps(from.as_ptr()) };
            let (mut v, mut m, mut h, mut n4) = (load(v_), load(m_), load(h_), load(n_));
            for _ in 0..n {
                let place = _mm256_mul_ps(_mm256_sub_ps(v, c(FROM_MV as f32)), c(tables.per_mv));
                let place = _mm256_min_ps(_mm256_max_ps(place, c(0.0)), c(last));
                let whole = _mm256_cvttps_epi32(place);
                let rest = _mm256_sub_ps(place, _mm256_cvtepi32_ps(whole));
                let (mut at, mut share) = ([0i32; LANES], [0f32; LANES]);
                // SAFETY: both hold `LANES` numbers.
                unsafe {
                    _mm256_storeu_si256(at.as_mut_ptr().cast(), whole);
                    _mm256_storeu_ps(share.as_mut_ptr(), rest);
                }
                let mut rows = [c(0.0); LANES];
                for (l, row) in rows.iter_mut().enumerate() {
                    // SAFETY: a place is from 0 to `last`, by which there is an entry and one behind it; a NaN becomes 0 in `max`.
                    let (a, b) = unsafe {
                        let entry = tables.entries.as_ptr().add(at[l] as usize);
                        (
                            _mm256_loadu_ps(entry.cast()),
                            _mm256_loadu_ps(entry.add(1).cast()),
                        )
                    };
                    *row = _mm256_fmadd_ps(_mm256_sub_ps(b, a), c(share[l]), a);
                }
                let [m_gain, m_kept, h_gain, h_kept, n_gain, n_kept, ..] = turned(rows);
                let m3h = _mm256_mul_ps(_mm256_mul_ps(m, m), _mm256_mul_ps(m, h));
                let n2 = _mm256_mul_ps(n4, n4);
                let sodium = _mm256_mul_ps(_mm256_mul_ps(m3h, c(120.0)), _mm256_sub_ps(v, c(40.0)));
                let potassium = _mm256_mul_ps(
                    _mm256_mul_ps(n2, n2),
                    _mm256_mul_ps(c(36.0), _mm256_add_ps(v, c(87.0))),
                );
                let leak = _mm256_mul_ps(c(0.3), _mm256_add_ps(v, c(64.387)));
                let dv = _mm256_sub_ps(
                    c(current),
                    _mm256_add_ps(_mm256_add_ps(sodium, potassium), leak),
                );
                m = _mm256_fmadd_ps(m, m_kept, m_gain);
                h = _mm256_fmadd_ps(h, h_kept, h_gain);
                n4 = _mm256_fmadd_ps(n4, n_kept, n_gain);
                v = _mm256_fmadd_ps(dv, c(step), v);
            }
            // SAFETY: each chunk holds `LANES` numbers.
            let store = |to: &mut [f32], x| unsafe { _mm256_storeu_ps(to.as_mut_ptr(), x) };
            store(v_, v);
            store(m_, m);
            store(h_, h);
            store(n_, n4);
        }
    }
}

/// Seconds that this process has been computing, where Linux tells (in hundredths), else of the clock.
fn seconds(since: Instant) -> f64 {
    let ticks = std::fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|stat| {
            let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
            let user: f64 = fields.get(11)?.parse().ok()?;
            let system: f64 = fields.get(12)?.parse().ok()?;
            Some((user + system) / 100.0)
        });
    ticks.unwrap_or_else(|| since.elapsed().as_secs_f64())
}

#[cfg(target_arch = "x86_64")]
fn main() {
    use sarcolemma::backend::DEFAULT_LARGEST_STEP_MS;
    use sarcolemma::backend::cpu::Engine;
    use sarcolemma::backend::gpu::Residence;
    use sarcolemma::diag::Source;
    use sarcolemma::run::sink::Precision;
    use sarcolemma::run::{Backend, Case, bench};
    use sarcolemma::scheme::Scheme;

    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        println!("the hand-written program needs AVX2 and FMA");
        return;
    }
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/models/hodgkin_huxley_1952.mmt"
    );
    let text = std::fs::read_to_string(path).expect("a shipped model");
    let model = sarcolemma::model::read(&Source::new(path, text))
        .expect("shipped models have no faults")
        .0;
    let case = Case {
        backend: Backend::Cpu,
        adapter: None,
        residence: Residence::Registers,
        precision: Precision::F32,
        scheme: Some(Scheme::RushLarsen),
        step_ms: STEP_MS,
        tolerance: None,
        largest_step_ms: DEFAULT_LARGEST_STEP_MS,
        fibres: FIBRES,
        threads: 1,
        duration_ms: DURATION_MS,
        rate_hz: Some(50.0),
    };
    for width_mv in [1.0, 0.5, 0.2, 0.1, 0.05] {
        let (rms, shift_ms) = course_by_tables(width_mv);
        println!(
            "tables of {width_mv} mV: potential {rms:.2e} of its range, spikes {shift_ms:.1e} ms from where it is computed"
        );
    }
    let lookup = tables::Tables::new(0.1, STEP_MS);
    let started = Instant::now();
    let (mut by_hand, mut by_tables, mut by_engine) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        by_hand.push(speed_of_trains(started, |axons, n, current| {
            // SAFETY: the instructions were found above.
            unsafe { hand::run(axons, n, STEP_MS as f32, current) }
        }));
        by_tables.push(speed_of_trains(started, |axons, n, current| {
            // SAFETY: the instructions were found above.
            unsafe { tables::run(axons, &lookup, n, STEP_MS as f32, current) }
        }));
        let before = seconds(started);
        let measure = bench(&model, &case).expect("a shipped model can be run");
        by_engine.push(measure.fibre_steps as f64 / (seconds(started) - before));
    }
    let print = |what: &str, values: &[f64]| {
        let (median, least, most) = spread(values);
        println!("{what:<28} {median:.3e} ({least:.3e} to {most:.3e}) fibre-steps/s");
    };
    print("by hand, AVX2", &by_hand);
    print("by hand, tables of 0.1 mV", &by_tables);
    print(&Engine::best().name(), &by_engine);
    for (what, hand) in [("program by hand", &by_hand), ("tables", &by_tables)] {
        let ratios: Vec<f64> = by_engine.iter().zip(hand).map(|(e, h)| e / h).collect();
        let (median, least, most) = spread(&ratios);
        println!("engine to the {what}, of turns: {median:.2} ({least:.2} to {most:.2})");
    }
}

/// Median, least and most.
#[cfg(target_arch = "x86_64")]
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    (
        values[values.len() / 2],
        values[0],
        values[values.len() - 1],
    )
}

/// Fibre-steps a second of a turn of a program by hand: pulses of 0.5 ms at 50 Hz, as the engine has them.
#[cfg(target_arch = "x86_64")]
fn speed_of_trains(started: Instant, mut run: impl FnMut(&mut hand::Axons, usize, f32)) -> f64 {
    let steps = (DURATION_MS / STEP_MS) as usize;
    let mut axons = hand::Axons::new(FIBRES);
    let before = seconds(started);
    for _ in 0..(DURATION_MS / 20.0) as usize {
        run(&mut axons, 50, 20.0);
        run(&mut axons, steps / 10 - 50, 0.0);
    }
    black_box(&axons.0);
    (FIBRES * steps) as f64 / (seconds(started) - before)
}

/// How far tables lead a course of ten spikes away from the one that is computed with the same steps: root mean square of the potential over its
/// range, and the largest shift of a spike, ms.
#[cfg(target_arch = "x86_64")]
fn course_by_tables(width_mv: f64) -> (f64, f64) {
    let lookup = tables::Tables::new(width_mv, STEP_MS);
    let (mut computed, mut looked_up) = (hand::Axons::new(16), hand::Axons::new(16));
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for step in 0..(DURATION_MS / STEP_MS) as usize {
        let current = if step % 2000 < 50 { 20.0 } else { 0.0 };
        // SAFETY: `main` has found the instructions.
        unsafe {
            hand::run(&mut computed, 1, STEP_MS as f32, current);
            tables::run(&mut looked_up, &lookup, 1, STEP_MS as f32, current);
        }
        a.push(f64::from(computed.0[0][0]));
        b.push(f64::from(looked_up.0[0][0]));
    }
    let squares: f64 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
    let (_, least, most) = spread(&a);
    let spikes = |v: &[f64]| -> Vec<f64> {
        let rises = v
            .windows(2)
            .enumerate()
            .filter(|(_, w)| w[0] < 0.0 && w[1] >= 0.0);
        rises
            .map(|(i, w)| (i as f64 + w[0] / (w[0] - w[1])) * STEP_MS)
            .collect()
    };
    let (of_a, of_b) = (spikes(&a), spikes(&b));
    assert_eq!(
        of_a.len(),
        of_b.len(),
        "tables of {width_mv} mV lose spikes"
    );
    let shift = of_a.iter().zip(&of_b).map(|(a, b)| (a - b).abs());
    (
        (squares / a.len() as f64).sqrt() / (most - least),
        shift.fold(0.0, f64::max),
    )
}

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    println!("the hand-written program is for x86-64 with AVX2");
}
