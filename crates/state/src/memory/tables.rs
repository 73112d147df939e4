//! What the store holds, and the changes that are checked whole before any of them is applied.

use std::collections::{BTreeMap, BTreeSet};

use headwater_project::Timestamp;

use crate::error::{Error, Result};
use crate::record::{
    BootId, Fingerprint, Lease, NewRun, Published, Run, RunId, ScheduleRecord, Step, StepChange, StepResult,
    TestResult, Tick, TickOutcome,
};
use crate::status::{RunStatus, StepStatus, check_step_change};

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) last_run_id: i64,
    pub(super) runs: BTreeMap<RunId, Run>,
    /// In the order they were first recorded.
    pub(super) steps: BTreeMap<RunId, Vec<Step>>,
    pub(super) tests: BTreeMap<RunId, BTreeMap<String, TestResult>>,
    pub(super) published: BTreeMap<String, Published>,
    pub(super) fingerprints: BTreeMap<String, Fingerprint>,
    pub(super) schedules: BTreeMap<String, (String, Timestamp)>,
    pub(super) ticks: BTreeMap<(String, Timestamp), Tick>,
    pub(super) leases: BTreeMap<String, Lease>,
    pub(super) pins: BTreeMap<String, String>,
    pub(super) paused: BTreeMap<String, Timestamp>,
}

impl Tables {
    pub(super) fn create_run(&mut self, run: &NewRun, at: Timestamp) -> RunId {
        self.last_run_id += 1;
        let id = RunId(self.last_run_id);
        let run = Run {
            id,
            job: run.job.clone(),
            command: run.command.clone(),
            trigger: run.trigger,
            selection: run.selection.clone(),
            attempt: run.attempt.max(1),
            owner: run.owner.clone(),
            status: RunStatus::Queued,
            queued_at: at,
            started_at: None,
            finished_at: None,
            message: None,
        };
        self.runs.insert(id, run);
        id
    }

    pub(super) fn queued(&mut self, run: RunId) -> Result<&mut Run> {
        let found = self.runs.get_mut(&run).ok_or_else(|| Error::not_found(format!("run {run}")))?;
        if found.status == RunStatus::Queued {
            Ok(found)
        } else {
            Err(Error::conflict(format!("run {run}"), "status queued"))
        }
    }

    pub(super) fn running(&mut self, run: RunId, owner: &BootId) -> Result<&mut Run> {
        let found = self.runs.get_mut(&run).ok_or_else(|| Error::not_found(format!("run {run}")))?;
        if found.status == RunStatus::Running && found.owner == *owner {
            Ok(found)
        } else {
            Err(Error::conflict(format!("run {run}"), format!("status running under owner {}", owner.0)))
        }
    }

    pub(super) fn close_steps(&mut self, run: RunId, running_becomes: StepStatus, at: Timestamp) {
        for step in self.steps.entry(run).or_default() {
            step.status = match step.status {
                StepStatus::Running => running_becomes,
                StepStatus::Pending => StepStatus::Cancelled,
                _ => continue,
            };
            step.finished_at = Some(at);
        }
    }

    pub(super) fn change_steps(&mut self, run: RunId, changes: &[StepChange]) -> Result<()> {
        let mut steps = self.steps.get(&run).cloned().unwrap_or_default();
        for change in changes {
            change_step(&mut steps, run, change)?;
        }
        self.steps.insert(run, steps);
        Ok(())
    }

    pub(super) fn schedule(&self, name: &str) -> Option<ScheduleRecord> {
        let (definition, since) = self.schedules.get(name)?;
        let last_tick = self.ticks_of(name).next_back().map(|tick| tick.logical_time);
        Some(ScheduleRecord { name: name.to_owned(), definition: definition.clone(), since: *since, last_tick })
    }

    pub(super) fn ticks_of(&self, schedule: &str) -> impl DoubleEndedIterator<Item = &Tick> {
        let key = |time| (schedule.to_owned(), Timestamp(time));
        self.ticks.range(key(i64::MIN)..=key(i64::MAX)).map(|(_, tick)| tick)
    }

    /// None of the times is recorded yet, and none stands twice in `times`.
    pub(super) fn check_new_ticks(&self, schedule: &str, times: &[Timestamp]) -> Result<()> {
        if !self.schedules.contains_key(schedule) {
            return Err(Error::not_found(format!("schedule {schedule}")));
        }
        let mut seen = BTreeSet::new();
        for time in times {
            if !seen.insert(time) || self.ticks.contains_key(&(schedule.to_owned(), *time)) {
                let what = format!("tick {} of schedule {schedule}", time.as_micros());
                return Err(Error::conflict(what, "not recorded yet"));
            }
        }
        Ok(())
    }

    pub(super) fn insert_tick(&mut self, schedule: &str, time: Timestamp, outcome: TickOutcome, at: Timestamp) {
        let tick = Tick { schedule: schedule.to_owned(), logical_time: time, outcome, recorded_at: at };
        self.ticks.insert((schedule.to_owned(), time), tick);
    }

    pub(super) fn held(&mut self, lease: &Lease) -> Result<&mut Lease> {
        let held = self.leases.get_mut(&lease.name);
        held.filter(|held| held.owner == lease.owner && held.epoch == lease.epoch).ok_or_else(|| lost(lease))
    }
}

pub(super) fn lost(lease: &Lease) -> Error {
    Error::conflict(format!("lease {}", lease.name), format!("owner {} in epoch {}", lease.owner.0, lease.epoch))
}

fn change_step(steps: &mut Vec<Step>, run: RunId, change: &StepChange) -> Result<()> {
    check_step_change(change.from, change.to)?;
    let what = format!("step {} of run {run}", change.node);
    let index = match (change.from, steps.iter().position(|step| step.node == change.node)) {
        (None, Some(_)) => return Err(Error::conflict(what, "not recorded yet")),
        (Some(_), None) => return Err(Error::not_found(what)),
        (None, None) => {
            steps.push(new_step(run, change, steps.len()));
            steps.len() - 1
        }
        (Some(_), Some(index)) => index,
    };
    let step = steps.get_mut(index).ok_or_else(|| Error::not_found(what.clone()))?;
    match change.from {
        Some(from) if step.status != from => return Err(Error::conflict(what, from.as_str())),
        _ => apply_change(step, change),
    }
    Ok(())
}

fn new_step(run: RunId, change: &StepChange, ordinal: usize) -> Step {
    Step {
        run,
        node: change.node.clone(),
        kind: change.kind.clone(),
        status: change.to,
        ordinal: i64::try_from(ordinal).unwrap_or(i64::MAX),
        started_at: None,
        finished_at: None,
        result: StepResult::default(),
    }
}

fn apply_change(step: &mut Step, change: &StepChange) {
    step.status = change.to;
    if change.to == StepStatus::Running {
        step.started_at = Some(change.at);
    }
    step.finished_at = change.to.is_final().then_some(change.at);
    let result = change.result.clone();
    step.result.rows = result.rows.or(step.result.rows);
    step.result.message = result.message.or_else(|| step.result.message.take());
    step.result.compiled_path = result.compiled_path.or_else(|| step.result.compiled_path.take());
    step.result.table_version = result.table_version.or(step.result.table_version);
}
