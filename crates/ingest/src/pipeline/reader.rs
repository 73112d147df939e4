//! The blocking half: reads, decodes, and decides where commits end.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use headwater_project::unwind::caught_here;
use headwater_project::{Clock, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::pipeline::metrics::{Counts, Lag, MetricsHandle};
use crate::pipeline::shaping::{self, Shape, Shaping};
use crate::pipeline::unchanged;
use crate::pipeline::{Ended, PipelineOptions};
use crate::position::Positions;
use crate::raw_files::{RawFile, RawFiles};
use crate::record::RecordBuffer;
use crate::schema::drift;
use crate::sink::Rejected;
use crate::source::{Effect, Next, RawBatch, ReadLimits, RowBatch, Source};

/// Time between two looks at what a source says of itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the writing half is to do, in order.
pub(super) enum Step {
    Rows {
        schema: SchemaRef,
        /// The columns of the records, when rows are made of them by a transform.
        records: Option<SchemaRef>,
        rows: RecordBatch,
        effect: Effect,
        rejected: Vec<Rejected>,
    },
    Commit {
        schema: SchemaRef,
        positions: Positions,
        info: Vec<String>,
        counts: Counts,
        raw_files: Vec<RawFile>,
        /// What waited when the last of it had been read, and when that was.
        lag: Lag,
        read_at: Timestamp,
    },
}

pub(super) struct Reader {
    source: Box<dyn Source>,
    shape: Shape,
    shaping: Option<Shaping>,
    options: PipelineOptions,
    clock: Arc<dyn Clock>,
    metrics: MetricsHandle,
    raw_files: Option<RawFiles>,
    pending: Pending,
    /// When the source was last looked at, and the bytes that waited then.
    looked: Option<Duration>,
    lag_bytes: Option<u64>,
}

/// What the commit to come covers.
#[derive(Default)]
struct Pending {
    positions: Positions,
    info: Vec<String>,
    counts: Counts,
    /// When the first of it was read, or when the commit before it was made, if that was later.
    since: Duration,
    dirty: bool,
    /// The last batch ended where a commit may.
    boundary: bool,
}

/// The writing half is gone; it knows why.
struct Disconnected;

enum Halt {
    Error(Error),
    Disconnected,
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Disconnected> for Halt {
    fn from(_: Disconnected) -> Self {
        Self::Disconnected
    }
}

impl Reader {
    pub(super) fn new(
        source: Box<dyn Source>,
        shape: Shape,
        shaping: Option<Shaping>,
        options: PipelineOptions,
        clock: Arc<dyn Clock>,
        metrics: MetricsHandle,
        raw_files: Option<RawFiles>,
    ) -> Self {
        let pending = Pending::default();
        Self { source, shape, shaping, options, clock, metrics, raw_files, pending, looked: None, lag_bytes: None }
    }

    /// Reads until the end and then passes on acknowledgements until the writing half is done. Gives the source back.
    pub(super) fn run(
        mut self,
        from: &Positions,
        steps: Sender<Step>,
        acknowledged: &Receiver<Positions>,
        stop: &CancellationToken,
        runtime: &Handle,
    ) -> (Box<dyn Source>, Result<Ended>) {
        let read = || self.read(from, &steps, acknowledged, stop, runtime);
        let mut ended = match caught_here(read).unwrap_or_else(|panicked| Err(Halt::Error(panicked.into()))) {
            Ok(ended) => Ok(ended),
            Err(Halt::Error(error)) => Err(error),
            Err(Halt::Disconnected) => Ok(Ended::Stopped),
        };
        drop(steps);
        for positions in acknowledged {
            if ended.is_ok()
                && let Err(error) = self.committed(&positions)
            {
                ended = Err(error);
            }
        }
        (self.source, ended)
    }

    fn read(
        &mut self,
        from: &Positions,
        steps: &Sender<Step>,
        acknowledged: &Receiver<Positions>,
        stop: &CancellationToken,
        runtime: &Handle,
    ) -> Result<Ended, Halt> {
        self.source.resume(from)?;
        let limits = ReadLimits { max_bytes: self.options.batch_bytes };
        let mut buffer = RecordBuffer::default();
        let mut stop_asked: Option<Duration> = None;
        loop {
            for positions in acknowledged.try_iter() {
                self.committed(&positions)?;
            }
            // A commit that failed may have been all there was to hand on: no later one would tell.
            if steps.is_closed() {
                return Err(Halt::Disconnected);
            }
            if self.may_commit() && self.due() {
                self.commit(steps)?;
            }
            if stop.is_cancelled() {
                let asked = *stop_asked.get_or_insert_with(|| self.clock.monotonic());
                if self.may_commit() {
                    self.commit(steps)?;
                    return Ok(Ended::Stopped);
                }
                if !self.pending.dirty || self.clock.monotonic().saturating_sub(asked) > self.options.drain {
                    return Ok(Ended::Stopped);
                }
            }
            self.look();
            match self.source.next_batch(&limits, buffer)? {
                Next::Batch(batch) => buffer = self.take(*batch, steps)?,
                Next::Rows(batch) => {
                    buffer = RecordBuffer::default();
                    self.take_rows(*batch, steps)?;
                }
                Next::Idle => {
                    buffer = RecordBuffer::default();
                    if !self.pending.dirty {
                        let lag = self.lag();
                        self.metrics.waiting(lag, self.clock.now());
                    }
                    wait(self.options.idle_wait, stop, runtime);
                }
                Next::End => {
                    if self.may_commit() {
                        self.commit(steps)?;
                    }
                    return Ok(Ended::SourceEnded);
                }
            }
        }
    }

    /// A commit is made. While it was, the reader stood still as soon as it had a little ahead: that time is not the next
    /// commit's, or it would be due with this little, and one commit after the other with no more.
    fn committed(&mut self, positions: &Positions) -> Result<()> {
        self.pending.since = self.clock.monotonic();
        if self.options.acknowledges { self.source.committed(positions) } else { Ok(()) }
    }

    /// What the source says of itself, which may cost it something: not with every batch.
    fn look(&mut self) {
        let now = self.clock.monotonic();
        if self.looked.is_none_or(|looked| now.saturating_sub(looked) >= LOOK_EVERY) {
            self.looked = Some(now);
            self.lag_bytes = self.source.lag_bytes();
            self.metrics.looked(self.source.health());
        }
    }

    /// No record, no byte, whatever the last look said.
    fn lag(&self) -> Lag {
        let records = self.source.lag();
        let bytes = if records == Some(0) { self.lag_bytes.map(|_| 0) } else { self.lag_bytes };
        Lag { records, bytes }
    }

    fn may_commit(&self) -> bool {
        self.pending.dirty && self.pending.boundary
    }

    fn due(&self) -> bool {
        let (rotation, counts) = (self.options.rotation, self.pending.counts);
        counts.records() >= rotation.rows
            || counts.bytes >= rotation.bytes
            || self.raw_files.as_ref().is_some_and(|files| files.bytes() >= self.options.raw_bytes)
            || self.clock.monotonic().saturating_sub(self.pending.since) >= rotation.interval
    }

    /// Decodes a batch, hands it on, and returns its buffer to read into again.
    fn take(&mut self, batch: RawBatch, steps: &Sender<Step>) -> Result<RecordBuffer, Halt> {
        let RawBatch { mut records, header, origin, mut rejected, positions, boundary, replaces, info } = batch;
        let empty = records.is_empty() && rejected.is_empty();
        if empty && self.table_schema()?.is_none() {
            // There is no table yet to commit a position to, and nothing is lost by reading nothing again.
            return Ok(records);
        }
        self.note(&positions, boundary, info);
        if let Some(files) = &mut self.raw_files {
            files.add(&origin, &records, self.clock.now().as_millis())?;
        }
        self.pending.counts.bytes += records.bytes() as u64;
        if empty && !replaces {
            return Ok(records);
        }
        let Shape::Decoded(decoder) = &mut self.shape else {
            return Err(Error::Internal("a source of typed rows gave records to decode").into());
        };
        let made = shaping::make(decoder, self.shaping.as_mut(), &records, &header, &origin)?;
        self.pending.counts.left_out += made.count_left_out();
        rejected.extend(made.rejected);
        if !header.is_empty() {
            rejected.iter_mut().for_each(|record| record.header = Arc::clone(&header));
        }
        let effect = if replaces { Effect::Replace { log: None } } else { Effect::Append };
        self.hand_on(made.records, made.rows, effect, rejected, steps)?;
        records.clear();
        Ok(records)
    }

    /// Counts what came of a batch and passes it to the writing half.
    fn hand_on(
        &mut self,
        records: Option<SchemaRef>,
        rows: RecordBatch,
        effect: Effect,
        rejected: Vec<Rejected>,
        steps: &Sender<Step>,
    ) -> Result<(), Halt> {
        self.pending.counts.rows += rows.num_rows() as u64;
        self.pending.counts.rejected += rejected.len() as u64;
        let schema = self.table_schema()?.ok_or(Error::Internal("a batch was read before its table has columns"))?;
        send(steps, Step::Rows { schema, records, rows, effect, rejected })?;
        Ok(())
    }

    /// The columns of the table as they must be for what was read so far.
    fn table_schema(&mut self) -> Result<Option<SchemaRef>> {
        let decoder = match &self.shape {
            Shape::Decoded(decoder) => decoder,
            Shape::Typed(schema) => return Ok(schema.clone()),
        };
        shaping::table_schema(decoder, self.shaping.as_mut())
    }

    /// Hands on rows that came typed.
    fn take_rows(&mut self, batch: RowBatch, steps: &Sender<Step>) -> Result<(), Halt> {
        let RowBatch { mut rows, mut effect, mut rejected, bytes, positions, boundary, info } = batch;
        self.note(&positions, boundary, info);
        self.pending.counts.bytes += bytes;
        if matches!(self.shape, Shape::Decoded(_)) {
            return self.take_removals(rows, effect, rejected, steps);
        }
        if let Some(shaping) = &mut self.shaping {
            let typed = shaping.apply_typed(&rows, effect)?;
            self.pending.counts.left_out += typed.left_out as u64;
            rejected.extend(typed.rejected);
            (rows, effect) = (typed.rows, typed.effect);
        }
        if let Shape::Typed(known) = &mut self.shape {
            let came = rows.schema();
            rows = drift::restrict(known.as_ref(), rows, self.options.drift.new_fields)?;
            if let Effect::Merge { unchanged, .. } = &mut effect {
                unchanged::follow(unchanged, &came, &rows.schema());
            }
            *known = Some(drift::adopt(known.as_ref(), &rows.schema()));
        }
        self.hand_on(None, rows, effect, rejected, steps)
    }

    /// A source of records takes rows away: there is nothing to decode, and without a table nothing to remove.
    fn take_removals(
        &mut self,
        rows: RecordBatch,
        effect: Effect,
        rejected: Vec<Rejected>,
        steps: &Sender<Step>,
    ) -> Result<(), Halt> {
        if rows.num_rows() > 0 {
            return Err(Error::Internal("a source of records gave typed rows").into());
        }
        match self.table_schema()? {
            Some(_) => self.hand_on(None, rows, effect, rejected, steps),
            None => Ok(()),
        }
    }

    /// What the commit to come covers besides rows.
    fn note(&mut self, positions: &Positions, boundary: bool, info: Option<String>) {
        if !self.pending.dirty {
            self.pending.since = self.clock.monotonic();
            self.pending.dirty = true;
        }
        self.pending.boundary = boundary;
        self.pending.positions.advance(positions);
        self.pending.info.extend(info);
    }

    fn commit(&mut self, steps: &Sender<Step>) -> Result<(), Halt> {
        let raw_files = self.raw_files.as_mut().map(RawFiles::finish).transpose()?.unwrap_or_default();
        let Pending { positions, info, counts, .. } = std::mem::take(&mut self.pending);
        let (lag, read_at) = (self.lag(), self.clock.now());
        let schema = self.table_schema()?.ok_or(Error::Internal("a commit is due before there is a table"))?;
        send(steps, Step::Commit { schema, positions, info, counts, raw_files, lag, read_at })?;
        Ok(())
    }
}

fn send(steps: &Sender<Step>, step: Step) -> Result<(), Disconnected> {
    steps.blocking_send(step).map_err(|_| Disconnected)
}

fn wait(time: Duration, stop: &CancellationToken, runtime: &Handle) {
    // Whether the time is over or a stop was asked for makes no difference here: the loop looks.
    drop(runtime.block_on(async { tokio::time::timeout(time, stop.cancelled()).await }));
}
