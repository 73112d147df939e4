//! Records that could not be read.

use serde::Serialize;

use super::{Integer, Rows};

/// `GET /api/quarantine`.
#[derive(Debug, Serialize)]
pub struct Quarantine {
    /// Records in all tables.
    pub total: Integer,
    pub tables: Vec<QuarantineTable>,
}

#[derive(Debug, Serialize)]
pub struct QuarantineTable {
    /// The quarantine table: `events.listens_quarantine`.
    pub table: String,
    /// The table its records were meant for.
    pub of: String,
    pub total: Integer,
    pub reasons: Vec<QuarantineReason>,
    /// Up to 20 of the newest records.
    pub sample: Rows,
}

#[derive(Debug, Serialize)]
pub struct QuarantineReason {
    pub reason: String,
    pub count: Integer,
    pub last_at: Option<String>,
}
