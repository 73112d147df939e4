//! Rows of a binary COPY into Arrow columns.
//!
//! Format: a signature of eleven bytes, flags, an extension; then rows, each a 16-bit count of fields and for each field a
//! 32-bit length (-1 is NULL) and its bytes; a count of -1 ends it. The server sends a row in one message, but nothing says
//! it must: rows that span messages are put together.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};

use crate::postgres::column::{Column, ColumnType};
use crate::postgres::error::{PgError, Result};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

pub(crate) struct CopyDecoder {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
    /// The beginning of a row whose rest has not come yet.
    partial: Vec<u8>,
    begun: bool,
    ended: bool,
}

impl CopyDecoder {
    pub(crate) fn new(columns: &[ColumnType]) -> Self {
        let schema = Schema::new(columns.iter().map(ColumnType::field).collect::<Vec<_>>());
        Self {
            schema: Arc::new(schema),
            columns: columns.iter().map(Column::new).collect(),
            rows: 0,
            bytes: 0,
            partial: Vec::new(),
            begun: false,
            ended: false,
        }
    }

    /// Takes what one message brought.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len();
        if self.partial.is_empty() {
            let rest = self.consume(bytes)?;
            self.partial.extend_from_slice(rest);
            return Ok(());
        }
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(bytes);
        let rest = self.consume(&joined)?;
        self.partial = rest.to_vec();
        Ok(())
    }

    /// Decodes whole rows and returns what is left.
    fn consume<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8]> {
        if !self.begun {
            let Some(rest) = header(bytes)? else { return Ok(bytes) };
            (self.begun, bytes) = (true, rest);
        }
        while !self.ended {
            let Some(length) = row_length(bytes, self.columns.len())? else { return Ok(bytes) };
            let (row, rest) = bytes.split_at(length);
            self.row(row)?;
            bytes = rest;
        }
        Ok(bytes)
    }

    fn row(&mut self, row: &[u8]) -> Result<()> {
        let mut rest = row.get(2..).unwrap_or_default();
        if row.len() == 2 && row == [0xff, 0xff] {
            self.ended = true;
            return Ok(());
        }
        for column in &mut self.columns {
            let (length, after) = rest.split_at_checked(4).ok_or(PgError::Protocol("a row that ends early"))?;
            match usize::try_from(i32::from_be_bytes(length.try_into().unwrap_or_default())) {
                Ok(length) => {
                    let (value, after) =
                        after.split_at_checked(length).ok_or(PgError::Protocol("a value that ends early"))?;
                    column.push_binary(value)?;
                    rest = after;
                }
                Err(_) => {
                    column.push_null();
                    rest = after;
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes taken since the last batch.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the copy came to its end mark.
    pub(crate) fn is_whole(&self) -> bool {
        self.ended && self.partial.is_empty()
    }

    /// The rows so far; begins anew.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, arrow::error::ArrowError> {
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
    }
}

/// What follows the header; nothing while it has not all come.
fn header(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let fixed = SIGNATURE.len() + 8;
    let Some((start, rest)) = bytes.split_at_checked(fixed) else { return Ok(None) };
    if !start.starts_with(SIGNATURE) {
        return Err(PgError::Protocol("a copy without its signature"));
    }
    let extension = start.last_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length) as usize);
    Ok(rest.get(extension..))
}

/// Bytes of the first row; nothing while it has not all come.
fn row_length(bytes: &[u8], columns: usize) -> Result<Option<usize>> {
    let Some(count) = bytes.first_chunk::<2>() else { return Ok(None) };
    let count = i16::from_be_bytes(*count);
    if count == -1 {
        return Ok(Some(2));
    }
    if usize::try_from(count) != Ok(columns) {
        return Err(PgError::Protocol("a row with another number of columns"));
    }
    let mut end = 2;
    for _ in 0..columns {
        let Some(length) = bytes.get(end..).and_then(<[u8]>::first_chunk::<4>) else { return Ok(None) };
        end += 4 + usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
    }
    Ok((end <= bytes.len()).then_some(end))
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int32Type;

    use super::*;
    use crate::postgres::column::Kind;

    fn columns() -> Vec<ColumnType> {
        vec![
            ColumnType { name: String::from("id"), kind: Kind::Int4 },
            ColumnType { name: String::from("name"), kind: Kind::Text },
        ]
    }

    fn copied(rows: &[(i32, Option<&str>)]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        for (id, name) in rows {
            bytes.extend([0, 2, 0, 0, 0, 4]);
            bytes.extend(id.to_be_bytes());
            match name {
                Some(name) => {
                    bytes.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
                    bytes.extend(name.as_bytes());
                }
                None => bytes.extend((-1_i32).to_be_bytes()),
            }
        }
        bytes.extend([0xff, 0xff]);
        bytes
    }

    #[test]
    fn rows_come_out_whole_however_they_are_cut() {
        let bytes = copied(&[(1, Some("one")), (2, None), (3, Some(""))]);
        for size in 1..bytes.len() {
            let mut decoder = CopyDecoder::new(&columns());
            bytes.chunks(size).for_each(|chunk| decoder.feed(chunk).unwrap());
            assert!(decoder.is_whole());
            let rows = decoder.take().unwrap();
            assert_eq!(rows.column(0).as_primitive::<Int32Type>().values(), &[1, 2, 3]);
            let names: Vec<_> = rows.column(1).as_string::<i32>().iter().collect();
            assert_eq!(names, [Some("one"), None, Some("")], "in pieces of {size}");
        }
    }

    #[test]
    fn a_copy_that_was_cut_off_is_not_whole() {
        let bytes = copied(&[(1, Some("one"))]);
        let mut decoder = CopyDecoder::new(&columns());
        decoder.feed(&bytes[..bytes.len() - 2]).unwrap();
        assert_eq!((decoder.rows(), decoder.is_whole()), (1, false));
    }

    #[test]
    fn what_is_no_copy_is_refused() {
        assert!(CopyDecoder::new(&columns()).feed(&[b'x'; 40]).is_err());
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        bytes.extend([0, 3]);
        assert!(CopyDecoder::new(&columns()).feed(&bytes).is_err());
    }
}
