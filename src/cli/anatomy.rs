//! What a model is made of, as `check` and `models` tell it.

use std::collections::HashMap;

use crate::backend::reference::evaluate;
use crate::model::{Bound, Expr, ExprKind, Model, Variable, VariableId, VariableKind};
use crate::ops::{Algebra, Op};
use crate::program::{
    Input, LowerError, Node, Rhs, Style, Tangents, depends_on, initial_state, lower, program,
};

/// A model's parts.
#[derive(Clone, Debug, Default)]
pub struct Anatomy {
    /// Literals: what a study may vary.
    pub parameters: Vec<VariableId>,
    /// Computed from literals alone.
    pub constants: Vec<VariableId>,
    /// Computed from states or inputs.
    pub intermediates: Vec<VariableId>,
    /// States that relax to a value, at a rate, that the membrane potential alone sets: what Rush and Larsen's scheme moves
    /// by the exact solution.
    pub gates: Vec<VariableId>,
    /// External inputs, by what they are bound to.
    pub bindings: Vec<(String, VariableId)>,
    /// Labels.
    pub labels: Vec<(String, VariableId)>,
    /// Forms that are 0/0 somewhere as written and are computed without it.
    pub removable_singularities: usize,
}

impl Anatomy {
    /// Takes a model apart.
    ///
    /// # Errors
    /// If the model cannot be lowered.
    pub fn of(model: &Model) -> Result<Self, LowerError> {
        let mut anatomy = Anatomy::default();
        for (i, variable) in model.variables.iter().enumerate() {
            let id = VariableId(i);
            match &variable.kind {
                VariableKind::State { .. } => {}
                VariableKind::Bound(input) => {
                    anatomy.bindings.push((binding(input).to_owned(), id))
                }
                VariableKind::Literal(_) => anatomy.parameters.push(id),
                VariableKind::Constant => anatomy.constants.push(id),
                VariableKind::Intermediate => anatomy.intermediates.push(id),
            }
            if let Some(label) = &variable.label {
                anatomy.labels.push((label.clone(), id));
            }
        }
        let mut rhs = lower(model, &[], Style::Simplified)?;
        let outputs: Vec<_> = rhs
            .derivatives
            .iter()
            .chain(&rhs.variables)
            .copied()
            .collect();
        let is_smooth = |node: &&Node| matches!(node, Node::Apply(Op::Bernoulli, _));
        anatomy.removable_singularities = program(&rhs.graph, &outputs)
            .nodes
            .iter()
            .filter(is_smooth)
            .count();
        anatomy.gates = gates(model, &mut rhs);
        Ok(anatomy)
    }

    /// Number of equations: a derivative for each state, and what is computed.
    pub fn n_equations(&self, model: &Model) -> usize {
        model.states.len() + self.constants.len() + self.intermediates.len()
    }
}

/// `x' = a x + b` with `a` and `b` free of every state but the membrane potential; where no variable is labelled as that, of
/// every state but one.
fn gates(model: &Model, rhs: &mut Rhs) -> Vec<VariableId> {
    let potential = model
        .labelled("membrane_potential")
        .and_then(|id| model.states.iter().position(|&s| s == id));
    let n = model.states.len();
    let states: Vec<_> = (0..n).map(|i| rhs.input(Input::State(i))).collect();
    let one = rhs.graph.constant(1.0);
    let slopes: Vec<_> = (0..n)
        .map(|i| Tangents::new([(states[i], one)]).of(&mut rhs.graph, rhs.derivatives[i]))
        .collect();
    let dependence: Vec<Vec<bool>> = states.iter().map(|&s| depends_on(&rhs.graph, s)).collect();
    let is_gate = |i: usize| {
        let Some(slope) = slopes[i] else { return false };
        let others = (0..n).filter(|&j| {
            j != i && Some(j) != potential && dependence[j][rhs.derivatives[i].index()]
        });
        let allowed = if potential.is_some() { 0 } else { 1 };
        Some(i) != potential && others.count() <= allowed && !dependence[i][slope.index()]
    };
    (0..n)
        .filter(|&i| is_gate(i))
        .map(|i| model.states[i])
        .collect()
}

/// As models spell the input.
pub fn binding(input: &Bound) -> &str {
    match input {
        Bound::Time => "time",
        Bound::Pace => "pace",
        Bound::Other(name) => name,
    }
}

/// In one word.
pub fn kind(variable: &Variable) -> &'static str {
    match variable.kind {
        VariableKind::State { .. } => "state",
        VariableKind::Bound(_) => "input",
        VariableKind::Literal(_) => "parameter",
        VariableKind::Constant => "constant",
        VariableKind::Intermediate => "intermediate",
    }
}

/// The unit as models spell it; nothing where there is none.
pub fn unit(variable: &Variable) -> String {
    variable
        .unit
        .map(|unit| unit.to_string())
        .unwrap_or_default()
}

/// The value that an input has where nothing drives it: that of its right-hand side, where it is a number.
pub fn undriven(model: &Model, input: &Bound) -> f64 {
    fn number(expr: &Expr) -> Option<f64> {
        match &expr.kind {
            ExprKind::Number(number, _) => Some(*number),
            ExprKind::Apply(Op::Neg, args) => number(args.first()?).map(|x| -x),
            _ => None,
        }
    }
    model
        .bound(input)
        .and_then(|id| number(&model.variable(id).rhs))
        .unwrap_or(0.0)
}

/// What a model computes at one instant, in double precision, by its formulas as they are written.
#[derive(Clone, Debug)]
pub struct Instant {
    /// The states.
    pub states: Vec<f64>,
    /// Their derivatives, per unit of the model's time.
    pub derivatives: Vec<f64>,
    /// Every variable (of a state: its value).
    pub variables: Vec<f64>,
}

impl Instant {
    /// Evaluates everything once. `set` puts numbers in the place of literals and initial values, in the model's units.
    ///
    /// # Errors
    /// If `set` names something that is neither a literal nor a state.
    pub fn of(
        model: &Model,
        set: &HashMap<VariableId, f64>,
        time: f64,
        pace: f64,
    ) -> Result<Self, LowerError> {
        let is_state =
            |id: &VariableId| matches!(model.variable(*id).kind, VariableKind::State { .. });
        let mut free: Vec<VariableId> = set.keys().copied().filter(|id| !is_state(id)).collect();
        free.sort_unstable();
        let values = |inputs: &[Input], states: &[f64]| -> Vec<f64> {
            let value = |input: &Input| match input {
                Input::State(i) => states[*i],
                Input::Parameter(id) => set[id],
                Input::Time => time,
                Input::Pace => pace,
                _ => 0.0,
            };
            inputs.iter().map(value).collect()
        };
        let n = model.states.len();
        let (start, initial) = initial_state(model, &free)?;
        let mut states = evaluate(
            &program(&start.graph, &initial),
            &values(&start.inputs, &vec![0.0; n]),
        );
        for (state, id) in states.iter_mut().zip(&model.states) {
            *state = set.get(id).copied().unwrap_or(*state);
        }
        let rhs = lower(model, &free, Style::Plain)?;
        let outputs: Vec<_> = rhs
            .derivatives
            .iter()
            .chain(&rhs.variables)
            .copied()
            .collect();
        let mut derivatives = evaluate(
            &program(&rhs.graph, &outputs),
            &values(&rhs.inputs, &states),
        );
        let variables = derivatives.split_off(n);
        Ok(Instant {
            states,
            derivatives,
            variables,
        })
    }

    /// The model as it stands: its own literals and initial values, no pacing but its own.
    ///
    /// # Errors
    /// Never for a checked model.
    pub fn initial(model: &Model) -> Result<Self, LowerError> {
        let (time, pace) = (undriven(model, &Bound::Time), undriven(model, &Bound::Pace));
        Instant::of(model, &HashMap::new(), time, pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::shipped;

    fn shipped_model(name: &str) -> Model {
        shipped::load_shipped(&shipped::find(name).expect("shipped")).expect("no faults")
    }

    #[test]
    fn the_gates_of_hodgkin_and_huxley_are_m_h_and_n() {
        let model = shipped_model("hodgkin_huxley_1952");
        let anatomy = Anatomy::of(&model).expect("a checked model lowers");
        let names: Vec<&str> = anatomy
            .gates
            .iter()
            .map(|&g| model.variable(g).name.as_str())
            .collect();
        assert_eq!(names, ["sodium.m", "sodium.h", "potassium.n"]);
        // The opening rates of m and n.
        assert_eq!(anatomy.removable_singularities, 2);
    }

    #[test]
    fn a_set_literal_reaches_the_constants_and_the_derivatives() {
        let model = shipped_model("hodgkin_huxley_1952");
        let at = |name: &str| model.find(name).expect("known");
        let set = HashMap::from([(at("membrane.rest"), -65.0), (at("membrane.V"), -60.0)]);
        let instant = Instant::of(&model, &set, 0.0, 0.0).expect("literals and states");
        assert_eq!(instant.variables[at("sodium.E").0], 50.0);
        assert_eq!(instant.states[0], -60.0);
        assert_ne!(
            instant.derivatives[0],
            Instant::initial(&model).expect("checked").derivatives[0]
        );
    }
}
