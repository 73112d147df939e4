//! Where rows go: the table a pipeline fills, seen from the source's side.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use headwater_project::Failure;

use crate::limits::MAX_REJECTED_BYTES;
use crate::position::Positions;
use crate::record::Record;

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Log { topic: Arc<str>, partition: i32 },
    File { path: Arc<str> },
}

/// A record that no row could be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// A lower-case fragment.
    pub reason: String,
    /// The record as it came, at most `MAX_REJECTED_BYTES` of it.
    pub bytes: Vec<u8>,
    /// Empty when it has none.
    pub key: Vec<u8>,
    /// Names of the fields, when its bytes do not say them.
    pub header: Arc<[String]>,
    /// Its full length.
    pub length: u64,
    pub origin: Origin,
    /// Offset in the partition, or line in the file.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

impl Rejected {
    pub fn new(record: Record<'_>, reason: String, origin: &Origin) -> Self {
        let kept = record.payload.get(..MAX_REJECTED_BYTES).unwrap_or(record.payload);
        Self {
            reason,
            bytes: kept.to_vec(),
            key: record.key.to_vec(),
            header: Arc::default(),
            length: record.payload.len() as u64,
            origin: origin.clone(),
            offset: record.offset,
            timestamp: record.timestamp,
        }
    }
}

/// What becomes of rows, by key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyedChanges {
    /// Names of the key's columns.
    pub key: Arc<[String]>,
    /// New images of rows, no two of one key; each replaces the row of its key, if there is one.
    pub rows: RecordBatch,
    /// Keys, with the key's columns only, whose rows go.
    pub removed: RecordBatch,
    /// Cells of `rows` whose value is that of the row before.
    pub unchanged: Vec<Unchanged>,
}

/// Cells of a row that keep the value the table has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchanged {
    /// Row of [`KeyedChanges::rows`].
    pub row: usize,
    /// Columns of [`KeyedChanges::rows`].
    pub columns: Vec<usize>,
    /// Row of [`KeyedChanges::removed`] with the key the row had before, when it changed.
    pub before: Option<usize>,
    /// Whether it is an error when the table lacks that row; if not, the cells are as they were given.
    pub required: bool,
}

/// What a commit covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// How far the source has been read once this is committed; only the keys that moved.
    pub positions: Positions,
    /// What the source wants remembered with the commit (JSON each), such as the files it took, in order.
    pub info: Vec<String>,
    /// Rows written since the last commit.
    pub rows: u64,
    /// Records rejected since the last commit.
    pub rejected: u64,
    /// Records since the last commit that the project does not want.
    pub left_out: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitReceipt {
    /// The table's version with this commit in it.
    pub version: u64,
}

/// The table a pipeline fills.
///
/// - *Calls*: one pipeline calls at a time, from one task. The order is `open`, then any number of rounds of `evolve`, `write`
///   and `reject`, each round ended by `commit` or `abandon`.
/// - *Ownership*: `open` fences: once it returned, no commit of an earlier owner may succeed, and a commit by this owner after
///   someone else's `open` fails with `Kind::Conflict`. The positions it returns are read after the fence is in place.
/// - *Atomicity*: after `commit(positions)` either all rows written since the last commit are in the table and its positions
///   are these, or neither. Nothing written is visible before. Memory or files staged by `write` go with `abandon`.
/// - *Idempotence*: a commit is known by its positions. If the table already has them, `commit` succeeds without adding rows.
/// - *Quarantine*: rejected records are committed to the quarantine table first, and then the rows, in a commit that names the
///   first. What a crash between the two left in the quarantine is taken back by the next `open`: the positions are those of
///   before, so the source yields all of it again. So records in = rows out + records quarantined, always. A reader of the
///   quarantine may see records between the two commits that go again, and come again later.
/// - *Errors*: an error of `commit` means that the outcome is unknown. The sink does not have to find out: the pipeline calls
///   `open` again and goes on from the positions that are really there. After an error of any method the pipeline calls
///   `abandon`, then `open`.
/// - *Durability*: what `commit` reported survives a power cut; the source forgets it after.
/// - *Wrapping*: no method has a body here, so that a sink around another passes on every one of them.
#[async_trait]
pub trait TableSink: Send {
    /// Takes the table over and says how far it got; creates nothing if there is no table yet.
    async fn open(&mut self) -> Result<Positions, Failure>;

    /// The columns of the table, without those the sink adds by itself. Nothing while there is no table.
    fn schema(&self) -> Option<SchemaRef>;

    /// The columns of the records the rows were made of, without provenance: what `remember` was told last.
    fn records(&self) -> Option<SchemaRef>;

    /// Keeps the columns of records with the table, for rows that are not simply the records. The table must be there.
    async fn remember(&mut self, records: SchemaRef) -> Result<(), Failure>;

    /// Creates the table, or adds columns to it. Rows written from here on have this schema; takes effect with the next
    /// commit at the latest. Refuses, with `Kind::User`, what the table cannot become.
    async fn evolve(&mut self, schema: SchemaRef) -> Result<(), Failure>;

    /// Stages rows. Returns once they no longer count against the pipeline's memory.
    async fn write(&mut self, rows: RecordBatch) -> Result<(), Failure>;

    /// Every row there is, of the table and of what is staged, goes with the next commit.
    async fn truncate(&mut self) -> Result<(), Failure>;

    /// Changes rows by key with the next commit. Later changes of the same commit see what earlier ones did.
    async fn merge(&mut self, changes: KeyedChanges) -> Result<(), Failure>;

    /// A number that every row committed so far lies at or below, and every row that is yet to come above. Never negative.
    fn mark(&self) -> i64;

    /// Rows at or below a mark go with the next commit; what was staged for it stays.
    async fn retire(&mut self, mark: i64) -> Result<(), Failure>;

    /// Stages records for the quarantine table.
    async fn reject(&mut self, records: Vec<Rejected>) -> Result<(), Failure>;

    async fn commit(&mut self, commit: Commit) -> Result<CommitReceipt, Failure>;

    /// Drops what was staged and not committed.
    async fn abandon(&mut self);
}
