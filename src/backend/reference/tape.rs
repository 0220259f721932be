//! A program laid out for many evaluations: the arithmetic of [`evaluate`](super::evaluate::evaluate), and so its bits, in runs of
//! equal ops that do not wait for each other. A run is a loop over numbers, which the compiler turns into SIMD.

use crate::backend::cpu::Simd;
use crate::ops::{Op, eval, match_op};
use crate::program::{Node, Places, Program, Value};

/// Numbers of a vector at most: runs of costly ops are filled up to a multiple of it, so that none of them is done one by one.
const VECTOR: usize = 8;

/// Ops of one kind, none of which needs another.
#[derive(Clone, Copy, Debug)]
struct Run {
    op: Op,
    /// Place of the first result; the others follow.
    first: usize,
    n: usize,
    /// Where the places of each argument begin among all places.
    args: [usize; 3],
}

/// Runs in an order in which they can be evaluated.
#[derive(Clone, Debug, Default)]
struct Code {
    runs: Vec<Run>,
    places: Vec<u32>,
}

/// A program laid out for many evaluations, with the bits of [`evaluate`](super::evaluate()): inputs, numbers and results of ops in one row
/// of memory.
#[derive(Clone, Debug)]
pub struct Tape {
    simd: Simd,
    n_inputs: usize,
    /// The row at the start: a zero for absent arguments, inputs, numbers, results, room for the arguments of a run.
    row: Vec<f64>,
    /// Where that room begins.
    room: usize,
    /// Ops that depend on what stands still only.
    still: Code,
    /// The others.
    moving: Code,
    outputs: Vec<u32>,
}

impl Tape {
    /// `moves` says of each input whether it may differ from one [`Tape::run`] to the next.
    ///
    /// # Panics
    /// If the program has an input beyond those.
    pub fn new(program: &Program, moves: &[bool]) -> Self {
        let n_inputs = moves.len();
        let (nodes, first) = without_repetition(&program.nodes);
        let mut layout = Layout {
            nodes: &nodes,
            row: vec![0.0; 1 + n_inputs],
            places: vec![0; nodes.len()],
        };
        let mut moved = vec![false; nodes.len()];
        for (i, node) in nodes.iter().enumerate() {
            match *node {
                Node::Constant(bits) => {
                    layout.places[i] = place(layout.row.len());
                    layout.row.push(f64::from_bits(bits));
                }
                Node::Input(number) => {
                    layout.places[i] = 1 + number;
                    moved[i] = moves[number as usize];
                }
                Node::Apply(..) => moved[i] = node.args().iter().any(|a| moved[a.index()]),
            }
        }
        let ops = |moving: bool| {
            let is_op = |i: &usize| matches!(nodes[*i], Node::Apply(..));
            (0..nodes.len())
                .filter(is_op)
                .filter(|i| first[*i].index() == *i)
                .filter(|i| moved[*i] == moving)
                .collect::<Vec<_>>()
        };
        let (still, moving) = (layout.code(&ops(false)), layout.code(&ops(true)));
        let Layout {
            mut row, places, ..
        } = layout;
        let room = row.len();
        let runs = || still.runs.iter().chain(&moving.runs);
        row.resize(room + 2 * runs().map(|r| r.n).max().unwrap_or(0), 0.0);
        Tape {
            simd: Simd::best(),
            n_inputs,
            row,
            room,
            outputs: program
                .outputs
                .iter()
                .map(|o| places[first[o.index()].index()])
                .collect(),
            still,
            moving,
        }
    }

    /// Memory for [`Tape::run`].
    pub fn memory(&self) -> Vec<f64> {
        self.row.clone()
    }

    /// Evaluates what stands still; `memory` was made by this tape. Inputs beyond the tape's own are left out.
    ///
    /// # Panics
    /// If inputs or memory are too few.
    pub fn settle(&self, inputs: &[f64], memory: &mut [f64]) {
        memory[1..=self.n_inputs].copy_from_slice(&inputs[..self.n_inputs]);
        self.go_through(&self.still, memory);
    }

    /// Evaluates the rest into `outputs`, after [`Tape::settle`].
    ///
    /// # Panics
    /// If inputs or memory are too few.
    pub fn run(&self, inputs: &[f64], memory: &mut [f64], outputs: &mut [f64]) {
        memory[1..=self.n_inputs].copy_from_slice(&inputs[..self.n_inputs]);
        self.go_through(&self.moving, memory);
        for (output, &place) in outputs.iter_mut().zip(&self.outputs) {
            *output = memory[place as usize];
        }
    }

    fn go_through(&self, code: &Code, memory: &mut [f64]) {
        let (values, room) = memory.split_at_mut(self.room);
        match self.simd {
            // SAFETY: `simd` is what `Simd::best` found on this machine.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => unsafe { go_avx512(code, values, room) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => unsafe { go_avx2(code, values, room) },
            _ => go(code, values, room),
        }
    }
}

/// The nodes with their arguments replaced by the first node of the same structure, and that first node for each. An op
/// that repeats another one finds the same bits, so it need not be evaluated again; nothing else is changed.
fn without_repetition(nodes: &[Node]) -> (Vec<Node>, Vec<Value>) {
    let mut known = Places::default();
    let (mut replaced, mut first) = (Vec::with_capacity(nodes.len()), Vec::<Value>::new());
    for (i, &node) in nodes.iter().enumerate() {
        let node = match node {
            Node::Apply(op, mut args) => {
                for a in args.iter_mut().take(op.arity()) {
                    *a = first[a.index()];
                }
                Node::Apply(op, args)
            }
            Node::Constant(_) | Node::Input(_) => node,
        };
        replaced.push(node);
        let first_place = known.find_or_add(&node, place(i), |k| replaced[k as usize]);
        first.push(Value(first_place));
    }
    (replaced, first)
}

fn place(x: usize) -> u32 {
    u32::try_from(x).expect("a program has fewer than 2^32 nodes")
}

/// Places are given out while runs are formed.
struct Layout<'a> {
    nodes: &'a [Node],
    row: Vec<f64>,
    places: Vec<u32>,
}

impl Layout<'_> {
    /// Forms runs of `ops` (nodes in an order in which they can be evaluated): each time the op that most nodes are ready for,
    /// the costly ones only when nothing else is left, so that their runs are long.
    fn code(&mut self, ops: &[usize]) -> Code {
        let nodes = self.nodes;
        let mut waits = vec![usize::MAX; nodes.len()];
        // Where the users of each begin in the list of all users.
        let mut first = vec![0; nodes.len() + 1];
        let mut ready: Vec<Vec<usize>> = vec![Vec::new(); Op::ALL.len()];
        for &i in ops {
            waits[i] = 0;
        }
        for &i in ops {
            for a in nodes[i].args() {
                if waits[a.index()] != usize::MAX {
                    waits[i] += 1;
                    first[a.index() + 1] += 1;
                }
            }
            if let (0, Node::Apply(op, _)) = (waits[i], nodes[i]) {
                ready[op as usize].push(i);
            }
        }
        for k in 1..first.len() {
            first[k] += first[k - 1];
        }
        let (mut next, mut users) = (first.clone(), vec![0; first[nodes.len()]]);
        for &i in ops {
            let args = nodes[i].args().iter().map(|a| a.index());
            for a in args.filter(|&a| waits[a] != usize::MAX) {
                users[next[a]] = i;
                next[a] += 1;
            }
        }
        let mut code = Code::default();
        let rank = |k: usize, n: usize| (n > 0).then(|| (!is_costly(Op::ALL[k]), n));
        while let Some(kind) = (0..ready.len())
            .filter(|&k| !ready[k].is_empty())
            .max_by_key(|&k| rank(k, ready[k].len()))
        {
            let members = std::mem::take(&mut ready[kind]);
            self.run(Op::ALL[kind], &members, &mut code);
            for user in members.iter().flat_map(|&i| &users[first[i]..first[i + 1]]) {
                waits[*user] -= 1;
                if let (0, Node::Apply(op, _)) = (waits[*user], nodes[*user]) {
                    ready[op as usize].push(*user);
                }
            }
        }
        code
    }

    fn run(&mut self, op: Op, members: &[usize], code: &mut Code) {
        let first = self.row.len();
        let n = if is_vectorised(op) && members.len() > 1 {
            members.len().next_multiple_of(VECTOR)
        } else {
            members.len()
        };
        let mut args = [0; 3];
        for (slot, start) in args.iter_mut().enumerate().take(op.arity()) {
            *start = code.places.len();
            for &i in members {
                let a = self.nodes[i].args()[slot];
                let place = self.places[a.index()];
                assert!((place as usize) < first, "arguments come before results");
                code.places.push(place);
            }
            code.places.resize(*start + n, 0);
        }
        for (k, &i) in members.iter().enumerate() {
            self.places[i] = place(first + k);
        }
        self.row.resize(first + n, 0.0);
        code.runs.push(Run { op, first, n, args });
    }
}

/// Ops that take many instructions.
fn is_costly(op: Op) -> bool {
    use Op::{Acos, Asin, Atan, Cos, Pow, Quotient, Remainder, Sin, Tan};
    is_vectorised(op)
        || matches!(
            op,
            Pow | Sin | Cos | Tan | Asin | Acos | Atan | Quotient | Remainder
        )
}

/// Those of them that are done a vector at a time.
fn is_vectorised(op: Op) -> bool {
    use Op::{
        Bernoulli, BernoulliSlope, BoundedExp, BoundedExp2, Div, Exp, Log, Log10, MeanExp, Recip,
        Sqrt,
    };
    matches!(
        op,
        Exp | BoundedExp
            | BoundedExp2
            | MeanExp
            | Log
            | Log10
            | Div
            | Recip
            | Sqrt
            | Bernoulli
            | BernoulliSlope
    )
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
fn go_avx512(code: &Code, values: &mut [f64], room: &mut [f64]) {
    go(code, values, room);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn go_avx2(code: &Code, values: &mut [f64], room: &mut [f64]) {
    go(code, values, room);
}

#[inline(always)]
fn go(code: &Code, values: &mut [f64], room: &mut [f64]) {
    let (x, y) = room.split_at_mut(room.len() / 2);
    for run in &code.runs {
        let (known, results) = values.split_at_mut(run.first);
        let results = &mut results[..run.n];
        let places = |slot: usize| &code.places[run.args[slot]..][..run.n];
        let known = Known(known);
        macro_rules! kernel {
            (@unary $op:ident) => {{
                let f = |a| eval(Op::$op, a, a, a);
                if is_vectorised(Op::$op) && run.n > 1 {
                    let a = known.gather(places(0), x);
                    results.iter_mut().zip(a).for_each(|(r, &a)| *r = f(a));
                } else {
                    let places = results.iter_mut().zip(places(0));
                    places.for_each(|(r, &a)| *r = f(known.at(a)));
                }
            }};
            (@binary $op:ident) => {{
                let f = |a, b| eval(Op::$op, a, b, b);
                if is_vectorised(Op::$op) && run.n > 1 {
                    let (a, b) = (known.gather(places(0), x), known.gather(places(1), y));
                    let both = results.iter_mut().zip(a).zip(b);
                    both.for_each(|((r, &a), &b)| *r = f(a, b));
                } else {
                    let places = results.iter_mut().zip(places(0)).zip(places(1));
                    places.for_each(|((r, &a), &b)| *r = f(known.at(a), known.at(b)));
                }
            }};
            (@ternary $op:ident) => {{
                let places = results
                    .iter_mut()
                    .zip(places(0))
                    .zip(places(1))
                    .zip(places(2));
                for (((r, &a), &b), &c) in places {
                    *r = eval(Op::$op, known.at(a), known.at(b), known.at(c));
                }
            }};
        }
        match_op!(run.op, kernel)
    }
}

/// What stands before the results of a run.
struct Known<'a>(&'a [f64]);

impl Known<'_> {
    #[inline(always)]
    fn at(&self, place: u32) -> f64 {
        debug_assert!((place as usize) < self.0.len());
        // SAFETY: `Layout::run` asserts that the arguments of a run stand before its first result, and `go` cuts what is
        // known there.
        unsafe { *self.0.get_unchecked(place as usize) }
    }

    /// The numbers at these places, side by side.
    #[inline(always)]
    fn gather<'r>(&self, places: &[u32], room: &'r mut [f64]) -> &'r [f64] {
        let room = &mut room[..places.len()];
        for (x, &place) in room.iter_mut().zip(places) {
            *x = self.at(place);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::super::evaluate::evaluate;
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

    /// Chains of different ops whose links wait for one another, so that runs of all lengths are formed.
    #[test]
    fn runs_of_any_length_find_the_same_bits_with_every_instruction_set() {
        let mut graph = Graph::new(Style::Plain);
        let x = graph.input(0);
        let mut outputs = Vec::new();
        for k in 0..29 {
            let mut link = graph.constant(f64::from(k) * 0.1);
            let ops = [Op::Exp, Op::Div, Op::Mul, Op::Sqrt, Op::Log, Op::Sub];
            for op in ops.iter().cycle().skip(k as usize % 5).take(7) {
                link = match op.arity() {
                    1 => graph.apply(*op, &[link]),
                    _ => graph.apply(*op, &[link, x]),
                };
            }
            outputs.push(link);
        }
        let program = program(&graph, &outputs);
        let mut tape = Tape::new(&program, &[true]);
        for simd in Simd::available() {
            tape.simd = simd;
            let (mut memory, mut found) = (tape.memory(), vec![0.0; outputs.len()]);
            for input in [0.3, 2.5] {
                tape.settle(&[input], &mut memory);
                tape.run(&[input], &mut memory, &mut found);
                for (a, b) in found.iter().zip(evaluate(&program, &[input])) {
                    assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()));
                }
            }
        }
    }
}
