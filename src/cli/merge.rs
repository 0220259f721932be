//! `sarcolemma merge`: the parts of one study joined into the file that one run of the whole would have written.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::report::join::{JoinError, Parts};
use crate::run::sink::FibreStatus;
use crate::run::{Batch, RunError, RunReport};
use crate::store::{BUILD, CreateOptions, ResultFile};

use super::exit::{Exit, Failure};
use super::{accuracy, output, summary};

/// Join the parts of a study that were run with --shard
///
/// Traces, features, events, parameters, status and the comparison with the reference are those of one run of the whole, to the last bit. The
/// parts may come from different machines, in any order; all of them are needed, finished, each once. They stay as they are.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the whole goes
    #[arg(value_name = "OUT.h5", value_hint = clap::ValueHint::FilePath)]
    pub output: PathBuf,

    /// The parts
    #[arg(value_name = "PART.h5", required = true, value_hint = clap::ValueHint::FilePath)]
    pub parts: Vec<PathBuf>,

    /// Overwrite an existing output
    #[arg(long)]
    pub force: bool,

    /// Compress the traces when they are joined (deflate, 1 to 9): smaller, slower to read in part
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u32).range(1..=9))]
    pub compress: Option<u32>,

    /// Print one JSON object with the outcome
    #[arg(long)]
    pub json: bool,
}

/// Lets this process hold as many files open as the system allows it, since every part is held open: usually the limit is 1024 only because
/// nobody has asked for more.
fn hold_many_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let all = Rlimit {
            current: maximum,
            maximum,
        };
        // Where it is refused, opening a part tells so when there are too many.
        let _ = setrlimit(Resource::Nofile, all);
    }
}

/// Joins the parts.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    hold_many_files();
    let mut joined = join(
        &args.output,
        &args.parts,
        args.force,
        &super::run::progress_bar(!args.json),
        super::run::interrupt_flag(),
    )?;
    if let Some(bytes) = super::run_options::compressed(&args.output, args.compress)? {
        joined.report.bytes_written = bytes;
    }
    if let Some(builds) = &joined.other_builds {
        output::note(&format!(
            "warning: the parts were computed by other builds of sarcolemma ({builds}) than this ({BUILD}): the bits may differ from those of one run"
        ));
    }
    match args.json {
        true => output::json(&joined.json())?,
        false => output::data(&joined.text())?,
    }
    if let Some(why) = joined.not_judged.filter(|_| !args.json) {
        output::note(&format!(
            "warning: {why}; the whole is not compared with the reference"
        ));
    }
    Ok(Exit::Done)
}

/// What was joined.
pub(super) struct Joined {
    output: PathBuf,
    parts: Vec<PathBuf>,
    batch: Batch,
    report: RunReport,
    not_judged: Option<String>,
    /// The builds of the program that computed the parts, where one is not this.
    other_builds: Option<String>,
    seconds: f64,
}

/// Joins parts into a file, which appears under its name when it is whole.
///
/// # Errors
/// If they are not the parts of one run, or the file cannot be written.
pub(super) fn join(
    path: &Path,
    parts: &[PathBuf],
    overwrite: bool,
    bar: &ProgressBar,
    cancel: &AtomicBool,
) -> Result<Joined, Failure> {
    let started = Instant::now();
    may_write(path, parts, overwrite)?;
    let parts = Parts::open(parts).map_err(join_failure)?;
    let batch = parts.batch().map_err(join_failure)?;
    let unfinished = beside(path);
    let written = write(&unfinished, &parts, &batch, bar, cancel);
    bar.finish_and_clear();
    let done = written.and_then(|done| {
        let renamed = std::fs::rename(&unfinished, path);
        renamed.map_err(|e| Failure::file("write", &path.display().to_string(), &e))?;
        Ok(done)
    });
    if done.is_err() {
        // Half of a whole is of no use to anyone, and the parts are still there.
        let _ = std::fs::remove_file(&unfinished);
    }
    let (report, not_judged) = done?;
    Ok(Joined {
        output: path.to_owned(),
        parts: parts.paths().map(Path::to_owned).collect(),
        batch,
        report,
        not_judged,
        other_builds: other_builds(&parts),
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn other_builds(parts: &Parts) -> Option<String> {
    let builds = parts.builds();
    (builds != [BUILD]).then(|| builds.join(", "))
}

fn write(
    path: &Path,
    parts: &Parts,
    batch: &Batch,
    bar: &ProgressBar,
    cancel: &AtomicBool,
) -> Result<(RunReport, Option<String>), Failure> {
    let overwrite = CreateOptions { overwrite: true };
    let mut file =
        ResultFile::create(path, parts.layout(), overwrite).map_err(super::run::store_failure)?;
    let progress = |share: f64| bar.set_position((share * 1000.0) as u64);
    let done = parts.join(batch, &mut file, &progress, cancel);
    match done {
        Ok((report, _)) if report.done.interrupted => Err(Failure::Interrupted(
            "interrupted; nothing was written".to_owned(),
        )),
        Ok(done) => Ok(done),
        Err(RunError::Sink(error)) => Err(Failure::Machine(error.to_string())),
        Err(error) => Err(super::rerun::run_failure(error)),
    }
}

/// The name under which a file is made that is not whole yet.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    path.with_file_name(name)
}

fn may_write(path: &Path, parts: &[PathBuf], overwrite: bool) -> Result<(), Failure> {
    let real = |p: &Path| p.canonicalize().ok();
    let own = real(path);
    if own.is_some() && parts.iter().any(|part| real(part) == own) {
        return Err(Failure::Usage(format!(
            "'{}' is one of the parts: the output comes first\nhelp: sarcolemma merge OUT.h5 PART.h5 …",
            path.display()
        )));
    }
    if path.exists() && !overwrite {
        return Err(Failure::Usage(format!(
            "'{}' exists already\nhelp: --force overwrites it",
            path.display()
        )));
    }
    Ok(())
}

pub(super) fn join_failure(error: JoinError) -> Failure {
    match error {
        JoinError::Refused(why) => Failure::Usage(why),
        JoinError::Store(error) => super::rerun::read_failure(error),
        JoinError::Study(error) => super::rerun::replay_failure(error),
        JoinError::Prepare(error) => super::run::prepare_failure(error),
    }
}

impl Joined {
    /// What the joined run is, and how it went.
    pub(super) fn into_report(self) -> (Batch, RunReport) {
        (self.batch, self.report)
    }

    fn lost(&self) -> usize {
        let is_lost = |s: &&FibreStatus| matches!(s, FibreStatus::Lost { .. });
        self.report.done.status.iter().filter(is_lost).count()
    }

    /// For people.
    fn text(&self) -> String {
        let lost = match self.lost() {
            0 => "none lost".to_owned(),
            n => format!("{n} lost"),
        };
        let mut text = format!(
            "{} parts joined: {} fibres, {lost}; {} events.\n",
            self.parts.len(),
            self.batch.n_fibres,
            self.report.done.n_events
        );
        if let Some(agreement) = &self.report.agreement {
            text.push_str(&accuracy::text(agreement, &self.report.beyond, &self.batch));
        }
        let size = summary::bytes(self.report.bytes_written);
        let _ = writeln!(text, "Results: {} ({size})", self.output.display());
        text
    }

    /// For programs.
    fn json(&self) -> Value {
        let agreement = self.report.agreement.as_ref();
        json!({
            "schema": 1,
            "output": self.output.display().to_string(),
            "parts": self.parts.iter().map(|p| p.display().to_string()).collect::<Vec<_>>(),
            "fibres": self.batch.n_fibres,
            "lost": self.lost(),
            "events": self.report.done.n_events,
            "bytes_written": self.report.bytes_written,
            "wall_s": self.seconds,
            "agreement": agreement.map(|a| accuracy::json(a, &self.report.beyond, &self.batch)),
            "not_judged": self.not_judged,
        })
    }
}
