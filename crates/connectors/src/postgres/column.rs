//! How each PostgreSQL type is kept, and filling columns from the server's binary and text forms.
//!
//! Numbers, dates, times and text have types of their own in a table. Everything else (arrays, ranges, composites,
//! intervals, times of day, network addresses, bits, money, geometry, types of extensions, `numeric` without a precision)
//! is kept as the text the server writes, which it reads back to the same value. A value that the column's type cannot
//! hold (`infinity` in a timestamp, `NaN` in a decimal) is an error that names it, never NULL: such a column is read as text.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::postgres::error::{PgError, Result};
use crate::postgres::numeric;
use crate::postgres_text;

const DAYS_TO_2000: i32 = 10_957;
const MICROS_TO_2000: i64 = 946_684_800_000_000;

/// What a type is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Date,
    Timestamp,
    TimestampTz,
    /// Its binary form is its text.
    Text,
    Jsonb,
    Bytea,
    Uuid,
    /// Kept as the text the server makes of it.
    Cast,
}

impl Kind {
    /// `oid`, `modifier` and `category` (`pg_type.typtype`) are those of the type below any domain.
    pub(crate) fn of(oid: u32, modifier: i32, category: &str) -> Self {
        match oid {
            16 => Self::Bool,
            21 => Self::Int2,
            23 => Self::Int4,
            20 => Self::Int8,
            26 => Self::Oid,
            700 => Self::Float4,
            701 => Self::Float8,
            1700 => decimal(modifier),
            1082 => Self::Date,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            25 | 1043 | 1042 | 19 | 114 | 142 => Self::Text,
            3802 => Self::Jsonb,
            17 => Self::Bytea,
            2950 => Self::Uuid,
            _ if category == "e" => Self::Text,
            _ => Self::Cast,
        }
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 | Self::Oid => DataType::Int64,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Date => DataType::Date32,
            Self::Timestamp | Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Bytea => DataType::Binary,
            Self::Text | Self::Jsonb | Self::Uuid | Self::Cast => DataType::Utf8,
        }
    }
}

/// `numeric(p, s)` up to 38 digits is a decimal. Without a precision no fixed scale holds it.
fn decimal(modifier: i32) -> Kind {
    let Some((precision, scale)) = numeric::precision_and_scale(modifier) else { return Kind::Cast };
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision @ 1..=38), Ok(scale)) if scale >= 0 && i32::from(scale) <= precision.into() => {
            Kind::Decimal { precision, scale }
        }
        _ => Kind::Cast,
    }
}

/// A column of a table, as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnType {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

impl ColumnType {
    pub(crate) fn field(&self) -> Field {
        Field::new(&self.name, self.kind.data_type(), true)
    }
}

enum Cells {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Decimal(Decimal128Builder, i8),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
}

/// Values of a column in the making.
pub(crate) struct Column {
    name: String,
    kind: Kind,
    cells: Cells,
}

macro_rules! each {
    ($cells:expr, $builder:ident => $action:expr) => {
        match $cells {
            Cells::Bool($builder) => $action,
            Cells::Int2($builder) => $action,
            Cells::Int4($builder) => $action,
            Cells::Int8($builder) => $action,
            Cells::Float4($builder) => $action,
            Cells::Float8($builder) => $action,
            Cells::Decimal($builder, _) => $action,
            Cells::Date($builder) => $action,
            Cells::Timestamp($builder) => $action,
            Cells::Text($builder) => $action,
            Cells::Bytes($builder) => $action,
        }
    };
}

impl Column {
    pub(crate) fn new(column: &ColumnType) -> Self {
        let cells = match column.kind {
            Kind::Bool => Cells::Bool(BooleanBuilder::new()),
            Kind::Int2 => Cells::Int2(Int16Builder::new()),
            Kind::Int4 => Cells::Int4(Int32Builder::new()),
            Kind::Int8 | Kind::Oid => Cells::Int8(Int64Builder::new()),
            Kind::Float4 => Cells::Float4(Float32Builder::new()),
            Kind::Float8 => Cells::Float8(Float64Builder::new()),
            Kind::Decimal { scale, .. } => {
                let builder = Decimal128Builder::new().with_data_type(column.kind.data_type());
                Cells::Decimal(builder, scale)
            }
            Kind::Date => Cells::Date(Date32Builder::new()),
            Kind::Timestamp | Kind::TimestampTz => {
                Cells::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
            Kind::Text | Kind::Jsonb | Kind::Uuid | Kind::Cast => Cells::Text(StringBuilder::new()),
            Kind::Bytea => Cells::Bytes(BinaryBuilder::new()),
        };
        Self { name: column.name.clone(), kind: column.kind, cells }
    }

    pub(crate) fn push_null(&mut self) {
        each!(&mut self.cells, builder => builder.append_null());
    }

    /// A value in the server's binary form; of kinds that are cast, the text.
    pub(crate) fn push_binary(&mut self, bytes: &[u8]) -> Result<()> {
        self.binary(bytes).ok_or_else(|| self.unfit(&shown_binary(self.kind, bytes)))
    }

    fn binary(&mut self, bytes: &[u8]) -> Option<()> {
        match &mut self.cells {
            Cells::Bool(builder) => builder.append_value(*bytes.first()? != 0),
            Cells::Int2(builder) => builder.append_value(i16::from_be_bytes(bytes.try_into().ok()?)),
            Cells::Int4(builder) => builder.append_value(i32::from_be_bytes(bytes.try_into().ok()?)),
            Cells::Int8(builder) if self.kind == Kind::Oid => {
                builder.append_value(u32::from_be_bytes(bytes.try_into().ok()?).into());
            }
            Cells::Int8(builder) => builder.append_value(i64::from_be_bytes(bytes.try_into().ok()?)),
            Cells::Float4(builder) => builder.append_value(f32::from_be_bytes(bytes.try_into().ok()?)),
            Cells::Float8(builder) => builder.append_value(f64::from_be_bytes(bytes.try_into().ok()?)),
            Cells::Decimal(builder, scale) => builder.append_value(numeric::from_binary(bytes, *scale)?),
            Cells::Date(builder) => {
                let days = i32::from_be_bytes(bytes.try_into().ok()?);
                builder.append_value(finite(days, i32::MIN, i32::MAX)?.checked_add(DAYS_TO_2000)?);
            }
            Cells::Timestamp(builder) => {
                let micros = i64::from_be_bytes(bytes.try_into().ok()?);
                builder.append_value(finite(micros, i64::MIN, i64::MAX)?.checked_add(MICROS_TO_2000)?);
            }
            Cells::Text(builder) if self.kind == Kind::Uuid => builder.append_value(uuid_text(bytes)?),
            Cells::Text(builder) if self.kind == Kind::Jsonb => {
                builder.append_value(std::str::from_utf8(bytes.strip_prefix(&[1])?).ok()?);
            }
            Cells::Text(builder) => builder.append_value(std::str::from_utf8(bytes).ok()?),
            Cells::Bytes(builder) => builder.append_value(bytes),
        }
        Some(())
    }

    /// A value as the server writes it.
    pub(crate) fn push_text(&mut self, text: &str) -> Result<()> {
        self.text(text).ok_or_else(|| self.unfit(text))
    }

    fn text(&mut self, text: &str) -> Option<()> {
        match &mut self.cells {
            Cells::Bool(builder) => builder.append_value(match text {
                "t" => true,
                "f" => false,
                _ => return None,
            }),
            Cells::Int2(builder) => builder.append_value(text.parse().ok()?),
            Cells::Int4(builder) => builder.append_value(text.parse().ok()?),
            Cells::Int8(builder) => builder.append_value(text.parse().ok()?),
            Cells::Float4(builder) => builder.append_value(text.parse().ok()?),
            Cells::Float8(builder) => builder.append_value(text.parse().ok()?),
            Cells::Decimal(builder, scale) => builder.append_value(numeric::from_text(text, *scale)?),
            Cells::Date(builder) => builder.append_value(postgres_text::date(text)?),
            Cells::Timestamp(builder) => builder.append_value(postgres_text::timestamp(text)?),
            Cells::Text(builder) => builder.append_value(text),
            Cells::Bytes(builder) => builder.append_value(postgres_text::bytes(text)?),
        }
        Some(())
    }

    pub(crate) fn unfit(&self, value: &str) -> PgError {
        let value = value.chars().take(64).collect();
        PgError::Value { column: self.name.clone(), value, data_type: self.kind.data_type().to_string() }
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        each!(&mut self.cells, builder => Arc::new(builder.finish()))
    }
}

/// The least and the greatest value stand for the infinities.
fn finite<T: PartialEq>(value: T, least: T, greatest: T) -> Option<T> {
    (value != least && value != greatest).then_some(value)
}

fn uuid_text(bytes: &[u8]) -> Option<String> {
    let number = u128::from_be_bytes(bytes.try_into().ok()?);
    let hex = format!("{number:032x}");
    let part = |range| hex.get(range);
    Some([part(0..8)?, part(8..12)?, part(12..16)?, part(16..20)?, part(20..32)?].join("-"))
}

fn shown_binary(kind: Kind, bytes: &[u8]) -> String {
    match kind {
        Kind::Date | Kind::Timestamp | Kind::TimestampTz if bytes.first() == Some(&0x7f) => String::from("infinity"),
        Kind::Date | Kind::Timestamp | Kind::TimestampTz => String::from("-infinity"),
        Kind::Decimal { .. } => String::from("NaN or too many digits"),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::display::array_value_to_string;

    use super::*;

    #[test]
    fn types_are_kept_as_documented() {
        let numeric = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + 4;
        let cases = [
            (16, -1, "b", Kind::Bool),
            (1700, numeric(10, 2), "b", Kind::Decimal { precision: 10, scale: 2 }),
            (1700, numeric(38, 38), "b", Kind::Decimal { precision: 38, scale: 38 }),
            (1700, numeric(39, 0), "b", Kind::Cast),
            (1700, numeric(3, -2), "b", Kind::Cast),
            (1700, -1, "b", Kind::Cast),
            (99_999, -1, "e", Kind::Text),
            (1186, -1, "b", Kind::Cast),
            (1007, -1, "b", Kind::Cast),
        ];
        for (oid, modifier, category, expected) in cases {
            assert_eq!(Kind::of(oid, modifier, category), expected, "{oid} {modifier}");
        }
    }

    fn check(kind: Kind, binary: &[u8], text: &str, expected: Option<&str>) {
        let column = ColumnType { name: String::from("c"), kind };
        let (mut one, mut other) = (Column::new(&column), Column::new(&column));
        let pushed = (one.push_binary(binary).is_ok(), other.push_text(text).is_ok());
        assert_eq!(pushed, (expected.is_some(), expected.is_some()), "{kind:?} {text}");
        if let Some(expected) = expected {
            assert_eq!(array_value_to_string(&one.finish(), 0).unwrap(), expected, "{kind:?} from binary");
            assert_eq!(array_value_to_string(&other.finish(), 0).unwrap(), expected, "{kind:?} from text");
        }
    }

    #[test]
    fn both_forms_give_the_same_value() {
        check(Kind::Bool, &[1], "t", Some("true"));
        check(Kind::Int2, &[0xff, 0xfe], "-2", Some("-2"));
        check(Kind::Int8, &i64::MIN.to_be_bytes(), "-9223372036854775808", Some("-9223372036854775808"));
        check(Kind::Oid, &u32::MAX.to_be_bytes(), "4294967295", Some("4294967295"));
        check(Kind::Float8, &f64::NAN.to_be_bytes(), "NaN", Some("NaN"));
        check(Kind::Float8, &f64::NEG_INFINITY.to_be_bytes(), "-Infinity", Some("-inf"));
        check(Kind::Date, &0_i32.to_be_bytes(), "2000-01-01", Some("2000-01-01"));
        check(Kind::Date, &i32::MAX.to_be_bytes(), "infinity", None);
        check(
            Kind::TimestampTz,
            &1_i64.to_be_bytes(),
            "2000-01-01 00:00:00.000001+00",
            Some("2000-01-01T00:00:00.000001Z"),
        );
        check(Kind::Timestamp, &i64::MIN.to_be_bytes(), "-infinity", None);
        check(Kind::Bytea, &[0, 0xab], "\\x00ab", Some("00ab"));
        check(Kind::Jsonb, b"\x01{\"a\": 1}", "{\"a\": 1}", Some("{\"a\": 1}"));
        let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        let bytes = 0xa0ee_bc99_9c0b_4ef8_bb6d_6bb9_bd38_0a11_u128.to_be_bytes();
        check(Kind::Uuid, &bytes, uuid, Some(uuid));
        check(Kind::Text, "ü".as_bytes(), "ü", Some("ü"));
        check(Kind::Int4, &[1], "x", None);
    }
}
