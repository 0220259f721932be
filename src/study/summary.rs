//! The summary of a study: groups of fibres, the share of each class in them with its confidence interval, and statistics
//! of the features.

use super::condition::{Condition, Name, Term};
use super::faults;
use super::sampling::Population;
use super::walk::{Item, Reader};
use crate::diag::{Label, nearest};
use crate::feature::{FeatureSpec, Measure};
use crate::model::Model;
use crate::units::Unit;

/// A class of fibres: the first whose condition holds is a fibre's class.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// When a fibre belongs to it.
    pub when: Condition,
}

/// What a study's summary shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Varied parameters by which the fibres are grouped: indices into the population's list.
    pub by: Vec<usize>,
    /// A condition whose share is shown by itself.
    pub abnormal: Option<Condition>,
    /// Classes in order; may be empty.
    pub classes: Vec<Class>,
    /// Name of the class of all other fibres.
    pub otherwise: String,
}

/// A share of fibres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// Wilson interval of the share at 95 %, lower end; NaN of none.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What a feature's column amounts to in a group; numbers are NaN where no fibre has a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistic {
    /// Fibres that have a value.
    pub n: u64,
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation; 0 of one value.
    pub sd: f64,
    /// Smallest.
    pub min: f64,
    /// Median: the mean of the two in the middle where the number is even.
    pub median: f64,
    /// Largest.
    pub max: f64,
}

/// One row of the summary: the fibres with the same values of the grouping parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The values of the parameters of [`Summary::by`].
    pub key: Vec<f64>,
    /// Fibres in it, lost ones included.
    pub fibres: u64,
    /// Lost fibres; they are in no class and no share.
    pub lost: u64,
    /// Shares, in the order of [`SummaryTable::shares`].
    pub shares: Vec<Share>,
    /// Statistics, in the order of the features' columns.
    pub features: Vec<Statistic>,
}

/// The whole summary.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryTable {
    /// Names of the shares: `abnormal` if the study has that condition, then the classes, then the class of all others.
    pub shares: Vec<String>,
    /// Groups, in ascending order of their keys.
    pub groups: Vec<Group>,
}

/// The Wilson score interval of a share at 95 % (Wilson 1927, J. Am. Stat. Assoc. 22:209).
///
/// ```
/// let (low, high) = sarcolemma::study::wilson_interval(37, 40);
/// assert!((low - 0.8014).abs() < 1e-4 && (high - 0.9742).abs() < 1e-4);
/// ```
pub fn wilson_interval(count: u64, of: u64) -> (f64, f64) {
    if of == 0 {
        return (f64::NAN, f64::NAN);
    }
    // The 97.5 % quantile of the standard normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    let (k, n) = (count as f64, of as f64);
    let p = k / n;
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let centre = p + Z * Z / (2.0 * n);
    let scale = 1.0 + Z * Z / n;
    // Exact at the ends, where rounding would leave the unit interval.
    let low = if count == 0 {
        0.0
    } else {
        (centre - spread) / scale
    };
    let high = if count == of {
        1.0
    } else {
        (centre + spread) / scale
    };
    (low, high)
}

impl Share {
    /// `count` of `of`, with its interval.
    pub fn new(count: u64, of: u64) -> Share {
        let (low, high) = wilson_interval(count, of);
        Share {
            count,
            of,
            low,
            high,
        }
    }

    /// The share itself; NaN of none.
    pub fn value(&self) -> f64 {
        self.count as f64 / self.of as f64
    }
}

impl Statistic {
    /// Of the finite numbers among these; sorts them.
    pub fn of(values: &mut Vec<f64>) -> Statistic {
        values.retain(|v| v.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        let n = values.len();
        if n == 0 {
            let nan = f64::NAN;
            return Statistic {
                n: 0,
                mean: nan,
                sd: nan,
                min: nan,
                median: nan,
                max: nan,
            };
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        Statistic {
            n: n as u64,
            mean,
            sd: if n > 1 {
                (squares / (n - 1) as f64).sqrt()
            } else {
                0.0
            },
            min: values[0],
            median: 0.5 * (values[(n - 1) / 2] + values[n / 2]),
            max: values[n - 1],
        }
    }
}

impl Summary {
    /// The summary of a finished run. `parameters[p][i]` is varied parameter `p` of fibre `i`, `features[c][i]` column `c` of
    /// the features; `lost[i]` says that the fibre did not reach the end.
    pub fn table(
        &self,
        parameters: &[Vec<f64>],
        features: &[Vec<f64>],
        lost: &[bool],
    ) -> SummaryTable {
        let mut shares = Vec::new();
        if self.abnormal.is_some() {
            shares.push("abnormal".to_string());
        }
        shares.extend(self.classes.iter().map(|c| c.name.clone()));
        if !self.classes.is_empty() {
            shares.push(self.otherwise.clone());
        }
        let key = |i: usize| -> Vec<f64> { self.by.iter().map(|&p| parameters[p][i]).collect() };
        let compare = |a: usize, b: usize| {
            let each = self
                .by
                .iter()
                .map(|&p| parameters[p][a].total_cmp(&parameters[p][b]));
            each.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        };
        let mut order: Vec<usize> = (0..lost.len()).collect();
        order.sort_by(|&a, &b| compare(a, b));
        let groups = order.chunk_by(|&a, &b| compare(a, b).is_eq());
        let group = |members: &[usize]| {
            let mut counts = vec![0; shares.len()];
            let there: Vec<usize> = members.iter().copied().filter(|&i| !lost[i]).collect();
            for &i in &there {
                let row: Vec<f64> = features.iter().map(|c| c[i]).collect();
                let own: Vec<f64> = parameters.iter().map(|p| p[i]).collect();
                self.count(&row, &own, &mut counts);
            }
            let column = |c: &Vec<f64>| Statistic::of(&mut there.iter().map(|&i| c[i]).collect());
            Group {
                key: key(members[0]),
                fibres: members.len() as u64,
                lost: (members.len() - there.len()) as u64,
                shares: counts
                    .iter()
                    .map(|&count| Share::new(count, there.len() as u64))
                    .collect(),
                features: features.iter().map(column).collect(),
            }
        };
        SummaryTable {
            groups: groups.map(group).collect(),
            shares,
        }
    }

    /// The class of a fibre: an index into [`Summary::classes`], or their number for all others.
    pub fn class(&self, features: &[f64], parameters: &[f64]) -> usize {
        self.classes
            .iter()
            .position(|c| c.when.holds(features, parameters))
            .unwrap_or(self.classes.len())
    }

    fn count(&self, features: &[f64], parameters: &[f64], counts: &mut [u64]) {
        let mut first = 0;
        if let Some(condition) = &self.abnormal {
            counts[0] += u64::from(condition.holds(features, parameters));
            first = 1;
        }
        if !self.classes.is_empty() {
            counts[first + self.class(features, parameters)] += 1;
        }
    }
}

/// The names that conditions of a study may use.
fn names(model: &Model, population: &Population, features: &[FeatureSpec]) -> Vec<Name> {
    let mut names = Vec::new();
    for feature in features {
        let unit = model.variable(feature.of).unit;
        for column in feature.columns(model) {
            let unit = match column.measure {
                Measure::Count => Some(Unit::DIMENSIONLESS),
                Measure::Time => Some(super::quantity::millisecond()),
                Measure::Observable => unit,
                Measure::ObservableTime => unit.map(|u| u.times(super::quantity::millisecond())),
            };
            names.push(Name {
                name: column.name,
                term: Term::Feature(names.len()),
                unit,
            });
        }
    }
    let parameters = population.varied.iter().enumerate();
    names.extend(parameters.map(|(i, v)| Name {
        name: v.name.clone(),
        term: Term::Parameter(i),
        unit: v.unit,
    }));
    names
}

impl Reader<'_> {
    /// Reads `[summary]`. Names in conditions are taken on trust while `complete` is false: some feature has a fault of its own.
    pub fn summary(
        &mut self,
        item: Option<Item<'_>>,
        population: &Population,
        features: &[FeatureSpec],
        complete: bool,
    ) -> Option<Summary> {
        let mut table = self.table(item.as_ref()?)?;
        let (by, abnormal) = (table.take("by"), table.take("abnormal"));
        let (class, otherwise) = (table.take("class"), table.take("otherwise"));
        self.finish(&table);
        let mut summary = Summary {
            otherwise: "other".to_string(),
            ..Summary::default()
        };
        for item in by.and_then(|item| self.list(&item)).unwrap_or_default() {
            if let Some(index) = self.grouping(&item, population) {
                if summary.by.contains(&index) {
                    self.error(
                        faults::DUPLICATE,
                        item.span,
                        format!("{} is named twice", item.shown()),
                    );
                } else {
                    summary.by.push(index);
                }
            }
        }
        let names = self
            .model
            .map(|model| names(model, population, features))
            .unwrap_or_default();
        summary.abnormal = abnormal.and_then(|item| self.condition(&item, &names, complete));
        let mut places: Vec<(String, crate::diag::Span)> = Vec::new();
        if let Some(item) = &otherwise {
            if class.is_none() {
                self.warning(
                    faults::NO_EFFECT,
                    item.key,
                    "'summary.otherwise' without any [[summary.class]]",
                );
            }
            if let Some(text) = self.text(item) {
                summary.otherwise = text.to_string();
                places.push((text.to_string(), item.span));
            }
        }
        for mut table in class.map(|item| self.tables(&item)).unwrap_or_default() {
            let name = self.require(&mut table, "name", "\"plateau\"");
            let when = self.require(&mut table, "when", "\"V500 > -60 mV\"");
            self.finish(&table);
            let text = name
                .as_ref()
                .and_then(|item| self.text(item))
                .map(str::to_string);
            if let (Some(item), Some(text)) = (&name, &text) {
                let earlier = places
                    .iter()
                    .find(|(other, _)| other == text)
                    .map(|(_, place)| *place);
                if let Some(span) = earlier {
                    self.error(
                        faults::DUPLICATE,
                        item.span,
                        format!("two classes are called '{text}'"),
                    )
                    .secondary
                    .push(Label {
                        span,
                        message: "first here".to_string(),
                    });
                }
                places.push((text.clone(), item.span));
            }
            let when = when.and_then(|item| self.condition(&item, &names, complete));
            if let (Some(name), Some(when)) = (text, when) {
                summary.classes.push(Class { name, when });
            }
        }
        Some(summary)
    }

    fn grouping(&mut self, item: &Item<'_>, population: &Population) -> Option<usize> {
        let name = self.text(item)?;
        let Some(index) = population.find(name) else {
            if self.model.is_some() {
                let known = population.varied.iter().map(|v| v.name.as_str());
                let help = nearest(name, known).map(|near| format!("did you mean '{near}'?"));
                let message = format!("'{name}' does not vary, so it makes no groups");
                self.error(faults::UNKNOWN_NAME, item.span, message).help = help;
            }
            return None;
        };
        if !population.varied[index].groups() {
            let message = format!(
                "'{name}' is drawn from a distribution: every fibre would be a group of its own"
            );
            self.error(faults::WRONG_KIND, item.span, message).help =
                Some("group by parameters with values, linspace, logspace or choice".to_string());
            return None;
        }
        Some(index)
    }

    fn condition(&mut self, item: &Item<'_>, names: &[Name], complete: bool) -> Option<Condition> {
        let text = self.text(item)?;
        match Condition::parse(text, names) {
            Ok(condition) => Some(condition),
            Err(error) if error.is_name && !complete => None,
            Err(error) => {
                let code = match (error.is_unit, error.is_name) {
                    (true, _) => faults::UNIT,
                    (_, true) => faults::UNKNOWN_NAME,
                    _ => faults::CONDITION,
                };
                let place = self.within(item, error.place);
                self.error(code, place, format!("'{}': {}", item.path, error.message))
                    .help = error.help;
                None
            }
        }
    }
}
