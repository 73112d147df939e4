//! Comparisons: with all or any of an array, of rows, of intervals, with patterns.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Function, Value};

use super::Dialect;
use super::arrays::lambda;
use super::build::{arguments, binary, call, column, function_name, literal_text, not, text};

/// The name of an item that is compared.
const ITEM: &str = "__compared";

/// `value = ANY (array)`: NULL where no item is equal but one is NULL, as in the list of IN.
pub(super) fn any(dialect: Dialect, value: &Expr, op: &BinaryOperator, array: &Expr) -> Expr {
    let array = listed(dialect, array);
    if let (BinaryOperator::Eq, Expr::Array(items)) = (op, &array)
        && !items.elem.is_empty()
    {
        let (expr, list) = (Box::new(value.clone()), items.elem.clone());
        return Expr::InList { expr, list, negated: false };
    }
    let compared = binary(value.clone(), op.clone(), column(ITEM));
    call("array_any_match", vec![array, lambda(&[String::from(ITEM)], compared)])
}

/// `value > ALL (array)`: there is none for which it is not so.
pub(super) fn all(dialect: Dialect, value: &Expr, op: &BinaryOperator, array: &Expr) -> Expr {
    let compared = not(binary(value.clone(), op.clone(), column(ITEM)));
    not(call("array_any_match", vec![listed(dialect, array), lambda(&[String::from(ITEM)], compared)]))
}

/// An array that PostgreSQL reads from text, as an array.
fn listed(dialect: Dialect, array: &Expr) -> Expr {
    match literal_text(array).filter(|_| matches!(dialect, Dialect::Postgres | Dialect::Redshift)).and_then(items) {
        Some(items) => call("make_array", items),
        None => match array {
            Expr::Nested(inner) => (**inner).clone(),
            other => other.clone(),
        },
    }
}

/// The items of `{a,"b c",NULL}`.
pub(super) fn items(array: &str) -> Option<Vec<Expr>> {
    let inside = array.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let (mut item, mut quoted, mut was_quoted) = (String::new(), false, false);
    let mut finish = |item: &mut String, was_quoted: &mut bool| {
        let given = std::mem::take(item);
        let trimmed = given.trim();
        items.push(match std::mem::take(was_quoted) {
            true => text(&given),
            false if trimmed.eq_ignore_ascii_case("null") => Expr::value(Value::Null),
            false => text(trimmed),
        });
    };
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            '\\' => item.extend(characters.next()),
            ',' if !quoted => finish(&mut item, &mut was_quoted),
            // Arrays of arrays are no list of items.
            '{' if !quoted => return None,
            other => item.push(other),
        }
    }
    if !inside.trim().is_empty() {
        finish(&mut item, &mut was_quoted);
    }
    Some(items)
}

/// Rows compared field by field: `(a, b) > (c, d)`. NULL in a field that decides makes NULL.
pub(super) fn rows(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Option<Expr> {
    if left.len() != right.len() {
        return None;
    }
    let strict = match op {
        BinaryOperator::Eq => return equal(left, right),
        BinaryOperator::NotEq => return equal(left, right).map(not),
        BinaryOperator::Gt | BinaryOperator::GtEq => BinaryOperator::Gt,
        BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::Lt,
        _ => return None,
    };
    let ((first, rest), (other, others)) = (left.split_first()?, right.split_first()?);
    if rest.is_empty() {
        return Some(binary(first.clone(), op.clone(), other.clone()));
    }
    let decided = binary(first.clone(), strict, other.clone());
    let same = binary(first.clone(), BinaryOperator::Eq, other.clone());
    Some(binary(decided, BinaryOperator::Or, binary(same, BinaryOperator::And, rows(rest, op, others)?)))
}

fn equal(left: &[Expr], right: &[Expr]) -> Option<Expr> {
    let pairs = left.iter().zip(right).map(|(one, other)| binary(one.clone(), BinaryOperator::Eq, other.clone()));
    pairs.reduce(|one, other| binary(one, BinaryOperator::And, other))
}

/// `(a, b) IN ((1, 2), (3, 4))`
pub(super) fn row_in(row: &[Expr], list: &[Expr], negated: bool) -> Option<Expr> {
    let one = |item: &Expr| match item {
        Expr::Tuple(fields) if fields.len() == row.len() => equal(row, fields),
        _ => None,
    };
    let each: Option<Vec<Expr>> = list.iter().map(one).collect();
    let any = each?.into_iter().reduce(|one, other| binary(one, BinaryOperator::Or, other))?;
    Some(if negated { not(any) } else { Expr::Nested(Box::new(any)) })
}

/// Intervals by their length, whatever their parts are.
pub(super) fn intervals(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    let compares = matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    );
    let is_interval = super::operators::is_interval;
    let length = |expr: &Expr| call("interval_length", vec![expr.clone()]);
    (compares && (is_interval(left) || is_interval(right))).then(|| binary(length(left), op.clone(), length(right)))
}

/// `x LIKE ALL (a, b)`, which the grammar reads as a pattern that a function of the name gives.
pub(super) fn like_all(expr: &mut Expr) -> Option<Expr> {
    let (value, pattern, negated, ignores_case) = match expr {
        Expr::Like { negated, any: false, expr, pattern, .. } => (expr, pattern, *negated, false),
        Expr::ILike { negated, any: false, expr, pattern, .. } => (expr, pattern, *negated, true),
        _ => return None,
    };
    let Expr::Function(function) = pattern.as_ref() else { return None };
    if function_name(&function.name) != "all" {
        return None;
    }
    let like = |pattern: Expr| {
        let (expr, pattern) = (value.clone(), Box::new(pattern));
        if ignores_case {
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None }
        } else {
            Expr::Like { negated, any: false, expr, pattern, escape_char: None }
        }
    };
    let all = patterns(function)?.into_iter().map(like).reduce(|one, other| binary(one, BinaryOperator::And, other))?;
    Some(Expr::Nested(Box::new(all)))
}

fn patterns(function: &Function) -> Option<Vec<Expr>> {
    let given = arguments(function)?;
    Some(match given.as_slice() {
        [Expr::Array(array)] => array.elem.clone(),
        _ => given,
    })
}
