//! The device's features at edges, where the answer is known exactly; its 64-bit times; and that the texts are valid.

use super::courses::{Course, Numbers, waves};
use super::device::{Precision, each_precision, head, program};
use super::{all_specs, spec, with_threshold};
use crate::backend::gpu::features::{MOST_WORK, TICKS_WGSL, to_words};
use crate::feature::{FeatureKind, FeatureSpec};
use crate::protocol::{Tick, ms, tick};

fn validate(text: &str) {
    let module =
        naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{}", e.emit_to_string(text)));
    naga::valid::Validator::new(
        naga::valid::ValidationFlags::all(),
        naga::valid::Capabilities::FLOAT64,
    )
    .validate(&module)
    .unwrap_or_else(|e| panic!("{}", e.emit_to_string(text)));
}

#[test]
fn the_texts_are_valid_in_both_precisions() {
    for precision in [Precision::Single, Precision::Double] {
        validate(&program(precision, &all_specs()));
        validate(&format!("{}{TICKS_WGSL}", head(precision)));
    }
}

#[test]
fn no_number_of_a_feature_makes_a_text_that_is_not_valid() {
    let odd = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e300,
        -1e300,
        1e-300,
        0.0,
        -0.0,
        0.1,
        1e22,
    ];
    for precision in [Precision::Single, Precision::Double] {
        let specs: Vec<FeatureSpec> = FeatureKind::ALL
            .into_iter()
            .flat_map(|kind| {
                odd.map(|v| FeatureSpec {
                    at_ms: v,
                    after_ms: if v.is_nan() { 0.0 } else { -v.abs() },
                    before_ms: if v.is_nan() { 0.0 } else { v.abs() },
                    ..with_threshold(kind, v)
                })
            })
            .collect();
        validate(&program(precision, &specs));
    }
}

#[test]
fn times_are_64_bit_numbers() {
    each_precision(|bench, precision| {
        let mut numbers = Numbers::new(7);
        let edges: [Tick; 12] = [
            0,
            1,
            -1,
            (1 << 32) - 1,
            1 << 32,
            (1 << 32) + 1,
            -(1 << 32),
            -(1 << 32) - 1,
            1 << 30,
            (1 << 30) + 1,
            1 << 62,
            -(1 << 62),
        ];
        let mut pairs: Vec<(Tick, Tick)> =
            edges.iter().flat_map(|&a| edges.map(|b| (a, b))).collect();
        for _ in 0..4000 {
            let mut next = || {
                let size = numbers.between(0.0, 62.0).exp2();
                (numbers.between(-1.0, 1.0) * size) as Tick
            };
            let (a, b) = (next(), next());
            pairs.extend([(a, b), (a, a + b % 1000), (a, a)]);
        }
        let text = format!(
            "{}{TICKS_WGSL}
@group(0) @binding(0) var<storage, read_write> pairs: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@group(0) @binding(2) var<storage, read_write> reals: array<Real>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
    let i = id.x;
    if (i >= {}u) {{
        return;
    }}
    let a = pairs[i].xy;
    let b = pairs[i].zw;
    let sum = ticks_add(a, b.x);
    let difference = ticks_sub(a, b);
    words[6u * i] = sum.x;
    words[6u * i + 1u] = sum.y;
    words[6u * i + 2u] = difference.x;
    words[6u * i + 3u] = difference.y;
    words[6u * i + 4u] = select(0u, 1u, ticks_below(a, b));
    words[6u * i + 5u] = ticks_between(a, b);
    reals[i] = ticks_real(a);
}}
",
            head(precision),
            pairs.len()
        );
        let input: Vec<u32> = pairs
            .iter()
            .flat_map(|&(a, b)| [to_words(a), to_words(b)])
            .flatten()
            .collect();
        let real_bytes = if precision == Precision::Single { 4 } else { 8 };
        let mut buffers = [
            bytemuck::cast_slice(&input).to_vec(),
            vec![0; 24 * pairs.len()],
            vec![0; real_bytes * pairs.len()],
        ];
        bench.run(&text, &mut buffers, pairs.len().div_ceil(64) as u32);
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&buffers[1]);
        let reals = precision.numbers(&buffers[2]);
        for (i, &(a, b)) in pairs.iter().enumerate() {
            let sum = to_words(a.wrapping_add(Tick::from(b as u32)));
            let difference = to_words(a.wrapping_sub(b));
            let between = b.wrapping_sub(a).clamp(0, 1 << 30) as u32;
            let expected = [
                sum[0],
                sum[1],
                difference[0],
                difference[1],
                u32::from(a < b),
                between,
            ];
            assert_eq!(words[6 * i..][..6], expected, "{a} and {b}");
            // A unit of the last place of the device's precision; none where the precision holds the number.
            let unit = 2.0 * precision.unit() * (a as f64).abs();
            let allowed = if precision.round(a as f64) == a as f64 {
                0.0
            } else {
                unit
            };
            assert!(
                (reals[i] - a as f64).abs() <= allowed,
                "{a} became {}",
                reals[i]
            );
        }
    });
}

/// A course from times in ms and `[g0, d0, g1, d1]` of each piece, in single precision's numbers.
fn by_hand(parts: &[(f64, f64, [f64; 4])]) -> Course {
    let part = |&(from, to, four): &(f64, f64, [f64; 4])| {
        (tick(from), (tick(to) - tick(from)) as u32, four)
    };
    Course::new(parts.iter().map(part).collect(), Precision::Single)
}

/// Checks the columns of one feature and, for spikes, the times, ms; NaN equals NaN.
struct Case {
    spec: FeatureSpec,
    course: Course,
    values: Vec<f64>,
    spikes: Vec<f64>,
}

fn check(cases: Vec<Case>) {
    let base = 60_000_000_000;
    let mut specs: Vec<FeatureSpec> = Vec::new();
    // By their texts: a number that does not belong to a kind is NaN, which equals nothing.
    let place = |specs: &[FeatureSpec], spec: &FeatureSpec| {
        let text = format!("{spec:?}");
        specs.iter().position(|s| format!("{s:?}") == text)
    };
    for case in &cases {
        if place(&specs, &case.spec).is_none() {
            specs.push(case.spec.clone());
        }
    }
    let there: Vec<FeatureSpec> = specs.iter().map(|s| super::moved(s, base)).collect();
    let courses: Vec<&Course> = cases.iter().map(|c| &c.course).collect();
    each_precision(|bench, precision| {
        let outcomes = bench.gather(precision, &there, &courses, base);
        for (case, outcome) in cases.iter().zip(&outcomes) {
            let k = place(&specs, &case.spec).expect("it is in the list");
            let name = format!("{:?} of {:?} {precision:?}", case.spec, case.course.pieces);
            let spikes: Vec<Tick> = outcome.spikes_of(k).iter().map(|t| t - base).collect();
            let expected: Vec<Tick> = case.spikes.iter().map(|t| tick(*t)).collect();
            assert_eq!(spikes, expected, "{name}");
            let values = there[k].values(&outcome.gathered[k]);
            assert_eq!(values.len(), case.values.len(), "{name}");
            for (i, (&device, &expected)) in values.iter().zip(&case.values).enumerate() {
                let is_time = match case.spec.kind {
                    FeatureKind::Spikes => i > 0,
                    kind => matches!(kind, FeatureKind::TimeOfMax | FeatureKind::TimeOfMin),
                };
                let device = if is_time && !device.is_nan() {
                    ms(tick(device) - base)
                } else {
                    device
                };
                // Exact but for peaks within a piece, whose share is rounded.
                let slack = 4.0 * precision.unit() * f64::from(u8::from(!is_time));
                let same =
                    (device - expected).abs() <= slack || device.is_nan() && expected.is_nan();
                assert!(same, "{name}: {device} for {expected}");
            }
        }
    });
}

const NAN: f64 = f64::NAN;

#[test]
fn edges_are_treated_as_on_the_cpu() {
    let spikes = || with_threshold(FeatureKind::Spikes, 0.5);
    let flat = |t: f64, g: f64| (t, t + 1.0, [g, 0.0, g, 0.0]);
    let line = |a: f64, b: f64| (a, b, [a - 5.0, 1.0, b - 5.0, 1.0]);
    let case = |spec: FeatureSpec, course: &[_], values: &[f64], spikes: &[f64]| Case {
        spec,
        course: by_hand(course),
        values: values.to_vec(),
        spikes: spikes.to_vec(),
    };
    let windowed = |spec: FeatureSpec, after_ms: f64, before_ms: f64| FeatureSpec {
        after_ms,
        before_ms,
        ..spec
    };
    let infinite = f64::INFINITY;
    // g = 0.5 - (t - 1)^2 and its mirror image touch 0.5 at an edge of two pieces.
    let below = [
        (0.0, 1.0, [-0.5, 2.0, 0.5, 0.0]),
        (1.0, 2.0, [0.5, 0.0, -0.5, -2.0]),
    ];
    let above = [
        (0.0, 1.0, [1.5, -2.0, 0.5, 0.0]),
        (1.0, 2.0, [0.5, 0.0, 1.5, 2.0]),
    ];
    let jumps = [
        flat(0.0, 0.0),
        flat(1.0, 1.0),
        flat(2.0, 0.0),
        flat(3.0, 1.0),
    ];
    let hump = [(0.0, 1.0, [-1.0, 8.0, -1.0, -8.0])];
    let odd = [(0.0, 1.0, [0.0, -1.0, 0.0, 2.0])];
    let bad = |four: [f64; 4]| [flat(0.0, 0.0), (1.0, 2.0, four), flat(2.0, 1.0)];
    let mut cases = vec![
        // A crossing exactly at an edge is one.
        case(
            with_threshold(FeatureKind::Spikes, 0.0),
            &[line(0.0, 5.0), line(5.0, 7.0)],
            &[1.0, 5.0, 5.0],
            &[5.0],
        ),
        // Touching from below is a crossing, from above none.
        case(spikes(), &below, &[1.0, 1.0, 1.0], &[1.0]),
        case(spikes(), &above, &[0.0, NAN, NAN], &[]),
        // A jump is a crossing at the edge.
        case(spikes(), &jumps, &[2.0, 1.0, 3.0], &[1.0, 3.0]),
        case(
            with_threshold(FeatureKind::TimeAbove, 0.5),
            &jumps,
            &[2.0],
            &[],
        ),
        // Being above at the first instant is none, neither of the course nor of the window.
        case(spikes(), &jumps[1..], &[1.0, 3.0, 3.0], &[3.0]),
        case(
            windowed(spikes(), 1.5, infinite),
            &jumps,
            &[1.0, 3.0, 3.0],
            &[3.0],
        ),
        // A window that opens at the jump starts above; one that ends there does not see it.
        case(windowed(spikes(), 1.0, 3.0), &jumps, &[0.0, NAN, NAN], &[]),
        case(
            windowed(with_threshold(FeatureKind::TimeAbove, 0.5), 1.25, 3.5),
            &jumps,
            &[1.25],
            &[],
        ),
        // The first of equal extremes.
        case(spec(FeatureKind::TimeOfMax), &jumps, &[1.0], &[]),
        case(spec(FeatureKind::TimeOfMin), &jumps, &[0.0], &[]),
        // A peak within one piece: g = -1 + 8 t (1 - t).
        case(spec(FeatureKind::Max), &hump, &[1.0], &[]),
        case(spec(FeatureKind::TimeOfMax), &hump, &[0.5], &[]),
        case(spec(FeatureKind::Min), &hump, &[-1.0], &[]),
        case(spec(FeatureKind::TimeOfMin), &hump, &[0.0], &[]),
        // g = t^3 - t turns at the root of 1/3; the middle number of its slope is 0.
        case(spec(FeatureKind::Min), &odd, &[-2.0 / 27.0_f64.sqrt()], &[]),
        case(spec(FeatureKind::TimeOfMin), &odd, &[0.57735], &[]),
        case(
            with_threshold(FeatureKind::Spikes, 0.0),
            &hump,
            &[1.0, 0.14645, 0.14645],
            &[0.14645],
        ),
        case(
            with_threshold(FeatureKind::TimeAbove, 0.0),
            &hump,
            &[ms(70_710)],
            &[],
        ),
        // At an edge the later piece speaks.
        case(
            FeatureSpec {
                at_ms: 3.0,
                ..spec(FeatureKind::ValueAt)
            },
            &jumps,
            &[1.0],
            &[],
        ),
        case(
            FeatureSpec {
                at_ms: 4.0,
                ..spec(FeatureKind::ValueAt)
            },
            &jumps,
            &[1.0],
            &[],
        ),
        case(
            FeatureSpec {
                at_ms: 4.00001,
                ..spec(FeatureKind::ValueAt)
            },
            &jumps,
            &[NAN],
            &[],
        ),
        case(spec(FeatureKind::Final), &jumps, &[1.0], &[]),
        // A piece that only touches the window is left out.
        case(
            windowed(spec(FeatureKind::Final), -infinite, 3.0),
            &jumps,
            &[0.0],
            &[],
        ),
        case(
            windowed(spec(FeatureKind::Max), 2.0, 3.0),
            &jumps,
            &[0.0],
            &[],
        ),
        case(
            windowed(spec(FeatureKind::Mean), 0.5, 1.5),
            &jumps,
            &[0.5],
            &[],
        ),
        case(
            windowed(spec(FeatureKind::Integral), 1.25, 4.0),
            &jumps,
            &[1.75],
            &[],
        ),
    ];
    // A piece with a number that is not finite is left out, so the rise that follows it is a jump.
    for wrong in [NAN, infinite, -infinite] {
        for four in [
            [wrong, 0.0, 0.0, 0.0],
            [0.0, wrong, 0.0, 0.0],
            [0.0, 0.0, wrong, 0.0],
            [0.0, 0.0, 0.0, wrong],
            [wrong; 4],
        ] {
            let course = bad(four);
            cases.push(case(spikes(), &course, &[1.0, 2.0, 2.0], &[2.0]));
            cases.push(case(
                windowed(spikes(), 0.5, 1.5),
                &course,
                &[0.0, NAN, NAN],
                &[],
            ));
            cases.push(case(spec(FeatureKind::Max), &course, &[1.0], &[]));
            cases.push(case(spec(FeatureKind::Min), &course, &[0.0], &[]));
            cases.push(case(spec(FeatureKind::Mean), &course, &[0.5], &[]));
            cases.push(case(
                windowed(spec(FeatureKind::Final), -infinite, 1.5),
                &course,
                &[0.0],
                &[],
            ));
            cases.push(case(
                with_threshold(FeatureKind::TimeAbove, -1.0),
                &course,
                &[2.0],
                &[],
            ));
            cases.push(case(
                FeatureSpec {
                    at_ms: 1.5,
                    ..spec(FeatureKind::ValueAt)
                },
                &course,
                &[NAN],
                &[],
            ));
        }
    }
    // Nothing gathered: no number, no spike.
    for kind in FeatureKind::ALL {
        let spec = FeatureSpec {
            after_ms: 30.0,
            at_ms: 30.0,
            ..with_threshold(kind, 0.0)
        };
        let values: &[f64] = if kind == FeatureKind::Spikes {
            &[0.0, NAN, NAN]
        } else {
            &[NAN]
        };
        cases.push(case(spec, &jumps, values, &[]));
    }
    check(cases);
}

#[test]
fn a_long_sum_does_not_drift() {
    // 20,000 pieces of 0.1 ms at a level near 1/3: each addition to a sum above 512 loses up to 2^-15, always to the same side.
    let level = f64::from(0.333_333_34_f32);
    let parts = (0..20_000)
        .map(|i| (10_000 * i, 10_000, [level, 0.0, level, 0.0]))
        .collect();
    let course = Course::new(parts, Precision::Single);
    let area = f64::from((0.1_f32) * level as f32);
    let plain = (0..20_000).fold(0.0_f32, |sum, _| sum + area as f32);
    each_precision(|bench, precision| {
        let outcome = &bench.gather(precision, &[spec(FeatureKind::Integral)], &[&course], 0)[0];
        let sum = spec(FeatureKind::Integral).values(&outcome.gathered[0])[0];
        let expected = 2000.0 * level;
        let off = (sum / expected - 1.0).abs();
        // The area of a piece has the roundings of 0.1 and of two products.
        assert!(
            off <= 3.0 * precision.unit(),
            "{sum} for {expected}, off by {off:e}"
        );
        assert!((f64::from(plain) / expected - 1.0).abs() > 100.0 * Precision::Single.unit());
    });
}

#[test]
fn a_search_for_a_crossing_is_short() {
    // Coarse waves whose threshold runs through the whole range, and courses whose threshold is next to an extreme, where the
    // root is nearly double, or next to a threefold root.
    let waves = waves(0.7, 1.9);
    each_precision(|bench, precision| {
        let piece = |i: i32, level: f64| {
            let (a, b) = (waves(f64::from(i)), waves(f64::from(i) + 1.0));
            (
                Tick::from(i) * 100_000,
                100_000,
                [a.0 - level, a.1, b.0 - level, b.1],
            )
        };
        let mut courses = Vec::new();
        for i in 0..60 {
            let whole = Course::new(vec![piece(i, 0.0)], precision);
            let levels = (-110..80).step_by(3).map(f64::from);
            let beside = |p: f64| [1e-6, 1e-5, 1e-3, 1e-1].map(|by| [p - by, p + by]);
            let points = whole.pieces[0].knots();
            let extremes = points.points().iter().flat_map(|k| beside(k.1)).flatten();
            for level in levels.chain(extremes) {
                courses.push(Course::new(vec![piece(i, level)], precision));
            }
        }
        for i in 0..100 {
            let x = f64::from(i) / 99.0;
            for by in [0.0, 1e-7, -1e-7, 1e-4, -1e-4] {
                let cubic = |t: f64| ((t - x).powi(3) + by * (t - x), 3.0 * (t - x).powi(2) + by);
                let (a, b) = (cubic(0.0), cubic(1.0));
                courses.push(Course::new(
                    vec![(0, 100_000, [a.0, a.1, b.0, b.1])],
                    precision,
                ));
            }
        }
        let specs = [
            with_threshold(FeatureKind::Spikes, 0.0),
            with_threshold(FeatureKind::TimeAbove, 0.0),
        ];
        let courses: Vec<&Course> = courses.iter().collect();
        let outcomes = bench.gather(precision, &specs, &courses, 0);
        let most = outcomes.iter().map(|o| o.most_work).max();
        let found: usize = outcomes.iter().map(|o| o.spikes_of(0).len()).sum();
        let rounds: u32 = outcomes.iter().map(|o| o.most_work).sum();
        // Laguerre's iteration takes 2 to 4 rounds, and time_above has up to three crossings; the rest are the nearly double and
        // threefold roots.
        assert!(
            f64::from(rounds) <= 8.0 * found as f64,
            "{rounds} rounds for {found}"
        );
        assert!(found > 1500 && most <= Some(MOST_WORK));
    });
}
