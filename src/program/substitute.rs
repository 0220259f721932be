//! The same formulas at other arguments: how a scheme evaluates a right-hand side at its stages.

use crate::ops::Algebra;

use super::{Graph, Map, Node, Value};

/// `roots` with every value in `by` replaced; what does not depend on them is shared.
pub(crate) fn substitute(graph: &mut Graph, roots: &[Value], by: &Map<Value, Value>) -> Vec<Value> {
    let mut done: Map<Value, Value> = by.clone();
    let mut open: Vec<Value> = Vec::new();
    for &root in roots {
        open.push(root);
        while let Some(&v) = open.last() {
            if done.contains_key(&v) {
                open.pop();
                continue;
            }
            let node = graph.node(v);
            let waiting = open.len();
            open.extend(node.args().iter().filter(|a| !done.contains_key(a)));
            if open.len() > waiting {
                continue;
            }
            open.pop();
            let replaced = match node {
                Node::Constant(_) | Node::Input(_) => v,
                Node::Apply(op, args) => {
                    let old = &args[..op.arity()];
                    let new: Vec<Value> = old.iter().map(|a| done[a]).collect();
                    if new == old { v } else { graph.apply(op, &new) }
                }
            };
            done.insert(v, replaced);
        }
    }
    roots.iter().map(|r| done[r]).collect()
}
