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

    /// Everything that changes while the fibres move, as bytes: states, clocks, open pieces, tails, what features gathered. Each is fibre after
    /// fibre, so the arrays of groups that follow one another join into those of all their fibres.
    pub fn arrays(&self) -> [&[u8]; 5] {
        [
            bytemuck::cast_slice(&self.states),
            bytemuck::cast_slice(&self.clocks),
            bytemuck::cast_slice(&self.open),
            bytemuck::cast_slice(&self.tail),
            bytemuck::cast_slice(&self.gathered),
        ]
    }

    /// The same to be written to. Clocks taken from outside need [`super::Cpu::is_possible`].
    pub fn arrays_mut(&mut self) -> [&mut [u8]; 5] {
        [
            bytemuck::cast_slice_mut(&mut self.states),
            bytemuck::cast_slice_mut(&mut self.clocks),
            bytemuck::cast_slice_mut(&mut self.open),
            bytemuck::cast_slice_mut(&mut self.tail),
            bytemuck::cast_slice_mut(&mut self.gathered),
        ]
    }
}
