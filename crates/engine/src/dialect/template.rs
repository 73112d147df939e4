//! Templates: expressions of the engine's SQL with places for arguments.
//!
//! `$1` is the first argument; `$all` and `$rest2` all arguments and those from the second on, as arguments of a function.
//! Others stand for an argument read in the dialect's own words:
//!
//! | placeholder | argument | becomes |
//! | --- | --- | --- |
//! | `$part1` | a span of time, as a word or as text | its name for our functions of dates |
//! | `$field1` | a field of a time | its name for `date_read` |
//! | `$unit1`, `$count1` | an interval of one part | its part, and how many |
//! | `$fmt1` | a pattern of the dialect, as text | a pattern of ours |
//! | `$path1` | a path into JSON, as text | a path of ours |
//! | `$text1` | anything | its text, as the dialect casts it |

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::build::{call, function_name, literal_text, text, wrapped};
use super::{Dialect, casts, formats, parts, paths};

/// Why a template cannot be filled: what, and what to do.
pub(super) type Problem = (String, String);

/// What a template asks for: the number of its arguments, and whether more are taken.
pub(super) fn arity(template: &str) -> (usize, bool) {
    let mut most = 0;
    let mut open = false;
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('$') {
        let name_end = after.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(after.len());
        let (name, tail) = after.split_at(name_end);
        let digits = name.trim_start_matches(|character: char| character.is_ascii_alphabetic());
        let number: usize = digits.parse().unwrap_or(0);
        if name == "all" {
            open = true;
        } else if name.starts_with("rest") {
            open = true;
            most = most.max(number.saturating_sub(1));
        } else {
            most = most.max(number);
        }
        rest = tail;
    }
    (most, open)
}

/// An expression as the engine reads it.
pub(super) fn parse(sql: &str) -> Result<Expr, Problem> {
    let parsed = Parser::new(&GenericDialect {}).try_with_sql(sql).and_then(|mut parser| parser.parse_expr());
    parsed.map_err(|error| {
        (format!("the translation `{sql}` does not read: {error}"), String::from("This is a mistake of Headwater's."))
    })
}

/// A template with its arguments in their places.
pub(super) fn fill(dialect: Dialect, template: &str, arguments: &[Expr]) -> Result<Expr, Problem> {
    let mut expr = parse(template)?;
    let mut filler = Filler { dialect, arguments };
    match expr.visit(&mut filler) {
        ControlFlow::Continue(()) => Ok(expr),
        ControlFlow::Break(problem) => Err(problem),
    }
}

struct Filler<'a> {
    dialect: Dialect,
    arguments: &'a [Expr],
}

impl VisitorMut for Filler<'_> {
    type Break = Problem;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Problem> {
        if let Expr::Function(function) = expr {
            self.splice(function);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Problem> {
        let Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(name) = &value.value else { return ControlFlow::Continue(()) };
        let Some(name) = name.strip_prefix('$') else { return ControlFlow::Continue(()) };
        // What an argument holds after it was filled in is no place of the template.
        let letters = name.trim_end_matches(|character: char| character.is_ascii_digit());
        let number: usize = name.get(letters.len()..).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let Some(argument) = number.checked_sub(1).and_then(|at| self.arguments.get(at)) else {
            return ControlFlow::Continue(());
        };
        match self.place(letters, argument) {
            Ok(filled) => *expr = filled,
            Err(problem) => return ControlFlow::Break(problem),
        }
        ControlFlow::Continue(())
    }
}

impl Filler<'_> {
    fn place(&self, kind: &str, argument: &Expr) -> Result<Expr, Problem> {
        Ok(match kind {
            "part" => text(&parts::span(self.dialect, argument)?),
            "field" => text(&parts::field(self.dialect, argument)?),
            "unit" => interval(argument)?.0,
            "count" => wrapped(interval(argument)?.1),
            "fmt" => text(&formats::strftime(self.dialect, constant(argument, "a pattern of a date or time")?)?),
            // A path that is computed is read with the row, in our words: most of them are.
            "path" => match literal_text(argument) {
                Some(path) => text(&paths::canonical(self.dialect, path)?),
                None if self.dialect != Dialect::DuckDb => argument.clone(),
                None => text(&paths::canonical(self.dialect, constant(argument, "a path into JSON")?)?),
            },
            "text" => call(casts::text_function(self.dialect), vec![argument.clone()]),
            _ => wrapped(argument.clone()),
        })
    }

    /// Puts several arguments where `$all` or `$rest2` stands.
    fn splice(&self, function: &mut Function) {
        let FunctionArguments::List(list) = &mut function.args else { return };
        let mut args = Vec::new();
        for arg in std::mem::take(&mut list.args) {
            match several(&arg) {
                Some(from) => {
                    let rest = self.arguments.get(from..).unwrap_or_default();
                    args.extend(rest.iter().map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr.clone()))));
                }
                None => args.push(arg),
            }
        }
        list.args = args;
    }
}

fn several(arg: &FunctionArg) -> Option<usize> {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) = arg else { return None };
    let Value::Placeholder(name) = &value.value else { return None };
    match name.as_str() {
        "$all" => Some(0),
        name => name.strip_prefix("$rest")?.parse::<usize>().ok()?.checked_sub(1),
    }
}

fn constant<'e>(argument: &'e Expr, what: &str) -> Result<&'e str, Problem> {
    literal_text(argument).ok_or_else(|| {
        (
            format!("{what} that is computed: `{argument}`"),
            String::from("Write it as text in quotes, so that it can be translated."),
        )
    })
}

/// Part and count of an interval that was rewritten.
pub(super) fn interval(argument: &Expr) -> Result<(Expr, Expr), Problem> {
    let found = match argument {
        Expr::Nested(inner) => return interval(inner),
        Expr::Function(function) if function_name(&function.name) == "interval_of" => super::build::arguments(function),
        _ => None,
    };
    match found.as_deref() {
        Some([unit, count]) => Ok((unit.clone(), count.clone())),
        _ => Err((
            format!("an interval that is not written as such: `{argument}`"),
            String::from("Write INTERVAL, a number and one part, for example INTERVAL 1 DAY."),
        )),
    }
}
