//! Sources into tables: which pipelines a project has, and running them.

mod connected;
mod kafka;
mod lake_sink;
mod pipelines;

use std::sync::Arc;

use headwater_connectors::postgres::Mode as Follow;
use headwater_ingest::pipeline::{Ended, MetricsHandle};
use headwater_project::Failure;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::generators;
use crate::instance::Instance;
use crate::source_file::SourceConfig;
use crate::view::{Observer, PipelineStatus};

pub(crate) use lake_sink::quarantine_of;
use pipelines::Work;
pub(crate) use pipelines::{Mode, Planned, plan};

/// A pipeline under way, as others see it.
#[derive(Clone, Debug)]
pub(crate) struct PipelineHandle {
    pub(crate) source: String,
    pub(crate) table: String,
    pub(crate) metrics: MetricsHandle,
    pub(crate) ended: Arc<std::sync::Mutex<Option<&'static str>>>,
}

impl PipelineHandle {
    pub(crate) fn status(&self) -> PipelineStatus {
        let metrics = self.metrics.read();
        let ended = *self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let state = match (ended, &metrics.last_error, metrics.lag) {
            (Some(ended), _, _) => ended,
            (None, Some(_), _) => "retrying",
            (None, None, Some(0)) => "caught up",
            (None, None, Some(_)) => "running",
            (None, None, None) => "starting",
        };
        PipelineStatus {
            source: self.source.clone(),
            table: self.table.clone(),
            state: state.to_owned(),
            records_in: metrics.records_in,
            rows_out: metrics.rows_out,
            quarantined: metrics.rejected,
            bytes_in: metrics.bytes_in,
            commits: metrics.commits,
            lag: metrics.lag.unwrap_or(0),
            last_commit_at: metrics.last_commit,
            error: metrics.last_error,
        }
    }
}

/// Runs to the end and remembers how it ended.
pub(crate) async fn run(planned: Planned, stop: CancellationToken) -> Result<(), Failure> {
    let Planned { work, handles } = planned;
    let result = match work {
        Work::Table(mut pipeline) => pipeline.run(&stop).await,
        Work::Capture(mut pipeline) => pipeline.run(&stop).await,
    };
    let ended = match &result {
        Ok(Ended::SourceEnded) => "finished",
        Ok(Ended::Stopped) => "stopped",
        Err(_) => "failed",
    };
    for handle in handles {
        *handle.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(ended);
    }
    result.map(|_| ())
}

impl Instance {
    /// Takes what the named sources (all, when none is named) have now, then returns.
    pub async fn ingest(
        &self,
        sources: &[String],
        cancel: CancellationToken,
        observer: Arc<dyn Observer>,
    ) -> Result<Vec<PipelineStatus>, Failure> {
        self.require_writer()?;
        self.project().require_sound()?;
        self.require_sources(sources)?;
        self.land_reference_tables(sources).await?;
        let planned = pipelines::plan(self, sources, Mode::UntilEnd).await?;
        let mut tasks = JoinSet::new();
        let mut handles = Vec::new();
        for planned in planned {
            for handle in &planned.handles {
                observer.started(&handle.table, &handle.table, "source");
                handles.push(handle.clone());
            }
            tasks.spawn(run(planned, cancel.clone()));
        }
        let mut first = None;
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.map_err(|error| Failure::internal(error.to_string()))?;
            if let Err(failure) = ended {
                first.get_or_insert(failure);
            }
        }
        match first {
            Some(failure) => Err(failure),
            None => Ok(handles.iter().map(PipelineHandle::status).collect()),
        }
    }

    /// Lets the named sources begin anew when they run next: for streams whose slot was lost, and topics that are not what
    /// they were.
    pub async fn restart_sources(&self, sources: &[String]) -> Result<(), Failure> {
        self.require_writer()?;
        self.require_sources(sources)?;
        for source in &self.project().sources {
            if !sources.iter().any(|name| name == source.config.name()) {
                continue;
            }
            match &source.config {
                SourceConfig::Postgres(config) if config.from.mode == Follow::Capture => {
                    connected::restart(self, config).await?;
                }
                SourceConfig::Kafka(config) => kafka::restart(self, config).await?,
                other => {
                    return Err(Failure::user(format!("source `{}` has no stream to restart", other.name()))
                        .with_hint("Only sources of kind `kafka` and those with `mode: capture` have."));
                }
            }
        }
        Ok(())
    }

    fn require_sources(&self, names: &[String]) -> Result<(), Failure> {
        let known: Vec<&str> = self.project().sources.iter().map(|source| source.config.name()).collect();
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(unknown) => {
                let near = headwater_project::config::suggest(unknown, known.iter().copied());
                let hint = near.map_or_else(
                    || format!("Known sources: {}.", known.join(", ")),
                    |near| format!("Did you mean `{near}`?"),
                );
                Err(Failure::user(format!("there is no source `{unknown}`")).with_hint(hint))
            }
        }
    }

    /// The generators' songs and places, once.
    pub(crate) async fn land_reference_tables(&self, sources: &[String]) -> Result<(), Failure> {
        for config in generators::configs(self.project()) {
            if sources.is_empty() || sources.contains(&config.name) {
                pipelines::land_reference_tables(self, config).await?;
            }
        }
        Ok(())
    }
}
