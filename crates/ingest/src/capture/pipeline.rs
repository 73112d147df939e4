//! The writing half of a capture: stages what the source yields, commits at its boundaries, tells it when that is done.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use headwater_project::unwind::{caught, caught_here};
use headwater_project::{Classify, Clock, Failure, Kind, Timestamp, fault};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Boundary, ChangeSource, Changes, Copies, CurrentChange, Outlet, Resume, TableChanges};
use crate::error::{Error, Result};
use crate::pipeline::metrics::{Committed, Counts};
use crate::pipeline::{Ended, Lag, MetricsHandle};
use crate::position::Positions;
use crate::schema::drift;
use crate::sink::{Commit, TableSink};

/// The two tables of a captured one.
pub struct CaptureTable {
    pub current: Box<dyn TableSink>,
    pub log: Box<dyn TableSink>,
    pub metrics: MetricsHandle,
    /// What the current table has committed.
    held: Positions,
}

pub struct CapturePipeline {
    name: String,
    source: Arc<Mutex<Box<dyn ChangeSource>>>,
    tables: Vec<CaptureTable>,
    progress: Box<dyn TableSink>,
    copies: Option<Arc<dyn Copies>>,
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
        Self { name: name.to_owned(), source, tables, progress, copies: None, clock, backoff }
    }

    /// Lets tables be copied while the stream goes on.
    #[must_use]
    pub fn with_copies(mut self, copies: Arc<dyn Copies>) -> Self {
        self.copies = Some(copies);
        self
    }

    /// Runs until the source ends, `stop` is cancelled, or something fails that trying again does not help.
    pub async fn run(&mut self, stop: &CancellationToken) -> Result<Ended, Failure> {
        let mut failures = 0_u32;
        loop {
            let commits = self.commits();
            let failure = match caught(self.attempt(stop)).await.flatten() {
                Ok(ended) => return Ok(ended),
                Err(failure) => failure,
            };
            self.abandon().await;
            let now = self.clock.now();
            self.tables.iter().for_each(|table| table.metrics.failed(&failure, now));
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
            table.held = table.current.open().await?;
            table.metrics.opened(&table.held);
            from.tables.push(table.held.clone());
            from.schemas.push(table.current.schema());
        }
        if let Some(copies) = &self.copies {
            from.ledger = copies.ledger().await?;
        }
        let (pieces, arriving) = mpsc::channel(2);
        let (acknowledge, acknowledged) = std::sync::mpsc::channel();
        let metrics = self.tables.iter().map(|table| table.metrics.clone()).collect();
        let (copies, stop) = (self.copies.clone(), stop.clone());
        let mut outlet = Outlet { pieces, acknowledged, stop, copies, metrics, boundaries: (0, 0) };
        let source = Arc::clone(&self.source);
        let mut threads = JoinSet::new();
        threads.spawn_blocking(move || {
            let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
            caught_here(|| source.run(&from, &mut outlet)).unwrap_or_else(|panicked| Err(panicked.into()))
        });
        let written = caught(self.write(arriving, &acknowledge)).await.flatten();
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
        let (lag, read_at) = (Lag { records: None, bytes: boundary.lag }, self.clock.now());
        for (table, pending) in self.tables.iter_mut().zip(pending) {
            if pending.dirty {
                table.commit(std::mem::take(pending), lag, read_at, &*self.clock).await?;
                fault::point("cdc.table_a_committed_before_table_b").map_err(|error| Error::from(error).failure())?;
            } else {
                table.metrics.waiting(lag, read_at);
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
    pub fn new(current: Box<dyn TableSink>, log: Box<dyn TableSink>, metrics: MetricsHandle) -> Self {
        Self { current, log, metrics, held: Positions::default() }
    }

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
                CurrentChange::Mark { since } => pending.positions.set(since, self.current.mark()),
                CurrentChange::Retire { since } => {
                    let mark =
                        self.held.get(&since).ok_or_else(|| Failure::internal("a copy ends that never began"))?;
                    self.current.retire(mark).await?;
                    fault::point("cdc.retired_before_commit").map_err(|error| Error::from(error).failure())?;
                }
            }
        }
        Ok(())
    }

    async fn commit(
        &mut self,
        pending: Pending,
        lag: Lag,
        read_at: Timestamp,
        clock: &dyn Clock,
    ) -> Result<(), Failure> {
        let Pending { positions, counts, log_rows, has_log, .. } = pending;
        if has_log {
            let commit = Commit { positions: positions.clone(), rows: log_rows, ..Commit::default() };
            self.log.commit(commit).await?;
            fault::point("cdc.log_committed_before_current").map_err(|error| Error::from(error).failure())?;
        }
        let commit = Commit { positions: positions.clone(), rows: counts.rows, ..Commit::default() };
        let receipt = self.current.commit(commit).await?;
        self.held.advance(&positions);
        let committed = Committed { counts, positions: &positions, receipt, lag, read_at };
        self.metrics.committed(&committed, clock.now());
        Ok(())
    }
}

/// Makes a table able to hold rows of this schema.
pub(crate) async fn follow(sink: &mut dyn TableSink, rows: &SchemaRef) -> Result<(), Failure> {
    let known = sink.schema();
    let wanted = drift::adopt(known.as_ref(), rows);
    if known.is_none_or(|known| !Arc::ptr_eq(&known, &wanted)) {
        sink.evolve(wanted).await?;
    }
    Ok(())
}
