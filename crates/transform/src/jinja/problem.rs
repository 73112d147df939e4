//! Errors of the template engine as findings about the project.

use headwater_project::{Diagnostic, Span};
use minijinja::{Error, ErrorKind};

use super::render::Templates;
use crate::definitions::Definitions;
use crate::near::nearest;
use crate::warehouse::WarehouseError;

/// What went wrong while rendering, at its place in the project; at `fallback` when the place is not in a file.
pub(crate) fn diagnostic(
    error: &Error,
    templates: &Templates,
    definitions: &Definitions,
    what: &str,
    fallback: Option<Span>,
) -> Diagnostic {
    let innermost = innermost(error);
    let mut found = Diagnostic::error(message(innermost));
    found.span = span(innermost, templates).or(fallback);
    found.detail = Some(format!("This happened while {what}."));
    found.hint = hint(innermost, definitions);
    found
}

/// Whether a template calls something nobody defines.
pub(crate) fn is_unknown_function(error: &Error) -> bool {
    innermost(error).kind() == ErrorKind::UnknownFunction
}

/// The engine wraps the errors of included templates; the cause is what the user wrote.
fn innermost(error: &Error) -> &Error {
    let mut current = error;
    while let Some(source) = std::error::Error::source(current).and_then(|source| source.downcast_ref::<Error>()) {
        current = source;
    }
    current
}

fn message(error: &Error) -> String {
    if super::macros::is_return(error) {
        return String::from("return is called outside a macro");
    }
    let detail = error.detail().unwrap_or_default();
    let cause = std::error::Error::source(error).filter(|cause| cause.downcast_ref::<WarehouseError>().is_none());
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    match error.kind() {
        ErrorKind::SyntaxError if !detail.is_empty() => format!("template syntax: {detail}"),
        ErrorKind::OutOfFuel => String::from("the template does not end"),
        ErrorKind::UnknownFunction => format!("'{}' is undefined", detail.trim_end_matches(" is unknown")),
        ErrorKind::InvalidOperation | ErrorKind::UndefinedError if !detail.is_empty() => format!("{detail}{cause}"),
        kind if detail.is_empty() => kind.to_string(),
        kind => format!("{kind}: {detail}"),
    }
}

fn span(error: &Error, templates: &Templates) -> Option<Span> {
    let source = templates.source(error.name()?)?;
    if source.file == crate::load::NO_FILE {
        return None;
    }
    match error.range() {
        Some(range) => Some(source.span(range)),
        None => Some(source.span(line_range(&source.text, error.line()?))),
    }
}

fn line_range(text: &str, line: usize) -> std::ops::Range<usize> {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let end = text.get(start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| start + at);
    start..end
}

fn hint(error: &Error, definitions: &Definitions) -> Option<String> {
    let warehouse = std::error::Error::source(error).and_then(|source| source.downcast_ref::<WarehouseError>());
    if let Some(error) = warehouse {
        return error.failure.hint.clone();
    }
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::OutOfFuel => Some(String::from("Look for a loop or a macro that calls itself without an end.")),
        ErrorKind::UnknownFunction => Some(unknown_function_hint(detail.trim_end_matches(" is unknown"), definitions)),
        _ if detail.starts_with("variable '") => {
            Some(String::from("Set it under `vars:` in dbt_project.yml, pass it with --vars, or give var() a default."))
        }
        _ if detail.starts_with("environment variable '") => {
            Some(String::from("Set it in the environment, or give env_var() a default."))
        }
        _ => None,
    }
}

fn unknown_function_hint(name: &str, definitions: &Definitions) -> String {
    let macros = definitions.macros.iter().map(|definition| definition.name.as_str());
    let known = macros.chain(super::builtin::FUNCTIONS.iter().copied().filter(|name| !name.starts_with('_')));
    match nearest(name, known) {
        Some(near) => format!("Did you mean '{near}'?"),
        None => String::from(
            "It is no macro of this project and no function of dbt; a macro of a package is called with the package's name.",
        ),
    }
}
