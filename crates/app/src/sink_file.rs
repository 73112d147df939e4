//! `sinks/*.yml`: what goes out.

use headwater_connectors::files::FilesTarget;
use headwater_connectors::http::HttpTarget;
use headwater_connectors::kafka::config::{DebeziumTopic, SinkTopic};
use headwater_connectors::postgres::PostgresTable;
use headwater_project::config::{DurationText, TextList};
use schemars::JsonSchema;
use serde::Deserialize;

/// A sink: rows that go out of the lake.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum SinkConfig {
    /// Rows as messages of a Kafka topic, each once: they and how far the table was sent are one transaction.
    Kafka(SinkFile<SinkTopic>),
    /// Rows in a PostgreSQL table, each once: they and how far the table was sent are one transaction.
    Postgres(SinkFile<PostgresTable>),
    /// Rows in files of a folder or a bucket, each once.
    Files(SinkFile<FilesTarget>),
    /// Rows in requests to a web service, each at least once, with a key for each request.
    Http(SinkFile<HttpTarget>),
}

/// Rows of a table, and where they go.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkFile<T> {
    /// Name of the sink.
    pub(crate) name: String,
    /// What the sink is for.
    pub(crate) description: Option<String>,
    /// Table or model, as `schema.table`.
    pub(crate) table: String,
    /// Which of its rows are sent.
    #[serde(default)]
    pub(crate) send: Send,
    /// Which of its columns are sent; all when none is named.
    #[serde(default)]
    pub(crate) columns: TextList,
    /// Where they go.
    pub(crate) to: T,
    /// Time between two looks for rows to send.
    #[serde(default = "ten_seconds")]
    pub(crate) every: DurationText,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Send {
    /// Rows that were added, by `_ingested_at`, which every ingested table has. In a table that is kept by key these are the
    /// rows that changed; one that went is not seen.
    #[default]
    Added,
    /// All rows, each time the table has a new version.
    All,
}

fn ten_seconds() -> DurationText {
    DurationText(std::time::Duration::from_secs(10))
}

/// The same of whichever kind.
macro_rules! each {
    ($sink:expr, $file:ident => $value:expr) => {
        match $sink {
            SinkConfig::Kafka($file) => $value,
            SinkConfig::Postgres($file) => $value,
            SinkConfig::Files($file) => $value,
            SinkConfig::Http($file) => $value,
        }
    };
}

impl SinkConfig {
    pub(crate) fn name(&self) -> &str {
        each!(self, file => &file.name)
    }

    pub(crate) fn description(&self) -> Option<&str> {
        each!(self, file => file.description.as_deref())
    }

    pub(crate) fn table(&self) -> &str {
        each!(self, file => &file.table)
    }

    pub(crate) fn send(&self) -> Send {
        each!(self, file => file.send)
    }

    pub(crate) fn columns(&self) -> &[String] {
        each!(self, file => &file.columns.0)
    }

    pub(crate) fn every(&self) -> std::time::Duration {
        each!(self, file => file.every.0)
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Kafka(_) => "kafka",
            Self::Postgres(_) => "postgres",
            Self::Files(_) => "files",
            Self::Http(_) => "http",
        }
    }

    /// Where rows go as the file says it, within the connection if there is one.
    pub(crate) fn destination(&self) -> &str {
        match self {
            Self::Kafka(file) => file.to.topic(),
            Self::Postgres(file) => &file.to.table,
            Self::Files(file) => &file.to.path,
            Self::Http(file) => &file.to.path,
        }
    }

    /// Name of the connection it writes through.
    pub(crate) fn connection(&self) -> Option<&String> {
        match self {
            Self::Files(_) => None,
            Self::Kafka(file) => Some(&file.to.connection),
            Self::Postgres(file) => Some(&file.to.connection),
            Self::Http(file) => Some(&file.to.connection),
        }
    }

    /// How it writes changes of a captured table, if that is what it sends.
    pub(crate) fn changes(&self) -> Option<DebeziumTopic> {
        match self {
            Self::Kafka(file) => file.to.changes(),
            Self::Postgres(_) | Self::Files(_) | Self::Http(_) => None,
        }
    }

    /// Columns its destination needs.
    pub(crate) fn needed_columns(&self) -> &[String] {
        match self {
            Self::Kafka(file) => &file.to.key.0,
            Self::Postgres(file) => &file.to.key.0,
            Self::Files(file) => &file.to.partition_by.0,
            Self::Http(_) => &[],
        }
    }
}
