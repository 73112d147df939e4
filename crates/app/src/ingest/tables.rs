//! Pipelines of sources whose rows come typed, one for each table.

use std::sync::Arc;

use headwater_connectors::postgres::{
    IncrementalSource, Mode as Follow, PostgresConfig, SnapshotSource, TableSource, Target, cursor_key, snapshot_key,
};
use headwater_ingest::pipeline::Pipeline;
use headwater_ingest::source::Source;
use headwater_lake::TableName;
use headwater_project::Failure;

use super::lake_sink::LakeSink;
use super::pipelines::{Mode, Planned, options, planned};
use crate::instance::Instance;
use crate::source_file::PostgresSourceConfig;

/// One pipeline for each table that is copied or polled.
pub(super) fn postgres(
    instance: &Instance,
    config: &PostgresSourceConfig,
    mode: Mode,
) -> Result<Vec<Planned>, Failure> {
    let project = instance.project();
    let target = Target::new(project.postgres_connection(&config.from.connection)?, &project.root);
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
