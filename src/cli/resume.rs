//! `sarcolemma resume`: goes on with a run that was cut off, to the end that it would have had.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::report::rest::rest;
use crate::run::sink::Precision;
use crate::run::{Batch, Choices, Point};
use crate::store::{self, ResultFile, ResultReader, RunStatus};
use crate::study::Study;

use super::build;
use super::choices::Backend;
use super::engine::{self, Engine};
use super::exit::{Exit, Failure};
use super::merge::join_failure;
use super::output;
use super::rerun::read_failure;
use super::run::{carry_out, check_memory, store_failure};
use super::run_options::RunOptions;

/// Go on with a run that was interrupted or killed
///
/// The file holds all that is needed. It ends with the same bits as if the run had not been cut off. A file that is complete stays as it is.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The result file of the run
    #[arg(value_name = "OUT.h5", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,

    /// Number of CPU threads [default: as many as the machine has]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// A GPU, where the run is one on a GPU and another than the one before is to go on
    #[arg(long, value_name = "N|NAME")]
    pub device: Option<String>,

    /// Go on although another version of the program began: the bits may then differ from those of one run
    #[arg(long)]
    pub other_version: bool,

    /// Go on although another GPU or driver began: the bits may then differ from those of one run
    #[arg(long)]
    pub other_device: bool,

    /// Those of `run`, too.
    #[command(flatten)]
    pub options: RunOptions,
}

/// Goes on with the run.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let (path, options) = (args.file.as_path(), &args.options);
    let file = store::open(path).map_err(read_failure)?;
    if file.run_status() == RunStatus::Complete {
        store::remove_leftovers(path).map_err(store_failure)?;
        output::note(&format!(
            "'{}' is complete: there is nothing to resume",
            path.display()
        ));
        return Ok(Exit::Done);
    }
    may_go_on(&file, &args)?;
    let (study, batch) = prepared(&file, &args)?;
    check_memory(batch.memory_bytes())?;
    let (out, checkpoint) = ResultFile::reopen(path).map_err(store_failure)?;
    let batch = match checkpoint {
        Some(checkpoint) => batch.going_on(Point {
            state: checkpoint.state.into(),
            past: Arc::new(file),
        }),
        None => {
            if options.is_for_people() {
                output::note("there is no checkpoint yet: the run begins again");
            }
            batch
        }
    };
    let bar = super::run::progress_bar(options.is_for_people());
    let report = carry_out(&batch, out, path, &bar)?;
    options.end(&study, (&batch, report), path)
}

fn refused<T>(path: &Path, why: &str, help: &str) -> Result<T, Failure> {
    let path = path.display();
    Err(Failure::Usage(format!("'{path}' {why}\nhelp: {help}")))
}

/// Whether the file is of a run that can be gone on with, by this program.
fn may_go_on(file: &ResultReader, args: &Args) -> Result<(), Failure> {
    let path = file.path();
    if file.number("rerun_of").is_some() || file.text("rerun_of").is_some() {
        return refused(
            path,
            "is of one fibre that 'rerun' ran",
            "run that command again, with --force",
        );
    }
    let version = build::other_version(file, "was begun");
    if let (Some(why), false) = (&version, args.other_version) {
        return refused(
            path,
            why,
            "--other-version goes on all the same; the bits may then differ from those of one run",
        );
    }
    if let Some(why) = version.or_else(|| build::other_build(file, "was begun")) {
        warn(path, &why);
    }
    Ok(())
}

/// Says why the file may not end as it would have.
fn warn(path: &Path, why: &str) {
    output::note(&format!(
        "warning: '{}' {why}: the bits may differ from those of one run",
        path.display()
    ));
}

/// What the rest of the run is.
fn prepared(file: &ResultReader, args: &Args) -> Result<(Study, Batch), Failure> {
    let engine = engine_of(file, args)?;
    let choices = Choices {
        backend: engine.backend,
        precision: match file.text("precision") {
            Some("f64") => Precision::F64,
            _ => Precision::F32,
        },
        threads: args.threads.map_or(0, NonZeroUsize::get),
        adapter: engine.adapter,
        agreement_fibres: None,
    };
    let (study, mut batch) = rest(file, &choices).map_err(join_failure)?;
    batch.checkpoint_every = args.options.checkpoint_every();
    same_device(file, &batch, args)?;
    Ok((study, batch))
}

/// What the run was on.
fn engine_of(file: &ResultReader, args: &Args) -> Result<Engine, Failure> {
    let (device, named) = (file.text("device").unwrap_or_default(), &args.device);
    match (file.text("backend"), named) {
        (Some("gpu"), Some(name)) => engine::engine(Backend::Gpu, Some(name)),
        (Some("gpu"), None) if args.other_device => engine::engine(Backend::Gpu, None),
        (Some("gpu"), None) => engine::engine(Backend::Gpu, Some(device)),
        (Some("cpu"), name) => engine::engine(Backend::Cpu, name.as_deref()),
        (Some("reference"), name) => engine::engine(Backend::Reference, name.as_deref()),
        _ => refused(
            file.path(),
            "is damaged, or was changed: it names no backend",
            "run the study again",
        ),
    }
}

/// On a GPU the bits hang on the device and its driver.
fn same_device(file: &ResultReader, batch: &Batch, args: &Args) -> Result<(), Failure> {
    if batch.device.is_none() {
        return Ok(());
    }
    let then = ["device", "driver", "summation"].map(|name| file.text(name).unwrap_or_default());
    let now = [&batch.device(), &batch.driver(), batch.summation().name()];
    if then.iter().zip(now).all(|(then, now)| *then == now) {
        return Ok(());
    }
    let why = format!(
        "was begun on {} ({}), and this is {} ({})",
        then[0], then[1], now[0], now[1]
    );
    if then[2] != now[2] {
        // The states lie in another form.
        return refused(
            file.path(),
            &why,
            "the two sum up in different ways, so the other cannot go on: run the study again",
        );
    }
    if !args.other_device {
        return refused(
            file.path(),
            &why,
            "--other-device goes on all the same; the bits may then differ from those of one run",
        );
    }
    warn(file.path(), &why);
    Ok(())
}
