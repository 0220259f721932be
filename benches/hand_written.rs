//! How the machine code that the engine makes compares with a program written by hand for one model: Hodgkin and Huxley 1952 in single precision,
//! Rush and Larsen's scheme with 0.01 ms. See `benches/README.md`.
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
    let started = Instant::now();
    let steps = (DURATION_MS / STEP_MS) as usize;
    let (mut by_hand, mut by_engine, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let mut axons = hand::Axons::new(FIBRES);
        let before = seconds(started);
        // Pulses of 0.5 ms at 50 Hz, as the engine has them.
        for _ in 0..(DURATION_MS / 20.0) as usize {
            // SAFETY: the instructions were found above.
            unsafe {
                hand::run(&mut axons, 50, STEP_MS as f32, 20.0);
                hand::run(&mut axons, steps / 10 - 50, STEP_MS as f32, 0.0);
            }
        }
        black_box(&axons.0);
        let hand = (FIBRES * steps) as f64 / (seconds(started) - before);
        let before = seconds(started);
        let measure = bench(&model, &case).expect("a shipped model can be run");
        let engine = measure.fibre_steps as f64 / (seconds(started) - before);
        by_hand.push(hand);
        by_engine.push(engine);
        ratios.push(engine / hand);
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        (
            values[values.len() / 2],
            values[0],
            values[values.len() - 1],
        )
    };
    let print = |what: &str, (median, least, most): (f64, f64, f64)| {
        println!("{what:<28} {median:.3e} ({least:.3e} to {most:.3e}) fibre-steps/s");
    };
    print("by hand, AVX2", median(&mut by_hand));
    print(&Engine::best().name(), median(&mut by_engine));
    let (ratio, least, most) = median(&mut ratios);
    println!("ratio, of pairs in turn      {ratio:.2} ({least:.2} to {most:.2})");
}

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    println!("the hand-written program is for x86-64 with AVX2");
}
