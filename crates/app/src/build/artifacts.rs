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
use crate::view::{RunReport, StepOutcome, StepReport};

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
    let folder = instance.paths.target().join("compiled");
    if node.path.extension().is_some_and(|end| end == "sql") {
        folder.join(&node.path)
    } else {
        // Generic tests have no file of their own.
        folder.join(&node.path).join(format!("{}.sql", node.name))
    }
}

pub(super) fn write_run_results(instance: &Instance, report: &RunReport) -> Result<(), Failure> {
    let target = instance.paths.target();
    let invocation_id = format!("{}-{}", instance.boot.0, report.run);
    let generated_at = rfc3339(instance.now());
    let results = RunResults {
        metadata: RunMetadata {
            dbt_schema_version: SCHEMA.to_owned(),
            dbt_version: String::from("1.11.0"),
            generated_at: generated_at.clone(),
            invocation_id: invocation_id.clone(),
        },
        results: report.steps.iter().map(result).collect(),
        elapsed_time: report.seconds,
        args: [(String::from("which"), report.command.as_str().into())].into_iter().collect(),
    };
    let internal = |error: serde_json::Error| Failure::internal(error.to_string());
    write(&target.join("run_results.json"), &serde_json::to_string_pretty(&results).map_err(internal)?)?;
    let manifest = manifest(&instance.project().transform, &BTreeMap::new(), generated_at, invocation_id);
    write(&target.join("manifest.json"), &serde_json::to_string(&manifest).map_err(internal)?)
}

fn result(step: &StepReport) -> RunResult {
    let status = match (step.kind.as_str(), step.outcome) {
        ("test", StepOutcome::Success | StepOutcome::Unchanged) => RunStatus::Pass,
        (_, StepOutcome::Success | StepOutcome::Unchanged) => RunStatus::Success,
        (_, StepOutcome::Warn) => RunStatus::Warn,
        (_, StepOutcome::Fail) => RunStatus::Fail,
        (_, StepOutcome::Error) => RunStatus::Error,
        (_, StepOutcome::Skipped) => RunStatus::Skipped,
    };
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
        failures: if step.kind == "test" { step.rows } else { None },
        compiled: None,
        compiled_code: None,
        relation_name: None,
    }
}

fn ended(step: &StepReport) -> Timestamp {
    step.started_at.saturating_add(Duration::from_secs_f64(step.seconds.max(0.0)))
}
