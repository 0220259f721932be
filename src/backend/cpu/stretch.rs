//! Steps of equal length during which no lane has anything to be looked at: they are taken by all lanes at once.
//!
//! With a fixed step, and a model of a few gates, looking at every lane costs ten times what the step costs. Between two events of a lane (an
//! edge of the protocol, a row to be sampled) it has nothing to do but to take what was tried, as long as the step is sound and no feature would
//! note the piece behind it. Both are asked here of all lanes together, with a margin for rounding; where the answer is not a clear yes, the
//! step is judged lane by lane like any other. So nothing depends on whether a step was part of a stretch.

use crate::feature::{FeatureKind, Gathered};
use crate::ops::Lane;
use crate::protocol::ms;

use super::group::flag;
use super::interpret::Simd;
use super::lanes::{Advance, Lanes};

/// Steps of a stretch at most: the call may be cancelled in between.
const LONGEST: i64 = 4096;

/// Share of the numbers involved by which a bound must be clear: a hundred times what rounding in single precision makes of it.
const MARGIN: f64 = 1e-5;

/// What the features need to know of the lanes while a stretch lasts.
#[derive(Clone, Debug, Default)]
pub(super) struct Stretch<T> {
    /// Whether a fibre is in the lane.
    active: Vec<bool>,
    /// Third of the length of a piece, in the unit of the rates' time.
    third: Vec<T>,
    /// For each feature and lane: 1 above the threshold, -1 below it.
    side: Vec<T>,
    /// For each feature and lane: how near a turning point came to the threshold.
    nearest: Vec<T>,
}

impl<T: Lane> Advance<'_, T> {
    /// How many steps, from the one whose inputs have just been written, all lanes can take before one has to be looked at for its clock.
    pub(super) fn quiet_steps(&self, lanes: &mut Lanes<T>) -> i64 {
        let plan = &self.cpu.plan;
        let features = &plan.features;
        if plan.adaptive
            || plan.time_row.is_some()
            || plan.has_ramps
            || features.iter().any(|f| f.0.kind != FeatureKind::Spikes)
        {
            return 0;
        }
        let n = lanes.lanes;
        let last_row = self.samples.first_row + self.samples.n_rows;
        let mut least = LONGEST;
        for l in 0..n {
            if lanes.fibre[l].is_none() {
                continue;
            }
            let clock = &lanes.clock[l];
            if !clock.has(flag::OPEN) || clock.has(flag::ON_EDGE) || clock.now < 0 {
                return 0;
            }
            let step = lanes.tried[l];
            let end = plan.schedule.segments[clock.segment as usize].end;
            // Behind the last of them there is room for one more step of this length.
            let mut steps = (end - clock.now) / step - 1;
            if (clock.next_row as usize) < last_row {
                let ahead = self.cpu.row_ticks(clock.next_row as usize) - clock.now as f64;
                if ahead < 0.0 {
                    return 0;
                }
                steps = steps.min((ahead / step as f64) as i64 + 1);
            }
            for (spec, _) in features {
                if ms(clock.piece_start) < spec.after_ms {
                    return 0;
                }
                let left_ms = spec.before_ms - ms(clock.now);
                steps = steps.min((left_ms / ms(step)) as i64 - 1);
            }
            least = least.min(steps);
            if least <= 0 {
                return 0;
            }
        }
        self.prepare(lanes);
        least
    }

    fn prepare(&self, lanes: &mut Lanes<T>) {
        let (plan, n) = (&self.cpu.plan, lanes.lanes);
        let n_features = plan.features.len();
        let quiet = &mut lanes.stretch;
        quiet.active.clear();
        quiet.active.extend(lanes.fibre.iter().map(Option::is_some));
        quiet.third.clear();
        for l in 0..n {
            let length = (lanes.clock[l].now - lanes.clock[l].piece_start).max(1);
            let length = length.max(lanes.tried[l]) as f64 / plan.ticks_per_time;
            quiet.third.push(T::of(length / 3.0));
        }
        quiet.side.clear();
        quiet.nearest.clear();
        for f in 0..n_features {
            for l in 0..n {
                let distance = lanes.fibre[l].map_or(f64::NAN, |fibre| {
                    turn(&self.group.gathered[fibre as usize * n_features + f])
                });
                // Neither side while nothing is known: then no piece is left out.
                let side = if distance.is_nan() {
                    0.0
                } else {
                    1f64.copysign(distance)
                };
                quiet.side.push(T::of(side));
                quiet.nearest.push(T::of(distance.abs()));
            }
        }
    }

    /// Whether the step that was just tried is sound in every lane, and no feature has anything to note of the piece behind it.
    pub(super) fn is_quiet(&self, lanes: &Lanes<T>, rows: &[T]) -> bool {
        match self.cpu.engine().simd() {
            // SAFETY: `Simd` values other than the baseline are made by `available` alone, after the features were found.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => unsafe { self.is_quiet_avx512(lanes, rows) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => unsafe { self.is_quiet_avx2(lanes, rows) },
            _ => self.is_quiet_here(lanes, rows),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    fn is_quiet_avx512(&self, lanes: &Lanes<T>, rows: &[T]) -> bool {
        self.is_quiet_here(lanes, rows)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn is_quiet_avx2(&self, lanes: &Lanes<T>, rows: &[T]) -> bool {
        self.is_quiet_here(lanes, rows)
    }

    #[inline(always)]
    fn is_quiet_here(&self, lanes: &Lanes<T>, rows: &[T]) -> bool {
        let (cpu, n, quiet) = (self.cpu, lanes.lanes, &lanes.stretch);
        let tile = lanes.layout.tile_lanes;
        let one = T::of(1.0);
        for first in (0..n).step_by(tile) {
            let width = tile.min(n - first);
            let row = |k: usize| &rows[lanes.layout.at(cpu.first_output + k, first)..][..width];
            let active = &quiet.active[first..][..width];
            let errors = row(cpu.error_output);
            let mut all = true;
            for (&e, &a) in errors.iter().zip(active) {
                all &= (e <= one) | !a;
            }
            for (f, (spec, of)) in cpu.plan.features.iter().enumerate() {
                let output = cpu.observable_output(*of);
                let (g1, d1) = (row(output), row(output + 1));
                let g0 = &lanes.open[2 * of * n + first..][..width];
                let d0 = &lanes.open[(2 * of + 1) * n + first..][..width];
                let third = &quiet.third[first..][..width];
                let side = &quiet.side[f * n + first..][..width];
                let nearest = &quiet.nearest[f * n + first..][..width];
                let threshold = T::of(spec.threshold);
                let (margin, zero) = (T::of(MARGIN), T::of(0.0));
                let least = |a: T, b: T| if a < b { a } else { b };
                for l in 0..width {
                    let (rise, fall) = (third[l] * d0[l], third[l] * d1[l]);
                    // Distances of the four coefficients from the threshold, on the side of the course.
                    let ends = least(side[l] * (g0[l] - threshold), side[l] * (g1[l] - threshold));
                    let inner = least(
                        side[l] * (g0[l] + rise - threshold),
                        side[l] * (g1[l] - fall - threshold),
                    );
                    let sum = g0[l].abs() + g1[l].abs() + rise.abs() + fall.abs() + threshold.abs();
                    let distance = least(ends, inner) - margin * (sum + nearest[l]);
                    // A difference of infinities is NaN and fails; without a turning point the nearest one does not matter.
                    let turns =
                        !((d0[l] >= zero) & (d1[l] >= zero) | (d0[l] <= zero) & (d1[l] <= zero));
                    let plain = least(ends, inner) - margin * sum > zero;
                    let clear = plain & (!turns | (distance > nearest[l]));
                    all &= clear | !active[l];
                }
            }
            if !all {
                return false;
            }
        }
        true
    }

    /// Every lane takes what was tried; their clocks follow when the stretch is over.
    pub(super) fn take_quietly(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        let (cpu, n) = (self.cpu, lanes.lanes);
        let tile = lanes.layout.tile_lanes;
        for k in 0..cpu.n_observables() {
            let output = cpu.observable_output(k);
            for first in (0..n).step_by(tile) {
                let width = tile.min(n - first);
                for i in 0..2 {
                    let from = lanes.layout.at(cpu.first_output + output + i, first);
                    lanes.open[(2 * k + i) * n + first..][..width]
                        .copy_from_slice(&rows[from..][..width]);
                }
            }
        }
        self.take_new_states(lanes, rows);
    }

    /// Moves the clocks by the steps of a stretch.
    pub(super) fn pass_quietly(&self, lanes: &mut Lanes<T>, steps: i64) {
        for (l, clock) in lanes.clock.iter_mut().enumerate() {
            if steps > 0 && lanes.fibre[l].is_some() {
                clock.now += steps * lanes.tried[l];
                clock.piece_start = clock.now - lanes.tried[l];
                clock.accepted += steps as u64;
            }
        }
    }
}

/// The last number that spikes gather: its sign is the side of the threshold, its size how near a turning point came.
fn turn(gathered: &Gathered) -> f64 {
    gathered.numbers()[3]
}
