//! The identifiers of what can be wrong with a study. They are stable: scripts may rely on them.

/// The text is no TOML.
pub(super) const SYNTAX: &str = "E0601";
/// A key that a study does not have.
pub(super) const UNKNOWN_KEY: &str = "E0602";
/// A value of the wrong kind: a number where a list is wanted.
pub(super) const WRONG_TYPE: &str = "E0603";
/// A key that must be there and is not, or two of which only one can be.
pub(super) const KEYS: &str = "E0604";
/// A text that should be a quantity and is none.
pub(super) const QUANTITY: &str = "E0605";
/// A quantity in a unit that does not fit.
pub(super) const UNIT: &str = "E0606";
/// A name that the model, or the study, does not have.
pub(super) const UNKNOWN_NAME: &str = "E0607";
/// A name of something that cannot be used this way: a state where a literal is wanted.
pub(super) const WRONG_KIND: &str = "E0608";
/// A number outside what makes sense.
pub(super) const RANGE: &str = "E0609";
/// Parts of the protocol contradict each other.
pub(super) const CONFLICT: &str = "E0610";
/// The same name twice.
pub(super) const DUPLICATE: &str = "E0611";
/// A condition that cannot be read.
pub(super) const CONDITION: &str = "E0612";
/// A file that the study names cannot be used.
pub(super) const FILE: &str = "E0613";
/// Something planned that is not there yet.
pub(super) const NOT_AVAILABLE: &str = "E0614";
/// Something that has no effect.
pub(super) const NO_EFFECT: &str = "W0620";
/// Something that works but is probably not meant.
pub(super) const DOUBTFUL: &str = "W0621";
