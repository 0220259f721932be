//! Writing a result file: rows, events, commits and checkpoints at known places, without an HDF5 library in the way.
//!
//! From the first row to the last nothing but numbers is written: no byte of the file's HDF5 structure changes, so any reader
//! opens the file while it grows, and a killed process leaves nothing torn. What is handed over is acknowledged in steps: data, sync, `time`, sync, the
//! record of whole rows. So whatever the file says is whole is on the disk, after a power cut too. Syncs are thinned to a twentieth of the
//! time, and to one in three seconds where that is less often; a checkpoint is always synced, with all before it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::StoreError;
use super::beyond::Beyond;
use super::checkpoint::{Checkpoint, Head};
use super::chunks;
use super::create::{self, CreateOptions};
use super::disk::{Disk, Watch};
use super::events::{EventPlaces, Events};
use super::lock;
use super::offsets::{self, Map, Place};
use super::reader::{self, RunStatus};
use crate::run::sink::{
    Layout, Outcome, PartRecord, Precision, Samples, Sink, SinkError, SpikeEvent, Traces,
};

/// Longest time that committed rows wait to be acknowledged.
const SYNC_EVERY: Duration = Duration::from_secs(3);
/// Rows wait so many times as long as the last syncs took.
const REST: u32 = 20;

/// A result file that is being written.
#[derive(Debug)]
pub struct ResultFile {
    pub(super) file: Disk,
    pub(super) path: PathBuf,
    pub(super) map: Map,
    pub(super) names: Names,
    pub(super) events: Events,
    /// Times of all samples of the whole run.
    time_ms: Vec<f64>,
    n_traces: u64,
    precision: Precision,
    /// Rows that were handed over, and those of them that the file says are whole.
    committed: u64,
    acknowledged: u64,
    /// The newest checkpoint's slot and sequence number.
    newest: (usize, u64),
    /// What checkpoints have beyond their slots.
    beyond: Beyond,
    /// What the commit record and `/events` still say beyond the point of resumption, until the first write.
    stale: Option<(u64, u64)>,
    last_sync: Instant,
    /// How long rows wait to be acknowledged.
    wait: Duration,
    block: Vec<u8>,
}

/// The names of the layout that writing needs.
#[derive(Debug)]
pub(super) struct Names {
    pub variables: Vec<String>,
    pub features: Vec<String>,
    pub n_fibres: usize,
    pub n_states: usize,
}

fn missing(path: &Path, what: &str) -> StoreError {
    StoreError::Missing {
        path: path.to_path_buf(),
        what: what.to_string(),
    }
}

impl ResultFile {
    /// Makes the whole file at its final size, checks it, reserves its room on the disk, and puts it under its name.
    pub fn create(
        path: &Path,
        layout: &Layout,
        options: CreateOptions,
    ) -> Result<Self, StoreError> {
        Self::create_watched(path, layout, options, None)
    }

    /// The same with somebody who is told of every change.
    pub fn create_watched(
        path: &Path,
        layout: &Layout,
        options: CreateOptions,
        watch: Option<Arc<dyn Watch>>,
    ) -> Result<Self, StoreError> {
        let (file, map) = create::create(path, layout, options, watch)?;
        Ok(Self::assemble(file, path, map, layout, 0, 0))
    }

    /// Opens an interrupted file to go on from its newest checkpoint, which is returned with it, or from the start where
    /// there is none. The file stays as it is until the first write.
    pub fn reopen(path: &Path) -> Result<(Self, Option<Checkpoint>), StoreError> {
        Self::reopen_watched(path, None)
    }

    /// The same with somebody who is told of every change.
    pub fn reopen_watched(
        path: &Path,
        watch: Option<Arc<dyn Watch>>,
    ) -> Result<(Self, Option<Checkpoint>), StoreError> {
        let read = reader::open(path)?;
        if read.run_status() == RunStatus::Complete {
            return Err(StoreError::Complete(path.to_path_buf()));
        }
        let layout = read.layout()?;
        let newest = read.latest_slot()?;
        let had = (read.committed_rows() as u64, read.committed_events());
        drop(read);
        let file = Disk::new(lock::open(path)?, path, watch);
        let map = offsets::map(&file, path)?;
        let (rows, events) = newest
            .as_ref()
            .map_or((0, 0), |(_, c)| (c.rows as u64, c.events));
        let mut this = Self::assemble(file, path, map, &layout, rows, events);
        this.newest = newest
            .as_ref()
            .map_or((1, 0), |(slot, c)| (*slot, c.sequence));
        this.stale = Some(had);
        Ok((this, newest.map(|(_, checkpoint)| checkpoint)))
    }

    fn assemble(
        file: Disk,
        path: &Path,
        map: Map,
        layout: &Layout,
        committed: u64,
        events: u64,
    ) -> Self {
        let events = Events::new(path, EventPlaces::of(&map), events);
        let name = |c: &crate::run::sink::Column| c.name.clone();
        ResultFile {
            file,
            path: path.to_path_buf(),
            map,
            names: Names {
                variables: layout.variables.iter().map(name).collect(),
                features: layout.features.iter().map(name).collect(),
                n_fibres: layout.n_fibres,
                n_states: layout.state_names.len(),
            },
            events,
            time_ms: layout.time_ms.clone(),
            n_traces: match &layout.traces {
                Traces::All => layout.n_fibres as u64,
                Traces::Some(ids) => ids.len() as u64,
            },
            precision: layout.precision,
            committed,
            acknowledged: committed,
            newest: (1, 0),
            beyond: Beyond::new(path),
            stale: None,
            last_sync: Instant::now(),
            wait: Duration::ZERO,
            block: Vec::new(),
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows that were handed over whole.
    pub fn committed_rows(&self) -> usize {
        self.committed as usize
    }

    pub(super) fn place(&self, path: &str) -> Result<&Place, StoreError> {
        self.map
            .get(path)
            .ok_or_else(|| missing(&self.path, &format!("`{path}`")))
    }

    /// Writes `bytes` into a dataset, from its `first`-th number on.
    pub(super) fn put(&self, path: &str, first: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let place = self.place(path)?;
        let room = place.len().checked_sub(first).map(|n| n * place.bytes);
        let (Some(at), true) = (
            place.at,
            room.is_some_and(|room| bytes.len() as u64 <= room),
        ) else {
            return Err(StoreError::BadLayout(format!(
                "{} bytes at {first} do not fit into `{path}`",
                bytes.len()
            )));
        };
        self.file
            .write_at(at + first * place.bytes, bytes)
            .map_err(StoreError::io("cannot write", &self.path))
    }

    /// Puts everything written so far onto the disk.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.events.sync()?;
        self.file
            .sync()
            .map_err(StoreError::io("cannot write", &self.path))
    }

    fn record(&self, rows: u64, events: u64) -> Result<(), StoreError> {
        let mut bytes = rows.to_le_bytes().to_vec();
        bytes.extend_from_slice(&events.to_le_bytes());
        self.put("checkpoint/committed", 0, &bytes)
    }

    /// Before the first write after a reopening: takes back what lies beyond the point of resumption.
    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        let Some((rows, events)) = self.stale.take() else {
            return Ok(());
        };
        if rows < self.committed {
            // A power cut took what was said last.
            self.put_times(rows)?;
            self.sync()?;
        }
        self.record(self.committed, self.events.written())?;
        self.sync()?;
        let later = self.time_ms.len() - self.committed as usize;
        if later > 0 {
            self.put(
                "time",
                self.committed,
                &f64::NAN.to_le_bytes().repeat(later),
            )?;
        }
        let (file, path) = (&self.file, &self.path);
        self.events.roll_back(file, path, events)?;
        offsets::set_status(file, path, self.map.root, 0, None)?;
        self.sync()
    }

    fn write_slab(
        &mut self,
        variable: usize,
        first: usize,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let name = self.names.variables.get(variable);
        let name = name
            .ok_or_else(|| missing(&self.path, &format!("recorded variable number {variable}")))?;
        let place = self.place(name)?.clone();
        let width = self.n_traces * place.bytes;
        let rows = (bytes.len() as u64).checked_div(width).unwrap_or(0);
        let first = first as u64;
        let total = self.time_ms.len() as u64;
        if rows * width != bytes.len() as u64
            || first.checked_add(rows).is_none_or(|end| end > total)
        {
            return Err(StoreError::BadLayout(format!(
                "{} bytes from row {first} are not whole rows of {} traces below row {total}",
                bytes.len(),
                self.n_traces
            )));
        }
        let io = || StoreError::io("cannot write", &self.path);
        let at = place.at.unwrap_or(0);
        let Some(chunk) = place.chunk else {
            return self.file.write_at(at + first * width, bytes).map_err(io());
        };
        let mut block = std::mem::take(&mut self.block);
        for piece in chunks::pieces([total, self.n_traces], chunk, first, rows) {
            let source = |row: u64| {
                let start =
                    ((piece.row - first + row) * width + piece.column * place.bytes) as usize;
                &bytes[start..start + (piece.columns * place.bytes) as usize]
            };
            let to = at + piece.at * place.bytes;
            let stride = (piece.stride * place.bytes) as usize;
            // A chunk as wide as the slab lies in the slab as it is.
            let whole = piece.columns == self.n_traces && piece.stride == self.n_traces;
            if whole {
                let start = ((piece.row - first) * width) as usize;
                let part = &bytes[start..start + (piece.rows * width) as usize];
                self.file.write_at(to, part).map_err(io())?;
                continue;
            }
            block.resize(piece.rows as usize * stride, 0);
            for (row, target) in block.chunks_exact_mut(stride).enumerate() {
                let source = source(row as u64);
                target[..source.len()].copy_from_slice(source);
                target[source.len()..].fill(0);
            }
            self.file.write_at(to, &block).map_err(io())?;
        }
        self.block = block;
        Ok(())
    }

    /// Writes a column of a variable, from the first row on.
    fn write_column(
        &mut self,
        variable: usize,
        column: usize,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let name = self.names.variables.get(variable);
        let name = name
            .ok_or_else(|| missing(&self.path, &format!("recorded variable number {variable}")))?;
        let place = self.place(name)?;
        let (total, column) = (self.time_ms.len() as u64, column as u64);
        if bytes.len() as u64 != total * place.bytes || column >= self.n_traces {
            return Err(StoreError::BadLayout(format!(
                "{} bytes are not the {total} rows of trace {column} of {}",
                bytes.len(),
                self.n_traces
            )));
        }
        let dims = [total, self.n_traces];
        for piece in chunks::pieces(dims, place.chunk.unwrap_or(dims), 0, total) {
            if !(piece.column..piece.column + piece.columns).contains(&column) {
                continue;
            }
            let first = piece.at + column - piece.column;
            for row in 0..piece.rows {
                let from = ((piece.row + row) * place.bytes) as usize;
                let value = &bytes[from..from + place.bytes as usize];
                let at = place.at.unwrap_or(0) + (first + row * piece.stride) * place.bytes;
                self.file
                    .write_at(at, value)
                    .map_err(StoreError::io("cannot write", &self.path))?;
            }
        }
        Ok(())
    }

    fn commit_rows(&mut self, rows: usize) -> Result<(), StoreError> {
        self.begin()?;
        let rows = rows as u64;
        if rows > self.time_ms.len() as u64 || rows < self.committed {
            return Err(StoreError::BadLayout(format!(
                "{rows} rows cannot be committed: {} are, of {}",
                self.committed,
                self.time_ms.len()
            )));
        }
        self.events.flush(&self.file, &self.path)?;
        self.committed = rows;
        if self.last_sync.elapsed() >= self.wait {
            self.acknowledge()?;
        }
        Ok(())
    }

    /// Writes the times of the rows from `first` to the last that was handed over.
    fn put_times(&self, first: u64) -> Result<(), StoreError> {
        if first == self.committed {
            return Ok(());
        }
        let times = &self.time_ms[first as usize..self.committed as usize];
        self.put("time", first, bytemuck::cast_slice(times))
    }

    /// Puts what was handed over onto the disk, and then says in the file that it is whole.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn acknowledge(&mut self) -> Result<(), StoreError> {
        self.begin()?;
        let started = Instant::now();
        self.events.flush(&self.file, &self.path)?;
        self.sync()?;
        if self.acknowledged < self.committed {
            self.put_times(self.acknowledged)?;
            self.sync()?;
        }
        self.record(self.committed, self.events.written())?;
        self.acknowledged = self.committed;
        self.last_sync = Instant::now();
        self.wait = (started.elapsed() * REST).min(SYNC_EVERY);
        Ok(())
    }

    fn take_checkpoint(&mut self, state: &[&[u8]]) -> Result<bool, StoreError> {
        self.begin()?;
        let (slot, sequence) = (1 - self.newest.0, self.newest.1 + 1);
        let name = ["checkpoint/slot_a", "checkpoint/slot_b"][slot];
        let room = self.map.get(name).map_or(0, Place::len);
        if room == 0 {
            return Ok(false);
        }
        let (mut at, mut rest) = (0, Vec::new());
        for part in state.iter().filter(|part| !part.is_empty()) {
            let inside = (room - at).min(part.len() as u64);
            let (inside, outside) = part.split_at(inside as usize);
            self.put(name, at, inside)?;
            at += inside.len() as u64;
            rest.extend((!outside.is_empty()).then_some(outside));
        }
        if !rest.is_empty() {
            self.beyond.write(&self.file, slot, &rest)?;
        }
        self.acknowledge()?;
        let head = Head::of(sequence, self.committed, self.events.written(), state);
        self.put(
            "checkpoint/slots",
            slot as u64 * super::netcdf::SLOT_WORDS,
            &head.encode(),
        )?;
        self.sync()?;
        self.newest = (slot, sequence);
        Ok(true)
    }
}

impl Sink for ResultFile {
    fn write_rows(
        &mut self,
        variable: usize,
        first_row: usize,
        rows: Samples<'_>,
    ) -> Result<(), SinkError> {
        self.begin()?;
        let bytes = self.of_precision(rows)?;
        Ok(self.write_slab(variable, first_row, bytes)?)
    }

    fn write_trace(
        &mut self,
        variable: usize,
        (trace, _): (usize, usize),
        rows: Samples<'_>,
    ) -> Result<(), SinkError> {
        self.begin()?;
        let bytes = self.of_precision(rows)?;
        Ok(self.write_column(variable, trace, bytes)?)
    }

    fn write_events(&mut self, events: &[SpikeEvent]) -> Result<(), SinkError> {
        self.begin()?;
        Ok(self.events.push(&self.file, &self.path, events)?)
    }

    fn commit(&mut self, rows: usize) -> Result<(), SinkError> {
        Ok(self.commit_rows(rows)?)
    }

    fn part(&mut self, record: PartRecord<'_>) -> Result<(), SinkError> {
        Ok(self.write_part(record)?)
    }

    fn checkpoint(&mut self, state: &[&[u8]]) -> Result<bool, SinkError> {
        Ok(self.take_checkpoint(state)?)
    }

    fn finish(&mut self, outcome: &Outcome) -> Result<u64, SinkError> {
        Ok(self.write_outcome(outcome)?)
    }
}

impl ResultFile {
    /// The bytes of numbers that are of the file's precision.
    fn of_precision<'r>(&self, rows: Samples<'r>) -> Result<&'r [u8], SinkError> {
        let (precision, bytes) = match rows {
            Samples::F32(values) => (Precision::F32, bytemuck::cast_slice(values)),
            Samples::F64(values) => (Precision::F64, bytemuck::cast_slice(values)),
        };
        if precision == self.precision {
            return Ok(bytes);
        }
        let (got, wanted) = (precision.name(), self.precision.name());
        Err(SinkError::Format(format!(
            "rows of {got} for a file of {wanted}"
        )))
    }

    fn write_outcome(&mut self, outcome: &Outcome) -> Result<u64, StoreError> {
        self.acknowledge()?;
        super::finish::write(self, outcome)?;
        if !outcome.interrupted {
            let (file, path) = (&self.file, &self.path);
            self.events.settle(file, path)?;
        }
        self.sync()?;
        super::finish::mark(self, outcome)?;
        self.sync()?;
        if !outcome.interrupted {
            self.events.remove_side()?;
            self.beyond.remove()?;
        }
        Ok(self
            .file
            .metadata()
            .map_err(StoreError::io("cannot read", &self.path))?
            .len())
    }
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        if self.acknowledged < self.committed {
            // Whoever stops here has told of what went wrong, if anything did.
            let _ = self.acknowledge();
        }
    }
}
