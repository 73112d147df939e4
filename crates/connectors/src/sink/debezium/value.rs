//! Values as the JSON converter writes them for the connector's defaults.

use std::io::Write;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;

use super::array;
use super::number::{Digits, float, quoted, short_float};
use super::shape::{ColumnType, DecimalMode};
use crate::postgres_text;

/// What stands for a long value that did not change and was not sent.
const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// Appends a cell. Nothing when its value has no form.
pub(super) fn write_cell(
    column_type: &ColumnType,
    array: &ArrayRef,
    row: usize,
    decimal: DecimalMode,
    out: &mut Vec<u8>,
) -> Option<()> {
    if array.is_null(row) {
        out.extend_from_slice(b"null");
        return Some(());
    }
    match column_type {
        ColumnType::Boolean => write!(out, "{}", array.as_boolean_opt()?.value(row)).ok(),
        ColumnType::Int16 => write!(out, "{}", array.as_primitive_opt::<Int16Type>()?.value(row)).ok(),
        ColumnType::Int32 => write!(out, "{}", array.as_primitive_opt::<Int32Type>()?.value(row)).ok(),
        ColumnType::Int64 => write!(out, "{}", array.as_primitive_opt::<Int64Type>()?.value(row)).ok(),
        ColumnType::Float32 => short_float(array.as_primitive_opt::<Float32Type>()?.value(row), out),
        ColumnType::Float64 => float(array.as_primitive_opt::<Float64Type>()?.value(row), out),
        ColumnType::Date => write!(out, "{}", array.as_primitive_opt::<Date32Type>()?.value(row)).ok(),
        ColumnType::Timestamp { .. } | ColumnType::ZonedTimestamp { .. } => {
            moment(column_type, array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row), out)
        }
        ColumnType::Bytes => quoted(&STANDARD.encode(array.as_binary_opt::<i32>()?.value(row)), out),
        ColumnType::Decimal { scale, .. } => match array.as_primitive_opt::<Decimal128Type>() {
            Some(values) => Digits::of(values.value(row), *scale).write(decimal, out),
            None => write_text(column_type, array.as_string_opt::<i32>()?.value(row), decimal, out),
        },
        _ => write_text(column_type, array.as_string_opt::<i32>()?.value(row), decimal, out),
    }
}

/// Appends a value from the text the server writes.
pub(super) fn write_text(column_type: &ColumnType, text: &str, decimal: DecimalMode, out: &mut Vec<u8>) -> Option<()> {
    match column_type {
        ColumnType::Boolean => match text {
            "t" => out.write_all(b"true").ok(),
            "f" => out.write_all(b"false").ok(),
            _ => None,
        },
        ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => write!(out, "{}", text.parse::<i64>().ok()?).ok(),
        ColumnType::Float32 => short_float(text.parse().ok()?, out),
        ColumnType::Float64 => float(text.parse().ok()?, out),
        ColumnType::Decimal { scale, .. } => match Digits::parse(text) {
            Some(digits) => digits.scaled(*scale)?.write(decimal, out),
            None => no_number(text, decimal, out),
        },
        ColumnType::VariableDecimal => match Digits::parse(text) {
            Some(digits) => digits.write_variable(decimal, out),
            None => no_number(text, decimal, out),
        },
        ColumnType::Date => write!(out, "{}", postgres_text::date(text)?).ok(),
        ColumnType::Time { millis } => {
            let micros = postgres_text::time_of_day(text)?;
            write!(out, "{}", if *millis { micros / 1_000 } else { micros }).ok()
        }
        ColumnType::ZonedTime => quoted(&clock(postgres_text::time_of_day_in_utc(text)?), out),
        ColumnType::Timestamp { .. } | ColumnType::ZonedTimestamp { .. } => {
            moment(column_type, postgres_text::timestamp(text)?, out)
        }
        ColumnType::Bytes => quoted(&STANDARD.encode(postgres_text::bytes(text)?), out),
        ColumnType::Text | ColumnType::Json | ColumnType::Xml | ColumnType::Uuid => quoted(text, out),
        ColumnType::Array(element) => array::write(text, out, &mut |value, out| match value {
            Some(value) => write_text(element, value, decimal, out),
            None => out.write_all(b"null").ok(),
        }),
    }
}

/// Appends what stands for a value of this type that was not sent; `null` where the type has no room for it.
pub(super) fn write_unavailable(column_type: &ColumnType, decimal: DecimalMode, out: &mut Vec<u8>) -> Option<()> {
    match column_type {
        ColumnType::Text | ColumnType::Json | ColumnType::Xml | ColumnType::Uuid => quoted(UNAVAILABLE, out),
        ColumnType::Decimal { .. } | ColumnType::VariableDecimal if decimal == DecimalMode::String => {
            quoted(UNAVAILABLE, out)
        }
        ColumnType::Bytes => quoted(&STANDARD.encode(UNAVAILABLE), out),
        ColumnType::Array(element) => match **element {
            ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => {
                serde_json::to_writer(out, UNAVAILABLE.as_bytes()).ok()
            }
            ColumnType::Text | ColumnType::Json | ColumnType::Xml | ColumnType::Uuid => {
                serde_json::to_writer(out, &[UNAVAILABLE]).ok()
            }
            _ => out.write_all(b"null").ok(),
        },
        _ => out.write_all(b"null").ok(),
    }
}

/// `NaN` and the infinities, which bytes cannot say.
fn no_number(text: &str, decimal: DecimalMode, out: &mut Vec<u8>) -> Option<()> {
    (decimal != DecimalMode::Precise && matches!(text, "NaN" | "Infinity" | "-Infinity")).then(|| quoted(text, out))?
}

/// Appends microseconds since 1970 in the form of a type of moments.
fn moment(column_type: &ColumnType, micros: i64, out: &mut Vec<u8>) -> Option<()> {
    match column_type {
        ColumnType::Timestamp { millis: true } => write!(out, "{}", micros.div_euclid(1_000)).ok(),
        ColumnType::ZonedTimestamp { digits } => {
            let time = DateTime::from_timestamp_micros(micros)?;
            // Years beyond four digits have a sign, as ISO 8601 wants it.
            let seconds = time.format("%Y-%m-%dT%H:%M:%S");
            let fraction = format!("{:06}", micros.rem_euclid(1_000_000));
            let shown = usize::from(*digits).max(if *digits == 0 { significant(&fraction) } else { 0 });
            let fraction = fraction.get(..shown).filter(|shown| !shown.is_empty());
            let point = if fraction.is_some() { "." } else { "" };
            write!(out, "\"{seconds}{point}{}Z\"", fraction.unwrap_or_default()).ok()
        }
        _ => write!(out, "{micros}").ok(),
    }
}

/// Digits before the zeros at the end.
fn significant(fraction: &str) -> usize {
    fraction.trim_end_matches('0').len()
}

/// A time of day in microseconds: `05:35:06.7Z`.
fn clock(micros: i64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, format!("{:06}", micros % 1_000_000));
    let fraction = fraction.get(..significant(&fraction)).filter(|shown| !shown.is_empty());
    let point = if fraction.is_some() { "." } else { "" };
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{point}{}Z", fraction.unwrap_or_default())
}
