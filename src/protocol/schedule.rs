//! From events to segments: every edge cuts time for all fibres, and between edges every input is constant or a straight ramp.
//!
//! The definition that the segments obey, and that the tests evaluate directly: pacing is the level of the pulse that is
//! on, else 0; a parameter has the fibre's own value until its first change, then the value that the change leads to;
//! a clamp holds from `at` up to `until`. Before time 0 (settling) nothing is done: pacing 0, own values, no clamps.

use super::{Drive, Level, Protocol, Schedule, Segment, Target, Tick, tick};
use crate::model::VariableId;

/// What a schedule depends on besides the protocol.
pub struct Frame<'a> {
    /// Length of the recorded time, ms; from 0.
    pub duration_ms: f64,
    /// Length of the time before 0, ms; 0 for none.
    pub settle_ms: f64,
    /// Whether the model has a variable bound to pace; it is a target even where the protocol has no pulse.
    pub paced: bool,
    /// A fibre's own value of a literal: its number, or the varied parameter that replaces it.
    pub own: &'a dyn Fn(VariableId) -> Level,
}

/// One change of one parameter, ready to be swept: where it starts from is the level that the one before led to.
struct Stretch {
    start: Tick,
    end: Tick,
    from: Level,
    to: Level,
}

impl Protocol {
    /// The segments from `-settle` to the end. The protocol has passed [`Protocol::check`]; parts outside the time are dropped.
    pub fn schedule(&self, frame: &Frame<'_>) -> Schedule {
        let end = tick(frame.duration_ms);
        let occurrences = self.occurrences(frame.duration_ms);
        let parameters = distinct(self.changes.iter().map(|c| c.parameter));
        let states = distinct(self.clamps.iter().map(|c| c.state));

        let mut targets = Vec::new();
        if frame.paced {
            targets.push(Target::Pace);
        }
        targets.extend(parameters.iter().map(|&p| Target::Parameter(p)));
        targets.extend(states.iter().map(|&s| Target::Clamp(s)));

        let mut edges = vec![0, end];
        edges.extend(occurrences.iter().flat_map(|o| [o.start, o.end]));
        edges.extend(
            self.changes
                .iter()
                .flat_map(|c| [tick(c.at_ms), tick(c.at_ms + c.ramp_ms)]),
        );
        edges.extend(
            self.clamps
                .iter()
                .flat_map(|c| [tick(c.at_ms), tick(c.until_ms)]),
        );
        edges.retain(|&t| (0..=end).contains(&t));
        edges.sort_unstable();
        edges.dedup();

        let stretches: Vec<(Level, Vec<Stretch>)> = parameters
            .iter()
            .map(|&p| ((frame.own)(p), self.stretches(p, (frame.own)(p))))
            .collect();
        let holds: Vec<Vec<(Tick, Tick, Level)>> = states.iter().map(|&s| self.holds(s)).collect();

        let mut segments = Vec::with_capacity(edges.len());
        let settle = tick(frame.settle_ms);
        if settle > 0 {
            let pace = frame
                .paced
                .then_some(Some(Drive::constant(Level::Number(0.0))));
            let own = stretches.iter().map(|(own, _)| Some(Drive::constant(*own)));
            let off = holds.iter().map(|_| None);
            segments.push(Segment {
                start: -settle,
                end: 0,
                drives: pace.into_iter().chain(own).chain(off).collect(),
            });
        }
        let (mut pulse, mut change, mut hold) = (0, vec![0; stretches.len()], vec![0; holds.len()]);
        for pair in edges.windows(2) {
            let (start, end) = (pair[0], pair[1]);
            let mut drives = Vec::with_capacity(targets.len());
            if frame.paced {
                while occurrences.get(pulse).is_some_and(|o| o.end <= start) {
                    pulse += 1;
                }
                let on = occurrences.get(pulse).filter(|o| o.start <= start);
                drives.push(Some(Drive::constant(
                    on.map_or(Level::Number(0.0), |o| self.pulses[o.pulse].level),
                )));
            }
            for ((own, list), next) in stretches.iter().zip(&mut change) {
                while list.get(*next).is_some_and(|s| s.end <= start) {
                    *next += 1;
                }
                drives.push(Some(match list.get(*next) {
                    Some(s) if s.start <= start => {
                        let length = (s.end - s.start) as f64;
                        let share = |t: Tick| (t - s.start) as f64 / length;
                        Drive {
                            from: s.from,
                            to: s.to,
                            start: share(start),
                            end: share(end),
                        }
                    }
                    Some(s) => Drive::constant(s.from),
                    None => Drive::constant(list.last().map_or(*own, |s| s.to)),
                }));
            }
            for (list, next) in holds.iter().zip(&mut hold) {
                while list.get(*next).is_some_and(|h| h.1 <= start) {
                    *next += 1;
                }
                drives.push(
                    list.get(*next)
                        .filter(|h| h.0 <= start)
                        .map(|h| Drive::constant(h.2)),
                );
            }
            segments.push(Segment { start, end, drives });
        }
        Schedule { targets, segments }
    }

    fn stretches(&self, parameter: VariableId, own: Level) -> Vec<Stretch> {
        let mut changes: Vec<_> = self
            .changes
            .iter()
            .filter(|c| c.parameter == parameter)
            .collect();
        changes.sort_by_key(|c| tick(c.at_ms));
        let mut from = own;
        let stretch = |c: &&super::Change| {
            let (start, end) = (tick(c.at_ms), tick(c.at_ms + c.ramp_ms));
            let s = Stretch {
                start,
                end,
                from,
                to: c.value,
            };
            from = c.value;
            s
        };
        changes.iter().map(stretch).collect()
    }

    fn holds(&self, state: VariableId) -> Vec<(Tick, Tick, Level)> {
        let mut holds: Vec<_> = self
            .clamps
            .iter()
            .filter(|c| c.state == state)
            .map(|c| (tick(c.at_ms), tick(c.until_ms), c.value))
            .collect();
        holds.sort_by_key(|h| h.0);
        holds
    }
}

/// Each once, in the order of first mention.
fn distinct(ids: impl Iterator<Item = VariableId>) -> Vec<VariableId> {
    let mut seen = Vec::new();
    for id in ids {
        if !seen.contains(&id) {
            seen.push(id);
        }
    }
    seen
}
