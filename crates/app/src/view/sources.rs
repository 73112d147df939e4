//! Sources: how each is doing, and what is known of it.

use headwater_project::{Failure, Timestamp};

use super::{ColumnSummary, CommitSummary, GeneratorStatus, PipelineStatus, QuarantineSummary};

/// One source at a glance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceSummary {
    pub name: String,
    /// `files`, `postgres`, `http`, `push`, `kafka`, `generator`.
    pub kind: &'static str,
    pub description: Option<String>,
    /// Name of the connection it reads through.
    pub connection: Option<String>,
    /// The worst of its pipelines' states; `not running` where no process takes it in.
    pub state: String,
    pub paused_at: Option<Timestamp>,
    /// Whether a process runs its pipelines: without one, they say what the commits of their tables know.
    pub is_running: bool,
    /// One for each table it fills.
    pub pipelines: Vec<PipelineDetail>,
    pub generator: Option<GeneratorStatus>,
}

/// One table that is fed by a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PipelineDetail {
    pub status: PipelineStatus,
    /// Over the last minute.
    pub rows_per_second: f64,
    /// Records that wait at the source, where it can tell.
    pub lag_records: Option<u64>,
    /// About the same in bytes, where it can tell.
    pub lag_bytes: Option<u64>,
    /// Time since the last moment up to which the table has everything the source had, as far as the source was asked. None
    /// until it has caught up for the first time since the process began.
    pub behind_seconds: Option<f64>,
    pub table_version: Option<u64>,
    pub positions: Vec<PositionSummary>,
    pub paused_at: Option<Timestamp>,
    /// It is one of several tables of one stream, and is paused with them.
    pub shares_stream: bool,
    /// A copy beside the stream that was asked for or is under way.
    pub copy: Option<TableCopy>,
}

/// A copy of a captured table that is made while its changes go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableCopy {
    /// When somebody asked for it; none once it has begun, and of one that nobody asked for.
    pub asked_at: Option<Timestamp>,
    pub is_under_way: bool,
    /// Rows that were read, where a process reads them now.
    pub rows: Option<u64>,
    /// About so many there are, when the source can tell.
    pub of_rows: Option<u64>,
}

/// The last copy of a captured table, as its source noted it in the lake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastCopy {
    pub number: i64,
    pub begun_at: Option<Timestamp>,
    /// None while it is under way, and of one that was overtaken by a copy of all tables.
    pub ended_at: Option<Timestamp>,
    pub rows: Option<u64>,
}

/// How far a part of a source was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionSummary {
    /// `views/3`, `public.orders`.
    pub part: String,
    /// An offset, a place in a log, a time.
    pub position: String,
}

/// A source with its last hour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceDetail {
    pub summary: SourceSummary,
    /// Oldest first.
    pub history: Vec<SourcePoint>,
    pub facts: Vec<SourceFact>,
    /// The newest first.
    pub errors: Vec<PastFailure>,
    /// As its file has it: keys and values, secrets left out.
    pub configuration: Vec<(String, String)>,
    /// The file, relative to the project.
    pub path: String,
}

/// All tables of a source at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SourcePoint {
    pub at: Timestamp,
    /// Over the minute before.
    pub rows_per_second: f64,
    pub lag_records: Option<u64>,
    pub lag_bytes: Option<u64>,
    pub behind_seconds: Option<f64>,
}

/// Something a connector knows of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFact {
    /// The table it is of; of the whole source when none.
    pub table: Option<String>,
    pub label: String,
    pub value: String,
    /// `ok`, `warn`, `bad`.
    pub level: &'static str,
    pub hint: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PastFailure {
    pub at: Timestamp,
    pub table: String,
    pub failure: Failure,
}

/// A table of a source as the lake has it.
#[derive(Clone, Debug)]
pub struct SourceTable {
    pub table: String,
    /// None before its first commit.
    pub version: Option<u64>,
    pub rows: Option<u64>,
    pub bytes: u64,
    pub columns: usize,
    /// The newest first.
    pub commits: Vec<CommitSummary>,
    /// The newest first.
    pub schema_changes: Vec<SchemaChange>,
    pub quarantine: Option<QuarantineSummary>,
    /// Of a captured table, beside its stream.
    pub last_copy: Option<PastCopy>,
}

/// How the columns of a table changed with one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    pub version: u64,
    pub at: Option<Timestamp>,
    pub added: Vec<ColumnSummary>,
    /// Columns that hold another type than before.
    pub changed: Vec<ColumnChange>,
    /// The first columns the log still tells of: what was before them is not known, or nothing.
    pub is_first: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnChange {
    pub name: String,
    pub before: String,
    pub after: String,
}
