//! Runs that are killed at random moments and gone on with: the finished file has the bits of a run that was not cut off.
//!
//! `SARCOLEMMA_KILLS=N` asks for N kills of each kind of run; a few by default.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "cli/content.rs"]
mod content;
#[allow(dead_code, reason = "the tests of other verbs use more of it")]
#[path = "cli/place.rs"]
mod place;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use content::same_content;
use place::Place;
use sarcolemma::backend::gpu::{Choice, adapters, choose};
use sarcolemma::store::{self, RunStatus};

/// Fibres settle, fire at different rates, some recorded, some not; several features, two with events.
const STUDY: &str = "\
title = 'Cut off'
model = 'hodgkin_huxley_1952'
duration = '240 ms'
settle = '120 ms'
[population]
fibres = 700
seed = 3
[population.parameters]
'sodium.g' = { lognormal = { cv = 0.2 } }
'potassium.g' = { lognormal = { cv = 0.2 } }
[[protocol.pulse]]
start = '5 ms'
length = '0.5 ms'
period = '9 ms'
count = 20
[record]
variables = ['membrane.V', 'sodium.I']
every = '0.5 ms'
fibres = { first = 300 }
[features]
spikes = { of = 'membrane.V', threshold = '0 mV' }
late = { of = 'membrane.V', threshold = '10 mV', after = '20 ms' }
peak = { max = 'membrane.V' }
mean = { mean = 'membrane.V', after = '50 ms' }
[agreement]
fibres = 6
";

/// A stimulus that lasts: many more spikes than edges of the protocol, so that events go to the file beside the result.
fn lasting() -> String {
    STUDY
        .replace(
            "length = '0.5 ms'\nperiod = '9 ms'\ncount = 20",
            "length = '200 ms'",
        )
        .replace("fibres = { first = 300 }", "fibres = 'all'")
        .replace("settle = '120 ms'\n", "")
}

/// Nothing recorded.
fn unrecorded() -> String {
    let (before, rest) = STUDY.split_once("[record]").unwrap();
    let (_, after) = rest.split_once("[features]").unwrap();
    format!("{before}[features]{after}")
}

/// A population of which a third is lost on the way, at different times.
const LOSSY_MODEL: &str = "\
[[model]]
name: lossy
c.V = -80
c.w = 1
[c]
t = 0 [ms] bind time
    in [ms]
p = 0 bind pace
    in [1]
b = 0.001 [1/ms]
    in [1/ms]
dot(V) = (-80 [mV] - V) / 5 [ms] + p * 40 [mV/ms] + 10 [mV/ms] * sin(t / 3 [ms])
    in [mV]
    label membrane_potential
dot(w) = -b * (1 + 1e-3 * sqrt(w))
    in [1]
";
const LOSSY: &str = "\
title = 'Lost'
model = 'lossy.mmt'
duration = '200 ms'
settle = '20 ms'
[population]
fibres = 900
seed = 5
[population.parameters]
'c.b' = { uniform = [0.0, 0.012] }
[[protocol.pulse]]
start = 5
length = 2
period = 10
[record]
variables = ['c.V', 'c.w']
every = '0.25 ms'
[features]
spikes = { of = 'c.V', threshold = '-40 mV' }
least = { min = 'c.w' }
";

/// Six spikes a fibre and slab: more than four times as many as edges of the protocol let expect.
const BUSY: &str = "\
title = 'Busy'
model = 'busy.mmt'
duration = '160 ms'
[population]
fibres = 1500
[features]
spikes = { of = 'c.V', threshold = '0 mV' }
";
const BUSY_MODEL: &str = "\
[[model]]
name: busy
c.V = 1
[c]
t = 0 [ms] bind time
    in [ms]
dot(V) = 50 [mV/ms] * cos(8 * t / 1 [ms])
    in [mV]
    label membrane_potential
";

/// A fixed sequence of numbers between 0 and 1.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn pick(&mut self, n: usize) -> usize {
        (self.next() * n as f64) as usize
    }
}

fn kills(few: usize) -> usize {
    let asked = std::env::var("SARCOLEMMA_KILLS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(few)
}

fn place(study: &str) -> Place {
    let files = [
        ("study.toml", study.as_bytes()),
        ("lossy.mmt", LOSSY_MODEL.as_bytes()),
        ("busy.mmt", BUSY_MODEL.as_bytes()),
    ];
    Place::with(&files)
}

#[track_caller]
fn same(place: &Place, whole: &str, other: &str, what: &str) {
    let at = |name: &str| place.path().join(name);
    same_content(&at(whole), &at(other), what);
    let status = store::open(&at(other)).unwrap().run_status();
    assert_eq!(status, RunStatus::Complete, "{what}");
    for side in ["events", "checkpoint_a", "checkpoint_b"] {
        assert!(!at(&format!("{other}.{side}")).exists());
    }
}

/// All that a cut off file says is whole has the bits of the whole run.
#[track_caller]
fn what_is_whole_is_right(place: &Place, cut: &str, whole: &str) {
    let (cut, whole) = (place.path().join(cut), place.path().join(whole));
    let (cut, whole) = (store::open(&cut).unwrap(), store::open(&whole).unwrap());
    let rows = cut.committed_rows();
    for column in whole.variables() {
        let values = |read: &store::ResultReader| {
            let values = read.read_rows(&column.name, 0..rows).unwrap().into_f64();
            values.into_iter().map(f64::to_bits).collect::<Vec<_>>()
        };
        assert!(
            values(&cut) == values(&whole),
            "{} of {rows} rows",
            column.name
        );
    }
    let time = cut.time_ms().unwrap();
    assert!(time[..rows].iter().all(|t| t.is_finite()));
    let n = cut.committed_events() as usize;
    if cut.run_status() != RunStatus::Complete {
        assert_eq!(cut.events().unwrap()[..], whole.events().unwrap()[..n]);
    }
}

fn start(place: &Place, arguments: &[&str]) -> Child {
    place
        .command(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What became of runs that were killed.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    from_checkpoint: usize,
    while_settling: usize,
    after_the_last_row: usize,
    anew: usize,
}

/// Runs `first` into `output`, kills it at a random moment and goes on with `resume`, over and over, until it is done.
fn through(
    place: &Place,
    first: &[&str],
    (output, whole): (&str, &str),
    lasts: Duration,
    chance: &mut Chance,
    tally: &mut Tally,
) {
    let path = place.path().join(output);
    let mut arguments: Vec<String> = first.iter().map(|a| (*a).to_owned()).collect();
    for round in 0.. {
        let list: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut child = start(place, &list);
        // The first round begins where the file is there; later ones have less to do and mostly end.
        let share = if round < 3 { 1.0 } else { 8.0 };
        let wait = lasts.mul_f64((0.05 + 0.95 * chance.next()) * share);
        let began = Instant::now();
        let end = loop {
            if let Some(end) = child.try_wait().unwrap() {
                break Some(end);
            }
            if began.elapsed() >= wait {
                child.kill().unwrap();
                // It may have come to its end just before.
                break Some(child.wait().unwrap()).filter(|end| end.code().is_some());
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        if let Some(end) = end {
            let mut told = String::new();
            std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut told).unwrap();
            assert!(end.success(), "{arguments:?}: {end}: {told}");
            return;
        }
        tally.kills += 1;
        if !path.exists() {
            continue;
        }
        what_is_whole_is_right(place, output, whole);
        let read = store::open(&path).unwrap();
        match read.latest_checkpoint().unwrap() {
            None => tally.anew += 1,
            Some(checkpoint) => {
                tally.from_checkpoint += 1;
                let rows = read.layout().unwrap().time_ms.len();
                tally.while_settling += usize::from(rows > 0 && checkpoint.rows == 0);
                tally.after_the_last_row += usize::from(rows > 0 && checkpoint.rows == rows);
            }
        }
        let threads = (1 + chance.pick(3)).to_string();
        let every = ["0 s", "10 ms", "100 ms"][chance.pick(3)];
        let resume = ["resume", output, "--quiet", "--threads", &threads];
        let resume = [&resume[..], &["--checkpoint-every", every]].concat();
        arguments = resume.into_iter().map(str::to_owned).collect();
    }
}

/// Kills runs of a study until there were so many kills, and compares each with the whole.
fn kill_and_compare(name: &str, study: &str, options: &[&str], few: usize, seed: u64) -> Tally {
    let place = place(study);
    let run = |output: &'static str| {
        let own = ["run", "study.toml", "--quiet", "--force", "-o", output];
        [&own[..], options].concat()
    };
    let began = Instant::now();
    place.run(&run("whole.h5")).ends(0);
    let lasts = began.elapsed();
    let mut tally = Tally::default();
    let mut chance = Chance(seed);
    while tally.kills < kills(few) {
        let _ = fs::remove_file(place.path().join("cut.h5"));
        let first = [&run("cut.h5")[..], &["--checkpoint-every", "20 ms"]].concat();
        let files = ("cut.h5", "whole.h5");
        through(&place, &first, files, lasts, &mut chance, &mut tally);
        same(&place, "whole.h5", "cut.h5", name);
    }
    println!("{name}: {tally:?}, the whole in {} ms", lasts.as_millis());
    tally
}

#[test]
fn a_killed_run_on_the_cpu_goes_on_to_the_same_bits() {
    let cpu = ["--backend", "cpu"];
    let tally = kill_and_compare("f32", STUDY, &cpu, 5, 11);
    assert!(tally.from_checkpoint > 0, "{tally:?}");
    let double = ["--backend", "cpu", "--precision", "f64", "--threads", "1"];
    kill_and_compare("f64", STUDY, &double, 3, 12);
    kill_and_compare("lost fibres", LOSSY, &cpu, 3, 13);
    kill_and_compare("events beside the file", &lasting(), &cpu, 3, 14);
    kill_and_compare("nothing recorded", &unrecorded(), &cpu, 3, 15);
}

#[test]
fn a_killed_run_of_the_reference_goes_on_to_the_same_bits() {
    let reference = ["--backend", "reference", "--fibres", "40"];
    kill_and_compare("reference", STUDY, &reference, 3, 21);
    let reference = ["--backend", "reference", "--fibres", "300"];
    kill_and_compare("reference, lost", LOSSY, &reference, 3, 22);
}

/// The name of the best device; `None`, and it is said, where there is none.
fn device() -> Option<String> {
    let device = choose(&adapters(), &Choice::Best).map(|device| device.name.clone());
    device
        .inspect_err(|error| {
            let why = format!("NOT TESTED: there is no device here: {error}");
            assert!(std::env::var_os("CI").is_none(), "{why}");
            eprintln!("{why}");
        })
        .ok()
}

#[test]
fn a_killed_run_on_a_device_goes_on_to_the_same_bits() {
    if device().is_none() {
        return;
    }
    let gpu = ["--backend", "gpu"];
    kill_and_compare("device", STUDY, &gpu, 4, 31);
    kill_and_compare("device, nothing recorded", &unrecorded(), &gpu, 2, 32);
    kill_and_compare("device, lost", LOSSY, &gpu, 2, 33);
}

/// Kills runs of three parts until there were so many kills, and compares each part, and what is joined of them, with runs that were not cut off.
fn kill_parts_and_join(name: &str, engine: &[&str], few: usize, seed: u64) -> Place {
    let place = place(STUDY);
    let run = |more: &[&'static str]| {
        let own = ["run", "study.toml", "--quiet", "--force"];
        [&own[..], engine, more].concat()
    };
    place.run(&run(&["-o", "whole.h5"])).ends(0);
    let (mut chance, mut tally) = (Chance(seed), Tally::default());
    while tally.kills < kills(few) {
        for (shard, name, own) in [
            ("1/3", "1.h5", "1.whole.h5"),
            ("2/3", "2.h5", "2.whole.h5"),
            ("3/3", "3.h5", "3.whole.h5"),
        ] {
            let _ = fs::remove_file(place.path().join(name));
            let began = Instant::now();
            place.run(&run(&["--shard", shard, "-o", own])).ends(0);
            let every = ["--checkpoint-every", "10 ms", "--shard", shard, "-o", name];
            let first = [&run(&[])[..], &every].concat();
            through(
                &place,
                &first,
                (name, own),
                began.elapsed(),
                &mut chance,
                &mut tally,
            );
            same(&place, own, name, shard);
        }
        let merge = ["merge", "joined.h5", "3.h5", "1.h5", "2.h5", "--force"];
        place.run(&merge).ends(0);
        same(&place, "whole.h5", "joined.h5", "joined");
    }
    println!("{name}: {tally:?}");
    place
}

#[test]
fn killed_parts_are_joined_to_the_whole() {
    kill_parts_and_join("parts", &["--backend", "cpu"], 4, 41);
}

#[test]
fn killed_parts_on_a_device_are_joined_to_the_whole() {
    let Some(name) = device() else { return };
    let one = ["--backend", "gpu", "--device", &name];
    let place = kill_parts_and_join("parts on a device", &one, 4, 51);
    // A part on each device that is like the best, joined by the run itself.
    let all = ["run", "study.toml", "--device", "all", "--quiet"];
    place.run(&[&all[..], &["-o", "all.h5"]].concat()).ends(0);
    same(&place, "whole.h5", "all.h5", "all devices");
}

/// Waits until a file has a checkpoint; whether it got one before the process ended.
fn wait_for_checkpoint(path: &Path, child: &mut Child) -> bool {
    while child.try_wait().unwrap().is_none() {
        if let Ok(read) = store::open(path)
            && matches!(read.latest_checkpoint(), Ok(Some(_)))
        {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

#[test]
fn hours_of_settling_are_not_lost() {
    let study = STUDY.replace("settle = '120 ms'", "settle = '3 s'");
    let place = place(&study);
    let own = ["run", "study.toml", "--quiet", "--backend", "cpu", "-o"];
    place.run(&[&own[..], &["whole.h5"]].concat()).ends(0);
    let every = ["cut.h5", "--checkpoint-every", "20 ms"];
    let mut child = start(&place, &[&own[..], &every].concat());
    let path = place.path().join("cut.h5");
    assert!(wait_for_checkpoint(&path, &mut child));
    child.kill().unwrap();
    child.wait().unwrap();
    let read = store::open(&path).unwrap();
    assert_eq!(read.latest_checkpoint().unwrap().unwrap().rows, 0);
    assert_eq!(read.run_status(), RunStatus::Running);
    drop(read);
    place.run(&["resume", "cut.h5", "--quiet"]).ends(0);
    same(&place, "whole.h5", "cut.h5", "settling");
}

#[test]
fn a_slab_with_unforeseen_events_has_its_checkpoints_too() {
    let place = place(BUSY);
    let own = ["run", "study.toml", "--quiet", "--backend", "cpu", "-o"];
    place.run(&[&own[..], &["whole.h5"]].concat()).ends(0);
    let every = ["cut.h5", "--checkpoint-every", "0 s"];
    let path = place.path().join("cut.h5");
    let side = |slot: &str| place.path().join(format!("cut.h5.checkpoint_{slot}"));
    // Between two slabs there is nothing that has no room: another try where the kill came there.
    let goes_on_beside_the_file = (0..50).any(|_| {
        for old in [path.clone(), side("a"), side("b")] {
            let _ = fs::remove_file(old);
        }
        let mut child = start(&place, &[&own[..], &every].concat());
        while !side("a").exists() || !side("b").exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended before");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let read = store::open(&path).unwrap();
        let room = read.layout().unwrap().checkpoint_bytes;
        let checkpoint = read.latest_checkpoint().unwrap().unwrap();
        checkpoint.state.len() > room
    });
    assert!(goes_on_beside_the_file);
    place.run(&["resume", "cut.h5", "--quiet"]).ends(0);
    same(&place, "whole.h5", "cut.h5", "busy");
    let cpu = ["--backend", "cpu"];
    kill_and_compare("checkpoints beside the file", BUSY, &cpu, 3, 16);
    if device().is_some() {
        let gpu = ["--backend", "gpu"];
        kill_and_compare("device, checkpoints beside the file", BUSY, &gpu, 2, 34);
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_is_asked_to_end_says_how_to_go_on() {
    // Longer than it takes to ask, on a fast machine, too.
    let study = STUDY.replace("duration = '240 ms'", "duration = '8 s'");
    let place = place(&study);
    let own = [
        "run",
        "study.toml",
        "--backend",
        "cpu",
        "--threads",
        "1",
        "--json",
        "-o",
    ];
    let whole = place.run(&[&own[..], &["whole.h5"]].concat()).ends(0);
    for signal in ["-INT", "-TERM"] {
        let more = ["cut.h5", "--force", "--checkpoint-every", "1 h"];
        let mut child = start(&place, &[&own[..], &more].concat());
        let path = place.path().join("cut.h5");
        while !path.exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(150));
        // While it is written nobody else may.
        let busy = place.run(&["resume", "cut.h5"]).ends(2);
        assert!(busy.stderr.contains("being written by another process"));
        let over = place.run(&["run", "study.toml", "-o", "cut.h5", "--force"]);
        assert!(over.ends(2).stderr.contains("being written by another"));
        let id = child.id().to_string();
        let mut ask = std::process::Command::new("kill");
        assert!(ask.args([signal, &id]).status().unwrap().success());
        let end = child.wait().unwrap();
        let mut told = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut told).unwrap();
        assert_eq!(end.code(), Some(130), "{told}");
        assert!(told.contains("'sarcolemma resume cut.h5'"), "{told}");
        let read = store::open(&path).unwrap();
        assert_eq!(read.run_status(), RunStatus::Interrupted);
        drop(read);
        what_is_whole_is_right(&place, "cut.h5", "whole.h5");
        let resumed = place.run(&["resume", "cut.h5", "--json"]).ends(0);
        let told = |text: &str| -> serde_json::Value { serde_json::from_str(text).unwrap() };
        let (a, b) = (told(&whole.stdout), told(&resumed.stdout));
        for key in ["fibre_steps", "lost", "fibres", "scheme", "tolerance"] {
            assert_eq!(a[key], b[key], "{key}");
        }
        same(&place, "whole.h5", "cut.h5", signal);
        // Killed after its last word, before it had cleared up.
        let left = place.path().join("cut.h5.events");
        fs::write(&left, "left").unwrap();
        let again = place.run(&["resume", "cut.h5"]).ends(0);
        assert!(!left.exists());
        again.says("'cut.h5' is complete: there is nothing to resume\n");
    }
}

#[test]
fn another_version_goes_on_only_where_it_is_told_to_and_another_build_with_a_warning() {
    let place = place(STUDY);
    let own = ["run", "study.toml", "--quiet", "--backend", "cpu", "-o"];
    place.run(&[&own[..], &["whole.h5"]].concat()).ends(0);
    let every = ["cut.h5", "--checkpoint-every", "0 s"];
    let mut child = start(&place, &[&own[..], &every].concat());
    let path = place.path().join("cut.h5");
    assert!(wait_for_checkpoint(&path, &mut child));
    child.kill().unwrap();
    child.wait().unwrap();
    fs::copy(&path, place.path().join("build.h5")).unwrap();
    let build = "0123456789abcdef";
    place.replace("build.h5", store::BUILD, build);
    let told = place.run(&["resume", "build.h5", "--quiet"]).ends(0);
    let wanted = format!(
        "warning: 'build.h5' was begun by another build of sarcolemma ({build}), and this is {}: the bits may differ from those of one run\n",
        store::BUILD
    );
    assert_eq!(told.stderr, wanted);
    same(&place, "whole.h5", "build.h5", "build");
    let version = env!("CARGO_PKG_VERSION");
    let other = version.replace(|c: char| c.is_ascii_digit(), "7");
    place.replace("cut.h5", version, &other);
    let refused = place.run(&["resume", "cut.h5"]).ends(2);
    assert!(
        refused.stderr.contains("--other-version"),
        "{}",
        refused.stderr
    );
    let told = place.run(&["resume", "cut.h5", "--other-version"]).ends(0);
    assert!(
        told.stderr.contains("the bits may differ"),
        "{}",
        told.stderr
    );
    same(&place, "whole.h5", "cut.h5", "version");
}

#[test]
fn a_fibre_is_run_again_with_the_scales_that_its_file_names() {
    let place = place(STUDY);
    let own = ["run", "study.toml", "--quiet", "--backend", "cpu", "-o"];
    let more = ["whole.h5", "--fibres", "20"];
    place.run(&[&own[..], &more].concat()).ends(0);
    let rerun = ["rerun", "whole.h5", "--fibre", "7", "--backend", "cpu"];
    let rerun = [&rerun[..], &["--json"]].concat();
    let told: serde_json::Value = place.json(&rerun);
    assert_eq!(told["same_bits"], true);
    // As if the pilot of another version had found another size: the text lies in the file as it is.
    place.replace("whole.h5", "membrane.V=30.0 ", "membrane.V=11.0 ");
    let told: serde_json::Value = place.json(&rerun);
    assert_eq!(told["same_bits"], false);
    // Another build is told only where the same bits are promised.
    place.replace("whole.h5", store::BUILD, "0123456789abcdef");
    let told = place.run(&rerun).ends(0).stderr;
    assert!(
        told.contains("computed by another build of sarcolemma (0123456789abcdef)"),
        "{told}"
    );
    let by_reference = ["rerun", "whole.h5", "--fibre", "7"];
    assert_eq!(place.run(&by_reference).ends(0).stderr, "");
}

/// A limit of the size of files is a full disk that anybody can have.
#[cfg(unix)]
#[test]
fn a_full_disk_is_told_before_the_run_and_leaves_a_file_to_go_on_with_during_it() {
    let place = place(&lasting());
    let own = ["run", "study.toml", "--quiet", "--backend", "cpu", "-o"];
    place.run(&[&own[..], &["whole.h5"]].concat()).ends(0);
    let bytes = fs::metadata(place.path().join("whole.h5")).unwrap().len();
    let limited = |kib: u64, arguments: &[&str]| {
        // In blocks of 512 bytes.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", 2 * kib);
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg(env!("CARGO_BIN_EXE_sarcolemma"))
            .args(arguments)
            .current_dir(place.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let (code, told) = limited(bytes / 1024 / 8, &[&own[..], &["none.h5"]].concat());
    assert_eq!(code, Some(3), "{told}");
    assert!(
        told.contains("bytes needed") && told.contains("free"),
        "{told}"
    );
    assert!(told.contains("help:"), "{told}");
    assert!(!place.path().join("none.h5").exists());

    // The file as it is laid out fits; the events beyond its room, moved in at the end, do not.
    let every = ["cut.h5", "--checkpoint-every", "0 s"];
    let mut child = start(&place, &[&own[..], &every].concat());
    let path = place.path().join("cut.h5");
    assert!(wait_for_checkpoint(&path, &mut child));
    child.kill().unwrap();
    child.wait().unwrap();
    let laid_out = fs::metadata(&path).unwrap().len();
    assert!(laid_out < bytes);
    let (code, told) = limited(laid_out.div_ceil(1024), &["resume", "cut.h5", "--quiet"]);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("'sarcolemma resume cut.h5'"), "{told}");
    what_is_whole_is_right(&place, "cut.h5", "whole.h5");
    place.run(&["resume", "cut.h5", "--quiet"]).ends(0);
    same(&place, "whole.h5", "cut.h5", "full");
}
