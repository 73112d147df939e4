//! One captured table: its columns as the stream names them, and what happened to it since the last piece.
//!
//! The log of changes has, before the table's own columns: `_op` (`i`, `u`, `d`, `t` for truncate), `_lsn` (place of the commit
//! record) and `_seq` (which change of its transaction), `_committed_at`, `_old_key` (a JSON list, when the key changed) and
//! `_unchanged` (names of long values that were not sent, whose cells are NULL). A deleted row has what the server sent
//! of it: its key, or all of it under REPLICA IDENTITY FULL.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use headwater_ingest::capture::{CurrentChange, TableChanges};
use headwater_ingest::position::Positions;
use headwater_ingest::sink::{KeyedChanges, Unchanged};

use crate::postgres::capture::image::{Image, Images, Key, Value};
use crate::postgres::column::{Column, ColumnType};
use crate::postgres::error::{PgError, Result};
use crate::postgres::pgoutput::{Old, Tuple};

const MICROS_TO_2000: i64 = 946_684_800_000_000;

/// Which transaction, and which change of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) commit_lsn: u64,
    pub(super) committed_at: i64,
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
}

struct Log {
    op: StringBuilder,
    lsn: Int64Builder,
    seq: Int64Builder,
    committed_at: TimestampMicrosecondBuilder,
    old_key: StringBuilder,
    unchanged: StringBuilder,
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
            columns: columns.iter().map(Column::new).collect(),
            rows: 0,
        }
    }

    fn push(
        &mut self,
        op: &str,
        at: At,
        values: Option<&[Value]>,
        old_key: Option<String>,
        names: &[ColumnType],
    ) -> Result<()> {
        let mut kept = Vec::new();
        for (index, column) in self.columns.iter_mut().enumerate() {
            match values.and_then(|values| values.get(index)) {
                Some(Value::Text(bytes)) => push(column, bytes)?,
                Some(Value::Unchanged) => {
                    kept.extend(names.get(index).map(|column| column.name.as_str()));
                    column.push_null();
                }
                Some(Value::Null) | None => column.push_null(),
            }
        }
        self.op.append_value(op);
        self.lsn.append_value(i64::try_from(at.commit_lsn).unwrap_or(i64::MAX));
        self.seq.append_value(at.ordinal);
        self.committed_at.append_value(at.committed_at.saturating_add(MICROS_TO_2000));
        self.old_key.append_option(old_key);
        self.unchanged.append_option((!kept.is_empty()).then(|| kept.join(", ")));
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
        ];
        fields.extend(columns.iter().map(ColumnType::field));
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(self.op.finish()),
            Arc::new(self.lsn.finish()),
            Arc::new(self.seq.finish()),
            Arc::new(self.committed_at.finish()),
            Arc::new(self.old_key.finish()),
            Arc::new(self.unchanged.finish()),
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
        Self { index, shape, position, log_position, log, images: Images::default(), bytes: 0 }
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
        let values = self.values(new)?;
        self.note("i", at, Some(&values), None)?;
        self.images.insert(Key::of(&values, &self.shape.key), values);
        Ok(())
    }

    pub(super) fn update(&mut self, at: At, old: Option<&Old<'_>>, new: &Tuple<'_>) -> Result<()> {
        let values = self.values(new)?;
        let key = Key::of(&values, &self.shape.key);
        let (before, full) = match old {
            Some(Old::Key(tuple)) => (Some(self.values(tuple)?), false),
            Some(Old::Full(tuple)) => (Some(self.values(tuple)?), true),
            None => (None, false),
        };
        let old_key = before.as_ref().map_or_else(|| key.clone(), |values| Key::of(values, &self.shape.key));
        let told = (old_key != key).then(|| shown(&old_key));
        self.note("u", at, Some(&values), told)?;
        self.images.update(old_key, before.as_deref().filter(|_| full), key, values);
        Ok(())
    }

    pub(super) fn delete(&mut self, at: At, old: &Old<'_>) -> Result<()> {
        let (Old::Key(tuple) | Old::Full(tuple)) = old;
        let values = self.values(tuple)?;
        self.note("d", at, Some(&values), None)?;
        self.images.delete(Key::of(&values, &self.shape.key));
        Ok(())
    }

    pub(super) fn truncate(&mut self, at: At) -> Result<()> {
        self.note("t", at, None, None)?;
        self.images.truncate();
        Ok(())
    }

    /// Adds a row to the log, unless the log has it already.
    fn note(&mut self, op: &str, at: At, values: Option<&[Value]>, old_key: Option<String>) -> Result<()> {
        if at.commit_lsn <= self.log_position {
            return Ok(());
        }
        self.log.push(op, at, values, old_key, &self.shape.columns)
    }

    /// The columns that are kept, in their order.
    fn values(&mut self, tuple: &Tuple<'_>) -> Result<Vec<Value>> {
        if tuple.len() != self.shape.places.len() {
            return Err(PgError::Protocol("a row with another number of columns than its table"));
        }
        let mut values = vec![Value::Null; self.shape.columns.len()];
        for (cell, place) in tuple.iter().zip(&self.shape.places) {
            if let Some(slot) = place.and_then(|place| values.get_mut(place)) {
                *slot = Value::from(*cell);
                self.bytes += if let Value::Text(bytes) = slot { bytes.len() + 32 } else { 16 };
            }
        }
        Ok(values)
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
                unchanged.push(Unchanged { row: rows, columns: kept, before });
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
    for (index, (column, value)) in columns.iter_mut().zip(&image.values).enumerate() {
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

fn shown(key: &Key) -> String {
    let values = key.values().into_iter().map(|value| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
    serde_json::json!(values.collect::<Vec<_>>()).to_string()
}
