//! `sarcolemma new`: an annotated study to start from.

use std::io::Write;
use std::path::{Component, Path, PathBuf};

use crate::model::{Bound, Model, Variable, VariableKind};
use crate::units::Unit;

use super::exit::{Exit, Failure};
use super::{anatomy, output, shipped};

/// Write an annotated starter study
///
/// The study runs as it is: change it until it asks your question.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write; one that exists is left alone
    #[arg(value_name = "STUDY.toml", value_hint = clap::ValueHint::FilePath)]
    study: PathBuf,

    /// A shipped model's name, or a path to a .mmt file
    #[arg(long, value_name = "MODEL", default_value = "hodgkin_huxley_1952", value_hint = clap::ValueHint::FilePath)]
    model: String,
}

/// Writes the study.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let (model, _) = shipped::load(&args.model)?;
    let shown = args.study.display().to_string();
    let named = match shipped::find(&args.model) {
        Some(_) => args.model.clone(),
        None => beside(&args.study, Path::new(&args.model)),
    };
    let file_name = args
        .study
        .file_name()
        .map_or(shown.clone(), |name| name.to_string_lossy().into_owned());
    let text = starter(&model, &named, &file_name);
    let mut file = match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&args.study)
    {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::Usage(format!(
                "'{shown}' exists already\nhelp: choose another name, or remove it first"
            )));
        }
        Err(error) => return Err(Failure::file("write", &shown, &error)),
    };
    file.write_all(text.as_bytes())
        .map_err(|error| Failure::file("write", &shown, &error))?;
    output::note(&format!(
        "wrote {shown}; run it with: sarcolemma run {shown}"
    ));
    Ok(Exit::Done)
}

/// The path of a model as a study names it: relative to the study's folder, with `/` between the parts.
fn beside(study: &Path, model: &Path) -> String {
    let folder = match study.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let path = match (folder.canonicalize(), model.canonicalize()) {
        (Ok(from), Ok(to)) => relative(&from, &to).unwrap_or(to),
        _ => model.to_owned(),
    };
    path.to_string_lossy().replace('\\', "/")
}

/// The way from a folder to a file, both absolute; `None` where there is none (another drive).
fn relative(from: &Path, to: &Path) -> Option<PathBuf> {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    if shared == 0 {
        return None;
    }
    let up = from[shared..].iter().map(|_| Component::ParentDir);
    Some(up.chain(to[shared..].iter().copied()).collect())
}

/// A parameter worth varying first: a conductance where there is one, else any number that is not 0.
fn parameter(model: &Model) -> Option<(&Variable, f64)> {
    let conductance = Unit::parse("mS/cm^2").ok();
    let numbers = || {
        model.variables.iter().filter_map(|v| match v.kind {
            VariableKind::Literal(value) if value != 0.0 => Some((v, value)),
            _ => None,
        })
    };
    let conducts = |(v, _): &(&Variable, f64)| {
        v.unit
            .zip(conductance)
            .is_some_and(|(a, b)| a.same_dimension(b))
    };
    numbers().find(conducts).or_else(|| numbers().next())
}

/// A number in a variable's unit as a study writes it; few digits, since a person is to change it.
fn quantity(variable: &Variable, value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    let unit = anatomy::unit(variable);
    if unit.is_empty() {
        format!("{rounded:?}")
    } else {
        format!("\"{} {unit}\"", output::number(rounded))
    }
}

fn starter(model: &Model, named: &str, file_name: &str) -> String {
    let text = |s: &str| toml::Value::from(s).to_string();
    let watched = model
        .labelled("membrane_potential")
        .or_else(|| model.states.first().copied())
        .map(|id| model.variable(id));
    let millivolts = |v: &Variable| {
        v.unit
            .zip(Unit::parse("mV").ok())
            .is_some_and(|(a, b)| a.same_dimension(b))
    };
    let varied = parameter(model);
    let title = match varied {
        Some((v, _)) => format!("What does a spread of {} do?", v.name),
        None => format!("What does {} do?", model.name),
    };
    let mut study = format!(
        "\
# A study: which model, which fibres, what is done to them, what is kept.
#
#   sarcolemma plan {file_name}    what it would take
#   sarcolemma run {file_name}     runs it and writes the results
#   sarcolemma models {named}    every variable that it can name
#
# A quantity is a text with its unit, such as \"5 mV\"; a bare number is in the model's own unit.

title    = {}
model    = {}    # a shipped model's name, or a path relative to this file
duration = \"100 ms\"
# settle = \"200 ms\"    # first let every fibre find its own rest, unpaced and unrecorded
# scheme = \"auto\"      # or a scheme's name: euler, rush_larsen, ros3 or ros4 (every fibre its own step)
# largest_step = \"1 s\" # for minutes of rest with ros3 or ros4: steps may be this long, not only 20 ms

[population]
fibres   = 1000
seed     = 1           # a fibre's parameters depend on the seed and its own number alone
sampling = \"random\"    # or sobol, latin_hypercube, grid, zip
",
        text(&title),
        text(named),
    );
    if let Some((v, value)) = varied {
        let mut ends = [0.8 * value, 1.2 * value];
        ends.sort_by(f64::total_cmp);
        let [low, high] = ends.map(|end| quantity(v, end));
        study += &format!(
            "
# Every number of the model can vary, and so can the initial value of a state; the rest stay as they are.
# Also: linspace = [from, to, n], logspace, values = [...], normal = {{ mean = ..., sd = ... }}, lognormal, choice.
[population.parameters]
{} = {{ uniform = [{low}, {high}] }}    # {} in the model
",
            text(&v.name),
            quantity(v, value).trim_matches('"'),
        );
    }
    if model.bound(&Bound::Pace).is_some() {
        study += "
# Each pulse holds the model's pacing variable at a level.
[[protocol.pulse]]
start  = \"10 ms\"
length = \"0.5 ms\"
period = \"20 ms\"       # without period and count: once
count  = 4
level  = 1.0           # 1 is one suprathreshold stimulus
";
    }
    if let Some((v, value)) = varied {
        study += &format!(
            "
# A bath exchange or a drug: a parameter, stepped or ramped in time.
# [[protocol.set]]
# at = \"50 ms\"
# parameter = {}
# value = {}
# ramp = \"10 ms\"
",
            text(&v.name),
            quantity(v, 0.5 * value),
        );
    }
    if let Some(v) = watched {
        let name = text(&v.name);
        let zero = if millivolts(v) { "\"0 mV\"" } else { "0.0" };
        study += &format!(
            "
# Traces: states or anything computed, sampled at one interval.
[record]
variables = [{name}]
every     = \"0.5 ms\"
fibres    = {{ first = 100 }}    # or \"all\", or a list of their numbers

# One number per fibre, found while it runs. Also: min, mean, integral, time_of_max, time_of_min, final, value_at, time_above.
[features]
spikes = {{ of = {name}, threshold = {zero} }}
peak   = {{ max = {name}, after = \"5 ms\" }}
"
        );
    }
    study
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Source, render_text};
    use crate::study::{Overrides, SCHEMES};

    #[test]
    fn the_starter_of_every_shipped_model_is_a_study_without_faults() {
        for (name, _) in shipped::SHIPPED {
            let model =
                shipped::load_shipped(&shipped::find(name).expect("shipped")).expect("no faults");
            let source = Source::new("study.toml", starter(&model, name, "study.toml"));
            let loader = shipped::loader(Path::new("."));
            let reports =
                match crate::study::read(&source, &loader, &Overrides::default(), &SCHEMES) {
                    Ok((study, warnings)) => {
                        assert_eq!(study.population.fibres, 1000);
                        warnings
                    }
                    Err(faults) => faults,
                };
            let shown: String = reports
                .iter()
                .map(|r| render_text(&r.diagnostics, &r.source, false))
                .collect();
            assert!(shown.is_empty(), "{name}:\n{shown}\n{}", source.text);
        }
    }

    #[test]
    fn the_starter_of_a_model_without_pacing_label_or_units_is_a_study_too() {
        let text = "[[model]]\nc.x = 1\n[c]\nt = 0 bind time\nk = -5\ndot(x) = k * x\n";
        let (model, _) = crate::model::read(&Source::new("a b.mmt", text)).expect("no faults");
        let study = starter(&model, "a b.mmt", "s.toml");
        assert!(
            study.contains("\"c.k\" = { uniform = [-6.0, -4.0] }"),
            "{study}"
        );
        let loader = |_, _: &str| Ok(Source::new("a b.mmt", text));
        let read = crate::study::read(
            &Source::new("s.toml", study),
            &loader,
            &Overrides::default(),
            &SCHEMES,
        );
        assert!(read.is_ok_and(|(_, warnings)| warnings.is_empty()));
    }

    #[test]
    fn the_way_to_a_model_is_relative_to_the_study() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(way("/a/b", "/a/b/m.mmt"), Some("m.mmt".into()));
        assert_eq!(way("/a/b", "/a/c/m.mmt"), Some("../c/m.mmt".into()));
    }
}
