//! Columns of data files, kept decoded for those who ask the same tables again and again.
//!
//! A dashboard's tables are many small files, often one a day, and opening a file costs more than what is in it. A file
//! never changes, so a kept column is never wrong; the least recently used go first. Reads that go through a cache are a
//! session's choice: a build that reads everything once would only push out what dashboards use.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect};
use futures::{StreamExt, TryStreamExt};

use crate::recent::Recent;

/// Files decoded at once.
const AT_ONCE: usize = 4;

/// What one statement may read through the cache, as a share of what it keeps: more would push out everything else.
const SHARE_OF_ONE_READ: u64 = 8;

/// Decoded columns up to a number of bytes. In a session's configuration, as an extension, it makes the session's reads of
/// small tables go through it.
pub struct ColumnCache {
    most_bytes: usize,
    columns: Mutex<Recent<ColumnKey, ArrayRef>>,
}

/// The file, from the lake's root, and the column's name.
type ColumnKey = (String, String);

impl fmt::Debug for ColumnCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ColumnCache")
            .field("most_bytes", &self.most_bytes)
            .field("bytes", &self.bytes())
            .finish()
    }
}

impl ColumnCache {
    /// Keeps up to `most_bytes` of Arrow arrays.
    pub fn new(most_bytes: usize) -> Self {
        Self { most_bytes, columns: Mutex::new(Recent::new(most_bytes)) }
    }

    /// Bytes of the arrays kept now.
    pub fn bytes(&self) -> usize {
        self.columns().weight()
    }

    /// Whether files of this size together, as they are stored, are read through the cache.
    pub(crate) fn takes(&self, stored_bytes: u64) -> bool {
        stored_bytes.saturating_mul(SHARE_OF_ONE_READ) <= self.most_bytes as u64
    }

    fn columns(&self) -> MutexGuard<'_, Recent<ColumnKey, ArrayRef>> {
        self.columns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These columns of a file, when each is kept in the type wanted.
    pub(crate) fn get(&self, file: &str, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        let mut columns = self.columns();
        let mut found = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            match columns.get(&(file.to_owned(), field.name().clone())) {
                Some(column) if column.data_type() == field.data_type() => found.push(column),
                _ => return Ok(None),
            }
        }
        drop(columns);
        Ok(Some(RecordBatch::try_new(Arc::clone(schema), found)?))
    }

    fn put(&self, file: &str, batch: &RecordBatch) {
        let mut columns = self.columns();
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let key = (file.to_owned(), field.name().clone());
            columns.put(key, column.get_array_memory_size(), Arc::clone(column));
        }
    }

    /// Runs the plan of each file, and keeps what comes out. One batch a file, in the files' order.
    ///
    /// Each file has a plan of its own: partitions of one plan take files from each other.
    pub(crate) async fn load(
        &self,
        plans: Vec<(String, Arc<dyn ExecutionPlan>)>,
        context: Arc<TaskContext>,
    ) -> Result<Vec<RecordBatch>> {
        let mut loads = Vec::with_capacity(plans.len());
        for (file, plan) in plans {
            loads.push(self.load_file(file, plan, Arc::clone(&context)));
        }
        futures::stream::iter(loads).buffered(AT_ONCE).try_collect().await
    }

    async fn load_file(
        &self,
        file: String,
        plan: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
    ) -> Result<RecordBatch> {
        let schema = plan.schema();
        let batch = one_batch(&schema, &collect(plan, context).await?)?;
        self.put(&file, &batch);
        Ok(batch)
    }
}

fn one_batch(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    if let [batch] = batches {
        return compacted(schema, batch.columns().to_vec());
    }
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
        columns.push(if parts.is_empty() { arrow::array::new_empty_array(field.data_type()) } else { concat(&parts)? });
    }
    compacted(schema, columns)
}

/// Views may point into far more text than they show.
fn compacted(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let columns = columns.into_iter().map(|column| match column.data_type() {
        DataType::Utf8View => Arc::new(arrow::array::AsArray::as_string_view(&column).gc()) as ArrayRef,
        DataType::BinaryView => Arc::new(arrow::array::AsArray::as_binary_view(&column).gc()) as ArrayRef,
        _ => column,
    });
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect())?)
}
