//! What the tests share that hold the program against tables and closed forms: tables, shipped models, runs kept in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use sarcolemma::backend::gpu::{Adapter, Choice, adapters, choose};
use sarcolemma::diag::{Source, render_text};
use sarcolemma::model::{self, Model};
use sarcolemma::run::sink::{Precision, SpikeEvent};
use sarcolemma::run::{Backend, Batch, Choices, Kept, RunReport, prepare};
use sarcolemma::study::{self, Overrides, SCHEMES, Study, Wish};

/// A file of the repository.
pub fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where a model's text is: a shipped one's, else one of the tests' own.
pub fn model_path(name: &str) -> String {
    let shipped = format!("models/{name}.mmt");
    if Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(&shipped)
        .exists()
    {
        shipped
    } else {
        format!("tests/models/{name}.mmt")
    }
}

/// A model of the repository.
pub fn load(name: &str) -> Model {
    let path = model_path(name);
    match model::read(&Source::new(&path, text(&path))) {
        Ok((model, _)) => model,
        Err(faults) => panic!("{name}: {faults:?}"),
    }
}

/// A CSV file of `tests/oracle`.
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn read(name: &str) -> Table {
        let text = text(&format!("tests/oracle/{name}"));
        let mut lines = text
            .lines()
            .map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        Table {
            head: lines.next().expect("a table has a head"),
            rows: lines.collect(),
        }
    }

    pub fn place(&self, column: &str) -> Option<usize> {
        self.head.iter().position(|name| name == column)
    }

    pub fn column(&self, column: &str) -> Vec<f64> {
        let place = self
            .place(column)
            .unwrap_or_else(|| panic!("no column {column}"));
        self.rows
            .iter()
            .map(|row| row[place].parse().expect("a number"))
            .collect()
    }
}

/// The experiments of which the flagship has tables of its own (`tests/oracle/skeletal_fibre.py`): name, literals that are set.
pub const FLAGSHIP: [(&str, &[(&str, f64)]); 4] = [
    ("fast", &[("fibre.slow", 0.0)]),
    ("slow", &[("fibre.slow", 1.0)]),
    ("warm", &[("fibre.slow", 0.0), ("cell.T", 310.0)]),
    ("nerve", &[("fibre.slow", 0.0), ("nerve.on", 1.0)]),
];

/// The map of a table's columns and of the states in its rows: name there, name in the model, and what the model's value is
/// multiplied by. The flagship's tables have the model's names and units.
pub fn names(model: &str, table: &Table) -> Vec<(String, String, f64)> {
    if model == "skeletal_fibre" {
        let rows = table.rows.iter().map(|row| &row[0]);
        let all = table.head.iter().chain(rows);
        return all.map(|name| (name.clone(), name.clone(), 1.0)).collect();
    }
    Table::read(&format!("{model}_names.csv"))
        .rows
        .into_iter()
        .filter(|row| !row[1].is_empty())
        .map(|row| {
            (
                row[0].clone(),
                row[1].clone(),
                row[2].parse().expect("a scale is a number"),
            )
        })
        .collect()
}

/// A study of a model of the repository, or of the text that stands for the model's name `made`.
pub fn study(text: &str, made: &str) -> Study {
    let loader = |_: Wish, name: &str| match name {
        "made" => Ok(Source::new("made.mmt", made)),
        name => Ok(Source::new(name, self::text(&model_path(name)))),
    };
    match study::read(
        &Source::new("study.toml", text),
        &loader,
        &Overrides::default(),
        &SCHEMES,
    ) {
        Ok((study, _)) => study,
        Err(reports) => {
            let texts: Vec<String> = reports
                .iter()
                .map(|r| render_text(&r.diagnostics, &r.source, false))
                .collect();
            panic!("{}", texts.join("\n"))
        }
    }
}

/// What runs a study, and how precisely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    F32,
    F64,
    Reference,
    /// The best device, in single precision.
    GpuF32,
    /// The best device, in double precision.
    GpuF64,
}

impl Engine {
    /// Whether it computes in single precision.
    pub fn is_single(self) -> bool {
        matches!(self, Engine::F32 | Engine::GpuF32)
    }

    /// The engines of lanes that run here, on the CPU and, where there is a device, on it.
    pub fn lanes() -> Vec<Engine> {
        let mut engines = vec![Engine::F64, Engine::F32];
        if let Some(adapter) = adapter() {
            engines.push(Engine::GpuF32);
            engines.extend(adapter.has_f64.then_some(Engine::GpuF64));
        }
        engines
    }
}

/// The best device here; software will do. A machine that stands for all others must have one: there a test without a device
/// fails, elsewhere it says that it did not run.
pub fn adapter() -> Option<Adapter> {
    let found = choose(&adapters(), &Choice::Best).ok().cloned();
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "a GPU driver is needed here"
        );
        eprintln!("not run: no GPU driver here");
    }
    found
}

/// A run that was kept in memory.
pub struct Ran {
    pub batch: Batch,
    pub report: RunReport,
    /// `[variable][row][trace]`
    values: Vec<Vec<f64>>,
    pub spikes: Vec<SpikeEvent>,
    n_traces: usize,
}

/// Runs a study with every fibre recorded.
pub fn run(study: &Study, engine: Engine) -> Ran {
    let choices = Choices {
        backend: match engine {
            Engine::Reference => Backend::Reference,
            Engine::F32 | Engine::F64 => Backend::Cpu,
            Engine::GpuF32 | Engine::GpuF64 => Backend::Gpu,
        },
        precision: match engine {
            Engine::F32 | Engine::GpuF32 => Precision::F32,
            Engine::F64 | Engine::Reference | Engine::GpuF64 => Precision::F64,
        },
        threads: 1,
        adapter: match engine {
            Engine::GpuF32 | Engine::GpuF64 => adapter(),
            Engine::F32 | Engine::F64 | Engine::Reference => None,
        },
        agreement_fibres: Some(0),
    };
    let batch = prepare(study, &choices).unwrap();
    let mut memory = Kept::default();
    let report = batch
        .run(&mut memory, &|_| {}, &AtomicBool::new(false))
        .unwrap();
    Ran {
        n_traces: batch.n_fibres,
        batch,
        report,
        values: memory.values,
        spikes: memory.spikes,
    }
}

impl Ran {
    pub fn times(&self) -> Vec<f64> {
        self.batch.time_ms()
    }

    /// The trace of a recorded variable.
    pub fn trace(&self, name: &str, fibre: usize) -> Vec<f64> {
        let e = &self.batch.experiment;
        let place = e.observables[..e.n_recorded]
            .iter()
            .position(|&id| e.model.variable(id).name == name);
        let values = &self.values[place.unwrap_or_else(|| panic!("{name} is not recorded"))];
        values
            .iter()
            .skip(fibre)
            .step_by(self.n_traces)
            .copied()
            .collect()
    }

    /// A feature's column for one fibre.
    pub fn feature(&self, column: &str, fibre: usize) -> f64 {
        let names: Vec<String> = self
            .batch
            .experiment
            .features
            .iter()
            .flat_map(|f| f.column_names())
            .collect();
        let place = names.iter().position(|name| name == column);
        self.report.done.features
            [place.unwrap_or_else(|| panic!("no feature {column} in {names:?}"))][fibre]
    }
}

/// Largest minus smallest.
pub fn range(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::MIN, f64::max)
        - values.iter().copied().fold(f64::MAX, f64::min)
}

/// The largest difference of two columns, and the root of its mean square.
pub fn differences(a: &[f64], b: &[f64]) -> (f64, f64) {
    assert_eq!(a.len(), b.len());
    let (mut most, mut squares) = (0.0f64, 0.0);
    for (x, y) in a.iter().zip(b) {
        let d = (x - y).abs();
        assert!(d.is_finite(), "{x} and {y}");
        most = most.max(d);
        squares += d * d;
    }
    (most, (squares / a.len() as f64).sqrt())
}
