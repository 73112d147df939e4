//! A lake table as the sink of a pipeline, with a quarantine table beside it.
//!
//! The quarantine of `events.views` is `events.views_quarantine`. Its commit comes first, and counts once the table's has come,
//! which names it by its moment. Application ids of the Delta logs beside those of every pipeline's table:
//! - `rejected-at/<pipeline>`, in both: the `_ingested_at` of the records that were set aside last, which are those of one
//!   commit of the quarantine. In the table it is of the last whose records the table has taken; 0 and nothing are the same.
//! - `rejected/<pipeline>`, in the quarantine: counts its commits, by which one of unknown outcome is recognised.
//!
//! A death between the two commits, or a table's commit that fails, leaves a quarantine whose moment is later than the one the
//! table names. Whoever opens the table next takes those records back, in a commit that gives the quarantine the table's
//! moment, before anything is read: the table's positions are those of before, so the source yields all of it again, in
//! whatever order and company, or not at all if it is gone. Nothing has to be recognised, so it does not matter what else is
//! read, where commits end, or what the clock did; and what is set aside always belongs to what the table has taken.
//!
//! A quarantine of before this was so has no moment, and nothing of it is taken back.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use headwater_ingest::Positions;
use headwater_ingest::position::{rejected_key, replay_key, set_aside_key};
use headwater_ingest::raw_files::RawStore;
use headwater_ingest::sink::{Commit, CommitReceipt, KeyedChanges, Origin, Rejected, TableSink};
use headwater_lake::{
    INGESTED_AT, KeyedRows, Lake, LakeError, Owner, PipelineWriter, Progress, StageOptions, TableName, Unchanged,
};
use headwater_project::{Classify, Failure, fault};

/// Name of the quarantine table of a table.
pub(crate) fn quarantine_of(table: &TableName) -> TableName {
    TableName::new(table.schema.clone(), format!("{}_quarantine", table.table))
}

/// The table with every change of a table that is kept as its source has it.
pub(crate) fn changes_of(table: &TableName) -> TableName {
    TableName::new(table.schema.clone(), format!("{}__changes", table.table))
}

pub(crate) struct LakeSink {
    lake: Lake,
    table: TableName,
    pipeline: String,
    keys: Vec<String>,
    /// Columns known before the first record; the table is created with them.
    declared: Option<SchemaRef>,
    /// Who writes the table: it is taken over once, and only opened again after that.
    owner: Owner,
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
        let own = [replay_key(pipeline), rejected_key(pipeline), set_aside_key(pipeline)];
        let keys = keys.into_iter().chain(own).collect();
        Self {
            table,
            pipeline: pipeline.to_owned(),
            keys,
            declared,
            owner: Owner::new(&lake),
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

    /// The quarantine, with nothing in it that the table has not taken.
    async fn open_quarantine(&mut self) -> Result<&mut PipelineWriter, LakeError> {
        let writer = match self.quarantine.take() {
            Some(writer) => writer,
            None => {
                let taken = self.writer.as_ref().map_or(0, |table| set_aside_at(table, &self.pipeline));
                // Whoever has the table has its quarantine.
                let owner = Owner::new(&self.lake);
                let opening = self.opening(quarantine_of(&self.table), quarantine_schema(), &owner);
                settled(opening.run().await?, &self.pipeline, taken).await?
            }
        };
        Ok(self.quarantine.insert(writer))
    }

    /// Opens the quarantine if there is one.
    async fn settle(&mut self) -> Result<(), LakeError> {
        if self.lake.load(&quarantine_of(&self.table)).await?.is_some() {
            self.open_quarantine().await?;
        }
        Ok(())
    }

    /// Commits the rejected records to the quarantine. They count once the table's commit names the moment this gives.
    async fn commit_rejected(&mut self, commit: &Commit) -> Result<Option<i64>, LakeError> {
        if self.rejected.is_empty() {
            return Ok(None);
        }
        let rejected = quarantine_batch(&std::mem::take(&mut self.rejected))?;
        let pipeline = self.pipeline.clone();
        let quarantine = self.open_quarantine().await?;
        quarantine.write(&rejected).await?;
        let moment = quarantine.mark();
        quarantine.commit(&next(quarantine, &pipeline, moment), &info(commit)).await?;
        fault::point("dl.rejected_committed_before_rows")?;
        Ok(Some(moment))
    }
}

/// What a table or a quarantine says of the commit that last set records aside.
fn set_aside_at(table: &PipelineWriter, pipeline: &str) -> i64 {
    table.positions().get(&set_aside_key(pipeline)).copied().unwrap_or(0)
}

/// Positions of the next commit of a quarantine.
fn next(quarantine: &PipelineWriter, pipeline: &str, moment: i64) -> Progress {
    let number = quarantine.positions().get(&rejected_key(pipeline)).copied().unwrap_or(0);
    Progress::from([(rejected_key(pipeline), number + 1), (set_aside_key(pipeline), moment)])
}

/// A quarantine without the records of its last commit, if its table never took them. `taken` is what the table names.
async fn settled(mut quarantine: PipelineWriter, pipeline: &str, taken: i64) -> Result<PipelineWriter, LakeError> {
    let moment = set_aside_at(&quarantine, pipeline);
    // An older version of this program leaves the moment as it is when it sets records aside.
    if moment > taken && moment == quarantine.mark() {
        quarantine.take_back(moment).await?;
        let info = serde_json::json!({ "taken_back": moment });
        quarantine.commit(&next(&quarantine, pipeline, taken), &info).await?;
    }
    Ok(quarantine)
}

pub(crate) fn keyed_rows(changes: KeyedChanges) -> KeyedRows {
    let KeyedChanges { key, rows, removed, unchanged } = changes;
    let kept = |cells: headwater_ingest::sink::Unchanged| {
        let headwater_ingest::sink::Unchanged { row, columns, before, required } = cells;
        Unchanged { row, columns, before, required }
    };
    KeyedRows { key, rows, removed, unchanged: unchanged.into_iter().map(kept).collect() }
}

fn info(commit: &Commit) -> serde_json::Value {
    let source: Vec<serde_json::Value> =
        commit.info.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
    serde_json::json!({
        "rows": commit.rows, "rejected": commit.rejected, "left_out": commit.left_out, "source": source
    })
}

pub(crate) fn quarantine_schema() -> Schema {
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
        Field::new("record_key", DataType::Binary, true),
        Field::new("header", DataType::Utf8, true),
    ])
}

fn quarantine_batch(records: &[Rejected]) -> Result<RecordBatch, LakeError> {
    let topic = |record: &&Rejected| match &record.origin {
        Origin::Log { topic, .. } => Some(topic.to_string()),
        Origin::File { .. } => None,
    };
    let file = |record: &&Rejected| match &record.origin {
        Origin::File { path } => Some(path.to_string()),
        Origin::Log { .. } => None,
    };
    let partition = |record: &&Rejected| match &record.origin {
        Origin::Log { partition, .. } => Some(*partition),
        Origin::File { .. } => None,
    };
    let time = |record: &&Rejected| record.timestamp.saturating_mul(1_000);
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
        Arc::new(
            each().map(|record| Some(record.key.as_slice()).filter(|key| !key.is_empty())).collect::<BinaryArray>(),
        ),
        Arc::new(each().map(|record| header_text(&record.header)).collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(Arc::new(quarantine_schema()), columns)?)
}

/// Names as a JSON list; nothing for none.
fn header_text(header: &[String]) -> Option<String> {
    (!header.is_empty()).then(|| serde_json::json!(header).to_string())
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
            (None, false) => {
                self.settle().await.map_err(|error| error.failure())?;
                return Ok(Positions::default());
            }
        };
        let opening = self.opening(self.table.clone(), schema, &self.owner);
        let writer = opening.run().await.map_err(|error| error.failure())?;
        let mut positions = Positions(writer.positions().clone());
        // What the table knows of its quarantine is no position of the source.
        positions.0.remove(&replay_key(&self.pipeline));
        positions.0.remove(&set_aside_key(&self.pipeline));
        self.writer = Some(writer);
        self.settle().await.map_err(|error| error.failure())?;
        Ok(positions)
    }

    fn schema(&self) -> Option<SchemaRef> {
        let schema = self.writer.as_ref()?.schema();
        let fields: Vec<_> = schema.fields().iter().filter(|field| field.name() != INGESTED_AT).cloned().collect();
        Some(Arc::new(Schema::new(fields)))
    }

    fn records(&self) -> Option<SchemaRef> {
        // What does not read is as good as absent: the next batch says what the records are.
        self.writer.as_ref()?.records().ok().flatten()
    }

    async fn remember(&mut self, records: SchemaRef) -> Result<(), Failure> {
        let Some(writer) = &mut self.writer else {
            return Err(Failure::internal("columns of records were kept before their table was there"));
        };
        writer.remember_records(&records).await.map_err(|error| error.failure())
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

    fn mark(&self) -> i64 {
        self.writer.as_ref().map_or(0, PipelineWriter::mark)
    }

    async fn retire(&mut self, mark: i64) -> Result<(), Failure> {
        let Some(writer) = &mut self.writer else {
            return Err(Failure::internal("rows were to go before their table was there"));
        };
        writer.retire(mark).await.map_err(|error| error.failure())
    }

    async fn reject(&mut self, mut records: Vec<Rejected>) -> Result<(), Failure> {
        self.rejected.append(&mut records);
        Ok(())
    }

    async fn commit(&mut self, commit: Commit) -> Result<CommitReceipt, Failure> {
        let set_aside = self.commit_rejected(&commit).await.map_err(|error| error.failure())?;
        if self.writer.is_none() {
            // Every record so far was bad: the table still has to remember how far the source was read.
            let schema = self.declared.as_ref().map_or_else(Schema::empty, |schema| schema.as_ref().clone());
            let opening = self.opening(self.table.clone(), schema, &self.owner);
            self.writer = Some(opening.run().await.map_err(|error| error.failure())?);
        }
        let Some(writer) = &mut self.writer else {
            return Err(Failure::internal("a pipeline has no table to commit to"));
        };
        let mut progress = commit.positions.0.clone();
        progress.extend(set_aside.map(|moment| (set_aside_key(&self.pipeline), moment)));
        let receipt = writer.commit(&progress, &info(&commit)).await.map_err(|error| error.failure())?;
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

#[cfg(test)]
mod tests;
