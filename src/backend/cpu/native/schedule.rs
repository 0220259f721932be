//! The order in which a block is computed: so that long chains of operations that wait for each other run side by side, and few values have to be kept.
//!
//! A core looks some hundred instructions ahead; a step program has chains (exponentials, eliminations) that are longer than that, and many more
//! values than there are registers. So primitives are listed as an imagined core would start them. Of the next few in the given order whose
//! arguments are known it takes the one that waits the shortest time for them, that is the last to need them, and that has the longest way to the
//! end: the three are weighed against each other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::primitive::{Block, Id};

/// What a cycle of waiting is worth beside a cycle of the way to the end. This and [`Choice::register`] were found by trial, with models of processors
/// (`benches/README.md`): half or twice of either costs some per cent, of time or of instructions.
const WAIT: i64 = 300;

/// Among how many primitives the next one is chosen, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// Primitives of the given order.
    pub window: usize,
    /// What the imagined core can begin in a cycle.
    pub width: u32,
    /// What a register that becomes free is worth beside a cycle of the way to the end.
    pub register: i64,
}

/// Computed primitives in running order; what no output needs is left out.
pub(super) fn schedule(block: &Block, choice: Choice) -> Vec<Id> {
    let needed = needed(block);
    let order: Vec<Id> = (0..block.list.len() as Id)
        .filter(|&i| needed[i as usize] && !block.list[i as usize].code.is_given())
        .collect();
    let mut front = Front::new(block, &order, choice);
    let mut placed = Vec::with_capacity(order.len());
    let mut rest = order.iter().copied();
    while placed.len() < order.len() {
        for i in rest.by_ref().take(choice.window - front.n_open) {
            front.open(i);
        }
        let i = front.next();
        front.place(i);
        placed.push(i);
    }
    placed
}

/// Where a primitive stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Behind the window.
    Far,
    /// In it.
    Open,
    /// In it, with arguments that are there.
    Now,
    Placed,
}

/// The window, and the imagined core.
struct Front<'a> {
    block: &'a Block,
    users: Users,
    state: Vec<State>,
    /// Primitives of the window.
    n_open: usize,
    /// Arguments of each that are not placed yet.
    waits: Vec<u32>,
    /// The cycle in which the arguments are there, as far as they are placed.
    ready_at: Vec<u32>,
    /// How many users each has that are not placed yet, and the sum of their numbers: of the last one the number.
    left: Vec<(usize, Id)>,
    /// What speaks for each, but for the time that it waits: cycles from its start to the end of the longest chain behind it, and the registers that
    /// it frees.
    gain: Vec<i64>,
    choice: Choice,
    /// Those of the window whose arguments are all placed: the ones that wait for them.
    soon: Vec<Id>,
    /// The ones that do not, with what speaks for them; where that has changed, once more.
    now: BinaryHeap<(i64, Reverse<Id>)>,
    cycle: u32,
    /// Primitives that were begun in this cycle.
    begun: u32,
}

impl<'a> Front<'a> {
    fn new(block: &'a Block, order: &[Id], choice: Choice) -> Self {
        let n = block.list.len();
        let users = Users::new(block, order);
        let mut waits = vec![0; n];
        for &u in &users.list {
            waits[u as usize] += 1;
        }
        let mut gain = vec![0; n];
        for &i in order.iter().rev() {
            let behind = users.of(i).iter().map(|&u| gain[u as usize]).max();
            let latency = block.list[i as usize].code.latency(block.double);
            gain[i as usize] = i64::from(latency) + behind.unwrap_or(0);
        }
        let left: Vec<(usize, Id)> = (0..n as Id)
            .map(|i| {
                let users = users.of(i);
                let sum = users.iter().fold(0, |sum: Id, &u| sum.wrapping_add(u));
                (users.len(), sum)
            })
            .collect();
        for &(left, last) in &left {
            if left == 1 {
                gain[last as usize] += choice.register;
            }
        }
        Front {
            block,
            users,
            state: vec![State::Far; n],
            n_open: 0,
            waits,
            ready_at: vec![0; n],
            left,
            gain,
            choice,
            soon: Vec::new(),
            now: BinaryHeap::new(),
            cycle: 0,
            begun: 0,
        }
    }

    /// The window reaches a primitive.
    fn open(&mut self, i: Id) {
        self.n_open += 1;
        self.state[i as usize] = State::Open;
        if self.waits[i as usize] == 0 {
            self.soon.push(i);
        }
    }

    /// The best of the window, taken out of it.
    fn next(&mut self) -> Id {
        let Front {
            state,
            ready_at,
            gain,
            soon,
            now,
            cycle,
            ..
        } = self;
        soon.retain(|&i| {
            let waits = ready_at[i as usize] > *cycle;
            if !waits {
                state[i as usize] = State::Now;
                now.push((gain[i as usize], Reverse(i)));
            }
            waits
        });
        while let Some(&(was, Reverse(i))) = now.peek()
            && (state[i as usize] != State::Now || was != gain[i as usize])
        {
            now.pop();
        }
        let cost = |i: Id| WAIT * i64::from(ready_at[i as usize] - *cycle) - gain[i as usize];
        let waiting = (0..soon.len()).map(|k| (cost(soon[k]), soon[k], Some(k)));
        let at_once = now.peek().map(|&(gain, Reverse(i))| (-gain, i, None));
        let (_, i, k) = waiting
            .chain(at_once)
            .min()
            .expect("the first that is not placed waits for none");
        match k {
            Some(k) => {
                soon.swap_remove(k);
            }
            None => {
                now.pop();
            }
        }
        self.n_open -= 1;
        i
    }

    /// The core begins a primitive, as soon as its arguments are there.
    fn place(&mut self, i: Id) {
        if self.ready_at[i as usize] > self.cycle {
            (self.cycle, self.begun) = (self.ready_at[i as usize], 0);
        }
        self.state[i as usize] = State::Placed;
        for a in distinct(self.block, i) {
            let (left, last) = &mut self.left[a as usize];
            (*left, *last) = (*left - 1, last.wrapping_sub(i));
            if *left == 1 {
                let last = *last;
                let gain = &mut self.gain[last as usize];
                *gain += self.choice.register;
                if self.state[last as usize] == State::Now {
                    self.now.push((*gain, Reverse(last)));
                }
            }
        }
        let latency = self.block.list[i as usize].code.latency(self.block.double);
        for &u in self.users.of(i) {
            let at = &mut self.ready_at[u as usize];
            *at = (*at).max(self.cycle + latency);
            self.waits[u as usize] -= 1;
            if self.waits[u as usize] == 0 && self.state[u as usize] == State::Open {
                self.soon.push(u);
            }
        }
        self.begun += 1;
        if self.begun == self.choice.width {
            (self.cycle, self.begun) = (self.cycle + 1, 0);
        }
    }
}

/// The computed arguments of a primitive, each once.
fn distinct(block: &Block, i: Id) -> impl Iterator<Item = Id> {
    let args = block.list[i as usize].args();
    args.iter().enumerate().filter_map(|(k, &a)| {
        let once = !args[..k].contains(&a) && !block.list[a as usize].code.is_given();
        once.then_some(a)
    })
}

/// The computed primitives that use each one, in the order of the block.
struct Users {
    /// Where the users of each begin in the list.
    first: Vec<u32>,
    list: Vec<Id>,
}

impl Users {
    fn new(block: &Block, order: &[Id]) -> Self {
        let each = |act: &mut dyn FnMut(Id, Id)| {
            for &i in order {
                for a in distinct(block, i) {
                    act(a, i);
                }
            }
        };
        let mut first = vec![0; block.list.len() + 1];
        each(&mut |a, _| first[a as usize + 1] += 1);
        for k in 1..first.len() {
            first[k] += first[k - 1];
        }
        let mut next = first.clone();
        let mut list = vec![0; next[next.len() - 1] as usize];
        each(&mut |a, i| {
            list[next[a as usize] as usize] = i;
            next[a as usize] += 1;
        });
        Users { first, list }
    }

    fn of(&self, i: Id) -> &[Id] {
        &self.list[self.first[i as usize] as usize..self.first[i as usize + 1] as usize]
    }
}

/// Which primitives the outputs need.
fn needed(block: &Block) -> Vec<bool> {
    let mut needed = vec![false; block.list.len()];
    for &(id, ..) in &block.outputs {
        needed[id as usize] = true;
    }
    for i in (0..block.list.len()).rev() {
        if needed[i] {
            for &a in block.list[i].args() {
                needed[a as usize] = true;
            }
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::super::allocate::{Place, Step, allocate};
    use super::super::primitive::{Code, NONE};
    use super::super::record::record;
    use super::super::set::Set;
    use super::super::tests::random_program;
    use super::*;

    #[test]
    fn what_is_needed_is_placed_once_and_behind_its_arguments() {
        let mut random = SmallRng::seed_from_u64(11);
        for k in 0..200 {
            let (program, n_inputs) = random_program(&mut random, 5 + 3 * k, k % 2 == 0);
            for set in [Set::Avx2, Set::Avx512] {
                let block = record(&program, n_inputs, k % 2 == 0, set.scales());
                let mut is_placed = vec![false; block.list.len()];
                for i in schedule(&block, set.choice(1)) {
                    assert!(distinct(&block, i).all(|a| is_placed[a as usize]));
                    assert!(!std::mem::replace(&mut is_placed[i as usize], true));
                }
                for (i, needed) in needed(&block).into_iter().enumerate() {
                    let is_given = block.list[i].code.is_given();
                    assert_eq!(is_placed[i], needed && !is_given);
                }
                let in_turn = Choice {
                    window: 1,
                    ..set.choice(1)
                };
                assert!(schedule(&block, in_turn).is_sorted());
            }
        }
    }

    /// `(a_0 b_0)(a_1 b_1) + (a_2 b_2)(a_3 b_3) + …`: the longest ways lead from the products.
    fn sum_of_products(n: u32) -> Block {
        let mut block = Block::new(false);
        let mut sum = NONE;
        for k in 0..n {
            let mut input = |row| block.push(Code::Input { row, part: 0 }, &[]);
            let [a, b, c, d] = [0, 1, 2, 3].map(|j| input(4 * k + j));
            let (ab, cd) = (
                block.push(Code::Mul, &[a, b]),
                block.push(Code::Mul, &[c, d]),
            );
            let term = block.push(Code::Mul, &[ab, cd]);
            sum = if k == 0 {
                term
            } else {
                block.push(Code::Add, &[sum, term])
            };
        }
        block.outputs = vec![(sum, 4 * n, 0)];
        block
    }

    #[test]
    fn registers_are_freed_before_they_run_out() {
        let block = sum_of_products(100);
        let spills = |register| {
            let choice = Choice {
                register,
                ..Set::Avx2.choice(1)
            };
            let order = schedule(&block, choice);
            let steps = allocate(&block, &order, Set::Avx2.rules(), usize::MAX).steps;
            let is_spill = |s: &&Step| matches!(s, Step::Store(Place::Slot(_), _));
            steps.iter().filter(is_spill).count()
        };
        let (by_the_way, by_registers) = (spills(0), spills(Set::Avx2.choice(1).register));
        assert!(by_the_way > 20, "{by_the_way}");
        assert_eq!(by_registers, 0);
    }
}
