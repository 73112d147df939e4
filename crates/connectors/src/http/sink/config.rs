//! What a user writes for a sink that sends rows to a web service.

use std::collections::BTreeMap;

use headwater_project::Diagnostic;
use headwater_project::config::ByteSize;
use reqwest::header::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

/// Rows as JSON in the bodies of requests.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpTarget {
    /// Name of the connection in headwater.yml.
    pub connection: String,
    /// Path below the connection's address, such as `/orders`.
    #[serde(default)]
    pub path: String,
    /// How the request is made.
    #[serde(default)]
    pub method: Method,
    /// What a body is.
    #[serde(default)]
    pub body: Body,
    /// Most rows of one request; with `body: object` one.
    #[serde(default = "five_hundred")]
    #[schemars(range(min = 1))]
    pub batch: u32,
    /// Most bytes of one request, unless a single row has more.
    #[serde(default = "one_megabyte")]
    pub max_body: ByteSize,
    /// Headers of every request, besides those of the connection.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Times a request is sent when the service is busy, broken or gone.
    #[serde(default = "six")]
    #[schemars(range(min = 1, max = 100))]
    pub tries: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    #[default]
    Post,
    Put,
    Patch,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// A list of objects.
    #[default]
    Array,
    /// An object per line.
    Lines,
    /// One object.
    Object,
}

fn five_hundred() -> u32 {
    500
}

fn one_megabyte() -> ByteSize {
    ByteSize(1 << 20)
}

fn six() -> u32 {
    6
}

impl HttpTarget {
    /// Everything wrong with it, without asking anybody.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        if !self.path.is_empty() && !self.path.starts_with('/') {
            let hint = format!("Write `/{}`; the start of the address is the connection's.", self.path);
            found.push(Diagnostic::error(format!("path `{}` does not begin with a slash", self.path)).hint(hint));
        }
        for (name, value) in &self.headers {
            if name.parse::<HeaderName>().is_err() || value.parse::<HeaderValue>().is_err() {
                found.push(Diagnostic::error(format!("`{name}` is no header a request can have")));
            } else if name.eq_ignore_ascii_case("idempotency-key") {
                let hint = "Remove it: each request gets its own.";
                found.push(Diagnostic::error(format!("`{name}` tells requests apart")).hint(hint));
            }
        }
        found
    }

    pub(super) fn rows(&self) -> usize {
        if self.body == Body::Object { 1 } else { usize::try_from(self.batch).unwrap_or(1).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_found_without_asking() {
        for (json, expected) in [
            (r#"{"connection": "c"}"#, vec![]),
            (r#"{"connection": "c", "path": "rows"}"#, vec!["path `rows` does not begin with a slash"]),
            (r#"{"connection": "c", "headers": {"a b": "c"}}"#, vec!["`a b` is no header a request can have"]),
            (
                r#"{"connection": "c", "headers": {"Idempotency-key": "1"}}"#,
                vec!["`Idempotency-key` tells requests apart"],
            ),
        ] {
            let config: HttpTarget = serde_json::from_str(json).unwrap();
            let found: Vec<String> = config.check().into_iter().map(|one| one.message).collect();
            assert_eq!(found, expected, "{json}");
        }
    }
}
