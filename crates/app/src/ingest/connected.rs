//! Pipelines of the sources that are connected to something: databases, web services, and those who send.

use std::sync::Arc;

use headwater_connectors::http::{HttpSource, http_key};
use headwater_connectors::postgres::{
    CaptureSource, IncrementalSource, Mode as Follow, PostgresConfig, SnapshotSource, TableSource, Target, cursor_key,
    progress_keys, snapshot_key, table_keys,
};
use headwater_ingest::capture::{CapturePipeline, CaptureTable};
use headwater_ingest::pipeline::{MetricsHandle, Pipeline};
use headwater_ingest::position::Positions;
use headwater_ingest::sink::{Commit, TableSink};
use headwater_ingest::source::Source;
use headwater_lake::TableName;
use headwater_project::Failure;

use super::lake_sink::LakeSink;
use super::pipelines::{Mode, Planned, Work, handle, options, planned, topic_source};
use crate::instance::Instance;
use crate::source_file::{HttpSourceConfig, PostgresSourceConfig, PushSourceConfig};

/// The pipeline of a web service.
pub(super) fn http(instance: &Instance, config: &HttpSourceConfig, mode: Mode) -> Result<Planned, Failure> {
    let connection = instance.project().http_connection(&config.from.connection)?.clone();
    let table = TableName::new(config.name.clone(), config.table().to_owned());
    let (clock, entropy) = (Arc::clone(&instance.clock), Arc::clone(&instance.entropy));
    let source = HttpSource::new(&config.name, connection, config.from.clone(), Arc::clone(&clock), entropy);
    let source = if mode == Mode::UntilEnd { source.stop_at_end() } else { source };
    let keys = vec![http_key(&config.name)];
    let sink = LakeSink::new(instance.lake.clone(), table.clone(), &config.name, keys, None);
    let name = format!("{}.{}", config.name, table.table);
    let pipeline = Pipeline::new(&name, Box::new(source), Box::new(sink), clock, options(config.rotate));
    Ok(planned(pipeline, &config.name, &table))
}

/// The pipeline of what others send.
pub(super) fn push(instance: &Instance, config: &PushSourceConfig, mode: Mode) -> Result<Planned, Failure> {
    crate::push::ensure_topic(instance, config)?;
    let table = TableName::new(config.name.clone(), config.table().to_owned());
    let clock = Arc::clone(&instance.clock);
    let (source, keys) = topic_source(instance, &config.name, &config.name, 1, mode)?;
    let sink = LakeSink::new(instance.lake.clone(), table.clone(), &config.name, keys, None);
    let name = format!("{}.{}", config.name, table.table);
    let pipeline = Pipeline::new(&name, source, Box::new(sink), clock, options(config.rotate));
    Ok(planned(pipeline, &config.name, &table))
}

/// One pipeline for each table that is copied or polled.
pub(super) fn postgres(
    instance: &Instance,
    config: &PostgresSourceConfig,
    mode: Mode,
) -> Result<Vec<Planned>, Failure> {
    let project = instance.project();
    let target = Target::new(project.postgres_connection(&config.from.connection)?, &project.root);
    if config.from.mode == Follow::Capture {
        return Ok(vec![capture(instance, config, target, mode)]);
    }
    let mut pipelines = Vec::new();
    for (written, table_config) in config.from.each_table() {
        let table = TableName::new(config.name.clone(), PostgresConfig::lake_name(written, &table_config));
        let of = TableSource {
            source: config.name.clone(),
            table: written.to_owned(),
            config: table_config,
            target: target.clone(),
            clock: Arc::clone(&instance.clock),
            entropy: Arc::clone(&instance.entropy),
        };
        let (source, key) = source(of, &config.from, mode);
        // Each table is a pipeline of its own, fenced by itself.
        let pipeline = format!("{}.{}", config.name, table.table);
        let sink = LakeSink::new(instance.lake.clone(), table.clone(), &pipeline, vec![key], None);
        let clock = Arc::clone(&instance.clock);
        let pipeline = Pipeline::new(&pipeline, source, Box::new(sink), clock, options(config.rotate));
        pipelines.push(planned(pipeline, &config.name, &table));
    }
    Ok(pipelines)
}

/// Name of the table that keeps how far a capture was taken.
pub(super) const PROGRESS_TABLE: &str = "_capture";

/// One pipeline for all tables of a capture: they share one stream.
fn capture(instance: &Instance, config: &PostgresSourceConfig, target: Target, mode: Mode) -> Planned {
    let (mut tables, mut handles) = (Vec::new(), Vec::new());
    let sink = |table: &TableName, keys: Vec<String>| {
        let pipeline = format!("{}.{}", config.name, table.table);
        Box::new(LakeSink::new(instance.lake.clone(), table.clone(), &pipeline, keys, None))
    };
    for (written, table_config) in config.from.each_table() {
        let name = PostgresConfig::lake_name(written, &table_config);
        let current = TableName::new(config.name.clone(), name.clone());
        let log = TableName::new(config.name.clone(), format!("{name}__changes"));
        let keys = table_keys(&config.name, &name).to_vec();
        let metrics = MetricsHandle::default();
        handles.push(handle(&config.name, &current, metrics.clone()));
        tables.push(CaptureTable { current: sink(&current, keys.clone()), log: sink(&log, keys), metrics });
    }
    let (clock, entropy) = (Arc::clone(&instance.clock), Arc::clone(&instance.entropy));
    let rotation = options(config.rotate).rotation;
    let source = CaptureSource::new(&config.name, target, config.from.clone(), rotation, Arc::clone(&clock), entropy);
    let source = if mode == Mode::UntilEnd { source.stop_at_end() } else { source };
    let progress = sink(&TableName::new(config.name.clone(), PROGRESS_TABLE), progress_keys(&config.name));
    let pipeline = CapturePipeline::new(&config.name, Box::new(source), tables, progress, clock);
    Planned { work: Work::Capture(Box::new(pipeline)), handles }
}

/// Forgets how far a capture was taken: its slot is made anew and every table copied again when it runs next.
pub(super) async fn restart(instance: &Instance, config: &PostgresSourceConfig) -> Result<(), Failure> {
    let forget = |table: TableName, keys: Vec<String>, positions: Positions| async move {
        let pipeline = format!("{}.{}", config.name, table.table);
        let mut sink = LakeSink::new(instance.lake.clone(), table, &pipeline, keys, None);
        sink.open().await?;
        match sink.schema() {
            Some(_) => sink.commit(Commit { positions, ..Commit::default() }).await.map(drop),
            None => Ok(()),
        }
    };
    for (written, table_config) in config.from.each_table() {
        let name = PostgresConfig::lake_name(written, &table_config);
        let keys = table_keys(&config.name, &name);
        let mut positions = Positions::default();
        positions.set(keys[1].clone(), 0);
        forget(TableName::new(config.name.clone(), name), keys.to_vec(), positions).await?;
    }
    let keys = progress_keys(&config.name);
    let mut positions = Positions::default();
    keys.iter().for_each(|key| positions.set(key.clone(), 0));
    forget(TableName::new(config.name.clone(), PROGRESS_TABLE), keys, positions).await
}

fn source(of: TableSource, config: &PostgresConfig, mode: Mode) -> (Box<dyn Source>, String) {
    let until_end = mode == Mode::UntilEnd;
    match config.mode {
        Follow::Incremental => {
            let key = cursor_key(&of.source, &of.table);
            let source = IncrementalSource::new(of, config);
            (Box::new(if until_end { source.stop_at_end() } else { source }), key)
        }
        Follow::Snapshot | Follow::Capture => {
            let key = snapshot_key(&of.source, &of.table);
            let source = SnapshotSource::new(of, config);
            (Box::new(if until_end { source.stop_at_end() } else { source }), key)
        }
    }
}
