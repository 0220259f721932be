//! From a step program to a tape: instructions over numbered rows of lanes.
//!
//! Rows hold one value of every lane. The first rows are the program's inputs and its outputs, which an engine reads and
//! writes; the rest are scratch, allotted so that few are alive at once and the last freed is reused first (it is still in
//! the nearest cache). Constants are part of the instruction. An instruction never writes a row that it reads.

use crate::ops::{Lane, Op};
use crate::program::{Node, Program, Value};

/// Which arguments of an instruction are constants: bit i for argument i.
pub(super) type Constants = u8;

/// One instruction: `rows[target] = op(arguments)` in every lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instruction<T> {
    /// The op; for a copy or a fill it is unused.
    pub op: Op,
    /// What is done.
    pub kind: Kind,
    /// Which arguments are constants.
    pub constants: Constants,
    /// Row that is written.
    pub target: u32,
    /// Rows that are read, where the argument is no constant.
    pub rows: [u32; 3],
    /// Constants, where the argument is one.
    pub numbers: [T; 3],
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Applies the op.
    Apply,
    /// Copies row `rows[0]`.
    Copy,
    /// Fills with `numbers[0]`.
    Fill,
}

/// A program ready to run over lanes.
#[derive(Clone, Debug)]
pub(super) struct Tape<T> {
    /// The instructions in order.
    pub code: Vec<Instruction<T>>,
    /// Number of rows: inputs, then outputs, then scratch.
    pub n_rows: usize,
}

impl<T: Lane> Tape<T> {
    /// Allots rows. Input `i` is row `i`; output `k` is row `n_inputs + k`.
    pub fn new(program: &Program, n_inputs: usize) -> Self {
        let n = program.nodes.len();
        let n_fixed = n_inputs + program.outputs.len();
        let mut last_use = vec![0usize; n];
        for (i, node) in program.nodes.iter().enumerate() {
            for a in node.args() {
                last_use[a.index()] = i;
            }
        }
        // A computed value that is an output goes straight to that row.
        let mut row: Vec<Option<u32>> = vec![None; n];
        let mut extra = Vec::new();
        for (k, output) in program.outputs.iter().enumerate() {
            let target = (n_inputs + k) as u32;
            match (program.nodes[output.index()], row[output.index()]) {
                (Node::Apply(..), None) => row[output.index()] = Some(target),
                _ => extra.push((target, *output)),
            }
        }
        let mut free: Vec<u32> = Vec::new();
        let mut n_rows = n_fixed as u32;
        let mut code = Vec::with_capacity(n);
        for (i, node) in program.nodes.iter().enumerate() {
            match *node {
                Node::Input(number) => row[i] = Some(number),
                Node::Constant(_) => {}
                Node::Apply(op, args) => {
                    let target = row[i].unwrap_or_else(|| {
                        free.pop().unwrap_or_else(|| {
                            n_rows += 1;
                            n_rows - 1
                        })
                    });
                    row[i] = Some(target);
                    let mut instruction = Instruction {
                        op,
                        kind: Kind::Apply,
                        constants: 0,
                        target,
                        rows: [0; 3],
                        numbers: [T::of(0.0); 3],
                    };
                    for (slot, a) in args.iter().take(op.arity()).enumerate() {
                        match program.nodes[a.index()] {
                            Node::Constant(bits) => {
                                instruction.constants |= 1 << slot;
                                instruction.numbers[slot] = T::of(f64::from_bits(bits));
                            }
                            _ => {
                                instruction.rows[slot] =
                                    row[a.index()].expect("arguments have rows")
                            }
                        }
                    }
                    code.push(instruction);
                    // Rows of arguments that end here are free for the next instruction, not for this one.
                    let mut ended: Vec<Value> = args[..op.arity()].to_vec();
                    ended.sort_unstable();
                    ended.dedup();
                    for a in ended {
                        let r = row[a.index()];
                        if let (Node::Apply(..), Some(r)) = (program.nodes[a.index()], r)
                            && last_use[a.index()] == i
                            && r as usize >= n_fixed
                        {
                            free.push(r);
                        }
                    }
                }
            }
        }
        for (target, output) in extra {
            let (kind, number) = match program.nodes[output.index()] {
                Node::Constant(bits) => (Kind::Fill, f64::from_bits(bits)),
                Node::Input(_) | Node::Apply(..) => (Kind::Copy, 0.0),
            };
            code.push(Instruction {
                op: Op::Neg,
                kind,
                constants: 0,
                target,
                rows: [row[output.index()].unwrap_or(0), 0, 0],
                numbers: [T::of(number); 3],
            });
        }
        Tape {
            code,
            n_rows: n_rows as usize,
        }
    }
}
