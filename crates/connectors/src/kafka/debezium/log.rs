//! Rows of the log of changes.
//!
//! Before the columns of the table each has `_op` (`c`, `r`, `u`, `d` or `t`, as in the envelope), `_source_position` (the place in
//! the log of the database), `_source_time`, `_old_key` (a JSON list, when a change says that the key was another) and
//! `_unchanged` (names of long values that were not sent, whose cells are NULL). A deleted row has what the envelope has of
//! it. Topic, partition, offset, time and key of the message come last.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
    UInt32Array, new_null_array,
};
use arrow::compute::{cast, interleave, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use headwater_ingest::error::Result;
use headwater_ingest::schema::{OFFSET_COLUMN, TOMBSTONE_COLUMN, is_reserved};
use headwater_ingest::source::LogRows;

use super::unsent::Unsent;
use super::{Wrapped, batch, images, index};

/// Where a change was in the log of its database: the first of these that its connector gives, the parts of one joined.
const POSITIONS: [&[&str]; 6] = [&["lsn"], &["file", "pos"], &["change_lsn"], &["scn"], &["ord"], &["gtid"]];

/// The changes among decoded envelopes, truncations too if they are done; nothing where there are none.
pub(super) fn rows(
    rows: &RecordBatch,
    key: &[String],
    placeholder: &str,
    position: String,
    truncates: bool,
) -> Result<Option<LogRows>> {
    let Some(wrapped) = Wrapped::of(rows) else { return Ok(None) };
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    for row in 0..rows.num_rows() {
        if let Ok(Some((_, removes))) = wrapped.image(row) {
            chosen.push((usize::from(removes), row));
        } else if truncates && wrapped.is_truncation(row) {
            // Neither image has anything.
            chosen.push((0, row));
        }
    }
    if chosen.is_empty() {
        return Ok(None);
    }
    let places = UInt32Array::from(chosen.iter().map(|(_, row)| index(*row)).collect::<Vec<_>>());
    let moved = images::moved(&wrapped, key)?;
    let old_keys: ArrayRef = Arc::new(StringArray::from(images::old_keys(&wrapped, key, &moved)?));
    let (places_of, times) = (source_positions(&wrapped)?, source_times(&wrapped)?);
    let time = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
    let field = |name: &str, of: DataType| -> FieldRef { Arc::new(Field::new(name, of, true)) };
    let operations: ArrayRef = Arc::new(wrapped.operation.clone());
    let mut columns: Vec<(FieldRef, ArrayRef)> = vec![
        (field("_op", DataType::Utf8), take(&operations, &places, None)?),
        (field("_source_position", DataType::Utf8), take(&places_of, &places, None)?),
        (field("_source_time", time), take(&times, &places, None)?),
        (field("_old_key", DataType::Utf8), take(&old_keys, &places, None)?),
    ];
    let unsent = Unsent::of(wrapped.after, placeholder);
    columns.push((field("_unchanged", DataType::Utf8), names(&wrapped, &chosen, &unsent)));
    columns.extend(images_of(&wrapped, &chosen, &unsent)?);
    let kept = |name: &str| is_reserved(name) && name != TOMBSTONE_COLUMN;
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()).filter(|(field, _)| kept(field.name())) {
        columns.push((Arc::clone(field), take(column, &places, None)?));
    }
    let offsets = rows.column_by_name(OFFSET_COLUMN).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let offset = |(_, row): &(usize, usize)| offsets.and_then(|offsets| offsets.values().get(*row)).copied();
    let offsets: Vec<i64> = chosen.iter().filter_map(offset).collect();
    Ok(Some(LogRows { rows: batch(columns)?, position, offsets }))
}

/// For each change the names of the columns whose values were not sent.
fn names(wrapped: &Wrapped<'_>, chosen: &[(usize, usize)], unsent: &Unsent) -> ArrayRef {
    let name = |column: &usize| Some(wrapped.after?.fields().get(*column)?.name().as_str());
    let of = |(removes, row): &(usize, usize)| {
        let names: Vec<&str> = unsent.columns(index(*row)).iter().filter_map(name).collect();
        (*removes == 0 && !names.is_empty()).then(|| names.join(", "))
    };
    Arc::new(chosen.iter().map(of).collect::<StringArray>())
}

/// The columns of the row that each change speaks of: of the rows after, or before where 1 is chosen. What was not sent is
/// NULL.
fn images_of(wrapped: &Wrapped<'_>, chosen: &[(usize, usize)], unsent: &Unsent) -> Result<Vec<(FieldRef, ArrayRef)>> {
    let rows = wrapped.operation.len();
    let mut fields: Vec<FieldRef> = Vec::new();
    for field in [wrapped.after, wrapped.before].into_iter().flatten().flat_map(|image| image.fields().iter()) {
        if !is_reserved(field.name()) && !fields.iter().any(|known| known.name() == field.name()) {
            fields.push(Arc::clone(field));
        }
    }
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let of = |image: Option<&StructArray>| {
            let column = image.and_then(|image| image.column_by_name(field.name())).map(Arc::clone);
            column.unwrap_or_else(|| new_null_array(field.data_type(), rows))
        };
        let (after, before) = (of(wrapped.after), cast(&of(wrapped.before), field.data_type())?);
        let nothing = new_null_array(field.data_type(), 1);
        let place = wrapped.after.and_then(|image| image.fields().find(field.name())).map(|(place, _)| place);
        let is_unsent = |row: usize| place.is_some_and(|place| unsent.has(index(row), place));
        let cells: Vec<(usize, usize)> = chosen
            .iter()
            .map(|(image, row)| if *image == 0 && is_unsent(*row) { (2, 0) } else { (*image, *row) })
            .collect();
        columns.push((Arc::clone(&field), interleave(&[&*after, &*before, &*nothing], &cells)?));
    }
    Ok(columns)
}

/// Where each change was in the log of its database, as text.
pub(super) fn source_positions(wrapped: &Wrapped<'_>) -> Result<ArrayRef> {
    let rows = wrapped.operation.len();
    let mut found: Vec<Option<String>> = vec![None; rows];
    let Some(source) = wrapped.source else { return Ok(Arc::new(StringArray::from(found))) };
    for names in POSITIONS {
        let columns: Option<Vec<&ArrayRef>> = names.iter().map(|name| source.column_by_name(name)).collect();
        let Some(columns) = columns else { continue };
        let texts = columns.into_iter().map(|column| cast(column, &DataType::Utf8)).collect::<Result<Vec<_>, _>>()?;
        for (row, slot) in found.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
            if source.is_valid(row) && texts.iter().all(|text| text.is_valid(row)) {
                let parts = texts.iter().map(|text| text.as_string::<i32>().value(row));
                *slot = Some(parts.collect::<Vec<_>>().join(":"));
            }
        }
    }
    Ok(Arc::new(StringArray::from(found)))
}

/// When the change was made in the database.
fn source_times(wrapped: &Wrapped<'_>) -> Result<ArrayRef> {
    let rows = wrapped.operation.len();
    let mut times: Vec<Option<i64>> = vec![None; rows];
    for (name, factor) in [("ts_us", 1), ("ts_ms", 1_000)] {
        let Some(column) = wrapped.source.and_then(|source| source.column_by_name(name)) else { continue };
        let counts = cast(column, &DataType::Int64)?;
        let counts: &Int64Array = counts.as_primitive();
        for (slot, count) in times.iter_mut().zip(counts.iter()).filter(|(slot, _)| slot.is_none()) {
            *slot = count.map(|count| count.saturating_mul(factor));
        }
    }
    Ok(Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")))
}
