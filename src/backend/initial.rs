//! Where fibres start: the model's initial values, with what varies put in.

use crate::backend::Experiment;
use crate::backend::reference::evaluate;
use crate::model::VariableKind;
use crate::program::{Input, LowerError, Program, initial_state, program};

/// The initial values of the states as a function of the varied parameters.
#[derive(Clone, Debug)]
pub struct InitialStates {
    program: Program,
    /// For each input of the program: the default, and which varied parameter replaces it.
    inputs: Vec<(f64, Option<usize>)>,
    /// States that are varied themselves: state index and place among the varied parameters.
    replaced: Vec<(usize, usize)>,
}

impl InitialStates {
    /// Compiles the initial values of an experiment's model.
    ///
    /// # Errors
    /// If something varied is neither a literal nor a state.
    pub fn new(experiment: &Experiment) -> Result<Self, LowerError> {
        let model = &experiment.model;
        let free = experiment.free_literals();
        let (rhs, values) = initial_state(model, &free)?;
        let place = |id| experiment.varied.iter().position(|&v| v == Some(id));
        let inputs = rhs
            .inputs
            .iter()
            .map(|input| match *input {
                Input::Parameter(id) => match model.variable(id).kind {
                    VariableKind::Literal(number) => (number, place(id)),
                    _ => (f64::NAN, place(id)),
                },
                _ => (0.0, None),
            })
            .collect();
        let replaced = model
            .states
            .iter()
            .enumerate()
            .filter_map(|(i, &s)| Some((i, place(s)?)))
            .collect();
        Ok(InitialStates {
            program: program(&rhs.graph, &values),
            inputs,
            replaced,
        })
    }

    /// The initial states of a fibre.
    pub fn of(&self, parameters: &[f64]) -> Vec<f64> {
        let inputs: Vec<f64> = self
            .inputs
            .iter()
            .map(|&(default, place)| place.map_or(default, |p| parameters[p]))
            .collect();
        let mut states = evaluate(&self.program, &inputs);
        for &(state, place) in &self.replaced {
            states[state] = parameters[place];
        }
        states
    }
}
