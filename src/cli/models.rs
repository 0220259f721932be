//! `sarcolemma models`: what is shipped, and every variable of a model.

use serde_json::{Value, json};

use crate::model::{Model, Variable, VariableId, VariableKind};

use super::anatomy::{Anatomy, Instant, binding, kind, unit};
use super::exit::{Exit, Failure};
use super::output::{self, number};
use super::{shipped, table};

/// List the shipped models, or every variable of one
///
/// Without a name: the models that come with the program. With one: each of its variables with its kind, default, unit,
/// description and source. Parameters and states can be varied by a study; everything can be recorded.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A shipped model's name, or a path to a .mmt file
    #[arg(value_name = "NAME", value_hint = clap::ValueHint::FilePath)]
    model: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the list, or the variables.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    match args.model {
        None => list(args.json)?,
        Some(name) => {
            let (model, source) = shipped::load(&name)?;
            let defaults = Instant::initial(&model).map_err(|e| Failure::Usage(e.to_string()))?;
            match args.json {
                true => output::json(&one_as_json(&model, &defaults, &source.name))?,
                false => output::data(&one_as_text(&model, &defaults))?,
            }
        }
    }
    Ok(Exit::Done)
}

fn list(json: bool) -> Result<(), Failure> {
    let mut rows = vec![["name", "states", "parameters", "description"].map(str::to_owned)];
    let mut objects = Vec::new();
    for (name, _) in shipped::SHIPPED {
        let Some(source) = shipped::find(name) else {
            continue;
        };
        let model = shipped::load_shipped(&source)?;
        let anatomy = Anatomy::of(&model).map_err(|e| Failure::Usage(e.to_string()))?;
        let (states, parameters) = (model.states.len(), anatomy.parameters.len());
        rows.push([
            name.to_owned(),
            format!("{states:>6}"),
            format!("{parameters:>10}"),
            headline(&description(&model)).to_owned(),
        ]);
        objects.push(json!({
            "name": name,
            "description": description(&model),
            "n_states": states,
            "n_parameters": parameters,
        }));
    }
    match json {
        true => output::json(&json!({ "schema": 1, "models": objects })),
        false => output::data(&table::aligned(&rows)),
    }
}

/// The model's own description, in one line.
fn description(model: &Model) -> String {
    let text = model
        .meta
        .iter()
        .find(|(key, _)| key == "desc")
        .map_or("", |(_, text)| text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What comes before the first colon or full stop.
fn headline(description: &str) -> &str {
    let end = description.char_indices().find(|&(i, c)| {
        matches!(c, ':' | '.')
            && description[i + 1..]
                .chars()
                .next()
                .is_none_or(char::is_whitespace)
    });
    end.map_or(description, |(i, _)| &description[..i])
}

/// The description without its source, and the source: what stands in brackets at its end. A number always has one there;
/// of anything else the brackets are taken for a source if they name a year.
fn described(variable: &Variable) -> (&str, &str) {
    let text = variable.description.as_deref().unwrap_or("").trim();
    let Some(inside) = text.strip_suffix(')') else {
        return (text, "");
    };
    let mut depth = 1;
    let open = inside.char_indices().rev().find(|&(_, c)| {
        match c {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let Some((open, _)) = open else {
        return (text, "");
    };
    let source = &inside[open + 1..];
    let is_number = matches!(variable.kind, VariableKind::Literal(_));
    let year =
        |word: &str| word.len() == 4 && word.parse().is_ok_and(|y: u32| (1800..2100).contains(&y));
    if is_number || source.split(|c: char| !c.is_ascii_digit()).any(year) {
        (text[..open].trim_end(), source)
    } else {
        (text, "")
    }
}

/// A number that holds before anything runs: of a parameter, a constant, an initial value.
fn default(variable: &Variable, id: VariableId, defaults: &Instant) -> Option<f64> {
    match variable.kind {
        VariableKind::Intermediate => None,
        VariableKind::Literal(value) => Some(value),
        VariableKind::State { index, .. } => Some(defaults.states[index]),
        VariableKind::Constant | VariableKind::Bound(_) => Some(defaults.variables[id.0]),
    }
}

fn variables(model: &Model) -> impl Iterator<Item = (VariableId, &Variable)> {
    model
        .variables
        .iter()
        .enumerate()
        .map(|(i, v)| (VariableId(i), v))
}

fn one_as_text(model: &Model, defaults: &Instant) -> String {
    let mut rows =
        vec![["name", "kind", "default", "unit", "description", "source"].map(str::to_owned)];
    for (id, variable) in variables(model) {
        let (description, source) = described(variable);
        rows.push([
            variable.name.clone(),
            kind(variable).to_owned(),
            default(variable, id, defaults)
                .map(number)
                .unwrap_or_default(),
            unit(variable),
            description.to_owned(),
            source.to_owned(),
        ]);
    }
    table::aligned(&rows)
}

fn one_as_json(model: &Model, defaults: &Instant, file: &str) -> Value {
    let variables: Vec<Value> = variables(model)
        .map(|(id, variable)| {
            let (description, source) = described(variable);
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            json!({
                "name": variable.name,
                "kind": kind(variable),
                "default": default(variable, id, defaults),
                "unit": variable.unit.map(|unit| unit.to_string()),
                "description": some(description),
                "source": some(source),
                "label": variable.label,
                "binding": match &variable.kind {
                    VariableKind::Bound(input) => Some(binding(input)),
                    _ => None,
                },
            })
        })
        .collect();
    let protocol: Vec<Value> = model
        .protocol
        .iter()
        .map(|e| json!({ "level": e.level, "start": e.start, "length": e.length, "period": e.period, "count": e.count }))
        .collect();
    json!({
        "schema": 1,
        "name": model.name,
        "file": file,
        "description": description(model),
        "ms_per_time": model.ms_per_time,
        "protocol": protocol,
        "variables": variables,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headline_ends_at_the_first_colon_or_full_stop() {
        assert_eq!(
            headline("The axon at 6.3 degrees: one patch. More"),
            "The axon at 6.3 degrees"
        );
        assert_eq!(headline("All of it"), "All of it");
        assert_eq!(headline("One."), "One");
    }

    #[test]
    fn a_source_is_taken_from_the_brackets_at_the_end() {
        let text = "[[model]]\nc.x = 1\n[c]\nt = 0 bind time\n\
            a = 1\n    desc: Number (assumption; see (2))\nb = 2\n    desc: Plain\n\
            dot(x) = -x\n    desc: Gate (1 = open)\ni = x\n    desc: Rate (Smith 1999, eq. 3)\n";
        let source = crate::diag::Source::new("x.mmt", text);
        let (model, _) = crate::model::read(&source).expect("no faults");
        let of = |name: &str| {
            let (d, s) = described(model.variable(model.find(name).expect("known")));
            (d.to_owned(), s.to_owned())
        };
        let pair = |d: &str, s: &str| (d.to_owned(), s.to_owned());
        assert_eq!(of("c.a"), pair("Number", "assumption; see (2)"));
        assert_eq!(of("c.b"), pair("Plain", ""));
        assert_eq!(of("c.x"), pair("Gate (1 = open)", ""));
        assert_eq!(of("c.i"), pair("Rate", "Smith 1999, eq. 3"));
        assert_eq!(of("c.t"), pair("", ""));
    }
}
