//! Runs a whole study with the reference backend: slow, for small populations and for judging the others.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::backend::reference::{FibreEnd, Fibres, Reference, Work};
use crate::backend::{Experiment, Spike};
use crate::feature::{Gathered, Piece};

use super::driver::{Done, Job, Progress, events, place_traces};
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
    /// A run that was never begun.
    fn stopped(experiment: &Experiment) -> Self {
        let features = experiment.features.iter();
        OneRun {
            status: FibreStatus::Stopped,
            ..Self::told(
                Vec::new(),
                features.flat_map(|f| f.values(&f.start())).collect(),
                Vec::new(),
            )
        }
    }

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

/// Runs every fibre to the end of the schedule, or until `cancel` is set. All samples are held until then.
///
/// # Errors
/// If the sink cannot take what it is handed.
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
    let n = experiment.n_recorded;
    let threads = rayon::current_num_threads();
    // No thread takes more than its share while others have nothing to do.
    let share = n_fibres.div_ceil(threads).max(1);
    let (taken, ready) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let runs: Mutex<Vec<Option<OneRun>>> = Mutex::new((0..n_fibres).map(|_| None).collect());
    let lock = || runs.lock().unwrap_or_else(|e| e.into_inner());
    let work = || {
        let running = Cell::new(0);
        let mut next = |_: bool| {
            if running.get() >= share || cancel.load(Ordering::Relaxed) {
                return None;
            }
            let i = taken.fetch_add(1, Ordering::Relaxed);
            let parameters = job.parameters.get(i)?;
            running.set(running.get() + 1);
            Some(Wanted {
                id: job.first_fibre + i as u64,
                parameters,
                keeps_samples: trace_of[i].is_some(),
            })
        };
        let mut done = |id: u64, run: OneRun| {
            running.set(running.get() - 1);
            lock()[(id - job.first_fibre) as usize] = Some(run);
            let n_ready = ready.fetch_add(1, Ordering::Relaxed) + 1;
            let share = n_ready as f64 / n_fibres as f64;
            progress(Progress { share, rows: 0 });
        };
        let cancelled = || cancel.load(Ordering::Relaxed);
        run_fibres(reference, experiment, &mut next, &cancelled, &mut done);
    };
    rayon::scope(|pool| (0..threads.min(n_fibres)).for_each(|_| pool.spawn(|_| work())));
    let stopped = |run: Option<OneRun>| run.unwrap_or_else(|| OneRun::stopped(experiment));
    let runs = runs.into_inner().unwrap_or_else(|e| e.into_inner());
    let runs: Vec<OneRun> = runs.into_iter().map(stopped).collect();
    let mut done = Done {
        compute_s: started.elapsed().as_secs_f64(),
        ..Done::default()
    };
    done.interrupted = cancel.load(Ordering::Relaxed);
    let n_traces = trace_of.iter().flatten().count();
    if !done.interrupted {
        for variable in 0..n {
            for first_row in (0..experiment.n_samples).step_by(job.rows_per_slab) {
                let n_rows = job.rows_per_slab.min(experiment.n_samples - first_row);
                let mut rows = vec![f64::NAN; n_rows * n_traces];
                for (run, trace) in runs.iter().zip(&trace_of) {
                    let Some(trace) = *trace else { continue };
                    for row in 0..n_rows {
                        rows[row * n_traces + trace as usize] =
                            run.samples[(first_row + row) * n + variable];
                    }
                }
                out.write_rows(variable, first_row, Samples::F64(&rows))?;
            }
        }
        let spikes: Vec<Spike> = runs.iter().flat_map(|r| r.spikes.iter().copied()).collect();
        let events = events(experiment, &[(Vec::<f64>::new(), 0, spikes)]);
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
    done.features = (0..n_columns)
        .map(|c| runs.iter().map(|r| r.features[c]).collect())
        .collect();
    done.status = runs.iter().map(|r| r.status).collect();
    done.accepted = runs.iter().map(|r| r.work.steps).sum();
    done.rejected = runs.iter().map(|r| r.work.rejections).sum();
    Ok(done)
}
