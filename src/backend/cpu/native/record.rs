//! From a program to primitives: the bodies of the ops are run once on numbers that write down what is done to them.
//!
//! So no op is spelled a second time. [`Traced`] is a real number like `f32` or `f64` as far as a body can see; each of its methods adds a
//! primitive to the block that is being recorded on this thread and returns its place.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Shl, Shr, Sub};

use crate::ops::{
    Real, eval, exp_double, exp_single, ln_double, ln_single, scaled_in_halves, shifter,
};
use crate::program::{Node, Program};

use super::primitive::{Block, Code, Function, Id, Relation};

/// What is recorded on a thread.
struct Recording {
    block: Block,
    conditions: Vec<Condition>,
    /// Whether the machine has `Code::Scale`.
    scales: bool,
}

thread_local! {
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
}

fn with<R>(act: impl FnOnce(&mut Recording) -> R) -> R {
    RECORDING.with_borrow_mut(|r| {
        act(r
            .as_mut()
            .expect("a traced number is used while a program is recorded"))
    })
}

fn push(code: Code, args: &[Id]) -> Id {
    with(|r| r.block.push(code, args))
}

/// A condition: comparisons, and what is made of them. None is ever a value; choices are made by comparisons alone.
#[derive(Clone, Copy)]
enum Condition {
    Holds(Relation, [Id; 2]),
    Not(Truth),
    And(Truth, Truth),
    Or(Truth, Truth),
}

/// A condition, by its place.
#[derive(Clone, Copy)]
struct Truth(usize);

fn condition(condition: Condition) -> Truth {
    with(|r| {
        r.conditions.push(condition);
        Truth(r.conditions.len() - 1)
    })
}

impl Not for Truth {
    type Output = Self;
    fn not(self) -> Self {
        condition(Condition::Not(self))
    }
}

impl BitAnd for Truth {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        condition(Condition::And(self, other))
    }
}

impl BitOr for Truth {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        condition(Condition::Or(self, other))
    }
}

impl Recording {
    fn choose(&mut self, truth: Truth, negated: bool, yes: Id, no: Id) -> Id {
        match (self.conditions[truth.0], negated) {
            (Condition::Holds(relation, args), _) => {
                self.block.choose(relation, negated, args, yes, no)
            }
            (Condition::Not(inner), _) => self.choose(inner, !negated, yes, no),
            (Condition::And(a, b), false) => {
                let second = self.choose(b, false, yes, no);
                self.choose(a, false, second, no)
            }
            (Condition::Or(a, b), false) => {
                let second = self.choose(b, false, yes, no);
                self.choose(a, false, yes, second)
            }
            (Condition::And(..) | Condition::Or(..), true) => self.choose(truth, false, no, yes),
        }
    }
}

/// A number that writes down what is done to it, in place of a `T`.
struct Traced<T>(Id, PhantomData<T>);

/// The bits of such a number.
struct Word<T>(Id, PhantomData<T>);

macro_rules! handle {
    ($name:ident: $($trait:ident $method:ident $code:expr;)*) => {
        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<T> Copy for $name<T> {}
        impl<T> $name<T> {
            fn new(id: Id) -> Self {
                $name(id, PhantomData)
            }
        }
        $(impl<T> $trait for $name<T> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                Self::new(push($code, &[self.0, other.0]))
            }
        })*
    };
}

handle! { Traced: Add add Code::Add; Sub sub Code::Sub; Mul mul Code::Mul; Div div Code::Div; }
handle! { Word: Add add Code::WordAdd; Sub sub Code::WordSub; }

impl<T> Neg for Traced<T> {
    type Output = Self;
    fn neg(self) -> Self {
        Self::new(with(|r| r.block.negate(self.0)))
    }
}

impl<T> Shl<usize> for Word<T> {
    type Output = Self;
    fn shl(self, by: usize) -> Self {
        Self::new(push(Code::ShiftLeft(by as u8), &[self.0]))
    }
}

impl<T> Shr<usize> for Word<T> {
    type Output = Self;
    fn shr(self, by: usize) -> Self {
        Self::new(push(Code::ShiftRight(by as u8), &[self.0]))
    }
}

macro_rules! traced {
    ($t:ty, $bits:ty, $exp:ident, $ln:ident) => {
        impl Real for Traced<$t> {
            type Truth = Truth;
            type Word = Word<$t>;
            const PRECISION: &'static str = <$t as Real>::PRECISION;
            const FRACTION_BITS: usize = <$t as Real>::FRACTION_BITS;
            const BIAS: u64 = <$t as Real>::BIAS;

            fn of(x: f64) -> Self {
                let bits = <$t as Real>::of(x).to_bits();
                Self::new(with(|r| r.block.constant(bits.into())))
            }
            fn fma(self, b: Self, c: Self) -> Self {
                Self::new(with(|r| r.block.fma(self.0, b.0, c.0)))
            }
            fn abs(self) -> Self {
                let mask = with(|r| r.block.constant(r.block.sign() - 1));
                Self::new(push(Code::And, &[self.0, mask]))
            }
            fn sqrt(self) -> Self {
                Self::new(push(Code::Sqrt, &[self.0]))
            }
            fn floor(self) -> Self {
                Self::new(push(Code::Floor, &[self.0]))
            }
            fn ceil(self) -> Self {
                Self::new(push(Code::Ceil, &[self.0]))
            }
            fn exp(self) -> Self {
                $exp(self)
            }
            fn ln(self) -> Self {
                $ln(self)
            }
            fn pow(self, exponent: Self) -> Self {
                Self::new(with(|r| r.block.call(Function::Power, self.0, exponent.0)))
            }
            fn via_f64(self, f: fn(f64) -> f64) -> Self {
                Self::new(with(|r| r.block.call(Function::One(f), self.0, self.0)))
            }
            fn choose(truth: Truth, yes: Self, no: Self) -> Self {
                Self::new(with(|r| r.choose(truth, false, yes.0, no.0)))
            }
            fn below(self, other: Self) -> Truth {
                condition(Condition::Holds(Relation::Below, [self.0, other.0]))
            }
            fn at_most(self, other: Self) -> Truth {
                condition(Condition::Holds(Relation::AtMost, [self.0, other.0]))
            }
            fn equals(self, other: Self) -> Truth {
                condition(Condition::Holds(Relation::Equal, [self.0, other.0]))
            }
            fn is_nan(self) -> Truth {
                condition(Condition::Holds(Relation::Unordered, [self.0; 2]))
            }
            fn from_word(word: Self::Word) -> Self {
                Self::new(word.0)
            }
            fn to_word(self) -> Self::Word {
                Word::new(self.0)
            }
            fn word(bits: u64) -> Self::Word {
                Word::new(with(|r| r.block.constant((bits as $bits).into())))
            }
            fn scaled(self, shifted: Self) -> Self {
                if with(|r| r.scales) {
                    let power = shifted - Self::of(shifter::<Self>());
                    Self::new(push(Code::Scale, &[self.0, power.0]))
                } else {
                    scaled_in_halves(self, shifted)
                }
            }
        }
    };
}

traced!(f32, u32, exp_single, ln_single);
traced!(f64, u64, exp_double, ln_double);

/// The program in primitives: inputs are rows, output `k` is row `n_inputs + k`. `scales` says whether the machine has [`Code::Scale`].
pub(super) fn record(program: &Program, n_inputs: usize, double: bool, scales: bool) -> Block {
    if double {
        nodes::<f64>(program, n_inputs, double, scales)
    } else {
        nodes::<f32>(program, n_inputs, double, scales)
    }
}

fn nodes<T>(program: &Program, n_inputs: usize, double: bool, scales: bool) -> Block
where
    Traced<T>: Real,
{
    RECORDING.set(Some(Recording {
        block: Block::new(double),
        conditions: Vec::new(),
        scales,
    }));
    let mut values: Vec<Traced<T>> = Vec::with_capacity(program.nodes.len());
    for node in &program.nodes {
        values.push(match *node {
            Node::Constant(bits) => Traced::of(f64::from_bits(bits)),
            Node::Input(row) => Traced::new(push(Code::Input { row, part: 0 }, &[])),
            Node::Apply(op, args) => {
                // Arguments beyond the arity are ignored; the first stands there.
                let at = |k: usize| values[args[if k < op.arity() { k } else { 0 }].index()];
                eval(op, at(0), at(1), at(2))
            }
        });
    }
    let outputs = program.outputs.iter().enumerate();
    let outputs = outputs
        .map(|(k, output)| (values[output.index()].0, (n_inputs + k) as u32, 0))
        .collect();
    let mut block = RECORDING.take().expect("set above").block;
    block.outputs = outputs;
    block
}
