//! Machine code for a step program, made when the program is known: straight-line code over one tile of lanes.
//!
//! `record` turns ops into primitives by running their bodies, `schedule` orders them, `allocate` gives them registers, `x86` or `arm` writes
//! the instructions. A lane gets the bits that the interpreter gives it. Where the processor has none of AVX-512, AVX2 and NEON, or the system
//! lets nobody make code at run time, there is no [`Native`], and the interpreter runs.
//!
//! Lanes lie in tiles: `[tile][row][lane of the tile]`, with inputs and outputs as the only rows. Everything between them is in
//! registers, or for a while in a few slots of scratch memory.

mod allocate;
mod arm;
mod census;
mod frame;
mod primitive;
mod record;
mod schedule;
mod set;
mod x86;

use memmap2::{Mmap, MmapMut};

use crate::ops::Lane;
use crate::program::Program;

use super::CacheLine;
use super::interpret::Simd;
pub use census::Census;
pub(super) use frame::Walk;
use frame::{Frame, Passes};
use primitive::Function;
use set::Set;

/// Tiles for which a piece is run before the next one is, so that its instructions are fetched once for all of them.
const TOGETHER: usize = 8;
/// Bytes of code that stay in the nearest cache of instructions from one pass to the next.
const SHORT: usize = 16 << 10;

/// Vectors of a tile at most where fibres walk that differ: an event of one stops all.
const APART: u32 = 2;

/// How many vectors a tile has.
#[derive(Clone, Copy, Debug)]
enum Vectors {
    /// As many as suit the program, or fewer where so many lanes fill fewer, and no more than this.
    For {
        lanes: usize,
        most: u32,
    },
    These(u32),
}

/// A program as machine code.
#[derive(Debug)]
pub(super) struct Native {
    code: Mmap,
    numbers: Vec<CacheLine>,
    /// Cache lines of the slots of a tile.
    n_slots: usize,
    n_rows: usize,
    tile_lanes: usize,
    lane_bytes: usize,
    /// Where passes follow one another: rows of outputs and of the inputs that they become.
    carried: Vec<[u32; 2]>,
    /// Rows of outputs that are numbers, written once when a walk is over.
    fixed: Vec<(u32, f64)>,
    census: Census,
}

impl Native {
    /// Compiles a program: inputs are rows, output `k` is row `n_inputs + k`. `None` where it cannot be.
    ///
    /// A pass takes some outputs of the one before up as inputs: `taken_up` are their numbers, each with the row of the input. It reads the input
    /// where the output stands, and leaves it in the input's row. `lanes` are as many as are computed together at most.
    pub fn new<T: Lane>(
        program: &Program,
        n_inputs: usize,
        (simd, lanes): (Simd, usize),
        taken_up: &[[usize; 2]],
    ) -> Option<Self> {
        let passes = Passes::TakingUp(taken_up);
        let vectors = Vectors::For {
            lanes,
            most: u32::MAX,
        };
        Self::in_tiles::<T>(program, n_inputs, simd, vectors, passes)
    }

    /// The same in tiles of one vector, however small the program, where no pass knows of another.
    pub fn one_vector<T: Lane>(program: &Program, n_inputs: usize, simd: Simd) -> Option<Self> {
        let passes = Passes::TakingUp(&[]);
        Self::in_tiles::<T>(program, n_inputs, simd, Vectors::These(1), passes)
    }

    /// The same for [`Native::walk`], where nothing is taken up.
    pub fn walking<T: Lane>(
        program: &Program,
        n_inputs: usize,
        (simd, lanes): (Simd, usize),
        walk: &Walk,
    ) -> Option<Self> {
        let passes = Passes::Walking(walk);
        let vectors = Vectors::For {
            lanes,
            most: if walk.apart { APART } else { u32::MAX },
        };
        Self::in_tiles::<T>(program, n_inputs, simd, vectors, passes)
    }

    /// Another program with as many inputs and outputs, for the same tiles.
    pub fn beside<T: Lane>(
        &self,
        program: &Program,
        n_inputs: usize,
        simd: Simd,
        walk: &Walk,
    ) -> Option<Self> {
        let vectors = Vectors::These(self.census.vectors as u32);
        let passes = Passes::Walking(walk);
        let other = Self::in_tiles::<T>(program, n_inputs, simd, vectors, passes)?;
        (other.n_rows == self.n_rows).then_some(other)
    }

    fn in_tiles<T: Lane>(
        program: &Program,
        n_inputs: usize,
        simd: Simd,
        vectors: Vectors,
        passes: Passes<'_>,
    ) -> Option<Self> {
        let set = match simd {
            Simd::Avx512 => Set::Avx512,
            Simd::Avx2 => Set::Avx2,
            Simd::Neon => Set::Neon,
            Simd::Baseline => return None,
        };
        let double = T::PRECISION == "f64";
        let mut block = record::record(program, n_inputs, double, set.scales());
        let rows = |[output, input]: &[usize; 2]| [(n_inputs + output) as u32, *input as u32];
        match passes {
            Passes::TakingUp(pairs) => block.take_up(pairs.iter().map(rows)),
            Passes::Walking(walk) => block.carried = walk.carried.iter().map(rows).collect(),
        }
        let asks = passes.walk().map(|walk| n_inputs + walk.asks);
        let fixed = asks.map_or_else(Vec::new, |asks| block.take_fixed_outputs(asks as u32));
        let lanes = set.vector_bytes() / size_of::<T>();
        let parts = match vectors {
            Vectors::For {
                lanes: wanted,
                most,
            } => filled(set.side_by_side(block.list.len()).min(most), lanes, wanted),
            Vectors::These(parts) => parts,
        };
        let block = if parts == 1 {
            block
        } else {
            block.repeated(parts)
        };
        let order = schedule::schedule(&block, set.choice(parts));
        let allocated = allocate::allocate(&block, &order, set.rules(), set.piece());
        let n_rows = n_inputs + program.outputs.len();
        let row_bytes = set.vector_bytes() * parts as usize;
        let functions: Vec<[u64; 2]> = block
            .functions
            .iter()
            .map(|f| match (f, lanes) {
                (Function::One(f), 2) => [one::<T, 2> as *const () as u64, *f as usize as u64],
                (Function::One(f), 4) => [one::<T, 4> as *const () as u64, *f as usize as u64],
                (Function::One(f), 8) => [one::<T, 8> as *const () as u64, *f as usize as u64],
                (Function::One(f), _) => [one::<T, 16> as *const () as u64, *f as usize as u64],
                (Function::Power, 2) => [power::<T, 2> as *const () as u64, 0],
                (Function::Power, 4) => [power::<T, 4> as *const () as u64, 0],
                (Function::Power, 8) => [power::<T, 8> as *const () as u64, 0],
                (Function::Power, _) => [power::<T, 16> as *const () as u64, 0],
            })
            .collect();
        let n_slots =
            (allocated.n_slots as usize * set.vector_bytes()).div_ceil(size_of::<CacheLine>());
        let frame = Frame {
            row: row_bytes,
            tile: row_bytes * n_rows,
            slots: n_slots * size_of::<CacheLine>(),
            asks,
        };
        let bytes = match set {
            Set::Avx512 | Set::Avx2 => x86::assemble(&allocated, set, double, frame, &functions),
            Set::Neon => arm::assemble(&allocated, double, frame, &functions),
        };
        // Written while it cannot be run, run when it cannot be written any more.
        let mut pages = MmapMut::map_anon(bytes.len()).ok()?;
        pages[..bytes.len()].copy_from_slice(&bytes);
        let code = pages.make_exec().ok()?;
        forget_instructions(&code);
        Some(Native {
            code,
            numbers: pool(&allocated.numbers, set, double),
            n_slots,
            carried: block.carried,
            fixed,
            n_rows,
            tile_lanes: lanes * parts as usize,
            lane_bytes: size_of::<T>(),
            census: Census::of(&allocated, parts as usize, lanes),
        })
    }

    /// Lanes of a tile.
    pub fn tile_lanes(&self) -> usize {
        self.tile_lanes
    }

    /// What a pass over a tile consists of.
    pub fn census(&self) -> Census {
        self.census
    }

    /// Whether the nearest cache of instructions holds the code, and as much again.
    pub fn is_short(&self) -> bool {
        self.code.len() <= SHORT
    }

    /// Rows of a tile.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Cache lines of scratch memory that a thread needs.
    pub fn n_slots(&self) -> usize {
        let far = if self.carried.is_empty() {
            0
        } else {
            let bytes = self.n_rows * self.tile_lanes * self.lane_bytes * TOGETHER;
            bytes.div_ceil(size_of::<CacheLine>())
        };
        self.n_slots * TOGETHER + far
    }

    /// Runs the program over tiles.
    ///
    /// # Panics
    /// If the rows are no whole number of tiles, or the scratch memory is too short.
    pub fn run<T: Lane>(&self, rows: &mut [T], slots: &mut [CacheLine]) {
        let tile = self.n_rows * self.tile_lanes;
        assert!(size_of::<T>() == self.lane_bytes && slots.len() >= self.n_slots());
        assert!(rows.len().is_multiple_of(tile));
        for rows in rows.chunks_mut(tile * TOGETHER) {
            self.call(rows, slots, 0);
        }
        self.write_fixed(rows);
    }

    /// Writes the outputs that are numbers.
    fn write_fixed<T: Lane>(&self, rows: &mut [T]) {
        for tile in rows.chunks_exact_mut(self.n_rows * self.tile_lanes) {
            for &(row, number) in &self.fixed {
                tile[row as usize * self.tile_lanes..][..self.tile_lanes].fill(T::of(number));
            }
        }
    }

    /// Runs the program over a few tiles, and again with what it has computed, as long as no lane asks to be looked at, `most` times more at most.
    /// Gives how many times more it was. The rows are what the last run has read and computed.
    ///
    /// # Panics
    /// If the rows are no whole number of tiles or too many, the scratch memory is too short, or the code was not made for it.
    pub fn walk<T: Lane>(&self, rows: &mut [T], slots: &mut [CacheLine], most: u64) -> u64 {
        let tile = self.n_rows * self.tile_lanes;
        assert!(size_of::<T>() == self.lane_bytes && slots.len() >= self.n_slots());
        assert!(rows.len().is_multiple_of(tile) && (1..=TOGETHER).contains(&(rows.len() / tile)));
        assert!(!self.carried.is_empty(), "code that walks");
        let taken = self.call(rows, slots, most);
        self.write_fixed(rows);
        let far: &mut [T] = bytemuck::cast_slice_mut(&mut slots[self.n_slots * TOGETHER..]);
        for (rows, far) in rows.chunks_exact_mut(tile).zip(far.chunks_exact_mut(tile)) {
            for &[output, input] in &self.carried {
                let [output, input] = [output, input].map(|row| row as usize * self.tile_lanes);
                if taken.is_multiple_of(2) {
                    rows[output..][..self.tile_lanes]
                        .copy_from_slice(&far[input..][..self.tile_lanes]);
                } else {
                    rows.copy_within(input..input + self.tile_lanes, output);
                    rows[input..][..self.tile_lanes]
                        .copy_from_slice(&far[input..][..self.tile_lanes]);
                }
            }
        }
        taken
    }

    /// Calls the code for at most [`TOGETHER`] tiles.
    fn call<T: Lane>(&self, rows: &mut [T], slots: &mut [CacheLine], most: u64) -> u64 {
        let n_tiles = rows.len() / (self.n_rows * self.tile_lanes);
        let (slots, far) = slots.split_at_mut(self.n_slots * TOGETHER);
        // SAFETY: the pages hold a function of this signature, made for instructions that this machine has (`Simd` values other than
        // the baseline come from `Simd::available`). It reads and writes rows of the tiles, of which there is one at least, reads the
        // pool, and uses the slots of as many tiles and, where it walks, as many far tiles: all of them are as long (asserted by the two
        // that call this), and nobody else uses them meanwhile.
        unsafe {
            let entry: Entry = std::mem::transmute(self.code.as_ptr());
            entry(
                rows.as_mut_ptr().cast(),
                self.numbers.as_ptr().cast(),
                slots.as_mut_ptr().cast(),
                n_tiles,
                far.as_mut_ptr().cast(),
                most,
            )
        }
    }
}

/// How many vectors of so many lanes a tile is to have: `most`, or a half or a quarter of it where else too much were computed for lanes that nobody
/// asked for. A lane costs some 1.2 times as much in tiles of two vectors as in those of four, 1.4 times as much again in those of one.
fn filled(most: u32, lanes: usize, wanted: usize) -> u32 {
    let wanted = wanted.min(1 << 20);
    let computed = |vectors: u32| wanted.div_ceil(lanes * vectors as usize) * vectors as usize;
    let mut vectors = most;
    while vectors > 1 && 4 * computed(vectors / 2) <= 3 * computed(vectors) {
        vectors /= 2;
    }
    vectors
}

/// The numbers as the instruction set reads them.
fn pool(numbers: &[u64], set: Set, double: bool) -> Vec<CacheLine> {
    let repeats = set.repeats(double);
    let width = if double { 8 } else { 4 };
    let mut bytes = Vec::with_capacity(numbers.len() * repeats * width + 64);
    for bits in numbers {
        for _ in 0..repeats {
            bytes.extend_from_slice(&bits.to_le_bytes()[..width]);
        }
    }
    let mut lines = vec![CacheLine([0; 64]); bytes.len().div_ceil(64)];
    bytemuck::cast_slice_mut::<_, u8>(&mut lines)[..bytes.len()].copy_from_slice(&bytes);
    lines
}

/// Makes the processor read instructions from memory again: some keep what was there before.
#[cfg(target_arch = "aarch64")]
fn forget_instructions(code: &[u8]) {
    /// No line of a cache is shorter.
    const LINE: usize = 16;
    let (start, end) = (code.as_ptr() as usize, code.as_ptr() as usize + code.len());
    for address in (start..end).step_by(LINE) {
        // SAFETY: the address is in memory that can be read; cleaning a line writes back what is in it.
        unsafe { std::arch::asm!("dc cvau, {0}", in(reg) address) };
    }
    // SAFETY: a barrier.
    unsafe { std::arch::asm!("dsb ish") };
    for address in (start..end).step_by(LINE) {
        // SAFETY: as above; the instructions are read again from memory.
        unsafe { std::arch::asm!("ic ivau, {0}", in(reg) address) };
    }
    // SAFETY: barriers.
    unsafe { std::arch::asm!("dsb ish", "isb") };
}

/// This machine's cache of instructions follows what is written.
#[cfg(not(target_arch = "aarch64"))]
fn forget_instructions(_: &[u8]) {}

/// The function and what it calls, in the convention that its instructions follow on every system.
macro_rules! in_convention {
    ($convention:literal) => {
        /// `f(rows, numbers, slots, n_tiles, far, most)`: how many passes have followed the first.
        type Entry =
            unsafe extern $convention fn(*mut u8, *const u8, *mut u8, usize, *mut u8, u64) -> u64;

        /// Applies a function of a double to a vector.
        ///
        /// # Safety
        /// `values` is a vector of `N` numbers; `f` is a function of that type.
        unsafe extern $convention fn one<T: Lane, const N: usize>(
            values: *mut T,
            _: *const T,
            f: usize,
        ) {
            // SAFETY: as the caller says.
            let (values, f) = unsafe {
                let f = std::mem::transmute::<usize, fn(f64) -> f64>(f);
                (std::slice::from_raw_parts_mut(values, N), f)
            };
            for x in values {
                *x = x.via_f64(f);
            }
        }

        /// Raises a vector to the powers of another.
        ///
        /// # Safety
        /// `values` and `exponents` are two vectors of `N` numbers.
        unsafe extern $convention fn power<T: Lane, const N: usize>(
            values: *mut T,
            exponents: *const T,
            _: usize,
        ) {
            // SAFETY: as the caller says.
            let (values, exponents) = unsafe {
                (
                    std::slice::from_raw_parts_mut(values, N),
                    std::slice::from_raw_parts(exponents, N),
                )
            };
            for (x, &y) in values.iter_mut().zip(exponents) {
                *x = x.pow(y);
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
in_convention!("sysv64");
#[cfg(not(target_arch = "x86_64"))]
in_convention!("C");

#[cfg(test)]
mod follow;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::{by_the_bodies, random_program};
