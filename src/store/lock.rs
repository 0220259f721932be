//! One writer for a file: a lock that the system takes back when the process ends, however it ends.
//!
//! Readers are not in its way. The HDF5 libraries lock what they read by `flock`, which on a local disk knows nothing of these locks. On NFS
//! the two are one: so a writer holds a shared lock, which suits readers, and is asked for an exclusive one for a moment only, to see whether
//! there is another writer. Where the system has no such locks, there is none.
//!
//! Windows' own locks would keep readers from what is locked. There a writer opens the file so that nobody else can open it to write, and
//! everybody to read.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use super::StoreError;

/// Makes this process the writer of a file, opened by [`to_write`], until it closes it, or any other handle of it.
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

/// Who has opened it by [`to_write`] is the writer already; there is nothing to take.
#[cfg(not(unix))]
pub(super) fn take(_: &File, _: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// How a writer opens a file.
pub(super) fn to_write() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(windows)]
    {
        use std::os::windows::fs::OpenOptionsExt;
        // Without FILE_SHARE_DELETE it could not be renamed while it is open.
        const FILE_SHARE_READ: u32 = 1;
        const FILE_SHARE_DELETE: u32 = 4;
        options.share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE);
    }
    options
}

/// Whether a file could not be opened because somebody else has it open in a way that does not allow it.
fn is_held(error: &io::Error) -> bool {
    const ERROR_SHARING_VIOLATION: i32 = 32;
    cfg!(windows) && error.raw_os_error() == Some(ERROR_SHARING_VIOLATION)
}

/// Opens a file that is there, and makes this process its writer.
///
/// # Errors
/// If another process is, or it cannot be opened.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    let file = match to_write().open(path) {
        Err(error) if is_held(&error) => return Err(StoreError::Busy(path.to_path_buf())),
        opened => opened.map_err(StoreError::io("cannot open", path))?,
    };
    take(&file, path)?;
    Ok(file)
}

/// Whether another process is writing the file of that name.
pub(super) fn refuse_if_taken(path: &Path) -> Result<(), StoreError> {
    match open(path) {
        Err(busy @ StoreError::Busy(_)) => Err(busy),
        // What cannot be opened has no writer that matters here.
        Ok(_) | Err(_) => Ok(()),
    }
}
