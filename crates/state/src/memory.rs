//! The in-memory form: ordered maps behind one lock. Nothing survives the process; everything else is as in SQLite.
//!
//! A change is checked whole before any of it is applied; that is what makes it atomic.

mod tables;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_project::Timestamp;

use crate::error::{Error, Result};
use crate::record::{
    BootId, Fingerprint, Lease, NewRun, Paused, Publication, Published, Run, RunEnd, RunId, ScheduleRecord, Step,
    StepChange, TestResult, Tick, TickOutcome,
};
use crate::status::{RunStatus, StepStatus, check_run_change};
use crate::store::StateStore;
use tables::{Tables, lost};

#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
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

    fn pause(&self, name: &str, at: Timestamp) -> Result<()> {
        self.lock().paused.entry(name.to_owned()).or_insert(at);
        Ok(())
    }

    fn resume(&self, name: &str) -> Result<bool> {
        Ok(self.lock().paused.remove(name).is_some())
    }

    fn paused(&self) -> Result<Vec<Paused>> {
        Ok(self.lock().paused.iter().map(|(name, at)| Paused { name: name.clone(), at: *at }).collect())
    }
}
