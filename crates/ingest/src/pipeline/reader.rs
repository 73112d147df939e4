//! The blocking half: reads, decodes, and decides where commits end.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use headwater_project::Clock;
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use crate::codec::Decoder;
use crate::error::{Error, Result};
use crate::pipeline::metrics::{Counts, MetricsHandle};
use crate::pipeline::{Ended, PipelineOptions};
use crate::position::Positions;
use crate::raw_files::{RawFile, RawFiles};
use crate::record::RecordBuffer;
use crate::schema::drift;
use crate::sink::Rejected;
use crate::source::{Effect, Next, RawBatch, ReadLimits, RowBatch, Source};

/// What the writing half is to do, in order.
pub(super) enum Step {
    Rows {
        schema: SchemaRef,
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
        lag: Option<u64>,
    },
}

/// How the table's columns are known.
pub(super) enum Shape {
    Decoded(Decoder),
    /// From the rows themselves, once there are any.
    Typed(Option<SchemaRef>),
}

impl Shape {
    fn table_schema(&self) -> Option<SchemaRef> {
        match self {
            Self::Decoded(decoder) => decoder.table_schema(),
            Self::Typed(schema) => schema.clone(),
        }
    }
}

pub(super) struct Reader {
    source: Box<dyn Source>,
    shape: Shape,
    options: PipelineOptions,
    clock: Arc<dyn Clock>,
    metrics: MetricsHandle,
    raw_files: Option<RawFiles>,
    pending: Pending,
}

/// What the commit to come covers.
#[derive(Default)]
struct Pending {
    positions: Positions,
    info: Vec<String>,
    counts: Counts,
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
        options: PipelineOptions,
        clock: Arc<dyn Clock>,
        metrics: MetricsHandle,
        raw_files: bool,
    ) -> Self {
        let raw_files = raw_files.then(RawFiles::default);
        Self { source, shape, options, clock, metrics, raw_files, pending: Pending::default() }
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
        let mut ended = match self.read(from, &steps, acknowledged, stop, runtime) {
            Ok(ended) => Ok(ended),
            Err(Halt::Error(error)) => Err(error),
            Err(Halt::Disconnected) => Ok(Ended::Stopped),
        };
        drop(steps);
        for positions in acknowledged {
            if ended.is_ok()
                && let Err(error) = self.source.committed(&positions)
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
                self.source.committed(&positions)?;
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
            match self.source.next_batch(&limits, buffer)? {
                Next::Batch(batch) => buffer = self.take(*batch, steps)?,
                Next::Rows(batch) => {
                    buffer = RecordBuffer::default();
                    self.take_rows(*batch, steps)?;
                }
                Next::Idle => {
                    buffer = RecordBuffer::default();
                    if !self.pending.dirty {
                        self.metrics.waiting(self.source.lag());
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
            if self.may_commit() && self.due() {
                self.commit(steps)?;
            }
        }
    }

    fn may_commit(&self) -> bool {
        self.pending.dirty && self.pending.boundary
    }

    fn due(&self) -> bool {
        let (rotation, counts) = (self.options.rotation, self.pending.counts);
        counts.rows + counts.rejected >= rotation.rows
            || counts.bytes >= rotation.bytes
            || self.raw_files.as_ref().is_some_and(|files| files.bytes() >= self.options.raw_bytes)
            || self.clock.monotonic().saturating_sub(self.pending.since) >= rotation.interval
    }

    /// Decodes a batch, hands it on, and returns its buffer to read into again.
    fn take(&mut self, batch: RawBatch, steps: &Sender<Step>) -> Result<RecordBuffer, Halt> {
        let RawBatch { mut records, header, origin, mut rejected, positions, boundary, replaces, info } = batch;
        let empty = records.is_empty() && rejected.is_empty();
        if empty && self.shape.table_schema().is_none() {
            // There is no table yet to commit a position to, and nothing is lost by reading nothing again.
            return Ok(records);
        }
        self.note(&positions, boundary, info);
        if let Some(files) = &mut self.raw_files {
            files.add(&origin, &records)?;
        }
        self.pending.counts.bytes += records.bytes() as u64;
        if empty && !replaces {
            return Ok(records);
        }
        let Shape::Decoded(decoder) = &mut self.shape else {
            return Err(Error::Internal("a source of typed rows gave records to decode").into());
        };
        let mut decoded = decoder.decode(&records, &header, &origin)?;
        rejected.append(&mut decoded.rejected);
        self.pending.counts.rows += decoded.rows.num_rows() as u64;
        self.pending.counts.rejected += rejected.len() as u64;
        let schema = self.shape.table_schema().ok_or(Error::Internal("a decoder has no schema after a batch"))?;
        let effect = if replaces { Effect::Replace } else { Effect::Append };
        send(steps, Step::Rows { schema, rows: decoded.rows, effect, rejected })?;
        records.clear();
        Ok(records)
    }

    /// Hands on rows that came typed.
    fn take_rows(&mut self, batch: RowBatch, steps: &Sender<Step>) -> Result<(), Halt> {
        let RowBatch { rows, effect, rejected, bytes, positions, boundary, info } = batch;
        self.note(&positions, boundary, info);
        self.pending.counts.bytes += bytes;
        self.pending.counts.rows += rows.num_rows() as u64;
        self.pending.counts.rejected += rejected.len() as u64;
        let Shape::Typed(known) = &mut self.shape else {
            return Err(Error::Internal("a source of records gave typed rows").into());
        };
        let schema = drift::adopt(known.as_ref(), &rows.schema());
        *known = Some(Arc::clone(&schema));
        send(steps, Step::Rows { schema, rows, effect, rejected })?;
        Ok(())
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
        let lag = self.source.lag();
        let schema = self.shape.table_schema().ok_or(Error::Internal("a commit is due before there is a table"))?;
        send(steps, Step::Commit { schema, positions, info, counts, raw_files, lag })?;
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
