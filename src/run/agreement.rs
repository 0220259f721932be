//! How far a run is from the truth: a few of its fibres once more, by the reference, in double precision and at tight tolerance.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::backend::cpu::{Cpu, Lanes, Samples};
use crate::backend::gpu::{Gpu, GpuError, Members};
use crate::backend::reference::Reference;
use crate::backend::{Experiment, Spike};
use crate::feature::Gathered;
use crate::ops::Lane;

use super::difference::{Difference, SpikeWindow, pair_spikes};
use super::driver::events;
use super::reference::run_one;
use super::sink::Agreement;

/// One fibre's results, by either backend.
struct Course {
    /// `[row][variable]`
    samples: Vec<f64>,
    features: Vec<f64>,
    /// In any order.
    spikes: Vec<Spike>,
}

/// What ran the fibres that are to be judged.
#[derive(Clone, Copy, Debug)]
pub enum Engine<'a, T> {
    /// Lanes of the CPU.
    Cpu(&'a Cpu<T>),
    /// Invocations of a device.
    Gpu(&'a Gpu<T>),
}

/// Runs these fibres (id and varied parameters) with both backends and compares. `None` if it was cancelled.
///
/// # Errors
/// If a device fails.
pub fn agreement<T: Lane>(
    engine: Engine<'_, T>,
    reference: &Reference,
    experiment: &Experiment,
    fibres: &[(u64, Vec<f64>)],
    cancel: &AtomicBool,
) -> Result<Option<Agreement>, GpuError> {
    let cancelled = || cancel.load(Ordering::Relaxed);
    let truth: Vec<Course> = fibres
        .par_iter()
        .map(|(id, parameters)| {
            let run = run_one(reference, experiment, *id, parameters, true, &cancelled);
            Course {
                samples: run.samples,
                features: run.features,
                spikes: run.spikes,
            }
        })
        .collect();
    let ours = match engine {
        Engine::Cpu(cpu) => by_lanes(cpu, experiment, fibres, &cancelled),
        Engine::Gpu(gpu) => by_device(gpu, experiment, fibres, &cancelled)?,
    };
    if cancelled() {
        return Ok(None);
    }
    Ok(Some(compare(experiment, fibres, &ours, &truth)))
}

fn by_lanes<T: Lane>(
    cpu: &Cpu<T>,
    experiment: &Experiment,
    fibres: &[(u64, Vec<f64>)],
    cancelled: &dyn Fn() -> bool,
) -> Vec<Course> {
    let mut group = cpu.start(0, fibres.iter().map(|f| f.1.clone()).collect());
    let mut lanes = Lanes::new(cpu, 16);
    let trace_of: Vec<Option<u32>> = (0..fibres.len() as u32).map(Some).collect();
    let (n_rows, n_traces, n) = (experiment.n_samples, fibres.len(), experiment.n_recorded);
    let mut values = vec![T::of(f64::NAN); n * n_rows * n_traces];
    let mut spikes = Vec::new();
    let samples = Samples {
        first_row: 0,
        n_rows,
        n_traces,
        trace_of: &trace_of,
        values: &mut values,
    };
    cpu.advance(
        &mut group,
        &mut lanes,
        samples,
        true,
        &mut spikes,
        cancelled,
    );
    let gathered = group.gathered.chunks(experiment.features.len().max(1));
    let mut features: Vec<Vec<f64>> = gathered.map(|g| columns(experiment, g)).collect();
    features.resize(fibres.len(), Vec::new());
    courses(experiment, &values, &features, &spikes)
}

/// The same by a device: a few invocations more, with the bits that these fibres had in the run.
fn by_device<T: Lane>(
    gpu: &Gpu<T>,
    experiment: &Experiment,
    fibres: &[(u64, Vec<f64>)],
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Course>, GpuError> {
    let parameters: Vec<Vec<f64>> = fibres.iter().map(|f| f.1.clone()).collect();
    let trace_of: Vec<Option<u32>> = (0..fibres.len() as u32).map(Some).collect();
    let mut population = gpu.populate(&Members {
        first: 0,
        parameters: &parameters,
        trace_of: &trace_of,
        n_traces: fibres.len(),
        rows_per_slab: experiment.n_samples,
    })?;
    let rows = (0, experiment.n_samples);
    let spikes = population.advance(rows, true, cancelled, &mut |_| {})?;
    let values = population.samples()?.map_or(Vec::new(), |s| s.values);
    let features: Vec<Vec<f64>> = gpu
        .standings(&population.download()?)
        .iter()
        .map(|standing| columns(experiment, &standing.gathered))
        .collect();
    Ok(courses(experiment, &values, &features, &spikes))
}

fn columns(experiment: &Experiment, gathered: &[Gathered]) -> Vec<f64> {
    let features = experiment.features.iter().zip(gathered);
    features.flat_map(|(f, g)| f.values(g)).collect()
}

/// One course a fibre, of samples `[variable][row][fibre]`.
fn courses<T: Lane>(
    experiment: &Experiment,
    values: &[T],
    features: &[Vec<f64>],
    spikes: &[Spike],
) -> Vec<Course> {
    let (n_rows, n_traces, n) = (experiment.n_samples, features.len(), experiment.n_recorded);
    (0..n_traces)
        .map(|i| Course {
            samples: (0..n_rows)
                .flat_map(|row| (0..n).map(move |v| (row, v)))
                .map(|(row, v)| values[(v * n_rows + row) * n_traces + i].f64())
                .collect(),
            features: features[i].clone(),
            spikes: spikes
                .iter()
                .copied()
                .filter(|s| s.fibre == i as u64)
                .collect(),
        })
        .collect()
}

fn compare(
    experiment: &Experiment,
    fibres: &[(u64, Vec<f64>)],
    ours: &[Course],
    truth: &[Course],
) -> Agreement {
    let name = |v: usize| {
        experiment
            .model
            .variable(experiment.observables[v])
            .name
            .clone()
    };
    let n = experiment.n_recorded;
    let variables = (0..n)
        .map(|v| {
            let mut difference = Difference::default();
            for (a, b) in ours.iter().zip(truth) {
                for at in (v..b.samples.len()).step_by(n) {
                    let (x, y) = (a.samples[at], b.samples[at]);
                    // A lost fibre is reported as lost; it has nothing to compare.
                    if x.is_finite() && y.is_finite() {
                        difference.add(y, x);
                    }
                }
            }
            let range = difference.range();
            (
                name(v),
                difference.largest() / range,
                difference.rms() / range,
            )
        })
        .collect();
    let columns = experiment.features.iter().flat_map(|f| f.column_names());
    let features = columns
        .enumerate()
        .map(|(c, name)| {
            let mut difference = Difference::default();
            for (a, b) in ours.iter().zip(truth) {
                difference.add(b.features[c], a.features[c]);
            }
            (name, difference.largest())
        })
        .collect();
    let spikes = |courses: &[Course]| {
        let of = |(course, (id, _)): (&Course, &(u64, Vec<f64>))| {
            let fibre = *id;
            let own = |s: &Spike| Spike { fibre, ..*s };
            course.spikes.iter().map(own).collect::<Vec<_>>()
        };
        let all = courses.iter().zip(fibres).flat_map(of).collect();
        events(experiment, &[(Vec::<f64>::new(), 0, all)])
    };
    let window = SpikeWindow {
        coincident_ms: 0.0,
        until_ms: f64::INFINITY,
    };
    let pairing = pair_spikes(spikes(truth), spikes(ours), window);
    Agreement {
        fibres: fibres.iter().map(|f| f.0).collect(),
        variables,
        features,
        spike_shift_ms: pairing.largest_ms(),
        spike_count_differs: pairing.count_differs,
    }
}
