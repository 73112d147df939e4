//! Finds the tags of a template without understanding what is inside them.
//!
//! dbt's own blocks (`test`, `materialization`, `docs`, `snapshot`) are not Jinja, so they are found here and handed to the
//! Jinja engine as what they stand for.

/// A byte range in the scanned text.
pub(crate) type Range = std::ops::Range<usize>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// `{{ ... }}`; the range between the delimiters.
    Expression(Range),
    /// `{% ... %}`; the whole tag, what is between the delimiters, and its first word.
    Tag { whole: Range, inner: Range, keyword: Range },
}

/// Every expression and tag outside comments and raw blocks, in order. An unclosed tag ends the scan: the engine reports it.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = find_open(bytes, at) {
        let kind = bytes.get(open + 1).copied().unwrap_or_default();
        match kind {
            b'#' => match find(text, open + 2, "#}") {
                Some(end) => at = end + 2,
                None => break,
            },
            b'{' => {
                let Some(end) = close_of(bytes, open + 2, *b"}}") else { break };
                found.push(Piece::Expression(open + 2..end));
                at = end + 2;
            }
            _ => {
                let Some(end) = close_of(bytes, open + 2, *b"%}") else { break };
                let keyword = first_word(bytes, open + 2, end);
                at = end + 2;
                if text.get(keyword.clone()) == Some("raw") {
                    at = end_of_raw(text, at);
                    continue;
                }
                found.push(Piece::Tag { whole: open..end + 2, inner: open + 2..end, keyword });
            }
        }
    }
    found
}

fn find(text: &str, from: usize, needle: &str) -> Option<usize> {
    text.get(from..)?.find(needle).map(|at| at + from)
}

fn find_open(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(2).position(|pair| matches!(pair, b"{{" | b"{%" | b"{#")).map(|at| at + from)
}

/// The end delimiter, skipping strings and, in expressions, the braces of nested mappings.
fn close_of(bytes: &[u8], from: usize, close: [u8; 2]) -> Option<usize> {
    let mut at = from;
    let mut depth = 0_usize;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\'' | b'"' => at = end_of_string(bytes, at)?,
            b'{' => depth += 1,
            _ if depth == 0 && byte == close[0] && bytes.get(at + 1) == Some(&close[1]) => return Some(at),
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Index of the closing quote of the string that opens at `open`.
pub(crate) fn end_of_string(bytes: &[u8], open: usize) -> Option<usize> {
    let quote = *bytes.get(open)?;
    let mut at = open + 1;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' {
            at += 1;
        } else if byte == quote {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn first_word(bytes: &[u8], from: usize, end: usize) -> Range {
    let mut start = from;
    while start < end && bytes.get(start).is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'-' | b'+'))
    {
        start += 1;
    }
    let mut stop = start;
    while stop < end && bytes.get(stop).is_some_and(|&byte| is_word(byte)) {
        stop += 1;
    }
    start..stop
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn end_of_raw(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(open) = find(text, at, "{%") {
        let keyword = first_word(text.as_bytes(), open + 2, text.len());
        let Some(end) = find(text, open, "%}") else { break };
        if text.get(keyword) == Some("endraw") {
            return end + 2;
        }
        at = end + 2;
    }
    text.len()
}

/// A named block such as `{% macro name(...) %} ... {% endmacro %}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub keyword: String,
    pub name: String,
    /// Where the name starts.
    pub name_at: usize,
    /// The whole block, both tags included.
    pub whole: Range,
    /// From the end of the opening tag to the start of the closing tag.
    pub body: Range,
    /// Where the keyword of the closing tag starts.
    pub end_keyword_at: usize,
}

/// Why a block could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unclosed {
    pub keyword: String,
    pub name: String,
    pub whole: Range,
}

/// The top-level blocks whose keyword is in `wanted`; their order is kept.
pub(crate) fn blocks(text: &str, wanted: &[&str]) -> (Vec<Block>, Vec<Unclosed>) {
    let mut found = Vec::new();
    let mut unclosed = Vec::new();
    let pieces = pieces(text);
    let mut index = 0;
    while let Some(piece) = pieces.get(index) {
        index += 1;
        let Piece::Tag { whole, inner, keyword } = piece else { continue };
        let word = text.get(keyword.clone()).unwrap_or_default();
        if !wanted.contains(&word) {
            continue;
        }
        let name = first_word(text.as_bytes(), keyword.end, inner.end);
        let name_text = text.get(name.clone()).unwrap_or_default().to_owned();
        match closing(text, &pieces, index, word) {
            Some((at, end, end_keyword)) => {
                found.push(Block {
                    keyword: word.to_owned(),
                    name: name_text,
                    name_at: name.start,
                    whole: whole.start..end.end,
                    body: whole.end..end.start,
                    end_keyword_at: end_keyword.start,
                });
                index = at + 1;
            }
            None => unclosed.push(Unclosed { keyword: word.to_owned(), name: name_text, whole: whole.clone() }),
        }
    }
    (found, unclosed)
}

fn closing(text: &str, pieces: &[Piece], from: usize, keyword: &str) -> Option<(usize, Range, Range)> {
    let end_keyword = format!("end{keyword}");
    let mut depth = 0_usize;
    for (index, piece) in pieces.iter().enumerate().skip(from) {
        let Piece::Tag { whole, keyword: range, .. } = piece else { continue };
        let word = text.get(range.clone()).unwrap_or_default();
        if word == keyword {
            depth += 1;
        } else if word == end_keyword {
            if depth == 0 {
                return Some((index, whole.clone(), range.clone()));
            }
            depth -= 1;
        }
    }
    None
}
