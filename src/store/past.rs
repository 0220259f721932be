//! What a file holds of the part of a run that is over, for the run that goes on.

use std::ops::Range;

use super::StoreError;
use super::events::{EventPlaces, Frames, side_path};
use super::reader::ResultReader;
use crate::run::Past;
use crate::run::sink::{SinkError, SpikeEvent};

impl Past for ResultReader {
    fn trace(&self, variable: usize, fibre: u64, rows: usize) -> Result<Vec<f64>, SinkError> {
        let variables = self.variables();
        let missing = || StoreError::Missing {
            path: self.path.clone(),
            what: format!("recorded variable number {variable}"),
        };
        let name = &variables.get(variable).ok_or_else(missing)?.name;
        Ok(self.first_rows(name, fibre, rows as u64)?)
    }

    fn events(
        &self,
        counts: &[u64],
        take: &mut dyn FnMut(Vec<SpikeEvent>),
    ) -> Result<(), SinkError> {
        let mut all = InOrder {
            file: self,
            room: EventPlaces::of(&self.map).map_or(0, |places| places.room()),
            frames: None,
            left: Vec::new().into_iter(),
        };
        let mut first = 0u64;
        for &count in counts {
            let end = first.checked_add(count);
            let end = end.ok_or_else(|| self.wrong("it counts events without number"))?;
            take(all.next(first..end)?);
            first = end;
        }
        Ok(())
    }
}

/// Events of a file that is not complete, one after another: those in it, then those beside it.
struct InOrder<'a> {
    file: &'a ResultReader,
    room: u64,
    frames: Option<Frames>,
    /// Of the last frame.
    left: std::vec::IntoIter<SpikeEvent>,
}

impl InOrder<'_> {
    fn next(&mut self, range: Range<u64>) -> Result<Vec<SpikeEvent>, StoreError> {
        let inside = range.start.min(self.room)..range.end.min(self.room);
        let mut events = self.file.events_between(inside.clone())?;
        let mut beyond = (range.end - range.start) - (inside.end - inside.start);
        while beyond > 0 {
            let Some(event) = self.left.next() else {
                let side = side_path(&self.file.path);
                if self.frames.is_none() {
                    self.frames = Some(Frames::open(&side, self.room)?);
                }
                let frame = self.frames.as_mut().and_then(Iterator::next);
                let missing = "it does not hold all events of the result beside it";
                let frame = frame.ok_or_else(|| StoreError::format(&side, missing))?;
                self.left = frame.into_iter();
                continue;
            };
            events.push(event);
            beyond -= 1;
        }
        Ok(events)
    }
}
