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

mod nearest;
mod render;

pub use nearest::nearest;
pub use render::{render_json, render_text};

impl Span {
    /// The bytes from `start` up to `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Self {
        Span {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Span {
            start: range.start,
            end: range.end,
        }
    }
}

impl Source {
    /// A text and its name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Source {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Line and column of a byte, both counted from 1, the column in characters. A line ends with LF, CRLF or CR; an
    /// offset beyond the text is taken as its end, one inside a character as that character.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let bytes = self.text.as_bytes();
        let offset = offset.min(bytes.len());
        let (mut line, mut start) = (1, 0);
        for (i, byte) in bytes[..offset].iter().enumerate() {
            if *byte == b'\n' || (*byte == b'\r' && bytes.get(i + 1) != Some(&b'\n')) {
                line += 1;
                start = i + 1;
            }
        }
        // Every byte of a character but its first has the bits 10xxxxxx.
        let column = 1 + bytes[start..offset]
            .iter()
            .filter(|b| **b & 0xC0 != 0x80)
            .count();
        let inside = offset < bytes.len() && bytes[offset] & 0xC0 == 0x80;
        (line, column - usize::from(inside))
    }

    /// The text of a place; empty where it is out of range.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or("")
    }
}

impl Severity {
    /// `error` or `warning`.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

impl Diagnostic {
    /// A fault with which the input cannot be used.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            help: None,
        }
    }

    /// Something that deserves a look.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(code, message)
        }
    }

    /// The same with its place.
    #[must_use]
    pub fn at(mut self, span: Span, message: impl Into<String>) -> Self {
        self.primary = Some(Label {
            span,
            message: message.into(),
        });
        self
    }

    /// The same with one more place that matters.
    #[must_use]
    pub fn also(mut self, span: Span, message: impl Into<String>) -> Self {
        self.secondary.push(Label {
            span,
            message: message.into(),
        });
        self
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with `did you mean '…'?`, where there is a candidate.
    #[must_use]
    pub fn did_you_mean(self, candidate: Option<&str>) -> Self {
        match candidate {
            Some(name) => self.help(format!("did you mean '{name}'?")),
            None => self,
        }
    }

    /// Whether the input cannot be used because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Where it belongs among the diagnostics of one text: first those without a place, then by place.
    pub fn place(&self) -> usize {
        self.primary.as_ref().map_or(0, |label| label.span.start)
    }
}

#[cfg(test)]
mod tests;
