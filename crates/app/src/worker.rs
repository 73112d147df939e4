//! SQL of people we do not trust runs in a process of its own.
//!
//! The same binary, started as `headwater query-worker`, reads one request from its standard input, limits itself, runs the
//! statement and writes frames to its standard output. Whatever the statement does to that process, this one goes on: the
//! kernel ends the worker at its memory or processor limit, and we end it when its time is up or nobody waits any more.
//!
//! Frames: a tag byte, a little-endian u32 length, that many bytes. `B`: a batch as a whole Arrow IPC stream (schema
//! included; the first may hold no rows). `E`: an error as JSON `{message, detail, hint, kind}`. `D`: the end.

mod child;
mod frame;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use headwater_engine::{External, Guard, PublishedRelation, check_untrusted};
use headwater_project::{Classify, Failure, Kind, Position};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdout, Command};

use crate::instance::Instance;
use crate::query::QueryStream;

pub use child::run_query_worker;

/// Bounds of an untrusted query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    pub rows: usize,
    /// Bytes of the result in memory.
    pub bytes: usize,
    pub seconds: u64,
    /// Memory of the worker process.
    pub memory_bytes: u64,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { rows: 1_000_000, bytes: 256 << 20, seconds: 60, memory_bytes: 2 << 30 }
    }
}

/// The program that runs a worker; this one, unless a test says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCommand {
    pub program: std::path::PathBuf,
    pub arguments: Vec<String>,
}

impl WorkerCommand {
    fn this_program() -> Result<Self, Failure> {
        // The very program that runs, also when another version has taken its place on the disk since.
        let program = if cfg!(target_os = "linux") {
            std::path::PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe()
                .map_err(|error| Failure::internal("this program cannot be found").with_detail(error.to_string()))?
        };
        Ok(Self { program, arguments: vec![String::from("query-worker")] })
    }
}

/// What a worker is told.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    sql: String,
    location: String,
    base: std::path::PathBuf,
    endpoint: Option<String>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    allow_http: bool,
    default_schema: String,
    /// `schema.table` to version.
    versions: BTreeMap<String, u64>,
    /// `schema.table` to query.
    views: BTreeMap<String, String>,
    /// `schema.table` to the files it stands for.
    externals: BTreeMap<String, External>,
    built: Vec<String>,
    rows: usize,
    bytes: usize,
    seconds: u64,
    memory_bytes: u64,
}

/// An error as it crosses the process boundary.
#[derive(Debug, Serialize, Deserialize)]
struct WireFailure {
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    kind: String,
    /// Line and column.
    position: Option<(u32, u32)>,
}

impl WireFailure {
    fn from_failure(failure: &Failure) -> Self {
        let kind = match failure.kind {
            Kind::User => "user",
            Kind::Exhausted => "exhausted",
            Kind::External { .. } => "external",
            Kind::Conflict | Kind::Internal => "internal",
        };
        Self {
            message: failure.message.clone(),
            detail: failure.detail.clone(),
            hint: failure.hint.clone(),
            kind: kind.to_owned(),
            position: failure.position.map(|position| (position.line, position.column)),
        }
    }

    fn into_failure(self) -> Failure {
        let kind = match self.kind.as_str() {
            "user" => Kind::User,
            "exhausted" => Kind::Exhausted,
            "external" => Kind::External { retry_after: None },
            _ => Kind::Internal,
        };
        let position = self.position.map(|(line, column)| Position { line, column });
        Failure { kind, message: self.message, detail: self.detail, hint: self.hint, position }
    }
}

/// Batches from a worker. Dropping it ends the worker.
pub(crate) struct WorkerStream {
    child: Child,
    output: ChildStdout,
    first: Option<RecordBatch>,
    deadline: tokio::time::Instant,
    seconds: u64,
    done: bool,
}

impl Instance {
    /// Runs a reading statement of somebody we do not trust, in a process of its own.
    pub async fn query_untrusted(&self, sql: &str, limits: QueryLimits) -> Result<QueryStream, Failure> {
        check_untrusted(sql, Guard::default()).map_err(|error| error.failure())?;
        let request = self.worker_request(sql, limits)?;
        let mut child = start(&WorkerCommand::this_program()?)?;
        let bytes = serde_json::to_vec(&request).map_err(|error| Failure::internal(error.to_string()))?;
        let gone = |error: std::io::Error| {
            Failure::internal("the query's process ended before it began").with_detail(error.to_string())
        };
        if let Some(mut input) = child.stdin.take() {
            input.write_all(&bytes).await.map_err(gone)?;
            input.shutdown().await.map_err(gone)?;
        }
        let output = child.stdout.take().ok_or_else(|| Failure::internal("a worker has no output"))?;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(limits.seconds);
        let mut stream = WorkerStream { child, output, first: None, deadline, seconds: limits.seconds, done: false };
        let first = stream.receive().await?.ok_or_else(|| Failure::internal("a worker sent no result"))?;
        let schema: SchemaRef = first.schema();
        stream.first = (first.num_rows() > 0).then_some(first);
        Ok(QueryStream::from_worker(schema, stream))
    }

    fn worker_request(&self, sql: &str, limits: QueryLimits) -> Result<Request, Failure> {
        let lake = &self.project().config.lake;
        let location = match &lake.location {
            Some(text) => text.clone(),
            None => self.paths.default_lake().display().to_string(),
        };
        if location.starts_with("memory://") {
            return Err(Failure::user("a lake in memory can only be queried by the process that holds it"));
        }
        let credentials = lake.credentials.clone().unwrap_or_default();
        let mut request = Request {
            sql: sql.to_owned(),
            location,
            base: self.project().root.clone(),
            endpoint: credentials.endpoint,
            region: credentials.region,
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key,
            allow_http: credentials.allow_http,
            default_schema: self.project().default_schema.clone(),
            versions: BTreeMap::new(),
            views: BTreeMap::new(),
            externals: self.project().externals.iter().map(|(name, files)| (name.to_string(), files.clone())).collect(),
            built: self.built_names().iter().map(ToString::to_string).collect(),
            rows: limits.rows,
            bytes: limits.bytes,
            seconds: limits.seconds,
            memory_bytes: limits.memory_bytes,
        };
        for (name, relation) in self.published()? {
            match relation {
                PublishedRelation::Version(version) => drop(request.versions.insert(name.to_string(), version)),
                PublishedRelation::View { sql } => drop(request.views.insert(name.to_string(), sql)),
            }
        }
        Ok(request)
    }
}

fn start(command: &WorkerCommand) -> Result<Child, Failure> {
    Command::new(&command.program)
        .args(&command.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::internal("the query's process could not be started").with_detail(error.to_string()))
}

impl WorkerStream {
    /// The next batch with rows; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        self.receive().await
    }

    async fn receive(&mut self) -> Result<Option<RecordBatch>, Failure> {
        if self.done {
            return Ok(None);
        }
        match tokio::time::timeout_at(self.deadline, frame::read(&mut self.output)).await {
            Ok(Ok(frame::Frame::Batch(batch))) => Ok(Some(batch)),
            Ok(Ok(frame::Frame::Done)) => {
                self.done = true;
                Ok(None)
            }
            Ok(Ok(frame::Frame::Failed(failure))) => Err(failure),
            Ok(Err(_)) => Err(self.ended().await),
            Err(_) => {
                self.done = true;
                if let Err(error) = self.child.kill().await {
                    tracing::warn!(%error, "a worker could not be ended");
                }
                Err(Failure::new(Kind::Exhausted, format!("the query took more than {} s and was ended", self.seconds))
                    .with_hint("Make it read less, or ask for more time."))
            }
        }
    }

    /// Why the worker is gone.
    async fn ended(&mut self) -> Failure {
        self.done = true;
        let status = self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        Failure::new(Kind::Exhausted, "the query was ended at its memory or processor limit")
            .with_detail(format!("The query's process ended with {status}."))
            .with_hint("Aggregate or filter earlier, so that the query holds less.")
    }
}
