//! The same axons with what their gates need of the potential from tables, as other simulators do it: of each gate the two numbers that make the
//! new from the old, between whose neighbours a straight line is drawn.

use std::arch::x86_64::*;

use super::computed::Axons;

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
