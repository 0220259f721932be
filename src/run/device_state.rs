//! What a checkpoint holds of the fibres that a device moves: everything as it lies there, and what has been found of a slab that is not over yet.

use crate::backend::Spike;
use crate::backend::gpu::{Gpu, Image};
use crate::ops::Lane;

use super::checkpoint::{Cursor, Sheet};
use super::lanes_state::Shape;

/// The first word: what follows, and in which form.
const MAGIC: u64 = u64::from_le_bytes(*b"DEVICE\0\x01");

/// Where a run stands.
#[derive(Clone, Debug)]
pub(super) struct Standstill<T> {
    /// The slab that it is in, and rows of a slab.
    pub slab: usize,
    pub rows_per_slab: usize,
    /// Events of the slabs before.
    pub n_events: u64,
    /// What has been found of the slab, if it has begun.
    pub begun: Option<Begun<T>>,
}

/// What has been found of a slab.
#[derive(Clone, Debug)]
pub(super) struct Begun<T> {
    /// `[variable][row][trace]`, NaN where nothing is known.
    pub values: Vec<T>,
    pub spikes: Vec<Spike>,
}

fn head<T: Lane>(shape: Shape) -> [u64; 6] {
    [
        MAGIC,
        size_of::<T>() as u64,
        shape.n_fibres as u64,
        shape.n_samples as u64,
        shape.n_recorded as u64,
        shape.n_features as u64,
    ]
}

/// Writes everything down: `images` are of fibres that follow one another, the first of them is `first`.
pub(super) fn save<T: Lane>(
    shape: Shape,
    at: &Standstill<T>,
    images: &[Image<T>],
    first: u64,
) -> Vec<u8> {
    let mut sheet = Sheet::default();
    sheet.words(&head::<T>(shape));
    sheet.words(&[at.slab as u64, at.rows_per_slab as u64, at.n_events]);
    let sizes: Vec<u64> = images.iter().map(|i| i.saved_bytes() as u64).collect();
    sheet.words(&[sizes.len() as u64]);
    sheet.words(&sizes);
    let mut bytes = sheet.parts().concat();
    images.iter().for_each(|image| image.save(&mut bytes));
    let mut found = Sheet::default();
    match &at.begun {
        None => found.words(&[0]),
        Some(begun) => {
            // Rows that no fibre has reached are NaN throughout.
            let per_variable = begun.values.len() / shape.n_recorded.max(1);
            let reached = |of: &[T]| of.iter().rposition(|x| !x.f64().is_nan());
            let variables = begun.values.chunks(per_variable.max(1));
            let reached = variables
                .filter_map(reached)
                .max()
                .map_or(0, |last| last + 1);
            found.words(&[1, begun.values.len() as u64, reached as u64]);
            for of in begun.values.chunks(per_variable.max(1)) {
                found.numbers(&of[..reached]);
            }
            let times: Vec<f64> = begun.spikes.iter().map(|s| s.time_ms).collect();
            let mark = |s: &Spike| [(s.fibre - first) as u32, s.feature as u32];
            let marks: Vec<u32> = begun.spikes.iter().flat_map(mark).collect();
            found.words(&[times.len() as u64]);
            found.own(&times);
            found.own(&marks);
        }
    }
    found.parts().iter().for_each(|part| bytes.extend(*part));
    bytes
}

/// Takes back what [`save`] wrote: where the run stands, and all fibres as one image.
pub(super) fn restore<T: Lane>(
    gpu: &Gpu<T>,
    shape: Shape,
    bytes: &[u8],
    first: u64,
) -> Option<(Standstill<T>, Image<T>)> {
    let mut cursor = Cursor(bytes);
    if cursor.words::<6>()? != head::<T>(shape) {
        return None;
    }
    let [slab, rows_per_slab, n_events] = cursor.words::<3>()?;
    let n = cursor.count()?;
    let sizes: Vec<u64> = cursor.numbers(n)?;
    let per_fibre = gpu.blank(1).saved_bytes() as u64;
    let mut images = Vec::new();
    let mut n_fibres = 0;
    for size in sizes {
        let own = usize::try_from(size / per_fibre).ok()?;
        let bytes = cursor.bytes(usize::try_from(size).ok()?)?;
        let mut image = gpu.blank(own);
        if image.saved_bytes() as u64 != size {
            return None;
        }
        image.restore(bytes)?;
        images.push(image);
        n_fibres += own;
    }
    if n_fibres != shape.n_fibres {
        return None;
    }
    let begun = match cursor.count()? {
        0 => None,
        _ => Some(begun(shape, &mut cursor, first)?),
    };
    let at = Standstill {
        slab: usize::try_from(slab).ok()?,
        rows_per_slab: usize::try_from(rows_per_slab).ok()?,
        n_events,
        begun,
    };
    cursor.is_empty().then(|| (at, gpu.join(&images)))
}

fn begun<T: Lane>(shape: Shape, cursor: &mut Cursor<'_>, first: u64) -> Option<Begun<T>> {
    let (n, reached) = (cursor.count()?, cursor.count()?);
    let traces = shape.n_fibres.checked_mul(shape.rows_per_slab)?;
    if n > traces.checked_mul(shape.n_recorded)? {
        return None;
    }
    let per_variable = n / shape.n_recorded.max(1);
    let mut values = vec![T::of(f64::NAN); n];
    for of in values.chunks_mut(per_variable.max(1)) {
        cursor.fill(of.get_mut(..reached)?)?;
    }
    let n = cursor.count()?;
    let times = cursor.numbers::<f64>(n)?;
    let marks = cursor.numbers::<u32>(n.checked_mul(2)?)?;
    let spike = |(&time_ms, mark): (&f64, &[u32])| {
        let fits = (mark[0] as usize) < shape.n_fibres && (mark[1] as usize) < shape.n_features;
        fits.then(|| Spike {
            time_ms,
            fibre: first + u64::from(mark[0]),
            feature: mark[1] as usize,
        })
    };
    let spikes = times.iter().zip(marks.chunks_exact(2)).map(spike);
    Some(Begun {
        values,
        spikes: spikes.collect::<Option<_>>()?,
    })
}
