//! Arithmetic of one [`Piece`]: values, clipping, extremes, crossings, area. All closed-form or safeguarded; no feature
//! is known here.
//!
//! A piece is looked at through its Bernstein coefficients `g0, g0 + h d0/3, g1 - h d1/3, g1` (h its length): the cubic
//! stays between the smallest and the largest of the four, which rejects nearly every piece before any root is sought.

use super::Piece;

impl Piece {
    /// Length, ms.
    #[inline]
    pub fn length(&self) -> f64 {
        self.t1 - self.t0
    }

    /// Whether time moves forward and all numbers are finite. Finite values whose sum overflows count as not finite.
    #[inline]
    pub fn is_sound(&self) -> bool {
        let sum = self.g0 + self.g1 + self.d0 + self.d1 + self.t0 + self.t1;
        sum.is_finite() && self.t1 > self.t0
    }

    /// A lower and an upper bound of all values on the piece; exact where the cubic is monotone.
    #[inline]
    pub fn bounds(&self) -> (f64, f64) {
        let third = self.length() / 3.0;
        let (a, b) = (self.g0 + third * self.d0, self.g1 - third * self.d1);
        (
            self.g0.min(self.g1).min(a).min(b),
            self.g0.max(self.g1).max(a).max(b),
        )
    }

    /// The value at a time between the ends; exactly `g0` and `g1` there.
    pub fn value(&self, t: f64) -> f64 {
        if t <= self.t0 {
            return self.g0;
        }
        if t >= self.t1 {
            return self.g1;
        }
        self.value_at_share((t - self.t0) / self.length())
    }

    /// The slope at a time between the ends, per ms.
    pub fn slope(&self, t: f64) -> f64 {
        let h = self.length();
        let x = (t - self.t0) / h;
        let chord = (self.g1 - self.g0) / h;
        6.0 * x * (1.0 - x) * chord
            + (1.0 - x) * (1.0 - 3.0 * x) * self.d0
            + x * (3.0 * x - 2.0) * self.d1
    }

    /// The same cubic between two times, which lie within the piece or beyond its ends.
    pub fn clip(&self, from: f64, to: f64) -> Piece {
        let mut piece = *self;
        if from > self.t0 {
            (piece.t0, piece.g0, piece.d0) = (from, self.value(from), self.slope(from));
        }
        if to < self.t1 {
            (piece.t1, piece.g1, piece.d1) = (to, self.value(to), self.slope(to));
        }
        piece
    }

    /// The integral over the piece.
    #[inline]
    pub fn area(&self) -> f64 {
        let h = self.length();
        h * 0.5 * (self.g0 + self.g1) + h * h / 12.0 * (self.d0 - self.d1)
    }

    /// Value at a share in [0, 1] of the piece, by de Casteljau: a mean of means, so it never leaves the bounds by more than rounding.
    fn value_at_share(&self, x: f64) -> f64 {
        let third = self.length() / 3.0;
        let y = 1.0 - x;
        let (b0, b1, b2, b3) = (
            self.g0,
            self.g0 + third * self.d0,
            self.g1 - third * self.d1,
            self.g1,
        );
        let (c0, c1, c2) = (y * b0 + x * b1, y * b1 + x * b2, y * b2 + x * b3);
        y * (y * c0 + x * c1) + x * (y * c1 + x * c2)
    }

    /// Shares strictly inside (0, 1) at which the slope is 0, ascending; `n` of the two are meant.
    fn turning_shares(&self) -> ([f64; 2], usize) {
        let h = self.length();
        let (p, q, rise) = (h * self.d0, h * self.d1, self.g1 - self.g0);
        // Bernstein coefficients of the slope that have one sign leave it that sign.
        let middle = rise - (p + q) / 3.0;
        if (p >= 0.0 && q >= 0.0 && middle >= 0.0) || (p <= 0.0 && q <= 0.0 && middle <= 0.0) {
            return ([0.0; 2], 0);
        }
        // Slope over x: a x^2 + 2 b x + p.
        let a = 3.0 * (p + q) - 6.0 * rise;
        let b = 3.0 * rise - 2.0 * p - q;
        let discriminant = b * b - a * p;
        let mut found = ([0.0; 2], 0);
        if discriminant.is_nan() || discriminant <= 0.0 {
            return found;
        }
        // The stable pair of roots: neither subtracts nearly equal numbers.
        let s = -(b + b.signum() * discriminant.sqrt());
        let (mut first, mut second) = (s / a, p / s);
        if first > second {
            (first, second) = (second, first);
        }
        for x in [first, second] {
            // Infinite and NaN roots (a = 0 or s = 0) fail the comparison.
            if x > 0.0 && x < 1.0 {
                found.0[found.1] = x;
                found.1 += 1;
            }
        }
        found
    }

    /// Ends and turning points in order of time, with values: between two neighbours the cubic is monotone.
    pub fn knots(&self) -> Knots {
        let (shares, n) = self.turning_shares();
        let mut knots = Knots {
            points: [(self.t0, self.g0); 4],
            n: 1,
        };
        for &x in &shares[..n] {
            let t = self.t0 + x * self.length();
            if t > knots.points[knots.n - 1].0 && t < self.t1 {
                knots.push(t, self.value_at_share(x));
            }
        }
        knots.push(self.t1, self.g1);
        knots
    }

    /// The time in `[from, to]` at which a monotone stretch passes `threshold`; its ends have values on different sides
    /// of it (or on it).
    pub fn pass(&self, from: (f64, f64), to: (f64, f64), threshold: f64) -> f64 {
        if to.1 == threshold {
            return to.0;
        }
        let rising = to.1 > from.1;
        let (mut low, mut high) = (from.0, to.0);
        let share = (threshold - from.1) / (to.1 - from.1);
        let mut t = low + share * (high - low);
        // Newton inside a shrinking bracket; halving where it would leave. Doubles leave no more than 64 halvings.
        for _ in 0..64 {
            if !(t > low && t < high) {
                t = low + 0.5 * (high - low);
                if !(t > low && t < high) {
                    break;
                }
            }
            let excess = self.value(t) - threshold;
            if excess == 0.0 {
                return t;
            }
            if (excess > 0.0) == rising {
                high = t;
            } else {
                low = t;
            }
            let step = excess / self.slope(t);
            let next = t - step;
            if step.abs() <= 1e-15 * (self.t0.abs() + self.length()) && step.is_finite() {
                return next.clamp(low, high);
            }
            t = next;
        }
        high
    }
}

/// Up to four points of a piece in order of time.
#[derive(Clone, Copy, Debug)]
pub struct Knots {
    points: [(f64, f64); 4],
    n: usize,
}

impl Knots {
    fn push(&mut self, t: f64, g: f64) {
        self.points[self.n] = (t, g);
        self.n += 1;
    }

    /// Times and values.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points[..self.n]
    }
}
