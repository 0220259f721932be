//! What the instruction sets have in common, and where they differ.

use super::allocate::Rules;
use super::schedule::Choice;

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

    /// How primitives are ordered: with few registers, those first that free one.
    pub fn choice(self) -> Choice {
        match self {
            Set::Avx512 | Set::Neon => Choice {
                window: 400,
                register: 400,
            },
            Set::Avx2 => Choice {
                window: 128,
                register: 1000,
            },
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
