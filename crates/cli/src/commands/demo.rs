//! `headwater demo`: a reference project from nothing to live, in one command.

use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_app::view::{Status, TileAnswer};
use headwater_app::{BuildRequest, GenerateRequest, Instance, UpOptions, example_names, extract_example};
use headwater_project::Failure;

use super::{Context, Stop, build, dashboards, generate, ingest};
use crate::args::{AccessOptions, Demo};
use crate::print::{Printer, batch_table, grouped};
use crate::serving::{Serving, ServingOptions};
use crate::signals::Interrupt;

/// Users of a new demo: as many as make something happen every few seconds of real time.
const USERS: u64 = 10_000;

/// How long a demo without a terminal is live.
const UNWATCHED: Duration = Duration::from_secs(60);

pub(super) async fn demo(context: &Context, demo: Demo) -> Result<(), Stop> {
    let interrupt = Interrupt::listen(&context.printer)?;
    let is_new = !is_project(&demo.dir.clone().unwrap_or_else(|| default_folder(&demo)));
    let folder = project_folder(context, &demo)?;
    let mut open = context.open.clone();
    open.project_dir = folder.clone();
    let context = context.of_project(open);
    let instance = context.writer().await?;
    let users = demo.users.or(is_new.then_some(USERS));
    let request = GenerateRequest { users, max_events: demo.events, ..GenerateRequest::default() };
    backlog(&context, &instance, request, &interrupt).await?;
    if interrupt.token.is_cancelled() {
        return Ok(());
    }
    let options = ServingOptions {
        port: demo.port,
        for_duration: for_duration(&demo, context.printer.stdout_is_terminal),
        access: AccessOptions::default(),
        up: Some(UpOptions { build_every: Some(demo.build_every), speed: demo.speed }),
        page: "",
    };
    let serving = Serving::start(&context.printer, instance.clone(), options).await?;
    let folder = folder.display();
    context.printer.words(&format!("In another terminal: headwater -C {folder} tables"));
    serving.until_end(&interrupt, |status| Box::pin(numbers(&context.printer, &instance, status))).await
}

/// A demo nobody can stop by hand ends by itself, unless it was asked to stay.
fn for_duration(demo: &Demo, has_terminal: bool) -> Option<Duration> {
    demo.for_duration.or((!has_terminal && !demo.stay).then_some(UNWATCHED))
}

/// Extracts the project, or goes on with the one that is there.
fn project_folder(context: &Context, demo: &Demo) -> Result<PathBuf, Failure> {
    if !example_names().contains(&demo.project) {
        let names = example_names().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(Failure::user(format!("there is no reference project `{}`", demo.project))
            .with_hint(format!("The projects are {names}.")));
    }
    let folder = demo.dir.clone().unwrap_or_else(|| default_folder(demo));
    if is_project(&folder) {
        context.printer.words(&format!("Going on with the project in {}", folder.display()));
        return Ok(folder);
    }
    let folder = extract_example(&demo.project, &folder)?;
    context.printer.words(&format!("The project is in {}", folder.display()));
    Ok(folder)
}

fn default_folder(demo: &Demo) -> PathBuf {
    PathBuf::from(format!("headwater-demo-{}", demo.project))
}

fn is_project(folder: &Path) -> bool {
    folder.join("headwater.yml").is_file()
}

/// Past events into the log, from there into the lake, and models from it; then what the dashboards say.
async fn backlog(
    context: &Context,
    instance: &Instance,
    request: GenerateRequest,
    interrupt: &Interrupt,
) -> Result<(), Stop> {
    generate::run(context, instance, request, interrupt).await?;
    ingest::run(context, instance, &[], interrupt).await?;
    let build = BuildRequest { threads: context.open.threads, trigger: "manual", ..BuildRequest::default() };
    let report = build::run(context, instance, build, interrupt).await?;
    if interrupt.token.is_cancelled() {
        return Ok(());
    }
    if !report.succeeded {
        return Err(Stop::Findings);
    }
    dashboards::print_answers(&context.printer, &instance.dashboard(None).await?)
}

/// One line with how much came in and what the number tiles say now.
async fn numbers(printer: &Printer, instance: &Instance, status: Status) -> Result<(), Stop> {
    let mut parts = Vec::new();
    for answer in instance.dashboard(None).await? {
        parts.extend(number_of(&answer));
    }
    let delivered: u64 = status.generators.iter().map(|generator| generator.delivered).sum();
    parts.push(format!("{} events generated", grouped(delivered)));
    let lag: u64 = status.pipelines.iter().map(|pipeline| pipeline.lag).sum();
    parts.push(format!("{} not in the lake yet", grouped(lag)));
    printer.line(&format!("{}  {}", crate::progress::time_of_day(status.now), parts.join(" · ")))
}

/// `Title 1,234` for a tile that is one number.
fn number_of(answer: &TileAnswer) -> Option<String> {
    let rows = answer.result.as_ref().ok().filter(|_| answer.kind == "number")?;
    let (table, _) = batch_table(&rows.schema, &rows.batches, 1).ok()?;
    let value = table.first_cell()?;
    let value = value.parse::<u64>().map_or_else(|_| value.to_owned(), grouped);
    Some(format!("{} {value}", answer.title))
}
