//! What a study says, and what is understood.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod studies;

use sarcolemma::feature::FeatureKind;
use sarcolemma::protocol::{Drive, Level, Target, tick};
use sarcolemma::study::{Overrides, Scheme, Traces, VariedTarget};
use studies::{messages, study, study_with};

const HEAD: &str = "model = \"fibre\"\nduration = \"100 ms\"\n";

fn with(lines: &str) -> sarcolemma::study::Study {
    study(&format!("{HEAD}{lines}"))
}

#[test]
fn the_cramp_study_is_understood() {
    let study = study(include_str!("studies/cramp.toml"));
    assert_eq!(study.title, "Does low magnesium alone make a fibre cramp?");
    assert_eq!((study.duration_ms, study.settle_ms), (3_000.0, 200_000.0));
    assert_eq!(
        (
            study.population.fibres,
            study.population.seed,
            study.population.cells()
        ),
        (4200, 7, 21)
    );
    assert_eq!(study.record.samples(study.duration_ms), 6001);
    assert_eq!(study.record.traces, Traces::Some((0..210).collect()));
    assert_eq!(study.agreement.fibres, 8);
    let columns: Vec<String> = study
        .feature_columns()
        .into_iter()
        .map(|c| c.name)
        .collect();
    let expected = [
        "rest",
        "train.count",
        "train.first",
        "train.last",
        "after.count",
        "after.first",
        "after.last",
        "V50",
        "V500",
        "K_peak",
    ];
    assert_eq!(columns, expected);
    let schedule = study.schedule();
    assert_eq!(schedule.segments[0].start, tick(-200_000.0));
    assert_eq!(schedule.segments.last().unwrap().end, tick(3_000.0));
    let on = schedule
        .segments
        .iter()
        .filter(|s| s.drives[0] == Some(Drive::constant(Level::Number(1.0))))
        .count();
    assert_eq!(on, 30);
    // Every combination of factors has 200 fibres.
    let mut groups = std::collections::BTreeMap::new();
    for fibre in 0..4200 {
        let row = study.draw(fibre);
        *groups
            .entry((row[0].to_bits(), row[1].to_bits()))
            .or_insert(0) += 1;
    }
    assert_eq!(groups.len(), 21);
    assert!(groups.values().all(|n| *n == 200));
}

#[test]
fn quantities_arrive_in_the_models_units_and_times_in_ms() {
    let study = with(
        r#"
settle = "2 s"
[population]
fibres = 3
[population.parameters]
"bath.K" = { values = ["0.004 M", "8000 uM", 12] }
"membrane.V" = "-0.09 V"
[[protocol.clamp]]
state = "membrane.V"
at = "0.01 s"
until = 50
value = "-30000 uV"
[features]
peak = { max = "membrane.V", after = "5000 us" }
mean = { mean = "sodium.I" }
"#,
    );
    assert_eq!(study.settle_ms, 2_000.0);
    let levels: Vec<f64> = (0..3).map(|i| study.draw(i)[0]).collect();
    assert_eq!(levels, [4.0, 8.0, 12.0]);
    assert_eq!(study.draw(0)[1], -90.0);
    let clamp = study.protocol.clamps[0];
    assert_eq!(
        (clamp.at_ms, clamp.until_ms, clamp.value),
        (10.0, 50.0, Level::Number(-30.0))
    );
    assert_eq!(study.features[0].after_ms, 5.0);
    let columns = study.feature_columns();
    assert_eq!(
        (columns[0].units.as_str(), columns[0].cell_methods.as_str()),
        ("mV", "time: maximum (after 5 ms)")
    );
    assert_eq!(columns[1].cell_methods, "time: mean");
}

#[test]
fn every_kind_of_feature_can_be_asked_for() {
    let study = with(
        r#"
[features]
a = { of = "membrane.V", threshold = "0 mV" }
b = { spikes = "membrane.V", threshold = 0 }
c = { max = "membrane.V" }
d = { min = "membrane.V" }
e = { mean = "membrane.V" }
f = { integral = "membrane.V", after = 1, before = 2 }
g = { time_of_max = "membrane.V" }
h = { time_of_min = "membrane.V" }
i = { final = "sodium.I" }
j = { value_at = "membrane.V", at = "50 ms" }
k = { time_above = "membrane.V", threshold = "-0.06 V" }
"#,
    );
    let kinds: Vec<FeatureKind> = study.features.iter().map(|f| f.kind).collect();
    assert_eq!(kinds[0], FeatureKind::Spikes);
    assert_eq!(kinds[1..], FeatureKind::ALL);
    assert_eq!(study.features[10].threshold, -60.0);
    let units: Vec<String> = study
        .feature_columns()
        .into_iter()
        .map(|c| c.units)
        .collect();
    assert_eq!(units[..8], ["1", "ms", "ms", "1", "ms", "ms", "mV", "mV"]);
    assert_eq!(study.feature_columns()[9].units, "mV ms");
}

#[test]
fn without_a_protocol_pace_is_zero() {
    let schedule = with("").schedule();
    assert_eq!(schedule.targets, [Target::Pace]);
    assert_eq!(schedule.segments.len(), 1);
}

#[test]
fn levels_may_be_parameters_of_the_fibre_or_of_the_model() {
    let study = with(
        r#"
[population]
fibres = 4
[population.parameters]
"sodium.E" = { uniform = [40, 60] }
"bath.K" = { values = [4, 8] }
"protocol.hold" = { values = ["-0.03 V", "10 mV"] }
"protocol.strength" = { values = [1] }
[[protocol.pulse]]
start = 1
length = 1
level = "protocol.strength"
[[protocol.clamp]]
state = "membrane.V"
at = 10
until = 20
value = "protocol.hold"
[[protocol.clamp]]
state = "membrane.V"
at = 20
until = 30
value = "sodium.E"
[[protocol.set]]
at = 50
parameter = "bath.Mg"
value = "bath.Ca"
[[protocol.set]]
at = 50
parameter = "bath.K"
value = "8 mM"
ramp = 10
"#,
    );
    assert_eq!(study.population.varied[2].target, VariedTarget::Level);
    assert_eq!(study.draw(0)[2], -30.0);
    assert_eq!(study.draw(1)[2], 10.0);
    assert_eq!(study.protocol.pulses[0].level, Level::Parameter(3));
    assert_eq!(study.protocol.clamps[0].value, Level::Parameter(2));
    assert_eq!(study.protocol.clamps[1].value, Level::Parameter(0));
    assert_eq!(study.protocol.changes[0].value, Level::Number(1.2));
    // The ramp of the varied parameter starts from the fibre's own value.
    let schedule = study.schedule();
    let bath_k = schedule
        .targets
        .iter()
        .position(|t| *t == Target::Parameter(study.model.find("bath.K").unwrap()))
        .unwrap();
    assert_eq!(
        schedule.segments[0].drives[bath_k],
        Some(Drive::constant(Level::Parameter(1)))
    );
    let ramp = schedule
        .segments
        .iter()
        .find(|s| s.start == tick(50.0))
        .unwrap()
        .drives[bath_k]
        .unwrap();
    assert_eq!(
        (ramp.from, ramp.to, ramp.start, ramp.end),
        (Level::Parameter(1), Level::Number(8.0), 0.0, 1.0)
    );
}

#[test]
fn keys_of_parameters_may_be_written_without_quotes() {
    let study = with(
        "[population.parameters]\nbath.K = 8\nbath.Mg = { values = [1] }\n[population.parameters.sodium]\ng = 100\n",
    );
    let names: Vec<&str> = study
        .population
        .varied
        .iter()
        .map(|v| v.name.as_str())
        .collect();
    assert_eq!(names, ["bath.K", "bath.Mg", "sodium.g"]);
}

#[test]
fn an_initial_value_gets_its_own_column_where_the_state_is_recorded() {
    let both = "[population.parameters]\n\"tubule.K\" = 5\n\"inside.Na\" = 10\n[record]\nvariables = [\"tubule.K\"]\nevery = 1\n";
    let study = with(both);
    let columns: Vec<&str> = study
        .population
        .varied
        .iter()
        .map(|v| v.column.as_str())
        .collect();
    assert_eq!(columns, ["tubule.K.initial", "inside.Na"]);
}

#[test]
fn samples_are_multiples_of_every_and_include_both_ends() {
    let study = with(
        "[record]\nvariables = [\"membrane.V\"]\nevery = \"0.1 ms\"\nfibres = [3, 0]\n[population]\nfibres = 4\n",
    );
    let times = study.record.times_ms(study.duration_ms);
    assert_eq!((times.len(), times[0], times[1000]), (1001, 0.0, 100.0));
    assert!(times.windows(2).all(|w| w[0] < w[1]));
    assert_eq!(study.record.traces, Traces::Some(vec![0, 3]));
    let uneven = with("[record]\nvariables = [\"membrane.V\"]\nevery = \"30 ms\"\n");
    assert_eq!(uneven.record.times_ms(100.0), [0.0, 30.0, 60.0, 90.0]);
}

#[test]
fn schemes_take_what_belongs_to_them() {
    let study = with("scheme = \"rush_larsen\"\nstep = \"0.01 ms\"\n");
    assert_eq!(
        (study.scheme, study.step_ms),
        (Scheme::Named("rush_larsen".to_string()), Some(0.01))
    );
    let study = with("scheme = \"ros3\"\ntolerance = 0.02\n");
    assert_eq!(
        (study.scheme, study.tolerance),
        (Scheme::Named("ros3".to_string()), Some(0.02))
    );
    assert_eq!(study.largest_step_ms, None);
    // From the smallest step to half of what a device's clock counts.
    for (text, ms) in [
        ("\"1 s\"", 1000.0),
        ("\"0.5 us\"", 0.000_5),
        ("5368", 5368.0),
    ] {
        let study = with(&format!("largest_step = {text}\n"));
        assert_eq!(study.largest_step_ms, Some(ms));
    }
}

#[test]
fn overrides_act_before_anything_is_checked() {
    let text = "model = \"fibre\"\nduration = \"1 s\"\n[population]\nfibres = 0\n";
    let overrides = Overrides {
        fibres: Some(5),
        duration: Some("0.2 s".to_string()),
    };
    let faulty = study_with(text, &overrides);
    assert!(faulty.is_err(), "a fault of the text stays a fault");
    let text = "model = \"fibre\"\nduration = \"1 s\"\n[population]\nfibres = 100\n[record]\nvariables = [\"membrane.V\"]\nevery = 1\nfibres = [2, 70]\n[[protocol.pulse]]\nstart = \"500 ms\"\nlength = 1\n";
    let (study, reports) =
        study_with(text, &overrides).unwrap_or_else(|r| panic!("{}", messages(&r)));
    assert_eq!(messages(&reports), "");
    assert_eq!((study.population.fibres, study.duration_ms), (5, 200.0));
    assert_eq!(study.record.traces, Traces::Some(vec![2]));
    assert_eq!(study.schedule().segments.last().unwrap().end, tick(200.0));
    let bad = Overrides {
        fibres: Some(0),
        duration: Some("5 mV".to_string()),
    };
    let text = messages(&study_with(text, &bad).unwrap_err());
    assert!(
        text.contains("--fibres is 0") && text.contains("--duration is \"5 mV\""),
        "{text}"
    );
}

#[test]
fn faults_of_study_and_model_come_each_with_its_text() {
    let reports = study_with(
        "model = \"broken.mmt\"\nduration = \"5 mV\"\nsettel = 1\n",
        &Overrides::default(),
    )
    .unwrap_err();
    assert_eq!(reports.len(), 2);
    assert_eq!(
        (
            reports[0].source.name.as_str(),
            reports[1].source.name.as_str()
        ),
        ("study.toml", "broken.mmt")
    );
    assert_eq!(reports[0].diagnostics.len(), 3);
}
