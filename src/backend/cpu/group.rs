//! Fibres at rest in memory: what a lane loads and leaves, and what a checkpoint holds.

use bytemuck::{Pod, Zeroable};

use crate::feature::Gathered;
use crate::ops::Lane;

/// The time keeping of one fibre. Ticks are those of [`crate::protocol`].
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Clock {
    /// Present time, ticks.
    pub now: i64,
    /// Step that the controller wants next, ticks.
    pub wanted: i64,
    /// Start of the open piece, ticks.
    pub piece_start: i64,
    /// Accepted steps.
    pub accepted: u64,
    /// Rejected steps.
    pub rejected: u64,
    /// Steps accepted with too large an error, because they could not be made smaller.
    pub at_floor: u64,
    /// When the fibre was lost, ticks.
    pub lost_at: i64,
    /// Logarithm of the last accepted error.
    pub last_error: f64,
    /// Index into the schedule's segments.
    pub segment: u32,
    /// Next row to be sampled.
    pub next_row: u32,
    /// First state that was not finite.
    pub lost_state: u32,
    /// Bits of [`flag`].
    pub flags: u32,
}

/// What is true of a fibre.
pub mod flag {
    /// A step was accepted; the piece of the course behind it waits for its end values.
    pub const OPEN: u32 = 1;
    /// The fibre stands on an edge, and what ends there still waits for its end values.
    pub const ON_EDGE: u32 = 2;
    /// The last piece reaches into rows that are yet to come.
    pub const TAIL: u32 = 4;
    /// At the end of the schedule.
    pub const FINISHED: u32 = 8;
    /// Not finite any more.
    pub const LOST: u32 = 16;
}

impl Clock {
    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn set(&mut self, flag: u32, on: bool) {
        if on {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }

    /// Whether nothing remains to be computed.
    pub fn is_done(&self) -> bool {
        self.has(flag::FINISHED) || self.has(flag::LOST)
    }
}

/// Fibres that one thread moves together. All arrays are fibre after fibre.
#[derive(Clone, Debug)]
pub struct Group<T> {
    /// Id of the first fibre.
    pub first: u64,
    /// Varied parameters, in the order of the experiment.
    pub parameters: Vec<Vec<f64>>,
    /// States, and what rounding has taken from each.
    pub states: Vec<T>,
    /// Time keeping.
    pub clocks: Vec<Clock>,
    /// Start values of the open piece: value and rate of every observable.
    pub open: Vec<T>,
    /// The tail: value and rate at the start, then at the end, of every recorded observable.
    pub tail: Vec<T>,
    /// What the features have gathered.
    pub gathered: Vec<Gathered>,
}

impl<T: Lane> Group<T> {
    /// Number of fibres.
    pub fn len(&self) -> usize {
        self.clocks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.clocks.is_empty()
    }

    /// Everything that changes while the fibres move, as bytes.
    pub fn save(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(bytemuck::cast_slice(&self.states));
        into.extend_from_slice(bytemuck::cast_slice(&self.clocks));
        into.extend_from_slice(bytemuck::cast_slice(&self.open));
        into.extend_from_slice(bytemuck::cast_slice(&self.tail));
        into.extend_from_slice(bytemuck::cast_slice(&self.gathered));
    }

    /// Bytes that [`Group::save`] adds.
    pub fn saved_bytes(&self) -> usize {
        size_of_val(&self.states[..])
            + size_of_val(&self.clocks[..])
            + size_of_val(&self.open[..])
            + size_of_val(&self.tail[..])
            + size_of_val(&self.gathered[..])
    }

    /// Takes back what [`Group::save`] wrote and returns the bytes that follow; `None` if there are too few.
    pub fn restore<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        fn take<'a, U: Pod>(target: &mut [U], bytes: &'a [u8]) -> Option<&'a [u8]> {
            let target = bytemuck::cast_slice_mut::<U, u8>(target);
            let (head, rest) = bytes.split_at_checked(target.len())?;
            target.copy_from_slice(head);
            Some(rest)
        }
        let bytes = take(&mut self.states, bytes)?;
        let bytes = take(&mut self.clocks, bytes)?;
        let bytes = take(&mut self.open, bytes)?;
        let bytes = take(&mut self.tail, bytes)?;
        take(&mut self.gathered, bytes)
    }
}
