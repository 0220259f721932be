//! What a run says of its accuracy: how far a few of its fibres are from the reference.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::feature::FeatureKind;
use crate::run::sink::{Agreement, Rerun};
use crate::run::{Batch, Disagreement, JUDGE_TOLERANCE};

use super::summary::short;

/// Fibres that are told one by one.
const TOLD: usize = 4;

/// The comparison with the reference in plain sentences, each on a line of its own.
pub(super) fn text(a: &Agreement, beyond: &[Disagreement], batch: &Batch) -> String {
    let drawn = a.reruns.iter().filter(|r| !r.near_threshold).count();
    let mut text = format!(
        "Accuracy: {drawn} fibres drawn by the seed were run by the reference, too (double precision, another method, tolerance {JUDGE_TOLERANCE:e}); this {} run differs by {}",
        batch.precision.name(),
        differences(a)
    );
    text.push_str(&in_common(a, batch, false));
    text.push_str(".\n");
    if drawn < a.reruns.len() {
        let _ = writeln!(
            text,
            "Next to a threshold, where the least error decides and so no random sample: of {} fibres chosen there, {}.",
            a.reruns.len() - drawn,
            in_common(a, batch, true)
        );
    }
    if !beyond.is_empty() {
        let told: Vec<&str> = beyond.iter().map(|d| d.text.as_str()).take(TOLD).collect();
        let more = match beyond.len() - told.len() {
            0 => String::new(),
            n => format!("; and {n} more"),
        };
        let _ = writeln!(
            text,
            "Warning: beyond what [agreement] allows: {}{more}.",
            told.join("; ")
        );
    }
    text
}

/// The largest differences of the drawn fibres.
fn differences(a: &Agreement) -> String {
    let mut parts = Vec::new();
    let shifts = a.reruns.iter().filter(|r| !r.near_threshold);
    let shift_ms = shifts.map(|r| r.spike_shift_ms).fold(f64::NAN, f64::max);
    if shift_ms.is_finite() {
        parts.push(format!(
            "at most {} ms in the time of a spike",
            short(shift_ms)
        ));
    }
    if let Some((name, largest, rms)) = a.variables.iter().max_by(|x, y| x.2.total_cmp(&y.2)) {
        parts.push(format!(
            "{} % of its range (root mean square) in {name}, {} % at the worst instant",
            short(100.0 * rms),
            short(100.0 * largest)
        ));
    }
    if parts.is_empty() {
        parts.push("what /agreement in the file says of each feature".to_owned());
    }
    parts.join(", ")
}

/// What the fibres of one kind have in common with the reference, and which have not.
fn in_common(a: &Agreement, batch: &Batch, near_threshold: bool) -> String {
    let is_spikes = |f: &crate::feature::FeatureSpec| f.kind == FeatureKind::Spikes;
    if !batch.experiment.features.iter().any(is_spikes) {
        return String::new();
    }
    let lead = if near_threshold { "" } else { "; " };
    let of_kind = a
        .reruns
        .iter()
        .filter(|r| r.near_threshold == near_threshold);
    let parting: Vec<&Rerun> = of_kind.filter(|r| r.parts_at_ms.is_finite()).collect();
    if parting.is_empty() {
        return if near_threshold {
            "none gains or loses a spike".to_owned()
        } else {
            format!("{lead}every spike is in both")
        };
    }
    let told: Vec<String> = parting.iter().take(TOLD).map(|r| told(r)).collect();
    let more = match parting.len() - told.len() {
        0 => String::new(),
        n => format!("; and {n} more"),
    };
    format!(
        "{lead}{} part from the reference: {}{more}",
        parting.len(),
        told.join("; ")
    )
}

/// A fibre that parts from the reference.
fn told(r: &Rerun) -> String {
    let what = if r.count_differs {
        format!("{} spikes, the reference {}", r.spikes, r.reference_spikes)
    } else {
        format!("{} spikes in both, at other times", r.spikes)
    };
    format!(
        "fibre {}: {what}, parts at {} ms",
        r.fibre,
        short(r.parts_at_ms)
    )
}

/// The same for programs.
pub(super) fn json(a: &Agreement, beyond: &[Disagreement], batch: &Batch) -> Value {
    let number = |x: f64| if x.is_finite() { json!(x) } else { Value::Null };
    let variables: serde_json::Map<String, Value> = a
        .variables
        .iter()
        .map(|(name, max, rms)| (name.clone(), json!({ "max": max, "rms": rms })))
        .collect();
    let features = |of: fn(&crate::run::sink::FeatureDifference) -> f64| {
        let pairs = a.features.iter().map(|f| (f.name.clone(), number(of(f))));
        pairs.collect::<serde_json::Map<String, Value>>()
    };
    let reruns: Vec<Value> = a
        .reruns
        .iter()
        .map(|r| {
            json!({
                "fibre": r.fibre,
                "chosen": if r.near_threshold { "near_threshold" } else { "drawn" },
                "spikes": r.spikes,
                "reference_spikes": r.reference_spikes,
                "spike_count_differs": r.count_differs,
                "spike_shift_ms": number(r.spike_shift_ms),
                "parts_at_ms": number(r.parts_at_ms),
            })
        })
        .collect();
    let limits = batch.agreement_limits();
    json!({
        "fibres": a.reruns.iter().map(|r| r.fibre).collect::<Vec<_>>(),
        "variables": variables,
        "features": features(|f| f.largest),
        "features_of_drawn": features(|f| f.drawn),
        "spike_shift_ms": number(a.spike_shift_ms),
        "spike_shift_before_parting_ms": number(a.shift_before_parting_ms),
        "spike_count_differs": a.spike_count_differs(),
        "reruns": reruns,
        "tolerance": limits.tolerance,
        "spike_shift_allowed_ms": limits.spike_shift_ms,
        "feature_tolerance": limits.feature_tolerance,
        "within": beyond.is_empty(),
        "beyond": beyond.iter().map(|d| d.text.as_str()).collect::<Vec<_>>(),
    })
}
