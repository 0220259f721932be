//! The real binary, in a fresh folder: what it prints where, and with which code it ends.

mod json;
mod models;
#[allow(dead_code, reason = "the tests of other verbs use more of it")]
mod place;

use std::fs;
use std::process::Stdio;

use json::Devices;
use place::{DECAY, Outcome, Place};

#[test]
fn the_version_is_that_of_the_package() {
    let outcome = Place::new().run(&["--version"]).ends(0);
    assert_eq!(
        outcome.stdout,
        concat!("sarcolemma ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert_eq!(outcome.stderr, "");
}

#[test]
fn help_goes_to_standard_output_and_a_missing_verb_is_an_error() {
    let place = Place::new();
    let help = place.run(&["--help"]).ends(0);
    assert!(help.stdout.contains("Exit codes: 0 done"));
    assert_eq!(help.stderr, "");
    let nothing = place.run(&[]).ends(2);
    assert_eq!(nothing.stdout, "");
    assert!(nothing.stderr.contains("Usage: sarcolemma"));
}

#[test]
fn unknown_verbs_and_flags_are_answered_with_the_nearest() {
    let place = Place::new();
    let verb = place.run(&["chek"]).ends(2);
    assert!(
        verb.stderr.contains("a similar subcommand exists: 'check'"),
        "{}",
        verb.stderr
    );
    let flag = place.run(&["check", "x.mmt", "--jsn"]).ends(2);
    assert!(
        flag.stderr.contains("a similar argument exists: '--json'"),
        "{}",
        flag.stderr
    );
}

#[test]
fn devices_tells_what_can_compute() {
    let place = Place::new();
    let Devices {
        schema,
        cpu,
        gpus,
        auto,
        gpu_note,
    } = place.json(&["devices", "--json"]);
    assert_eq!(schema, 1);
    for (k, gpu) in gpus.iter().enumerate() {
        assert_eq!(gpu.number, k);
        assert_eq!(gpu.usable, gpu.why_not.is_none(), "{gpu:?}");
        assert_eq!(gpu.usable, gpu.summation.is_some(), "{gpu:?}");
    }
    // A software device is listed, and never taken by itself.
    let real = gpus.iter().find(|g| g.usable && !g.software);
    assert_eq!(auto, real.map_or("cpu", |g| &g.name));
    assert_eq!(gpu_note.is_none(), real.is_some());
    assert_eq!(cpu.architecture, std::env::consts::ARCH);
    assert_eq!(
        (
            cpu.simd_available.first(),
            cpu.simd_available.last().map(String::as_str)
        ),
        (Some(&cpu.simd), Some("baseline"))
    );
    let native = ["AVX-512", "AVX2"].contains(&cpu.simd.as_str());
    let kind = if native { "native" } else { "interpreter" };
    assert_eq!(cpu.engine, format!("{kind} {}", cpu.simd));
    assert!(cpu.threads >= 1);
    assert!(place.run(&["devices"]).ends(0).stdout.starts_with("cpu  "));
}

#[test]
fn completions_are_there_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let outcome = place.run(&["completions", shell]).ends(0);
        assert!(
            outcome.stdout.contains("sarcolemma") && outcome.stdout.contains("devices"),
            "{shell}"
        );
        assert_eq!(outcome.stderr, "");
    }
    place.run(&["completions", "csh"]).ends(2);
}

#[test]
fn a_new_study_is_written_once() {
    let place = Place::new();
    let outcome = place.run(&["new", "study.toml"]).ends(0);
    outcome.says("wrote study.toml; run it with: sarcolemma run study.toml\n");
    let written = fs::read_to_string(place.path().join("study.toml")).expect("a study");
    let table: toml::Table = written.parse().expect("TOML");
    assert_eq!(table["model"].as_str(), Some("hodgkin_huxley_1952"));
    assert!(table["population"]["parameters"].get("sodium.g").is_some());
    let again =
        "error: 'study.toml' exists already\nhelp: choose another name, or remove it first\n";
    place
        .run(&["new", "study.toml", "--model", "skeletal_fibre"])
        .ends(2)
        .says(again);
    assert_eq!(
        fs::read_to_string(place.path().join("study.toml")).expect("a study"),
        written
    );
    let missing = place.run(&["new", "no/such/study.toml"]).ends(2);
    missing.says("error: cannot write 'no/such/study.toml': there is no such file or directory\n");
    place
        .run(&["new", "other.toml", "--model", "skeletal_fiber"])
        .ends(2);
    assert!(!place.path().join("other.toml").exists());
}

#[test]
fn a_new_study_names_a_model_of_ones_own_relative_to_itself() {
    let place = Place::with(&[("decay.mmt", DECAY.as_bytes())]);
    fs::create_dir(place.path().join("studies")).expect("a folder");
    place
        .run(&["new", "studies/s.toml", "--model", "decay.mmt"])
        .ends(0);
    let study = fs::read_to_string(place.path().join("studies/s.toml")).expect("a study");
    let table: toml::Table = study.parse().expect("TOML");
    assert_eq!(table["model"].as_str(), Some("../decay.mmt"));
}

#[test]
fn colour_is_for_terminals_unless_asked_for() {
    let place = Place::with(&[("empty.mmt", b"")]);
    let plain = |o: &Outcome| !o.stderr.contains('\x1b');
    assert!(plain(&place.run(&["check", "empty.mmt"])));
    assert!(plain(&place.run(&[
        "check",
        "empty.mmt",
        "--color",
        "never"
    ])));
    let coloured = place
        .run(&["check", "empty.mmt", "--color", "always"])
        .ends(2);
    assert!(
        !plain(&coloured)
            && coloured
                .stderr
                .contains("\x1b[1;31merror\x1b[0m: 1 fault in empty.mmt")
    );
}

/// Where `zip` changes two factors together, no difference is the work of one of them, so the closing sentence is left out.
#[test]
fn the_closing_sentence_speaks_of_crossed_factors_only() {
    let study = |sampling: &str| {
        format!(
            r#"
model = "decay.mmt"
duration = "5 ms"
[population]
fibres = 40
sampling = "{sampling}"
[population.parameters]
"c.k" = {{ values = [1, 100] }}
"c.x" = {{ values = [2, 3] }}
[record]
variables = ["c.x"]
every = "1 ms"
[features]
left = {{ final = "c.x" }}
[summary]
by = ["c.k", "c.x"]
abnormal = "left > 1"
[agreement]
fibres = 0
"#
        )
    };
    let (crossed, zipped) = (study("grid"), study("zip"));
    let place = Place::with(&[
        ("decay.mmt", DECAY.as_bytes()),
        ("crossed.toml", crossed.as_bytes()),
        ("zipped.toml", zipped.as_bytes()),
    ]);
    let said = |file| place.run(&["run", file, "--backend", "cpu"]).ends(0).stdout;
    let crossed = said("crossed.toml");
    assert!(
        crossed.contains("Share 'abnormal': c.k makes a clear difference"),
        "{crossed}"
    );
    let zipped = said("zipped.toml");
    assert!(zipped.contains("c.k"), "{zipped}");
    assert!(!zipped.contains("Share 'abnormal'"), "{zipped}");
}

/// A reader that takes nothing: its end of the pipe is closed before anything is written.
#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_error() {
    let place = Place::new();
    let verbs: [&[&str]; 6] = [
        &["models"],
        &["models", "skeletal_fibre"],
        &["step", "skeletal_fibre"],
        &["check", "skeletal_fibre"],
        &["completions", "zsh"],
        &["--help"],
    ];
    for arguments in verbs {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = place
            .command(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_the_machines_failure() {
    let place = Place::new();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("Linux has /dev/full");
    let output = place
        .command(&["models"])
        .stdout(full)
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .starts_with("error: cannot write to standard output: ")
    );
}
