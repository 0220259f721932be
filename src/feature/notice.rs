//! Which pieces a feature would note: asked of many fibres at once, without what they have gathered but for one number each.
//!
//! Nearly all pieces change nothing of what counts spikes or looks for an extreme. What [`FeatureSpec::feed`] has gathered stays as it is
//! with a piece that is not noted; with one that is, it may stay too.

use super::{FeatureKind, FeatureSpec, Gathered};

/// Pieces of as many fibres, number by number: see [`super::Piece`].
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    /// Starts.
    pub t0: &'a [f64],
    /// Ends.
    pub t1: &'a [f64],
    /// Unit of the times, ms.
    pub unit_ms: f64,
    /// Values at the start.
    pub g0: &'a [f64],
    /// Slopes at the start.
    pub d0: &'a [f64],
    /// Values at the end.
    pub g1: &'a [f64],
    /// Slopes at the end.
    pub d1: &'a [f64],
    /// What the slopes are per, ms.
    pub per_ms: f64,
}

/// A bound of rounding, relative to the numbers involved.
const MARGIN: f64 = 1e-12;

impl FeatureSpec {
    /// The number among those gathered that decides what is noted.
    #[inline]
    pub fn deciding(&self, gathered: &Gathered) -> f64 {
        match self.kind {
            FeatureKind::Spikes => gathered.numbers()[3],
            _ => gathered.numbers()[0],
        }
    }

    /// Sets `noted` to all bits for the pieces that are to be fed, to none for the others; `deciding` holds [`FeatureSpec::deciding`] of each fibre.
    #[inline(always)]
    pub fn note(&self, deciding: &[f64], pieces: &Pieces<'_>, noted: &mut [u64]) {
        // Being noted by mistake costs time only: bounds are those of `Piece::bounds`, taken wider by what rounding may do.
        let Pieces {
            t0,
            t1,
            g0,
            d0,
            g1,
            d1,
            ..
        } = *pieces;
        let in_units = |ms: f64, share: f64| moved(ms, share) / pieces.unit_ms;
        let window = Window {
            third: pieces.unit_ms / pieces.per_ms / 3.0,
            opens: [-MARGIN, MARGIN].map(|share| in_units(self.after_ms, share)),
            closes: [-MARGIN, MARGIN].map(|share| in_units(self.before_ms, share)),
        };
        let course = [t0, t1, g0, d0, g1, d1];
        match self.kind {
            FeatureKind::Spikes => {
                let threshold = self.threshold;
                note(window, course, deciding, noted, |low, high, turns, held| {
                    let above = mask(low >= threshold) & mask(held > 0.0);
                    let below = mask(high < threshold) & mask(held < 0.0);
                    // How far the piece stays from the threshold on the side of the course.
                    let distance = if held > 0.0 {
                        low - threshold
                    } else {
                        threshold - high
                    };
                    let needed = if turns { held.abs() } else { f64::NEG_INFINITY };
                    (above | below) & mask(distance >= needed)
                });
            }
            FeatureKind::Max | FeatureKind::TimeOfMax => {
                note(window, course, deciding, noted, |_, high, _, held| {
                    mask(high <= held)
                });
            }
            FeatureKind::Min | FeatureKind::TimeOfMin => {
                note(window, course, deciding, noted, |low, _, _, held| {
                    mask(low >= held)
                });
            }
            FeatureKind::ValueAt => {
                let at = [-MARGIN, MARGIN].map(|share| in_units(self.at_ms, share));
                meet(at, t0, t1, noted);
            }
            FeatureKind::Mean
            | FeatureKind::Integral
            | FeatureKind::TimeAbove
            | FeatureKind::Final => meet([window.opens[0], window.closes[1]], t0, t1, noted),
        }
    }
}

/// Where a feature looks at pieces, in the unit of their times; each end from a little before to a little behind it.
#[derive(Clone, Copy)]
struct Window {
    /// A third of the unit of the times, in the unit of the slopes' time.
    third: f64,
    opens: [f64; 2],
    closes: [f64; 2],
}

/// A time, which may be infinite, moved by a share of its size.
fn moved(ms: f64, share: f64) -> f64 {
    if ms.is_finite() {
        ms + share * ms.abs()
    } else {
        ms
    }
}

/// Which pieces have something of an interval.
#[inline(always)]
fn meet([from, to]: [f64; 2], t0: &[f64], t1: &[f64], noted: &mut [u64]) {
    let n = noted.len();
    let (t0, t1) = (&t0[..n], &t1[..n]);
    for k in 0..n {
        noted[k] = mask(t0[k] <= to) & mask(t1[k] >= from);
    }
}

/// All bits where true.
#[inline(always)]
fn mask(condition: bool) -> u64 {
    if condition { u64::MAX } else { 0 }
}

/// The smaller and the larger of two.
#[inline(always)]
fn sorted(a: f64, b: f64) -> (f64, f64) {
    (if a < b { a } else { b }, if a > b { a } else { b })
}

/// `passes(low, high, turns, deciding)` says of a sound piece within the window whether it is passed over: bounds of its values, whether its
/// slopes differ in sign.
#[inline(always)]
fn note(
    window: Window,
    [t0, t1, g0, d0, g1, d1]: [&[f64]; 6],
    deciding: &[f64],
    noted: &mut [u64],
    passes: impl Fn(f64, f64, bool, f64) -> u64,
) {
    let n = noted.len();
    let (t0, t1, deciding) = (&t0[..n], &t1[..n], &deciding[..n]);
    let (g0, d0, g1, d1) = (&g0[..n], &d0[..n], &g1[..n], &d1[..n]);
    // A loop of its own: masks that are read stay as wide as they are, while those of a long condition go through narrow ones and back.
    for k in 0..n {
        noted[k] = mask(t1[k] < window.opens[0]) | mask(t0[k] > window.closes[1]);
    }
    for k in 0..n {
        let third = (t1[k] - t0[k]) * window.third;
        let (a, b) = (g0[k] + third * d0[k], g1[k] - third * d1[k]);
        let ((low_g, high_g), (low_b, high_b)) = (sorted(g0[k], g1[k]), sorted(a, b));
        let sum = (g0[k].abs() + g1[k].abs()) + (a.abs() + b.abs());
        let margin = MARGIN * sum;
        let low = sorted(low_g, low_b).0 - margin;
        let high = sorted(high_g, high_b).1 + margin;
        let turns = d0[k] * d1[k] < 0.0;
        // No where something is not finite, too.
        let sound = mask(sum < 1e300) & mask(third > 0.0);
        let inside = mask(t0[k] >= window.opens[1]) & mask(t1[k] <= window.closes[0]);
        let outside = noted[k];
        noted[k] = !(outside | (passes(low, high, turns, deciding[k]) & sound & inside));
    }
}
