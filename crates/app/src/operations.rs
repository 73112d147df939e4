//! What can be asked of a project besides building it: one macro run by itself, the freshness of sources, artifacts without
//! a run, cleaning up.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use headwater_project::{Classify, Failure, Timestamp};
use headwater_state::{Publication, RunEnd};
use headwater_transform::artifact::{self, DBT_VERSION};
use headwater_transform::{Batch, IndirectSelection, MessageLevel, Node, ResourceType, RunContext, Warehouse};
use serde_json::{Map, Value, json};

use crate::build::{BuildCommand, BuildRequest, SessionWarehouse, Writes, diagnostics_failure, published_as};
use crate::defer::DeferTo;
use crate::instance::Instance;
use crate::project::Selection;
use crate::text_time::rfc3339;
use crate::view::{Observer, SourceFreshness, StepOutcome, StepReport};

impl Instance {
    /// Runs a macro with arguments by name. What its statements change is published when it has succeeded.
    /// What it says with `log(..., info=true)` and `print` goes to `observer` once it has ended.
    pub async fn run_operation(
        &self,
        name: &str,
        arguments: Map<String, Value>,
        observer: &dyn Observer,
    ) -> Result<StepReport, Failure> {
        self.require_writer()?;
        self.project().require_sound()?;
        self.project()
            .transform
            .require_macro(name)
            .map_err(|found| diagnostics_failure(&self.project().files, &[found]))?;
        let _one_at_a_time = self.building.lock().await;
        let request = BuildRequest::default();
        let mut new = self.new_run(&request, None, 1);
        new.command = String::from("run-operation");
        new.selection = name.to_owned();
        let id = self.state.create_run(&new, self.now()).map_err(|error| error.failure())?;
        self.state.start_run(id, &self.boot, self.now()).map_err(|error| error.failure())?;
        let started_at = self.now();
        let started = self.clock.monotonic();
        let outcome = self.call(name, arguments, id.0, observer).await;
        let end = match &outcome {
            Ok(publications) => RunEnd::Succeeded { publications: publications.clone(), fingerprints: Vec::new() },
            Err(failure) => RunEnd::Failed { message: failure.message.clone() },
        };
        self.state.finish_run(id, &self.boot, &end, self.now()).map_err(|error| error.failure())?;
        let operation = format!("macro.{}.{name}", self.project().transform.name);
        let report = StepReport {
            outcome: if outcome.is_ok() { StepOutcome::Success } else { StepOutcome::Error },
            seconds: self.clock.monotonic().saturating_sub(started).as_secs_f64(),
            failure: outcome.err(),
            ..StepReport::blank(&operation, name.to_owned(), String::from("operation"), started_at)
        };
        crate::build::write_results(self, id.0, "run-operation", &Value::Null, std::slice::from_ref(&report))?;
        Ok(report)
    }

    async fn call(
        &self,
        name: &str,
        arguments: Map<String, Value>,
        run: i64,
        observer: &dyn Observer,
    ) -> Result<Vec<Publication>, Failure> {
        let session = self.session()?;
        let writes = Arc::new(Writes::new(json!({ "run": run })));
        let warehouse: Arc<dyn Warehouse> = Arc::new(SessionWarehouse::writing(session.clone(), Arc::clone(&writes)));
        let context = RunContext {
            started_at: self.now(),
            invocation_id: format!("{}-{run}", self.boot.0),
            command: String::from("run-operation"),
            ..RunContext::default()
        };
        let (instance, name) = (self.clone(), name.to_owned());
        let called = tokio::task::spawn_blocking(move || {
            let project = instance.project();
            let called = project.transform.run_operation(&name, &arguments, &warehouse, &context);
            called.map_err(|found| diagnostics_failure(&project.files, &found))
        });
        let (_, messages) = called.await.map_err(|error| Failure::internal(error.to_string()))??;
        for message in messages.iter().filter(|message| message.level != MessageLevel::Debug) {
            observer.message(&message.text);
        }
        session.drop_temporaries().await.map_err(|error| error.failure())?;
        let catalog = session.catalog();
        let changed = writes.changed();
        let relations = changed.into_iter().filter_map(|name| catalog.pinned(&name).map(|relation| (name, relation)));
        let managed = relations.filter(|(name, relation)| {
            catalog.is_managed(name) || matches!(relation, headwater_engine::Relation::View { .. })
        });
        let publication = |(name, relation): (headwater_lake::TableName, _)| Publication {
            name: name.to_string(),
            relation: published_as(&relation),
        };
        Ok(managed.map(publication).collect())
    }

    /// How old the newest rows of sources are, against what their `freshness` allows.
    pub async fn source_freshness(&self, selection: &Selection) -> Result<Vec<SourceFreshness>, Failure> {
        self.project().require_sound()?;
        let selected = self.project().select(selection)?;
        let session = self.session()?;
        let mut found = Vec::new();
        for node in self.project().transform.ordered() {
            if node.resource_type != ResourceType::Source || !selected.contains(&node.id) {
                continue;
            }
            let Some(rule) = rule(node) else { continue };
            let newest = newest(&session, node, &rule).await;
            found.push(judged(node, &rule, newest, self.now()));
        }
        write_sources(self, &found)?;
        self.write_manifest(false).await?;
        Ok(found)
    }

    /// Writes manifest.json, as a build does.
    pub async fn write_manifest(&self, compiled: bool) -> Result<PathBuf, Failure> {
        let compiled = if compiled { self.compile(&Selection::default(), None).await? } else { Vec::new() };
        crate::build::write_manifest(self, &compiled)
    }
}

/// One limit: how many of which unit.
fn limit(rule: &Value, key: &str) -> Option<f64> {
    let after = rule.get(key)?;
    let seconds = match after.get("period")?.as_str()? {
        "minute" => 60.0,
        "hour" => 3_600.0,
        "day" => 86_400.0,
        _ => return None,
    };
    Some(after.get("count")?.as_f64()? * seconds)
}

struct Rule {
    field: String,
    filter: Option<String>,
    warn_after: Option<f64>,
    error_after: Option<f64>,
}

fn rule(node: &Node) -> Option<Rule> {
    let freshness = node.config.get("freshness")?;
    let rule = Rule {
        field: node.config.text("loaded_at_field")?.to_owned(),
        filter: freshness.get("filter").and_then(Value::as_str).map(str::to_owned),
        warn_after: limit(freshness, "warn_after"),
        error_after: limit(freshness, "error_after"),
    };
    (rule.warn_after.is_some() || rule.error_after.is_some()).then_some(rule)
}

async fn newest(session: &headwater_engine::Session, node: &Node, rule: &Rule) -> Result<Option<Timestamp>, Failure> {
    let own = |written: &str| -> Result<String, Failure> {
        let translated = session.translate_expression(written).map_err(|error| error.failure())?;
        Ok(translated.into_owned())
    };
    let condition = match &rule.filter {
        Some(filter) => format!(" where {}", own(filter)?),
        None => String::new(),
    };
    let sql = format!("select cast(max({}) as timestamp) from {}{condition}", own(&rule.field)?, node.relation);
    let stream = session.query(&sql, &[]).await.map_err(|error| error.failure())?;
    for batch in stream.collect().await.map_err(|error| error.failure())? {
        use arrow::array::{Array, AsArray};
        let micros = arrow::compute::cast(batch.column(0), &DataType::Timestamp(TimeUnit::Microsecond, None));
        let micros = micros.map_err(|error| Failure::internal(error.to_string()))?;
        let micros = micros.as_primitive::<TimestampMicrosecondType>();
        if !micros.is_empty() && micros.is_valid(0) {
            return Ok(Some(Timestamp(micros.value(0))));
        }
    }
    Ok(None)
}

fn judged(node: &Node, rule: &Rule, newest: Result<Option<Timestamp>, Failure>, now: Timestamp) -> SourceFreshness {
    let mut freshness = SourceFreshness {
        id: node.id.to_string(),
        name: format!("{}.{}", node.fqn.iter().rev().nth(1).cloned().unwrap_or_default(), node.name),
        status: "error",
        loaded_at: None,
        looked_at: now,
        age_seconds: None,
        criteria: node.config.get("freshness").map(artifact::freshness).unwrap_or_default(),
        failure: None,
    };
    match newest {
        Err(failure) => {
            freshness.status = "runtime error";
            freshness.failure = Some(failure);
        }
        Ok(None) => freshness.age_seconds = Some(now.as_micros() as f64 / 1e6 + NEVER_AGO),
        Ok(Some(at)) => {
            let age = (now.as_micros() - at.as_micros()) as f64 / 1e6;
            let over = |limit: Option<f64>| limit.is_some_and(|limit| age > limit);
            freshness.status = match (over(rule.error_after), over(rule.warn_after)) {
                (true, _) => "error",
                (false, true) => "warn",
                (false, false) => "pass",
            };
            freshness.loaded_at = Some(at);
            freshness.age_seconds = Some(age);
        }
    }
    freshness
}

/// When dbt says an empty source was loaded.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// From then to 1970, in seconds.
const NEVER_AGO: f64 = 62_135_596_800.0;

fn write_sources(instance: &Instance, found: &[SourceFreshness]) -> Result<(), Failure> {
    let timing = |name: &str, at| json!({ "name": name, "started_at": rfc3339(at), "completed_at": rfc3339(at) });
    let result = |source: &SourceFreshness| match &source.failure {
        Some(failure) => {
            json!({ "unique_id": source.id, "status": "runtime error", "error": failure.message })
        }
        None => json!({
            "unique_id": source.id, "status": source.status,
            "max_loaded_at": source.loaded_at.map_or_else(|| NEVER.to_owned(), rfc3339),
            "snapshotted_at": rfc3339(source.looked_at), "max_loaded_at_time_ago_in_s": source.age_seconds,
            "criteria": source.criteria, "adapter_response": {},
            "timing": [timing("compile", source.looked_at), timing("execute", source.looked_at)],
            "thread_id": "headwater", "execution_time": 0.0,
        }),
    };
    let sources = json!({
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/sources/v3.json", "dbt_version": DBT_VERSION,
            "generated_at": rfc3339(instance.now()), "invocation_id": instance.boot.0,
            "invocation_started_at": rfc3339(instance.started_at), "env": {},
        },
        "results": found.iter().map(result).collect::<Vec<_>>(),
        "elapsed_time": 0.0,
    });
    crate::build::write_json(&instance.target_folder().join("sources.json"), &sources)
}

/// A span as run_results.json has it: two moments in microseconds.
fn event_time_span(moments: &[Value]) -> Option<Batch> {
    let [start, end] = moments else { return None };
    Some(Batch { start: Timestamp(start.as_i64()?), end: Timestamp(end.as_i64()?) })
}

/// The build that failed last, to be tried again. Nothing of a run that failed was published, so all of it is.
pub fn retry_request(folder: &Path) -> Result<BuildRequest, Failure> {
    let path = folder.join("run_results.json");
    let none =
        || Failure::user("there is no run to try again").with_detail(format!("{} is not there.", path.display()));
    let results = crate::state_folder::json(&path)?.ok_or_else(none)?;
    let arguments = results.get("args").cloned().unwrap_or_default();
    let list = |key: &str| -> Vec<String> {
        let items = arguments.get(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let text = |key: &str| arguments.get(key).and_then(Value::as_str);
    let command = match text("which") {
        Some("run") => BuildCommand::Run,
        Some("test") => BuildCommand::Test,
        Some("seed") => BuildCommand::Seed,
        Some("snapshot") => BuildCommand::Snapshot,
        Some("clone") => BuildCommand::Clone,
        _ => BuildCommand::Build,
    };
    let selection = Selection {
        select: list("select"),
        exclude: list("exclude"),
        resource_types: list("resource_types"),
        exclude_resource_types: list("exclude_resource_types"),
        selector: text("selector").map(str::to_owned),
        indirect: text("indirect_selection").and_then(IndirectSelection::parse).unwrap_or_default(),
        state: text("state").map(PathBuf::from),
    };
    let flag = |key: &str| arguments.get(key).and_then(Value::as_bool).unwrap_or(false);
    let defer_to = |state: &str| DeferTo { state: PathBuf::from(state), favor_state: flag("favor_state") };
    let sample = arguments.get("sample").and_then(Value::as_array).map(Vec::as_slice);
    Ok(BuildRequest {
        command,
        selection,
        full_refresh: flag("full_refresh"),
        store_failures: flag("store_failures"),
        empty: flag("empty"),
        fail_fast: flag("fail_fast"),
        sample: sample.and_then(event_time_span),
        defer: text("defer_state").map(defer_to),
        trigger: "retry",
        ..BuildRequest::default()
    })
}
