//! One fibre from the start of its protocol to the end: segments, clamps, samples and pieces.

use nalgebra::{Complex, Schur};

use crate::backend::cpu::Simd;
use crate::backend::{Experiment, course};
use crate::feature::Piece;
use crate::model::{VariableId, VariableKind};
use crate::program::{Input, LowerError};
use crate::protocol::{Segment, ms, tick};

use super::evaluate::evaluate_into;
use super::formulas::Formulas;
use super::integrate::{Accepted, Integrator, Stop, Tolerances, Work};
use super::linear::Elimination;
use super::rodas::System;

/// Why a reference cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReferenceError {
    /// The model does not allow it.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// Only states can be clamped.
    #[error("'{0}' is not a state of the model, so it cannot be clamped")]
    NotAState(String),
    /// Only literals and initial values can vary.
    #[error("'{0}' is neither a literal nor a state of the model, so it cannot vary")]
    CannotVary(String),
    /// There is no such accuracy.
    #[error("a relative tolerance of {0} cannot be met: it must lie between 1e-13 and 0.1")]
    Tolerance(f64),
}

/// How a fibre ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FibreEnd {
    /// It reached the end.
    Finished,
    /// No step is small enough: a state became infinite, or is no number.
    Lost {
        /// The last time at which all was well, ms.
        at_ms: f64,
        /// Index of the first state that is not finite, or of the one that could not be stepped.
        state: usize,
    },
    /// The caller asked to stop.
    Cancelled,
}

/// An experiment made ready for the reference method. Runs take `&self`: several threads may run fibres at once.
#[derive(Clone, Debug)]
pub struct Reference {
    experiment: Experiment,
    tolerances: Tolerances,
    formulas: Formulas,
    elimination: Elimination,
}

impl Reference {
    /// Compiles the programs of an experiment.
    ///
    /// # Errors
    /// If the experiment varies or drives what cannot be, or the relative tolerance is out of reach.
    pub fn new(experiment: &Experiment, tolerances: Tolerances) -> Result<Self, ReferenceError> {
        if !(1e-13..=0.1).contains(&tolerances.relative) {
            return Err(ReferenceError::Tolerance(tolerances.relative));
        }
        for &id in experiment.varied.iter().flatten() {
            let variable = experiment.model.variable(id);
            match variable.kind {
                VariableKind::Literal(_) | VariableKind::State { .. } => {}
                VariableKind::Bound(_) | VariableKind::Constant | VariableKind::Intermediate => {
                    return Err(ReferenceError::CannotVary(variable.name.clone()));
                }
            }
        }
        let formulas = Formulas::new(experiment)?;
        let elimination = Elimination::new(&formulas.pattern);
        Ok(Reference {
            experiment: experiment.clone(),
            tolerances,
            formulas,
            elimination,
        })
    }

    /// The initial state of a fibre with these varied parameters, each in its own unit.
    pub fn initial_state(&self, parameters: &[f64]) -> Vec<f64> {
        let model = &self.experiment.model;
        let inputs: Vec<f64> = self
            .formulas
            .initial_inputs
            .iter()
            .map(|input| match input {
                Input::Parameter(id) => self.experiment.own_value(*id, parameters),
                _ => f64::NAN,
            })
            .collect();
        let mut state = vec![0.0; self.formulas.n_states];
        evaluate_into(&self.formulas.initial, &inputs, &mut Vec::new(), &mut state);
        for (&id, &parameter) in self.experiment.varied.iter().zip(parameters) {
            if let Some(VariableKind::State { index, .. }) = id.map(|id| &model.variable(id).kind) {
                state[*index] = parameter;
            }
        }
        state
    }

    /// Derivatives of the states per ms, at any state, at time 0 and without pacing or clamps.
    pub fn rates(&self, state: &[f64], parameters: &[f64]) -> Vec<f64> {
        let mut rates = vec![0.0; state.len()];
        Moving::new(self, parameters).rates(0.0, state, &mut rates);
        rates
    }

    /// The Jacobian, per ms, row-major, at any state, at time 0 and without pacing or clamps.
    pub fn jacobian(&self, state: &[f64], parameters: &[f64]) -> Vec<f64> {
        self.dense_jacobian(state, parameters)
            .transpose()
            .as_slice()
            .to_vec()
    }

    /// The eigenvalues of the Jacobian, per ms, at any state, at time 0 and without pacing or clamps: how stiff the model is
    /// there. `None` if an entry is not finite or they do not converge.
    pub fn jacobian_eigenvalues(
        &self,
        state: &[f64],
        parameters: &[f64],
    ) -> Option<Vec<Complex<f64>>> {
        let mut dense = self.dense_jacobian(state, parameters);
        if dense.iter().any(|x| !x.is_finite()) {
            return None;
        }
        nalgebra::linalg::balancing::balance_parlett_reinsch(&mut dense);
        let iterations = 200 * self.formulas.n_states.max(1);
        let schur = Schur::try_new(dense, f64::EPSILON, iterations)?;
        Some(schur.complex_eigenvalues().iter().copied().collect())
    }

    fn dense_jacobian(&self, state: &[f64], parameters: &[f64]) -> nalgebra::DMatrix<f64> {
        let mut moving = Moving::new(self, parameters);
        let mut jacobian = vec![0.0; self.formulas.pattern.len()];
        moving.jacobian(0.0, state, &mut jacobian, &mut vec![0.0; state.len()]);
        self.formulas.pattern.dense(&jacobian)
    }

    /// Runs one fibre with these varied parameters, each in its own unit.
    ///
    /// `on_sample` gets the row's number and all observables; `on_piece` the number of an observable and its course over a
    /// piece of a step, for times from 0 on. Both are called in order of time. `cancel` is asked after every step.
    pub fn run_fibre(
        &self,
        parameters: &[f64],
        cancel: &dyn Fn() -> bool,
        on_sample: &mut dyn FnMut(usize, &[f64]),
        on_piece: &mut dyn FnMut(usize, &Piece),
    ) -> (FibreEnd, Work) {
        match Simd::best() {
            // SAFETY: `Simd::best` found these instructions on this machine.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => unsafe { self.run_avx512(parameters, cancel, on_sample, on_piece) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => unsafe { self.run_avx2(parameters, cancel, on_sample, on_piece) },
            _ => self.run_here(parameters, cancel, on_sample, on_piece),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    fn run_avx512(
        &self,
        parameters: &[f64],
        cancel: &dyn Fn() -> bool,
        on_sample: &mut dyn FnMut(usize, &[f64]),
        on_piece: &mut dyn FnMut(usize, &Piece),
    ) -> (FibreEnd, Work) {
        self.run_here(parameters, cancel, on_sample, on_piece)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn run_avx2(
        &self,
        parameters: &[f64],
        cancel: &dyn Fn() -> bool,
        on_sample: &mut dyn FnMut(usize, &[f64]),
        on_piece: &mut dyn FnMut(usize, &Piece),
    ) -> (FibreEnd, Work) {
        self.run_here(parameters, cancel, on_sample, on_piece)
    }

    /// Compiled once for each instruction set: loops over states are SIMD. Nothing is fused or reassociated, so the bits are
    /// the same on all.
    #[inline(always)]
    fn run_here(
        &self,
        parameters: &[f64],
        cancel: &dyn Fn() -> bool,
        on_sample: &mut dyn FnMut(usize, &[f64]),
        on_piece: &mut dyn FnMut(usize, &Piece),
    ) -> (FibreEnd, Work) {
        let mut state = self.initial_state(parameters);
        let floor = self.least_scales(&state);
        let mut integrator = Integrator::new(
            &self.formulas.pattern,
            &self.elimination,
            self.tolerances,
            floor,
        );
        let mut moving = Moving::new(self, parameters);
        let mut watch = Watch {
            reference: self,
            next_row: 0,
            observed: vec![0.0; 2 * self.experiment.observables.len()],
            before: vec![0.0; 2 * self.experiment.observables.len()],
            between: vec![0.0; state.len()],
            rates: vec![0.0; state.len()],
            on_sample,
            on_piece,
        };
        let segments = &self.experiment.schedule.segments;
        for (number, segment) in segments.iter().enumerate() {
            moving.enter(segment, parameters, &mut state);
            if let Some(index) = state.iter().position(|x| !x.is_finite()) {
                return (
                    FibreEnd::Lost {
                        at_ms: ms(segment.start),
                        state: index,
                    },
                    integrator.work(),
                );
            }
            let start_ms = ms(segment.start);
            watch.enter(&mut moving, start_ms, &state);
            let length_ms = ms(segment.end - segment.start);
            let last = number + 1 == segments.len();
            let end =
                integrator.stretch(&mut moving, &mut state, length_ms, &mut |moving, step| {
                    watch.step(moving, start_ms, step, last && step.to_ms == length_ms);
                    !cancel()
                });
            match end {
                Ok(()) => {}
                Err(Stop::Cancelled) => return (FibreEnd::Cancelled, integrator.work()),
                Err(Stop::Lost { after_ms, state }) => {
                    return (
                        FibreEnd::Lost {
                            at_ms: start_ms + after_ms,
                            state,
                        },
                        integrator.work(),
                    );
                }
            }
        }
        (FibreEnd::Finished, integrator.work())
    }

    /// The least scale of each state, see the module's documentation.
    fn least_scales(&self, initial: &[f64]) -> Vec<f64> {
        let model = &self.experiment.model;
        let floor = |(id, y): (&VariableId, &f64)| {
            let number = model
                .variable(*id)
                .unit
                .is_some_and(|unit| unit.exponents == [0.0; 7]);
            match (number, y.abs()) {
                (true, y) => y.max(1.0),
                // So small a number is a zero that somebody computed.
                (false, y) if y < 1e-9 => 1e-3,
                (false, y) => y,
            }
        };
        model.states.iter().zip(initial).map(floor).collect()
    }
}

/// The system within one segment for one fibre: inputs that stand still, move in a straight line or are held.
struct Moving<'a> {
    formulas: &'a Formulas,
    ms_per_time: f64,
    inputs: Vec<f64>,
    /// Start of the segment, ms.
    start_ms: f64,
    /// Inputs that move: place, value at the start, rate per ms.
    ramps: Vec<(usize, f64, f64)>,
    /// Held states and their rates per ms.
    held: Vec<(usize, f64)>,
    /// Memory of the tapes: rates, Jacobian, observables alone and with their rates.
    memory: [Vec<f64>; 4],
    outputs: Vec<f64>,
}

impl<'a> Moving<'a> {
    fn new(reference: &'a Reference, parameters: &[f64]) -> Self {
        let formulas = &reference.formulas;
        // Behind the inputs of all programs, the rates of the states.
        let mut inputs = vec![0.0; formulas.n_inputs + formulas.n_states];
        for &(id, place) in &formulas.parameters {
            inputs[place] = reference.experiment.own_value(id, parameters);
        }
        let tapes = [
            &formulas.rates,
            &formulas.jacobian,
            &formulas.sample,
            &formulas.observe,
        ];
        let memory = tapes.map(|tape| {
            let mut memory = tape.memory();
            tape.settle(&inputs, &mut memory);
            memory
        });
        Moving {
            formulas,
            ms_per_time: reference.experiment.model.ms_per_time,
            inputs,
            start_ms: 0.0,
            ramps: Vec::new(),
            held: Vec::new(),
            memory,
            outputs: vec![0.0; formulas.entries.len() + formulas.by_time.len()],
        }
    }

    /// Takes the drives of a segment; a state that it clamps jumps to its level.
    fn enter(&mut self, segment: &Segment, parameters: &[f64], state: &mut [f64]) {
        self.start_ms = ms(segment.start);
        self.ramps.clear();
        self.held.clear();
        for (driven, drive) in self.formulas.driven.iter().zip(&segment.drives) {
            let (value, rate) = match drive {
                Some(drive) => course(drive, segment, parameters),
                None => (0.0, 0.0),
            };
            if let Some(place) = driven.slope {
                self.inputs[place] = rate * self.ms_per_time;
            }
            if let Some((index, flag)) = driven.clamp {
                if let Some(place) = flag {
                    self.inputs[place] = f64::from(u8::from(drive.is_some()));
                }
                if drive.is_some() {
                    state[index] = value;
                    self.held.push((index, rate));
                }
            } else if let Some(place) = driven.value {
                self.inputs[place] = value;
                if rate != 0.0 {
                    self.ramps.push((place, value, rate));
                }
            }
        }
    }

    fn set(&mut self, at_ms: f64, state: &[f64]) {
        self.inputs[..state.len()].copy_from_slice(state);
        for &(place, value, rate) in &self.ramps {
            self.inputs[place] = value + rate * at_ms;
        }
        if let Some(place) = self.formulas.time {
            self.inputs[place] = (self.start_ms + at_ms) / self.ms_per_time;
        }
    }

    /// The observables.
    fn sample(&mut self, at_ms: f64, state: &[f64], observed: &mut [f64]) {
        self.set(at_ms, state);
        self.formulas
            .sample
            .run(&self.inputs, &mut self.memory[2], observed);
    }

    /// Observables, then their rates per ms, where the states have these rates per ms.
    fn observe(&mut self, at_ms: f64, state: &[f64], rates: &[f64], observed: &mut [f64]) {
        self.set(at_ms, state);
        for (input, rate) in self.inputs[self.formulas.n_inputs..].iter_mut().zip(rates) {
            *input = rate * self.ms_per_time;
        }
        self.formulas
            .observe
            .run(&self.inputs, &mut self.memory[3], observed);
        let half = observed.len() / 2;
        for rate in &mut observed[half..] {
            *rate /= self.ms_per_time;
        }
    }
}

impl System for Moving<'_> {
    fn rates(&mut self, at_ms: f64, state: &[f64], rates: &mut [f64]) {
        self.set(at_ms, state);
        self.formulas
            .rates
            .run(&self.inputs, &mut self.memory[0], rates);
        for rate in rates.iter_mut() {
            *rate /= self.ms_per_time;
        }
        for &(index, rate) in &self.held {
            rates[index] = rate;
        }
    }

    fn jacobian(&mut self, at_ms: f64, state: &[f64], jacobian: &mut [f64], by_time: &mut [f64]) {
        self.set(at_ms, state);
        self.formulas
            .jacobian
            .run(&self.inputs, &mut self.memory[1], &mut self.outputs);
        jacobian.fill(0.0);
        by_time.fill(0.0);
        let (entries, times) = self.outputs.split_at(self.formulas.entries.len());
        for (&place, value) in self.formulas.entries.iter().zip(entries) {
            jacobian[place] = value / self.ms_per_time;
        }
        for (&i, value) in self.formulas.by_time.iter().zip(times) {
            by_time[i] = value / (self.ms_per_time * self.ms_per_time);
        }
        for &(index, _) in &self.held {
            for (_, place) in self.formulas.pattern.row(index) {
                jacobian[place] = 0.0;
            }
            by_time[index] = 0.0;
        }
    }
}

/// What is read off the steps: samples on their grid, and pieces.
struct Watch<'a> {
    reference: &'a Reference,
    next_row: usize,
    /// Observables and rates at the last point.
    observed: Vec<f64>,
    before: Vec<f64>,
    between: Vec<f64>,
    rates: Vec<f64>,
    on_sample: &'a mut dyn FnMut(usize, &[f64]),
    on_piece: &'a mut dyn FnMut(usize, &Piece),
}

impl Watch<'_> {
    /// A segment begins: observables may jump.
    fn enter(&mut self, moving: &mut Moving<'_>, start_ms: f64, state: &[f64]) {
        if start_ms >= 0.0 {
            moving.rates(0.0, state, &mut self.rates);
            moving.observe(0.0, state, &self.rates, &mut self.observed);
        }
    }

    fn step(&mut self, moving: &mut Moving<'_>, start_ms: f64, step: &Accepted<'_>, at_end: bool) {
        let (t0, t1) = (start_ms + step.from_ms, start_ms + step.to_ms);
        let half = self.observed.len() / 2;
        while self.next_row < self.reference.experiment.n_samples {
            let t = sample_ms(self.next_row, self.reference.experiment.sample_every_ms);
            if !(t < t1 || (at_end && t <= t1)) {
                break;
            }
            let at_ms = (t - start_ms).clamp(step.from_ms, step.to_ms);
            step.at(at_ms, &mut self.between);
            moving.sample(at_ms, &self.between, &mut self.before[..half]);
            (self.on_sample)(self.next_row, &self.before[..half]);
            self.next_row += 1;
        }
        if t0 < 0.0 || half == 0 {
            return;
        }
        let mut from = t0;
        // A cubic over a step of the multistep method is within the error that is allowed; over several it would not be.
        let n_pieces = step.n_equal();
        for piece in 1..=n_pieces {
            let x = f64::from(piece) / f64::from(n_pieces);
            let (to, at_ms) = if piece == n_pieces {
                self.between.copy_from_slice(step.end());
                (t1, step.to_ms)
            } else {
                let at_ms = step.from_ms + x * (step.to_ms - step.from_ms);
                step.at(at_ms, &mut self.between);
                (start_ms + at_ms, at_ms)
            };
            std::mem::swap(&mut self.observed, &mut self.before);
            // At the end of a step of the multistep method the rates are known from its equation.
            if n_pieces == 1 {
                step.end_rates(&mut self.rates);
            } else {
                moving.rates(at_ms, &self.between, &mut self.rates);
            }
            moving.observe(at_ms, &self.between, &self.rates, &mut self.observed);
            for i in 0..half {
                let (g0, d0, g1, d1) = (
                    self.before[i],
                    self.before[half + i],
                    self.observed[i],
                    self.observed[half + i],
                );
                (self.on_piece)(
                    i,
                    &Piece {
                        t0: from,
                        t1: to,
                        g0,
                        d0,
                        g1,
                        d1,
                    },
                );
            }
            from = to;
        }
    }
}

/// Time of a sample, ms; moved onto the tick that it means, if it is one, so that it is not on the wrong side of an edge.
fn sample_ms(row: usize, every_ms: f64) -> f64 {
    let t = row as f64 * every_ms;
    let on_tick = ms(tick(t));
    // Rounding of the product, against a tick of 1e-5 ms.
    if (t - on_tick).abs() <= 1e-12 * t.abs() + 1e-12 {
        on_tick
    } else {
        t
    }
}
