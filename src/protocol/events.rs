//! What a protocol consists of, and whether its parts can stand together.
//!
//! Takes pulses, changes of parameters and clamps as a study or a model gives them; says which of them contradict each
//! other. It knows no text: a [`Conflict`] names the parts by their index, and whoever read them knows the places.

use super::{Level, Tick, tick};
use crate::model::{Model, VariableId};

/// More occurrences of pulses than this make a schedule that cannot be meant.
pub const MOST_PULSES: u64 = 4_000_000;

/// A pulse of the pacing variable, once or in a train. Half-open: on from `start` up to, not including, `start + length`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pulse {
    /// Start of the first occurrence, ms.
    pub start_ms: f64,
    /// Length of an occurrence, ms.
    pub length_ms: f64,
    /// Time from start to start, ms; `None` for a pulse that happens once.
    pub period_ms: Option<f64>,
    /// Number of occurrences; `None` with a period: until the end.
    pub count: Option<u64>,
    /// Value of the pacing variable while the pulse is on.
    pub level: Level,
}

impl Pulse {
    /// How many occurrences start before `duration_ms`.
    pub fn occurrences(&self, duration_ms: f64) -> u64 {
        if self.start_ms >= duration_ms {
            return 0;
        }
        let Some(period) = self.period_ms else {
            return self.count.unwrap_or(1).min(1);
        };
        let fitting = ((duration_ms - self.start_ms) / period).ceil().max(1.0);
        // Saturates for absurd ratios, which `check` refuses.
        (fitting as u64).min(self.count.unwrap_or(u64::MAX))
    }

    /// Start of an occurrence. Reckoned from the first one, so that a period that is no whole number of ticks does not drift.
    pub fn start_of(&self, occurrence: u64) -> Tick {
        tick(self.start_ms + occurrence as f64 * self.period_ms.unwrap_or(0.0))
    }
}

/// A change of a parameter: a step, or a straight ramp from the value that it has at `at`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// A literal of the model.
    pub parameter: VariableId,
    /// When the change begins, ms.
    pub at_ms: f64,
    /// How long it takes, ms; 0 for a step.
    pub ramp_ms: f64,
    /// The value that it leads to, and that stays.
    pub value: Level,
}

/// A state held at a value from `at` up to, not including, `until`; released where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clamp {
    /// A state of the model.
    pub state: VariableId,
    /// When it is taken hold of, ms.
    pub at_ms: f64,
    /// When it is released, ms.
    pub until_ms: f64,
    /// The value at which it is held.
    pub value: Level,
}

/// All that is done to the fibres.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Protocol {
    /// Pulses of the pacing variable; outside them it is 0.
    pub pulses: Vec<Pulse>,
    /// Changes of parameters.
    pub changes: Vec<Change>,
    /// Clamps of states.
    pub clamps: Vec<Clamp>,
}

/// Parts of a protocol that cannot stand as they are; numbers are indices into the lists of [`Protocol`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Conflict {
    /// The pulse is on for less than a tick.
    PulseTooShort(usize),
    /// The pulse is longer than its own period.
    PulseOutlastsPeriod(usize),
    /// The pulse occurs more than [`MOST_PULSES`] times.
    TooManyPulses(usize),
    /// Two pulses are on at once.
    PulsesOverlap {
        /// The one that begins earlier.
        first: usize,
        /// The one that begins while `first` is on.
        second: usize,
        /// When, ms.
        at_ms: f64,
    },
    /// A parameter is told to change while it is still changing, or twice at once.
    ChangesOverlap {
        /// The one that begins earlier.
        first: usize,
        /// The one that begins before `first` has ended.
        second: usize,
    },
    /// A clamp ends within a tick of its beginning, or before.
    ClampTooShort(usize),
    /// A state is held twice at once.
    ClampsOverlap {
        /// The one that begins earlier.
        first: usize,
        /// The one that begins before `first` has ended.
        second: usize,
    },
}

/// One time at which a pulse is on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Occurrence {
    pub start: Tick,
    pub end: Tick,
    pub pulse: usize,
}

impl Protocol {
    /// The pacing events of a model's own `[[protocol]]`.
    pub fn of_model(model: &Model) -> Protocol {
        let pulses = model.protocol.iter().map(|event| {
            let repeats = event.period > 0.0;
            Pulse {
                start_ms: event.start * model.ms_per_time,
                length_ms: event.length * model.ms_per_time,
                period_ms: repeats.then_some(event.period * model.ms_per_time),
                count: (repeats && event.count > 0).then_some(u64::from(event.count)),
                level: Level::Number(event.level),
            }
        });
        Protocol {
            pulses: pulses.collect(),
            ..Protocol::default()
        }
    }

    /// Pulses of level 1 at 50 Hz, 0.5 ms long, from 10 ms on: what a benchmark paces with where a model has no protocol.
    pub fn fifty_hertz() -> Protocol {
        Protocol {
            pulses: vec![Pulse {
                start_ms: 10.0,
                length_ms: 0.5,
                period_ms: Some(20.0),
                count: None,
                level: Level::Number(1.0),
            }],
            ..Protocol::default()
        }
    }

    /// Every pair of parts, and every part, that cannot stand. Empty for a protocol that [`Protocol::schedule`] accepts.
    pub fn check(&self, duration_ms: f64) -> Vec<Conflict> {
        let mut conflicts = self.check_each_pulse(duration_ms);
        if conflicts.is_empty() {
            self.check_pulses_together(duration_ms, &mut conflicts);
        }
        self.check_changes(&mut conflicts);
        self.check_clamps(&mut conflicts);
        conflicts
    }

    fn check_each_pulse(&self, duration_ms: f64) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        let mut total = 0_u64;
        for (i, pulse) in self.pulses.iter().enumerate() {
            if tick(pulse.length_ms) < 1 {
                conflicts.push(Conflict::PulseTooShort(i));
            }
            if pulse
                .period_ms
                .is_some_and(|period| pulse.length_ms > period || tick(period) < 1)
            {
                conflicts.push(Conflict::PulseOutlastsPeriod(i));
            }
            total = total.saturating_add(pulse.occurrences(duration_ms));
            if total > MOST_PULSES {
                conflicts.push(Conflict::TooManyPulses(i));
                break;
            }
        }
        conflicts
    }

    /// One conflict per pair of pulses, however often the two meet.
    fn check_pulses_together(&self, duration_ms: f64, conflicts: &mut Vec<Conflict>) {
        let mut latest: Option<Occurrence> = None;
        for next in self.occurrences(duration_ms) {
            if let Some(on) = latest {
                let (first, second) = (on.pulse, next.pulse);
                // A train whose length rounds up beyond its period touches itself by a tick: cut, not refused.
                if first != second && next.start < on.end {
                    let known = conflicts.iter().any(|c| {
                        matches!(c, Conflict::PulsesOverlap { first: a, second: b, .. }
                            if (*a, *b) == (first, second) || (*a, *b) == (second, first))
                    });
                    if !known {
                        conflicts.push(Conflict::PulsesOverlap {
                            first,
                            second,
                            at_ms: super::ms(next.start),
                        });
                    }
                }
            }
            if latest.is_none_or(|on| next.end > on.end) {
                latest = Some(next);
            }
        }
    }

    fn check_changes(&self, conflicts: &mut Vec<Conflict>) {
        let mut order: Vec<usize> = (0..self.changes.len()).collect();
        order.sort_by_key(|&i| (self.changes[i].parameter, tick(self.changes[i].at_ms)));
        for pair in order.windows(2) {
            let (a, b) = (&self.changes[pair[0]], &self.changes[pair[1]]);
            let (start, end, next) = (tick(a.at_ms), tick(a.at_ms + a.ramp_ms), tick(b.at_ms));
            if a.parameter == b.parameter && (next < end || next == start) {
                conflicts.push(Conflict::ChangesOverlap {
                    first: pair[0],
                    second: pair[1],
                });
            }
        }
    }

    fn check_clamps(&self, conflicts: &mut Vec<Conflict>) {
        let mut order: Vec<usize> = (0..self.clamps.len()).collect();
        order.sort_by_key(|&i| (self.clamps[i].state, tick(self.clamps[i].at_ms)));
        for &i in &order {
            if tick(self.clamps[i].until_ms) <= tick(self.clamps[i].at_ms) {
                conflicts.push(Conflict::ClampTooShort(i));
            }
        }
        for pair in order.windows(2) {
            let (a, b) = (&self.clamps[pair[0]], &self.clamps[pair[1]]);
            if a.state == b.state && tick(b.at_ms) < tick(a.until_ms) {
                conflicts.push(Conflict::ClampsOverlap {
                    first: pair[0],
                    second: pair[1],
                });
            }
        }
    }

    /// Every time at which a pulse is on before the end, in order of their starts.
    pub(super) fn occurrences(&self, duration_ms: f64) -> Vec<Occurrence> {
        let end = tick(duration_ms);
        let mut all = Vec::new();
        for (i, pulse) in self.pulses.iter().enumerate() {
            let length = tick(pulse.length_ms);
            for k in 0..pulse.occurrences(duration_ms) {
                let start = pulse.start_of(k);
                if start >= end {
                    break;
                }
                let mut stop = start + length;
                if pulse.period_ms.is_some() {
                    stop = stop.min(pulse.start_of(k + 1));
                }
                all.push(Occurrence {
                    start,
                    end: stop.min(end),
                    pulse: i,
                });
            }
        }
        all.sort_by_key(|o| (o.start, o.pulse));
        all
    }
}
