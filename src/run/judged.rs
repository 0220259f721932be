//! A run with its judge: the reference runs a few fibres while the run goes on, then the two are compared.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::agreement::{Comparison, Disagreement};
use super::batch::{Batch, RunReport};
use super::driver::{Done, Job};
use super::error::RunError;
use super::judge::{Asked, Closes, Judge, Sampling};
use super::part::{Judged, Known, encode};
use super::pilot::PilotError;
use super::reference::OneRun;
use super::sink::{Agreement, Outcome, PartRecord, Precision, Sink};
use super::tap::{Scope, Tap};

/// Fibres that are judged at most: as many as the file has room for.
const MOST_JUDGED: u64 = 1024;
/// Threads of a run for each thread that runs the reference beside it.
const THREADS_PER_JUDGE: usize = 4;

/// Moves the fibres of a job into a sink.
pub type Driver<'a> = dyn FnMut(Job, &mut dyn Sink) -> Result<Done, RunError> + 'a;

impl Batch {
    /// How many fibres the reference is to run beside this run.
    pub(super) fn judged_fibres(&self) -> usize {
        let asked = self.precision == Precision::F32 || self.agreement_in_f64;
        if asked {
            self.agreement_fibres.min(MOST_JUDGED) as usize
        } else {
            0
        }
    }

    /// Runs the fibres by `drive`, whatever engine that is, judges some of them meanwhile and finishes the sink. `begun` is when the run began and how long
    /// its setup took, s.
    ///
    /// The run's own bits do not depend on the judge: it sees copies, and traces made for it do not reach the sink.
    ///
    /// # Errors
    /// If the drive fails, the sink cannot be finished, or there is no reference for the experiment.
    pub fn judged(
        &self,
        out: &mut dyn Sink,
        begun: (Instant, f64),
        cancel: &AtomicBool,
        drive: &mut Driver<'_>,
    ) -> Result<RunReport, RunError> {
        self.judged_with(out, begun, cancel, drive, None)
    }

    /// The same with what the parts of the population know already, where it was run in parts.
    pub(super) fn judged_with(
        &self,
        out: &mut dyn Sink,
        begun: (Instant, f64),
        cancel: &AtomicBool,
        drive: &mut Driver<'_>,
        known: Option<Known>,
    ) -> Result<RunReport, RunError> {
        let job = self.job();
        let wanted = self.judged_fibres();
        if wanted == 0 || self.n_fibres == 0 {
            let done = drive(job, out)?;
            return self.finish(out, done, None, begun, 0.0);
        }
        let sampling = match &self.part {
            Some(part) => Sampling::of_part(part, self.seed, wanted, self.part_candidates()),
            None => Sampling::new(
                &self.parameters,
                job.first_fibre,
                self.seed,
                wanted,
                self.counts_spikes(),
            ),
        };
        let sampling = self.as_drawn_before(sampling);
        let (tapped, samples) = match known {
            None if self.part.is_some() => (Scope::Part, None),
            None => (Scope::Whole, None),
            Some(known) => (Scope::Joined(known.turns), Some(known.judged)),
        };
        let first_fibre = job.first_fibre;
        let judge = Judge::new(&self.experiment, &self.parameters, first_fibre, cancel);
        let samples = samples.map(|judged| {
            let each = judged.into_iter().map(|j| {
                let (id, (run, samples)) = (j.fibre, j.split());
                judge.knows(id, run);
                (id, samples)
            });
            each.collect::<HashMap<_, _>>()
        });
        judge.ask(&sampling.drawn[..sampling.at_start], false);
        let threads = rayon::current_num_threads();
        // On one thread the reference has its turn when the run is over.
        let beside = if threads > 1 {
            threads.div_ceil(THREADS_PER_JUDGE).min(wanted)
        } else {
            0
        };
        let (done, kept, stepped) = std::thread::scope(|scope| {
            let _closes = Closes(&judge);
            for _ in 0..beside {
                scope.spawn(|| judge.work());
            }
            let mut tap = Tap::new(
                &mut *out,
                &judge,
                sampling.clone(),
                self.traces.as_deref(),
                job.rows_per_slab,
                tapped,
            );
            if let Some(samples) = samples {
                tap = tap.with_samples(samples);
            }
            let traces = sampling.traces(self.traces.as_deref());
            let from = tap.go_on(self.from.as_ref()).map_err(RunError::from);
            let done = from.and_then(|from| {
                drive(
                    Job {
                        traces,
                        from,
                        ..job
                    },
                    &mut tap,
                )
            });
            let stepped = Instant::now();
            if !matches!(&done, Ok(done) if !done.interrupted) {
                judge.abandon();
            }
            let kept = tap.into_kept();
            judge.close();
            // The threads of the run are free now.
            rayon::scope(|pool| {
                (0..threads.min(wanted)).for_each(|_| pool.spawn(|_| judge.work()))
            });
            (done, kept, stepped)
        });
        let mut done = done?;
        let found = match judge.found() {
            Ok(found) => found,
            Err(error) => {
                // The fibres' results are whole; only the judgement is missing.
                self.finish(out, done, None, begun, stepped.elapsed().as_secs_f64())?;
                return Err(PilotError::from(error).into());
            }
        };
        // Whoever stops the judge alone stops the run: what is left of it is the judgement.
        done.interrupted |= cancel.load(Ordering::Relaxed);
        let complete = !done.interrupted;
        if complete && self.part.is_some() {
            let of = |(asked, run): &(Asked, OneRun)| {
                let kept = kept.samples.iter().find(|(id, _)| *id == asked.id)?;
                Some(Judged::new(asked.id, kept.1.clone(), run))
            };
            let judged: Vec<Judged> = found.iter().filter_map(of).collect();
            out.part(PartRecord::Judgement(&encode(&judged)))?;
        }
        // A part may have none of the fibres that are judged.
        let compared = (complete && !found.is_empty()).then(|| {
            Comparison {
                experiment: &self.experiment,
                limits: &self.agreement_limits,
                first_fibre,
                done: &done,
                kept: &kept,
                found: &found,
            }
            .judge()
        });
        self.finish(out, done, compared, begun, stepped.elapsed().as_secs_f64())
    }

    /// Finishes the sink and tells how it went.
    pub(super) fn finish(
        &self,
        out: &mut dyn Sink,
        done: Done,
        compared: Option<(Agreement, Vec<Disagreement>)>,
        (started, setup_s): (Instant, f64),
        agreement_s: f64,
    ) -> Result<RunReport, RunError> {
        let (agreement, beyond) = compared.unzip();
        let outcome = Outcome {
            features: done.features.clone(),
            status: done.status.clone(),
            agreement: agreement.clone(),
            interrupted: done.interrupted,
        };
        let bytes_written = out.finish(&outcome)?;
        Ok(RunReport {
            done,
            agreement,
            beyond: beyond.unwrap_or_default(),
            setup_s,
            agreement_s,
            wall_s: started.elapsed().as_secs_f64(),
            bytes_written,
        })
    }
}
