//! What a step program is, and how one is asked for.

use crate::model::{Model, VariableId};
use crate::ops::{Algebra, Op};
use crate::program::{
    Graph, Input, LowerError, Map, Program, Rhs, Style, Tangents, Value, bound_exponentials, fuse,
    lower, program_in_order, share_divisions, share_exponentials, step_first, substitute,
    write_out_sums,
};

use super::rosenbrock::Table;
use super::{euler, ros3, ros4, rosenbrock, rush_larsen};

/// A method of integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Forward Euler, fixed step, order 1.
    Euler,
    /// Rush and Larsen (1978): gates exactly for the present voltage, all else by forward Euler; fixed step.
    RushLarsen,
    /// Third-order L-stable Rosenbrock method with embedded error estimate (Sandu et al. 1997); every fibre its own step.
    Ros3,
    /// Fourth-order L-stable Rosenbrock method with two evaluations a step and embedded error estimate; every fibre its own step.
    Ros4,
}

impl Scheme {
    /// Every scheme, in the order in which they are listed to users.
    pub const ALL: [Scheme; 4] = [
        Scheme::Euler,
        Scheme::RushLarsen,
        Scheme::Ros3,
        Scheme::Ros4,
    ];

    /// As studies spell it.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Euler => "euler",
            Scheme::RushLarsen => "rush_larsen",
            Scheme::Ros3 => "ros3",
            Scheme::Ros4 => "ros4",
        }
    }

    /// The scheme of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Scheme::ALL.into_iter().find(|s| s.name() == name)
    }

    /// How steps are chosen.
    pub fn control(self) -> Control {
        match self.table() {
            None => Control::Fixed,
            Some(table) => Control::Adaptive {
                order: table.error_order,
                first_step_ms: table.first_step_ms,
            },
        }
    }

    /// The table of a Rosenbrock method.
    pub(super) fn table(self) -> Option<&'static Table> {
        match self {
            Scheme::Euler | Scheme::RushLarsen => None,
            Scheme::Ros3 => Some(&ros3::TABLE),
            Scheme::Ros4 => Some(&ros4::TABLE),
        }
    }
}

/// How a backend chooses the next step of a lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Control {
    /// One step for all; shortened to land on edges. The error output is 0 if every new state is finite, else above 1.
    Fixed,
    /// By the error output: a step is accepted if it is at most 1, and the next step is the present one times the growth output without
    /// its sign. Where that is negative the step may damp a mode that grows: see [`StepProgram::program`].
    Adaptive {
        /// Power of the step with which the error falls.
        order: f64,
        /// First step, and first step after an edge, ms.
        first_step_ms: f64,
    },
}

/// How the changes of a state are summed up over steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summation {
    /// The state alone. Enough in double precision; in single, half an ulp of a slow state swallows its changes.
    Plain,
    /// Kahan's: beside the state, what rounding has taken from it.
    Compensated,
    /// The state in whole quanta, and beside it the rest, less than one of them. A quantum is a power of two so large that sums of
    /// whole ones are exact in any order, and so small that the rest has digits to spare. For machines on which a
    /// compensated sum does not survive the compiler.
    Quanta,
}

impl Summation {
    /// As result files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Summation::Plain => "plain",
            Summation::Compensated => "compensated",
            Summation::Quanta => "quanta",
        }
    }
}

/// What the step program is to compute.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The model.
    pub model: &'a Model,
    /// Literals that are inputs.
    pub free: &'a [VariableId],
    /// Free literals that the protocol moves along ramps.
    pub ramped: &'a [VariableId],
    /// Indices of states that the protocol clamps at some time.
    pub clamped: &'a [usize],
    /// Quantities whose value and rate at the start of the step are outputs.
    pub observables: &'a [VariableId],
    /// The method.
    pub scheme: Scheme,
    /// How steps are summed up.
    pub summation: Summation,
    /// Size of each state against which errors are judged, by adaptive schemes; at least 1e-5 of what the state reaches.
    pub scales: &'a [f64],
    /// Error allowed in a step, relative to the scales; adaptive schemes only.
    pub tolerance: f64,
}

/// The arithmetic of one step of one fibre, from its inputs to its outputs.
#[derive(Clone, Debug)]
pub struct StepProgram {
    /// The method.
    pub scheme: Scheme,
    /// What each input of the program is.
    pub inputs: Vec<Input>,
    /// The arithmetic. Outputs: the new states; if compensated, what rounding has taken from each; the error; its
    /// logarithm, to be given back as [`Input::LastError`] of the step after an accepted one; the growth of the step, negative
    /// where a pivot of the step's matrix says that the step may be long beside a mode that grows; then value and rate (per
    /// unit of the model's time, at the start of the step) of every observable.
    pub program: Program,
    /// Number of states.
    pub n_states: usize,
    /// How steps are summed up. Unless plain, each state has a second number, in the inputs [`Input::Lost`] and among the outputs.
    pub summation: Summation,
    /// Number of observables.
    pub n_observables: usize,
}

impl StepProgram {
    /// Place of the error among the outputs.
    pub fn error_output(&self) -> usize {
        match self.summation {
            Summation::Plain => self.n_states,
            Summation::Compensated | Summation::Quanta => 2 * self.n_states,
        }
    }

    /// Place of an observable's value among the outputs; its rate follows.
    pub fn observable_output(&self, observable: usize) -> usize {
        self.error_output() + 3 + 2 * observable
    }
}

/// Why there is no step program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The model could not be lowered.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The Jacobian has no diagonal order of elimination.
    #[error("the Jacobian of '{0}' is singular for every step size")]
    Singular(String),
}

/// What a scheme builds on: the right-hand side, with clamps in it, and what moves beside the states.
pub(super) struct Parts {
    pub rhs: Rhs,
    /// Present states.
    pub states: Vec<Value>,
    /// Size of the step.
    pub step: Value,
    /// Inputs that move linearly in time, and their rates.
    pub moving: Vec<(Value, Value)>,
}

/// What a scheme gives.
pub(super) struct Advance {
    /// Change of each state over the step.
    pub change: Vec<Value>,
    /// Normalised error; `None` for a fixed step.
    pub error: Option<Value>,
    /// States in an order in which few values are alive at a time, and the largest error up to each.
    pub order: Vec<(usize, Option<Value>)>,
    /// Slope of each state at the start of the step, for interpolation; the derivatives themselves if `None`.
    pub slopes: Option<Vec<Value>>,
    /// Pivots of the step's matrix; `None` without a matrix.
    pub pivots: Option<Pivots>,
}

/// What the pivots of a step's matrix tell of modes that grow.
pub(super) struct Pivots {
    /// The least one up to the end of the block of each state of [`Advance::order`].
    pub least: Vec<Value>,
    /// The step may be too long for a mode that grows if a pivot is not above this.
    pub allowed: Value,
}

/// Builds the step program.
///
/// # Errors
/// If a free variable is not a literal.
pub fn build(request: &Request<'_>) -> Result<StepProgram, BuildError> {
    assemble(request, false).map(|(program, _)| program)
}

/// The step program of an adaptive scheme with more outputs behind its own, and the states in an order: each of the outputs is the
/// largest error of the states up to there, so the first that equals the error belongs to the state that limits the step.
///
/// # Errors
/// If a free variable is not a literal.
pub fn build_with_errors(request: &Request<'_>) -> Result<(StepProgram, Vec<usize>), BuildError> {
    assemble(request, true)
}

fn assemble(
    request: &Request<'_>,
    with_errors: bool,
) -> Result<(StepProgram, Vec<usize>), BuildError> {
    let mut rhs = lower(request.model, request.free, Style::Simplified)?;
    if request.scheme.table().is_some() {
        // Derivatives, factors, stages: for the shipped models three to five nodes for each of the formulas'.
        rhs.graph.reserve(4 * rhs.graph.nodes().len());
    }
    let n_states = request.model.states.len();
    let states: Vec<Value> = (0..n_states).map(|i| rhs.input(Input::State(i))).collect();
    for &i in request.clamped {
        let clamped = rhs.input(Input::Clamped(i));
        let zero = rhs.graph.constant(0.0);
        rhs.derivatives[i] = rhs
            .graph
            .apply(Op::Select, &[clamped, zero, rhs.derivatives[i]]);
    }
    let mut moving = Vec::new();
    if rhs.inputs.contains(&Input::Time) {
        let time = rhs.input(Input::Time);
        let one = rhs.graph.constant(1.0);
        moving.push((time, one));
    }
    for &id in request.ramped {
        let parameter = rhs.input(Input::Parameter(id));
        let slope = rhs.input(Input::Slope(id));
        moving.push((parameter, slope));
    }
    let step = rhs.input(Input::Step);

    let mut parts = Parts {
        rhs,
        states,
        step,
        moving,
    };
    let advance = match request.scheme {
        Scheme::Euler => euler::advance(&mut parts),
        Scheme::RushLarsen => rush_larsen::advance(&mut parts, request.model),
        Scheme::Ros3 => {
            rosenbrock::advance(&mut parts, &ros3::TABLE, request.scales, request.tolerance)
        }
        Scheme::Ros4 => {
            rosenbrock::advance(&mut parts, &ros4::TABLE, request.scales, request.tolerance)
        }
    };
    let Parts {
        mut rhs,
        states,
        moving,
        ..
    } = parts;
    let slopes = advance.slopes.as_ref().unwrap_or(&rhs.derivatives);
    let seeds = states.iter().copied().zip(slopes.iter().copied());
    let mut along = Tangents::new(seeds.chain(moving));
    let mut observed = Vec::new();
    for id in request.observables {
        let value = rhs.variables[id.0];
        let zero = rhs.graph.constant(0.0);
        let rate = along.of(&mut rhs.graph, value).unwrap_or(zero);
        observed.extend([value, rate]);
    }
    let Advance {
        mut change,
        mut error,
        mut order,
        mut pivots,
        ..
    } = advance;
    if request.summation == Summation::Quanta {
        // All is computed at whole quanta plus rest; the sums below take them apart again.
        let by: Map<Value, Value> = states
            .iter()
            .enumerate()
            .map(|(i, &whole)| {
                let rest = rhs.input(Input::Lost(i));
                (whole, rhs.graph.add(whole, rest))
            })
            .collect();
        let mut at_sum = |values: &[Value]| substitute(&mut rhs.graph, values, &by);
        change = at_sum(&change);
        observed = at_sum(&observed);
        error = error.map(|e| at_sum(&[e])[0]);
        for (_, e) in &mut order {
            *e = e.map(|e| at_sum(&[e])[0]);
        }
        if let Some(pivots) = &mut pivots {
            pivots.least = at_sum(&pivots.least);
        }
    }
    let mut outputs = Vec::new();
    let mut lost_after = Vec::new();
    for (i, (&state, &change)) in states.iter().zip(&change).enumerate() {
        match request.summation {
            Summation::Compensated => {
                // Kahan: what the sum could not take this time is taken off the next change.
                let lost = rhs.input(Input::Lost(i));
                let g = &mut rhs.graph;
                let due = g.sub(change, lost);
                let sum = g.add(state, due);
                let taken = g.sub(sum, state);
                lost_after.push(g.sub(taken, due));
                outputs.push(sum);
            }
            Summation::Quanta => {
                let rest = rhs.input(Input::Lost(i));
                let quantum = quantum(request, i);
                let (sum, rest) = add_quanta(&mut rhs.graph, (state, rest), change, quantum);
                outputs.push(sum);
                lost_after.push(rest);
            }
            Summation::Plain => outputs.push(rhs.graph.add(state, change)),
        }
    }
    let control = match error {
        Some(error) => growth(&mut rhs, error, pivots.as_ref(), request.scheme.control()),
        None => finite_check(&mut rhs, &outputs),
    };
    let n_sums = outputs.len() + lost_after.len();
    outputs.extend(lost_after);
    outputs.extend(control);
    outputs.extend(observed);
    // Block by block: a block's pivots before it is solved, a state's sums and its share of the error as soon as it is.
    let first: Vec<Value> = order
        .iter()
        .enumerate()
        .flat_map(|(k, &(i, error))| {
            [
                pivots.as_ref().and_then(|p| p.least.get(k)).copied(),
                Some(outputs[i]),
                lost_at(&outputs, n_states, i, request),
                error,
            ]
        })
        .flatten()
        .collect();
    debug_assert_eq!(outputs.len(), n_sums + 3 + 2 * request.observables.len());
    let mut judged = Vec::new();
    if with_errors {
        for &(state, error) in &order {
            if let Some(error) = error {
                judged.push(state);
                outputs.push(error);
            }
        }
    }
    let n_outputs = outputs.len();
    outputs.extend(first);
    let outputs = share_exponentials(&mut rhs.graph, &outputs);
    // In an adaptive step, most of which is linear algebra, that is no gain.
    let outputs = match request.scheme.control() {
        Control::Fixed => write_out_sums(&mut rhs.graph, &outputs),
        Control::Adaptive { .. } => outputs,
    };
    let mut outputs = share_divisions(&mut rhs.graph, &outputs);
    if request.scheme.control() == Control::Fixed {
        outputs = step_first(&mut rhs.graph, step, &outputs);
    }
    let first = outputs.split_off(n_outputs);
    let program = StepProgram {
        scheme: request.scheme,
        program: bound_exponentials(&fuse(&program_in_order(&rhs.graph, &first, &outputs))),
        inputs: rhs.inputs,
        n_states,
        summation: request.summation,
        n_observables: request.observables.len(),
    };
    Ok((program, judged))
}

/// The quantum of a state: a power of two. A scale is at least 1e-5 of what the state reaches, see [`Request::scales`]; so whole
/// quanta of 2^-12 of a hundred scales have 22 bits, and two to spare. The rest beside them has 24 bits of its own, to
/// 2^-36 of a hundred scales.
fn quantum(request: &Request<'_>, state: usize) -> f64 {
    let scale = request.scales.get(state).copied().unwrap_or(1.0);
    let exponent = (100.0 * scale).log2().ceil() - 12.0;
    // Within the range of single precision, the inverse included.
    exponent.clamp(-100.0, 100.0).exp2()
}

/// Whole quanta and the rest after a change. No compiler can undo it: rounding down stands between every difference and what it is
/// taken from, and sums of whole quanta are exact. A state that was set from outside is taken apart first.
fn add_quanta(
    g: &mut Graph,
    (state, rest): (Value, Value),
    change: Value,
    quantum: f64,
) -> (Value, Value) {
    let (size, inverse, half) = (
        g.constant(quantum),
        g.constant(1.0 / quantum),
        g.constant(0.5),
    );
    let whole = |g: &mut Graph, x: Value| {
        let x = g.mul(x, inverse);
        let x = g.add(x, half);
        let x = g.apply(Op::Floor, &[x]);
        g.mul(x, size)
    };
    let base = whole(g, state);
    let beside = g.sub(state, base);
    let due = g.add(rest, change);
    let due = g.add(beside, due);
    let moved = whole(g, due);
    (g.add(base, moved), g.sub(due, moved))
}

/// What is summed beside a state, if anything is.
fn lost_at(outputs: &[Value], n_states: usize, i: usize, request: &Request<'_>) -> Option<Value> {
    (request.summation != Summation::Plain).then(|| outputs[n_states + i])
}

/// Largest and smallest factor from one step to the next.
const GROWTH: (f64, f64) = (0.2, 5.0);
/// How much of the step that would just be accepted is taken.
const SAFETY: f64 = 0.85;
/// Below this an error counts as this much: it limits the memory of the controller, not the growth.
const SMALLEST_ERROR: f64 = 1e-6;

/// The proportional-integral controller (Gustafsson 1991): after an accepted step `0.85 last^(0.4/p) error^(-0.7/p)`, after a
/// rejected one `0.85 error^(-1/p)`. Gives the error, its logarithm and the growth, negative where a pivot is too small.
fn growth(rhs: &mut Rhs, error: Value, pivots: Option<&Pivots>, control: Control) -> [Value; 3] {
    let Control::Adaptive { order, .. } = control else {
        unreachable!("only adaptive schemes estimate an error")
    };
    let last = rhs.input(Input::LastError);
    let g = &mut rhs.graph;
    let floor = g.constant(SMALLEST_ERROR);
    let one = g.constant(1.0);
    let judged = g.apply(Op::Max, &[floor, error]);
    let logarithm = g.apply(Op::Log, &[judged]);
    let mut power = |slope_last: f64, slope_now: f64| {
        let (a, b, c) = (
            g.constant(slope_last / order),
            g.constant(-slope_now / order),
            g.constant(SAFETY.ln()),
        );
        let x = g.mul(last, a);
        let y = g.mul(logarithm, b);
        let sum = g.add(x, y);
        g.add(sum, c)
    };
    let (accepted, rejected) = (power(0.4, 0.7), power(0.0, 1.0));
    let fits = g.apply(Op::Le, &[error, one]);
    let exponent = g.apply(Op::Select, &[fits, accepted, rejected]);
    let factor = g.apply(Op::Exp, &[exponent]);
    let (least, most) = (g.constant(GROWTH.0), g.constant(GROWTH.1));
    let factor = g.apply(Op::Max, &[least, factor]);
    let mut factor = g.apply(Op::Min, &[most, factor]);
    if let Some((&least, pivots)) = pivots.and_then(|p| Some((p.least.last()?, p))) {
        let resolves = g.apply(Op::Lt, &[pivots.allowed, least]);
        let negative = g.neg(factor);
        factor = g.apply(Op::Select, &[resolves, factor, negative]);
    }
    [error, logarithm, factor]
}

/// An error of 0 if every value is a number of the single precision's range, else one that no step may have.
fn finite_check(rhs: &mut Rhs, values: &[Value]) -> [Value; 3] {
    let magnitudes: Vec<Value> = values
        .iter()
        .map(|&v| rhs.graph.apply(Op::Abs, &[v]))
        .collect();
    let largest = largest(rhs, &magnitudes);
    let g = &mut rhs.graph;
    let limit = g.constant(f64::from(f32::MAX));
    let fits = g.apply(Op::Le, &[largest, limit]);
    let (zero, two) = (g.constant(0.0), g.constant(2.0));
    let error = g.apply(Op::Select, &[fits, zero, two]);
    [error, zero, zero]
}

/// The largest of several values; NaN if any is.
fn largest(rhs: &mut Rhs, values: &[Value]) -> Value {
    let so_far = largest_so_far(rhs, values);
    so_far
        .last()
        .copied()
        .unwrap_or_else(|| rhs.graph.constant(0.0))
}

/// The largest of the values up to each; NaN from the first that is.
pub(super) fn largest_so_far(rhs: &mut Rhs, values: &[Value]) -> Vec<Value> {
    let mut so_far: Vec<Value> = Vec::with_capacity(values.len());
    for &v in values {
        let largest = match so_far.last() {
            None => v,
            // The chain of comparisons passes through the second argument, which is had in fewer steps.
            Some(&before) => rhs.graph.apply(Op::Max, &[v, before]),
        };
        so_far.push(largest);
    }
    so_far
}

/// The least of some values, those that are NaN left out: a comparison and a choice are one instruction of most processors.
pub(super) fn least(g: &mut Graph, values: &[Value]) -> Value {
    let least = values.iter().copied().reduce(|before, v| {
        let below = g.apply(Op::Lt, &[v, before]);
        g.apply(Op::Select, &[below, v, before])
    });
    least.unwrap_or_else(|| g.constant(f64::INFINITY))
}

impl Parts {
    /// The derivatives at other states and other values of what moves.
    pub(super) fn derivatives_at(&mut self, states: &[Value], moved: &[Value]) -> Vec<Value> {
        let by: Map<Value, Value> = self
            .states
            .iter()
            .copied()
            .zip(states.iter().copied())
            .chain(self.moving.iter().map(|m| m.0).zip(moved.iter().copied()))
            .collect();
        substitute(&mut self.rhs.graph, &self.rhs.derivatives, &by)
    }
}
