//! Follows values through the steps of an allocation: every operand must be the value that the block says, whatever the numbers are.
//!
//! A slot that is freed too early gives right numbers as long as nobody writes to it in time; here it is found at once.

use std::collections::HashMap;

use super::allocate::{
    Allocated, CALL_SLOTS, Form, Operand, Place, Register, Rules, Step, allocate, input, output,
};
use super::primitive::{Block, Code, Id};
use super::record;
use super::schedule::{Choice, schedule};
use super::set::Set;
use super::tests::random_program;

/// What is where.
struct Machine<'a> {
    block: &'a Block,
    numbers: &'a [u64],
    registers: HashMap<Register, Id>,
    memory: HashMap<Place, Id>,
}

impl Machine<'_> {
    fn at(&self, operand: Operand) -> Option<Id> {
        match operand {
            Operand::Register(r) => self.registers.get(&r).copied(),
            Operand::Memory(place) => self.place(place),
        }
    }

    fn place(&self, place: Place) -> Option<Id> {
        let given = |code: Code| self.block.list.iter().position(|p| p.code == code);
        let written = self.memory.get(&place).copied();
        match place {
            Place::Number(k) => given(Code::Constant(self.numbers[k as usize])).map(|i| i as Id),
            Place::Row { .. } | Place::Before { .. } => written.or_else(|| {
                let is_here = |code: Code| match code {
                    Code::Input { row, part } => input(self.block, row, part) == place,
                    _ => false,
                };
                let found = self.block.list.iter().position(|p| is_here(p.code));
                found.map(|i| i as Id)
            }),
            Place::After { .. } | Place::Slot(_) => written,
        }
    }
}

/// Panics unless every step reads what it should, and every output ends where it should.
fn follow(block: &Block, allocated: &Allocated) {
    let mut m = Machine {
        block,
        numbers: &allocated.numbers,
        registers: HashMap::new(),
        memory: HashMap::new(),
    };
    for (step, &value) in allocated.steps.iter().zip(&allocated.values) {
        let primitive = block.list[value as usize];
        let expected = primitive.args();
        let reads = |m: &Machine<'_>, operands: &[Operand]| -> Vec<Option<Id>> {
            operands.iter().map(|&o| m.at(o)).collect()
        };
        let register = Operand::Register;
        match *step {
            Step::Load(r, place) => {
                if place != CALL_SLOTS[0] {
                    assert_eq!(m.place(place), Some(value), "{step:?}");
                }
                m.registers.insert(r, value);
            }
            Step::Store(place, r) => {
                assert_eq!(m.registers.get(&r), Some(&value), "{step:?}");
                m.memory.insert(place, value);
            }
            Step::Move(to, from) => {
                assert_eq!(m.registers.get(&from), Some(&value), "{step:?}");
                m.registers.insert(to, value);
            }
            Step::One(code, to, a) => {
                assert_eq!((code, m.at(a)), (primitive.code, Some(expected[0])));
                m.registers.insert(to, value);
            }
            Step::Two(code, to, a, b) => {
                assert_eq!(code, primitive.code);
                let mut found = reads(&m, &[register(a), b]);
                if code.commutes() && found[0] != Some(expected[0]) {
                    found.reverse();
                }
                assert_eq!(found, [Some(expected[0]), Some(expected[1])], "{step:?}");
                m.registers.insert(to, value);
            }
            Step::Fused {
                form,
                first,
                second,
                third,
                ..
            } => {
                let [x, y, z] = match form {
                    Form::F132 => [register(first), third, register(second)],
                    Form::F213 => [register(second), register(first), third],
                    Form::F231 => [register(second), third, register(first)],
                };
                let mut found = reads(&m, &[x, y, z]);
                if found[0] != Some(expected[0]) {
                    found.swap(0, 1);
                }
                let expected: Vec<Option<Id>> = expected.iter().map(|&e| Some(e)).collect();
                assert_eq!(found, expected, "{step:?}");
                m.registers.insert(first, value);
            }
            Step::Choose {
                negated,
                swapped,
                to,
                a,
                b,
                no,
                yes,
                mask,
                ..
            } => {
                let mut found = reads(&m, &[register(a), b, yes, register(no)]);
                if swapped {
                    found.swap(0, 1);
                }
                if negated {
                    found.swap(2, 3);
                }
                let expected: Vec<Option<Id>> = expected.iter().map(|&e| Some(e)).collect();
                assert_eq!(found, expected, "{step:?}");
                if let Some(mask) = mask {
                    // The comparison is over when the choice is read.
                    m.registers.remove(&mask);
                    assert_eq!(m.at(yes), expected[if negated { 3 } else { 2 }], "{step:?}");
                    assert_eq!(
                        m.at(register(no)),
                        expected[if negated { 2 } else { 3 }],
                        "{step:?}"
                    );
                }
                m.registers.insert(to, value);
            }
            Step::Border => m.registers.clear(),
            Step::Call(_) => {
                for (place, &arg) in CALL_SLOTS.iter().zip(expected) {
                    assert_eq!(m.memory.get(place), Some(&arg), "{step:?}");
                }
                // Nothing survives a call in a register.
                m.registers.clear();
                m.memory.insert(CALL_SLOTS[0], value);
            }
        }
    }
    for &(id, row, part) in &block.outputs {
        assert_eq!(m.memory.get(&output(block, row, part)), Some(&id));
    }
    // Every input that was taken up stands in its row.
    let inputs = block.list.iter().enumerate();
    for (id, primitive) in inputs {
        if let Code::Input { row, part } = primitive.code
            && block.taken_up.iter().any(|c| c[1] == row)
        {
            let own = Place::Row { row, part };
            assert_eq!(m.memory.get(&own), Some(&(id as Id)));
        }
    }
}

#[test]
fn every_step_reads_the_values_that_the_block_says() {
    use rand::{SeedableRng, rngs::SmallRng};
    let mut random = SmallRng::seed_from_u64(3);
    for k in 0..1500 {
        let n_ops = if k % 30 == 0 { 500 } else { 5 + k % 70 };
        let (program, n_inputs) = random_program(&mut random, n_ops, k % 2 == 0);
        for set in [Set::Avx512, Set::Avx2, Set::Neon] {
            let mut block = record::record(&program, n_inputs, k % 2 == 0, set.scales());
            let rows = 0..n_inputs.min(program.outputs.len());
            let handed_on = rows.map(|row| [(n_inputs + row) as u32, row as u32]);
            match k % 3 {
                0 => block.carried = handed_on.collect(),
                1 => block.take_up(handed_on),
                _ => {}
            }
            let parts = set.side_by_side(block.list.len());
            let block = block.repeated(parts);
            // Few registers: values are stored and read again all the time.
            for n_registers in [5, 7, set.rules().n_registers] {
                for (window, piece) in [(1, usize::MAX), (64, 40)] {
                    let order = schedule(
                        &block,
                        Choice {
                            window,
                            ..set.choice(parts)
                        },
                    );
                    let rules = Rules {
                        n_registers,
                        ..set.rules()
                    };
                    follow(&block, &allocate(&block, &order, rules, piece));
                }
            }
        }
    }
}
