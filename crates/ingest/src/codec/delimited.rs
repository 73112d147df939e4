//! Rows of delimited text (CSV, TSV) into columns.
//!
//! Quoting follows RFC 4180: a field that begins with the quote ends with it, and a doubled quote inside is one. An empty
//! unquoted field is null, `""` is empty text. A row with more or fewer fields than the header is refused.

use std::borrow::Cow;

use crate::codec::column::{Column, Fieldset, Refusal};
use crate::codec::json::{Notes, UnknownFields};

/// The marks of a delimited file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimiters {
    pub delimiter: u8,
    pub quote: u8,
}

impl Default for Delimiters {
    fn default() -> Self {
        Self { delimiter: b',', quote: b'"' }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) quoted: bool,
}

/// The fields of one row, which may hold line ends inside quotes.
pub(crate) fn fields<'a>(row: &'a str, marks: Delimiters) -> Result<Vec<Field<'a>>, Refusal> {
    let mut found = Vec::new();
    let mut rest = row;
    loop {
        let (field, after) = if rest.as_bytes().first() == Some(&marks.quote) {
            quoted(rest, marks)?
        } else {
            let end = memchr::memchr(marks.delimiter, rest.as_bytes()).unwrap_or(rest.len());
            let (text, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (Field { text: Cow::Borrowed(text), quoted: false }, after)
        };
        found.push(field);
        // What follows a field is either the end or a delimiter, which is one ASCII byte.
        match after.get(1..) {
            Some(next) => rest = next,
            None => return Ok(found),
        }
    }
}

fn quoted(row: &str, marks: Delimiters) -> Result<(Field<'_>, &str), Refusal> {
    let body = row.get(1..).unwrap_or_default();
    let bytes = body.as_bytes();
    let mut doubled = false;
    let mut from = 0;
    loop {
        let Some(found) = memchr::memchr(marks.quote, bytes.get(from..).unwrap_or_default()) else {
            return Err("quote is never closed".to_owned());
        };
        let end = from + found;
        if bytes.get(end + 1) == Some(&marks.quote) {
            doubled = true;
            from = end + 2;
            continue;
        }
        let after = body.get(end + 1..).unwrap_or_default();
        if !after.is_empty() && after.as_bytes().first() != Some(&marks.delimiter) {
            return Err("text after a closing quote".to_owned());
        }
        let text = body.get(..end).unwrap_or_default();
        let quote = char::from(marks.quote).to_string();
        let text = if doubled { Cow::Owned(text.replace(&quote.repeat(2), &quote)) } else { Cow::Borrowed(text) };
        return Ok((Field { text, quoted: true }, after));
    }
}

/// The names in a header row, or why it is none.
pub fn header(row: &[u8], marks: Delimiters) -> Result<Vec<String>, String> {
    let names: Vec<String> =
        fields(super::as_text(row)?, marks)?.into_iter().map(|field| field.text.trim().to_owned()).collect();
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(format!("field {} of the header has no name", index + 1));
        }
        if names.iter().take(index).any(|before| before == name) {
            return Err(format!("the header names `{name}` twice"));
        }
        if crate::schema::is_reserved(name) {
            return Err(format!("the header uses the reserved name `{name}`"));
        }
    }
    Ok(names)
}

/// Whether this is digits with a leading zero, which a number would not keep: a postal code, an account.
pub(crate) fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.len() > 1 && digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
}

/// Adds one row, or leaves the columns as they were. `header` names the fields in order.
pub(crate) fn decode(
    row: &[u8],
    marks: Delimiters,
    header: &[String],
    unknown_fields: UnknownFields,
    columns: &mut Fieldset,
    notes: &mut Notes,
) -> Result<(), Refusal> {
    let rows = columns.rows();
    let result = decode_row(row, marks, header, unknown_fields, columns, notes);
    if result.is_err() {
        columns.truncate(rows);
    }
    result
}

fn decode_row(
    row: &[u8],
    marks: Delimiters,
    header: &[String],
    unknown_fields: UnknownFields,
    columns: &mut Fieldset,
    notes: &mut Notes,
) -> Result<(), Refusal> {
    let text = super::as_text(row)?;
    if text.as_bytes().contains(&0) {
        return Err("row holds a NUL byte".to_owned());
    }
    let found = fields(text, marks)?;
    if found.len() != header.len() {
        return Err(format!("row has {} fields, the header {}", found.len(), header.len()));
    }
    let mut expected = 0;
    for (name, field) in header.iter().zip(&found) {
        let empty = field.text.is_empty() && !field.quoted;
        match columns
            .find(name, expected)
            .and_then(|index| columns.columns.get_mut(index).map(|column| (index, column)))
        {
            Some((index, column)) => {
                expected = index + 1;
                if empty { column.push_null()? } else { push(column, &field.text, notes)? }
            }
            None if empty => {}
            None if unknown_fields == UnknownFields::Refuse => {
                return Err(format!("field `{name}` has no column and none can be added"));
            }
            None => notes.unknown_field = true,
        }
    }
    columns.finish_row()
}

fn push(column: &mut Column, text: &str, notes: &mut Notes) -> Result<(), Refusal> {
    use crate::codec::column::Values;
    let numeric = matches!(column.values(), Values::Int32(_) | Values::Int64(_) | Values::Float64(_));
    if numeric && is_code(text) {
        return Err(column.refuse("a code with a leading zero"));
    }
    match column.values() {
        Values::Int32(_) | Values::Int64(_) => {
            let pushed = column.push_number(text);
            notes.inexact_number |= pushed.is_err() && text.parse::<f64>().is_ok();
            pushed
        }
        Values::Float64(_) => column.push_number(text),
        Values::Boolean(_) => match text {
            "true" | "True" | "TRUE" => column.push_bool(true),
            "false" | "False" | "FALSE" => column.push_bool(false),
            _ => Err(column.refuse("text")),
        },
        _ => column.push_text(text),
    }
}
