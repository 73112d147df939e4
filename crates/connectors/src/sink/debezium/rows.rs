//! Rows of a log of changes as they are read: what is told of each change, and the columns of the table.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use headwater_ingest::error::Result;

/// Columns of a log of changes that are none of its table.
pub(super) const MARKS: &[&str] =
    &["_op", "_lsn", "_seq", "_committed_at", "_old_key", "_unchanged", "_xid", "_change_lsn", "_ingested_at"];

/// Rows with columns of the types that values are read from.
pub(super) struct Rows {
    pub(super) count: usize,
    pub(super) arrays: Vec<ArrayRef>,
    marks: Vec<(&'static str, ArrayRef)>,
}

/// The type that values of a type are read as.
pub(super) fn readable(kept: &DataType) -> DataType {
    match kept {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => readable(values),
        other => other.clone(),
    }
}

impl Rows {
    pub(super) fn of(rows: &RecordBatch) -> Result<Self> {
        let mut arrays = Vec::with_capacity(rows.num_columns());
        for array in rows.columns() {
            arrays.push(cast(array, &readable(array.data_type()))?);
        }
        let mark = |name: &'static str| {
            let (place, _) = rows.schema_ref().column_with_name(name)?;
            Some((name, arrays.get(place).cloned()?))
        };
        let marks = MARKS.iter().filter_map(|name| mark(name)).collect();
        Ok(Self { count: rows.num_rows(), arrays, marks })
    }

    fn mark(&self, name: &str, row: usize) -> Option<&ArrayRef> {
        let (_, array) = self.marks.iter().find(|(mark, _)| *mark == name)?;
        array.is_valid(row).then_some(array)
    }

    pub(super) fn text(&self, name: &str, row: usize) -> Option<&str> {
        self.mark(name, row)?.as_string_opt::<i32>().map(|array| array.value(row))
    }

    pub(super) fn number(&self, name: &str, row: usize) -> Option<i64> {
        self.mark(name, row)?.as_primitive_opt::<Int64Type>().map(|array| array.value(row))
    }

    /// Microseconds since 1970.
    pub(super) fn time(&self, name: &str, row: usize) -> Option<i64> {
        self.mark(name, row)?.as_primitive_opt::<TimestampMicrosecondType>().map(|array| array.value(row))
    }
}
