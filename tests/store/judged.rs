//! Judgement of a file by `readers.py`, with the Python that `SARCOLEMMA_PYTHON` names.

use std::path::Path;
use std::process::Command;

use sarcolemma::run::sink::{Attribute, Layout, Traces};

/// Has other libraries read a synthetic file of which `rows` rows are whole.
pub fn judge(path: &Path, layout: &Layout, rows: usize, end: Option<bool>) {
    let Some(python) = std::env::var_os("SARCOLEMMA_PYTHON") else {
        let why = "SARCOLEMMA_PYTHON names no Python with h5py, netCDF4, xarray and h5netcdf: \
                   the files were not judged by other libraries";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
        eprintln!("{why}");
        return;
    };
    let attribute = |value: &Attribute| match value {
        Attribute::Text(text) => serde_json::json!(text),
        Attribute::Integer(number) => serde_json::json!(number),
        Attribute::Real(number) => serde_json::json!(number),
    };
    let attributes: serde_json::Map<_, _> = layout
        .attributes
        .iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect();
    let ids = match &layout.traces {
        Traces::All => None,
        Traces::Some(ids) => Some(ids),
    };
    let expected = serde_json::json!({
        "rows": layout.time_ms.len(),
        "fibres": layout.n_fibres,
        "traces": super::synthetic::n_traces(layout),
        "trace_ids": ids,
        "whole": rows,
        "events_inside": if end == Some(false) { rows } else { layout.event_capacity },
        "precision": match layout.precision.bytes() { 4 => "float32", _ => "float64" },
        "status": match end { None => "running", Some(true) => "interrupted", Some(false) => "complete" },
        "attributes": attributes,
        "compressed": path.file_stem().is_some_and(|stem| stem == "compressed"),
    });
    let json = path.with_extension("json");
    std::fs::write(&json, expected.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/readers.py");
    let output = Command::new(python)
        .arg(script)
        .arg(path)
        .arg(json)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}: {}{}",
        path.display(),
        text(&output.stdout),
        text(&output.stderr)
    );
}
