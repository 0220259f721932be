//! Foreign, truncated and mutated files: refused with a reason or run, never a crash.

use std::fs;
use std::path::Path;

use sarcolemma::report::replay::recorded;
use sarcolemma::store;

use crate::place;

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

fn read(path: &Path) -> Result<(), String> {
    let file = store::open(path).map_err(|e| e.to_string())?;
    for fibre in [0, 4, 8] {
        recorded(&file, fibre).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// The study's and the model's text lie in the file without a checksum of HDF5's own: their hashes find a change.
#[test]
fn a_changed_text_is_found() {
    let place = place();
    place
        .run(&["run", "study.toml", "--quiet", "--backend", "cpu"])
        .ends(0);
    let path = place.path().join("study.h5");
    let good = fs::read(&path).unwrap();
    for (what, old, new) in [
        ("study", "duration = '60 ms'", "duration = '60 Ms'"),
        ("study", "settle = '50 ms'", "settle = '99 hs'"),
        ("model", "dot(z) = (u - z)", "dot(z) = (u + z)"),
    ] {
        let at = good
            .windows(old.len())
            .position(|w| w == old.as_bytes())
            .unwrap();
        let mut bytes = good.clone();
        bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
        fs::write(&path, bytes).unwrap();
        place.run(&["rerun", "study.h5", "--fibre", "1"]).ends(2).says(&format!(
            "error: study.h5 is damaged, or was changed: its {what}'s text has not the hash that it gives\n"
        ));
    }
}

#[test]
fn mutated_and_truncated_files_are_refused_or_read() {
    let place = place();
    place
        .run(&[
            "run",
            "study.toml",
            "--quiet",
            "--backend",
            "cpu",
            "--fibres",
            "9",
        ])
        .ends(0);
    let path = place.path().join("study.h5");
    let good = fs::read(&path).unwrap();
    let structure = good.windows(4).rposition(|w| w == b"GCOL").unwrap() + 4096;
    let mut below = numbers();
    let (mut refused, mut sound) = (0, 0);
    for round in 0..1000 {
        let mut bytes = good.clone();
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
        fs::write(&path, &bytes).unwrap();
        match read(&path) {
            Ok(()) => sound += 1,
            Err(error) => {
                assert!(error.contains("study.h5"), "{error}");
                refused += 1;
            }
        }
    }
    println!("{refused} refused, {sound} read");
    assert!(
        refused > 200 && sound > 100,
        "{refused} refused, {sound} read"
    );
}

#[test]
fn foreign_files_are_named_as_such() {
    let place = place();
    for (name, bytes) in [
        ("text.h5", &b"not a result"[..]),
        ("empty.h5", b""),
        ("signature.h5", b"\x89HDF\r\n\x1a\n"),
    ] {
        fs::write(place.path().join(name), bytes).unwrap();
        let outcome = place.run(&["rerun", name, "--fibre", "0"]).ends(2);
        assert!(
            outcome
                .stderr
                .starts_with(&format!("error: {name} is not a usable result file: ")),
            "{}",
            outcome.stderr
        );
    }
}
