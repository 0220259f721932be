//! Parts of a population: which fibres are in one, what it keeps for the whole, and the judgement of the whole from that.
//!
//! A part runs its fibres as the whole would: parameters, slabs and bits are the same. What concerns all fibres together is
//! the comparison with the reference. Its drawn fibres are those of the whole population, so each part judges the ones that fall into
//! it and writes down what it found ([`encode`]). Fibres next to a threshold are chosen among all; a part
//! writes down how near its own have come at the times when the whole would look. [`Batch::judged_parts`] then makes the choice
//! and the comparison by the very code of a run, with the answers of the parts in the places of the engine and, for the drawn fibres, of the reference.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::backend::Spike;
use crate::study;

use super::batch::{Backend, Batch, RunReport};
use super::error::RunError;
use super::judge::Sampling;
use super::judged::Driver;
use super::reference::OneRun;
use super::sink::{Part, Precision};

/// What a part knows of a drawn fibre.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Its id.
    pub fibre: u64,
    /// Samples of the run, `[variable][row]`.
    pub samples: Vec<f64>,
    /// The reference's samples, `[row][variable]`.
    pub reference_samples: Vec<f64>,
    /// The reference's features, column by column.
    pub reference_features: Vec<f64>,
    /// The reference's spikes: time, ms, and number of the feature in the study.
    pub reference_spikes: Vec<(f64, usize)>,
}

impl Judged {
    pub(super) fn new(fibre: u64, samples: Vec<f64>, run: &OneRun) -> Self {
        Judged {
            fibre,
            samples,
            reference_samples: run.samples.clone(),
            reference_features: run.features.clone(),
            reference_spikes: run.spikes.iter().map(|s| (s.time_ms, s.feature)).collect(),
        }
    }

    /// The run by the reference, and the samples of the run that is judged.
    pub(super) fn split(self) -> (OneRun, Vec<f64>) {
        let spike = |(time_ms, feature)| Spike {
            time_ms,
            fibre: self.fibre,
            feature,
        };
        let spikes = self.reference_spikes.into_iter().map(spike).collect();
        let run = OneRun::told(self.reference_samples, self.reference_features, spikes);
        (run, self.samples)
    }
}

/// The first bytes of a part's judgement.
const MAGIC: [u8; 4] = *b"SJP1";

/// What a part found, as bytes: magic, then per fibre its id, four lengths and the numbers, at last a CRC-32. All are
/// little-endian, eight bytes each but the magic and the CRC.
pub fn encode(all: &[Judged]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for j in all {
        let lengths = [
            j.samples.len(),
            j.reference_samples.len(),
            j.reference_features.len(),
            j.reference_spikes.len(),
        ];
        bytes.extend(j.fibre.to_le_bytes());
        bytes.extend(lengths.iter().flat_map(|&n| (n as u64).to_le_bytes()));
        let numbers = [&j.samples, &j.reference_samples, &j.reference_features];
        bytes.extend(numbers.into_iter().flatten().flat_map(|x| x.to_le_bytes()));
        for &(time_ms, feature) in &j.reference_spikes {
            bytes.extend(time_ms.to_le_bytes());
            bytes.extend((feature as u64).to_le_bytes());
        }
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// What [`encode`] wrote; `None` if these are other bytes. Nothing larger than the bytes themselves is allocated.
pub fn decode(bytes: &[u8]) -> Option<Vec<Judged>> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut rest = content.strip_prefix(&MAGIC)?;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let mut words = rest.chunks_exact(8).map(word);
        let fibre = words.next()?;
        let lengths: Vec<u64> = words.by_ref().take(4).collect();
        let &[samples, reference, features, spikes] = lengths.as_slice() else {
            return None;
        };
        let total = [samples, reference, features, spikes, spikes];
        let total = total.iter().try_fold(0u64, |sum, &n| sum.checked_add(n))?;
        let left = (rest.len() / 8 - 5) as u64;
        if total > left {
            return None;
        }
        let mut numbers = |n: u64| -> Vec<f64> {
            words
                .by_ref()
                .take(n as usize)
                .map(f64::from_bits)
                .collect()
        };
        let mut judged = Judged {
            fibre,
            samples: numbers(samples),
            reference_samples: numbers(reference),
            reference_features: numbers(features),
            reference_spikes: Vec::new(),
        };
        let pairs = numbers(2 * spikes);
        let spike = |pair: &[f64]| (pair[0], pair[1].to_bits() as usize);
        judged.reference_spikes = pairs.chunks_exact(2).map(spike).collect();
        all.push(judged);
        rest = rest.get(8 * (5 + total as usize)..)?;
    }
    Some(all)
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[i]))
}

/// What the parts know that the judgement of the whole needs.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The drawn fibres.
    pub judged: Vec<Judged>,
    /// Per look, per candidate: how near a turning point came to the threshold of each feature that counts spikes.
    pub turns: [HashMap<u64, Vec<f64>>; Part::LOOKS],
}

/// How the whole is to be judged: its study's own words.
#[derive(Clone, Copy, Debug)]
pub struct Whole {
    /// Rows of a slab.
    pub rows_per_slab: usize,
    /// Precision of the runs.
    pub precision: Precision,
    /// What the study says of the comparison with the reference.
    pub agreement: study::Agreement,
}

impl Batch {
    /// The whole population in the place of the batch's own fibres, from number 0, with these varied parameters.
    #[must_use]
    pub fn of_whole(
        mut self,
        whole: &Whole,
        parameters: Vec<Vec<f64>>,
        traces: Option<Vec<u64>>,
    ) -> Self {
        self.first_fibre = 0;
        self.part = None;
        self.n_fibres = parameters.len();
        self.parameters = parameters;
        self.traces = traces;
        self.rows_per_slab = whole.rows_per_slab;
        self.precision = whole.precision;
        self.agreement_fibres = whole.agreement.fibres;
        self.agreement_in_f64 = whole.agreement.asked_for;
        self.agreement_limits = whole.agreement;
        self
    }

    /// This batch's engine and scheme with the fibres of another.
    #[must_use]
    pub fn in_place_of(self, mut other: Batch) -> Self {
        other.backend = self.backend;
        other.precision = self.precision;
        other.scheme = self.scheme;
        other.scheme_reason = self.scheme_reason;
        other.device = self.device;
        other
    }

    /// Hands over by `drive` what the parts hold, slab by slab, and judges the whole as a run of it would be judged. Of the
    /// reference only the fibres next to a threshold are still to be run. `judges` says whether to judge at all.
    ///
    /// # Errors
    /// If the drive fails, the sink cannot be finished, or there is no reference for the experiment.
    pub fn judged_parts(
        &self,
        out: &mut dyn super::sink::Sink,
        known: Option<Known>,
        cancel: &AtomicBool,
        drive: &mut Driver<'_>,
    ) -> Result<RunReport, RunError> {
        let begun = (Instant::now(), 0.0);
        match known {
            Some(known) => self.judged_with(out, begun, cancel, drive, Some(known)),
            None => {
                let done = drive(self.job(), out)?;
                self.finish(out, done, None, begun, 0.0)
            }
        }
    }

    /// Ids of the fibres that a run of the whole population draws for the comparison with the reference.
    pub fn drawn(&self) -> Vec<u64> {
        self.drawn_of_whole()
    }

    /// The same of a batch that may be a part: those that were drawn before, where it goes on with a run or joins one.
    pub(super) fn drawn_of_whole(&self) -> Vec<u64> {
        let wanted = self.judged_fibres();
        if wanted == 0 || self.backend == Backend::Reference {
            return Vec::new();
        }
        let population = self.part.map_or(self.n_fibres as u64, |p| p.population);
        let own = |drawn: &Vec<u64>| drawn.iter().all(|id| *id < population);
        match self.drawn_before.clone().filter(own) {
            Some(drawn) => drawn,
            None => super::judge::drawn(self.seed, population, wanted),
        }
    }

    /// Drawn fibres that the file names, in place of those drawn now.
    #[must_use]
    pub fn with_drawn(mut self, drawn: Option<Vec<u64>>) -> Self {
        self.drawn_before = drawn;
        self
    }

    /// A choice of fibres with those in it that were drawn before.
    pub(super) fn as_drawn_before(&self, mut sampling: Sampling) -> Sampling {
        if self.drawn_before.is_none() {
            return sampling;
        }
        let mut drawn = self.drawn_of_whole();
        if let Some(part) = &self.part {
            drawn.retain(|id| part.fibres().contains(id));
        }
        let all_at_start = sampling.at_start == sampling.drawn.len();
        sampling.at_start = match all_at_start {
            true => drawn.len(),
            false => sampling.at_start.min(drawn.len()),
        };
        sampling.drawn = drawn;
        sampling
    }

    /// Ids of the fibres of this part among which the whole looks for ones next to a threshold.
    pub(super) fn part_candidates(&self) -> Vec<u64> {
        match &self.part {
            Some(part) if self.judged_fibres() > 0 && self.counts_spikes() => {
                candidates(self.seed, part)
            }
            _ => Vec::new(),
        }
    }
}

/// Ids of the fibres of a part among which the whole looks for ones next to a threshold.
pub fn candidates(seed: u64, part: &Part) -> Vec<u64> {
    let mut ids = super::judge::candidates(seed, part.population);
    let own = part.fibres();
    ids.retain(|id| own.contains(id));
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(index: u64, of: u64, population: u64) -> Part {
        Part {
            index,
            of,
            population,
            slabs: 1,
            candidates: 0,
        }
    }

    #[test]
    fn parts_follow_one_another_without_a_gap_and_as_even_as_can_be() {
        for (of, population) in [(1, 1), (3, 10), (8, 8), (7, 1000), (5, u64::MAX / 2)] {
            let mut next = 0;
            let (mut least, mut most) = (u64::MAX, 0);
            for index in 1..=of {
                let fibres = part(index, of, population).fibres();
                assert_eq!(fibres.start, next);
                next = fibres.end;
                let n = fibres.end - fibres.start;
                (least, most) = (least.min(n), most.max(n));
            }
            assert_eq!(next, population);
            assert!(most - least <= 1);
        }
    }

    #[test]
    fn what_a_part_found_comes_back_and_other_bytes_are_refused() {
        let judged = |fibre: u64, n: usize| Judged {
            fibre,
            samples: (0..n).map(|i| i as f64 / 3.0).collect(),
            reference_samples: vec![f64::INFINITY; 2 * n],
            reference_features: vec![1.5],
            reference_spikes: vec![(7.25, 3); n],
        };
        let all = vec![judged(7, 0), judged(1 << 40, 5)];
        let bytes = encode(&all);
        assert_eq!(decode(&bytes), Some(all));
        assert_eq!(decode(&encode(&[])), Some(Vec::new()));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decode(&damaged), None, "damaged at {at}");
        }
        // Lengths that promise more than there is, under a checksum that fits.
        let mut long = bytes[..bytes.len() - 4].to_vec();
        long[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
        let crc = crc32fast::hash(&long);
        long.extend(crc.to_le_bytes());
        assert_eq!(decode(&long), None);
    }
}
