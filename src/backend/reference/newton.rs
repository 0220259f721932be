//! The two programs of a Newton iteration, over as many fibres at once as a vector has lanes: the factors of the iteration's matrix, and by how much a
//! guess is to be changed.
//!
//! The formulas are those that the reference runs anyway, as they are written; their exact derivatives, the elimination and the
//! solution of the linear system are written out behind them as arithmetic, so that nothing is looked up while stepping.

use crate::backend::cpu::{Engine, Kernel, KernelMemory};
use crate::ops::{Algebra, Op};
use crate::program::{Graph, Hoisted, Program, Value, hoist, program};

use super::evaluate::evaluate;
use super::fibre::Moving;
use super::linear::Elimination;

/// Any number that is larger is no derivative.
const LARGEST: f64 = f64::MAX;

/// What the programs are made of.
pub(super) struct Parts<'a> {
    /// Formulas over the inputs; more is added here.
    pub(super) graph: &'a mut Graph,
    /// Which of the formulas' inputs may move in a fibre's course. The first are the states.
    pub(super) moves: &'a [bool],
    /// Derivatives of the states, per unit of the model's time.
    pub(super) rates: &'a [Value],
    /// What is not zero in the Jacobian, per unit of the model's time, in the order of the elimination's pattern; `None` on a diagonal without an entry.
    pub(super) jacobian: &'a [(usize, usize, Option<Value>)],
    pub(super) elimination: &'a Elimination,
    /// States that may be clamped.
    pub(super) clamped: Vec<usize>,
    pub(super) ms_per_time: f64,
}

/// The programs, and what of them stands still for a fibre.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    factor: Kernel,
    change: Kernel,
    factor_still: Program,
    change_still: Program,
    clamped: Vec<usize>,
    n_inputs: usize,
    n_states: usize,
    n_factors: usize,
}

impl Programs {
    pub(super) fn new(parts: Parts<'_>, engine: Engine) -> Self {
        let Parts {
            graph,
            moves,
            rates,
            jacobian,
            elimination,
            clamped,
            ms_per_time,
        } = parts;
        let (n_inputs, n_states, n_clamped) = (moves.len(), rates.len(), clamped.len());
        let mut next = n_inputs as u32;
        let mut inputs = |graph: &mut Graph, n: usize| -> Vec<Value> {
            let from = next;
            next += n as u32;
            (from..next).map(|number| graph.input(number)).collect()
        };
        let shift = inputs(graph, 1)[0];
        let held = inputs(graph, n_clamped);
        let n_factor_inputs = n_inputs + 1 + n_clamped;
        let held_rates = inputs(graph, n_clamped);
        let known = inputs(graph, n_states);
        let zero = graph.constant(0.0);
        let per_ms = graph.constant(ms_per_time);
        let largest = graph.constant(LARGEST);
        let hold = |graph: &mut Graph, state: usize, value: Value, instead: &[Value]| match clamped
            .iter()
            .position(|&c| c == state)
        {
            Some(k) => graph.apply(Op::Select, &[held[k], instead[k], value]),
            None => value,
        };

        let mut entries = Vec::with_capacity(jacobian.len());
        for &(row, column, value) in jacobian {
            let mut entry = zero;
            if let Some(value) = value {
                // A power or a root at 0 may have an infinite derivative: without it the iteration is slower, with it there is none.
                let size = graph.apply(Op::Abs, &[value]);
                let is_number = graph.apply(Op::Le, &[size, largest]);
                let finite = graph.apply(Op::Select, &[is_number, value, zero]);
                let rate = graph.div(finite, per_ms);
                entry = hold(graph, row, rate, &vec![zero; n_clamped]);
            }
            entries.push(if row == column {
                graph.sub(shift, entry)
            } else {
                graph.neg(entry)
            });
        }
        let factors = elimination.factors_of(graph, &entries);
        let n_factors = factors.len();
        let factor = program(graph, &factors);

        let factors = inputs(graph, n_factors);
        let mut residual = Vec::with_capacity(n_states);
        for (i, (&rate, &known)) in rates.iter().zip(&known).enumerate() {
            let rate = graph.div(rate, per_ms);
            let rate = hold(graph, i, rate, &held_rates);
            let past = graph.mul(shift, known);
            residual.push(graph.sub(rate, past));
        }
        let solution = elimination.solution_of(graph, &factors, &residual);
        let change = program(graph, &solution);
        let n_change_inputs = next as usize;

        let part = |program: &Program, n: usize| {
            let all: Vec<bool> = (0..n)
                .map(|i| moves.get(i).copied().unwrap_or(true))
                .collect();
            hoist(program, &all)
        };
        let (factor, change) = (
            part(&factor, n_factor_inputs),
            part(&change, n_change_inputs),
        );
        let kernel = |parts: &Hoisted, n: usize| {
            Kernel::new(&parts.moving, n + parts.still.outputs.len(), engine)
        };
        // A few milliseconds of a large model's start for each, side by side. The thread is not one of rayon's: all that it has may be waiting
        // for these programs.
        let (factor_kernel, change_kernel) = std::thread::scope(|scope| {
            let factor_kernel = scope.spawn(|| kernel(&factor, n_factor_inputs));
            let change_kernel = kernel(&change, n_change_inputs);
            let factor_kernel = factor_kernel.join();
            (
                factor_kernel.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                change_kernel,
            )
        });
        Programs {
            factor: factor_kernel,
            change: change_kernel,
            factor_still: factor.still,
            change_still: change.still,
            clamped,
            n_inputs,
            n_states,
            n_factors,
        }
    }
}

/// The memory of an iteration over `N` lanes.
pub(super) struct Newton<'a, const N: usize> {
    programs: &'a Programs,
    factor: KernelMemory,
    change: KernelMemory,
}

impl<'a, const N: usize> Newton<'a, N> {
    pub(super) fn new(programs: &'a Programs) -> Self {
        Newton {
            programs,
            factor: programs.factor.memory(),
            change: programs.change.memory(),
        }
    }

    /// Another fibre in a lane: what stands still for it.
    pub(super) fn take(&mut self, lane: usize, moving: &Moving<'_>) {
        let p = self.programs;
        let parts = [
            (&p.factor_still, &mut self.factor),
            (&p.change_still, &mut self.change),
        ];
        for (still, memory) in parts {
            let values = evaluate(still, &moving.inputs);
            let (inputs, _) = memory.rows::<N>();
            let first = inputs.len() - values.len();
            for (row, value) in inputs[first..].iter_mut().zip(values) {
                row[lane] = value;
            }
        }
    }

    /// A segment begins in a lane.
    pub(super) fn enter(&mut self, lane: usize, moving: &Moving<'_>) {
        let p = self.programs;
        for memory in [&mut self.factor, &mut self.change] {
            let (inputs, _) = memory.rows::<N>();
            let formulas = inputs.iter_mut().zip(&moving.inputs[..p.n_inputs]);
            formulas.for_each(|(row, value)| row[lane] = *value);
            for (row, state) in inputs[p.n_inputs + 1..].iter_mut().zip(&p.clamped) {
                row[lane] = f64::from(u8::from(moving.held_rate(*state).is_some()));
            }
        }
        let (inputs, _) = self.change.rows::<N>();
        let first = p.n_inputs + 1 + p.clamped.len();
        for (row, state) in inputs[first..].iter_mut().zip(&p.clamped) {
            row[lane] = moving.held_rate(*state).unwrap_or(0.0);
        }
    }

    /// Begins a step in a lane: what moves by itself, at its end, and its shift.
    pub(super) fn aim(&mut self, lane: usize, moving: &Moving<'_>, at_ms: f64, shift: f64) {
        let p = self.programs;
        for memory in [&mut self.factor, &mut self.change] {
            let (inputs, _) = memory.rows::<N>();
            moving.each_moved(at_ms, |place, value| inputs[place][lane] = value);
            inputs[p.n_inputs][lane] = shift;
        }
    }

    /// Makes the factors of some lanes, at these states.
    #[inline(always)]
    pub(super) fn factor(&mut self, at: [Option<&[f64]>; N]) {
        let p = self.programs;
        let (inputs, _) = self.factor.rows::<N>();
        for (lane, state) in at.iter().enumerate() {
            if let Some(state) = state {
                let rows = inputs.iter_mut().zip(*state);
                rows.for_each(|(row, y)| row[lane] = *y);
            }
        }
        p.factor.run(&mut self.factor);
        let (_, made) = self.factor.rows::<N>();
        let (inputs, _) = self.change.rows::<N>();
        let first = p.n_inputs + 1 + 2 * p.clamped.len() + p.n_states;
        let kept = &mut inputs[first..first + p.n_factors];
        let wanted = at.map(|state| state.is_some());
        for (kept, made) in kept.iter_mut().zip(made) {
            for lane in 0..N {
                kept[lane] = if wanted[lane] { made[lane] } else { kept[lane] };
            }
        }
    }

    /// The guess of a lane.
    #[inline(always)]
    pub(super) fn guess(&mut self, lane: usize, end: &[f64], psi: &[f64], correction: &[f64]) {
        let p = self.programs;
        let (inputs, _) = self.change.rows::<N>();
        let (states, others) = inputs.split_at_mut(p.n_inputs);
        let known = &mut others[1 + 2 * p.clamped.len()..];
        let rows = states
            .iter_mut()
            .zip(known)
            .zip(end)
            .zip(psi)
            .zip(correction);
        for ((((state, known), end), psi), correction) in rows {
            state[lane] = *end;
            known[lane] = psi + correction;
        }
    }

    /// Computes the changes of all lanes.
    #[inline(always)]
    pub(super) fn iterate(&mut self) {
        self.programs.change.run(&mut self.change);
    }

    /// How much the guess of a lane is to be changed.
    #[inline(always)]
    pub(super) fn change(&mut self, lane: usize, change: &mut [f64]) {
        let (_, outputs) = self.change.rows::<N>();
        for (x, row) in change.iter_mut().zip(outputs) {
            *x = row[lane];
        }
    }
}
