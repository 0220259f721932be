//! `rerun`: the same bits from the file alone, and why a fibre was lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "the tests of other verbs use more of it")]
#[path = "cli/place.rs"]
mod place;

#[path = "rerun/damaged.rs"]
mod damaged;
#[path = "rerun/lost.rs"]
mod lost;

use std::fs;

use place::Place;
use sarcolemma::backend::gpu::{Choice, adapters, choose};
use sarcolemma::store::{self, ResultReader};
use serde_json::Value;

/// Driven by all that a protocol has, with the time in a formula.
pub const DRIVEN: &str = "\
[[model]]
name: driven
c.V = -70
c.n = 0.3
c.z = 0
[c]
t = 0 [ms] bind time
    in [ms]
p = 0 bind pace
    in [1]
g = 0.3 [1/ms]
    in [1/ms]
u = 0 [1]
    in [1]
I = g * (V + 70 [mV]) + 0.02 [1/ms] * n * (V + 90 [mV])
    in [mV/ms]
dot(V) = -I + p * 60 [mV/ms]
    in [mV]
    label membrane_potential
dot(n) = (1 / (1 + exp(-(V + 40 [mV]) / 8 [mV])) - n) / (3 [ms] + 2 [ms] * cos(t / 5 [ms]))
    in [1]
dot(z) = (u - z) / 4 [ms]
    in [1]
";

/// Nine fibres: a column of a table, a draw, an initial value that is recorded too, a level of the study's own, factors; settling,
/// pulses, a ramp, a clamp; some fibres recorded.
pub const STUDY: &str = "\
title = 'Replayed'
model = 'models/driven.mmt'
duration = '60 ms'
settle = '50 ms'
scheme = 'ros3'
tolerance = 1e-3
[population]
fibres = 9
seed = 5
sampling = 'latin_hypercube'
[population.parameters]
'c.g' = { file = 'tables/g.csv', column = 'g' }
'protocol.top' = { uniform = [2, 6] }
c.V = { normal = { sd = '2 mV', mean = '-70 mV' } }
'protocol.level' = { values = [0.4, 0.7, 1] }
[[protocol.pulse]]
start = '5 ms'
length = '2 ms'
period = '10 ms'
count = 4
level = 'protocol.level'
[[protocol.set]]
at = '10 ms'
parameter = 'c.u'
value = 'protocol.top'
ramp = '20 ms'
[[protocol.clamp]]
state = 'c.V'
at = '45 ms'
until = '55 ms'
value = '-30 mV'
[record]
variables = ['c.V', 'c.z', 'c.I']
every = '0.25 ms'
fibres = [1, 4, 8]
[features]
spikes = { of = 'c.V', threshold = '-20 mV' }
late = { of = 'c.V', threshold = '-20 mV', after = '20 ms' }
peak = { max = 'c.V', before = '40 ms' }
area = { integral = 'c.z' }
never = { of = 'c.V', threshold = '500 mV' }
[summary]
by = ['protocol.level']
abnormal = 'spikes.count > 1'
[agreement]
fibres = 0
";

/// A folder with the study, its model and its table.
pub fn place() -> Place {
    let place = Place::with(&[("study.toml", STUDY.as_bytes())]);
    for folder in ["models", "tables"] {
        fs::create_dir(place.path().join(folder)).unwrap();
    }
    fs::write(place.path().join("models/driven.mmt"), DRIVEN).unwrap();
    let rows: String = (0..12)
        .map(|k| format!("{k},0.{}\n", 2137 + 211 * k))
        .collect();
    fs::write(place.path().join("tables/g.csv"), format!("n,g\n{rows}")).unwrap();
    place
}

/// Runs the study and takes everything but its result away.
fn ran(arguments: &[&str]) -> Place {
    let place = place();
    let all = [&["run", "study.toml", "--quiet"], arguments].concat();
    place.run(&all).ends(0);
    for folder in ["models", "tables"] {
        fs::remove_dir_all(place.path().join(folder)).unwrap();
    }
    fs::remove_file(place.path().join("study.toml")).unwrap();
    place
}

fn opened(place: &Place, name: &str) -> ResultReader {
    store::open(&place.path().join(name)).unwrap()
}

/// Everything that two files hold of a fibre, to the bit.
fn same_bits(place: &Place, whole: &str, one: &str, fibre: u64) {
    let (whole, one) = (opened(place, whole), opened(place, one));
    let row = whole
        .fibre_ids()
        .unwrap()
        .iter()
        .position(|&id| id == fibre)
        .unwrap();
    assert_eq!(one.fibre_ids().unwrap(), [fibre]);
    let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for column in whole.features() {
        let (x, y) = (
            whole.feature(&column.name).unwrap()[row],
            one.feature(&column.name).unwrap()[0],
        );
        assert_eq!(x.to_bits(), y.to_bits(), "{}: {x} and {y}", column.name);
    }
    for column in whole.parameters() {
        let (x, y) = (
            whole.parameter(&column.name).unwrap()[row],
            one.parameter(&column.name).unwrap()[0],
        );
        assert_eq!(x.to_bits(), y.to_bits(), "{}: {x} and {y}", column.name);
    }
    for column in whole.variables() {
        let (x, y) = (
            whole.read_trace(&column.name, fibre).unwrap(),
            one.read_trace(&column.name, fibre).unwrap(),
        );
        assert!(x.len() > 200 && bits(&x) == bits(&y), "{}", column.name);
    }
    let spikes = |file: &ResultReader| {
        let mut own: Vec<(u8, u64)> = file
            .events()
            .unwrap()
            .iter()
            .filter(|s| s.fibre == fibre)
            .map(|s| (s.feature, s.time_ms.to_bits()))
            .collect();
        own.sort_unstable();
        own
    };
    assert!(!spikes(&whole).is_empty() && spikes(&whole) == spikes(&one));
    assert_eq!(whole.status().unwrap()[row], one.status().unwrap()[0]);
    assert_eq!(whole.precision(), one.precision());
    for name in [
        "study",
        "model",
        "model_sha256",
        "scheme",
        "precision",
        "backend",
        "title",
    ] {
        assert_eq!(whole.text(name), one.text(name), "{name}");
    }
}

#[test]
fn the_files_own_backend_and_precision_give_its_bits() {
    let mut engines = vec![("cpu", "f32"), ("cpu", "f64"), ("reference", "f64")];
    match choose(&adapters(), &Choice::Best) {
        Ok(_) => engines.push(("gpu", "f32")),
        Err(_) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "a GPU driver is needed here"
            );
            eprintln!("not run on a GPU: no driver here");
        }
    }
    for (backend, precision) in engines {
        let place = ran(&["--backend", backend, "--precision", precision]);
        let again = ["rerun", "study.h5", "--fibre", "4", "--backend", backend];
        let told = place.run(&[&again[..], &["-o", "one.h5"]].concat()).ends(0);
        same_bits(&place, "study.h5", "one.h5", 4);
        assert!(
            told.stdout
                .contains("All that the file holds of this fibre is the same to the last bit."),
            "{}",
            told.stdout
        );
        // The file of one fibre says whose it is, and serves as well.
        let one = opened(&place, "one.h5");
        assert_eq!(one.text("rerun_of"), Some("study.h5"));
        assert_eq!(one.number("population_fibres"), Some(9.0));
        drop(one);
        let again = [
            "rerun",
            "one.h5",
            "--fibre",
            "4",
            "--backend",
            backend,
            "-o",
            "two.h5",
        ];
        place.run(&again).ends(0);
        same_bits(&place, "one.h5", "two.h5", 4);
    }
}

#[test]
fn a_fibre_that_was_not_recorded_is_recorded_now() {
    let place = ran(&["--backend", "cpu"]);
    let again = ["rerun", "study.h5", "--fibre", "7", "--backend", "cpu"];
    let told = place.run(&[&again[..], &["-o", "one.h5"]].concat()).ends(0);
    assert!(
        told.stdout
            .contains("The file does not hold the course of this fibre over time."),
        "{}",
        told.stdout
    );
    let one = opened(&place, "one.h5");
    let v = one.read_trace("c.V", 7).unwrap();
    assert!(v.len() == 241 && v.iter().all(|x| x.is_finite()));
    let json: Value = place.json(&[&again[..], &["--json"]].concat());
    assert_eq!(
        (&json["variables"], &json["same_bits"]),
        (&Value::Null, &true.into())
    );
    assert_eq!((&json["fibre"], &json["fibres"]), (&7.into(), &9.into()));
}

/// The default is the reference: it is near, and says how near.
#[test]
fn the_reference_says_how_far_the_file_is_from_it() {
    let place = ran(&["--backend", "cpu", "--duration", "50 ms"]);
    let json: Value = place.json(&["rerun", "study.h5", "--fibre", "4", "--json"]);
    let (then, now) = (&json["then"], &json["now"]);
    assert_eq!(
        (&then["backend"], &then["precision"]),
        (&"cpu".into(), &"f32".into())
    );
    assert_eq!(
        (&now["backend"], &now["precision"]),
        (&"reference".into(), &"f64".into())
    );
    assert_eq!(
        (&then["end"]["status"], &now["end"]["status"]),
        (&"finished".into(), &"finished".into())
    );
    assert_eq!(json["same_bits"], false);
    let file = opened(&place, "study.h5");
    for (k, column) in file.features().iter().enumerate() {
        let f = &json["features"][k];
        let then = file.feature(&column.name).unwrap()[4];
        assert_eq!(f["name"], column.name.as_str());
        match f["then"].as_f64() {
            // The JSON reader used here rounds the last digit.
            Some(x) => assert!((x - then).abs() <= 1e-15 * then.abs(), "{x} and {then}"),
            None => assert!(then.is_nan()),
        }
    }
    let v = &json["variables"][0];
    let (rms, range) = (v["rms"].as_f64().unwrap(), v["range"].as_f64().unwrap());
    // Steps at a tolerance of 1e-3 are off by far less than 1 % of the range, and by more than nothing.
    assert!(rms > 0.0 && rms < 0.01 * range, "{rms} of {range}");
    let spikes = &json["spikes"][0];
    assert_eq!(spikes["then"], spikes["now"]);
    assert!(spikes["shift_max_ms"].as_f64().unwrap() < 0.05);
    assert_eq!(json["loss"], Value::Null);
    // What differs is told in words, too.
    let text = place
        .run(&["rerun", "study.h5", "--fibre", "4"])
        .ends(0)
        .stdout;
    for part in [
        "Fibre 4 of 9 in study.h5, model driven.",
        "Then: cpu f32, scheme ros3; finished.",
        "The two differ.",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn what_cannot_be_run_again_is_refused_with_the_reason() {
    let place = ran(&["--backend", "cpu"]);
    place
        .run(&["rerun", "study.h5", "--fibre", "9"])
        .ends(2)
        .says("error: study.h5 has no fibre 9: its numbers go from 0 to 8\n");
    place
        .run(&["rerun", "none.h5", "--fibre", "0"])
        .ends(2)
        .says("error: cannot read 'none.h5': there is no such file or directory\n");
    fs::write(place.path().join("there.h5"), "x").unwrap();
    let there = place
        .run(&["rerun", "study.h5", "--fibre", "1", "-o", "there.h5"])
        .ends(2);
    there.says(
        "error: 'there.h5' exists already\nhelp: --force overwrites it, -o names another output\n",
    );
    let itself = [
        "rerun", "study.h5", "--fibre", "1", "-o", "study.h5", "--force",
    ];
    assert!(
        place
            .run(&itself)
            .ends(2)
            .stderr
            .contains("is the file that the fibre comes from")
    );
    let both = ["rerun", "study.h5", "--fibre", "1", "--precision", "f32"];
    place
        .run(&both)
        .ends(2)
        .says("error: the reference backend computes in f64 only\n");
}

#[test]
fn the_scheme_is_that_of_the_file_and_a_fixed_step_too() {
    let place = place();
    let fixed = STUDY
        .replace(
            "scheme = 'ros3'\ntolerance = 1e-3",
            "scheme = 'rush_larsen'\nstep = '0.02 ms'",
        )
        .replace("fibres = [1, 4, 8]\n", "");
    fs::write(place.path().join("fixed.toml"), fixed).unwrap();
    place
        .run(&["run", "fixed.toml", "--quiet", "--backend", "cpu"])
        .ends(0);
    let again = ["rerun", "fixed.h5", "--fibre", "2", "--backend", "cpu"];
    place.run(&[&again[..], &["-o", "one.h5"]].concat()).ends(0);
    same_bits(&place, "fixed.h5", "one.h5", 2);
    let json: Value = place.json(&[&again[..], &["--json"]].concat());
    assert_eq!(
        (&json["now"]["scheme"], &json["now"]["step_ms"]),
        (&"rush_larsen".into(), &0.02.into())
    );
    // In the other precision it is another fibre, but no other study.
    let json: Value = place.json(&[&again[..], &["--json", "--precision", "f64"]].concat());
    assert_eq!(
        (&json["same_bits"], &json["now"]["precision"]),
        (&false.into(), &"f64".into())
    );
}
