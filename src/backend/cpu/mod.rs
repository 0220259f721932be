//! The CPU backend: a block interpreter over lanes, each lane a fibre with its own step and its own time.

mod interpret;
mod tape;

pub use interpret::Simd;
