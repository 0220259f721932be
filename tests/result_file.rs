//! The result file by its public interface: what is written is read back, by this library and by others'.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "store/compressed.rs"]
mod compressed;
#[path = "store/damaged.rs"]
mod damaged;
#[path = "store/durable.rs"]
mod durable;
#[path = "store/judged.rs"]
mod judged;
#[path = "store/power.rs"]
mod power;
#[path = "store/synthetic.rs"]
mod synthetic;
#[path = "store/throughput.rs"]
mod throughput;

use sarcolemma::run::sink::*;
use sarcolemma::store::{self, CreateOptions, ResultFile, RunStatus};
use synthetic::*;

/// A file with `rows` of its rows written, ended as asked.
fn written(path: &std::path::Path, layout: &Layout, rows: usize, end: Option<bool>) {
    let mut file = ResultFile::create(path, layout, CreateOptions::default()).unwrap();
    write_rows(&mut file, layout, 0, rows, layout.rows_per_slab);
    if let Some(interrupted) = end {
        let bytes = file.finish(&outcome(layout, interrupted)).unwrap();
        assert_eq!(bytes, std::fs::metadata(path).unwrap().len());
    }
}

#[test]
fn what_is_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let subset = Traces::Some(vec![101, 103, 107]);
    for (name, n_fibres, n_rows, precision, traces) in [
        ("small", 10, 60, Precision::F32, Traces::All),
        ("subset", 10, 61, Precision::F64, subset),
        ("chunked", 3001, 701, Precision::F32, Traces::All),
    ] {
        let layout = layout(n_fibres, n_rows, precision, traces);
        let path = dir.path().join(name);
        written(&path, &layout, n_rows, Some(false));
        let read = store::open(&path).unwrap();
        assert_eq!(read.run_status(), RunStatus::Complete);
        assert_eq!(read.committed_rows(), n_rows);
        assert_eq!(read.number("n_lost"), Some(1.0));
        assert_eq!(read.time_ms().unwrap(), layout.time_ms);
        let back = read.layout().unwrap();
        assert_eq!(back.variables, layout.variables);
        assert_eq!(back.parameters, layout.parameters);
        assert_eq!(back.features, layout.features);
        assert_eq!(
            (back.traces, back.precision, back.first_fibre),
            (layout.traces.clone(), precision, 100)
        );
        assert_eq!(
            (back.event_features, back.state_names),
            (layout.event_features.clone(), layout.state_names.clone())
        );
        assert_eq!(back.attributes, layout.attributes);
        let n = n_traces(&layout);
        for (number, variable) in layout.variables.iter().enumerate() {
            for range in [0..n_rows, 0..0, 7..8, n_rows - 3..n_rows] {
                let values = read
                    .read_rows(&variable.name, range.clone())
                    .unwrap()
                    .into_f64();
                let expected: Vec<_> = range
                    .flat_map(|r| (0..n).map(move |t| value(number, r, t)))
                    .collect();
                assert!(values == expected, "{name} {}", variable.name);
            }
            let ids = match &layout.traces {
                Traces::All => (100..100 + n as u64).collect(),
                Traces::Some(ids) => ids.clone(),
            };
            for trace in [0, n / 2, n - 1] {
                let values = read.read_trace(&variable.name, ids[trace]).unwrap();
                assert!(
                    values
                        .iter()
                        .enumerate()
                        .all(|(row, &x)| x == value(number, row, trace))
                );
                assert_eq!(values.len(), n_rows);
            }
        }
        let wanted = outcome(&layout, false);
        assert_eq!(read.status().unwrap(), wanted.status);
        assert_eq!(read.agreement().unwrap(), wanted.agreement);
        assert_eq!(read.feature("spikes.count").unwrap(), wanted.features[0]);
        assert_eq!(
            read.events().unwrap(),
            (0..n_rows).map(event).collect::<Vec<_>>()
        );
        assert!(!path.with_file_name(format!("{name}.events")).exists());
    }
}

#[test]
fn rows_that_come_fibre_by_fibre_are_those_that_come_slab_by_slab() {
    let dir = tempfile::tempdir().unwrap();
    for (n_fibres, n_rows, precision) in [(1, 90, Precision::F32), (230, 701, Precision::F64)] {
        let layout = layout(n_fibres, n_rows, precision, Traces::All);
        let [by_rows, by_fibres] = ["rows.h5", "fibres.h5"].map(|name| dir.path().join(name));
        let options = CreateOptions { overwrite: true };
        let mut file = ResultFile::create(&by_rows, &layout, options).unwrap();
        write_rows(&mut file, &layout, 0, n_rows, 50);
        drop(file);
        let mut file = ResultFile::create(&by_fibres, &layout, options).unwrap();
        for trace in (0..n_fibres).rev() {
            for variable in 0..layout.variables.len() {
                let column = (0..n_rows).map(|row| value(variable, row, trace));
                let place = (trace, n_fibres);
                match precision {
                    Precision::F32 => {
                        let column: Vec<f32> = column.map(|x| x as f32).collect();
                        file.write_trace(variable, place, Samples::F32(&column))
                    }
                    Precision::F64 => {
                        let column: Vec<f64> = column.collect();
                        file.write_trace(variable, place, Samples::F64(&column))
                    }
                }
                .unwrap();
            }
        }
        assert!(
            file.write_trace(0, (n_fibres, n_fibres), Samples::F64(&[]))
                .is_err()
        );
        file.commit(n_rows).unwrap();
        drop(file);
        let (a, b) = (
            store::open(&by_rows).unwrap(),
            store::open(&by_fibres).unwrap(),
        );
        assert_eq!((a.committed_rows(), b.committed_rows()), (n_rows, n_rows));
        for variable in &layout.variables {
            let rows = |read: &store::ResultReader| read.read_rows(&variable.name, 0..n_rows);
            assert!(rows(&a).unwrap() == rows(&b).unwrap(), "{}", variable.name);
        }
    }
}

#[test]
fn other_libraries_read_every_kind_of_file() {
    let dir = tempfile::tempdir().unwrap();
    let subset = || Traces::Some(vec![100, 103, 107]);
    for (name, n_fibres, n_rows, precision, traces, rows, end) in [
        (
            "complete.h5",
            10,
            60,
            Precision::F32,
            Traces::All,
            60,
            Some(false),
        ),
        (
            "chunked.h5",
            3001,
            701,
            Precision::F32,
            Traces::All,
            701,
            Some(false),
        ),
        (
            "double.h5",
            10,
            60,
            Precision::F64,
            subset(),
            60,
            Some(false),
        ),
        (
            "interrupted.h5",
            10,
            300,
            Precision::F32,
            Traces::All,
            150,
            Some(true),
        ),
        (
            "running.h5",
            2000,
            400,
            Precision::F32,
            Traces::All,
            50,
            None,
        ),
    ] {
        let layout = layout(n_fibres, n_rows, precision, traces);
        let path = dir.path().join(name);
        written(&path, &layout, rows, end);
        judged::judge(&path, &layout, rows, end);
    }
}
