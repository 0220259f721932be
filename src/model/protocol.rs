//! The pacing events of `[[protocol]]`: a line each, `level start length period multiplier`.

use super::checked::PacingEvent;
use super::codes;
use super::lex::Token;
use super::parse::{Parser, Reported};
use crate::diag::{Diagnostic, Span};

impl Parser<'_> {
    /// The lines up to the next segment.
    pub(super) fn protocol(&mut self, events: &mut Vec<PacingEvent>) {
        let mut previous: Option<(PacingEvent, Span)> = None;
        loop {
            match self.token() {
                Token::End | Token::Segment => return,
                Token::Indent | Token::Dedent | Token::EndOfLine => {
                    if *self.token() == Token::Indent {
                        let fault = Diagnostic::error(
                            codes::INDENTATION,
                            "a line of the protocol is not indented",
                        );
                        self.fault(fault.at(self.span(), ""));
                    }
                    self.advance();
                }
                _ => match self.event(previous) {
                    Ok((event, span)) => {
                        previous = Some((event, span));
                        events.push(event);
                    }
                    Err(Reported) => self.skip_line(),
                },
            }
        }
    }

    fn event(
        &mut self,
        previous: Option<(PacingEvent, Span)>,
    ) -> Result<(PacingEvent, Span), Reported> {
        let first = self.span();
        let (level, _) = self.signed("the level of an event")?;
        let (start, start_span) = if *self.token() == Token::Name && self.word() == "next" {
            let span = self.span();
            self.advance();
            (self.after(previous, span)?, span)
        } else {
            self.signed("the start of the event, or 'next'")?
        };
        let (length, length_span) = self.signed("the length of the event")?;
        let (period, period_span) = self.signed("the period of the event, or 0")?;
        let (multiplier, multiplier_span) = self.signed("how often the event occurs, or 0")?;
        let line = first.to(multiplier_span);
        self.end_of_line()?;
        // From here on the line is read: a fault does not skip the next one.
        let mut wrong = |span: Span, message: &str, help: &str| {
            let fault = Diagnostic::error(codes::PACING, message).at(span, "");
            self.faults.push(fault.help(help));
        };
        if length <= 0.0 {
            wrong(
                length_span,
                "an event has a length greater than 0",
                "level, start, length, period, multiplier",
            );
        }
        if period < 0.0 {
            wrong(
                period_span,
                "a period is not negative",
                "0 for an event that occurs once",
            );
        }
        let count = multiplier.trunc();
        if !(0.0..=f64::from(u32::MAX)).contains(&count) {
            wrong(
                multiplier_span,
                "an event cannot occur so often",
                "0 for no end, where there is a period",
            );
        } else if count > 0.0 && period == 0.0 {
            wrong(
                multiplier_span,
                "an event without a period occurs once",
                "write 0, or give it a period",
            );
        }
        if let Some((before, before_span)) = previous
            && start <= before.start
        {
            let what = if start == before.start {
                "two events start at the same time"
            } else {
                "events stand in the order of their starts"
            };
            let fault =
                Diagnostic::error(codes::PACING, what).at(start_span, "this event starts here");
            self.faults
                .push(fault.also(before_span, format!("this one at {}", before.start)));
        }
        // The lexer has checked the range of every number.
        Ok((
            PacingEvent {
                level,
                start,
                length,
                period,
                count: count as u32,
            },
            line,
        ))
    }

    /// The end of the event before.
    fn after(
        &mut self,
        previous: Option<(PacingEvent, Span)>,
        span: Span,
    ) -> Result<f64, Reported> {
        match previous {
            None => Ok(0.0),
            // Sums of decimals are rounded to 9 digits behind the point, as Myokit does.
            Some((before, _)) if before.period == 0.0 => {
                Ok(((before.start + before.length) * 1e9).round() / 1e9)
            }
            Some((_, line)) => {
                let fault =
                    Diagnostic::error(codes::PACING, "'next' follows an event that occurs once");
                Err(self.fault(fault.at(span, "").also(line, "this one has a period")))
            }
        }
    }

    fn signed(&mut self, what: &str) -> Result<(f64, Span), Reported> {
        let first = self.span();
        let negative = self.is("-");
        if negative || self.is("+") {
            self.advance();
        }
        let Token::Number(value) = self.token() else {
            return Err(self.unexpected(what));
        };
        let span = first.to(self.span());
        self.advance();
        Ok((if negative { -value } else { *value }, span))
    }
}
