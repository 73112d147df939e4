//! What a run leaves in `.headwater/target`: compiled SQL, `manifest.json`, `run_results.json`, in dbt's shapes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_project::{Failure, Timestamp};
use headwater_transform::Node;
use headwater_transform::artifact::manifest::manifest;
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
            dbt_version: String::from("1.11.0"),
            generated_at: rfc3339(instance.now()),
            invocation_id: format!("{}-{run}", instance.boot.0),
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
    let folder = instance.target_folder();
    let sql: BTreeMap<&str, &str> = compiled.iter().map(|node| (node.id.as_str(), node.sql.as_str())).collect();
    let invocation_id = instance.boot.0.clone();
    let manifest = manifest(&instance.project().transform, &sql, rfc3339(instance.now()), invocation_id);
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
    RunResult {
        unique_id: step.id.clone(),
        status,
        timing: vec![Timing {
            name: String::from("execute"),
            started_at: rfc3339(step.started_at),
            completed_at: rfc3339(ended(step)),
        }],
        thread_id: String::from("headwater"),
        execution_time: step.seconds,
        adapter_response: serde_json::Map::new(),
        message: step.failure.as_ref().map(|failure| failure.message.clone()),
        failures: if step.kind.ends_with("test") { step.rows } else { None },
        compiled: None,
        compiled_code: None,
        relation_name: None,
    }
}

fn ended(step: &StepReport) -> Timestamp {
    step.started_at.saturating_add(Duration::from_secs_f64(step.seconds.max(0.0)))
}
