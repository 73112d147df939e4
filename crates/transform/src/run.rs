//! What a run tells the templates about itself.

use std::sync::Arc;

use headwater_project::Timestamp;

use crate::defer::Deferral;

/// The run a compile belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunContext {
    pub started_at: Timestamp,
    pub invocation_id: String,
    /// Incremental models are built from nothing.
    pub full_refresh: bool,
    /// dbt's word for the command: `build`, `run`, `test`, `compile`, `show`.
    pub command: String,
    /// What models read is empty: only shapes are tried out.
    pub empty: bool,
    /// The failing rows of every test are kept.
    pub store_failures: bool,
    /// First moment of event time that microbatches are made for.
    pub event_time_start: Option<Timestamp>,
    /// The moment they end before.
    pub event_time_end: Option<Timestamp>,
    /// Span of event time that inputs are cut down to.
    pub sample: Option<Batch>,
    /// Where nodes are read that this run does not make.
    pub deferral: Option<Arc<Deferral>>,
    /// The one batch a compile is about.
    pub batch: Option<Batch>,
}

/// A span of event time, its end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Batch {
    /// What both spans have in common; empty, with its end before its start, when that is nothing.
    pub(crate) fn common(self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }
}
