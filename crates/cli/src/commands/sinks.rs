//! `headwater export status`.

use headwater_app::Project;
use headwater_project::Failure;
use headwater_server::wire;
use serde_json::Value;

use super::{Context, Stop};
use crate::args::ExportAction;
use crate::print::{Align, Table, grouped, seconds};
use crate::running::answer::{chosen, error_of, moment, number, text};
use crate::running::ask_running;

pub(super) async fn look(context: &Context, action: ExportAction) -> Result<(), Stop> {
    let ExportAction::Status { sink } = action;
    let process = Project::load(&context.open)?.announced();
    let asked = ask_running(process.as_ref(), "GET", "/api/sinks", &Value::Null).await?;
    let sinks = match asked {
        Some(Value::Array(sinks)) => sinks,
        _ => at_rest(context).await?,
    };
    let sinks = chosen(sinks, sink.as_deref(), "sink")?;
    if context.printer.json {
        context.printer.json(&sinks)?;
    } else {
        show(context, &sinks)?;
    }
    // One that is at its next try shows what the last one ended with.
    let is_failed = |sink: &Value| !sink["error"].is_null() && !matches!(text(sink, "state"), "retrying" | "running");
    if sinks.iter().any(is_failed) { Err(Stop::Findings) } else { Ok(()) }
}

/// What the destinations say.
async fn at_rest(context: &Context) -> Result<Vec<Value>, Stop> {
    let instance = context.reader_of_any_project().await?;
    let mut sinks = Vec::new();
    for summary in instance.sinks_at_rest().await? {
        let sink = serde_json::to_value(wire::Sink::from(summary));
        sinks.push(sink.map_err(|error| Failure::internal(error.to_string()))?);
    }
    Ok(sinks)
}

fn show(context: &Context, sinks: &[Value]) -> Result<(), Stop> {
    let is_running = sinks.iter().any(|sink| sink["is_running"] == true);
    if !is_running {
        context.printer.words("No process runs this project: this is what the destinations say.");
    }
    context.printer.table(&table(sinks, is_running))?;
    for failure in sinks.iter().filter_map(|sink| error_of(text(sink, "name"), sink)) {
        context.printer.failure(&failure);
    }
    Ok(())
}

fn table(sinks: &[Value], is_running: bool) -> Table {
    let mut columns = vec![
        ("sink", Align::Left),
        ("table", Align::Left),
        ("sends", Align::Left),
        ("to", Align::Left),
        ("state", Align::Left),
        ("there", Align::Left),
        ("waiting", Align::Right),
        ("behind", Align::Right),
    ];
    if is_running {
        columns.extend([("rows sent", Align::Right), ("last sent", Align::Left)]);
    }
    let mut table = Table::new(&columns);
    for sink in sinks {
        table.row(&row(sink, is_running));
    }
    table
}

fn row(sink: &Value, is_running: bool) -> Vec<String> {
    let count = |key: &str| number(&sink[key]).map(grouped).unwrap_or_default();
    let there = match number(&sink["version"]) {
        Some(version) => format!("version {version}"),
        None => moment(sink, "up_to"),
    };
    let mut cells = vec![
        text(sink, "name").to_owned(),
        text(sink, "table").to_owned(),
        text(sink, "sends").to_owned(),
        format!("{} {}", text(sink, "kind"), text(sink, "destination")),
        text(sink, "state").to_owned(),
        there,
        count("waiting_rows"),
        sink["behind_seconds"].as_f64().map(seconds).unwrap_or_default(),
    ];
    if is_running {
        cells.extend([count("rows_sent"), moment(sink, "last_sent_at")]);
    }
    cells
}
