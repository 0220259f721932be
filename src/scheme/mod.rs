//! Schemes: from a right-hand side to a *step program*, the arithmetic of one step of one fibre.
//!
//! A scheme is a transformation of programs, so a new one is one file and no backend changes. Backends know only how to
//! run a step program on many lanes, and what [`Control`] asks of them: keep a step size and a time per lane, accept or
//! reject by the error, land on edges.

mod eliminate;
mod euler;
mod jacobian;
mod ros3;
mod ros4;
mod rosenbrock;
mod rush_larsen;
mod step_program;

pub use jacobian::{Jacobian, jacobian};
pub use step_program::{
    BuildError, Control, Request, Scheme, StepProgram, Summation, build, build_with_errors,
};

#[cfg(test)]
mod tests;
