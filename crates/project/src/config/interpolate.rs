//! `${NAME}` and `${NAME:-default}` in string leaves, after parsing.
//!
//! `$${` stands for a literal `${`. An unquoted leaf is read again after substitution, so `port: ${PORT}` gives a number;
//! a quoted one stays text.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::span::Span;
use crate::tree::{Node, Tree, resolve_plain};

/// Where the values of `${NAME}` come from, usually the environment.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

pub fn interpolate(tree: &mut Tree, variables: Variables<'_>, diagnostics: &mut Diagnostics) {
    match &mut tree.node {
        Node::String(text) if text.contains("${") => {
            let replaced = substitute(text, tree.span, variables, diagnostics);
            tree.node = if tree.plain { resolve_plain(&replaced) } else { Node::String(replaced) };
        }
        Node::Sequence(items) => {
            for item in items {
                interpolate(item, variables, diagnostics);
            }
        }
        Node::Mapping(entries) => {
            for entry in entries {
                interpolate(&mut entry.value, variables, diagnostics);
            }
        }
        _ => {}
    }
}

fn substitute(text: &str, span: Span, variables: Variables<'_>, diagnostics: &mut Diagnostics) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(literal) = before.strip_suffix('$') {
            result.push_str(literal);
            result.push_str("${");
            rest = after;
            continue;
        }
        result.push_str(before);
        let Some((expression, tail)) = after.split_once('}') else {
            diagnostics.push(
                Diagnostic::error("`${` without its closing `}`").hint("Write `$${` for a literal `${`.").at(span),
            );
            return result;
        };
        let (name, default) =
            expression.split_once(":-").map_or((expression, None), |(name, value)| (name, Some(value)));
        match variables(name).or_else(|| default.map(str::to_owned)) {
            Some(value) => result.push_str(&value),
            None => diagnostics.push(
                Diagnostic::error(format!("the environment variable `{name}` is not set"))
                    .hint(format!("Set {name}, or give a default: `${{{name}:-value}}`."))
                    .at(span),
            ),
        }
        rest = tail;
    }
    result.push_str(rest);
    result
}
