use sarcolemma::backend::cpu::*;
use sarcolemma::backend::Experiment;
use sarcolemma::diag::Source;
use sarcolemma::feature::*;
use sarcolemma::protocol::*;
use sarcolemma::scheme::Scheme;
use std::time::Instant;
fn go<T: sarcolemma::ops::Lane>(name: &str, ms_: f64, lanes_n: usize, fibres: usize, scheme: Scheme, tol: f64) {
    let path = format!("models/{name}.mmt");
    let source = Source { name: path.clone(), text: std::fs::read_to_string(&path).unwrap() };
    let (model, _) = match sarcolemma::model::read(&source) { Ok(m) => m, Err(e) => { println!("{}", sarcolemma::diag::render_text(&e, &source, false)); return; } };
    let v = model.labelled("membrane_potential").unwrap();
    let t0 = Instant::now();
    let scales = sarcolemma::run::Pilot::run(&model).unwrap().scales;
    let t_scales = t0.elapsed().as_secs_f64();
    let mut protocol = Protocol::fifty_hertz();
    if std::env::var("HZ10").is_ok() { protocol.pulses[0].period_ms = Some(100.0); }
    if std::env::var("REST").is_ok() { protocol.pulses.clear(); }
    let schedule = protocol.schedule(&Frame { duration_ms: ms_, settle_ms: 0.0, paced: true, own: &|_| Level::Number(0.0) });
    let mut f = FeatureSpec::new("s", FeatureKind::Spikes, v); f.threshold = 0.0;
    let ex = Experiment { model, varied: vec![], schedule, observables: vec![v], n_recorded: 0, features: vec![f], sample_every_ms: 1.0, n_samples: 0 };
    let t0 = Instant::now();
    let cpu = Cpu::<T>::new(&ex, &Settings { scheme, step_ms: 0.01, tolerance: tol, scales: scales.clone(), simd: Simd::best() }).unwrap();
    let t_c = t0.elapsed().as_secs_f64();
    let mut group = cpu.start(0, vec![vec![]; fibres]);
    let mut lanes = Lanes::new(&cpu, lanes_n);
    let none = vec![None; fibres];
    let t0 = cputime();
    cpu.advance(&mut group, &mut lanes, Samples { first_row: 0, n_rows: 0, n_traces: 0, trace_of: &none, values: &mut [] }, true, &mut Vec::new(), &|| false);
    let t = cputime() - t0;
    let c = group.clocks[0];
    let n: u64 = group.clocks.iter().map(|c| c.accepted + c.rejected).sum();
    println!("{name} {} lanes {lanes_n}: nodes {} ops {} rows {}B/lane; scales {:.3}s compile {:.3}s; fibre0 acc {} rej {} floor {} flags {} spikes {:?}; {:.1} fibre-s/s; {:.2} M it/s",
        T::PRECISION, cpu.step_program().program.nodes.len(), cpu.step_program().program.n_ops(), cpu.bytes_per_lane(), t_scales, t_c, c.accepted, c.rejected, c.at_floor, c.flags,
        ex.features[0].values(&group.gathered[0]), fibres as f64 * ms_ / 1000.0 / t, n as f64 / t / 1e6);
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let name = a.get(1).map(|s| s.as_str()).unwrap_or("shorten_2007_fast");
    let ms: f64 = a.get(2).and_then(|s| s.parse().ok()).unwrap_or(200.0);
    let scheme = a.get(3).and_then(|s| Scheme::from_name(s)).unwrap_or(Scheme::Ros3);
    for l in [16, 32, 64, 128, 256] { go::<f32>(name, ms, l, l * 4, scheme, 0.02); }
    for l in [16, 32, 64, 128] { go::<f64>(name, ms, l, l * 4, scheme, 0.02); }
}

fn cputime() -> f64 { let s = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap(); s.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9 }
