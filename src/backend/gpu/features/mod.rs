//! Features on the device: what a feature keeps there, how it starts, the statement that feeds it, and what it means on the
//! host. The arithmetic is in `shaders/piece.wgsl` and `shaders/ticks.wgsl`; the state of a feature is the struct `Gathered` there.
//!
//! Thresholds, windows and times are literals of the program: they belong to a study's features, never to a fibre.

#[cfg(test)]
mod tests;

use crate::feature::{FeatureKind, FeatureSpec, Gathered};
use crate::protocol::{Tick, ms, tick};

/// 64-bit times; follows the maths.
pub(super) const TICKS_WGSL: &str = include_str!("../../../../shaders/ticks.wgsl");
/// Pieces and what is gathered of them; follows the ticks.
pub(super) const PIECE_WGSL: &str = include_str!("../../../../shaders/piece.wgsl");

/// Real numbers of one feature of one fibre: `value` and `rest`.
pub(super) const REALS: usize = 2;
/// Words of one feature of one fibre: `count`, `above`, then `first` and `last` with the low word first.
pub(super) const WORDS: usize = 6;
/// Most rounds of loops that feeding one feature with one piece takes: three roots of 24 rounds each, and their own loop. Two or
/// three in nearly all pieces that cross a threshold, none in the others.
pub(super) const MOST_WORK: u32 = 75;

/// Nothing lies beyond these times, 1.5 million years. Far enough from the ends of 64 bits for differences.
const BEYOND: Tick = 1 << 62;
/// States of [`FeatureKind::Spikes`] beside 0, below the threshold.
const ABOVE: u32 = 1;
const UNKNOWN: u32 = 2;

/// The state of a feature before anything was gathered: the reals, then the words, in the order of the struct's fields.
pub(super) fn start(spec: &FeatureSpec) -> ([f64; REALS], [u32; WORDS]) {
    // A shader may assume that no number is infinite. The largest of single precision serves double precision as well.
    let lowest = f64::from(f32::MIN);
    match spec.kind {
        FeatureKind::Spikes => ([-lowest, 0.0], [0, UNKNOWN, 0, 0, 0, 0]),
        FeatureKind::Max | FeatureKind::TimeOfMax => ([lowest, 0.0], [0; WORDS]),
        FeatureKind::Min | FeatureKind::TimeOfMin => ([-lowest, 0.0], [0; WORDS]),
        FeatureKind::Mean
        | FeatureKind::Integral
        | FeatureKind::TimeAbove
        | FeatureKind::Final
        | FeatureKind::ValueAt => ([0.0; REALS], [0; WORDS]),
    }
}

/// What the device's state of a feature means.
pub(super) fn gathered(spec: &FeatureSpec, reals: [f64; REALS], words: [u32; WORDS]) -> Gathered {
    let [value, rest] = reals;
    let [count, above, ..] = words;
    let time = |low: usize| ms(to_ticks([words[low], words[low + 1]]));
    let (first, last) = (time(2), time(4));
    match spec.kind {
        FeatureKind::Spikes => {
            let if_any = |t: f64| if count > 0 { t } else { f64::NAN };
            // The sign says on which side, the size how near a turning point came.
            let nearest = if value < f64::from(f32::MAX) {
                value
            } else {
                f64::INFINITY
            };
            let side = match above {
                0 => -nearest,
                ABOVE => nearest,
                _ => f64::NAN,
            };
            Gathered::new([f64::from(count), if_any(first), if_any(last), side])
        }
        FeatureKind::Mean | FeatureKind::Integral => Gathered::new([value - rest, first, 0.0, 0.0]),
        FeatureKind::TimeAbove => Gathered::new([first, last, 0.0, 0.0]),
        _ if count == 0 => spec.start(),
        FeatureKind::Max | FeatureKind::TimeOfMax | FeatureKind::Min | FeatureKind::TimeOfMin => {
            Gathered::new([value, first, 0.0, 0.0])
        }
        FeatureKind::Final => Gathered::new([value, first, f64::NAN, f64::NAN]),
        // Exactly as asked, where that is no whole tick.
        FeatureKind::ValueAt => Gathered::new([value, spec.at_ms, f64::NAN, f64::NAN]),
    }
}

/// The WGSL statement that feeds feature `k`: it takes `piece`, a `Piece`, and changes `gathered_K`, a `Gathered` variable.
pub(super) fn feed(spec: &FeatureSpec, k: usize) -> String {
    let piece = if spec.after_ms == f64::NEG_INFINITY && spec.before_ms == f64::INFINITY {
        "piece".to_string()
    } else {
        let (after, before) = (words(spec.after_ms), words(spec.before_ms));
        format!("clip_piece(piece, {after}, {before})")
    };
    let call = |name: &str, more: String| format!("gather_{name}(&gathered_{k}, {piece}{more});");
    let threshold = || real(spec.threshold);
    match spec.kind {
        FeatureKind::Spikes => call("spikes", format!(", {}, {k}u", threshold())),
        FeatureKind::Max | FeatureKind::TimeOfMax => call("max", String::new()),
        FeatureKind::Min | FeatureKind::TimeOfMin => call("min", String::new()),
        FeatureKind::Mean | FeatureKind::Integral => call("integral", String::new()),
        FeatureKind::TimeAbove => call("time_above", format!(", {}", threshold())),
        FeatureKind::Final => call("final", String::new()),
        FeatureKind::ValueAt => call("value_at", format!(", {}", words(spec.at_ms))),
    }
}

/// A number as a literal of the kernel's precision. The digits are those of double precision: the compiler rounds them once.
/// WGSL has no infinite literals, so a threshold out of reach becomes the largest number of single precision.
fn real(number: f64) -> String {
    let limit = f64::from(f32::MAX);
    let number = if number.is_nan() { limit } else { number };
    format!("Real({:?})", number.clamp(-limit, limit))
}

/// A time in ms as a literal.
fn words(time_ms: f64) -> String {
    let [low, high] = to_words(tick(time_ms).clamp(-BEYOND, BEYOND));
    format!("vec2<u32>({low}u, {high}u)")
}

/// A tick's words, the low one first.
pub(super) fn to_words(time: Tick) -> [u32; 2] {
    [time as u32, (time >> 32) as u32]
}

/// The tick of two words, the low one first.
pub(super) fn to_ticks([low, high]: [u32; 2]) -> Tick {
    (u64::from(high) << 32 | u64::from(low)) as Tick
}
