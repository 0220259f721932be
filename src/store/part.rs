//! What the file of one part of a population holds beside its results, so that the parts can be joined: the group `/shard`.

use super::StoreError;
use super::netcdf::{Dataset, Initial, Kind, Value};
use super::offsets::{Place, set_end, set_length};
use super::reader::ResultReader;
use super::writer::ResultFile;
use crate::run::sink::{Layout, Part, PartRecord};

/// Root attributes of a part.
pub(super) const INDEX: &str = "shard_index";
pub(super) const COUNT: &str = "shard_count";
pub(super) const POPULATION: &str = "population_fibres";

pub(super) const NAMES: [&str; 3] = [INDEX, COUNT, POPULATION];

const SLAB_EVENTS: &str = "shard/slab_events";
const TURNS: &str = "shard/turns";
const JUDGEMENT: &str = "shard/judgement";
const BYTES: &str = "shard/byte";

/// The group's datasets.
pub(super) fn datasets(layout: &Layout, list: &mut Vec<Dataset>) {
    let Some(part) = &layout.part else { return };
    let new =
        |name: &str, kind: Kind, long_name: &str| Dataset::new("shard", name, kind, "1", long_name);
    if !layout.event_features.is_empty() && part.slabs > 0 {
        let slab = [("slab", part.slabs as u64)];
        list.push(Dataset::dimension("shard", "slab", slab[0].1));
        list.push(
            new("slab_events", Kind::U64, "events of each slab of rows")
                .along(&slab)
                .holds(Initial::Repeat(vec![0; 8])),
        );
    }
    let turns = Part::LOOKS * part.candidates * layout.event_features.len();
    if turns > 0 {
        let turn = [("turn", turns as u64)];
        list.push(Dataset::dimension("shard", "turn", turn[0].1));
        list.push(
            new(
                "turns",
                Kind::F64,
                "how near candidates came to thresholds, look by look, candidate by candidate",
            )
            .along(&turn)
            .nan(),
        );
    }
    // How many bytes is known at the end; there is no dimension of none.
    let byte = [("byte", 1)];
    list.push(Dataset::dimension("shard", "byte", 1).resizable());
    list.push(
        new(
            "judgement",
            Kind::U8,
            "the reference's runs of judged fibres, for the program itself",
        )
        .along(&byte)
        .holds(Initial::Repeat(vec![0]))
        .resizable(),
    );
}

/// The attributes that say which part it is.
pub(super) fn attributes(layout: &Layout) -> Vec<(String, Value)> {
    let Some(part) = &layout.part else {
        return Vec::new();
    };
    let number = |name: &str, n: u64| (name.to_string(), Value::I64(n as i64));
    vec![
        number(INDEX, part.index),
        number(COUNT, part.of),
        number(POPULATION, part.population),
    ]
}

impl ResultFile {
    /// Writes what a part is joined with the others by.
    pub(super) fn write_part(&mut self, record: PartRecord<'_>) -> Result<(), StoreError> {
        self.begin()?;
        match record {
            PartRecord::Slab { slab, events } => {
                if self.map.get(SLAB_EVENTS).is_none() {
                    return Ok(());
                }
                self.put(SLAB_EVENTS, slab as u64, &(events as u64).to_le_bytes())
            }
            PartRecord::Turns { look, values } => {
                let room = self.map.get(TURNS).map_or(0, Place::len);
                // An engine that does not tell leaves them unknown.
                if values.is_empty() || room == 0 {
                    return Ok(());
                }
                let first = look as u64 * values.len() as u64;
                self.put(TURNS, first, bytemuck::cast_slice(values))
            }
            PartRecord::Judgement(bytes) => self.append_judgement(bytes),
        }
    }

    /// Puts bytes behind the file's end and lets the dataset point there.
    fn append_judgement(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let fault = |what| StoreError::io(what, &self.path);
        let place = self.place(JUDGEMENT)?.clone();
        let dimension = self.place(BYTES)?.clone();
        let length = self.file.metadata().map_err(fault("cannot read"))?.len();
        let at = length.next_multiple_of(8);
        let end = (at + bytes.len() as u64).next_multiple_of(8);
        self.file.reserve(end).map_err(fault("cannot lengthen"))?;
        self.file
            .write_at(at, bytes)
            .map_err(fault("cannot write"))?;
        self.file.sync().map_err(fault("cannot write"))?;
        set_end(&self.file, &self.path, end)?;
        self.file.sync().map_err(fault("cannot write"))?;
        let n = bytes.len() as u64;
        set_length(&self.file, &self.path, &place, n, Some(at))?;
        set_length(&self.file, &self.path, &dimension, n, None)
    }
}

impl ResultReader {
    /// Which part of a population the file holds; `None` for a whole one.
    pub fn part(&self) -> Option<Part> {
        let number = |name| self.number(name).filter(|n| *n >= 1.0).map(|n| n as u64);
        let (index, of) = (number(INDEX)?, number(COUNT)?);
        let n_features = self.event_features().len().max(1);
        let turns = self.map.get(TURNS).map_or(0, Place::len) as usize;
        Some(Part {
            index,
            of,
            population: number(POPULATION)?,
            slabs: self.map.get(SLAB_EVENTS).map_or(0, Place::len) as usize,
            candidates: turns / Part::LOOKS / n_features,
        })
        .filter(|part| part.index <= part.of && part.of <= part.population)
    }

    /// Events of each slab of a part.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn slab_events(&self) -> Result<Vec<u64>, StoreError> {
        match self.map.get(SLAB_EVENTS) {
            Some(_) => self.all(SLAB_EVENTS),
            None => Ok(Vec::new()),
        }
    }

    /// How near the candidates of a part have come to thresholds: look by look, candidate by candidate, feature by feature.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn turns(&self) -> Result<Vec<f64>, StoreError> {
        match self.map.get(TURNS) {
            Some(_) => self.all(TURNS),
            None => Ok(Vec::new()),
        }
    }

    /// What a part knows of the judged fibres, as it was handed over.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn judgement(&self) -> Result<Vec<u8>, StoreError> {
        match self.map.get(JUDGEMENT) {
            Some(_) => self.all(JUDGEMENT),
            None => Ok(Vec::new()),
        }
    }
}
