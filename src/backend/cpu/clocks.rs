//! The clocks of a block's lanes, one quantity after the other, so that the steps of most lanes (accepted, with nothing that happens on the way, or
//! rejected) are settled in a few loops over all of them, which the compiler turns into SIMD.
//!
//! Ticks are held as doubles, exact to 2^53: 2800 years.

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

/// True, of a lane: a mask over the bits of a double.
const YES: u64 = u64::MAX;

/// `YES` where true.
#[inline(always)]
fn mask(condition: bool) -> u64 {
    if condition { YES } else { 0 }
}

/// `a` where the mask says yes, else `b`, by its bits: a choice may become a jump, or a store under a mask, which some processors take long for.
#[inline(always)]
fn blend(mask: u64, a: f64, b: f64) -> f64 {
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
    /// What a loop has found of each lane.
    found: Vec<u64>,
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
            found: no(),
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

    /// A lane has taken so many steps of the length that it tries.
    pub fn pass(&mut self, l: usize, steps: i64) {
        self.now[l] += steps as f64 * self.tried[l];
        self.piece_start[l] = self.now[l] - self.tried[l];
        self.accepted[l] += steps as u64;
    }

    /// Whether a fibre is in a lane.
    pub fn is_occupied(&self, l: usize) -> bool {
        self.occupied[l] != 0
    }

    /// How many steps of the length that is tried a lane can take before its segment ends or a row lies behind it; `None` if it has to be looked at
    /// first.
    pub fn quiet_steps(&self, l: usize) -> Option<f64> {
        let (now, tried, ahead) = (self.now[l], self.tried[l], self.to_next_row(l));
        if self.open[l] == 0 || self.on_edge[l] != 0 || now < 0.0 || ahead < 0.0 {
            return None;
        }
        // Ticks are whole numbers below 2^53, so no quotient is rounded up to a whole one. Behind the last of the steps there is room for one more.
        let to_end = ((self.end[l] - now) / tried).trunc() - 1.0;
        // Infinite where there is no row.
        Some(to_end.min((ahead / tried).trunc() + 1.0))
    }

    /// Whether a lane takes its step with all others.
    pub fn takes(&self, l: usize) -> bool {
        self.takes[l] != 0
    }

    /// How many ticks ahead of a lane the next row lies that it has to be looked at for.
    pub fn to_next_row(&self, l: usize) -> f64 {
        self.next_row[l] - self.now[l]
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
        choose(bounds, &self.now, &self.wanted, &self.end, &mut self.tried);
        // Nothing is stepped on an edge: the slopes that close the piece are those of a step of its own length.
        both(&self.open, &self.on_edge, &mut self.found);
        span(&self.found, &self.piece_start, &self.now, &mut self.tried);
    }

    /// Finds out which lanes have nothing to do but to take their step or to try a shorter one, and which have a row in the piece behind them.
    #[inline(always)]
    pub fn sort_out(&mut self, bounds: &Bounds) {
        let Outcome { error, growth, .. } = &self.outcome;
        let may_hold = &mut self.found;
        hold(bounds, &self.now, &self.tried, growth, may_hold);
        fit(error, may_hold, &mut self.takes);
        reject(bounds, &self.tried, error, may_hold, &mut self.rejects);
        let steps = self.occupied.iter().zip(&self.on_edge);
        let verdicts = self.takes.iter_mut().zip(&mut self.rejects);
        for ((takes, rejects), (occupied, on_edge)) in verdicts.zip(steps) {
            let steps = occupied & !on_edge;
            *takes &= steps;
            *rejects &= steps;
        }
        for (asks, (row, now)) in self
            .asks
            .iter_mut()
            .zip(self.next_row.iter().zip(&self.now))
        {
            *asks = mask(row < now);
        }
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
            for (k, asks) in asks.iter().enumerate() {
                *bits |= (asks & 1) << k;
            }
        }
    }

    /// The lanes that reject their steps choose shorter ones.
    #[inline(always)]
    fn reject(&mut self, bounds: &Bounds) {
        count(&self.rejects, &mut self.rejected);
        let (growth, may_hold) = (&self.outcome.growth, &mut self.found);
        hold(bounds, &self.now, &self.tried, growth, may_hold);
        shrink(
            bounds,
            &self.rejects,
            growth,
            may_hold,
            &self.tried,
            &mut self.wanted,
        );
    }

    /// The lanes that take their steps together do so; they and those that reject theirs choose the next ones.
    #[inline(always)]
    pub fn take(&mut self, bounds: &Bounds) {
        count(&self.takes, &mut self.accepted);
        if bounds.adaptive {
            let Outcome {
                growth, log_error, ..
            } = &self.outcome;
            grow(bounds, &self.takes, &self.tried, growth, &mut self.wanted);
            replace(&self.takes, log_error, &mut self.last_error);
        }
        if self.rejects.iter().fold(0, |any, r| any | r) != 0 {
            self.reject(bounds);
        }
        open(
            &self.takes,
            &self.now,
            &mut self.open,
            &mut self.piece_start,
        );
        move_on(&self.takes, &self.tried, &mut self.now);
        arrive(&self.takes, &self.now, &self.end, &mut self.on_edge);
    }
}

// Loops over slices that are arguments each: what is written is known to be apart from what is read.

#[inline(always)]
fn choose(bounds: &Bounds, now: &[f64], wanted: &[f64], end: &[f64], tried: &mut [f64]) {
    let n = tried.len();
    let (now, wanted, end) = (&now[..n], &wanted[..n], &end[..n]);
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
        tried[k] = if step >= left { at_least } else { halved };
    }
}

/// Where `chosen`, how long it is from one tick to another.
#[inline(always)]
fn span(chosen: &[u64], from: &[f64], to: &[f64], length: &mut [f64]) {
    let n = length.len();
    let (chosen, from, to) = (&chosen[..n], &from[..n], &to[..n]);
    for k in 0..n {
        let whole = to[k] - from[k];
        length[k] = blend(chosen[k], whole, length[k]);
    }
}

#[inline(always)]
fn both(a: &[u64], b: &[u64], both: &mut [u64]) {
    for (both, (a, b)) in both.iter_mut().zip(a.iter().zip(b)) {
        *both = a & b;
    }
}

/// Where a step from time 0 on may hold a growing mode.
#[inline(always)]
fn hold(bounds: &Bounds, now: &[f64], tried: &[f64], growth: &[f64], may_hold: &mut [u64]) {
    let n = may_hold.len();
    let (now, tried, growth) = (&now[..n], &tried[..n], &growth[..n]);
    for k in 0..n {
        let is_long = mask(now[k] >= 0.0) & mask(tried[k] > bounds.held);
        may_hold[k] = is_long & mask(growth[k] < 0.0);
    }
}

/// Where the error is small enough.
#[inline(always)]
fn fit(error: &[f64], may_hold: &[u64], fits: &mut [u64]) {
    for (fits, (error, may_hold)) in fits.iter_mut().zip(error.iter().zip(may_hold)) {
        *fits = mask(*error <= 1.0) & !may_hold;
    }
}

/// Where the step is to be shorter, and can be.
#[inline(always)]
fn reject(bounds: &Bounds, tried: &[f64], error: &[f64], may_hold: &[u64], rejects: &mut [u64]) {
    let n = rejects.len();
    let (tried, error, may_hold) = (&tried[..n], &error[..n], &may_hold[..n]);
    let adaptive = mask(bounds.adaptive);
    for k in 0..n {
        let is_small = mask(error[k] <= 1.0);
        rejects[k] = (!is_small | may_hold[k]) & mask(tried[k] > bounds.smallest) & adaptive;
    }
}

#[inline(always)]
fn count(which: &[u64], counts: &mut [u64]) {
    for (count, which) in counts.iter_mut().zip(which) {
        *count = count.wrapping_sub(*which);
    }
}

#[inline(always)]
fn grow(bounds: &Bounds, takes: &[u64], tried: &[f64], growth: &[f64], wanted: &mut [f64]) {
    let n = wanted.len();
    let (takes, tried, growth) = (&takes[..n], &tried[..n], &growth[..n]);
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
    }
}

/// The next step after one that was rejected.
#[inline(always)]
fn shrink(
    bounds: &Bounds,
    rejects: &[u64],
    growth: &[f64],
    may_hold: &[u64],
    tried: &[f64],
    wanted: &mut [f64],
) {
    let n = wanted.len();
    let (rejects, growth) = (&rejects[..n], &growth[..n]);
    let (may_hold, tried) = (&may_hold[..n], &tried[..n]);
    for k in 0..n {
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
        let next = blend(may_hold[k], at_most, at_least);
        wanted[k] = blend(rejects[k], next, wanted[k]);
    }
}

#[inline(always)]
fn replace(takes: &[u64], by: &[f64], numbers: &mut [f64]) {
    for (number, (takes, by)) in numbers.iter_mut().zip(takes.iter().zip(by)) {
        *number = blend(*takes, *by, *number);
    }
}

/// The piece behind a step from time 0 on is open.
#[inline(always)]
fn open(takes: &[u64], now: &[f64], open: &mut [u64], piece_start: &mut [f64]) {
    let n = open.len();
    let (takes, now, piece_start) = (&takes[..n], &now[..n], &mut piece_start[..n]);
    for k in 0..n {
        let opens = takes[k] & mask(now[k] >= 0.0);
        open[k] |= opens;
        piece_start[k] = blend(opens, now[k], piece_start[k]);
    }
}

/// Who comes to the end of a segment stands on an edge.
#[inline(always)]
fn arrive(takes: &[u64], now: &[f64], end: &[f64], on_edge: &mut [u64]) {
    let n = on_edge.len();
    let (takes, now, end) = (&takes[..n], &now[..n], &end[..n]);
    for k in 0..n {
        on_edge[k] |= takes[k] & mask(now[k] == end[k]);
    }
}

#[inline(always)]
fn move_on(takes: &[u64], tried: &[f64], now: &mut [f64]) {
    for (now, (takes, tried)) in now.iter_mut().zip(takes.iter().zip(tried)) {
        *now += blend(*takes, *tried, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    const BOUNDS: Bounds = Bounds {
        settling: 536_870_912.0,
        largest: 2_000_000.0,
        held: 100_000.0,
        smallest: 50.0,
        adaptive: true,
        ticks_per_row: 1000.0,
        last_row: 10,
    };

    /// The step of a clock by whole numbers, as the rule says it.
    fn step(now: i64, wanted: i64, end: i64) -> i64 {
        let left = end - now;
        let most = if now < 0 { 536_870_912 } else { 2_000_000 };
        let step = wanted.min(most);
        if step >= left {
            left.max(1)
        } else if 2 * step > left {
            (left + 1) / 2
        } else {
            step
        }
    }

    #[test]
    fn steps_of_all_lanes_are_those_of_each_by_whole_numbers() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let n = 1000;
        let mut clocks = Clocks::new(n);
        let (mut taken, mut rejected, mut arrived) = (0, 0, 0);
        for l in 0..n {
            let now = random.random_range(-60_000_000_i64..60_000_000);
            clocks.now[l] = now as f64;
            clocks.piece_start[l] = (now - random.random_range(1..5000)) as f64;
            let wanted = 10f64.powf(random.random_range(1.7..9.0)).floor();
            clocks.wanted[l] = wanted;
            // Some end just behind a step or two.
            let ahead = random.random_range(0.0..4.0) * wanted.min(2e6);
            clocks.end[l] = (now as f64 + ahead).floor();
            clocks.next_row[l] = now as f64 + random.random_range(-1.0..1.0);
            clocks.outcome.error[l] = random.random_range(0.0..1.3);
            clocks.outcome.growth[l] = random.random_range(-0.5..5.0);
            clocks.outcome.log_error[l] = random.random();
            clocks.occupied[l] = mask(l % 10 != 3);
            clocks.open[l] = mask(l % 11 != 5 && now >= 0);
            clocks.on_edge[l] = mask(l % 7 == 2);
        }
        clocks.outcome.error[20] = f64::NAN;
        clocks.outcome.growth[21] = f64::NAN;
        clocks.choose(&BOUNDS);
        clocks.sort_out(&BOUNDS);
        let has_row = clocks.asks.clone();
        clocks.gather_asking();
        let before = (0..n).map(|l| clocks.get(l)).collect::<Vec<_>>();
        clocks.take(&BOUNDS);
        for (l, old) in before.iter().enumerate() {
            let end = clocks.end[l] as i64;
            let (open, on_edge) = (old.has(flag::OPEN), old.has(flag::ON_EDGE));
            let tried = if open && on_edge {
                old.now - old.piece_start
            } else {
                step(old.now, old.wanted, end)
            };
            assert_eq!(clocks.tried[l], tried as f64, "{old:?} {end}");
            let Outcome { error, growth, .. } = &clocks.outcome;
            let may_hold = growth[l] < 0.0 && tried > 100_000 && old.now >= 0;
            let steps = clocks.occupied[l] == YES && !on_edge;
            let fits = error[l] <= 1.0 && !may_hold;
            let takes = steps && fits;
            assert_eq!(clocks.takes(l), takes, "lane {l}");
            assert_eq!(has_row[l] == YES, clocks.next_row[l] < old.now as f64);
            let rejects = steps && !fits && tried > 50;
            assert_eq!(clocks.rejects(l), rejects, "lane {l}");
            let asks = clocks.occupied[l] == YES && (!takes || (open && has_row[l] == YES));
            assert_eq!(clocks.asks[l] == YES, asks, "lane {l}");
            let next = clocks.asks[l..].iter().position(|&a| a == YES);
            assert_eq!(clocks.next_asking(l), next.map(|ahead| l + ahead));
            let new = clocks.get(l);
            if rejects {
                let growth = if growth[l].is_finite() {
                    growth[l].abs()
                } else {
                    0.2
                };
                let most = if may_hold { 100_000 } else { i64::MAX };
                let expected = Clock {
                    wanted: ((tried as f64 * growth) as i64).clamp(50, most),
                    rejected: old.rejected + 1,
                    ..*old
                };
                assert_eq!(new, expected);
                rejected += 1;
            }
            if !takes {
                assert!(rejects || new == *old);
                continue;
            }
            taken += 1;
            let grown = (tried as f64 * growth[l].abs()) as i64;
            let wanted = if tried < old.wanted && growth[l].abs() >= 1.0 {
                grown.max(old.wanted)
            } else {
                grown
            };
            let mut expected = Clock {
                now: old.now + tried,
                piece_start: if old.now >= 0 {
                    old.now
                } else {
                    old.piece_start
                },
                wanted: wanted.max(50),
                accepted: old.accepted + 1,
                last_error: clocks.outcome.log_error[l],
                ..*old
            };
            expected.set(flag::OPEN, open || old.now >= 0);
            expected.set(flag::ON_EDGE, old.now + tried == end);
            arrived += usize::from(expected.has(flag::ON_EDGE));
            assert_eq!(new, expected);
        }
        for (what, count) in [("take", taken), ("reject", rejected), ("arrive", arrived)] {
            assert!((100..800).contains(&count), "{count} of {n} lanes {what}");
        }
    }
}
