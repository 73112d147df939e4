//! What `GET /api/events` tells.

use headwater_app::{Happening, rfc3339};
use serde::Serialize;

use super::{Integer, Pipeline, Run};

/// One event. The event's name in the stream is its `event`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first of every connection. Another `boot` than before: the server was restarted, load everything anew.
    Hello { boot: String },
    /// Readers see a new version of a table or view (0 for a view; of an ingested table, the commits of this process).
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
    /// Over the last second; 0 while nobody listens to `GET /api/events`.
    pub rows_per_second: f64,
}

impl From<Happening> for Event {
    fn from(happening: Happening) -> Self {
        match happening {
            Happening::Table { table, version, at } => Self::Table { table, version: version.into(), at: rfc3339(at) },
            Happening::Run(run) => Self::Run(run.into()),
            Happening::Step { run, id, status } => Self::Step { run: run.into(), id, status },
            Happening::Ingest { pipeline, rows_per_second } => {
                Self::Ingest(IngestProgress { pipeline: pipeline.into(), rows_per_second })
            }
        }
    }
}

impl Event {
    /// Its name in the stream.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Table { .. } => "table",
            Self::Run(_) => "run",
            Self::Step { .. } => "step",
            Self::Ingest(_) => "ingest",
            Self::Reload => "reload",
        }
    }
}
