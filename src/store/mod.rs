//! The result file: one HDF5 file that is also a valid netCDF-4 file, written so that nothing can tear it.
//!
//! Takes what a run hands over ([`crate::run::sink`]) and gives it back; knows nothing of models or backends.
//!
//! **Durability.** [`ResultFile::create`] makes the whole file at its final size in a temporary file beside the output, checks
//! every dataset's place by writing marks and reading them through the HDF5 library, reserves its room on the disk, and
//! renames it. From then on no byte of HDF5 structure changes until the run ends: rows go to known offsets, then `time` (NaN
//! in rows not yet whole), then a 16-byte record of whole rows and events. Any reader opens the file while it grows; a killed process
//! leaves it whole up to the last commit; [`ResultFile::reopen`] goes on from the newest of two checkpoints, of which what does not fit into
//! the file lies beside it. At the end a
//! few small headers are changed, each within one disk sector.
//!
//! **Layout.** Traces lie in unfiltered chunks of a quarter to one MiB, about as many along time as along the fibres (see
//! `chunks`), so that one trace and one instant cost the same fraction of the file; what fits one chunk lies in one
//! piece, as does all that has one value per fibre.
//!
//! ```
//! use sarcolemma::run::sink::*;
//! use sarcolemma::store::{self, CreateOptions, ResultFile};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let column = |name: &str, units: &str| Column {
//!     name: name.into(), units: units.into(), long_name: name.into(), cell_methods: None,
//! };
//! let layout = Layout {
//!     n_fibres: 3, first_fibre: 0, traces: Traces::All, time_ms: vec![0.0, 0.5], rows_per_slab: 2,
//!     precision: Precision::F32, variables: vec![column("membrane.V", "mV")], parameters: vec![],
//!     features: vec![column("peak_V", "mV")], event_features: vec![], event_capacity: 0,
//!     state_names: vec!["membrane.V".into()], checkpoint_bytes: 0, part: None, attributes: vec![],
//! };
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("out.h5");
//! let mut file = ResultFile::create(&path, &layout, CreateOptions::default())?;
//! file.write_rows(0, 0, Samples::F32(&[-80.0, -81.0, -82.0, 10.0, 11.0, 12.0]))?;
//! file.commit(2)?;
//! file.finish(&Outcome {
//!     features: vec![vec![10.0, 11.0, 12.0]], status: vec![FibreStatus::Finished; 3], agreement: None, interrupted: false,
//! })?;
//! assert_eq!(store::open(&path)?.read_trace("membrane.V", 1)?, [-81.0, 11.0]);
//! # Ok(())
//! # }
//! ```

mod attributes;
mod beyond;
mod checkpoint;
mod chunks;
mod create;
mod disk;
mod error;
mod events;
mod finish;
mod groups;
mod lock;
mod netcdf;
mod offsets;
mod packed;
mod part;
mod past;
mod reader;
mod skeleton;
mod traces;
mod writer;

pub use checkpoint::Checkpoint;
pub use create::{CreateOptions, required_bytes};
pub use disk::{Watch, bytes_free};
pub use error::StoreError;
pub use finish::remove_leftovers;
pub use packed::compress;
pub use reader::{ResultReader, RunStatus, open};
pub use traces::Values;
pub use writer::ResultFile;

/// The build of this program: a digest of its sources, which files bear as `sarcolemma_build`. Only the same build promises the same bits.
pub const BUILD: &str = env!("SARCOLEMMA_BUILD");
/// Root attribute: the build that computed a file; of joined parts several, where there were several.
pub const BUILD_ATTRIBUTE: &str = "sarcolemma_build";
