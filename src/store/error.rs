//! Why a result file could not be made, continued or read.

use std::path::{Path, PathBuf};

use crate::run::sink::SinkError;

/// Why a result file could not be made, continued or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{what} {path}: {source}", path = .path.display())]
    Io {
        /// What was being done: `cannot create`, `cannot write`.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The output is there already and may not be replaced.
    #[error("{path} exists already; choose another output or allow it to be replaced", path = .0.display())]
    Exists(PathBuf),
    /// The output's directory is not there.
    #[error("the directory {path} does not exist; create it first", path = .0.display())]
    NoDirectory(PathBuf),
    /// The disk cannot hold the whole result.
    #[error(
        "not enough room on the disk of {path}: {needed} bytes needed, {free} free",
        path = .path.display(),
        free = .free.map_or_else(|| "an unknown number".to_string(), |n| n.to_string())
    )]
    DiskFull {
        /// The output.
        path: PathBuf,
        /// Bytes of the whole file.
        needed: u64,
        /// Bytes free on its disk, where the system tells.
        free: Option<u64>,
    },
    /// Two things in the file would bear one name.
    #[error("two variables of the result would both be called `{0}`; rename one of them")]
    DuplicateName(String),
    /// A name that HDF5 or netCDF cannot hold.
    #[error(
        "`{0}` cannot be a variable's name in the result: it is empty, or holds `/` or a control character"
    )]
    BadName(String),
    /// The layout contradicts itself.
    #[error("the layout of the result is inconsistent: {0}")]
    BadLayout(String),
    /// The file is not a result of this program, or it is damaged.
    #[error("{path} is not a usable result file: {why}", path = .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another process is writing the file.
    #[error("{path} is being written by another process", path = .0.display())]
    Busy(PathBuf),
    /// There is nothing left to resume.
    #[error("{path} is complete: there is nothing to resume", path = .0.display())]
    Complete(PathBuf),
    /// The caller asked for something that the file does not hold.
    #[error("{path} has no {what}", path = .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        what: String,
    },
    /// A write at a computed place did not come back through the HDF5 library.
    #[error("the layout of {path} did not pass its check ({dataset}); this is a fault of sarcolemma, please report it", path = .path.display())]
    Probe {
        /// The file.
        path: PathBuf,
        /// The dataset whose place is wrong.
        dataset: String,
    },
}

impl StoreError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| StoreError::Io { what, path, source }
    }

    pub(super) fn format(path: &Path, why: impl Into<String>) -> Self {
        StoreError::Format {
            path: path.to_path_buf(),
            why: why.into(),
        }
    }
}

impl From<StoreError> for SinkError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io { what, path, source } => SinkError::Io {
                what: format!("{what} {}", path.display()),
                source,
            },
            other => SinkError::Format(other.to_string()),
        }
    }
}
