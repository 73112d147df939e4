//! Past runs, for showing.

use headwater_project::{Classify, Failure};
use headwater_state::{Run, RunId, Step};
use headwater_transform::NodeId;

use crate::build::compiled_path;
use crate::instance::Instance;
use crate::view::{RunSummary, StepSummary};

pub(crate) fn run_summary(run: &Run) -> RunSummary {
    RunSummary {
        id: run.id.0,
        job: run.job.clone(),
        command: run.command.clone(),
        trigger: run.trigger.as_str().to_owned(),
        selection: run.selection.clone(),
        status: run.status.as_str().to_owned(),
        queued_at: run.queued_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        message: run.message.clone(),
    }
}

/// What starts the line of a recorded message that says what to do.
const HINT: &str = "hint: ";

/// A failure as a step records it: the message, then lines of detail, then one of what to do.
pub(crate) fn recorded(failure: &Failure) -> String {
    let detail = failure.detail.iter().map(|detail| format!("\n{detail}"));
    let hint = failure.hint.iter().map(|hint| format!("\n{HINT}{hint}"));
    std::iter::once(failure.message.clone()).chain(detail).chain(hint).collect()
}

pub(crate) fn first_line(recorded: &str) -> String {
    recorded.lines().next().unwrap_or_default().to_owned()
}

fn parts(recorded: &str) -> (Option<String>, Option<String>, Option<String>) {
    let (rest, hint) = match recorded.rsplit_once('\n').map(|(rest, last)| (rest, last.strip_prefix(HINT))) {
        Some((rest, Some(hint))) => (rest, Some(hint.to_owned())),
        _ => (recorded, None),
    };
    match rest.split_once('\n') {
        Some((message, detail)) => (Some(message.to_owned()), Some(detail.to_owned()), hint),
        None => (Some(rest.to_owned()), None, hint),
    }
}

impl Instance {
    /// The newest runs first.
    pub async fn runs(&self, limit: usize) -> Result<Vec<RunSummary>, Failure> {
        let runs = self.state.runs(None, limit).map_err(|error| error.failure())?;
        Ok(runs.iter().map(run_summary).collect())
    }

    /// A run with its steps.
    pub async fn run(&self, id: i64) -> Result<(RunSummary, Vec<StepSummary>), Failure> {
        let run = self.state.run(RunId(id)).map_err(|error| error.failure())?;
        let run = run
            .ok_or_else(|| Failure::user(format!("there is no run {id}")).with_hint("`headwater runs` lists them."))?;
        let steps = self.state.steps(RunId(id)).map_err(|error| error.failure())?;
        let steps = steps.into_iter().map(|step| self.step_summary(step)).collect();
        Ok((run_summary(&run), steps))
    }

    fn step_summary(&self, step: Step) -> StepSummary {
        let compiled = self.project().transform.node(&NodeId::new(&step.node)).map(|node| compiled_path(self, node));
        let (message, detail, hint) = step.result.message.as_deref().map(parts).unwrap_or_default();
        StepSummary {
            compiled_sql: compiled.and_then(|path| std::fs::read_to_string(path).ok()),
            id: step.node,
            kind: step.kind,
            status: step.status.as_str().to_owned(),
            started_at: step.started_at,
            finished_at: step.finished_at,
            rows: step.result.rows,
            message,
            detail,
            hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failure: &Failure) {
        let (message, detail, hint) = parts(&recorded(failure));
        assert_eq!(
            (message.as_deref(), &detail, &hint),
            (Some(failure.message.as_str()), &failure.detail, &failure.hint)
        );
    }

    #[test]
    fn what_a_step_records_of_a_failure_is_read_back() {
        check(&Failure::user("no such column"));
        check(&Failure::user("no such column").with_detail("It is `a`.\nOr `b`."));
        check(&Failure::user("no such column").with_hint("Use `b`."));
        check(&Failure::user("no such column").with_detail("It is `a`.").with_hint("Use `b`."));
    }
}
