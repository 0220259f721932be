//! The rest of a run that was cut off, made from nothing but its file: the study, the fibres with their parameters, and how they are stepped.

use crate::run::sink::Traces;
use crate::run::{Batch, Choices, prepare};
use crate::store::ResultReader;
use crate::study::Study;

use super::join::JoinError;
use super::replay::study_to_resume;

/// The study of a file, and the run that goes on with the file's own fibres. `choices` name the engine; the precision is the file's.
///
/// # Errors
/// If the file contradicts itself or cannot be read, or the run cannot be prepared.
pub fn rest(file: &ResultReader, choices: &Choices) -> Result<(Study, Batch), JoinError> {
    let wrong = |what: &str| {
        let path = file.path().display();
        JoinError::Refused(format!(
            "'{path}' is damaged, or was changed: its {what} are not those of its study"
        ))
    };
    let layout = file.layout()?;
    if layout.n_fibres == 0 {
        return Err(wrong("fibres"));
    }
    let study = study_to_resume(file)?;
    let batch = prepare(&study, choices)?;
    let own = match &layout.part {
        Some(part) => part.fibres(),
        None => 0..layout.n_fibres as u64,
    };
    if !file.fibre_ids()?.iter().copied().eq(own.clone()) {
        return Err(wrong("fibres"));
    }
    let recorded = match &layout.traces {
        Traces::All => true,
        Traces::Some(ids) => {
            ids.iter().all(|id| own.contains(id)) && ids.is_sorted_by(|a, b| a < b)
        }
    };
    if !recorded {
        return Err(wrong("recorded fibres"));
    }
    if !(1..=batch.experiment.n_samples).contains(&layout.rows_per_slab) {
        return Err(wrong("slabs"));
    }
    let columns = study.population.varied.iter().map(|v| {
        let of_name = layout.parameters.iter().find(|(c, _)| c.name == v.column);
        of_name.map(|(_, values)| values)
    });
    let columns = columns
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| wrong("varied parameters"))?;
    if columns.iter().any(|c| c.iter().any(|x| !x.is_finite())) {
        return Err(wrong("varied parameters"));
    }
    let of_fibre = |i: usize| columns.iter().map(|values| values[i]).collect();
    let parameters = (0..layout.n_fibres).map(of_fibre).collect();
    Ok((study, batch.of_layout(&layout, parameters)))
}
