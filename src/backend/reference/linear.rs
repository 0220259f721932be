//! Linear systems of the implicit method: sparse elimination in an order chosen once, with a dense one to fall back on.
//!
//! The matrices are `I/(γh) - J`, whose pattern never changes. Pivots are taken from the diagonal in the order of least
//! fill (Markowitz), as is usual for chemical kinetics: no search while stepping. That is not stable for every matrix.
//! The first step after an edge checks the backward error of a solution and asks for the dense factors, with pivoting, where
//! it is large. The steps behind it use the elimination written out as arithmetic: there a wrong solution shows as a Newton
//! iteration that does not converge, and the step is tried shorter, until the diagonal dominates.

use nalgebra::{DMatrix, DVector, Dyn, LU};

use crate::ops::{Algebra, Op};
use crate::program::{Graph, Value};

/// Where a square matrix has entries, row by row, columns ascending; the diagonal is always there.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    n: usize,
    /// `columns[rows[i]..rows[i + 1]]` are the columns of row `i`.
    rows: Vec<usize>,
    columns: Vec<usize>,
    /// Place of each diagonal entry among the columns.
    diagonal: Vec<usize>,
}

impl Pattern {
    /// The pattern with these entries `(row, column)` and the diagonal.
    pub(super) fn new(n: usize, entries: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut by_row = vec![std::collections::BTreeSet::new(); n];
        for (row, column) in entries {
            by_row[row].insert(column);
        }
        let (mut rows, mut columns, mut diagonal) = (vec![0], Vec::new(), Vec::new());
        for (i, mut row) in by_row.into_iter().enumerate() {
            row.insert(i);
            diagonal.push(columns.len() + row.range(..i).count());
            columns.extend(row);
            rows.push(columns.len());
        }
        Pattern {
            n,
            rows,
            columns,
            diagonal,
        }
    }

    /// Number of rows.
    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Place of an entry that is in the pattern.
    pub(super) fn place(&self, row: usize, column: usize) -> usize {
        let columns = &self.columns[self.rows[row]..self.rows[row + 1]];
        self.rows[row]
            + columns
                .binary_search(&column)
                .expect("the entry is in the pattern")
    }

    /// Column and place of each entry of a row.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        (self.rows[row]..self.rows[row + 1]).map(|place| (self.columns[place], place))
    }

    /// `matrix * x`.
    pub(super) fn multiply(&self, matrix: &[f64], x: &[f64], product: &mut [f64]) {
        for (i, p) in product.iter_mut().enumerate() {
            *p = self.row(i).map(|(j, place)| matrix[place] * x[j]).sum();
        }
    }

    /// The matrix with all its zeros.
    pub(super) fn dense(&self, matrix: &[f64]) -> DMatrix<f64> {
        let mut dense = DMatrix::zeros(self.n, self.n);
        for i in 0..self.n {
            for (j, place) in self.row(i) {
                dense[(i, j)] = matrix[place];
            }
        }
        dense
    }
}

/// The order of elimination for a pattern and where fill appears: found once, used by every factorisation.
#[derive(Clone, Debug)]
pub(super) struct Elimination {
    /// `order[k]` is the row and column eliminated at step `k`.
    order: Vec<usize>,
    /// Row pointers into `columns`, rows in the order of elimination.
    rows: Vec<usize>,
    /// Columns (numbered by step of elimination) of L and U together, ascending.
    columns: Vec<usize>,
    /// Place of each pivot.
    diagonal: Vec<usize>,
    /// For each entry of the pattern, its place in the factors.
    scatter: Vec<usize>,
}

impl Elimination {
    /// Chooses the order for a pattern.
    pub(super) fn new(pattern: &Pattern) -> Self {
        let n = pattern.n;
        let mut full = vec![vec![false; n]; n];
        for (i, row) in full.iter_mut().enumerate() {
            for (j, _) in pattern.row(i) {
                row[j] = true;
            }
        }
        let mut left: Vec<usize> = (0..n).collect();
        let mut order = Vec::with_capacity(n);
        while !left.is_empty() {
            let cost = |p: usize| {
                let in_row = left.iter().filter(|&&j| full[p][j]).count() - 1;
                let in_column = left.iter().filter(|&&i| full[i][p]).count() - 1;
                (in_row * in_column, p)
            };
            let pivot = left
                .iter()
                .copied()
                .min_by_key(|&p| cost(p))
                .expect("a row is left");
            left.retain(|&p| p != pivot);
            order.push(pivot);
            for &i in &left {
                if full[i][pivot] {
                    for &j in &left {
                        full[i][j] |= full[pivot][j];
                    }
                }
            }
        }
        let mut step_of = vec![0; n];
        for (k, &p) in order.iter().enumerate() {
            step_of[p] = k;
        }
        let (mut rows, mut columns, mut diagonal) = (vec![0], Vec::new(), Vec::new());
        for (k, &i) in order.iter().enumerate() {
            for (m, &j) in order.iter().enumerate() {
                if m == k {
                    diagonal.push(columns.len());
                }
                if full[i][j] {
                    columns.push(m);
                }
            }
            rows.push(columns.len());
        }
        let mut scatter = Vec::with_capacity(pattern.len());
        for i in 0..n {
            let row = step_of[i];
            for (j, _) in pattern.row(i) {
                let within = columns[rows[row]..rows[row + 1]].binary_search(&step_of[j]);
                scatter.push(rows[row] + within.expect("fill only adds entries"));
            }
        }
        Elimination {
            order,
            rows,
            columns,
            diagonal,
            scatter,
        }
    }
}

impl Elimination {
    /// The factors of a matrix, written out: `entries` are its values in the order of the pattern. L and U together, row by row in the
    /// order of elimination, with one over each pivot in its place.
    pub(super) fn factors_of(&self, graph: &mut Graph, entries: &[Value]) -> Vec<Value> {
        let mut factors: Vec<Option<Value>> = vec![None; self.columns.len()];
        for (&place, &entry) in self.scatter.iter().zip(entries) {
            factors[place] = Some(entry);
        }
        let n = self.order.len();
        let mut row: Vec<Option<Value>> = vec![None; n];
        for k in 0..n {
            let places = self.rows[k]..self.rows[k + 1];
            for place in places.clone() {
                row[self.columns[place]] = factors[place];
            }
            for &column in &self.columns[places.start..self.diagonal[k]] {
                let Some(entry) = row[column] else { continue };
                let Some(over_pivot) = factors[self.diagonal[column]] else {
                    continue;
                };
                let multiplier = graph.mul(entry, over_pivot);
                row[column] = Some(multiplier);
                let above = self.diagonal[column] + 1..self.rows[column + 1];
                for (&to, above) in self.columns[above.clone()].iter().zip(&factors[above]) {
                    let Some(above) = *above else { continue };
                    row[to] = Some(match row[to] {
                        Some(old) => graph.apply(Op::Fnma, &[multiplier, above, old]),
                        None => {
                            let product = graph.mul(multiplier, above);
                            graph.neg(product)
                        }
                    });
                }
            }
            for place in places {
                factors[place] = row[self.columns[place]];
            }
            let pivot = self.diagonal[k];
            factors[pivot] = factors[pivot].map(|p| graph.apply(Op::Recip, &[p]));
        }
        let zero = graph.constant(0.0);
        factors.into_iter().map(|f| f.unwrap_or(zero)).collect()
    }

    /// The solution of a system, written out, from the factors of its matrix.
    pub(super) fn solution_of(
        &self,
        graph: &mut Graph,
        factors: &[Value],
        right: &[Value],
    ) -> Vec<Value> {
        let n = self.order.len();
        let mut x: Vec<Value> = self.order.iter().map(|&i| right[i]).collect();
        for k in 0..n {
            for place in self.rows[k]..self.diagonal[k] {
                let known = x[self.columns[place]];
                x[k] = graph.apply(Op::Fnma, &[factors[place], known, x[k]]);
            }
        }
        for k in (0..n).rev() {
            for place in self.diagonal[k] + 1..self.rows[k + 1] {
                let known = x[self.columns[place]];
                x[k] = graph.apply(Op::Fnma, &[factors[place], known, x[k]]);
            }
            x[k] = graph.mul(x[k], factors[self.diagonal[k]]);
        }
        let mut solution = x.clone();
        for (&i, &value) in self.order.iter().zip(&x) {
            solution[i] = value;
        }
        solution
    }
}

/// The factors of one matrix `shift * I - J`.
#[derive(Clone, Debug)]
pub(super) struct Factors {
    entries: Vec<f64>,
    /// One over each pivot: a solution needs no division.
    over_pivots: Vec<f64>,
    row: Vec<f64>,
    right: Vec<f64>,
    dense: Option<LU<f64, Dyn, Dyn>>,
}

impl Factors {
    /// Memory for factors.
    pub(super) fn new(elimination: &Elimination) -> Self {
        let n = elimination.order.len();
        Factors {
            entries: vec![0.0; elimination.columns.len()],
            over_pivots: vec![0.0; n],
            row: vec![0.0; n],
            right: vec![0.0; n],
            dense: None,
        }
    }

    /// Factors `shift * I - jacobian` without a search for pivots; `false` if a pivot is zero or not finite.
    #[inline(always)]
    pub(super) fn factor(
        &mut self,
        e: &Elimination,
        pattern: &Pattern,
        jacobian: &[f64],
        shift: f64,
    ) -> bool {
        self.dense = None;
        self.entries.fill(0.0);
        for (&place, &j) in e.scatter.iter().zip(jacobian) {
            self.entries[place] = -j;
        }
        for &place in &pattern.diagonal {
            self.entries[e.scatter[place]] += shift;
        }
        for k in 0..e.order.len() {
            let (start, end, pivot) = (e.rows[k], e.rows[k + 1], e.diagonal[k]);
            for place in start..end {
                self.row[e.columns[place]] = self.entries[place];
            }
            for &column in &e.columns[start..pivot] {
                let above = e.diagonal[column] + 1..e.rows[column + 1];
                let multiplier = self.row[column] * self.over_pivots[column];
                self.row[column] = multiplier;
                for (&to, entry) in e.columns[above.clone()].iter().zip(&self.entries[above]) {
                    self.row[to] -= multiplier * entry;
                }
            }
            for place in start..end {
                self.entries[place] = self.row[e.columns[place]];
            }
            let size = self.entries[pivot].abs();
            if size == 0.0 || !size.is_finite() {
                return false;
            }
            self.over_pivots[k] = 1.0 / self.entries[pivot];
        }
        true
    }

    /// Factors `shift * I - jacobian` with pivoting; `false` if it is singular.
    pub(super) fn factor_dense(&mut self, pattern: &Pattern, jacobian: &[f64], shift: f64) -> bool {
        let mut matrix = -pattern.dense(jacobian);
        for i in 0..pattern.n {
            matrix[(i, i)] += shift;
        }
        let lu = LU::new(matrix);
        let regular = lu.is_invertible();
        self.dense = Some(lu);
        regular
    }

    /// Solves in place.
    #[inline(always)]
    pub(super) fn solve(&mut self, e: &Elimination, x: &mut [f64]) {
        if let Some(lu) = &self.dense {
            let mut right = DVector::from_column_slice(x);
            if lu.solve_mut(&mut right) {
                x.copy_from_slice(right.as_slice());
            } else {
                x.fill(f64::NAN);
            }
            return;
        }
        for (k, &i) in e.order.iter().enumerate() {
            let lower = e.rows[k]..e.diagonal[k];
            self.right[k] = x[i] - self.row_times(e, lower);
        }
        for (k, &i) in e.order.iter().enumerate().rev() {
            let upper = e.diagonal[k] + 1..e.rows[k + 1];
            let value = (self.right[k] - self.row_times(e, upper)) * self.over_pivots[k];
            self.right[k] = value;
            x[i] = value;
        }
    }

    /// The sum of a row's entries times what stands in their columns: two at a time, because an addition waits for the one before.
    #[inline(always)]
    fn row_times(&self, e: &Elimination, places: std::ops::Range<usize>) -> f64 {
        let (columns, entries) = (&e.columns[places.clone()], &self.entries[places]);
        let (mut even, mut odd) = (0.0, 0.0);
        let (columns, entries) = (columns.chunks(2), entries.chunks(2));
        for (columns, entries) in columns.zip(entries) {
            even += entries[0] * self.right[columns[0]];
            if let ([_, column], [_, entry]) = (columns, entries) {
                odd += entry * self.right[*column];
            }
        }
        even + odd
    }
}

/// The largest `|A x - b| / (|A| |x| + |b|)` over the rows, for `A = shift * I - jacobian`: how far from `A` and `b` a
/// system lies that `x` solves exactly (Oettli and Prager 1964).
pub(super) fn backward_error(
    pattern: &Pattern,
    jacobian: &[f64],
    shift: f64,
    x: &[f64],
    b: &[f64],
) -> f64 {
    let mut worst = 0.0f64;
    for i in 0..pattern.n {
        let (mut sum, mut size) = (shift * x[i] - b[i], (shift * x[i]).abs() + b[i].abs());
        for (j, place) in pattern.row(i) {
            let term = jacobian[place] * x[j];
            sum -= term;
            size += term.abs();
        }
        if size > 0.0 {
            let error = sum.abs() / size;
            // A NaN is as large as can be.
            worst = if error <= worst { worst } else { error };
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(n: usize, seed: u64) -> (Pattern, Vec<f64>) {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1u32 << 31)
        };
        let mut entries = Vec::new();
        for i in 0..n {
            for j in 0..n {
                if next() < 0.15 {
                    entries.push((i, j));
                }
            }
        }
        let pattern = Pattern::new(n, entries);
        let values = (0..pattern.len()).map(|_| next() - 0.5).collect();
        (pattern, values)
    }

    #[test]
    fn sparse_and_dense_factors_solve_the_same_system() {
        for seed in 0..20 {
            let (pattern, jacobian) = example(30, seed);
            let elimination = Elimination::new(&pattern);
            let mut factors = Factors::new(&elimination);
            let b: Vec<f64> = (0..30).map(|i| f64::from(i).sin()).collect();
            for shift in [3.0, 1e6] {
                for dense in [false, true] {
                    let regular = if dense {
                        factors.factor_dense(&pattern, &jacobian, shift)
                    } else {
                        factors.factor(&elimination, &pattern, &jacobian, shift)
                    };
                    assert!(regular);
                    let mut x = b.clone();
                    factors.solve(&elimination, &mut x);
                    // 30 rows, diagonally dominant: no growth to speak of.
                    let error = backward_error(&pattern, &jacobian, shift, &x, &b);
                    assert!(
                        error < 1e-14,
                        "seed {seed}, shift {shift}, dense {dense}: {error:e}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_written_out_elimination_solves_the_same_system() {
        use crate::program::{Style, program};

        for seed in 0..20 {
            let (pattern, jacobian) = example(30, seed);
            let elimination = Elimination::new(&pattern);
            let shift = 3.0;
            let mut graph = Graph::new(Style::Simplified);
            let entries: Vec<Value> = (0..pattern.len() as u32).map(|i| graph.input(i)).collect();
            let factors = elimination.factors_of(&mut graph, &entries);
            let right: Vec<Value> = (0..30)
                .map(|i| graph.input(pattern.len() as u32 + i))
                .collect();
            let solution = elimination.solution_of(&mut graph, &factors, &right);
            let b: Vec<f64> = (0..30).map(|i| f64::from(i).sin()).collect();
            let mut matrix: Vec<f64> = jacobian.iter().map(|j| -j).collect();
            pattern
                .diagonal
                .iter()
                .for_each(|&place| matrix[place] += shift);
            let inputs = [&matrix[..], &b].concat();
            let x = super::super::evaluate(&program(&graph, &solution), &inputs);
            let error = backward_error(&pattern, &jacobian, shift, &x, &b);
            // As above.
            assert!(error < 1e-14, "seed {seed}: {error:e}");
        }
    }

    #[test]
    fn a_zero_pivot_is_noticed_and_the_dense_factors_do_without_it() {
        // [[0, 1], [1, 0]] has no pivot on its diagonal.
        let pattern = Pattern::new(2, [(0, 1), (1, 0)]);
        let jacobian = [1.0, -1.0, -1.0, 1.0];
        let elimination = Elimination::new(&pattern);
        let mut factors = Factors::new(&elimination);
        assert!(!factors.factor(&elimination, &pattern, &jacobian, 1.0));
        assert!(factors.factor_dense(&pattern, &jacobian, 1.0));
        let mut x = [2.0, 3.0];
        factors.solve(&elimination, &mut x);
        assert_eq!(x, [3.0, 2.0]);
    }
}
