//! How fast rows are written and read: a measurement, not a test.
//!
//! `cargo test --release --test result_file -- --ignored --nocapture throughput`; `SARCOLEMMA_BENCH_DIR` names the disk,
//! `SARCOLEMMA_BENCH_KEEP=1` leaves the files there.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sarcolemma::run::sink::*;
use sarcolemma::store::{self, CreateOptions, ResultFile};

use super::synthetic::{layout, outcome};

fn quickly(n_fibres: usize, n_rows: usize, slab: usize, dir: &Path) {
    let mut layout = Layout {
        rows_per_slab: slab,
        ..layout(n_fibres, n_rows, Precision::F32, Traces::All)
    };
    layout.event_features.clear();
    let data: Vec<f32> = (0..n_fibres * slab).map(|i| i as f32).collect();
    let megabytes = (2 * 4 * n_fibres * n_rows) as f64 / 1e6;

    let raw = dir.join("raw.bin");
    let begin = Instant::now();
    let mut file = File::create(&raw).unwrap();
    for _ in 0..2 * n_rows / slab {
        file.write_all(bytemuck::cast_slice(&data)).unwrap();
    }
    let cached = begin.elapsed().as_secs_f64();
    file.sync_all().unwrap();
    let synced = begin.elapsed().as_secs_f64();
    drop(file);
    std::fs::remove_file(&raw).unwrap();

    let path = dir.join(format!("{n_fibres}x{n_rows}.h5"));
    let begin = Instant::now();
    let mut file = ResultFile::create(&path, &layout, CreateOptions { overwrite: true }).unwrap();
    let created = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    for row in (0..n_rows).step_by(slab) {
        for variable in 0..2 {
            file.write_rows(variable, row, Samples::F32(&data)).unwrap();
        }
        file.commit(row + slab).unwrap();
    }
    let rows = begin.elapsed().as_secs_f64();
    file.finish(&outcome(&layout, false)).unwrap();
    let finished = begin.elapsed().as_secs_f64();

    let read = store::open(&path).unwrap();
    let begin = Instant::now();
    for fibre in 0..20 {
        read.read_trace("membrane.V", 100 + fibre * n_fibres as u64 / 20)
            .unwrap();
    }
    let trace = begin.elapsed().as_secs_f64() / 20.0;
    let begin = Instant::now();
    for row in 0..20 {
        let row = row * n_rows / 20;
        read.read_rows("membrane.V", row..row + 1).unwrap();
    }
    let instant = begin.elapsed().as_secs_f64() / 20.0;
    eprintln!(
        "{n_fibres} fibres x {n_rows} rows x 2, slabs of {slab}: {megabytes:.0} MB; raw {:.0} MB/s ({:.0} with sync), \
         rows {:.0} MB/s ({:.0} with finish and sync), created in {created:.2} s; a trace in {:.2} ms, an instant in {:.2} ms",
        megabytes / cached,
        megabytes / synced,
        megabytes / rows,
        megabytes / finished,
        trace * 1e3,
        instant * 1e3,
    );
    if std::env::var_os("SARCOLEMMA_BENCH_KEEP").is_none() {
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
#[ignore = "a measurement"]
fn throughput() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = std::env::var_os("SARCOLEMMA_BENCH_DIR")
        .map_or(temporary.path().to_path_buf(), PathBuf::from);
    quickly(1_000_000, 20, 20, &dir);
    quickly(1_000_000, 200, 20, &dir);
    quickly(10_000, 20_000, 50, &dir);
}
