//! Random courses of an observable, of the kinds that engines make and of kinds that strain the arithmetic.

use super::device::Precision;
use super::{AFTER_MS, BEFORE_MS, THRESHOLDS};
use crate::feature::Piece;
use crate::protocol::{Tick, ms, tick};

/// Pieces of a course.
const N_PIECES: usize = 60;
/// Kinds of courses.
pub const N_KINDS: usize = 9;
/// Those of them that are made to touch thresholds, so that rounding often decides what is above.
pub const TOUCHING: [usize; 2] = [4, 8];
/// The longest piece that the engine makes after time 0: 5 ms.
const LONGEST: f64 = 500_000.0;

/// A course in the oracle's time.
pub struct Course {
    /// Start and length of each piece.
    pub ticks: Vec<(Tick, u32)>,
    pub pieces: Vec<Piece>,
}

impl Course {
    /// From starts, lengths and `[g0, d0, g1, d1]`, rounded to what the device can hold.
    pub fn new(parts: Vec<(Tick, u32, [f64; 4])>, precision: Precision) -> Course {
        let rounded = |numbers: [f64; 4]| numbers.map(|v| precision.round(v));
        let piece = |&(start, length, numbers): &(Tick, u32, [f64; 4])| {
            let [g0, d0, g1, d1] = rounded(numbers);
            let (t0, t1) = (ms(start), ms(start + Tick::from(length)));
            Piece {
                t0,
                t1,
                g0,
                d0,
                g1,
                d1,
            }
        };
        Course {
            pieces: parts.iter().map(piece).collect(),
            ticks: parts.iter().map(|p| (p.0, p.1)).collect(),
        }
    }
}

/// Reproducible random numbers (the SplitMix64 generator of Steele, Lea and Flood 2014).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Even between two bounds.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Even in the logarithm.
    fn spread(&mut self, low: f64, high: f64) -> f64 {
        self.between(low.ln(), high.ln()).exp()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.next() % of.len() as u64) as usize]
    }
}

/// Starts and lengths of pieces one after the other; some end where a window does, or at a feature's time.
fn steps(
    numbers: &mut Numbers,
    from: Tick,
    mut length: impl FnMut(&mut Numbers, Tick) -> f64,
) -> Vec<(Tick, u32)> {
    let edges: &[f64] = numbers.pick(&[&[][..], &[10.0], &[AFTER_MS, BEFORE_MS]]);
    let mut at = from;
    (0..N_PIECES)
        .map(|_| {
            let mut end = at + length(numbers, at).round().max(1.0) as Tick;
            if let Some(edge) = edges.iter().map(|&t| tick(t)).find(|t| *t > at && *t < end) {
                end = edge;
            }
            let step = (at, (end - at) as u32);
            at = end;
            step
        })
        .collect()
}

/// Pieces of a function that gives value and slope.
fn sampled(steps: Vec<(Tick, u32)>, f: impl Fn(f64) -> (f64, f64)) -> Vec<(Tick, u32, [f64; 4])> {
    let piece = |(start, length): (Tick, u32)| {
        let (a, b) = (f(ms(start)), f(ms(start + Tick::from(length))));
        (start, length, [a.0, a.1, b.0, b.1])
    };
    steps.into_iter().map(piece).collect()
}

/// Two incommensurate waves: many peaks of unequal height. Angular frequencies per ms.
pub fn waves(a: f64, b: f64) -> impl Fn(f64) -> (f64, f64) {
    move |t| {
        (
            60.0 * (a * t).sin() + 40.0 * (b * t).cos() - 20.0,
            60.0 * a * (a * t).cos() - 40.0 * b * (b * t).sin(),
        )
    }
}

/// A train of action potentials: -80 at rest, 45 at the peak, rising in a third of the time of the fall.
fn spikes(period: f64, width: f64) -> impl Fn(f64) -> (f64, f64) {
    move |t| {
        let u = (t.rem_euclid(period) - 0.5 * period) / width;
        let u = if u < 0.0 { 3.0 * u } else { u };
        let bump = 125.0 * (-u * u).exp();
        let stretch = if u < 0.0 { 3.0 } else { 1.0 };
        (bump - 80.0, -2.0 * u * bump * stretch / width)
    }
}

/// A course of one of the kinds, by turns.
pub fn course(numbers: &mut Numbers, i: usize, precision: Precision) -> Course {
    let from = numbers.between(-500_000.0, 100_000.0) as Tick;
    let usual = |n: &mut Numbers, _: Tick| n.spread(50.0, LONGEST);
    let value = |n: &mut Numbers| n.between(-100.0, 60.0);
    let parts = match i % N_KINDS {
        0 => {
            let f = waves(numbers.between(0.1, 3.0), numbers.between(0.1, 8.0));
            sampled(steps(numbers, from, usual), f)
        }
        1 => {
            // Steps as an engine's: short where the course is steep.
            let (period, width) = (numbers.between(3.0, 12.0), numbers.between(0.4, 1.0));
            let f = spikes(period, width);
            let adapted = |n: &mut Numbers, at: Tick| {
                let slope = f(ms(at)).1.abs().max(f(ms(at) + 0.3).1.abs());
                n.between(0.2, 1.0) * (10.0 / (slope + 0.1)).min(5.0) * 1e5
            };
            sampled(steps(numbers, from, adapted), &f)
        }
        2 => jumping(numbers, from, usual),
        3 => continuous(steps(numbers, from, usual), numbers, value),
        4 => {
            // Ends on thresholds, flat ends, plateaus.
            let levels: Vec<f64> = THRESHOLDS
                .iter()
                .flat_map(|&t| [t, t, t - 20.0, t + 3.0])
                .collect();
            let steps = steps(numbers, from, usual);
            let mut parts = continuous(steps, numbers, |n| n.pick(&levels));
            for (_, _, [g0, d0, g1, d1]) in &mut parts {
                match numbers.pick(&[0, 1, 2, 3]) {
                    0 => (*d0, *d1) = (0.0, 0.0),
                    1 => *d1 = 0.0,
                    2 => (*d0, *d1, *g1) = (0.0, 0.0, *g0),
                    _ => {}
                }
            }
            parts
        }
        5 => {
            // A few ticks each, around the windows' edges.
            let from = tick(numbers.pick(&[AFTER_MS, BEFORE_MS, 10.0]))
                - numbers.between(0.0, 400.0) as Tick;
            continuous(
                steps(numbers, from, |n, _| n.spread(1.0, 50.0)),
                numbers,
                value,
            )
        }
        6 => {
            let mut parts = jumping(numbers, from, usual);
            for (_, _, four) in &mut parts {
                if numbers.between(0.0, 1.0) < 0.3 {
                    let which = numbers.pick(&[0, 1, 2, 3]);
                    four[which] = numbers.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
                }
            }
            parts
        }
        7 => continuous(
            steps(numbers, from, |n, _| n.spread(1e5, 5e8)),
            numbers,
            value,
        ),
        _ => {
            // Hardly any bend at the turning points, and slopes that pass 0 together with the threshold's difference.
            let flat = |x: f64| {
                let u = x - 12.0;
                (45.0 + 0.004 * u.powi(3), 0.012 * u * u)
            };
            sampled(steps(numbers, from, usual), flat)
        }
    };
    Course::new(parts, precision)
}

/// Ends that fit each other in value and slope.
fn continuous(
    steps: Vec<(Tick, u32)>,
    numbers: &mut Numbers,
    value: impl Fn(&mut Numbers) -> f64,
) -> Vec<(Tick, u32, [f64; 4])> {
    let (mut g, mut d) = (value(numbers), 0.0);
    let mut parts = Vec::new();
    for (i, &(start, length)) in steps.iter().enumerate() {
        let (g0, d0) = (g, d);
        g = value(numbers);
        // Slopes that make a turn or two likely within the longer of the two pieces that share it.
        let next = steps.get(i + 1).map_or(length, |s| s.1);
        d = numbers.between(-200.0, 200.0) / ms(Tick::from(length.max(next)));
        parts.push((start, length, [g0, d0, g, d]));
    }
    parts
}

/// Ends that do not fit each other.
fn jumping(
    numbers: &mut Numbers,
    from: Tick,
    length: impl Fn(&mut Numbers, Tick) -> f64,
) -> Vec<(Tick, u32, [f64; 4])> {
    let steps = steps(numbers, from, length);
    let piece = |(start, length): (Tick, u32)| {
        let per_ms = 1.0 / ms(Tick::from(length));
        let mut next = |scale: f64| scale * numbers.between(-100.0, 60.0);
        (
            start,
            length,
            [next(1.0), next(2.0 * per_ms), next(1.0), next(2.0 * per_ms)],
        )
    };
    steps.into_iter().map(piece).collect()
}
