//! The physiology of `skeletal_fibre`: every target is a study that anybody can run, a value read from what it gives, and the
//! published range beside it. `docs/physiology.md` is written from the same table; see `README.md` in this folder.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod page;
mod shape;
mod study_runs;
mod target;
mod targets;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use study_runs::{Results, View};
use target::{Measured, Verdict};

/// Variables of the environment; see `README.md`.
const MODEL: &str = "SARCOLEMMA_PHYSIOLOGY_MODEL";
const ONLY: &str = "SARCOLEMMA_PHYSIOLOGY_ONLY";
const WRITE: &str = "SARCOLEMMA_WRITE";

#[test]
fn every_target_stands_as_the_page_says() {
    let model = std::env::var_os(MODEL).map(PathBuf::from);
    let only = std::env::var(ONLY).ok();
    let studies: Vec<&str> = targets::studies()
        .into_iter()
        .filter(|study| only.as_ref().is_none_or(|words| wanted(study, words)))
        .collect();
    let (results, faults) = run_all(&studies, model.as_deref());
    let measured = measure(&results);
    print(&measured, &results);
    for fault in &faults {
        println!("{fault}");
    }
    if model.is_some() || only.is_some() {
        println!("Nothing is judged: {MODEL} or {ONLY} is set.");
        return;
    }
    assert!(faults.is_empty(), "a study did not run");
    let text = page::page(&measured);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/physiology.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let surprises: Vec<String> = measured
        .iter()
        .filter_map(|m| Some(format!("{}: {}", line(m), m.surprise()?)))
        .collect();
    assert!(
        surprises.is_empty(),
        "the model does not do what the table of targets says:\n{}\n\
         If it has changed for a reason, say so in tests/physiology/targets.",
        surprises.join("\n")
    );
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    let stands = stands.replace("\r\n", "\n");
    let differ = stands.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert!(
        stands == text,
        "docs/physiology.md is not what was measured; {WRITE}=1 writes it anew. First difference:\n{}",
        differ.map_or_else(
            || "one is longer".to_string(),
            |(a, b)| format!("page: {a}\nhere: {b}")
        )
    );
}

/// Whether a list of words, with commas between, means a study: a word that is part of its name takes it, one with a minus in
/// front leaves it out; without any word that takes, all others are meant.
fn wanted(study: &str, words: &str) -> bool {
    let words: Vec<&str> = words
        .split(',')
        .map(str::trim)
        .filter(|w| !w.is_empty())
        .collect();
    let out = |w: &&str| w.strip_prefix('-').is_some_and(|w| study.contains(w));
    let takes: Vec<&&str> = words.iter().filter(|w| !w.starts_with('-')).collect();
    !words.iter().any(out) && (takes.is_empty() || takes.iter().any(|w| study.contains(**w)))
}

/// Runs studies, as many at a time as there are cores, the first ones of the list first.
fn run_all(
    studies: &[&'static str],
    model: Option<&Path>,
) -> (BTreeMap<&'static str, Results>, Vec<String>) {
    let queue: Mutex<VecDeque<&'static str>> = Mutex::new(studies.iter().copied().collect());
    let done = Mutex::new((BTreeMap::new(), Vec::new()));
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..cores.min(studies.len()) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(study) = next else { break };
                    let results = Results::of(study, model);
                    let mut done = done.lock().unwrap();
                    match results {
                        Ok(results) => drop(done.0.insert(study, results)),
                        Err(fault) => done.1.push(format!("{study}: {fault}")),
                    }
                }
            });
        }
    });
    done.into_inner().unwrap()
}

/// Reads every target whose study ran.
fn measure(results: &BTreeMap<&'static str, Results>) -> Vec<Measured> {
    let mut measured = Vec::new();
    for target in targets::all() {
        let Some(results) = results.get(target.study) else {
            continue;
        };
        for condition in target.conditions() {
            let value = (target.read)(&View::new(results, condition));
            measured.push(Measured {
                target,
                condition,
                value,
            });
        }
    }
    measured
}

/// One measured value beside what is published.
fn line(m: &Measured) -> String {
    let t = m.target;
    let verdict = match m.verdict() {
        Verdict::Met => "met",
        Verdict::Missed => "MISSED",
        Verdict::Shown => "",
    };
    format!(
        "{:>2} {:<58} {:<12} {:>10} {:<15} | {:>18} | {:<6} {:<10} | {}",
        t.number,
        t.quantity,
        m.condition.name(),
        m.shown(),
        t.unit,
        if verdict.is_empty() {
            String::new()
        } else {
            t.range()
        },
        verdict,
        m.target.kind(m.condition),
        t.source
    )
}

fn print(measured: &[Measured], results: &BTreeMap<&'static str, Results>) {
    for m in measured {
        println!("{}", line(m));
    }
    for (study, results) in results {
        println!("{study}: {:.1} s", results.wall_s);
    }
    let count = |v: Verdict| measured.iter().filter(|m| m.verdict() == v).count();
    println!(
        "{} met, {} missed, {} without a range",
        count(Verdict::Met),
        count(Verdict::Missed),
        count(Verdict::Shown)
    );
}
