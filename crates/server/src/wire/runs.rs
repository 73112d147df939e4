//! Runs and their steps.

use headwater_app::{rfc3339, view};
use serde::{Deserialize, Serialize};

use super::{Error, Integer};

/// The body of `POST /api/runs`. Everything may be left out: that builds the whole project.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StartRun {
    /// `build` (the default), `run`, `test` or `seed`.
    pub command: Option<String>,
    pub select: Vec<String>,
    pub exclude: Vec<String>,
    pub full_refresh: bool,
}

#[derive(Debug, Serialize)]
pub struct RunReport {
    pub run: Integer,
    pub command: String,
    pub succeeded: bool,
    pub seconds: f64,
    pub steps: Vec<StepReport>,
    pub published: Vec<String>,
}

impl From<view::RunReport> for RunReport {
    fn from(report: view::RunReport) -> Self {
        Self {
            run: report.run.into(),
            command: report.command,
            succeeded: report.succeeded,
            seconds: report.seconds,
            steps: report.steps.into_iter().map(Into::into).collect(),
            published: report.published,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct StepReport {
    pub id: String,
    pub name: String,
    pub kind: String,
    /// `success`, `unchanged`, `warn`, `fail`, `error` or `skipped`.
    pub outcome: &'static str,
    pub started_at: String,
    pub seconds: f64,
    pub rows: Option<Integer>,
    pub error: Option<Error>,
}

impl From<view::StepReport> for StepReport {
    fn from(step: view::StepReport) -> Self {
        Self {
            id: step.id,
            name: step.name,
            kind: step.kind,
            outcome: step.outcome.as_str(),
            started_at: rfc3339(step.started_at),
            seconds: step.seconds,
            rows: step.rows.map(Into::into),
            error: step.failure.as_ref().map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Run {
    pub id: Integer,
    pub job: Option<String>,
    pub command: String,
    pub trigger: String,
    pub selection: String,
    /// `queued`, `running`, `succeeded`, `failed`, `cancelled`, `crashed`.
    pub status: String,
    pub queued_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub message: Option<String>,
}

impl From<view::RunSummary> for Run {
    fn from(run: view::RunSummary) -> Self {
        Self {
            id: run.id.into(),
            job: run.job,
            command: run.command,
            trigger: run.trigger,
            selection: run.selection,
            status: run.status,
            queued_at: rfc3339(run.queued_at),
            started_at: run.started_at.map(rfc3339),
            finished_at: run.finished_at.map(rfc3339),
            message: run.message,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct RunWithSteps {
    #[serde(flatten)]
    pub run: Run,
    pub steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
pub struct Step {
    pub id: String,
    pub kind: String,
    /// `pending`, `running`, `succeeded`, `warn`, `failed`, `skipped`, `unchanged`, `cancelled`, `crashed`.
    pub status: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    /// Rows written by a model, or found by a test.
    pub rows: Option<Integer>,
    pub message: Option<String>,
    pub detail: Option<String>,
    /// What can be done about a failure.
    pub hint: Option<String>,
    /// As it ran, when the target folder still holds it.
    pub compiled_sql: Option<String>,
}

/// The body of `POST /api/runs/{id}/rerun`: the same command and selection again.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rerun {
    /// Only what failed, was skipped or cancelled, and what stands on it.
    pub failed_only: bool,
}

/// The answer of `POST /api/runs/{id}/cancel`.
#[derive(Debug, Serialize)]
pub struct RunCancelled {
    /// False when it had ended before.
    pub cancelled: bool,
}

/// The answer of `POST /api/runs/{id}/rerun` and of `POST /api/runs?wait=false`.
#[derive(Debug, Serialize)]
pub struct RunStarted {
    pub run: Integer,
}

impl From<view::StepSummary> for Step {
    fn from(step: view::StepSummary) -> Self {
        Self {
            id: step.id,
            kind: step.kind,
            status: step.status,
            started_at: step.started_at.map(rfc3339),
            finished_at: step.finished_at.map(rfc3339),
            rows: step.rows.map(Into::into),
            message: step.message,
            detail: step.detail,
            hint: step.hint,
            compiled_sql: step.compiled_sql,
        }
    }
}
