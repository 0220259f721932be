//! Expressions, by binding strength: an operator takes what binds stronger than itself.

use super::codes;
use super::lex::{Keyword, Token};
use super::parse::{Parser, Reported};
use super::syntax::{Expr, ExprKind, Infix, Prefix, Word};
use crate::diag::{Diagnostic, Span};
use crate::units::Unit;

/// Brackets, calls and signs inside each other.
const MAX_DEPTH: usize = 100;
/// Levels of an expression's tree, a chain of `+` counting one each: every pass recurses over them.
pub(super) const MAX_HEIGHT: usize = 256;

impl Parser<'_> {
    /// An expression, up to the first operator that binds no stronger than `binding`.
    pub(super) fn expression(&mut self, binding: u8) -> Result<Expr, Reported> {
        if self.depth >= MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let expr = self.operators(binding);
        self.depth -= 1;
        expr
    }

    fn operators(&mut self, binding: u8) -> Result<Expr, Reported> {
        let mut left = self.operand()?;
        while let Some(infix) = self.infix() {
            if infix.binding() <= binding {
                break;
            }
            self.advance();
            let right = self.expression(infix.binding())?;
            let span = left.span.to(right.span);
            let height = 1 + left.height.max(right.height);
            if height > MAX_HEIGHT {
                return Err(self.too_long(span));
            }
            left = Expr {
                kind: ExprKind::Infix(infix, Box::new(left), Box::new(right)),
                span,
                height,
            };
        }
        Ok(left)
    }

    // Apart from the recursion, whose frames they would swell.

    #[cold]
    #[inline(never)]
    fn too_deep(&mut self) -> Reported {
        let message = format!("this expression is nested deeper than {MAX_DEPTH} levels");
        let fault = Diagnostic::error(codes::DEPTH, message).at(self.span(), "");
        self.fault(fault.help("give parts of it a name of their own"))
    }

    #[cold]
    #[inline(never)]
    fn too_long(&mut self, span: Span) -> Reported {
        let message = format!("this expression has more than {MAX_HEIGHT} operations in a row");
        let fault = Diagnostic::error(codes::DEPTH, message).at(span, "");
        self.fault(fault.help("give parts of it a name of their own"))
    }

    fn infix(&self) -> Option<Infix> {
        match self.token() {
            Token::Symbol(symbol) => Infix::from_symbol(symbol),
            Token::Keyword(Keyword::And) => Some(Infix::And),
            Token::Keyword(Keyword::Or) => Some(Infix::Or),
            _ => None,
        }
    }

    fn operand(&mut self) -> Result<Expr, Reported> {
        let span = self.span();
        let leaf = |kind, span| {
            Ok(Expr {
                kind,
                span,
                height: 1,
            })
        };
        match self.token() {
            Token::Number(value) | Token::Constant(value) => {
                self.advance();
                if !self.is("[") {
                    return leaf(ExprKind::Number(*value, None), span);
                }
                let (unit, unit_span) = self.bracketed_unit()?;
                // A unit that could not be read is reported and fits anything.
                let unit: Option<Unit> = (!unit.factor.is_nan()).then_some(unit);
                leaf(ExprKind::Number(*value, unit), span.to(unit_span))
            }
            Token::Name => {
                let first = self.name("a name")?;
                if !self.eat(".") {
                    return leaf(ExprKind::Name(first.text), span);
                }
                let second = self.name("a variable's name")?;
                leaf(
                    ExprKind::Name(format!("{}.{}", first.text, second.text)),
                    span.to(second.span),
                )
            }
            Token::Symbol("+") => self.prefix(Prefix::Plus),
            Token::Symbol("-") => self.prefix(Prefix::Minus),
            Token::Keyword(Keyword::Not) => self.prefix(Prefix::Not),
            Token::Symbol("(") => {
                self.advance();
                let inner = self.expression(0)?;
                let end = self.span();
                self.expect_closing(")", "an operator or ')'")?;
                Ok(Expr {
                    span: span.to(end),
                    ..inner
                })
            }
            Token::Function => self.call(),
            _ => Err(self.unexpected("an expression")),
        }
    }

    fn expect_closing(&mut self, symbol: &str, expected: &str) -> Result<(), Reported> {
        if self.eat(symbol) {
            Ok(())
        } else {
            Err(self.unexpected_after_operand(expected))
        }
    }

    /// A hint for the slips that come up: a call with a space, a missing operator.
    fn unexpected_after_operand(&mut self, expected: &str) -> Reported {
        if self.is("=") {
            let fault = Diagnostic::error(codes::SYNTAX, format!("expected {expected}, found '='"))
                .at(self.span(), "");
            return self.fault(fault.help("to compare, write '=='"));
        }
        self.unexpected(expected)
    }

    fn prefix(&mut self, prefix: Prefix) -> Result<Expr, Reported> {
        let span = self.span();
        self.advance();
        let operand = self.expression(Prefix::BINDING)?;
        let (span, height) = (span.to(operand.span), 1 + operand.height);
        Ok(Expr {
            kind: ExprKind::Prefix(prefix, Box::new(operand)),
            span,
            height,
        })
    }

    fn call(&mut self) -> Result<Expr, Reported> {
        let name = Word {
            text: self.word().to_owned(),
            span: self.span(),
        };
        self.advance();
        self.expect("(")?;
        let mut arguments = vec![self.expression(0)?];
        while self.eat(",") {
            arguments.push(self.expression(0)?);
        }
        let span = name.span.to(self.span());
        self.expect_closing(")", "an operator, ',' or ')'")?;
        let height = 1 + arguments
            .iter()
            .map(|argument| argument.height)
            .max()
            .unwrap_or(0);
        Ok(Expr {
            kind: ExprKind::Call(name, arguments),
            span,
            height,
        })
    }
}
