//! One step of the numerical differentiation formulas of orders 1 to 5 (Klopfenstein 1971; Shampine and Reichelt 1997,
//! SIAM Journal on Scientific Computing 18:1-22): backward differences on equal steps.
//!
//! With `D_j` the `j`-th backward difference at the last point, a step of order `k` solves
//! `Σ_{j=1..k} g_j D_j' - κ_k g_k (y' - y_pred) = h f(t', y')`, `g_j = 1 + 1/2 + … + 1/j`, for the new point `y'`,
//! where `y_pred = Σ D_j`. Changing `h` interpolates the differences onto the new grid. The equation is solved by whoever
//! steps (module `ensemble`): with `s = (1 - κ_k) g_k / h` it is `f(t', y') - s (psi + correction) = 0`.

use super::integrate::ordered;

/// Highest order; beyond it the formulas are unstable.
pub(super) const HIGHEST: usize = 5;

const KAPPA: [f64; HIGHEST + 1] = [0.0, -0.1850, -1.0 / 9.0, -0.0823, -0.0415, 0.0];

/// `g_k`
const G: [f64; HIGHEST + 2] = [
    0.0,
    1.0,
    3.0 / 2.0,
    11.0 / 6.0,
    25.0 / 12.0,
    137.0 / 60.0,
    49.0 / 20.0,
];

/// The error of a step of this order is this times the difference of one order more.
pub(super) fn error_constant(order: usize) -> f64 {
    // At the highest order plus one only as an estimate of what that order would do.
    let kappa = KAPPA.get(order).copied().unwrap_or(0.0);
    kappa * G[order] + 1.0 / (order as f64 + 1.0)
}

/// A multistep solution: its recent past as differences, and the step that is being tried.
pub(super) struct Multistep {
    /// Backward differences `D_0 … D_7` at the last point.
    pub(super) d: [Vec<f64>; HIGHEST + 3],
    pub(super) order: usize,
    /// Size of the steps behind the differences, ms.
    pub(super) h: f64,
    /// `y' - y_pred` of the step being tried.
    pub(super) correction: Vec<f64>,
    pub(super) prediction: Vec<f64>,
    /// The point being tried.
    pub(super) end: Vec<f64>,
    pub(super) psi: Vec<f64>,
    /// One over the error that is allowed for each state.
    over_allowed: Vec<f64>,
    room: [Vec<f64>; HIGHEST],
}

impl Multistep {
    /// Memory for `n` states.
    pub(super) fn new(n: usize) -> Self {
        let zeros = || vec![0.0; n];
        Multistep {
            d: std::array::from_fn(|_| zeros()),
            order: 1,
            h: f64::NAN,
            correction: zeros(),
            prediction: zeros(),
            end: zeros(),
            psi: zeros(),
            over_allowed: zeros(),
            room: std::array::from_fn(|_| zeros()),
        }
    }

    /// Starts from points on an equal grid, the last one first: as many as the order plus one.
    pub(super) fn start(&mut self, points: &[Vec<f64>], h: f64) {
        self.order = points.len() - 1;
        self.h = h;
        for (d, point) in self.d.iter_mut().zip(points) {
            d.copy_from_slice(point);
        }
        for d in &mut self.d[points.len()..] {
            d.fill(0.0);
        }
        for level in 1..=self.order {
            for j in (level..=self.order).rev() {
                let (lower, upper) = self.d.split_at_mut(j);
                for (x, before) in upper[0].iter_mut().zip(&lower[j - 1]) {
                    // Points run backwards in time: D_j(t) = D_{j-1}(t) - D_{j-1}(t - h).
                    *x = before - *x;
                }
            }
        }
    }

    /// Changes the size of the steps by interpolation of the differences (Shampine and Reichelt, section 2.1).
    #[inline(always)]
    pub(super) fn resize(&mut self, factor: f64) {
        let k = self.order;
        // r_ij = Π_{m=1..i} (m - 1 - factor j)/m
        let r = |factor: f64| {
            let mut r = [[1.0; HIGHEST + 1]; HIGHEST + 1];
            for i in 1..=k {
                let above = r[i - 1];
                for (j, (x, before)) in r[i].iter_mut().zip(above).enumerate() {
                    *x = before * (i as f64 - 1.0 - factor * j as f64) / i as f64;
                }
            }
            r
        };
        let (by, unit) = (r(factor), r(1.0));
        let mut weights = [[0.0; HIGHEST]; HIGHEST];
        for (j, row) in weights.iter_mut().enumerate().take(k) {
            for (i, x) in row.iter_mut().enumerate().take(k) {
                *x = (1..=k).map(|l| by[i + 1][l] * unit[l][j + 1]).sum();
            }
        }
        // All columns count: a weight of 0 for those beyond the order, whose differences are finite.
        for (room, d) in self.room.iter_mut().zip(&self.d[1..]) {
            room.copy_from_slice(d);
        }
        let [a, b, c, e, f] = &self.room;
        for (d, w) in self.d[1..=k].iter_mut().zip(&weights) {
            let old = a.iter().zip(b).zip(c).zip(e).zip(f);
            for (d, ((((a, b), c), e), f)) in d.iter_mut().zip(old) {
                *d = w[0] * a + w[1] * b + w[2] * c + w[3] * e + w[4] * f;
            }
        }
        self.h *= factor;
    }

    /// What the derivative by the new point is multiplied with in the equation of a step, per ms.
    pub(super) fn shift(&self) -> f64 {
        alpha(self.order) / self.h
    }

    /// Begins a step: the prediction is the first guess. `allowed(y, scale)` is the error allowed for a state.
    #[inline(always)]
    pub(super) fn predict(&mut self, scales: &[f64], allowed: impl Fn(f64, f64) -> f64) {
        let k = self.order;
        let alpha = alpha(k);
        self.prediction.copy_from_slice(&self.d[0]);
        self.psi.fill(0.0);
        for (d, g) in self.d[1..=k].iter().zip(&G[1..]) {
            let weight = g / alpha;
            for ((x, p), d) in self.prediction.iter_mut().zip(&mut self.psi).zip(d) {
                *x += d;
                *p += weight * d;
            }
        }
        let guesses = self.prediction.iter().zip(scales);
        for (over, (y, scale)) in self.over_allowed.iter_mut().zip(guesses) {
            *over = 1.0 / allowed(*y, *scale);
        }
        self.guess_again();
    }

    /// Goes back to the first guess.
    #[inline(always)]
    pub(super) fn guess_again(&mut self) {
        self.correction.fill(0.0);
        self.end.copy_from_slice(&self.prediction);
    }

    /// Moves the guess. The largest change over what is allowed, NaN if one is not a number.
    #[inline(always)]
    pub(super) fn improve(&mut self, change: &[f64]) -> f64 {
        let mut size = 0;
        let moved = self.correction.iter_mut().zip(&mut self.end);
        let by = change.iter().zip(&self.prediction).zip(&self.over_allowed);
        for ((correction, end), ((change, prediction), over)) in moved.zip(by) {
            *correction += change;
            *end = prediction + *correction;
            size = size.max(ordered(change * over));
        }
        f64::from_bits(size)
    }

    /// Takes the tried point: the differences move on to it.
    #[inline(always)]
    pub(super) fn accept(&mut self) {
        let k = self.order;
        let (lower, upper) = self.d.split_at_mut(k + 2);
        let changed = lower[k + 1].iter_mut().zip(&mut upper[0]);
        for ((d, next), correction) in changed.zip(&self.correction) {
            *next = correction - *d;
            *d = *correction;
        }
        for j in (0..=k).rev() {
            let (lower, upper) = self.d.split_at_mut(j + 1);
            for (d, next) in lower[j].iter_mut().zip(&upper[0]) {
                *d += next;
            }
        }
    }

    /// The rate of a state (per ms) at the last point, by the equation that the step solved: right to what is left of the iteration's
    /// error, a tenth of what the step is allowed.
    pub(super) fn end_rate(&self, shift: f64, i: usize) -> f64 {
        shift * (self.psi[i] + self.correction[i])
    }

    /// The state at `x` steps after the last point (negative: before), by the polynomial through the last points.
    #[inline(always)]
    pub(super) fn interpolate(&self, x: f64, state: &mut [f64]) {
        state.copy_from_slice(&self.d[0]);
        let mut weight = 1.0;
        for j in 1..=self.order {
            weight *= (x + j as f64 - 1.0) / j as f64;
            for (s, d) in state.iter_mut().zip(&self.d[j]) {
                *s += weight * d;
            }
        }
    }

    /// The same for some of the states; the others are left as they are.
    pub(super) fn interpolate_some(&self, x: f64, some: &[usize], state: &mut [f64]) {
        for &i in some {
            state[i] = self.d[0][i];
        }
        let mut weight = 1.0;
        for j in 1..=self.order {
            weight *= (x + j as f64 - 1.0) / j as f64;
            for &i in some {
                state[i] += weight * self.d[j][i];
            }
        }
    }
}

fn alpha(order: usize) -> f64 {
    (1.0 - KAPPA[order]) * G[order]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_carry_a_polynomial_exactly_through_a_change_of_step() {
        let mut m = Multistep::new(1);
        let p = |t: f64| 1.0 + t * (2.0 + t * (-3.0 + t * (0.5 + t)));
        let points: Vec<Vec<f64>> = (0..5).map(|i| vec![p(2.0 - 0.25 * f64::from(i))]).collect();
        m.start(&points, 0.25);
        for factor in [1.0, 0.3, 4.0] {
            m.resize(factor);
            for t in [1.1, 1.9, 2.0, 2.4] {
                let mut y = [0.0];
                m.interpolate((t - 2.0) / m.h, &mut y);
                // A polynomial of the order's degree is exact up to rounding.
                assert!((y[0] - p(t)).abs() < 1e-12, "{} {}", y[0], p(t));
            }
        }
    }

    #[test]
    fn the_error_constants_are_those_of_the_paper() {
        // Table 1 of Shampine and Reichelt: BDF 1/(k+1); NDF steps 26, 26, 26 and 12 per cent larger for the same error.
        for (order, gain) in [(1, 1.26), (2, 1.26), (3, 1.26), (4, 1.12), (5, 1.0)] {
            let plain = 1.0 / (f64::from(order) + 1.0);
            let ratio = (plain / error_constant(order as usize)).powf(plain);
            assert!((ratio - gain).abs() < 0.005, "order {order}: {ratio}");
        }
    }
}
