//! What a result file holds: every dataset with its shape, its axes and its CF attributes, worked out from a [`Layout`].
//!
//! Here is the meaning; [`super::skeleton`] turns it into bytes. The list is in the order in which tools show it.

use std::collections::HashSet;

use super::StoreError;
use super::chunks;
use super::groups;
use super::packed;
use super::part;
use crate::run::sink::{Attribute, Column, Layout, Precision, Traces};

/// Runs of the reference that `/agreement` has room for.
pub(super) const MOST_RERUNS: u64 = 1024;
/// Words of a checkpoint slot's head: see [`super::checkpoint`].
pub(super) const SLOT_WORDS: u64 = 6;
/// What netCDF calls a dimension that has no variable.
const NO_VARIABLE: &str = "This is a netCDF dimension but not a netCDF variable.";

/// The type of a dataset's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I16,
    I32,
    I64,
    U64,
    F32,
    F64,
}

impl Kind {
    pub(super) fn bytes(self) -> u64 {
        match self {
            Kind::U8 => 1,
            Kind::I16 => 2,
            Kind::I32 | Kind::F32 => 4,
            Kind::I64 | Kind::U64 | Kind::F64 => 8,
        }
    }
}

/// The value of an attribute of a dataset.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    F32(f32),
    F64(f64),
    I64(i64),
    U8s(Vec<u8>),
    I16s(Vec<i16>),
    I32s(Vec<i32>),
}

/// What a dataset's storage holds when the file is made.
#[derive(Clone, Debug)]
pub(super) enum Initial {
    /// Whatever fresh space holds (zeros); overwritten later.
    Nothing,
    /// These bytes.
    Bytes(Vec<u8>),
    /// One element's bytes, everywhere.
    Repeat(Vec<u8>),
}

/// One dataset of the file.
#[derive(Clone, Debug)]
pub(super) struct Dataset {
    /// The group's name; empty for the root.
    pub group: &'static str,
    pub name: String,
    pub kind: Kind,
    pub dims: Vec<u64>,
    pub chunk: Option<[u64; 2]>,
    /// Level at which the chunks are compressed.
    pub deflate: Option<u32>,
    /// Paths of the dimension scales of the axes; a scale has none.
    pub axes: Vec<String>,
    /// Whether this dataset is itself a dimension scale.
    pub is_scale: bool,
    /// Whether it has storage: a dimension without a variable has none.
    pub stored: bool,
    /// Whether its length is only known at the end: its header is then small and apart.
    pub resizable: bool,
    pub attributes: Vec<(String, Value)>,
    pub initial: Initial,
}

impl Dataset {
    pub(super) fn path(&self) -> String {
        if self.group.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.group, self.name)
        }
    }

    pub(super) fn new(
        group: &'static str,
        name: &str,
        kind: Kind,
        units: &str,
        long_name: &str,
    ) -> Self {
        Dataset {
            group,
            name: name.to_string(),
            kind,
            dims: Vec::new(),
            chunk: None,
            deflate: None,
            axes: Vec::new(),
            is_scale: false,
            stored: true,
            resizable: false,
            attributes: vec![
                ("units".to_string(), Value::Text(units.to_string())),
                ("long_name".to_string(), Value::Text(long_name.to_string())),
            ],
            initial: Initial::Nothing,
        }
    }

    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.attributes.push((name.to_string(), value));
        self
    }

    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.with(name, Value::Text(value.to_string()))
    }

    pub(super) fn holds(mut self, initial: Initial) -> Self {
        self.initial = initial;
        self
    }

    /// NaN until something better is known, and said to be so.
    pub(super) fn nan(self) -> Self {
        match self.kind {
            Kind::F32 => self.with("_FillValue", Value::F32(f32::NAN)),
            _ => self
                .with("_FillValue", Value::F64(f64::NAN))
                .holds(Initial::Repeat(f64::NAN.to_le_bytes().to_vec())),
        }
    }

    pub(super) fn along(mut self, axes: &[(&str, u64)]) -> Self {
        let prefix = if self.group.is_empty() {
            String::new()
        } else {
            format!("{}/", self.group)
        };
        self.axes = axes
            .iter()
            .map(|(name, _)| format!("{prefix}{name}"))
            .collect();
        self.dims = axes.iter().map(|(_, length)| *length).collect();
        self
    }

    pub(super) fn scale(mut self, length: u64) -> Self {
        self.is_scale = true;
        self.dims = vec![length];
        self
    }

    pub(super) fn resizable(mut self) -> Self {
        self.resizable = true;
        self
    }

    /// A netCDF dimension that has no variable.
    pub(super) fn dimension(group: &'static str, name: &str, length: u64) -> Self {
        let mut scale = Dataset::new(group, name, Kind::F32, "", "").scale(length);
        scale.attributes.clear();
        scale.stored = false;
        scale
    }

    /// The `NAME` attribute of a dimension scale.
    pub(super) fn scale_name(&self) -> String {
        if self.stored {
            self.name.clone()
        } else {
            format!("{NO_VARIABLE}{:10}", self.dims[0])
        }
    }

    /// Number of its chunks.
    pub(super) fn stored_chunks(&self) -> u64 {
        let [rows, columns] = self.chunk.unwrap_or([1, 1]);
        self.dims[0].div_ceil(rows) * self.dims[1].div_ceil(columns)
    }

    /// Bytes of its storage; an error where the size is beyond all bounds.
    pub(super) fn stored_bytes(&self) -> Result<u64, StoreError> {
        if !self.stored {
            return Ok(0);
        }
        let size = match self.chunk {
            Some([rows, columns]) if self.deflate.is_some() => Some(packed::index_bytes(
                self.stored_chunks(),
                rows * columns * self.kind.bytes(),
            )),
            Some(chunk) => {
                chunks::stored_bytes([self.dims[0], self.dims[1]], chunk, self.kind.bytes())
            }
            None => self
                .dims
                .iter()
                .try_fold(self.kind.bytes(), |size, &n| size.checked_mul(n)),
        };
        // The largest file of any system in use.
        size.filter(|&n| n < 1 << 60).ok_or_else(|| {
            StoreError::BadLayout(format!(
                "`{}` of shape {:?} is too large for any file",
                self.name, self.dims
            ))
        })
    }
}

/// Everything that the file holds.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub datasets: Vec<Dataset>,
    /// Root attributes beside `status` and `n_lost`.
    pub attributes: Vec<(String, Value)>,
}

/// `n` flags as CF wants them: names joined by blanks.
pub(super) fn meanings<S: AsRef<str>>(names: &[S]) -> String {
    let clean = |name: &S| name.as_ref().replace(char::is_whitespace, "_");
    names.iter().map(clean).collect::<Vec<_>>().join(" ")
}

fn described(group: &'static str, column: &Column, kind: Kind, role: &str) -> Dataset {
    let mut dataset = Dataset::new(group, &column.name, kind, &column.units, &column.long_name);
    if let Some(methods) = &column.cell_methods {
        dataset = dataset.text("cell_methods", methods);
    }
    dataset.text("role", role)
}

pub(super) fn f64s(values: impl IntoIterator<Item = f64>) -> Initial {
    Initial::Bytes(values.into_iter().flat_map(f64::to_le_bytes).collect())
}

fn i64s(values: impl IntoIterator<Item = u64>) -> Initial {
    Initial::Bytes(
        values
            .into_iter()
            .flat_map(|n| (n as i64).to_le_bytes())
            .collect(),
    )
}

pub(super) fn names(list: &[Column]) -> Vec<&str> {
    list.iter().map(|column| column.name.as_str()).collect()
}

/// The contents of the file for a layout, checked for contradictions.
pub(super) fn contents(layout: &Layout, created: &str) -> Result<Contents, StoreError> {
    check(layout)?;
    let fibres = layout.n_fibres as u64;
    let rows = layout.time_ms.len() as u64;
    let fibre = [("fibre", fibres)];
    let mut list = Vec::new();

    if rows > 0 {
        list.push(
            Dataset::new("", "time", Kind::F64, "ms", "time of the sample")
                .text("standard_name", "time")
                .text("axis", "T")
                .scale(rows)
                .holds(Initial::Repeat(f64::NAN.to_le_bytes().to_vec())),
        );
    }
    list.push(
        Dataset::new("", "fibre", Kind::I64, "1", "fibre")
            .text("cf_role", "timeseries_id")
            .scale(fibres)
            .holds(i64s((0..fibres).map(|n| layout.first_fibre + n))),
    );
    let columns = match &layout.traces {
        Traces::All => ("fibre", fibres),
        Traces::Some(ids) => {
            if rows > 0 {
                list.push(
                    Dataset::new("", "trace", Kind::I64, "1", "recorded fibre")
                        .scale(ids.len() as u64)
                        .holds(i64s(ids.iter().copied())),
                );
            }
            ("trace", ids.len() as u64)
        }
    };
    let kind = match layout.precision {
        Precision::F32 => Kind::F32,
        Precision::F64 => Kind::F64,
    };
    if rows > 0 {
        for column in &layout.variables {
            let mut trace = described("", column, kind, "trace")
                .along(&[("time", rows), columns])
                .nan();
            trace.chunk = chunks::shape(rows, columns.1, kind.bytes());
            trace.initial = Initial::Nothing;
            list.push(trace);
        }
    }
    for (column, values) in &layout.parameters {
        list.push(
            described("", column, Kind::F64, "parameter")
                .along(&fibre)
                .nan()
                .holds(f64s(values.iter().copied())),
        );
    }
    for column in &layout.features {
        list.push(
            described("", column, Kind::F64, "feature")
                .along(&fibre)
                .nan(),
        );
    }
    list.push(
        Dataset::new("", "status", Kind::U8, "1", "how the fibre ended")
            .with("flag_values", Value::U8s(vec![0, 1, 2]))
            .text("flag_meanings", "finished lost stopped")
            .along(&fibre)
            .holds(Initial::Repeat(vec![2])),
    );
    list.push(
        Dataset::new(
            "",
            "lost_at",
            Kind::F64,
            "ms",
            "time at which the fibre was lost",
        )
        .along(&fibre)
        .nan(),
    );
    let states: Vec<i16> = (0..layout.state_names.len() as i16).collect();
    list.push(
        Dataset::new(
            "",
            "lost_variable",
            Kind::I16,
            "1",
            "state that first was not finite; -1 where none was",
        )
        .with(
            "flag_values",
            Value::I16s(std::iter::once(-1).chain(states).collect()),
        )
        .text(
            "flag_meanings",
            format!("none {}", meanings(&layout.state_names)).trim_end(),
        )
        .along(&fibre)
        .holds(Initial::Repeat((-1i16).to_le_bytes().to_vec())),
    );

    groups::events(layout, &mut list);
    groups::agreement(layout, &mut list);
    groups::checkpoint(layout, &mut list);
    part::datasets(layout, &mut list);
    check_names(&list)?;
    Ok(Contents {
        datasets: list,
        attributes: root_attributes(layout, created),
    })
}

fn root_attributes(layout: &Layout, created: &str) -> Vec<(String, Value)> {
    let version = env!("CARGO_PKG_VERSION");
    let mut attributes = vec![
        (
            "Conventions".to_string(),
            Value::Text("CF-1.11".to_string()),
        ),
        (
            "source".to_string(),
            Value::Text(format!("sarcolemma {version}")),
        ),
        (
            "sarcolemma_version".to_string(),
            Value::Text(version.to_string()),
        ),
        (
            super::BUILD_ATTRIBUTE.to_string(),
            Value::Text(super::BUILD.to_string()),
        ),
        ("created".to_string(), Value::Text(created.to_string())),
        (
            "history".to_string(),
            Value::Text(format!("{created} created by sarcolemma {version}")),
        ),
    ];
    for (name, value) in &layout.attributes {
        let own = [
            "Conventions",
            "sarcolemma_version",
            "created",
            "status",
            "n_lost",
        ]
        .contains(&name.as_str());
        if own {
            continue;
        }
        attributes.retain(|(known, _)| known != name);
        let value = match value {
            Attribute::Text(text) if name == "history" => {
                Value::Text(format!("{created} {text} by sarcolemma {version}"))
            }
            Attribute::Text(text) => Value::Text(text.clone()),
            Attribute::Integer(number) => Value::I64(*number),
            Attribute::Real(number) => Value::F64(*number),
        };
        attributes.push((name.clone(), value));
    }
    attributes.extend(part::attributes(layout));
    attributes
}

fn check(layout: &Layout) -> Result<(), StoreError> {
    let bad = |why: String| Err(StoreError::BadLayout(why));
    if layout.n_fibres == 0 {
        return bad("no fibre at all".to_string());
    }
    let last = layout.first_fibre.checked_add(layout.n_fibres as u64);
    let Some(last) = last.filter(|&n| n <= i64::MAX as u64) else {
        return bad(format!(
            "the first fibre's id {} is too large",
            layout.first_fibre
        ));
    };
    if let Traces::Some(ids) = &layout.traces {
        // A part may have none of the recorded fibres.
        let records = !layout.variables.is_empty() && !layout.time_ms.is_empty();
        if ids.is_empty() && records && layout.part.is_none() {
            return bad("variables are recorded, but of no fibre".to_string());
        }
        if !ids.is_sorted_by(|a, b| a < b) {
            return bad("the recorded fibres' ids are not ascending".to_string());
        }
        if let Some(id) = ids
            .iter()
            .find(|id| !(layout.first_fibre..last).contains(id))
        {
            return bad(format!(
                "the recorded fibre {id} is not among the fibres {}..{last}",
                layout.first_fibre
            ));
        }
    }
    if !layout.time_ms.is_sorted_by(|a, b| a < b) {
        return bad("the times of the samples are not ascending".to_string());
    }
    if !layout.time_ms.is_empty() && layout.rows_per_slab == 0 {
        return bad("a slab of no rows".to_string());
    }
    for (column, values) in &layout.parameters {
        if values.len() != layout.n_fibres {
            return bad(format!(
                "`{}` has {} values for {} fibres",
                column.name,
                values.len(),
                layout.n_fibres
            ));
        }
    }
    if layout.event_features.len() > 256 || layout.state_names.len() >= i16::MAX as usize {
        return bad("more than 256 features with events, or more than 32766 states".to_string());
    }
    Ok(())
}

fn check_names(list: &[Dataset]) -> Result<(), StoreError> {
    let mut seen: HashSet<String> = ["events", "agreement", "checkpoint", "shard"]
        .map(String::from)
        .into();
    for dataset in list {
        let name = &dataset.name;
        if name.is_empty()
            || name.contains('/')
            || name == "."
            || name.chars().any(char::is_control)
        {
            return Err(StoreError::BadName(name.clone()));
        }
        if !seen.insert(dataset.path()) {
            return Err(StoreError::DuplicateName(name.clone()));
        }
    }
    Ok(())
}
