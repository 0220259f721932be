//! `sarcolemma compare`: how far two results of one study are apart, or the backends that run it.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use serde_json::json;

use crate::report::compare::CompareError;
use crate::report::{Comparison, Limits, compare};
use crate::run::{self, Choices, prepare};
use crate::store::{self, ResultReader};
use crate::study::{self, Overrides, Study};

use super::choices::{Backend, Precision, time_ms};
use super::exit::{Exit, Failure};
use super::replays::{Replays, quoted};
use super::rerun::read_failure;
use super::{differences, engine, output};

/// Compare two results of one study, or the backends that run it
///
/// Per recorded quantity, feature and spike: how far apart. The first result is the one that is believed: differences are
/// divided by the quantity's range in it, over all fibres and rows. Ends with code 1 if the two do not agree.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Two result files, or one study with --backends
    #[arg(value_name = "A.h5 B.h5 | STUDY.toml", required = true, num_args = 1..=2, value_hint = clap::ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    /// Run the study on each of these and compare all with the first: cpu, gpu, reference, also cpu:f64
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub backends: Vec<Entry>,

    /// Difference that is allowed, as a share of the range
    #[arg(long, value_name = "X", default_value_t = Limits::default().of_range, value_parser = share_of_range)]
    pub rtol: f64,

    /// Shift of a spike that is allowed, such as "0.05 ms" [default: 0.05 ms]
    #[arg(long, value_name = "TIME")]
    pub spike_shift: Option<String>,

    /// Share of the spikes, and of the fibres for each feature, that have to agree
    #[arg(long, value_name = "P", default_value_t = Limits::default().share, value_parser = share)]
    pub share: f64,

    /// A GPU, by its number in 'sarcolemma devices' or by part of its name
    #[arg(long, value_name = "N|NAME", requires = "backends")]
    pub device: Option<String>,

    /// Number of CPU threads [default: as many as the machine has]
    #[arg(long, value_name = "N", requires = "backends")]
    pub threads: Option<NonZeroUsize>,

    /// Number of fibres, in place of the study's: the reference is slow, about a second a fibre
    #[arg(long, value_name = "N", requires = "backends")]
    pub fibres: Option<NonZeroU64>,

    /// Duration, such as "100 ms", in place of the study's
    #[arg(long, value_name = "TIME", requires = "backends")]
    pub duration: Option<String>,

    /// Single or double precision, where the list does not say it [default: f32, and f64 with the reference backend]
    #[arg(long, value_enum, requires = "backends")]
    pub precision: Option<Precision>,

    /// Keep the results in this folder, as STUDY.BACKEND.h5
    #[arg(long, value_name = "FOLDER", requires = "backends", value_hint = clap::ValueHint::DirPath)]
    pub keep: Option<PathBuf>,

    /// Overwrite results that are there already
    #[arg(long, requires = "keep")]
    pub force: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = "\
Two results agree if
  every recorded quantity differs by at most --rtol of its range, root mean square over fibres and rows,
  --share of the spikes are in both and at most --spike-shift apart,
  every other feature differs by at most --rtol of its range in --share of the fibres,
  no value is in one only, and no fibre is lost in one only.
Next to a threshold a fibre amplifies any error, so the largest shift of a large population says little;
it is printed beside the median. For a study without such fibres ask for all spikes: --share 1.";

/// One of the backends of a list: `cpu`, or `cpu:f64` with its precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    backend: Backend,
    precision: Option<Precision>,
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (backend, precision) = match text.split_once(':') {
            Some((backend, precision)) => (backend, Some(precision)),
            None => (text, None),
        };
        let precision = match precision.map(|p| Precision::from_str(p, false)) {
            None => None,
            Some(Ok(precision)) => Some(precision),
            Some(Err(_)) => return Err("a precision is f32 or f64, such as cpu:f64".to_owned()),
        };
        match Backend::from_str(backend, false) {
            Ok(backend) => Ok(Entry { backend, precision }),
            Err(_) => Err(format!("backends are {}", names().join(", "))),
        }
    }
}

fn names() -> Vec<String> {
    let value = |b: &Backend| b.to_possible_value().map(|v| v.get_name().to_owned());
    Backend::value_variants().iter().filter_map(value).collect()
}

impl Entry {
    /// Whether it may run on a GPU, which is what a device's name means.
    fn takes_device(self) -> bool {
        matches!(self.backend, Backend::Auto | Backend::Gpu)
    }

    /// As the list has it, and as a part of a file's name.
    fn name(self, between: char) -> String {
        let name = |v: Option<clap::builder::PossibleValue>| {
            v.map_or_else(String::new, |v| v.get_name().to_owned())
        };
        let backend = name(self.backend.to_possible_value());
        match self.precision {
            None => backend,
            Some(p) => format!("{backend}{between}{}", name(p.to_possible_value())),
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if (0.0..=1.0).contains(&x) => Ok(x),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

fn share_of_range(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x >= 0.0 && x.is_finite() => Ok(x),
        _ => Err("expected a number that is not negative, such as 0.01".to_owned()),
    }
}

/// Compares.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let limits = Limits {
        of_range: args.rtol,
        spike_shift_ms: match &args.spike_shift {
            None => Limits::default().spike_shift_ms,
            Some(text) => match time_ms("--spike-shift", text)? {
                shift if shift >= 0.0 => shift,
                _ => {
                    return Err(Failure::Usage(format!(
                        "--spike-shift '{text}': a shift is not negative"
                    )));
                }
            },
        },
        share: args.share,
    };
    match (args.files.as_slice(), args.backends.is_empty()) {
        ([a, b], true) => two_files(a, b, limits, args.json),
        ([study], false) => backends(study, &args, limits),
        (_, true) => Err(Failure::Usage(
            "one file cannot be compared\nhelp: name a second result, or for a study the backends: --backends cpu,reference".to_owned(),
        )),
        (_, false) => Err(Failure::Usage(
            "--backends runs one study; leave it out to compare two results".to_owned(),
        )),
    }
}

fn two_files(a: &Path, b: &Path, limits: Limits, json: bool) -> Result<Exit, Failure> {
    let comparison = compared(&opened(a)?, &opened(b)?, limits)?;
    for side in [&comparison.a, &comparison.b] {
        if side.status != store::RunStatus::Complete {
            output::note(&format!(
                "{} is {}: {} of its rows are whole",
                side.path.display(),
                side.status.name(),
                side.rows
            ));
        }
    }
    if let Some(until_ms) = comparison.until_ms {
        output::note(&format!(
            "compared up to {until_ms} ms, the last row that both have; features are not compared"
        ));
    }
    let replays = Replays::of_files(&comparison);
    if json {
        output::json(&differences::json(&comparison, true, &replays))?;
    } else {
        output::data(&differences::text(&comparison, true, &replays))?;
    }
    verdict(&[comparison], true)
}

/// Runs the study on every backend and compares each with the first.
fn backends(path: &Path, args: &Args, limits: Limits) -> Result<Exit, Failure> {
    let runs = runs(args)?;
    let overrides = Overrides {
        fibres: args.fibres.map(NonZeroU64::get),
        duration: args.duration.clone(),
    };
    let study = super::run::load_study(path, &overrides, args.json)?;
    let own_scheme = matches!(&study.scheme, study::Scheme::Named(name) if name == "reference");
    for (entry, choices) in runs.iter().filter(|_| own_scheme) {
        if choices.backend != run::Backend::Reference {
            return Err(Failure::Usage(format!(
                "the study's scheme 'reference' is the reference backend's own, and '{}' has none of that name\nhelp: scheme = \"auto\" runs everywhere",
                entry.name(':')
            )));
        }
    }
    // From here on Ctrl-C ends what runs, and the passing folder goes with it.
    super::run::interrupt_flag();
    let folder = match &args.keep {
        Some(folder) => Folder::kept(folder)?,
        None => Folder::passing()?,
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let file = |entry: &Entry| folder.path.join(format!("{stem}.{}.h5", entry.name('-')));
    for (entry, _) in &runs {
        let output = file(entry);
        if output.exists() && !args.force {
            return Err(Failure::Usage(format!(
                "'{}' exists already\nhelp: --force overwrites it, --keep names another folder",
                output.display()
            )));
        }
    }
    for (entry, choices) in &runs {
        run_one(&study, &overrides, choices, entry, &file(entry), args)?;
    }
    let keeps = args.keep.is_some();
    let first = opened(&file(&runs[0].0))?;
    let mut comparisons = Vec::new();
    for (entry, _) in &runs[1..] {
        comparisons.push(compared(&first, &opened(&file(entry))?, limits)?);
    }
    let again = keeping(path, args);
    let replays = |c: &Comparison| match keeps {
        true => Replays::of_files(c),
        false => Replays::made_by(c, &again, KEPT),
    };
    if args.json {
        let each: Vec<_> = comparisons
            .iter()
            .map(|c| differences::json(c, keeps, &replays(c)))
            .collect();
        let within = comparisons.iter().all(|c| c.offences().is_empty());
        output::json(&json!({ "schema": 1, "within": within, "comparisons": each }))?;
    } else {
        let each: Vec<_> = comparisons
            .iter()
            .map(|c| differences::text(c, keeps, &replays(c)))
            .collect();
        output::data(&each.join("\n"))?;
    }
    verdict(&comparisons, keeps)
}

/// The folder that the command which keeps the results is told to use.
const KEPT: &str = "kept";

/// The same command once more, with the results kept.
fn keeping(study: &Path, args: &Args) -> String {
    let list: Vec<String> = args.backends.iter().map(|e| e.name(':')).collect();
    let mut words = vec![
        "sarcolemma".to_owned(),
        "compare".to_owned(),
        quoted(&study.display().to_string()),
        "--backends".to_owned(),
        list.join(","),
    ];
    let mut flag = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), quoted(&value)]);
        }
    };
    flag("--fibres", args.fibres.map(|n| n.to_string()));
    flag("--duration", args.duration.clone());
    let precision = args.precision.and_then(|p| p.to_possible_value());
    flag("--precision", precision.map(|p| p.get_name().to_owned()));
    flag("--device", args.device.clone());
    flag("--keep", Some(KEPT.to_owned()));
    words.join(" ")
}

/// What is run for each entry of the list.
fn runs(args: &Args) -> Result<Vec<(Entry, Choices)>, Failure> {
    if args.backends.len() < 2 {
        return Err(Failure::Usage(format!(
            "one backend cannot be compared\nhelp: name another, such as --backends {},reference",
            args.backends[0].name(':')
        )));
    }
    if args.device.is_some() && !args.backends.iter().any(|e| e.takes_device()) {
        return Err(Failure::Usage(
            "'--device' names a GPU, and there is none in --backends".to_owned(),
        ));
    }
    let mut runs: Vec<(Entry, Choices)> = Vec::new();
    for &entry in &args.backends {
        let choices = choices(entry, args)?;
        let same = |(_, c): &&(Entry, Choices)| {
            (c.backend, c.precision) == (choices.backend, choices.precision)
        };
        if let Some((known, _)) = runs.iter().find(same) {
            return Err(Failure::Usage(format!(
                "'{}' and '{}' in --backends are the same: {} {}",
                known.name(':'),
                entry.name(':'),
                choices.backend.name(),
                choices.precision.name()
            )));
        }
        runs.push((entry, choices));
    }
    Ok(runs)
}

fn choices(entry: Entry, args: &Args) -> Result<Choices, Failure> {
    let device = args.device.as_deref().filter(|_| entry.takes_device());
    let engine = engine::engine(entry.backend, device)?;
    // The reference has one precision: what is said for all is not said for it.
    let for_all = args
        .precision
        .filter(|_| entry.backend != Backend::Reference);
    let precision = super::run::precision(entry.precision.or(for_all), engine.backend)?;
    if let (Some(note), false) = (&engine.note, args.json) {
        output::note(note);
    }
    Ok(Choices {
        backend: engine.backend,
        precision,
        threads: args.threads.map_or(0, NonZeroUsize::get),
        adapter: engine.adapter,
        // The comparison itself is the check.
        agreement_fibres: Some(0),
    })
}

fn run_one(
    study: &Study,
    overrides: &Overrides,
    choices: &Choices,
    entry: &Entry,
    output: &Path,
    args: &Args,
) -> Result<(), Failure> {
    super::run::check_memory(run::least_memory_bytes(study, choices.precision))?;
    let batch = prepare(study, choices).map_err(super::run::prepare_failure)?;
    let bar = super::run::progress_bar(!args.json);
    bar.set_prefix(format!("{} ", entry.name(':')));
    match super::run::into_file(study, &batch, overrides, output, args.force, &bar) {
        Ok(_) if super::run::interrupt_flag().load(Ordering::SeqCst) => Err(interrupted()),
        Ok(_) => Ok(()),
        Err(Failure::Interrupted(_)) => Err(interrupted()),
        Err(other) => Err(other),
    }
}

fn interrupted() -> Failure {
    Failure::Interrupted("interrupted; nothing was compared".to_owned())
}

fn opened(path: &Path) -> Result<ResultReader, Failure> {
    store::open(path).map_err(read_failure)
}

fn compared(a: &ResultReader, b: &ResultReader, limits: Limits) -> Result<Comparison, Failure> {
    compare(a, b, limits).map_err(|error| match error {
        CompareError::Store(error) => read_failure(error),
        other => Failure::Usage(other.to_string()),
    })
}

/// Success if all agree, else the worst that was found.
fn verdict(comparisons: &[Comparison], by_path: bool) -> Result<Exit, Failure> {
    let mut offences = Vec::new();
    for c in comparisons {
        offences.extend(c.offences().into_iter().map(|o| (c, o)));
    }
    let worse = offences
        .iter()
        .max_by(|(_, x), (_, y)| x.times.total_cmp(&y.times));
    let Some((c, worst)) = worse else {
        return Ok(Exit::Done);
    };
    let others = match offences.len() - 1 {
        0 => String::new(),
        n => format!("\nand {n} more beyond the tolerance"),
    };
    Err(Failure::Tolerance(format!(
        "{} and {} do not agree: {}{others}",
        differences::name(&c.a, by_path),
        differences::name(&c.b, by_path),
        worst.text
    )))
}

/// Where the results of the backends go.
struct Folder {
    path: PathBuf,
    /// Whether it vanishes with this value.
    passes: bool,
}

impl Folder {
    fn kept(path: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(path)
            .map_err(|e| Failure::file("make the folder", &path.display().to_string(), &e))?;
        Ok(Folder {
            path: path.to_owned(),
            passes: false,
        })
    }

    /// A new folder in the system's folder of temporary files.
    fn passing() -> Result<Self, Failure> {
        let parent = std::env::temp_dir();
        for n in 0u32.. {
            let path = parent.join(format!("sarcolemma-compare-{}-{n}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Folder { path, passes: true }),
                // Left behind by a process of the same number that was killed.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && n < 1000 => {}
                Err(e) => {
                    let path = path.display().to_string();
                    return Err(Failure::file("make the folder", &path, &e));
                }
            }
        }
        unreachable!("the thousandth failure is returned")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.passes {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_list_is_a_backend_and_perhaps_its_precision() {
        let entry = |text: &str| text.parse::<Entry>();
        let double = entry("cpu:f64").expect("a backend and a precision");
        assert_eq!(
            double,
            Entry {
                backend: Backend::Cpu,
                precision: Some(Precision::F64)
            }
        );
        assert_eq!(
            (double.name(':'), double.name('-')),
            ("cpu:f64".into(), "cpu-f64".into())
        );
        assert_eq!(entry("gpu").map(|e| e.name(':')), Ok("gpu".into()));
        assert_eq!(
            entry("tpu"),
            Err("backends are auto, cpu, gpu, reference".into())
        );
        assert!(entry("cpu:f16").is_err() && entry("").is_err());
    }

    #[test]
    fn a_passing_folder_vanishes_with_all_that_is_in_it() {
        let folder = Folder::passing().expect("a folder");
        let path = folder.path.clone();
        std::fs::write(path.join("x"), "x").expect("a file");
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists());
    }
}
