//! Everything that a device knows of its fibres, as it lies there: how it begins, what it means, how it is kept.

use crate::backend::course;
use crate::backend::lane_plan::Driven;
use crate::feature::Gathered;
use crate::ops::Lane;
use crate::protocol::ms;

use super::features;
use super::form::CLOCK_WORDS;
use super::kernel::{Gpu, nothing_gathered, of_ticks, ticks};

// Rows of the words; `shaders/kernel.wgsl` has the same.
const WANTED: usize = 2;
const FLAGS: usize = 6;
const ACCEPTED: usize = 7;
const REJECTED: usize = 8;
const AT_FLOOR: usize = 9;
const LOST_STATE: usize = 10;
const LOST_LOW: usize = 11;
const LOST_HIGH: usize = 12;
const TRACE: usize = 13;
// Flags; likewise.
const FINISHED: u32 = 8;
const LOST: u32 = 16;

/// Fibres and where their samples go.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    /// Id of the first fibre.
    pub first: u64,
    /// Varied parameters of each.
    pub parameters: &'a [Vec<f64>],
    /// Trace of each, if it is recorded; numbered from 0 within these fibres.
    pub trace_of: &'a [Option<u32>],
    /// Number of traces.
    pub n_traces: usize,
    /// Most rows of a slab.
    pub rows_per_slab: usize,
}

/// Everything that changes while fibres move, as it lies on the device: `[row][fibre]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Image<T> {
    pub(super) reals: Vec<T>,
    pub(super) words: Vec<u32>,
}

/// How one fibre stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Accepted steps.
    pub accepted: u64,
    /// Rejected steps.
    pub rejected: u64,
    /// Steps accepted with too large an error, because they could not be made smaller.
    pub at_floor: u64,
    /// At the end of the schedule.
    pub finished: bool,
    /// When the fibre was lost, ms, and by which state.
    pub lost: Option<(f64, usize)>,
    /// What each feature has gathered.
    pub gathered: Vec<Gathered>,
}

impl<T: Lane> Gpu<T> {
    /// Fibres as they are at the start of the schedule.
    pub fn start(&self, members: &Members<'_>) -> Image<T> {
        let n = members.parameters.len();
        let (plan, places) = (&self.plan, self.places);
        let mut reals = vec![T::of(0.0); places.n_reals * n];
        let mut words = vec![0u32; places.n_words * n];
        let begin = plan.schedule.segments.first();
        let now = ticks(begin.map_or(0, |s| s.start));
        let gathered = nothing_gathered(plan);
        for (fibre, parameters) in members.parameters.iter().enumerate() {
            for (i, value) in plan.initial.of(parameters).into_iter().enumerate() {
                reals[i * n + fibre] = T::of(value);
            }
            // Clamps that hold from the start act now: there is no edge before the first segment.
            if let Some(segment) = begin {
                for (driven, drive) in plan.driven.iter().zip(&segment.drives) {
                    if let (Driven::Clamp { state, .. }, Some(drive)) = (driven, drive) {
                        reals[state * n + fibre] = T::of(course(drive, segment, parameters).0);
                    }
                }
            }
            words[fibre] = now[0];
            words[n + fibre] = now[1];
            words[WANTED * n + fibre] = plan.first_step as u32;
            words[TRACE * n + fibre] = members.trace_of[fibre].unwrap_or(u32::MAX);
        }
        for (f, (start_reals, start_words)) in gathered.iter().enumerate() {
            for (k, &x) in start_reals.iter().enumerate() {
                let row = places.gathered + features::REALS * f + k;
                reals[row * n..][..n].fill(T::of(x));
            }
            for (k, &w) in start_words.iter().enumerate() {
                let row = CLOCK_WORDS + features::WORDS * f + k;
                words[row * n..][..n].fill(w);
            }
        }
        Image { reals, words }
    }

    /// An image of so many fibres, with nothing in it.
    pub fn blank(&self, n: usize) -> Image<T> {
        Image {
            reals: vec![T::of(0.0); self.places.n_reals * n],
            words: vec![0; self.places.n_words * n],
        }
    }

    /// Images of fibres that follow one another, as one.
    pub fn join(&self, images: &[Image<T>]) -> Image<T> {
        let n_of = |image: &Image<T>| image.words.len() / self.places.n_words.max(1);
        let mut joined = self.blank(images.iter().map(n_of).sum());
        let n = n_of(&joined);
        let mut first = 0;
        for image in images {
            let own = n_of(image);
            if own == 0 {
                continue;
            }
            for (to, from) in joined.reals.chunks_mut(n).zip(image.reals.chunks(own)) {
                to[first..first + own].copy_from_slice(from);
            }
            for (to, from) in joined.words.chunks_mut(n).zip(image.words.chunks(own)) {
                to[first..first + own].copy_from_slice(from);
            }
            first += own;
        }
        joined
    }

    /// Some of an image's fibres by themselves; `trace_of` says where their samples go then.
    pub fn part(
        &self,
        image: &Image<T>,
        fibres: std::ops::Range<usize>,
        trace_of: &[Option<u32>],
    ) -> Image<T> {
        let n = (image.words.len() / self.places.n_words.max(1)).max(1);
        let own = fibres.len();
        let reals = image.reals.chunks(n);
        let words = image.words.chunks(n);
        let mut part = Image {
            reals: reals
                .flat_map(|row| &row[fibres.clone()])
                .copied()
                .collect(),
            words: words
                .flat_map(|row| &row[fibres.clone()])
                .copied()
                .collect(),
        };
        let traces = part.words[TRACE * own..].iter_mut().zip(trace_of);
        traces.for_each(|(word, trace)| *word = trace.unwrap_or(u32::MAX));
        part
    }

    /// How each fibre of an image stands.
    pub fn standings(&self, image: &Image<T>) -> Vec<Standing> {
        let n = image.words.len() / self.places.n_words.max(1);
        let word = |row: usize, fibre: usize| image.words[row * n + fibre];
        (0..n)
            .map(|fibre| {
                let flags = word(FLAGS, fibre);
                let lost = (flags & LOST != 0).then(|| {
                    let at = of_ticks(word(LOST_LOW, fibre), word(LOST_HIGH, fibre));
                    (ms(at), word(LOST_STATE, fibre) as usize)
                });
                let gathered = self.plan.features.iter().enumerate().map(|(f, (spec, _))| {
                    let real = |k: usize| {
                        image.reals[(self.places.gathered + features::REALS * f + k) * n + fibre]
                            .f64()
                    };
                    let words =
                        std::array::from_fn(|k| word(CLOCK_WORDS + features::WORDS * f + k, fibre));
                    features::gathered(spec, [real(0), real(1)], words)
                });
                Standing {
                    accepted: word(ACCEPTED, fibre).into(),
                    rejected: word(REJECTED, fibre).into(),
                    at_floor: word(AT_FLOOR, fibre).into(),
                    finished: flags & FINISHED != 0,
                    lost,
                    gathered: gathered.collect(),
                }
            })
            .collect()
    }
}

impl<T: Lane> Image<T> {
    /// Everything as bytes.
    pub fn save(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(bytemuck::cast_slice(&self.reals));
        into.extend_from_slice(bytemuck::cast_slice(&self.words));
    }

    /// Bytes that [`Image::save`] adds.
    pub fn saved_bytes(&self) -> usize {
        size_of_val(&self.reals[..]) + size_of_val(&self.words[..])
    }

    /// Takes back what [`Image::save`] wrote and returns the bytes that follow; `None` if there are too few.
    pub fn restore<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let reals = bytemuck::cast_slice_mut::<T, u8>(&mut self.reals);
        let (head, rest) = bytes.split_at_checked(reals.len())?;
        reals.copy_from_slice(head);
        let words = bytemuck::cast_slice_mut::<u32, u8>(&mut self.words);
        let (head, rest) = rest.split_at_checked(words.len())?;
        words.copy_from_slice(head);
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel and this file must mean the same rows and the same bits.
    #[test]
    fn rows_and_flags_are_those_of_the_kernel() {
        let kernel = include_str!("../../../shaders/kernel.wgsl");
        let constants = [
            ("WANTED", WANTED as u32),
            ("FLAGS", FLAGS as u32),
            ("ACCEPTED", ACCEPTED as u32),
            ("REJECTED", REJECTED as u32),
            ("AT_FLOOR", AT_FLOOR as u32),
            ("LOST_STATE", LOST_STATE as u32),
            ("LOST_LOW", LOST_LOW as u32),
            ("LOST_HIGH", LOST_HIGH as u32),
            ("TRACE", TRACE as u32),
            ("GATHERED_AT", CLOCK_WORDS as u32),
            ("FINISHED", FINISHED),
            ("LOST", LOST),
        ];
        for (name, value) in constants {
            let line = format!("const {name}: u32 = {value}u;");
            assert!(kernel.lines().any(|l| l == line), "{line}");
        }
    }
}
