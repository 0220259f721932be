//! Exact derivatives, written into the same graph, so that they share what the function has computed already.

use crate::ops::{Algebra, Op};

use super::{Graph, Node, Value};

/// What is known of the derivative of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    /// It depends on a seed; the derivative is not written yet.
    Unwritten,
    /// Zero by structure.
    Zero,
    Is(Value),
}

/// The derivatives of expressions along one direction: for each seed input, how fast it moves.
///
/// With a single seed of 1 this is a column of a Jacobian; with every state moving at its own derivative it is the
/// rate of an observable along the solution.
#[derive(Clone, Debug, Default)]
pub struct Tangents {
    /// By node, as far as nodes have been asked for: most depend on no seed, and a walk leaves them aside.
    known: Vec<Rate>,
    /// Seeds that are no further than nodes have been asked for are in `known` already.
    seeds: Vec<(Value, Value)>,
    /// Room for a walk.
    open: Vec<Value>,
}

impl Tangents {
    /// Starts from inputs and their rates; every other input stands still.
    pub fn new(seeds: impl IntoIterator<Item = (Value, Value)>) -> Self {
        let mut seeds: Vec<(Value, Value)> = seeds.into_iter().collect();
        // The nearest is the last, where it is taken off; of two rates for one input the later one counts.
        seeds.reverse();
        seeds.sort_by_key(|s| std::cmp::Reverse(s.0));
        seeds.dedup_by_key(|s| s.0);
        Tangents {
            seeds,
            ..Self::default()
        }
    }

    /// The derivative of `value`; `None` where it is zero by structure.
    pub fn of(&mut self, graph: &mut Graph, value: Value) -> Option<Value> {
        self.look_up_to(graph, value);
        self.open.push(value);
        while let Some(&v) = self.open.last() {
            if self.known[v.index()] != Rate::Unwritten {
                self.open.pop();
                continue;
            }
            let node = graph.node(v);
            let waiting = self.open.len();
            let known = &self.known;
            let unwritten = |a: &&Value| known[a.index()] == Rate::Unwritten;
            self.open.extend(node.args().iter().filter(unwritten));
            if self.open.len() == waiting {
                self.known[v.index()] = match self.rate(graph, v, node) {
                    Some(rate) => Rate::Is(rate),
                    None => Rate::Zero,
                };
                self.open.pop();
            }
        }
        self.written(value)
    }

    /// Finds out which nodes up to this one depend on a seed.
    fn look_up_to(&mut self, graph: &Graph, value: Value) {
        let from = self.known.len();
        let nodes = graph.nodes().get(from..=value.index()).unwrap_or_default();
        self.known.reserve(nodes.len());
        for (i, node) in (from..).zip(nodes) {
            let rate = match self.seeds.last() {
                Some(&(seed, rate)) if seed.index() == i => {
                    self.seeds.pop();
                    Rate::Is(rate)
                }
                _ if node
                    .args()
                    .iter()
                    .any(|a| self.known[a.index()] != Rate::Zero) =>
                {
                    Rate::Unwritten
                }
                _ => Rate::Zero,
            };
            self.known.push(rate);
        }
    }

    fn written(&self, value: Value) -> Option<Value> {
        match self.known[value.index()] {
            Rate::Is(rate) => Some(rate),
            Rate::Zero | Rate::Unwritten => None,
        }
    }

    fn rate(&self, graph: &mut Graph, value: Value, node: Node) -> Option<Value> {
        let Node::Apply(op, args) = node else {
            return None;
        };
        let args = &args[..op.arity()];
        let mut rates = [None; 3];
        for (rate, &a) in rates.iter_mut().zip(args) {
            *rate = self.written(a);
        }
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
