//! A table of a change capture some of whose columns are masked.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use headwater_ingest::Positions;
use headwater_ingest::sink::{Commit, CommitReceipt, KeyedChanges, Rejected, TableSink};
use headwater_project::Failure;

use super::mask::Mask;

/// Masks of columns, by name, and the key of their hashes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masks {
    pub(super) masks: BTreeMap<String, Mask>,
    pub(super) key: Vec<u8>,
}

impl Masks {
    /// A sink whose rows are masked, where anything is to be.
    pub(crate) fn over(self: &Arc<Self>, sink: Box<dyn TableSink>) -> Box<dyn TableSink> {
        if self.is_empty() { sink } else { Box::new(MaskedSink::new(sink, Arc::clone(self))) }
    }

    fn is_empty(&self) -> bool {
        self.masks.is_empty()
    }
}

/// Masks text on its way into another sink. Only text: the source compares the types of its columns with the table's, and
/// must find them as they are.
struct MaskedSink {
    inner: Box<dyn TableSink>,
    masks: Arc<Masks>,
}

impl MaskedSink {
    fn new(inner: Box<dyn TableSink>, masks: Arc<Masks>) -> Self {
        Self { inner, masks }
    }

    fn masked(&self, rows: &RecordBatch) -> Result<RecordBatch, Failure> {
        let wrong = |error: arrow::error::ArrowError| Failure::internal(error.to_string());
        let mut columns = rows.columns().to_vec();
        for (column, field) in columns.iter_mut().zip(rows.schema_ref().fields()) {
            let Some(mask) = self.masks.masks.get(field.name()) else { continue };
            if *field.data_type() != DataType::Utf8 {
                return Err(Failure::user(format!("`{}` cannot be masked: it is no text", field.name()))
                    .with_hint("Leave it out with `exclude` of the table, or take it as text with `as_text`."));
            }
            *column = mask.apply(column, &self.masks.key).map_err(wrong)?;
        }
        RecordBatch::try_new(rows.schema(), columns).map_err(wrong)
    }
}

#[async_trait]
impl TableSink for MaskedSink {
    async fn open(&mut self) -> Result<Positions, Failure> {
        self.inner.open().await
    }

    fn schema(&self) -> Option<SchemaRef> {
        self.inner.schema()
    }

    fn records(&self) -> Option<SchemaRef> {
        self.inner.records()
    }

    async fn remember(&mut self, records: SchemaRef) -> Result<(), Failure> {
        self.inner.remember(records).await
    }

    async fn evolve(&mut self, schema: SchemaRef) -> Result<(), Failure> {
        self.inner.evolve(schema).await
    }

    async fn write(&mut self, rows: RecordBatch) -> Result<(), Failure> {
        self.inner.write(self.masked(&rows)?).await
    }

    async fn truncate(&mut self) -> Result<(), Failure> {
        self.inner.truncate().await
    }

    async fn merge(&mut self, changes: KeyedChanges) -> Result<(), Failure> {
        if let Some(column) = changes.key.iter().find(|column| self.masks.masks.contains_key(*column)) {
            return Err(Failure::user(format!("`{column}` cannot be masked: it is part of the key"))
                .with_hint("Name another key for the table, or mask it in a model."));
        }
        let rows = self.masked(&changes.rows)?;
        self.inner.merge(KeyedChanges { rows, ..changes }).await
    }

    fn mark(&self) -> i64 {
        self.inner.mark()
    }

    async fn retire(&mut self, mark: i64) -> Result<(), Failure> {
        self.inner.retire(mark).await
    }

    async fn reject(&mut self, records: Vec<Rejected>) -> Result<(), Failure> {
        self.inner.reject(records).await
    }

    async fn commit(&mut self, commit: Commit) -> Result<CommitReceipt, Failure> {
        self.inner.commit(commit).await
    }

    async fn abandon(&mut self) {
        self.inner.abandon().await;
    }
}
