//! Scalar types: what they are on the wire, and in columns.

use arrow::datatypes::DataType;
use prost_reflect::{Kind, Value};

use super::wire::{Raw, Wire};
use crate::codec::column::{Column, Refusal};
use crate::codec::unread::zigzag;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    Text,
    Bytes,
}

/// A value that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Bool(bool),
    Integer(i64),
    /// Of 64 bits: a decimal, for no column has integers so large.
    Unsigned(u64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl Scalar {
    /// Nothing for messages and enums.
    pub(super) fn of(kind: &Kind) -> Option<Self> {
        Some(match kind {
            Kind::Double => Self::Double,
            Kind::Float => Self::Float,
            Kind::Int32 => Self::Int32,
            Kind::Int64 => Self::Int64,
            Kind::Uint32 => Self::Uint32,
            Kind::Uint64 => Self::Uint64,
            Kind::Sint32 => Self::Sint32,
            Kind::Sint64 => Self::Sint64,
            Kind::Fixed32 => Self::Fixed32,
            Kind::Fixed64 => Self::Fixed64,
            Kind::Sfixed32 => Self::Sfixed32,
            Kind::Sfixed64 => Self::Sfixed64,
            Kind::Bool => Self::Bool,
            Kind::String => Self::Text,
            Kind::Bytes => Self::Bytes,
            Kind::Message(_) | Kind::Enum(_) => return None,
        })
    }

    /// What a message of `google.protobuf` wraps, by the message's name.
    pub(super) fn wrapped(name: &str) -> Option<Self> {
        Some(match name {
            "DoubleValue" => Self::Double,
            "FloatValue" => Self::Float,
            "Int64Value" => Self::Int64,
            "UInt64Value" => Self::Uint64,
            "Int32Value" => Self::Int32,
            "UInt32Value" => Self::Uint32,
            "BoolValue" => Self::Bool,
            "StringValue" => Self::Text,
            "BytesValue" => Self::Bytes,
            _ => return None,
        })
    }

    pub(super) fn column(self) -> DataType {
        match self {
            Self::Double | Self::Float => DataType::Float64,
            Self::Int32 | Self::Sint32 | Self::Sfixed32 => DataType::Int32,
            Self::Int64 | Self::Sint64 | Self::Sfixed64 | Self::Uint32 | Self::Fixed32 => DataType::Int64,
            Self::Uint64 | Self::Fixed64 => DataType::Decimal128(20, 0),
            Self::Bool => DataType::Boolean,
            Self::Text => DataType::Utf8,
            Self::Bytes => DataType::Binary,
        }
    }

    /// The value of a field that is not there, where that means zero.
    pub(super) fn zero(self) -> Cell<'static> {
        match self {
            Self::Double | Self::Float => Cell::Float(0.0),
            Self::Uint64 | Self::Fixed64 => Cell::Unsigned(0),
            Self::Bool => Cell::Bool(false),
            Self::Text => Cell::Text(""),
            Self::Bytes => Cell::Bytes(&[]),
            _ => Cell::Integer(0),
        }
    }

    /// Whether many of it may come as bytes, one after the other.
    pub(super) fn is_packed(self) -> bool {
        !matches!(self, Self::Text | Self::Bytes)
    }

    /// The next of many.
    pub(super) fn next<'a>(self, wire: &mut Wire<'a>) -> Result<Raw<'a>, Refusal> {
        Ok(match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => Raw::Fixed64(wire.fixed64()?),
            Self::Float | Self::Fixed32 | Self::Sfixed32 => Raw::Fixed32(wire.fixed32()?),
            _ => Raw::Varint(wire.varint()?),
        })
    }

    /// A value off the wire; nothing where it came as something that is not of this type. Integers of 32 bits that came with
    /// more are cut, as every reader of Protobuf does: negative ones are written with 64.
    #[expect(clippy::cast_possible_truncation, reason = "integers of 32 bits are the lower half of the varint")]
    pub(super) fn read(self, raw: Raw<'_>) -> Result<Option<Cell<'_>>, Refusal> {
        Ok(Some(match (self, raw) {
            (Self::Double, Raw::Fixed64(bits)) => Cell::Float(f64::from_bits(bits)),
            (Self::Float, Raw::Fixed32(bits)) => Cell::Float(f64::from(f32::from_bits(bits))),
            (Self::Int32, Raw::Varint(value)) => Cell::Integer(i64::from((value as u32).cast_signed())),
            (Self::Int64, Raw::Varint(value)) => Cell::Integer(value.cast_signed()),
            (Self::Uint32, Raw::Varint(value)) => Cell::Integer(i64::from(value as u32)),
            (Self::Uint64, Raw::Varint(value)) | (Self::Fixed64, Raw::Fixed64(value)) => Cell::Unsigned(value),
            (Self::Sint32, Raw::Varint(value)) => Cell::Integer(zigzag(u64::from(value as u32))),
            (Self::Sint64, Raw::Varint(value)) => Cell::Integer(zigzag(value)),
            (Self::Fixed32, Raw::Fixed32(value)) => Cell::Integer(i64::from(value)),
            (Self::Sfixed32, Raw::Fixed32(value)) => Cell::Integer(i64::from(value.cast_signed())),
            (Self::Sfixed64, Raw::Fixed64(value)) => Cell::Integer(value.cast_signed()),
            (Self::Bool, Raw::Varint(value)) => Cell::Bool(value != 0),
            (Self::Text, Raw::Bytes(bytes)) => {
                Cell::Text(std::str::from_utf8(bytes).map_err(|_| "text is not UTF-8".to_owned())?)
            }
            (Self::Bytes, Raw::Bytes(bytes)) => Cell::Bytes(bytes),
            _ => return Ok(None),
        }))
    }
}

impl Cell<'_> {
    pub(super) fn push(self, column: &mut Column) -> Result<(), Refusal> {
        match self {
            Self::Bool(value) => column.push_bool(value),
            Self::Integer(value) => column.push_integer(value),
            Self::Unsigned(value) => column.push_decimal(i128::from(value), 0),
            Self::Float(value) => column.push_float(value),
            Self::Text(value) => column.push_text(value),
            Self::Bytes(value) => column.push_bytes(value),
        }
    }
}

/// A default of the schema; nothing for one that is no scalar.
pub(super) fn cell(value: &Value) -> Option<Cell<'_>> {
    Some(match value {
        Value::Bool(value) => Cell::Bool(*value),
        Value::I32(value) => Cell::Integer(i64::from(*value)),
        Value::I64(value) => Cell::Integer(*value),
        Value::U32(value) => Cell::Integer(i64::from(*value)),
        Value::U64(value) => Cell::Unsigned(*value),
        Value::F32(value) => Cell::Float(f64::from(*value)),
        Value::F64(value) => Cell::Float(*value),
        Value::String(value) => Cell::Text(value),
        Value::Bytes(value) => Cell::Bytes(value),
        Value::EnumNumber(_) | Value::Message(_) | Value::List(_) | Value::Map(_) => return None,
    })
}
