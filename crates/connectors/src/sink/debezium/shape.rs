//! What envelopes say of a table besides its rows.

use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::Deserialize;

/// A table of a database, as its catalog has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTable {
    pub database: String,
    pub schema: String,
    pub table: String,
    /// In the order of the table.
    pub columns: Vec<SourceColumn>,
    /// Columns of the key, in the order that `_old_key` has them.
    pub key: Vec<String>,
}

/// A column of such a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceColumn {
    pub name: String,
    pub column_type: ColumnType,
}

/// What a column holds, as far as envelopes tell it apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    /// All digits, and those after the point; negative for zeros before it.
    Decimal {
        precision: i32,
        scale: i32,
    },
    /// Each value has as many digits after the point as it has.
    VariableDecimal,
    Date,
    /// A time of day: milliseconds where the type has no more digits, otherwise microseconds.
    Time {
        millis: bool,
    },
    ZonedTime,
    Timestamp {
        millis: bool,
    },
    /// Digits of the fraction of a second.
    ZonedTimestamp {
        digits: u8,
    },
    Text,
    Json,
    Xml,
    Uuid,
    Bytes,
    Array(Box<ColumnType>),
}

impl ColumnType {
    /// What a column of the lake holds, which is known at the source as `declared`, if it is known there at all. Nothing
    /// when it has no form in an envelope.
    pub(super) fn of(declared: Option<&Self>, kept: &DataType) -> Option<Self> {
        Some(match kept {
            DataType::Boolean => Self::Boolean,
            DataType::Int16 => Self::Int16,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Decimal128(precision, scale) => {
                Self::Decimal { precision: i32::from(*precision), scale: i32::from(*scale) }
            }
            DataType::Date32 => Self::Date,
            DataType::Timestamp(..) => match declared {
                Some(declared @ (Self::Timestamp { .. } | Self::ZonedTimestamp { .. })) => declared.clone(),
                _ => Self::Timestamp { millis: false },
            },
            DataType::Binary => Self::Bytes,
            DataType::Utf8 => match declared {
                Some(declared) if declared.is_kept_as_text() => declared.clone(),
                _ => Self::Text,
            },
            _ => return None,
        })
    }

    /// Whether the lake keeps it as the text the server writes.
    pub(super) fn is_kept_as_text(&self) -> bool {
        use ColumnType::{Array, Decimal, Json, Text, Time, Uuid, VariableDecimal, Xml, ZonedTime};
        matches!(self, Array(_) | Decimal { .. } | Json | Text | Time { .. } | Uuid | VariableDecimal | Xml | ZonedTime)
    }
}

/// How decimals are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecimalMode {
    /// The number without its point, as bytes in base64.
    #[default]
    Precise,
    /// Text.
    String,
    /// A number, which may lose digits.
    Double,
}

/// What becomes of truncations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Truncations {
    /// A message with `op` `t` and no key, in the first partition.
    #[default]
    Send,
    /// Passed over.
    Skip,
}

/// How changes are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeOptions {
    /// Logical name of the database: `source.name`, and the beginning of the names of schemas.
    pub name: String,
    /// Wrap keys and values with their schema.
    pub schemas: bool,
    /// Follow deletes with a message without a value.
    pub tombstones: bool,
    pub decimal: DecimalMode,
    pub truncations: Truncations,
}
