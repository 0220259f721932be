//! Conditions on a fibre's numbers: `after.count >= 3 or V500 > -60 mV`.
//!
//! ```text
//! either     = all { "or" all }
//! all        = one { "and" one }
//! one        = "not" one | "(" either ")" | sum compare sum
//! compare    = ">" | ">=" | "<" | "<=" | "==" | "!="
//! sum        = [ "-" ] term { ( "+" | "-" ) term }
//! term       = name | number [ unit ]
//! ```
//!
//! Names are columns of features and varied parameters. All terms of a comparison are converted to the unit of its first
//! named term. A comparison with a missing number (NaN) is false, whatever it compares.

use crate::diag::nearest;
use crate::units::{Quantity, Unit};
use std::ops::Range;

/// A number of a fibre that a condition can speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// A column among all features' columns.
    Feature(usize),
    /// A varied parameter.
    Parameter(usize),
}

/// A name that a condition may use.
#[derive(Clone, Debug)]
pub struct Name {
    /// As it is written.
    pub name: String,
    /// What it stands for.
    pub term: Term,
    /// Its unit, if known.
    pub unit: Option<Unit>,
}

/// How two sums are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    More,
    AtLeast,
    Less,
    AtMost,
    Equal,
    Unequal,
}

/// A sum of multiples of terms, and a number.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sum {
    terms: Vec<(f64, Term)>,
    number: f64,
}

/// A condition, ready to be asked of any fibre.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Compare(Sum, Comparison, Sum),
}

/// Why a text is no condition, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionError {
    /// Bytes of the text at fault.
    pub place: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Whether the text is well formed but a unit does not fit.
    pub is_unit: bool,
    /// Whether the text is well formed but a name is unknown.
    pub is_name: bool,
}

impl Condition {
    /// Reads a condition in which these names may stand.
    pub fn parse(text: &str, names: &[Name]) -> Result<Condition, ConditionError> {
        let mut parser = Parser {
            text,
            at: 0,
            names,
            depth: 0,
        };
        let node = parser.either()?;
        match parser.peek() {
            None => Ok(Condition(node)),
            Some(_) => Err(parser.unexpected("'and', 'or' or the end")),
        }
    }

    /// Whether it holds for a fibre with these columns of features and these parameters.
    pub fn holds(&self, features: &[f64], parameters: &[f64]) -> bool {
        self.0.holds(features, parameters)
    }
}

impl Node {
    fn holds(&self, features: &[f64], parameters: &[f64]) -> bool {
        match self {
            Node::Any(nodes) => nodes.iter().any(|n| n.holds(features, parameters)),
            Node::All(nodes) => nodes.iter().all(|n| n.holds(features, parameters)),
            Node::Not(node) => !node.holds(features, parameters),
            Node::Compare(left, comparison, right) => {
                let (a, b) = (
                    left.value(features, parameters),
                    right.value(features, parameters),
                );
                match comparison {
                    Comparison::More => a > b,
                    Comparison::AtLeast => a >= b,
                    Comparison::Less => a < b,
                    Comparison::AtMost => a <= b,
                    Comparison::Equal => a == b,
                    Comparison::Unequal => a.partial_cmp(&b).is_some_and(std::cmp::Ordering::is_ne),
                }
            }
        }
    }
}

impl Sum {
    fn value(&self, features: &[f64], parameters: &[f64]) -> f64 {
        let term = |&(factor, term): &(f64, Term)| {
            factor
                * match term {
                    Term::Feature(i) => features[i],
                    Term::Parameter(i) => parameters[i],
                }
        };
        self.terms.iter().map(term).sum::<f64>() + self.number
    }
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Word,
    Number,
    Sign,
    Compare,
    Open,
    Close,
    Other,
}

/// A term as written: sign, what it is, its unit, its place.
struct Written {
    factor: f64,
    term: Option<Term>,
    number: f64,
    unit: Option<Unit>,
    place: Range<usize>,
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    names: &'t [Name],
    depth: usize,
}

/// Deeper brackets than this are no condition anybody wrote.
const DEEPEST: usize = 64;

impl<'t> Parser<'t> {
    /// The next piece and its place, without taking it.
    fn peek(&self) -> Option<(Token, Range<usize>)> {
        let rest = &self.text[self.at..];
        let start = self.at + rest.len() - rest.trim_start().len();
        let rest = &self.text[start..];
        let first = rest.chars().next()?;
        let run = |accept: &dyn Fn(char) -> bool| rest.find(|c| !accept(c)).unwrap_or(rest.len());
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '+' | '-' => (Token::Sign, 1),
            '<' | '>' | '=' | '!' => (Token::Compare, 1 + usize::from(rest[1..].starts_with('='))),
            '0'..='9' | '.' => (Token::Number, number_length(rest)),
            c if c.is_alphabetic() || c == '_' => (
                Token::Word,
                run(&|c| c.is_alphanumeric() || c == '_' || c == '.'),
            ),
            c => (Token::Other, c.len_utf8()),
        };
        Some((token, start..start + length))
    }

    fn word(&self) -> Option<&'t str> {
        self.peek()
            .filter(|(token, _)| *token == Token::Word)
            .map(|(_, place)| &self.text[place])
    }

    fn take(&mut self) {
        if let Some((_, place)) = self.peek() {
            self.at = place.end;
        }
    }

    fn error(&self, place: Range<usize>, message: String) -> ConditionError {
        ConditionError {
            place,
            message,
            help: None,
            is_unit: false,
            is_name: false,
        }
    }

    fn unexpected(&self, expected: &str) -> ConditionError {
        match self.peek() {
            Some((_, place)) => {
                let found = self.text[place.clone()].to_string();
                self.error(place, format!("found '{found}', expected {expected}"))
            }
            None => {
                let end = self.text.trim_end().len();
                self.error(end..end, format!("the condition ends, expected {expected}"))
            }
        }
    }

    fn either(&mut self) -> Result<Node, ConditionError> {
        let mut nodes = vec![self.all()?];
        while self.word() == Some("or") {
            self.take();
            nodes.push(self.all()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::Any(nodes)
        })
    }

    fn all(&mut self) -> Result<Node, ConditionError> {
        let mut nodes = vec![self.one()?];
        while self.word() == Some("and") {
            self.take();
            nodes.push(self.one()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::All(nodes)
        })
    }

    fn one(&mut self) -> Result<Node, ConditionError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(
                self.at..self.at,
                "too many brackets inside one another".to_string(),
            ));
        }
        let node = if self.word() == Some("not") {
            self.take();
            Node::Not(Box::new(self.one()?))
        } else if matches!(self.peek(), Some((Token::Open, _))) {
            self.take();
            let node = self.either()?;
            if !matches!(self.peek(), Some((Token::Close, _))) {
                return Err(self.unexpected("')'"));
            }
            self.take();
            node
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node, ConditionError> {
        let left = self.sum()?;
        let Some((Token::Compare, place)) = self.peek() else {
            return Err(self.unexpected("a comparison such as >="));
        };
        let comparison = match &self.text[place.clone()] {
            ">" => Comparison::More,
            ">=" => Comparison::AtLeast,
            "<" => Comparison::Less,
            "<=" => Comparison::AtMost,
            "==" => Comparison::Equal,
            "!=" => Comparison::Unequal,
            other => {
                let mut error = self.error(place, format!("'{other}' is no comparison"));
                error.help = Some("one of > >= < <= == !=".to_string());
                return Err(error);
            }
        };
        self.take();
        let right = self.sum()?;
        // The first named term sets the unit; without names the first unit written does.
        let all = || left.iter().chain(&right);
        let unit = all()
            .find_map(|w| w.term.and(w.unit))
            .or_else(|| all().find_map(|w| w.unit));
        Ok(Node::Compare(
            self.convert(&left, unit)?,
            comparison,
            self.convert(&right, unit)?,
        ))
    }

    fn sum(&mut self) -> Result<Vec<Written>, ConditionError> {
        let mut terms = Vec::new();
        let mut factor = 1.0;
        if let Some((Token::Sign, place)) = self.peek() {
            factor = if &self.text[place] == "-" { -1.0 } else { 1.0 };
            self.take();
        }
        loop {
            terms.push(self.term(factor)?);
            let Some((Token::Sign, place)) = self.peek() else {
                return Ok(terms);
            };
            factor = if &self.text[place] == "-" { -1.0 } else { 1.0 };
            self.take();
        }
    }

    fn term(&mut self, factor: f64) -> Result<Written, ConditionError> {
        match self.peek() {
            Some((Token::Number, place)) => {
                self.at = place.end;
                let end = self.unit_end();
                let text = &self.text[place.start..end];
                let quantity = Quantity::parse(text).map_err(|error| {
                    let at = error.place();
                    let mut fault = self.error(
                        place.start + at.start..place.start + at.end,
                        error.to_string(),
                    );
                    fault.help = error.help();
                    fault
                })?;
                self.at = end;
                Ok(Written {
                    factor,
                    term: None,
                    number: quantity.value,
                    unit: quantity.unit,
                    place: place.start..end,
                })
            }
            Some((Token::Word, place))
                if !matches!(&self.text[place.clone()], "and" | "or" | "not") =>
            {
                let text = &self.text[place.clone()];
                self.at = place.end;
                let Some(name) = self.names.iter().find(|n| n.name == text) else {
                    let mut error = self.error(
                        place,
                        format!("'{text}' is neither a feature nor a varied parameter"),
                    );
                    let known = self.names.iter().map(|n| n.name.as_str());
                    error.help = nearest(text, known).map(|near| format!("did you mean '{near}'?"));
                    error.is_name = true;
                    return Err(error);
                };
                Ok(Written {
                    factor,
                    term: Some(name.term),
                    number: 0.0,
                    unit: name.unit,
                    place,
                })
            }
            _ => Err(self.unexpected("a feature, a varied parameter or a number")),
        }
    }

    /// Where the unit behind a number ends; the number's end where there is none.
    fn unit_end(&self) -> usize {
        let rest = &self.text[self.at..];
        let start = self.at + rest.len() - rest.trim_start().len();
        let unit = &self.text[start..];
        if !unit.starts_with(|c: char| c.is_alphabetic() || c == '%')
            || self
                .word()
                .is_some_and(|w| matches!(w, "and" | "or" | "not"))
        {
            return self.at;
        }
        let mut before = ' ';
        for (i, c) in unit.char_indices() {
            let inside = c.is_alphanumeric() || "%/*^.".contains(c) || (c == '-' && before == '^');
            if !inside {
                return start + i;
            }
            before = c;
        }
        self.text.len()
    }

    fn convert(&self, written: &[Written], unit: Option<Unit>) -> Result<Sum, ConditionError> {
        let mut sum = Sum::default();
        for w in written {
            let factor = match (w.unit, unit) {
                (Some(found), Some(expected)) => found.factor_to(expected).ok_or_else(|| {
                    let message = format!(
                        "'{}' is in {found}, expected {expected}",
                        &self.text[w.place.clone()]
                    );
                    let mut error = self.error(w.place.clone(), message);
                    error.is_unit = true;
                    error
                })?,
                _ => 1.0,
            };
            match w.term {
                Some(term) => sum.terms.push((w.factor * factor, term)),
                None => sum.number += w.factor * factor * w.number,
            }
        }
        Ok(sum)
    }
}

/// Length of the unsigned number at the beginning of a text.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    end
}
