//! `headwater query` and `headwater show`: rows.

use std::io::{IsTerminal, Read};

use headwater_app::{QueryStream, ShowTarget, Stopwatch};
use headwater_project::Failure;

use super::{Context, Stop, deferred};
use crate::args::{Query, Show};
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
    let target = match (show.node, show.inline) {
        (Some(node), _) => ShowTarget::Node(node),
        (None, Some(sql)) => ShowTarget::Inline(sql),
        (None, None) => return Err(Failure::user("there is nothing to show").into()),
    };
    let out = RowsOut::new(&context.printer, &show.output)?;
    let defer = deferred(show.defer, show.state.as_deref())?;
    let instance = context.reader().await?;
    let watch = Stopwatch::start();
    let stream = instance.show(target, show.limit, defer.as_ref()).await?;
    print(context, out, stream, &watch).await
}

async fn print(context: &Context, out: RowsOut<'_>, stream: QueryStream, watch: &Stopwatch) -> Result<(), Stop> {
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
