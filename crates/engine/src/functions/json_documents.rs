//! Making JSON documents, kept as text.
//!
//! Text that is a JSON document already carries a mark in its field's metadata, so that it becomes part of a larger document and
//! not a string in it.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{Result, exec_datafusion_err};
use serde_json::value::RawValue;

use super::arguments::{Arguments, converted, text_at};
use super::json::find;
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "json_of", arity: (1, 1), returns: returns::text, body: of },
    // Fields that are NULL are left out.
    Function { name: "json_of_present", arity: (1, 1), returns: returns::text, body: of_present },
    // An object of keys and values in turn; with NULL values, and without.
    Function { name: "json_object_of", arity: (0, 512), returns: returns::text, body: object },
    Function { name: "json_object_without_nulls", arity: (0, 512), returns: returns::text, body: object_without_nulls },
    Function { name: "json_array_of", arity: (0, 512), returns: returns::text, body: array },
    Function { name: "json_document", arity: (1, 1), returns: returns::text, body: document },
    Function { name: "try_json_document", arity: (1, 1), returns: returns::text, body: document_or_null },
];

/// Functions whose text is a JSON document.
const MAKES_JSON: &[&str] = &[
    "json_of",
    "json_of_present",
    "json_object_of",
    "json_object_without_nulls",
    "json_array_of",
    "json_document",
    "try_json_document",
    "json_piece",
    "json_member",
    "json_at_keys",
    "json_object_of_lists",
    "json_object_of_pairs",
    "jsonb_document",
    "json_document_short",
    "json_merge",
    "json_merge_patch",
    "json_without",
    "json_without_path",
    "json_set",
    "json_pick",
    "json_without_nulls",
];

const MARK: (&str, &str) = ("headwater.content", "json");

/// Whether a column is marked to hold JSON documents.
pub(crate) fn is_json(field: &Field) -> bool {
    field.metadata().get(MARK.0).is_some_and(|value| value == MARK.1)
}

/// The field of a function's result, with the mark where it makes JSON of text.
pub(super) fn marked(name: &str, data_type: DataType) -> Field {
    match data_type {
        DataType::Utf8 if MAKES_JSON.contains(&name) => document_field().with_name(name),
        other => Field::new(name, other, true),
    }
}

/// The field of a JSON document.
fn document_field() -> Field {
    let metadata = HashMap::from([(MARK.0.to_owned(), MARK.1.to_owned())]);
    Field::new_list_field(DataType::Utf8, true).with_metadata(metadata)
}

/// Writes the value of a row as JSON.
pub(super) fn write_value(array: &ArrayRef, row: usize, is_json: bool, out: &mut String) -> Result<()> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        out.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let text = converted(array, &DataType::Utf8)?;
            let text = text.as_string::<i32>().value(row);
            if is_json { out.push_str(text) } else { write_text(text, out)? }
        }
        DataType::List(item) => write_items(&array.as_list::<i32>().value(row), self::is_json(item), out)?,
        DataType::LargeList(item) => write_items(&array.as_list::<i64>().value(row), self::is_json(item), out)?,
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            out.push('{');
            for (index, (field, column)) in fields.iter().zip(columns.columns()).enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(field.name(), out)?;
                out.push(':');
                write_value(column, row, self::is_json(field), out)?;
            }
            out.push('}');
        }
        DataType::Map(..) => write_map(&array.as_map().value(row), out)?,
        DataType::Dictionary(_, values) => write_value(&converted(array, values)?, row, is_json, out)?,
        data_type => {
            let options = FormatOptions::default();
            let shown = ArrayFormatter::try_new(array.as_ref(), &options)?.value(row).to_string();
            match data_type {
                DataType::Float32 | DataType::Float64 => write_float(&shown, out)?,
                other if other.is_numeric() || *other == DataType::Boolean => out.push_str(&shown),
                _ => write_text(&shown, out)?,
            }
        }
    }
    Ok(())
}

/// A map as an object: its keys are text there.
fn write_map(entries: &arrow::array::StructArray, out: &mut String) -> Result<()> {
    let [keys, values] = entries.columns() else { return Err(exec_datafusion_err!("a map has keys and values")) };
    let keys = converted(keys, &DataType::Utf8)?;
    let keys = keys.as_string::<i32>();
    out.push('{');
    for row in 0..entries.len() {
        if row > 0 {
            out.push(',');
        }
        write_text(keys.value(row), out)?;
        out.push(':');
        write_value(values, row, false, out)?;
    }
    out.push('}');
    Ok(())
}

/// Whole numbers without a fraction; what JSON cannot write as a number as text.
fn write_float(shown: &str, out: &mut String) -> Result<()> {
    if shown.contains(['N', 'i', 'I']) {
        return write_text(shown, out);
    }
    out.push_str(shown.strip_suffix(".0").unwrap_or(shown));
    Ok(())
}

fn write_items(items: &ArrayRef, is_json: bool, out: &mut String) -> Result<()> {
    out.push('[');
    for row in 0..items.len() {
        if row > 0 {
            out.push(',');
        }
        write_value(items, row, is_json, out)?;
    }
    out.push(']');
    Ok(())
}

fn write_text(text: &str, out: &mut String) -> Result<()> {
    let quoted = serde_json::to_string(text).map_err(|error| exec_datafusion_err!("{error}"))?;
    write!(out, "{quoted}").map_err(|error| exec_datafusion_err!("{error}"))
}

/// An argument as documents: text as it is, lists and structures as their JSON.
pub(super) fn documents_of(arguments: &Arguments, index: usize) -> Result<arrow::array::StringArray> {
    match arguments.array(index)?.data_type() {
        DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_) | DataType::Map(..) => {
            Ok(encoded(arguments, index, false)?.as_string::<i32>().clone())
        }
        _ => arguments.text(index),
    }
}

fn of(arguments: &Arguments) -> Result<ArrayRef> {
    encoded(arguments, 0, arguments.is_json(0))
}

fn of_present(arguments: &Arguments) -> Result<ArrayRef> {
    let documents = of(arguments)?;
    let present = |json: Option<&str>| json.map(|json| super::json_edits::stripped(json, ""));
    Ok(Arc::new(documents.as_string::<i32>().iter().map(present).collect::<arrow::array::StringArray>()))
}

pub(super) fn encoded(arguments: &Arguments, index: usize, is_json: bool) -> Result<ArrayRef> {
    let array = arguments.array(index)?;
    let mut documents = StringBuilder::new();
    for row in 0..arguments.rows {
        if array.is_null(row) || *array.data_type() == DataType::Null {
            documents.append_null();
            continue;
        }
        let mut document = String::new();
        write_value(array, row, is_json, &mut document)?;
        documents.append_value(document);
    }
    Ok(Arc::new(documents.finish()))
}

fn object_with(arguments: &Arguments, with_nulls: bool) -> Result<ArrayRef> {
    if arguments.len() % 2 == 1 {
        return Err(exec_datafusion_err!("a JSON object is made of keys and values in turn"));
    }
    let pairs = (0..arguments.len()).step_by(2);
    let keys: Vec<_> = pairs.clone().map(|index| arguments.text(index)).collect::<Result<_>>()?;
    let mut documents = StringBuilder::new();
    for row in 0..arguments.rows {
        let mut document = String::from("{");
        for (keys, index) in keys.iter().zip(pairs.clone()) {
            let values = arguments.array(index + 1)?;
            let Some(key) = text_at(keys, row)
                .filter(|_| with_nulls || (values.is_valid(row) && *values.data_type() != DataType::Null))
            else {
                continue;
            };
            if document.len() > 1 {
                document.push(',');
            }
            write_text(key, &mut document)?;
            document.push(':');
            write_value(values, row, arguments.is_json(index + 1), &mut document)?;
        }
        document.push('}');
        documents.append_value(document);
    }
    Ok(Arc::new(documents.finish()))
}

fn object(arguments: &Arguments) -> Result<ArrayRef> {
    object_with(arguments, true)
}

fn object_without_nulls(arguments: &Arguments) -> Result<ArrayRef> {
    object_with(arguments, false)
}

fn array(arguments: &Arguments) -> Result<ArrayRef> {
    let mut documents = StringBuilder::new();
    for row in 0..arguments.rows {
        let mut document = String::from("[");
        for (index, values) in arguments.arrays.iter().enumerate() {
            if index > 0 {
                document.push(',');
            }
            write_value(values, row, arguments.is_json(index), &mut document)?;
        }
        document.push(']');
        documents.append_value(document);
    }
    Ok(Arc::new(documents.finish()))
}

fn documents(arguments: &Arguments, strict: bool) -> Result<ArrayRef> {
    let texts = arguments.text(0)?;
    let mut documents = StringBuilder::new();
    for row in 0..arguments.rows {
        let Some(text) = text_at(&texts, row) else {
            documents.append_null();
            continue;
        };
        match find(text, &[]).map(RawValue::get) {
            None if strict => return Err(exec_datafusion_err!("`{text}` is no JSON")),
            found => documents.append_option(found),
        }
    }
    Ok(Arc::new(documents.finish()))
}

fn document(arguments: &Arguments) -> Result<ArrayRef> {
    documents(arguments, true)
}

fn document_or_null(arguments: &Arguments) -> Result<ArrayRef> {
    documents(arguments, false)
}
