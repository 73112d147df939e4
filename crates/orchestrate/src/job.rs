//! Jobs as code: `jobs/*.yml`.

use std::time::Duration;

use headwater_project::config::{DurationText, TextList};
use headwater_project::tree::Tree;
use headwater_project::{Classify, Diagnostic, Diagnostics};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::Error;
use crate::schedule::Schedule;

/// A job: what to run, and when.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobConfig {
    /// Name of the job, unique in the project.
    pub name: String,
    /// What the job is for.
    pub description: Option<String>,
    /// Nodes to run, in dbt's selection syntax: names, `tag:nightly`, `path:models/core`, `+model+`. Everything when absent.
    #[serde(default)]
    pub select: TextList,
    /// Nodes to leave out of the selection, in the same syntax.
    #[serde(default)]
    pub exclude: TextList,
    /// What to do with the selected nodes.
    #[serde(default)]
    pub command: Command,
    /// When to run; a job without a schedule runs on request only.
    pub schedule: Option<ScheduleConfig>,
    /// How often to try again after a failure.
    pub retries: Option<RetriesConfig>,
}

/// What a run does with the selected nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Builds and tests each node.
    #[default]
    Build,
    /// Builds without testing.
    Run,
    /// Tests without building.
    Test,
}

impl Command {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Run => "run",
            Self::Test => "test",
        }
    }
}

/// When a job is due: either `cron` or `every`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Five fields: minute, hour, day of month, month, day of week; a sixth in front counts seconds.
    pub cron: Option<String>,
    /// Time zone of the cron expression, for example `Europe/Berlin`. UTC when absent.
    pub timezone: Option<String>,
    /// Length of time between runs, for example `30s`; counted from midnight UTC, not from the start of the process.
    pub every: Option<DurationText>,
    /// What to do with times that passed while nothing could run.
    #[serde(default)]
    pub missed: MissedTicks,
}

/// What to do with due times that passed while the process was down or the previous run still going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissedTicks {
    /// Run each of them, oldest first; of more than 100, the newest 100.
    RunAll,
    /// Run the newest only.
    #[default]
    RunLast,
    /// Run none that is more than a minute late.
    Skip,
}

/// How often, and after how long, a failed run is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetriesConfig {
    /// Further tries after the first.
    #[schemars(range(min = 0, max = 100))]
    pub count: u32,
    /// Wait before each further try.
    #[serde(default = "default_delay")]
    pub delay: DurationText,
}

fn default_delay() -> DurationText {
    DurationText(Duration::from_secs(30))
}

/// A job that was checked.
#[derive(Clone, Debug)]
pub struct Job {
    pub name: String,
    pub description: Option<String>,
    pub select: Vec<String>,
    pub exclude: Vec<String>,
    pub command: Command,
    pub schedule: Option<Schedule>,
    pub missed: MissedTicks,
    pub retry_count: u32,
    pub retry_delay: Duration,
}

impl Job {
    /// Checks what the schema cannot say. `tree` is the file the configuration was decoded from.
    pub fn from_config(config: JobConfig, tree: &Tree, diagnostics: &mut Diagnostics) -> Option<Self> {
        let schedule_tree = tree.get("schedule").unwrap_or(tree);
        let missed = config.schedule.as_ref().map(|schedule| schedule.missed).unwrap_or_default();
        let schedule = match config.schedule.as_ref().map(ScheduleConfig::schedule) {
            None => None,
            Some(Ok(schedule)) => Some(schedule),
            Some(Err(found)) => {
                let (key, diagnostic) = *found;
                diagnostics.push(diagnostic.at(schedule_tree.get(key).unwrap_or(schedule_tree).span));
                return None;
            }
        };
        Some(Self {
            name: config.name,
            description: config.description,
            select: config.select.0,
            exclude: config.exclude.0,
            command: config.command,
            schedule,
            missed,
            retry_count: config.retries.as_ref().map_or(0, |retries| retries.count),
            retry_delay: config.retries.map_or(Duration::ZERO, |retries| retries.delay.0),
        })
    }
}

impl ScheduleConfig {
    /// The schedule, or the key at fault and what is wrong with it.
    fn schedule(&self) -> Result<Schedule, Box<(&'static str, Diagnostic)>> {
        let at = |key: &'static str, diagnostic: Diagnostic| Box::new((key, diagnostic));
        let refused =
            |key: &'static str, message: &str, hint: &str| Err(at(key, Diagnostic::error(message).hint(hint)));
        match (&self.cron, self.every) {
            (Some(cron), None) => Schedule::cron(cron, self.timezone.as_deref().unwrap_or("UTC")).map_err(|error| {
                at(if matches!(error, Error::TimeZone { .. }) { "timezone" } else { "cron" }, diagnostic(&error))
            }),
            (None, Some(_)) if self.timezone.is_some() => {
                refused("timezone", "`timezone` has no meaning beside `every`", "Remove `timezone`, or use `cron`.")
            }
            (None, Some(every)) => Schedule::every(every.0).map_err(|error| at("every", diagnostic(&error))),
            (Some(_), Some(_)) => refused("every", "a schedule has either `cron` or `every`", "Remove one of them."),
            (None, None) => {
                refused("", "a schedule needs `cron` or `every`", "Add `cron: \"5 * * * *\"` or `every: 30s`.")
            }
        }
    }
}

fn diagnostic(error: &Error) -> Diagnostic {
    let failure = error.failure();
    let mut diagnostic = Diagnostic::error(failure.message);
    diagnostic.detail = failure.detail;
    diagnostic.hint = failure.hint;
    diagnostic
}
