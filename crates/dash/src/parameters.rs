//! The `$parameters` of an SQL text.

/// Names of the parameters in order of appearance with the byte offset of their `$`, without those in quotes, comments
/// and dollar-quoted texts. Text that is not closed runs to the end.
pub fn parameters_in(sql: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = sql.get(at..).filter(|rest| !rest.is_empty()) {
        at += match rest.as_bytes() {
            [b'\'', ..] => quoted_length(rest, '\''),
            [b'"', ..] => quoted_length(rest, '"'),
            [b'-', b'-', ..] => rest.find('\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => rest.find("*/").map_or(rest.len(), |end| end + 2),
            [b'$', ..] => dollar_length(rest, at, &mut found),
            _ => word_length(rest),
        };
    }
    found
}

fn quoted_length(rest: &str, quote: char) -> usize {
    rest.char_indices().skip(1).find(|(_, character)| *character == quote).map_or(rest.len(), |(end, _)| end + 1)
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_ascii_alphanumeric()
}

/// A whole word at once, so that a `$` inside an identifier is none of ours.
fn word_length(rest: &str) -> usize {
    let in_word = |character: char| is_word(character) || character == '$';
    let first = rest.chars().next().map_or(1, char::len_utf8);
    if rest.starts_with(is_word) { rest.find(|character| !in_word(character)).unwrap_or(rest.len()) } else { first }
}

fn dollar_length<'a>(rest: &'a str, at: usize, found: &mut Vec<(usize, &'a str)>) -> usize {
    let after = rest.get(1..).unwrap_or_default();
    let end = after.find(|character| !is_word(character)).unwrap_or(after.len());
    let (name, tail) = after.split_at(end);
    if tail.starts_with('$') {
        // `$tag$ text $tag$`
        let tag = rest.get(..end + 2).unwrap_or(rest);
        let body = rest.get(tag.len()..).unwrap_or_default();
        return body.find(tag).map_or(rest.len(), |close| tag.len() + close + tag.len());
    }
    if name.starts_with(|character: char| character == '_' || character.is_ascii_alphabetic()) {
        found.push((at, name));
    }
    1 + end
}
