//! Which values of a program cannot be negative, whatever its inputs are.

use crate::ops::Op;

use super::{Node, Program};

/// For each node whether its value is a number from 0 on, and not -0, or no number. `inputs` says it of the inputs.
pub(crate) fn never_negative(program: &Program, inputs: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut known: Vec<bool> = Vec::with_capacity(program.nodes.len());
    for node in &program.nodes {
        known.push(match *node {
            Node::Input(row) => inputs(row as usize),
            Node::Constant(bits) => f64::from_bits(bits).is_sign_positive(),
            Node::Apply(op, args) => {
                let all = || node.args().iter().all(|a| known[a.index()]);
                match op {
                    // `u/(exp(u) - 1)` is positive on both sides of 0, and so is `(exp(x) - 1)/x`; the second argument of the first is the exponential.
                    Op::Exp | Op::BoundedExp | Op::MeanExp | Op::Bernoulli => true,
                    Op::Abs => true,
                    Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::And | Op::Or => true,
                    Op::Not => true,
                    Op::Mul if args[0] == args[1] => true,
                    Op::Add | Op::Mul | Op::Div | Op::Recip | Op::Fma | Op::Sqrt => all(),
                    Op::Min | Op::Max | Op::Floor | Op::Ceil => all(),
                    Op::Select => known[args[1].index()] && known[args[2].index()],
                    _ => false,
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
    fn what_is_said_never_to_be_negative_never_is() {
        let mut random = SmallRng::seed_from_u64(17);
        let (mut n_known, mut n_all) = (0, 0);
        for _ in 0..1000 {
            let program = any_program(&mut random);
            let known = never_negative(&program, |row| row % 2 == 0);
            n_all += known.len();
            n_known += known.iter().filter(|&&known| known).count();
            for _ in 0..20 {
                let mut values: Vec<f64> = Vec::new();
                for (node, known) in program.nodes.iter().zip(&known) {
                    let value = match *node {
                        Node::Input(row) if row % 2 == 0 => random.random_range(0.0..9.0),
                        Node::Input(_) => random.random_range(-9.0..9.0),
                        Node::Constant(bits) => f64::from_bits(bits),
                        Node::Apply(op, args) => {
                            let at = |k: usize| values.get(args[k].index()).copied();
                            let [a, b, c] = [0, 1, 2].map(|k| at(k).unwrap_or_default());
                            eval(op, a, b, c)
                        }
                    };
                    assert!(
                        !known || value.is_nan() || value.is_sign_positive(),
                        "{node:?} {value}"
                    );
                    values.push(value);
                }
            }
        }
        assert!(n_known > n_all / 5, "{n_known} of {n_all}");
    }
}
