//! What a run hands over, and to whom. The driver knows a [`Sink`]; [`crate::store`] implements one as a file.
//!
//! Order of calls: the sink is made from a [`Layout`]; then, slab after slab, [`Sink::write_rows`] for every variable,
//! [`Sink::write_events`], [`Sink::commit`], now and then [`Sink::checkpoint`]; at the end one [`Sink::finish`].

use crate::feature::Gathered;
use crate::ops::Lane;

/// A column of numbers of either precision, as the engine made it.
#[derive(Clone, Copy, Debug)]
pub enum Samples<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
}

impl<'a> Samples<'a> {
    /// Wraps a slice of the engine's lane type, which is `f32` or `f64`.
    pub fn of<L: Lane>(column: &'a [L]) -> Self {
        match L::PRECISION {
            "f32" => Samples::F32(bytemuck::cast_slice(column)),
            _ => Samples::F64(bytemuck::cast_slice(column)),
        }
    }
}

/// Single or double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit.
    F32,
    /// 64-bit.
    F64,
}

impl Precision {
    /// As studies and files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::F64 => "f64",
        }
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Precision::F32 => 4,
            Precision::F64 => 8,
        }
    }
}

/// Name and meaning of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name in the file: `membrane.V`, `after.count`.
    pub name: String,
    /// Unit in UDUNITS spelling; `1` for a pure number.
    pub units: String,
    /// Plain description.
    pub long_name: String,
    /// CF `cell_methods` (`time: maximum`), for features.
    pub cell_methods: Option<String>,
}

/// A value for a file's attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A real number.
    Real(f64),
}

/// Which fibres are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traces {
    /// Every fibre: traces have the shape `(time, fibre)`.
    All,
    /// These fibre ids, ascending: traces have the shape `(time, trace)`.
    Some(Vec<u64>),
}

/// One part of a population that several runs share. Joined, the parts are the run of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which part, from 1.
    pub index: u64,
    /// Of how many.
    pub of: u64,
    /// Fibres of the whole population.
    pub population: u64,
    /// Slabs of the run: as many as the whole has.
    pub slabs: usize,
    /// Fibres of this part among which the whole looks for ones next to a threshold.
    pub candidates: usize,
}

impl Part {
    /// Times at which a run looks for fibres next to a threshold.
    pub const LOOKS: usize = 2;

    /// Ids of the fibres of this part: of the whole's, in order, as even a share as there is.
    pub fn fibres(&self) -> std::ops::Range<u64> {
        let bound = |part: u64| {
            (u128::from(self.population) * u128::from(part) / u128::from(self.of)) as u64
        };
        bound(self.index - 1)..bound(self.index)
    }
}

/// What a part hands over beside its results, so that the whole can be put together as if it had been run in one piece.
#[derive(Clone, Copy, Debug)]
pub enum PartRecord<'a> {
    /// How many events a slab had: events are ordered slab by slab.
    Slab {
        /// Number of the slab, from 0.
        slab: usize,
        /// Its events.
        events: usize,
    },
    /// How near the candidates have come to a threshold when the run looks for such fibres.
    Turns {
        /// Which look, from 0.
        look: usize,
        /// Candidate by candidate, feature by feature that counts spikes.
        values: &'a [f64],
    },
    /// What is known of the judged fibres at the end, as [`crate::run`] writes it down.
    Judgement(&'a [u8]),
}

/// The shape and the meaning of everything that the run will hand over; known before the first step.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Number of fibres; ids are `first_fibre ..`.
    pub n_fibres: usize,
    /// Id of the first fibre (not 0 in a shard).
    pub first_fibre: u64,
    /// Which fibres are recorded.
    pub traces: Traces,
    /// Times of the samples, ms, ascending; empty where nothing is recorded.
    pub time_ms: Vec<f64>,
    /// Rows of a slab: how many rows arrive in one call, except the last.
    pub rows_per_slab: usize,
    /// Precision of the traces.
    pub precision: Precision,
    /// Recorded quantities.
    pub variables: Vec<Column>,
    /// Varied parameters and their value for each fibre.
    pub parameters: Vec<(Column, Vec<f64>)>,
    /// Features, one number per fibre each.
    pub features: Vec<Column>,
    /// Names of the features whose crossings are events, in the order of [`SpikeEvent::feature`].
    pub event_features: Vec<String>,
    /// Events for which room is laid out in the file at the start.
    pub event_capacity: usize,
    /// Names that `lost_variable` may point to, in the order of [`FibreStatus::Lost::variable`].
    pub state_names: Vec<String>,
    /// Bytes of a checkpoint for which room is laid out at the start; 0 where none is kept.
    pub checkpoint_bytes: usize,
    /// Where this is one part of a population.
    pub part: Option<Part>,
    /// Root attributes beside those that the store writes itself (`Conventions`, `status`, `n_lost`, `created`, `history`).
    pub attributes: Vec<(String, Attribute)>,
}

/// A threshold crossing of one fibre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpikeEvent {
    /// When, ms.
    pub time_ms: f64,
    /// Which fibre.
    pub fibre: u64,
    /// Which of [`Layout::event_features`].
    pub feature: u8,
}

/// How a fibre ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FibreStatus {
    /// It reached the end.
    Finished,
    /// It became non-finite.
    Lost {
        /// When, ms.
        at_ms: f64,
        /// The first non-finite state, an index into [`Layout::state_names`].
        variable: usize,
    },
    /// The run was interrupted before its end.
    Stopped,
}

/// A fibre that the reference ran, too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rerun {
    /// Its id.
    pub fibre: u64,
    /// Whether it was chosen because fibres like it have another number of spikes; else it was drawn by the seed.
    pub near_threshold: bool,
    /// Its spikes in the run, of all features that count them.
    pub spikes: u64,
    /// Its spikes by the reference.
    pub reference_spikes: u64,
    /// Whether any feature counts another number of spikes.
    pub count_differs: bool,
    /// Largest shift of a spike before the two part, ms; NaN where there is none.
    pub spike_shift_ms: f64,
    /// When the first spike comes that the other has not, ms; NaN if the two never part.
    pub parts_at_ms: f64,
}

impl Rerun {
    /// Whether the fibre was drawn and does not part from the reference.
    pub fn is_plain(&self) -> bool {
        !self.near_threshold && self.parts_at_ms.is_nan()
    }
}

/// How far one column of the features is from the reference, in its unit; infinite where only one of the two has a value.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureDifference {
    /// Name of the column.
    pub name: String,
    /// Largest absolute difference of all fibres that were run again.
    pub largest: f64,
    /// The same of the drawn ones that do not part from the reference.
    pub drawn: f64,
}

/// How far a run is from the reference, by a few of its fibres.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// The fibres that were run again, ids ascending.
    pub reruns: Vec<Rerun>,
    /// Per recorded variable: name, largest difference and RMS difference, both divided by the variable's range in the
    /// reference. Of the drawn fibres, each up to where it parts from the reference.
    pub variables: Vec<(String, f64, f64)>,
    /// Per feature.
    pub features: Vec<FeatureDifference>,
    /// Largest shift of a spike, ms, of all spikes paired in order in trains of equal length; NaN where there is none.
    pub spike_shift_ms: f64,
    /// Largest shift of a spike before its fibre parts from the reference, ms; NaN where there is none.
    pub shift_before_parting_ms: f64,
}

impl Agreement {
    /// Fibres whose number of spikes differs.
    pub fn spike_count_differs(&self) -> Vec<u64> {
        let differs = self.reruns.iter().filter(|r| r.count_differs);
        differs.map(|r| r.fibre).collect()
    }
}

/// What is known at the end.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Per feature (in the layout's order), per fibre; NaN where there is none.
    pub features: Vec<Vec<f64>>,
    /// Per fibre.
    pub status: Vec<FibreStatus>,
    /// Comparison with the reference, if one was made.
    pub agreement: Option<Agreement>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
}

/// Why something could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{0}")]
    Format(String),
}

/// Where a run's results go.
pub trait Sink: Send {
    /// Rows `first_row ..` of one variable, row-major `[row][trace]`.
    fn write_rows(
        &mut self,
        variable: usize,
        first_row: usize,
        rows: Samples<'_>,
    ) -> Result<(), SinkError>;
    /// All rows of one variable of one fibre: its trace, of how many. From engines that move fibre after fibre, in place of
    /// [`Sink::write_rows`]; the rows are whole when they are committed.
    fn write_trace(
        &mut self,
        _variable: usize,
        _trace: (usize, usize),
        _rows: Samples<'_>,
    ) -> Result<(), SinkError> {
        let why = "rows come fibre by fibre, and only rows of all fibres can be taken";
        Err(SinkError::Format(why.to_string()))
    }
    /// Events, in any order.
    fn write_events(&mut self, events: &[SpikeEvent]) -> Result<(), SinkError>;
    /// Shares of the rows after which it wants to be told what the features have gathered.
    fn wants_gathered(&self) -> &[f64] {
        &[]
    }
    /// What the features have gathered up to here, fibre by fibre; before [`Sink::commit`]. Engines that have it at hand tell it always.
    fn gathered<'g>(&mut self, _of_fibre: &dyn Fn(u64) -> &'g [Gathered]) {}
    /// Everything handed over so far is complete up to (not including) this row.
    fn commit(&mut self, rows: usize) -> Result<(), SinkError>;
    /// What a part is joined with the others by; only from runs of a part.
    fn part(&mut self, _record: PartRecord<'_>) -> Result<(), SinkError> {
        Ok(())
    }
    /// The exact state of the run, to resume from, in parts that follow one another. `false` from a sink that keeps none.
    fn checkpoint(&mut self, state: &[&[u8]]) -> Result<bool, SinkError>;
    /// The end. Returns the bytes of the finished file.
    fn finish(&mut self, outcome: &Outcome) -> Result<u64, SinkError>;
}

/// Takes everything and keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn write_trace(
        &mut self,
        _: usize,
        _: (usize, usize),
        _: Samples<'_>,
    ) -> Result<(), SinkError> {
        Ok(())
    }
    fn write_rows(&mut self, _: usize, _: usize, _: Samples<'_>) -> Result<(), SinkError> {
        Ok(())
    }
    fn write_events(&mut self, _: &[SpikeEvent]) -> Result<(), SinkError> {
        Ok(())
    }
    fn commit(&mut self, _: usize) -> Result<(), SinkError> {
        Ok(())
    }
    fn checkpoint(&mut self, _: &[&[u8]]) -> Result<bool, SinkError> {
        Ok(false)
    }
    fn finish(&mut self, _: &Outcome) -> Result<u64, SinkError> {
        Ok(0)
    }
}
