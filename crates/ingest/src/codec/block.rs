//! Many rows of delimited text into columns at once: cut into cells first, then one column after the other.
//!
//! A block goes this way only when all of its rows have the shape of their header and every value has its place. Any other is
//! left as it was, for the way that takes row after row and says what is wrong with which.

use std::ops::Range;

use crate::codec::column::{Column, Fieldset, Refusal, Values};
use crate::codec::delimited::{Delimiters, push, undoubled};
use crate::codec::header::Header;
use crate::codec::json::Notes;
use crate::codec::number;
use crate::codec::scan::find_from;
use crate::record::RecordBuffer;

/// Rows of a block: their text and cells stay in the nearest memory.
pub(super) const ROWS: usize = 1024;

/// Where a cell is in the text of all records, without its quotes.
#[derive(Clone, Copy, Debug)]
struct Cell {
    start: u32,
    end: u32,
    /// An empty one that is not quoted is null.
    is_quoted: bool,
    /// It holds quotes, each written twice.
    is_doubled: bool,
}

impl Cell {
    fn is_null(self) -> bool {
        self.start == self.end && !self.is_quoted
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Rows that are cut and filled in together.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    text: &'a str,
    marks: Delimiters,
    /// The column of each field of the header.
    places: Vec<usize>,
    /// Row after row.
    cells: Vec<Cell>,
}

impl<'a> Blocks<'a> {
    /// Nothing where records are not to be read in this way.
    pub(super) fn new(records: &RecordBuffer, text: &'a str, marks: Delimiters, header: &Header<'_>) -> Option<Self> {
        let fits = u32::try_from(text.len()).is_ok() && !records.has_absent();
        // Between characters of text: other marks would cut through them.
        let fits = fits && marks.delimiter.is_ascii() && marks.quote.is_ascii();
        let places: Option<Vec<usize>> = (0..header.len()).map(|index| header.place(index)).collect();
        let places = places.filter(|places| fits && !places.is_empty())?;
        Some(Self { text, marks, places, cells: Vec::new() })
    }

    /// Adds these records to the columns, all or none; whether they are in.
    pub(super) fn decode(&mut self, records: &RecordBuffer, rows: Range<usize>, columns: &mut Fieldset) -> bool {
        let before = columns.rows();
        let count = rows.len();
        let is_in = self.cut(records, rows) && self.fill(columns) && columns.finish_rows(count).is_ok();
        if !is_in {
            columns.truncate(before);
        }
        is_in
    }

    /// Whether every row has a cell for each field of the header.
    fn cut(&mut self, records: &RecordBuffer, rows: Range<usize>) -> bool {
        self.cells.clear();
        let Some(last) = rows.end.checked_sub(1) else { return false };
        let all = records.payload_range(rows.start).start..records.payload_range(last).end;
        let bytes = self.text.as_bytes();
        if bytes.get(all).is_none_or(|bytes| memchr::memchr(0, bytes).is_some()) {
            return false;
        }
        rows.into_iter().all(|row| self.cut_row(bytes, records.payload_range(row)))
    }

    fn cut_row(&mut self, bytes: &[u8], row: Range<usize>) -> bool {
        let mut at = row.start;
        for field in 0..self.places.len() {
            // Before all but the first is a delimiter, where the last one ended.
            if field > 0 {
                if at == row.end {
                    return false;
                }
                at += 1;
            }
            let Some((cell, end)) = self.cell(bytes, at, row.end) else { return false };
            self.cells.push(cell);
            at = end;
        }
        at == row.end
    }

    /// The cell that begins here, and where it ends with its quotes: at a delimiter, or with its row.
    fn cell(&self, bytes: &[u8], at: usize, row_end: usize) -> Option<(Cell, usize)> {
        #[expect(clippy::cast_possible_truncation, reason = "the text is shorter")]
        let cell = |start: usize, end: usize, is_quoted, is_doubled| Cell {
            start: start as u32,
            end: end as u32,
            is_quoted,
            is_doubled,
        };
        let Delimiters { delimiter, quote } = self.marks;
        if at == row_end || bytes.get(at) != Some(&quote) {
            let end = find_from(delimiter, bytes, at, row_end);
            return Some((cell(at, end, false, false), end));
        }
        let (start, mut from, mut is_doubled) = (at + 1, at + 1, false);
        loop {
            let end = find_from(quote, bytes, from, row_end);
            if end >= row_end {
                return None;
            }
            let after = end + 1;
            match bytes.get(after) {
                _ if after == row_end => {}
                Some(next) if *next == delimiter => {}
                Some(next) if *next == quote => {
                    is_doubled = true;
                    from = after + 1;
                    continue;
                }
                _ => return None,
            }
            return Some((cell(start, end, true, is_doubled), after));
        }
    }

    fn fill(&self, columns: &mut Fieldset) -> bool {
        let fields = self.places.len();
        self.places.iter().enumerate().all(|(field, place)| {
            let cells = self.cells.iter().skip(field).step_by(fields).copied();
            columns.columns.get_mut(*place).is_some_and(|column| self.fill_column(column, cells))
        })
    }

    fn fill_column(&self, column: &mut Column, cells: impl Iterator<Item = Cell> + Clone) -> bool {
        let is_doubled = cells.clone().any(|cell| cell.is_doubled);
        let present = cells.clone().map(|cell| !cell.is_null());
        let has_nulls = !present.clone().all(|is_present| is_present);
        if is_doubled || has_nulls && !column.is_nullable() {
            return self.fill_each(column, cells).is_ok();
        }
        let texts = cells.clone().map(|cell| (!cell.is_null()).then(|| self.bytes(cell)));
        let is_filled = match column.values() {
            Values::Boolean(out) => fill_with(texts, number::boolean, |value| out.append(value)),
            Values::Int64(out) => fill_with(texts, number::integer, |value| out.push(value)),
            Values::Float64(out) => fill_with(texts, number::float, |value| out.push(value)),
            Values::Text { ends, bytes } => texts.map(Option::unwrap_or_default).all(|text| {
                bytes.extend_from_slice(text);
                i32::try_from(bytes.len()).map(|end| ends.push(end)).is_ok()
            }),
            _ => return self.fill_each(column, cells).is_ok(),
        };
        match has_nulls {
            true => present.for_each(|is_present| column.mark(is_present)),
            false => column.mark_all_present(present.count()),
        }
        is_filled
    }

    fn bytes(&self, cell: Cell) -> &[u8] {
        self.text.as_bytes().get(cell.range()).unwrap_or_default()
    }

    fn fill_each(&self, column: &mut Column, cells: impl Iterator<Item = Cell>) -> Result<(), Refusal> {
        let mut notes = Notes::default();
        for cell in cells {
            let text = self.text.get(cell.range()).unwrap_or_default();
            if cell.is_null() {
                column.push_null()?;
            } else if cell.is_doubled {
                push(column, &undoubled(text, self.marks.quote), &mut notes)?;
            } else {
                push(column, text, &mut notes)?;
            }
        }
        Ok(())
    }
}

/// Adds the value of each text, and something where there is none; false when one cannot be read.
fn fill_with<'a, T: Default>(
    mut texts: impl Iterator<Item = Option<&'a [u8]>>,
    read: impl Fn(&[u8]) -> Option<T>,
    mut add: impl FnMut(T),
) -> bool {
    texts.all(|text| text.map_or(Some(T::default()), &read).map(&mut add).is_some())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
    use proptest::prelude::*;

    use super::*;
    use crate::codec::delimited;
    use crate::codec::json::UnknownFields;
    use crate::record::Record;

    fn columns() -> Fieldset {
        let types = [
            ("n", DataType::Int64, true),
            ("f", DataType::Float64, true),
            ("b", DataType::Boolean, true),
            ("t", DataType::Utf8, true),
            ("r", DataType::Utf8, false),
            ("d", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            ("absent", DataType::Int32, true),
        ];
        let fields: Fields =
            types.into_iter().map(|(name, data_type, nulls)| Field::new(name, data_type, nulls)).collect();
        Fieldset::new(&fields).unwrap()
    }

    /// What rows come to when they are taken as a block, and one after the other; nothing if one is refused.
    fn both(rows: &[String], marks: Delimiters) -> [Option<Vec<arrow::array::ArrayRef>>; 2] {
        let names: Vec<String> = ["t", "n", "r", "f", "b", "d"].map(String::from).to_vec();
        let mut records = RecordBuffer::default();
        rows.iter().for_each(|row| records.push(Record { offset: 0, timestamp: 0, key: &[], payload: row.as_bytes() }));
        let mut columns = columns();
        let header = Header::new(&names, &columns);
        let mut blocks = Blocks::new(&records, records.text().unwrap(), marks, &header).unwrap();
        // In two blocks: what is there already stays when the second one fails.
        let middle = rows.len() / 2;
        let first = blocks.decode(&records, 0..middle, &mut columns);
        let is_in = first && blocks.decode(&records, middle..rows.len(), &mut columns);
        assert_eq!(
            columns.rows(),
            if is_in {
                rows.len()
            } else if first {
                middle
            } else {
                0
            }
        );
        let together = is_in.then(|| columns.take().unwrap());
        columns.truncate(0);
        let each = rows.iter().map(|row| {
            let (unknown, notes) = (UnknownFields::Refuse, &mut Notes::default());
            delimited::decode(row, marks, &header, unknown, &mut columns, notes)
        });
        let each = each.collect::<Result<Vec<()>, Refusal>>().ok().map(|_| columns.take().unwrap());
        [together, each]
    }

    fn field(usual: &'static str) -> impl Strategy<Value = String> {
        let odd = prop_oneof![
            Just(String::new()),
            Just("\"\"".to_owned()),
            Just("007".to_owned()),
            Just("x,\0".to_owned()),
            "[-+0-9.e]{0,6}",
            "\"([a-z,;é\n ]|\"\"){0,12}\"",
            "[\"a-z,]{0,6}",
        ];
        prop_oneof![60 => usual.prop_map(|text| text), 1 => odd]
    }

    fn row() -> impl Strategy<Value = String> {
        let text = "[a-zé\"]{1,40}|\"[a-z,é]{0,40}\"";
        let text = || field(text).prop_map(|text| if text.starts_with('"') { text } else { text.replace('"', "") });
        let fields = (text(), field("-?[1-9][0-9]{0,17}|0"), text(), field("-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?"));
        let more = (field("true|false|TRUE"), field("2024-0[1-9]-1[0-9] 1[0-9]:00:00"));
        (fields, more).prop_map(|((a, b, c, d), (e, f))| [a, b, c, d, e, f].join(","))
    }

    proptest! {
        #[test]
        fn rows_taken_together_are_what_they_are_one_by_one(rows in prop::collection::vec(row(), 2..40)) {
            let [together, each] = both(&rows, Delimiters::default());
            prop_assert_eq!(together, each, "{:?}", rows);
        }
    }

    #[test]
    fn most_rows_are_taken_together() {
        let rows: Vec<String> =
            (0..100).map(|row| format!("word {row},{row},\"a, b\",{row}.25,true,2024-01-01 10:00:00")).collect();
        let [together, each] = both(&rows, Delimiters::default());
        assert!(together.is_some());
        assert_eq!(together, each);
    }
}
