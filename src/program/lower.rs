//! From a checked model to arithmetic: every variable's right-hand side becomes nodes of one [`Graph`].
//!
//! Literals that a study leaves alone become constants; those that it varies or drives become inputs, so that their
//! values are data. Whole-number powers become products here already, because a negative base has no general power.

use crate::model::{Bound, Expr, ExprKind, Model, VariableId, VariableKind};
use crate::ops::{Algebra, Op};

use super::{Graph, Style, Value};

/// What an input of a program stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The state with that index.
    State(usize),
    /// A literal of the model that varies by fibre or in time.
    Parameter(VariableId),
    /// The rate of a parameter that is a ramp in time, per unit of the model's time.
    Slope(VariableId),
    /// The pacing variable.
    Pace,
    /// The model's time.
    Time,
    /// 1 while the state with that index is clamped, else 0.
    Clamped(usize),
    /// The size of the step, in the model's time.
    Step,
    /// What rounding has taken from the state with that index so far.
    Lost(usize),
    /// Logarithm of the error of the last accepted step.
    LastError,
}

/// The right-hand side of a model as arithmetic.
#[derive(Clone, Debug)]
pub struct Rhs {
    /// The nodes. Inputs below the number of states are the states.
    pub graph: Graph,
    /// What each input is, by its number.
    pub inputs: Vec<Input>,
    /// Derivative of each state, per unit of the model's time.
    pub derivatives: Vec<Value>,
    /// Value of every variable of the model (of a state: the state itself).
    pub variables: Vec<Value>,
}

impl Rhs {
    /// The node of an input; made if it is new.
    pub fn input(&mut self, input: Input) -> Value {
        let number = match self.inputs.iter().position(|&i| i == input) {
            Some(known) => known,
            None => {
                self.inputs.push(input);
                self.inputs.len() - 1
            }
        };
        self.graph
            .input(u32::try_from(number).expect("a model has fewer than 2^32 inputs"))
    }
}

/// Why a model cannot be lowered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// A literal was wanted.
    #[error("'{0}' is not a literal of the model, so it cannot vary")]
    NotALiteral(String),
}

/// Lowers the right-hand side and every variable. `free` lists the literals that stay inputs.
///
/// # Errors
/// If `free` holds a variable that is not a literal.
pub fn lower(model: &Model, free: &[VariableId], style: Style) -> Result<Rhs, LowerError> {
    lower_some(model, free, style, |_| true)
}

/// The same for some variables and all that they refer to: the others have no value.
fn lower_some(
    model: &Model,
    free: &[VariableId],
    style: Style,
    is_asked_for: impl Fn(VariableId) -> bool,
) -> Result<Rhs, LowerError> {
    let mut graph = Graph::new(style);
    graph.set_states(model.states.len() as u32);
    let inputs = (0..model.states.len()).map(Input::State).collect();
    let mut rhs = Rhs {
        graph,
        inputs,
        derivatives: Vec::new(),
        variables: Vec::new(),
    };
    let states: Vec<Value> = (0..model.states.len())
        .map(|i| rhs.input(Input::State(i)))
        .collect();
    for &id in free {
        if !matches!(model.variable(id).kind, VariableKind::Literal(_)) {
            return Err(LowerError::NotALiteral(model.variable(id).name.clone()));
        }
        rhs.input(Input::Parameter(id));
    }
    rhs.graph.set_recognise(true);
    let mut values = vec![Value::NONE; model.variables.len()];
    let mut derivatives = vec![Value::NONE; model.states.len()];
    for (&id, &state) in model.states.iter().zip(&states) {
        values[id.0] = state;
    }
    for &id in model.order.iter().filter(|id| is_asked_for(**id)) {
        let variable = model.variable(id);
        match &variable.kind {
            VariableKind::State { index, .. } => {
                derivatives[*index] =
                    expression(&mut rhs.graph, model, &variable.rhs, &values, &derivatives);
            }
            VariableKind::Bound(Bound::Time) => values[id.0] = rhs.input(Input::Time),
            VariableKind::Bound(Bound::Pace) => values[id.0] = rhs.input(Input::Pace),
            VariableKind::Literal(number) => {
                values[id.0] = if free.contains(&id) {
                    rhs.input(Input::Parameter(id))
                } else {
                    rhs.graph.constant(*number)
                };
            }
            VariableKind::Bound(Bound::Other(_))
            | VariableKind::Constant
            | VariableKind::Intermediate => {
                values[id.0] =
                    expression(&mut rhs.graph, model, &variable.rhs, &values, &derivatives);
            }
        }
    }
    rhs.graph.set_recognise(false);
    rhs.derivatives = derivatives;
    rhs.variables = values;
    Ok(rhs)
}

/// The initial values of the states as arithmetic over the literals in `free`. Of the right-hand side there is only what they refer to;
/// every other variable is [`Value::NONE`].
///
/// # Errors
/// If `free` holds a variable that is not a literal.
pub fn initial_state(model: &Model, free: &[VariableId]) -> Result<(Rhs, Vec<Value>), LowerError> {
    let start = |id: VariableId| match &model.variable(id).kind {
        VariableKind::State { index, initial } => Some((*index, initial)),
        _ => None,
    };
    let starts = || model.states.iter().filter_map(|&id| start(id));
    let mut needed = vec![false; model.variables.len()];
    for (_, initial) in starts() {
        mark(initial, &mut needed);
    }
    // Each comes after all that it refers to.
    for &id in model.order.iter().rev() {
        if needed[id.0] {
            mark(&model.variable(id).rhs, &mut needed);
        }
    }
    let mut rhs = lower_some(model, free, Style::Plain, |id| needed[id.0])?;
    let mut initial = vec![Value::NONE; model.states.len()];
    for (index, expr) in starts() {
        initial[index] = expression(
            &mut rhs.graph,
            model,
            expr,
            &rhs.variables,
            &rhs.derivatives,
        );
    }
    Ok((rhs, initial))
}

/// Marks the variables that an expression names.
fn mark(expr: &Expr, named: &mut [bool]) {
    match &expr.kind {
        ExprKind::Number(..) => {}
        ExprKind::Variable(id) | ExprKind::Derivative(id) => named[id.0] = true,
        ExprKind::Apply(_, args) => args.iter().for_each(|a| mark(a, named)),
        ExprKind::Piecewise(branches, otherwise) => {
            for (condition, branch) in branches {
                mark(condition, named);
                mark(branch, named);
            }
            mark(otherwise, named);
        }
    }
}

fn expression(
    graph: &mut Graph,
    model: &Model,
    expr: &Expr,
    values: &[Value],
    derivatives: &[Value],
) -> Value {
    match &expr.kind {
        ExprKind::Number(number, _) => graph.constant(*number),
        ExprKind::Variable(id) => values[id.0],
        ExprKind::Derivative(id) => match model.variable(*id).kind {
            VariableKind::State { index, .. } => derivatives[index],
            _ => unreachable!("a checked model takes derivatives of states only"),
        },
        ExprKind::Apply(op, args) => {
            let args: Vec<Value> = args
                .iter()
                .map(|a| expression(graph, model, a, values, derivatives))
                .collect();
            match op {
                Op::Pow => power(graph, args[0], args[1]),
                op => graph.apply(*op, &args),
            }
        }
        ExprKind::Piecewise(branches, otherwise) => {
            let mut result = expression(graph, model, otherwise, values, derivatives);
            for (condition, branch) in branches.iter().rev() {
                let condition = expression(graph, model, condition, values, derivatives);
                let branch = expression(graph, model, branch, values, derivatives);
                result = graph.apply(Op::Select, &[condition, branch, result]);
            }
            result
        }
    }
}

/// Largest whole exponent written out as products.
const LARGEST_PRODUCT: f64 = 16.0;

fn power(graph: &mut Graph, base: Value, exponent: Value) -> Value {
    let constant = match graph.node(exponent) {
        super::Node::Apply(Op::Neg, [x, ..]) => graph.as_constant(x).map(|c| -c),
        _ => graph.as_constant(exponent),
    };
    match constant {
        Some(0.5) => graph.apply(Op::Sqrt, &[base]),
        Some(e) if e.fract() == 0.0 && e.abs() <= LARGEST_PRODUCT && e != 0.0 => {
            let product = whole_power(graph, base, e.abs() as u32);
            if e < 0.0 {
                let one = graph.constant(1.0);
                graph.div(one, product)
            } else {
                product
            }
        }
        _ => graph.apply(Op::Pow, &[base, exponent]),
    }
}

fn whole_power(graph: &mut Graph, base: Value, exponent: u32) -> Value {
    let mut square = base;
    let mut left = exponent;
    let mut result: Option<Value> = None;
    while left > 0 {
        if left & 1 == 1 {
            result = Some(match result {
                None => square,
                Some(r) => graph.mul(r, square),
            });
        }
        left >>= 1;
        if left > 0 {
            square = graph.mul(square, square);
        }
    }
    result.expect("the exponent is positive")
}
