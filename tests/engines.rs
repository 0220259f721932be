//! The machine code that is made for a model gives the bits of the interpreter: every shipped model, both precisions, adaptive and fixed steps,
//! every instruction set of this machine.

use std::collections::BTreeSet;

use sarcolemma::backend::cpu::{Cpu, Engine, Lanes, Samples, Simd};
use sarcolemma::backend::{DEFAULT_LARGEST_STEP_MS, Experiment, Stepping};
use sarcolemma::diag::Source;
use sarcolemma::feature::{FeatureKind, FeatureSpec};
use sarcolemma::model::{self, Bound, Model, VariableId, VariableKind};
use sarcolemma::ops::Lane;
use sarcolemma::protocol::{Frame, Level, Protocol};
use sarcolemma::run::{Pilot, default_tolerance};
use sarcolemma::scheme::Scheme;

/// Fibres: more than a vector has lanes, and no whole number of tiles.
const FIBRES: usize = 21;

fn shipped() -> Vec<(String, Model)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/models");
    let entries = std::fs::read_dir(folder).expect("the folder of models");
    let paths: BTreeSet<_> = entries.map(|e| e.expect("an entry").path()).collect();
    paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "mmt"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a text");
            let name = path.display().to_string();
            let (model, _) = model::read(&Source::new(name.clone(), text)).expect("no faults");
            (name, model)
        })
        .collect()
}

/// 30 ms with a pulse at 2 and one at 22 ms; the potential's start and every conductance differ by fibre.
fn experiment(model: &Model) -> (Experiment, Vec<Vec<f64>>) {
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
    let start = model.states.iter().position(|&s| s == v).expect("a state");
    let rest = match &model.variable(model.states[start]).kind {
        VariableKind::State { .. } => -78.0,
        _ => unreachable!("it is one of the states"),
    };
    let parameters = (0..FIBRES)
        .map(|fibre| {
            let spread = |k: usize| 1.0 + 0.1 * ((fibre * (k + 3)) % 7) as f64 - 0.3;
            let own = conductances.iter().enumerate();
            std::iter::once(rest + 0.2 * fibre as f64)
                .chain(own.map(|(k, c)| c.1 * spread(k)))
                .collect()
        })
        .collect();
    let mut protocol = Protocol::fifty_hertz();
    protocol.pulses[0].start_ms = 2.0;
    let schedule = protocol.schedule(&Frame {
        duration_ms: 30.0,
        settle_ms: 0.0,
        paced: model.bound(&Bound::Pace).is_some(),
        own: &|_| Level::Number(f64::NAN),
    });
    let varied = std::iter::once(v).chain(conductances.iter().map(|c| c.0));
    let experiment = Experiment {
        model: model.clone().into(),
        varied: varied.map(Some).collect(),
        schedule,
        observables: vec![v],
        n_recorded: 0,
        features: vec![FeatureSpec {
            threshold: 0.0,
            ..FeatureSpec::new("spikes", FeatureKind::Spikes, v)
        }],
        sample_every_ms: 30.0,
        n_samples: 0,
    };
    (experiment, parameters)
}

/// Bits of the states, of the features and of the spikes' times, and steps.
type Outcome = (Vec<u64>, Vec<u64>, Vec<u64>, Vec<[u64; 3]>);

fn outcome<T: Lane>(experiment: &Experiment, parameters: &[Vec<f64>], way: &Way<'_>) -> Outcome {
    let cpu = Cpu::<T>::new(experiment, way.stepping, way.engine).expect("the scheme can be built");
    assert_eq!(cpu.engine(), way.engine, "the engine that was asked for");
    let mut group = cpu.start(0, parameters.to_vec());
    let mut lanes = Lanes::new(&cpu, way.lanes);
    let trace_of = vec![None; FIBRES];
    let mut spikes = Vec::new();
    let samples = Samples {
        first_row: 0,
        n_rows: 0,
        n_traces: 0,
        trace_of: &trace_of,
        values: &mut [],
    };
    cpu.advance(&mut group, &mut lanes, samples, true, &mut spikes, &|| {
        false
    });
    spikes.sort_by(|a, b| {
        (a.fibre, a.time_ms)
            .partial_cmp(&(b.fibre, b.time_ms))
            .expect("numbers")
    });
    (
        group.states.iter().map(|x| x.f64().to_bits()).collect(),
        group
            .gathered
            .iter()
            .flat_map(|g| experiment.features[0].values(g))
            .map(f64::to_bits)
            .collect(),
        spikes.iter().map(|s| s.time_ms.to_bits()).collect(),
        group
            .clocks
            .iter()
            .map(|c| [c.accepted, c.rejected, c.now as u64])
            .collect(),
    )
}

struct Way<'a> {
    stepping: &'a Stepping,
    engine: Engine,
    lanes: usize,
}

fn agree<T: Lane>(scheme: Scheme, step_ms: f64) {
    for (name, model) in shipped() {
        let (experiment, parameters) = experiment(&model);
        let stepping = Stepping {
            scheme,
            step_ms,
            tolerance: default_tolerance(scheme, &model),
            scales: Pilot::run(&model)
                .expect("shipped models can be run")
                .scales,
            largest_step_ms: DEFAULT_LARGEST_STEP_MS,
        };
        let at = |engine, lanes| {
            let way = Way {
                stepping: &stepping,
                engine,
                lanes,
            };
            outcome::<T>(&experiment, &parameters, &way)
        };
        let expected = at(Engine::Interpreter(Simd::Baseline), 16);
        if scheme == Scheme::Ros4 {
            assert!(expected.2.len() > FIBRES, "{name}: fibres fire, some twice");
        }
        for simd in Simd::available() {
            let mut engines = vec![Engine::Interpreter(simd)];
            // What machine code there is for.
            engines.extend((simd != Simd::Baseline).then_some(Engine::Native(simd)));
            for engine in engines {
                for lanes in [16, 48] {
                    let found = at(engine, lanes);
                    assert!(
                        found == expected,
                        "{name}, {} in {}, {lanes} lanes of {}",
                        scheme.name(),
                        T::PRECISION,
                        engine.name()
                    );
                }
            }
        }
    }
}

#[test]
fn every_shipped_model_has_the_interpreters_bits_in_single_precision() {
    agree::<f32>(Scheme::Ros4, 0.01);
    agree::<f32>(Scheme::RushLarsen, 0.01);
    // Short beside the gates' time constants at rest, long in a spike.
    agree::<f32>(Scheme::RushLarsen, 0.05);
}

#[test]
fn every_shipped_model_has_the_interpreters_bits_in_double_precision() {
    agree::<f64>(Scheme::Ros4, 0.01);
    agree::<f64>(Scheme::RushLarsen, 0.01);
    // Short beside the gates' time constants at rest, long in a spike.
    agree::<f64>(Scheme::RushLarsen, 0.05);
}
