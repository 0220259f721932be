//! Features: what a study wants to know of an observable, gathered while a fibre is stepped, without keeping its trace.
//!
//! An engine gives every feature the course of its observable piece by piece: a [`Piece`] is a cubic in time, known by
//! value and slope at both ends. A feature keeps a few numbers per fibre, [`Gathered`], plain bytes that a checkpoint can hold.
//! What is gathered is exact for the cubics: peaks between the ends of a step count, and crossings have their times.
//!
//! ```
//! use sarcolemma::feature::{FeatureKind, FeatureSpec, Piece};
//! use sarcolemma::model::VariableId;
//! let spikes = FeatureSpec { threshold: 0.0, ..FeatureSpec::new("spikes", FeatureKind::Spikes, VariableId(0)) };
//! let mut gathered = spikes.start();
//! // A parabola from -1 up to 1 and back, all within one step.
//! let piece = Piece { t0: 0.0, t1: 1.0, g0: -1.0, d0: 8.0, g1: -1.0, d1: -8.0 };
//! let mut times = Vec::new();
//! spikes.feed(&mut gathered, &piece, &mut |t| times.push(t));
//! assert_eq!(spikes.values(&gathered), [1.0, times[0], times[0]]);
//! assert!((times[0] - (0.5 - 0.125_f64.sqrt())).abs() < 1e-12);
//! ```

mod cubic;
mod gather;
mod notice;
mod spec;
#[cfg(test)]
mod tests;

pub use cubic::Knots;
pub use gather::Gathered;
pub use notice::Pieces;
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
