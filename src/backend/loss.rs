//! Why a fibre was lost: the formula of the model that first gave no finite number, and what it was computed from.
//!
//! An engine runs one long optimised program and sees no more than a step without a finite result. Here the model's own formulas are
//! evaluated one by one, in the precision of that engine: at the last state at which all was well, then along the way that
//! the step would have gone. [`explain`] goes that way in three turns:
//!
//! 1. The state itself (a step may end where the next one cannot begin), and points on the way to where the scheme's step leads. A step without a finite result is halved until it
//!    has one; points a little beyond that are looked at too, because the stages of a step lie there.
//! 2. If every formula is finite there, their slopes: an implicit step is made of them (a root has none at 0).
//! 3. If those are finite too, nothing is undefined: a state ran away faster than the smallest step can follow.
//!
//! A formula is to blame if its value is not finite and all that it reads is. What is infinite and does no harm, such as the
//! exponential of a steep curve far out, leads to no derivative and is not named.

use crate::model::{Expr, ExprKind, Model, VariableId, VariableKind};
use crate::ops::{Algebra, Lane, eval};
use crate::program::{
    Input, LowerError, Node, Program, Rhs, Style, Tangents, Value, bound_exponentials, lower,
    program,
};
use crate::protocol::{Segment, Target, Tick, ms, tick};
use crate::scheme::StepProgram;

use super::{Experiment, course};

/// Where a fibre stood when it was lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Before {
    /// The last time at which all was well.
    pub at: Tick,
    /// Length of the step that failed, ms.
    pub tried_ms: f64,
    /// The states then.
    pub states: Vec<f64>,
    /// Time and states one step earlier; `None` at the start.
    pub earlier: Option<(Tick, Vec<f64>)>,
    /// The state that the engine named: the first one that was not finite, or the one that was moved most.
    pub culprit: usize,
}

/// The value of a variable, or the derivative of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// A variable's value.
    Value(VariableId),
    /// A state's derivative, per unit of the model's time.
    Rate(VariableId),
}

impl Quantity {
    /// The variable.
    pub fn id(self) -> VariableId {
        match self {
            Quantity::Value(id) | Quantity::Rate(id) => id,
        }
    }

    /// As a model spells it: `sodium.m`, `dot(sodium.m)`.
    pub fn name(self, model: &Model) -> String {
        match self {
            Quantity::Value(id) => model.variable(id).name.clone(),
            Quantity::Rate(id) => format!("dot({})", model.variable(id).name),
        }
    }
}

/// A quantity where the formula failed, and a step before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// What.
    pub of: Quantity,
    /// A step before.
    pub before: f64,
    /// Where the formula failed.
    pub then: f64,
}

/// What is the matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The formula gives no finite value.
    Value,
    /// Its value is finite, its slope by this state is not.
    Slope {
        /// The state.
        by: VariableId,
        /// The slope.
        slope: f64,
    },
    /// Every formula is finite: the state of this derivative runs away.
    Runaway,
}

/// The formula to blame.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What is the matter with it.
    pub fault: Fault,
    /// What it computes, with its values.
    pub formula: Reading,
    /// What it reads, in the order of its text.
    pub inputs: Vec<Reading>,
    /// The derivative through which it acts; the formula itself where that is one.
    pub derivative: VariableId,
    /// The time of the state a step before, ms; the same as `then_ms` where there is none.
    pub before_ms: f64,
    /// The time at which the formula failed, ms.
    pub then_ms: f64,
}

/// Explains the loss of a fibre in the arithmetic of `T`. `step` is the program of its steps in that precision; `bounded` says whether
/// exponentials are kept within the range, as in engines of lanes.
///
/// # Errors
/// If the model cannot be lowered.
pub fn explain<T: Lane>(
    experiment: &Experiment,
    parameters: &[f64],
    before: &Before,
    step: &StepProgram,
    bounded: bool,
) -> Result<Explanation, LowerError> {
    Search::<T>::new(experiment, parameters, before, bounded)?.explain(step)
}

/// Halvings of a step until it has a finite result: from seconds to far below the smallest step.
const MOST_HALVINGS: i32 = 60;
/// Points looked at, as shares of the way of the longest step with a finite result. Stages of a step that failed, twice as long, lie
/// within 2; a formula may be curved, hence a little more.
const SHARES: [f64; 9] = [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0];

struct Search<'a, T> {
    experiment: &'a Experiment,
    parameters: &'a [f64],
    before: &'a Before,
    rhs: Rhs,
    /// Outputs: derivatives of the states, then every variable.
    formulas: Program,
    precision: std::marker::PhantomData<T>,
}

/// All that the model computes at one point.
struct Point {
    at_ms: f64,
    rates: Vec<f64>,
    values: Vec<f64>,
}

impl<'a, T: Lane> Search<'a, T> {
    fn new(
        experiment: &'a Experiment,
        parameters: &'a [f64],
        before: &'a Before,
        bounded: bool,
    ) -> Result<Self, LowerError> {
        let rhs = lower(&experiment.model, &experiment.free_literals(), Style::Plain)?;
        let outputs: Vec<Value> = rhs
            .derivatives
            .iter()
            .chain(&rhs.variables)
            .copied()
            .collect();
        let formulas = program(&rhs.graph, &outputs);
        Ok(Search {
            experiment,
            parameters,
            before,
            formulas: if bounded {
                bound_exponentials(&formulas)
            } else {
                formulas
            },
            rhs,
            precision: std::marker::PhantomData,
        })
    }

    fn explain(mut self, step: &StepProgram) -> Result<Explanation, LowerError> {
        let start_ms = ms(self.before.at);
        let start = self.point(&self.before.states, start_ms);
        let earlier = self.before.earlier.as_ref();
        let earlier = earlier.map(|(at, states)| self.point(states, ms(*at)));
        if let Some(found) = self.blame(earlier.as_ref().unwrap_or(&start), &start) {
            return Ok(found);
        }
        let mut length_ms = self.before.tried_ms;
        let mut end = self.stepped(step, length_ms);
        let whole = end.iter().all(|x| x.is_finite());
        for _ in 0..MOST_HALVINGS {
            if end.iter().all(|x| x.is_finite()) {
                break;
            }
            length_ms *= 0.5;
            end = self.stepped(step, length_ms);
        }
        if end.iter().all(|x| x.is_finite()) {
            // A step that came to its end shows all that it met on the way.
            let furthest = if whole { 1.0 } else { f64::INFINITY };
            for share in SHARES.into_iter().filter(|s| *s <= furthest) {
                let along = |(x, y): (&f64, &f64)| x + share * (y - x);
                let states: Vec<f64> = self.before.states.iter().zip(&end).map(along).collect();
                let there = self.point(&states, start_ms + share * length_ms);
                if let Some(found) = self.blame(&start, &there) {
                    return Ok(found);
                }
            }
        }
        if !whole && let Some(found) = self.blame_slope(&start) {
            return Ok(found);
        }
        let state = self.experiment.model.states[self.before.culprit];
        let there = self.point(&end, start_ms + length_ms);
        Ok(self.named(
            Fault::Runaway,
            Quantity::Rate(state),
            state,
            &start,
            if whole { &there } else { &start },
        ))
    }

    /// The stretch of the protocol that holds at a time.
    fn segment(&self, at_ms: f64) -> Option<&'a Segment> {
        let segments = &self.experiment.schedule.segments;
        let at = tick(at_ms);
        let holds = |s: &&Segment| s.start <= at && at < s.end;
        segments.iter().find(holds).or(segments.last())
    }

    /// The program's inputs at a time and a state.
    fn inputs(&self, inputs: &[Input], states: &[f64], at_ms: f64, length_ms: f64) -> Vec<f64> {
        let model = &self.experiment.model;
        let driven = |target: Target| {
            let segment = self.segment(at_ms)?;
            let targets = &self.experiment.schedule.targets;
            let drive = segment.drives[targets.iter().position(|t| *t == target)?].as_ref()?;
            let (start, rate) = course(drive, segment, self.parameters);
            Some((start + rate * (at_ms - ms(segment.start)), rate))
        };
        let value = |input: &Input| match *input {
            Input::State(i) => states[i],
            Input::Parameter(id) => driven(Target::Parameter(id)).map_or_else(
                || self.experiment.own_value(id, self.parameters),
                |(value, _)| value,
            ),
            Input::Slope(id) => {
                driven(Target::Parameter(id)).map_or(0.0, |(_, rate)| rate * model.ms_per_time)
            }
            Input::Pace => driven(Target::Pace).map_or(0.0, |(value, _)| value),
            Input::Time => at_ms / model.ms_per_time,
            Input::Clamped(i) => f64::from(u8::from(self.is_held(model.states[i], at_ms))),
            Input::Step => length_ms / model.ms_per_time,
            Input::Lost(_) | Input::LastError => 0.0,
        };
        inputs.iter().map(value).collect()
    }

    fn is_held(&self, state: VariableId, at_ms: f64) -> bool {
        let targets = &self.experiment.schedule.targets;
        let place = targets.iter().position(|t| *t == Target::Clamp(state));
        let drive = place
            .zip(self.segment(at_ms))
            .map(|(k, s)| s.drives[k].is_some());
        drive == Some(true)
    }

    fn point(&self, states: &[f64], at_ms: f64) -> Point {
        let inputs = self.inputs(&self.rhs.inputs, states, at_ms, 0.0);
        let mut rates = evaluate_in::<T>(&self.formulas, &inputs);
        let values = rates.split_off(states.len());
        for (rate, &id) in rates.iter_mut().zip(&self.experiment.model.states) {
            if self.is_held(id, at_ms) {
                *rate = 0.0;
            }
        }
        Point {
            at_ms,
            rates,
            values,
        }
    }

    /// Where a step of this length leads.
    fn stepped(&self, step: &StepProgram, length_ms: f64) -> Vec<f64> {
        let (states, at_ms) = (&self.before.states, ms(self.before.at));
        let inputs = self.inputs(&step.inputs, states, at_ms, length_ms);
        let mut end = evaluate_in::<T>(&step.program, &inputs);
        end.truncate(step.n_states);
        end
    }

    fn value(&self, of: Quantity, point: &Point) -> f64 {
        match (of, &self.experiment.model.variable(of.id()).kind) {
            (Quantity::Rate(_), VariableKind::State { index, .. }) => point.rates[*index],
            (_, _) => point.values[of.id().0],
        }
    }

    /// The formula to blame if a derivative is not finite at a point.
    fn blame(&self, start: &Point, there: &Point) -> Option<Explanation> {
        let first = there.rates.iter().position(|x| !x.is_finite())?;
        let derivative = self.experiment.model.states[first];
        let origin = self.origin(Quantity::Rate(derivative), &|q| self.value(q, there));
        Some(self.named(Fault::Value, origin, derivative, start, there))
    }

    /// From a quantity that is not finite to the one behind it that is not, while all that it reads is.
    fn origin(&self, of: Quantity, value: &dyn Fn(Quantity) -> f64) -> Quantity {
        let mut origin = of;
        loop {
            let read = self.read_by(origin);
            let broken: Vec<Quantity> = read
                .into_iter()
                .filter(|q| !value(*q).is_finite())
                .collect();
            // What is no number comes from what is none, if there is such a thing; an infinity may be harmless.
            let none = value(origin).is_nan();
            let next = broken.iter().find(|q| value(**q).is_nan() == none);
            match next.or(broken.first()) {
                Some(&next) => origin = next,
                None => return origin,
            }
        }
    }

    /// What a formula reads, each once, in the order of its text.
    fn read_by(&self, of: Quantity) -> Vec<Quantity> {
        let variable = self.experiment.model.variable(of.id());
        let mut read = Vec::new();
        let is_formula = match (&variable.kind, of) {
            (VariableKind::State { .. }, Quantity::Rate(_))
            | (VariableKind::Constant | VariableKind::Intermediate, _) => true,
            (VariableKind::State { .. } | VariableKind::Bound(_) | VariableKind::Literal(_), _) => {
                false
            }
        };
        if is_formula {
            gather(&variable.rhs, &mut read);
        }
        read
    }

    fn named(
        &self,
        fault: Fault,
        of: Quantity,
        derivative: VariableId,
        start: &Point,
        there: &Point,
    ) -> Explanation {
        let reading = |of: Quantity| Reading {
            of,
            before: self.value(of, start),
            then: self.value(of, there),
        };
        Explanation {
            fault,
            formula: reading(of),
            inputs: self.read_by(of).into_iter().map(reading).collect(),
            derivative,
            before_ms: start.at_ms,
            then_ms: there.at_ms,
        }
    }

    /// The formula to blame if a slope of a derivative by a state is not finite at the last good state.
    fn blame_slope(&mut self, start: &Point) -> Option<Explanation> {
        let n = self.before.states.len();
        // As the reference has it: the formulas as written, and what is new simplified.
        self.rhs.graph.set_style(Style::Simplified);
        let one = self.rhs.graph.constant(1.0);
        let zero = self.rhs.graph.constant(0.0);
        for j in 0..n {
            let state = self.rhs.input(Input::State(j));
            let mut tangents = Tangents::new([(state, one)]);
            let outputs: Vec<Value> = (0..n + self.rhs.variables.len())
                .map(|i| {
                    let of = match i < n {
                        true => self.rhs.derivatives[i],
                        false => self.rhs.variables[i - n],
                    };
                    tangents.of(&mut self.rhs.graph, of).unwrap_or(zero)
                })
                .collect();
            let inputs = self.inputs(
                &self.rhs.inputs,
                &self.before.states,
                ms(self.before.at),
                0.0,
            );
            let slopes = evaluate_in::<T>(&program(&self.rhs.graph, &outputs), &inputs);
            let model = &self.experiment.model;
            let slope = |of: Quantity| match (of, &model.variable(of.id()).kind) {
                (Quantity::Rate(_), VariableKind::State { index, .. }) => slopes[*index],
                (_, _) => slopes[n + of.id().0],
            };
            let broken = (0..n)
                .find(|&i| !slopes[i].is_finite() && !self.is_held(model.states[i], start.at_ms));
            let Some(first) = broken else { continue };
            let derivative = model.states[first];
            let origin = self.origin(Quantity::Rate(derivative), &slope);
            let fault = Fault::Slope {
                by: model.states[j],
                slope: slope(origin),
            };
            return Some(self.named(fault, origin, derivative, start, start));
        }
        None
    }
}

/// The variables and derivatives in an expression, each once.
fn gather(expression: &Expr, read: &mut Vec<Quantity>) {
    let mut note = |quantity: Quantity| {
        if !read.contains(&quantity) {
            read.push(quantity);
        }
    };
    match &expression.kind {
        ExprKind::Number(..) => {}
        ExprKind::Variable(id) => note(Quantity::Value(*id)),
        ExprKind::Derivative(id) => note(Quantity::Rate(*id)),
        ExprKind::Apply(_, arguments) => arguments.iter().for_each(|a| gather(a, read)),
        ExprKind::Piecewise(branches, otherwise) => {
            for (condition, branch) in branches {
                gather(condition, read);
                gather(branch, read);
            }
            gather(otherwise, read);
        }
    }
}

/// The outputs of a program, in the arithmetic of `T`.
fn evaluate_in<T: Lane>(program: &Program, inputs: &[f64]) -> Vec<f64> {
    let mut found: Vec<T> = Vec::with_capacity(program.nodes.len());
    for node in &program.nodes {
        let at = |v: Value| match v {
            Value::NONE => T::default(),
            v => found[v.index()],
        };
        let value = match *node {
            Node::Constant(bits) => T::of(f64::from_bits(bits)),
            Node::Input(number) => T::of(inputs[number as usize]),
            Node::Apply(op, [a, b, c]) => eval(op, at(a), at(b), at(c)),
        };
        found.push(value);
    }
    program
        .outputs
        .iter()
        .map(|o| found[o.index()].f64())
        .collect()
}
