//! Steps as machine code of aarch64: NEON.
//!
//! The code is a function `f(rows, numbers, slots, n_tiles, far, most)` of the procedure call standard for the Arm 64-bit architecture: a sequence
//! of pieces, each of which is run for every tile before the next one is; each tile has slots of its own. Where passes follow one another
//! ([`super::Walk`]) it goes on until a lane asks to be looked at or `most` passes have followed the first, and gives how many have. Encodings: Arm
//! Architecture Reference Manual for A-profile, chapter C7 (vectors) and C6 (the rest).
//!
//! Arithmetic reads registers alone, and a fused multiply-add overwrites its addend. What compares gives all bits or none, in a register.

use super::allocate::{Allocated, CALL_SLOTS, Operand, Place, Register, Step};
use super::frame::Frame;
use super::primitive::{Code, Relation};
use super::set::Set;

/// Results of comparisons; no value is ever in it.
const MASK: Register = 31;

/// General registers in which the function keeps what it needs: they survive calls.
const ROWS: u32 = 19;
const NUMBERS: u32 = 20;
const SLOTS: u32 = 21;
const LEFT: u32 = 22;
const FIRST_ROWS: u32 = 23;
const FIRST_SLOTS: u32 = 24;
const TILES: u32 = 25;
const BEFORE: u32 = 26;
const AFTER: u32 = 27;
/// Scratch between instructions.
const SCRATCH: u32 = 16;
const OTHER: u32 = 17;
/// Register 31 is one or the other.
const STACK: u32 = 31;
const ZERO: u32 = 31;

/// Bytes of the frame: the link, x19 to x28, d8 to d15, what is kept.
const FRAME: u32 = 192;

/// What the code keeps in its frame, by the distance from the stack pointer, which calls leave where it is.
mod kept {
    pub const BEFORE: u32 = 160;
    pub const AFTER: u32 = 168;
    /// Passes that may follow the first.
    pub const MOST: u32 = 176;
    /// Passes that have followed it.
    pub const TAKEN: u32 = 184;
}

/// Instructions by their bits for vectors of single precision; bit 22 makes them those of double precision.
mod op {
    pub const ADD: u32 = 0x4e20_d400;
    pub const SUB: u32 = 0x4ea0_d400;
    pub const MUL: u32 = 0x6e20_dc00;
    pub const DIV: u32 = 0x6e20_fc00;
    pub const MULTIPLY_ADD: u32 = 0x4e20_cc00;
    pub const MULTIPLY_SUBTRACT: u32 = 0x4ea0_cc00;
    pub const WORD_ADD: u32 = 0x4ea0_8400;
    pub const WORD_SUB: u32 = 0x6ea0_8400;
    pub const EQUAL: u32 = 0x4e20_e400;
    pub const AT_LEAST: u32 = 0x6e20_e400;
    pub const ABOVE: u32 = 0x6ea0_e400;
    pub const SQRT: u32 = 0x6ea1_f800;
    pub const NEGATE: u32 = 0x6ea0_f800;
    pub const FLOOR: u32 = 0x4e21_9800;
    pub const CEIL: u32 = 0x4ea1_8800;
    /// Of all bits alike, in either precision.
    pub const AND: u32 = 0x4e20_1c00;
    pub const XOR: u32 = 0x6e20_1c00;
    pub const OR: u32 = 0x4ea0_1c00;
    /// Where the target's bits are set those of the first, else of the second.
    pub const SELECT: u32 = 0x6e60_1c00;
    /// The first's bits where those of the second are set.
    pub const INSERT_IF: u32 = 0x6ea0_1c00;
    /// The first's bits where those of the second are not set.
    pub const INSERT_IF_NOT: u32 = 0x6ee0_1c00;
    pub const SHIFT_LEFT: u32 = 0x4f00_5400;
    pub const SHIFT_RIGHT: u32 = 0x6f00_0400;
}

struct Assembler {
    double: bool,
    row_bytes: usize,
    code: Vec<u32>,
}

/// Machine code for the steps. `functions` are, for each call, the address of the function that applies a function of Rust to the vector in
/// the first two slots, and what is handed to it.
pub(super) fn assemble(
    allocated: &Allocated,
    double: bool,
    frame: Frame,
    functions: &[[u64; 2]],
) -> Vec<u8> {
    let mut a = Assembler {
        double,
        row_bytes: frame.row,
        code: Vec::with_capacity(allocated.steps.len() * 2 + 96),
    };
    // stp x29, x30, [sp, -FRAME]!
    a.emit(0xa980_0000 | pair(-(FRAME as i32), 29, 30, STACK));
    for k in 0..5 {
        a.emit(0xa900_0000 | pair(16 + 16 * k, 19 + 2 * k as u32, 20 + 2 * k as u32, STACK));
    }
    for k in 0..4 {
        a.emit(0x6d00_0000 | pair(96 + 16 * k, 8 + 2 * k as u32, 9 + 2 * k as u32, STACK));
    }
    for (to, from) in [(FIRST_ROWS, 0), (NUMBERS, 1), (FIRST_SLOTS, 2), (TILES, 3)] {
        a.copy(to, from);
    }
    for (from, to) in [
        (0, kept::BEFORE),
        (4, kept::AFTER),
        (5, kept::MOST),
        (ZERO, kept::TAKEN),
    ] {
        a.keep(from, to);
    }
    let pass = a.code.len();
    for piece in allocated.steps.split(|s| *s == Step::Border) {
        for (to, from) in [(ROWS, FIRST_ROWS), (SLOTS, FIRST_SLOTS), (LEFT, TILES)] {
            a.copy(to, from);
        }
        let mut moving = vec![(ROWS, frame.tile), (SLOTS, frame.slots)];
        if frame.asks.is_some() {
            for (to, from) in [(BEFORE, kept::BEFORE), (AFTER, kept::AFTER)] {
                a.kept(to, from);
                moving.push((to, frame.tile));
            }
        }
        let start = a.code.len();
        for step in piece {
            a.step(step, functions);
        }
        for (register, by) in moving {
            a.advance(register, by);
        }
        a.until_no_tile_is_left(start);
    }
    if let Some(asks) = frame.asks {
        // The bits of all lanes in one register.
        for (to, from) in [(ROWS, FIRST_ROWS), (LEFT, TILES), (OTHER, ZERO)] {
            a.copy(to, from);
        }
        a.advance(ROWS, asks * frame.row);
        let start = a.code.len();
        for offset in (0..frame.row as u32).step_by(8) {
            // ldr scratch, [rows, offset]; orr other, other, scratch
            a.emit(0xf940_0000 | (offset / 8) << 10 | ROWS << 5 | SCRATCH);
            a.emit(0xaa00_0000 | SCRATCH << 16 | OTHER << 5 | OTHER);
        }
        a.advance(ROWS, frame.tile);
        a.until_no_tile_is_left(start);
        // cbnz other, end
        let somebody_asks = a.code.len();
        a.emit(0xb500_0000 | OTHER);
        a.kept(SCRATCH, kept::TAKEN);
        a.kept(OTHER, kept::MOST);
        // cmp scratch, other; b.ge end
        a.emit(0xeb00_0000 | OTHER << 16 | SCRATCH << 5 | ZERO);
        let enough = a.code.len();
        a.emit(0x5400_000a);
        // add scratch, scratch, 1
        a.emit(0x9100_0400 | SCRATCH << 5 | SCRATCH);
        a.keep(SCRATCH, kept::TAKEN);
        a.kept(SCRATCH, kept::BEFORE);
        a.kept(OTHER, kept::AFTER);
        a.keep(OTHER, kept::BEFORE);
        a.keep(SCRATCH, kept::AFTER);
        // b pass
        let back = pass as i64 - a.code.len() as i64;
        a.emit(0x1400_0000 | back as u32 & 0x3ff_ffff);
        for from in [somebody_asks, enough] {
            a.code[from] |= ((a.code.len() - from) as u32 & 0x7_ffff) << 5;
        }
    }
    a.kept(0, kept::TAKEN);
    for k in 0..5 {
        a.emit(0xa940_0000 | pair(16 + 16 * k, 19 + 2 * k as u32, 20 + 2 * k as u32, STACK));
    }
    for k in 0..4 {
        a.emit(0x6d40_0000 | pair(96 + 16 * k, 8 + 2 * k as u32, 9 + 2 * k as u32, STACK));
    }
    // ldp x29, x30, [sp], FRAME; ret
    a.emit(0xa8c0_0000 | pair(FRAME as i32, 29, 30, STACK));
    a.emit(0xd65f_03c0);
    a.code.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Fields of an instruction that moves two registers of 8 bytes.
fn pair(offset: i32, first: u32, second: u32, base: u32) -> u32 {
    ((offset / 8) as u32 & 0x7f) << 15 | second << 10 | base << 5 | first
}

/// The register of an operand: a step of this machine has none in memory.
fn register(operand: Operand) -> Register {
    match operand {
        Operand::Register(r) => r,
        Operand::Memory(place) => unreachable!("{place:?} is read by an instruction of its own"),
    }
}

impl Assembler {
    fn emit(&mut self, word: u32) {
        self.code.push(word);
    }

    /// Copies a general register.
    fn copy(&mut self, to: u32, from: u32) {
        self.emit(0xaa00_03e0 | from << 16 | to);
    }

    /// Writes a general register to the stack.
    fn keep(&mut self, register: u32, place: u32) {
        self.emit(0xf900_0000 | (place / 8) << 10 | STACK << 5 | register);
    }

    /// Reads what was written there.
    fn kept(&mut self, register: u32, place: u32) {
        self.emit(0xf940_0000 | (place / 8) << 10 | STACK << 5 | register);
    }

    /// Adds a number to a general register.
    fn advance(&mut self, register: u32, by: usize) {
        self.number(SCRATCH, by as u64);
        // add register, register, scratch
        self.emit(0x8b00_0000 | SCRATCH << 16 | register << 5 | register);
    }

    /// Counts a tile off, and goes back to `start` if there is another.
    fn until_no_tile_is_left(&mut self, start: usize) {
        // subs left, left, 1; b.ne start
        self.emit(0xf100_0400 | LEFT << 5 | LEFT);
        let back = start as i64 - self.code.len() as i64;
        self.emit(0x5400_0001 | (back as u32 & 0x7_ffff) << 5);
    }

    /// A whole number into a general register.
    fn number(&mut self, to: u32, number: u64) {
        let part = |k: u32| (number >> (16 * k)) as u32 & 0xffff;
        self.emit(0xd280_0000 | part(0) << 5 | to);
        for k in 1..4 {
            if part(k) != 0 {
                self.emit(0xf280_0000 | k << 21 | part(k) << 5 | to);
            }
        }
    }

    fn memory(&mut self, place: Place, register: Register, is_store: bool) {
        let vector = Set::Neon.vector_bytes();
        let in_tile = |row: u32, part: u32| row as usize * self.row_bytes + part as usize * vector;
        let (base, offset) = match place {
            Place::Row { row, part } => (ROWS, in_tile(row, part)),
            Place::Before { row, part } => (BEFORE, in_tile(row, part)),
            Place::After { row, part } => (AFTER, in_tile(row, part)),
            Place::Number(k) => (NUMBERS, k as usize * vector),
            Place::Slot(k) => (SLOTS, k as usize * vector),
        };
        let rest = base << 5 | u32::from(register);
        match u32::try_from(offset / vector) {
            Ok(unit) if unit < 4096 => {
                let op = if is_store { 0x3d80_0000 } else { 0x3dc0_0000 };
                self.emit(op | unit << 10 | rest);
            }
            _ => {
                self.number(SCRATCH, offset as u64);
                let op = if is_store { 0x3ca0_6800 } else { 0x3ce0_6800 };
                self.emit(op | SCRATCH << 16 | rest);
            }
        }
    }

    /// An instruction in the precision of the code.
    fn sized(&self, op: u32) -> u32 {
        op | u32::from(self.double) << 22
    }

    fn three(&mut self, op: u32, to: Register, a: Register, b: Register) {
        self.emit(op | u32::from(b) << 16 | u32::from(a) << 5 | u32::from(to));
    }

    fn two(&mut self, op: u32, to: Register, a: Register) {
        self.emit(op | u32::from(a) << 5 | u32::from(to));
    }

    /// `yes` where the mask is set, else `no`; the mask is lost.
    fn blend(&mut self, to: Register, yes: Register, no: Register) {
        if to == no {
            self.three(op::INSERT_IF, to, yes, MASK);
        } else if to == yes {
            self.three(op::INSERT_IF_NOT, to, no, MASK);
        } else {
            self.three(op::SELECT, MASK, yes, no);
            self.three(op::OR, to, MASK, MASK);
        }
    }

    fn step(&mut self, step: &Step, functions: &[[u64; 2]]) {
        match *step {
            Step::Load(to, place) => self.memory(place, to, false),
            Step::Store(place, from) => self.memory(place, from, true),
            Step::Move(to, from) => self.three(op::OR, to, from, from),
            Step::One(code, to, from) => self.one(code, to, register(from)),
            Step::Two(code, to, a, b) => {
                let b = register(b);
                let op = match code {
                    Code::Add => self.sized(op::ADD),
                    Code::Sub => self.sized(op::SUB),
                    Code::Mul => self.sized(op::MUL),
                    Code::Div => self.sized(op::DIV),
                    Code::And => op::AND,
                    Code::Xor => op::XOR,
                    Code::WordAdd => self.sized(op::WORD_ADD),
                    Code::WordSub => self.sized(op::WORD_SUB),
                    // The machine's own treat NaNs and zeros in another way.
                    Code::Min => {
                        self.three(self.sized(op::ABOVE), MASK, b, a);
                        return self.blend(to, a, b);
                    }
                    Code::Max => {
                        self.three(self.sized(op::ABOVE), MASK, a, b);
                        return self.blend(to, a, b);
                    }
                    other => unreachable!("{other:?} has not two operands here"),
                };
                self.three(op, to, a, b);
            }
            Step::Fused {
                minus_product,
                minus_addend,
                first,
                second,
                third,
                ..
            } => {
                // Not -(c - a b): where that is 0 its sign would be another one.
                if minus_addend {
                    self.two(self.sized(op::NEGATE), first, first);
                }
                let op = if minus_product {
                    op::MULTIPLY_SUBTRACT
                } else {
                    op::MULTIPLY_ADD
                };
                self.three(self.sized(op), first, second, register(third));
            }
            Step::Choose {
                relation,
                negated,
                swapped,
                to,
                a,
                b,
                no,
                yes,
                ..
            } => {
                let (mut a, mut b) = (a, register(b));
                if swapped {
                    (a, b) = (b, a);
                }
                let (mut yes, mut no) = (register(yes), no);
                if negated != (relation == Relation::Unordered) {
                    (yes, no) = (no, yes);
                }
                match relation {
                    Relation::Equal => self.three(self.sized(op::EQUAL), MASK, a, b),
                    Relation::Below => self.three(self.sized(op::ABOVE), MASK, b, a),
                    Relation::AtMost => self.three(self.sized(op::AT_LEAST), MASK, b, a),
                    Relation::Unordered => {
                        assert!(a == b, "it is asked of one number");
                        self.three(self.sized(op::EQUAL), MASK, a, a);
                    }
                }
                self.blend(to, yes, no);
            }
            Step::Call(function) => {
                let [call, handed] = functions[function as usize];
                for (to, place) in (0..).zip(CALL_SLOTS) {
                    let Place::Slot(k) = place else {
                        unreachable!("calls have slots")
                    };
                    // add to, slots, offset
                    self.emit(0x9100_0000 | (16 * k) << 10 | SLOTS << 5 | to);
                }
                self.number(2, handed);
                self.number(SCRATCH, call);
                // blr scratch
                self.emit(0xd63f_0000 | SCRATCH << 5);
            }
            Step::Border => unreachable!("pieces are split at borders"),
        }
    }

    fn one(&mut self, code: Code, to: Register, from: Register) {
        let bits = if self.double { 64 } else { 32 };
        let op = match code {
            Code::Sqrt => self.sized(op::SQRT),
            Code::Floor => self.sized(op::FLOOR),
            Code::Ceil => self.sized(op::CEIL),
            Code::ShiftLeft(by) => op::SHIFT_LEFT | (bits + u32::from(by)) << 16,
            Code::ShiftRight(by) => op::SHIFT_RIGHT | (2 * bits - u32::from(by)) << 16,
            other => unreachable!("{other:?} has not one operand"),
        };
        self.two(op, to, from);
    }
}
