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

/// What is known of the lanes while a stretch lasts.
#[derive(Clone, Debug, Default)]
pub(super) struct Stretch<T> {
    /// For each tile: how many steps its lanes can take before one has to be looked at for its clock.
    steps: Vec<i64>,
    /// 1 if a fibre is in the lane, else 0.
    active: Vec<T>,
    /// Third of the length of a piece, in the unit of the rates' time.
    third: Vec<T>,
    /// For each feature and lane: 1 above the threshold, -1 below it.
    side: Vec<T>,
    /// For each feature and lane: how near a turning point came to the threshold.
    nearest: Vec<T>,
}

/// What is asked of one feature in a few lanes: the piece's ends and slopes, and what the stretch knows of them.
struct Asked<'a, T> {
    g0: &'a [T],
    d0: &'a [T],
    g1: &'a [T],
    d1: &'a [T],
    third: &'a [T],
    side: &'a [T],
    nearest: &'a [T],
    active: &'a [T],
}

impl<T: Lane> Advance<'_, T> {
    /// Runs the program: once, or, where steps are fixed, tile by tile as long as nothing in the tile has to be looked at.
    pub(super) fn run_stretch(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        if !self.can_be_quiet() {
            self.cpu.run_program(rows, &mut lanes.slots);
            return;
        }
        let (n, width) = (lanes.lanes, lanes.layout.tile_lanes);
        let mut steps = std::mem::take(&mut lanes.stretch.steps);
        steps.clear();
        steps.extend(
            (0..n)
                .step_by(width)
                .map(|l| self.quiet_steps(lanes, l, width.min(n - l))),
        );
        if steps.iter().any(|&s| s > 0) {
            self.prepare(lanes);
        }
        for (k, tile) in rows.chunks_exact_mut(lanes.layout.tile_values).enumerate() {
            let first = k * width;
            let width = width.min(n - first);
            let mut taken = 0;
            loop {
                self.cpu.run_program(tile, &mut lanes.slots);
                if taken == steps[k] || !self.is_quiet(lanes, tile, first, width) {
                    break;
                }
                self.take_quietly(lanes, tile, first, width);
                taken += 1;
            }
            self.pass_quietly(lanes, first, width, taken);
        }
        lanes.stretch.steps = steps;
    }

    /// Whether lanes have nothing to do between two events of their clocks.
    fn can_be_quiet(&self) -> bool {
        let plan = &self.cpu.plan;
        let spikes_only = plan
            .features
            .iter()
            .all(|f| f.0.kind == FeatureKind::Spikes);
        !plan.adaptive && plan.time_row.is_none() && !plan.has_ramps && spikes_only
    }

    /// How many steps, from the one whose inputs have just been written, all of the lanes can take before one has to be looked at.
    fn quiet_steps(&self, lanes: &Lanes<T>, first: usize, width: usize) -> i64 {
        let plan = &self.cpu.plan;
        let last_row = self.samples.first_row + self.samples.n_rows;
        let mut least = LONGEST;
        for l in first..first + width {
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
            for (spec, _) in &plan.features {
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
        least
    }

    fn prepare(&self, lanes: &mut Lanes<T>) {
        let (plan, n) = (&self.cpu.plan, lanes.lanes);
        let n_features = plan.features.len();
        let quiet = &mut lanes.stretch;
        let number = |is: bool| T::of(if is { 1.0 } else { 0.0 });
        quiet.active.clear();
        quiet
            .active
            .extend(lanes.fibre.iter().map(|f| number(f.is_some())));
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

    /// Whether the step that was just tried is sound in every lane of a tile, and no feature has anything to note of the piece behind it.
    fn is_quiet(&self, lanes: &Lanes<T>, tile: &[T], first: usize, width: usize) -> bool {
        match self.cpu.engine().simd() {
            // SAFETY: `Simd` values other than the baseline are made by `available` alone, after the features were found.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => unsafe { self.is_quiet_avx512(lanes, tile, first, width) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => unsafe { self.is_quiet_avx2(lanes, tile, first, width) },
            _ => self.is_quiet_here(lanes, tile, first, width),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    fn is_quiet_avx512(&self, lanes: &Lanes<T>, tile: &[T], first: usize, width: usize) -> bool {
        self.is_quiet_here(lanes, tile, first, width)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn is_quiet_avx2(&self, lanes: &Lanes<T>, tile: &[T], first: usize, width: usize) -> bool {
        self.is_quiet_here(lanes, tile, first, width)
    }

    #[inline(always)]
    fn is_quiet_here(&self, lanes: &Lanes<T>, tile: &[T], first: usize, width: usize) -> bool {
        let (cpu, n, quiet) = (self.cpu, lanes.lanes, &lanes.stretch);
        let row = |k: usize| &tile[(cpu.first_output + k) * lanes.layout.tile_lanes..][..width];
        let active = &quiet.active[first..][..width];
        let errors = row(cpu.error_output);
        let (zero, one) = (T::of(0.0), T::of(1.0));
        // A loop without exits: the compiler makes vectors of it.
        let unsound = |&e: &T, &a: &T| T::choose(e.at_most(one), zero, a);
        let mut asked_for = zero;
        for (e, a) in errors.iter().zip(active) {
            asked_for = larger(asked_for, unsound(e, a));
        }
        for (f, (spec, of)) in cpu.plan.features.iter().enumerate() {
            let output = cpu.observable_output(*of);
            let asked = Asked {
                g0: &lanes.open[2 * of * n + first..][..width],
                d0: &lanes.open[(2 * of + 1) * n + first..][..width],
                g1: row(output),
                d1: row(output + 1),
                third: &quiet.third[first..][..width],
                side: &quiet.side[f * n + first..][..width],
                nearest: &quiet.nearest[f * n + first..][..width],
                active,
            };
            asked_for = larger(asked_for, unclear(&asked, T::of(spec.threshold)));
        }
        asked_for == zero
    }

    /// Every lane of a tile takes what was tried; their clocks follow when the stretch is over.
    fn take_quietly(&self, lanes: &mut Lanes<T>, tile: &mut [T], first: usize, width: usize) {
        let (cpu, n) = (self.cpu, lanes.lanes);
        for k in 0..cpu.n_observables() {
            let output = cpu.observable_output(k);
            for i in 0..2 {
                let from = (cpu.first_output + output + i) * lanes.layout.tile_lanes;
                lanes.open[(2 * k + i) * n + first..][..width]
                    .copy_from_slice(&tile[from..][..width]);
            }
        }
        self.take_new_states(lanes, tile);
    }

    /// Moves the clocks of a tile by the steps of a stretch.
    fn pass_quietly(&self, lanes: &mut Lanes<T>, first: usize, width: usize, steps: i64) {
        for l in first..first + width {
            let clock = &mut lanes.clock[l];
            if steps > 0 && lanes.fibre[l].is_some() {
                clock.now += steps * lanes.tried[l];
                clock.piece_start = clock.now - lanes.tried[l];
                clock.accepted += steps as u64;
            }
        }
    }
}

#[inline(always)]
fn larger<T: Lane>(a: T, b: T) -> T {
    T::choose(b.below(a), a, b)
}

/// Lanes that are asked at a time: a vector of single precision, two of double.
const AT_A_TIME: usize = 8;

/// 1 if the piece of any lane may cross the threshold, or turn nearer to it than one did before; else 0.
#[inline(always)]
fn unclear<T: Lane>(asked: &Asked<'_, T>, threshold: T) -> T {
    let n = asked.g0.len();
    let whole = n - n % AT_A_TIME;
    let zero = T::of(0.0);
    let mut worst = [zero; AT_A_TIME];
    for first in (0..whole).step_by(AT_A_TIME) {
        ask(asked, threshold, &mut worst, |from| {
            let mut values = [zero; AT_A_TIME];
            values.copy_from_slice(&from[first..first + AT_A_TIME]);
            values
        });
    }
    if whole < n {
        // Lanes beyond the last are not active.
        ask(asked, threshold, &mut worst, |from| {
            let mut values = [zero; AT_A_TIME];
            values[..n - whole].copy_from_slice(&from[whole..n]);
            values
        });
    }
    worst.into_iter().fold(zero, larger)
}

/// Asks a few lanes; `of` takes theirs out of a slice.
#[inline(always)]
fn ask<T: Lane>(
    asked: &Asked<'_, T>,
    threshold: T,
    worst: &mut [T; AT_A_TIME],
    of: impl Fn(&[T]) -> [T; AT_A_TIME],
) {
    let (g0, d0, g1, d1) = (of(asked.g0), of(asked.d0), of(asked.g1), of(asked.d1));
    let (third, side) = (of(asked.third), of(asked.side));
    let (nearest, active) = (of(asked.nearest), of(asked.active));
    for l in 0..AT_A_TIME {
        let lane = [g0[l], d0[l], g1[l], d1[l], third[l], side[l], nearest[l]];
        let open = T::choose(is_clear(lane, threshold), T::of(0.0), active[l]);
        worst[l] = larger(worst[l], open);
    }
}

/// Whether a piece has nothing for a feature: its four coefficients are on the same side of the threshold, as its course was, and further
/// from it than any turning point, if it turns.
#[inline(always)]
fn is_clear<T: Lane>([g0, d0, g1, d1, third, side, nearest]: [T; 7], threshold: T) -> bool {
    let (margin, zero) = (T::of(MARGIN), T::of(0.0));
    let least = |a: T, b: T| T::choose(a.below(b), a, b);
    let (rise, fall) = (third * d0, third * d1);
    let ends = least(side * (g0 - threshold), side * (g1 - threshold));
    let inner = least(
        side * (g0 + rise - threshold),
        side * (g1 - fall - threshold),
    );
    let sum = g0.abs() + g1.abs() + rise.abs() + fall.abs() + threshold.abs();
    // A difference of infinities is NaN and fails; without a turning point the nearest one does not matter.
    let clear = least(ends, inner) - margin * sum;
    let goes_on = (zero.at_most(d0) & zero.at_most(d1)) | (d0.at_most(zero) & d1.at_most(zero));
    zero.below(clear) & (goes_on | nearest.below(clear - margin * nearest))
}

/// The last number that spikes gather: its sign is the side of the threshold, its size how near a turning point came.
fn turn(gathered: &Gathered) -> f64 {
    gathered.numbers()[3]
}
