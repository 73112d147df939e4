//! Sinks, and how far each is.

use headwater_app::{rfc3339, view};
use serde::Serialize;

use super::{Error, Integer};

/// One of `GET /api/sinks`.
#[derive(Debug, Serialize)]
pub struct Sink {
    pub name: String,
    /// `files`, `postgres`, `http`, `kafka`.
    pub kind: String,
    pub description: Option<String>,
    /// Table or model that is sent.
    pub table: String,
    pub sends: SinkSends,
    /// Name of the connection it writes through.
    pub connection: Option<String>,
    /// Where rows go, within the connection if there is one.
    pub destination: String,
    /// `starting`, `running`, `caught up`, `retrying`, `failed`, `stopped`; `not running` where no process sends.
    pub state: String,
    /// Whether a process sends: without one, the destination was asked how far it is.
    pub is_running: bool,
    /// The destination has every row that was committed until then.
    pub up_to: Option<String>,
    /// The destination has this version of the table; instead of `up_to`, where versions are sent.
    pub version: Option<Integer>,
    /// Rows that are still to be sent; null where that cannot be told.
    pub waiting_rows: Option<Integer>,
    /// Since the first of them came; 0 when none waits.
    pub behind_seconds: Option<f64>,
    /// Since the process began; null where none runs.
    pub rows_sent: Option<Integer>,
    /// Sets of rows that went out whole, since the process began.
    pub transfers: Option<Integer>,
    pub last_sent_at: Option<String>,
    /// What it failed with last, until it works again.
    pub error: Option<Error>,
    pub failed_at: Option<String>,
}

/// Which rows of its table a sink sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkSends {
    /// Those that were added.
    Added,
    /// All, with each version of the table.
    All,
}

impl From<view::SinkSummary> for Sink {
    fn from(sink: view::SinkSummary) -> Self {
        Self {
            name: sink.name,
            kind: sink.kind.to_owned(),
            description: sink.description,
            table: sink.table,
            sends: if sink.sends_all { SinkSends::All } else { SinkSends::Added },
            connection: sink.connection,
            destination: sink.destination,
            state: sink.state.to_owned(),
            is_running: sink.is_running,
            up_to: sink.up_to.map(rfc3339),
            version: sink.version.map(Into::into),
            waiting_rows: sink.waiting_rows.map(Into::into),
            behind_seconds: sink.behind_seconds,
            rows_sent: sink.rows_sent.map(Into::into),
            transfers: sink.transfers.map(Into::into),
            last_sent_at: sink.last_sent_at.map(rfc3339),
            error: sink.failure.as_ref().map(Into::into),
            failed_at: sink.failed_at.map(rfc3339),
        }
    }
}
