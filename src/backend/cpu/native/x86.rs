//! Steps as machine code of x86-64: AVX-512 (EVEX) and AVX2 with FMA (VEX).
//!
//! The code is a function `f(rows, numbers, slots, n_tiles)` of the System V convention, on every system. It is a sequence of pieces, each of
//! which is run for every tile before the next one is; each tile has slots of its own. Encodings: Intel SDM volume 2, sections 2.3 (VEX) and 2.7 (EVEX).

use super::allocate::{Allocated, CALL_SLOTS, Form, Operand, Place, Register, Step};
use super::primitive::{Code, Relation};
use super::set::Set;

/// Results of comparisons where there are no mask registers.
const MASK: Register = 15;

/// General registers in which the function keeps its arguments: they survive calls.
const ROWS: u8 = 3; // rbx
const NUMBERS: u8 = 5; // rbp
const SLOTS: u8 = 14; // r14

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

/// Machine code for the steps. `call` is the address of the function that applies a function of Rust to the vector in the first two slots,
/// `functions` what is handed to it. `row_bytes` is the distance of rows in a tile, `tile_bytes` of tiles, `slot_bytes` of their slots.
pub(super) fn assemble(
    allocated: &Allocated,
    set: Set,
    double: bool,
    row_bytes: usize,
    tile_bytes: usize,
    slot_bytes: usize,
    functions: &[[u64; 2]],
) -> Vec<u8> {
    let mut a = Assembler {
        set,
        double,
        tile_row_bytes: row_bytes as i32,
        bytes: Vec::with_capacity(allocated.steps.len() * 9 + 128),
        mask: 0,
    };
    let number_ahead = AHEAD * set.number_bytes(double) as i32;
    let vector_ahead = AHEAD * set.vector_bytes() as i32;
    // push rbx, rbp, r12, r13, r14, r15; sub rsp, 24 (calls find the stack aligned)
    a.emit(&[0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]);
    a.emit(&[0x48, 0x83, 0xec, 0x18]);
    // lea r12, [rdi + …]; lea rbp, [rsi + …]; lea r13, [rdx + …]; mov [rsp + 8], rcx
    a.emit(&[0x4c, 0x8d, 0xa7]);
    a.emit(&vector_ahead.to_le_bytes());
    a.emit(&[0x48, 0x8d, 0xae]);
    a.emit(&number_ahead.to_le_bytes());
    a.emit(&[0x4c, 0x8d, 0xaa]);
    a.emit(&vector_ahead.to_le_bytes());
    a.emit(&[0x48, 0x89, 0x4c, 0x24, 0x08]);
    for piece in allocated.steps.split(|s| *s == Step::Border) {
        // mov rbx, r12; mov r14, r13; mov r15, [rsp + 8]
        a.emit(&[
            0x4c, 0x89, 0xe3, 0x4d, 0x89, 0xee, 0x4c, 0x8b, 0x7c, 0x24, 0x08,
        ]);
        let start = a.bytes.len();
        for step in piece {
            a.step(step, functions);
        }
        // add rbx, tile_bytes; add r14, slot_bytes; dec r15; jnz start
        a.emit(&[0x48, 0x81, 0xc3]);
        a.emit(&(tile_bytes as i32).to_le_bytes());
        a.emit(&[0x49, 0x81, 0xc6]);
        a.emit(&(slot_bytes as i32).to_le_bytes());
        a.emit(&[0x49, 0xff, 0xcf, 0x0f, 0x85]);
        let back = start as i64 - (a.bytes.len() as i64 + 4);
        a.emit(&(back as i32).to_le_bytes());
    }
    // vzeroupper; add rsp, 24; pop r15, r14, r13, r12, rbp, rbx; ret
    a.emit(&[0xc5, 0xf8, 0x77, 0x48, 0x83, 0xc4, 0x18]);
    a.emit(&[
        0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3,
    ]);
    a.bytes
}

impl Assembler {
    fn emit(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Base register and displacement of a place.
    fn memory(&self, place: Place) -> Rm {
        let vector = self.set.vector_bytes() as i32;
        let number = self.set.number_bytes(self.double) as i32;
        let (base, displacement) = match place {
            Place::Row { row, part } => (
                ROWS,
                row as i32 * self.tile_row_bytes + (part as i32 - AHEAD) * vector,
            ),
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
                match self.set {
                    Set::Avx512 => {
                        // In turn, so that they seldom wait for each other.
                        self.mask = self.mask % 7 + 1;
                        self.encode(compare, self.mask, a, self.rm(b), 0);
                        self.emit(&[predicate]);
                        let blend = self.sized(2, 0x65);
                        self.encode(blend, to, no, self.rm(yes), self.mask);
                    }
                    _ => {
                        self.encode(compare, MASK, a, self.rm(b), 0);
                        self.emit(&[predicate]);
                        let blend = Opcode {
                            map: 3,
                            prefix: 1,
                            wide: false,
                            opcode: if self.double { 0x4b } else { 0x4a },
                        };
                        self.encode(blend, to, no, self.rm(yes), 0);
                        self.emit(&[MASK << 4]);
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
