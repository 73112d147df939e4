//! PostgreSQL's wire protocol, version 3, as a client speaks it: connecting, plain statements, COPY and replication.
//!
//! Blocking, because a source reads on a thread of its own; values of rows come as text, rows of COPY as the server cut them.

mod connection;
mod scram;
mod stream;

pub(crate) use connection::{Connection, Purpose, Rows};

/// A name as SQL has it.
pub(crate) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL has it, whatever `standard_conforming_strings` says.
pub(crate) fn quoted_text(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!(quoted_name("a\"b"), "\"a\"\"b\"");
        assert_eq!(quoted_text("a'b"), "'a''b'");
        assert_eq!(quoted_text("a\\'b"), "E'a\\\\''b'");
    }
}
