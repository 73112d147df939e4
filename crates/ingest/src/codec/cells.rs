//! Rows of a spreadsheet into columns.
//!
//! A record is a JSON array with one value for each column of the header: null, a boolean, a number, text, or an object with
//! one member that says what its text is: `{"date": "2024-01-31"}`, `{"time": "2024-01-31T12:00:00"}`, `{"error": "#N/A"}`.
//! So it can be read by eye where it is set aside.
//!
//! A spreadsheet has one kind of number and lets every cell be anything. A column is text if any cell of the sample is, for
//! text holds everything; whole numbers throughout are integers; days throughout are dates. What does not fit later is refused.

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde_json::Value;

use crate::codec::column::{Column, Fieldset, Refusal, Values};
use crate::codec::header::Header;
use crate::codec::json::{Notes, UnknownFields};
use crate::record::RecordBuffer;

/// What a column's cells are.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    booleans: bool,
    integers: bool,
    fractions: bool,
    texts: bool,
    dates: bool,
    times: bool,
}

impl Kinds {
    fn note(&mut self, cell: &Value) {
        match cell {
            Value::Null | Value::Array(_) => {}
            Value::Bool(_) => self.booleans = true,
            Value::Number(number) => {
                let whole = super::column::integer(&number.to_string()).is_some();
                self.integers |= whole;
                self.fractions |= !whole;
            }
            Value::String(_) => self.texts = true,
            Value::Object(object) => {
                self.dates |= object.contains_key("date");
                self.times |= object.contains_key("time");
            }
        }
    }

    fn data_type(self) -> Option<DataType> {
        let numbers = self.integers || self.fractions;
        let kinds = [self.booleans, numbers, self.dates || self.times].into_iter().filter(|kind| *kind).count();
        if self.texts || kinds > 1 {
            return Some(DataType::Utf8);
        }
        Some(match self {
            Self { fractions: true, .. } => DataType::Float64,
            Self { integers: true, .. } => DataType::Int64,
            Self { booleans: true, .. } => DataType::Boolean,
            Self { times: true, .. } => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self { dates: true, .. } => DataType::Date32,
            _ => return None,
        })
    }
}

/// Columns for the rows of a sample; a column without values has none yet.
pub(crate) fn columns(header: &[String], records: &RecordBuffer, sample: usize) -> Vec<Field> {
    let mut kinds = vec![Kinds::default(); header.len()];
    for record in records.iter().take(sample) {
        let Ok(row) = serde_json::from_slice::<Vec<Value>>(record.payload) else { continue };
        kinds.iter_mut().zip(&row).for_each(|(kinds, cell)| kinds.note(cell));
    }
    let typed = header.iter().zip(kinds);
    typed.filter_map(|(name, kinds)| Some(Field::new(name, kinds.data_type()?, true))).collect()
}

/// Adds one row.
pub(crate) fn decode(
    row: &[u8],
    header: &Header<'_>,
    unknown_fields: UnknownFields,
    columns: &mut Fieldset,
    notes: &mut Notes,
) -> Result<(), Refusal> {
    let cells: Vec<Value> = serde_json::from_slice(row).map_err(|error| format!("row is no list of cells: {error}"))?;
    if cells.len() != header.len() {
        return Err(format!("row has {} cells, the header {}", cells.len(), header.len()));
    }
    for (index, cell) in cells.iter().enumerate() {
        match header.field(index, columns) {
            (_, Some(column)) => push(column, cell, notes)?,
            (_, None) if cell.is_null() => {}
            (name, None) => notes.unknown(unknown_fields, name, &cell.to_string(), columns)?,
        }
    }
    columns.finish_row()
}

fn push(column: &mut Column, cell: &Value, notes: &mut Notes) -> Result<(), Refusal> {
    let as_text = column.holds_text();
    match cell {
        Value::Null => column.push_null(),
        Value::Bool(value) if as_text => column.push_text(if *value { "true" } else { "false" }),
        Value::Bool(value) => column.push_bool(*value),
        Value::Number(number) if as_text => column.push_text(&shown(number)),
        Value::Number(number) => {
            let pushed = column.push_number(&number.to_string());
            notes.inexact_number |= pushed.is_err() && column.holds_integers();
            pushed
        }
        Value::String(text) if as_text => column.push_text(text),
        Value::String(_) => Err(column.refuse("text")),
        Value::Array(_) => Err(column.refuse("a list")),
        Value::Object(object) => match object.iter().next().map(|(kind, text)| (kind.as_str(), text.as_str())) {
            Some(("date", Some(text))) => column.push_text(text),
            Some(("time", Some(_))) if matches!(column.values(), Values::Date32(_)) => {
                Err(column.refuse("a time of day"))
            }
            Some(("time", Some(text))) => column.push_text(text),
            Some(("error", Some(text))) if as_text => column.push_text(text),
            Some(("error", Some(text))) => Err(column.refuse(&format!("the error {text}"))),
            _ => Err(column.refuse("a cell of no known kind")),
        },
    }
}

/// A whole number without a point: a spreadsheet stores 7 as 7.0.
fn shown(number: &serde_json::Number) -> String {
    let text = number.to_string();
    super::column::integer(&text).map_or(text, |whole| whole.to_string())
}
