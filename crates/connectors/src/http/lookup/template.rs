//! An address with places for keys.

use std::collections::{BTreeMap, BTreeSet};

use headwater_project::Failure;
use headwater_project::config::HttpConnection;
use reqwest::Url;

use crate::http::config;

/// A path and parameters in which `{name}` stands for a column of the key.
#[derive(Clone, Debug)]
pub(super) struct Template {
    path: String,
    query: BTreeMap<String, String>,
}

/// Whether an address can be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filled {
    Address(Box<Url>),
    /// It cannot be asked for a key like this, with the reason.
    Unusable(String),
}

impl Template {
    pub(super) fn new(path: &str, query: &BTreeMap<String, String>) -> Self {
        Self { path: path.to_owned(), query: query.clone() }
    }

    /// Every name that stands for a value.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        std::iter::once(&self.path).chain(self.query.values()).flat_map(|text| names(text)).collect()
    }

    /// The address for these values. A value is one segment of the path at the most, whatever it holds.
    pub(super) fn fill(&self, connection: &HttpConnection, value: &dyn Fn(&str) -> String) -> Result<Filled, Failure> {
        let (path, in_path) =
            self.path.split_once('?').map_or((self.path.as_str(), None), |(path, query)| (path, Some(query)));
        for name in names(path) {
            let value = value(name);
            if matches!(value.as_str(), "" | "." | "..") {
                return Ok(Filled::Unusable(format!("`{value}` cannot be a part of a path")));
            }
        }
        let encoded = |name: &str| encode(&value(name));
        let mut address = format!("{}{}", connection.url.trim_end_matches('/'), replace(path, &encoded));
        if let Some(query) = in_path {
            address = format!("{address}?{}", replace(query, &encoded));
        }
        let mut url = config::parse(&address)?;
        if !self.query.is_empty() {
            let pairs = self.query.iter().map(|(name, text)| (name, replace(text, value)));
            url.query_pairs_mut().extend_pairs(pairs);
        }
        Ok(Filled::Address(Box::new(url)))
    }
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

pub(super) fn is_unclosed(text: &str) -> bool {
    text.split('{').skip(1).any(|part| !part.contains('}'))
}

fn replace(text: &str, value: &dyn Fn(&str) -> String) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((name, rest)) => {
                filled.push_str(&value(name));
                filled.push_str(rest);
            }
            None => {
                filled.push('{');
                filled.push_str(part);
            }
        }
    }
    filled
}

/// Percent-encodes all but what is never special (RFC 3986, 2.3), and commas, which divide several values.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~,".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, query: &[(&str, &str)], values: &[(&str, &str)], expected: &str) {
        let connection: HttpConnection = serde_json::from_str(r#"{"url": "http://h/v1/"}"#).unwrap();
        let query = query.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let find = |name: &str| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()).unwrap_or_default()
        };
        let found = match Template::new(path, &query).fill(&connection, &find).unwrap() {
            Filled::Address(url) => url.to_string(),
            Filled::Unusable(reason) => reason,
        };
        assert_eq!(found, expected, "{path} {values:?}");
    }

    #[test]
    fn values_go_where_their_names_are() {
        check(
            "/at/{a}/x",
            &[("h", "{b}")],
            &[("a", "59.3"), ("b", "12:00 +1&c")],
            "http://h/v1/at/59.3/x?h=12%3A00+%2B1%26c",
        );
        check("/at?lat={a}&k=v", &[], &[("a", "a b/ü&k=w")], "http://h/v1/at?lat=a%20b%2F%C3%BC%26k%3Dw&k=v");
        check("/{a}-{b}", &[], &[("a", "1,2"), ("b", "x")], "http://h/v1/1,2-x");
    }

    #[test]
    fn a_value_never_leads_elsewhere() {
        check("/u/{a}", &[], &[("a", "../admin?x#y")], "http://h/v1/u/..%2Fadmin%3Fx%23y");
        check("/u/{a}/orders", &[], &[("a", "..")], "`..` cannot be a part of a path");
        check("/u/{a}", &[], &[("a", "")], "`` cannot be a part of a path");
        check("/u/{a}", &[], &[("a", "//evil.example")], "http://h/v1/u/%2F%2Fevil.example");
        // Dots that are encoded already are text like any other.
        check("/u/{a}", &[], &[("a", "%2e%2e")], "http://h/v1/u/%252e%252e");
    }

    #[test]
    fn names_are_found_and_open_braces_told() {
        let template = Template::new("/{a}/{b}?{a}", &BTreeMap::from([(String::from("q"), String::from("x{c}"))]));
        assert_eq!(template.names().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(is_unclosed("/{a}/{b") && !is_unclosed("/{a}"));
    }
}
