//! From a source into a table: read, decode, rotate, commit, acknowledge; and again from the committed position when anything
//! fails.
//!
//! A blocking thread reads and decodes and decides when to commit; an async task stages rows and commits. A bounded channel
//! between them lets the two overlap and holds the reader back when the table is slow.

mod change_log;
pub mod metrics;
mod reader;
mod replay;
mod shaping;
#[cfg(test)]
mod tests;
mod unchanged;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use headwater_project::unwind::caught;
use headwater_project::{Classify, Clock, Failure, Kind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::codec::Decoder;
use crate::error::Result;
use crate::pipeline::change_log::ChangeLog;
use crate::pipeline::reader::Reader;
use crate::pipeline::shaping::{Shape, Shaping};
use crate::raw_files::{Layout, RawFiles, RawStore};
use crate::rows::RowTransform;
use crate::schema::{DriftPolicy, drift, without_provenance};
use crate::sink::TableSink;
use crate::source::Source;

pub use metrics::{Lag, Metrics, MetricsHandle, PastError};
pub use replay::{Replayed, Reread, SetAside};

/// When to commit: at the first of these that is reached, and at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    pub rows: u64,
    /// Of records as they came.
    pub bytes: u64,
    pub interval: Duration,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { rows: 1_000_000, bytes: 256 << 20, interval: Duration::from_secs(60) }
    }
}

#[derive(Clone, Debug)]
pub struct PipelineOptions {
    pub rotation: Rotation,
    /// Payload bytes read at once. About six such batches exist at a time, raw or decoded.
    pub batch_bytes: usize,
    /// Compressed raw files held before a commit is due.
    pub raw_bytes: usize,
    /// How long to wait when the source has nothing.
    pub idle_wait: Duration,
    /// How long a stop may go on reading to reach the next place where a commit is possible.
    pub drain: Duration,
    /// First and longest wait after a failure.
    pub backoff: (Duration, Duration),
    pub drift: DriftPolicy,
    /// Columns given in the project, without provenance, which the table has from the start.
    pub declared: Option<SchemaRef>,
    /// Whether the source is told what is safe.
    pub acknowledges: bool,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            rotation: Rotation::default(),
            batch_bytes: 4 << 20,
            raw_bytes: 64 << 20,
            idle_wait: Duration::from_millis(20),
            drain: Duration::from_secs(10),
            backoff: (Duration::from_millis(200), Duration::from_secs(30)),
            drift: DriftPolicy::default(),
            declared: None,
            acknowledges: true,
        }
    }
}

/// Why a pipeline stopped without an error; everything read is committed, save what a stop could not wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    SourceEnded,
    Stopped,
}

pub struct Pipeline {
    name: String,
    source: Option<Box<dyn Source>>,
    sink: Box<dyn TableSink>,
    change_log: Option<ChangeLog>,
    raw_store: Option<Arc<dyn RawStore>>,
    raw_layout: Layout,
    clock: Arc<dyn Clock>,
    options: PipelineOptions,
    transform: Option<Arc<dyn RowTransform>>,
    metrics: MetricsHandle,
}

impl Pipeline {
    pub fn new(
        name: &str,
        source: Box<dyn Source>,
        sink: Box<dyn TableSink>,
        clock: Arc<dyn Clock>,
        options: PipelineOptions,
    ) -> Self {
        let (name, metrics) = (name.to_owned(), MetricsHandle::default());
        Self {
            name,
            source: Some(source),
            sink,
            change_log: None,
            raw_store: None,
            raw_layout: Layout::default(),
            clock,
            options,
            transform: None,
            metrics,
        }
    }

    /// Also keeps every record of a topic as it came.
    #[must_use]
    pub fn with_raw_files(mut self, store: Arc<dyn RawStore>) -> Self {
        self.raw_store = Some(store);
        self
    }

    /// The same records into another table, to look at them: the source is told nothing, and no raw files are kept.
    #[must_use]
    pub fn looking(mut self, sink: Box<dyn TableSink>) -> Self {
        self.sink = sink;
        self.raw_store = None;
        self.change_log = None;
        self.options.acknowledges = false;
        self
    }

    /// Rows go through this on their way.
    #[must_use]
    pub fn with_transform(mut self, transform: Arc<dyn RowTransform>) -> Self {
        self.transform = Some(transform);
        self
    }

    /// Raw files lie and look like this.
    #[must_use]
    pub fn with_raw_layout(mut self, layout: Layout) -> Self {
        self.raw_layout = layout;
        self
    }

    /// Also keeps what a source says that happened to the rows of its table.
    #[must_use]
    pub fn with_change_log(mut self, sink: Box<dyn TableSink>) -> Self {
        self.change_log = Some(ChangeLog::new(sink));
        self
    }

    pub fn metrics(&self) -> MetricsHandle {
        self.metrics.clone()
    }

    /// Runs until the source ends, `stop` is cancelled, or something fails that trying again does not help.
    pub async fn run(&mut self, stop: &CancellationToken) -> Result<Ended, Failure> {
        let mut failures = 0_u32;
        loop {
            let commits = self.metrics.read().commits;
            let failure = match caught(self.attempt(stop)).await.flatten() {
                Ok(ended) => {
                    if ended == Ended::SourceEnded {
                        self.metrics.recovered();
                    }
                    return Ok(ended);
                }
                Err(failure) => failure,
            };
            self.sink.abandon().await;
            if let Some(log) = &mut self.change_log {
                log.abandon().await;
            }
            self.metrics.failed(&failure, self.clock.now());
            tracing::warn!(pipeline = %self.name, detail = failure.detail.as_deref(), "pipeline failed: {failure}");
            let wait = match failure.kind {
                Kind::External { retry_after } => retry_after.unwrap_or_default(),
                Kind::Exhausted => Duration::ZERO,
                Kind::User | Kind::Conflict | Kind::Internal => return Err(failure),
            };
            failures = if self.metrics.read().commits > commits { 1 } else { failures.saturating_add(1) };
            let wait = wait.max(self.backoff(failures));
            if tokio::time::timeout(wait, stop.cancelled()).await.is_ok() {
                return Err(failure);
            }
        }
    }

    fn backoff(&self, failures: u32) -> Duration {
        let (first, longest) = self.options.backoff;
        first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(20))).min(longest)
    }

    /// From opening the table to the first failure, or the end.
    async fn attempt(&mut self, stop: &CancellationToken) -> Result<Ended, Failure> {
        let positions = self.sink.open().await?;
        self.metrics.opened(&positions);
        if let Some(log) = &mut self.change_log {
            log.open().await?;
        }
        let table = self.sink.schema();
        let Some(source) = self.source.take() else {
            return Err(Failure::internal("the source of a pipeline is gone"));
        };
        let shape = match self.shape(&*source, table.as_ref()) {
            Ok(shape) => shape,
            Err(error) => {
                self.source = Some(source);
                return Err(error.failure());
            }
        };
        let (steps, arriving) = mpsc::channel(2);
        let (acknowledge, acknowledged) = std::sync::mpsc::channel();
        let (clock, metrics) = (Arc::clone(&self.clock), self.metrics.clone());
        let shaping = self.transform.clone().map(Shaping::new);
        let raw_files = self.raw_store.as_ref().map(|_| RawFiles::new(self.raw_layout.clone()));
        let reader = Reader::new(source, shape, shaping, self.options.clone(), clock, metrics, raw_files);
        let mut threads = JoinSet::new();
        let (stop, runtime) = (stop.clone(), tokio::runtime::Handle::current());
        threads.spawn_blocking(move || reader.run(&positions, steps, &acknowledged, &stop, &runtime));
        let written = caught(self.write(arriving, acknowledge, table)).await.flatten();
        let joined = threads.join_next().await;
        let Some(Ok((source, read))) = joined else {
            return Err(Failure::internal("the reading thread of a pipeline panicked"));
        };
        self.source = Some(source);
        written?;
        read.map_err(|error| error.failure())
    }

    fn shape(&self, source: &dyn Source, table: Option<&SchemaRef>) -> Result<Shape> {
        let Some(codec) = source.codec() else { return Ok(Shape::Typed(table.cloned())) };
        let known = self.sink.records().or_else(|| table.map(|table| without_provenance(table)));
        let records = match (known, &self.options.declared) {
            (Some(known), Some(declared)) => Some(drift::evolve(&known, declared, &DriftPolicy::default())),
            (known, declared) => known.or_else(|| declared.clone()),
        };
        let decoder = Decoder::new(codec, self.options.drift, source.provenance(), records)?;
        Ok(Shape::Decoded(decoder.with_path_columns(source.path_columns())))
    }
}
