//! A model: `.mmt` text in, a checked [`Model`] or every fault of the text out.
//!
//! `lex` → `parse` → `syntax` (what was written) → `resolve` (names) → `check` (units, cycles, states) → [`Model`].

mod checked;

pub use checked::{Bound, Expr, ExprKind, Model, PacingEvent, Variable, VariableId, VariableKind};
