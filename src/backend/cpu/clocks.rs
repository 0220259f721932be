//! The clocks of a block's lanes, one quantity after the other, so that the steps of most lanes (accepted, with nothing that happens on the way, or
//! rejected) are settled in a few loops over all of them, which the compiler turns into SIMD.
//!
//! Ticks are held as doubles, exact to 2^53: 2800 years.

use std::ops::Range;

use bytemuck::Zeroable;

use crate::backend::lane_plan::LanePlan;

use crate::feature::{FeatureSpec, Pieces};
use crate::protocol::TICKS_PER_MS;

use super::group::{Clock, flag};

/// What bounds a step, ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Largest step before time 0.
    settling: f64,
    /// Largest step from time 0 on.
    largest: f64,
    /// Largest step where a growing mode may be held.
    held: f64,
    smallest: f64,
    adaptive: bool,
    ticks_per_row: f64,
    /// The row behind the call's last.
    last_row: usize,
}

impl Bounds {
    pub fn new(plan: &LanePlan, last_row: usize) -> Self {
        Bounds {
            settling: plan.largest_step(true) as f64,
            largest: plan.largest_step(false) as f64,
            held: plan.largest_held_step as f64,
            smallest: plan.smallest_step as f64,
            adaptive: plan.adaptive,
            ticks_per_row: plan.ticks_per_row,
            last_row,
        }
    }
}

/// Factor for the next step where the program gives none.
const NO_GROWTH: f64 = 0.2;

/// Lanes for which numbers are computed before the least of them is found.
const FEW: usize = 64;

/// The least of what is computed for each lane of a range, a few at a time: the expression fills a slice for some of them. Loops over slices become
/// SIMD; a macro, since a closure would be compiled without the instructions that the caller may use.
macro_rules! least {
    ($lanes:expr, |$some:ident, $of:ident| $fill:expr) => {{
        let lanes: Range<usize> = $lanes;
        let mut room = [0.0; FEW];
        let mut least = f64::INFINITY;
        for first in lanes.clone().step_by(FEW) {
            let $some = first..lanes.end.min(first + FEW);
            let $of = &mut room[..$some.len()];
            $fill;
            least = smaller(least_of($of), least);
        }
        least
    }};
}

/// The least of some numbers.
#[inline(always)]
fn least_of(numbers: &[f64]) -> f64 {
    let (eights, rest) = numbers.as_chunks::<8>();
    let mut least = [f64::INFINITY; 8];
    for eight in eights {
        for (least, &number) in least.iter_mut().zip(eight) {
            *least = smaller(number, *least);
        }
    }
    let mut of_all = f64::INFINITY;
    for &number in least.iter().chain(rest) {
        of_all = smaller(number, of_all);
    }
    of_all
}

/// The smaller of two; the second where one is no number.
#[inline(always)]
fn smaller(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// True, of a lane: a mask over the bits of a double.
const YES: u64 = u64::MAX;

/// `YES` where true.
#[inline(always)]
pub(super) fn mask(condition: bool) -> u64 {
    if condition { YES } else { 0 }
}

/// `a` where the mask says yes, else `b`, by its bits: a choice may become a jump, or a store under a mask, which some processors take long for.
#[inline(always)]
pub(super) fn blend(mask: u64, a: f64, b: f64) -> f64 {
    f64::from_bits((a.to_bits() & mask) | (b.to_bits() & !mask))
}

/// What the program says of the steps that were tried, lane by lane.
pub(super) struct Outcome {
    /// Error as a share of what is allowed.
    pub error: Vec<f64>,
    /// Factor for the next step; negative where a growing mode may be held.
    pub growth: Vec<f64>,
    /// Logarithm of the error.
    pub log_error: Vec<f64>,
}

/// The clocks of all lanes.
pub(super) struct Clocks {
    pub now: Vec<f64>,
    wanted: Vec<f64>,
    pub piece_start: Vec<f64>,
    /// Steps being tried.
    pub tried: Vec<f64>,
    /// Ends of the segments.
    end: Vec<f64>,
    /// Where the next row lies that is asked for, of a fibre that is not recorded the call's last one; infinite if there is none.
    next_row: Vec<f64>,
    pub last_error: Vec<f64>,
    accepted: Vec<u64>,
    rejected: Vec<u64>,
    /// Whether a fibre is in the lane.
    occupied: Vec<u64>,
    /// What [`flag::OPEN`] and [`flag::ON_EDGE`] say.
    open: Vec<u64>,
    on_edge: Vec<u64>,
    pub outcome: Outcome,
    /// Whether a lane takes its step with all others.
    takes: Vec<u64>,
    /// Whether a lane tries a shorter step, and nothing else.
    rejects: Vec<u64>,
    /// Whether a lane has to be looked at by itself.
    asks: Vec<u64>,
    /// The same, a bit for each lane.
    asking: Vec<u64>,
    /// What changes rarely.
    rest: Vec<Clock>,
}

impl Clocks {
    pub fn new(lanes: usize) -> Self {
        let zeros = || vec![0.0; lanes];
        let no = || vec![0; lanes];
        Clocks {
            now: zeros(),
            wanted: zeros(),
            piece_start: zeros(),
            tried: vec![1.0; lanes],
            end: zeros(),
            next_row: zeros(),
            last_error: zeros(),
            accepted: no(),
            rejected: no(),
            occupied: no(),
            open: no(),
            on_edge: no(),
            outcome: Outcome {
                error: zeros(),
                growth: zeros(),
                log_error: zeros(),
            },
            takes: no(),
            rejects: no(),
            asks: no(),
            asking: vec![0; lanes.div_ceil(64)],
            rest: vec![Clock::zeroed(); lanes],
        }
    }

    /// The clock of a lane.
    pub fn get(&self, l: usize) -> Clock {
        let mut clock = Clock {
            now: self.now[l] as i64,
            wanted: self.wanted[l] as i64,
            piece_start: self.piece_start[l] as i64,
            accepted: self.accepted[l],
            rejected: self.rejected[l],
            last_error: self.last_error[l],
            ..self.rest[l]
        };
        clock.set(flag::OPEN, self.open[l] != 0);
        clock.set(flag::ON_EDGE, self.on_edge[l] != 0);
        clock
    }

    /// Sets the clock of a lane that holds a fibre, which is recorded or not.
    pub fn put(
        &mut self,
        l: usize,
        clock: &Clock,
        is_recorded: bool,
        plan: &LanePlan,
        bounds: &Bounds,
    ) {
        self.now[l] = clock.now as f64;
        self.wanted[l] = clock.wanted as f64;
        self.piece_start[l] = clock.piece_start as f64;
        self.accepted[l] = clock.accepted;
        self.rejected[l] = clock.rejected;
        self.last_error[l] = clock.last_error;
        self.end[l] = plan.schedule.segments[clock.segment as usize].end as f64;
        let next_row = clock.next_row as usize;
        self.next_row[l] = if next_row >= bounds.last_row {
            f64::INFINITY
        } else if is_recorded {
            next_row as f64 * bounds.ticks_per_row
        } else {
            (bounds.last_row - 1) as f64 * bounds.ticks_per_row
        };
        self.occupied[l] = YES;
        self.open[l] = mask(clock.has(flag::OPEN));
        self.on_edge[l] = mask(clock.has(flag::ON_EDGE));
        self.rest[l] = *clock;
    }

    /// A lane holds no fibre any more.
    pub fn leave(&mut self, l: usize) {
        self.occupied[l] = 0;
    }

    /// The lanes of a range that hold a fibre have taken so many steps of the length that they try.
    #[inline(always)]
    pub fn pass(&mut self, lanes: Range<usize>, steps: i64) {
        pass(
            steps,
            &self.tried[lanes.clone()],
            &self.occupied[lanes.clone()],
            [&mut self.now, &mut self.piece_start].map(|row| &mut row[lanes.clone()]),
            &mut self.accepted[lanes],
        );
    }

    /// 1 for each lane of a range that holds a fibre, else 0.
    pub fn occupied(&self, lanes: Range<usize>) -> impl Iterator<Item = f64> {
        let occupied = self.occupied[lanes].iter();
        occupied.map(|&yes| if yes != 0 { 1.0 } else { 0.0 })
    }

    /// How many steps of the length that is tried all lanes of a range can take before the segment of one ends, time 0 comes or a row lies behind
    /// it; 0 or less if one has to be looked at first. Infinite where no lane holds a fibre.
    #[inline(always)]
    pub fn quiet_steps(&self, lanes: Range<usize>) -> f64 {
        least!(lanes, |some, of| quiet(
            [&self.now, &self.tried, &self.end, &self.next_row].map(|row| &row[some.clone()]),
            [&self.open, &self.on_edge, &self.occupied].map(|row| &row[some.clone()]),
            of
        ))
    }

    /// How many steps all lanes of a range can take before a window of time opens or closes for one; 0 or less if one has to be looked at first.
    /// Infinite where none holds a fibre that has settled, or the window of all is closed.
    #[inline(always)]
    pub fn steps_within(&self, lanes: Range<usize>, [after_ms, before_ms]: [f64; 2]) -> f64 {
        least!(lanes, |some, of| within(
            [after_ms, before_ms],
            [&self.now, &self.tried, &self.piece_start].map(|row| &row[some.clone()]),
            &self.occupied[some.clone()],
            of
        ))
    }

    /// Whether a lane takes its step with all others.
    pub fn takes(&self, l: usize) -> bool {
        self.takes[l] != 0
    }

    /// Whether a row lies in the piece behind a lane.
    pub fn has_row(&self, l: usize) -> bool {
        self.next_row[l] < self.now[l]
    }

    /// Whether a lane tries a shorter step, and nothing else.
    pub fn rejects(&self, l: usize) -> bool {
        self.rejects[l] != 0
    }

    /// Says whether a lane takes its step with all others.
    pub fn set_takes(&mut self, l: usize, takes: bool) {
        self.takes[l] = mask(takes);
    }

    /// Lanes that have to be looked at by themselves, from this one on.
    #[inline(always)]
    pub fn next_asking(&self, from: usize) -> Option<usize> {
        let (first, within) = (from / 64, from % 64);
        let mut bits = self.asking.get(first)? & (u64::MAX << within);
        for word in first.. {
            if bits != 0 {
                return Some(64 * word + bits.trailing_zeros() as usize);
            }
            bits = *self.asking.get(word + 1)?;
        }
        None
    }

    /// Chooses the steps to be tried.
    #[inline(always)]
    pub fn choose(&mut self, bounds: &Bounds) {
        let course = [&self.now[..], &self.piece_start, &self.wanted, &self.end];
        choose(bounds, course, [&self.open, &self.on_edge], &mut self.tried);
    }

    /// Finds out which lanes have nothing to do but to take their step or to try a shorter one, and which have a row in the piece behind them.
    #[inline(always)]
    pub fn sort_out(&mut self, bounds: &Bounds) {
        let Outcome { error, growth, .. } = &self.outcome;
        judge(
            bounds,
            [&self.now, &self.tried, &self.next_row, error, growth],
            [&self.occupied, &self.on_edge],
            [&mut self.takes, &mut self.rejects, &mut self.asks],
        );
    }

    /// Finds the lanes whose pieces a feature would note, and adds them to those that have to be looked at; `deciding` is its number of each.
    #[inline(always)]
    pub fn note(
        &mut self,
        spec: &FeatureSpec,
        deciding: &[f64],
        course: [&[f64]; 4],
        ms_per_time: f64,
        noted: &mut [u64],
    ) {
        let [g0, d0, g1, d1] = course;
        let pieces = Pieces {
            t0: &self.piece_start,
            t1: &self.now,
            unit_ms: 1.0 / TICKS_PER_MS,
            g0,
            d0,
            g1,
            d1,
            per_ms: ms_per_time,
        };
        spec.note(deciding, &pieces, noted);
        for (asks, noted) in self.asks.iter_mut().zip(noted.iter()) {
            *asks |= noted;
        }
    }

    /// Adds the lanes that do not take their step to those that have to be looked at, and leaves out those without a fibre.
    #[inline(always)]
    pub fn gather_asking(&mut self) {
        let closes = self.open.iter().zip(&self.takes).zip(&self.occupied);
        for (asks, ((open, takes), occupied)) in self.asks.iter_mut().zip(closes) {
            *asks = ((*asks & open) | !takes) & occupied;
        }
        for (bits, asks) in self.asking.iter_mut().zip(self.asks.chunks(64)) {
            *bits = 0;
            // Mostly nobody asks, which is found in a fraction of the time.
            if asks.iter().fold(0, |any, asks| any | asks) != 0 {
                for (k, asks) in asks.iter().enumerate() {
                    *bits |= (asks & 1) << k;
                }
            }
        }
    }

    /// The lanes that reject their steps choose shorter ones.
    #[inline(always)]
    fn reject(&mut self, bounds: &Bounds) {
        count(&self.rejects, &mut self.rejected);
        let course = [&self.now[..], &self.tried, &self.outcome.growth];
        shrink(bounds, &self.rejects, course, &mut self.wanted);
    }

    /// The lanes that take their steps together do so; they and those that reject theirs choose the next ones.
    #[inline(always)]
    pub fn take(&mut self, bounds: &Bounds) {
        if self.rejects.iter().fold(0, |any, r| any | r) != 0 {
            self.reject(bounds);
        }
        if bounds.adaptive {
            let Outcome {
                growth, log_error, ..
            } = &self.outcome;
            grow(
                bounds,
                (&self.takes, [&self.tried, growth, log_error]),
                [&mut self.wanted, &mut self.last_error],
            );
        }
        move_on(
            (&self.takes, [&self.tried, &self.end]),
            [&mut self.now, &mut self.piece_start],
            [&mut self.accepted, &mut self.open, &mut self.on_edge],
        );
    }
}

// Loops over slices that are arguments each: what is written is known to be apart from what is read.

/// Steps that have been taken without a look.
#[inline(always)]
fn pass(
    steps: i64,
    tried: &[f64],
    occupied: &[u64],
    [now, piece_start]: [&mut [f64]; 2],
    accepted: &mut [u64],
) {
    let n = now.len();
    let (tried, occupied) = (&tried[..n], &occupied[..n]);
    let (piece_start, accepted) = (&mut piece_start[..n], &mut accepted[..n]);
    let way = steps as f64;
    for k in 0..n {
        // While a fibre settles it has no piece that is open.
        let opens = occupied[k] & mask(now[k] >= 0.0);
        now[k] += blend(occupied[k], way * tried[k], 0.0);
        piece_start[k] = blend(opens, now[k] - tried[k], piece_start[k]);
        accepted[k] += occupied[k] & steps.cast_unsigned();
    }
}

/// Whether nothing is noted of the piece that is open behind a lane, if pieces are noted within a window of time.
#[inline(always)]
pub(super) fn is_outside(now: f64, piece_start: f64, [after_ms, before_ms]: [f64; 2]) -> u64 {
    let is_early = mask(now < 0.0) | mask(now / TICKS_PER_MS < after_ms);
    is_early | mask(piece_start / TICKS_PER_MS > before_ms)
}

/// How many steps each lane can take, as [`Clocks::quiet_steps`] has them.
#[inline(always)]
fn quiet(
    [now, tried, end, next_row]: [&[f64]; 4],
    [open, on_edge, occupied]: [&[u64]; 3],
    steps: &mut [f64],
) {
    let n = steps.len();
    let (now, tried, end, next_row) = (&now[..n], &tried[..n], &end[..n], &next_row[..n]);
    let (open, on_edge, occupied) = (&open[..n], &on_edge[..n], &occupied[..n]);
    for k in 0..n {
        let ahead = next_row[k] - now[k];
        // While a fibre settles it has no piece that is open.
        let settles = mask(now[k] < 0.0);
        let to_edge = end[k] - now[k];
        let left = blend(settles, smaller(-now[k], to_edge), to_edge);
        // Ticks are whole numbers below 2^53, so no quotient is rounded up to a whole one. Behind the last of the steps there is room for one
        // more. Infinite where there is no row.
        let to_end = (left / tried[k]).trunc() - 1.0;
        let to_row = (ahead / tried[k]).trunc() + 1.0;
        let waits = (open[k] | settles) & !on_edge[k] & mask(ahead >= 0.0);
        let own = blend(waits, smaller(to_row, to_end), 0.0);
        steps[k] = blend(occupied[k], own, f64::INFINITY);
    }
}

/// How many steps each lane can take, as [`Clocks::steps_within`] has them.
#[inline(always)]
fn within(
    [after_ms, before_ms]: [f64; 2],
    [now, tried, piece_start]: [&[f64]; 3],
    occupied: &[u64],
    steps: &mut [f64],
) {
    let n = steps.len();
    let (now, tried, piece_start) = (&now[..n], &tried[..n], &piece_start[..n]);
    let occupied = &occupied[..n];
    for k in 0..n {
        let now_ms = now[k] / TICKS_PER_MS;
        let start_ms = piece_start[k] / TICKS_PER_MS;
        let tried_ms = tried[k] / TICKS_PER_MS;
        // Behind the last of the steps there is room for one more.
        let to_after = ((after_ms - now_ms) / tried_ms).trunc() - 1.0;
        let to_before = ((before_ms - now_ms) / tried_ms).trunc() - 1.0;
        let inside = blend(mask(start_ms >= after_ms), to_before, 0.0);
        let left = blend(mask(now_ms < after_ms), to_after, inside);
        let counts = occupied[k] & mask(now_ms >= 0.0) & mask(start_ms <= before_ms);
        steps[k] = blend(counts, left, f64::INFINITY);
    }
}

/// The steps to be tried. Nothing is stepped on an edge: the slopes that close the piece are those of a step of its own length.
#[inline(always)]
fn choose(
    bounds: &Bounds,
    [now, piece_start, wanted, end]: [&[f64]; 4],
    [open, on_edge]: [&[u64]; 2],
    tried: &mut [f64],
) {
    let n = tried.len();
    let (now, piece_start, wanted, end) = (&now[..n], &piece_start[..n], &wanted[..n], &end[..n]);
    let (open, on_edge) = (&open[..n], &on_edge[..n]);
    let adaptive = mask(bounds.adaptive);
    for k in 0..n {
        let left = end[k] - now[k];
        let largest = if now[k] < 0.0 {
            bounds.settling
        } else {
            bounds.largest
        };
        let step = if wanted[k] < largest {
            wanted[k]
        } else {
            largest
        };
        let at_least = if left > 1.0 { left } else { 1.0 };
        // Two equal steps rather than one and a sliver.
        let half = (0.5 * (left + 1.0)).floor();
        let halves = mask(2.0 * step > left) & adaptive;
        let halved = if halves != 0 { half } else { step };
        let chosen = if step >= left { at_least } else { halved };
        tried[k] = blend(open[k] & on_edge[k], now[k] - piece_start[k], chosen);
    }
}

/// Who takes the step, who tries a shorter one, and who asks because a row lies behind.
#[inline(always)]
fn judge(
    bounds: &Bounds,
    [now, tried, next_row, error, growth]: [&[f64]; 5],
    [occupied, on_edge]: [&[u64]; 2],
    [takes, rejects, asks]: [&mut [u64]; 3],
) {
    let n = takes.len();
    let (now, tried, next_row) = (&now[..n], &tried[..n], &next_row[..n]);
    let (error, growth) = (&error[..n], &growth[..n]);
    let (occupied, on_edge) = (&occupied[..n], &on_edge[..n]);
    let (rejects, asks) = (&mut rejects[..n], &mut asks[..n]);
    let adaptive = mask(bounds.adaptive);
    for k in 0..n {
        let may_hold = may_hold(bounds, now[k], tried[k], growth[k]);
        let steps = occupied[k] & !on_edge[k];
        let fits = mask(error[k] <= 1.0) & !may_hold;
        takes[k] = fits & steps;
        rejects[k] = !fits & mask(tried[k] > bounds.smallest) & adaptive & steps;
        asks[k] = mask(next_row[k] < now[k]);
    }
}

/// Whether a step from time 0 on may hold a growing mode.
#[inline(always)]
fn may_hold(bounds: &Bounds, now: f64, tried: f64, growth: f64) -> u64 {
    mask(now >= 0.0) & mask(tried > bounds.held) & mask(growth < 0.0)
}

#[inline(always)]
fn count(which: &[u64], counts: &mut [u64]) {
    for (count, which) in counts.iter_mut().zip(which) {
        *count = count.wrapping_sub(*which);
    }
}

/// The next step after one that was taken, and the error of that one.
#[inline(always)]
fn grow(
    bounds: &Bounds,
    (takes, [tried, growth, log_error]): (&[u64], [&[f64]; 3]),
    [wanted, last_error]: [&mut [f64]; 2],
) {
    let n = wanted.len();
    let (takes, tried) = (&takes[..n], &tried[..n]);
    let (growth, log_error) = (&growth[..n], &log_error[..n]);
    let last_error = &mut last_error[..n];
    for k in 0..n {
        let growth = growth[k].abs();
        let grown = (tried[k] * growth).floor();
        // A step cut short by an edge says nothing against the longer one that was wanted.
        let is_cut = mask(tried[k] < wanted[k]) & mask(growth >= 1.0) & mask(wanted[k] > grown);
        let next = if is_cut != 0 { wanted[k] } else { grown };
        let next = if next > bounds.smallest {
            next
        } else {
            bounds.smallest
        };
        wanted[k] = blend(takes[k], next, wanted[k]);
        last_error[k] = blend(takes[k], log_error[k], last_error[k]);
    }
}

/// The next step after one that was rejected.
#[inline(always)]
fn shrink(bounds: &Bounds, rejects: &[u64], [now, tried, growth]: [&[f64]; 3], wanted: &mut [f64]) {
    let n = wanted.len();
    let (rejects, now) = (&rejects[..n], &now[..n]);
    let (tried, growth) = (&tried[..n], &growth[..n]);
    for k in 0..n {
        let may_hold = may_hold(bounds, now[k], tried[k], growth[k]);
        let growth = growth[k].abs();
        let growth = if growth < f64::INFINITY {
            growth
        } else {
            NO_GROWTH
        };
        let shrunk = (tried[k] * growth).floor();
        let at_least = if shrunk > bounds.smallest {
            shrunk
        } else {
            bounds.smallest
        };
        let at_most = if at_least < bounds.held {
            at_least
        } else {
            bounds.held
        };
        let next = blend(may_hold, at_most, at_least);
        wanted[k] = blend(rejects[k], next, wanted[k]);
    }
}

/// A step that is taken is counted; from time 0 on the piece behind it is open; who comes to the end of a segment stands on an edge.
#[inline(always)]
fn move_on(
    (takes, [tried, end]): (&[u64], [&[f64]; 2]),
    [now, piece_start]: [&mut [f64]; 2],
    [accepted, open, on_edge]: [&mut [u64]; 3],
) {
    let n = now.len();
    let (takes, tried, end) = (&takes[..n], &tried[..n], &end[..n]);
    let (piece_start, accepted) = (&mut piece_start[..n], &mut accepted[..n]);
    let (open, on_edge) = (&mut open[..n], &mut on_edge[..n]);
    for k in 0..n {
        let opens = takes[k] & mask(now[k] >= 0.0);
        open[k] |= opens;
        piece_start[k] = blend(opens, now[k], piece_start[k]);
        now[k] += blend(takes[k], tried[k], 0.0);
        on_edge[k] |= takes[k] & mask(now[k] == end[k]);
        accepted[k] = accepted[k].wrapping_sub(takes[k]);
    }
}

#[cfg(test)]
mod tests;
