//! `run --shard` and `merge`: parts run anywhere are the whole, to the last bit, and nothing else is joined.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "cli/content.rs"]
mod content;
#[allow(dead_code, reason = "the tests of other verbs use more of it")]
#[path = "cli/place.rs"]
mod place;

use std::fs;

use content::same_content;
use place::Place;
use sarcolemma::store;
use serde_json::Value;

/// Fibres on both sides of a threshold; two features count spikes.
const STUDY: &str = "\
title = 'Parts'
model = 'hodgkin_huxley_1952'
duration = '60 ms'
[population]
fibres = 23
seed = 3
sampling = 'sobol'
[population.parameters]
'sodium.g' = { lognormal = { cv = 0.2 } }
'potassium.g' = { lognormal = { cv = 0.2 } }
[[protocol.pulse]]
start = '5 ms'
length = '0.5 ms'
period = '9 ms'
count = 6
[features]
spikes = { of = 'membrane.V', threshold = '0 mV' }
late = { of = 'membrane.V', threshold = '10 mV', after = '20 ms' }
peak = { max = 'membrane.V' }
[agreement]
fibres = 6
";
/// All fibres are recorded.
const ALL: &str = "[record]\nvariables = ['membrane.V', 'sodium.I']\nevery = '0.25 ms'\n";
/// Parts 2 and 4 of 5 hold none of these.
const SOME: &str =
    "[record]\nvariables = ['membrane.V']\nevery = '0.25 ms'\nfibres = [0, 3, 10, 11, 22]\n";

fn place(record: &str) -> Place {
    let study = STUDY.replace("[features]", &format!("{record}[features]"));
    Place::with(&[("study.toml", study.as_bytes())])
}

fn names(of: u64) -> Vec<String> {
    (1..=of)
        .map(|i| format!("study.shard-{i}-of-{of}.h5"))
        .collect()
}

/// Runs all parts, on more or fewer threads, and joins them back to front.
fn in_parts(place: &Place, of: u64, more: &[&str]) -> Value {
    for i in 1..=of {
        let (shard, threads) = (format!("{i}/{of}"), (1 + i % 3).to_string());
        let own = [
            "run",
            "study.toml",
            "--shard",
            &shard,
            "--threads",
            &threads,
        ];
        let all = [&own[..], &["--quiet", "--force"], more].concat();
        place.run(&all).ends(0);
    }
    let parts = names(of);
    let reversed = parts.iter().rev().map(String::as_str);
    let merge = ["merge", "joined.h5", "--json", "--force"].into_iter();
    place.json(&merge.chain(reversed).collect::<Vec<_>>())
}

#[test]
fn joined_parts_are_the_whole_to_the_last_bit() {
    for (record, of, more) in [
        (ALL, 3, &["--backend", "cpu"][..]),
        (SOME, 5, &["--backend", "cpu"]),
        ("", 4, &["--backend", "cpu"]),
        (SOME, 1, &["--backend", "cpu", "--precision", "f64"]),
        // As many parts as fibres.
        (
            ALL,
            7,
            &["--backend", "cpu", "--fibres", "7", "--duration", "30 ms"],
        ),
        (SOME, 2, &["--backend", "reference", "--duration", "20 ms"]),
    ] {
        let place = place(record);
        let whole = [&["run", "study.toml", "--json", "-o", "whole.h5"], more].concat();
        let whole: Value = place.json(&whole);
        let joined = in_parts(&place, of, more);
        let at = |name: &str| place.path().join(name);
        same_content(&at("whole.h5"), &at("joined.h5"), record);
        assert_eq!(joined["agreement"], whole["agreement"]);
        assert_eq!(joined["fibres"], whole["fibres"]);
        assert_eq!(joined["parts"][0], names(of)[0]);
        assert!(!at("joined.h5.unfinished").exists());
        if more.contains(&"cpu") {
            let near = whole["agreement"]["reruns"].as_array().unwrap();
            let near = near.iter().filter(|r| r["chosen"] == "near_threshold");
            // The choice among all fibres is part of what is equal.
            assert!(near.count() > 0 || of == 7, "{whole}");
        }
    }
}

#[test]
fn attributes_of_the_joined_file_are_those_of_the_whole() {
    let place = place(SOME);
    place
        .run(&["run", "study.toml", "--quiet", "--backend", "cpu"])
        .ends(0);
    in_parts(&place, 2, &["--backend", "cpu"]);
    let attributes = |name: &str| {
        let file = store::open(&place.path().join(name)).unwrap();
        let mut all = file.attributes();
        all.retain(|(name, _)| !["created", "history"].contains(&name.as_str()));
        all
    };
    let mut joined = attributes("joined.h5");
    let mut whole = attributes("study.h5");
    joined.sort_by(|a, b| a.0.cmp(&b.0));
    whole.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(joined, whole);
    let file = store::open(&place.path().join("joined.h5")).unwrap();
    let history = file.text("history").unwrap();
    assert!(
        history.contains("joined from 2 parts by sarcolemma"),
        "{history}"
    );
    drop(file);

    // A part from another build.
    let [a, b] = names(2).try_into().unwrap();
    place.replace(&b, store::BUILD, "0123456789abcdef");
    let told = place
        .run(&["merge", "joined.h5", &b, &a, "--force"])
        .ends(0);
    let builds = [store::BUILD, "0123456789abcdef"];
    assert_eq!(
        told.stderr,
        format!(
            "warning: the parts were computed by other builds of sarcolemma ({}) than this ({}): the bits may differ from those of one run\n",
            builds.join(", "),
            store::BUILD
        )
    );
    let file = store::open(&place.path().join("joined.h5")).unwrap();
    assert_eq!(file.build(), Some(&*builds.join("; ")));
}

#[test]
fn a_fibre_is_run_again_from_a_part_and_from_the_joined_file() {
    let place = place(SOME);
    in_parts(&place, 3, &["--backend", "cpu"]);
    for (file, fibre) in [
        ("joined.h5", "10"),
        ("joined.h5", "22"),
        ("study.shard-2-of-3.h5", "11"),
        ("study.shard-3-of-3.h5", "16"),
    ] {
        let told: Value = place.json(&[
            "rerun",
            file,
            "--fibre",
            fibre,
            "--backend",
            "cpu",
            "--json",
        ]);
        assert_eq!(told["same_bits"], true, "{file} {fibre}");
    }
    place
        .run(&["rerun", "study.shard-2-of-3.h5", "--fibre", "0"])
        .ends(2)
        .says("error: study.shard-2-of-3.h5 has no fibre 0: its numbers go from 7 to 14\n");
}

#[test]
fn what_is_not_the_parts_of_one_run_is_refused() {
    let place = place(SOME);
    let run = |more: &[&str]| {
        place
            .run(&[&["run", "study.toml", "--quiet", "--backend", "cpu"], more].concat())
            .ends(0);
    };
    let parts = names(3);
    for i in ["1/3", "2/3", "3/3", "1/2"] {
        run(&["--shard", i]);
    }
    run(&["-o", "whole.h5"]);
    run(&["--shard", "2/3", "-o", "longer.h5", "--duration", "70 ms"]);
    run(&["--shard", "2/3", "-o", "wide.h5", "--precision", "f64"]);
    run(&["--shard", "2/3", "-o", "fewer.h5", "--fibres", "12"]);
    let other = fs::read_to_string(place.path().join("study.toml")).unwrap();
    fs::write(
        place.path().join("other.toml"),
        other.replace("seed = 3", "seed = 4"),
    )
    .unwrap();
    place
        .run(&[
            "run",
            "other.toml",
            "--shard",
            "2/3",
            "--quiet",
            "--backend",
            "cpu",
            "-o",
            "other.h5",
        ])
        .ends(0);
    let strict = other.replace("[population]", "tolerance = 1e-4\n[population]");
    fs::write(place.path().join("other.toml"), strict).unwrap();
    place
        .run(&[
            "run",
            "other.toml",
            "--shard",
            "2/3",
            "--quiet",
            "--backend",
            "cpu",
            "-o",
            "strict.h5",
        ])
        .ends(0);
    // A run that was killed: its status is still 'running'.
    {
        let layout = store::open(&place.path().join(&parts[1]))
            .unwrap()
            .layout()
            .unwrap();
        let options = store::CreateOptions::default();
        store::ResultFile::create(&place.path().join("killed.h5"), &layout, options).unwrap();
    }
    fs::copy(place.path().join(&parts[1]), place.path().join("again.h5")).unwrap();

    let [a, b, c] = &parts[..] else {
        unreachable!()
    };
    let cases: [(&[&str], &str); 9] = [
        (&[a, c], "missing: shard 2/3"),
        (
            &[a, b, b, c],
            "'study.shard-2-of-3.h5' (shard 2/3) and 'study.shard-2-of-3.h5' are the same part",
        ),
        (&[a, b, "again.h5", c], "are the same part"),
        (
            &[a, "study.shard-1-of-2.h5", c],
            "are parts of different divisions",
        ),
        (
            &[a, "whole.h5", c],
            "'whole.h5' is no part of a study: it was not run with --shard",
        ),
        (
            &[a, "killed.h5", c],
            "'killed.h5' (shard 2/3) is not finished: its status is 'running'",
        ),
        (
            &[a, "wide.h5", c],
            "'study.shard-1-of-3.h5' (shard 1/3) and 'wide.h5' (shard 2/3) differ in precision (f32 and f64)",
        ),
        (&[a, "longer.h5", c], "'longer.h5' (shard 2/3) differ in"),
        (
            &[a, "fewer.h5", c],
            "is a part of 23 fibres, 'fewer.h5' (shard 2/3) of 12",
        ),
    ];
    for (files, why) in cases {
        let outcome = place.run(&[&["merge", "out.h5"], files].concat()).ends(2);
        assert!(outcome.stderr.contains(why), "{why}:\n{}", outcome.stderr);
        assert!(!place.path().join("out.h5").exists());
    }
    for other in ["other.h5", "strict.h5"] {
        let outcome = place.run(&["merge", "out.h5", a, other, c]).ends(2);
        assert!(
            outcome
                .stderr
                .contains("differ in study: they are not parts of one run"),
            "{}",
            outcome.stderr
        );
    }
    // Nothing is overwritten by mistake.
    let outcome = place.run(&["merge", a, b, c, "--force"]).ends(2);
    assert!(
        outcome.stderr.contains("missing: shard 1/3"),
        "{}",
        outcome.stderr
    );
    let outcome = place.run(&["merge", a, a, b, c, "--force"]).ends(2);
    assert!(
        outcome.stderr.contains("is one of the parts"),
        "{}",
        outcome.stderr
    );
    let outcome = place.run(&["merge", "whole.h5", a, b, c]).ends(2);
    assert!(
        outcome.stderr.contains("'whole.h5' exists already"),
        "{}",
        outcome.stderr
    );
    let outcome = place
        .run(&["run", "study.toml", "--shard", "1/24", "--backend", "cpu"])
        .ends(2);
    assert!(
        outcome
            .stderr
            .contains("there are 23 fibres: they cannot be dealt into 24 parts"),
        "{}",
        outcome.stderr
    );
}

/// A part that does not say what it found of the judged fibres still has its results.
#[test]
fn without_a_part_of_the_judgement_the_whole_is_joined_and_says_so() {
    let place = place(SOME);
    in_parts(&place, 2, &["--backend", "cpu"]);
    let path = place.path().join("study.shard-1-of-2.h5");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).rposition(|w| w == b"SJP1").unwrap();
    bytes[at + 4] ^= 1;
    fs::write(&path, bytes).unwrap();
    let outcome = place
        .run(&[
            "merge",
            "joined.h5",
            "study.shard-1-of-2.h5",
            "study.shard-2-of-2.h5",
            "--force",
        ])
        .ends(0);
    assert!(
        outcome.stderr.contains("'study.shard-1-of-2.h5' (shard 1/2) holds no usable record of its judged fibres; the whole is not compared with the reference"),
        "{}", outcome.stderr
    );
    assert!(
        store::open(&place.path().join("joined.h5"))
            .unwrap()
            .agreement()
            .unwrap()
            .is_none()
    );
}
