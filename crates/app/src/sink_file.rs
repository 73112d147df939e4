//! `sinks/*.yml`: what goes out.

use headwater_connectors::kafka::config::SinkTopic;
use headwater_project::config::DurationText;
use schemars::JsonSchema;
use serde::Deserialize;

/// A sink: rows that go out of the lake.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum SinkConfig {
    /// Rows as messages of a Kafka topic.
    Kafka(KafkaSinkConfig),
}

/// Rows as messages of a Kafka topic, each once: they and how far the table was sent are one transaction.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaSinkConfig {
    /// Name of the sink.
    pub(crate) name: String,
    /// What the sink is for.
    #[expect(dead_code, reason = "for readers of the file; a page that shows sinks will show it")]
    pub(crate) description: Option<String>,
    /// Table or model, as `schema.table`.
    pub(crate) table: String,
    /// Which of its rows are sent.
    #[serde(default)]
    pub(crate) send: Send,
    /// Where they go.
    pub(crate) to: SinkTopic,
    /// Time between two looks for rows to send.
    #[serde(default = "ten_seconds")]
    pub(crate) every: DurationText,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Send {
    /// Rows that were added, by `_ingested_at`, which every ingested table has.
    #[default]
    Added,
    /// All rows, each time the table has a new version.
    All,
}

fn ten_seconds() -> DurationText {
    DurationText(std::time::Duration::from_secs(10))
}

impl SinkConfig {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Kafka(config) => &config.name,
        }
    }
}
