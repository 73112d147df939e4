//! `headwater tables`.

use headwater_app::view::TableSummary;
use headwater_server::wire;

use super::{Context, Stop};
use crate::print::{Align, Table, bytes, grouped};

pub(super) async fn tables(context: &Context, name: Option<String>) -> Result<(), Stop> {
    let instance = context.reader_of_any_project().await?;
    match name {
        None => list(context, instance.tables().await?),
        Some(name) => one(context, instance.table(&name).await?),
    }
}

fn list(context: &Context, tables: Vec<TableSummary>) -> Result<(), Stop> {
    if context.printer.json {
        let tables: Vec<wire::Table> = tables.into_iter().map(Into::into).collect();
        return context.printer.json(&tables);
    }
    let mut table = Table::new(&[
        ("table", Align::Left),
        ("kind", Align::Left),
        ("rows", Align::Right),
        ("files", Align::Right),
        ("size", Align::Right),
        ("version", Align::Right),
    ]);
    let mut unreadable = Vec::new();
    for one in tables {
        let (kind, stored) = match (&one.failure, one.is_view) {
            (Some(_), _) => ("unreadable", false),
            (None, true) => ("view", false),
            (None, false) => ("table", true),
        };
        unreadable.extend(one.failure);
        let if_stored = |text: String| if stored { text } else { String::new() };
        table.row(&[
            one.name,
            kind.to_owned(),
            one.rows.map(grouped).unwrap_or_default(),
            if_stored(grouped(one.files)),
            if_stored(bytes(one.bytes)),
            if_stored(one.version.to_string()),
        ]);
    }
    context.printer.table(&table)?;
    unreadable.iter().for_each(|failure| context.printer.failure(failure));
    Ok(())
}

fn one(context: &Context, summary: TableSummary) -> Result<(), Stop> {
    if context.printer.json {
        return context.printer.json(&wire::Table::from(summary));
    }
    let mut table = Table::new(&[("column", Align::Left), ("type", Align::Left), ("partition", Align::Left)]);
    for column in summary.columns {
        let is_partition = summary.partition_columns.contains(&column.name);
        table.row(&[column.name, column.data_type, if is_partition { "yes".into() } else { String::new() }]);
    }
    context.printer.table(&table)
}
