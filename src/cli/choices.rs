//! Values that several verbs take.

use std::str::FromStr;
use std::time::Duration;

use crate::backend::gpu;
use crate::units::{Quantity, Unit};

use super::exit::Failure;

/// Which engine computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// A real GPU where there is one, else the CPU.
    Auto,
    /// SIMD over lanes, on every thread.
    Cpu,
    /// The best GPU there is.
    Gpu,
    /// The judge: double precision, implicit, slow.
    Reference,
}

/// The floating-point numbers that fibres are computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Precision {
    /// Single.
    F32,
    /// Double.
    F64,
}

/// Where a GPU keeps the states of a fibre between two iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Residence {
    /// In registers.
    Registers,
    /// In the device's memory.
    Memory,
}

impl From<Residence> for gpu::Residence {
    fn from(chosen: Residence) -> Self {
        match chosen {
            Residence::Registers => gpu::Residence::Registers,
            Residence::Memory => gpu::Residence::Memory,
        }
    }
}

/// One part of a study that several runs share: part `index` of `of`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part, from 1.
    pub index: u64,
    /// Of how many.
    pub of: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('/')
            .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, of)) if index >= 1 && index <= of => Ok(Shard { index, of }),
            Some((index, of)) => Err(format!(
                "there is no part {index} of {of}: parts count from 1"
            )),
            None => Err("expected I/N, such as 1/8".to_owned()),
        }
    }
}

/// A time between two things that are done over and over; a number without a unit is one of ms.
///
/// # Errors
/// If the text is no time, or a negative one.
pub fn interval(text: &str) -> Result<Duration, String> {
    let quantity = Quantity::parse(text).map_err(|e| e.to_string())?;
    let seconds = Unit::parse("s").ok().and_then(|s| quantity.to(s));
    let seconds = seconds.filter(|s| *s >= 0.0);
    seconds
        .and_then(|s| Duration::try_from_secs_f64(s).ok())
        .ok_or_else(|| "expected a time, such as \"30 s\"".to_owned())
}

/// The time that a flag is given, ms; a number without a unit is one of ms.
///
/// # Errors
/// If the text is no time.
pub fn time_ms(flag: &str, text: &str) -> Result<f64, Failure> {
    let wrong = |why: String| Failure::Usage(format!("{flag} '{text}': {why}"));
    let quantity = Quantity::parse(text).map_err(|e| wrong(e.to_string()))?;
    let ms = Unit::parse("ms").map_err(|e| wrong(e.to_string()))?;
    quantity
        .to(ms)
        .ok_or_else(|| wrong("expected a time, such as 0.01 ms".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_count_from_one() {
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, of: 8 }));
        assert_eq!(
            "0/8".parse::<Shard>(),
            Err("there is no part 0 of 8: parts count from 1".to_owned())
        );
        assert!("9/8".parse::<Shard>().is_err());
        assert_eq!(
            "8".parse::<Shard>(),
            Err("expected I/N, such as 1/8".to_owned())
        );
    }
}
