//! The identifiers of what can be wrong with a study. They are stable: scripts may rely on them.

/// The text is no TOML.
pub(super) const SYNTAX: &str = "E0501";
/// A key that a study does not have.
pub(super) const UNKNOWN_KEY: &str = "E0502";
/// A value of the wrong kind: a number where a list is wanted.
pub(super) const WRONG_TYPE: &str = "E0503";
/// A key that must be there and is not, or two of which only one can be.
pub(super) const KEYS: &str = "E0504";
/// A text that should be a quantity and is none.
pub(super) const QUANTITY: &str = "E0505";
/// A quantity in a unit that does not fit.
pub(super) const UNIT: &str = "E0506";
/// A name that the model, or the study, does not have.
pub(super) const UNKNOWN_NAME: &str = "E0507";
/// A name of something that cannot be used this way: a state where a literal is wanted.
pub(super) const WRONG_KIND: &str = "E0508";
/// A number outside what makes sense.
pub(super) const RANGE: &str = "E0509";
/// Parts of the protocol contradict each other.
pub(super) const CONFLICT: &str = "E0510";
/// The same name twice.
pub(super) const DUPLICATE: &str = "E0511";
/// A condition that cannot be read.
pub(super) const CONDITION: &str = "E0512";
/// A file that the study names cannot be used.
pub(super) const FILE: &str = "E0513";
/// Something planned that is not there yet.
pub(super) const NOT_AVAILABLE: &str = "E0514";
/// Something that has no effect.
pub(super) const NO_EFFECT: &str = "W0520";
/// Something that works but is probably not meant.
pub(super) const DOUBTFUL: &str = "W0521";
