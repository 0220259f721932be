//! The definition of a variable and what is indented below it.

use super::codes;
use super::lex::{Keyword, Token};
use super::parse::{Parser, Read};
use super::syntax::{Meta, Variable, Word};
use crate::diag::{Diagnostic, Span};

/// Variables inside variables; more are no honest model.
const MAX_NESTING: usize = 32;

impl Parser<'_> {
    /// A variable with what is indented below it; `None` where not even its name could be read.
    pub(super) fn variable(&mut self, top: bool, depth: usize) -> Option<Variable> {
        let Ok((name, state)) = self.left_hand_side(top) else {
            self.skip_line();
            self.skip_block();
            return None;
        };
        let mut variable = Variable {
            name,
            state,
            rhs: None,
            broken: false,
            unit: None,
            binding: None,
            label: None,
            meta: Vec::new(),
            children: Vec::new(),
        };
        if self.definition(&mut variable).is_err() {
            // Half an expression would only raise faults of its own.
            variable.broken = true;
            variable.rhs = None;
            self.skip_line();
        }
        if *self.token() == Token::Indent {
            if depth >= MAX_NESTING {
                let fault = Diagnostic::error(
                    codes::DEPTH,
                    format!("variables are nested deeper than {MAX_NESTING} levels"),
                );
                self.fault(fault.at(variable.name.span, "below this one"));
                self.skip_block();
                return Some(variable);
            }
            self.advance();
            self.block(&mut variable, depth);
        }
        Some(variable)
    }

    fn left_hand_side(&mut self, top: bool) -> Read<(Word, bool)> {
        if *self.token() != Token::Function {
            let name = self.name("a variable's name, 'key: text', 'use' or '[component]'")?;
            if self.is(".") {
                let fault = Diagnostic::error(
                    codes::SYNTAX,
                    "a variable is defined under its own component, by its own name",
                );
                let fault = fault.at(name.span, "").help(format!(
                    "initial values stand above the first component; other variables below [{}]",
                    name.text
                ));
                return Err(self.fault(fault));
            }
            return Ok((name, false));
        }
        if self.word() != "dot" {
            let message = format!("'{}(…)' cannot be defined here", self.word());
            let fault = Diagnostic::error(codes::SYNTAX, message).at(self.span(), "");
            return Err(self.fault(fault.help("left of '=' stands a name or dot(name); functions are defined above the first component")));
        }
        if !top {
            let fault = Diagnostic::error(
                codes::SYNTAX,
                "a state cannot be nested in another variable",
            )
            .at(self.span(), "");
            return Err(self.fault(fault.help("move it to the level of its component")));
        }
        self.advance();
        self.expect("(")?;
        let name = self.name("a variable's name")?;
        self.expect(")")?;
        Ok((name, true))
    }

    /// From `=` to the end of the line.
    fn definition(&mut self, variable: &mut Variable) -> Read<()> {
        if self.eat("=") {
            variable.rhs = Some(self.expression(0)?);
        }
        for keyword in [Keyword::In, Keyword::Bind, Keyword::Label] {
            if self.is_keyword(keyword) {
                self.property(variable)?;
            }
        }
        if self.eat(":") {
            let key = Word {
                text: "desc".to_owned(),
                span: self.span(),
            };
            let Token::Text(text) = self.token() else {
                return Err(self.unexpected("a description"));
            };
            self.advance();
            variable.meta.push(Meta {
                key,
                value: text.trim().to_owned(),
            });
        }
        let after = match (
            &variable.rhs,
            &variable.unit,
            &variable.binding,
            &variable.label,
        ) {
            (None, None, None, None) => "'='",
            (_, None, None, None) => "an operator, 'in [unit]' or the end of the line",
            _ => "the end of the line",
        };
        match self.token() {
            Token::EndOfLine | Token::End => self.end_of_line(),
            _ => Err(self.unexpected(after)),
        }
    }

    /// `in [unit]`, `bind name` or `label name`.
    fn property(&mut self, variable: &mut Variable) -> Read<()> {
        let keyword = self.word();
        let span = self.span();
        let twice = |first: Span| {
            let fault = Diagnostic::error(
                codes::DOUBLED_PROPERTY,
                format!("'{keyword}' is given twice"),
            );
            fault.at(span, "again here").also(first, "first here")
        };
        if self.is_keyword(Keyword::In) {
            self.advance();
            let unit = self.bracketed_unit()?;
            if let Some((_, first)) = variable.unit {
                self.faults.push(twice(first));
            } else {
                variable.unit = Some(unit);
            }
            return Ok(());
        }
        let binding = self.is_keyword(Keyword::Bind);
        self.advance();
        let name = self.name(if binding {
            "the input's name"
        } else {
            "the label"
        })?;
        let slot = if binding {
            &mut variable.binding
        } else {
            &mut variable.label
        };
        match slot {
            Some(first) => self.faults.push(twice(first.span)),
            None => *slot = Some(name),
        }
        Ok(())
    }

    /// The lines indented below a variable.
    fn block(&mut self, variable: &mut Variable, depth: usize) {
        loop {
            let read = match self.token() {
                Token::Dedent => {
                    self.advance();
                    return;
                }
                Token::End | Token::Segment => return,
                Token::Indent | Token::EndOfLine => {
                    self.misplaced();
                    continue;
                }
                Token::MetaKey => self
                    .meta()
                    .and_then(|meta| self.add_meta(&mut variable.meta, meta)),
                Token::Keyword(Keyword::In | Keyword::Bind | Keyword::Label) => {
                    self.property(variable).and_then(|()| self.end_of_line())
                }
                Token::Name | Token::Function => {
                    variable.children.extend(self.variable(false, depth + 1));
                    continue;
                }
                _ => {
                    Err(self.unexpected("a nested variable, 'key: text', 'in', 'bind' or 'label'"))
                }
            };
            if read.is_err() {
                variable.broken = true;
                self.skip_line();
                self.skip_block();
            }
        }
    }
}
