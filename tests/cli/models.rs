//! The verbs that look at models: `models`, `check`, `step`.

use std::collections::BTreeMap;
use std::fs;

use crate::json::{Checked, Models, OneModel, PacingEvent, StateAt, Step, Variable};
use crate::place::{DECAY, Place};

#[test]
fn models_lists_what_is_shipped() {
    let place = Place::new();
    let Models { schema, models } = place.json(&["models", "--json"]);
    assert_eq!(schema, 1);
    let names: Vec<&str> = models.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "hodgkin_huxley_1952",
            "shorten_2007_fast",
            "shorten_2007_slow",
            "skeletal_fibre"
        ]
    );
    assert!(
        models
            .iter()
            .all(|m| !m.description.is_empty() && m.n_states > 3 && m.n_parameters > 3),
        "{models:?}"
    );
    let text = place.run(&["models"]).ends(0).stdout;
    assert!(text.starts_with("name                 states  parameters  description\nhodgkin_huxley_1952       4           7  The squid giant axon"));
}

#[test]
fn models_with_a_name_tells_unit_default_description_and_source() {
    let place = Place::new();
    let model: OneModel = place.json(&["models", "hodgkin_huxley_1952", "--json"]);
    assert_eq!((model.schema, model.ms_per_time), (1, 1.0));
    assert_eq!(
        (model.name.as_str(), model.file.as_str()),
        ("hodgkin_huxley_1952", "hodgkin_huxley_1952.mmt")
    );
    assert!(model.description.starts_with("The squid giant axon"));
    assert_eq!(
        model.protocol,
        [PacingEvent {
            level: 1.0,
            start: 5.0,
            length: 0.5,
            period: 20.0,
            count: 0
        }]
    );
    let find = |name: &str| {
        model
            .variables
            .iter()
            .find(|v| v.name == name)
            .expect("a known name")
    };
    let conductance = Variable {
        name: "sodium.g".into(),
        kind: "parameter".into(),
        default: Some(120.0),
        unit: Some("mS/cm^2".into()),
        description: Some("Maximal sodium conductance".into()),
        source: Some("Hodgkin and Huxley 1952, table 3".into()),
        ..Variable::default()
    };
    assert_eq!(*find("sodium.g"), conductance);
    assert_eq!(find("sodium.E").default, Some(40.0));
    assert_eq!(find("engine.pace").binding.as_deref(), Some("pace"));
    assert_eq!(
        find("membrane.V").label.as_deref(),
        Some("membrane_potential")
    );
    let text = place.run(&["models", "hodgkin_huxley_1952"]).ends(0).stdout;
    let starts: Vec<Option<usize>> = text
        .lines()
        .filter(|l| l.contains("mS/cm^2"))
        .map(|l| l.find("mS/cm^2"))
        .collect();
    assert_eq!(starts, [starts[0]; 3], "{text}");
}

#[test]
fn a_sound_model_is_described() {
    let place = Place::with(&[("decay.mmt", DECAY.as_bytes())]);
    let outcome = place.run(&["check", "decay.mmt"]).ends(0);
    assert_eq!(outcome.stderr, "");
    let expected = "\
decay (decay.mmt): no faults

equations         2  derivatives 1, intermediates 1, constants 0
states            1  c.x
gates             1  c.x
parameters        1  c.k
inputs            1  time = c.t
labels            0
singularities     0  none found
";
    assert_eq!(outcome.stdout, expected);
}

#[test]
fn every_shipped_model_passes_the_check() {
    let place = Place::new();
    for name in [
        "hodgkin_huxley_1952",
        "shorten_2007_fast",
        "shorten_2007_slow",
        "skeletal_fibre",
    ] {
        let checked: Checked = place.json(&["check", name, "--json"]);
        assert!(checked.ok && checked.diagnostics.is_empty());
        assert_eq!((checked.schema, checked.model.as_deref()), (1, Some(name)));
        assert_eq!(checked.labels["membrane_potential"], "membrane.V");
        assert_eq!(checked.bindings["pace"], "engine.pace");
        assert!(
            checked.removable_singularities.is_some_and(|n| n >= 2),
            "{:?}",
            checked.removable_singularities
        );
        let equations =
            checked.states.len() + checked.intermediates.len() + checked.constants.len();
        assert_eq!(checked.n_equations, Some(equations));
        assert!(checked.gates.iter().all(|g| checked.states.contains(g)));
        assert!(!checked.parameters.is_empty());
    }
}

#[test]
fn every_fault_has_its_place_and_ends_with_code_2() {
    let text = DECAY
        .replace("-x / k", "-x / kk")
        .replace("2 * x", "2 * x + k");
    let place = Place::with(&[("bad.mmt", text.as_bytes())]);
    let outcome = place.run(&["check", "bad.mmt"]).ends(2);
    assert_eq!(outcome.stdout, "");
    for part in [
        "bad.mmt:10:15",
        "dot(x) = -x / kk",
        "did you mean",
        "bad.mmt:12:",
        "\nerror: 2 faults in bad.mmt\n",
    ] {
        assert!(
            outcome.stderr.contains(part),
            "{part:?} in\n{}",
            outcome.stderr
        );
    }
    let json = place.run(&["check", "bad.mmt", "--json"]).ends(2);
    assert_eq!(json.stderr, "");
    let checked: Checked = serde_json::from_str(&json.stdout).expect("one object");
    assert!(!checked.ok && checked.model.is_none() && checked.file == "bad.mmt");
    let first = &checked.diagnostics[0];
    assert_eq!(
        (first.code.as_str(), first.severity.as_str()),
        ("E0201", "error")
    );
    assert_eq!((first.line, first.column), (Some(10), Some(15)));
    assert!(
        first.message.contains("kk") && first.help.as_deref() == Some("did you mean 'k'?"),
        "{first:?}"
    );
    assert_eq!(checked.diagnostics.len(), 2);
}

#[test]
fn units_that_do_not_fit_are_faults_in_check_and_warnings_in_step() {
    let text = DECAY.replace("2 * x", "2 * x + k");
    let place = Place::with(&[("slip.mmt", text.as_bytes())]);
    let check = place.run(&["check", "slip.mmt"]).ends(2);
    assert!(check.stderr.contains("error[E0313]"), "{}", check.stderr);
    let step = place.run(&["step", "slip.mmt", "--json"]).ends(0);
    assert!(step.stderr.contains("warning[E0313]"), "{}", step.stderr);
    let step: Step = serde_json::from_str(&step.stdout).expect("one object");
    assert_eq!(step.variables["c.y"], Some(9.0));
}

#[test]
fn step_evaluates_every_derivative_and_intermediate() {
    let place = Place::with(&[("decay.mmt", DECAY.as_bytes())]);
    let step: Step = place.json(&["step", "decay.mmt", "--json"]);
    assert_eq!(
        (step.schema, step.model.as_str(), step.time_unit.as_deref()),
        (1, "decay", Some("ms"))
    );
    assert_eq!((step.time, step.pace), (0.0, 0.0));
    assert_eq!(
        step.states["c.x"],
        StateAt {
            value: 2.0,
            derivative: Some(-0.4)
        }
    );
    assert_eq!(
        step.variables,
        BTreeMap::from([
            ("c.t".into(), Some(0.0)),
            ("c.k".into(), Some(5.0)),
            ("c.y".into(), Some(4.0))
        ])
    );
    let set = [
        "step",
        "decay.mmt",
        "--json",
        "--set",
        "c.x=-3",
        "--set",
        "c.k=0.006 s",
        "--at",
        "2 s",
    ];
    let step: Step = place.json(&set);
    assert_eq!(
        step.states["c.x"],
        StateAt {
            value: -3.0,
            derivative: Some(0.5)
        }
    );
    assert_eq!((step.time, step.variables["c.k"]), (2000.0, Some(6.0)));
    let text = place.run(&["step", "decay.mmt"]).ends(0).stdout;
    let expected = "\
decay at 0 ms, pacing level 0

state  value  unit  derivative, per ms
c.x    2      1     -0.4

variable  value  unit  kind
c.t       0      ms    input
c.k       5      ms    parameter
c.y       4      1     intermediate
";
    assert_eq!(text, expected);
}

#[test]
fn pacing_reaches_the_stimulus() {
    let place = Place::new();
    let step: Step = place.json(&["step", "hodgkin_huxley_1952", "--json", "--pace", "1"]);
    assert_eq!((step.pace, step.variables["stimulus.I"]), (1.0, Some(20.0)));
    let rest: Step = place.json(&["step", "hodgkin_huxley_1952", "--json", "--pace", "-0"]);
    assert_eq!(rest.variables["stimulus.I"], Some(0.0));
}

#[test]
fn a_number_that_is_not_finite_is_null() {
    let place = Place::with(&[("decay.mmt", DECAY.as_bytes())]);
    let step: Step = place.json(&["step", "decay.mmt", "--json", "--set", "c.k=0"]);
    assert_eq!(step.states["c.x"].derivative, None);
    assert!(
        place
            .run(&["step", "decay.mmt", "--set", "c.k=0"])
            .ends(0)
            .stdout
            .contains("-inf")
    );
}

#[test]
fn what_cannot_be_set_is_refused() {
    let place = Place::with(&[("decay.mmt", DECAY.as_bytes())]);
    let refused = |value: &str, message: &str| {
        place
            .run(&["step", "decay.mmt", "--set", value])
            .ends(2)
            .says(message)
    };
    refused(
        "c.kk=1",
        "error: --set 'c.kk': the model has no variable of that name\nhelp: did you mean 'c.k'?\n",
    );
    refused(
        "c.k=5 mV",
        "error: --set 'c.k': '5 mV' is given, but c.k is in ms\n",
    );
    refused(
        "c.k=",
        "error: --set 'c.k': expected a number and a unit, such as 0.5 ms, found nothing\n",
    );
    refused("c.k", "error: --set 'c.k' is not of the form NAME=VALUE\n");
    let computed = "error: --set 'c.y' is an intermediate: only parameters and states can be set\n\
        help: set the parameters and states that it is computed from\n";
    refused("c.y=1", computed);
    place
        .run(&["step", "decay.mmt", "--at", "5 mV"])
        .ends(2)
        .says("error: --at '5 mV' is not a time\n");
    place
        .run(&["step", "decay.mmt", "--pace", "nan"])
        .ends(2)
        .says("error: --pace NaN is not a finite number\n");
}

#[test]
fn what_cannot_be_read_is_said_with_the_reason() {
    let place = Place::with(&[
        ("latin1.mmt", b"[[model]]\nname: caf\xe9\n"),
        ("empty.mmt", b""),
    ]);
    fs::create_dir(place.path().join("folder.mmt")).expect("a folder");
    for verb in ["check", "step", "models"] {
        let missing = "error: cannot read 'nothing.mmt': there is no such file or directory\n";
        place.run(&[verb, "nothing.mmt"]).ends(2).says(missing);
        let latin = "error: cannot read 'latin1.mmt': it is not UTF-8 text (byte 0xe9 in line 2, at offset 19)\n";
        place.run(&[verb, "latin1.mmt"]).ends(2).says(latin);
        let unknown = "error: no shipped model and no file is named 'skeletal_fiber'\nhelp: did you mean 'skeletal_fibre'?\n";
        place.run(&[verb, "skeletal_fiber"]).ends(2).says(unknown);
        let empty = place.run(&[verb, "empty.mmt"]).ends(2);
        assert!(
            empty.stdout.is_empty() && empty.stderr.ends_with("error: 1 fault in empty.mmt\n"),
            "{}",
            empty.stderr
        );
        let folder = place.run(&[verb, "folder.mmt"]).ends(2);
        assert!(
            folder.stdout.is_empty()
                && folder
                    .stderr
                    .starts_with("error: cannot read 'folder.mmt': "),
            "{}",
            folder.stderr
        );
        if cfg!(unix) {
            folder.says("error: cannot read 'folder.mmt': it is a directory\n");
        }
    }
    let hint = "error: cannot read 'skeletal_fibre.mmt': there is no such file or directory\n\
        help: the shipped models go by name: did you mean 'skeletal_fibre'?\n";
    place
        .run(&["check", "skeletal_fibre.mmt"])
        .ends(2)
        .says(hint);
}

#[test]
fn a_shipped_name_wins_over_a_file_and_a_path_over_a_name() {
    let place = Place::with(&[
        ("hodgkin_huxley_1952", DECAY.as_bytes()),
        ("mine", DECAY.as_bytes()),
    ]);
    let model = |name: &str| place.json::<Step>(&["step", name, "--json"]).model;
    assert_eq!(model("hodgkin_huxley_1952"), "hodgkin_huxley_1952");
    assert_eq!(model("./hodgkin_huxley_1952"), "decay");
    assert_eq!(model("mine"), "decay");
}
