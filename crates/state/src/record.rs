//! What is stored, as plain data.

use headwater_project::Timestamp;

use crate::status::{RunStatus, StepStatus, status};

/// Number of a run, from 1, never used twice. Also the sequence a model's lake commit carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub i64);

impl std::fmt::Display for RunId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Names one life of one process; made anew at each start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub String);

status! {
    /// What caused a run.
    Trigger, "trigger" {
        Manual = "manual",
        Schedule = "schedule",
        /// The first run after a start, when something is missing.
        Start = "start",
        Retry = "retry",
        Backfill = "backfill",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// The job it belongs to; none for a run from the command line.
    pub job: Option<String>,
    /// `build`, `run`, `test`, ...
    pub command: String,
    pub trigger: Trigger,
    /// Selection as the user wrote it, for showing.
    pub selection: String,
    /// Which try of the same work this is, from 1.
    pub attempt: u32,
    pub owner: BootId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub id: RunId,
    pub job: Option<String>,
    pub command: String,
    pub trigger: Trigger,
    pub selection: String,
    pub attempt: u32,
    pub owner: BootId,
    pub status: RunStatus,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub message: Option<String>,
}

/// How a run ends. Only a success moves publications, and it moves all of them with the status in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    Succeeded { publications: Vec<Publication>, fingerprints: Vec<Fingerprint> },
    Failed { message: String },
    Cancelled { message: Option<String> },
}

impl RunEnd {
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Succeeded { .. } => RunStatus::Succeeded,
            Self::Failed { .. } => RunStatus::Failed,
            Self::Cancelled { .. } => RunStatus::Cancelled,
        }
    }

    pub(crate) fn message(&self) -> Option<&str> {
        match self {
            Self::Succeeded { .. } => None,
            Self::Failed { message } => Some(message),
            Self::Cancelled { message } => message.as_deref(),
        }
    }
}

/// One change of one step. `from` none records the step for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepChange {
    /// Unique id of the node, for example `model.music.fact_page_views`.
    pub node: String,
    /// `model`, `test`, `seed`, ...
    pub kind: String,
    pub from: Option<StepStatus>,
    pub to: StepStatus,
    pub at: Timestamp,
    pub result: StepResult,
}

/// What a step left. An absent field keeps what was recorded before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepResult {
    pub rows: Option<i64>,
    pub message: Option<String>,
    /// Path of the compiled code, relative to the project's target directory.
    pub compiled_path: Option<String>,
    pub table_version: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub run: RunId,
    pub node: String,
    pub kind: String,
    pub status: StepStatus,
    /// Order in which the steps of the run were first recorded, from 0.
    pub ordinal: i64,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub result: StepResult,
}

status! {
    TestOutcome, "test outcome" {
        Pass = "pass",
        Warn = "warn",
        Fail = "fail",
        /// The test itself could not run.
        Error = "error",
    }
}

status! {
    TestSeverity, "test severity" {
        Warn = "warn",
        Error = "error",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Unique id of the test node.
    pub node: String,
    /// Unique id of the node it is about, when there is exactly one.
    pub tested: Option<String>,
    pub outcome: TestOutcome,
    pub severity: TestSeverity,
    pub failures: i64,
    pub message: Option<String>,
    pub at: Timestamp,
}

/// What a published name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishedAs {
    /// This version of the table of that name.
    Table { version: i64 },
    /// The result of this query.
    View { sql: String },
}

/// Makes a name (`schema.table`) stand for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    pub name: String,
    pub relation: PublishedAs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub name: String,
    pub relation: PublishedAs,
    pub run: RunId,
    pub at: Timestamp,
}

/// What a node's published version was made from: the same code hash and the same inputs need no new version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub node: String,
    pub code_hash: String,
    /// JSON object: input name to table version, keys sorted by the caller.
    pub inputs: String,
    pub output_version: i64,
}

/// A schedule as the store first saw it in this form; ticks before `since` are nobody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRecord {
    pub name: String,
    pub definition: String,
    pub since: Timestamp,
    pub last_tick: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TickOutcome {
    Run(RunId),
    Skipped(String),
}

/// What became of one due time of one schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    pub schedule: String,
    pub logical_time: Timestamp,
    pub outcome: TickOutcome,
    pub recorded_at: Timestamp,
}

/// The right to do something alone until `expires_at`. `epoch` grows with every taking and fences earlier holders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub name: String,
    pub owner: BootId,
    pub epoch: i64,
    pub expires_at: Timestamp,
}

/// Something that is held back: a source, or one of its tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    pub name: String,
    pub at: Timestamp,
}
