//! Bad input through the real binary: the right exit code, one message that says what and where, nothing left behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cases;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use cases::{Case, MODEL, STUDY, case, command_lines, models, names, protocols, quantities, with};
use tempfile::TempDir;

/// What `run` left behind: every file of the folder with its length.
fn listing(folder: &Path) -> Vec<(String, u64)> {
    let mut files: Vec<(String, u64)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                entry.metadata().unwrap().len(),
            )
        })
        .collect();
    files.sort();
    files
}

fn folder(case: &Case) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("study.toml", &case.study);
    write("m.mmt", &case.model);
    write("two.csv", b"fibre,k\n0,5\n1,6\n");
    write("word.csv", b"k\n5\nmany\n6\n");
    folder
}

/// Runs the binary; its exit code and what it printed.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sarcolemma"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Number of messages: diagnostics with a place, else plain ones.
fn messages(stderr: &str) -> usize {
    let placed = stderr
        .lines()
        .filter(|line| line.starts_with("error["))
        .count();
    let plain = stderr
        .lines()
        .filter(|line| line.starts_with("error:"))
        .count();
    if placed > 0 { placed } else { plain }
}

/// Everything that is not as it should be with one case.
fn faults(case: &Case) -> Vec<String> {
    let folder = folder(case);
    let before = listing(folder.path());
    let arguments: Vec<&str> = ["run", "study.toml"]
        .iter()
        .chain(case.arguments)
        .copied()
        .collect();
    let (code, stdout, stderr) = run(folder.path(), &arguments);
    let mut faults = Vec::new();
    if code != Some(case.code) {
        faults.push(format!("exit code {code:?} instead of {}", case.code));
    }
    for part in case.says.iter().filter(|part| !stderr.contains(**part)) {
        faults.push(format!("the message lacks '{part}'"));
    }
    if messages(&stderr) != case.messages {
        faults.push(format!(
            "{} messages instead of {}",
            messages(&stderr),
            case.messages
        ));
    }
    if stderr.contains("fault of sarcolemma") || stderr.contains("panicked") {
        faults.push("a panic".to_owned());
    }
    if !stdout.is_empty() {
        faults.push(format!("standard output: {stdout}"));
    }
    if listing(folder.path()) != before {
        faults.push(format!("left behind: {:?}", listing(folder.path())));
    }
    if std::env::var_os("SHOW").is_some() {
        println!("### {}\n{stderr}", case.what);
    }
    if !faults.is_empty() {
        faults.push(stderr);
    }
    faults
}

fn check(cases: Vec<Case>) {
    let mut text = String::new();
    for case in &cases {
        let faults = faults(case);
        if !faults.is_empty() {
            text.push_str(&format!("\n### {}\n{}\n", case.what, faults.join("\n")));
        }
    }
    assert!(text.is_empty(), "{text}");
}

#[test]
fn the_sound_study_runs() {
    let folder = folder(&case("nothing", &[]));
    let (code, _, stderr) = run(folder.path(), &["run", "study.toml"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(folder.path().join("study.h5").exists());
}

/// Without `[record]` there are features only, or nothing but how each fibre ended.
#[test]
fn a_study_that_records_nothing_runs() {
    let record = "[record]\nvariables = ['c.V']\nevery = '1 ms'\n";
    for by in ["", "[features]\npeak = { max = 'c.V' }\n"] {
        for backend in ["cpu", "reference"] {
            let folder = folder(&Case {
                study: with(STUDY, record, by),
                ..case("nothing", &[])
            });
            let (code, _, stderr) =
                run(folder.path(), &["run", "study.toml", "--backend", backend]);
            assert_eq!(code, Some(0), "{stderr}");
            let file = sarcolemma::store::open(&folder.path().join("study.h5")).unwrap();
            assert_eq!(file.status().unwrap().len(), 3);
            assert_eq!(file.features().len(), usize::from(!by.is_empty()));
        }
    }
}

#[test]
fn a_study_that_names_the_references_scheme_is_run_by_the_reference() {
    let folder = folder(&Case {
        study: with(STUDY, "'ros3'", "'reference'"),
        ..case("nothing", &[])
    });
    let (code, _, stderr) = run(folder.path(), &["run", "study.toml"]);
    assert_eq!(code, Some(0), "{stderr}");
    let file = sarcolemma::store::open(&folder.path().join("study.h5")).unwrap();
    assert_eq!(
        (file.text("backend"), file.text("precision")),
        (Some("reference"), Some("f64"))
    );
}

#[test]
fn bad_quantities_are_refused_at_their_place() {
    check(quantities());
}

#[test]
fn bad_names_are_refused_at_their_place() {
    check(names());
}

#[test]
fn bad_protocols_are_refused_at_their_place() {
    check(protocols());
}

#[test]
fn bad_models_are_refused_at_their_place() {
    check(models());
}

#[test]
fn bad_command_lines_are_refused() {
    check(command_lines());
}

#[test]
fn texts_that_are_no_study_are_refused() {
    let base = || case("", &[]);
    let texts: [(&'static str, Vec<u8>, &'static [&'static str]); 6] = [
        ("an empty study", Vec::new(), &["'model' is missing"]),
        (
            "a study that is not UTF-8",
            b"model = '\xff'\n".to_vec(),
            &["study.toml", "not UTF-8", "line 1"],
        ),
        ("a study of zeros", vec![0; 64], &["study.toml:1:1"]),
        (
            "a study that is no TOML",
            b"model: x\n".to_vec(),
            &["study.toml:1:"],
        ),
        (
            "a model that is not there",
            with(STUDY, "m.mmt", "n.mmt"),
            &["study.toml:1:9", "n.mmt", "no such file"],
        ),
        (
            "a model that is a folder",
            with(STUDY, "m.mmt", "."),
            &["study.toml:1:9", "directory"],
        ),
    ];
    for (what, study, says) in texts {
        // An empty study lacks two keys; a line without an equals sign is neither a key nor has it a value.
        let messages = if matches!(
            what,
            "an empty study" | "a study of zeros" | "a study that is no TOML"
        ) {
            2
        } else {
            1
        };
        check(vec![Case {
            what,
            study,
            says,
            messages,
            ..base()
        }]);
    }
}

#[test]
fn nesting_without_end_is_refused_and_not_a_crash() {
    let deep = format!("x = {}1{}\n{STUDY}", "[".repeat(20_000), "]".repeat(20_000));
    let parts = format!("-x / k{}", " + (x".repeat(20_000));
    for (study, model) in [
        (deep.into_bytes(), MODEL.into()),
        (STUDY.into(), with(MODEL, "-x / k", &parts)),
    ] {
        let folder = folder(&Case {
            study,
            model,
            ..case("", &[])
        });
        let (code, _, stderr) = run(folder.path(), &["run", "study.toml"]);
        assert_eq!(code, Some(2), "{:.2000}", stderr);
        assert!(!folder.path().join("study.h5").exists());
    }
}

#[test]
fn a_study_that_is_not_there_is_refused() {
    let folder = folder(&case("", &[]));
    for name in ["no.toml", ".", "study.toml/x"] {
        let (code, stdout, stderr) = run(folder.path(), &["run", name]);
        assert_eq!(
            (code, stdout.as_str(), messages(&stderr)),
            (Some(2), "", 1),
            "{stderr}"
        );
        assert!(stderr.contains(name), "{stderr}");
    }
}

/// A folder that nobody can write to, root included.
#[cfg(target_os = "linux")]
#[test]
fn an_output_where_nothing_can_be_written_is_refused() {
    let folder = folder(&case("", &[]));
    let (code, _, stderr) = run(folder.path(), &["run", "study.toml", "-o", "/proc/out.h5"]);
    assert!(matches!(code, Some(2 | 3)), "{code:?} {stderr}");
    assert_eq!(messages(&stderr), 1, "{stderr}");
    assert!(stderr.contains("/proc"), "{stderr}");
    assert!(!stderr.contains("fault of sarcolemma"), "{stderr}");
}

/// In `check` units that do not fit are faults; in `run` and `step` only warnings, for published models have slips.
#[test]
fn units_that_do_not_fit_are_faults_of_check_and_warnings_of_run() {
    let folder = folder(&Case {
        model: with(MODEL, "k = 5 [ms]\n    in [ms]", "k = 5 [mV]\n    in [mV]"),
        ..case("", &[])
    });
    let (code, _, stderr) = run(folder.path(), &["check", "m.mmt"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("error[") && stderr.contains("m.mmt:"),
        "{stderr}"
    );
    let (code, _, stderr) = run(folder.path(), &["run", "study.toml"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("warning[") && stderr.contains("m.mmt:"),
        "{stderr}"
    );
}

/// An overwritten output is replaced only by a run that can start.
#[test]
fn a_refused_run_leaves_the_old_result_as_it_was() {
    let sound = folder(&case("", &[]));
    assert_eq!(run(sound.path(), &["run", "study.toml"]).0, Some(0));
    let old = fs::read(sound.path().join("study.h5")).unwrap();
    fs::write(
        sound.path().join("m.mmt"),
        with(MODEL, "-x / k", "sqrt(-x) / k"),
    )
    .unwrap();
    let (code, _, stderr) = run(sound.path(), &["run", "study.toml", "--force"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(fs::read(sound.path().join("study.h5")).unwrap() == old);
}
