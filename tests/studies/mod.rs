//! What the tests of studies share: the test model, a loader, reading from text.

#![allow(dead_code, reason = "each test binary uses its own part")]

use sarcolemma::diag::{Source, render_text};
use sarcolemma::study::{Overrides, Report, SCHEMES, Study, Wish, read};

/// Knows the model `fibre` and a few tables.
pub fn load(wish: Wish, name: &str) -> Result<Source, String> {
    let text = match (wish, name) {
        (Wish::Model, "fibre") => include_str!("fibre.mmt"),
        (Wish::Model, "no_pace.mmt") => {
            "[[model]]\nx.y = 1\n[x]\ndot(y) = -y / tau\n    in [1]\ntau = 5 [ms]\n    in [ms]\nt = 0 [ms] bind time\n    in [ms]\n"
        }
        (Wish::Model, "broken.mmt") => "[[model]]\nx.y = 1\n[x]\ndot(y) = -z\n",
        (Wish::Table, "table.csv") => {
            "# measured\nfibre,g_Na, v_t\n0,140,0.0040\n1, 150,0.0039\n2,160,0.0038\n"
        }
        (Wish::Table, "torn.csv") => "fibre,g_Na\n0,140\n1,\n2,many\n",
        _ => return Err("no such file".to_string()),
    };
    Ok(Source::new(name, text))
}

/// Reads a study from its text.
pub fn study_with(text: &str, overrides: &Overrides) -> Result<(Study, Vec<Report>), Vec<Report>> {
    read(&Source::new("study.toml", text), &load, overrides, &SCHEMES)
}

/// The study of a text that has no faults and no warnings.
pub fn study(text: &str) -> Study {
    match study_with(text, &Overrides::default()) {
        Ok((study, reports)) if reports.is_empty() => study,
        Ok((_, reports)) | Err(reports) => panic!("{}", messages(&reports)),
    }
}

/// A study with these lines in `[population]` and after.
pub fn population(lines: &str) -> Study {
    study(&format!(
        "model = \"fibre\"\nduration = \"100 ms\"\n[population]\n{lines}"
    ))
}

/// All messages as a person reads them.
pub fn messages(reports: &[Report]) -> String {
    reports
        .iter()
        .map(|r| render_text(&r.diagnostics, &r.source, false))
        .collect::<Vec<_>>()
        .join("\n")
}
