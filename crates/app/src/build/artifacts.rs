//! What a run leaves in `.headwater/target`: compiled SQL, `manifest.json`, `run_results.json`, in dbt's shapes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_project::{Failure, Timestamp};
use headwater_transform::Node;
use headwater_transform::artifact::DBT_VERSION;
use headwater_transform::artifact::manifest::{Making, manifest};
use headwater_transform::artifact::run_results::{RunMetadata, RunResult, RunResults, RunStatus, SCHEMA, Timing};

use crate::instance::Instance;
use crate::text_time::rfc3339;
use crate::view::{CompiledNode, StepOutcome, StepReport};

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::user(format!("{} could not be written", path.display())).with_detail(error.to_string())
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

/// The SQL of a node under the path of its template.
pub(super) fn write_compiled(instance: &Instance, node: &Node, sql: &str) -> Result<(), Failure> {
    write(&compiled_path(instance, node), sql)
}

pub(crate) fn compiled_path(instance: &Instance, node: &Node) -> PathBuf {
    let folder = instance.target_folder().join("compiled");
    if node.path.extension().is_some_and(|end| end == "sql") {
        folder.join(&node.path)
    } else {
        // Generic tests have no file of their own.
        folder.join(&node.path).join(format!("{}.sql", node.name))
    }
}

/// Writes JSON that people may read.
pub(crate) fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::internal(error.to_string()))?;
    write(path, &text)
}

/// run_results.json of a run. `arguments` are those of its command.
pub(crate) fn write_results(
    instance: &Instance,
    run: i64,
    command: &str,
    arguments: &serde_json::Value,
    steps: &[StepReport],
) -> Result<(), Failure> {
    let mut args = arguments.as_object().cloned().unwrap_or_default();
    args.insert(String::from("which"), command.into());
    let results = RunResults {
        metadata: RunMetadata {
            dbt_schema_version: SCHEMA.to_owned(),
            dbt_version: DBT_VERSION.to_owned(),
            generated_at: rfc3339(instance.now()),
            invocation_id: format!("{}-{run}", instance.boot.0),
            invocation_started_at: rfc3339(instance.started_at),
            env: serde_json::Map::new(),
        },
        results: steps.iter().map(result).collect(),
        elapsed_time: steps.iter().map(|step| step.seconds).sum(),
        args,
    };
    let text = serde_json::to_string_pretty(&results).map_err(|error| Failure::internal(error.to_string()))?;
    write(&instance.target_folder().join("run_results.json"), &text)
}

/// manifest.json, with the SQL of what was compiled; returns the folder it is in.
pub(crate) fn write_manifest(instance: &Instance, compiled: &[CompiledNode]) -> Result<PathBuf, Failure> {
    write_manifest_with(instance, compiled.iter().map(|node| (node.id.as_str(), node.sql.as_str())).collect())
}

/// manifest.json after a run.
pub(super) fn write_manifest_of_run(instance: &Instance, steps: &[StepReport]) -> Result<PathBuf, Failure> {
    let sql = steps.iter().filter_map(|step| step.compiled.as_deref().map(|sql| (step.id.as_str(), sql)));
    write_manifest_with(instance, sql.collect())
}

fn write_manifest_with(instance: &Instance, sql: BTreeMap<&str, &str>) -> Result<PathBuf, Failure> {
    let folder = instance.target_folder();
    let now = instance.now();
    let making = Making {
        generated_at: rfc3339(now),
        created_at: now.as_micros() as f64 / 1e6,
        invocation_id: instance.boot.0.clone(),
        root: instance.project().root.clone(),
    };
    let manifest = manifest(&instance.project().transform, &sql, &making);
    let text = serde_json::to_string(&manifest).map_err(|error| Failure::internal(error.to_string()))?;
    write(&folder.join("manifest.json"), &text)?;
    Ok(folder)
}

/// dbt's word for how a step ended.
pub(super) fn status(step: &StepReport) -> RunStatus {
    match (step.kind.as_str(), step.outcome) {
        ("test" | "unit_test", StepOutcome::Success | StepOutcome::Unchanged) => RunStatus::Pass,
        (_, StepOutcome::Success | StepOutcome::Unchanged) => RunStatus::Success,
        (_, StepOutcome::Warn) => RunStatus::Warn,
        (_, StepOutcome::Fail) => RunStatus::Fail,
        (_, StepOutcome::Error) => RunStatus::Error,
        (_, StepOutcome::Skipped) => RunStatus::Skipped,
    }
}

fn result(step: &StepReport) -> RunResult {
    let status = status(step);
    let timing =
        |name: &str, from, to| Timing { name: name.to_owned(), started_at: rfc3339(from), completed_at: rfc3339(to) };
    let is_compiled = matches!(step.kind.as_str(), "model" | "snapshot" | "test" | "unit_test");
    RunResult {
        unique_id: step.id.clone(),
        status,
        // A step compiles and is carried out in one go.
        timing: match status {
            RunStatus::Skipped => Vec::new(),
            _ => vec![
                timing("compile", step.started_at, step.started_at),
                timing("execute", step.started_at, ended(step)),
            ],
        },
        thread_id: String::from("headwater"),
        execution_time: step.seconds,
        adapter_response: adapter_response(step),
        message: message(step),
        failures: if step.kind.ends_with("test") { step.rows } else { None },
        batch_results: None,
        compiled: is_compiled.then_some(step.compiled.is_some()),
        compiled_code: step.compiled.as_deref().filter(|_| is_compiled).map(str::to_owned),
        relation_name: step.relation.clone(),
    }
}

fn message(step: &StepReport) -> Option<String> {
    let failure = step.failure.as_ref().map(|failure| failure.message.clone());
    failure.or_else(|| match step.outcome {
        StepOutcome::Success if !step.kind.ends_with("test") => Some(String::from("OK")),
        StepOutcome::Unchanged => Some(String::from("unchanged")),
        _ => None,
    })
}

fn adapter_response(step: &StepReport) -> serde_json::Map<String, serde_json::Value> {
    let mut response = serde_json::Map::new();
    if let Some(rows) = step.rows.filter(|_| !step.kind.ends_with("test")) {
        response.insert(String::from("_message"), "OK".into());
        response.insert(String::from("rows_affected"), rows.into());
    }
    response
}

fn ended(step: &StepReport) -> Timestamp {
    step.started_at.saturating_add(Duration::from_secs_f64(step.seconds.max(0.0)))
}
