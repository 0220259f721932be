//! How accurate a scheme is for what it costs: fibres that differ, run by lanes and judged by the reference.
//!
//! A [`Trial`] is a model on one [`Occasion`] (a twitch, a train, rest, an after-discharge) with a few fibres whose
//! conductances and rates differ by 10 %. Its [`Truth`] comes from the reference and is costly, so it can be kept in a file;
//! [`Trial::measure`] runs the same fibres with any scheme, step and precision and gives a [`Row`] of a work-precision
//! table. All fibres start where the reference says that they rest, so that nothing but the occasion is measured.
//!
//! A fibre next to a threshold amplifies any error, of any method: whether it fires hangs on a hair. Such fibres are found by the
//! reference alone, from what a slightly weaker pulse does to their spikes, and only counted: their errors say nothing of a
//! scheme.
//!
//! `benches/accuracy.rs` prints the table; which models, which fibres and which quantities is data, in [`SUBJECTS`].

mod measure;
mod subject;
mod truth;

pub use measure::{Measured, Row, TARGETS, Targets};
pub use subject::{Occasion, SUBJECTS, Subject};
pub use truth::Truth;

use std::sync::Arc;

use crate::backend::Experiment;
use crate::backend::reference::ReferenceError;
use crate::feature::{FeatureKind, FeatureSpec};
use crate::model::{Bound, Model, Variable, VariableId, VariableKind};
use crate::protocol::{Frame, Level, Protocol, Schedule};
use crate::scheme::BuildError;
use crate::study::{normal_quantile, unit_interval};
use crate::units::Unit;

use super::pilot::{Pilot, PilotError};
use super::sink::SinkError;

/// Time between two instants at which watched quantities are compared, ms: the upstroke of a spike takes 0.2 ms.
const FINE_MS: f64 = 0.01;
/// Time between two instants at which all states are compared, in fine ones: 1 ms.
const COARSE: usize = 100;
/// A fibre is next to a threshold if pulses that are weaker by this share ...
const WEAKER: f64 = 1e-3;
/// ... shift one of its spikes by more than this, ms, or change their number. Far from one, the weak pulses of the Hodgkin-Huxley
/// axon shift a spike by some 0.002 ms.
const HAIR_MS: f64 = 0.05;
/// Coefficient of variation of what varies.
const CV: f64 = 0.1;
/// Start of the draws.
const SEED: u64 = 1;

/// Why there is no trial, or no row.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A subject names what the model does not have.
    #[error("the model has no '{0}' that a fibre could vary in or that could be watched")]
    Unknown(String),
    /// The pilot.
    #[error(transparent)]
    Pilot(#[from] PilotError),
    /// The reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The scheme.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A result that nothing keeps.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// A model on one occasion, with its fibres.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What is done.
    pub occasion: Occasion,
    /// What the pilot says of the model: scales and ranges.
    pub pilot: Pilot,
    model: Model,
    /// Literals in which the fibres differ.
    literals: Vec<VariableId>,
    /// Their values, fibre by fibre.
    drawn: Vec<Vec<f64>>,
    /// Potential, calcium, force: the first always, the others where the model has them.
    watched: Vec<VariableId>,
    has_calcium: bool,
    has_force: bool,
    /// Middle of the potential's range: crossing it upwards is a spike.
    threshold: f64,
    rest_ms: f64,
}

impl Trial {
    /// So many fibres of a subject on an occasion; `None` where the subject has nothing to show there. `model` is the
    /// subject's model as its file has it.
    ///
    /// # Errors
    /// If the model lacks what the subject names, or has no start.
    pub fn new(
        subject: &Subject<'_>,
        model: &Model,
        occasion: Occasion,
        fibres: usize,
    ) -> Result<Option<Trial>, TrialError> {
        let mut model = model.clone();
        let mut sets = subject.sets.to_vec();
        if occasion == Occasion::AfterDischarge {
            match subject.discharges {
                Some(more) => sets.extend(more),
                None => return Ok(None),
            }
        }
        let find = |model: &Model, name: &str| {
            let found = model.find(name);
            found.ok_or_else(|| TrialError::Unknown(name.to_owned()))
        };
        for (name, value) in sets {
            let id = find(&model, name)?;
            match &mut model.variables[id.0].kind {
                VariableKind::Literal(number) => *number = value,
                _ => return Err(TrialError::Unknown(name.to_owned())),
            }
        }
        let literals = subject
            .varied
            .iter()
            .map(|name| find(&model, name))
            .collect::<Result<Vec<_>, _>>()?;
        // Lognormal around the model's own value.
        let sigma = (1.0 + CV * CV).ln().sqrt();
        let draw = |fibre: u64, id: VariableId| {
            let variable = model.variable(id);
            let u = unit_interval(SEED, &variable.name, fibre);
            match variable.kind {
                VariableKind::Literal(number) => number * (sigma * normal_quantile(u)).exp(),
                _ => f64::NAN,
            }
        };
        let drawn = (0..fibres as u64)
            .map(|fibre| literals.iter().map(|&id| draw(fibre, id)).collect())
            .collect();
        let potential = model
            .labelled("membrane_potential")
            .or_else(|| model.states.first().copied())
            .ok_or_else(|| TrialError::Unknown("membrane_potential".to_owned()))?;
        let mut watched = vec![potential];
        for name in subject.calcium.iter().chain(&subject.force) {
            watched.push(find(&model, name)?);
        }
        let pilot = Pilot::run(&model)?;
        let place = model.states.iter().position(|&s| s == potential);
        let (least, most) = place.map_or((-80.0, 40.0), |i| pilot.reached[i]);
        Ok(Some(Trial {
            occasion,
            literals,
            drawn,
            watched,
            has_calcium: subject.calcium.is_some(),
            has_force: subject.force.is_some(),
            threshold: 0.5 * (least + most),
            rest_ms: subject.rest_ms,
            pilot,
            model,
        }))
    }

    /// Number of fibres.
    pub fn fibres(&self) -> usize {
        self.drawn.len()
    }

    fn schedule(&self, protocol: &Protocol, duration_ms: f64) -> Schedule {
        protocol.schedule(&Frame {
            duration_ms,
            settle_ms: 0.0,
            paced: self.model.bound(&Bound::Pace).is_some(),
            own: &|id| match self.model.variable(id).kind {
                VariableKind::Literal(number) => Level::Number(number),
                _ => Level::Number(f64::NAN),
            },
        })
    }

    /// The occasion with these quantities sampled this often; every fibre brings its literals and its initial state.
    fn experiment(&self, observables: Vec<VariableId>, every_ms: f64) -> Experiment {
        self.experiment_at(1.0, observables, every_ms)
    }

    /// The same with pulses of another level.
    fn experiment_at(&self, level: f64, observables: Vec<VariableId>, every_ms: f64) -> Experiment {
        let duration_ms = self.occasion.duration_ms();
        let ours = self.literals.iter().chain(&self.model.states);
        Experiment {
            model: Arc::new(self.model.clone()),
            varied: ours.copied().map(Some).collect(),
            schedule: self.schedule(&self.occasion.protocol(level), duration_ms),
            n_recorded: observables.len(),
            features: vec![FeatureSpec {
                threshold: self.threshold,
                ..FeatureSpec::new("spikes", FeatureKind::Spikes, self.watched[0])
            }],
            observables,
            sample_every_ms: every_ms,
            n_samples: (duration_ms / every_ms + 0.5) as usize + 1,
        }
    }

    /// Rest before the occasion: no pulses, the states at its end.
    fn rest(&self) -> Experiment {
        Experiment {
            model: Arc::new(self.model.clone()),
            varied: self.literals.iter().copied().map(Some).collect(),
            schedule: self.schedule(&Protocol::default(), self.rest_ms),
            observables: self.model.states.clone(),
            n_recorded: self.model.states.len(),
            features: Vec::new(),
            sample_every_ms: self.rest_ms,
            n_samples: 2,
        }
    }
}

/// Literals that are a conductance by their unit, or by their name where the model gives no unit: in what fibres of a model that
/// nobody has looked at may differ.
pub fn conductances(model: &Model) -> Vec<&str> {
    let siemens = Unit::parse("S").ok();
    let per_area = Unit::parse("S/m^2").ok();
    let per_farad = Unit::parse("S/F").ok();
    let fits = |variable: &&Variable| {
        let name = variable.name.rsplit('.').next().unwrap_or_default();
        let by_unit = |unit: Unit| {
            let wanted = [siemens, per_area, per_farad];
            wanted
                .iter()
                .flatten()
                .any(|w| unit.factor_to(*w).is_some())
        };
        matches!(variable.kind, VariableKind::Literal(_))
            && variable.unit.map_or(name.starts_with('g'), by_unit)
    };
    let found = model.variables.iter().filter(fits);
    found.map(|variable| variable.name.as_str()).collect()
}
