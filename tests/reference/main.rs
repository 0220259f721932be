//! The reference backend on problems whose solution is known, and its handling of a protocol.

mod made;
mod problems;
mod protocol;
