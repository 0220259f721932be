//! One writer for a file: a lock that the system takes back when the process ends, however it ends.
//!
//! Readers are not in its way. The HDF5 libraries lock what they read by `flock`, which on a local disk knows nothing of these locks. On NFS
//! the two are one: so a writer holds a shared lock, which suits readers, and is asked for an exclusive one for a moment only, to see whether
//! there is another writer. Where the system has no such locks, there is none.

use std::fs::File;
use std::path::Path;

use super::StoreError;

/// Makes this process the writer of a file until it closes it, or any other handle of it.
///
/// # Errors
/// If another process is.
#[cfg(unix)]
pub(super) fn take(file: &File, path: &Path) -> Result<(), StoreError> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    use rustix::io::Errno;
    match fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::AGAIN | Errno::ACCESS) => return Err(StoreError::Busy(path.to_path_buf())),
        // A file system without locks.
        Err(_) => return Ok(()),
        Ok(()) => {}
    }
    // From exclusive to shared there is no moment without a lock, and nothing to wait for.
    let _ = fcntl_lock(file, FlockOperation::NonBlockingLockShared);
    Ok(())
}

/// Windows lets nobody else write by other means; there is nothing to take.
#[cfg(not(unix))]
pub(super) fn take(_: &File, _: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// Whether another process is writing the file of that name.
pub(super) fn refuse_if_taken(path: &Path) -> Result<(), StoreError> {
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path);
    match opened {
        Ok(file) => take(&file, path),
        Err(_) => Ok(()),
    }
}
