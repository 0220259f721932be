//! The judge of all other backends: double precision, formulas as they are written, an implicit method whose error is
//! controlled, and a stop at every edge of the protocol.
//!
//! A [`Reference`] is built once for an [`Experiment`](crate::backend::Experiment) and runs a few fibres side by side (module `ensemble`), from any
//! number of threads. It is not for populations. What it shares with the fast engines are the model and the ops' own
//! bodies; the optimiser, the schemes and single precision are judged by it.
//!
//! - The method is a multistep one: numerical differentiation formulas of orders 1 to 5 (module `multistep`) with a modified Newton iteration
//!   (module `newton`), started after every edge by one step of Rodas5P (module `rodas`).
//! - The Jacobian is exact: derivatives of the formulas, evaluated as a program. Entries that are not finite count as 0.
//! - A step is accepted if the estimated error of *every* state is below a tenth of
//!   `relative * max(|y0|, |y1|) + absolute * scale`. The scale of a state is the largest magnitude that it has had, but
//!   at least 1 for a dimensionless one (a gate) and, for any other that starts at 0, at least 0.001 of its unit.
//! - Edges are hit exactly; after one, the step is chosen from the first two derivatives of the solution.
//! - A fibre whose step shrinks to [`SMALLEST_STEP_MS`] is lost.

mod ensemble;
mod evaluate;
mod fibre;
mod formulas;
mod integrate;
mod linear;
mod multistep;
mod newton;
mod rodas;
mod tape;
mod watch;

pub use ensemble::Fibres;
pub use evaluate::{evaluate, evaluate_into};
pub use fibre::{FibreEnd, Reference, ReferenceError, eigenvalues};
pub use integrate::{SMALLEST_STEP_MS, Tolerances, Work};
pub use tape::Tape;
