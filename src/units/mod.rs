//! Units: text to dimension and scale, and back.

/// A unit: a product of powers of the seven base units, times a factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// Powers of kg, m, s, A, K, cd, mol.
    pub exponents: [f64; 7],
    /// Factor in front of the base units: 1e-3 for `ms`.
    pub factor: f64,
}
