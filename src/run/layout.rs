//! What a run's result file will hold, known before the first step.

use sha2::{Digest, Sha256};

use crate::backend::gpu;
use crate::backend::reference::Tolerances;
use crate::feature::FeatureKind;
use crate::model::VariableId;
use crate::study::Study;

use super::batch::{Backend, Batch};
use super::sink::{Attribute, Column, Layout, Precision, Traces};

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
        let event_capacity = if event_features.is_empty() {
            0
        } else {
            (self.n_fibres * event_features.len() * (self.pacing_edges + 2)).min(1 << 24)
        };
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

    /// Bytes that hold the exact state of all fibres.
    pub(super) fn checkpoint_bytes(&self) -> usize {
        if self.backend == Backend::Reference {
            return 0;
        }
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
