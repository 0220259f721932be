//! What a program with a fixed step computes beside the step, so that many steps can be taken before a lane is looked at: whether there is
//! anything to look at.
//!
//! Between two events of its clock a lane has nothing to do but to take what was tried, as long as the step is sound and no feature would note the
//! piece behind it. A piece has nothing for a feature that counts spikes if its four Bernstein coefficients are on one side of the threshold, as
//! its course was, and, where it turns, further from it than any turning point was before. Two of them are the values at the piece's ends, the
//! others differ from these by a third of the step times the slope. So each end has a least distance, whichever way its slope points, and one step
//! hands it to the next. All is asked with a margin for rounding; a no costs a look at the lanes and nothing else.

use super::native::Walk;
use crate::backend::lane_plan::LanePlan;
use crate::feature::FeatureKind;
use crate::ops::{Lane, Op};
use crate::program::{Node, Program, Value};
use crate::scheme::{StepProgram, Summation};

/// Share of the numbers involved by which a bound must be clear: a hundred times what rounding in single precision makes of it.
const MARGIN: f64 = 1e-5;
/// What a distance is multiplied by before anything is taken from it.
const SHRUNK: f64 = 1.0 - 2.0 * MARGIN;

/// Where the rows of the watch are. Inputs that the step does not know stand behind its own.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// First input: value and rate of every observable at the start of the open piece.
    pub open: usize,
    /// First input: of every feature, the least distance from the threshold that belongs to the start of the open piece.
    pub bounds: usize,
    /// Input: 1 if a fibre is in the lane, else 0.
    pub active: usize,
    /// First input of the features, [`PER_FEATURE`] for each.
    pub features: usize,
    /// Number of inputs, those of the step included.
    pub n_inputs: usize,
    /// Output of a program that asks: 0 where the lane need not be looked at. Behind it, of every feature, the least distance that belongs to the end
    /// of the open piece.
    pub output: usize,
    n_features: usize,
    /// Output: the error of a fixed step.
    unsound: usize,
    /// Input: the step, which is positive.
    pub step_row: usize,
    /// The step that all take but those before an edge, in the unit of the model's time and the precision of the lanes.
    pub full_step: f64,
}

/// Inputs of a feature: see [`Watch::of_feature`].
pub(super) const PER_FEATURE: usize = 4;

impl Watch {
    /// The program with what the watch is about behind its own outputs: for each feature a number that is negative where the lane has to be looked
    /// at, then for each its least distance. [`Watch::asking`] makes one question of it, when what stays the same for a fibre has been taken out.
    /// `None` where lanes have more to do than to take steps.
    pub fn new<T: Lane>(plan: &LanePlan) -> Option<(Self, Program)> {
        let spikes_only = plan
            .features
            .iter()
            .all(|f| f.0.kind == FeatureKind::Spikes);
        if plan.adaptive || plan.time_row.is_some() || plan.has_ramps || !spikes_only {
            return None;
        }
        let step = &plan.step;
        let open = step.inputs.len();
        let bounds = open + 2 * step.n_observables;
        let active = bounds + plan.features.len();
        let features = active + 1;
        let watch = Watch {
            open,
            bounds,
            active,
            features,
            n_inputs: features + PER_FEATURE * plan.features.len(),
            output: step.program.outputs.len(),
            n_features: plan.features.len(),
            unsound: step.error_output(),
            step_row: plan.step_row,
            full_step: T::of(plan.first_step as f64 / plan.ticks_per_time).f64(),
        };
        let mut w = Writer(step.program.clone());
        let output = |w: &Writer, k: usize| w.0.outputs[k];
        let unsound = w.unsound::<T>(step);
        w.0.outputs[watch.unsound] = unsound;
        let (mut spares, mut bounds) = (Vec::new(), Vec::new());
        for (f, (spec, of)) in plan.features.iter().enumerate() {
            let own = watch.features + PER_FEATURE * f;
            let [side, side_threshold, reach, nearest] = [0, 1, 2, 3].map(|k| w.input(own + k));
            let (before, d0) = (w.input(watch.bounds + f), w.input(watch.open + 2 * of + 1));
            let [g1, d1] = [0, 1].map(|k| output(&w, step.observable_output(*of) + k));
            // On the side of the course; positive if the answer is yes.
            let distance = w.apply(Op::Fms, &[side, g1, side_threshold]);
            let slope = w.apply(Op::Abs, &[d1]);
            let here = w.apply(Op::Fnma, &[reach, slope, distance]);
            let least = w.smaller(before, here);
            // Slopes of one sign, for certain: no turning point.
            let zero = w.constant(0.0);
            let product = w.apply(Op::Mul, &[d0, d1]);
            let goes_on = w.apply(Op::Lt, &[zero, product]);
            let fixed = w.constant(threshold_margin(spec.threshold));
            let needed = w.apply(Op::Select, &[goes_on, fixed, nearest]);
            spares.push(w.apply(Op::Sub, &[least, needed]));
            bounds.push(here);
        }
        w.0.outputs.extend(spares.into_iter().chain(bounds));
        Some((watch, w.0.pruned()))
    }

    /// The watched program, in which a lane asks to be looked at where one of the numbers is negative that were made for it.
    pub fn asking(&self, watched: &Program) -> Program {
        self.with_question(Writer(watched.clone()), None)
    }

    /// The same; a lane asks where `hope` is negative, too. That is a number as long as the states are.
    pub(super) fn with_question(&self, mut w: Writer, hope: Option<Value>) -> Program {
        let bounds = w.0.outputs.split_off(self.output + self.n_features);
        let mut spares = w.0.outputs.split_off(self.output);
        match (spares.first_mut(), hope) {
            (Some(spare), Some(hope)) => *spare = w.smaller(hope, *spare),
            (_, hope) => spares.extend(hope),
        }
        // A sum of what is 0 or positive or no number.
        let mut open = w.0.outputs[self.unsound];
        for spare in spares {
            let asks = w.shortfall(spare);
            open = w.apply(Op::Add, &[open, asks]);
        }
        // What is no number is an active lane's 1.
        let active = w.input(self.active);
        let asks = w.smaller(open, active);
        w.0.outputs.push(asks);
        w.0.outputs.extend(bounds);
        w.0.pruned()
    }

    /// A watch of a program that is not an experiment's.
    #[cfg(test)]
    pub fn in_rows(
        (step, full_step): (usize, f64),
        active: usize,
        n_outputs: usize,
        n_features: usize,
    ) -> Self {
        Watch {
            open: 0,
            bounds: 0,
            active,
            features: 0,
            n_inputs: 0,
            output: n_outputs,
            n_features,
            unsound: n_outputs - 1,
            step_row: step,
            full_step,
        }
    }

    /// What one step hands to the next: states, what rounding has taken from them, value and rate of every observable, the least distances of the
    /// features.
    pub fn walk(&self, plan: &LanePlan) -> Walk {
        let step = &plan.step;
        let observables = 0..2 * step.n_observables;
        let observables = observables.map(|k| [step.observable_output(0) + k, self.open + k]);
        let carried = plan.new_states().into_iter();
        Walk {
            carried: carried.chain(observables).chain(self.distances()).collect(),
            asks: self.output,
            apart: !plan.experiment.varied.is_empty(),
        }
    }

    /// Outputs that are the least distances of the features, each with the row of the input that it becomes.
    pub fn distances(&self) -> impl Iterator<Item = [usize; 2]> {
        (0..self.n_features).map(|f| [self.output + 1 + f, self.bounds + f])
    }

    /// The inputs of a feature: the side of the threshold on which the course is (1 or -1, 0 while that is not known), that times the
    /// threshold, both shrunk by a margin; a third of the length of a piece (in the unit of the rates' time); and how far a turning point must be
    /// from the threshold, with the margin of the threshold's own digits.
    #[inline(always)]
    pub fn of_feature(side: f64, threshold: f64, length: f64, nearest: f64) -> [f64; PER_FEATURE] {
        [
            SHRUNK * side,
            SHRUNK * side * threshold,
            length / 3.0,
            nearest * (1.0 + 3.0 * MARGIN) + threshold_margin(threshold),
        ]
    }

    /// Inputs of a feature where nothing is noted, while a fibre settles or outside of the feature's window: far from a threshold, and no turning
    /// point matters.
    pub const OUTSIDE: [f64; PER_FEATURE] = [0.0, -1e30, 0.0, 0.0];

    /// The least distance from the threshold that belongs to an end of a piece, from the inputs of a feature, value and slope.
    #[inline(always)]
    pub fn distance(inputs: &[f64; PER_FEATURE], value: f64, slope: f64) -> f64 {
        let [side, side_threshold, reach, _] = inputs;
        side * value - side_threshold - reach * slope.abs()
    }
}

/// What rounding may make of a distance from the threshold by the threshold's own size; more than nothing, so that a distance of 0 is not clear.
#[inline(always)]
fn threshold_margin(threshold: f64) -> f64 {
    MARGIN * threshold.abs().max(1e-20)
}

/// Adds nodes to a program.
pub(super) struct Writer(pub Program);

impl Writer {
    pub fn push(&mut self, node: Node) -> Value {
        self.0.nodes.push(node);
        Value(self.0.nodes.len() as u32 - 1)
    }

    pub fn input(&mut self, row: usize) -> Value {
        self.push(Node::Input(row as u32))
    }

    pub fn constant(&mut self, number: f64) -> Value {
        self.push(Node::Constant(number.to_bits()))
    }

    pub fn apply(&mut self, op: Op, args: &[Value]) -> Value {
        let mut padded = [Value::NONE; 3];
        padded[..args.len()].copy_from_slice(args);
        self.push(Node::Apply(op, padded))
    }

    /// `c[0] + x (c[1] + x (c[2] + …))` by fused multiply-adds.
    pub fn horner(&mut self, x: Value, coefficients: &[f64]) -> Value {
        let mut each = coefficients.iter().rev().map(|c| c.to_bits());
        let first = each.next().unwrap_or_default();
        let mut sum = self.push(Node::Constant(first));
        for c in each {
            let c = self.push(Node::Constant(c));
            sum = self.apply(Op::Fma, &[sum, x, c]);
        }
        sum
    }

    /// The error of a fixed step: 0 where every new state is a number of the single precision's range, else NaN. It stands in the place
    /// of the scheme's own, which costs a comparison and a choice for each state; here it is what is left of a number beside itself.
    fn unsound<T: Lane>(&mut self, step: &StepProgram) -> Value {
        let n = step.n_states;
        let is_single = T::PRECISION == "f32";
        let nothing: Vec<Value> = if is_single && step.summation == Summation::Compensated {
            // What rounding took of a sum is small, or no number if the sum is none; so it is with all of it together.
            let lost = (n..2 * n).map(|k| self.0.outputs[k]);
            let lost: Vec<Value> = lost.collect();
            lost.into_iter()
                .reduce(|sum, lost| self.apply(Op::Add, &[sum, lost]))
                .into_iter()
                .collect()
        } else {
            self.0.outputs[..n].to_vec()
        };
        let nothing = nothing.into_iter().map(|number| {
            let number = if is_single {
                number
            } else {
                // Beyond that range it becomes infinite.
                let most = self.constant(f64::MAX / f64::from(f32::MAX));
                self.apply(Op::Mul, &[number, most])
            };
            self.apply(Op::Sub, &[number, number])
        });
        let nothing: Vec<Value> = nothing.collect();
        let sum = nothing
            .into_iter()
            .reduce(|sum, nothing| self.apply(Op::Add, &[sum, nothing]));
        sum.unwrap_or_else(|| self.constant(0.0))
    }

    /// 0 where a number is not negative, else something positive or no number.
    fn shortfall(&mut self, spare: Value) -> Value {
        let size = self.apply(Op::Abs, &[spare]);
        self.apply(Op::Sub, &[size, spare])
    }

    /// The larger of two; a NaN in the second is left out.
    pub fn larger(&mut self, a: Value, b: Value) -> Value {
        let is_above = self.apply(Op::Lt, &[a, b]);
        self.apply(Op::Select, &[is_above, b, a])
    }

    /// The smaller of two; a NaN in the second is kept.
    pub fn smaller(&mut self, a: Value, b: Value) -> Value {
        let is_below = self.apply(Op::Lt, &[a, b]);
        self.apply(Op::Select, &[is_below, a, b])
    }
}
