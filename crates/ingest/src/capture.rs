//! From the changes of a database into its tables: one ordered stream, many tables, and one place of its own for how far
//! the stream was taken.
//!
//! Each captured table has two: the current one, kept by key, and a log of every change. A blocking thread runs the source;
//! an async task stages and commits. For each [`Changes`] that ends where a commit may, every table touched since the last is
//! committed with its position (log first), then the progress table with the stream's, and only then the source is told.

use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use headwater_project::{Classify, Clock, Failure, Kind, fault};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::pipeline::metrics::Counts;
use crate::pipeline::{Ended, MetricsHandle};
use crate::position::Positions;
use crate::schema::drift;
use crate::sink::{Commit, KeyedChanges, TableSink};

/// What becomes of a current table, in order.
#[derive(Debug)]
pub enum CurrentChange {
    /// Every row goes.
    Truncate,
    /// Rows of a copy.
    Append(RecordBatch),
    Merge(KeyedChanges),
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
}

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
        match self.pieces.try_send(changes) {
            Ok(()) => Offer::Taken,
            Err(mpsc::error::TrySendError::Full(changes)) => Offer::Full(changes),
            Err(mpsc::error::TrySendError::Closed(_)) => Offer::Gone,
        }
    }

    /// Hands a piece on, waiting for room.
    pub fn send(&mut self, changes: Changes) -> Offer {
        match self.pieces.blocking_send(changes) {
            Ok(()) => Offer::Taken,
            Err(_) => Offer::Gone,
        }
    }

    /// The greatest acknowledgement since the last call.
    pub fn acknowledged(&mut self) -> Option<i64> {
        self.acknowledged.try_iter().max()
    }

    /// Waits for an acknowledgement; nothing when the other side is gone or took too long.
    pub fn wait_acknowledged(&mut self, time: Duration) -> Option<i64> {
        self.acknowledged.recv_timeout(time).ok()
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub fn is_gone(&self) -> bool {
        self.pieces.is_closed()
    }
}

/// The two tables of a captured one.
pub struct CaptureTable {
    pub current: Box<dyn TableSink>,
    pub log: Box<dyn TableSink>,
    pub metrics: MetricsHandle,
}

pub struct CapturePipeline {
    name: String,
    source: Arc<Mutex<Box<dyn ChangeSource>>>,
    tables: Vec<CaptureTable>,
    progress: Box<dyn TableSink>,
    clock: Arc<dyn Clock>,
    backoff: (Duration, Duration),
}

/// What a table got since its last commit.
#[derive(Default)]
struct Pending {
    positions: Positions,
    counts: Counts,
    log_rows: u64,
    has_log: bool,
    dirty: bool,
}

impl CapturePipeline {
    pub fn new(
        name: &str,
        source: Box<dyn ChangeSource>,
        tables: Vec<CaptureTable>,
        progress: Box<dyn TableSink>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let source = Arc::new(Mutex::new(source));
        let backoff = (Duration::from_millis(200), Duration::from_secs(30));
        Self { name: name.to_owned(), source, tables, progress, clock, backoff }
    }

    /// Runs until the source ends, `stop` is cancelled, or something fails that trying again does not help.
    pub async fn run(&mut self, stop: &CancellationToken) -> Result<Ended, Failure> {
        let mut failures = 0_u32;
        loop {
            let commits = self.commits();
            let failure = match self.attempt(stop).await {
                Ok(ended) => return Ok(ended),
                Err(failure) => failure,
            };
            self.abandon().await;
            self.tables.iter().for_each(|table| table.metrics.failed(&failure));
            tracing::warn!(pipeline = %self.name, detail = failure.detail.as_deref(), "pipeline failed: {failure}");
            let wait = match failure.kind {
                Kind::External { retry_after } => retry_after.unwrap_or_default(),
                Kind::Exhausted => Duration::ZERO,
                Kind::User | Kind::Conflict | Kind::Internal => return Err(failure),
            };
            failures = if self.commits() > commits { 1 } else { failures.saturating_add(1) };
            let (first, longest) = self.backoff;
            let wait =
                wait.max(first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(20))).min(longest));
            // What failed is warned of above, and is tried again after the next start: a stop was asked for and is done.
            if tokio::time::timeout(wait, stop.cancelled()).await.is_ok() {
                return Ok(Ended::Stopped);
            }
        }
    }

    fn commits(&self) -> u64 {
        self.tables.iter().map(|table| table.metrics.read().commits).sum()
    }

    async fn abandon(&mut self) {
        self.progress.abandon().await;
        for table in &mut self.tables {
            table.current.abandon().await;
            table.log.abandon().await;
        }
    }

    async fn attempt(&mut self, stop: &CancellationToken) -> Result<Ended, Failure> {
        let mut from = Resume { progress: self.progress.open().await?, ..Resume::default() };
        for table in &mut self.tables {
            from.logs.push(table.log.open().await?);
            from.tables.push(table.current.open().await?);
            from.schemas.push(table.current.schema());
        }
        let (pieces, arriving) = mpsc::channel(2);
        let (acknowledge, acknowledged) = std::sync::mpsc::channel();
        let mut outlet = Outlet { pieces, acknowledged, stop: stop.clone() };
        let source = Arc::clone(&self.source);
        let mut threads = JoinSet::new();
        threads.spawn_blocking(move || {
            let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
            source.run(&from, &mut outlet)
        });
        let written = self.write(arriving, &acknowledge).await;
        drop(acknowledge);
        let joined = threads.join_next().await;
        written?;
        let Some(Ok(read)) = joined else {
            return Err(Failure::internal("the reading thread of a capture panicked"));
        };
        read.map_err(|error| error.failure())
    }

    async fn write(&mut self, mut arriving: mpsc::Receiver<Changes>, acknowledge: &Sender<i64>) -> Result<(), Failure> {
        let mut pending: Vec<Pending> = self.tables.iter().map(|_| Pending::default()).collect();
        while let Some(Changes { tables, boundary, bytes }) = arriving.recv().await {
            let share = bytes / (tables.len() as u64).max(1);
            for changes in tables {
                let index = changes.table;
                let (Some(table), Some(pending)) = (self.tables.get_mut(index), pending.get_mut(index)) else {
                    return Err(Failure::internal("a capture yielded changes of a table it was not opened with"));
                };
                pending.counts.bytes += share;
                table.stage(changes, pending).await?;
            }
            if let Some(boundary) = boundary {
                self.commit(&mut pending, &boundary).await?;
                fault::point("cdc.all_committed_before_ack").map_err(|error| Error::from(error).failure())?;
                // A reader that has failed by itself no longer listens.
                acknowledge.send(boundary.acknowledge).unwrap_or_default();
            }
        }
        Ok(())
    }

    async fn commit(&mut self, pending: &mut [Pending], boundary: &Boundary) -> Result<(), Failure> {
        for (table, pending) in self.tables.iter_mut().zip(pending) {
            if pending.dirty {
                table.commit(std::mem::take(pending), boundary.lag, &*self.clock).await?;
                fault::point("cdc.table_a_committed_before_table_b").map_err(|error| Error::from(error).failure())?;
            } else {
                table.metrics.waiting(boundary.lag);
            }
        }
        if boundary.positions.is_empty() {
            return Ok(());
        }
        if let Some(events) = &boundary.events {
            follow(&mut *self.progress, &events.schema()).await?;
            self.progress.write(events.clone()).await?;
        }
        let rows = boundary.events.as_ref().map_or(0, |events| events.num_rows() as u64);
        self.progress.commit(Commit { positions: boundary.positions.clone(), rows, ..Commit::default() }).await?;
        Ok(())
    }
}

impl CaptureTable {
    async fn stage(&mut self, changes: TableChanges, pending: &mut Pending) -> Result<(), Failure> {
        pending.dirty = true;
        pending.positions.advance(&changes.positions);
        if let Some(rows) = changes.log {
            follow(&mut *self.log, &rows.schema()).await?;
            pending.log_rows += rows.num_rows() as u64;
            pending.has_log = true;
            pending.counts.rows += rows.num_rows() as u64;
            self.log.write(rows).await?;
        }
        for change in changes.current {
            match change {
                CurrentChange::Truncate => self.current.truncate().await?,
                CurrentChange::Append(rows) => {
                    follow(&mut *self.current, &rows.schema()).await?;
                    pending.counts.rows += rows.num_rows() as u64;
                    self.current.write(rows).await?;
                }
                CurrentChange::Merge(changes) => {
                    follow(&mut *self.current, &changes.rows.schema()).await?;
                    self.current.merge(changes).await?;
                }
            }
        }
        Ok(())
    }

    async fn commit(&mut self, pending: Pending, lag: Option<u64>, clock: &dyn Clock) -> Result<(), Failure> {
        let Pending { positions, counts, log_rows, has_log, .. } = pending;
        if has_log {
            let commit = Commit { positions: positions.clone(), rows: log_rows, ..Commit::default() };
            self.log.commit(commit).await?;
            fault::point("cdc.log_committed_before_current").map_err(|error| Error::from(error).failure())?;
        }
        let commit = Commit { positions, rows: counts.rows, ..Commit::default() };
        let receipt = self.current.commit(commit).await?;
        self.metrics.committed(counts, receipt, lag, clock.now());
        Ok(())
    }
}

/// Makes a table able to hold rows of this schema.
async fn follow(sink: &mut dyn TableSink, rows: &SchemaRef) -> Result<(), Failure> {
    let known = sink.schema();
    let wanted = drift::adopt(known.as_ref(), rows);
    if known.is_none_or(|known| !Arc::ptr_eq(&known, &wanted)) {
        sink.evolve(wanted).await?;
    }
    Ok(())
}
