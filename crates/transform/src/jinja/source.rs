//! Template text as the engine gets it, and the way back to the file it came from.
//!
//! Python's lists and mappings can be changed in place (`{% do columns.append(x) %}`), the engine's literals cannot. Each
//! list or mapping literal is therefore wrapped in a call that makes a changeable one. The wrapping moves columns, so every
//! template keeps a map from its offsets to those of the file.

use headwater_project::{FileId, Span};

use super::scan::{Piece, Range, end_of_string, is_word, pieces};

/// Text assembled from slices of a file and text of our own.
#[derive(Clone, Debug)]
pub(crate) struct TemplateSource {
    pub file: FileId,
    pub text: String,
    /// `(offset in text, offset in file)` at the start of every slice of the file, ascending.
    anchors: Vec<(usize, usize)>,
    file_len: usize,
}

impl TemplateSource {
    pub(crate) fn new(file: FileId, file_text: &str) -> Self {
        Self { file, text: String::with_capacity(file_text.len() + 64), anchors: Vec::new(), file_len: file_text.len() }
    }

    /// A whole file as one template.
    pub(crate) fn of_file(file: FileId, file_text: &str) -> Self {
        let mut source = Self::new(file, file_text);
        source.push_slice(file_text, 0..file_text.len());
        source
    }

    /// Text that is not in the file.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A slice of the file, its literals wrapped.
    pub(crate) fn push_slice(&mut self, file_text: &str, range: Range) {
        let Some(slice) = file_text.get(range.clone()) else { return };
        self.push_with(slice, &insertions(slice), range.start);
    }

    fn push_with(&mut self, slice: &str, insertions: &[(usize, &'static str)], base: usize) {
        let mut copied = 0;
        for &(at, insertion) in insertions {
            self.copy(slice, copied..at, base);
            self.text.push_str(insertion);
            copied = at;
        }
        self.copy(slice, copied..slice.len(), base);
    }

    /// A slice that is part of a tag, copied as it is.
    pub(crate) fn push_slice_raw(&mut self, file_text: &str, range: Range) {
        if let Some(slice) = file_text.get(range.clone()) {
            self.copy(slice, 0..slice.len(), range.start);
        }
    }

    /// A slice that is inside a tag, its literals wrapped.
    pub(crate) fn push_expression(&mut self, file_text: &str, range: Range) {
        let Some(slice) = file_text.get(range.clone()) else { return };
        let mut found = Vec::new();
        wrap_literals(slice, 0..slice.len(), &mut found);
        self.push_with(slice, &found, range.start);
    }

    fn copy(&mut self, slice: &str, part: Range, base: usize) {
        if let Some(text) = slice.get(part.clone()) {
            self.anchors.push((self.text.len(), base + part.start));
            self.text.push_str(text);
        }
    }

    /// Where an offset of the template is in the file.
    pub(crate) fn file_offset(&self, offset: usize) -> usize {
        let next = self.anchors.partition_point(|&(start, _)| start <= offset);
        match next.checked_sub(1).and_then(|index| self.anchors.get(index)) {
            Some(&(start, file)) => (file + (offset - start)).min(self.file_len),
            None => self.anchors.first().map_or(0, |&(_, file)| file),
        }
    }

    pub(crate) fn span(&self, range: Range) -> Span {
        let start = self.file_offset(range.start);
        let end = self.file_offset(range.end).max(start);
        Span { file: self.file, start: offset(start), end: offset(end) }
    }
}

pub(crate) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// What to insert where, ascending.
fn insertions(text: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for piece in pieces(text) {
        match piece {
            Piece::Expression(inner) | Piece::Tag { inner, .. } => wrap_literals(text, inner, &mut found),
        }
    }
    found
}

/// What came before a bracket decides whether it opens a literal or an index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Value,
    Other,
}

fn wrap_literals(text: &str, inner: Range, found: &mut Vec<(usize, &'static str)>) {
    let bytes = text.as_bytes();
    let mut open: Vec<(u8, bool)> = Vec::new();
    let mut before = Before::Other;
    let mut shifts: Vec<usize> = Vec::new();
    let mut at = inner.start;
    while at < inner.end {
        let Some(&byte) = bytes.get(at) else { break };
        match byte {
            b'\'' | b'"' => {
                at = end_of_string(bytes, at).unwrap_or(inner.end);
                before = Before::Value;
            }
            b'(' if shifts.last() == Some(&at) => {
                shifts.pop();
                open.push((byte, true));
                before = Before::Other;
            }
            b'+' | b'-' if before == Before::Value && timedelta_after(text, at + 1, inner.end).is_some() => {
                // Times are no numbers to the engine: moving one is a filter over the time and a number.
                found.push((at, "|__shift(0 "));
                shifts.extend(timedelta_after(text, at + 1, inner.end));
                before = Before::Other;
            }
            b'[' | b'{' | b'(' => {
                let literal = byte == b'{' || (byte == b'[' && before == Before::Other);
                if literal {
                    found.push((at, if byte == b'[' { "__list(" } else { "__dict(" }));
                }
                open.push((byte, literal));
                before = Before::Other;
            }
            b']' | b'}' | b')' => {
                if let Some((_, true)) = open.pop() {
                    found.push((at + 1, ")"));
                }
                before = Before::Value;
            }
            _ if is_word(byte) => {
                let start = at;
                while at < inner.end && bytes.get(at).is_some_and(|&byte| is_word(byte)) {
                    at += 1;
                }
                before = if is_operator_word(text.get(start..at).unwrap_or_default()) {
                    Before::Other
                } else {
                    Before::Value
                };
                continue;
            }
            _ if byte.is_ascii_whitespace() => {}
            _ => before = Before::Other,
        }
        at += 1;
    }
}

/// Where the parenthesis of a call of `timedelta` is that comes next.
fn timedelta_after(text: &str, from: usize, end: usize) -> Option<usize> {
    let rest = text.get(from..end)?;
    let call = rest.trim_start();
    let path = call.find(|character: char| !(character.is_ascii_alphanumeric() || matches!(character, '_' | '.')))?;
    let name = call.get(..path)?;
    let is_timedelta = name == "timedelta" || name.ends_with(".timedelta");
    (is_timedelta && call.get(path..)?.starts_with('(')).then_some(from + (rest.len() - call.len()) + path)
}

fn is_operator_word(word: &str) -> bool {
    matches!(
        word,
        "in" | "not" | "and" | "or" | "if" | "else" | "elif" | "is" | "return" | "set" | "do" | "for" | "call"
    )
}
