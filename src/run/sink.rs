//! What a run hands over, and to whom. The driver knows a [`Sink`]; [`crate::store`] implements one as a file.
//!
//! Order of calls: the sink is made from a [`Layout`]; then, slab after slab, [`Sink::write_rows`] for every variable,
//! [`Sink::write_events`], [`Sink::commit`], now and then [`Sink::checkpoint`]; at the end one [`Sink::finish`].

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
    /// Bytes of one checkpoint, at most.
    pub checkpoint_bytes: usize,
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

/// Difference between the run and the reference for one recorded variable or one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Ids of the fibres that were run again.
    pub fibres: Vec<u64>,
    /// Per variable: name, largest difference and RMS difference, both divided by the variable's range in the reference.
    pub variables: Vec<(String, f64, f64)>,
    /// Per feature: name and largest absolute difference, in the feature's unit.
    pub features: Vec<(String, f64)>,
    /// Largest shift of a spike time, ms; NaN where no fibre spiked.
    pub spike_shift_ms: f64,
    /// Fibres whose number of spikes differs.
    pub spike_count_differs: Vec<u64>,
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
    /// Events, in any order.
    fn write_events(&mut self, events: &[SpikeEvent]) -> Result<(), SinkError>;
    /// Everything handed over so far is complete up to (not including) this row.
    fn commit(&mut self, rows: usize) -> Result<(), SinkError>;
    /// The exact state of the run, to resume from.
    fn checkpoint(&mut self, state: &[u8]) -> Result<(), SinkError>;
    /// The end. Returns the bytes of the finished file.
    fn finish(&mut self, outcome: &Outcome) -> Result<u64, SinkError>;
}

/// Takes everything and keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn write_rows(&mut self, _: usize, _: usize, _: Samples<'_>) -> Result<(), SinkError> {
        Ok(())
    }
    fn write_events(&mut self, _: &[SpikeEvent]) -> Result<(), SinkError> {
        Ok(())
    }
    fn commit(&mut self, _: usize) -> Result<(), SinkError> {
        Ok(())
    }
    fn checkpoint(&mut self, _: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }
    fn finish(&mut self, _: &Outcome) -> Result<u64, SinkError> {
        Ok(0)
    }
}
