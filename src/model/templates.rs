//! Functions that a model defines in its head: templates, expanded where they are called.

use std::collections::HashMap;

use super::codes;
use super::functions::{
    Context, SPECIAL, Sort, Typed, placeholder, typed, unknown, unknown_function,
};
use super::resolve::Resolver;
use super::syntax::{self, Word};
use crate::diag::{Diagnostic, Span, nearest};
use crate::ops::Op;

/// Checks the templates of the head and makes them known.
pub(super) fn declare(resolver: &mut Resolver<'_, '_>) {
    let file = resolver.file;
    for (i, template) in file.templates.iter().enumerate() {
        let name = &template.name;
        let fault =
            |message: String, span: Span| Diagnostic::error(codes::TEMPLATE, message).at(span, "");
        if SPECIAL.contains(&name.text.as_str()) || Op::from_mmt_name(&name.text).is_some() {
            let fault = fault(
                format!("the function '{}' is built in", name.text),
                name.span,
            );
            resolver.faults.push(fault.help("give yours another name"));
            continue;
        }
        if let Some(first) = resolver
            .templates
            .get(&(name.text.as_str(), template.arguments.len()))
        {
            let first = file.templates[*first].name.span;
            let message = format!(
                "the function '{}' is defined twice with as many arguments",
                name.text
            );
            resolver
                .faults
                .push(fault(message, name.span).also(first, "first here"));
            continue;
        }
        resolver
            .templates
            .insert((&name.text, template.arguments.len()), i);
        let Some(body) = &template.body else { continue };
        let mut used = vec![false; template.arguments.len()];
        names(body, &mut |word, span| match template
            .arguments
            .iter()
            .position(|argument| argument.text == word)
        {
            Some(argument) => used[argument] = true,
            None => {
                let fault = fault(format!("'{word}' is no argument of '{}'", name.text), span);
                let near = nearest(
                    word,
                    template
                        .arguments
                        .iter()
                        .map(|argument| argument.text.as_str()),
                );
                let fault = fault.did_you_mean(near);
                let help = "a function knows nothing but its arguments; pass the variable as one";
                resolver.faults.push(if fault.help.is_none() {
                    fault.help(help)
                } else {
                    fault
                });
            }
        });
        for (j, argument) in template.arguments.iter().enumerate() {
            let first = template.arguments[..j]
                .iter()
                .find(|other| other.text == argument.text);
            if let Some(first) = first {
                let fault = fault(
                    format!("two arguments are called '{}'", argument.text),
                    argument.span,
                );
                resolver.faults.push(fault.also(first.span, "first here"));
            } else if !used[j] {
                resolver.faults.push(fault(
                    format!("the argument '{}' is not used", argument.text),
                    argument.span,
                ));
            }
        }
        let before = resolver.faults.len();
        check_body(resolver, i);
        if resolver.faults.len() > before {
            resolver.broken_templates.insert(i);
        }
    }
}

/// Expands a template once with its arguments left open, to find what is wrong in it even where nothing calls it.
fn check_body(resolver: &mut Resolver<'_, '_>, i: usize) {
    let template = &resolver.file.templates[i];
    let Some(body) = &template.body else { return };
    let open = |word: &Word| Typed {
        expr: placeholder(word.span),
        sort: Sort::Unknown,
        height: 1,
        size: 1,
    };
    let arguments: HashMap<&str, Typed> = template
        .arguments
        .iter()
        .map(|word| (word.text.as_str(), open(word)))
        .collect();
    typed(
        resolver,
        body,
        Context {
            at: None,
            template: Some((&arguments, body.span)),
            templates: i,
        },
    );
}

/// Calls `visit` for every name in an expression as written.
fn names<'e>(expr: &'e syntax::Expr, visit: &mut impl FnMut(&'e str, Span)) {
    match &expr.kind {
        syntax::ExprKind::Number(..) => {}
        syntax::ExprKind::Name(name) => visit(name, expr.span),
        syntax::ExprKind::Prefix(_, operand) => names(operand, visit),
        syntax::ExprKind::Infix(_, left, right) => {
            names(left, visit);
            names(right, visit);
        }
        syntax::ExprKind::Call(_, arguments) => {
            arguments.iter().for_each(|argument| names(argument, visit))
        }
    }
}

/// The body of the template that a call names, with the arguments in their places.
pub(super) fn expand(
    resolver: &mut Resolver<'_, '_>,
    name: &Word,
    arguments: &[Typed],
    span: Span,
    context: Context<'_>,
) -> Typed {
    let file = resolver.file;
    let known = resolver
        .templates
        .get(&(name.text.as_str(), arguments.len()))
        .copied();
    let Some(i) = known.filter(|i| *i < context.templates) else {
        return unknown_function(resolver, name, arguments.len(), span, context);
    };
    let template = &file.templates[i];
    let Some(body) = template
        .body
        .as_ref()
        .filter(|_| !resolver.broken_templates.contains(&i))
    else {
        // Reported where it is defined.
        return unknown(span);
    };
    let words = template.arguments.iter().map(|word| word.text.as_str());
    let arguments: HashMap<&str, Typed> = words.zip(arguments.iter().cloned()).collect();
    let before = resolver.faults.len();
    let context = Context {
        at: context.at,
        template: Some((&arguments, span)),
        templates: i,
    };
    let found = typed(resolver, body, context);
    // One call, one message.
    resolver
        .faults
        .truncate(resolver.faults.len().min(before + 1));
    found
}
