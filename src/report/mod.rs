//! What can be said of result files once they are written.
//!
//! Takes files that [`crate::store`] opens and gives plain values; how they are shown is the command line's business.
//! [`mod@compare`] says how far two results of one study are apart, [`verdict`] whether that is near enough, [`worst`] which fibres differ
//! most. [`replay`] takes one fibre out of a file, ready to be run again; [`redone`] puts what came of it beside what the file has.
//! [`join`] puts the parts of a population together; [`rest`] makes what is left of a run that was cut off.

pub mod compare;
pub mod join;
pub mod redone;
pub mod replay;
pub mod rest;
mod same_study;
pub mod verdict;
pub mod worst;

pub use compare::{Comparison, compare};
pub use verdict::{Limits, Offence};
