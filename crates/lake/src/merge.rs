//! Changing rows of an ingested table by key, within the commit that carries the source's position.
//!
//! Only files that hold one of the keys are rewritten, without those rows; the new rows come beside them. What the table
//! shall be is kept as a list of files until the commit, so any number of merges of bounded size, and rows appended between
//! them, become visible at once. Memory is what the keys of one merge take, its new rows, and a bounded batch of stored ones.

mod kept;
mod keys;
mod stamps;
mod stored_file;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::{Schema, SchemaRef};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::async_reader::ParquetRecordBatchStream;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};

use crate::commit::{Change, Operation};
use crate::error::{LakeError, Result};
use crate::file::DataFile;
use crate::pipeline::{INGESTED_AT, PipelineWriter};
use crate::schema::to_storable;
use crate::table::TableVersion;

use kept::KeptCells;
use keys::KeySet;
use stamps::{Share, Stamped};
use stored_file::{StoredFile, batch_rows};

/// What becomes of rows, by key.
#[derive(Clone, Debug)]
pub struct KeyedRows {
    /// Names of the key's columns.
    pub key: Arc<[String]>,
    /// New images of rows, no two of one key. Each replaces the row of its key, if there is one.
    pub rows: RecordBatch,
    /// Keys, with the key's columns only, whose rows go.
    pub removed: RecordBatch,
    /// Cells of `rows` whose value is that of the row before.
    pub unchanged: Vec<Unchanged>,
}

/// Cells that keep the value the table has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchanged {
    /// Row of [`KeyedRows::rows`].
    pub row: usize,
    /// Columns of [`KeyedRows::rows`].
    pub columns: Vec<usize>,
    /// Row of [`KeyedRows::removed`] with the key the row had before, when it changed.
    pub before: Option<usize>,
    /// Whether it is an error when the table lacks that row; if not, the cells are as they were given.
    pub required: bool,
}

/// What a table shall be once the next commit is done.
pub(crate) struct Working {
    files: Vec<DataFile>,
    /// The files the table had when this was worked out. If it has others by the time of the commit, it is worked out anew.
    base: HashSet<String>,
}

impl Working {
    fn over(table: &TableVersion, files: Vec<DataFile>) -> Self {
        Self { files, base: paths(table) }
    }

    /// The change from what the table is to this and `finished`; refuses when somebody else changed the table's files.
    pub(crate) fn change(&self, table: &TableVersion, finished: &[DataFile]) -> Result<Change> {
        if paths(table) != self.base {
            return Err(LakeError::Overtaken(table.name().to_string()));
        }
        let wanted: Vec<&DataFile> = self.files.iter().chain(finished).collect();
        let wants: HashSet<&str> = wanted.iter().map(|file| file.path.as_str()).collect();
        let mut change = Change::new(Operation::Replace);
        change.remove = table.files().iter().filter(|file| !wants.contains(file.path.as_str())).cloned().collect();
        change.add = wanted.into_iter().filter(|file| !self.base.contains(&file.path)).cloned().collect();
        Ok(change)
    }
}

fn paths(table: &TableVersion) -> HashSet<String> {
    table.files().iter().map(|file| file.path.clone()).collect()
}

impl PipelineWriter {
    /// Every row, of the table and of what is staged, goes with the next commit.
    pub fn truncate(&mut self) {
        self.abandon();
        self.working = Some(Working::over(&self.table, Vec::new()));
    }

    /// Changes rows by key with the next commit. Later calls see what earlier ones did.
    pub async fn merge(&mut self, changes: &KeyedRows) -> Result<()> {
        let mut working = self.take_working().await?;
        let keys = KeySet::new(self.table.schema(), changes)?;
        let mut kept_cells = KeptCells::new(changes);
        let mut rest = Vec::with_capacity(working.files.len());
        for file in std::mem::take(&mut working.files) {
            if keys.may_be_in(&file) && self.reader().holds_a_key(&file, &keys).await? {
                self.rewrite(&file, &keys, &mut kept_cells).await?;
            } else {
                rest.push(file);
            }
        }
        working.files = rest;
        if let Some(stage) = self.stage.take() {
            working.files.extend(stage.finish().await?);
        }
        self.working = Some(working);
        let rows = kept_cells.filled(changes, self.table.name())?;
        if rows.num_rows() > 0 {
            self.write(&rows).await?;
        }
        Ok(())
    }

    /// What the table shall be, with all that was staged so far in it.
    async fn take_working(&mut self) -> Result<Working> {
        if let Some(stage) = self.stage.take() {
            self.finished.extend(stage.finish().await?);
        }
        let mut working =
            self.working.take().unwrap_or_else(|| Working::over(&self.table, self.table.files().to_vec()));
        working.files.append(&mut self.finished);
        Ok(working)
    }

    /// A number that the [`INGESTED_AT`] of every row so far lies at or below, and of every row of later commits above.
    pub fn mark(&self) -> i64 {
        self.latest_ingested_at().max(0)
    }

    /// Rows whose [`INGESTED_AT`] lies at or below a mark go with the next commit. Only files that hold some are rewritten.
    pub async fn retire(&mut self, mark: i64) -> Result<()> {
        self.leave_out(Stamped::UpTo(mark)).await
    }

    /// Rows whose [`INGESTED_AT`] is this, which are those of one commit, go with the next. Only files that hold some are
    /// rewritten.
    pub async fn take_back(&mut self, ingested_at: i64) -> Result<()> {
        self.leave_out(Stamped::At(ingested_at)).await
    }

    async fn leave_out(&mut self, rows: Stamped) -> Result<()> {
        let mut working = self.take_working().await?;
        let mut rest = Vec::with_capacity(working.files.len());
        for file in std::mem::take(&mut working.files) {
            let share = match rows.share_by_bounds(&file) {
                Some(share) => share,
                None => self.reader().share(&file, rows).await?,
            };
            match share {
                Share::None => rest.push(file),
                Share::All => {}
                Share::Some => self.keep_others(&file, rows).await?,
            }
        }
        working.files = rest;
        if let Some(stage) = self.stage.take() {
            working.files.extend(stage.finish().await?);
        }
        self.working = Some(working);
        Ok(())
    }

    /// Stages the rows of a file that are none of these.
    async fn keep_others(&mut self, file: &DataFile, rows: Stamped) -> Result<()> {
        let schema = Arc::clone(self.table.schema());
        let mut stored = self.reader().open(file, None).await?;
        while let Some(batch) = stored.try_next().await? {
            let batch = to_storable(&batch, &schema)?;
            let stays = not(&rows.rows(&batch)?)?;
            self.stage()?.write(&filter_record_batch(&batch, &stays)?).await?;
        }
        Ok(())
    }

    /// Stages what of a file stays.
    async fn rewrite(&mut self, file: &DataFile, keys: &KeySet, kept_cells: &mut KeptCells) -> Result<()> {
        let schema = Arc::clone(self.table.schema());
        let mut rows = self.reader().open(file, None).await?;
        while let Some(batch) = rows.try_next().await? {
            // Columns the file was written without are NULL.
            let batch = to_storable(&batch, &schema)?;
            let found = keys.find(&batch)?;
            kept_cells.note(&batch, &found);
            let stays: BooleanArray = found.iter().map(|key| Some(key.is_none())).collect();
            let batch = filter_record_batch(&batch, &stays)?;
            self.stage()?.write(&batch).await?;
        }
        Ok(())
    }

    fn reader(&self) -> FileReader {
        FileReader { store: self.lake.object_store(), folder: self.table.name().path() }
    }
}

/// Reads data files of a table, apart from its writer: files in the making cannot be shared between threads, which a borrow
/// across an await would need.
struct FileReader {
    store: Arc<dyn ObjectStore>,
    folder: Path,
}

impl FileReader {
    /// Reads the key alone: most candidates turn out not to hold any.
    async fn holds_a_key(&self, file: &DataFile, keys: &KeySet) -> Result<bool> {
        let mut rows = self.open(file, Some(keys.columns())).await?;
        while let Some(batch) = rows.try_next().await? {
            if keys.find(&batch)?.iter().any(Option::is_some) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn share(&self, file: &DataFile, rows: Stamped) -> Result<Share> {
        let mut stored = self.open(file, Some(&[INGESTED_AT.to_owned()])).await?;
        let (mut meant, mut all) = (0, 0);
        while let Some(batch) = stored.try_next().await? {
            meant += rows.rows(&batch)?.true_count();
            all += batch.num_rows();
        }
        Ok(Share::of(meant, all))
    }

    async fn open(&self, file: &DataFile, columns: Option<&[String]>) -> Result<ParquetRecordBatchStream<StoredFile>> {
        let location = Path::from_iter(self.folder.parts().chain(Path::from(file.path.as_str()).parts()));
        let reader = StoredFile { store: Arc::clone(&self.store), path: location, size: file.size };
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
        let mask = columns
            .map(|columns| ProjectionMask::columns(builder.parquet_schema(), columns.iter().map(String::as_str)));
        let rows = batch_rows(builder.metadata(), mask.as_ref());
        let builder = builder.with_batch_size(rows).with_projection(mask.unwrap_or_else(ProjectionMask::all));
        Ok(builder.build()?)
    }
}

/// The key's columns, as the table has them.
fn key_schema(table: &Schema, key: &[String]) -> Result<SchemaRef> {
    let mut fields = Vec::with_capacity(key.len());
    for name in key {
        let field = table.field_with_name(name);
        fields
            .push(field.map_err(|_| LakeError::Internal(format!("key column `{name}` is not in the table")))?.clone());
    }
    Ok(Arc::new(Schema::new(fields)))
}
