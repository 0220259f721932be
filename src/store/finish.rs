//! The end of a run: features, how each fibre ended, agreement with the reference, and the file's own status.

use std::path::Path;

use super::beyond::{self, Beyond};
use super::events::{self, Events};
use super::groups::PER_RERUN;
use super::netcdf::MOST_RERUNS;
use super::offsets::{set_length, set_status};
use super::reader::{self, RunStatus};
use super::writer::ResultFile;
use super::{StoreError, lock};
use crate::run::sink::{Agreement, FibreStatus, Outcome, Rerun};

/// Writes what is known at the end; the file still says that it is running.
pub(super) fn write(to: &ResultFile, outcome: &Outcome) -> Result<(), StoreError> {
    let names = &to.names;
    let n = names.n_fibres;
    let fits = outcome.features.len() == names.features.len()
        && outcome.features.iter().all(|values| values.len() == n)
        && outcome.status.len() == n;
    if !fits {
        return Err(StoreError::BadLayout(format!(
            "the outcome does not have {} features and a status for each of {n} fibres",
            names.features.len()
        )));
    }
    for (name, values) in names.features.iter().zip(&outcome.features) {
        to.put(name, 0, bytemuck::cast_slice(values))?;
    }
    let mut codes = Vec::with_capacity(n);
    let mut times = Vec::with_capacity(n);
    let mut variables: Vec<i16> = Vec::with_capacity(n);
    for status in &outcome.status {
        let (code, time, variable) = match *status {
            FibreStatus::Finished => (0u8, f64::NAN, -1),
            FibreStatus::Lost { at_ms, variable } => {
                let known = i16::try_from(variable)
                    .ok()
                    .filter(|_| variable < names.n_states);
                let unknown = || {
                    StoreError::BadLayout(format!("a fibre was lost by state number {variable}"))
                };
                (1, at_ms, known.ok_or_else(unknown)?)
            }
            FibreStatus::Stopped => (2, f64::NAN, -1),
        };
        codes.push(code);
        times.push(time);
        variables.push(variable);
    }
    to.put("status", 0, &codes)?;
    to.put("lost_at", 0, bytemuck::cast_slice(&times))?;
    to.put("lost_variable", 0, bytemuck::cast_slice(&variables))?;
    if let Some(agreement) = &outcome.agreement {
        write_agreement(to, agreement)?;
    }
    if !outcome.interrupted {
        let reruns = outcome
            .agreement
            .as_ref()
            .map_or(0, |a| a.reruns.len() as u64);
        for name in ["rerun"].iter().chain(&PER_RERUN) {
            let name = format!("agreement/{name}");
            set_length(&to.file, &to.path, to.place(&name)?, reruns, None)?;
        }
    }
    Ok(())
}

fn write_agreement(to: &ResultFile, agreement: &Agreement) -> Result<(), StoreError> {
    if agreement.reruns.len() as u64 > MOST_RERUNS {
        return Err(StoreError::BadLayout(format!(
            "{} fibres were run again; the file has room for {MOST_RERUNS}",
            agreement.reruns.len()
        )));
    }
    let at = |names: &[String], name: &str| {
        names
            .iter()
            .position(|known| known == name)
            .map(|i| i as u64)
    };
    for (name, max, rms) in &agreement.variables {
        // Where nothing is recorded there is no such variable.
        let known = at(&to.names.variables, name);
        let Some(i) = known.filter(|_| to.map.get("agreement/variable").is_some()) else {
            continue;
        };
        to.put("agreement/max_difference", i, &max.to_le_bytes())?;
        to.put("agreement/rms_difference", i, &rms.to_le_bytes())?;
    }
    for feature in &agreement.features {
        let Some(i) = at(&to.names.features, &feature.name) else {
            continue;
        };
        let (all, drawn) = (feature.largest.to_le_bytes(), feature.drawn.to_le_bytes());
        to.put("agreement/feature_difference", i, &all)?;
        to.put("agreement/drawn_feature_difference", i, &drawn)?;
    }
    to.put(
        "agreement/spike_shift",
        0,
        &agreement.spike_shift_ms.to_le_bytes(),
    )?;
    to.put(
        "agreement/spike_shift_before_parting",
        0,
        &agreement.shift_before_parting_ms.to_le_bytes(),
    )?;
    let put = |name: &str, bytes: &dyn Fn(&Rerun) -> Vec<u8>| {
        let all: Vec<u8> = agreement.reruns.iter().flat_map(bytes).collect();
        to.put(&format!("agreement/{name}"), 0, &all)
    };
    let whole = |x: u64| (x as i64).to_le_bytes().to_vec();
    put("rerun_fibre", &|r| whole(r.fibre))?;
    put("near_threshold", &|r| vec![u8::from(r.near_threshold)])?;
    put("spike_count_differs", &|r| vec![u8::from(r.count_differs)])?;
    put("spike_count", &|r| whole(r.spikes))?;
    put("reference_spike_count", &|r| whole(r.reference_spikes))?;
    put("spike_shift_of_fibre", &|r| {
        r.spike_shift_ms.to_le_bytes().to_vec()
    })?;
    put("parts_at", &|r| r.parts_at_ms.to_le_bytes().to_vec())
}

/// Takes away what a process that was killed at its very end has left beside its complete file, which holds all of it. Where somebody is still
/// writing, or the file is not complete, everything stays.
///
/// # Errors
/// If the file cannot be read, or what is beside it cannot be removed.
pub fn remove_leftovers(path: &Path) -> Result<(), StoreError> {
    let beside = [
        events::side_path(path),
        beyond::path(path, 0),
        beyond::path(path, 1),
    ];
    if !beside.iter().any(|side| side.exists())
        || reader::open(path)?.run_status() != RunStatus::Complete
    {
        return Ok(());
    }
    // Who cannot write the file has no business beside it.
    let Ok(_writer) = lock::open(path) else {
        return Ok(());
    };
    Events::new(path, None, 0).remove_side()?;
    Beyond::new(path).remove()
}

/// Says in the file that the run ended.
pub(super) fn mark(to: &ResultFile, outcome: &Outcome) -> Result<(), StoreError> {
    let lost = outcome
        .status
        .iter()
        .filter(|s| matches!(s, FibreStatus::Lost { .. }))
        .count();
    set_status(
        &to.file,
        &to.path,
        to.map.root,
        if outcome.interrupted { 2 } else { 1 },
        Some(lost as i64),
    )
}
