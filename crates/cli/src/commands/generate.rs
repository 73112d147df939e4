//! `headwater generate`.

use std::sync::Arc;

use headwater_app::view::GeneratorStatus;
use headwater_app::{GenerateRequest, Instance, Project, Stopwatch};
use headwater_server::wire;

use super::{Context, Stop, check};
use crate::args::Generate;
use crate::print::{Align, Table, grouped, seconds};
use crate::progress::Spinner;
use crate::signals::Interrupt;

pub(super) async fn generate(context: &Context, generate: Generate) -> Result<(), Stop> {
    if generate.check {
        let project = Project::load(&context.open)?;
        return check::report(context, project.generator_findings());
    }
    let instance = context.writer().await?;
    let request = GenerateRequest {
        sources: generate.sources,
        users: generate.users,
        seed: generate.seed,
        start: generate.start,
        end: generate.end,
        max_events: generate.max_events,
        null_sink: generate.null_sink,
    };
    let interrupt = Interrupt::listen(&context.printer)?;
    let statuses = run(context, &instance, request, &interrupt).await?;
    if context.printer.json {
        let statuses: Vec<wire::Generator> = statuses.into_iter().map(Into::into).collect();
        return context.printer.json(&statuses);
    }
    context.printer.table(&table(&statuses))
}

/// Generates the backlog and says how fast.
pub(super) async fn run(
    context: &Context,
    instance: &Instance,
    request: GenerateRequest,
    interrupt: &Interrupt,
) -> Result<Vec<GeneratorStatus>, Stop> {
    let watch = Stopwatch::start();
    let spinner = Arc::new(Spinner::start(&context.printer, "generating"));
    let statuses = instance.generate(request, spinner.clone(), interrupt.token.clone()).await;
    spinner.finish();
    let statuses = statuses?;
    let delivered: u64 = statuses.iter().map(|status| status.delivered).sum();
    let took = watch.elapsed().as_secs_f64();
    context.printer.words(&format!("Generated: {} events in all, {}.", grouped(delivered), seconds(took)));
    Ok(statuses)
}

fn table(statuses: &[GeneratorStatus]) -> Table {
    let mut table = Table::new(&[
        ("source", Align::Left),
        ("state", Align::Left),
        ("topic", Align::Left),
        ("delivered", Align::Right),
        ("late", Align::Right),
        ("duplicates", Align::Right),
        ("malformed", Align::Right),
    ]);
    for status in statuses {
        let count = |number: u64| grouped(number);
        table.row(&[
            status.source.clone(),
            status.state.clone(),
            "(all)".into(),
            count(status.delivered),
            count(status.late),
            count(status.duplicates),
            count(status.malformed),
        ]);
        for (topic, delivered) in &status.by_topic {
            table.row(&[status.source.clone(), String::new(), topic.clone(), count(*delivered)]);
        }
    }
    table
}
