//! Which values of a program have a sign that is known, whatever its inputs are.

use crate::ops::Op;

use super::{Node, Program};

/// For each node its sign bit, where the node is that or no number: `true` where it is never positive. `inputs` says it of the inputs. The second
/// argument of a Bernoulli function has to be the exponential of the first.
pub(crate) fn signs(
    program: &Program,
    inputs: impl Fn(usize) -> Option<bool>,
) -> Vec<Option<bool>> {
    let mut known: Vec<Option<bool>> = Vec::with_capacity(program.nodes.len());
    for node in &program.nodes {
        known.push(match *node {
            Node::Input(row) => inputs(row as usize),
            Node::Constant(bits) => Some(f64::from_bits(bits).is_sign_negative()),
            Node::Apply(op, args) => {
                let at = |k: usize| known[args[k].index()];
                let product = || Some(at(0)? != at(1)?);
                let opposite = |sign: Option<bool>| Some(!sign?);
                // A sum has the sign that both sides have.
                let both = |a: Option<bool>, b: Option<bool>| if a == b { a } else { None };
                match op {
                    // `u/(exp(u) - 1)` is positive on both sides of 0, and so is `(exp(x) - 1)/x`.
                    Op::Exp | Op::BoundedExp | Op::BoundedExp2 | Op::MeanExp | Op::Bernoulli => {
                        Some(false)
                    }
                    Op::Abs => Some(false),
                    Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge => Some(false),
                    Op::And | Op::Or | Op::Not => Some(false),
                    Op::Mul | Op::Div if args[0] == args[1] => Some(false),
                    Op::Mul | Op::Div => product(),
                    Op::Recip | Op::Sqrt | Op::Floor | Op::Ceil => at(0),
                    Op::Neg => opposite(at(0)),
                    Op::Add | Op::Min | Op::Max => both(at(0), at(1)),
                    Op::Sub => both(at(0), opposite(at(1))),
                    Op::Fma => both(product(), at(2)),
                    Op::Fms => both(product(), opposite(at(2))),
                    Op::Fnma => both(opposite(product()), at(2)),
                    Op::Select => both(at(1), at(2)),
                    _ => None,
                }
            }
        });
    }
    known
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::ops::eval;
    use crate::program::Value;

    /// A program of any ops; a Bernoulli function gets the exponential of its argument.
    fn any_program(random: &mut SmallRng) -> Program {
        let mut nodes: Vec<Node> = (0..4).map(Node::Input).collect();
        nodes.extend([-0.5f64, 0.0, 2.0].map(|c| Node::Constant(c.to_bits())));
        for _ in 0..60 {
            let mut any = || Value(random.random_range(0..nodes.len()) as u32);
            let mut args = [any(), any(), any()];
            let op = Op::ALL[random.random_range(0..Op::ALL.len())];
            if op == Op::Bernoulli {
                nodes.push(Node::Apply(Op::Exp, [args[0], Value::NONE, Value::NONE]));
                args[1] = Value(nodes.len() as u32 - 1);
            }
            args[op.arity()..].fill(Value::NONE);
            nodes.push(Node::Apply(op, args));
        }
        Program {
            nodes,
            outputs: Vec::new(),
        }
    }

    #[test]
    fn what_is_said_of_signs_holds() {
        let mut random = SmallRng::seed_from_u64(17);
        let (mut n_known, mut n_all) = ([0; 2], 0);
        for _ in 0..1000 {
            let program = any_program(&mut random);
            let known = signs(&program, |row| (row % 2 == 0).then_some(row == 2));
            n_all += known.len();
            for sign in known.iter().flatten() {
                n_known[usize::from(*sign)] += 1;
            }
            for _ in 0..20 {
                let mut values: Vec<f64> = Vec::new();
                for (node, known) in program.nodes.iter().zip(&known) {
                    let value = match *node {
                        Node::Input(0) => random.random_range(0.0..9.0),
                        Node::Input(2) => -random.random_range(0.0..9.0),
                        Node::Input(_) => random.random_range(-9.0..9.0),
                        Node::Constant(bits) => f64::from_bits(bits),
                        Node::Apply(op, args) => {
                            let at = |k: usize| values.get(args[k].index()).copied();
                            let [a, b, c] = [0, 1, 2].map(|k| at(k).unwrap_or_default());
                            eval(op, a, b, c)
                        }
                    };
                    let fits = |sign: bool| value.is_nan() || value.is_sign_negative() == sign;
                    assert!(known.is_none_or(fits), "{node:?} {value}");
                    values.push(value);
                }
            }
        }
        assert!(
            n_known.iter().all(|&n| n > n_all / 20),
            "{n_known:?} of {n_all}"
        );
    }
}
