//! The arithmetic that models are made of: one row per operation, and each row is the whole truth of its operation.
//!
//! A row of `table` gives an op its spelling in a model, its number of arguments, its unit rule, its value and its
//! derivative. Name look-up, arity errors, unit checks, every evaluator and the tests are derived from the rows. Values are
//! computed by one generic body per op over [`Real`], so that the reference and the fast engine run the same
//! arithmetic; `f64` and `f32` are lanes, and loops over slices of them are what the compiler turns into SIMD.
//!
//! Truth values are numbers: a comparison gives 1 or 0, and anything but 0 counts as true.

mod lane;
mod names;
mod table;

pub use lane::{Lane, Real, scaled_in_halves, shifter};
pub(crate) use lane::{MEAN_EXP_NEAR, exp_double, exp_single, ln_double, ln_single, mean_exp_near};
pub use table::{Algebra, Op, UnitRule, eval};
pub(crate) use table::{BERNOULLI_NEAR, arity_kind, match_op};

#[cfg(test)]
mod tests;
