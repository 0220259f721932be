//! Features: what a study wants to know of an observable, gathered while a fibre is stepped, without keeping its trace.
//!
//! An engine gives every feature the course of its observable piece by piece: a [`Piece`] is a cubic in time, known by
//! value and slope at both ends. A feature keeps a few numbers per fibre, [`Gathered`], plain bytes that a checkpoint can hold.

mod cubic;
mod gather;
mod spec;
#[cfg(test)]
mod tests;

pub use cubic::Knots;
pub use gather::Gathered;
pub use spec::{FeatureColumn, FeatureKind, FeatureSpec, Measure};

/// The course of an observable over one accepted step: the cubic (Hermite) through both ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Start, ms.
    pub t0: f64,
    /// End, ms.
    pub t1: f64,
    /// Value at the start.
    pub g0: f64,
    /// Slope at the start, per ms.
    pub d0: f64,
    /// Value at the end.
    pub g1: f64,
    /// Slope at the end, per ms.
    pub d1: f64,
}
