//! manifest.json: what the project is. A subset of dbt's schema version 12; consumers ignore keys that are not there.
//!
//! Layout: `metadata`, `nodes` (models, seeds, tests, analyses) and `sources` by unique id, `macros`, `docs`, `parent_map` and
//! `child_map` by unique id.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::node::ResourceType;
use crate::project::TransformProject;

const SCHEMA: &str = "https://schemas.getdbt.com/dbt/manifest/v12.json";

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    pub metadata: Metadata,
    pub nodes: BTreeMap<String, Map<String, Value>>,
    pub sources: BTreeMap<String, Map<String, Value>>,
    pub macros: BTreeMap<String, Value>,
    pub docs: BTreeMap<String, Value>,
    pub exposures: BTreeMap<String, Value>,
    pub disabled: BTreeMap<String, Vec<Map<String, Value>>>,
    pub parent_map: BTreeMap<String, Vec<String>>,
    pub child_map: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metadata {
    pub dbt_schema_version: String,
    pub dbt_version: String,
    /// RFC 3339 in UTC.
    pub generated_at: String,
    pub invocation_id: String,
    pub project_name: String,
    pub adapter_type: String,
}

/// The manifest of a project, with the compiled code of the nodes that have been compiled.
pub fn manifest(
    project: &TransformProject,
    compiled: &BTreeMap<&str, &str>,
    generated_at: String,
    invocation_id: String,
) -> Manifest {
    let (mut nodes, mut sources) = (BTreeMap::new(), BTreeMap::new());
    let (mut parent_map, mut child_map) = (BTreeMap::new(), BTreeMap::new());
    for node in project.graph.nodes.values() {
        let mut fields = super::node_fields(node);
        if let Some(sql) = compiled.get(node.id.as_str()) {
            fields.insert(String::from("compiled"), json!(true));
            fields.insert(String::from("compiled_code"), json!(sql));
        }
        let id = node.id.as_str().to_owned();
        parent_map.insert(id.clone(), project.graph.parents(&node.id).map(ToString::to_string).collect());
        child_map.insert(id.clone(), project.graph.children(&node.id).map(ToString::to_string).collect());
        if node.resource_type == ResourceType::Source {
            sources.insert(id, fields)
        } else {
            nodes.insert(id, fields)
        };
    }
    let disabled = project.graph.disabled.values().map(|node| (node.id.to_string(), vec![super::node_fields(node)]));
    Manifest {
        metadata: Metadata {
            dbt_schema_version: SCHEMA.to_owned(),
            dbt_version: String::from("1.11.0"),
            generated_at,
            invocation_id,
            project_name: project.name.clone(),
            adapter_type: project.definitions.target.adapter.clone(),
        },
        nodes,
        sources,
        macros: macros(project),
        docs: docs(project),
        exposures: BTreeMap::new(),
        disabled: disabled.collect(),
        parent_map,
        child_map,
    }
}

fn macros(project: &TransformProject) -> BTreeMap<String, Value> {
    let described = project.definitions.macros.iter().filter(|definition| definition.span.is_some());
    let entry = |definition: &std::sync::Arc<crate::definitions::MacroDefinition>| {
        let fields = json!({
            "unique_id": definition.unique_id,
            "name": definition.name,
            "package_name": definition.package,
            "macro_sql": &*definition.text,
            "resource_type": "macro",
        });
        (definition.unique_id.clone(), fields)
    };
    described.map(entry).collect()
}

fn docs(project: &TransformProject) -> BTreeMap<String, Value> {
    let entry = |(name, text): (&String, &String)| {
        let id = format!("doc.{name}");
        (id.clone(), json!({ "unique_id": id, "name": name.split('.').next_back(), "block_contents": text }))
    };
    project.definitions.docs.iter().map(entry).collect()
}
