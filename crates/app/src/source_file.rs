//! `sources/*.yml`: what comes in.

use std::path::PathBuf;

use headwater_connectors::files::FilesConfig;
use headwater_connectors::http::HttpConfig;
use headwater_connectors::kafka::KafkaConfig;
use headwater_connectors::kafka::config::{Envelope, Start};
use headwater_connectors::postgres::{Mode, PostgresConfig};
use headwater_connectors::push::PushConfig;
use headwater_project::config::{ByteSize, DurationText};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::landing::{RowsConfig, SchemaConfig};

/// A source: data that comes into the lake.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum SourceConfig {
    /// Simulated events, written to topics and taken from there.
    Generator(GeneratorConfig),
    /// Files of a folder, or objects of a store.
    Files(FilesSourceConfig),
    /// Tables of a PostgreSQL database.
    Postgres(PostgresSourceConfig),
    /// Records of a web service.
    Http(HttpSourceConfig),
    /// Records that others send.
    Push(PushSourceConfig),
    /// Messages of Kafka topics.
    Kafka(KafkaSourceConfig),
}

impl SourceConfig {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Generator(config) => &config.name,
            Self::Files(config) => &config.name,
            Self::Postgres(config) => &config.name,
            Self::Http(config) => &config.name,
            Self::Push(config) => &config.name,
            Self::Kafka(config) => &config.name,
        }
    }

    /// How columns follow the records, and what becomes of rows; nothing for generators, which declare their columns.
    pub(crate) fn landing(&self) -> Option<(&SchemaConfig, &RowsConfig)> {
        match self {
            Self::Generator(_) => None,
            Self::Files(config) => Some((&config.schema, &config.rows)),
            Self::Postgres(config) => Some((&config.schema, &config.rows)),
            Self::Http(config) => Some((&config.schema, &config.rows)),
            Self::Push(config) => Some((&config.schema, &config.rows)),
            Self::Kafka(config) => Some((&config.schema, &config.rows)),
        }
    }

    /// Whether it follows the changes of a database and keeps a log of them.
    pub(crate) fn is_captured(&self) -> bool {
        match self {
            Self::Postgres(config) => config.from.mode == Mode::Capture,
            Self::Kafka(config) => matches!(config.from.envelope, Envelope::Debezium { changes: true, .. }),
            _ => false,
        }
    }

    /// Whether it takes only what came after its first start.
    pub(crate) fn begins_late(&self) -> bool {
        matches!(self, Self::Kafka(config) if config.from.start == Start::Latest)
    }

    /// What it is in its file.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Generator(_) => "generator",
            Self::Files(_) => "files",
            Self::Postgres(_) => "postgres",
            Self::Http(_) => "http",
            Self::Push(_) => "push",
            Self::Kafka(_) => "kafka",
        }
    }

    pub(crate) fn description(&self) -> Option<&str> {
        match self {
            Self::Generator(config) => config.description.as_deref(),
            Self::Files(config) => config.description.as_deref(),
            Self::Postgres(config) => config.description.as_deref(),
            Self::Http(config) => config.description.as_deref(),
            Self::Push(config) => config.description.as_deref(),
            Self::Kafka(config) => config.description.as_deref(),
        }
    }

    /// Name of the connection it reads through.
    pub(crate) fn connection(&self) -> Option<&String> {
        match self {
            Self::Generator(_) | Self::Push(_) => None,
            Self::Files(config) => config.from.connection.as_ref(),
            Self::Postgres(config) => Some(&config.from.connection),
            Self::Http(config) => Some(&config.from.connection),
            Self::Kafka(config) => Some(&config.from.connection),
        }
    }
}

/// Files of a folder, or objects of a store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilesSourceConfig {
    /// Name of the source.
    pub(crate) name: String,
    /// What the source holds.
    pub(crate) description: Option<String>,
    /// Its table is `<name>.<table>`; `<name>.<name>` when absent.
    pub(crate) table: Option<String>,
    /// Where the files are and how to read them.
    pub(crate) from: FilesConfig,
    /// When what was taken is committed.
    #[serde(default)]
    pub(crate) rotate: RotateConfig,
    /// How the table's columns follow the records.
    #[serde(default)]
    pub(crate) schema: SchemaConfig,
    /// What becomes of rows on their way into the table.
    #[serde(default)]
    pub(crate) rows: RowsConfig,
}

impl FilesSourceConfig {
    pub(crate) fn table(&self) -> &str {
        self.table.as_deref().unwrap_or(&self.name)
    }
}

/// Records that others send.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushSourceConfig {
    /// Name of the source, of its topic, and of its path: `/ingest/<name>`.
    pub(crate) name: String,
    /// What the source holds.
    pub(crate) description: Option<String>,
    /// Its table is `<name>.<table>`; `<name>.<name>` when absent.
    pub(crate) table: Option<String>,
    /// Who may send, and how much.
    #[serde(default)]
    pub(crate) from: PushConfig,
    /// When what was taken is committed.
    #[serde(default)]
    pub(crate) rotate: RotateConfig,
    /// How the table's columns follow the records.
    #[serde(default)]
    pub(crate) schema: SchemaConfig,
    /// What becomes of rows on their way into the table.
    #[serde(default)]
    pub(crate) rows: RowsConfig,
}

impl PushSourceConfig {
    pub(crate) fn table(&self) -> &str {
        self.table.as_deref().unwrap_or(&self.name)
    }
}

/// Records of a web service.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpSourceConfig {
    /// Name of the source.
    pub(crate) name: String,
    /// What the source holds.
    pub(crate) description: Option<String>,
    /// Its table is `<name>.<table>`; `<name>.<name>` when absent.
    pub(crate) table: Option<String>,
    /// What to ask for, and how.
    pub(crate) from: HttpConfig,
    /// When what was taken is committed.
    #[serde(default)]
    pub(crate) rotate: RotateConfig,
    /// How the table's columns follow the records.
    #[serde(default)]
    pub(crate) schema: SchemaConfig,
    /// What becomes of rows on their way into the table.
    #[serde(default)]
    pub(crate) rows: RowsConfig,
}

impl HttpSourceConfig {
    pub(crate) fn table(&self) -> &str {
        self.table.as_deref().unwrap_or(&self.name)
    }
}

/// Messages of Kafka topics.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaSourceConfig {
    /// Name of the source.
    pub(crate) name: String,
    /// What the source holds.
    pub(crate) description: Option<String>,
    /// Its table is `<name>.<table>`; `<name>.<name>` when absent.
    pub(crate) table: Option<String>,
    /// Which topics, and what their messages are.
    pub(crate) from: KafkaConfig,
    /// When what was taken is committed.
    #[serde(default)]
    pub(crate) rotate: RotateConfig,
    /// How the table's columns follow the records.
    #[serde(default)]
    pub(crate) schema: SchemaConfig,
    /// What becomes of rows on their way into the table.
    #[serde(default)]
    pub(crate) rows: RowsConfig,
}

impl KafkaSourceConfig {
    pub(crate) fn table(&self) -> &str {
        self.table.as_deref().unwrap_or(&self.name)
    }
}

/// Tables of a PostgreSQL database.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostgresSourceConfig {
    /// Name of the source: its tables are `<name>.<table>`.
    pub(crate) name: String,
    /// What the source holds.
    pub(crate) description: Option<String>,
    /// Which tables, and how they are followed.
    pub(crate) from: PostgresConfig,
    /// When what was taken is committed.
    #[serde(default)]
    pub(crate) rotate: RotateConfig,
    /// How the table's columns follow the records.
    #[serde(default)]
    pub(crate) schema: SchemaConfig,
    /// What becomes of rows on their way into the table.
    #[serde(default)]
    pub(crate) rows: RowsConfig,
}

/// Simulated events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GeneratorConfig {
    /// Name of the source: its tables are `<name>.<topic>`.
    pub(crate) name: String,
    /// What the source holds.
    pub(crate) description: Option<String>,
    /// Which generator.
    pub(crate) generator: GeneratorKind,
    /// File with the generator's own settings, JSON or YAML, relative to the project.
    pub(crate) config: PathBuf,
    /// Partitions of each topic.
    #[serde(default = "one_partition")]
    pub(crate) partitions: u16,
    /// The past that is made up before the generator goes live.
    #[serde(default)]
    pub(crate) backlog: BacklogConfig,
    /// How fast time passes once the generator is live: `1x`, `60x`.
    pub(crate) speed: Option<String>,
    /// Also keep what was taken as compressed JSON lines under `raw/` of the lake.
    #[serde(default)]
    pub(crate) raw_files: bool,
    /// When what was taken is committed.
    #[serde(default)]
    pub(crate) rotate: RotateConfig,
    /// Shares of late, duplicate and malformed records.
    pub(crate) faults: Option<FaultsConfig>,
    /// Bytes of taken records that each topic partition keeps.
    pub(crate) retention: Option<ByteSize>,
}

fn one_partition() -> u16 {
    1
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GeneratorKind {
    /// Visits of a site: users walk a chain of pages.
    Sessions,
}

/// The past that is made up before the generator goes live.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BacklogConfig {
    /// A date, a time, or a length before now such as `30 days ago`. Fixed at the first start.
    pub(crate) start: Option<String>,
    /// Users at the start.
    pub(crate) users: Option<u64>,
}

/// Trouble on request, as shares of the well-formed records. All of it is counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FaultsConfig {
    /// Share of records delivered after their time.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) late: f64,
    /// Longest delay of a late record.
    pub(crate) late_max_delay: Option<DurationText>,
    /// Share of records delivered twice.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) duplicate: f64,
    /// Share of records followed by a mangled copy.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) malformed: f64,
}

/// When what was taken is committed: whatever comes first.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RotateConfig {
    /// Rows since the last commit.
    pub(crate) rows: u64,
    /// Bytes read since the last commit.
    pub(crate) bytes: ByteSize,
    /// Time since the last commit, when there is anything to commit.
    pub(crate) every: DurationText,
}

impl Default for RotateConfig {
    fn default() -> Self {
        Self { rows: 500_000, bytes: ByteSize(256 << 20), every: DurationText(std::time::Duration::from_secs(10)) }
    }
}
