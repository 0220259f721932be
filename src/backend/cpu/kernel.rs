//! Any program over one vector of lanes in double precision: for those who move a few fibres at a time and keep the order of
//! the steps themselves.

use std::sync::Arc;

use bytemuck::Zeroable;

use crate::program::Program;

use super::interpret::{self, Simd};
use super::native::Native;
use super::tape::Tape;
use super::{CacheLine, Engine, Runner};

/// A program ready to run over [`Kernel::lanes`] lanes, with the same bits on every engine.
#[derive(Clone, Debug)]
pub struct Kernel {
    runner: Runner<f64>,
    n_inputs: usize,
    n_rows: usize,
    lanes: usize,
}

/// What a kernel reads and writes: a row for each input, then one for each output; each holds one number of every lane.
#[derive(Clone, Debug)]
pub struct KernelMemory {
    rows: Vec<CacheLine>,
    slots: Vec<CacheLine>,
    n_inputs: usize,
    n_numbers: usize,
}

impl Kernel {
    /// How many lanes a kernel has on an engine: a vector of machine code, 2, 4 or 8; 8 for the interpreter.
    pub fn lanes(engine: Engine) -> usize {
        match engine {
            Engine::Native(Simd::Neon) => 2,
            Engine::Native(Simd::Avx2) => 4,
            Engine::Native(Simd::Avx512 | Simd::Baseline) | Engine::Interpreter(_) => 8,
        }
    }

    /// Makes a program ready.
    pub fn new(program: &Program, n_inputs: usize, engine: Engine) -> Self {
        let simd = engine.simd();
        let native = match engine {
            Engine::Native(_) => Native::one_vector::<f64>(program, n_inputs, simd),
            Engine::Interpreter(_) => None,
        };
        let (runner, n_rows) = match native {
            Some(native) => {
                let n_rows = native.n_rows();
                (Runner::Native(simd, Arc::new(native)), n_rows)
            }
            None => {
                let tape = Tape::new(program, n_inputs);
                let n_rows = tape.n_rows;
                (Runner::Interpreter(simd, tape), n_rows)
            }
        };
        Kernel {
            runner,
            n_inputs,
            n_rows,
            lanes: Self::lanes(engine),
        }
    }

    /// Memory for [`Kernel::run`], all zeros.
    pub fn memory(&self) -> KernelMemory {
        let n_numbers = self.n_rows * self.lanes;
        let n_slots = match &self.runner {
            Runner::Interpreter(..) => 0,
            Runner::Native(_, native) => native.n_slots(),
        };
        let per_line = size_of::<CacheLine>() / size_of::<f64>();
        KernelMemory {
            rows: vec![CacheLine::zeroed(); n_numbers.div_ceil(per_line)],
            slots: vec![CacheLine::zeroed(); n_slots],
            n_inputs: self.n_inputs,
            n_numbers,
        }
    }

    /// Computes the outputs of every lane from its inputs.
    ///
    /// # Panics
    /// If the memory was made by another kernel of another size.
    pub fn run(&self, memory: &mut KernelMemory) {
        let rows = &mut bytemuck::cast_slice_mut::<_, f64>(&mut memory.rows)[..memory.n_numbers];
        match &self.runner {
            Runner::Interpreter(simd, tape) => interpret::run(*simd, tape, rows, self.lanes),
            Runner::Native(_, native) => native.run(rows, &mut memory.slots),
        }
    }
}

impl KernelMemory {
    /// The inputs, then the outputs, row by row; `N` is the number of lanes.
    pub fn rows<const N: usize>(&mut self) -> (&mut [[f64; N]], &mut [[f64; N]]) {
        let numbers = &mut bytemuck::cast_slice_mut::<_, f64>(&mut self.rows)[..self.n_numbers];
        numbers.as_chunks_mut().0.split_at_mut(self.n_inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Algebra, Op};
    use crate::program::{Graph, Style, program};

    #[test]
    fn every_engine_finds_the_same_bits_in_every_lane() {
        let mut graph = Graph::new(Style::Simplified);
        let (x, y) = (graph.input(0), graph.input(1));
        let ratio = graph.div(x, y);
        let exp = graph.apply(Op::Exp, &[ratio]);
        let less = graph.apply(Op::Fnma, &[exp, y, x]);
        let program = program(&graph, &[less, exp]);
        let of = |x: f64, y: f64| {
            let exp = crate::ops::eval(Op::Exp, x / y, 0.0, 0.0);
            [(-exp).mul_add(y, x), exp]
        };
        let mut engines: Vec<Engine> = Simd::available().into_iter().map(Engine::from).collect();
        engines.extend(Simd::available().into_iter().map(Engine::Interpreter));
        for engine in engines {
            let kernel = Kernel::new(&program, 2, engine);
            let mut memory = kernel.memory();
            fn check<const N: usize>(
                kernel: &Kernel,
                memory: &mut KernelMemory,
                of: &dyn Fn(f64, f64) -> [f64; 2],
            ) {
                let numbers = |l: usize| (0.3 + l as f64, 1.7 - 0.4 * l as f64);
                let (inputs, _) = memory.rows::<N>();
                (inputs[0], inputs[1]) = (
                    std::array::from_fn(|l| numbers(l).0),
                    std::array::from_fn(|l| numbers(l).1),
                );
                kernel.run(memory);
                let (_, outputs) = memory.rows::<N>();
                for (l, found) in outputs[0].iter().zip(&outputs[1]).enumerate() {
                    let (x, y) = numbers(l);
                    let expected = of(x, y).map(f64::to_bits);
                    assert_eq!([found.0.to_bits(), found.1.to_bits()], expected);
                }
            }
            match Kernel::lanes(engine) {
                2 => check::<2>(&kernel, &mut memory, &of),
                4 => check::<4>(&kernel, &mut memory, &of),
                _ => check::<8>(&kernel, &mut memory, &of),
            }
        }
    }
}
