//! Local rewrites made while a node is added: constants, neutral elements, signs. Each rule holds for real numbers; none
//! cancels `(a + b) - a`, on which compensated sums rely.

use crate::ops::{Algebra, Op};

use super::graph::fold;
use super::{Graph, Node, Value};

/// The value of `op(args)` if it need not be a node of its own in this form; `None` to add it as it is.
pub(super) fn rewrite(graph: &mut Graph, op: Op, args: &[Value]) -> Option<Value> {
    let (mut known, mut numbers) = ([None; 3], [0.0; 3]);
    for ((known, number), &a) in known.iter_mut().zip(&mut numbers).zip(args) {
        *known = graph.as_constant(a);
        *number = known.unwrap_or(0.0);
    }
    let known = &known[..args.len()];
    if known.iter().all(Option::is_some) {
        return Some(graph.constant(fold(op, &numbers[..args.len()])));
    }
    match op {
        Op::Add => add(graph, args[0], args[1], known),
        Op::Sub => sub(graph, args[0], args[1], known),
        Op::Mul => mul(graph, args[0], args[1], known),
        Op::Div => div(graph, args[0], args[1], known),
        Op::Neg => match graph.node(args[0]) {
            Node::Apply(Op::Neg, [x, ..]) => Some(x),
            Node::Apply(Op::Sub, [x, y, _]) => Some(graph.sub(y, x)),
            Node::Apply(Op::Mul, [x, c, _]) => {
                let minus = graph.constant(-graph.as_constant(c)?);
                Some(graph.mul(x, minus))
            }
            _ => None,
        },
        Op::Select => match known[0] {
            Some(condition) => Some(if condition != 0.0 { args[1] } else { args[2] }),
            None if args[1] == args[2] => Some(args[1]),
            None => None,
        },
        Op::And | Op::Or | Op::Eq | Op::Ne if args[1] < args[0] => {
            Some(graph.apply(op, &[args[1], args[0]]))
        }
        // One spelling for each comparison, so that equal ones are shared.
        Op::Gt => Some(graph.apply(Op::Lt, &[args[1], args[0]])),
        Op::Ge => Some(graph.apply(Op::Le, &[args[1], args[0]])),
        _ => None,
    }
}

fn negated(graph: &Graph, value: Value) -> Option<Value> {
    match graph.node(value) {
        Node::Apply(Op::Neg, [x, ..]) => Some(x),
        _ => None,
    }
}

fn add(graph: &mut Graph, a: Value, b: Value, known: &[Option<f64>]) -> Option<Value> {
    match (known[0], known[1]) {
        (Some(0.0), _) => return Some(b),
        (_, Some(0.0)) => return Some(a),
        // A constant stands second.
        (Some(_), None) => return Some(graph.add(b, a)),
        _ => {}
    }
    if let Some(x) = negated(graph, b) {
        return Some(graph.sub(a, x));
    }
    if let Some(x) = negated(graph, a) {
        return Some(graph.sub(b, x));
    }
    (b < a && known[1].is_none()).then(|| graph.add(b, a))
}

fn sub(graph: &mut Graph, a: Value, b: Value, known: &[Option<f64>]) -> Option<Value> {
    match (known[0], known[1]) {
        (Some(0.0), _) => return Some(graph.neg(b)),
        (_, Some(0.0)) => return Some(a),
        (_, Some(c)) => {
            let minus = graph.constant(-c);
            return Some(graph.add(a, minus));
        }
        _ => {}
    }
    if a == b {
        return Some(graph.constant(0.0));
    }
    if let Some(x) = negated(graph, b) {
        return Some(graph.add(a, x));
    }
    if let Some(x) = negated(graph, a) {
        let sum = graph.add(x, b);
        return Some(graph.neg(sum));
    }
    None
}

fn mul(graph: &mut Graph, a: Value, b: Value, known: &[Option<f64>]) -> Option<Value> {
    match (known[0], known[1]) {
        (Some(0.0), _) | (_, Some(0.0)) => return Some(graph.constant(0.0)),
        (Some(1.0), _) => return Some(b),
        (_, Some(1.0)) => return Some(a),
        (Some(-1.0), _) => return Some(graph.neg(b)),
        (_, Some(-1.0)) => return Some(graph.neg(a)),
        (Some(_), None) => return Some(graph.mul(b, a)),
        _ => {}
    }
    // Constants gather: (x c) d = x (c d), (x c) y = (x y) c.
    if let Node::Apply(Op::Mul, [x, c, _]) = graph.node(a)
        && let (Some(c_value), Some(d)) = (graph.as_constant(c), known[1])
    {
        let product = graph.constant(c_value * d);
        return Some(graph.mul(x, product));
    }
    // Equal factors gather: (y x) x = y (x x), so that the next two are one square more.
    for (product, x) in [(a, b), (b, a)] {
        if let Node::Apply(Op::Mul, [p, q, _]) = graph.node(product)
            && p != q
            && (p == x || q == x)
        {
            let square = graph.mul(x, x);
            return Some(graph.mul(if p == x { q } else { p }, square));
        }
    }
    if let Some(x) = negated(graph, a) {
        if let Some(c) = known[1] {
            let minus = graph.constant(-c);
            return Some(graph.mul(x, minus));
        }
        let product = graph.mul(x, b);
        return Some(graph.neg(product));
    }
    if let Some(x) = negated(graph, b) {
        let product = graph.mul(a, x);
        return Some(graph.neg(product));
    }
    (b < a && known[1].is_none()).then(|| graph.mul(b, a))
}

fn div(graph: &mut Graph, a: Value, b: Value, known: &[Option<f64>]) -> Option<Value> {
    match (known[0], known[1]) {
        (Some(0.0), _) => return Some(graph.constant(0.0)),
        (_, Some(c)) if (1.0 / c).is_normal() => {
            let inverse = graph.constant(1.0 / c);
            return Some(graph.mul(a, inverse));
        }
        (Some(1.0), None) => return Some(graph.apply(Op::Recip, &[b])),
        _ => {}
    }
    if let Some(x) = negated(graph, a) {
        let quotient = graph.div(x, b);
        return Some(graph.neg(quotient));
    }
    if let Some(x) = negated(graph, b) {
        let quotient = graph.div(a, x);
        return Some(graph.neg(quotient));
    }
    // x / y / z = x / (y z): a division costs more than a product.
    if let Node::Apply(Op::Div, [x, y, _]) = graph.node(a) {
        let divisor = graph.mul(y, b);
        return Some(graph.div(x, divisor));
    }
    None
}
