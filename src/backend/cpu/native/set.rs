//! What the instruction sets have in common, and where they differ.

use super::allocate::Rules;
use super::schedule::Choice;

/// Primitives of a program that is computed for two vectors side by side, at most.
const SUITS_TWO: usize = 1000;
/// Those of one that is computed for four where there are registers for it: walking code of a small model has 300 to 400.
const SUITS_FOUR: usize = 500;

/// The instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// x86-64.
    Avx512,
    /// x86-64, with fused multiply-add.
    Avx2,
    /// aarch64.
    Neon,
}

impl Set {
    /// Bytes of a vector.
    pub fn vector_bytes(self) -> usize {
        match self {
            Set::Avx512 => 64,
            Set::Avx2 => 32,
            Set::Neon => 16,
        }
    }

    /// How registers are used.
    pub fn rules(self) -> Rules {
        match self {
            Set::Avx512 => Rules {
                n_registers: 32,
                reads_memory: true,
                compares_in_register: false,
            },
            Set::Avx2 => Rules {
                n_registers: 16,
                reads_memory: true,
                compares_in_register: true,
            },
            // One register is kept for the results of comparisons.
            Set::Neon => Rules {
                n_registers: 31,
                reads_memory: false,
                compares_in_register: false,
            },
        }
    }

    /// How many vectors are computed side by side in a program of so many primitives: the chains of one that is short do not fill a core. Found
    /// by trial (`benches/README.md`); of NEON nothing was measured.
    pub fn side_by_side(self, n_primitives: usize) -> u32 {
        match (self, n_primitives) {
            (Set::Avx512, 0..=SUITS_FOUR) => 4,
            (_, 0..=SUITS_TWO) => 2,
            _ => 1,
        }
    }

    /// How the primitives of so many vectors are ordered: with few registers for what is computed, those first that free one. Found by trial.
    pub fn choice(self, vectors: u32) -> Choice {
        let [window, width, register] = match (self, vectors) {
            (Set::Avx512, 1) => [128, 2, 700],
            (Set::Avx512, 3..) => [400, 4, 400],
            (Set::Avx512 | Set::Neon, _) => [400, 2, 400],
            (Set::Avx2, _) => [128, 2, 1000],
        };
        Choice {
            window,
            width: width as u32,
            register: register as i64,
        }
    }

    /// Steps of a piece of code, which the nearest cache of instructions holds beside what is around it: some 10 KiB, or, where most values stay in
    /// registers and every border costs more of them, 27 KiB.
    pub fn piece(self) -> usize {
        match self {
            Set::Avx512 => 3200,
            Set::Avx2 | Set::Neon => 1200,
        }
    }

    /// Whether there is an instruction for [`super::primitive::Code::Scale`].
    pub fn scales(self) -> bool {
        self == Set::Avx512
    }

    /// How often a number stands in the pool: AVX-512 repeats it as it reads.
    pub fn repeats(self, double: bool) -> usize {
        match self {
            Set::Avx512 => 1,
            Set::Avx2 | Set::Neon => self.vector_bytes() / if double { 8 } else { 4 },
        }
    }

    /// Bytes from a number of the pool to the next.
    pub fn number_bytes(self, double: bool) -> usize {
        self.repeats(double) * if double { 8 } else { 4 }
    }
}
