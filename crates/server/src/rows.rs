//! Rows as bytes: one encoder for each format, fed batch by batch, so that an answer of any size takes little memory.
//!
//! HTTP and the terminal write the same bytes for the same rows.

mod binary;
mod cell;
mod parquet_file;
mod text;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use headwater_project::Failure;

pub use cell::Cells;

use binary::ArrowStream;
use parquet_file::ParquetFile;
use text::{Csv, JsonLines, JsonObject, JsonRecords};

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// One object with columns and rows as lists: what the SQL endpoint answers.
    JsonObject,
    /// A list of one object for each row. Of columns with the same name readers keep the last.
    JsonRecords,
    /// One object a line.
    JsonLines,
    /// With a header. Lists, structs and maps are JSON text.
    Csv,
    /// Arrow IPC stream.
    Arrow,
    Parquet,
}

/// How the rows ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct End<'a> {
    /// More rows exist than were written.
    pub truncated: bool,
    pub failure: Option<&'a Failure>,
}

/// Writes rows of one schema. Called in the order `start`, `batch` any number of times, `finish`; each appends to `out`.
pub trait RowEncoder: Send {
    fn start(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError>;

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError>;

    /// Formats that cannot say how the rows ended ignore `end`: their caller must break off instead.
    fn finish(&mut self, end: End<'_>, out: &mut Vec<u8>) -> Result<(), ArrowError>;
}

impl RowFormat {
    pub fn encoder(self, schema: &SchemaRef) -> Result<Box<dyn RowEncoder>, ArrowError> {
        Ok(match self {
            Self::JsonObject => Box::new(JsonObject::new(schema)),
            Self::JsonRecords => Box::new(JsonRecords::new(schema)),
            Self::JsonLines => Box::new(JsonLines::new(schema)),
            Self::Csv => Box::new(Csv::new(schema)),
            Self::Arrow => Box::new(ArrowStream::new(schema)?),
            Self::Parquet => Box::new(ParquetFile::new(schema)?),
        })
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::JsonObject | Self::JsonRecords => "application/json",
            Self::JsonLines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Whether `finish` can tell the reader that rows are missing.
    pub fn tells_its_end(self) -> bool {
        self == Self::JsonObject
    }
}

#[cfg(test)]
mod tests;
