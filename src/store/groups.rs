//! The three groups beside the root: what their datasets are called and what they mean.

use super::netcdf::{
    Dataset, Initial, Kind, MOST_RERUNS, SLOT_WORDS, Value, f64s, meanings, names,
};
use crate::run::sink::{Column, Layout};

/// `/events`: threshold crossings, as a CF indexed ragged array.
pub(super) fn events(layout: &Layout, list: &mut Vec<Dataset>) {
    if layout.event_features.is_empty() {
        return;
    }
    let event = [("event", layout.event_capacity as u64)];
    let features = meanings(&layout.event_features);
    list.push(Dataset::dimension("events", "event", event[0].1).resizable());
    list.push(
        Dataset::new(
            "events",
            "spike_time",
            Kind::F64,
            "ms",
            "time of the threshold crossing",
        )
        .text("features", &features)
        .along(&event)
        .nan()
        .resizable(),
    );
    list.push(
        Dataset::new(
            "events",
            "spike_fibre",
            Kind::I64,
            "1",
            "fibre of the threshold crossing",
        )
        .text("instance_dimension", "fibre")
        .along(&event)
        .holds(Initial::Repeat((-1i64).to_le_bytes().to_vec()))
        .resizable(),
    );
    if layout.event_features.len() > 1 {
        list.push(
            Dataset::new(
                "events",
                "spike_feature",
                Kind::U8,
                "1",
                "feature whose threshold was crossed",
            )
            .with(
                "flag_values",
                Value::U8s((0..layout.event_features.len()).map(|n| n as u8).collect()),
            )
            .text("flag_meanings", &features)
            .along(&event)
            .holds(Initial::Repeat(vec![0]))
            .resizable(),
        );
    }
}

/// `/agreement`: how far the run is from the reference.
pub(super) fn agreement(layout: &Layout, list: &mut Vec<Dataset>) {
    let mut axis = |name: &'static str, long_name: &str, names: &[&str]| {
        let numbers: Vec<i32> = (0..names.len() as i32).collect();
        let bytes = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        list.push(
            Dataset::new("agreement", name, Kind::I32, "1", long_name)
                .with("flag_values", Value::I32s(numbers))
                .text("flag_meanings", &meanings(names))
                .scale(names.len() as u64)
                .holds(Initial::Bytes(bytes)),
        );
    };
    let traced: &[Column] = if layout.time_ms.is_empty() {
        &[]
    } else {
        &layout.variables
    };
    if !traced.is_empty() {
        axis("variable", "recorded variable", &names(traced));
    }
    if !layout.features.is_empty() {
        axis("feature", "feature", &names(&layout.features));
    }
    let number = |name: &str, units: &str, long_name: &str, axes: &[(&str, u64)]| {
        Dataset::new("agreement", name, Kind::F64, units, long_name)
            .along(axes)
            .nan()
    };
    if !traced.is_empty() {
        let along = [("variable", traced.len() as u64)];
        list.push(number(
            "max_difference",
            "1",
            "largest difference from the reference, over the range of the variable",
            &along,
        ));
        list.push(number(
            "rms_difference",
            "1",
            "root mean square difference from the reference, over the range of the variable",
            &along,
        ));
    }
    if !layout.features.is_empty() {
        let along = [("feature", layout.features.len() as u64)];
        list.push(
            number(
                "feature_difference",
                "1",
                "largest absolute difference from the reference",
                &along,
            )
            .text("comment", "each value is in the unit of its feature"),
        );
        list.push(
            number(
                "drawn_feature_difference",
                "1",
                "largest absolute difference from the reference of the drawn fibres that do not part from it",
                &along,
            )
            .text("comment", "each value is in the unit of its feature"),
        );
    }
    list.push(number(
        "spike_shift",
        "ms",
        "largest shift of a spike from the reference",
        &[],
    ));
    list.push(number(
        "spike_shift_before_parting",
        "ms",
        "largest shift of a spike from the reference before its fibre parts from it",
        &[],
    ));
    list.push(Dataset::dimension("agreement", "rerun", MOST_RERUNS).resizable());
    list.extend(per_rerun());
}

/// What `/agreement` holds of each fibre that was run again.
pub(super) const PER_RERUN: [&str; 7] = [
    "rerun_fibre",
    "near_threshold",
    "spike_count_differs",
    "spike_count",
    "reference_spike_count",
    "spike_shift_of_fibre",
    "parts_at",
];

fn per_rerun() -> Vec<Dataset> {
    let new = |name: &str, kind: Kind, units: &str, long_name: &str| {
        Dataset::new("agreement", name, kind, units, long_name)
            .along(&[("rerun", MOST_RERUNS)])
            .resizable()
    };
    let number = |name: &str, long_name: &str| {
        new(name, Kind::I64, "1", long_name).holds(Initial::Repeat((-1i64).to_le_bytes().to_vec()))
    };
    let flag = |name: &str, long_name: &str, words: &str| {
        new(name, Kind::U8, "1", long_name)
            .with("flag_values", Value::U8s(vec![0, 1]))
            .text("flag_meanings", words)
            .holds(Initial::Repeat(vec![0]))
    };
    let [fibre, near, differs, count, reference_count, shift, parts] = PER_RERUN;
    vec![
        number(fibre, "fibre that was run again by the reference"),
        flag(near, "how the fibre was found", "drawn near_threshold"),
        flag(
            differs,
            "whether the fibre's number of spikes differs",
            "same differs",
        ),
        number(
            count,
            "spikes of the fibre in this run, of all features that count them",
        ),
        number(reference_count, "spikes of the fibre by the reference"),
        new(
            shift,
            Kind::F64,
            "ms",
            "largest shift of a spike before the fibre parts from the reference",
        )
        .nan(),
        new(
            parts,
            Kind::F64,
            "ms",
            "time of the first spike that only one of the two has",
        )
        .nan(),
    ]
}

/// `/checkpoint`: what a resumed run needs, and the record of what is whole.
pub(super) fn checkpoint(layout: &Layout, list: &mut Vec<Dataset>) {
    let rows = layout.time_ms.len() as u64;
    let new = |name: &str, kind: Kind, long_name: &str| {
        Dataset::new("checkpoint", name, kind, "1", long_name)
    };
    list.push(Dataset::dimension("checkpoint", "record", 2));
    list.push(
        new(
            "committed",
            Kind::U64,
            "whole rows, and whole events, that the file holds",
        )
        .with("rows_per_slab", Value::I64(layout.rows_per_slab as i64))
        .along(&[("record", 2)])
        .holds(Initial::Repeat(vec![0; 8])),
    );
    list.push(Dataset::dimension("checkpoint", "slot", 2));
    list.push(Dataset::dimension("checkpoint", "word", SLOT_WORDS));
    list.push(
        new("slots", Kind::U64, "sequence number, rows, events, bytes, CRC-32 of the bytes, CRC-32 of these words; for A and B")
            .along(&[("slot", 2), ("word", SLOT_WORDS)])
            .holds(Initial::Repeat(vec![0; 8])),
    );
    if layout.checkpoint_bytes > 0 {
        let byte = [("byte", layout.checkpoint_bytes as u64)];
        list.push(Dataset::dimension("checkpoint", "byte", byte[0].1));
        list.push(new("slot_a", Kind::U8, "exact state of the run").along(&byte));
        list.push(new("slot_b", Kind::U8, "exact state of the run").along(&byte));
    }
    if rows > 0 {
        list.push(Dataset::dimension("checkpoint", "sample", rows));
        let mut planned = new(
            "planned_time",
            Kind::F64,
            "time of every sample of the whole run",
        );
        planned.attributes[0].1 = Value::Text("ms".to_string());
        list.push(
            planned
                .along(&[("sample", rows)])
                .holds(f64s(layout.time_ms.iter().copied())),
        );
    }
}
