//! `headwater ls` and `headwater compile`: nodes of the project.

use headwater_app::view::{NodeSummary, Untranslated};
use headwater_server::wire;

use super::{Context, Stop, selection};
use crate::args::{Compile, List, NodeOutput};

pub(super) fn list(context: &Context, list: List) -> Result<(), Stop> {
    let project = context.sound_project()?;
    let selection = selection(list.select);
    let mut nodes = project.nodes(&selection)?;
    // Analyses are listed when they are asked for.
    if selection.resource_types.is_empty() {
        nodes.retain(|node| node.resource_type != "analysis");
    }
    if nodes.is_empty() {
        context.printer.words("No node is selected.");
    }
    if context.printer.json {
        let nodes: Vec<wire::Node> = nodes.into_iter().map(Into::into).collect();
        return context.printer.json(&nodes);
    }
    nodes.iter().try_for_each(|node| context.printer.line(&shown(node, list.output, &list.output_keys)))
}

fn shown(node: &NodeSummary, output: NodeOutput, keys: &[String]) -> String {
    match output {
        NodeOutput::Selector => node.selector.clone(),
        NodeOutput::Name => node.name.clone(),
        NodeOutput::Path => node.file.clone(),
        NodeOutput::Json => json_of(node, keys).to_string(),
    }
}

/// The keys dbt prints, or those asked for.
fn json_of(node: &NodeSummary, keys: &[String]) -> serde_json::Value {
    let all = serde_json::json!({
        "name": node.name, "resource_type": node.resource_type, "package_name": node.id.split('.').nth(1),
        "original_file_path": node.file, "unique_id": node.id, "alias": node.relation.as_deref().and_then(|name| name.split('.').nth(1)),
        "config": node.config, "tags": node.tags, "depends_on": { "nodes": node.depends_on },
    });
    let default =
        ["alias", "name", "package_name", "depends_on", "tags", "config", "resource_type", "original_file_path"];
    let wanted = |key: &str| if keys.is_empty() { default.contains(&key) } else { keys.iter().any(|one| one == key) };
    let fields = all.as_object().into_iter().flatten().filter(|(key, _)| wanted(key));
    serde_json::Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect())
}

pub(super) async fn compile(context: &Context, compile: Compile) -> Result<(), Stop> {
    let instance = context.reader().await?;
    if compile.dialect_report {
        return dialect_report(context, &instance.dialect_report(&selection(compile.select)).await?);
    }
    let nodes = instance.compile(&selection(compile.select)).await?;
    instance.write_manifest(true).await?;
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

/// What has no translation, each with its place in the compiled SQL. Findings are exit code 1.
fn dialect_report(context: &Context, found: &[Untranslated]) -> Result<(), Stop> {
    if context.printer.json {
        let shown = |one: &Untranslated| {
            serde_json::json!({
                "node": one.node, "file": one.file, "line": one.line, "column": one.column, "what": one.what, "hint": one.hint,
            })
        };
        context.printer.json(&found.iter().map(shown).collect::<Vec<_>>())?;
    } else {
        for one in found {
            context.printer.line(&format!("{}:{}:{}: {} ({})", one.file, one.line, one.column, one.what, one.node))?;
            context.printer.line(&format!("  hint: {}", one.hint))?;
        }
    }
    context.printer.words(&match found.len() {
        0 => String::from("Everything is translated."),
        1 => String::from("1 finding."),
        count => format!("{count} findings."),
    });
    if found.is_empty() { Ok(()) } else { Err(Stop::Findings) }
}
