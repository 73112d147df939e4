//! `headwater build`, `run`, `test` and `seed`.

use std::sync::Arc;

use headwater_app::view::RunReport;
use headwater_app::{BuildCommand, BuildRequest, Instance};
use headwater_server::wire;

use super::{Context, Stop, selection};
use crate::args::Build;
use crate::progress::{RunLines, summary};
use crate::signals::Interrupt;

pub(super) async fn build(context: &Context, command: BuildCommand, build: Build) -> Result<(), Stop> {
    let instance = context.writer().await?;
    let interrupt = Interrupt::listen(&context.printer)?;
    let request = BuildRequest {
        command,
        selection: selection(build.select),
        full_refresh: build.full_refresh,
        force: build.force,
        empty: build.empty,
        store_failures: build.store_failures,
        fail_fast: build.fail_fast,
        event_time_start: build.event_time_start,
        event_time_end: build.event_time_end,
        threads: context.open.threads,
        trigger: "manual",
    };
    let report = run(context, &instance, request, &interrupt).await?;
    let succeeded = report.succeeded;
    if context.printer.json {
        context.printer.json(&wire::RunReport::from(report))?;
    }
    if succeeded { Ok(()) } else { Err(Stop::Findings) }
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
