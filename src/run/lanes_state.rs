//! What a checkpoint holds of the fibres that the CPU moves: each as it stands between two steps, and what has been found of a slab that is not
//! over yet.
//!
//! The arrays go from fibre to fibre, whatever groups there are, so a run may go on with another number of threads.

use crate::backend::Spike;
use crate::backend::cpu::{Cpu, Group};
use crate::ops::Lane;

use super::checkpoint::{Cursor, Sheet};

/// The first word: what follows, and in which form.
const MAGIC: u64 = u64::from_le_bytes(*b"LANES\0\0\x01");

/// What has been found of a slab for a group's fibres.
#[derive(Clone, Debug, Default)]
pub(super) struct Found<T> {
    /// The trace of each fibre within the group, if it is recorded.
    pub trace_of: Vec<Option<u32>>,
    pub n_traces: usize,
    /// `[variable][row][trace]`, NaN where nothing is known.
    pub values: Vec<T>,
    pub spikes: Vec<Spike>,
}

/// The slab that a run is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Number of the slab, from 0.
    pub slab: usize,
    pub first_row: usize,
    pub n_rows: usize,
    /// Events of the slabs before.
    pub n_events: u64,
}

/// Shape of the run, by which a checkpoint is known to be one of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub n_fibres: usize,
    pub n_samples: usize,
    pub n_recorded: usize,
    pub n_features: usize,
    pub rows_per_slab: usize,
}

impl Shape {
    fn words<T: Lane>(&self) -> [u64; 7] {
        [
            MAGIC,
            size_of::<T>() as u64,
            self.n_fibres as u64,
            self.n_samples as u64,
            self.n_recorded as u64,
            self.n_features as u64,
            self.rows_per_slab as u64,
        ]
    }
}

/// Bytes of a spike.
pub(super) const SPIKE_BYTES: usize = 16;

/// Rows of the slab that a fibre has filled.
fn filled(next_row: u32, at: Position) -> usize {
    (next_row as usize)
        .saturating_sub(at.first_row)
        .min(at.n_rows)
}

/// Writes everything down.
pub(super) fn save<'a, T: Lane>(
    shape: Shape,
    at: Position,
    groups: &'a [Group<T>],
    found: &[Found<T>],
) -> Sheet<'a> {
    let mut sheet = Sheet::default();
    sheet.words(&shape.words::<T>());
    sheet.words(&[at.slab as u64, at.n_events]);
    let arrays: Vec<[&[u8]; 5]> = groups.iter().map(Group::arrays).collect();
    for array in 0..5 {
        arrays.iter().for_each(|of| sheet.numbers(of[array]));
    }
    let mut values: Vec<T> = Vec::new();
    let (mut times, mut marks): (Vec<f64>, Vec<u32>) = Default::default();
    let first = groups.first().map_or(0, |g| g.first);
    for (group, found) in groups.iter().zip(found) {
        for (clock, trace) in group.clocks.iter().zip(&found.trace_of) {
            let (Some(trace), rows) = (*trace, filled(clock.next_row, at)) else {
                continue;
            };
            for variable in 0..shape.n_recorded {
                let column = (variable * at.n_rows) * found.n_traces + trace as usize;
                let own = found.values[column.min(found.values.len())..].iter();
                values.extend(own.step_by(found.n_traces).take(rows));
            }
        }
        times.extend(found.spikes.iter().map(|s| s.time_ms));
        let mark = |s: &Spike| [(s.fibre - first) as u32, s.feature as u32];
        marks.extend(found.spikes.iter().flat_map(mark));
    }
    sheet.own(&values);
    sheet.words(&[times.len() as u64]);
    sheet.own(&times);
    sheet.own(&marks);
    sheet
}

/// Takes the slab and the numbers before it; the cursor then stands before what [`restore`] takes.
pub(super) fn begin<T: Lane>(shape: Shape, cursor: &mut Cursor<'_>) -> Option<(usize, u64)> {
    let [slab, n_events] = (cursor.words::<7>()? == shape.words::<T>())
        .then(|| cursor.words::<2>())
        .flatten()?;
    let slabs = shape.n_samples.div_ceil(shape.rows_per_slab.max(1)).max(1);
    let slab = usize::try_from(slab).ok().filter(|slab| *slab <= slabs)?;
    Some((slab, n_events))
}

/// Puts the fibres, and what was found of the slab, as they were. `found` is laid out for the slab, without anything in it.
pub(super) fn restore<T: Lane>(
    cpu: &Cpu<T>,
    shape: Shape,
    at: Position,
    cursor: &mut Cursor<'_>,
    groups: &mut [Group<T>],
    found: &mut [Found<T>],
) -> Option<()> {
    for array in 0..5 {
        for group in groups.iter_mut() {
            cursor.fill(group.arrays_mut()[array])?;
        }
    }
    let possible = |group: &Group<T>| group.clocks.iter().all(|clock| cpu.is_possible(clock));
    if !groups.iter().all(possible) {
        return None;
    }
    for (group, found) in groups.iter().zip(found.iter_mut()) {
        for (clock, trace) in group.clocks.iter().zip(&found.trace_of) {
            let (Some(trace), rows) = (*trace, filled(clock.next_row, at)) else {
                continue;
            };
            for variable in 0..shape.n_recorded {
                let column = (variable * at.n_rows) * found.n_traces + trace as usize;
                let values = cursor.numbers::<T>(rows)?;
                let places = found.values[column..].iter_mut().step_by(found.n_traces);
                places.zip(values).for_each(|(place, value)| *place = value);
            }
        }
    }
    let n = cursor.count()?;
    let times = cursor.numbers::<f64>(n)?;
    let marks = cursor.numbers::<u32>(n.checked_mul(2)?)?;
    let first = groups.first().map_or(0, |g| g.first);
    let size = groups.first().map_or(1, Group::len);
    for (&time_ms, mark) in times.iter().zip(marks.chunks_exact(2)) {
        let (fibre, feature) = (mark[0] as usize, mark[1] as usize);
        if feature >= shape.n_features || fibre >= shape.n_fibres {
            return None;
        }
        found[fibre / size].spikes.push(Spike {
            time_ms,
            fibre: first + fibre as u64,
            feature,
        });
    }
    cursor.is_empty().then_some(())
}
