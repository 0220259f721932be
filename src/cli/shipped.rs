//! Which text a `MODEL` on the command line, or in a study, means: a shipped model or a file.

use std::io::Read;
use std::path::Path;

use crate::diag::{Diagnostic, Source, nearest};
use crate::model::{self, Model};
use crate::study::{Loader, Wish};

use super::exit::Failure;
use super::output;

/// The shipped models, by name.
pub const SHIPPED: [(&str, &str); 4] = [
    (
        "hodgkin_huxley_1952",
        include_str!("../../models/hodgkin_huxley_1952.mmt"),
    ),
    (
        "shorten_2007_fast",
        include_str!("../../models/shorten_2007_fast.mmt"),
    ),
    (
        "shorten_2007_slow",
        include_str!("../../models/shorten_2007_slow.mmt"),
    ),
    (
        "skeletal_fibre",
        include_str!("../../models/skeletal_fibre.mmt"),
    ),
];

/// Largest model that is read, in bytes. The largest published ones have a few hundred kilobytes.
const LARGEST_FILE: u64 = 64 << 20;

/// The text of a shipped model.
pub fn find(name: &str) -> Option<Source> {
    let (name, text) = SHIPPED.iter().find(|(known, _)| *known == name)?;
    Some(Source::new(format!("{name}.mmt"), *text))
}

/// The text of a model: a shipped one by its name, else the file of that path.
///
/// # Errors
/// If there is neither, or the file is no text.
pub fn resolve(name: &str) -> Result<Source, Failure> {
    if let Some(source) = find(name) {
        return Ok(source);
    }
    let path = Path::new(name);
    // A bare word is meant as a name, unless a file bears it.
    if path.components().count() == 1 && path.extension().is_none() && !path.exists() {
        return Err(Failure::Usage(unknown(name)));
    }
    read_text(path).map_err(|failure| match failure {
        Failure::Usage(message) => Failure::Usage(message + &hint(path)),
        other => other,
    })
}

/// Reads a text file that the command line names.
///
/// # Errors
/// If it cannot be read, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<Source, Failure> {
    let shown = path.display().to_string();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::file("read", &shown, &error))?;
    if bytes.len() as u64 > LARGEST_FILE {
        let limit = LARGEST_FILE >> 20;
        return Err(Failure::Usage(format!(
            "cannot read '{shown}': it is larger than {limit} MiB, so it is no model or study"
        )));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(shown, text)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            let line = 1 + bytes[..valid].iter().filter(|b| **b == b'\n').count();
            Err(Failure::Usage(format!(
                "cannot read '{shown}': it is not UTF-8 text (byte 0x{:02x} in line {line}, at offset {valid})",
                bytes[valid],
            )))
        }
    }
}

/// Reads a model for use; units that do not fit are only warned about.
///
/// # Errors
/// If there is no such model, or it has faults.
pub fn load(name: &str) -> Result<(Model, Source), Failure> {
    let source = resolve(name)?;
    match model::read(&source) {
        Ok((model, warnings)) => {
            output::diagnostics(&warnings, &source);
            Ok((model, source))
        }
        Err(faults) => Err(Failure::input(faults, source)),
    }
}

/// A shipped model, which has no faults.
pub fn load_shipped(source: &Source) -> Result<Model, Failure> {
    model::read(source)
        .map(|(model, _)| model)
        .map_err(|faults: Vec<Diagnostic>| Failure::input(faults, source.clone()))
}

/// Finds what a study in `folder` names: a shipped model, or a file by its path relative to that folder.
pub fn loader(folder: &Path) -> impl Loader + use<> {
    let folder = folder.to_owned();
    move |wish: Wish, name: &str| -> Result<Source, String> {
        if let (Wish::Model, Some(source)) = (wish, find(name)) {
            return Ok(source);
        }
        read_text(&folder.join(name)).map_err(|failure| match failure {
            Failure::Usage(message) | Failure::Machine(message) => match nearest(name, names()) {
                Some(near) if wish == Wish::Model => {
                    format!("{message}; did you mean the shipped model '{near}'?")
                }
                _ => message,
            },
            _ => "it cannot be read".to_owned(),
        })
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = names().collect();
    let help = match nearest(name, names()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!(
            "shipped models are {}; a path to a .mmt file is a model too",
            known.join(", ")
        ),
    };
    format!("no shipped model and no file is named '{name}'\nhelp: {help}")
}

/// What may have been meant by a path that cannot be read.
fn hint(path: &Path) -> String {
    let stem = path
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or_default();
    match nearest(stem, names()) {
        Some(near) if !path.exists() => {
            format!("\nhelp: the shipped models go by name: did you mean '{near}'?")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_models_have_no_faults_and_bear_their_own_names() {
        for (name, text) in SHIPPED {
            let source = Source::new(name, text);
            assert_eq!(model::check(&source), [], "{name}");
            assert_eq!(load_shipped(&source).expect("no faults").name, name);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_shipped_one() {
        let message = |name| match resolve(name) {
            Err(Failure::Usage(message)) => message,
            other => panic!("{other:?}"),
        };
        assert!(message("skeletal_fiber").ends_with("help: did you mean 'skeletal_fibre'?"));
        assert!(message("nothing_like_it").contains("shipped models are hodgkin_huxley_1952, "));
        assert!(message("skeletal_fibre.mmt").ends_with("did you mean 'skeletal_fibre'?"));
    }
}
