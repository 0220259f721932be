//! The exact state of a run as bytes: how it is written down, how it is taken back, and the point from which a resumed run goes on.
//!
//! Whoever moves fibres writes what it needs to go on with the same bits; whoever stands between it and the sink puts its own in front. The store
//! knows of bytes alone. All numbers are little-endian.

use std::borrow::Cow;
use std::sync::Arc;

use bytemuck::{AnyBitPattern, NoUninit};

use super::sink::{SinkError, SpikeEvent};

/// What a sink has kept of the part of a run that is over, for the run that goes on from there.
pub trait Past: Send + Sync + std::fmt::Debug {
    /// The first `rows` samples of a recorded fibre, single precision widened. `variable` counts recorded quantities.
    ///
    /// # Errors
    /// If they are not there or cannot be read.
    fn trace(&self, variable: usize, fibre: u64, rows: usize) -> Result<Vec<f64>, SinkError>;

    /// The events of the slabs that are over, slab by slab; `counts` says how many each had.
    ///
    /// # Errors
    /// If they are not there or cannot be read.
    fn events(
        &self,
        counts: &[u64],
        take: &mut dyn FnMut(Vec<SpikeEvent>),
    ) -> Result<(), SinkError>;
}

/// Where a run goes on that was cut off.
#[derive(Clone, Debug)]
pub struct Point {
    /// What [`super::sink::Sink::checkpoint`] was given.
    pub state: Arc<[u8]>,
    /// What was handed over before.
    pub past: Arc<dyn Past>,
}

/// Bytes in the making: some of its own, and large ones that it only points to.
#[derive(Debug, Default)]
pub(super) struct Sheet<'a> {
    parts: Vec<Cow<'a, [u8]>>,
}

impl<'a> Sheet<'a> {
    pub(super) fn words(&mut self, words: &[u64]) {
        let bytes = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.parts.push(Cow::Owned(bytes));
    }

    /// Numbers, without their count.
    pub(super) fn numbers<T: NoUninit>(&mut self, numbers: &'a [T]) {
        let bytes = bytemuck::cast_slice(numbers);
        self.parts.push(Cow::Borrowed(bytes));
    }

    /// Numbers, without their count, that nobody else keeps.
    pub(super) fn own<T: NoUninit>(&mut self, numbers: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(numbers);
        self.parts.push(Cow::Owned(bytes.to_vec()));
    }

    pub(super) fn parts(&self) -> Vec<&[u8]> {
        self.parts.iter().map(|part| &**part).collect()
    }
}

/// Bytes being taken back, from the front. `None` where there are too few.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn words<const N: usize>(&mut self) -> Option<[u64; N]> {
        let bytes = self.bytes(8 * N)?;
        Some(std::array::from_fn(|i| {
            u64::from_le_bytes(std::array::from_fn(|k| bytes[8 * i + k]))
        }))
    }

    /// The same as a count of things that are held in memory.
    pub(super) fn count(&mut self) -> Option<usize> {
        let [n] = self.words()?;
        usize::try_from(n).ok()
    }

    pub(super) fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    /// Fills a slice.
    pub(super) fn fill<T: NoUninit + AnyBitPattern>(&mut self, numbers: &mut [T]) -> Option<()> {
        let target: &mut [u8] = bytemuck::cast_slice_mut(numbers);
        let bytes = self.bytes(target.len())?;
        target.copy_from_slice(bytes);
        Some(())
    }

    /// So many numbers; nothing is allocated that the bytes do not hold.
    pub(super) fn numbers<T: NoUninit + AnyBitPattern>(&mut self, n: usize) -> Option<Vec<T>> {
        if n.checked_mul(size_of::<T>())? > self.0.len() {
            return None;
        }
        let mut numbers = vec![T::zeroed(); n];
        self.fill(&mut numbers)?;
        Some(numbers)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What it means that bytes are not those of this run.
pub(super) fn does_not_fit() -> SinkError {
    SinkError::Format(
        "its checkpoint is not one of this run: it was made by another version of the program, or the file was changed".to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_taken_back_and_nothing_more() {
        let kept = [1.5f32, f32::NAN];
        let mut sheet = Sheet::default();
        sheet.words(&[7, u64::MAX]);
        sheet.numbers(&kept);
        sheet.own(&[-1i64]);
        let bytes = sheet.parts().concat();
        assert_eq!(bytes.len(), 16 + 8 + 8);
        let mut cursor = Cursor(&bytes);
        assert_eq!(cursor.words(), Some([7, u64::MAX]));
        let mut back = [0f32; 2];
        cursor.fill(&mut back).expect("two numbers");
        assert_eq!(back.map(f32::to_bits), kept.map(f32::to_bits));
        assert_eq!(cursor.numbers::<i64>(usize::MAX), None);
        assert_eq!(cursor.numbers::<i64>(1), Some(vec![-1]));
        assert!(cursor.is_empty());
        assert_eq!(cursor.count(), None);
    }
}
