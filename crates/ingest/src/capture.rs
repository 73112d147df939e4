//! From the changes of a database into its tables: one ordered stream, many tables, and one place of its own for how far
//! the stream was taken.
//!
//! Each captured table has two: the current one, kept by key, and a log of every change. A blocking thread runs the source;
//! an async task stages and commits. For each [`Changes`] that ends where a commit may, every table touched since the last is
//! committed with its position (log first), then the progress table with the stream's, and only then the source is told.

mod pipeline;

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use headwater_project::Failure;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::pipeline::{Ended, MetricsHandle};
use crate::position::Positions;
use crate::sink::KeyedChanges;
use crate::stream_health::{CopyProgress, StreamHealth};

pub(crate) use pipeline::follow;
pub use pipeline::{CapturePipeline, CaptureTable};

/// What becomes of a current table, in order.
#[derive(Debug)]
pub enum CurrentChange {
    /// Every row goes.
    Truncate,
    /// Rows of a copy.
    Append(RecordBatch),
    Merge(KeyedChanges),
    /// A copy of the table begins: with the next commit the position `since` becomes a mark that tells the rows there are
    /// now from all that come.
    Mark {
        since: String,
    },
    /// The copy has been through: rows that were there before the mark `since`, and that nothing wrote since, go.
    Retire {
        since: String,
    },
}

/// What happened to one table.
#[derive(Debug)]
pub struct TableChanges {
    /// Index into the tables the source was opened with.
    pub table: usize,
    /// Rows of the log of changes.
    pub log: Option<RecordBatch>,
    pub current: Vec<CurrentChange>,
    /// The table's positions once this is committed, with everything before it.
    pub positions: Positions,
}

/// A piece of the stream.
#[derive(Debug, Default)]
pub struct Changes {
    pub tables: Vec<TableChanges>,
    /// Set where a commit may end.
    pub boundary: Option<Boundary>,
    /// Bytes as they came.
    pub bytes: u64,
}

/// Where a commit may end.
#[derive(Debug, Default)]
pub struct Boundary {
    /// Positions of the progress table.
    pub positions: Positions,
    /// Rows of the progress table: what happened to the capture itself.
    pub events: Option<RecordBatch>,
    /// What the source is told once all of it is committed.
    pub acknowledge: i64,
    /// What waits at the source, in bytes.
    pub lag: Option<u64>,
}

/// Where a table's positions were left, and the progress table's.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    pub progress: Positions,
    pub tables: Vec<Positions>,
    /// Of the logs of changes, which are committed before their tables: their rows up to there are not to come again.
    pub logs: Vec<Positions>,
    /// Columns of the current tables, where there are tables.
    pub schemas: Vec<Option<SchemaRef>>,
    /// What the source noted about copies under way, oldest first: [`Copies::ledger`].
    pub ledger: Vec<String>,
}

/// Copies of tables that are made while the stream goes on: who asked for one, and how far they are.
#[async_trait]
pub trait Copies: Send + Sync {
    /// Details of the rows of the progress table with the event [`LEDGER_EVENT`], in the order of their commits.
    async fn ledger(&self) -> Result<Vec<String>, Failure>;

    /// Whether somebody asked for a copy of this table. By the source's thread, about once a second.
    fn is_wanted(&self, table: usize) -> Result<bool, Failure>;

    /// The copy has begun, and the table's positions say so: the request may be forgotten.
    fn has_begun(&self, table: usize) -> Result<(), Failure>;
}

/// The event of the progress table that says how far a copy is.
pub const LEDGER_EVENT: &str = "copied";

/// A stream of changes of several tables.
///
/// - *Order*: `run` begins after the positions it is given and hands on every change after them, in the order of commits; a
///   change it hands on twice after a failure must be recognised by the table's position and dropped by the source.
/// - *Acknowledgement*: nothing may be told upstream but what [`Outlet::acknowledged`] returned.
/// - *Boundaries*: a transaction lies between two boundaries, whole.
/// - *Memory*: bounded, whatever the size of a transaction: pieces without a boundary are staged as they come.
/// - *Errors*: as for [`crate::source::Source`]; after one, `run` is called again with what is really committed.
pub trait ChangeSource: Send {
    fn run(&mut self, from: &Resume, outlet: &mut Outlet) -> Result<Ended>;
}

/// What a running source is connected to.
pub struct Outlet {
    pieces: mpsc::Sender<Changes>,
    acknowledged: Receiver<i64>,
    stop: CancellationToken,
    copies: Option<Arc<dyn Copies>>,
    metrics: Vec<MetricsHandle>,
    /// Boundaries handed on, and those that are committed.
    boundaries: (u64, u64),
}

/// Whether a piece was taken.
pub enum Offer {
    Taken,
    /// Not now: it comes back.
    Full(Changes),
    /// The other side has failed and knows why.
    Gone,
}

impl Outlet {
    /// Hands a piece on if there is room.
    pub fn offer(&mut self, changes: Changes) -> Offer {
        let boundaries = u64::from(changes.boundary.is_some());
        match self.pieces.try_send(changes) {
            Ok(()) => {
                self.boundaries.0 += boundaries;
                Offer::Taken
            }
            Err(mpsc::error::TrySendError::Full(changes)) => Offer::Full(changes),
            Err(mpsc::error::TrySendError::Closed(_)) => Offer::Gone,
        }
    }

    /// Hands a piece on, waiting for room.
    pub fn send(&mut self, changes: Changes) -> Offer {
        let boundaries = u64::from(changes.boundary.is_some());
        match self.pieces.blocking_send(changes) {
            Ok(()) => {
                self.boundaries.0 += boundaries;
                Offer::Taken
            }
            Err(_) => Offer::Gone,
        }
    }

    /// The greatest acknowledgement since the last call.
    pub fn acknowledged(&mut self) -> Option<i64> {
        let mut greatest = None;
        while let Ok(acknowledged) = self.acknowledged.try_recv() {
            self.boundaries.1 += 1;
            greatest = greatest.max(Some(acknowledged));
        }
        greatest
    }

    /// Waits for an acknowledgement; nothing when the other side is gone or took too long.
    pub fn wait_acknowledged(&mut self, time: Duration) -> Option<i64> {
        let acknowledged = self.acknowledged.recv_timeout(time).ok()?;
        self.boundaries.1 += 1;
        Some(acknowledged)
    }

    /// Whether every boundary handed on is committed, as far as the acknowledgements say that were looked at.
    pub fn is_settled(&self) -> bool {
        self.boundaries.0 == self.boundaries.1
    }

    /// Copies that are made beside the stream, if there are to be any.
    pub fn copies(&self) -> Option<Arc<dyn Copies>> {
        self.copies.clone()
    }

    /// Tells whoever looks how the source is.
    pub fn tell_health(&self, health: &StreamHealth) {
        let told = health.facts();
        self.metrics.iter().for_each(|metrics| metrics.looked(told.clone()));
    }

    /// Tells whoever looks how far the copy of a table is; nothing when none is read.
    pub fn tell_copy(&self, table: usize, progress: Option<CopyProgress>) {
        if let Some(metrics) = self.metrics.get(table) {
            metrics.copying(progress);
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub fn is_gone(&self) -> bool {
        self.pieces.is_closed()
    }
}
