//! From a graph to a program: only what the outputs need, in an order in which it can be run, products fused into sums.

use crate::ops::Op;

use super::{Graph, Node, Value};

/// Straight-line arithmetic: nodes in running order, and which of them are the results.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Arguments come before their users; [`Value`]s index this list.
    pub nodes: Vec<Node>,
    /// The results.
    pub outputs: Vec<Value>,
}

impl Program {
    /// Number of nodes that compute something.
    pub fn n_ops(&self) -> usize {
        self.nodes
            .iter()
            .filter(|n| matches!(n, Node::Apply(..)))
            .count()
    }

    /// The same without what no output needs.
    pub fn pruned(&self) -> Program {
        let mut needed = vec![false; self.nodes.len()];
        for o in &self.outputs {
            needed[o.index()] = true;
        }
        for i in (0..self.nodes.len()).rev() {
            if needed[i] {
                for a in self.nodes[i].args() {
                    needed[a.index()] = true;
                }
            }
        }
        let mut place = vec![Value::NONE; self.nodes.len()];
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (i, &node) in self.nodes.iter().enumerate() {
            if !needed[i] {
                continue;
            }
            let moved = match node {
                Node::Apply(op, mut args) => {
                    for a in args.iter_mut().take(op.arity()) {
                        *a = place[a.index()];
                    }
                    Node::Apply(op, args)
                }
                other => other,
            };
            place[i] = Value(nodes.len() as u32);
            nodes.push(moved);
        }
        let outputs = self.outputs.iter().map(|o| place[o.index()]).collect();
        Program { nodes, outputs }
    }
}

/// The program that computes `outputs`, depth first in their order: what an output needs alone is computed just before it.
pub fn program(graph: &Graph, outputs: &[Value]) -> Program {
    program_in_order(graph, &[], outputs)
}

/// The same, but values of `first` that an output needs are computed first, in their order. It decides what is alive at a time.
pub fn program_in_order(graph: &Graph, first: &[Value], outputs: &[Value]) -> Program {
    let needed = needed(graph, outputs);
    let roots = first.iter().filter(|v| needed[v.index()]).chain(outputs);
    let mut place: Vec<Option<Value>> = vec![None; graph.nodes().len()];
    let mut nodes = Vec::new();
    let mut open: Vec<Value> = Vec::new();
    for &root in roots {
        open.push(root);
        while let Some(&v) = open.last() {
            if place[v.index()].is_some() {
                open.pop();
                continue;
            }
            let node = graph.node(v);
            let waiting = open.len();
            // Reversed: the first argument is computed first.
            open.extend(
                node.args()
                    .iter()
                    .rev()
                    .filter(|a| place[a.index()].is_none()),
            );
            if open.len() > waiting {
                continue;
            }
            open.pop();
            let moved = match node {
                Node::Apply(op, mut args) => {
                    for a in args.iter_mut().take(op.arity()) {
                        *a = place[a.index()].expect("arguments are placed first");
                    }
                    Node::Apply(op, args)
                }
                other => other,
            };
            place[v.index()] = Some(Value(nodes.len() as u32));
            nodes.push(moved);
        }
    }
    let outputs = outputs
        .iter()
        .map(|o| place[o.index()].expect("outputs are placed"))
        .collect();
    Program { nodes, outputs }
}

/// Which values the outputs need.
fn needed(graph: &Graph, outputs: &[Value]) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes().len()];
    let mut open = outputs.to_vec();
    while let Some(v) = open.pop() {
        if !std::mem::replace(&mut needed[v.index()], true) {
            open.extend(graph.node(v).args());
        }
    }
    needed
}

/// Puts a bounded exponential in the place of every one. For programs whose derivatives are in them already; values of
/// sound formulas stay the same bits.
pub fn bound_exponentials(program: &Program) -> Program {
    let mut bounded = program.clone();
    for node in &mut bounded.nodes {
        if let Node::Apply(op @ Op::Exp, _) = node {
            *op = Op::BoundedExp;
        }
    }
    bounded
}

/// Fuses products into the sums and differences that use them: one rounding less, and one instruction less where nothing else uses the product.
pub fn fuse(program: &Program) -> Program {
    let mut uses = vec![0usize; program.nodes.len()];
    let mut summed = uses.clone();
    for node in &program.nodes {
        for a in node.args() {
            uses[a.index()] += 1;
            summed[a.index()] += usize::from(matches!(node, Node::Apply(Op::Add | Op::Sub, _)));
        }
    }
    for o in &program.outputs {
        uses[o.index()] += 1;
    }
    let mut nodes = program.nodes.clone();
    let product = |v: Value| match program.nodes[v.index()] {
        Node::Apply(Op::Mul, [a, b, _]) if uses[v.index()] == summed[v.index()] => Some((a, b)),
        _ => None,
    };
    // Of two products the one that has no other user.
    let second_first = |x: Value, y: Value| match (product(y), product(x)) {
        (Some(_), None) => true,
        (Some(_), Some(_)) => uses[y.index()] <= uses[x.index()],
        (None, _) => false,
    };
    for node in nodes.iter_mut() {
        if let Node::Apply(op @ (Op::Add | Op::Sub), [x, y, _]) = *node {
            let (of_x, of_y) = if second_first(x, y) {
                (None, product(y))
            } else {
                (product(x), None)
            };
            let fused = match (op, of_x, of_y) {
                (Op::Add, _, Some((a, b))) => Some(Node::Apply(Op::Fma, [a, b, x])),
                (Op::Add, Some((a, b)), _) => Some(Node::Apply(Op::Fma, [a, b, y])),
                (Op::Sub, _, Some((a, b))) => Some(Node::Apply(Op::Fnma, [a, b, x])),
                (Op::Sub, Some((a, b)), _) => Some(Node::Apply(Op::Fms, [a, b, y])),
                _ => None,
            };
            if let Some(fused) = fused {
                *node = fused;
            }
        }
    }
    // Fused products have no user left.
    let outputs = program.outputs.clone();
    Program { nodes, outputs }.pruned()
}
