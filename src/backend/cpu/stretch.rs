//! Steps of equal length during which no lane of a few tiles has anything to be looked at: they are taken by all of these lanes at once.
//!
//! With a fixed step, and a model of a few gates, looking at every lane costs ten times what the step costs. So the program itself says
//! when a lane has to be looked at (`watch`); until then its tile and a few others go on by themselves. Where the answer is not a clear no, the
//! step is judged lane by lane like any other. So nothing depends on whether a step was part of a stretch.

use std::sync::Arc;

use crate::feature::FeatureSpec;
use crate::ops::Lane;

use super::clocks::{Clocks, blend, is_outside, mask};
#[cfg(target_arch = "x86_64")]
use super::interpret::Simd;
use super::lanes::{Advance, Lanes};
use super::layout::Layout;
use super::native::Native;
use super::watch::{PER_FEATURE, Watch};
use super::{CacheLine, Runner};

/// Tiles that go on together where the code is long, so that its instructions are fetched once for all of them. Each has events of its own, at
/// which all of them stop.
const TILES: usize = 4;
/// Steps that are taken with another program where a hopeful one is not enough, before that is tried again; where that is in vain, twice as many.
const WHILE: i64 = 32;
/// So many at most: a spike passes through a potential in some hundred steps.
const LONGEST_WHILE: i64 = 128;
/// Steps of a stretch at most: the call may be cancelled in between.
const LONGEST: i64 = 4096;

impl<T: Lane> Advance<'_, T> {
    /// Runs the program over the tiles that hold a fibre: once, or, where steps are fixed, over a few tiles as long as nothing in them has to be
    /// looked at.
    pub(super) fn run_stretch(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        match self.cpu.engine().simd() {
            // SAFETY: `Simd` values other than the baseline are made by `available` alone, after the features were found.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => unsafe { self.run_stretch_avx512(lanes, rows) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => unsafe { self.run_stretch_avx2(lanes, rows) },
            _ => self.run_stretch_here(lanes, rows),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    fn run_stretch_avx512(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        self.run_stretch_here(lanes, rows);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn run_stretch_avx2(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        self.run_stretch_here(lanes, rows);
    }

    #[inline(always)]
    fn run_stretch_here(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        let Some(watch) = &self.cpu.watch else {
            self.run_once(lanes, rows);
            return;
        };
        let (n, tile_lanes, tile_values) = (
            lanes.lanes,
            lanes.layout.tile_lanes,
            lanes.layout.tile_values,
        );
        let n_tiles = match &self.cpu.runner {
            Runner::Native(_, native) if native.is_short() => 1,
            _ => TILES,
        };
        let at_a_time = rows.chunks_mut(n_tiles * tile_values);
        for (tiles, first) in at_a_time.zip((0..n).step_by(n_tiles * tile_lanes)) {
            let width = (n_tiles * tile_lanes).min(n - first);
            let Some(most) = self.quiet_steps(lanes, first, width) else {
                continue;
            };
            if most > 0 {
                let tiles = tiles.chunks_exact_mut(tile_values);
                for (tile, first) in tiles.zip((first..).step_by(tile_lanes)) {
                    self.prepare(watch, lanes, tile, first);
                }
            }
            let taken = match &self.cpu.runner {
                Runner::Native(_, native) => {
                    self.walk_natively(native, watch, lanes, tiles, first, most)
                }
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

    /// Runs the program over the tiles that hold a fibre.
    #[inline(always)]
    fn run_once(&self, lanes: &mut Lanes<T>, rows: &mut [T]) {
        let (tile_lanes, tile_values) = (lanes.layout.tile_lanes, lanes.layout.tile_values);
        if lanes.is_full() {
            self.cpu.run_program(rows, &mut lanes.slots);
            return;
        }
        let n_tiles = rows.len() / tile_values;
        let holds = |clocks: &Clocks, tile: usize| {
            let here = tile * tile_lanes..(tile + 1) * tile_lanes;
            clocks.occupied(here).any(|yes| yes != 0.0)
        };
        let mut first = 0;
        while first < n_tiles {
            let beyond = (first..n_tiles).find(|&tile| !holds(&lanes.clocks, tile));
            let beyond = beyond.unwrap_or(n_tiles);
            if beyond > first {
                let tiles = &mut rows[first * tile_values..beyond * tile_values];
                self.cpu.run_program(tiles, &mut lanes.slots);
            }
            first = beyond + 1;
        }
    }

    /// Walks with the code that hopes for most, and where that is not enough a while with code that hopes for less. A step has the same bits in all.
    fn walk_natively(
        &self,
        native: &Native,
        watch: &Watch,
        lanes: &mut Lanes<T>,
        tiles: &mut [T],
        first: usize,
        most: i64,
    ) -> i64 {
        let layout = lanes.layout;
        let is_quiet = |tiles: &[T]| {
            let mut each = tiles.chunks_exact(layout.tile_values);
            each.all(|tile| self.is_quiet(watch, tile, layout.tile_lanes))
        };
        let slots = &mut lanes.slots;
        // A step that an edge has cut short is the last one before a look: whoever can take more takes full ones, which is what hopeful code knows.
        if most == 0 {
            return walk_with(&[], native, &is_quiet, slots, tiles, 0);
        }
        // Where a step had to be looked at, so have those behind it, and hoping is in vain.
        let at_first = if lanes.looked_at[first] {
            WHILE.min(most)
        } else {
            0
        };
        let mut taken = 0;
        if at_first > 0 {
            taken = walk_with(&[], native, &is_quiet, slots, tiles, at_first);
        }
        if taken == at_first && taken < most {
            let hopeful = &self.cpu.hopeful;
            taken += walk_with(hopeful, native, &is_quiet, slots, tiles, most - taken);
        }
        lanes.looked_at[first] = taken == 0;
        taken
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
    /// clock; `None` if none of them holds a fibre.
    #[inline(always)]
    fn quiet_steps(&self, lanes: &Lanes<T>, first: usize, width: usize) -> Option<i64> {
        let (clocks, tile_lanes) = (&lanes.clocks, lanes.layout.tile_lanes);
        // Lanes beyond the last hold no fibre.
        let all = first..first + width.next_multiple_of(tile_lanes);
        let mut least = clocks.quiet_steps(all.clone());
        if least == f64::INFINITY {
            return None;
        }
        for (spec, _) in &self.cpu.plan.features {
            if least > 0.0 {
                let within = clocks.steps_within(all.clone(), [spec.after_ms, spec.before_ms]);
                least = least.min(within);
            }
        }
        Some(least.clamp(0.0, LONGEST as f64) as i64)
    }

    /// Writes what the watch asks about, for the lanes of a tile.
    #[inline(always)]
    fn prepare(&self, watch: &Watch, lanes: &Lanes<T>, tile: &mut [T], first: usize) {
        let (plan, tile_lanes, clocks) = (&self.cpu.plan, lanes.layout.tile_lanes, &lanes.clocks);
        let here = first..first + tile_lanes;
        let open = |k: usize| &lanes.open[k * lanes.stride..][here.clone()];
        for k in 0..2 * self.cpu.n_observables() {
            for (to, &from) in tile[(watch.open + k) * tile_lanes..]
                .iter_mut()
                .zip(open(k))
            {
                *to = T::of(from);
            }
        }
        let active = tile[watch.active * tile_lanes..].iter_mut();
        for (to, active) in active.zip(clocks.occupied(here.clone())) {
            *to = T::of(active);
        }
        let [now, piece_start, tried] =
            [&clocks.now, &clocks.piece_start, &clocks.tried].map(|row| &row[here.clone()]);
        for (f, (spec, of)) in plan.features.iter().enumerate() {
            let deciding = &lanes.deciding[f * lanes.stride..][here.clone()];
            let (value, slope) = (open(2 * of), open(2 * of + 1));
            let (before, rows) = tile.split_at_mut((watch.features + PER_FEATURE * f) * tile_lanes);
            let mut rows = rows.chunks_exact_mut(tile_lanes);
            let inputs = std::array::from_fn(|_| rows.next().unwrap_or_default());
            let bound = &mut before[(watch.bounds + f) * tile_lanes..][..tile_lanes];
            watch_for(
                spec,
                [now, piece_start, tried, deciding, value, slope],
                plan.ticks_per_time,
                inputs,
                bound,
            );
        }
    }

    /// Whether no lane of the tile has to be looked at.
    #[inline(always)]
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
    #[inline(always)]
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
        lanes.clocks.pass(first..first + width, steps);
    }
}

/// Writes what the watch asks about for a feature: its inputs, and the least distance from the threshold that belongs to the start of the open piece. A
/// loop over slices, which becomes SIMD.
#[inline(always)]
fn watch_for<T: Lane>(
    spec: &FeatureSpec,
    [now, piece_start, tried, deciding, value, slope]: [&[f64]; 6],
    ticks_per_time: f64,
    [a, b, c, d]: [&mut [T]; PER_FEATURE],
    bound: &mut [T],
) {
    let n = bound.len();
    let (now, piece_start, tried) = (&now[..n], &piece_start[..n], &tried[..n]);
    let (deciding, value, slope) = (&deciding[..n], &value[..n], &slope[..n]);
    let (a, b, c, d) = (&mut a[..n], &mut b[..n], &mut c[..n], &mut d[..n]);
    for l in 0..n {
        let passed = now[l] - piece_start[l];
        let longest = if passed > tried[l] { passed } else { tried[l] };
        let length = longest / ticks_per_time;
        // The sign is the side of the threshold, the size how near a turning point came. Neither side while nothing is known: then no
        // piece is left out.
        let distance = deciding[l];
        let side = blend(mask(distance.is_nan()), 0.0, 1f64.copysign(distance));
        let inside = Watch::of_feature(side, spec.threshold, length, distance.abs());
        let is_outside = is_outside(now[l], piece_start[l], [spec.after_ms, spec.before_ms]);
        let [of_a, of_b, of_c, of_d] = Watch::OUTSIDE;
        let inputs = [
            blend(is_outside, of_a, inside[0]),
            blend(is_outside, of_b, inside[1]),
            blend(is_outside, of_c, inside[2]),
            blend(is_outside, of_d, inside[3]),
        ];
        bound[l] = T::of(Watch::distance(&inputs, value[l], slope[l]));
        a[l] = T::of(inputs[0]);
        b[l] = T::of(inputs[1]);
        c[l] = T::of(inputs[2]);
        d[l] = T::of(inputs[3]);
    }
}

/// Walks with the first of some programs, and for a while with the others where that is not enough; the last one needs no hope.
fn walk_with<T: Lane>(
    hopeful: &[Arc<Native>],
    last: &Native,
    is_quiet: &dyn Fn(&[T]) -> bool,
    slots: &mut [CacheLine],
    tiles: &mut [T],
    most: i64,
) -> i64 {
    let Some((first, rest)) = hopeful.split_first() else {
        return last.walk(tiles, slots, most.cast_unsigned()).cast_signed();
    };
    let (mut taken, mut a_while) = (0, WHILE);
    loop {
        let allowed = (most - taken).cast_unsigned();
        let steps = first.walk(tiles, slots, allowed).cast_signed();
        taken += steps;
        if is_quiet(tiles) {
            return taken;
        }
        // What it has computed last may be wrong: it is computed again.
        a_while = if steps == 0 {
            LONGEST_WHILE.min(2 * a_while)
        } else {
            WHILE
        };
        let more = walk_with(
            rest,
            last,
            is_quiet,
            slots,
            tiles,
            a_while.min(most - taken),
        );
        taken += more;
        if more < a_while {
            return taken;
        }
    }
}
