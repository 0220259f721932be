//! Runs a [`Tape`] over lanes: every instruction is a loop over a row, which the compiler turns into SIMD.
//!
//! The loops are compiled once for each instruction set and the best one that the machine has is chosen at run time. Every
//! op is exact in IEEE terms or built from such, and nothing is fused or reassociated behind our back, so the bits of a
//! lane are the same on every width.

use crate::ops::{Lane, Op, eval, match_op};

use super::tape::{Instruction, Kind, Tape};

/// The instruction set that the loops run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simd {
    /// 512-bit vectors (x86-64).
    Avx512,
    /// 256-bit vectors with fused multiply-add (x86-64).
    Avx2,
    /// 128-bit vectors (aarch64).
    Neon,
    /// What the target guarantees.
    Baseline,
}

impl Simd {
    /// The best that this machine has.
    pub fn best() -> Self {
        Self::available()
            .into_iter()
            .next()
            .unwrap_or(Simd::Baseline)
    }

    /// All that this machine can run, best first.
    pub fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let fma = is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2");
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl");
            if fma && wide {
                sets.push(Simd::Avx512);
            }
            if fma {
                sets.push(Simd::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        sets.push(Simd::Neon);
        sets.push(Simd::Baseline);
        sets
    }

    /// As shown to users.
    pub fn name(self) -> &'static str {
        match self {
            Simd::Avx512 => "AVX-512",
            Simd::Avx2 => "AVX2",
            Simd::Neon => "NEON",
            Simd::Baseline => "baseline",
        }
    }
}

/// Runs the tape over rows of `lanes` values each. `rows` holds `tape.n_rows * lanes` values, row after row.
///
/// # Panics
/// If `rows` is too short for the tape.
pub(super) fn run<T: Lane>(simd: Simd, tape: &Tape<T>, rows: &mut [T], lanes: usize) {
    assert!(
        rows.len() >= tape.n_rows * lanes,
        "rows are shorter than the tape needs"
    );
    match simd {
        // SAFETY: `Simd` values other than the baseline are made by `available` alone, after the features were found.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { run_avx512(&tape.code, rows, lanes) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { run_avx2(&tape.code, rows, lanes) },
        _ => run_here(&tape.code, rows, lanes),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
fn run_avx512<T: Lane>(code: &[Instruction<T>], rows: &mut [T], lanes: usize) {
    run_here(code, rows, lanes);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<T: Lane>(code: &[Instruction<T>], rows: &mut [T], lanes: usize) {
    run_here(code, rows, lanes);
}

#[inline(always)]
fn run_here<T: Lane>(code: &[Instruction<T>], rows: &mut [T], lanes: usize) {
    let file = File {
        base: rows.as_mut_ptr(),
        len: rows.len(),
        lanes,
    };
    for i in code {
        match i.kind {
            Kind::Copy => unary(&file, i, |x| x),
            Kind::Fill => {
                let number = i.numbers[0];
                file.target(i).fill(number);
            }
            Kind::Apply => {
                macro_rules! kernel {
                    (@unary $op:ident) => {
                        unary(&file, i, |x| eval(Op::$op, x, x, x))
                    };
                    (@binary $op:ident) => {
                        binary(&file, i, |x, y| eval(Op::$op, x, y, y))
                    };
                    (@ternary $op:ident) => {
                        ternary(&file, i, |x, y, z| eval(Op::$op, x, y, z))
                    };
                }
                match_op!(i.op, kernel)
            }
        }
    }
}

/// The rows, handed out as slices: one to write, others to read.
struct File<T> {
    base: *mut T,
    len: usize,
    lanes: usize,
}

impl<T: Lane> File<T> {
    /// The row that an instruction reads for an argument.
    #[inline(always)]
    fn row(&self, i: &Instruction<T>, argument: usize) -> &[T] {
        let start = i.rows[argument] as usize * self.lanes;
        assert!(start + self.lanes <= self.len);
        // SAFETY: the range is inside the allocation (asserted), which the caller of `run_here` has exclusive use of.
        // The only mutable slice alive beside it is `target`'s, of another row: a tape never writes a row that it reads
        // in the same instruction (`Tape::new` frees an argument's row after the target is allotted; tested in `tests`).
        unsafe { std::slice::from_raw_parts(self.base.add(start), self.lanes) }
    }

    /// The row that an instruction writes.
    #[inline(always)]
    #[expect(
        clippy::mut_from_ref,
        reason = "rows are disjoint; see the argument in the body"
    )]
    fn target(&self, i: &Instruction<T>) -> &mut [T] {
        let start = i.target as usize * self.lanes;
        assert!(start + self.lanes <= self.len);
        // SAFETY: as for `row`; one target is taken per instruction.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(start), self.lanes) }
    }
}

#[inline(always)]
fn unary<T: Lane>(file: &File<T>, i: &Instruction<T>, f: impl Fn(T) -> T) {
    map1(file.target(i), file.row(i, 0), f);
}

#[inline(always)]
fn binary<T: Lane>(file: &File<T>, i: &Instruction<T>, f: impl Fn(T, T) -> T) {
    let [a, b, _] = i.numbers;
    match i.constants {
        0b00 => map2(file.target(i), file.row(i, 0), file.row(i, 1), f),
        0b01 => map1(file.target(i), file.row(i, 1), |y| f(a, y)),
        _ => map1(file.target(i), file.row(i, 0), |x| f(x, b)),
    }
}

#[inline(always)]
fn ternary<T: Lane>(file: &File<T>, i: &Instruction<T>, f: impl Fn(T, T, T) -> T) {
    let [a, b, c] = i.numbers;
    let row = |k| file.row(i, k);
    match i.constants {
        0b000 => map3(file.target(i), row(0), row(1), row(2), f),
        0b001 => map2(file.target(i), row(1), row(2), |y, z| f(a, y, z)),
        0b010 => map2(file.target(i), row(0), row(2), |x, z| f(x, b, z)),
        0b100 => map2(file.target(i), row(0), row(1), |x, y| f(x, y, c)),
        0b011 => map1(file.target(i), row(2), |z| f(a, b, z)),
        0b101 => map1(file.target(i), row(1), |y| f(a, y, c)),
        _ => map1(file.target(i), row(0), |x| f(x, b, c)),
    }
}

#[inline(always)]
fn map1<T: Lane>(target: &mut [T], a: &[T], f: impl Fn(T) -> T) {
    for (t, &x) in target.iter_mut().zip(a) {
        *t = f(x);
    }
}

#[inline(always)]
fn map2<T: Lane>(target: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    for ((t, &x), &y) in target.iter_mut().zip(a).zip(b) {
        *t = f(x, y);
    }
}

#[inline(always)]
fn map3<T: Lane>(target: &mut [T], a: &[T], b: &[T], c: &[T], f: impl Fn(T, T, T) -> T) {
    for (((t, &x), &y), &z) in target.iter_mut().zip(a).zip(b).zip(c) {
        *t = f(x, y, z);
    }
}
