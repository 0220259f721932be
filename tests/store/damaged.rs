//! Truncated, foreign and damaged files: an error or the truth, never a panic and never a huge allocation.

use std::alloc::{GlobalAlloc, Layout as Block, System};
use std::cell::Cell;
use std::path::Path;

use hdf5::format::checksum::checksum_metadata;
use sarcolemma::run::sink::*;
use sarcolemma::store::{self, CreateOptions, ResultFile, StoreError};

use super::synthetic::*;

/// Remembers the largest block that each thread asked for.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        // A thread at its end has no such cell any more; nothing is measured there.
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(block.size())));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(block) }
    }

    unsafe fn dealloc(&self, at: *mut u8, block: Block) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, block) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Reads all that a file gives.
fn read_all(path: &Path) -> Result<(), StoreError> {
    let read = store::open(path)?;
    read.attributes();
    let layout = read.layout()?;
    for variable in &layout.variables {
        read.read_rows(&variable.name, 0..layout.time_ms.len())?;
        read.read_trace(&variable.name, layout.first_fibre)?;
    }
    for feature in &layout.features {
        read.feature(&feature.name)?;
    }
    read.status()?;
    read.events()?;
    read.agreement()?;
    read.latest_checkpoint()?;
    Ok(())
}

fn file_of(path: &Path, finished: bool) -> Vec<u8> {
    let layout = layout(40, 50, Precision::F32, Traces::All);
    let mut file = ResultFile::create(path, &layout, CreateOptions { overwrite: true }).unwrap();
    write_rows(&mut file, &layout, 0, 40, 10);
    assert!(file.checkpoint(&[&[7; 900]]).unwrap());
    if finished {
        write_rows(&mut file, &layout, 40, 50, 10);
        file.finish(&outcome(&layout, false)).unwrap();
    }
    drop(file);
    read_all(path).unwrap();
    std::fs::read(path).unwrap()
}

/// A fixed sequence of numbers below `n`.
fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    move |n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    }
}

/// Where the structure of the file ends and its numbers begin: the first page that holds none of it.
fn structure(bytes: &[u8]) -> usize {
    let last = |mark: &[u8]| bytes.windows(4).rposition(|w| w == mark).unwrap();
    last(b"GCOL") + 4096
}

/// Every object header's chunks: where they start, and where their checksums are.
fn headers(bytes: &[u8]) -> Vec<(usize, usize)> {
    let starts = (0..structure(bytes)).filter(|&at| bytes[at..].starts_with(b"OHDR"));
    starts
        .map(|at| {
            let width = 1 << (bytes[at + 5] & 3);
            let size = bytes[at + 6..at + 6 + width]
                .iter()
                .rev()
                .fold(0, |n, &b| n << 8 | usize::from(b));
            (at, at + 6 + width + size)
        })
        .collect()
}

#[test]
fn damaged_files_are_refused_or_read_but_never_crash() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.h5");
    let mut below = numbers();
    let (mut refused, mut read) = (0, 0);
    for finished in [false, true] {
        let good = file_of(&path, finished);
        let (end, headers) = (structure(&good), headers(&good));
        assert!(headers.len() > 20);
        LARGEST.set(0);
        for round in 0..600 {
            let mut bytes = good.clone();
            for _ in 0..=below(3) {
                match round % 4 {
                    // Anywhere in the structure, a bit or a byte.
                    0 => bytes[below(end)] ^= 1 << below(8),
                    // A header, its checksum made to fit: the decoders themselves.
                    1 | 2 => {
                        let (start, sum) = headers[below(headers.len())];
                        let at = start + 6 + below(sum - start - 6);
                        bytes[at] = [0, 1, 0x7f, 0xff, below(256) as u8][below(5)];
                        let checksum = checksum_metadata(&bytes[start..sum]);
                        bytes[sum..sum + 4].copy_from_slice(&checksum.to_le_bytes());
                    }
                    // A run of one byte, anywhere.
                    _ => {
                        let at = below(bytes.len());
                        let until = (at + below(64)).min(bytes.len());
                        bytes[at..until].fill(below(256) as u8);
                    }
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            match read_all(&path) {
                Ok(()) => read += 1,
                Err(error) => {
                    assert!(error.to_string().contains("x.h5"), "{error}");
                    refused += 1;
                }
            }
            // Going on from a damaged file is refused or possible, too.
            drop(ResultFile::reopen(&path));
        }
        for round in 0..100 {
            let cut = if round < 50 {
                round * 7
            } else {
                below(good.len())
            };
            std::fs::write(&path, &good[..cut]).unwrap();
            let error = read_all(&path).unwrap_err().to_string();
            assert!(error.contains("not a usable result file"), "{error}");
        }
        // Twice the file's own length: the file itself is held in memory by this test.
        assert!(LARGEST.get() <= 2 * good.len());
    }
    assert!(
        refused > 300 && read > 100,
        "{refused} refused, {read} read"
    );
}

#[test]
fn foreign_files_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.h5");
    for (bytes, why) in [
        (&b""[..], "too short"),
        (&[0; 10_000], "not an HDF5 file"),
        (
            b"title = \"a study, given where a result belongs, is no result at all\"",
            "not an HDF5 file",
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = store::open(&path).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("x.h5"), "{error}");
    }
    let other = hdf5::H5File::create(&path).unwrap();
    other
        .new_dataset::<f64>()
        .shape([3])
        .create("x")
        .unwrap()
        .write_raw(&[0.0; 3])
        .unwrap();
    other.close().unwrap();
    let error = store::open(&path).unwrap_err().to_string();
    assert!(error.contains("not a usable result file"), "{error}");
    assert!(matches!(
        store::open(dir.path()),
        Err(StoreError::Io { .. } | StoreError::Format { .. })
    ));
    assert!(matches!(
        store::open(&dir.path().join("none.h5")),
        Err(StoreError::Io { .. })
    ));
}
