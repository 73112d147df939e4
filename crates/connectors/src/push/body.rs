//! What a body holds: one JSON value or several, one a line.

use std::io::Read;

use serde_json::value::RawValue;

/// A body a hundred times as large unpacked as packed is not what anybody sends.
const MAX_RATIO: usize = 100;
const LEAST_CAP: usize = 1 << 20;

/// Why a body is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    TooLarge { limit: usize },
    UnsupportedType(String),
    UnsupportedEncoding(String),
    Malformed(String),
}

/// The records of a body, as they came: of a JSON list its items, of lines each that is not blank. Lines are not looked into:
/// a bad one is set aside when it is read, and its neighbours are kept.
pub fn records(content_type: &str, encoding: &str, body: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, BodyError> {
    let unpacked = unpacked(encoding, body, limit)?;
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/json-lines" => {
            Ok(lines(&unpacked))
        }
        "application/json" | "" => json(&unpacked),
        _ if kind.ends_with("+json") => json(&unpacked),
        _ => Err(BodyError::UnsupportedType(kind)),
    }
}

fn unpacked(encoding: &str, body: &[u8], limit: usize) -> Result<Vec<u8>, BodyError> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" if body.len() > limit => Err(BodyError::TooLarge { limit }),
        "" | "identity" => Ok(body.to_vec()),
        "gzip" | "x-gzip" => {
            let cap = limit.min(body.len().saturating_mul(MAX_RATIO).max(LEAST_CAP));
            let mut unpacked = Vec::new();
            let reader = flate2::read::MultiGzDecoder::new(body);
            let read = reader.take(cap as u64 + 1).read_to_end(&mut unpacked);
            read.map_err(|error| BodyError::Malformed(format!("it is not gzip: {error}")))?;
            if unpacked.len() > cap { Err(BodyError::TooLarge { limit: cap }) } else { Ok(unpacked) }
        }
        other => Err(BodyError::UnsupportedEncoding(other.to_owned())),
    }
}

fn lines(body: &[u8]) -> Vec<Vec<u8>> {
    let is_blank = |line: &&[u8]| !line.iter().all(u8::is_ascii_whitespace);
    let without_return = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).to_vec();
    body.split(|byte| *byte == b'\n').filter(is_blank).map(without_return).collect()
}

fn json(body: &[u8]) -> Result<Vec<Vec<u8>>, BodyError> {
    let malformed = |error: serde_json::Error| BodyError::Malformed(error.to_string());
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(malformed)?;
        // A record is a line in the log's tools: line ends between tokens go, those in texts are escaped.
        return Ok(items.into_iter().map(|item| flat(item.get())).collect());
    }
    let one: &RawValue = serde_json::from_slice(body).map_err(malformed)?;
    Ok(vec![flat(one.get())])
}

fn flat(json: &str) -> Vec<u8> {
    json.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn check(content_type: &str, body: &str, expected: &[&str]) {
        let found = records(content_type, "", body.as_bytes(), 1 << 20).unwrap();
        let found: Vec<_> = found.iter().map(|record| std::str::from_utf8(record).unwrap()).collect();
        assert_eq!(found, expected, "{content_type} {body:?}");
    }

    #[test]
    fn a_body_is_cut_into_its_records() {
        check("application/json", r#"{"a": 1}"#, &[r#"{"a": 1}"#]);
        check("application/json; charset=utf-8", "[{\"a\":\n1}, {\"a\": 2}]", &[r#"{"a": 1}"#, r#"{"a": 2}"#]);
        check("application/cloudevents+json", "{}", &["{}"]);
        check(
            "application/x-ndjson",
            "{\"a\": 1}\r\n\n  \nbroken\n{\"a\": 2}",
            &[r#"{"a": 1}"#, "broken", r#"{"a": 2}"#],
        );
        check("application/json", "[]", &[]);
        // Numbers stay what they are.
        check("application/json", "[{\"n\": 12345678901234567890.123}]", &["{\"n\": 12345678901234567890.123}"]);
    }

    #[test]
    fn what_cannot_be_taken_is_refused_with_the_reason() {
        let refused = |kind: &str, encoding: &str, body: &[u8]| records(kind, encoding, body, 100).unwrap_err();
        assert!(matches!(refused("application/json", "", b"{"), BodyError::Malformed(_)));
        assert!(matches!(refused("application/json", "", b"{} {}"), BodyError::Malformed(_)));
        assert_eq!(refused("text/html", "", b"{}"), BodyError::UnsupportedType(String::from("text/html")));
        assert_eq!(refused("", "br", b"{}"), BodyError::UnsupportedEncoding(String::from("br")));
        assert_eq!(refused("", "", &[b' '; 101]), BodyError::TooLarge { limit: 100 });
        assert!(matches!(refused("", "gzip", b"plain"), BodyError::Malformed(_)));
    }

    #[test]
    fn a_packed_body_is_unpacked_up_to_its_limit() {
        let packed = |bytes: &[u8]| {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        };
        assert_eq!(records("", "gzip", &packed(b"{}"), 100).unwrap(), [b"{}"]);
        let bomb = packed(&vec![b' '; 64 << 20]);
        assert!(matches!(records("", "gzip", &bomb, 1 << 30), Err(BodyError::TooLarge { .. })));
    }
}
