//! Fibre-steps per second of the CPU and of a GPU, and the time from a model's text to its first step. See `benches/README.md`.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use sarcolemma::backend::DEFAULT_LARGEST_STEP_MS;
use sarcolemma::backend::gpu::{Choice, DeviceKind, Residence, adapters, choose};
use sarcolemma::diag::Source;
use sarcolemma::model::{self, Model};
use sarcolemma::run::sink::Precision;
use sarcolemma::run::{Backend, Case, DEFAULT_STEP_MS, Pilot, bench, general_tolerance};
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

/// The groups.
const GROUPS: [&str; 5] = [
    "stepping",
    "populations",
    "starting",
    "devices",
    "compiling",
];

/// Whether a group may be among what is asked for on the command line: not if that names other groups alone. What a group runs in
/// advance, to know how many steps there are, would be run for nothing.
fn is_asked_for(group: &str) -> bool {
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| GROUPS.iter().any(|g| arg.starts_with(g)))
        .collect();
    named.is_empty() || named.iter().any(|arg| arg.starts_with(group))
}

/// A group on the CPU. Each of a benchmark's iterations is a whole run, and what is set up for it is not measured but takes time as well:
/// so short times are asked for, with which a group ends within minutes.
fn on_cpu_group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(2));
    group
}

/// Populations of a thousand to a million fibres on the best device, through 50 ms at 50 Hz; on software a thousand only. The time
/// that the driver takes to compile is told apart, once for each model.
fn devices(c: &mut Criterion) {
    if !is_asked_for("devices") {
        return;
    }
    let Ok(adapter) = choose(&adapters(), &Choice::Best).cloned() else {
        eprintln!("no GPU driver here: devices are not measured");
        return;
    };
    let sizes: &[usize] = match adapter.kind {
        DeviceKind::Software => &[1_000],
        _ => &[1_000, 10_000, 100_000, 1_000_000],
    };
    let mut group = c.benchmark_group(format!("devices/{}", adapter.name));
    group.sample_size(10);
    for (name, scheme) in [
        ("hodgkin_huxley_1952", Scheme::RushLarsen),
        ("shorten_2007_fast", Scheme::Ros3),
        ("skeletal_fibre", Scheme::Ros3),
    ] {
        let model = read(&source(name));
        for &fibres in sizes {
            let case = Case {
                backend: Backend::Gpu,
                adapter: Some(adapter.clone()),
                residence: Residence::Registers,
                precision: Precision::F32,
                scheme: Some(scheme),
                step_ms: DEFAULT_STEP_MS,
                tolerance: None,
                largest_step_ms: DEFAULT_LARGEST_STEP_MS,
                fibres,
                threads: 0,
                duration_ms: 50.0,
                rate_hz: Some(50.0),
            };
            let first = bench(&model, &case).expect("shipped models can be run");
            eprintln!("{name}, {fibres} fibres: setup {:.2} s", first.setup_s);
            group.throughput(Throughput::Elements(first.fibre_steps));
            group.bench_function(format!("{name}/{}/{fibres}", scheme.name()), |b| {
                b.iter_custom(|n| {
                    let seconds: f64 = (0..n)
                        .map(|_| bench(&model, &case).expect("as before").compute_s)
                        .sum();
                    Duration::from_secs_f64(seconds)
                });
            });
        }
    }
}

/// What is measured on the CPU: pulses at 50 Hz.
fn on_cpu(scheme: Scheme, precision: Precision, fibres: usize, threads: usize) -> Case {
    Case {
        backend: Backend::Cpu,
        adapter: None,
        residence: Residence::Registers,
        precision,
        scheme: Some(scheme),
        step_ms: DEFAULT_STEP_MS,
        tolerance: None,
        largest_step_ms: DEFAULT_LARGEST_STEP_MS,
        fibres,
        threads,
        duration_ms: 50.0,
        rate_hz: Some(50.0),
    }
}

fn seconds(n: u64, of: impl Fn() -> f64) -> Duration {
    Duration::from_secs_f64((0..n).map(|_| of()).sum())
}

/// A few blocks of fibres for each thread through 200 ms, on one thread and on all.
fn stepping(c: &mut Criterion) {
    if !is_asked_for("stepping") {
        return;
    }
    let mut group = on_cpu_group(c, "stepping");
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    for (name, scheme) in [
        ("hodgkin_huxley_1952", Scheme::RushLarsen),
        ("hodgkin_huxley_1952", Scheme::Ros4),
        ("shorten_2007_fast", Scheme::Ros3),
        ("shorten_2007_fast", Scheme::Ros4),
        ("skeletal_fibre", Scheme::Ros4),
    ] {
        let model = read(&source(name));
        for precision in [Precision::F32, Precision::F64] {
            for threads in [1, all] {
                let case = Case {
                    // Long beside what it takes to wake a thread.
                    duration_ms: 200.0,
                    ..on_cpu(scheme, precision, 1024 * threads, threads)
                };
                let steps = bench(&model, &case)
                    .expect("shipped models can be run")
                    .fibre_steps;
                group.throughput(Throughput::Elements(steps));
                let (scheme, precision) = (scheme.name(), precision.name());
                group.bench_function(format!("{name}/{scheme}/{precision}/{threads}"), |b| {
                    b.iter_custom(|n| {
                        seconds(n, || bench(&model, &case).expect("as before").compute_s)
                    });
                });
            }
        }
    }
}

/// Populations of a thousand to a million fibres on one thread: the time of a fibre's step must not depend on how many there are.
fn populations(c: &mut Criterion) {
    if !is_asked_for("populations") {
        return;
    }
    let mut group = on_cpu_group(c, "populations");
    let model = read(&source("hodgkin_huxley_1952"));
    for fibres in [1_000, 10_000, 100_000, 1_000_000] {
        let case = Case {
            duration_ms: 2.0,
            ..on_cpu(Scheme::RushLarsen, Precision::F32, fibres, 1)
        };
        let steps = bench(&model, &case)
            .expect("shipped models can be run")
            .fibre_steps;
        group.throughput(Throughput::Elements(steps));
        group.bench_function(fibres.to_string(), |b| {
            b.iter_custom(|n| seconds(n, || bench(&model, &case).expect("as before").compute_s));
        });
    }
}

/// From a model's text to its first step: reading, the pilot, the step program and machine code.
fn starting(c: &mut Criterion) {
    if !is_asked_for("starting") {
        return;
    }
    let mut group = on_cpu_group(c, "starting");
    for (name, scheme) in [
        ("hodgkin_huxley_1952", Scheme::RushLarsen),
        ("shorten_2007_fast", Scheme::Ros4),
        ("shorten_2007_slow", Scheme::Ros4),
        ("skeletal_fibre", Scheme::Ros4),
    ] {
        let source = source(name);
        let case = Case {
            duration_ms: 0.1,
            ..on_cpu(scheme, Precision::F32, 1, 1)
        };
        group.bench_function(name, |b| {
            b.iter(|| bench(&read(black_box(&source)), &case).expect("shipped models can be run"));
        });
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
                    tolerance: general_tolerance(Scheme::Ros3),
                })
            });
        });
    }
}

criterion_group!(benches, stepping, populations, starting, devices, compiling);
criterion_main!(benches);
