//! dbt's artifacts as plain data to be written as JSON.

pub(crate) mod config;
mod constraint;
mod entry;
pub mod manifest;
pub mod run_results;
mod unit_test;

use serde_json::{Map, Value, json};

pub(crate) use entry::Entries;

use crate::node::{Node, NodeKind, TestKind};

/// The version of dbt whose shapes and behaviour are those of this build.
pub const DBT_VERSION: &str = "1.11.0";

/// A node as artifacts and templates show it.
pub fn fields_of(node: &Node) -> Value {
    Value::Object(node_fields(node))
}

/// A node as templates see it through `model` and `graph`. The manifest has more; this is made at each render.
pub(crate) fn node_fields(node: &Node) -> Map<String, Value> {
    let relation = &node.relation;
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| _ = fields.insert(key.to_owned(), value);
    put("unique_id", json!(node.id.as_str()));
    put("name", json!(node.name));
    put("resource_type", json!(node.resource_type.as_str()));
    put("package_name", json!(node.package));
    put("path", json!(node.written.path));
    put("original_file_path", json!(node.path.to_string_lossy()));
    put("fqn", json!(node.fqn));
    put("alias", json!(relation.identifier));
    put("identifier", json!(relation.identifier));
    put("schema", json!(relation.schema));
    put("database", json!(relation.database));
    put("relation_name", json!(relation.to_string()));
    put("config", Value::Object(node.config.values.clone()));
    put("tags", json!(node.tags()));
    put("meta", node.config.get("meta").cloned().unwrap_or_else(|| json!({})));
    put("description", json!(node.description));
    put("columns", columns(node));
    put("raw_code", json!(&*node.raw_code));
    put("language", json!("sql"));
    put("checksum", json!({ "name": "sha256", "checksum": node.checksum }));
    put("refs", refs(node));
    put("sources", sources(node));
    put("depends_on", json!({ "nodes": ids(node), "macros": node.macros }));
    add_kind(node, &mut fields);
    fields
}

fn refs(node: &Node) -> Value {
    let call = |call: &crate::node::RefCall| {
        let version = call.version.as_ref().map(crate::load::nodes::version_value);
        json!({ "name": call.name, "package": call.package, "version": version })
    };
    node.refs.iter().map(call).collect()
}

fn sources(node: &Node) -> Value {
    node.sources.iter().map(|call| json!([call.source, call.table])).collect()
}

fn ids(node: &Node) -> Vec<&str> {
    node.depends_on.iter().map(crate::node::NodeId::as_str).collect()
}

fn columns(node: &Node) -> Value {
    let column = |column: &crate::node::Column| {
        json!({
            "name": column.name,
            "description": column.description,
            "data_type": column.data_type,
            "tags": column.tags,
            "meta": column.meta,
        })
    };
    Value::Object(node.columns.iter().map(|(name, described)| (name.clone(), column(described))).collect())
}

fn add_kind(node: &Node, fields: &mut Map<String, Value>) {
    match &node.kind {
        NodeKind::Source { source, loader } => {
            fields.insert(String::from("source_name"), json!(source));
            fields.insert(String::from("loader"), json!(loader.clone().unwrap_or_default()));
        }
        NodeKind::Test(TestKind::Generic { name, namespace, arguments, column, attached }) => {
            let metadata = json!({ "name": name, "namespace": namespace, "kwargs": arguments });
            fields.insert(String::from("test_metadata"), metadata);
            fields.insert(String::from("column_name"), json!(column));
            fields.insert(String::from("attached_node"), json!(attached.as_str()));
        }
        _ => {}
    }
}

/// A freshness rule with everything dbt has in one.
pub fn freshness(rule: &Value) -> Value {
    let limit = |key: &str| {
        let part = |part: &str| rule.get(key).and_then(|limit| limit.get(part)).cloned().unwrap_or_default();
        json!({ "count": part("count"), "period": part("period") })
    };
    let filter = rule.get("filter").cloned().unwrap_or_default();
    json!({ "warn_after": limit("warn_after"), "error_after": limit("error_after"), "filter": filter })
}

/// Documentation blocks a description quotes: `name`, or `package.name`.
pub(crate) fn doc_calls(description: &str) -> Vec<String> {
    let arguments = |rest: &str| -> Option<String> {
        let inside = rest.trim_start().strip_prefix('(')?.split_once(')')?.0;
        let names: Vec<&str> = inside.split(',').map(|name| name.trim().trim_matches(['\'', '"'])).collect();
        Some(names.join("."))
    };
    let calls = description.split("{{").skip(1).filter_map(|call| call.trim_start().strip_prefix("doc"));
    calls.filter_map(arguments).collect()
}
