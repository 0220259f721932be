//! A model: `.mmt` text in, a checked [`Model`] or every fault of the text out.
//!
//! `lex` → `parse` → `syntax` (what was written) → `resolve` (names) → `check` (units, cycles, states) → [`Model`].
//!
//! The language is that of Myokit's `.mmt` files: `[[model]]` and `[[protocol]]` are read, `[[script]]` is skipped. A fault
//! does not end the reading: each is reported with its place, and what follows is read as if it had been right.
//!
//! ```
//! use sarcolemma::diag::{Source, render_text};
//! let text = "[[model]]\nc.x = 1\n[c]\ntime = 0 [ms] bind time\ndot(x) = -x / tua\ntau = 5 [ms]\n";
//! let source = Source::new("decay.mmt", text);
//! let faults = sarcolemma::model::read(&source).unwrap_err();
//! assert!(render_text(&faults, &source, false).contains("decay.mmt:5:15"));
//! assert_eq!(faults[0].help.as_deref(), Some("did you mean 'tau'?"));
//! ```

mod check;
mod check_units;
mod checked;
pub mod codes;
mod functions;
mod lex;
mod parse;
mod parse_expr;
mod parse_variable;
mod print;
mod protocol;
mod resolve;
mod syntax;
mod templates;

pub use checked::{Bound, Expr, ExprKind, Model, PacingEvent, Variable, VariableId, VariableKind};
pub use print::print;

use crate::diag::{Diagnostic, Severity, Source};

/// Reads a model for use. Units that do not fit are warnings: published models have such slips.
///
/// # Errors
///
/// Every fault of the text, in the order of their places, warnings included.
pub fn read(source: &Source) -> Result<(Model, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (model, mut faults, units) = analyse(source);
    faults.extend(units.into_iter().map(|fault| Diagnostic {
        severity: Severity::Warning,
        ..fault
    }));
    faults.sort_by_key(Diagnostic::place);
    if faults.iter().any(Diagnostic::is_error) {
        Err(faults)
    } else {
        Ok((model, faults))
    }
}

/// Every fault of a model's text, in the order of their places. Units that do not fit are errors.
pub fn check(source: &Source) -> Vec<Diagnostic> {
    let (_, mut faults, units) = analyse(source);
    faults.extend(units);
    faults.sort_by_key(Diagnostic::place);
    faults
}

/// The model, its faults, and its faults of units.
fn analyse(source: &Source) -> (Model, Vec<Diagnostic>, Vec<Diagnostic>) {
    let (tokens, mut faults) = lex::lex(&source.text);
    let file = parse::parse(source, &tokens, &mut faults);
    let drafts = resolve::resolve(&file, &mut faults);
    let model = check::check(source, &file, &drafts, &mut faults);
    let units = check_units::check_units(source, &drafts, &model);
    (model, faults, units)
}
