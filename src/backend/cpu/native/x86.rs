//! Steps as machine code of x86-64: AVX-512 (EVEX) and AVX2 with FMA (VEX).
//!
//! The code is a function `f(rows, numbers, slots, n_tiles, far, most)` of the System V convention, on every system. It is a sequence of pieces, each
//! of which is run for every tile before the next one is; each tile has slots of its own. Where passes follow one another ([`super::Walk`]) it goes
//! on until a lane asks to be looked at or `most` passes have followed the first, and gives how many have. Encodings: Intel SDM volume 2, sections
//! 2.3 (VEX) and 2.7 (EVEX).

use super::allocate::{Allocated, CALL_SLOTS, Form, Operand, Place, Register, Step};
use super::frame::Frame;
use super::primitive::{Code, Relation};
use super::set::Set;

/// General registers in which the function keeps its arguments: they survive calls.
const ROWS: u8 = 3; // rbx
const NUMBERS: u8 = 5; // rbp
const SLOTS: u8 = 14; // r14
const BEFORE: u8 = 15; // r15
const AFTER: u8 = 13; // r13
/// Tiles that are left; r12 as a base would ask for a longer form of address.
const LEFT: u8 = 12;

/// How far behind its beginning a pointer stands, in vectors (numbers): short displacements reach from -128 to 127.
const AHEAD: i32 = 128;

/// What the last operand of an instruction is.
#[derive(Clone, Copy)]
enum Rm {
    Register(Register),
    Memory {
        base: u8,
        displacement: i32,
        broadcast: bool,
    },
}

/// Fields of an instruction that name no operand.
#[derive(Clone, Copy)]
struct Opcode {
    /// 1: 0F, 2: 0F 38, 3: 0F 3A.
    map: u8,
    /// 0: none, 1: 66.
    prefix: u8,
    wide: bool,
    opcode: u8,
}

struct Assembler {
    set: Set,
    double: bool,
    tile_row_bytes: i32,
    bytes: Vec<u8>,
    /// The mask register that was used last.
    mask: u8,
}

/// What the code keeps on the stack, by its distance from the stack pointer, which calls leave where it is.
mod kept {
    pub const TILES: u8 = 8;
    pub const ROWS: u8 = 16;
    pub const SLOTS: u8 = 24;
    pub const BEFORE: u8 = 32;
    pub const AFTER: u8 = 40;
    /// Passes that may follow the first.
    pub const MOST: u8 = 48;
    /// Passes that have followed it.
    pub const TAKEN: u8 = 56;
    /// Of all of it: with six registers and the way back, a whole number of 16 bytes.
    pub const BYTES: u8 = 72;
}

/// Instructions that move numbers between general registers and memory, by their opcode.
const READ: u8 = 0x8b;
const WRITE: u8 = 0x89;
const COMPARE: u8 = 0x3b;
const RAX: u8 = 0;
const RCX: u8 = 1;

/// Machine code for the steps. `functions` are, for each call, the address of the function that applies a function of Rust to the vector in the
/// first two slots, and what is handed to it.
pub(super) fn assemble(
    allocated: &Allocated,
    set: Set,
    double: bool,
    frame: Frame,
    functions: &[[u64; 2]],
) -> Vec<u8> {
    let mut a = Assembler {
        set,
        double,
        tile_row_bytes: frame.row as i32,
        bytes: Vec::with_capacity(allocated.steps.len() * 9 + 256),
        mask: 0,
    };
    let number_ahead = AHEAD * set.number_bytes(double) as i32;
    let vector_ahead = AHEAD * set.vector_bytes() as i32;
    // push rbx, rbp, r12, r13, r14, r15; sub rsp, …
    a.emit(&[0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]);
    a.emit(&[0x48, 0x83, 0xec, kept::BYTES]);
    // mov rbp, rsi; then pointers stand ahead of what they point to: rbp, rdi, rdx, r8
    a.emit(&[0x48, 0x89, 0xf5]);
    for (register, ahead) in [
        (NUMBERS, number_ahead),
        (7, vector_ahead),
        (2, vector_ahead),
        (8, vector_ahead),
    ] {
        a.advance(register, ahead);
    }
    for (register, to) in [
        (7, kept::ROWS),
        (2, kept::SLOTS),
        (RCX, kept::TILES),
        (7, kept::BEFORE),
        (8, kept::AFTER),
        (9, kept::MOST),
    ] {
        a.stack(WRITE, register, to);
    }
    // mov qword [rsp + …], 0
    a.emit(&[0x48, 0xc7, 0x44, 0x24, kept::TAKEN, 0, 0, 0, 0]);
    let pass = a.bytes.len();
    for piece in allocated.steps.split(|s| *s == Step::Border) {
        let mut moving = vec![
            (ROWS, kept::ROWS, frame.tile),
            (SLOTS, kept::SLOTS, frame.slots),
        ];
        if frame.asks.is_some() {
            moving.push((BEFORE, kept::BEFORE, frame.tile));
            moving.push((AFTER, kept::AFTER, frame.tile));
        }
        for &(register, from, _) in &moving {
            a.stack(READ, register, from);
        }
        a.stack(READ, LEFT, kept::TILES);
        let start = a.bytes.len();
        for step in piece {
            a.step(step, functions);
        }
        for &(register, _, by) in &moving {
            a.advance(register, by as i32);
        }
        a.until_no_tile_is_left(start);
    }
    if let Some(asks) = frame.asks {
        a.stack(READ, ROWS, kept::ROWS);
        a.stack(READ, LEFT, kept::TILES);
        // The bits of all lanes in one register, half a vector of AVX-512 at a time: vxorps ymm0, ymm0, ymm0
        a.emit(&[0xc5, 0xfc, 0x57, 0xc0]);
        let start = a.bytes.len();
        for half in (0..frame.row).step_by(32) {
            // vorps ymm0, ymm0, [rbx + …]
            a.emit(&[0xc5, 0xfc, 0x56, 0x83]);
            let displacement = (asks * frame.row + half) as i32 - vector_ahead;
            a.emit(&displacement.to_le_bytes());
        }
        a.advance(ROWS, frame.tile as i32);
        a.until_no_tile_is_left(start);
        // vptest ymm0, ymm0; jnz end
        a.emit(&[0xc4, 0xe2, 0x7d, 0x17, 0xc0]);
        let somebody_asks = a.jump(0x85);
        a.stack(READ, RAX, kept::TAKEN);
        a.stack(COMPARE, RAX, kept::MOST);
        // jge end
        let enough = a.jump(0x8d);
        // inc rax
        a.emit(&[0x48, 0xff, 0xc0]);
        a.stack(WRITE, RAX, kept::TAKEN);
        a.stack(READ, RAX, kept::BEFORE);
        a.stack(READ, RCX, kept::AFTER);
        a.stack(WRITE, RCX, kept::BEFORE);
        a.stack(WRITE, RAX, kept::AFTER);
        // jmp pass
        a.emit(&[0xe9]);
        let back = pass as i64 - (a.bytes.len() as i64 + 4);
        a.emit(&(back as i32).to_le_bytes());
        for from in [somebody_asks, enough] {
            let way = (a.bytes.len() - from) as i32;
            a.bytes[from - 4..from].copy_from_slice(&way.to_le_bytes());
        }
    }
    a.stack(READ, RAX, kept::TAKEN);
    // vzeroupper; add rsp, …; pop r15, r14, r13, r12, rbp, rbx; ret
    a.emit(&[0xc5, 0xf8, 0x77, 0x48, 0x83, 0xc4, kept::BYTES]);
    a.emit(&[
        0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3,
    ]);
    a.bytes
}

impl Assembler {
    fn emit(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Reads, writes or compares a general register with what is kept on the stack.
    fn stack(&mut self, opcode: u8, register: u8, place: u8) {
        let (high, low) = (register >> 3, register & 7);
        self.emit(&[0x48 | high << 2, opcode, 0x44 | low << 3, 0x24, place]);
    }

    /// Adds a number to a general register.
    fn advance(&mut self, register: u8, by: i32) {
        let (high, low) = (register >> 3, register & 7);
        self.emit(&[0x48 | high, 0x81, 0xc0 | low]);
        self.emit(&by.to_le_bytes());
    }

    /// Counts a tile off, and goes back to `start` if there is another.
    fn until_no_tile_is_left(&mut self, start: usize) {
        // dec r12; jnz start
        self.emit(&[0x49, 0xff, 0xcc, 0x0f, 0x85]);
        let back = start as i64 - (self.bytes.len() as i64 + 4);
        self.emit(&(back as i32).to_le_bytes());
    }

    /// A conditional jump that is yet to be told where; gives the place behind it.
    fn jump(&mut self, condition: u8) -> usize {
        self.emit(&[0x0f, condition, 0, 0, 0, 0]);
        self.bytes.len()
    }

    /// Base register and displacement of a place.
    fn memory(&self, place: Place) -> Rm {
        let vector = self.set.vector_bytes() as i32;
        let number = self.set.number_bytes(self.double) as i32;
        let in_tile = |base: u8, row: u32, part: u32| {
            let displacement = row as i32 * self.tile_row_bytes + (part as i32 - AHEAD) * vector;
            (base, displacement)
        };
        let (base, displacement) = match place {
            Place::Row { row, part } => in_tile(ROWS, row, part),
            Place::Before { row, part } => in_tile(BEFORE, row, part),
            Place::After { row, part } => in_tile(AFTER, row, part),
            Place::Number(k) => (NUMBERS, (k as i32 - AHEAD) * number),
            Place::Slot(k) => (SLOTS, (k as i32 - AHEAD) * vector),
        };
        Rm::Memory {
            base,
            displacement,
            broadcast: self.set == Set::Avx512 && matches!(place, Place::Number(_)),
        }
    }

    fn rm(&self, operand: Operand) -> Rm {
        match operand {
            Operand::Register(r) => Rm::Register(r),
            Operand::Memory(place) => self.memory(place),
        }
    }

    /// One instruction: `reg` and `second` as the manual's `ModRM.reg` and `vvvv`, `mask` the register that chooses elements.
    fn encode(&mut self, op: Opcode, reg: u8, second: u8, rm: Rm, mask: u8) {
        let not = |bit: u8, r: u8| u8::from(r >> bit & 1 == 0);
        let (b, x, broadcast) = match rm {
            Rm::Register(r) => (not(3, r), not(4, r), false),
            Rm::Memory {
                base, broadcast, ..
            } => (not(3, base), 1, broadcast),
        };
        let unit = match self.set {
            Set::Avx512 => {
                self.emit(&[
                    0x62,
                    not(3, reg) << 7 | x << 6 | b << 5 | not(4, reg) << 4 | op.map,
                    u8::from(op.wide) << 7 | (!second & 15) << 3 | 4 | op.prefix,
                    0b10 << 5 | u8::from(broadcast) << 4 | not(4, second) << 3 | mask,
                ]);
                if broadcast {
                    self.set.number_bytes(self.double) as i32
                } else {
                    64
                }
            }
            _ if b == 1 && op.map == 1 && !op.wide => {
                self.emit(&[0xc5, not(3, reg) << 7 | (!second & 15) << 3 | 4 | op.prefix]);
                1
            }
            _ => {
                self.emit(&[
                    0xc4,
                    not(3, reg) << 7 | 1 << 6 | b << 5 | op.map,
                    u8::from(op.wide) << 7 | (!second & 15) << 3 | 4 | op.prefix,
                ]);
                1
            }
        };
        self.emit(&[op.opcode]);
        let reg = (reg & 7) << 3;
        match rm {
            Rm::Register(r) => self.emit(&[0xc0 | reg | r & 7]),
            Rm::Memory {
                base, displacement, ..
            } => match i8::try_from(displacement / unit) {
                Ok(short) if displacement % unit == 0 => {
                    self.emit(&[0x40 | reg | base & 7, short as u8]);
                }
                _ => {
                    self.emit(&[0x80 | reg | base & 7]);
                    self.emit(&displacement.to_le_bytes());
                }
            },
        }
    }

    /// Arithmetic of packed numbers of the first map: the prefix tells the precision.
    fn packed(&self, opcode: u8) -> Opcode {
        Opcode {
            map: 1,
            prefix: u8::from(self.double),
            // VEX does not ask for it, and without it the short form serves.
            wide: self.double && self.set == Set::Avx512,
            opcode,
        }
    }

    /// Instructions of the later maps: the width bit tells the precision.
    fn sized(&self, map: u8, opcode: u8) -> Opcode {
        Opcode {
            map,
            prefix: 1,
            wide: self.double,
            opcode,
        }
    }

    /// Whole numbers of the first map.
    fn whole(&self, single: u8, double: u8) -> Opcode {
        Opcode {
            map: 1,
            prefix: 1,
            wide: self.double && self.set == Set::Avx512,
            opcode: if self.double { double } else { single },
        }
    }

    fn load(&mut self, to: Register, place: Place) {
        let from = self.memory(place);
        match from {
            // vbroadcastss, vbroadcastsd
            Rm::Memory {
                base,
                displacement,
                broadcast: true,
            } => {
                let op = self.sized(2, if self.double { 0x19 } else { 0x18 });
                // The instruction repeats by itself; only the unit of short displacements is that of a number.
                self.encode_scalar_source(op, to, base, displacement);
            }
            // vmovups
            rm => self.encode(self.plain(0x10), to, 0, rm, 0),
        }
    }

    fn plain(&self, opcode: u8) -> Opcode {
        Opcode {
            map: 1,
            prefix: 0,
            wide: false,
            opcode,
        }
    }

    fn encode_scalar_source(&mut self, op: Opcode, to: Register, base: u8, displacement: i32) {
        let at = self.bytes.len();
        let rm = Rm::Memory {
            base,
            displacement,
            broadcast: true,
        };
        self.encode(op, to, 0, rm, 0);
        self.bytes[at + 3] &= !(1 << 4);
    }

    fn step(&mut self, step: &Step, functions: &[[u64; 2]]) {
        match *step {
            Step::Load(to, place) => self.load(to, place),
            Step::Store(place, from) => {
                let Rm::Memory {
                    base, displacement, ..
                } = self.memory(place)
                else {
                    unreachable!("a place is in memory")
                };
                let rm = Rm::Memory {
                    base,
                    displacement,
                    broadcast: false,
                };
                self.encode(self.plain(0x11), from, 0, rm, 0);
            }
            Step::Move(to, from) => self.encode(self.plain(0x28), to, 0, Rm::Register(from), 0),
            Step::Border => unreachable!("pieces are split at borders"),
            Step::One(code, to, from) => self.one(code, to, from),
            Step::Two(code, to, a, b) => {
                let op = match code {
                    Code::Add => self.packed(0x58),
                    Code::Mul => self.packed(0x59),
                    Code::Sub => self.packed(0x5c),
                    Code::Min => self.packed(0x5d),
                    Code::Div => self.packed(0x5e),
                    Code::Max => self.packed(0x5f),
                    Code::And => self.packed(0x54),
                    Code::Xor => self.packed(0x57),
                    Code::WordAdd => self.whole(0xfe, 0xd4),
                    Code::WordSub => self.whole(0xfa, 0xfb),
                    Code::Scale => self.sized(2, 0x2c),
                    other => unreachable!("{other:?} has not two operands"),
                };
                self.encode(op, to, a, self.rm(b), 0);
            }
            Step::Fused {
                form,
                minus_product,
                minus_addend,
                first,
                second,
                third,
            } => {
                let opcode = match form {
                    Form::F132 => 0x98,
                    Form::F213 => 0xa8,
                    Form::F231 => 0xb8,
                } + match (minus_product, minus_addend) {
                    (false, false) => 0,
                    (false, true) => 2,
                    (true, false) => 4,
                    (true, true) => 6,
                };
                self.encode(self.sized(2, opcode), first, second, self.rm(third), 0);
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
                mask,
            } => {
                let predicate = match (relation, swapped, negated) {
                    (Relation::Equal, _, false) => 0x00,
                    (Relation::Equal, _, true) => 0x04,
                    (Relation::Unordered, _, false) => 0x03,
                    (Relation::Unordered, _, true) => 0x07,
                    (Relation::Below, false, false) => 0x11,
                    (Relation::Below, false, true) => 0x15,
                    (Relation::Below, true, false) => 0x1e,
                    (Relation::Below, true, true) => 0x1a,
                    (Relation::AtMost, false, false) => 0x12,
                    (Relation::AtMost, false, true) => 0x16,
                    (Relation::AtMost, true, false) => 0x1d,
                    (Relation::AtMost, true, true) => 0x19,
                };
                let compare = self.packed(0xc2);
                match mask {
                    None => {
                        // In turn, so that they seldom wait for each other.
                        self.mask = self.mask % 7 + 1;
                        self.encode(compare, self.mask, a, self.rm(b), 0);
                        self.emit(&[predicate]);
                        let blend = self.sized(2, 0x65);
                        self.encode(blend, to, no, self.rm(yes), self.mask);
                    }
                    Some(mask) => {
                        self.encode(compare, mask, a, self.rm(b), 0);
                        self.emit(&[predicate]);
                        let blend = Opcode {
                            map: 3,
                            prefix: 1,
                            wide: false,
                            opcode: if self.double { 0x4b } else { 0x4a },
                        };
                        self.encode(blend, to, no, self.rm(yes), 0);
                        self.emit(&[mask << 4]);
                    }
                }
            }
            Step::Call(function) => {
                let [call, handed] = functions[function as usize];
                // lea rdi, [r14 + …]; lea rsi, [r14 + …]; mov rdx, function; mov rax, call; vzeroupper; call rax
                for (bytes, place) in [[0x49, 0x8d, 0xbe], [0x49, 0x8d, 0xb6]]
                    .iter()
                    .zip(CALL_SLOTS)
                {
                    let Rm::Memory { displacement, .. } = self.memory(place) else {
                        unreachable!("a place is in memory")
                    };
                    self.emit(bytes);
                    self.emit(&displacement.to_le_bytes());
                }
                self.emit(&[0x48, 0xba]);
                self.emit(&handed.to_le_bytes());
                self.emit(&[0x48, 0xb8]);
                self.emit(&call.to_le_bytes());
                self.emit(&[0xc5, 0xf8, 0x77, 0xff, 0xd0]);
            }
        }
    }

    fn one(&mut self, code: Code, to: Register, from: Operand) {
        let rm = self.rm(from);
        match code {
            Code::Sqrt => self.encode(self.packed(0x51), to, 0, rm, 0),
            Code::Floor | Code::Ceil => {
                // vrndscaleps, vroundps: 8 keeps quiet about inexact results.
                let op = Opcode {
                    map: 3,
                    prefix: 1,
                    wide: self.double && self.set == Set::Avx512,
                    opcode: if self.double { 0x09 } else { 0x08 },
                };
                self.encode(op, to, 0, rm, 0);
                self.emit(&[if code == Code::Floor { 0x09 } else { 0x0a }]);
            }
            // The manual's /6 and /2 stand where a register would, and the target is the second operand.
            Code::ShiftLeft(by) => {
                self.encode(self.whole(0x72, 0x73), 6, to, rm, 0);
                self.emit(&[by]);
            }
            Code::ShiftRight(by) => {
                self.encode(self.whole(0x72, 0x73), 2, to, rm, 0);
                self.emit(&[by]);
            }
            other => unreachable!("{other:?} has not one operand"),
        }
    }
}
