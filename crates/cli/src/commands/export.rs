//! `headwater export`.

use headwater_app::Exported;
use serde_json::json;

use super::{Context, Stop};
use crate::print::{Align, Table, grouped};
use crate::signals::Interrupt;

pub(super) async fn export(context: &Context, sinks: &[String]) -> Result<(), Stop> {
    let instance = context.writer().await?;
    let interrupt = Interrupt::listen(&context.printer)?;
    let exported = instance.export(sinks, &interrupt.token).await?;
    if context.printer.json {
        context.printer.json(&exported.iter().map(as_json).collect::<Vec<_>>())?;
    } else {
        let mut table = Table::new(&[
            ("sink", Align::Left),
            ("kind", Align::Left),
            ("to", Align::Left),
            ("rows", Align::Right),
            ("transfers", Align::Right),
        ]);
        for one in &exported {
            let (rows, transfers) = match &one.outcome {
                Ok(sent) => (grouped(sent.rows), grouped(sent.transfers)),
                Err(_) => (String::from("failed"), String::new()),
            };
            table.row(&[one.sink.clone(), one.kind.to_owned(), one.destination.clone(), rows, transfers]);
        }
        context.printer.table(&table)?;
    }
    let failures = exported.iter().filter_map(|one| Some((one, one.outcome.as_ref().err()?)));
    for (one, failure) in failures.clone() {
        context.printer.step_failure("sink", &one.sink, failure);
    }
    if failures.count() > 0 { Err(Stop::Findings) } else { Ok(()) }
}

fn as_json(one: &Exported) -> serde_json::Value {
    let Exported { sink, kind, destination, outcome } = one;
    match outcome {
        Ok(sent) => json!({
            "sink": sink, "kind": kind, "to": destination, "ok": true,
            "rows": sent.rows, "transfers": sent.transfers, "position": sent.position,
        }),
        Err(failure) => json!({
            "sink": sink, "kind": kind, "to": destination, "ok": false,
            "error": {"message": failure.message, "detail": failure.detail, "hint": failure.hint},
        }),
    }
}
