//! `headwater connections`.

use headwater_app::{ConnectionTest, Project};
use serde_json::json;

use super::{Context, Stop};
use crate::args::ConnectionsAction;
use crate::print::{Align, Table};

pub(super) fn connections(context: &Context, action: Option<ConnectionsAction>) -> Result<(), Stop> {
    match action.unwrap_or(ConnectionsAction::List) {
        ConnectionsAction::List => list(context, &Project::load(&context.open)?),
        // A variable that is not set is a finding, and the reason why nobody can log in.
        ConnectionsAction::Test { names } => test(context, &context.sound_project()?, &names),
    }
}

fn list(context: &Context, project: &Project) -> Result<(), Stop> {
    let connections = project.connections();
    if context.printer.json {
        let listed = connections
            .iter()
            .map(|one| json!({"name": one.name, "kind": one.kind, "address": one.address, "used_by": one.used_by}));
        return context.printer.json(&listed.collect::<Vec<_>>());
    }
    let mut table = Table::new(&[
        ("connection", Align::Left),
        ("kind", Align::Left),
        ("address", Align::Left),
        ("used by", Align::Left),
    ]);
    for one in connections {
        table.row(&[one.name, one.kind.to_owned(), one.address, one.used_by.join(", ")]);
    }
    context.printer.table(&table)
}

fn test(context: &Context, project: &Project, names: &[String]) -> Result<(), Stop> {
    let tests = project.test_connections(names)?;
    if context.printer.json {
        context.printer.json(&tests.iter().map(as_json).collect::<Vec<_>>())?;
    }
    for test in &tests {
        match &test.outcome {
            Ok(lines) if !context.printer.json => {
                context.printer.line(&format!("{}: ok", test.name))?;
                for line in lines {
                    context.printer.line(&format!("  {line}"))?;
                }
            }
            Ok(_) => {}
            Err(failure) => {
                if !context.printer.json {
                    context.printer.line(&format!("{}: failed", test.name))?;
                }
                context.printer.failure(failure);
            }
        }
    }
    if tests.iter().any(|test| test.outcome.is_err()) { Err(Stop::Findings) } else { Ok(()) }
}

fn as_json(test: &ConnectionTest) -> serde_json::Value {
    match &test.outcome {
        Ok(lines) => json!({"name": test.name, "ok": true, "found": lines}),
        Err(failure) => json!({
            "name": test.name, "ok": false,
            "error": {"message": failure.message, "detail": failure.detail, "hint": failure.hint},
        }),
    }
}
