//! How far two runs of the same fibres are apart: pair by pair for quantities and features, spike by spike for trains.
//!
//! The arithmetic that the check against the reference and the comparison of two files share. The first run of a pair is
//! the one that is believed: its range is what differences are divided by.
//!
//! ```
//! use sarcolemma::run::difference::Difference;
//! let mut v = Difference::default();
//! for (truth, other) in [(-80.0, -80.0), (20.0, 21.0), (f64::NAN, f64::NAN)] {
//!     v.add(truth, other);
//! }
//! assert_eq!((v.largest(), v.range()), (1.0, 100.0));
//! assert_eq!(v.rms(), 0.5f64.sqrt());
//! ```

use super::sink::SpikeEvent;

/// A quantity that hardly moves is judged against this share of its magnitude instead of its range.
pub const LEAST_RANGE: f64 = 0.01;

/// Differences of one quantity, added pair by pair.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    least: f64,
    most: f64,
    largest: f64,
    squares: f64,
    pairs: u64,
    missing: u64,
}

impl Default for Difference {
    fn default() -> Self {
        Difference {
            least: f64::INFINITY,
            most: f64::NEG_INFINITY,
            largest: 0.0,
            squares: 0.0,
            pairs: 0,
            missing: 0,
        }
    }
}

impl Difference {
    /// Adds a value of the first run and its partner in the second. Values that are not finite agree if they are the same, NaN
    /// with NaN; one that is finite in one run only is missing in the other. Returns whether the two are further apart than
    /// any pair before: the first missing value is, and none after it.
    pub fn add(&mut self, first: f64, second: f64) -> bool {
        if first.is_finite() {
            self.least = self.least.min(first);
            self.most = self.most.max(first);
        }
        if !(first.is_finite() && second.is_finite()) {
            let agree = (first.is_nan() && second.is_nan()) || first == second;
            self.missing += u64::from(!agree);
            return !agree && self.missing == 1;
        }
        let apart = (first - second).abs();
        self.squares += apart * apart;
        self.pairs += 1;
        let further = apart > self.largest;
        self.largest = self.largest.max(apart);
        further && self.missing == 0
    }

    /// Number of pairs with a finite value in both.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// Number of values that are in one run only.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// The largest difference, in the quantity's unit; infinite where a value is missing in one run.
    pub fn largest(&self) -> f64 {
        if self.missing > 0 {
            f64::INFINITY
        } else {
            self.largest
        }
    }

    /// The largest difference among the values that are in both runs.
    pub fn largest_paired(&self) -> f64 {
        self.largest
    }

    /// The root of the mean square difference; infinite where a value is missing in one run.
    pub fn rms(&self) -> f64 {
        if self.missing > 0 {
            f64::INFINITY
        } else {
            self.rms_paired()
        }
    }

    /// The root of the mean square difference of the values that are in both runs.
    pub fn rms_paired(&self) -> f64 {
        (self.squares / self.pairs.max(1) as f64).sqrt()
    }

    /// What the quantity spans in the first run, and at least [`LEAST_RANGE`] of its magnitude; 1 for one that is always 0.
    pub fn range(&self) -> f64 {
        let magnitude = self.least.abs().max(self.most.abs());
        let range = (self.most - self.least).max(LEAST_RANGE * magnitude);
        if range > 0.0 && range.is_finite() {
            range
        } else {
            1.0
        }
    }

    /// Whether the quantity moves by more than [`LEAST_RANGE`] of its magnitude in the first run.
    pub fn moves(&self) -> bool {
        self.most - self.least > LEAST_RANGE * self.least.abs().max(self.most.abs())
    }
}

/// The spikes of two runs side by side.
#[derive(Clone, Debug, Default)]
pub struct Pairing {
    /// Shift of every pair, ms, without sign, ascending. Spikes are paired in order of time where a train (the spikes of one
    /// fibre and feature) has the same number of them in both runs.
    pub shifts_ms: Vec<f64>,
    /// The spike of the first run that is shifted most.
    pub worst: Option<SpikeEvent>,
    /// Fibres with a different number of spikes, ascending.
    pub count_differs: Vec<u64>,
    /// Spikes of both runs together.
    pub spikes: u64,
    /// Pairs of spikes, one of either run, that are at most the asked time apart, in trains of any length; each spike is in
    /// one pair at most.
    pub coincident: u64,
}

/// What counts as the same spike, and up to when spikes are compared.
#[derive(Clone, Copy, Debug)]
pub struct SpikeWindow {
    /// Spikes that are no further apart coincide, ms.
    pub coincident_ms: f64,
    /// End of what both runs hold, ms; infinite where both have ended. A spike of one run that is so near to it that its
    /// partner may lie behind it is left out.
    pub until_ms: f64,
}

/// A train of spikes, those of one fibre and feature, in two runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainDifference {
    /// Which fibre.
    pub fibre: u64,
    /// Which feature, by its number among those with events.
    pub feature: u8,
    /// Number of spikes in the first run and in the second.
    pub counts: (usize, usize),
    /// Largest shift, ms, paired in order; NaN where the numbers differ.
    pub largest_shift_ms: f64,
}

/// Pairs the spikes of every fibre and feature.
pub fn pair_spikes(
    first: Vec<SpikeEvent>,
    second: Vec<SpikeEvent>,
    window: SpikeWindow,
) -> Pairing {
    pair_trains(first, second, window, &mut |_| {})
}

/// The same, and tells of every train.
pub fn pair_trains(
    mut first: Vec<SpikeEvent>,
    mut second: Vec<SpikeEvent>,
    window: SpikeWindow,
    each: &mut dyn FnMut(TrainDifference),
) -> Pairing {
    for run in [&mut first, &mut second] {
        run.retain(|spike| spike.time_ms <= window.until_ms);
        in_order(run);
    }
    let loose_after_ms = window.until_ms - window.coincident_ms;
    let mut pairing = Pairing::default();
    let mut largest = f64::NEG_INFINITY;
    let (mut a, mut b) = (first.as_slice(), second.as_slice());
    while let Some(train) = next_train(a, b) {
        let (mut ours, mut theirs) = (take_train(&mut a, train), take_train(&mut b, train));
        let n = ours.len().min(theirs.len());
        let mut more = ours[n..].iter().chain(&theirs[n..]);
        if more.all(|spike| spike.time_ms > loose_after_ms) {
            (ours, theirs) = (&ours[..n], &theirs[..n]);
        }
        pairing.spikes += (ours.len() + theirs.len()) as u64;
        pairing.coincident += coincident(ours, theirs, window.coincident_ms);
        let shifts = ours.iter().zip(theirs);
        let shifts = shifts.map(|(x, y)| (x.time_ms - y.time_ms).abs());
        each(TrainDifference {
            fibre: train.0,
            feature: train.1,
            counts: (ours.len(), theirs.len()),
            largest_shift_ms: match ours.len() == theirs.len() {
                true => shifts.fold(0.0, f64::max),
                false => f64::NAN,
            },
        });
        if ours.len() != theirs.len() {
            if pairing.count_differs.last() != Some(&train.0) {
                pairing.count_differs.push(train.0);
            }
            continue;
        }
        for (x, y) in ours.iter().zip(theirs) {
            let shift = (x.time_ms - y.time_ms).abs();
            if shift > largest {
                largest = shift;
                pairing.worst = Some(*x);
            }
            pairing.shifts_ms.push(shift);
        }
    }
    pairing.shifts_ms.sort_by(f64::total_cmp);
    pairing
}

/// Number of pairs of two trains in order of time that are no further apart: the earlier of two spikes that are too far apart
/// has no partner, because all that follow are further away.
fn coincident(mut a: &[SpikeEvent], mut b: &[SpikeEvent], limit_ms: f64) -> u64 {
    let mut n = 0;
    while let (Some((x, a_rest)), Some((y, b_rest))) = (a.split_first(), b.split_first()) {
        if (x.time_ms - y.time_ms).abs() <= limit_ms {
            n += 1;
            (a, b) = (a_rest, b_rest);
        } else if x.time_ms < y.time_ms {
            a = a_rest;
        } else {
            b = b_rest;
        }
    }
    n
}

/// A fibre and a feature.
type Train = (u64, u8);

fn train(spike: &SpikeEvent) -> Train {
    (spike.fibre, spike.feature)
}

fn in_order(spikes: &mut [SpikeEvent]) {
    spikes.sort_by(|a, b| {
        train(a)
            .cmp(&train(b))
            .then(a.time_ms.total_cmp(&b.time_ms))
    });
}

fn next_train(a: &[SpikeEvent], b: &[SpikeEvent]) -> Option<Train> {
    a.first().into_iter().chain(b.first()).map(train).min()
}

fn take_train<'a>(spikes: &mut &'a [SpikeEvent], wanted: Train) -> &'a [SpikeEvent] {
    let n = spikes.iter().take_while(|s| train(s) == wanted).count();
    let (taken, rest) = spikes.split_at(n);
    *spikes = rest;
    taken
}

impl Pairing {
    /// The largest shift, ms; NaN where nothing is paired.
    pub fn largest_ms(&self) -> f64 {
        self.shifts_ms.last().copied().unwrap_or(f64::NAN)
    }

    /// The shift, ms, that this share of the pairs does not exceed: the smallest of the shifts that have at least that share at
    /// or below them. NaN where nothing is paired.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let n = self.shifts_ms.len();
        let rank = (share * n as f64).ceil() as usize;
        self.shifts_ms
            .get(rank.clamp(1, n.max(1)) - 1)
            .copied()
            .unwrap_or(f64::NAN)
    }

    /// The root of the mean square shift, ms; NaN where nothing is paired.
    pub fn rms_ms(&self) -> f64 {
        let squares: f64 = self.shifts_ms.iter().map(|s| s * s).sum();
        (squares / self.shifts_ms.len() as f64).sqrt()
    }

    /// Share of the pairs that are at most so far apart; NaN where nothing is paired.
    pub fn share_within(&self, limit_ms: f64) -> f64 {
        let within = self.shifts_ms.partition_point(|s| *s <= limit_ms);
        within as f64 / self.shifts_ms.len() as f64
    }

    /// Share of the spikes of both runs that have one of the other run next to them; 1 where there are no spikes.
    pub fn coincident_share(&self) -> f64 {
        if self.spikes == 0 {
            1.0
        } else {
            2.0 * self.coincident as f64 / self.spikes as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spike(fibre: u64, feature: u8, time_ms: f64) -> SpikeEvent {
        SpikeEvent {
            time_ms,
            fibre,
            feature,
        }
    }

    #[test]
    fn a_value_in_one_run_only_is_infinitely_far_and_none_in_both_is_equal() {
        let mut d = Difference::default();
        assert!(!d.add(f64::NAN, f64::NAN));
        assert!(!d.add(f64::INFINITY, f64::INFINITY));
        assert!(d.add(1.0, 1.5));
        assert_eq!((d.largest(), d.missing(), d.pairs()), (0.5, 0, 1));
        assert!(d.add(2.0, f64::NAN));
        assert!(!d.add(f64::NAN, 2.0) && !d.add(0.0, 100.0));
        assert_eq!((d.largest(), d.rms()), (f64::INFINITY, f64::INFINITY));
        assert_eq!((d.largest_paired(), d.missing(), d.pairs()), (100.0, 2, 2));
    }

    #[test]
    fn what_hardly_moves_is_judged_by_its_magnitude() {
        let mut d = Difference::default();
        d.add(-100.0, -100.0);
        d.add(-100.5, -100.0);
        assert_eq!((d.range(), d.moves()), (LEAST_RANGE * 100.5, false));
        let mut zero = Difference::default();
        zero.add(0.0, 0.25);
        assert_eq!((zero.range(), zero.moves()), (1.0, false));
        assert_eq!(Difference::default().range(), 1.0);
    }

    fn all(coincident_ms: f64) -> SpikeWindow {
        SpikeWindow {
            coincident_ms,
            until_ms: f64::INFINITY,
        }
    }

    #[test]
    fn spikes_are_paired_in_order_within_their_fibre_and_feature() {
        let first = vec![spike(3, 0, 5.0), spike(3, 0, 1.0), spike(3, 1, 1.0)];
        let second = vec![spike(3, 1, 1.25), spike(3, 0, 1.125), spike(3, 0, 4.5)];
        let pairing = pair_spikes(first, second, all(0.25));
        assert_eq!(pairing.shifts_ms, [0.125, 0.25, 0.5]);
        assert_eq!(pairing.worst, Some(spike(3, 0, 5.0)));
        assert_eq!(
            (pairing.largest_ms(), pairing.quantile_ms(0.5)),
            (0.5, 0.25)
        );
        assert_eq!(pairing.share_within(0.25), 2.0 / 3.0);
        assert_eq!(pairing.coincident_share(), 2.0 / 3.0);
        let squares: f64 = 0.125f64.powi(2) + 0.25f64.powi(2) + 0.5f64.powi(2);
        assert_eq!(pairing.rms_ms(), (squares / 3.0).sqrt());
    }

    #[test]
    fn trains_of_different_length_are_not_paired_but_their_common_spikes_coincide() {
        // Feature 0 has one more and feature 1 one less: the sums agree and the trains do not.
        let first = vec![spike(1, 0, 1.0), spike(1, 0, 2.0), spike(2, 0, 1.0)];
        let second = vec![spike(1, 0, 2.01), spike(1, 1, 2.0), spike(2, 0, 1.0)];
        let pairing = pair_spikes(first, second, all(0.1));
        assert_eq!(pairing.count_differs, [1]);
        assert_eq!(pairing.shifts_ms, [0.0]);
        assert_eq!((pairing.spikes, pairing.coincident), (6, 2));
        let none = pair_spikes(Vec::new(), Vec::new(), all(0.1));
        assert!(none.largest_ms().is_nan() && none.quantile_ms(0.5).is_nan());
        assert_eq!(none.coincident_share(), 1.0);
    }

    #[test]
    fn a_spike_has_one_partner_at_most() {
        let close = [1.0, 1.1, 1.2].map(|t| spike(1, 0, t)).to_vec();
        let pairing = pair_spikes(close, vec![spike(1, 0, 1.1)], all(0.2));
        assert_eq!((pairing.spikes, pairing.coincident), (4, 1));
    }

    #[test]
    fn a_spike_next_to_the_end_may_lack_its_partner() {
        let first = || vec![spike(1, 0, 1.0), spike(1, 0, 9.98), spike(1, 0, 10.01)];
        let second = || vec![spike(1, 0, 1.5)];
        let until = |coincident_ms: f64| SpikeWindow {
            coincident_ms,
            until_ms: 10.0,
        };
        assert_eq!(pair_spikes(first(), second(), until(0.05)).shifts_ms, [0.5]);
        let swapped = pair_spikes(second(), first(), until(0.05));
        assert_eq!((swapped.count_differs.len(), swapped.spikes), (0, 2));
        assert_eq!(
            pair_spikes(first(), second(), until(0.01)).count_differs,
            [1]
        );
    }
}
