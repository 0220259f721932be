//! How far two results of one study are apart: [`compare`] takes two open files and gives a [`Comparison`].
//!
//! The first file is the one that is believed. Differences of a quantity are divided by its range there, over all fibres and rows that
//! are compared; a quantity that hardly moves is judged by its magnitude instead
//! ([`LEAST_RANGE`](crate::run::difference::LEAST_RANGE)). A fibre that is lost in either file is counted as lost and enters nothing else: what
//! a state does on its way to infinity is no measure of accuracy, and would widen the range that all else is divided by.
//!
//! A file whose run has not ended is compared up to the last row that both files hold. Its features are not compared, because
//! they belong to another time.
//!
//! Traces are read slab by slab, one quantity at a time, so files may be larger than memory. Events and features are held
//! whole: 24 bytes for a spike and 8 for a feature of a fibre.

use std::path::PathBuf;

use crate::run::difference::{Difference, Pairing, SpikeWindow, pair_trains};
use crate::run::sink::{Column, FibreStatus, SpikeEvent, Traces};
use crate::store::{ResultReader, RunStatus, StoreError};

use super::same_study;
use super::verdict::Limits;
use super::worst::{By, Ranking, Worst};

/// Samples of a slab of rows: 8 MiB in double precision, for each of the two files.
const SLAB: usize = 1 << 20;

/// One of the two files, and how it was computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// Where it is.
    pub path: PathBuf,
    /// `cpu`, `gpu`, `reference`.
    pub backend: String,
    /// `f32` or `f64`.
    pub precision: String,
    /// `ros3`, `euler`, …
    pub scheme: String,
    /// Tolerance of an adaptive scheme.
    pub tolerance: Option<f64>,
    /// Step of a fixed-step one, ms.
    pub step_ms: Option<f64>,
    /// What it was computed on.
    pub device: String,
    /// What the file says of its run.
    pub status: RunStatus,
    /// Rows that are whole.
    pub rows: usize,
}

/// A place in a quantity where two files differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Id of the fibre.
    pub fibre: u64,
    /// When, ms.
    pub time_ms: f64,
}

/// Difference of a recorded quantity.
#[derive(Clone, Debug)]
pub struct VariableDifference {
    /// Name in the file.
    pub name: String,
    /// Over all fibres and rows, in the quantity's unit.
    pub difference: Difference,
    /// Where it is largest; `None` where there is none.
    pub worst: Option<Place>,
}

impl VariableDifference {
    /// Largest difference, as a share of the range.
    pub fn max_of_range(&self) -> f64 {
        self.difference.largest() / self.difference.range()
    }

    /// Root mean square difference, as a share of the range.
    pub fn rms_of_range(&self) -> f64 {
        self.difference.rms() / self.difference.range()
    }
}

/// Difference of a feature's column.
#[derive(Clone, Debug)]
pub struct FeatureDifference {
    /// Name in the file.
    pub name: String,
    /// Unit in UDUNITS spelling.
    pub units: String,
    /// Over all fibres, in the feature's unit.
    pub difference: Difference,
    /// The fibre that differs most; `None` where none does.
    pub worst: Option<u64>,
    /// Share of the fibres in which the two agree: both without a value, or apart by no more than the allowed share of the
    /// range.
    pub agreeing: f64,
}

impl FeatureDifference {
    /// A difference as a share of the feature's range over the fibres; `None` where the fibres hardly differ in it.
    pub fn of_range(&self, difference: f64) -> Option<f64> {
        self.difference
            .moves()
            .then(|| difference / self.difference.range())
    }
}

/// Fibres that were lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// In the first file only.
    pub a_only: Vec<u64>,
    /// In the second file only.
    pub b_only: Vec<u64>,
    /// In both.
    pub both: Vec<u64>,
}

/// How far two results of one study are apart.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The first file, which is believed.
    pub a: Side,
    /// The second one.
    pub b: Side,
    /// What they may be apart.
    pub limits: Limits,
    /// Number of fibres.
    pub n_fibres: usize,
    /// Number of fibres that are recorded.
    pub n_traces: usize,
    /// Rows that were compared.
    pub rows: usize,
    /// Where a run has not ended: the time up to which the two were compared, ms.
    pub until_ms: Option<f64>,
    /// Of every recorded quantity.
    pub variables: Vec<VariableDifference>,
    /// Of every feature; empty where a run has not ended.
    pub features: Vec<FeatureDifference>,
    /// Of the spikes; `None` where the study watches none.
    pub spikes: Option<Pairing>,
    /// Names of the features whose spikes were compared.
    pub event_features: Vec<String>,
    /// Fibres that were lost.
    pub lost: Lost,
    /// The fibres that differ most, the worst first.
    pub worst: Vec<Worst>,
}

/// Why two files cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// They answer different questions.
    #[error(
        "{a} and {b} are results of different studies; they differ in {what}",
        a = .a.display(), b = .b.display(), what = .what.join(", ")
    )]
    Different {
        /// The first file.
        a: PathBuf,
        /// The second one.
        b: PathBuf,
        /// In what they differ, in words.
        what: Vec<String>,
    },
    /// No row is whole in both.
    #[error("there is nothing to compare yet: {path} is {status} and holds no whole rows that the other has too", path = .0.display(), status = .1.name())]
    NothingYet(PathBuf, RunStatus),
    /// A file cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares two results of one study.
///
/// # Errors
/// If they are results of different studies, if there is nothing in both of them, or if one cannot be read.
pub fn compare(
    a: &ResultReader,
    b: &ResultReader,
    limits: Limits,
) -> Result<Comparison, CompareError> {
    let what = same_study::differences(a, b)?;
    if !what.is_empty() {
        let (a, b) = (a.path().to_owned(), b.path().to_owned());
        return Err(CompareError::Different { a, b, what });
    }
    let rows = a.committed_rows().min(b.committed_rows());
    let running = [a, b]
        .into_iter()
        .find(|f| f.run_status() != RunStatus::Complete);
    let until_ms = match running {
        None => None,
        // Up to the last common row; rows that are whole have a time.
        Some(file) => match rows.checked_sub(1).and_then(|k| time_of(a, k)) {
            Some(time) => Some(time),
            None => {
                let (path, status) = (file.path().to_owned(), file.run_status());
                return Err(CompareError::NothingYet(path, status));
            }
        },
    };
    let fibres = a.fibre_ids()?;
    let traced = match a.traces()? {
        Traces::All => fibres.clone(),
        Traces::Some(ids) => ids,
    };
    let ends = [
        lost(a, &fibres, &traced, rows, until_ms)?,
        lost(b, &fibres, &traced, rows, until_ms)?,
    ];
    let pick = |wanted: [bool; 2]| {
        let each = fibres.iter().zip(ends[0].iter().zip(&ends[1]));
        each.filter(|(_, (x, y))| [**x, **y] == wanted)
            .map(|(id, _)| *id)
            .collect::<Vec<u64>>()
    };
    let lost = Lost {
        a_only: pick([true, false]),
        b_only: pick([false, true]),
        both: pick([true, true]),
    };
    let sound = Sound(pick([false, false]));
    let mut ranking = Ranking::new(limits);
    for (ids, in_first) in [(&lost.a_only, true), (&lost.b_only, false)] {
        for &id in ids {
            ranking.add(Worst::one_sided(id, By::Lost { in_first }));
        }
    }
    let mut variables = Vec::new();
    for column in a.variables() {
        let found = variable([a, b], &column.name, rows, &traced, &sound, &mut ranking)?;
        variables.push(found);
    }
    let mut features = Vec::new();
    let columns = match until_ms {
        None => a.features(),
        Some(_) => Vec::new(),
    };
    for column in &columns {
        let values = [a.feature(&column.name)?, b.feature(&column.name)?];
        let found = feature(column, &values, &fibres, &sound, limits);
        if !is_of_spikes(&a.event_features(), &column.name) {
            rank_feature(&found, &values, &fibres, &sound, &mut ranking);
        }
        features.push(found);
    }
    let spikes = match a.event_features().is_empty() {
        true => None,
        false => Some(spikes(a, b, until_ms, &sound, &mut ranking)?),
    };
    Ok(Comparison {
        worst: ranking.list(),
        a: side(a),
        b: side(b),
        limits,
        n_fibres: fibres.len(),
        n_traces: if variables.is_empty() {
            0
        } else {
            traced.len()
        },
        rows,
        until_ms,
        variables,
        features,
        spikes,
        event_features: a.event_features(),
        lost,
    })
}

fn time_of(file: &ResultReader, row: usize) -> Option<f64> {
    file.time_ms().ok()?.get(row).copied()
}

/// Ids of the fibres that are lost in neither file, ascending.
struct Sound(Vec<u64>);

impl Sound {
    fn has(&self, fibre: u64) -> bool {
        self.0.binary_search(&fibre).is_ok()
    }
}

fn side(file: &ResultReader) -> Side {
    let text = |name: &str| file.text(name).unwrap_or("unknown").to_owned();
    Side {
        path: file.path().to_owned(),
        backend: text("backend"),
        precision: file.precision().name().to_owned(),
        scheme: text("scheme"),
        tolerance: file.number("tolerance"),
        step_ms: file.number("step_ms"),
        device: text("device"),
        status: file.run_status(),
        rows: file.committed_rows(),
    }
}

/// Whether each fibre is lost, up to the time that is compared. A run that has not ended may not have said so yet: then a fibre
/// without a number in the last row, whatever is recorded of it, is lost.
fn lost(
    file: &ResultReader,
    fibres: &[u64],
    traced: &[u64],
    rows: usize,
    until_ms: Option<f64>,
) -> Result<Vec<bool>, StoreError> {
    if file.run_status() != RunStatus::Running {
        let until_ms = until_ms.unwrap_or(f64::INFINITY);
        let is_lost =
            |s: &FibreStatus| matches!(s, FibreStatus::Lost { at_ms, .. } if *at_ms <= until_ms);
        return Ok(file.status()?.iter().map(is_lost).collect());
    }
    let mut silent = vec![true; traced.len()];
    for column in file.variables() {
        let last = file.read_rows(&column.name, rows - 1..rows)?.into_f64();
        for (silent, value) in silent.iter_mut().zip(last) {
            *silent &= value.is_nan();
        }
    }
    let is_silent = |id: &u64| traced.binary_search(id).is_ok_and(|k| silent[k]);
    Ok(fibres.iter().map(is_silent).collect())
}

fn variable(
    [a, b]: [&ResultReader; 2],
    name: &str,
    rows: usize,
    traced: &[u64],
    sound: &Sound,
    ranking: &mut Ranking,
) -> Result<VariableDifference, StoreError> {
    let mut difference = Difference::default();
    let mut worst = None;
    let n = traced.len();
    let mut own = vec![Own::default(); n];
    let columns: Vec<usize> = (0..n).filter(|&k| sound.has(traced[k])).collect();
    let slab = (SLAB / n.max(1)).max(1);
    for first in (0..rows).step_by(slab) {
        let range = first..rows.min(first + slab);
        let ours = a.read_rows(name, range.clone())?.into_f64();
        let theirs = b.read_rows(name, range.clone())?.into_f64();
        for row in range {
            let start = (row - first) * n;
            for &k in &columns {
                let (x, y) = (ours[start + k], theirs[start + k]);
                own[k].add(row, x, y);
                if difference.add(x, y) {
                    worst = Some((row, traced[k]));
                }
            }
        }
    }
    let place = |(row, fibre): (usize, u64)| {
        let time_ms = time_of(a, row)?;
        Some(Place { fibre, time_ms })
    };
    let limit = ranking.limits().of_range;
    for k in columns {
        let (own, fibre) = (&own[k], traced[k]);
        let rms = own.rms() / difference.range();
        if own.missing {
            let name = name.to_owned();
            ranking.add(Worst::one_sided(fibre, By::Missing { name }));
        } else if ranking.takes(rms, limit) {
            let by = By::Variable {
                name: name.to_owned(),
                rms,
                most: place((own.row, fibre)),
            };
            ranking.add(Worst::apart(fibre, by, rms, limit));
        }
    }
    Ok(VariableDifference {
        name: name.to_owned(),
        difference,
        worst: worst.and_then(place),
    })
}

/// One fibre's differences in a quantity.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    squares: f64,
    pairs: u32,
    largest: f64,
    /// Where it is.
    row: usize,
    missing: bool,
}

impl Own {
    fn add(&mut self, row: usize, x: f64, y: f64) {
        if !(x.is_finite() && y.is_finite()) {
            self.missing |= !((x.is_nan() && y.is_nan()) || x == y);
            return;
        }
        let apart = (x - y).abs();
        self.squares += apart * apart;
        self.pairs += 1;
        if apart > self.largest {
            (self.largest, self.row) = (apart, row);
        }
    }

    fn rms(&self) -> f64 {
        (self.squares / f64::from(self.pairs.max(1))).sqrt()
    }
}

/// Whether a feature's column says something of spikes, each of which is compared by itself.
pub(super) fn is_of_spikes(event_features: &[String], column: &str) -> bool {
    let part = column.rsplit_once('.');
    part.is_some_and(|(feature, part)| {
        ["count", "first", "last"].contains(&part)
            && event_features.iter().any(|known| known == feature)
    })
}

fn rank_feature(
    found: &FeatureDifference,
    [ours, theirs]: &[Vec<f64>; 2],
    fibres: &[u64],
    sound: &Sound,
    ranking: &mut Ranking,
) {
    let (range, limit) = (found.difference.range(), ranking.limits().of_range);
    for (&fibre, (&x, &y)) in fibres.iter().zip(ours.iter().zip(theirs)) {
        let name = || found.name.clone();
        let apart = (x - y).abs() / range;
        if !sound.has(fibre) || x == y {
            continue;
        }
        if x.is_finite() != y.is_finite() {
            ranking.add(Worst::one_sided(fibre, By::Missing { name: name() }));
        } else if ranking.takes(apart, limit) {
            let by = By::Feature {
                name: name(),
                units: found.units.clone(),
                values: (x, y),
            };
            ranking.add(Worst::apart(fibre, by, apart, limit));
        }
    }
}

fn feature(
    column: &Column,
    [ours, theirs]: &[Vec<f64>; 2],
    fibres: &[u64],
    sound: &Sound,
    limits: Limits,
) -> FeatureDifference {
    let mut difference = Difference::default();
    let mut worst = None;
    let pairs = || {
        let each = fibres.iter().zip(ours.iter().zip(theirs));
        each.filter(|(fibre, _)| sound.has(**fibre))
    };
    for (&fibre, (x, y)) in pairs() {
        if difference.add(*x, *y) {
            worst = Some(fibre);
        }
    }
    let allowed = limits.of_range * difference.range();
    let agree = |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= allowed;
    let n = pairs().count();
    let agreeing = pairs().filter(|(_, (x, y))| agree(**x, **y)).count();
    FeatureDifference {
        name: column.name.clone(),
        units: column.units.clone(),
        difference,
        worst,
        agreeing: if n == 0 {
            1.0
        } else {
            agreeing as f64 / n as f64
        },
    }
}

fn spikes(
    a: &ResultReader,
    b: &ResultReader,
    until_ms: Option<f64>,
    sound: &Sound,
    ranking: &mut Ranking,
) -> Result<Pairing, StoreError> {
    let of = |file: &ResultReader| -> Result<Vec<SpikeEvent>, StoreError> {
        let mut events = file.events()?;
        events.retain(|s| sound.has(s.fibre));
        Ok(events)
    };
    let limit_ms = ranking.limits().spike_shift_ms;
    let window = SpikeWindow {
        coincident_ms: limit_ms,
        until_ms: until_ms.unwrap_or(f64::INFINITY),
    };
    let names = a.event_features();
    let pairing = pair_trains(of(a)?, of(b)?, window, &mut |train| {
        let name = || {
            let name = names.get(usize::from(train.feature));
            name.cloned().unwrap_or_default()
        };
        let (fibre, counts) = (train.fibre, train.counts);
        if counts.0 != counts.1 {
            let by = By::SpikeCount {
                name: name(),
                counts,
            };
            ranking.add(Worst::apart(
                fibre,
                by,
                counts.0.abs_diff(counts.1) as f64,
                1.0,
            ));
        } else if ranking.takes(train.largest_shift_ms, limit_ms) {
            let by = By::SpikeShift {
                name: name(),
                shift_ms: train.largest_shift_ms,
            };
            ranking.add(Worst::apart(fibre, by, train.largest_shift_ms, limit_ms));
        }
    });
    Ok(pairing)
}
