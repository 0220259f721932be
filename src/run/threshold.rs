//! Which fibres stand next to a threshold: those with a peak or a trough beside it, then those whose neighbours in the varied
//! parameters have another number of spikes.
//!
//! A fibre far from every threshold hardly shows an error; one next to it may gain or lose a spike by it. So some of the
//! fibres that the reference judges are chosen there. The choice needs what part of the run gave and the parameters, nothing
//! else: the same study gives the same choice on any number of threads.

use super::sink::SpikeEvent;

/// A turning point is near the threshold within this share of the widest distance of all candidates.
const NEAR: f64 = 0.02;
/// As many as can be asked for.
const MOST_BY_TURNS: usize = 1024;
/// Neighbours of a fibre that are looked at.
const NEIGHBOURS: usize = 16;

/// The fibres among which is chosen, as points of a space in which every varied parameter counts the same.
#[derive(Clone, Debug)]
pub(super) struct Candidates {
    /// Ids, ascending.
    pub ids: Vec<u64>,
    /// Per candidate, per parameter that differs between them: its rank, 0 to 1.
    points: Vec<Vec<f64>>,
}

impl Candidates {
    /// `parameters[i]` are the varied parameters of `ids[i]`.
    pub(super) fn new(ids: Vec<u64>, parameters: &[&[f64]]) -> Self {
        let mut points = vec![Vec::new(); ids.len()];
        for column in 0..parameters.first().map_or(0, |p| p.len()) {
            let mut sorted: Vec<f64> = parameters.iter().map(|p| p[column]).collect();
            sorted.sort_by(f64::total_cmp);
            if sorted.first() == sorted.last() {
                continue;
            }
            let below = |x: f64| sorted.partition_point(|y| *y < x);
            let top = below(sorted[sorted.len() - 1]).max(1) as f64;
            for (point, p) in points.iter_mut().zip(parameters) {
                point.push(below(p[column]) as f64 / top);
            }
        }
        Candidates { ids, points }
    }

    /// Whether any parameter differs.
    pub(super) fn differ(&self) -> bool {
        self.points.first().is_some_and(|p| !p.is_empty())
    }

    /// Leaves every other candidate out.
    pub(super) fn halve(&mut self) {
        let mut keep = [true, false].into_iter().cycle();
        self.ids.retain(|_| keep.next() == Some(true));
        let mut keep = [true, false].into_iter().cycle();
        self.points.retain(|_| keep.next() == Some(true));
    }

    /// Up to `wanted` candidates next to a threshold, the nearest first, none of `known`.
    ///
    /// `turns[i]` says, per feature that counts spikes, how near a turning point of candidate `i` has come to the threshold; empty
    /// where the engine does not tell. A fibre whose peak just reaches the threshold, or just does not, gains or loses a spike by
    /// the least error. Where too few come near, the spikes before `until_ms` tell whose neighbours have other counts.
    pub(super) fn near_threshold(
        &self,
        turns: &[Vec<f64>],
        (spikes, until_ms): (&[SpikeEvent], f64),
        known: &[u64],
        wanted: usize,
    ) -> Vec<u64> {
        let mut chosen = self.by_turns(turns, known);
        chosen.truncate(wanted);
        if chosen.len() < wanted {
            let known = [known, &chosen].concat();
            let more = self.by_neighbours(spikes, until_ms, &known);
            chosen.extend(more.into_iter().take(wanted - chosen.len()));
        }
        chosen
    }

    fn by_turns(&self, turns: &[Vec<f64>], known: &[u64]) -> Vec<u64> {
        let n_features = turns.first().map_or(0, Vec::len);
        let mut scored: Vec<(f64, u64)> = Vec::new();
        for feature in 0..n_features {
            let finite = turns.iter().map(|t| t[feature]).filter(|t| t.is_finite());
            let widest = finite.fold(0.0, f64::max);
            let near = self.ids.iter().zip(turns);
            let near = near.map(|(id, t)| (t[feature] / widest, *id));
            scored.extend(near.filter(|(share, _)| *share <= NEAR));
        }
        scored.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut chosen = Vec::new();
        for (_, id) in scored {
            if !known.contains(&id) && !chosen.contains(&id) {
                chosen.push(id);
            }
            if chosen.len() == MOST_BY_TURNS {
                break;
            }
        }
        chosen
    }

    fn by_neighbours(&self, spikes: &[SpikeEvent], until_ms: f64, known: &[u64]) -> Vec<u64> {
        let features = spikes.iter().map(|s| usize::from(s.feature) + 1);
        let n_features = features.max().unwrap_or(0);
        let mut counts = vec![vec![0u32; n_features]; self.ids.len()];
        for spike in spikes.iter().filter(|s| s.time_ms < until_ms) {
            if let Ok(i) = self.ids.binary_search(&spike.fibre) {
                counts[i][usize::from(spike.feature)] += 1;
            }
        }
        if counts.iter().all(|c| *c == counts[0]) {
            return Vec::new();
        }
        let mut scored: Vec<(f64, u64)> = (0..self.ids.len())
            .filter(|&i| !known.contains(&self.ids[i]))
            .filter_map(|i| Some((self.mixed(i, &counts)?, self.ids[i])))
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.into_iter().map(|(_, id)| id).collect()
    }

    /// How much of what is next to a candidate has other counts, nearer neighbours counting more; `None` if nothing has.
    fn mixed(&self, i: usize, counts: &[Vec<u32>]) -> Option<f64> {
        let mut nearest: Vec<(f64, usize)> = Vec::with_capacity(NEIGHBOURS + 1);
        for j in (0..self.ids.len()).filter(|&j| j != i) {
            let limit = match nearest.len() {
                NEIGHBOURS => nearest[NEIGHBOURS - 1].0,
                _ => f64::INFINITY,
            };
            let mut apart = 0.0;
            for (x, y) in self.points[i].iter().zip(&self.points[j]) {
                apart += (x - y) * (x - y);
            }
            if apart < limit {
                let at = nearest.partition_point(|n| n.0 <= apart);
                nearest.insert(at, (apart, j));
                nearest.truncate(NEIGHBOURS);
            }
        }
        let (mut other, mut all) = (0.0, 0.0);
        for (apart, j) in nearest {
            let weight = 1.0 / (1e-12 + apart.sqrt());
            all += weight;
            if counts[i] != counts[j] {
                other += weight;
            }
        }
        (other > 0.0).then_some(other / all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fibres on a line; the second half has a second spike.
    fn line(n: u64) -> (Candidates, Vec<SpikeEvent>) {
        let parameters: Vec<Vec<f64>> = (0..n).map(|i| vec![i as f64, 7.0]).collect();
        let rows: Vec<&[f64]> = parameters.iter().map(Vec::as_slice).collect();
        let spike = |fibre, time_ms| SpikeEvent {
            time_ms,
            fibre,
            feature: 0,
        };
        let first = (0..n).map(|i| spike(i, 1.0));
        let second = (n / 2..n).map(|i| spike(i, 2.0));
        (
            Candidates::new((0..n).collect(), &rows),
            first.chain(second).collect(),
        )
    }

    #[test]
    fn fibres_on_both_sides_of_a_change_are_next_to_the_threshold() {
        let (candidates, spikes) = line(40);
        assert!(candidates.differ());
        let mut near = candidates.near_threshold(&[], (&spikes, f64::INFINITY), &[], 2);
        near.sort_unstable();
        assert_eq!(near, [19, 20]);
        // Those that are known already make room for the next.
        let mut next = candidates.near_threshold(&[], (&spikes, f64::INFINITY), &near, 2);
        next.sort_unstable();
        assert_eq!(next, [18, 21]);
        // Before the second spike all are alike.
        let before = candidates.near_threshold(&[], (&spikes, 1.5), &[], 2);
        assert!(before.is_empty());
    }

    #[test]
    fn a_turning_point_beside_the_threshold_comes_first() {
        let (candidates, spikes) = line(40);
        let mut turns = vec![vec![50.0, f64::INFINITY]; 40];
        (turns[30][0], turns[12][0], turns[5][0]) = (0.5, 0.25, 40.0);
        let near = candidates.near_threshold(&turns, (&spikes, f64::INFINITY), &[], 3);
        assert_eq!(near[..2], [12, 30]);
        // 5 is too far away: a neighbour of the change takes its place.
        assert!([19, 20].contains(&near[2]), "{near:?}");
    }

    #[test]
    fn what_does_not_vary_puts_nothing_apart() {
        let row: &[f64] = &[1.0, 2.0];
        assert!(!Candidates::new(vec![0, 1, 2], &[row; 3]).differ());
        let (mut candidates, _) = line(5);
        candidates.halve();
        assert_eq!(candidates.ids, [0, 2, 4]);
    }
}
