//! How a table's schema follows its records: columns are added, if that is wanted, integers may become floats, nothing else
//! changes and nothing goes. What does not fit the result is refused record by record.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use headwater_project::Failure;

use crate::error::{Error, Result};
use crate::limits::MAX_COLUMNS;
use crate::rows::{as_overflow, only};
use crate::schema::{OVERFLOW_COLUMN, is_reserved};

/// What becomes of a field with a value that has no column. The first records of a table that was not declared always make
/// its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewFields {
    /// It gets one.
    #[default]
    Evolve,
    /// Its record goes to the quarantine.
    Freeze,
    /// It is kept, with all others of its record, in the column [`OVERFLOW_COLUMN`](super::OVERFLOW_COLUMN).
    Discard,
    /// Nothing more is read.
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriftPolicy {
    pub new_fields: NewFields,
    /// An integer column becomes a float column when a number with a fraction comes.
    pub widen_integers: bool,
    /// Most columns, nested ones counted.
    pub max_columns: usize,
}

impl Default for DriftPolicy {
    fn default() -> Self {
        Self { new_fields: NewFields::Evolve, widen_integers: false, max_columns: MAX_COLUMNS }
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

/// Rows that came typed, as far as the table may have their columns. The same rows where it may have all of them.
pub fn restrict(current: Option<&SchemaRef>, rows: RecordBatch, new_fields: NewFields) -> Result<RecordBatch> {
    let Some(current) = current.filter(|_| new_fields != NewFields::Evolve) else { return Ok(rows) };
    let known = |name: &str| is_reserved(name) || current.column_with_name(name).is_some();
    let Some(new) = rows.schema_ref().fields().iter().find(|field| !known(field.name())).cloned() else {
        return Ok(rows);
    };
    if new_fields != NewFields::Discard {
        let failure = Failure::user(format!("the source has a column `{}` that the table lacks", new.name()));
        return Err(Error::Failed(failure.with_hint(
            "Let the table follow with `new_fields: evolve`, keep such columns apart with `new_fields: discard`, or leave it \
             out where the source is read.",
        )));
    }
    let overflow = as_overflow(&only(&rows, |name| !known(name))?)?;
    let kept = only(&rows, known)?;
    let fields = kept.schema_ref().fields().iter().map(|field| field.as_ref().clone());
    let schema = Schema::new(fields.chain([Field::new(OVERFLOW_COLUMN, DataType::Utf8, true)]).collect::<Vec<_>>());
    let columns = kept.columns().iter().cloned().chain([overflow]).collect();
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
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
        if policy.new_fields != NewFields::Evolve || merged.iter().any(|other| is_same_name(other, field)) {
            continue;
        }
        let added = field.as_ref().clone().with_data_type(told_apart(field.data_type(), policy)).with_nullable(true);
        let cost = count_type(added.data_type());
        if cost <= *budget {
            *budget -= cost;
            merged.push(Arc::new(added));
        }
    }
    merged.into()
}

/// Whether a table takes two fields for one: it tells names apart without their case.
fn is_same_name(one: &Field, other: &Field) -> bool {
    one.name() == other.name() || one.name().to_lowercase() == other.name().to_lowercase()
}

/// A type without members that a table takes for others before them.
fn told_apart(data_type: &DataType, policy: &DriftPolicy) -> DataType {
    match data_type {
        DataType::Struct(fields) => {
            let mut unbounded = usize::MAX;
            DataType::Struct(merge_fields(&Fields::empty(), fields, policy, &mut unbounded))
        }
        DataType::List(item) => {
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(told_apart(item.data_type(), policy))))
        }
        other => other.clone(),
    }
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
