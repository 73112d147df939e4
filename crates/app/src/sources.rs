//! Sources as they are operated: how each is doing, and holding it back, letting it go on, running it again.

mod configuration;
mod facts;
mod picture;
mod tables;

use std::collections::BTreeMap;

use headwater_ingest::pipeline::Metrics;
use headwater_project::{Classify, Failure, Kind, Timestamp};

use crate::generators::Settings;
use crate::ingest::control::Phase;
use crate::ingest::{PipelineHandle, Sample, told_position};
use crate::instance::{Instance, parse_table_name};
use crate::project::SourceEntry;
use crate::source_file::SourceConfig;
use crate::up::UpHandle;
use crate::view::{PastFailure, PipelineDetail, PipelineStatus, PositionSummary, SourceDetail, SourceSummary};
use picture::picture;

/// States from the one that needs somebody soonest to the one that needs nobody.
const BY_NEED: [&str; 10] = [
    "failed",
    "retrying",
    "pausing",
    "paused",
    "starting",
    "running",
    "caught up",
    "finished",
    "stopped",
    "not running",
];
const NOT_RUNNING: &str = "not running";

/// What is paused, with the time since.
type PausedAt = BTreeMap<String, Timestamp>;

impl Instance {
    fn paused_at(&self) -> Result<PausedAt, Failure> {
        let paused = self.state.paused().map_err(|error| error.failure())?;
        Ok(paused.into_iter().map(|one| (one.name, one.at)).collect())
    }

    /// Refuses a name that no source has.
    pub fn has_source(&self, name: &str) -> Result<(), Failure> {
        self.source_entry(name).map(drop)
    }

    fn source_entry(&self, name: &str) -> Result<&SourceEntry, Failure> {
        self.require_sources(&[name.to_owned()])?;
        let found = self.project().sources.iter().find(|source| source.config.name() == name);
        found.ok_or_else(|| Failure::internal("a source that is known is not there"))
    }

    /// What the commits know of sources while no process takes them in.
    pub async fn sources_at_rest(&self) -> Result<Vec<SourceSummary>, Failure> {
        let paused = self.paused_at()?;
        let mut summaries = Vec::new();
        for entry in &self.project().sources {
            let mut pipelines = Vec::new();
            for table in fed_tables(self, &entry.config)? {
                let mut pipeline = self.pipeline_at_rest(entry.config.name(), table, &paused).await?;
                pipeline.shares_stream = shares_stream(&entry.config);
                pipelines.push(pipeline);
            }
            summaries.push(summary(entry, pipelines, &paused, false));
        }
        Ok(summaries)
    }

    async fn pipeline_at_rest(
        &self,
        source: &str,
        table: String,
        paused: &PausedAt,
    ) -> Result<PipelineDetail, Failure> {
        let since = paused.get(source).or_else(|| paused.get(&table)).copied();
        let state = if since.is_some() { "paused" } else { NOT_RUNNING };
        let mut detail = PipelineDetail {
            status: PipelineStatus { source: source.to_owned(), state: state.to_owned(), ..PipelineStatus::default() },
            paused_at: since,
            ..PipelineDetail::default()
        };
        if let Some(name) = parse_table_name(&table) {
            let failed = |error: headwater_lake::LakeError| error.failure();
            let found = self.lake.load(&name).await.map_err(failed)?;
            detail.table_version = found.as_ref().map(headwater_lake::TableVersion::version);
            detail.status.rows_out = found.as_ref().and_then(headwater_lake::TableVersion::rows).unwrap_or(0);
            let progress = self.lake.progress(&name).await.map_err(failed)?;
            detail.positions = positions(&progress);
            detail.copy = self.table_copy(&name, &progress, None)?;
            let quarantine = self.lake.load(&crate::ingest::quarantine_of(&name)).await.map_err(failed)?;
            detail.status.quarantined = quarantine.and_then(|version| version.rows()).unwrap_or(0);
            if detail.table_version.is_some() {
                detail.status.last_commit_at = self.last_write(&name).await?;
            }
        }
        detail.status.table = table;
        Ok(detail)
    }

    /// Remembers that a source, or one of its tables, is held back. A running process is told by [`UpHandle::pause`].
    pub fn pause_source(&self, source: &str, table: Option<&str>) -> Result<(), Failure> {
        self.require_writer()?;
        let name = self.pausable(source, table)?;
        self.state.pause(&name, self.now()).map_err(|error| error.failure())
    }

    /// Forgets it again; of a source, also that its tables are.
    pub fn resume_source(&self, source: &str, table: Option<&str>) -> Result<(), Failure> {
        self.require_writer()?;
        let name = self.pausable(source, table)?;
        let paused = self.paused_at()?;
        if table.is_some() && paused.contains_key(source) {
            return Err(Failure::new(Kind::Conflict, format!("the whole source `{source}` is paused"))
                .with_hint("Resume the source; its tables can be paused one by one."));
        }
        let beginning = format!("{source}.");
        for known in paused.keys().filter(|known| **known == name || (table.is_none() && known.starts_with(&beginning)))
        {
            self.state.resume(known).map_err(|error| error.failure())?;
        }
        Ok(())
    }

    /// The name under which a pause is remembered.
    fn pausable(&self, source: &str, table: Option<&str>) -> Result<String, Failure> {
        let entry = self.source_entry(source)?;
        let Some(table) = table else { return Ok(source.to_owned()) };
        let known = fed_tables(self, &entry.config)?;
        let wanted = if table.contains('.') { table.to_owned() } else { format!("{source}.{table}") };
        if !known.contains(&wanted) {
            return Err(Failure::user(format!("source `{source}` has no table `{table}`"))
                .with_hint(format!("It fills {}.", known.join(", "))));
        }
        if shares_stream(&entry.config) {
            return Err(Failure::user(format!("`{wanted}` is one of the tables of one stream"))
                .with_hint(format!("Pause the source: `headwater ingest pause {source}`.")));
        }
        Ok(wanted)
    }
}

fn shares_stream(config: &SourceConfig) -> bool {
    use headwater_connectors::postgres::Mode;
    matches!(config, SourceConfig::Postgres(config) if config.from.mode == Mode::Capture)
}

/// `schema.table` of what a source fills, as its file says.
fn fed_tables(instance: &Instance, config: &SourceConfig) -> Result<Vec<String>, Failure> {
    let one = |table: &str| vec![format!("{}.{table}", config.name())];
    Ok(match config {
        SourceConfig::Generator(generator) => {
            let topics = Settings::read(&instance.project().root, generator)?.topics();
            topics.into_iter().map(|topic| format!("{}.{}", generator.name, topic.name)).collect()
        }
        SourceConfig::Files(files) => one(files.table()),
        SourceConfig::Http(http) => one(http.table()),
        SourceConfig::Push(push) => one(push.table()),
        SourceConfig::Kafka(kafka) => one(kafka.table()),
        SourceConfig::Postgres(postgres) => {
            use headwater_connectors::postgres::PostgresConfig;
            let names = postgres.from.each_table().map(|(name, table)| PostgresConfig::lake_name(name, &table));
            names.map(|table| format!("{}.{table}", postgres.name)).collect()
        }
    })
}

fn summary(entry: &SourceEntry, pipelines: Vec<PipelineDetail>, paused: &PausedAt, is_running: bool) -> SourceSummary {
    let need = |state: &str| BY_NEED.iter().position(|known| *known == state).unwrap_or(0);
    let paused_at = paused.get(entry.config.name()).copied();
    // Tables that are held back one by one say so themselves; the source is as the others are.
    let going_on = pipelines.iter().filter(|pipeline| paused_at.is_some() || pipeline.paused_at.is_none());
    let states = going_on.map(|pipeline| pipeline.status.state.as_str());
    let alone = if paused_at.is_some() || !pipelines.is_empty() { "paused" } else { NOT_RUNNING };
    let state = states.min_by_key(|state| need(state)).unwrap_or(alone);
    SourceSummary {
        name: entry.config.name().to_owned(),
        kind: entry.config.kind(),
        description: entry.config.description().map(str::to_owned),
        connection: entry.config.connection().cloned(),
        state: state.to_owned(),
        paused_at,
        is_running,
        pipelines,
        generator: None,
    }
}

fn positions(committed: &BTreeMap<String, i64>) -> Vec<PositionSummary> {
    let told = committed.iter().filter_map(|(key, position)| told_position(key, *position));
    told.map(|(part, position)| PositionSummary { part, position }).collect()
}

impl PipelineHandle {
    pub(crate) fn detail(&self, now: Timestamp, paused: &PausedAt) -> PipelineDetail {
        let status = self.status();
        let rows_per_second = self.history.rate(status.rows_out, now);
        let paused_at = paused.get(&self.source).or_else(|| paused.get(&self.table)).copied();
        self.metrics.look(|metrics| PipelineDetail {
            rows_per_second,
            lag_records: metrics.lag.records,
            lag_bytes: metrics.lag.bytes,
            behind_seconds: self.behind(metrics, now),
            table_version: metrics.table_version,
            positions: positions(&metrics.positions.0),
            paused_at,
            shares_stream: self.shares_stream,
            copy: None,
            status,
        })
    }

    /// The stream of a database says where it stands once a minute when nothing comes: until then nothing came.
    fn behind(&self, metrics: &Metrics, now: Timestamp) -> Option<f64> {
        let at = metrics.caught_up_at?;
        let stands = self.shares_stream && metrics.caught_up && self.control.phase() == Phase::Running;
        Some(if stands { 0.0 } else { now.since(at).as_secs_f64() })
    }

    /// Keeps what is counted now for the last hour's picture.
    pub(crate) fn sample(&self, now: Timestamp) {
        let sample = self.metrics.look(|metrics| Sample {
            at: now,
            rows_out: metrics.rows_out,
            lag: metrics.lag,
            behind_seconds: self.behind(metrics, now),
        });
        self.history.keep(sample);
    }
}

impl UpHandle {
    fn of_source<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a PipelineHandle> {
        self.handles().iter().filter(move |handle| handle.source == name)
    }

    /// Every source of the project and how it is doing.
    pub async fn sources(&self) -> Result<Vec<SourceSummary>, Failure> {
        let instance = self.instance();
        if self.is_at_rest() {
            return instance.sources_at_rest().await;
        }
        let paused = instance.paused_at()?;
        instance.project().sources.iter().map(|entry| self.summary(entry, &paused)).collect()
    }

    fn summary(&self, entry: &SourceEntry, paused: &PausedAt) -> Result<SourceSummary, Failure> {
        let name = entry.config.name();
        let pipelines = self.of_source(name).map(|handle| self.pipeline(handle, paused));
        let mut pipelines = pipelines.collect::<Result<Vec<_>, Failure>>()?;
        if matches!(entry.config, SourceConfig::Push(_) | SourceConfig::Generator(_)) {
            pipelines.iter_mut().for_each(|pipeline| self.look_into_topic(pipeline));
        }
        let generator = self.generators().into_iter().find(|generator| generator.source == name);
        Ok(SourceSummary { generator, ..summary(entry, pipelines, paused, true) })
    }

    fn pipeline(&self, handle: &PipelineHandle, paused: &PausedAt) -> Result<PipelineDetail, Failure> {
        let detail = handle.detail(self.instance().now(), paused);
        let captured = parse_table_name(&handle.table).filter(|_| handle.shares_stream);
        let Some(table) = captured else { return Ok(detail) };
        let (positions, progress) =
            handle.metrics.look(|metrics| (metrics.positions.0.clone(), metrics.copying.clone()));
        let copy = self.instance().table_copy(&table, &positions, progress.as_ref())?;
        Ok(PipelineDetail { copy, ..detail })
    }

    /// A pipeline that is paused does not look at its topic, which goes on filling.
    fn look_into_topic(&self, pipeline: &mut PipelineDetail) {
        let instance = self.instance();
        if pipeline.paused_at.is_none() || instance.kafka_log.is_some() {
            return;
        }
        let topic = match pipeline.status.table.split_once('.') {
            Some((source, _)) if instance.is_push(source) => source,
            Some((_, topic)) => topic,
            None => return,
        };
        if let Ok(Some((records, bytes))) = instance.waiting_in(topic) {
            pipeline.lag_records = Some(records);
            pipeline.lag_bytes = Some(bytes);
            pipeline.status.lag = records;
        }
    }

    async fn source_summary(&self, name: &str) -> Result<SourceSummary, Failure> {
        let entry = self.instance().source_entry(name)?;
        if !self.is_at_rest() {
            return self.summary(entry, &self.instance().paused_at()?);
        }
        let found = self.instance().sources_at_rest().await?.into_iter().find(|source| source.name == name);
        found.ok_or_else(|| Failure::internal("a source that is known is not there"))
    }

    /// One source with everything but what has to be read from the lake.
    pub async fn source(&self, name: &str) -> Result<SourceDetail, Failure> {
        let entry = self.instance().source_entry(name)?;
        let summary = self.source_summary(name).await?;
        let mut errors: Vec<PastFailure> = self.of_source(name).flat_map(past_failures).collect();
        errors.sort_by_key(|error| std::cmp::Reverse(error.at));
        // Tables of one stream fail together: each failure is told once.
        errors.dedup_by(|one, other| one.at == other.at && one.failure == other.failure);
        errors.truncate(ERRORS);
        Ok(SourceDetail {
            history: picture(&self.of_source(name).collect::<Vec<_>>()),
            facts: self.facts(entry, &summary),
            errors,
            configuration: configuration::shown(self.instance().project(), &entry.path),
            path: entry.path.display().to_string(),
            summary,
        })
    }

    /// Holds a source, or one of its tables, back: what was read is committed, then nothing more is read, over restarts too.
    pub async fn pause(&self, source: &str, table: Option<&str>) -> Result<SourceSummary, Failure> {
        self.instance().pause_source(source, table)?;
        self.follow_pauses()?;
        self.source_summary(source).await
    }

    /// Lets it go on where its tables are.
    pub async fn resume(&self, source: &str, table: Option<&str>) -> Result<SourceSummary, Failure> {
        self.instance().resume_source(source, table)?;
        self.follow_pauses()?;
        self.source_summary(source).await
    }

    /// Runs what has failed or ended once more, and begins anew what runs, each from the positions of its tables.
    pub async fn run_again(&self, source: &str, table: Option<&str>) -> Result<SourceSummary, Failure> {
        let instance = self.instance();
        let entry = instance.source_entry(source)?;
        if self.is_at_rest() {
            return Err(Failure::user("this process runs no sources").with_hint("`headwater up` does."));
        }
        let wanted = match table {
            Some(table) => Some(instance.pausable(source, Some(table))?),
            None => None,
        };
        let paused = instance.paused_names()?;
        let chosen: Vec<_> = self
            .of_source(source)
            .filter(|handle| wanted.as_ref().is_none_or(|wanted| handle.table == *wanted))
            .collect();
        if !chosen.is_empty() && chosen.iter().all(|handle| handle.is_in(&paused)) {
            return Err(Failure::new(Kind::Conflict, format!("`{}` is paused", wanted.as_deref().unwrap_or(source)))
                .with_hint(format!("Let it go on: `headwater ingest resume {source}`.")));
        }
        let mut told: Vec<&PipelineHandle> = Vec::new();
        for handle in chosen {
            // Tables of one stream have one unit, which is to be told once.
            if !(handle.shares_stream && told.iter().any(|other| other.shares_stream)) {
                handle.control.run_again();
                told.push(handle);
            }
        }
        self.summary(entry, &instance.paused_at()?)
    }

    /// Has a captured table copied again beside its stream: see [`Instance::resnapshot`]. The process that follows the source
    /// looks for such requests about once a second.
    pub async fn recopy(&self, source: &str, table: &str) -> Result<SourceSummary, Failure> {
        self.instance().resnapshot(source, table).await?;
        self.source_summary(source).await
    }
}

/// Failures told of one source.
const ERRORS: usize = 20;

fn past_failures(handle: &PipelineHandle) -> Vec<PastFailure> {
    handle.metrics.look(|metrics| {
        let told = metrics.errors.iter().map(|error| PastFailure {
            at: error.at,
            table: handle.table.clone(),
            failure: error.failure.clone(),
        });
        told.collect()
    })
}
