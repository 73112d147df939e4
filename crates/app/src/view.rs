//! Plain data that crosses the façade: what the terminal and HTTP show.
//!
//! Public fields, no behaviour, no types of the planes below. `server` and `cli` convert these to their own wire shapes.

mod overview;
mod sinks;
mod sources;

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_project::{Failure, Timestamp};

pub use overview::{
    AssetDetail, AssetLink, AssetTest, ColumnOrigin, CommitSummary, Disk, Freshness, Health, Home, LineageEdge,
    LineageGraph, LineageNode, LineagePicture, NodeColumn, NodeColumns, QuarantineReason, QuarantineReplay,
    QuarantineSummary, Verification, VerifiedPart,
};

pub use sinks::SinkSummary;
pub use sources::{
    ColumnChange, PastCopy, PastFailure, PipelineDetail, PositionSummary, SchemaChange, SourceDetail, SourceFact,
    SourcePoint, SourceSummary, SourceTable, TableCopy,
};

pub use headwater_dash::{
    Dashboard, Direction, FilterConfig, FilterKind, NumberFormat, Place as GridPlace, Stacking, TabConfig, TileConfig,
    TileKind,
};

/// One finding of `headwater check`, rendered with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub is_error: bool,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// The name dbt has for a warning.
    pub event: Option<&'static str>,
    /// Path relative to the project, line and column, all from 1.
    pub place: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub path: String,
    pub line: u32,
    pub column: u32,
    /// The line's text, for showing it with a marker.
    pub text: String,
    /// Characters from `column` on that the finding is about; at least 1.
    pub length: u32,
}

/// A node of the project: model, seed, test, source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSummary {
    pub id: String,
    /// What selects exactly it: `shop.staging.orders`, `source:shop.raw.orders`.
    pub selector: String,
    /// Its file, relative to the project.
    pub file: String,
    pub name: String,
    /// `model`, `seed`, `test`, `source`.
    pub resource_type: String,
    pub path: String,
    pub materialized: Option<String>,
    pub description: String,
    pub tags: Vec<String>,
    pub depends_on: Vec<String>,
    /// `schema.table` for what is stored.
    pub relation: Option<String>,
}

/// How old the newest row of a source is.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceFreshness {
    pub id: String,
    pub name: String,
    /// `pass`, `warn`, `error`, `runtime error`.
    pub status: &'static str,
    pub loaded_at: Option<Timestamp>,
    pub looked_at: Timestamp,
    pub age_seconds: Option<f64>,
    /// What its age is judged by, as dbt writes it.
    pub criteria: serde_json::Value,
    pub failure: Option<Failure>,
}

/// Something of a node's compiled SQL that has no translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untranslated {
    pub node: String,
    pub file: String,
    /// In the compiled SQL, counted from 1; 0 where it is not known.
    pub line: u64,
    pub column: u64,
    pub what: String,
    pub hint: String,
}

/// A node with its compiled SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledNode {
    pub id: String,
    pub name: String,
    pub sql: String,
}

/// What is known of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableSummary {
    /// `schema.table`.
    pub name: String,
    pub is_view: bool,
    /// Version readers see; zero for a view.
    pub version: u64,
    pub rows: Option<u64>,
    pub bytes: u64,
    pub files: u64,
    pub columns: Vec<ColumnSummary>,
    pub partition_columns: Vec<String>,
    /// Why nothing more is known of it: a table that others made in a way we do not read.
    pub failure: Option<Failure>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSummary {
    pub name: String,
    pub data_type: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    Success,
    /// Nothing changed since it was built last.
    Unchanged,
    Warn,
    /// A test found rows it should not.
    Fail,
    Error,
    /// Something it needs did not succeed.
    Skipped,
}

impl StepOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Unchanged => "unchanged",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }

    pub fn is_bad(self) -> bool {
        matches!(self, Self::Fail | Self::Error | Self::Skipped)
    }
}

/// How one step of a run went.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    pub id: String,
    pub name: String,
    /// `model`, `seed`, `test`.
    pub kind: String,
    pub outcome: StepOutcome,
    pub started_at: Timestamp,
    pub seconds: f64,
    /// Rows written by a model, or failures found by a test.
    pub rows: Option<u64>,
    pub failure: Option<Failure>,
    /// How a node is kept: `table`, `view`, `incremental`; and `schema.table`, where it is kept at all.
    pub materialized: Option<String>,
    pub relation: Option<String>,
    /// The SQL it came to, where it was compiled.
    pub compiled: Option<Arc<str>>,
}

impl StepReport {
    /// A step that has not begun.
    pub(crate) fn blank(id: &str, name: String, kind: String, started_at: Timestamp) -> Self {
        Self {
            id: id.to_owned(),
            name,
            kind,
            outcome: StepOutcome::Skipped,
            started_at,
            seconds: 0.0,
            rows: None,
            failure: None,
            materialized: None,
            relation: None,
            compiled: None,
        }
    }
}

/// How a whole run went.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    pub run: i64,
    pub command: String,
    pub succeeded: bool,
    pub seconds: f64,
    pub steps: Vec<StepReport>,
    /// `schema.table` of everything readers now see in a new version.
    pub published: Vec<String>,
}

/// Told while a run goes on; called from any thread.
pub trait Observer: Send + Sync {
    /// The run will have this many steps.
    fn planned(&self, _steps: usize) {}
    fn started(&self, _id: &str, _name: &str, _kind: &str) {}
    fn finished(&self, _step: &StepReport) {}
    /// A `log(..., info=true)` or `print` of a template.
    fn message(&self, _text: &str) {}
}

/// Nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {}

/// A past or running run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    pub id: i64,
    pub job: Option<String>,
    pub command: String,
    pub trigger: String,
    pub selection: String,
    /// `queued`, `running`, `succeeded`, `failed`, `cancelled`, `crashed`.
    pub status: String,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub message: Option<String>,
}

/// A step of a past run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSummary {
    pub id: String,
    pub kind: String,
    pub status: String,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub rows: Option<i64>,
    pub message: Option<String>,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// As it ran last, when the target folder still holds it.
    pub compiled_sql: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSummary {
    pub name: String,
    pub partitions: Vec<TopicPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicPartition {
    pub partition: i32,
    pub start_offset: i64,
    pub end_offset: i64,
    pub bytes: u64,
}

/// A record of a topic as `headwater topics tail` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    pub partition: i32,
    pub offset: i64,
    pub timestamp: Timestamp,
    pub payload: Vec<u8>,
}

/// How one ingested table is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PipelineStatus {
    pub source: String,
    /// `schema.table`.
    pub table: String,
    /// `starting`, `running`, `caught up`, `retrying`, `pausing`, `paused`, `failed`, `finished`, `stopped`, `not running`.
    pub state: String,
    pub records_in: u64,
    pub rows_out: u64,
    pub quarantined: u64,
    pub bytes_in: u64,
    pub commits: u64,
    /// Records of the source not committed yet; 0 also where that cannot be told.
    pub lag: u64,
    pub last_commit_at: Option<Timestamp>,
    pub error: Option<Failure>,
}

/// How one generator is doing. Counts are since its first start, over all topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneratorStatus {
    pub source: String,
    /// `backlog`, `live`, `paused`, `waiting`, `finished`, `failed`.
    pub state: String,
    pub delivered: u64,
    pub late: u64,
    pub duplicates: u64,
    pub malformed: u64,
    /// Event time reached.
    pub reached: Option<Timestamp>,
    pub by_topic: BTreeMap<String, u64>,
}

/// What the process is doing now.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub project: String,
    pub version: String,
    pub started_at: Timestamp,
    pub now: Timestamp,
    pub generators: Vec<GeneratorStatus>,
    pub pipelines: Vec<PipelineStatus>,
    pub running_runs: Vec<i64>,
    pub last_run: Option<RunSummary>,
    pub schedules: Vec<ScheduleStatus>,
    /// Resident memory of the process.
    pub memory_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleStatus {
    pub job: String,
    pub schedule: String,
    pub last_tick: Option<Timestamp>,
    pub next_tick: Option<Timestamp>,
}

/// One check of `headwater doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    pub check: String,
    /// `ok`, `warning`, `error`.
    pub verdict: &'static str,
    pub detail: String,
    pub hint: Option<String>,
}

/// The answer of one dashboard tile.
#[derive(Clone, Debug)]
pub struct TileAnswer {
    pub dashboard: String,
    pub dashboard_title: String,
    pub tile: String,
    pub title: String,
    pub kind: String,
    pub unit: Option<String>,
    pub seconds: f64,
    pub result: Result<TileRows, Failure>,
}

#[derive(Clone, Debug)]
pub struct TileRows {
    pub schema: arrow::datatypes::SchemaRef,
    pub batches: Vec<arrow::record_batch::RecordBatch>,
    /// The query has more rows.
    pub truncated: bool,
}

/// A dashboard's definition with what only a running process knows of it.
#[derive(Clone, Debug)]
pub struct DashboardPage {
    pub dashboard: Dashboard,
    pub tiles: Vec<PageTile>,
    /// By filter.
    pub choices: BTreeMap<String, FilterChoices>,
    /// Named date ranges: name, first and last day.
    pub presets: Vec<(String, String, String)>,
}

#[derive(Clone, Debug)]
pub struct PageTile {
    pub config: TileConfig,
    pub place: GridPlace,
    /// Filters its answer depends on.
    pub filters: Vec<String>,
    /// `schema.table` of what it reads.
    pub tables: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct FilterChoices {
    /// As the file writes it; null when it does not.
    pub default: serde_json::Value,
    pub options: Option<Vec<String>>,
    pub is_truncated: bool,
    pub failure: Option<Failure>,
}

/// The answer of a tile under chosen filter values.
#[derive(Clone, Debug)]
pub struct AnsweredTile {
    pub rows: TileRows,
    pub versions: Vec<ReadVersion>,
    /// When the newest version read was published.
    pub as_of: Option<Timestamp>,
    pub computed_at: Timestamp,
    pub seconds: f64,
    /// Made by or for somebody else.
    pub is_kept: bool,
    pub standing: Standing,
    /// Date ranges as days: filter, first and last.
    pub periods: Vec<(String, String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadVersion {
    pub table: String,
    pub version: u64,
    pub at: Option<Timestamp>,
}

/// How far an answer can be relied on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub tests: TestCounts,
    pub quarantined: u64,
    pub stale: Option<String>,
    /// `schema.table` of everything it stands on.
    pub relations: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestCounts {
    pub passed: u32,
    pub warned: u32,
    pub failed: u32,
    pub unknown: u32,
}
