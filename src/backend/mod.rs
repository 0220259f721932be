//! Placeholder.
pub mod cpu;
pub mod reference;
