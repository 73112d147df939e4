//! Configurations of Kafka Connect's sinks into object stores, as sources that do the same: what Confluent's and Aiven's
//! connectors for S3 and Google Cloud Storage are told, in the words of `sources/*.yml`.
//!
//! Every key of the configuration ends up in the source, in the connection, or in a note that says what to do about it.
//! Secrets are not carried over: `${NAME}` stands in their place.

mod advice;
mod aiven;
mod client;
mod confluent;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::BTreeMap;

use headwater_project::Failure;
use serde_json::Value;

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Name of the source.
    pub name: String,
    /// Text of `sources/<name>.yml`.
    pub source: String,
    /// What headwater.yml needs for it.
    pub project: String,
    pub notes: Vec<Note>,
}

/// A key that is not carried over as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub key: String,
    /// What it means here, and what to do.
    pub advice: String,
}

/// Reads the JSON of a connector, with its name around it or not. `connection` is what the connection shall be called.
pub fn import(json: &str, connection: &str) -> Result<Imported, Failure> {
    let (mut keys, outer) = read(json)?;
    let class = keys.take("connector.class").ok_or_else(|| {
        Failure::user("the file is no configuration of a connector").with_hint("It has no `connector.class`.")
    })?;
    let written = outer.or_else(|| keys.take("name")).unwrap_or_else(|| "connect".to_owned());
    keys.take("name");
    let mut draft = Draft { name: name_of(&written), class: class.clone(), ..Draft::default() };
    client::read(&mut keys, &mut draft);
    match class.rsplit('.').next().unwrap_or_default() {
        "S3SinkConnector" if class.contains("confluent") => confluent::read(&mut keys, &mut draft, "s3"),
        "GcsSinkConnector" if class.contains("confluent") => confluent::read(&mut keys, &mut draft, "gcs"),
        "AivenKafkaConnectS3SinkConnector" => aiven::read(&mut keys, &mut draft, "s3"),
        "GcsSinkConnector" if class.contains("aiven") => aiven::read(&mut keys, &mut draft, "gcs"),
        _ => {
            return Err(Failure::user(format!("connectors of class `{class}` are not known"))
                .with_hint("Known are the sinks of Confluent and Aiven for S3 and Google Cloud Storage."));
        }
    }
    advice::rest(keys, &mut draft);
    if draft.raw.is_some() && draft.lake.location.is_some() {
        draft.note("lake", "Raw files lie in the lake, beside its tables: objects come out where the connector puts them when `lake.location` is its bucket.");
    }
    draft.note("offsets", format!("The offsets of the group `connect-{written}` are not taken over: the source begins where `start` says. To go on where the connector stopped, give its time as `start: {{timestamp: ...}}`."));
    let Draft { name, notes, .. } = &draft;
    let (name, notes) = (name.clone(), notes.clone());
    Ok(Imported { name, source: yaml::source(&draft, connection), project: yaml::project(&draft, connection), notes })
}

/// The keys, and the name around them.
fn read(json: &str) -> Result<(Keys, Option<String>), Failure> {
    let wrong = |detail: String| Failure::user("the file is no configuration of a connector").with_detail(detail);
    let value: Value = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
    let Value::Object(mut outer) = value else { return Err(wrong("It is no JSON object.".to_owned())) };
    let name = outer.get("name").and_then(Value::as_str).map(str::to_owned);
    let keys = match outer.remove("config") {
        Some(Value::Object(inner)) => inner,
        Some(_) => return Err(wrong("Its `config` is no JSON object.".to_owned())),
        None => outer,
    };
    let text = |value: Value| match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    Ok((Keys(keys.into_iter().map(|(key, value)| (key, text(value))).collect()), name))
}

/// Letters, digits and `_`.
fn name_of(written: &str) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '_' };
    let name: String = written.chars().map(plain).collect();
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) { name } else { format!("connect_{name}") }
}

/// The keys nobody has read yet.
struct Keys(BTreeMap<String, String>);

impl Keys {
    fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key).filter(|value| !value.is_empty())
    }

    /// The first of these that is there; all of them count as read.
    fn take_any(&mut self, keys: &[&str]) -> Option<String> {
        keys.iter().fold(None, |found, key| {
            let value = self.take(key);
            found.or(value)
        })
    }

    fn number(&mut self, key: &str) -> Option<u64> {
        self.take(key)?.parse().ok()
    }
}

/// What is known of the source so far.
#[derive(Default)]
struct Draft {
    name: String,
    class: String,
    topics: Vec<String>,
    pattern: Option<String>,
    latest: bool,
    value: &'static str,
    key: Option<&'static str>,
    headers: bool,
    tombstones: Option<&'static str>,
    read_uncommitted: bool,
    raw: Option<Raw>,
    every: Option<u64>,
    connection: Connection,
    lake: Lake,
    notes: Vec<Note>,
}

/// Files of the values as they came.
#[derive(Default)]
struct Raw {
    path: String,
    at_writing: bool,
    zone: Option<String>,
    slot: Option<u64>,
    format: &'static str,
    gzip: bool,
    records: Option<u64>,
}

#[derive(Default)]
struct Connection {
    brokers: Option<String>,
    /// Nothing where the configuration says nothing of it.
    encrypted: Option<bool>,
    ca_file: Option<String>,
    mechanism: Option<&'static str>,
    user: Option<String>,
    registry: Option<String>,
    registry_user: Option<String>,
}

#[derive(Default)]
struct Lake {
    location: Option<String>,
    endpoint: Option<String>,
    region: Option<String>,
    has_keys: bool,
}

impl Draft {
    fn note(&mut self, key: &str, advice: impl Into<String>) {
        self.notes.push(Note { key: key.to_owned(), advice: advice.into() });
    }
}

/// Letters of Java's time formats as they are written here; nothing for those that are not known.
fn time_format(java: &str) -> Option<String> {
    let mut format = String::new();
    let mut rest = java.chars().peekable();
    let mut quoted = false;
    while let Some(character) = rest.next() {
        match character {
            '\'' if rest.peek() == Some(&'\'') => {
                rest.next();
                format.push('\'');
            }
            '\'' => quoted = !quoted,
            '%' => format.push_str("%%"),
            letter if quoted || !letter.is_ascii_alphabetic() => format.push(letter),
            letter => {
                let mut count = 1;
                while rest.next_if_eq(&letter).is_some() {
                    count += 1;
                }
                format.push_str(match (letter, count) {
                    ('Y' | 'y', 1 | 4) => "%Y",
                    ('Y' | 'y', 2) => "%y",
                    ('M', 2) => "%m",
                    ('M', 3) => "%b",
                    ('d', 2) => "%d",
                    ('D', 3) => "%j",
                    ('H', 2) => "%H",
                    ('m', 2) => "%M",
                    ('s', 2) => "%S",
                    _ => return None,
                });
            }
        }
    }
    (!quoted).then_some(format)
}
