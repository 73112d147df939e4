//! `headwater query` and `headwater show`: rows.

use std::io::{IsTerminal, Read};

use headwater_app::view::CompiledNode;
use headwater_app::{DeferTo, Instance, QueryStream, Selection, ShowTarget, Stopwatch};
use headwater_project::Failure;
use headwater_server::rows::{End, RowFormat};

use super::{Context, Stop, deferred};
use crate::args::{Query, RowOutput, Show};
use crate::print::{RowsOut, grouped, seconds, write_rows};

/// Bytes of a statement from a file or stdin.
const MAX_STATEMENT: u64 = 16 << 20;

pub(super) async fn query(context: &Context, query: Query) -> Result<(), Stop> {
    let out = RowsOut::new(&context.printer, &query.output)?;
    let sql = statement(&query)?;
    let instance = context.reader_of_any_project().await?;
    let watch = Stopwatch::start();
    let stream = instance.query(&sql, Vec::new()).await?;
    print(context, out, stream, &watch).await
}

pub(super) async fn show(context: &Context, show: Show) -> Result<(), Stop> {
    let word = show.output.as_ref().and_then(|output| output.to_str());
    let documents = word == Some("json");
    let file = show.output.clone().filter(|_| !matches!(word, Some("json" | "text")));
    let output = RowOutput { format: show.format, output: file };
    if !show.select.is_empty() {
        let defer = deferred(show.defer, show.state.as_deref())?;
        return several(context, show.select, show.limit, documents, &output, defer.as_ref()).await;
    }
    let target = match (show.node, show.inline) {
        (Some(node), _) => ShowTarget::Node(node),
        (None, Some(sql)) => ShowTarget::Inline(sql),
        (None, None) => return Err(Failure::user("there is nothing to show").into()),
    };
    let defer = deferred(show.defer, show.state.as_deref())?;
    let instance = context.reader().await?;
    if documents {
        let name = match &target {
            ShowTarget::Node(name) => name.clone(),
            ShowTarget::Inline(_) => String::from("inline_query"),
        };
        let stream = instance.show(target, show.limit, defer.as_ref()).await?;
        return context.printer.data(&document(&name, stream).await?);
    }
    let out = RowsOut::new(&context.printer, &output)?;
    let watch = Stopwatch::start();
    let stream = instance.show(target, show.limit, defer.as_ref()).await?;
    print(context, out, stream, &watch).await
}

/// Shows nodes one after the other. What failed is told on stderr with the node's name, and with `--output json` in the node's
/// document too.
async fn several(
    context: &Context,
    select: Vec<String>,
    limit: usize,
    documents: bool,
    output: &RowOutput,
    defer: Option<&DeferTo>,
) -> Result<(), Stop> {
    let instance = context.reader().await?;
    let selection = Selection { select, ..Selection::default() };
    let mut failed = false;
    for node in instance.compile(&selection, defer).await? {
        let shown = show_one(context, &instance, &node, limit, documents, output).await;
        match shown {
            Ok(()) => {}
            Err(Stop::Failure(failure)) => {
                failed = true;
                context.printer.step_failure("node", &node.name, &failure);
                if documents {
                    let error = serde_json::json!({
                        "node": node.name, "error": failure.message, "detail": failure.detail, "hint": failure.hint,
                    });
                    context.printer.line(&error.to_string())?;
                }
            }
            Err(other) => return Err(other),
        }
    }
    if failed { Err(Stop::Findings) } else { Ok(()) }
}

async fn show_one(
    context: &Context,
    instance: &Instance,
    node: &CompiledNode,
    limit: usize,
    documents: bool,
    output: &RowOutput,
) -> Result<(), Stop> {
    let stream = instance.show_compiled(node, limit).await?;
    if documents {
        return context.printer.data(&document(&node.name, stream).await?);
    }
    context.printer.line(&format!("{}:", node.name))?;
    print(context, RowsOut::new(&context.printer, output)?, stream, &Stopwatch::start()).await
}

/// `{"node": name, "show": [rows]}`, as dbt prints it. Rows are held back until the last: half a document helps nobody.
async fn document(name: &str, mut stream: QueryStream) -> Result<Vec<u8>, Stop> {
    let unwritable = |error: arrow::error::ArrowError| {
        Stop::from(Failure::internal("the rows cannot be written as JSON").with_detail(error.to_string()))
    };
    let name = serde_json::Value::from(name);
    let mut out = format!("{{\"node\": {name}, \"show\": ").into_bytes();
    let mut encoder = RowFormat::JsonRecords.encoder(&stream.schema).map_err(unwritable)?;
    encoder.start(&mut out).map_err(unwritable)?;
    while let Some(batch) = stream.next().await? {
        encoder.batch(&batch, &mut out).map_err(unwritable)?;
    }
    encoder.finish(End::default(), &mut out).map_err(unwritable)?;
    out.extend_from_slice(b"}\n");
    Ok(out)
}

pub(super) async fn print(
    context: &Context,
    out: RowsOut<'_>,
    stream: QueryStream,
    watch: &Stopwatch,
) -> Result<(), Stop> {
    let rows = write_rows(out, stream).await?;
    let plural = if rows == 1 { "" } else { "s" };
    context.printer.words(&format!("({} row{plural} in {})", grouped(rows), seconds(watch.elapsed().as_secs_f64())));
    Ok(())
}

fn statement(query: &Query) -> Result<String, Failure> {
    let text = match (&query.sql, &query.file) {
        (Some(sql), _) => sql.clone(),
        (None, Some(file)) => {
            let unreadable = |error: std::io::Error| {
                Failure::user(format!("cannot read `{}`", file.display())).with_detail(error.to_string())
            };
            let opened = std::fs::File::open(file).map_err(unreadable)?;
            read_limited(opened).map_err(unreadable)?
        }
        (None, None) if std::io::stdin().is_terminal() => {
            return Err(Failure::user("there is no statement")
                .with_hint("Give it as an argument, with `-f FILE`, or on stdin."));
        }
        (None, None) => read_limited(std::io::stdin().lock())
            .map_err(|error| Failure::user("the statement on stdin cannot be read").with_detail(error.to_string()))?,
    };
    if text.trim().is_empty() {
        return Err(Failure::user("the statement is empty"));
    }
    Ok(text)
}

fn read_limited(reader: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    let read = reader.take(MAX_STATEMENT + 1).read_to_string(&mut text)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MAX_STATEMENT {
        return Err(std::io::Error::other("it is longer than 16 MiB"));
    }
    Ok(text)
}
