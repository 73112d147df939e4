//! The state of everything on one page.

use headwater_app::{rfc3339, view};
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
    pub bytes: Integer,
    /// When the version readers see was published; null for a table that is not built but ingested.
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

impl From<view::Freshness> for Freshness {
    fn from(table: view::Freshness) -> Self {
        Self {
            table: table.table,
            version: table.version.into(),
            rows: table.rows.map(Into::into),
            bytes: table.bytes.into(),
            at: table.at.map(rfc3339),
        }
    }
}

impl From<view::AssetTest> for AssetTest {
    fn from(test: view::AssetTest) -> Self {
        Self {
            id: test.id,
            name: test.name,
            outcome: test.outcome,
            failures: test.failures.map(Into::into),
            message: test.message,
            at: test.at.map(rfc3339),
        }
    }
}

impl Home {
    /// `rates` are rows per second by table.
    pub(crate) fn new(home: view::Home, rates: &std::collections::BTreeMap<String, f64>) -> Self {
        let status = home.status;
        let progress = |pipeline: view::PipelineStatus| IngestProgress {
            rows_per_second: rates.get(&pipeline.table).copied().unwrap_or_default(),
            pipeline: pipeline.into(),
        };
        Self {
            project: status.project,
            version: status.version,
            started_at: rfc3339(status.started_at),
            now: rfc3339(status.now),
            generators: status.generators.into_iter().map(Into::into).collect(),
            pipelines: status.pipelines.into_iter().map(progress).collect(),
            schedules: status.schedules.into_iter().map(Into::into).collect(),
            running: home.running.into_iter().map(Into::into).collect(),
            recent_runs: home.recent_runs.into_iter().map(Into::into).collect(),
            tables: home.tables.into_iter().map(Into::into).collect(),
            failing_tests: home.failing_tests.into_iter().map(Into::into).collect(),
            quarantined: home.quarantined.into(),
            memory: Memory { resident_bytes: status.memory_bytes.into(), machine_bytes: home.machine_bytes.into() },
            disk: Disk {
                tables_bytes: home.disk.tables_bytes.into(),
                topics_bytes: home.disk.topics_bytes.into(),
                free_bytes: home.disk.free_bytes.into(),
                total_bytes: home.disk.total_bytes.into(),
            },
            problems: home.problems.into_iter().map(Into::into).collect(),
        }
    }
}
