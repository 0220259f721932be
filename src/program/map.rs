//! Maps whose keys are places in a program.
//!
//! The compiler looks up some hundred thousand of them for a large model. The standard library's hash withstands keys that were chosen to collide;
//! places in a program are chosen by nobody, and a hash of two instructions saves a third of the time to the first step.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map with such keys.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<PlaceHasher>>;
/// A set of such keys.
pub(crate) type Set<K> = HashSet<K, BuildHasherDefault<PlaceHasher>>;

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
