//! From a fibre's id to its parameters.
//!
//! **Factors** (`values`, `linspace`, `logspace`) are dealt: fibre `i` gets cell `i % cells` of their full grid, in which the
//! factor written last changes fastest. So any first so many fibres are balanced to within one, and a multiple of `cells`
//! exactly. With `zip` the cells are the rows.
//!
//! **Distributions** are drawn: one uniform number per fibre and parameter, put through the quantile function. The number
//! is the first of the ChaCha8 stream whose key is the seed (8 bytes, little end first), the first 16 bytes of the SHA-256
//! of the parameter's name, and `sarc-u01`; the stream's number is the fibre's id. So a draw depends on the seed, the name and
//! the id alone: not on other parameters, nor on how many fibres there are. This never changes; a test pins it.
//!
//! `min` and `max` truncate: the distribution is what drawing again until inside would give, reached with the one uniform
//! number by using only the part of the quantile function that lies inside.
//!
//! With `sobol` and `latin_hypercube` the uniform numbers come from a design in which the fibres fill the ranges evenly.
//! Within each cell of factors the design starts anew: fibre `i` gets point `i / cells`, and the fibres of different cells
//! are pairs. See [`super::design`].

use super::design;
use super::quantile::normal_quantile;
use crate::model::VariableId;
use crate::ops::Real;
use crate::units::Unit;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// How fibres get their parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Factors as a full grid, distributions drawn independently.
    Random,
    /// As [`Sampling::Random`]; says that the factors are the point.
    Grid,
    /// Factors paired row by row, distributions drawn independently.
    Zip,
    /// Factors as a full grid, distributions along a scrambled Sobol sequence.
    Sobol,
    /// Factors as a full grid, distributions in a Latin hypercube: as many equal shares of each range as there are fibres.
    LatinHypercube,
}

impl Sampling {
    /// Every way, in the order in which messages list them.
    pub const ALL: [Sampling; 5] = [
        Sampling::Random,
        Sampling::Sobol,
        Sampling::LatinHypercube,
        Sampling::Grid,
        Sampling::Zip,
    ];

    /// As studies spell it.
    pub fn name(self) -> &'static str {
        match self {
            Sampling::Random => "random",
            Sampling::Grid => "grid",
            Sampling::Zip => "zip",
            Sampling::Sobol => "sobol",
            Sampling::LatinHypercube => "latin_hypercube",
        }
    }
}

/// Where a varied parameter acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariedTarget {
    /// It replaces a literal of the model.
    Literal(VariableId),
    /// It is the initial value of a state.
    Initial(VariableId),
    /// It is a level of the protocol, and no part of the model.
    Level,
}

/// How a varied parameter gets its values, in its own unit.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// The same for all.
    Value(f64),
    /// A factor with these levels.
    Factor(Vec<f64>),
    /// Evenly between two bounds.
    Uniform {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Normal, or its exponential, truncated.
    Normal {
        /// Mean (of the logarithm).
        mean: f64,
        /// Standard deviation (of the logarithm).
        sd: f64,
        /// Whether the exponential is meant.
        exponential: bool,
        /// Bounds of the values, possibly infinite.
        bounds: (f64, f64),
        /// Chances below both bounds.
        chances: (f64, f64),
    },
    /// One of these, with these chances of it or one before it.
    Choice {
        /// The values.
        values: Vec<f64>,
        /// Running sums of the chances; the last is 1.
        cumulative: Vec<f64>,
    },
    /// Row by row from a table: fibre 0 has the first.
    Table(Vec<f64>),
}

/// One varied parameter.
#[derive(Clone, Debug)]
pub struct Varied {
    /// Name of the literal, of the state, or of the study's own level.
    pub name: String,
    /// Name of its column in the result: its own, or with `.initial` behind it where the state itself is recorded.
    pub column: String,
    /// Where it acts.
    pub target: VariedTarget,
    /// Its unit, if the model gives one.
    pub unit: Option<Unit>,
    /// The model's description of it.
    pub description: Option<String>,
    /// How it gets its values.
    pub rule: Rule,
    /// What of its name goes into the random key; kept, because a draw is made for every fibre.
    hash: NameHash,
}

/// The first half of the SHA-256 of a parameter's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameHash([u8; 16]);

impl NameHash {
    pub fn of(name: &str) -> Self {
        let mut hash = [0; 16];
        hash.copy_from_slice(&Sha256::digest(name.as_bytes())[..16]);
        NameHash(hash)
    }
}

/// The fibres of a study and what distinguishes them.
#[derive(Clone, Debug)]
pub struct Population {
    /// How many.
    pub fibres: u64,
    /// Start of all randomness.
    pub seed: u64,
    /// How factors and distributions are put together.
    pub sampling: Sampling,
    /// What varies, in the order of the study.
    pub varied: Vec<Varied>,
}

impl Varied {
    /// A varied parameter whose column bears its own name.
    pub fn new(
        name: &str,
        target: VariedTarget,
        unit: Option<Unit>,
        description: Option<String>,
        rule: Rule,
    ) -> Self {
        let (hash, column) = (NameHash::of(name), name.to_string());
        Varied {
            name: column.clone(),
            column,
            target,
            unit,
            description,
            rule,
            hash,
        }
    }

    /// Unit in UDUNITS spelling; `1` for a pure number or where the model gives none.
    pub fn units(&self) -> String {
        self.unit.map_or_else(|| "1".to_string(), Unit::to_udunits)
    }

    /// Whether the fibres fall into groups by it.
    pub fn groups(&self) -> bool {
        matches!(
            self.rule,
            Rule::Value(_) | Rule::Factor(_) | Rule::Choice { .. } | Rule::Table(_)
        )
    }

    fn is_drawn(&self) -> bool {
        matches!(
            self.rule,
            Rule::Uniform { .. } | Rule::Normal { .. } | Rule::Choice { .. }
        )
    }
}

impl Population {
    /// Cells of the grid of factors (with `zip`: rows); 1 where there are no factors.
    pub fn cells(&self) -> u64 {
        let mut lengths = self.varied.iter().filter_map(|v| match &v.rule {
            Rule::Factor(levels) => Some(levels.len() as u64),
            _ => None,
        });
        match self.sampling {
            Sampling::Zip => lengths.next().unwrap_or(1),
            _ => lengths.fold(1, u64::saturating_mul),
        }
    }

    /// The varied parameter of that name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.varied.iter().position(|v| v.name == name)
    }

    /// A fibre's values of the varied parameters, in their order and units.
    pub fn draw(&self, fibre: u64) -> Vec<f64> {
        let cells = self.cells();
        let cell = fibre % cells;
        // Where a factor's digit begins in the cell's number, read from the last factor on.
        let mut stride = 1;
        let mut dimension = self.varied.iter().filter(|v| v.is_drawn()).count();
        let mut values = vec![0.0; self.varied.len()];
        for (varied, value) in self.varied.iter().zip(&mut values).rev() {
            if varied.is_drawn() {
                dimension -= 1;
            }
            *value = match &varied.rule {
                Rule::Factor(levels) => {
                    let n = levels.len() as u64;
                    let level = if self.sampling == Sampling::Zip {
                        cell
                    } else {
                        cell / stride % n
                    };
                    stride = stride.saturating_mul(n);
                    levels[level as usize]
                }
                Rule::Value(value) => *value,
                Rule::Table(rows) => rows[(fibre % rows.len() as u64) as usize],
                drawn => drawn.at(self.uniform(varied.hash, dimension, fibre, cells)),
            };
        }
        values
    }

    fn uniform(&self, hash: NameHash, dimension: usize, fibre: u64, cells: u64) -> f64 {
        match self.sampling {
            Sampling::Random | Sampling::Grid | Sampling::Zip => {
                fraction(bits(self.seed, hash, fibre))
            }
            Sampling::Sobol => design::sobol(self.seed, hash, dimension, fibre / cells),
            Sampling::LatinHypercube => {
                design::latin_hypercube(self.seed, hash, fibre / cells, self.fibres.div_ceil(cells))
            }
        }
    }
}

impl Rule {
    /// The value that a uniform number in (0, 1) leads to; only for distributions.
    fn at(&self, u: f64) -> f64 {
        match self {
            Rule::Uniform { low, high } => low + (high - low) * u,
            Rule::Normal {
                mean,
                sd,
                exponential,
                bounds,
                chances,
            } => {
                let x =
                    mean + sd * normal_quantile(inside(chances.0 + (chances.1 - chances.0) * u));
                let value = if *exponential { Real::exp(x) } else { x };
                value.clamp(bounds.0, bounds.1)
            }
            Rule::Choice { values, cumulative } => {
                let i = cumulative.partition_point(|&chance| chance <= u);
                values[i.min(values.len() - 1)]
            }
            Rule::Value(value) => *value,
            Rule::Factor(levels) | Rule::Table(levels) => levels[0],
        }
    }
}

/// Keeps a chance off 0 and 1, where the quantile is infinite.
fn inside(p: f64) -> f64 {
    p.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON / 2.0)
}

/// The first 64 random bits of a stream.
pub(super) fn bits(seed: u64, hash: NameHash, stream: u64) -> u64 {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..24].copy_from_slice(&hash.0);
    key[24..].copy_from_slice(b"sarc-u01");
    let mut random = ChaCha8Rng::from_seed(key);
    random.set_stream(stream);
    random.next_u64()
}

/// The middle of one of 2^53 equal parts of the unit interval: never 0 or 1.
pub(super) fn fraction(bits: u64) -> f64 {
    ((bits >> 11) as f64 + 0.5) * 2.0_f64.powi(-53)
}

/// The uniform number of a seed, a name and a fibre.
pub fn unit_interval(seed: u64, name: &str, fibre: u64) -> f64 {
    fraction(bits(seed, NameHash::of(name), fibre))
}
