//! `docs/physiology.md`, written from what was measured.

use std::collections::BTreeMap;

use crate::study_runs::Results;
use crate::target::Measured;

/// The whole page.
pub fn page(measured: &[Measured], results: &BTreeMap<&'static str, Results>) -> String {
    let _ = (measured, results);
    String::new()
}
