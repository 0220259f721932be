//! How far a run is from the truth: a few of its fibres beside the same fibres by the reference.
//!
//! Spikes and features of a fibre are the run's own, as they went to the sink; so are the traces of the drawn fibres. A fibre
//! next to a threshold may part from the reference for good: from there on the two are different histories, and a difference
//! between their traces says nothing of the arithmetic. So traces are compared up to there, and the parting is told as what it is.

use crate::backend::Experiment;
use crate::feature::FeatureKind;
use crate::study::Agreement as Limits;

use super::difference::Difference;
use super::driver::Done;
use super::events::events;
use super::judge::Asked;
use super::reference::OneRun;
use super::sink::{Agreement, FeatureDifference, Rerun, SpikeEvent};
use super::tap::Kept;

/// Spikes further apart are not the same spike, ms: the length of an action potential.
const SAME_SPIKE_MS: f64 = 1.0;

/// A difference beyond what the study allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Disagreement {
    /// What differs: a recorded variable or a feature; `None` for spikes.
    pub name: Option<String>,
    /// In which fibre most.
    pub fibre: u64,
    /// The whole of it, in words: what, where, how much, and what is allowed.
    pub text: String,
}

/// The times of one feature's spikes in one fibre, in both.
struct Train {
    ours: Vec<f64>,
    truth: Vec<f64>,
}

impl Train {
    /// The number of spikes that the two have in common before they part, and when they part, if they do.
    fn common(&self, apart_ms: f64) -> (usize, Option<f64>) {
        let pairs = self.ours.iter().zip(&self.truth);
        let together = pairs.take_while(|(a, b)| (*a - *b).abs() <= apart_ms);
        let n = together.count();
        let next = [self.ours.get(n), self.truth.get(n)];
        (n, next.into_iter().flatten().copied().reduce(f64::min))
    }

    fn largest_shift_ms(&self, n: usize) -> f64 {
        let shifts = self.ours.iter().zip(&self.truth).take(n);
        let shifts = shifts.map(|(a, b)| (a - b).abs());
        shifts.reduce(f64::max).unwrap_or(f64::NAN)
    }
}

/// What is compared.
pub(super) struct Comparison<'a> {
    pub experiment: &'a Experiment,
    pub limits: &'a Limits,
    /// Id of the run's first fibre.
    pub first_fibre: u64,
    /// Features of every fibre.
    pub done: &'a Done,
    /// Traces and spikes of the judged fibres.
    pub kept: &'a Kept,
    /// The same by the reference, fibres ascending.
    pub found: &'a [(Asked, OneRun)],
}

impl Comparison<'_> {
    /// The agreement, and what of it is beyond the study's limits.
    pub(super) fn judge(&self) -> (Agreement, Vec<Disagreement>) {
        let trains: Vec<Vec<Train>> = self.trains();
        let apart_ms = SAME_SPIKE_MS.max(self.limits.spike_shift_ms);
        let mut beyond = Vec::new();
        let mut overall = f64::NAN;
        let mut reruns = Vec::new();
        for ((asked, _), trains) in self.found.iter().zip(&trains) {
            let mut rerun = Rerun {
                fibre: asked.id,
                near_threshold: asked.near_threshold,
                spikes: 0,
                reference_spikes: 0,
                count_differs: false,
                spike_shift_ms: f64::NAN,
                parts_at_ms: f64::NAN,
            };
            for train in trains {
                rerun.spikes += train.ours.len() as u64;
                rerun.reference_spikes += train.truth.len() as u64;
                let (n, parts) = train.common(apart_ms);
                rerun.spike_shift_ms = rerun.spike_shift_ms.max(train.largest_shift_ms(n));
                rerun.parts_at_ms = rerun.parts_at_ms.min(parts.unwrap_or(f64::NAN));
                if train.ours.len() == train.truth.len() {
                    overall = overall.max(train.largest_shift_ms(train.ours.len()));
                } else {
                    rerun.count_differs = true;
                }
            }
            reruns.push(rerun);
        }
        let variables = self.variables(&reruns, &mut beyond);
        let features = self.features(&reruns, &mut beyond);
        self.spikes(&reruns, &mut beyond);
        let before_parting = reruns.iter().map(|r| r.spike_shift_ms);
        let agreement = Agreement {
            variables,
            features,
            spike_shift_ms: overall,
            shift_before_parting_ms: before_parting.fold(f64::NAN, f64::max),
            reruns,
        };
        (agreement, beyond)
    }

    /// Per judged fibre, per feature with spikes.
    fn trains(&self) -> Vec<Vec<Train>> {
        let kind = |f: &&crate::feature::FeatureSpec| f.kind == FeatureKind::Spikes;
        let n_features = self.experiment.features.iter().filter(kind).count();
        let times = |spikes: &[SpikeEvent], fibre: u64, feature: usize| {
            let own = |s: &&SpikeEvent| s.fibre == fibre && usize::from(s.feature) == feature;
            let mut times: Vec<f64> = spikes.iter().filter(own).map(|s| s.time_ms).collect();
            times.sort_by(f64::total_cmp);
            times
        };
        let of_fibre = |(asked, run): &(Asked, OneRun)| {
            let truth = events(self.experiment, std::iter::once(&run.spikes[..]));
            let train = |feature| Train {
                ours: times(&self.kept.spikes, asked.id, feature),
                truth: times(&truth, asked.id, feature),
            };
            (0..n_features).map(train).collect()
        };
        self.found.iter().map(of_fibre).collect()
    }

    /// Per recorded variable the largest and the RMS difference of the drawn fibres over its range, each fibre up to where it parts.
    fn variables(
        &self,
        reruns: &[Rerun],
        beyond: &mut Vec<Disagreement>,
    ) -> Vec<(String, f64, f64)> {
        let e = self.experiment;
        let (n, n_rows) = (e.n_recorded, e.n_samples);
        let drawn = || {
            let all = self.found.iter().zip(reruns);
            all.filter(|(_, rerun)| !rerun.near_threshold)
        };
        let mut variables = Vec::new();
        for v in 0..n {
            let name = e.model.variable(e.observables[v]).name.clone();
            let (mut all, mut range) = (Difference::default(), Difference::default());
            let mut worst = (0.0, 0);
            for ((asked, run), rerun) in drawn() {
                let kept = self.kept.samples.iter().find(|(id, _)| *id == asked.id);
                let Some((_, ours)) = kept else { continue };
                let mut own = Difference::default();
                for row in 0..n_rows {
                    let (x, y) = (ours[v * n_rows + row], run.samples[row * n + v]);
                    let parted = row as f64 * e.sample_every_ms >= rerun.parts_at_ms;
                    range.add(y, y);
                    // A lost fibre is reported as lost; it has nothing to compare.
                    if x.is_finite() && y.is_finite() && !parted {
                        all.add(y, x);
                        own.add(y, x);
                    }
                }
                if own.rms() > worst.0 {
                    worst = (own.rms(), asked.id);
                }
            }
            let range = range.range();
            let share = all.rms() / range;
            if share > self.limits.tolerance {
                beyond.push(Disagreement {
                    fibre: worst.1,
                    text: format!(
                        "{name} differs by {:.3} % of its range (root mean square; {:.4} % is allowed), most in fibre {}",
                        100.0 * share,
                        100.0 * self.limits.tolerance,
                        worst.1
                    ),
                    name: Some(name.clone()),
                });
            }
            variables.push((name, all.largest() / range, all.rms() / range));
        }
        variables
    }

    /// Per column of the features the largest difference, of all fibres and of the drawn ones that do not part.
    fn features(&self, reruns: &[Rerun], beyond: &mut Vec<Disagreement>) -> Vec<FeatureDifference> {
        let features = &self.experiment.features;
        let names = features.iter().flat_map(|f| f.column_names());
        let mut differences = Vec::new();
        for (c, name) in names.enumerate() {
            let (mut all, mut drawn) = (Difference::default(), Difference::default());
            let mut worst = 0;
            for ((asked, run), rerun) in self.found.iter().zip(reruns) {
                let ours = self.done.features[c][(asked.id - self.first_fibre) as usize];
                all.add(run.features[c], ours);
                if rerun.is_plain() && drawn.add(run.features[c], ours) {
                    worst = asked.id;
                }
            }
            let mut population = Difference::default();
            for &x in &self.done.features[c] {
                population.add(x, x);
            }
            let share = drawn.largest() / population.range();
            if let Some(limit) = self.limits.feature_tolerance.filter(|limit| share > *limit) {
                beyond.push(Disagreement {
                    fibre: worst,
                    text: format!(
                        "feature {name} of fibre {worst} differs by {:.3e}, {:.3} % of its range over all fibres ({:.4} % is allowed)",
                        drawn.largest(),
                        100.0 * share,
                        100.0 * limit
                    ),
                    name: Some(name.clone()),
                });
            }
            differences.push(FeatureDifference {
                name,
                largest: all.largest(),
                drawn: drawn.largest(),
            });
        }
        differences
    }

    fn spikes(&self, reruns: &[Rerun], beyond: &mut Vec<Disagreement>) {
        let limit_ms = self.limits.spike_shift_ms;
        for rerun in reruns.iter().filter(|r| !r.near_threshold) {
            let text = if rerun.count_differs {
                format!(
                    "fibre {} has {} spikes, and {} by the reference; they part at {:.1} ms",
                    rerun.fibre, rerun.spikes, rerun.reference_spikes, rerun.parts_at_ms
                )
            } else if rerun.parts_at_ms.is_finite() {
                format!(
                    "fibre {} parts from the reference at {:.1} ms: from there on its spikes come at other times",
                    rerun.fibre, rerun.parts_at_ms
                )
            } else if rerun.spike_shift_ms > limit_ms {
                format!(
                    "a spike of fibre {} is shifted by {:.4} ms ({limit_ms} ms is allowed)",
                    rerun.fibre, rerun.spike_shift_ms
                )
            } else {
                continue;
            };
            beyond.push(Disagreement {
                name: None,
                fibre: rerun.fibre,
                text,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trains_part_at_the_first_spike_without_a_partner() {
        let train = |ours: &[f64], truth: &[f64]| Train {
            ours: ours.to_vec(),
            truth: truth.to_vec(),
        };
        let same = train(&[10.0, 30.0], &[10.25, 30.5]);
        assert_eq!(same.common(1.0), (2, None));
        assert_eq!(same.largest_shift_ms(2), 0.5);
        // A spike more in the reference at 50 ms: what follows is no pair.
        let more = train(&[10.0, 30.0, 70.0], &[10.0, 30.125, 50.0, 70.0]);
        assert_eq!(more.common(1.0), (2, Some(50.0)));
        assert_eq!(more.largest_shift_ms(2), 0.125);
        let none = train(&[], &[5.0]);
        assert_eq!(none.common(1.0), (0, Some(5.0)));
        assert!(none.largest_shift_ms(0).is_nan());
        // As many spikes, and still other ones.
        assert_eq!(
            train(&[10.0, 40.0], &[10.0, 44.0]).common(1.0),
            (1, Some(40.0))
        );
    }
}
