//! The CPU backend: lanes, each a fibre with its own step and its own time.
//!
//! What a step computes is run by one of two engines, with the same bits: machine code that is made when the model is known (`native`), or a
//! block interpreter (`interpret`), which runs everywhere.
//!
//! [`Cpu`] is an experiment compiled for one precision. Fibres live in [`Group`]s; a thread moves a group with the scratch
//! memory of its [`Lanes`]. A fibre's bits depend on its parameters and its experiment alone.

mod clocks;
mod course;
mod engine;
mod group;
mod hoist;
mod hope;
mod interpret;
mod kernel;
mod lanes;
mod layout;
mod native;
mod stretch;
mod tape;
mod watch;

pub use engine::Engine;
pub use group::{Clock, Group, flag};
pub use interpret::Simd;
pub use kernel::{Kernel, KernelMemory};
pub use lanes::{Lanes, Samples};
pub use native::Census;

use crate::backend::lane_plan::{Driven, LanePlan};
use crate::backend::{Experiment, Spike, Stepping};
use crate::model::VariableId;
use crate::ops::Lane;
use crate::scheme::{BuildError, StepProgram, Summation};

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use hoist::Hoist;
use native::Native;
use tape::Tape;
use watch::Watch;

/// 64 bytes, aligned: rows start on cache lines.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct CacheLine([u8; 64]);

/// What runs the program.
#[derive(Clone, Debug)]
enum Runner<T> {
    Interpreter(Simd, Tape<T>),
    Native(Simd, Arc<Native>),
}

/// An experiment compiled for lanes of one precision.
#[derive(Clone, Debug)]
pub struct Cpu<T> {
    runner: Runner<T>,
    plan: LanePlan,
    /// With a fixed step: what tells of each lane whether it has to be looked at.
    watch: Option<Watch>,
    /// Machine code for most steps, which says where it will not do; what hopes for most comes first.
    hopeful: Vec<Arc<Native>>,
    /// What is computed once for each fibre.
    hoist: Option<Hoist>,
    first_output: usize,
    error_output: usize,
}

impl<T: Lane> Cpu<T> {
    /// Compiles an experiment with many fibres.
    ///
    /// # Errors
    /// If the scheme cannot be built for the model.
    ///
    /// # Panics
    /// If the machine does not have the instruction set asked for.
    pub fn new(
        experiment: &Experiment,
        stepping: &Stepping,
        engine: impl Into<Engine>,
    ) -> Result<Self, BuildError> {
        Self::for_fibres(experiment, stepping, engine, usize::MAX)
    }

    /// The same for so many fibres on each thread: few of them are not made to wait for lanes that nobody needs.
    ///
    /// # Errors
    /// If the scheme cannot be built for the model.
    ///
    /// # Panics
    /// If the machine does not have the instruction set asked for.
    pub fn for_fibres(
        experiment: &Experiment,
        stepping: &Stepping,
        engine: impl Into<Engine>,
        fibres: usize,
    ) -> Result<Self, BuildError> {
        let summation = if T::PRECISION == "f32" {
            Summation::Compensated
        } else {
            Summation::Plain
        };
        Self::compile(experiment, stepping, (engine.into(), fibres), summation)
    }

    /// The same with another form of the sums than the precision asks for: to measure what the forms are worth.
    ///
    /// # Errors
    /// If the scheme cannot be built for the model.
    ///
    /// # Panics
    /// If the machine does not have the instruction set asked for.
    pub fn with_summation(
        experiment: &Experiment,
        stepping: &Stepping,
        engine: impl Into<Engine>,
        summation: Summation,
    ) -> Result<Self, BuildError> {
        Self::compile(experiment, stepping, (engine.into(), usize::MAX), summation)
    }

    fn compile(
        experiment: &Experiment,
        stepping: &Stepping,
        (engine, fibres): (Engine, usize),
        summation: Summation,
    ) -> Result<Self, BuildError> {
        let simd = engine.simd();
        assert!(
            Simd::available().contains(&simd),
            "{} is not available here",
            simd.name()
        );
        let plan = LanePlan::new(experiment, stepping, summation)?;
        let (watch, watched) = Watch::new::<T>(&plan).unzip();
        let program = watched.as_ref().unwrap_or(&plan.step.program);
        let n_inputs = watch
            .as_ref()
            .map_or(plan.step.inputs.len(), |w| w.n_inputs);
        let stays = |row: usize| plan.stays(row);
        let (hoist, rest) = Hoist::new(program, n_inputs, &stays).unzip();
        let watched = rest.as_ref().unwrap_or(program);
        let asking = watch.as_ref().map(|watch| watch.asking(watched));
        let program = asking.as_ref().unwrap_or(watched);
        let n_inputs = n_inputs + hoist.as_ref().map_or(0, Hoist::n_values);
        let native = match engine {
            Engine::Native(_) => match &watch {
                Some(watch) => {
                    Native::walking::<T>(program, n_inputs, (simd, fibres), &watch.walk(&plan))
                }
                None => Native::new::<T>(program, n_inputs, (simd, fibres), &plan.new_states()),
            },
            Engine::Interpreter(_) => None,
        };
        let hopeful = match (&native, &watch) {
            (Some(native), Some(watch)) => hope::hopeful::<T>(watch, watched)
                .iter()
                .filter_map(|p| native.beside::<T>(p, n_inputs, simd, &watch.walk(&plan)))
                .map(Arc::new)
                .collect(),
            _ => Vec::new(),
        };
        Ok(Cpu {
            hopeful,
            runner: match native {
                Some(native) => Runner::Native(simd, Arc::new(native)),
                None => Runner::Interpreter(simd, Tape::new(program, n_inputs)),
            },
            first_output: n_inputs,
            error_output: plan.step.error_output(),
            watch,
            hoist,
            plan,
        })
    }

    /// What runs the program: the engine that was asked for, or the interpreter where machine code cannot be made.
    pub fn engine(&self) -> Engine {
        match self.runner {
            Runner::Interpreter(simd, _) => Engine::Interpreter(simd),
            Runner::Native(simd, _) => Engine::Native(simd),
        }
    }

    /// What the machine code consists of, where it is that which runs.
    pub fn census(&self) -> Option<Census> {
        match &self.runner {
            Runner::Interpreter(..) => None,
            Runner::Native(_, native) => Some(native.census()),
        }
    }

    /// The step program that the lanes run.
    pub fn step_program(&self) -> &StepProgram {
        &self.plan.step
    }

    /// Bytes of scratch memory for each lane.
    pub fn bytes_per_lane(&self) -> usize {
        self.n_rows() * size_of::<T>()
    }

    /// Rows of a tile.
    fn n_rows(&self) -> usize {
        match &self.runner {
            Runner::Interpreter(_, tape) => tape.n_rows,
            Runner::Native(_, native) => native.n_rows(),
        }
    }

    /// Lanes of a tile in a block of so many.
    fn tile_lanes(&self, lanes: usize) -> usize {
        match &self.runner {
            Runner::Interpreter(..) => lanes,
            Runner::Native(_, native) => native.tile_lanes(),
        }
    }

    /// Whether the program takes up the new states of the step before by itself.
    fn takes_up_states(&self) -> bool {
        matches!(self.runner, Runner::Native(..)) && self.watch.is_none()
    }

    /// Cache lines of scratch memory beside the rows.
    fn n_slots(&self) -> usize {
        match &self.runner {
            Runner::Interpreter(..) => 0,
            Runner::Native(_, native) => {
                let hopeful = self.hopeful.iter().map(|h| h.n_slots());
                hopeful.fold(native.n_slots(), usize::max)
            }
        }
    }

    /// Runs the program over whole tiles.
    fn run_program(&self, rows: &mut [T], slots: &mut [CacheLine]) {
        match &self.runner {
            Runner::Interpreter(simd, tape) => {
                interpret::run(*simd, tape, rows, rows.len() / tape.n_rows);
            }
            Runner::Native(_, native) => native.run(rows, slots),
        }
    }

    /// Fibres at the start of the schedule. `parameters[i]` are the varied parameters of fibre `first + i`.
    pub fn start(&self, first: u64, parameters: Vec<Vec<f64>>) -> Group<T> {
        let n = parameters.len();
        let clock = Clock {
            now: self.plan.schedule.segments.first().map_or(0, |s| s.start),
            wanted: self.plan.first_step,
            ..Clock::zeroed()
        };
        let mut states = Vec::with_capacity(n * self.plan.state_width());
        for p in &parameters {
            states.extend(self.plan.initial.of(p).into_iter().map(T::of));
            states.extend(std::iter::repeat_n(
                T::of(0.0),
                self.plan.state_width() - self.plan.n_states,
            ));
        }
        // Clamps that hold from the start act now: there is no edge before the first segment.
        if let Some(segment) = self.plan.schedule.segments.first() {
            for (driven, drive) in self.plan.driven.iter().zip(&segment.drives) {
                if let (Driven::Clamp { state, .. }, Some(drive)) = (driven, drive) {
                    for (fibre, p) in parameters.iter().enumerate() {
                        states[fibre * self.plan.state_width() + state] =
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
            tail: vec![T::of(0.0); n * 4 * self.plan.n_recorded],
            gathered: (0..n)
                .flat_map(|_| self.plan.features.iter().map(|f| f.0.start()))
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
        let last_row = samples.first_row + samples.n_rows;
        lanes::Advance {
            bounds: clocks::Bounds::new(&self.plan, last_row),
            cpu: self,
            group,
            samples,
            spikes,
            to_end,
        }
        .run(lanes, cancelled);
    }

    /// Whether a clock that comes from outside may stand so at some moment of a run.
    pub fn is_possible(&self, clock: &Clock) -> bool {
        let segments = &self.plan.schedule.segments;
        let inside = segments
            .get(clock.segment as usize)
            .is_some_and(|s| (s.start..=s.end).contains(&clock.now));
        inside
            && (!clock.has(flag::OPEN) || clock.piece_start <= clock.now)
            && clock.wanted > 0
            && (self.is_adaptive() || clock.wanted == self.plan.first_step)
            && (clock.lost_state as usize) < self.plan.n_states.max(1)
            && clock.next_row as usize <= self.plan.experiment.n_samples
    }

    fn n_observables(&self) -> usize {
        self.plan.step.n_observables
    }

    fn observable_output(&self, k: usize) -> usize {
        self.plan.step.observable_output(k)
    }

    fn is_adaptive(&self) -> bool {
        self.plan.adaptive
    }

    fn row_ticks(&self, row: usize) -> f64 {
        row as f64 * self.plan.ticks_per_row
    }

    /// Whether the next row lies in what is behind the clock; a row at the very end of the schedule does if `inclusive`.
    fn reaches_row(&self, clock: &Clock, inclusive: bool) -> bool {
        let (at, now) = (self.row_ticks(clock.next_row as usize), clock.now as f64);
        // Half a tick: a grid that is no whole number of ticks still has its last sample at the end.
        at < now || (inclusive && at <= now + 0.5)
    }

    fn own_value(&self, literal: VariableId, parameters: &[f64]) -> f64 {
        self.plan.experiment.own_value(literal, parameters)
    }
}
