//! Features against dense sampling of smooth courses, and the rules at edges.

use super::*;
use crate::model::VariableId;

fn spec(kind: FeatureKind) -> FeatureSpec {
    FeatureSpec::new("f", kind, VariableId(0))
}

fn with_threshold(kind: FeatureKind, threshold: f64) -> FeatureSpec {
    FeatureSpec {
        threshold,
        ..spec(kind)
    }
}

/// The cubic through a function's values and slopes at both ends of every step.
fn pieces(f: impl Fn(f64) -> (f64, f64), times: &[f64]) -> Vec<Piece> {
    let piece = |w: &[f64]| {
        let ((g0, d0), (g1, d1)) = (f(w[0]), f(w[1]));
        Piece {
            t0: w[0],
            t1: w[1],
            g0,
            d0,
            g1,
            d1,
        }
    };
    times.windows(2).map(piece).collect()
}

/// Steps of very unequal lengths over [0, end].
fn uneven_times(end: f64, n: usize) -> Vec<f64> {
    let mut times = vec![0.0];
    let mut state = 12345_u64;
    let mut t = 0.0;
    while t < end {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        t += end / n as f64 * (0.05 + 1.9 * (state >> 40) as f64 / (1_u64 << 24) as f64);
        times.push(t.min(end));
    }
    times
}

fn gather(spec: &FeatureSpec, pieces: &[Piece]) -> (Vec<f64>, Vec<f64>) {
    let mut gathered = spec.start();
    let mut spikes = Vec::new();
    for piece in pieces {
        spec.feed(&mut gathered, piece, &mut |t| spikes.push(t));
    }
    (spec.values(&gathered), spikes)
}

fn close(a: f64, b: f64, tolerance: f64) {
    assert!(
        (a - b).abs() <= tolerance,
        "{a} and {b} differ by {:e}",
        a - b
    );
}

/// Two incommensurate waves: many peaks of unequal height.
fn waves(t: f64) -> (f64, f64) {
    (
        (0.7 * t).sin() + 0.6 * (1.9 * t).cos(),
        0.7 * (0.7 * t).cos() - 1.14 * (1.9 * t).sin(),
    )
}

fn split(pieces: &[Piece], shares: &[f64]) -> Vec<Piece> {
    let mut halves = Vec::new();
    for (i, p) in pieces.iter().enumerate() {
        let middle = p.t0 + shares[i % shares.len()] * p.length();
        halves.push(p.clip(p.t0, middle));
        halves.push(p.clip(middle, p.t1));
    }
    halves
}

#[test]
fn features_of_a_smooth_course_equal_dense_sampling() {
    let (after, before, end) = (3.3, 41.7, 50.0);
    let course = pieces(waves, &uneven_times(end, 4_000));
    let n = 2_000_000;
    let dt = (before - after) / n as f64;
    let samples: Vec<(f64, f64)> = (0..=n)
        .map(|i| after + i as f64 * dt)
        .map(|t| (t, waves(t).0))
        .collect();
    let windowed = |kind, threshold| FeatureSpec {
        after_ms: after,
        before_ms: before,
        threshold,
        at_ms: 20.0,
        ..spec(kind)
    };
    let one = |kind, threshold| gather(&windowed(kind, threshold), &course).0[0];
    let high = samples
        .iter()
        .copied()
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap();
    let low = samples
        .iter()
        .copied()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap();
    close(one(FeatureKind::Max, f64::NAN), high.1, 1e-8);
    close(one(FeatureKind::TimeOfMax, f64::NAN), high.0, 1e-4);
    close(one(FeatureKind::Min, f64::NAN), low.1, 1e-8);
    close(one(FeatureKind::TimeOfMin, f64::NAN), low.0, 1e-4);
    let area: f64 = samples
        .windows(2)
        .map(|w| 0.5 * (w[0].1 + w[1].1) * dt)
        .sum();
    close(one(FeatureKind::Integral, f64::NAN), area, 1e-8);
    close(
        one(FeatureKind::Mean, f64::NAN),
        area / (before - after),
        1e-9,
    );
    close(one(FeatureKind::Final, f64::NAN), waves(before).0, 1e-9);
    close(
        gather(
            &FeatureSpec {
                at_ms: 20.0,
                ..spec(FeatureKind::ValueAt)
            },
            &course,
        )
        .0[0],
        waves(20.0).0,
        1e-9,
    );
    for threshold in [-1.2, -0.3, 0.0, 0.4, 1.1, 1.5] {
        let above: f64 = samples
            .windows(2)
            .filter(|w| w[0].1 + w[1].1 >= 2.0 * threshold)
            .count() as f64
            * dt;
        close(one(FeatureKind::TimeAbove, threshold), above, 1e-4);
        let rises: Vec<f64> = samples
            .windows(2)
            .filter(|w| w[0].1 < threshold && w[1].1 >= threshold)
            .map(|w| w[1].0)
            .collect();
        let (values, spikes) = gather(&windowed(FeatureKind::Spikes, threshold), &course);
        assert_eq!(spikes.len(), rises.len(), "threshold {threshold}");
        assert_eq!(values[0], rises.len() as f64);
        for (a, b) in spikes.iter().zip(&rises) {
            close(*a, *b, 3.0 * dt);
        }
        if let (Some(first), Some(last)) = (spikes.first(), spikes.last()) {
            assert_eq!((values[1], values[2]), (*first, *last));
        } else {
            assert!(values[1].is_nan() && values[2].is_nan());
        }
    }
}

#[test]
fn splitting_pieces_changes_nothing_beyond_rounding() {
    // Coarse steps, so that peaks, troughs and double crossings lie inside pieces.
    let course = pieces(waves, &uneven_times(60.0, 25));
    for kind in FeatureKind::ALL {
        for threshold in [-0.8, 0.1, 0.9, 1.3] {
            let window = if kind.takes_window() {
                (7.0, 55.5)
            } else {
                (f64::NEG_INFINITY, f64::INFINITY)
            };
            let spec = FeatureSpec {
                at_ms: 31.0,
                after_ms: window.0,
                before_ms: window.1,
                ..with_threshold(kind, threshold)
            };
            let (whole, spikes) = gather(&spec, &course);
            for shares in [&[0.5][..], &[0.1, 0.83, 0.35], &[0.999, 1e-3]] {
                let (halves, again) = gather(&spec, &split(&course, shares));
                assert_eq!(spikes.len(), again.len(), "{kind:?} {threshold} {shares:?}");
                spikes
                    .iter()
                    .zip(&again)
                    .for_each(|(a, b)| close(*a, *b, 1e-9));
                // A time of an extreme is known to the root of the rounding of its value.
                whole.iter().zip(&halves).for_each(|(a, b)| {
                    assert!(a.is_nan() == b.is_nan());
                    if !a.is_nan() {
                        close(*a, *b, 1e-6);
                    }
                });
            }
        }
    }
}

#[test]
fn a_peak_that_crosses_and_returns_inside_one_piece_is_one_spike() {
    let hump = Piece {
        t0: 0.0,
        t1: 1.0,
        g0: -1.0,
        d0: 8.0,
        g1: -1.0,
        d1: -8.0,
    };
    // g = -1 + 8 x (1 - x): above 0 between x = 1/2 -+ sqrt(1/8).
    let (values, spikes) = gather(&with_threshold(FeatureKind::Spikes, 0.0), &[hump]);
    assert_eq!(values[0], 1.0);
    close(spikes[0], 0.5 - 0.125_f64.sqrt(), 1e-14);
    close(
        gather(&with_threshold(FeatureKind::TimeAbove, 0.0), &[hump]).0[0],
        2.0 * 0.125_f64.sqrt(),
        1e-14,
    );
    close(gather(&spec(FeatureKind::Max), &[hump]).0[0], 1.0, 1e-15);
    close(
        gather(&spec(FeatureKind::TimeOfMax), &[hump]).0[0],
        0.5,
        1e-15,
    );
}

#[test]
fn a_crossing_on_a_boundary_is_counted_once() {
    let line = |t: f64| (t - 5.0, 1.0);
    let exact = pieces(line, &[0.0, 2.0, 5.0, 7.0, 10.0]);
    let (values, spikes) = gather(&with_threshold(FeatureKind::Spikes, 0.0), &exact);
    assert_eq!((values[0], spikes), (1.0, vec![5.0]));
}

#[test]
fn touching_from_below_is_a_crossing_and_from_above_is_none() {
    let parabola = |sign: f64| move |t: f64| (sign * (t - 1.0) * (t - 1.0), sign * 2.0 * (t - 1.0));
    let below = pieces(parabola(-1.0), &[0.0, 1.0, 2.0]);
    let above = pieces(parabola(1.0), &[0.0, 1.0, 2.0]);
    let spikes = with_threshold(FeatureKind::Spikes, 0.0);
    assert_eq!(gather(&spikes, &below).1, [1.0]);
    assert_eq!(gather(&spikes, &above).1, [] as [f64; 0]);
}

#[test]
fn being_above_at_the_start_is_no_crossing() {
    let wave = |t: f64| (t.cos(), -t.sin());
    let course = pieces(wave, &uneven_times(12.0, 100));
    let (values, spikes) = gather(&with_threshold(FeatureKind::Spikes, 0.0), &course);
    assert_eq!(values[0], 2.0);
    close(spikes[0], 1.5 * std::f64::consts::PI, 1e-5);
    // A window that opens above the threshold does not count either.
    let late = FeatureSpec {
        after_ms: 5.5,
        ..with_threshold(FeatureKind::Spikes, 0.0)
    };
    assert_eq!(gather(&late, &course).0[0], 1.0);
}

#[test]
fn a_jump_between_pieces_is_a_crossing_at_the_edge() {
    let flat = |t0: f64, g: f64| Piece {
        t0,
        t1: t0 + 1.0,
        g0: g,
        d0: 0.0,
        g1: g,
        d1: 0.0,
    };
    let course = [
        flat(0.0, 0.0),
        flat(1.0, 1.0),
        flat(2.0, 0.0),
        flat(3.0, 1.0),
    ];
    let (values, spikes) = gather(&with_threshold(FeatureKind::Spikes, 0.5), &course);
    assert_eq!((values[0], spikes), (2.0, vec![1.0, 3.0]));
    assert_eq!(
        gather(&with_threshold(FeatureKind::TimeAbove, 0.5), &course).0[0],
        2.0
    );
    assert_eq!(
        gather(
            &FeatureSpec {
                at_ms: 3.0,
                ..spec(FeatureKind::ValueAt)
            },
            &course
        )
        .0[0],
        1.0
    );
}

#[test]
fn a_piece_that_is_not_finite_leaves_earlier_results() {
    let course = pieces(waves, &uneven_times(20.0, 200));
    for kind in FeatureKind::ALL {
        let spec = FeatureSpec {
            at_ms: 10.0,
            ..with_threshold(kind, 0.0)
        };
        let clean = gather(&spec, &course);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut poisoned = course.clone();
            poisoned.push(Piece {
                t0: 20.0,
                t1: 21.0,
                g0: 0.1,
                d0: 0.0,
                g1: bad,
                d1: bad,
            });
            poisoned.push(Piece {
                t0: 21.0,
                t1: 22.0,
                g0: bad,
                d0: bad,
                g1: bad,
                d1: 0.0,
            });
            assert_eq!(gather(&spec, &poisoned), clean, "{kind:?}");
        }
    }
}

#[test]
fn nothing_gathered_is_nan_and_no_spike() {
    let course = pieces(waves, &uneven_times(20.0, 200));
    for kind in FeatureKind::ALL {
        let outside = FeatureSpec {
            after_ms: 30.0,
            at_ms: 30.0,
            ..with_threshold(kind, 0.0)
        };
        let (values, spikes) = gather(&outside, &course);
        assert!(spikes.is_empty());
        match kind {
            FeatureKind::Spikes => {
                assert!(values[0] == 0.0 && values[1].is_nan() && values[2].is_nan())
            }
            _ => assert!(values.iter().all(|v| v.is_nan()), "{kind:?} {values:?}"),
        }
    }
}

#[test]
fn gathered_is_plain_bytes() {
    let spec = with_threshold(FeatureKind::Spikes, 0.0);
    let mut gathered = spec.start();
    spec.feed(&mut gathered, &pieces(waves, &[0.0, 3.0])[0], &mut |_| ());
    let bytes = bytemuck::bytes_of(&gathered).to_vec();
    assert_eq!(bytes.len(), 32);
    let back: Gathered = bytemuck::pod_read_unaligned(&bytes);
    assert_eq!(bytemuck::bytes_of(&back), bytes);
}

#[test]
fn roots_are_found_where_the_cubic_is_nearly_flat() {
    // g = (x - 1/3)^3 has slope 0 at its root.
    let f = |x: f64| ((x - 1.0 / 3.0).powi(3), 3.0 * (x - 1.0 / 3.0).powi(2));
    let (_, spikes) = gather(
        &with_threshold(FeatureKind::Spikes, 0.0),
        &pieces(f, &[0.0, 1.0]),
    );
    assert_eq!(spikes.len(), 1);
    close(spikes[0], 1.0 / 3.0, 1e-5);
    // A steep piece far from time 0 is resolved to rounding.
    let steep = Piece {
        t0: 1e6,
        t1: 1e6 + 0.01,
        g0: -90.0,
        d0: 0.0,
        g1: 30.0,
        d1: 0.0,
    };
    let (_, spikes) = gather(&with_threshold(FeatureKind::Spikes, -30.0), &[steep]);
    close(spikes[0], 1e6 + 0.005, 1e-9);
}

#[test]
fn the_nearest_turning_point_tells_how_little_would_change_the_number_of_spikes() {
    // Peaks of 1 and troughs of -1 around 0: the nearest is 0.25 away from a threshold of 0.75, 1.75 from one of -2.75.
    let times: Vec<f64> = (0..60).map(|k| f64::from(k) * 0.5).collect();
    let wave = |t: f64| (t.sin(), t.cos());
    for (threshold, distance) in [
        (0.75, 0.25),
        (-0.75, 0.25),
        (0.0, 1.0),
        (-2.75, 1.75),
        (1.5, 0.5),
    ] {
        let spec = with_threshold(FeatureKind::Spikes, threshold);
        let mut gathered = spec.start();
        assert!(spec.nearest_turn(&gathered).is_nan());
        for piece in pieces(wave, &times) {
            spec.feed(&mut gathered, &piece, &mut |_| ());
        }
        // The cubic over 0.5 is off by 0.5^4/384 = 2e-4 at most.
        close(spec.nearest_turn(&gathered), distance, 4e-4);
    }
    let spec = with_threshold(FeatureKind::Spikes, 0.5);
    let mut gathered = spec.start();
    spec.feed(
        &mut gathered,
        &pieces(|t| (t, 1.0), &[0.0, 3.0])[0],
        &mut |_| (),
    );
    assert_eq!(spec.nearest_turn(&gathered), f64::INFINITY);
}

/// What is gathered when pieces are fed only where a feature would note them; and how many those are.
fn gather_noted(spec: &FeatureSpec, pieces: &[Piece], unit_ms: f64) -> (Gathered, Vec<f64>, usize) {
    let mut gathered = spec.start();
    let (mut spikes, mut n_noted) = (Vec::new(), 0);
    for p in pieces {
        let mut noted = [0];
        // Slopes per microsecond, times in whole units: what an engine has.
        spec.note(
            &[spec.deciding(&gathered)],
            &Pieces {
                t0: &[p.t0 / unit_ms],
                t1: &[p.t1 / unit_ms],
                unit_ms,
                g0: &[p.g0],
                d0: &[p.d0 * 1e-3],
                g1: &[p.g1],
                d1: &[p.d1 * 1e-3],
                per_ms: 1e-3,
            },
            &mut noted,
        );
        if noted != [0] {
            n_noted += 1;
            spec.feed(&mut gathered, p, &mut |t| spikes.push(t));
        }
    }
    (gathered, spikes, n_noted)
}

#[test]
fn a_piece_that_is_not_noted_changes_nothing() {
    let unit_ms = 1e-5;
    let on_grid = |t: f64| (t / unit_ms).round() * unit_ms;
    let times: Vec<f64> = uneven_times(60.0, 4000).into_iter().map(on_grid).collect();
    let mut course = pieces(waves, &times);
    // Numbers that are none, a jump, and a piece that stands still.
    course[700].d1 = f64::NAN;
    course[900].g1 = f64::INFINITY;
    course[1100].g0 += 0.5;
    course[1300].t1 = course[1300].t0;
    let edges = [0.0, times[200], 17.123_456, times[3000], f64::INFINITY];
    for kind in FeatureKind::ALL {
        let mut least = usize::MAX;
        for (threshold, after) in [(0.4, 0), (-1.2, 1), (1.59, 2), (waves(times[50]).0, 1)] {
            for before in after + 1..edges.len() {
                let spec = FeatureSpec {
                    after_ms: edges[after],
                    before_ms: edges[before],
                    at_ms: edges[after] + 0.1,
                    ..with_threshold(kind, threshold)
                };
                let mut gathered = spec.start();
                let mut spikes = Vec::new();
                for p in &course {
                    spec.feed(&mut gathered, p, &mut |t| spikes.push(t));
                }
                let (of_noted, its_spikes, n_noted) = gather_noted(&spec, &course, unit_ms);
                assert_eq!(
                    gathered.numbers().map(f64::to_bits),
                    of_noted.numbers().map(f64::to_bits),
                    "{spec:?}"
                );
                assert_eq!(spikes, its_spikes, "{spec:?}");
                least = least.min(n_noted);
            }
        }
        // It is there to leave pieces out.
        let most = match kind {
            FeatureKind::ValueAt => 2,
            FeatureKind::Spikes => course.len() / 20,
            _ => course.len() / 10,
        };
        assert!(
            least <= most,
            "{kind:?} notes {least} of {} pieces",
            course.len()
        );
    }
}
