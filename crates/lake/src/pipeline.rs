//! The one writer of an ingested table: data and source positions in one commit, fenced.
//!
//! Application ids of the Delta log that a pipeline uses:
//! - `fence/<pipeline>`: the owner's epoch. Every commit carries it.
//! - `owner/<pipeline>`: who has that epoch, a number drawn once by each [`Owner`]. Only the commit that takes over has it.
//! - position keys such as `k/<pipeline>/<topic>/<partition>`: how far that part of the source was taken.
//! - `clock/<pipeline>`: the greatest value of [`INGESTED_AT`] committed, in microseconds. All rows of a commit share one
//!   value, and it grows strictly from commit to commit, whatever the clock does. So `> the greatest value seen` finds
//!   exactly the rows of later commits.
//!
//! Opening takes the table over: a commit with a greater epoch goes in first, then positions are read. By then every commit
//! the old owner had in flight is refused, and one it starts later sees the epoch. An owner that opens the table again after
//! some other failure first looks whether the table is still its own: trying again must not become taking over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use headwater_project::fault;

use crate::commit::{Change, Operation};
use crate::error::{LakeError, Result};
use crate::file::DataFile;
use crate::merge::Working;
use crate::name::TableName;
use crate::schema::{merged_schema, storable_schema, to_text, utc_micros};
use crate::stage::{Stage, StageOptions};
use crate::table::{Lake, TableVersion};

/// Column with the time of the commit that brought a row: microseconds, UTC, strictly increasing over commits.
pub const INGESTED_AT: &str = "_ingested_at";

/// Commits after which the table is opened anew: a handle that is only ever updated grows.
const COMMITS_PER_HANDLE: u32 = 256;

/// Times a commit of unknown outcome is looked up and tried again before the caller is told.
const COMMIT_TRIES: u32 = 4;

/// Positions by key; a value is the last offset (or batch number) taken.
pub type Progress = BTreeMap<String, i64>;

/// One who writes a table, from the first time it takes the table over until it gives up. Clones are the same owner.
#[derive(Clone, Debug)]
pub struct Owner {
    id: i64,
    /// The epoch of its latest take-over; 0 before the first.
    epoch: Arc<AtomicI64>,
}

impl Owner {
    /// An owner nobody knows yet.
    pub fn new(lake: &Lake) -> Self {
        // Without the top bit: as a version in the log it must not be negative.
        let id = lake.entropy().next_u64() & (u64::MAX >> 1);
        Self { id: i64::try_from(id).unwrap_or_default(), epoch: Arc::default() }
    }

    /// Refuses when it has owned the table before and another one does now.
    async fn still_owns(&self, table: &TableVersion, pipeline: &str) -> Result<()> {
        let ours = self.epoch.load(Ordering::SeqCst);
        if ours == 0 || table.transaction(&owner_id(pipeline)).await? == Some(self.id) {
            return Ok(());
        }
        let current = table.transaction(&fence_id(pipeline)).await?.unwrap_or(0);
        Err(LakeError::Fenced { pipeline: pipeline.to_owned(), ours, current })
    }
}

/// What a commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitReceipt {
    pub version: u64,
    pub rows: u64,
    pub bytes: u64,
    pub files: usize,
}

/// Writes one table for one pipeline. One caller at a time; after an error the writer must be opened anew.
pub struct PipelineWriter {
    pub(crate) lake: Lake,
    pipeline: String,
    epoch: i64,
    pub(crate) table: TableVersion,
    positions: Progress,
    clock: i64,
    options: StageOptions,
    pub(crate) stage: Option<Stage>,
    /// Files of the next commit that were finished before the table gained columns.
    pub(crate) finished: Vec<DataFile>,
    /// What the table shall be, when the next commit does more than add rows.
    pub(crate) working: Option<Working>,
    staged_rows: u64,
    /// The next commit's [`INGESTED_AT`], once something was staged for it.
    ingested_at: Option<i64>,
    commits: u32,
}

impl PipelineWriter {
    /// Takes the table over with an epoch greater than any before, creating the table when it is not there. An owner that
    /// had the table before gets it again only while nobody else has it.
    /// `keys` are the positions to read, where one that ends with `*` stands for all that begin so; `schema` the columns known beforehand, without [`INGESTED_AT`].
    pub async fn open(
        lake: &Lake,
        name: &TableName,
        pipeline: &str,
        schema: &Schema,
        keys: &[String],
        options: StageOptions,
        owner: &Owner,
    ) -> Result<Self> {
        let schema = with_ingested_at(&*merged_schema(name, &Schema::empty(), &*storable_schema(schema)?)?);
        let table = match lake.load(name).await? {
            Some(table) => table,
            None => lake.create(name, &schema, &[]).await?,
        };
        let (table, epoch) = fence(lake, table, pipeline, owner).await?;
        fault::point("dl.fence_committed_before_read_positions")?;
        let positions = read_positions(lake, &table, keys).await?;
        let clock = table.transaction(&clock_id(pipeline)).await?.unwrap_or(i64::MIN);
        let mut writer = Self {
            lake: lake.clone(),
            pipeline: pipeline.to_owned(),
            epoch,
            table,
            positions,
            clock,
            options,
            stage: None,
            finished: Vec::new(),
            working: None,
            staged_rows: 0,
            ingested_at: None,
            commits: 0,
        };
        writer.evolve(&schema).await?;
        Ok(writer)
    }

    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Positions of the last commit.
    pub fn positions(&self) -> &Progress {
        &self.positions
    }

    /// Columns of the table, [`INGESTED_AT`] included.
    pub fn schema(&self) -> &SchemaRef {
        self.table.schema()
    }

    pub fn table(&self) -> &TableVersion {
        &self.table
    }

    /// Bytes staged in memory.
    pub fn buffered_bytes(&self) -> usize {
        self.stage.as_ref().map_or(0, Stage::buffered_bytes)
    }

    /// Rows staged for the next commit.
    pub fn staged_rows(&self) -> u64 {
        self.staged_rows
    }

    /// The columns of the records that rows were made of, as [`PipelineWriter::remember_records`] was told last.
    pub fn records(&self) -> Result<Option<SchemaRef>> {
        self.table.records(&self.pipeline)
    }

    /// Keeps the columns of records with the table, in a commit of its own.
    pub async fn remember_records(&mut self, records: &Schema) -> Result<()> {
        let text = to_text(&*storable_schema(records)?)?;
        self.amend(Amendment::Property(records_id(&self.pipeline), text)).await
    }

    /// Adds columns the table does not have yet; what is staged keeps its files, in which the new columns are NULL.
    pub async fn evolve(&mut self, schema: &Schema) -> Result<()> {
        let columns = Amendment::Columns(storable_schema(schema)?);
        if columns.lacking(&self.table)?.is_some()
            && let Some(stage) = self.stage.take()
        {
            self.finished.extend(stage.finish().await?);
        }
        self.amend(columns).await
    }

    /// Commits what the table lacks, by itself.
    async fn amend(&mut self, amendment: Amendment) -> Result<()> {
        for attempt in 1.. {
            let Some(mut change) = amendment.lacking(&self.table)? else { break };
            change.transactions = self.fence_transactions();
            match self.lake.commit(&self.table, change).await {
                Ok(table) => self.table = table,
                Err(error) if attempt == COMMIT_TRIES => return Err(error),
                // The table is read again: it has that by now, or lacks it still, or is no longer ours.
                Err(_) => {
                    self.resolve(&Progress::new(), &Progress::new()).await?;
                }
            }
        }
        Ok(())
    }

    /// The greatest [`INGESTED_AT`] of any row committed or staged.
    pub(crate) fn latest_ingested_at(&self) -> i64 {
        self.ingested_at.unwrap_or(self.clock)
    }

    /// Stages rows for the next commit.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let next = self.lake.now().as_micros().max(self.clock.saturating_add(1));
        let ingested_at = *self.ingested_at.get_or_insert(next);
        self.stage()?.write(&stamped(batch, ingested_at)?).await?;
        self.staged_rows += batch.num_rows() as u64;
        Ok(())
    }

    pub(crate) fn stage(&mut self) -> Result<&mut Stage> {
        let stage = match self.stage.take() {
            Some(stage) => stage,
            None => {
                let schema = Arc::clone(self.table.schema());
                self.lake.stage(self.table.name(), schema, self.table.partition_columns(), self.options)?
            }
        };
        Ok(self.stage.insert(stage))
    }

    /// Forgets what is staged; its files become orphans.
    pub fn abandon(&mut self) {
        self.stage = None;
        self.finished.clear();
        self.working = None;
        self.staged_rows = 0;
        self.ingested_at = None;
    }

    /// Commits what is staged together with `positions`, in one atomic step. Idempotent: positions the table already has
    /// are a success without a second copy. After an `Err` the outcome is unknown and the writer must be opened anew.
    pub async fn commit(&mut self, positions: &Progress, info: &serde_json::Value) -> Result<CommitReceipt> {
        let mut files = std::mem::take(&mut self.finished);
        if let Some(stage) = self.stage.take() {
            files.extend(stage.finish().await?);
        }
        let working = self.working.take();
        let rows = std::mem::take(&mut self.staged_rows);
        let clock = self.ingested_at.take().unwrap_or(self.clock);
        let receipt =
            CommitReceipt { version: 0, rows, bytes: files.iter().map(|file| file.size).sum(), files: files.len() };
        let mut tries = 0;
        loop {
            tries += 1;
            let change = self.change(working.as_ref(), &files, positions, clock, info)?;
            match self.lake.commit(&self.table, change).await {
                Ok(table) => self.table = table,
                Err(error) => {
                    tracing::warn!(pipeline = self.pipeline, %error, tries, "commit outcome unknown, reading it back");
                    let previous = self.positions.clone();
                    if !self.resolve(positions, &previous).await? {
                        if tries < COMMIT_TRIES {
                            continue;
                        }
                        return Err(error);
                    }
                }
            }
            break;
        }
        self.positions.extend(positions.iter().map(|(key, position)| (key.clone(), *position)));
        self.clock = clock;
        self.renew_handle().await?;
        Ok(CommitReceipt { version: self.table.version(), ..receipt })
    }

    fn change(
        &self,
        working: Option<&Working>,
        files: &[DataFile],
        positions: &Progress,
        clock: i64,
        info: &serde_json::Value,
    ) -> Result<Change> {
        let mut change = match working {
            Some(working) => working.change(&self.table, files)?,
            None if files.is_empty() => Change::new(Operation::Positions),
            None => Change { add: files.to_vec(), ..Change::new(Operation::Append) },
        };
        change.transactions = self.fence_transactions();
        change.transactions.extend(positions.iter().map(|(key, position)| (key.clone(), *position)));
        if clock > i64::MIN {
            change.transactions.push((clock_id(&self.pipeline), clock));
        }
        change.info.insert(String::from("headwater"), info.clone());
        Ok(change)
    }

    fn fence_transactions(&self) -> Vec<(String, i64)> {
        vec![(fence_id(&self.pipeline), self.epoch)]
    }

    /// Reads the table back after an error. `true`: our positions are in. `false`: nothing happened, try again on the
    /// fresh snapshot. `Err`: another owner took over, or somebody moved the positions.
    async fn resolve(&mut self, wanted: &Progress, previous: &Progress) -> Result<bool> {
        let table = self.lake.require(self.table.name()).await?;
        let current = table.transaction(&fence_id(&self.pipeline)).await?.unwrap_or(0);
        if current > self.epoch {
            return Err(LakeError::Fenced { pipeline: self.pipeline.clone(), ours: self.epoch, current });
        }
        let mut committed = true;
        for (key, position) in wanted {
            let stored = table.transaction(key).await?;
            if stored.is_some_and(|stored| stored >= *position) {
                continue;
            }
            committed = false;
            if stored != previous.get(key).copied() {
                return Err(LakeError::PositionMoved { pipeline: self.pipeline.clone() });
            }
        }
        self.table = table;
        Ok(committed && !wanted.is_empty())
    }

    async fn renew_handle(&mut self) -> Result<()> {
        self.commits += 1;
        if self.commits.is_multiple_of(COMMITS_PER_HANDLE) {
            let name = self.table.name().clone();
            let table = self.lake.require(&name).await?;
            let current = table.transaction(&fence_id(&self.pipeline)).await?.unwrap_or(0);
            if current > self.epoch {
                return Err(LakeError::Fenced { pipeline: self.pipeline.clone(), ours: self.epoch, current });
            }
            self.table = table;
        }
        Ok(())
    }
}

/// What a table shall have besides rows.
enum Amendment {
    /// These columns, among others.
    Columns(SchemaRef),
    /// A property of this name and value.
    Property(String, String),
}

impl Amendment {
    /// The change to a table that does not have it yet.
    fn lacking(&self, table: &TableVersion) -> Result<Option<Change>> {
        let change = Change::new(Operation::Positions);
        Ok(match self {
            Self::Columns(wanted) => {
                let merged = merged_schema(table.name(), table.schema(), wanted)?;
                let is_there = merged.fields().len() == table.schema().fields().len();
                (!is_there).then(|| Change { schema: Some(merged), ..change })
            }
            Self::Property(name, value) => {
                let is_there = table.property(name).as_ref() == Some(value);
                (!is_there).then(|| Change { properties: vec![(name.clone(), value.clone())], ..change })
            }
        })
    }
}

async fn read_positions(lake: &Lake, table: &TableVersion, keys: &[String]) -> Result<Progress> {
    let mut positions = Progress::new();
    for key in keys.iter().filter(|key| !key.ends_with('*')) {
        if let Some(position) = table.transaction(key).await? {
            positions.insert(key.clone(), position);
        }
    }
    let beginnings: Vec<&str> = keys.iter().filter_map(|key| key.strip_suffix('*')).collect();
    if !beginnings.is_empty() {
        let all = crate::transactions::of(lake, table).await?.into_iter();
        positions.extend(all.filter(|(key, _)| beginnings.iter().any(|beginning| key.starts_with(beginning))));
    }
    Ok(positions)
}

fn fence_id(pipeline: &str) -> String {
    format!("fence/{pipeline}")
}

fn owner_id(pipeline: &str) -> String {
    format!("owner/{pipeline}")
}

/// Name of the table's property that has the columns of records, as Delta writes a schema.
pub(crate) fn records_id(pipeline: &str) -> String {
    format!("headwater.records.{pipeline}")
}

fn clock_id(pipeline: &str) -> String {
    format!("clock/{pipeline}")
}

/// Commits an epoch one greater than any before; an error is resolved by trying on a fresh snapshot.
async fn fence(lake: &Lake, table: TableVersion, pipeline: &str, owner: &Owner) -> Result<(TableVersion, i64)> {
    fault::point("dl.fence_lease_taken_before_fence_commit")?;
    let mut table = table;
    let mut last = None;
    for _ in 0..COMMIT_TRIES {
        owner.still_owns(&table, pipeline).await?;
        let epoch = table.transaction(&fence_id(pipeline)).await?.unwrap_or(0) + 1;
        let mut change = Change::new(Operation::Positions);
        change.transactions = vec![(fence_id(pipeline), epoch), (owner_id(pipeline), owner.id)];
        match lake.commit(&table, change).await {
            Ok(fenced) => {
                owner.epoch.store(epoch, Ordering::SeqCst);
                return Ok((fenced, epoch));
            }
            Err(error) => last = Some(error),
        }
        table = lake.require(table.name()).await?;
    }
    Err(last.unwrap_or_else(|| LakeError::Internal(String::from("a table could not be taken over"))))
}

fn with_ingested_at(schema: &Schema) -> Schema {
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.retain(|field| field.name() != INGESTED_AT);
    fields.push(Field::new(INGESTED_AT, utc_micros(), true));
    Schema::new(fields)
}

fn stamped(batch: &RecordBatch, ingested_at: i64) -> Result<RecordBatch> {
    let times = TimestampMicrosecondArray::from_value(ingested_at, batch.num_rows()).with_timezone("UTC");
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns.push(Arc::new(times));
    Ok(RecordBatch::try_new(Arc::new(with_ingested_at(batch.schema().as_ref())), columns)?)
}
