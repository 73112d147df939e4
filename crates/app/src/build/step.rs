//! One step: compile, then build, load or test.

use std::sync::Arc;

use headwater_engine::{Applied, CsvOptions, OnSchemaChange, Relation, Target, Update, Write};
use headwater_lake::TableName;
use headwater_project::{Classify, Failure, Files};
use headwater_state::{Fingerprint, Publication, StepChange, StepStatus, TestOutcome, TestResult, TestSeverity};
use headwater_transform::{
    Compiled, HookMoment, IncrementalStrategy, MessageLevel, Node, NodeId, Partition, Plan as Materialization,
    ResourceType, SeedPlan, TestPlan, TestSeverity as Severity,
};

use tokio::sync::OwnedSemaphorePermit;

use super::fingerprint::{self, Inputs};
use super::plan::Plan;
use super::{BuildCommand, Run, StepResult, artifacts, published_as};
use crate::instance::Instance;
use crate::place::located;
use crate::view::{StepOutcome, StepReport};

/// What a step came to, before it is timed and recorded.
pub(super) struct Done {
    pub(super) outcome: StepOutcome,
    pub(super) rows: Option<u64>,
    pub(super) failure: Option<Failure>,
    pub(super) relation: Option<Relation>,
    /// The SQL it was made with.
    pub(super) compiled: Option<Arc<str>>,
}

/// A step's place at the processors.
struct Place(Option<OwnedSemaphorePermit>);

impl Place {
    /// For the others: what is left of the step is to wait.
    fn leave(&mut self) {
        self.0 = None;
    }
}

impl Done {
    pub(super) fn new(outcome: StepOutcome) -> Self {
        Self { outcome, rows: None, failure: None, relation: None, compiled: None }
    }

    pub(super) fn failed(outcome: StepOutcome, failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::new(outcome) }
    }
}

impl Run {
    pub(super) fn name_and_kind(&self, step: &str) -> (String, String) {
        self.instance.project().transform.node(&NodeId::new(step)).map_or_else(
            || (step.to_owned(), String::from("node")),
            |node| (node.name.clone(), node.resource_type.as_str().to_owned()),
        )
    }

    /// What is known of a step before it has begun.
    pub(super) fn report_of(&self, step: &str) -> StepReport {
        let (name, kind) = self.name_and_kind(step);
        let node = self.instance.project().transform.node(&NodeId::new(step));
        let kept = node.filter(|node| node.resource_type.is_referable());
        let materialized = match self.request.command {
            BuildCommand::Clone => kept.map(|_| String::from("view")),
            _ => kept.map(|node| node.config.materialized().to_owned()),
        };
        StepReport {
            materialized,
            relation: kept.map(|node| format!("{}.{}", node.relation.schema, node.relation.identifier)),
            ..StepReport::blank(step, name, kind, self.instance.now())
        }
    }

    /// Runs a step to its end; whatever goes wrong is in the result.
    pub(super) async fn step(&self, step: &str) -> StepResult {
        let mut place = Place(Arc::clone(&self.places).acquire_owned().await.ok());
        let planned = self.report_of(step);
        let started = self.instance.clock.monotonic();
        self.observer.started(step, &planned.name, &planned.kind);
        let (done, fingerprint) = match self.instance.project().transform.node(&NodeId::new(step)) {
            Some(node) => self.node(node, &mut place).await,
            None => (Done::failed(StepOutcome::Error, Failure::internal("a step has no node")), None),
        };
        let seconds = self.instance.clock.monotonic().saturating_sub(started).as_secs_f64();
        let publication = done.relation.as_ref().map(|relation| Publication {
            name: self.table_name(step).map_or_else(String::new, |name| name.to_string()),
            relation: published_as(relation),
        });
        let Done { outcome, rows, failure, compiled, .. } = done;
        let report = StepReport { outcome, seconds, rows, failure, compiled, ..planned };
        StepResult { report, publication, fingerprint }
    }

    fn table_name(&self, step: &str) -> Option<TableName> {
        let node = self.instance.project().transform.node(&NodeId::new(step))?;
        Some(TableName::new(node.relation.schema.clone(), node.relation.identifier.clone()))
    }

    async fn node(&self, node: &Node, place: &mut Place) -> (Done, Option<Fingerprint>) {
        if self.request.command == BuildCommand::Clone {
            return self.clone_of(node).await;
        }
        let inputs = match fingerprint::inputs(self, node).await {
            Ok(inputs) => inputs,
            Err(failure) => return (Done::failed(StepOutcome::Error, failure), None),
        };
        let hooked = self.instance.project().transform.has_hooks(&node.id);
        if let Some(rows) = self.unchanged(node, &inputs).await.filter(|_| !hooked) {
            return (Done { rows, ..Done::new(StepOutcome::Unchanged) }, None);
        }
        if let Err(failure) = self.node_hooks(node, HookMoment::Before).await {
            return (Done::failed(StepOutcome::Error, failure), None);
        }
        let compiled = match self.compile(node).await {
            Ok(compiled) => compiled,
            Err(failure) => return (Done::failed(StepOutcome::Error, failure), None),
        };
        if let Err(failure) = artifacts::write_compiled(&self.instance, node, &compiled.written) {
            return (Done::failed(StepOutcome::Error, failure), None);
        }
        let mut done = match self.carry_out(node, &compiled, &inputs, place).await {
            Ok(done) => done,
            Err(failure) => {
                let files = &self.instance.project().files;
                Done::failed(StepOutcome::Error, located(files, node, &compiled.sql, failure))
            }
        };
        if done.failure.is_none()
            && !matches!(compiled.plan, Materialization::Custom { .. })
            && let Err(failure) = self.node_hooks(node, HookMoment::After).await
        {
            done = Done::failed(StepOutcome::Error, failure);
        }
        done.compiled = Some(Arc::from(compiled.sql.as_str()));
        let version = match &done.relation {
            Some(Relation::Table(table)) => i64::try_from(table.table().version()).unwrap_or(i64::MAX),
            _ => 0,
        };
        // A warning is told again each time; only what was right is not looked at twice.
        let keep = matches!(done.outcome, StepOutcome::Success) && !compiled.volatile && !hooked && !self.is_partial();
        let fingerprint = keep.then(|| inputs.fingerprint(node, version));
        let partial = (self.is_partial() && done.relation.is_some()).then(|| fingerprint::unlike_any(node));
        (done, fingerprint.or(partial))
    }

    /// Whether nodes are made of less than what they read.
    fn is_partial(&self) -> bool {
        self.request.empty || self.request.sample.is_some()
    }

    /// `Some(rows)` when nothing the node depends on changed since its published version was made.
    async fn unchanged(&self, node: &Node, inputs: &Inputs) -> Option<Option<u64>> {
        let asked = self.request.force || self.request.full_refresh || self.is_partial();
        // A snapshot looks at its source each time, and a test that keeps its rows writes them.
        if asked || self.request.event_time_start.is_some() || self.request.store_failures {
            return None;
        }
        let known = self.fingerprints.get(node.id.as_str())?;
        if known.code_hash != inputs.code_hash || known.inputs != inputs.versions {
            return None;
        }
        if matches!(node.resource_type, ResourceType::Test | ResourceType::UnitTest) {
            return Some(None);
        }
        let name = TableName::new(node.relation.schema.clone(), node.relation.identifier.clone());
        match self.session.catalog().relation(&name).await {
            Ok(Some(Relation::Table(table))) if i64::try_from(table.table().version()) == Ok(known.output_version) => {
                Some(table.table().rows())
            }
            Ok(Some(Relation::View { .. })) => Some(None),
            _ => None,
        }
    }

    /// Renders the node; its templates may query the warehouse, so this happens on a blocking thread.
    async fn compile(&self, node: &Node) -> Result<Compiled, Failure> {
        let warehouse = self.warehouse();
        let (instance, id, context) = (self.instance.clone(), node.id.clone(), self.context.clone());
        let render = tokio::task::spawn_blocking(move || {
            let project = instance.project();
            project
                .transform
                .compile(&id, &warehouse, &context)
                .map_err(|found| diagnostics_failure(&project.files, &found))
        });
        let compiled = render.await.map_err(|error| Failure::internal(error.to_string()))??;
        for message in compiled.messages.iter().filter(|message| message.level != MessageLevel::Debug) {
            self.observer.message(&message.text);
        }
        Ok(compiled)
    }

    async fn carry_out(
        &self,
        node: &Node,
        compiled: &Compiled,
        inputs: &Inputs,
        place: &mut Place,
    ) -> Result<Done, Failure> {
        let name = TableName::new(node.relation.schema.clone(), node.relation.identifier.clone());
        let guarded;
        let compiled = match &compiled.contract {
            Some(contract) => {
                let sql = self.guarded(node, &compiled.sql, contract).await?;
                guarded = Compiled { sql, ..compiled.clone() };
                &guarded
            }
            None => compiled,
        };
        match &compiled.plan {
            Materialization::Snapshot(plan) => self.snapshot(compiled, plan, name, inputs).await,
            Materialization::Custom { macro_name } => self.custom(node, macro_name, &compiled.sql, name).await,
            Materialization::View => {
                self.session.describe(&compiled.sql).await.map_err(|error| error.failure())?;
                Ok(self.built(name, Relation::View { sql: compiled.sql.clone() }, None))
            }
            Materialization::Table { partition_by, .. } => {
                let write = Write::Replace { partition_by: columns(partition_by) };
                let target = self.target(name, write, OnSchemaChange::Ignore, inputs);
                self.apply(&compiled.sql, &target, place).await
            }
            Materialization::Incremental { strategy, first_run, on_schema_change, partition_by, .. } => {
                if let IncrementalStrategy::Microbatch(model) = strategy {
                    let change = schema_change(*on_schema_change);
                    return self.microbatches(node, model, *first_run, name, change, inputs).await;
                }
                let partition_by = columns(partition_by);
                let write =
                    if *first_run { Write::Replace { partition_by } } else { write_of(strategy, partition_by)? };
                let target = self.target(name, write, schema_change(*on_schema_change), inputs);
                self.apply(&compiled.sql, &target, place).await
            }
            Materialization::Seed(seed) => {
                let (text, options) = read_seed(&self.instance, seed)?;
                let target = self.target(
                    name.clone(),
                    Write::Replace { partition_by: Vec::new() },
                    OnSchemaChange::Ignore,
                    inputs,
                );
                let applied = self.session.load_csv(&text, &options, &target).await.map_err(|error| error.failure())?;
                self.built_table(name, &applied).await
            }
            Materialization::Test(test) => {
                if test.store_failures {
                    self.store_failures(&test.failing_rows, name).await?;
                }
                self.test(&compiled.sql, test).await
            }
            Materialization::Ephemeral | Materialization::Analysis => {
                Err(Failure::internal("a node that is not built is not a step"))
            }
        }
    }

    async fn apply(&self, sql: &str, target: &Target, place: &mut Place) -> Result<Done, Failure> {
        let staged = self.session.stage(sql, target).await.map_err(|error| error.failure())?;
        place.leave();
        let applied = self.session.commit(staged).await.map_err(|error| error.failure())?;
        self.built_table(target.name.clone(), &applied).await
    }

    pub(super) fn target(
        &self,
        name: TableName,
        write: Write,
        on_schema_change: OnSchemaChange,
        inputs: &Inputs,
    ) -> Target {
        let base = self.instance.published().ok().and_then(|published| match published.get(&name) {
            Some(headwater_engine::PublishedRelation::Version(version)) => Some(*version),
            _ => None,
        });
        let info = serde_json::json!({
            "run": self.id.0, "code": inputs.code_hash, "inputs": inputs.versions, "full_refresh": self.request.full_refresh,
        });
        Target { name, base, write, on_schema_change, info }
    }

    pub(super) async fn built_table(&self, name: TableName, applied: &Applied) -> Result<Done, Failure> {
        let table = self.session.catalog().at(&name, applied.version).await.map_err(|error| error.failure())?;
        Ok(self.built(name, Relation::Table(table), Some(applied.rows)))
    }

    /// From here on the run's later steps read the new relation.
    pub(super) fn built(&self, name: TableName, relation: Relation, rows: Option<u64>) -> Done {
        self.session.catalog().pin(name, relation.clone());
        Done { rows, relation: Some(relation), ..Done::new(StepOutcome::Success) }
    }

    async fn test(&self, sql: &str, test: &TestPlan) -> Result<Done, Failure> {
        let stream = self.session.query(sql, &[]).await.map_err(|error| error.failure())?;
        let batches = stream.collect().await.map_err(|error| error.failure())?;
        let counted = Counted::read(&batches)?;
        let warn_is_error = self.instance.project().warnings.is_error("LogTestResult");
        let outcome = match test.severity {
            Severity::Error if counted.should_error => StepOutcome::Fail,
            Severity::Error | Severity::Warn if counted.should_warn && warn_is_error => StepOutcome::Fail,
            Severity::Error | Severity::Warn if counted.should_warn => StepOutcome::Warn,
            _ => StepOutcome::Success,
        };
        let failure = (outcome != StepOutcome::Success).then(|| {
            let is_error = outcome == StepOutcome::Fail && test.severity == Severity::Error && counted.should_error;
            let condition = if is_error { &test.error_if } else { &test.warn_if };
            let verb = if outcome == StepOutcome::Fail { "fail" } else { "warn" };
            Failure::user(format!("got {} result(s), configured to {verb} if {condition}", counted.failures))
                .with_detail("The rows are what the test's compiled SQL returns.")
        });
        Ok(Done { rows: Some(counted.failures), failure, ..Done::new(outcome) })
    }

    /// All steps of the run as waiting, so that a crash shows what was still to come.
    pub(super) fn record_pending(&self, plan: &Plan) -> Result<(), Failure> {
        let changes: Vec<StepChange> = plan
            .needs
            .keys()
            .map(|step| StepChange {
                node: step.clone(),
                kind: self.name_and_kind(step).1,
                from: None,
                to: StepStatus::Pending,
                at: self.context.started_at,
                result: headwater_state::StepResult::default(),
            })
            .collect();
        self.instance.state.change_steps(self.id, &self.instance.boot, &changes).map_err(|error| error.failure())
    }

    /// What to put on record of a finished step.
    pub(super) fn record_of(&self, result: &StepResult) -> (Vec<StepChange>, Option<TestResult>) {
        let report = &result.report;
        let kind = report.kind.clone();
        let change = |from, to, at, result| StepChange {
            node: report.id.clone(),
            kind: kind.clone(),
            from: Some(from),
            to,
            at,
            result,
        };
        let left = headwater_state::StepResult {
            rows: report.rows.and_then(|rows| i64::try_from(rows).ok()),
            message: report.failure.as_ref().map(crate::history::recorded),
            compiled_path: None,
            table_version: result.fingerprint.as_ref().map(|fingerprint| fingerprint.output_version),
        };
        let now = self.instance.now();
        let mut changes = Vec::new();
        let last = match report.outcome {
            StepOutcome::Success => StepStatus::Succeeded,
            StepOutcome::Warn => StepStatus::Warn,
            StepOutcome::Fail | StepOutcome::Error => StepStatus::Failed,
            StepOutcome::Unchanged => StepStatus::Unchanged,
            StepOutcome::Skipped => StepStatus::Skipped,
        };
        if matches!(report.outcome, StepOutcome::Skipped | StepOutcome::Unchanged) {
            changes.push(change(StepStatus::Pending, last, now, left));
        } else {
            changes.push(change(
                StepStatus::Pending,
                StepStatus::Running,
                report.started_at,
                headwater_state::StepResult::default(),
            ));
            changes.push(change(StepStatus::Running, last, now, left));
        }
        (changes, test_result(report, now))
    }
}

fn test_result(report: &StepReport, at: headwater_project::Timestamp) -> Option<TestResult> {
    if !report.kind.ends_with("test") {
        return None;
    }
    let outcome = match report.outcome {
        StepOutcome::Success => TestOutcome::Pass,
        StepOutcome::Warn => TestOutcome::Warn,
        StepOutcome::Fail => TestOutcome::Fail,
        StepOutcome::Error => TestOutcome::Error,
        StepOutcome::Unchanged | StepOutcome::Skipped => return None,
    };
    Some(TestResult {
        node: report.id.clone(),
        tested: None,
        outcome,
        severity: if report.outcome == StepOutcome::Warn { TestSeverity::Warn } else { TestSeverity::Error },
        failures: report.rows.and_then(|rows| i64::try_from(rows).ok()).unwrap_or(0),
        message: report.failure.as_ref().map(|failure| failure.message.clone()),
        at,
    })
}

fn columns(partition_by: &[Partition]) -> Vec<String> {
    partition_by.iter().map(|partition| partition.column.clone()).collect()
}

fn write_of(strategy: &IncrementalStrategy, partition_by: Vec<String>) -> Result<Write, Failure> {
    Ok(match strategy {
        IncrementalStrategy::Append => Write::Append,
        IncrementalStrategy::Merge { unique_key, .. } if unique_key.is_empty() => Write::Append,
        IncrementalStrategy::Merge { unique_key, update_columns, exclude_columns, predicates } => Write::ReplaceByKey {
            unique_key: unique_key.clone(),
            update: match (update_columns.as_slice(), exclude_columns.as_slice()) {
                ([], []) => Update::All,
                ([], excluded) => Update::AllBut(excluded.to_vec()),
                (columns, _) => Update::Only(columns.to_vec()),
            },
            allow_duplicates: false,
            predicates: predicates.clone(),
        },
        IncrementalStrategy::DeleteInsert { unique_key, .. } if unique_key.is_empty() => Write::Append,
        IncrementalStrategy::DeleteInsert { unique_key, predicates } => {
            let (unique_key, predicates) = (unique_key.clone(), predicates.clone());
            Write::ReplaceByKey { unique_key, update: Update::All, allow_duplicates: true, predicates }
        }
        IncrementalStrategy::Microbatch(_) => return Err(Failure::internal("microbatches are written one by one")),
        IncrementalStrategy::InsertOverwrite => Write::ReplacePartitions { partition_by },
    })
}

fn schema_change(policy: headwater_transform::OnSchemaChange) -> OnSchemaChange {
    match policy {
        headwater_transform::OnSchemaChange::Ignore => OnSchemaChange::Ignore,
        headwater_transform::OnSchemaChange::Fail => OnSchemaChange::Fail,
        headwater_transform::OnSchemaChange::AppendNewColumns => OnSchemaChange::Append,
        headwater_transform::OnSchemaChange::SyncAllColumns => OnSchemaChange::Sync,
    }
}

/// The one row a test's query returns.
struct Counted {
    failures: u64,
    should_warn: bool,
    should_error: bool,
}

impl Counted {
    fn read(batches: &[arrow::record_batch::RecordBatch]) -> Result<Self, Failure> {
        use arrow::array::{Array, AsArray};
        use arrow::datatypes::{DataType, Int64Type};
        let internal = |error: arrow::error::ArrowError| Failure::internal(error.to_string());
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else {
            return Err(Failure::user("the test's query returned no row"));
        };
        let [failures, should_warn, should_error] = batch.columns() else {
            return Err(Failure::internal("a test returned other columns than it should"));
        };
        let failures = arrow::compute::cast(failures, &DataType::Int64).map_err(internal)?;
        let failures = failures.as_primitive::<Int64Type>();
        let flag = |column: &arrow::array::ArrayRef| {
            column.as_boolean_opt().is_some_and(|flag| !flag.is_null(0) && flag.value(0))
        };
        let count = if failures.is_null(0) { 0 } else { failures.value(0) };
        Ok(Self {
            failures: u64::try_from(count).unwrap_or(0),
            should_warn: flag(should_warn),
            should_error: flag(should_error),
        })
    }
}

/// The text of a seed and how it is to be read.
pub(crate) fn read_seed(instance: &Instance, seed: &SeedPlan) -> Result<(String, CsvOptions), Failure> {
    let file = &seed.file;
    let text = std::fs::read_to_string(instance.project().root.join(file)).map_err(|error| {
        Failure::user(format!("the seed {} could not be read", file.display())).with_detail(error.to_string())
    })?;
    let delimiter = u8::try_from(seed.delimiter)
        .map_err(|_| Failure::user(format!("`{}` cannot separate columns", seed.delimiter)))?;
    Ok((text, CsvOptions { delimiter, column_types: seed.column_types.clone().into_iter().collect() }))
}

/// Several findings of one node as one failure.
pub(crate) fn diagnostics_failure(files: &Files, found: &[headwater_project::Diagnostic]) -> Failure {
    let Some(first) = found.first() else { return Failure::internal("a template failed without a reason") };
    let place = first.span.map(|span| files.locate(span));
    let mut details: Vec<String> = place.into_iter().map(|place| format!("At {place}.")).collect();
    details.extend(first.detail.clone());
    details.extend(found.iter().skip(1).map(|other| format!("Also: {}.", other.message)));
    let mut failure = Failure::user(first.message.clone());
    failure.detail = (!details.is_empty()).then(|| details.join(" "));
    failure.hint.clone_from(&first.hint);
    failure
}
