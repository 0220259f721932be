//! Whether two result files answer the same question: the same fibres, treated and watched in the same way.
//!
//! How they were computed may differ. So a study's text is compared as TOML, without the keys that say how to compute and what
//! to print, and whatever follows from the study is compared as the files have it.

use toml::{Table, Value};

use crate::run::sink::{Column, Layout, Traces};
use crate::store::{ResultReader, StoreError};

/// Keys of a study that change how its answer is computed, judged or shown, and not the question.
const HOW: [&str; 8] = [
    "title",
    "scheme",
    "step",
    "tolerance",
    "largest_step",
    "scales",
    "summary",
    "agreement",
];

/// In what the studies behind two files differ, in words; empty where they are the same.
pub(super) fn differences(a: &ResultReader, b: &ResultReader) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    let text = |file: &ResultReader| file.text("study").unwrap_or_default().to_owned();
    if let Some(what) = study_texts(&text(a), &text(b)) {
        found.push(what);
    }
    if a.text("model_sha256") != b.text("model_sha256") {
        found.push("the model's text".to_owned());
    }
    for name in ["seed", "duration_ms"] {
        let (x, y) = (a.number(name), b.number(name));
        if x != y {
            found.push(format!("{name} ({} and {})", shown(x), shown(y)));
        }
    }
    layouts(&a.layout()?, &b.layout()?, &mut found);
    Ok(found)
}

fn shown(number: Option<f64>) -> String {
    number.map_or_else(|| "none".to_owned(), |x| x.to_string())
}

fn layouts(a: &Layout, b: &Layout, found: &mut Vec<String>) {
    let fibres = |l: &Layout| format!("{} from number {}", l.n_fibres, l.first_fibre);
    if (a.n_fibres, a.first_fibre) != (b.n_fibres, b.first_fibre) {
        found.push(format!("the fibres ({} and {})", fibres(a), fibres(b)));
    } else if let Some(name) = parameters(a, b) {
        found.push(format!("the fibres' values of '{name}'"));
    }
    if a.time_ms != b.time_ms {
        let axis = |l: &Layout| match l.time_ms.as_slice() {
            [] => "no samples".to_owned(),
            [.., last] => format!("{} samples to {last} ms", l.time_ms.len()),
        };
        found.push(format!("the time axis ({} and {})", axis(a), axis(b)));
    }
    let traces = |l: &Layout| match &l.traces {
        Traces::All => "all".to_owned(),
        Traces::Some(ids) => ids.len().to_string(),
    };
    if a.traces != b.traces {
        let (x, y) = (traces(a), traces(b));
        found.push(format!("which fibres are recorded ({x} and {y})"));
    }
    let lists = [
        ("recorded quantities", &a.variables, &b.variables),
        ("features", &a.features, &b.features),
    ];
    for (what, x, y) in lists {
        let known = |c: &Column| (c.name.clone(), c.units.clone());
        if !x.iter().map(known).eq(y.iter().map(known)) {
            found.push(format!("the {what} ({} and {})", names(x), names(y)));
        }
    }
    if a.event_features != b.event_features {
        found.push("the features that give events".to_owned());
    }
}

fn names(columns: &[Column]) -> String {
    match columns {
        [] => "none".to_owned(),
        some => some
            .iter()
            .map(|c| c.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// The first varied parameter that is not the same, to the bit.
fn parameters(a: &Layout, b: &Layout) -> Option<String> {
    let one_sided = |x: &Layout, y: &Layout| {
        let other = |name: &str| y.parameters.iter().find(|(c, _)| c.name == name);
        let same = |x: &[f64], y: &[f64]| {
            let bits = |v: &f64| v.to_bits();
            x.iter().map(bits).eq(y.iter().map(bits))
        };
        x.parameters
            .iter()
            .find(|(c, own)| other(&c.name).is_none_or(|(_, theirs)| !same(own, theirs)))
            .map(|(c, _)| c.name.clone())
    };
    one_sided(a, b).or_else(|| one_sided(b, a))
}

/// Where two studies' texts part in what they ask. Texts that are no TOML must be the same to the letter.
fn study_texts(a: &str, b: &str) -> Option<String> {
    if a == b {
        return None;
    }
    let question = |text: &str| {
        let mut table: Table = text.parse().ok()?;
        table.retain(|key, _| !HOW.contains(&key));
        Some(table)
    };
    match (question(a), question(b)) {
        (Some(a), Some(b)) => tables(&a, &b).map(|key| format!("the study's '{key}'")),
        _ => Some("the study's text".to_owned()),
    }
}

/// The first key, with dots, under which two tables differ.
fn tables(a: &Table, b: &Table) -> Option<String> {
    for (key, x) in a {
        match (x, b.get(key)) {
            (Value::Table(x), Some(Value::Table(y))) => {
                if let Some(inner) = tables(x, y) {
                    return Some(format!("{key}.{inner}"));
                }
            }
            (x, Some(y)) if x == y => {}
            _ => return Some(key.clone()),
        }
    }
    b.keys().find(|key| !a.contains_key(*key)).cloned()
}

#[cfg(test)]
mod tests {
    use super::study_texts;

    #[test]
    fn how_a_study_is_computed_and_written_down_is_no_part_of_its_question() {
        let a =
            "title = 'x'\nduration = '1 s'\nscheme = 'ros3'\n[population]\nseed = 1\nfibres = 2\n";
        let b = "# once more\nduration = \"1 s\"\nscheme = 'euler'\nstep = '1 us'\nlargest_step = '1 s'\n[scales]\n'calcium.Ca' = 1\n[population]\nfibres = 2\nseed = 1\n[agreement]\nfibres = 0\n";
        assert_eq!(study_texts(a, b), None);
    }

    #[test]
    fn the_key_that_differs_is_named() {
        let a = "duration = '1 s'\n[population]\nfibres = 2\n";
        let seed = "duration = '1 s'\n[population]\nfibres = 2\nseed = 3\n";
        let settled = "settle = '1 s'\nduration = '1 s'\n[population]\nfibres = 2\n";
        for (b, key) in [(seed, "population.seed"), (settled, "settle")] {
            let said = Some(format!("the study's '{key}'"));
            assert_eq!(study_texts(a, b), said);
            assert_eq!(study_texts(b, a), said);
        }
        assert_eq!(
            study_texts("no = toml =", a),
            Some("the study's text".to_owned())
        );
    }
}
