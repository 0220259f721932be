//! A block of lanes: fibres that are stepped together, each at its own time with its own step.
//!
//! One iteration runs the step program over all lanes; then every lane is looked at by itself. A lane
//! - tries a shorter step if the one that the program has tried is rejected; else
//! - closes the piece behind its last accepted step, now that the program has given value and rate at its end: features
//!   are fed, samples are interpolated (cubic Hermite);
//! - if it stands on an edge, enters the next segment (this iteration only served to close the piece with the inputs that
//!   held up to the edge);
//! - else accepts the step, and chooses the next one;
//! - gives its place to the next fibre of the group when it has filled all rows asked for, is lost or has finished.
//!
//! Where the step is fixed, `stretch` takes many steps before the lanes are looked at.
//!
//! So no fibre's steps depend on its neighbours, on the number of lanes, or on where a slab of rows ends: a fibre that is
//! put aside tries the same step again when it comes back.

use bytemuck::Zeroable;

use crate::backend::{Spike, course};
use crate::feature::Piece;
use crate::ops::Lane;
use crate::protocol::ms;

use super::group::{Clock, Group, flag};
use crate::backend::lane_plan::Driven;

use super::{CacheLine, Cpu};

/// Where a value of a lane is: `[tile][row][lane of the tile]`. The interpreter's block is one tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) tile_lanes: usize,
    pub(super) tile_values: usize,
    /// The lane's number is its tile's, shifted so far, and its own within.
    shift: u32,
    within: usize,
}

impl Layout {
    fn new<T: Lane>(cpu: &Cpu<T>, lanes: usize) -> Self {
        let (tile_lanes, n_rows) = (cpu.tile_lanes(lanes), cpu.n_rows());
        let (shift, within) = if lanes <= tile_lanes {
            (usize::BITS - 1, usize::MAX)
        } else {
            assert!(tile_lanes.is_power_of_two());
            (tile_lanes.ilog2(), tile_lanes - 1)
        };
        Layout {
            tile_lanes,
            tile_values: tile_lanes * n_rows,
            shift,
            within,
        }
    }

    fn n_tiles(self, lanes: usize) -> usize {
        lanes.div_ceil(self.tile_lanes)
    }

    #[inline(always)]
    pub(super) fn at(self, row: usize, lane: usize) -> usize {
        (lane >> self.shift) * self.tile_values + row * self.tile_lanes + (lane & self.within)
    }
}

/// Where the samples of one call go: `[variable][row][trace]`.
pub struct Samples<'a, T> {
    /// First row of the call.
    pub first_row: usize,
    /// Number of rows.
    pub n_rows: usize,
    /// Number of traces of the group.
    pub n_traces: usize,
    /// The trace of each fibre of the group, if it is recorded.
    pub trace_of: &'a [Option<u32>],
    /// `n_recorded * n_rows * n_traces` numbers, NaN before the call.
    pub values: &'a mut [T],
}

/// Scratch memory of one thread.
pub struct Lanes<T> {
    pub(super) memory: Vec<CacheLine>,
    /// Scratch of machine code.
    pub(super) slots: Vec<CacheLine>,
    pub(super) lanes: usize,
    pub(super) layout: Layout,
    /// Fibre of the group in each lane.
    pub(super) fibre: Vec<Option<u32>>,
    pub(super) clock: Vec<Clock>,
    /// Step being tried, ticks.
    pub(super) tried: Vec<i64>,
    /// Start values of the open piece by lane: `[2 * observable + (0 value, 1 rate)][lane]`.
    pub(super) open: Vec<T>,
    /// Value at the segment's start and rate per ms of every driven input: `[driven][lane]`.
    pub(super) ramp: Vec<(f64, f64)>,
    /// Values on the way to those that are computed once for a fibre.
    scratch: Vec<T>,
}

impl<T: Lane> Lanes<T> {
    /// Memory for `lanes` lanes of a compiled experiment.
    pub fn new(cpu: &Cpu<T>, lanes: usize) -> Self {
        let layout = Layout::new(cpu, lanes);
        let bytes = layout.n_tiles(lanes) * layout.tile_values * size_of::<T>();
        Lanes {
            memory: vec![CacheLine::zeroed(); bytes.div_ceil(size_of::<CacheLine>())],
            slots: vec![CacheLine::zeroed(); cpu.n_slots()],
            lanes,
            layout,
            fibre: vec![None; lanes],
            clock: vec![Clock::zeroed(); lanes],
            tried: vec![1; lanes],
            open: vec![T::of(0.0); 2 * cpu.n_observables() * lanes],
            ramp: vec![(0.0, 0.0); cpu.plan.driven.len() * lanes],
            scratch: Vec::new(),
        }
    }
}

/// One call's work: a group moved until every fibre has filled its rows.
pub(super) struct Advance<'a, T> {
    pub cpu: &'a Cpu<T>,
    pub group: &'a mut Group<T>,
    pub samples: Samples<'a, T>,
    pub spikes: &'a mut Vec<Spike>,
    /// Whether the fibres go on to the end of the schedule.
    pub to_end: bool,
}

/// What becomes of the step that was tried.
enum Verdict {
    /// The new states hold.
    Accepted,
    /// The old states stay, in the lane.
    Kept,
    /// The old states stay, and the fibre leaves its lane.
    Leaves,
}

impl<T: Lane> Advance<'_, T> {
    pub(super) fn run(&mut self, lanes: &mut Lanes<T>, cancelled: &dyn Fn() -> bool) {
        let n = lanes.lanes;
        let mut memory = std::mem::take(&mut lanes.memory);
        let n_values = lanes.layout.n_tiles(n) * lanes.layout.tile_values;
        let rows: &mut [T] = &mut bytemuck::cast_slice_mut(&mut memory)[..n_values];
        let mut next = 0;
        for l in 0..n {
            self.refill(lanes, rows, l, &mut next);
        }
        while lanes.fibre.iter().any(Option::is_some) && !cancelled() {
            self.inputs(lanes, rows);
            self.run_stretch(lanes, rows);
            for l in 0..n {
                let Some(fibre) = lanes.fibre[l] else {
                    continue;
                };
                match self.judge(lanes, rows, l, fibre as usize) {
                    Verdict::Accepted => {}
                    Verdict::Kept => self.keep(lanes, rows, l),
                    Verdict::Leaves => {
                        self.keep(lanes, rows, l);
                        self.unload(lanes, rows, l, fibre as usize);
                        lanes.fibre[l] = None;
                    }
                }
            }
            self.take_new_states(lanes, rows);
            if next < self.group.len() {
                for l in 0..n {
                    if lanes.fibre[l].is_none() {
                        self.refill(lanes, rows, l, &mut next);
                    }
                }
            }
        }
        // A cancelled call leaves its fibres where they are: between two steps.
        for l in 0..n {
            if let Some(fibre) = lanes.fibre[l].take() {
                self.unload(lanes, rows, l, fibre as usize);
            }
        }
        lanes.memory = memory;
    }

    /// Writes what the program reads of each lane's clock.
    fn inputs(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        let (cpu, n, at) = (self.cpu, lanes.lanes, lanes.layout);
        for l in 0..n {
            if lanes.fibre[l].is_none() {
                continue;
            }
            let clock = &lanes.clock[l];
            let segment = &cpu.plan.schedule.segments[clock.segment as usize];
            let left = segment.end - clock.now;
            let mut step = clock.wanted.min(cpu.largest_step(clock.now));
            if step >= left {
                step = left.max(1);
            } else if 2 * step > left && cpu.is_adaptive() {
                // Two equal steps rather than one and a sliver.
                step = (left + 1) / 2;
            }
            if clock.has(flag::ON_EDGE) && clock.has(flag::OPEN) {
                // Nothing is stepped: the slopes that close the piece are those of a step of its own length.
                step = clock.now - clock.piece_start;
            }
            lanes.tried[l] = step;
            rows[at.at(cpu.plan.step_row, l)] = T::of(step as f64 / cpu.plan.ticks_per_time);
            if let Some(row) = cpu.plan.last_error_row {
                rows[at.at(row, l)] = T::of(clock.last_error);
            }
            if let Some(row) = cpu.plan.time_row {
                rows[at.at(row, l)] = T::of(clock.now as f64 / cpu.plan.ticks_per_time);
            }
            if cpu.plan.has_ramps {
                let since_ms = ms(clock.now - segment.start);
                for (k, driven) in cpu.plan.driven.iter().enumerate() {
                    let (start, rate) = lanes.ramp[k * n + l];
                    if let (Driven::Parameter { row, .. }, true) = (driven, rate != 0.0) {
                        rows[at.at(*row, l)] = T::of(start + rate * since_ms);
                    }
                }
            }
        }
    }

    /// Looks at one lane after the program has run.
    fn judge(&mut self, lanes: &mut Lanes<T>, rows: &mut [T], l: usize, fibre: usize) -> Verdict {
        let (cpu, n, at) = (self.cpu, lanes.lanes, lanes.layout);
        let n_segments = cpu.plan.schedule.segments.len();
        let output = |rows: &[T], k: usize| rows[at.at(cpu.first_output + k, l)];
        let clock = &mut lanes.clock[l];
        let ends = clock.has(flag::ON_EDGE) && clock.segment as usize + 1 == n_segments;
        let error = output(rows, cpu.error_output).f64();
        let signed = output(rows, cpu.error_output + 2).f64();
        let growth = signed.abs();
        let tried = lanes.tried[l];
        let may_hold = signed < 0.0 && clock.now >= 0 && tried > cpu.plan.largest_held_step;
        let fits = error <= 1.0 && !may_hold;
        if !fits && !clock.has(flag::ON_EDGE) && cpu.is_adaptive() && tried > cpu.plan.smallest_step
        {
            // The piece stays open: the slopes that close it are those of a step that is taken.
            let growth = if growth.is_finite() { growth } else { 0.2 };
            let most = if may_hold {
                cpu.plan.largest_held_step
            } else {
                i64::MAX
            };
            clock.wanted = ((tried as f64 * growth) as i64).clamp(cpu.plan.smallest_step, most);
            clock.rejected += 1;
            return Verdict::Kept;
        }
        if clock.has(flag::OPEN) {
            clock.set(flag::OPEN, false);
            let observable = |k: usize| {
                let output_row = cpu.observable_output(k);
                (
                    lanes.open[2 * k * n + l],
                    lanes.open[(2 * k + 1) * n + l],
                    output(rows, output_row),
                    output(rows, output_row + 1),
                )
            };
            let mut course = Course {
                cpu,
                clock,
                inclusive: ends,
            };
            course.gather(&observable, self.group, fibre, self.spikes);
            course.sample(&observable, &mut self.samples, fibre);
            if !self.to_end
                && clock.next_row as usize >= self.samples.first_row + self.samples.n_rows
            {
                let reaches_on = cpu.reaches_row(clock, ends);
                clock.set(flag::TAIL, reaches_on);
                if reaches_on {
                    for k in 0..cpu.plan.n_recorded {
                        let (g0, d0, g1, d1) = observable(k);
                        self.group.tail[4 * (fibre * cpu.plan.n_recorded + k)..][..4]
                            .copy_from_slice(&[g0, d0, g1, d1]);
                    }
                }
                return Verdict::Leaves;
            }
        }
        if clock.has(flag::ON_EDGE) {
            clock.set(flag::ON_EDGE, false);
            if ends {
                clock.set(flag::FINISHED, true);
                return Verdict::Leaves;
            }
            clock.segment += 1;
            clock.wanted = cpu.plan.first_step.min(clock.wanted);
            self.drive(lanes, rows, l, fibre, true);
            return Verdict::Kept;
        }
        if !fits {
            let (most_moved, moved) = self.most_moved(rows, at, l);
            // A smallest step that moves a state by more than all of it, with an error to match, does not follow the
            // solution any more: it jumps over a pole, and would come back from the other side.
            let jumps = moved > 1.0 && error * cpu.plan.tolerance > 1.0;
            if !error.is_finite() || !cpu.is_adaptive() || jumps {
                let first = (0..cpu.plan.n_states).find(|&i| !output(rows, i).is_finite());
                clock.lost_state = first.unwrap_or(most_moved) as u32;
                clock.lost_at = clock.now;
                clock.set(flag::LOST, true);
                return Verdict::Leaves;
            }
            clock.at_floor += 1;
        }
        if clock.now >= 0 {
            for k in 0..cpu.n_observables() {
                let output_row = cpu.observable_output(k);
                lanes.open[2 * k * n + l] = output(rows, output_row);
                lanes.open[(2 * k + 1) * n + l] = output(rows, output_row + 1);
            }
            clock.set(flag::OPEN, true);
            clock.piece_start = clock.now;
        }
        clock.now += tried;
        clock.accepted += 1;
        if cpu.is_adaptive() {
            clock.last_error = output(rows, cpu.error_output + 1).f64();
            let grown = (tried as f64 * growth) as i64;
            // A step cut short by an edge says nothing against the longer one that was wanted.
            clock.wanted = if tried < clock.wanted && growth >= 1.0 {
                grown.max(clock.wanted)
            } else {
                grown
            };
            clock.wanted = clock.wanted.max(cpu.plan.smallest_step);
        }
        if clock.now == cpu.plan.schedule.segments[clock.segment as usize].end {
            clock.set(flag::ON_EDGE, true);
        }
        Verdict::Accepted
    }

    /// The state that the tried step moves most, and by how much: as a share of its magnitude, or of its scale where that is larger.
    fn most_moved(&self, rows: &[T], at: Layout, l: usize) -> (usize, f64) {
        let cpu = self.cpu;
        let share = |i: usize| {
            let (old, new) = (
                rows[at.at(i, l)].f64(),
                rows[at.at(cpu.first_output + i, l)].f64(),
            );
            (new - old).abs() / old.abs().max(cpu.plan.scales[i])
        };
        (0..cpu.plan.n_states)
            .map(|i| (i, share(i)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or((0, 0.0))
    }

    /// Puts the old states where the new ones are about to be taken from.
    fn keep(&self, lanes: &Lanes<T>, rows: &mut [T], l: usize) {
        let (cpu, at) = (self.cpu, lanes.layout);
        for i in 0..cpu.plan.n_states {
            rows[at.at(cpu.first_output + i, l)] = rows[at.at(i, l)];
        }
        if let Some(lost) = cpu.plan.lost_row {
            for i in 0..cpu.plan.n_states {
                rows[at.at(cpu.first_output + cpu.plan.n_states + i, l)] = rows[at.at(lost + i, l)];
            }
        }
    }

    /// New states of all tiles in `rows` become the present ones.
    pub(super) fn take_new_states(&self, lanes: &Lanes<T>, rows: &mut [T]) {
        let (cpu, at) = (self.cpu, lanes.layout);
        let length = cpu.plan.n_states * at.tile_lanes;
        for tile in rows.chunks_exact_mut(at.tile_values) {
            let from = cpu.first_output * at.tile_lanes;
            tile.copy_within(from..from + length, 0);
            if let Some(lost) = cpu.plan.lost_row {
                tile.copy_within(from + length..from + 2 * length, lost * at.tile_lanes);
            }
        }
    }

    /// Loads the next fibre that has something to do into a lane. Returns whether there was one.
    fn refill(&mut self, lanes: &mut Lanes<T>, rows: &mut [T], l: usize, next: &mut usize) -> bool {
        let (cpu, n, at) = (self.cpu, lanes.lanes, lanes.layout);
        while *next < self.group.len() {
            let fibre = *next;
            *next += 1;
            if self.group.clocks[fibre].is_done() || self.fills_from_tail(fibre) {
                continue;
            }
            let width = cpu.plan.state_width();
            let stored = &self.group.states[fibre * width..][..width];
            for (i, &value) in stored.iter().enumerate() {
                let row = if i < cpu.plan.n_states {
                    i
                } else {
                    cpu.plan.lost_row.unwrap_or(0) + i - cpu.plan.n_states
                };
                rows[at.at(row, l)] = value;
            }
            let per_fibre = 2 * cpu.n_observables();
            for (k, &value) in self.group.open[fibre * per_fibre..][..per_fibre]
                .iter()
                .enumerate()
            {
                lanes.open[k * n + l] = value;
            }
            for &(row, literal) in &cpu.plan.parameter_rows {
                rows[at.at(row, l)] = T::of(cpu.own_value(literal, &self.group.parameters[fibre]));
            }
            if let Some(hoist) = &cpu.hoist {
                let mut scratch = std::mem::take(&mut lanes.scratch);
                hoist.compute(&mut scratch, |row| rows[at.at(row, l)]);
                for (k, value) in hoist.values(&scratch).enumerate() {
                    rows[at.at(hoist.first_row + k, l)] = value;
                }
                lanes.scratch = scratch;
            }
            lanes.clock[l] = self.group.clocks[fibre];
            lanes.fibre[l] = Some(fibre as u32);
            self.drive(lanes, rows, l, fibre, false);
            return true;
        }
        false
    }

    /// Fills rows from the stored tail; true if no more are wanted in this call.
    fn fills_from_tail(&mut self, fibre: usize) -> bool {
        let cpu = self.cpu;
        let mut clock = self.group.clocks[fibre];
        if clock.has(flag::TAIL) {
            let tail =
                &self.group.tail[4 * fibre * cpu.plan.n_recorded..][..4 * cpu.plan.n_recorded];
            let observable = |k: usize| {
                (
                    tail[4 * k],
                    tail[4 * k + 1],
                    tail[4 * k + 2],
                    tail[4 * k + 3],
                )
            };
            let inclusive = clock.has(flag::ON_EDGE)
                && clock.segment as usize + 1 == cpu.plan.schedule.segments.len();
            Course {
                cpu,
                clock: &mut clock,
                inclusive,
            }
            .sample(&observable, &mut self.samples, fibre);
            let reaches_on = cpu.reaches_row(&clock, inclusive);
            clock.set(flag::TAIL, reaches_on);
            self.group.clocks[fibre] = clock;
        }
        !self.to_end && clock.next_row as usize >= self.samples.first_row + self.samples.n_rows
    }

    fn unload(&mut self, lanes: &Lanes<T>, rows: &[T], l: usize, fibre: usize) {
        let (cpu, n, at) = (self.cpu, lanes.lanes, lanes.layout);
        let width = cpu.plan.state_width();
        for (i, value) in self.group.states[fibre * width..][..width]
            .iter_mut()
            .enumerate()
        {
            let row = if i < cpu.plan.n_states {
                i
            } else {
                cpu.plan.lost_row.unwrap_or(0) + i - cpu.plan.n_states
            };
            *value = rows[at.at(row, l)];
        }
        let per_fibre = 2 * cpu.n_observables();
        for (k, value) in self.group.open[fibre * per_fibre..][..per_fibre]
            .iter_mut()
            .enumerate()
        {
            *value = lanes.open[k * n + l];
        }
        self.group.clocks[fibre] = lanes.clock[l];
    }

    /// Writes the driven inputs of a lane for its segment; on `entering` one, clamped states jump to their level.
    fn drive(&self, lanes: &mut Lanes<T>, rows: &mut [T], l: usize, fibre: usize, entering: bool) {
        let (cpu, n, at) = (self.cpu, lanes.lanes, lanes.layout);
        let clock = &lanes.clock[l];
        let segment = &cpu.plan.schedule.segments[clock.segment as usize];
        let parameters = &self.group.parameters[fibre];
        for (k, driven) in cpu.plan.driven.iter().enumerate() {
            let drive = segment.drives[k].as_ref();
            let (start, rate) = drive.map_or((0.0, 0.0), |d| course(d, segment, parameters));
            lanes.ramp[k * n + l] = (start, rate);
            match *driven {
                Driven::Unused => {}
                Driven::Pace { row } => rows[at.at(row, l)] = T::of(start),
                Driven::Parameter { row, slope_row } => {
                    rows[at.at(row, l)] = T::of(start + rate * ms(clock.now - segment.start));
                    if let Some(slope_row) = slope_row {
                        rows[at.at(slope_row, l)] = T::of(rate * cpu.plan.ms_per_time);
                    }
                }
                Driven::Clamp { row, state } => {
                    rows[at.at(row, l)] = T::of(if drive.is_some() { 1.0 } else { 0.0 });
                    if drive.is_some() && entering {
                        rows[at.at(state, l)] = T::of(start);
                        if let Some(lost) = cpu.plan.lost_row {
                            rows[at.at(lost + state, l)] = T::of(0.0);
                        }
                    }
                }
            }
        }
    }
}

/// The piece of a fibre's course between its clock's `piece_start` and `now`.
struct Course<'a, T> {
    cpu: &'a Cpu<T>,
    clock: &'a mut Clock,
    /// Whether a sample at the very end belongs to it.
    inclusive: bool,
}

impl<T: Lane> Course<'_, T> {
    /// Feeds the features; `observable(k)` gives value and rate at the start, then at the end.
    fn gather(
        &self,
        observable: &impl Fn(usize) -> (T, T, T, T),
        group: &mut Group<T>,
        fibre: usize,
        spikes: &mut Vec<Spike>,
    ) {
        let n_features = self.cpu.plan.features.len();
        for (f, (spec, of)) in self.cpu.plan.features.iter().enumerate() {
            let (g0, d0, g1, d1) = observable(*of);
            let per_ms = 1.0 / self.cpu.plan.ms_per_time;
            let piece = Piece {
                t0: ms(self.clock.piece_start),
                t1: ms(self.clock.now),
                g0: g0.f64(),
                d0: d0.f64() * per_ms,
                g1: g1.f64(),
                d1: d1.f64() * per_ms,
            };
            let id = group.first + fibre as u64;
            spec.feed(
                &mut group.gathered[fibre * n_features + f],
                &piece,
                &mut |time_ms| {
                    spikes.push(Spike {
                        time_ms,
                        fibre: id,
                        feature: f,
                    });
                },
            );
        }
    }

    /// Interpolates the rows that lie in the piece and in the call.
    fn sample(
        &mut self,
        observable: &impl Fn(usize) -> (T, T, T, T),
        samples: &mut Samples<'_, T>,
        fibre: usize,
    ) {
        let (start, end) = (self.clock.piece_start as f64, self.clock.now as f64);
        let last = samples.first_row + samples.n_rows;
        while (self.clock.next_row as usize) < last {
            let row = self.clock.next_row as usize;
            let at = self.cpu.row_ticks(row);
            if !self.cpu.reaches_row(self.clock, self.inclusive) {
                break;
            }
            if let Some(trace) = samples.trace_of[fibre] {
                let x = ((at - start) / (end - start)).clamp(0.0, 1.0);
                let length = (end - start) / self.cpu.plan.ticks_per_time;
                for k in 0..self.cpu.plan.n_recorded {
                    let (g0, d0, g1, d1) = observable(k);
                    let value = hermite(x, length, g0.f64(), d0.f64(), g1.f64(), d1.f64());
                    let place = (k * samples.n_rows + row - samples.first_row) * samples.n_traces
                        + trace as usize;
                    samples.values[place] = T::of(value);
                }
            }
            self.clock.next_row += 1;
        }
    }
}

/// The cubic through both ends at the share `x` of the way, `length` being in the unit of the rates' time.
fn hermite(x: f64, length: f64, g0: f64, d0: f64, g1: f64, d1: f64) -> f64 {
    let y = 1.0 - x;
    let bend = length * x * y * (d0 * y - d1 * x);
    // Next to a pole the last slope may be no number any more, while both ends are sound.
    let bend = if bend.is_finite() { bend } else { 0.0 };
    // From the nearer end: exact at both ends, and where they are equal.
    if x < 0.5 {
        g0 + (g1 - g0) * (x * x * (1.0 + 2.0 * y)) + bend
    } else {
        g1 - (g1 - g0) * (y * y * (1.0 + 2.0 * x)) + bend
    }
}
