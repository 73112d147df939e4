//! What `GET /api/events` tells.

use serde::Serialize;

use super::{Integer, Pipeline, Run};

/// One event. The event's name in the stream is its `event`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first of every connection. Another `boot` than before: the server was restarted, load everything anew.
    Hello { boot: String },
    /// Readers see a new version of a table or view.
    Table { table: String, version: Integer, at: String },
    /// A run was queued, started or ended.
    Run(Run),
    /// A step of a running run started or ended.
    Step { run: Integer, id: String, status: String },
    /// Progress of an ingested table, at most once a second each.
    Ingest(IngestProgress),
    /// This connection missed events: load everything anew. The stream ends after it.
    Reload,
}

#[derive(Clone, Debug, Serialize)]
pub struct IngestProgress {
    #[serde(flatten)]
    pub pipeline: Pipeline,
    /// Over the last few seconds.
    pub rows_per_second: f64,
}
