//! The shape of tables: inferred from a sample, and changed as records change.

pub mod drift;
pub mod infer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

pub use drift::{DriftPolicy, NewFields};

pub const PARTITION_COLUMN: &str = "_partition";
pub const OFFSET_COLUMN: &str = "_offset";
pub const TIMESTAMP_COLUMN: &str = "_timestamp";
pub const SOURCE_FILE_COLUMN: &str = "_source_file";
pub const LINE_COLUMN: &str = "_line";
pub const INGESTED_AT_COLUMN: &str = "_ingested_at";
pub const TOPIC_COLUMN: &str = "_topic";
pub const KEY_COLUMN: &str = "_message_key";
pub const HEADERS_COLUMN: &str = "_message_headers";
pub const TOMBSTONE_COLUMN: &str = "_tombstone";
/// Fields of a record that have no column of their own, as the text of one JSON object; a nested one by its path.
pub const OVERFLOW_COLUMN: &str = "_overflow";

/// Every column that is not a field of a record.
const RESERVED: [&str; 11] = [
    PARTITION_COLUMN,
    OFFSET_COLUMN,
    TIMESTAMP_COLUMN,
    SOURCE_FILE_COLUMN,
    LINE_COLUMN,
    INGESTED_AT_COLUMN,
    TOPIC_COLUMN,
    KEY_COLUMN,
    HEADERS_COLUMN,
    TOMBSTONE_COLUMN,
    OVERFLOW_COLUMN,
];

/// Names that records cannot use because every table has columns of that name, whatever their case.
pub fn is_reserved(name: &str) -> bool {
    name.starts_with('_') && RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// Which columns say where a row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    Log,
    File,
    /// Messages of a broker, whose key and headers may be kept.
    Message(MessageColumns),
    /// Rows say themselves where they came from.
    None,
}

/// What is kept of a message besides its value, partition, offset and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageColumns {
    pub key: KeyColumn,
    pub headers: bool,
    /// Messages of several topics share the table.
    pub topic: bool,
}

/// How the key of a message is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyColumn {
    None,
    #[default]
    Text,
    Bytes,
}

fn log_fields() -> Vec<Field> {
    vec![
        Field::new(PARTITION_COLUMN, DataType::Int32, true),
        Field::new(OFFSET_COLUMN, DataType::Int64, true),
        Field::new(TIMESTAMP_COLUMN, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]
}

/// One header: a list of these is a column, because a name may come twice.
pub(crate) fn header_fields() -> Fields {
    Fields::from(vec![Field::new("name", DataType::Utf8, true), Field::new("value", DataType::Utf8, true)])
}

impl MessageColumns {
    fn fields(self) -> Vec<Field> {
        let mut fields = log_fields();
        if self.topic {
            fields.push(Field::new(TOPIC_COLUMN, DataType::Utf8, true));
        }
        match self.key {
            KeyColumn::None => {}
            KeyColumn::Text => fields.push(Field::new(KEY_COLUMN, DataType::Utf8, true)),
            KeyColumn::Bytes => fields.push(Field::new(KEY_COLUMN, DataType::Binary, true)),
        }
        if self.headers {
            let header = Field::new("element", DataType::Struct(header_fields()), true);
            fields.push(Field::new(HEADERS_COLUMN, DataType::List(Arc::new(header)), true));
        }
        fields.push(Field::new(TOMBSTONE_COLUMN, DataType::Boolean, true));
        fields
    }
}

impl Provenance {
    pub fn fields(self) -> Vec<Field> {
        match self {
            Self::Log => log_fields(),
            Self::Message(columns) => columns.fields(),
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

/// The columns of records some of whose fields have none of their own.
pub fn with_overflow(records: &Schema) -> SchemaRef {
    let fields = records.fields().iter().map(|field| field.as_ref().clone());
    let overflow = Field::new(OVERFLOW_COLUMN, DataType::Utf8, true);
    Arc::new(Schema::new(fields.chain([overflow]).collect::<Vec<_>>()))
}

/// The shape of records, given the table's columns.
pub fn without_provenance(table: &Schema) -> SchemaRef {
    let fields = table.fields().iter().filter(|field| !is_reserved(field.name())).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
