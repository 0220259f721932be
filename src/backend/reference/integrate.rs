//! Step after step from one edge to the next: how large, of which order, accepted or not, and when a fibre is lost.

use super::linear::{Elimination, Pattern};
use super::multistep::{HIGHEST, Multistep, Solved, error_constant};
use super::rodas::{ERROR_POWER, Rodas, System};

/// A fibre that would need a smaller step than this is lost, ms. The fastest modes of muscle models, 1e4 per ms, need
/// steps of 1e-7 ms.
pub const SMALLEST_STEP_MS: f64 = 1e-12;

/// How exact a run of the reference is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// Error allowed in a step, relative to a state's magnitude at that step.
    pub relative: f64,
    /// Error allowed in a step, relative to the scale of the state: the largest magnitude that it has had.
    pub absolute: f64,
}

impl Default for Tolerances {
    fn default() -> Self {
        Tolerances {
            relative: 1e-8,
            absolute: 1e-10,
        }
    }
}

/// How many steps and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Accepted steps.
    pub steps: u64,
    /// Steps whose error was too large.
    pub rejections: u64,
    /// Steps whose equations could not be solved.
    pub failures: u64,
    /// Evaluations of the right-hand side.
    pub rates: u64,
    /// Newton iterations.
    pub iterations: u64,
    /// Evaluations of the Jacobian.
    pub jacobians: u64,
    /// Factorisations.
    pub factorisations: u64,
    /// Those of them that had to search for pivots.
    pub dense_factorisations: u64,
}

/// An accepted step, as far as the caller needs it.
pub(super) struct Accepted<'a> {
    /// Start and end, ms from the start of the stretch.
    pub(super) from_ms: f64,
    pub(super) to_ms: f64,
    /// State at the start.
    start: &'a [f64],
    method: &'a Multistep,
}

impl Accepted<'_> {
    /// How many equal steps of the multistep method this one spans: the starting one several.
    pub(super) fn n_equal(&self) -> u32 {
        ((self.to_ms - self.from_ms) / self.method.h)
            .round()
            .max(1.0) as u32
    }

    /// The state at the end of the step.
    pub(super) fn end(&self) -> &[f64] {
        &self.method.d[0]
    }

    /// The rates (per ms) at the end of a step of the multistep method; not of the starting one.
    pub(super) fn end_rates(&self, rates: &mut [f64]) {
        self.method.end_rates(rates);
    }

    /// The state at a time within the step, by the method's own polynomial; exact at both ends.
    pub(super) fn at(&self, ms: f64, state: &mut [f64]) {
        if ms == self.from_ms {
            state.copy_from_slice(self.start);
        } else {
            self.method
                .interpolate((ms - self.to_ms) / self.method.h, state);
        }
    }
}

/// Why a stretch ended early.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stop {
    /// The step fell below the smallest one.
    Lost { after_ms: f64, state: usize },
    /// The caller said so.
    Cancelled,
}

/// The bits of a number without its sign: in the order of the numbers, with NaN above all. A largest number that is found by
/// them is NaN where one of the numbers is, and is found by SIMD.
#[inline(always)]
pub(super) fn ordered(x: f64) -> u64 {
    x.abs().to_bits()
}

/// What error is allowed.
struct Allowance {
    tolerances: Tolerances,
    scale: Vec<f64>,
}

impl Allowance {
    #[inline(always)]
    fn of(&self, i: usize, magnitude: f64) -> f64 {
        self.share(magnitude, self.scale[i])
    }

    #[inline(always)]
    fn share(&self, magnitude: f64, scale: f64) -> f64 {
        SHARE * (self.tolerances.relative * magnitude.abs() + self.tolerances.absolute * scale)
    }

    #[inline(always)]
    fn grow(&mut self, state: &[f64]) {
        for (s, y) in self.scale.iter_mut().zip(state) {
            *s = s.max(y.abs());
        }
    }

    /// The largest error over what is allowed, NaN if one is not a number; `start` and `end` are the states about it.
    #[inline(always)]
    fn norm(&self, error: &[f64], start: &[f64], end: &[f64]) -> f64 {
        let mut worst = 0;
        let parts = error.iter().zip(start).zip(end).zip(&self.scale);
        for (((e, a), b), scale) in parts {
            let part = e / self.share(a.abs().max(b.abs()), *scale);
            worst = worst.max(ordered(part));
        }
        f64::from_bits(worst)
    }
}

/// The controller of one fibre.
pub(super) struct Integrator {
    allowance: Allowance,
    starter: Rodas,
    method: Multistep,
    work: Work,
}

/// A step may err by this share of the tolerance, because the errors of the thousand steps of an action potential gather.
/// With it the shipped models end within 1e-6 of their ranges at the default tolerance; without, a few 1e-6. It costs half
/// as many steps again.
const SHARE: f64 = 0.1;
/// The starting step gives this many equal steps of its interpolant, whose order it is.
const START: usize = 4;
/// A step is aimed at this fraction of the one that the error would allow.
const SAFETY: f64 = 0.85;
/// A step grows by no more than this at once.
const LARGEST_GROWTH: f64 = 8.0;
/// A gain below this is not worth new differences and factors.
const WORTHWHILE: f64 = 1.15;
/// After so many failures in a row the past is a bad guide: order 1.
const FAILURES_TO_ORDER_ONE: u32 = 4;

impl Integrator {
    /// `floor` holds the least scale of each state.
    pub(super) fn new(
        pattern: &Pattern,
        elimination: &Elimination,
        tolerances: Tolerances,
        floor: Vec<f64>,
    ) -> Self {
        Integrator {
            allowance: Allowance {
                tolerances,
                scale: floor,
            },
            starter: Rodas::new(pattern.clone(), elimination.clone()),
            method: Multistep::new(pattern.clone(), elimination.clone()),
            work: Work::default(),
        }
    }

    /// What has been done so far.
    pub(super) fn work(&self) -> Work {
        let cost = self.method.cost;
        Work {
            rates: self.work.rates + cost.rates,
            iterations: cost.iterations,
            jacobians: self.work.jacobians + cost.jacobians,
            factorisations: self.work.factorisations + cost.factorisations,
            dense_factorisations: self.starter.dense_factorisations + cost.dense_factorisations,
            ..self.work
        }
    }

    /// Runs `state` through a stretch of `length_ms` without an edge. `each` sees every step, and says whether to go on.
    #[inline(always)]
    pub(super) fn stretch<S: System>(
        &mut self,
        system: &mut S,
        state: &mut [f64],
        length_ms: f64,
        each: &mut dyn FnMut(&mut S, &Accepted<'_>) -> bool,
    ) -> Result<(), Stop> {
        self.allowance.grow(state);
        let mut from_ms = self.start(system, state, length_ms)?;
        let first = Accepted {
            from_ms: 0.0,
            to_ms: from_ms,
            start: state,
            method: &self.method,
        };
        if !each(system, &first) {
            return Err(Stop::Cancelled);
        }
        state.copy_from_slice(&self.method.d[0]);
        self.allowance.grow(state);
        let (mut equal, mut failed) = (0, 0);
        while from_ms < length_ms {
            let left = length_ms - from_ms;
            let steps = left / self.method.h;
            // Two equal steps are better than one and a sliver.
            let wanted = if steps < 1.0 {
                1.0
            } else if steps < 2.0 {
                2.0
            } else {
                steps
            };
            if steps < 2.0 && (steps - wanted).abs() > 1e-9 && (steps - 1.0).abs() > 1e-9 {
                self.method.resize(steps / wanted);
                equal = 0;
            }
            let lands = (left / self.method.h - 1.0).abs() <= 1e-6;
            let to_ms = if lands {
                length_ms
            } else {
                from_ms + self.method.h
            };
            let allowance = &self.allowance;
            let order = self.method.order;
            let solved = self
                .method
                .try_step(system, to_ms, &allowance.scale, |y, scale| {
                    allowance.share(y, scale)
                });
            let error = match solved {
                Solved::After(_) => {
                    let norm = allowance.norm(&self.method.correction, state, &self.method.end);
                    error_constant(order) * norm
                }
                Solved::No => f64::NAN,
            };
            // A NaN is not below anything.
            if error <= 1.0 {
                self.method.accept();
                self.work.steps += 1;
                let step = Accepted {
                    from_ms,
                    to_ms,
                    start: state,
                    method: &self.method,
                };
                if !each(system, &step) {
                    return Err(Stop::Cancelled);
                }
                state.copy_from_slice(&self.method.d[0]);
                self.allowance.grow(state);
                from_ms = to_ms;
                (equal, failed) = (equal + 1, 0);
                if equal > order {
                    equal = if self.adapt(error) { 0 } else { equal };
                }
            } else {
                let factor = if error.is_finite() {
                    self.work.rejections += 1;
                    (SAFETY * error.powf(-1.0 / (order as f64 + 1.0))).clamp(0.1, 0.9)
                } else {
                    self.work.failures += 1;
                    0.25
                };
                failed += 1;
                if failed >= FAILURES_TO_ORDER_ONE {
                    self.method.order = 1;
                }
                self.method.resize(factor);
                equal = 0;
                if self.method.h < SMALLEST_STEP_MS || from_ms + self.method.h == from_ms {
                    let end = &self.method.end;
                    let culprit = self.culprit(
                        &[state, end, &self.method.correction],
                        &self.method.correction,
                        state,
                    );
                    return Err(Stop::Lost {
                        after_ms: from_ms,
                        state: culprit,
                    });
                }
            }
        }
        Ok(())
    }

    /// Makes the first step with the one-step method, whose interpolant is the past of the multistep one. Returns its end.
    fn start(
        &mut self,
        system: &mut impl System,
        state: &[f64],
        length_ms: f64,
    ) -> Result<f64, Stop> {
        self.starter.linearise(system, 0.0, state);
        self.work.rates += 1;
        self.work.jacobians += 1;
        let mut h = self.first_step(state, length_ms);
        loop {
            self.starter.step(system, 0.0, state, h);
            self.work.rates += 7;
            self.work.factorisations += 1;
            let end = &self.starter.end;
            let norm = self.allowance.norm(self.starter.error(), state, end);
            let error = if end.iter().all(|x| x.is_finite()) {
                norm
            } else {
                f64::NAN
            };
            if error <= 1.0 {
                break;
            }
            self.work.rejections += 1;
            let factor = if error.is_finite() {
                SAFETY * error.powf(-1.0 / ERROR_POWER)
            } else {
                0.0
            };
            // A first step is a guess that may be far off.
            h *= factor.clamp(0.02, 0.7);
            if h < SMALLEST_STEP_MS {
                let s = &self.starter;
                return Err(Stop::Lost {
                    after_ms: 0.0,
                    state: self.culprit(&[state, &s.rates, &s.end], s.error(), state),
                });
            }
        }
        self.work.steps += 1;
        self.starter.prepare_interpolant();
        let mut points = vec![vec![0.0; state.len()]; START + 1];
        for (i, point) in points.iter_mut().enumerate() {
            let x = 1.0 - i as f64 / START as f64;
            self.starter.interpolate(x, state, &self.starter.end, point);
        }
        self.method.start(&points, h / START as f64);
        Ok(h)
    }

    /// After as many equal steps as the order: the order and the step that promise most. Whether anything was changed.
    fn adapt(&mut self, error: f64) -> bool {
        let m = &mut self.method;
        let k = m.order;
        let factor = |order: usize, error: f64| {
            // No error at all is as good as a small one.
            let error = error.max(1e-12);
            SAFETY * error.powf(-1.0 / (order as f64 + 1.0))
        };
        let y = &m.d[0];
        let mut best = (k, factor(k, error));
        if k > 1 {
            let lower = factor(
                k - 1,
                error_constant(k - 1) * self.allowance.norm(&m.d[k], y, y),
            );
            if lower > best.1 {
                best = (k - 1, lower);
            }
        }
        if k < HIGHEST {
            let higher = factor(
                k + 1,
                error_constant(k + 1) * self.allowance.norm(&m.d[k + 2], y, y),
            );
            if higher > best.1 {
                best = (k + 1, higher);
            }
        }
        let (order, factor) = best;
        if (1.0..WORTHWHILE).contains(&factor) {
            return false;
        }
        m.order = order;
        m.resize(factor.clamp(0.2, LARGEST_GROWTH));
        true
    }

    /// The state to blame for a failure: the first that is not finite in a list, else the one with the largest error.
    fn culprit(&self, lists: &[&[f64]], error: &[f64], state: &[f64]) -> usize {
        if let Some(i) = lists
            .iter()
            .find_map(|list| list.iter().position(|x| !x.is_finite()))
        {
            return i;
        }
        let ratio = |i: usize| error[i].abs() / self.allowance.of(i, state[i]);
        (0..error.len())
            .max_by(|&a, &b| ratio(a).total_cmp(&ratio(b)))
            .unwrap_or(0)
    }

    /// A first step after an edge. With `a` and `b` the norms of the first and second derivative in units of what is
    /// allowed, the solution changes on a scale of time `a/b`, and its error in a step is near `(a²/b) (h b/a)⁵`.
    fn first_step(&self, state: &[f64], length_ms: f64) -> f64 {
        let first = self.allowance.norm(&self.starter.rates, state, state);
        let second = self
            .allowance
            .norm(&self.starter.second_derivative(), state, state);
        // The method's error constant, near 1e-3, is left out: a step that fails costs more than a cautious one.
        let h = first.powf(0.6) * second.powf(-0.8);
        if h.is_finite() && h > 0.0 {
            h.clamp(10.0 * SMALLEST_STEP_MS, length_ms)
        } else {
            length_ms * 1e-3
        }
    }
}
