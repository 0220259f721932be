//! Reading a result file back: whole, running, interrupted or killed.
//!
//! Everything is checked when the file is opened: its structure by checksums, every dataset's extent against the file's length. So
//! no reading allocates more than the file has bytes, and a truncated, foreign or damaged file is an error that says so. Files
//! that other tools wrote anew (compressed, repacked) are refused too; what [`super::compress`] made is read.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::attributes::Found;
use super::checkpoint::{Checkpoint, cut_off, newest};
use super::offsets::{self, Map, Place};
use super::part;
use super::skeleton::RUN_STATUS;
use super::{StoreError, beyond, disk, events};
use crate::run::sink::{
    Agreement, Attribute, Column, FeatureDifference, FibreStatus, Layout, Precision, Rerun,
    SpikeEvent, Traces,
};

/// What a result file says of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStatus {
    /// It is running, or was killed.
    Running,
    /// It reached its end.
    Complete,
    /// It was interrupted and said so.
    Interrupted,
}

impl RunStatus {
    /// As the file spells it.
    pub fn name(self) -> &'static str {
        RUN_STATUS[self as usize]
    }
}

/// A result file, open for reading.
#[derive(Debug)]
pub struct ResultReader {
    file: File,
    pub(super) path: PathBuf,
    pub(super) map: Map,
    status: RunStatus,
    /// Whole rows, whole events.
    pub(super) committed: (u64, u64),
    /// The last chunk that was unpacked: its address, its bytes.
    last: Mutex<(u64, Vec<u8>)>,
}

/// Opens a result file.
pub fn open(path: &Path) -> Result<ResultReader, StoreError> {
    let file = File::open(path).map_err(StoreError::io("cannot open", path))?;
    let map = offsets::map(&file, path)?;
    let mut reader = ResultReader {
        file,
        path: path.to_path_buf(),
        map,
        status: RunStatus::Running,
        committed: (0, 0),
        last: Mutex::default(),
    };
    if reader.text("sarcolemma_version").is_none() {
        return Err(reader.wrong("it was not written by sarcolemma"));
    }
    reader.status = match reader.text("status") {
        Some("running") => RunStatus::Running,
        Some("complete") => RunStatus::Complete,
        Some("interrupted") => RunStatus::Interrupted,
        other => return Err(reader.wrong(format!("its status is {other:?}"))),
    };
    for name in [
        "fibre",
        "status",
        "lost_at",
        "lost_variable",
        "checkpoint/committed",
        "checkpoint/slots",
    ] {
        reader.place(name)?;
    }
    let fibres = reader.place("fibre")?.len();
    for (name, place) in reader
        .map
        .places
        .iter()
        .filter(|(name, _)| !name.contains('/'))
    {
        let expected: &[u64] = match reader.role(name) {
            Some("trace") => &[reader.n_rows(), reader.n_traces()],
            Some(_) => &[fibres],
            None if ["status", "lost_at", "lost_variable"].contains(&name.as_str()) => &[fibres],
            None => continue,
        };
        if place.dims != expected {
            return Err(reader.wrong(format!(
                "`{name}` has the shape {:?} where {expected:?} belongs",
                place.dims
            )));
        }
    }
    let &[rows, events] = reader.words("checkpoint/committed")?.as_slice() else {
        return Err(reader.wrong("its commit record is broken"));
    };
    if rows > reader.n_rows() {
        return Err(reader.wrong(format!(
            "it claims {rows} whole rows of {}",
            reader.n_rows()
        )));
    }
    reader.committed = (rows, events);
    Ok(reader)
}

/// Element types of stored numbers.
pub(super) trait Stored: bytemuck::Pod {}
impl Stored for u8 {}
impl Stored for i16 {}
impl Stored for i64 {}
impl Stored for u64 {}
impl Stored for f32 {}
impl Stored for f64 {}

impl ResultReader {
    pub(super) fn wrong(&self, why: impl Into<String>) -> StoreError {
        StoreError::format(&self.path, why)
    }

    fn place(&self, name: &str) -> Result<&Place, StoreError> {
        self.map.get(name).ok_or_else(|| StoreError::Missing {
            path: self.path.clone(),
            what: format!("variable `{name}`"),
        })
    }

    fn attribute(&self, path: &str, name: &str) -> Option<&Found> {
        self.map
            .attributes
            .get(path)?
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, found)| found)
    }

    fn text_of(&self, path: &str, name: &str) -> Option<&str> {
        match self.attribute(path, name) {
            Some(Found::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn role(&self, name: &str) -> Option<&str> {
        self.text_of(name, "role")
    }

    /// Numbers `range` of a dataset that lies in one piece.
    fn numbers<T: Stored>(&self, name: &str, range: Range<u64>) -> Result<Vec<T>, StoreError> {
        let place = self.place(name)?;
        if place.bytes != size_of::<T>() as u64 || place.chunk.is_some() || range.end > place.len()
        {
            return Err(self.wrong(format!(
                "`{name}` is not of the type and shape that it should be"
            )));
        }
        let length = range.end.saturating_sub(range.start) as usize;
        let mut values = vec![T::zeroed(); length];
        if let (Some(at), true) = (place.at, length > 0) {
            let at = at + range.start * place.bytes;
            self.read(at, bytemuck::cast_slice_mut(&mut values))?;
        }
        Ok(values)
    }

    pub(super) fn all<T: Stored>(&self, name: &str) -> Result<Vec<T>, StoreError> {
        self.numbers(name, 0..self.place(name)?.len())
    }

    fn words(&self, name: &str) -> Result<Vec<u64>, StoreError> {
        self.all(name)
    }

    pub(super) fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), StoreError> {
        disk::read_at(&self.file, at, bytes).map_err(StoreError::io("cannot read", &self.path))
    }

    /// Reads bytes of a dataset's storage, at an address as if it were not compressed. They lie within one chunk.
    pub(super) fn read_of(
        &self,
        place: &Place,
        at: u64,
        bytes: &mut [u8],
    ) -> Result<(), StoreError> {
        let (Some(packed), Some([rows, columns])) = (&place.packed, place.chunk) else {
            return self.read(at, bytes);
        };
        let size = rows * columns * place.bytes;
        let offset = at - place.at.unwrap_or(0);
        let damaged = || self.wrong("a compressed chunk is damaged");
        let (number, within) = (offset / size, (offset % size) as usize);
        let chunk = packed.chunks.get(number as usize).ok_or_else(damaged)?;
        let mut last = self.last.lock().unwrap_or_else(|e| e.into_inner());
        if last.0 != chunk.0 {
            let mut stored = vec![0; chunk.1 as usize];
            self.read(chunk.0, &mut stored)?;
            *last = (
                chunk.0,
                packed.unpack(&stored, size as usize).ok_or_else(damaged)?,
            );
        }
        let from = last.1.get(within..within + bytes.len());
        bytes.copy_from_slice(from.ok_or_else(damaged)?);
        Ok(())
    }

    fn named(&self, role: &str) -> impl Iterator<Item = &String> {
        self.map
            .order
            .iter()
            .filter(move |name| self.role(name) == Some(role))
    }

    fn columns(&self, role: &str) -> Vec<Column> {
        self.named(role)
            .map(|name| Column {
                name: name.clone(),
                units: self.text_of(name, "units").unwrap_or("1").to_string(),
                long_name: self
                    .text_of(name, "long_name")
                    .unwrap_or_default()
                    .to_string(),
                cell_methods: self.text_of(name, "cell_methods").map(str::to_string),
            })
            .collect()
    }

    fn words_of(&self, path: &str, attribute: &str) -> Vec<String> {
        self.text_of(path, attribute)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_string)
            .collect()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All root attributes that are a text or a number, in the file's order.
    pub fn attributes(&self) -> Vec<(String, Attribute)> {
        let found = self.map.attributes.get("").map_or(&[][..], Vec::as_slice);
        let value = |found: &Found| match found {
            Found::Text(text) => Some(Attribute::Text(text.clone())),
            Found::Integers(numbers) => Some(Attribute::Integer(*numbers.first()?)),
            Found::Real(number) => Some(Attribute::Real(*number)),
            Found::Other => None,
        };
        found
            .iter()
            .filter_map(|(name, found)| Some((name.clone(), value(found)?)))
            .collect()
    }

    /// A root attribute's text: `study`, `model`, `backend`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.text_of("", name)
    }

    /// A root attribute's number.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.attribute("", name)? {
            Found::Integers(numbers) => numbers.first().map(|&n| n as f64),
            Found::Real(number) => Some(*number),
            _ => None,
        }
    }

    /// What the file says of its run.
    pub fn run_status(&self) -> RunStatus {
        self.status
    }

    /// The build of the program that computed it, where the file names one.
    pub fn build(&self) -> Option<&str> {
        self.text(super::BUILD_ATTRIBUTE)
    }

    /// Number of fibres.
    pub fn n_fibres(&self) -> usize {
        self.map.get("fibre").map_or(0, |p| p.len() as usize)
    }

    pub(super) fn n_rows(&self) -> u64 {
        self.map.get("time").map_or(0, Place::len)
    }

    pub(super) fn n_traces(&self) -> u64 {
        self.map
            .get("trace")
            .or(self.map.get("fibre"))
            .map_or(0, Place::len)
    }

    /// Ids of all fibres.
    pub fn fibre_ids(&self) -> Result<Vec<u64>, StoreError> {
        Ok(self
            .all::<i64>("fibre")?
            .into_iter()
            .map(|id| id as u64)
            .collect())
    }

    /// Which fibres are recorded.
    pub fn traces(&self) -> Result<Traces, StoreError> {
        if self.map.get("trace").is_none() {
            return Ok(Traces::All);
        }
        Ok(Traces::Some(
            self.all::<i64>("trace")?
                .into_iter()
                .map(|id| id as u64)
                .collect(),
        ))
    }

    /// Times of the samples, ms: NaN where a row is not whole yet.
    pub fn time_ms(&self) -> Result<Vec<f64>, StoreError> {
        if self.map.get("time").is_none() {
            Ok(Vec::new())
        } else {
            self.all("time")
        }
    }

    /// Rows that are whole.
    pub fn committed_rows(&self) -> usize {
        self.committed.0 as usize
    }

    /// Events that are whole, in the file and beside it.
    pub fn committed_events(&self) -> u64 {
        self.committed.1
    }

    /// Precision of the traces.
    pub fn precision(&self) -> Precision {
        let wide = match self
            .named("trace")
            .next()
            .and_then(|name| self.map.get(name))
        {
            Some(place) => place.bytes == 8,
            None => self.text("precision") == Some("f64"),
        };
        if wide { Precision::F64 } else { Precision::F32 }
    }

    /// Recorded quantities.
    pub fn variables(&self) -> Vec<Column> {
        self.columns("trace")
    }

    /// Varied parameters.
    pub fn parameters(&self) -> Vec<Column> {
        self.columns("parameter")
    }

    /// Features.
    pub fn features(&self) -> Vec<Column> {
        self.columns("feature")
    }

    /// A varied parameter's values, one per fibre.
    pub fn parameter(&self, name: &str) -> Result<Vec<f64>, StoreError> {
        self.of_role(name, "parameter")
    }

    /// A feature's values, one per fibre; NaN where there is none.
    pub fn feature(&self, name: &str) -> Result<Vec<f64>, StoreError> {
        self.of_role(name, "feature")
    }

    fn of_role(&self, name: &str, role: &str) -> Result<Vec<f64>, StoreError> {
        if self.role(name) == Some(role) {
            return self.all(name);
        }
        Err(StoreError::Missing {
            path: self.path.clone(),
            what: format!("{role} `{name}`"),
        })
    }

    /// How each fibre ended.
    pub fn status(&self) -> Result<Vec<FibreStatus>, StoreError> {
        let codes: Vec<u8> = self.all("status")?;
        let times: Vec<f64> = self.all("lost_at")?;
        let variables: Vec<i16> = self.all("lost_variable")?;
        let each = codes.iter().zip(&times).zip(&variables);
        each.map(
            |((&code, &at_ms), &variable)| match (code, usize::try_from(variable)) {
                (0, _) => Ok(FibreStatus::Finished),
                (1, Ok(variable)) => Ok(FibreStatus::Lost { at_ms, variable }),
                (2, _) => Ok(FibreStatus::Stopped),
                _ => Err(self.wrong(format!("a fibre has the status {code}"))),
            },
        )
        .collect()
    }

    /// All whole events, in the file's order.
    pub fn events(&self) -> Result<Vec<SpikeEvent>, StoreError> {
        let Some(places) = events::EventPlaces::of(&self.map) else {
            return Ok(Vec::new());
        };
        let room = places.room();
        let wanted = if self.status == RunStatus::Complete {
            room
        } else {
            self.committed.1
        };
        let inside = wanted.min(room);
        let mut all = self.events_between(0..inside)?;
        if wanted > room {
            let beyond = events::read_side(&events::side_path(&self.path), room)?;
            if (beyond.len() as u64) < wanted - room {
                let side = events::side_path(&self.path);
                return Err(StoreError::format(
                    &side,
                    "it does not hold all events of the result beside it",
                ));
            }
            all.extend(beyond.into_iter().take((wanted - room) as usize));
        }
        Ok(all)
    }

    /// Number of events of a complete file.
    pub fn n_events(&self) -> u64 {
        events::EventPlaces::of(&self.map).map_or(0, |places| places.room())
    }

    /// Some events of a complete file, in the file's order.
    ///
    /// # Errors
    /// If there are not so many, or they cannot be read.
    pub fn events_between(&self, range: Range<u64>) -> Result<Vec<SpikeEvent>, StoreError> {
        let Some(places) = events::EventPlaces::of(&self.map).filter(|_| !range.is_empty()) else {
            return Ok(Vec::new());
        };
        let times: Vec<f64> = self.numbers("events/spike_time", range.clone())?;
        let fibres: Vec<i64> = self.numbers("events/spike_fibre", range.clone())?;
        let features: Vec<u8> = match places.feature {
            Some(_) => self.numbers("events/spike_feature", range)?,
            None => vec![0; times.len()],
        };
        let each = times.into_iter().zip(fibres).zip(features);
        Ok(each
            .map(|((time_ms, fibre), feature)| SpikeEvent {
                time_ms,
                fibre: fibre as u64,
                feature,
            })
            .collect())
    }

    /// Names of the features that have events, in the order of [`SpikeEvent::feature`].
    pub fn event_features(&self) -> Vec<String> {
        self.words_of("events/spike_time", "features")
    }

    /// Agreement with the reference, where the run was compared with one.
    pub fn agreement(&self) -> Result<Option<Agreement>, StoreError> {
        let Some(reruns) = self.reruns()? else {
            return Ok(None);
        };
        let optional = |name: &str| {
            if self.map.get(name).is_some() {
                self.all(name)
            } else {
                Ok(Vec::new())
            }
        };
        let max: Vec<f64> = optional("agreement/max_difference")?;
        let rms: Vec<f64> = optional("agreement/rms_difference")?;
        let largest: Vec<f64> = optional("agreement/feature_difference")?;
        let drawn: Vec<f64> = optional("agreement/drawn_feature_difference")?;
        let one = |name: &str| -> Result<f64, StoreError> {
            Ok(optional(name)?.first().copied().unwrap_or(f64::NAN))
        };
        Ok(Some(Agreement {
            reruns,
            variables: self
                .variables()
                .into_iter()
                .zip(max.into_iter().zip(rms))
                .map(|(c, (m, r))| (c.name, m, r))
                .collect(),
            features: self
                .features()
                .into_iter()
                .zip(largest.into_iter().zip(drawn))
                .map(|(c, (largest, drawn))| FeatureDifference {
                    name: c.name,
                    largest,
                    drawn,
                })
                .collect(),
            spike_shift_ms: one("agreement/spike_shift")?,
            shift_before_parting_ms: one("agreement/spike_shift_before_parting")?,
        }))
    }

    /// The fibres that were run again; `None` if there are none, or the file is older than what it tells of them.
    fn reruns(&self) -> Result<Option<Vec<Rerun>>, StoreError> {
        if self.map.get("agreement/near_threshold").is_none() {
            return Ok(None);
        }
        let fibre: Vec<i64> = self.all("agreement/rerun_fibre")?;
        let near: Vec<u8> = self.all("agreement/near_threshold")?;
        let differs: Vec<u8> = self.all("agreement/spike_count_differs")?;
        let spikes: Vec<i64> = self.all("agreement/spike_count")?;
        let reference: Vec<i64> = self.all("agreement/reference_spike_count")?;
        let shift: Vec<f64> = self.all("agreement/spike_shift_of_fibre")?;
        let parts: Vec<f64> = self.all("agreement/parts_at")?;
        let columns = [
            near.len(),
            differs.len(),
            spikes.len(),
            reference.len(),
            shift.len(),
            parts.len(),
        ];
        let n = columns.into_iter().fold(fibre.len(), usize::min);
        let count = |x: i64| u64::try_from(x).unwrap_or(0);
        let reruns: Vec<Rerun> = (0..n)
            .filter(|&i| fibre[i] >= 0)
            .map(|i| Rerun {
                fibre: count(fibre[i]),
                near_threshold: near[i] != 0,
                spikes: count(spikes[i]),
                reference_spikes: count(reference[i]),
                count_differs: differs[i] != 0,
                spike_shift_ms: shift[i],
                parts_at_ms: parts[i],
            })
            .collect();
        Ok((!reruns.is_empty()).then_some(reruns))
    }

    /// The newest whole checkpoint, if one was ever taken.
    pub fn latest_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.latest_slot()?.map(|(_, checkpoint)| checkpoint))
    }

    pub(super) fn latest_slot(&self) -> Result<Option<(usize, Checkpoint)>, StoreError> {
        let room = self.map.get("checkpoint/slot_a").map_or(0, Place::len);
        let words = self.words("checkpoint/slots")?;
        let beyond = [0, 1].map(|slot| beyond::length(&self.path, slot));
        let most_bytes = room.saturating_add(beyond[0].max(beyond[1]));
        let found = newest(&words, most_bytes, |slot, length| {
            let inside = length.min(room);
            let mut state = match inside {
                0 => Vec::new(),
                n => self.numbers(["checkpoint/slot_a", "checkpoint/slot_b"][slot], 0..n)?,
            };
            if length > inside {
                state.extend(beyond::read(&self.path, slot, length - inside)?);
            }
            Ok(state)
        })?;
        match found {
            None => match cut_off(&words, room).find(|&slot| beyond[slot] == 0) {
                // Its name was on the disk first: somebody has taken it away, and all would begin again.
                Some(slot) => Err(StoreError::format(
                    &beyond::path(&self.path, slot),
                    "it is missing or empty, and the result's checkpoint goes on in it",
                )),
                None => Ok(None),
            },
            Some((_, checkpoint)) if checkpoint.rows as u64 > self.n_rows() => {
                Err(self.wrong("its checkpoint lies beyond its end"))
            }
            found => Ok(found),
        }
    }

    /// The layout that the file was made from; its attributes are those that were given, and after the end the room for
    /// events is their number.
    pub fn layout(&self) -> Result<Layout, StoreError> {
        const OWN: [&str; 8] = [
            "Conventions",
            "source",
            "sarcolemma_version",
            super::BUILD_ATTRIBUTE,
            "created",
            "history",
            "status",
            "n_lost",
        ];
        let mut parameters = Vec::new();
        for column in self.parameters() {
            let values = self.parameter(&column.name)?;
            parameters.push((column, values));
        }
        let planned = "checkpoint/planned_time";
        let time_ms: Vec<f64> = if self.map.get(planned).is_some() {
            self.all(planned)?
        } else {
            Vec::new()
        };
        if time_ms.len() as u64 != self.n_rows() {
            return Err(self.wrong("its planned times are not those of its rows"));
        }
        let rows_per_slab = match self.attribute("checkpoint/committed", "rows_per_slab") {
            Some(Found::Integers(n)) => n
                .first()
                .and_then(|&n| usize::try_from(n).ok())
                .unwrap_or(1),
            _ => 1,
        };
        let is_whole = self.part().is_none();
        let first_fibre = self.numbers::<i64>("fibre", 0..1.min(self.n_fibres() as u64))?;
        Ok(Layout {
            n_fibres: self.n_fibres(),
            first_fibre: first_fibre.first().map_or(0, |&id| id as u64),
            traces: self.traces()?,
            time_ms,
            rows_per_slab,
            precision: self.precision(),
            variables: self.variables(),
            parameters,
            features: self.features(),
            event_features: self.event_features(),
            event_capacity: events::EventPlaces::of(&self.map).map_or(0, |p| p.room() as usize),
            state_names: self
                .words_of("lost_variable", "flag_meanings")
                .into_iter()
                .skip(1)
                .collect(),
            checkpoint_bytes: self
                .map
                .get("checkpoint/slot_a")
                .map_or(0, |p| p.len() as usize),
            part: self.part(),
            attributes: self
                .attributes()
                .into_iter()
                .filter(|(name, _)| !OWN.contains(&name.as_str()))
                .filter(|(name, _)| is_whole || !part::NAMES.contains(&name.as_str()))
                .collect(),
        })
    }
}
