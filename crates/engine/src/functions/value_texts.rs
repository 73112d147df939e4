//! The text a value is cast to, which dialects do not agree on.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;

use super::arguments::{Arguments, converted};
use super::json::text_of;
use super::json_documents::write_value;
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // The text a dialect casts a value to.
    Function {
        name: "bigquery_text",
        arity: (1, 1),
        returns: returns::text,
        body: |arguments| shown(arguments, BIGQUERY),
    },
    Function {
        name: "postgres_text",
        arity: (1, 1),
        returns: returns::text,
        body: |arguments| shown(arguments, POSTGRES),
    },
    Function {
        name: "snowflake_text",
        arity: (1, 1),
        returns: returns::text,
        body: |arguments| shown(arguments, SNOWFLAKE),
    },
    Function { name: "spark_text", arity: (1, 1), returns: returns::text, body: |arguments| shown(arguments, SPARK) },
    Function { name: "duckdb_text", arity: (1, 1), returns: returns::text, body: |arguments| shown(arguments, DUCKDB) },
    Function {
        name: "redshift_text",
        arity: (1, 1),
        returns: returns::text,
        body: |arguments| shown(arguments, REDSHIFT),
    },
    // What CONCAT makes of a value in PostgreSQL, where truth is one letter.
    Function {
        name: "postgres_output",
        arity: (1, 1),
        returns: returns::text,
        body: |arguments| shown(arguments, Style { short_booleans: true, ..POSTGRES }),
    },
];

/// How a dialect shows values.
#[derive(Clone, Copy)]
struct Style {
    /// `1` for 1.0.
    short_floats: bool,
    /// Digits of a second that are always there.
    second_digits: usize,
    /// `+00` after an instant.
    shows_zone: bool,
    /// Strings of JSON documents lose their quotes.
    unquotes: bool,
    /// `1.5` for 1.50.
    trims_decimals: bool,
    short_booleans: bool,
    /// Fractions in binary as Java shows them: `1.0E10`.
    java_floats: bool,
    nested: Nested,
}

/// How lists and structures are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nested {
    Json,
    /// `[1, 2]` and `{'a': 1}`
    Quoted,
    /// `[1, 2]` and `{1}`
    Plain,
    /// `{1,2}`
    Braces,
}

const POSTGRES: Style = Style {
    short_floats: true,
    second_digits: 0,
    shows_zone: true,
    unquotes: false,
    trims_decimals: false,
    short_booleans: false,
    java_floats: false,
    nested: Nested::Braces,
};
const REDSHIFT: Style = Style { unquotes: true, nested: Nested::Json, ..POSTGRES };
const BIGQUERY: Style = Style { trims_decimals: true, unquotes: true, nested: Nested::Plain, ..POSTGRES };
const SNOWFLAKE: Style =
    Style { second_digits: 3, shows_zone: false, unquotes: true, nested: Nested::Json, ..POSTGRES };
const SPARK: Style =
    Style { short_floats: false, java_floats: true, shows_zone: false, nested: Nested::Plain, ..POSTGRES };
const DUCKDB: Style = Style { short_floats: false, nested: Nested::Quoted, ..POSTGRES };

fn shown(arguments: &Arguments, style: Style) -> Result<ArrayRef> {
    let array = arguments.array(0)?;
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if style.unquotes && arguments.is_json(0) => {
            let texts = arguments.text(0)?;
            Ok(Arc::new(texts.iter().map(|text| text.and_then(text_of)).collect::<StringArray>()))
        }
        DataType::Timestamp(..) => times(arguments, style),
        DataType::Float32 | DataType::Float64 => floats(array, style),
        DataType::Decimal128(_, scale) if style.trims_decimals && *scale > 0 => {
            let texts = converted(array, &DataType::Utf8)?;
            let short = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
            Ok(Arc::new(texts.as_string::<i32>().iter().map(|text| text.map(short)).collect::<StringArray>()))
        }
        DataType::Boolean if style.short_booleans => {
            let letter = |truth: bool| if truth { "t" } else { "f" };
            Ok(Arc::new(array.as_boolean().iter().map(|truth| truth.map(letter)).collect::<StringArray>()))
        }
        DataType::List(_) | DataType::Struct(_) if style.nested != Nested::Json => nested(array, style.nested),
        DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_) => {
            let mut texts = StringBuilder::new();
            for row in 0..array.len() {
                if array.is_null(row) {
                    texts.append_null();
                    continue;
                }
                let mut text = String::new();
                write_value(array, row, false, &mut text)?;
                texts.append_value(text);
            }
            Ok(Arc::new(texts.finish()))
        }
        _ => converted(array, &DataType::Utf8),
    }
}

fn times(arguments: &Arguments, style: Style) -> Result<ArrayRef> {
    let times = arguments.times(0)?;
    let is_instant = matches!(arguments.array(0)?.data_type(), DataType::Timestamp(_, Some(_)));
    let mut texts = StringBuilder::new();
    for row in 0..arguments.rows {
        let at = times.at(row).and_then(super::calendar::calendar);
        texts.append_option(at.map(|at| {
            let mut text = at.format("%Y-%m-%d %H:%M:%S").to_string();
            let fraction = at.format("%6f").to_string();
            let kept = fraction.trim_end_matches('0').len().max(style.second_digits);
            if let Some(digits) = fraction.get(..kept).filter(|digits| !digits.is_empty()) {
                text.push('.');
                text.push_str(digits);
            }
            if is_instant && style.shows_zone {
                text.push_str("+00");
            }
            text
        }));
    }
    Ok(Arc::new(texts.finish()))
}

fn floats(array: &ArrayRef, style: Style) -> Result<ArrayRef> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        let text = formatter.value(row).to_string();
        let text = if style.java_floats { java(&text).unwrap_or(text) } else { text };
        let short = text.strip_suffix(".0").filter(|_| style.short_floats);
        texts.append_value(short.unwrap_or(&text));
    }
    Ok(Arc::new(texts.finish()))
}

/// A number as Java shows it, where that is with an exponent: from ten millions on, and below a thousandth.
fn java(shown: &str) -> Option<String> {
    let number: f64 = shown.parse().ok().filter(|number: &f64| number.is_finite() && *number != 0.0)?;
    if (1e-3..1e7).contains(&number.abs()) {
        return None;
    }
    let scientific = format!("{number:E}");
    let (digits, exponent) = scientific.split_once('E')?;
    let point = if digits.contains('.') { "" } else { ".0" };
    Some(format!("{digits}{point}E{exponent}"))
}

fn nested(array: &ArrayRef, how: Nested) -> Result<ArrayRef> {
    let mut texts = StringBuilder::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        let mut text = String::new();
        write_nested(array, row, how, &mut text)?;
        texts.append_value(text);
    }
    Ok(Arc::new(texts.finish()))
}

/// Writes the value of a row within a list or a structure.
fn write_nested(array: &ArrayRef, row: usize, how: Nested, out: &mut String) -> Result<()> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        out.push_str(if how == Nested::Plain { "null" } else { "NULL" });
        return Ok(());
    }
    let between = if how == Nested::Braces { "," } else { ", " };
    match array.data_type() {
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let (open, close) = if how == Nested::Braces { ('{', '}') } else { ('[', ']') };
            out.push(open);
            for at in 0..items.len() {
                out.push_str(if at > 0 { between } else { "" });
                write_nested(&items, at, how, out)?;
            }
            out.push(close);
        }
        DataType::Struct(fields) => {
            let (open, close) = if how == Nested::Braces { ('(', ')') } else { ('{', '}') };
            out.push(open);
            for (at, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                out.push_str(if at > 0 { between } else { "" });
                if how == Nested::Quoted {
                    out.push_str(&format!("'{}': ", field.name()));
                }
                write_nested(column, row, how, out)?;
            }
            out.push(close);
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if how == Nested::Braces => {
            let text = converted(array, &DataType::Utf8)?;
            let text = text.as_string::<i32>().value(row);
            let needs_quotes = text.is_empty()
                || text.eq_ignore_ascii_case("null")
                || text.contains(|letter: char| letter.is_whitespace() || "{},\"\\".contains(letter));
            let escaped = || format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            out.push_str(&if needs_quotes { escaped() } else { text.to_owned() });
        }
        _ => {
            let options = FormatOptions::default();
            out.push_str(&ArrayFormatter::try_new(array.as_ref(), &options)?.value(row).to_string());
        }
    }
    Ok(())
}

/// Lists and structures as text.
pub(super) fn plain(array: &ArrayRef) -> Result<StringArray> {
    Ok(nested(array, Nested::Plain)?.as_string::<i32>().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_fractions_have_exponents_in_java() {
        for (shown, expected) in [
            ("10000000000.0", Some("1.0E10")),
            ("0.00015", Some("1.5E-4")),
            ("-12345678.9", Some("-1.23456789E7")),
            ("1234.5", None),
            ("0.0", None),
            ("NaN", None),
        ] {
            assert_eq!(java(shown).as_deref(), expected, "{shown}");
        }
    }
}
