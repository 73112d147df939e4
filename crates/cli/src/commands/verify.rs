//! `headwater verify`: whether tables are what their source is.

use headwater_app::view::{Verification, VerifiedPart};
use serde_json::json;

use super::{Context, Stop};
use crate::print::{Align, Table, grouped};
use crate::signals::Interrupt;

pub(super) async fn verify(context: &Context, source: &str) -> Result<(), Stop> {
    let instance = context.reader().await?;
    let interrupt = Interrupt::listen(&context.printer)?;
    let found = instance.verify(source, interrupt.token.clone()).await?;
    let differs = found.iter().flat_map(|table| &table.parts).any(|part| part.difference.is_some());
    if context.printer.json {
        context.printer.json(&found.iter().map(as_json).collect::<Vec<_>>())?;
    } else {
        print(context, &found)?;
    }
    if differs { Err(Stop::Findings) } else { Ok(()) }
}

fn as_json(table: &Verification) -> serde_json::Value {
    let part = |part: &VerifiedPart| {
        json!({
            "part": part.part, "source_rows": part.source_rows, "lake_rows": part.lake_rows,
            "source_quarantined": part.source_quarantined, "lake_quarantined": part.lake_quarantined,
            "first": part.first, "last": part.last, "commits": part.commits, "difference": part.difference,
        })
    };
    json!({ "table": table.table, "parts": table.parts.iter().map(part).collect::<Vec<_>>() })
}

fn print(context: &Context, found: &[Verification]) -> Result<(), Stop> {
    let mut table = Table::new(&[
        ("table", Align::Left),
        ("part", Align::Left),
        ("source", Align::Right),
        ("lake", Align::Right),
        ("quarantined", Align::Right),
        ("commits", Align::Right),
        ("result", Align::Left),
    ]);
    for one in found {
        for part in &one.parts {
            table.row(&[
                one.table.clone(),
                part.part.clone(),
                grouped(part.source_rows),
                grouped(part.lake_rows),
                grouped(part.lake_quarantined),
                part.commits.map(grouped).unwrap_or_default(),
                part.difference.clone().unwrap_or_else(|| String::from("the same")),
            ]);
        }
    }
    context.printer.table(&table)
}
