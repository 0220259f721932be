//! The command line: one file per verb; the only place that prints, colours and exits.

/// Runs the command line of this process and returns its exit code.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(2)
}
