//! Applies what the orchestrator decides: registers schedules, records ticks, launches runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use headwater_orchestrate::{Action, Command, Event, FinishedRun, Job, JobView, MissedTicks, Schedule, View, decide};
use headwater_project::unwind::{caught, caught_here};
use headwater_project::{Classify, Failure, Kind, Timestamp};
use headwater_state::{RunId, RunStatus};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::build::{BuildCommand, BuildRequest};
use crate::instance::Instance;
use crate::project::Selection;
use crate::view::{ScheduleStatus, Silent};

/// Longest wait between two looks, so that a clock that jumps is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Wait after the state could not be read or written.
const RETRY: Duration = Duration::from_secs(2);

/// The job that `--build-every` stands for.
const EVERY_JOB: &str = "build-every";

/// The jobs of this process.
#[derive(Default)]
pub(super) struct Schedules {
    jobs: Vec<Job>,
}

impl Schedules {
    pub(super) fn new(instance: &Instance, build_every: Option<Duration>) -> Result<Self, Failure> {
        let mut jobs = instance.project().jobs.clone();
        if let Some(period) = build_every {
            jobs.push(Job {
                name: EVERY_JOB.to_owned(),
                description: None,
                select: Vec::new(),
                exclude: Vec::new(),
                command: Command::Build,
                schedule: Some(Schedule::every(period).map_err(|error| error.failure())?),
                missed: MissedTicks::Skip,
                retry_count: 0,
                retry_delay: Duration::ZERO,
            });
        }
        Ok(Self { jobs })
    }

    pub(super) fn status(&self, instance: &Instance) -> Vec<ScheduleStatus> {
        let known = instance.state.schedules().unwrap_or_default();
        let now = instance.now();
        self.jobs
            .iter()
            .filter_map(|job| {
                let schedule = job.schedule.as_ref()?;
                let last_tick = known.iter().find(|record| record.name == job.name).and_then(|record| record.last_tick);
                Some(ScheduleStatus {
                    job: job.name.clone(),
                    schedule: schedule.definition(),
                    last_tick,
                    next_tick: schedule.next_tick(now),
                })
            })
            .collect()
    }

    fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == name)
    }
}

/// Decides, applies, waits; until the stop. Runs under way are cancelled and waited for.
pub(super) async fn run(shared: &Arc<Shared>, stop: CancellationToken) -> Result<(), Failure> {
    let mut runs: JoinSet<RunId> = JoinSet::new();
    // Runs this process started; until a task writes so, the record still says "queued".
    let mut started: BTreeSet<RunId> = BTreeSet::new();
    while !stop.is_cancelled() {
        let next = match caught_here(|| advance(shared, &mut runs, &mut started, &stop)).flatten() {
            Ok(next) => next,
            // That the state's disk has no room is no reason for everything else to end.
            Err(failure) if matches!(failure.kind, Kind::Exhausted | Kind::External { .. }) => {
                tracing::warn!(detail = failure.detail.as_deref(), "scheduled runs wait: {failure}");
                Some(RETRY)
            }
            Err(failure) => return Err(failure),
        };
        let Some(wait) = next else { continue };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait.max(Duration::from_millis(5))) => {}
            Some(ended) = runs.join_next() => {
                // One that could not even begin is still queued, and is launched again.
                if let Ok(id) = ended {
                    started.remove(&id);
                }
            }
        }
    }
    while runs.join_next().await.is_some() {}
    Ok(())
}

/// Decides and applies once. How long nothing is to do then; nothing when there is more to decide at once.
fn advance(
    shared: &Arc<Shared>,
    runs: &mut JoinSet<RunId>,
    started: &mut BTreeSet<RunId>,
    stop: &CancellationToken,
) -> Result<Option<Duration>, Failure> {
    let instance = &shared.instance;
    let view = view(instance, &shared.schedules.jobs, started)?;
    let now = instance.now();
    let mut wait = LONGEST_WAIT;
    let mut changed = false;
    for action in decide(&shared.schedules.jobs, &view, now, &Event::Wake) {
        if let Action::WaitUntil(at) = action {
            wait = wait.min(at.since(now));
            continue;
        }
        changed = true;
        for (id, request) in apply(shared, action)? {
            started.insert(id);
            launch(shared, runs, id, request, stop.clone());
        }
    }
    Ok((!changed).then_some(wait))
}

fn view(instance: &Instance, jobs: &[Job], started: &BTreeSet<RunId>) -> Result<View, Failure> {
    let known = instance.state.schedules().map_err(|error| error.failure())?;
    let queued = instance.state.runs_in(RunStatus::Queued).map_err(|error| error.failure())?;
    let running = instance.state.runs_in(RunStatus::Running).map_err(|error| error.failure())?;
    let recent = instance.state.runs(None, 200).map_err(|error| error.failure())?;
    let mut view = View::default();
    for job in jobs {
        let of_job = |run: &&headwater_state::Run| run.job.as_deref() == Some(job.name.as_str());
        let record = known.iter().find(|record| record.name == job.name);
        let last_finished = recent.iter().filter(of_job).find_map(|run| {
            Some(FinishedRun { run: run.id, status: run.status, attempt: run.attempt, at: run.finished_at? })
        });
        let job_view = JobView {
            definition: record.map_or_else(String::new, |record| record.definition.clone()),
            since: record.map_or(Timestamp::default(), |record| record.since),
            last_tick: record.and_then(|record| record.last_tick),
            queued: queued.iter().filter(of_job).map(|run| run.id).filter(|id| !started.contains(id)).collect(),
            running: running
                .iter()
                .chain(queued.iter().filter(|run| started.contains(&run.id)))
                .find(of_job)
                .map(|run| run.id),
            last_finished,
        };
        view.jobs.insert(job.name.clone(), job_view);
    }
    Ok(view)
}

/// Carries out one decision; the runs to start are returned.
fn apply(shared: &Arc<Shared>, action: Action) -> Result<Vec<(RunId, BuildRequest)>, Failure> {
    let instance = &shared.instance;
    let (state, now) = (&instance.state, instance.now());
    let request = |job: &str, trigger| shared.schedules.job(job).map(|job| request(job, trigger));
    let started = match action {
        Action::Register { job, definition, since } => {
            state.register_schedule(&job, &definition, since).map_err(|error| error.failure())?;
            None
        }
        Action::Launch { job, logical_time } => request(&job, "schedule")
            .map(|request| {
                let new = instance.new_run(&request, Some(job.clone()), 1);
                state.launch_tick(&job, logical_time, &new, now).map(|id| (id, request))
            })
            .transpose()
            .map_err(|error| error.failure())?,
        Action::LaunchRequested { job } => request(&job, "manual")
            .map(|request| {
                let new = instance.new_run(&request, Some(job.clone()), 1);
                state.create_run(&new, now).map(|id| (id, request))
            })
            .transpose()
            .map_err(|error| error.failure())?,
        Action::Retry { job, attempt, .. } => request(&job, "retry")
            .map(|request| {
                let new = instance.new_run(&request, Some(job.clone()), attempt);
                state.create_run(&new, now).map(|id| (id, request))
            })
            .transpose()
            .map_err(|error| error.failure())?,
        Action::Start { job, run } => request(&job, "schedule").map(|request| (run, request)),
        Action::RecordSkipped { job, logical_time, count, reason } => {
            let reason = if count > 1 { format!("{reason} ({count} ticks)") } else { reason };
            state.skip_ticks(&job, &[(logical_time, reason)], now).map_err(|error| error.failure())?;
            None
        }
        Action::Refuse { job, reason } => {
            tracing::warn!(job, reason, "a run was refused");
            None
        }
        Action::WaitUntil(_) => None,
    };
    Ok(started.into_iter().collect())
}

fn request(job: &Job, trigger: &'static str) -> BuildRequest {
    BuildRequest {
        command: match job.command {
            Command::Build => BuildCommand::Build,
            Command::Run => BuildCommand::Run,
            Command::Test => BuildCommand::Test,
        },
        selection: Selection { select: job.select.clone(), exclude: job.exclude.clone(), ..Selection::default() },
        trigger,
        ..BuildRequest::default()
    }
}

/// Starts a run as a task. It is "running" for the orchestrator from its record on, which `run_queued` writes at once.
fn launch(shared: &Arc<Shared>, runs: &mut JoinSet<RunId>, id: RunId, request: BuildRequest, stop: CancellationToken) {
    let instance = shared.instance.clone();
    let queued = instance.queued(id, request, &stop);
    runs.spawn(async move {
        match caught(instance.run_queued(queued, Arc::new(Silent))).await.flatten() {
            Ok(report) if report.succeeded => {
                tracing::info!(run = id.0, seconds = report.seconds, "run succeeded");
            }
            Ok(_) if stop.is_cancelled() => tracing::info!(run = id.0, "run cancelled by the stop"),
            Ok(_) => tracing::warn!(run = id.0, "run failed; published tables are as before"),
            Err(failure) => {
                tracing::error!(run = id.0, detail = failure.detail.as_deref(), "run failed: {failure}");
                // One that could not even begin is tried again, but not without a pause.
                drop(tokio::time::timeout(RETRY, stop.cancelled()).await);
            }
        }
        id
    });
}
