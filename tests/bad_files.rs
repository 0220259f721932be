//! Files that are no results, or no whole ones, given to every verb that reads results: a clear error, never a panic, a hang or a huge
//! allocation.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "the tests of other verbs use more of it")]
#[path = "cli/place.rs"]
mod place;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use place::Place;
use sarcolemma::report::join::Parts;
use sarcolemma::report::rest::rest;
use sarcolemma::report::{Limits, compare};
use sarcolemma::run::sink::{Discard, Precision};
use sarcolemma::run::{Backend, Choices, Point};
use sarcolemma::store::{self, ResultFile};

const STUDY: &str = "\
title = 'Parts'
model = 'hodgkin_huxley_1952'
duration = '20 ms'
[population]
fibres = 12
[population.parameters]
'sodium.g' = { uniform = [90, 140] }
[[protocol.pulse]]
start = '5 ms'
length = '0.5 ms'
[record]
variables = ['membrane.V']
every = '0.5 ms'
fibres = [1, 2, 9]
[features]
spikes = { of = 'membrane.V', threshold = '0 mV' }
[agreement]
fibres = 4
";

/// Two parts, `1.h5` and `2.h5`, and the whole, `whole.h5`.
fn place() -> Place {
    let place = Place::with(&[("study.toml", STUDY.as_bytes())]);
    let run = |more: &[&str]| {
        let own = ["run", "study.toml", "--quiet", "--backend", "cpu"];
        place.run(&[&own[..], more].concat()).ends(0);
    };
    run(&["--shard", "1/2", "-o", "1.h5"]);
    run(&["--shard", "2/2", "-o", "2.h5"]);
    run(&["-o", "whole.h5"]);
    place
}

/// Every verb that reads a result, with a file in the place of a good one.
fn verbs(file: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["rerun", file, "--fibre", "1", "--backend", "cpu"],
        vec!["resume", file],
        vec!["merge", "out.h5", file, "2.h5", "--force"],
        vec!["merge", "out.h5", "1.h5", file, "--force"],
        vec!["compare", file, "whole.h5"],
        vec!["compare", "whole.h5", file],
    ]
}

/// A fixed sequence of numbers below `n`.
fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    move |n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    }
}

/// Bytes changed at random: bits of the structure, bytes anywhere, runs of one byte; every tenth is cut short.
fn mutated(
    good: &[u8],
    structure: usize,
    round: usize,
    below: &mut impl FnMut(usize) -> usize,
) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=below(3) {
        match round % 3 {
            0 => bytes[below(structure)] ^= 1 << below(8),
            1 => {
                let at = below(good.len());
                bytes[at] = below(256) as u8;
            }
            _ => {
                let at = below(bytes.len());
                let until = (at + below(64)).min(bytes.len());
                bytes[at..until].fill(below(256) as u8);
            }
        }
    }
    if round % 10 == 9 {
        bytes.truncate(below(good.len()));
    }
    bytes
}

fn structure(good: &[u8]) -> usize {
    good.windows(4).rposition(|w| w == b"GCOL").unwrap() + 4096
}

/// Joins into nothing and compares, as the verbs do.
fn read(place: &Path, part: &Path) -> Result<(), String> {
    let parts = Parts::open(&[part.to_owned(), place.join("2.h5")]).map_err(|e| e.to_string())?;
    let batch = parts.batch().map_err(|e| e.to_string())?;
    parts
        .join(&batch, &mut Discard, &|_| {}, &false.into())
        .map_err(|e| e.to_string())?;
    let open = |path: &Path| store::open(path).map_err(|e| e.to_string());
    let limits = Limits::default();
    compare(&open(part)?, &open(part)?, limits).map_err(|e| e.to_string())?;
    Ok(())
}

#[test]
fn a_thousand_mutated_parts_are_refused_or_joined() {
    let place = place();
    let good = fs::read(place.path().join("1.h5")).unwrap();
    let structure = structure(&good);
    let mut below = numbers();
    let (mut refused, mut sound) = (0, 0);
    let path = place.path().join("bad.h5");
    read(place.path(), &place.path().join("1.h5")).unwrap();
    for round in 0..1000 {
        fs::write(&path, mutated(&good, structure, round, &mut below)).unwrap();
        match read(place.path(), &path) {
            Ok(()) => sound += 1,
            Err(_) => refused += 1,
        }
    }
    println!("{refused} refused, {sound} read");
    assert!(
        refused > 200 && sound > 50,
        "{refused} refused, {sound} read"
    );
}

/// A run of the first part that was killed between two checkpoints.
fn cut_off(place: &Place) -> Vec<u8> {
    let path = place.path().join("cut.h5");
    for duration in ["100 ms", "1 s", "10 s"] {
        let own = [
            "run",
            "study.toml",
            "--quiet",
            "--backend",
            "cpu",
            "--force",
        ];
        let more = [
            "--duration",
            duration,
            "--checkpoint-every",
            "0 s",
            "-o",
            "cut.h5",
        ];
        let mut child = place.command(&[&own[..], &more].concat()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if let Ok(file) = store::open(&path)
                && matches!(file.latest_checkpoint(), Ok(Some(c)) if c.sequence > 1 && c.rows > 0)
            {
                child.kill().unwrap();
                child.wait().unwrap();
                return fs::read(&path).unwrap();
            }
        }
    }
    panic!("all runs were over before they could be killed");
}

/// Goes on with a file as `resume` does.
fn go_on(path: &Path) -> Result<(), String> {
    let file = store::open(path).map_err(|e| e.to_string())?;
    let choices = Choices {
        backend: Backend::Cpu,
        precision: Precision::F32,
        threads: 1,
        adapter: None,
        agreement_fibres: None,
    };
    let (_, batch) = rest(&file, &choices).map_err(|e| e.to_string())?;
    let (mut out, checkpoint) = ResultFile::reopen(path).map_err(|e| e.to_string())?;
    let batch = match checkpoint {
        Some(checkpoint) => batch.going_on(Point {
            state: checkpoint.state.into(),
            past: Arc::new(file),
        }),
        None => batch,
    };
    let end = batch.run(&mut out, &|_| {}, &false.into());
    end.map(drop).map_err(|e| e.to_string())
}

#[test]
fn a_thousand_mutated_runs_are_refused_or_gone_on_with() {
    let place = place();
    let good = cut_off(&place);
    let structure = structure(&good);
    // Syncs of a file in memory cost nothing.
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = memory.unwrap();
    let path = folder.path().join("bad.h5");
    fs::write(&path, &good).unwrap();
    go_on(&path).unwrap();
    let mut below = numbers();
    let (mut refused, mut sound) = (0, 0);
    for round in 0..1000 {
        fs::write(&path, mutated(&good, structure, round, &mut below)).unwrap();
        match go_on(&path) {
            Ok(()) => sound += 1,
            Err(_) => refused += 1,
        }
    }
    println!("{refused} refused, {sound} gone on with");
    assert!(
        refused > 200 && sound > 50,
        "{refused} refused, {sound} gone on with"
    );
}

/// Runs the binary with a gigabyte and a half of address space, and 20 s.
fn limited(place: &Place, arguments: &[&str]) -> (i32, String) {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg("ulimit -v 1500000; exec \"$0\" \"$@\"")
        .arg(env!("CARGO_BIN_EXE_sarcolemma"))
        .args(arguments)
        .current_dir(place.path())
        .env("RAYON_NUM_THREADS", "2")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("{arguments:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let code = output.status.code().unwrap_or(-1);
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
fn clearly_refused(place: &Place, arguments: &[&str], file: &str) {
    let (code, stderr) = limited(place, arguments);
    assert!(
        code == 2 || code == 3,
        "{arguments:?} ends with {code}: {stderr}"
    );
    assert!(stderr.starts_with("error: "), "{arguments:?}: {stderr}");
    assert!(stderr.contains(file), "{arguments:?}: {stderr}");
    assert!(
        !stderr.contains("panicked") && !stderr.contains("fault of sarcolemma"),
        "{stderr}"
    );
}

#[cfg(unix)]
#[test]
fn what_is_no_result_is_refused_by_every_verb() {
    let place = place();
    let path = |name: &str| place.path().join(name);
    let good = fs::read(path("1.h5")).unwrap();
    fs::write(path("text.h5"), "not a result\n").unwrap();
    fs::write(path("empty.h5"), "").unwrap();
    fs::create_dir(path("folder.h5")).unwrap();
    // The head of a netCDF-3 file, and one that goes on with whatever.
    fs::write(
        path("classic.h5"),
        [&b"CDF\x01\0\0\0\0"[..], &[0; 500]].concat(),
    )
    .unwrap();
    fs::write(path("half.h5"), &good[..good.len() / 2]).unwrap();
    fs::write(path("head.h5"), &good[..600]).unwrap();
    // Somebody else's.
    let other = hdf5::H5File::create(path("other.h5")).unwrap();
    let numbers = other.new_dataset::<f64>().shape([3]).create("x").unwrap();
    numbers.write_raw(&[1.0, 2.0, 3.0]).unwrap();
    other.close().unwrap();
    for file in [
        "text.h5",
        "empty.h5",
        "folder.h5",
        "classic.h5",
        "half.h5",
        "head.h5",
        "other.h5",
        "not_there.h5",
    ] {
        for arguments in verbs(file) {
            clearly_refused(&place, &arguments, file);
        }
    }
    assert!(!path("out.h5").exists() && !path("out.h5.unfinished").exists());
}

#[cfg(unix)]
#[test]
fn mutated_files_do_not_bring_the_binary_down() {
    let place = place();
    let good = fs::read(place.path().join("1.h5")).unwrap();
    let structure = structure(&good);
    let mut below = numbers();
    for round in 0..12 {
        let bytes = mutated(&good, structure, round * 7, &mut below);
        fs::write(place.path().join("bad.h5"), bytes).unwrap();
        let verbs = verbs("bad.h5");
        let arguments = &verbs[round % verbs.len()];
        let (code, stderr) = limited(&place, arguments);
        assert!(
            (0..=3).contains(&code),
            "{arguments:?} ends with {code}: {stderr}"
        );
        assert!(
            !stderr.contains("panicked") && !stderr.contains("fault of sarcolemma"),
            "{stderr}"
        );
    }
}
