//! `headwater ingest status`, `pause`, `resume` and `rerun`.

use std::time::Duration;

use headwater_app::Project;
use headwater_project::Failure;
use headwater_server::wire;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Context, Stop};
use crate::args::{IngestAction, Steer};
use crate::print::{Align, Table, bytes, grouped, seconds};
use crate::running::answer::{chosen, error_of, list, moment, number, text};
use crate::running::{ask, ask_running};

/// How long a pause is waited for: what was read is committed meanwhile.
const DRAIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Positions told of one table.
const POSITIONS: usize = 2;

pub(super) async fn steer(context: &Context, action: IngestAction) -> Result<(), Stop> {
    match action {
        IngestAction::Status { source } => status(context, source.as_deref()).await,
        IngestAction::Pause(wanted) => pause(context, &wanted).await,
        IngestAction::Resume(wanted) => resume(context, &wanted).await,
        IngestAction::Rerun(wanted) => rerun(context, &wanted).await,
    }
}

async fn status(context: &Context, source: Option<&str>) -> Result<(), Stop> {
    let project = Project::load(&context.open)?;
    let asked = ask_running(project.announced().as_ref(), "GET", "/api/sources", &Value::Null).await?;
    let sources = match asked {
        Some(Value::Array(sources)) => sources,
        _ => at_rest(context).await?,
    };
    let sources = chosen(sources, source, "source")?;
    let failed = sources.iter().any(|source| text(source, "state") == "failed");
    if context.printer.json {
        context.printer.json(&sources)?;
    } else {
        show(context, &sources)?;
    }
    if failed { Err(Stop::Findings) } else { Ok(()) }
}

/// What the commits know.
async fn at_rest(context: &Context) -> Result<Vec<Value>, Stop> {
    let instance = context.reader_of_any_project().await?;
    let mut sources = Vec::new();
    for summary in instance.sources_at_rest().await? {
        let source = serde_json::to_value(wire::Source::from(summary));
        sources.push(source.map_err(|error| Failure::internal(error.to_string()))?);
    }
    Ok(sources)
}

fn show(context: &Context, sources: &[Value]) -> Result<(), Stop> {
    let is_running = sources.iter().any(|source| source["is_running"] == true);
    if !is_running {
        context.printer.words("No process runs this project: this is what the commits of the tables know.");
    }
    context.printer.table(&table(sources, is_running))?;
    for pipeline in sources.iter().flat_map(|source| list(source, "tables")) {
        if let Some(failure) = error_of(text(pipeline, "table"), pipeline) {
            context.printer.failure(&failure);
        }
    }
    Ok(())
}

fn table(sources: &[Value], is_running: bool) -> Table {
    let mut columns = vec![
        ("source", Align::Left),
        ("table", Align::Left),
        ("state", Align::Left),
        ("rows", Align::Right),
        ("quarantined", Align::Right),
    ];
    if is_running {
        let live = ["records", "rows/s", "waiting", "behind"];
        columns.extend(live.map(|name| (name, Align::Right)));
    }
    columns.extend([("version", Align::Right), ("last commit", Align::Left), ("position", Align::Left)]);
    let mut table = Table::new(&columns);
    for source in sources {
        for pipeline in list(source, "tables") {
            table.row(&row(source, pipeline, is_running));
        }
    }
    table
}

fn row(source: &Value, pipeline: &Value, is_running: bool) -> Vec<String> {
    let count = |key: &str| number(&pipeline[key]).map(grouped).unwrap_or_default();
    let mut cells = vec![
        text(source, "name").to_owned(),
        text(pipeline, "table").to_owned(),
        state(pipeline),
        count("rows_out"),
        count("quarantined"),
    ];
    if is_running {
        cells.push(count("records_in"));
        cells.push(pipeline["rows_per_second"].as_f64().map(|rate| format!("{rate:.1}")).unwrap_or_default());
        cells.push(waiting(pipeline));
        cells.push(pipeline["behind_seconds"].as_f64().map(seconds).unwrap_or_default());
    }
    cells.push(count("table_version"));
    cells.push(moment(pipeline, "last_commit_at"));
    cells.push(positions(pipeline));
    cells
}

/// What it does, and how far a copy beside its stream is.
fn state(pipeline: &Value) -> String {
    let (state, copy) = (text(pipeline, "state"), &pipeline["copy"]);
    let count = |key: &str| number(&copy[key]).map(grouped);
    match (copy["is_under_way"].as_bool(), count("rows"), count("of_rows")) {
        (None, ..) => state.to_owned(),
        (Some(false), ..) => format!("{state}, to be copied"),
        (Some(true), Some(rows), Some(of)) => format!("{state}, copying ({rows} of about {of} rows)"),
        (Some(true), Some(rows), None) => format!("{state}, copying ({rows} rows)"),
        (Some(true), ..) => format!("{state}, copying"),
    }
}

fn waiting(pipeline: &Value) -> String {
    let size = number(&pipeline["lag_bytes"]).map(bytes);
    match (number(&pipeline["lag_records"]).map(grouped), size) {
        (Some(records), Some(size)) if records != "0" => format!("{records} ({size})"),
        (Some(records), _) => records,
        (None, size) => size.unwrap_or_default(),
    }
}

fn positions(pipeline: &Value) -> String {
    let all = list(pipeline, "positions");
    let told: Vec<String> = all
        .iter()
        .take(POSITIONS)
        .map(|known| format!("{} {}", text(known, "part"), text(known, "position")))
        .collect();
    let more = all.len().saturating_sub(POSITIONS);
    let more = if more > 0 { format!(", {more} more") } else { String::new() };
    format!("{}{more}", told.join(", "))
}

/// The address of a source, or of what is asked of it.
pub(super) fn path(source: &str, action: &str) -> String {
    let escaped: String = source
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("/api/sources/{escaped}{action}")
}

async fn pause(context: &Context, wanted: &Steer) -> Result<(), Stop> {
    let process = Project::load(&context.open)?.announced();
    let body = json!({ "table": wanted.table });
    let asked = ask_running(process.as_ref(), "POST", &path(&wanted.source, "/pause"), &body).await?;
    let (Some(process), Some(mut source)) = (process, asked) else {
        context.writer().await?.pause_source(&wanted.source, wanted.table.as_deref())?;
        return steered_by(context, wanted, "is paused: the next `headwater up` does not read it");
    };
    let end = Instant::now() + DRAIN;
    while is_pausing(&source) && Instant::now() < end {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(newer) = ask(&process, "GET", &path(&wanted.source, ""), &Value::Null).await? else { break };
        source = newer;
    }
    let how = if is_pausing(&source) { "will pause: it still commits what was read" } else { "is paused" };
    steered_by(context, wanted, how)
}

/// Whether something that is held back has not come to rest.
fn is_pausing(source: &Value) -> bool {
    let held = |pipeline: &&Value| !pipeline["paused_at"].is_null();
    list(source, "tables").iter().filter(held).any(|pipeline| text(pipeline, "state") != "paused")
}

async fn resume(context: &Context, wanted: &Steer) -> Result<(), Stop> {
    let process = Project::load(&context.open)?.announced();
    let body = json!({ "table": wanted.table });
    if ask_running(process.as_ref(), "POST", &path(&wanted.source, "/resume"), &body).await?.is_some() {
        return steered_by(context, wanted, "goes on");
    }
    context.writer().await?.resume_source(&wanted.source, wanted.table.as_deref())?;
    steered_by(context, wanted, "is not paused any more: the next `headwater up` reads it")
}

async fn rerun(context: &Context, wanted: &Steer) -> Result<(), Stop> {
    let process = Project::load(&context.open)?.announced();
    let body = json!({ "table": wanted.table });
    if ask_running(process.as_ref(), "POST", &path(&wanted.source, "/restart"), &body).await?.is_some() {
        return steered_by(context, wanted, "runs again from where its tables are");
    }
    Err(Failure::user("no process runs this project")
        .with_hint("`headwater up` does; it begins where the tables are.")
        .into())
}

fn steered_by(context: &Context, wanted: &Steer, how: &str) -> Result<(), Stop> {
    steered(context, &wanted.source, wanted.table.as_deref(), how)
}

/// Says what came of steering a source, or one of its tables.
pub(super) fn steered(context: &Context, source: &str, table: Option<&str>, how: &str) -> Result<(), Stop> {
    let what = table.unwrap_or(source);
    if context.printer.json {
        return context.printer.json(&json!({ "source": source, "table": table, "outcome": how }));
    }
    context.printer.line(&format!("{what} {how}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_beside_the_stream_is_told_with_the_state() {
        for (copy, expected) in [
            (Value::Null, "running"),
            (json!({"is_under_way": false, "rows": null, "of_rows": null}), "running, to be copied"),
            (json!({"is_under_way": true, "rows": null, "of_rows": null}), "running, copying"),
            (json!({"is_under_way": true, "rows": 1200, "of_rows": null}), "running, copying (1,200 rows)"),
            (
                json!({"is_under_way": true, "rows": 1200, "of_rows": 5000}),
                "running, copying (1,200 of about 5,000 rows)",
            ),
        ] {
            assert_eq!(state(&json!({"state": "running", "copy": copy})), expected);
        }
    }
}
