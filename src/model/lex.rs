//! From text to tokens: comments go, lines inside round brackets are joined, indentation becomes tokens.
//!
//! Faults do not stop it: a character that starts nothing becomes [`Token::Bad`], and a round bracket that is still open
//! where a new statement begins is closed there, so that one slip does not hide the rest of the file.

use super::codes;
use crate::diag::{Diagnostic, Span};
use crate::units::number_length;

/// A word with a meaning of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
    In,
    Use,
    As,
    Bind,
    Label,
}

/// The smallest pieces of a model's text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name.
    Name,
    /// A name with an opening bracket right behind it.
    Function,
    /// A name, or several with colons between, with a colon right behind.
    MetaKey,
    /// Digits.
    Number(f64),
    /// `infinity` or `nan`.
    Constant(f64),
    /// What follows a colon, trimmed.
    Text(String),
    /// A reserved word.
    Keyword(Keyword),
    /// Brackets, operators, punctuation.
    Symbol(&'static str),
    /// `[[name]]`
    Segment,
    /// The end of a statement's line.
    EndOfLine,
    /// The lines from here on stand further right.
    Indent,
    /// Back to the left, once for every [`Token::Indent`].
    Dedent,
    /// The end of the text.
    End,
    /// Already reported.
    Bad,
}

/// Symbols, the longer first.
const SYMBOLS: [&str; 21] = [
    "==", "!=", ">=", "<=", "//", "(", ")", "[", "]", "=", ".", ",", "+", "-", "*", "/", "^", "%",
    ">", "<", ":",
];

/// Columns that a tab moves to: its multiples.
const TAB: usize = 8;

/// Splits a text. The tokens end with [`Token::End`].
pub(super) fn lex(text: &str) -> (Vec<(Token, Span)>, Vec<Diagnostic>) {
    let mut lexer = Lexer {
        text,
        tokens: Vec::new(),
        faults: Vec::new(),
        columns: Vec::new(),
        open: Vec::new(),
        joined: false,
        mode: Mode::Lines,
    };
    for line in lines(text) {
        // Editors of some systems start a file with a byte order mark.
        let mark = if text[line.clone()].starts_with('\u{feff}') && line.start == 0 {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        lexer.line(line.start + mark, line.end);
        if lexer.in_script() {
            break;
        }
    }
    lexer.finish();
    (lexer.tokens, lexer.faults)
}

/// The lines without their ends.
fn lines(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let bytes = text.as_bytes();
    let mut start = 0;
    std::iter::from_fn(move || {
        if start >= bytes.len() {
            return None;
        }
        let end = bytes[start..]
            .iter()
            .position(|b| matches!(b, b'\n' | b'\r'))
            .map_or(bytes.len(), |n| start + n);
        let line = start..end;
        start = if bytes[end..].starts_with(b"\r\n") {
            end + 2
        } else {
            end + 1
        };
        Some(line)
    })
}

enum Mode {
    Lines,
    /// A comment between lines that start with three quotes.
    Comment(Span),
    /// A text in three quotes.
    Quoted(Vec<String>, Span),
    /// A text whose lines end with a backslash.
    Continued(String, Span),
}

struct Lexer<'a> {
    text: &'a str,
    tokens: Vec<(Token, Span)>,
    faults: Vec<Diagnostic>,
    /// Columns of the enclosing levels of indentation.
    columns: Vec<usize>,
    /// Round brackets not yet closed.
    open: Vec<Span>,
    /// Whether the next line continues the statement.
    joined: bool,
    mode: Mode,
}

impl Lexer<'_> {
    fn push(&mut self, token: Token, start: usize, end: usize) {
        self.tokens.push((token, Span::new(start, end)));
    }

    /// The script is Python and none of our business.
    fn in_script(&self) -> bool {
        self.tokens.iter().rev().take(2).any(|(token, span)| {
            *token == Token::Segment && &self.text[span.start..span.end] == "[[script]]"
        })
    }

    fn finish(&mut self) {
        let end = self.text.len();
        match std::mem::replace(&mut self.mode, Mode::Lines) {
            Mode::Lines => {}
            Mode::Comment(span) => {
                // The rest of the file is comment: no fault, but hardly meant.
                let fault = Diagnostic::warning(codes::UNCLOSED, "this comment is never closed");
                self.faults
                    .push(fault.at(span, "opened here").help("close it with '\"\"\"'"));
            }
            Mode::Quoted(_, span) => self.unclosed(span, "this text is never closed", "\"\"\""),
            Mode::Continued(text, span) => {
                self.tokens.push((Token::Text(text), span));
                self.joined = true;
            }
        }
        self.close_brackets(end);
        if self.joined {
            self.push(Token::EndOfLine, end, end);
        }
        for _ in 1..self.columns.len() {
            self.push(Token::Dedent, end, end);
        }
        self.push(Token::End, end, end);
    }

    fn unclosed(&mut self, span: Span, message: &str, with: &str) {
        let fault = Diagnostic::error(codes::UNCLOSED, message).at(span, "opened here");
        self.faults
            .push(fault.help(format!("close it with '{with}'")));
    }

    /// Reports the innermost open bracket and forgets the others: one slip, one message.
    fn close_brackets(&mut self, at: usize) {
        if let Some(span) = self.open.pop() {
            self.unclosed(span, "this bracket is never closed", ")");
            self.push(Token::Bad, at, at);
        }
        self.open.clear();
    }

    fn line(&mut self, start: usize, end: usize) {
        let line = &self.text[start..end];
        let mut from = start;
        match &mut self.mode {
            Mode::Quoted(text, _) => {
                let line = line.trim_end();
                let Some(close) = line.find("\"\"\"") else {
                    text.push(line.to_owned());
                    return;
                };
                text.push(line[..close].to_owned());
                let Mode::Quoted(text, span) = std::mem::replace(&mut self.mode, Mode::Lines)
                else {
                    return;
                };
                self.after_quotes(start + close + 3, start + line.len());
                self.tokens.push((Token::Text(dedented(&text)), span));
                self.push(Token::EndOfLine, end, end);
                return;
            }
            Mode::Comment(_) => match line.find("\"\"\"") {
                None => return,
                Some(close) => {
                    from = start + close + 3;
                    self.mode = Mode::Lines;
                }
            },
            Mode::Lines | Mode::Continued(..) if line.starts_with("\"\"\"") => {
                match line[3..].find("\"\"\"") {
                    None => {
                        // A text being continued is left as it is: the comment comes between.
                        if matches!(self.mode, Mode::Lines) {
                            self.mode = Mode::Comment(Span::new(start, start + 3));
                        }
                        return;
                    }
                    Some(close) => from = start + 3 + close + 3,
                }
            }
            Mode::Lines | Mode::Continued(..) => {}
        }
        let rest = &self.text[from..end];
        let comment = rest.find('#');
        let content = rest[..comment.unwrap_or(rest.len())].trim_end();
        if content.trim_start().is_empty() {
            self.blank(comment.is_some(), end);
            return;
        }
        if let Mode::Continued(text, _) = &mut self.mode {
            let piece = content.trim_start();
            match piece.strip_suffix('\\') {
                Some(piece) => text.push_str(piece),
                None => {
                    text.push_str(piece);
                    self.end_continued(end);
                }
            }
            return;
        }
        if !self.open.is_empty() && begins_statement(content) {
            self.close_brackets(start);
            self.push(Token::EndOfLine, start, start);
            self.joined = false;
        }
        if !std::mem::take(&mut self.joined) {
            self.indentation(from, content);
        }
        self.statement(from, from + content.len());
        self.joined |= !self.open.is_empty();
        if !self.joined && matches!(self.mode, Mode::Lines) {
            self.push(Token::EndOfLine, end, end);
        }
    }

    /// A line without content ends what a backslash joined, unless it has a comment.
    fn blank(&mut self, comment: bool, end: usize) {
        if !self.open.is_empty() || comment {
            return;
        }
        if matches!(self.mode, Mode::Continued(..)) {
            self.end_continued(end);
        } else if std::mem::take(&mut self.joined) {
            self.push(Token::EndOfLine, end, end);
        }
    }

    fn end_continued(&mut self, end: usize) {
        if let Mode::Continued(text, span) = std::mem::replace(&mut self.mode, Mode::Lines) {
            self.tokens.push((Token::Text(text), span));
            self.push(Token::EndOfLine, end, end);
        }
    }

    fn after_quotes(&mut self, start: usize, end: usize) {
        if start < end {
            let fault = Diagnostic::error(codes::SYNTAX, "a text in quotes ends its line");
            self.faults
                .push(fault.at(Span::new(start, end), "this comes after it"));
        }
    }

    fn indentation(&mut self, start: usize, content: &str) {
        let blank = content.len() - content.trim_start_matches([' ', '\t']).len();
        let column = column_of(&content[..blank]);
        let (at, here) = (start, start + blank);
        match self.columns.last() {
            None => self.columns.push(column),
            Some(&last) if column > last => {
                self.columns.push(column);
                self.push(Token::Indent, at, here);
            }
            Some(_) => {
                while self.columns.len() > 1
                    && self.columns.last().is_some_and(|last| column < *last)
                {
                    self.columns.pop();
                    self.push(Token::Dedent, at, here);
                }
                if self.columns.last() != Some(&column) {
                    let fault = Diagnostic::error(
                        codes::INDENTATION,
                        "this indentation fits no line above",
                    );
                    self.faults.push(
                        fault
                            .at(Span::new(at, here), "")
                            .help("indent as far as the lines it belongs to"),
                    );
                }
            }
        }
    }

    fn statement(&mut self, start: usize, end: usize) {
        let mut at = start;
        let mut reported = false;
        while at < end {
            let rest = &self.text[at..end];
            let first = rest.chars().next().unwrap_or(' ');
            if first == ' ' || first == '\t' || first == '\u{b}' || first == '\u{c}' {
                at += 1;
                continue;
            }
            let size = if first.is_ascii_alphabetic() {
                self.word(at, rest)
            } else {
                self.symbol(at, rest)
            };
            if size == 0 {
                if first == '\\' && rest.len() == 1 {
                    self.joined = true;
                } else {
                    self.push(Token::Bad, at, at + first.len_utf8());
                    if !std::mem::replace(&mut reported, true) {
                        self.faults
                            .push(bad_character(first, Span::new(at, at + first.len_utf8())));
                    }
                }
                at += first.len_utf8();
                continue;
            }
            let colon = rest.starts_with(':');
            at += size;
            if colon {
                self.description(at, end);
                return;
            }
        }
    }

    fn word(&mut self, at: usize, rest: &str) -> usize {
        let length = name_length(rest);
        let token = match rest[length..].chars().next() {
            Some('(') => Token::Function,
            Some(':') => {
                let mut length = length;
                // Keys may be several names with colons between.
                while let Some(next) = rest[length + 1..]
                    .chars()
                    .next()
                    .filter(char::is_ascii_alphabetic)
                {
                    let more = length
                        + next.len_utf8()
                        + name_length(&rest[length + 1 + next.len_utf8()..])
                        + 1;
                    if !rest[more..].starts_with(':') {
                        break;
                    }
                    length = more;
                }
                self.push(Token::MetaKey, at, at + length);
                return length;
            }
            _ => match &rest[..length] {
                "and" => Token::Keyword(Keyword::And),
                "or" => Token::Keyword(Keyword::Or),
                "not" => Token::Keyword(Keyword::Not),
                "in" => Token::Keyword(Keyword::In),
                "use" => Token::Keyword(Keyword::Use),
                "as" => Token::Keyword(Keyword::As),
                "bind" => Token::Keyword(Keyword::Bind),
                "label" => Token::Keyword(Keyword::Label),
                "infinity" => Token::Constant(f64::INFINITY),
                "nan" => Token::Constant(f64::NAN),
                _ => Token::Name,
            },
        };
        self.push(token, at, at + length);
        length
    }

    fn symbol(&mut self, at: usize, rest: &str) -> usize {
        let length = number_length(rest);
        if length > 0 {
            // Digits with a point and an exponent are what Rust reads too.
            let value: f64 = rest[..length].parse().unwrap_or(f64::INFINITY);
            if value.is_infinite() {
                let fault = Diagnostic::error(
                    codes::NUMBER,
                    "this number is beyond the range of double precision",
                );
                let span = Span::new(at, at + length);
                self.faults.push(
                    fault
                        .at(span, "")
                        .help("the largest is 1.7976931348623157e308; or write 'infinity'"),
                );
            }
            self.push(Token::Number(value), at, at + length);
            return length;
        }
        if let Some(length) = segment_length(rest) {
            self.push(Token::Segment, at, at + length);
            return length;
        }
        let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) else {
            return 0;
        };
        let span = Span::new(at, at + symbol.len());
        match *symbol {
            "(" => self.open.push(span),
            ")" if self.open.pop().is_none() => {
                let fault =
                    Diagnostic::error(codes::UNCLOSED, "this bracket closes nothing").at(span, "");
                self.faults
                    .push(fault.help("remove it, or open one before it"));
                self.tokens.push((Token::Bad, span));
                return symbol.len();
            }
            _ => {}
        }
        self.tokens.push((Token::Symbol(symbol), span));
        symbol.len()
    }

    /// The text behind a colon.
    fn description(&mut self, from: usize, end: usize) {
        let rest = &self.text[from..end];
        let start = from + rest.len() - rest.trim_start().len();
        let text = &self.text[start..end];
        if let Some(quoted) = text.strip_prefix("\"\"\"") {
            let open = Span::new(start, start + 3);
            match quoted.find("\"\"\"") {
                None => self.mode = Mode::Quoted(vec![quoted.to_owned()], open),
                Some(close) => {
                    self.push(Token::Text(quoted[..close].trim().to_owned()), start, end);
                    self.after_quotes(start + 3 + close + 3, end);
                }
            }
        } else if let Some(text) = text.strip_suffix('\\') {
            self.mode = Mode::Continued(text.to_owned(), Span::new(start, end));
        } else if !text.is_empty() {
            self.push(Token::Text(text.to_owned()), start, end);
        }
    }
}

/// Bytes of a name, the first letter taken for granted: letters, digits and underscores.
fn name_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

fn segment_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("[[")?;
    let name = inner.starts_with(|c: char| c.is_ascii_alphabetic());
    let length = inner
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(inner.len());
    (name && inner[length..].starts_with("]]")).then_some(length + 4)
}

fn column_of(blank: &str) -> usize {
    blank.chars().fold(0, |column, c| {
        if c == '\t' {
            (1 + column / TAB) * TAB
        } else {
            column + 1
        }
    })
}

/// Whether a line can only be the start of a statement, never part of an expression: `x =`, `dot(x) =`, `a.x =`, `[name]`.
fn begins_statement(line: &str) -> bool {
    let rest = line.trim_start();
    if segment_length(rest).is_some() {
        return true;
    }
    if let Some(inner) = line.strip_prefix('[') {
        return inner
            .strip_suffix(']')
            .is_some_and(|name| !name.is_empty() && name_length(name) == name.len());
    }
    let rest = rest.strip_prefix("dot(").unwrap_or(rest);
    if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return false;
    }
    let mut rest = &rest[name_length(rest)..];
    if rest.starts_with(':') {
        return true;
    }
    rest = rest
        .strip_prefix('.')
        .map_or(rest, |rest| &rest[name_length(rest)..]);
    rest = rest.strip_prefix(')').unwrap_or(rest).trim_start();
    rest.starts_with('=') && !rest.starts_with("==")
}

/// A text in quotes, freed of the indentation that all its lines but the first have in common.
fn dedented(lines: &[String]) -> String {
    let blank = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let common = lines
        .iter()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .map(|line| column_of(&line[..blank(line)]))
        .min();
    let strip = |line: &str| {
        let mut column = 0;
        let cut = line.char_indices().find(|(_, c)| {
            let here = column;
            column = if *c == '\t' {
                (1 + column / TAB) * TAB
            } else {
                column + 1
            };
            here >= common.unwrap_or(0)
        });
        cut.map_or(String::new(), |(i, _)| line[i..].to_owned())
    };
    let first = lines
        .iter()
        .take(1)
        .map(|line| line.trim_start().to_owned());
    let text: Vec<String> = first
        .chain(lines.iter().skip(1).map(|line| strip(line)))
        .collect();
    text.join("\n").trim().to_owned()
}

fn bad_character(c: char, span: Span) -> Diagnostic {
    let fault = |message: String| Diagnostic::error(codes::CHARACTER, message).at(span, "");
    match c {
        '\u{a0}' | '\u{202f}' => {
            fault("a no-break space".to_owned()).help("write an ordinary space")
        }
        '−' | '–' => fault(format!("'{c}' is no minus sign here")).help("write '-'"),
        '×' | '·' => fault(format!("'{c}' is no operator here")).help("write '*'"),
        '\u{feff}' => fault("a byte order mark inside the text".to_owned())
            .help("save the file as UTF-8 without one"),
        '_' => fault("a name starts with a letter, not with '_'".to_owned()),
        '\\' => fault("a backslash joins lines, and is the last character of its line".to_owned()),
        '!' => fault("'!' is no operator here".to_owned()).help("write 'not', or '!=' to compare"),
        '&' | '|' => fault(format!("'{c}' is no operator here")).help("write 'and' or 'or'"),
        '{' | '}' => fault(format!("'{c}' is no bracket here")).help("write '(' and ')'"),
        c if c.is_control() => fault(format!("a control character, {}", c.escape_unicode())),
        c => fault(format!("'{c}' starts nothing in a model")),
    }
}

#[cfg(test)]
mod tests;
