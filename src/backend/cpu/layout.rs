//! Where the numbers of a block's lanes lie.

use crate::ops::Lane;

use super::Cpu;

/// Where a value of a lane is: `[tile][row][lane of the tile]`. The interpreter's block is one tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) tile_lanes: usize,
    pub(super) tile_values: usize,
    /// The lane's number is its tile's, shifted so far, and its own within.
    shift: u32,
    within: usize,
}

impl Layout {
    pub(super) fn new<T: Lane>(cpu: &Cpu<T>, lanes: usize) -> Self {
        let (tile_lanes, n_rows) = (cpu.tile_lanes(lanes), cpu.n_rows());
        let (shift, within) = if lanes <= tile_lanes {
            (usize::BITS - 1, usize::MAX)
        } else {
            assert!(tile_lanes.is_power_of_two());
            (tile_lanes.ilog2(), tile_lanes - 1)
        };
        Layout {
            tile_lanes,
            tile_values: tile_lanes * n_rows,
            shift,
            within,
        }
    }

    pub(super) fn n_tiles(self, lanes: usize) -> usize {
        lanes.div_ceil(self.tile_lanes)
    }

    /// Writes a row of all tiles.
    #[inline(always)]
    pub(super) fn write<T: Lane>(
        self,
        rows: &mut [T],
        row: usize,
        from: &[f64],
        as_lane: impl Fn(f64) -> T,
    ) {
        let tiles = rows.chunks_exact_mut(self.tile_values);
        for (tile, from) in tiles.zip(from.chunks_exact(self.tile_lanes)) {
            let to = &mut tile[row * self.tile_lanes..][..self.tile_lanes];
            each_few(to, from, &as_lane);
        }
    }

    /// Reads a row of all tiles.
    #[inline(always)]
    pub(super) fn read<T: Lane>(self, rows: &[T], row: usize, to: &mut [f64]) {
        let tiles = rows.chunks_exact(self.tile_values);
        for (tile, to) in tiles.zip(to.chunks_exact_mut(self.tile_lanes)) {
            let from = &tile[row * self.tile_lanes..][..self.tile_lanes];
            each_few(to, from, Lane::f64);
        }
    }

    #[inline(always)]
    pub(super) fn at(self, row: usize, lane: usize) -> usize {
        (lane >> self.shift) * self.tile_values + row * self.tile_lanes + (lane & self.within)
    }
}

/// Converts numbers of a tile, which are few: by eight, without the preparation of a long loop.
#[inline(always)]
fn each_few<A: Copy, B>(to: &mut [B], from: &[A], convert: impl Fn(A) -> B) {
    let (to_eights, to_rest) = to.as_chunks_mut::<8>();
    let (from_eights, from_rest) = from.as_chunks::<8>();
    for (to, from) in to_eights.iter_mut().zip(from_eights) {
        *to = from.map(&convert);
    }
    for (to, &from) in to_rest.iter_mut().zip(from_rest) {
        *to = convert(from);
    }
}
