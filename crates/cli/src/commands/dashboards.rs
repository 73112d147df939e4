//! `headwater dashboards`.

use headwater_app::view::TileAnswer;
use headwater_project::Failure;
use headwater_server::wire;

use super::{Context, Stop};
use crate::print::{Align, Printer, Table, batch_table, grouped, seconds};

/// Rows of a tile printed for people; `--json` has all.
const TILE_ROWS: usize = 12;

pub(super) async fn dashboards(context: &Context, name: Option<String>, all: bool) -> Result<(), Stop> {
    let instance = context.reader().await?;
    let known = instance.project().dashboards();
    if name.is_none() && !all {
        return list(context, known);
    }
    if let Some(name) = name.as_ref().filter(|name| !known.iter().any(|(known, _, _)| known == *name)) {
        return Err(Failure::unknown("dashboard", name, known.iter().map(|(name, _, _)| name.as_str())).into());
    }
    let answers = instance.dashboard(name.as_deref()).await?;
    let failed = answers.iter().any(|answer| answer.result.is_err());
    if context.printer.json {
        let tiles: Vec<wire::DashboardAnswer> =
            answers.iter().map(wire::DashboardAnswer::try_from).collect::<Result<_, _>>()?;
        context.printer.json(&tiles)?;
    } else {
        print_answers(&context.printer, &answers)?;
    }
    if failed { Err(Stop::Findings) } else { Ok(()) }
}

fn list(context: &Context, known: Vec<(String, String, Option<String>)>) -> Result<(), Stop> {
    if context.printer.json {
        let summary = |(name, title, description)| wire::DashboardSummary { name, title, description };
        let dashboards: Vec<wire::DashboardSummary> = known.into_iter().map(summary).collect();
        return context.printer.json(&dashboards);
    }
    let mut table = Table::new(&[("dashboard", Align::Left), ("title", Align::Left)]);
    for (name, title, _) in known {
        table.row(&[name, title]);
    }
    context.printer.table(&table)
}

/// Every tile's answer as a table under its title.
pub(super) fn print_answers(printer: &Printer, answers: &[TileAnswer]) -> Result<(), Stop> {
    let mut dashboard = None;
    for answer in answers {
        if dashboard != Some(&answer.dashboard) {
            dashboard = Some(&answer.dashboard);
            let rule = "═".repeat(answer.dashboard_title.chars().count());
            printer.line(&format!("\n{}\n{rule}", answer.dashboard_title))?;
        }
        print_tile(printer, answer)?;
    }
    Ok(())
}

fn print_tile(printer: &Printer, answer: &TileAnswer) -> Result<(), Stop> {
    let unit = answer.unit.as_ref().map(|unit| format!(", {unit}")).unwrap_or_default();
    printer.line(&format!("\n{} ({}{unit}, {})", answer.title, answer.kind, seconds(answer.seconds)))?;
    let rows = match &answer.result {
        Ok(rows) => rows,
        Err(failure) => {
            printer.failure(failure);
            return Ok(());
        }
    };
    let (table, left_out) = batch_table(&rows.schema, &rows.batches, TILE_ROWS)?;
    printer.table(&table)?;
    if left_out > 0 {
        printer.line(&format!("… and {} more", grouped(u64::try_from(left_out).unwrap_or(u64::MAX))))?;
    }
    Ok(())
}
