//! What a vector processor does in one instruction or two, and programs in these terms.
//!
//! A [`Block`] is a list of primitives, each of which names earlier ones; equal primitives are shared while it grows. Every primitive is
//! exact in IEEE terms, so a block computes the bits that the ops' bodies compute, in any order that respects the arguments.

use std::hash::{Hash, Hasher};

use crate::program::Map;

/// A primitive's place in its block.
pub(super) type Id = u32;

/// No argument.
pub(super) const NONE: Id = u32::MAX;

/// A comparison; false for a NaN, but for `Unordered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Relation {
    Equal,
    Below,
    AtMost,
    Unordered,
}

/// What is computed of the arguments `a`, `b`, `c` and `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Code {
    /// An input row, of one of the vectors of a tile.
    Input {
        row: u32,
        part: u32,
    },
    /// A number, by its bits in the precision of the block.
    Constant(u64),
    Add,
    Sub,
    Mul,
    Div,
    /// `a < b ? a : b`
    Min,
    /// `a > b ? a : b`
    Max,
    /// The bits of both.
    And,
    /// The bits of either.
    Xor,
    /// `±(a b) ± c`, rounded once.
    Fma {
        minus_product: bool,
        minus_addend: bool,
    },
    Sqrt,
    Floor,
    Ceil,
    /// `a · 2^b`, rounded once; `b` is a whole number.
    Scale,
    /// `c` where `a` and `b` stand in the relation, else `d`.
    Choose(Relation),
    /// Sum of the bits as whole numbers.
    WordAdd,
    /// Difference of the bits as whole numbers.
    WordSub,
    /// Bits moved to the left.
    ShiftLeft(u8),
    /// Bits moved to the right, zeros behind them.
    ShiftRight(u8),
    /// A function of Rust, by its number in the block, of one or two arguments.
    Call(u32),
}

impl Code {
    /// Number of arguments.
    pub fn arity(self) -> usize {
        match self {
            Code::Input { .. } | Code::Constant(_) => 0,
            Code::Sqrt | Code::Floor | Code::Ceil | Code::ShiftLeft(_) | Code::ShiftRight(_) => 1,
            Code::Add
            | Code::Sub
            | Code::Mul
            | Code::Div
            | Code::Min
            | Code::Max
            | Code::And
            | Code::Xor
            | Code::Scale
            | Code::WordAdd
            | Code::WordSub
            | Code::Call(_) => 2,
            Code::Fma { .. } => 3,
            Code::Choose(_) => 4,
        }
    }

    /// Whether the first two arguments can change places.
    pub fn commutes(self) -> bool {
        matches!(
            self,
            Code::Add | Code::Mul | Code::And | Code::Xor | Code::WordAdd | Code::Fma { .. }
        )
    }

    /// Whether it stands in memory from the start.
    pub fn is_given(self) -> bool {
        matches!(self, Code::Input { .. } | Code::Constant(_))
    }

    /// Cycles from the arguments to the result on a present core.
    pub fn latency(self, double: bool) -> u32 {
        match self {
            Code::Input { .. } | Code::Constant(_) => 0,
            Code::And | Code::Xor | Code::WordAdd | Code::WordSub => 1,
            Code::ShiftLeft(_) | Code::ShiftRight(_) => 1,
            Code::Add | Code::Sub | Code::Mul | Code::Min | Code::Max | Code::Fma { .. } => 4,
            Code::Scale => 4,
            Code::Choose(_) => 5,
            Code::Floor | Code::Ceil => 8,
            Code::Div | Code::Sqrt => {
                if double {
                    24
                } else {
                    18
                }
            }
            Code::Call(_) => 100,
        }
    }
}

/// A function of Rust that a block calls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Function {
    /// Of a double; the second argument is not used.
    One(fn(f64) -> f64),
    /// The power of two doubles.
    Power,
}

/// One primitive and its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Primitive {
    pub code: Code,
    pub args: [Id; 4],
}

/// Three words for each: they are looked up some ten thousand times while a large program is compiled.
impl Hash for Primitive {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.code.hash(state);
        let [a, b, c, d] = self.args.map(u64::from);
        state.write_u64(a << 32 | b);
        state.write_u64(c << 32 | d);
    }
}

impl Primitive {
    /// The arguments that there are.
    pub fn args(&self) -> &[Id] {
        &self.args[..self.code.arity()]
    }
}

/// Straight-line arithmetic over vectors.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub list: Vec<Primitive>,
    pub functions: Vec<Function>,
    /// For each output row of each vector of a tile: the result, the row, the vector's number.
    pub outputs: Vec<(Id, u32, u32)>,
    /// Where one pass after another is made: rows of outputs, each with the row of the input that it is to the next pass.
    pub carried: Vec<[u32; 2]>,
    /// Rows of outputs that are taken up, each with the row of the input: the input stands where the pass before has left the output, and a pass
    /// puts it into its own row before it writes the output.
    pub taken_up: Vec<[u32; 2]>,
    /// Precision.
    pub double: bool,
    known: Map<Primitive, Id>,
}

impl Block {
    /// An empty block in single or double precision.
    pub fn new(double: bool) -> Self {
        Block {
            double,
            ..Block::default()
        }
    }

    /// Says which outputs are taken up as inputs; all of these are read then, if only to be put into their rows.
    pub fn take_up(&mut self, rows: impl Iterator<Item = [u32; 2]>) {
        self.taken_up = rows.collect();
        for k in 0..self.taken_up.len() {
            let row = self.taken_up[k][1];
            self.push(Code::Input { row, part: 0 }, &[]);
        }
    }

    /// Outputs that are a number, taken out of the list: their rows and the number. Not those that the next pass reads, and not this row.
    pub fn take_fixed_outputs(&mut self, but: u32) -> Vec<(u32, f64)> {
        let mut fixed = Vec::new();
        let mut outputs = std::mem::take(&mut self.outputs);
        outputs.retain(|&(id, row, _)| match self.at(id).code {
            Code::Constant(bits) if row != but && self.carried.iter().all(|c| c[0] != row) => {
                fixed.push((row, self.number(bits)));
                false
            }
            _ => true,
        });
        self.outputs = outputs;
        fixed
    }

    /// The sign bit.
    pub fn sign(&self) -> u64 {
        if self.double { 1 << 63 } else { 1 << 31 }
    }

    /// The number 1.
    fn one(&self) -> u64 {
        if self.double {
            1.0f64.to_bits()
        } else {
            u64::from(1.0f32.to_bits())
        }
    }

    /// A constant by its bits.
    pub fn constant(&mut self, bits: u64) -> Id {
        self.share(Code::Constant(bits), [NONE; 4])
    }

    fn share(&mut self, code: Code, args: [Id; 4]) -> Id {
        let primitive = Primitive { code, args };
        let list = &mut self.list;
        *self.known.entry(primitive).or_insert_with(|| {
            list.push(primitive);
            list.len() as Id - 1
        })
    }

    fn at(&self, id: Id) -> Primitive {
        self.list[id as usize]
    }

    /// The value whose sign is changed by this one.
    fn negated(&self, id: Id) -> Option<Id> {
        let Primitive { code, args } = self.at(id);
        let by_sign = code == Code::Xor && self.at(args[1]).code == Code::Constant(self.sign());
        by_sign.then_some(args[0])
    }

    /// Adds a primitive, in the cheapest form that has the same bits.
    pub fn push(&mut self, code: Code, args: &[Id]) -> Id {
        let mut padded = [NONE; 4];
        padded[..args.len()].copy_from_slice(args);
        match code {
            Code::Add | Code::WordAdd => padded[..2].sort_unstable(),
            Code::Mul => {
                padded[..2].sort_unstable();
                if let [Code::Constant(a), Code::Constant(b)] =
                    [0, 1].map(|k| self.at(padded[k]).code)
                {
                    return self.constant(self.product(a, b));
                }
                if let Some(opposite) = self.opposite_product(padded) {
                    return self.negate(opposite);
                }
            }
            // The smaller of two limits holds for both: the inner result is at most it, or NaN.
            Code::Min => {
                let inner = self.at(args[1]);
                if let (Code::Constant(outer), Code::Min) = (self.at(args[0]).code, inner.code)
                    && let Code::Constant(limit) = self.at(inner.args[0]).code
                    && self.number(limit) <= self.number(outer)
                {
                    return args[1];
                }
            }
            _ => {}
        }
        self.share(code, padded)
    }

    /// A product by a constant that is there by the negative of that constant.
    fn opposite_product(&self, args: [Id; 4]) -> Option<Id> {
        let of_constant = |k: usize| match self.at(args[k]).code {
            Code::Constant(bits) => Some((args[1 - k], bits)),
            _ => None,
        };
        let (factor, bits) = of_constant(0).or_else(|| of_constant(1))?;
        let at = |code: Code, args: [Id; 4]| self.known.get(&Primitive { code, args }).copied();
        let negative = at(Code::Constant(bits ^ self.sign()), [NONE; 4])?;
        let pair = [factor.min(negative), factor.max(negative), NONE, NONE];
        at(Code::Mul, pair)
    }

    /// The bits of the product of two numbers, rounded as the processor does.
    fn product(&self, a: u64, b: u64) -> u64 {
        if self.double {
            (f64::from_bits(a) * f64::from_bits(b)).to_bits()
        } else {
            u64::from((f32::from_bits(a as u32) * f32::from_bits(b as u32)).to_bits())
        }
    }

    fn number(&self, bits: u64) -> f64 {
        if self.double {
            f64::from_bits(bits)
        } else {
            f64::from(f32::from_bits(bits as u32))
        }
    }

    /// `-a`
    pub fn negate(&mut self, a: Id) -> Id {
        if let Some(inner) = self.negated(a) {
            return inner;
        }
        let sign = self.sign();
        if let Code::Constant(bits) = self.at(a).code {
            return self.constant(bits ^ sign);
        }
        let sign = self.constant(sign);
        self.push(Code::Xor, &[a, sign])
    }

    /// `a b + c`; signs of arguments become signs of the instruction.
    pub fn fma(&mut self, a: Id, b: Id, c: Id) -> Id {
        let (mut minus_product, mut minus_addend) = (false, false);
        let plain = |id: Id, minus: &mut bool| match self.negated(id) {
            Some(inner) => {
                *minus = !*minus;
                inner
            }
            None => id,
        };
        let a = plain(a, &mut minus_product);
        let b = plain(b, &mut minus_product);
        let c = plain(c, &mut minus_addend);
        let code = Code::Fma {
            minus_product,
            minus_addend,
        };
        self.push(code, &[a.min(b), a.max(b), c])
    }

    /// `yes` where `a` and `b` stand in the relation, else `no`.
    pub fn choose(
        &mut self,
        relation: Relation,
        negated: bool,
        [a, b]: [Id; 2],
        yes: Id,
        no: Id,
    ) -> Id {
        if yes == no {
            return yes;
        }
        // A constant is a number.
        if let (Relation::Unordered, Code::Constant(bits)) = (relation, self.at(a).code)
            && !self.number(bits).is_nan()
        {
            return if negated { yes } else { no };
        }
        // A truth value that is compared with 0 is the comparison that it came from.
        let (nil, one) = (Code::Constant(0), Code::Constant(self.one()));
        if relation == Relation::Equal
            && self.at(b).code == nil
            && let Primitive {
                code: Code::Choose(relation),
                args,
            } = self.at(a)
            && self.at(args[2]).code == one
            && self.at(args[3]).code == nil
        {
            return self.choose(relation, !negated, [args[0], args[1]], yes, no);
        }
        match (relation, negated) {
            (_, true) => self.choose(relation, false, [a, b], no, yes),
            (Relation::Below, _) if [a, b] == [yes, no] => self.push(Code::Min, &[a, b]),
            (Relation::Below, _) if [a, b] == [no, yes] => self.push(Code::Max, &[b, a]),
            _ => self.push(Code::Choose(relation), &[a, b, yes, no]),
        }
    }

    /// A call of a function; never shared, the program has shared it.
    pub fn call(&mut self, function: Function, a: Id, b: Id) -> Id {
        self.functions.push(function);
        let code = Code::Call(self.functions.len() as u32 - 1);
        self.push(code, &[a, b])
    }

    /// The same arithmetic on `parts` vectors of a tile, in turn, primitive by primitive: they wait for nothing of each other.
    pub fn repeated(&self, parts: u32) -> Block {
        let mut block = Block::new(self.double);
        block.functions.clone_from(&self.functions);
        block.carried.clone_from(&self.carried);
        block.taken_up.clone_from(&self.taken_up);
        let mut place = vec![Vec::with_capacity(self.list.len()); parts as usize];
        for primitive in &self.list {
            for (part, place) in (0..parts).zip(&mut place) {
                let code = match primitive.code {
                    Code::Input { row, .. } => Code::Input { row, part },
                    other => other,
                };
                let args = primitive.args.map(|a| match a {
                    NONE => NONE,
                    a => place[a as usize],
                });
                place.push(block.share(code, args));
            }
        }
        for (part, place) in (0..parts).zip(&place) {
            let outputs = self.outputs.iter();
            block
                .outputs
                .extend(outputs.map(|&(id, row, _)| (place[id as usize], row, part)));
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_by_opposite_numbers_are_one_and_a_sign() {
        for double in [false, true] {
            let mut block = Block::new(double);
            let bits = |x: f64| {
                if double {
                    x.to_bits()
                } else {
                    u64::from((x as f32).to_bits())
                }
            };
            let [a, b] = [0, 1].map(|row| block.push(Code::Input { row, part: 0 }, &[]));
            let [plus, minus] = [0.3, -0.3].map(|x| block.constant(bits(x)));
            let product = block.push(Code::Mul, &[a, plus]);
            let opposite = block.push(Code::Mul, &[minus, a]);
            assert_eq!(block.negated(opposite), Some(product));
            // As an argument of a fused product it is that one with another sign.
            let fused = block.fma(opposite, b, a);
            assert!(block.at(fused).args().contains(&product));
            // Of another factor it is a product of its own.
            let other = block.push(Code::Mul, &[b, minus]);
            assert_eq!(block.negated(other), None);
        }
    }
}
