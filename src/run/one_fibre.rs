//! One fibre of a population by itself: the run of it alone, and what it hands over kept in memory.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use crate::backend::cpu::{Cpu, Group, Lanes, Samples as LaneSamples, Simd, flag};
use crate::backend::loss::{Before, Explanation, explain};
use crate::backend::reference::{FibreEnd, Reference, Tolerances};
use crate::backend::{Experiment, Stepping};
use crate::feature::Piece;
use crate::ops::Lane;
use crate::protocol::{ms, tick};
use crate::scheme::BuildError;

use super::batch::{Batch, RunReport};
use super::error::RunError;
use super::pilot::PilotError;
use super::sink::{Layout, Outcome, Precision, Samples, Sink, SinkError, SpikeEvent};

impl Batch {
    /// The run of one fibre by itself, with the number that it has in its population and these varied parameters. It is recorded
    /// whether or not the study records it. Its bits are those of the whole population's run.
    #[must_use]
    pub fn of_fibre(mut self, fibre: u64, parameters: Vec<f64>) -> Self {
        self.first_fibre = fibre;
        self.part = None;
        self.n_fibres = 1;
        self.parameters = vec![parameters];
        self.traces = None;
        self
    }

    /// Runs the fibre and keeps what it hands over.
    ///
    /// # Errors
    /// As [`Batch::run`].
    pub fn run_kept(&self, cancel: &AtomicBool) -> Result<(Kept, RunReport), RunError> {
        let mut kept = Kept::default();
        let report = self.run(&mut kept, &|_| {}, cancel)?;
        Ok((kept, report))
    }

    /// Follows the batch's first fibre once more on the CPU, by the batch's scheme in this precision, up to where it is lost.
    /// `None` if it is not lost.
    ///
    /// # Errors
    /// If the scheme cannot be built for the model, or there is none: see [`Batch::follow_reference`].
    pub fn follow(
        &self,
        precision: Precision,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Before>, BuildError> {
        let (experiment, stepping) = (&self.experiment, self.stepping());
        let parameters = &self.parameters[0];
        match precision {
            Precision::F32 => follow::<f32>(experiment, &stepping, parameters, cancelled),
            Precision::F64 => follow::<f64>(experiment, &stepping, parameters, cancelled),
        }
    }

    /// The same by the reference.
    ///
    /// # Errors
    /// If the reference cannot be built.
    pub fn follow_reference(
        &self,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Before>, RunError> {
        let (parameters, segments) = (&self.parameters[0], &self.experiment.schedule.segments);
        // Every state is watched, nothing else is asked for.
        let mut watched = Experiment {
            observables: self.experiment.model.states.clone(),
            n_recorded: 0,
            features: Vec::new(),
            ..self.experiment.clone()
        };
        // The reference tells of times from 0 on; what is lost while it settles is run again with its clock set forward.
        for shift in [0, segments.first().map_or(0, |s| -s.start)] {
            for segment in &mut watched.schedule.segments {
                (segment.start, segment.end) = (segment.start + shift, segment.end + shift);
            }
            let reference =
                Reference::new(&watched, Tolerances::default()).map_err(PilotError::from)?;
            let mut states = reference.initial_state(parameters);
            let mut earlier = None;
            let on_piece = &mut |state: usize, piece: &Piece| {
                let (at, before) = earlier.get_or_insert_with(|| (0, states.clone()));
                (*at, before[state], states[state]) = (tick(piece.t0), piece.g0, piece.g1);
            };
            let (end, _) = reference.run_fibre(parameters, cancelled, &mut |_, _| {}, on_piece);
            match end {
                FibreEnd::Lost { at_ms, .. } if shift == 0 && at_ms < 0.0 => {}
                FibreEnd::Lost { at_ms, state } => {
                    return Ok(Some(Before {
                        at: tick(at_ms) - shift,
                        tried_ms: SMALLEST_MS,
                        states,
                        earlier: earlier.map(|(at, states)| (at - shift, states)),
                        culprit: state,
                    }));
                }
                FibreEnd::Finished | FibreEnd::Cancelled => break,
            }
        }
        Ok(None)
    }

    /// The formula to blame for a loss in this precision; see [`explain`].
    ///
    /// # Errors
    /// If the scheme cannot be built for the model.
    pub fn explain(
        &self,
        precision: Precision,
        before: &Before,
    ) -> Result<Explanation, BuildError> {
        match precision {
            Precision::F32 => self.explain_in::<f32>(before),
            Precision::F64 => self.explain_in::<f64>(before),
        }
    }

    fn explain_in<T: Lane>(&self, before: &Before) -> Result<Explanation, BuildError> {
        let cpu = Cpu::<T>::new(&self.experiment, &self.stepping(), Simd::best())?;
        let (parameters, bounded) = (&self.parameters[0], self.scheme.is_some());
        let step = cpu.step_program();
        Ok(explain::<T>(
            &self.experiment,
            parameters,
            before,
            step,
            bounded,
        )?)
    }
}

/// Where the reference gives up its steps are too short to lead anywhere; this one, ms, is short beside all that fibres do.
const SMALLEST_MS: f64 = 5e-4;

/// Iterations before the loss that are gone through one by one: a step is cut to a fifth at each, so that fewer lead from the largest
/// to the smallest.
const LAST_ITERATIONS: u64 = 100;

fn follow<T: Lane>(
    experiment: &Experiment,
    stepping: &Stepping,
    parameters: &[f64],
    cancelled: &dyn Fn() -> bool,
) -> Result<Option<Before>, BuildError> {
    let cpu = Cpu::<T>::for_fibres(experiment, stepping, Simd::best(), 1)?;
    // Fewer lanes than a vector has would serve as well; the bits are the same.
    let mut lanes = Lanes::new(&cpu, 16);
    // Moves on by so many iterations at most, and says how many there were.
    let mut advance = |group: &mut Group<T>, most: u64| {
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > most || cancelled()
        };
        let samples = LaneSamples {
            first_row: 0,
            n_rows: experiment.n_samples,
            n_traces: 0,
            trace_of: &[None],
            values: &mut [],
        };
        cpu.advance(group, &mut lanes, samples, true, &mut Vec::new(), &stop);
        asked.get()
    };
    let mut group = cpu.start(0, vec![parameters.to_vec()]);
    let iterations = advance(&mut group, u64::MAX);
    let clock = group.clocks[0];
    if clock.flags & flag::LOST == 0 {
        return Ok(None);
    }
    let n_states = experiment.model.states.len();
    let states = |group: &Group<T>| -> Vec<f64> {
        let own = group.states[..n_states].iter();
        own.map(|x| x.f64()).collect()
    };
    // Once more to shortly before, and from there one by one: the same bits, because a fibre may be put aside between any two steps.
    let mut again = cpu.start(0, vec![parameters.to_vec()]);
    advance(&mut again, iterations.saturating_sub(LAST_ITERATIONS));
    let mut earlier = None;
    while !again.clocks[0].is_done() && !cancelled() {
        if again.clocks[0].now < clock.now {
            earlier = Some((again.clocks[0].now, states(&again)));
        }
        advance(&mut again, 1);
    }
    let left = experiment.schedule.segments[clock.segment as usize].end - clock.now;
    Ok(Some(Before {
        at: clock.lost_at,
        tried_ms: ms(clock.wanted.min(left).max(1)),
        states: states(&group),
        earlier,
        culprit: clock.lost_state as usize,
    }))
}

/// What a run handed over, in memory: for one fibre, or a few.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Samples of each recorded quantity, `[row][fibre]`, single precision widened.
    pub values: Vec<Vec<f64>>,
    /// Events, in the order in which they came.
    pub spikes: Vec<SpikeEvent>,
    /// What was known at the end.
    pub outcome: Option<Outcome>,
}

impl Kept {
    /// Hands everything on to another sink, in the layout's precision, and finishes it. Returns the bytes of the finished file.
    ///
    /// # Errors
    /// If the sink cannot take it.
    pub fn hand_on(&self, layout: &Layout, out: &mut dyn Sink) -> Result<u64, SinkError> {
        for (variable, values) in self.values.iter().enumerate() {
            match layout.precision {
                Precision::F32 => {
                    let narrow: Vec<f32> = values.iter().map(|&x| x as f32).collect();
                    out.write_rows(variable, 0, Samples::F32(&narrow))?;
                }
                Precision::F64 => out.write_rows(variable, 0, Samples::F64(values))?,
            }
        }
        out.write_events(&self.spikes)?;
        out.commit(layout.time_ms.len())?;
        match &self.outcome {
            Some(outcome) => out.finish(outcome),
            None => Err(SinkError::Format("the run did not end".to_string())),
        }
    }
}

impl Sink for Kept {
    fn write_rows(
        &mut self,
        variable: usize,
        _: usize,
        rows: Samples<'_>,
    ) -> Result<(), SinkError> {
        if self.values.len() <= variable {
            self.values.resize(variable + 1, Vec::new());
        }
        // Slabs come in order.
        match rows {
            Samples::F32(rows) => {
                self.values[variable].extend(rows.iter().map(|&x| f64::from(x)));
            }
            Samples::F64(rows) => self.values[variable].extend(rows),
        }
        Ok(())
    }
    fn write_trace(
        &mut self,
        variable: usize,
        (trace, n_traces): (usize, usize),
        rows: Samples<'_>,
    ) -> Result<(), SinkError> {
        if self.values.len() <= variable {
            self.values.resize(variable + 1, Vec::new());
        }
        let rows: Vec<f64> = match rows {
            Samples::F32(rows) => rows.iter().map(|&x| f64::from(x)).collect(),
            Samples::F64(rows) => rows.to_vec(),
        };
        let values = &mut self.values[variable];
        values.resize(rows.len() * n_traces, f64::NAN);
        let own = values.iter_mut().skip(trace).step_by(n_traces);
        own.zip(rows).for_each(|(place, value)| *place = value);
        Ok(())
    }
    fn write_events(&mut self, events: &[SpikeEvent]) -> Result<(), SinkError> {
        self.spikes.extend(events);
        Ok(())
    }
    fn commit(&mut self, _: usize) -> Result<(), SinkError> {
        Ok(())
    }
    fn checkpoint(&mut self, _: &[&[u8]]) -> Result<bool, SinkError> {
        Ok(false)
    }
    fn finish(&mut self, outcome: &Outcome) -> Result<u64, SinkError> {
        self.outcome = Some(outcome.clone());
        Ok(0)
    }
}
