//! What the process is doing.

use std::collections::BTreeMap;

use headwater_app::{rfc3339, view};
use serde::Serialize;

use super::{Error, Integer, Run};

#[derive(Debug, Serialize)]
pub struct Health {
    pub status: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Status {
    pub project: String,
    pub version: String,
    pub started_at: String,
    pub now: String,
    pub memory_bytes: Integer,
    pub generators: Vec<Generator>,
    pub pipelines: Vec<Pipeline>,
    pub schedules: Vec<Schedule>,
    pub running_runs: Vec<Integer>,
    pub last_run: Option<Run>,
}

impl From<view::Status> for Status {
    fn from(status: view::Status) -> Self {
        Self {
            project: status.project,
            version: status.version,
            started_at: rfc3339(status.started_at),
            now: rfc3339(status.now),
            memory_bytes: status.memory_bytes.into(),
            generators: status.generators.into_iter().map(Into::into).collect(),
            pipelines: status.pipelines.into_iter().map(Into::into).collect(),
            schedules: status.schedules.into_iter().map(Into::into).collect(),
            running_runs: status.running_runs.into_iter().map(Into::into).collect(),
            last_run: status.last_run.map(Into::into),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Generator {
    pub source: String,
    pub state: String,
    pub delivered: Integer,
    pub late: Integer,
    pub duplicates: Integer,
    pub malformed: Integer,
    pub reached: Option<String>,
    pub by_topic: BTreeMap<String, Integer>,
}

impl From<view::GeneratorStatus> for Generator {
    fn from(status: view::GeneratorStatus) -> Self {
        Self {
            source: status.source,
            state: status.state,
            delivered: status.delivered.into(),
            late: status.late.into(),
            duplicates: status.duplicates.into(),
            malformed: status.malformed.into(),
            reached: status.reached.map(rfc3339),
            by_topic: status.by_topic.into_iter().map(|(topic, count)| (topic, count.into())).collect(),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Pipeline {
    pub source: String,
    pub table: String,
    /// `starting`, `running`, `caught up`, `retrying`, `pausing`, `paused`, `failed`, `finished`, `stopped`, `not running`.
    pub state: String,
    pub records_in: Integer,
    pub rows_out: Integer,
    pub quarantined: Integer,
    pub bytes_in: Integer,
    pub commits: Integer,
    /// Records of the source not committed yet; 0 also where that cannot be told.
    pub lag: Integer,
    pub last_commit_at: Option<String>,
    pub error: Option<Error>,
}

impl From<view::PipelineStatus> for Pipeline {
    fn from(status: view::PipelineStatus) -> Self {
        Self {
            source: status.source,
            table: status.table,
            state: status.state,
            records_in: status.records_in.into(),
            rows_out: status.rows_out.into(),
            quarantined: status.quarantined.into(),
            bytes_in: status.bytes_in.into(),
            commits: status.commits.into(),
            lag: status.lag.into(),
            last_commit_at: status.last_commit_at.map(rfc3339),
            error: status.error.as_ref().map(Into::into),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Schedule {
    pub job: String,
    pub schedule: String,
    pub last_tick: Option<String>,
    pub next_tick: Option<String>,
}

impl From<view::ScheduleStatus> for Schedule {
    fn from(status: view::ScheduleStatus) -> Self {
        Self {
            job: status.job,
            schedule: status.schedule,
            last_tick: status.last_tick.map(rfc3339),
            next_tick: status.next_tick.map(rfc3339),
        }
    }
}
