//! What one fibre shows before a run: the size of every state, and how stiff the model is.
//!
//! The pilot runs a fibre with the model's own parameters through ten pulses at 50 Hz. From it come the sizes against which
//! the error of a step is judged and the fastest mode of the Jacobian at rest and in activity.
//!
//! **Sizes.** A potential counts 30 mV, a fraction (a gate, an occupancy) 0.3. Anything else counts what it covered in those ten
//! pulses, times what it remembers: an error in a state that forgets within 10 ms (a spike and its recovery) is gone before
//! the next one is made, while errors in an ion, which remembers for minutes, add up over all steps in between; its size is
//! smaller by up to a hundred. So the *change* of an ion is held, not its magnitude, of which any change is a small part. What
//! hardly moved in the pilot may move in a run: nothing counts as if it had covered less than a thousandth of itself.

use std::sync::{Arc, OnceLock};

use crate::backend::Experiment;
use crate::backend::reference::{
    FibreEnd, Fibres, Reference, ReferenceError, Tolerances, Work, eigenvalues,
};
use crate::feature::Piece;
use crate::model::{Bound, Model, VariableId, VariableKind};
use crate::protocol::{Frame, Level, Protocol, Schedule};
use crate::units::Unit;

/// Error of a potential that counts as one, mV: about a quarter of an action potential.
const POTENTIAL_MV: f64 = 30.0;
/// Error of a fraction (a gate, an occupancy) that counts as one.
const FRACTION: f64 = 0.3;
/// Share of what it covered that counts as one for a pure number beyond 0 to 1, which may well be a potential.
const OF_NUMBER: f64 = 0.3;
/// Time within which a state must forget an error for the error to be gone before the next, ms.
const MEMORY_MS: f64 = 10.0;
/// Smallest share that is left to a state that remembers for long.
const LEAST_MEMORY: f64 = 0.01;
/// A state counts as if it had covered at least this share of its magnitude: it may do so in a run. In single precision an error
/// much smaller than that could not be told from rounding.
const LEAST_COVERED: f64 = 1e-3;
/// A magnitude below this is a zero that somebody computed: no unit in use makes a real one so small.
const SOMETHING: f64 = 1e-15;
/// Length of the pilot, ms: ten pulses, near the plateau of a tetanus.
const PILOT_MS: f64 = 200.0;
/// Instants at which stiffness is looked at, ms: rest, and the upstroke, release and recovery after the pulse at 10 ms.
const LOOK_AT_MS: [usize; 6] = [0, 11, 12, 13, 15, 20];
/// How exact the pilot is: it finds sizes, not answers.
const TOLERANCES: Tolerances = Tolerances {
    relative: 1e-4,
    absolute: 1e-6,
};
/// Step of the schemes with fixed steps where a study names none, ms.
pub const DEFAULT_STEP_MS: f64 = 0.01;

/// What the pilot saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Pilot {
    /// Per state, in its own unit: an error of this size counts as one.
    pub scales: Vec<f64>,
    /// Per state, in its own unit: the least and the most that it reached.
    pub reached: Vec<(f64, f64)>,
    /// The Jacobian, per ms, row-major, at the instants at which stiffness is looked at.
    jacobians: Vec<Vec<f64>>,
    fastest_per_ms: OnceLock<f64>,
}

/// Why there is no pilot.
#[derive(Debug, thiserror::Error)]
pub enum PilotError {
    /// The reference cannot be built.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A state has no finite start.
    #[error("the initial value of '{state}' is {value}")]
    Initial {
        /// Name of the state.
        state: String,
        /// Its initial value.
        value: f64,
    },
    /// A derivative is not finite at the start.
    #[error(
        "the derivative of '{state}' is {value} at the initial state: look for a division by zero, or a root or logarithm of a negative number ('step' shows every variable there)"
    )]
    Derivative {
        /// Name of the state.
        state: String,
        /// Its derivative.
        value: f64,
    },
    /// An entry of the Jacobian is not finite at the start.
    #[error(
        "the Jacobian is singular at the initial state: the derivative of '{row}' changes with '{column}' at a rate of {value}"
    )]
    Jacobian {
        /// Name of the state whose derivative it is.
        row: String,
        /// Name of the state by which it is differentiated.
        column: String,
        /// The entry.
        value: f64,
    },
}

/// Refuses a model that has no way to go on from its start.
fn check_start(model: &Model, reference: &Reference, initial: &[f64]) -> Result<(), PilotError> {
    let name = |i: usize| model.variable(model.states[i]).name.clone();
    if let Some(i) = initial.iter().position(|y| !y.is_finite()) {
        return Err(PilotError::Initial {
            state: name(i),
            value: initial[i],
        });
    }
    let rates = reference.rates(initial, &[]);
    if let Some(i) = rates.iter().position(|f| !f.is_finite()) {
        return Err(PilotError::Derivative {
            state: name(i),
            value: rates[i],
        });
    }
    let jacobian = reference.jacobian(initial, &[]);
    if let Some(k) = jacobian.iter().position(|x| !x.is_finite()) {
        let (row, column) = (name(k / initial.len()), name(k % initial.len()));
        return Err(PilotError::Jacobian {
            row,
            column,
            value: jacobian[k],
        });
    }
    Ok(())
}

/// The pilot's fibre: its states at every row, and between which values each was at the ends of steps.
struct Fibre {
    is_new: bool,
    rows: Vec<Vec<f64>>,
    reached: Vec<(f64, f64)>,
}

impl Fibres for Fibre {
    fn next(&mut self, _: bool) -> Option<(usize, Vec<f64>)> {
        std::mem::take(&mut self.is_new).then(|| (0, Vec::new()))
    }
    fn on_sample(&mut self, _: usize, row: usize, states: &[f64]) {
        self.rows[row] = states.to_vec();
    }
    fn on_piece(&mut self, _: usize, _: usize, _: &Piece) {}
    fn wants_courses(&self) -> bool {
        false
    }
    fn on_point(&mut self, _: usize, states: &[f64]) {
        for ((least, most), y) in self.reached.iter_mut().zip(states) {
            (*least, *most) = (least.min(*y), most.max(*y));
        }
    }
    fn goes_on(&mut self) -> bool {
        true
    }
    fn on_end(&mut self, _: usize, _: FibreEnd, _: Work) {}
}

impl Pilot {
    /// Runs the pilot.
    ///
    /// # Errors
    /// If no step program can be built for the model.
    pub fn run(model: &Model) -> Result<Pilot, PilotError> {
        Self::of(&Arc::new(model.clone()))
    }

    /// The same for a model that is shared already.
    ///
    /// # Errors
    /// If no step program can be built for the model.
    pub fn of(model: &Arc<Model>) -> Result<Pilot, PilotError> {
        let n_states = model.states.len();
        let experiment = Experiment {
            schedule: schedule(model),
            varied: Vec::new(),
            observables: model.states.clone(),
            n_recorded: n_states,
            features: Vec::new(),
            sample_every_ms: 1.0,
            n_samples: PILOT_MS as usize + 1,
            model: Arc::clone(model),
        };
        let reference = Reference::new(&experiment, TOLERANCES)?;
        let initial = reference.initial_state(&[]);
        check_start(model, &reference, &initial)?;
        let mut fibre = Fibre {
            is_new: true,
            rows: vec![Vec::new(); experiment.n_samples],
            reached: initial.iter().map(|&y| (y, y)).collect(),
        };
        reference.run_fibres(&mut fibre);
        let Fibre { rows, reached, .. } = fibre;
        let rates = rates_of_forgetting(&reference, &rows, n_states);
        let scales = model
            .states
            .iter()
            .zip(reached.iter().zip(&rates))
            .map(|(&s, (&reached, &rate))| size(model, s, reached, rate))
            .collect();
        let jacobians = LOOK_AT_MS
            .iter()
            // A pilot that was lost has no later rows.
            .filter(|&&row| rows[row].len() == n_states)
            .map(|&row| reference.jacobian(&rows[row], &[]))
            .collect();
        Ok(Pilot {
            scales,
            reached,
            jacobians,
            fastest_per_ms: OnceLock::new(),
        })
    }

    /// Largest magnitude of a decaying mode, per ms; infinite where it could not be found. Computed when it is asked for first: eigenvalues of
    /// a large model take as long as its step program.
    pub fn fastest_per_ms(&self) -> f64 {
        *self.fastest_per_ms.get_or_init(|| {
            let fastest = |jacobian: &[f64]| match eigenvalues(jacobian, self.scales.len()) {
                Some(modes) => modes.iter().map(|m| -m.re).fold(0.0, f64::max),
                None => f64::INFINITY,
            };
            // Threads of their own: those of rayon may all be waiting for this number.
            std::thread::scope(|scope| {
                let each: Vec<_> = self
                    .jacobians
                    .iter()
                    .map(|jacobian| scope.spawn(|| fastest(jacobian)))
                    .collect();
                let each = each.into_iter().map(std::thread::ScopedJoinHandle::join);
                each.map(|found| found.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                    .fold(0.0, f64::max)
            })
        })
    }

    /// Whether fixed explicit steps of the default size would be near their limit of stability, 2 over the fastest mode.
    pub fn is_stiff(&self) -> bool {
        self.fastest_per_ms() * DEFAULT_STEP_MS > 1.0
    }
}

/// Pulses at 50 Hz for a model that can be paced; rest for another.
pub(super) fn schedule(model: &Model) -> Schedule {
    Protocol::fifty_hertz().schedule(&Frame {
        duration_ms: PILOT_MS,
        settle_ms: 0.0,
        paced: model.bound(&Bound::Pace).is_some(),
        own: &|id| match model.variable(id).kind {
            VariableKind::Literal(number) => Level::Number(number),
            _ => Level::Number(f64::NAN),
        },
    })
}

/// How fast each state by itself forgets an error, per ms: the mean over the pilot of the diagonal of the Jacobian.
fn rates_of_forgetting(reference: &Reference, rows: &[Vec<f64>], n_states: usize) -> Vec<f64> {
    let mut sums = vec![0.0; n_states];
    let states = rows.iter().filter(|row| row.len() == n_states);
    let diagonals = reference.jacobian_diagonals(states.map(Vec::as_slice), &[]);
    let n_rows = u32::try_from(diagonals.len()).expect("a pilot has few rows");
    for diagonal in &diagonals {
        for (sum, rate) in sums.iter_mut().zip(diagonal) {
            *sum -= rate;
        }
    }
    let mean = |sum: f64| sum / f64::from(n_rows.max(1));
    sums.into_iter().map(mean).collect()
}

/// The error of a state that counts as one, in its own unit: see the module's documentation.
fn size(model: &Model, state: VariableId, (least, most): (f64, f64), rate_per_ms: f64) -> f64 {
    let variable = model.variable(state);
    let volt = Unit::parse("V").ok();
    let factor = match (&variable.unit, volt) {
        (Some(unit), Some(volt)) => volt.factor_to(*unit),
        _ => None,
    };
    let is_potential = variable.label.as_deref() == Some("membrane_potential");
    if let Some(per_volt) = factor {
        return POTENTIAL_MV * 1e-3 * per_volt;
    }
    let pure = variable.unit.is_none_or(|u| u.is_dimensionless());
    // A label without a unit may stand for millivolts or for a number of the model's own.
    if is_potential && most - least > SOMETHING {
        return OF_NUMBER * (most - least);
    }
    if pure && least >= -0.01 && most <= 1.01 {
        return FRACTION;
    }
    let magnitude = least.abs().max(most.abs());
    if !(magnitude > SOMETHING && magnitude.is_finite()) {
        return 1.0;
    }
    let covered = (most - least).max(LEAST_COVERED * magnitude);
    if pure {
        return OF_NUMBER * covered;
    }
    let memory = if rate_per_ms.is_finite() {
        (rate_per_ms * MEMORY_MS).clamp(LEAST_MEMORY, 1.0)
    } else {
        1.0
    };
    memory * covered
}
