//! The rows before and after a change: the columns they share, and whether a row's key is another than before.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use headwater_ingest::error::Result;
use headwater_ingest::schema::{DriftPolicy, drift};

use super::{Wrapped, project};

/// What envelopes of a table's rows look like, by themselves or with their schema around them, as far as the columns are known.
///
/// The schema is text: nobody looks into it, and the defaults of its fields have a type each, which no column could hold.
pub(super) fn envelope(columns: Option<&SchemaRef>) -> SchemaRef {
    let schema = Field::new("schema", DataType::Utf8, true);
    let Some(columns) = columns.filter(|columns| !columns.fields().is_empty()) else {
        return Arc::new(Schema::new(vec![schema]));
    };
    let row = |name: &str| Field::new(name, DataType::Struct(columns.fields().clone()), true);
    let fields = vec![Field::new("op", DataType::Utf8, true), row("before"), row("after")];
    let wrapped = Field::new("payload", DataType::Struct(fields.clone().into()), true);
    Arc::new(Schema::new([fields, vec![wrapped, schema]].concat()))
}

/// The shape in which rows before have the columns of rows after, and the other way round; nothing where they do.
pub(super) fn unified(shape: &SchemaRef) -> Option<SchemaRef> {
    let inner = |field: &FieldRef| match field.data_type() {
        DataType::Struct(fields) if field.name() == "payload" => {
            let of = alike(fields).unwrap_or_else(|| fields.clone());
            Arc::new(Field::new("payload", DataType::Struct(of), true))
        }
        _ => Arc::clone(field),
    };
    let fields: Fields = shape.fields().iter().map(inner).collect();
    let fields = alike(&fields).unwrap_or(fields);
    (fields != *shape.fields()).then(|| Arc::new(Schema::new(fields)))
}

fn alike(fields: &Fields) -> Option<Fields> {
    let of = |name: &str| match fields.iter().find(|field| field.name() == name)?.data_type() {
        DataType::Struct(members) => Some(members),
        _ => None,
    };
    let (before, after) = (of("before")?, of("after")?);
    let policy = DriftPolicy { widen_integers: true, ..DriftPolicy::default() };
    let both = drift::evolve(&Arc::new(Schema::new(after.clone())), &Schema::new(before.clone()), &policy);
    let replaced = fields.iter().map(|field| match field.name().as_str() {
        "before" | "after" => Arc::new(Field::new(field.name(), DataType::Struct(both.fields().clone()), true)),
        _ => Arc::clone(field),
    });
    Some(replaced.collect())
}

/// For each row whether it says that a row got another key. Where the row before has not the whole key, nothing is said.
pub(super) fn moved(wrapped: &Wrapped<'_>, key: &[String]) -> Result<Vec<bool>> {
    let rows = wrapped.operation.len();
    let (Some(before), Some(after)) = (wrapped.before, wrapped.after) else { return Ok(vec![false; rows]) };
    if !key.iter().all(|name| before.fields().find(name).is_some() && after.fields().find(name).is_some()) {
        return Ok(vec![false; rows]);
    }
    let all: Vec<u32> = (0..rows).map(super::index).collect();
    let (old, new) = (project(before, key, &all)?, project(after, key, &all)?);
    let fields = new.columns().iter().map(|column| SortField::new(column.data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    let mut cast_old = Vec::with_capacity(old.num_columns());
    for (column, wanted) in old.columns().iter().zip(new.columns()) {
        cast_old.push(cast(column, wanted.data_type())?);
    }
    let (old_rows, new_rows) = (converter.convert_columns(&cast_old)?, converter.convert_columns(new.columns())?);
    let is_moved = |row: usize| {
        let is_update = wrapped.operation.is_valid(row) && wrapped.operation.value(row) == "u";
        let both = before.is_valid(row) && after.is_valid(row) && cast_old.iter().all(|column| column.is_valid(row));
        is_update && both && old_rows.row(row) != new_rows.row(row)
    };
    Ok((0..rows).map(is_moved).collect())
}

/// Keys as JSON lists, for the rows that got another.
pub(super) fn old_keys(wrapped: &Wrapped<'_>, key: &[String], moved: &[bool]) -> Result<Vec<Option<String>>> {
    let mut found = vec![None; moved.len()];
    let Some(before) = wrapped.before.filter(|_| moved.contains(&true)) else { return Ok(found) };
    let all: Vec<u32> = (0..moved.len()).map(super::index).collect();
    let old = project(before, key, &all)?;
    let mut texts = Vec::with_capacity(old.num_columns());
    for column in old.columns() {
        let is_plain = column.data_type().is_numeric() || *column.data_type() == DataType::Boolean;
        texts.push((cast(column, &DataType::Utf8)?, is_plain));
    }
    for (row, slot) in found.iter_mut().enumerate().filter(|(row, _)| moved.get(*row).is_some_and(|moved| *moved)) {
        let values = texts.iter().map(|(column, is_plain)| {
            let text = column.as_string::<i32>().value(row);
            if *is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
        });
        *slot = Some(format!("[{}]", values.collect::<Vec<_>>().join(", ")));
    }
    Ok(found)
}
