//! Rows of delimited text (CSV, TSV) into columns.
//!
//! Quoting follows RFC 4180: a field that begins with the quote ends with it, and a doubled quote inside is one. An empty
//! unquoted field is null, `""` is empty text. A row with more or fewer fields than the header is refused.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::codec::column::{Column, Fieldset, Refusal};
use crate::codec::header::Header;
use crate::codec::json::{Notes, UnknownFields};
use crate::codec::scan::find;

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

/// The marks of the file whose records are under way, for sources whose files each have their own. Whoever reads sets them
/// before a batch is handed on; the batch is decoded before the next one is read.
#[derive(Debug, Default)]
pub struct Dialect(AtomicU16);

impl Dialect {
    pub fn set(&self, marks: Delimiters) {
        self.0.store(u16::from_be_bytes([marks.delimiter, marks.quote]), Ordering::SeqCst);
    }

    pub fn get(&self) -> Delimiters {
        match self.0.load(Ordering::SeqCst).to_be_bytes() {
            [0, 0] => Delimiters::default(),
            [delimiter, quote] => Delimiters { delimiter, quote },
        }
    }
}

/// A value of a row, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub text: Cow<'a, str>,
    /// An empty one that is not quoted is null.
    pub quoted: bool,
}

/// The fields of one row, which may hold line ends inside quotes.
pub(crate) fn fields(row: &str, marks: Delimiters) -> Fields<'_> {
    Fields { rest: Some(row), marks }
}

/// Ends after the first field that is none.
pub(crate) struct Fields<'a> {
    rest: Option<&'a str>,
    marks: Delimiters,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let (field, after) = if rest.as_bytes().first() == Some(&self.marks.quote) {
            match quoted(rest, self.marks) {
                Ok(found) => found,
                Err(reason) => return Some(Err(reason)),
            }
        } else {
            let end = find(self.marks.delimiter, rest.as_bytes()).unwrap_or(rest.len());
            let (text, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (Field { text: Cow::Borrowed(text), quoted: false }, after)
        };
        // What follows a field is either the end or a delimiter, which is one ASCII byte.
        self.rest = after.get(1..);
        Some(Ok(field))
    }
}

fn quoted(row: &str, marks: Delimiters) -> Result<(Field<'_>, &str), Refusal> {
    let body = row.get(1..).unwrap_or_default();
    let bytes = body.as_bytes();
    let mut doubled = false;
    let mut from = 0;
    loop {
        let Some(found) = find(marks.quote, bytes.get(from..).unwrap_or_default()) else {
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
        let text = if doubled { Cow::Owned(undoubled(text, marks.quote)) } else { Cow::Borrowed(text) };
        return Ok((Field { text, quoted: true }, after));
    }
}

pub(super) fn undoubled(text: &str, quote: u8) -> String {
    let quote = char::from(quote).to_string();
    text.replace(&quote.repeat(2), &quote)
}

/// The names in a header row, or why it is none.
pub fn header(row: &[u8], marks: Delimiters) -> Result<Vec<String>, String> {
    let names = values(row, marks)?;
    check_header(&names)?;
    Ok(names)
}

/// The fields of a row without the white space around them.
pub fn values(row: &[u8], marks: Delimiters) -> Result<Vec<String>, String> {
    fields(super::as_text(row)?, marks).map(|field| Ok(field?.text.trim().to_owned())).collect()
}

/// Whether these names can be columns.
pub fn check_header(names: &[String]) -> Result<(), String> {
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
    Ok(())
}

/// The fields of a row under a header of so many names, or why it is none.
pub fn row(row: &[u8], marks: Delimiters, names: usize) -> Result<Vec<Field<'_>>, String> {
    checked(super::as_text(row)?, marks, names)
}

fn checked(row: &str, marks: Delimiters, names: usize) -> Result<Vec<Field<'_>>, Refusal> {
    if holds_nul(row) {
        return Err("row holds a NUL byte".to_owned());
    }
    let found = fields(row, marks).collect::<Result<Vec<_>, _>>()?;
    if found.len() != names {
        return Err(format!("row has {} fields, the header {names}", found.len()));
    }
    Ok(found)
}

/// Whether this is digits with a leading zero, which a number would not keep: a postal code, an account.
pub(crate) fn is_code(text: &str) -> bool {
    matches!(text.as_bytes(), [b'0', b'0'..=b'9', ..] | [b'-', b'0', b'0'..=b'9', ..])
}

/// Adds one row; `header` names the fields in order.
pub(crate) fn decode(
    row: &str,
    marks: Delimiters,
    header: &Header<'_>,
    unknown_fields: UnknownFields,
    columns: &mut Fieldset,
    notes: &mut Notes,
) -> Result<(), Refusal> {
    // A row of the wrong shape is told as that, whatever its values are.
    decode_fields(row, marks, header, unknown_fields, columns, notes)
        .or_else(|reason| checked(row, marks, header.len()).and(Err(reason)))
}

fn decode_fields(
    row: &str,
    marks: Delimiters,
    header: &Header<'_>,
    unknown_fields: UnknownFields,
    columns: &mut Fieldset,
    notes: &mut Notes,
) -> Result<(), Refusal> {
    let misshapen = || Err("row has another shape than its header".to_owned());
    let mut found = 0;
    for field in fields(row, marks) {
        let Field { text, quoted } = field?;
        if found == header.len() {
            return misshapen();
        }
        let empty = text.is_empty() && !quoted;
        match header.field(found, columns) {
            (_, Some(column)) if empty => column.push_null()?,
            (_, Some(column)) => push(column, &text, notes)?,
            (_, None) if empty => {}
            (name, None) => notes.unknown(unknown_fields, name, &json_text(&text), columns)?,
        }
        found += 1;
    }
    if found != header.len() || holds_nul(row) {
        return misshapen();
    }
    columns.finish_row()
}

fn holds_nul(row: &str) -> bool {
    memchr::memchr(0, row.as_bytes()).is_some()
}

/// A text as JSON writes it.
pub(crate) fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(super) fn push(column: &mut Column, text: &str, notes: &mut Notes) -> Result<(), Refusal> {
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
