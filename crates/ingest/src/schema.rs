//! The shape of tables: inferred from a sample, and changed as records change.

pub mod drift;
pub mod infer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

pub use drift::DriftPolicy;

pub const PARTITION_COLUMN: &str = "_partition";
pub const OFFSET_COLUMN: &str = "_offset";
pub const TIMESTAMP_COLUMN: &str = "_timestamp";
pub const SOURCE_FILE_COLUMN: &str = "_source_file";
pub const LINE_COLUMN: &str = "_line";
pub const INGESTED_AT_COLUMN: &str = "_ingested_at";

/// Names that records cannot use because every table has columns of that name.
pub fn is_reserved(name: &str) -> bool {
    let reserved =
        [PARTITION_COLUMN, OFFSET_COLUMN, TIMESTAMP_COLUMN, SOURCE_FILE_COLUMN, LINE_COLUMN, INGESTED_AT_COLUMN];
    reserved.contains(&name)
}

/// Which columns say where a row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    Log,
    File,
    /// Rows say themselves where they came from.
    None,
}

impl Provenance {
    pub fn fields(self) -> Vec<Field> {
        match self {
            Self::Log => vec![
                Field::new(PARTITION_COLUMN, DataType::Int32, true),
                Field::new(OFFSET_COLUMN, DataType::Int64, true),
                Field::new(TIMESTAMP_COLUMN, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
            ],
            Self::File => vec![
                Field::new(SOURCE_FILE_COLUMN, DataType::Utf8, true),
                Field::new(LINE_COLUMN, DataType::Int64, true),
            ],
            Self::None => Vec::new(),
        }
    }
}

/// The table's columns for records of this shape.
pub fn with_provenance(record: &Schema, provenance: Provenance) -> SchemaRef {
    let fields = record.fields().iter().map(|field| field.as_ref().clone()).chain(provenance.fields());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The shape of records, given the table's columns.
pub fn without_provenance(table: &Schema) -> SchemaRef {
    let fields = table.fields().iter().filter(|field| !is_reserved(field.name())).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
