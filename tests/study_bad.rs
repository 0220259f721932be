//! Studies with faults, and the whole text of what is said about them.
//!
//! `tests/studies/bad/NAME.toml` is read, and its messages are compared with `NAME.txt`. To write the messages anew, after
//! looking at the difference: `SARCOLEMMA_BLESS=1 cargo test --test study_bad`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod studies;

use sarcolemma::study::Overrides;
use std::path::Path;
use studies::{messages, study_with};

#[test]
fn bad_studies_are_answered_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/studies/bad");
    let bless = std::env::var_os("SARCOLEMMA_BLESS").is_some_and(|v| v == "1");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    names.sort();
    assert!(names.len() >= 30);
    let mut wrong = Vec::new();
    for path in names {
        // A checkout may have turned line ends into CRLF.
        let read =
            |path: &Path| std::fs::read_to_string(path).map(|text| text.replace("\r\n", "\n"));
        let (verdict, reports) = match study_with(&read(&path).unwrap(), &Overrides::default()) {
            Ok((_, reports)) => ("accepted", reports),
            Err(reports) => ("refused", reports),
        };
        let found = format!("{verdict}\n\n{}", messages(&reports));
        assert!(
            !reports.is_empty(),
            "{} has nothing wrong with it",
            path.display()
        );
        let golden = path.with_extension("txt");
        if bless {
            std::fs::write(&golden, &found).unwrap();
        } else if read(&golden).ok().as_deref() != Some(&found) {
            wrong.push(format!("{}\n{found}", golden.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "these differ from what is written down:\n\n{}",
        wrong.join("\n\n")
    );
}
