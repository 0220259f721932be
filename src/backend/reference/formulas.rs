//! The programs of one experiment: right-hand side as written, its exact derivatives, observables with their rates.

use crate::backend::Experiment;
use crate::backend::cpu::Engine;
use crate::model::{Bound, VariableId, VariableKind};
use crate::ops::Algebra;
use crate::program::{
    self, Graph, Input, Node, Program, Rhs, Style, Tangents, Value, lower, program,
};
use crate::protocol::Target;

use super::ReferenceError;
use super::linear::{Elimination, Pattern};
use super::newton::{Parts, Programs};
use super::tape::Tape;

/// Where the driven value and its rate go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Driven {
    /// Input that takes the value; none if no formula asks, or for a clamp.
    pub(super) value: Option<usize>,
    /// Input that takes the rate per unit of the model's time.
    pub(super) slope: Option<usize>,
    /// For a clamp, the state's index and the input that is 1 while it is held.
    pub(super) clamp: Option<(usize, Option<usize>)>,
}

/// What the programs of an iteration are made of.
#[derive(Clone, Debug)]
struct Iteration {
    graph: Graph,
    derivatives: Vec<Value>,
    /// Row, column, value of each entry of the Jacobian.
    entries: Vec<(usize, usize, Value)>,
    moves: Vec<bool>,
}

/// Everything that is evaluated, compiled.
#[derive(Clone, Debug)]
pub(super) struct Formulas {
    pub(super) n_states: usize,
    pub(super) n_inputs: usize,
    /// Derivatives of the states, per unit of the model's time, unoptimised.
    pub(super) rates: Tape,
    /// Outputs: the entries of the Jacobian, in the order of `entries`, then the derivatives by time of `by_time`.
    pub(super) jacobian: Tape,
    pub(super) pattern: Pattern,
    /// Places in the pattern.
    pub(super) entries: Vec<usize>,
    /// States whose derivatives depend on time.
    pub(super) by_time: Vec<usize>,
    /// Outputs: the observables.
    pub(super) sample: Tape,
    /// Inputs: those of the others, then the rates of the states. Outputs: the observables, then their rates along the
    /// solution. All rates are per unit of the model's time.
    pub(super) observe: Tape,
    /// The initial values of the states, from the free literals.
    pub(super) initial: Program,
    pub(super) initial_inputs: Vec<Input>,
    /// Literals that are inputs, and their places.
    pub(super) parameters: Vec<(VariableId, usize)>,
    pub(super) time: Option<usize>,
    /// States that observables or their rates are made of.
    pub(super) watched: Vec<usize>,
    /// For the programs of an iteration: formulas and derivatives as they were built.
    iteration: Iteration,
    /// One for each target of the schedule.
    pub(super) driven: Vec<Driven>,
}

impl Formulas {
    pub(super) fn new(experiment: &Experiment) -> Result<Self, ReferenceError> {
        let model = &experiment.model;
        let n_states = model.states.len();
        let free = experiment.free_literals();
        let mut rhs = lower(model, &free, Style::Plain)?;
        let rates = program(&rhs.graph, &rhs.derivatives);

        // Derivatives of the formulas as written; only what is new is simplified, or the sums of products with 0 and 1
        // would outweigh it.
        rhs.graph.set_style(Style::Simplified);
        let one = rhs.graph.constant(1.0);
        let mut found: Vec<(usize, usize, Value)> = Vec::new();
        for j in 0..n_states {
            let state = rhs.input(Input::State(j));
            let mut tangents = Tangents::new([(state, one)]);
            for i in 0..n_states {
                let of = rhs.derivatives[i];
                if let Some(value) = tangents.of(&mut rhs.graph, of) {
                    found.push((i, j, value));
                }
            }
        }
        let pattern = Pattern::new(n_states, found.iter().map(|&(i, j, _)| (i, j)));
        let entries = found.iter().map(|&(i, j, _)| pattern.place(i, j)).collect();

        let mut moving = vec![(rhs.input(Input::Time), one)];
        for target in &experiment.schedule.targets {
            if let Some((input, id)) = moving_input(experiment, target) {
                let slope = rhs.input(Input::Slope(id));
                moving.push((rhs.input(input), slope));
            }
        }
        let mut along = Tangents::new(moving.iter().copied());
        let mut by_time = Vec::new();
        let mut outputs: Vec<Value> = found.iter().map(|&(_, _, value)| value).collect();
        for i in 0..n_states {
            let of = rhs.derivatives[i];
            if let Some(value) = along.of(&mut rhs.graph, of) {
                by_time.push(i);
                outputs.push(value);
            }
        }
        let jacobian = program(&rhs.graph, &outputs);

        let values: Vec<Value> = experiment
            .observables
            .iter()
            .map(|id| rhs.variables[id.0])
            .collect();
        let sample = program(&rhs.graph, &values);
        let observe = with_rates(&values, &mut rhs, &moving, n_states);
        let (initial, initial_values) = program::initial_state(model, &free)?;
        let place = |input: Input| rhs.inputs.iter().position(|&known| known == input);
        let driven = experiment
            .schedule
            .targets
            .iter()
            .map(|&target| driven(experiment, target, &place));
        // Literals that no protocol drives stand still: what is made of them alone is computed once.
        let moves: Vec<bool> = rhs
            .inputs
            .iter()
            .map(|input| match input {
                Input::Parameter(id) => experiment
                    .schedule
                    .targets
                    .contains(&Target::Parameter(*id)),
                Input::State(_) | Input::Slope(_) | Input::Pace | Input::Time => true,
                Input::Clamped(_) | Input::Step | Input::Lost(_) | Input::LastError => true,
            })
            .collect();
        let asked = [&sample, &observe].into_iter().flat_map(|p| &p.nodes);
        let asked = asked.filter_map(|node| match *node {
            Node::Input(number) => Some(number as usize),
            Node::Constant(_) | Node::Apply(..) => None,
        });
        let n_inputs = rhs.inputs.len();
        let mut watched: Vec<usize> = asked
            .map(|i| {
                if i < n_states {
                    i
                } else {
                    i.wrapping_sub(n_inputs)
                }
            })
            .filter(|&i| i < n_states)
            .collect();
        watched.sort_unstable();
        watched.dedup();
        Ok(Formulas {
            n_states,
            watched,
            n_inputs: rhs.inputs.len(),
            rates: Tape::new(&rates, &moves),
            jacobian: Tape::new(&jacobian, &moves),
            pattern,
            entries,
            by_time,
            sample: Tape::new(&sample, &moves),
            observe: Tape::new(&observe, &[&moves[..], &vec![true; n_states]].concat()),
            initial: program(&initial.graph, &initial_values),
            initial_inputs: initial.inputs,
            parameters: free
                .iter()
                .filter_map(|&id| Some((id, place(Input::Parameter(id))?)))
                .collect(),
            time: place(Input::Time),
            iteration: Iteration {
                derivatives: rhs.derivatives.clone(),
                entries: found,
                moves: moves.clone(),
                graph: rhs.graph,
            },
            driven: driven.collect::<Result<_, _>>()?,
        })
    }
}

impl Formulas {
    /// The programs of an iteration.
    pub(super) fn programs(
        &self,
        experiment: &Experiment,
        elimination: &Elimination,
        engine: Engine,
    ) -> Programs {
        let mut jacobian = vec![(0, 0, None); self.pattern.len()];
        for i in 0..self.n_states {
            for (j, place) in self.pattern.row(i) {
                jacobian[place] = (i, j, None);
            }
        }
        for &(i, j, value) in &self.iteration.entries {
            jacobian[self.pattern.place(i, j)] = (i, j, Some(value));
        }
        let parts = Parts {
            graph: &mut self.iteration.graph.clone(),
            moves: &self.iteration.moves,
            rates: &self.iteration.derivatives,
            jacobian: &jacobian,
            elimination,
            clamped: self
                .driven
                .iter()
                .filter_map(|d| Some(d.clamp?.0))
                .collect(),
            ms_per_time: experiment.model.ms_per_time,
        };
        Programs::new(parts, engine)
    }
}

/// The input that a target sets, if it can be a ramp, and the variable whose slope it has.
fn moving_input(experiment: &Experiment, target: &Target) -> Option<(Input, VariableId)> {
    match *target {
        Target::Pace => Some((Input::Pace, experiment.model.bound(&Bound::Pace)?)),
        Target::Parameter(id) => Some((Input::Parameter(id), id)),
        Target::Clamp(_) => None,
    }
}

fn driven(
    experiment: &Experiment,
    target: Target,
    place: &impl Fn(Input) -> Option<usize>,
) -> Result<Driven, ReferenceError> {
    let mut driven = Driven {
        value: None,
        slope: None,
        clamp: None,
    };
    match target {
        Target::Pace | Target::Parameter(_) => {
            if let Some((input, id)) = moving_input(experiment, &target) {
                driven.value = place(input);
                driven.slope = place(Input::Slope(id));
            }
        }
        Target::Clamp(id) => {
            let index = state_index(experiment, id)?;
            driven.clamp = Some((index, place(Input::Clamped(index))));
            driven.slope = place(Input::Slope(id));
        }
    }
    Ok(driven)
}

fn state_index(experiment: &Experiment, id: VariableId) -> Result<usize, ReferenceError> {
    match experiment.model.variable(id).kind {
        VariableKind::State { index, .. } => Ok(index),
        VariableKind::Bound(_)
        | VariableKind::Literal(_)
        | VariableKind::Constant
        | VariableKind::Intermediate => Err(ReferenceError::NotAState(
            experiment.model.variable(id).name.clone(),
        )),
    }
}

/// Observables and their rates. The rates of the states are inputs of this program alone: numbered after all others.
fn with_rates(
    values: &[Value],
    rhs: &mut Rhs,
    moving: &[(Value, Value)],
    n_states: usize,
) -> Program {
    let mut seeds = moving.to_vec();
    for i in 0..n_states {
        let number = u32::try_from(rhs.inputs.len() + i).expect("a program has few inputs");
        seeds.push((rhs.input(Input::State(i)), rhs.graph.input(number)));
    }
    let mut tangents = Tangents::new(seeds);
    let zero = rhs.graph.constant(0.0);
    let mut outputs = values.to_vec();
    for &value in values {
        outputs.push(tangents.of(&mut rhs.graph, value).unwrap_or(zero));
    }
    program(&rhs.graph, &outputs)
}
