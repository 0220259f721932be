//! An experiment made ready for the reference, and one fibre's system within a segment: what stands still, moves or is held.

use std::sync::OnceLock;

use nalgebra::linalg::balancing::balance_parlett_reinsch;
use nalgebra::{Complex, DMatrix, Schur};

use crate::backend::cpu::{Engine, Kernel, Simd};
use crate::backend::{Experiment, course};
use crate::feature::Piece;
use crate::model::{VariableId, VariableKind};
use crate::program::{Input, LowerError};
use crate::protocol::{Segment, ms};

use super::ensemble::{self, Fibres};
use super::evaluate::evaluate_into;
use super::formulas::Formulas;
use super::integrate::{Stepper, Tolerances, Work};
use super::linear::Elimination;
use super::newton::Programs;
use super::rodas::{Rodas, System};

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
    engine: Engine,
    /// Made when the first fibre is run.
    programs: OnceLock<Programs>,
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
            engine: Engine::best(),
            programs: OnceLock::new(),
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

    /// The diagonal of the Jacobian, per ms, at some states, at time 0 and without pacing or clamps.
    pub fn jacobian_diagonals<'a>(
        &self,
        states: impl IntoIterator<Item = &'a [f64]>,
        parameters: &[f64],
    ) -> Vec<Vec<f64>> {
        let pattern = &self.formulas.pattern;
        let n = pattern.n();
        let diagonal: Vec<usize> = (0..n).map(|i| pattern.place(i, i)).collect();
        let mut moving = Moving::new(self, parameters);
        let (mut jacobian, mut by_time) = (vec![0.0; pattern.len()], vec![0.0; n]);
        let states = states.into_iter();
        states
            .map(|state| {
                moving.jacobian(0.0, state, &mut jacobian, &mut by_time);
                diagonal.iter().map(|&place| jacobian[place]).collect()
            })
            .collect()
    }

    /// The eigenvalues of the Jacobian, per ms, at any state, at time 0 and without pacing or clamps: how stiff the model is
    /// there. `None` if an entry is not finite or they do not converge.
    pub fn jacobian_eigenvalues(
        &self,
        state: &[f64],
        parameters: &[f64],
    ) -> Option<Vec<Complex<f64>>> {
        eigenvalues(&self.jacobian(state, parameters), self.formulas.n_states)
    }

    fn dense_jacobian(&self, state: &[f64], parameters: &[f64]) -> DMatrix<f64> {
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
        let mut one = One {
            parameters: Some(parameters),
            cancel,
            on_sample,
            on_piece,
            end: (FibreEnd::Cancelled, Work::default()),
        };
        self.run_fibres(&mut one);
        one.end
    }

    /// Runs fibres side by side until there are no more. What is found of each does not depend on the others, nor on how many there are.
    pub fn run_fibres(&self, fibres: &mut dyn Fibres) {
        let programs = self.programs.get_or_init(|| {
            self.formulas
                .programs(&self.experiment, &self.elimination, self.engine)
        });
        let starter = Rodas::new(self.formulas.pattern.clone(), self.elimination.clone());
        let all = (self, programs, starter, fibres);
        match (self.engine.simd(), Kernel::lanes(self.engine)) {
            // SAFETY: an engine's instructions are those of `Simd::available` on this machine (asserted where it is chosen).
            #[cfg(target_arch = "x86_64")]
            (Simd::Avx512, 8) => unsafe { run_avx512::<8>(all) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            (Simd::Avx2, 4) => unsafe { run_avx2::<4>(all) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            (Simd::Avx2, _) => unsafe { run_avx2::<8>(all) },
            (_, 2) => run_here::<2>(all),
            (_, 4) => run_here::<4>(all),
            _ => run_here::<8>(all),
        }
    }

    /// The same reference on another engine.
    ///
    /// # Panics
    /// If the machine does not have its instructions.
    pub fn on(mut self, engine: Engine) -> Self {
        assert!(Simd::available().contains(&engine.simd()));
        self.engine = engine;
        self.programs = OnceLock::new();
        self
    }

    /// How many fibres are run side by side.
    pub fn lanes(&self) -> usize {
        Kernel::lanes(self.engine)
    }

    pub(super) fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    pub(super) fn n_states(&self) -> usize {
        self.formulas.n_states
    }

    /// States that observables or their rates are made of.
    pub(super) fn watched(&self) -> &[usize] {
        &self.formulas.watched
    }

    /// A controller for a fibre with this initial state.
    pub(super) fn stepper(&self, initial: &[f64]) -> Stepper {
        Stepper::new(self.tolerances, self.least_scales(initial))
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

/// The eigenvalues of a matrix of so many rows, row-major. `None` if an entry is not finite or they do not converge.
pub fn eigenvalues(matrix: &[f64], n_rows: usize) -> Option<Vec<Complex<f64>>> {
    if matrix.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let mut dense = DMatrix::from_row_slice(n_rows, n_rows, matrix);
    balance_parlett_reinsch(&mut dense);
    let iterations = 200 * n_rows.max(1);
    let schur = Schur::try_new(dense, f64::EPSILON, iterations)?;
    Some(schur.complex_eigenvalues().iter().copied().collect())
}

/// What [`run_here`] takes.
type Run<'a, 'f> = (
    &'a Reference,
    &'a Programs,
    Rodas,
    &'a mut (dyn Fibres + 'f),
);

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
fn run_avx512<const N: usize>(all: Run<'_, '_>) {
    run_here::<N>(all);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<const N: usize>(all: Run<'_, '_>) {
    run_here::<N>(all);
}

/// Compiled once for each instruction set: loops over states are SIMD. Nothing is fused or reassociated, so the bits are
/// the same on all.
#[inline(always)]
fn run_here<const N: usize>((reference, programs, starter, fibres): Run<'_, '_>) {
    ensemble::run::<N>(reference, programs, starter, fibres);
}

/// A single fibre.
struct One<'a> {
    parameters: Option<&'a [f64]>,
    cancel: &'a dyn Fn() -> bool,
    on_sample: &'a mut dyn FnMut(usize, &[f64]),
    on_piece: &'a mut dyn FnMut(usize, &Piece),
    end: (FibreEnd, Work),
}

impl Fibres for One<'_> {
    fn next(&mut self, _: bool) -> Option<(usize, Vec<f64>)> {
        Some((0, self.parameters.take()?.to_vec()))
    }
    fn on_sample(&mut self, _: usize, row: usize, observed: &[f64]) {
        (self.on_sample)(row, observed);
    }
    fn on_piece(&mut self, _: usize, observable: usize, piece: &Piece) {
        (self.on_piece)(observable, piece);
    }
    fn goes_on(&mut self) -> bool {
        !(self.cancel)()
    }
    fn on_end(&mut self, _: usize, end: FibreEnd, work: Work) {
        self.end = (end, work);
    }
}

/// The system within one segment for one fibre: inputs that stand still, move in a straight line or are held.
pub(super) struct Moving<'a> {
    formulas: &'a Formulas,
    ms_per_time: f64,
    pub(super) inputs: Vec<f64>,
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
    pub(super) fn new(reference: &'a Reference, parameters: &[f64]) -> Self {
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
    pub(super) fn enter(&mut self, segment: &Segment, parameters: &[f64], state: &mut [f64]) {
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
        self.set_moved(at_ms);
    }

    fn set_moved(&mut self, at_ms: f64) {
        let mut inputs = std::mem::take(&mut self.inputs);
        self.each_moved(at_ms, |place, value| inputs[place] = value);
        self.inputs = inputs;
    }

    /// Place and value of each input that moves by itself.
    #[inline(always)]
    pub(super) fn each_moved(&self, at_ms: f64, mut each: impl FnMut(usize, f64)) {
        for &(place, value, rate) in &self.ramps {
            each(place, value + rate * at_ms);
        }
        if let Some(place) = self.formulas.time {
            each(place, (self.start_ms + at_ms) / self.ms_per_time);
        }
    }

    /// The rate of a state that is held, per ms; `None` for one that is free.
    pub(super) fn held_rate(&self, state: usize) -> Option<f64> {
        let held = self.held.iter().find(|(index, _)| *index == state);
        held.map(|(_, rate)| *rate)
    }

    /// The observables; of the states only the watched ones are read.
    pub(super) fn sample(&mut self, at_ms: f64, state: &[f64], observed: &mut [f64]) {
        for &i in &self.formulas.watched {
            self.inputs[i] = state[i];
        }
        self.set_moved(at_ms);
        self.formulas
            .sample
            .run(&self.inputs, &mut self.memory[2], observed);
    }

    /// Observables, then their rates per ms, where the states have these rates per ms; of both only those of watched states are read.
    pub(super) fn observe(
        &mut self,
        at_ms: f64,
        state: &[f64],
        rates: &[f64],
        observed: &mut [f64],
    ) {
        for &i in &self.formulas.watched {
            self.inputs[i] = state[i];
            self.inputs[self.formulas.n_inputs + i] = rates[i] * self.ms_per_time;
        }
        self.set_moved(at_ms);
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
