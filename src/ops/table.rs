//! The table of operations. To add one, add a row: nothing else names ops one by one, except the two files of WGSL functions
//! (`shaders/maths_*.wgsl`), for a row whose WGSL calls one that is not there yet.

use super::Real;
use super::lane::{bounded_exp, bounded_exp2, horner, mean_exp};

/// How the unit of a result follows from the units of the arguments. An argument without a unit fits anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitRule {
    /// All arguments have one unit, which is the result's.
    Same,
    /// The product of the units.
    Product,
    /// The quotient of the units.
    Quotient,
    /// Every argument is dimensionless, and so is the result.
    Dimensionless,
    /// The base's unit to the power of the exponent, which is dimensionless.
    Power,
    /// The square root of the unit.
    Root,
    /// All arguments have one unit; the result is a truth value.
    Comparison,
    /// Truth values in, a truth value out.
    Logic,
    /// Made by the compiler after units were checked.
    Internal,
}

/// What a derivative is written with: expressions built from constants and ops, whatever they are kept in.
pub trait Algebra {
    /// A handle to an expression.
    type Value: Copy + PartialEq;
    /// A constant.
    fn constant(&mut self, value: f64) -> Self::Value;
    /// `op` applied to its arguments.
    fn apply(&mut self, op: Op, args: &[Self::Value]) -> Self::Value;

    /// `a + b`
    fn add(&mut self, a: Self::Value, b: Self::Value) -> Self::Value {
        self.apply(Op::Add, &[a, b])
    }
    /// `a - b`
    fn sub(&mut self, a: Self::Value, b: Self::Value) -> Self::Value {
        self.apply(Op::Sub, &[a, b])
    }
    /// `a * b`
    fn mul(&mut self, a: Self::Value, b: Self::Value) -> Self::Value {
        self.apply(Op::Mul, &[a, b])
    }
    /// `a / b`
    fn div(&mut self, a: Self::Value, b: Self::Value) -> Self::Value {
        self.apply(Op::Div, &[a, b])
    }
    /// `-a`
    fn neg(&mut self, a: Self::Value) -> Self::Value {
        self.apply(Op::Neg, &[a])
    }
}

macro_rules! count {
    () => { 0usize };
    ($head:ident $($tail:ident)*) => { 1usize + count!($($tail)*) };
}

macro_rules! arity_kind {
    ($m:ident, $op:ident, $a:ident) => { $m!(@unary $op) };
    ($m:ident, $op:ident, $a:ident, $b:ident) => { $m!(@binary $op) };
    ($m:ident, $op:ident, $a:ident, $b:ident, $c:ident) => { $m!(@ternary $op) };
}
pub(crate) use arity_kind;

macro_rules! ops {
    ($(
        $(#[doc = $doc:expr])*
        $name:ident($($arg:ident),+) {
            mmt $mmt:expr, units $units:ident,
            wgsl $wgsl:literal,
            eval $eval:expr,
            diff |$g:ident $(, $d:ident)*| [$($partial:expr),+ $(,)?] $(,)?
        }
    )*) => {
        /// An operation on numbers. The variants' documentation is the definition.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Op { $( $(#[doc = $doc])* $name ),* }

        impl Op {
            /// Every op, in the table's order.
            pub const ALL: &'static [Op] = &[$(Op::$name),*];

            /// The op's name in this crate.
            pub const fn name(self) -> &'static str { match self { $(Op::$name => stringify!($name)),* } }

            /// The function's name in a model; `None` for operators and for ops that only the compiler makes.
            pub const fn mmt_name(self) -> Option<&'static str> { match self { $(Op::$name => $mmt),* } }

            /// Number of arguments, 1 to 3.
            pub const fn arity(self) -> usize { match self { $(Op::$name => count!($($arg)+)),* } }

            /// How units pass through.
            pub const fn unit_rule(self) -> UnitRule { match self { $(Op::$name => UnitRule::$units),* } }

            /// The op as a GPU program writes it: an expression in WGSL over the names or literals in `args`, of type `Real`. Those that
            /// are no operators or built-in functions of WGSL are in `shaders/maths_f32.wgsl` and `shaders/maths_f64.wgsl`.
            pub fn wgsl(self, args: &[&str]) -> String { fill(match self { $(Op::$name => $wgsl),* }, args) }

            /// The derivatives of `self(args) = value` by each argument, written in `algebra`.
            pub fn partials<A: Algebra>(self, algebra: &mut A, args: &[A::Value], value: A::Value) -> Vec<A::Value> {
                match self { $(Op::$name => {
                    let [$($arg),+] = *args else { unreachable!("arity is checked when an op is applied") };
                    let $g = algebra;
                    $(let $d = value;)*
                    $(let _ = $arg;)+
                    vec![$($partial),+]
                }),* }
            }
        }

        /// The value of `op`; arguments beyond its arity are ignored. Inlined with a constant `op`, this is the op's body alone.
        #[inline(always)]
        pub fn eval<L: Real>(op: Op, a: L, b: L, c: L) -> L {
            match op { $(Op::$name => {
                let body = $eval;
                apply_body!(body, a, b, c; $($arg),+)
            }),* }
        }

        /// Expands `$callback!(@unary Op)`, `@binary` or `@ternary` for the op held by `$op`: one arm per row.
        macro_rules! match_op {
            ($op:expr, $callback:ident) => { match $op { $( $crate::ops::Op::$name => $crate::ops::arity_kind!($callback, $name, $($arg),+) ),* } };
        }
        pub(crate) use match_op;
    };
}

macro_rules! apply_body {
    ($body:ident, $x:ident, $y:ident, $z:ident; $a:ident) => {
        $body($x)
    };
    ($body:ident, $x:ident, $y:ident, $z:ident; $a:ident, $b:ident) => {
        $body($x, $y)
    };
    ($body:ident, $x:ident, $y:ident, $z:ident; $a:ident, $b:ident, $c:ident) => {
        $body($x, $y, $z)
    };
}

/// The form with `{a}`, `{b}` and `{c}` replaced by the arguments.
fn fill(form: &str, args: &[&str]) -> String {
    let mut text = String::new();
    let mut rest = form;
    while let Some((before, place)) = rest.split_once('{') {
        let (name, after) = place.split_once('}').expect("a placeholder ends");
        let k = "abc".find(name).expect("a placeholder is a, b or c");
        text.push_str(before);
        text.push_str(args[k]);
        rest = after;
    }
    text + rest
}

/// Below which size of its argument [`Op::Bernoulli`] is a series; elsewhere it is the quotient. Exact in single precision.
pub(crate) const BERNOULLI_NEAR: f64 = 0.5;

#[inline(always)]
fn truth<L: Real>(condition: L::Truth) -> L {
    L::choose(condition, L::of(1.0), L::of(0.0))
}

#[inline(always)]
fn zero<L: Real>() -> L {
    L::of(0.0)
}

ops! {
    /// `-a`
    Neg(a) { mmt None, units Same, wgsl "(-({a}))", eval |x: L| -x, diff |g| [g.constant(-1.0)] }
    /// `a + b`
    Add(a, b) { mmt None, units Same, wgsl "({a} + {b})", eval |x: L, y: L| x + y, diff |g| [g.constant(1.0), g.constant(1.0)] }
    /// `a - b`
    Sub(a, b) { mmt None, units Same, wgsl "({a} - {b})", eval |x: L, y: L| x - y, diff |g| [g.constant(1.0), g.constant(-1.0)] }
    /// `a b`
    Mul(a, b) { mmt None, units Product, wgsl "({a} * {b})", eval |x: L, y: L| x * y, diff |_g| [b, a] }
    /// `a / b`
    Div(a, b) { mmt None, units Quotient, wgsl "({a} / {b})", eval |x: L, y: L| x / y, diff |g, v| [
        { let one = g.constant(1.0); g.div(one, b) },
        { let q = g.div(v, b); g.neg(q) },
    ] }
    /// `1 / a`; only the compiler makes it.
    Recip(a) { mmt None, units Internal, wgsl "(Real(1) / {a})", eval |x: L| L::of(1.0) / x, diff |g, v| [{ let s = g.mul(v, v); g.neg(s) }] }
    /// `a b + c`, rounded once; only the compiler makes it.
    Fma(a, b, c) { mmt None, units Internal, wgsl "fma({a}, {b}, {c})", eval |x: L, y: L, z: L| x.fma(y, z), diff |g| [b, a, g.constant(1.0)] }
    /// `a b - c`, rounded once; only the compiler makes it.
    Fms(a, b, c) { mmt None, units Internal, wgsl "fma({a}, {b}, -({c}))", eval |x: L, y: L, z: L| x.fma(y, -z), diff |g| [b, a, g.constant(-1.0)] }
    /// `c - a b`, rounded once; only the compiler makes it.
    Fnma(a, b, c) { mmt None, units Internal, wgsl "fma(-({a}), {b}, {c})", eval |x: L, y: L, z: L| (-x).fma(y, z), diff |g| [g.neg(b), g.neg(a), g.constant(1.0)] }
    /// `a // b`: the quotient rounded towards minus infinity.
    Quotient(a, b) { mmt None, units Quotient, wgsl "quotient({a}, {b})", eval |x: L, y: L| (x / y).floor(), diff |g| [g.constant(0.0), g.constant(0.0)] }
    /// `a % b`: `a - b (a // b)`, so that the sign is the divisor's.
    Remainder(a, b) { mmt None, units Same, wgsl "remainder({a}, {b})", eval |x: L, y: L| x - y * (x / y).floor(), diff |g| [
        g.constant(1.0),
        { let q = g.apply(Op::Quotient, &[a, b]); g.neg(q) },
    ] }
    /// `a ^ b`. Whole-number exponents are lowered to products before this is reached.
    Pow(a, b) { mmt None, units Power, wgsl "pow_real({a}, {b})", eval |x: L, y: L| x.pow(y), diff |g, v| [
        { let one = g.constant(1.0); let e = g.sub(b, one); let p = g.apply(Op::Pow, &[a, e]); g.mul(b, p) },
        // 0^b is flat in b for b > 0: the logarithm is not asked at and below 0.
        { let nil = g.constant(0.0); let one = g.constant(1.0); let positive = g.apply(Op::Lt, &[nil, a]);
          let safe = g.apply(Op::Select, &[positive, a, one]); let l = g.apply(Op::Log, &[safe]); g.mul(v, l) },
    ] }
    /// Square root.
    Sqrt(a) { mmt Some("sqrt"), units Root, wgsl "sqrt({a})", eval |x: L| x.sqrt(), diff |g, v| [{ let half = g.constant(0.5); g.div(half, v) }] }
    /// Sine of an angle in radians.
    Sin(a) { mmt Some("sin"), units Dimensionless, wgsl "sin_real({a})", eval |x: L| x.via_f64(f64::sin), diff |g| [g.apply(Op::Cos, &[a])] }
    /// Cosine of an angle in radians.
    Cos(a) { mmt Some("cos"), units Dimensionless, wgsl "cos_real({a})", eval |x: L| x.via_f64(f64::cos), diff |g| [{ let s = g.apply(Op::Sin, &[a]); g.neg(s) }] }
    /// Tangent of an angle in radians.
    Tan(a) { mmt Some("tan"), units Dimensionless, wgsl "tan_real({a})", eval |x: L| x.via_f64(f64::tan), diff |g, v| [{ let one = g.constant(1.0); let s = g.mul(v, v); g.add(one, s) }] }
    /// Arc sine in radians.
    Asin(a) { mmt Some("asin"), units Dimensionless, wgsl "asin_real({a})", eval |x: L| x.via_f64(f64::asin), diff |g| [{
        let one = g.constant(1.0); let s = g.mul(a, a); let r = g.sub(one, s); let r = g.apply(Op::Sqrt, &[r]); g.div(one, r) }] }
    /// Arc cosine in radians.
    Acos(a) { mmt Some("acos"), units Dimensionless, wgsl "acos_real({a})", eval |x: L| x.via_f64(f64::acos), diff |g| [{
        let one = g.constant(1.0); let s = g.mul(a, a); let r = g.sub(one, s); let r = g.apply(Op::Sqrt, &[r]); let q = g.div(one, r); g.neg(q) }] }
    /// Arc tangent in radians.
    Atan(a) { mmt Some("atan"), units Dimensionless, wgsl "atan_real({a})", eval |x: L| x.via_f64(f64::atan), diff |g| [{
        let one = g.constant(1.0); let s = g.mul(a, a); let r = g.add(one, s); g.div(one, r) }] }
    /// Natural exponential.
    Exp(a) { mmt Some("exp"), units Dimensionless, wgsl "exp_real({a})", eval |x: L| x.exp(), diff |_g, v| [v] }
    /// `exp(a)`, but neither infinite nor 0: `a` counts as 80 at most and -80 at least in single, as 690 and -690 in double precision. Only the
    /// compiler makes it, after derivatives are taken. The slope of a Boltzmann curve `1/(1 + exp(u))` is `-exp(u)/(1 + exp(u))²`, which far
    /// out would be infinity over infinity; values of 5e34 and 2e-35 are as good as infinity and 0 for it, and no model's own.
    BoundedExp(a) { mmt None, units Internal, wgsl "bounded_exp({a})", eval |x: L| bounded_exp(x), diff |_g, v| [v] }
    /// `2^a`, but neither infinite nor 0: `a` counts as 115 at most and -115 at least in single, as 995 and -995 in double precision. Only the
    /// compiler makes it, for exponentials whose argument is a sum of known multiples: the logarithm of 2 goes into these.
    BoundedExp2(a) { mmt None, units Internal, wgsl "bounded_exp2({a})", eval |x: L| bounded_exp2(x), diff |g, v| [{
        let ln2 = g.constant(std::f64::consts::LN_2); g.mul(v, ln2) }] }
    /// The mean of the exponential between 0 and `a`: `(exp(a) - 1)/a`, which is 1 at `a = 0` and smooth. What a gate moves by in a step, over
    /// the step and its rate. `a` is bounded as above; only the compiler makes it.
    MeanExp(a) { mmt None, units Internal, wgsl "mean_exp({a})", eval |x: L| mean_exp(x), diff |g, v| [{
        // One over the op below, whose slope is known.
        let one = g.constant(1.0); let b = g.div(one, v); let s = g.apply(Op::BernoulliSlope, &[a, b]);
        let q = g.mul(v, v); let p = g.mul(s, q); g.neg(p)
    }] }
    /// Natural logarithm. With two arguments a model means the logarithm of the first to the base of the second, which is lowered to a quotient.
    Log(a) { mmt Some("log"), units Dimensionless, wgsl "log_real({a})", eval |x: L| x.ln(), diff |g| [{ let one = g.constant(1.0); g.div(one, a) }] }
    /// Decimal logarithm.
    Log10(a) { mmt Some("log10"), units Dimensionless, wgsl "log10_real({a})", eval |x: L| x.ln() * L::of(std::f64::consts::LOG10_E), diff |g| [{
        let c = g.constant(std::f64::consts::LOG10_E); g.div(c, a) }] }
    /// Rounds towards minus infinity.
    Floor(a) { mmt Some("floor"), units Same, wgsl "floor({a})", eval |x: L| x.floor(), diff |g| [g.constant(0.0)] }
    /// Rounds towards plus infinity.
    Ceil(a) { mmt Some("ceil"), units Same, wgsl "ceil({a})", eval |x: L| x.ceil(), diff |g| [g.constant(0.0)] }
    /// Absolute value.
    Abs(a) { mmt Some("abs"), units Same, wgsl "abs({a})", eval |x: L| x.abs(), diff |g| [{
        let nil = g.constant(0.0); let below = g.apply(Op::Lt, &[a, nil]); let m = g.constant(-1.0); let p = g.constant(1.0);
        g.apply(Op::Select, &[below, m, p]) }] }
    /// The smaller one; only the compiler makes it. A NaN in either argument is kept.
    Min(a, b) { mmt None, units Internal, wgsl "min_kept({a}, {b})", eval |x: L, y: L| L::choose(x.is_nan(), x, L::choose(x.below(y), x, y)), diff |g| [
        { let c = g.apply(Op::Lt, &[b, a]); let nil = g.constant(0.0); let one = g.constant(1.0); g.apply(Op::Select, &[c, nil, one]) },
        { let c = g.apply(Op::Lt, &[b, a]); let nil = g.constant(0.0); let one = g.constant(1.0); g.apply(Op::Select, &[c, one, nil]) },
    ] }
    /// The larger one; only the compiler makes it. A NaN in either argument is kept.
    Max(a, b) { mmt None, units Internal, wgsl "max_kept({a}, {b})", eval |x: L, y: L| L::choose(x.is_nan(), x, L::choose(y.below(x), x, y)), diff |g| [
        { let c = g.apply(Op::Lt, &[a, b]); let nil = g.constant(0.0); let one = g.constant(1.0); g.apply(Op::Select, &[c, nil, one]) },
        { let c = g.apply(Op::Lt, &[a, b]); let nil = g.constant(0.0); let one = g.constant(1.0); g.apply(Op::Select, &[c, one, nil]) },
    ] }
    /// `a == b`
    Eq(a, b) { mmt None, units Comparison, wgsl "select(Real(0), Real(1), {a} == {b})", eval |x: L, y: L| truth::<L>(x.equals(y)), diff |g| [g.constant(0.0), g.constant(0.0)] }
    /// `a != b`
    Ne(a, b) { mmt None, units Comparison, wgsl "select(Real(1), Real(0), {a} == {b})", eval |x: L, y: L| truth::<L>(!x.equals(y)), diff |g| [g.constant(0.0), g.constant(0.0)] }
    /// `a < b`
    Lt(a, b) { mmt None, units Comparison, wgsl "select(Real(0), Real(1), {a} < {b})", eval |x: L, y: L| truth::<L>(x.below(y)), diff |g| [g.constant(0.0), g.constant(0.0)] }
    /// `a <= b`
    Le(a, b) { mmt None, units Comparison, wgsl "select(Real(0), Real(1), {a} <= {b})", eval |x: L, y: L| truth::<L>(x.at_most(y)), diff |g| [g.constant(0.0), g.constant(0.0)] }
    /// `a > b`
    Gt(a, b) { mmt None, units Comparison, wgsl "select(Real(0), Real(1), {a} > {b})", eval |x: L, y: L| truth::<L>(y.below(x)), diff |g| [g.constant(0.0), g.constant(0.0)] }
    /// `a >= b`
    Ge(a, b) { mmt None, units Comparison, wgsl "select(Real(0), Real(1), {a} >= {b})", eval |x: L, y: L| truth::<L>(y.at_most(x)), diff |g| [g.constant(0.0), g.constant(0.0)] }
    /// True where both are.
    And(a, b) { mmt None, units Logic, wgsl "select(Real(1), Real(0), ({a} == Real(0)) | ({b} == Real(0)))", eval |x: L, y: L| truth::<L>(!x.equals(zero()) & !y.equals(zero())), diff |g| [g.constant(0.0), g.constant(0.0)] }
    /// True where either is.
    Or(a, b) { mmt None, units Logic, wgsl "select(Real(1), Real(0), ({a} == Real(0)) & ({b} == Real(0)))", eval |x: L, y: L| truth::<L>(!x.equals(zero()) | !y.equals(zero())), diff |g| [g.constant(0.0), g.constant(0.0)] }
    /// True where the argument is not.
    Not(a) { mmt None, units Logic, wgsl "select(Real(0), Real(1), {a} == Real(0))", eval |x: L| truth::<L>(x.equals(zero())), diff |g| [g.constant(0.0)] }
    /// `b` where `a` is true, else `c`. Both are computed.
    Select(a, b, c) { mmt None, units Internal, wgsl "select({b}, {c}, {a} == Real(0))", eval |x: L, y: L, z: L| L::choose(!x.equals(zero()), y, z), diff |g| [
        g.constant(0.0),
        { let one = g.constant(1.0); let nil = g.constant(0.0); g.apply(Op::Select, &[a, one, nil]) },
        { let one = g.constant(1.0); let nil = g.constant(0.0); g.apply(Op::Select, &[a, nil, one]) },
    ] }
    /// `u / (e - 1)` for `e = exp(u)`, which is 1 at `u = 0` and smooth: the factor of every constant-field current and of
    /// the rates of Hodgkin and Huxley. The exponential is an argument so that it is shared with the rest of the formula.
    /// Below |u| = 0.5 a series: u/(exp(u)-1) = 1 - u/2 + u²/12 - u⁴/720 + … (Bernoulli numbers), truncation below 6e-18 (4e-9 in single precision).
    /// The derivative counts `e` as a function of `u`.
    Bernoulli(u, e) { mmt None, units Internal, wgsl "bernoulli({a}, {b})", eval |u: L, e: L| {
        let z = u * u;
        let even = if L::PRECISION == "f32" {
            horner(z, [1.0, 1.0 / 12.0, -1.0 / 720.0, 1.0 / 30_240.0])
        } else {
            horner(z, [1.0, 1.0 / 12.0, -1.0 / 720.0, 1.0 / 30_240.0, -1.0 / 1_209_600.0, 1.0 / 47_900_160.0, -691.0 / 1_307_674_368_000.0, 1.0 / 74_724_249_600.0])
        };
        let near = u.fma(L::of(-0.5), even);
        // e = infinity must give 0, and does.
        L::choose(u.abs().below(L::of(BERNOULLI_NEAR)), near, u / (e - L::of(1.0)))
    }, diff |g, v| [g.apply(Op::BernoulliSlope, &[u, v]), g.constant(0.0)] }
    /// The derivative of `b = u/(exp(u)-1)` by `u`: `b (1-b)/u - b`, and its series below |u| = 0.5.
    BernoulliSlope(u, b) { mmt None, units Internal, wgsl "bernoulli_slope({a}, {b})", eval |u: L, b: L| {
        let z = u * u;
        let odd = if L::PRECISION == "f32" {
            horner(z, [1.0 / 6.0, -1.0 / 180.0, 1.0 / 5_040.0, -1.0 / 151_200.0])
        } else {
            horner(z, [1.0 / 6.0, -1.0 / 180.0, 1.0 / 5_040.0, -1.0 / 151_200.0, 1.0 / 4_790_016.0, -691.0 / 108_972_864_000.0, 1.0 / 5_337_446_400.0])
        };
        let near = u.fma(odd, L::of(-0.5));
        L::choose(u.abs().below(L::of(0.5)), near, b * ((L::of(1.0) - b) / u - L::of(1.0)))
    }, diff |g, v| [{
        // ((1-2b) b' - b(1-b)/u)/u - b' away from 0, and 1/6 - u²/60 + u⁴/1008 near it.
        let one = g.constant(1.0); let half = g.constant(0.5);
        let bb = g.sub(one, b); let bb = g.mul(b, bb);
        let near_zero = { let a = g.apply(Op::Abs, &[u]); g.apply(Op::Lt, &[a, half]) };
        let safe = g.apply(Op::Select, &[near_zero, one, u]);
        let q = g.div(bb, safe);
        let t = { let two = g.constant(2.0); let t = g.mul(two, b); let t = g.sub(one, t); g.mul(t, v) };
        let far = { let n = g.sub(t, q); let n = g.div(n, safe); g.sub(n, v) };
        let z = g.mul(u, u);
        let near = { let c0 = g.constant(1.0 / 6.0); let c1 = g.constant(-1.0 / 60.0); let c2 = g.constant(1.0 / 1008.0);
            let s = g.mul(z, c2); let s = g.add(s, c1); let s = g.mul(s, z); g.add(s, c0) };
        g.apply(Op::Select, &[near_zero, near, far])
    }, g.constant(0.0)] }
}
