//! One step of the numerical differentiation formulas of orders 1 to 5 (Klopfenstein 1971; Shampine and Reichelt 1997,
//! SIAM Journal on Scientific Computing 18:1-22): backward differences on equal steps, a modified Newton iteration.
//!
//! With `D_j` the `j`-th backward difference at the last point, a step of order `k` solves
//! `Σ_{j=1..k} g_j D_j' - κ_k g_k (y' - y_pred) = h f(t', y')`, `g_j = 1 + 1/2 + … + 1/j`, for the new point `y'`,
//! where `y_pred = Σ D_j`. Changing `h` interpolates the differences onto the new grid.

use super::integrate::ordered;
use super::linear::{Elimination, Factors, Pattern, backward_error};
use super::rodas::System;

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

/// What became of a Newton iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Solved {
    /// Converged after that many iterations.
    After(u32),
    /// It did not, even with the Jacobian at the prediction.
    No,
}

/// What the iteration has cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    pub(super) rates: u64,
    pub(super) iterations: u64,
    pub(super) jacobians: u64,
    pub(super) factorisations: u64,
    pub(super) dense_factorisations: u64,
}

/// A multistep solution: its recent past as differences, and the linearisation that steps it.
pub(super) struct Multistep {
    pattern: Pattern,
    elimination: Elimination,
    factors: Factors,
    jacobian: Vec<f64>,
    by_time: Vec<f64>,
    /// Whether the Jacobian was evaluated at the present prediction.
    fresh: bool,
    /// Steps since the Jacobian was evaluated.
    age: u32,
    /// `1/c` of the factors; NaN if there are none.
    shift: f64,
    /// By how much an iteration reduces the error, as seen with these factors.
    rate: f64,
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
    psi: Vec<f64>,
    rates: Vec<f64>,
    residual: Vec<f64>,
    pub(super) cost: Cost,
}

/// Iterations before giving up; a converging one needs one or two.
const ITERATIONS: u32 = 5;
/// The iteration stops when its error is below this fraction of what is allowed for the step, so that the error estimate
/// means the formula's error.
const NEWTON: f64 = 0.1;
/// A Jacobian as old as this is evaluated anew with the next factorisation.
const OLD: u32 = 20;
/// See `BACKWARD_ERROR` in `rodas`; here a wrong solution only slows the iteration.
const BACKWARD_ERROR: f64 = 1e-6;

impl Multistep {
    pub(super) fn new(pattern: Pattern, elimination: Elimination) -> Self {
        let n = pattern.n();
        let zeros = || vec![0.0; n];
        Multistep {
            factors: Factors::new(&elimination),
            jacobian: vec![0.0; pattern.len()],
            by_time: zeros(),
            fresh: false,
            age: 0,
            shift: f64::NAN,
            rate: 1.0,
            d: std::array::from_fn(|_| zeros()),
            order: 1,
            h: f64::NAN,
            correction: zeros(),
            prediction: zeros(),
            end: zeros(),
            psi: zeros(),
            rates: zeros(),
            residual: zeros(),
            cost: Cost::default(),
            pattern,
            elimination,
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
        self.shift = f64::NAN;
        self.age = OLD;
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
        for s in 0..self.correction.len() {
            let old: [f64; HIGHEST] = std::array::from_fn(|i| self.d[i + 1][s]);
            for (d, row) in self.d[1..=k].iter_mut().zip(&weights) {
                d[s] = row[..k].iter().zip(old).map(|(w, o)| w * o).sum();
            }
        }
        self.h *= factor;
    }

    /// Tries a step to `to_ms`, the end of an equal step. `allowed(y, scale)` is the error allowed for a state.
    #[inline(always)]
    pub(super) fn try_step(
        &mut self,
        system: &mut impl System,
        to_ms: f64,
        scales: &[f64],
        allowed: impl Fn(f64, f64) -> f64,
    ) -> Solved {
        let k = self.order;
        let alpha = (1.0 - KAPPA[k]) * G[k];
        self.prediction.copy_from_slice(&self.d[0]);
        self.psi.fill(0.0);
        for (d, g) in self.d[1..=k].iter().zip(&G[1..]) {
            let weight = g / alpha;
            for ((x, p), d) in self.prediction.iter_mut().zip(&mut self.psi).zip(d) {
                *x += d;
                *p += weight * d;
            }
        }
        let shift = alpha / self.h;
        if self.shift.is_nan() || self.age >= OLD {
            self.linearise(system, to_ms);
        }
        if shift != self.shift {
            self.factor(shift);
        }
        loop {
            match self.newton(system, to_ms, shift, scales, &allowed) {
                Some(iterations) => return Solved::After(iterations),
                None if self.fresh => return Solved::No,
                None => {
                    self.linearise(system, to_ms);
                    self.factor(shift);
                }
            }
        }
    }

    fn linearise(&mut self, system: &mut impl System, at_ms: f64) {
        system.jacobian(
            at_ms,
            &self.prediction,
            &mut self.jacobian,
            &mut self.by_time,
        );
        for x in self.jacobian.iter_mut().filter(|x| !x.is_finite()) {
            *x = 0.0;
        }
        self.cost.jacobians += 1;
        self.fresh = true;
        self.age = 0;
        self.shift = f64::NAN;
    }

    fn factor(&mut self, shift: f64) {
        self.cost.factorisations += 1;
        if !self
            .factors
            .factor(&self.elimination, &self.pattern, &self.jacobian, shift)
        {
            self.factor_dense(shift);
        }
        self.shift = shift;
        self.rate = 1.0;
    }

    fn factor_dense(&mut self, shift: f64) {
        self.cost.dense_factorisations += 1;
        // If it is singular too, the iteration gives NaN, and the step is tried smaller.
        self.factors
            .factor_dense(&self.pattern, &self.jacobian, shift);
    }

    /// The number of iterations until the error is small enough, if it becomes so.
    #[inline(always)]
    fn newton(
        &mut self,
        system: &mut impl System,
        to_ms: f64,
        shift: f64,
        scales: &[f64],
        allowed: &impl Fn(f64, f64) -> f64,
    ) -> Option<u32> {
        self.correction.fill(0.0);
        self.end.copy_from_slice(&self.prediction);
        let mut last = f64::NAN;
        for iteration in 1..=ITERATIONS {
            system.rates(to_ms, &self.end, &mut self.rates);
            self.cost.rates += 1;
            self.cost.iterations += 1;
            let known = self.rates.iter().zip(&self.psi).zip(&self.correction);
            for (residual, ((rate, psi), correction)) in self.residual.iter_mut().zip(known) {
                *residual = rate - shift * (psi + correction);
            }
            let right = iteration == 1 && self.rate == 1.0;
            let b = if right {
                self.residual.clone()
            } else {
                Vec::new()
            };
            self.factors.solve(&self.elimination, &mut self.residual);
            // New factors are checked once; a failed iteration asks for pivots, too.
            if right {
                let error =
                    backward_error(&self.pattern, &self.jacobian, shift, &self.residual, &b);
                let trusted = error < BACKWARD_ERROR || b.iter().any(|x| !x.is_finite());
                if !trusted {
                    self.factor_dense(shift);
                    self.residual.copy_from_slice(&b);
                    self.factors.solve(&self.elimination, &mut self.residual);
                }
            }
            let mut size = 0;
            let moved = self.correction.iter_mut().zip(&mut self.end);
            let by = self.residual.iter().zip(&self.prediction).zip(scales);
            for ((correction, end), ((change, prediction), scale)) in moved.zip(by) {
                *correction += change;
                *end = prediction + *correction;
                size = size.max(ordered(change / allowed(*prediction, *scale)));
            }
            let size = f64::from_bits(size);
            if !size.is_finite() {
                return None;
            }
            if iteration > 1 {
                self.rate = (0.3 * self.rate).max(size / last);
            }
            if size * self.rate.min(1.0) <= NEWTON {
                return Some(iteration);
            }
            if iteration > 1 && size > 2.0 * last {
                return None;
            }
            last = size;
        }
        None
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
        self.fresh = false;
        self.age += 1;
    }

    /// The rates (per ms) at the last point, by the equation that the step solved: right to what is left of the iteration's
    /// error, a tenth of what the step is allowed.
    pub(super) fn end_rates(&self, rates: &mut [f64]) {
        let known = self.psi.iter().zip(&self.correction);
        for (rate, (psi, correction)) in rates.iter_mut().zip(known) {
            *rate = self.shift * (psi + correction);
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_carry_a_polynomial_exactly_through_a_change_of_step() {
        let pattern = Pattern::new(1, []);
        let elimination = Elimination::new(&pattern);
        let mut m = Multistep::new(pattern, elimination);
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
