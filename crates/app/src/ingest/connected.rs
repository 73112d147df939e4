//! Pipelines of the sources that are connected to something: databases, web services, and those who send.

use std::sync::Arc;

use headwater_connectors::http::lookup::LookupConfig;
use headwater_connectors::http::{HttpSource, LookupSource, http_key};
use headwater_connectors::postgres::{
    CaptureSource, IncrementalSource, Mode as Follow, PostgresConfig, SnapshotSource, TableKeys, TableSource, Target,
    cursor_key, progress_keys, snapshot_key,
};
use headwater_connectors::push::{PushSource, Resumed};
use headwater_ingest::capture::{CapturePipeline, CaptureTable};
use headwater_ingest::pipeline::MetricsHandle;
use headwater_ingest::position::{Positions, log_key};
use headwater_ingest::sink::{Commit, TableSink};
use headwater_ingest::source::Source;
use headwater_lake::{TableName, TableVersion};
use headwater_project::{Classify, Failure};

use super::PipelineHandle;
use super::control::Control;
use super::copies::TableCopies;
use super::lake_sink::{LakeSink, changes_of};
use super::lookup::LakeKeys;
use super::pipelines::{Mode, Planned, Work, handle, options, planned, table_pipeline, topic_source};
use crate::instance::Instance;
use crate::landing::{Landing, Masks};
use crate::source_file::{HttpSourceConfig, PostgresSourceConfig, PushSourceConfig};

/// The pipeline of a web service.
pub(super) async fn http(
    instance: &Instance,
    config: &HttpSourceConfig,
    landing: Landing,
    mode: Mode,
) -> Result<Planned, Failure> {
    let table = TableName::new(config.name.clone(), config.table().to_owned());
    let source = match &config.from.lookup {
        Some(lookup) => lookups(instance, config, lookup, &table, mode).await?,
        None => web_service(instance, config, mode)?,
    };
    let sink = LakeSink::new(instance.lake.clone(), table.clone(), &config.name, vec![http_key(&config.name)], None);
    let name = format!("{}.{}", config.name, table.table);
    let pipeline = table_pipeline(&name, source, sink, instance, config.rotate, landing);
    Ok(planned(pipeline, &config.name, &table))
}

fn web_service(instance: &Instance, config: &HttpSourceConfig, mode: Mode) -> Result<Box<dyn Source>, Failure> {
    let connection = instance.project().http_connection(&config.from.connection)?.clone();
    let (clock, entropy) = (Arc::clone(&instance.clock), Arc::clone(&instance.entropy));
    let folder = instance.paths.answers(&config.name);
    let source = HttpSource::new(&config.name, connection, config.from.clone(), folder, clock, entropy);
    Ok(Box::new(if mode.ends() { source.stop_at_end() } else { source }))
}

async fn lookups(
    instance: &Instance,
    config: &HttpSourceConfig,
    lookup: &LookupConfig,
    table: &TableName,
    mode: Mode,
) -> Result<Box<dyn Source>, Failure> {
    let connection = instance.project().http_connection(&config.from.connection)?.clone();
    let held = instance.lake.load(table).await.map_err(|error| error.failure())?;
    let source = LookupSource::new(
        &config.name,
        connection,
        (config.from.clone(), lookup.clone()),
        Box::new(LakeKeys::new(instance, table, lookup)),
        held.as_ref().map(TableVersion::schema),
        (Arc::clone(&instance.clock), Arc::clone(&instance.entropy)),
    )
    .map_err(|error| error.failure())?;
    Ok(Box::new(if mode.ends() { source.stop_at_end() } else { source }))
}

/// The pipeline of what others send.
pub(super) fn push(
    instance: &Instance,
    config: &PushSourceConfig,
    landing: Landing,
    mode: Mode,
) -> Result<Planned, Failure> {
    crate::push::ensure_topic(instance, config)?;
    let table = TableName::new(config.name.clone(), config.table().to_owned());
    let (source, keys) = topic_source(instance, &config.name, &config.name, 1, mode)?;
    let source = PushSource::new(source, push_key(instance, &config.name), resumed(instance, &config.name));
    let sink = LakeSink::new(instance.lake.clone(), table.clone(), &config.name, keys, None);
    let name = format!("{}.{}", config.name, table.table);
    let pipeline = table_pipeline(&name, Box::new(source), sink, instance, config.rotate, landing);
    Ok(planned(pipeline, &config.name, &table))
}

/// The position key of a push source's topic.
fn push_key(instance: &Instance, name: &str) -> String {
    let topic = instance.kafka_log.as_ref().map_or_else(|| name.to_owned(), |log| log.full_name(name));
    log_key(name, &topic, 0)
}

/// Says where the lake reads on, before anything new is in it: whoever sends is held back by what it does not have.
fn resumed(instance: &Instance, name: &str) -> Resumed {
    let (consumers, name) = (Arc::clone(&instance.consumers), name.to_owned());
    Box::new(move |next_offset| {
        consumers.advance(&name, &name, 0, next_offset);
    })
}

/// One pipeline for each table that is copied or polled.
pub(super) fn postgres(
    instance: &Instance,
    config: &PostgresSourceConfig,
    landing: &Landing,
    mode: Mode,
) -> Result<Vec<Planned>, Failure> {
    let project = instance.project();
    let target = Target::new(project.postgres_connection(&config.from.connection)?, &project.root);
    if config.from.mode == Follow::Capture && mode != Mode::Look {
        return Ok(vec![capture(instance, config, target, &landing.masks, mode)]);
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
        let pipeline = table_pipeline(&pipeline, source, sink, instance, config.rotate, landing.clone());
        pipelines.push(planned(pipeline, &config.name, &table));
    }
    Ok(pipelines)
}

/// Name of the table that keeps how far a capture was taken.
pub(super) const PROGRESS_TABLE: &str = "_capture";

/// One pipeline for all tables of a capture: they share one stream.
fn capture(
    instance: &Instance,
    config: &PostgresSourceConfig,
    target: Target,
    masks: &Arc<Masks>,
    mode: Mode,
) -> Planned {
    let (mut tables, mut handles, control) = (Vec::new(), Vec::new(), Control::default());
    let sink = |table: &TableName, keys: Vec<String>| {
        let pipeline = format!("{}.{}", config.name, table.table);
        Box::new(LakeSink::new(instance.lake.clone(), table.clone(), &pipeline, keys, None))
    };
    for (written, table_config) in config.from.each_table() {
        let name = PostgresConfig::lake_name(written, &table_config);
        let current = TableName::new(config.name.clone(), name.clone());
        let log = changes_of(&current);
        let keys = TableKeys::new(&config.name, &name).all();
        let metrics = MetricsHandle::default();
        let handle = handle(&config.name, &current, metrics.clone(), &control);
        handles.push(PipelineHandle { shares_stream: true, ..handle });
        let (current, log) = (masks.over(sink(&current, keys.clone())), masks.over(sink(&log, keys)));
        tables.push(CaptureTable::new(current, log, metrics));
    }
    let (clock, entropy) = (Arc::clone(&instance.clock), Arc::clone(&instance.entropy));
    let rotation = options(config.rotate).rotation;
    let source = CaptureSource::new(&config.name, target, config.from.clone(), rotation, Arc::clone(&clock), entropy);
    let source = if mode.ends() { source.stop_at_end() } else { source };
    let progress = sink(&TableName::new(config.name.clone(), PROGRESS_TABLE), progress_keys(&config.name));
    let pipeline = CapturePipeline::new(&config.name, Box::new(source), tables, progress, clock)
        .with_copies(Arc::new(TableCopies::new(instance, config)));
    Planned { work: Work::Capture(Box::new(pipeline)), handles, control }
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
        let keys = TableKeys::new(&config.name, &name);
        let mut positions = Positions::default();
        positions.set(&keys.oid, 0);
        forget(TableName::new(config.name.clone(), name), keys.all(), positions).await?;
    }
    let keys = progress_keys(&config.name);
    let mut positions = Positions::default();
    keys.iter().for_each(|key| positions.set(key.clone(), 0));
    forget(TableName::new(config.name.clone(), PROGRESS_TABLE), keys, positions).await
}

fn source(of: TableSource, config: &PostgresConfig, mode: Mode) -> (Box<dyn Source>, String) {
    let until_end = mode.ends();
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
