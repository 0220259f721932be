//! A fresh folder, the binary run in it, and what came of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde::Deserialize;
use tempfile::TempDir;

/// A small sound model.
pub const DECAY: &str = "\
[[model]]
name: decay
c.x = 2
[c]
t = 0 [ms] bind time
    in [ms]
k = 5 [ms]
    in [ms]
    desc: Time constant (assumption)
dot(x) = -x / k
    in [1]
y = 2 * x
    in [1]
";

/// What a command printed, and how it ended.
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Nothing on standard output, and this on standard error.
    #[track_caller]
    pub fn says(self, stderr: &str) {
        assert_eq!((self.stdout.as_str(), self.stderr.as_str()), ("", stderr));
    }
}

/// A fresh folder in which the binary runs.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Place {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub fn with(files: &[(&str, &[u8])]) -> Self {
        let place = Place::new();
        for (name, bytes) in files {
            fs::write(place.folder.path().join(name), bytes).expect("a file is written");
        }
        place
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a text of the same length in the place of another wherever a file holds it.
    #[track_caller]
    pub fn replace(&self, name: &str, text: &str, other: &str) {
        assert_eq!(text.len(), other.len());
        let path = self.path().join(name);
        let mut bytes = fs::read(&path).expect("a file is read");
        let places = bytes.windows(text.len()).enumerate();
        let places = places.filter(|(_, found)| *found == text.as_bytes());
        let places: Vec<usize> = places.map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "{name} does not hold {text}");
        for at in places {
            bytes[at..at + other.len()].copy_from_slice(other.as_bytes());
        }
        fs::write(&path, bytes).expect("a file is written");
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sarcolemma"));
        command
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null());
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"] {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(arguments).output().expect("the binary starts");
        let text = |bytes| String::from_utf8(bytes).expect("output is text");
        Outcome {
            code: status.code().expect("an exit code"),
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }

    #[track_caller]
    pub fn json<T: for<'a> Deserialize<'a>>(&self, arguments: &[&str]) -> T {
        let outcome = self.run(arguments).ends(0);
        assert_eq!(outcome.stderr, "");
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {}", outcome.stdout))
    }
}
