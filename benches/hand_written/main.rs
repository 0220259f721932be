//! How the machine code that the engine makes compares with programs written by hand for one model: Hodgkin and Huxley 1952 in single precision,
//! Rush and Larsen's scheme with 0.01 ms. One computes the gates, one looks them up. See `benches/README.md`.
//!
//! The hand-written programs are as good as they are because they are nothing else: no protocol, no spikes, no compensated sums, no check of what
//! comes out; states stay in registers over many steps, and as many vectors are computed side by side as suit the instructions best (two of AVX2,
//! four of AVX-512: 2, 3 and 4 were tried). They have nine exponentials and six divisions a step, one five and seven, and polynomials of the same
//! quality. All run in
//! turn; where Linux tells, the time is the processor's, so that others on the machine disturb little.

use std::hint::black_box;
use std::time::Instant;

/// Fibres of both.
const FIBRES: usize = 8192;
/// Simulated time of a turn, ms.
const DURATION_MS: f64 = 500.0;
/// Step, ms.
const STEP_MS: f64 = 0.01;
/// Turns of each.
const TURNS: usize = 9;

#[cfg(target_arch = "x86_64")]
mod computed;
#[cfg(target_arch = "x86_64")]
mod tables;

/// Seconds that this process has been computing, where Linux tells (in hundredths), else of the clock.
fn seconds(since: Instant) -> f64 {
    let ticks = std::fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|stat| {
            let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
            let user: f64 = fields.get(11)?.parse().ok()?;
            let system: f64 = fields.get(12)?.parse().ok()?;
            Some((user + system) / 100.0)
        });
    ticks.unwrap_or_else(|| since.elapsed().as_secs_f64())
}

#[cfg(target_arch = "x86_64")]
fn main() {
    use sarcolemma::backend::DEFAULT_LARGEST_STEP_MS;
    use sarcolemma::backend::cpu::Engine;
    use sarcolemma::backend::gpu::Residence;
    use sarcolemma::diag::Source;
    use sarcolemma::run::sink::Precision;
    use sarcolemma::run::{Backend, Case, bench};
    use sarcolemma::scheme::Scheme;

    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        println!("the hand-written program needs AVX2 and FMA");
        return;
    }
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/models/hodgkin_huxley_1952.mmt"
    );
    let text = std::fs::read_to_string(path).expect("a shipped model");
    let model = sarcolemma::model::read(&Source::new(path, text))
        .expect("shipped models have no faults")
        .0;
    let case = Case {
        backend: Backend::Cpu,
        adapter: None,
        residence: Residence::Registers,
        precision: Precision::F32,
        scheme: Some(Scheme::RushLarsen),
        step_ms: STEP_MS,
        tolerance: None,
        largest_step_ms: DEFAULT_LARGEST_STEP_MS,
        fibres: FIBRES,
        threads: 1,
        duration_ms: DURATION_MS,
        rate_hz: Some(50.0),
    };
    for width_mv in [1.0, 0.5, 0.2, 0.1, 0.05] {
        let (rms, shift_ms) = course_by_tables(width_mv);
        println!(
            "tables of {width_mv} mV: potential {rms:.2e} of its range, spikes {shift_ms:.1e} ms from where it is computed"
        );
    }
    let lookup = tables::Tables::new(0.1, STEP_MS);
    let step = STEP_MS as f32;
    let mut by_hand: Vec<(&str, ByHand)> = vec![
        (
            "by hand, AVX2",
            Box::new(move |axons, n, current| {
                // SAFETY: the instructions were found above.
                unsafe { computed::avx2::run::<false>(axons, n, step, current) }
            }),
        ),
        (
            "by hand, tables of 0.1 mV",
            Box::new(move |axons, n, current| {
                // SAFETY: the instructions were found above.
                unsafe { tables::run(axons, &lookup, n, step, current) }
            }),
        ),
    ];
    if is_x86_feature_detected!("avx512f") {
        by_hand.push((
            "by hand, AVX-512",
            Box::new(move |axons, n, current| {
                // SAFETY: the instructions have just been found.
                unsafe { computed::avx512::run::<false>(axons, n, step, current) }
            }),
        ));
        by_hand.push((
            "by hand, five exponentials",
            Box::new(move |axons, n, current| {
                // SAFETY: as above.
                unsafe { computed::avx512::run::<true>(axons, n, step, current) }
            }),
        ));
    }
    let started = Instant::now();
    let mut speeds = vec![Vec::new(); by_hand.len()];
    let mut by_engine = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for ((_, program), speeds) in by_hand.iter_mut().zip(&mut speeds) {
            speeds.push(speed_of_trains(started, program));
        }
        for (precision, speeds) in [Precision::F32, Precision::F64]
            .into_iter()
            .zip(&mut by_engine)
        {
            let case = Case {
                precision,
                ..case.clone()
            };
            let before = seconds(started);
            let measure = bench(&model, &case).expect("a shipped model can be run");
            speeds.push(measure.fibre_steps as f64 / (seconds(started) - before));
        }
    }
    let print = |what: &str, values: &[f64]| {
        let (median, least, most) = spread(values);
        println!("{what:<28} {median:.3e} ({least:.3e} to {most:.3e}) fibre-steps/s");
    };
    for ((what, _), speeds) in by_hand.iter().zip(&speeds) {
        print(what, speeds);
    }
    let engine = Engine::best().name();
    for (precision, of_engine) in ["f32", "f64"].into_iter().zip(&by_engine) {
        print(&format!("{engine}, {precision}"), of_engine);
        for ((what, _), speeds) in by_hand.iter().zip(&speeds) {
            let ratios: Vec<f64> = of_engine.iter().zip(speeds).map(|(e, h)| e / h).collect();
            let (median, least, most) = spread(&ratios);
            println!("    to the program {what}, of turns: {median:.2} ({least:.2} to {most:.2})");
        }
    }
}

/// A program by hand: axons, how many steps, under which current.
#[cfg(target_arch = "x86_64")]
type ByHand = Box<dyn FnMut(&mut computed::Axons, usize, f32)>;

/// Median, least and most.
#[cfg(target_arch = "x86_64")]
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    (
        values[values.len() / 2],
        values[0],
        values[values.len() - 1],
    )
}

/// Fibre-steps a second of a turn of a program by hand: pulses of 0.5 ms at 50 Hz, as the engine has them.
#[cfg(target_arch = "x86_64")]
fn speed_of_trains(started: Instant, mut run: impl FnMut(&mut computed::Axons, usize, f32)) -> f64 {
    let steps = (DURATION_MS / STEP_MS) as usize;
    let mut axons = computed::Axons::new(FIBRES);
    let before = seconds(started);
    let between_pulses = (20.0 / STEP_MS) as usize;
    for _ in 0..steps / between_pulses {
        run(&mut axons, 50, 20.0);
        run(&mut axons, between_pulses - 50, 0.0);
    }
    black_box(&axons.0);
    (FIBRES * steps) as f64 / (seconds(started) - before)
}

/// How far tables lead a course of ten spikes away from the one that is computed with the same steps: root mean square of the potential over its
/// range, and the largest shift of a spike, ms.
#[cfg(target_arch = "x86_64")]
fn course_by_tables(width_mv: f64) -> (f64, f64) {
    let lookup = tables::Tables::new(width_mv, STEP_MS);
    let (mut by_rates, mut looked_up) = (computed::Axons::new(16), computed::Axons::new(16));
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for step in 0..(DURATION_MS / STEP_MS) as usize {
        let current = if step % 2000 < 50 { 20.0 } else { 0.0 };
        // SAFETY: `main` has found the instructions.
        unsafe {
            computed::avx2::run::<false>(&mut by_rates, 1, STEP_MS as f32, current);
            tables::run(&mut looked_up, &lookup, 1, STEP_MS as f32, current);
        }
        a.push(f64::from(by_rates.0[0][0]));
        b.push(f64::from(looked_up.0[0][0]));
    }
    let squares: f64 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
    let (_, least, most) = spread(&a);
    let spikes = |v: &[f64]| -> Vec<f64> {
        let rises = v
            .windows(2)
            .enumerate()
            .filter(|(_, w)| w[0] < 0.0 && w[1] >= 0.0);
        rises
            .map(|(i, w)| (i as f64 + w[0] / (w[0] - w[1])) * STEP_MS)
            .collect()
    };
    let (of_a, of_b) = (spikes(&a), spikes(&b));
    assert_eq!(
        of_a.len(),
        of_b.len(),
        "tables of {width_mv} mV lose spikes"
    );
    let shift = of_a.iter().zip(&of_b).map(|(a, b)| (a - b).abs());
    (
        (squares / a.len() as f64).sqrt() / (most - least),
        shift.fold(0.0, f64::max),
    )
}

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    println!("the hand-written program is for x86-64 with AVX2");
}
