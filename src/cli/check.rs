//! `sarcolemma check`: everything that is wrong with a model, or what it is made of.

use serde_json::{Value, json};

use crate::diag::{self, Diagnostic, Source};
use crate::model::{self, Model, VariableId};

use super::anatomy::Anatomy;
use super::exit::{Exit, Failure};
use super::{output, shipped, table};

/// Check a model: units, names, cycles, singularities
///
/// Reports every fault with its file, line and column and ends with code 2 if there is one. Two known units that do not fit
/// are a fault here, and only a warning in 'run' and 'step'. A model without faults is described: its states, parameters,
/// gates, inputs and labels.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A shipped model's name, or a path to a .mmt file
    #[arg(value_name = "MODEL", value_hint = clap::ValueHint::FilePath)]
    model: String,

    /// Print one JSON object: the faults, and what the model is made of
    #[arg(long)]
    json: bool,
}

/// Checks the model.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let source = shipped::resolve(&args.model)?;
    let faults = model::check(&source);
    let sound = !faults.iter().any(Diagnostic::is_error);
    let parts = match model::read(&source) {
        Ok((model, _)) if sound => {
            let anatomy = Anatomy::of(&model).map_err(|e| Failure::Usage(e.to_string()))?;
            Some((model, anatomy))
        }
        _ => None,
    };
    if args.json {
        output::json(&as_json(&source, &faults, parts.as_ref()))?;
        return Ok(if sound { Exit::Done } else { Exit::Rejected });
    }
    let Some((model, anatomy)) = parts else {
        return Err(Failure::input(faults, source));
    };
    output::diagnostics(&faults, &source);
    output::data(&as_text(&source, &model, &anatomy))?;
    Ok(Exit::Done)
}

/// Width of the text form.
const WIDTH: usize = 100;

fn as_text(source: &Source, model: &Model, anatomy: &Anatomy) -> String {
    let names = |ids: &[VariableId]| -> Vec<String> {
        ids.iter()
            .map(|id| model.variable(*id).name.clone())
            .collect()
    };
    let pairs = |list: &[(String, VariableId)]| -> Vec<String> {
        list.iter()
            .map(|(what, id)| format!("{what} = {}", model.variable(*id).name))
            .collect()
    };
    let equations = anatomy.n_equations(model);
    let made_of = format!(
        "derivatives {}, intermediates {}, constants {}",
        model.states.len(),
        anatomy.intermediates.len(),
        anatomy.constants.len()
    );
    let singularities = match anatomy.removable_singularities {
        0 => "none found".to_owned(),
        _ => "removable: recognised, and computed without the singularity".to_owned(),
    };
    let lines = [
        ("equations", equations, vec![made_of]),
        ("states", model.states.len(), names(&model.states)),
        ("gates", anatomy.gates.len(), names(&anatomy.gates)),
        (
            "parameters",
            anatomy.parameters.len(),
            names(&anatomy.parameters),
        ),
        ("inputs", anatomy.bindings.len(), pairs(&anatomy.bindings)),
        ("labels", anatomy.labels.len(), pairs(&anatomy.labels)),
        (
            "singularities",
            anatomy.removable_singularities,
            vec![singularities],
        ),
    ];
    let mut text = format!("{} ({}): no faults\n\n", model.name, source.name);
    for (what, n, words) in lines {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let head = format!("{what:<13}  {n:>4}  ");
        text.push_str(format!("{head}{}", table::wrapped(&words, head.len(), WIDTH)).trim_end());
        text.push('\n');
    }
    text
}

fn as_json(source: &Source, faults: &[Diagnostic], parts: Option<&(Model, Anatomy)>) -> Value {
    let mut object = json!({
        "schema": 1,
        "file": source.name,
        "ok": !faults.iter().any(Diagnostic::is_error),
        "diagnostics": diag::render_json(faults, source),
    });
    if let Some((model, anatomy)) = parts {
        let names = |ids: &[VariableId]| -> Vec<&str> {
            ids.iter()
                .map(|id| model.variable(*id).name.as_str())
                .collect()
        };
        let pairs = |list: &[(String, VariableId)]| -> serde_json::Map<String, Value> {
            list.iter()
                .map(|(what, id)| (what.clone(), json!(model.variable(*id).name)))
                .collect()
        };
        object["model"] = json!(model.name);
        object["n_equations"] = json!(anatomy.n_equations(model));
        object["states"] = json!(names(&model.states));
        object["gates"] = json!(names(&anatomy.gates));
        object["parameters"] = json!(names(&anatomy.parameters));
        object["constants"] = json!(names(&anatomy.constants));
        object["intermediates"] = json!(names(&anatomy.intermediates));
        object["bindings"] = Value::Object(pairs(&anatomy.bindings));
        object["labels"] = Value::Object(pairs(&anatomy.labels));
        object["removable_singularities"] = json!(anatomy.removable_singularities);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: &str = "[[model]]\nname: decay\nc.x = 1\n[c]\nt = 0 [ms] bind time\n    in [ms]\nk = 5 [ms]\n    in [ms]\ndot(x) = -x / k\n";

    #[test]
    fn a_sound_model_is_described() {
        let source = Source::new("decay.mmt", DECAY);
        assert_eq!(model::check(&source), []);
        let (model, _) = model::read(&source).expect("no faults");
        let anatomy = Anatomy::of(&model).expect("a checked model lowers");
        let text = as_text(&source, &model, &anatomy);
        let expected = "\
decay (decay.mmt): no faults

equations         1  derivatives 1, intermediates 0, constants 0
states            1  c.x
gates             1  c.x
parameters        1  c.k
inputs            1  time = c.t
labels            0
singularities     0  none found
";
        assert_eq!(text, expected);
    }
}
