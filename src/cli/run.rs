//! `sarcolemma run`: runs a study and writes its result file.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::backend::gpu::Adapter;
use crate::run::sink::{self, Attribute};
use crate::run::{self, Batch, Choices, PrepareError, RunError, RunReport, prepare_part};
use crate::store::{CreateOptions, ResultFile, StoreError};
use crate::study::{self, Overrides, SCHEMES, Study};

use super::choices::{Backend, Precision, Shard};
use super::exit::{Exit, Failure};
use super::run_options::RunOptions;
use super::{engine, output, shipped, summary};

/// Run a study and write its results to an HDF5 file
///
/// The file is also a valid netCDF-4 file, and can be looked at while the run goes on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The study
    #[arg(value_name = "STUDY.toml", value_hint = clap::ValueHint::FilePath)]
    pub study: PathBuf,

    /// Where the results go [default: the study's stem and .h5, in the working directory]
    #[arg(short, long, value_name = "OUT.h5", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Which engine computes
    #[arg(long, value_enum, default_value = "auto")]
    pub backend: Backend,

    /// Single or double precision [default: f32, and f64 with the reference backend]
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,

    /// A GPU, by its number in 'sarcolemma devices' or by part of its name; 'all': one part of the study on each GPU that is like the best
    #[arg(long, value_name = "N|NAME|all")]
    pub device: Option<String>,

    /// Number of CPU threads [default: as many as the machine has]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// Number of fibres, in place of the study's
    #[arg(long, value_name = "N")]
    pub fibres: Option<NonZeroU64>,

    /// Duration, such as "100 ms", in place of the study's
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,

    /// Run only this part of the population, such as 1/8; 'merge' joins the parts
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,

    /// Overwrite an existing output
    #[arg(long)]
    pub force: bool,

    /// Those of `resume`, too.
    #[command(flatten)]
    pub options: RunOptions,
}

/// Runs the study.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let (choices, note) = choices(&args)?;
    let options = &args.options;
    let overrides = Overrides {
        fibres: args.fibres.map(NonZeroU64::get),
        duration: args.duration.clone(),
    };
    let study = load_study(&args.study, &overrides, options.quiet)?;
    let choices = with_scheme(choices, &args, &study)?;
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| default_output(&args.study, args.shard));
    if output.exists() && !args.force {
        return Err(Failure::Usage(format!(
            "'{}' exists already\nhelp: --force overwrites it, -o names another output",
            output.display()
        )));
    }
    if let Some(devices) = all_devices(&args)? {
        let (batch, report) = super::all_devices::run_on(
            &devices,
            &study,
            &choices,
            &overrides,
            options.checkpoint_every(),
            (&output, args.force),
            &progress_bar(options.is_for_people()),
        )?;
        return options.end(&study, (&batch, report), &output);
    }
    let whole = run::least_memory_bytes(&study, choices.precision);
    check_memory(args.shard.map_or(whole, |s| whole.div_ceil(s.of)))?;
    let shard = args.shard.map(|s| (s.index, s.of));
    let (batch, note) = match (prepare_part(&study, &choices, shard), args.backend) {
        // What was taken because it was there is left where it cannot be used.
        (Err(PrepareError::Gpu(error)), Backend::Auto) if args.device.is_none() => {
            let choices = Choices {
                backend: run::Backend::Cpu,
                adapter: None,
                ..choices
            };
            let batch = prepare_part(&study, &choices, shard).map_err(prepare_failure)?;
            (batch, Some(engine::on_cpu(&error)))
        }
        (batch, _) => (batch.map_err(prepare_failure)?, note),
    };
    let mut batch = batch;
    batch.checkpoint_every = options.checkpoint_every();
    if let (Some(note), true) = (note, options.is_for_people()) {
        output::note(&note);
    }
    let bar = progress_bar(options.is_for_people());
    let report = into_file(&study, &batch, &overrides, &output, args.force, &bar)?;
    options.end(&study, (&batch, report), &output)
}

/// The devices of `--device all`, where there are several.
fn all_devices(args: &Args) -> Result<Option<Vec<Adapter>>, Failure> {
    if args.device.as_deref() != Some("all") {
        return Ok(None);
    }
    if args.shard.is_some() {
        return Err(Failure::Usage(
            "'--device all' makes parts of its own: leave out '--shard', or name one device for each part".to_owned(),
        ));
    }
    let devices = super::all_devices::devices()?;
    Ok((devices.len() > 1).then_some(devices))
}

/// Runs a prepared study into a file.
///
/// # Errors
/// If the file cannot be made, the run fails or it is interrupted.
pub(super) fn into_file(
    study: &Study,
    batch: &Batch,
    overrides: &Overrides,
    output: &Path,
    overwrite: bool,
    bar: &ProgressBar,
) -> Result<RunReport, Failure> {
    let layout = batch.layout(study, said(overrides));
    let file = ResultFile::create(output, &layout, CreateOptions { overwrite })
        .map_err(|error| no_room(error, &layout))?;
    drop(layout);
    carry_out(batch, file, output, bar)
}

/// What it means that a file cannot be made, and what would fit where it is too large.
fn no_room(error: StoreError, layout: &sink::Layout) -> Failure {
    let StoreError::DiskFull { free, .. } = &error else {
        return store_failure(error);
    };
    let help = match super::room::advice(layout, *free) {
        Some(advice) => format!("free some room, or record less: {advice}"),
        None => "free some room, or name another disk with -o".to_owned(),
    };
    Failure::Machine(format!("{error}\nhelp: {help}"))
}

/// Runs a prepared study, or what is left of it, into its file.
///
/// # Errors
/// If the run fails or is interrupted.
pub(super) fn carry_out(
    batch: &Batch,
    mut file: ResultFile,
    output: &Path,
    bar: &ProgressBar,
) -> Result<RunReport, Failure> {
    let begins = !batch.is_going_on();
    let run = batch.run(
        &mut file,
        &|p| bar.set_position((p.share * 1000.0) as u64),
        interrupt_flag(),
    );
    bar.finish_and_clear();
    drop(file);
    match run {
        Ok(report) if report.done.interrupted => Err(Failure::Interrupted(format!(
            "interrupted; '{}' holds what was recorded up to then\nhelp: go on with {}",
            output.display(),
            resume_command(output)
        ))),
        Ok(report) => Ok(report),
        Err(RunError::Prepare(error)) if begins => {
            // Nothing was computed: no file that only looks like a result stays behind.
            let _ = std::fs::remove_file(output);
            Err(prepare_failure(error))
        }
        Err(RunError::Prepare(error)) => Err(prepare_failure(error)),
        Err(error @ RunError::Sink(_)) => Err(Failure::Machine(format!(
            "{}: {error}\nhelp: what was recorded stays; when there is room again, go on with {}",
            output.display(),
            resume_command(output)
        ))),
        Err(RunError::Gpu(error)) => Err(engine::failure_in_run(
            &error,
            &output.display().to_string(),
        )),
        Err(error @ RunError::Threads(_)) => Err(Failure::Machine(error.to_string())),
    }
}

/// What to type to go on with a file.
pub(super) fn resume_command(output: &Path) -> String {
    format!("'sarcolemma resume {}'", output.display())
}

/// What the command line says of the run, and what is to be said of it.
fn choices(args: &Args) -> Result<(Choices, Option<String>), Failure> {
    let engine = match (args.backend, args.device.as_deref()) {
        // The best of them stands for all; with one there is no more to it.
        (Backend::Auto | Backend::Gpu, Some("all")) => engine::engine(Backend::Gpu, None)?,
        (backend, device) => engine::engine(backend, device)?,
    };
    let choices = Choices {
        backend: engine.backend,
        precision: precision(args.precision, engine.backend)?,
        threads: args.threads.map_or(0, NonZeroUsize::get),
        adapter: engine.adapter,
        agreement_fibres: None,
    };
    Ok((choices, engine.note))
}

/// The scheme `reference` is the reference backend's own: a study that names it asks for that backend.
fn with_scheme(choices: Choices, args: &Args, study: &Study) -> Result<Choices, Failure> {
    let named = matches!(&study.scheme, study::Scheme::Named(name) if name == "reference");
    if !named || choices.backend == run::Backend::Reference {
        return Ok(choices);
    }
    if matches!(args.backend, Backend::Cpu | Backend::Gpu) || args.device.is_some() {
        return Err(Failure::Usage(format!(
            "the study's scheme 'reference' is the reference backend's own, and the {} backend has none of that name",
            choices.backend.name()
        )));
    }
    if args.precision == Some(Precision::F32) {
        return Err(Failure::Usage(
            "the study's scheme is 'reference', and the reference backend computes in f64 only"
                .to_owned(),
        ));
    }
    Ok(Choices {
        backend: run::Backend::Reference,
        precision: sink::Precision::F64,
        adapter: None,
        ..choices
    })
}

/// The precision that the command line means.
///
/// # Errors
/// If the backend does not have it.
pub(super) fn precision(
    chosen: Option<Precision>,
    backend: run::Backend,
) -> Result<sink::Precision, Failure> {
    match (chosen, backend) {
        (Some(Precision::F32), run::Backend::Reference) => Err(Failure::Usage(
            "the reference backend computes in f64 only".to_owned(),
        )),
        (Some(Precision::F64), _) | (None, run::Backend::Reference) => Ok(sink::Precision::F64),
        (Some(Precision::F32) | None, run::Backend::Cpu | run::Backend::Gpu) => {
            Ok(sink::Precision::F32)
        }
    }
}

/// Reads a study and, unless `quiet`, shows what in it deserves a look.
///
/// # Errors
/// If the study or a file that it names has a fault.
pub(super) fn load_study(
    path: &Path,
    overrides: &Overrides,
    quiet: bool,
) -> Result<Study, Failure> {
    let source = shipped::read_text(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    match study::read(&source, &shipped::loader(folder), overrides, &SCHEMES) {
        Ok((study, reports)) => {
            for report in reports.iter().filter(|_| !quiet) {
                output::diagnostics(&report.diagnostics, &report.source);
            }
            Ok(study)
        }
        Err(mut reports) => {
            let last = reports
                .pop()
                .ok_or_else(|| Failure::Usage("the study cannot be read".to_owned()))?;
            for report in reports {
                output::diagnostics(&report.diagnostics, &report.source);
            }
            Err(Failure::input(last.diagnostics, last.source))
        }
    }
}

/// What the command line said in place of the study's own words.
fn said(overrides: &Overrides) -> Vec<(String, Attribute)> {
    let fibres = overrides
        .fibres
        .map(|n| ("fibres_override".to_owned(), Attribute::Integer(n as i64)));
    let duration = overrides
        .duration
        .clone()
        .map(|d| ("duration_override".to_owned(), Attribute::Text(d)));
    fibres.into_iter().chain(duration).collect()
}

fn default_output(study: &Path, shard: Option<Shard>) -> PathBuf {
    let mut name = study.file_stem().unwrap_or_default().to_owned();
    if let Some(Shard { index, of }) = shard {
        name.push(format!(".shard-{index}-of-{of}"));
    }
    name.push(".h5");
    PathBuf::from(name)
}

/// Why a run cannot start.
pub(super) fn prepare_failure(error: PrepareError) -> Failure {
    if let PrepareError::Gpu(error) = &error {
        return engine::failure(error);
    }
    Failure::Usage(error.to_string())
}

/// What it means that a result cannot be written.
pub(super) fn store_failure(error: StoreError) -> Failure {
    use std::io::ErrorKind;
    match &error {
        StoreError::DiskFull { .. } | StoreError::Probe { .. } => {
            Failure::Machine(error.to_string())
        }
        StoreError::Io { path, source, .. } => match source.kind() {
            ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::NotADirectory
            | ErrorKind::ReadOnlyFilesystem => {
                Failure::file("write", &path.display().to_string(), source)
            }
            _ => Failure::Machine(error.to_string()),
        },
        _ => Failure::Usage(error.to_string()),
    }
}

/// Refuses a run that the machine's memory cannot hold, where the system tells how much there is.
pub(super) fn check_memory(needed: u64) -> Result<(), Failure> {
    let Some(free) = memory_available() else {
        return Ok(());
    };
    if needed <= free {
        return Ok(());
    }
    let bytes = summary::bytes;
    Err(Failure::Machine(format!(
        "not enough memory: the fibres need at least {}, {} are free\nhelp: run fewer fibres at a time (--fibres)",
        bytes(needed),
        bytes(free)
    )))
}

/// Bytes of memory that a new process may use without swapping; Linux only.
fn memory_available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Shown on a terminal only, and if it is wanted.
pub(super) fn progress_bar(wanted: bool) -> ProgressBar {
    if !wanted || !output::stderr_is_for_people() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template(
        "{prefix}{wide_bar} {percent:>3} % {elapsed} (about {eta} left)",
    ) {
        bar.set_style(style);
    }
    bar
}

/// Set by Ctrl-C and by a request to end; the run then stops between two slabs. A second one ends the process.
pub(super) fn interrupt_flag() -> &'static AtomicBool {
    static CANCEL: AtomicBool = AtomicBool::new(false);
    let handler = || {
        if CANCEL.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    };
    // Without a handler the signal ends the process, and the file holds what was committed.
    let _ = ctrlc::set_handler(handler);
    &CANCEL
}
