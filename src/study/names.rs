//! Finding what a study names in its model, with suggestions among those names that would do.

use super::faults;
use super::walk::{Item, Reader};
use crate::diag::nearest;
use crate::model::{Bound, Model, VariableId, VariableKind};

/// What a name has to stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A state or an intermediate: what can be recorded and observed.
    Observable,
    /// A literal: what can be set.
    Literal,
    /// A state: what can be clamped.
    State,
    /// A literal or a state: what can vary by fibre.
    Varied,
    /// A state: what has a share in the error of a step.
    Scaled,
}

impl Role {
    fn admits(self, kind: &VariableKind) -> bool {
        let state = matches!(kind, VariableKind::State { .. });
        let literal = matches!(kind, VariableKind::Literal(_));
        match self {
            Role::Observable => state || matches!(kind, VariableKind::Intermediate),
            Role::Literal => literal,
            Role::State | Role::Scaled => state,
            Role::Varied => state || literal,
        }
    }

    fn rule(self) -> &'static str {
        match self {
            Role::Observable => "states and intermediates can be observed",
            Role::Literal => "literals can be set",
            Role::State => "states can be clamped",
            Role::Varied => "literals and initial values of states can vary",
            Role::Scaled => "states have a scale",
        }
    }
}

/// What a variable is, in words.
fn describe(kind: &VariableKind) -> &'static str {
    match kind {
        VariableKind::State { .. } => "a state",
        VariableKind::Bound(Bound::Time) => "the model's time",
        VariableKind::Bound(Bound::Pace) => "the pacing input",
        VariableKind::Bound(Bound::Other(_)) => "an external input",
        VariableKind::Literal(_) => "a literal",
        VariableKind::Constant => "computed from literals",
        VariableKind::Intermediate => "an intermediate",
    }
}

impl<'a> Reader<'a> {
    /// The variable that a text value names, if it can play the role.
    pub fn variable(&mut self, item: &Item<'_>, role: Role) -> Option<VariableId> {
        let name = self.text(item)?;
        self.named(item, name, role)
    }

    /// The variable of that name, if it can play the role; faults are placed at the item.
    pub fn named(&mut self, item: &Item<'_>, name: &str, role: Role) -> Option<VariableId> {
        let model = self.model?;
        let span = if item.as_text() == Some(name) {
            item.span
        } else {
            item.key
        };
        match model.find(name) {
            Some(id) if role.admits(&model.variable(id).kind) => Some(id),
            Some(id) => {
                let kind = describe(&model.variable(id).kind);
                let message = format!("'{name}' is {kind} of {}; only {}", model.name, role.rule());
                self.error(faults::WRONG_KIND, span, message).help = near(model, name, role);
                None
            }
            None => {
                let message = format!("model {} has no variable '{name}'", model.name);
                self.error(faults::UNKNOWN_NAME, span, message).help = near(model, name, role);
                None
            }
        }
    }
}

fn near(model: &Model, name: &str, role: Role) -> Option<String> {
    let fitting = model
        .variables
        .iter()
        .filter(|v| role.admits(&v.kind) && v.name != name)
        .map(|v| v.name.as_str());
    nearest(name, fitting).map(|known| format!("did you mean '{known}'?"))
}
