//! Lineage, assets, quarantine and home.

use std::collections::BTreeMap;

use headwater_project::{Failure, Timestamp};

use super::{Diagnosis, NodeSummary, RunSummary, Status, TableSummary, TileRows};

/// How a node of the lineage is; the worse, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Unknown,
    Ok,
    Running,
    Warning,
    Failed,
}

/// What a picture of the graph shows. Only that is laid out; the rest is told without a place.
#[derive(Clone, Debug, Default)]
pub struct LineagePicture {
    pub hidden_kinds: Vec<String>,
    /// A node that is shown whatever its kind.
    pub focus: Option<String>,
    /// Only this node, what it is made from and what is made from it.
    pub family_of: Option<String>,
}

/// Columns of a node, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeColumns {
    pub name: String,
    /// `model`, `seed`, `source`, `snapshot`, `test`.
    pub kind: String,
    /// `schema.table` of what is stored.
    pub relation: Option<String>,
    pub columns: Vec<NodeColumn>,
    /// Why nothing can be said of its columns: what it reads is not known.
    pub unknown: Option<String>,
    /// What is wrong with its SQL.
    pub problem: Option<Failure>,
}

/// One column and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeColumn {
    pub name: String,
    /// As SQL has it: `BIGINT`, `DECIMAL(10, 2)`.
    pub data_type: String,
    /// Its origins as they are, not computed from them.
    pub is_copy: bool,
    pub origins: Vec<ColumnOrigin>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnOrigin {
    /// Id of the node that makes the relation; none for a table the project does not make.
    pub node: Option<String>,
    pub relation: String,
    pub column: String,
}

/// Everything as one graph, laid out.
#[derive(Clone, Debug)]
pub struct LineageGraph {
    pub nodes: Vec<LineageNode>,
    pub edges: Vec<LineageEdge>,
    pub width: f64,
    pub height: f64,
}

/// From, to, and the bends between.
pub type LineageEdge = (String, String, Vec<(f64, f64)>);

#[derive(Clone, Debug)]
pub struct LineageNode {
    pub id: String,
    pub name: String,
    /// `source`, `seed`, `model`, `test`, `tile`, `dashboard`.
    pub kind: &'static str,
    pub health: Health,
    pub message: Option<String>,
    pub relation: Option<String>,
    pub materialized: Option<String>,
    pub dashboard: Option<String>,
    pub x: f64,
    pub y: f64,
}

/// One asset in detail.
#[derive(Clone, Debug, Default)]
pub struct AssetDetail {
    pub node: Option<NodeSummary>,
    pub table: Option<TableSummary>,
    pub column_descriptions: BTreeMap<String, String>,
    pub commits: Vec<CommitSummary>,
    pub tests: Vec<AssetTest>,
    pub raw_sql: Option<String>,
    pub compiled_sql: Option<String>,
    pub compile_failure: Option<Failure>,
    pub upstream: Vec<AssetLink>,
    pub downstream: Vec<AssetLink>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetLink {
    pub id: String,
    pub name: String,
    pub kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitSummary {
    pub version: u64,
    pub at: Option<Timestamp>,
    pub rows_written: Option<u64>,
    pub run: Option<i64>,
    pub operation: Option<String>,
}

/// A test with its last result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetTest {
    pub id: String,
    pub name: String,
    /// `pass`, `warn`, `fail`, `error`; none when it never ran.
    pub outcome: Option<String>,
    pub failures: Option<i64>,
    pub message: Option<String>,
    pub at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct QuarantineSummary {
    pub table: String,
    /// The table its records were meant for.
    pub of: String,
    pub total: u64,
    pub reasons: Vec<QuarantineReason>,
    pub sample: TileRows,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineReason {
    pub reason: String,
    pub count: u64,
    pub last_at: Option<Timestamp>,
}

/// What came of reading quarantined records again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuarantineReplay {
    pub table: String,
    /// Records that are rows of the table now.
    pub taken: u64,
    /// Records that read by now, and that the project does not want.
    pub left_out: u64,
    /// Records that still do not fit.
    pub remaining: u64,
    /// Records of which only the beginning was kept: they cannot be read again from here.
    pub cut_short: u64,
}

/// A table compared with its source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    pub table: String,
    pub parts: Vec<VerifiedPart>,
}

/// One partition or file, or all of a source that has neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifiedPart {
    pub part: String,
    pub source_rows: u64,
    pub lake_rows: u64,
    pub source_quarantined: u64,
    pub lake_quarantined: u64,
    /// Offsets that were compared: what the source still has of what the lake has taken.
    pub first: Option<i64>,
    pub last: Option<i64>,
    /// Commits in the table's log that moved it on.
    pub commits: Option<u64>,
    /// What is not the same; nothing when all is.
    pub difference: Option<String>,
}

/// The state of everything at a glance.
#[derive(Clone, Debug)]
pub struct Home {
    pub status: Status,
    pub running: Vec<RunSummary>,
    pub recent_runs: Vec<RunSummary>,
    pub tables: Vec<Freshness>,
    pub failing_tests: Vec<AssetTest>,
    pub quarantined: u64,
    pub machine_bytes: u64,
    pub disk: Disk,
    pub problems: Vec<Diagnosis>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    pub table: String,
    pub version: u64,
    pub rows: Option<u64>,
    pub bytes: u64,
    pub at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    pub tables_bytes: u64,
    pub topics_bytes: u64,
    pub free_bytes: u64,
    pub total_bytes: u64,
}
