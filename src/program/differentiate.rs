//! Exact derivatives, written into the same graph, so that they share what the function has computed already.

use crate::ops::{Algebra, Op};

use super::{Graph, Map, Node, Value};

/// The derivatives of expressions along one direction: for each seed input, how fast it moves.
///
/// With a single seed of 1 this is a column of a Jacobian; with every state moving at its own derivative it is the
/// rate of an observable along the solution.
#[derive(Clone, Debug, Default)]
pub struct Tangents {
    known: Map<Value, Option<Value>>,
}

impl Tangents {
    /// Starts from inputs and their rates; every other input stands still.
    pub fn new(seeds: impl IntoIterator<Item = (Value, Value)>) -> Self {
        Tangents {
            known: seeds
                .into_iter()
                .map(|(input, rate)| (input, Some(rate)))
                .collect(),
        }
    }

    /// The derivative of `value`; `None` where it is zero by structure.
    pub fn of(&mut self, graph: &mut Graph, value: Value) -> Option<Value> {
        let mut open = vec![value];
        while let Some(&v) = open.last() {
            if self.known.contains_key(&v) {
                open.pop();
                continue;
            }
            let node = graph.node(v);
            let waiting = open.len();
            open.extend(node.args().iter().filter(|a| !self.known.contains_key(a)));
            if open.len() == waiting {
                let rate = self.rate(graph, v, node);
                self.known.insert(v, rate);
                open.pop();
            }
        }
        self.known[&value]
    }

    fn rate(&self, graph: &mut Graph, value: Value, node: Node) -> Option<Value> {
        let Node::Apply(op, args) = node else {
            return None;
        };
        let args = &args[..op.arity()];
        let rates: Vec<Option<Value>> = args.iter().map(|a| self.known[a]).collect();
        if rates.iter().all(Option::is_none) {
            return None;
        }
        let rate = match op {
            Op::Neg => {
                let r = rates[0]?;
                graph.neg(r)
            }
            Op::Add => match (rates[0], rates[1]) {
                (Some(a), Some(b)) => graph.add(a, b),
                (a, b) => a.or(b)?,
            },
            Op::Sub => match (rates[0], rates[1]) {
                (Some(a), Some(b)) => graph.sub(a, b),
                (Some(a), None) => a,
                (None, b) => {
                    let b = b?;
                    graph.neg(b)
                }
            },
            // The branch not taken may have no derivative: 0 times NaN must not reach the result.
            Op::Select => {
                let zero = graph.constant(0.0);
                let (yes, no) = (rates[1].unwrap_or(zero), rates[2].unwrap_or(zero));
                graph.apply(Op::Select, &[args[0], yes, no])
            }
            _ => {
                let partials = op.partials(graph, args, value);
                let mut sum: Option<Value> = None;
                for (partial, rate) in partials.into_iter().zip(&rates) {
                    let Some(rate) = *rate else { continue };
                    if graph.as_constant(partial) == Some(0.0) {
                        continue;
                    }
                    let term = graph.mul(partial, rate);
                    sum = Some(match sum {
                        None => term,
                        Some(s) => graph.add(s, term),
                    });
                }
                sum?
            }
        };
        (graph.as_constant(rate) != Some(0.0)).then_some(rate)
    }
}

/// For every node, whether it depends on `input`.
pub fn depends_on(graph: &Graph, input: Value) -> Vec<bool> {
    let mut depends = vec![false; graph.nodes().len()];
    for (i, node) in graph.nodes().iter().enumerate() {
        depends[i] = i == input.index() || node.args().iter().any(|a| depends[a.index()]);
    }
    depends
}
