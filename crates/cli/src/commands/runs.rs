//! `headwater runs`.

use headwater_app::rfc3339;
use headwater_app::view::{RunSummary, StepSummary};
use headwater_project::{Failure, Timestamp};
use headwater_server::wire;

use super::{Context, Stop};
use crate::print::{Align, Table, grouped, seconds};

pub(super) async fn runs(context: &Context, id: Option<i64>, log: bool, limit: usize) -> Result<(), Stop> {
    let instance = context.reader_of_any_project().await?;
    match id {
        None => list(context, instance.runs(limit).await?),
        Some(id) if log => {
            let (run, _) = instance.run(id).await?;
            said(context, &run, instance.run_log(id)?)
        }
        Some(id) => {
            let (run, steps) = instance.run(id).await?;
            one(context, run, steps)
        }
    }
}

fn list(context: &Context, runs: Vec<RunSummary>) -> Result<(), Stop> {
    if context.printer.json {
        let runs: Vec<wire::Run> = runs.into_iter().map(Into::into).collect();
        return context.printer.json(&runs);
    }
    let mut table = Table::new(&[
        ("run", Align::Right),
        ("command", Align::Left),
        ("job", Align::Left),
        ("trigger", Align::Left),
        ("status", Align::Left),
        ("queued", Align::Left),
        ("took", Align::Right),
        ("message", Align::Left),
    ]);
    for run in runs {
        table.row(&[
            run.id.to_string(),
            run.command,
            run.job.unwrap_or_default(),
            run.trigger,
            run.status,
            rfc3339(run.queued_at),
            took(run.started_at, run.finished_at),
            run.message.unwrap_or_default(),
        ]);
    }
    context.printer.table(&table)
}

fn one(context: &Context, run: RunSummary, steps: Vec<StepSummary>) -> Result<(), Stop> {
    if context.printer.json {
        let steps = steps.into_iter().map(Into::into).collect();
        return context.printer.json(&wire::RunWithSteps { run: run.into(), steps });
    }
    let queued = rfc3339(run.queued_at);
    context.printer.words(&format!("Run {}: {} {}, queued {queued}", run.id, run.command, run.status));
    let mut table = Table::new(&[
        ("step", Align::Left),
        ("kind", Align::Left),
        ("status", Align::Left),
        ("rows", Align::Right),
        ("took", Align::Right),
        ("message", Align::Left),
    ]);
    for step in steps {
        let rows = step.rows.map(|rows| u64::try_from(rows).map_or_else(|_| rows.to_string(), grouped));
        table.row(&[
            step.id,
            step.kind,
            step.status,
            rows.unwrap_or_default(),
            took(step.started_at, step.finished_at),
            step.message.unwrap_or_default(),
        ]);
    }
    context.printer.table(&table)
}

fn said(context: &Context, run: &RunSummary, log: Option<String>) -> Result<(), Stop> {
    let log = log.ok_or_else(|| {
        Failure::user(format!("nothing is kept of what run {} said", run.id))
            .with_hint("Logs are kept of the newest runs, in .headwater/target/logs.")
    })?;
    if context.printer.json {
        return context.printer.json(&log.lines().collect::<Vec<_>>());
    }
    context.printer.data(log.as_bytes())
}

fn took(started: Option<Timestamp>, finished: Option<Timestamp>) -> String {
    match (started, finished) {
        (Some(started), Some(finished)) => seconds(finished.since(started).as_secs_f64()),
        _ => String::new(),
    }
}
