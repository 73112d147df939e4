//! File statistics: from Parquet metadata to Delta's JSON when a file is written, and from JSON to the planner's form when a
//! table is read.
//!
//! Written for top-level columns of number, date, timestamp, boolean, decimal and text type. Text is cut to
//! [`TEXT_LIMIT`] characters, a cut maximum is left out. Timestamps are written to the microsecond.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use serde_json::{Map, Value, json};

use crate::file::DataFile;

const TEXT_LIMIT: usize = 64;
/// A text of usual length: a view of 16 bytes and as many behind it.
const TEXT_BYTES: usize = 32;

pub(crate) fn rows(stats: &str) -> Option<u64> {
    serde_json::from_str::<Value>(stats).ok()?.get("numRecords")?.as_u64()
}

/// Delta's statistics of a file just written, as JSON text.
pub(crate) fn from_metadata(metadata: &ParquetMetaData, schema: &Schema) -> String {
    let mut minimums = Map::new();
    let mut maximums = Map::new();
    let mut nulls = Map::new();
    let parquet_schema = metadata.file_metadata().schema_descr();
    for field in schema.fields() {
        if !is_tracked(field.data_type()) {
            continue;
        }
        let Ok(converter) = StatisticsConverter::try_new(field.name(), schema, parquet_schema) else { continue };
        if let Ok(counts) = converter.row_group_null_counts(metadata.row_groups()) {
            nulls.insert(field.name().clone(), json!(counts.iter().flatten().sum::<u64>()));
        }
        if let Some(value) = converter.row_group_mins(metadata.row_groups()).ok().and_then(|mins| bound(&mins, true)) {
            minimums.insert(field.name().clone(), value);
        }
        if let Some(value) =
            converter.row_group_maxes(metadata.row_groups()).ok().and_then(|maxes| bound(&maxes, false))
        {
            maximums.insert(field.name().clone(), value);
        }
    }
    json!({
        "numRecords": metadata.file_metadata().num_rows(),
        "minValues": minimums,
        "maxValues": maximums,
        "nullCount": nulls,
    })
    .to_string()
}

fn is_tracked(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Date32
            | DataType::Timestamp(TimeUnit::Microsecond, _)
            | DataType::Decimal128(_, _)
            | DataType::Utf8
    )
}

/// The least (or greatest) of the row groups' bounds; nothing when a row group has none.
fn bound(values: &dyn Array, least: bool) -> Option<Value> {
    if values.is_empty() || values.null_count() == values.len() {
        return None;
    }
    let mut best: Option<ScalarValue> = None;
    for index in 0..values.len() {
        if values.is_null(index) {
            // Either all rows of that group are NULL or its bound is unknown; the latter must not narrow the file's.
            continue;
        }
        let value = ScalarValue::try_from_array(values, index).ok()?;
        let better = best.as_ref().is_none_or(|best| {
            value.partial_cmp(best) == Some(if least { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater })
        });
        if better {
            best = Some(value);
        }
    }
    to_json(&best?, least)
}

fn to_json(value: &ScalarValue, least: bool) -> Option<Value> {
    Some(match value {
        ScalarValue::Boolean(Some(value)) => json!(value),
        ScalarValue::Int8(Some(value)) => json!(value),
        ScalarValue::Int16(Some(value)) => json!(value),
        ScalarValue::Int32(Some(value)) => json!(value),
        ScalarValue::Int64(Some(value)) => json!(value),
        ScalarValue::Float32(Some(value)) if value.is_finite() => json!(value),
        ScalarValue::Float64(Some(value)) if value.is_finite() => json!(value),
        ScalarValue::Utf8(Some(text)) => return text_bound(text, least),
        // Readers of the log know years of four digits only; a bound they cannot read would close the table to them.
        ScalarValue::Date32(_) | ScalarValue::TimestampMicrosecond(_, _) => {
            let text = formatted(value)?;
            return (!text.starts_with(['-', '+'])).then(|| json!(text));
        }
        // JSON numbers are doubles to most readers: beyond 15 digits a bound would no longer be one.
        ScalarValue::Decimal128(Some(_), _, _) => {
            let text = formatted(value)?;
            (text.len() <= 15).then(|| serde_json::from_str(&text).ok())??
        }
        _ => return None,
    })
}

fn text_bound(text: &str, least: bool) -> Option<Value> {
    if text.chars().count() <= TEXT_LIMIT {
        return Some(json!(text));
    }
    least.then(|| json!(text.chars().take(TEXT_LIMIT).collect::<String>()))
}

fn formatted(value: &ScalarValue) -> Option<String> {
    let array = value.to_array().ok()?;
    let options = FormatOptions::default().with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"));
    let formatter = ArrayFormatter::try_new(&array, &options).ok()?;
    Some(formatter.value(0).to_string())
}

/// What the planner knows of a file: `schema` is the whole table's, partition columns included.
///
/// The first form holds safe bounds, for leaving files out. In the second only what is exact is marked so: a cut text or a
/// rounded timestamp must never answer `max()`.
pub(crate) struct FileStatistics {
    pub(crate) pruning: Statistics,
    pub(crate) planning: Statistics,
}

pub(crate) fn of_file(file: &DataFile, schema: &SchemaRef) -> FileStatistics {
    let parsed: Value = file.stats.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    let num_rows = file.rows.map_or(Precision::Absent, |rows| Precision::Exact(rows as usize));
    let columns: Vec<ColumnStatistics> =
        schema.fields().iter().map(|field| column_statistics(file, &parsed, field.name(), field.data_type())).collect();
    let total_byte_size = num_rows.multiply(&Precision::Inexact(row_bytes(schema))).to_inexact();
    let planning = columns.iter().zip(schema.fields()).map(|(column, field)| planned(column, field.data_type()));
    FileStatistics {
        planning: Statistics { num_rows, total_byte_size, column_statistics: planning.collect() },
        pruning: Statistics { num_rows, total_byte_size, column_statistics: columns },
    }
}

/// Bounds of a column of moments, in microseconds; nothing where they are not known, or where a value may be NULL.
pub(crate) fn moments(file: &DataFile, column: &str) -> Option<(i64, i64)> {
    let parsed: Value = serde_json::from_str(file.stats.as_deref()?).ok()?;
    let statistics = column_statistics(file, &parsed, column, &crate::schema::utc_micros());
    let moment = |bound: &Precision<ScalarValue>| match bound.get_value()? {
        ScalarValue::TimestampMicrosecond(moment, _) => *moment,
        _ => None,
    };
    let has_nulls = statistics.null_count != Precision::Exact(0);
    let bounds = (moment(&statistics.min_value)?, moment(&statistics.max_value)?);
    (!has_nulls).then_some(bounds)
}

/// Bytes that a row takes in memory, about: the planner compares sides of a join by it, and what a file takes on disk,
/// compressed, would make wide rows look narrower than an aggregate's few numbers.
fn row_bytes(schema: &Schema) -> usize {
    schema.fields().iter().map(|field| field.data_type().primitive_width().unwrap_or(TEXT_BYTES)).sum()
}

fn column_statistics(file: &DataFile, stats: &Value, name: &str, data_type: &DataType) -> ColumnStatistics {
    let mut column = ColumnStatistics::new_unknown();
    // An unknown bound is a NULL of the column's type: bounds of all files become one array of that type.
    if let Ok(unknown) = ScalarValue::try_from(data_type) {
        column.min_value = Precision::Exact(unknown.clone());
        column.max_value = Precision::Exact(unknown);
    }
    if let Some(value) = file.partition.get(name) {
        if let Ok(value) = partition_scalar(value.as_deref(), data_type) {
            let null = value.is_null();
            column.null_count = Precision::Exact(if null { file.rows.unwrap_or(0) as usize } else { 0 });
            column.min_value = Precision::Exact(value.clone());
            column.max_value = Precision::Exact(value);
        }
        return column;
    }
    if let Some(count) = stats.get("nullCount").and_then(|counts| counts.get(name)).and_then(Value::as_u64) {
        column.null_count = Precision::Exact(count as usize);
    }
    let value_of = |key: &str| stats.get(key)?.get(name).and_then(|value| from_json(value, data_type));
    if let Some(least) = value_of("minValues") {
        column.min_value = Precision::Exact(least);
    }
    if let Some(greatest) = value_of("maxValues") {
        column.max_value = Precision::Exact(widened(greatest));
    }
    column
}

/// Other writers cut timestamps to the millisecond, so a maximum on a whole millisecond may hide up to 999 microseconds.
fn widened(greatest: ScalarValue) -> ScalarValue {
    match greatest {
        ScalarValue::TimestampMicrosecond(Some(micros), zone) if micros % 1_000 == 0 => {
            ScalarValue::TimestampMicrosecond(Some(micros + 999), zone)
        }
        other => other,
    }
}

fn planned(column: &ColumnStatistics, data_type: &DataType) -> ColumnStatistics {
    let exact = data_type.is_integer() || matches!(data_type, DataType::Date32 | DataType::Boolean);
    let known = |value: &Precision<ScalarValue>| match value.get_value() {
        None => Precision::Absent,
        Some(value) if value.is_null() => Precision::Absent,
        Some(value) if exact => Precision::Exact(value.clone()),
        Some(value) => Precision::Inexact(value.clone()),
    };
    ColumnStatistics { min_value: known(&column.min_value), max_value: known(&column.max_value), ..column.clone() }
}

fn from_json(value: &Value, data_type: &DataType) -> Option<ScalarValue> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        _ => return None,
    };
    ScalarValue::try_from_string(text, data_type).ok()
}

/// A partition column's value from its text form in the log.
pub(crate) fn partition_scalar(text: Option<&str>, data_type: &DataType) -> datafusion::error::Result<ScalarValue> {
    match text {
        None | Some("") => ScalarValue::try_from(data_type),
        Some(text) => ScalarValue::try_from_string(text.to_owned(), data_type),
    }
}

/// The text form of a partition value as the log holds it.
pub(crate) fn partition_text(array: &dyn Array, row: usize) -> crate::error::Result<Option<String>> {
    if array.is_null(row) {
        return Ok(None);
    }
    if let Some(texts) = array.as_string_opt::<i32>() {
        return Ok(Some(texts.value(row).to_owned()));
    }
    let options = FormatOptions::default().with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.6f"));
    Ok(Some(ArrayFormatter::try_new(array, &options)?.value(row).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_has_a_cut_minimum_and_no_maximum() {
        let long = "x".repeat(100);
        assert_eq!(text_bound(&long, true), Some(json!("x".repeat(TEXT_LIMIT))));
        assert_eq!(text_bound(&long, false), None);
        assert_eq!(text_bound("short", false), Some(json!("short")));
    }

    #[test]
    fn timestamps_round_trip_to_the_microsecond() {
        let value = ScalarValue::TimestampMicrosecond(Some(1_541_105_830_796_123), Some("UTC".into()));
        let json = to_json(&value, true).unwrap();
        assert_eq!(json, json!("2018-11-01T20:57:10.796123Z"));
        assert_eq!(from_json(&json, &crate::schema::utc_micros()), Some(value));
    }

    #[test]
    fn a_maximum_on_a_whole_millisecond_is_widened_for_pruning_only() {
        let value = ScalarValue::TimestampMicrosecond(Some(5_000), None);
        assert_eq!(widened(value), ScalarValue::TimestampMicrosecond(Some(5_999), None));
    }

    #[test]
    fn moments_are_bounded_only_where_none_may_be_null() {
        let check = |stats: &str, expected: Option<(i64, i64)>| {
            let stats = Some(stats.to_owned());
            let (path, partition) = (String::from("a"), std::collections::BTreeMap::new());
            let file = DataFile { path, size: 1, rows: Some(2), partition, stats, modified: 0 };
            assert_eq!(moments(&file, "at"), expected, "{file:?}");
        };
        let bounds =
            r#""minValues":{"at":"1970-01-01T00:00:01.000002Z"},"maxValues":{"at":"1970-01-01T00:00:02.000003Z"}"#;
        check(&format!(r#"{{{bounds},"nullCount":{{"at":0}}}}"#), Some((1_000_002, 2_000_003)));
        check(&format!(r#"{{{bounds},"nullCount":{{"at":1}}}}"#), None);
        check(&format!("{{{bounds}}}"), None);
        check(r#"{"nullCount":{"at":0}}"#, None);
    }

    #[test]
    fn decimals_round_trip() {
        let value = ScalarValue::Decimal128(Some(-7), 10, 3);
        let json = to_json(&value, true).unwrap();
        assert_eq!(json.to_string(), "-0.007");
        assert_eq!(from_json(&json, &DataType::Decimal128(10, 3)), Some(value));
    }
}
