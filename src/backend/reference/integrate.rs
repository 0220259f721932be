//! Step after step from one edge to the next: how large, accepted or not, and when a fibre is lost.

use super::linear::{Elimination, Pattern};
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

/// An accepted step, as far as the caller needs it.
pub(super) struct Accepted<'a> {
    /// Start and end, ms from the start of the stretch.
    pub(super) from_ms: f64,
    pub(super) to_ms: f64,
    /// States at both ends.
    pub(super) start: &'a [f64],
    pub(super) end: &'a [f64],
    method: &'a Rodas,
}

impl Accepted<'_> {
    /// The state at a time within the step, by the method's interpolant; exact at both ends.
    pub(super) fn at(&self, ms: f64, state: &mut [f64]) {
        let x = (ms - self.from_ms) / (self.to_ms - self.from_ms);
        self.method.interpolate(x, self.start, self.end, state);
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

/// How many steps and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Accepted steps.
    pub steps: u64,
    /// Steps tried in vain.
    pub rejections: u64,
    /// Evaluations of the right-hand side.
    pub rates: u64,
    /// Evaluations of the Jacobian.
    pub jacobians: u64,
    /// Factorisations: one for every step tried.
    pub factorisations: u64,
    /// Those of them that had to search for pivots.
    pub dense_factorisations: u64,
}

/// The controller of one fibre.
pub(super) struct Integrator {
    tolerances: Tolerances,
    scale: Vec<f64>,
    method: Rodas,
    pub(super) work: Work,
}

/// A step is aimed at this fraction of what the error would allow, and changes by no more than these factors.
const SAFETY: f64 = 0.85;
const LARGEST_GROWTH: f64 = 6.0;
const SMALLEST_FACTOR: f64 = 0.1;
/// Weight of the last error in the choice of the next step (proportional-integral control; Gustafsson 1991).
const MEMORY: f64 = 0.08;

impl Integrator {
    /// `floor` holds the least scale of each state.
    pub(super) fn new(
        pattern: Pattern,
        elimination: Elimination,
        tolerances: Tolerances,
        floor: Vec<f64>,
    ) -> Self {
        Integrator {
            tolerances,
            scale: floor,
            method: Rodas::new(pattern, elimination),
            work: Work::default(),
        }
    }

    /// Runs `state` through a stretch of `length_ms` without an edge. `each` sees every step, and says whether to go on.
    pub(super) fn stretch<S: System>(
        &mut self,
        system: &mut S,
        state: &mut Vec<f64>,
        length_ms: f64,
        each: &mut dyn FnMut(&mut S, &Accepted<'_>) -> bool,
    ) -> Result<(), Stop> {
        self.grow_scales(state);
        let mut from_ms = 0.0;
        self.linearise(system, from_ms, state);
        let mut h = self.first_step(state, length_ms);
        let mut last_error = 1.0f64;
        let mut rejected = false;
        let mut first = true;
        while from_ms < length_ms {
            let left = length_ms - from_ms;
            // Two halves are better than a step and a sliver.
            let to_ms = if h * 1.001 >= left {
                length_ms
            } else if h * 2.0 > left {
                from_ms + left / 2.0
            } else {
                from_ms + h
            };
            let tried = to_ms - from_ms;
            self.method.step(system, from_ms, state, tried);
            self.work.factorisations += 1;
            self.work.dense_factorisations = self.method.dense_factorisations;
            self.work.rates += 7;
            let error = self.error(state);
            // A NaN is not below anything.
            if error <= 1.0 {
                let error = error.max(1e-8);
                self.work.steps += 1;
                self.method.prepare_interpolant();
                let end = self.method.end.clone();
                let step = Accepted {
                    from_ms,
                    to_ms,
                    start: state,
                    end: &end,
                    method: &self.method,
                };
                if !each(system, &step) {
                    return Err(Stop::Cancelled);
                }
                *state = end;
                self.grow_scales(state);
                from_ms = to_ms;
                let power = 1.0 / ERROR_POWER;
                let factor =
                    SAFETY * error.powf(-(power - 0.75 * MEMORY)) * last_error.powf(MEMORY);
                let factor = factor.clamp(0.2, if rejected { 1.0 } else { LARGEST_GROWTH });
                h = tried * factor;
                last_error = error.max(1e-4);
                rejected = false;
                first = false;
                if from_ms < length_ms {
                    self.linearise(system, from_ms, state);
                }
            } else {
                self.work.rejections += 1;
                let factor = if error.is_finite() {
                    SAFETY * error.powf(-1.0 / ERROR_POWER)
                } else {
                    0.0
                };
                // The first step is a guess that may be far off.
                let smallest = if first { 0.01 } else { SMALLEST_FACTOR };
                h = tried * factor.clamp(smallest, 0.9);
                rejected = true;
                if h < SMALLEST_STEP_MS || from_ms + h == from_ms {
                    return Err(Stop::Lost {
                        after_ms: from_ms,
                        state: self.culprit(state),
                    });
                }
            }
        }
        Ok(())
    }

    fn linearise(&mut self, system: &mut impl System, at_ms: f64, state: &[f64]) {
        self.method.linearise(system, at_ms, state);
        self.work.rates += 1;
        self.work.jacobians += 1;
    }

    fn grow_scales(&mut self, state: &[f64]) {
        for (s, y) in self.scale.iter_mut().zip(state) {
            *s = s.max(y.abs());
        }
    }

    fn allowed(&self, i: usize, magnitude: f64) -> f64 {
        self.tolerances.relative * magnitude + self.tolerances.absolute * self.scale[i]
    }

    /// The largest error of a state over what is allowed; NaN or infinite where a state is not finite.
    fn error(&self, start: &[f64]) -> f64 {
        let mut worst = 0.0f64;
        for (i, e) in self.method.error().iter().enumerate() {
            let end = self.method.end[i];
            let error = e.abs() / self.allowed(i, start[i].abs().max(end.abs()));
            if !(error.is_finite() && end.is_finite()) {
                return f64::NAN;
            }
            worst = worst.max(error);
        }
        worst
    }

    /// The state to blame for a failed step: the first that is not finite, else the one with the largest error.
    fn culprit(&self, start: &[f64]) -> usize {
        let error = self.method.error();
        let lists = [start, &self.method.rates, &self.method.end, error];
        if let Some(i) = lists
            .iter()
            .find_map(|list| list.iter().position(|x| !x.is_finite()))
        {
            return i;
        }
        let ratio = |i: usize| {
            error[i].abs() / self.allowed(i, start[i].abs().max(self.method.end[i].abs()))
        };
        (0..error.len())
            .max_by(|&a, &b| ratio(a).total_cmp(&ratio(b)))
            .unwrap_or(0)
    }

    /// A first step after an edge. With `a` and `b` the norms of the first and second derivative in units of what is
    /// allowed, the solution changes on a scale of time `a/b`, so that its error in a step is near `c b (a/b)² (h b/a)⁵`.
    fn first_step(&self, state: &[f64], length_ms: f64) -> f64 {
        let norm = |x: &[f64]| {
            let ratio = |(i, x): (usize, &f64)| x.abs() / self.allowed(i, state[i].abs());
            x.iter().enumerate().map(ratio).fold(0.0, f64::max)
        };
        let first = norm(&self.method.rates);
        let second = norm(&self.method.second_derivative());
        // The method's error constant, near 1e-3, is left out: an optimistic first step costs more than a cautious one.
        let h = first.powf(0.6) * second.powf(-0.8);
        if h.is_finite() && h > 0.0 {
            h.clamp(10.0 * SMALLEST_STEP_MS, length_ms)
        } else {
            length_ms * 1e-3
        }
    }
}
