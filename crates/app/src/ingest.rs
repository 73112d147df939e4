//! Sources into tables: which pipelines a project has, and running them.

mod connected;
pub(crate) mod control;
mod copies;
mod history;
mod kafka;
mod lake_sink;
mod lookup;
mod pipelines;
mod positions;

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_connectors::postgres::Mode as Follow;
use headwater_ingest::pipeline::{Metrics, MetricsHandle};
use headwater_project::{Classify, Failure};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::generators;
use crate::instance::{Instance, parse_table_name};
use crate::source_file::SourceConfig;
use crate::view::{Observer, PipelineStatus};

use control::{Control, Phase};
pub(crate) use history::{History, SAMPLE_EVERY, Sample, rate_at};
pub(crate) use lake_sink::{changes_of, quarantine_of, quarantine_schema};
pub(crate) use pipelines::Work;
pub(crate) use pipelines::{Mode, Planned, plan};
pub(crate) use positions::told as told_position;

/// A table under way, as others see it.
#[derive(Clone, Debug)]
pub(crate) struct PipelineHandle {
    pub(crate) source: String,
    pub(crate) table: String,
    pub(crate) metrics: MetricsHandle,
    pub(crate) control: Control,
    /// It is one of several tables of one stream, and stops and goes on with them.
    pub(crate) shares_stream: bool,
    pub(crate) history: History,
}

impl PipelineHandle {
    pub(crate) fn status(&self) -> PipelineStatus {
        let phase = self.control.phase();
        self.metrics.look(|metrics| PipelineStatus {
            source: self.source.clone(),
            table: self.table.clone(),
            state: state(phase, metrics).to_owned(),
            records_in: metrics.records_in,
            rows_out: metrics.rows_out,
            quarantined: metrics.rejected,
            bytes_in: metrics.bytes_in,
            commits: metrics.commits,
            lag: metrics.lag.records.unwrap_or(0),
            last_commit_at: metrics.last_commit,
            error: metrics.last_error.clone(),
        })
    }
}

impl PipelineHandle {
    /// Whether what it fills, or where it comes from, is held back. Tables of one stream are so together.
    pub(crate) fn is_in(&self, paused: &BTreeSet<String>) -> bool {
        paused.contains(&self.source) || (!self.shares_stream && paused.contains(&self.table))
    }
}

fn state(phase: Phase, metrics: &Metrics) -> &'static str {
    match phase {
        Phase::Pausing => "pausing",
        Phase::Paused => "paused",
        Phase::Finished => "finished",
        Phase::Stopped => "stopped",
        Phase::Failed => "failed",
        Phase::Running if metrics.last_error.is_some() => "retrying",
        Phase::Running if metrics.caught_up => "caught up",
        Phase::Running if metrics.commits > 0 || metrics.caught_up_at.is_some() => "running",
        Phase::Running => "starting",
    }
}

impl Instance {
    /// Takes what the named sources have now, then returns. When none is named, all that are not paused.
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
        let paused = if sources.is_empty() { self.paused_names()? } else { BTreeSet::new() };
        for planned in planned {
            handles.extend(planned.handles.iter().cloned());
            if planned.is_in(&paused) {
                planned.control.set(Phase::Paused);
                continue;
            }
            for handle in &planned.handles {
                observer.started(&handle.table, &handle.table, "source");
            }
            tasks.spawn(control::run(planned, cancel.clone()));
        }
        let mut first = None;
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.map_err(|error| Failure::internal(error.to_string()))?;
            if let Err(failure) = ended {
                first.get_or_insert(failure);
            }
        }
        let filled = handles.iter().filter(|handle| handle.metrics.read().commits > 0);
        self.checkpoint_filled(filled.filter_map(|handle| parse_table_name(&handle.table))).await;
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

    /// Sources and tables that are held back.
    pub(crate) fn paused_names(&self) -> Result<BTreeSet<String>, Failure> {
        let paused = self.state.paused().map_err(|error| error.failure())?;
        Ok(paused.into_iter().map(|one| one.name).collect())
    }

    pub(crate) fn require_sources(&self, names: &[String]) -> Result<(), Failure> {
        let known: Vec<&str> = self.project().sources.iter().map(|source| source.config.name()).collect();
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(unknown) => Err(Failure::unknown("source", unknown, known)),
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
