//! A kernel's stand-in around the features: it feeds them the pieces of one course per invocation.

use super::super::{
    PIECE_WGSL, REALS, TICKS_WGSL, WORDS, feed, gathered, start, to_ticks, to_words,
};
use super::courses::Course;
use crate::backend::gpu::{Choice, Device, adapters, choose};
use crate::feature::{FeatureSpec, Gathered};
use crate::protocol::{Tick, ms};
use std::io::Write;

/// Events that are kept of one course; more are a fault of the test.
const MOST_EVENTS: usize = 512;
/// Words of one course in the buffer of events: their number, and feature, low and high word of each.
const EVENT_WORDS: usize = 1 + 3 * MOST_EVENTS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    Single,
    Double,
}

impl Precision {
    pub fn unit(self) -> f64 {
        match self {
            Precision::Single => 0.5 * f64::from(f32::EPSILON),
            Precision::Double => 0.5 * f64::EPSILON,
        }
    }

    pub fn round(self, v: f64) -> f64 {
        match self {
            Precision::Single => f64::from(v as f32),
            Precision::Double => v,
        }
    }

    fn bytes(self, numbers: &[f64]) -> Vec<u8> {
        match self {
            Precision::Single => numbers
                .iter()
                .flat_map(|v| (*v as f32).to_ne_bytes())
                .collect(),
            Precision::Double => numbers.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        }
    }

    pub fn numbers(self, bytes: &[u8]) -> Vec<f64> {
        match self {
            Precision::Single => bytemuck::pod_collect_to_vec::<u8, f32>(bytes)
                .into_iter()
                .map(f64::from)
                .collect(),
            Precision::Double => bytemuck::pod_collect_to_vec(bytes),
        }
    }
}

/// What one course left.
pub struct Outcome {
    pub gathered: Vec<Gathered>,
    events: Vec<(usize, Tick)>,
    /// Most rounds of loops that one feature took for one piece.
    pub most_work: u32,
}

impl Outcome {
    pub fn spikes_of(&self, feature: usize) -> Vec<Tick> {
        self.events
            .iter()
            .filter(|e| e.0 == feature)
            .map(|e| e.1)
            .collect()
    }
}

/// Writes a line, since tests of the library have no other way to say that they did not run.
fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// An open device.
pub struct Bench(Device);

/// Runs a test in each precision that the device has. Without a device: fails in CI, else says so.
pub fn each_precision(test: impl Fn(&Bench, Precision)) {
    let list = adapters();
    let Ok(adapter) = choose(&list, &Choice::Best) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "a GPU driver is needed for this test"
        );
        report("not run: no GPU driver here");
        return;
    };
    let bench = Bench(Device::open(adapter).expect("the device opens"));
    test(&bench, Precision::Single);
    if adapter.has_f64 {
        test(&bench, Precision::Double);
    } else {
        report("not run in double precision: the device has none");
    }
}

/// A stand-in for the maths that the kernel has.
pub fn head(precision: Precision) -> &'static str {
    match precision {
        Precision::Single => {
            "alias Real = f32;
var<private> hidden_zero: u32;
fn kept(x: Real) -> Real { return bitcast<f32>(bitcast<u32>(x) ^ hidden_zero); }
fn is_finite_real(x: Real) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }
"
        }
        Precision::Double => {
            "alias Real = f64;
var<private> hidden_zero: u32;
fn kept(x: Real) -> Real { return select(x, Real(0.0), hidden_zero != 0u); }
fn is_finite_real(x: Real) -> bool { return abs(x) <= Real(1.7976931348623157e308); }
"
        }
    }
}

/// The whole program for these features.
pub fn program(precision: Precision, specs: &[FeatureSpec]) -> String {
    let each =
        |line: &dyn Fn(usize) -> String| (0..specs.len()).map(line).collect::<Vec<_>>().join("\n");
    let n = specs.len();
    let load = each(&|k| format!("    var gathered_{k} = load(course * {n}u + {k}u);"));
    let take = each(&|k| {
        let feed = feed(&specs[k], k);
        format!("        work = 0u;\n        {feed}\n        most_work = max(most_work, work);")
    });
    let store = each(&|k| format!("    store(course * {n}u + {k}u, gathered_{k});"));
    format!(
        "{}{TICKS_WGSL}{PIECE_WGSL}
@group(0) @binding(0) var<storage, read_write> piece_words: array<u32>;
@group(0) @binding(1) var<storage, read_write> piece_reals: array<Real>;
@group(0) @binding(2) var<storage, read_write> courses: array<u32>;
@group(0) @binding(3) var<storage, read_write> state_reals: array<Real>;
@group(0) @binding(4) var<storage, read_write> state_words: array<u32>;
@group(0) @binding(5) var<storage, read_write> events: array<u32>;
var<private> work: u32;
var<private> n_events: u32;
var<private> events_at: u32;
fn found_event(feature: u32, at: vec2<u32>) {{
    if (n_events < {MOST_EVENTS}u) {{
        let to = events_at + 1u + 3u * n_events;
        events[to] = feature;
        events[to + 1u] = at.x;
        events[to + 2u] = at.y;
    }}
    n_events += 1u;
}}
fn load(k: u32) -> Gathered {{
    let w = k * {WORDS}u;
    return Gathered(state_reals[k * {REALS}u], state_reals[k * {REALS}u + 1u], state_words[w], state_words[w + 1u],
        vec2<u32>(state_words[w + 2u], state_words[w + 3u]), vec2<u32>(state_words[w + 4u], state_words[w + 5u]));
}}
fn store(k: u32, g: Gathered) {{
    let w = k * {WORDS}u;
    state_reals[k * {REALS}u] = g.value;
    state_reals[k * {REALS}u + 1u] = g.rest;
    state_words[w] = g.count;
    state_words[w + 1u] = g.above;
    state_words[w + 2u] = g.first.x;
    state_words[w + 3u] = g.first.y;
    state_words[w + 4u] = g.last.x;
    state_words[w + 5u] = g.last.y;
}}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
    let course = id.x;
    if (course >= courses[1]) {{
        return;
    }}
    hidden_zero = courses[0];
    events_at = course * {EVENT_WORDS}u;
    var most_work = 0u;
{load}
    for (var i = courses[2u + 3u * course]; i < courses[3u + 3u * course]; i += 1u) {{
        let r = 5u * i;
        let piece = Piece(vec2<u32>(piece_words[3u * i], piece_words[3u * i + 1u]), piece_words[3u * i + 2u],
            piece_reals[r], piece_reals[r + 1u], piece_reals[r + 2u], piece_reals[r + 3u], piece_reals[r + 4u]);
{take}
    }}
{store}
    events[events_at] = n_events;
    courses[4u + 3u * course] = most_work;
}}
",
        head(precision)
    )
}

impl Bench {
    /// Feeds every feature with every course, whose time 0 is `base`. A few features at a time: software drivers compile one long
    /// program more slowly than several short ones.
    pub fn gather(
        &self,
        precision: Precision,
        specs: &[FeatureSpec],
        courses: &[&Course],
        base: Tick,
    ) -> Vec<Outcome> {
        let nothing = || Outcome {
            gathered: Vec::new(),
            events: Vec::new(),
            most_work: 0,
        };
        let mut all: Vec<Outcome> = courses.iter().map(|_| nothing()).collect();
        for specs in specs.chunks(6) {
            let part = self.gather_few(precision, specs, courses, base);
            for (all, part) in all.iter_mut().zip(part) {
                let before = all.gathered.len();
                all.gathered.extend(part.gathered);
                all.events
                    .extend(part.events.iter().map(|e| (before + e.0, e.1)));
                all.most_work = all.most_work.max(part.most_work);
            }
        }
        all
    }

    fn gather_few(
        &self,
        precision: Precision,
        specs: &[FeatureSpec],
        courses: &[&Course],
        base: Tick,
    ) -> Vec<Outcome> {
        let (mut words, mut reals) = (Vec::new(), Vec::new());
        let mut list = vec![0, courses.len() as u32];
        let (mut state_reals, mut state_words) = (Vec::new(), Vec::new());
        for course in courses {
            let first = words.len() / 3;
            for (&(at, length), p) in course.ticks.iter().zip(&course.pieces) {
                words.extend(to_words(at + base));
                words.push(length);
                reals.extend([ms(Tick::from(length)), p.g0, p.d0, p.g1, p.d1]);
            }
            list.extend([first as u32, (words.len() / 3) as u32, 0]);
            for spec in specs {
                let (r, w) = start(spec);
                state_reals.extend(r);
                state_words.extend(w);
            }
        }
        let mut buffers = [
            bytemuck::cast_slice(&words).to_vec(),
            precision.bytes(&reals),
            bytemuck::cast_slice(&list).to_vec(),
            precision.bytes(&state_reals),
            bytemuck::cast_slice(&state_words).to_vec(),
            vec![0; 4 * EVENT_WORDS * courses.len()],
        ];
        let program = program(precision, specs);
        self.0
            .run_once(&program, &mut buffers, courses.len().div_ceil(64) as u32)
            .expect("the features run");
        let list: Vec<u32> = bytemuck::pod_collect_to_vec(&buffers[2]);
        let reals = precision.numbers(&buffers[3]);
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&buffers[4]);
        let events: Vec<u32> = bytemuck::pod_collect_to_vec(&buffers[5]);
        let outcome = |c: usize| {
            let state = |k: usize| {
                let at = c * specs.len() + k;
                let (r, w) = (&reals[REALS * at..][..REALS], &words[WORDS * at..][..WORDS]);
                gathered(
                    &specs[k],
                    r.try_into().expect("two"),
                    w.try_into().expect("six"),
                )
            };
            let events = &events[c * EVENT_WORDS..][..EVENT_WORDS];
            let n = events[0] as usize;
            assert!(n <= MOST_EVENTS, "{n} events in one course");
            let event = |e: &[u32]| (e[0] as usize, to_ticks([e[1], e[2]]));
            Outcome {
                gathered: (0..specs.len()).map(state).collect(),
                events: events[1..][..3 * n].chunks(3).map(event).collect(),
                most_work: list[4 + 3 * c],
            }
        };
        (0..courses.len()).map(outcome).collect()
    }

    /// Runs a program that is given whole.
    pub fn run(&self, program: &str, buffers: &mut [Vec<u8>], workgroups: u32) {
        self.0
            .run_once(program, buffers, workgroups)
            .expect("the program runs");
    }
}
