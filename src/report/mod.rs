//! What can be said of result files once they are written.
//!
//! Takes files that [`crate::store`] opens and gives plain values; how they are shown is the command line's business.
//! [`mod@compare`] says how far two results of one study are apart, [`verdict`] whether that is near enough.

pub mod compare;
pub mod redone;
pub mod replay;
mod same_study;
pub mod verdict;

pub use compare::{Comparison, compare};
pub use verdict::{Limits, Offence};
