//! The identifiers of what can be wrong with a model's text. They are stable: a new fault gets a new one.

/// A character that starts nothing.
pub const CHARACTER: &str = "E0101";
/// A bracket, text or comment that is opened and never closed, or closed and never opened.
pub const UNCLOSED: &str = "E0102";
/// Indentation that fits no line above, or stands where nothing can be nested.
pub const INDENTATION: &str = "E0103";
/// Something else was expected here.
pub const SYNTAX: &str = "E0104";
/// A number beyond the range of doubles.
pub const NUMBER: &str = "E0105";
/// An expression or a nesting too deep to be read.
pub const DEPTH: &str = "E0106";
/// The text of a unit is wrong.
pub const UNIT: &str = "E0107";
/// A segment header that is unknown, doubled or out of order, or a file without a model.
pub const SEGMENT: &str = "E0108";

/// A name that nothing bears.
pub const UNDEFINED: &str = "E0201";
/// A name that two things bear in one scope.
pub const DOUBLED_NAME: &str = "E0202";
/// A function that does not exist.
pub const UNKNOWN_FUNCTION: &str = "E0203";
/// Too few or too many arguments.
pub const ARGUMENTS: &str = "E0204";
/// An alias of a variable that cannot have one.
pub const ALIAS: &str = "E0205";
/// A template function that cannot be expanded.
pub const TEMPLATE: &str = "E0206";
/// A property given twice: a unit, a description, a meta-data key.
pub const DOUBLED_PROPERTY: &str = "E0207";
/// A binding or label given to two variables.
pub const DOUBLED_BINDING: &str = "E0208";

/// Variables that need each other.
pub const CYCLE: &str = "E0301";
/// A state without an initial value.
pub const NO_INITIAL: &str = "E0302";
/// An initial value of something that is no state.
pub const STRAY_INITIAL: &str = "E0303";
/// An initial value that is not constant.
pub const INITIAL_NOT_CONSTANT: &str = "E0304";
/// The time derivative of something that is no state.
pub const NOT_A_STATE: &str = "E0305";
/// A variable without a right-hand side.
pub const NO_RHS: &str = "E0306";
/// A condition where a number is wanted, or a number where a condition is.
pub const SORT: &str = "E0307";
/// A state bound to an external input.
pub const BOUND_STATE: &str = "E0308";
/// An argument with a unit where a pure number is wanted.
pub const NOT_DIMENSIONLESS: &str = "E0310";
/// An exponent with a unit, or one that is not constant over a base with a unit.
pub const EXPONENT: &str = "E0311";
/// Two units that cannot be added, compared or be alternatives of each other.
pub const UNITS_DIFFER: &str = "E0312";
/// A unit that is not the declared one.
pub const NOT_AS_DECLARED: &str = "E0313";
/// A time variable whose unit is no time.
pub const TIME_UNIT: &str = "E0314";

/// A pacing event that cannot be.
pub const PACING: &str = "E0401";

/// A model without a time variable.
pub const NO_TIME: &str = "W0501";
