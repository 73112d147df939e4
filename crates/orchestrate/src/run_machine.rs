//! Which steps of a run are ready, given how the others ended.
//!
//! ```text
//! waiting -> running -> done(outcome)
//! waiting -> skipped      when a step it needs, directly or not, failed or was cancelled
//! waiting -> cancelled
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// Done, with a finding that does not stop the run.
    Warned,
    /// Nothing to do; what is published stays.
    Unchanged,
    Failed,
    Cancelled,
}

impl Outcome {
    fn lets_others_run(self) -> bool {
        matches!(self, Self::Succeeded | Self::Warned | Self::Unchanged)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    Waiting,
    Running,
    Done(Outcome),
    /// Not tried, because this step failed or was cancelled.
    Skipped {
        because: String,
    },
    /// Not tried, because the run was cancelled.
    Cancelled,
}

impl StepState {
    fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done(_) => "done",
            Self::Skipped { .. } => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Clone, Debug)]
struct Step {
    state: StepState,
    /// Needed steps that have not ended well yet.
    blocked_by: usize,
    needed_by: Vec<String>,
}

/// The steps of one run. Steps are offered in name order, at most `parallelism` running at a time.
#[derive(Clone, Debug)]
pub struct RunMachine {
    steps: BTreeMap<String, Step>,
    /// Waiting steps that nothing blocks.
    ready: BTreeSet<String>,
    running: usize,
    parallelism: usize,
}

impl RunMachine {
    /// `needs` maps every step to the steps it needs; names that are not steps of the run are taken as done.
    pub fn new(needs: &BTreeMap<String, BTreeSet<String>>, parallelism: usize) -> Result<Self, Error> {
        let mut steps: BTreeMap<String, Step> = needs
            .iter()
            .map(|(name, needed)| {
                let blocked_by = needed.iter().filter(|needed| needs.contains_key(*needed)).count();
                (name.clone(), Step { state: StepState::Waiting, blocked_by, needed_by: Vec::new() })
            })
            .collect();
        for (name, needed) in needs {
            for one in needed {
                if let Some(step) = steps.get_mut(one) {
                    step.needed_by.push(name.clone());
                }
            }
        }
        let unblocked = steps.iter().filter(|(_, step)| step.blocked_by == 0).map(|(name, _)| name.clone());
        let ready = unblocked.collect();
        let machine = Self { steps, ready, running: 0, parallelism: parallelism.max(1) };
        machine.check_acyclic()?;
        Ok(machine)
    }

    fn check_acyclic(&self) -> Result<(), Error> {
        let mut blocked: BTreeMap<&str, usize> =
            self.steps.iter().map(|(name, step)| (name.as_str(), step.blocked_by)).collect();
        let mut free: Vec<&str> = self.ready.iter().map(String::as_str).collect();
        while let Some(name) = free.pop() {
            blocked.remove(name);
            for dependent in self.steps.get(name).into_iter().flat_map(|step| &step.needed_by) {
                if let Some(count) = blocked.get_mut(dependent.as_str()) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        free.push(dependent);
                    }
                }
            }
        }
        if blocked.is_empty() {
            return Ok(());
        }
        Err(Error::Cycle { steps: blocked.into_keys().map(str::to_owned).collect() })
    }

    /// Steps to start now.
    pub fn ready(&self) -> Vec<String> {
        self.ready.iter().take(self.parallelism.saturating_sub(self.running)).cloned().collect()
    }

    pub fn started(&mut self, step: &str) -> Result<(), Error> {
        self.change(step, &StepState::Waiting, StepState::Running)?;
        self.ready.remove(step);
        self.running += 1;
        Ok(())
    }

    /// Records the end of a running step and returns the steps that will not be tried because of it, in name order.
    pub fn finished(&mut self, step: &str, outcome: Outcome) -> Result<Vec<String>, Error> {
        self.change(step, &StepState::Running, StepState::Done(outcome))?;
        self.running = self.running.saturating_sub(1);
        let needed_by = self.steps.get(step).map(|found| found.needed_by.clone()).unwrap_or_default();
        if !outcome.lets_others_run() {
            return Ok(self.skip(needed_by, step));
        }
        for name in needed_by {
            if let Some(dependent) = self.steps.get_mut(&name) {
                dependent.blocked_by = dependent.blocked_by.saturating_sub(1);
                if dependent.blocked_by == 0 && dependent.state == StepState::Waiting {
                    self.ready.insert(name);
                }
            }
        }
        Ok(Vec::new())
    }

    /// Gives up every step that has not begun and returns them in name order; running ones are still to be finished.
    pub fn cancel(&mut self) -> Vec<String> {
        let mut cancelled = Vec::new();
        for (name, step) in &mut self.steps {
            if step.state == StepState::Waiting {
                step.state = StepState::Cancelled;
                cancelled.push(name.clone());
            }
        }
        self.ready.clear();
        cancelled
    }

    pub fn is_done(&self) -> bool {
        self.running == 0 && self.ready.is_empty()
    }

    pub fn state(&self, step: &str) -> Option<&StepState> {
        self.steps.get(step).map(|step| &step.state)
    }

    pub fn states(&self) -> impl Iterator<Item = (&str, &StepState)> {
        self.steps.iter().map(|(name, step)| (name.as_str(), &step.state))
    }

    fn change(&mut self, name: &str, from: &StepState, to: StepState) -> Result<(), Error> {
        let step = self.steps.get_mut(name).ok_or_else(|| Error::UnknownStep { step: name.to_owned() })?;
        let blocked = to == StepState::Running && step.blocked_by > 0;
        if step.state != *from || blocked {
            let from = if blocked { "blocked" } else { step.state.name() };
            return Err(Error::IllegalStep { step: name.to_owned(), from, to: to.name() });
        }
        step.state = to;
        Ok(())
    }

    fn skip(&mut self, first: Vec<String>, because: &str) -> Vec<String> {
        let mut pending = first;
        let mut skipped = BTreeSet::new();
        while let Some(name) = pending.pop() {
            let Some(step) = self.steps.get_mut(&name).filter(|step| step.state == StepState::Waiting) else {
                continue;
            };
            step.state = StepState::Skipped { because: because.to_owned() };
            pending.extend(step.needed_by.iter().cloned());
            skipped.insert(name);
        }
        skipped.into_iter().collect()
    }
}
