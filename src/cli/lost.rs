//! What `rerun` says of a lost fibre: which formula gave no finite number, from what, and whether other engines lose it too.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::backend::loss::{Before, Explanation, Fault, Quantity, Reading};
use crate::diag::Source;
use crate::model::{Model, VariableKind};
use crate::report::replay::Recorded;
use crate::run::sink::{FibreStatus, Precision};
use crate::run::{Backend, Batch, Choices};

use super::exit::Failure;
use super::output::number;
use super::rerun::{alone, run_failure};
use super::table::aligned;

/// An engine that ran the fibre, and whether it lost it: when, ms, and in which state.
struct Fate {
    precision: Precision,
    scheme: String,
    lost: Option<(f64, String)>,
}

/// The loss of a fibre, explained.
pub(super) struct Autopsy {
    precision: Precision,
    scheme: String,
    /// `None` where the engine that was followed does not lose the fibre: a GPU's bits are its own.
    found: Option<(Before, Explanation)>,
    others: Vec<Fate>,
}

/// Explains the loss, where the fibre was lost then or is now.
///
/// # Errors
/// If an engine cannot be made ready, or the user interrupts.
pub(super) fn autopsy(
    then: &Recorded,
    now: &Batch,
    ended: FibreStatus,
    cancel: &AtomicBool,
) -> Result<Option<Autopsy>, Failure> {
    let is_lost = |s: FibreStatus| matches!(s, FibreStatus::Lost { .. });
    let lost_then = then.status.is_some_and(is_lost);
    if !lost_then && !is_lost(ended) {
        return Ok(None);
    }
    let (precision, by_reference) = match lost_then {
        true => (then.precision, then.scheme == "reference"),
        false => (now.precision, now.scheme.is_none()),
    };
    let cancelled = || cancel.load(Ordering::Relaxed);
    let batch = |backend: Backend, precision: Precision| {
        let choices = Choices {
            backend,
            precision,
            threads: 1,
            adapter: None,
            agreement_fibres: Some(0),
        };
        alone(then, &choices)
    };
    let subject = match by_reference {
        true => batch(Backend::Reference, Precision::F64)?,
        false => batch(Backend::Cpu, precision)?,
    };
    let followed = |batch: &Batch, precision: Precision| match batch.scheme {
        None => batch.follow_reference(&cancelled).map_err(run_failure),
        Some(_) => batch
            .follow(precision, &cancelled)
            .map_err(|e| run_failure(e.into())),
    };
    let before = followed(&subject, precision)?;
    let found = match before {
        None => None,
        Some(before) => {
            let why = subject
                .explain(precision, &before)
                .map_err(|e| run_failure(e.into()))?;
            Some((before, why))
        }
    };
    let name = |state: usize| then.state_names.get(state).cloned().unwrap_or_default();
    let fate = |batch: &Batch, precision: Precision, lost: Option<Before>| Fate {
        precision,
        scheme: batch.scheme_name().to_owned(),
        lost: lost.map(|b| (crate::protocol::ms(b.at), name(b.culprit))),
    };
    let mut others = Vec::new();
    if !by_reference && precision == Precision::F32 {
        let lost = followed(&subject, Precision::F64)?;
        others.push(fate(&subject, Precision::F64, lost));
    }
    if !by_reference {
        let reference = batch(Backend::Reference, Precision::F64)?;
        others.push(match (now.scheme, ended) {
            // It has run already.
            (None, FibreStatus::Lost { at_ms, variable }) => Fate {
                lost: Some((at_ms, name(variable))),
                ..fate(&reference, Precision::F64, None)
            },
            (None, _) => fate(&reference, Precision::F64, None),
            (Some(_), _) => {
                let lost = followed(&reference, Precision::F64)?;
                fate(&reference, Precision::F64, lost)
            }
        });
    }
    if cancelled() {
        return Err(Failure::Interrupted(
            "interrupted; nothing was written".to_owned(),
        ));
    }
    Ok(Some(Autopsy {
        precision,
        scheme: subject.scheme_name().to_owned(),
        found,
        others,
    }))
}

/// Where a formula stands: `lossy.mmt:21`, and its text.
fn place(then: &Recorded, of: Quantity) -> (String, usize, String) {
    let model = &then.study.model;
    let name = match then.study.model_name.as_str() {
        name if name.ends_with(".mmt") => name.to_owned(),
        name => format!("{name}.mmt"),
    };
    let source = Source::new(&name, model.text.as_str());
    let variable = model.variable(of.id());
    let (line, _) = source.line_column(variable.span.start);
    let words: Vec<&str> = source.slice(variable.rhs.span).split_whitespace().collect();
    (name, line, words.join(" "))
}

fn unit(model: &Model, of: Quantity) -> String {
    let unit = |id| model.variable(id).unit.map(|u| u.to_string());
    match of {
        Quantity::Value(id) => unit(id).unwrap_or_default(),
        Quantity::Rate(id) => {
            let time = model.bound(&crate::model::Bound::Time).and_then(unit);
            match (unit(id), time) {
                (Some(unit), Some(time)) => format!("{unit} per {time}"),
                _ => "per unit of time".to_owned(),
            }
        }
    }
}

/// In what precision a value was computed decides how many of its digits mean something.
fn shown(x: f64, precision: Precision) -> String {
    match precision {
        Precision::F32 => {
            let narrow = x as f32;
            let size = narrow.abs();
            if size != 0.0 && size.is_finite() && !(1e-4..1e7).contains(&size) {
                format!("{narrow:e}")
            } else {
                format!("{narrow}")
            }
        }
        Precision::F64 => number(x),
    }
}

fn kind(fault: Fault) -> &'static str {
    match fault {
        Fault::Value => "value",
        Fault::Slope { .. } => "slope",
        Fault::Runaway => "runaway",
    }
}

impl Autopsy {
    pub(super) fn text(&self, then: &Recorded) -> String {
        let (precision, scheme) = (self.precision.name(), &self.scheme);
        let mut text = format!("Why it was lost ({precision}, scheme {scheme}, on the CPU):\n");
        match &self.found {
            None => text.push_str("  On the CPU it is not lost: the bits of a GPU are its own.\n"),
            Some((before, why)) => self.explain(&mut text, then, before, why),
        }
        for other in &self.others {
            let how = format!("{}, scheme {}", other.precision.name(), other.scheme);
            let _ = match &other.lost {
                None => writeln!(text, "In {how}: it survives to the end."),
                Some((at_ms, state)) => {
                    writeln!(
                        text,
                        "In {how}: lost too, at {} ms in {state}.",
                        number(*at_ms)
                    )
                }
            };
        }
        text
    }

    fn explain(&self, text: &mut String, then: &Recorded, before: &Before, why: &Explanation) {
        let model = &then.study.model;
        let name = why.formula.of.name(model);
        let at = |x: f64| shown(x, self.precision);
        let (file, line, formula) = place(then, why.formula.of);
        let moved = why.before_ms != why.then_ms;
        let (before_ms, then_ms) = (number(why.before_ms), number(why.then_ms));
        let _ = match why.fault {
            Fault::Value if moved => writeln!(
                text,
                "  {name} is {} at {then_ms} ms; one step before, at {before_ms} ms, all was well.",
                at(why.formula.then),
            ),
            Fault::Value => writeln!(
                text,
                "  {name} is {} at {then_ms} ms, where the fibre begins.",
                at(why.formula.then),
            ),
            Fault::Slope { by, slope } => writeln!(
                text,
                "  {name} is {} at {then_ms} ms, but its slope by {} is {}, and an implicit step is made of slopes.",
                at(why.formula.then),
                model.variable(by).name,
                at(slope),
            ),
            Fault::Runaway => writeln!(
                text,
                "  Every formula is finite: {} runs away, at {before_ms} ms by more than all of it in the smallest step ({} ms).",
                model.variable(why.derivative).name,
                number(before.tried_ms),
            ),
        };
        if why.formula.of != Quantity::Rate(why.derivative) {
            let _ = writeln!(
                text,
                "  It leads to dot({}).",
                model.variable(why.derivative).name
            );
        }
        let _ = writeln!(text, "  {file}:{line}: {name} = {formula}");
        let moved = why.before_ms != why.then_ms;
        let mut head = vec![
            String::new(),
            "reads".to_owned(),
            format!("at {before_ms} ms"),
        ];
        if moved {
            head.push(format!("at {} ms", number(why.then_ms)));
        }
        head.push("unit".to_owned());
        let mut rows = vec![head];
        for reading in self.readings(why) {
            let mut row = vec!["".to_owned(), reading.of.name(model), at(reading.before)];
            if moved {
                row.push(at(reading.then));
            }
            row.push(unit(model, reading.of));
            rows.push(row);
        }
        text.push_str(&aligned(&rows));
    }

    /// What the formula reads, then what it gives.
    fn readings<'w>(&self, why: &'w Explanation) -> impl Iterator<Item = &'w Reading> {
        why.inputs.iter().chain(std::iter::once(&why.formula))
    }

    pub(super) fn json(&self, then: &Recorded) -> Value {
        let model = &then.study.model;
        let reading = |r: &Reading| {
            let literal = matches!(model.variable(r.of.id()).kind, VariableKind::Literal(_));
            json!({
                "name": r.of.name(model),
                "units": unit(model, r.of),
                "before": told(r.before),
                "then": told(r.then),
                "parameter": literal,
            })
        };
        let found = self.found.as_ref().map(|(before, why)| {
            let (file, line, formula) = place(then, why.formula.of);
            let slope = match why.fault {
                Fault::Slope { by, slope } => {
                    json!({ "by": model.variable(by).name, "value": told(slope) })
                }
                Fault::Value | Fault::Runaway => Value::Null,
            };
            json!({
                "fault": kind(why.fault),
                "variable": why.formula.of.name(model),
                "value": told(why.formula.then),
                "slope": slope,
                "formula": formula,
                "file": file,
                "line": line,
                "inputs": why.inputs.iter().map(reading).collect::<Vec<_>>(),
                "leads_to": Quantity::Rate(why.derivative).name(model),
                "before_ms": why.before_ms,
                "then_ms": why.then_ms,
                "step_ms": before.tried_ms,
            })
        });
        let others: Vec<Value> = self
            .others
            .iter()
            .map(|o| {
                json!({
                    "precision": o.precision.name(),
                    "scheme": o.scheme,
                    "survives": o.lost.is_none(),
                    "lost_at_ms": o.lost.as_ref().map(|l| l.0),
                    "lost_variable": o.lost.as_ref().map(|l| l.1.as_str()),
                })
            })
            .collect();
        json!({
            "precision": self.precision.name(),
            "scheme": self.scheme,
            "found": found,
            "others": others,
        })
    }
}

/// A number as JSON has it; what is none in words, because it is what is asked for.
fn told(x: f64) -> Value {
    match x {
        x if x.is_finite() => json!(x),
        x => json!(x.to_string()),
    }
}
