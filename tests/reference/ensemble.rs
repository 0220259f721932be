//! Fibres side by side: what is found of one depends on it alone.

use sarcolemma::backend::Experiment;
use sarcolemma::backend::cpu::{Engine, Simd};
use sarcolemma::backend::reference::{FibreEnd, Fibres, Reference, Tolerances, Work};
use sarcolemma::feature::Piece;

use crate::made::{Maker, apply, n, plain};
use sarcolemma::ops::Op;

/// What is found of a fibre: bits of its samples and of its pieces, its end, its work.
#[derive(Clone, Debug, Default, PartialEq)]
struct Found {
    samples: Vec<u64>,
    pieces: Vec<[u64; 4]>,
    end: Option<FibreEnd>,
    work: Work,
}

struct Queue {
    waiting: Vec<(usize, Vec<f64>)>,
    found: Vec<Found>,
}

impl Fibres for Queue {
    fn next(&mut self, _: bool) -> Option<(usize, Vec<f64>)> {
        self.waiting.pop()
    }
    fn on_sample(&mut self, key: usize, _: usize, observed: &[f64]) {
        let bits = observed.iter().map(|x| x.to_bits());
        self.found[key].samples.extend(bits);
    }
    fn on_piece(&mut self, key: usize, _: usize, piece: &Piece) {
        let numbers = [piece.t1, piece.g1, piece.d0, piece.d1];
        self.found[key].pieces.push(numbers.map(f64::to_bits));
    }
    fn goes_on(&mut self) -> bool {
        true
    }
    fn on_end(&mut self, key: usize, end: FibreEnd, work: Work) {
        (self.found[key].end, self.found[key].work) = (Some(end), work);
    }
}

/// An oscillator whose stiffness differs from fibre to fibre; those with a negative one go to infinity.
fn oscillator() -> (Experiment, Vec<Vec<f64>>) {
    let mut m = Maker::new();
    let mu = m.literal("mu", 1.0);
    let (x, v) = (m.state("x", 2.0), m.state("v", 0.5));
    let t = m.get("time");
    m.dot("x", v.clone());
    let push = apply(Op::Sin, &[&t]);
    let rate = apply(Op::Exp, &[&mu]);
    m.dot("v", rate * (n(1.0) - x.clone() * x.clone()) * v - x + push);
    let mut experiment = plain(&m, 30.0, &["x", "v"]);
    (experiment.sample_every_ms, experiment.n_samples) = (0.7, 43);
    let id = m.id("mu");
    experiment.varied = vec![Some(id), Some(m.id("v"))];
    let of = |i: usize| {
        vec![
            -2.0 + i as f64,
            if i == 5 {
                f64::INFINITY
            } else {
                0.1 * i as f64
            },
        ]
    };
    (experiment, (0..11).map(of).collect())
}

fn run(reference: &Reference, fibres: &[Vec<f64>]) -> Vec<Found> {
    let mut queue = Queue {
        waiting: fibres.iter().cloned().enumerate().rev().collect(),
        found: vec![Found::default(); fibres.len()],
    };
    reference.run_fibres(&mut queue);
    queue.found
}

#[test]
fn what_is_found_of_a_fibre_depends_on_neither_its_neighbours_nor_the_engine() {
    let (experiment, fibres) = oscillator();
    let reference = Reference::new(&experiment, Tolerances::default()).unwrap();
    let together = run(&reference, &fibres);
    let finished = |f: &&Found| f.end == Some(FibreEnd::Finished) && f.samples.len() == 86;
    assert_eq!(together.iter().filter(finished).count(), 10);
    assert!(matches!(together[5].end, Some(FibreEnd::Lost { .. })));
    // The stiffer, the more steps: no two fibres do the same.
    assert_ne!(together[9].work, together[1].work);
    for (fibre, expected) in fibres.iter().zip(&together) {
        assert_eq!(&run(&reference, std::slice::from_ref(fibre))[0], expected);
    }
    let engines = Simd::available().into_iter().map(Engine::from);
    let interpreters = Simd::available().into_iter().map(Engine::Interpreter);
    for engine in engines.chain(interpreters) {
        let found = run(&reference.clone().on(engine), &fibres);
        assert!(found == together, "{}", engine.name());
    }
}
