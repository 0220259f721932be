//! Killing, resuming, overflowing and refusing: what a result file survives.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sarcolemma::run::sink::*;
use sarcolemma::store::{self, CreateOptions, ResultFile, RunStatus, StoreError};

use super::synthetic::*;

const ROWS: usize = 400;
const SLAB: usize = 7;

/// Two columns of chunks; events and later checkpoints beyond the room for them.
fn kill_layout() -> Layout {
    Layout {
        checkpoint_bytes: 700,
        ..layout(2000, ROWS, Precision::F32, Traces::All)
    }
}

/// Writes rows from `first` on, a checkpoint every third slab, saying what is whole; then ends the run.
fn run(file: &mut ResultFile, layout: &Layout, first: usize) {
    let mut row = first;
    while row < ROWS {
        let end = (row + SLAB).min(ROWS);
        write_rows(file, layout, row, end, SLAB);
        file.acknowledge().unwrap();
        println!("whole {end}");
        if (end / SLAB).is_multiple_of(3) {
            assert!(file.checkpoint(&[&state(end)]).unwrap());
        }
        row = end;
    }
    println!("ending");
    file.finish(&outcome(layout, false)).unwrap();
}

fn state(row: usize) -> Vec<u8> {
    (0..500 + row).map(|i| (i * row) as u8).collect()
}

/// Everything that a finished file says, to be compared with another.
fn content(path: &Path) -> impl PartialEq + std::fmt::Debug + use<> {
    let read = store::open(path).unwrap();
    assert_eq!(read.run_status(), RunStatus::Complete);
    let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
    let traces: Vec<_> = read
        .variables()
        .iter()
        .map(|v| bits(read.read_rows(&v.name, 0..ROWS).unwrap().into_f64()))
        .collect();
    let features: Vec<_> = read
        .features()
        .iter()
        .map(|f| bits(read.feature(&f.name).unwrap()))
        .collect();
    (
        traces,
        features,
        read.events().unwrap(),
        read.status().unwrap(),
        read.time_ms().unwrap(),
        read.agreement().unwrap(),
    )
}

/// Goes on with a killed file to its end.
fn resume(path: &Path) {
    let layout = store::open(path).unwrap().layout().unwrap();
    let (mut file, checkpoint) = ResultFile::reopen(path).unwrap();
    let first = checkpoint.map_or(0, |c| {
        assert_eq!(c.state, state(c.rows));
        c.rows
    });
    run(&mut file, &layout, first);
}

fn whole_file(dir: &Path) -> PathBuf {
    let path = dir.join("whole.h5");
    let layout = kill_layout();
    run(
        &mut ResultFile::create(&path, &layout, CreateOptions::default()).unwrap(),
        &layout,
        0,
    );
    path
}

/// Not a test of its own: the process that [`a_killed_run_loses_no_acknowledged_row`] kills.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn child_that_writes() {
    let Some(path) = std::env::var_os("SARCOLEMMA_TEST_OUTPUT").map(PathBuf::from) else {
        return;
    };
    let layout = kill_layout();
    run(
        &mut ResultFile::create(&path, &layout, CreateOptions::default()).unwrap(),
        &layout,
        0,
    );
}

#[test]
fn a_killed_run_loses_no_acknowledged_row() {
    let dir = tempfile::tempdir().unwrap();
    let whole = content(&whole_file(dir.path()));
    let mut cut_short = 0;
    for number in 0..40u64 {
        let path = dir.path().join(format!("killed{number}.h5"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "durable::child_that_writes",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("SARCOLEMMA_TEST_OUTPUT", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        // At a row or at the end, and then at an odd moment after it.
        let kill_at = 1 + (number * 5 % 56) as usize * SLAB;
        let mut acknowledged = 0;
        for line in lines.by_ref() {
            if let Some(row) = line.strip_prefix("whole ") {
                acknowledged = row.parse().unwrap();
            }
            let now = if number < 20 {
                acknowledged >= kill_at
            } else {
                line == "ending"
            };
            if now {
                break;
            }
        }
        std::thread::sleep(Duration::from_micros(number * 317 % 2500));
        child.kill().unwrap();
        child.wait().unwrap();
        let last = lines
            .filter_map(|line| line.strip_prefix("whole ").and_then(|row| row.parse().ok()))
            .last();
        acknowledged = last.unwrap_or(acknowledged);

        let read = store::open(&path).unwrap();
        let rows = read.committed_rows();
        assert!(rows >= acknowledged, "{rows} rows of {acknowledged}");
        let time = read.time_ms().unwrap();
        for (variable, column) in read.variables().iter().enumerate() {
            let values = read.read_rows(&column.name, 0..rows).unwrap().into_f64();
            let n = read.n_fibres();
            assert!(
                values
                    .iter()
                    .enumerate()
                    .all(|(i, &x)| x == value(variable, i / n, i % n))
            );
        }
        assert!(time[..rows].iter().all(|t| t.is_finite()));
        assert!(time[rows..].iter().filter(|t| t.is_finite()).count() <= SLAB);
        assert_eq!(
            read.events().unwrap(),
            (0..rows).map(event).collect::<Vec<_>>()
        );
        if read.run_status() == RunStatus::Running {
            cut_short += 1;
            drop(read);
            resume(&path);
        }
        assert!(content(&path) == whole, "kill {number}");
    }
    assert!(
        cut_short >= 10,
        "only {cut_short} kills came before the end"
    );
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole_file(dir.path());
    let whole = content(&path);
    let again = dir.path().join("again.h5");
    let layout = kill_layout();
    let mut file = ResultFile::create(&again, &layout, CreateOptions::default()).unwrap();
    write_rows(&mut file, &layout, 0, 210, SLAB);
    assert!(
        file.checkpoint(&[&state(210)[..100], &state(210)[100..]])
            .unwrap()
    );
    write_rows(&mut file, &layout, 210, 301, SLAB);
    file.finish(&outcome(&layout, true)).unwrap();
    drop(file);
    let read = store::open(&again).unwrap();
    assert_eq!(
        (read.run_status(), read.committed_rows()),
        (RunStatus::Interrupted, 301)
    );
    assert_eq!(read.events().unwrap().len(), 301);
    assert_eq!(read.latest_checkpoint().unwrap().unwrap().rows, 210);
    drop(read);
    // Opening to resume changes nothing until something is written.
    let before = std::fs::read(&again).unwrap();
    drop(ResultFile::reopen(&again).unwrap());
    assert!(std::fs::read(&again).unwrap() == before);
    resume(&again);
    assert!(content(&again) == whole);
    assert!(matches!(
        ResultFile::reopen(&again),
        Err(StoreError::Complete(_))
    ));
}

#[test]
fn events_beyond_the_room_are_all_in_the_finished_file() {
    let dir = tempfile::tempdir().unwrap();
    for (rows, capacity) in [(60, 64), (64, 64), (65, 64), (400, 64), (300, 0)] {
        let path = dir.path().join(format!("{rows}-{capacity}.h5"));
        let layout = Layout {
            event_capacity: capacity,
            ..layout(5, rows, Precision::F64, Traces::All)
        };
        let mut file = ResultFile::create(&path, &layout, CreateOptions::default()).unwrap();
        write_rows(&mut file, &layout, 0, rows, SLAB);
        let side = dir.path().join(format!("{rows}-{capacity}.h5.events"));
        assert_eq!(side.exists(), rows > capacity);
        file.acknowledge().unwrap();
        let wanted: Vec<_> = (0..rows).map(event).collect();
        assert_eq!(store::open(&path).unwrap().events().unwrap(), wanted);
        file.finish(&outcome(&layout, false)).unwrap();
        assert!(!side.exists());
        assert_eq!(store::open(&path).unwrap().events().unwrap(), wanted);
        super::judged::judge(&path, &layout, rows, Some(false));
    }
}

#[test]
fn what_a_checkpoint_has_beyond_its_room_lies_beside_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.h5");
    let layout = layout(5, 60, Precision::F64, Traces::All);
    let state = |n: usize| (0..n).map(|i| (i * n) as u8).collect::<Vec<_>>();
    // Left by a run that was killed.
    std::fs::write(dir.path().join("x.h5.checkpoint_b"), state(9000)).unwrap();
    let mut file = ResultFile::create(&path, &layout, CreateOptions::default()).unwrap();
    let sides = ["a", "b"].map(|slot| dir.path().join(format!("x.h5.checkpoint_{slot}")));
    assert!(sides.iter().all(|side| !side.exists()));
    let found = || {
        let found = store::open(&path).unwrap().latest_checkpoint();
        found.map(|found| found.map(|found| found.state))
    };
    // The room is 1000 bytes. A side file that is too long, from a longer state, does no harm.
    let lengths = [1000, 1001, 5000, 4000, 900, 1500, 3000];
    for (number, length) in lengths.into_iter().enumerate() {
        write_rows(&mut file, &layout, number, number + 1, 1);
        let bytes = state(length);
        let parts = [&bytes[..length / 3], &[], &bytes[length / 3..]];
        assert!(file.checkpoint(&parts).unwrap(), "{length}");
        assert_eq!(found().unwrap(), Some(bytes), "{length}");
    }
    drop(file);
    // The newest is in A. Where it is torn, the older one is good; where both are gone, it is not as if there had been none.
    let [a, b] = &sides;
    std::fs::write(a, &state(3000)[1000..2999]).unwrap();
    assert_eq!(found().unwrap(), Some(state(1500)));
    std::fs::remove_file(b).unwrap();
    let error = found().unwrap_err().to_string();
    assert!(error.contains("x.h5.checkpoint_b"), "{error}");
    std::fs::write(a, &state(3000)[1000..]).unwrap();
    let (mut file, checkpoint) = ResultFile::reopen(&path).unwrap();
    assert_eq!(checkpoint.map(|c| c.state), Some(state(3000)));
    write_rows(&mut file, &layout, 7, 60, 7);
    assert!(file.checkpoint(&[&state(2000)]).unwrap());
    assert!(b.exists());
    file.finish(&outcome(&layout, true)).unwrap();
    assert!(a.exists() && b.exists());
    std::fs::write(dir.path().join("x.h5.events"), "").unwrap();
    store::remove_leftovers(&path).unwrap();
    assert!(a.exists() && b.exists() && dir.path().join("x.h5.events").exists());
    file.finish(&outcome(&layout, false)).unwrap();
    drop(file);
    assert!(sides.iter().all(|side| !side.exists()));
    // As if it had been killed before it took them away.
    for side in [a, b, &dir.path().join("x.h5.events")] {
        std::fs::write(side, "left").unwrap();
    }
    store::remove_leftovers(&path).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_refused_output_says_why_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let small = layout(10, 20, Precision::F32, Traces::All);
    let create = |path: &Path, layout: &Layout, overwrite| {
        ResultFile::create(path, layout, CreateOptions { overwrite }).map(drop)
    };
    let nowhere = dir.path().join("no/such/place.h5");
    let error = create(&nowhere, &small, false).unwrap_err();
    assert!(matches!(error, StoreError::NoDirectory(_)), "{error}");

    let path = dir.path().join("there.h5");
    std::fs::write(&path, "precious").unwrap();
    let error = create(&path, &small, false).unwrap_err();
    assert!(matches!(error, StoreError::Exists(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    // Ten variables of 12.5 TB each: no disk at hand takes them, and the old file must stay.
    let mut huge = layout(1_250_000, 1_250_000, Precision::F64, Traces::All);
    huge.parameters.clear();
    huge.variables = (0..10)
        .map(|i| column(&format!("v{i}"), "1", "too much", None))
        .collect();
    let needed = store::required_bytes(&huge).unwrap();
    assert!(needed > 120_000_000_000_000);
    match create(&path, &huge, true).unwrap_err() {
        StoreError::DiskFull {
            needed: told, free, ..
        } => {
            assert_eq!(told, needed);
            assert!(free.is_none_or(|free| free < needed));
        }
        other => panic!("{other}"),
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    create(&path, &small, true).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().len(),
        store::required_bytes(&small).unwrap()
    );

    let other = dir.path().join("other.h5");
    let mut twice = small.clone();
    twice.features[0].name = "membrane.V".to_string();
    let error = create(&other, &twice, false).unwrap_err();
    assert!(matches!(error, StoreError::DuplicateName(_)), "{error}");
    let mut bad = small.clone();
    bad.features[0].name = "a/b".to_string();
    assert!(matches!(
        create(&other, &bad, false),
        Err(StoreError::BadName(_))
    ));
    let mut bad = small.clone();
    bad.traces = Traces::Some(vec![7]);
    assert!(matches!(
        create(&other, &bad, false),
        Err(StoreError::BadLayout(_))
    ));
    assert!(!other.exists());
}

#[cfg(unix)]
#[test]
fn a_directory_that_may_not_be_written_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(closed.join("x"), "").is_ok() {
        eprintln!("this user may write everywhere: nothing to test");
        return;
    }
    let small = layout(10, 20, Precision::F32, Traces::All);
    let error =
        ResultFile::create(&closed.join("out.h5"), &small, CreateOptions::default()).unwrap_err();
    assert!(
        matches!(&error, StoreError::Io { path, .. } if path.ends_with("out.h5")),
        "{error}"
    );
}

#[test]
fn a_run_that_records_nothing_has_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.h5");
    let mut layout = layout(2, 0, Precision::F32, Traces::All);
    layout.event_features.clear();
    layout.checkpoint_bytes = 0;
    let mut file = ResultFile::create(&path, &layout, CreateOptions::default()).unwrap();
    assert!(!file.checkpoint(&[&[7]]).unwrap());
    file.commit(0).unwrap();
    file.finish(&outcome(&layout, true)).unwrap();
    let (mut file, checkpoint) = ResultFile::reopen(&path).unwrap();
    assert!(checkpoint.is_none());
    file.finish(&outcome(&layout, false)).unwrap();
    let read = store::open(&path).unwrap();
    assert_eq!(read.run_status(), RunStatus::Complete);
    assert_eq!(read.time_ms().unwrap(), [0.0; 0]);
    assert_eq!(read.feature("spikes.count").unwrap(), [0.0, 1.0]);
    assert!(read.variables().is_empty() && read.events().unwrap().is_empty());
}

#[test]
fn what_does_not_fit_the_layout_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(10, 20, Precision::F32, Traces::All);
    let mut file =
        ResultFile::create(&dir.path().join("x.h5"), &layout, CreateOptions::default()).unwrap();
    let row = [0.0f32; 10];
    assert!(file.write_rows(0, 0, Samples::F64(&[0.0; 10])).is_err());
    assert!(file.write_rows(2, 0, Samples::F32(&row)).is_err());
    assert!(file.write_rows(0, 20, Samples::F32(&row)).is_err());
    assert!(file.write_rows(0, usize::MAX, Samples::F32(&row)).is_err());
    assert!(file.write_rows(0, 0, Samples::F32(&row[1..])).is_err());
    assert!(file.commit(21).is_err());
    let mut wrong = outcome(&layout, false);
    wrong.features.pop();
    assert!(file.finish(&wrong).is_err());
    let mut wrong = outcome(&layout, false);
    wrong.status[0] = FibreStatus::Lost {
        at_ms: 0.0,
        variable: 2,
    };
    assert!(file.finish(&wrong).is_err());
    file.write_rows(0, 19, Samples::F32(&row)).unwrap();
    file.finish(&outcome(&layout, false)).unwrap();
}

/// On a disk of 20 to 60 MB that `SARCOLEMMA_SMALL_DISK` names: `mount -t tmpfs -o size=40m none DIR`.
#[test]
fn a_full_disk_stops_a_run_before_it_starts_and_later_breaks_nothing() {
    let Some(disk) = std::env::var_os("SARCOLEMMA_SMALL_DISK").map(PathBuf::from) else {
        eprintln!("SARCOLEMMA_SMALL_DISK names no small disk: not tested on a really full one");
        return;
    };
    let path = disk.join("x.h5");
    let too_large = layout(10_000, 2000, Precision::F32, Traces::All);
    match ResultFile::create(&path, &too_large, CreateOptions::default()).unwrap_err() {
        StoreError::DiskFull {
            needed,
            free: Some(free),
            ..
        } => assert!(free < needed && free > 15_000_000),
        other => panic!("{other}"),
    }
    assert_eq!(std::fs::read_dir(&disk).unwrap().count(), 0);

    // The file fits, but not the events that nobody foresaw, because something else takes what is left.
    let layout = kill_layout();
    let mut file = ResultFile::create(&path, &layout, CreateOptions::default()).unwrap();
    write_rows(&mut file, &layout, 0, 70, SLAB);
    assert!(file.checkpoint(&[&state(70)]).unwrap());
    let (filler, mut written) = (disk.join("filler"), vec![0u8; 1 << 20]);
    while std::fs::write(&filler, &written).is_ok() {
        written.resize(written.len() * 5 / 4, 0);
    }
    let mut many = (0..1_000_000).map(event).collect::<Vec<_>>();
    let error = file
        .write_events(&many)
        .and_then(|()| file.commit(70))
        .unwrap_err();
    assert!(
        matches!(&error, SinkError::Io { what, .. } if what.contains("x.h5.events")),
        "{error}"
    );
    many.clear();
    drop(file);
    assert_eq!(store::open(&path).unwrap().events().unwrap().len(), 70);
    std::fs::remove_file(&filler).unwrap();
    resume(&path);
    let dir = tempfile::tempdir().unwrap();
    assert!(content(&path) == content(&whole_file(dir.path())));
    std::fs::remove_file(&path).unwrap();
}
