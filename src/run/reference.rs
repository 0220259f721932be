//! Runs a whole study with the reference backend: slow, for small populations and for judging the others.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use rayon::prelude::*;

use crate::backend::reference::{FibreEnd, Reference, Work};
use crate::backend::{Experiment, Spike};
use crate::feature::Gathered;

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

/// Runs one fibre and gathers what the experiment asks for.
pub(super) fn run_one(
    reference: &Reference,
    experiment: &Experiment,
    id: u64,
    parameters: &[f64],
    keeps_samples: bool,
    cancelled: &dyn Fn() -> bool,
) -> OneRun {
    let n = experiment.n_recorded;
    let n_kept = if keeps_samples {
        n * experiment.n_samples
    } else {
        0
    };
    let mut samples = vec![f64::NAN; n_kept];
    let mut gathered: Vec<Gathered> = experiment.features.iter().map(|f| f.start()).collect();
    let mut spikes = Vec::new();
    let (end, work) = reference.run_fibre(
        parameters,
        cancelled,
        &mut |row, observed| {
            if let Some(place) = samples.get_mut(row * n..(row + 1) * n) {
                place.copy_from_slice(&observed[..n]);
            }
        },
        &mut |observable, piece| {
            for (f, spec) in experiment.features.iter().enumerate() {
                if experiment.observables[observable] == spec.of {
                    spec.feed(&mut gathered[f], piece, &mut |time_ms| {
                        spikes.push(Spike {
                            time_ms,
                            fibre: id,
                            feature: f,
                        });
                    });
                }
            }
        },
    );
    OneRun {
        samples,
        features: experiment
            .features
            .iter()
            .zip(&gathered)
            .flat_map(|(f, g)| f.values(g))
            .collect(),
        spikes,
        status: match end {
            FibreEnd::Finished => FibreStatus::Finished,
            FibreEnd::Lost { at_ms, state } => FibreStatus::Lost {
                at_ms,
                variable: state,
            },
            FibreEnd::Cancelled => FibreStatus::Stopped,
        },
        work,
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
    let ready = AtomicUsize::new(0);
    let trace_of = place_traces(job.first_fibre, n_fibres, job.traces.as_deref());
    let n = experiment.n_recorded;
    let runs: Vec<OneRun> = job
        .parameters
        .par_iter()
        .enumerate()
        .map(|(i, parameters)| {
            let id = job.first_fibre + i as u64;
            let cancelled = || cancel.load(Ordering::Relaxed);
            let keeps = trace_of[i].is_some();
            let run = run_one(reference, experiment, id, parameters, keeps, &cancelled);
            let share = (ready.fetch_add(1, Ordering::Relaxed) + 1) as f64 / n_fibres as f64;
            progress(Progress { share, rows: 0 });
            run
        })
        .collect();
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
        let events = events(experiment, std::iter::once(&spikes[..]));
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
