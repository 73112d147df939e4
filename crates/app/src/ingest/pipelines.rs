//! Building the pipelines of a project's sources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use futures::future::BoxFuture;

use headwater_connectors::files::{FilesSource, Place, Store, TakenFile};
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

use super::control::Control;
use super::history::History;
use super::lake_sink::{LakeRawStore, LakeSink};
use super::{PipelineHandle, connected, kafka};
use crate::generators::{Pin, Settings};
use crate::instance::Instance;
use crate::landing::Landing;
use crate::source_file::{FilesSourceConfig, GeneratorConfig, RotateConfig, SourceConfig};

/// What pipelines are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Taking what there is.
    UntilEnd,
    /// Taking what comes.
    Forever,
    /// Looking at what there is, all of it, whatever was taken.
    Look,
}

impl Mode {
    /// Whether pipelines end when there is nothing more.
    pub(crate) fn ends(self) -> bool {
        matches!(self, Self::UntilEnd | Self::Look)
    }
}

/// Something to run, and the tables it fills as others see them.
pub(crate) struct Planned {
    pub(crate) work: Work,
    pub(crate) handles: Vec<PipelineHandle>,
    pub(crate) control: Control,
}

impl Planned {
    /// Whether it is among what is held back: its source, or its only table.
    pub(crate) fn is_in(&self, paused: &BTreeSet<String>) -> bool {
        self.handles.first().is_some_and(|handle| handle.is_in(paused))
    }
}

/// Large, and kept in one place.
pub(crate) enum Work {
    Table(Box<Pipeline>),
    Capture(Box<CapturePipeline>),
}

/// The pipelines of the named sources; of all when none is named. Boxed: what plans so many kinds of sources is too much of a
/// future for those that wait for it.
pub(crate) fn plan<'a>(
    instance: &'a Instance,
    sources: &'a [String],
    mode: Mode,
) -> BoxFuture<'a, Result<Vec<Planned>, Failure>> {
    Box::pin(plan_each(instance, sources, mode))
}

async fn plan_each(instance: &Instance, sources: &[String], mode: Mode) -> Result<Vec<Planned>, Failure> {
    let mut planned = Vec::new();
    for source in &instance.project().sources {
        if !sources.is_empty() && !sources.iter().any(|name| name == source.config.name()) {
            continue;
        }
        let landing = match source.config.landing() {
            Some((schema, rows)) => Landing::of(instance, schema, rows).await?,
            None => Landing::default(),
        };
        match &source.config {
            SourceConfig::Generator(config) => planned.extend(topics(instance, config, mode)?),
            SourceConfig::Files(config) => planned.push(files(instance, config, landing, mode).await?),
            SourceConfig::Push(config) => planned.push(connected::push(instance, config, landing, mode)?),
            SourceConfig::Http(config) => planned.push(connected::http(instance, config, landing, mode).await?),
            SourceConfig::Kafka(config) => planned.push(kafka::pipeline(instance, config, landing, mode).await?),
            SourceConfig::Postgres(config) => planned.extend(connected::postgres(instance, config, &landing, mode)?),
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

/// A pipeline of one table.
pub(super) fn table_pipeline(
    name: &str,
    source: Box<dyn Source>,
    sink: LakeSink,
    instance: &Instance,
    rotate: RotateConfig,
    landing: Landing,
) -> Pipeline {
    let Landing { drift, declared, transform, masks: _ } = landing;
    let options = PipelineOptions { drift, declared, ..options(rotate) };
    let pipeline = Pipeline::new(name, source, Box::new(sink), Arc::clone(&instance.clock), options);
    match transform {
        Some(transform) => pipeline.with_transform(transform),
        None => pipeline,
    }
}

pub(super) fn planned(pipeline: Pipeline, source: &str, table: &TableName) -> Planned {
    let control = Control::default();
    let handle = handle(source, table, pipeline.metrics(), &control);
    Planned { work: Work::Table(Box::new(pipeline)), handles: vec![handle], control }
}

pub(super) fn handle(source: &str, table: &TableName, metrics: MetricsHandle, control: &Control) -> PipelineHandle {
    PipelineHandle {
        source: source.to_owned(),
        table: table.to_string(),
        metrics,
        control: control.clone(),
        shares_stream: false,
        history: History::default(),
    }
}

/// One pipeline per topic of a generator.
fn topics(instance: &Instance, config: &GeneratorConfig, mode: Mode) -> Result<Vec<Planned>, Failure> {
    let settings = Settings::read(&instance.project().root, config)?;
    let known = instance.log.topics().map_err(|error| error.failure())?;
    let mut pipelines = Vec::new();
    for topic in settings.topics() {
        if !known.iter().any(|exists| exists.name == topic.name) {
            if mode.ends() {
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
    let source = if mode.ends() { source.stop_at_end() } else { source };
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

async fn files(
    instance: &Instance,
    config: &FilesSourceConfig,
    landing: Landing,
    mode: Mode,
) -> Result<Planned, Failure> {
    let table = TableName::new(config.name.clone(), config.table().to_owned());
    let taken = if mode == Mode::Look { Vec::new() } else { taken_files(instance, &table).await? };
    let clock = Arc::clone(&instance.clock);
    let known = instance.lake.load(&table).await.map_err(|error| error.failure())?;
    let mut source = FilesSource::new(&config.name, place(instance, config)?, config.from.clone(), taken, clock)?
        .with_table(known.as_ref().map(|table| table.schema().as_ref()))
        .with_spool(instance.paths.spool());
    if mode.ends() {
        source = source.stop_at_end();
    }
    let keys = vec![files_key(&config.name)];
    let sink = LakeSink::new(instance.lake.clone(), table.clone(), &config.name, keys, None);
    let name = format!("{}.{}", config.name, table.table);
    let pipeline = table_pipeline(&name, Box::new(source), sink, instance, config.rotate, landing);
    Ok(planned(pipeline, &config.name, &table))
}

/// Where the files of a source are.
fn place(instance: &Instance, config: &FilesSourceConfig) -> Result<Place, Failure> {
    let project = instance.project();
    let paths = &config.from.path.0;
    let Some(path) = paths.first().filter(|path| !Store::is_meant(path)) else {
        let connection = config.from.connection.as_deref().map(|name| project.connection(name)).transpose()?;
        return Ok(Place::Store(Store::open(paths, connection, &project.root)?));
    };
    let folder = project.root.join(path);
    let root = folder.canonicalize().map_err(|error| {
        Failure::user(format!("the folder of source `{}` is not there", config.name))
            .with_detail(format!("{}: {error}.", folder.display()))
            .with_hint(if path.contains(['*', '?', '[']) {
                "`from.path` is a folder: which of its files are taken is said by patterns under `from.include`."
            } else {
                "`from.path` is relative to the project folder."
            })
    })?;
    Ok(Place::Folder(root))
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
