//! Compressed files: the same numbers for this library and for others', and one whole file at any time.

use std::path::Path;

use sarcolemma::run::sink::*;
use sarcolemma::store::{self, CreateOptions, ResultFile, StoreError};

use super::judged::judge;
use super::synthetic::*;

fn written(path: &Path, layout: &Layout, rows: usize, interrupted: bool) {
    let mut file = ResultFile::create(path, layout, CreateOptions::default()).unwrap();
    write_rows(&mut file, layout, 0, rows, layout.rows_per_slab);
    file.finish(&outcome(layout, interrupted)).unwrap();
}

/// Everything that a reader gives.
fn content(path: &Path, rows: usize) -> String {
    let read = store::open(path).unwrap();
    let mut all = format!(
        "{:?}",
        (
            read.attributes(),
            read.events().unwrap(),
            read.status().unwrap()
        )
    );
    all += &format!(
        "{:?}",
        (
            read.agreement().unwrap(),
            read.time_ms().unwrap(),
            read.fibre_ids().unwrap()
        )
    );
    for v in read.variables() {
        for range in [0..rows, 3..4, rows / 3..rows / 2] {
            all += &format!("{:?}", read.read_rows(&v.name, range).unwrap());
        }
        for fibre in [100, 1733, 3100] {
            all += &format!("{:?}", read.read_trace(&v.name, fibre).unwrap());
        }
    }
    for f in read.features() {
        all += &format!("{:?}", read.feature(&f.name).unwrap());
    }
    all
}

#[test]
fn a_compressed_file_holds_the_same_and_is_smaller() {
    let dir = tempfile::tempdir().unwrap();
    for precision in [Precision::F32, Precision::F64] {
        let layout = layout(3001, 701, precision, Traces::All);
        let path = dir.path().join(precision.name());
        written(&path, &layout, 701, false);
        let before = content(&path, 701);
        let raw = std::fs::metadata(&path).unwrap().len();
        let bytes = store::compress(&path, 4).unwrap();
        assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
        assert!(bytes < raw / 2, "{bytes} of {raw}");
        assert!(content(&path, 701) == before, "{}", precision.name());
        // Once more changes nothing.
        let once = std::fs::read(&path).unwrap();
        assert_eq!(store::compress(&path, 9).unwrap(), bytes);
        assert!(std::fs::read(&path).unwrap() == once);
    }
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        2,
        "nothing is left behind"
    );
}

#[test]
fn other_libraries_read_compressed_files() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(3001, 701, Precision::F32, Traces::All);
    let path = dir.path().join("compressed.h5");
    written(&path, &layout, 701, false);
    store::compress(&path, 4).unwrap();
    judge(&path, &layout, 701, Some(false));
}

#[test]
fn an_unfinished_file_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(3001, 701, Precision::F32, Traces::All);
    let path = dir.path().join("interrupted.h5");
    written(&path, &layout, 300, true);
    let before = std::fs::read(&path).unwrap();
    let refused = store::compress(&path, 4);
    assert!(
        matches!(refused, Err(StoreError::Format { .. })),
        "{refused:?}"
    );
    assert!(std::fs::read(&path).unwrap() == before);
    // What a kill in the middle leaves beside a raw file does no harm.
    let whole = dir.path().join("whole.h5");
    written(&whole, &layout, 701, false);
    std::fs::write(dir.path().join("whole.h5.compressing"), b"half").unwrap();
    store::compress(&whole, 1).unwrap();
    assert!(!dir.path().join("whole.h5.compressing").exists());
}

#[test]
fn damaged_chunks_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(3001, 701, Precision::F32, Traces::All);
    let path = dir.path().join("damaged.h5");
    written(&path, &layout, 701, false);
    store::compress(&path, 4).unwrap();
    let good = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for part in 1..40 {
        let mut bytes = good.clone();
        let at = good.len() * part / 40;
        bytes[at] ^= 0x5a;
        std::fs::write(&path, &bytes).unwrap();
        // A changed bit may still unpack, to other numbers; it never ends otherwise than so or in an error.
        let end = store::open(&path).and_then(|f| f.read_rows("membrane.V", 0..701).map(|_| f));
        refused += usize::from(end.is_err());
    }
    assert!(refused > 5, "{refused}");
    std::fs::write(&path, &good[..good.len() - 9]).unwrap();
    assert!(matches!(store::open(&path), Err(StoreError::Format { .. })));
}
