//! `sarcolemma` runs populations of muscle fibres, each an ODE model with its own parameters, its own error-controlled
//! step and its own time, and streams what they do to one HDF5 file.
//!
//! The pipeline reads from top to bottom; a module imports only from those above it (`tests/layers.rs` holds the line):
//!
//! | module | takes | gives |
//! |---|---|---|
//! | [`diag`] | places in a text | diagnostics, rendered for people and for programs |
//! | [`units`] | unit text | dimension and scale, conversion, compatibility |
//! | [`ops`] | - | the table of arithmetic operations, one row each |
//! | [`model`] | `.mmt` text | a checked model, or every fault in the text |
//! | [`program`] | a model | straight-line arithmetic, simplified, and its derivatives |
//! | [`protocol`] | pulses, sets, clamps | segments of time between edges |
//! | [`feature`] | what a study asks of an observable | accumulators fed segment by segment |
//! | [`scheme`] | a right-hand side | a step program: one step of one fibre |
//! | [`backend`] | step programs, fibres, segments | fibres moved through time |
//! | [`study`] | a study's TOML | a validated study, its population and its plan |
//! | [`run`] | a study and a backend | samples, events and features, handed to a [`run::sink::Sink`] |
//! | [`store`] | what a run hands over | one durable HDF5 file, and its reading back |
//! | [`report`] | result files | summaries, comparisons, pictures |
//! | [`cli`] | a command line | text, JSON, exit codes |

pub mod backend;
pub mod cli;
pub mod diag;
pub mod feature;
pub mod model;
pub mod ops;
pub mod program;
pub mod protocol;
pub mod report;
pub mod run;
pub mod scheme;
pub mod store;
pub mod study;
pub mod units;
