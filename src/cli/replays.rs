//! What `compare` says of the fibres that differ most, and the command that runs each again in double precision.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::report::Comparison;
use crate::report::compare::Side;
use crate::report::worst::By;

use super::summary::short;
use super::table::aligned;

/// Where a fibre can be run again from.
#[derive(Clone, Debug)]
pub(super) struct Replays {
    /// The result file.
    file: String,
    /// The command that makes it, where it was a passing one.
    makes: Option<String>,
}

/// The side to run again: the first one, unless the reference itself ran it and would only run it once more.
fn side(c: &Comparison) -> &Side {
    if c.a.backend == "reference" {
        &c.b
    } else {
        &c.a
    }
}

impl Replays {
    /// From the files that were compared.
    pub(super) fn of_files(c: &Comparison) -> Self {
        Replays {
            file: quoted(&side(c).path.display().to_string()),
            makes: None,
        }
    }

    /// From files that this command, which keeps them, puts into this folder.
    pub(super) fn made_by(c: &Comparison, command: &str, folder: &str) -> Self {
        let name = side(c).path.file_name().unwrap_or_default();
        let path = Path::new(folder).join(name);
        Replays {
            file: quoted(&path.display().to_string()),
            makes: Some(command.to_owned()),
        }
    }

    fn command(&self, fibre: u64) -> String {
        format!(
            "sarcolemma rerun {} --fibre {fibre} --backend reference",
            self.file
        )
    }

    /// The list for people; nothing where no fibre differs.
    pub(super) fn text(&self, c: &Comparison) -> String {
        if c.worst.is_empty() {
            return String::new();
        }
        let mut text = "\nFibres that differ most:\n".to_owned();
        let row = |w: &crate::report::worst::Worst| {
            let times = match &w.by {
                By::SpikeShift { .. } | By::Feature { .. } | By::Variable { .. } => {
                    format!("{} times what is allowed", short(w.times))
                }
                By::Lost { .. } | By::Missing { .. } | By::SpikeCount { .. } => String::new(),
            };
            [format!("  fibre {}", w.fibre), w.text(), times]
        };
        text.push_str(&aligned(&c.worst.iter().map(row).collect::<Vec<_>>()));
        text.push_str("Each again, in double precision by the reference:\n");
        if let Some(makes) = &self.makes {
            let _ = writeln!(text, "  {makes}");
        }
        for w in &c.worst {
            let _ = writeln!(text, "  {}", self.command(w.fibre));
        }
        text.push('\n');
        text
    }

    /// The list for programs.
    pub(super) fn json(&self, c: &Comparison) -> Value {
        let one = |w: &crate::report::worst::Worst| {
            let (by, name) = match &w.by {
                By::Lost { .. } => ("lost", None),
                By::Missing { name } => ("missing", Some(name)),
                By::SpikeCount { name, .. } => ("spike_count", Some(name)),
                By::SpikeShift { name, .. } => ("spike_shift", Some(name)),
                By::Feature { name, .. } => ("feature", Some(name)),
                By::Variable { name, .. } => ("variable", Some(name)),
            };
            json!({
                "fibre": w.fibre,
                "by": by,
                "name": name,
                "text": w.text(),
                "times": w.times,
                "needs": self.makes,
                "replay": self.command(w.fibre),
            })
        };
        c.worst.iter().map(one).collect()
    }
}

/// A word of a command line.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._-/:\\,+=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("\"{word}\"")
    }
}
