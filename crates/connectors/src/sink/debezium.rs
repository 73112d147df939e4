//! Changes of a captured table as Debezium's connector for PostgreSQL publishes them: a key, an envelope, and after deletes a
//! message without a value.
//!
//! ```text
//! {"id":1}   {"before":null,"after":{"id":1,"word":"a"},"source":{...},"transaction":null,"op":"u","ts_ms":...}
//! {"id":1}   {"before":{"id":1,"word":null},"after":null,"source":{...},"transaction":null,"op":"d","ts_ms":...}
//! {"id":1}   null
//! ```
//!
//! The rows are those of a log of changes, `<table>__changes`, or of the table itself with the `_op` `r`. What the log does
//! not tell is `null`: the row before an update, what was committed before, the `xmin` of the slot. A change of the key is a
//! delete and an insert, as there.

mod array;
mod number;
mod rows;
mod schema;
mod shape;
#[cfg(test)]
mod tests;
mod value;

use std::io::Write;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use headwater_ingest::error::{Error, Result};
use headwater_project::{Failure, Timestamp};

use rows::{MARKS, Rows, readable};
pub use shape::{ColumnType, DecimalMode, EnvelopeOptions, SourceColumn, SourceTable, Truncations};

/// A message for a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Nothing for truncations.
    pub key: Option<&'a [u8]>,
    /// Nothing after a delete.
    pub value: Option<&'a [u8]>,
    pub header: Option<(&'static str, &'a [u8])>,
}

/// Takes messages, in order.
pub type Take<'a> = dyn FnMut(Message<'_>) -> Result<()> + 'a;

/// Writes rows of one schema as messages.
#[derive(Debug)]
pub struct Encoder {
    table: SourceTable,
    options: EnvelopeOptions,
    columns: Vec<Column>,
    /// Places in `columns`, in the order of the key.
    key: Vec<usize>,
    /// What comes before the payload, when schemas are wanted.
    key_opening: Option<Vec<u8>>,
    value_opening: Option<Vec<u8>>,
}

/// A column of the table.
#[derive(Debug)]
struct Column {
    name: String,
    /// The name as JSON, with its colon.
    label: Vec<u8>,
    column_type: ColumnType,
    /// Place in the rows.
    place: usize,
    is_key: bool,
    /// Whether the table has the column now.
    is_there: bool,
}

/// What is said of a row before or after.
#[derive(Clone, Copy)]
enum Image<'a> {
    None,
    Row,
    /// The key alone, in the text of the server.
    Key(&'a [Option<String>]),
}

/// What an envelope says.
struct Said<'a> {
    op: &'static str,
    before: Image<'a>,
    after: Image<'a>,
}

impl Encoder {
    /// For rows of this schema. Refuses columns without a form and rows without a key.
    pub fn new(table: SourceTable, options: EnvelopeOptions, rows: &Schema) -> Result<Self> {
        let columns = columns(&table, rows)?;
        let place = |name: &String| {
            columns.iter().position(|column| column.name == *name).ok_or_else(|| without_key(&table, name))
        };
        let key = table.key.iter().map(place).collect::<Result<Vec<usize>>>()?;
        let (mut key_opening, mut value_opening) = (None, None);
        if options.schemas {
            key_opening = Some(schema::of_key(&options, &table, key.iter().filter_map(|place| columns.get(*place))));
            value_opening = Some(schema::of_value(&options, &table, &columns));
        }
        Ok(Self { table, options, columns, key, key_opening, value_opening })
    }

    /// Hands on the messages of rows, in their order. `now` is when they are written.
    pub fn encode(&self, rows: &RecordBatch, now: Timestamp, take: &mut Take<'_>) -> Result<()> {
        let rows = Rows::of(rows)?;
        let (mut key, mut value, mut old) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..rows.count {
            let op = rows.text("_op", row).unwrap_or_default();
            let before = rows.text("_old_key", row).map(key_texts).transpose()?;
            key.clear();
            if op != "t" {
                self.write_key(&rows, row, None, &mut key)?;
            }
            let mut say = |said: Said<'_>, key: Option<&[u8]>, header: Option<(&'static str, &[u8])>| -> Result<()> {
                value.clear();
                self.write_value(&rows, row, now, &said, &mut value)?;
                take(Message { key, value: Some(&value), header })?;
                let is_followed = said.op == "d" && self.options.tombstones;
                if is_followed { take(Message { key, value: None, header }) } else { Ok(()) }
            };
            match (op, before) {
                ("u", Some(before)) => {
                    old.clear();
                    self.write_key(&rows, row, Some(&before), &mut old)?;
                    let gone = Said { op: "d", before: Image::Key(&before), after: Image::None };
                    say(gone, Some(&old), Some(("__debezium.newkey", self.payload(&key))))?;
                    let come = Said { op: "c", before: Image::None, after: Image::Row };
                    say(come, Some(&key), Some(("__debezium.oldkey", self.payload(&old))))?;
                }
                ("t", _) if self.options.truncations == Truncations::Skip => {}
                ("t", _) => say(Said { op: "t", before: Image::None, after: Image::None }, None, None)?,
                ("d", _) => say(Said { op: "d", before: Image::Row, after: Image::None }, Some(&key), None)?,
                (op, _) => {
                    let op = letter(op)?;
                    say(Said { op, before: Image::None, after: Image::Row }, Some(&key), None)?;
                }
            }
        }
        Ok(())
    }

    /// A key without its schema.
    fn payload<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        let Some(opening) = &self.key_opening else { return key };
        key.get(opening.len()..key.len().saturating_sub(1)).unwrap_or_default()
    }

    /// The key of a row; with `texts`, the one it had before.
    fn write_key(&self, rows: &Rows, row: usize, texts: Option<&[Option<String>]>, out: &mut Vec<u8>) -> Result<()> {
        if let Some(opening) = &self.key_opening {
            out.extend_from_slice(opening);
        }
        out.push(b'{');
        for (place, column) in self.key.iter().filter_map(|place| self.columns.get(*place)).enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&column.label);
            match texts {
                None => self.write_cell(rows, row, column, out)?,
                Some(texts) => self.write_old(column, texts.get(place).and_then(Option::as_deref), out)?,
            }
        }
        out.push(b'}');
        if self.key_opening.is_some() {
            out.push(b'}');
        }
        Ok(())
    }

    fn write_value(&self, rows: &Rows, row: usize, now: Timestamp, said: &Said<'_>, out: &mut Vec<u8>) -> Result<()> {
        if let Some(opening) = &self.value_opening {
            out.extend_from_slice(opening);
        }
        out.extend_from_slice(b"{\"before\":");
        self.write_image(rows, row, said.before, out)?;
        out.extend_from_slice(b",\"after\":");
        self.write_image(rows, row, said.after, out)?;
        self.write_source(rows, row, now, said.op, out)?;
        let (millis, micros) = (now.as_millis(), now.as_micros());
        let nanos = i128::from(micros) * 1_000;
        write_all(
            out,
            format_args!(
                ",\"transaction\":null,\"op\":\"{}\",\"ts_ms\":{millis},\"ts_us\":{micros},\"ts_ns\":{nanos}}}",
                said.op
            ),
        )?;
        if self.value_opening.is_some() {
            out.push(b'}');
        }
        Ok(())
    }

    fn write_image(&self, rows: &Rows, row: usize, image: Image<'_>, out: &mut Vec<u8>) -> Result<()> {
        if let Image::None = image {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        let unchanged = rows.text("_unchanged", row);
        let mut opening = b'{';
        for (place, column) in self.columns.iter().enumerate() {
            let is_null = rows.arrays.get(column.place).is_none_or(|array| array.is_null(row));
            if !column.is_there && (is_null || matches!(image, Image::Key(_))) {
                continue;
            }
            out.push(std::mem::replace(&mut opening, b','));
            out.extend_from_slice(&column.label);
            match image {
                Image::Key(texts) => {
                    let of_key = self.key.iter().position(|key| *key == place);
                    let text = of_key.and_then(|place| texts.get(place)).and_then(Option::as_deref);
                    self.write_old(column, text, out)?;
                }
                _ if is_null && is_named(unchanged, &column.name) => {
                    let written = value::write_unavailable(&column.column_type, self.options.decimal, out);
                    written.ok_or_else(|| Error::from(no_form(column, "a value that was not sent")))?;
                }
                _ => self.write_cell(rows, row, column, out)?,
            }
        }
        if opening == b'{' {
            out.push(b'{');
        }
        out.push(b'}');
        Ok(())
    }

    /// Where and when it was.
    fn write_source(&self, rows: &Rows, row: usize, now: Timestamp, op: &str, out: &mut Vec<u8>) -> Result<()> {
        let is_read = op == "r";
        let time = rows.time("_committed_at", row).map_or(now, Timestamp);
        let lsn = rows.number(if is_read { "_lsn" } else { "_change_lsn" }, row);
        write_all(
            out,
            format_args!(
                ",\"source\":{{\"version\":\"{}\",\"connector\":\"postgresql\",\"name\":",
                env!("CARGO_PKG_VERSION")
            ),
        )?;
        write_text(&self.options.name, out)?;
        write_all(out, format_args!(",\"ts_ms\":{},\"snapshot\":\"{is_read}\",\"db\":", time.as_millis()))?;
        write_text(&self.table.database, out)?;
        match lsn {
            // What was committed before is not known.
            Some(lsn) => write_all(out, format_args!(",\"sequence\":\"[null,\\\"{lsn}\\\"]\""))?,
            None => out.extend_from_slice(b",\"sequence\":null"),
        }
        let nanos = i128::from(time.as_micros()) * 1_000;
        write_all(out, format_args!(",\"ts_us\":{},\"ts_ns\":{nanos},\"schema\":", time.as_micros()))?;
        write_text(&self.table.schema, out)?;
        out.extend_from_slice(b",\"table\":");
        write_text(&self.table.table, out)?;
        out.extend_from_slice(b",\"txId\":");
        write_number(rows.number("_xid", row), out)?;
        out.extend_from_slice(b",\"lsn\":");
        write_number(lsn, out)?;
        out.extend_from_slice(b",\"xmin\":null}");
        Ok(())
    }

    fn write_cell(&self, rows: &Rows, row: usize, column: &Column, out: &mut Vec<u8>) -> Result<()> {
        let array = rows.arrays.get(column.place).ok_or(Error::Internal("a row without one of its columns"))?;
        let write = |decimal, out: &mut Vec<u8>| value::write_cell(&column.column_type, array, row, decimal, out);
        self.written(column, out, write, || arrow::util::display::array_value_to_string(array, row).unwrap_or_default())
    }

    /// A value of the key before.
    fn write_old(&self, column: &Column, text: Option<&str>, out: &mut Vec<u8>) -> Result<()> {
        let Some(text) = text else {
            out.extend_from_slice(b"null");
            return Ok(());
        };
        let write = |decimal, out: &mut Vec<u8>| value::write_text(&column.column_type, text, decimal, out);
        self.written(column, out, write, || text.to_owned())
    }

    /// Writes a value; one that has no form is shown, with what gives it one.
    fn written(
        &self,
        column: &Column,
        out: &mut Vec<u8>,
        write: impl Fn(DecimalMode, &mut Vec<u8>) -> Option<()>,
        shown: impl Fn() -> String,
    ) -> Result<()> {
        if write(self.options.decimal, out).is_some() {
            return Ok(());
        }
        let hint = if write(DecimalMode::String, &mut Vec::new()).is_some() {
            "Write decimals with `decimal: string`."
        } else if column.column_type.is_kept_as_text() {
            "Take it as text: list the column under `as_text` of the table at the source."
        } else {
            "Leave the column out at the source."
        };
        let value = shown().chars().take(64).collect::<String>();
        Err(no_form(column, &format!("`{value}`")).with_hint(hint).into())
    }
}

/// Columns of the table: those it has now, in its order, then those it had.
fn columns(table: &SourceTable, rows: &Schema) -> Result<Vec<Column>> {
    let column = |name: &String, place: usize, declared: Option<&ColumnType>| -> Result<Column> {
        let kept = readable(rows.field(place).data_type());
        let column_type = ColumnType::of(declared, &kept).ok_or_else(|| Error::Schema {
            reason: format!("column `{name}` is {kept}, which has no form in an envelope"),
        })?;
        let mut label = serde_json::to_vec(name).map_err(|_| Error::Internal("a name that is no text"))?;
        label.push(b':');
        let (is_key, is_there) = (table.key.contains(name), declared.is_some());
        Ok(Column { name: name.clone(), label, column_type, place, is_key, is_there })
    };
    let mut found = Vec::new();
    for known in &table.columns {
        if let Ok(place) = rows.index_of(&known.name) {
            found.push(column(&known.name, place, Some(&known.column_type))?);
        }
    }
    for (place, field) in rows.fields().iter().enumerate() {
        let name = field.name();
        if !MARKS.contains(&name.as_str()) && !table.columns.iter().any(|known| known.name == *name) {
            found.push(column(name, place, None)?);
        }
    }
    Ok(found)
}

/// Operations of the log, of the table, and of envelopes.
fn letter(op: &str) -> Result<&'static str> {
    match op {
        "i" => Ok("c"),
        "u" => Ok("u"),
        "r" => Ok("r"),
        other => Err(Failure::user(format!("`_op` is `{other}`, which no change of a captured table is"))
            .with_hint("Send the `<table>__changes` of a source with `mode: capture`.")
            .into()),
    }
}

/// The values of `_old_key`.
fn key_texts(json: &str) -> Result<Vec<Option<String>>> {
    serde_json::from_str(json).map_err(|_| Error::Internal("an old key that is no list of texts"))
}

/// Whether a list of names, as `_unchanged` has it, has this one.
fn is_named(names: Option<&str>, name: &str) -> bool {
    names.is_some_and(|names| names.split(", ").any(|one| one == name))
}

/// The rows came before their table had this key.
fn without_key(table: &SourceTable, column: &str) -> Error {
    let SourceTable { schema, table, .. } = table;
    let message = format!("the changes of {schema}.{table} have no column `{column}`, which is in its key now");
    Failure::user(message)
        .with_hint(
            "The key was changed in the database after them. Put it back until they are sent; or, once a row was changed \
             under the new key, begin anew with another `name` of the sink and another `topic`.",
        )
        .into()
}

fn no_form(column: &Column, what: &str) -> Failure {
    Failure::user(format!("{what} in column `{}` has no form in an envelope", column.name))
}

fn write_all(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) -> Result<()> {
    out.write_fmt(arguments).map_err(|_| Error::Internal("memory that cannot be written to"))
}

fn write_text(text: &str, out: &mut Vec<u8>) -> Result<()> {
    number::quoted(text, out).ok_or(Error::Internal("text that is no JSON"))
}

fn write_number(number: Option<i64>, out: &mut Vec<u8>) -> Result<()> {
    match number {
        Some(number) => write_all(out, format_args!("{number}")),
        None => write_all(out, format_args!("null")),
    }
}
