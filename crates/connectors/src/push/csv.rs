//! Delimited rows as JSON records.
//!
//! Values are text unless the source says otherwise: a body is one of many, and what looks like a number in this one need
//! not in the next. An empty field is left out, `""` is empty text.

use headwater_ingest::codec::{Delimiters, Framing, Splitter, delimited};
use headwater_ingest::record::RecordBuffer;

use super::body::{BodyError, MAX_GROWTH};
use super::config::{CsvConfig, CsvType};
use super::media_type::MediaType;
use super::records::Records;

/// The rows of a body. One that does not fit the header is set aside with its line.
pub(super) fn records(body: &[u8], media: &MediaType, config: &CsvConfig, limit: usize) -> Result<Records, BodyError> {
    let malformed = |problem: String| BodyError::Malformed(problem);
    let marks = delimiters(media, config).map_err(malformed)?;
    if let Some(other) = media.parameter("charset").filter(|charset| !is_utf8(charset)) {
        return Err(BodyError::UnsupportedType(format!("text/csv; charset={other}")));
    }
    let mut rows = RecordBuffer::default();
    let mut splitter = Splitter::new(Framing::Rows { quote: marks.quote }, limit);
    splitter.feed(body, 0, &mut rows);
    splitter.finish(0, &mut rows);
    let unframed = splitter.take_unframed();
    let has_header = config.columns.is_none();
    let (names, first) = match &config.columns {
        Some(columns) => (columns.clone(), None),
        None => match (rows.record(0), unframed.first()) {
            (first, Some(bad)) if first.is_none_or(|first| bad.line < first.offset) => {
                return Err(malformed(format!("the header cannot be read: {}", bad.reason)));
            }
            (None, _) => return Ok(Records::default()),
            (Some(first), _) => (header(first.payload, marks).map_err(malformed)?, Some(first.payload)),
        },
    };
    let shape = Shape::new(names, config, marks);
    let (mut records, largest) = (Records::default(), limit.saturating_mul(MAX_GROWTH));
    let mut bytes = 0;
    for row in rows.iter().skip(usize::from(has_header)) {
        let before = bytes;
        let written = match first.filter(|first| *first == row.payload) {
            Some(_) => Err(String::from("the row is the header again")),
            None => records.write(|out| {
                let start = out.len();
                let written = shape.write(row.payload, out);
                bytes = before + out.len() - start;
                written
            }),
        };
        if let Err(reason) = written {
            bytes = before + row.payload.len();
            records.set_aside(&format!("line {}: {reason}", row.offset), row.payload);
        }
        if bytes > largest {
            return Err(BodyError::TooLarge { limit: largest });
        }
    }
    for lost in unframed {
        records.set_aside(&format!("line {}: {}", lost.line, lost.reason), &lost.bytes);
    }
    Ok(records)
}

fn is_utf8(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii"].iter().any(|known| known.eq_ignore_ascii_case(charset))
}

/// The marks of this body: what it says of itself, or else the source.
fn delimiters(media: &MediaType, config: &CsvConfig) -> Result<Delimiters, String> {
    let usual = if media.kind == "text/csv" { config.delimiter.unwrap_or(',') } else { '\t' };
    let delimiter = match media.parameter("delimiter") {
        None => usual,
        // A bare semicolon ends the parameter it is the value of.
        Some("") => ';',
        Some("tab" | "\\t") => '\t',
        Some(one) if one.chars().count() == 1 => one.chars().next().unwrap_or(usual),
        Some(other) => return Err(format!("the delimiter `{other}` is not one character")),
    };
    let mark = |name: &str, mark: char| match u8::try_from(mark) {
        Ok(byte) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(byte),
        _ => Err(format!("the {name} {mark:?} is not an ASCII character inside of lines")),
    };
    let marks = Delimiters { delimiter: mark("delimiter", delimiter)?, quote: mark("quote", config.quote)? };
    if marks.delimiter == marks.quote { Err(String::from("delimiter and quote are the same")) } else { Ok(marks) }
}

fn header(row: &[u8], marks: Delimiters) -> Result<Vec<String>, String> {
    let names = delimited::header(row, marks)?;
    if names.iter().any(|name| name.contains('\r')) {
        return Err(String::from("the header holds a bare carriage return: lines end with a line feed"));
    }
    if let [only] = names.as_slice()
        && let Some(mark) = only.chars().find(|mark| matches!(mark, ',' | ';' | '\t' | '|'))
    {
        return Err(format!(
            "the header is the one field `{only}`: send `text/csv; delimiter=\"{mark}\"` if that divides it"
        ));
    }
    if names.len() > headwater_ingest::limits::MAX_COLUMNS {
        let most = headwater_ingest::limits::MAX_COLUMNS;
        return Err(format!("the header has {} fields, a table at most {most}", names.len()));
    }
    Ok(names)
}

/// What rows are made of.
struct Shape {
    names: Vec<String>,
    /// Each name as JSON, with its colon.
    keys: Vec<Vec<u8>>,
    types: Vec<CsvType>,
    marks: Delimiters,
}

impl Shape {
    fn new(names: Vec<String>, config: &CsvConfig, marks: Delimiters) -> Self {
        let key = |name: &String| {
            let mut key = Vec::with_capacity(name.len() + 3);
            write_text(name, &mut key);
            key.push(b':');
            key
        };
        let types = names.iter().map(|name| config.types.get(name).copied().unwrap_or_default()).collect();
        Self { keys: names.iter().map(key).collect(), types, names, marks }
    }

    /// Writes a row as a JSON object.
    fn write(&self, row: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let fields = delimited::row(row, self.marks, self.names.len())?;
        out.push(b'{');
        let mut is_first = true;
        for (index, field) in fields.iter().enumerate() {
            if field.text.is_empty() && !field.quoted {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            out.extend_from_slice(self.keys.get(index).map(Vec::as_slice).unwrap_or_default());
            let data_type = self.types.get(index).copied().unwrap_or_default();
            if !data_type.write(&field.text, out) {
                let name = self.names.get(index).map(String::as_str).unwrap_or_default();
                let shown: String = field.text.chars().take(40).collect();
                return Err(format!("field `{name}` is no {}: {shown}", data_type.name()));
            }
        }
        out.push(b'}');
        Ok(())
    }
}

/// Text as a JSON string. Writing to memory does not fail.
fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).unwrap_or_default();
}

impl CsvType {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    /// Writes a value as JSON; false when it is none of this type.
    fn write(self, text: &str, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Text => {
                write_text(text, out);
                true
            }
            Self::Integer => text.trim().parse::<i64>().is_ok_and(|value| serde_json::to_writer(out, &value).is_ok()),
            Self::Number => {
                let value = text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
                value.is_some_and(|value| serde_json::to_writer(out, &value).is_ok())
            }
            Self::Boolean => {
                let word = text.trim().to_ascii_lowercase();
                let known = matches!(word.as_str(), "true" | "false");
                out.extend_from_slice(if known { word.as_bytes() } else { b"" });
                known
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::aside;
    use super::*;

    fn read(content_type: &str, config: &str, body: &[u8]) -> Result<Records, BodyError> {
        let config: CsvConfig = serde_json::from_str(config).unwrap();
        records(body, &MediaType::read(content_type), &config, 1 << 20)
    }

    /// Records as they are, those set aside by their reason.
    fn check(content_type: &str, config: &str, body: &[u8], expected: &[&str]) {
        let found = read(content_type, config, body).unwrap();
        let shown: Vec<String> = found
            .iter()
            .map(|record| match aside(record) {
                Some((reason, _)) => reason,
                None => String::from_utf8(record.to_vec()).unwrap(),
            })
            .collect();
        assert_eq!(shown, expected, "{}", String::from_utf8_lossy(body));
    }

    #[test]
    fn rows_are_records_of_text() {
        check("text/csv", "{}", b"", &[]);
        check("text/csv", "{}", b"a,b\r\n", &[]);
        check(
            "text/csv",
            "{}",
            b"a,b\r\n007,\"x \"\"y\"\"\nz\"\n,\"\"\n",
            &[r#"{"a":"007","b":"x \"y\"\nz"}"#, r#"{"b":""}"#],
        );
        check(
            "text/csv",
            "{}",
            b"\xef\xbb\xbfa\n=cmd|' /C calc'!A0\n1",
            &[r#"{"a":"=cmd|' /C calc'!A0"}"#, r#"{"a":"1"}"#],
        );
    }

    #[test]
    fn the_delimiter_is_the_bodys_or_the_sources() {
        let expected = [r#"{"a":"1,5","b":"x"}"#];
        check("text/csv; delimiter=\";\"", "{}", b"a;b\n1,5;x\n", &expected);
        check("text/csv; delimiter=;", "{}", b"a;b\n1,5;x\n", &expected);
        check("text/csv", r#"{"delimiter": ";"}"#, b"a;b\n1,5;x\n", &expected);
        check("text/csv; delimiter=tab", r#"{"delimiter": ";"}"#, b"a\tb\n1,5\tx\n", &expected);
        check("text/tab-separated-values", "{}", b"a\tb\n1,5\tx\n", &expected);
        check("text/csv", r#"{"quote": "'", "columns": ["a", "b"]}"#, b"'1,5',x\n", &expected);
    }

    #[test]
    fn types_are_the_sources_to_say() {
        let config = r#"{"types": {"i": "integer", "n": "number", "b": "boolean"}}"#;
        check(
            "text/csv",
            config,
            b"i,n,b,t\n7,1.50,TRUE,1\n-0,1e3,false,\n",
            &[r#"{"i":7,"n":1.5,"b":true,"t":"1"}"#, r#"{"i":0,"n":1000.0,"b":false}"#],
        );
        check(
            "text/csv",
            config,
            b"i,n,b\n1.5,1,true\n1,NaN,true\n1,1,yes\n1,2,\n",
            &[
                "line 2: field `i` is no integer: 1.5",
                "line 3: field `n` is no number: NaN",
                "line 4: field `b` is no boolean: yes",
                r#"{"i":1,"n":2.0}"#,
            ],
        );
    }

    #[test]
    fn bad_rows_are_set_aside_and_their_neighbours_kept() {
        check(
            "text/csv",
            "{}",
            b"a,b\n1\n2,x\n3,x,y\na,b\n\xff,x\n5,\0\n6,\"x\"y\n7,x\n8,\"open\n",
            &[
                "line 2: row has 1 fields, the header 2",
                r#"{"a":"2","b":"x"}"#,
                "line 4: row has 3 fields, the header 2",
                "line 5: the row is the header again",
                "line 6: record is not UTF-8 at byte 1",
                "line 7: row holds a NUL byte",
                "line 8: text after a closing quote",
                r#"{"a":"7","b":"x"}"#,
                "line 10: quote is never closed",
            ],
        );
    }

    #[test]
    fn a_body_whose_header_is_none_is_refused() {
        let refused = |content_type: &str, body: &[u8], told: &str| {
            let found = read(content_type, "{}", body);
            assert!(
                matches!(&found, Err(BodyError::Malformed(problem)) if problem.contains(told)),
                "{told}: {found:?}"
            );
        };
        refused("text/csv", b"a,a\n1,2\n", "twice");
        refused("text/csv", b"a,\n1,2\n", "no name");
        refused("text/csv", b"_offset\n1\n", "reserved");
        refused("text/csv", b"a;b\n1;2\n", "delimiter=\";\"");
        refused("text/csv", b"a,b\r1,2\r", "carriage return");
        refused("text/csv", b"\"a,b\n1,2\n", "never closed");
        refused("text/csv; delimiter=ab", b"a\n", "not one character");
        refused("text/csv; delimiter=\"\\\"\"", b"a\n", "the same");
        let wide: Vec<String> = (0..1_001).map(|number| format!("c{number}")).collect();
        refused("text/csv", wide.join(",").as_bytes(), "at most 1000");
        let found = read("text/csv; charset=latin1", "{}", b"a\n");
        assert!(matches!(found, Err(BodyError::UnsupportedType(_))));
    }
}
