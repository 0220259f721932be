//! Reading how one parameter gets its values: `{ linspace = [a, b, n] }`, `{ lognormal = { median, cv } }` and the rest.

use super::csv::Files;
use super::quantile::normal_chance_below;
use super::quantity::Wanted;
use super::sampling::Rule;
use super::walk::{Item, Reader, Table};
use super::{Loader, Report, faults};
use crate::ops::Real;
use toml::de::DeValue;

/// Most levels of one factor.
const MOST_LEVELS: u64 = 10_000_000;

/// The keys of which a rule has exactly one.
const KINDS: [&str; 9] = [
    "value",
    "values",
    "linspace",
    "logspace",
    "uniform",
    "normal",
    "lognormal",
    "choice",
    "file",
];

/// All that reading a rule needs.
pub(super) struct Rules<'r, 'a> {
    pub reader: &'r mut Reader<'a>,
    pub wanted: Wanted<'r>,
    /// The model's own value, which `mean` and `median` stand for where they are left out.
    pub default: Option<f64>,
    pub loader: &'r dyn Loader,
    pub files: &'r mut Files,
    pub reports: &'r mut Vec<Report>,
}

impl Rules<'_, '_> {
    /// The rule that a value of `[population.parameters]` spells.
    pub fn read(&mut self, item: &Item<'_>) -> Option<Rule> {
        let DeValue::Table(entries) = item.value else {
            if matches!(item.value, DeValue::Array(_)) {
                self.reader
                    .wrong_type(item, "a value or a table such as { values = [...] }");
                return None;
            }
            return Some(Rule::Value(self.number(item)?));
        };
        let mut table = Table::new(&item.path, item.key, entries);
        let found: Vec<(usize, Item<'_>)> = KINDS
            .iter()
            .enumerate()
            .filter_map(|(i, kind)| Some((i, table.take(kind)?)))
            .collect();
        let Some((kind, value)) = found.first() else {
            for key in ["min", "max", "weights", "column", "unit"] {
                table.take(key);
            }
            self.reader.finish(&table);
            let message = format!("'{}' does not say how it varies", item.path);
            self.reader.error(faults::KEYS, item.span, message).help =
                Some(format!("one of {}", KINDS.join(", ")));
            return None;
        };
        if let Some((other, second)) = found.get(1) {
            let message = format!(
                "'{}' has both '{}' and '{}'; one is wanted",
                item.path, KINDS[*kind], KINDS[*other]
            );
            self.reader.error(faults::KEYS, second.key, message);
            return None;
        }
        let rule = match KINDS[*kind] {
            "value" => self.number(value).map(Rule::Value),
            "values" => self.numbers(value).map(Rule::Factor),
            "linspace" => self.spaced(value, false).map(Rule::Factor),
            "logspace" => self.spaced(value, true).map(Rule::Factor),
            "uniform" => self.uniform(value),
            "normal" => self.normal(&mut table, value),
            "lognormal" => self.lognormal(&mut table, value),
            "choice" => self.choice(&mut table, value),
            _ => self.file(&mut table, value),
        };
        self.reader.finish(&table);
        rule
    }

    fn number(&mut self, item: &Item<'_>) -> Option<f64> {
        self.reader.quantity(item, &self.wanted)
    }

    fn numbers(&mut self, item: &Item<'_>) -> Option<Vec<f64>> {
        let items = self.reader.list(item)?;
        if items.is_empty() {
            self.reader.error(
                faults::RANGE,
                item.span,
                format!("'{}' is empty", item.path),
            );
            return None;
        }
        // Every fault of the list is reported, hence no early end.
        let numbers: Vec<Option<f64>> = items.iter().map(|i| self.number(i)).collect();
        numbers.into_iter().collect()
    }

    /// `[from, to, n]`; both ends are levels.
    fn spaced(&mut self, item: &Item<'_>, logarithmic: bool) -> Option<Vec<f64>> {
        let items = self.reader.list(item)?;
        let [from, to, n] = items.as_slice() else {
            let message = format!(
                "'{}' has {} elements, expected [from, to, number of values]",
                item.path,
                items.len()
            );
            self.reader.error(faults::RANGE, item.span, message);
            return None;
        };
        let (a, b, levels) = (self.number(from), self.number(to), self.reader.whole(n));
        let (a, b, levels) = (a?, b?, levels?);
        if levels == 0 || levels > MOST_LEVELS {
            let message = format!(
                "'{}' has {levels} values, expected 1 to {MOST_LEVELS}",
                item.path
            );
            self.reader.error(faults::RANGE, n.span, message);
            return None;
        }
        if logarithmic && (a <= 0.0 || b <= 0.0) {
            let message = format!(
                "'{}' goes from {a} to {b}, expected both above 0",
                item.path
            );
            self.reader.error(faults::RANGE, item.span, message);
            return None;
        }
        let last = levels - 1;
        let level = |i: u64| {
            // Both ends exactly as written.
            if i == 0 {
                return a;
            }
            if i == last {
                return b;
            }
            let x = i as f64 / last as f64;
            if logarithmic {
                a * Real::exp(Real::ln(b / a) * x)
            } else {
                (a * (last - i) as f64 + b * i as f64) / last as f64
            }
        };
        Some((0..levels).map(level).collect())
    }

    fn uniform(&mut self, item: &Item<'_>) -> Option<Rule> {
        let items = self.reader.list(item)?;
        let [low, high] = items.as_slice() else {
            let message = format!(
                "'{}' has {} elements, expected [low, high]",
                item.path,
                items.len()
            );
            self.reader.error(faults::RANGE, item.span, message);
            return None;
        };
        let (low, high) = (self.number(low), self.number(high));
        let (low, high) = (low?, high?);
        if low > high {
            let message = format!(
                "'{}' goes from {low} down to {high}, expected the lower bound first",
                item.path
            );
            self.reader.error(faults::RANGE, item.span, message);
            return None;
        }
        Some(Rule::Uniform { low, high })
    }

    /// The mean or median: written, or the model's own value.
    fn centre(&mut self, item: &Item<'_>, written: Option<&Item<'_>>, word: &str) -> Option<f64> {
        if let Some(written) = written {
            return self.number(written);
        }
        if self.default.is_none() {
            let message = format!(
                "'{}': '{word}' is missing, and the model has no value to take for it",
                item.path
            );
            self.reader.error(faults::KEYS, item.span, message);
        }
        self.default
    }

    /// A spread: `sd` in the parameter's unit or `cv` relative to the centre; exactly one of them.
    fn spread(
        &mut self,
        item: &Item<'_>,
        sd: Option<&Item<'_>>,
        cv: Option<&Item<'_>>,
    ) -> Option<(f64, bool)> {
        let (written, relative) = match (sd, cv) {
            (Some(sd), None) => (sd, false),
            (None, Some(cv)) => (cv, true),
            _ => {
                let message = format!("'{}' wants one of 'sd' and 'cv'", item.path);
                self.reader.error(faults::KEYS, item.span, message);
                return None;
            }
        };
        let value = if relative {
            self.reader
                .quantity(written, &Wanted::pure("a coefficient of variation"))?
        } else {
            self.number(written)?
        };
        Some((self.reader.at_least_zero(written, value)?, relative))
    }

    fn normal(&mut self, table: &mut Table<'_>, item: &Item<'_>) -> Option<Rule> {
        let mut inner = self.reader.table(item)?;
        let (mean, sd, cv) = (inner.take("mean"), inner.take("sd"), inner.take("cv"));
        let bounds = self.bounds(table, Some(&mut inner));
        self.reader.finish(&inner);
        let mean = self.centre(item, mean.as_ref(), "mean");
        let spread = self.spread(item, sd.as_ref(), cv.as_ref());
        let (mean, (spread, relative), bounds) = (mean?, spread?, bounds?);
        let sd = if relative {
            spread * mean.abs()
        } else {
            spread
        };
        self.truncated(item, mean, sd, false, bounds)
    }

    /// Mean and standard deviation of the logarithm, from what is given of the number itself:
    /// `median` and `cv`: mu = ln median, sigma^2 = ln(1 + cv^2). `mean` and `cv`: mu = ln mean - sigma^2/2, the same sigma.
    /// `sd` with `mean`: cv = sd/mean. `sd` with `median`: sd^2 = median^2 w (w - 1) with w = exp(sigma^2).
    fn lognormal(&mut self, table: &mut Table<'_>, item: &Item<'_>) -> Option<Rule> {
        let mut inner = self.reader.table(item)?;
        let (mean, median) = (inner.take("mean"), inner.take("median"));
        let (sd, cv) = (inner.take("sd"), inner.take("cv"));
        let bounds = self.bounds(table, Some(&mut inner));
        self.reader.finish(&inner);
        if let (Some(_), Some(second)) = (&mean, &median) {
            let message = format!(
                "'{}' has both 'mean' and 'median'; one is wanted",
                item.path
            );
            self.reader.error(faults::KEYS, second.key, message);
        }
        let by_mean = mean.is_some();
        let centre_item = mean.or(median);
        let centre = self.centre(item, centre_item.as_ref(), "median");
        let spread = self.spread(item, sd.as_ref(), cv.as_ref());
        let (centre, (spread, relative), bounds) = (centre?, spread?, bounds?);
        let place = centre_item.as_ref().unwrap_or(item);
        if centre <= 0.0 {
            let message = format!(
                "'{}' is centred on {centre}; a lognormal number is above 0",
                item.path
            );
            self.reader.error(faults::RANGE, place.span, message);
            return None;
        }
        let ratio = if relative { spread } else { spread / centre };
        let variance = if relative || by_mean {
            Real::ln(1.0 + ratio * ratio)
        } else {
            Real::ln(0.5 * (1.0 + (1.0 + 4.0 * ratio * ratio).sqrt()))
        };
        let mu = Real::ln(centre) - if by_mean { 0.5 * variance } else { 0.0 };
        self.truncated(item, mu, variance.sqrt(), true, bounds)
    }

    /// `min` and `max`, which may stand beside the distribution or inside it.
    fn bounds(
        &mut self,
        outer: &mut Table<'_>,
        inner: Option<&mut Table<'_>>,
    ) -> Option<(f64, f64)> {
        let (mut min, mut max) = (outer.take("min"), outer.take("max"));
        if let Some(inner) = inner {
            (min, max) = (inner.take("min").or(min), inner.take("max").or(max));
        }
        let low = min.as_ref().map(|item| self.number(item));
        let high = max.as_ref().map(|item| self.number(item));
        let (low, high) = (
            low.unwrap_or(Some(f64::NEG_INFINITY))?,
            high.unwrap_or(Some(f64::INFINITY))?,
        );
        if low > high {
            let place = max.or(min).map_or(outer.span, |item| item.span);
            let message = format!(
                "'{}': min is {low} and max is {high}, expected min below max",
                outer.path
            );
            self.reader.error(faults::RANGE, place, message);
            return None;
        }
        Some((low, high))
    }

    fn truncated(
        &mut self,
        item: &Item<'_>,
        mean: f64,
        sd: f64,
        exponential: bool,
        bounds: (f64, f64),
    ) -> Option<Rule> {
        let chance = |bound: f64| {
            let bound = match (exponential, bound > 0.0) {
                (false, _) => bound,
                (true, true) => Real::ln(bound),
                (true, false) => f64::NEG_INFINITY,
            };
            if sd > 0.0 {
                normal_chance_below((bound - mean) / sd)
            } else {
                f64::from(u8::from(bound > mean))
            }
        };
        let chances = (chance(bounds.0), chance(bounds.1));
        // With no spread a bound that is met exactly still holds the value.
        let met = sd == 0.0 && {
            let value = if exponential { Real::exp(mean) } else { mean };
            (bounds.0..=bounds.1).contains(&value)
        };
        if met {
            return Some(Rule::Value(if exponential {
                Real::exp(mean)
            } else {
                mean
            }));
        }
        let kept = chances.1 - chances.0;
        if kept <= 0.0 {
            let message = format!(
                "'{}': no number of this distribution lies between {} and {}",
                item.path, bounds.0, bounds.1
            );
            self.reader.error(faults::RANGE, item.span, message);
            return None;
        }
        if kept < 0.01 {
            let message = format!(
                "'{}': min and max keep only {:.2} % of the distribution",
                item.path,
                100.0 * kept
            );
            self.reader.warning(faults::DOUBTFUL, item.span, message);
        }
        Some(Rule::Normal {
            mean,
            sd,
            exponential,
            bounds,
            chances,
        })
    }

    fn choice(&mut self, table: &mut Table<'_>, item: &Item<'_>) -> Option<Rule> {
        let weights_item = table.take("weights");
        let values = self.numbers(item);
        let weights = match &weights_item {
            None => values.as_ref().map(|v| vec![1.0; v.len()]),
            Some(list) => {
                let pure = Wanted::pure("a weight");
                let items = self.reader.list(list)?;
                let read: Vec<Option<f64>> = items
                    .iter()
                    .map(|i| {
                        self.reader
                            .quantity(i, &pure)
                            .and_then(|w| self.reader.at_least_zero(i, w))
                    })
                    .collect();
                read.into_iter().collect()
            }
        };
        let (values, weights) = (values?, weights?);
        let place = weights_item.as_ref().unwrap_or(item);
        if values.len() != weights.len() {
            let message = format!(
                "'{}' has {} weights for {} values",
                item.path,
                weights.len(),
                values.len()
            );
            self.reader.error(faults::RANGE, place.span, message);
            return None;
        }
        let total: f64 = weights.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            let message = format!(
                "'{}': the weights add up to {total}, expected more than 0",
                item.path
            );
            self.reader.error(faults::RANGE, place.span, message);
            return None;
        }
        let mut sum = 0.0;
        let cumulative = weights.iter().map(|w| {
            sum += w;
            sum / total
        });
        Some(Rule::Choice {
            cumulative: cumulative.collect(),
            values,
        })
    }

    fn file(&mut self, table: &mut Table<'_>, item: &Item<'_>) -> Option<Rule> {
        let column = self.reader.require(table, "column", "\"name\"");
        let name = self.reader.text(item)?;
        let column_item = column?;
        let column = self.reader.text(&column_item)?;
        let values = self.files.column(
            self.loader,
            self.reader,
            self.reports,
            (item, name),
            (&column_item, column),
        )?;
        Some(Rule::Table(values))
    }
}
