//! Tables beside a study: comma-separated text with a line of names, one row per fibre. Numbers are in the model's own units.

use super::walk::{Item, Reader};
use super::{Loader, Report, Wish, faults};
use crate::diag::{Diagnostic, Source, Span, nearest};

/// The tables loaded so far, by the name in the study; `None` for one that cannot be used.
#[derive(Default)]
pub(super) struct Files(Vec<(String, Option<Source>)>);

/// A field of a line and its place.
type Field<'t> = (&'t str, Span);

impl Files {
    /// The numbers of a column. What is wrong with naming it is a fault of the study; what is wrong in the table is reported with the table.
    pub fn column(
        &mut self,
        loader: &dyn Loader,
        reader: &mut Reader<'_>,
        reports: &mut Vec<Report>,
        (file_item, file): (&Item<'_>, &str),
        (column_item, column): (&Item<'_>, &str),
    ) -> Option<Vec<f64>> {
        if !self.0.iter().any(|(name, _)| name == file) {
            let loaded = loader.load(Wish::Table, file);
            if let Err(error) = &loaded {
                reader.error(
                    faults::FILE,
                    file_item.span,
                    format!("table \"{file}\" cannot be read: {error}"),
                );
            }
            self.0.push((file.to_string(), loaded.ok()));
        }
        let source = self.0.iter().find(|(name, _)| name == file)?.1.as_ref()?;
        let mut lines = lines(&source.text);
        let Some(names) = lines.next().map(|(line, at)| fields(line, at)) else {
            reader.error(
                faults::FILE,
                file_item.span,
                format!("table \"{file}\" is empty"),
            );
            return None;
        };
        let Some(index) = names.iter().position(|(name, _)| *name == column) else {
            let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            let message = format!("table \"{file}\" has no column '{column}'");
            let help = match nearest(column, known.iter().copied()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("its columns: {}", known.join(", ")),
            };
            reader
                .error(faults::UNKNOWN_NAME, column_item.span, message)
                .help = Some(help);
            return None;
        };
        let (mut values, mut wrong) = (Vec::new(), Vec::new());
        for (line, at) in lines {
            let row = fields(line, at);
            let found = row.get(index).copied();
            match found
                .and_then(|(text, _)| text.parse::<f64>().ok())
                .filter(|v| v.is_finite())
            {
                Some(value) => values.push(value),
                None => {
                    let (text, span) = found.unwrap_or(("", Span::new(at, at + line.len())));
                    let message = format!("column '{column}' is '{text}', expected a number");
                    wrong.push(Diagnostic::error(faults::FILE, message).at(span, ""));
                }
            }
        }
        if values.is_empty() && wrong.is_empty() {
            reader.error(
                faults::FILE,
                file_item.span,
                format!("table \"{file}\" has no rows"),
            );
            return None;
        }
        if wrong.is_empty() {
            return Some(values);
        }
        let n = wrong.len();
        // The first ones tell what is the matter; a wrong separator makes every row wrong.
        wrong.truncate(10);
        reports.push(Report {
            source: source.clone(),
            diagnostics: wrong,
        });
        reader.error(
            faults::FILE,
            column_item.span,
            format!("column '{column}' of \"{file}\" has {n} rows without a number"),
        );
        None
    }
}

/// Lines with something in them that are no comment, and where they begin.
fn lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut at = 0;
    let with_place = text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        (line.trim_end_matches(['\n', '\r']), start)
    });
    with_place.filter(|(line, _)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
}

/// The fields of a line, without blanks and quotes around them. Fields are numbers and names: no comma stands inside one.
fn fields(line: &str, start: usize) -> Vec<Field<'_>> {
    let mut at = start;
    let field = |part: &'_ str| {
        let span = Span::new(at, at + part.len());
        at += part.len() + 1;
        span
    };
    let spans: Vec<Span> = line.split(',').map(field).collect();
    let texts = line.split(',').map(|part| {
        part.trim_start_matches('\u{feff}')
            .trim()
            .trim_matches('"')
            .trim()
    });
    texts.zip(spans).collect()
}
