//! Rows of Arrow in PostgreSQL's binary COPY form: the counterpart of `copy.rs`.
//!
//! What is sent begins with a signature; each row is its number of columns and, for each, a length (-1 for NULL) and the
//! value in its type's binary form; a count of -1 ends it.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, FieldRef, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Schema,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use headwater_ingest::error::{Error, Result};
use headwater_project::Failure;

use crate::postgres::numeric;
use crate::sink::nested;

const DAYS_TO_2000: i32 = 10_957;
const MICROS_TO_2000: i64 = 946_684_800_000_000;

pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
pub(super) const END: &[u8] = &[0xff, 0xff];

/// What a column is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric {
        precision: u8,
        scale: i8,
    },
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Text,
    Bytea,
    /// Lists, structures and maps.
    Jsonb,
}

impl Form {
    /// Nothing for types that PostgreSQL has no place for.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => Self::Int2,
            DataType::UInt16 | DataType::Int32 => Self::Int4,
            DataType::UInt32 | DataType::Int64 => Self::Int8,
            DataType::UInt64 => Self::Numeric { precision: 20, scale: 0 },
            DataType::Float16 | DataType::Float32 => Self::Float4,
            DataType::Float64 => Self::Float8,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
                if (0..=38).contains(scale) =>
            {
                Self::Numeric { precision: *precision, scale: *scale }
            }
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(_, Some(_)) => Self::TimestampTz,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytea
            }
            DataType::Dictionary(_, values) => Self::of(values)?,
            other if nested::is_nested(other) => Self::Jsonb,
            _ => return None,
        })
    }

    /// The type of a column that is made for it.
    pub(super) fn sql(self) -> String {
        String::from(match self {
            Self::Bool => "boolean",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Numeric { precision, scale } => return format!("numeric({precision},{scale})"),
            Self::Date => "date",
            Self::Time => "time without time zone",
            Self::Timestamp => "timestamp without time zone",
            Self::TimestampTz => "timestamp with time zone",
            Self::Text => "text",
            Self::Bytea => "bytea",
            Self::Jsonb => "jsonb",
        })
    }

    /// The one type of Arrow its values are read from.
    fn array_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Text | Self::Jsonb => DataType::Utf8,
            Self::Bytea => DataType::Binary,
        }
    }
}

/// Values of one column of a batch.
enum Cells<'a> {
    Bool(&'a BooleanArray),
    Int2(&'a Int16Array),
    Int4(&'a Int32Array),
    Int8(&'a Int64Array),
    Float4(&'a Float32Array),
    Float8(&'a Float64Array),
    Numeric(&'a Decimal128Array, u16),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Timestamp(&'a TimestampMicrosecondArray),
    Text(&'a StringArray),
    Bytea(&'a BinaryArray),
    Jsonb(&'a StringArray),
}

impl<'a> Cells<'a> {
    fn new(form: Form, array: &'a ArrayRef) -> Self {
        match form {
            Form::Bool => Self::Bool(array.as_boolean()),
            Form::Int2 => Self::Int2(array.as_primitive::<Int16Type>()),
            Form::Int4 => Self::Int4(array.as_primitive::<Int32Type>()),
            Form::Int8 => Self::Int8(array.as_primitive::<Int64Type>()),
            Form::Float4 => Self::Float4(array.as_primitive::<Float32Type>()),
            Form::Float8 => Self::Float8(array.as_primitive::<Float64Type>()),
            Form::Numeric { scale, .. } => {
                Self::Numeric(array.as_primitive::<Decimal128Type>(), scale.unsigned_abs().into())
            }
            Form::Date => Self::Date(array.as_primitive::<Date32Type>()),
            Form::Time => Self::Time(array.as_primitive::<Time64MicrosecondType>()),
            Form::Timestamp | Form::TimestampTz => Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>()),
            Form::Text => Self::Text(array.as_string()),
            Form::Bytea => Self::Bytea(array.as_binary()),
            Form::Jsonb => Self::Jsonb(array.as_string()),
        }
    }

    /// Appends the value without its length; nothing when it is outside of what the type holds.
    fn put(&self, row: usize, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Bool(array) => out.push(array.value(row).into()),
            Self::Int2(array) => out.extend(array.value(row).to_be_bytes()),
            Self::Int4(array) => out.extend(array.value(row).to_be_bytes()),
            Self::Int8(array) => out.extend(array.value(row).to_be_bytes()),
            Self::Float4(array) => out.extend(array.value(row).to_be_bytes()),
            Self::Float8(array) => out.extend(array.value(row).to_be_bytes()),
            Self::Numeric(array, scale) => numeric::to_binary(array.value(row), *scale, out),
            Self::Date(array) => {
                // The least and the greatest value stand for the infinities.
                let days = array.value(row).checked_sub(DAYS_TO_2000).filter(|days| *days != i32::MIN)?;
                out.extend(days.to_be_bytes());
            }
            Self::Time(array) => out.extend(array.value(row).to_be_bytes()),
            Self::Timestamp(array) => {
                let micros = array.value(row).checked_sub(MICROS_TO_2000).filter(|micros| *micros != i64::MIN)?;
                out.extend(micros.to_be_bytes());
            }
            Self::Text(array) => out.extend(array.value(row).as_bytes()),
            Self::Bytea(array) => out.extend(array.value(row)),
            Self::Jsonb(array) => {
                out.push(1);
                out.extend(array.value(row).as_bytes());
            }
        }
        Some(())
    }
}

/// Turns batches of one schema into rows of a COPY.
pub(super) struct RowEncoder {
    columns: Vec<(FieldRef, Form)>,
}

impl RowEncoder {
    /// Names the column whose type has no place in a table.
    pub(super) fn new(schema: &Schema) -> Result<Self> {
        let column = |field: &FieldRef| {
            let form = Form::of(field.data_type()).ok_or_else(|| {
                let message =
                    format!("column `{}` is {}, which no PostgreSQL type holds", field.name(), field.data_type());
                Failure::user(message).with_hint("Leave it out with `columns`, or cast it in a model.")
            });
            form.map(|form| (field.clone(), form))
        };
        Ok(Self { columns: schema.fields().iter().map(column).collect::<Result<_, Failure>>()? })
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = (&str, Form)> {
        self.columns.iter().map(|(field, form)| (field.name().as_str(), *form))
    }

    /// Appends the rows.
    pub(super) fn encode(&self, rows: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for ((field, form), array) in self.columns.iter().zip(rows.columns()) {
            arrays.push(normal(field, *form, array)?);
        }
        let cells: Vec<Cells<'_>> =
            self.columns.iter().zip(&arrays).map(|((_, form), array)| Cells::new(*form, array)).collect();
        let count = i16::try_from(cells.len()).map_err(|_| Error::Internal("a table of too many columns"))?;
        for row in 0..rows.num_rows() {
            out.extend(count.to_be_bytes());
            for (index, cells) in cells.iter().enumerate() {
                self.cell(index, &arrays, cells, row, out)?;
            }
        }
        Ok(())
    }

    fn cell(&self, index: usize, arrays: &[ArrayRef], cells: &Cells<'_>, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let is_null = arrays.get(index).is_none_or(|array| array.is_null(row));
        if is_null {
            out.extend((-1_i32).to_be_bytes());
            return Ok(());
        }
        let at = out.len();
        out.extend([0; 4]);
        let fits = cells.put(row, out);
        let length = i32::try_from(out.len() - at - 4).ok();
        match (fits, length, out.get_mut(at..at + 4)) {
            (Some(()), Some(length), Some(place)) => place.copy_from_slice(&length.to_be_bytes()),
            _ => return Err(self.unfit(index)),
        }
        Ok(())
    }

    fn unfit(&self, index: usize) -> Error {
        let name = self.columns.get(index).map_or("", |(field, _)| field.name());
        Failure::user(format!("a value of column `{name}` is outside of what PostgreSQL can hold")).into()
    }
}

/// The column as the one type that is read for its form.
fn normal(field: &FieldRef, form: Form, array: &ArrayRef) -> Result<ArrayRef> {
    if form == Form::Jsonb {
        return Ok(std::sync::Arc::new(nested::as_json(field, array)?));
    }
    let wanted = form.array_type();
    if *array.data_type() == wanted {
        return Ok(ArrayRef::clone(array));
    }
    // Nothing may become NULL on the way.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(array, &wanted, &options)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, UInt64Array};
    use arrow::datatypes::Field;

    use super::*;
    use crate::postgres::column::{ColumnType, Kind};
    use crate::postgres::copy::CopyDecoder;

    fn encoded(array: ArrayRef) -> Result<Vec<u8>> {
        let schema = Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), true)]));
        let rows = RecordBatch::try_new(schema, vec![array]).unwrap();
        let mut out = HEADER.to_vec();
        RowEncoder::new(rows.schema_ref())?.encode(&rows, &mut out)?;
        out.extend(END);
        Ok(out)
    }

    /// What is written is what the reader of copies, which real servers were read with, makes the same values of.
    fn check(array: ArrayRef, kind: Kind) {
        let mut decoder = CopyDecoder::new(&[ColumnType { name: String::from("c"), kind }]);
        decoder.feed(&encoded(ArrayRef::clone(&array)).unwrap()).unwrap();
        assert!(decoder.is_whole());
        let found = decoder.take().unwrap();
        let expected = arrow::compute::cast(&array, found.column(0).data_type()).unwrap();
        assert_eq!(found.column(0), &expected, "{kind:?}");
    }

    #[test]
    fn what_is_written_reads_as_the_same_values() {
        check(Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])), Kind::Bool);
        check(Arc::new(Int16Array::from(vec![i16::MIN, i16::MAX])), Kind::Int2);
        check(Arc::new(Int32Array::from(vec![Some(i32::MIN), None])), Kind::Int4);
        check(Arc::new(Int64Array::from(vec![i64::MIN, 0, i64::MAX])), Kind::Int8);
        check(Arc::new(Float32Array::from(vec![1.5, f32::INFINITY])), Kind::Float4);
        check(Arc::new(Float64Array::from(vec![-0.0, f64::MIN_POSITIVE, f64::NEG_INFINITY])), Kind::Float8);
        check(Arc::new(Date32Array::from(vec![-719_163, 0, 2_932_897])), Kind::Date);
        check(Arc::new(TimestampMicrosecondArray::from(vec![-1, 0, 1]).with_timezone("UTC")), Kind::TimestampTz);
        check(Arc::new(StringArray::from(vec![Some("ü'\"\\\n"), Some(""), None])), Kind::Text);
        check(Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..], b""])), Kind::Bytea);
        let words: DictionaryArray<Int32Type> = [Some("a"), None, Some("a")].into_iter().collect();
        check(Arc::new(words), Kind::Text);
    }

    #[test]
    fn decimals_keep_every_digit() {
        let most = 10_i128.pow(38) - 1;
        for scale in [0_i8, 1, 2, 3, 4, 5, 9, 37, 38] {
            let values = vec![0, 1, -1, 10_i128.pow(18), -123_456_789_012_345, 40_000, most, -most];
            let array = Decimal128Array::from(values).with_precision_and_scale(38, scale).unwrap();
            check(Arc::new(array), Kind::Decimal { precision: 38, scale });
        }
        let array: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let bytes = encoded(array).unwrap();
        let mut decoder = CopyDecoder::new(&[ColumnType {
            name: String::from("c"),
            kind: Kind::Decimal { precision: 20, scale: 0 },
        }]);
        decoder.feed(&bytes).unwrap();
        let found = decoder.take().unwrap();
        assert_eq!(found.column(0).as_primitive::<Decimal128Type>().value(0), i128::from(u64::MAX));
    }

    #[test]
    fn what_has_no_place_names_its_column() {
        let interval = Arc::new(arrow::array::DurationSecondArray::from(vec![1]));
        assert!(encoded(interval).unwrap_err().to_string().contains("column `c`"));
        let early = Arc::new(TimestampMicrosecondArray::from(vec![i64::MIN]));
        assert!(encoded(early).unwrap_err().to_string().contains("column `c`"));
    }
}
