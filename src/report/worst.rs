//! The fibres in which two results differ most: a short list, the worst first.
//!
//! A fibre stands in it once, by what is worst of it. First come fibres lost in one result only, then those with a value in one
//! result only, then those with another number of spikes, and then all others by how many times the limit they are apart. Nothing
//! else is kept: a population may have a million fibres.

use super::compare::Place;
use super::verdict::{Limits, decimals, percent};

/// Length of the list.
pub const MOST: usize = 5;

/// By what a fibre differs.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// It is lost in one result: in the first, or else in the second.
    Lost {
        /// Whether in the first.
        in_first: bool,
    },
    /// Values that one result has and the other has not.
    Missing {
        /// Quantity or feature.
        name: String,
    },
    /// The number of spikes.
    SpikeCount {
        /// The feature that counts them.
        name: String,
        /// In the first result and in the second.
        counts: (usize, usize),
    },
    /// The time of a spike.
    SpikeShift {
        /// The feature that counts it.
        name: String,
        /// Largest shift, ms.
        shift_ms: f64,
    },
    /// A feature's value.
    Feature {
        /// Name of the column.
        name: String,
        /// Unit in UDUNITS spelling.
        units: String,
        /// In the first result and in the second.
        values: (f64, f64),
    },
    /// A recorded quantity.
    Variable {
        /// Its name.
        name: String,
        /// Root mean square difference over this fibre's rows, as a share of the quantity's range over all fibres.
        rms: f64,
        /// Where this fibre differs most.
        most: Option<Place>,
    },
}

/// A fibre of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// Its number.
    pub fibre: u64,
    /// By what it differs most.
    pub by: By,
    /// How many times the limit it is apart; for another number of spikes, by how many; infinite where a value or the fibre is missing
    /// in one result.
    pub times: f64,
}

/// A limit of nothing at all still ranks: this share of a range, or time in ms, stands for it.
const LEAST_LIMIT: f64 = 1e-9;

impl Worst {
    /// A fibre that is apart by so much where so much is allowed.
    pub(super) fn apart(fibre: u64, by: By, apart: f64, limit: f64) -> Self {
        let times = apart / limit.max(LEAST_LIMIT);
        Worst { fibre, by, times }
    }

    /// A fibre of which something is in one result only.
    pub(super) fn one_sided(fibre: u64, by: By) -> Self {
        let times = f64::INFINITY;
        Worst { fibre, by, times }
    }

    /// In words: what differs and by how much.
    pub fn text(&self) -> String {
        match &self.by {
            By::Lost { in_first } => format!("lost in {} only", if *in_first { "A" } else { "B" }),
            By::Missing { name } => format!("{name} has values in one only"),
            By::SpikeCount { name, counts } => {
                format!("{} spikes of '{name}' in A, {} in B", counts.0, counts.1)
            }
            By::SpikeShift { name, shift_ms } => {
                format!(
                    "a spike of '{name}' is shifted by {} ms",
                    decimals(*shift_ms)
                )
            }
            By::Feature {
                name,
                units,
                values: (a, b),
            } => {
                let unit = match units.as_str() {
                    "1" => String::new(),
                    units => format!(" {units}"),
                };
                format!("{name} is {a}{unit} in A, {b}{unit} in B")
            }
            By::Variable { name, rms, most } => {
                let at = most.map_or_else(String::new, |p| {
                    format!(", most at {} ms", decimals(p.time_ms))
                });
                format!(
                    "{name} by {} of its range, root mean square{at}",
                    percent(*rms)
                )
            }
        }
    }

    /// Larger is worse.
    fn rank(&self) -> (u8, f64) {
        let class = match &self.by {
            By::Lost { .. } => 3,
            By::Missing { .. } => 2,
            By::SpikeCount { .. } => 1,
            By::SpikeShift { .. } | By::Feature { .. } | By::Variable { .. } => 0,
        };
        (class, self.times)
    }

    fn is_worse_than(&self, other: &Worst) -> std::cmp::Ordering {
        let (x, y) = (self.rank(), other.rank());
        x.0.cmp(&y.0).then(x.1.total_cmp(&y.1))
    }
}

/// The list while it is being made.
#[derive(Clone, Debug)]
pub(super) struct Ranking {
    limits: Limits,
    worst: Vec<Worst>,
}

impl Ranking {
    pub(super) fn new(limits: Limits) -> Self {
        Ranking {
            limits,
            worst: Vec::new(),
        }
    }

    /// The limits by which fibres are ranked.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes a fibre into the list, if it is bad enough. A fibre that has been pushed out comes back only by something worse, so
    /// the list is that of all fibres by their worst.
    pub(super) fn add(&mut self, found: Worst) {
        if found.times.is_nan() || found.times <= 0.0 {
            return;
        }
        if let Some(known) = self.worst.iter_mut().find(|w| w.fibre == found.fibre) {
            if found.is_worse_than(known).is_gt() {
                *known = found;
            }
        } else {
            self.worst.push(found);
        }
        // Stable: of equals the one that came first stays.
        self.worst.sort_by(|x, y| y.is_worse_than(x));
        self.worst.truncate(MOST);
    }

    /// Whether something that is so many times its limit apart could enter: asked before anything is allocated for it.
    pub(super) fn takes(&self, apart: f64, limit: f64) -> bool {
        let times = apart / limit.max(LEAST_LIMIT);
        times > 0.0
            && (self.worst.len() < MOST
                || self
                    .worst
                    .last()
                    .is_none_or(|last| last.rank().0 == 0 && times > last.times))
    }

    pub(super) fn list(self) -> Vec<Worst> {
        self.worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(fibre: u64, times: f64) -> Worst {
        let by = By::Feature {
            name: "peak".to_owned(),
            units: "mV".to_owned(),
            values: (0.0, times),
        };
        Worst::apart(fibre, by, times, 1.0)
    }

    #[test]
    fn a_fibre_stands_once_by_its_worst_and_the_worst_comes_first() {
        let mut ranking = Ranking::new(Limits::default());
        for fibre in 0..20 {
            ranking.add(feature(fibre, 1.0 + fibre as f64));
        }
        ranking.add(feature(0, 0.5));
        ranking.add(feature(3, 18.5));
        let counts = (3, 4);
        let name = "spikes".to_owned();
        ranking.add(Worst::apart(7, By::SpikeCount { name, counts }, 1.0, 1.0));
        ranking.add(Worst::one_sided(9, By::Lost { in_first: false }));
        assert!(!ranking.takes(18.5, 1.0) && ranking.takes(19.5, 1.0) && !ranking.takes(0.0, 1.0));
        let found: Vec<u64> = ranking.list().iter().map(|w| w.fibre).collect();
        assert_eq!(found, [9, 7, 19, 18, 3]);
    }

    #[test]
    fn equal_fibres_are_in_no_list() {
        let mut ranking = Ranking::new(Limits::default());
        ranking.add(feature(1, 0.0));
        ranking.add(feature(2, f64::NAN));
        assert!(ranking.list().is_empty());
    }
}
