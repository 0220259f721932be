//! The steps of one fibre from one edge to the next: how large, of which order, accepted or not, and when the fibre is lost.
//! Whoever steps (module `ensemble`) solves the equations; a [`Stepper`] says of which step, and what follows.

use super::multistep::{HIGHEST, Multistep, error_constant};
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
    /// Those of first steps that had to search for pivots.
    pub dense_factorisations: u64,
}

/// Why a fibre went no further.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lost {
    /// The last time at which all was well, ms from the start of the stretch.
    pub(super) after_ms: f64,
    /// The state to blame.
    pub(super) state: usize,
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

/// Iterations before giving up; a converging one needs one or two.
const ITERATIONS: u32 = 5;
/// The iteration stops when its error is below this fraction of what is allowed for the step, so that the error estimate
/// means the formula's error.
const NEWTON: f64 = 0.1;
/// Factors that have served for so many steps are made anew.
const OLD: u32 = 20;

/// What follows an iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    /// Another one, perhaps of another step.
    Iteration,
    /// The step has been taken: the solution is at its end.
    Taken,
}

/// The controller of one fibre.
pub(super) struct Stepper {
    allowance: Allowance,
    pub(super) method: Multistep,
    pub(super) work: Work,
    /// Where the stretch ends, and between which times the step being tried lies, ms from the start of the stretch.
    length_ms: f64,
    pub(super) from_ms: f64,
    pub(super) to_ms: f64,
    /// Equal steps so far, and failures in a row.
    equal: usize,
    failed: u32,
    /// Shift of the factors in use; NaN if there are none.
    shift: f64,
    /// Whether the factors are of the present prediction, and for how many steps they have served.
    fresh: bool,
    age: u32,
    /// Iterations of this step, the size of the last one, and by how much an iteration reduces the error, as seen with these factors.
    iteration: u32,
    last: f64,
    rate: f64,
    error: f64,
}

impl Stepper {
    /// `floor` holds the least scale of each state.
    pub(super) fn new(tolerances: Tolerances, floor: Vec<f64>) -> Self {
        Stepper {
            method: Multistep::new(floor.len()),
            allowance: Allowance {
                tolerances,
                scale: floor,
            },
            work: Work::default(),
            length_ms: 0.0,
            from_ms: 0.0,
            to_ms: 0.0,
            equal: 0,
            failed: 0,
            shift: f64::NAN,
            fresh: false,
            age: 0,
            iteration: 0,
            last: f64::NAN,
            rate: 1.0,
            error: f64::NAN,
        }
    }

    /// Begins a stretch of `length_ms` without an edge, by the first step; it ends at [`Stepper::to_ms`].
    pub(super) fn enter<S: System>(
        &mut self,
        starter: &mut Rodas,
        system: &mut S,
        state: &[f64],
        length_ms: f64,
    ) -> Result<(), Lost> {
        self.allowance.grow(state);
        let to_ms = self.start(starter, system, state, length_ms)?;
        (self.length_ms, self.from_ms, self.to_ms) = (length_ms, 0.0, to_ms);
        (self.equal, self.failed) = (0, 0);
        self.shift = f64::NAN;
        self.error = f64::NAN;
        Ok(())
    }

    /// How many equal steps of the method the step that has been taken spans: the first one of a stretch several.
    pub(super) fn n_equal(&self) -> u32 {
        let equal = ((self.to_ms - self.from_ms) / self.method.h).round();
        equal.max(1.0) as u32
    }

    /// The shift of the step that has been taken.
    pub(super) fn shift(&self) -> f64 {
        self.shift
    }

    /// Whether the step that has been taken ends the stretch.
    pub(super) fn has_arrived(&self) -> bool {
        self.to_ms >= self.length_ms
    }

    /// Goes on from the end of a step that has been taken to the next one, and begins it.
    #[inline(always)]
    pub(super) fn go_on(&mut self) {
        self.allowance.grow(&self.method.d[0]);
        self.from_ms = self.to_ms;
        // The first step, of another method, has no error of this one.
        if self.error.is_finite() {
            (self.equal, self.failed) = (self.equal + 1, 0);
            if self.equal > self.method.order {
                self.equal = if self.adapt(self.error) {
                    0
                } else {
                    self.equal
                };
            }
        }
        self.aim();
    }

    /// Begins the step that is to be tried: how long, and its first guess.
    #[inline(always)]
    fn aim(&mut self) {
        let left = self.length_ms - self.from_ms;
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
            self.equal = 0;
        }
        let lands = (left / self.method.h - 1.0).abs() <= 1e-6;
        self.to_ms = if lands {
            self.length_ms
        } else {
            self.from_ms + self.method.h
        };
        let allowance = &self.allowance;
        self.method
            .predict(&allowance.scale, |y, scale| allowance.share(y, scale));
        self.iteration = 0;
        if self.age >= OLD {
            self.shift = f64::NAN;
        }
    }

    /// Whether the matrix is to be factored, at the present guess with [`Multistep::shift`], before the next iteration.
    pub(super) fn wants_factors(&self) -> bool {
        self.shift != self.method.shift()
    }

    /// The factors that were wanted have been made.
    pub(super) fn has_factors(&mut self) {
        self.shift = self.method.shift();
        (self.fresh, self.age, self.rate) = (true, 0, 1.0);
        self.work.jacobians += 1;
        self.work.factorisations += 1;
    }

    /// Takes what an iteration changes in the guess.
    #[inline(always)]
    pub(super) fn iterate(&mut self, change: &[f64]) -> Result<Next, Lost> {
        let size = self.method.improve(change);
        self.iteration += 1;
        self.work.rates += 1;
        self.work.iterations += 1;
        if self.iteration > 1 {
            self.rate = (0.3 * self.rate).max(size / self.last);
        }
        let diverges = !size.is_finite() || (self.iteration > 1 && size > 2.0 * self.last);
        if size * self.rate.min(1.0) <= NEWTON {
            let norm =
                self.allowance
                    .norm(&self.method.correction, &self.method.d[0], &self.method.end);
            let error = error_constant(self.method.order) * norm;
            // A NaN is not below anything.
            if error <= 1.0 {
                self.method.accept();
                self.work.steps += 1;
                (self.error, self.fresh, self.age) = (error, false, self.age + 1);
                return Ok(Next::Taken);
            }
            return self.fail(error);
        }
        if diverges || self.iteration == ITERATIONS {
            if self.fresh {
                return self.fail(f64::NAN);
            }
            // The factors are of another place: once more with new ones.
            self.shift = f64::NAN;
            self.iteration = 0;
            self.method.guess_again();
        }
        self.last = size;
        Ok(Next::Iteration)
    }

    /// Begins a shorter step in the place of one whose error was too large, or that could not be solved (NaN).
    #[inline(always)]
    fn fail(&mut self, error: f64) -> Result<Next, Lost> {
        let order = self.method.order;
        let factor = if error.is_finite() {
            self.work.rejections += 1;
            (SAFETY * error.powf(-1.0 / (order as f64 + 1.0))).clamp(0.1, 0.9)
        } else {
            self.work.failures += 1;
            0.25
        };
        self.failed += 1;
        if self.failed >= FAILURES_TO_ORDER_ONE {
            self.method.order = 1;
        }
        self.method.resize(factor);
        self.equal = 0;
        if self.method.h < SMALLEST_STEP_MS || self.from_ms + self.method.h == self.from_ms {
            let m = &self.method;
            let lists = [&m.d[0][..], &m.end, &m.correction];
            return Err(Lost {
                after_ms: self.from_ms,
                state: self.culprit(&lists, &m.correction, &m.d[0]),
            });
        }
        self.aim();
        Ok(Next::Iteration)
    }

    /// Makes the first step with the one-step method, whose interpolant is the past of the multistep one. Returns its end.
    fn start(
        &mut self,
        starter: &mut Rodas,
        system: &mut impl System,
        state: &[f64],
        length_ms: f64,
    ) -> Result<f64, Lost> {
        let before = starter.dense_factorisations;
        starter.linearise(system, 0.0, state);
        self.work.rates += 1;
        self.work.jacobians += 1;
        let mut h = self.first_step(starter, state, length_ms);
        loop {
            starter.step(system, 0.0, state, h);
            self.work.rates += 7;
            self.work.factorisations += 1;
            let end = &starter.end;
            let norm = self.allowance.norm(starter.error(), state, end);
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
                let s = &*starter;
                return Err(Lost {
                    after_ms: 0.0,
                    state: self.culprit(&[state, &s.rates, &s.end], s.error(), state),
                });
            }
        }
        self.work.steps += 1;
        self.work.dense_factorisations += starter.dense_factorisations - before;
        starter.prepare_interpolant();
        let mut points = vec![vec![0.0; state.len()]; START + 1];
        for (i, point) in points.iter_mut().enumerate() {
            let x = 1.0 - i as f64 / START as f64;
            starter.interpolate(x, state, &starter.end, point);
        }
        self.method.start(&points, h / START as f64);
        Ok(h)
    }

    /// After as many equal steps as the order: the order and the step that promise most. Whether anything was changed.
    #[inline(always)]
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
    fn first_step(&self, starter: &Rodas, state: &[f64], length_ms: f64) -> f64 {
        let first = self.allowance.norm(&starter.rates, state, state);
        let second = self
            .allowance
            .norm(&starter.second_derivative(), state, state);
        // The method's error constant, near 1e-3, is left out: a step that fails costs more than a cautious one.
        let h = first.powf(0.6) * second.powf(-0.8);
        if h.is_finite() && h > 0.0 {
            h.clamp(10.0 * SMALLEST_STEP_MS, length_ms)
        } else {
            length_ms * 1e-3
        }
    }
}
