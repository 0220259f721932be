//! The driver: moves all fibres through time slab by slab and hands every slab on.
//!
//! Fibres are dealt into groups, groups over threads. How they are dealt changes no result.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::backend::Experiment;
use crate::backend::cpu::{Clock, Cpu, Group, Lanes, Samples};
use crate::ops::Lane;

use super::checkpoint::{Cursor, does_not_fit};
use super::events::events;
use super::lanes_state::{self, Found, Position, Shape};
use super::sink::{self, FibreStatus, PartRecord, Sink, SinkError};

/// What is to be run, beside the experiment.
#[derive(Clone, Debug)]
pub struct Job {
    /// Id of the first fibre.
    pub first_fibre: u64,
    /// Varied parameters of each fibre.
    pub parameters: Vec<Vec<f64>>,
    /// Ids of the fibres that are recorded, ascending; `None` for all.
    pub traces: Option<Vec<u64>>,
    /// Rows that are handed over at a time.
    pub rows_per_slab: usize,
    /// Threads; 0 for all of the machine.
    pub threads: usize,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Where to go on, as this engine told the sink.
    pub from: Option<Arc<[u8]>>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Share of the work that is done, 0 to 1.
    pub share: f64,
    /// Rows handed over.
    pub rows: usize,
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Features of each fibre, feature column by feature column.
    pub features: Vec<Vec<f64>>,
    /// How each fibre ended.
    pub status: Vec<FibreStatus>,
    /// Accepted steps, all fibres.
    pub accepted: u64,
    /// Rejected steps, all fibres.
    pub rejected: u64,
    /// Steps accepted with too large an error because they could not be smaller.
    pub at_floor: u64,
    /// Seconds of time stepping.
    pub compute_s: f64,
    /// Events handed over.
    pub n_events: u64,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// Scratch memory of a block, bytes: what the second-level cache of a present core holds.
const BLOCK_BYTES: usize = 640 * 1024;
/// Most and fewest lanes of a block: beyond 256 the decoding of instructions no longer shows; 16 fill one vector.
const LANES: (usize, usize) = (16, 256);
/// Fibres of a group for each lane, so that lanes are refilled and seldom wait for the last fibre of a slab.
const FIBRES_PER_LANE: usize = 8;

/// Lanes and fibres per group for so many fibres on so many threads: few fibres are spread over all threads.
fn dealing(n_fibres: usize, threads: usize, bytes_per_lane: usize) -> (usize, usize) {
    let per_thread = n_fibres.div_ceil(threads.max(1)).max(1);
    let fits = BLOCK_BYTES / bytes_per_lane.max(1) / LANES.0 * LANES.0;
    let lanes = per_thread
        .next_multiple_of(LANES.0)
        .min(fits)
        .clamp(LANES.0, LANES.1);
    // At least two groups a thread where there are fibres for two full blocks, so that threads end together.
    let group = (lanes * FIBRES_PER_LANE)
        .min(per_thread.div_ceil(2))
        .max(lanes.min(per_thread));
    (lanes, group)
}

/// Runs every fibre to the end of the schedule, or until `cancel` is set; from the job's point on, where it has one.
///
/// # Errors
/// If the sink cannot take what it is handed, or the point is not one of this run.
pub fn drive<T: Lane>(
    cpu: &Cpu<T>,
    experiment: &Experiment,
    job: Job,
    out: &mut dyn Sink,
    progress: &(dyn Fn(Progress) + Sync),
    cancel: &AtomicBool,
) -> Result<Done, SinkError> {
    let threads = if job.threads == 0 {
        rayon::current_num_threads()
    } else {
        job.threads
    };
    let n_fibres = job.parameters.len();
    let (n_lanes, group_size) = dealing(n_fibres, threads, cpu.bytes_per_lane());
    let mut groups: Vec<Group<T>> = Vec::new();
    let mut found: Vec<Found<T>> = Vec::new();
    let mut first = job.first_fibre;
    let trace_of: Vec<Option<u32>> = place_traces(job.first_fibre, n_fibres, job.traces.as_deref());
    for (chunk, traces) in job
        .parameters
        .chunks(group_size)
        .zip(trace_of.chunks(group_size))
    {
        groups.push(cpu.start(first, chunk.to_vec()));
        let (trace_of, n_traces) = within_group(traces);
        found.push(Found {
            trace_of,
            n_traces,
            ..Found::default()
        });
        first += chunk.len() as u64;
    }
    let n_traces = trace_of.iter().flatten().count();
    let shape = Shape {
        n_fibres,
        n_samples: experiment.n_samples,
        n_recorded: experiment.n_recorded,
        n_features: experiment.features.len(),
        rows_per_slab: job.rows_per_slab,
    };
    let mut rest = job.from.as_deref().map(Cursor);
    let mut begun = (0, 0);
    if let Some(cursor) = &mut rest {
        begun = lanes_state::begin::<T>(shape, cursor).ok_or_else(does_not_fit)?;
    }
    let mut done = Done {
        n_events: begun.1,
        ..Done::default()
    };
    let moving = Moving {
        cpu,
        n_lanes,
        n_slabs: experiment.n_samples.div_ceil(job.rows_per_slab).max(1),
        scratch: Mutex::new(Vec::new()),
        pause: AtomicBool::new(false),
        checkpoint_every: job.checkpoint_every,
        progress,
        cancel,
    };
    let mut last_checkpoint = Instant::now();
    let position = |slab: usize, n_events: u64| {
        let first_row = (slab * job.rows_per_slab).min(experiment.n_samples);
        Position {
            slab,
            first_row,
            n_rows: job.rows_per_slab.min(experiment.n_samples - first_row),
            n_events,
        }
    };
    let mut at = position(begun.0, done.n_events);
    'slabs: while at.slab < moving.n_slabs {
        for of_group in &mut found {
            let n = experiment.n_recorded * at.n_rows * of_group.n_traces;
            of_group.values.clear();
            of_group.values.resize(n, T::of(f64::NAN));
            of_group.spikes.clear();
        }
        if let Some(mut cursor) = rest.take() {
            lanes_state::restore(cpu, shape, at, &mut cursor, &mut groups, &mut found)
                .ok_or_else(does_not_fit)?;
        }
        loop {
            let started = Instant::now();
            let whole = moving.advance(at, last_checkpoint, &mut groups, &mut found);
            done.compute_s += started.elapsed().as_secs_f64();
            let cancelled = cancel.load(Ordering::Relaxed);
            if cancelled || !whole {
                out.checkpoint(&lanes_state::save(shape, at, &groups, &found).parts())?;
                last_checkpoint = Instant::now();
            }
            if cancelled {
                done.interrupted = true;
                break 'slabs;
            }
            if whole {
                break;
            }
        }
        let (first_row, n_rows) = (at.first_row, at.n_rows);
        hand_over(experiment, &found, first_row, n_rows, n_traces, out)?;
        let events = events(experiment, found.iter().map(|f| &f.spikes[..]));
        done.n_events += events.len() as u64;
        out.write_events(&events)?;
        out.part(PartRecord::Slab {
            slab: at.slab,
            events: events.len(),
        })?;
        drop(events);
        out.gathered(&|fibre| {
            let place = (fibre - job.first_fibre) as usize;
            let (group, n) = (&groups[place / group_size], experiment.features.len());
            &group.gathered[place % group_size * n..][..n]
        });
        // Where nothing is recorded, slabs cut time only: the sink knows of no rows.
        out.commit(if experiment.n_recorded == 0 {
            0
        } else {
            first_row + n_rows
        })?;
        let to_end = at.slab + 1 == moving.n_slabs;
        at = position(at.slab + 1, done.n_events);
        // What comes after the last step may take long: the comparison with the reference.
        let share = if to_end { AT_THE_END } else { 1 };
        if last_checkpoint.elapsed() >= job.checkpoint_every / share {
            out.checkpoint(&lanes_state::save(shape, at, &groups, &[]).parts())?;
            last_checkpoint = Instant::now();
        }
    }
    if let Some(mut cursor) = rest {
        // It was cut off after its last step.
        let mut nothing = vec![Found::default(); groups.len()];
        lanes_state::restore(cpu, shape, at, &mut cursor, &mut groups, &mut nothing)
            .ok_or_else(does_not_fit)?;
    }
    finish(experiment, &groups, &mut done);
    if done.interrupted {
        // What the last slab did was not handed over.
        for status in done
            .status
            .iter_mut()
            .filter(|s| **s == FibreStatus::Finished)
        {
            *status = FibreStatus::Stopped;
        }
    }
    Ok(done)
}

/// When the last step is done a checkpoint is taken if this part of the time to the next one is over.
pub(super) const AT_THE_END: u32 = 4;
/// How many times a thread asks whether to go on before it looks at the clock, which takes as long as some steps do.
const ASKED_PER_LOOK: u32 = 64;

/// What moves the groups of a slab.
struct Moving<'a, T: Lane> {
    cpu: &'a Cpu<T>,
    n_lanes: usize,
    n_slabs: usize,
    scratch: Mutex<Vec<Lanes<T>>>,
    /// Set when a checkpoint is due.
    pause: AtomicBool,
    checkpoint_every: Duration,
    progress: &'a (dyn Fn(Progress) + Sync),
    cancel: &'a AtomicBool,
}

impl<T: Lane> Moving<'_, T> {
    /// Moves all groups to the end of the slab, or until a checkpoint is due: then some are not whole, and `false` is returned. Where they are
    /// put aside changes no bit.
    fn advance(
        &self,
        at: Position,
        last_checkpoint: Instant,
        groups: &mut [Group<T>],
        found: &mut [Found<T>],
    ) -> bool {
        self.pause.store(false, Ordering::Relaxed);
        let to_end = at.slab + 1 == self.n_slabs;
        let groups_done = AtomicU64::new(0);
        let n_groups = groups.len() as f64;
        let each = groups.par_iter_mut().zip(found.par_iter_mut());
        each.for_each(|(group, found)| {
            // A thread goes at least one step, so that a run moves on however short the time between checkpoints.
            let asked = Cell::new(0u32);
            let stop = || {
                let n = asked.replace(asked.get().wrapping_add(1));
                if n > 0
                    && n.is_multiple_of(ASKED_PER_LOOK)
                    && last_checkpoint.elapsed() >= self.checkpoint_every
                {
                    self.pause.store(true, Ordering::Relaxed);
                }
                self.cancel.load(Ordering::Relaxed) || (n > 0 && self.pause.load(Ordering::Relaxed))
            };
            let taken = self.scratch.lock().unwrap_or_else(|e| e.into_inner()).pop();
            let mut lanes = taken.unwrap_or_else(|| Lanes::new(self.cpu, self.n_lanes));
            let samples = Samples {
                first_row: at.first_row,
                n_rows: at.n_rows,
                n_traces: found.n_traces,
                trace_of: &found.trace_of,
                values: &mut found.values,
            };
            self.cpu
                .advance(group, &mut lanes, samples, to_end, &mut found.spikes, &stop);
            self.scratch
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .push(lanes);
            let ready = groups_done.fetch_add(1, Ordering::Relaxed) + 1;
            let share = (at.slab as f64 + ready as f64 / n_groups) / self.n_slabs as f64;
            (self.progress)(Progress {
                share,
                rows: at.first_row,
            });
        });
        if !self.pause.load(Ordering::Relaxed) {
            return true;
        }
        let last_row = at.first_row + at.n_rows;
        let filled = |c: &Clock| c.is_done() || (!to_end && c.next_row as usize >= last_row);
        groups.iter().all(|g| g.clocks.iter().all(filled))
    }
}

/// The place of each fibre among the traces.
pub(super) fn place_traces(
    first: u64,
    n_fibres: usize,
    traces: Option<&[u64]>,
) -> Vec<Option<u32>> {
    match traces {
        None => (0..n_fibres as u32).map(Some).collect(),
        Some(ids) => {
            let mut place = vec![None; n_fibres];
            for (k, id) in ids.iter().enumerate() {
                if let Some(slot) = id
                    .checked_sub(first)
                    .and_then(|i| place.get_mut(i as usize))
                {
                    *slot = Some(k as u32);
                }
            }
            place
        }
    }
}

/// The same traces numbered from 0 within a group, and how many there are.
pub(super) fn within_group(trace_of: &[Option<u32>]) -> (Vec<Option<u32>>, usize) {
    let mut n = 0;
    let own = trace_of
        .iter()
        .map(|t| {
            t.map(|_| {
                n += 1;
                n - 1
            })
        })
        .collect();
    (own, n as usize)
}

/// Puts the groups' samples side by side, variable by variable. Traces are in the order of fibres, as groups are.
fn hand_over<T: Lane>(
    experiment: &Experiment,
    found: &[Found<T>],
    first_row: usize,
    n_rows: usize,
    n_traces: usize,
    out: &mut dyn Sink,
) -> Result<(), SinkError> {
    let mut rows = vec![T::of(f64::NAN); n_rows * n_traces];
    for variable in 0..experiment.n_recorded {
        let mut column = 0;
        for of_group in found {
            let n_own = of_group.n_traces;
            for row in 0..n_rows {
                let from = (variable * n_rows + row) * n_own;
                rows[row * n_traces + column..][..n_own]
                    .copy_from_slice(&of_group.values[from..][..n_own]);
            }
            column += n_own;
        }
        out.write_rows(variable, first_row, sink::Samples::of(&rows))?;
    }
    Ok(())
}

fn finish<T: Lane>(experiment: &Experiment, groups: &[Group<T>], done: &mut Done) {
    let n_columns: usize = experiment
        .features
        .iter()
        .map(|f| f.column_names().len())
        .sum();
    done.features = vec![Vec::new(); n_columns];
    for group in groups {
        for (fibre, clock) in group.clocks.iter().enumerate() {
            done.accepted += clock.accepted;
            done.rejected += clock.rejected;
            done.at_floor += clock.at_floor;
            done.status.push(status(clock));
            let mut column = 0;
            for (f, spec) in experiment.features.iter().enumerate() {
                for value in spec.values(&group.gathered[fibre * experiment.features.len() + f]) {
                    done.features[column].push(value);
                    column += 1;
                }
            }
        }
    }
}

fn status(clock: &Clock) -> FibreStatus {
    use crate::backend::cpu::flag;
    if clock.flags & flag::LOST != 0 {
        FibreStatus::Lost {
            at_ms: crate::protocol::ms(clock.lost_at),
            variable: clock.lost_state as usize,
        }
    } else if clock.flags & flag::FINISHED != 0 {
        FibreStatus::Finished
    } else {
        FibreStatus::Stopped
    }
}
