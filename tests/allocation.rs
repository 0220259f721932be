//! Stepping allocates nothing: ten times as many steps ask the allocator for memory as often, with fixed and with adaptive steps.
//!
//! Each test counts on its own thread, on which `Cpu::advance` runs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sarcolemma::backend::cpu::{Clock, Cpu, Engine, Lanes, Samples, Simd, flag};
use sarcolemma::backend::{Experiment, Stepping};
use sarcolemma::diag::Source;
use sarcolemma::feature::{FeatureKind, FeatureSpec};
use sarcolemma::model::{self, Bound, Model, VariableId, VariableKind};
use sarcolemma::ops::Lane;
use sarcolemma::protocol::{Frame, Level, Protocol};
use sarcolemma::scheme::Scheme;

/// The system's allocator, which counts how often a thread asks it for memory.
struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends has no counter any more, and nobody asks for it.
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
}

// SAFETY: everything is handed on to the system's allocator as it comes; counting allocates nothing, because the counter is there from
// the start of the thread and is never dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller says.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller says.
        unsafe { System.realloc(old, layout, size) }
    }
    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// More than a vector has lanes; the lanes are fewer, so that some are filled again.
const FIBRES: usize = 21;
const LANES: usize = 16;
/// Of fixed steps, and the largest of adaptive ones: rest would be passed in a few steps.
const STEP_MS: f64 = 0.02;

fn shipped(name: &str) -> Model {
    let path = format!("{}/models/{name}.mmt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("a shipped model");
    let (model, _) = model::read(&Source::new(path, text)).expect("no faults");
    model
}

/// So long a rest, with every conductance different in each fibre, and a count of spikes of which there are none.
fn rest(model: &Model, duration_ms: f64) -> (Experiment, Vec<Vec<f64>>) {
    let v = model
        .labelled("membrane_potential")
        .expect("every shipped model labels its potential");
    let conductances: Vec<(VariableId, f64)> = model
        .variables
        .iter()
        .enumerate()
        .filter_map(|(i, variable)| match variable.kind {
            VariableKind::Literal(number) if variable.name.ends_with(".g") => {
                Some((VariableId(i), number))
            }
            _ => None,
        })
        .collect();
    let parameters = (0..FIBRES).map(|fibre| {
        let factor = 1.0 + 0.001 * fibre as f64;
        conductances.iter().map(|c| c.1 * factor).collect()
    });
    let schedule = Protocol::default().schedule(&Frame {
        duration_ms,
        settle_ms: 0.0,
        paced: model.bound(&Bound::Pace).is_some(),
        own: &|_| Level::Number(f64::NAN),
    });
    let experiment = Experiment {
        model: model.clone().into(),
        varied: conductances.iter().map(|c| Some(c.0)).collect(),
        schedule,
        observables: vec![v],
        n_recorded: 0,
        features: vec![FeatureSpec {
            threshold: 0.0,
            ..FeatureSpec::new("spikes", FeatureKind::Spikes, v)
        }],
        sample_every_ms: duration_ms,
        n_samples: 0,
    };
    (experiment, parameters.collect())
}

/// How often memory was asked for while fibres rested so long, and how many steps they made.
fn asked<T: Lane>(
    (model, scheme, engine): (&Model, Scheme, Engine),
    duration_ms: f64,
    cancelled: &dyn Fn() -> bool,
) -> (u64, u64) {
    let (experiment, parameters) = rest(model, duration_ms);
    let stepping = Stepping {
        scheme,
        step_ms: STEP_MS,
        tolerance: 0.01,
        scales: vec![1.0; model.states.len()],
        largest_step_ms: STEP_MS,
    };
    let cpu = Cpu::<T>::new(&experiment, &stepping, engine).expect("the scheme can be built");
    let mut group = cpu.start(0, parameters);
    let mut lanes = Lanes::new(&cpu, LANES);
    let samples = Samples {
        first_row: 0,
        n_rows: 0,
        n_traces: 0,
        trace_of: &[None; FIBRES],
        values: &mut [],
    };
    let mut spikes = Vec::new();
    let before = ASKED.get();
    cpu.advance(
        &mut group,
        &mut lanes,
        samples,
        true,
        &mut spikes,
        cancelled,
    );
    let asked = ASKED.get() - before;
    let has_finished = |c: &Clock| c.flags & flag::FINISHED != 0;
    assert!(spikes.is_empty() && group.clocks.iter().all(has_finished));
    (asked, group.clocks.iter().map(|c| c.accepted).sum())
}

fn stepping_allocates_nothing<T: Lane>(scheme: Scheme, models: &[&str]) {
    for name in models {
        let model = shipped(name);
        for engine in [Engine::best(), Engine::Interpreter(Simd::best())] {
            let case = (&model, scheme, engine);
            let (few, few_steps) = asked::<T>(case, 3.0, &|| false);
            let (many, many_steps) = asked::<T>(case, 30.0, &|| false);
            assert!(
                few_steps > 1000 && many_steps > 9 * few_steps,
                "{few_steps} and {many_steps} steps"
            );
            assert_eq!(
                few,
                many,
                "{name}, {}, {}: {few_steps} and {many_steps} steps",
                scheme.name(),
                engine.name()
            );
        }
    }
}

#[test]
fn fixed_steps_allocate_nothing() {
    // The fibres are too stiff for these.
    stepping_allocates_nothing::<f32>(Scheme::RushLarsen, &["hodgkin_huxley_1952"]);
    stepping_allocates_nothing::<f64>(Scheme::Euler, &["hodgkin_huxley_1952"]);
}

#[test]
fn adaptive_steps_allocate_nothing() {
    let models = ["hodgkin_huxley_1952", "skeletal_fibre"];
    stepping_allocates_nothing::<f32>(Scheme::Ros4, &models);
    stepping_allocates_nothing::<f64>(Scheme::Ros3, &models);
}

/// The count sees what is allocated while fibres are stepped: here by whoever is asked whether to go on, which is once in some
/// thousand fixed steps and at every adaptive one.
#[test]
fn an_allocation_among_the_steps_would_be_seen() {
    let model = shipped("hodgkin_huxley_1952");
    let wasteful = || std::hint::black_box(vec![false])[0];
    let of = |scheme: Scheme, duration_ms: f64| {
        asked::<f32>((&model, scheme, Engine::best()), duration_ms, &wasteful).0
    };
    let silent = asked::<f32>((&model, Scheme::RushLarsen, Engine::best()), 3.0, &|| false).0;
    assert!(of(Scheme::RushLarsen, 3.0) > silent);
    let (few, many) = (of(Scheme::Ros4, 3.0), of(Scheme::Ros4, 30.0));
    assert!(few > 100 && many > 5 * few, "{few} and {many}");
}
