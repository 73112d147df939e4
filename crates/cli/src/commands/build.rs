//! `headwater build`, `run`, `test`, `seed`, `snapshot` and `clone`.

use std::sync::Arc;

use headwater_app::view::RunReport;
use headwater_app::{BuildCommand, BuildRequest, EventTimeSpan, Instance};
use headwater_project::{Failure, Timestamp};
use headwater_server::wire;

use super::{Context, Stop, deferred, selection};
use crate::args::{Build, CloneArgs, Defer, RowOutput, Seed};
use crate::print::{RowsOut, write_rows};
use crate::progress::{RunLines, summary};
use crate::signals::Interrupt;

pub(super) async fn build(context: &Context, command: BuildCommand, build: Build) -> Result<(), Stop> {
    let instance = context.writer().await?;
    let request = request(context, &instance, command, build)?;
    requested(context, &instance, request).await.map(drop)
}

/// Loads seeds, and shows the first rows of each where that is asked for.
pub(super) async fn seed(context: &Context, seed: Seed) -> Result<(), Stop> {
    let instance = context.writer().await?;
    let request = request(context, &instance, BuildCommand::Seed, seed.build)?;
    let relations = requested(context, &instance, request).await?;
    for relation in relations.iter().filter(|_| seed.show) {
        let (schema, table) = relation.split_once('.').unwrap_or(("", relation));
        context.printer.words(&format!("First rows of {relation}:"));
        let sql = format!("select * from \"{schema}\".\"{table}\" limit {SHOWN_ROWS}");
        let stream = instance.query(&sql, Vec::new()).await?;
        write_rows(RowsOut::new(&context.printer, &RowOutput::default())?, stream).await?;
    }
    Ok(())
}

/// Rows of a seed that are shown.
const SHOWN_ROWS: usize = 10;

fn request(context: &Context, instance: &Instance, command: BuildCommand, build: Build) -> Result<BuildRequest, Stop> {
    let selection = selection(build.select);
    Ok(BuildRequest {
        command,
        full_refresh: build.full_refresh,
        force: build.force,
        empty: build.empty,
        store_failures: build.store_failures,
        fail_fast: build.fail_fast,
        event_time_start: build.event_time_start,
        event_time_end: build.event_time_end,
        sample: build.sample.map(|text| sample(&text, instance.now())).transpose()?,
        defer: deferred(build.defer, selection.state.as_deref())?,
        selection,
        threads: context.open.threads,
        trigger: "manual",
    })
}

fn sample(text: &str, now: Timestamp) -> Result<EventTimeSpan, Failure> {
    let wrong = |reason| Failure::user(format!("--sample cannot be `{text}`")).with_detail(format!("{reason}."));
    headwater_app::parse_sample(text, now).map_err(wrong)
}

/// Always needs the manifest of another run.
pub(super) async fn clone(context: &Context, clone: CloneArgs) -> Result<(), Stop> {
    let selection = selection(clone.select);
    let defer = Defer { defer: true, defer_state: clone.defer_state, ..Defer::default() };
    let request = BuildRequest {
        command: BuildCommand::Clone,
        full_refresh: clone.full_refresh,
        defer: deferred(defer, selection.state.as_deref())?,
        selection,
        threads: context.open.threads,
        trigger: "manual",
        ..BuildRequest::default()
    };
    let instance = context.writer().await?;
    requested(context, &instance, request).await.map(drop)
}

/// Runs it and returns the relations it went through.
async fn requested(context: &Context, instance: &Instance, request: BuildRequest) -> Result<Vec<String>, Stop> {
    let interrupt = Interrupt::listen(&context.printer)?;
    let report = run(context, instance, request, &interrupt).await?;
    let succeeded = report.succeeded;
    let relations = report.steps.iter().filter_map(|step| step.relation.clone()).collect();
    if context.printer.json {
        context.printer.json(&wire::RunReport::from(report))?;
    }
    if succeeded { Ok(relations) } else { Err(Stop::Findings) }
}

/// Builds with a line for each step, what went wrong in full, and a summary.
pub(super) async fn run(
    context: &Context,
    instance: &Instance,
    request: BuildRequest,
    interrupt: &Interrupt,
) -> Result<RunReport, Stop> {
    let lines = Arc::new(RunLines::start(&context.printer));
    let report = instance.build(request, lines.clone(), interrupt.token.clone()).await;
    lines.finish();
    let report = report?;
    for step in report.steps.iter().filter(|step| step.outcome.is_bad()) {
        if let Some(failure) = &step.failure {
            context.printer.step_failure(&step.kind, &step.name, failure);
        }
    }
    context.printer.words(&summary(&report));
    Ok(report)
}
