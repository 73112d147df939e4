//! A lake table as the sink of a pipeline, with a quarantine table beside it.
//!
//! The quarantine of `events.views` is `events.views_quarantine`. It is a pipeline table of its own: its commits carry the
//! same positions, and records it already has, by position, are not added again when a crash between the two commits
//! makes the pipeline read them once more.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use headwater_ingest::Positions;
use headwater_ingest::position::log_key;
use headwater_ingest::raw_files::RawStore;
use headwater_ingest::sink::{Commit, CommitReceipt, KeyedChanges, Origin, Rejected, TableSink};
use headwater_lake::{
    INGESTED_AT, KeyedRows, Lake, LakeError, Owner, PipelineWriter, Progress, StageOptions, TableName, Unchanged,
};
use headwater_project::{Classify, Failure};

/// Name of the quarantine table of a table.
pub(crate) fn quarantine_of(table: &TableName) -> TableName {
    TableName::new(table.schema.clone(), format!("{}_quarantine", table.table))
}

pub(crate) struct LakeSink {
    lake: Lake,
    table: TableName,
    pipeline: String,
    keys: Vec<String>,
    /// Columns known before the first record; the table is created with them.
    declared: Option<SchemaRef>,
    /// Who writes the table, and who its quarantine: each is taken over once, and only opened again after that.
    owner: Owner,
    quarantine_owner: Owner,
    writer: Option<PipelineWriter>,
    quarantine: Option<PipelineWriter>,
    rejected: Vec<Rejected>,
}

/// Everything that opening a table takes, apart from the sink: a sink with files in the making cannot be shared between
/// threads, which a borrow across an await would need.
struct Opening {
    lake: Lake,
    table: TableName,
    pipeline: String,
    keys: Vec<String>,
    schema: Schema,
    owner: Owner,
}

impl Opening {
    async fn run(self) -> Result<PipelineWriter, LakeError> {
        let Self { lake, table, pipeline, keys, schema, owner } = self;
        PipelineWriter::open(&lake, &table, &pipeline, &schema, &keys, stage_options(), &owner).await
    }
}

/// Rows are staged in files of this size at most; memory for it is what one row group takes.
fn stage_options() -> StageOptions {
    StageOptions { row_group_rows: 128 << 10, buffered_bytes: 48 << 20, ..StageOptions::default() }
}

impl LakeSink {
    pub(crate) fn new(
        lake: Lake,
        table: TableName,
        pipeline: &str,
        keys: Vec<String>,
        declared: Option<SchemaRef>,
    ) -> Self {
        Self {
            table,
            pipeline: pipeline.to_owned(),
            keys,
            declared,
            owner: Owner::new(&lake),
            quarantine_owner: Owner::new(&lake),
            lake,
            writer: None,
            quarantine: None,
            rejected: Vec::new(),
        }
    }

    fn opening(&self, table: TableName, schema: Schema, owner: &Owner) -> Opening {
        let (lake, pipeline, keys) = (self.lake.clone(), self.pipeline.clone(), self.keys.clone());
        Opening { lake, table, pipeline, keys, schema, owner: owner.clone() }
    }

    async fn open_quarantine(&mut self) -> Result<&mut PipelineWriter, LakeError> {
        let writer = match self.quarantine.take() {
            Some(writer) => writer,
            None => self.opening(quarantine_of(&self.table), quarantine_schema(), &self.quarantine_owner).run().await?,
        };
        Ok(self.quarantine.insert(writer))
    }

    /// Commits the rejected records that the quarantine does not have yet.
    async fn commit_rejected(&mut self, commit: &Commit) -> Result<(), LakeError> {
        if self.rejected.is_empty() {
            return Ok(());
        }
        let rejected = std::mem::take(&mut self.rejected);
        let pipeline = self.pipeline.clone();
        let writer = self.open_quarantine().await?;
        let held = writer.positions().clone();
        let is_new = |record: &&Rejected| match &record.origin {
            Origin::Log { topic, partition } => {
                held.get(&log_key(&pipeline, topic, *partition)).is_none_or(|last| record.offset > *last)
            }
            // A batch of files is rejected as a whole or not at all: its number is the position.
            Origin::File { .. } => {
                commit.positions.0.iter().any(|(key, batch)| held.get(key).is_none_or(|last| batch > last))
            }
        };
        let new: Vec<&Rejected> = rejected.iter().filter(is_new).collect();
        if !new.is_empty() {
            writer.write(&quarantine_batch(&new)?).await?;
            writer.commit(&progress(&commit.positions), &info(commit)).await?;
        }
        Ok(())
    }
}

pub(crate) fn keyed_rows(changes: KeyedChanges) -> KeyedRows {
    let KeyedChanges { key, rows, removed, unchanged } = changes;
    let kept =
        unchanged.into_iter().map(|cells| Unchanged { row: cells.row, columns: cells.columns, before: cells.before });
    KeyedRows { key, rows, removed, unchanged: kept.collect() }
}

fn progress(positions: &Positions) -> Progress {
    positions.0.clone()
}

fn info(commit: &Commit) -> serde_json::Value {
    let source: Vec<serde_json::Value> =
        commit.info.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
    serde_json::json!({ "rows": commit.rows, "rejected": commit.rejected, "source": source })
}

fn quarantine_schema() -> Schema {
    Schema::new(vec![
        Field::new("reason", DataType::Utf8, true),
        Field::new("topic", DataType::Utf8, true),
        Field::new("partition", DataType::Int32, true),
        Field::new("source_file", DataType::Utf8, true),
        Field::new("position", DataType::Int64, true),
        Field::new("record_time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("length", DataType::Int64, true),
        Field::new("record", DataType::Utf8, true),
        Field::new("record_bytes", DataType::Binary, true),
    ])
}

fn quarantine_batch(records: &[&Rejected]) -> Result<RecordBatch, LakeError> {
    let topic = |record: &&&Rejected| match &record.origin {
        Origin::Log { topic, .. } => Some(topic.to_string()),
        Origin::File { .. } => None,
    };
    let file = |record: &&&Rejected| match &record.origin {
        Origin::File { path } => Some(path.to_string()),
        Origin::Log { .. } => None,
    };
    let partition = |record: &&&Rejected| match &record.origin {
        Origin::Log { partition, .. } => Some(*partition),
        Origin::File { .. } => None,
    };
    let time = |record: &&&Rejected| record.timestamp.saturating_mul(1_000);
    let each = || records.iter();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(each().map(|record| Some(record.reason.as_str())).collect::<StringArray>()),
        Arc::new(each().map(|record| topic(&record)).collect::<StringArray>()),
        Arc::new(each().map(|record| partition(&record)).collect::<Int32Array>()),
        Arc::new(each().map(|record| file(&record)).collect::<StringArray>()),
        Arc::new(each().map(|record| record.offset).collect::<Int64Array>()),
        Arc::new(each().map(|record| Some(time(&record))).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        Arc::new(each().map(|record| i64::try_from(record.length).ok()).collect::<Int64Array>()),
        Arc::new(each().map(|record| Some(String::from_utf8_lossy(&record.bytes))).collect::<StringArray>()),
        Arc::new(each().map(|record| Some(record.bytes.as_slice())).collect::<BinaryArray>()),
    ];
    Ok(RecordBatch::try_new(Arc::new(quarantine_schema()), columns)?)
}

#[async_trait]
impl TableSink for LakeSink {
    async fn open(&mut self) -> Result<Positions, Failure> {
        self.abandon().await;
        self.writer = None;
        self.quarantine = None;
        let exists = self.lake.load(&self.table).await.map_err(|error| error.failure())?.is_some();
        let schema = match (&self.declared, exists) {
            (Some(schema), _) => schema.as_ref().clone(),
            (None, true) => Schema::empty(),
            (None, false) => return Ok(Positions::default()),
        };
        let opening = self.opening(self.table.clone(), schema, &self.owner);
        let writer = opening.run().await.map_err(|error| error.failure())?;
        let positions = Positions(writer.positions().clone());
        self.writer = Some(writer);
        if self.lake.load(&quarantine_of(&self.table)).await.map_err(|error| error.failure())?.is_some() {
            self.open_quarantine().await.map_err(|error| error.failure())?;
        }
        Ok(positions)
    }

    fn schema(&self) -> Option<SchemaRef> {
        let schema = self.writer.as_ref()?.schema();
        let fields: Vec<_> = schema.fields().iter().filter(|field| field.name() != INGESTED_AT).cloned().collect();
        Some(Arc::new(Schema::new(fields)))
    }

    async fn evolve(&mut self, schema: SchemaRef) -> Result<(), Failure> {
        match &mut self.writer {
            Some(writer) => writer.evolve(&schema).await,
            None => {
                let opening = self.opening(self.table.clone(), schema.as_ref().clone(), &self.owner);
                opening.run().await.map(|writer| self.writer = Some(writer))
            }
        }
        .map_err(|error| error.failure())
    }

    async fn write(&mut self, rows: RecordBatch) -> Result<(), Failure> {
        let Some(writer) = &mut self.writer else {
            return Err(Failure::internal("rows were written before their table was there"));
        };
        writer.write(&rows).await.map_err(|error| error.failure())
    }

    async fn truncate(&mut self) -> Result<(), Failure> {
        let Some(writer) = &mut self.writer else {
            return Err(Failure::internal("a table was emptied before it was there"));
        };
        writer.truncate();
        Ok(())
    }

    async fn merge(&mut self, changes: KeyedChanges) -> Result<(), Failure> {
        let Some(writer) = &mut self.writer else {
            return Err(Failure::internal("rows were changed before their table was there"));
        };
        writer.merge(&keyed_rows(changes)).await.map_err(|error| error.failure())
    }

    async fn reject(&mut self, mut records: Vec<Rejected>) -> Result<(), Failure> {
        self.rejected.append(&mut records);
        Ok(())
    }

    async fn commit(&mut self, commit: Commit) -> Result<CommitReceipt, Failure> {
        self.commit_rejected(&commit).await.map_err(|error| error.failure())?;
        if self.writer.is_none() {
            // Every record so far was bad: the table still has to remember how far the source was read.
            let schema = self.declared.as_ref().map_or_else(Schema::empty, |schema| schema.as_ref().clone());
            let opening = self.opening(self.table.clone(), schema, &self.owner);
            self.writer = Some(opening.run().await.map_err(|error| error.failure())?);
        }
        let Some(writer) = &mut self.writer else {
            return Err(Failure::internal("a pipeline has no table to commit to"));
        };
        let receipt =
            writer.commit(&progress(&commit.positions), &info(&commit)).await.map_err(|error| error.failure())?;
        Ok(CommitReceipt { version: receipt.version })
    }

    async fn abandon(&mut self) {
        self.rejected.clear();
        if let Some(writer) = &mut self.writer {
            writer.abandon();
        }
        if let Some(quarantine) = &mut self.quarantine {
            quarantine.abandon();
        }
    }
}

/// Raw files go beside the tables of the lake.
pub(crate) struct LakeRawStore {
    pub(crate) lake: Lake,
}

#[async_trait]
impl RawStore for LakeRawStore {
    async fn put(&self, path: &str, bytes: bytes::Bytes) -> Result<(), Failure> {
        self.lake.storage().put(path, bytes).await.map_err(|error| error.failure())
    }
}
