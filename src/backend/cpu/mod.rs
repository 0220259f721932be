//! The CPU backend: a block interpreter over lanes, each lane a fibre with its own step and its own time.
//!
//! [`Cpu`] is an experiment compiled for one precision. Fibres live in [`Group`]s; a thread moves a group with the scratch
//! memory of its [`Lanes`]. A fibre's bits depend on its parameters and its experiment alone.

mod group;
mod interpret;
mod lanes;
mod tape;

pub use group::{Clock, Group, flag};
pub use interpret::Simd;
pub use lanes::{Lanes, Samples};

use crate::backend::{Experiment, InitialStates, Spike};
use crate::feature::FeatureSpec;
use crate::model::VariableId;
use crate::ops::Lane;
use crate::program::{Input, Node};
use crate::protocol::{Schedule, TICKS_PER_MS, Target, tick};
use crate::scheme::{BuildError, Control, Request, Scheme, StepProgram, build};

use bytemuck::Zeroable;
use tape::Tape;

/// How to integrate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The scheme.
    pub scheme: Scheme,
    /// Step of a fixed-step scheme, ms.
    pub step_ms: f64,
    /// Error allowed in a step of an adaptive scheme, relative to the scales.
    pub tolerance: f64,
    /// Size of each state, for adaptive schemes.
    pub scales: Vec<f64>,
    /// Instruction set.
    pub simd: Simd,
}

/// Smallest step of an adaptive scheme, ms: a fifth of what the fastest upstrokes need at the default tolerance.
const SMALLEST_STEP_MS: f64 = 0.000_5;
/// First step, and first step after an edge, ms: a pulse acts within some 0.02 ms.
const FIRST_STEP_MS: f64 = 0.02;
/// Largest step from time 0 on, ms. Settling has none.
const LARGEST_STEP_MS: f64 = 5.0;
/// Largest step where the formulas name the time, ms, settling included: a model's own stimulus has no edge in the schedule.
/// Stages lie in the first 0.44 of a step, so a stimulus may begin 0.56 of a step late; one shorter than a step may be missed.
const LARGEST_TIMED_STEP_MS: f64 = 0.1;

/// A driven input's place among the rows.
#[derive(Clone, Copy, Debug)]
enum Driven {
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

/// An experiment compiled for lanes of one precision.
#[derive(Clone, Debug)]
pub struct Cpu<T> {
    tape: Tape<T>,
    simd: Simd,
    step: StepProgram,
    schedule: Schedule,
    features: Vec<(FeatureSpec, usize)>,
    initial: InitialStates,
    defaults: Experiment,
    n_states: usize,
    n_recorded: usize,
    first_output: usize,
    error_output: usize,
    step_row: usize,
    lost_row: Option<usize>,
    time_row: Option<usize>,
    last_error_row: Option<usize>,
    parameter_rows: Vec<(usize, VariableId)>,
    driven: Vec<Driven>,
    has_ramps: bool,
    adaptive: bool,
    ticks_per_time: f64,
    ms_per_time: f64,
    ticks_per_row: f64,
    smallest_step: i64,
    first_step: i64,
    tolerance: f64,
    scales: Vec<f64>,
}

impl<T: Lane> Cpu<T> {
    /// Compiles an experiment.
    ///
    /// # Errors
    /// If the scheme cannot be built for the model.
    ///
    /// # Panics
    /// If the machine does not have the instruction set asked for.
    pub fn new(experiment: &Experiment, settings: &Settings) -> Result<Self, BuildError> {
        assert!(
            Simd::available().contains(&settings.simd),
            "{} is not available here",
            settings.simd.name()
        );
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
            scheme: settings.scheme,
            compensated: T::PRECISION == "f32",
            scales: &settings.scales,
            tolerance: settings.tolerance,
        })?;
        let tape = Tape::new(&step.program, step.inputs.len());
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
        Ok(Cpu {
            simd: settings.simd,
            n_states: step.n_states,
            n_recorded: experiment.n_recorded,
            first_output: tape.n_inputs,
            error_output: step.error_output(),
            step_row: row(Input::Step).expect("a step program has a step"),
            lost_row: row(Input::Lost(0)),
            time_row: row(Input::Time)
                .filter(|&row| step.program.nodes.contains(&Node::Input(row as u32))),
            last_error_row: row(Input::LastError),
            parameter_rows,
            driven,
            has_ramps: !ramped.is_empty(),
            adaptive: matches!(settings.scheme.control(), Control::Adaptive { .. }),
            ticks_per_time: TICKS_PER_MS * model.ms_per_time,
            ms_per_time: model.ms_per_time,
            ticks_per_row: experiment.sample_every_ms * TICKS_PER_MS,
            smallest_step: tick(SMALLEST_STEP_MS),
            first_step: match settings.scheme.control() {
                Control::Fixed => tick(settings.step_ms).max(1),
                Control::Adaptive { .. } => tick(FIRST_STEP_MS),
            },
            tolerance: settings.tolerance,
            scales: settings.scales.clone(),
            initial: InitialStates::new(experiment)?,
            defaults: experiment.clone(),
            features,
            schedule,
            tape,
            step,
        })
    }

    /// The step program that the lanes run.
    pub fn step_program(&self) -> &StepProgram {
        &self.step
    }

    /// Bytes of scratch memory for each lane.
    pub fn bytes_per_lane(&self) -> usize {
        self.tape.n_rows * size_of::<T>()
    }

    /// Fibres at the start of the schedule. `parameters[i]` are the varied parameters of fibre `first + i`.
    pub fn start(&self, first: u64, parameters: Vec<Vec<f64>>) -> Group<T> {
        let n = parameters.len();
        let clock = Clock {
            now: self.schedule.segments.first().map_or(0, |s| s.start),
            wanted: self.first_step,
            ..Clock::zeroed()
        };
        let mut states = Vec::with_capacity(n * self.state_width());
        for p in &parameters {
            states.extend(self.initial.of(p).into_iter().map(T::of));
            states.extend(std::iter::repeat_n(
                T::of(0.0),
                self.state_width() - self.n_states,
            ));
        }
        // Clamps that hold from the start act now: there is no edge before the first segment.
        if let Some(segment) = self.schedule.segments.first() {
            for (driven, drive) in self.driven.iter().zip(&segment.drives) {
                if let (Driven::Clamp { state, .. }, Some(drive)) = (driven, drive) {
                    for (fibre, p) in parameters.iter().enumerate() {
                        states[fibre * self.state_width() + state] =
                            T::of(crate::backend::course(drive, segment, p).0);
                    }
                }
            }
        }
        Group {
            first,
            states,
            clocks: vec![clock; n],
            open: vec![T::of(0.0); n * 2 * self.n_observables()],
            tail: vec![T::of(0.0); n * 4 * self.n_recorded],
            gathered: (0..n)
                .flat_map(|_| self.features.iter().map(|f| f.0.start()))
                .collect(),
            parameters,
        }
    }

    /// Moves a group until every fibre has filled the rows of `samples`, or to the end of the schedule.
    pub fn advance(
        &self,
        group: &mut Group<T>,
        lanes: &mut Lanes<T>,
        samples: Samples<'_, T>,
        to_end: bool,
        spikes: &mut Vec<Spike>,
        cancelled: &dyn Fn() -> bool,
    ) {
        lanes::Advance {
            cpu: self,
            group,
            samples,
            spikes,
            to_end,
        }
        .run(lanes, cancelled);
    }

    fn n_observables(&self) -> usize {
        self.step.n_observables
    }

    fn observable_output(&self, k: usize) -> usize {
        self.step.observable_output(k)
    }

    fn is_adaptive(&self) -> bool {
        self.adaptive
    }

    fn state_width(&self) -> usize {
        self.n_states * if self.lost_row.is_some() { 2 } else { 1 }
    }

    fn row_ticks(&self, row: usize) -> f64 {
        row as f64 * self.ticks_per_row
    }

    /// Whether the next row lies in what is behind the clock; a row at the very end of the schedule does if `inclusive`.
    fn reaches_row(&self, clock: &Clock, inclusive: bool) -> bool {
        let (at, now) = (self.row_ticks(clock.next_row as usize), clock.now as f64);
        // Half a tick: a grid that is no whole number of ticks still has its last sample at the end.
        at < now || (inclusive && at <= now + 0.5)
    }

    fn own_value(&self, literal: VariableId, parameters: &[f64]) -> f64 {
        self.defaults.own_value(literal, parameters)
    }

    fn largest_step(&self, now: i64) -> i64 {
        match (self.adaptive, now < 0) {
            (false, _) => self.first_step,
            (true, _) if self.time_row.is_some() => tick(LARGEST_TIMED_STEP_MS),
            (true, true) => i64::MAX / 4,
            (true, false) => tick(LARGEST_STEP_MS),
        }
    }
}
