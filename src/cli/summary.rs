//! What `run` says at its end: a table by groups, the answer in a sentence, the file, the speed, and how far off it is.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::backend::DEFAULT_LARGEST_STEP_MS;
use crate::run::sink::FibreStatus;
use crate::run::{Batch, RunReport, limiting_json};
use crate::study::{Sampling, Study, SummaryTable};

use super::accuracy;
use super::table::aligned;

/// Lost fibres.
fn n_lost(report: &RunReport) -> usize {
    report
        .done
        .status
        .iter()
        .filter(|s| matches!(s, FibreStatus::Lost { .. }))
        .count()
}

/// The study's own table, if it asks for one.
fn table(study: &Study, batch: &Batch, report: &RunReport) -> Option<SummaryTable> {
    let summary = study.summary.as_ref()?;
    let n_varied = study.population.varied.len();
    let columns: Vec<Vec<f64>> = (0..n_varied)
        .map(|k| batch.parameters().iter().map(|p| p[k]).collect())
        .collect();
    let lost: Vec<bool> = report
        .done
        .status
        .iter()
        .map(|s| !matches!(s, FibreStatus::Finished))
        .collect();
    Some(summary.table(&columns, &report.done.features, &lost))
}

/// The summary for people.
pub fn text(study: &Study, batch: &Batch, report: &RunReport, output: &Path) -> String {
    let mut text = format!("{}\n\n", study.title);
    match table(study, batch, report) {
        Some(table) => {
            text.push_str(&by_groups(study, &table));
            if let Some(answer) = answer(study, &table) {
                let _ = write!(text, "\n{answer}\n");
            }
        }
        None => text.push_str(&by_features(study, report)),
    }
    let seconds = batch.n_fibres as f64 * study.duration_ms / 1e3;
    let done = &report.done;
    let lost = match n_lost(report) {
        0 => "none lost".to_owned(),
        n => format!(
            "{n} lost (status, lost_at and lost_variable in the file say which, when and where)"
        ),
    };
    let _ = write!(
        text,
        "\n{} fibres of {} for {} each; {lost}.\n",
        batch.n_fibres,
        study.model.name,
        duration(study.duration_ms / 1e3)
    );
    if let Some(part) = batch.part() {
        let ids = part.fibres();
        let _ = writeln!(
            text,
            "This is part {} of {}: the fibres {} to {} of {}. 'sarcolemma merge' joins the parts.",
            part.index,
            part.of,
            ids.start,
            ids.end - 1,
            part.population
        );
    }
    if study.settle_ms > 0.0 {
        let _ = writeln!(
            text,
            "Before time 0 every fibre settled for {} at its own parameters.",
            duration(study.settle_ms / 1e3)
        );
    }
    let how = match (batch.scheme, batch.is_adaptive()) {
        (Some(_), true) => format!(
            "every fibre its own step, tolerance {}{}",
            batch.tolerance,
            at_most(batch)
        ),
        (Some(_), false) => format!("step {} ms", batch.step_ms),
        (None, _) => "tolerance 1e-8".to_owned(),
    };
    let _ = writeln!(
        text,
        "Scheme {} ({how}): {}.",
        batch.scheme_name(),
        batch.scheme_reason
    );
    let _ = writeln!(
        text,
        "Computed in {} ({} {} on {}): {} fibre-seconds per second, {} steps a fibre.",
        duration(done.compute_s),
        batch.backend.name(),
        batch.precision.name(),
        batch.device(),
        short(seconds / done.compute_s),
        (done.accepted + done.rejected) / batch.n_fibres.max(1) as u64,
    );
    if let Some(limits) = limits(batch) {
        let _ = writeln!(
            text,
            "Steps are limited most often by {limits} (the model's own fibre, ten pulses at 50 Hz)."
        );
    }
    if done.at_floor > 0 {
        let _ = writeln!(
            text,
            "{} steps could not be made small enough for the tolerance and were accepted as they were.",
            done.at_floor
        );
    }
    if let Some(agreement) = &report.agreement {
        text.push_str(&accuracy::text(agreement, &report.beyond, batch));
    }
    let _ = writeln!(
        text,
        "Results: {} ({})",
        output.display(),
        bytes(report.bytes_written)
    );
    text
}

/// Groups by classes: count, percentage and 95 % interval.
fn by_groups(study: &Study, table: &SummaryTable) -> String {
    let mut header = factors(study);
    header.push("fibres".to_owned());
    header.extend(table.shares.iter().cloned());
    let mut rows = vec![header];
    for group in &table.groups {
        let mut row: Vec<String> = group.key.iter().map(|k| short(*k)).collect();
        row.push(group.fibres.to_string());
        row.extend(group.shares.iter().map(|s| {
            if s.of == 0 {
                return "-".to_owned();
            }
            let percent = |x: f64| format!("{:.1}", 100.0 * x);
            format!(
                "{} = {} % ({} to {})",
                s.count,
                percent(s.value()),
                percent(s.low),
                percent(s.high)
            )
        }));
        rows.push(row);
    }
    let mut text = aligned(&rows);
    if !table.shares.is_empty() {
        text.push_str(
            "Counts of fibres; in brackets the 95 % interval of the percentage (Wilson).\n",
        );
    }
    let columns = study.feature_columns();
    if !columns.is_empty() {
        let mut rows = vec![factors(study)];
        rows[0].extend(columns.iter().map(|c| match c.units.as_str() {
            "1" => c.name.clone(),
            units => format!("{} ({units})", c.name),
        }));
        for group in &table.groups {
            let mut row: Vec<String> = group.key.iter().map(|k| short(*k)).collect();
            row.extend(group.features.iter().map(|f| short(f.mean)));
            rows.push(row);
        }
        let _ = write!(text, "\nMeans of the features:\n{}", aligned(&rows));
    }
    text
}

/// Names and units of the factors by which the summary groups.
fn factors(study: &Study) -> Vec<String> {
    let by = study.summary.iter().flat_map(|s| &s.by);
    by.map(|&k| {
        let v = &study.population.varied[k];
        match v.units().as_str() {
            "1" => v.name.clone(),
            units => format!("{} ({units})", v.name),
        }
    })
    .collect()
}

/// Without a summary of the study's own: every feature over all fibres.
fn by_features(study: &Study, report: &RunReport) -> String {
    let columns = study.feature_columns();
    if columns.is_empty() {
        return "No features were asked for.\n".to_owned();
    }
    let mut rows = vec![
        [
            "feature", "unit", "fibres", "mean", "sd", "least", "median", "largest",
        ]
        .map(String::from)
        .to_vec(),
    ];
    for (column, values) in columns.iter().zip(&report.done.features) {
        let s = crate::study::Statistic::of(&mut values.clone());
        let numbers = [s.mean, s.sd, s.min, s.median, s.max].map(short);
        let mut row = vec![column.name.clone(), column.units.clone(), s.n.to_string()];
        row.extend(numbers);
        rows.push(row);
    }
    aligned(&rows)
}

/// Groups of fewer fibres tell nothing by themselves.
const FEWEST: u64 = 10;

/// Whether one factor changes while the others are held. With `zip` they change together, so that no difference is one factor's.
fn crossed(study: &Study, factors: usize) -> bool {
    factors < 2 || study.population.sampling != Sampling::Zip
}

/// The first share as a function of the first factor, the other factors being held: where it makes a difference and where
/// it makes none. Two shares differ clearly where their intervals do not touch.
fn answer(study: &Study, table: &SummaryTable) -> Option<String> {
    let by = &study.summary.as_ref()?.by;
    let share = table.shares.first()?;
    if table.groups.iter().any(|g| g.fibres < FEWEST) || !crossed(study, by.len()) {
        return None;
    }
    let first = &study.population.varied[*by.first()?].name;
    let mut held: Vec<&[f64]> = Vec::new();
    for group in &table.groups {
        if !held.contains(&&group.key[1..]) {
            held.push(&group.key[1..]);
        }
    }
    let name = |key: &[f64]| {
        let parts: Vec<String> = by[1..]
            .iter()
            .zip(key)
            .map(|(&k, x)| format!("{} {}", study.population.varied[k].name, short(*x)))
            .collect();
        parts.join(", ")
    };
    let (mut same, mut different) = (Vec::new(), Vec::new());
    let mut most_where_same = 0.0f64;
    for key in held {
        let line: Vec<_> = table
            .groups
            .iter()
            .filter(|g| &g.key[1..] == key && g.shares[0].of > 0)
            .collect();
        let low = line
            .iter()
            .min_by(|a, b| a.shares[0].value().total_cmp(&b.shares[0].value()))?;
        let high = line
            .iter()
            .max_by(|a, b| a.shares[0].value().total_cmp(&b.shares[0].value()))?;
        if high.shares[0].low > low.shares[0].high {
            let at = |g: &crate::study::Group| {
                format!(
                    "{:.0} % at {first} {}",
                    100.0 * g.shares[0].value(),
                    short(g.key[0])
                )
            };
            let place = if key.is_empty() {
                String::new()
            } else {
                format!(" with {}", name(key))
            };
            different.push(format!("from {} to {}{place}", at(low), at(high)));
        } else {
            most_where_same = most_where_same.max(high.shares[0].value());
            same.push(name(key));
        }
    }
    let mut sentence = format!("Share '{share}': ");
    if !different.is_empty() {
        let _ = write!(
            sentence,
            "{first} makes a clear difference {}",
            different.join("; ")
        );
    }
    if !same.is_empty() {
        let joint = if different.is_empty() {
            ""
        } else {
            "; it makes none that can be told "
        };
        let lead = if different.is_empty() {
            format!("{first} makes no difference that can be told ")
        } else {
            joint.to_owned()
        };
        let places = same
            .iter()
            .filter(|s| !s.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join("; ");
        let places = if places.is_empty() {
            String::new()
        } else {
            format!("with {places} ")
        };
        let _ = write!(
            sentence,
            "{lead}{places}(at most {:.0} % there)",
            100.0 * most_where_same
        );
    }
    sentence.push('.');
    Some(sentence)
}

/// The states that limit most steps, and how many of them, in words; `None` where steps are fixed.
pub fn limits(batch: &Batch) -> Option<String> {
    // A run whose step program could be built can build it once more.
    let limits = batch.limiting().unwrap_or_default();
    let named: Vec<String> = limits
        .iter()
        .map(|l| format!("{} ({:.0} %)", l.state, 100.0 * l.share))
        .collect();
    (!named.is_empty()).then(|| named.join(", "))
}

/// The bound of the steps from time 0 on, where it is not the usual one.
pub fn at_most(batch: &Batch) -> String {
    match batch.chosen_largest_step_ms() {
        Some(ms) if ms != DEFAULT_LARGEST_STEP_MS => {
            format!(", none above {} from time 0 on", duration(ms / 1e3))
        }
        _ => String::new(),
    }
}

/// The outcome as one object.
pub fn json(study: &Study, batch: &Batch, report: &RunReport, output: &Path) -> Value {
    let done = &report.done;
    let steps = done.accepted + done.rejected;
    let seconds = batch.n_fibres as f64 * study.duration_ms / 1e3;
    let adaptive = batch.is_adaptive();
    json!({
        "schema": 1,
        "output": output.display().to_string(),
        "title": study.title,
        "model": study.model.name,
        "backend": batch.backend.name(),
        "device": batch.device(),
        "precision": batch.precision.name(),
        "scheme": batch.scheme_name(),
        "scheme_reason": batch.scheme_reason,
        "step_ms": if adaptive { Value::Null } else { json!(batch.step_ms) },
        "tolerance": if adaptive { json!(batch.tolerance) } else { Value::Null },
        "largest_step_ms": batch.chosen_largest_step_ms(),
        "limiting": limiting_json(&batch.limiting().unwrap_or_default()),
        "fibres": batch.n_fibres,
        "shard": batch.part().map(|p| json!({ "index": p.index, "of": p.of, "first_fibre": p.fibres().start, "population": p.population })),
        "steps": steps / batch.n_fibres.max(1) as u64,
        "rejected_steps": done.rejected,
        "lost": n_lost(report),
        "wall_s": report.wall_s,
        "compute_s": done.compute_s,
        "setup_s": report.setup_s,
        "agreement_s": report.agreement_s,
        "fibre_steps": steps,
        "fibre_steps_per_s": steps as f64 / done.compute_s,
        "fibre_seconds_per_s": seconds / done.compute_s,
        "bytes_written": report.bytes_written,
        "events": done.n_events,
        "agreement": report.agreement.as_ref().map(|a| accuracy::json(a, &report.beyond, batch)),
        "summary": table(study, batch, report).map(|t| table_json(study, &t)),
    })
}

fn table_json(study: &Study, table: &SummaryTable) -> Value {
    let by: Vec<&str> = study
        .summary
        .iter()
        .flat_map(|s| &s.by)
        .map(|&k| study.population.varied[k].name.as_str())
        .collect();
    let groups: Vec<Value> = table
        .groups
        .iter()
        .map(|g| {
            let shares: serde_json::Map<String, Value> = table
                .shares
                .iter()
                .zip(&g.shares)
                .map(|(name, s)| {
                    (
                        name.clone(),
                        json!({ "count": s.count, "of": s.of, "low": s.low, "high": s.high }),
                    )
                })
                .collect();
            json!({ "key": g.key, "fibres": g.fibres, "lost": g.lost, "shares": shares })
        })
        .collect();
    json!({ "by": by, "groups": groups })
}

/// A number with three significant digits, without trailing zeros.
pub fn short(x: f64) -> String {
    if x.is_nan() {
        return "-".to_owned();
    }
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    let digits = x.abs().log10().floor() as i32;
    if !(-4..7).contains(&digits) {
        return format!("{x:.2e}");
    }
    let places = (2 - digits).max(0) as usize;
    let text = format!("{x:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{} ms", short(s * 1e3)),
        s if s < 120.0 => format!("{} s", short(s)),
        s => format!("{} min", short(s / 60.0)),
    }
}

/// A size for people.
pub fn bytes(n: u64) -> String {
    match n as f64 {
        b if b < 1e6 => format!("{} kB", short(b / 1e3)),
        b if b < 1e9 => format!("{} MB", short(b / 1e6)),
        b => format!("{} GB", short(b / 1e9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_no_trailing_zeros() {
        let shown = [0.55, 0.2, 1234.4, 0.000_276_9, 1e-9, 100.0].map(short);
        assert_eq!(shown, ["0.55", "0.2", "1234", "0.000277", "1.00e-9", "100"]);
    }
}
