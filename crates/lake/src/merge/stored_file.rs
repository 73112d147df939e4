//! A data file as the Parquet reader asks for it, and how much of it is read at once.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::basic::Type as PhysicalType;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};

/// Rows read at once: enough for the file written next to tell from its first rows how its columns are best written.
const MOST_ROWS: usize = 16 << 10;
/// Bytes read at once, as they are in memory: wide rows come fewer at a time.
const BATCH_BYTES: u64 = 16 << 20;
/// What a value of fixed width takes in memory at most, however few bits a file has of it.
const FIXED_BYTES: u64 = 16;
/// Where a file does not say how long its texts are together, they are taken to be so many times what is stored of them: a
/// dictionary has each of them once.
const REPEATS: u64 = 16;

pub(super) struct StoredFile {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    /// Bytes.
    pub(super) size: u64,
}

fn failed(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for StoredFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.store.get_range(&self.path, range).map_err(failed).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(failed) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let size = self.size;
        async move {
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

/// How many rows are read at once, of the columns of a mask or of all.
pub(super) fn batch_rows(metadata: &ParquetMetaData, columns: Option<&ProjectionMask>) -> usize {
    let is_read = |leaf: usize| columns.is_none_or(|mask| mask.leaf_included(leaf));
    let row_bytes = metadata.row_groups().iter().map(|group| {
        let read = group.columns().iter().enumerate().filter(|(leaf, _)| is_read(*leaf));
        let bytes = read.fold(0, |sum: u64, (_, column)| sum.saturating_add(column_bytes(column)));
        bytes / positive(group.num_rows()).max(1)
    });
    let rows = BATCH_BYTES / row_bytes.max().unwrap_or(0).max(1);
    usize::try_from(rows).unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS)
}

/// What the values of a column take in memory. What they take in the file says little: repeated ones are there once.
fn column_bytes(column: &ColumnChunkMetaData) -> u64 {
    let values = positive(column.num_values());
    match column.column_type() {
        PhysicalType::BYTE_ARRAY => {
            let told = column.unencoded_byte_array_data_bytes().map(positive);
            let bytes = told.unwrap_or_else(|| positive(column.uncompressed_size()).saturating_mul(REPEATS));
            bytes.saturating_add(values.saturating_mul(size_of::<i32>() as u64))
        }
        PhysicalType::FIXED_LEN_BYTE_ARRAY => {
            let width = positive(i64::from(column.column_descr().type_length()));
            values.saturating_mul(width.max(FIXED_BYTES))
        }
        _ => values.saturating_mul(FIXED_BYTES),
    }
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;

    use super::*;

    /// Numbers, and texts of this length that are all the same.
    fn stored(rows: usize, length: usize) -> ParquetMetaData {
        let texts = StringArray::from_iter_values(repeat_n("x".repeat(length), rows));
        let columns: [(&str, ArrayRef); 2] =
            [("number", Arc::new(Int64Array::from_iter_values(repeat_n(7, rows)))), ("text", Arc::new(texts))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap()
    }

    #[test]
    fn a_batch_has_a_bound_in_bytes_however_little_the_file_has_of_its_texts() {
        for (length, expected) in [(10, MOST_ROWS), (1_000, MOST_ROWS), (30_000, 558), (200_000, 83), (20 << 20, 1)] {
            let metadata = stored(if length > 1_000_000 { 2 } else { 300 }, length);
            assert_eq!(batch_rows(&metadata, None), expected, "texts of {length} bytes");
            let bytes = expected * (length + size_of::<i32>() + FIXED_BYTES as usize);
            assert!(expected == 1 || bytes <= BATCH_BYTES as usize, "{bytes} bytes at once");
        }
    }

    #[test]
    fn only_columns_that_are_read_count() {
        let metadata = stored(300, 200_000);
        let numbers = ProjectionMask::leaves(metadata.file_metadata().schema_descr(), [0]);
        assert_eq!(batch_rows(&metadata, Some(&numbers)), MOST_ROWS);
    }

    #[test]
    fn a_file_that_does_not_tell_the_length_of_its_texts_is_read_with_care() {
        let metadata = stored(300, 30_000);
        let text = metadata.row_group(0).column(1);
        assert!(text.uncompressed_size() < 40_000, "it is there once: {}", text.uncompressed_size());
        let silent = text.clone().into_builder().set_unencoded_byte_array_data_bytes(None).build().unwrap();
        assert!(column_bytes(&silent) >= 16 * 30_000);
    }
}
