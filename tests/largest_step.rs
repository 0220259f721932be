//! The largest step of an adaptive scheme: what a study wins by a longer one, what stays the same, and what keeps long steps from
//! holding a rest that has become unstable.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod judge;

use judge::{Engine, Ran, run, study};

fn steps(ran: &Ran) -> u64 {
    (ran.report.done.accepted + ran.report.done.rejected) / ran.batch.n_fibres as u64
}

/// Every engine with every scheme that chooses its steps.
fn pairs() -> Vec<(Engine, &'static str)> {
    Engine::lanes()
        .into_iter()
        .flat_map(|engine| [(engine, "ros3"), (engine, "ros4")])
        .collect()
}

#[test]
fn a_quiet_hour_takes_few_steps_and_ends_at_the_same_rest() {
    let hour = |largest: &str| {
        format!(
            "model = 'skeletal_fibre'\nduration = '1 h'\nsettle = '200 s'\n{largest}\n[population]\nfibres = 1\n\
             [record]\nevery = '1 minute'\nvariables = ['membrane.V', 'inside.K', 'tubule.Cl']\n"
        )
    };
    // Of another kind, with steps of its own.
    let judge = run(&study(&hour(""), ""), Engine::Reference);
    for engine in Engine::lanes() {
        let bounds = [(1.0, 3600 + 100), (5.0, 720 + 100)];
        // One on a device: its driver compiles for seconds.
        let on_cpu = matches!(engine, Engine::F32 | Engine::F64);
        for (largest_s, most) in bounds.into_iter().skip(usize::from(!on_cpu)) {
            let ran = run(
                &study(&hour(&format!("largest_step = '{largest_s} s'")), ""),
                engine,
            );
            let n = steps(&ran);
            println!("{engine:?}, at most {largest_s} s: {n} steps");
            // One for each length of the bound; what settling and the growth from the first step take is in the rest.
            assert!(n <= most, "{engine:?}, at most {largest_s} s: {n} steps");
            // In single precision the sum of the currents at rest is rounding, some 3e-4 mV a ms, and a sample within a step is
            // taken from a cubic with such slopes: an eighth of that for each ms of the step.
            let of_v = match engine.is_single() {
                true => 1e-4 * largest_s * 1e3,
                false => 1e-6,
            };
            // Seven digits of 150 mM, thirty times; in double precision the two methods' errors.
            let of_ions = if engine.is_single() { 5e-4 } else { 1e-6 };
            for (name, allowed) in [
                ("membrane.V", of_v),
                ("inside.K", of_ions),
                ("tubule.Cl", of_ions),
            ] {
                let (ours, truth) = (ran.trace(name, 0), judge.trace(name, 0));
                let apart = ours
                    .iter()
                    .zip(&truth)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f64::max);
                println!("  {name}: {apart:.1e} apart");
                assert!(apart <= allowed, "{engine:?}: {name} is {apart} apart");
            }
        }
    }
}

/// After 10 s of rest the steps are as long as they may be. The first pulse is an edge: a step ends there, and the next is short.
#[test]
fn a_train_after_a_long_rest_is_the_same_train() {
    let text = |largest: &str| {
        format!(
            "model = 'skeletal_fibre'\nduration = '10.4 s'\nsettle = '100 s'\ntolerance = 0.002\n{largest}\n\
             [population]\nfibres = 1\n\
             [[protocol.pulse]]\nstart = '10 s'\nlength = '0.5 ms'\nperiod = '20 ms'\ncount = 10\n\
             [record]\nevery = '100 ms'\nvariables = ['membrane.V']\n\
             [features]\nspikes = {{ of = 'membrane.V', threshold = '0 mV' }}\nF_peak = {{ max = 'force.F' }}\n"
        )
    };
    for engine in Engine::lanes() {
        let short = run(&study(&text(""), ""), engine);
        let long = run(&study(&text("largest_step = '5 s'"), ""), engine);
        let (a, b) = (&short.spikes, &long.spikes);
        assert_eq!((a.len(), b.len()), (10, 10), "{engine:?}");
        let shift = a
            .iter()
            .zip(b)
            .map(|(a, b)| (a.time_ms - b.time_ms).abs())
            .fold(0.0, f64::max);
        let force = (short.feature("F_peak", 0) - long.feature("F_peak", 0)).abs();
        let (n, m) = (steps(&short), steps(&long));
        println!("{engine:?}: {n} and {m} steps, spikes {shift:.1e} ms apart, force {force:.1e}");
        assert!(
            m + 400 < n,
            "{engine:?}: 10 s of rest take 500 steps of 20 ms"
        );
        assert!(shift <= 1e-3, "{engine:?}: {shift} ms");
        assert!(force <= 1e-4, "{engine:?}: {force}");
    }
}

/// A rest that is stable while `rate` is below 0, and from which `y` runs away to 1 once it is above.
const RUNS_AWAY: &str = "\
[[model]]
name: unstable
c.y = 0
[c]
t = 0 [ms] bind time
    in [ms]
rate = -0.05 [1/ms]
    in [1/ms]
push = 1e-9 [1/ms]
    in [1/ms]
dot(y) = rate * y * (1 - y) + push
    in [1]
";

/// The same, but the way to a circle of radius 1 is a spiral: one turn takes 63 ms.
const SPIRALS: &str = "\
[[model]]
name: unstable
c.y = 0
c.z = 0
[c]
t = 0 [ms] bind time
    in [ms]
rate = -0.05 [1/ms]
    in [1/ms]
turn = 0.1 [1/ms]
    in [1/ms]
push = 1e-9 [1/ms]
    in [1/ms]
size = y * y + z * z
    in [1]
dot(y) = rate * y * (1 - size) - turn * z + push
    in [1]
dot(z) = rate * z * (1 - size) + turn * y
    in [1]
";

/// Between 10 and 20 s the rate goes from -0.05 to 0.05 per ms: from 15 s on the rest is unstable, and 1 s later a deviation has
/// grown by `e^5`, 4 s later by `e^80`.
fn unstable(scheme: &str, largest: &str, variables: &str) -> String {
    format!(
        "model = 'made'\nduration = '30 s'\nscheme = '{scheme}'\n{largest}\n[population]\nfibres = 1\n\
         [[protocol.set]]\nat = '10 s'\nparameter = 'c.rate'\nvalue = '0.05 1/ms'\nramp = '10 s'\n\
         [record]\nevery = '1 s'\nvariables = [{variables}]\n"
    )
}

/// A step that is long beside the time in which a mode grows would damp it, and the signs of the pivots tell.
#[test]
fn no_step_however_long_holds_an_unstable_rest() {
    for (engine, scheme) in pairs() {
        for largest in ["", "largest_step = '5 s'"] {
            let ran = run(
                &study(&unstable(scheme, largest, "'c.y'"), RUNS_AWAY),
                engine,
            );
            let (y, n) = (ran.trace("c.y", 0), steps(&ran));
            println!("{engine:?} {scheme} {largest}: {n} steps, {y:?}");
            // Still at rest while that is stable, gone four seconds later.
            assert!(y[15].abs() < 1e-3, "{engine:?} {scheme}: {y:?}");
            assert!((y[19] - 1.0).abs() < 1e-3, "{engine:?} {scheme}: {y:?}");
            if !largest.is_empty() {
                // With steps of 20 ms these 30 s take 1500.
                assert!(n < 1000, "{engine:?} {scheme}: {n} steps");
            }
        }
    }
}

#[test]
fn a_rest_that_is_left_in_a_spiral_is_not_held_either() {
    for (engine, scheme) in pairs() {
        for largest in ["", "largest_step = '5 s'"] {
            let text = unstable(scheme, largest, "'c.y', 'c.z'");
            let ran = run(&study(&text, SPIRALS), engine);
            let (y, z) = (ran.trace("c.y", 0), ran.trace("c.z", 0));
            let radius: Vec<f64> = y.iter().zip(&z).map(|(y, z)| y.hypot(*z)).collect();
            println!(
                "{engine:?} {scheme} {largest}: {} steps, {radius:?}",
                steps(&ran)
            );
            assert!(radius[15] < 1e-3, "{engine:?} {scheme}: {radius:?}");
            // Samples lie on cubics between the ends of steps: the tolerance allows a circle some percent less round.
            assert!(
                (radius[19] - 1.0).abs() < 0.05,
                "{engine:?} {scheme}: {radius:?}"
            );
        }
    }
}

/// The axon loses its rest to an oscillation while its potassium conductance falls. A slow passage leaves late, the later the smaller the
/// errors are that it grows from: with steps of 0.5 ms 17.5 s after the start, by the reference, with errors of 1e-8, at 18.8 s (2026-11-29).
#[test]
fn an_axon_that_loses_its_rest_slowly_fires() {
    for engine in Engine::lanes() {
        for largest in ["", "largest_step = '5 s'"] {
            let text = format!(
                "model = 'hodgkin_huxley_1952'\nduration = '20 s'\nscheme = 'ros4'\n{largest}\n[population]\nfibres = 1\n\
                 [[protocol.set]]\nat = '5 s'\nparameter = 'potassium.g'\nvalue = '20.25 mS/cm^2'\nramp = '15 s'\n\
                 [features]\nspikes = {{ of = 'membrane.V', threshold = '-20 mV' }}\n"
            );
            let ran = run(&study(&text, ""), engine);
            let first_s = ran.spikes.first().map(|s| s.time_ms * 1e-3);
            println!("{engine:?} {largest}: {first_s:?} s, {} steps", steps(&ran));
            assert!(
                first_s.is_some_and(|s| (17.4..19.0).contains(&s)),
                "{engine:?} {largest}: {first_s:?}"
            );
        }
    }
}

#[test]
fn a_bound_below_the_usual_one_is_kept_as_well() {
    for (engine, scheme) in pairs() {
        let text = format!(
            "model = 'hodgkin_huxley_1952'\nduration = '100 ms'\nscheme = '{scheme}'\nlargest_step = '0.1 ms'\n\
             [population]\nfibres = 1\n"
        );
        let n = steps(&run(&study(&text, ""), engine));
        assert!((1000..1100).contains(&n), "{engine:?} {scheme}: {n} steps");
    }
}

/// A model that gives itself its stimulus has no edge there, so its bound of 0.1 ms is not for a study to raise.
#[test]
fn where_the_formulas_name_the_time_the_bound_stays_small() {
    let model = "[[model]]\nc.y = 0\n[c]\nt = 0 [ms] bind time\n    in [ms]\n\
         dot(y) = piecewise(t >= 41.3 [ms] and t < 42.3 [ms], 1 [1/ms], 0 [1/ms])\n    in [1]\n";
    for (engine, scheme) in pairs() {
        let text = format!(
            "model = 'made'\nduration = '60 ms'\nscheme = '{scheme}'\nlargest_step = '1 s'\n[population]\nfibres = 1\n\
             [record]\nevery = '1 ms'\nvariables = ['c.y']\n"
        );
        let ran = run(&study(&text, model), engine);
        let n = steps(&ran);
        assert!(n >= 600, "{engine:?} {scheme}: {n} steps");
        let y = ran.trace("c.y", 0)[60];
        // The stages of a step lie in its first 0.44 (ros4: 0.75): beginning and end may each be late by the rest.
        assert!((y - 1.0).abs() <= 0.12, "{engine:?} {scheme}: {y}");
    }
}
