//! The order in which a block is computed: so that long chains of operations that wait for each other run side by side.
//!
//! A core looks some hundred instructions ahead; a step program has chains (exponentials, eliminations) that are longer than that. So
//! primitives are listed as an imagined core would start them: of the next few in the given order, the one that is ready and
//! has the longest way to the end. The window keeps the order near the given one, on which it depends how many values are alive at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::primitive::{Block, Id};

/// What the core can begin in a cycle.
const WIDTH: u32 = 2;

/// Computed primitives in running order; what no output needs is left out.
pub(super) fn schedule(block: &Block, window: usize) -> Vec<Id> {
    let n = block.list.len();
    let needed = needed(block);
    let order: Vec<Id> = (0..n as Id)
        .filter(|&i| needed[i as usize] && !block.list[i as usize].code.is_given())
        .collect();
    let users = Users::new(block, &order);
    let mut waits = vec![0u32; n];
    for &u in &users.list {
        waits[u as usize] += 1;
    }
    let latency = |i: Id| block.list[i as usize].code.latency(block.double);
    // Cycles from the start of a primitive to the end of the longest chain behind it.
    let mut way = vec![0u32; n];
    for &i in order.iter().rev() {
        let behind = users.of(i).iter().map(|&u| way[u as usize]).max();
        way[i as usize] = latency(i) + behind.unwrap_or(0);
    }
    let mut ready_at = vec![0u32; n];
    let mut is_open = vec![false; n];
    let mut placed = Vec::with_capacity(order.len());
    // Of those in the window that wait for no argument: when they can begin, and, of those that can by now, the longest way first, then the
    // given order.
    let mut soon: BinaryHeap<Reverse<(u32, Id)>> = BinaryHeap::new();
    let mut now: BinaryHeap<(u32, Reverse<Id>)> = BinaryHeap::new();
    let (mut cycle, mut begun) = (0, 0);
    let mut n_open = 0;
    let mut rest = order.iter().copied();
    while placed.len() < order.len() {
        for i in rest.by_ref().take(window - n_open) {
            is_open[i as usize] = true;
            n_open += 1;
            if waits[i as usize] == 0 {
                soon.push(Reverse((ready_at[i as usize], i)));
            }
        }
        while let Some(&Reverse((at, i))) = soon.peek()
            && at <= cycle
        {
            soon.pop();
            now.push((way[i as usize], Reverse(i)));
        }
        if begun == WIDTH || now.is_empty() {
            cycle += 1;
            begun = 0;
            continue;
        }
        let Some((_, Reverse(i))) = now.pop() else {
            continue;
        };
        placed.push(i);
        n_open -= 1;
        begun += 1;
        for &u in users.of(i) {
            waits[u as usize] -= 1;
            let at = &mut ready_at[u as usize];
            *at = (*at).max(cycle + latency(i));
            if waits[u as usize] == 0 && is_open[u as usize] {
                soon.push(Reverse((*at, u)));
            }
        }
    }
    placed
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
                let args = block.list[i as usize].args();
                for (k, &a) in args.iter().enumerate() {
                    if !args[..k].contains(&a) && !block.list[a as usize].code.is_given() {
                        act(a, i);
                    }
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
