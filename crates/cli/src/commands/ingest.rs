//! `headwater ingest`.

use std::sync::Arc;

use headwater_app::view::PipelineStatus;
use headwater_app::{Instance, Project, Stopwatch};
use headwater_project::Failure;
use headwater_server::wire;
use serde_json::json;

use super::sources::{path, steered};
use super::{Context, Stop};
use crate::print::{Align, Table, bytes, grouped, seconds};
use crate::progress::Spinner;
use crate::running::ask_running;
use crate::signals::Interrupt;

pub(super) async fn ingest(
    context: &Context,
    sources: &[String],
    restart: bool,
    recopy: &[String],
) -> Result<(), Stop> {
    if !recopy.is_empty() && asked_running(context, only_one(sources)?, recopy).await? {
        return Ok(());
    }
    let instance = context.writer().await?;
    for table in recopy {
        instance.resnapshot(only_one(sources)?, table).await?;
    }
    if restart {
        instance.restart_sources(sources).await?;
    }
    let interrupt = Interrupt::listen(&context.printer)?;
    let statuses = run(context, &instance, sources, &interrupt).await?;
    let mut failed = false;
    for failure in statuses.iter().filter_map(|status| status.error.as_ref()) {
        failed = true;
        context.printer.failure(failure);
    }
    if context.printer.json {
        let statuses: Vec<wire::Pipeline> = statuses.into_iter().map(Into::into).collect();
        context.printer.json(&statuses)?;
    } else {
        context.printer.table(&table(&statuses))?;
    }
    if failed { Err(Stop::Findings) } else { Ok(()) }
}

fn only_one(sources: &[String]) -> Result<&str, Failure> {
    match sources {
        [source] => Ok(source),
        _ => Err(Failure::user("`--recopy` is about tables of one source")
            .with_hint("Name one: `headwater ingest SOURCE --recopy TABLE`.")),
    }
}

/// Has the process that runs the project, if one does, copy tables again: it has their stream.
async fn asked_running(context: &Context, source: &str, tables: &[String]) -> Result<bool, Stop> {
    let process = Project::load(&context.open)?.announced();
    for table in tables {
        let body = json!({ "table": table });
        if ask_running(process.as_ref(), "POST", &path(source, "/recopy"), &body).await?.is_none() {
            return Ok(false);
        }
        let how = "is copied again by the process that runs; `headwater ingest status` and its page tell how far it is";
        steered(context, source, Some(table), how)?;
    }
    Ok(true)
}

/// Ingests what is there and says how fast.
pub(super) async fn run(
    context: &Context,
    instance: &Instance,
    sources: &[String],
    interrupt: &Interrupt,
) -> Result<Vec<PipelineStatus>, Stop> {
    let watch = Stopwatch::start();
    let spinner = Arc::new(Spinner::start(&context.printer, "ingesting"));
    let statuses = instance.ingest(sources, interrupt.token.clone(), spinner.clone()).await;
    spinner.finish();
    let statuses = statuses?;
    let rows: u64 = statuses.iter().map(|status| status.rows_out).sum();
    let quarantined: u64 = statuses.iter().map(|status| status.quarantined).sum();
    let took = seconds(watch.elapsed().as_secs_f64());
    context.printer.words(&format!("Ingested: {} rows, {} quarantined, {took}.", grouped(rows), grouped(quarantined)));
    Ok(statuses)
}

pub(super) fn table(statuses: &[PipelineStatus]) -> Table {
    let mut table = Table::new(&[
        ("source", Align::Left),
        ("table", Align::Left),
        ("state", Align::Left),
        ("records", Align::Right),
        ("rows", Align::Right),
        ("quarantined", Align::Right),
        ("read", Align::Right),
        ("lag", Align::Right),
    ]);
    for status in statuses {
        table.row(&[
            status.source.clone(),
            status.table.clone(),
            status.state.clone(),
            grouped(status.records_in),
            grouped(status.rows_out),
            grouped(status.quarantined),
            bytes(status.bytes_in),
            grouped(status.lag),
        ]);
    }
    table
}
