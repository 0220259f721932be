//! A made-up run: every value is a formula of its place, so that any reader can tell what belongs where.

use sarcolemma::run::sink::*;

/// A column.
pub fn column(name: &str, units: &str, long_name: &str, cell_methods: Option<&str>) -> Column {
    Column {
        name: name.to_string(),
        units: units.to_string(),
        long_name: long_name.to_string(),
        cell_methods: cell_methods.map(str::to_string),
    }
}

/// A layout with all that a file can hold.
pub fn layout(n_fibres: usize, n_rows: usize, precision: Precision, traces: Traces) -> Layout {
    let per_fibre = |f: fn(f64) -> f64| (0..n_fibres).map(|i| f(i as f64)).collect();
    let text = |name: &str, value: &str| (name.to_string(), Attribute::Text(value.to_string()));
    Layout {
        n_fibres,
        first_fibre: 100,
        traces,
        time_ms: (0..n_rows).map(|row| row as f64 * 0.5).collect(),
        rows_per_slab: 50,
        precision,
        variables: vec![
            column("membrane.V", "mV", "surface membrane potential", None),
            column("force.F", "1", "force", None),
        ],
        parameters: vec![
            (
                column("bath.Mg", "mM", "ionised magnesium in the bath", None),
                per_fibre(|i| 0.1 + i),
            ),
            (
                column("chloride.fraction", "1", "of the healthy conductance", None),
                per_fibre(|i| 1.0 / (1.0 + i)),
            ),
        ],
        features: vec![
            column("spikes.count", "1", "number of spikes", Some("time: sum")),
            column(
                "peak_V",
                "mV",
                "highest membrane potential",
                Some("time: maximum"),
            ),
        ],
        event_features: vec!["spikes".to_string(), "after".to_string()],
        event_capacity: 64,
        state_names: vec!["membrane.V".to_string(), "sodium.m".to_string()],
        checkpoint_bytes: 1000,
        part: None,
        attributes: vec![
            text("title", "Does it keep its numbers? – ja"),
            text("study", "title = \"x\"\nmodel = \"skeletal_fibre\"\n"),
            // Longer than one header message can be.
            text("model", &"[[model]]\nname: long\n".repeat(5000)),
            text("model_sha256", "00ff"),
            text("scheme", "ros3"),
            ("tolerance".to_string(), Attribute::Real(0.02)),
            text("precision", precision.name()),
            text("backend", "cpu"),
            text("device", "AVX2, 2 threads"),
            text("driver", ""),
            ("seed".to_string(), Attribute::Integer(42)),
        ],
    }
}

/// Number of recorded fibres.
pub fn n_traces(layout: &Layout) -> usize {
    match &layout.traces {
        Traces::All => layout.n_fibres,
        Traces::Some(ids) => ids.len(),
    }
}

/// The value of a variable in a row and a trace; exact in single precision.
pub fn value(variable: usize, row: usize, trace: usize) -> f64 {
    (variable * 1000) as f64 + row as f64 + (trace % 1024) as f64 / 1024.0
}

/// Writes rows `first .. end` of all variables and their events, in slabs, committing each.
pub fn write_rows(sink: &mut dyn Sink, layout: &Layout, first: usize, end: usize, slab: usize) {
    let n = n_traces(layout);
    let mut row = first;
    while row < end {
        let rows = slab.min(end - row);
        for variable in 0..layout.variables.len() {
            let values = (row..row + rows).flat_map(|r| (0..n).map(move |t| value(variable, r, t)));
            match layout.precision {
                Precision::F32 => {
                    let values: Vec<f32> = values.map(|x| x as f32).collect();
                    sink.write_rows(variable, row, Samples::F32(&values))
                        .unwrap();
                }
                Precision::F64 => {
                    let values: Vec<f64> = values.collect();
                    sink.write_rows(variable, row, Samples::F64(&values))
                        .unwrap();
                }
            }
        }
        let events: Vec<_> = (row..row + rows).rev().map(event).collect();
        sink.write_events(&events).unwrap();
        sink.commit(row + rows).unwrap();
        row += rows;
    }
}

/// One event for each row.
pub fn event(row: usize) -> SpikeEvent {
    SpikeEvent {
        time_ms: row as f64 * 0.5 + 0.125,
        fibre: 100 + (row % 3) as u64,
        feature: (row % 2) as u8,
    }
}

/// What is known at the end: fibre 1 is lost.
pub fn outcome(layout: &Layout, interrupted: bool) -> Outcome {
    let n = layout.n_fibres;
    let mut status = vec![
        if interrupted {
            FibreStatus::Stopped
        } else {
            FibreStatus::Finished
        };
        n
    ];
    status[1] = FibreStatus::Lost {
        at_ms: 1.25,
        variable: 1,
    };
    let mut peak: Vec<f64> = (0..n).map(|i| 30.0 + i as f64).collect();
    peak[1] = f64::NAN;
    Outcome {
        features: vec![(0..n).map(|i| i as f64).collect(), peak],
        status,
        agreement: Some(Agreement {
            reruns: [(100, false), (102, true)]
                .map(|(fibre, near_threshold)| Rerun {
                    fibre,
                    near_threshold,
                    spikes: 12,
                    reference_spikes: 12 + u64::from(near_threshold),
                    count_differs: near_threshold,
                    spike_shift_ms: 0.002,
                    parts_at_ms: 812.5,
                })
                .to_vec(),
            variables: vec![
                ("membrane.V".to_string(), 1e-4, 2e-5),
                ("force.F".to_string(), 3e-4, 4e-5),
            ],
            features: [
                ("spikes.count".to_string(), 1.0, 0.0),
                ("peak_V".to_string(), 0.0625, 0.03125),
            ]
            .map(|(name, largest, drawn)| FeatureDifference {
                name,
                largest,
                drawn,
            })
            .to_vec(),
            spike_shift_ms: 0.004,
            shift_before_parting_ms: 0.002,
        }),
        interrupted,
    }
}
