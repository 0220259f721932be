//! The largest step of an adaptive scheme: what a study wins by a longer one, what stays the same, and why there is a bound at
//! all.

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
            m + 1900 < n,
            "{engine:?}: 10 s of rest take 2000 steps of 5 ms"
        );
        assert!(shift <= 1e-3, "{engine:?}: {shift} ms");
        assert!(force <= 1e-4, "{engine:?}: {force}");
    }
}

/// A rest that is stable while `rate` is below 0, and from which `y` runs away to 1 once it is above.
const UNSTABLE: &str = "\
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

/// Between 10 and 20 s the rate goes from -0.05 to 0.05 per ms: from 15 s on the rest is unstable, and 1 s later `y` has grown
/// by `e^2.5`, 4 s later by `e^40`.
#[test]
fn long_steps_hold_an_unstable_rest_and_the_usual_bound_does_not() {
    let text = |scheme: &str, largest: &str| {
        format!(
            "model = 'made'\nduration = '30 s'\nscheme = '{scheme}'\n{largest}\n[population]\nfibres = 1\n\
             [[protocol.set]]\nat = '10 s'\nparameter = 'c.rate'\nvalue = '0.05 1/ms'\nramp = '10 s'\n\
             [record]\nevery = '1 s'\nvariables = ['c.y']\n"
        )
    };
    for (engine, scheme) in pairs() {
        let at =
            |largest: &str| run(&study(&text(scheme, largest), UNSTABLE), engine).trace("c.y", 0);
        let y = at("");
        assert!((y[19] - 1.0).abs() < 1e-3, "{engine:?} {scheme}: {y:?}");
        // What the bound is there to prevent. If this fails because y is 1, long steps have become safer than they are said to be.
        let y = at("largest_step = '5 s'");
        println!("{engine:?} {scheme}: {y:?}");
        assert!(y[19].abs() < 0.1, "{engine:?} {scheme}: {y:?}");
        // The end of the ramp is an edge, after which steps are short once more.
        assert!((y[30] - 1.0).abs() < 1e-3, "{engine:?} {scheme}: {y:?}");
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
