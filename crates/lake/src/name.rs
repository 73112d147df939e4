//! Names of tables.

use std::fmt;

/// `schema.table`. Both parts become folders of the lake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    pub schema: String,
    pub table: String,
}

impl TableName {
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }

    /// Where the table lies below the root of the lake.
    pub(crate) fn path(&self) -> object_store::path::Path {
        object_store::path::Path::from_iter(["tables", &self.schema, &self.table])
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.schema, self.table)
    }
}
