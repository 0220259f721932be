//! Which build of the program computed a file: only the same one promises the same bits. `did` is what the other one did, such as `was begun`; what
//! is returned follows the file's name.

use crate::store::{BUILD, ResultReader};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// In words, that the file is of another version than this; `None` where it is not.
pub(super) fn other_version(file: &ResultReader, did: &str) -> Option<String> {
    let theirs = file.text("sarcolemma_version")?;
    let differs = theirs != VERSION;
    differs.then(|| format!("{did} by version {theirs} of sarcolemma, and this is {VERSION}"))
}

/// In words, that the file is of another build than this, whatever its version; `None` where it is not.
pub(super) fn other_build(file: &ResultReader, did: &str) -> Option<String> {
    let theirs = file.build().unwrap_or("an unknown one");
    let differs = theirs != BUILD;
    differs.then(|| format!("{did} by another build of sarcolemma ({theirs}), and this is {BUILD}"))
}
