//! What compiling needs from the warehouse.

use headwater_project::{Classify, Failure, Kind};

/// The warehouse as a compile sees it.
///
/// Calls are blocking, made from the thread that renders, and may come from several renders at once. Nothing is cached
/// here: a relation asked for twice is looked up twice, and both answers must come from the versions the run has pinned.
/// Statements are those a project writes in `run_query` or `statement`; an implementation may refuse all but queries, and
/// should bound the number of rows it returns. An error ends the render of the node that asked and of no other; it becomes a
/// diagnostic at the place of the call, with the failure's message, detail and hint.
pub trait Warehouse: Send + Sync + std::fmt::Debug {
    /// Runs one statement and returns its whole (small) result.
    fn query(&self, sql: &str) -> Result<QueryTable, WarehouseError>;

    /// As [`Warehouse::query`], for a statement in the warehouse's own SQL: nothing of it is the project's.
    fn query_own(&self, sql: &str) -> Result<QueryTable, WarehouseError> {
        self.query(sql)
    }

    /// A statement of the project in the warehouse's own SQL. A project may be written in another dialect; what is built
    /// around its statements is always in the warehouse's.
    fn translate(&self, sql: &str) -> Result<String, WarehouseError> {
        Ok(sql.to_owned())
    }

    /// An expression of the project in the warehouse's own SQL: a column, a condition.
    fn translate_expression(&self, sql: &str) -> Result<String, WarehouseError> {
        Ok(sql.to_owned())
    }

    /// Describes a relation, or says that it does not exist.
    fn relation(&self, relation: &RelationName) -> Result<Option<RelationInfo>, WarehouseError>;
}

/// A small result, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryTable {
    pub columns: Vec<ColumnInfo>,
    /// As many cells in each row as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnInfo {
    pub name: String,
    /// The warehouse's own name of the type.
    pub data_type: String,
}

/// Where a relation lives. Displayed quoted, part by part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationName {
    pub database: Option<String>,
    pub schema: String,
    pub identifier: String,
}

impl std::fmt::Display for RelationName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(database) = &self.database {
            write!(formatter, "{}.", quoted(database))?;
        }
        write!(formatter, "{}.{}", quoted(&self.schema), quoted(&self.identifier))
    }
}

/// An identifier in double quotes.
pub(crate) fn quoted(identifier: &str) -> String {
    quoted_with(identifier, '"')
}

/// An identifier in the quotes of a dialect.
pub(crate) fn quoted_with(identifier: &str, quote: char) -> String {
    format!("{quote}{}{quote}", identifier.replace(quote, &format!("{quote}{quote}")))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    Table,
    View,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationInfo {
    pub kind: RelationKind,
    pub columns: Vec<ColumnInfo>,
}

/// Why the warehouse did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{}", failure.message)]
pub struct WarehouseError {
    pub failure: Failure,
}

impl From<Failure> for WarehouseError {
    fn from(failure: Failure) -> Self {
        Self { failure }
    }
}

impl Classify for WarehouseError {
    fn kind(&self) -> Kind {
        self.failure.kind
    }

    fn hint(&self) -> Option<String> {
        self.failure.hint.clone()
    }

    fn failure(&self) -> Failure {
        self.failure.clone()
    }
}
