//! A made-up result of four fibres, whose every number can be set before it is written.

use std::path::Path;

use sarcolemma::run::sink::*;
use sarcolemma::store::{CreateOptions, ResultFile};

/// A result before it is written.
#[derive(Clone)]
pub struct Made {
    pub layout: Layout,
    /// `[variable][row][fibre]`: 10 row + fibre, and a tenth of it.
    values: Vec<Vec<Vec<f64>>>,
    pub features: Vec<Vec<f64>>,
    pub spikes: Vec<SpikeEvent>,
    pub status: Vec<FibreStatus>,
    /// Rows that are written.
    pub rows: usize,
    /// Whether it is interrupted; `None` for one that goes on.
    pub end: Option<bool>,
}

fn column(name: &str, units: &str) -> Column {
    Column {
        name: name.to_owned(),
        units: units.to_owned(),
        long_name: name.to_owned(),
        cell_methods: None,
    }
}

pub fn spike(fibre: u64, time_ms: f64) -> SpikeEvent {
    SpikeEvent {
        time_ms,
        fibre,
        feature: 0,
    }
}

impl Made {
    pub fn new() -> Self {
        let text = |name: &str, value: &str| (name.to_owned(), Attribute::Text(value.to_owned()));
        let study = "duration = '2.5 ms'\n[population]\nfibres = 4\nseed = 7\n";
        let value = |row: usize, fibre: usize| (10 * row + fibre) as f64;
        let table = |scale: f64| -> Vec<Vec<f64>> {
            (0..6)
                .map(|row| (0..4).map(|fibre| scale * value(row, fibre)).collect())
                .collect()
        };
        Made {
            layout: Layout {
                n_fibres: 4,
                first_fibre: 0,
                traces: Traces::All,
                time_ms: (0..6).map(|row| f64::from(row) * 0.5).collect(),
                rows_per_slab: 2,
                precision: Precision::F64,
                variables: vec![column("membrane.V", "mV"), column("force.F", "1")],
                parameters: vec![(column("bath.Mg", "mM"), vec![0.1, 0.2, 0.3, 0.4])],
                features: vec![column("spikes.count", "1"), column("peak_V", "mV")],
                event_features: vec!["spikes".to_owned()],
                event_capacity: 8,
                state_names: vec!["membrane.V".to_owned()],
                checkpoint_bytes: 0,
                part: None,
                attributes: vec![
                    text("title", "made"),
                    text("study", study),
                    text("model_sha256", "00"),
                    text("scheme", "ros3"),
                    ("tolerance".to_owned(), Attribute::Real(0.02)),
                    text("precision", "f64"),
                    text("backend", "cpu"),
                    text("device", "made up"),
                    ("seed".to_owned(), Attribute::Integer(7)),
                    ("duration_ms".to_owned(), Attribute::Real(2.5)),
                ],
            },
            values: vec![table(1.0), table(0.1)],
            features: vec![vec![0.0; 4], vec![10.0, 20.0, 30.0, 40.0]],
            spikes: Vec::new(),
            status: vec![FibreStatus::Finished; 4],
            rows: 6,
            end: Some(false),
        }
    }

    pub fn sample(&mut self, variable: usize, row: usize, fibre: usize) -> &mut f64 {
        &mut self.values[variable][row][fibre]
    }

    pub fn attribute(&mut self, name: &str, value: Attribute) {
        let known = self.layout.attributes.iter_mut().find(|(n, _)| n == name);
        known.unwrap().1 = value;
    }

    pub fn study(&mut self, text: &str) {
        self.attribute("study", Attribute::Text(text.to_owned()));
    }

    pub fn write(&self, path: &Path) {
        let options = CreateOptions { overwrite: true };
        let mut file = ResultFile::create(path, &self.layout, options).unwrap();
        let traced: Vec<usize> = match &self.layout.traces {
            Traces::All => (0..4).collect(),
            Traces::Some(ids) => ids.iter().map(|&id| id as usize).collect(),
        };
        for (variable, rows) in self.values.iter().enumerate() {
            let of = |row: &Vec<f64>| traced.iter().map(|&k| row[k]).collect::<Vec<f64>>();
            let all: Vec<f64> = rows[..self.rows].iter().flat_map(of).collect();
            if self.layout.precision == Precision::F32 {
                let all: Vec<f32> = all.iter().map(|&x| x as f32).collect();
                file.write_rows(variable, 0, Samples::F32(&all)).unwrap();
            } else {
                file.write_rows(variable, 0, Samples::F64(&all)).unwrap();
            }
        }
        file.write_events(&self.spikes).unwrap();
        file.commit(self.rows).unwrap();
        let Some(interrupted) = self.end else { return };
        file.finish(&Outcome {
            features: self.features.clone(),
            status: self.status.clone(),
            agreement: None,
            interrupted,
        })
        .unwrap();
    }
}

/// Writes a whole result of single precision, without spikes.
pub fn write_f32(path: &Path, layout: &Layout, values: &[Vec<f32>]) {
    let mut file = ResultFile::create(path, layout, CreateOptions::default()).unwrap();
    for (variable, rows) in values.iter().enumerate() {
        file.write_rows(variable, 0, Samples::F32(rows)).unwrap();
    }
    file.commit(layout.time_ms.len()).unwrap();
    file.finish(&Outcome {
        features: vec![vec![0.0; layout.n_fibres]; layout.features.len()],
        status: vec![FibreStatus::Finished; layout.n_fibres],
        agreement: None,
        interrupted: false,
    })
    .unwrap();
}
