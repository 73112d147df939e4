//! Nodes of the project and tables of the lake.

use headwater_app::{rfc3339, view};
use serde::Serialize;

use super::{AssetTest, Error, Integer};

#[derive(Debug, Serialize)]
pub struct Assets {
    pub nodes: Vec<Node>,
    pub tables: Vec<Table>,
}

/// `node` or `table` is there, or both.
#[derive(Debug, Serialize)]
pub struct Asset {
    pub node: Option<Node>,
    pub table: Option<Table>,
    /// As the project's files describe them; the types are those of `table`.
    pub column_descriptions: std::collections::BTreeMap<String, String>,
    /// The newest first, as far as the table's log still tells.
    pub versions: Vec<TableCommit>,
    pub tests: Vec<AssetTest>,
    /// As written, and as it ran.
    pub raw_sql: Option<String>,
    pub compiled_sql: Option<String>,
    /// Why it does not compile now.
    pub compile_error: Option<Error>,
    pub upstream: Vec<AssetLink>,
    pub downstream: Vec<AssetLink>,
}

impl From<view::AssetDetail> for Asset {
    fn from(asset: view::AssetDetail) -> Self {
        Self {
            node: asset.node.map(Into::into),
            table: asset.table.map(Into::into),
            column_descriptions: asset.column_descriptions,
            versions: asset.commits.into_iter().map(Into::into).collect(),
            tests: asset.tests.into_iter().map(Into::into).collect(),
            raw_sql: asset.raw_sql,
            compiled_sql: asset.compiled_sql,
            compile_error: asset.compile_failure.as_ref().map(Into::into),
            upstream: asset.upstream.into_iter().map(Into::into).collect(),
            downstream: asset.downstream.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<view::AssetLink> for AssetLink {
    fn from(link: view::AssetLink) -> Self {
        Self { id: link.id, name: link.name, kind: link.kind }
    }
}

impl From<view::CommitSummary> for TableCommit {
    fn from(commit: view::CommitSummary) -> Self {
        Self {
            version: commit.version.into(),
            at: commit.at.map(rfc3339),
            rows_written: commit.rows_written.map(Into::into),
            run: commit.run.map(Into::into),
            operation: commit.operation,
        }
    }
}

/// Columns of one node and of its whole family, by node id.
#[derive(Debug, Serialize)]
pub struct ColumnLineage {
    pub node: String,
    pub nodes: std::collections::BTreeMap<String, NodeColumns>,
}

/// Columns of a node, in order, told from its SQL.
#[derive(Debug, Serialize)]
pub struct NodeColumns {
    pub name: String,
    pub kind: String,
    pub relation: Option<String>,
    pub columns: Vec<NodeColumn>,
    /// Why nothing can be said of its columns.
    pub unknown: Option<String>,
    /// What is wrong with its SQL.
    pub problem: Option<Error>,
}

#[derive(Debug, Serialize)]
pub struct NodeColumn {
    pub name: String,
    pub data_type: String,
    /// Its origins as they are, not computed from them.
    pub is_copy: bool,
    pub origins: Vec<ColumnOrigin>,
}

#[derive(Debug, Serialize)]
pub struct ColumnOrigin {
    /// Id of the node that makes the relation; none for a table the project does not make.
    pub node: Option<String>,
    pub relation: String,
    pub column: String,
}

impl From<view::NodeColumns> for NodeColumns {
    fn from(node: view::NodeColumns) -> Self {
        let origin = |origin: view::ColumnOrigin| ColumnOrigin {
            node: origin.node,
            relation: origin.relation,
            column: origin.column,
        };
        let column = |column: view::NodeColumn| NodeColumn {
            name: column.name,
            data_type: column.data_type,
            is_copy: column.is_copy,
            origins: column.origins.into_iter().map(origin).collect(),
        };
        Self {
            name: node.name,
            kind: node.kind,
            relation: node.relation,
            columns: node.columns.into_iter().map(column).collect(),
            unknown: node.unknown,
            problem: node.problem.as_ref().map(Into::into),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct AssetLink {
    /// A node's id, `dashboard.d` or `tile.d.t`.
    pub id: String,
    pub name: String,
    /// `model`, `seed`, `source`, `test`, `tile`.
    pub kind: String,
}

/// One version of a table.
#[derive(Debug, Serialize)]
pub struct TableCommit {
    pub version: Integer,
    pub at: Option<String>,
    /// Rows this commit wrote.
    pub rows_written: Option<Integer>,
    /// The run that made it.
    pub run: Option<Integer>,
    /// What wrote it: `WRITE`, `MERGE`, `OPTIMIZE`, ...
    pub operation: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Node {
    pub id: String,
    pub name: String,
    pub resource_type: String,
    pub path: String,
    pub materialized: Option<String>,
    pub description: String,
    pub tags: Vec<String>,
    pub depends_on: Vec<String>,
    pub relation: Option<String>,
}

impl From<view::NodeSummary> for Node {
    fn from(node: view::NodeSummary) -> Self {
        Self {
            id: node.id,
            name: node.name,
            resource_type: node.resource_type,
            path: node.path,
            materialized: node.materialized,
            description: node.description,
            tags: node.tags,
            depends_on: node.depends_on,
            relation: node.relation,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct CompiledNode {
    pub id: String,
    pub name: String,
    pub sql: String,
}

impl From<view::CompiledNode> for CompiledNode {
    fn from(node: view::CompiledNode) -> Self {
        Self { id: node.id, name: node.name, sql: node.sql }
    }
}

#[derive(Debug, Serialize)]
pub struct Table {
    pub name: String,
    pub is_view: bool,
    pub version: Integer,
    pub rows: Option<Integer>,
    pub bytes: Integer,
    pub files: Integer,
    pub columns: Vec<Column>,
    pub partition_columns: Vec<String>,
    /// Why nothing more is known of it.
    pub error: Option<Error>,
}

#[derive(Debug, Serialize)]
pub struct Column {
    pub name: String,
    pub data_type: String,
}

impl From<view::TableSummary> for Table {
    fn from(table: view::TableSummary) -> Self {
        let column = |column: view::ColumnSummary| Column { name: column.name, data_type: column.data_type };
        Self {
            name: table.name,
            is_view: table.is_view,
            version: table.version.into(),
            rows: table.rows.map(Into::into),
            bytes: table.bytes.into(),
            files: table.files.into(),
            columns: table.columns.into_iter().map(column).collect(),
            partition_columns: table.partition_columns,
            error: table.failure.as_ref().map(Into::into),
        }
    }
}
