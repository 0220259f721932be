//! The shape of the chunks of a trace, and the pieces of the file that a slab of rows covers.
//!
//! Two readings matter: one fibre at all times, one instant of all fibres. With `b` chunks along time and `f` along the
//! fibres, the first costs `b` chunks and the second `f`, and `b f` is fixed by the chunk's size; the fair choice is
//! `b = f`. A chunk holds at most 1 MiB, because that is the chunk cache of the HDF5 libraries before 2.0: a larger one is read
//! value by value. Stored without a filter, the chunks follow each other in row-major order at arithmetic addresses (the
//! implicit index), so a slab is written without asking any library where it goes.

/// Bytes of a chunk, at most.
pub(super) const CHUNK_BYTES: u64 = 1 << 20;

/// Rows and columns of a chunk for `rows` x `columns` values of `bytes` bytes each; `None` where all fit one chunk and are
/// better stored in one piece.
pub(super) fn shape(rows: u64, columns: u64, bytes: u64) -> Option<[u64; 2]> {
    let per_chunk = CHUNK_BYTES / bytes;
    let total = rows.checked_mul(columns)?;
    if total <= per_chunk {
        return None;
    }
    let chunks = total.div_ceil(per_chunk);
    let mut bands = ((chunks as f64).sqrt().round() as u64).clamp(1, rows);
    loop {
        let band_rows = rows.div_ceil(bands);
        // Rows first: the columns then take what is left, evenly, so that the last chunk is nearly full.
        let most_columns = (per_chunk / band_rows).min(columns);
        if most_columns > 0 {
            let files = columns.div_ceil(most_columns);
            return Some([band_rows, columns.div_ceil(files)]);
        }
        bands += 1;
    }
}

/// Bytes that a chunked array takes: whole chunks.
pub(super) fn stored_bytes(dims: [u64; 2], chunk: [u64; 2], bytes: u64) -> Option<u64> {
    dims[0]
        .div_ceil(chunk[0])
        .checked_mul(dims[1].div_ceil(chunk[1]))?
        .checked_mul(chunk[0])?
        .checked_mul(chunk[1])?
        .checked_mul(bytes)
}

/// A run of the file that holds part of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where in the array's storage, in values from its start.
    pub at: u64,
    /// First row.
    pub row: u64,
    /// Number of rows.
    pub rows: u64,
    /// First column.
    pub column: u64,
    /// Number of columns that hold values.
    pub columns: u64,
    /// Values from one row to the next in the storage.
    pub stride: u64,
}

/// The pieces of the storage that rows `first .. first + rows` of an array cover, in file order.
pub(super) fn pieces(
    dims: [u64; 2],
    chunk: [u64; 2],
    first: u64,
    rows: u64,
) -> impl Iterator<Item = Piece> {
    let across = dims[1].div_ceil(chunk[1]);
    let end = first + rows;
    let bands = if rows == 0 {
        0..0
    } else {
        first / chunk[0]..end.div_ceil(chunk[0])
    };
    bands.flat_map(move |band| {
        (0..across).map(move |file| {
            let row = first.max(band * chunk[0]);
            let column = file * chunk[1];
            Piece {
                at: (band * across + file) * chunk[0] * chunk[1]
                    + (row - band * chunk[0]) * chunk[1],
                row,
                rows: end.min((band + 1) * chunk[0]) - row,
                column,
                columns: chunk[1].min(dims[1] - column),
                stride: chunk[1],
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_a_quarter_to_one_mebibyte_and_waste_little() {
        for rows in [1, 2, 7, 200, 2001, 40_001, 3_000_000] {
            for columns in [1, 3, 64, 1000, 10_001, 1_000_000] {
                for bytes in [4, 8] {
                    let Some(chunk) = shape(rows, columns, bytes) else {
                        assert!(rows * columns * bytes <= CHUNK_BYTES);
                        continue;
                    };
                    let size = chunk[0] * chunk[1] * bytes;
                    assert!(
                        (CHUNK_BYTES / 4..=CHUNK_BYTES).contains(&size),
                        "{rows} x {columns}: {chunk:?}"
                    );
                    let stored = stored_bytes([rows, columns], chunk, bytes).unwrap();
                    assert!(
                        stored as f64 <= 1.3 * (rows * columns * bytes) as f64,
                        "{rows} x {columns}: {chunk:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn pieces_of_all_slabs_cover_every_value_once() {
        let (dims, chunk) = ([23, 17], [5, 4]);
        for slab in [1, 3, 5, 7, 23] {
            let mut seen = std::collections::BTreeSet::new();
            let mut first = 0;
            while first < dims[0] {
                let rows = slab.min(dims[0] - first);
                for piece in pieces(dims, chunk, first, rows) {
                    for r in 0..piece.rows {
                        for c in 0..piece.columns {
                            let (row, column) = (piece.row + r, piece.column + c);
                            let chunk_index = row / 5 * 5 + column / 4;
                            assert_eq!(
                                piece.at + r * piece.stride + c,
                                chunk_index * 20 + row % 5 * 4 + column % 4
                            );
                            assert!(seen.insert((row, column)));
                        }
                    }
                }
                first += rows;
            }
            assert_eq!(seen.len() as u64, dims[0] * dims[1]);
        }
    }
}
