//! Rosenbrock methods: implicit steps that need one exact Jacobian, one factorisation and, for each stage, one linear solve.
//! A method is a [`Table`] of numbers; the arithmetic of a step is written here for all.
//!
//! `(1/(h γ) I - J) U_i = f(y + Σ a_ij U_j) + Σ (c_ij/h) U_j`, `y1 = y + Σ m_i U_i`, error `Σ e_i U_i`
//! (Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.7). Stages with the same argument share its
//! evaluation. Inputs that move linearly in time are states with a constant derivative, whose `U` are known in closed form;
//! they enter the other rows through their column of the Jacobian.

use nalgebra::{DMatrix, DVector};

use crate::ops::{Algebra, Op};
use crate::program::{Graph, Value};

use super::eliminate::factor;
use super::step_program::{Advance, Parts, Pivots, largest_so_far, least};
use super::{Jacobian, jacobian};

/// The numbers of a method with `m.len()` stages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    /// On the diagonal of every stage.
    pub gamma: f64,
    /// Weights of earlier stages in the argument of each stage; the first row is empty.
    pub a: &'static [&'static [f64]],
    /// Weights of earlier stages, over the step, in the right-hand side of each stage; the first row is empty.
    pub c: &'static [&'static [f64]],
    /// Weights of the stages in the step.
    pub m: &'static [f64],
    /// Weights of the stages in the error.
    pub e: &'static [f64],
    /// Power of the step with which the error falls.
    pub error_order: f64,
    /// First step, and first step after an edge, ms: one that a pulse of the usual strength leaves within the tolerance.
    pub first_step_ms: f64,
}

/// A method in its classical form, in which its conditions are written: `k_i = h f(y + Σ α_ij k_j) + h J Σ γ_ij k_j`,
/// `y1 = y + Σ b_i k_i`.
pub(super) struct Classical {
    /// Weights of the step.
    #[cfg(test)]
    pub b: DVector<f64>,
    /// Weights of the solution with which the step is compared.
    #[cfg(test)]
    pub embedded: DVector<f64>,
    /// α.
    pub alpha: DMatrix<f64>,
    /// α + Γ.
    pub beta: DMatrix<f64>,
    /// Γ, with γ on its diagonal.
    pub gamma: DMatrix<f64>,
}

impl Table {
    fn stages(&self) -> usize {
        self.m.len()
    }

    /// The classical form; `None` if the table is none of a method.
    pub(super) fn classical(&self) -> Option<Classical> {
        let n = self.stages();
        let lower = |rows: &[&[f64]]| {
            DMatrix::from_fn(n, n, |i, j| {
                rows.get(i).and_then(|r| r.get(j)).copied().unwrap_or(0.0)
            })
        };
        let gamma = (DMatrix::identity(n, n) / self.gamma - lower(self.c)).try_inverse()?;
        let alpha = lower(self.a) * &gamma;
        #[cfg(test)]
        let (m, e) = (
            DVector::from_column_slice(self.m),
            DVector::from_column_slice(self.e),
        );
        Some(Classical {
            #[cfg(test)]
            b: gamma.tr_mul(&m),
            #[cfg(test)]
            embedded: gamma.tr_mul(&(m - e)),
            beta: &alpha + &gamma,
            alpha,
            gamma,
        })
    }

    /// Weights `w` with which `Σ w_i U_i = h f + O(h^4)` at the start of the step, or `O(h^3)` where the stages are too few for
    /// that; of the smallest norm.
    ///
    /// For a state that follows the others almost at once, `f` is the small difference of large terms: an error δ of the state
    /// is an error `λ δ` of its slope, and over a long step the slope alone would carry an interpolation far away. The stages
    /// have passed through the matrix, which divides by λ again, so this slope is off by some δ a step.
    pub(super) fn slope_weights(&self) -> Vec<f64> {
        let n = self.stages();
        let one = DVector::repeat(n, 1.0);
        let weights = self.classical().and_then(|t| {
            // v = Γ' w are the weights of the k: Σ v = 1, no term in h^2 (v β 1 = 0), and none in h^3 (v β β 1 = 0, v α² = 0).
            let beta = &t.beta * &one;
            let alpha = &t.alpha * &one;
            let squares = alpha.component_mul(&alpha);
            let rows = [one.clone(), beta.clone(), &t.beta * &beta, squares]
                .map(|condition| (&t.gamma * condition).transpose());
            [4, 2].into_iter().find_map(|count| {
                let conditions = DMatrix::from_rows(&rows[..count]);
                let mut wanted = DVector::zeros(count);
                wanted[0] = 1.0;
                let w = conditions.clone().pseudo_inverse(1e-12).ok()? * &wanted;
                ((conditions * &w - wanted).amax() < 1e-9).then_some(w)
            })
        });
        // What rounding leaves of a weight of 0 would be an instruction a state.
        let tidy = |w: &f64| if w.abs() < 1e-12 { 0.0 } else { *w };
        weights.map_or_else(|| vec![0.0; n], |w| w.iter().map(tidy).collect())
    }
}

/// How far the slope of a dense output may lie from that of the stages, in errors of the step: the two differ by a term of
/// the size of the error where the solution is smooth.
const SLOPE_ERRORS: f64 = 4.0;

/// How fast a state may run away by itself, once all that is eliminated before it follows it, for a step to be seen as one that resolves what
/// grows: this share of the diagonal `1/(h γ)`, so of one part in `h γ`.
///
/// A method that damps the fastest modes damps growing ones as well if the step is long for them. A pivot of `1/(h γ) I - J` is the
/// diagonal less that rate, and where nothing feeds itself no pivot is below the diagonal. A real eigenvalue above the diagonal makes a
/// pivot negative; a pair that grows while it turns has growth on a diagonal too. A tenth: such a step still resolves a pair that turns four
/// times as fast as it grows.
const RUNAWAY: f64 = 0.1;

/// Pivots of the step's matrix without what calms: of the states that others follow and feed back to, such as potentials with their gates. Each
/// diagonal less what feeds the state, by itself and through those that follow it alone; what these take from it is left out.
///
/// A pair that grows while it turns is a state that feeds itself and one that calms it too late. Eliminated at a step that is long for the
/// turn, the second seems to calm at once, and the matrix itself shows nothing.
fn pivots_without_what_calms(
    g: &mut Graph,
    matrix: &Jacobian,
    e: Value,
) -> (Vec<usize>, Vec<Value>) {
    let entry = |i: usize, j: usize| matrix.rows[i].iter().find(|c| c.0 == j).map(|c| c.1);
    let zero = g.constant(0.0);
    let (mut hubs, mut diagonal) = (Vec::new(), Vec::new());
    for (state, row) in matrix.rows.iter().enumerate() {
        let follows =
            |k: usize| k != state && matrix.rows[k].iter().all(|&(j, _)| j == k || j == state);
        let followers = row.iter().filter(|&&(k, _)| follows(k));
        let loops: Vec<(usize, Value, Value)> = followers
            .filter_map(|&(k, from)| Some((k, from, entry(k, state)?)))
            .collect();
        if loops.is_empty() {
            continue;
        }
        let own = entry(state, state).unwrap_or(zero);
        let mut left = g.sub(e, own);
        for (k, from, to) in loops {
            // The pivot of a state that is eliminated as it stands, and its multiplier: both are there already.
            let own = entry(k, k).unwrap_or(zero);
            let pivot = g.sub(e, own);
            let inverse = g.apply(Op::Recip, &[pivot]);
            let from = g.neg(from);
            let multiplier = g.mul(from, inverse);
            let to = g.neg(to);
            let fed = g.mul(multiplier, to);
            let feeds = g.apply(Op::Lt, &[zero, fed]);
            let fed = g.apply(Op::Select, &[feeds, fed, zero]);
            left = g.sub(left, fed);
        }
        hubs.push(state);
        diagonal.push(left);
    }
    // What flows between them: two potentials on both sides of a resistance run away together.
    let n = hubs.len();
    let mut a: Vec<Vec<Option<Value>>> = vec![vec![None; n]; n];
    for (i, row) in a.iter_mut().enumerate() {
        for (j, cell) in row.iter_mut().enumerate() {
            *cell = match i == j {
                true => Some(diagonal[i]),
                false => entry(hubs[i], hubs[j]).map(|x| g.neg(x)),
            };
        }
    }
    let mut pivots = Vec::new();
    for k in 0..n {
        let pivot = a[k][k].unwrap_or(zero);
        pivots.push(pivot);
        let upper: Vec<(usize, Value)> = (k + 1..n).filter_map(|j| Some((j, a[k][j]?))).collect();
        for row in &mut a[k + 1..] {
            let Some(below) = row[k] else { continue };
            let inverse = g.apply(Op::Recip, &[pivot]);
            let multiplier = g.mul(below, inverse);
            for &(j, u) in &upper {
                let product = g.mul(multiplier, u);
                row[j] = Some(match row[j] {
                    Some(old) => g.sub(old, product),
                    None => g.neg(product),
                });
            }
        }
    }
    (hubs, pivots)
}

/// Writes one step of the method.
pub(super) fn advance(parts: &mut Parts, table: &Table, scales: &[f64], tolerance: f64) -> Advance {
    let states = parts.states.clone();
    let moving = parts.moving.clone();
    let n = states.len();
    let matrix = jacobian(&mut parts.rhs, &states);
    let moving_columns = jacobian(
        &mut parts.rhs,
        &moving.iter().map(|m| m.0).collect::<Vec<_>>(),
    );
    let g = &mut parts.rhs.graph;
    let inverse_step = g.apply(Op::Recip, &[parts.step]);
    let over_gamma = g.constant(1.0 / table.gamma);
    let e = g.mul(inverse_step, over_gamma);
    let factors = factor(g, &matrix, e);

    let step = parts.step;
    // U_i of an input that moves at rate s: h s times a number.
    let mut travel: Vec<f64> = Vec::new();
    for row in table.c {
        let carried: f64 = row.iter().zip(&travel).map(|(c, u)| c * u).sum();
        travel.push(table.gamma * (1.0 + carried));
    }
    let moved_by = |g: &mut Graph, rate: Value, factor: f64| {
        let c = g.constant(factor);
        let hc = g.mul(step, c);
        g.mul(hc, rate)
    };

    let mut evaluated: Vec<(&[f64], Vec<Value>)> = vec![(&[], parts.rhs.derivatives.clone())];
    let mut stages: Vec<Vec<Value>> = Vec::new();
    for (i, (a, c)) in table.a.iter().zip(table.c).enumerate() {
        let f = match evaluated.iter().find(|(of, _)| of == a) {
            Some((_, f)) => f.clone(),
            None => {
                let g = &mut parts.rhs.graph;
                let inner: Vec<Value> = (0..n)
                    .map(|k| weighted(g, Some(states[k]), a, &stages, k))
                    .collect();
                let share: f64 = a.iter().zip(&travel).map(|(a, u)| a * u).sum();
                let moved: Vec<Value> = moving
                    .iter()
                    .map(|&(input, rate)| {
                        let u = moved_by(g, rate, share);
                        g.add(input, u)
                    })
                    .collect();
                let f = parts.derivatives_at(&inner, &moved);
                evaluated.push((a, f.clone()));
                f
            }
        };
        let g = &mut parts.rhs.graph;
        let over_step: Vec<Value> = c
            .iter()
            .map(|&c| {
                let c = g.constant(c);
                g.mul(inverse_step, c)
            })
            .collect();
        let b: Vec<Value> = (0..n)
            .map(|k| {
                let mut b = f[k];
                for (j, &c) in over_step
                    .iter()
                    .enumerate()
                    .filter(|&(j, _)| table.c[i][j] != 0.0)
                {
                    let t = g.mul(stages[j][k], c);
                    b = g.add(b, t);
                }
                for &(column, entry) in &moving_columns.rows[k] {
                    let u = moved_by(g, moving[column].1, travel[i]);
                    let product = g.mul(entry, u);
                    b = g.add(b, product);
                }
                b
            })
            .collect();
        stages.push(factors.solve(g, &b));
    }

    let g = &mut parts.rhs.graph;
    let (unit, shares) = in_units_of_the_first(table.m);
    let unit = g.constant(unit);
    let change = (0..n)
        .map(|k| {
            let sum = weighted(g, None, &shares, &stages, k);
            g.mul(sum, unit)
        })
        .collect();
    let order = factors.order();
    let (unit, shares) = in_units_of_the_first(table.e);
    let mut errors = vec![step; n];
    for &k in &order {
        let error = weighted(g, None, &shares, &stages, k);
        errors[k] = g.apply(Op::Abs, &[error]);
    }
    let judged: Vec<Value> = order
        .iter()
        .map(|&k| {
            let w = g.constant(unit.abs() / (tolerance * scales[k]));
            g.mul(errors[k], w)
        })
        .collect();
    let judged = largest_so_far(&mut parts.rhs, &judged);
    let g = &mut parts.rhs.graph;
    let (hubs, mut hub_pivots) = pivots_without_what_calms(g, &matrix, e);
    let mut least_pivot: Vec<Value> = Vec::new();
    for pivots in factors.pivots() {
        let before = least_pivot.last().copied();
        let mut all: Vec<Value> = before.into_iter().chain(pivots.iter().copied()).collect();
        let members = &order[least_pivot.len()..][..pivots.len()];
        if members.iter().any(|k| hubs.contains(k)) {
            all.append(&mut hub_pivots);
        }
        let least = least(g, &all);
        least_pivot.extend(pivots.iter().map(|_| least));
    }
    let least_share = g.constant(1.0 - RUNAWAY);
    let least_allowed = g.mul(e, least_share);
    let (zero, one) = (g.constant(0.0), g.constant(1.0));
    let error = judged.last().copied().unwrap_or(zero);
    let fits = g.apply(Op::Le, &[error, one]);
    let slopes = slopes(
        g,
        table,
        &stages,
        &parts.rhs.derivatives,
        (&errors, unit.abs()),
        fits,
        inverse_step,
    );
    Advance {
        change,
        error: Some(error),
        order: order
            .into_iter()
            .zip(judged.into_iter().map(Some))
            .collect(),
        slopes: Some(slopes),
        pivots: Some(Pivots {
            least: least_pivot,
            allowed: least_allowed,
        }),
    }
}

/// The slope of each state at the start of the step, as an interpolation may use it: the derivative, held near the slope that
/// the stages give.
fn slopes(
    g: &mut Graph,
    table: &Table,
    stages: &[Vec<Value>],
    derivatives: &[Value],
    (errors, unit): (&[Value], f64),
    fits: Value,
    inverse_step: Value,
) -> Vec<Value> {
    let weights = table.slope_weights();
    let allowed = g.constant(SLOPE_ERRORS * unit);
    derivatives
        .iter()
        .zip(errors)
        .enumerate()
        .map(|(k, (&f, &error))| {
            let along = weighted(g, None, &weights, stages, k);
            let error = g.mul(error, allowed);
            let (least, most) = (g.sub(along, error), g.add(along, error));
            let (least, most) = (g.mul(least, inverse_step), g.mul(most, inverse_step));
            let held = g.apply(Op::Max, &[least, f]);
            let held = g.apply(Op::Min, &[most, held]);
            // The stages of a step that is too long may lie anywhere; its start, where the last piece ends, is sound.
            g.apply(Op::Select, &[fits, held, f])
        })
        .collect()
}

/// `start + Σ w_j U_j` of one state.
fn weighted(
    g: &mut Graph,
    start: Option<Value>,
    weights: &[f64],
    stages: &[Vec<Value>],
    state: usize,
) -> Value {
    let mut sum = start;
    for (&w, stage) in weights.iter().zip(stages).filter(|(w, _)| **w != 0.0) {
        let term = if w == 1.0 {
            stage[state]
        } else {
            let w = g.constant(w);
            g.mul(stage[state], w)
        };
        sum = Some(match sum {
            Some(sum) => g.add(sum, term),
            None => term,
        });
    }
    sum.unwrap_or_else(|| g.constant(0.0))
}

/// The first weight that is not 0, and all in units of it. A sum in which the first stage stands as it is needs a product less, and
/// the unit joins what is done to the sum.
fn in_units_of_the_first(weights: &[f64]) -> (f64, Vec<f64>) {
    let unit = weights.iter().find(|w| **w != 0.0).copied().unwrap_or(1.0);
    (unit, weights.iter().map(|w| w / unit).collect())
}
