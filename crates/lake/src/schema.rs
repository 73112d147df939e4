//! Which Arrow types a table holds, and how others are brought to them.
//!
//! Delta has signed integers, floats, decimals to 38 digits, text, bytes, booleans, dates, and microsecond timestamps that
//! denote instants. A timestamp without a zone is taken as UTC. Nanoseconds are cut to microseconds. Everything else either
//! converts without loss or is refused by name.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use deltalake_core::kernel::StructType;
use deltalake_core::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};

use crate::error::{LakeError, Result};
use crate::name::TableName;

pub(crate) fn utc_micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The schema a table gets for data of this schema. All columns are nullable: constraints are tests, not types.
pub fn storable_schema(schema: &Schema) -> Result<SchemaRef> {
    let fields: Result<Vec<Field>> = schema.fields().iter().map(|field| storable_field(field, field.name())).collect();
    Ok(Arc::new(Schema::new(fields?)))
}

fn storable_field(field: &Field, path: &str) -> Result<Field> {
    Ok(Field::new(field.name(), storable_type(field.data_type(), path)?, true))
}

fn storable_type(data_type: &DataType, path: &str) -> Result<DataType> {
    let list = |item: &FieldRef| Ok(DataType::List(Arc::new(storable_field(item, path)?)));
    Ok(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32 => data_type.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, _) => utc_micros(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => DataType::Decimal128(*precision, *scale),
        DataType::Decimal256(precision, scale) if *precision <= 38 => DataType::Decimal128(*precision, *scale),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => return list(item),
        DataType::Struct(fields) => {
            let fields: Result<Fields> =
                fields.iter().map(|field| storable_field(field, &format!("{path}.{}", field.name()))).collect();
            DataType::Struct(fields?)
        }
        DataType::Dictionary(_, values) => return storable_type(values, path),
        other => {
            return Err(LakeError::UnsupportedType { column: path.to_owned(), data_type: other.to_string() });
        }
    })
}

/// Converts a batch to the schema of a table, column by name; absent columns become NULL. A value that does not fit is an
/// error, never NULL.
pub fn to_storable(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns: Result<Vec<ArrayRef>> = schema.fields().iter().map(|field| storable_column(batch, field)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns?, &options)?)
}

fn storable_column(batch: &RecordBatch, field: &Field) -> Result<ArrayRef> {
    let Some(column) = batch.column_by_name(field.name()) else {
        return Ok(arrow::array::new_null_array(field.data_type(), batch.num_rows()));
    };
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, field.data_type(), &options).map_err(|source| LakeError::Cast {
        column: field.name().clone(),
        data_type: field.data_type().to_string(),
        source,
    })
}

pub(crate) fn to_delta(schema: &Schema) -> Result<StructType> {
    Ok(schema.try_into_kernel()?)
}

/// A schema as Delta writes it.
pub(crate) fn to_text(schema: &Schema) -> Result<String> {
    serde_json::to_string(&to_delta(schema)?).map_err(|error| LakeError::Internal(error.to_string()))
}

/// A schema from what [`to_text`] made of it.
pub(crate) fn from_text(text: &str) -> Result<SchemaRef> {
    let schema: StructType = serde_json::from_str(text).map_err(|error| LakeError::Internal(error.to_string()))?;
    let schema: Schema = (&schema).try_into_arrow()?;
    storable_schema(&schema)
}

/// The union of what a table has and what new data brings. New columns are added at the end; a column that changes its
/// type, or that differs from one of the table's only by case, is an error of the caller, told by name.
pub(crate) fn merged_schema(name: &TableName, table: &Schema, data: &Schema) -> Result<SchemaRef> {
    let mut fields: Vec<FieldRef> = table.fields().iter().cloned().collect();
    for field in data.fields() {
        let lower = field.name().to_lowercase();
        let Some(known) = fields.iter().find(|known| known.name().to_lowercase() == lower) else {
            fields.push(Arc::clone(field));
            continue;
        };
        let (table, column) = (name.to_string(), field.name().clone());
        if known.name() != field.name() {
            return Err(LakeError::CaseDiffers { table, column, known: known.name().clone() });
        }
        if known.data_type() != field.data_type() {
            let (data_type, known) = (field.data_type().to_string(), known.data_type().to_string());
            return Err(LakeError::TypeChanged { table, column, data_type, known });
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, UInt64Array};

    use super::*;

    fn check(given: DataType, stored: &DataType) {
        let schema = Schema::new(vec![Field::new("c", given, false)]);
        assert_eq!(storable_schema(&schema).unwrap().field(0).data_type(), stored);
    }

    #[test]
    fn every_type_is_stored_without_loss_or_refused() {
        check(DataType::UInt64, &DataType::Int64);
        check(DataType::Utf8View, &DataType::Utf8);
        check(DataType::Timestamp(TimeUnit::Nanosecond, None), &utc_micros());
        check(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), &DataType::Utf8);
        let interval = Schema::new(vec![Field::new("c", DataType::Duration(TimeUnit::Second), true)]);
        assert!(matches!(storable_schema(&interval), Err(LakeError::UnsupportedType { .. })));
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error_and_never_null() {
        let schema = Schema::new(vec![Field::new("c", DataType::UInt64, false)]);
        let batch =
            RecordBatch::try_new(Arc::new(schema.clone()), vec![Arc::new(UInt64Array::from(vec![u64::MAX]))]).unwrap();
        let stored = storable_schema(&schema).unwrap();
        assert!(matches!(to_storable(&batch, &stored), Err(LakeError::Cast { .. })));
    }

    #[test]
    fn an_absent_column_becomes_null() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let wide =
            Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
        assert_eq!(to_storable(&batch, &wide).unwrap().column(1).null_count(), 1);
    }
}
