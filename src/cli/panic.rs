//! A panic is our fault: it says so, with all that a report needs, and ends the process with the exit code of a failure.

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{exit, output};

/// From here on, panics of every thread are reported this way.
pub(super) fn report_as_ours() {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    std::panic::set_hook(Box::new(|info| {
        // Threads of a pool may panic one after the other; the first has said it.
        if !REPORTED.swap(true, Ordering::Relaxed) {
            output::write(&report(std::env::args_os(), info));
        }
    }));
}

/// Runs the command; a panic in it, or in a thread that it waits for, gives the code of a failed machine.
pub(super) fn caught(command: impl FnOnce() -> u8 + std::panic::UnwindSafe) -> u8 {
    std::panic::catch_unwind(command).unwrap_or(exit::MACHINE)
}

fn report(arguments: impl Iterator<Item = std::ffi::OsString>, info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "no message",
    };
    let place = info
        .location()
        .map_or_else(|| "unknown place".to_owned(), ToString::to_string);
    text(arguments, message, &place)
}

fn text(arguments: impl Iterator<Item = std::ffi::OsString>, message: &str, place: &str) -> String {
    let arguments: Vec<String> = arguments.skip(1).map(|a| format!("{a:?}")).collect();
    format!(
        "\nThis is a fault of sarcolemma, not of your input. Please report it with these lines and, if you can, the files:\n\
         \x20 version    {}\n\
         \x20 platform   {} {}\n\
         \x20 arguments  {}\n\
         \x20 place      {place}\n\
         \x20 message    {message}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        arguments.join(" "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_version_platform_arguments_and_place() {
        let arguments = ["sarcolemma", "run", "a b.toml"]
            .into_iter()
            .map(Into::into);
        let text = text(arguments, "index out of bounds", "src/x.rs:1:2");
        assert!(
            text.starts_with("\nThis is a fault of sarcolemma, not of your input."),
            "{text}"
        );
        for part in [
            env!("CARGO_PKG_VERSION"),
            std::env::consts::ARCH,
            r#""run" "a b.toml""#,
            "src/x.rs:1:2",
            "index out of bounds",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_panic_ends_with_the_code_of_a_failure() {
        assert_eq!(caught(|| panic!("made for a test")), 3);
        assert_eq!(caught(|| 0), 0);
    }
}
