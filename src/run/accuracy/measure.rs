//! One row of a work-precision table: a trial's fibres by lanes, against the truth.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::backend::cpu::{Cpu, Lanes, Samples, Simd, flag};
use crate::backend::{Experiment, Stepping};
use crate::ops::{Lane, Op};
use crate::program::Node;
use crate::scheme::{Control, Scheme};

use super::{COARSE, FINE_MS, Trial, TrialError, Truth};
use crate::run::driver::{Job, drive};
use crate::run::limiting::{Limit, Steps, limiting, limiting_json};
use crate::run::sink::{Discard, Precision};

/// Lanes of a block: one vector in single precision.
const LANES: usize = 16;
/// Fibres whose speed is measured: four blocks of 64 lanes and more.
const TIMED_FIBRES: usize = 256;

/// How accurate a run has to be, worst of its fibres.
#[derive(Clone, Copy, Debug)]
pub struct Targets {
    /// Root mean square error of the potential, as a share of its range.
    pub potential: f64,
    /// Shift of a spike, ms.
    pub shift_ms: f64,
    /// Error of the peak of calcium and of force, as a share of the peak.
    pub peak: f64,
}

/// What the default settings of a shipped model meet.
pub const TARGETS: Targets = Targets {
    potential: 1e-3,
    shift_ms: 0.01,
    peak: 5e-3,
};

/// Errors and costs.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Fibres that were compared: neither lost, nor next to a threshold, nor with another number of spikes.
    pub compared: usize,
    /// Fibres that the lanes lost.
    pub lost: usize,
    /// Fibres with another number of spikes than the reference's that are not next to a threshold.
    pub other_spikes: usize,
    /// Fibres next to a threshold, and how many of them have another number of spikes.
    pub on_a_hair: (usize, usize),
    /// Root mean square error of the potential as a share of its range: mean over the fibres that were compared, and worst.
    pub potential: (f64, f64),
    /// Largest shift of a spike, ms; NaN without spikes.
    pub shift_ms: f64,
    /// Largest error of the calcium's peak as a share of it; NaN where the model has none.
    pub calcium_peak: f64,
    /// Largest error of the force's peak as a share of it.
    pub force_peak: f64,
    /// Largest error of the force at the end as a share of its peak.
    pub force_end: f64,
    /// The state with the largest root mean square error as a share of its range, and that error, worst fibre. States are looked at each
    /// ms; the range is the largest of the trial and of the pilot.
    pub worst_state: (String, f64),
    /// The same of states that change by less than a hundredth of themselves: ions, which a norm of magnitudes does not see.
    pub worst_slow_state: (String, f64),
    /// The states that limit most steps of the model's own fibre in the pilot's train, see [`limiting`].
    pub limiting: Vec<Limit>,
    /// Steps, tried ones included, per fibre and ms.
    pub steps_per_ms: f64,
    /// Share of the steps that were rejected.
    pub rejected: f64,
    /// Instructions of a step.
    pub instructions: usize,
    /// Exponentials among them; logarithms, powers and the like count as one.
    pub exponentials: usize,
    /// Simulated seconds of all fibres for each second, on one thread; NaN where time was not taken.
    pub fibre_seconds_per_s: f64,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The scheme.
    pub scheme: Scheme,
    /// Its tolerance, or its step in ms.
    pub setting: f64,
    /// What came out.
    pub measured: Measured,
}

impl Measured {
    /// Instructions per fibre and ms: what a row costs, without the noise of a clock.
    pub fn cost(&self) -> f64 {
        self.steps_per_ms * self.instructions as f64
    }

    /// Whether the fibres that were compared meet the targets. A quantity that is not there meets its own.
    pub fn meets(&self, targets: &Targets) -> bool {
        let within = |x: f64, limit: f64| x.is_nan() || x <= limit;
        self.lost == 0
            && self.other_spikes == 0
            && self.compared > 0
            && self.potential.1 <= targets.potential
            && within(self.shift_ms, targets.shift_ms)
            && within(self.calcium_peak, targets.peak)
            && within(self.force_peak, targets.peak)
            && within(self.force_end, targets.peak)
    }
}

impl Row {
    /// As one object; numbers that are not there are null.
    pub fn json(&self) -> Value {
        let m = &self.measured;
        json!({
            "scheme": self.scheme.name(),
            "setting": self.setting,
            "compared": m.compared,
            "lost": m.lost,
            "other_spikes": m.other_spikes,
            "on_a_hair": m.on_a_hair.0,
            "on_a_hair_other_spikes": m.on_a_hair.1,
            "potential_rms_mean": m.potential.0,
            "potential_rms_worst": m.potential.1,
            "shift_ms": m.shift_ms,
            "calcium_peak": m.calcium_peak,
            "force_peak": m.force_peak,
            "force_end": m.force_end,
            "worst_state": m.worst_state.0,
            "worst_state_error": m.worst_state.1,
            "worst_slow_state": m.worst_slow_state.0,
            "worst_slow_state_error": m.worst_slow_state.1,
            "limiting": limiting_json(&m.limiting),
            "steps_per_ms": m.steps_per_ms,
            "rejected": m.rejected,
            "instructions": m.instructions,
            "exponentials": m.exponentials,
            "instructions_per_ms": m.cost(),
            "fibre_seconds_per_s": m.fibre_seconds_per_s,
            "meets_targets": m.meets(&TARGETS),
        })
    }
}

/// A fibre as the lanes ran it.
struct Course {
    /// `[row * quantities + k]`
    samples: Vec<f64>,
    spikes: Vec<f64>,
    lost: bool,
    accepted: u64,
    rejected: u64,
}

impl Trial {
    /// Runs the fibres with a scheme at a tolerance, or a step in ms, and the pilot's scales.
    ///
    /// # Errors
    /// If the scheme cannot be built for the model.
    pub fn measure(
        &self,
        truth: &Truth,
        (scheme, setting): (Scheme, f64),
        precision: Precision,
        timed: bool,
    ) -> Result<Row, TrialError> {
        let adaptive = matches!(scheme.control(), Control::Adaptive { .. });
        let stepping = Stepping {
            scheme,
            step_ms: if adaptive { 1.0 } else { setting },
            tolerance: if adaptive { setting } else { 1.0 },
            scales: self.pilot.scales.clone(),
            largest_step_ms: crate::backend::DEFAULT_LARGEST_STEP_MS,
        };
        let measured = match precision {
            Precision::F32 => self.measure_in::<f32>(truth, &stepping, timed),
            Precision::F64 => self.measure_in::<f64>(truth, &stepping, timed),
        }?;
        Ok(Row {
            scheme,
            setting,
            measured,
        })
    }

    fn measure_in<T: Lane>(
        &self,
        truth: &Truth,
        stepping: &Stepping,
        timed: bool,
    ) -> Result<Measured, TrialError> {
        let fine = courses::<T>(
            &self.experiment(self.watched.clone(), FINE_MS),
            stepping,
            truth,
        )?;
        let coarse_ms = COARSE as f64 * FINE_MS;
        let coarse = courses::<T>(
            &self.experiment(self.model.states.clone(), coarse_ms),
            stepping,
            truth,
        )?;
        // Fibres that the reference lost have no truth.
        let known: Vec<usize> = (0..self.fibres()).filter(|&i| truth.finished[i]).collect();
        let lost = known.iter().filter(|&&i| fine[i].lost).count();
        let (compared, others): (Vec<usize>, Vec<usize>) = known
            .into_iter()
            .filter(|&i| !fine[i].lost)
            .partition(|&i| fine[i].spikes.len() == truth.spikes[i].len());
        let steady = |i: &usize| truth.steady[*i];
        let (compared, same): (Vec<usize>, Vec<usize>) = compared.into_iter().partition(steady);
        let (others, other): (Vec<usize>, Vec<usize>) = others.into_iter().partition(steady);

        let n = self.watched.len();
        let course = |i: usize, k: usize| {
            let (ours, theirs) = (&fine[i].samples, &truth.fine[i]);
            (k..theirs.len())
                .step_by(n)
                .map(move |at| (ours[at], f64::from(theirs[at])))
        };
        let potential_range = {
            let place = self.model.states.iter().position(|&s| s == self.watched[0]);
            let all = truth.fine.iter().flat_map(|f| f.iter().step_by(n));
            let (least, most) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| {
                (a.min(f64::from(v)), b.max(f64::from(v)))
            });
            let pilots = place.map_or(0.0, |i| self.pilot.reached[i].1 - self.pilot.reached[i].0);
            (most - least).max(pilots)
        };
        let potential: Vec<f64> = compared
            .iter()
            .map(|&i| rms(course(i, 0)) / potential_range)
            .collect();
        let worst =
            |of: &dyn Fn(usize) -> f64| compared.iter().map(|&i| of(i)).fold(f64::NAN, f64::max);
        let shift = |i: usize| {
            let pairs = fine[i].spikes.iter().zip(&truth.spikes[i]);
            pairs.map(|(a, b)| (a - b).abs()).fold(f64::NAN, f64::max)
        };
        let peak = |i: usize, k: usize| {
            course(i, k).fold((f64::NEG_INFINITY, f64::NEG_INFINITY), |(a, b), (x, y)| {
                (a.max(x), b.max(y))
            })
        };
        let peak_error = |k: Option<usize>| match k {
            Some(k) => worst(&|i| {
                let (ours, theirs) = peak(i, k);
                (ours - theirs).abs() / theirs.abs()
            }),
            None => f64::NAN,
        };
        let calcium = self.has_calcium.then_some(1);
        let force = self.has_force.then_some(1 + usize::from(self.has_calcium));
        let force_end = force.map_or(f64::NAN, |k| {
            worst(&|i| {
                let (ours, theirs) = course(i, k).next_back().unwrap_or((f64::NAN, f64::NAN));
                (ours - theirs).abs() / peak(i, k).1.abs()
            })
        });
        let (worst_state, worst_slow_state) = self.worst_states(truth, &coarse, &compared);

        let steps: u64 = fine.iter().map(|c| c.accepted + c.rejected).sum();
        let rejected: u64 = fine.iter().map(|c| c.rejected).sum();
        let simulated_ms = self.fibres() as f64 * self.occasion.duration_ms();
        let timed_experiment = Experiment {
            n_recorded: 0,
            n_samples: 0,
            ..self.experiment(self.watched[..1].to_vec(), self.occasion.duration_ms())
        };
        let cpu = Cpu::<T>::new(&timed_experiment, stepping, Simd::best())?;
        let (instructions, exponentials) = count(&cpu.step_program().program.nodes);
        let fibre_seconds_per_s = if timed {
            self.speed(&cpu, &timed_experiment, truth)?
        } else {
            f64::NAN
        };
        Ok(Measured {
            compared: compared.len(),
            lost,
            other_spikes: others.len(),
            on_a_hair: (same.len() + other.len(), other.len()),
            potential: (
                potential.iter().sum::<f64>() / potential.len().max(1) as f64,
                potential.iter().copied().fold(f64::NAN, f64::max),
            ),
            shift_ms: worst(&shift),
            calcium_peak: peak_error(calcium),
            force_peak: peak_error(force),
            force_end,
            worst_state,
            worst_slow_state,
            limiting: limiting(
                &self.model,
                &Steps {
                    scheme: stepping.scheme,
                    scales: &stepping.scales,
                    tolerance: stepping.tolerance,
                    largest_step_ms: stepping.largest_step_ms,
                },
            )?,
            steps_per_ms: steps as f64 / simulated_ms,
            rejected: rejected as f64 / steps.max(1) as f64,
            instructions,
            exponentials,
            fibre_seconds_per_s,
        })
    }

    /// The worst of all states, and of those that move by less than a hundredth of themselves.
    fn worst_states(
        &self,
        truth: &Truth,
        coarse: &[Course],
        compared: &[usize],
    ) -> ((String, f64), (String, f64)) {
        let n = self.model.states.len();
        let mut worst = (String::new(), 0.0);
        let mut worst_slow = (String::new(), 0.0);
        for (state, &id) in self.model.states.iter().enumerate() {
            let (least, most) = self.pilot.reached[state];
            let spans = compared.iter().map(|&i| {
                let own = truth.coarse[i].iter().skip(state).step_by(n);
                let (a, b) = own.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &y| {
                    (a.min(y), b.max(y))
                });
                b - a
            });
            let range = spans.fold(most - least, f64::max);
            // What stands still has no change that could be wrong.
            if range <= 1e-12 * least.abs().max(most.abs()) {
                continue;
            }
            let errors = compared.iter().map(|&i| {
                let pairs = coarse[i].samples.iter().zip(&truth.coarse[i]);
                rms(pairs.skip(state).step_by(n).map(|(&x, &y)| (x, y))) / range
            });
            let error = errors.fold(0.0, f64::max);
            let name = || self.model.variable(id).name.clone();
            if error > worst.1 {
                worst = (name(), error);
            }
            if range < 0.01 * least.abs().max(most.abs()) && error > worst_slow.1 {
                worst_slow = (name(), error);
            }
        }
        (worst, worst_slow)
    }

    /// Simulated seconds for each second on one thread.
    fn speed<T: Lane>(
        &self,
        cpu: &Cpu<T>,
        experiment: &Experiment,
        truth: &Truth,
    ) -> Result<f64, TrialError> {
        let parameters: Vec<Vec<f64>> = truth
            .parameters
            .iter()
            .cycle()
            .take(TIMED_FIBRES)
            .cloned()
            .collect();
        let job = Job {
            first_fibre: 0,
            parameters,
            traces: Some(Vec::new()),
            rows_per_slab: 1,
            threads: 1,
            checkpoint_every: Duration::MAX,
            from: None,
        };
        let run = || {
            drive(
                cpu,
                experiment,
                job,
                &mut Discard,
                &|_| (),
                &AtomicBool::new(false),
            )
        };
        let done = match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
            Ok(one) => one.install(run),
            Err(_) => return Ok(f64::NAN),
        }?;
        let simulated_s = TIMED_FIBRES as f64 * self.occasion.duration_ms() / 1e3;
        Ok(simulated_s / done.compute_s)
    }
}

/// The fibres of the truth by lanes, in blocks over all threads.
fn courses<T: Lane>(
    experiment: &Experiment,
    stepping: &Stepping,
    truth: &Truth,
) -> Result<Vec<Course>, TrialError> {
    let cpu = Cpu::<T>::new(experiment, stepping, Simd::best())?;
    let (n, n_rows) = (experiment.n_recorded, experiment.n_samples);
    let blocks: Vec<Vec<Course>> = truth
        .parameters
        .par_chunks(LANES)
        .map(|block| {
            let fibres = block.len();
            let mut group = cpu.start(0, block.to_vec());
            let trace_of: Vec<Option<u32>> = (0..fibres as u32).map(Some).collect();
            let mut values = vec![T::of(f64::NAN); n * n_rows * fibres];
            let mut spikes = Vec::new();
            let samples = Samples {
                first_row: 0,
                n_rows,
                n_traces: fibres,
                trace_of: &trace_of,
                values: &mut values,
            };
            let mut lanes = Lanes::new(&cpu, LANES);
            cpu.advance(&mut group, &mut lanes, samples, true, &mut spikes, &|| {
                false
            });
            (0..fibres)
                .map(|i| Course {
                    samples: (0..n_rows)
                        .flat_map(|row| (0..n).map(move |k| (k * n_rows + row) * fibres + i))
                        .map(|at| values[at].f64())
                        .collect(),
                    spikes: spikes
                        .iter()
                        .filter(|s| s.fibre == i as u64)
                        .map(|s| s.time_ms)
                        .collect(),
                    lost: group.clocks[i].flags & flag::LOST != 0,
                    accepted: group.clocks[i].accepted,
                    rejected: group.clocks[i].rejected,
                })
                .collect()
        })
        .collect();
    Ok(blocks.into_iter().flatten().collect())
}

/// The root mean square difference; infinite where a value is missing.
fn rms(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (sum, n) = pairs.fold((0.0, 0u64), |(sum, n), (x, y)| {
        let square = (x - y) * (x - y);
        let square = if square.is_nan() {
            f64::INFINITY
        } else {
            square
        };
        (sum + square, n + 1)
    });
    (sum / n.max(1) as f64).sqrt()
}

/// Instructions, and how many of them are exponentials or as costly.
fn count(nodes: &[Node]) -> (usize, usize) {
    let ops = nodes.iter().filter_map(|node| match node {
        Node::Apply(op, _) => Some(*op),
        Node::Constant(_) | Node::Input(_) => None,
    });
    ops.fold((0, 0), |(all, costly), op| {
        let is_costly = matches!(
            op,
            Op::Exp
                | Op::BoundedExp
                | Op::BoundedExp2
                | Op::Log
                | Op::Log10
                | Op::Pow
                | Op::Sin
                | Op::Cos
                | Op::Tan
                | Op::Asin
                | Op::Acos
                | Op::Atan
                | Op::Bernoulli
                | Op::MeanExp
                | Op::BernoulliSlope
        );
        (all + 1, costly + usize::from(is_costly))
    })
}
