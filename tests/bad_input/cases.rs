//! The bad inputs: each a small sound model and study with one thing wrong.

/// A small sound model: a gate, a potential, pacing.
pub const MODEL: &str = "\
[[model]]
name: small
c.x = 0.5
c.V = -80
[c]
t = 0 [ms] bind time
    in [ms]
p = 0 bind pace
    in [1]
k = 5 [ms]
    in [ms]
dot(x) = -x / k
    in [1]
dot(V) = (-80 [mV] - V) / k + p * 1 [mV/ms]
    in [mV]
";

/// A small sound study of it.
pub const STUDY: &str = "\
model = 'm.mmt'
duration = '10 ms'
scheme = 'ros3'
[population]
fibres = 3
[record]
variables = ['c.V']
every = '1 ms'
";

/// One bad input.
pub struct Case {
    /// What is wrong.
    pub what: &'static str,
    pub study: Vec<u8>,
    pub model: Vec<u8>,
    /// Behind `run study.toml`.
    pub arguments: &'static [&'static str],
    pub code: i32,
    /// What the message must hold.
    pub says: &'static [&'static str],
    /// A faulty model is reported with its own place, and once more where the study names it.
    pub messages: usize,
}

pub fn case(what: &'static str, says: &'static [&'static str]) -> Case {
    Case {
        what,
        study: STUDY.into(),
        model: MODEL.into(),
        arguments: &[],
        code: 2,
        says,
        messages: 1,
    }
}

/// The small text with a part replaced.
pub fn with(text: &str, part: &str, by: &str) -> Vec<u8> {
    assert!(text.contains(part), "{part} is not in the text");
    text.replacen(part, by, 1).into_bytes()
}

/// A fault in the study: a part of the sound one replaced.
fn study(what: &'static str, part: &str, by: &str, says: &'static [&'static str]) -> Case {
    Case {
        study: with(STUDY, part, by),
        ..case(what, says)
    }
}

/// A fault in the study: lines added at its end.
fn more(what: &'static str, lines: &str, says: &'static [&'static str]) -> Case {
    Case {
        study: format!("{STUDY}{lines}").into_bytes(),
        ..case(what, says)
    }
}

/// A fault in the model's text.
fn model(what: &'static str, part: &str, by: &str, says: &'static [&'static str]) -> Case {
    Case {
        model: with(MODEL, part, by),
        messages: 2,
        ..case(what, says)
    }
}

/// A sound text of a model that cannot start.
fn start(what: &'static str, part: &str, by: &str, says: &'static [&'static str]) -> Case {
    Case {
        messages: 1,
        ..model(what, part, by, says)
    }
}

fn arguments(
    what: &'static str,
    arguments: &'static [&'static str],
    says: &'static [&'static str],
) -> Case {
    Case {
        arguments,
        ..case(what, says)
    }
}

pub fn quantities() -> Vec<Case> {
    vec![
        study(
            "a duration in mV",
            "'10 ms'",
            "'5 mV'",
            &["study.toml:2:12", "\"5 mV\"", "expected a time"],
        ),
        study(
            "a unit that does not exist",
            "'10 ms'",
            "'5 sm'",
            &["study.toml:2:", "sm"],
        ),
        study(
            "a negative duration",
            "'10 ms'",
            "'-1 s'",
            &["study.toml:2:12", "expected more than 0"],
        ),
        study(
            "no duration at all",
            "duration = '10 ms'\n",
            "",
            &["'duration' is missing"],
        ),
        study(
            "a duration of 0",
            "'10 ms'",
            "0",
            &["study.toml:2:12", "expected more than 0"],
        ),
        study(
            "a duration that is no number",
            "'10 ms'",
            "nan",
            &["study.toml:2:12"],
        ),
        study(
            "an infinite duration",
            "'10 ms'",
            "inf",
            &["study.toml:2:12"],
        ),
        study(
            "a duration beyond all time",
            "'10 ms'",
            "'1e300 s'",
            &["study.toml:2:12"],
        ),
        study(
            "a duration too large for a number",
            "'10 ms'",
            "'1e999 s'",
            &["study.toml:2:"],
        ),
        study(
            "a duration that is a list",
            "'10 ms'",
            "[1, 2]",
            &["study.toml:2:12"],
        ),
        study(
            "zero fibres",
            "fibres = 3",
            "fibres = 0",
            &["study.toml:5:10"],
        ),
        study(
            "a negative number of fibres",
            "fibres = 3",
            "fibres = -3",
            &["study.toml:5:10"],
        ),
        study(
            "two and a half fibres",
            "fibres = 3",
            "fibres = 2.5",
            &["study.toml:5:10"],
        ),
        study(
            "more fibres than a machine holds",
            "fibres = 3",
            "fibres = 9000000000000000000",
            &["study.toml:5:10"],
        ),
        study(
            "sampling every 0 ms",
            "'1 ms'",
            "'0 ms'",
            &["study.toml:8:9", "expected more than 0"],
        ),
        study(
            "sampling finer than a tick",
            "'1 ms'",
            "'1e-9 ms'",
            &["study.toml:8:9", "10 ns"],
        ),
        study(
            "a tolerance of 0",
            "scheme = 'ros3'",
            "tolerance = 0",
            &["study.toml:3:13", "expected more than 0"],
        ),
        study(
            "a negative tolerance",
            "scheme = 'ros3'",
            "tolerance = -0.1",
            &["study.toml:3:13", "expected more than 0"],
        ),
        study(
            "a step of 0",
            "scheme = 'ros3'",
            "scheme = 'euler'\nstep = 0",
            &["study.toml:4:8", "expected more than 0"],
        ),
        study(
            "a step below a tick",
            "scheme = 'ros3'",
            "scheme = 'euler'\nstep = '1e-9 ms'",
            &["study.toml:4:8", "10 ns"],
        ),
        study(
            "a negative settling",
            "scheme = 'ros3'",
            "settle = '-5 s'",
            &["study.toml:3:10", "expected 0 or more"],
        ),
    ]
}

pub fn names() -> Vec<Case> {
    vec![
        study(
            "an unknown key",
            "duration",
            "durations = 1\nduration",
            &["study.toml:2:1", "'durations'", "did you mean"],
        ),
        study(
            "a key given twice",
            "duration",
            "model = 'x'\nduration",
            &["study.toml:2:1"],
        ),
        study(
            "an unknown scheme",
            "'ros3'",
            "'ros5'",
            &["study.toml:3:10", "did you mean 'ros3'?"],
        ),
        study(
            "an unknown variable to record",
            "'c.V'",
            "'c.W'",
            &["study.toml:7:14", "'c.W'"],
        ),
        study(
            "a variable recorded twice",
            "'c.V'",
            "'c.V', 'c.V'",
            &["study.toml:7:21", "twice"],
        ),
        study(
            "no fibre to record",
            "every = '1 ms'",
            "every = '1 ms'\nfibres = []",
            &["study.toml:9:10", "no fibre is recorded"],
        ),
        study(
            "the first none to record",
            "every = '1 ms'",
            "every = '1 ms'\nfibres = { first = 0 }",
            &["study.toml:9:10", "no fibre is recorded"],
        ),
        more(
            "an unknown parameter",
            "[population.parameters]\n'c.q' = 1\n",
            &["study.toml:10:1", "'c.q'"],
        ),
        more(
            "a parameter in another unit",
            "[population.parameters]\n'c.k' = '5 mV'\n",
            &["study.toml:10:9", "expected c.k in ms"],
        ),
        more(
            "an empty list of values",
            "[population.parameters]\n'c.k' = { values = [] }\n",
            &["study.toml:10:"],
        ),
        more(
            "a negative spread",
            "[population.parameters]\n'c.k' = { normal = { mean = 5, sd = -1 } }\n",
            &["study.toml:10:"],
        ),
        more(
            "limits the wrong way round",
            "[population.parameters]\n'c.k' = { uniform = [6, 5] }\n",
            &["study.toml:10:"],
        ),
        more(
            "a table that is not there",
            "[population.parameters]\n'c.k' = { file = 'no.csv' }\n",
            &["study.toml:10:", "no.csv"],
        ),
        more(
            "a table with too few rows",
            "[population.parameters]\n'c.k' = { file = 'two.csv', column = 'k' }\n",
            &["study.toml:10:", "two.csv", "2", "3"],
        ),
        Case {
            messages: 2,
            ..more(
                "a table with a word in it",
                "[population.parameters]\n'c.k' = { file = 'word.csv', column = 'k' }\n",
                &["word.csv:3:1", "expected a number"],
            )
        },
        more(
            "a feature of an unknown variable",
            "[features]\na = { max = 'c.W' }\n",
            &["study.toml:10:13", "'c.W'"],
        ),
        more(
            "a threshold in another unit",
            "[features]\na = { of = 'c.V', threshold = '5 ms' }\n",
            &["study.toml:10:31", "expected c.V in mV"],
        ),
        more(
            "spikes without a threshold",
            "[features]\na = { of = 'c.V' }\n",
            &["study.toml:10:", "'threshold' is missing"],
        ),
        more(
            "a summary by what does not vary",
            "[features]\na = { max = 'c.V' }\n[summary]\nby = ['c.k']\n",
            &["study.toml:12:7"],
        ),
        more(
            "a summary of an unknown feature",
            "[features]\na = { max = 'c.V' }\n[summary]\nby = []\nabnormal = 'b > 3'\n",
            &["study.toml:13:"],
        ),
    ]
}

pub fn protocols() -> Vec<Case> {
    vec![
        more(
            "a pulse longer than its period",
            "[[protocol.pulse]]\nstart = 1\nlength = 3\nperiod = 2\n",
            &["study.toml:9:1", "longer than its period"],
        ),
        more(
            "pulses that overlap",
            "[[protocol.pulse]]\nstart = 1\nlength = 3\n[[protocol.pulse]]\nstart = 2\nlength = 3\n",
            &["study.toml:12:1"],
        ),
        more(
            "a pulse before the start",
            "[[protocol.pulse]]\nstart = -1\nlength = 3\n",
            &["study.toml:10:9"],
        ),
        more(
            "a pulse of negative length",
            "[[protocol.pulse]]\nstart = 1\nlength = -3\n",
            &["study.toml:11:10"],
        ),
        Case {
            study: format!(
                "{STUDY}[[protocol.pulse]]\nstart = 0\nlength = '1e-5 ms'\nperiod = '2e-5 ms'\n"
            )
            .replace("'10 ms'", "'100 s'")
            .into_bytes(),
            ..case(
                "more pulses than there is room for",
                &["study.toml:9:1", "4000000"],
            )
        },
        more(
            "a clamp of what is no state",
            "[[protocol.clamp]]\nstate = 'c.k'\nat = 1\nuntil = 2\nvalue = 3\n",
            &["study.toml:10:9"],
        ),
        more(
            "a clamp that ends before it begins",
            "[[protocol.clamp]]\nstate = 'c.V'\nat = 2\nuntil = 1\nvalue = 3\n",
            &["study.toml:9:1", "ends before it begins"],
        ),
        more(
            "a set of a state",
            "[[protocol.set]]\nat = 1\nparameter = 'c.V'\nvalue = 3\n",
            &["study.toml:11:13"],
        ),
        more(
            "a set in another unit",
            "[[protocol.set]]\nat = 1\nparameter = 'c.k'\nvalue = '3 mV'\n",
            &["study.toml:12:9", "expected c.k in ms"],
        ),
        more(
            "a ramp backwards in time",
            "[[protocol.set]]\nat = 1\nparameter = 'c.k'\nvalue = 3\nramp = -1\n",
            &["study.toml:13:8"],
        ),
        Case {
            model: with(MODEL, " bind pace", ""),
            ..more(
                "pulses for a model that has no pace",
                "[[protocol.pulse]]\nstart = 1\nlength = 3\n",
                &["study.toml:9:1", "pace"],
            )
        },
    ]
}

pub fn models() -> Vec<Case> {
    vec![
        model(
            "an unknown name in a formula",
            "-x / k",
            "-x / q",
            &["m.mmt:12:15", "'q'"],
        ),
        model(
            "a cycle",
            "k = 5 [ms]\n    in [ms]\n",
            "k = 2 * j\n    in [ms]\nj = k / 2\n    in [ms]\n",
            &["m.mmt:10:1", "c.k -> c.j -> c.k"],
        ),
        model(
            "a state without an initial value",
            "c.x = 0.5\n",
            "",
            &["m.mmt:11:", "x"],
        ),
        model(
            "an initial value of what is no state",
            "c.x = 0.5\n",
            "c.x = 0.5\nc.k = 3\n",
            &["m.mmt:4:", "k"],
        ),
        model(
            "a formula that breaks off",
            "-x / k",
            "-x / ",
            &["m.mmt:12:"],
        ),
        model(
            "two variables for time",
            " bind pace",
            " bind time",
            &["m.mmt:8:", "time"],
        ),
        Case {
            model: b"[[model]]\nname: none\n[c]\nt = 0 [ms] bind time\n    in [ms]\n".to_vec(),
            ..study(
                "a model without states",
                "'c.V'",
                "",
                &["study.toml:1:9", "has no state"],
            )
        },
        Case {
            model: Vec::new(),
            messages: 2,
            ..case("an empty model", &["m.mmt", "[[model]]"])
        },
        Case {
            model: b"[[model]]\nname: \xff\xfe\n".to_vec(),
            ..case(
                "a model that is not UTF-8",
                &["study.toml:1:9", "m.mmt", "not UTF-8", "line 2"],
            )
        },
        start(
            "an initial value of 1/0",
            "c.x = 0.5",
            "c.x = 1 / 0",
            &["c.x", "inf"],
        ),
        start(
            "a division by zero at the start",
            "-x / k",
            "-x / k / (V + 80 [mV])",
            &["c.x", "initial state"],
        ),
        start(
            "a root of a negative number at the start",
            "-x / k",
            "sqrt(-x) / k",
            &["c.x", "NaN", "initial state"],
        ),
        start(
            "a Jacobian that is infinite at the start",
            "-x / k",
            "-sqrt(0.5 - x) / k",
            &["c.x", "initial state"],
        ),
    ]
}

pub fn command_lines() -> Vec<Case> {
    vec![
        arguments(
            "no fibres on the command line",
            &["--fibres", "0"],
            &["--fibres"],
        ),
        arguments(
            "a duration in mV on the command line",
            &["--duration", "5 mV"],
            &["--duration", "5 mV"],
        ),
        arguments(
            "a negative duration on the command line",
            &["--duration=-5 ms"],
            &["--duration", "-5 ms"],
        ),
        arguments("no threads", &["--threads", "0"], &["--threads"]),
        arguments(
            "a precision that does not exist",
            &["--precision", "f16"],
            &["--precision", "f16"],
        ),
        arguments(
            "a flag that does not exist",
            &["--fibers", "3"],
            &["--fibers", "--fibres"],
        ),
        arguments("a part beyond the whole", &["--shard", "9/8"], &["--shard"]),
        arguments(
            "the reference in single precision",
            &["--backend", "reference", "--precision", "f32"],
            &["f64 only"],
        ),
        Case {
            study: with(STUDY, "'ros3'", "'reference'"),
            ..arguments(
                "the reference's scheme in single precision",
                &["--precision", "f32"],
                &["reference", "f64 only"],
            )
        },
        arguments(
            "an output in a folder that is not there",
            &["-o", "no/such/out.h5"],
            &["no/such", "does not exist"],
        ),
        arguments("an output that is a folder", &["-o", "."], &["'.'"]),
        arguments(
            "an output that exists",
            &["-o", "two.csv"],
            &["two.csv", "--force"],
        ),
    ]
}
