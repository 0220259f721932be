//! What becomes of the piece of a course behind a step: features are fed, rows are filled.

use crate::backend::Spike;
use crate::feature::Piece;
use crate::ops::Lane;
use crate::protocol::TICKS_PER_MS;

use super::Cpu;
use super::group::Clock;
use super::lanes::{Advance, Lanes, Samples};

impl<T: Lane> Advance<'_, T> {
    /// Feeds the open piece of a lane to the features that would note it.
    pub(super) fn feed(&mut self, lanes: &mut Lanes<T>, l: usize, fibre: usize) {
        let plan = &self.cpu.plan;
        let n_features = plan.features.len();
        let per_ms = 1.0 / plan.ms_per_time;
        for (f, (spec, of)) in plan.features.iter().enumerate() {
            let at = f * lanes.stride + l;
            if lanes.noted[at] == 0 {
                continue;
            }
            let (g0, d0, g1, d1) = lanes.observable(*of, l);
            let piece = Piece {
                t0: lanes.clocks.piece_start[l] / TICKS_PER_MS,
                t1: lanes.clocks.now[l] / TICKS_PER_MS,
                g0,
                d0: d0 * per_ms,
                g1,
                d1: d1 * per_ms,
            };
            let gathered = &mut self.group.gathered[fibre * n_features + f];
            let id = self.group.first + fibre as u64;
            spec.feed(gathered, &piece, &mut |time_ms| {
                self.spikes.push(Spike {
                    time_ms,
                    fibre: id,
                    feature: f,
                });
            });
            lanes.deciding[at] = spec.deciding(gathered);
        }
    }
}

/// The piece of a fibre's course between its clock's `piece_start` and `now`.
pub(super) struct Course<'a, T> {
    pub(super) cpu: &'a Cpu<T>,
    pub(super) clock: &'a mut Clock,
    /// Whether a sample at the very end belongs to it.
    pub(super) inclusive: bool,
}

impl<T: Lane> Course<'_, T> {
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
