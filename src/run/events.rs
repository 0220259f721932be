//! The spikes of a slab as events, in the order in which they are handed over: by fibre, feature and time.

use crate::backend::{Experiment, Spike};
use crate::feature::FeatureKind;

use super::sink::SpikeEvent;

/// The spikes of a slab in order, with features numbered among those that give events.
pub(super) fn events<'a>(
    experiment: &Experiment,
    spikes: impl Iterator<Item = &'a [Spike]> + Clone,
) -> Vec<SpikeEvent> {
    let mut number = Vec::new();
    let mut n = 0u8;
    for f in &experiment.features {
        number.push(n);
        n += u8::from(f.kind == FeatureKind::Spikes);
    }
    ordered(spikes, &number)
}

/// The spikes in order; `number` is what each feature is called.
///
/// Spikes come in order of time, those of many fibres among each other. So each is put in its fibre's place at once; what little is left to be
/// sorted is within fibres.
fn ordered<'a>(
    spikes: impl Iterator<Item = &'a [Spike]> + Clone,
    number: &[u8],
) -> Vec<SpikeEvent> {
    let all = || spikes.clone().flatten();
    let Some(first) = all().map(|s| s.fibre).min() else {
        return Vec::new();
    };
    let last = all().map(|s| s.fibre).fold(first, u64::max);
    // Where the events of each fibre begin.
    let mut begin = vec![0; (last - first) as usize + 2];
    for s in all() {
        begin[(s.fibre - first) as usize + 1] += 1;
    }
    for k in 1..begin.len() {
        begin[k] += begin[k - 1];
    }
    let nothing = SpikeEvent {
        time_ms: 0.0,
        fibre: first,
        feature: 0,
    };
    let mut events = vec![nothing; begin[begin.len() - 1]];
    let mut next = begin.clone();
    for s in all() {
        let place = &mut next[(s.fibre - first) as usize];
        events[*place] = SpikeEvent {
            time_ms: s.time_ms,
            fibre: s.fibre,
            feature: number[s.feature],
        };
        *place += 1;
    }
    for ends in begin.windows(2) {
        in_order(&mut events[ends[0]..ends[1]]);
    }
    events
}

/// Sorts events by fibre, feature and time.
pub(super) fn in_order(events: &mut [SpikeEvent]) {
    let order = |a: &SpikeEvent, b: &SpikeEvent| {
        let which = (a.fibre, a.feature).cmp(&(b.fibre, b.feature));
        which.then(a.time_ms.total_cmp(&b.time_ms))
    };
    if !events.is_sorted_by(|a, b| order(a, b).is_le()) {
        events.sort_by(order);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn spikes_of_many_fibres_come_in_the_order_of_a_sort() {
        let mut random = SmallRng::seed_from_u64(4);
        for n in [0, 1, 2, 300, 5000] {
            // Three threads' spikes, two features, the first of which gives no events' number; ties, and times out of order.
            let lists: Vec<Vec<Spike>> = (0..3)
                .map(|_| {
                    let spike = |k: usize| Spike {
                        time_ms: (k / 7) as f64 + f64::from(random.random_range(0..3)),
                        fibre: random.random_range(1000..1050),
                        feature: random.random_range(1..3),
                    };
                    (0..n).map(spike).collect()
                })
                .collect();
            let number = [9, 0, 1];
            let found = ordered(lists.iter().map(|l| &l[..]), &number);
            let mut expected: Vec<SpikeEvent> = lists
                .iter()
                .flatten()
                .map(|s| SpikeEvent {
                    time_ms: s.time_ms,
                    fibre: s.fibre,
                    feature: number[s.feature],
                })
                .collect();
            expected.sort_by(|a, b| {
                let time = a.time_ms.total_cmp(&b.time_ms);
                a.fibre
                    .cmp(&b.fibre)
                    .then(a.feature.cmp(&b.feature))
                    .then(time)
            });
            assert_eq!(found, expected);
        }
    }
}
