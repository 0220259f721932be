//! Reading `[record]` and `[features]`: what a study keeps.

use super::events::End;
use super::faults;
use super::names::Role;
use super::quantity::Wanted;
use super::sampling::Population;
use super::walk::{Item, Reader, Table};
use crate::diag::Label;
use crate::feature::{FeatureKind, FeatureSpec};
use crate::model::VariableId;
use crate::protocol::{Tick, ms, tick};
use toml::de::DeValue;

/// More samples of one trace than this cannot be meant.
const MOST_SAMPLES: f64 = 50_000_000.0;

/// Which fibres are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traces {
    /// Every fibre.
    All,
    /// These fibre ids, ascending, each once.
    Some(Vec<u64>),
}

/// What is recorded over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// States and intermediates; may be empty.
    pub variables: Vec<VariableId>,
    /// Time between samples, ms. The first is at 0, the last at or before the end.
    pub every_ms: f64,
    /// Of which fibres.
    pub traces: Traces,
}

impl Record {
    /// Number of samples of each trace in a study of this length; 0 where nothing is recorded.
    pub fn samples(&self, duration_ms: f64) -> usize {
        if self.variables.is_empty() {
            return 0;
        }
        // A multiple of `every` that rounds to the last tick is a sample too.
        ((tick(duration_ms) as f64 + 0.5) / (self.every_ms * crate::protocol::TICKS_PER_MS)).floor()
            as usize
            + 1
    }

    /// When the samples are taken: whole multiples of `every`, rounded to ticks.
    pub fn ticks(&self, duration_ms: f64) -> impl Iterator<Item = Tick> {
        let (every, end) = (self.every_ms, tick(duration_ms));
        (0..self.samples(duration_ms)).map(move |k| tick(k as f64 * every).min(end))
    }

    /// The same in ms.
    pub fn times_ms(&self, duration_ms: f64) -> Vec<f64> {
        self.ticks(duration_ms).map(ms).collect()
    }
}

/// Names in a result that are not a study's to give.
const RESERVED: [&str; 13] = [
    "time",
    "fibre",
    "trace",
    "status",
    "lost_at",
    "lost_variable",
    "events",
    "event",
    "spike_time",
    "spike_fibre",
    "agreement",
    "checkpoint",
    "lost",
];

impl Reader<'_> {
    /// Reads `[record]`; without it nothing is recorded.
    pub fn record(
        &mut self,
        item: Option<Item<'_>>,
        population: &Population,
        end: End,
        fewer_fibres: bool,
    ) -> Record {
        let mut record = Record {
            variables: Vec::new(),
            every_ms: 1.0,
            traces: Traces::All,
        };
        let Some(mut table) = item.as_ref().and_then(|item| self.table(item)) else {
            return record;
        };
        let variables = self.require(&mut table, "variables", "[\"membrane.V\"]");
        let every = self.require(&mut table, "every", "\"0.5 ms\"");
        let fibres = table.take("fibres");
        self.finish(&table);
        let mut places = Vec::new();
        for item in variables
            .and_then(|item| self.list(&item))
            .unwrap_or_default()
        {
            let Some(id) = self.variable(&item, Role::Observable) else {
                continue;
            };
            if let Some(i) = record.variables.iter().position(|v| *v == id) {
                let message = format!("{} is recorded twice", item.shown());
                self.error(faults::DUPLICATE, item.span, message)
                    .secondary
                    .push(Label {
                        span: places[i],
                        message: "first here".to_string(),
                    });
                continue;
            }
            record.variables.push(id);
            places.push(item.span);
        }
        if let Some(item) = every
            && let Some(every_ms) = self.positive_time(&item)
        {
            record.every_ms = every_ms;
            if tick(every_ms) < 1 {
                let message = format!("'record.every' is {}, shorter than 10 ns", item.shown());
                self.error(faults::RANGE, item.span, message);
            } else if let Some(duration_ms) = end.duration_ms {
                let samples = duration_ms / every_ms;
                if samples > MOST_SAMPLES {
                    let message = format!(
                        "'record.every' is {}: {samples:.0} samples of each trace, more than {MOST_SAMPLES:.0}",
                        item.shown()
                    );
                    self.error(faults::RANGE, item.span, message);
                } else if every_ms > duration_ms && !end.overridden {
                    let message = format!(
                        "'record.every' is {}, longer than the study: only time 0 is recorded",
                        item.shown()
                    );
                    self.warning(faults::DOUBTFUL, item.span, message);
                }
            }
        }
        if let Some(item) = fibres {
            record.traces = self
                .traces(&item, population.fibres, fewer_fibres)
                .unwrap_or(Traces::All);
            if matches!(&record.traces, Traces::Some(ids) if ids.is_empty()) {
                let message = format!("'record.fibres' is {}: no fibre is recorded", item.shown());
                self.error(faults::RANGE, item.span, message).help =
                    Some("without [record] nothing is recorded".to_string());
            }
        }
        record
    }

    fn traces(&mut self, item: &Item<'_>, fibres: u64, fewer_fibres: bool) -> Option<Traces> {
        match item.value {
            DeValue::String(text) if text == "all" => Some(Traces::All),
            DeValue::Table(_) => {
                let mut table = self.table(item)?;
                let first = self.require(&mut table, "first", "100");
                self.finish(&table);
                let first = first?;
                let n = self.whole(&first)?;
                if n > fibres && !fewer_fibres {
                    let message =
                        format!("the first {n} fibres are to be recorded, but there are {fibres}");
                    self.warning(faults::DOUBTFUL, first.span, message);
                }
                Some(if n >= fibres {
                    Traces::All
                } else {
                    Traces::Some((0..n).collect())
                })
            }
            DeValue::Array(_) => {
                let mut ids = Vec::new();
                for item in self.list(item)? {
                    let Some(id) = self.whole(&item) else {
                        continue;
                    };
                    if ids.contains(&id) {
                        self.error(
                            faults::DUPLICATE,
                            item.span,
                            format!("fibre {id} is recorded twice"),
                        );
                    } else if id >= fibres {
                        if !fewer_fibres {
                            let message = format!(
                                "fibre {id} does not exist: ids go from 0 to {}",
                                fibres - 1
                            );
                            self.error(faults::RANGE, item.span, message);
                        }
                    } else {
                        ids.push(id);
                    }
                }
                ids.sort_unstable();
                Some(Traces::Some(ids))
            }
            _ => {
                self.wrong_type(item, "\"all\", { first = 100 } or a list of ids");
                None
            }
        }
    }

    /// Reads `[features]`. `taken` are the names of other columns of the result.
    pub fn features(
        &mut self,
        item: Option<Item<'_>>,
        taken: &[String],
        end: End,
    ) -> Vec<FeatureSpec> {
        let Some(table) = item.as_ref().and_then(|item| self.table(item)) else {
            return Vec::new();
        };
        let mut features: Vec<FeatureSpec> = Vec::new();
        let mut columns: Vec<String> = Vec::new();
        for (name, item) in table.items() {
            let good = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !good {
                let message = format!(
                    "'{name}' is no name for a feature: letters, digits and _ are, with a letter first"
                );
                self.error(faults::WRONG_KIND, item.key, message);
            }
            if RESERVED.contains(&name) {
                let message =
                    format!("'{name}' is a name of the result's own; a feature needs another");
                self.error(faults::DUPLICATE, item.key, message);
            }
            let Some(feature) = self.feature(name, &item, end) else {
                continue;
            };
            for column in feature.column_names() {
                if taken.contains(&column) || columns.contains(&column) {
                    let message = format!("the result would have two columns '{column}'");
                    self.error(faults::DUPLICATE, item.key, message).help =
                        Some("name the feature differently".to_string());
                }
                columns.push(column);
            }
            features.push(feature);
        }
        features
    }

    fn feature(&mut self, name: &str, item: &Item<'_>, end: End) -> Option<FeatureSpec> {
        let mut table = self.table(item)?;
        let mut found: Vec<(FeatureKind, Item<'_>)> = Vec::new();
        for kind in FeatureKind::ALL {
            found.extend(table.take(kind.name()).map(|item| (kind, item)));
        }
        // The short form of spikes: what they are counted on is `of`.
        found.extend(table.take("of").map(|item| (FeatureKind::Spikes, item)));
        let (threshold, at) = (table.take("threshold"), table.take("at"));
        let (after, before) = (table.take("after"), table.take("before"));
        self.finish(&table);
        let Some((kind, observable)) = found.first().cloned() else {
            let names: Vec<&str> = FeatureKind::ALL.iter().map(|k| k.name()).collect();
            let message = format!("'{}' does not say what of", item.path);
            self.error(faults::KEYS, item.span, message).help = Some(format!(
                "write {{ of = \"membrane.V\", threshold = \"0 mV\" }} for spikes, or one of {} = \"membrane.V\"",
                names[1..].join(", ")
            ));
            return None;
        };
        if let Some((other, second)) = found.get(1) {
            let message = format!(
                "'{}' has both '{}' and '{}'; one is wanted",
                item.path,
                kind.name(),
                other.name()
            );
            self.error(faults::KEYS, second.key, message);
        }
        let of = self.variable(&observable, Role::Observable);
        let mut spec = FeatureSpec::new(name, kind, of.unwrap_or(VariableId(0)));
        let mut sound = true;
        match (kind.takes_threshold(), &threshold) {
            (true, Some(item)) => {
                let wanted = of.and_then(|id| Some(Wanted::like(self.model?, id)));
                spec.threshold = wanted
                    .and_then(|w| self.quantity(item, &w))
                    .unwrap_or(f64::NAN);
                sound &= !spec.threshold.is_nan();
            }
            (true, None) => {
                let message = format!("'{}': 'threshold' is missing", item.path);
                self.error(faults::KEYS, item.span, message).help =
                    Some("write threshold = \"0 mV\"".to_string());
                sound = false;
            }
            (false, Some(item)) => self.misplaced(item, "threshold", kind),
            (false, None) => {}
        }
        match (kind == FeatureKind::ValueAt, &at) {
            (true, Some(item)) => match self.time_from_zero(item) {
                Some(at_ms) => {
                    spec.at_ms = at_ms;
                    if let (Some(duration_ms), true) = (
                        end.duration_ms,
                        end.duration_ms.is_some_and(|d| at_ms > d) && !end.overridden,
                    ) {
                        self.outside_feature(item, duration_ms);
                    }
                }
                None => sound = false,
            },
            (true, None) => {
                let message = format!("'{}': 'at' is missing", item.path);
                self.error(faults::KEYS, item.span, message).help =
                    Some("write at = \"500 ms\"".to_string());
                sound = false;
            }
            (false, Some(item)) => self.misplaced(item, "at", kind),
            (false, None) => {}
        }
        sound &= self.window(&mut spec, (after.as_ref(), before.as_ref()), end);
        (of.is_some() && sound).then_some(spec)
    }

    fn window(
        &mut self,
        spec: &mut FeatureSpec,
        (after, before): (Option<&Item<'_>>, Option<&Item<'_>>),
        end: End,
    ) -> bool {
        let mut sound = true;
        for (item, key, limit) in [
            (after, "after", &mut spec.after_ms),
            (before, "before", &mut spec.before_ms),
        ] {
            let Some(item) = item else { continue };
            if spec.kind.takes_window() {
                match self.time_from_zero(item) {
                    Some(ms) => *limit = ms,
                    None => sound = false,
                }
            } else {
                self.misplaced(item, key, spec.kind);
            }
        }
        if let (Some(item), true) = (before, spec.after_ms >= spec.before_ms) {
            let message = format!(
                "'{}' is {}, not later than 'after', {} ms",
                item.path,
                item.shown(),
                spec.after_ms
            );
            self.error(faults::RANGE, item.span, message);
            return false;
        }
        if let (Some(item), Some(duration_ms), false) = (after, end.duration_ms, end.overridden)
            && spec.after_ms >= duration_ms
        {
            self.outside_feature(item, duration_ms);
        }
        sound
    }

    fn misplaced(&mut self, item: &Item<'_>, key: &str, kind: FeatureKind) {
        let message = format!("'{key}' has no meaning for {}", kind.name());
        self.error(faults::KEYS, item.key, message);
    }

    fn outside_feature(&mut self, item: &Item<'_>, duration_ms: f64) {
        let message = format!(
            "'{}' is {}, but the study ends at {duration_ms} ms: the feature will be missing",
            item.path,
            item.shown()
        );
        self.warning(faults::NO_EFFECT, item.span, message);
    }

    /// Reads `[agreement]`.
    pub fn agreement(&mut self, item: Option<Item<'_>>) -> super::Agreement {
        let mut agreement = super::Agreement::default();
        let Some(mut table): Option<Table<'_>> = item.as_ref().and_then(|item| self.table(item))
        else {
            return agreement;
        };
        if let Some(item) = table.take("fibres") {
            agreement.fibres = self.whole(&item).unwrap_or(agreement.fibres);
            agreement.asked_for = true;
        }
        let mut share = |item: Option<Item<'_>>| {
            let item = item?;
            let share = self.quantity(&item, &Wanted::pure("a share of the range"))?;
            self.above_zero(&item, share)
        };
        agreement.tolerance = share(table.take("tolerance")).unwrap_or(agreement.tolerance);
        agreement.feature_tolerance = share(table.take("feature_tolerance"));
        if let Some(item) = table.take("spike_shift") {
            let shift_ms = self
                .time(&item)
                .and_then(|shift_ms| self.above_zero(&item, shift_ms));
            agreement.spike_shift_ms = shift_ms.unwrap_or(agreement.spike_shift_ms);
        }
        self.finish(&table);
        agreement
    }
}
