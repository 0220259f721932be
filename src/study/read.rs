//! From a study's text to a [`Study`], or every fault in it.

use super::events::{End, level_unit};
use super::faults;
use super::names::Role;
use super::quantity::Wanted;
use super::walk::{Item, Reader, Table};
use super::{Loader, Overrides, Report, Scheme, SchemeName, Study, Wish};
use crate::backend::LARGEST_STEPS_MS;
use crate::diag::{Diagnostic, Source, nearest};
use crate::model::{self, Model, VariableId};
use crate::units::Quantity;
use toml::de::DeTable;

/// Reads a study and the model that it names. Warnings come with the study; faults of the study, of the model and of tables each
/// with the text that they are in.
pub fn read(
    source: &Source,
    loader: &dyn Loader,
    overrides: &Overrides,
    schemes: &[SchemeName],
) -> Result<(Study, Vec<Report>), Vec<Report>> {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        let fault = |error: &toml::de::Error| {
            let fault = Diagnostic::error(faults::SYNTAX, error.message());
            match error.span() {
                Some(span) => fault.at(span.into(), ""),
                None => fault,
            }
        };
        let diagnostics = errors.iter().map(fault).collect();
        return Err(vec![Report {
            source: source.clone(),
            diagnostics,
        }]);
    }
    let mut reports = Vec::new();
    let mut reader = Reader {
        source,
        model: None,
        faults: Vec::new(),
    };
    let mut table = Table::new("", (0..0).into(), document.get_ref());
    let name = reader.require(&mut table, "model", "\"hodgkin_huxley_1952\"");
    let mut model_source = None;
    if let Some(item) = &name
        && let Some(name) = reader.text(item)
    {
        match loader.load(Wish::Model, name) {
            Ok(text) => model_source = Some(text),
            Err(error) => {
                let message = format!("model \"{name}\" cannot be read: {error}");
                reader.error(faults::FILE, item.span, message);
            }
        }
    }
    let mut model = None;
    if let Some(text) = model_source {
        let diagnostics = match model::read(&text) {
            Ok((read, warnings)) => {
                if let (true, Some(item)) = (read.states.is_empty(), &name) {
                    let message = format!(
                        "model {} has no state: there is nothing to run",
                        item.shown()
                    );
                    reader.error(faults::WRONG_KIND, item.span, message);
                }
                model = Some(read);
                warnings
            }
            Err(errors) => {
                if let Some(item) = &name {
                    let n = errors.iter().filter(|d| d.is_error()).count();
                    let message = format!(
                        "model {} has {n} fault{}",
                        item.shown(),
                        if n == 1 { "" } else { "s" }
                    );
                    reader.error(faults::FILE, item.span, message);
                }
                errors
            }
        };
        if !diagnostics.is_empty() {
            reports.push(Report {
                source: text,
                diagnostics,
            });
        }
    }
    reader.model = model.as_ref();
    let parts = whole(&mut reader, table, loader, overrides, schemes, &mut reports);
    let mut diagnostics = std::mem::take(&mut reader.faults);
    diagnostics.sort_by_key(Diagnostic::place);
    let failed = diagnostics.iter().any(Diagnostic::is_error);
    if !diagnostics.is_empty() {
        reports.insert(
            0,
            Report {
                source: source.clone(),
                diagnostics,
            },
        );
    }
    match (model, parts) {
        (Some(model), Some(parts)) if !failed => {
            let title = parts.title.unwrap_or_else(|| model.name.clone());
            let study = Study {
                title,
                text: source.text.clone(),
                model,
                model_name: name
                    .and_then(|item| item.as_text())
                    .unwrap_or_default()
                    .to_string(),
                duration_ms: parts.duration_ms,
                settle_ms: parts.settle_ms,
                scheme: parts.stepping.scheme,
                step_ms: parts.stepping.step_ms,
                tolerance: parts.stepping.tolerance,
                largest_step_ms: parts.stepping.largest_step_ms,
                scales: parts.stepping.scales,
                population: parts.population,
                protocol: parts.protocol,
                record: parts.record,
                features: parts.features,
                summary: parts.summary,
                agreement: parts.agreement,
            };
            Ok((study, reports))
        }
        _ => Err(reports),
    }
}

/// Everything of a [`Study`] that its own text says.
struct Parts {
    title: Option<String>,
    duration_ms: f64,
    settle_ms: f64,
    stepping: Stepping,
    population: super::Population,
    protocol: crate::protocol::Protocol,
    record: super::Record,
    features: Vec<crate::feature::FeatureSpec>,
    summary: Option<super::Summary>,
    agreement: super::Agreement,
}

fn whole(
    reader: &mut Reader<'_>,
    mut table: Table<'_>,
    loader: &dyn Loader,
    overrides: &Overrides,
    schemes: &[SchemeName],
    reports: &mut Vec<Report>,
) -> Option<Parts> {
    let title = table
        .take("title")
        .and_then(|item| reader.text(&item))
        .map(str::to_string);
    let end = duration(reader, &mut table, overrides);
    let settle_ms = table
        .take("settle")
        .map_or(Some(0.0), |item| reader.time_from_zero(&item));
    let stepping = stepping(reader, &mut table, schemes);
    let (population, protocol) = (table.take("population"), table.take("protocol"));
    let (record, features) = (table.take("record"), table.take("features"));
    let (summary, agreement) = (table.take("summary"), table.take("agreement"));
    reader.finish(&table);

    let units: Vec<(String, Option<crate::units::Unit>)> = {
        // Levels of the study's own get their unit from where the protocol uses them.
        let levels = population
            .as_ref()
            .map(super::population::own_levels)
            .unwrap_or_default();
        let unit = |name: String| {
            level_unit(protocol.as_ref().map(|item| item.value), reader, &name)
                .map(|unit| (name, unit))
        };
        levels.into_iter().filter_map(unit).collect()
    };
    let unit_of = |name: &str| {
        units
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, unit)| *unit)
    };
    let mut population = reader.population(population, overrides, &unit_of, loader, reports);
    let protocol = reader.protocol(protocol, &population, end);
    let record = reader.record(record, &population, end, overrides.fibres.is_some());
    for varied in &mut population.varied {
        if let super::VariedTarget::Initial(id) = varied.target
            && record.variables.contains(&id)
        {
            varied.column.push_str(".initial");
        }
    }
    let mut taken: Vec<String> = population.varied.iter().map(|v| v.column.clone()).collect();
    if let Some(model) = reader.model {
        taken.extend(
            record
                .variables
                .iter()
                .map(|id| model.variable(*id).name.clone()),
        );
    }
    let before = reader.faults.iter().filter(|d| d.is_error()).count();
    let features = reader.features(features, &taken, end);
    let sound =
        reader.model.is_some() && reader.faults.iter().filter(|d| d.is_error()).count() == before;
    let summary = reader.summary(summary, &population, &features, sound);
    let agreement = reader.agreement(agreement);
    Some(Parts {
        title,
        duration_ms: end.duration_ms?,
        settle_ms: settle_ms?,
        stepping,
        population,
        protocol,
        record,
        features,
        summary,
        agreement,
    })
}

fn duration(reader: &mut Reader<'_>, table: &mut Table<'_>, overrides: &Overrides) -> End {
    let overridden = overrides.duration.is_some();
    let item = match overridden {
        true => table.take("duration"),
        false => reader.require(table, "duration", "\"2 s\""),
    };
    let mut duration_ms = item.as_ref().and_then(|item| reader.positive_time(item));
    if let (Some(ms), Some(item)) = (duration_ms, &item)
        && crate::protocol::tick(ms) < 1
    {
        reader.error(
            faults::RANGE,
            item.span,
            format!("'duration' is {}, shorter than 10 ns", item.shown()),
        );
        duration_ms = None;
    }
    if let Some(text) = &overrides.duration {
        duration_ms = override_ms(reader.model, text);
        if duration_ms.is_none() {
            let message =
                format!("--duration is \"{text}\", expected a time above 0 such as \"100 ms\"");
            reader
                .faults
                .push(Diagnostic::error(faults::QUANTITY, message));
        }
    }
    End {
        duration_ms,
        overridden,
    }
}

fn override_ms(model: Option<&Model>, text: &str) -> Option<f64> {
    let quantity = Quantity::parse(text).ok()?;
    let ms = match quantity.unit {
        Some(unit) => unit.convert(quantity.value, super::quantity::millisecond())?,
        None => quantity.value * model.map_or(1.0, |m| m.ms_per_time),
    };
    (crate::protocol::tick(ms) >= 1 && ms < 1e12).then_some(ms)
}

/// What a study says of its steps.
struct Stepping {
    scheme: Scheme,
    step_ms: Option<f64>,
    tolerance: Option<f64>,
    largest_step_ms: Option<f64>,
    scales: Vec<(VariableId, f64)>,
}

fn stepping(reader: &mut Reader<'_>, table: &mut Table<'_>, schemes: &[SchemeName]) -> Stepping {
    let mut scheme = Scheme::Auto;
    let mut adaptive = true;
    if let Some(item) = table.take("scheme")
        && let Some(text) = reader.text(&item)
        && text != "auto"
    {
        match schemes.iter().find(|s| s.name == text) {
            Some(known) => (scheme, adaptive) = (Scheme::Named(text.to_string()), known.adaptive),
            None => {
                let names: Vec<&str> = std::iter::once("auto")
                    .chain(schemes.iter().map(|s| s.name))
                    .collect();
                let message = format!(
                    "'scheme' is \"{text}\", expected one of {}",
                    names.join(", ")
                );
                let help = nearest(text, names.iter().copied())
                    .map(|near| format!("did you mean '{near}'?"));
                reader.error(faults::UNKNOWN_NAME, item.span, message).help = help;
            }
        }
    }
    let named = match &scheme {
        Scheme::Auto => "the automatic one".to_string(),
        Scheme::Named(name) => name.clone(),
    };
    let step = table.take("step");
    let step_ms = step.as_ref().and_then(|item| {
        let ms = reader.positive_time(item)?;
        if crate::protocol::tick(ms) >= 1 {
            return Some(ms);
        }
        let message = format!("'step' is {}, shorter than 10 ns", item.shown());
        reader.error(faults::RANGE, item.span, message);
        None
    });
    let tolerance_item = table.take("tolerance");
    let tolerance = tolerance_item.as_ref().and_then(|item| {
        let value = reader.quantity(item, &Wanted::pure("the error of a step"))?;
        reader.above_zero(item, value)
    });
    let largest_item = table.take("largest_step");
    let largest_step_ms = largest_item
        .as_ref()
        .and_then(|item| largest_step(reader, item));
    let scales_item = table.take("scales");
    let scales = scales_item
        .as_ref()
        .map(|item| scales(reader, item))
        .unwrap_or_default();
    if let (Some(item), true) = (&step, adaptive) {
        let message =
            format!("'step' has no effect: {named} is an adaptive scheme and takes 'tolerance'");
        reader.warning(faults::NO_EFFECT, item.key, message);
    }
    if let (Some(item), false) = (&tolerance_item, adaptive) {
        let message = format!("'tolerance' has no effect: {named} has a fixed 'step'");
        reader.warning(faults::NO_EFFECT, item.key, message);
    }
    if let (Some(item), false) = (&largest_item, adaptive) {
        let message = format!("'largest_step' has no effect: {named} has a fixed 'step'");
        reader.warning(faults::NO_EFFECT, item.key, message);
    }
    if let (Some(item), false) = (&scales_item, adaptive) {
        let message = format!("'scales' has no effect: {named} has a fixed 'step'");
        reader.warning(faults::NO_EFFECT, item.key, message);
    }
    Stepping {
        scheme,
        step_ms,
        tolerance,
        largest_step_ms,
        scales,
    }
}

/// The errors that count as one, of the states that the table names.
fn scales(reader: &mut Reader<'_>, item: &Item<'_>) -> Vec<(VariableId, f64)> {
    let Some(table) = reader.table(item) else {
        return Vec::new();
    };
    let mut scales = Vec::new();
    for (name, item) in table.items() {
        // Without the state, or the model, there is no unit to read the scale in.
        let (Some(state), Some(model)) = (reader.named(&item, name, Role::Scaled), reader.model)
        else {
            continue;
        };
        let scale = reader.quantity(&item, &Wanted::like(model, state));
        let scale = scale.and_then(|value| reader.above_zero(&item, value));
        scales.extend(scale.map(|scale| (state, scale)));
    }
    scales
}

/// The bound that a study sets to the steps of an adaptive scheme, ms.
fn largest_step(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<f64> {
    let ms = reader.positive_time(item)?;
    if LARGEST_STEPS_MS.contains(&ms) {
        return Some(ms);
    }
    let message = format!(
        "'largest_step' is {}, expected {} to {} ms",
        item.shown(),
        LARGEST_STEPS_MS.start(),
        // Whole milliseconds, never above the limit.
        LARGEST_STEPS_MS.end().floor(),
    );
    reader.error(faults::RANGE, item.span, message);
    None
}
