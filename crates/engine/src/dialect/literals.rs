//! Literals: text in all its quotes, typed text, intervals, structures.

use datafusion::sql::sqlparser::ast::{
    DataType, DateTimeField, DictionaryField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Interval, StructField, TypedString, UnaryOperator, Value,
};

use super::Dialect;
use super::build::{arguments, binary, call, function_name, literal_text, named_argument, number, text};
use super::template::Problem;
use super::{casts, parts};

/// A value with its text in single quotes.
pub(super) fn plain(value: &mut Value) {
    let text = match value {
        Value::DoubleQuotedString(text)
        | Value::TripleSingleQuotedString(text)
        | Value::TripleDoubleQuotedString(text)
        | Value::EscapedStringLiteral(text)
        | Value::UnicodeStringLiteral(text)
        | Value::SingleQuotedRawStringLiteral(text)
        | Value::DoubleQuotedRawStringLiteral(text)
        | Value::TripleSingleQuotedRawStringLiteral(text)
        | Value::TripleDoubleQuotedRawStringLiteral(text)
        | Value::NationalStringLiteral(text) => std::mem::take(text),
        Value::DollarQuotedString(quoted) => std::mem::take(&mut quoted.value),
        _ => return,
    };
    *value = Value::SingleQuotedString(text);
}

/// `DATE '2024-01-31'` and its like.
pub(super) fn typed(dialect: Dialect, literal: &TypedString) -> Result<Expr, Problem> {
    let given = literal.value.value.clone().into_string().unwrap_or_default();
    if matches!(literal.data_type, DataType::JSON) {
        return Ok(call("json_document", vec![text(&given)]));
    }
    casts::cast_to(dialect, datafusion::sql::sqlparser::ast::CastKind::Cast, text(&given), &literal.data_type, None)
}

/// An interval of one part or of several, as sums of `interval_of('part', count)`.
pub(super) fn interval(dialect: Dialect, interval: &Interval) -> Result<Expr, Problem> {
    let bad = |what: &str| {
        (format!("the interval {what}"), String::from("Write a number and one part, for example INTERVAL 1 DAY."))
    };
    let given = literal_text(&interval.value).map(str::trim);
    if let (Some(last), Some(first)) = (&interval.last_field, &interval.leading_field) {
        let given = given.ok_or_else(|| bad("with TO that is computed"))?;
        return ranged(dialect, given, &field_word(first), &field_word(last)).ok_or_else(|| bad(given))?;
    }
    match (&interval.leading_field, given) {
        (Some(field), given) => {
            let count = match given {
                Some(digits) => number_of(digits).ok_or_else(|| bad(digits))?,
                None => (*interval.value).clone(),
            };
            of(dialect, &field_word(field), count)
        }
        (None, Some(given)) => several(dialect, given).ok_or_else(|| bad(given))?,
        (None, None) => Err(bad("without a part")),
    }
}

fn field_word(field: &DateTimeField) -> String {
    parts::extract_word(field)
}

fn of(dialect: Dialect, word: &str, count: Expr) -> Result<Expr, Problem> {
    let part = parts::span(dialect, &text(word))?;
    // Weeks of an interval are seven days, wherever they begin.
    let part = if part.starts_with("week") { "week" } else { part.as_str() };
    Ok(call("interval_of", vec![text(part), count]))
}

fn number_of(digits: &str) -> Option<Expr> {
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest.trim()),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let is_number =
        digits.parse::<f64>().is_ok() && digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let value = is_number.then(|| Expr::value(Value::Number(digits.to_owned(), false)))?;
    Some(if negative { Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(value) } } else { value })
}

/// `'1 02:03:04' DAY TO SECOND`, `'1-2' YEAR TO MONTH`: a count for each part from the first to the last.
fn ranged(dialect: Dialect, given: &str, first: &str, last: &str) -> Option<Result<Expr, Problem>> {
    const PARTS: [&str; 6] = ["year", "month", "day", "hour", "minute", "second"];
    let place = |word: &str| PARTS.iter().position(|part| *part == word);
    let parts = PARTS.get(place(first)?..=place(last)?)?;
    let (is_negative, counts) = given.strip_prefix('-').map_or((false, given), |rest| (true, rest));
    let counts: Vec<&str> = counts.split([' ', ':', '-']).filter(|count| !count.is_empty()).collect();
    if counts.len() != parts.len() {
        return None;
    }
    let sign = if is_negative { "-" } else { "" };
    let pieces: Option<Vec<_>> = parts
        .iter()
        .zip(counts)
        .map(|(part, count)| Some(of(dialect, part, number_of(&format!("{sign}{count}"))?)))
        .collect();
    Some(summed(pieces?))
}

/// The sum of intervals.
fn summed(pieces: Vec<Result<Expr, Problem>>) -> Result<Expr, Problem> {
    let pieces: Vec<Expr> = pieces.into_iter().collect::<Result<_, Problem>>()?;
    let plus = datafusion::sql::sqlparser::ast::BinaryOperator::Plus;
    pieces.into_iter().reduce(|sum, piece| binary(sum, plus.clone(), piece)).ok_or_else(|| {
        (
            String::from("an interval of nothing"),
            String::from("Write a number and one part, for example INTERVAL 1 DAY."),
        )
    })
}

/// `MAKE_INTERVAL(days => 10)`, and the same with its counts in order.
pub(super) fn made_interval(dialect: Dialect, name: &str, function: &Function) -> Result<Expr, Problem> {
    let parts: &[&str] = match (name, dialect) {
        ("make_dt_interval", _) => &["days", "hours", "mins", "secs"],
        _ => &["years", "months", "weeks", "days", "hours", "mins", "secs"],
    };
    let problem = || {
        let hint = format!("Its arguments are {}.", parts.join(", "));
        (format!("the function {name} with other arguments"), hint)
    };
    let FunctionArguments::List(list) = &function.args else { return Err(problem()) };
    let mut pieces = Vec::new();
    for (index, arg) in list.args.iter().enumerate() {
        let (part, count) = match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(count)) => (parts.get(index).copied(), count.clone()),
            other => {
                let part =
                    parts.iter().copied().find(|part| named_argument(std::slice::from_ref(other), part).is_some());
                let count = part.and_then(|part| named_argument(std::slice::from_ref(other), part));
                (part, count.ok_or_else(problem)?)
            }
        };
        pieces.push(of(dialect, part.ok_or_else(problem)?, count));
    }
    summed(pieces)
}

/// `1 day`, `1 year 2 months`, `1 day, 2 hours`, `02:30:00`; none when it is nothing of the kind.
fn several(dialect: Dialect, text: &str) -> Option<Result<Expr, Problem>> {
    let spaced = separated(text);
    let mut words = spaced.split([' ', ',', '\t', '\n']).filter(|word| !word.is_empty()).peekable();
    let mut pieces = Vec::new();
    let mut sign = "";
    while let Some(word) = words.next() {
        if matches!(word, "-" | "+") {
            sign = word;
            continue;
        }
        if word.contains(':') {
            let clock: Option<Vec<i64>> = word.split(':').map(|digits| digits.parse().ok()).collect();
            for (unit, count) in ["hour", "minute", "second"].into_iter().zip(clock?) {
                pieces.push(of(dialect, unit, number(count)));
            }
            continue;
        }
        let count = number_of(&format!("{}{word}", std::mem::take(&mut sign)))?;
        pieces.push(of(dialect, &words.next()?.to_lowercase(), count));
    }
    (!pieces.is_empty()).then(|| summed(pieces))
}

/// A blank between a number and the letters that follow it: `1d` is `1 d`.
fn separated(text: &str) -> String {
    let mut out = String::new();
    let mut last = ' ';
    for character in text.chars() {
        if last.is_ascii_digit() && character.is_ascii_alphabetic() {
            out.push(' ');
        }
        out.push(character);
        last = character;
    }
    out
}

/// The name a field has by what it is made of: the column's, or the alias.
fn field_name(expr: &Expr, position: usize) -> String {
    match expr {
        Expr::Named { name, .. } => name.value.clone(),
        Expr::Identifier(name) => name.value.to_lowercase(),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.to_lowercase()).unwrap_or_default(),
        _ => format!("_field_{position}"),
    }
}

/// `STRUCT(1 AS a, b)`, `STRUCT<a INT64, b STRING>(1, 'x')`
pub(super) fn structure(dialect: Dialect, values: Vec<Expr>, fields: &[StructField]) -> Result<Expr, Problem> {
    let mut args = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let field = fields.get(index);
        let name = field.and_then(|field| field.field_name.as_ref()).map(|name| name.value.clone());
        let name = name.unwrap_or_else(|| field_name(&value, index + 1));
        let value = match value {
            Expr::Named { expr, .. } => *expr,
            other => other,
        };
        let value = match field {
            Some(field) => casts::cast_to(
                dialect,
                datafusion::sql::sqlparser::ast::CastKind::Cast,
                value,
                &field.field_type,
                None,
            )?,
            None => value,
        };
        args.extend([text(&name), value]);
    }
    Ok(call("named_struct", args))
}

/// The structures of an array have the names of its first: `[STRUCT(1 AS a), (2), STRUCT(3)]`.
pub(super) fn same_fields(items: &mut [Expr]) {
    let Some((first, rest)) = items.split_first_mut() else { return };
    rest.iter_mut().for_each(|item| rename(first, item));
}

/// Gives the fields of a structure the names another has, also within.
fn rename(model: &Expr, item: &mut Expr) {
    let Expr::Function(function) = model else { return };
    let fields = arguments(function).filter(|_| function_name(&function.name) == "named_struct");
    let Some(fields) = fields else { return };
    let values: Vec<Expr> = match item {
        Expr::Tuple(values) => std::mem::take(values),
        Expr::Nested(one) => vec![(**one).clone()],
        Expr::Function(function) if function_name(&function.name) == "named_struct" => {
            arguments(function).unwrap_or_default().into_iter().skip(1).step_by(2).collect()
        }
        _ => return,
    };
    let pairs = fields.chunks(2).zip(values).filter_map(|(field, mut value)| match field {
        [name, model] => {
            rename(model, &mut value);
            Some([name.clone(), value])
        }
        _ => None,
    });
    *item = call("named_struct", pairs.flatten().collect());
}

/// A number with decimal places, or one too large for 64 bits, is exact, but in BigQuery. Bytes are made of their text.
pub(super) fn exact(dialect: Dialect, value: &Value) -> Result<Option<Expr>, Problem> {
    let digits = match value {
        Value::Number(digits, _) => digits,
        Value::SingleQuotedByteStringLiteral(bytes)
        | Value::DoubleQuotedByteStringLiteral(bytes)
        | Value::TripleSingleQuotedByteStringLiteral(bytes)
        | Value::TripleDoubleQuotedByteStringLiteral(bytes) => {
            return Ok(Some(call("arrow_cast", vec![text(bytes), text("Binary")])));
        }
        Value::Placeholder(name) if dialect == Dialect::Snowflake => {
            let column = name.strip_prefix('$').and_then(|digits| digits.parse::<u32>().ok());
            return Ok(column.map(|column| super::build::column(&format!("column{column}"))));
        }
        _ => return Ok(None),
    };
    let is_whole = !digits.contains('.');
    if digits.contains(['e', 'E'])
        || (is_whole && digits.parse::<i64>().is_ok())
        || (dialect == Dialect::BigQuery && !is_whole)
    {
        return Ok(None);
    }
    let scale = digits.split_once('.').map_or(0, |(_, places)| places.len());
    let precision = digits.chars().filter(char::is_ascii_digit).count().max(scale + 1);
    if precision > 38 {
        return Err((
            format!("the number {digits}"),
            String::from("Numbers have at most 38 digits here. Write it with an exponent if it need not be exact."),
        ));
    }
    let exact = datafusion::sql::sqlparser::ast::ExactNumberInfo::PrecisionAndScale(
        precision as u64,
        i64::try_from(scale).unwrap_or(0),
    );
    let exact =
        super::build::cast(datafusion::sql::sqlparser::ast::CastKind::Cast, text(digits), DataType::Decimal(exact));
    Ok(Some(exact))
}

/// `{'a': 1}`: an object in Snowflake, a structure in DuckDB.
pub(super) fn dictionary(dialect: Dialect, fields: &[DictionaryField]) -> Expr {
    let args = fields.iter().flat_map(|field| [text(&field.key.value), (*field.value).clone()]).collect();
    match dialect {
        Dialect::Snowflake => call("json_object_without_nulls", args),
        _ => call("named_struct", args),
    }
}
