//! Sources, and what is known of each.

use headwater_app::{rfc3339, view};
use headwater_project::Failure;
use serde::{Deserialize, Serialize};

use super::{Column, Error, Generator, Integer, Pipeline, QuarantineTable, TableCommit};

/// One of `GET /api/sources`.
#[derive(Debug, Serialize)]
pub struct Source {
    pub name: String,
    /// `files`, `postgres`, `http`, `push`, `kafka`, `generator`.
    pub kind: String,
    pub description: Option<String>,
    /// Name of the connection it reads through.
    pub connection: Option<String>,
    /// The worst of its tables' states; `not running` where no process takes it in.
    pub state: String,
    pub paused_at: Option<String>,
    /// Whether a process takes it in: without one, tables say what their commits know.
    pub is_running: bool,
    pub tables: Vec<SourcePipeline>,
    pub generator: Option<Generator>,
}

/// One table that is fed by a source.
#[derive(Debug, Serialize)]
pub struct SourcePipeline {
    #[serde(flatten)]
    pub pipeline: Pipeline,
    /// Over the last minute.
    pub rows_per_second: f64,
    /// Records that wait at the source, where it can tell.
    pub lag_records: Option<Integer>,
    /// About the same in bytes, where it can tell.
    pub lag_bytes: Option<Integer>,
    /// Time since the last moment up to which the table has everything the source had, as far as the source was asked; null
    /// until it has caught up for the first time since the process began.
    pub behind_seconds: Option<f64>,
    /// Version of the last commit; null before the first of this process.
    pub table_version: Option<Integer>,
    pub positions: Vec<SourcePosition>,
    pub paused_at: Option<String>,
    /// It is one of several tables of one stream, and is paused with them.
    pub shares_stream: bool,
    /// A copy beside the stream that was asked for or is under way.
    pub copy: Option<TableCopy>,
}

/// A copy of a captured table that is made while its changes go on.
#[derive(Debug, Serialize)]
pub struct TableCopy {
    /// When somebody asked for it; null once it has begun, and of one that nobody asked for.
    pub asked_at: Option<String>,
    pub is_under_way: bool,
    /// Rows that were read; null where no process reads them now.
    pub rows: Option<Integer>,
    /// About so many there are, where the source can tell.
    pub of_rows: Option<Integer>,
}

/// The last copy of a captured table that was made beside its stream.
#[derive(Debug, Serialize)]
pub struct PastCopy {
    pub begun_at: Option<String>,
    /// Null while it is under way.
    pub ended_at: Option<String>,
    /// Rows that were read, when it ended.
    pub rows: Option<Integer>,
}

/// How far a part of a source was taken.
#[derive(Debug, Serialize)]
pub struct SourcePosition {
    pub part: String,
    pub position: String,
}

/// `GET /api/sources/{name}`.
#[derive(Debug, Serialize)]
pub struct SourceDetail {
    #[serde(flatten)]
    pub source: Source,
    /// The last hour, oldest first.
    pub history: Vec<SourcePoint>,
    /// The worst first.
    pub facts: Vec<SourceFact>,
    /// The newest first, 20 at most.
    pub errors: Vec<PastError>,
    /// Its file without secrets.
    pub configuration: Vec<ConfiguredValue>,
    /// The file, relative to the project.
    pub path: String,
}

/// All tables of a source at a moment.
#[derive(Debug, Serialize)]
pub struct SourcePoint {
    pub at: String,
    /// Over the minute before.
    pub rows_per_second: f64,
    pub lag_records: Option<Integer>,
    pub lag_bytes: Option<Integer>,
    pub behind_seconds: Option<f64>,
}

/// Something a connector knows of its source.
#[derive(Debug, Serialize)]
pub struct SourceFact {
    /// The table it is of; of the whole source when null.
    pub table: Option<String>,
    pub label: String,
    pub value: String,
    pub level: FactLevel,
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FactLevel {
    Ok,
    Warn,
    Bad,
}

#[derive(Debug, Serialize)]
pub struct PastError {
    pub at: String,
    pub table: String,
    pub error: Error,
}

#[derive(Debug, Serialize)]
pub struct ConfiguredValue {
    pub key: String,
    pub value: String,
}

/// One of `GET /api/sources/{name}/tables`: a table as the lake has it.
#[derive(Debug, Serialize)]
pub struct SourceTable {
    pub table: String,
    /// Null before its first commit.
    pub version: Option<Integer>,
    pub rows: Option<Integer>,
    pub bytes: Integer,
    pub columns: Integer,
    /// The newest first.
    pub commits: Vec<TableCommit>,
    /// The newest first.
    pub schema_changes: Vec<SchemaChange>,
    /// What was set aside; null when nothing was.
    pub quarantine: Option<QuarantineTable>,
    /// Of a captured table that was copied beside its stream.
    pub last_copy: Option<PastCopy>,
}

/// How the columns of a table changed with one commit.
#[derive(Debug, Serialize)]
pub struct SchemaChange {
    pub version: Integer,
    pub at: Option<String>,
    pub added: Vec<Column>,
    /// Columns that hold another type than before.
    pub changed: Vec<ColumnChange>,
    /// The first columns the table's log still tells of.
    pub is_first: bool,
}

#[derive(Debug, Serialize)]
pub struct ColumnChange {
    pub name: String,
    pub before: String,
    pub after: String,
}

/// Body of `POST /api/sources/{name}/pause`, `resume` and `restart`: the whole source, or one of its tables.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SteerSource {
    pub table: Option<String>,
}

/// Body of `POST /api/sources/{name}/recopy`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecopyTable {
    /// As in the source's file, or as in the lake.
    pub table: String,
}

impl From<view::SourceSummary> for Source {
    fn from(source: view::SourceSummary) -> Self {
        Self {
            name: source.name,
            kind: source.kind.to_owned(),
            description: source.description,
            connection: source.connection,
            state: source.state,
            paused_at: source.paused_at.map(rfc3339),
            is_running: source.is_running,
            tables: source.pipelines.into_iter().map(Into::into).collect(),
            generator: source.generator.map(Into::into),
        }
    }
}

impl From<view::PipelineDetail> for SourcePipeline {
    fn from(detail: view::PipelineDetail) -> Self {
        let position = |known: view::PositionSummary| SourcePosition { part: known.part, position: known.position };
        Self {
            pipeline: detail.status.into(),
            rows_per_second: detail.rows_per_second,
            lag_records: detail.lag_records.map(Into::into),
            lag_bytes: detail.lag_bytes.map(Into::into),
            behind_seconds: detail.behind_seconds,
            table_version: detail.table_version.map(Into::into),
            positions: detail.positions.into_iter().map(position).collect(),
            paused_at: detail.paused_at.map(rfc3339),
            shares_stream: detail.shares_stream,
            copy: detail.copy.map(Into::into),
        }
    }
}

impl From<view::TableCopy> for TableCopy {
    fn from(copy: view::TableCopy) -> Self {
        Self {
            asked_at: copy.asked_at.map(rfc3339),
            is_under_way: copy.is_under_way,
            rows: copy.rows.map(Into::into),
            of_rows: copy.of_rows.map(Into::into),
        }
    }
}

impl From<view::PastCopy> for PastCopy {
    fn from(copy: view::PastCopy) -> Self {
        Self {
            begun_at: copy.begun_at.map(rfc3339),
            ended_at: copy.ended_at.map(rfc3339),
            rows: copy.rows.map(Into::into),
        }
    }
}

impl From<view::SourceDetail> for SourceDetail {
    fn from(detail: view::SourceDetail) -> Self {
        Self {
            source: detail.summary.into(),
            history: detail.history.into_iter().map(Into::into).collect(),
            facts: detail.facts.into_iter().map(Into::into).collect(),
            errors: detail.errors.into_iter().map(Into::into).collect(),
            configuration: detail
                .configuration
                .into_iter()
                .map(|(key, value)| ConfiguredValue { key, value })
                .collect(),
            path: detail.path,
        }
    }
}

impl From<view::SourcePoint> for SourcePoint {
    fn from(point: view::SourcePoint) -> Self {
        Self {
            at: rfc3339(point.at),
            rows_per_second: point.rows_per_second,
            lag_records: point.lag_records.map(Into::into),
            lag_bytes: point.lag_bytes.map(Into::into),
            behind_seconds: point.behind_seconds,
        }
    }
}

impl From<view::SourceFact> for SourceFact {
    fn from(fact: view::SourceFact) -> Self {
        let level = match fact.level {
            "bad" => FactLevel::Bad,
            "warn" => FactLevel::Warn,
            _ => FactLevel::Ok,
        };
        Self { table: fact.table, label: fact.label, value: fact.value, level, hint: fact.hint }
    }
}

impl From<view::PastFailure> for PastError {
    fn from(error: view::PastFailure) -> Self {
        Self { at: rfc3339(error.at), table: error.table, error: Error::from(&error.failure) }
    }
}

impl From<view::ColumnSummary> for Column {
    fn from(column: view::ColumnSummary) -> Self {
        Self { name: column.name, data_type: column.data_type }
    }
}

impl From<view::SchemaChange> for SchemaChange {
    fn from(change: view::SchemaChange) -> Self {
        let changed =
            |column: view::ColumnChange| ColumnChange { name: column.name, before: column.before, after: column.after };
        Self {
            version: change.version.into(),
            at: change.at.map(rfc3339),
            added: change.added.into_iter().map(Into::into).collect(),
            changed: change.changed.into_iter().map(changed).collect(),
            is_first: change.is_first,
        }
    }
}

impl TryFrom<view::SourceTable> for SourceTable {
    type Error = Failure;

    fn try_from(table: view::SourceTable) -> Result<Self, Failure> {
        Ok(Self {
            table: table.table,
            version: table.version.map(Into::into),
            rows: table.rows.map(Into::into),
            bytes: table.bytes.into(),
            columns: Integer(i128::try_from(table.columns).unwrap_or(i128::MAX)),
            commits: table.commits.into_iter().map(Into::into).collect(),
            schema_changes: table.schema_changes.into_iter().map(Into::into).collect(),
            quarantine: table.quarantine.map(QuarantineTable::try_from).transpose()?,
            last_copy: table.last_copy.map(Into::into),
        })
    }
}
