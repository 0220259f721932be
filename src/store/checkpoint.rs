//! The two slots for the run's exact state.
//!
//! A slot is its bytes and a head of six words: sequence number, rows and events that were committed when it was taken,
//! number of bytes, CRC-32 of the bytes, CRC-32 of the five words before. A checkpoint goes into the older slot, bytes first, head
//! when they are on the disk; whatever is interrupted, the other slot stays good. Bytes that a slot has no room for go beside the file.

use super::netcdf::SLOT_WORDS;

/// Words of a slot's head.
pub(super) const WORDS: usize = SLOT_WORDS as usize;

/// What a slot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub sequence: u64,
    pub rows: u64,
    pub events: u64,
    pub length: u64,
    pub crc: u32,
}

/// The exact state of a run at some moment, to resume from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Grows by one with every checkpoint; the first is 1.
    pub sequence: u64,
    /// Rows that were complete when it was taken.
    pub rows: usize,
    /// Events that were written when it was taken.
    pub events: u64,
    /// The bytes that the run gave.
    pub state: Vec<u8>,
}

impl Head {
    /// For a state in parts that follow one another.
    pub(super) fn of(sequence: u64, rows: u64, events: u64, state: &[&[u8]]) -> Self {
        let mut crc = crc32fast::Hasher::new();
        state.iter().for_each(|part| crc.update(part));
        Head {
            sequence,
            rows,
            events,
            length: state.iter().map(|part| part.len() as u64).sum(),
            crc: crc.finalize(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let words = [
            self.sequence,
            self.rows,
            self.events,
            self.length,
            u64::from(self.crc),
        ];
        let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let crc = u64::from(crc32fast::hash(&bytes));
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The head in six words, if it was written whole and a checkpoint was ever taken.
    pub(super) fn decode(words: &[u64]) -> Option<Self> {
        let &[sequence, rows, events, length, crc, _] = words else {
            return None;
        };
        let head = Head {
            sequence,
            rows,
            events,
            length,
            crc: u32::try_from(crc).ok()?,
        };
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        (sequence > 0 && head.encode() == bytes).then_some(head)
    }

    /// The checkpoint, if `state` is what the head was made for.
    pub(super) fn with(self, state: Vec<u8>) -> Option<Checkpoint> {
        let good = state.len() as u64 == self.length && crc32fast::hash(&state) == self.crc;
        good.then_some(Checkpoint {
            sequence: self.sequence,
            rows: self.rows as usize,
            events: self.events,
            state,
        })
    }
}

/// The heads that were written whole, each with its slot.
fn heads(words: &[u64]) -> impl Iterator<Item = (usize, Head)> {
    let slots = words.chunks(WORDS).take(2).enumerate();
    slots.filter_map(|(slot, words)| Some((slot, Head::decode(words)?)))
}

/// The slots whose state is longer than `room`, so that its rest lies elsewhere.
pub(super) fn cut_off(words: &[u64], room: u64) -> impl Iterator<Item = usize> {
    let longer = move |(_, head): &(usize, Head)| head.length > room;
    heads(words).filter(longer).map(|(slot, _)| slot)
}

/// The newest good checkpoint of two slots, and which slot it is in. `read` gives the first bytes of a slot's state, `most_bytes` are those of the
/// longest that there can be.
pub(super) fn newest<E>(
    words: &[u64],
    most_bytes: u64,
    mut read: impl FnMut(usize, u64) -> Result<Vec<u8>, E>,
) -> Result<Option<(usize, Checkpoint)>, E> {
    let mut heads: Vec<(usize, Head)> = heads(words).collect();
    heads.sort_by_key(|(_, head)| std::cmp::Reverse(head.sequence));
    for (slot, head) in heads {
        if head.length > most_bytes {
            continue;
        }
        if let Some(checkpoint) = head.with(read(slot, head.length)?) {
            return Ok(Some((slot, checkpoint)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(states: [&[u8]; 2]) -> Vec<u64> {
        let bytes: Vec<u8> = states
            .iter()
            .enumerate()
            .flat_map(|(slot, state)| {
                Head::of(slot as u64 + 1, 10 * slot as u64, 0, &[state]).encode()
            })
            .collect();
        bytes
            .chunks(8)
            .map(|b| u64::from_le_bytes(b.try_into().unwrap()))
            .collect()
    }

    fn pick(words: &[u64], states: [&[u8]; 2]) -> Option<usize> {
        newest(words, 100, |slot, n| {
            Ok::<_, ()>(states[slot][..n as usize].to_vec())
        })
        .unwrap()
        .map(|(slot, _)| slot)
    }

    #[test]
    fn the_newest_whole_slot_is_taken() {
        let states: [&[u8]; 2] = [b"older", b"newer"];
        let words = slots(states);
        assert_eq!(pick(&words, states), Some(1));
        assert_eq!(pick(&words, [b"older", b"nEwer"]), Some(0));
        let mut torn = words.clone();
        torn[8] ^= 1;
        assert_eq!(pick(&torn, states), Some(0));
        torn[1] ^= 1;
        assert_eq!(pick(&torn, states), None);
    }

    #[test]
    fn an_empty_file_has_no_checkpoint() {
        assert_eq!(pick(&[0; 12], [b"", b""]), None);
    }
}
