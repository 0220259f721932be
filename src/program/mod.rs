//! Programs: straight-line arithmetic, the one form in which every scheme and every backend sees a model.
//!
//! [`lower`] turns a checked model into a [`Graph`] of ops; the graph simplifies as nodes are added (`simplify`),
//! recognises forms with a removable singularity (`recognise`), and `differentiate` writes exact derivatives into it.
//! A [`Program`] is what remains when only what the outputs need is kept, in an order in which it can be run.

mod differentiate;
mod graph;
mod hoist;
mod lower;
mod map;
mod order;
mod recognise;
mod share;
mod sign;
mod simplify;
mod step_first;
mod substitute;

pub use differentiate::{Tangents, depends_on};
pub use graph::{Graph, Node, Style, Value};
pub use hoist::{Hoisted, hoist};
pub use lower::{Input, LowerError, Rhs, initial_state, lower};
pub(crate) use map::{Map, Places, Set};
pub use order::{Program, bound_exponentials, fuse, program, program_in_order};
pub use share::{share_divisions, share_exponentials, write_out_sums};
pub(crate) use sign::signs;
pub use step_first::step_first;
pub(crate) use substitute::substitute;

#[cfg(test)]
mod tests;
