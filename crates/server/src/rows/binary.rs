//! The Arrow IPC stream.

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;

use super::{End, RowEncoder};

pub(super) struct ArrowStream {
    writer: StreamWriter<Vec<u8>>,
}

impl ArrowStream {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, ArrowError> {
        Ok(Self { writer: StreamWriter::try_new(Vec::new(), schema)? })
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        out.append(self.writer.get_mut());
    }
}

impl RowEncoder for ArrowStream {
    fn start(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.drain(out);
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.writer.write(batch)?;
        self.drain(out);
        Ok(())
    }

    fn finish(&mut self, _end: End<'_>, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.writer.finish()?;
        self.drain(out);
        Ok(())
    }
}
