//! What `--json` prints, as strict types: a field more, less or of another type fails.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    pub schema: u32,
    pub models: Vec<ListedModel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedModel {
    pub name: String,
    pub description: String,
    pub n_states: usize,
    pub n_parameters: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneModel {
    pub schema: u32,
    pub name: String,
    pub file: String,
    pub description: String,
    pub ms_per_time: f64,
    pub protocol: Vec<PacingEvent>,
    pub variables: Vec<Variable>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PacingEvent {
    pub level: f64,
    pub start: f64,
    pub length: f64,
    pub period: f64,
    pub count: u32,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    pub name: String,
    pub kind: String,
    pub default: Option<f64>,
    pub unit: Option<String>,
    pub description: Option<String>,
    pub source: Option<String>,
    pub label: Option<String>,
    pub binding: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    pub schema: u32,
    pub file: String,
    pub ok: bool,
    pub diagnostics: Vec<Fault>,
    pub model: Option<String>,
    pub n_equations: Option<usize>,
    #[serde(default)]
    pub states: Vec<String>,
    #[serde(default)]
    pub gates: Vec<String>,
    #[serde(default)]
    pub parameters: Vec<String>,
    #[serde(default)]
    pub constants: Vec<String>,
    #[serde(default)]
    pub intermediates: Vec<String>,
    #[serde(default)]
    pub bindings: BTreeMap<String, String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub removable_singularities: Option<usize>,
}

#[derive(Debug, Deserialize)]
pub struct Fault {
    pub code: String,
    pub severity: String,
    pub message: String,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub help: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub schema: u32,
    pub model: String,
    pub time: f64,
    pub time_unit: Option<String>,
    pub pace: f64,
    pub states: BTreeMap<String, StateAt>,
    pub variables: BTreeMap<String, Option<f64>>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StateAt {
    pub value: f64,
    pub derivative: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    dead_code,
    reason = "every field must be there, whether a test looks at it or not"
)]
pub struct Gpu {
    pub number: usize,
    pub name: String,
    pub kind: String,
    pub software: bool,
    pub api: String,
    pub driver: String,
    pub usable: bool,
    pub why_not: Option<String>,
    pub f64: bool,
    pub summation: Option<String>,
    pub exp_ulps: Option<f64>,
    pub max_binding_bytes: u64,
    pub max_buffer_bytes: u64,
    pub max_workgroups: u32,
    pub subgroup_min: u32,
    pub subgroup_max: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    pub schema: u32,
    pub cpu: Cpu,
    pub gpus: Vec<Gpu>,
    /// What `--backend auto` takes: a GPU's name, or `cpu`.
    pub auto: String,
    /// What to install; where no real GPU can be used.
    pub gpu_note: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    pub architecture: String,
    pub simd: String,
    pub simd_available: Vec<String>,
    pub engine: String,
    pub threads: usize,
}
