//! Maps whose keys are places in a program.
//!
//! The compiler looks up some hundred thousand of them for a large model. The standard library's hash withstands keys that were chosen to collide;
//! places in a program are chosen by nobody, and a hash of two instructions saves a third of the time to the first step.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A map with such keys.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<PlaceHasher>>;
/// A set of such keys.
pub(crate) type Set<K> = HashSet<K, BuildHasherDefault<PlaceHasher>>;

/// Finds the place of something in a list by what it is. Only places are kept, four bytes for each, so that the table of a large program
/// stays in the cache; whoever asks has the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// A power of two of them, or none; [`EMPTY`] where there is none yet. What is found at its hash, or behind it.
    table: Vec<u32>,
    n: usize,
}

const EMPTY: u32 = u32::MAX;

impl Places {
    /// Makes room for so many in all.
    pub(crate) fn reserve<K: Hash>(&mut self, n: usize, key: impl Fn(u32) -> K) {
        // Half full at most: what is not there yet is known after two looks or three.
        let size = (2 * n).next_power_of_two();
        if size <= self.table.len() {
            return;
        }
        let old = std::mem::replace(&mut self.table, vec![EMPTY; size]);
        for place in old.into_iter().filter(|&p| p != EMPTY) {
            let mut at = self.start(&key(place));
            while self.table[at] != EMPTY {
                at = (at + 1) & (size - 1);
            }
            self.table[at] = place;
        }
    }

    /// The place of what equals `wanted`; it is `new` from now on if there was none. `key` tells what is at a place that is known.
    pub(crate) fn find_or_add<K: Hash + Eq>(
        &mut self,
        wanted: &K,
        new: u32,
        key: impl Fn(u32) -> K,
    ) -> u32 {
        if 2 * (self.n + 1) > self.table.len() {
            self.reserve((self.n + self.n / 2).max(FEWEST), &key);
        }
        let size = self.table.len();
        let mut at = self.start(wanted);
        loop {
            match self.table[at] {
                EMPTY => {
                    self.table[at] = new;
                    self.n += 1;
                    return new;
                }
                place if key(place) == *wanted => return place,
                _ => at = (at + 1) & (size - 1),
            }
        }
    }

    fn start<K: Hash>(&self, key: &K) -> usize {
        let mut hasher = PlaceHasher::default();
        key.hash(&mut hasher);
        hasher.finish() as usize & (self.table.len() - 1)
    }
}

/// Room for so many is made at first.
const FEWEST: usize = 700;

/// Turns, mixes in and multiplies, word by word.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlaceHasher(u64);

/// Odd, its bits without a pattern: 2^64 over the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for PlaceHasher {
    fn finish(&self) -> u64 {
        // The best bits are the high ones; tables look at the low ones too.
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        // Arrays of numbers come in one piece.
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.write_u64(u64::from_ne_bytes(*word));
        }
        for &byte in rest {
            self.write_u64(byte.into());
        }
    }

    fn write_u8(&mut self, x: u8) {
        self.write_u64(x.into());
    }

    fn write_u32(&mut self, x: u32) {
        self.write_u64(x.into());
    }

    fn write_u64(&mut self, x: u64) {
        self.0 = (self.0.rotate_left(23) ^ x).wrapping_mul(MULTIPLIER);
    }

    fn write_usize(&mut self, x: usize) {
        self.write_u64(x as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_where_it_was_added() {
        let mut places = Places::default();
        let mut list: Vec<u64> = Vec::new();
        // Some come again, some have the same low bits.
        let keys = (0..20_000u64).map(|k| (k * 7919 % 5003) << (k % 3 * 16));
        for wanted in keys {
            let new = list.len() as u32;
            let expected = list.iter().position(|&k| k == wanted);
            let found = places.find_or_add(&wanted, new, |p| list[p as usize]);
            assert_eq!(found, expected.map_or(new, |p| p as u32));
            if found == new {
                list.push(wanted);
            }
        }
    }
}
