//! One captured table: its columns as the stream names them, and what happened to it since the last piece.
//!
//! The log of changes has, before the table's own columns: `_op` (`i`, `u`, `d`, `t` for truncate), `_lsn` (place of the commit
//! record) and `_seq` (which change of its transaction), `_committed_at`, `_old_key` (a JSON list, when the key changed),
//! `_unchanged` (names of long values that were not sent, whose cells are NULL), `_xid` (number of the transaction, without
//! its epoch) and `_change_lsn` (place of the change itself). A deleted row has what the server sent of it: its key, or all
//! of it under REPLICA IDENTITY FULL, which also gives long values that did not change.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use headwater_ingest::capture::{CurrentChange, TableChanges};
use headwater_ingest::position::Positions;
use headwater_ingest::sink::{KeyedChanges, Unchanged};

use crate::postgres::capture::image::{Image, Images, Key, Row, Value};
use crate::postgres::column::{Column, ColumnType};
use crate::postgres::error::{PgError, Result};
use crate::postgres::pgoutput::{Old, Tuple};

const MICROS_TO_2000: i64 = 946_684_800_000_000;
/// Bytes a change takes beside its values: its key here and there, its places in the tables of keys.
const HELD: usize = 96;

/// Which transaction, and which change of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) commit_lsn: u64,
    pub(super) committed_at: i64,
    pub(super) xid: u32,
    /// Place of the change itself.
    pub(super) lsn: u64,
    pub(super) ordinal: i64,
}

/// The columns of a table in the order of the stream.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) columns: Vec<ColumnType>,
    /// For each column of the stream the one here, unless it is left out.
    pub(super) places: Vec<Option<usize>>,
    /// The key's columns.
    pub(super) key: Vec<usize>,
}

pub(super) struct CapturedTable {
    index: usize,
    shape: Shape,
    /// Transactions up to here are in the table.
    pub(super) position: u64,
    /// Transactions up to here are in the log of changes.
    log_position: u64,
    log: Log,
    images: Images,
    bytes: usize,
    window: Option<Window>,
}

/// What happened to rows while a chunk of them was read.
#[derive(Debug, Default)]
pub(super) struct Window {
    keys: HashSet<Key>,
    truncated: bool,
}

impl Window {
    /// Whether the chunk's row of this key counts.
    pub(super) fn lets_pass(&self, key: &Key) -> bool {
        !self.truncated && !self.keys.contains(key)
    }
}

struct Log {
    op: StringBuilder,
    lsn: Int64Builder,
    seq: Int64Builder,
    committed_at: TimestampMicrosecondBuilder,
    old_key: StringBuilder,
    unchanged: StringBuilder,
    xid: Int64Builder,
    change_lsn: Int64Builder,
    columns: Vec<Column>,
    rows: usize,
}

impl Log {
    fn new(columns: &[ColumnType]) -> Self {
        Self {
            op: StringBuilder::new(),
            lsn: Int64Builder::new(),
            seq: Int64Builder::new(),
            committed_at: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            old_key: StringBuilder::new(),
            unchanged: StringBuilder::new(),
            xid: Int64Builder::new(),
            change_lsn: Int64Builder::new(),
            columns: columns.iter().map(Column::new).collect(),
            rows: 0,
        }
    }

    fn push(
        &mut self,
        op: &str,
        at: At,
        row: Option<&Row>,
        old_key: Option<String>,
        names: &[ColumnType],
    ) -> Result<()> {
        let mut kept = Vec::new();
        for (index, column) in self.columns.iter_mut().enumerate() {
            match row.map_or(Value::Null, |row| row.get(index)) {
                Value::Text(bytes) => push(column, bytes)?,
                Value::Unchanged => {
                    kept.extend(names.get(index).map(|column| column.name.as_str()));
                    column.push_null();
                }
                Value::Null => column.push_null(),
            }
        }
        self.op.append_value(op);
        self.lsn.append_value(i64::try_from(at.commit_lsn).unwrap_or(i64::MAX));
        self.seq.append_value(at.ordinal);
        self.committed_at.append_value(at.committed_at.saturating_add(MICROS_TO_2000));
        self.old_key.append_option(old_key);
        self.unchanged.append_option((!kept.is_empty()).then(|| kept.join(", ")));
        self.xid.append_value(at.xid.into());
        self.change_lsn.append_value(i64::try_from(at.lsn).unwrap_or(i64::MAX));
        self.rows += 1;
        Ok(())
    }

    fn take(&mut self, columns: &[ColumnType]) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let mut fields = vec![
            Field::new("_op", DataType::Utf8, true),
            Field::new("_lsn", DataType::Int64, true),
            Field::new("_seq", DataType::Int64, true),
            Field::new("_committed_at", time, true),
            Field::new("_old_key", DataType::Utf8, true),
            Field::new("_unchanged", DataType::Utf8, true),
            Field::new("_xid", DataType::Int64, true),
            Field::new("_change_lsn", DataType::Int64, true),
        ];
        fields.extend(columns.iter().map(ColumnType::field));
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(self.op.finish()),
            Arc::new(self.lsn.finish()),
            Arc::new(self.seq.finish()),
            Arc::new(self.committed_at.finish()),
            Arc::new(self.old_key.finish()),
            Arc::new(self.unchanged.finish()),
            Arc::new(self.xid.finish()),
            Arc::new(self.change_lsn.finish()),
        ];
        arrays.extend(self.columns.iter_mut().map(Column::finish));
        self.rows = 0;
        batch(fields, arrays, None).map(Some)
    }
}

fn batch(fields: Vec<Field>, arrays: Vec<ArrayRef>, rows: Option<usize>) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(rows.or_else(|| arrays.first().map(|array| array.len())));
    let made = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options);
    made.map_err(|_| PgError::Protocol("columns of different lengths"))
}

fn push(column: &mut Column, bytes: &[u8]) -> Result<()> {
    match std::str::from_utf8(bytes) {
        Ok(text) => column.push_text(text),
        Err(_) => Err(column.unfit(&String::from_utf8_lossy(bytes))),
    }
}

impl CapturedTable {
    pub(super) fn new(index: usize, position: u64, log_position: u64) -> Self {
        let shape = Shape { columns: Vec::new(), places: Vec::new(), key: Vec::new() };
        let log = Log::new(&shape.columns);
        Self { index, shape, position, log_position, log, images: Images::default(), bytes: 0, window: None }
    }

    /// From here on keys of changes are noted, until [`CapturedTable::close_window`].
    pub(super) fn open_window(&mut self) {
        self.window = Some(Window::default());
    }

    pub(super) fn close_window(&mut self) -> Option<Window> {
        self.window.take()
    }

    fn seen(&mut self, key: &Key) {
        if let Some(window) = &mut self.window {
            window.keys.insert(key.clone());
        }
    }

    pub(super) fn column_names(&self) -> Vec<&str> {
        self.shape.columns.iter().map(|column| column.name.as_str()).collect()
    }

    /// Rows of the next piece with values that were not sent: [`Images::unsent`].
    pub(super) fn unsent(&self) -> Vec<(Key, Vec<usize>)> {
        self.images.unsent()
    }

    pub(super) fn supply(&mut self, key: &Key, value: impl Fn(usize) -> Option<Box<[u8]>>) {
        self.images.supply(key, value);
    }

    /// Whether the stream's columns are these.
    pub(super) fn has_shape(&self, shape: &Shape) -> bool {
        self.shape.columns == shape.columns && self.shape.places == shape.places && self.shape.key == shape.key
    }

    /// From here on the stream has other columns; what came before must have been taken.
    pub(super) fn reshape(&mut self, shape: Shape) {
        self.log = Log::new(&shape.columns);
        self.shape = shape;
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.log.rows == 0 && self.images.is_empty()
    }

    pub(super) fn insert(&mut self, at: At, new: &Tuple<'_>) -> Result<()> {
        let row = self.row(new)?;
        self.note("i", at, Some(&row), None)?;
        let key = Key::of(&row, &self.shape.key);
        self.seen(&key);
        self.bytes += HELD + row.size();
        self.images.insert(key, row);
        Ok(())
    }

    pub(super) fn update(&mut self, at: At, old: Option<&Old<'_>>, new: &Tuple<'_>) -> Result<()> {
        let row = self.row(new)?;
        let key = Key::of(&row, &self.shape.key);
        let (before, full) = match old {
            Some(Old::Key(tuple)) => (Some(self.row(tuple)?), false),
            Some(Old::Full(tuple)) => (Some(self.row(tuple)?), true),
            None => (None, false),
        };
        let old_key = before.as_ref().map_or_else(|| key.clone(), |row| Key::of(row, &self.shape.key));
        let told = (old_key != key).then(|| shown(&old_key));
        match before.as_ref().filter(|_| full && row.lacks_values()) {
            Some(before) => self.note("u", at, Some(&filled(&row, before)), told)?,
            None => self.note("u", at, Some(&row), told)?,
        }
        self.seen(&old_key);
        self.seen(&key);
        self.bytes += HELD + row.size();
        self.images.update(old_key, before.as_ref().filter(|_| full), key, row);
        Ok(())
    }

    pub(super) fn delete(&mut self, at: At, old: &Old<'_>) -> Result<()> {
        let (Old::Key(tuple) | Old::Full(tuple)) = old;
        let row = self.row(tuple)?;
        self.note("d", at, Some(&row), None)?;
        let key = Key::of(&row, &self.shape.key);
        self.seen(&key);
        self.bytes += HELD;
        self.images.delete(key, matches!(old, Old::Full(_)).then_some(&row));
        Ok(())
    }

    pub(super) fn truncate(&mut self, at: At) -> Result<()> {
        self.note("t", at, None, None)?;
        if let Some(window) = &mut self.window {
            window.truncated = true;
        }
        self.images.truncate();
        Ok(())
    }

    /// Adds a row to the log, unless the log has it already.
    fn note(&mut self, op: &str, at: At, row: Option<&Row>, old_key: Option<String>) -> Result<()> {
        if at.commit_lsn <= self.log_position {
            return Ok(());
        }
        self.bytes += HELD + row.map_or(0, Row::size);
        self.log.push(op, at, row, old_key, &self.shape.columns)
    }

    /// The columns that are kept, in their order.
    fn row(&self, tuple: &Tuple<'_>) -> Result<Row> {
        if tuple.len() != self.shape.places.len() {
            return Err(PgError::Protocol("a row with another number of columns than its table"));
        }
        let kept = tuple.iter().zip(&self.shape.places).filter(|(_, place)| place.is_some());
        Ok(Row::new(kept.map(|(cell, _)| Value::from(*cell))))
    }

    /// What happened since the last piece.
    pub(super) fn take(&mut self) -> Result<TableChanges> {
        let log = self.log.take(&self.shape.columns)?;
        let images = std::mem::take(&mut self.images);
        let mut current = Vec::new();
        if images.truncated {
            current.push(CurrentChange::Truncate);
        }
        if images.rows().next().is_some() || !images.removed().is_empty() {
            current.push(CurrentChange::Merge(self.keyed(&images)?));
        }
        self.bytes = 0;
        Ok(TableChanges { table: self.index, log, current, positions: Positions::default() })
    }

    fn keyed(&self, images: &Images) -> Result<KeyedChanges> {
        let key_columns: Vec<&ColumnType> =
            self.shape.key.iter().filter_map(|index| self.shape.columns.get(*index)).collect();
        let mut columns: Vec<Column> = self.shape.columns.iter().map(Column::new).collect();
        let mut unchanged = Vec::new();
        let mut rows = 0;
        for image in images.rows() {
            let kept = fill(&mut columns, image)?;
            if !kept.is_empty() {
                let before = image.before.as_ref().and_then(|key| images.removed_at(key));
                unchanged.push(Unchanged { row: rows, columns: kept, before, required: true });
            }
            rows += 1;
        }
        let mut keys: Vec<Column> = key_columns.iter().map(|column| Column::new(column)).collect();
        for key in images.removed() {
            for (column, value) in keys.iter_mut().zip(key.values()) {
                match value {
                    Some(bytes) => push(column, bytes)?,
                    None => column.push_null(),
                }
            }
        }
        let fields = |columns: &[&ColumnType]| columns.iter().map(|column| column.field()).collect();
        let all: Vec<&ColumnType> = self.shape.columns.iter().collect();
        let finish = |columns: &mut Vec<Column>| columns.iter_mut().map(Column::finish).collect();
        Ok(KeyedChanges {
            key: key_columns.iter().map(|column| column.name.clone()).collect(),
            rows: batch(fields(&all), finish(&mut columns), Some(rows))?,
            removed: batch(fields(&key_columns), finish(&mut keys), Some(images.removed().len()))?,
            unchanged,
        })
    }
}

/// Adds a row; returns the columns whose value stays what it was.
fn fill(columns: &mut [Column], image: &Image) -> Result<Vec<usize>> {
    let mut kept = Vec::new();
    for (index, (column, value)) in columns.iter_mut().zip(image.row.iter()).enumerate() {
        match value {
            Value::Text(bytes) => push(column, bytes)?,
            Value::Null => column.push_null(),
            Value::Unchanged => {
                kept.push(index);
                column.push_null();
            }
        }
    }
    Ok(kept)
}

/// The row with the values it had before in the place of those that were not sent again.
fn filled(row: &Row, before: &Row) -> Row {
    Row::new(row.iter().enumerate().map(|(index, value)| match value {
        Value::Unchanged => before.get(index),
        other => other,
    }))
}

fn shown(key: &Key) -> String {
    let values = key.values().into_iter().map(|value| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
    serde_json::json!(values.collect::<Vec<_>>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::column::Kind;
    use crate::postgres::pgoutput::Cell;

    const AT: At = At { commit_lsn: 7, committed_at: 0, xid: 3, lsn: 5, ordinal: 0 };

    fn table() -> CapturedTable {
        let column = |name: &str, kind| ColumnType { name: name.to_owned(), kind };
        let columns = vec![column("id", Kind::Int4), column("word", Kind::Text)];
        let mut table = CapturedTable::new(0, 0, 0);
        // The stream has a column between the two that is left out.
        table.reshape(Shape { columns, places: vec![Some(0), None, Some(1)], key: vec![0] });
        table
    }

    fn tuple(id: &'static str) -> Tuple<'static> {
        vec![Cell::Text(id.as_bytes()), Cell::Text(b"left out"), Cell::Text(b"word")]
    }

    fn key(id: &str) -> Key {
        Key::from_parts([Some(id.as_bytes())].into_iter())
    }

    #[test]
    fn a_window_knows_every_key_a_change_was_of() {
        let mut table = table();
        table.insert(AT, &tuple("1")).unwrap();
        table.open_window();
        table.insert(AT, &tuple("2")).unwrap();
        table.update(AT, Some(&Old::Key(tuple("3"))), &tuple("4")).unwrap();
        table.delete(AT, &Old::Key(tuple("5"))).unwrap();
        let window = table.close_window().unwrap();
        for (id, passes) in [("1", true), ("2", false), ("3", false), ("4", false), ("5", false), ("6", true)] {
            assert_eq!(window.lets_pass(&key(id)), passes, "row {id}");
        }
        assert!(table.close_window().is_none());
    }

    #[test]
    fn nothing_passes_a_window_with_a_truncation() {
        let mut table = table();
        table.open_window();
        table.truncate(AT).unwrap();
        assert!(!table.close_window().unwrap().lets_pass(&key("1")));
    }

    #[test]
    fn the_log_has_long_values_that_only_the_row_before_brought() {
        let mut table = table();
        let row = |word| vec![Cell::Text(b"1"), Cell::Null, word];
        table.update(AT, Some(&Old::Full(row(Cell::Text(b"long")))), &row(Cell::Unchanged)).unwrap();
        table.update(AT, None, &row(Cell::Unchanged)).unwrap();
        let log = table.take().unwrap().log.unwrap();
        let cell = |name: &str, row| {
            arrow::util::display::array_value_to_string(log.column_by_name(name).unwrap(), row).unwrap()
        };
        assert_eq!([cell("word", 0), cell("_unchanged", 0)], ["long", ""]);
        assert_eq!([cell("word", 1), cell("_unchanged", 1)], ["", "word"]);
        assert_eq!([cell("_xid", 0), cell("_change_lsn", 0), cell("_lsn", 0)], ["3", "5", "7"]);
    }

    #[test]
    fn columns_that_are_left_out_do_not_shift_the_others() {
        let mut table = table();
        table.insert(AT, &tuple("1")).unwrap();
        let changes = table.take().unwrap();
        let [CurrentChange::Merge(merge)] = changes.current.as_slice() else { panic!("no merge: {changes:?}") };
        let names: Vec<String> = merge.rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["id", "word"]);
        let word = arrow::util::display::array_value_to_string(merge.rows.column(1), 0).unwrap();
        assert_eq!(word, "word");
    }
}
