//! The only place that prints: data on standard output, messages on standard error.
//!
//! A reader that closes our standard output early ends the command with success. A standard error that cannot be written is
//! ignored: there is nobody left to tell.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;

use crate::diag::{self, Diagnostic, Source};

use super::exit::Failure;

/// When messages are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What `--color` said; 0 until it is known.
static COLOUR: AtomicU8 = AtomicU8::new(0);

/// Remembers what `--color` said.
pub(super) fn set_colour(colour: Colour) {
    COLOUR.store(colour as u8, Ordering::Relaxed);
}

/// Whether messages are coloured.
pub(super) fn coloured() -> bool {
    match COLOUR.load(Ordering::Relaxed) {
        c if c == Colour::Always as u8 => true,
        c if c == Colour::Never as u8 => false,
        _ => stderr_is_for_people(),
    }
}

/// Whether standard error is a terminal that takes colours and a progress bar.
pub(super) fn stderr_is_for_people() -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
    !plain && !dumb && std::io::stderr().is_terminal()
}

/// Writes data to standard output, all of it before it returns.
///
/// # Errors
/// [`Failure::ClosedPipe`] if the reader is gone, [`Failure::Machine`] if the text cannot be written otherwise.
pub fn data(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::stdout(&error))
}

/// Writes an object to standard output. Numbers are the shortest that read back as the same bits; what is not finite is
/// `null`.
///
/// # Errors
/// As [`data`].
pub fn json(value: &Value) -> Result<(), Failure> {
    data(&format!("{value:#}\n"))
}

/// Says that the command failed, and why.
pub fn error(message: &str) {
    match coloured() {
        true => write(&format!("\x1b[1;31merror\x1b[0m: {message}\n")),
        false => write(&format!("error: {message}\n")),
    }
}

/// Says something else than data: what was done, what to do next.
pub fn note(message: &str) {
    if !message.is_empty() {
        write(&format!("{message}\n"));
    }
}

/// Shows diagnostics with their places in the text.
pub fn diagnostics(diagnostics: &[Diagnostic], source: &Source) {
    if !diagnostics.is_empty() {
        write(&format!(
            "{}\n",
            diag::render_text(diagnostics, source, coloured())
        ));
    }
}

/// Writes to standard error, whatever becomes of it.
pub(super) fn write(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A number for people: the shortest text that reads back as the same bits, in powers of ten where that is shorter to read.
pub fn number(x: f64) -> String {
    let size = x.abs();
    if size != 0.0 && x.is_finite() && !(1e-4..1e15).contains(&size) {
        format!("{x:e}")
    } else {
        format!("{x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_the_same_bits() {
        for x in [
            0.0,
            -0.0,
            0.1,
            -75.0,
            1e-7,
            5e-324,
            f64::MAX,
            1.0 / 3.0,
            1e15,
            123456.789,
        ] {
            let back: f64 = number(x).parse().expect("a number");
            assert_eq!(back.to_bits(), x.to_bits(), "{}", number(x));
        }
        assert_eq!(number(1e-7), "1e-7");
        assert_eq!(number(-75.0), "-75");
        assert_eq!(number(f64::NAN), "NaN");
    }

    #[test]
    fn what_is_not_finite_is_null_in_json() {
        let value = serde_json::json!({ "a": f64::NAN, "b": f64::INFINITY, "c": 0.1 });
        assert_eq!(value.to_string(), r#"{"a":null,"b":null,"c":0.1}"#);
    }
}
