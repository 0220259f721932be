//! What the instruction sets have in common, and where they differ.

use super::allocate::Rules;

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
            },
            // One register is kept for the results of comparisons.
            Set::Avx2 => Rules {
                n_registers: 15,
                reads_memory: true,
            },
            Set::Neon => Rules {
                n_registers: 31,
                reads_memory: false,
            },
        }
    }

    /// Primitives that are ordered at a time, of all `vectors` of a tile, in a program of so many of each: few where registers are few, since what is
    /// computed early has to be kept. A large program for AVX-512 gains by many all the same: its long chains (eliminations, divisions) run side
    /// by side.
    pub fn window(self, vectors: u32, primitives: usize) -> usize {
        match (self, vectors) {
            (Set::Avx512, 1) => 512,
            (Set::Avx512 | Set::Neon, _) => 64,
            (Set::Avx2, 1) => 24,
            (Set::Avx2, _) if primitives > 400 => 12,
            (Set::Avx2, _) => 32,
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
