//! Nodes of the project and tables of the lake.

use headwater_app::view;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct Assets {
    pub nodes: Vec<Node>,
    pub tables: Vec<Table>,
}

/// At least one of the two is there.
#[derive(Debug, Serialize)]
pub struct Asset {
    pub node: Option<Node>,
    pub table: Option<Table>,
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
    pub version: u64,
    pub rows: Option<u64>,
    pub bytes: u64,
    pub files: u64,
    pub columns: Vec<Column>,
    pub partition_columns: Vec<String>,
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
            version: table.version,
            rows: table.rows,
            bytes: table.bytes,
            files: table.files,
            columns: table.columns.into_iter().map(column).collect(),
            partition_columns: table.partition_columns,
        }
    }
}
