//! How a table's schema follows its records: columns are added, integers may become floats, nothing else changes and nothing
//! goes. What does not fit the result is refused record by record.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use crate::limits::MAX_COLUMNS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriftPolicy {
    /// New fields become columns.
    pub add_columns: bool,
    /// An integer column becomes a float column when a number with a fraction comes.
    pub widen_integers: bool,
    /// Most columns, nested ones counted.
    pub max_columns: usize,
}

impl Default for DriftPolicy {
    fn default() -> Self {
        Self { add_columns: true, widen_integers: false, max_columns: MAX_COLUMNS }
    }
}

/// The schema that also holds what was inferred, as far as the policy allows; the same pointer if nothing changes.
pub fn evolve(current: &SchemaRef, inferred: &Schema, policy: &DriftPolicy) -> SchemaRef {
    let mut budget = policy.max_columns.saturating_sub(count(current.fields()));
    let fields = merge_fields(current.fields(), inferred.fields(), policy, &mut budget);
    if fields == *current.fields() {
        return Arc::clone(current);
    }
    Arc::new(Schema::new_with_metadata(fields, current.metadata().clone()))
}

/// The columns of a table that also gets rows of this shape: what it lacks is added, and where the types differ the rows'
/// stands, for the sink to refuse what the table cannot become. The same pointer if nothing changes.
pub fn adopt(current: Option<&SchemaRef>, rows: &SchemaRef) -> SchemaRef {
    let Some(current) = current else { return Arc::clone(rows) };
    let mut fields: Vec<FieldRef> = current.fields().iter().cloned().collect();
    let mut changed = false;
    for field in rows.fields() {
        match fields.iter_mut().find(|known| known.name() == field.name()) {
            Some(known) if known.data_type().equals_datatype(field.data_type()) => {}
            Some(known) => (*known, changed) = (Arc::clone(field), true),
            None => {
                fields.push(Arc::clone(field));
                changed = true;
            }
        }
    }
    if changed { Arc::new(Schema::new(fields)) } else { Arc::clone(current) }
}

fn count(fields: &Fields) -> usize {
    fields.iter().map(|field| count_type(field.data_type())).sum()
}

fn count_type(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => 1 + count(fields),
        DataType::List(item) => 1 + count_type(item.data_type()),
        _ => 1,
    }
}

fn merge_fields(current: &Fields, inferred: &Fields, policy: &DriftPolicy, budget: &mut usize) -> Fields {
    let mut merged: Vec<FieldRef> = Vec::with_capacity(current.len());
    for field in current {
        let found = inferred.iter().find(|other| other.name() == field.name());
        merged.push(found.map_or_else(|| Arc::clone(field), |found| merge_field(field, found, policy, budget)));
    }
    for field in inferred {
        let known = current.iter().any(|other| other.name() == field.name());
        let cost = count_type(field.data_type());
        if !known && policy.add_columns && cost <= *budget {
            *budget -= cost;
            merged.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
    }
    merged.into()
}

fn merge_field(current: &FieldRef, inferred: &FieldRef, policy: &DriftPolicy, budget: &mut usize) -> FieldRef {
    let data_type = match (current.data_type(), inferred.data_type()) {
        (DataType::Int64 | DataType::Int32, DataType::Float64) if policy.widen_integers => DataType::Float64,
        (DataType::Struct(ours), DataType::Struct(theirs)) => {
            DataType::Struct(merge_fields(ours, theirs, policy, budget))
        }
        (DataType::List(ours), DataType::List(theirs)) => DataType::List(merge_field(ours, theirs, policy, budget)),
        _ => return Arc::clone(current),
    };
    let changed: Field = current.as_ref().clone();
    Arc::new(changed.with_data_type(data_type))
}
