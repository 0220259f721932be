//! One fibre of a result file as the file has it, and the study of that fibre alone, made from nothing but the file.
//!
//! A file holds the study's text, the model's text and every fibre's parameters. The parameters are taken from there, not drawn again:
//! each entry of `[population.parameters]` becomes the fibre's own number. So a study that named a table or a model's path
//! needs neither. How it was computed (scheme, step, tolerance) is taken from the file's attributes, because `auto` and the defaults may
//! mean something else by the time it is run again.
//!
//! Whatever the file says twice is compared, and a file that contradicts itself is refused: nothing is run, and nothing larger than
//! the file itself is allocated, on the word of a damaged text.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::diag::Source;
use crate::model::{Model, VariableId};
use crate::run::sink::{Attribute, Column, FibreStatus, Precision, SpikeEvent, Traces};
use crate::run::{ERROR_SCALES, sha256};
use crate::store::{ResultReader, RunStatus, StoreError};
use crate::study::{self, Overrides, Report, SCHEMES, Scheme, Study, Wish};

/// A fibre as its file has it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where the file is.
    pub path: PathBuf,
    /// The fibre's number.
    pub fibre: u64,
    /// Number of fibres of the whole population.
    pub n_fibres: u64,
    /// The study, with this one fibre; its text is the whole study's.
    pub study: Study,
    /// Varied parameters and the fibre's values of them, in the order of the study.
    pub parameters: Vec<(Column, f64)>,
    /// What ran it: `cpu`, `gpu` or `reference`.
    pub backend: String,
    /// The device, in words.
    pub device: String,
    /// How steps were summed up; nothing in files that do not say it.
    pub summation: Option<String>,
    /// Precision that it was computed in.
    pub precision: Precision,
    /// Scheme that it was computed by.
    pub scheme: String,
    /// What the file says of its run.
    pub run: RunStatus,
    /// Names of the states.
    pub state_names: Vec<String>,
    /// How the fibre ended; `None` where the run has not ended.
    pub status: Option<FibreStatus>,
    /// Its features; without values where the run has not ended.
    pub features: Vec<(Column, Option<f64>)>,
    /// Names of the features that have spikes, in the order of [`SpikeEvent::feature`].
    pub event_features: Vec<String>,
    /// Its spikes, in order of feature and time, up to where the run is.
    pub spikes: Vec<SpikeEvent>,
    /// Times of the whole rows, ms.
    pub time_ms: Vec<f64>,
    /// What was recorded over time: whole rows only; `None` where this fibre was not recorded.
    pub traces: Option<Vec<Vec<f64>>>,
    /// Recorded quantities.
    pub variables: Vec<Column>,
    /// What the command line had put in place of the study's own words, and the size of the population: attributes that a file of this fibre
    /// alone bears too.
    pub said: Vec<(String, Attribute)>,
}

/// Why a fibre cannot be run again from a file.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such fibre.
    #[error("{path} has no fibre {fibre}: {there}", path = .path.display())]
    NoFibre {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        fibre: u64,
        /// Which there are, in words.
        there: String,
    },
    /// What the file says does not fit together.
    #[error("{path} is damaged, or was changed: {why}", path = .path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// This version cannot read the study or the model that the file holds.
    #[error("the study in {path} cannot be read by this version", path = .path.display())]
    Study {
        /// The file.
        path: PathBuf,
        /// What is wrong in which text.
        reports: Vec<Report>,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Name of the attribute that says how many fibres the population had, in a file that holds one of them.
const POPULATION: &str = "population_fibres";

/// Reads a fibre and makes the study of it alone.
///
/// # Errors
/// If the file has no such fibre, contradicts itself or cannot be read.
pub fn recorded(file: &ResultReader, fibre: u64) -> Result<Recorded, ReplayError> {
    let path = file.path();
    let wrong = |why: String| contradiction(path, why);
    let ids = file.fibre_ids()?;
    let Some(place) = ids.iter().position(|&id| id == fibre) else {
        return Err(no_fibre(path, fibre, &ids));
    };
    let text = |name: &str| required(file, name);
    let (study_text, model_text) = texts(file)?;
    let values = values(file, place)?;
    let one = ["summary", "agreement"];
    let mut study = alone(file, &study_text, &model_text, &values, &one)?;
    let backend = text("backend")?;
    let scheme = text("scheme")?;
    computed_as(file, &scheme, &mut study)?;
    let mut parameters = Vec::new();
    for varied in &study.population.varied {
        let found = values.iter().find(|(c, _)| c.name == varied.column);
        parameters.push(found.cloned().ok_or_else(|| {
            wrong(format!(
                "it lacks the fibres' values of '{}'",
                varied.column
            ))
        })?);
    }
    let state_names = file.layout()?.state_names;
    fits(file, &study, &state_names)?;

    let ended = file.run_status() != RunStatus::Running;
    let status = match ended {
        true => file.status()?.get(place).copied(),
        false => None,
    };
    let mut features = Vec::new();
    for column in file.features() {
        let value = match file.run_status() {
            RunStatus::Complete => file.feature(&column.name)?.get(place).copied(),
            RunStatus::Running | RunStatus::Interrupted => None,
        };
        features.push((column, value));
    }
    let mut spikes = file.events()?;
    spikes.retain(|s| s.fibre == fibre);
    spikes.sort_by(|a, b| {
        a.feature
            .cmp(&b.feature)
            .then(a.time_ms.total_cmp(&b.time_ms))
    });
    let mut time_ms = file.time_ms()?;
    time_ms.truncate(file.committed_rows());
    let is_recorded = match file.traces()? {
        Traces::All => true,
        Traces::Some(ids) => ids.contains(&fibre),
    };
    let variables = file.variables();
    let traces = match is_recorded {
        true => Some(
            variables
                .iter()
                .map(|c| file.read_trace(&c.name, fibre))
                .collect::<Result<Vec<_>, _>>()?,
        ),
        false => None,
    };
    let n_fibres = file
        .number(POPULATION)
        .map_or(ids.len() as u64, |n| n as u64);
    let mut said: Vec<(String, Attribute)> = file
        .attributes()
        .into_iter()
        .filter(|(name, _)| ["fibres_override", "duration_override"].contains(&name.as_str()))
        .collect();
    said.push((POPULATION.to_owned(), Attribute::Integer(n_fibres as i64)));
    Ok(Recorded {
        path: path.to_owned(),
        fibre,
        n_fibres,
        study,
        parameters,
        backend,
        device: file.text("device").unwrap_or("unknown").to_owned(),
        summation: file.text("summation").map(str::to_owned),
        precision: precision(file),
        scheme,
        run: file.run_status(),
        state_names,
        status,
        features,
        event_features: file.event_features(),
        spikes,
        time_ms,
        traces,
        variables,
        said,
    })
}

/// The study of a file, with one fibre and that fibre's numbers in the place of rules, but with all that it says of
/// the comparison with the reference.
pub(super) fn study_of(file: &ResultReader) -> Result<Study, ReplayError> {
    let (study, model) = texts(file)?;
    let values = values(file, 0)?;
    let mut study = alone(file, &study, &model, &values, &["summary"])?;
    computed_as(file, &required(file, "scheme")?, &mut study)?;
    fits(file, &study, &file.layout()?.state_names)?;
    Ok(study)
}

/// The study of a file, for the run that goes on with it: as the study of a rerun, and with its `[summary]` where that can be had.
///
/// # Errors
/// If the file contradicts itself or cannot be read.
pub fn study_to_resume(file: &ResultReader) -> Result<Study, ReplayError> {
    let (study, model) = texts(file)?;
    let values = values(file, 0)?;
    let mut study = alone(file, &study, &model, &values, &[])
        .or_else(|_| alone(file, &study, &model, &values, &["summary"]))?;
    computed_as(file, &required(file, "scheme")?, &mut study)?;
    fits(file, &study, &file.layout()?.state_names)?;
    Ok(study)
}

/// A root attribute's text, which must be there.
fn required(file: &ResultReader, name: &str) -> Result<String, ReplayError> {
    let missing = || contradiction(file.path(), format!("it does not say its '{name}'"));
    file.text(name).map(str::to_owned).ok_or_else(missing)
}

/// The texts of study and model, checked against their hashes.
fn texts(file: &ResultReader) -> Result<(String, String), ReplayError> {
    let (study, model) = (required(file, "study")?, required(file, "model")?);
    for (what, text, hash) in [
        ("study", &study, file.text("study_sha256")),
        ("model", &model, file.text("model_sha256")),
    ] {
        if hash.is_some_and(|hash| hash != sha256(text)) {
            return Err(contradiction(
                file.path(),
                format!("its {what}'s text has not the hash that it gives"),
            ));
        }
    }
    Ok((study, model))
}

/// The varied parameters of the fibre at a place in the file.
fn values(file: &ResultReader, place: usize) -> Result<Vec<(Column, f64)>, ReplayError> {
    let mut values = Vec::new();
    for column in file.parameters() {
        let value = file.parameter(&column.name)?[place];
        if !value.is_finite() {
            let id = file.fibre_ids()?[place];
            let why = format!("'{}' of fibre {id} is {value}", column.name);
            return Err(contradiction(file.path(), why));
        }
        values.push((column, value));
    }
    Ok(values)
}

fn contradiction(path: &Path, why: String) -> ReplayError {
    ReplayError::Contradiction {
        path: path.to_owned(),
        why,
    }
}

fn no_fibre(path: &Path, fibre: u64, ids: &[u64]) -> ReplayError {
    let there = match ids {
        [] => "it has none".to_owned(),
        [only] => format!("it has number {only} alone"),
        [first, .., last] => format!("its numbers go from {first} to {last}"),
    };
    ReplayError::NoFibre {
        path: path.to_owned(),
        fibre,
        there,
    }
}

/// The precision that the fibres were computed in, which is that of the traces where there are any.
fn precision(file: &ResultReader) -> Precision {
    match file.text("precision") {
        Some("f64") => Precision::F64,
        Some("f32") => Precision::F32,
        _ => file.precision(),
    }
}

/// Reads the study with one fibre and its values, without the keys of `left_out`.
fn alone(
    file: &ResultReader,
    text: &str,
    model: &str,
    values: &[(Column, f64)],
    left_out: &[&str],
) -> Result<Study, ReplayError> {
    let path = file.path();
    let model_name = required(file, "model_name")?;
    let duration = file.text("duration_override").map(str::to_owned);
    let table: Table = text
        .parse()
        .map_err(|_| contradiction(path, "its study is no TOML".to_owned()))?;
    let rewritten = toml::to_string(&with_values(table, values, left_out))
        .map_err(|error| contradiction(path, format!("its study cannot be written: {error}")))?;
    let name = match model_name.ends_with(".mmt") {
        true => model_name,
        false => format!("{model_name}.mmt"),
    };
    let loader = |wish: Wish, wanted: &str| match wish {
        Wish::Model => Ok(Source::new(&name, model)),
        Wish::Table => Err(format!("'{wanted}' is not needed")),
    };
    let overrides = Overrides {
        fibres: Some(1),
        duration,
    };
    let source = Source::new(format!("the study in {}", path.display()), rewritten);
    match study::read(&source, &loader, &overrides, &SCHEMES) {
        Ok((mut study, _)) => {
            study.text = text.to_owned();
            Ok(study)
        }
        Err(reports) => Err(ReplayError::Study {
            path: path.to_owned(),
            reports,
        }),
    }
}

/// The study's table for one fibre, recorded, whose parameters are these numbers; without the keys of `left_out`.
fn with_values(mut study: Table, values: &[(Column, f64)], left_out: &[&str]) -> Table {
    for key in left_out {
        study.remove(*key);
    }
    if let Some(Value::Table(record)) = study.get_mut("record") {
        record.remove("fibres");
    }
    if let Some(Value::Table(population)) = study.get_mut("population") {
        for key in ["fibres", "sampling"] {
            population.remove(key);
        }
        if let Some(Value::Table(parameters)) = population.get_mut("parameters") {
            set_values(parameters, "", values);
        }
    }
    study
}

/// Puts the numbers in the place of rules: of `"bath.Mg" = …` and of `bath.Mg = …`.
fn set_values(parameters: &mut Table, component: &str, values: &[(Column, f64)]) {
    for (name, rule) in parameters.iter_mut() {
        let full = match component {
            "" => name.clone(),
            component => format!("{component}.{name}"),
        };
        if let (Value::Table(inner), false, "") = (&mut *rule, name.contains('.'), component) {
            set_values(inner, name, values);
            continue;
        }
        // An initial value's column has a suffix where the state itself is recorded.
        let initial = format!("{full}.initial");
        let found = values.iter().find(|(c, _)| c.name == full);
        let found = found.or_else(|| values.iter().find(|(c, _)| c.name == initial));
        if let Some((_, value)) = found {
            *rule = Value::Float(*value);
        }
    }
}

/// Puts the scheme and what it was asked for in the place of what the study says.
fn computed_as(file: &ResultReader, scheme: &str, study: &mut Study) -> Result<(), ReplayError> {
    let wrong = |why: String| contradiction(file.path(), why);
    if scheme == "reference" {
        // Its tolerance is its own. Another backend takes what the study says.
        return Ok(());
    }
    if !SCHEMES.iter().any(|known| known.name == scheme) {
        return Err(wrong(format!(
            "it was computed by the scheme '{scheme}', which is not known"
        )));
    }
    study.scheme = Scheme::Named(scheme.to_owned());
    for (name, place) in [
        ("tolerance", &mut study.tolerance),
        ("step_ms", &mut study.step_ms),
        ("largest_step_ms", &mut study.largest_step_ms),
    ] {
        if let Some(value) = file.number(name) {
            if !(value > 0.0 && value.is_finite()) {
                return Err(wrong(format!("its '{name}' is {value}")));
            }
            *place = Some(value);
        }
    }
    if let Some(text) = file.text(ERROR_SCALES) {
        study.scales = scales(text, &study.model)
            .ok_or_else(|| wrong(format!("its '{ERROR_SCALES}' are not those of its model")))?;
    }
    Ok(())
}

/// The error of each state that counts as one: from `NAME=NUMBER NAME=NUMBER …`.
fn scales(text: &str, model: &Model) -> Option<Vec<(VariableId, f64)>> {
    let of = |word: &str| {
        let (name, number) = word.split_once('=')?;
        let named = |s: &&VariableId| model.variable(**s).name == name;
        let state = model.states.iter().find(named)?;
        let scale: f64 = number.parse().ok()?;
        (scale > 0.0 && scale.is_finite()).then_some((*state, scale))
    };
    let scales: Vec<_> = text.split_whitespace().map(of).collect::<Option<_>>()?;
    (scales.len() == model.states.len()).then_some(scales)
}

/// Whether the study gives what the file holds.
fn fits(file: &ResultReader, study: &Study, state_names: &[String]) -> Result<(), ReplayError> {
    let model = &study.model;
    let name = |id: &VariableId| model.variable(*id).name.clone();
    let names = |columns: Vec<Column>| columns.into_iter().map(|c| c.name).collect::<Vec<_>>();
    let of_study = |what: &str| format!("its {what} are not those of its study");
    let wrong = |what: &str| Err(contradiction(file.path(), of_study(what)));
    if file.number("duration_ms") != Some(study.duration_ms) {
        return wrong("times");
    }
    let rows = match study.record.variables.is_empty() {
        true => 0,
        // As a run counts them.
        false => (study.duration_ms / study.record.every_ms + 1e-9).floor() as usize + 1,
    };
    if file.layout()?.time_ms.len() != rows {
        return wrong("rows");
    }
    let recorded: Vec<String> = study.record.variables.iter().map(name).collect();
    if names(file.variables()) != recorded {
        return wrong("recorded quantities");
    }
    let columns: Vec<String> = study
        .feature_columns()
        .into_iter()
        .map(|f| f.name)
        .collect();
    if names(file.features()) != columns {
        return wrong("features");
    }
    let states: Vec<String> = model.states.iter().map(name).collect();
    if state_names != states {
        return wrong("states");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_become_numbers_in_their_places_and_nothing_else_changes() {
        let text = "model = 'm'\n[population]\nfibres = 9\nseed = 4\nsampling = 'sobol'\n[population.parameters]\n\
            'b.K' = { file = 't.csv', column = 'x' }\nc.V = { normal = { sd = 1 } }\nc.g = 2\n'protocol.level' = { values = [1, 2] }\n\
            [record]\nvariables = ['c.V']\nevery = 1\nfibres = [7]\n[summary]\nby = ['b.K']\n";
        let column = |name: &str| Column {
            name: name.to_owned(),
            units: "1".to_owned(),
            long_name: String::new(),
            cell_methods: None,
        };
        let values = [
            (column("b.K"), 0.1 + 0.2),
            (column("c.V.initial"), -80.0),
            (column("c.g"), 2.0),
            (column("protocol.level"), 1e-300),
        ];
        let table = with_values(text.parse().expect("TOML"), &values, &["summary"]);
        let back: Table = toml::to_string(&table)
            .expect("a table")
            .parse()
            .expect("TOML");
        let expected: Table = "model = 'm'\n[population]\nseed = 4\n[population.parameters]\n\
            'b.K' = 0.30000000000000004\nc.V = -80.0\nc.g = 2.0\n'protocol.level' = 1e-300\n[record]\nvariables = ['c.V']\nevery = 1\n"
            .parse()
            .expect("TOML");
        assert_eq!(back, expected);
    }
}
