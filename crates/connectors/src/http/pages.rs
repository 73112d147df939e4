//! From one page to the next.

use std::collections::HashSet;

use reqwest::Url;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::config::Pagination;

/// More pages than any source has: a service that never ends would otherwise never let go.
const MAX_PAGES: u64 = 1_000_000;

/// Where one look through the pages stands.
#[derive(Debug)]
pub(super) struct Pages {
    kind: Option<Pagination>,
    first: Url,
    /// What was asked for and what came, to notice a service that goes in circles.
    seen: HashSet<[u8; 32]>,
    number: u64,
    records: u64,
}

/// What comes after a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    Page(Url),
    End,
}

impl Pages {
    pub(super) fn new(kind: Option<Pagination>, first: Url) -> Self {
        Self { kind, first, seen: HashSet::new(), number: 0, records: 0 }
    }

    /// Address of the first page.
    pub(super) fn first(&self) -> Url {
        match &self.kind {
            Some(Pagination::Page { parameter, start }) => with(&self.first, parameter, &start.to_string()),
            Some(Pagination::Offset { parameter }) => with(&self.first, parameter, "0"),
            _ => self.first.clone(),
        }
    }

    /// What comes after an answer of so many records; `link` is its `Link` header.
    pub(super) fn after(
        &mut self,
        body: &[u8],
        answer: &Value,
        records: usize,
        link: Option<&str>,
    ) -> Result<After, String> {
        self.number += 1;
        self.records += records as u64;
        if self.number >= MAX_PAGES {
            return Err(format!("there are more than {MAX_PAGES} pages"));
        }
        let next = match &self.kind {
            None => None,
            Some(Pagination::Page { .. } | Pagination::Offset { .. }) if records == 0 => None,
            Some(Pagination::Page { parameter, start }) => {
                once(&mut self.seen, body, "the same page came twice")?;
                Some(with(&self.first, parameter, &(start + self.number).to_string()))
            }
            Some(Pagination::Offset { parameter }) => {
                once(&mut self.seen, body, "the same page came twice")?;
                Some(with(&self.first, parameter, &self.records.to_string()))
            }
            Some(Pagination::Cursor { pointer, parameter }) => match answer.pointer(pointer) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) if text.is_empty() => None,
                Some(Value::String(text)) => Some(with(&self.first, parameter, text)),
                Some(Value::Number(number)) => Some(with(&self.first, parameter, &number.to_string())),
                Some(_) => return Err(format!("`{pointer}` of an answer is neither text nor a number")),
            },
            Some(Pagination::Link) => match link.and_then(next_link) {
                None => None,
                Some(target) => {
                    let next = self.first.join(target).map_err(|_| String::from("a Link header has no address"))?;
                    if next.origin() != self.first.origin() {
                        return Err(format!("a Link header leads to {}", next.host_str().unwrap_or("nowhere")));
                    }
                    Some(next)
                }
            },
        };
        let Some(next) = next else { return Ok(After::End) };
        once(&mut self.seen, next.as_str().as_bytes(), "the pages go in circles")?;
        Ok(After::Page(next))
    }
}

fn once(seen: &mut HashSet<[u8; 32]>, what: &[u8], problem: &str) -> Result<(), String> {
    if seen.insert(Sha256::digest(what).into()) { Ok(()) } else { Err(problem.to_owned()) }
}

fn with(url: &Url, parameter: &str, value: &str) -> Url {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != parameter)
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair(parameter, value);
    url
}

/// The address of `rel="next"` in a `Link` header.
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let (parameters, following) = after
            .split_once('<')
            .map_or((after, ""), |(parameters, _)| (parameters, after.get(parameters.len()..).unwrap_or_default()));
        let is_next = parameters.split(';').filter_map(|part| part.trim().split_once('=')).any(|(name, value)| {
            let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && value.split_whitespace().any(|kind| kind.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = following;
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pages(kind: Pagination) -> Pages {
        Pages::new(Some(kind), Url::parse("http://h/orders?size=2").unwrap())
    }

    #[test]
    fn pages_are_counted_until_an_empty_one() {
        let mut pages = pages(Pagination::Page { parameter: String::from("p"), start: 1 });
        assert_eq!(pages.first().as_str(), "http://h/orders?size=2&p=1");
        let next = pages.after(b"a", &Value::Null, 2, None).unwrap();
        assert_eq!(next, After::Page(Url::parse("http://h/orders?size=2&p=2").unwrap()));
        assert_eq!(pages.after(b"b", &Value::Null, 0, None).unwrap(), After::End);
    }

    #[test]
    fn a_service_that_goes_in_circles_is_noticed() {
        let mut by_page = pages(Pagination::Page { parameter: String::from("p"), start: 0 });
        by_page.after(b"same", &Value::Null, 2, None).unwrap();
        assert_eq!(by_page.after(b"same", &Value::Null, 2, None), Err(String::from("the same page came twice")));
        let cursor = || Pagination::Cursor { pointer: String::from("/next"), parameter: String::from("c") };
        let mut by_cursor = pages(cursor());
        by_cursor.after(b"", &json!({"next": "x"}), 1, None).unwrap();
        by_cursor.after(b"", &json!({"next": "y"}), 1, None).unwrap();
        assert_eq!(by_cursor.after(b"", &json!({"next": "x"}), 1, None), Err(String::from("the pages go in circles")));
        for end in [json!({}), json!({"next": null}), json!({"next": ""})] {
            assert_eq!(pages(cursor()).after(b"", &end, 1, None).unwrap(), After::End);
        }
    }

    #[test]
    fn a_link_is_followed_on_its_own_server_only() {
        let link = |header: &str| pages(Pagination::Link).after(b"", &Value::Null, 1, Some(header));
        let next = After::Page(Url::parse("http://h/orders?page=2").unwrap());
        assert_eq!(link("<http://h/a>; rel=\"prev\", <http://h/orders?page=2>; rel=\"next\"").unwrap(), next);
        assert_eq!(link("</orders?page=2>; title=x; rel=next").unwrap(), next);
        assert_eq!(link("<http://h/a>; rel=\"last\"").unwrap(), After::End);
        assert!(link("<http://169.254.169.254/latest>; rel=next").is_err());
    }
}
