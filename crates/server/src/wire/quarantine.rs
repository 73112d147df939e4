//! Records that could not be read.

use headwater_app::{rfc3339, view};
use headwater_project::Failure;
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

impl TryFrom<view::QuarantineSummary> for QuarantineTable {
    type Error = Failure;

    fn try_from(table: view::QuarantineSummary) -> Result<Self, Failure> {
        let reason = |reason: view::QuarantineReason| QuarantineReason {
            reason: reason.reason,
            count: reason.count.into(),
            last_at: reason.last_at.map(rfc3339),
        };
        Ok(Self {
            sample: Rows::try_from(&table.sample)?,
            table: table.table,
            of: table.of,
            total: table.total.into(),
            reasons: table.reasons.into_iter().map(reason).collect(),
        })
    }
}
