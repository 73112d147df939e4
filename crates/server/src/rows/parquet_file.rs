//! A Parquet file, written row group by row group.

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;

use super::{End, RowEncoder};

/// Bytes of a row group in the making: what one answer holds in memory.
const ROW_GROUP_BYTES: usize = 16 << 20;

pub(super) struct ParquetFile {
    writer: ArrowWriter<Vec<u8>>,
}

impl ParquetFile {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, ArrowError> {
        let writer = ArrowWriter::try_new(Vec::new(), SchemaRef::clone(schema), None).map_err(failed)?;
        Ok(Self { writer })
    }

    /// The writer counts what it wrote; it does not look back.
    fn drain(&mut self, out: &mut Vec<u8>) {
        out.append(self.writer.inner_mut());
    }
}

fn failed(error: ParquetError) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}

impl RowEncoder for ParquetFile {
    fn start(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.drain(out);
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.writer.write(batch).map_err(failed)?;
        if self.writer.in_progress_size() > ROW_GROUP_BYTES {
            self.writer.flush().map_err(failed)?;
        }
        self.drain(out);
        Ok(())
    }

    fn finish(&mut self, _end: End<'_>, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.writer.finish().map_err(failed)?;
        self.drain(out);
        Ok(())
    }
}
