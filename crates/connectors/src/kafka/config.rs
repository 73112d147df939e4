//! What a user writes for a source of topics.

use headwater_ingest::schema::{KeyColumn, MessageColumns, Provenance};
use headwater_project::Diagnostic;
use headwater_project::config::{ByteSize, DurationText, TextList};
use schemars::JsonSchema;
use serde::Deserialize;

use super::raw::RawConfig;
use crate::sink::debezium::{DecimalMode, Truncations};

/// Messages of topics.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// Name of the connection in headwater.yml.
    pub connection: String,
    /// Topics by name.
    #[serde(default)]
    pub topics: TextList,
    /// Topics by a regular expression over their whole name; those made later are found too.
    pub pattern: Option<String>,
    /// Where a topic begins that was never read. Partitions added later are read from their first message.
    #[serde(default)]
    pub start: Start,
    /// What a message's value is.
    #[serde(default)]
    pub value: ValueFormat,
    /// What a message's key is.
    #[serde(default)]
    pub key: KeyFormat,
    /// Keep the headers, in `_message_headers`.
    #[serde(default)]
    pub headers: bool,
    /// What becomes of messages without a value.
    #[serde(default)]
    pub tombstones: Tombstones,
    /// What the values wrap.
    #[serde(default)]
    pub envelope: Envelope,
    /// Also keep the values as they came, in files beside the tables.
    pub raw: Option<RawConfig>,
    /// Pass over what a transaction wrote that was aborted, and wait for those that are open.
    #[serde(default = "yes")]
    pub read_committed: bool,
    /// Consumer group that brokers are told the position of, for display. Default: `headwater-<source>`.
    pub group: Option<String>,
    /// Larger messages are set aside.
    #[serde(default = "largest_message")]
    pub max_message: ByteSize,
    /// Memory for messages that were fetched and not taken yet.
    #[serde(default = "prefetched")]
    pub prefetch: ByteSize,
    /// Time between two looks for new topics and partitions.
    #[serde(default = "half_a_minute")]
    pub look_every: DurationText,
}

/// Where a topic begins that was never read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With its first message.
    #[default]
    Earliest,
    /// With what comes from now on.
    Latest,
    /// With the first message of this time or later, such as `2024-05-01T00:00:00Z`.
    Timestamp(String),
    /// With this offset in every partition, or the next there is.
    Offset(i64),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValueFormat {
    /// A JSON object.
    #[default]
    Json,
    /// A JSON object after the number of its schema in the connection's registry.
    JsonSchema,
    /// Avro after the number of its schema in the connection's registry.
    Avro,
    /// Protobuf after the number of its schema in the connection's registry and the place of its message there.
    Protobuf,
    /// Text, in the column `line`.
    Text,
    /// Bytes, in the column `value`.
    Bytes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyFormat {
    /// Text, in the column `_message_key`.
    #[default]
    Text,
    /// Bytes, in the column `_message_key`.
    Bytes,
    /// Not kept.
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tombstones {
    /// A row of nulls with its key, `_tombstone` true.
    #[default]
    Keep,
    /// Passed over.
    Drop,
    /// Set aside.
    Reject,
}

/// What the values wrap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// Nothing: a value is a row.
    #[default]
    None,
    /// Changes as Debezium writes them: the table is kept as its source is.
    Debezium {
        /// Columns of the key.
        key: TextList,
        /// Also keep every change, in `<table>__changes`.
        #[serde(default = "yes")]
        changes: bool,
        /// What stands for a long value that an update left alone, `unavailable.value.placeholder` of the connector.
        #[serde(default = "unavailable")]
        placeholder: String,
    },
}

fn unavailable() -> String {
    "__debezium_unavailable_value".to_owned()
}

/// The topic that rows go to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkTopic {
    /// Name of the connection in headwater.yml.
    pub connection: String,
    /// The topic, which nobody else writes to. Made when it is not there. With `format: debezium` it may have `{name}`,
    /// `{schema}` and `{table}`, and is `{name}.{schema}.{table}` when it is not given.
    pub topic: Option<String>,
    /// Partitions it is made with.
    #[serde(default = "one")]
    pub partitions: u16,
    /// Columns of the key: rows of one key stay in order. Without them rows have no key. Not with `format: debezium`, where
    /// messages have the key of the captured table.
    #[serde(default)]
    pub key: TextList,
    /// What a message is.
    #[serde(default)]
    pub format: MessageFormat,
    /// How changes are written, with `format: debezium`.
    pub debezium: Option<DebeziumTopic>,
}

/// What a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageFormat {
    /// A row as a JSON object.
    #[default]
    Json,
    /// A change of a captured PostgreSQL table, of whose `<table>__changes` the rows are, as Debezium's connector writes it.
    Debezium,
}

/// How changes are written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DebeziumTopic {
    /// Logical name of the database, Debezium's `topic.prefix`. Default: the name of the source.
    pub name: Option<String>,
    /// Wrap keys and values with their schema, as the JSON converter does.
    #[serde(default)]
    pub schemas: bool,
    /// Follow deletes with a message of the same key without a value.
    #[serde(default = "yes")]
    pub tombstones: bool,
    /// How decimals are written.
    #[serde(default)]
    pub decimal: DecimalMode,
    /// What is sent before the first change.
    #[serde(default)]
    pub snapshot: Snapshot,
    /// What becomes of truncations.
    #[serde(default)]
    pub truncations: Truncations,
}

/// What is sent before the first change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Snapshot {
    /// The rows of the captured table as they are then, with `op` `r`.
    #[default]
    Initial,
    /// Nothing: changes alone.
    Never,
}

impl Default for DebeziumTopic {
    fn default() -> Self {
        Self {
            name: None,
            schemas: false,
            tombstones: true,
            decimal: DecimalMode::default(),
            snapshot: Snapshot::default(),
            truncations: Truncations::default(),
        }
    }
}

impl SinkTopic {
    /// How changes are written, if changes are what it is for.
    pub fn changes(&self) -> Option<DebeziumTopic> {
        (self.format == MessageFormat::Debezium).then(|| self.debezium.clone().unwrap_or_default())
    }

    /// The topic as it is written in the file, or what stands for it.
    pub fn topic(&self) -> &str {
        self.topic.as_deref().unwrap_or("{name}.{schema}.{table}")
    }

    /// The name of the topic for changes of a table.
    pub fn topic_of(&self, name: &str, schema: &str, table: &str) -> String {
        self.topic().replace("{name}", name).replace("{schema}", schema).replace("{table}", table)
    }

    /// Everything wrong with it, without asking anybody.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut wrong = |is_wrong: bool, message: &str, hint: &str| {
            if is_wrong {
                found.push(Diagnostic::error(message).hint(hint));
            }
        };
        if self.format == MessageFormat::Debezium {
            let hint = "Remove `key`: messages have the key of the captured table.";
            wrong(!self.key.0.is_empty(), "`key` is not for `format: debezium`", hint);
        } else {
            wrong(self.topic.is_none(), "no topic is named", "Name it under `topic`.");
            wrong(self.debezium.is_some(), "`debezium` is for `format: debezium`", "Remove it, or set the format.");
        }
        found
    }
}

fn one() -> u16 {
    1
}

fn yes() -> bool {
    true
}

fn largest_message() -> ByteSize {
    ByteSize(16 << 20)
}

fn prefetched() -> ByteSize {
    ByteSize(32 << 20)
}

fn half_a_minute() -> DurationText {
    DurationText(std::time::Duration::from_secs(30))
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            connection: String::new(),
            topics: TextList::default(),
            pattern: None,
            start: Start::default(),
            value: ValueFormat::default(),
            key: KeyFormat::default(),
            headers: false,
            tombstones: Tombstones::default(),
            envelope: Envelope::default(),
            raw: None,
            read_committed: true,
            group: None,
            max_message: largest_message(),
            prefetch: prefetched(),
            look_every: half_a_minute(),
        }
    }
}

impl KafkaConfig {
    /// Everything wrong with it, without asking anybody.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        if self.topics.0.is_empty() && self.pattern.is_none() {
            found.push(Diagnostic::error("no topics are named").hint("Name them under `topics`, or give a `pattern`."));
        }
        if let Some(Err(error)) = self.pattern.as_deref().map(whole) {
            found.push(Diagnostic::error("`pattern` is no regular expression").detail(error.to_string()));
        }
        if let Start::Timestamp(text) = &self.start
            && millis(text).is_none()
        {
            found.push(Diagnostic::error(format!("`{text}` is no time")).hint("Write it as 2024-05-01T00:00:00Z."));
        }
        if matches!(&self.envelope, Envelope::Debezium { key, .. } if key.0.is_empty()) {
            found.push(Diagnostic::error("the envelope's `key` names no columns"));
        }
        let described = matches!(self.value, ValueFormat::Text | ValueFormat::Bytes);
        if described && self.envelope != Envelope::None {
            found.push(Diagnostic::error("an envelope needs values of `json`, `json_schema`, `avro` or `protobuf`"));
        }
        if let Some(raw) = &self.raw {
            found.extend(raw.check(self.value, self.envelope != Envelope::None));
        }
        found
    }

    /// Whether values name a schema of a registry.
    pub fn needs_registry(&self) -> bool {
        matches!(self.value, ValueFormat::Avro | ValueFormat::Protobuf | ValueFormat::JsonSchema)
    }

    /// The columns that say where a row came from.
    pub fn provenance(&self) -> Provenance {
        let key = match self.key {
            KeyFormat::Text => KeyColumn::Text,
            KeyFormat::Bytes => KeyColumn::Bytes,
            KeyFormat::None => KeyColumn::None,
        };
        let topic = self.pattern.is_some() || self.topics.0.len() > 1;
        Provenance::Message(MessageColumns { key, headers: self.headers, topic })
    }
}

/// An expression that fits a name from end to end.
pub(super) fn whole(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::Regex::new(&format!("^(?:{pattern})$"))
}

/// Milliseconds since 1970.
pub(super) fn millis(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: serde_json::Value, expected: &[&str]) {
        let config: KafkaConfig = serde_json::from_value(json).unwrap();
        let found: Vec<String> = config.check().into_iter().map(|one| one.message).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_wrong_is_told_without_a_broker() {
        check(serde_json::json!({"connection": "bus", "topics": "orders"}), &[]);
        check(serde_json::json!({"connection": "bus", "pattern": "shop\\..*", "start": "latest"}), &[]);
        check(serde_json::json!({"connection": "bus"}), &["no topics are named"]);
        check(serde_json::json!({"connection": "bus", "pattern": "("}), &["`pattern` is no regular expression"]);
        check(
            serde_json::json!({"connection": "bus", "topics": ["a"], "start": {"timestamp": "yesterday"}}),
            &["`yesterday` is no time"],
        );
        check(
            serde_json::json!({"connection": "bus", "topics": ["a"], "value": "text", "envelope": {"debezium": {"key": []}}}),
            &[
                "the envelope's `key` names no columns",
                "an envelope needs values of `json`, `json_schema`, `avro` or `protobuf`",
            ],
        );
    }

    #[test]
    fn topics_of_changes_are_named_after_their_table() {
        let check = |json: serde_json::Value, topic: &str, expected: &[&str]| {
            let config: SinkTopic = serde_json::from_value(json).unwrap();
            let found: Vec<String> = config.check().into_iter().map(|one| one.message).collect();
            assert_eq!(config.topic_of("shop", "public", "items"), topic);
            assert_eq!(found, expected);
        };
        let json = serde_json::json!({"connection": "bus", "format": "debezium"});
        check(json, "shop.public.items", &[]);
        let json = serde_json::json!({"connection": "bus", "format": "debezium", "topic": "cdc-{table}", "key": "id"});
        check(json, "cdc-items", &["`key` is not for `format: debezium`"]);
        let json = serde_json::json!({"connection": "bus", "topic": "items", "debezium": {"schemas": true}});
        check(json, "items", &["`debezium` is for `format: debezium`"]);
        check(serde_json::json!({"connection": "bus"}), "shop.public.items", &["no topic is named"]);
    }
}
