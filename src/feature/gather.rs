//! The accumulators: what each kind of feature keeps of the pieces that it is fed.
//!
//! Rules that hold for every kind: a piece is clipped to the feature's window; a piece with a number that is not finite is
//! left out, so what was gathered before stays; two halves of a piece give what the whole gives, up to rounding.

use super::{FeatureKind, FeatureSpec, Piece};
use bytemuck::{Pod, Zeroable};

/// What one feature has gathered of one fibre: four numbers, plain bytes. Their meaning depends on the kind:
///
/// | kind | 0 | 1 | 2 | 3 |
/// |---|---|---|---|---|
/// | spikes | count | first, ms | last, ms | least distance of a turning point from the threshold, infinite if not known; negative while below it, NaN at the start |
/// | max, time_of_max, min, time_of_min | value | its time, ms | | |
/// | mean, integral | integral, unit ms | covered time, ms | | |
/// | time_above | time above, ms | covered time, ms | | |
/// | final, value_at | value | its time, ms | | |
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Gathered([f64; 4]);

impl Gathered {
    /// What an engine has gathered in its own way, given in the meaning that the table above has for the feature's kind.
    pub fn new(numbers: [f64; 4]) -> Self {
        Gathered(numbers)
    }

    /// The four numbers.
    pub fn numbers(&self) -> [f64; 4] {
        self.0
    }
}

impl FeatureSpec {
    /// Nothing gathered yet.
    pub fn start(&self) -> Gathered {
        Gathered(match self.kind {
            FeatureKind::Spikes => [0.0, f64::NAN, f64::NAN, f64::NAN],
            FeatureKind::Mean | FeatureKind::Integral | FeatureKind::TimeAbove => [0.0; 4],
            FeatureKind::Max | FeatureKind::TimeOfMax => [f64::NEG_INFINITY, f64::NAN, 0.0, 0.0],
            FeatureKind::Min | FeatureKind::TimeOfMin => [f64::INFINITY, f64::NAN, 0.0, 0.0],
            FeatureKind::Final | FeatureKind::ValueAt => [f64::NAN; 4],
        })
    }

    /// Takes in the next piece of the observable's course. Pieces come in order of time; `spike` is called with the time of each
    /// upward crossing, for [`FeatureKind::Spikes`] only.
    #[inline]
    pub fn feed(&self, gathered: &mut Gathered, piece: &Piece, spike: &mut impl FnMut(f64)) {
        if piece.t1 < self.after_ms || piece.t0 > self.before_ms || !piece.is_sound() {
            return;
        }
        if piece.t0 < self.after_ms || piece.t1 > self.before_ms {
            let clipped = piece.clip(self.after_ms, self.before_ms);
            if clipped.is_sound() {
                self.take(gathered, &clipped, spike);
            }
        } else {
            self.take(gathered, piece, spike);
        }
    }

    #[inline]
    fn take(&self, gathered: &mut Gathered, piece: &Piece, spike: &mut impl FnMut(f64)) {
        let g = &mut gathered.0;
        match self.kind {
            FeatureKind::Spikes => cross(self.threshold, g, piece, spike),
            FeatureKind::Max | FeatureKind::TimeOfMax => {
                if piece.bounds().1 > g[0] {
                    for &(t, value) in piece.knots().points() {
                        if value > g[0] {
                            (g[0], g[1]) = (value, t);
                        }
                    }
                }
            }
            FeatureKind::Min | FeatureKind::TimeOfMin => {
                if piece.bounds().0 < g[0] {
                    for &(t, value) in piece.knots().points() {
                        if value < g[0] {
                            (g[0], g[1]) = (value, t);
                        }
                    }
                }
            }
            FeatureKind::Mean | FeatureKind::Integral => {
                g[0] += piece.area();
                g[1] += piece.length();
            }
            FeatureKind::TimeAbove => {
                g[0] += time_above(self.threshold, piece);
                g[1] += piece.length();
            }
            FeatureKind::Final => (g[0], g[1]) = (piece.g1, piece.t1),
            FeatureKind::ValueAt => {
                // At an edge shared by two pieces the later one speaks: an input that jumps has its new value there.
                if piece.t0 <= self.at_ms && self.at_ms <= piece.t1 {
                    (g[0], g[1]) = (piece.value(self.at_ms), self.at_ms);
                }
            }
        }
    }

    /// How near a turning point of the observable has come to the threshold, for [`FeatureKind::Spikes`]: how little would
    /// change the number of spikes. Infinite where there was none; NaN where nothing is known.
    pub fn nearest_turn(&self, gathered: &Gathered) -> f64 {
        match self.kind {
            FeatureKind::Spikes => gathered.0[3].abs(),
            _ => f64::NAN,
        }
    }

    /// The feature's numbers, one per column of [`FeatureSpec::columns`]; NaN where there is none.
    pub fn values(&self, gathered: &Gathered) -> Vec<f64> {
        let g = &gathered.0;
        let if_covered = |value: f64| if g[1] > 0.0 { value } else { f64::NAN };
        match self.kind {
            FeatureKind::Spikes => vec![g[0], g[1], g[2]],
            FeatureKind::Max | FeatureKind::Min => {
                vec![if g[1].is_nan() { f64::NAN } else { g[0] }]
            }
            FeatureKind::TimeOfMax | FeatureKind::TimeOfMin => vec![g[1]],
            FeatureKind::Mean => vec![if_covered(g[0] / g[1])],
            FeatureKind::Integral | FeatureKind::TimeAbove => vec![if_covered(g[0])],
            FeatureKind::Final | FeatureKind::ValueAt => vec![g[0]],
        }
    }
}

/// Upward crossings: from below the threshold to the threshold or above. Being above at the first instant of the window
/// is no crossing; a peak that just touches the threshold is one; a trough that touches it is none. A jump between two
/// pieces is a crossing at the start of the second.
///
/// The last number holds two things: its sign, on which side of the threshold the course is, and its size, how near a turning
/// point came to it.
#[inline]
fn cross(threshold: f64, g: &mut [f64; 4], piece: &Piece, spike: &mut impl FnMut(f64)) {
    let (low, high) = piece.bounds();
    let nearest = nearest_turn(threshold, g[3].abs(), piece, (low, high));
    if high < threshold {
        g[3] = -nearest;
        return;
    }
    if low >= threshold && g[3] >= 0.0 && g[3].is_sign_positive() {
        g[3] = nearest;
        return;
    }
    let below = |x: f64| x.is_sign_negative() && !x.is_nan();
    let side = |above: bool| if above { nearest } else { -nearest };
    let mut found = |g: &mut [f64; 4], t: f64| {
        g[0] += 1.0;
        if g[1].is_nan() {
            g[1] = t;
        }
        g[2] = t;
        spike(t);
    };
    let above = piece.g0 >= threshold;
    if above && below(g[3]) {
        found(g, piece.t0);
    }
    g[3] = side(above);
    if low >= threshold {
        return;
    }
    let knots = piece.knots();
    for pair in knots.points().windows(2) {
        let above = pair[1].1 >= threshold;
        if above && below(g[3]) {
            found(g, piece.pass(pair[0], pair[1], threshold));
        }
        g[3] = side(above);
    }
}

/// The least distance of a turning point from the threshold, that of this piece included. Nearly all pieces have none, or lie
/// further away than the nearest one so far.
#[inline]
fn nearest_turn(threshold: f64, so_far: f64, piece: &Piece, (low, high): (f64, f64)) -> f64 {
    let so_far = if so_far.is_nan() {
        f64::INFINITY
    } else {
        so_far
    };
    let turns = piece.d0 * piece.d1 < 0.0;
    if !turns || low - threshold >= so_far || threshold - high >= so_far {
        return so_far;
    }
    let knots = piece.knots();
    let points = knots.points();
    let inner = &points[1..points.len() - 1];
    let distances = inner.iter().map(|p| (p.1 - threshold).abs());
    distances.fold(so_far, f64::min)
}

/// How long the piece is at the threshold or above.
#[inline]
fn time_above(threshold: f64, piece: &Piece) -> f64 {
    let (low, high) = piece.bounds();
    if high < threshold {
        return 0.0;
    }
    if low >= threshold {
        return piece.length();
    }
    let knots = piece.knots();
    let stretch = |pair: &[(f64, f64)]| {
        let (from, to) = (pair[0], pair[1]);
        match (from.1 >= threshold, to.1 >= threshold) {
            (true, true) => to.0 - from.0,
            (false, false) => 0.0,
            (false, true) => to.0 - piece.pass(from, to, threshold),
            (true, false) => piece.pass(from, to, threshold) - from.0,
        }
    };
    knots.points().windows(2).map(stretch).sum()
}
