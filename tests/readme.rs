//! What newcomers read stays true: the examples are studies without faults, and the README names every dependency.

use std::fs;
use std::path::{Path, PathBuf};

use sarcolemma::diag::{Source, render_text};
use sarcolemma::study::{Overrides, SCHEMES, Wish, read};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What reading a study has to say about it; empty for one without faults and warnings.
fn complaints(name: &str, study: &str) -> String {
    let loader = |_: Wish, model: &str| {
        let path = root().join("models").join(format!("{model}.mmt"));
        fs::read_to_string(&path)
            .map(|text| Source::new(model, text))
            .map_err(|error| error.to_string())
    };
    let reports = match read(
        &Source::new(name, study),
        &loader,
        &Overrides::default(),
        &SCHEMES,
    ) {
        Ok((_, warnings)) => warnings,
        Err(faults) => faults,
    };
    reports
        .iter()
        .map(|r| render_text(&r.diagnostics, &r.source, false))
        .collect()
}

/// The blocks of a Markdown text that are marked with a language.
fn blocks(markdown: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    markdown
        .split(&fence)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn the_example_studies_have_no_faults() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("examples/studies")).expect("the folder is there") {
        let path = entry.expect("the folder is readable").path();
        if path.extension().is_some_and(|e| e == "toml") {
            let name = path.display().to_string();
            assert_eq!(complaints(&name, &text(&path)), "", "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} studies");
}

#[test]
fn the_study_in_the_readme_has_no_faults() {
    let studies = blocks(&text("README.md"), "toml");
    assert_eq!(studies.len(), 1);
    assert_eq!(complaints("first.toml", &studies[0]), "");
}

#[test]
fn the_blocks_in_the_reference_of_studies_are_toml() {
    for block in blocks(&text("docs/studies.md"), "toml") {
        toml::from_str::<toml::Table>(&block).unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
}

#[test]
fn the_readme_names_every_dependency() {
    let manifest: toml::Table = toml::from_str(&text("Cargo.toml")).expect("the manifest is TOML");
    let mut tables = vec![
        manifest["dependencies"].clone(),
        manifest["build-dependencies"].clone(),
        manifest["dev-dependencies"].clone(),
    ];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(
            targets
                .values()
                .filter_map(|t| t.get("dependencies").cloned()),
        );
    }
    let readme = text("README.md");
    for table in tables {
        for name in table.as_table().expect("dependencies are a table").keys() {
            assert!(
                readme.contains(&format!("`{name}`")),
                "the README does not name the dependency '{name}'"
            );
        }
    }
}

#[test]
fn links_within_the_repository_lead_somewhere() {
    for page in [
        "README.md",
        "docs/studies.md",
        "docs/result_file.md",
        "docs/design.md",
    ] {
        let folder = Path::new(page).parent().unwrap_or(Path::new("")).to_owned();
        let markdown = text(page);
        for link in markdown
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = link.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") {
                assert!(root().join(&folder).join(path).exists(), "{page}: {link}");
            }
        }
    }
}
