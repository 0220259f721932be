//! Fibres on a device: what the CPU gives, whatever the precision, the slabs, the batches and the form of the sums; and what
//! happens when the device is taken away.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod judge;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use judge::{Engine, Ran, adapter, differences, range, run, study};
use sarcolemma::backend::gpu::{Device, Form, Gpu, GpuError, Probe, Residence};
use sarcolemma::ops::Lane;
use sarcolemma::run::sink::{
    FibreStatus, Outcome, Precision, Samples, Sink, SinkError, SpikeEvent,
};
use sarcolemma::run::{Backend, Batch, Choices, Job, Kept, RunError, drive_gpu, prepare};
use sarcolemma::scheme::Summation;
use sarcolemma::study::Study;

/// Driven by everything that a protocol has: pulses whose level varies by fibre, a step and a ramp of a parameter, a clamp; with
/// the time in a formula, a wait before the start, and every kind of feature.
const DRIVEN: &str = "\
[[model]]
name: driven
c.V = -70
c.n = 0.3
c.z = 0
[c]
t = 0 [ms] bind time
    in [ms]
p = 0 bind pace
    in [1]
g = 0.3 [1/ms]
    in [1/ms]
V0 = -70 [mV]
    in [mV]
u = 0 [1]
    in [1]
I = g * (V - V0) + 0.02 [1/ms] * n * (V + 90 [mV])
    in [mV/ms]
dot(V) = -I + p * 60 [mV/ms]
    in [mV]
    label membrane_potential
dot(n) = (1 / (1 + exp(-(V + 40 [mV]) / 8 [mV])) - n) / (3 [ms] + 2 [ms] * cos(t / 5 [ms]))
    in [1]
dot(z) = (u - z) / 4 [ms]
    in [1]
";

fn driven(more: &str, record: &str) -> String {
    format!(
        "model = 'made'\nduration = '60 ms'\nsettle = '50 ms'\n{more}\n[population]\nfibres = 70\nseed = 5\n\
         [population.parameters]\n'c.g' = {{ uniform = ['0.2 1/ms', '0.5 1/ms'] }}\n'protocol.top' = {{ uniform = [2, 6] }}\n\
         'c.V' = {{ uniform = ['-75 mV', '-65 mV'] }}\n'protocol.level' = {{ uniform = [0.4, 1] }}\n\
         [[protocol.pulse]]\nstart = '5 ms'\nlength = '2 ms'\nperiod = '10 ms'\ncount = 4\nlevel = 'protocol.level'\n\
         [[protocol.set]]\nat = '10 ms'\nparameter = 'c.u'\nvalue = 'protocol.top'\nramp = '20 ms'\n\
         [[protocol.set]]\nat = '50 ms'\nparameter = 'c.u'\nvalue = 1\n\
         [[protocol.clamp]]\nstate = 'c.V'\nat = '45 ms'\nuntil = '55 ms'\nvalue = '-30 mV'\n{record}\n\
         [features]\nspikes = {{ of = 'c.V', threshold = '-20 mV' }}\nlate = {{ of = 'c.V', threshold = '-20 mV', after = '20 ms' }}\n\
         top = {{ max = 'c.V' }}\nlow = {{ min = 'c.V', after = '10 ms' }}\nmean = {{ mean = 'c.I', before = '44 ms' }}\n\
         area = {{ integral = 'c.n' }}\nwhen = {{ time_of_max = 'c.n' }}\nwhen_low = {{ time_of_min = 'c.n', after = '5 ms' }}\n\
         end = {{ final = 'c.z' }}\nat = {{ value_at = 'c.z', at = '33.3 ms' }}\nabove = {{ time_above = 'c.V', threshold = '-40 mV' }}\n"
    )
}

const RECORD: &str = "[record]\nevery = '0.37 ms'\nvariables = ['c.V', 'c.I', 'c.z']";

/// Largest difference of every recorded quantity over its range, and of every feature's column.
fn apart(a: &Ran, b: &Ran) -> (f64, Vec<(String, f64)>) {
    let e = &a.batch.experiment;
    let mut traces = 0.0f64;
    for &id in &e.observables[..e.n_recorded] {
        let name = &e.model.variable(id).name;
        let all = |ran: &Ran| -> Vec<f64> {
            (0..ran.batch.n_fibres)
                .flat_map(|fibre| ran.trace(name, fibre))
                .collect()
        };
        let (x, y) = (all(a), all(b));
        traces = traces.max(differences(&x, &y).0 / range(&x));
    }
    let columns = e.features.iter().flat_map(|f| f.column_names());
    let features = columns
        .map(|name| {
            let worst = (0..a.batch.n_fibres).map(|fibre| {
                let (x, y) = (a.feature(&name, fibre), b.feature(&name, fibre));
                if x.is_nan() && y.is_nan() {
                    0.0
                } else {
                    (x - y).abs()
                }
            });
            let worst = worst.fold(
                0.0,
                |m: f64, d| if d.is_nan() { f64::INFINITY } else { m.max(d) },
            );
            (name, worst)
        })
        .collect();
    (traces, features)
}

#[test]
fn a_device_gives_what_the_cpu_gives() {
    let Some(adapter) = adapter() else { return };
    for (scheme, record) in [
        ("scheme = 'ros3'\ntolerance = 1e-3", RECORD),
        ("scheme = 'ros3'\ntolerance = 1e-3", ""),
        ("scheme = 'ros4'\ntolerance = 1e-3", RECORD),
        ("scheme = 'rush_larsen'\nstep = '0.02 ms'", RECORD),
        ("scheme = 'euler'\nstep = '0.013 ms'", RECORD),
    ] {
        let study = study(&driven(scheme, record), DRIVEN);
        // Both run the same program with the same steps. Single precision: sums of some 3000 steps, each off by the roundings of
        // a few values of up to 90 in a range of 60, and an exponential of another ulp; where the step follows the error, by what
        // the controller makes of it. Double precision: the same, 2^29 times smaller; times are whole ticks of 1e-5 ms in both,
        // and a crossing moves by the error over the slope.
        let mut pairs = vec![(Engine::GpuF32, Engine::F32, 2e-5, 2e-3)];
        if adapter.has_f64 {
            pairs.push((Engine::GpuF64, Engine::F64, 1e-9, 3e-5));
        }
        for (gpu, cpu, traces_within, features_within) in pairs {
            let (a, b) = (run(&study, cpu), run(&study, gpu));
            let (traces, features) = apart(&a, &b);
            eprintln!("{gpu:?} {scheme:?}: traces {traces:.1e}, features {features:?}");
            assert!(
                traces < traces_within,
                "{gpu:?} {scheme:?}: traces {traces}"
            );
            for (name, worst) in features {
                assert!(
                    worst <= features_within,
                    "{gpu:?} {scheme:?}: {name} {worst}"
                );
            }
            assert_eq!(a.spikes.len(), b.spikes.len(), "{gpu:?} {scheme:?}");
            let shift = a.spikes.iter().zip(&b.spikes).map(|(x, y)| {
                assert_eq!((x.fibre, x.feature), (y.fibre, y.feature));
                (x.time_ms - y.time_ms).abs()
            });
            assert!(shift.fold(0.0, f64::max) <= features_within);
            assert!(!a.spikes.is_empty(), "the study is to have spikes");
            let (x, y) = (&a.report.done, &b.report.done);
            assert_eq!(x.status, y.status);
            let steps = |d: &sarcolemma::run::Done| (d.accepted + d.rejected) as f64;
            assert!((steps(x) / steps(y) - 1.0).abs() < 5e-3, "{x:?} {y:?}");
        }
    }
}

/// A study's batch for the device, and the experiment compiled for it.
fn compiled<T: Lane>(study: &Study, form: Option<Form>) -> Option<(Batch, Gpu<T>)> {
    let adapter = adapter()?;
    let choices = Choices {
        backend: Backend::Gpu,
        precision: if T::PRECISION == "f32" {
            Precision::F32
        } else {
            Precision::F64
        },
        threads: 1,
        adapter: Some(adapter),
        agreement_fibres: Some(0),
    };
    let batch = prepare(study, &choices).unwrap();
    let device = &batch.device.as_ref().unwrap().0;
    let form = form.unwrap_or(batch.summation().into());
    let gpu = Gpu::new(device, &batch.experiment, &batch.stepping(), form).unwrap();
    Some((batch, gpu))
}

fn job(batch: &Batch, rows_per_slab: usize) -> Job {
    Job {
        first_fibre: 0,
        parameters: batch.parameters().to_vec(),
        traces: None,
        rows_per_slab,
        threads: 1,
        checkpoint_every: Duration::ZERO,
        from: None,
    }
}

#[test]
fn neither_slabs_nor_batches_change_a_bit() {
    let study = study(&driven("scheme = 'ros3'\ntolerance = 1e-3", RECORD), DRIVEN);
    let mut forms = Vec::new();
    for (summation, residence) in [
        (Summation::Compensated, Residence::Registers),
        (Summation::Compensated, Residence::Memory),
        (Summation::Quanta, Residence::Registers),
        (Summation::Quanta, Residence::Memory),
    ] {
        let form = Form {
            summation,
            residence,
        };
        let Some((batch, mut gpu)) = compiled::<f32>(&study, Some(form)) else {
            return;
        };
        let mut whole: Option<(Kept, Vec<Vec<f64>>, u64)> = None;
        // One slab and 164 of a row each; all fibres in the device's memory and 23 at a time.
        for (rows_per_slab, most) in [
            (1000, None),
            (7, None),
            (1, None),
            (50, Some(23)),
            (1000, Some(64)),
        ] {
            gpu.limit_fibres(most);
            let (job, mut memory) = (job(&batch, rows_per_slab), Kept::default());
            let never = AtomicBool::new(false);
            let done =
                drive_gpu(&gpu, &batch.experiment, &job, &mut memory, &|_| {}, &never).unwrap();
            memory.spikes.sort_by(|a, b| {
                let of = |s: &SpikeEvent| (s.fibre, s.feature);
                of(a).cmp(&of(b)).then(a.time_ms.total_cmp(&b.time_ms))
            });
            assert!(done.status.iter().all(|s| *s == FibreStatus::Finished));
            let bits: Vec<Vec<f64>> = done.features;
            match &whole {
                None => whole = Some((memory, bits, done.accepted)),
                Some((samples, features, accepted)) => {
                    assert_eq!(
                        (&samples.values, &samples.spikes),
                        (&memory.values, &memory.spikes),
                        "{form:?}, {rows_per_slab} rows, {most:?} fibres"
                    );
                    assert_eq!(format!("{features:?}"), format!("{bits:?}"));
                    assert_eq!(*accepted, done.accepted);
                }
            }
        }
        forms.extend(whole.map(|w| (form, w)));
    }
    // The forms differ by roundings: as a device from the CPU.
    for (form, (memory, ..)) in &forms[1..] {
        let first = &forms[0].1.0;
        for (x, y) in first.values.iter().zip(&memory.values) {
            let apart = differences(x, y).0 / range(x);
            assert!(apart < 2e-5, "{form:?}: {apart}");
        }
        assert_eq!(first.spikes.len(), memory.spikes.len(), "{form:?}");
    }
}

/// A spike train denser than any quota of events of a dispatch.
#[test]
fn no_event_is_lost_however_many_there_are() {
    let model = "[[model]]\nname: swing\nc.x = 0\n[c]\nt = 0 [ms] bind time\n    in [ms]\n\
                 dot(x) = cos(t / 0.02 [ms]) / 0.02 [ms]\n    in [1]\n";
    let text = "model = 'made'\nduration = '100 ms'\nscheme = 'euler'\nstep = '0.001 ms'\n[population]\nfibres = 40\n\
                [features]\nup = { of = 'c.x', threshold = 0.5 }\n";
    if adapter().is_none() {
        return;
    }
    let ran = run(&study(text, model), Engine::GpuF32);
    // sin passes 1/2 upwards once every 0.02 * 2 pi ms.
    let wanted = (0..).take_while(|k| {
        0.02 * (std::f64::consts::FRAC_PI_6 + std::f64::consts::TAU * f64::from(*k)) < 100.0
    });
    let wanted = wanted.count();
    assert_eq!(ran.spikes.len(), 40 * wanted);
    for fibre in 0..40 {
        assert_eq!(ran.feature("up.count", fibre), wanted as f64);
    }
}

/// Pieces of 5 ms with a sample every 0.002 ms: more rows than a dispatch may write.
#[test]
fn no_row_is_lost_however_many_lie_in_a_step() {
    let model = "[[model]]\nname: calm\nc.x = 1\n[c]\ndot(x) = -x / 1000 [ms]\n    in [1]\n";
    let text = "model = 'made'\nduration = '400 ms'\nscheme = 'ros3'\n[population]\nfibres = 9\n\
                [record]\nvariables = ['c.x']\nevery = '0.002 ms'\n";
    if adapter().is_none() {
        return;
    }
    let ran = run(&study(text, model), Engine::GpuF32);
    for fibre in 0..9 {
        let trace = ran.trace("c.x", fibre);
        assert_eq!(trace.len(), 200_001);
        for (x, t) in trace.iter().zip(ran.times()) {
            // Third order at 5/1000 of the time constant, and 24 bits.
            assert!((x - (-t / 1000.0).exp()).abs() < 1e-6, "{x} at {t} ms");
        }
    }
}

/// What a slow state loses in single precision: 1e-7 of it a millisecond, in steps of 0.01 ms.
#[test]
fn slow_states_keep_their_changes_in_either_form_of_the_sums() {
    let model = "[[model]]\nname: slow\nc.K = 150\nc.V = 0\n[c]\nrate = 1.5e-5 [mM/ms]\n    in [mM/ms]\n\
                 dot(K) = -rate\n    in [mM]\ndot(V) = -V / 1 [ms]\n    in [1]\n";
    let text = "model = 'made'\nduration = '2 s'\nscheme = 'euler'\nstep = '0.01 ms'\n[population]\nfibres = 8\n\
                [features]\nend = { final = 'c.K' }\nstart = { value_at = 'c.K', at = '0 ms' }\n";
    let study = study(text, model);
    for form in [Summation::Compensated, Summation::Quanta] {
        let Some((batch, gpu)) = compiled::<f32>(&study, Some(form.into())) else {
            return;
        };
        let mut memory = Kept::default();
        let job = job(&batch, 1000);
        let done = drive_gpu(
            &gpu,
            &batch.experiment,
            &job,
            &mut memory,
            &|_| {},
            &AtomicBool::new(false),
        )
        .unwrap();
        // 0.03 of 150, whose last place is 1.5e-5: the features see it rounded once.
        let change = done.features[1][0] - done.features[0][0];
        assert!((change - 0.03).abs() < 2e-5, "{form:?}: {change}");
        // Every step was taken: a driver that stops long loops would have left some out.
        assert_eq!(done.accepted, 8 * 200_000, "{form:?}");
    }
    // Plain sums lose all of it: the test can tell.
    let Some((batch, gpu)) = compiled::<f32>(&study, Some(Summation::Plain.into())) else {
        return;
    };
    let job = job(&batch, 1000);
    let done = drive_gpu(
        &gpu,
        &batch.experiment,
        &job,
        &mut Kept::default(),
        &|_| {},
        &AtomicBool::new(false),
    )
    .unwrap();
    assert_eq!(done.features[0][0], 150.0);
}

/// Takes the device away when the first rows have arrived.
struct Withdraw {
    device: Device,
    rows: usize,
    outcome: Option<Outcome>,
}

impl Sink for Withdraw {
    fn write_rows(&mut self, _: usize, _: usize, _: Samples<'_>) -> Result<(), SinkError> {
        Ok(())
    }
    fn write_events(&mut self, _: &[SpikeEvent]) -> Result<(), SinkError> {
        Ok(())
    }
    fn commit(&mut self, rows: usize) -> Result<(), SinkError> {
        self.rows = rows;
        self.device.withdraw();
        Ok(())
    }
    fn checkpoint(&mut self, _: &[&[u8]]) -> Result<bool, SinkError> {
        Ok(false)
    }
    fn finish(&mut self, outcome: &Outcome) -> Result<u64, SinkError> {
        self.outcome = Some(outcome.clone());
        Ok(0)
    }
}

#[test]
fn a_device_that_is_taken_away_ends_the_run_and_leaves_what_was_recorded() {
    let study = study(
        &driven("scheme = 'euler'\nstep = '0.0005 ms'", RECORD),
        DRIVEN,
    );
    let Some((batch, _)) = compiled::<f32>(&study, None) else {
        return;
    };
    let mut sink = Withdraw {
        device: batch.device.as_ref().unwrap().0.clone(),
        rows: 0,
        outcome: None,
    };
    let end = batch.run(&mut sink, &|_| {}, &AtomicBool::new(false));
    assert!(
        matches!(end, Err(RunError::Gpu(GpuError::Lost { .. }))),
        "{end:?}"
    );
    assert!(
        sink.rows > 0 && sink.rows < batch.experiment.n_samples,
        "{}",
        sink.rows
    );
    let outcome = sink.outcome.unwrap();
    assert!(outcome.interrupted);
    assert!(outcome.status.iter().all(|s| *s == FibreStatus::Stopped));
}

#[test]
fn a_cancelled_run_stops_between_two_dispatches() {
    let study = study(
        &driven("scheme = 'euler'\nstep = '0.0005 ms'", RECORD),
        DRIVEN,
    );
    let Some((batch, gpu)) = compiled::<f32>(&study, None) else {
        return;
    };
    let cancel = AtomicBool::new(false);
    let job = job(&batch, 5);
    let done = drive_gpu(
        &gpu,
        &batch.experiment,
        &job,
        &mut Kept::default(),
        &|_| cancel.store(true, Ordering::Relaxed),
        &cancel,
    )
    .unwrap();
    assert!(done.interrupted);
    assert!(done.status.iter().all(|s| *s == FibreStatus::Stopped));
}

#[test]
fn lost_fibres_are_those_of_the_cpu_and_touch_no_other() {
    // x reaches infinity at 1/(a x0); every third fibre within the study.
    let model = "[[model]]\nname: lossy\nc.V = -80\nc.x = 1\n[c]\na = 0.001 [1/ms]\n    in [1/ms]\n\
                 dot(V) = (-80 [mV] - V) / 5 [ms]\n    in [mV]\n    label membrane_potential\ndot(x) = a * x^2\n    in [1]\n";
    let text = |scheme: &str| {
        format!(
            "model = 'made'\nduration = '100 ms'\n{scheme}\n[population]\nfibres = 30\nsampling = 'zip'\n[population.parameters]\n\
             'c.a' = {{ values = [0.02, 0.001, 0.002] }}\n[record]\nevery = '1 ms'\nvariables = ['c.V', 'c.x']\n"
        )
    };
    let Some(adapter) = adapter() else { return };
    for scheme in ["scheme = 'ros3'", "scheme = 'euler'\nstep = '0.01 ms'"] {
        let study = study(&text(scheme), model);
        let mut engines = vec![(Engine::GpuF32, Engine::F32)];
        if adapter.has_f64 {
            engines.push((Engine::GpuF64, Engine::F64));
        }
        for (gpu, cpu) in engines {
            let (a, b) = (run(&study, cpu), run(&study, gpu));
            for (fibre, (x, y)) in a
                .report
                .done
                .status
                .iter()
                .zip(&b.report.done.status)
                .enumerate()
            {
                match (x, y) {
                    (
                        FibreStatus::Lost { at_ms, variable },
                        FibreStatus::Lost {
                            at_ms: t,
                            variable: v,
                        },
                    ) => {
                        assert_eq!(variable, v);
                        // Forward Euler at 0.01 ms passes the pole 0.14 ms late.
                        assert!(
                            (at_ms - 50.0).abs() < 0.2 && (at_ms - t).abs() < 0.05,
                            "{at_ms} {t}"
                        );
                        assert_eq!(fibre % 3, 0);
                        // Rows behind the loss hold no number.
                        assert!(
                            b.trace("c.V", fibre)[60].is_nan()
                                && b.trace("c.V", fibre)[40].is_finite()
                        );
                    }
                    (x, y) => {
                        assert_eq!((x, y), (&FibreStatus::Finished, &FibreStatus::Finished));
                        assert!(b.trace("c.x", fibre).iter().all(|x| x.is_finite()));
                    }
                }
            }
        }
    }
}

#[test]
fn the_probe_tells_what_the_device_can_be_trusted_with() {
    let Some(adapter) = adapter() else { return };
    let device = Device::open(&adapter).unwrap();
    let probe = Probe::run(&device).unwrap();
    // Protected from the compiler, the sum is within its own compensation's rounding, and the exponential is our polynomial.
    assert!(probe.sum_ulps < 1.0, "{probe:?}");
    assert!(probe.exp_ulps < 2.5, "{probe:?}");
    assert_eq!(probe.summation(), Summation::Compensated);
}

#[test]
fn a_shader_gives_back_what_it_computes_and_every_failure_has_its_name() {
    let Some(adapter) = adapter() else { return };
    let device = Device::open(&adapter).unwrap();
    let shader = "@group(0) @binding(0) var<storage, read_write> a: array<f32>;
        @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3<u32>) { a[id.x] = 2.0 * a[id.x]; }";
    let bytes = |x: [f32; 4]| -> Vec<u8> { x.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let mut buffers = [bytes([1.0, 2.0, 3.0, 4.0])];
    device.run_once(shader, &mut buffers, 1).unwrap();
    assert_eq!(buffers[0], bytes([2.0, 4.0, 6.0, 8.0]));
    let refused = device.run_once("fn main() { nonsense }", &mut buffers, 1);
    assert!(
        matches!(refused, Err(GpuError::Refused { .. })),
        "{refused:?}"
    );
    let mut huge = [vec![0; adapter.most_binding_bytes as usize + 4]];
    let memory = device.run_once(shader, &mut huge, 1);
    assert!(matches!(memory, Err(GpuError::Memory { .. })), "{memory:?}");
    device.withdraw();
    let gone = device.run_once(shader, &mut buffers, 1);
    assert!(matches!(gone, Err(GpuError::Lost { .. })), "{gone:?}");
}
