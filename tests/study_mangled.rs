//! Mangled studies: whatever the text, there is an answer with places inside the text, and never a panic.

mod studies;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sarcolemma::study::Overrides;
use studies::{messages, study_with};

const TEXTS: [&str; 4] = [
    include_str!("studies/cramp.toml"),
    include_str!("studies/bad/distributions.toml"),
    include_str!("studies/bad/level_names.toml"),
    include_str!("studies/bad/features.toml"),
];

const SNIPPETS: [&str; 24] = [
    "\"",
    "'",
    "=",
    "[",
    "]",
    "[[",
    "{",
    "}",
    ",",
    ".",
    "-",
    "0",
    "1e999",
    "nan",
    "\"5 mV\"",
    "\"µm\"",
    "é",
    "\n",
    "#",
    "true",
    "\"\"\"",
    "18446744073709551616",
    "\"0.1 \"",
    "\\u0041",
];

#[test]
fn no_text_makes_the_reader_panic() {
    for seed in 0..1500 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut pick = |n: usize| (rng.next_u64() % n as u64) as usize;
        let mut text: Vec<char> = TEXTS[pick(TEXTS.len())].chars().collect();
        for _ in 0..1 + pick(4) {
            let at = pick(text.len());
            match pick(4) {
                0 => {
                    let end = (at + 1 + pick(12)).min(text.len());
                    text.drain(at..end);
                }
                1 => {
                    text.splice(at..at, SNIPPETS[pick(SNIPPETS.len())].chars());
                }
                2 => text[at] = SNIPPETS[pick(SNIPPETS.len())].chars().next().unwrap_or('x'),
                _ => {
                    // A line doubled elsewhere.
                    let from = text[..at]
                        .iter()
                        .rposition(|c| *c == '\n')
                        .map_or(0, |i| i + 1);
                    let to = text[at..]
                        .iter()
                        .position(|c| *c == '\n')
                        .map_or(text.len(), |i| at + i);
                    let line: Vec<char> = text[from..to].iter().copied().chain(['\n']).collect();
                    let there = pick(text.len());
                    text.splice(there..there, line);
                }
            }
        }
        let text: String = text.into_iter().collect();
        let reports = match study_with(&text, &Overrides::default()) {
            Ok((study, reports)) => {
                let schedule = study.schedule();
                assert!(schedule.segments.windows(2).all(|w| w[0].end == w[1].start));
                for fibre in [0, study.population.fibres - 1] {
                    assert!(study.draw(fibre).iter().all(|v| v.is_finite()), "{text}");
                }
                assert!(
                    reports
                        .iter()
                        .all(|r| r.diagnostics.iter().all(|d| !d.is_error())),
                    "{text}"
                );
                reports
            }
            Err(reports) => {
                assert!(
                    reports
                        .iter()
                        .any(|r| r.diagnostics.iter().any(|d| d.is_error())),
                    "{text}"
                );
                reports
            }
        };
        for report in &reports {
            for diagnostic in &report.diagnostics {
                let labels = diagnostic.primary.iter().chain(&diagnostic.secondary);
                assert!(
                    labels
                        .into_iter()
                        .all(|l| l.span.start <= l.span.end
                            && l.span.end <= report.source.text.len())
                );
            }
        }
        messages(&reports);
    }
}
