//! Sinks as they are operated: how far each destination has its table, and what keeps it from having more.

use headwater_project::{Failure, Timestamp};
use tokio::task::JoinSet;

use crate::export::{self, Phase, Progress, ProgressHandle, Reading};
use crate::home::diagnosis;
use crate::instance::Instance;
use crate::project::Project;
use crate::sink_file::{Send, SinkConfig};
use crate::up::UpHandle;
use crate::view::{Diagnosis, SinkSummary};

/// A sink under way, as others see it.
#[derive(Clone, Debug)]
pub(crate) struct SinkHandle {
    pub(crate) config: SinkConfig,
    pub(crate) progress: ProgressHandle,
}

impl SinkHandle {
    pub(crate) fn new(config: &SinkConfig) -> Self {
        Self { config: config.clone(), progress: ProgressHandle::default() }
    }
}

impl Instance {
    /// How far the destinations say they are, while no process sends. One that does not answer is told of as such.
    pub async fn sinks_at_rest(&self) -> Result<Vec<SinkSummary>, Failure> {
        let sinks = &self.project().sinks;
        let mut asking = JoinSet::new();
        for (place, config) in sinks.iter().enumerate() {
            let (instance, config) = (self.clone(), config.clone());
            asking.spawn(async move {
                let reached = export::reached(&instance, &config).await;
                (place, instance.asked(&config, reached).await)
            });
        }
        let mut found = Vec::with_capacity(sinks.len());
        while let Some(asked) = asking.join_next().await {
            found.push(asked.map_err(|error| Failure::internal(error.to_string()))?);
        }
        found.sort_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, summary)| summary).collect())
    }

    async fn asked(&self, config: &SinkConfig, reached: Result<Option<i64>, Failure>) -> SinkSummary {
        let summary = SinkSummary { state: "not running", ..described(self.project(), config) };
        match reached {
            Ok(position) => self.located(config, summary, position).await,
            Err(failure) => SinkSummary { failure: Some(failure), failed_at: Some(self.now()), ..summary },
        }
    }

    /// Adds where the destination is, and what waits for it.
    async fn located(&self, config: &SinkConfig, summary: SinkSummary, position: Option<i64>) -> SinkSummary {
        let reading = Reading { instance: self, config };
        match locate(reading, position).await {
            Ok(Located { up_to, version, waiting_rows, since }) => {
                let behind = since.map_or(0.0, |since| self.now().since(since).as_secs_f64());
                let (waiting_rows, behind_seconds) = (Some(waiting_rows), Some(behind));
                SinkSummary { up_to, version, waiting_rows, behind_seconds, ..summary }
            }
            // What the sink itself met says more than what a look at its table does.
            Err(failure) => SinkSummary { failure: summary.failure.clone().or(Some(failure)), ..summary },
        }
    }

    async fn under_way(&self, handle: &SinkHandle) -> SinkSummary {
        let Progress { phase, is_known, sent, sent_at, failed } = handle.progress.read();
        let (failed_at, failure) = failed.unzip();
        let summary = SinkSummary {
            state: state(phase),
            is_running: true,
            rows_sent: Some(sent.rows),
            transfers: Some(sent.transfers),
            last_sent_at: sent_at,
            failure,
            failed_at,
            ..described(self.project(), &handle.config)
        };
        if !is_known {
            return summary;
        }
        let summary = self.located(&handle.config, summary, sent.position).await;
        // Rows may have come since the sink looked: it has not seen them yet.
        let is_new = phase == Phase::CaughtUp && summary.waiting_rows.is_some_and(|rows| rows > 0);
        SinkSummary { state: if is_new { state(Phase::Sending) } else { summary.state }, ..summary }
    }
}

/// Where a destination is, in words that people have, and what waits.
struct Located {
    up_to: Option<Timestamp>,
    version: Option<u64>,
    waiting_rows: u64,
    since: Option<Timestamp>,
}

async fn locate(reading: Reading<'_>, position: Option<i64>) -> Result<Located, Failure> {
    let waiting = reading.waiting(position).await?;
    let is_version = reading.config.send() == Send::All && reading.published_at()?.is_some();
    let (up_to, version) = if is_version {
        (None, position.and_then(|version| u64::try_from(version).ok()))
    } else {
        // At 0 are the rows of a captured table that has no changes yet.
        (position.filter(|position| *position > 0).map(Timestamp), None)
    };
    Ok(Located { up_to, version, waiting_rows: waiting.rows, since: waiting.since })
}

/// What the file says.
fn described(project: &Project, config: &SinkConfig) -> SinkSummary {
    SinkSummary {
        name: config.name().to_owned(),
        kind: config.kind(),
        description: config.description().map(str::to_owned),
        table: config.table().to_owned(),
        sends_all: config.send() == Send::All,
        connection: config.connection().cloned(),
        destination: export::shown_destination(project, config),
        ..SinkSummary::default()
    }
}

fn state(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Sending => "running",
        Phase::CaughtUp => "caught up",
        Phase::Retrying => "retrying",
        Phase::Failed => "failed",
        Phase::Stopped => "stopped",
    }
}

impl UpHandle {
    /// Every sink of the project and how it is doing.
    pub async fn sinks(&self) -> Result<Vec<SinkSummary>, Failure> {
        if self.is_at_rest() {
            return self.instance().sinks_at_rest().await;
        }
        let mut summaries = Vec::new();
        for handle in self.sink_handles() {
            summaries.push(self.instance().under_way(handle).await);
        }
        Ok(summaries)
    }

    /// Sinks that have failed.
    pub(crate) fn sink_problems(&self) -> Vec<Diagnosis> {
        let problem = |handle: &SinkHandle| {
            let progress = handle.progress.read();
            let (_, failure) = progress.failed?;
            Some(diagnosis(format!("sink {}", handle.config.name()), progress.phase == Phase::Failed, &failure))
        };
        self.sink_handles().iter().filter_map(problem).collect()
    }
}
