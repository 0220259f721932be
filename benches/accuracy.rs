//! The work-precision table: every scheme at a ladder of tolerances or steps, on the shipped models and several occasions,
//! judged by the reference. See `benches/README.md`.
//!
//! `cargo bench --bench accuracy -- [--model M] [--protocol P] [--scheme S] [--precision f32|f64] [--fibres N]
//! [--tolerance a,b,c] [--step a,b,c] [--json] [--untimed]`

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::error::Error;
use std::path::Path;

use clap::Parser;
use sarcolemma::diag::Source;
use sarcolemma::model::{self, Model};
use sarcolemma::run::Limit;
use sarcolemma::run::accuracy::{
    Measured, Occasion, Row, SUBJECTS, Subject, TARGETS, Trial, conductances,
};
use sarcolemma::run::sink::Precision;
use sarcolemma::scheme::{Control, Scheme};

/// Work and precision of the schemes.
#[derive(Debug, Parser)]
struct Args {
    /// Subjects, separated by commas: shipped models, skeletal_fibre_slow, and paths to other models
    #[arg(long, value_delimiter = ',')]
    model: Vec<String>,
    /// Occasions, separated by commas: twitch, 10hz, 50hz, 100hz, rest, after_discharge
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<String>,
    /// Schemes, separated by commas
    #[arg(long, value_delimiter = ',')]
    scheme: Vec<String>,
    /// f32 or f64
    #[arg(long, default_value = "f32")]
    precision: String,
    /// Fibres of each trial
    #[arg(long, default_value_t = 32)]
    fibres: usize,
    /// Tolerances of schemes that choose their steps
    #[arg(long, value_delimiter = ',', default_values_t = [0.16, 0.08, 0.04, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005])]
    tolerance: Vec<f64>,
    /// Steps of schemes with fixed ones, ms
    #[arg(long, value_delimiter = ',', default_values_t = [0.02, 0.01, 0.005, 0.0025])]
    step: Vec<f64>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Take no time: fibre-seconds per second are left out
    #[arg(long)]
    untimed: bool,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// One setting over all occasions of a subject.
struct Together {
    scheme: Scheme,
    setting: f64,
    rows: Vec<(Occasion, Measured)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let asked = |list: &[String], name: &str| list.is_empty() || list.iter().any(|x| x == name);
    let precision = match args.precision.as_str() {
        "f64" => Precision::F64,
        _ => Precision::F32,
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("accuracy");
    let mut subjects: Vec<(Subject<'_>, Model)> = Vec::new();
    for subject in SUBJECTS.iter().filter(|s| asked(&args.model, s.name)) {
        let path = format!(
            "{}/models/{}.mmt",
            env!("CARGO_MANIFEST_DIR"),
            subject.model
        );
        subjects.push((*subject, read(&path)?));
    }
    let others: Vec<&String> = args.model.iter().filter(|m| m.ends_with(".mmt")).collect();
    let models = others
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>, _>>()?;
    let varied: Vec<Vec<&str>> = models.iter().map(conductances).collect();
    for ((path, model), varied) in others.iter().zip(&models).zip(&varied) {
        let subject = Subject {
            name: path,
            model: path,
            sets: &[],
            varied,
            calcium: None,
            force: None,
            rest_ms: 100.0,
            discharges: None,
        };
        subjects.push((subject, model.clone()));
    }
    for (subject, model) in &subjects {
        let mut all: Vec<Together> = Vec::new();
        for occasion in Occasion::ALL {
            if !asked(&args.protocol, occasion.name()) {
                continue;
            }
            let Some(trial) = Trial::new(subject, model, occasion, args.fibres)? else {
                continue;
            };
            let truth = trial.truth(Some(&folder))?;
            if !args.json {
                println!("\n{}, {}", subject.name, occasion.name());
                println!("{HEAD}");
            }
            for scheme in Scheme::ALL {
                if !asked(&args.scheme, scheme.name()) {
                    continue;
                }
                let ladder = match scheme.control() {
                    Control::Fixed => &args.step,
                    Control::Adaptive { .. } => &args.tolerance,
                };
                for &setting in ladder {
                    let row = trial.measure(&truth, (scheme, setting), precision, !args.untimed)?;
                    if args.json {
                        let mut object = row.json();
                        object["subject"] = subject.name.into();
                        object["occasion"] = occasion.name().into();
                        println!("{object}");
                    } else {
                        println!("{}", line(&row));
                    }
                    keep(&mut all, occasion, row);
                }
            }
        }
        if !args.json {
            together(subject, &all);
        }
    }
    Ok(())
}

fn read(path: &str) -> Result<Model, Box<dyn Error>> {
    let source = Source::new(path, std::fs::read_to_string(path)?);
    match model::read(&source) {
        Ok((model, _)) => Ok(model),
        Err(faults) => Err(format!("{path}: {faults:?}").into()),
    }
}

fn keep(all: &mut Vec<Together>, occasion: Occasion, row: Row) {
    let same = |t: &&mut Together| t.scheme == row.scheme && t.setting == row.setting;
    let entry = (occasion, row.measured);
    match all.iter_mut().find(same) {
        Some(together) => together.rows.push(entry),
        None => all.push(Together {
            scheme: row.scheme,
            setting: row.setting,
            rows: vec![entry],
        }),
    }
}

const HEAD: &str = "scheme       setting  V rms % mean/worst  shift ms   Ca %     F peak/end %   other lost  hair   worst state                  slow state                 steps/ms rej %  instr (exp)  cost/ms  f-s/s  ok   limited by";

fn line(row: &Row) -> String {
    let m = &row.measured;
    let percent = |x: f64| number(100.0 * x);
    format!(
        "{:<12} {:>7}  {:>8} {:>8}  {:>8}  {:>7}  {:>6} {:>6}  {:>4} {:>4}  {:<6} {:<28} {:<26} {:>8} {:>5}  {:>5} ({:>3})  {:>7}  {:>5}  {:<3}  {}",
        row.scheme.name(),
        row.setting,
        percent(m.potential.0),
        percent(m.potential.1),
        number(m.shift_ms),
        percent(m.calcium_peak),
        percent(m.force_peak),
        percent(m.force_end),
        m.other_spikes,
        m.lost,
        hair(m.on_a_hair),
        state(&m.worst_state),
        state(&m.worst_slow_state),
        number(m.steps_per_ms),
        percent(m.rejected),
        m.instructions,
        m.exponentials,
        format!("{:.0}", m.cost()),
        if m.fibre_seconds_per_s.is_nan() {
            "-".to_owned()
        } else {
            format!("{:.0}", m.fibre_seconds_per_s)
        },
        if m.meets(&TARGETS) { "yes" } else { "no" },
        limits(m),
    )
}

/// The three states that limit most steps, and how many, %.
fn limits(m: &Measured) -> String {
    let of = |l: &Limit| format!("{} {:.0}", l.state, 100.0 * l.share);
    let names: Vec<String> = m.limiting.iter().take(3).map(of).collect();
    names.join(", ")
}

/// Fibres next to a threshold, and those of them with another number of spikes.
fn hair((all, other): (usize, usize)) -> String {
    match (all, other) {
        (0, _) => "-".to_owned(),
        (all, 0) => all.to_string(),
        (all, other) => format!("{all} ({other})"),
    }
}

fn state((name, error): &(String, f64)) -> String {
    if name.is_empty() {
        return "-".to_owned();
    }
    format!("{name} {}", number(100.0 * error))
}

/// Worst of all occasions but the after-discharge, a discharge that feeds itself, and the mean cost.
fn together(subject: &Subject<'_>, all: &[Together]) {
    println!(
        "\n{}: worst of all occasions but the after-discharge; cost is their mean",
        subject.name
    );
    println!(
        "scheme       setting  V rms %  shift ms   Ca %   F peak/end %  other lost  hair    cost/ms  meets the targets"
    );
    for t in all {
        let rows: Vec<&Measured> = t
            .rows
            .iter()
            .filter(|(occasion, _)| *occasion != Occasion::AfterDischarge)
            .map(|(_, m)| m)
            .collect();
        if rows.is_empty() {
            continue;
        }
        let worst =
            |of: &dyn Fn(&Measured) -> f64| rows.iter().map(|m| of(m)).fold(f64::NAN, f64::max);
        let sum = |of: &dyn Fn(&Measured) -> usize| rows.iter().map(|m| of(m)).sum::<usize>();
        let cost = rows.iter().map(|m| m.cost()).sum::<f64>() / rows.len() as f64;
        println!(
            "{:<12} {:>7}  {:>7}  {:>8}  {:>5}  {:>6} {:>6}  {:>4} {:>4}  {:<6}  {:>7}  {}",
            t.scheme.name(),
            t.setting,
            number(100.0 * worst(&|m| m.potential.1)),
            number(worst(&|m| m.shift_ms)),
            number(100.0 * worst(&|m| m.calcium_peak)),
            number(100.0 * worst(&|m| m.force_peak)),
            number(100.0 * worst(&|m| m.force_end)),
            sum(&|m| m.other_spikes),
            sum(&|m| m.lost),
            hair((sum(&|m| m.on_a_hair.0), sum(&|m| m.on_a_hair.1))),
            format!("{cost:.0}"),
            if rows.iter().all(|m| m.meets(&TARGETS)) {
                "yes"
            } else {
                "no"
            },
        );
    }
}

/// Three significant digits at most.
fn number(x: f64) -> String {
    match x.abs() {
        _ if !x.is_finite() => "-".to_owned(),
        0.0 => "0".to_owned(),
        a if a < 1e-4 => format!("{x:.0e}"),
        a if a < 0.1 => format!("{x:.4}"),
        a if a < 10.0 => format!("{x:.2}"),
        _ => format!("{x:.0}"),
    }
}
