//! Everything in one process: generators, ingestion, scheduled builds, maintenance.
//!
//! Each part is a task this module owns. A stop is passed to all of them and waited for: generators snapshot, pipelines
//! commit what they took, a running build ends, and only then does the process exit.

mod drive;
mod maintenance;
mod scheduler;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_ingest::log::EventLog;
use headwater_project::{Classify, Failure, Kind};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::generators::{self, Driver, DriverStatus, Pin, Settings, Until, parse_speed};
use crate::ingest::control::{self, Control};
use crate::ingest::{self, Mode, PipelineHandle, SAMPLE_EVERY};
use crate::instance::Instance;
use crate::sinks::SinkHandle;
use crate::source_file::{GeneratorConfig, GeneratorKind, SourceConfig};
use crate::view::{GeneratorStatus, Observer, Status};
use drive::Drive;

/// How long the cluster of the log may take to answer when the process begins, and the time between two questions.
const LOG_PATIENCE: Duration = Duration::from_secs(60);
const LOG_RETRY: Duration = Duration::from_secs(1);

/// How the process runs.
#[derive(Clone, Debug, Default)]
pub struct UpOptions {
    /// Builds everything this often, besides the project's schedules.
    pub build_every: Option<Duration>,
    /// How fast time passes for generators, instead of what the sources say.
    pub speed: Option<f64>,
}

/// What a generator is asked to make by itself.
#[derive(Clone, Debug, Default)]
pub struct GenerateRequest {
    /// All when empty.
    pub sources: Vec<String>,
    pub users: Option<u64>,
    pub seed: Option<u64>,
    pub start: Option<String>,
    pub end: Option<String>,
    /// Stop after about so many records.
    pub max_events: Option<u64>,
    /// Make the records and throw them away.
    pub null_sink: bool,
}

struct GeneratorHandle {
    source: String,
    topics: Vec<String>,
    status: Arc<Mutex<DriverStatus>>,
    control: Control,
}

impl GeneratorHandle {
    fn status(&self) -> GeneratorStatus {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let total = |pick: fn(&headwater_sim::TopicCounts) -> u64| status.counts.topics.iter().map(pick).sum();
        GeneratorStatus {
            source: self.source.clone(),
            state: status.state.to_owned(),
            delivered: total(|counts| counts.delivered),
            late: total(|counts| counts.late),
            duplicates: total(|counts| counts.duplicates),
            malformed: total(|counts| counts.malformed),
            reached: status.reached,
            by_topic: self
                .topics
                .iter()
                .zip(&status.counts.topics)
                .map(|(topic, counts)| (topic.clone(), counts.delivered))
                .collect(),
        }
    }
}

struct Shared {
    instance: Instance,
    generators: Vec<GeneratorHandle>,
    pipelines: Vec<PipelineHandle>,
    sinks: Vec<SinkHandle>,
    schedules: scheduler::Schedules,
    /// Nothing goes on here.
    at_rest: bool,
    failure: Mutex<Option<Failure>>,
    failed: Notify,
}

/// A running process. Dropping it stops everything without waiting; [`Up::shutdown`] waits.
pub struct Up {
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// Looks at a running process. Cheap to clone.
#[derive(Clone)]
pub struct UpHandle(Arc<Shared>);

impl Instance {
    /// Starts everything the project names.
    pub async fn up(&self, options: UpOptions) -> Result<Up, Failure> {
        self.require_writer()?;
        self.project().require_sound()?;
        self.reach_log().await?;
        self.land_reference_tables(&[]).await?;
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let mut generators = Vec::new();
        let mut drivers = Vec::new();
        for config in generators::configs(self.project()) {
            let speed = options.speed.or_else(|| parse_speed(config.speed.as_deref()?)).unwrap_or(1.0);
            let until = Until::Live { speed };
            let (driver, handle) = self.driver(config, &GenerateRequest::default(), until, Arc::default())?;
            drivers.push(Drive::new(config, until, driver, &handle));
            generators.push(handle);
        }
        let planned = ingest::plan(self, &[], Mode::Forever).await?;
        self.note_paused_pushes().await?;
        let shared = Arc::new(Shared {
            instance: self.clone(),
            generators,
            pipelines: planned.iter().flat_map(|planned| planned.handles.clone()).collect(),
            sinks: self.project().sinks.iter().map(SinkHandle::new).collect(),
            schedules: scheduler::Schedules::new(self, options.build_every)?,
            at_rest: false,
            failure: Mutex::new(None),
            failed: Notify::new(),
        });
        UpHandle(Arc::clone(&shared)).follow_pauses()?;
        for drive in drivers {
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            tasks.spawn(async move { shared.note(drive.run(&shared.instance, stop).await) });
        }
        for planned in planned {
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            tasks.spawn(async move { shared.note(control::supervise(planned, stop).await) });
        }
        let (sampling, token) = (Arc::clone(&shared), stop.clone());
        tasks.spawn(async move { sampling.sample(token).await });
        for SinkHandle { config, progress } in shared.sinks.clone() {
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            tasks.spawn(async move {
                let sending = crate::export::forever(shared.instance.clone(), config, progress, stop);
                shared.note(sending.await);
            });
        }
        let (scheduling, token) = (Arc::clone(&shared), stop.clone());
        tasks.spawn(async move { scheduling.note(scheduler::run(&scheduling, token).await) });
        let (looking_after, token) = (Arc::clone(&shared), stop.clone());
        tasks.spawn(async move { maintenance::run(&looking_after.instance, token).await });
        Ok(Up { shared, stop, tasks })
    }

    /// Waits for the cluster that the log is on: one that is started beside this process may come a little later.
    async fn reach_log(&self) -> Result<(), Failure> {
        let Some(log) = &self.kafka_log else { return Ok(()) };
        let until = self.clock.monotonic() + LOG_PATIENCE;
        loop {
            let log = Arc::clone(log);
            let asked = tokio::task::spawn_blocking(move || log.topics()).await;
            let failure = match asked.map_err(|error| Failure::internal(error.to_string()))? {
                Ok(_) => return Ok(()),
                Err(error) => error.failure(),
            };
            if !matches!(failure.kind, Kind::External { .. }) || self.clock.monotonic() >= until {
                return Err(failure);
            }
            tracing::warn!(detail = failure.detail.as_deref(), "waiting for the log: {failure}");
            tokio::time::sleep(LOG_RETRY).await;
        }
    }

    /// A process in which nothing goes on, for looking at what is there.
    pub fn at_rest(&self) -> Up {
        let shared = Arc::new(Shared {
            instance: self.clone(),
            generators: Vec::new(),
            pipelines: Vec::new(),
            sinks: Vec::new(),
            schedules: scheduler::Schedules::default(),
            at_rest: true,
            failure: Mutex::new(None),
            failed: Notify::new(),
        });
        Up { shared, stop: CancellationToken::new(), tasks: JoinSet::new() }
    }

    /// Says how far sources were taken that begin paused and that others send to.
    async fn note_paused_pushes(&self) -> Result<(), Failure> {
        let paused = self.paused_names()?;
        for source in &self.project().sources {
            let SourceConfig::Push(config) = &source.config else { continue };
            let table = format!("{}.{}", config.name, config.table());
            if paused.contains(&config.name) || paused.contains(&table) {
                self.note_taken_pushes(config).await?;
            }
        }
        Ok(())
    }

    /// A generator ready to run, and how to look at it.
    fn driver(
        &self,
        config: &GeneratorConfig,
        request: &GenerateRequest,
        until: Until,
        status: Arc<Mutex<DriverStatus>>,
    ) -> Result<(Driver, GeneratorHandle), Failure> {
        let GeneratorKind::Sessions = config.generator;
        let settings = Settings::read(&self.project().root, config)?;
        let mut overrides = generators::overrides_of(config);
        overrides.seed = request.seed.or(overrides.seed);
        overrides.start = request.start.clone().or(overrides.start);
        overrides.end = request.end.clone().or(overrides.end);
        overrides.n_users = request.users.and_then(|users| u32::try_from(users).ok()).or(overrides.n_users);
        let folder = self.paths.generators();
        let pin = Pin::take(&folder, &config.name, &settings.identity(), self.now(), &overrides)?;
        let driver = Driver {
            source: config.name.clone(),
            config: settings.config(&pin)?,
            generator: settings.begin(&pin)?,
            log: Arc::clone(&self.log),
            clock: Arc::clone(&self.clock),
            partitions: usize::from(config.partitions),
            retention_bytes: config.retention.map(|size| size.0),
            snapshot: generators::snapshot_path(&folder, &config.name),
            until,
            max_records: request.max_events,
            status: Arc::clone(&status),
            log_recovers: self.kafka_log.is_some(),
        };
        let topics = settings.topics().into_iter().map(|topic| topic.name).collect();
        Ok((driver, GeneratorHandle { source: config.name.clone(), topics, status, control: Control::default() }))
    }

    /// Makes the past of generators, up to now or to a number of records.
    pub async fn generate(
        &self,
        request: GenerateRequest,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<Vec<GeneratorStatus>, Failure> {
        self.require_writer()?;
        let mut tasks = JoinSet::new();
        let mut handles = Vec::new();
        for config in generators::configs(self.project()) {
            if !request.sources.is_empty() && !request.sources.contains(&config.name) {
                continue;
            }
            observer.started(&config.name, &config.name, "generator");
            let (mut driver, handle) = self.driver(config, &request, Until::BacklogDone, Arc::default())?;
            if request.null_sink {
                driver.log = Arc::new(generators::NullLog::new(usize::from(config.partitions)));
                driver.snapshot = self.paths.spill().join("null.snapshot");
            }
            let cancel = cancel.clone();
            tasks.spawn_blocking(move || driver.run(&cancel));
            handles.push(handle);
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| Failure::internal(error.to_string()))??;
        }
        Ok(handles.iter().map(GeneratorHandle::status).collect())
    }
}

impl Shared {
    /// Counts every pipeline again and again until the stop, for the pictures of the last hour.
    async fn sample(&self, stop: CancellationToken) {
        loop {
            let now = self.instance.now();
            self.pipelines.iter().for_each(|handle| handle.sample(now));
            if tokio::time::timeout(SAMPLE_EVERY, stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    /// Keeps the first failure, for [`Up::failed`].
    fn note(&self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            tracing::error!(detail = failure.detail.as_deref(), "a part of the process failed: {failure}");
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
            self.failed.notify_one();
        }
    }
}

impl Up {
    pub fn handle(&self) -> UpHandle {
        UpHandle(Arc::clone(&self.shared))
    }

    pub fn status(&self) -> Status {
        self.handle().status()
    }

    /// Waits until a part fails for good. The others go on.
    pub async fn failed(&self) -> Failure {
        loop {
            let notified = self.shared.failed.notified();
            if let Some(failure) = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return failure;
            }
            notified.await;
        }
    }

    /// Stops taking work, commits what was taken, and waits for all parts to end.
    pub async fn shutdown(mut self) -> Result<(), Failure> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                self.shared
                    .note(Err(Failure::internal("a part of the process panicked").with_detail(error.to_string())));
            }
        }
        match self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl UpHandle {
    pub(crate) fn instance(&self) -> &Instance {
        &self.0.instance
    }

    pub(crate) fn handles(&self) -> &[PipelineHandle] {
        &self.0.pipelines
    }

    pub(crate) fn sink_handles(&self) -> &[SinkHandle] {
        &self.0.sinks
    }

    pub(crate) fn generators(&self) -> Vec<GeneratorStatus> {
        self.0.generators.iter().map(GeneratorHandle::status).collect()
    }

    /// Whether it only shows what is there.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.0.at_rest
    }

    /// Holds every part to what is paused now.
    pub(crate) fn follow_pauses(&self) -> Result<(), Failure> {
        let paused = self.0.instance.paused_names()?;
        self.0.pipelines.iter().for_each(|handle| handle.control.pause(handle.is_in(&paused)));
        self.0.generators.iter().for_each(|generator| generator.control.pause(paused.contains(&generator.source)));
        Ok(())
    }

    /// How each ingested table is doing: cheap, no store is read.
    pub fn pipelines(&self) -> Vec<crate::view::PipelineStatus> {
        self.0.pipelines.iter().map(PipelineHandle::status).collect()
    }

    pub fn status(&self) -> Status {
        let instance = &self.0.instance;
        let running = instance.state.runs_in(headwater_state::RunStatus::Running).unwrap_or_default();
        let last = instance.state.runs(None, 1).unwrap_or_default();
        Status {
            project: instance.project().name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: instance.started_at,
            now: instance.now(),
            generators: self.generators(),
            pipelines: self.pipelines(),
            running_runs: running.iter().map(|run| run.id.0).collect(),
            last_run: last.first().map(crate::history::run_summary),
            schedules: self.0.schedules.status(instance),
            memory_bytes: resident_bytes(),
        }
    }
}

/// Resident memory of this process, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib << 10)
}
