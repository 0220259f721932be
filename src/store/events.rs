//! Threshold crossings: into `/events` while there is room, beyond it into a side file, and to their exact number at the end.
//!
//! The room is laid out before the run and nobody knows how often a million fibres will spike. Events beyond the room go to
//! `OUT.events` beside the output, frame after frame, each with its length and a CRC, so that a torn last frame is seen
//! and dropped. When the run ends, all events move behind the file's end and four small headers are pointed there: the
//! cost is that of the events, never of the traces. Without overflow the headers are only told the true number. Events pass through memory a
//! commit or a frame at a time, however many there are.
//!
//! Events of one commit are ordered by time, fibre and feature, so their order does not depend on threads, and a
//! resumed run writes the same bytes again.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::disk::{self, Disk};
use super::offsets::{Map, Place, set_end, set_length};
use super::{StoreError, create};
use crate::run::sink::SpikeEvent;

const MAGIC: [u8; 4] = *b"SEV1";
/// Bytes before a frame's events: magic, count, index of the first event, CRC-32 of these and of the events, zero.
const FRAME_HEAD: usize = 24;
/// Bytes of one event in a frame.
const EVENT_BYTES: usize = 17;
/// Events of one frame, at most; also bounds what a damaged frame can make a reader allocate.
const FRAME_EVENTS: usize = 1 << 16;
/// Events held back for sorting, at most: 96 MiB.
const MOST_PENDING: usize = 1 << 22;

/// Where the side file of an output is.
pub(super) fn side_path(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(".events");
    output.with_file_name(name)
}

/// The places of `/events`.
#[derive(Clone, Debug)]
pub(super) struct EventPlaces {
    pub dimension: Place,
    pub time: Place,
    pub fibre: Place,
    pub feature: Option<Place>,
}

impl EventPlaces {
    pub(super) fn of(map: &Map) -> Option<Self> {
        Some(EventPlaces {
            dimension: map.get("events/event")?.clone(),
            time: map.get("events/spike_time")?.clone(),
            fibre: map.get("events/spike_fibre")?.clone(),
            feature: map.get("events/spike_feature").cloned(),
        })
    }

    /// Events that the file itself has room for. The least of all lengths: a kill while the file was being settled leaves
    /// some columns moved and others not.
    pub(super) fn room(&self) -> u64 {
        self.columns()
            .chain([&self.dimension])
            .map(Place::len)
            .min()
            .unwrap_or(0)
    }

    fn columns(&self) -> impl Iterator<Item = &Place> {
        [&self.time, &self.fibre].into_iter().chain(&self.feature)
    }
}

/// Takes events, orders them, and puts them where there is room.
#[derive(Debug)]
pub(super) struct Events {
    places: Option<EventPlaces>,
    pending: Vec<SpikeEvent>,
    /// Events written, in the file and in the side file.
    written: u64,
    side: Option<Disk>,
    side_path: PathBuf,
}

/// Columns of events as the file holds them.
fn columns(events: &[SpikeEvent]) -> [Vec<u8>; 3] {
    [
        events
            .iter()
            .flat_map(|e| e.time_ms.to_le_bytes())
            .collect(),
        events
            .iter()
            .flat_map(|e| (e.fibre as i64).to_le_bytes())
            .collect(),
        events.iter().map(|e| e.feature).collect(),
    ]
}

impl Events {
    /// For an output whose first `written` events are good; anything beyond is forgotten.
    pub(super) fn new(output: &Path, places: Option<EventPlaces>, written: u64) -> Self {
        Events {
            places,
            pending: Vec::new(),
            written,
            side: None,
            side_path: side_path(output),
        }
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    fn capacity(&self) -> u64 {
        self.places.as_ref().map_or(0, EventPlaces::room)
    }

    pub(super) fn push(
        &mut self,
        file: &Disk,
        path: &Path,
        events: &[SpikeEvent],
    ) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        if self.places.is_none() {
            return Err(StoreError::BadLayout(
                "events came, but no feature of the layout has any".to_string(),
            ));
        }
        for part in events.chunks(MOST_PENDING) {
            if self.pending.len() + part.len() > MOST_PENDING {
                self.flush(file, path)?;
            }
            self.pending.extend_from_slice(part);
        }
        Ok(())
    }

    /// Writes what was held back.
    pub(super) fn flush(&mut self, file: &Disk, path: &Path) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut events = std::mem::take(&mut self.pending);
        events.sort_by(|a, b| {
            a.time_ms
                .total_cmp(&b.time_ms)
                .then(a.fibre.cmp(&b.fibre))
                .then(a.feature.cmp(&b.feature))
        });
        let room = self
            .capacity()
            .saturating_sub(self.written)
            .min(events.len() as u64) as usize;
        let (inside, outside) = events.split_at(room);
        if let (Some(places), false) = (&self.places, inside.is_empty()) {
            for (place, bytes) in places.columns().zip(columns(inside)) {
                let at = place.at.unwrap_or(0) + self.written * place.bytes;
                file.write_at(at, &bytes)
                    .map_err(StoreError::io("cannot write", path))?;
            }
            self.written += inside.len() as u64;
        }
        for part in outside.chunks(FRAME_EVENTS) {
            self.append_frame(file, part)?;
        }
        events.clear();
        self.pending = events;
        Ok(())
    }

    fn append_frame(&mut self, file: &Disk, events: &[SpikeEvent]) -> Result<(), StoreError> {
        let fault = || StoreError::io("cannot write", &self.side_path);
        let opened = match self.side.take() {
            Some(side) => side,
            None => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(true).truncate(false);
                let opened = options.open(&self.side_path).map_err(fault())?;
                // Its name is on the disk before anything in it counts.
                disk::sync_directory(create::directory_of(&self.side_path)).map_err(fault())?;
                Disk::new(opened, &self.side_path, file.watch())
            }
        };
        let end = opened.metadata().map_err(fault())?.len();
        let written = opened.write_at(end, &frame(self.written, events));
        self.side = Some(opened);
        written.map_err(fault())?;
        self.written += events.len() as u64;
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        match &self.side {
            Some(side) => side
                .sync()
                .map_err(StoreError::io("cannot write", &self.side_path)),
            None => Ok(()),
        }
    }

    /// Forgets events beyond `written`: in the side file too, and marks freed rows of the file as unused.
    pub(super) fn roll_back(
        &mut self,
        file: &Disk,
        path: &Path,
        had: u64,
    ) -> Result<(), StoreError> {
        let capacity = self.capacity();
        if let Some(places) = &self.places {
            let (from, to) = (self.written.min(capacity), had.min(capacity));
            let unused: [&[u8]; 3] = [&f64::NAN.to_le_bytes(), &(-1i64).to_le_bytes(), &[0]];
            for (place, element) in places.columns().zip(unused) {
                let at = place.at.unwrap_or(0) + from * place.bytes;
                let length = to.saturating_sub(from) * place.bytes;
                file.fill(at, length, element)
                    .map_err(StoreError::io("cannot write", path))?;
            }
        }
        let fault = || StoreError::io("cannot write", &self.side_path);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.side_path);
        let side = match opened {
            Ok(opened) => Disk::new(opened, &self.side_path, file.watch()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return match self.written <= capacity {
                    true => Ok(()),
                    false => Err(fault()(error)),
                };
            }
            Err(error) => return Err(fault()(error)),
        };
        if self.written <= capacity {
            return side.remove().map_err(fault());
        }
        // A checkpoint is taken at the end of a frame: what comes after it is cut off, a torn one included.
        let mut frames = Frames::open(&self.side_path, capacity)?;
        while frames.next < self.written && frames.next().is_some() {}
        if frames.next != self.written {
            return Err(StoreError::format(
                &self.side_path,
                format!(
                    "it holds {} whole events of the {} that the run needs to go on",
                    frames.next - capacity,
                    self.written - capacity
                ),
            ));
        }
        side.cut(frames.end).map_err(fault())?;
        self.side = Some(side);
        Ok(())
    }

    /// Brings `/events` to its exact length, overflow included.
    pub(super) fn settle(&mut self, file: &Disk, path: &Path) -> Result<(), StoreError> {
        let Some(places) = self.places.clone() else {
            return Ok(());
        };
        let n = self.written;
        if n <= self.capacity() {
            for place in places.columns().chain([&places.dimension]) {
                set_length(file, path, place, n, None)?;
            }
            return Ok(());
        }
        let start = file
            .metadata()
            .map_err(StoreError::io("cannot read", path))?
            .len()
            .next_multiple_of(4096);
        let needed: u64 = places
            .columns()
            .map(|p| (n * p.bytes).next_multiple_of(4096))
            .sum();
        let fault = |what| StoreError::io(what, path);
        file.reserve(start + needed)
            .map_err(fault("cannot lengthen"))?;
        let mut moved = Vec::new();
        let mut at = start;
        for place in places.columns() {
            copy(
                file,
                place.at.unwrap_or(0),
                at,
                self.capacity() * place.bytes,
            )
            .map_err(fault("cannot write"))?;
            moved.push((place, at));
            at += (n * place.bytes).next_multiple_of(4096);
        }
        let mut frames = Frames::open(&self.side_path, self.capacity())?;
        loop {
            let first = frames.next;
            let Some(events) = frames.next().filter(|_| frames.next <= n) else {
                break;
            };
            for ((place, at), bytes) in moved.iter().zip(columns(&events)) {
                file.write_at(at + first * place.bytes, &bytes)
                    .map_err(fault("cannot write"))?;
            }
        }
        if frames.next != n {
            return Err(StoreError::format(
                &self.side_path,
                "it does not hold all events that were written to it",
            ));
        }
        // The new storage is on the disk before any header points to it; the old one stays whole.
        file.sync().map_err(fault("cannot write"))?;
        set_end(file, path, start + needed)?;
        file.sync().map_err(fault("cannot write"))?;
        for (place, at) in moved {
            set_length(file, path, place, n, Some(at))?;
        }
        set_length(file, path, &places.dimension, n, None)
    }

    /// Takes the side file away once the file holds everything.
    pub(super) fn remove_side(&mut self) -> Result<(), StoreError> {
        let fault = || StoreError::io("cannot remove", &self.side_path);
        match self.side.take() {
            Some(side) => side.remove().map_err(fault()),
            None if self.side_path.exists() => {
                std::fs::remove_file(&self.side_path).map_err(fault())
            }
            None => Ok(()),
        }
    }
}

fn copy(file: &Disk, from: u64, to: u64, length: u64) -> std::io::Result<()> {
    let mut block = vec![0; length.min(1 << 20) as usize];
    let mut done = 0;
    while done < length {
        let now = (length - done).min(block.len() as u64) as usize;
        disk::read_at(file, from + done, &mut block[..now])?;
        file.write_at(to + done, &block[..now])?;
        done += now as u64;
    }
    Ok(())
}

fn frame(first: u64, events: &[SpikeEvent]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FRAME_HEAD + events.len() * EVENT_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&(events.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    for event in events {
        bytes.extend_from_slice(&event.time_ms.to_le_bytes());
        bytes.extend_from_slice(&event.fibre.to_le_bytes());
        bytes.push(event.feature);
    }
    let crc = crc32fast::hash(&bytes);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The whole frames of a side file, one after another, up to the first that is not.
#[derive(Debug)]
pub(super) struct Frames {
    /// `None` where there is no such file.
    reader: Option<BufReader<File>>,
    /// Index of the first event of the next frame.
    pub next: u64,
    /// Where in the file the next frame begins.
    pub end: u64,
    bytes: Vec<u8>,
}

impl Frames {
    /// Of the side file at `path`, whose first event has the index `first`.
    pub(super) fn open(path: &Path, first: u64) -> Result<Self, StoreError> {
        let reader = match File::open(path) {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io("cannot open", path)(error)),
        };
        Ok(Frames {
            reader,
            next: first,
            end: 0,
            bytes: Vec::new(),
        })
    }
}

impl Iterator for Frames {
    type Item = Vec<SpikeEvent>;

    fn next(&mut self) -> Option<Vec<SpikeEvent>> {
        let (reader, bytes) = (self.reader.as_mut()?, &mut self.bytes);
        bytes.resize(FRAME_HEAD, 0);
        if reader.read_exact(bytes).is_err() || bytes[..4] != MAGIC {
            return None;
        }
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let (count, crc) = (word(4) as usize, word(16));
        let index = u64::from(word(8)) | u64::from(word(12)) << 32;
        if count > FRAME_EVENTS || index != self.next {
            return None;
        }
        bytes[16..20].fill(0);
        bytes.resize(FRAME_HEAD + count * EVENT_BYTES, 0);
        if reader.read_exact(&mut bytes[FRAME_HEAD..]).is_err() || crc32fast::hash(bytes) != crc {
            return None;
        }
        self.next += count as u64;
        self.end += bytes.len() as u64;
        let event = |event: &[u8]| {
            let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| event[at + i]));
            SpikeEvent {
                time_ms: f64::from_bits(number(0)),
                fibre: number(8),
                feature: event[16],
            }
        };
        let events = bytes[FRAME_HEAD..].chunks_exact(EVENT_BYTES);
        Some(events.map(event).collect())
    }
}

/// All events of whole frames of a side file whose first event has the index `first`; none where there is no such file.
pub(super) fn read_side(path: &Path, first: u64) -> Result<Vec<SpikeEvent>, StoreError> {
    Ok(Frames::open(path, first)?.flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_frame_is_dropped_and_whole_ones_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.h5.events");
        let event = |n: u64| SpikeEvent {
            time_ms: n as f64 / 3.0,
            fibre: n,
            feature: n as u8,
        };
        let all: Vec<_> = (0..50).map(event).collect();
        let mut bytes = frame(7, &all[..20]);
        let whole = bytes.len();
        bytes.extend(frame(27, &all[20..]));
        for cut in 0..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let expected = if cut == bytes.len() {
                50
            } else if cut >= whole {
                20
            } else {
                0
            };
            assert_eq!(
                read_side(&path, 7).unwrap(),
                all[..expected],
                "cut at {cut}"
            );
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            std::fs::write(&path, &damaged).unwrap();
            let kept = read_side(&path, 7).unwrap();
            // Four reserved bytes are covered by the CRC as well.
            assert_eq!(
                kept,
                all[..if at < whole { 0 } else { 20 }],
                "damaged at {at}"
            );
        }
    }
}
