//! How a command can end, and the one place that turns that into an exit code and a message.

use std::io;

use crate::diag::{Diagnostic, Source};

use super::output;

/// Done.
const DONE: u8 = 0;
/// A comparison or check fell outside its tolerance.
const OUTSIDE_TOLERANCE: u8 = 1;
/// The study, model or command line is wrong.
pub(super) const WRONG_INPUT: u8 = 2;
/// The machine failed, or we did.
pub(super) const MACHINE: u8 = 3;
/// Interrupted, resumable: 128 and the number of SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// The end of a command that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// The input is wrong, and what was printed has said how.
    Rejected,
}

/// Why a command could not do its work. The messages are lower case without a full stop; further lines may follow, such as
/// `help: …`.
#[derive(Clone, Debug)]
pub enum Failure {
    /// A text is wrong; the places are known. Warnings among the diagnostics are shown as well.
    Input {
        /// What is wrong.
        diagnostics: Vec<Diagnostic>,
        /// In which text.
        source: Box<Source>,
    },
    /// The command line is wrong, or a file that it names.
    Usage(String),
    /// A result lies outside its tolerance.
    Tolerance(String),
    /// The machine failed: disk full, device lost, out of memory.
    Machine(String),
    /// Stopped by the user; the message says how to go on.
    Interrupted(String),
    /// Whoever read our standard output has seen enough. Not an error.
    ClosedPipe,
}

impl Failure {
    /// The faults of a text.
    pub fn input(diagnostics: Vec<Diagnostic>, source: Source) -> Self {
        Failure::Input {
            diagnostics,
            source: Box::new(source),
        }
    }

    /// What a failed write to standard output means.
    pub fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::Machine(format!("cannot write to standard output: {error}")),
        }
    }

    /// What it means that a file named on the command line cannot be read or made: an input's fault, unless the machine is.
    pub fn file(doing: &str, path: &str, error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let reason = match error.kind() {
            Kind::NotFound => "there is no such file or directory".to_owned(),
            Kind::IsADirectory => "it is a directory".to_owned(),
            Kind::NotADirectory => "part of its path is not a directory".to_owned(),
            Kind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        let message = format!("cannot {doing} '{path}': {reason}");
        match error.kind() {
            Kind::NotFound
            | Kind::IsADirectory
            | Kind::NotADirectory
            | Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::InvalidFilename
            | Kind::InvalidInput => Failure::Usage(message),
            _ => Failure::Machine(message),
        }
    }
}

/// Tells the user how the command ended, where there is something to tell, and gives the process's exit code.
pub(super) fn code(end: Result<Exit, Failure>) -> u8 {
    match &end {
        Ok(_) | Err(Failure::ClosedPipe) => {}
        Err(Failure::Input {
            diagnostics,
            source,
        }) => {
            output::diagnostics(diagnostics, source);
            output::error(&count(diagnostics, &source.name));
        }
        Err(Failure::Usage(message) | Failure::Tolerance(message) | Failure::Machine(message)) => {
            output::error(message);
        }
        Err(Failure::Interrupted(message)) => output::note(message),
    }
    number(&end)
}

fn number(end: &Result<Exit, Failure>) -> u8 {
    match end {
        Ok(Exit::Done) | Err(Failure::ClosedPipe) => DONE,
        Ok(Exit::Rejected) | Err(Failure::Input { .. } | Failure::Usage(_)) => WRONG_INPUT,
        Err(Failure::Tolerance(_)) => OUTSIDE_TOLERANCE,
        Err(Failure::Machine(_)) => MACHINE,
        Err(Failure::Interrupted(_)) => INTERRUPTED,
    }
}

/// `2 faults and 1 warning in x.mmt`
fn count(diagnostics: &[Diagnostic], name: &str) -> String {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let say = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match warnings {
        0 => format!("{} in {name}", say(errors, "fault")),
        _ => format!(
            "{} and {} in {name}",
            say(errors, "fault"),
            say(warnings, "warning")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_documentation() {
        let fault = || Failure::input(vec![Diagnostic::error("E0104", "x")], Source::new("a", ""));
        assert_eq!(number(&Ok(Exit::Done)), 0);
        assert_eq!(number(&Ok(Exit::Rejected)), 2);
        assert_eq!(number(&Err(Failure::ClosedPipe)), 0);
        assert_eq!(number(&Err(Failure::Tolerance(String::new()))), 1);
        assert_eq!(number(&Err(fault())), 2);
        assert_eq!(number(&Err(Failure::Usage(String::new()))), 2);
        assert_eq!(number(&Err(Failure::Machine(String::new()))), 3);
        assert_eq!(number(&Err(Failure::Interrupted(String::new()))), 130);
    }

    #[test]
    fn faults_and_warnings_are_counted() {
        let error = || Diagnostic::error("E0104", "x");
        let warning = Diagnostic::warning("W0501", "y");
        assert_eq!(count(&[error()], "a.mmt"), "1 fault in a.mmt");
        assert_eq!(
            count(&[error(), warning, error()], "a.mmt"),
            "2 faults and 1 warning in a.mmt"
        );
    }

    #[test]
    fn a_full_disk_is_the_machine_and_a_missing_file_the_command_line() {
        let full = Failure::file("write", "a", &io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(full, Failure::Machine(_)), "{full:?}");
        let missing = Failure::file("read", "a", &io::Error::from(io::ErrorKind::NotFound));
        assert!(
            matches!(missing, Failure::Usage(m) if m == "cannot read 'a': there is no such file or directory")
        );
    }
}
