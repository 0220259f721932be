//! The forms that a kernel can have: its precision, how it sums, where its states are; and where a fibre's numbers lie.

use crate::backend::lane_plan::LanePlan;
use crate::scheme::Summation;

use super::features;

const MATHS_F32: &str = include_str!("../../../shaders/maths_f32.wgsl");
const MATHS_F64: &str = include_str!("../../../shaders/maths_f64.wgsl");

/// The number type of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Real {
    /// Single precision, on every device.
    F32,
    /// Double precision, where the device has it.
    F64,
}

impl Real {
    /// The maths that a kernel of this precision begins with.
    pub fn maths(self) -> &'static str {
        match self {
            Real::F32 => MATHS_F32,
            Real::F64 => MATHS_F64,
        }
    }

    /// A number as a literal, or as bits where WGSL has no literal for it.
    pub fn literal(self, x: f64) -> String {
        match self {
            // The shortest decimal of the largest number is a little larger than it.
            Real::F32 if (x as f32).abs() == f32::MAX => {
                let sign = if x < 0.0 { "-" } else { "" };
                negative(format!("{sign}3.4028234663852886e38f"))
            }
            Real::F32 if (x as f32).is_finite() => negative(format!("{:?}f", x as f32)),
            Real::F64 if x.is_finite() => negative(format!("{x:?}lf")),
            _ if x.is_nan() => "not_a_number()".to_string(),
            _ if x > 0.0 => "infinite()".to_string(),
            _ => "(-infinite())".to_string(),
        }
    }
}

fn negative(literal: String) -> String {
    if literal.starts_with('-') {
        format!("({literal})")
    } else {
        literal
    }
}

/// Where states are between two iterations of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residence {
    /// In registers.
    Registers,
    /// In the device's memory, twice: an iteration reads one side where a value is first needed and writes the other as soon as a
    /// new one is known; to accept the step is to change sides.
    Memory,
}

/// The form of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// How steps are summed up.
    pub summation: Summation,
    /// Where states are.
    pub residence: Residence,
}

impl From<Summation> for Form {
    fn from(summation: Summation) -> Self {
        Form {
            summation,
            residence: Residence::Registers,
        }
    }
}

/// Where a fibre's numbers lie: rows of `reals` and of `words`, each `[row][fibre]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Rows of reals.
    pub n_reals: usize,
    /// Rows of words.
    pub n_words: usize,
    /// First real of the open piece: value and rate of every observable.
    pub open: usize,
    /// The logarithm of the last accepted error.
    pub last_error: usize,
    /// First real of what the features have gathered.
    pub gathered: usize,
    /// First real of the states set aside while it is decided whether a fibre is lost; none where sums are compensated in registers.
    pub aside: usize,
    /// First real of the second side of the states; 0 where they are in registers.
    pub other_side: usize,
}

/// Rows of `words` before those of the features; the kernel's constants say what they are.
pub(super) const CLOCK_WORDS: usize = 14;

impl Places {
    pub fn new(plan: &LanePlan, residence: Residence) -> Self {
        let open = plan.state_width();
        let last_error = open + 2 * plan.step.n_observables;
        let gathered = last_error + 1;
        let aside = gathered + features::REALS * plan.features.len();
        let n_aside = match (residence, plan.step.summation) {
            (Residence::Memory, _) | (_, Summation::Compensated) => 0,
            (_, Summation::Plain | Summation::Quanta) => plan.n_states,
        };
        let (other_side, width) = match residence {
            Residence::Registers => (0, 0),
            Residence::Memory => (aside + n_aside, plan.state_width()),
        };
        Places {
            n_reals: aside + n_aside + width,
            n_words: CLOCK_WORDS + features::WORDS * plan.features.len(),
            open,
            last_error,
            gathered,
            aside,
            other_side,
        }
    }
}
