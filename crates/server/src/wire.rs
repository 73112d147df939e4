//! The shapes that cross HTTP and that `--json` prints: serde types, converted from the façade's plain data.
//!
//! A key is never renamed or removed while `/api` has no version; keys may be added. Times are RFC 3339 in UTC.

mod assets;
mod dashboards;
mod findings;
mod runs;
mod status;
mod topics;

pub use assets::{Asset, Assets, Column, CompiledNode, Node, Table};
pub use dashboards::{Dashboard, RowColumn, Tile, TileRows, columns};
pub use findings::{Diagnosis, Finding};
pub use runs::{Run, RunReport, RunWithSteps, StartRun, Step, StepReport};
pub use status::{Generator, Health, Pipeline, Schedule, Status};
pub use topics::{Topic, TopicPartition, TopicRecord};

use headwater_project::{Failure, Kind};
use serde::{Deserialize, Serialize};

/// The body of `POST /api/sql`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    pub sql: String,
}

/// The body of every refusal.
#[derive(Debug, Serialize)]
pub struct ErrorBody {
    pub error: Error,
}

#[derive(Debug, Serialize)]
pub struct Error {
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// `user`, `external`, `exhausted`, `conflict` or `internal`.
    pub kind: &'static str,
}

impl From<&Failure> for Error {
    fn from(failure: &Failure) -> Self {
        Self {
            message: failure.message.clone(),
            detail: failure.detail.clone(),
            hint: failure.hint.clone(),
            kind: kind_name(failure.kind),
        }
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "user",
        Kind::External { .. } => "external",
        Kind::Exhausted => "exhausted",
        Kind::Conflict => "conflict",
        Kind::Internal => "internal",
    }
}

#[cfg(test)]
mod tests;
