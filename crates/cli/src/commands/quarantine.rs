//! `headwater quarantine`: records that were set aside.

use headwater_app::Stopwatch;
use headwater_app::view::QuarantineSummary;
use headwater_server::wire;
use serde_json::json;

use super::query::print;
use super::{Context, Stop};
use crate::args::QuarantineAction;
use crate::print::{Align, RowsOut, Table, grouped};

pub(super) async fn quarantine(context: &Context, action: Option<QuarantineAction>) -> Result<(), Stop> {
    match action.unwrap_or(QuarantineAction::List) {
        QuarantineAction::List => {
            let instance = context.reader_of_any_project().await?;
            list(context, instance.quarantine().await?)
        }
        QuarantineAction::Show { table, reason, limit, output } => {
            let out = RowsOut::new(&context.printer, &output)?;
            let instance = context.reader_of_any_project().await?;
            let watch = Stopwatch::start();
            let stream = instance.quarantined_records(&table, reason.as_deref(), limit).await?;
            print(context, out, stream, &watch).await
        }
        QuarantineAction::Replay { table, reason } => replay(context, &table, reason.as_deref()).await,
    }
}

fn list(context: &Context, summaries: Vec<QuarantineSummary>) -> Result<(), Stop> {
    if context.printer.json {
        let tables = summaries.into_iter().map(wire::QuarantineTable::try_from).collect::<Result<Vec<_>, _>>()?;
        return context.printer.json(&tables);
    }
    let mut table = Table::new(&[("table", Align::Left), ("records", Align::Right), ("reason", Align::Left)]);
    for summary in summaries {
        for reason in summary.reasons {
            table.row(&[summary.of.clone(), grouped(reason.count), reason.reason]);
        }
    }
    context.printer.table(&table)
}

async fn replay(context: &Context, table: &str, reason: Option<&str>) -> Result<(), Stop> {
    let instance = context.writer().await?;
    let told = instance.replay_quarantine(table, reason).await?;
    if context.printer.json {
        return context.printer.json(&json!({
            "table": told.table, "taken": told.taken, "left_out": told.left_out, "remaining": told.remaining,
            "cut_short": told.cut_short,
        }));
    }
    let mut counts = Table::new(&[("records", Align::Right), ("", Align::Left)]);
    counts.row(&[grouped(told.taken), format!("are rows of {} now", told.table)]);
    let also = [
        (told.left_out, "read, and are not wanted"),
        (told.remaining, "still do not fit"),
        (told.cut_short, "are too long to have been kept whole"),
    ];
    for (count, what) in also.into_iter().filter(|(count, _)| *count > 0) {
        counts.row(&[grouped(count), what.to_owned()]);
    }
    context.printer.table(&counts)
}
