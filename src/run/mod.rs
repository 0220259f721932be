//! A run: fibres moved through time by a backend, what they give handed on slab by slab.



pub mod driver;
mod scales;
pub mod sink;

pub use scales::{Scales, scales};
