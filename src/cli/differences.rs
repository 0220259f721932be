//! What `compare` says of two results: tables for people, an object for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::report::Comparison;
use crate::report::compare::Side;
use crate::report::verdict::{decimals, percent};
use crate::run::difference::Pairing;

use super::replays::Replays;
use super::summary::short;
use super::table::aligned;

/// A result's name in a sentence: its file, or its backend where the file is a passing one.
pub fn name(side: &Side, by_path: bool) -> String {
    if by_path {
        side.path.display().to_string()
    } else {
        format!("{} {}", side.backend, side.precision)
    }
}

/// How a result was computed.
fn how(side: &Side) -> String {
    let control = match (side.tolerance, side.step_ms) {
        (Some(tolerance), _) => format!(", tolerance {}", short(tolerance)),
        (None, Some(step)) => format!(", step {} ms", short(step)),
        (None, None) => String::new(),
    };
    format!(
        "{} {}, scheme {}{control}",
        side.backend, side.precision, side.scheme
    )
}

/// A comparison for people.
pub(super) fn text(c: &Comparison, by_path: bool, replays: &Replays) -> String {
    let side = |letter: &str, side: &Side| {
        let mut row = vec![letter.to_owned(), how(side), side.device.clone()];
        if by_path {
            row.push(side.path.display().to_string());
        }
        row
    };
    let mut text = aligned(&[side("A", &c.a), side("B", &c.b)]);
    let _ = write!(text, "\n{} fibres", c.n_fibres);
    if !c.variables.is_empty() {
        let _ = write!(text, ", {} recorded, {} rows", c.n_traces, c.rows);
    }
    if let Some(until_ms) = c.until_ms {
        let _ = write!(text, ", up to {until_ms} ms");
    }
    text.push_str(".\n");
    if !c.variables.is_empty() {
        let _ = write!(text, "\n{}", variables(c));
    }
    if !c.features.is_empty() {
        let _ = write!(text, "\n{}", features(c));
    }
    if let Some(pairing) = &c.spikes {
        let _ = write!(text, "\n{}", spikes(pairing, c.limits.spike_shift_ms));
    }
    let _ = write!(text, "\n{}", lost(c));
    text.push_str(&replays.text(c));
    let offences = c.offences();
    if offences.is_empty() {
        let _ = writeln!(text, "Within the tolerance: {}.", allowed(c));
    } else {
        let _ = writeln!(text, "Beyond the tolerance ({}):", allowed(c));
        for offence in offences {
            let _ = writeln!(text, "  {}", offence.text);
        }
    }
    text
}

fn allowed(c: &Comparison) -> String {
    let mut parts = Vec::new();
    if !c.variables.is_empty() {
        parts.push(format!(
            "quantities within {} of their range, root mean square",
            percent(c.limits.of_range)
        ));
    }
    if c.spikes.is_some() {
        parts.push(format!(
            "{} of the spikes within {} ms",
            percent(c.limits.share),
            c.limits.spike_shift_ms
        ));
    }
    if c.features.iter().any(|f| !c.is_of_spikes(&f.name)) {
        parts.push(format!(
            "other features within {} of their range in {} of the fibres",
            percent(c.limits.of_range),
            percent(c.limits.share)
        ));
    }
    parts.push("no fibre lost in one only".to_owned());
    parts.join("; ")
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn variables(c: &Comparison) -> String {
    let some_missing = c.variables.iter().any(|v| v.difference.missing() > 0);
    let mut rows = vec![head(&["quantity", "rms", "largest", "largest in"])];
    if some_missing {
        rows[0].push("in one only".to_owned());
    }
    for v in &c.variables {
        let range = v.difference.range();
        let place = v.worst.map_or_else(
            || "-".to_owned(),
            |p| format!("fibre {} at {} ms", p.fibre, decimals(p.time_ms)),
        );
        let mut row = vec![
            v.name.clone(),
            percent(v.difference.rms_paired() / range),
            percent(v.difference.largest_paired() / range),
            place,
        ];
        if some_missing {
            row.push(v.difference.missing().to_string());
        }
        rows.push(row);
    }
    format!("{}Shares of each quantity's range in A.\n", aligned(&rows))
}

fn features(c: &Comparison) -> String {
    let some_missing = c.features.iter().any(|f| f.difference.missing() > 0);
    let mut rows = vec![head(&[
        "feature",
        "unit",
        "rms",
        "largest",
        "of range",
        "largest in",
        "fibres agree",
    ])];
    if some_missing {
        rows[0].push("in one only".to_owned());
    }
    for f in &c.features {
        let largest = f.difference.largest_paired();
        let mut row = vec![
            f.name.clone(),
            f.units.clone(),
            short(f.difference.rms_paired()),
            short(largest),
            f.of_range(largest).map_or_else(|| "-".to_owned(), percent),
            f.worst
                .map_or_else(|| "-".to_owned(), |id| format!("fibre {id}")),
            percent(f.agreeing),
        ];
        if some_missing {
            row.push(f.difference.missing().to_string());
        }
        rows.push(row);
    }
    aligned(&rows)
}

fn spikes(pairing: &Pairing, limit_ms: f64) -> String {
    if pairing.spikes == 0 {
        return "Spikes: none in either.\n".to_owned();
    }
    let n = pairing.shifts_ms.len();
    let mut text = format!(
        "Spikes: {} are in both and at most {limit_ms} ms apart.\n",
        percent(pairing.coincident_share())
    );
    if let Some(worst) = pairing.worst {
        let _ = writeln!(
            text,
            "  {n} paired: median shift {} ms, 99 % within {} ms, root mean square {} ms; {} are within {limit_ms} ms;",
            short(pairing.quantile_ms(0.5)),
            short(pairing.quantile_ms(0.99)),
            short(pairing.rms_ms()),
            percent(pairing.share_within(limit_ms)),
        );
        let _ = writeln!(
            text,
            "  largest shift {} ms, in fibre {} at {} ms.",
            short(pairing.largest_ms()),
            worst.fibre,
            decimals(worst.time_ms)
        );
    }
    if !pairing.count_differs.is_empty() {
        let _ = writeln!(
            text,
            "  The number of spikes differs in {} ({}): not paired.",
            fibres(pairing.count_differs.len()),
            listed(&pairing.count_differs)
        );
    }
    text
}

fn lost(c: &Comparison) -> String {
    let l = &c.lost;
    if l.a_only.is_empty() && l.b_only.is_empty() && l.both.is_empty() {
        return "No fibre is lost in either.\n".to_owned();
    }
    let part = |ids: &[u64], place: &str| match ids {
        [] => format!("none in {place}"),
        ids => format!("{} in {place} ({})", fibres(ids.len()), listed(ids)),
    };
    format!(
        "Lost: {}, {}, {}; they are not compared otherwise.\n",
        part(&l.both, "both"),
        part(&l.a_only, "A only"),
        part(&l.b_only, "B only")
    )
}

fn fibres(n: usize) -> String {
    format!("{n} fibre{}", if n == 1 { "" } else { "s" })
}

/// The first few numbers of fibres.
fn listed(ids: &[u64]) -> String {
    const MOST: usize = 8;
    let shown: Vec<String> = ids.iter().take(MOST).map(u64::to_string).collect();
    let more = if ids.len() > MOST { ", …" } else { "" };
    let word = if ids.len() == 1 { "number" } else { "numbers" };
    format!("{word} {}{more}", shown.join(", "))
}

/// A comparison as an object. Numbers that are infinite, because a value is missing in one result, are `null`.
pub(super) fn json(c: &Comparison, by_path: bool, replays: &Replays) -> Value {
    let offences = c.offences();
    let variables: Vec<Value> = c
        .variables
        .iter()
        .map(|v| {
            json!({
                "name": v.name,
                "max": v.max_of_range(),
                "rms": v.rms_of_range(),
                "range": v.difference.range(),
                "missing": v.difference.missing(),
                "worst_fibre": v.worst.map(|p| p.fibre),
                "worst_at_ms": v.worst.map(|p| p.time_ms),
            })
        })
        .collect();
    let features: Vec<Value> = c
        .features
        .iter()
        .map(|f| {
            let d = f.difference;
            json!({
                "name": f.name,
                "units": f.units,
                "max_abs": d.largest(),
                "max_relative": f.of_range(d.largest()),
                "rms_abs": d.rms(),
                "max_abs_paired": d.largest_paired(),
                "missing": d.missing(),
                "agree_share": f.agreeing,
                "worst_fibre": f.worst,
            })
        })
        .collect();
    json!({
        "schema": 1,
        "a": side(&c.a, by_path),
        "b": side(&c.b, by_path),
        "within": offences.is_empty(),
        "tolerance": {
            "rtol": c.limits.of_range,
            "spike_shift_ms": c.limits.spike_shift_ms,
            "share": c.limits.share,
        },
        "fibres": c.n_fibres,
        "recorded": c.n_traces,
        "rows": c.rows,
        "until_ms": c.until_ms,
        "variables": variables,
        "features": features,
        "spikes": c.spikes.as_ref().map(|p| spikes_json(p, c.limits.spike_shift_ms)),
        "lost": {
            "a_only": c.lost.a_only.len(),
            "b_only": c.lost.b_only.len(),
            "both": c.lost.both.len(),
        },
        "worst": replays.json(c),
        "beyond": offences.iter().map(|o| o.text.as_str()).collect::<Vec<_>>(),
    })
}

fn spikes_json(p: &Pairing, limit_ms: f64) -> Value {
    json!({
        "paired": p.shifts_ms.len(),
        "spikes": p.spikes,
        "count_differs": p.count_differs.len(),
        "shift_max_ms": p.largest_ms(),
        "shift_median_ms": p.quantile_ms(0.5),
        "shift_p99_ms": p.quantile_ms(0.99),
        "shift_rms_ms": p.rms_ms(),
        "within_share": p.share_within(limit_ms),
        "coincident_share": p.coincident_share(),
        "worst_fibre": p.worst.map(|s| s.fibre),
        "worst_at_ms": p.worst.map(|s| s.time_ms),
    })
}

fn side(side: &Side, by_path: bool) -> Value {
    json!({
        "path": by_path.then(|| side.path.display().to_string()),
        "backend": side.backend,
        "device": side.device,
        "precision": side.precision,
        "scheme": side.scheme,
        "tolerance": side.tolerance,
        "step_ms": side.step_ms,
        "status": side.status.name(),
    })
}
