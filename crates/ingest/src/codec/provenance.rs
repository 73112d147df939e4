//! The columns that say where a row came from.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, ListArray, StringArray, StringBuilder, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};

use crate::codec::column::Refusal;
use crate::error::Result;
use crate::record::RecordBuffer;
use crate::schema::{KeyColumn, MessageColumns, Provenance, header_fields};
use crate::sink::Origin;

/// A key that is to be text must be text.
pub(super) fn check_key(key: &[u8], provenance: Provenance) -> Result<(), Refusal> {
    match provenance {
        Provenance::Message(MessageColumns { key: KeyColumn::Text, .. }) => match std::str::from_utf8(key) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("key is not UTF-8 at byte {}", error.valid_up_to() + 1)),
        },
        _ => Ok(()),
    }
}

/// Columns for the records of these places, in the order of [`Provenance::fields`].
pub(super) fn columns(
    provenance: Provenance,
    records: &RecordBuffer,
    accepted: &[usize],
    origin: &Origin,
) -> Result<Vec<ArrayRef>> {
    if provenance == Provenance::None {
        return Ok(Vec::new());
    }
    let pick = |values: &[i64]| accepted.iter().filter_map(|index| values.get(*index).copied()).collect::<Vec<_>>();
    let offsets: ArrayRef = Arc::new(Int64Array::from(pick(records.offsets())));
    let (topic, partition) = match origin {
        Origin::Log { topic, partition } => (topic, *partition),
        Origin::File { path } => {
            return Ok(vec![Arc::new(StringArray::new_repeated(path.as_ref(), accepted.len())), offsets]);
        }
    };
    let micros: Vec<i64> = pick(records.timestamps()).into_iter().map(|ms| ms.saturating_mul(1_000)).collect();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![partition; accepted.len()])),
        offsets,
        Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC")),
    ];
    if let Provenance::Message(kept) = provenance {
        columns.extend(message_columns(kept, records, accepted, topic)?);
    }
    Ok(columns)
}

fn message_columns(
    kept: MessageColumns,
    records: &RecordBuffer,
    accepted: &[usize],
    topic: &str,
) -> Result<Vec<ArrayRef>> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    if kept.topic {
        columns.push(Arc::new(StringArray::new_repeated(topic, accepted.len())));
    }
    // A key of no bytes is as good as none: brokers do not tell them apart when they spread messages.
    let keys = accepted.iter().map(|index| Some(records.key(*index)).filter(|key| !key.is_empty()));
    match kept.key {
        KeyColumn::None => {}
        KeyColumn::Text => {
            let texts = keys.map(|key| key.and_then(|key| std::str::from_utf8(key).ok()));
            columns.push(Arc::new(texts.collect::<StringArray>()));
        }
        KeyColumn::Bytes => columns.push(Arc::new(keys.collect::<BinaryArray>())),
    }
    if kept.headers {
        columns.push(headers(records, accepted)?);
    }
    columns.push(Arc::new(BooleanArray::from_iter(accepted.iter().map(|index| Some(records.is_absent(*index))))));
    Ok(columns)
}

/// Values that are not UTF-8 are shown as far as they are text.
fn headers(records: &RecordBuffer, accepted: &[usize]) -> Result<ArrayRef> {
    let (mut names, mut values) = (StringBuilder::new(), StringBuilder::new());
    let mut lengths = Vec::with_capacity(accepted.len());
    for index in accepted {
        let mut length = 0;
        for (name, value) in records.headers(*index) {
            names.append_value(name);
            values.append_option(value.map(String::from_utf8_lossy));
            length += 1;
        }
        lengths.push(length);
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(names.finish()), Arc::new(values.finish())];
    let each = StructArray::try_new(header_fields(), columns, None)?;
    let field = Arc::new(Field::new("element", DataType::Struct(header_fields()), true));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), Arc::new(each), None)?))
}
