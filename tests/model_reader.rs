//! Reading models: whole messages, whole models, and texts that are no models at all.
//!
//! Each `tests/errors/NAME.mmt` is checked and must give `NAME.txt` to the letter. `SARCOLEMMA_BLESS=1 cargo test --test
//! model_reader` writes the texts anew; the change is then reviewed as a diff.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sarcolemma::diag::{Diagnostic, Severity, Source, render_json, render_text};
use sarcolemma::model::{self, Bound, Expr, ExprKind, Model, VariableKind};
use sarcolemma::units::Unit;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// The `.mmt` files of a folder of tests, by name.
fn sources(name: &str) -> Vec<(PathBuf, Source)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mmt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no models in tests/{name}");
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let source = Source::new(name, fs::read_to_string(&path).unwrap());
        (path, source)
    };
    paths.into_iter().map(read).collect()
}

fn faults(text: &str) -> Vec<Diagnostic> {
    model::check(&Source::new("a.mmt", text))
}

fn read(text: &str) -> Model {
    let source = Source::new("a.mmt", text);
    match model::read(&source) {
        Ok((model, _)) => model,
        Err(faults) => panic!("{}", render_text(&faults, &source, false)),
    }
}

#[test]
fn messages_are_as_reviewed() {
    let bless = std::env::var_os("SARCOLEMMA_BLESS").is_some();
    let mut differ = Vec::new();
    for (path, source) in sources("errors") {
        let text = render_text(&model::check(&source), &source, false);
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, text).unwrap();
            continue;
        }
        // A checkout may have turned the line ends.
        let reviewed = fs::read_to_string(&expected)
            .unwrap_or_default()
            .replace("\r\n", "\n");
        if reviewed != text {
            differ.push(format!("{}:\n{text}", expected.display()));
        }
    }
    assert!(
        differ.is_empty(),
        "set SARCOLEMMA_BLESS=1 to write these anew\n{}",
        differ.join("\n")
    );
}

#[test]
fn every_code_is_shown_in_a_message() {
    let codes = fs::read_to_string(folder("../src/model/codes.rs")).unwrap();
    let all: String = sources("errors")
        .iter()
        .map(|(_, source)| render_text(&model::check(source), source, false))
        .collect();
    let quoted = codes.split('"').skip(1).step_by(2);
    let missing: Vec<&str> = quoted
        .filter(|code| !all.contains(&format!("[{code}]")))
        .collect();
    assert!(
        missing.is_empty(),
        "no message in tests/errors shows {missing:?}"
    );
}

#[test]
fn every_fault_has_a_place_inside_its_text() {
    for (path, source) in sources("errors") {
        for fault in model::check(&source) {
            let primary = fault
                .primary
                .as_ref()
                .unwrap_or_else(|| panic!("{}: {fault:?}", path.display()));
            for label in fault.secondary.iter().chain([primary]) {
                assert!(
                    source.text.get(label.span.start..label.span.end).is_some(),
                    "{fault:?}"
                );
            }
            assert!(
                !fault.message.ends_with('.') && !fault.message.is_empty(),
                "{fault:?}"
            );
        }
        let json = render_json(&model::check(&source), &source);
        assert!(
            json.as_array()
                .unwrap()
                .iter()
                .all(|fault| fault["line"].as_u64() > Some(0))
        );
    }
}

#[test]
fn models_without_faults_have_none() {
    for (_, source) in sources("models") {
        let faults = model::check(&source);
        assert!(
            faults.is_empty(),
            "{}",
            render_text(&faults, &source, false)
        );
    }
}

#[test]
fn printed_models_read_back_as_the_same() {
    for (path, source) in sources("models") {
        let model = model::read(&source).unwrap().0;
        let printed = model::print(&model);
        let again = read(&printed);
        same_models(&model, &again, &path.display().to_string());
        assert_eq!(printed, model::print(&again));
    }
}

fn same_models(a: &Model, b: &Model, name: &str) {
    assert_eq!(
        (&a.name, &a.meta, &a.protocol),
        (&b.name, &b.meta, &b.protocol),
        "{name}"
    );
    assert_eq!(
        (&a.states, &a.order, a.ms_per_time),
        (&b.states, &b.order, b.ms_per_time),
        "{name}"
    );
    assert_eq!(a.variables.len(), b.variables.len(), "{name}");
    for (x, y) in a.variables.iter().zip(&b.variables) {
        let name = format!("{name}: {}", x.name);
        assert_eq!(
            (&x.name, &x.description, &x.label),
            (&y.name, &y.description, &y.label)
        );
        assert!(
            same_units(x.unit, y.unit),
            "{name}: {:?} {:?}",
            x.unit,
            y.unit
        );
        assert!(same(&x.rhs, &y.rhs), "{name}: {:?}\n{:?}", x.rhs, y.rhs);
        match (&x.kind, &y.kind) {
            (
                VariableKind::State {
                    index: i,
                    initial: x,
                },
                VariableKind::State {
                    index: j,
                    initial: y,
                },
            ) => {
                assert!(i == j && same(x, y), "{name}");
            }
            (VariableKind::Bound(x), VariableKind::Bound(y)) => assert_eq!(x, y, "{name}"),
            (VariableKind::Literal(x), VariableKind::Literal(y)) => {
                assert_eq!(x.to_bits(), y.to_bits(), "{name}")
            }
            (x, y) => assert_eq!(
                std::mem::discriminant(x),
                std::mem::discriminant(y),
                "{name}"
            ),
        }
    }
}

fn same_units(a: Option<Unit>, b: Option<Unit>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.is_close(b),
        (a, b) => a == b,
    }
}

fn same(a: &Expr, b: &Expr) -> bool {
    match (&a.kind, &b.kind) {
        (ExprKind::Number(x, u), ExprKind::Number(y, v)) => {
            x.to_bits() == y.to_bits() && same_units(*u, *v)
        }
        (ExprKind::Variable(x), ExprKind::Variable(y))
        | (ExprKind::Derivative(x), ExprKind::Derivative(y)) => x == y,
        (ExprKind::Apply(x, a), ExprKind::Apply(y, b)) => {
            x == y && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (ExprKind::Piecewise(x, a), ExprKind::Piecewise(y, b)) => {
            x.len() == y.len()
                && x.iter()
                    .zip(y)
                    .all(|(x, y)| same(&x.0, &y.0) && same(&x.1, &y.1))
                && same(a, b)
        }
        _ => false,
    }
}

#[test]
fn the_model_is_what_the_text_says() {
    let (_, source) = sources("models")
        .into_iter()
        .find(|(path, _)| path.ends_with("gates.mmt"))
        .unwrap();
    let model = model::read(&source).unwrap().0;
    assert_eq!(model.name, "A membrane with two gates");
    assert_eq!(model.meta[0], ("author".to_owned(), "nobody".to_owned()));
    assert!(
        model.meta[1]
            .1
            .ends_with("  - the sodium gate's rates are nested in it # and this is no comment")
    );
    let states: Vec<&str> = model
        .states
        .iter()
        .map(|id| model.variable(*id).name.as_str())
        .collect();
    assert_eq!(states, ["membrane.V", "sodium.m", "sodium.h"]);
    assert_eq!(
        model.labelled("membrane_potential"),
        model.find("membrane.V")
    );
    assert_eq!(model.bound(&Bound::Pace), model.find("engine.pace"));
    assert_eq!(model.ms_per_time, 1.0);
    let kind = |name: &str| &model.variable(model.find(name).unwrap()).kind;
    assert!(matches!(kind("membrane.i_leak.E"), VariableKind::Literal(value) if *value == -54.4));
    assert!(matches!(kind("sodium.E_Na"), VariableKind::Constant));
    assert!(matches!(
        kind("sodium.m.alpha.x"),
        VariableKind::Intermediate
    ));
    let leak = model.variable(model.find("membrane.i_leak.g").unwrap());
    assert_eq!(leak.unit, Unit::parse("mS/cm^2").ok());
    let conductance = model.variable(model.find("sodium.g_Na").unwrap());
    assert_eq!(
        conductance.description.as_deref(),
        Some("Conductance with every gate open, for one square centimetre of membrane.")
    );
    let starts: Vec<f64> = model.protocol.iter().map(|event| event.start).collect();
    assert_eq!(starts, [10.0, 10.5, 100.0]);
    assert_eq!(
        (model.protocol[2].period, model.protocol[2].count),
        (1000.0, 3)
    );
}

#[test]
fn every_variable_comes_after_what_it_needs() {
    for (_, source) in sources("models") {
        let model = model::read(&source).unwrap().0;
        let mut known = vec![false; model.variables.len()];
        assert_eq!(model.order.len(), known.len());
        for id in &model.order {
            needs(&model.variable(*id).rhs, &mut |needed, derivative| {
                let state = matches!(model.variables[needed].kind, VariableKind::State { .. });
                assert!(
                    known[needed] || (state && !derivative),
                    "{}",
                    model.variables[needed].name
                );
            });
            known[id.0] = true;
        }
    }
}

fn needs(expr: &Expr, visit: &mut impl FnMut(usize, bool)) {
    match &expr.kind {
        ExprKind::Number(..) => {}
        ExprKind::Variable(id) => visit(id.0, false),
        ExprKind::Derivative(id) => visit(id.0, true),
        ExprKind::Apply(_, arguments) => {
            arguments.iter().for_each(|argument| needs(argument, visit))
        }
        ExprKind::Piecewise(pieces, last) => {
            for (condition, value) in pieces {
                needs(condition, visit);
                needs(value, visit);
            }
            needs(last, visit);
        }
    }
}

#[test]
fn time_in_seconds_is_a_thousand_milliseconds() {
    let model = |unit: &str| read(&format!("[[model]]\n[c]\nt = 0{unit} bind time\n")).ms_per_time;
    assert_eq!(model(" [s]"), 1000.0);
    assert_eq!(model(" in [ms]"), 1.0);
    assert_eq!(model(" in [minute]"), 60_000.0);
    assert_eq!(model(""), 1.0);
    assert_eq!(model(" in [1]"), 1.0);
}

#[test]
fn units_that_differ_are_errors_in_check_and_warnings_in_read() {
    let text = "[[model]]\n[c]\nt = 0 bind time\nx = 1 [mV] + 1 [V]\n";
    let source = Source::new("a.mmt", text);
    let faults = model::check(&source);
    assert_eq!(
        (faults.len(), faults[0].code, faults[0].severity),
        (1, "E0312", Severity::Error)
    );
    let (_, warnings) = model::read(&source).unwrap();
    assert_eq!(
        (warnings.len(), warnings[0].code, warnings[0].severity),
        (1, "E0312", Severity::Warning)
    );
}

#[test]
fn what_has_no_unit_fits_anything() {
    let text = "[[model]]
c.V = -80
[c]
t = 0 [ms] in [ms] bind time
dot(V) = 2 * (V - 3) * g + k
    in [mV]
g = 5 [mS/cm^2]
k = 7
a = exp(k * V) + k^V2
V2 = 2
b = if(V > 0, V, 4) + 3 * t
    in [mV]
d = sqrt(2 * V)
    in [A]
";
    assert_eq!(faults(text), []);
}

#[test]
fn values_are_taken_from_the_text_as_they_stand() {
    let text = "[[model]]\n[c]\nt = 0 bind time\nx = +-(-5 [mV])\ny = 2 * 3\nz = y\n";
    let model = read(text);
    let kind = |name: &str| model.variable(model.find(name).unwrap()).kind.clone();
    assert!(matches!(kind("c.x"), VariableKind::Literal(value) if value == 5.0));
    assert!(matches!(kind("c.y"), VariableKind::Constant));
    assert!(matches!(kind("c.z"), VariableKind::Constant));
    assert_eq!(
        model.variable(model.find("c.x").unwrap()).unit,
        Unit::parse("mV").ok()
    );
}

#[test]
fn one_slip_gives_one_message() {
    let good = fs::read_to_string(folder("models/gates.mmt")).unwrap();
    for (from, to) in [
        ("i_leak = g * (V - E)", "i_leak = g * (V - E"),
        ("i_leak = g * (V - E)", "i_leak = g * (V - "),
        ("i_leak = g * (V - E)", "i_leak = g * V - E)"),
        ("E = -54.4 [mV]", "E = -54.4 [mv]"),
        ("E = -54.4 [mV]", "E -54.4 [mV]"),
        ("E = -54.4 [mV]", "F = -54.4 [mV]"),
        ("dot(V) =", "V ="),
        ("membrane.V = -65 [mV]", ""),
        ("[membrane]", "[membrane"),
        ("alpha = if(", "alpha = iff("),
        ("pace = 0 bind pace", "pace = 0 bind"),
        ("use membrane.V\n", "use membrane.W as V\n"),
        ("use membrane.V\n", "use membrane V\n"),
        ("rate(v, a, b, c) =", "rate(v, a, b) ="),
        ("0.5     100   0.5", "0.5     100   -0.5"),
    ] {
        assert!(good.contains(from), "{from}");
        let source = Source::new("a.mmt", good.replace(from, to));
        let errors: Vec<Diagnostic> = model::check(&source)
            .into_iter()
            .filter(Diagnostic::is_error)
            .collect();
        let limit = match from {
            // A component whose header is broken takes its variables with it.
            "[membrane]" => 20,
            // A potential that is no state stands in a cycle, in other units, and has an initial value all the same.
            "dot(V) =" => 3,
            _ => 2,
        };
        let text = render_text(&errors, &source, false);
        assert!(
            (1..=limit).contains(&errors.len()),
            "{to}: {} messages\n{text}",
            errors.len()
        );
    }
}

#[test]
fn no_text_whatever_makes_the_reader_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let mut texts: Vec<String> = sources("models")
        .into_iter()
        .map(|(_, source)| source.text)
        .collect();
    texts.extend(
        sources("errors")
            .into_iter()
            .map(|(_, source)| source.text)
            .filter(|text| text.len() < 3000),
    );
    let pieces = [
        "(",
        ")",
        "[",
        "]",
        "[[",
        "]]",
        "\"\"\"",
        "\\\n",
        "\n",
        "\r",
        "\r\n",
        " ",
        "\t",
        "    ",
        ":",
        ".",
        ",",
        "=",
        "==",
        "^",
        "-",
        "#",
        "dot(",
        "if(",
        "use ",
        " in ",
        " bind ",
        "not ",
        "1e",
        "1e999",
        "µ",
        "\u{a0}",
        "\u{0}",
        "[[script]]",
        "[[protocol]]",
        "x",
        "membrane.V",
        "[mV]",
        "[m^9999]",
        "[1 (",
        "next",
    ];
    let rounds = if cfg!(debug_assertions) { 1500 } else { 6000 };
    for _ in 0..rounds {
        let mut text: Vec<char> = texts[rng.random_range(0..texts.len())].chars().collect();
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..=text.len());
            match rng.random_range(0..4) {
                0 => drop(text.drain(at..(at + rng.random_range(0..40)).min(text.len()))),
                1 => drop(text.splice(at..at, pieces[rng.random_range(0..pieces.len())].chars())),
                2 => {
                    let from = rng.random_range(0..=text.len());
                    let piece =
                        text[from..(from + rng.random_range(0..60)).min(text.len())].to_vec();
                    drop(text.splice(at..at, piece));
                }
                _ => text.truncate(at.max(1)),
            }
        }
        let source = Source::new("a.mmt", text.into_iter().collect::<String>());
        let faults = model::check(&source);
        for label in faults
            .iter()
            .flat_map(|fault| fault.secondary.iter().chain(&fault.primary))
        {
            assert!(
                source.text.get(label.span.start..label.span.end).is_some(),
                "{label:?}"
            );
        }
        if let Ok((model, _)) = model::read(&source) {
            let printed = model::print(&model);
            let again = Source::new("a.mmt", printed.clone());
            assert!(
                model::read(&again).is_ok(),
                "{}\nprinted as\n{printed}",
                source.text
            );
        }
    }
}

#[test]
fn deep_and_long_texts_are_refused_without_harm() {
    let model = |line: &str| format!("[[model]]\n[c]\nt = 0 bind time\n{line}\n");
    for line in [
        format!("x = {}1", "(".repeat(200_000)),
        format!("x = {}1", "-".repeat(200_000)),
        format!("x = {}1{}", "exp(".repeat(50_000), ")".repeat(50_000)),
        format!("x = 1{}", " + 1".repeat(100_000)),
        format!("x = 1{}", "^1".repeat(100_000)),
        format!("x = 1 [m ({}1)]", "(".repeat(100_000)),
        (0..2000)
            .map(|i| format!("{}x{i} = 1\n", " ".repeat(i)))
            .collect(),
    ] {
        let found = faults(&model(&line));
        assert!(found.iter().any(Diagnostic::is_error));
        assert!(found.len() < 10, "{}", found.len());
    }
    // Long chains of variables are fine.
    let chain: String = (0..50_000)
        .map(|i| format!("x{i} = x{} + 1\n", i + 1))
        .collect();
    assert_eq!(faults(&model(&format!("{chain}x50000 = 1"))), []);
    let found = faults(&model(&format!("{chain}x50000 = x0")));
    assert_eq!((found.len(), found[0].code), (1, "E0301"));
}

#[test]
fn the_deepest_expressions_fit_a_small_stack() {
    let chain = format!("x = t{}\n", " + 1".repeat(255));
    let calls = format!("y = {}t{}\n", "exp(".repeat(98), ")".repeat(98));
    let signs = format!("z = {}t\n", "-".repeat(98));
    let text = format!("[[model]]\n[c]\nt = 0 bind time\n{chain}{calls}{signs}");
    // Windows gives the main thread 1 MiB: half of it must do here, without optimisation.
    let small = std::thread::Builder::new().stack_size(512 << 10);
    let thread = small.spawn(move || drop(read(&text)));
    thread.unwrap().join().unwrap();
}
