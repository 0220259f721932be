//! A fibre of a file beside the same fibre run again: features, spikes, traces, its end.

use crate::run::difference::{Difference, SpikeWindow, pair_spikes};
use crate::run::sink::{FibreStatus, SpikeEvent};
use crate::run::{Batch, Kept, RunReport};
use crate::store::RunStatus;

use super::replay::Recorded;

/// A feature, then and now.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureThenNow {
    /// Name in the file.
    pub name: String,
    /// Unit in UDUNITS spelling.
    pub units: String,
    /// In the file; `None` where its run has not ended.
    pub then: Option<f64>,
    /// Run again.
    pub now: f64,
}

/// The spikes that a feature counts, then and now.
#[derive(Clone, Debug, PartialEq)]
pub struct SpikesThenNow {
    /// Name of the feature.
    pub name: String,
    /// How many are in the file.
    pub then: usize,
    /// How many there are now, up to the time that the file holds.
    pub now: usize,
    /// The largest shift, ms, paired in order; NaN where the numbers differ or there is none.
    pub largest_shift_ms: f64,
}

/// A recorded quantity: how far the fibre run again is from the file.
#[derive(Clone, Debug)]
pub struct TraceDifference {
    /// Name in the file.
    pub name: String,
    /// Unit in UDUNITS spelling.
    pub units: String,
    /// Over the whole rows of the file, in the quantity's unit; the file's values first.
    pub difference: Difference,
    /// When the two are furthest apart, ms; `None` where they are nowhere.
    pub worst_at_ms: Option<f64>,
}

/// A fibre of a file beside the same fibre run again.
#[derive(Clone, Debug)]
pub struct Redone {
    /// How it ended now.
    pub status: FibreStatus,
    /// Every feature's column.
    pub features: Vec<FeatureThenNow>,
    /// Every feature with spikes.
    pub spikes: Vec<SpikesThenNow>,
    /// Every recorded quantity; `None` where the file does not record the fibre.
    pub traces: Option<Vec<TraceDifference>>,
    /// Whether all that both hold is the same to the last bit, the fibre's end included.
    pub same_bits: bool,
}

/// Puts the fibre of a file beside what a run of it gave.
pub fn redone(then: &Recorded, batch: &Batch, kept: &Kept, report: &RunReport) -> Redone {
    let status = report.done.status[0];
    let now = report.done.features.iter().map(|column| column[0]);
    let features: Vec<FeatureThenNow> = then
        .features
        .iter()
        .zip(now)
        .map(|((column, value), now)| FeatureThenNow {
            name: column.name.clone(),
            units: column.units.clone(),
            then: *value,
            now,
        })
        .collect();
    // A run that has not ended holds spikes up to its last whole row.
    let until_ms = match then.run {
        RunStatus::Complete => f64::INFINITY,
        RunStatus::Running | RunStatus::Interrupted => {
            then.time_ms.last().copied().unwrap_or(f64::NEG_INFINITY)
        }
    };
    let mut now_spikes: Vec<SpikeEvent> = kept.spikes.clone();
    now_spikes.retain(|s| s.time_ms <= until_ms);
    now_spikes.sort_by(|a, b| {
        a.feature
            .cmp(&b.feature)
            .then(a.time_ms.total_cmp(&b.time_ms))
    });
    let spikes: Vec<SpikesThenNow> = then
        .event_features
        .iter()
        .enumerate()
        .map(|(k, name)| spikes_of(k, name, &then.spikes, &now_spikes, until_ms))
        .collect();
    let traces = then.traces.as_ref().map(|traces| {
        let each = then.variables.iter().zip(traces).zip(&kept.values);
        each.map(|((column, file), now)| {
            trace(&column.name, &column.units, file, now, &batch.time_ms())
        })
        .collect::<Vec<_>>()
    });
    let same = |x: f64, y: f64| x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
    let same_traces = then
        .traces
        .iter()
        .flatten()
        .zip(&kept.values)
        .all(|(file, now)| {
            file.len() <= now.len() && file.iter().zip(now).all(|(x, y)| same(*x, *y))
        });
    let same_status = match (then.status, status) {
        (None | Some(FibreStatus::Stopped), _) => true,
        (Some(then), now) => then == now,
    };
    let same_bits = same_status
        && same_traces
        && then.spikes.len() == now_spikes.len()
        && then
            .spikes
            .iter()
            .zip(&now_spikes)
            .all(|(x, y)| (x.feature, x.time_ms.to_bits()) == (y.feature, y.time_ms.to_bits()))
        && features
            .iter()
            .all(|f| f.then.is_none_or(|then| same(then, f.now)));
    Redone {
        status,
        features,
        spikes,
        traces,
        same_bits,
    }
}

fn spikes_of(
    feature: usize,
    name: &str,
    then: &[SpikeEvent],
    now: &[SpikeEvent],
    until_ms: f64,
) -> SpikesThenNow {
    let of = |spikes: &[SpikeEvent]| -> Vec<SpikeEvent> {
        let own = spikes.iter().filter(|s| usize::from(s.feature) == feature);
        own.copied().collect()
    };
    let (then, now) = (of(then), of(now));
    let window = SpikeWindow {
        coincident_ms: 0.0,
        until_ms,
    };
    SpikesThenNow {
        name: name.to_owned(),
        then: then.len(),
        now: now.len(),
        largest_shift_ms: pair_spikes(then, now, window).largest_ms(),
    }
}

fn trace(name: &str, units: &str, file: &[f64], now: &[f64], time_ms: &[f64]) -> TraceDifference {
    let mut difference = Difference::default();
    let mut worst_at_ms = None;
    for ((x, y), t) in file.iter().zip(now).zip(time_ms) {
        if difference.add(*x, *y) {
            worst_at_ms = Some(*t);
        }
    }
    TraceDifference {
        name: name.to_owned(),
        units: units.to_owned(),
        difference,
        worst_at_ms,
    }
}
