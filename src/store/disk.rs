//! What the store asks of the operating system: positioned reads and writes, space, and syncs.
//!
//! All changes of a file go through [`Disk`], and a [`Watch`] may look on: tests note what was written and what was on the disk by when, or let the
//! disk be full.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Is told of every change of a file before it is made. An error keeps it from being made.
pub trait Watch: Send + Sync + std::fmt::Debug {
    /// Bytes go to an offset.
    fn write(&self, file: &Path, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// The file gets another length.
    fn resize(&self, file: &Path, length: u64) -> io::Result<()>;
    /// All that was written to the file goes to the disk.
    fn sync(&self, file: &Path) -> io::Result<()>;
    /// The file is taken away.
    fn remove(&self, file: &Path) -> io::Result<()>;
}

/// A file that is written to.
#[derive(Debug)]
pub(super) struct Disk {
    file: File,
    path: PathBuf,
    watch: Option<Arc<dyn Watch>>,
}

impl Deref for Disk {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Disk {
    /// An open file that bears this name.
    pub(super) fn new(file: File, path: &Path, watch: Option<Arc<dyn Watch>>) -> Self {
        let path = path.to_path_buf();
        Disk { file, path, watch }
    }

    /// The file under the name that it has got.
    pub(super) fn renamed(self, path: &Path) -> Self {
        Disk::new(self.file, path, self.watch)
    }

    pub(super) fn watch(&self) -> Option<Arc<dyn Watch>> {
        self.watch.clone()
    }

    fn told(&self, tell: impl FnOnce(&dyn Watch, &Path) -> io::Result<()>) -> io::Result<()> {
        match &self.watch {
            Some(watch) => tell(&**watch, &self.path),
            None => Ok(()),
        }
    }

    /// Writes all of `bytes` at offset `at`.
    pub(super) fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.told(|watch, path| watch.write(path, at, bytes))?;
        write_at(&self.file, at, bytes)
    }

    /// Writes `element` over and over into `length` bytes from `at`.
    pub(super) fn fill(&self, at: u64, length: u64, element: &[u8]) -> io::Result<()> {
        const BLOCK: usize = 1 << 20;
        let block =
            element.repeat((BLOCK / element.len()).min((length as usize).div_ceil(element.len())));
        let mut done = 0;
        while done < length {
            let now = (length - done).min(block.len() as u64);
            self.write_at(at + done, &block[..now as usize])?;
            done += now;
        }
        Ok(())
    }

    /// Makes the file `size` bytes long with all of them reserved on the disk, so that no later write finds it full; `false`
    /// where the file system cannot reserve, and only the length was set.
    pub(super) fn reserve(&self, size: u64) -> io::Result<bool> {
        self.told(|watch, path| watch.resize(path, size))?;
        reserve(&self.file, size)
    }

    /// Cuts the file off.
    pub(super) fn cut(&self, length: u64) -> io::Result<()> {
        self.told(|watch, path| watch.resize(path, length))?;
        self.file.set_len(length)
    }

    /// Puts all that was written, and the file's length, onto the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.told(|watch, path| watch.sync(path))?;
        self.file.sync_data()
    }

    /// Takes the file away.
    pub(super) fn remove(self) -> io::Result<()> {
        self.told(|watch, path| watch.remove(path))?;
        std::fs::remove_file(&self.path)
    }
}

/// Fills `bytes` from offset `at`.
#[cfg(unix)]
pub(super) fn read_at(file: &File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

/// Writes all of `bytes` at offset `at`; threads may do so at once.
#[cfg(unix)]
fn write_at(file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

/// Fills `bytes` from offset `at`.
#[cfg(not(unix))]
pub(super) fn read_at(mut file: &File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

/// Writes all of `bytes` at offset `at`; only one thread may do so.
#[cfg(not(unix))]
fn write_at(mut file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

/// Makes the file `size` bytes long with all of them reserved on the disk, so that no later write finds it full; `false`
/// where the file system cannot reserve, and only the length was set.
fn reserve(file: &File, size: u64) -> io::Result<bool> {
    #[allow(
        unused_mut,
        reason = "some systems reserve whatever is asked for by setting the length"
    )]
    let mut reserved = true;
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd"
    ))]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        loop {
            match fallocate(file, FallocateFlags::empty(), 0, size) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    reserved = false;
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    if file.metadata()?.len() < size {
        file.set_len(size)?;
    }
    Ok(reserved)
}

/// Makes a rename or a new name in `directory` survive a power cut.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    // Windows opens no directory as a file, and writes its names through.
    if cfg!(unix) {
        File::open(directory)?.sync_all()
    } else {
        Ok(())
    }
}

/// Bytes that an ordinary user may still write to the disk of `directory`; `None` where the system does not tell.
pub fn bytes_free(directory: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let told = rustix::fs::statvfs(directory).ok()?;
        told.f_bavail.checked_mul(told.f_frsize)
    }
    #[cfg(not(unix))]
    {
        let _ = directory;
        None
    }
}

/// Whether the system said that the disk is full, or the user's share of it.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
