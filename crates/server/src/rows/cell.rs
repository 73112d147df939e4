//! One column's cells as JSON or plain text.
//!
//! Numbers are exact in any reader: JSON numbers are doubles to most, so an integer beyond 2^53 - 1 becomes a string, as
//! does a decimal. What has no number in JSON (`NaN`, the infinities) is a string too.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int64Array, LargeListArray, LargeStringArray,
    MapArray, StructArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;

/// The largest integer a double holds without a neighbour in between.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// A column made ready for reading cell by cell: types of one family are one variant.
pub struct Cells {
    nulls: Option<arrow::buffer::NullBuffer>,
    kind: CellKind,
}

enum CellKind {
    Null,
    Boolean(BooleanArray),
    Integer(Int64Array),
    Unsigned(UInt64Array),
    /// With the name of the type it came from: a narrower float prints with fewer digits.
    Float(Float64Array),
    Float32(arrow::array::Float32Array),
    Text(LargeStringArray),
    Binary(BinaryArray),
    List(LargeListArray, Box<Cells>),
    Struct(Vec<(String, Cells)>),
    Map(MapArray, Box<Cells>, Box<Cells>),
    /// Dates, times, decimals, intervals: as Arrow prints them.
    Printed(ArrayRef),
}

impl Cells {
    pub fn new(array: &ArrayRef) -> Result<Self, ArrowError> {
        if let DataType::Dictionary(_, values) = array.data_type() {
            return Self::new(&cast(array, values)?);
        }
        Ok(Self { nulls: array.logical_nulls(), kind: CellKind::new(array)? })
    }

    pub fn is_null(&self, row: usize) -> bool {
        matches!(self.kind, CellKind::Null) || self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends the cell as a JSON value.
    pub fn write_json(&self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        self.kind.write_json(row, out)
    }

    /// Appends the cell as text for a person or a CSV field; nothing for null.
    pub fn write_text(&self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if self.is_null(row) {
            return Ok(());
        }
        match &self.kind {
            CellKind::Integer(values) => write_display(out, values.value(row)),
            CellKind::Unsigned(values) => write_display(out, values.value(row)),
            CellKind::Text(values) => out.extend_from_slice(values.value(row).as_bytes()),
            CellKind::Float(values) => write_float_text(values.value(row), write_double, out)?,
            CellKind::Float32(values) => write_float_text(values.value(row), write_single, out)?,
            CellKind::Binary(values) => write_hexadecimal(values.value(row), out),
            CellKind::Printed(values) => out.extend_from_slice(printed(values, row)?.as_bytes()),
            _ => self.kind.write_json(row, out)?,
        }
        Ok(())
    }
}

impl CellKind {
    fn new(array: &ArrayRef) -> Result<Self, ArrowError> {
        use DataType as T;
        Ok(match array.data_type() {
            T::Null => Self::Null,
            T::Boolean => Self::Boolean(array.as_boolean().clone()),
            T::Int8 | T::Int16 | T::Int32 | T::Int64 => Self::Integer(cast(array, &T::Int64)?.as_primitive().clone()),
            T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => {
                Self::Unsigned(cast(array, &T::UInt64)?.as_primitive().clone())
            }
            T::Float16 | T::Float32 => Self::Float32(cast(array, &T::Float32)?.as_primitive().clone()),
            T::Float64 => Self::Float(array.as_primitive().clone()),
            T::Utf8 | T::LargeUtf8 | T::Utf8View => Self::Text(cast(array, &T::LargeUtf8)?.as_string().clone()),
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => {
                Self::Binary(cast(array, &T::Binary)?.as_binary().clone())
            }
            T::List(field)
            | T::LargeList(field)
            | T::ListView(field)
            | T::LargeListView(field)
            | T::FixedSizeList(field, _) => {
                let list = cast(array, &T::LargeList(Arc::clone(field)))?;
                let list = list.as_list::<i64>().clone();
                let items = Box::new(Cells::new(list.values())?);
                Self::List(list, items)
            }
            T::Struct(_) => Self::Struct(struct_cells(array.as_struct())?),
            T::Map(_, _) => {
                let map = array.as_map().clone();
                let (keys, values) = (Cells::new(map.keys())?, Cells::new(map.values())?);
                Self::Map(map, Box::new(keys), Box::new(values))
            }
            _ => Self::Printed(Arc::clone(array)),
        })
    }

    fn write_json(&self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Boolean(values) => write_display(out, values.value(row)),
            Self::Integer(values) => write_integer(values.value(row).unsigned_abs(), values.value(row), out),
            Self::Unsigned(values) => write_integer(values.value(row), values.value(row), out),
            Self::Float(values) => write_float_json(values.value(row), write_double, out)?,
            Self::Float32(values) => write_float_json(values.value(row), write_single, out)?,
            Self::Text(values) => write_json_string(values.value(row), out)?,
            Self::Binary(values) => {
                out.push(b'"');
                write_hexadecimal(values.value(row), out);
                out.push(b'"');
            }
            Self::List(list, items) => write_list(list, items, row, out)?,
            Self::Struct(fields) => write_struct(fields, row, out)?,
            Self::Map(map, keys, values) => write_map(map, keys, values, row, out)?,
            Self::Printed(values) => write_json_string(&printed(values, row)?, out)?,
        }
        Ok(())
    }
}

fn struct_cells(array: &StructArray) -> Result<Vec<(String, Cells)>, ArrowError> {
    let columns = array.fields().iter().zip(array.columns());
    columns.map(|(field, column)| Ok((field.name().clone(), Cells::new(column)?))).collect()
}

/// Arrow's text, with dates and times in ISO 8601.
fn printed(array: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    array_value_to_string(array, row)
}

fn write_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    out.extend_from_slice(value.to_string().as_bytes());
}

fn write_integer(size: u64, value: impl std::fmt::Display, out: &mut Vec<u8>) {
    if size <= MAX_EXACT {
        write_display(out, value);
    } else {
        out.push(b'"');
        write_display(out, value);
        out.push(b'"');
    }
}

/// The shortest text that reads back as the same number.
fn write_double(value: f64, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    serde_json::to_writer(out, &value).map_err(from_json)
}

fn write_single(value: f32, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    serde_json::to_writer(out, &value).map_err(from_json)
}

type WriteFloat<F> = fn(F, &mut Vec<u8>) -> Result<(), ArrowError>;

fn name_of_special<F: Into<f64>>(value: F) -> Option<&'static str> {
    match value.into() {
        number if number.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

fn write_float_json<F: Into<f64> + Copy>(value: F, write: WriteFloat<F>, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    match name_of_special(value) {
        Some(name) => write_json_string(name, out),
        None => write(value, out),
    }
}

fn write_float_text<F: Into<f64> + Copy>(value: F, write: WriteFloat<F>, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    match name_of_special(value) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => write(value, out)?,
    }
    Ok(())
}

pub(super) fn write_json_string(text: &str, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    serde_json::to_writer(out, text).map_err(from_json)
}

fn from_json(error: serde_json::Error) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}

fn write_hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
}

fn write_list(list: &LargeListArray, items: &Cells, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    out.push(b'[');
    for (count, item) in range(list.value_offsets(), row).enumerate() {
        if count > 0 {
            out.push(b',');
        }
        items.write_json(item, out)?;
    }
    out.push(b']');
    Ok(())
}

/// The rows of the child array that belong to `row`.
fn range<O: Copy + TryInto<usize>>(offsets: &[O], row: usize) -> std::ops::Range<usize> {
    let at = |index: usize| offsets.get(index).and_then(|offset| (*offset).try_into().ok()).unwrap_or(0);
    at(row)..at(row.saturating_add(1))
}

fn write_struct(fields: &[(String, Cells)], row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    out.push(b'{');
    for (count, (name, cells)) in fields.iter().enumerate() {
        if count > 0 {
            out.push(b',');
        }
        write_json_string(name, out)?;
        out.push(b':');
        cells.write_json(row, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// Keys of a map become strings, as JSON has no other keys.
fn write_map(map: &MapArray, keys: &Cells, values: &Cells, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    out.push(b'{');
    for (count, entry) in range(map.value_offsets(), row).enumerate() {
        if count > 0 {
            out.push(b',');
        }
        let mut key = Vec::new();
        keys.write_text(entry, &mut key)?;
        write_json_string(&String::from_utf8_lossy(&key), out)?;
        out.push(b':');
        values.write_json(entry, out)?;
    }
    out.push(b'}');
    Ok(())
}
