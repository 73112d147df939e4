//! Anything that yields records with positions.

pub mod conformance;

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::codec::Codec;
use crate::error::Result;
use crate::health::SourceHealth;
use crate::position::Positions;
use crate::record::RecordBuffer;
use crate::schema::Provenance;
use crate::sink::{Origin, Rejected, Unchanged};

/// How much one batch may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// About so many bytes of payload; a single bigger record still comes.
    pub max_bytes: usize,
}

/// Records read together: of one partition, or of one file.
#[derive(Debug)]
pub struct RawBatch {
    pub records: RecordBuffer,
    /// Names of the fields of delimited rows, in order.
    pub header: Arc<[String]>,
    pub origin: Origin,
    /// What could not even be cut into records. Counts as read.
    pub rejected: Vec<Rejected>,
    /// The keys this batch moves, and how far, once it is committed together with everything before it.
    pub positions: Positions,
    /// Whether a commit may end after this batch. If not, the positions mean nothing yet.
    pub boundary: bool,
    /// Whether what the table held goes before these records come.
    pub replaces: bool,
    /// What to remember with the commit (JSON) that covers this batch.
    pub info: Option<String>,
}

/// Rows that come typed from their source, of one part of it.
#[derive(Debug)]
pub struct RowBatch {
    /// Without rows it still says which columns the table has.
    pub rows: RecordBatch,
    pub effect: Effect,
    /// What no row could be made of. Counts as read.
    pub rejected: Vec<Rejected>,
    /// As the source sent them.
    pub bytes: u64,
    /// As in [`RawBatch`].
    pub positions: Positions,
    pub boundary: bool,
    pub info: Option<String>,
}

/// What rows do to a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// They are added.
    Append,
    /// What the table held goes, then they are added. What happened is added to a log of changes, if there is one.
    Replace { log: Option<LogRows> },
    /// Each replaces the row of its key, no two have the same; and the rows of the keys named here go. What happened is added
    /// to a log of changes, if there is one.
    Merge { key: Arc<[String]>, removed: RecordBatch, unchanged: Vec<Unchanged>, log: Option<LogRows> },
}

impl Effect {
    /// Whole rows by key, without a log of changes.
    pub fn merge(key: Arc<[String]>, removed: RecordBatch) -> Self {
        Self::Merge { key, removed, unchanged: Vec::new(), log: None }
    }
}

/// Rows of a log of changes, all from one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRows {
    pub rows: RecordBatch,
    /// The key that the partition's position has.
    pub position: String,
    /// The position of each row, ascending.
    pub offsets: Vec<i64>,
}

#[derive(Debug)]
pub enum Next {
    Batch(Box<RawBatch>),
    /// A source of raw records may send removals between them, as a `Merge` without rows.
    Rows(Box<RowBatch>),
    /// Nothing now; ask again later.
    Idle,
    /// Nothing any more.
    End,
}

/// Where records come from.
///
/// - *Order*: `resume` is called before anything else and again after every failure; from then on `next_batch` yields every
///   record after those positions, each once, in order within a partition or file.
/// - *Acknowledgement*: only `committed` tells that records are safe. Before it the source must be able to yield them again,
///   to this process or the next, and must not tell anybody upstream that they were taken. `committed` may not come for every
///   batch, and after a crash it may not come for what was committed: `resume` says the truth.
/// - *Delivery*: at least once by itself; exactly once into the table, because the positions are committed with the rows.
/// - *Calls*: by one thread at a time, though not always the same. Calls may block on disk or network, but `next_batch` must
///   not wait for records to come: it returns `Idle`.
/// - *Errors*: after an error of any method the next call is `resume`. `Kind::External` and `Kind::Exhausted` are retried with
///   backoff; anything else stops the pipeline. A bad record is no error but a [`Rejected`].
/// - *Memory*: a batch obeys the limits; nothing else grows with the amount of data.
///
/// [`conformance::check`] tests this for any source that ends.
pub trait Source: Send {
    /// How raw records are decoded; nothing for a source that yields typed rows.
    fn codec(&self) -> Option<Codec>;

    fn provenance(&self) -> Provenance;

    /// Whether folders such as `date=2024-01-01` in the path of a file are columns of its records.
    fn path_columns(&self) -> bool {
        false
    }

    fn resume(&mut self, committed: &Positions) -> Result<()>;

    /// `buffer` is empty and has memory to reuse; the batch may carry it.
    fn next_batch(&mut self, limits: &ReadLimits, buffer: RecordBuffer) -> Result<Next>;

    fn committed(&mut self, positions: &Positions) -> Result<()>;

    /// How many partitions are read side by side, each in an order of its own, if that can be told.
    fn partitions(&self) -> Option<usize> {
        None
    }

    /// Records that wait to be read, if that can be told.
    fn lag(&self) -> Option<u64> {
        None
    }

    /// The same in bytes, about. Asked once a second.
    fn lag_bytes(&self) -> Option<u64> {
        None
    }

    /// What people should know of the source. Asked once a second: tells what is known, and asks nobody.
    fn health(&self) -> SourceHealth {
        SourceHealth::default()
    }
}
