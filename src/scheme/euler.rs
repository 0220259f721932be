//! Forward Euler: `y1 = y + h f(y)`. Order 1, stable while `h` is below two over the fastest rate.

use crate::ops::Algebra;

use super::step_program::{Advance, Parts};

pub(super) fn advance(parts: &mut Parts) -> Advance {
    let step = parts.step;
    let change = parts
        .rhs
        .derivatives
        .clone()
        .into_iter()
        .map(|f| parts.rhs.graph.mul(step, f))
        .collect();
    Advance {
        change,
        error: None,
        order: Vec::new(),
        slopes: None,
        pivots: None,
    }
}
