//! Running models, seeds and tests: what `build`, `run`, `test` and `seed` do.
//!
//! A run pins the versions of everything it reads when it starts. Each step sees what earlier steps of the same run built;
//! everybody else sees none of it until the run has succeeded, and then all of it at once. A run that failed leaves
//! published names where they were.

mod artifacts;
mod cancels;
mod clone;
mod fingerprint;
mod hooks;
mod keep;
mod plan;
mod run_log;
mod step;
mod steps;
mod warehouse;

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_engine::{Relation, Session};
use headwater_lake::TableName;
use headwater_project::{Classify, Failure, Timestamp, fault};
use headwater_state::{Fingerprint, NewRun, Publication, PublishedAs, RunEnd, RunId, RunStatus, Trigger};
use headwater_transform::{Batch, HookMoment, NodeId, RunContext};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::defer::DeferTo;
use crate::instance::Instance;
use crate::project::Selection;
use crate::view::{Observer, RunReport, StepReport};

pub(crate) use artifacts::{compiled_path, write_json, write_manifest, write_results};
use cancels::Cancel;
pub(crate) use cancels::Cancels;
pub(crate) use step::{diagnostics_failure, read_seed};
use steps::Steps;
pub(crate) use warehouse::{SessionWarehouse, Writes};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BuildCommand {
    /// Builds nodes and tests each before what stands on it.
    #[default]
    Build,
    /// Builds without testing.
    Run,
    /// Tests without building.
    Test,
    /// Loads seeds.
    Seed,
    /// Takes snapshots.
    Snapshot,
    /// Makes views of what another environment has built.
    Clone,
}

impl BuildCommand {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Run => "run",
            Self::Test => "test",
            Self::Seed => "seed",
            Self::Snapshot => "snapshot",
            Self::Clone => "clone",
        }
    }

    /// Whether nodes of this resource type are part of the command.
    fn takes(self, resource_type: &str) -> bool {
        match self {
            Self::Build => matches!(resource_type, "model" | "seed" | "test" | "snapshot" | "unit_test"),
            Self::Run => resource_type == "model",
            Self::Test => matches!(resource_type, "test" | "unit_test"),
            Self::Snapshot => resource_type == "snapshot",
            Self::Seed => resource_type == "seed",
            Self::Clone => matches!(resource_type, "model" | "seed" | "snapshot"),
        }
    }

    /// Whether one step may have to wait for another, and the project's own statements stand around them all.
    fn is_run(self) -> bool {
        self != Self::Clone
    }
}

impl BuildRequest {
    /// What run_results.json keeps of it, so that it can be tried again.
    fn arguments(&self) -> serde_json::Value {
        let selection = &self.selection;
        serde_json::json!({
            "select": selection.select, "exclude": selection.exclude, "selector": selection.selector,
            "resource_types": selection.resource_types, "exclude_resource_types": selection.exclude_resource_types,
            "indirect_selection": selection.indirect.as_str(), "state": selection.state,
            "full_refresh": self.full_refresh, "store_failures": self.store_failures, "empty": self.empty,
            "fail_fast": self.fail_fast, "sample": self.sample.map(|sample| [sample.start.as_micros(), sample.end.as_micros()]),
            "defer": self.defer.is_some() && self.command.is_run(),
            "defer_state": self.defer.as_ref().map(|defer| &defer.state),
            "favor_state": self.defer.as_ref().is_some_and(|defer| defer.favor_state),
        })
    }
}

/// A run that is asked for.
#[derive(Clone, Debug, Default)]
pub struct BuildRequest {
    pub command: BuildCommand,
    pub selection: Selection,
    /// Incremental models are built from nothing.
    pub full_refresh: bool,
    /// Also build what did not change since it was built last.
    pub force: bool,
    /// What models read is taken as empty.
    pub empty: bool,
    /// Failing rows of every test are kept in tables.
    pub store_failures: bool,
    /// No new step starts once one has failed.
    pub fail_fast: bool,
    /// Event time microbatches are made for.
    pub event_time_start: Option<Timestamp>,
    pub event_time_end: Option<Timestamp>,
    /// What models read is cut down to this span of event time.
    pub sample: Option<Batch>,
    /// Where nodes are read, or cloned from, that the run does not make.
    pub defer: Option<DeferTo>,
    pub threads: Option<usize>,
    /// `manual`, `schedule`, `start`, `retry`.
    pub trigger: &'static str,
}

/// A run on record that waits for its turn.
#[derive(Debug)]
pub struct QueuedRun {
    id: RunId,
    request: BuildRequest,
    cancel: Cancel,
}

impl QueuedRun {
    /// Its number.
    pub fn run(&self) -> i64 {
        self.id.0
    }
}

/// A run under way.
struct Run {
    instance: Instance,
    request: BuildRequest,
    id: RunId,
    session: Session,
    context: RunContext,
    fingerprints: BTreeMap<String, Fingerprint>,
    observer: Arc<dyn Observer>,
    writes: Arc<warehouse::Writes>,
    places: Arc<Semaphore>,
}

/// What a step left for the end of the run.
struct StepResult {
    report: StepReport,
    publication: Option<Publication>,
    fingerprint: Option<Fingerprint>,
}

impl Instance {
    /// Runs a build to its end. `Err` when it could not even begin; steps that failed are in the report. One build at a
    /// time: a second waits.
    pub async fn build(
        &self,
        request: BuildRequest,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<RunReport, Failure> {
        self.require_writer()?;
        self.project().require_sound()?;
        let queued = self.queue(&request, &cancel)?;
        self.run_queued(queued, observer).await
    }

    /// Records a run to come, for [`Instance::run_queued`]. From here on it can be cancelled by its number, and by `cancel`.
    pub fn queue(&self, request: &BuildRequest, cancel: &CancellationToken) -> Result<QueuedRun, Failure> {
        self.require_writer()?;
        self.project().require_sound()?;
        let id = self.record_run(request)?;
        Ok(self.queued(id, request.clone(), cancel))
    }

    /// A run that is recorded already.
    pub(crate) fn queued(&self, id: RunId, request: BuildRequest, cancel: &CancellationToken) -> QueuedRun {
        QueuedRun { id, request, cancel: self.cancels.begin(id, cancel) }
    }

    /// Ends a run that waits or is under way; it publishes nothing. False when there is none of this number.
    pub fn cancel_run(&self, run: i64) -> bool {
        self.cancels.cancel(run)
    }

    fn record_run(&self, request: &BuildRequest) -> Result<RunId, Failure> {
        let new = self.new_run(request, None, 1);
        self.state.create_run(&new, self.now()).map_err(|error| error.failure())
    }

    pub(crate) fn new_run(&self, request: &BuildRequest, job: Option<String>, attempt: u32) -> NewRun {
        NewRun {
            job,
            command: request.command.as_str().to_owned(),
            trigger: match request.trigger {
                "schedule" => Trigger::Schedule,
                "start" => Trigger::Start,
                "retry" => Trigger::Retry,
                _ => Trigger::Manual,
            },
            selection: request.selection.select.join(" "),
            attempt,
            owner: self.boot.clone(),
        }
    }

    /// Runs a queued run to its end.
    pub async fn run_queued(&self, queued: QueuedRun, observer: Arc<dyn Observer>) -> Result<RunReport, Failure> {
        let QueuedRun { id, request, cancel } = queued;
        let cancel = &cancel;
        let _one_at_a_time = self.building.lock().await;
        self.end_unrecorded()?;
        let started = self.clock.monotonic();
        self.state.start_run(id, &self.boot, self.now()).map_err(|error| error.failure())?;
        let command = request.command.as_str().to_owned();
        let arguments = request.arguments();
        let log = Arc::new(run_log::RunLog::begin(self, id.0, observer));
        log.line(&format!("{command} {}", request.selection.select.join(" ")));
        let results = self.run_steps(id, request, Arc::clone(&log) as Arc<dyn Observer>, cancel).await;
        self.pinned().clear();
        let results = match results {
            Ok(results) => results,
            Err(failure) => {
                log.failure(&failure);
                let end = RunEnd::Failed { message: failure.message.clone() };
                self.state.finish_run(id, &self.boot, &end, self.now()).map_err(|error| error.failure())?;
                return Err(failure);
            }
        };
        let reported = results.iter().filter(|result| result.report.kind != "statement");
        let steps: Vec<StepReport> = reported.map(|result| result.report.clone()).collect();
        let succeeded = !cancel.is_cancelled() && !steps.iter().any(|step| step.outcome.is_bad());
        let published = self.finish(id, results, succeeded, cancel.is_cancelled())?;
        let seconds = self.clock.monotonic().saturating_sub(started).as_secs_f64();
        let report = RunReport { run: id.0, command, succeeded, seconds, steps, published };
        log.end(&report, cancel.is_cancelled());
        artifacts::write_results(self, report.run, &report.command, &arguments, &report.steps)?;
        artifacts::write_manifest_of_run(self, &report.steps)?;
        Ok(report)
    }

    /// One run at a time: another that is told to be running has ended, and its end could not be recorded then.
    fn end_unrecorded(&self) -> Result<(), Failure> {
        let running = self.state.runs_in(RunStatus::Running).map_err(|error| error.failure())?;
        for run in running.into_iter().filter(|run| run.owner == self.boot) {
            let end = RunEnd::Failed { message: String::from("how it ended could not be recorded") };
            self.state.finish_run(run.id, &self.boot, &end, self.now()).map_err(|error| error.failure())?;
        }
        Ok(())
    }

    async fn run_steps(
        &self,
        id: RunId,
        request: BuildRequest,
        observer: Arc<dyn Observer>,
        cancel: &CancellationToken,
    ) -> Result<Vec<StepResult>, Failure> {
        let plan = plan::plan(self.project(), &request)?;
        let selected = || plan.needs.keys().map(NodeId::new).collect();
        let deferral = self.project().deferral(request.defer.as_ref(), selected)?;
        let session = self.session()?;
        pin_sources(self, &session).await?;
        fault::point("m.pinned").map_err(|error| Failure::internal(error.to_string()))?;
        let known = self.state.fingerprints().map_err(|error| error.failure())?;
        let threads = request.threads.unwrap_or(self.threads);
        let run = Arc::new(Run {
            instance: self.clone(),
            context: RunContext {
                started_at: self.now(),
                invocation_id: format!("{}-{}", self.boot.0, id.0),
                full_refresh: request.full_refresh,
                command: request.command.as_str().to_owned(),
                empty: request.empty,
                store_failures: request.store_failures,
                event_time_start: request.sample.map(|sample| sample.start).or(request.event_time_start),
                event_time_end: request.sample.map(|sample| sample.end).or(request.event_time_end),
                sample: request.sample,
                deferral,
                batch: None,
            },
            writes: Arc::new(warehouse::Writes::new(serde_json::json!({ "run": id.0 }))),
            places: Arc::new(Semaphore::new(threads.max(1))),
            request,
            id,
            session,
            fingerprints: known.into_iter().map(|known| (known.node.clone(), known)).collect(),
            observer,
        });
        run.observer.planned(plan.needs.len());
        run.record_pending(&plan)?;
        let steps = Steps::new(&run, &plan, threads)?;
        let hooks = !plan.needs.is_empty() && run.request.command.is_run();
        let mut results = if hooks { run.around(HookMoment::Before, &[]).await } else { Vec::new() };
        if results.iter().any(|result| result.report.outcome.is_bad()) {
            results.extend(steps.skip_all()?);
            return Ok(results);
        }
        results.extend(steps.run(cancel).await?);
        if hooks {
            let after = run.around(HookMoment::After, &results).await;
            results.extend(after);
        }
        run.session.drop_temporaries().await.map_err(|error| error.failure())?;
        run.settle_publications(&mut results);
        Ok(results)
    }

    /// Ends the run; a success moves all its names in the same transaction.
    fn finish(
        &self,
        id: RunId,
        results: Vec<StepResult>,
        succeeded: bool,
        cancelled: bool,
    ) -> Result<Vec<String>, Failure> {
        let point = |name| fault::point(name).map_err(|error| Failure::internal(error.to_string()));
        let bad = results.iter().filter(|result| result.report.outcome.is_bad()).count();
        let mut publications = Vec::new();
        let mut fingerprints = Vec::new();
        for result in results {
            publications.extend(result.publication);
            fingerprints.extend(result.fingerprint);
        }
        let names: Vec<String> =
            publications.iter().map(|publication: &Publication| publication.name.clone()).collect();
        let end = if cancelled {
            RunEnd::Cancelled { message: None }
        } else if succeeded {
            RunEnd::Succeeded { publications, fingerprints }
        } else {
            point("m.tests_failed")?;
            RunEnd::Failed { message: format!("{bad} step(s) did not succeed") }
        };
        point("p.before_publish")?;
        self.state.finish_run(id, &self.boot, &end, self.now()).map_err(|error| error.failure())?;
        point("p.after_publish")?;
        Ok(if succeeded { names } else { Vec::new() })
    }
}

/// Fixes the version of every source before the first step reads one.
async fn pin_sources(instance: &Instance, session: &Session) -> Result<(), Failure> {
    for node in instance.project().transform.ordered() {
        if node.resource_type == headwater_transform::ResourceType::Source {
            let name = TableName::new(node.relation.schema.clone(), node.relation.identifier.clone());
            let relation = session.catalog().relation(&name).await.map_err(|error| error.failure())?;
            if let Some(Relation::Table(table)) = relation {
                instance.pinned().insert(name, table.table().version());
            }
        }
    }
    Ok(())
}

/// What a relation is published as.
pub(crate) fn published_as(relation: &Relation) -> PublishedAs {
    match relation {
        Relation::Table(table) => {
            PublishedAs::Table { version: i64::try_from(table.table().version()).unwrap_or(i64::MAX) }
        }
        Relation::View { sql } => PublishedAs::View { sql: sql.clone() },
    }
}

impl Run {
    fn skipped(&self, step: &str) -> StepResult {
        let report = self.report_of(step);
        StepResult { report, publication: None, fingerprint: None }
    }
}
