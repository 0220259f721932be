//! The slow, obvious evaluator of a [`Program`]: one number per node, in order. Every faster engine is compared with it.
//! The integrator runs a `Tape`: the same arithmetic, and so the same bits, with nothing but ops to go through.
//!
//! ```
//! use sarcolemma::backend::reference::evaluate;
//! use sarcolemma::ops::Algebra;
//! use sarcolemma::program::{Graph, Style, program};
//!
//! let mut graph = Graph::new(Style::Plain);
//! let x = graph.input(0);
//! let square = graph.mul(x, x);
//! let program = program(&graph, &[square, x]);
//! assert_eq!(evaluate(&program, &[3.0]), [9.0, 3.0]);
//! ```

use crate::ops::{Op, eval};
use crate::program::{Node, Program, Value};

/// The outputs of `program` for the given inputs, which it names by number.
///
/// # Panics
/// If the program names an input that is not given.
pub fn evaluate(program: &Program, inputs: &[f64]) -> Vec<f64> {
    let mut scratch = Vec::new();
    let mut outputs = vec![0.0; program.outputs.len()];
    evaluate_into(program, inputs, &mut scratch, &mut outputs);
    outputs
}

/// As [`evaluate`], into memory that the caller keeps: `scratch` grows to one number per node, `outputs` holds one per output.
///
/// # Panics
/// If the program names an input that is not given, or `outputs` has another length than the program's.
pub fn evaluate_into(
    program: &Program,
    inputs: &[f64],
    scratch: &mut Vec<f64>,
    outputs: &mut [f64],
) {
    assert_eq!(
        outputs.len(),
        program.outputs.len(),
        "one number for each output"
    );
    scratch.clear();
    for node in &program.nodes {
        let at = |v: Value| {
            if v == Value::NONE {
                0.0
            } else {
                scratch[v.index()]
            }
        };
        let value = match *node {
            Node::Constant(bits) => f64::from_bits(bits),
            Node::Input(number) => inputs[number as usize],
            Node::Apply(op, [a, b, c]) => eval(op, at(a), at(b), at(c)),
        };
        scratch.push(value);
    }
    for (output, value) in outputs.iter_mut().zip(&program.outputs) {
        *output = scratch[value.index()];
    }
}

/// A program laid out for many evaluations: inputs, numbers and results of ops in one row of memory.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    n_inputs: usize,
    /// The row at the start: a zero for absent arguments, inputs, numbers, results.
    row: Vec<f64>,
    /// Ops that depend on what stands still only, in order, with the places of their arguments and of the result.
    still: Vec<(Op, [u32; 4])>,
    /// The others.
    moving: Vec<(Op, [u32; 4])>,
    outputs: Vec<u32>,
}

impl Tape {
    /// `moves` says of each input whether it may differ from one [`Tape::run`] to the next.
    pub(super) fn new(program: &Program, moves: &[bool]) -> Self {
        let n_inputs = moves.len();
        let mut row = vec![0.0; 1 + n_inputs];
        let place = |x: usize| u32::try_from(x).expect("a program has fewer than 2^32 nodes");
        let mut places = vec![0; program.nodes.len()];
        let mut moved = vec![false; program.nodes.len()];
        let mut depth = vec![0u32; program.nodes.len()];
        for (place_of, node) in places.iter_mut().zip(&program.nodes) {
            match *node {
                Node::Constant(bits) => {
                    *place_of = place(row.len());
                    row.push(f64::from_bits(bits));
                }
                Node::Input(number) => *place_of = 1 + number,
                Node::Apply(..) => {}
            }
        }
        let (mut still, mut moving) = (Vec::new(), Vec::new());
        for (i, node) in program.nodes.iter().enumerate() {
            match *node {
                Node::Constant(_) => {}
                Node::Input(number) => moved[i] = moves[number as usize],
                Node::Apply(op, args) => {
                    places[i] = place(row.len());
                    row.push(0.0);
                    let [a, b, c] = args.map(|a| {
                        if a == Value::NONE {
                            0
                        } else {
                            places[a.index()]
                        }
                    });
                    moved[i] = node.args().iter().any(|a| moved[a.index()]);
                    depth[i] = 1 + node
                        .args()
                        .iter()
                        .map(|a| depth[a.index()])
                        .max()
                        .unwrap_or(0);
                    let list = if moved[i] { &mut moving } else { &mut still };
                    list.push((depth[i], (op, [a, b, c, places[i]])));
                }
            }
        }
        // Equal ops of equal depth stand together: the processor foresees its way through them.
        let in_order = |mut list: Vec<(u32, (Op, [u32; 4]))>| {
            list.sort_by_key(|&(depth, (op, _))| (depth, op));
            list.into_iter().map(|(_, op)| op).collect()
        };
        let (still, moving) = (in_order(still), in_order(moving));
        let outputs = program.outputs.iter().map(|o| places[o.index()]).collect();
        Tape {
            n_inputs,
            row,
            still,
            moving,
            outputs,
        }
    }

    /// Memory for [`Tape::run`].
    pub(super) fn memory(&self) -> Vec<f64> {
        self.row.clone()
    }

    /// Evaluates what stands still; `memory` was made by this tape.
    pub(super) fn settle(&self, inputs: &[f64], memory: &mut [f64]) {
        memory[1..=self.n_inputs].copy_from_slice(inputs);
        go_through(&self.still, memory);
    }

    /// Evaluates the rest into `outputs`, after [`Tape::settle`].
    pub(super) fn run(&self, inputs: &[f64], memory: &mut [f64], outputs: &mut [f64]) {
        memory[1..=self.n_inputs].copy_from_slice(inputs);
        go_through(&self.moving, memory);
        for (output, &place) in outputs.iter_mut().zip(&self.outputs) {
            *output = memory[place as usize];
        }
    }
}

fn go_through(ops: &[(Op, [u32; 4])], memory: &mut [f64]) {
    for &(op, [a, b, c, result]) in ops {
        memory[result as usize] = eval(
            op,
            memory[a as usize],
            memory[b as usize],
            memory[c as usize],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Algebra;
    use crate::program::{Graph, Style, program};

    #[test]
    fn a_tape_finds_the_same_bits() {
        let mut graph = Graph::new(Style::Plain);
        let (x, y) = (graph.input(0), graph.input(2));
        let three = graph.constant(3.0);
        let sum = graph.apply(Op::Fma, &[x, y, three]);
        let exp = graph.apply(Op::Exp, &[sum]);
        let less = graph.apply(Op::Lt, &[x, y]);
        let chosen = graph.apply(Op::Select, &[less, exp, x]);
        let program = program(&graph, &[chosen, three, y, sum]);
        let tape = Tape::new(&program, &[true, false, false]);
        let mut memory = tape.memory();
        for inputs in [[0.1, 9.0, 0.7], [0.7, 9.0, 0.1], [f64::NAN, 0.0, 1.0]] {
            let mut found = [0.0; 4];
            tape.settle(&inputs, &mut memory);
            tape.run(&inputs, &mut memory, &mut found);
            let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found), bits(&evaluate(&program, &inputs)));
        }
    }
}
