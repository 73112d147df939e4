//! Types of files that a table does not have: they are widened or become text, and nothing is lost in silence.
//!
//! | in the file | in the table |
//! | --- | --- |
//! | unsigned integers of 8, 16, 32 bits | the next wider signed integer |
//! | unsigned integers of 64 bits | decimal(20, 0) |
//! | half floats | 32-bit floats |
//! | timestamps of any unit, with or without a zone | microseconds in UTC; nanoseconds that are cut are warned of |
//! | decimals of up to 38 digits | the same; without digits after the point where the scale is negative |
//! | larger decimals, times of day, durations, intervals, unions | text |
//! | dictionaries, run-end encoded and view types | what they hold |
//! | lists of any kind | list |
//! | maps | list of entries with `key` and `value` |
//! | UUIDs | text |
//! | columns without a type | none, until a file has one |

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, ListArray, RecordBatch, RecordBatchOptions, StringArray,
    StructArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit, TimestampNanosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use headwater_ingest::schema::is_reserved;

const UUID: &str = "arrow.uuid";
const EXTENSION: &str = "ARROW:extension:name";

/// How the rows of a file become rows of its table.
pub(crate) struct Conversion {
    schema: SchemaRef,
    /// For each column of the schema its place in the file.
    places: Vec<usize>,
    /// Columns in which nanoseconds were cut off.
    cut: Vec<String>,
}

impl Conversion {
    /// `known` are the columns the table has. An error says why the file's do not go with them.
    pub(crate) fn new(file: &Schema, known: Option<&Schema>) -> Result<Self, String> {
        let (mut fields, mut places): (Vec<FieldRef>, _) = (Vec::new(), Vec::new());
        for (place, field) in file.fields().iter().enumerate() {
            let name = field.name();
            if is_reserved(name) {
                return Err(format!("its column `{name}` has a reserved name"));
            }
            if fields.iter().any(|before| before.name().eq_ignore_ascii_case(name)) {
                return Err(format!("it has the column `{name}` twice"));
            }
            let Some(stored) = stored(field) else { continue };
            let held = known.and_then(|known| known.field_with_name(name).ok()).map(Field::data_type);
            let data_type = match held {
                Some(held) if fits(&stored, held) => held.clone(),
                Some(held) => return Err(format!("its column `{name}` is {stored}, and the table's is {held}")),
                None => stored,
            };
            fields.push(Arc::new(Field::new(name, data_type, true)));
            places.push(place);
        }
        Ok(Self { schema: Arc::new(Schema::new(fields)), places, cut: Vec::new() })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Columns in which nanoseconds were cut off since this was asked last.
    pub(crate) fn take_cut(&mut self) -> Vec<String> {
        std::mem::take(&mut self.cut)
    }

    /// An error names the column with a value that the table's type cannot hold.
    pub(crate) fn rows(&mut self, batch: &RecordBatch) -> Result<RecordBatch, String> {
        let schema = batch.schema();
        let mut columns = Vec::with_capacity(self.places.len());
        for (place, wanted) in self.places.iter().zip(self.schema.fields()) {
            let (Some(column), Some(field)) = (batch.columns().get(*place), schema.fields().get(*place)) else {
                return Err(format!("a part of it lacks the column `{}`", wanted.name()));
            };
            if !self.cut.contains(wanted.name()) && has_nanoseconds(column) {
                self.cut.push(wanted.name().clone());
            }
            let converted = convert(column, field, wanted.data_type());
            columns.push(converted.map_err(|reason| format!("its column `{}`: {reason}", wanted.name()))?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| error.to_string())
    }
}

/// The type a table gets; nothing for a column that only has nulls.
fn stored(field: &Field) -> Option<DataType> {
    let nested = |field: &FieldRef| Some(Arc::new(Field::new("element", stored(field)?, true)));
    Some(match field.data_type() {
        DataType::Null => return None,
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::FixedSizeBinary(16) if is_uuid(field) => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => decimal(*precision, *scale),
        DataType::Dictionary(_, values) => return stored(&Field::new(field.name(), values.as_ref().clone(), true)),
        DataType::RunEndEncoded(_, values) => return stored(values),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => DataType::List(nested(item)?),
        DataType::Map(entries, _) => DataType::List(nested(entries)?),
        DataType::Struct(members) => DataType::Struct(stored_members(members)?),
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32 => field.data_type().clone(),
        _ => DataType::Utf8,
    })
}

fn stored_members(members: &Fields) -> Option<Fields> {
    let member = |field: &FieldRef| Some(Field::new(field.name(), stored(field)?, true));
    let members: Vec<Field> = members.iter().filter_map(member).collect();
    (!members.is_empty()).then(|| members.into())
}

fn decimal(precision: u8, scale: i8) -> DataType {
    let digits = i16::from(precision) - i16::from(scale).min(0);
    match (u8::try_from(digits), scale) {
        (Ok(digits @ 1..=38), ..=0) => DataType::Decimal128(digits, 0),
        (Ok(1..=38), scale) if scale.unsigned_abs() <= precision => DataType::Decimal128(precision, scale),
        _ => DataType::Utf8,
    }
}

fn is_uuid(field: &Field) -> bool {
    field.metadata().get(EXTENSION).is_some_and(|name| name == UUID)
}

/// Whether every value of a type may go into another, or is told apart by value.
fn fits(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, List, Struct, Utf8};
    match (from, to) {
        (from, to) if from.equals_datatype(to) => true,
        (Int8 | Int16 | Int32 | Int64, Int8 | Int16 | Int32 | Int64 | Decimal128(_, _) | Utf8) => true,
        (Int8 | Int16 | Int32, Float64) | (Float32, Float64) | (Boolean | Date32, Utf8) => true,
        (Decimal128(_, from), Decimal128(_, to)) => from <= to,
        (Date32, DataType::Timestamp(..)) => true,
        (List(from), List(to)) => fits(from.data_type(), to.data_type()),
        (Struct(from), Struct(to)) => from.iter().all(|member| {
            to.iter().any(|other| other.name() == member.name() && fits(member.data_type(), other.data_type()))
        }),
        _ => false,
    }
}

fn convert(column: &ArrayRef, field: &Field, wanted: &DataType) -> Result<ArrayRef, String> {
    match (column.data_type(), wanted) {
        (from, to) if from == to => Ok(Arc::clone(column)),
        (DataType::FixedSizeBinary(16), DataType::Utf8) if is_uuid(field) => Ok(uuids(column.as_fixed_size_binary())),
        (DataType::Map(entries, _), DataType::List(item)) => {
            let (_, offsets, values, nulls, _) = column.as_map().clone().into_parts();
            let values = convert(&(Arc::new(values) as ArrayRef), entries, item.data_type())?;
            list(ListArray::try_new(Arc::clone(item), offsets, values, nulls))
        }
        (DataType::List(inner), DataType::List(item)) => {
            let (_, offsets, values, nulls) = column.as_list::<i32>().clone().into_parts();
            let values = convert(&values, inner, item.data_type())?;
            list(ListArray::try_new(Arc::clone(item), offsets, values, nulls))
        }
        (
            DataType::LargeList(inner)
            | DataType::ListView(inner)
            | DataType::LargeListView(inner)
            | DataType::FixedSizeList(inner, _),
            DataType::List(_),
        ) => convert(&checked_cast(column, &DataType::List(Arc::clone(inner)))?, field, wanted),
        (DataType::Struct(members), DataType::Struct(wanted)) => structs(column.as_struct(), members, wanted),
        (DataType::Dictionary(_, values), _) => {
            let plain = Field::new(field.name(), values.as_ref().clone(), true);
            convert(&checked_cast(column, values)?, &plain, wanted)
        }
        (DataType::RunEndEncoded(_, values), _) => convert(&checked_cast(column, values.data_type())?, values, wanted),
        (
            DataType::Interval(_) | DataType::Duration(_) | DataType::Union(..) | DataType::Decimal256(..),
            DataType::Utf8,
        ) => texts(column),
        (from, DataType::Decimal128(..)) if from.is_integer() => {
            // Through decimals of all digits: a direct cast multiplies before it checks.
            checked_cast(&checked_cast(column, &DataType::Decimal128(38, 0))?, wanted)
        }
        _ => checked_cast(column, wanted),
    }
}

fn list(made: Result<ListArray, arrow::error::ArrowError>) -> Result<ArrayRef, String> {
    made.map(|array| Arc::new(array) as ArrayRef).map_err(|error| error.to_string())
}

fn structs(column: &StructArray, members: &Fields, wanted: &Fields) -> Result<ArrayRef, String> {
    let mut columns = Vec::with_capacity(wanted.len());
    for field in wanted {
        columns.push(match members.iter().position(|member| member.name() == field.name()) {
            Some(place) => match (column.columns().get(place), members.get(place)) {
                (Some(values), Some(member)) => convert(values, member, field.data_type())?,
                _ => return Err(format!("a part of it lacks the member `{}`", field.name())),
            },
            None => arrow::array::new_null_array(field.data_type(), column.len()),
        });
    }
    StructArray::try_new_with_length(wanted.clone(), columns, column.nulls().cloned(), column.len())
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|error| error.to_string())
}

/// A value that does not fit is an error, never NULL.
fn checked_cast(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, String> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, to, &options).map_err(|error| error.to_string())
}

fn texts(column: &ArrayRef) -> Result<ArrayRef, String> {
    let options = FormatOptions::new().with_display_error(false);
    let formatter = ArrayFormatter::try_new(column, &options).map_err(|error| error.to_string())?;
    let mut texts = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        let text = column.is_valid(row).then(|| formatter.value(row).try_to_string()).transpose();
        texts.push(text.map_err(|error| error.to_string())?);
    }
    Ok(Arc::new(StringArray::from(texts)))
}

fn uuids(column: &FixedSizeBinaryArray) -> ArrayRef {
    let text = |bytes: &[u8]| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    };
    Arc::new(column.iter().map(|bytes| bytes.map(text)).collect::<StringArray>())
}

/// Whether a column has moments that microseconds cannot tell.
fn has_nanoseconds(column: &ArrayRef) -> bool {
    matches!(column.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _))
        && column.as_primitive::<TimestampNanosecondType>().iter().flatten().any(|nanos| nanos % 1_000 != 0)
}

#[cfg(test)]
mod tests {
    use arrow::array::{DurationSecondArray, Int64Array, TimestampNanosecondArray, UInt64Array};

    use super::*;

    fn one(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("c", column)]).unwrap()
    }

    /// The converted type, and values as text.
    fn check(column: ArrayRef, known: Option<DataType>, expected: Result<(&str, &[&str]), &str>) {
        let batch = one(column);
        let known = known.map(|known| Schema::new(vec![Field::new("c", known, true)]));
        let converted = Conversion::new(&batch.schema(), known.as_ref()).and_then(|mut to| to.rows(&batch));
        match (converted, expected) {
            (Ok(rows), Ok((data_type, values))) => {
                let column = rows.column(0);
                let options = FormatOptions::new();
                let shown = ArrayFormatter::try_new(column, &options).unwrap();
                let shown: Vec<String> = (0..column.len()).map(|row| shown.value(row).to_string()).collect();
                assert_eq!(
                    (column.data_type().to_string().as_str(), shown.as_slice()),
                    (data_type, values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>().as_slice())
                );
            }
            (Err(found), Err(reason)) => assert!(found.contains(reason), "{found}"),
            (found, expected) => panic!("{found:?} where {expected:?} was expected"),
        }
    }

    #[test]
    fn types_a_table_lacks_are_widened_or_text() {
        check(Arc::new(UInt64Array::from(vec![u64::MAX])), None, Ok(("Decimal128(20, 0)", &["18446744073709551615"])));
        check(Arc::new(DurationSecondArray::from(vec![90])), None, Ok(("Utf8", &["PT90S"])));
        let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_001]));
        check(Arc::clone(&nanos), None, Ok(("Timestamp(µs, \"UTC\")", &["1970-01-01T00:00:00.000001Z"])));
        let batch = one(nanos);
        let mut conversion = Conversion::new(&batch.schema(), None).unwrap();
        conversion.rows(&batch).unwrap();
        assert_eq!(conversion.take_cut(), ["c"]);
    }

    #[test]
    fn the_types_of_the_table_are_kept_and_what_does_not_fit_is_said() {
        let numbers = || Arc::new(Int64Array::from(vec![1, 300])) as ArrayRef;
        check(numbers(), Some(DataType::Int32), Ok(("Int32", &["1", "300"])));
        check(numbers(), Some(DataType::Int8), Err("its column `c`"));
        check(numbers(), Some(DataType::Utf8), Ok(("Utf8", &["1", "300"])));
        check(numbers(), Some(DataType::Boolean), Err("is Int64, and the table's is Boolean"));
        check(numbers(), Some(DataType::Decimal128(10, 2)), Ok(("Decimal128(10, 2)", &["1.00", "300.00"])));
        check(Arc::new(StringArray::from(vec!["a"])), Some(DataType::Int64), Err("is Utf8"));
    }

    #[test]
    fn names_that_cannot_be_columns_are_refused() {
        let schema = |names: [&str; 2]| Schema::new(names.map(|name| Field::new(name, DataType::Int64, true)).to_vec());
        assert!(Conversion::new(&schema(["a", "_line"]), None).is_err());
        assert!(Conversion::new(&schema(["a", "A"]), None).is_err());
        assert!(Conversion::new(&schema(["a", "b"]), None).is_ok());
    }
}
