//! JSON records into columns, strictly.
//!
//! Written for this place because a general reader is lenient where a lake must not be: arrow-json stores 1.5 in an integer
//! column as 1 and reads numbers out of strings, and cannot say which record of a batch was bad. Here a value goes in as it is
//! or the record is refused:
//! - numbers follow the JSON grammar; an integer column takes `1540919166796.0` (exact) and refuses `1.5`; `1e400`, `NaN` and
//!   `Infinity` are refused;
//! - a key twice in one object is refused, whatever the values;
//! - text must be UTF-8 without bare control characters; `\u0000` is kept as a character, a lone surrogate is refused;
//! - a byte order mark at the start is skipped;
//! - an object or array in a text column is kept as its JSON text;
//! - nesting deeper than `MAX_JSON_DEPTH` is refused before it can use up the stack.

use crate::codec::column::{Column, Fieldset, Refusal, Values};
use crate::codec::overflow::Overflow;
use crate::codec::scan::{SHORT, before, everywhere, less};
use crate::limits::MAX_JSON_DEPTH;
use crate::schema::is_reserved;

/// What the records of a batch said that the schema has no place for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// The first field that had a value and no column.
    pub(crate) unknown_field: Option<String>,
    /// What the current record holds without a column.
    pub(crate) overflow: Overflow,
    /// An integer column met a number it could not hold.
    pub(crate) inexact_number: bool,
}

/// How to treat a field with a value and no column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownFields {
    Note,
    Refuse,
    /// It goes into [`Notes::overflow`].
    Keep,
}

impl Notes {
    /// Notes a field that none of these columns is for, by its first name; the text of its value is JSON.
    pub(crate) fn unknown(
        &mut self,
        unknown_fields: UnknownFields,
        name: &str,
        value: &str,
        columns: &Fieldset,
    ) -> Result<(), Refusal> {
        match unknown_fields {
            UnknownFields::Note => {
                self.unknown_field.get_or_insert_with(|| name.to_owned());
                Ok(())
            }
            UnknownFields::Keep => {
                self.overflow.keep(name, value);
                Ok(())
            }
            UnknownFields::Refuse => {
                let shown: String = name.chars().take(80).collect();
                Err(match columns.find_whatever_case(name) {
                    Some(column) => format!("field `{shown}` differs only by case from column `{column}`"),
                    None => format!("field `{shown}` has no column and none can be added"),
                })
            }
        }
    }
}

pub(crate) struct JsonReader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    depth: usize,
    unknown_fields: UnknownFields,
    notes: &'a mut Notes,
}

/// Adds one record as a row.
pub(crate) fn decode(
    text: &str,
    unknown_fields: UnknownFields,
    columns: &mut Fieldset,
    notes: &mut Notes,
) -> Result<(), Refusal> {
    let mut reader = JsonReader { bytes: text.as_bytes(), text, at: 0, depth: 0, unknown_fields, notes };
    reader.skip_space();
    if reader.peek() != Some(b'{') {
        return Err("record is no JSON object".to_owned());
    }
    reader.object(columns)?;
    reader.skip_space();
    if reader.at < reader.bytes.len() {
        return Err(format!("text after the record at byte {}", reader.at + 1));
    }
    Ok(())
}

enum Text<'a> {
    Plain(&'a str),
    Unescaped(String),
}

impl Text<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Unescaped(text) => text,
        }
    }
}

impl<'a> JsonReader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, what: &str) -> Refusal {
        match self.bytes.get(self.at) {
            None => format!("record ends where {what} should follow"),
            Some(_) => format!("expected {what} at byte {}", self.at + 1),
        }
    }

    fn enter(&mut self) -> Result<(), Refusal> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_JSON_DEPTH {
            return Err(format!("nested deeper than {MAX_JSON_DEPTH} levels"));
        }
        Ok(())
    }

    /// Reads the fields of an object into a row.
    fn object(&mut self, columns: &mut Fieldset) -> Result<(), Refusal> {
        self.enter()?;
        let rows = columns.rows();
        let mut expected = 0;
        let mut first = true;
        while !self.take(b'}') {
            let Some(index) = self.column(columns, expected, &mut first)? else { continue };
            expected = index + 1;
            let Some(column) = columns.columns.get_mut(index) else { continue };
            if column.len() > rows {
                return Err(format!("field `{}` is there twice", column.name()));
            }
            if self.unknown_fields == UnknownFields::Keep {
                self.notes.overflow.enter(column.name());
                self.value(column)?;
                self.notes.overflow.leave();
            } else {
                self.value(column)?;
            }
        }
        self.depth -= 1;
        columns.finish_row()
    }

    /// The column of the next field, of which the key is then read; nothing for a field that has none, which is then read whole.
    fn column(&mut self, columns: &Fieldset, expected: usize, first: &mut bool) -> Result<Option<usize>, Refusal> {
        self.before_key(first)?;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        // Records of one producer keep their order of fields: the key is compared, not read.
        if let Some(length) = columns.columns.get(expected).and_then(|column| column.labels(rest)) {
            self.at += length;
            self.colon()?;
            return Ok(Some(expected));
        }
        let key = self.string()?;
        self.colon()?;
        let found = columns.find(key.as_str(), expected);
        if found.is_none() {
            self.unknown(key.as_str(), columns)?;
        }
        Ok(found)
    }

    /// The next key with its colon, after the comma where one belongs.
    fn key(&mut self, first: &mut bool) -> Result<Text<'a>, Refusal> {
        self.before_key(first)?;
        let key = self.string()?;
        self.colon()?;
        Ok(key)
    }

    fn before_key(&mut self, first: &mut bool) -> Result<(), Refusal> {
        if !std::mem::take(first) && !self.take(b',') {
            return Err(self.expected("`,` or `}`"));
        }
        self.skip_space();
        if self.peek() == Some(b'"') { Ok(()) } else { Err(self.expected("a field name")) }
    }

    fn colon(&mut self) -> Result<(), Refusal> {
        if !self.take(b':') {
            return Err(self.expected("`:`"));
        }
        self.skip_space();
        Ok(())
    }

    fn unknown(&mut self, name: &str, columns: &Fieldset) -> Result<(), Refusal> {
        if self.depth == 1 && is_reserved(name) {
            return Err(format!("field name `{name}` is reserved"));
        }
        let start = self.at;
        self.skip_value()?;
        // These say nothing about a type, so there is no column to make yet.
        let value = self.text.get(start..self.at).unwrap_or_default();
        if matches!(value, "null" | "[]" | "{}") {
            return Ok(());
        }
        self.notes.unknown(self.unknown_fields, name, value, columns)
    }

    fn value(&mut self, column: &mut Column) -> Result<(), Refusal> {
        match self.peek() {
            Some(b'"') => match self.string()? {
                Text::Plain(text) => column.push_text(text),
                Text::Unescaped(text) => column.push_text(&text),
            },
            Some(b'-' | b'0'..=b'9') => {
                let text = self.number()?;
                let pushed = column.push_number(text);
                self.notes.inexact_number |= pushed.is_err() && column.holds_integers();
                pushed
            }
            Some(b't') => self.word("true").and_then(|()| column.push_bool(true)),
            Some(b'f') => self.word("false").and_then(|()| column.push_bool(false)),
            Some(b'n') => self.word("null").and_then(|()| column.push_null()),
            Some(b'{') => self.nested(column, "an object"),
            Some(b'[') => self.nested(column, "an array"),
            _ => Err(self.expected("a value")),
        }
    }

    fn nested(&mut self, column: &mut Column, found: &str) -> Result<(), Refusal> {
        let array = self.peek() == Some(b'[');
        match column.values() {
            Values::Text { .. } => {
                let start = self.at;
                self.skip_value()?;
                return column.push_text(self.text.get(start..self.at).unwrap_or_default());
            }
            Values::Struct(fields) if !array => self.object(fields)?,
            Values::List { ends, item } if array => {
                self.array(item)?;
                ends.push(i32::try_from(item.len()).map_err(|_| "a batch holds too many array items".to_owned())?);
            }
            _ => return Err(column.refuse(found)),
        }
        column.mark_present();
        Ok(())
    }

    fn array(&mut self, item: &mut Column) -> Result<(), Refusal> {
        self.enter()?;
        let mut first = true;
        let mut place = 0_usize;
        while !self.take(b']') {
            if !std::mem::take(&mut first) && !self.take(b',') {
                return Err(self.expected("`,` or `]`"));
            }
            self.skip_space();
            if self.unknown_fields == UnknownFields::Keep {
                self.notes.overflow.enter(&place.to_string());
                self.value(item)?;
                self.notes.overflow.leave();
                place += 1;
            } else {
                self.value(item)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Checks a value that goes nowhere, or that is kept as text.
    fn skip_value(&mut self) -> Result<(), Refusal> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'{') => {
                self.enter()?;
                let mut first = true;
                while !self.take(b'}') {
                    self.key(&mut first)?;
                    self.skip_value()?;
                }
                self.depth -= 1;
                Ok(())
            }
            Some(b'[') => {
                self.enter()?;
                let mut first = true;
                while !self.take(b']') {
                    if !std::mem::take(&mut first) && !self.take(b',') {
                        return Err(self.expected("`,` or `]`"));
                    }
                    self.skip_space();
                    self.skip_value()?;
                }
                self.depth -= 1;
                Ok(())
            }
            _ => Err(self.expected("a value")),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Refusal> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// The text of a number; JSON's grammar, which is narrower than Rust's.
    fn number(&mut self) -> Result<&'a str, Refusal> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn digits(&mut self) -> Result<(), Refusal> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Text<'a>, Refusal> {
        self.at += 1;
        let start = self.at;
        self.at += self.plain_len()?;
        let text = self.text.get(start..self.at).unwrap_or_default();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Text::Plain(text));
        }
        let mut unescaped = String::with_capacity(text.len() + 64);
        unescaped.push_str(text);
        while self.peek() == Some(b'\\') {
            unescaped.push(self.escape()?);
            let plain = self.at;
            self.at += self.plain_len()?;
            unescaped.push_str(self.text.get(plain..self.at).unwrap_or_default());
        }
        self.at += 1;
        Ok(Text::Unescaped(unescaped))
    }

    /// Bytes up to the next quote or backslash.
    fn plain_len(&self) -> Result<usize, Refusal> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(length) = plain(rest) else {
            return Err("record ends inside a string".to_owned());
        };
        match rest.get(length) {
            Some(0..0x20) => Err(format!("bare control character at byte {}", self.at + length + 1)),
            _ => Ok(length),
        }
    }

    fn escape(&mut self) -> Result<char, Refusal> {
        let code = self.bytes.get(self.at + 1).copied();
        self.at += 2;
        Ok(match code {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(format!("unknown escape at byte {}", self.at - 1)),
        })
    }

    fn unicode_escape(&mut self) -> Result<char, Refusal> {
        let lone = |at: usize| format!("lone surrogate at byte {at}");
        let high = self.hex()?;
        if !(0xD800..0xE000).contains(&high) {
            return char::from_u32(high).ok_or_else(|| lone(self.at));
        }
        if high >= 0xDC00 || self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
            return Err(lone(self.at));
        }
        self.at += 2;
        let low = self.hex()?;
        if !(0xDC00..0xE000).contains(&low) {
            return Err(lone(self.at));
        }
        char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)).ok_or_else(|| lone(self.at))
    }

    fn hex(&mut self) -> Result<u32, Refusal> {
        let digits = self.text.get(self.at..self.at + 4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let value = value.ok_or_else(|| format!("bad unicode escape at byte {}", self.at + 1))?;
        self.at += 4;
        Ok(value)
    }
}

/// Bytes up to the first quote, backslash or control character.
fn plain(text: &[u8]) -> Option<usize> {
    let (short, long) = text.split_at(text.len().min(SHORT));
    let (words, last) = short.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let ends = ends_in(u64::from_le_bytes(*word));
        if ends != 0 {
            return Some(index * 8 + before(ends));
        }
    }
    if let Some(length) = last.iter().position(is_end) {
        return Some(words.len() * 8 + length);
    }
    let end = memchr::memchr2(b'"', b'\\', long);
    let until = long.get(..end.unwrap_or(long.len())).unwrap_or_default();
    // Without a way out of the loop it is done for many bytes at once.
    let is_plain = until.iter().fold(true, |plain, byte| plain & (*byte >= 0x20));
    let length = if is_plain { end? } else { until.iter().position(is_end)? };
    Some(short.len() + length)
}

fn is_end(byte: &u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

/// The highest bit of the first byte that ends a text, if one of the eight does; what is set above it means nothing.
fn ends_in(word: u64) -> u64 {
    less(word, 0x20) | less(word ^ everywhere(b'"'), 1) | less(word ^ everywhere(b'\\'), 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_ends_where_its_bytes_say(text in prop::collection::vec(prop_oneof![8 => any::<u8>(), 1 => Just(b'"'), 40 => b'a'..=b'z'], 0..120)) {
            prop_assert_eq!(plain(&text), text.iter().position(is_end));
        }
    }
}
