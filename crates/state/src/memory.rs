//! The in-memory form: ordered maps behind one lock. Nothing survives the process; everything else is as in SQLite.
//!
//! A change is checked whole before any of it is applied; that is what makes it atomic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_project::Timestamp;

use crate::error::{Error, Result};
use crate::record::{
    BootId, Fingerprint, Lease, NewRun, Publication, Published, Run, RunEnd, RunId, ScheduleRecord, Step, StepChange,
    StepResult, TestResult, Tick, TickOutcome,
};
use crate::status::{RunStatus, StepStatus, check_run_change, check_step_change};
use crate::store::StateStore;

#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    last_run_id: i64,
    runs: BTreeMap<RunId, Run>,
    /// In the order they were first recorded.
    steps: BTreeMap<RunId, Vec<Step>>,
    tests: BTreeMap<RunId, BTreeMap<String, TestResult>>,
    published: BTreeMap<String, Published>,
    fingerprints: BTreeMap<String, Fingerprint>,
    schedules: BTreeMap<String, (String, Timestamp)>,
    ticks: BTreeMap<(String, Timestamp), Tick>,
    leases: BTreeMap<String, Lease>,
    pins: BTreeMap<String, String>,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `body` changes nothing when it returns an error.
    fn write<T>(&self, body: impl FnOnce(&mut Tables) -> Result<T>) -> Result<T> {
        body(&mut self.lock())
    }
}

impl Tables {
    fn create_run(&mut self, run: &NewRun, at: Timestamp) -> RunId {
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

    fn queued(&mut self, run: RunId) -> Result<&mut Run> {
        let found = self.runs.get_mut(&run).ok_or_else(|| Error::not_found(format!("run {run}")))?;
        if found.status == RunStatus::Queued {
            Ok(found)
        } else {
            Err(Error::conflict(format!("run {run}"), "status queued"))
        }
    }

    fn running(&mut self, run: RunId, owner: &BootId) -> Result<&mut Run> {
        let found = self.runs.get_mut(&run).ok_or_else(|| Error::not_found(format!("run {run}")))?;
        if found.status == RunStatus::Running && found.owner == *owner {
            Ok(found)
        } else {
            Err(Error::conflict(format!("run {run}"), format!("status running under owner {}", owner.0)))
        }
    }

    fn close_steps(&mut self, run: RunId, running_becomes: StepStatus, at: Timestamp) {
        for step in self.steps.entry(run).or_default() {
            step.status = match step.status {
                StepStatus::Running => running_becomes,
                StepStatus::Pending => StepStatus::Cancelled,
                _ => continue,
            };
            step.finished_at = Some(at);
        }
    }

    fn change_steps(&mut self, run: RunId, changes: &[StepChange]) -> Result<()> {
        let mut steps = self.steps.get(&run).cloned().unwrap_or_default();
        for change in changes {
            change_step(&mut steps, run, change)?;
        }
        self.steps.insert(run, steps);
        Ok(())
    }

    fn schedule(&self, name: &str) -> Option<ScheduleRecord> {
        let (definition, since) = self.schedules.get(name)?;
        let last_tick = self.ticks_of(name).next_back().map(|tick| tick.logical_time);
        Some(ScheduleRecord { name: name.to_owned(), definition: definition.clone(), since: *since, last_tick })
    }

    fn ticks_of(&self, schedule: &str) -> impl DoubleEndedIterator<Item = &Tick> {
        let key = |time| (schedule.to_owned(), Timestamp(time));
        self.ticks.range(key(i64::MIN)..=key(i64::MAX)).map(|(_, tick)| tick)
    }

    /// None of the times is recorded yet, and none stands twice in `times`.
    fn check_new_ticks(&self, schedule: &str, times: &[Timestamp]) -> Result<()> {
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

    fn insert_tick(&mut self, schedule: &str, time: Timestamp, outcome: TickOutcome, at: Timestamp) {
        let tick = Tick { schedule: schedule.to_owned(), logical_time: time, outcome, recorded_at: at };
        self.ticks.insert((schedule.to_owned(), time), tick);
    }

    fn held(&mut self, lease: &Lease) -> Result<&mut Lease> {
        let held = self.leases.get_mut(&lease.name);
        held.filter(|held| held.owner == lease.owner && held.epoch == lease.epoch).ok_or_else(|| lost(lease))
    }
}

fn lost(lease: &Lease) -> Error {
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

impl StateStore for MemoryStore {
    fn take_over(&self, owner: &BootId, at: Timestamp) -> Result<Vec<RunId>> {
        self.write(|tables| {
            let mut crashed = Vec::new();
            for run in tables.runs.values_mut() {
                if run.status == RunStatus::Running && run.owner != *owner {
                    run.status = RunStatus::Crashed;
                    run.finished_at = Some(at);
                    run.message = Some(String::from("the process ended during the run"));
                    crashed.push(run.id);
                }
            }
            for run in &crashed {
                tables.close_steps(*run, StepStatus::Crashed, at);
            }
            Ok(crashed)
        })
    }

    fn create_run(&self, run: &NewRun, at: Timestamp) -> Result<RunId> {
        self.write(|tables| Ok(tables.create_run(run, at)))
    }

    fn skip_run_ids(&self, last_used: RunId) -> Result<()> {
        self.write(|tables| {
            tables.last_run_id = tables.last_run_id.max(last_used.0);
            Ok(())
        })
    }

    fn start_run(&self, run: RunId, owner: &BootId, at: Timestamp) -> Result<()> {
        self.write(|tables| {
            let run = tables.queued(run)?;
            run.status = RunStatus::Running;
            run.owner = owner.clone();
            run.started_at = Some(at);
            Ok(())
        })
    }

    fn cancel_queued_run(&self, run: RunId, at: Timestamp) -> Result<()> {
        self.write(|tables| {
            let run = tables.queued(run)?;
            run.status = RunStatus::Cancelled;
            run.finished_at = Some(at);
            Ok(())
        })
    }

    fn finish_run(&self, id: RunId, owner: &BootId, end: &RunEnd, at: Timestamp) -> Result<()> {
        check_run_change(RunStatus::Running, end.status())?;
        self.write(|tables| {
            let run = tables.running(id, owner)?;
            run.status = end.status();
            run.finished_at = Some(at);
            run.message = end.message().map(str::to_owned);
            tables.close_steps(id, StepStatus::Cancelled, at);
            if let RunEnd::Succeeded { publications, fingerprints } = end {
                for publication in publications {
                    let Publication { name, relation } = publication.clone();
                    let published = Published { name, relation, run: id, at };
                    tables.published.insert(publication.name.clone(), published);
                }
                let fingerprints = fingerprints.iter().map(|found| (found.node.clone(), found.clone()));
                tables.fingerprints.extend(fingerprints);
            }
            Ok(())
        })
    }

    fn run(&self, run: RunId) -> Result<Option<Run>> {
        Ok(self.lock().runs.get(&run).cloned())
    }

    fn runs(&self, before: Option<RunId>, limit: usize) -> Result<Vec<Run>> {
        let before = before.unwrap_or(RunId(i64::MAX));
        Ok(self.lock().runs.range(..before).rev().take(limit).map(|(_, run)| run.clone()).collect())
    }

    fn runs_in(&self, status: RunStatus) -> Result<Vec<Run>> {
        Ok(self.lock().runs.values().filter(|run| run.status == status).cloned().collect())
    }

    fn prune_runs(&self, before: Timestamp, keep: usize) -> Result<usize> {
        self.write(|tables| {
            let used: Vec<RunId> = tables.published.values().map(|published| published.run).collect();
            let newest: Vec<RunId> = tables.runs.keys().rev().take(keep).copied().collect();
            let old = |run: &&Run| run.status.is_final() && run.finished_at.is_some_and(|at| at < before);
            let kept = |id: &RunId| used.contains(id) || newest.contains(id);
            let doomed: Vec<RunId> =
                tables.runs.values().filter(old).map(|run| run.id).filter(|id| !kept(id)).collect();
            for id in &doomed {
                tables.runs.remove(id);
                tables.steps.remove(id);
                tables.tests.remove(id);
            }
            Ok(doomed.len())
        })
    }

    fn change_steps(&self, run: RunId, owner: &BootId, changes: &[StepChange]) -> Result<()> {
        self.write(|tables| {
            tables.running(run, owner)?;
            tables.change_steps(run, changes)
        })
    }

    fn steps(&self, run: RunId) -> Result<Vec<Step>> {
        Ok(self.lock().steps.get(&run).cloned().unwrap_or_default())
    }

    fn record_tests(&self, run: RunId, owner: &BootId, results: &[TestResult]) -> Result<()> {
        self.write(|tables| {
            tables.running(run, owner)?;
            let results = results.iter().map(|result| (result.node.clone(), result.clone()));
            tables.tests.entry(run).or_default().extend(results);
            Ok(())
        })
    }

    fn test_results(&self, run: RunId) -> Result<Vec<TestResult>> {
        Ok(self.lock().tests.get(&run).map(|results| results.values().cloned().collect()).unwrap_or_default())
    }

    fn latest_tests(&self) -> Result<Vec<TestResult>> {
        let mut latest = BTreeMap::new();
        for results in self.lock().tests.values() {
            latest.extend(results.clone());
        }
        Ok(latest.into_values().collect())
    }

    fn published(&self) -> Result<Vec<Published>> {
        Ok(self.lock().published.values().cloned().collect())
    }

    fn fingerprints(&self) -> Result<Vec<Fingerprint>> {
        Ok(self.lock().fingerprints.values().cloned().collect())
    }

    fn forget_fingerprints(&self, nodes: &[String]) -> Result<()> {
        self.lock().fingerprints.retain(|node, _| !nodes.contains(node));
        Ok(())
    }

    fn register_schedule(&self, name: &str, definition: &str, since: Timestamp) -> Result<ScheduleRecord> {
        self.write(|tables| {
            let known = tables.schedules.get(name).is_some_and(|(known, _)| known == definition);
            if !known {
                tables.schedules.insert(name.to_owned(), (definition.to_owned(), since));
            }
            tables.schedule(name).ok_or_else(|| Error::not_found(format!("schedule {name}")))
        })
    }

    fn schedules(&self) -> Result<Vec<ScheduleRecord>> {
        let tables = self.lock();
        Ok(tables.schedules.keys().filter_map(|name| tables.schedule(name)).collect())
    }

    fn launch_tick(&self, schedule: &str, logical_time: Timestamp, run: &NewRun, at: Timestamp) -> Result<RunId> {
        self.write(|tables| {
            tables.check_new_ticks(schedule, &[logical_time])?;
            let id = tables.create_run(run, at);
            tables.insert_tick(schedule, logical_time, TickOutcome::Run(id), at);
            Ok(id)
        })
    }

    fn skip_ticks(&self, schedule: &str, ticks: &[(Timestamp, String)], at: Timestamp) -> Result<()> {
        self.write(|tables| {
            let times: Vec<Timestamp> = ticks.iter().map(|(time, _)| *time).collect();
            tables.check_new_ticks(schedule, &times)?;
            for (time, reason) in ticks {
                tables.insert_tick(schedule, *time, TickOutcome::Skipped(reason.clone()), at);
            }
            Ok(())
        })
    }

    fn ticks(&self, schedule: &str, limit: usize) -> Result<Vec<Tick>> {
        Ok(self.lock().ticks_of(schedule).rev().take(limit).cloned().collect())
    }

    fn take_lease(&self, name: &str, owner: &BootId, now: Timestamp, length: Duration) -> Result<Option<Lease>> {
        self.write(|tables| {
            let epoch = match tables.leases.get(name) {
                Some(held) if held.expires_at > now && held.owner != *owner => return Ok(None),
                Some(held) => held.epoch + 1,
                None => 1,
            };
            let expires_at = now.saturating_add(length);
            let lease = Lease { name: name.to_owned(), owner: owner.clone(), epoch, expires_at };
            tables.leases.insert(name.to_owned(), lease.clone());
            Ok(Some(lease))
        })
    }

    fn renew_lease(&self, lease: &Lease, now: Timestamp, length: Duration) -> Result<Lease> {
        self.write(|tables| {
            let held = tables.held(lease)?;
            if held.expires_at <= now {
                return Err(lost(lease));
            }
            held.expires_at = now.saturating_add(length);
            Ok(held.clone())
        })
    }

    fn release_lease(&self, lease: &Lease) -> Result<()> {
        self.write(|tables| {
            tables.held(lease)?.expires_at = Timestamp(i64::MIN);
            Ok(())
        })
    }

    fn pin(&self, key: &str, value: &str) -> Result<String> {
        self.write(|tables| Ok(tables.pins.entry(key.to_owned()).or_insert_with(|| value.to_owned()).clone()))
    }

    fn pinned(&self, key: &str) -> Result<Option<String>> {
        Ok(self.lock().pins.get(key).cloned())
    }

    fn unpin(&self, prefix: &str) -> Result<usize> {
        let mut tables = self.lock();
        let before = tables.pins.len();
        tables.pins.retain(|key, _| !key.starts_with(prefix));
        Ok(before - tables.pins.len())
    }
}
