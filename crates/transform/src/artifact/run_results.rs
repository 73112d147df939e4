//! run_results.json: how a run went. dbt's schema version 6.
//!
//! Layout: `metadata`, `results` (one per node that was run or skipped, in the order they ended), `elapsed_time` in seconds,
//! `args` of the command.

use serde::Serialize;
use serde_json::{Map, Value};

pub const SCHEMA: &str = "https://schemas.getdbt.com/dbt/run-results/v6.json";

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunResults {
    pub metadata: RunMetadata,
    pub results: Vec<RunResult>,
    pub elapsed_time: f64,
    pub args: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunMetadata {
    pub dbt_schema_version: String,
    pub dbt_version: String,
    /// RFC 3339 in UTC.
    pub generated_at: String,
    pub invocation_id: String,
    pub invocation_started_at: String,
    pub env: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunResult {
    pub unique_id: String,
    pub status: RunStatus,
    pub timing: Vec<Timing>,
    pub thread_id: String,
    pub execution_time: f64,
    pub adapter_response: Map<String, Value>,
    pub message: Option<String>,
    /// Rows that failed a test; none for what is not a test.
    pub failures: Option<u64>,
    /// Those of a microbatch model; batches are steps of one commit each here, and not told one by one.
    pub batch_results: Option<Value>,
    pub compiled: Option<bool>,
    pub compiled_code: Option<String>,
    pub relation_name: Option<String>,
}

/// Models and seeds succeed, fail or are skipped; tests pass, warn, fail or break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Success,
    Error,
    Skipped,
    Pass,
    Fail,
    Warn,
}

/// A part of a node's run: `compile` or `execute`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timing {
    pub name: String,
    pub started_at: String,
    pub completed_at: String,
}
