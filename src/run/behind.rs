//! A sink behind a thread: what is handed over waits in memory and is written while the fibres move on.
//!
//! The order stays. What asks for an answer (a checkpoint, the end) waits until all before it is written, and is then done at once. An error shows
//! at the next call. No more than [`MOST_WAITING_BYTES`] wait, or one parcel where it is larger.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

use super::sink::{Outcome, PartRecord, Samples, Sink, SinkError, SpikeEvent};

/// Bytes that may wait: about one slab, while another is being written.
const MOST_WAITING_BYTES: usize = 96 << 20;

/// A call that waits.
enum Parcel {
    RowsF32(usize, usize, Vec<f32>),
    RowsF64(usize, usize, Vec<f64>),
    Events(Vec<SpikeEvent>),
    Commit(usize),
    Slab(usize, usize),
    Turns(usize, Vec<f64>),
    Judgement(Vec<u8>),
}

impl Parcel {
    fn bytes(&self) -> usize {
        match self {
            Parcel::RowsF32(_, _, rows) => size_of_val(&rows[..]),
            Parcel::RowsF64(_, _, rows) => size_of_val(&rows[..]),
            Parcel::Events(events) => size_of_val(&events[..]),
            Parcel::Turns(_, values) => size_of_val(&values[..]),
            Parcel::Judgement(bytes) => bytes.len(),
            Parcel::Commit(_) | Parcel::Slab(..) => 0,
        }
    }

    fn deliver(self, out: &mut dyn Sink) -> Result<(), SinkError> {
        match self {
            Parcel::RowsF32(variable, first, rows) => {
                out.write_rows(variable, first, Samples::F32(&rows))
            }
            Parcel::RowsF64(variable, first, rows) => {
                out.write_rows(variable, first, Samples::F64(&rows))
            }
            Parcel::Events(events) => out.write_events(&events),
            Parcel::Commit(rows) => out.commit(rows),
            Parcel::Slab(slab, events) => out.part(PartRecord::Slab { slab, events }),
            Parcel::Turns(look, values) => out.part(PartRecord::Turns {
                look,
                values: &values,
            }),
            Parcel::Judgement(bytes) => out.part(PartRecord::Judgement(&bytes)),
        }
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Parcel>,
    waiting_bytes: usize,
    /// Whether a parcel is being delivered.
    busy: bool,
    closed: bool,
    /// What went wrong, until it is told; nothing is taken any more from then on.
    fault: Option<SinkError>,
    failed: bool,
}

impl Queue {
    fn check(&mut self) -> Result<(), SinkError> {
        if !self.failed {
            return Ok(());
        }
        let again = || SinkError::Format("an earlier write had failed".to_string());
        Err(self.fault.take().unwrap_or_else(again))
    }
}

/// The queue before a sink.
struct Counter {
    queue: Mutex<Queue>,
    bell: Condvar,
}

/// Lets the thread end, also where the run panics.
struct Closes<'a>(&'a Counter);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.0.queue().closed = true;
        self.0.bell.notify_all();
    }
}

impl Counter {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn wait<'q>(&self, queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        self.bell.wait(queue).unwrap_or_else(|e| e.into_inner())
    }

    /// Delivers what waits until the queue is closed and empty, or a parcel cannot be delivered.
    fn deliver(&self, out: &Mutex<&mut dyn Sink>) {
        loop {
            let mut queue = self.queue();
            let parcel = loop {
                if let Some(parcel) = queue.waiting.pop_front() {
                    break parcel;
                }
                if queue.closed {
                    return;
                }
                queue = self.wait(queue);
            };
            queue.waiting_bytes -= parcel.bytes();
            queue.busy = true;
            drop(queue);
            self.bell.notify_all();
            let end = parcel.deliver(&mut **out.lock().unwrap_or_else(|e| e.into_inner()));
            let mut queue = self.queue();
            queue.busy = false;
            if let Err(fault) = end {
                (queue.fault, queue.failed) = (Some(fault), true);
                queue.waiting.clear();
                queue.waiting_bytes = 0;
                queue.closed = true;
            }
            drop(queue);
            self.bell.notify_all();
        }
    }
}

/// The sink that a run sees.
struct Behind<'a, 'o> {
    counter: &'a Counter,
    out: &'a Mutex<&'o mut dyn Sink>,
}

impl Behind<'_, '_> {
    fn hand(&self, parcel: Parcel) -> Result<(), SinkError> {
        let bytes = parcel.bytes();
        let mut queue = self.counter.queue();
        while queue.waiting_bytes > 0 && queue.waiting_bytes + bytes > MOST_WAITING_BYTES {
            queue = self.counter.wait(queue);
        }
        queue.check()?;
        queue.waiting_bytes += bytes;
        queue.waiting.push_back(parcel);
        drop(queue);
        self.counter.bell.notify_all();
        Ok(())
    }

    /// Waits until all is delivered.
    fn settle(&self) -> Result<(), SinkError> {
        let mut queue = self.counter.queue();
        while queue.busy || !queue.waiting.is_empty() {
            queue = self.counter.wait(queue);
        }
        queue.check()
    }

    fn at_once<R>(
        &self,
        call: impl FnOnce(&mut dyn Sink) -> Result<R, SinkError>,
    ) -> Result<R, SinkError> {
        self.settle()?;
        call(&mut **self.out.lock().unwrap_or_else(|e| e.into_inner()))
    }
}

impl Sink for Behind<'_, '_> {
    fn write_rows(
        &mut self,
        variable: usize,
        first_row: usize,
        rows: Samples<'_>,
    ) -> Result<(), SinkError> {
        self.hand(match rows {
            Samples::F32(rows) => Parcel::RowsF32(variable, first_row, rows.to_vec()),
            Samples::F64(rows) => Parcel::RowsF64(variable, first_row, rows.to_vec()),
        })
    }

    fn write_trace(
        &mut self,
        variable: usize,
        trace: (usize, usize),
        rows: Samples<'_>,
    ) -> Result<(), SinkError> {
        self.at_once(|out| out.write_trace(variable, trace, rows))
    }

    fn write_events(&mut self, events: &[SpikeEvent]) -> Result<(), SinkError> {
        match events {
            [] => Ok(()),
            events => self.hand(Parcel::Events(events.to_vec())),
        }
    }

    fn commit(&mut self, rows: usize) -> Result<(), SinkError> {
        self.hand(Parcel::Commit(rows))
    }

    fn part(&mut self, record: PartRecord<'_>) -> Result<(), SinkError> {
        self.hand(match record {
            PartRecord::Slab { slab, events } => Parcel::Slab(slab, events),
            PartRecord::Turns { look, values } => Parcel::Turns(look, values.to_vec()),
            PartRecord::Judgement(bytes) => Parcel::Judgement(bytes.to_vec()),
        })
    }

    fn checkpoint(&mut self, state: &[&[u8]]) -> Result<bool, SinkError> {
        self.at_once(|out| out.checkpoint(state))
    }

    fn finish(&mut self, outcome: &Outcome) -> Result<u64, SinkError> {
        self.at_once(|out| out.finish(outcome))
    }
}

/// Calls `run` with a sink that writes to `out` in a thread of its own. All is written when this returns, unless `run` failed.
pub(super) fn behind<R>(out: &mut dyn Sink, run: impl FnOnce(&mut dyn Sink) -> R) -> R {
    let counter = Counter {
        queue: Mutex::default(),
        bell: Condvar::new(),
    };
    let out = Mutex::new(out);
    std::thread::scope(|scope| {
        let (counter, out) = (&counter, &out);
        let _closes = Closes(counter);
        scope.spawn(move || counter.deliver(out));
        run(&mut Behind { counter, out })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes what comes; refuses one commit.
    #[derive(Default)]
    struct Notes {
        calls: Vec<String>,
        refuses: Option<usize>,
    }

    impl Sink for Notes {
        fn write_rows(
            &mut self,
            variable: usize,
            first: usize,
            rows: Samples<'_>,
        ) -> Result<(), SinkError> {
            self.calls.push(format!("{variable} {first} {rows:?}"));
            Ok(())
        }
        fn write_events(&mut self, events: &[SpikeEvent]) -> Result<(), SinkError> {
            self.calls.push(format!("{} events", events.len()));
            Ok(())
        }
        fn commit(&mut self, rows: usize) -> Result<(), SinkError> {
            if self.refuses == Some(rows) {
                return Err(SinkError::Format("full".to_string()));
            }
            self.calls.push(format!("commit {rows}"));
            Ok(())
        }
        fn checkpoint(&mut self, state: &[&[u8]]) -> Result<bool, SinkError> {
            self.calls.push(format!("checkpoint {state:?}"));
            Ok(true)
        }
        fn finish(&mut self, _: &Outcome) -> Result<u64, SinkError> {
            self.calls.push("finish".to_string());
            Ok(7)
        }
    }

    #[test]
    fn all_arrives_in_order_and_answers_come_back() {
        let mut notes = Notes::default();
        let outcome = Outcome {
            features: vec![],
            status: vec![],
            agreement: None,
            interrupted: false,
        };
        let bytes = behind(&mut notes, |out| {
            for slab in 0..3 {
                out.write_rows(0, slab, Samples::F32(&[1.0]))?;
                out.commit(slab + 1)?;
            }
            assert!(out.checkpoint(&[&[1], &[2]])?);
            out.finish(&outcome)
        });
        assert_eq!(bytes.expect("no fault"), 7);
        let rows = |slab: usize| {
            [
                format!("0 {slab} F32([1.0])"),
                format!("commit {}", slab + 1),
            ]
        };
        let mut wanted: Vec<String> = (0..3).flat_map(rows).collect();
        wanted.extend(["checkpoint [[1], [2]]".to_string(), "finish".to_string()]);
        assert_eq!(notes.calls, wanted);
    }

    #[test]
    fn a_fault_is_told_at_the_next_call_that_asks_and_nothing_comes_after_it() {
        let mut notes = Notes {
            refuses: Some(2),
            ..Notes::default()
        };
        let end = behind(&mut notes, |out| {
            out.commit(1)?;
            out.commit(2)?;
            out.checkpoint(&[])
        });
        assert!(matches!(end, Err(SinkError::Format(why)) if why == "full"));
        let end = behind(&mut notes, |out| {
            out.commit(2)?;
            let _ = out.checkpoint(&[]);
            out.commit(3).and_then(|()| out.checkpoint(&[]))
        });
        assert!(matches!(end, Err(SinkError::Format(why)) if why.contains("earlier")));
        assert_eq!(notes.calls, ["commit 1"]);
    }
}
