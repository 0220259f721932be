//! Schedules against a direct evaluation of what a protocol means.

use super::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

fn number(value: f64) -> Level {
    Level::Number(value)
}

fn pulse(start_ms: f64, length_ms: f64, period_ms: Option<f64>, count: Option<u64>) -> Pulse {
    Pulse {
        start_ms,
        length_ms,
        period_ms,
        count,
        level: number(1.0),
    }
}

fn frame(duration_ms: f64, settle_ms: f64) -> Frame<'static> {
    Frame {
        duration_ms,
        settle_ms,
        paced: true,
        own: &|id| Level::Parameter(id.0),
    }
}

fn assert_contiguous(schedule: &Schedule, settle: Tick, end: Tick) {
    assert_eq!(schedule.segments.first().map(|s| s.start), Some(-settle));
    assert_eq!(schedule.segments.last().map(|s| s.end), Some(end));
    for segment in &schedule.segments {
        assert!(
            segment.start < segment.end,
            "an empty segment at {}",
            segment.start
        );
        assert_eq!(segment.drives.len(), schedule.targets.len());
    }
    for pair in schedule.segments.windows(2) {
        assert_eq!(pair[0].end, pair[1].start);
    }
    if settle > 0 {
        assert!(schedule.segments.iter().any(|s| s.end == 0));
    }
}

/// The value of a target at a tick, from the segments; `None` for a clamp that is off.
fn at(schedule: &Schedule, target: usize, t: Tick, varied: &[f64]) -> Option<f64> {
    let i = schedule.segments.partition_point(|s| s.end <= t);
    let segment = &schedule.segments[i];
    segment.drives[target].map(|d| {
        let x = (t - segment.start) as f64 / (segment.end - segment.start) as f64;
        d.value(d.start + (d.end - d.start) * x, varied)
    })
}

/// The definition of pacing, pulse by pulse.
fn pace_by_definition(protocol: &Protocol, t: Tick) -> f64 {
    for p in &protocol.pulses {
        let count = if p.period_ms.is_some() {
            p.count.unwrap_or(u64::MAX)
        } else {
            1
        };
        for k in 0..count.min(100_000) {
            let start = p.start_of(k);
            if start > t {
                break;
            }
            if t < start + tick(p.length_ms) {
                return p.level.resolve(&[]);
            }
        }
    }
    0.0
}

/// The definition of a changed parameter: the changes in turn, each from where the one before led.
fn parameter_by_definition(protocol: &Protocol, parameter: VariableId, own: f64, t: Tick) -> f64 {
    let mut changes: Vec<_> = protocol
        .changes
        .iter()
        .filter(|c| c.parameter == parameter)
        .collect();
    changes.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
    let mut value = own;
    for c in changes {
        let (start, end) = (tick(c.at_ms), tick(c.at_ms + c.ramp_ms));
        if t >= end {
            value = c.value.resolve(&[own]);
        } else if t >= start {
            return value
                + (c.value.resolve(&[own]) - value) * (t - start) as f64 / (end - start) as f64;
        }
    }
    value
}

fn clamp_by_definition(protocol: &Protocol, state: VariableId, t: Tick) -> Option<f64> {
    let on = |c: &&Clamp| c.state == state && tick(c.at_ms) <= t && t < tick(c.until_ms);
    protocol
        .clamps
        .iter()
        .find(on)
        .map(|c| c.value.resolve(&[]))
}

/// A protocol without conflicts: parts are thrown in and kept where they fit.
fn random_protocol(rng: &mut ChaCha8Rng, duration_ms: f64) -> Protocol {
    let mut uniform = move || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut protocol = Protocol::default();
    for _ in 0..60 {
        let mut next = protocol.clone();
        let start_ms = uniform() * duration_ms * 1.1;
        match (uniform() * 3.0) as u32 {
            0 => {
                let length_ms = 0.01 + uniform() * 2.0;
                let period_ms = (uniform() < 0.6).then(|| length_ms + uniform() * 30.0);
                let count = (uniform() < 0.5).then(|| 1 + (uniform() * 6.0) as u64);
                let count = period_ms.and(count);
                next.pulses.push(Pulse {
                    start_ms,
                    length_ms,
                    period_ms,
                    count,
                    level: number(uniform()),
                });
            }
            1 => next.changes.push(Change {
                parameter: VariableId((uniform() * 2.0) as usize),
                at_ms: start_ms,
                ramp_ms: if uniform() < 0.5 {
                    0.0
                } else {
                    uniform() * 40.0
                },
                value: number(uniform()),
            }),
            _ => next.clamps.push(Clamp {
                state: VariableId(5 + (uniform() * 2.0) as usize),
                at_ms: start_ms,
                until_ms: start_ms + 0.001 + uniform() * 20.0,
                value: number(uniform()),
            }),
        }
        if next.check(duration_ms).is_empty() {
            protocol = next;
        }
    }
    protocol
}

#[test]
fn every_input_of_a_random_protocol_equals_its_definition() {
    for seed in 0..60 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let duration_ms = 200.0;
        let protocol = random_protocol(&mut rng, duration_ms);
        let schedule =
            protocol.schedule(&frame(duration_ms, if seed % 2 == 0 { 50.0 } else { 0.0 }));
        assert_contiguous(
            &schedule,
            if seed % 2 == 0 { tick(50.0) } else { 0 },
            tick(duration_ms),
        );
        let own = [0.25, 0.75];
        for _ in 0..2_000 {
            let mut t = (rng.next_u64() % tick(duration_ms) as u64) as Tick;
            if t % 3 == 0 {
                // On an edge and beside it is where mistakes live.
                let segment = &schedule.segments[t as usize % schedule.segments.len()];
                t = (segment.start + t % 2).max(0);
            }
            for (i, target) in schedule.targets.iter().enumerate() {
                let found = at(&schedule, i, t, &own);
                match *target {
                    Target::Pace => assert_eq!(
                        found,
                        Some(pace_by_definition(&protocol, t)),
                        "seed {seed}, tick {t}"
                    ),
                    Target::Parameter(id) => {
                        let expected = parameter_by_definition(&protocol, id, own[id.0], t);
                        assert!(
                            (found.unwrap() - expected).abs() < 1e-12,
                            "seed {seed}, tick {t}"
                        );
                    }
                    Target::Clamp(id) => assert_eq!(
                        found,
                        clamp_by_definition(&protocol, id, t),
                        "seed {seed}, tick {t}"
                    ),
                }
            }
        }
    }
}

#[test]
fn without_events_pace_is_zero_throughout() {
    let schedule = Protocol::default().schedule(&frame(100.0, 0.0));
    assert_eq!(schedule.targets, [Target::Pace]);
    assert_eq!(schedule.segments.len(), 1);
    assert_eq!(
        schedule.segments[0].drives,
        [Some(Drive::constant(number(0.0)))]
    );
}

#[test]
fn settling_is_one_segment_at_own_values() {
    let protocol = Protocol {
        pulses: vec![pulse(0.0, 1.0, None, None)],
        changes: vec![Change {
            parameter: VariableId(3),
            at_ms: 0.0,
            ramp_ms: 0.0,
            value: number(8.0),
        }],
        clamps: vec![Clamp {
            state: VariableId(1),
            at_ms: 0.0,
            until_ms: 5.0,
            value: number(-30.0),
        }],
    };
    let schedule = protocol.schedule(&frame(10.0, 1_000.0));
    assert_contiguous(&schedule, tick(1_000.0), tick(10.0));
    assert_eq!(
        (schedule.segments[0].start, schedule.segments[0].end),
        (tick(-1_000.0), 0)
    );
    assert_eq!(
        schedule.segments[0].drives,
        [
            Some(Drive::constant(number(0.0))),
            Some(Drive::constant(Level::Parameter(3))),
            None
        ]
    );
    assert_eq!(at(&schedule, 0, 0, &[0.0; 4]), Some(1.0));
    assert_eq!(at(&schedule, 1, 0, &[0.0; 4]), Some(8.0));
    assert_eq!(at(&schedule, 2, 0, &[0.0; 4]), Some(-30.0));
}

#[test]
fn a_pulse_is_half_open() {
    let protocol = Protocol {
        pulses: vec![pulse(10.0, 0.5, Some(20.0), Some(2))],
        ..Protocol::default()
    };
    let schedule = protocol.schedule(&frame(100.0, 0.0));
    let pace = |ms: f64, after: Tick| at(&schedule, 0, tick(ms) + after, &[]).unwrap();
    assert_eq!(
        [pace(10.0, -1), pace(10.0, 0), pace(10.5, -1), pace(10.5, 0)],
        [0.0, 1.0, 1.0, 0.0]
    );
    assert_eq!([pace(30.0, 0), pace(50.0, 0)], [1.0, 0.0]);
}

#[test]
fn a_train_without_a_count_lasts_until_the_end() {
    let protocol = Protocol {
        pulses: vec![pulse(10.0, 0.5, Some(20.0), None)],
        ..Protocol::default()
    };
    let schedule = protocol.schedule(&frame(1_000.0, 0.0));
    let on = schedule
        .segments
        .iter()
        .filter(|s| s.drives[0] == Some(Drive::constant(number(1.0))))
        .count();
    assert_eq!(on, 50);
}

#[test]
fn a_period_that_is_no_whole_number_of_ticks_does_not_drift() {
    let third = 1.0 / 3.0;
    let protocol = Protocol {
        pulses: vec![pulse(0.0, 0.01, Some(third), None)],
        ..Protocol::default()
    };
    let starts: Vec<Tick> = protocol
        .occurrences(1_000.0)
        .iter()
        .map(|o| o.start)
        .collect();
    assert_eq!(starts.len(), 3_000);
    assert!(
        starts
            .iter()
            .enumerate()
            .all(|(k, &s)| s == tick(k as f64 / 3.0))
    );
}

#[test]
fn a_ramp_is_split_by_pulse_edges_and_starts_from_the_own_value() {
    let protocol = Protocol {
        pulses: vec![pulse(20.0, 10.0, None, None)],
        changes: vec![
            Change {
                parameter: VariableId(0),
                at_ms: 10.0,
                ramp_ms: 40.0,
                value: number(8.0),
            },
            Change {
                parameter: VariableId(0),
                at_ms: 60.0,
                ramp_ms: 0.0,
                value: number(2.0),
            },
        ],
        clamps: vec![],
    };
    let schedule = protocol.schedule(&frame(100.0, 0.0));
    let shares: Vec<_> = schedule
        .segments
        .iter()
        .map(|s| s.drives[1].unwrap())
        .map(|d| (d.start, d.end))
        .collect();
    assert_eq!(
        shares,
        [
            (0.0, 0.0),
            (0.0, 0.25),
            (0.25, 0.5),
            (0.5, 1.0),
            (0.0, 0.0),
            (0.0, 0.0)
        ]
    );
    assert_eq!(at(&schedule, 1, tick(30.0), &[4.0]), Some(6.0));
    assert_eq!(at(&schedule, 1, tick(55.0), &[4.0]), Some(8.0));
    assert_eq!(at(&schedule, 1, tick(60.0), &[4.0]), Some(2.0));
}

#[test]
fn conflicts_name_both_parts() {
    let protocol = Protocol {
        pulses: vec![
            pulse(10.0, 0.5, Some(20.0), Some(5)),
            pulse(50.2, 5.0, None, None),
            pulse(70.5, 1.0, None, None),
        ],
        changes: vec![
            Change {
                parameter: VariableId(0),
                at_ms: 15.0,
                ramp_ms: 0.0,
                value: number(1.0),
            },
            Change {
                parameter: VariableId(0),
                at_ms: 10.0,
                ramp_ms: 10.0,
                value: number(8.0),
            },
            Change {
                parameter: VariableId(0),
                at_ms: 20.0,
                ramp_ms: 0.0,
                value: number(2.0),
            },
            Change {
                parameter: VariableId(0),
                at_ms: 20.0,
                ramp_ms: 0.0,
                value: number(3.0),
            },
            Change {
                parameter: VariableId(1),
                at_ms: 15.0,
                ramp_ms: 0.0,
                value: number(1.0),
            },
        ],
        clamps: vec![
            Clamp {
                state: VariableId(0),
                at_ms: 0.0,
                until_ms: 10.0,
                value: number(1.0),
            },
            Clamp {
                state: VariableId(0),
                at_ms: 10.0,
                until_ms: 20.0,
                value: number(1.0),
            },
            Clamp {
                state: VariableId(0),
                at_ms: 19.0,
                until_ms: 30.0,
                value: number(1.0),
            },
            Clamp {
                state: VariableId(1),
                at_ms: 5.0,
                until_ms: 5.0,
                value: number(1.0),
            },
        ],
    };
    assert_eq!(
        protocol.check(200.0),
        [
            Conflict::PulsesOverlap {
                first: 0,
                second: 1,
                at_ms: 50.2
            },
            Conflict::ChangesOverlap {
                first: 1,
                second: 0
            },
            Conflict::ChangesOverlap {
                first: 2,
                second: 3
            },
            Conflict::ClampTooShort(3),
            Conflict::ClampsOverlap {
                first: 1,
                second: 2
            },
        ]
    );
    let bad = Protocol {
        pulses: vec![
            pulse(0.0, 1e-6, None, None),
            pulse(10.0, 3.0, Some(2.0), None),
            pulse(20.0, 1e-5, Some(1e-5), None),
        ],
        ..Protocol::default()
    };
    assert_eq!(
        bad.check(1e6),
        [
            Conflict::PulseTooShort(0),
            Conflict::PulseOutlastsPeriod(1),
            Conflict::TooManyPulses(2)
        ]
    );
}
