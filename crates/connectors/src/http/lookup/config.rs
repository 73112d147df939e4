//! What a user writes to have keys looked up.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use headwater_ingest::schema::is_reserved;
use headwater_project::Diagnostic;
use headwater_project::config::DurationText;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rows::STATUS_COLUMNS;
use super::template::{self, Template};
use crate::http::config::HttpConfig;

/// Asking a service once for each key of a query: the weather of a place and hour, the company of a number.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookupConfig {
    /// A query over tables and models, whose columns of the names below are the keys.
    pub keys: String,
    /// Columns of a key, and what they are. `{name}` in `path` and in values of `query` stands for each. Rows in which one of
    /// them is NULL are not asked for.
    pub key: BTreeMap<String, KeyType>,
    /// What is taken of an answer. Left out, its fields become columns by themselves.
    #[serde(default)]
    pub fields: BTreeMap<String, AnswerField>,
    /// Keys in one request.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub batch: usize,
    /// What is between the values of several keys in a request.
    #[serde(default = "comma")]
    pub separator: String,
    /// For each column of the key, a JSON pointer to its value in a record, where a request has several keys. Left out, the
    /// records are taken to be as many as the keys, in their order.
    #[serde(default, rename = "match")]
    pub matched: BTreeMap<String, String>,
    /// How long an answer is good. Left out, for ever.
    pub ttl: Option<DurationText>,
    /// When a key that failed is asked again; twice as long after each further failure.
    #[serde(default = "ten_minutes")]
    pub retry: DurationText,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number that may have a fraction.
    Number,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A moment, sent as `2024-05-01T12:00:00Z`.
    Timestamp,
}

/// One value of an answer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerField {
    /// What it is. Objects and lists are kept as JSON in `text`.
    #[serde(rename = "type")]
    pub data_type: KeyType,
    /// JSON pointer to it in a record; its own name when left out.
    pub at: Option<String>,
}

impl KeyType {
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

fn one() -> usize {
    1
}

fn comma() -> String {
    String::from(",")
}

fn ten_minutes() -> DurationText {
    DurationText(std::time::Duration::from_secs(600))
}

fn schema<'a>(columns: impl Iterator<Item = (&'a String, KeyType)>) -> SchemaRef {
    let fields = columns.map(|(name, data_type)| Field::new(name, data_type.data_type(), true));
    Schema::new(fields.collect::<Vec<_>>()).into()
}

impl LookupConfig {
    /// Columns of a key, in the order of their names.
    pub fn key_schema(&self) -> SchemaRef {
        schema(self.key.iter().map(|(name, data_type)| (name, *data_type)))
    }

    /// Columns of an answer, if they are given.
    pub(super) fn answer_schema(&self) -> Option<SchemaRef> {
        let declared = || schema(self.fields.iter().map(|(name, field)| (name, field.data_type)));
        (!self.fields.is_empty()).then(declared)
    }

    /// Everything wrong with it, and with the rest of the source beside it.
    pub(in crate::http) fn check(&self, source: &HttpConfig) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        if self.key.is_empty() {
            found.push(
                Diagnostic::error("`key` names no column").hint("Write the columns of a key: `key: {id: text}`."),
            );
        }
        for name in self.key.keys().chain(self.fields.keys()) {
            if is_reserved(name) || STATUS_COLUMNS.contains(&name.as_str()) {
                found.push(Diagnostic::error(format!("`{name}` is the name of a column that every such table has")));
            }
        }
        for name in self.fields.keys().filter(|name| self.key.contains_key(*name)) {
            let hint = "Give the field another name, and say with `at` where it is.";
            found.push(Diagnostic::error(format!("`{name}` is both in `key` and in `fields`")).hint(hint));
        }
        let pointers = self.fields.values().filter_map(|field| field.at.as_ref()).chain(self.matched.values());
        for pointer in pointers.filter(|pointer| !pointer.starts_with('/')) {
            let hint = format!("A JSON pointer begins with a slash: `/{}`.", pointer.replace('.', "/"));
            found.push(Diagnostic::error(format!("`{pointer}` is no JSON pointer")).hint(hint));
        }
        if !self.matched.is_empty() && !self.matched.keys().eq(self.key.keys()) {
            let hint = "Name each column of the key, and nothing else.";
            found.push(Diagnostic::error("`match` is not about the columns of `key`").hint(hint));
        }
        let others = [
            ("pagination", source.pagination.is_some()),
            ("incremental", source.incremental.is_some()),
            ("cache", source.cache.is_some()),
        ];
        for (name, _) in others.into_iter().filter(|(_, is_there)| *is_there) {
            found.push(Diagnostic::error(format!("`{name}` has no meaning beside `lookup`")).hint("Remove it."));
        }
        found.extend(self.check_template(source));
        found
    }

    fn check_template(&self, source: &HttpConfig) -> Vec<Diagnostic> {
        let template = Template::new(&source.path, &source.query);
        let named = template.names();
        let unknown = named.iter().filter(|name| !self.key.contains_key(**name)).map(|name| {
            Diagnostic::error(format!("`{{{name}}}` is no column of `key`"))
                .hint("Add it to `key`, or write what shall be sent.")
        });
        let unused = self.key.keys().filter(|name| !named.contains(name.as_str())).map(|name| {
            Diagnostic::error(format!("nothing is asked with `{name}` of `key`"))
                .hint(format!("Write `{{{name}}}` where it belongs in `path` or `query`."))
        });
        let mut found: Vec<Diagnostic> = unknown.chain(unused).collect();
        if template::is_unclosed(&source.path) {
            found.push(Diagnostic::error(format!("a brace of path `{}` is not closed", source.path)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let config: HttpConfig = serde_json::from_str(text).unwrap();
        let found: Vec<String> = config.check().into_iter().map(|finding| finding.message).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_cannot_be_asked_is_told_before_anybody_is() {
        check(
            r#"{"connection": "c", "path": "/at/{place}", "query": {"hour": "{hour}"},
                "lookup": {"keys": "select 1", "key": {"place": "text", "hour": "timestamp"},
                           "fields": {"t": {"type": "number", "at": "/main/t"}}}}"#,
            &[],
        );
        check(
            r#"{"connection": "c", "path": "/at/{plce}", "pagination": {"type": "link"},
                "lookup": {"keys": "select 1", "key": {"place": "text"}, "match": {"other": "place"},
                           "fields": {"place": {"type": "text"}, "_status": {"type": "text"}}}}"#,
            &[
                "`_status` is the name of a column that every such table has",
                "`place` is both in `key` and in `fields`",
                "`place` is no JSON pointer",
                "`match` is not about the columns of `key`",
                "`pagination` has no meaning beside `lookup`",
                "`{plce}` is no column of `key`",
                "nothing is asked with `place` of `key`",
            ],
        );
        check(
            r#"{"connection": "c", "path": "/at/{place", "lookup": {"keys": "select 1", "key": {}}}"#,
            &["`key` names no column", "a brace of path `/at/{place` is not closed"],
        );
    }
}
