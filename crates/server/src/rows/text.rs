//! JSON in three shapes, and CSV.

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::cell::write_json_string;
use super::{Cells, End, RowEncoder};
use crate::wire;

fn columns_of(batch: &RecordBatch) -> Result<Vec<Cells>, ArrowError> {
    batch.columns().iter().map(Cells::new).collect()
}

/// `{"columns": [...], "rows": [[...], ...], "row_count": n, "truncated": false}`.
pub(super) struct JsonObject {
    schema: SchemaRef,
    rows: u64,
}

impl JsonObject {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self { schema: schema.clone(), rows: 0 }
    }
}

impl RowEncoder for JsonObject {
    fn start(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        out.extend_from_slice(b"{\"columns\":");
        write_json(&wire::columns(&self.schema), out)?;
        out.extend_from_slice(b",\"rows\":[");
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let columns = columns_of(batch)?;
        for row in 0..batch.num_rows() {
            out.extend_from_slice(if self.rows == 0 { b"\n[" } else { b",\n[" });
            self.rows = self.rows.saturating_add(1);
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                column.write_json(row, out)?;
            }
            out.push(b']');
        }
        Ok(())
    }

    fn finish(&mut self, end: End<'_>, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if let Some(failure) = end.failure {
            out.extend_from_slice(b"],\"error\":");
            write_json(&wire::Error::from(failure), out)?;
            out.extend_from_slice(b"}\n");
            return Ok(());
        }
        let tail = format!("],\"row_count\":{},\"truncated\":{}}}\n", self.rows, end.truncated);
        out.extend_from_slice(tail.as_bytes());
        Ok(())
    }
}

fn write_json(value: &impl serde::Serialize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    serde_json::to_writer(out, value).map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

/// `"name":` of each column, encoded once.
fn keys_of(schema: &SchemaRef) -> Vec<Vec<u8>> {
    let key = |name: &String| {
        let mut key = Vec::new();
        if write_json_string(name, &mut key).is_err() {
            key.clear();
        }
        key.push(b':');
        key
    };
    schema.fields().iter().map(|field| key(field.name())).collect()
}

fn write_record(keys: &[Vec<u8>], columns: &[Cells], row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    out.push(b'{');
    for (index, (key, column)) in keys.iter().zip(columns).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(key);
        column.write_json(row, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// `[{...}, {...}]`, a record a line.
pub(super) struct JsonRecords {
    keys: Vec<Vec<u8>>,
    is_first: bool,
}

impl JsonRecords {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self { keys: keys_of(schema), is_first: true }
    }
}

impl RowEncoder for JsonRecords {
    fn start(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        out.push(b'[');
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let columns = columns_of(batch)?;
        for row in 0..batch.num_rows() {
            out.extend_from_slice(if self.is_first { b"\n" } else { b",\n" });
            self.is_first = false;
            write_record(&self.keys, &columns, row, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, _end: End<'_>, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        out.extend_from_slice(if self.is_first { b"]\n" } else { b"\n]\n" });
        Ok(())
    }
}

/// One record a line.
pub(super) struct JsonLines {
    keys: Vec<Vec<u8>>,
}

impl JsonLines {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self { keys: keys_of(schema) }
    }
}

impl RowEncoder for JsonLines {
    fn start(&mut self, _out: &mut Vec<u8>) -> Result<(), ArrowError> {
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let columns = columns_of(batch)?;
        for row in 0..batch.num_rows() {
            write_record(&self.keys, &columns, row, out)?;
            out.push(b'\n');
        }
        Ok(())
    }

    fn finish(&mut self, _end: End<'_>, _out: &mut Vec<u8>) -> Result<(), ArrowError> {
        Ok(())
    }
}

/// RFC 4180 with `\n`. Null is an empty field and the empty string is `""`, so that the two stay apart.
pub(super) struct Csv {
    schema: SchemaRef,
}

impl Csv {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self { schema: schema.clone() }
    }
}

impl RowEncoder for Csv {
    fn start(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        for (index, field) in self.schema.fields().iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_field(field.name().as_bytes(), out);
        }
        out.push(b'\n');
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let columns = columns_of(batch)?;
        let mut field = Vec::new();
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                if !column.is_null(row) {
                    field.clear();
                    column.write_text(row, &mut field)?;
                    write_field(&field, out);
                }
            }
            out.push(b'\n');
        }
        Ok(())
    }

    fn finish(&mut self, _end: End<'_>, _out: &mut Vec<u8>) -> Result<(), ArrowError> {
        Ok(())
    }
}

fn write_field(text: &[u8], out: &mut Vec<u8>) {
    let is_plain = !text.is_empty() && !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
    if is_plain {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for byte in text {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
