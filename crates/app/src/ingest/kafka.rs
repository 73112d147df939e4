//! Pipelines of Kafka topics: those a source names, and those of the project's own log.

use std::sync::Arc;

use headwater_connectors::kafka::config::{Envelope, Start};
use headwater_connectors::kafka::{
    AfterCommit, KafkaConfig, KafkaLog, KafkaSource, Options, Target, Unwrapped, position_keys,
};
use headwater_ingest::log::EventLog;
use headwater_ingest::schema::Provenance;
use headwater_ingest::sink::{Commit, TableSink};
use headwater_ingest::source::Source;
use headwater_lake::TableName;
use headwater_project::config::TextList;
use headwater_project::{Classify, Failure};

use super::lake_sink::{LakeRawStore, LakeSink, changes_of};
use super::pipelines::{Mode, Planned, planned, table_pipeline};
use crate::instance::Instance;
use crate::landing::Landing;
use crate::source_file::KafkaSourceConfig;

/// The pipeline of a source of topics.
pub(super) async fn pipeline(
    instance: &Instance,
    config: &KafkaSourceConfig,
    landing: Landing,
    mode: Mode,
) -> Result<Planned, Failure> {
    let table = TableName::new(config.name.clone(), config.table().to_owned());
    let source = source(instance, config, mode)?;
    let source = if mode.ends() { source.stop_at_end() } else { source };
    let (source, log): (Box<dyn Source>, _) = match &config.from.envelope {
        Envelope::None => (Box::new(source), None),
        Envelope::Debezium { key, changes, placeholder } => {
            let known = instance.lake.load(&table).await.map_err(|error| error.failure())?;
            let unwrapped =
                Unwrapped::new(source, &key.0, placeholder).with_columns(known.map(|known| Arc::clone(known.schema())));
            match changes {
                true => (Box::new(unwrapped.logged(&config.name)), Some(changes_of(&table))),
                false => (Box::new(unwrapped), None),
            }
        }
    };
    let name = format!("{}.{}", config.name, table.table);
    let masks = Arc::clone(&landing.masks);
    let table_sink = sink(instance, config, &table);
    let pipeline = table_pipeline(&name, source, table_sink, instance, config.rotate, landing);
    let pipeline = match log {
        Some(log) => pipeline.with_change_log(masks.over(Box::new(sink(instance, config, &log)))),
        None => pipeline,
    };
    let pipeline = match &config.from.raw {
        Some(raw) => {
            let layout = raw.layout().map_err(|wrong| Failure::user(wrong.message))?;
            let store = Arc::new(LakeRawStore { lake: instance.lake.clone() });
            pipeline.with_raw_files(store).with_raw_layout(layout)
        }
        None => pipeline,
    };
    Ok(planned(pipeline, &config.name, &table))
}

fn source(instance: &Instance, config: &KafkaSourceConfig, mode: Mode) -> Result<KafkaSource, Failure> {
    let project = instance.project();
    let mut from = config.from.clone();
    if mode == Mode::Look && from.start == Start::Latest {
        from.start = Start::Earliest;
    }
    let options = Options {
        pipeline: config.name.clone(),
        config: from,
        provenance: config.from.provenance(),
        target: Target::new(project.kafka_connection(&config.from.connection)?, &project.root),
        clock: Arc::clone(&instance.clock),
    };
    KafkaSource::new(options).map_err(|error| error.failure())
}

fn sink(instance: &Instance, config: &KafkaSourceConfig, table: &TableName) -> LakeSink {
    LakeSink::new(instance.lake.clone(), table.clone(), &config.name, position_keys(&config.name), None)
}

/// Lets a source go on whose topics are not what they were: partitions that fit their positions are left alone.
pub(super) async fn restart(instance: &Instance, config: &KafkaSourceConfig) -> Result<(), Failure> {
    let table = TableName::new(config.name.clone(), config.table().to_owned());
    let (mut source, mut sink) = (source(instance, config, Mode::UntilEnd)?, sink(instance, config, &table));
    let committed = sink.open().await?;
    if sink.schema().is_none() {
        return Ok(());
    }
    let looking = tokio::task::spawn_blocking(move || source.restarted(&committed));
    let looked = looking.await.map_err(|error| Failure::internal(error.to_string()))?;
    let positions = looked.map_err(|error| error.failure())?;
    if positions.is_empty() {
        return Ok(());
    }
    let info = vec![serde_json::json!({ "restarted": positions.0 }).to_string()];
    // The log of changes first: it must not take the new records for those it has.
    let mut log = self::sink(instance, config, &changes_of(&table));
    log.open().await?;
    if log.schema().is_some() {
        log.commit(Commit { positions: positions.clone(), info: info.clone(), ..Commit::default() }).await?;
    }
    sink.commit(Commit { positions, info, ..Commit::default() }).await.map(drop)
}

/// A topic of the project's log. The names and columns are those of a local log.
pub(super) fn topic_source(
    instance: &Instance,
    log: &Arc<KafkaLog>,
    pipeline: &str,
    topic: &str,
    mode: Mode,
) -> Result<(Box<dyn Source>, Vec<String>), Failure> {
    let project = instance.project();
    let connection = project.config.log.connection.clone().unwrap_or_default();
    let target = Target::new(project.kafka_connection(&connection)?, &project.root);
    let config = KafkaConfig {
        connection,
        topics: TextList(vec![log.full_name(topic)]),
        group: Some(format!("headwater-{}-{pipeline}", project.name())),
        ..KafkaConfig::default()
    };
    let clock = Arc::clone(&instance.clock);
    let options = Options { pipeline: pipeline.to_owned(), config, provenance: Provenance::Log, target, clock };
    let source = KafkaSource::new(options).map_err(|error| error.failure())?;
    let source = source.after_commit(trimming(instance, log, pipeline, topic));
    let source = if mode.ends() { source.stop_at_end() } else { source };
    Ok((Box::new(source), position_keys(pipeline)))
}

/// Lets records go that every consumer has.
fn trimming(instance: &Instance, log: &Arc<KafkaLog>, pipeline: &str, topic: &str) -> AfterCommit {
    let (log, consumers, clock) = (Arc::clone(log), Arc::clone(&instance.consumers), Arc::clone(&instance.clock));
    let (pipeline, topic) = (pipeline.to_owned(), topic.to_owned());
    Box::new(move |_, partition, next_offset| {
        let free = consumers.advance(&pipeline, &topic, partition, next_offset);
        log.trim(&topic, partition, free, clock.now()).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    /// Run by `tests/kafka/log_conformance.py`, which starts the broker that the variable names.
    #[test]
    fn a_log_on_kafka_does_what_every_log_does() {
        let Ok(brokers) = std::env::var("HEADWATER_TEST_KAFKA") else {
            println!("skipped: HEADWATER_TEST_KAFKA names no broker");
            return;
        };
        let connection = serde_json::from_value(serde_json::json!({ "brokers": brokers })).unwrap();
        let target = Target::new(&connection, std::path::Path::new("."));
        let log = |writer: &str| {
            let clock = Arc::new(SystemClock::start());
            KafkaLog::new(target.clone(), "suite.", None, Some(writer.to_owned()), clock)
        };
        let first = log("suite");
        headwater_ingest::log::conformance::check(&first).unwrap();

        // What an owner had under way is gone when the next begins, and it cannot go on.
        let mut records = headwater_ingest::RecordBuffer::default();
        records.push_payload(0, b"key", b"of the first owner");
        let topic = "conformance-other";
        first.append(topic, 0, &records).unwrap();
        let second = log("suite");
        assert_eq!(second.appended(topic, 0).unwrap(), 0);
        assert_eq!(second.append(topic, 0, &records).unwrap(), 0..1);
        second.sync().unwrap();
        assert!(first.sync().is_err());
        assert!(first.append(topic, 0, &records).is_err());
        assert_eq!(second.appended(topic, 0).unwrap(), 1);
        let offsets = second.append_synced("conformance", 1, &records).unwrap();
        let mut found = headwater_ingest::RecordBuffer::default();
        second.read("conformance", 1, offsets.start, 1 << 10, &mut found).unwrap();
        assert_eq!(found.payload(0), b"of the first owner");
    }
}
