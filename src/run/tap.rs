//! Stands between a run and its sink: keeps what concerns the judged fibres, and chooses, while the run goes on, those next to a
//! threshold.

use std::collections::HashMap;
use std::sync::Arc;

use crate::backend::Experiment;
use crate::feature::{FeatureKind, Gathered};
use crate::ops::Lane;

use super::checkpoint::{Cursor, Past, Point, Sheet, does_not_fit};
use super::events::in_order;
use super::judge::{Judge, MOST_CANDIDATES, Sampling};
use super::sink::{Outcome, Part, PartRecord, Samples, Sink, SinkError, SpikeEvent};

/// Spikes that are kept for the choice, at most: 24 bytes each.
const MOST_SPIKES: usize = 2_000_000;
/// Shares of the run after which fibres next to a threshold are looked for.
const LOOKS: [f64; Part::LOOKS] = [0.5, 0.75];

/// The first word of what a checkpoint holds of the tap.
const MAGIC: u64 = u64::from_le_bytes(*b"TAP\0\0\0\0\x01");

/// What a run gave of the fibres that may be judged.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// Per drawn fibre: id and samples `[variable][row]`.
    pub samples: Vec<(u64, Vec<f64>)>,
    /// Spikes of the judged fibres, slab by slab.
    pub spikes: Vec<SpikeEvent>,
}

/// The tap. It leaves out the traces that were made for the judge alone, and hands on everything else as it comes.
pub(super) struct Tap<'a> {
    out: &'a mut dyn Sink,
    judge: &'a Judge<'a>,
    sampling: Sampling,
    kept: Kept,
    /// Column of each drawn fibre among the traces.
    columns: Vec<usize>,
    n_traces: usize,
    /// Columns that the sink gets; `None` for all.
    recorded: Option<Vec<usize>>,
    rows_per_slab: usize,
    slabs: usize,
    looks: usize,
    /// Per candidate, per feature that counts spikes: how near a turning point came to the threshold; empty if it is not known.
    turns: Vec<Vec<f64>>,
    /// Fibres chosen next to a threshold, and how many more are wanted.
    near: Vec<u64>,
    open: usize,
    scope: Scope,
    /// Drawn fibres whose traces the sink does not get, by their places in `kept.samples`.
    unrecorded: Vec<usize>,
    /// Events of each slab that is over, and of the one that is not.
    counts: Vec<u64>,
    n_events: u64,
    /// The turning points by which was chosen, look by look.
    told: Vec<Vec<Vec<f64>>>,
}

/// What of a population goes by.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    /// All of it, from an engine.
    Whole,
    /// A part: its turning points are written down, and the choice is left to whoever joins the parts.
    Part,
    /// All of it, from its parts, which have told their turning points: per look, per candidate.
    Joined([HashMap<u64, Vec<f64>>; Part::LOOKS]),
}

impl<'a> Tap<'a> {
    /// `recorded` are the traces that the sink expects, `None` for all fibres.
    pub(super) fn new(
        out: &'a mut dyn Sink,
        judge: &'a Judge<'a>,
        sampling: Sampling,
        recorded: Option<&[u64]>,
        rows_per_slab: usize,
        scope: Scope,
    ) -> Self {
        let experiment = judge.experiment();
        let traces = sampling.traces(recorded);
        let column = |id: &u64| match &traces {
            Some(ids) => ids.binary_search(id).unwrap_or(0),
            None => judge.place(*id),
        };
        let n_kept = experiment.n_recorded * experiment.n_samples;
        let samples = |id: &u64| (*id, vec![f64::NAN; n_kept]);
        let is_unrecorded = |place: &usize| {
            let id = sampling.drawn[*place];
            recorded.is_some_and(|ids| ids.binary_search(&id).is_err())
        };
        Tap {
            unrecorded: (0..sampling.drawn.len()).filter(is_unrecorded).collect(),
            counts: Vec::new(),
            n_events: 0,
            told: Vec::new(),
            kept: Kept {
                samples: sampling.drawn.iter().map(samples).collect(),
                spikes: Vec::new(),
            },
            columns: sampling.drawn.iter().map(column).collect(),
            n_traces: traces.as_ref().map_or(judge.n_fibres(), Vec::len),
            recorded: match (&traces, recorded) {
                (Some(all), Some(own)) if all.len() > own.len() => {
                    Some(own.iter().map(column).collect())
                }
                _ => None,
            },
            rows_per_slab,
            slabs: 0,
            looks: 0,
            turns: Vec::new(),
            near: Vec::new(),
            open: sampling.drawn.len() - sampling.at_start,
            scope,
            out,
            judge,
            sampling,
        }
    }

    /// For rows of which nothing is to be kept, because the parts have kept it: the samples of the drawn fibres.
    pub(super) fn with_samples(mut self, mut samples: HashMap<u64, Vec<f64>>) -> Self {
        for (id, kept) in &mut self.kept.samples {
            if let Some(known) = samples.remove(id) {
                *kept = known;
            }
        }
        (self.columns, self.recorded) = (Vec::new(), None);
        self
    }

    /// Counts a slab that is over; whether it is time to look then.
    fn pass_slab(&mut self) -> bool {
        self.counts.push(std::mem::take(&mut self.n_events));
        self.slabs += 1;
        self.is_time(self.n_rows() as f64 / self.judge.experiment().n_samples as f64)
    }

    /// Rows of the slabs that are over.
    fn n_rows(&self) -> usize {
        (self.slabs * self.rows_per_slab).min(self.judge.experiment().n_samples)
    }

    /// Looks when a slab is over.
    fn look_now(&mut self) {
        let (n_rows, experiment) = (self.n_rows(), self.judge.experiment());
        let share = n_rows as f64 / experiment.n_samples as f64;
        self.looks = LOOKS.iter().filter(|look| **look <= share).count();
        // Every fibre is beyond the last of these rows; how far beyond differs.
        let known_ms = (n_rows - 1) as f64 * experiment.sample_every_ms;
        self.look(known_ms, self.looks == LOOKS.len());
    }

    /// What a resumed run cannot take from the result file.
    fn save(&self) -> Sheet<'_> {
        let mut sheet = Sheet::default();
        let (n_rows, experiment) = (self.n_rows(), self.judge.experiment());
        sheet.words(&[self.counts.len() as u64]);
        sheet.numbers(&self.counts);
        sheet.words(&[self.told.len() as u64]);
        for turns in &self.told {
            let width = turns.first().map_or(0, Vec::len);
            sheet.words(&[turns.len() as u64, width as u64]);
            turns.iter().for_each(|of| sheet.numbers(of));
        }
        for place in &self.unrecorded {
            let (_, samples) = &self.kept.samples[*place];
            for of_variable in samples.chunks(experiment.n_samples.max(1)) {
                sheet.numbers(&of_variable[..n_rows]);
            }
        }
        sheet
    }

    /// Bytes of what [`Sink::checkpoint`] adds, at most, where so many drawn fibres are not recorded.
    pub(super) fn checkpoint_bytes(
        experiment: &Experiment,
        unrecorded: usize,
        slabs: usize,
    ) -> usize {
        let samples = unrecorded * experiment.n_recorded * experiment.n_samples;
        let features = experiment.features.iter();
        let spikes = features.filter(|f| f.kind == FeatureKind::Spikes).count();
        8 * (4 + slabs + Part::LOOKS * (2 + MOST_CANDIDATES * spikes) + samples)
    }

    /// Lets the part of the run that is over pass by once more: what the sink has kept of it, and what the checkpoint adds. Returns what the
    /// driver wrote.
    ///
    /// # Errors
    /// If the checkpoint is not one of this run, or what the sink has kept cannot be read.
    pub(super) fn go_on(&mut self, from: Option<&Point>) -> Result<Option<Arc<[u8]>>, SinkError> {
        let Some(point) = from else { return Ok(None) };
        let mut cursor = Cursor(&point.state);
        let own = cursor
            .words()
            .filter(|[magic, _]| *magic == MAGIC)
            .and_then(|[_, length]| cursor.bytes(usize::try_from(length).ok()?));
        self.replay(Cursor(own.ok_or_else(does_not_fit)?), &*point.past)?;
        Ok(Some(cursor.0.into()))
    }

    fn replay(&mut self, mut cursor: Cursor<'_>, past: &dyn Past) -> Result<(), SinkError> {
        let experiment = self.judge.experiment();
        let (n_recorded, n_samples) = (experiment.n_recorded, experiment.n_samples);
        let counts: Vec<u64> = cursor
            .count()
            .filter(|n| *n <= n_samples.div_ceil(self.rows_per_slab.max(1)).max(1))
            .and_then(|n| cursor.numbers(n))
            .ok_or_else(does_not_fit)?;
        let mut told = turns(&mut cursor).ok_or_else(does_not_fit)?.into_iter();
        let mut fits = true;
        past.events(&counts, &mut |mut events| {
            in_order(&mut events);
            self.keep(&events);
            self.n_events = events.len() as u64;
            if self.pass_slab() {
                match told.next() {
                    Some(turns) => self.turns = turns,
                    None => fits = false,
                }
                self.told.push(self.turns.clone());
                self.look_now();
            }
        })?;
        let n_rows = self.n_rows();
        for place in 0..self.kept.samples.len() {
            for variable in 0..n_recorded {
                let samples = if self.unrecorded.contains(&place) {
                    cursor.numbers(n_rows).ok_or_else(does_not_fit)?
                } else {
                    past.trace(variable, self.kept.samples[place].0, n_rows)?
                };
                let kept = self.kept.samples[place].1[variable * n_samples..].iter_mut();
                kept.zip(samples).for_each(|(kept, value)| *kept = value);
            }
        }
        match fits && told.next().is_none() && cursor.is_empty() {
            true => Ok(()),
            false => Err(does_not_fit()),
        }
    }

    /// What was kept, at the end of the run. Choices that are still open are made now.
    pub(super) fn into_kept(mut self) -> Kept {
        self.look(f64::INFINITY, true);
        self.kept
    }

    /// Looks for fibres next to a threshold by the spikes before `until_ms`. Where the last look finds too few, drawn ones take
    /// their places.
    fn look(&mut self, until_ms: f64, last: bool) {
        if self.open == 0 {
            return;
        }
        let (at_start, reserve) = self.sampling.drawn.split_at(self.sampling.at_start);
        let known = [at_start, &self.near].concat();
        let candidates = &self.sampling.candidates;
        let spikes = (&self.kept.spikes[..], until_ms);
        let near = candidates.near_threshold(&self.turns, spikes, &known, self.open);
        self.judge.ask(&near, true);
        self.open -= near.len();
        self.near.extend(near);
        if last {
            let others = reserve.iter().filter(|id| !self.near.contains(id));
            let others: Vec<u64> = others.copied().take(self.open).collect();
            self.judge.ask(&others, false);
            self.open = 0;
        }
        if self.open == 0 {
            let spikes = std::mem::take(&mut self.kept.spikes);
            self.keep(&spikes);
        }
    }

    /// Whether it is time to look, when this share of the rows is done.
    fn is_time(&self, share: f64) -> bool {
        LOOKS.get(self.looks).is_some_and(|look| share >= *look)
    }

    fn keep(&mut self, spikes: &[SpikeEvent]) {
        let Tap {
            sampling,
            near,
            kept,
            open,
            ..
        } = self;
        let judged = |id: &u64| sampling.drawn.contains(id) || near.contains(id);
        let candidate = |id: &u64| *open > 0 && sampling.candidates.ids.binary_search(id).is_ok();
        let wanted = spikes
            .iter()
            .filter(|s| judged(&s.fibre) || candidate(&s.fibre));
        kept.spikes.extend(wanted);
        if self.open > 0 && self.kept.spikes.len() > MOST_SPIKES {
            self.sampling.candidates.halve();
            self.turns.clear();
            let spikes = std::mem::take(&mut self.kept.spikes);
            self.keep(&spikes);
        }
    }

    fn keep_rows<T: Lane>(&mut self, variable: usize, first_row: usize, rows: &[T]) {
        let start = variable * self.judge.experiment().n_samples + first_row;
        // Without columns nothing is kept: see `with_samples`.
        for ((_, samples), column) in self.kept.samples.iter_mut().zip(&self.columns) {
            let of_fibre = rows.iter().skip(*column).step_by(self.n_traces.max(1));
            for (kept, value) in samples[start..].iter_mut().zip(of_fibre) {
                *kept = value.f64();
            }
        }
    }

    /// The columns that the sink gets.
    fn recorded<T: Lane>(&self, columns: &[usize], rows: &[T]) -> Vec<T> {
        let rows = rows.chunks(self.n_traces.max(1));
        rows.flat_map(|row| columns.iter().map(|&c| row[c]))
            .collect()
    }
}

/// The turning points of each look.
fn turns(cursor: &mut Cursor<'_>) -> Option<Vec<Vec<Vec<f64>>>> {
    let looks = cursor.count().filter(|n| *n <= Part::LOOKS)?;
    let mut told = Vec::new();
    for _ in 0..looks {
        let [n, width] = cursor.words()?;
        let (n, width) = (usize::try_from(n).ok()?, usize::try_from(width).ok()?);
        let values: Vec<f64> = cursor.numbers(n.checked_mul(width)?)?;
        told.push(match width {
            // Nothing is allocated for candidates of which nothing is told.
            0 => vec![Vec::new(); n.min(MOST_CANDIDATES)],
            width => values.chunks(width).map(<[f64]>::to_vec).collect(),
        });
    }
    Some(told)
}

impl Sink for Tap<'_> {
    fn write_rows(
        &mut self,
        variable: usize,
        first_row: usize,
        rows: Samples<'_>,
    ) -> Result<(), SinkError> {
        match rows {
            Samples::F32(rows) => self.keep_rows(variable, first_row, rows),
            Samples::F64(rows) => self.keep_rows(variable, first_row, rows),
        }
        match (&self.recorded, rows) {
            (None, rows) => self.out.write_rows(variable, first_row, rows),
            (Some(columns), Samples::F32(rows)) => {
                let rows = self.recorded(columns, rows);
                self.out
                    .write_rows(variable, first_row, Samples::F32(&rows))
            }
            (Some(columns), Samples::F64(rows)) => {
                let rows = self.recorded(columns, rows);
                self.out
                    .write_rows(variable, first_row, Samples::F64(&rows))
            }
        }
    }

    fn write_events(&mut self, events: &[SpikeEvent]) -> Result<(), SinkError> {
        self.keep(events);
        self.n_events += events.len() as u64;
        self.out.write_events(events)
    }

    fn wants_gathered(&self) -> &[f64] {
        if self.open > 0 || matches!(self.scope, Scope::Part) {
            &LOOKS[self.looks..]
        } else {
            &[]
        }
    }

    fn gathered<'g>(&mut self, of_fibre: &dyn Fn(u64) -> &'g [Gathered]) {
        let experiment = self.judge.experiment();
        let n_rows = (self.slabs + 1) * self.rows_per_slab;
        let wanted = self.open > 0 || matches!(self.scope, Scope::Part);
        if !wanted || !self.is_time(n_rows as f64 / experiment.n_samples as f64) {
            return;
        }
        let turns = |id: &u64| {
            let both = experiment.features.iter().zip(of_fibre(*id));
            let spikes = both.filter(|(f, _)| f.kind == FeatureKind::Spikes);
            spikes
                .map(|(f, gathered)| f.nearest_turn(gathered))
                .collect()
        };
        self.turns = self.sampling.candidates.ids.iter().map(turns).collect();
    }

    fn commit(&mut self, rows: usize) -> Result<(), SinkError> {
        if self.pass_slab() {
            match &self.scope {
                Scope::Whole => {}
                Scope::Part => {
                    let values = self.turns.concat();
                    let look = self.looks;
                    self.out.part(PartRecord::Turns {
                        look,
                        values: &values,
                    })?;
                }
                Scope::Joined(turns) => {
                    let of = |id: &u64| turns[self.looks].get(id).cloned();
                    let told: Option<Vec<_>> =
                        self.sampling.candidates.ids.iter().map(of).collect();
                    self.turns = told.unwrap_or_default();
                }
            }
            self.told.push(self.turns.clone());
            self.look_now();
        }
        self.out.commit(rows)
    }

    fn part(&mut self, record: PartRecord<'_>) -> Result<(), SinkError> {
        self.out.part(record)
    }

    fn checkpoint(&mut self, state: &[&[u8]]) -> Result<bool, SinkError> {
        let own = self.save().parts().concat();
        let mut head = Sheet::default();
        head.words(&[MAGIC, own.len() as u64]);
        let parts = [&head.parts()[..], &[&own], state].concat();
        self.out.checkpoint(&parts)
    }

    fn finish(&mut self, outcome: &Outcome) -> Result<u64, SinkError> {
        self.out.finish(outcome)
    }
}
