//! Making a result file: whole, checked, reserved on the disk and safe under its name before the first row.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::beyond::Beyond;
use super::disk::{Disk, Watch};
use super::netcdf::{Contents, Dataset, Initial, Kind, contents};
use super::skeleton::{Skeleton, build};
use super::{StoreError, disk, events, lock, offsets};
use crate::run::sink::Layout;

/// How to make a result file.
#[derive(Clone, Copy, Debug, Default)]
pub struct CreateOptions {
    /// Whether a file of that name may be replaced.
    pub overwrite: bool,
}

/// Bytes of the result file of a layout, exactly, unless more events come than were laid out.
pub fn required_bytes(layout: &Layout) -> Result<u64, StoreError> {
    Ok(build(&contents(layout, &timestamp(0))?)?.size)
}

/// Takes the temporary file away unless it was renamed.
struct Temporary {
    path: PathBuf,
    keep: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing better can be done about a file that cannot be removed while another error is on its way.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Creates the file and returns it open, with the map of its datasets.
pub(super) fn create(
    path: &Path,
    layout: &Layout,
    options: CreateOptions,
    watch: Option<Arc<dyn Watch>>,
) -> Result<(Disk, offsets::Map), StoreError> {
    let directory = directory_of(path);
    if !directory.is_dir() {
        return Err(StoreError::NoDirectory(directory.to_path_buf()));
    }
    if path.symlink_metadata().is_ok() && !options.overwrite {
        return Err(StoreError::Exists(path.to_path_buf()));
    }
    lock::refuse_if_taken(path)?;
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let contents = contents(layout, &timestamp(seconds))?;
    let skeleton = build(&contents)?;

    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    let mut temporary = Temporary {
        path: path.with_file_name(name),
        keep: false,
    };
    let file = lock::to_write()
        .create(true)
        .truncate(true)
        .open(&temporary.path)
        .map_err(StoreError::io("cannot create", path))?;
    let file = Disk::new(file, path, watch);
    let full = |error: std::io::Error| {
        if disk::is_full(&error) {
            // What was reserved so far counts as free.
            let _ = file.set_len(0);
            StoreError::DiskFull {
                path: path.to_path_buf(),
                needed: skeleton.size,
                free: disk::bytes_free(directory),
            }
        } else {
            StoreError::io("cannot write", path)(error)
        }
    };
    let reserved = file.reserve(skeleton.size).map_err(full)?;
    if !reserved && disk::bytes_free(directory).is_some_and(|free| free < skeleton.size) {
        return Err(full(std::io::ErrorKind::StorageFull.into()));
    }
    write_initial(&file, &contents, &skeleton).map_err(full)?;
    let map = offsets::map(&file, &temporary.path)?;
    probe(&file, &temporary.path, &contents, &skeleton, &map)?;
    file.sync().map_err(full)?;
    // Side files of an earlier run under this name are not this run's.
    Beyond::new(path).remove()?;
    match std::fs::remove_file(events::side_path(path)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(StoreError::io("cannot remove", &events::side_path(path))(
                error,
            ));
        }
        _ => {}
    }
    std::fs::rename(&temporary.path, path).map_err(StoreError::io("cannot create", path))?;
    temporary.keep = true;
    disk::sync_directory(directory).map_err(StoreError::io("cannot write", directory))?;
    lock::take(&file, path)?;
    Ok((file.renamed(path), map))
}

/// The directory that a path's file is in.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn write_initial(file: &Disk, contents: &Contents, skeleton: &Skeleton) -> std::io::Result<()> {
    file.write_at(0, &skeleton.metadata)?;
    for (dataset, at) in contents.datasets.iter().zip(&skeleton.storage) {
        let Some(at) = *at else { continue };
        match &dataset.initial {
            Initial::Nothing => {}
            Initial::Bytes(bytes) => file.write_at(at, bytes)?,
            Initial::Repeat(element) => {
                file.fill(
                    at,
                    dataset.dims.iter().product::<u64>() * dataset.kind.bytes(),
                    element,
                )?;
            }
        }
    }
    Ok(())
}

/// An element of a dataset and a value that it does not have by itself.
struct Mark {
    dataset: usize,
    index: Vec<u64>,
    at: u64,
    before: Vec<u8>,
    mark: Vec<u8>,
}

/// Writes marks at computed places, reads them through the HDF5 crate, and takes them out again.
fn probe(
    file: &Disk,
    path: &Path,
    contents: &Contents,
    skeleton: &Skeleton,
    map: &offsets::Map,
) -> Result<(), StoreError> {
    let wrong = |dataset: &Dataset| StoreError::Probe {
        path: path.to_path_buf(),
        dataset: dataset.path(),
    };
    let io = || StoreError::io("cannot check", path);
    let mut marks: Vec<Mark> = Vec::new();
    for (number, (dataset, at)) in contents.datasets.iter().zip(&skeleton.storage).enumerate() {
        let place = map.get(&dataset.path()).ok_or_else(|| wrong(dataset))?;
        if place.at != *at || place.dims != dataset.dims {
            return Err(wrong(dataset));
        }
        let (Some(start), false) = (*at, dataset.dims.contains(&0)) else {
            continue;
        };
        let corners = [
            dataset.dims.iter().map(|_| 0).collect::<Vec<_>>(),
            dataset.dims.iter().map(|n| n / 2).collect(),
            dataset.dims.iter().map(|n| n - 1).collect(),
        ];
        for (which, index) in corners.into_iter().enumerate() {
            let bytes = dataset.kind.bytes();
            let at = start + element(dataset, &index) * bytes;
            if marks.last().is_some_and(|m| m.at == at) {
                continue;
            }
            let mut before = vec![0; bytes as usize];
            disk::read_at(file, at, &mut before).map_err(io())?;
            let mark: Vec<u8> = (0..bytes)
                .map(|i| (number as u64 * 7 + which as u64 * 3 + i) as u8 | 1)
                .collect();
            file.write_at(at, &mark).map_err(io())?;
            marks.push(Mark {
                dataset: number,
                index,
                at,
                before,
                mark,
            });
        }
    }
    let fault = |e: hdf5::Hdf5Error| StoreError::format(path, e.to_string());
    let read = hdf5::H5File::options()
        .no_locking()
        .open(path)
        .map_err(fault)?;
    for mark in &marks {
        let dataset = &contents.datasets[mark.dataset];
        let found = read
            .dataset(&dataset.path())
            .and_then(|d| element_bytes(&d, dataset.kind, &mark.index));
        if found.map_err(fault)? != mark.mark {
            return Err(wrong(dataset));
        }
    }
    for mark in marks.iter().rev() {
        file.write_at(mark.at, &mark.before).map_err(io())?;
    }
    Ok(())
}

/// Position of an element in its dataset's storage.
fn element(dataset: &Dataset, index: &[u64]) -> u64 {
    match (dataset.chunk, dataset.dims.as_slice(), index) {
        (Some(chunk), &[rows, columns], &[row, column]) => {
            let piece = super::chunks::pieces([rows, columns], chunk, row, 1)
                .find(|p| column < p.column + p.columns);
            piece.map_or(0, |p| p.at + column - p.column)
        }
        (_, dims, index) => index.iter().zip(dims).fold(0, |at, (i, n)| at * n + i),
    }
}

fn element_bytes(dataset: &hdf5::H5Dataset, kind: Kind, index: &[u64]) -> hdf5::Result<Vec<u8>> {
    let starts: Vec<usize> = index.iter().map(|&i| i as usize).collect();
    let counts = vec![1; starts.len()];
    fn bytes<T: hdf5::H5Type + bytemuck::Pod>(
        d: &hdf5::H5Dataset,
        s: &[usize],
        c: &[usize],
    ) -> hdf5::Result<Vec<u8>> {
        let values = if s.is_empty() {
            d.read_raw::<T>()?
        } else {
            d.read_slice::<T>(s, c)?
        };
        Ok(bytemuck::cast_slice(&values).to_vec())
    }
    match kind {
        Kind::U8 => bytes::<u8>(dataset, &starts, &counts),
        Kind::I16 => bytes::<i16>(dataset, &starts, &counts),
        Kind::I32 => bytes::<i32>(dataset, &starts, &counts),
        Kind::I64 => bytes::<i64>(dataset, &starts, &counts),
        Kind::U64 => bytes::<u64>(dataset, &starts, &counts),
        Kind::F32 => bytes::<f32>(dataset, &starts, &counts),
        Kind::F64 => bytes::<f64>(dataset, &starts, &counts),
    }
}

/// Seconds since 1970 as ISO 8601, UTC.
fn timestamp(seconds: u64) -> String {
    // Days to a date by the civil calendar's 400-year cycle of 146097 days, years counted from March.
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (
        day - (153 * month + 2) / 5 + 1,
        if month < 10 { month + 3 } else { month - 9 },
    );
    let year = era * 400 + year + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_civil_dates() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(timestamp(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
