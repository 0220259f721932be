//! `run --device all`: one part of the study on each of the machine's equal GPUs, joined when all are done.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::backend::gpu::{self, Adapter, GpuError};
use crate::run::{Batch, Choices, RunReport, prepare_part};
use crate::study::{Overrides, Study};

use super::choices::Shard;
use super::exit::Failure;
use super::{engine, merge, run};

/// The devices that share a study: the best one and all that are its equals. A slower one would keep the others waiting, and bits are
/// promised for one kind of device only.
///
/// # Errors
/// If there is none.
pub(super) fn devices() -> Result<Vec<Adapter>, Failure> {
    let all = gpu::adapters();
    let best = gpu::choose(&all, &gpu::Choice::Best).map_err(|e: GpuError| engine::failure(&e))?;
    let same = |a: &&Adapter| {
        (&a.name, &a.api, &a.driver) == (&best.name, &best.api, &best.driver)
            && a.unusable.is_none()
    };
    Ok(all.iter().filter(same).cloned().collect())
}

/// Where the results of a part are while the others are not done.
fn part_path(output: &Path, shard: Shard) -> PathBuf {
    let mut name = output.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".shard-{}-of-{}.h5", shard.index, shard.of));
    output.with_file_name(name)
}

/// Runs a part on each device, at the same time, and joins them.
///
/// # Errors
/// If a part fails; the others run to their end, and their files stay.
pub(super) fn run_on(
    devices: &[Adapter],
    study: &Study,
    choices: &Choices,
    overrides: &Overrides,
    checkpoint_every: Duration,
    (output, overwrite): (&Path, bool),
    bar: &ProgressBar,
) -> Result<(Batch, RunReport), Failure> {
    let started = Instant::now();
    let of = (devices.len() as u64).min(study.population.fibres);
    let shards = (1..=of).map(|index| Shard { index, of });
    let paths: Vec<PathBuf> = shards.clone().map(|s| part_path(output, s)).collect();
    let one = |shard: Shard, device: &Adapter, path: &Path| -> Result<_, Failure> {
        let choices = Choices {
            adapter: Some(device.clone()),
            ..choices.clone()
        };
        let part = Some((shard.index, shard.of));
        let mut batch = prepare_part(study, &choices, part).map_err(run::prepare_failure)?;
        batch.checkpoint_every = checkpoint_every;
        // The parts are of a length: one speaks for all.
        let hidden = ProgressBar::hidden();
        let bar = if shard.index == 1 { bar } else { &hidden };
        let report = run::into_file(study, &batch, overrides, path, overwrite, bar)?;
        Ok((batch, report))
    };
    let ends: Vec<Result<(Batch, RunReport), Failure>> = std::thread::scope(|scope| {
        let each = shards.clone().zip(devices).zip(&paths);
        let threads: Vec<_> = each
            .map(|((shard, device), path)| scope.spawn(move || one(shard, device, path)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .unwrap_or_else(|p| std::panic::resume_unwind(p))
        };
        threads.into_iter().map(join).collect()
    });
    let mut parts = Vec::new();
    for (end, shard) in ends.into_iter().zip(shards) {
        parts.push(end.map_err(|failure| with_help(failure, shard, output))?);
    }
    let joined = merge::join(output, &paths, overwrite, bar, run::interrupt_flag())?;
    for path in &paths {
        // All that they held is in the whole.
        let _ = std::fs::remove_file(path);
    }
    let (whole, mut report) = joined.into_report();
    for (_, part) in &parts {
        let (sum, own) = (&mut report.done, &part.done);
        sum.accepted += own.accepted;
        sum.rejected += own.rejected;
        sum.at_floor += own.at_floor;
        sum.compute_s = sum.compute_s.max(own.compute_s);
        report.setup_s = report.setup_s.max(part.setup_s);
    }
    report.wall_s = started.elapsed().as_secs_f64();
    let first = parts.swap_remove(0).0;
    Ok((first.in_place_of(whole), report))
}

/// Says how to go on where one device failed.
fn with_help(failure: Failure, shard: Shard, output: &Path) -> Failure {
    let Shard { index, of } = shard;
    let help = format!(
        "\nhelp: the other parts stay; run this one again with --shard {index}/{of} -o '{}', then 'sarcolemma merge'",
        part_path(output, shard).display()
    );
    match failure {
        Failure::Machine(message) => Failure::Machine(message + &help),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::sink::Precision;
    use crate::store;

    const STUDY: &str = "model = 'hodgkin_huxley_1952'\nduration = '15 ms'\n[population]\nfibres = 21\n[population.parameters]\n\
        'sodium.g' = { uniform = [90, 140] }\n[[protocol.pulse]]\nstart = '2 ms'\nlength = '0.5 ms'\n\
        [record]\nvariables = ['membrane.V']\nevery = '0.5 ms'\n[features]\nspikes = { of = 'membrane.V', threshold = '0 mV' }\n";

    /// One device in the place of two: its parts run at the same time and give what one run gives.
    #[test]
    fn parts_on_several_devices_are_the_whole() {
        let Ok(device) = devices().map(|d| d[0].clone()) else {
            assert!(std::env::var_os("CI").is_none(), "there is no device");
            super::super::output::note("NOT TESTED: there is no device here");
            return;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("study.toml");
        std::fs::write(&path, STUDY).expect("a study");
        let overrides = Overrides::default();
        let study = run::load_study(&path, &overrides, true).expect("a study");
        let choices = Choices {
            backend: crate::run::Backend::Gpu,
            precision: Precision::F32,
            threads: 1,
            adapter: Some(device.clone()),
            agreement_fibres: None,
        };
        let bar = ProgressBar::hidden();
        let results: Vec<_> = [1, 3]
            .into_iter()
            .map(|n| {
                let output = folder.path().join(format!("on-{n}.h5"));
                let devices = vec![device.clone(); n];
                let end = run_on(
                    &devices,
                    &study,
                    &choices,
                    &overrides,
                    Duration::ZERO,
                    (&output, false),
                    &bar,
                );
                let (batch, report) = end.expect("a run");
                assert_eq!(batch.n_fibres, 21);
                assert_eq!(batch.backend, crate::run::Backend::Gpu);
                assert!(report.done.accepted > 0);
                let file = store::open(&output).expect("a result");
                let values = file.read_rows("membrane.V", 0..31).expect("rows");
                let told = (values, file.events().expect("events"), report.agreement);
                (told, report.done.accepted, report.done.features)
            })
            .collect();
        // NaN is not itself: a fibre without a spike has no first one.
        assert_eq!(format!("{:?}", results[0]), format!("{:?}", results[1]));
        let left = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 3, "the study and two results");
    }
}
