//! The slow, obvious evaluator of a [`Program`]: one number per node, in order. Every faster engine is compared with it.
//! The integrator runs a `Tape` (module `tape`): the same arithmetic, and so the same bits.
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

use crate::ops::eval;
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
