//! Power cuts and full disks: what was written but not synced is lost or torn, and still the file opens, is right, and can be gone on with.
//!
//! A run is watched: every write, every sync. A power cut after any of them leaves what was synced, and of each later write all, nothing or some
//! of its sectors. Disks write a sector of 512 bytes whole or not at all. `SARCOLEMMA_CUTS=N` asks for N cuts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sarcolemma::run::sink::*;
use sarcolemma::store::{self, CreateOptions, ResultFile, RunStatus, Watch};

use super::synthetic::*;

const ROWS: usize = 60;
const SLAB: usize = 9;
const SECTOR: usize = 512;

/// Chunks, and room for a third of the events and for the first checkpoint of three.
fn small() -> Layout {
    Layout {
        event_capacity: 20,
        checkpoint_bytes: 530,
        ..layout(7000, ROWS, Precision::F32, Traces::All)
    }
}

fn state(row: usize) -> Vec<u8> {
    (0..500 + row).map(|i| (i * row) as u8).collect()
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Resize(u64),
    Sync,
    Remove,
}

/// Notes every change.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<(PathBuf, Change)>>);

impl Notes {
    fn note(&self, file: &Path, change: Change) -> io::Result<()> {
        self.0.lock().unwrap().push((file.to_path_buf(), change));
        Ok(())
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Watch for Notes {
    fn write(&self, file: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.note(file, Change::Write(at, bytes.to_vec()))
    }
    fn resize(&self, file: &Path, length: u64) -> io::Result<()> {
        self.note(file, Change::Resize(length))
    }
    fn sync(&self, file: &Path) -> io::Result<()> {
        self.note(file, Change::Sync)
    }
    fn remove(&self, file: &Path) -> io::Result<()> {
        self.note(file, Change::Remove)
    }
}

/// A disk that is full after so many writes.
#[derive(Debug)]
struct Full(Mutex<usize>);

impl Full {
    fn one(&self) -> io::Result<()> {
        let mut left = self.0.lock().unwrap();
        match left.checked_sub(1) {
            Some(n) => *left = n,
            None => return Err(io::ErrorKind::StorageFull.into()),
        }
        Ok(())
    }
}

impl Watch for Full {
    fn write(&self, _: &Path, _: u64, _: &[u8]) -> io::Result<()> {
        self.one()
    }
    fn resize(&self, _: &Path, _: u64) -> io::Result<()> {
        self.one()
    }
    fn sync(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// What the run had been told was on the disk, by when: number of changes, rows, checkpoint.
type Promises = Vec<(usize, usize, usize)>;

/// Goes on from `first` to the end; notes what is promised by when.
fn run(file: &mut ResultFile, first: usize, notes: Option<&Notes>) -> Result<Promises, SinkError> {
    let layout = small();
    let n = n_traces(&layout);
    let mut promises = Vec::new();
    let (mut row, mut checkpoint) = (first, first);
    while row < ROWS {
        let end = (row + SLAB).min(ROWS);
        for variable in 0..layout.variables.len() {
            let values = (row..end).flat_map(|r| (0..n).map(move |t| value(variable, r, t) as f32));
            file.write_rows(variable, row, Samples::F32(&values.collect::<Vec<_>>()))?;
        }
        file.write_events(&(row..end).map(event).collect::<Vec<_>>())?;
        file.commit(end)?;
        if (end / SLAB).is_multiple_of(2) {
            // What `checkpoint` has returned for is on the disk.
            assert!(file.checkpoint(&[&state(end)])?);
            checkpoint = end;
            promises.push((notes.map_or(0, Notes::len), end, checkpoint));
        }
        row = end;
    }
    file.finish(&outcome(&layout, false))?;
    promises.push((notes.map_or(0, Notes::len), ROWS, checkpoint));
    Ok(promises)
}

/// A fixed sequence of numbers.
struct Chance(u64);

impl Chance {
    fn pick(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// Bytes of files by name.
type Disk = BTreeMap<PathBuf, Vec<u8>>;

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    if bytes.len() < at + new.len() {
        bytes.resize(at + new.len(), 0);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}

fn make(disk: &mut Disk, file: &Path, change: &Change) {
    match change {
        Change::Write(at, new) => put(
            disk.entry(file.to_path_buf()).or_default(),
            *at as usize,
            new,
        ),
        Change::Resize(length) => {
            disk.entry(file.to_path_buf())
                .or_default()
                .resize(*length as usize, 0);
        }
        Change::Sync => {}
        Change::Remove => {
            disk.remove(file);
        }
    }
}

/// What a power cut leaves of changes that were not synced.
fn tear(disk: &mut Disk, file: &Path, change: &Change, chance: &mut Chance) {
    match (chance.pick(3), change) {
        (0, _) => {}
        (1, Change::Write(at, new)) => {
            let (at, mut done) = (*at as usize, 0);
            while done < new.len() {
                let end = new.len().min(done + SECTOR - (at + done) % SECTOR);
                if chance.pick(2) == 0 {
                    let bytes = disk.entry(file.to_path_buf()).or_default();
                    put(bytes, at + done, &new[done..end]);
                }
                done = end;
            }
        }
        (_, change) => make(disk, file, change),
    }
}

/// The disk after the first `n` changes and a power cut.
fn cut(start: &Disk, changes: &[(PathBuf, Change)], chance: &mut Chance) -> Disk {
    let mut disk = start.clone();
    let mut unsynced: Vec<&(PathBuf, Change)> = Vec::new();
    for change in changes {
        if let Change::Sync = change.1 {
            unsynced.retain(|(file, earlier)| {
                let own = *file == change.0;
                if own {
                    make(&mut disk, file, earlier);
                }
                !own
            });
        } else {
            unsynced.push(change);
        }
    }
    for (file, change) in unsynced {
        tear(&mut disk, file, change, chance);
    }
    disk
}

fn lay(disk: &Disk, from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(to).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (path, bytes) in disk {
        std::fs::write(to.join(path.strip_prefix(from).unwrap()), bytes).unwrap();
    }
}

/// Whether all that the file says is whole is right, and at least what was promised; the rows of its checkpoint.
#[track_caller]
fn judge(path: &Path, promised: (usize, usize), what: &str) {
    let read = store::open(path).unwrap_or_else(|e| panic!("{what}: {e}"));
    let rows = read.committed_rows();
    assert!(rows >= promised.0, "{what}: {rows} rows of {promised:?}");
    let time = read.time_ms().unwrap();
    assert!(time[..rows].iter().all(|t| t.is_finite()), "{what}");
    for (variable, column) in read.variables().iter().enumerate() {
        let values = read.read_rows(&column.name, 0..rows).unwrap().into_f64();
        let n = read.n_fibres();
        let right = |(i, &x): (usize, &f64)| x == value(variable, i / n, i % n);
        assert!(values.iter().enumerate().all(right), "{what}: {rows} rows");
        // Where a time is told, the row is whole too.
        let told = time.iter().take_while(|t| t.is_finite()).count();
        let values = read.read_rows(&column.name, 0..told).unwrap().into_f64();
        assert!(values.iter().enumerate().all(right), "{what}: {told} times");
    }
    let events = read.events().unwrap_or_else(|e| panic!("{what}: {e}"));
    let wanted: Vec<_> = (0..events.len()).map(event).collect();
    assert_eq!(events, wanted, "{what}");
    if read.run_status() != RunStatus::Complete {
        let checkpoint = read.latest_checkpoint().unwrap();
        let at = checkpoint.as_ref().map_or(0, |c| c.rows);
        assert!(
            at >= promised.1,
            "{what}: checkpoint at {at} of {promised:?}"
        );
        assert!(
            checkpoint.is_none_or(|c| c.state == state(c.rows)),
            "{what}"
        );
    }
}

fn content(path: &Path) -> impl PartialEq + std::fmt::Debug + use<> {
    let read = store::open(path).unwrap();
    assert_eq!(read.run_status(), RunStatus::Complete);
    let traces: Vec<_> = read
        .variables()
        .iter()
        .map(|v| read.read_rows(&v.name, 0..ROWS).unwrap())
        .collect();
    (
        traces,
        read.events().unwrap(),
        read.status().unwrap(),
        read.time_ms().unwrap(),
        read.agreement().unwrap(),
    )
}

/// Goes on with a file; gives what there was on the disk before, the changes, and the promises.
fn resume(path: &Path) -> (Disk, Vec<(PathBuf, Change)>, Promises) {
    let folder = path.parent().unwrap();
    let before = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .map(|p| (p.clone(), std::fs::read(p).unwrap()))
        .collect();
    let notes = Arc::new(Notes::default());
    let (mut file, checkpoint) =
        ResultFile::reopen_watched(path, Some(Arc::<Notes>::clone(&notes))).unwrap();
    let first = checkpoint.map_or(0, |c| c.rows);
    let promises = run(&mut file, first, Some(&notes)).unwrap();
    drop(file);
    let changes = notes.0.lock().unwrap().clone();
    (before, changes, promises)
}

fn promised(promises: &Promises, n: usize, before: (usize, usize)) -> (usize, usize) {
    let kept = promises.iter().rev().find(|(by, ..)| *by <= n);
    kept.map_or(before, |&(_, rows, checkpoint)| (rows, checkpoint))
}

/// A folder where syncs cost nothing, if there is one: what they promise is played here, not tried.
fn in_memory() -> tempfile::TempDir {
    let memory = tempfile::tempdir_in("/dev/shm");
    memory.or_else(|_| tempfile::tempdir()).unwrap()
}

fn cuts(few: usize) -> usize {
    let asked = std::env::var("SARCOLEMMA_CUTS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(few)
}

#[test]
fn a_power_cut_at_any_moment_takes_nothing_that_was_acknowledged() {
    let dir = in_memory();
    let folder = dir.path().join("run");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("x.h5");
    let notes = Arc::new(Notes::default());
    let watch: Option<Arc<dyn Watch>> = Some(Arc::<Notes>::clone(&notes));
    let options = CreateOptions::default();
    let mut file = ResultFile::create_watched(&path, &small(), options, watch).unwrap();
    // Until it has its name, nobody sees it, and it gets its name when it is on the disk.
    let start: Disk = [(path.clone(), std::fs::read(&path).unwrap())].into();
    notes.0.lock().unwrap().clear();
    let promises = run(&mut file, 0, Some(&notes)).unwrap();
    drop(file);
    let changes = notes.0.lock().unwrap().clone();
    let whole = content(&path);
    let side = folder.join("x.h5.events");
    assert!(changes.iter().any(|(file, _)| *file == side));
    for side in ["x.h5.checkpoint_a", "x.h5.checkpoint_b"].map(|name| folder.join(name)) {
        assert!(changes.iter().any(|(file, _)| *file == side));
        assert!(!side.exists());
    }

    let mut chance = Chance(0x51ed_270b_7f4a_7c15);
    let (again, cut_path) = (dir.path().join("cut"), dir.path().join("cut/x.h5"));
    let n_cuts = cuts(100);
    for number in 0..n_cuts {
        // Each moment in turn where there are as many cuts, else some of them.
        let n = match n_cuts >= changes.len() {
            true => number % (changes.len() + 1),
            false => chance.pick(changes.len() + 1),
        };
        let what = format!("cut {number} after {n} of {} changes", changes.len());
        lay(&cut(&start, &changes[..n], &mut chance), &folder, &again);
        let due = promised(&promises, n, (0, 0));
        judge(&cut_path, due, &what);
        if store::open(&cut_path).unwrap().run_status() == RunStatus::Complete {
            assert!(content(&cut_path) == whole, "{what}");
            continue;
        }
        let (before, changes, promises) = resume(&cut_path);
        assert!(content(&cut_path) == whole, "{what}");
        // And once more while it is gone on with.
        let n = chance.pick(changes.len() + 1);
        let twice = dir.path().join("twice");
        lay(&cut(&before, &changes[..n], &mut chance), &again, &twice);
        let what = format!("{what}, then after {n}");
        let path = twice.join("x.h5");
        // Going on takes back the rows behind the checkpoint before it writes them again.
        judge(&path, promised(&promises, n, (due.1, due.1)), &what);
        if store::open(&path).unwrap().run_status() != RunStatus::Complete {
            resume(&path);
        }
        assert!(content(&path) == whole, "{what}");
    }
}

#[test]
fn a_disk_that_is_full_at_any_write_leaves_a_file_to_go_on_with() {
    let dir = in_memory();
    let path = dir.path().join("x.h5");
    let notes = Arc::new(Notes::default());
    let watch: Option<Arc<dyn Watch>> = Some(Arc::<Notes>::clone(&notes));
    let options = CreateOptions::default();
    let mut file = ResultFile::create_watched(&path, &small(), options, watch).unwrap();
    let made = notes.len();
    run(&mut file, 0, None).unwrap();
    drop(file);
    let whole = content(&path);
    let changes = notes.0.lock().unwrap();
    let is_write = |c: &&(PathBuf, Change)| matches!(c.1, Change::Write(..) | Change::Resize(_));
    let writes = changes.iter().filter(is_write).count();
    let writes_made = changes[..made].iter().filter(is_write).count();
    let mut chance = Chance(99);
    let mut after_start = 0;
    for number in 0..cuts(40) {
        // Mostly while it runs, now and then while it is made.
        let left = match number % 5 {
            0 => chance.pick(writes_made),
            _ => writes_made + chance.pick(writes - writes_made),
        };
        let what = format!("number {number}: full after {left} writes");
        let watch: Arc<dyn Watch> = Arc::new(Full(Mutex::new(left)));
        let options = CreateOptions { overwrite: true };
        let _ = std::fs::remove_file(&path);
        let made = ResultFile::create_watched(&path, &small(), options, Some(watch));
        let mut file = match made {
            Ok(file) => file,
            Err(_) => {
                assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{what}");
                continue;
            }
        };
        let end = run(&mut file, 0, None);
        drop(file);
        after_start += usize::from(end.is_err());
        judge(&path, (0, 0), &what);
        if end.is_err() {
            resume(&path);
        }
        assert!(content(&path) == whole, "{what}");
    }
    assert!(after_start > 5, "the disk was full {after_start} times");
}
