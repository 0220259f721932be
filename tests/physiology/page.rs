//! `docs/physiology.md`, written from what was measured.

use std::fmt::Write;

use crate::target::{ALL, Condition, Measured, Section, Target, Verdict};
use crate::targets::SECTIONS;

/// What stands before the tables.
const HEAD: &str = include_str!("page_head.md");

/// The whole page.
pub fn page(measured: &[Measured]) -> String {
    let mut page = HEAD.replace("\r\n", "\n");
    page.push_str(&overview(measured));
    for section in SECTIONS {
        page.push_str(&part(section, measured));
    }
    page
}

/// How many values are met and missed, part by part.
fn overview(measured: &[Measured]) -> String {
    let mut text = String::from(
        "| part | met: predicted | met: fit | met: definition | missed |\n|---|---|---|---|---|\n",
    );
    let mut sums = [0; 4];
    for section in SECTIONS {
        let mut counts = [0; 4];
        for m in measured.iter().filter(|m| belongs(section, m)) {
            let place = match (m.verdict(), m.target.kind(m.condition)) {
                (Verdict::Shown, _) => continue,
                (Verdict::Missed, _) => 3,
                (Verdict::Met, "definition") => 2,
                (Verdict::Met, "fit") => 1,
                (Verdict::Met, _) => 0,
            };
            counts[place] += 1;
            sums[place] += 1;
        }
        let title = section.title;
        line(&mut text, &format!("[{title}](#{})", anchor(title)), counts);
    }
    line(&mut text, "all", sums);
    text
}

fn line(text: &mut String, name: &str, counts: [usize; 4]) {
    let [predicted, fit, definition, missed] = counts;
    put(
        text,
        format_args!("| {name} | {predicted} | {fit} | {definition} | {missed} |\n"),
    );
}

/// A heading as GitHub's anchors spell it.
fn anchor(title: &str) -> String {
    let kept = title
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-');
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn belongs(section: &Section, m: &Measured) -> bool {
    section.targets.iter().any(|t| std::ptr::eq(t, m.target))
}

/// A part: its text, its table, what is missed, and the studies.
fn part(section: &Section, measured: &[Measured]) -> String {
    let mut text = format!("\n## {}\n\n", section.title);
    if !section.about.is_empty() {
        put(&mut text, format_args!("{}\n\n", section.about));
    }
    text.push_str("| # | quantity | published | 20 °C, fast | 20 °C, slow | 37 °C, fast | 37 °C, slow | study |\n");
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for target in section.targets {
        row(&mut text, target, measured);
    }
    let misses = misses(section, measured);
    if !misses.is_empty() {
        put(&mut text, format_args!("\nMissed:\n\n{misses}"));
    }
    text
}

fn row(text: &mut String, target: &Target, measured: &[Measured]) {
    let unit = match target.unit {
        "" => String::new(),
        unit => format!(", {unit}"),
    };
    let published = match (target.judged.is_empty(), target.definition) {
        (true, _) => "–".to_string(),
        (_, true) => format!("**{}**; definition: {}", target.range(), target.source),
        (_, false) => format!("**{}**; {}", target.range(), target.source),
    };
    put(
        text,
        format_args!(
            "| {} | {}{unit} | {published} |",
            target.number, target.quantity
        ),
    );
    for condition in ALL {
        let found = measured
            .iter()
            .find(|m| std::ptr::eq(m.target, target) && m.condition == *condition);
        put(
            text,
            format_args!(" {} |", found.map_or_else(String::new, cell)),
        );
    }
    let number = target.study.split('_').next().unwrap_or_default();
    let study = target.study;
    put(
        text,
        format_args!(" [{number}](../tests/physiology/studies/{study}.toml) |\n"),
    );
}

fn cell(m: &Measured) -> String {
    let fit = match m.target.kind(m.condition) {
        "fit" => " fit",
        _ => "",
    };
    match m.verdict() {
        Verdict::Met => format!("{} ✓{fit}", m.shown()),
        Verdict::Missed => format!("**{}** ✗{fit}", m.shown()),
        Verdict::Shown => m.shown(),
    }
}

/// One line for each known reason.
fn misses(section: &Section, measured: &[Measured]) -> String {
    let mut text = String::new();
    for target in section.targets {
        for (conditions, reason) in target.missed {
            let missed: Vec<Condition> = measured
                .iter()
                .filter(|m| std::ptr::eq(m.target, target) && m.verdict() == Verdict::Missed)
                .map(|m| m.condition)
                .filter(|c| conditions.contains(c))
                .collect();
            let names: Vec<&str> = missed.iter().map(|c| c.name()).collect();
            let places = match names.len() {
                0 => continue,
                4 => "everywhere".to_string(),
                _ => names.join("; "),
            };
            put(
                &mut text,
                format_args!("- {} ({places}): {reason}\n", target.quantity),
            );
        }
    }
    text
}

/// Appends to a text, which cannot fail.
fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}
