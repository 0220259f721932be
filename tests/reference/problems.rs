//! Closed forms and published values.

use sarcolemma::backend::reference::Tolerances;
use sarcolemma::ops::Op;
use sarcolemma::protocol::tick;

use crate::made::{Maker, apply, close, decay, last, n, plain, robertson, run, run_with};

// Global errors gather from steps: tens of them at 1e-8 each are allowed 1e-7 below.

#[test]
fn a_decay_follows_the_exponential() {
    let ran = run(&plain(&decay(-0.5), 10.0, &["y"]));
    close(last(&ran)[0], (-5.0f64).exp(), 1e-7);
}

#[test]
fn an_oscillator_keeps_amplitude_and_phase_for_ten_periods() {
    let mut m = Maker::new();
    let (x, v) = (m.state("x", 1.0), m.state("v", 0.0));
    m.dot("x", v);
    m.dot("v", -x);
    let length = 20.0 * std::f64::consts::PI;
    let ran = run(&plain(&m, length, &["x", "v"]));
    // The end is on a tick, 5e-6 ms at most from the tenth period.
    let t = sarcolemma::protocol::ms(tick(length));
    // Nothing damps an error here: 1e-9 from each of several thousand steps.
    assert!((last(&ran)[0] - t.cos()).abs() < 1e-5, "{:?}", last(&ran));
    assert!((last(&ran)[1] + t.sin()).abs() < 1e-5, "{:?}", last(&ran));
}

#[test]
fn a_stiff_linear_problem_costs_few_steps() {
    // y' = -1e4 (y - sin t) + cos t, y = sin t (Prothero and Robinson), from a start off the solution.
    let mut m = Maker::new();
    let y = m.state("y", 1.0);
    let t = m.get("time");
    let (sin, cos) = (apply(Op::Sin, &[&t]), apply(Op::Cos, &[&t]));
    m.dot("y", n(-1e4) * (y - sin) + cos);
    let ran = run(&plain(&m, 10.0, &["y"]));
    close(last(&ran)[0], 10.0f64.sin(), 1e-7);
    assert!(ran.work.steps < 1000, "{:?}", ran.work);
}

#[test]
fn rest_takes_few_steps_however_long() {
    let ran = run(&plain(&decay(-100.0), 200_000.0, &["y"]));
    assert!(last(&ran)[0].abs() < 1e-10);
    assert!(ran.work.steps < 500, "{:?}", ran.work);
}

#[test]
fn robertsons_kinetics_end_at_the_published_values() {
    let mut experiment = plain(&robertson(), 40.0, &["a", "b", "c"]);
    // 1e11 time units in one segment, the published end (Test Set for IVP Solvers, release 2.4, problem ROBER).
    experiment.schedule.segments[0].end = tick(1e11);
    experiment.sample_every_ms = 1e11;
    // The solution falls over 13 decades, so only the relative tolerance means something.
    let ran = run_with(
        &experiment,
        &[],
        Tolerances {
            relative: 1e-8,
            absolute: 1e-20,
        },
    );
    let row = last(&ran);
    close(row[0], 0.208_334_014_970_125_5e-7, 1e-6);
    close(row[1], 0.833_336_077_033_471_3e-13, 1e-6);
    close(row[2], 0.999_999_979_166_505, 1e-7);
    assert!(ran.work.steps < 5000, "{:?}", ran.work);
}

#[test]
fn van_der_pols_relaxation_ends_at_the_published_values() {
    // eps = 1/mu², mu = 1000 (Test Set for IVP Solvers, release 2.4, problem VDPOL): to t = 2.
    let mut m = Maker::new();
    let (x, v) = (m.state("x", 2.0), m.state("v", 0.0));
    m.dot("x", v.clone());
    m.dot("v", ((n(1.0) - x.clone() * x.clone()) * v - x) / n(1e-6));
    let ran = run(&plain(&m, 2.0, &["x", "v"]));
    close(last(&ran)[0], 0.170_616_773_217_048_3e1, 1e-6);
    close(last(&ran)[1], -0.892_809_701_024_797_5, 1e-6);
    assert!(ran.work.steps < 5000, "{:?}", ran.work);
}

#[test]
fn the_error_falls_with_the_tolerance() {
    let mut m = Maker::new();
    let (x, v) = (m.state("x", 2.0), m.state("v", 0.0));
    m.dot("x", v.clone());
    m.dot("v", n(5.0) * (n(1.0) - x.clone() * x.clone()) * v - x);
    let experiment = plain(&m, 20.0, &["x", "v"]);
    let at = |relative: f64| {
        last(&run_with(
            &experiment,
            &[],
            Tolerances {
                relative,
                absolute: relative,
            },
        ))
        .to_vec()
    };
    let exact = at(1e-12);
    let error = |relative: f64| {
        at(relative)
            .iter()
            .zip(&exact)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max)
    };
    let errors = [1e-4, 1e-6, 1e-8, 1e-10].map(error);
    for pair in errors.windows(2) {
        // 100 times the tolerance is 100 times the error, within a factor of 5 either way: the order changes between.
        assert!((20.0..500.0).contains(&(pair[0] / pair[1])), "{errors:?}");
    }
}
