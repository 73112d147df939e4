//! What a user writes for a source of a web service.

use std::collections::BTreeMap;

use headwater_project::config::{DurationText, HttpConnection};
use headwater_project::{Diagnostic, Failure};
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

use super::lookup::LookupConfig;

/// Records of a web service that answers in JSON.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Name of the connection in headwater.yml.
    pub connection: String,
    /// Path below the connection's address, such as `/orders`.
    pub path: String,
    /// Parameters of the query.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// JSON pointer to the list of records in an answer, such as `/data/items`; the whole answer when left out. One object
    /// is one record.
    #[serde(default)]
    pub records: String,
    /// How the next page is found; without it there is one page.
    pub pagination: Option<Pagination>,
    /// Ask only for what is newer than what was seen. Without it everything is read each time, and replaces what was there.
    pub incremental: Option<Incremental>,
    /// Time between two looks.
    #[serde(default = "one_hour")]
    pub every: DurationText,
    /// Times a request is sent when the service is busy, broken or gone.
    #[serde(default = "six")]
    #[schemars(range(min = 1, max = 100))]
    pub tries: u32,
    /// How long an answer is good without asking again. Answers are kept on disk for it, but not those for one person.
    pub cache: Option<DurationText>,
    /// Ask once for each key that a query over the lake gives.
    pub lookup: Option<LookupConfig>,
}

/// How the next page is found.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Pagination {
    /// Pages have numbers; an empty page is the end.
    Page {
        /// Parameter with the number.
        #[serde(default = "page")]
        parameter: String,
        /// The first number.
        #[serde(default = "one")]
        start: u64,
    },
    /// Records are counted; an empty page is the end.
    Offset {
        /// Parameter with the number of records to pass over.
        #[serde(default = "offset")]
        parameter: String,
    },
    /// An answer says where to go on; no such value, or an empty one, is the end.
    Cursor {
        /// JSON pointer to the value in an answer.
        pointer: String,
        /// Parameter to send it in.
        parameter: String,
    },
    /// An answer's `Link` header with `rel="next"`.
    Link,
}

/// Ask only for what is newer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Incremental {
    /// JSON pointer to the value in a record that grows, such as `/updated_at`.
    pub field: String,
    /// Parameter that says from where on.
    pub parameter: String,
    /// What the value is.
    #[serde(default)]
    pub format: SinceFormat,
    /// Sent at the first time; nothing is sent when left out.
    pub start: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinceFormat {
    /// A time such as `2024-05-01T12:00:00Z`.
    #[default]
    Rfc3339,
    /// A whole number: a sequence, or time in any unit.
    Integer,
}

fn one_hour() -> DurationText {
    DurationText(std::time::Duration::from_secs(3600))
}

fn six() -> u32 {
    6
}

fn one() -> u64 {
    1
}

fn page() -> String {
    String::from("page")
}

fn offset() -> String {
    String::from("offset")
}

impl HttpConfig {
    /// Everything wrong with it, without asking anybody.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut pointers = vec![self.records.as_str()];
        if let Some(Pagination::Cursor { pointer, .. }) = &self.pagination {
            pointers.push(pointer);
        }
        pointers.extend(self.incremental.as_ref().map(|incremental| incremental.field.as_str()));
        let wrong = pointers.into_iter().filter(|pointer| !pointer.is_empty() && !pointer.starts_with('/'));
        let mut found: Vec<Diagnostic> = wrong
            .map(|pointer| {
                let hint = format!("A JSON pointer begins with a slash: `/{}`.", pointer.replace('.', "/"));
                Diagnostic::error(format!("`{pointer}` is no JSON pointer")).hint(hint)
            })
            .collect();
        if !self.path.is_empty() && !self.path.starts_with('/') {
            let hint = format!("Write `/{}`; the start of the address is the connection's.", self.path);
            found.push(Diagnostic::error(format!("path `{}` does not begin with a slash", self.path)).hint(hint));
        }
        if let Some(lookup) = &self.lookup {
            found.extend(lookup.check(self));
        }
        found
    }

    /// Where it asks, without parameters of the query.
    pub(super) fn address(&self, connection: &HttpConnection) -> Result<Url, Failure> {
        let address = format!("{}{}", connection.url.trim_end_matches('/'), self.path);
        parse(&address)
    }
}

pub(super) fn parse(address: &str) -> Result<Url, Failure> {
    let invalid = |problem: String| {
        Failure::user(format!("`{address}` is no address"))
            .with_detail(problem)
            .with_hint("Write it as https://host/path.")
    };
    let url = Url::parse(address).map_err(|error| invalid(error.to_string()))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err(invalid(format!("Its scheme is {}.", url.scheme())))
    }
}
