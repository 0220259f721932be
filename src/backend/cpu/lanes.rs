//! A block of lanes: fibres that are stepped together, each at its own time with its own step.
//!
//! One iteration runs the step program over all lanes; then they are looked at. A lane
//! - tries a shorter step if the one that the program has tried is rejected; else
//! - closes the piece behind its last accepted step, now that the program has given value and rate at its end: features
//!   are fed, samples are interpolated (cubic Hermite);
//! - if it stands on an edge, enters the next segment (this iteration only served to close the piece with the inputs that
//!   held up to the edge);
//! - else accepts the step, and chooses the next one;
//! - gives its place to the next fibre of the group when it has filled all rows asked for, is lost or has finished.
//!
//! What nearly all lanes do, taking a step that nothing happens in, `clocks` does for all at once; what is left is done lane by lane, here. Where
//! the step is fixed, `stretch` takes many steps before the lanes are looked at.
//!
//! So no fibre's steps depend on its neighbours, on the number of lanes, or on where a slab of rows ends: a fibre that is
//! put aside tries the same step again when it comes back.

use bytemuck::Zeroable;

use crate::backend::lane_plan::Driven;
use crate::backend::{Spike, course};
use crate::ops::Lane;
use crate::protocol::ms;

use super::clocks::{Bounds, Clocks};
use super::course::Course;
use super::group::{Clock, Group, flag};
#[cfg(target_arch = "x86_64")]
use super::interpret::Simd;
use super::layout::Layout;
use super::{CacheLine, Cpu};

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

impl<T> Samples<'_, T> {
    /// Whether a fibre of the group has a trace.
    fn records(&self, fibre: usize) -> bool {
        self.trace_of.get(fibre).is_some_and(Option::is_some)
    }
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
    /// How many lanes hold one.
    n_occupied: usize,
    pub(super) clocks: Clocks,
    /// Lanes of all tiles, those beyond the last one included.
    pub(super) stride: usize,
    /// Values at the start of the open piece: `[2 * observable + (0 value, 1 rate)][lane]`, `stride` lanes each.
    pub(super) open: Vec<f64>,
    /// The same at its end, where a step begins that is being tried.
    reached: Vec<f64>,
    /// The number that decides what a feature notes: `[feature][lane]`, `stride` lanes each.
    pub(super) deciding: Vec<f64>,
    /// Whether a feature would note the open piece: as `deciding`.
    pub(super) noted: Vec<u64>,
    /// Whether the last stretch that began with a lane could not take a step.
    pub(super) looked_at: Vec<bool>,
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
        let stride = layout.n_tiles(lanes) * layout.tile_lanes;
        Lanes {
            memory: vec![CacheLine::zeroed(); bytes.div_ceil(size_of::<CacheLine>())],
            slots: vec![CacheLine::zeroed(); cpu.n_slots()],
            lanes,
            layout,
            fibre: vec![None; lanes],
            n_occupied: 0,
            clocks: Clocks::new(stride),
            stride,
            open: vec![0.0; 2 * cpu.n_observables() * stride],
            reached: vec![0.0; 2 * cpu.n_observables() * stride],
            deciding: vec![0.0; cpu.plan.features.len() * stride],
            noted: vec![0; cpu.plan.features.len() * stride],
            looked_at: vec![false; stride],
            ramp: vec![(0.0, 0.0); cpu.plan.driven.len() * lanes],
            scratch: Vec::new(),
        }
    }
}

impl<T> Lanes<T> {
    /// Value and rate of an observable at the start of a lane's open piece, then at its end.
    pub(super) fn observable(&self, k: usize, l: usize) -> (f64, f64, f64, f64) {
        let value = 2 * k * self.stride + l;
        let rate = value + self.stride;
        let (open, reached) = (&self.open, &self.reached);
        (open[value], open[rate], reached[value], reached[rate])
    }

    /// Whether every lane holds a fibre.
    pub(super) fn is_full(&self) -> bool {
        self.n_occupied == self.lanes
    }

    /// Leaves a lane empty.
    fn leave(&mut self, l: usize) {
        self.fibre[l] = None;
        self.n_occupied -= 1;
        self.clocks.leave(l);
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
    pub bounds: Bounds,
}

/// What a lane does that has been looked at.
enum Next {
    /// It takes its step: the new states hold.
    Takes,
    /// It stays where it is.
    Stays,
    /// It stays where it is, and the fibre leaves it.
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
        while lanes.n_occupied > 0 && !cancelled() {
            self.inputs(lanes, rows);
            self.run_stretch(lanes, rows);
            self.look(lanes, rows);
            if !self.cpu.takes_up_states() {
                self.take_new_states(lanes, rows);
            }
            if next < self.group.len() && lanes.n_occupied < n {
                for l in 0..n {
                    if lanes.fibre[l].is_none() {
                        self.refill(lanes, rows, l, &mut next);
                    }
                }
            }
        }
        // A cancelled call leaves its fibres where they are: between two steps, with the new states where the last one has written them.
        self.take_new_states(lanes, rows);
        for l in 0..n {
            if let Some(fibre) = lanes.fibre[l] {
                self.unload(lanes, rows, l, fibre as usize);
                lanes.leave(l);
            }
        }
        lanes.memory = memory;
    }

    /// Chooses each lane's step, and writes what the program reads of its clock.
    fn inputs(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        match self.cpu.engine().simd() {
            // SAFETY: `Simd` values other than the baseline are made by `available` alone, after the features were found.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => unsafe { self.inputs_avx512(lanes, rows) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => unsafe { self.inputs_avx2(lanes, rows) },
            _ => self.inputs_here(lanes, rows),
        }
        if self.cpu.plan.has_ramps {
            self.ramps(lanes, rows);
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    fn inputs_avx512(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        self.inputs_here(lanes, rows);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn inputs_avx2(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        self.inputs_here(lanes, rows);
    }

    #[inline(always)]
    fn inputs_here(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        let (plan, at) = (&self.cpu.plan, lanes.layout);
        let clocks = &mut lanes.clocks;
        clocks.choose(&self.bounds);
        let per_time = plan.ticks_per_time;
        at.write(rows, plan.step_row, &clocks.tried, |t| T::of(t / per_time));
        if let Some(row) = plan.last_error_row {
            at.write(rows, row, &clocks.last_error, T::of);
        }
        if let Some(row) = plan.time_row {
            at.write(rows, row, &clocks.now, |t| T::of(t / per_time));
        }
    }

    /// Writes the inputs that change while a segment lasts.
    fn ramps(&self, lanes: &Lanes<T>, rows: &mut [T]) {
        let (plan, n, at) = (&self.cpu.plan, lanes.lanes, lanes.layout);
        for l in (0..n).filter(|&l| lanes.fibre[l].is_some()) {
            let clock = lanes.clocks.get(l);
            let segment = &plan.schedule.segments[clock.segment as usize];
            let since_ms = ms(clock.now - segment.start);
            for (k, driven) in plan.driven.iter().enumerate() {
                let (start, rate) = lanes.ramp[k * n + l];
                if let (Driven::Parameter { row, .. }, true) = (driven, rate != 0.0) {
                    rows[at.at(*row, l)] = T::of(start + rate * since_ms);
                }
            }
        }
    }

    /// Looks at all lanes after the program has run.
    fn look(&mut self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        match self.cpu.engine().simd() {
            // SAFETY: `Simd` values other than the baseline are made by `available` alone, after the features were found.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => unsafe { self.look_avx512(lanes, rows) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => unsafe { self.look_avx2(lanes, rows) },
            _ => self.look_here(lanes, rows),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    fn look_avx512(&mut self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        self.look_here(lanes, rows);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn look_avx2(&mut self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        self.look_here(lanes, rows);
    }

    #[inline(always)]
    fn look_here(&mut self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        let (cpu, at) = (self.cpu, lanes.layout);
        let output = |k: usize| cpu.first_output + k;
        let outcome = &mut lanes.clocks.outcome;
        at.read(rows, output(cpu.error_output), &mut outcome.error);
        at.read(rows, output(cpu.error_output + 1), &mut outcome.log_error);
        at.read(rows, output(cpu.error_output + 2), &mut outcome.growth);
        for (k, reached) in lanes.reached.chunks_exact_mut(lanes.stride).enumerate() {
            at.read(rows, output(cpu.observable_output(0) + k), reached);
        }
        lanes.clocks.sort_out(&self.bounds);
        for (f, (spec, of)) in cpu.plan.features.iter().enumerate() {
            let [value, rate] =
                [2 * of, 2 * of + 1].map(|k| k * lanes.stride..(k + 1) * lanes.stride);
            let deciding = &lanes.deciding[f * lanes.stride..(f + 1) * lanes.stride];
            let course = [
                &lanes.open[value.clone()],
                &lanes.open[rate.clone()],
                &lanes.reached[value],
                &lanes.reached[rate],
            ];
            let noted = &mut lanes.noted[f * lanes.stride..(f + 1) * lanes.stride];
            lanes
                .clocks
                .note(spec, deciding, course, cpu.plan.ms_per_time, noted);
        }
        lanes.clocks.gather_asking();
        let mut next = 0;
        while let Some(l) = lanes.clocks.next_asking(next) {
            self.look_at(lanes, rows, l);
            next = l + 1;
        }
        lanes.clocks.take(&self.bounds);
        std::mem::swap(&mut lanes.open, &mut lanes.reached);
    }

    /// Looks at one lane: closes the piece behind it, lets it enter the next segment if it stands on an edge, and judges a step that does not fit.
    #[inline(never)]
    fn look_at(&mut self, lanes: &mut Lanes<T>, rows: &mut [T], l: usize) {
        let Some(fibre) = lanes.fibre[l] else {
            return;
        };
        let fibre = fibre as usize;
        if lanes.clocks.rejects(l) {
            // The piece stays open: the slopes that close it are those of a step that is taken.
            self.keep(lanes, rows, l);
            return;
        }
        if lanes.clocks.takes(l) && !lanes.clocks.has_row(l) {
            self.feed(lanes, l, fibre);
            return;
        }
        let mut clock = lanes.clocks.get(l);
        let is_filled = clock.has(flag::OPEN) && self.close(lanes, l, fibre, &mut clock);
        let next = if is_filled {
            Next::Leaves
        } else if clock.has(flag::ON_EDGE) {
            self.enter(lanes, rows, l, fibre, &mut clock)
        } else if lanes.clocks.takes(l) {
            Next::Takes
        } else {
            self.endure(lanes, rows, l, &mut clock)
        };
        let is_recorded = self.samples.records(fibre);
        lanes
            .clocks
            .put(l, &clock, is_recorded, &self.cpu.plan, &self.bounds);
        lanes.clocks.set_takes(l, matches!(next, Next::Takes));
        if !matches!(next, Next::Takes) {
            self.keep(lanes, rows, l);
        }
        if matches!(next, Next::Leaves) {
            self.unload(lanes, rows, l, fibre);
            lanes.leave(l);
        }
    }

    /// Closes the open piece of a lane, now that the program has given value and rate at its end. Returns whether the fibre has filled all rows
    /// asked for.
    fn close(&mut self, lanes: &mut Lanes<T>, l: usize, fibre: usize, clock: &mut Clock) -> bool {
        let cpu = self.cpu;
        let ends = self.ends(clock);
        clock.set(flag::OPEN, false);
        self.feed(lanes, l, fibre);
        let observable = |k: usize| lanes.observable(k, l);
        let mut course = Course {
            cpu,
            clock,
            inclusive: ends,
        };
        course.sample(&observable, &mut self.samples, fibre);
        let is_filled =
            !self.to_end && clock.next_row as usize >= self.samples.first_row + self.samples.n_rows;
        if is_filled {
            let reaches_on = cpu.reaches_row(clock, ends);
            clock.set(flag::TAIL, reaches_on);
            if reaches_on {
                for k in 0..cpu.plan.n_recorded {
                    let (g0, d0, g1, d1) = observable(k);
                    self.group.tail[4 * (fibre * cpu.plan.n_recorded + k)..][..4]
                        .copy_from_slice(&[g0, d0, g1, d1].map(T::of));
                }
            }
        }
        is_filled
    }

    /// Copies the numbers that decide what the features note of a fibre.
    fn note_deciding(&self, lanes: &mut Lanes<T>, l: usize, fibre: usize) {
        let features = &self.cpu.plan.features;
        let gathered = &self.group.gathered[fibre * features.len()..][..features.len()];
        for (f, ((spec, _), gathered)) in features.iter().zip(gathered).enumerate() {
            lanes.deciding[f * lanes.stride + l] = spec.deciding(gathered);
        }
    }

    /// Whether a fibre stands at the end of the schedule.
    fn ends(&self, clock: &Clock) -> bool {
        let n_segments = self.cpu.plan.schedule.segments.len();
        clock.has(flag::ON_EDGE) && clock.segment as usize + 1 == n_segments
    }

    /// A lane on an edge enters the next segment.
    fn enter(
        &self,
        lanes: &mut Lanes<T>,
        rows: &mut [T],
        l: usize,
        fibre: usize,
        clock: &mut Clock,
    ) -> Next {
        let ends = self.ends(clock);
        clock.set(flag::ON_EDGE, false);
        if ends {
            clock.set(flag::FINISHED, true);
            return Next::Leaves;
        }
        clock.segment += 1;
        clock.wanted = self.cpu.plan.first_step.min(clock.wanted);
        self.drive(lanes, rows, l, fibre, clock, true);
        Next::Stays
    }

    /// A lane's step does not fit and cannot be shorter: it is taken all the same, or the fibre is lost.
    fn endure(&self, lanes: &Lanes<T>, rows: &[T], l: usize, clock: &mut Clock) -> Next {
        let (cpu, at) = (self.cpu, lanes.layout);
        let output = |k: usize| rows[at.at(cpu.first_output + k, l)];
        let error = output(cpu.error_output).f64();
        let (most_moved, moved) = self.most_moved(rows, at, l);
        // A smallest step that moves a state by more than all of it, with an error to match, does not follow the
        // solution any more: it jumps over a pole, and would come back from the other side.
        let jumps = moved > 1.0 && error * cpu.plan.tolerance > 1.0;
        if !error.is_finite() || !cpu.is_adaptive() || jumps {
            let first = (0..cpu.plan.n_states).find(|&i| !output(i).is_finite());
            clock.lost_state = first.unwrap_or(most_moved) as u32;
            clock.lost_at = clock.now;
            clock.set(flag::LOST, true);
            return Next::Leaves;
        }
        clock.at_floor += 1;
        Next::Takes
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

    /// Puts the old states, and the start of the open piece, where the new ones are about to be taken from.
    #[inline]
    fn keep(&self, lanes: &mut Lanes<T>, rows: &mut [T], l: usize) {
        let (cpu, at) = (self.cpu, lanes.layout);
        let mut keep = |first: usize, output: usize| {
            let mut old = at.at(first, l);
            let mut new = at.at(cpu.first_output + output, l);
            for _ in 0..cpu.plan.n_states {
                rows[new] = rows[old];
                (old, new) = (old + at.tile_lanes, new + at.tile_lanes);
            }
        };
        keep(0, 0);
        if let Some(lost) = cpu.plan.lost_row {
            keep(lost, cpu.plan.n_states);
        }
        for k in (l..lanes.open.len()).step_by(lanes.stride) {
            lanes.reached[k] = lanes.open[k];
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
        let (cpu, at) = (self.cpu, lanes.layout);
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
                lanes.open[k * lanes.stride + l] = value.f64();
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
            let clock = self.group.clocks[fibre];
            let is_recorded = self.samples.records(fibre);
            lanes
                .clocks
                .put(l, &clock, is_recorded, &cpu.plan, &self.bounds);
            lanes.fibre[l] = Some(fibre as u32);
            lanes.n_occupied += 1;
            self.note_deciding(lanes, l, fibre);
            self.drive(lanes, rows, l, fibre, &clock, false);
            self.keep(lanes, rows, l);
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
                    tail[4 * k].f64(),
                    tail[4 * k + 1].f64(),
                    tail[4 * k + 2].f64(),
                    tail[4 * k + 3].f64(),
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
        let (cpu, at) = (self.cpu, lanes.layout);
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
            *value = T::of(lanes.open[k * lanes.stride + l]);
        }
        self.group.clocks[fibre] = lanes.clocks.get(l);
    }

    /// Writes the driven inputs of a lane for its segment; on `entering` one, clamped states jump to their level.
    fn drive(
        &self,
        lanes: &mut Lanes<T>,
        rows: &mut [T],
        l: usize,
        fibre: usize,
        clock: &Clock,
        entering: bool,
    ) {
        let (cpu, n, at) = (self.cpu, lanes.lanes, lanes.layout);
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
