//! `sarcolemma step`: every derivative and every intermediate, evaluated once.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::diag::nearest;
use crate::model::{Bound, Model, VariableId, VariableKind};
use crate::units::{Quantity, Unit};

use super::anatomy::{Instant, kind, undriven, unit};
use super::exit::{Exit, Failure};
use super::output::{self, number};
use super::{shipped, table};

/// Evaluate every derivative and intermediate of a model once
///
/// In double precision, by the formulas as they are written, at the model's initial state or the one that --set gives.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A shipped model's name, or a path to a .mmt file
    #[arg(value_name = "MODEL", value_hint = clap::ValueHint::FilePath)]
    model: String,

    /// Give a parameter or a state a value; with a unit ("membrane.V=-60 mV") it is checked and converted. Repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,

    /// The time, such as "5 ms"; a bare number is in the model's unit of time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,

    /// The pacing level; 1 is one suprathreshold stimulus
    #[arg(long, value_name = "LEVEL", allow_hyphen_values = true)]
    pace: Option<f64>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Evaluates and prints.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let (model, _) = shipped::load(&args.model)?;
    let mut set = HashMap::new();
    for text in &args.set {
        let (id, value) = assignment(&model, text).map_err(Failure::Usage)?;
        set.insert(id, value);
    }
    let time = match &args.at {
        Some(text) => time(&model, text).map_err(Failure::Usage)?,
        None => undriven(&model, &Bound::Time),
    };
    let pace = match args.pace {
        Some(level) if !level.is_finite() => {
            return Err(Failure::Usage(format!(
                "--pace {level} is not a finite number"
            )));
        }
        Some(level) => level,
        None => undriven(&model, &Bound::Pace),
    };
    let instant =
        Instant::of(&model, &set, time, pace).map_err(|e| Failure::Usage(e.to_string()))?;
    match args.json {
        true => output::json(&as_json(&model, &instant, time, pace))?,
        false => output::data(&as_text(&model, &instant, time, pace))?,
    }
    Ok(Exit::Done)
}

/// `NAME=VALUE`: what is meant, and its value in the model's unit.
fn assignment(model: &Model, text: &str) -> Result<(VariableId, f64), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("--set '{text}' is not of the form NAME=VALUE"));
    };
    let name = name.trim();
    let settable =
        |v: &VariableKind| matches!(v, VariableKind::Literal(_) | VariableKind::State { .. });
    let Some(id) = model.find(name) else {
        let names = model
            .variables
            .iter()
            .filter(|v| settable(&v.kind))
            .map(|v| v.name.as_str());
        let help = match nearest(name, names) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("'sarcolemma models {}' lists the names", model.name),
        };
        return Err(format!(
            "--set '{name}': the model has no variable of that name\nhelp: {help}"
        ));
    };
    let variable = model.variable(id);
    if !settable(&variable.kind) {
        let help = match &variable.kind {
            VariableKind::Bound(Bound::Time) => "the time is set with --at",
            VariableKind::Bound(Bound::Pace) => "the pacing level is set with --pace",
            _ => "set the parameters and states that it is computed from",
        };
        let article = if kind(variable).starts_with('i') {
            "an"
        } else {
            "a"
        };
        let what = kind(variable);
        return Err(format!(
            "--set '{name}' is {article} {what}: only parameters and states can be set\nhelp: {help}"
        ));
    }
    let quantity = quantity(&format!("--set '{name}'"), value)?;
    in_unit(quantity, variable.unit)
        .map(|value| (id, value))
        .ok_or_else(|| {
            format!(
                "--set '{name}': '{}' is given, but {name} is in {}",
                value.trim(),
                unit(variable)
            )
        })
}

/// The time in the model's own unit.
fn time(model: &Model, text: &str) -> Result<f64, String> {
    let given = quantity("--at", text)?;
    let own = match model
        .bound(&Bound::Time)
        .and_then(|id| model.variable(id).unit)
    {
        Some(unit) => unit,
        None => Unit::parse("ms").map_err(|e| e.to_string())?,
    };
    in_unit(given, Some(own)).ok_or_else(|| format!("--at '{}' is not a time", text.trim()))
}

fn quantity(what: &str, text: &str) -> Result<Quantity, String> {
    Quantity::parse(text).map_err(|error| match error.help() {
        Some(help) => format!("{what}: {error}\nhelp: {help}"),
        None => format!("{what}: {error}"),
    })
}

/// The number in the wanted unit; what has no unit fits anything. `None` if the units do not fit.
fn in_unit(quantity: Quantity, unit: Option<Unit>) -> Option<f64> {
    match unit {
        Some(unit) => quantity.to(unit),
        None => Some(quantity.value),
    }
}

/// The model's unit of time, as text.
fn time_unit(model: &Model) -> Option<String> {
    let variable = model.variable(model.bound(&Bound::Time)?);
    variable.unit.map(|unit| unit.to_string())
}

fn as_json(model: &Model, instant: &Instant, time: f64, pace: f64) -> Value {
    let mut states = Map::new();
    for (i, &id) in model.states.iter().enumerate() {
        let pair = json!({ "value": instant.states[i], "derivative": instant.derivatives[i] });
        states.insert(model.variable(id).name.clone(), pair);
    }
    let mut variables = Map::new();
    for (variable, value) in model.variables.iter().zip(&instant.variables) {
        if !matches!(variable.kind, VariableKind::State { .. }) {
            variables.insert(variable.name.clone(), json!(value));
        }
    }
    json!({
        "schema": 1,
        "model": model.name,
        "time": time,
        "time_unit": time_unit(model),
        "pace": pace,
        "states": states,
        "variables": variables,
    })
}

fn as_text(model: &Model, instant: &Instant, time: f64, pace: f64) -> String {
    let time_unit = time_unit(model);
    let (gap, per) = match &time_unit {
        Some(unit) => (format!(" {unit}"), format!("derivative, per {unit}")),
        None => (String::new(), "derivative".to_owned()),
    };
    let mut states = vec![[
        "state".to_owned(),
        "value".to_owned(),
        "unit".to_owned(),
        per,
    ]];
    for (i, &id) in model.states.iter().enumerate() {
        let variable = model.variable(id);
        let (value, derivative) = (number(instant.states[i]), number(instant.derivatives[i]));
        states.push([variable.name.clone(), value, unit(variable), derivative]);
    }
    let mut others = vec![["variable", "value", "unit", "kind"].map(str::to_owned)];
    for (variable, &value) in model.variables.iter().zip(&instant.variables) {
        if !matches!(variable.kind, VariableKind::State { .. }) {
            others.push([
                variable.name.clone(),
                number(value),
                unit(variable),
                kind(variable).to_owned(),
            ]);
        }
    }
    format!(
        "{} at {}{gap}, pacing level {}\n\n{}\n{}",
        model.name,
        number(time),
        number(pace),
        table::aligned(&states),
        table::aligned(&others),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "[[model]]\nname: m\nc.V = -75\n[c]\nt = 0 [s] bind time\n    in [s]\np = 0 bind pace\n\
        g = 2 [mS/cm^2]\n    in [mS/cm^2]\nfree = 3\ndot(V) = -g * V * free + p\n    in [mV]\ntwice = 2 * V\n    in [mV]\n";

    fn model() -> Model {
        crate::model::read(&crate::diag::Source::new("m.mmt", MODEL))
            .expect("no faults")
            .0
    }

    #[test]
    fn values_are_converted_to_the_models_unit() {
        let model = model();
        let id = |name| model.find(name).expect("known");
        assert_eq!(assignment(&model, "c.V=-0.06 V"), Ok((id("c.V"), -60.0)));
        assert_eq!(assignment(&model, " c.g = 1e-3 "), Ok((id("c.g"), 1e-3)));
        assert_eq!(assignment(&model, "c.free=7 mV"), Ok((id("c.free"), 7.0)));
        assert_eq!(time(&model, "5 ms"), Ok(0.005));
        assert_eq!(time(&model, "5"), Ok(5.0));
    }

    #[test]
    fn what_cannot_be_set_is_refused_with_the_reason() {
        let model = model();
        let refusal = |text: &str| assignment(&model, text).expect_err("refused");
        assert_eq!(refusal("c.g"), "--set 'c.g' is not of the form NAME=VALUE");
        assert!(refusal("c.v=1").ends_with("help: did you mean 'c.V'?"));
        assert_eq!(
            refusal("c.g=5 mV"),
            "--set 'c.g': '5 mV' is given, but c.g is in mS/cm^2"
        );
        assert!(refusal("c.g=5 mXx").starts_with("--set 'c.g': unknown unit"));
        assert!(refusal("c.g=nan").starts_with("--set 'c.g': expected a number"));
        assert!(
            refusal("c.twice=1").starts_with("--set 'c.twice' is an intermediate: only parameters")
        );
        assert!(refusal("c.t=1").ends_with("help: the time is set with --at"));
        assert!(refusal("c.p=1").ends_with("help: the pacing level is set with --pace"));
        assert_eq!(
            time(&model, "5 mV"),
            Err("--at '5 mV' is not a time".to_owned())
        );
    }
}
