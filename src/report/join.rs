//! The parts of a study, run with `--shard`, joined into the file that one run of the whole would have written.
//!
//! [`Parts::open`] checks that the files are the parts of one run, each once and whole. [`Parts::join`] hands them over to a sink slab
//! by slab, as the run of the whole would have: the rows of all parts side by side, the events of each slab together. Traces and
//! events pass through in blocks; what has one number per fibre is held in memory, as in a run.
//!
//! The comparison with the reference is put together from what the parts found ([`crate::run::part`]); the fibres next to a
//! threshold are chosen among all, and the reference runs them now.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::feature::FeatureKind;
use crate::run::part::{Judged, Known, Whole, candidates, decode};
use crate::run::sink::{
    Attribute, Column, Layout, Part, Precision, Sink, SinkError, SpikeEvent, Traces,
};
use crate::run::{self, Batch, Choices, Done, PrepareError, RunError, RunReport, prepare};
use crate::store::{self, ResultReader, RunStatus, StoreError, Values};
use crate::study::Study;

use super::replay::{self, ReplayError};

/// Root attributes that may differ between the parts of one run: when, where, on what and by which build each was computed.
const MAY_DIFFER: [&str; 8] = [
    "created",
    "history",
    store::BUILD_ATTRIBUTE,
    "device",
    "driver",
    "status",
    "n_lost",
    "shard_index",
];

/// Why files cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// They are not the parts of one run.
    #[error("{0}")]
    Refused(String),
    /// A file cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The study or the model that the parts hold cannot be read.
    #[error(transparent)]
    Study(#[from] ReplayError),
    /// The comparison with the reference cannot be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
}

/// The parts of one run, all of them, in order.
#[derive(Debug)]
pub struct Parts {
    parts: Vec<Opened>,
    study: Study,
    layout: Layout,
    n_events: u64,
}

#[derive(Debug)]
struct Opened {
    file: ResultReader,
    part: Part,
    /// Number of recorded fibres.
    n_traces: usize,
    /// Events of each slab.
    slab_events: Vec<u64>,
}

impl Opened {
    fn name(&self) -> String {
        named(&self.file, &self.part)
    }
}

fn named(file: &ResultReader, part: &Part) -> String {
    let path = file.path().display();
    format!("'{path}' (shard {}/{})", part.index, part.of)
}

fn refused<T>(why: String) -> Result<T, JoinError> {
    Err(JoinError::Refused(why))
}

impl Parts {
    /// Opens the files and checks that they are the parts of one run.
    ///
    /// # Errors
    /// If one is no part, is not whole, or does not belong to the others; if parts are missing or come twice.
    pub fn open(paths: &[PathBuf]) -> Result<Self, JoinError> {
        let mut opened = Vec::new();
        let mut faults = Vec::new();
        for path in paths {
            match open(path)? {
                Ok(part) => opened.push(part),
                Err(fault) => faults.push(fault),
            }
        }
        opened.sort_by_key(|o| o.part.index);
        faults.extend(roll_call(&opened));
        if let Some((first, others)) = opened.split_first() {
            for other in others {
                faults.extend(unlike(first, other)?);
            }
        }
        if !faults.is_empty() {
            return refused(faults.join("\n"));
        }
        let Some(first) = opened.first() else {
            return refused("there is nothing to join".to_owned());
        };
        let study = replay::study_of(&first.file)?;
        let layout = joined_layout(&opened)?;
        let n_events = opened.iter().flat_map(|o| &o.slab_events).sum();
        Ok(Parts {
            parts: opened,
            study,
            layout,
            n_events,
        })
    }

    /// What the joined file holds.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The builds of the program that computed the parts, each once.
    pub fn builds(&self) -> Vec<&str> {
        distinct(&self.parts, store::BUILD_ATTRIBUTE)
    }

    /// The study, without its factors' rules: the parts hold what came of them.
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// Where the parts are, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|p| p.file.path())
    }

    /// The run of the whole as it would have been prepared, as far as joining needs it.
    ///
    /// # Errors
    /// If the model cannot be run.
    pub fn batch(&self) -> Result<Batch, JoinError> {
        let choices = Choices {
            backend: run::Backend::Cpu,
            precision: self.layout.precision,
            threads: 0,
            adapter: None,
            agreement_fibres: None,
        };
        let batch = prepare(&self.study, &choices)?;
        let whole = Whole {
            rows_per_slab: self.layout.rows_per_slab,
            precision: match self.parts[0].file.text("precision") {
                Some("f64") => Precision::F64,
                _ => Precision::F32,
            },
            agreement: self.study.agreement,
        };
        let columns = self.study.population.varied.iter().map(|v| {
            let of_name = |(c, _): &&(Column, _)| c.name == v.column;
            self.layout.parameters.iter().find(of_name)
        });
        let Some(columns) = columns.collect::<Option<Vec<_>>>() else {
            return refused(format!(
                "{} lacks a varied parameter of its study",
                self.parts[0].name()
            ));
        };
        let of_fibre = |i: usize| columns.iter().map(|(_, values)| values[i]).collect();
        let parameters = (0..self.layout.n_fibres).map(of_fibre).collect();
        let traces = match &self.layout.traces {
            Traces::All => None,
            Traces::Some(ids) => Some(ids.clone()),
        };
        let drawn = run::drawn_in(&self.layout.attributes);
        Ok(batch.of_whole(&whole, parameters, traces).with_drawn(drawn))
    }

    /// Hands everything over to the sink and finishes it. The second value says why the whole is not compared with the reference
    /// where its study asks for it.
    ///
    /// # Errors
    /// If a part cannot be read or the sink cannot take it.
    pub fn join(
        &self,
        batch: &Batch,
        out: &mut dyn Sink,
        progress: &dyn Fn(f64),
        cancel: &AtomicBool,
    ) -> Result<(RunReport, Option<String>), RunError> {
        let by_reference = self.parts[0].file.text("backend") == Some("reference");
        let (known, missing) = match self.known(batch) {
            Ok(known) if by_reference => (known.filter(|_| false), None),
            Ok(known) => (known, None),
            Err(why) => (None, Some(why)),
        };
        let report = batch.judged_parts(out, known, cancel, &mut |_, out| {
            Ok(self.hand_over(batch, out, progress, cancel)?)
        })?;
        Ok((report, missing))
    }

    /// What the parts know of the judged fibres; why not, in words, where a part has not written it down.
    fn known(&self, batch: &Batch) -> Result<Option<Known>, String> {
        let drawn = batch.drawn();
        if drawn.is_empty() {
            return Ok(None);
        }
        let mut known = Known::default();
        for part in &self.parts {
            let damaged = |what: &str| format!("{} holds no usable {what}", part.name());
            let own = part.part.fibres();
            let bytes = part.file.judgement().map_err(|e| e.to_string())?;
            let mut judged = decode(&bytes).unwrap_or_default();
            judged.retain(|j| own.contains(&j.fibre) && fits(j, batch));
            let here = drawn.iter().filter(|id| own.contains(id)).count();
            if judged.len() != here {
                return Err(damaged("record of its judged fibres"));
            }
            known.judged.extend(judged);
            let turns = part.file.turns().map_err(|e| e.to_string())?;
            if turns.is_empty() {
                continue;
            }
            let ids = candidates(self.study.population.seed, &part.part);
            let n_features = self.layout.event_features.len();
            if turns.len() != Part::LOOKS * ids.len() * n_features {
                return Err(damaged("record of its fibres next to a threshold"));
            }
            let looks = turns.chunks(ids.len() * n_features);
            for (look, values) in known.turns.iter_mut().zip(looks) {
                let each = ids.iter().zip(values.chunks(n_features));
                look.extend(each.map(|(id, turns)| (*id, turns.to_vec())));
            }
        }
        Ok(Some(known))
    }

    fn hand_over(
        &self,
        batch: &Batch,
        out: &mut dyn Sink,
        progress: &dyn Fn(f64),
        cancel: &AtomicBool,
    ) -> Result<Done, SinkError> {
        let layout = &self.layout;
        let per_slab = layout.rows_per_slab.max(1);
        let n_rows = layout.time_ms.len();
        let n_slabs = batch.experiment.n_samples.div_ceil(per_slab);
        let mut done = Done::default();
        let mut next = vec![0u64; self.parts.len()];
        for slab in 0..n_slabs {
            if cancel.load(Ordering::Relaxed) {
                done.interrupted = true;
                break;
            }
            let rows = (slab * per_slab).min(n_rows)..((slab + 1) * per_slab).min(n_rows);
            if !rows.is_empty() {
                for (number, variable) in layout.variables.iter().enumerate() {
                    let values = self.rows(&variable.name, rows.clone())?;
                    out.write_rows(number, rows.start, values.samples())?;
                }
            }
            let events = self.events(slab, &mut next)?;
            done.n_events += events.len() as u64;
            out.write_events(&events)?;
            out.commit(rows.end)?;
            progress((slab + 1) as f64 / n_slabs as f64);
        }
        done.features = vec![Vec::with_capacity(layout.n_fibres); layout.features.len()];
        for part in &self.parts {
            for (all, column) in done.features.iter_mut().zip(&layout.features) {
                all.extend(part.file.feature(&column.name)?);
            }
            done.status.extend(part.file.status()?);
        }
        Ok(done)
    }

    /// Rows of all recorded fibres, those of each part beside those of the part before it.
    fn rows(&self, variable: &str, rows: std::ops::Range<usize>) -> Result<Values, StoreError> {
        let width: usize = self.parts.iter().map(|p| p.n_traces).sum();
        let mut joined = match self.layout.precision {
            Precision::F32 => Values::F32(vec![0.0; rows.len() * width]),
            Precision::F64 => Values::F64(vec![0.0; rows.len() * width]),
        };
        fn place<T: Copy>(to: &mut [T], from: &[T], width: usize, column: usize, own: usize) {
            let each = to.chunks_exact_mut(width).zip(from.chunks_exact(own));
            each.for_each(|(to, from)| to[column..column + own].copy_from_slice(from));
        }
        let mut column = 0;
        for part in self.parts.iter().filter(|p| p.n_traces > 0) {
            match (&mut joined, part.file.read_rows(variable, rows.clone())?) {
                (Values::F32(to), Values::F32(from)) => {
                    place(to, &from, width, column, part.n_traces);
                }
                (Values::F64(to), Values::F64(from)) => {
                    place(to, &from, width, column, part.n_traces);
                }
                _ => {
                    return Err(StoreError::BadLayout(
                        "parts of different precision".to_owned(),
                    ));
                }
            }
            column += part.n_traces;
        }
        Ok(joined)
    }

    /// The events of a slab as a run hands them over; `next` is how many of each part have been taken.
    fn events(&self, slab: usize, next: &mut [u64]) -> Result<Vec<SpikeEvent>, StoreError> {
        let mut events = Vec::new();
        for (part, next) in self.parts.iter().zip(next) {
            let n = part.slab_events.get(slab).copied().unwrap_or(0);
            events.extend(part.file.events_between(*next..*next + n)?);
            *next += n;
        }
        events.sort_by(|a, b| {
            (a.fibre, a.feature)
                .cmp(&(b.fibre, b.feature))
                .then(a.time_ms.total_cmp(&b.time_ms))
        });
        Ok(events)
    }

    /// Number of events of all parts.
    pub fn n_events(&self) -> u64 {
        self.n_events
    }
}

/// Whether what a part says of a judged fibre is of the experiment's shape.
fn fits(judged: &Judged, batch: &Batch) -> bool {
    let e = &batch.experiment;
    let samples = e.n_recorded * e.n_samples;
    let columns: usize = e.features.iter().map(|f| f.column_names().len()).sum();
    let counts = |&(_, feature): &(f64, usize)| {
        let spec = e.features.get(feature);
        spec.is_some_and(|f| f.kind == FeatureKind::Spikes)
    };
    judged.samples.len() == samples
        && judged.reference_samples.len() == samples
        && judged.reference_features.len() == columns
        && judged.reference_spikes.iter().all(counts)
}

/// Opens one part; what is wrong with it, in words, where it can be read and is none.
fn open(path: &Path) -> Result<Result<Opened, String>, JoinError> {
    let file = store::open(path)?;
    let Some(part) = file.part() else {
        return Ok(Err(format!(
            "'{}' is no part of a study: it was not run with --shard",
            path.display()
        )));
    };
    let name = named(&file, &part);
    if file.run_status() != RunStatus::Complete {
        return Ok(Err(format!(
            "{name} is not finished: its status is '{}'",
            file.run_status().name()
        )));
    }
    let ids = part.fibres();
    if !file.fibre_ids()?.iter().copied().eq(ids.clone()) {
        return Ok(Err(format!(
            "{name} is damaged, or was changed: it does not hold the fibres {} to {}",
            ids.start,
            ids.end.saturating_sub(1)
        )));
    }
    let slab_events = file.slab_events()?;
    let events = slab_events.iter().try_fold(0u64, |n, &x| n.checked_add(x));
    if events != Some(file.n_events()) {
        return Ok(Err(format!(
            "{name} is damaged, or was changed: its events are not those of its slabs"
        )));
    }
    let n_traces = match file.traces()? {
        Traces::All => file.n_fibres(),
        Traces::Some(own)
            if own.iter().all(|id| ids.contains(id)) && own.is_sorted_by(|a, b| a < b) =>
        {
            own.len()
        }
        Traces::Some(_) => {
            return Ok(Err(format!(
                "{name} is damaged, or was changed: it records fibres that it does not hold"
            )));
        }
    };
    if file.committed_rows() != file.layout()?.time_ms.len() {
        return Ok(Err(format!(
            "{name} is damaged, or was changed: it lacks rows"
        )));
    }
    Ok(Ok(Opened {
        file,
        part,
        n_traces,
        slab_events,
    }))
}

/// Which parts are missing, come twice, or belong to another division. The parts are in order.
fn roll_call(parts: &[Opened]) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(first) = parts.first() else {
        return faults;
    };
    let (of, population) = (first.part.of, first.part.population);
    for other in &parts[1..] {
        if other.part.of != of {
            faults.push(format!(
                "{} and {} are parts of different divisions",
                first.name(),
                other.name()
            ));
        } else if other.part.population != population {
            faults.push(format!(
                "{} is a part of {population} fibres, {} of {}",
                first.name(),
                other.name(),
                other.part.population
            ));
        }
    }
    if !faults.is_empty() {
        return faults;
    }
    for pair in parts.windows(2) {
        if pair[0].part.index == pair[1].part.index {
            faults.push(format!(
                "{} and '{}' are the same part",
                pair[0].name(),
                pair[1].file.path().display()
            ));
        }
    }
    let there = |index: &u64| parts.binary_search_by_key(index, |p| p.part.index).is_ok();
    // As many as a person reads; the number says the rest.
    const TOLD: usize = 20;
    let n_missing = of
        - parts
            .iter()
            .map(|p| p.part.index)
            .collect::<std::collections::BTreeSet<_>>()
            .len() as u64;
    if n_missing > 0 {
        let missing = (1..=of).filter(|index| !there(index)).take(TOLD);
        let told: Vec<String> = missing.map(|index| format!("{index}/{of}")).collect();
        let more = n_missing - told.len() as u64;
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        faults.push(format!("missing: shard {}{more}", told.join(", ")));
    }
    faults
}

/// In what a part differs from the first, where it must not.
fn unlike(first: &Opened, other: &Opened) -> Result<Option<String>, StoreError> {
    let says = |what: String| {
        Ok(Some(format!(
            "{} and {} differ in {what}: they are not parts of one run",
            first.name(),
            other.name()
        )))
    };
    let (a, b) = (first.file.attributes(), other.file.attributes());
    let of = |list: &[(String, Attribute)], name: &str| {
        list.iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let names = a.iter().chain(&b).map(|(name, _)| name.as_str());
    for name in names.filter(|name| !MAY_DIFFER.contains(name)) {
        let (x, y) = (of(&a, name), of(&b, name));
        if x != y {
            return says(match (shown(x), shown(y)) {
                (Some(x), Some(y)) => format!("{name} ({x} and {y})"),
                _ => name.to_owned(),
            });
        }
    }
    let (a, b) = (first.file.layout()?, other.file.layout()?);
    let columns = |l: &Layout| -> Vec<_> { l.parameters.iter().map(|(c, _)| c.clone()).collect() };
    let bits = |l: &Layout| -> Vec<u64> { l.time_ms.iter().map(|t| t.to_bits()).collect() };
    let all = |l: &Layout| matches!(l.traces, Traces::All);
    let lists = [
        ("what varies", columns(&a) == columns(&b)),
        ("what is recorded", a.variables == b.variables),
        ("their features", a.features == b.features),
        ("their events", a.event_features == b.event_features),
        ("their states", a.state_names == b.state_names),
        ("the times of their samples", bits(&a) == bits(&b)),
        ("their slabs", a.rows_per_slab == b.rows_per_slab),
        ("their precision", a.precision == b.precision),
        ("whether all fibres are recorded", all(&a) == all(&b)),
        (
            "their slabs",
            first.slab_events.len() == other.slab_events.len(),
        ),
    ];
    match lists.into_iter().find(|(_, same)| !same) {
        Some((what, _)) => says(what.to_owned()),
        None => Ok(None),
    }
}

/// A short value; `None` for a long one, which nobody would read.
fn shown(value: Option<Attribute>) -> Option<String> {
    let text = match value {
        None => "none".to_owned(),
        Some(Attribute::Text(text)) => text,
        Some(Attribute::Integer(n)) => n.to_string(),
        Some(Attribute::Real(x)) => x.to_string(),
    };
    (text.len() < 40 && !text.contains('\n')).then_some(text)
}

/// What the parts say under a name, each text once, in order.
fn distinct<'p>(parts: &'p [Opened], name: &str) -> Vec<&'p str> {
    let of = |part: &'p Opened| part.file.text(name).unwrap_or("unknown");
    let mut texts: Vec<&str> = parts.iter().map(of).collect();
    let mut seen = std::collections::HashSet::new();
    texts.retain(|text| seen.insert(*text));
    texts
}

/// The layout of the whole: the first part's, with the fibres of all.
fn joined_layout(parts: &[Opened]) -> Result<Layout, StoreError> {
    let mut layout = parts[0].file.layout()?;
    layout.part = None;
    layout.checkpoint_bytes = 0;
    layout.event_capacity = parts.iter().map(|p| p.file.n_events() as usize).sum();
    for (name, value) in &mut layout.attributes {
        if ["device", "driver"].contains(&name.as_str()) {
            *value = Attribute::Text(distinct(parts, name).join("; "));
        }
    }
    // Who joins them computes none of it.
    let builds = distinct(parts, store::BUILD_ATTRIBUTE).join("; ");
    layout
        .attributes
        .push((store::BUILD_ATTRIBUTE.to_owned(), Attribute::Text(builds)));
    let joined = format!("joined from {} parts", parts.len());
    layout
        .attributes
        .push(("history".to_owned(), Attribute::Text(joined)));
    for part in &parts[1..] {
        let other = part.file.layout()?;
        layout.n_fibres += other.n_fibres;
        if let (Traces::Some(all), Traces::Some(own)) = (&mut layout.traces, other.traces) {
            all.extend(own);
        }
        for ((_, all), (_, own)) in layout.parameters.iter_mut().zip(other.parameters) {
            all.extend(own);
        }
    }
    Ok(layout)
}
