//! `headwater columns`: columns of a node, and where one comes from and goes to.

use std::collections::BTreeMap;

use headwater_app::view::{ColumnOrigin, NodeColumn, NodeColumns};
use headwater_project::Failure;
use headwater_server::wire;

use super::{Context, Stop};
use crate::print::{Align, Table};

/// `name` is a node, or a node and a column of it with a dot between.
pub(super) async fn columns(context: &Context, name: &str) -> Result<(), Stop> {
    let instance = context.reader().await?;
    let (node, column, family) = match instance.columns_around(name).await {
        Ok((node, family)) => (node, None, family),
        Err(failure) => {
            let Some((node, column)) = name.rsplit_once('.') else { return Err(failure.into()) };
            let Ok((node, family)) = instance.columns_around(node).await else { return Err(failure.into()) };
            (node, Some(column), family)
        }
    };
    if context.printer.json {
        let nodes = family.into_iter().map(|(id, node)| (id, node.into())).collect();
        return context.printer.json(&wire::ColumnLineage { node, nodes });
    }
    let Some(found) = family.get(&node) else {
        return Err(Failure::internal("a node is not of its own family").into());
    };
    if let Some(failure) = &found.problem {
        return Err(failure.clone().into());
    }
    if let Some(reason) = &found.unknown {
        context.printer.words(&format!("The columns of {} are not known: {reason}.", found.name));
        return Err(Stop::Findings);
    }
    let trail = Trail { family: &family };
    match column {
        None => trail.list(context, found),
        Some(column) => trail.one(context, &node, found, column),
    }
}

struct Trail<'a> {
    family: &'a BTreeMap<String, NodeColumns>,
}

impl Trail<'_> {
    fn list(&self, context: &Context, node: &NodeColumns) -> Result<(), Stop> {
        let mut table = Table::new(&[("column", Align::Left), ("type", Align::Left), ("from", Align::Left)]);
        for column in &node.columns {
            let origins: Vec<String> = column.origins.iter().map(|origin| self.shown(origin)).collect();
            let how = if column.is_copy || origins.is_empty() { "" } else { "computed from " };
            table.row(&[column.name.clone(), column.data_type.clone(), format!("{how}{}", origins.join(", "))]);
        }
        context.printer.table(&table)
    }

    fn one(&self, context: &Context, id: &str, node: &NodeColumns, name: &str) -> Result<(), Stop> {
        let Some(column) = node.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)) else {
            let known: Vec<&str> = node.columns.iter().map(|column| column.name.as_str()).collect();
            let near = headwater_project::config::suggest(name, known.iter().copied());
            let hint = near.map_or_else(
                || format!("Its columns: {}.", known.join(", ")),
                |near| format!("Did you mean `{near}`?"),
            );
            return Err(Failure::user(format!("{} has no column `{name}`", node.name)).with_hint(hint).into());
        };
        context.printer.line(&format!("{}.{}  {}", node.name, column.name, column.data_type))?;
        self.above(context, column, 1)?;
        self.below(context, id, &column.name, 1)
    }

    fn above(&self, context: &Context, column: &NodeColumn, depth: usize) -> Result<(), Stop> {
        for origin in &column.origins {
            let how = if column.is_copy { "" } else { "  (computed)" };
            context.printer.line(&format!("{}<- {}{how}", "  ".repeat(depth), self.shown(origin)))?;
            if let Some(column) = self.find(origin) {
                self.above(context, column, depth + 1)?;
            }
        }
        Ok(())
    }

    fn below(&self, context: &Context, id: &str, name: &str, depth: usize) -> Result<(), Stop> {
        let readers = self.family.iter().filter(|(reader, node)| *reader != id && node.kind != "test");
        for (reader, node) in readers {
            let reads = |column: &&NodeColumn| {
                column.origins.iter().any(|origin| origin.node.as_deref() == Some(id) && origin.column == name)
            };
            for column in node.columns.iter().filter(reads) {
                let how = if column.is_copy { "" } else { "  (computed)" };
                context.printer.line(&format!("{}-> {}.{}{how}", "  ".repeat(depth), node.name, column.name))?;
                self.below(context, reader, &column.name, depth + 1)?;
            }
        }
        Ok(())
    }

    fn find(&self, origin: &ColumnOrigin) -> Option<&NodeColumn> {
        let node = self.family.get(origin.node.as_deref()?)?;
        node.columns.iter().find(|column| column.name == origin.column)
    }

    /// By the name the project has for it; a source by its relation.
    fn shown(&self, origin: &ColumnOrigin) -> String {
        let node = origin.node.as_deref().and_then(|id| self.family.get(id)).filter(|node| node.kind != "source");
        format!("{}.{}", node.map_or(&origin.relation, |node| &node.name), origin.column)
    }
}
