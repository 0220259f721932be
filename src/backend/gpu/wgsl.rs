//! From a lane plan to WGSL: the kernel's text with the step program, the watched quantities and the driven inputs in it.
//!
//! Everything that varies between fibres, studies of one model, or times is in buffers. The text depends on the model, the scheme,
//! the features and which inputs are driven, so it is compiled once for these.

use crate::backend::lane_plan::{Driven, LanePlan};
use crate::program::{Input, Node, Value};
use crate::protocol::{Level, TICKS_PER_MS};
use crate::scheme::Summation;

use super::features;
use super::form::{CLOCK_WORDS, Places, Real, Residence};

/// Invocations of a workgroup: one or two waves of any device.
pub(super) const WORKGROUP: u32 = 64;

const KERNEL: &str = include_str!("../../../shaders/kernel.wgsl");

/// The whole text of the kernel.
pub(super) fn kernel(plan: &LanePlan, real: Real, residence: Residence) -> String {
    let emitter = Emitter {
        plan,
        real,
        residence,
        places: Places::new(plan, residence),
    };
    let filled = fill(
        KERNEL,
        &[
            ("constants", emitter.constants()),
            ("load", emitter.load()),
            ("drive_loaded", emitter.drive(false)),
            ("program", emitter.program()),
            ("gather", emitter.gather()),
            ("sample", emitter.sample()),
            ("drive", emitter.drive(true)),
            ("set_aside", emitter.set_aside()),
            ("open", emitter.open()),
            ("accept", emitter.accept()),
            ("judge_stuck", emitter.judge_stuck()),
            ("store", emitter.store()),
        ],
    );
    let (maths, ticks, piece) = (real.maths(), features::TICKS_WGSL, features::PIECE_WGSL);
    format!("{maths}\n{ticks}\n{piece}\n{filled}")
}

/// Replaces what stands between `//> NAME` and `//<` by the text of that name, at the depth of the mark.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(template.len() * 4);
    let mut skipping = false;
    let mut used = 0;
    for line in template.lines() {
        if let Some(name) = line.trim_start().strip_prefix("//> ") {
            let indent = &line[..line.len() - line.trim_start().len()];
            let (_, text) = parts
                .iter()
                .find(|(n, _)| *n == name)
                .expect("every mark of the kernel has a text");
            used += 1;
            for part in text.lines() {
                filled.push_str(indent);
                filled.push_str(part);
                filled.push('\n');
            }
            skipping = true;
        } else if line.trim() == "//<" {
            skipping = false;
        } else if !skipping {
            filled.push_str(line);
            filled.push('\n');
        }
    }
    assert_eq!(used, parts.len(), "every text has its mark in the kernel");
    filled
}

struct Emitter<'a> {
    plan: &'a LanePlan,
    real: Real,
    residence: Residence,
    places: Places,
}

impl Emitter<'_> {
    fn literal(&self, x: f64) -> String {
        self.real.literal(x)
    }

    fn constants(&self) -> String {
        let plan = self.plan;
        [
            format!("const WORKGROUP: u32 = {WORKGROUP}u;"),
            format!("const LAST_ERROR_AT: u32 = {}u;", self.places.last_error),
            format!("const ADAPTIVE: bool = {};", plan.adaptive),
            format!("const WATCHED: bool = {};", plan.step.n_observables > 0),
            format!("const RECORDED: bool = {};", plan.n_recorded > 0),
            format!("const N_DRIVEN: u32 = {}u;", plan.driven.len()),
            format!("const LARGEST_STEP: u32 = {}u;", plan.largest_step(false)),
            format!(
                "const LARGEST_SETTLING_STEP: u32 = {}u;",
                plan.largest_step(true)
            ),
            format!(
                "const LARGEST_HELD_STEP: u32 = {}u;",
                plan.largest_held_step
            ),
            format!("const SMALLEST_STEP: u32 = {}u;", plan.smallest_step),
            format!("const FIRST_STEP: u32 = {}u;", plan.first_step),
            format!(
                "const TICKS_PER_TIME: Real = {};",
                self.literal(plan.ticks_per_time)
            ),
            format!(
                "const MS_PER_TICK: Real = {};",
                self.literal(1.0 / TICKS_PER_MS)
            ),
            format!(
                "const TIME_PER_TICK: Real = {};",
                self.literal(1.0 / plan.ticks_per_time)
            ),
            format!("const TOLERANCE: Real = {};", self.literal(plan.tolerance)),
        ]
        .join("\n")
    }

    /// The name of an input of the step program.
    fn input(&self, row: usize) -> String {
        match self.plan.step.inputs[row] {
            Input::State(i) => format!("s{i}"),
            Input::Lost(i) => format!("l{i}"),
            Input::Parameter(_) => format!("p{row}"),
            Input::Slope(_) => format!("q{row}"),
            Input::Clamped(i) => format!("c{i}"),
            Input::Pace => "pace".to_string(),
            Input::Time => "time".to_string(),
            Input::Step => "h".to_string(),
            Input::LastError => "last_error".to_string(),
        }
    }

    fn name(&self, value: Value) -> String {
        match self.plan.step.program.nodes[value.index()] {
            Node::Constant(bits) => self.literal(f64::from_bits(bits)),
            Node::Input(row) => self.input(row as usize),
            Node::Apply(..) => format!("v{}", value.index()),
        }
    }

    fn output(&self, k: usize) -> String {
        self.name(self.plan.step.program.outputs[k])
    }

    /// A state's variable, or that of what is summed beside it.
    fn state_name(&self, row: usize) -> String {
        let n = self.plan.n_states;
        if row < n {
            format!("s{row}")
        } else {
            format!("l{}", row - n)
        }
    }

    /// Rows and variables of the states and of what is summed beside them; none where they are in memory.
    fn state_names(&self) -> Vec<(usize, String)> {
        let width = match self.residence {
            Residence::Registers => self.plan.state_width(),
            Residence::Memory => 0,
        };
        (0..width).map(|row| (row, self.state_name(row))).collect()
    }

    /// Where a state stands on the side that is read.
    fn side(&self, row: usize) -> String {
        format!("reals[here + {row}u * frame.stride]")
    }

    /// Where a state stands on the side that is written.
    fn next_side(&self, row: usize) -> String {
        format!("reals[there + {row}u * frame.stride]")
    }

    /// Whether a second number stands beside each state.
    fn is_summed_beside(&self) -> bool {
        self.plan.lost_row.is_some()
    }

    fn n_observables(&self) -> usize {
        self.plan.step.n_observables
    }

    fn load(&self) -> String {
        let (plan, places) = (self.plan, self.places);
        let mut lines = Vec::new();
        let mut real = |name: String, row: usize| {
            lines.push(format!("var {name} = reals[real_at({row}u)];"));
        };
        for (i, name) in self.state_names() {
            real(name, i);
        }
        for k in 0..self.n_observables() {
            real(format!("o{k}"), places.open + 2 * k);
            real(format!("d{k}"), places.open + 2 * k + 1);
        }
        for f in 0..plan.features.len() {
            let (r, w) = (
                places.gathered + features::REALS * f,
                CLOCK_WORDS + features::WORDS * f,
            );
            lines.push(format!(
                "var gathered_{f} = Gathered(reals[real_at({r}u)], reals[real_at({}u)], words[real_at({w}u)], words[real_at({}u)], \
                 vec2<u32>(words[real_at({}u)], words[real_at({}u)]), vec2<u32>(words[real_at({}u)], words[real_at({}u)]));",
                r + 1, w + 1, w + 2, w + 3, w + 4, w + 5
            ));
        }
        for &(row, id) in &plan.parameter_rows {
            let name = self.input(row);
            match plan.experiment.varied.iter().position(|&v| v == Some(id)) {
                Some(i) => lines.push(format!("var {name} = given[real_at({i}u)];")),
                None => lines.push(format!("var {name} = Real(0.0);")),
            }
        }
        for (k, driven) in plan.driven.iter().enumerate() {
            match *driven {
                Driven::Unused => {}
                Driven::Pace { .. } => lines.push("var pace = Real(0.0);".to_string()),
                Driven::Parameter { slope_row, .. } => {
                    if let Some(slope) = slope_row {
                        lines.push(format!("var {} = Real(0.0);", self.input(slope)));
                    }
                    if self.ramps(k) {
                        lines.push(format!("var start_{k} = Real(0.0);"));
                        lines.push(format!("var rate_{k} = Real(0.0);"));
                    }
                }
                Driven::Clamp { state, .. } => lines.push(format!("var c{state} = Real(0.0);")),
            }
        }
        if plan.has_ramps {
            lines.push("var segment_start = tables[segment];".to_string());
        }
        if self.residence == Residence::Memory {
            let other = self.places.other_side;
            lines.push("let first_side = (flags & SIDE) == 0u;".to_string());
            lines.push(format!(
                "var here = select(real_at({other}u), fibre, first_side);"
            ));
            lines.push(format!(
                "var there = select(fibre, real_at({other}u), first_side);"
            ));
        }
        lines.join("\n")
    }

    fn ramps(&self, driven: usize) -> bool {
        let drive = |s: &crate::protocol::Segment| s.drives[driven];
        self.plan
            .schedule
            .segments
            .iter()
            .filter_map(drive)
            .any(|d| d.start != d.end)
    }

    /// Whether the driven input is the same number for all fibres all through each segment.
    fn is_number(&self, driven: usize) -> bool {
        self.plan.schedule.segments.iter().all(|s| {
            s.drives[driven].is_some_and(|d| {
                d.start == d.end && matches!((d.from, d.to), (Level::Number(_), Level::Number(_)))
            })
        })
    }

    /// Sets the driven inputs for the segment; clamps take hold on `entering` it.
    fn drive(&self, entering: bool) -> String {
        let mut lines = Vec::new();
        if self.plan.has_ramps && entering {
            lines.push("segment_start = tables[segment];".to_string());
        }
        for (k, driven) in self.plan.driven.iter().enumerate() {
            let set = |name: &str| {
                if self.is_number(k) {
                    format!("{name} = number_of(segment, {k}u);")
                } else {
                    format!("{name} = course_of(segment, {k}u).value;")
                }
            };
            match *driven {
                Driven::Unused => {}
                Driven::Pace { .. } => lines.push(set("pace")),
                Driven::Parameter { row, slope_row } => {
                    if !self.ramps(k) {
                        lines.push(set(&self.input(row)));
                        continue;
                    }
                    lines.push(format!("let course_{k} = course_of(segment, {k}u);"));
                    lines.push(format!("start_{k} = course_{k}.value;"));
                    lines.push(format!("rate_{k} = course_{k}.rate;"));
                    if let Some(slope) = slope_row {
                        let per_time = self.literal(self.plan.ms_per_time);
                        lines.push(format!("{} = rate_{k} * {per_time};", self.input(slope)));
                    }
                }
                Driven::Clamp { state, .. } => {
                    lines.push(format!("let course_{k} = course_of(segment, {k}u);"));
                    lines.push(format!(
                        "c{state} = select(Real(0.0), Real(1.0), course_{k}.held);"
                    ));
                    if entering {
                        lines.push(format!("if course_{k}.held {{"));
                        let n = self.plan.n_states;
                        let mut set = |row: usize, value: &str| {
                            lines.push(match self.residence {
                                Residence::Registers => {
                                    format!("    {} = {value};", self.state_name(row))
                                }
                                Residence::Memory => {
                                    format!("    {} = {value};", self.side(row))
                                }
                            });
                        };
                        set(state, &format!("course_{k}.value"));
                        if self.is_summed_beside() {
                            set(n + state, "Real(0.0)");
                        }
                        lines.push("}".to_string());
                    }
                }
            }
        }
        lines.join("\n")
    }

    fn program(&self) -> String {
        let plan = self.plan;
        let program = &plan.step.program;
        let mut lines = Vec::with_capacity(program.nodes.len());
        if plan.time_row.is_some() {
            lines.push("let time = ticks_real(now) / TICKS_PER_TIME;".to_string());
        }
        if plan.has_ramps {
            lines.push(
                "let since_ms = ticks_real(ticks_sub(now, segment_start)) * MS_PER_TICK;"
                    .to_string(),
            );
            for (k, driven) in plan.driven.iter().enumerate() {
                if let (Driven::Parameter { row, .. }, true) = (driven, self.ramps(k)) {
                    lines.push(format!(
                        "{} = start_{k} + rate_{k} * since_ms;",
                        self.input(*row)
                    ));
                }
            }
        }
        let kept = self.kept_values();
        let in_memory = self.residence == Residence::Memory;
        let mut written = self.written();
        for (i, node) in program.nodes.iter().enumerate() {
            if let (Node::Input(row), true) = (node, in_memory) {
                // Read where it is first needed: the program has its inputs there.
                let state = match plan.step.inputs[*row as usize] {
                    Input::State(i) => Some(i),
                    Input::Lost(i) => Some(plan.n_states + i),
                    _ => None,
                };
                lines.extend(
                    state.map(|row| format!("let {} = {};", self.state_name(row), self.side(row))),
                );
            }
            let Node::Apply(op, _) = node else { continue };
            let names: Vec<String> = node.args().iter().map(|&a| self.name(a)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let expression = op.wgsl(&names);
            lines.push(if kept[i] {
                format!("let v{i} = kept({expression});")
            } else {
                format!("let v{i} = {expression};")
            });
            for row in std::mem::take(&mut written[i]) {
                lines.push(format!("{} = v{i};", self.next_side(row)));
            }
        }
        if in_memory {
            // Outputs that are no results of an operation: what stays as it is.
            for row in 0..plan.state_width() {
                let output = plan.step.program.outputs[row];
                if !matches!(program.nodes[output.index()], Node::Apply(..)) {
                    let value = self.name(output);
                    lines.push(format!("{} = {value};", self.next_side(row)));
                }
            }
        }
        let control = plan.step.error_output();
        for (k, name) in ["error", "log_error", "growth"].iter().enumerate() {
            lines.push(format!("let {name}: Real = {};", self.output(control + k)));
        }
        lines.join("\n")
    }

    /// Rows of states that each value of the program is written to, where states are in memory.
    fn written(&self) -> Vec<Vec<usize>> {
        let program = &self.plan.step.program;
        let mut written = vec![Vec::new(); program.nodes.len()];
        if self.residence == Residence::Memory {
            for row in 0..self.plan.state_width() {
                written[program.outputs[row].index()].push(row);
            }
        }
        written
    }

    /// Values that the compiler must not look through: with them a compensated sum is what it says.
    fn kept_values(&self) -> Vec<bool> {
        let (program, n) = (&self.plan.step.program, self.plan.n_states);
        let mut kept = vec![false; program.nodes.len()];
        if self.plan.step.summation != Summation::Compensated {
            return kept;
        }
        for i in 0..n {
            // sum = state + due, taken = sum - state, lost = taken - due.
            let (sum, lost) = (program.outputs[i], program.outputs[n + i]);
            kept[sum.index()] = true;
            if let Some(&taken) = program.nodes[lost.index()].args().first() {
                kept[taken.index()] = true;
            }
        }
        kept
    }

    fn gather(&self) -> String {
        let per_ms = self.literal(1.0 / self.plan.ms_per_time);
        let mut lines = Vec::new();
        for (f, (spec, of)) in self.plan.features.iter().enumerate() {
            let (value, rate) = self.observed(*of);
            lines.push("{".to_string());
            lines.push(format!(
                "    let piece = Piece(piece_start, piece_length, length_ms, o{of}, d{of} * {per_ms}, {value}, {rate} * {per_ms});"
            ));
            lines.extend(features::feed(spec, f).lines().map(|l| format!("    {l}")));
            lines.push("}".to_string());
        }
        lines.join("\n")
    }

    /// An observable's value and rate at the start of the step.
    fn observed(&self, observable: usize) -> (String, String) {
        let at = self.plan.step.observable_output(observable);
        (self.output(at), self.output(at + 1))
    }

    fn sample(&self) -> String {
        let line = |k: usize| {
            let (value, rate) = self.observed(k);
            format!(
                "samples[{k}u * n_places + place] = hermite(share, length, o{k}, d{k}, {value}, {rate});"
            )
        };
        let lines: Vec<String> = (0..self.plan.n_recorded).map(line).collect();
        lines.join("\n")
    }

    fn open(&self) -> String {
        let line = |k: usize| {
            let (value, rate) = self.observed(k);
            format!("o{k} = {value};\nd{k} = {rate};")
        };
        let lines: Vec<String> = (0..self.n_observables()).map(line).collect();
        lines.join("\n")
    }

    fn accept(&self) -> String {
        if self.residence == Residence::Memory {
            return "let before = here;\nhere = there;\nthere = before;".to_string();
        }
        // All at once: an output may be another state's old value.
        let n = self.plan.n_states;
        let targets = (0..n)
            .map(|i| format!("s{i}"))
            .chain((0..n).map(|i| format!("l{i}")))
            .take(self.plan.state_width());
        let moves: Vec<(String, String)> = targets
            .enumerate()
            .map(|(k, target)| (target, self.output(k)))
            .filter(|(target, value)| target != value)
            .collect();
        debug_assert!(
            moves
                .iter()
                .all(|(_, value)| !value.starts_with('s') && !value.starts_with('l')),
            "new states are computed, or stay"
        );
        moves
            .iter()
            .map(|(target, value)| format!("{target} = {value};"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Keeps the new states for [`Emitter::judge_stuck`]: where sums are compensated in the place of what rounding took, so
    /// that no register is alive for it in the loop.
    fn set_aside(&self) -> String {
        let n = self.plan.n_states;
        if self.residence == Residence::Memory {
            return String::new();
        }
        (0..n)
            .map(|i| match self.plan.step.summation {
                Summation::Compensated => format!("l{i} = {};", self.output(i)),
                Summation::Plain => {
                    format!(
                        "reals[real_at({}u)] = {};",
                        self.places.aside + i,
                        self.output(i)
                    )
                }
                Summation::Quanta => format!(
                    "reals[real_at({}u)] = {} + {};",
                    self.places.aside + i,
                    self.output(i),
                    self.output(n + i)
                ),
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn judge_stuck(&self) -> String {
        let mut lines = Vec::new();
        for i in 0..self.plan.n_states {
            let n = self.plan.n_states;
            let (old, new) = match self.plan.step.summation {
                Summation::Quanta if self.residence == Residence::Memory => (
                    format!("({} + {})", self.side(i), self.side(n + i)),
                    format!("({} + {})", self.next_side(i), self.next_side(n + i)),
                ),
                _ if self.residence == Residence::Memory => (self.side(i), self.next_side(i)),
                Summation::Compensated => (format!("s{i}"), format!("l{i}")),
                Summation::Plain => (
                    format!("s{i}"),
                    format!("reals[real_at({}u)]", self.places.aside + i),
                ),
                Summation::Quanta => (
                    format!("(s{i} + l{i})"),
                    format!("reals[real_at({}u)]", self.places.aside + i),
                ),
            };
            let scale = self.plan.scales.get(i).copied().unwrap_or(1.0);
            lines.push("{".to_string());
            lines.push(format!("    let new_state = {new};"));
            lines.push(format!(
                "    let share = abs(new_state - {old}) / max(abs({old}), {});",
                self.literal(scale)
            ));
            lines.push(format!(
                "    if is_finite_real(share) && share > moved {{ moved = share; most_moved = {i}u; }}"
            ));
            lines.push(format!(
                "    if !is_finite_real(new_state) && not_finite == NUMBER {{ not_finite = {i}u; }}"
            ));
            lines.push("}".to_string());
        }
        if self.plan.step.summation == Summation::Compensated
            && self.residence == Residence::Registers
        {
            // What rounding took was given up for the judgement.
            for i in 0..self.plan.n_states {
                lines.push(format!("l{i} = Real(0.0);"));
            }
        }
        lines.join("\n")
    }

    fn store(&self) -> String {
        let (plan, places) = (self.plan, self.places);
        let mut lines = Vec::new();
        if self.residence == Residence::Memory {
            lines.push("flags = select(flags | SIDE, flags & ~SIDE, here == fibre);".to_string());
        }
        let mut real = |name: String, row: usize| {
            lines.push(format!("reals[real_at({row}u)] = {name};"));
        };
        for (i, name) in self.state_names() {
            real(name, i);
        }
        for k in 0..self.n_observables() {
            real(format!("o{k}"), places.open + 2 * k);
            real(format!("d{k}"), places.open + 2 * k + 1);
        }
        for f in 0..plan.features.len() {
            real(format!("gathered_{f}.value"), places.gathered + 2 * f);
            real(format!("gathered_{f}.rest"), places.gathered + 2 * f + 1);
        }
        for f in 0..plan.features.len() {
            let w = CLOCK_WORDS + features::WORDS * f;
            let fields = ["count", "above", "first.x", "first.y", "last.x", "last.y"];
            for (k, field) in fields.iter().enumerate() {
                lines.push(format!(
                    "words[real_at({}u)] = gathered_{f}.{field};",
                    w + k
                ));
            }
        }
        lines.join("\n")
    }
}
