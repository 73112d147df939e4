//! Rows of Parquet and Arrow files.

use std::fs::File;
use std::io::{BufReader, Read};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::compression::Peeked;
use super::content::{RowReader, Trouble, guarded};

/// Rows that are decoded together, whatever they are in size.
const LEAST_ROWS: usize = 64;
const MOST_ROWS: usize = 32 << 10;
/// How an Arrow file begins, which a stream does not.
const ARROW_FILE: &[u8] = b"ARROW1";

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// Batches as a reader gives them, and what is left of one that was too large.
pub(crate) struct Rows {
    schema: SchemaRef,
    batches: Batches,
    rest: Option<RecordBatch>,
}

impl Rows {
    fn new(schema: SchemaRef, batches: Batches) -> Self {
        Self { schema, batches, rest: None }
    }

    /// A Parquet file: of each column the pages that are needed now are in memory.
    pub(crate) fn parquet(file: File, max_bytes: usize) -> Result<Self, Trouble> {
        guarded(|| {
            let unreadable = |error| format!("it is no Parquet file that can be read: {error}");
            let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?;
            let schema = SchemaRef::clone(builder.schema());
            let groups = builder.metadata().row_groups();
            let (bytes, rows) = groups.iter().fold((0, 0), |(bytes, rows), group| {
                (bytes + group.total_byte_size().max(0), rows + group.num_rows().max(0))
            });
            let row_bytes = usize::try_from(bytes / rows.max(1)).unwrap_or(usize::MAX).max(1);
            let batch_rows = (max_bytes / row_bytes).clamp(LEAST_ROWS, MOST_ROWS);
            let reader: ParquetRecordBatchReader =
                builder.with_batch_size(batch_rows).build().map_err(|error| format!("it cannot be read: {error}"))?;
            Ok(Self::new(schema, Box::new(reader)))
        })
    }

    /// An Arrow file or stream; a batch of it is in memory at a time.
    pub(crate) fn arrow_file(file: File) -> Result<Self, Trouble> {
        guarded(|| {
            let reader = FileReader::try_new(BufReader::new(file), None)
                .map_err(|error| format!("it is no Arrow file that can be read: {error}"))?;
            Ok(Self::new(reader.schema(), Box::new(reader)))
        })
    }

    pub(crate) fn arrow_stream(input: impl Read + Send + 'static) -> Result<Self, Trouble> {
        guarded(|| {
            let reader = StreamReader::try_new(BufReader::new(input), None)
                .map_err(|error| format!("it is no Arrow stream that can be read: {error}"))?;
            Ok(Self::new(reader.schema(), Box::new(reader)))
        })
    }
}

/// Whether this is an Arrow file, and not a stream.
pub(crate) fn is_arrow_file<R: Read>(input: &Peeked<R>) -> bool {
    input.head().starts_with(ARROW_FILE)
}

impl RowReader for Rows {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn next(&mut self, max_bytes: usize) -> Result<Option<RecordBatch>, Trouble> {
        let batch = match self.rest.take() {
            Some(rest) => Some(rest),
            None => guarded(|| {
                let read = |batch: Result<RecordBatch, ArrowError>| batch.map_err(trouble);
                self.batches.next().map(read).transpose()
            })?,
        };
        let Some(batch) = batch else { return Ok(None) };
        let row_bytes = (batch.get_array_memory_size() / batch.num_rows().max(1)).max(1);
        let rows = (max_bytes / row_bytes).max(LEAST_ROWS);
        if batch.num_rows() > rows {
            self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
            return Ok(Some(batch.slice(0, rows)));
        }
        Ok(Some(batch))
    }
}

/// A way that broke off is told by the I/O error inside.
fn trouble(error: ArrowError) -> Trouble {
    match error {
        ArrowError::IoError(_, error) => error.into(),
        other => Trouble::Damaged(format!("it cannot be read: {other}")),
    }
}
