//! Cutting JSON that is not one record a line: the elements of an array, and documents that stand one after the other.
//!
//! A record is an element of a top-level array, or a top-level object, and its number is its place among them. Only what keeps
//! values apart is looked at: brackets, quotes and commas. A record that is no good is refused where it is decoded; what cannot
//! be told apart any more is an error of the whole text, for nothing behind it could be trusted.

use crate::codec::framing::Unframed;
use crate::limits::MAX_REJECTED_BYTES;
use crate::record::{Record, RecordBuffer};

/// What may come between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// A document, or the end.
    Document,
    /// The first element of an array, or its end.
    FirstElement,
    Element,
    CommaOrEnd,
}

/// Where in a value the text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// In so many brackets.
    Brackets(u32),
    /// A string in so many brackets.
    Text(u32),
    /// The character after a backslash.
    Escape(u32),
    /// A number or a word.
    Scalar,
}

#[derive(Debug)]
pub struct ValueSplitter {
    limit: usize,
    wanted: Wanted,
    inside: Inside,
    pending: Vec<u8>,
    /// The value under way is over the limit: only its beginning is kept.
    too_long: bool,
    /// Number of the last record, from 1.
    number: i64,
    unframed: Vec<Unframed>,
}

impl ValueSplitter {
    pub fn new(limit: usize) -> Self {
        let (wanted, inside) = (Wanted::Document, Inside::Nothing);
        Self { limit, wanted, inside, pending: Vec::new(), too_long: false, number: 0, unframed: Vec::new() }
    }

    /// Adds every record that `chunk` completes to `into`. An error says why the text cannot be cut any further.
    pub fn feed(&mut self, chunk: &[u8], timestamp: i64, into: &mut RecordBuffer) -> Result<(), String> {
        let mut from = 0;
        while from < chunk.len() {
            if self.inside == Inside::Nothing {
                let Some(found) = self.skip_to_value(chunk.get(from..).unwrap_or_default())? else { return Ok(()) };
                from += found;
            }
            let rest = chunk.get(from..).unwrap_or_default();
            match self.value_end(rest) {
                Some(end) => {
                    self.keep(rest.get(..end).unwrap_or_default());
                    self.emit(timestamp, into);
                    from += end;
                }
                None => {
                    self.keep(rest);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The text is over.
    pub fn finish(&mut self, timestamp: i64, into: &mut RecordBuffer) -> Result<(), String> {
        if self.inside == Inside::Scalar {
            self.emit(timestamp, into);
        }
        if self.inside != Inside::Nothing {
            return Err(format!("it ends inside record {}", self.number + 1));
        }
        if self.wanted != Wanted::Document {
            return Err(format!("its array is not closed after record {}", self.number));
        }
        Ok(())
    }

    pub fn take_unframed(&mut self) -> Vec<Unframed> {
        std::mem::take(&mut self.unframed)
    }

    /// Bytes up to the next value, which is begun.
    fn skip_to_value(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        for (at, byte) in bytes.iter().enumerate() {
            let begins = match (self.wanted, byte) {
                (_, b' ' | b'\t' | b'\n' | b'\r') => false,
                (Wanted::Document, b'[') => {
                    self.wanted = Wanted::FirstElement;
                    false
                }
                (Wanted::Document, b'{') => true,
                (Wanted::FirstElement | Wanted::CommaOrEnd, b']') => {
                    self.wanted = Wanted::Document;
                    false
                }
                (Wanted::CommaOrEnd, b',') => {
                    self.wanted = Wanted::Element;
                    false
                }
                (Wanted::FirstElement | Wanted::Element, byte) if begins_value(*byte) => true,
                _ => return Err(self.unexpected(*byte)),
            };
            if begins {
                // The byte itself is looked at again, as the first of the value.
                self.inside = if is_open(*byte) || *byte == b'"' { Inside::Brackets(0) } else { Inside::Scalar };
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn unexpected(&self, byte: u8) -> String {
        let wanted = match self.wanted {
            Wanted::Document => "an object or an array",
            Wanted::FirstElement => "a value or `]`",
            Wanted::Element => "a value",
            Wanted::CommaOrEnd => "`,` or `]`",
        };
        format!("it has {:?} after record {} where {wanted} should be", char::from(byte), self.number)
    }

    /// Where the value under way ends in `bytes`, if it does.
    fn value_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            self.inside = match (self.inside, byte) {
                (Inside::Nothing, _) => return Some(at),
                (Inside::Scalar, b',' | b']' | b' ' | b'\t' | b'\n' | b'\r') => return Some(at),
                (Inside::Scalar, _) => Inside::Scalar,
                (Inside::Escape(depth), _) => Inside::Text(depth),
                (Inside::Text(depth), _) => {
                    at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
                    match (bytes.get(at), depth) {
                        (Some(b'\\'), depth) => Inside::Escape(depth),
                        (_, 0) => return Some(at + 1),
                        (_, depth) => Inside::Brackets(depth),
                    }
                }
                (Inside::Brackets(depth), b'"') => Inside::Text(depth),
                (Inside::Brackets(depth), byte) if is_open(*byte) => Inside::Brackets(depth + 1),
                (Inside::Brackets(..=1), b'}' | b']') => return Some(at + 1),
                (Inside::Brackets(depth), b'}' | b']') => Inside::Brackets(depth - 1),
                (inside, _) => inside,
            };
            at += 1;
        }
        None
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.too_long |= self.pending.len() + bytes.len() > self.limit;
        let room = if self.too_long { MAX_REJECTED_BYTES.saturating_sub(self.pending.len()) } else { bytes.len() };
        self.pending.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    fn emit(&mut self, timestamp: i64, into: &mut RecordBuffer) {
        self.number += 1;
        self.inside = Inside::Nothing;
        if self.wanted != Wanted::Document {
            self.wanted = Wanted::CommaOrEnd;
        }
        if std::mem::take(&mut self.too_long) {
            self.pending.truncate(MAX_REJECTED_BYTES);
            let bytes = std::mem::take(&mut self.pending);
            self.unframed.push(Unframed { line: self.number, reason: "record is too long", bytes });
        } else {
            into.push(Record { offset: self.number, timestamp, key: &[], payload: &self.pending });
            self.pending.clear();
        }
    }
}

fn is_open(byte: u8) -> bool {
    matches!(byte, b'{' | b'[')
}

fn begins_value(byte: u8) -> bool {
    is_open(byte) || matches!(byte, b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
}

/// Whether a text that begins like this is an array or a document over several lines, and not one record a line: its first
/// line begins with `[` or is `{` alone.
pub fn is_document(beginning: &[u8]) -> bool {
    let text = beginning.trim_ascii_start();
    match text.split_first() {
        Some((b'[', _)) => true,
        Some((b'{', rest)) => memchr::memchr(b'\n', rest)
            .is_some_and(|end| rest.get(..end).unwrap_or_default().iter().all(u8::is_ascii_whitespace)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records as text, in pieces of every size.
    fn check(text: &str, expected: Result<&[&str], &str>) {
        for size in [1, 2, 3, 7, text.len().max(1)] {
            let mut splitter = ValueSplitter::new(64);
            let mut buffer = RecordBuffer::default();
            let mut outcome = Ok(());
            for chunk in text.as_bytes().chunks(size) {
                outcome = outcome.and_then(|()| splitter.feed(chunk, 0, &mut buffer));
            }
            let outcome = outcome.and_then(|()| splitter.finish(0, &mut buffer));
            let found: Vec<String> =
                buffer.iter().map(|record| String::from_utf8_lossy(record.payload).into_owned()).collect();
            match expected {
                Ok(records) => {
                    assert_eq!(outcome, Ok(()), "{text} by {size}");
                    assert_eq!(found, records, "{text} by {size}");
                    let numbers: Vec<i64> = (1..).take(records.len()).collect();
                    assert_eq!(buffer.offsets(), numbers);
                }
                Err(reason) => assert_eq!(outcome, Err(reason.to_owned()), "{text} by {size}"),
            }
        }
    }

    #[test]
    fn elements_and_documents_are_records() {
        check("", Ok(&[]));
        check(" [ ] ", Ok(&[]));
        check(r#"[{"a":1},{"a":"]}\"["} , {}]"#, Ok(&[r#"{"a":1}"#, r#"{"a":"]}\"["}"#, "{}"]));
        check("{\n \"a\": {\"b\": [1]}\n}\n{}\n", Ok(&["{\n \"a\": {\"b\": [1]}\n}", "{}"]));
        check(r#"[1, "x,\\", null,[2]]"#, Ok(&["1", r#""x,\\""#, "null", "[2]"]));
        check("[{}]\n[{\"b\":2}]", Ok(&["{}", "{\"b\":2}"]));
    }

    #[test]
    fn what_cannot_be_told_apart_is_an_error_of_the_whole() {
        check(r#"[{"a":1},{"a""#, Err("it ends inside record 2"));
        check(r#"[{"a":1},"#, Err("its array is not closed after record 1"));
        check(r#"[{"a":1}"#, Err("its array is not closed after record 1"));
        check(r#"[{"a":1} {"a":2}]"#, Err("it has '{' after record 1 where `,` or `]` should be"));
        check("[1,]", Err("it has ']' after record 1 where a value should be"));
        check("{} x", Err("it has 'x' after record 1 where an object or an array should be"));
    }

    #[test]
    fn a_record_over_the_limit_is_set_aside_and_the_next_one_read() {
        let mut splitter = ValueSplitter::new(64);
        let mut buffer = RecordBuffer::default();
        let text = format!("[{{\"a\":\"{}\"}},{{\"b\":1}}]", "x".repeat(100));
        splitter.feed(text.as_bytes(), 0, &mut buffer).unwrap();
        splitter.finish(0, &mut buffer).unwrap();
        assert_eq!(buffer.offsets(), [2]);
        let unframed = splitter.take_unframed();
        assert_eq!(unframed.iter().map(|one| (one.line, one.reason)).collect::<Vec<_>>(), [(1, "record is too long")]);
    }

    #[test]
    fn documents_are_told_from_lines_by_how_they_begin() {
        for (text, expected) in [
            ("[", true),
            ("\n [{", true),
            ("{\n", true),
            ("{ \r\n \"a\": 1}", true),
            ("{\"a\": 1}\n", false),
            ("{", false),
            ("{\"a\": \n1}", false),
            ("", false),
        ] {
            assert_eq!(is_document(text.as_bytes()), expected, "{text}");
        }
    }
}
