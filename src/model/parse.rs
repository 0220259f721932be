//! From tokens to statements. A statement that cannot be read is reported and skipped to the end of its line; what stands
//! below it is read as if it had been right, so that one slip gives one message.

use super::codes;
use super::lex::{Keyword, Token};
use super::syntax::{Alias, Component, File, Initial, Meta, Template, Word};
use crate::diag::{Diagnostic, Source, Span};
use crate::units::Unit;

/// The fault has been reported: leave the statement.
pub(super) struct Reported;

pub(super) type Read<T> = Result<T, Reported>;

/// Reads the statements of a file.
pub(super) fn parse(
    source: &Source,
    tokens: &[(Token, Span)],
    faults: &mut Vec<Diagnostic>,
) -> File {
    let mut parser = Parser {
        text: &source.text,
        tokens,
        at: 0,
        faults,
        depth: 0,
    };
    let mut file = File::default();
    parser.file(&mut file);
    file
}

pub(super) struct Parser<'a> {
    pub text: &'a str,
    pub tokens: &'a [(Token, Span)],
    pub at: usize,
    pub faults: &'a mut Vec<Diagnostic>,
    /// Brackets and operators around the expression being read.
    pub depth: usize,
}

/// The segments, in the order in which they stand in a file.
const SEGMENTS: [&str; 3] = ["[[model]]", "[[protocol]]", "[[script]]"];

impl<'a> Parser<'a> {
    pub fn token(&self) -> &'a Token {
        &self.tokens[self.at].0
    }

    pub fn span(&self) -> Span {
        self.tokens[self.at].1
    }

    pub fn word(&self) -> &'a str {
        let span = self.span();
        &self.text[span.start..span.end]
    }

    pub fn advance(&mut self) {
        // The last token ends the text and stays.
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    pub fn is(&self, symbol: &str) -> bool {
        matches!(self.token(), Token::Symbol(found) if *found == symbol)
    }

    pub fn is_keyword(&self, keyword: Keyword) -> bool {
        *self.token() == Token::Keyword(keyword)
    }

    pub fn eat(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub fn fault(&mut self, fault: Diagnostic) -> Reported {
        self.faults.push(fault);
        Reported
    }

    pub fn expect(&mut self, symbol: &'static str) -> Read<()> {
        if self.eat(symbol) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("'{symbol}'")))
        }
    }

    /// Reports the token that stands here; one that is already reported is not reported again.
    pub fn unexpected(&mut self, expected: &str) -> Reported {
        if *self.token() == Token::Bad {
            return Reported;
        }
        let found = match self.token() {
            Token::EndOfLine => "the end of the line".to_owned(),
            Token::End => "the end of the file".to_owned(),
            Token::Indent => "indentation".to_owned(),
            Token::Dedent => "the end of the indented lines".to_owned(),
            Token::Text(_) => "text".to_owned(),
            Token::Keyword(_) | Token::Constant(_) => {
                format!("the reserved word '{}'", self.word())
            }
            Token::Number(_) => format!("the number {}", self.word()),
            Token::MetaKey => format!("the key '{}:'", self.word()),
            _ => format!("'{}'", self.word()),
        };
        let mut fault =
            Diagnostic::error(codes::SYNTAX, format!("expected {expected}, found {found}"));
        fault = fault.at(self.span(), "");
        let before = self.at.checked_sub(1).map(|i| &self.tokens[i].0);
        let help = match (self.token(), before) {
            (Token::MetaKey, _) => {
                "a name with ':' right behind it is a key; put a space before the ':' of a description"
            }
            (Token::Symbol("("), Some(Token::Name)) => {
                "a function's bracket stands right behind its name: exp(…)"
            }
            _ => return self.fault(fault),
        };
        fault = fault.help(help);
        self.fault(fault)
    }

    pub fn name(&mut self, what: &str) -> Read<Word> {
        if *self.token() != Token::Name {
            return Err(self.unexpected(what));
        }
        let word = Word {
            text: self.word().to_owned(),
            span: self.span(),
        };
        self.advance();
        Ok(word)
    }

    pub fn end_of_line(&mut self) -> Read<()> {
        match self.token() {
            Token::EndOfLine => {
                self.advance();
                Ok(())
            }
            Token::End => Ok(()),
            _ => Err(self.unexpected("the end of the line")),
        }
    }

    /// To the start of the next line.
    pub fn skip_line(&mut self) {
        while !matches!(self.token(), Token::EndOfLine | Token::End) {
            self.advance();
        }
        if *self.token() == Token::EndOfLine {
            self.advance();
        }
    }

    /// Over the lines that stand further right than the one before.
    pub fn skip_block(&mut self) {
        let mut depth = 0;
        loop {
            match self.token() {
                Token::Indent => depth += 1,
                Token::Dedent => depth -= 1,
                Token::End => return,
                _ if depth == 0 => return,
                _ => {}
            }
            self.advance();
        }
    }

    fn file(&mut self, file: &mut File) {
        // Index in SEGMENTS of the one being read.
        let mut segment: Option<usize> = None;
        let mut early = false;
        loop {
            match self.token() {
                Token::End => break,
                Token::Segment => self.segment(&mut segment),
                Token::Indent | Token::Dedent | Token::EndOfLine => self.misplaced(),
                Token::Bad => self.skip_line(),
                _ => match segment {
                    Some(1) => self.protocol(&mut file.protocol),
                    Some(_) => self.statement(file),
                    // What stands there is most likely the model.
                    None if early => self.statement(file),
                    None => {
                        early = true;
                        let message = "a model's file starts with '[[model]]'";
                        let fault = Diagnostic::error(codes::SEGMENT, message);
                        self.fault(fault.at(self.span(), "found before it"));
                    }
                },
            }
        }
        if segment.is_none() && !early {
            let message = "this file has no model: it lacks '[[model]]'";
            let fault = Diagnostic::error(codes::SEGMENT, message).at(self.span(), "");
            self.fault(fault);
        }
    }

    fn segment(&mut self, segment: &mut Option<usize>) {
        let (name, span) = (self.word(), self.span());
        let number = SEGMENTS.iter().position(|known| *known == name);
        let fault = |message: String| Diagnostic::error(codes::SEGMENT, message).at(span, "");
        let (fault, skip) = match number {
            None => {
                let near = crate::diag::nearest(name, SEGMENTS);
                (
                    Some(fault(format!("no segment is called {name}")).did_you_mean(near)),
                    true,
                )
            }
            Some(n) if segment.is_some_and(|before| before >= n) => {
                let help = "the order is [[model]], [[protocol]], [[script]], each at most once";
                (
                    Some(fault(format!("{name} stands too late")).help(help)),
                    true,
                )
            }
            Some(n) if n > 0 && segment.is_none() => (
                Some(fault(format!("there is no [[model]] before {name}"))),
                false,
            ),
            Some(_) => (None, false),
        };
        self.faults.extend(fault);
        *segment = number.max(*segment);
        self.advance();
        if self.end_of_line().is_err() {
            self.skip_line();
        }
        // What stands in a segment that should not be there says nothing.
        while skip && !matches!(self.token(), Token::Segment | Token::End) {
            self.advance();
        }
    }

    pub fn misplaced(&mut self) {
        if *self.token() == Token::Indent {
            let fault = Diagnostic::error(
                codes::INDENTATION,
                "this line is indented, but belongs to no variable",
            );
            let fault = fault
                .at(self.span(), "")
                .help("only what belongs to a variable is indented below it");
            self.fault(fault);
        }
        self.advance();
    }

    /// A statement of the model at the level of components.
    fn statement(&mut self, file: &mut File) {
        let component = file.components.last_mut();
        let read = match (self.token(), component) {
            (Token::Symbol("["), _) => self.component(file),
            (Token::Keyword(Keyword::Use), Some(component)) => self.aliases(component),
            (Token::MetaKey, Some(_)) => self.meta().map(|_| ()),
            (_, Some(component)) => {
                if let Some(variable) = self.variable(true, 0) {
                    component.variables.push(variable);
                }
                Ok(())
            }
            (Token::MetaKey, None) => self
                .meta()
                .and_then(|meta| self.add_meta(&mut file.meta, meta)),
            (Token::Function, None) => self.template(file),
            (Token::Name, None) => self.initial(file),
            _ => Err(self.unexpected("an initial value, 'key: text', a function or '[component]'")),
        };
        if read.is_err() {
            self.skip_line();
            self.skip_block();
        }
    }

    fn component(&mut self, file: &mut File) -> Read<()> {
        self.advance();
        let name = self.name("a component's name")?;
        self.expect("]")?;
        file.components.push(Component {
            name,
            aliases: Vec::new(),
            lost: Vec::new(),
            variables: Vec::new(),
        });
        self.end_of_line()
    }

    pub fn meta(&mut self) -> Read<Meta> {
        let key = Word {
            text: self.word().to_owned(),
            span: self.span(),
        };
        self.advance();
        self.expect(":")?;
        let value = match self.token() {
            Token::Text(text) => {
                self.advance();
                text.trim().to_owned()
            }
            _ => String::new(),
        };
        self.end_of_line()?;
        Ok(Meta { key, value })
    }

    pub fn add_meta(&mut self, known: &mut Vec<Meta>, meta: Meta) -> Read<()> {
        if let Some(first) = known.iter().find(|other| other.key.text == meta.key.text) {
            let fault = Diagnostic::error(
                codes::DOUBLED_PROPERTY,
                format!("'{}' is given twice", meta.key.text),
            );
            // The line has been read to its end: nothing is to be skipped.
            self.fault(
                fault
                    .at(meta.key.span, "again here")
                    .also(first.key.span, "first here"),
            );
        } else {
            known.push(meta);
        }
        Ok(())
    }

    fn template(&mut self, file: &mut File) -> Read<()> {
        let name = Word {
            text: self.word().to_owned(),
            span: self.span(),
        };
        self.advance();
        self.expect("(")?;
        let mut arguments = Vec::new();
        if !self.is(")") {
            arguments.push(self.name("an argument's name or ')'")?);
            while self.eat(",") {
                arguments.push(self.name("an argument's name")?);
            }
        }
        self.expect(")")?;
        self.expect("=")?;
        let body = self.expression(0).ok();
        file.templates.push(Template {
            name,
            arguments,
            body,
        });
        if file
            .templates
            .last()
            .is_some_and(|template| template.body.is_none())
        {
            return Err(Reported);
        }
        self.end_of_line()
    }

    fn initial(&mut self, file: &mut File) -> Read<()> {
        let component = self.name("a component's name")?;
        if self.is("=") {
            let fault = Diagnostic::error(
                codes::SYNTAX,
                "above the first component stand initial values of states",
            );
            let fault = fault.at(component.span, "this has no component");
            return Err(self.fault(
                fault.help("write 'component.variable = value', or put '[component]' above it"),
            ));
        }
        self.expect(".")?;
        let variable = self.name("a variable's name")?;
        self.expect("=")?;
        let value = self.expression(0).ok();
        let read = value.is_some();
        file.initials.push(Initial {
            component,
            variable,
            value,
        });
        if read {
            self.end_of_line()
        } else {
            Err(Reported)
        }
    }

    fn aliases(&mut self, component: &mut Component) -> Read<()> {
        let start = self.at;
        let read = self.alias_list(component);
        if read.is_err() {
            let line = self.tokens[start..]
                .iter()
                .take_while(|(token, _)| *token != Token::EndOfLine);
            let names = line.filter(|(token, _)| *token == Token::Name);
            component
                .lost
                .extend(names.map(|(_, span)| self.text[span.start..span.end].to_owned()));
        }
        read
    }

    fn alias_list(&mut self, component: &mut Component) -> Read<()> {
        self.advance();
        loop {
            let of = self.name("'component.variable'")?;
            if !self.is(".") {
                let fault = Diagnostic::error(
                    codes::SYNTAX,
                    "an alias is for a variable of another component",
                );
                return Err(self.fault(
                    fault
                        .at(of.span, "this has no component")
                        .help("write 'use component.variable as name'"),
                ));
            }
            self.advance();
            let variable = self.name("a variable's name")?;
            let name = if self.is_keyword(Keyword::As) {
                self.advance();
                self.name("a name")?
            } else {
                variable.clone()
            };
            component.aliases.push(Alias {
                name,
                component: of,
                variable,
            });
            if !self.eat(",") {
                return self.end_of_line();
            }
        }
    }

    /// `[unit]`, with the place of the whole.
    pub fn bracketed_unit(&mut self) -> Read<(Unit, Span)> {
        let open = self.span();
        self.expect("[")?;
        while !self.is("]") {
            if *self.token() == Token::Function {
                let fault =
                    Diagnostic::error(codes::UNIT, "a unit is no function").at(self.span(), "");
                let help = "put a space before the multiplier: [m (1e-3)]";
                return Err(self.fault(fault.help(help)));
            }
            if matches!(
                self.token(),
                Token::EndOfLine | Token::End | Token::Bad | Token::Text(_)
            ) {
                return Err(self.unexpected("']'"));
            }
            self.advance();
        }
        let span = open.to(self.span());
        self.advance();
        match Unit::parse(&self.text[span.start..span.end]) {
            Ok(unit) => Ok((unit, span)),
            Err(error) => {
                let place = error.place();
                let at = Span::new(span.start + place.start, span.start + place.end);
                let mut fault = Diagnostic::error(codes::UNIT, error.to_string()).at(at, "");
                fault.help = error.help();
                self.faults.push(fault);
                // The rest of the statement is fine.
                Ok((
                    Unit {
                        exponents: [f64::NAN; 7],
                        factor: f64::NAN,
                    },
                    span,
                ))
            }
        }
    }
}
