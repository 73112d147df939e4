//! A project opened: its lake, engine, log and state.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use headwater_connectors::kafka::{KafkaLog, Target};
use headwater_connectors::sink::debezium::SourceTable;
use headwater_engine::{Dialect, Engine, EngineOptions, External, PublishedRelation, Session};
use headwater_ingest::log::{Consumers, EventLog, LocalLog, LocalLogOptions};
use headwater_lake::{Credentials, Lake, Location, Storage, TableName};
use headwater_project::config::Secret;
use headwater_project::{Classify, Clock, Entropy, Failure, Timestamp};
use headwater_state::{BootId, MemoryStore, PublishedAs, RunStatus, SqliteStore, StateStore};

use crate::build::Cancels;
use crate::clock::{SystemClock, SystemEntropy};
use crate::dashboards::{Answers, KnownCell, Moments, PreparedQueries};
use crate::lock::ProjectLock;
use crate::mounts;
use crate::paths::Paths;
use crate::project::Project;

/// What an instance may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads what is there, beside a process that writes.
    ReadOnly,
    /// Takes the project's lock; one process at a time.
    Writer,
}

/// Everything an open instance shares.
#[derive(Debug)]
pub struct Inner {
    pub(crate) project: Project,
    pub(crate) paths: Paths,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) lake: Lake,
    pub(crate) engine: Engine,
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) log: Arc<dyn EventLog>,
    /// The same log, when it is on Kafka.
    pub(crate) kafka_log: Option<Arc<KafkaLog>>,
    pub(crate) consumers: Arc<Consumers>,
    /// Captured tables as their database had them last, by source and name: what is written of them after they are dropped.
    pub(crate) described: Arc<Mutex<BTreeMap<(String, String), SourceTable>>>,
    pub(crate) pushes: crate::push::Pushes,
    pub(crate) boot: BootId,
    pub(crate) local_token: Secret,
    pub(crate) access: Access,
    pub(crate) threads: usize,
    pub(crate) started_at: Timestamp,
    pub(crate) building: tokio::sync::Mutex<()>,
    pub(crate) cancels: Cancels,
    /// Versions of the sources that the run under way reads; clean-up spares their files.
    pub(crate) pinned: Mutex<BTreeMap<TableName, u64>>,
    /// Answers of dashboards, shared by all who look.
    pub(crate) answers: Answers,
    pub(crate) prepared: PreparedQueries,
    pub(crate) moments: Moments,
    built: OnceLock<BTreeSet<TableName>>,
    pub(crate) known: KnownCell,
    _lock: Option<ProjectLock>,
}

/// A project opened. Cheap to clone; the clones are one instance.
#[derive(Clone, Debug)]
pub struct Instance(Arc<Inner>);

impl Deref for Instance {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Instance {
    /// Opens what the project names. With [`Access::Writer`] an interrupted earlier life is tidied up first.
    pub async fn open(project: Project, access: Access) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        Self::open_with(project, access, clock, entropy).await
    }

    /// As [`Instance::open`], with another clock and source of randomness.
    pub async fn open_with(
        project: Project,
        access: Access,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Failure> {
        let paths = Paths::new(&project.root);
        let boot = BootId(format!("{:016x}", entropy.next_u64()));
        let now = clock.now();
        let lock = match access {
            Access::Writer => {
                mounts::require_local(&paths.data)?;
                Some(ProjectLock::take(&paths.lock(), &boot.0)?)
            }
            Access::ReadOnly => None,
        };
        let lake = open_lake(&project, &paths, Arc::clone(&clock), Arc::clone(&entropy)).await?;
        let threads = threads(&project);
        let engine = open_engine(&project, &paths, lake.clone(), threads, access)?;
        let state = open_state(&paths, access, &boot, now)?;
        let kafka_log = open_kafka_log(&project, access, Arc::clone(&clock))?;
        let log: Arc<dyn EventLog> = match &kafka_log {
            Some(log) => Arc::clone(log) as Arc<dyn EventLog>,
            None => Arc::new(open_log(&paths, access)?),
        };
        let local_token = Secret::new(crate::running::new_token(&*entropy));
        Ok(Self(Arc::new(Inner {
            project,
            paths,
            clock,
            entropy,
            lake,
            engine,
            state,
            log,
            kafka_log,
            consumers: Arc::new(Consumers::default()),
            described: Arc::default(),
            pushes: crate::push::Pushes::default(),
            boot,
            local_token,
            access,
            threads,
            started_at: now,
            building: tokio::sync::Mutex::new(()),
            cancels: Cancels::default(),
            pinned: Mutex::default(),
            answers: Answers::new(threads),
            prepared: PreparedQueries::default(),
            moments: Moments::default(),
            built: OnceLock::new(),
            known: KnownCell::default(),
            _lock: lock,
        })))
    }

    pub fn project(&self) -> &Project {
        &self.0.project
    }

    /// Names this life of the process.
    pub fn boot_name(&self) -> &str {
        &self.boot.0
    }

    /// Where the instance keeps what is its own.
    pub fn data_folder(&self) -> std::path::PathBuf {
        self.paths.data.clone()
    }

    /// Where artifacts go.
    pub fn target_folder(&self) -> std::path::PathBuf {
        self.project().target_folder()
    }

    /// Functions a statement may call.
    pub fn function_names(&self) -> Vec<String> {
        self.engine.function_names()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn require_writer(&self) -> Result<(), Failure> {
        match self.access {
            Access::Writer => Ok(()),
            Access::ReadOnly => Err(Failure::internal("a project opened for reading was asked to write")),
        }
    }

    /// A session that sees what is published, and sources at their newest version.
    pub(crate) fn session(&self) -> Result<Session, Failure> {
        let session = self.engine.session(self.published()?, self.built_names());
        Ok(session.with_externals(Arc::clone(&self.project().externals)))
    }

    pub(crate) fn published(&self) -> Result<BTreeMap<TableName, PublishedRelation>, Failure> {
        let published = self.state.published().map_err(|error| error.failure())?;
        let mut relations = BTreeMap::new();
        for entry in published {
            let relation = match entry.relation {
                PublishedAs::Table { version } => {
                    PublishedRelation::Version(u64::try_from(version).unwrap_or_default())
                }
                PublishedAs::View { sql } => PublishedRelation::View { sql },
            };
            if let Some(name) = parse_table_name(&entry.name) {
                relations.insert(name, relation);
            }
        }
        Ok(relations)
    }

    pub(crate) fn pinned(&self) -> std::sync::MutexGuard<'_, BTreeMap<TableName, u64>> {
        self.0.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names that only a build makes: without a publication they do not exist, whatever an unfinished build left behind.
    pub(crate) fn built_names(&self) -> BTreeSet<TableName> {
        let find = || {
            let nodes = self.project().transform.ordered();
            let built = nodes.filter(|node| node.resource_type.is_referable());
            built.map(|node| TableName::new(node.relation.schema.clone(), node.relation.identifier.clone())).collect()
        };
        self.built.get_or_init(find).clone()
    }
}

/// `schema.table` as a name.
pub(crate) fn parse_table_name(text: &str) -> Option<TableName> {
    let (schema, table) = text.split_once('.')?;
    Some(TableName::new(schema, table))
}

async fn open_lake(
    project: &Project,
    paths: &Paths,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Lake, Failure> {
    let config = &project.config.lake;
    let location = match &config.location {
        Some(text) => Location::parse(text, &project.root).map_err(|error| error.failure())?,
        None => Location::Folder(paths.default_lake()),
    };
    let storage = Storage::open(&location, &credentials(project)).map_err(|error| error.failure())?;
    if matches!(location, Location::S3 { .. }) {
        storage.probe_conditional_put().await.map_err(|error| error.failure())?;
    }
    Ok(Lake::new(storage, clock, entropy))
}

fn credentials(project: &Project) -> Credentials {
    let given = project.config.lake.credentials.clone().unwrap_or_default();
    Credentials {
        endpoint: given.endpoint,
        region: given.region,
        access_key_id: given.access_key_id,
        secret_access_key: given.secret_access_key,
        allow_http: given.allow_http,
    }
}

/// Buckets that sources in files lie in.
pub(crate) fn reach_buckets(
    engine: &Engine,
    externals: &BTreeMap<TableName, External>,
    credentials: &Credentials,
) -> Result<(), Failure> {
    let buckets: BTreeSet<&str> = externals.values().filter_map(External::bucket).collect();
    buckets.into_iter().try_for_each(|bucket| engine.reach(bucket, credentials).map_err(|error| error.failure()))
}

fn threads(project: &Project) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    project.options.threads.or(project.config.build.threads.map(usize::from)).unwrap_or(cores).max(1)
}

/// Decoded columns kept for dashboards, on machines that have the memory.
const COLUMN_CACHE_BYTES: usize = 128 << 20;

fn open_engine(
    project: &Project,
    paths: &Paths,
    lake: Lake,
    threads: usize,
    access: Access,
) -> Result<Engine, Failure> {
    let memory = project.options.memory_bytes.or(project.config.memory.map(|size| size.0));
    let memory = memory.unwrap_or_else(|| machine_memory() / 2);
    // Half of the budget belongs to queries; staging, ingestion and the log share the rest.
    let query_bytes = usize::try_from(memory / 2).unwrap_or(usize::MAX);
    let column_cache_bytes = (query_bytes / 8).min(COLUMN_CACHE_BYTES);
    let spill = paths.spill();
    if access == Access::Writer {
        clear(&spill)?;
    }
    let options = EngineOptions {
        memory_bytes: query_bytes - column_cache_bytes,
        column_cache_bytes,
        spill_folder: (access == Access::Writer).then_some(spill),
        partitions: threads,
        default_schema: project.default_schema.clone(),
        dialect: Dialect::of_adapter(&project.transform.target().adapter),
    };
    let engine = Engine::new(lake, &options).map_err(|error| error.failure())?;
    reach_buckets(&engine, &project.externals, &credentials(project))?;
    Ok(engine)
}

/// What an earlier life spilled is of no use.
fn clear(folder: &std::path::Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::user(format!("the folder {} cannot be written", folder.display())).with_detail(error.to_string())
    };
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(failed)?;
    }
    std::fs::create_dir_all(folder).map_err(failed)
}

/// Bytes of memory of the machine, or of its control group when that is less.
pub(crate) fn machine_memory() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map_or(4 << 30, |kib| kib << 10);
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    limit.map_or(total, |limit: u64| limit.min(total))
}

fn open_state(paths: &Paths, access: Access, boot: &BootId, now: Timestamp) -> Result<Arc<dyn StateStore>, Failure> {
    let path = paths.state();
    match access {
        Access::Writer => {
            let store = SqliteStore::open(&path, boot, now).map_err(|error| error.failure())?;
            for run in store.take_over(boot, now).map_err(|error| error.failure())? {
                tracing::warn!(run = run.0, "a run of an earlier process never ended and is marked crashed");
            }
            for run in store.runs_in(RunStatus::Queued).map_err(|error| error.failure())? {
                // Runs of jobs are taken up by the schedule; nobody else remembers what this one was to do.
                if run.job.is_none() {
                    store.cancel_queued_run(run.id, now).map_err(|error| error.failure())?;
                }
            }
            Ok(Arc::new(store))
        }
        Access::ReadOnly if path.exists() => {
            Ok(Arc::new(SqliteStore::open_read_only(&path).map_err(|error| error.failure())?))
        }
        Access::ReadOnly => Ok(Arc::new(MemoryStore::default())),
    }
}

/// The log on the cluster that the project names.
fn open_kafka_log(project: &Project, access: Access, clock: Arc<dyn Clock>) -> Result<Option<Arc<KafkaLog>>, Failure> {
    let config = &project.config.log;
    let Some(connection) = &config.connection else { return Ok(None) };
    let target = Target::new(project.kafka_connection(connection)?, &project.root);
    let writer = (access == Access::Writer).then(|| format!("headwater/{}{}", config.prefix, project.name()));
    Ok(Some(Arc::new(KafkaLog::new(target, &config.prefix, config.replication, writer, clock))))
}

fn open_log(paths: &Paths, access: Access) -> Result<LocalLog, Failure> {
    let log = match access {
        Access::Writer => LocalLog::open(paths.log(), LocalLogOptions::default()),
        Access::ReadOnly => LocalLog::open_reader(paths.log()),
    };
    log.map_err(|error| error.failure())
}
