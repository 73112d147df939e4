//! What a body holds: JSON, lines of JSON, delimited rows, or Arrow.
//!
//! A topic holds JSON records; whatever else comes is made that at the edge. A body that is one document (JSON, Arrow) is
//! taken whole or refused whole. Of one that consists of lines or rows those that are none go to quarantine, and their
//! neighbours are kept.

use serde_json::value::RawValue;

use super::config::PushConfig;
use super::media_type::MediaType;
use super::records::{MAX_RECORDS, Records};
use super::unpack::unpacked;
use super::{arrow_stream, csv};

/// What rows may grow to as JSON, which repeats their names: so many times `max_body`.
pub(super) const MAX_GROWTH: usize = 4;

/// Why a body is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    TooLarge { limit: usize },
    TooMany { limit: usize },
    UnsupportedType(String),
    UnsupportedEncoding(String),
    Malformed(String),
}

/// The records of a body: of a JSON list its items, of lines each that is not blank, of a table its rows. Lines are not
/// looked into: a bad one is set aside when it is read.
pub fn records(content_type: &str, encoding: &str, body: &[u8], config: &PushConfig) -> Result<Records, BodyError> {
    let limit = usize::try_from(config.max_body.0).unwrap_or(usize::MAX);
    let unpacked = unpacked(encoding, body, limit)?;
    let media = MediaType::read(content_type);
    let records = match media.kind.as_str() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/json-lines" => {
            Records::lines(unpacked)
        }
        "text/csv" | "text/tab-separated-values" => csv::records(&unpacked, &media, &config.csv, limit)?,
        "application/vnd.apache.arrow.stream" => arrow_stream::records(unpacked, limit)?,
        "application/json" | "" => json(&unpacked)?,
        kind if kind.ends_with("+json") => json(&unpacked)?,
        _ => return Err(BodyError::UnsupportedType(media.kind)),
    };
    if records.len() > MAX_RECORDS { Err(BodyError::TooMany { limit: MAX_RECORDS }) } else { Ok(records) }
}

fn json(body: &[u8]) -> Result<Records, BodyError> {
    let malformed = |error: serde_json::Error| BodyError::Malformed(error.to_string());
    let body = body.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(body);
    let mut records = Records::default();
    let mut add = |item: &RawValue| records.push(flat(item.get()).as_slice());
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(malformed)?;
        items.into_iter().for_each(&mut add);
    } else {
        add(serde_json::from_slice(body).map_err(malformed)?);
    }
    Ok(records)
}

/// A record is a line in the log's tools: line ends between tokens go, those in texts are escaped.
fn flat(json: &str) -> Vec<u8> {
    json.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect()
}

#[cfg(test)]
mod tests {
    use headwater_project::config::ByteSize;

    use super::*;

    fn limited(limit: u64) -> PushConfig {
        PushConfig { max_body: ByteSize(limit), ..PushConfig::default() }
    }

    fn check(content_type: &str, body: &str, expected: &[&str]) {
        let found = records(content_type, "", body.as_bytes(), &limited(1 << 20)).unwrap();
        let found: Vec<_> = found.iter().map(|record| std::str::from_utf8(record).unwrap()).collect();
        assert_eq!(found, expected, "{content_type} {body:?}");
    }

    #[test]
    fn a_body_is_cut_into_its_records() {
        check("application/json", r#"{"a": 1}"#, &[r#"{"a": 1}"#]);
        check("application/json; charset=utf-8", "[{\"a\":\n1}, {\"a\": 2}]", &[r#"{"a": 1}"#, r#"{"a": 2}"#]);
        check("application/json", "\u{feff}[{}]", &["{}"]);
        check("application/cloudevents+json", "{}", &["{}"]);
        check(
            "application/x-ndjson",
            "{\"a\": 1}\r\n\n  \nbroken\n{\"a\": 2}",
            &[r#"{"a": 1}"#, "broken", r#"{"a": 2}"#],
        );
        check("application/json", "[]", &[]);
        // Numbers stay what they are.
        check("application/json", "[{\"n\": 12345678901234567890.123}]", &["{\"n\": 12345678901234567890.123}"]);
        check("text/csv", "a,b\n1,x\n", &[r#"{"a":"1","b":"x"}"#]);
    }

    #[test]
    fn what_cannot_be_taken_is_refused_with_the_reason() {
        let refused =
            |kind: &str, encoding: &str, body: &[u8]| records(kind, encoding, body, &limited(100)).unwrap_err();
        assert!(matches!(refused("application/json", "", b"{"), BodyError::Malformed(_)));
        assert!(matches!(refused("application/json", "", b"{} {}"), BodyError::Malformed(_)));
        assert_eq!(refused("text/html", "", b"{}"), BodyError::UnsupportedType(String::from("text/html")));
        assert_eq!(refused("", "br", b"{}"), BodyError::UnsupportedEncoding(String::from("br")));
        let many = "1\n".repeat(MAX_RECORDS + 1);
        let found = records("application/x-ndjson", "", many.as_bytes(), &limited(1 << 30));
        assert_eq!(found, Err(BodyError::TooMany { limit: MAX_RECORDS }));
    }

    #[test]
    fn a_json_text_of_any_depth_uses_no_stack() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        let found = records("application/json", "", deep.as_bytes(), &limited(1 << 20)).unwrap();
        assert_eq!(found.len(), 1);
    }
}
