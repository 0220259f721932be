//! Products with the step, in the order in which the step meets a number first: `h (c x)` as `(h c) x`, and `h c/x` as one division. What is made of
//! the step and numbers alone is a number itself wherever the step is known.

use crate::ops::Op;

use super::share::{needed, rebuilt};
use super::{Graph, Map, Node, Value};

/// The same values with the step beside the numbers of products. What is used elsewhere, too, stays as it is.
pub fn step_first(graph: &mut Graph, step: Value, roots: &[Value]) -> Vec<Value> {
    let all = needed(graph, roots);
    let uses = uses_of(graph, &all, roots);
    let once = |v: &Value| uses.get(v) == Some(&1);
    // The graph keeps a product's number last: it is written past its rules here.
    let roots = rebuilt(graph, all, roots, |graph, op, args| {
        let (Op::Mul, &[a, b]) = (op, args) else {
            return None;
        };
        let (number, other) = [(a, b), (b, a)].into_iter().find_map(|(outer, inner)| {
            let found = number_and_other(graph, step, outer, inner);
            found.filter(|_| once(&inner))
        })?;
        let known = product_as_it_is(graph, step, number);
        Some(product_as_it_is(graph, known, other))
    });
    let all = needed(graph, &roots);
    let uses = uses_of(graph, &all, &roots);
    rebuilt(graph, all, &roots, |graph, op, args| {
        let (Op::Mul, &[a, b]) = (op, args) else {
            return None;
        };
        let is_known = |graph: &Graph, v: Value| match graph.node(v) {
            Node::Apply(Op::Mul, [x, c, _]) => x == step && graph.as_constant(c).is_some(),
            _ => v == step,
        };
        [(a, b), (b, a)].into_iter().find_map(|(known, other)| {
            let Node::Apply(Op::Recip, [by, ..]) = graph.node(other) else {
                return None;
            };
            let divides = is_known(graph, known) && uses.get(&other) == Some(&1);
            divides.then(|| graph.intern(Node::Apply(Op::Div, [known, by, Value::NONE])))
        })
    })
}

/// Of `h (x c)` or `(h x) c`, the inner product second, the number and `x`.
fn number_and_other(
    graph: &Graph,
    step: Value,
    outer: Value,
    inner: Value,
) -> Option<(Value, Value)> {
    let Node::Apply(Op::Mul, [x, y, _]) = graph.node(inner) else {
        return None;
    };
    let is_number = |v: Value| graph.as_constant(v).is_some();
    let (first, other) = if y == step || is_number(y) {
        (y, x)
    } else {
        (x, y)
    };
    if outer == step && is_number(first) {
        Some((first, other))
    } else if is_number(outer) && first == step {
        Some((outer, other))
    } else {
        None
    }
}

fn product_as_it_is(graph: &mut Graph, a: Value, b: Value) -> Value {
    graph.intern(Node::Apply(Op::Mul, [a, b, Value::NONE]))
}

/// How often each is an argument or a root.
fn uses_of(graph: &Graph, all: &[Value], roots: &[Value]) -> Map<Value, u32> {
    let mut uses = Map::default();
    for &v in all {
        for &a in graph.node(v).args() {
            *uses.entry(a).or_insert(0) += 1;
        }
    }
    for &root in roots {
        *uses.entry(root).or_insert(0) += 1;
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Algebra;
    use crate::program::{Style, program};

    #[test]
    fn the_step_meets_numbers_first_and_takes_a_reciprocal_up() {
        let mut g = Graph::new(Style::Simplified);
        let [h, x, y] = [0, 1, 2].map(|k| g.input(k));
        let c = g.constant(0.07);
        let by = g.add(x, y);
        let (cx, over) = (g.mul(c, x), g.apply(Op::Recip, &[by]));
        let over = g.mul(over, c);
        let [first, second] = [cx, over].map(|v| g.mul(h, v));
        let roots = step_first(&mut g, h, &[first, second]);
        let hc = |g: &Graph, v: Value| match g.node(v) {
            Node::Apply(Op::Mul, [a, b, _]) => a == h && b == c,
            _ => false,
        };
        assert!(matches!(g.node(roots[0]), Node::Apply(Op::Mul, [a, b, _]) if hc(&g, a) && b == x));
        assert!(
            matches!(g.node(roots[1]), Node::Apply(Op::Div, [a, b, _]) if hc(&g, a) && b == by)
        );
        // One number of the step for both.
        let n_ops = program(&g, &roots).n_ops();
        assert_eq!(n_ops, 4);
    }

    #[test]
    fn what_others_need_is_not_computed_twice() {
        let mut g = Graph::new(Style::Simplified);
        let [h, x] = [0, 1].map(|k| g.input(k));
        let c = g.constant(0.07);
        let over = g.apply(Op::Recip, &[x]);
        let hx = g.mul(h, x);
        let roots = [hx, g.mul(hx, c), over, g.mul(h, over)];
        assert_eq!(step_first(&mut g, h, &roots), roots);
    }
}
