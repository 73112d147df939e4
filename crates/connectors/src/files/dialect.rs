//! Which marks a delimited file uses, and whether its first line has names, found out from its beginning.
//!
//! The delimiter is the one of `,`, `;`, tab and `|` with which most lines have the same number of fields, more than one; if
//! two are equal, the one that makes more fields. Without any it is the comma.

use chrono::NaiveDate;
use headwater_ingest::codec::{Delimiters, Framing, Splitter, delimited};
use headwater_ingest::limits::MAX_RECORD_BYTES;
use headwater_ingest::record::RecordBuffer;

/// Bytes of a file that are looked at.
pub(crate) const SAMPLE_BYTES: usize = 256 << 10;
const SAMPLE_ROWS: usize = 500;
const CANDIDATES: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The marks of a file that begins like this; those given stay.
pub(crate) fn detect(sample: &[u8], delimiter: Option<u8>, quote: Option<u8>) -> Delimiters {
    let is_candidate = |mark: &u8| delimiter.is_none_or(|given| given == *mark);
    let given = delimiter.filter(|given| !CANDIDATES.contains(given));
    let quote = quote.unwrap_or_else(|| if is_single_quoted(sample) { b'\'' } else { b'"' });
    let mut best = (Delimiters { delimiter: delimiter.unwrap_or(b','), quote }, (0, 0));
    for delimiter in CANDIDATES.into_iter().filter(is_candidate).chain(given) {
        let marks = Delimiters { delimiter, quote };
        let score = consistency(&rows(sample, marks));
        if score > best.1 {
            best = (marks, score);
        }
    }
    best.0
}

/// Whether fields are in `'`: more lines begin or end with it than not, and none with `"`.
fn is_single_quoted(sample: &[u8]) -> bool {
    let lines = sample.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let (mut single, mut other) = (0, 0);
    for line in lines.take(SAMPLE_ROWS) {
        let ends = [line.first(), line.last()];
        if ends.contains(&Some(&b'"')) {
            return false;
        }
        if ends.contains(&Some(&b'\'')) { single += 1 } else { other += 1 }
    }
    single > other
}

/// The fields of the rows a sample begins with; nothing for a row that does not read.
fn rows(sample: &[u8], marks: Delimiters) -> Vec<Option<Vec<String>>> {
    let mut splitter = Splitter::new(Framing::Rows { quote: marks.quote }, MAX_RECORD_BYTES);
    let mut records = RecordBuffer::default();
    splitter.feed(sample, 0, &mut records);
    if sample.len() < SAMPLE_BYTES {
        splitter.finish(0, &mut records);
    }
    records.iter().take(SAMPLE_ROWS).map(|record| delimited::values(record.payload, marks).ok()).collect()
}

/// Of a thousand rows, how many have the most usual number of fields, and that number.
fn consistency(rows: &[Option<Vec<String>>]) -> (usize, usize) {
    let mut counts = std::collections::BTreeMap::new();
    for fields in rows.iter().flatten().map(Vec::len).filter(|fields| *fields > 1) {
        *counts.entry(fields).or_insert(0_usize) += 1;
    }
    let usual = counts.into_iter().max_by_key(|(fields, rows)| (*rows, *fields));
    usual.map_or((0, 0), |(fields, count)| (count * 1_000 / rows.len().max(1), fields))
}

/// Whether the first row has names: unless it has numbers or dates where the rows below it have them too, and no name above
/// such a column.
pub(crate) fn has_header(sample: &[u8], marks: Delimiters) -> bool {
    let mut rows = rows(sample, marks).into_iter().flatten();
    let Some(first) = rows.next() else { return true };
    let body: Vec<Vec<String>> = rows.filter(|row| row.len() == first.len()).collect();
    if body.is_empty() {
        return !first.iter().any(|field| is_value(field));
    }
    let mut values = 0;
    for (column, field) in first.iter().enumerate() {
        let mut below = body.iter().filter_map(|row| row.get(column)).filter(|field| !field.is_empty()).peekable();
        if below.peek().is_some() && below.all(|field| is_value(field)) {
            match (field.is_empty(), is_value(field)) {
                (false, false) => return true,
                (_, is_value) => values += usize::from(is_value),
            }
        }
    }
    values == 0
}

/// Whether this is a number, a date or a time: nothing that names a column.
fn is_value(text: &str) -> bool {
    let number = text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'))
        && text.parse::<f64>().is_ok();
    number || text.get(..10).is_some_and(|day| NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_from_what_the_lines_have_in_common() {
        let check = |sample: &str, expected: (char, char), header: bool| {
            let found = detect(sample.as_bytes(), None, None);
            assert_eq!((char::from(found.delimiter), char::from(found.quote)), expected, "{sample}");
            assert_eq!(has_header(sample.as_bytes(), found), header, "{sample}");
        };
        check("a,b\n1,2\n", (',', '"'), true);
        check("a;b\n1,5;2\n3,5;4\n", (';', '"'), true);
        check("name\tnote\nx\ta,b,c\ny\td\n", ('\t', '"'), true);
        check("a|b|c\n1|2|3\n", ('|', '"'), true);
        check("a;b\n\"x;y\";1\n\"u,v;w\";2\n", (';', '"'), true);
        check("'id';'name'\n'1';'x;y'\n'2';'z'\n", (';', '\''), true);
        check("1,x\n2,y\n", (',', '"'), false);
        check("2024-01-31,x\n2024-02-01,y\n", (',', '"'), false);
        check("only\nlines\n", (',', '"'), true);
        check("3\n", (',', '"'), false);
        check("", (',', '"'), true);
        check("id,2019\n1,5\n2,6\n", (',', '"'), true);
        check("it's,b\nisn't,c\n", (',', '"'), true);
    }

    #[test]
    fn what_is_given_stays() {
        let found = detect(b"a;b;c\n1;2;3\n", Some(b','), Some(b'"'));
        assert_eq!(found, Delimiters { delimiter: b',', quote: b'"' });
        let found = detect(b"a~b,c\n", Some(b'~'), None);
        assert_eq!(found.delimiter, b'~');
    }
}
