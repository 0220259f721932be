//! The driver: moves all fibres through time slab by slab and hands every slab on.
//!
//! Fibres are dealt into groups, groups over threads. How they are dealt changes no result.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::backend::cpu::{Cpu, Group, Lanes, Samples};
use crate::backend::{Experiment, Spike};
use crate::ops::Lane;

use super::sink::{self, FibreStatus, PartRecord, Sink, SinkError, SpikeEvent};

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
    /// Least time between two checkpoints.
    pub checkpoint_every: Duration,
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

/// Runs every fibre to the end of the schedule, or until `cancel` is set.
///
/// # Errors
/// If the sink cannot take what it is handed.
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
    let mut first = job.first_fibre;
    for chunk in job.parameters.chunks(group_size) {
        groups.push(cpu.start(first, chunk.to_vec()));
        first += chunk.len() as u64;
    }
    let trace_of: Vec<Option<u32>> = place_traces(job.first_fibre, n_fibres, job.traces.as_deref());
    let n_traces = trace_of.iter().flatten().count();
    let cancelled = || cancel.load(Ordering::Relaxed);

    let scratch: Mutex<Vec<Lanes<T>>> = Mutex::new(Vec::new());
    let n_slabs = experiment.n_samples.div_ceil(job.rows_per_slab).max(1);
    let mut done = Done::default();
    let mut last_checkpoint = Instant::now();
    for slab in 0..n_slabs {
        let first_row = slab * job.rows_per_slab;
        let n_rows = job
            .rows_per_slab
            .min(experiment.n_samples - first_row.min(experiment.n_samples));
        let to_end = slab + 1 == n_slabs;
        let started = Instant::now();
        let groups_done = AtomicU64::new(0);
        let n_groups = groups.len() as f64;
        let results: Vec<(Vec<T>, usize, Vec<Spike>)> = groups
            .par_iter_mut()
            .enumerate()
            .map(|(g, group)| {
                let fibres = g * group_size..g * group_size + group.len();
                let (own, n_own) = within_group(&trace_of[fibres]);
                let mut values = vec![T::of(f64::NAN); experiment.n_recorded * n_rows * n_own];
                let mut spikes = Vec::new();
                let taken = scratch.lock().unwrap_or_else(|e| e.into_inner()).pop();
                let mut lanes = taken.unwrap_or_else(|| Lanes::new(cpu, n_lanes));
                let samples = Samples {
                    first_row,
                    n_rows,
                    n_traces: n_own,
                    trace_of: &own,
                    values: &mut values,
                };
                cpu.advance(group, &mut lanes, samples, to_end, &mut spikes, &cancelled);
                scratch
                    .lock()
                    .unwrap_or_else(|e| e.into_inner())
                    .push(lanes);
                let share = (slab as f64
                    + (groups_done.fetch_add(1, Ordering::Relaxed) + 1) as f64 / n_groups)
                    / n_slabs as f64;
                progress(Progress {
                    share,
                    rows: first_row,
                });
                (values, n_own, spikes)
            })
            .collect();
        done.compute_s += started.elapsed().as_secs_f64();
        if cancelled() {
            done.interrupted = true;
            break;
        }
        hand_over(experiment, &results, first_row, n_rows, n_traces, out)?;
        let events = events(experiment, &results);
        done.n_events += events.len() as u64;
        out.write_events(&events)?;
        out.part(PartRecord::Slab {
            slab,
            events: events.len(),
        })?;
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
        if last_checkpoint.elapsed() >= job.checkpoint_every && !to_end {
            let mut bytes = Vec::with_capacity(groups.iter().map(Group::saved_bytes).sum());
            groups.iter().for_each(|g| g.save(&mut bytes));
            out.checkpoint(&bytes)?;
            last_checkpoint = Instant::now();
        }
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
    results: &[(Vec<T>, usize, Vec<Spike>)],
    first_row: usize,
    n_rows: usize,
    n_traces: usize,
    out: &mut dyn Sink,
) -> Result<(), SinkError> {
    let mut rows = vec![T::of(f64::NAN); n_rows * n_traces];
    for variable in 0..experiment.n_recorded {
        let mut column = 0;
        for (values, n_own, _) in results {
            for row in 0..n_rows {
                let from = (variable * n_rows + row) * n_own;
                rows[row * n_traces + column..][..*n_own]
                    .copy_from_slice(&values[from..][..*n_own]);
            }
            column += n_own;
        }
        out.write_rows(variable, first_row, sink::Samples::of(&rows))?;
    }
    Ok(())
}

/// The spikes of a slab in order of fibre and time, with features numbered among those that give events.
pub(super) fn events<T>(
    experiment: &Experiment,
    results: &[(Vec<T>, usize, Vec<Spike>)],
) -> Vec<SpikeEvent> {
    let mut number = Vec::new();
    let mut n = 0u8;
    for f in &experiment.features {
        number.push(n);
        n += u8::from(f.kind == crate::feature::FeatureKind::Spikes);
    }
    let mut events: Vec<SpikeEvent> = results
        .iter()
        .flat_map(|(_, _, spikes)| spikes)
        .map(|s| SpikeEvent {
            time_ms: s.time_ms,
            fibre: s.fibre,
            feature: number[s.feature],
        })
        .collect();
    events.sort_by(|a, b| {
        (a.fibre, a.feature)
            .cmp(&(b.fibre, b.feature))
            .then(a.time_ms.total_cmp(&b.time_ms))
    });
    events
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

fn status(clock: &crate::backend::cpu::Clock) -> FibreStatus {
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
