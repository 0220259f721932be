//! The same formulas at other arguments: how a scheme evaluates a right-hand side at its stages.

use crate::ops::Algebra;

use super::{Graph, Map, Node, Value};

/// `roots` with every value in `by` replaced; what does not depend on them is shared.
pub(crate) fn substitute(graph: &mut Graph, roots: &[Value], by: &Map<Value, Value>) -> Vec<Value> {
    // By node, [`Value::NONE`] where it is not known yet: what is made here is not looked up again.
    let mut done = vec![Value::NONE; graph.nodes().len()];
    for (from, to) in by {
        done[from.index()] = *to;
    }
    let mut open: Vec<Value> = Vec::new();
    for &root in roots {
        open.push(root);
        while let Some(&v) = open.last() {
            if done[v.index()] != Value::NONE {
                open.pop();
                continue;
            }
            let node = graph.node(v);
            let waiting = open.len();
            let is_left = |a: &&Value| done[a.index()] == Value::NONE;
            open.extend(node.args().iter().filter(is_left));
            if open.len() > waiting {
                continue;
            }
            open.pop();
            done[v.index()] = match node {
                Node::Constant(_) | Node::Input(_) => v,
                Node::Apply(op, old) => {
                    let mut new = old;
                    for a in &mut new[..op.arity()] {
                        *a = done[a.index()];
                    }
                    if new == old {
                        v
                    } else {
                        graph.apply(op, &new[..op.arity()])
                    }
                }
            };
        }
    }
    roots.iter().map(|r| done[r.index()]).collect()
}
