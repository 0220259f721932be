//! What is read off the steps of a fibre: samples on their grid, and pieces.

use crate::feature::Piece;
use crate::protocol::{ms, tick};

use super::ensemble::Fibres;
use super::fibre::{Moving, Reference};
use super::integrate::Stepper;
use super::rodas::System;

/// What has been read so far, and room for more.
pub(super) struct Watch {
    next_row: usize,
    /// Observables and rates at the last point.
    observed: Vec<f64>,
    before: Vec<f64>,
    between: Vec<f64>,
    rates: Vec<f64>,
}

impl Watch {
    pub(super) fn new(n_observables: usize, n_states: usize) -> Self {
        Watch {
            next_row: 0,
            observed: vec![0.0; 2 * n_observables],
            before: vec![0.0; 2 * n_observables],
            between: vec![0.0; n_states],
            rates: vec![0.0; n_states],
        }
    }

    /// A segment begins: observables may jump.
    pub(super) fn enter(&mut self, moving: &mut Moving<'_>, start_ms: f64, state: &[f64]) {
        if start_ms >= 0.0 {
            moving.rates(0.0, state, &mut self.rates);
            moving.observe(0.0, state, &self.rates, &mut self.observed);
        }
    }

    /// A step has been taken: several equal steps of the method where it is the first of a segment. `at_end` says that it is the very last.
    pub(super) fn step(
        &mut self,
        (reference, moving): (&Reference, &mut Moving<'_>),
        start_ms: f64,
        step: &Stepper,
        at_end: bool,
        key: usize,
        fibres: &mut dyn Fibres,
    ) {
        let (t0, t1) = (start_ms + step.from_ms, start_ms + step.to_ms);
        let half = self.observed.len() / 2;
        let method = &step.method;
        // In steps of the method, from the end.
        let place = |at_ms: f64| (at_ms - step.to_ms) / method.h;
        let experiment = reference.experiment();
        while self.next_row < experiment.n_samples {
            let t = sample_ms(self.next_row, experiment.sample_every_ms);
            if !(t < t1 || (at_end && t <= t1)) {
                break;
            }
            let at_ms = (t - start_ms).clamp(step.from_ms, step.to_ms);
            method.interpolate_some(place(at_ms), reference.watched(), &mut self.between);
            moving.sample(at_ms, &self.between, &mut self.before[..half]);
            fibres.on_sample(key, self.next_row, &self.before[..half]);
            self.next_row += 1;
        }
        if t0 < 0.0 || half == 0 {
            return;
        }
        let with_courses = fibres.wants_courses();
        let mut from = t0;
        // A cubic over a step of the multistep method is within the error that is allowed; over several it would not be.
        let n_pieces = step.n_equal();
        for piece in 1..=n_pieces {
            let x = f64::from(piece) / f64::from(n_pieces);
            let last = piece == n_pieces;
            let at_ms = if last {
                step.to_ms
            } else {
                step.from_ms + x * (step.to_ms - step.from_ms)
            };
            let to = if last { t1 } else { start_ms + at_ms };
            if !with_courses {
                if n_pieces == 1 {
                    for &i in reference.watched() {
                        self.between[i] = method.d[0][i];
                    }
                } else {
                    method.interpolate(place(at_ms), &mut self.between);
                }
                moving.sample(at_ms, &self.between, &mut self.observed[..half]);
                fibres.on_point(key, &self.observed[..half]);
                continue;
            }
            std::mem::swap(&mut self.observed, &mut self.before);
            // At the end of a step of the multistep method the rates are known from its equation.
            if n_pieces == 1 {
                for &i in reference.watched() {
                    self.between[i] = method.d[0][i];
                    self.rates[i] = method.end_rate(step.shift(), i);
                }
            } else {
                method.interpolate(place(at_ms), &mut self.between);
                moving.rates(at_ms, &self.between, &mut self.rates);
            }
            moving.observe(at_ms, &self.between, &self.rates, &mut self.observed);
            for i in 0..half {
                let piece = Piece {
                    t0: from,
                    t1: to,
                    g0: self.before[i],
                    d0: self.before[half + i],
                    g1: self.observed[i],
                    d1: self.observed[half + i],
                };
                fibres.on_piece(key, i, &piece);
            }
            from = to;
        }
    }
}

/// Time of a sample, ms; moved onto the tick that it means, if it is one, so that it is not on the wrong side of an edge.
fn sample_ms(row: usize, every_ms: f64) -> f64 {
    let t = row as f64 * every_ms;
    let on_tick = ms(tick(t));
    // Rounding of the product, against a tick of 1e-5 ms.
    if (t - on_tick).abs() <= 1e-12 * t.abs() + 1e-12 {
        on_tick
    } else {
        t
    }
}
