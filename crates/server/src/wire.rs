//! The shapes that cross HTTP and that `--json` prints: serde types, converted from the façade's plain data.
//!
//! A key is never renamed or removed while `/api` has no version; keys may be added. Times are RFC 3339 in UTC.

mod answers;
mod assets;
mod dashboards;
mod definition;
mod events;
mod findings;
mod home;
mod integer;
mod lineage;
mod quarantine;
mod runs;
mod session;
mod sinks;
mod sources;
mod sql;
mod status;
mod topics;

pub use answers::{DashboardAnswer, columns};
pub use assets::{
    Asset, AssetLink, Assets, Column, ColumnLineage, ColumnOrigin, CompiledNode, Node, NodeColumn, NodeColumns, Table,
    TableCommit,
};
pub use dashboards::{
    Condition, Dashboard, DashboardSummary, DatePreset, DetailRequest, Filter, FilterKind, Grid, NumberFormat, Period,
    ReadVersion, RowColumn, Rows, Selects, Sort, Stacking, Tab, TableColumn, TestCounts, Tile, TileAnswer, TileKind,
    TileRequest,
};
pub use events::{Event, IngestProgress};
pub use findings::{Diagnosis, Finding};
pub use home::{AssetTest, Disk, Freshness, Home, Memory};
pub use integer::Integer;
pub use lineage::{Lineage, LineageEdge, LineageKind, LineageNode, LineagePoint, LineageStatus};
pub use quarantine::{Quarantine, QuarantineReason, QuarantineTable};
pub use runs::{Rerun, Run, RunCancelled, RunReport, RunStarted, RunWithSteps, StartRun, Step, StepReport};
pub use session::{Login, Role, Session, User};
pub use sinks::{Sink, SinkSends};
pub use sources::{
    ColumnChange, ConfiguredValue, FactLevel, PastCopy, PastError, RecopyTable, SchemaChange, Source, SourceDetail,
    SourceFact, SourcePipeline, SourcePoint, SourcePosition, SourceTable, SteerSource, TableCopy,
};
pub use sql::{Catalog, CatalogTable, SqlAnswer, SqlCancelled, SqlPlan, SqlRequest};
pub use status::{Generator, Health, Pipeline, Schedule, Status};
pub use topics::{Topic, TopicDetail, TopicPartition, TopicRecord};

use headwater_project::{Failure, Kind};
use serde::Serialize;

/// The body of every refusal.
#[derive(Debug, Serialize)]
pub struct ErrorBody {
    pub error: Error,
}

#[derive(Clone, Debug, Serialize)]
pub struct Error {
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// `user`, `external`, `exhausted`, `conflict` or `internal`; `unauthenticated` (401) and `forbidden` (403) for who asks.
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
