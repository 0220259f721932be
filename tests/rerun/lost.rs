//! A lost fibre: which formula, from what, and who else loses it.

use serde_json::Value;

use crate::place::Place;

/// One way to be lost for each literal: `x` runs to infinity, `w` falls below 0 where its root is none, `y` starts from an infinite
/// derivative, `s` stands where the slope of a root is infinite, `e` grows beyond what single precision holds.
const MODEL: &str = "\
[[model]]
name: lossy
c.V = -80
c.x = 1
c.w = 1
c.y = 0
c.s = 0
c.e = 0
[c]
t = 0 [ms] bind time
    in [ms]
p = 0 bind pace
    in [1]
a = 0 [1/ms]
    in [1/ms]
b = 0 [1/ms]
    in [1/ms]
pole = 1 [1]
    in [1]
edge = 1 [1]
    in [1]
far = 0 [1]
    in [1]
dot(V) = (-80 [mV] - V) / 5 [ms] + p * 40 [mV/ms]
    in [mV]
    label membrane_potential
dot(x) = a * x^2
    in [1]
root = 1e-3 * sqrt(w)
    in [1]
unused = 1 / (w - 1e6)
    in [1]
dot(w) = -b * (1 + root)
    in [1]
far_out = far * far
    in [1]
dot(y) = 1e-6 [1/ms] / (pole - 0.25)
    in [1]
bent = sqrt(s + edge)
    in [1]
dot(s) = -s * bent / 5 [ms]
    in [1]
sum = far_out + e
    in [1]
dot(e) = (1 [1] - e) / 5 [ms] * (sum - far_out) / (sum + 1)
    in [1]
";

const STUDY: &str = "\
model = 'lossy.mmt'
duration = '100 ms'
scheme = 'ros3'
[population]
sampling = 'zip'
[population.parameters]
'c.a' = { values = [0, 0.05, 0, 0, 0, 0] }
'c.b' = { values = [0, 0, 0.025, 0, 0, 0] }
'c.pole' = { values = [1, 1, 1, 0.25, 1, 1] }
'c.edge' = { values = [1, 1, 1, 1, 0, 1] }
'c.far' = { values = [0, 0, 0, 0, 0, 1e30] }
[[protocol.pulse]]
start = 5
length = 2
period = 10
[record]
variables = ['c.V', 'c.x', 'c.w']
every = '0.5 ms'
[agreement]
fibres = 0
";

fn place(arguments: &[&str]) -> Place {
    let place = Place::with(&[
        ("study.toml", STUDY.as_bytes()),
        ("lossy.mmt", MODEL.as_bytes()),
    ]);
    place
        .run(&[&["run", "study.toml", "--quiet", "--backend"], arguments].concat())
        .ends(0);
    place
}

fn loss(place: &Place, fibre: &str) -> Value {
    let json: Value = place.json(&["rerun", "study.h5", "--fibre", fibre, "--json"]);
    json["loss"].clone()
}

fn line(of: &str) -> usize {
    1 + MODEL.lines().position(|l| l.starts_with(of)).unwrap()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_root_of_a_negative_number_is_found_with_what_it_reads() {
    for arguments in [&["cpu"][..], &["cpu", "--precision", "f64"], &["reference"]] {
        let place = place(arguments);
        let loss = loss(&place, "2");
        let found = &loss["found"];
        assert_eq!(
            (&found["fault"], &found["variable"]),
            (&"value".into(), &"c.root".into()),
            "{arguments:?} {loss:#}"
        );
        assert_eq!(
            (&found["value"], &found["leads_to"]),
            (&"NaN".into(), &"dot(c.w)".into())
        );
        assert_eq!(found["formula"], "1e-3 * sqrt(w)");
        assert_eq!(
            (&found["file"], &found["line"]),
            (&"lossy.mmt".into(), &line("root").into())
        );
        let read = &found["inputs"][0];
        assert_eq!(read["name"], "c.w");
        let (before, then) = (number(&read["before"]), number(&read["then"]));
        assert!(
            before > 0.0 && then < 0.0,
            "{arguments:?}: {before} then {then}"
        );
        // w falls by 0.025 and a little per ms from 1.
        assert!((number(&found["then_ms"]) - 40.0).abs() < 0.2, "{found:#}");
        assert!(
            number(&found["before_ms"]) < number(&found["then_ms"]),
            "{found:#}"
        );
    }
}

#[test]
fn a_state_that_runs_away_is_named_with_its_formula() {
    let place = place(&["cpu"]);
    let loss = loss(&place, "1");
    let found = &loss["found"];
    assert_eq!(
        (&found["fault"], &found["variable"]),
        (&"runaway".into(), &"dot(c.x)".into()),
        "{loss:#}"
    );
    assert_eq!(found["formula"], "a * x^2");
    let [a, x] = [0, 1].map(|k| &found["inputs"][k]);
    assert_eq!(
        (&a["name"], &a["parameter"], &x["name"]),
        (&"c.a".into(), &true.into(), &"c.x".into())
    );
    // In single precision, as the file: 0.05 rounded.
    assert_eq!(number(&a["before"]), f64::from(0.05f32));
    assert!(number(&x["before"]) > 1e3, "{found:#}");
    // 1/x falls by 0.05 per ms from 1: nobody survives 20 ms.
    for other in loss["others"].as_array().unwrap() {
        assert_eq!(other["survives"], false);
        assert!(
            (number(&other["lost_at_ms"]) - 20.0).abs() < 0.2,
            "{other:#}"
        );
    }
    assert_eq!(loss["others"].as_array().unwrap().len(), 2);
}

#[test]
fn an_infinite_derivative_at_the_start_is_found_there() {
    let place = place(&["cpu"]);
    let found = &loss(&place, "3")["found"];
    assert_eq!(
        (&found["variable"], &found["value"]),
        (&"dot(c.y)".into(), &"inf".into()),
        "{found:#}"
    );
    assert_eq!(
        (number(&found["before_ms"]), number(&found["then_ms"])),
        (0.0, 0.0)
    );
    assert_eq!(
        (
            &found["inputs"][0]["name"],
            number(&found["inputs"][0]["then"])
        ),
        (&"c.pole".into(), 0.25)
    );
    let text = place
        .run(&["rerun", "study.h5", "--fibre", "3"])
        .ends(0)
        .stdout;
    let expected = format!(
        "lossy.mmt:{}: dot(c.y) = 1e-6 [1/ms] / (pole - 0.25)",
        line("dot(y)")
    );
    assert!(
        text.contains(&expected) && text.contains("where the fibre begins"),
        "{text}"
    );
}

/// The value of the formula is 0, its slope 1/0: only an implicit step is made of it.
#[test]
fn an_infinite_slope_is_found_where_every_value_is_finite() {
    let place = place(&["cpu"]);
    let found = &loss(&place, "4")["found"];
    assert_eq!(
        (&found["fault"], &found["variable"]),
        (&"slope".into(), &"c.bent".into()),
        "{found:#}"
    );
    assert_eq!(
        (&found["slope"]["by"], &found["slope"]["value"]),
        (&"c.s".into(), &"inf".into())
    );
    assert_eq!(
        (number(&found["value"]), &found["line"]),
        (0.0, &line("bent").into())
    );
}

/// 1e60 is infinite in single precision, and infinity less infinity is no number. In double precision all is well.
#[test]
fn what_single_precision_cannot_hold_survives_in_double() {
    let place = place(&["cpu"]);
    let loss = loss(&place, "5");
    assert_eq!(loss["precision"], "f32");
    let found = &loss["found"];
    assert_eq!(found["leads_to"], "dot(c.e)", "{loss:#}");
    for (k, scheme) in ["ros3", "reference"].iter().enumerate() {
        let other = &loss["others"][k];
        assert_eq!(
            (&other["scheme"], &other["survives"]),
            (&(*scheme).into(), &true.into())
        );
    }
    let text = place
        .run(&["rerun", "study.h5", "--fibre", "5"])
        .ends(0)
        .stdout;
    for part in [
        "Why it was lost (f32, scheme ros3, on the CPU):",
        "In f64, scheme ros3: it survives to the end.",
        "In f64, scheme reference: it survives to the end.",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    // A sound fibre needs no explanation.
    assert!(
        !place
            .run(&["rerun", "study.h5", "--fibre", "0"])
            .ends(0)
            .stdout
            .contains("lost")
    );
}
