//! The steps of a run from the first to the last: which begin, what becomes of those that end, and what is put on record.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_orchestrate::{Outcome, RunMachine};
use headwater_project::{Classify, Failure};
use headwater_state::{StepChange, TestResult};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use super::{Run, StepResult};

/// Steps under way for each place at the processors: a step that only waits for its commit to be on disk leaves its place to
/// another.
const STEPS_A_PLACE: usize = 4;

/// How long a finished step may wait to be on record.
const RECORD_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Steps<'a> {
    run: &'a Arc<Run>,
    machine: RunMachine,
    tasks: JoinSet<StepResult>,
    names: HashMap<Id, String>,
    recorder: Recorder,
    results: Vec<StepResult>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(run: &'a Arc<Run>, plan: &Plan, threads: usize) -> Result<Self, Failure> {
        // One thread means one step after the other.
        let steps = if threads == 1 { 1 } else { threads.saturating_mul(STEPS_A_PLACE) };
        Ok(Self {
            machine: RunMachine::new(&plan.needs, steps).map_err(|error| error.failure())?,
            tasks: JoinSet::new(),
            names: HashMap::new(),
            recorder: Recorder::new(run),
            results: Vec::with_capacity(plan.needs.len()),
            run,
        })
    }

    /// Runs them all, or as far as `cancel` lets them: steps under way are given up where they are, and what they wrote is
    /// never published.
    pub(super) async fn run(mut self, cancel: &CancellationToken) -> Result<Vec<StepResult>, Failure> {
        while !self.machine.is_done() {
            if cancel.is_cancelled() {
                self.machine.cancel();
                self.tasks.abort_all();
            }
            self.begin()?;
            let ended = tokio::select! {
                ended = self.tasks.join_next_with_id() => ended,
                () = cancel.cancelled(), if !cancel.is_cancelled() => continue,
            };
            let Some(ended) = ended else { break };
            self.ended(ended)?;
        }
        self.recorder.flush(self.run)?;
        Ok(self.results)
    }

    /// None of them is tried.
    pub(super) fn skip_all(mut self) -> Result<Vec<StepResult>, Failure> {
        self.give_up()?;
        self.recorder.flush(self.run)?;
        Ok(self.results)
    }

    fn begin(&mut self) -> Result<(), Failure> {
        for step in self.machine.ready() {
            self.machine.started(&step).map_err(|error| error.failure())?;
            let (run, name) = (Arc::clone(self.run), step.clone());
            let task = self.tasks.spawn(async move { run.step(&step).await });
            self.names.insert(task.id(), name);
        }
        Ok(())
    }

    fn ended(&mut self, ended: Result<(Id, StepResult), JoinError>) -> Result<(), Failure> {
        let result = match ended {
            Ok((_, result)) => result,
            Err(error) if error.is_cancelled() => {
                let name = self.names.get(&error.id()).cloned().unwrap_or_default();
                self.run.skipped(&name)
            }
            Err(error) => {
                return Err(Failure::internal("a step of the run panicked").with_detail(error.to_string()));
            }
        };
        let outcome = if result.report.outcome.is_bad() { Outcome::Failed } else { Outcome::Succeeded };
        let skipped = self.machine.finished(&result.report.id, outcome).map_err(|error| error.failure())?;
        self.keep(result)?;
        for step in skipped {
            self.keep(self.run.skipped(&step))?;
        }
        if self.run.request.fail_fast && outcome == Outcome::Failed {
            self.give_up()?;
        }
        Ok(())
    }

    fn give_up(&mut self) -> Result<(), Failure> {
        for step in self.machine.cancel() {
            self.keep(self.run.skipped(&step))?;
        }
        Ok(())
    }

    fn keep(&mut self, result: StepResult) -> Result<(), Failure> {
        self.recorder.add(self.run, &result)?;
        self.run.observer.finished(&result.report);
        self.results.push(result);
        Ok(())
    }
}

/// Puts steps on record, several in one transaction: a run of a hundred steps that had nothing to do shall not wait for a
/// hundred disk flushes.
struct Recorder {
    changes: Vec<StepChange>,
    tests: Vec<TestResult>,
    flushed: Duration,
}

impl Recorder {
    fn new(run: &Run) -> Self {
        Self { changes: Vec::new(), tests: Vec::new(), flushed: run.instance.clock.monotonic() }
    }

    fn add(&mut self, run: &Run, result: &StepResult) -> Result<(), Failure> {
        let (changes, test) = run.record_of(result);
        self.changes.extend(changes);
        self.tests.extend(test);
        let waited = run.instance.clock.monotonic().saturating_sub(self.flushed);
        if waited >= RECORD_EVERY { self.flush(run) } else { Ok(()) }
    }

    fn flush(&mut self, run: &Run) -> Result<(), Failure> {
        let (state, boot) = (&run.instance.state, &run.instance.boot);
        let changes = std::mem::take(&mut self.changes);
        let tests = std::mem::take(&mut self.tests);
        if !changes.is_empty() {
            state.change_steps(run.id, boot, &changes).map_err(|error| error.failure())?;
        }
        if !tests.is_empty() {
            state.record_tests(run.id, boot, &tests).map_err(|error| error.failure())?;
        }
        self.flushed = run.instance.clock.monotonic();
        Ok(())
    }
}
