//! Diagnostics as data: what is wrong, where in which text, and what to do about it.
//!
//! Everything that reads a text (a model, a study) reports its faults as [`Diagnostic`] values and never prints. Only
//! [`crate::cli`] renders them, with [`render_text`] for people or [`render_json`] for programs. This module knows no domain.

/// A half-open range of byte offsets into a [`Source`]'s text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset one past the last byte.
    pub end: usize,
}

/// A text and the name under which messages speak of it (a path, as the user typed it).
#[derive(Clone, Debug)]
pub struct Source {
    /// Path or other name, shown before `line:column`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The input cannot be used.
    Error,
    /// The input can be used; something in it deserves a look.
    Warning,
}

/// A place and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is there; may be empty.
    pub message: String,
}

/// One fault: a stable identifier, one terse message, the places, and a suggestion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable identifier, such as `E0312`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop, with the value found and the value expected.
    pub message: String,
    /// The place where it is wrong; `None` only where no text is at fault.
    pub primary: Option<Label>,
    /// Other places that matter (the first definition of a doubled name, the members of a cycle).
    pub secondary: Vec<Label>,
    /// What to do: `did you mean 'membrane.V'?`
    pub help: Option<String>,
}
