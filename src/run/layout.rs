//! What a run's result file will hold, known before the first step.

use sha2::{Digest, Sha256};

use crate::backend::gpu;
use crate::backend::reference::Tolerances;
use crate::feature::{FeatureKind, FeatureSpec};
use crate::model::VariableId;
use crate::study::Study;

use super::batch::{Backend, Batch};
use super::lanes_state::SPIKE_BYTES;
use super::reference::FIBRE_WORDS;
use super::sink::{Attribute, Column, Layout, Precision, Traces};
use super::tap::Tap;

/// A checkpoint has room for so many times a slab's share of the events that are foreseen, and for some in any case. What does not fit lies
/// beside the file.
const EVENTS_OF_A_SLAB: usize = 4;
const LEAST_EVENTS: usize = 4096;
/// Root attribute: per state, the error that counts as one.
pub const ERROR_SCALES: &str = "error_scales";
/// Root attribute: the fibres that were drawn for the comparison with the reference.
pub const JUDGED_FIBRES: &str = "judged_fibres";

/// The drawn fibres that a file names, in the order in which they were drawn.
pub fn drawn_in(attributes: &[(String, Attribute)]) -> Option<Vec<u64>> {
    let (_, value) = attributes.iter().find(|(name, _)| name == JUDGED_FIBRES)?;
    let Attribute::Text(text) = value else {
        return None;
    };
    text.split_whitespace().map(|id| id.parse().ok()).collect()
}

/// Words that a checkpoint begins with, bytes, at most.
const HEAD_BYTES: usize = 256;

impl Batch {
    /// The file's layout. `extra` are root attributes beside those that the study gives, such as what the command line said.
    pub fn layout(&self, study: &Study, extra: Vec<(String, Attribute)>) -> Layout {
        let model = &study.model;
        let column = |id: VariableId| {
            let v = model.variable(id);
            Column {
                name: v.name.clone(),
                units: v.unit.map_or("1".to_string(), |u| u.to_udunits()),
                long_name: v.description.clone().unwrap_or_else(|| v.name.clone()),
                cell_methods: None,
            }
        };
        let parameters = study
            .population
            .varied
            .iter()
            .enumerate()
            .map(|(k, v)| {
                let column = Column {
                    name: v.column.clone(),
                    units: v.unit.map_or("1".to_string(), |u| u.to_udunits()),
                    long_name: v.description.clone().unwrap_or_else(|| v.name.clone()),
                    cell_methods: None,
                };
                (column, self.parameters.iter().map(|p| p[k]).collect())
            })
            .collect();
        let features = study
            .feature_columns()
            .into_iter()
            .map(|f| Column {
                name: f.name,
                units: f.units,
                long_name: f.long_name,
                cell_methods: Some(f.cell_methods),
            })
            .collect();
        let event_features: Vec<String> = study
            .features
            .iter()
            .filter(|f| f.kind == FeatureKind::Spikes)
            .map(|f| f.name.clone())
            .collect();
        // Two spikes a pulse and fibre; what goes beyond is kept in a side file until the end.
        let event_capacity = self.event_capacity();
        let mut attributes = vec![
            ("title".to_string(), Attribute::Text(study.title.clone())),
            ("study".to_string(), Attribute::Text(study.text.clone())),
            (
                "study_sha256".to_string(),
                Attribute::Text(sha256(&study.text)),
            ),
            (
                "model_name".to_string(),
                Attribute::Text(study.model_name.clone()),
            ),
            ("model".to_string(), Attribute::Text(model.text.clone())),
            (
                "model_sha256".to_string(),
                Attribute::Text(sha256(&model.text)),
            ),
            (
                "scheme".to_string(),
                Attribute::Text(self.scheme_name().to_string()),
            ),
            (
                "precision".to_string(),
                Attribute::Text(self.precision.name().to_string()),
            ),
            (
                "backend".to_string(),
                Attribute::Text(self.backend.name().to_string()),
            ),
            ("device".to_string(), Attribute::Text(self.device())),
            ("driver".to_string(), Attribute::Text(self.driver())),
            (
                "summation".to_string(),
                Attribute::Text(self.summation().name().to_string()),
            ),
            ("seed".to_string(), Attribute::Integer(self.seed as i64)),
            (
                "duration_ms".to_string(),
                Attribute::Real(study.duration_ms),
            ),
        ];
        attributes.extend(extra);
        attributes.push(if self.is_adaptive() {
            (
                "tolerance".to_string(),
                Attribute::Real(if self.scheme.is_some() {
                    self.tolerance
                } else {
                    Tolerances::default().relative
                }),
            )
        } else {
            ("step_ms".to_string(), Attribute::Real(self.step_ms))
        });
        attributes.extend(
            self.chosen_largest_step_ms()
                .map(|ms| ("largest_step_ms".to_string(), Attribute::Real(ms))),
        );
        if self.scheme.is_some() {
            let names = model.states.iter().map(|&s| &model.variable(s).name);
            let each = names.zip(&self.pilot.scales);
            let texts: Vec<String> = each
                .map(|(name, scale)| format!("{name}={scale:?}"))
                .collect();
            attributes.push((ERROR_SCALES.to_string(), Attribute::Text(texts.join(" "))));
        }
        let drawn = self.drawn_of_whole();
        if !drawn.is_empty() {
            let texts: Vec<String> = drawn.iter().map(u64::to_string).collect();
            attributes.push((JUDGED_FIBRES.to_string(), Attribute::Text(texts.join(" "))));
        }
        Layout {
            n_fibres: self.n_fibres,
            first_fibre: self.first_fibre,
            traces: self.traces.clone().map_or(Traces::All, Traces::Some),
            time_ms: self.time_ms(),
            rows_per_slab: self.rows_per_slab,
            precision: self.precision,
            variables: self.experiment.observables[..self.experiment.n_recorded]
                .iter()
                .map(|&id| column(id))
                .collect(),
            parameters,
            features,
            event_features,
            event_capacity,
            state_names: model
                .states
                .iter()
                .map(|&s| model.variable(s).name.clone())
                .collect(),
            checkpoint_bytes: self.checkpoint_bytes(),
            part: self.part,
            attributes,
        }
    }

    /// The fibres of a file in the place of the batch's own: their numbers, parameters, traces and slabs.
    #[must_use]
    pub fn of_layout(mut self, layout: &Layout, parameters: Vec<Vec<f64>>) -> Self {
        self.n_fibres = layout.n_fibres;
        self.first_fibre = layout.first_fibre;
        self.part = layout.part;
        self.parameters = parameters;
        self.rows_per_slab = layout.rows_per_slab;
        self.drawn_before = drawn_in(&layout.attributes);
        self.traces = match &layout.traces {
            Traces::All => None,
            Traces::Some(ids) => Some(ids.clone()),
        };
        self
    }

    /// Events for which the file has room from the start.
    fn event_capacity(&self) -> usize {
        let of_spikes = |f: &&FeatureSpec| f.kind == FeatureKind::Spikes;
        let n_features = self.experiment.features.iter().filter(of_spikes).count();
        (self.n_fibres * n_features * (self.pacing_edges + 2)).min(1 << 24)
    }

    /// Bytes that hold the exact state of the run at any moment, but for slabs with many more events than their share: a checkpoint then goes on
    /// beside the file.
    pub(super) fn checkpoint_bytes(&self) -> usize {
        let e = &self.experiment;
        if self.backend == Backend::Reference {
            let columns: usize = e.features.iter().map(|f| f.column_names().len()).sum();
            let events = match self.event_capacity() {
                0 => 0,
                n => n * EVENTS_OF_A_SLAB + LEAST_EVENTS,
            };
            return HEAD_BYTES + self.n_fibres * 8 * (FIBRE_WORDS + columns) + events * SPIKE_BYTES;
        }
        let n_slabs = e.n_samples.div_ceil(self.rows_per_slab).max(1);
        let lane = self.precision.bytes();
        // Drawn fibres are traced in any case.
        let drawn = self.judged_fibres();
        let unrecorded = self.traces.as_ref().map_or(0, |_| drawn);
        let n_traces = self.traces.as_ref().map_or(self.n_fibres, Vec::len) + unrecorded;
        let events = match self.event_capacity() {
            0 => 0,
            n => n / n_slabs * EVENTS_OF_A_SLAB + LEAST_EVENTS,
        };
        let slab = e.n_recorded * self.rows_per_slab * n_traces * lane + events * SPIKE_BYTES;
        let judge = match drawn {
            0 => 0,
            _ => Tap::checkpoint_bytes(e, unrecorded, n_slabs),
        };
        HEAD_BYTES + self.fibres_bytes() + slab + judge
    }

    /// Bytes that hold all fibres as they stand.
    fn fibres_bytes(&self) -> usize {
        let e = &self.experiment;
        if self.backend == Backend::Gpu {
            return self.n_fibres
                * gpu::saved_bytes_per_fibre(e, self.precision.bytes(), self.summation());
        }
        let lane = self.precision.bytes();
        let states = e.model.states.len()
            * if self.precision == Precision::F32 {
                2
            } else {
                1
            };
        let fibre = lane * (states + 2 * e.observables.len() + 4 * e.n_recorded)
            + size_of::<crate::backend::cpu::Clock>()
            + e.features.len() * size_of::<crate::feature::Gathered>();
        self.n_fibres * fibre
    }
}

/// The hash by which a file knows a text, in hexadecimal digits.
pub fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}
