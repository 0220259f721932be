//! Which states limit the steps: where the error of a step is the largest, how often it is whose.
//!
//! The step program gives the largest error alone; that is all a run needs. Here the same arithmetic, with the error up to
//! each state among its outputs, takes one fibre with the model's own parameters through the pilot's train.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::backend::reference::Tape;
use crate::backend::{Experiment, InitialStates, LARGEST_HELD_STEP_MS, SMALLEST_STEP_MS, course};
use crate::model::Model;
use crate::program::Input;
use crate::protocol::{Segment, TICKS_PER_MS, Target, ms, tick};
use crate::scheme::{BuildError, Control, Request, Scheme, Summation, build_with_errors};

use super::pilot;

/// A state and the share of the steps that it limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Name of the state.
    pub state: String,
    /// Share of the accepted steps, 0 to 1.
    pub share: f64,
}

/// What decides the steps of a scheme.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// The scheme; one with fixed steps has nothing that limits it.
    pub scheme: Scheme,
    /// Size of each state.
    pub scales: &'a [f64],
    /// Error allowed in a step.
    pub tolerance: f64,
    /// Largest step, ms.
    pub largest_step_ms: f64,
}

/// The states that limit the steps of the model's own fibre through ten pulses at 50 Hz, the most frequent first. Steps that are
/// cut by an edge of the protocol or held by the largest step are limited by no state and count for none.
///
/// # Errors
/// If the scheme cannot be built for the model.
pub fn limiting(model: &Model, steps: &Steps<'_>) -> Result<Vec<Limit>, BuildError> {
    let Control::Adaptive { first_step_ms, .. } = steps.scheme.control() else {
        return Ok(Vec::new());
    };
    let (program, order) = build_with_errors(&Request {
        model,
        free: &[],
        ramped: &[],
        clamped: &[],
        observables: &[],
        scheme: steps.scheme,
        summation: Summation::Plain,
        scales: steps.scales,
        tolerance: steps.tolerance,
    })?;
    let experiment = Experiment {
        model: Arc::new(model.clone()),
        varied: Vec::new(),
        schedule: pilot::schedule(model),
        observables: Vec::new(),
        n_recorded: 0,
        features: Vec::new(),
        sample_every_ms: 1.0,
        n_samples: 0,
    };
    let place = |input: Input| program.inputs.iter().position(|&i| i == input);
    let (pace, time, last_error) = (
        place(Input::Pace),
        place(Input::Time),
        place(Input::LastError),
    );
    let step_input = place(Input::Step);
    let n = program.n_states;
    let error_output = program.error_output();
    let first_error = program.program.outputs.len() - order.len();
    let mut inputs = vec![0.0; program.inputs.len()];
    inputs[..n].copy_from_slice(&InitialStates::new(&experiment)?.of(&[]));
    let mut outputs = vec![0.0; program.program.outputs.len()];
    // The bits of the slow evaluator, in a sixth of its time: some thousand steps.
    let tape = Tape::new(&program.program, &vec![true; inputs.len()]);
    let mut memory = tape.memory();
    tape.settle(&inputs, &mut memory);
    let mut limited = vec![0u64; n];
    let mut accepted = 0u64;
    let per_time = TICKS_PER_MS * model.ms_per_time;
    let (largest, smallest) = (tick(steps.largest_step_ms), tick(SMALLEST_STEP_MS));
    let held = tick(LARGEST_HELD_STEP_MS);
    let first = tick(first_step_ms);
    let mut wanted = first;
    for segment in &experiment.schedule.segments {
        let mut now = segment.start;
        wanted = wanted.min(first);
        if let Some(place) = pace {
            inputs[place] = pacing(&experiment.schedule.targets, segment);
        }
        while now < segment.end {
            let left = segment.end - now;
            let tried = match wanted.min(largest) {
                step if step >= left => left,
                step if 2 * step > left => (left + 1) / 2,
                step => step,
            };
            for (place, value) in [
                (step_input, tried as f64 / per_time),
                (time, ms(now) / model.ms_per_time),
            ] {
                if let Some(place) = place {
                    inputs[place] = value;
                }
            }
            tape.run(&inputs, &mut memory, &mut outputs);
            let (error, signed) = (outputs[error_output], outputs[error_output + 2]);
            let growth = signed.abs();
            let next = |growth: f64| ((tried as f64 * growth) as i64).max(smallest);
            let may_hold = signed < 0.0 && tried > held;
            // A NaN does not fit.
            let fits = error <= 1.0 && !may_hold;
            if !fits && tried > smallest {
                wanted = next(if growth.is_finite() { growth } else { 0.2 });
                if may_hold {
                    wanted = wanted.min(held);
                }
                continue;
            }
            if !error.is_finite() {
                // Lost: what was counted so far is what there is.
                return Ok(shares(model, &limited, accepted));
            }
            let errors = &outputs[first_error..];
            if let Some(k) = errors.iter().position(|&e| e == error) {
                // A free step: one that the next one's length will be judged by.
                if tried == wanted.min(largest) && tried < largest {
                    limited[order[k]] += 1;
                    accepted += 1;
                }
            }
            inputs[..n].copy_from_slice(&outputs[..n]);
            if let Some(place) = last_error {
                inputs[place] = outputs[error_output + 1];
            }
            now += tried;
            wanted = match next(growth) {
                grown if tried < wanted && growth >= 1.0 => grown.max(wanted),
                grown => grown,
            };
        }
    }
    Ok(shares(model, &limited, accepted))
}

/// The limiting states as JSON: `[{"state": …, "share": …}]`.
pub fn limiting_json(limits: &[Limit]) -> Value {
    limits
        .iter()
        .map(|limit| json!({ "state": limit.state, "share": limit.share }))
        .collect()
}

fn pacing(targets: &[Target], segment: &Segment) -> f64 {
    let drives = targets.iter().zip(&segment.drives);
    let pace = drives.filter(|(target, _)| **target == Target::Pace);
    pace.filter_map(|(_, drive)| Some(course(drive.as_ref()?, segment, &[]).0))
        .next_back()
        .unwrap_or(0.0)
}

fn shares(model: &Model, limited: &[u64], accepted: u64) -> Vec<Limit> {
    let mut limits: Vec<Limit> = model
        .states
        .iter()
        .zip(limited)
        .filter(|(_, n)| **n > 0)
        .map(|(&id, &n)| Limit {
            state: model.variable(id).name.clone(),
            share: n as f64 / accepted as f64,
        })
        .collect();
    limits.sort_by(|a, b| b.share.total_cmp(&a.share));
    limits
}
