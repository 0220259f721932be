//! What machine code consists of: how many instructions of which kind one pass over a tile takes.

use super::allocate::{Allocated, Place, Step};
use super::primitive::Code;

/// Instructions of one pass over a tile, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Vectors of lanes that a pass computes.
    pub vectors: usize,
    /// Lanes of a vector.
    pub vector_lanes: usize,
    /// All instructions.
    pub all: usize,
    /// Sums, products and both in one.
    pub sums: usize,
    /// Divisions and square roots.
    pub divisions: usize,
    /// Choices between two values: a comparison and a blend each.
    pub choices: usize,
    /// Smaller and larger of two, roundings, and what moves bits.
    pub bits: usize,
    /// Calls of functions of Rust.
    pub calls: usize,
    /// Copies from register to register.
    pub moves: usize,
    /// Inputs and numbers that are read by an instruction of their own.
    pub loads: usize,
    /// Outputs.
    pub stores: usize,
    /// Values that were stored because registers ran out.
    pub spills: usize,
    /// Such values read again by an instruction of their own.
    pub reloads: usize,
}

impl Census {
    /// Counts the instructions; `vectors` are computed by one pass.
    pub(super) fn of(allocated: &Allocated, vectors: usize, vector_lanes: usize) -> Self {
        let mut census = Census {
            vectors,
            vector_lanes,
            ..Census::default()
        };
        for step in &allocated.steps {
            let (kind, n) = match step {
                Step::Load(_, Place::Slot(_)) => (&mut census.reloads, 1),
                Step::Load(..) => (&mut census.loads, 1),
                Step::Store(Place::Slot(_), _) => (&mut census.spills, 1),
                Step::Store(..) => (&mut census.stores, 1),
                Step::Move(..) => (&mut census.moves, 1),
                Step::Fused { .. } => (&mut census.sums, 1),
                Step::Choose { .. } => (&mut census.choices, 2),
                Step::Call(_) => (&mut census.calls, 1),
                Step::Border => continue,
                Step::One(code, ..) | Step::Two(code, ..) => match code {
                    Code::Add | Code::Sub | Code::Mul => (&mut census.sums, 1),
                    Code::Div | Code::Sqrt => (&mut census.divisions, 1),
                    _ => (&mut census.bits, 1),
                },
            };
            *kind += 1;
            census.all += n;
        }
        census
    }
}
