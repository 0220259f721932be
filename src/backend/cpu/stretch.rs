//! Steps of equal length during which no lane of a few tiles has anything to be looked at: they are taken by all of these lanes at once.
//!
//! With a fixed step, and a model of a few gates, looking at every lane costs ten times what the step costs. So the program itself says
//! when a lane has to be looked at (`watch`); until then its tile and a few others go on by themselves. Where the answer is not a clear no, the
//! step is judged lane by lane like any other. So nothing depends on whether a step was part of a stretch.

use crate::feature::Gathered;
use crate::ops::Lane;
use crate::protocol::ms;

use super::Runner;
use super::lanes::{Advance, Lanes};
use super::layout::Layout;
use super::native::Native;
use super::watch::{PER_FEATURE, Watch};

/// Tiles that go on together: the end of one step and the beginning of the next one have nothing to wait for of each other.
const TILES: usize = 4;
/// Steps that are taken with the whole program where the code for short steps is not enough, before that is tried again.
const WHOLE: i64 = 32;
/// Steps of a stretch at most: the call may be cancelled in between.
const LONGEST: i64 = 4096;

impl<T: Lane> Advance<'_, T> {
    /// Runs the program: once, or, where steps are fixed, over a few tiles as long as nothing in them has to be looked at.
    pub(super) fn run_stretch(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        let Some(watch) = &self.cpu.watch else {
            self.cpu.run_program(rows, &mut lanes.slots);
            return;
        };
        let (n, tile_lanes, tile_values) = (
            lanes.lanes,
            lanes.layout.tile_lanes,
            lanes.layout.tile_values,
        );
        let at_a_time = rows.chunks_mut(TILES * tile_values);
        for (tiles, first) in at_a_time.zip((0..n).step_by(TILES * tile_lanes)) {
            let width = (TILES * tile_lanes).min(n - first);
            let most = self.quiet_steps(lanes, first, width);
            if most > 0 {
                for (tile, first) in tiles
                    .chunks_exact_mut(tile_values)
                    .zip((first..).step_by(tile_lanes))
                {
                    self.prepare(watch, lanes, tile, first, tile_lanes.min(n - first));
                }
            }
            let taken = match &self.cpu.runner {
                Runner::Native(_, native) => self.walk_natively(native, watch, lanes, tiles, most),
                Runner::Interpreter(..) => self.walk(watch, lanes, tiles, most),
            };
            if taken > 0 {
                for (tile, first) in tiles
                    .chunks_exact(tile_values)
                    .zip((first..).step_by(tile_lanes))
                {
                    let width = tile_lanes.min(n - first);
                    self.pass_quietly(watch, lanes, tile, first, width, taken);
                }
            }
        }
    }

    /// Walks with the code for short steps, and where that is not enough a while with the whole program. A step has the same bits in both.
    fn walk_natively(
        &self,
        native: &Native,
        watch: &Watch,
        lanes: &mut Lanes<T>,
        tiles: &mut [T],
        most: i64,
    ) -> i64 {
        let Layout {
            tile_lanes,
            tile_values,
            ..
        } = lanes.layout;
        let slots = &mut lanes.slots;
        let mut walk = |by: &Native, tiles: &mut [T], most: i64| {
            by.walk(tiles, slots, most.cast_unsigned()).cast_signed()
        };
        let Some(hopeful) = self.cpu.hopeful.as_ref().filter(|_| most > 0) else {
            return walk(native, tiles, most);
        };
        let mut taken = 0;
        loop {
            taken += walk(hopeful, tiles, most - taken);
            let mut each = tiles.chunks_exact(tile_values);
            if each.all(|tile| self.is_quiet(watch, tile, tile_lanes)) {
                return taken;
            }
            // What it has computed last may be wrong: it is computed again.
            let a_while = WHOLE.min(most - taken);
            let more = walk(native, tiles, a_while);
            taken += more;
            if more < WHOLE {
                return taken;
            }
        }
    }

    /// Runs the program over tiles, and again with what it has computed, as long as nothing has to be looked at: what machine code does by itself.
    fn walk(&self, watch: &Watch, lanes: &mut Lanes<T>, tiles: &mut [T], most: i64) -> i64 {
        let Layout {
            tile_lanes,
            tile_values,
            ..
        } = lanes.layout;
        let mut taken = 0;
        loop {
            self.cpu.run_program(tiles, &mut lanes.slots);
            let mut each = tiles.chunks_exact(tile_values);
            if taken == most || !each.all(|tile| self.is_quiet(watch, tile, tile_lanes)) {
                return taken;
            }
            for tile in tiles.chunks_exact_mut(tile_values) {
                self.take_quietly(watch, lanes, tile);
            }
            taken += 1;
        }
    }

    /// How many steps, from the one whose inputs have just been written, all of the lanes can take before one has to be looked at for its
    /// clock.
    fn quiet_steps(&self, lanes: &Lanes<T>, first: usize, width: usize) -> i64 {
        let (clocks, features) = (&lanes.clocks, &self.cpu.plan.features);
        let mut least = LONGEST as f64;
        for l in first..first + width {
            if !clocks.is_occupied(l) {
                continue;
            }
            let Some(mut steps) = clocks.quiet_steps(l) else {
                return 0;
            };
            for (spec, _) in features {
                if ms(clocks.piece_start[l] as i64) < spec.after_ms {
                    return 0;
                }
                let left_ms = spec.before_ms - ms(clocks.now[l] as i64);
                steps = steps.min((left_ms / ms(clocks.tried[l] as i64)).trunc() - 1.0);
            }
            least = least.min(steps);
            if least <= 0.0 {
                return 0;
            }
        }
        least as i64
    }

    /// Writes what the watch asks about, for the lanes of a tile.
    fn prepare(&self, watch: &Watch, lanes: &Lanes<T>, tile: &mut [T], first: usize, width: usize) {
        let (plan, tile_lanes) = (&self.cpu.plan, lanes.layout.tile_lanes);
        for k in 0..2 * self.cpu.n_observables() {
            let open = &lanes.open[k * lanes.stride + first..][..width];
            for (to, &from) in tile[(watch.open + k) * tile_lanes..].iter_mut().zip(open) {
                *to = T::of(from);
            }
        }
        // Lanes beyond the last hold no fibre.
        for l in 0..tile_lanes {
            let fibre = lanes.fibre[first..first + width].get(l).copied().flatten();
            let active = if fibre.is_some() { 1.0 } else { 0.0 };
            tile[watch.active * tile_lanes + l] = T::of(active);
            let Some(fibre) = fibre else { continue };
            let (clocks, at) = (&lanes.clocks, first + l);
            let open = clocks.now[at] - clocks.piece_start[at];
            let length = open.max(clocks.tried[at]) / plan.ticks_per_time;
            for (f, (spec, of)) in plan.features.iter().enumerate() {
                let gathered = &self.group.gathered[fibre as usize * plan.features.len() + f];
                let distance = turn(gathered);
                // Neither side while nothing is known: then no piece is left out.
                let side = if distance.is_nan() {
                    0.0
                } else {
                    1f64.copysign(distance)
                };
                let inputs = Watch::of_feature(side, spec.threshold, length, distance.abs());
                for (k, x) in inputs.into_iter().enumerate() {
                    tile[(watch.features + PER_FEATURE * f + k) * tile_lanes + l] = T::of(x);
                }
                let [value, slope] = [0, 1].map(|k| lanes.open[(2 * of + k) * lanes.stride + at]);
                let distance = Watch::distance(&inputs, value, slope);
                tile[(watch.bounds + f) * tile_lanes + l] = T::of(distance);
            }
        }
    }

    /// Whether no lane of the tile has to be looked at.
    fn is_quiet(&self, watch: &Watch, tile: &[T], tile_lanes: usize) -> bool {
        let row = (self.cpu.first_output + watch.output) * tile_lanes;
        let zero = T::of(0.0);
        let mut all = true;
        for &asks in &tile[row..][..tile_lanes] {
            all &= asks == zero;
        }
        all
    }

    /// Every lane of a tile takes what was tried; their clocks follow when the stretch is over.
    fn take_quietly(&self, watch: &Watch, lanes: &Lanes<T>, tile: &mut [T]) {
        let (cpu, tile_lanes) = (self.cpu, lanes.layout.tile_lanes);
        let from = (cpu.first_output + cpu.observable_output(0)) * tile_lanes;
        let length = 2 * cpu.n_observables() * tile_lanes;
        tile.copy_within(from..from + length, watch.open * tile_lanes);
        for [output, input] in watch.distances() {
            let from = (cpu.first_output + output) * tile_lanes;
            tile.copy_within(from..from + tile_lanes, input * tile_lanes);
        }
        self.take_new_states(lanes, tile);
    }

    /// Moves the clocks of a tile by the steps of a stretch.
    fn pass_quietly(
        &self,
        watch: &Watch,
        lanes: &mut Lanes<T>,
        tile: &[T],
        first: usize,
        width: usize,
        steps: i64,
    ) {
        let tile_lanes = lanes.layout.tile_lanes;
        for k in 0..2 * self.cpu.n_observables() {
            let open = &mut lanes.open[k * lanes.stride + first..][..width];
            for (to, from) in open.iter_mut().zip(&tile[(watch.open + k) * tile_lanes..]) {
                *to = from.f64();
            }
        }
        for l in first..first + width {
            if lanes.fibre[l].is_some() {
                lanes.clocks.pass(l, steps);
            }
        }
    }
}

/// The last number that spikes gather: its sign is the side of the threshold, its size how near a turning point came.
fn turn(gathered: &Gathered) -> f64 {
    gathered.numbers()[3]
}
