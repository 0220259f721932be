//! The reference backend on problems whose solution is known, and its handling of a protocol.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ensemble;
mod made;
mod problems;
mod protocol;
