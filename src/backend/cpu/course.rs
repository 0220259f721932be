//! What becomes of the piece of a course behind a step: features are fed, rows are filled.

use crate::backend::Spike;
use crate::feature::Piece;
use crate::ops::Lane;
use crate::protocol::ms;

use super::Cpu;
use super::group::{Clock, Group};
use super::lanes::Samples;

/// The piece of a fibre's course between its clock's `piece_start` and `now`.
pub(super) struct Course<'a, T> {
    pub(super) cpu: &'a Cpu<T>,
    pub(super) clock: &'a mut Clock,
    /// Whether a sample at the very end belongs to it.
    pub(super) inclusive: bool,
}

impl<T: Lane> Course<'_, T> {
    /// Feeds the features; `observable(k)` gives value and rate at the start, then at the end.
    pub(super) fn gather(
        &self,
        observable: &impl Fn(usize) -> (f64, f64, f64, f64),
        group: &mut Group<T>,
        fibre: usize,
        spikes: &mut Vec<Spike>,
    ) {
        let n_features = self.cpu.plan.features.len();
        for (f, (spec, of)) in self.cpu.plan.features.iter().enumerate() {
            let (g0, d0, g1, d1) = observable(*of);
            let per_ms = 1.0 / self.cpu.plan.ms_per_time;
            let piece = Piece {
                t0: ms(self.clock.piece_start),
                t1: ms(self.clock.now),
                g0: g0,
                d0: d0 * per_ms,
                g1: g1,
                d1: d1 * per_ms,
            };
            let id = group.first + fibre as u64;
            spec.feed(
                &mut group.gathered[fibre * n_features + f],
                &piece,
                &mut |time_ms| {
                    spikes.push(Spike {
                        time_ms,
                        fibre: id,
                        feature: f,
                    });
                },
            );
        }
    }

    /// Interpolates the rows that lie in the piece and in the call.
    pub(super) fn sample(
        &mut self,
        observable: &impl Fn(usize) -> (f64, f64, f64, f64),
        samples: &mut Samples<'_, T>,
        fibre: usize,
    ) {
        let (start, end) = (self.clock.piece_start as f64, self.clock.now as f64);
        let last = samples.first_row + samples.n_rows;
        while (self.clock.next_row as usize) < last {
            let row = self.clock.next_row as usize;
            let at = self.cpu.row_ticks(row);
            if !self.cpu.reaches_row(self.clock, self.inclusive) {
                break;
            }
            if let Some(trace) = samples.trace_of[fibre] {
                let x = ((at - start) / (end - start)).clamp(0.0, 1.0);
                let length = (end - start) / self.cpu.plan.ticks_per_time;
                for k in 0..self.cpu.plan.n_recorded {
                    let (g0, d0, g1, d1) = observable(k);
                    let value = hermite(x, length, g0, d0, g1, d1);
                    let place = (k * samples.n_rows + row - samples.first_row) * samples.n_traces
                        + trace as usize;
                    samples.values[place] = T::of(value);
                }
            }
            self.clock.next_row += 1;
        }
    }
}

/// The cubic through both ends at the share `x` of the way, `length` being in the unit of the rates' time.
fn hermite(x: f64, length: f64, g0: f64, d0: f64, g1: f64, d1: f64) -> f64 {
    let y = 1.0 - x;
    let bend = length * x * y * (d0 * y - d1 * x);
    // Next to a pole the last slope may be no number any more, while both ends are sound.
    let bend = if bend.is_finite() { bend } else { 0.0 };
    // From the nearer end: exact at both ends, and where they are equal.
    if x < 0.5 {
        g0 + (g1 - g0) * (x * x * (1.0 + 2.0 * y)) + bend
    } else {
        g1 - (g1 - g0) * (y * y * (1.0 + 2.0 * x)) + bend
    }
}
