//! dbt's artifacts as plain data to be written as JSON.

pub mod manifest;
pub mod run_results;

use serde_json::{Map, Value, json};

use crate::node::{Node, NodeKind, TestKind};

/// A node as artifacts and templates show it.
pub fn fields_of(node: &Node) -> Value {
    Value::Object(node_fields(node))
}

/// A node as the manifest, and templates through `model` and `graph`, show it.
pub(crate) fn node_fields(node: &Node) -> Map<String, Value> {
    let relation = &node.relation;
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| _ = fields.insert(key.to_owned(), value);
    put("unique_id", json!(node.id.as_str()));
    put("name", json!(node.name));
    put("resource_type", json!(node.resource_type.as_str()));
    put("package_name", json!(node.package));
    put("path", json!(node.path.to_string_lossy()));
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
    put(
        "refs",
        node.refs
            .iter()
            .map(|call| json!({ "name": call.name, "package": call.package, "version": call.version }))
            .collect(),
    );
    put("sources", node.sources.iter().map(|call| json!([call.source, call.table])).collect());
    put("depends_on", json!({ "nodes": ids(node), "macros": node.macros }));
    add_kind(node, &mut fields);
    fields
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
