//! The worker's side: limits first, then the query.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use headwater_engine::{Engine, EngineOptions, External, Guard, PublishedRelation, check_untrusted};
use headwater_lake::{Credentials, Lake, Location, Storage};
use headwater_project::{Classify, Failure, Kind};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Request, frame};
use crate::clock::{SystemClock, SystemEntropy};
use crate::instance::parse_table_name;

/// Memory of the process besides what the query may hold: code, threads, Parquet metadata.
const BASE_MEMORY: u64 = 512 << 20;

/// Reads a request from standard input, runs it and writes frames to standard output.
pub fn run_query_worker() -> ExitCode {
    let mut text = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut text);
    let mut output = std::io::stdout().lock();
    let result = read
        .map_err(|error| Failure::internal(error.to_string()))
        .and_then(|_| {
            serde_json::from_slice::<Request>(&text)
                .map_err(|error| Failure::internal("the request does not read").with_detail(error.to_string()))
        })
        .and_then(|request| {
            limit(&request)?;
            run(&request, &mut output)
        });
    let told = match &result {
        Ok(()) => frame::write_done(&mut output),
        Err(failure) => frame::write_failure(&mut output, failure),
    };
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// From here on the kernel ends this process when it takes more than it may.
fn limit(request: &Request) -> Result<(), Failure> {
    let refused = |error: rustix::io::Errno| {
        Failure::internal("a query's process could not limit itself").with_detail(error.to_string())
    };
    let at = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Data, at(request.memory_bytes + BASE_MEMORY)).map_err(refused)?;
    // Two cores can use two seconds of processor a second.
    setrlimit(Resource::Cpu, at(request.seconds * 4 + 1)).map_err(refused)?;
    setrlimit(Resource::Core, at(0)).map_err(refused)?;
    // If memory runs out all the same, this process shall be the one to go. Not possible everywhere, and only a help.
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "1000") {
        tracing::debug!(%error, "this process cannot offer itself to be ended first");
    }
    Ok(())
}

fn run(request: &Request, output: &mut impl Write) -> Result<(), Failure> {
    check_untrusted(&request.sql, Guard::default()).map_err(|error| error.failure())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(64 << 20)
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(error.to_string()))?;
    runtime.block_on(async {
        // On a worker thread, which has the large stack.
        let mut rows = 0;
        let mut bytes = 0;
        let session = session(request)?;
        let sql = request.sql.clone();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { session.query(&sql, &[]).await });
        let joined = tasks.join_next().await.ok_or_else(|| Failure::internal("a query vanished"))?;
        let mut stream =
            joined.map_err(|error| Failure::internal(error.to_string()))?.map_err(|error| error.failure())?;
        let schema = Arc::clone(&stream.schema);
        let broken = |error: arrow::error::ArrowError| Failure::internal(error.to_string());
        let empty = arrow::array::RecordBatch::new_empty(Arc::clone(&schema));
        frame::write_batch(output, &schema, &empty).map_err(broken)?;
        while let Some(batch) = stream.next().await.map_err(|error| error.failure())? {
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            if rows > request.rows || bytes > request.bytes {
                return Err(Failure::new(
                    Kind::Exhausted,
                    format!("the result is larger than {} rows or {} MiB", request.rows, request.bytes >> 20),
                )
                .with_hint("Add a LIMIT, or aggregate."));
            }
            frame::write_batch(output, &schema, &batch).map_err(broken)?;
        }
        Ok(())
    })
}

fn session(request: &Request) -> Result<headwater_engine::Session, Failure> {
    let location = Location::parse(&request.location, &request.base).map_err(|error| error.failure())?;
    let credentials = Credentials {
        endpoint: request.endpoint.clone(),
        region: request.region.clone(),
        access_key_id: request.access_key_id.clone(),
        secret_access_key: request.secret_access_key.clone(),
        allow_http: request.allow_http,
    };
    let storage = Storage::open(&location, &credentials).map_err(|error| error.failure())?;
    let lake = Lake::new(storage, Arc::new(SystemClock::start()), Arc::new(SystemEntropy));
    let options = EngineOptions {
        memory_bytes: usize::try_from(request.memory_bytes / 2).unwrap_or(usize::MAX),
        column_cache_bytes: 0,
        spill_folder: None,
        partitions: 2,
        default_schema: request.default_schema.clone(),
        dialect: None,
    };
    let engine = Engine::new(lake, &options).map_err(|error| error.failure())?;
    let mut published = BTreeMap::new();
    for (name, version) in &request.versions {
        published.extend(parse_table_name(name).map(|name| (name, PublishedRelation::Version(*version))));
    }
    for (name, sql) in &request.views {
        published.extend(parse_table_name(name).map(|name| (name, PublishedRelation::View { sql: sql.clone() })));
    }
    let built: BTreeSet<_> = request.built.iter().filter_map(|name| parse_table_name(name)).collect();
    let named = |(name, files): (&String, &External)| parse_table_name(name).map(|name| (name, files.clone()));
    let externals = request.externals.iter().filter_map(named).collect();
    crate::instance::reach_buckets(&engine, &externals, &credentials)?;
    Ok(engine.session(published, built).with_externals(Arc::new(externals)))
}
