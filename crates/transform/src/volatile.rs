//! Whether SQL gives another answer on the same data when it is run again.

/// Calls whose result is not a function of their arguments.
const CALLS: &[&str] = &[
    "now",
    "today",
    "random",
    "rand",
    "uuid",
    "gen_random_uuid",
    "generate_uuid",
    "current_timestamp",
    "current_date",
];
/// Words that mean the present without being called.
const WORDS: &[&str] = &["current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"];

/// Looks at words outside strings, quoted names and comments.
pub(crate) fn is_volatile(sql: &str) -> bool {
    let bytes = sql.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\'' | b'"' | b'`' => at = after(sql, at + 1, byte as char),
            b'-' if bytes.get(at + 1) == Some(&b'-') => at = after(sql, at, '\n'),
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = sql.get(at..).and_then(|rest| rest.find("*/")).map_or(sql.len(), |end| at + end + 2);
            }
            _ if byte.is_ascii_alphabetic() || byte == b'_' => {
                let end = word_end(bytes, at);
                let qualified = at > 0 && bytes.get(at - 1) == Some(&b'.');
                if !qualified
                    && is_volatile_word(sql.get(at..end).unwrap_or_default(), sql.get(end..).unwrap_or_default())
                {
                    return true;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    false
}

fn after(sql: &str, from: usize, end: char) -> usize {
    sql.get(from..).and_then(|rest| rest.find(end)).map_or(sql.len(), |at| from + at + 1)
}

fn word_end(bytes: &[u8], from: usize) -> usize {
    let more =
        bytes.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_');
    from + more.count()
}

fn is_volatile_word(word: &str, rest: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let called = rest.trim_start().starts_with('(');
    WORDS.contains(&word.as_str()) || (called && CALLS.contains(&word.as_str()))
}
