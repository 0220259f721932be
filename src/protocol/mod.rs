//! What is done to a fibre and when: pulses, changes of parameters, clamps, turned into segments of time between edges.
//!
//! Time is a whole number of [`Tick`]s, so that no edge is ever missed by rounding and long runs lose nothing. All fibres
//! share the edges; the levels may differ by fibre. Within a segment every driven input is constant or a straight ramp.
//!
//! ```
//! use sarcolemma::protocol::{Frame, Level, Protocol, tick};
//! let frame = Frame { duration_ms: 50.0, settle_ms: 10.0, paced: true, own: &|_| Level::Number(0.0) };
//! let schedule = Protocol::fifty_hertz().schedule(&frame);
//! let starts: Vec<_> = schedule.segments.iter().map(|s| s.start).collect();
//! assert_eq!(starts, [-10.0, 0.0, 10.0, 10.5, 30.0, 30.5].map(tick));
//! ```

mod events;
mod schedule;
#[cfg(test)]
mod tests;

pub use events::{Change, Clamp, Conflict, MOST_PULSES, Protocol, Pulse};
pub use schedule::Frame;

use crate::model::VariableId;

/// A time in units of 10 ns; 0 is the start of the protocol, and settling has negative times.
pub type Tick = i64;

/// Ticks in a millisecond.
pub const TICKS_PER_MS: f64 = 100_000.0;

/// The nearest tick to a time in ms.
pub fn tick(ms: f64) -> Tick {
    (ms * TICKS_PER_MS).round() as Tick
}

/// A tick's time in ms.
pub fn ms(tick: Tick) -> f64 {
    tick as f64 / TICKS_PER_MS
}

/// An input of the model that a protocol drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The variable bound to pace.
    Pace,
    /// A literal of the model.
    Parameter(VariableId),
    /// A state, held while clamped.
    Clamp(VariableId),
}

/// A level: the same for all fibres, or a varied parameter of each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    /// A number in the target's own unit.
    Number(f64),
    /// The fibre's value of that varied parameter: an index into the population's list.
    Parameter(usize),
}

/// The course of one driven input over one segment: `from + (to - from) x`, with `x` going from `start` to `end` in a straight line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drive {
    /// Value at x = 0.
    pub from: Level,
    /// Value at x = 1.
    pub to: Level,
    /// x at the segment's start.
    pub start: f64,
    /// x at the segment's end; equal to `start` where the input is constant.
    pub end: f64,
}

impl Drive {
    /// A constant level.
    pub fn constant(level: Level) -> Self {
        Drive {
            from: level,
            to: level,
            start: 0.0,
            end: 0.0,
        }
    }
}

/// Half-open time `[start, end)` without an edge inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// First tick.
    pub start: Tick,
    /// One past the last tick.
    pub end: Tick,
    /// One entry for each of [`Schedule::targets`]; `None` only for a clamp that is off.
    pub drives: Vec<Option<Drive>>,
}

/// The whole protocol: segments that follow one another without a gap, from `-settle` to the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// What is driven.
    pub targets: Vec<Target>,
    /// In order of time; there is an edge at 0 where the study settles first.
    pub segments: Vec<Segment>,
}

impl Drive {
    /// The value for a share of the way from `from` to `to`, with levels resolved by a fibre's varied parameters.
    pub fn value(&self, share: f64, varied: &[f64]) -> f64 {
        let (from, to) = (self.from.resolve(varied), self.to.resolve(varied));
        // Exact at both ends, and where nothing ramps.
        if share == 0.0 || from == to {
            from
        } else if share == 1.0 {
            to
        } else {
            from + (to - from) * share
        }
    }
}

impl Level {
    /// The number for a fibre with these varied parameters.
    pub fn resolve(self, varied: &[f64]) -> f64 {
        match self {
            Level::Number(value) => value,
            Level::Parameter(index) => varied[index],
        }
    }
}
