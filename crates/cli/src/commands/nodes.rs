//! `headwater ls` and `headwater compile`: nodes of the project.

use headwater_app::view::{NodeSummary, Untranslated};
use headwater_app::{CompiledNode, Project};
use headwater_project::Failure;
use headwater_server::wire;

use super::{Context, Stop, deferred, selection};
use crate::args::{Compile, List, NodeOutput};

pub(super) fn list(context: &Context, list: List) -> Result<(), Stop> {
    let project = context.sound_project()?;
    let selection = selection(list.select);
    // What is listed does not depend on it, and a missing --state is a mistake all the same.
    deferred(list.defer, selection.state.as_deref())?;
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
    nodes.iter().try_for_each(|node| context.printer.line(&shown(&project, node, list.output, &list.output_keys)))
}

fn shown(project: &Project, node: &NodeSummary, output: NodeOutput, keys: &[String]) -> String {
    match output {
        NodeOutput::Selector => node.selector.clone(),
        NodeOutput::Name => node.name.clone(),
        NodeOutput::Path => node.file.clone(),
        NodeOutput::Json => json_of(project.node_entry(&node.id), keys).to_string(),
    }
}

/// Keys of a node that dbt prints when none are asked for.
const KEYS: &[&str] = &[
    "alias",
    "name",
    "package_name",
    "depends_on",
    "tags",
    "config",
    "resource_type",
    "source_name",
    "original_file_path",
    "unique_id",
];

fn json_of(entry: serde_json::Map<String, serde_json::Value>, keys: &[String]) -> serde_json::Value {
    let wanted = |key: &str| if keys.is_empty() { KEYS.contains(&key) } else { keys.iter().any(|one| one == key) };
    serde_json::Value::Object(entry.into_iter().filter(|(key, _)| wanted(key)).collect())
}

pub(super) async fn compile(context: &Context, compile: Compile) -> Result<(), Stop> {
    let selection = selection(compile.select);
    let defer = deferred(compile.defer, selection.state.as_deref())?;
    let instance = context.reader().await?;
    if compile.dialect_report {
        return dialect_report(context, &instance.dialect_report(&selection).await?);
    }
    if let Some(sql) = &compile.inline {
        let sql = instance.compile_inline(sql, defer.as_ref()).await?;
        return context.printer.line(sql.trim_end());
    }
    let nodes = instance.compile(&selection, defer.as_ref()).await?;
    instance.write_manifest(true).await?;
    print_compiled(context, nodes)?;
    let problems = instance.column_problems(&selection).await?;
    for (node, failure) in &problems {
        let message = format!("{node}: {}", failure.message);
        context.printer.failure(&Failure { message, ..failure.clone() });
    }
    if problems.is_empty() { Ok(()) } else { Err(Stop::Findings) }
}

fn print_compiled(context: &Context, nodes: Vec<CompiledNode>) -> Result<(), Stop> {
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
