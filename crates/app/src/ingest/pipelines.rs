//! Building the pipelines of a project's sources.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Schema, SchemaRef};

use headwater_connectors::files::{FilesSource, TakenFile};
use headwater_ingest::capture::CapturePipeline;
use headwater_ingest::codec::Codec;
use headwater_ingest::log_source::LogSource;
use headwater_ingest::pipeline::{MetricsHandle, Pipeline, PipelineOptions, Rotation};
use headwater_ingest::position::{files_key, log_key};
use headwater_ingest::schema::{SOURCE_FILE_COLUMN, with_provenance};
use headwater_ingest::source::Source;
use headwater_lake::{Owner, PipelineWriter, Progress, StageOptions, TableName};
use headwater_project::{Classify, Failure};
use headwater_sim::Generator;

use super::lake_sink::{LakeRawStore, LakeSink};
use super::{PipelineHandle, connected, kafka};
use crate::generators::{Pin, Settings};
use crate::instance::Instance;
use crate::source_file::{FilesSourceConfig, GeneratorConfig, RotateConfig, SourceConfig};

/// Whether pipelines end when there is nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    UntilEnd,
    Forever,
}

/// Something to run, and the tables it fills as others see them.
pub(crate) struct Planned {
    pub(crate) work: Work,
    pub(crate) handles: Vec<PipelineHandle>,
}

/// Large, and kept in one place.
pub(crate) enum Work {
    Table(Box<Pipeline>),
    Capture(Box<CapturePipeline>),
}

/// The pipelines of the named sources; of all when none is named.
pub(crate) async fn plan(instance: &Instance, sources: &[String], mode: Mode) -> Result<Vec<Planned>, Failure> {
    let mut planned = Vec::new();
    for source in &instance.project().sources {
        if !sources.is_empty() && !sources.iter().any(|name| name == source.config.name()) {
            continue;
        }
        match &source.config {
            SourceConfig::Generator(config) => planned.extend(topics(instance, config, mode)?),
            SourceConfig::Files(config) => planned.push(files(instance, config, mode).await?),
            SourceConfig::Push(config) => planned.push(connected::push(instance, config, mode)?),
            SourceConfig::Http(config) => planned.push(connected::http(instance, config, mode)?),
            SourceConfig::Kafka(config) => planned.push(kafka::pipeline(instance, config, mode)?),
            SourceConfig::Postgres(config) => planned.extend(connected::postgres(instance, config, mode)?),
        }
    }
    Ok(planned)
}

pub(super) fn options(rotate: RotateConfig) -> PipelineOptions {
    PipelineOptions {
        rotation: Rotation { rows: rotate.rows, bytes: rotate.bytes.0, interval: rotate.every.0 },
        ..PipelineOptions::default()
    }
}

pub(super) fn planned(pipeline: Pipeline, source: &str, table: &TableName) -> Planned {
    let handle = handle(source, table, pipeline.metrics());
    Planned { work: Work::Table(Box::new(pipeline)), handles: vec![handle] }
}

pub(super) fn handle(source: &str, table: &TableName, metrics: MetricsHandle) -> PipelineHandle {
    PipelineHandle { source: source.to_owned(), table: table.to_string(), metrics, ended: Arc::new(Mutex::new(None)) }
}

/// One pipeline per topic of a generator.
fn topics(instance: &Instance, config: &GeneratorConfig, mode: Mode) -> Result<Vec<Planned>, Failure> {
    let settings = Settings::read(&instance.project().root, config)?;
    let known = instance.log.topics().map_err(|error| error.failure())?;
    let mut pipelines = Vec::new();
    for topic in settings.topics() {
        if !known.iter().any(|exists| exists.name == topic.name) {
            if mode == Mode::UntilEnd {
                continue;
            }
            let partitions = headwater_ingest::log::TopicConfig {
                partitions: i32::from(config.partitions),
                retention_bytes: config.retention.map(|size| size.0),
                ..Default::default()
            };
            instance.log.create_topic(&topic.name, &partitions).map_err(|error| error.failure())?;
        }
        let table = TableName::new(config.name.clone(), topic.name.clone());
        let (source, keys) = topic_source(instance, &config.name, &topic.name, config.partitions, mode)?;
        let records = read_as_numbers(&topic.schema);
        let declared = with_provenance(&records, source.provenance());
        let sink = LakeSink::new(instance.lake.clone(), table.clone(), &config.name, keys, Some(declared));
        let options = PipelineOptions { declared: Some(records), ..options(config.rotate) };
        let name = format!("{}.{}", config.name, topic.name);
        let mut pipeline = Pipeline::new(&name, source, Box::new(sink), Arc::clone(&instance.clock), options);
        if config.raw_files {
            pipeline = pipeline.with_raw_files(Arc::new(LakeRawStore { lake: instance.lake.clone() }));
        }
        pipelines.push(planned(pipeline, &config.name, &table));
    }
    Ok(pipelines)
}

/// A topic of the project's log as a source, and its position keys.
pub(super) fn topic_source(
    instance: &Instance,
    pipeline: &str,
    topic: &str,
    partitions: u16,
    mode: Mode,
) -> Result<(Box<dyn Source>, Vec<String>), Failure> {
    if let Some(log) = &instance.kafka_log {
        return kafka::topic_source(instance, log, pipeline, topic, mode);
    }
    let (log, consumers) = (Arc::clone(&instance.log), Arc::clone(&instance.consumers));
    let source = LogSource::new(pipeline, topic, Codec::Json, log, consumers, Arc::clone(&instance.clock));
    let source = if mode == Mode::UntilEnd { source.stop_at_end() } else { source };
    let keys = (0..partitions).map(|partition| log_key(pipeline, topic, i32::from(partition))).collect();
    Ok((Box::new(source), keys))
}

/// JSON has one kind of fraction. What a topic declares as decimal is read as a double, which holds the six digits of an
/// amount exactly enough to be cast back, and becomes decimal in the first model.
fn read_as_numbers(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Decimal128(_, _) => field.as_ref().clone().with_data_type(DataType::Float64),
        _ => field.as_ref().clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

async fn files(instance: &Instance, config: &FilesSourceConfig, mode: Mode) -> Result<Planned, Failure> {
    let table = TableName::new(config.name.clone(), config.table().to_owned());
    let taken = taken_files(instance, &table).await?;
    let folder = instance.project().root.join(&config.from.path);
    let root = folder.canonicalize().map_err(|error| {
        Failure::user(format!("the folder of source `{}` is not there", config.name))
            .with_detail(format!("{}: {error}.", folder.display()))
            .with_hint("`from.path` is relative to the project folder.")
    })?;
    let mut source = FilesSource::new(&config.name, root, config.from.clone(), taken, Arc::clone(&instance.clock))?;
    if mode == Mode::UntilEnd {
        source = source.stop_at_end();
    }
    let keys = vec![files_key(&config.name)];
    let sink = LakeSink::new(instance.lake.clone(), table.clone(), &config.name, keys, None);
    let name = format!("{}.{}", config.name, table.table);
    let clock = Arc::clone(&instance.clock);
    let pipeline = Pipeline::new(&name, Box::new(source), Box::new(sink), clock, options(config.rotate));
    Ok(planned(pipeline, &config.name, &table))
}

/// Files earlier commits took: their fingerprints from the commits that are still in the table's log, the paths of all
/// others from the rows themselves.
async fn taken_files(instance: &Instance, table: &TableName) -> Result<Vec<TakenFile>, Failure> {
    let mut taken: BTreeMap<String, TakenFile> = BTreeMap::new();
    if instance.lake.load(table).await.map_err(|error| error.failure())?.is_none() {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT DISTINCT {SOURCE_FILE_COLUMN} FROM \"{}\".\"{}\"", table.schema, table.table);
    for batch in instance.query(&sql, Vec::new()).await?.collect().await? {
        let paths = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8)
            .map_err(|error| Failure::internal(error.to_string()))?;
        for path in paths.as_string::<i32>().iter().flatten() {
            taken.insert(path.to_owned(), TakenFile { path: path.to_owned(), fingerprint: None });
        }
    }
    for info in instance.lake.commit_infos(table).await.map_err(|error| error.failure())? {
        let notes = info.get("source").and_then(serde_json::Value::as_array).into_iter().flatten();
        let files = notes.filter_map(|note| serde_json::from_value::<TakenFile>(note.get("file")?.clone()).ok());
        taken.extend(files.map(|file| (file.path.clone(), file)));
    }
    Ok(taken.into_values().collect())
}

/// Writes the tables that belong to a generator's world, unless they are there.
pub(crate) async fn land_reference_tables(instance: &Instance, config: &GeneratorConfig) -> Result<(), Failure> {
    let settings = Settings::read(&instance.project().root, config)?;
    let mut missing = Vec::new();
    for name in settings.reference_names() {
        let table = TableName::new(config.name.clone(), *name);
        let landed = match instance.lake.load(&table).await.map_err(|error| error.failure())? {
            Some(version) => version.transaction(&key(config, name)).await.map_err(|error| error.failure())?,
            None => None,
        };
        if landed.is_none() {
            missing.push(*name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let pin = Pin::take(
        &instance.paths.generators(),
        &config.name,
        &settings.identity(),
        instance.now(),
        &crate::generators::overrides_of(config),
    )?;
    let generator = settings.begin(&pin)?;
    for table in generator.reference_tables().map_err(|error| error.failure())? {
        if missing.contains(&table.name) {
            land(instance, config, table.name, &table.rows).await.map_err(|error| error.failure())?;
        }
    }
    Ok(())
}

fn key(config: &GeneratorConfig, table: &str) -> String {
    format!("g/{}/{table}", config.name)
}

async fn land(
    instance: &Instance,
    config: &GeneratorConfig,
    name: &str,
    rows: &arrow::record_batch::RecordBatch,
) -> headwater_lake::Result<()> {
    let table = TableName::new(config.name.clone(), name);
    let keys = vec![key(config, name)];
    let mut writer = PipelineWriter::open(
        &instance.lake,
        &table,
        &config.name,
        rows.schema().as_ref(),
        &keys,
        StageOptions::default(),
        &Owner::new(&instance.lake),
    )
    .await?;
    if writer.positions().is_empty() {
        writer.write(rows).await?;
        let positions: Progress = keys.into_iter().map(|key| (key, 1)).collect();
        writer.commit(&positions, &serde_json::json!({ "reference": name })).await?;
    }
    Ok(())
}
