//! Runs a whole study with the reference backend: slow, for small populations and for judging the others.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::backend::reference::{FibreEnd, Fibres, Reference, Work};
use crate::backend::{Experiment, Spike};
use crate::feature::{Gathered, Piece};

use super::checkpoint::{Cursor, Sheet, does_not_fit};
use super::driver::{Done, Job, Progress, place_traces};
use super::events::events;
use super::sink::{FibreStatus, PartRecord, Samples, Sink, SinkError};

/// What the reference gives of one fibre.
pub(super) struct OneRun {
    /// `[row][variable]`; empty for a fibre that is not recorded.
    pub samples: Vec<f64>,
    /// Feature columns.
    pub features: Vec<f64>,
    /// In order of time.
    pub spikes: Vec<Spike>,
    status: FibreStatus,
    work: Work,
}

impl OneRun {
    /// A run that was made elsewhere.
    pub(super) fn told(samples: Vec<f64>, features: Vec<f64>, spikes: Vec<Spike>) -> Self {
        OneRun {
            samples,
            features,
            spikes,
            status: FibreStatus::Finished,
            work: Work::default(),
        }
    }
}

/// A fibre that is to be run.
pub(super) struct Wanted<'a> {
    pub id: u64,
    /// Its varied parameters.
    pub parameters: &'a [f64],
    pub keeps_samples: bool,
}

/// Runs fibres side by side and gathers what the experiment asks for, until `next` has no more; with `true` it may wait for one. What has been
/// run goes to `done`.
pub(super) fn run_fibres<'a>(
    reference: &Reference,
    experiment: &Experiment,
    next: &mut dyn FnMut(bool) -> Option<Wanted<'a>>,
    cancelled: &dyn Fn() -> bool,
    done: &mut dyn FnMut(u64, OneRun),
) {
    let mut gathering = Gathering {
        experiment,
        next,
        cancelled,
        done,
        running: Vec::new(),
    };
    reference.run_fibres(&mut gathering);
}

/// What is gathered of a fibre that is being run.
struct Running {
    id: u64,
    samples: Vec<f64>,
    gathered: Vec<Gathered>,
    spikes: Vec<Spike>,
}

struct Gathering<'a, 'w> {
    experiment: &'a Experiment,
    next: &'a mut dyn FnMut(bool) -> Option<Wanted<'w>>,
    cancelled: &'a dyn Fn() -> bool,
    done: &'a mut dyn FnMut(u64, OneRun),
    running: Vec<Option<Running>>,
}

impl Fibres for Gathering<'_, '_> {
    fn next(&mut self, idle: bool) -> Option<(usize, Vec<f64>)> {
        let wanted = (self.next)(idle)?;
        let e = self.experiment;
        let n_kept = if wanted.keeps_samples {
            e.n_recorded * e.n_samples
        } else {
            0
        };
        let running = Some(Running {
            id: wanted.id,
            samples: vec![f64::NAN; n_kept],
            gathered: e.features.iter().map(|f| f.start()).collect(),
            spikes: Vec::new(),
        });
        let key = self.running.iter().position(Option::is_none);
        let key = key.unwrap_or(self.running.len());
        if key == self.running.len() {
            self.running.push(running);
        } else {
            self.running[key] = running;
        }
        Some((key, wanted.parameters.to_vec()))
    }

    fn on_sample(&mut self, key: usize, row: usize, observed: &[f64]) {
        let n = self.experiment.n_recorded;
        let running = self.running[key].as_mut();
        let place = running.and_then(|r| r.samples.get_mut(row * n..(row + 1) * n));
        if let Some(place) = place {
            place.copy_from_slice(&observed[..n]);
        }
    }

    fn on_piece(&mut self, key: usize, observable: usize, piece: &Piece) {
        let Some(running) = &mut self.running[key] else {
            return;
        };
        for (f, spec) in self.experiment.features.iter().enumerate() {
            if self.experiment.observables[observable] == spec.of {
                spec.feed(&mut running.gathered[f], piece, &mut |time_ms| {
                    running.spikes.push(Spike {
                        time_ms,
                        fibre: running.id,
                        feature: f,
                    });
                });
            }
        }
    }

    fn goes_on(&mut self) -> bool {
        !(self.cancelled)()
    }

    fn on_end(&mut self, key: usize, end: FibreEnd, work: Work) {
        let Some(running) = self.running[key].take() else {
            return;
        };
        let gathered = self.experiment.features.iter().zip(&running.gathered);
        let run = OneRun {
            samples: running.samples,
            features: gathered.flat_map(|(f, g)| f.values(g)).collect(),
            spikes: running.spikes,
            status: match end {
                FibreEnd::Finished => FibreStatus::Finished,
                FibreEnd::Lost { at_ms, state } => FibreStatus::Lost {
                    at_ms,
                    variable: state,
                },
                FibreEnd::Cancelled => FibreStatus::Stopped,
            },
            work,
        };
        (self.done)(running.id, run);
    }
}

/// Runs every fibre to the end of the schedule, or until `cancel` is set. A fibre's samples go to the sink when it has ended; a checkpoint
/// holds what else is known of the fibres that have, and a run that goes on from it runs the others.
///
/// # Errors
/// If the sink cannot take what it is handed, or the job's point is not one of this run.
pub(super) fn drive_reference(
    reference: &Reference,
    experiment: &Experiment,
    job: &Job,
    out: &mut dyn Sink,
    progress: &(dyn Fn(Progress) + Sync),
    cancel: &AtomicBool,
) -> Result<Done, SinkError> {
    let started = Instant::now();
    let n_fibres = job.parameters.len();
    let trace_of = place_traces(job.first_fibre, n_fibres, job.traces.as_deref());
    let n_traces = trace_of.iter().flatten().count();
    let n = experiment.n_recorded;
    let shape = [
        MAGIC,
        n_fibres as u64,
        experiment.n_samples as u64,
        n as u64,
    ];
    let ended = match &job.from {
        Some(bytes) => taken_back(experiment, job.first_fibre, shape, Cursor(bytes))
            .ok_or_else(does_not_fit)?,
        None => (0..n_fibres).map(|_| None).collect(),
    };
    let waiting: Vec<usize> = (0..n_fibres).filter(|&i| ended[i].is_none()).collect();
    let desk = Mutex::new(Desk {
        ready: n_fibres - waiting.len(),
        ended,
        out,
        fault: None,
        last_checkpoint: Instant::now(),
    });
    let failed = AtomicBool::new(false);
    let is_over = || cancel.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
    let threads = rayon::current_num_threads();
    // No thread takes more than its share while others have nothing to do.
    let share = waiting.len().div_ceil(threads).max(1);
    let taken = AtomicUsize::new(0);
    let work = || {
        let running = Cell::new(0);
        let mut next = |_: bool| {
            if running.get() >= share || is_over() {
                return None;
            }
            let i = *waiting.get(taken.fetch_add(1, Ordering::Relaxed))?;
            running.set(running.get() + 1);
            Some(Wanted {
                id: job.first_fibre + i as u64,
                parameters: &job.parameters[i],
                keeps_samples: trace_of[i].is_some(),
            })
        };
        let mut done = |id: u64, run: OneRun| {
            running.set(running.get() - 1);
            if run.status == FibreStatus::Stopped {
                return;
            }
            let i = (id - job.first_fibre) as usize;
            let place = (i, trace_of[i].map(|trace| (trace as usize, n_traces)));
            let mut desk = desk.lock().unwrap_or_else(|e| e.into_inner());
            if let Err(error) = desk.take(experiment, place, run, job.checkpoint_every, shape) {
                desk.fault = Some(error);
                failed.store(true, Ordering::Relaxed);
            }
            let share = desk.ready as f64 / n_fibres as f64;
            progress(Progress { share, rows: 0 });
        };
        run_fibres(reference, experiment, &mut next, &is_over, &mut done);
    };
    rayon::scope(|pool| (0..threads.min(waiting.len())).for_each(|_| pool.spawn(|_| work())));
    let desk = desk.into_inner().unwrap_or_else(|e| e.into_inner());
    if let Some(fault) = desk.fault {
        return Err(fault);
    }
    let (ended, out) = (desk.ended, desk.out);
    let mut done = Done {
        compute_s: started.elapsed().as_secs_f64(),
        interrupted: cancel.load(Ordering::Relaxed),
        ..Done::default()
    };
    if done.interrupted {
        out.checkpoint(&saved(shape, &ended).parts())?;
    } else {
        let spikes = ended.iter().flatten().map(|run| &run.spikes[..]);
        let events = events(experiment, spikes);
        done.n_events = events.len() as u64;
        out.write_events(&events)?;
        out.part(PartRecord::Slab {
            slab: 0,
            events: events.len(),
        })?;
        out.commit(if n == 0 { 0 } else { experiment.n_samples })?;
    }
    let n_columns = experiment
        .features
        .iter()
        .map(|f| f.column_names().len())
        .sum();
    let feature = |run: &Option<OneRun>, c: usize| run.as_ref().map_or(f64::NAN, |r| r.features[c]);
    done.features = (0..n_columns)
        .map(|c| ended.iter().map(|run| feature(run, c)).collect())
        .collect();
    let status = |run: &Option<OneRun>| run.as_ref().map_or(FibreStatus::Stopped, |r| r.status);
    done.status = ended.iter().map(status).collect();
    done.accepted = ended.iter().flatten().map(|r| r.work.steps).sum();
    done.rejected = ended.iter().flatten().map(|r| r.work.rejections).sum();
    Ok(done)
}

/// The first word of a checkpoint.
const MAGIC: u64 = u64::from_le_bytes(*b"FIBRES\0\x01");

/// Words of a fibre in a checkpoint beside its features and spikes.
pub(super) const FIBRE_WORDS: usize = 7;

/// Where fibres are handed in when they have ended.
struct Desk<'a> {
    ended: Vec<Option<OneRun>>,
    ready: usize,
    out: &'a mut dyn Sink,
    fault: Option<SinkError>,
    last_checkpoint: Instant,
}

impl Desk<'_> {
    /// Takes a fibre: its place in the run, and its trace of how many.
    fn take(
        &mut self,
        experiment: &Experiment,
        (place, trace): (usize, Option<(usize, usize)>),
        mut run: OneRun,
        checkpoint_every: Duration,
        shape: [u64; 4],
    ) -> Result<(), SinkError> {
        let samples = std::mem::take(&mut run.samples);
        self.ended[place] = Some(run);
        self.ready += 1;
        if let Some(trace) = trace {
            for variable in 0..experiment.n_recorded {
                let own = samples[variable..].iter().step_by(experiment.n_recorded);
                let own: Vec<f64> = own.copied().collect();
                self.out.write_trace(variable, trace, Samples::F64(&own))?;
            }
        }
        if self.last_checkpoint.elapsed() >= checkpoint_every {
            self.out.checkpoint(&saved(shape, &self.ended).parts())?;
            self.last_checkpoint = Instant::now();
        }
        Ok(())
    }
}

/// Writes down what is known of the fibres that have ended; the sink has their samples.
fn saved(shape: [u64; 4], ended: &[Option<OneRun>]) -> Sheet<'_> {
    let mut sheet = Sheet::default();
    sheet.words(&shape);
    for (place, run) in ended.iter().enumerate() {
        let Some(run) = run else { continue };
        let (code, at_ms, variable) = match run.status {
            FibreStatus::Finished => (0, 0.0, 0),
            FibreStatus::Lost { at_ms, variable } => (1, at_ms, variable),
            FibreStatus::Stopped => (2, 0.0, 0),
        };
        sheet.words(&[
            place as u64,
            code,
            at_ms.to_bits(),
            variable as u64,
            run.work.steps,
            run.work.rejections,
            run.spikes.len() as u64,
        ]);
        sheet.numbers(&run.features);
        let spike = |s: &Spike| [s.time_ms.to_bits(), s.feature as u64];
        sheet.words(&run.spikes.iter().flat_map(spike).collect::<Vec<_>>());
    }
    sheet
}

/// Takes back what [`saved`] wrote.
fn taken_back(
    experiment: &Experiment,
    first_fibre: u64,
    shape: [u64; 4],
    mut cursor: Cursor<'_>,
) -> Option<Vec<Option<OneRun>>> {
    if cursor.words()? != shape {
        return None;
    }
    let names = experiment.features.iter().map(|f| f.column_names().len());
    let n_columns: usize = names.sum();
    let mut ended: Vec<Option<OneRun>> = (0..shape[1]).map(|_| None).collect();
    while !cursor.is_empty() {
        let [place, code, at_ms, variable, steps, rejections, n] = cursor.words::<FIBRE_WORDS>()?;
        let features = cursor.numbers(n_columns)?;
        let spikes: Vec<u64> = cursor.numbers(usize::try_from(n).ok()?.checked_mul(2)?)?;
        let fibre = first_fibre + place;
        let spike = |pair: &[u64]| {
            let feature = usize::try_from(pair[1]).ok()?;
            (feature < experiment.features.len()).then_some(Spike {
                time_ms: f64::from_bits(pair[0]),
                fibre,
                feature,
            })
        };
        let spikes = spikes.chunks_exact(2).map(spike).collect::<Option<_>>()?;
        let mut run = OneRun::told(Vec::new(), features, spikes);
        run.status = match code {
            0 => FibreStatus::Finished,
            1 => FibreStatus::Lost {
                at_ms: f64::from_bits(at_ms),
                variable: usize::try_from(variable).ok()?,
            },
            _ => return None,
        };
        run.work.steps = steps;
        run.work.rejections = rejections;
        *ended.get_mut(usize::try_from(place).ok()?)? = Some(run);
    }
    Some(ended)
}
