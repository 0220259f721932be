//! The exact Jacobian of a right-hand side: which entries there are, and their formulas.

use crate::ops::Algebra;
use crate::program::{Rhs, Tangents, Value};

/// The non-zero entries of a Jacobian by row and column.
#[derive(Clone, Debug)]
pub struct Jacobian {
    /// `rows[i]` holds `(j, ∂f_i/∂y_j)`, columns ascending.
    pub rows: Vec<Vec<(usize, Value)>>,
}

impl Jacobian {
    /// Number of entries that are not zero by structure.
    pub fn n_entries(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }
}

/// Writes the Jacobian of the derivatives by `columns` (usually the states) into the graph of the right-hand side.
pub fn jacobian(rhs: &mut Rhs, columns: &[Value]) -> Jacobian {
    let one = rhs.graph.constant(1.0);
    let derivatives = rhs.derivatives.clone();
    let mut rows = vec![Vec::new(); derivatives.len()];
    for (j, &column) in columns.iter().enumerate() {
        let mut along = Tangents::new([(column, one)]);
        for (i, &f) in derivatives.iter().enumerate() {
            if let Some(entry) = along.of(&mut rhs.graph, f) {
                rows[i].push((j, entry));
            }
        }
    }
    Jacobian { rows }
}
