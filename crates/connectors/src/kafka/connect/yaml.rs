//! The texts that come of it.

use std::fmt::Write;

use super::{Draft, Raw};

/// A text in quotes, unless it is plain enough to stand without.
fn text(value: &str) -> String {
    let plain = value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && value.chars().all(|character| character.is_ascii_alphanumeric() || "_-./".contains(character))
        && !matches!(value, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if plain { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}

/// A length of time in the largest unit that fits.
fn length(millis: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let fitting = units.into_iter().find(|(size, _)| millis.is_multiple_of(*size));
    fitting.map_or_else(|| format!("{millis}ms"), |(size, unit)| format!("{}{unit}", millis / size))
}

/// Lines, one after the other, each with its indent.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, indent: usize, line: &str) {
        // Writing to a text does not fail.
        writeln!(self.0, "{:indent$}{line}", "").unwrap_or_default();
    }

    fn maybe(&mut self, indent: usize, key: &str, value: Option<String>) {
        if let Some(value) = value {
            self.add(indent, &format!("{key}: {value}"));
        }
    }
}

/// `sources/<name>.yml`.
pub(super) fn source(draft: &Draft, connection: &str) -> String {
    let mut lines = Lines::default();
    lines.add(0, &format!("# Made from a configuration of {}.", draft.class));
    lines.add(0, "kind: kafka");
    lines.add(0, &format!("name: {}", draft.name));
    lines.add(0, "from:");
    lines.add(2, &format!("connection: {}", text(connection)));
    if !draft.topics.is_empty() {
        let topics: Vec<String> = draft.topics.iter().map(|topic| text(topic)).collect();
        lines.add(2, &format!("topics: [{}]", topics.join(", ")));
    }
    lines.maybe(2, "pattern", draft.pattern.as_deref().map(text));
    lines.maybe(2, "start", draft.latest.then(|| "latest".to_owned()));
    lines.add(2, &format!("value: {}", draft.value));
    lines.maybe(2, "key", draft.key.map(str::to_owned));
    lines.maybe(2, "headers", draft.headers.then(|| "true".to_owned()));
    lines.maybe(2, "tombstones", draft.tombstones.map(str::to_owned));
    lines.maybe(2, "read_committed", draft.read_uncommitted.then(|| "false".to_owned()));
    if let Some(raw) = &draft.raw {
        self::raw(raw, &mut lines);
    }
    lines.maybe(0, "rotate", draft.every.map(|every| format!("{{every: {}}}", length(every))));
    lines.0
}

fn raw(raw: &Raw, lines: &mut Lines) {
    lines.add(2, "raw:");
    lines.add(4, &format!("path: {}", text(&raw.path)));
    let has_time = raw.path.contains("{time:");
    lines.maybe(4, "time", (has_time && raw.at_writing).then(|| "writing".to_owned()));
    lines.maybe(4, "zone", raw.zone.as_deref().filter(|_| has_time).map(text));
    lines.maybe(4, "slot", raw.slot.filter(|_| has_time).map(length));
    lines.add(4, &format!("format: {}", raw.format));
    lines.add(4, &format!("compression: {}", if raw.gzip { "gzip" } else { "none" }));
    lines.maybe(4, "records", raw.records.map(|records| records.to_string()));
}

/// What headwater.yml needs.
pub(super) fn project(draft: &Draft, connection: &str) -> String {
    let mut lines = Lines::default();
    let of = &draft.connection;
    lines.add(0, "connections:");
    lines.add(2, &format!("{}:", text(connection)));
    lines.add(4, "kind: kafka");
    lines.add(4, &format!("brokers: {}", text(of.brokers.as_deref().unwrap_or("${KAFKA_BROKERS}"))));
    lines.maybe(4, "tls", of.encrypted.map(|encrypted| if encrypted { "verify" } else { "\"off\"" }.to_owned()));
    lines.maybe(4, "ca_file", of.ca_file.as_deref().map(text));
    if let Some(mechanism) = of.mechanism {
        let user = text(of.user.as_deref().unwrap_or("${KAFKA_USER}"));
        lines.add(4, &format!("sasl: {{mechanism: {mechanism}, user: {user}, password: \"${{KAFKA_PASSWORD}}\"}}"));
    }
    if let Some(url) = &of.registry {
        let login = of
            .registry_user
            .as_deref()
            .map_or_else(String::new, |user| format!(", user: {}, password: \"${{REGISTRY_PASSWORD}}\"", text(user)));
        lines.add(4, &format!("registry: {{url: {}{login}}}", text(url)));
    }
    if let Some(location) = &draft.lake.location {
        lines.add(0, "lake:");
        lines.add(2, &format!("location: {}", text(location)));
        let lake = &draft.lake;
        if lake.endpoint.is_some() || lake.region.is_some() || lake.has_keys {
            lines.add(2, "credentials:");
            lines.maybe(4, "endpoint", lake.endpoint.as_deref().map(text));
            lines.maybe(4, "region", lake.region.as_deref().map(text));
            if lake.has_keys {
                lines.add(4, "access_key_id: \"${AWS_ACCESS_KEY_ID}\"");
                lines.add(4, "secret_access_key: \"${AWS_SECRET_ACCESS_KEY}\"");
            }
        }
    }
    lines.0
}
