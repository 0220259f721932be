//! What a checkpoint has beyond the room of its slot: in a file beside the output, `OUT.checkpoint_a` or `OUT.checkpoint_b`.
//!
//! The room is laid out before the run, and nobody knows how many events its busiest slab will have. The rest of a state lies in the slot's own
//! file from its first byte on, and is on the disk before the slot's head tells of it; the head's CRC covers both. While one slot is written,
//! nothing of the other is touched, so the newest checkpoint stays good whatever is interrupted. The files go when the run is over.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::disk::{self, Disk};
use super::{StoreError, create};

/// Where the rest of a slot's state is.
pub(super) fn path(output: &Path, slot: usize) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push([".checkpoint_a", ".checkpoint_b"][slot]);
    output.with_file_name(name)
}

/// The files of both slots, each opened when it is first needed.
#[derive(Debug)]
pub(super) struct Beyond {
    paths: [PathBuf; 2],
    files: [Option<Disk>; 2],
}

impl Beyond {
    pub(super) fn new(output: &Path) -> Self {
        Beyond {
            paths: [0, 1].map(|slot| path(output, slot)),
            files: [None, None],
        }
    }

    /// Puts the rest of a slot's state, in parts that follow one another, onto the disk. `output` is the file that the slot is in.
    pub(super) fn write(
        &mut self,
        output: &Disk,
        slot: usize,
        parts: &[&[u8]],
    ) -> Result<(), StoreError> {
        let path = &self.paths[slot];
        let fault = || StoreError::io("cannot write", path);
        let file = match &mut self.files[slot] {
            Some(file) => file,
            none => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(true).truncate(false);
                let opened = options.open(path).map_err(fault())?;
                // Its name is on the disk before a head tells of it.
                disk::sync_directory(create::directory_of(path)).map_err(fault())?;
                none.insert(Disk::new(opened, path, output.watch()))
            }
        };
        let mut at = 0;
        for part in parts {
            file.write_at(at, part).map_err(fault())?;
            at += part.len() as u64;
        }
        file.sync().map_err(fault())
    }

    /// Takes the files away: those of an earlier run of the same name, too.
    pub(super) fn remove(&mut self) -> Result<(), StoreError> {
        for (path, file) in self.paths.iter().zip(&mut self.files) {
            let removed = match file.take() {
                Some(file) => file.remove(),
                None => std::fs::remove_file(path),
            };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(StoreError::io("cannot remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Bytes beyond a slot's room, at most; 0 where there is no file.
pub(super) fn length(output: &Path, slot: usize) -> u64 {
    std::fs::metadata(path(output, slot)).map_or(0, |m| m.len())
}

/// The first bytes beyond a slot's room: fewer, where there are not so many.
pub(super) fn read(output: &Path, slot: usize, length: u64) -> Result<Vec<u8>, StoreError> {
    let path = path(output, slot);
    let mut bytes = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(length).read_to_end(&mut bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
    .map_err(StoreError::io("cannot read", &path))?;
    Ok(bytes)
}
