//! `headwater ls` and `headwater compile`: nodes of the project.

use headwater_app::Selection;
use headwater_server::wire;

use super::{Context, Stop, selection};
use crate::args::{List, Select};

pub(super) fn list(context: &Context, list: List) -> Result<(), Stop> {
    let project = context.sound_project()?;
    let selection = Selection { resource_types: list.resource_types, ..selection(list.select) };
    let nodes = project.nodes(&selection)?;
    if nodes.is_empty() {
        context.printer.words("No node is selected.");
    }
    if context.printer.json {
        let nodes: Vec<wire::Node> = nodes.into_iter().map(Into::into).collect();
        return context.printer.json(&nodes);
    }
    nodes.iter().try_for_each(|node| context.printer.line(&node.id))
}

pub(super) async fn compile(context: &Context, select: Select) -> Result<(), Stop> {
    let instance = context.reader().await?;
    let nodes = instance.compile(&selection(select)).await?;
    if context.printer.json {
        let nodes: Vec<wire::CompiledNode> = nodes.into_iter().map(Into::into).collect();
        return context.printer.json(&nodes);
    }
    let is_one = nodes.len() == 1;
    for node in &nodes {
        let heading = if is_one { String::new() } else { format!("-- {}\n", node.id) };
        let ending = if is_one { "" } else { ";\n" };
        context.printer.line(&format!("{heading}{}{ending}", node.sql.trim_end()))?;
    }
    Ok(())
}
