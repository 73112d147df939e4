//! Writing data files before they belong to a table.
//!
//! A stage streams batches into Parquet files, one at a time per partition value, and uploads them as they grow, so its
//! memory does not depend on the amount of data. Until the files are committed nobody sees them; files of a stage that
//! was dropped are orphans, removed by maintenance after the retention.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{SortColumn, lexsort_to_indices, partition, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt, stream};
use headwater_project::{Clock, Entropy, fault};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::encoding;
use crate::error::{LakeError, Result};
use crate::file::DataFile;
use crate::schema::to_storable;
use crate::stats;

/// Bounds of a stage's files and memory.
#[derive(Clone, Copy, Debug)]
pub struct StageOptions {
    /// A file is closed when about this many bytes were written to it.
    pub target_file_bytes: usize,
    /// Rows of one row group: the unit of parallel reading and of pruning inside a file.
    pub row_group_rows: usize,
    /// Files open at once; the fullest is closed to open another.
    pub open_files: usize,
    /// Bytes buffered in open row groups over all files; the fullest is flushed above it.
    pub buffered_bytes: usize,
}

impl Default for StageOptions {
    fn default() -> Self {
        Self { target_file_bytes: 128 << 20, row_group_rows: 256 << 10, open_files: 64, buffered_bytes: 96 << 20 }
    }
}

/// Files closed at once: each waits for its disk or network most of that time.
const CLOSED_AT_ONCE: usize = 8;

type PartitionValues = Vec<Option<String>>;

struct OpenFile {
    writer: AsyncArrowWriter<BufWriter>,
    path: String,
    partition: PartitionValues,
}

impl OpenFile {
    fn written_bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    async fn close(mut self) -> Result<(Self, ParquetMetaData)> {
        let metadata = self.writer.finish().await?;
        Ok((self, metadata))
    }
}

/// Data files in the making for one table.
pub struct Stage {
    store: Arc<dyn ObjectStore>,
    table_path: Path,
    schema: SchemaRef,
    /// Columns of a file, as the table has them.
    file_schema: SchemaRef,
    /// How the batches carry the table's columns: set by the first one.
    carried: Option<SchemaRef>,
    partition_columns: Vec<String>,
    options: StageOptions,
    properties: WriterProperties,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    open: HashMap<PartitionValues, OpenFile>,
    done: Vec<DataFile>,
    rows: u64,
}

impl Stage {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        table_path: Path,
        schema: SchemaRef,
        partition_columns: Vec<String>,
        options: StageOptions,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        fault::point("dl.before_stage")?;
        for column in &partition_columns {
            schema
                .field_with_name(column)
                .map_err(|_| LakeError::Internal(format!("partition column `{column}` is not in the data")))?;
        }
        let fields: Vec<_> =
            schema.fields().iter().filter(|field| !partition_columns.contains(field.name())).cloned().collect();
        if fields.is_empty() {
            return Err(LakeError::Internal(String::from("a table needs a column besides its partition columns")));
        }
        let file_schema = Arc::new(Schema::new(fields));
        let properties = writer_properties(options)?;
        Ok(Self {
            store,
            table_path,
            schema,
            file_schema,
            carried: None,
            partition_columns,
            options,
            properties,
            clock,
            entropy,
            open: HashMap::new(),
            done: Vec::new(),
            rows: 0,
        })
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes held in memory, not yet uploaded.
    pub fn buffered_bytes(&self) -> usize {
        self.open.values().map(|file| file.writer.in_progress_size()).sum()
    }

    /// Adds a batch, converted to the table's schema.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let carried = self.carried.get_or_insert_with(|| carried_schema(&self.schema, batch));
        let batch = to_storable(batch, carried)?;
        self.rows += batch.num_rows() as u64;
        if self.partition_columns.is_empty() {
            self.write_partition(Vec::new(), batch).await?;
        } else {
            for (values, part) in self.split(&batch)? {
                self.write_partition(values, part).await?;
            }
        }
        fault::point("dl.mid_stage")?;
        Ok(())
    }

    /// Cuts a batch into runs of equal partition values, sorting first when the rows are mixed.
    fn split(&self, batch: &RecordBatch) -> Result<Vec<(PartitionValues, RecordBatch)>> {
        let mut batch = batch.clone();
        let mut ranges = partition(&self.partition_arrays(&batch)?)?.ranges();
        if ranges.len() > self.options.open_files.min(16) {
            let keys: Vec<SortColumn> =
                self.partition_arrays(&batch)?.into_iter().map(|values| SortColumn { values, options: None }).collect();
            batch = take_record_batch(&batch, &lexsort_to_indices(&keys, None)?)?;
            ranges = partition(&self.partition_arrays(&batch)?)?.ranges();
        }
        let arrays = self.partition_arrays(&batch)?;
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            let values: Result<PartitionValues> =
                arrays.iter().map(|array| stats::partition_text(array, range.start)).collect();
            parts.push((values?, batch.slice(range.start, range.len())));
        }
        Ok(parts)
    }

    fn partition_arrays(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.partition_columns
            .iter()
            .map(|name| {
                batch
                    .column_by_name(name)
                    .cloned()
                    .ok_or_else(|| LakeError::Internal(format!("partition column `{name}` is missing")))
            })
            .collect()
    }

    async fn write_partition(&mut self, values: PartitionValues, batch: RecordBatch) -> Result<()> {
        let indexes: std::result::Result<Vec<usize>, _> =
            self.file_schema.fields().iter().map(|field| batch.schema_ref().index_of(field.name())).collect();
        let batch = batch.project(&indexes?)?;
        if !self.open.contains_key(&values) {
            self.make_room().await?;
            let file = self.create(&values, &batch)?;
            self.open.insert(values.clone(), file);
        }
        let Some(file) = self.open.get_mut(&values) else {
            return Err(LakeError::Internal(String::from("an open file vanished")));
        };
        file.writer.write(&batch).await?;
        if file.written_bytes() >= self.options.target_file_bytes {
            self.close(&values).await?;
        } else if self.buffered_bytes() > self.options.buffered_bytes {
            self.flush_fullest().await?;
        }
        Ok(())
    }

    async fn make_room(&mut self) -> Result<()> {
        if self.open.len() < self.options.open_files {
            return Ok(());
        }
        let fullest = self.open.iter().max_by_key(|(_, file)| file.written_bytes());
        match fullest.map(|(values, _)| values.clone()) {
            Some(values) => self.close(&values).await,
            None => Ok(()),
        }
    }

    async fn flush_fullest(&mut self) -> Result<()> {
        if let Some(file) = self.open.values_mut().max_by_key(|file| file.writer.in_progress_size()) {
            file.writer.flush().await?;
        }
        Ok(())
    }

    /// Opens a file whose first rows are these.
    fn create(&self, values: &PartitionValues, first: &RecordBatch) -> Result<OpenFile> {
        let mut folder = String::new();
        for (column, value) in self.partition_columns.iter().zip(values) {
            let value = value.as_deref().unwrap_or("__HIVE_DEFAULT_PARTITION__");
            folder.push_str(&format!("{}={}/", path_safe(column), path_safe(value)));
        }
        let name = format!("part-{:016x}{:016x}.parquet", self.entropy.next_u64(), self.entropy.next_u64());
        let path = format!("{folder}{name}");
        let location = Path::from_iter(self.table_path.parts().chain(Path::from(path.as_str()).parts()));
        let target = BufWriter::new(Arc::clone(&self.store), location);
        // The Delta schema says what a column is; how one batch happened to carry it in memory is nobody's business.
        let mut properties = self.properties.clone().into_builder();
        let mut plain = encoding::outgrown(first)?;
        plain.extend(times(first.schema_ref()));
        for (column, values) in plain.iter().filter_map(|name| Some((name, first.column_by_name(name)?))) {
            let path = ColumnPath::from(vec![column.clone()]);
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
            if encoding::is_close(values)? {
                properties = properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
        }
        let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let writer = AsyncArrowWriter::try_new_with_options(target, first.schema(), options)?;
        Ok(OpenFile { writer, path, partition: values.clone() })
    }

    async fn close(&mut self, values: &PartitionValues) -> Result<()> {
        let Some(file) = self.open.remove(values) else { return Ok(()) };
        let (file, metadata) = file.close().await?;
        self.record(file, &metadata);
        Ok(())
    }

    fn record(&mut self, file: OpenFile, metadata: &ParquetMetaData) {
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        self.done.push(DataFile {
            path: file.path,
            size: file.writer.bytes_written() as u64,
            rows: Some(rows),
            partition: self.partition_columns.iter().cloned().zip(file.partition).collect(),
            stats: Some(stats::from_metadata(metadata, &self.file_schema)),
            modified: self.clock.now().as_millis(),
        });
    }

    /// Closes all files and hands them over, durable but not yet part of the table.
    pub async fn finish(mut self) -> Result<Vec<DataFile>> {
        let mut open: Vec<OpenFile> = std::mem::take(&mut self.open).into_values().collect();
        open.sort_by(|one, other| one.partition.cmp(&other.partition));
        let mut closing = stream::iter(open).map(OpenFile::close).buffered(CLOSED_AT_ONCE);
        while let Some((file, metadata)) = closing.try_next().await? {
            self.record(file, &metadata);
        }
        drop(closing);
        fault::point("dl.after_stage")?;
        Ok(self.done)
    }
}

/// The table's schema, with text as the views that queries make of it: copying it to another form first would cost as much
/// as encoding it.
fn carried_schema(table: &Schema, batch: &RecordBatch) -> SchemaRef {
    let is_viewed =
        |name: &str| batch.column_by_name(name).is_some_and(|column| *column.data_type() == DataType::Utf8View);
    let fields = table.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 if is_viewed(field.name()) => {
            Arc::new(Field::new(field.name(), DataType::Utf8View, field.is_nullable()))
        }
        _ => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Folder names are for people; the log holds the exact value, so any odd character may become `_`.
fn path_safe(text: &str) -> String {
    text.chars()
        .take(100)
        .map(|character| if character.is_ascii_alphanumeric() || "-_.".contains(character) { character } else { '_' })
        .collect()
}

/// Times hardly repeat: a dictionary of them is made, outgrown and thrown away.
fn times(schema: &Schema) -> impl Iterator<Item = String> {
    let times = schema.fields().iter().filter(|field| matches!(field.data_type(), DataType::Timestamp(_, _)));
    times.map(|field| field.name().clone())
}

fn writer_properties(options: StageOptions) -> Result<WriterProperties> {
    let builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(options.row_group_rows))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(format!("headwater {}", env!("CARGO_PKG_VERSION")));
    Ok(builder.build())
}
