//! Compression (shuffle, then deflate) as a finishing pass: a complete file is written anew, with its traces in compressed chunks, checked number by
//! number, and put in the place of the raw one. A kill in between leaves one of the two whole.
//!
//! A compressed chunk is of no known length, so addresses and lengths stand in an index (HDF5's fixed array): a header
//! and a table at a known place, written when all chunks are.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use hdf5::format::FormatContext;
use hdf5::format::chunk_index::fixed_array::{
    FixedArrayDataBlock, FixedArrayFilteredChunkElement, FixedArrayHeader,
};
use hdf5::format::messages::filter::{
    FilterPipeline, apply_filters, reverse_filters_masked_bounded,
};
use rayon::prelude::*;

use super::disk::Disk;
use super::netcdf::{Dataset, Initial, Value, contents};
use super::offsets::{Map, Place};
use super::reader::{ResultReader, RunStatus, open};
use super::skeleton::build;
use super::{StoreError, chunks, create, disk, offsets};

/// Entries of an index that are one page of its table: so many that no file of ours has a second page.
pub(super) const PAGE_BITS: u8 = 24;
/// Chunks that are compressed at the same time.
const AT_ONCE: usize = 32;

/// Where the compressed chunks of a dataset are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    pub pipeline: FilterPipeline,
    /// Address and length of each chunk.
    pub chunks: Vec<(u64, u64)>,
}

/// Bytes that tell the length of a chunk, as HDF5 counts them.
fn length_bytes(chunk_bytes: u64) -> u8 {
    (1 + (u64::from(chunk_bytes.max(1).ilog2()) + 8) / 8).min(8) as u8
}

/// Bytes of header and table of an index of `n` chunks.
pub(super) fn index_bytes(n: u64, chunk_bytes: u64) -> u64 {
    let ctx = FormatContext::default_v3();
    let header = FixedArrayHeader::new_for_filtered_chunks(&ctx, n, length_bytes(chunk_bytes));
    header.encoded_size(&ctx) as u64 + table_bytes(n, chunk_bytes)
}

fn table_bytes(n: u64, chunk_bytes: u64) -> u64 {
    // Signature, version, kind, address of the header; entries of address, length and mask; checksum.
    4 + 1 + 1 + 8 + n * (8 + u64::from(length_bytes(chunk_bytes)) + 4) + 4
}

fn index(at: u64, chunk_bytes: u64, chunks: &[(u64, u64)]) -> Vec<u8> {
    let ctx = FormatContext::default_v3();
    let (n, width) = (chunks.len(), length_bytes(chunk_bytes));
    let mut header = FixedArrayHeader::new_for_filtered_chunks(&ctx, n as u64, width);
    header.max_dblk_page_nelmts_bits = PAGE_BITS;
    header.data_blk_addr = at + header.encoded_size(&ctx) as u64;
    let mut table = FixedArrayDataBlock::new_filtered(at, n);
    for (entry, &(address, chunk_size)) in table.filtered_elements.iter_mut().zip(chunks) {
        *entry = FixedArrayFilteredChunkElement {
            address,
            chunk_size,
            filter_mask: 0,
        };
    }
    let mut bytes = header.encode(&ctx);
    bytes.extend(table.encode_filtered(&ctx, usize::from(width)));
    bytes
}

/// Reads an index. `bytes` gives a piece of the file, or says that it is outside.
pub(super) fn read_index(
    at: u64,
    dims: [u64; 2],
    chunk: [u64; 2],
    element: u64,
    pipeline: FilterPipeline,
    bytes: impl Fn(u64, u64) -> Result<Vec<u8>, offsets::Fault>,
) -> Result<Packed, offsets::Fault> {
    let ctx = FormatContext::default_v3();
    let ours = |level: u32| pipeline == FilterPipeline::shuffle_deflate(element as u32, level);
    let size = chunk[0]
        .checked_mul(chunk[1])
        .and_then(|n| n.checked_mul(element))
        .filter(|&n| n <= chunks::CHUNK_BYTES && (1..=9).any(ours));
    let size = size.ok_or("a compression that we do not write")?;
    let n = dims[0]
        .div_ceil(chunk[0])
        .checked_mul(dims[1].div_ceil(chunk[1]))
        .ok_or("chunks without number")?;
    let length = FixedArrayHeader::new_for_filtered_chunks(&ctx, n, length_bytes(size))
        .encoded_size(&ctx) as u64;
    let header = FixedArrayHeader::decode(&bytes(at, length)?, &ctx).map_err(|e| e.to_string())?;
    if header.num_elmts != n || header.is_paged() || n > 1 << PAGE_BITS {
        return Err("an index of chunks that we do not write".to_string());
    }
    let table = bytes(header.data_blk_addr, table_bytes(n, size))?;
    let width = usize::from(length_bytes(size));
    let table = FixedArrayDataBlock::decode_filtered(&table, &ctx, n as usize, width)
        .map_err(|e| e.to_string())?;
    let entries = table.filtered_elements.iter();
    if entries.clone().any(|e| e.filter_mask != 0) {
        return Err("a chunk that is stored as we do not write it".to_string());
    }
    Ok(Packed {
        pipeline,
        chunks: entries.map(|e| (e.address, e.chunk_size)).collect(),
    })
}

impl Packed {
    /// The bytes of a chunk of `size` bytes, of which the file holds `stored`.
    pub(super) fn unpack(&self, stored: &[u8], size: usize) -> Option<Vec<u8>> {
        let bytes = reverse_filters_masked_bounded(&self.pipeline, stored, 0, size).ok()?;
        (bytes.len() == size).then_some(bytes)
    }
}

/// Writes a complete result anew with compressed traces, checks it, and puts it in the place of the raw one. `level` is deflate's, 1 to 9.
/// Returns the bytes of the file; one whose traces all fit a chunk, or that is compressed, stays as it is.
///
/// # Errors
/// If the file is not complete, or cannot be read or written. The raw file is then as it was.
pub fn compress(path: &Path, level: u32) -> Result<u64, StoreError> {
    let from = open(path)?;
    if from.run_status() != RunStatus::Complete {
        return Err(StoreError::format(
            path,
            "it is not complete, and only complete files are compressed",
        ));
    }
    use StoreError as E;
    if !from
        .map
        .places
        .values()
        .any(|p| p.chunk.is_some() && p.packed.is_none())
    {
        return Ok(std::fs::metadata(path)
            .map_err(E::io("cannot read", path))?
            .len());
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".compressing");
    let beside = path.with_file_name(name);
    let written = write(&from, &beside, level.clamp(1, 9)).and_then(|()| check(&from, &beside));
    drop(from);
    let end = written.and_then(|()| {
        std::fs::rename(&beside, path).map_err(E::io("cannot replace", path))?;
        let folder = create::directory_of(path);
        disk::sync_directory(folder).map_err(E::io("cannot write", folder))?;
        Ok(std::fs::metadata(path)
            .map_err(E::io("cannot read", path))?
            .len())
    });
    if end.is_err() {
        // The raw file is whole; a half of the other is of no use.
        let _ = std::fs::remove_file(&beside);
    }
    end
}

/// The datasets of the new file: those of the old, at the lengths that they have, traces to be compressed.
fn planned(from: &ResultReader, level: u32) -> Result<super::netcdf::Contents, StoreError> {
    let mut layout = from.layout()?;
    // Whole as it is, it has no state to go on from.
    layout.checkpoint_bytes = 0;
    let created = from.text("created").unwrap_or_default();
    let mut contents = contents(&layout, created)?;
    for (name, value) in &mut contents.attributes {
        if let (true, Some(text)) = (
            [
                "history",
                "source",
                "sarcolemma_version",
                super::BUILD_ATTRIBUTE,
            ]
            .contains(&name.as_str()),
            from.text(name),
        ) {
            *value = Value::Text(text.to_string());
        }
    }
    for dataset in &mut contents.datasets {
        if dataset.resizable
            && let Some(place) = from.map.get(&dataset.path())
        {
            dataset.dims.clone_from(&place.dims);
        }
        dataset.initial = Initial::Nothing;
        dataset.deflate = dataset.chunk.map(|_| level);
    }
    Ok(contents)
}

fn write(from: &ResultReader, to: &Path, level: u32) -> Result<(), StoreError> {
    let contents = planned(from, level)?;
    let skeleton = build(&contents)?;
    let fault = |error: std::io::Error| {
        if disk::is_full(&error) {
            StoreError::DiskFull {
                path: PathBuf::from(to),
                needed: std::fs::metadata(from.path()).map_or(0, |m| m.len()),
                free: disk::bytes_free(create::directory_of(to)),
            }
        } else {
            StoreError::io("cannot write", to)(error)
        }
    };
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(true);
    let file = Disk::new(options.open(to).map_err(fault)?, to, None);
    file.cut(skeleton.size).map_err(fault)?;
    file.write_at(0, &skeleton.metadata).map_err(fault)?;
    let mut end = skeleton.size;
    for (dataset, at) in contents.datasets.iter().zip(&skeleton.storage) {
        let path = dataset.path();
        let (Some(at), Some(place)) = (*at, from.map.get(&path)) else {
            continue;
        };
        if place.dims != dataset.dims || place.chunk != dataset.chunk {
            return Err(StoreError::format(
                from.path(),
                format!("`{path}` is not laid out as this version would"),
            ));
        }
        match dataset.deflate {
            Some(level) => pack(from, place, dataset, (at, level), &file, &mut end, fault)?,
            None => copy(from, place, at, &file, fault)?,
        }
    }
    end = end.next_multiple_of(8);
    file.cut(end).map_err(fault)?;
    offsets::set_end(&file, to, end)?;
    let map = offsets::map(&file, to)?;
    let n_lost = from.number("n_lost").unwrap_or(0.0) as i64;
    offsets::set_status(&file, to, map.root, 1, Some(n_lost))?;
    file.sync().map_err(fault)
}

fn pack(
    from: &ResultReader,
    place: &Place,
    dataset: &Dataset,
    (at, level): (u64, u32),
    file: &Disk,
    end: &mut u64,
    fault: impl Fn(std::io::Error) -> StoreError,
) -> Result<(), StoreError> {
    let bytes = dataset.kind.bytes();
    let [rows, columns] = dataset.chunk.unwrap_or([0, 0]);
    let size = rows * columns * bytes;
    let n = dataset.stored_chunks();
    let pipeline = FilterPipeline::shuffle_deflate(bytes as u32, level);
    let start = place.at.unwrap_or(0);
    let mut entries = Vec::with_capacity(n as usize);
    for first in (0..n).step_by(AT_ONCE) {
        let batch: Vec<u64> = (first..n.min(first + AT_ONCE as u64)).collect();
        let packed: Vec<Result<Vec<u8>, StoreError>> = batch
            .par_iter()
            .map(|&chunk| {
                let mut raw = vec![0; size as usize];
                from.read(start + chunk * size, &mut raw)?;
                let packed = apply_filters(&pipeline, &raw);
                packed.map_err(|e| StoreError::format(from.path(), e.to_string()))
            })
            .collect();
        for chunk in packed {
            let chunk = chunk?;
            file.write_at(*end, &chunk).map_err(&fault)?;
            entries.push((*end, chunk.len() as u64));
            *end += chunk.len() as u64;
        }
    }
    file.write_at(at, &index(at, size, &entries)).map_err(fault)
}

fn copy(
    from: &ResultReader,
    place: &Place,
    to: u64,
    file: &Disk,
    fault: impl Fn(std::io::Error) -> StoreError,
) -> Result<(), StoreError> {
    let Some(at) = place.at else { return Ok(()) };
    let length = place.len() * place.bytes;
    let mut block = vec![0; length.min(1 << 20) as usize];
    let mut done = 0;
    while done < length {
        let now = (length - done).min(block.len() as u64) as usize;
        from.read(at + done, &mut block[..now])?;
        file.write_at(to + done, &block[..now]).map_err(&fault)?;
        done += now as u64;
    }
    Ok(())
}

/// Reads the new file back and compares every number with the old one.
fn check(from: &ResultReader, to: &Path) -> Result<(), StoreError> {
    let new = open(to)?;
    let wrong = |path: &str| StoreError::Probe {
        path: to.to_path_buf(),
        dataset: path.to_string(),
    };
    let kept = |map: &Map| {
        let mut names: Vec<String> = map.places.keys().cloned().collect();
        names.retain(|n| !n.starts_with("checkpoint/slot_") && n != "checkpoint/byte");
        names.sort();
        names
    };
    if kept(&from.map) != kept(&new.map) || from.attributes() != new.attributes() {
        return Err(wrong("/"));
    }
    for name in kept(&from.map) {
        let (Some(a), Some(b)) = (from.map.get(&name), new.map.get(&name)) else {
            return Err(wrong(&name));
        };
        if a.dims != b.dims || a.bytes != b.bytes || a.chunk != b.chunk {
            return Err(wrong(&name));
        }
        let (Some(x), Some(y)) = (a.at, b.at) else {
            continue;
        };
        let size = match a.chunk {
            Some([rows, columns]) => rows * columns * a.bytes,
            None => 1 << 20,
        };
        let total = match a.chunk {
            Some(chunk) => {
                chunks::stored_bytes([a.dims[0], a.dims[1]], chunk, a.bytes).unwrap_or(0)
            }
            None => a.len() * a.bytes,
        };
        let mut done = 0;
        while done < total {
            let now = (total - done).min(size) as usize;
            let (mut left, mut right) = (vec![0; now], vec![0; now]);
            from.read_of(a, x + done, &mut left)?;
            new.read_of(b, y + done, &mut right)?;
            if left != right {
                return Err(wrong(&name));
            }
            done += now as u64;
        }
    }
    Ok(())
}
