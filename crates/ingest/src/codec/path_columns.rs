//! Columns that the folders of a file's path name: `date=2024-01-01/shop=12/part.csv`.
//!
//! A value of digits is an integer (unless it begins with a zero, as codes do), one that is a date a date, everything else
//! text. `__HIVE_DEFAULT_PARTITION__` and nothing are NULL. Names and values may be percent-encoded. Where a file has a column
//! of the same name, the path counts.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::compute::kernels::cast_utils::{Parser, string_to_timestamp_nanos};
use arrow::datatypes::{DataType, Date32Type, Field, TimeUnit};

use crate::codec::delimited::is_code;

/// What stands for NULL in a path.
const NOTHING: &str = "__HIVE_DEFAULT_PARTITION__";

/// A column that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathColumn {
    pub name: String,
    /// Nothing for NULL.
    pub value: Option<String>,
}

/// The columns a path names, from its first folder to its last. Reserved names are left out.
pub fn of(path: &str) -> Vec<PathColumn> {
    let mut found: Vec<PathColumn> = Vec::new();
    let Some((folders, _)) = path.rsplit_once('/') else { return found };
    for (name, value) in folders.split('/').filter_map(|folder| folder.split_once('=')) {
        let (name, value) = (decoded(name), decoded(value));
        if !name.is_empty() && !crate::schema::is_reserved(&name) && !found.iter().any(|before| before.name == name) {
            let value = Some(value).filter(|value| !value.is_empty() && value != NOTHING);
            found.push(PathColumn { name, value });
        }
    }
    found
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = (*byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

impl PathColumn {
    /// The column as its value alone suggests it; nothing while it is NULL.
    pub fn field(&self) -> Option<Field> {
        let value = self.value.as_deref()?;
        let data_type = if value.parse::<i64>().is_ok() && !value.starts_with('+') && !is_code(value) {
            DataType::Int64
        } else if is_date(value) {
            DataType::Date32
        } else {
            DataType::Utf8
        };
        Some(Field::new(&self.name, data_type, true))
    }

    /// The value so many times, as the type the table has; an error says why it cannot be one.
    pub fn array(&self, data_type: &DataType, rows: usize) -> Result<ArrayRef, String> {
        let Some(value) = self.value.as_deref() else { return Ok(new_null_array(data_type, rows)) };
        let array: Option<ArrayRef> = match data_type {
            DataType::Utf8 => Some(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows)))),
            DataType::Int64 => value.parse().ok().map(|one| Arc::new(Int64Array::from_value(one, rows)) as ArrayRef),
            DataType::Int32 => value.parse().ok().map(|one| Arc::new(Int32Array::from_value(one, rows)) as ArrayRef),
            DataType::Float64 => {
                value.parse().ok().map(|one| Arc::new(Float64Array::from_value(one, rows)) as ArrayRef)
            }
            DataType::Boolean => {
                value.parse().ok().map(|one: bool| Arc::new(BooleanArray::from(vec![one; rows])) as ArrayRef)
            }
            DataType::Date32 => {
                Date32Type::parse(value).map(|one| Arc::new(Date32Array::from_value(one, rows)) as ArrayRef)
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => string_to_timestamp_nanos(value).ok().map(|nanos| {
                let array = TimestampMicrosecondArray::from_value(nanos.div_euclid(1_000), rows);
                Arc::new(array.with_timezone_opt(zone.clone())) as ArrayRef
            }),
            _ => None,
        };
        array.ok_or_else(|| format!("the path says `{}={value}`, and the column holds {data_type}", self.name))
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.as_bytes().get(4) == Some(&b'-') && Date32Type::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_with_an_equals_sign_are_columns() {
        let shown = |path: &str| {
            let shown = |column: PathColumn| {
                let of = column.field().map_or_else(|| "?".to_owned(), |field| field.data_type().to_string());
                format!("{}={}:{of}", column.name, column.value.as_deref().unwrap_or("NULL"))
            };
            of(path).into_iter().map(shown).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("date=2024-01-31/n=12/a.csv"), "date=2024-01-31:Date32 n=12:Int64");
        assert_eq!(shown("zip=01234/x=a%2Fb%20c/a.csv"), "zip=01234:Utf8 x=a/b c:Utf8");
        assert_eq!(shown("x=__HIVE_DEFAULT_PARTITION__/y=/a=1.csv"), "x=NULL:? y=NULL:?");
        assert_eq!(shown("plain/_line=3/x=1/x=2/a"), "x=1:Int64");
        assert_eq!(shown("x=1.zip"), "");
    }

    #[test]
    fn a_value_that_the_column_cannot_hold_is_said() {
        let column = PathColumn { name: "n".to_owned(), value: Some("a".to_owned()) };
        assert_eq!(column.array(&DataType::Int64, 1).unwrap_err(), "the path says `n=a`, and the column holds Int64");
        assert_eq!(column.array(&DataType::Utf8, 2).unwrap().len(), 2);
    }
}
