//! Sinks: how each is doing.

use headwater_project::{Failure, Timestamp};

/// One sink at a glance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SinkSummary {
    pub name: String,
    /// `files`, `postgres`, `http`, `kafka`.
    pub kind: &'static str,
    pub description: Option<String>,
    /// Table or model that is sent, as `schema.table`.
    pub table: String,
    /// Whether the whole table goes out with each of its versions, instead of the rows that were added.
    pub sends_all: bool,
    /// Name of the connection it writes through.
    pub connection: Option<String>,
    /// Where rows go, within the connection if there is one.
    pub destination: String,
    /// `starting`, `running`, `caught up`, `retrying`, `failed`, `stopped`; `not running` where no process sends.
    pub state: &'static str,
    /// Whether a process sends: without one, the destination was asked how far it is.
    pub is_running: bool,
    /// The destination has every row that was committed until then.
    pub up_to: Option<Timestamp>,
    /// The destination has this version of the table; instead of `up_to`, where versions are sent.
    pub version: Option<u64>,
    /// Rows that are still to be sent; none where that cannot be told.
    pub waiting_rows: Option<u64>,
    /// Since the first of them came; 0 when none waits.
    pub behind_seconds: Option<f64>,
    /// Since the process began.
    pub rows_sent: Option<u64>,
    /// Sets of rows that went out whole, since the process began.
    pub transfers: Option<u64>,
    pub last_sent_at: Option<Timestamp>,
    pub failure: Option<Failure>,
    pub failed_at: Option<Timestamp>,
}
