//! A few fibres side by side, one in each lane of a vector: every fibre keeps its own time, step and order, and in each round every lane makes
//! one iteration, whatever it is at. A lane whose fibre has ended takes the next one. What is found of a fibre does not depend on its neighbours.

use crate::feature::Piece;
use crate::protocol::ms;

use super::fibre::{FibreEnd, Moving, Reference};
use super::integrate::{Next, Stepper, Work};
use super::newton::{Newton, Programs};
use super::rodas::Rodas;
use super::watch::Watch;

/// An empty lane asks for a fibre once in so many rounds of a microsecond or two.
const ROUNDS_PER_ASKING: u64 = 256;

/// Where the fibres come from, and who gets what is found of them.
pub trait Fibres {
    /// The next fibre: a number that it is called by, and its varied parameters. With `idle`, nothing else is being run, and the call may wait.
    fn next(&mut self, idle: bool) -> Option<(usize, Vec<f64>)>;
    /// All observables at a row of samples, in order of time.
    fn on_sample(&mut self, key: usize, row: usize, observed: &[f64]);
    /// The course of an observable over a piece of a step, in order of time, from time 0 on.
    fn on_piece(&mut self, key: usize, observable: usize, piece: &Piece);
    /// Whether the courses over pieces are wanted. Else there are only the values at the ends of pieces, which cost less.
    fn wants_courses(&self) -> bool {
        true
    }
    /// All observables at the end of a piece of a step, in order of time, from time 0 on: where courses are not wanted.
    fn on_point(&mut self, _key: usize, _observed: &[f64]) {}
    /// Whether to go on; asked after every step of any fibre.
    fn goes_on(&mut self) -> bool;
    /// A fibre is at its end.
    fn on_end(&mut self, key: usize, end: FibreEnd, work: Work);
}

/// A fibre in its lane.
struct Course<'a> {
    key: usize,
    parameters: Vec<f64>,
    moving: Moving<'a>,
    stepper: Stepper,
    watch: Watch,
    /// The segment that it is in, and when that began, ms.
    segment: usize,
    start_ms: f64,
}

/// All lanes.
struct Ensemble<'a, const N: usize> {
    reference: &'a Reference,
    newton: Newton<'a, N>,
    starter: Rodas,
    courses: [Option<Course<'a>>; N],
    change: Vec<f64>,
}

/// Runs fibres until there are no more, or the caller does not go on: what is being run then is cancelled.
#[inline(always)]
pub(super) fn run<const N: usize>(
    reference: &Reference,
    programs: &Programs,
    starter: Rodas,
    fibres: &mut dyn Fibres,
) {
    let mut ensemble = Ensemble::<N> {
        reference,
        newton: Newton::new(programs),
        starter,
        courses: std::array::from_fn(|_| None),
        change: vec![0.0; reference.n_states()],
    };
    if !ensemble.run(fibres) {
        for course in ensemble.courses.into_iter().flatten() {
            fibres.on_end(course.key, FibreEnd::Cancelled, course.stepper.work);
        }
    }
}

impl<const N: usize> Ensemble<'_, N> {
    /// Whether all fibres came to an end.
    #[inline(always)]
    fn run(&mut self, fibres: &mut dyn Fibres) -> bool {
        for round in 0_u64.. {
            let empty = |lane: &usize| self.courses[*lane].is_none();
            let asks = round.is_multiple_of(ROUNDS_PER_ASKING) || (0..N).all(|l| empty(&l));
            for lane in 0..N {
                if asks && self.courses[lane].is_none() && !self.fill(lane, fibres) {
                    return false;
                }
            }
            if self.courses.iter().all(Option::is_none) {
                return true;
            }
            self.factor();
            self.newton.iterate();
            for lane in 0..N {
                if !self.advance(lane, fibres) {
                    return false;
                }
            }
        }
        true
    }

    /// Puts the next fibre into a lane, if there is one. Whether to go on.
    fn fill(&mut self, lane: usize, fibres: &mut dyn Fibres) -> bool {
        while self.courses[lane].is_none() {
            let idle = self.courses.iter().all(Option::is_none);
            let Some((key, parameters)) = fibres.next(idle) else {
                return true;
            };
            let reference = self.reference;
            let state = reference.initial_state(&parameters);
            let moving = Moving::new(reference, &parameters);
            self.newton.take(lane, &moving);
            let n_observables = reference.experiment().observables.len();
            self.courses[lane] = Some(Course {
                key,
                moving,
                stepper: reference.stepper(&state),
                watch: Watch::new(n_observables, state.len()),
                segment: 0,
                start_ms: 0.0,
                parameters,
            });
            if !self.enter(lane, state, fibres) {
                return false;
            }
        }
        true
    }

    /// Goes into the segment of a lane's fibre in this state, and on until there is an equation to solve. Whether to go on.
    fn enter(&mut self, lane: usize, mut state: Vec<f64>, fibres: &mut dyn Fibres) -> bool {
        let segments = &self.reference.experiment().schedule.segments;
        let Some(course) = &mut self.courses[lane] else {
            return true;
        };
        let end = loop {
            let Some(segment) = segments.get(course.segment) else {
                break FibreEnd::Finished;
            };
            course.moving.enter(segment, &course.parameters, &mut state);
            self.newton.enter(lane, &course.moving);
            course.start_ms = ms(segment.start);
            if let Some(index) = state.iter().position(|x| !x.is_finite()) {
                break FibreEnd::Lost {
                    at_ms: course.start_ms,
                    state: index,
                };
            }
            course
                .watch
                .enter(&mut course.moving, course.start_ms, &state);
            let length_ms = ms(segment.end - segment.start);
            let entered =
                course
                    .stepper
                    .enter(&mut self.starter, &mut course.moving, &state, length_ms);
            if let Err(lost) = entered {
                break FibreEnd::Lost {
                    at_ms: course.start_ms + lost.after_ms,
                    state: lost.state,
                };
            }
            let at_end = course.stepper.has_arrived() && course.segment + 1 == segments.len();
            course.watch.step(
                (self.reference, &mut course.moving),
                course.start_ms,
                &course.stepper,
                at_end,
                course.key,
                fibres,
            );
            if !fibres.goes_on() {
                return false;
            }
            if !course.stepper.has_arrived() {
                course.stepper.go_on();
                self.aim(lane);
                return true;
            }
            state.copy_from_slice(&course.stepper.method.d[0]);
            course.segment += 1;
        };
        fibres.on_end(course.key, end, course.stepper.work);
        self.courses[lane] = None;
        true
    }

    /// Hands a lane's step, which has just begun, to the solver.
    #[inline(always)]
    fn aim(&mut self, lane: usize) {
        if let Some(course) = &self.courses[lane] {
            let (stepper, method) = (&course.stepper, &course.stepper.method);
            self.newton
                .aim(lane, &course.moving, stepper.to_ms, method.shift());
            self.newton
                .guess(lane, &method.end, &method.psi, &method.correction);
        }
    }

    /// Makes the factors that are wanted.
    #[inline(always)]
    fn factor(&mut self) {
        let wants = |c: &&Course<'_>| c.stepper.wants_factors();
        if !self.courses.iter().flatten().any(|c| wants(&c)) {
            return;
        }
        let at = std::array::from_fn(|lane| {
            let course = self.courses[lane].as_ref().filter(wants);
            course.map(|c| &c.stepper.method.end[..])
        });
        self.newton.factor(at);
        for course in self.courses.iter_mut().flatten() {
            if course.stepper.wants_factors() {
                course.stepper.has_factors();
            }
        }
    }

    /// Takes a lane's iteration and what follows from it. Whether to go on.
    #[inline(always)]
    fn advance(&mut self, lane: usize, fibres: &mut dyn Fibres) -> bool {
        let Some(course) = &mut self.courses[lane] else {
            return true;
        };
        self.newton.change(lane, &mut self.change);
        match course.stepper.iterate(&self.change) {
            Ok(Next::Iteration) => {
                self.aim(lane);
                true
            }
            Ok(Next::Taken) => {
                let n_segments = self.reference.experiment().schedule.segments.len();
                let arrived = course.stepper.has_arrived();
                course.watch.step(
                    (self.reference, &mut course.moving),
                    course.start_ms,
                    &course.stepper,
                    arrived && course.segment + 1 == n_segments,
                    course.key,
                    fibres,
                );
                if !fibres.goes_on() {
                    return false;
                }
                if arrived {
                    let state = course.stepper.method.d[0].clone();
                    course.segment += 1;
                    return self.enter(lane, state, fibres);
                }
                course.stepper.go_on();
                self.aim(lane);
                true
            }
            Err(lost) => {
                let end = FibreEnd::Lost {
                    at_ms: course.start_ms + lost.after_ms,
                    state: lost.state,
                };
                fibres.on_end(course.key, end, course.stepper.work);
                self.courses[lane] = None;
                true
            }
        }
    }
}
