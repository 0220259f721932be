//! From a function's name in a model to its op.

use super::Op;

impl Op {
    /// The op that a model calls by this function name; `None` for operators and for ops that only the compiler makes.
    pub fn from_mmt_name(name: &str) -> Option<Op> {
        Op::ALL
            .iter()
            .copied()
            .find(|op| op.mmt_name() == Some(name))
    }
}
