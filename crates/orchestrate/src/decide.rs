//! Which runs to make now, as a function of the jobs, what is recorded, and the time.
//!
//! Invariants, held by the simulation in `tests`:
//! - a job has at most one queued or running run;
//! - every due time after the schedule was registered is launched once or recorded as skipped once, never both;
//! - due times of a busy job wait; they are missed times when it is free again, and its policy decides;
//! - a clock set back causes nothing to happen twice: only times after the last recorded one are due.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use headwater_project::Timestamp;
use headwater_state::{RunId, RunStatus};

use crate::job::{Job, MissedTicks};
use crate::schedule::Schedule;

/// Most missed times one outage can launch under [`MissedTicks::RunAll`], and most that are recorded one by one; older
/// ones share a single record that tells how many they were.
pub const MISSED_CAP: usize = 100;

/// Under [`MissedTicks::Skip`] a time later than this is missed.
pub const SKIP_GRACE: Duration = Duration::from_secs(60);

/// What is recorded about the jobs. A job that is absent was never registered.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub jobs: BTreeMap<String, JobView>,
}

#[derive(Clone, Debug, Default)]
pub struct JobView {
    /// Definition of the schedule as registered; differs from the job's after an edit.
    pub definition: String,
    pub since: Timestamp,
    pub last_tick: Option<Timestamp>,
    /// Recorded, but not started: the process died between the two, or is about to start it.
    pub queued: Vec<RunId>,
    pub running: Option<RunId>,
    /// The newest run that ended.
    pub last_finished: Option<FinishedRun>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinishedRun {
    pub run: RunId,
    pub status: RunStatus,
    pub attempt: u32,
    pub at: Timestamp,
}

/// Why a decision is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed, a run ended, or the process started.
    Wake,
    /// A person asks for a run of a job.
    Requested { job: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Register the schedule of a job (new, or edited) from `since` on.
    Register { job: String, definition: String, since: Timestamp },
    /// Record the tick with a queued run, in one transaction, and start that run.
    Launch { job: String, logical_time: Timestamp },
    /// Record a queued run without a tick, and start it.
    LaunchRequested { job: String },
    /// Record a queued run that repeats `of`, and start it.
    Retry { job: String, of: RunId, attempt: u32 },
    /// Start a run that is queued already.
    Start { job: String, run: RunId },
    /// Record that the tick will not run. `count` is 1, or the number of ticks up to this one that share the record.
    RecordSkipped { job: String, logical_time: Timestamp, count: u64, reason: String },
    /// Answer a request that cannot be met.
    Refuse { job: String, reason: String },
    /// Nothing changes by itself before this time.
    WaitUntil(Timestamp),
}

/// What to do now. The caller applies the actions in order, updates the view, and asks again at the time of
/// [`Action::WaitUntil`] or at the next event, whichever comes first.
pub fn decide(jobs: &[Job], view: &View, now: Timestamp, event: &Event) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut wake: Option<Timestamp> = None;
    if let Event::Requested { job } = event
        && !jobs.iter().any(|known| known.name == *job)
    {
        actions.push(Action::Refuse { job: job.clone(), reason: String::from("no job has this name") });
    }
    for job in jobs {
        let requested = matches!(event, Event::Requested { job: name } if *name == job.name);
        let next = decide_job(job, view.jobs.get(&job.name), now, requested, &mut actions);
        wake = wake.into_iter().chain(next).min();
    }
    actions.extend(wake.map(Action::WaitUntil));
    actions
}

/// Adds the actions of one job and returns when to look at it again.
fn decide_job(
    job: &Job,
    view: Option<&JobView>,
    now: Timestamp,
    requested: bool,
    actions: &mut Vec<Action>,
) -> Option<Timestamp> {
    let unregistered = JobView { since: now, ..JobView::default() };
    let mut view = view.unwrap_or(&unregistered).clone();
    if let Some(schedule) = &job.schedule {
        let definition = schedule.definition();
        if view.definition != definition {
            actions.push(Action::Register { job: job.name.clone(), definition, since: now });
            view.since = now;
        }
    }
    if view.running.is_some() || !view.queued.is_empty() {
        continue_busy(job, &view, requested, actions);
        return None;
    }
    let last = view.last_tick.map_or(view.since, |tick| tick.max(view.since));
    let launches_before = actions.len();
    let next = job.schedule.as_ref().and_then(|schedule| launch_due(job, schedule, last, now, actions));
    let launched = actions.get(launches_before..).unwrap_or_default().iter().any(is_launch);
    if launched {
        refuse_busy(job, requested, actions);
        return None;
    }
    if requested {
        actions.push(Action::LaunchRequested { job: job.name.clone() });
        return None;
    }
    let retry_at = retry(job, &view, now, actions);
    retry_at.into_iter().chain(next).min()
}

fn is_launch(action: &Action) -> bool {
    matches!(action, Action::Launch { .. })
}

fn continue_busy(job: &Job, view: &JobView, requested: bool, actions: &mut Vec<Action>) {
    if let (None, Some(run)) = (view.running, view.queued.first()) {
        actions.push(Action::Start { job: job.name.clone(), run: *run });
    }
    refuse_busy(job, requested, actions);
}

fn refuse_busy(job: &Job, requested: bool, actions: &mut Vec<Action>) {
    if requested {
        let reason = String::from("a run of this job is going");
        actions.push(Action::Refuse { job: job.name.clone(), reason });
    }
}

/// Launches at most one due tick and records those that will not run. Returns the next time anything is due.
fn launch_due(
    job: &Job,
    schedule: &Schedule,
    last: Timestamp,
    now: Timestamp,
    actions: &mut Vec<Action>,
) -> Option<Timestamp> {
    let due = due_ticks(schedule, last, now);
    if let Some((logical_time, count)) = due.older {
        let reason = format!("missed: {count} times up to this one, of which only the newest {MISSED_CAP} are kept");
        actions.push(Action::RecordSkipped { job: job.name.clone(), logical_time, count, reason });
    }
    let run = match job.missed {
        MissedTicks::RunAll => due.newest.front(),
        MissedTicks::RunLast => due.newest.back(),
        MissedTicks::Skip => due.newest.back().filter(|tick| now.since(**tick) <= SKIP_GRACE),
    };
    for tick in &due.newest {
        if Some(tick) == run {
            actions.push(Action::Launch { job: job.name.clone(), logical_time: *tick });
            // Under RunAll the later ones stay due until this run has ended.
            break;
        }
        let reason = String::from("missed: a later time was due as well, or it was too late");
        actions.push(Action::RecordSkipped { job: job.name.clone(), logical_time: *tick, count: 1, reason });
    }
    due.next
}

struct Due {
    /// The last of the ticks too old to be kept one by one, and how many they are.
    older: Option<(Timestamp, u64)>,
    newest: VecDeque<Timestamp>,
    next: Option<Timestamp>,
}

fn due_ticks(schedule: &Schedule, last: Timestamp, now: Timestamp) -> Due {
    let mut due = Due { older: None, newest: VecDeque::new(), next: schedule.next_tick(last) };
    while let Some(tick) = due.next.filter(|tick| *tick <= now) {
        if due.newest.len() == MISSED_CAP {
            let count = due.older.map_or(0, |(_, count)| count);
            due.older = due.newest.pop_front().map(|oldest| (oldest, count + 1));
        }
        due.newest.push_back(tick);
        due.next = schedule.next_tick(tick);
    }
    due
}

/// Repeats a failed or crashed run when its delay is over; else returns when that will be.
fn retry(job: &Job, view: &JobView, now: Timestamp, actions: &mut Vec<Action>) -> Option<Timestamp> {
    let finished = view.last_finished?;
    let failed = matches!(finished.status, RunStatus::Failed | RunStatus::Crashed);
    if !failed || finished.attempt > job.retry_count {
        return None;
    }
    let due = finished.at.saturating_add(job.retry_delay);
    if due > now {
        return Some(due);
    }
    let attempt = finished.attempt.saturating_add(1);
    actions.push(Action::Retry { job: job.name.clone(), of: finished.run, attempt });
    None
}
