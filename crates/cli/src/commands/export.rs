//! `headwater export`.

use serde_json::json;

use super::{Context, Stop};
use crate::print::{Align, Table, grouped};
use crate::signals::Interrupt;

pub(super) async fn export(context: &Context, sinks: &[String]) -> Result<(), Stop> {
    let instance = context.writer().await?;
    let interrupt = Interrupt::listen(&context.printer)?;
    let exported = instance.export(sinks, &interrupt.token).await?;
    if context.printer.json {
        let listed = exported.iter().map(|one| json!({"sink": one.sink, "rows": one.rows, "position": one.position}));
        return context.printer.json(&listed.collect::<Vec<_>>());
    }
    let mut table = Table::new(&[("sink", Align::Left), ("rows", Align::Right)]);
    for one in exported {
        table.row(&[one.sink, grouped(one.rows)]);
    }
    context.printer.table(&table)
}
