//! Diagnostics as text for people and as JSON for programs.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Diagnostic, Label, Severity, Source, Span};

/// Every diagnostic with its place (`file:line:column`), the line, a caret under what is meant, and what to do.
///
/// One blank line stands between two diagnostics, and the text ends with a line break unless there is none.
pub fn render_text(diagnostics: &[Diagnostic], source: &Source, colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for (i, diagnostic) in diagnostics.iter().enumerate() {
        if i > 0 {
            text.push('\n');
        }
        text.push_str(&renderer.render(&[group(diagnostic, source)]));
        text.push('\n');
    }
    text
}

fn group<'a>(diagnostic: &'a Diagnostic, source: &'a Source) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(
        level
            .primary_title(&*diagnostic.message)
            .id(diagnostic.code),
    );
    if let Some(primary) = &diagnostic.primary {
        let mut snippet = Snippet::source(&*source.text).path(&*source.name);
        snippet = snippet.annotation(
            AnnotationKind::Primary
                .span(range(primary, source))
                .label(shown(primary)),
        );
        for label in &diagnostic.secondary {
            snippet = snippet.annotation(
                AnnotationKind::Context
                    .span(range(label, source))
                    .label(shown(label)),
            );
        }
        group = group.element(snippet);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(&**help));
    }
    group
}

fn shown(label: &Label) -> Option<&str> {
    (!label.message.is_empty()).then_some(label.message.as_str())
}

/// The place in bytes, moved inside the text and to the borders of characters, at least one character where there is one.
fn range(label: &Label, source: &Source) -> std::ops::Range<usize> {
    let text = &source.text;
    let mut start = label.span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = label.span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

/// The same as data: a list of objects with `code`, `severity`, `message`, `file`, `line`, `column`, `end_line`,
/// `end_column` (`null` where there is no place; counted from 1, columns in characters, the end exclusive), `label`,
/// `related` (other places: the same five and `message`) and `help`.
pub fn render_json(diagnostics: &[Diagnostic], source: &Source) -> Value {
    diagnostics.iter().map(|d| one(d, source)).collect()
}

fn one(diagnostic: &Diagnostic, source: &Source) -> Value {
    let mut object = json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity.name(),
        "message": diagnostic.message,
        "file": source.name,
    });
    place(
        &mut object,
        diagnostic.primary.as_ref().map(|label| label.span),
        source,
    );
    object["label"] = match &diagnostic.primary {
        Some(label) if !label.message.is_empty() => json!(label.message),
        _ => Value::Null,
    };
    object["related"] = diagnostic
        .secondary
        .iter()
        .map(|label| {
            let mut related = json!({ "message": label.message, "file": source.name });
            place(&mut related, Some(label.span), source);
            related
        })
        .collect();
    object["help"] = json!(diagnostic.help);
    object
}

fn place(object: &mut Value, span: Option<Span>, source: &Source) {
    let ends = span.map(|span| (source.line_column(span.start), source.line_column(span.end)));
    object["line"] = json!(ends.map(|((line, _), _)| line));
    object["column"] = json!(ends.map(|((_, column), _)| column));
    object["end_line"] = json!(ends.map(|(_, (line, _))| line));
    object["end_column"] = json!(ends.map(|(_, (_, column))| column));
}
