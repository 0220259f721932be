//! The graph in which expressions are built: nodes refer to earlier nodes, equal nodes are shared.

use std::hash::{Hash, Hasher};

use crate::ops::{Algebra, Op, eval};

use super::{Places, Set, recognise, simplify};

/// A handle to a node of a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub u32);

impl Value {
    /// Stands where an op takes no argument.
    pub const NONE: Value = Value(u32::MAX);

    /// The node's place in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One step of straight-line arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A number, by its bits.
    Constant(u64),
    /// An input, by its number; what it means is known to whoever made the graph.
    Input(u32),
    /// An op and its arguments; [`Value::NONE`] beyond its arity.
    Apply(Op, [Value; 3]),
}

impl Node {
    /// The arguments of an op; none for a constant or an input.
    pub fn args(&self) -> &[Value] {
        match self {
            Node::Apply(op, args) => &args[..op.arity()],
            Node::Constant(_) | Node::Input(_) => &[],
        }
    }
}

/// Two words for each: nodes are looked up some hundred thousand times while a large model is compiled.
impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (first, second) = match *self {
            // Numbers of neither constants nor inputs are numbers of ops.
            Node::Constant(bits) => (u64::MAX, bits),
            Node::Input(number) => (u64::MAX - 1, number.into()),
            Node::Apply(op, [a, b, c]) => (
                (op as u64) << 32 | u64::from(a.0),
                u64::from(b.0) << 32 | u64::from(c.0),
            ),
        };
        state.write_u64(first);
        state.write_u64(second);
    }
}

/// How much the graph may rewrite what is built in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As written: no folding, no sharing. What the reference runs, so that it judges the rest.
    Plain,
    /// Constants folded, common subexpressions shared, neutral elements and signs removed.
    Simplified,
}

/// A growing graph of arithmetic. Nodes are only ever added, and refer to earlier ones only.
#[derive(Clone, Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    /// The first node of each structure, found by the node with its arguments replaced by their own first nodes.
    seen: Places,
    /// For each node the first node of the same structure: equal numbers mean equal expressions.
    first: Vec<Value>,
    style: Style,
    recognise: bool,
    /// Inputs below this number are states.
    n_states: u32,
}

impl Graph {
    /// An empty graph.
    pub fn new(style: Style) -> Self {
        Graph {
            nodes: Vec::new(),
            seen: Places::default(),
            first: Vec::new(),
            style,
            recognise: false,
            n_states: 0,
        }
    }

    /// Makes room for so many more nodes.
    pub fn reserve(&mut self, n: usize) {
        self.nodes.reserve(n);
        self.first.reserve(n);
        let (nodes, first) = (&self.nodes, &self.first);
        self.seen
            .reserve(nodes.len() + n, |v| by_first(nodes[v as usize], first));
    }

    /// The nodes, arguments before their users.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node behind a value.
    pub fn node(&self, value: Value) -> Node {
        self.nodes[value.index()]
    }

    /// Switches the search for removable singularities on or off: it is on while a model's own formulas are lowered.
    pub fn set_recognise(&mut self, on: bool) {
        self.recognise = on;
    }

    /// Says that the inputs below `n` are the states.
    pub fn set_states(&mut self, n: u32) {
        self.n_states = n;
    }

    /// Whether a state is anywhere in the expression.
    pub fn depends_on_state(&self, value: Value) -> bool {
        let mut seen = Set::default();
        let mut open = vec![value];
        while let Some(v) = open.pop() {
            if let Node::Input(i) = self.node(v)
                && i < self.n_states
            {
                return true;
            }
            open.extend(self.node(v).args().iter().filter(|a| seen.insert(**a)));
        }
        false
    }

    /// From here on, rewrite as `style` says; what stands is left as it is.
    pub fn set_style(&mut self, style: Style) {
        self.style = style;
    }

    /// The number behind a constant.
    pub fn as_constant(&self, value: Value) -> Option<f64> {
        match self.node(value) {
            Node::Constant(bits) => Some(f64::from_bits(bits)),
            Node::Input(_) | Node::Apply(..) => None,
        }
    }

    /// A node equal in structure to this one and common to all such nodes: compare these to compare expressions.
    pub fn representative(&self, value: Value) -> Value {
        self.first[value.index()]
    }

    /// An input of the program.
    pub fn input(&mut self, number: u32) -> Value {
        self.intern(Node::Input(number))
    }

    /// Adds a node as it is, shared with an equal one unless the style is plain.
    pub(super) fn intern(&mut self, node: Node) -> Value {
        let share = self.style == Style::Simplified || !matches!(node, Node::Apply(..));
        let new = u32::try_from(self.nodes.len()).expect("a graph has fewer than 2^32 nodes");
        let (nodes, known) = (&self.nodes, &self.first);
        let key = by_first(node, known);
        let first = self
            .seen
            .find_or_add(&key, new, |v| by_first(nodes[v as usize], known));
        if first != new && share {
            return Value(first);
        }
        self.nodes.push(node);
        self.first.push(Value(first));
        Value(new)
    }
}

/// The node with its arguments replaced by the first nodes of their structures.
fn by_first(node: Node, first: &[Value]) -> Node {
    match node {
        Node::Apply(op, mut args) => {
            for a in &mut args[..op.arity()] {
                *a = first[a.index()];
            }
            Node::Apply(op, args)
        }
        other => other,
    }
}

impl Algebra for Graph {
    type Value = Value;

    fn constant(&mut self, value: f64) -> Value {
        // One zero: a graph never needs to tell -0 from 0, and sharing them folds more.
        self.intern(Node::Constant(
            if value == 0.0 { 0.0f64 } else { value }.to_bits(),
        ))
    }

    fn apply(&mut self, op: Op, args: &[Value]) -> Value {
        assert_eq!(
            args.len(),
            op.arity(),
            "{} takes {} arguments",
            op.name(),
            op.arity()
        );
        if self.recognise
            && matches!(op, Op::Mul | Op::Div)
            && let Some(value) = recognise::bernoulli(self, op, args[0], args[1])
        {
            return value;
        }
        if self.style == Style::Simplified
            && let Some(value) = simplify::rewrite(self, op, args)
        {
            return value;
        }
        let mut padded = [Value::NONE; 3];
        padded[..args.len()].copy_from_slice(args);
        self.intern(Node::Apply(op, padded))
    }
}

/// The value of an op on known numbers.
pub(super) fn fold(op: Op, args: &[f64]) -> f64 {
    let at = |i: usize| args.get(i).copied().unwrap_or(0.0);
    eval(op, at(0), at(1), at(2))
}
