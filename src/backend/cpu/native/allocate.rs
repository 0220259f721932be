//! From an order of primitives to steps over registers and memory.
//!
//! Inputs and constants are read where they stand. A value lives in a register from its computation to its last use, unless registers run
//! out: then the one whose next use is furthest away makes room. If it is in memory already (an input, a constant, an output, a value that
//! was stored before) nothing is written; an input that is taken up is put into its row when it is read first. A slot is free again when the
//! step that reads it last is behind, never before.

use std::collections::BTreeSet;

use crate::program::Map;

use super::primitive::{Block, Code, Id, NONE, Relation};

/// A vector register.
pub(super) type Register = u8;

/// A vector in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A row of the tile, one of its vectors.
    Row { row: u32, part: u32 },
    /// Such a row of an input that the pass before has computed.
    Before { row: u32, part: u32 },
    /// The same row for the pass that comes.
    After { row: u32, part: u32 },
    /// A number of the pool.
    Number(u32),
    /// Scratch.
    Slot(u32),
}

/// What an instruction reads last: a register or memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Register(Register),
    Memory(Place),
}

/// Which factors and addend the operands of a fused step are, as the instruction set numbers them: the first is overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// first · third + second
    F132,
    /// second · first + third
    F213,
    /// second · third + first
    F231,
}

/// One instruction, or the few that a processor needs for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Load(Register, Place),
    Store(Place, Register),
    Move(Register, Register),
    One(Code, Register, Operand),
    Two(Code, Register, Register, Operand),
    Fused {
        form: Form,
        minus_product: bool,
        minus_addend: bool,
        first: Register,
        second: Register,
        third: Operand,
    },
    /// `to = (a relation b) ? yes : no`, or the other way about if `negated`.
    Choose {
        relation: Relation,
        negated: bool,
        swapped: bool,
        to: Register,
        a: Register,
        b: Operand,
        no: Register,
        yes: Operand,
        /// Where the result of the comparison stands, where a register for values is needed for it: none of those that are read.
        mask: Option<Register>,
    },
    /// Calls a function on the first slots; what is in registers is lost.
    Call(u32),
    /// A piece of the code ends: it is run for a few tiles before the next piece is. What is in registers is lost.
    Border,
}

/// Slots in which a call finds its arguments; the result is in the first.
pub(super) const CALL_SLOTS: [Place; 2] = [Place::Slot(0), Place::Slot(1)];

/// A block as steps.
#[derive(Clone, Debug)]
pub(super) struct Allocated {
    pub steps: Vec<Step>,
    /// What each step makes (for `Store`, what it stores): the value that is in its target from then on.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests follow the values"))]
    pub values: Vec<Id>,
    /// Bits of the numbers of the pool.
    pub numbers: Vec<u64>,
    pub n_slots: u32,
}

/// What instructions may name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Vector registers that values may be in.
    pub n_registers: usize,
    /// Whether the last operand may be in memory, and a fused multiply-add may overwrite any of its own. Else all are in registers, and
    /// it is the addend that is overwritten.
    pub reads_memory: bool,
    /// Whether a comparison needs one of them for its result.
    pub compares_in_register: bool,
}

/// Never used again.
const NEVER: u32 = u32::MAX;

/// Uses this near keep a value that is read from memory in a register, where one is free.
const NEAR: u32 = 16;

struct Allocator<'a> {
    block: &'a Block,
    /// Positions in the order at which each value is used, value by value; the next one of each, and where its last one ends.
    uses: Vec<u32>,
    next: Vec<u32>,
    end: Vec<u32>,
    rules: Rules,
    /// Where a value is in memory.
    memory: Vec<Option<Place>>,
    /// Where an input belongs that is still to be taken up.
    own_row: Map<Id, Place>,
    /// The input that an output's place still holds.
    held: Map<Place, Id>,
    register: Vec<Option<Register>>,
    holds: Vec<Option<Id>>,
    /// Registers that the present primitive needs.
    pinned: u32,
    /// Where it stands in the order.
    position: u32,
    free_slots: BTreeSet<u32>,
    numbers: Map<u64, u32>,
    out: Allocated,
}

/// Allots registers to a block in a running order, in pieces of about `piece` steps.
pub(super) fn allocate(block: &Block, order: &[Id], rules: Rules, piece: usize) -> Allocated {
    let n = block.list.len();
    let args = |i: Id| block.list[i as usize].args().iter().copied();
    let mut next = vec![0; n];
    for a in order.iter().flat_map(|&i| args(i)) {
        next[a as usize] += 1;
    }
    let mut n_uses = 0;
    for next in &mut next {
        (*next, n_uses) = (n_uses, n_uses + *next);
    }
    let (mut uses, mut end) = (vec![0; n_uses as usize], next.clone());
    for (position, &i) in order.iter().enumerate() {
        for a in args(i) {
            uses[end[a as usize] as usize] = position as u32;
            end[a as usize] += 1;
        }
    }
    let mut is_output = vec![false; n];
    for &(id, ..) in &block.outputs {
        is_output[id as usize] = true;
    }
    let has_calls = order
        .iter()
        .any(|&i| matches!(block.list[i as usize].code, Code::Call(_)));
    let mut a = Allocator {
        block,
        uses,
        next,
        end,
        rules,
        memory: vec![None; n],
        own_row: Map::default(),
        held: Map::default(),
        register: vec![None; n],
        holds: vec![None; rules.n_registers],
        pinned: 0,
        position: 0,
        free_slots: BTreeSet::new(),
        numbers: Map::default(),
        out: Allocated {
            steps: Vec::new(),
            values: Vec::new(),
            numbers: Vec::new(),
            n_slots: if has_calls {
                CALL_SLOTS.len() as u32
            } else {
                0
            },
        },
    };
    for (i, primitive) in block.list.iter().enumerate() {
        a.memory[i] = match primitive.code {
            Code::Input { row, part } => {
                let place = input(block, row, part);
                let own = Place::Row { row, part };
                if let (Place::Row { .. }, true) = (place, place != own) {
                    a.own_row.insert(i as Id, own);
                    a.held.insert(place, i as Id);
                }
                Some(place)
            }
            Code::Constant(bits) => {
                let used = a.next[i] < a.end[i] || is_output[i];
                used.then(|| a.number(bits))
            }
            _ => None,
        };
    }
    let mut rows: Map<Id, Vec<Place>> = Map::default();
    for &(id, row, part) in &block.outputs {
        rows.entry(id).or_default().push(output(block, row, part));
    }
    let mut piece_start = 0;
    for (position, &i) in order.iter().enumerate() {
        // A last piece that is short is not worth a border.
        if a.out.steps.len() - piece_start >= piece && order.len() - position > piece / 4 {
            a.forget_registers();
            a.step(Step::Border, i);
            piece_start = a.out.steps.len();
        }
        a.position = position as u32;
        a.compute(i);
        if let (Some(places), Some(register)) = (rows.remove(&i), a.register[i as usize]) {
            a.pin(register);
            for &place in &places {
                a.write(place, register, i);
            }
            a.pinned = 0;
            // Read again from there, if it must leave the register.
            a.memory[i as usize] = Some(places[0]);
        }
        a.release(i);
    }
    // Outputs that are inputs or constants.
    let mut copies: Vec<(Id, Vec<Place>)> = rows.into_iter().collect();
    copies.sort_unstable_by_key(|c| c.0);
    for (id, places) in copies {
        let register = a.in_register(id);
        for place in places {
            a.write(place, register, id);
        }
        a.pinned = 0;
        a.release(id);
    }
    a.out
}

/// Where an input is read first.
pub(super) fn input(block: &Block, row: u32, part: u32) -> Place {
    if block.carried.iter().any(|c| c[1] == row) {
        return Place::Before { row, part };
    }
    let taken_up = block.taken_up.iter().find(|c| c[1] == row);
    let row = taken_up.map_or(row, |c| c[0]);
    Place::Row { row, part }
}

/// Where an output is written.
pub(super) fn output(block: &Block, row: u32, part: u32) -> Place {
    match block.carried.iter().find(|c| c[0] == row) {
        Some(&[_, row]) => Place::After { row, part },
        None => Place::Row { row, part },
    }
}

impl Allocator<'_> {
    fn number(&mut self, bits: u64) -> Place {
        let numbers = &mut self.out.numbers;
        Place::Number(*self.numbers.entry(bits).or_insert_with(|| {
            numbers.push(bits);
            numbers.len() as u32 - 1
        }))
    }

    fn step(&mut self, step: Step, value: Id) {
        self.out.steps.push(step);
        self.out.values.push(value);
    }

    fn next_use(&self, id: Id) -> u32 {
        let (next, end) = (self.next[id as usize], self.end[id as usize]);
        if next < end {
            self.uses[next as usize]
        } else {
            NEVER
        }
    }

    fn pin(&mut self, register: Register) {
        self.pinned |= 1 << register;
    }

    /// A register to write, which holds nothing that is still needed.
    fn take(&mut self) -> Register {
        let is_pinned = |r: usize| self.pinned & 1 << r != 0;
        if let Some(r) = (0..self.holds.len()).find(|&r| self.holds[r].is_none() && !is_pinned(r)) {
            self.pin(r as Register);
            return r as Register;
        }
        // Furthest next use from here; one that costs no store wins over one that does and is used up to half again as far away.
        let worth = |r: usize| {
            let id = self.holds[r]?;
            let way = u64::from(self.next_use(id)).saturating_sub(u64::from(self.position));
            Some(if self.memory[id as usize].is_some() {
                3 * way
            } else {
                2 * way
            })
        };
        let victim = (0..self.holds.len())
            .filter(|&r| !is_pinned(r))
            .max_by_key(|&r| worth(r))
            .expect("an instruction uses fewer registers than there are");
        self.evict(victim as Register);
        self.pin(victim as Register);
        victim as Register
    }

    /// Takes the value out of a register; it is stored if it will be needed and is nowhere else.
    fn evict(&mut self, register: Register) {
        let Some(id) = self.holds[register as usize].take() else {
            return;
        };
        self.register[id as usize] = None;
        if self.memory[id as usize].is_none() && self.next_use(id) != NEVER {
            let slot = Place::Slot(self.free_slots.pop_first().unwrap_or_else(|| {
                self.out.n_slots += 1;
                self.out.n_slots - 1
            }));
            self.memory[id as usize] = Some(slot);
            self.step(Step::Store(slot, register), id);
        }
    }

    /// Empties the registers.
    fn forget_registers(&mut self) {
        for r in 0..self.holds.len() {
            self.evict(r as Register);
        }
        self.pinned = 0;
    }

    fn put(&mut self, id: Id, register: Register) {
        self.register[id as usize] = Some(register);
        self.holds[register as usize] = Some(id);
    }

    /// The value in a register, pinned; loaded if need be.
    fn in_register(&mut self, id: Id) -> Register {
        if let Some(r) = self.register[id as usize] {
            self.pin(r);
            return r;
        }
        let place = self.memory[id as usize].expect("a value is in a register or in memory");
        let r = self.take();
        self.step(Step::Load(r, place), id);
        self.put(id, r);
        if let Some(own) = self.own_row.remove(&id) {
            self.step(Step::Store(own, r), id);
            self.memory[id as usize] = Some(own);
            self.held.remove(&place);
        }
        r
    }

    /// Writes an output, after the input that still stands there has been taken up.
    fn write(&mut self, place: Place, register: Register, id: Id) {
        if let Some(input) = self.held.remove(&place) {
            let pinned = self.pinned;
            self.in_register(input);
            self.release(input);
            self.pinned = pinned;
        }
        self.step(Step::Store(place, register), id);
    }

    /// The value where it is, pinned if in a register; loaded if it is used again soon and a register is free.
    fn operand(&mut self, id: Id) -> Operand {
        if let Some(r) = self.register[id as usize] {
            self.pin(r);
            return Operand::Register(r);
        }
        if !self.rules.reads_memory || self.own_row.contains_key(&id) {
            return Operand::Register(self.in_register(id));
        }
        let left = self.next[id as usize] as usize..self.end[id as usize] as usize;
        let again = self.uses[left].iter().find(|&&u| u > self.position);
        let is_free =
            (0..self.holds.len()).any(|r| self.holds[r].is_none() && self.pinned & 1 << r == 0);
        if is_free && again.is_some_and(|&u| u - self.position <= NEAR) {
            return Operand::Register(self.in_register(id));
        }
        Operand::Memory(self.memory[id as usize].expect("a value is in a register or in memory"))
    }

    fn is_loaded(&self, id: Id) -> bool {
        self.register[id as usize].is_some()
    }

    /// A register for the result of the present primitive, whose arguments' uses are counted off: one of theirs if it is free by now.
    fn target(&mut self, args: &[Id]) -> Register {
        self.ended(args).unwrap_or_else(|| self.take())
    }

    /// The register of an argument that is not needed any more.
    fn ended(&mut self, args: &[Id]) -> Option<Register> {
        let ends = |&a: &Id| self.next_use(a) == NEVER && self.register[a as usize].is_some();
        let &a = args.iter().find(|a| ends(a))?;
        let register = self.register[a as usize].take()?;
        self.holds[register as usize] = None;
        Some(register)
    }

    fn compute(&mut self, i: Id) {
        let primitive = self.block.list[i as usize];
        self.pinned = 0;
        let args = primitive.args;
        match primitive.code {
            Code::Fma {
                minus_product,
                minus_addend,
            } => {
                let (form, first, second, third) = self.fused([args[0], args[1], args[2]]);
                let step = Step::Fused {
                    form,
                    minus_product,
                    minus_addend,
                    first,
                    second,
                    third,
                };
                self.step(step, i);
                self.put(i, first);
            }
            Code::Choose(relation) => {
                let [a, b, mut yes, mut no] = args;
                // One side of the comparison and one of the choice may be in memory.
                let swapped = self.is_loaded(b) && !self.is_loaded(a);
                let (a, b) = if swapped { (b, a) } else { (a, b) };
                let negated = self.is_loaded(yes) && !self.is_loaded(no);
                if negated {
                    (yes, no) = (no, yes);
                }
                let ra = self.in_register(a);
                let rno = self.in_register(no);
                let ob = self.operand(b);
                let oyes = self.operand(yes);
                let mask = self.rules.compares_in_register.then(|| self.take());
                self.count(&args);
                // The comparison is over when the target is written, so any of the registers may be it.
                let to = match (self.ended(&args), mask) {
                    (Some(register), _) | (None, Some(register)) => register,
                    (None, None) => self.take(),
                };
                let step = Step::Choose {
                    relation,
                    negated,
                    swapped,
                    to,
                    a: ra,
                    b: ob,
                    no: rno,
                    yes: oyes,
                    mask,
                };
                self.step(step, i);
                self.put(i, to);
            }
            Code::Call(function) => {
                for (k, place) in CALL_SLOTS.into_iter().enumerate() {
                    let r = self.in_register(args[k]);
                    self.step(Step::Store(place, r), args[k]);
                }
                self.count(&args[..2]);
                self.forget_registers();
                self.step(Step::Call(function), i);
                let r = self.take();
                self.step(Step::Load(r, CALL_SLOTS[0]), i);
                self.put(i, r);
            }
            code if code.arity() == 1 => {
                let shift = matches!(code, Code::ShiftLeft(_) | Code::ShiftRight(_));
                let a = if shift {
                    Operand::Register(self.in_register(args[0]))
                } else {
                    self.operand(args[0])
                };
                self.count(&args[..1]);
                let to = self.target(&args[..1]);
                self.step(Step::One(code, to, a), i);
                self.put(i, to);
            }
            code => {
                let [mut a, mut b, ..] = args;
                if code.commutes() && self.is_loaded(b) && !self.is_loaded(a) {
                    (a, b) = (b, a);
                }
                let ra = self.in_register(a);
                let ob = self.operand(b);
                self.count(&args[..2]);
                let to = self.target(&[a, b]);
                self.step(Step::Two(code, to, ra, ob), i);
                self.put(i, to);
            }
        }
        self.pinned = 0;
        for a in args {
            if a != NONE {
                self.release(a);
            }
        }
    }

    /// Operands of a fused step. One argument may be in memory, and one of those in registers is overwritten: preferably one that
    /// is not needed any more, else a copy.
    fn fused(&mut self, args: [Id; 3]) -> (Form, Register, Register, Operand) {
        // Which one is read from memory: an argument that is in no register and occurs once.
        let once = |id: Id| args.iter().filter(|&&x| x == id).count() == 1;
        let third = [2, 1, 0]
            .into_iter()
            .find(|&k| self.rules.reads_memory && !self.is_loaded(args[k]) && once(args[k]));
        for (k, &id) in args.iter().enumerate() {
            if Some(k) != third {
                self.in_register(id);
            }
        }
        let third = third.filter(|&k| matches!(self.operand(args[k]), Operand::Memory(_)));
        self.count(&args);
        let ends = |s: &Self, id: Id| s.next_use(id) == NEVER && once(id);
        // Argument to overwrite: none that is in memory.
        let choices: &[usize] = if self.rules.reads_memory {
            &[2, 0, 1]
        } else {
            &[2]
        };
        let mut choices = choices.iter().copied();
        let first = choices.find(|&k| Some(k) != third && ends(self, args[k]));
        let (first, register) = match first {
            Some(k) => {
                let r = self.register[args[k] as usize]
                    .take()
                    .expect("it is in a register");
                self.holds[r as usize] = None;
                (k, r)
            }
            None => {
                let k = match third {
                    _ if !self.rules.reads_memory => 2,
                    Some(0) => 1,
                    _ => 0,
                };
                let from = self.register[args[k] as usize].expect("it is in a register");
                let r = self.take();
                self.step(Step::Move(r, from), args[k]);
                (k, r)
            }
        };
        let at = |k: usize| match self.register[args[k] as usize] {
            _ if Some(k) == third => {
                Operand::Memory(self.memory[args[k] as usize].expect("it is in memory"))
            }
            // An argument that occurs twice and was copied.
            Some(r) => Operand::Register(r),
            None => Operand::Register(register),
        };
        let register_at = |k: usize| match at(k) {
            Operand::Register(r) => r,
            Operand::Memory(_) => unreachable!("the operand in memory is the third"),
        };
        let (x, y) = match first {
            0 => (1, 2),
            1 => (0, 2),
            _ => (0, 1),
        };
        // (second, third): memory is third.
        let (second, third) = if third == Some(x) { (y, x) } else { (x, y) };
        let form = match (first, third) {
            (2, _) => Form::F231,
            (_, 2) => Form::F213,
            _ => Form::F132,
        };
        (form, register, register_at(second), at(third))
    }

    /// Counts off the uses of arguments by the present primitive.
    fn count(&mut self, args: &[Id]) {
        for &a in args {
            let next = &mut self.next[a as usize];
            *next = (*next + 1).min(self.end[a as usize]);
        }
    }

    /// Frees what a value occupies if it is not needed any more.
    fn release(&mut self, id: Id) {
        if self.next_use(id) != NEVER {
            return;
        }
        if let Some(r) = self.register[id as usize].take() {
            self.holds[r as usize] = None;
        }
        if let Some(Place::Slot(slot)) = self.memory[id as usize] {
            self.memory[id as usize] = None;
            self.free_slots.insert(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::set::Set;
    use super::*;

    #[test]
    fn a_number_that_is_used_next_stays_late_in_a_program_too() {
        let mut block = Block::new(false);
        let x = block.push(Code::Input { row: 0, part: 0 }, &[]);
        let factor = block.constant(u64::from(1.5f32.to_bits()));
        let one = block.constant(u64::from(1f32.to_bits()));
        // A long way, then values that are kept to the end.
        let mut long = x;
        for _ in 0..400 {
            long = block.push(Code::Add, &[long, one]);
        }
        let kept: Vec<Id> = (0..4)
            .map(|row| {
                let y = block.push(Code::Input { row, part: 0 }, &[]);
                block.push(Code::Add, &[long, y])
            })
            .collect();
        // Meanwhile the factor is needed in a register by every third primitive, and the next one needs a register for what it makes.
        let mut row = 10;
        for k in 2..40 {
            let number = block.constant(u64::from((k as f32).to_bits()));
            let y = block.fma(x, factor, number);
            for other in [x, y] {
                let product = block.push(Code::Mul, &[y, other]);
                block.outputs.push((product, row, 0));
                row += 1;
            }
        }
        for &id in &kept {
            let last = block.push(Code::Mul, &[id, x]);
            block.outputs.push((last, row, 0));
            row += 1;
        }
        let order: Vec<Id> = (0..block.list.len() as Id)
            .filter(|&i| !block.list[i as usize].code.is_given())
            .collect();
        let rules = Rules {
            n_registers: 6,
            ..Set::Avx2.rules()
        };
        let allocated = allocate(&block, &order, rules, usize::MAX);
        let loads = allocated.steps.iter().zip(&allocated.values);
        let of_factor = loads.filter(|(s, v)| matches!(s, Step::Load(..)) && **v == factor);
        assert!(of_factor.count() <= 2);
    }
}
