//! Traces read back: one fibre at all times, or some rows of all fibres.

use std::ops::Range;

use super::StoreError;
use super::chunks;
use super::offsets::Place;
use super::reader::ResultReader;
use crate::run::sink::{Precision, Samples, Traces};

/// Rows further apart than this are read one by one, nearer ones in one piece.
const FAR: u64 = 16 << 10;

/// Values of a trace in the file's precision.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl Values {
    /// As a sink takes them.
    pub fn samples(&self) -> Samples<'_> {
        match self {
            Values::F32(values) => Samples::F32(values),
            Values::F64(values) => Samples::F64(values),
        }
    }

    /// In double precision, exactly.
    pub fn into_f64(self) -> Vec<f64> {
        match self {
            Values::F32(values) => values.into_iter().map(f64::from).collect(),
            Values::F64(values) => values,
        }
    }
}

impl ResultReader {
    fn trace_place(&self, variable: &str) -> Result<(&Place, [u64; 2], [u64; 2]), StoreError> {
        let missing = || StoreError::Missing {
            path: self.path.clone(),
            what: format!("trace `{variable}`"),
        };
        let place = self
            .map
            .get(variable)
            .filter(|_| self.role(variable) == Some("trace"))
            .ok_or_else(missing)?;
        if place.bytes != 4 && place.bytes != 8 {
            return Err(self.wrong(format!("`{variable}` is of no known precision")));
        }
        let dims = [self.n_rows(), self.n_traces()];
        Ok((place, dims, place.chunk.unwrap_or(dims)))
    }

    /// One fibre's trace of a variable, the whole rows of it.
    pub fn read_trace(&self, variable: &str, fibre: u64) -> Result<Vec<f64>, StoreError> {
        self.first_rows(variable, fibre, self.committed.0)
    }

    /// The first `rows` samples of one fibre, whole or not.
    pub(super) fn first_rows(
        &self,
        variable: &str,
        fibre: u64,
        rows: u64,
    ) -> Result<Vec<f64>, StoreError> {
        let (place, dims, chunk) = self.trace_place(variable)?;
        let ids = match self.traces()? {
            Traces::All => self.fibre_ids()?,
            Traces::Some(ids) => ids,
        };
        let missing = || StoreError::Missing {
            path: self.path.clone(),
            what: format!("trace of fibre {fibre}"),
        };
        let column = ids.iter().position(|&id| id == fibre).ok_or_else(missing)? as u64;
        let (bytes, start) = (place.bytes, place.at.unwrap_or(0));
        let rows = rows.min(dims[0]);
        let mut trace = Vec::with_capacity(rows as usize);
        let mut block = Vec::new();
        for piece in chunks::pieces(dims, chunk, 0, rows) {
            if !(piece.column..piece.column + piece.columns).contains(&column) {
                continue;
            }
            let at = start + (piece.at + column - piece.column) * bytes;
            let stride = piece.stride * bytes;
            if stride >= FAR {
                for row in 0..piece.rows {
                    block.resize(bytes as usize, 0);
                    self.read_of(place, at + row * stride, &mut block)?;
                    trace.push(real(&block));
                }
            } else {
                block.resize(((piece.rows - 1) * stride + bytes) as usize, 0);
                self.read_of(place, at, &mut block)?;
                trace.extend(
                    block
                        .chunks(stride as usize)
                        .map(|row| real(&row[..bytes as usize])),
                );
            }
        }
        Ok(trace)
    }

    /// Rows of a variable, row-major `[row][trace]`, in the file's precision.
    pub fn read_rows(&self, variable: &str, rows: Range<usize>) -> Result<Values, StoreError> {
        let (place, dims, chunk) = self.trace_place(variable)?;
        let (first, end) = (rows.start as u64, rows.end as u64);
        if end > dims[0] || first > end {
            let what = format!("rows {first}..{end} of `{variable}`; it has {}", dims[0]);
            return Err(StoreError::Missing {
                path: self.path.clone(),
                what,
            });
        }
        let width = (dims[1] * place.bytes) as usize;
        let mut out = match self.precision() {
            Precision::F32 => Values::F32(vec![0.0; ((end - first) * dims[1]) as usize]),
            Precision::F64 => Values::F64(vec![0.0; ((end - first) * dims[1]) as usize]),
        };
        let target: &mut [u8] = match &mut out {
            Values::F32(values) => bytemuck::cast_slice_mut(values),
            Values::F64(values) => bytemuck::cast_slice_mut(values),
        };
        if target.len() as u64 != (end - first) * dims[1] * place.bytes {
            return Err(self.wrong("its traces are not all of one precision"));
        }
        let mut block = Vec::new();
        if target.is_empty() {
            return Ok(out);
        }
        for piece in chunks::pieces(dims, chunk, first, end - first) {
            let stride = (piece.stride * place.bytes) as usize;
            let used = (piece.columns * place.bytes) as usize;
            block.resize((piece.rows as usize - 1) * stride + used, 0);
            self.read_of(
                place,
                place.at.unwrap_or(0) + piece.at * place.bytes,
                &mut block,
            )?;
            for (row, source) in block.chunks(stride).enumerate() {
                let to = ((piece.row - first) as usize + row) * width
                    + (piece.column * place.bytes) as usize;
                target[to..to + used].copy_from_slice(&source[..used]);
            }
        }
        Ok(out)
    }
}

/// A stored number of either precision.
fn real(bytes: &[u8]) -> f64 {
    match bytes.len() {
        4 => f64::from(f32::from_le_bytes(std::array::from_fn(|i| bytes[i]))),
        _ => f64::from_le_bytes(std::array::from_fn(|i| bytes[i])),
    }
}
