//! Walking a TOML document by hand, so that every fault has its place and all of them are reported.
//!
//! A [`Table`] remembers which keys were asked for: what is left in it at [`Reader::finish`] is unknown, and the keys that
//! were asked for are the suggestions. Every method of [`Reader`] that cannot give what it promises records a fault and
//! gives `None`; the caller goes on with the rest.

use super::faults;
use crate::diag::{Diagnostic, Source, Span, nearest};
use crate::model::Model;
use toml::de::{DeTable, DeValue};

/// A study's text on its way to a study: the faults found so far, and the model once it is known.
pub(super) struct Reader<'a> {
    pub source: &'a Source,
    /// `None` where the model could not be read: names and units are then taken on trust.
    pub model: Option<&'a Model>,
    pub faults: Vec<Diagnostic>,
}

/// A table of the document.
pub(super) struct Table<'t> {
    /// Dotted name, empty for the whole document.
    pub path: String,
    pub span: Span,
    pub entries: &'t DeTable<'t>,
    asked: Vec<&'static str>,
}

/// A value of the document.
#[derive(Clone)]
pub(super) struct Item<'t> {
    /// Dotted name of the key.
    pub path: String,
    pub key: Span,
    pub span: Span,
    pub value: &'t DeValue<'t>,
}

impl<'t> Table<'t> {
    pub fn new(path: &str, span: Span, entries: &'t DeTable<'t>) -> Self {
        Table {
            path: path.to_string(),
            span,
            entries,
            asked: Vec::new(),
        }
    }

    /// The value of a key, if it is there; the key counts as known from now on.
    pub fn take(&mut self, key: &'static str) -> Option<Item<'t>> {
        self.asked.push(key);
        self.items()
            .find(|(name, _)| *name == key)
            .map(|(_, item)| item)
    }

    /// Every key and its value, in the order of the text.
    pub fn items(&self) -> impl Iterator<Item = (&'t str, Item<'t>)> + use<'t> {
        let prefix = if self.path.is_empty() {
            String::new()
        } else {
            format!("{}.", self.path)
        };
        self.entries.iter().map(move |(key, value)| {
            let name: &str = key.get_ref();
            let item = Item {
                path: format!("{prefix}{name}"),
                key: key.span().into(),
                span: value.span().into(),
                value: value.get_ref(),
            };
            (name, item)
        })
    }
}

impl<'t> Item<'t> {
    pub fn as_text(&self) -> Option<&'t str> {
        self.value.as_str()
    }

    /// How the value is to be shown in a message.
    pub fn shown(&self) -> String {
        match self.value {
            DeValue::String(text) => format!("\"{text}\""),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(yes) => yes.to_string(),
            DeValue::Datetime(date) => date.to_string(),
            DeValue::Array(_) => "a list".to_string(),
            DeValue::Table(_) => "a table".to_string(),
        }
    }
}

impl<'a> Reader<'a> {
    /// Records a fault with its place.
    pub fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Diagnostic::error(code, message).at(span, ""))
    }

    /// Records something that deserves a look.
    pub fn warning(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Diagnostic::warning(code, message).at(span, ""))
    }

    fn push(&mut self, fault: Diagnostic) -> &mut Diagnostic {
        self.faults.push(fault);
        let last = self.faults.len() - 1;
        &mut self.faults[last]
    }

    /// Reports every key of the table that was not asked for.
    pub fn finish(&mut self, table: &Table<'_>) {
        for (name, item) in table.items() {
            if !table.asked.contains(&name) {
                let place = if table.path.is_empty() {
                    "a study".to_string()
                } else {
                    format!("'{}'", table.path)
                };
                let fault = self.error(
                    faults::UNKNOWN_KEY,
                    item.key,
                    format!("unknown key '{name}' in {place}"),
                );
                fault.help = Some(match nearest(name, table.asked.iter().copied()) {
                    Some(known) => format!("did you mean '{known}'?"),
                    None => format!("known keys: {}", table.asked.join(", ")),
                });
            }
        }
    }

    /// The value of a key that must be there.
    pub fn require<'t>(
        &mut self,
        table: &mut Table<'t>,
        key: &'static str,
        example: &str,
    ) -> Option<Item<'t>> {
        let item = table.take(key);
        if item.is_none() {
            let place = if table.path.is_empty() {
                String::new()
            } else {
                format!("'{}': ", table.path)
            };
            let (span, message) = (table.span, format!("{place}'{key}' is missing"));
            self.error(faults::KEYS, span, message).help = Some(format!("write {key} = {example}"));
        }
        item
    }

    pub fn wrong_type(&mut self, item: &Item<'_>, expected: &str) {
        let message = format!("'{}' is {}, expected {expected}", item.path, item.shown());
        self.error(faults::WRONG_TYPE, item.span, message);
    }

    pub fn text<'t>(&mut self, item: &Item<'t>) -> Option<&'t str> {
        let text = item.as_text();
        if text.is_none() {
            self.wrong_type(item, "a text in quotes");
        }
        text
    }

    /// A whole number that is not negative.
    pub fn whole(&mut self, item: &Item<'_>) -> Option<u64> {
        let found = match item.value {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if found.is_none() {
            self.wrong_type(item, "a whole number, 0 or more");
        }
        found
    }

    /// A finite bare number, if the value is one; no fault where it is something else.
    pub fn bare_number(&mut self, item: &Item<'_>) -> Option<Option<f64>> {
        let value = match item.value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map(|n| n as f64),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => return None,
        };
        match value {
            Some(value) if value.is_finite() => Some(Some(value)),
            _ => {
                self.wrong_type(item, "a finite number");
                Some(None)
            }
        }
    }

    pub fn table<'t>(&mut self, item: &Item<'t>) -> Option<Table<'t>> {
        match item.value {
            DeValue::Table(entries) => Some(Table::new(&item.path, item.key.to(item.key), entries)),
            _ => {
                self.wrong_type(item, "a table");
                None
            }
        }
    }

    /// The elements of a list, each under the list's name.
    pub fn list<'t>(&mut self, item: &Item<'t>) -> Option<Vec<Item<'t>>> {
        match item.value {
            DeValue::Array(elements) => Some(elements_of(item, elements)),
            _ => {
                self.wrong_type(item, "a list");
                None
            }
        }
    }

    /// The tables of `[[path]]`.
    pub fn tables<'t>(&mut self, item: &Item<'t>) -> Vec<Table<'t>> {
        let DeValue::Array(elements) = item.value else {
            self.wrong_type(item, "a list of tables");
            if let (DeValue::Table(_), Some(last)) = (item.value, self.faults.last_mut()) {
                last.help = Some(format!("write [[{}]] with double brackets", item.path));
            }
            return Vec::new();
        };
        let mut tables = Vec::new();
        for element in elements_of(item, elements) {
            match element.value {
                DeValue::Table(entries) => {
                    tables.push(Table::new(&item.path, element.span, entries))
                }
                _ => self.wrong_type(&element, "a table"),
            }
        }
        tables
    }

    /// The place of a part of a text value: exact where the text is written without escapes, else the whole value.
    pub fn within(&self, item: &Item<'_>, part: std::ops::Range<usize>) -> Span {
        let written = self.source.slice(item.span);
        let text = item.as_text().unwrap_or("");
        for quotes in [1, 3] {
            if written.get(quotes..written.len().saturating_sub(quotes)) == Some(text) {
                let start = item.span.start + quotes;
                return Span::new(start + part.start, start + part.end.max(part.start));
            }
        }
        item.span
    }
}

fn elements_of<'t>(item: &Item<'t>, elements: &'t toml::de::DeArray<'t>) -> Vec<Item<'t>> {
    let element = |value: &'t toml::Spanned<DeValue<'t>>| Item {
        path: item.path.clone(),
        key: item.key,
        span: value.span().into(),
        value: value.get_ref(),
    };
    elements.iter().map(element).collect()
}
