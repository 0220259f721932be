//! What every engine of lanes makes of an experiment: the step program, what its inputs mean, and the bounds of steps.
//!
//! The engines differ in how they run the program; what is run, and when a step is too long, is decided here for all.

use crate::backend::{Experiment, InitialStates};
use crate::feature::FeatureSpec;
use crate::model::VariableId;
use crate::program::{Input, Node};
use crate::protocol::{Schedule, TICKS_PER_MS, Target, tick};
use crate::scheme::{BuildError, Control, Request, Scheme, StepProgram, Summation, build};

/// How to integrate.
#[derive(Clone, Debug)]
pub struct Stepping {
    /// The scheme.
    pub scheme: Scheme,
    /// Step of a fixed-step scheme, ms.
    pub step_ms: f64,
    /// Error allowed in a step of an adaptive scheme, relative to the scales.
    pub tolerance: f64,
    /// Size of each state, for adaptive schemes.
    pub scales: Vec<f64>,
    /// Largest step of an adaptive scheme from time 0 on, ms: [`DEFAULT_LARGEST_STEP_MS`], or another of
    /// [`LARGEST_STEPS_MS`].
    pub largest_step_ms: f64,
}

/// Smallest step of an adaptive scheme, ms: a fifth of what the fastest upstrokes need at the default tolerance.
pub const SMALLEST_STEP_MS: f64 = 0.000_5;
/// Largest step from time 0 on where nothing else is asked for, ms.
pub const DEFAULT_LARGEST_STEP_MS: f64 = 20.0;
/// Largest step from time 0 on where the pivots of its matrix say that it may be too long for a mode that grows, ms.
///
/// An implicit method that damps the fastest modes damps a growing one too, once its step is long beside the time in which
/// that mode grows: a fibre whose rest has become unstable, and that would fire by itself, stays quiet. A membrane at the end
/// of its rest runs away within some 10 ms to 1 s and may turn with its gates in 10 ms; 1 ms is short beside that.
pub const LARGEST_HELD_STEP_MS: f64 = 1.0;
/// Largest step while settling, ticks: 5.4 s, so that a device's clock can count two of them in 31 bits.
const LARGEST_SETTLING_STEP: i64 = 1 << 29;
/// What may be asked for as the largest step, ms: from the smallest step to the largest while settling.
pub const LARGEST_STEPS_MS: std::ops::RangeInclusive<f64> =
    SMALLEST_STEP_MS..=LARGEST_SETTLING_STEP as f64 / TICKS_PER_MS;
/// Largest step where the formulas name the time, ms, settling included: a model's own stimulus has no edge in the schedule.
/// Stages of ROS3 lie in the first 0.44 of a step (ROS4: 0.75), so a stimulus may begin 0.56 of a step late; one shorter than a step may be missed.
const LARGEST_TIMED_STEP_MS: f64 = 0.1;

/// A driven input's place among the program's inputs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Driven {
    /// The program does not depend on it.
    Unused,
    Pace {
        row: usize,
    },
    Parameter {
        row: usize,
        slope_row: Option<usize>,
    },
    Clamp {
        row: usize,
        state: usize,
    },
}

/// An experiment ready for an engine.
#[derive(Clone, Debug)]
pub(super) struct LanePlan {
    pub step: StepProgram,
    pub schedule: Schedule,
    /// Features, and which observable each watches.
    pub features: Vec<(FeatureSpec, usize)>,
    pub initial: InitialStates,
    pub experiment: Experiment,
    pub n_states: usize,
    pub n_recorded: usize,
    /// Places among the program's inputs.
    pub step_row: usize,
    pub lost_row: Option<usize>,
    pub time_row: Option<usize>,
    pub last_error_row: Option<usize>,
    pub parameter_rows: Vec<(usize, VariableId)>,
    /// For each of the schedule's targets.
    pub driven: Vec<Driven>,
    pub has_ramps: bool,
    pub adaptive: bool,
    pub ticks_per_time: f64,
    pub ms_per_time: f64,
    pub ticks_per_row: f64,
    pub smallest_step: i64,
    pub first_step: i64,
    /// From time 0 on, as asked for.
    largest_step: i64,
    /// Largest step from time 0 on where a growing mode may be held, ticks.
    pub largest_held_step: i64,
    pub tolerance: f64,
    pub scales: Vec<f64>,
}

impl LanePlan {
    /// Builds the step program of an experiment, its states summed in this way.
    ///
    /// # Errors
    /// If the scheme cannot be built for the model.
    pub fn new(
        experiment: &Experiment,
        stepping: &Stepping,
        summation: Summation,
    ) -> Result<Self, BuildError> {
        let model = &experiment.model;
        let schedule = experiment.schedule.clone();
        let ramps = |k: usize| {
            schedule
                .segments
                .iter()
                .any(|s| s.drives[k].is_some_and(|d| d.start != d.end))
        };
        let mut ramped = Vec::new();
        let mut clamped = Vec::new();
        for (k, target) in schedule.targets.iter().enumerate() {
            match *target {
                Target::Parameter(id) if ramps(k) => ramped.push(id),
                Target::Clamp(id) => clamped.extend(model.states.iter().position(|&s| s == id)),
                Target::Parameter(_) | Target::Pace => {}
            }
        }
        let free = experiment.free_literals();
        let step = build(&Request {
            model,
            free: &free,
            ramped: &ramped,
            clamped: &clamped,
            observables: &experiment.observables,
            scheme: stepping.scheme,
            summation,
            scales: &stepping.scales,
            tolerance: stepping.tolerance,
        })?;
        let row = |input: Input| step.inputs.iter().position(|&i| i == input);
        let driven = schedule
            .targets
            .iter()
            .map(|target| match *target {
                Target::Pace => row(Input::Pace).map_or(Driven::Unused, |row| Driven::Pace { row }),
                Target::Parameter(id) => {
                    row(Input::Parameter(id)).map_or(Driven::Unused, |r| Driven::Parameter {
                        row: r,
                        slope_row: row(Input::Slope(id)),
                    })
                }
                Target::Clamp(id) => match model.states.iter().position(|&s| s == id) {
                    Some(state) => row(Input::Clamped(state))
                        .map_or(Driven::Unused, |row| Driven::Clamp { row, state }),
                    None => Driven::Unused,
                },
            })
            .collect();
        let parameter_rows = free
            .iter()
            .filter_map(|&id| Some((row(Input::Parameter(id))?, id)))
            .collect();
        let features = experiment
            .features
            .iter()
            .map(|f| {
                let of = experiment.observables.iter().position(|&o| o == f.of);
                (
                    f.clone(),
                    of.expect("every feature watches one of the observables"),
                )
            })
            .collect();
        Ok(LanePlan {
            n_states: step.n_states,
            n_recorded: experiment.n_recorded,
            step_row: row(Input::Step).expect("a step program has a step"),
            lost_row: row(Input::Lost(0)),
            time_row: row(Input::Time)
                .filter(|&row| step.program.nodes.contains(&Node::Input(row as u32))),
            last_error_row: row(Input::LastError),
            parameter_rows,
            driven,
            has_ramps: !ramped.is_empty(),
            adaptive: matches!(stepping.scheme.control(), Control::Adaptive { .. }),
            ticks_per_time: TICKS_PER_MS * model.ms_per_time,
            ms_per_time: model.ms_per_time,
            ticks_per_row: experiment.sample_every_ms * TICKS_PER_MS,
            smallest_step: tick(SMALLEST_STEP_MS),
            first_step: match stepping.scheme.control() {
                Control::Fixed => tick(stepping.step_ms).max(1),
                Control::Adaptive { first_step_ms, .. } => tick(first_step_ms),
            },
            largest_step: tick(stepping.largest_step_ms),
            largest_held_step: tick(LARGEST_HELD_STEP_MS),
            tolerance: stepping.tolerance,
            scales: stepping.scales.clone(),
            initial: InitialStates::new(experiment)?,
            experiment: experiment.clone(),
            features,
            schedule,
            step,
        })
    }

    /// What a step hands to the next one: outputs, each with the row of the input that it becomes. States, then what rounding has taken from them.
    pub fn new_states(&self) -> Vec<[usize; 2]> {
        let n = self.n_states;
        let states = (0..n).map(|i| [i, i]);
        let lost = self.lost_row.into_iter();
        let lost = lost.flat_map(|row| (0..n).map(move |i| [n + i, row + i]));
        states.chain(lost).collect()
    }

    /// States of a fibre, and what is kept beside each.
    pub fn state_width(&self) -> usize {
        self.n_states * if self.lost_row.is_some() { 2 } else { 1 }
    }

    /// Whether an input of the program stays what it is as long as a fibre is in its lane: a parameter that the protocol leaves alone.
    pub fn stays(&self, row: usize) -> bool {
        let is_driven = |driven: &Driven| match *driven {
            Driven::Parameter { row: r, .. } => r == row,
            Driven::Unused | Driven::Pace { .. } | Driven::Clamp { .. } => false,
        };
        self.parameter_rows.iter().any(|p| p.0 == row) && !self.driven.iter().any(is_driven)
    }

    /// Largest step, ticks, before and from time 0 on.
    pub fn largest_step(&self, settling: bool) -> i64 {
        let largest = match (self.adaptive, settling) {
            (false, _) => self.first_step,
            (true, true) => LARGEST_SETTLING_STEP,
            (true, false) => self.largest_step,
        };
        let bound = match self.time_row {
            Some(_) if self.adaptive => tick(LARGEST_TIMED_STEP_MS),
            _ => LARGEST_SETTLING_STEP,
        };
        largest.min(bound)
    }
}
