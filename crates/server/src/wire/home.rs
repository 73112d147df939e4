//! The state of everything on one page.

use serde::Serialize;

use super::{Diagnosis, Generator, IngestProgress, Integer, Run, Schedule};

#[derive(Debug, Serialize)]
pub struct Home {
    pub project: String,
    pub version: String,
    pub started_at: String,
    pub now: String,
    pub generators: Vec<Generator>,
    pub pipelines: Vec<IngestProgress>,
    pub schedules: Vec<Schedule>,
    pub running: Vec<Run>,
    /// The newest first.
    pub recent_runs: Vec<Run>,
    pub tables: Vec<Freshness>,
    /// Tests that fail or warn by their last result.
    pub failing_tests: Vec<AssetTest>,
    /// Records in all quarantine tables.
    pub quarantined: Integer,
    pub memory: Memory,
    pub disk: Disk,
    /// Parts that failed, and what to do.
    pub problems: Vec<Diagnosis>,
}

#[derive(Debug, Serialize)]
pub struct Memory {
    /// Of this process.
    pub resident_bytes: Integer,
    pub machine_bytes: Integer,
}

#[derive(Debug, Serialize)]
pub struct Disk {
    /// Newest versions of all tables.
    pub tables_bytes: Integer,
    pub topics_bytes: Integer,
    /// Of the file system with the project.
    pub free_bytes: Integer,
    pub total_bytes: Integer,
}

/// How new a table is.
#[derive(Debug, Serialize)]
pub struct Freshness {
    pub table: String,
    pub version: Integer,
    pub rows: Option<Integer>,
    /// When the version readers see was published, or committed.
    pub at: Option<String>,
}

/// A test with its last result.
#[derive(Clone, Debug, Serialize)]
pub struct AssetTest {
    pub id: String,
    pub name: String,
    /// `pass`, `warn`, `fail`, `error`; null when it never ran.
    pub outcome: Option<String>,
    pub failures: Option<Integer>,
    pub message: Option<String>,
    pub at: Option<String>,
}
