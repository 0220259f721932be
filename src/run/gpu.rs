//! The driver of the GPU backend: batches of fibres moved slab by slab, what they give handed on by a thread of its own, so that
//! the device computes while the file is written.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::backend::gpu::{Gpu, GpuError, Image, Members, Population, SlabSamples};
use crate::backend::{Experiment, Spike};
use crate::feature::Gathered;
use crate::ops::Lane;

use super::checkpoint::does_not_fit;
use super::device_state::{self, Begun, Standstill};
use super::driver::{AT_THE_END, Done, Job, Progress, place_traces, within_group};
use super::events::events;
use super::lanes_state::Shape;
use super::sink::{FibreStatus, PartRecord, Samples, Sink, SinkError, SpikeEvent};

/// Slabs that may wait to be written.
const WAITING_SLABS: usize = 2;

/// Why a run on a device failed. What was handed over before stays.
#[derive(Debug, thiserror::Error)]
pub enum DeviceRunError {
    /// The device.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The result could not be stored.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// What goes to the writing thread.
enum Parcel<T> {
    /// A slab's samples, `[variable][row][trace]`, and its events.
    Slab {
        first_row: usize,
        end_row: usize,
        values: Vec<T>,
        found: Found,
    },
    Checkpoint(Vec<u8>),
}

/// What a slab gives beside samples.
#[derive(Default)]
struct Found {
    events: Vec<SpikeEvent>,
    /// What the features have gathered, fibre by fibre, where the sink wants to know.
    gathered: Option<Vec<Gathered>>,
}

/// Where a run goes on, and its fibres.
type Start<T> = (Standstill<T>, Image<T>);

/// How the fibres are dealt into batches.
struct Batches {
    /// Fibres of each batch but the last.
    size: usize,
    n: usize,
}

/// Runs every fibre to the end of the schedule, or until `cancel` is set.
///
/// # Errors
/// If the device fails or the sink cannot take what it is handed.
pub fn drive_gpu<T: Lane>(
    gpu: &Gpu<T>,
    experiment: &Experiment,
    job: &Job,
    out: &mut dyn Sink,
    progress: &(dyn Fn(Progress) + Sync),
    cancel: &AtomicBool,
) -> Result<Done, DeviceRunError> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Parcel<T>>(WAITING_SLABS);
        let shape = Handed {
            n_recorded: experiment.n_recorded,
            n_features: experiment.features.len(),
            rows_per_slab: job.rows_per_slab.max(1),
            first_fibre: job.first_fibre,
        };
        let wants_gathered = out.wants_gathered().to_vec();
        let writer = scope.spawn(move || -> Result<(), SinkError> {
            for parcel in receiver {
                hand_over(parcel, shape, out)?;
            }
            Ok(())
        });
        let moved = Drive {
            gpu,
            experiment,
            job,
            progress,
            cancel,
            sender,
            wants_gathered,
        }
        .run();
        let written = writer
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A sink that fails closes the channel; its own words say more.
        written?;
        moved
    })
}

/// What the writing thread has to know of a run.
#[derive(Clone, Copy)]
struct Handed {
    n_recorded: usize,
    n_features: usize,
    rows_per_slab: usize,
    first_fibre: u64,
}

fn hand_over<T: Lane>(parcel: Parcel<T>, run: Handed, out: &mut dyn Sink) -> Result<(), SinkError> {
    let Handed {
        n_recorded,
        n_features,
        rows_per_slab,
        first_fibre,
    } = run;
    match parcel {
        Parcel::Slab {
            first_row,
            end_row,
            values,
            found: Found { events, gathered },
        } => {
            let per_variable = values.len() / n_recorded.max(1);
            for variable in 0..n_recorded {
                let rows = &values[variable * per_variable..][..per_variable];
                out.write_rows(variable, first_row, Samples::of(rows))?;
            }
            out.write_events(&events)?;
            out.part(PartRecord::Slab {
                slab: first_row / rows_per_slab,
                events: events.len(),
            })?;
            if let Some(gathered) = gathered {
                out.gathered(&|fibre| {
                    &gathered[(fibre - first_fibre) as usize * n_features..][..n_features]
                });
            }
            out.commit(if n_recorded == 0 { 0 } else { end_row })
        }
        Parcel::Checkpoint(bytes) => out.checkpoint(&[&bytes]).map(|_| ()),
    }
}

struct Drive<'a, T> {
    gpu: &'a Gpu<T>,
    experiment: &'a Experiment,
    job: &'a Job,
    progress: &'a (dyn Fn(Progress) + Sync),
    cancel: &'a AtomicBool,
    sender: SyncSender<Parcel<T>>,
    /// Shares of the rows after which the sink wants to be told what the features have gathered.
    wants_gathered: Vec<f64>,
}

impl<T: Lane> Drive<'_, T> {
    fn run(self) -> Result<Done, DeviceRunError> {
        let n_fibres = self.job.parameters.len();
        let trace_of = place_traces(self.job.first_fibre, n_fibres, self.job.traces.as_deref());
        let started = Instant::now();
        let from = self.from()?;
        let (batches, first) = self.batches(&trace_of)?;
        let mut done = Done::default();
        if batches.n == 1 {
            self.run_resident(first, from, &trace_of, &mut done)?;
        } else {
            self.run_paged(first, from, &batches, &trace_of, &mut done)?;
        }
        done.compute_s = started.elapsed().as_secs_f64();
        Ok(done)
    }

    fn members<'m>(&'m self, fibres: std::ops::Range<usize>, own: &'m Own) -> Members<'m> {
        Members {
            first: self.job.first_fibre + fibres.start as u64,
            parameters: &self.job.parameters[fibres],
            trace_of: &own.trace_of,
            n_traces: own.n,
            rows_per_slab: self.job.rows_per_slab,
        }
    }

    /// The largest batches that the device's memory takes, and the first of them in it.
    fn batches(&self, trace_of: &[Option<u32>]) -> Result<(Batches, Population<'_, T>), GpuError> {
        let n_fibres = self.job.parameters.len();
        let mut n = n_fibres.div_ceil(self.gpu.most_fibres()).max(1);
        loop {
            let size = n_fibres.div_ceil(n).max(1);
            let own = Own::new(&trace_of[..size.min(n_fibres)]);
            match self
                .gpu
                .populate(&self.members(0..size.min(n_fibres), &own))
            {
                Ok(population) => return Ok((Batches { size, n }, population)),
                // Smaller batches, as long as one is worth its dispatch.
                Err(GpuError::Memory { .. }) if size > 1024 => n *= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// Slabs of rows: first, one past the last, and whether the fibres go on to the end.
    fn slabs(&self) -> Vec<(usize, usize, bool)> {
        let (n_samples, per_slab) = (self.experiment.n_samples, self.rows_per_slab());
        let n = n_samples.div_ceil(per_slab).max(1);
        (0..n)
            .map(|k| {
                let first = k * per_slab;
                (first, (first + per_slab).min(n_samples), k + 1 == n)
            })
            .collect()
    }

    fn rows_per_slab(&self) -> usize {
        if self.experiment.n_recorded == 0 && self.job.checkpoint_every == Duration::MAX {
            self.experiment.n_samples.max(1)
        } else {
            self.job.rows_per_slab.max(1)
        }
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    fn shape(&self) -> Shape {
        Shape {
            n_fibres: self.job.parameters.len(),
            n_samples: self.experiment.n_samples,
            n_recorded: self.experiment.n_recorded,
            n_features: self.experiment.features.len(),
            rows_per_slab: self.job.rows_per_slab,
        }
    }

    /// Where the run goes on, and its fibres; nothing where it begins.
    fn from(&self) -> Result<Option<Start<T>>, DeviceRunError> {
        let Some(bytes) = &self.job.from else {
            return Ok(None);
        };
        let slabs = self.slabs();
        let restored = device_state::restore(self.gpu, self.shape(), bytes, self.job.first_fibre);
        let fits =
            |(at, _): &Start<T>| at.slab <= slabs.len() && at.rows_per_slab == self.rows_per_slab();
        let restored = restored.filter(fits).ok_or_else(does_not_fit)?;
        Ok(Some(restored))
    }

    fn is_due(&self, last_checkpoint: Instant) -> bool {
        last_checkpoint.elapsed() >= self.job.checkpoint_every
    }

    /// Writes down where the run stands.
    fn checkpoint(&self, images: &[Image<T>], slab: usize, n_events: u64, begun: Option<Begun<T>>) {
        let at = Standstill {
            slab,
            rows_per_slab: self.rows_per_slab(),
            n_events,
            begun,
        };
        let bytes = device_state::save(self.shape(), &at, images, self.job.first_fibre);
        self.hand(Parcel::Checkpoint(bytes));
    }

    /// All fibres stay in the device's memory.
    fn run_resident(
        &self,
        mut population: Population<'_, T>,
        from: Option<Start<T>>,
        trace_of: &[Option<u32>],
        done: &mut Done,
    ) -> Result<(), GpuError> {
        let slabs = self.slabs();
        let records = self.experiment.n_recorded > 0 && trace_of.iter().any(Option::is_some);
        let mut pending: Option<Found> = None;
        let mut last_checkpoint = Instant::now();
        let (mut start, mut begun) = (0, None);
        if let Some((at, image)) = from {
            let own = Own::new(trace_of);
            population.upload(&self.gpu.part(&image, 0..trace_of.len(), &own.trace_of));
            done.n_events = at.n_events;
            (start, begun) = (at.slab, at.begun);
        }
        'slabs: for (k, &(first_row, end_row, to_end)) in slabs.iter().enumerate().skip(start) {
            let (rows, mut waiting) = ((first_row, end_row), pending.take());
            let mut spikes = Vec::new();
            match begun.take() {
                Some(found) => {
                    population.put_unfinished(&found.values);
                    spikes = found.spikes;
                }
                None => population.clear(rows),
            }
            loop {
                // The fibres move on however short the time between checkpoints.
                let asked = Cell::new(false);
                let stop =
                    || self.cancelled() || (asked.replace(true) && self.is_due(last_checkpoint));
                let moved = population.go_on(rows, to_end, &stop, &mut |samples| {
                    self.send(samples, waiting.take().unwrap_or_default());
                })?;
                spikes.extend(moved.spikes);
                if moved.whole {
                    break;
                }
                let found = Begun {
                    values: population.unfinished(rows)?,
                    spikes: spikes.clone(),
                };
                self.checkpoint(&[population.download()?], k, done.n_events, Some(found));
                last_checkpoint = Instant::now();
                if self.cancelled() {
                    done.interrupted = true;
                    break 'slabs;
                }
            }
            let events = self.events(spikes);
            done.n_events += events.len() as u64;
            let gathered = match self.is_wanted(first_row, end_row) {
                true => Some(self.gathered(&[population.download()?])),
                false => None,
            };
            let found = Found { events, gathered };
            if records {
                pending = Some(found);
            } else {
                self.send(
                    SlabSamples {
                        first_row,
                        end_row,
                        values: Vec::new(),
                    },
                    found,
                );
            }
            let share = if to_end { AT_THE_END } else { 1 };
            if last_checkpoint.elapsed() >= self.job.checkpoint_every / share {
                // The samples of this slab go before what comes after it.
                if let Some(samples) = population.samples()? {
                    self.send(samples, pending.take().unwrap_or_default());
                }
                self.checkpoint(&[population.download()?], k + 1, done.n_events, None);
                last_checkpoint = Instant::now();
            }
            (self.progress)(Progress {
                share: (k + 1) as f64 / slabs.len() as f64,
                rows: end_row,
            });
        }
        if !done.interrupted
            && let Some(samples) = population.samples()?
        {
            self.send(samples, pending.take().unwrap_or_default());
        }
        let image = population.download()?;
        self.account(&image, done);
        Ok(())
    }

    /// Batches take turns in the device's memory; between their turns they lie in the machine's. Checkpoints are taken when all have had theirs.
    fn run_paged(
        &self,
        mut population: Population<'_, T>,
        from: Option<Start<T>>,
        batches: &Batches,
        trace_of: &[Option<u32>],
        done: &mut Done,
    ) -> Result<(), DeviceRunError> {
        let n_fibres = self.job.parameters.len();
        let fibres: Vec<std::ops::Range<usize>> = (0..batches.n)
            .map(|b| b * batches.size..((b + 1) * batches.size).min(n_fibres))
            .filter(|r| !r.is_empty())
            .collect();
        let own: Vec<Own> = fibres
            .iter()
            .map(|r| Own::new(&trace_of[r.clone()]))
            .collect();
        let mut start = 0;
        let each = fibres.iter().zip(&own);
        let mut images: Vec<Image<T>> = match from {
            None => each
                .map(|(r, own)| self.gpu.start(&self.members(r.clone(), own)))
                .collect(),
            // A device with more memory may have been in the middle of a slab.
            Some((at, _)) if at.begun.is_some() => return Err(does_not_fit().into()),
            Some((at, image)) => {
                (start, done.n_events) = (at.slab, at.n_events);
                each.map(|(r, own)| self.gpu.part(&image, r.clone(), &own.trace_of))
                    .collect()
            }
        };
        let slabs = self.slabs();
        let n_traces: usize = own.iter().map(|o| o.n).sum();
        let mut last_checkpoint = Instant::now();
        'slabs: for (k, &(first_row, end_row, to_end)) in slabs.iter().enumerate().skip(start) {
            let n_rows = end_row - first_row;
            let mut values = vec![T::of(f64::NAN); self.experiment.n_recorded * n_rows * n_traces];
            let mut spikes = Vec::new();
            let mut column = 0;
            for (b, image) in images.iter_mut().enumerate() {
                population.exchange(&self.members(fibres[b].clone(), &own[b]), image);
                let found = population.advance(
                    (first_row, end_row),
                    to_end,
                    &|| self.cancelled(),
                    &mut |_| {},
                )?;
                if self.cancelled() {
                    done.interrupted = true;
                    break 'slabs;
                }
                spikes.extend(found);
                if let Some(samples) = population.samples()? {
                    for (row, part) in samples.values.chunks(own[b].n.max(1)).enumerate() {
                        values[row * n_traces + column..][..part.len()].copy_from_slice(part);
                    }
                }
                column += own[b].n;
                *image = population.download()?;
                (self.progress)(Progress {
                    share: (k as f64 + (b + 1) as f64 / fibres.len() as f64) / slabs.len() as f64,
                    rows: first_row,
                });
            }
            let events = self.events(spikes);
            done.n_events += events.len() as u64;
            let wanted = self.is_wanted(first_row, end_row);
            let gathered = wanted.then(|| self.gathered(&images));
            self.send(
                SlabSamples {
                    first_row,
                    end_row,
                    values,
                },
                Found { events, gathered },
            );
            let share = if to_end { AT_THE_END } else { 1 };
            if last_checkpoint.elapsed() >= self.job.checkpoint_every / share {
                self.checkpoint(&images, k + 1, done.n_events, None);
                last_checkpoint = Instant::now();
            }
        }
        for image in &images {
            self.account(image, done);
        }
        Ok(())
    }

    /// Whether the sink wants to know what the features have gathered when these rows are done.
    fn is_wanted(&self, first_row: usize, end_row: usize) -> bool {
        let share = |rows: usize| rows as f64 / self.experiment.n_samples as f64;
        let (before, now) = (share(first_row), share(end_row));
        let mut wants = self.wants_gathered.iter();
        wants.any(|&wanted| before < wanted && wanted <= now)
    }

    /// What the features have gathered, fibre by fibre.
    fn gathered(&self, images: &[Image<T>]) -> Vec<Gathered> {
        let standings = images.iter().flat_map(|image| self.gpu.standings(image));
        standings.flat_map(|standing| standing.gathered).collect()
    }

    fn send(&self, samples: SlabSamples<T>, found: Found) {
        self.hand(Parcel::Slab {
            first_row: samples.first_row,
            end_row: samples.end_row,
            values: samples.values,
            found,
        });
    }

    fn hand(&self, parcel: Parcel<T>) {
        if self.sender.send(parcel).is_err() {
            // The writing thread has ended with an error, which it tells when it is joined; there is no more to be done.
            self.cancel.store(true, Ordering::Relaxed);
        }
    }

    fn events(&self, spikes: Vec<Spike>) -> Vec<SpikeEvent> {
        events(self.experiment, std::iter::once(&spikes[..]))
    }

    fn account(&self, image: &Image<T>, done: &mut Done) {
        let columns: usize = self
            .experiment
            .features
            .iter()
            .map(|f| f.column_names().len())
            .sum();
        done.features.resize(columns, Vec::new());
        for standing in self.gpu.standings(image) {
            done.accepted += standing.accepted;
            done.rejected += standing.rejected;
            done.at_floor += standing.at_floor;
            done.status.push(match standing.lost {
                Some((at_ms, variable)) => FibreStatus::Lost { at_ms, variable },
                None if standing.finished && !done.interrupted => FibreStatus::Finished,
                None => FibreStatus::Stopped,
            });
            let values = self
                .experiment
                .features
                .iter()
                .zip(&standing.gathered)
                .flat_map(|(spec, gathered)| spec.values(gathered));
            for (column, value) in done.features.iter_mut().zip(values) {
                column.push(value);
            }
        }
    }
}

/// The traces of a batch, numbered from 0.
struct Own {
    trace_of: Vec<Option<u32>>,
    n: usize,
}

impl Own {
    fn new(trace_of: &[Option<u32>]) -> Self {
        let (trace_of, n) = within_group(trace_of);
        Own { trace_of, n }
    }
}
