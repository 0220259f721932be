//! Fibre-steps per second of the CPU backend, and the time from a model's text to its first step. See `benches/README.md`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sarcolemma::diag::Source;
use sarcolemma::model::{self, Model};
use sarcolemma::run::sink::Precision;
use sarcolemma::run::{Backend, Case, DEFAULT_STEP_MS, DEFAULT_TOLERANCE, Pilot, bench};
use sarcolemma::scheme::{Request, Scheme, Summation, build};

fn source(name: &str) -> Source {
    let path = format!("{}/models/{name}.mmt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("a shipped model");
    Source::new(path, text)
}

fn read(source: &Source) -> Model {
    model::read(source)
        .expect("shipped models have no faults")
        .0
}

/// One block of fibres on one thread through 50 ms at 50 Hz.
fn stepping(c: &mut Criterion) {
    let mut group = c.benchmark_group("stepping");
    group.sample_size(10);
    for (name, scheme) in [
        ("hodgkin_huxley_1952", Scheme::RushLarsen),
        ("hodgkin_huxley_1952", Scheme::Ros3),
        ("shorten_2007_fast", Scheme::Ros3),
        ("skeletal_fibre", Scheme::Ros3),
    ] {
        let model = read(&source(name));
        for precision in [Precision::F32, Precision::F64] {
            let case = Case {
                backend: Backend::Cpu,
                precision,
                scheme: Some(scheme),
                step_ms: DEFAULT_STEP_MS,
                tolerance: DEFAULT_TOLERANCE,
                fibres: 256,
                threads: 1,
                duration_ms: 50.0,
                rate_hz: Some(50.0),
            };
            let steps = bench(&model, &case)
                .expect("shipped models can be run")
                .fibre_steps;
            group.throughput(Throughput::Elements(steps));
            let label = format!("{name}/{}/{}", scheme.name(), precision.name());
            group.bench_function(label, |b| {
                b.iter_custom(|n| {
                    let seconds: f64 = (0..n)
                        .map(|_| bench(&model, &case).expect("as before").compute_s)
                        .sum();
                    std::time::Duration::from_secs_f64(seconds)
                });
            });
        }
    }
}

/// From text to a step program.
fn compiling(c: &mut Criterion) {
    let mut group = c.benchmark_group("compiling");
    group.sample_size(10);
    for name in ["hodgkin_huxley_1952", "shorten_2007_fast", "skeletal_fibre"] {
        let source = source(name);
        let model = read(&source);
        group.bench_function(format!("{name}/read"), |b| {
            b.iter(|| read(black_box(&source)));
        });
        group.bench_function(format!("{name}/pilot"), |b| {
            b.iter(|| Pilot::run(black_box(&model)));
        });
        let scales = vec![1.0; model.states.len()];
        group.bench_function(format!("{name}/ros3"), |b| {
            b.iter(|| {
                build(&Request {
                    model: black_box(&model),
                    free: &[],
                    ramped: &[],
                    clamped: &[],
                    observables: &[],
                    scheme: Scheme::Ros3,
                    summation: Summation::Compensated,
                    scales: &scales,
                    tolerance: DEFAULT_TOLERANCE,
                })
            });
        });
    }
}

criterion_group!(benches, stepping, compiling);
criterion_main!(benches);
