//! manifest.json: what the project is, in dbt's schema version 12.
//!
//! Layout: `metadata`; by unique id `nodes` (models, seeds, snapshots, tests, analyses, hooks of runs), `sources`, `exposures`,
//! `unit_tests`, `groups`, `macros`, `docs`, and in lists `disabled`; `selectors` by name; `parent_map` and `child_map` by unique
//! id, `group_map` by name of the group. Metrics, semantic models and saved queries are not built here and their sections
//! are empty. Of macros those of the project and of installed packages are listed: what is built in is not dbt's text.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{DBT_VERSION, Entries};
use crate::definitions::{Group, MacroDefinition};
use crate::hooks::HookMoment;
use crate::node::ResourceType;
use crate::project::TransformProject;

const SCHEMA: &str = "https://schemas.getdbt.com/dbt/manifest/v12.json";

type Section = BTreeMap<String, Value>;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Manifest {
    pub metadata: Value,
    pub nodes: Section,
    pub sources: Section,
    pub macros: Section,
    pub docs: Section,
    pub exposures: Section,
    pub metrics: Section,
    pub groups: Section,
    pub selectors: Section,
    pub disabled: BTreeMap<String, Vec<Value>>,
    pub parent_map: BTreeMap<String, Vec<String>>,
    pub child_map: BTreeMap<String, Vec<String>>,
    pub group_map: BTreeMap<String, Vec<String>>,
    pub saved_queries: Section,
    pub semantic_models: Section,
    pub unit_tests: Section,
}

/// When and by whom a manifest is made.
#[derive(Clone, Debug, Default)]
pub struct Making {
    /// RFC 3339 in UTC.
    pub generated_at: String,
    /// Seconds since 1970.
    pub created_at: f64,
    pub invocation_id: String,
    /// The project folder.
    pub root: std::path::PathBuf,
}

/// The manifest of a project, with the compiled code of the nodes that have been compiled.
pub fn manifest(project: &TransformProject, compiled: &BTreeMap<&str, &str>, making: &Making) -> Manifest {
    let writer = Writer { project, compiled, making, entries: project.entries() };
    let mut manifest = Manifest { metadata: writer.metadata(), ..Manifest::default() };
    for node in project.graph.nodes.values() {
        let id = node.id.to_string();
        let entry = writer.node(node);
        if let Some(group) = entry.get("group").and_then(Value::as_str) {
            manifest.group_map.entry(group.to_owned()).or_default().push(id.clone());
        }
        let children = project.graph.children(&node.id).map(ToString::to_string);
        manifest.parent_map.insert(id.clone(), writer.entries.parents(&node.id));
        manifest.child_map.insert(id.clone(), children.collect());
        let section = match node.resource_type {
            ResourceType::Source => &mut manifest.sources,
            ResourceType::Exposure => &mut manifest.exposures,
            ResourceType::UnitTest => &mut manifest.unit_tests,
            _ => &mut manifest.nodes,
        };
        section.insert(id, entry);
    }
    for (id, hook) in writer.run_hooks() {
        manifest.parent_map.insert(id.clone(), Vec::new());
        manifest.child_map.insert(id.clone(), Vec::new());
        manifest.nodes.insert(id, hook);
    }
    manifest.disabled =
        project.graph.disabled.values().map(|node| (node.id.to_string(), vec![writer.node(node)])).collect();
    manifest.groups = project.groups.iter().map(|group| writer.group(group)).collect();
    manifest.macros = writer.macros();
    manifest.docs = writer.docs();
    manifest.selectors = project.selectors.iter().map(|(name, known)| (name.clone(), known.shown(name))).collect();
    manifest
}

struct Writer<'a> {
    project: &'a TransformProject,
    compiled: &'a BTreeMap<&'a str, &'a str>,
    making: &'a Making,
    entries: Entries<'a>,
}

impl Writer<'_> {
    fn metadata(&self) -> Value {
        let Making { generated_at, invocation_id, .. } = self.making;
        json!({
            "dbt_schema_version": SCHEMA, "dbt_version": DBT_VERSION, "generated_at": generated_at,
            "invocation_id": invocation_id, "invocation_started_at": generated_at, "env": {},
            "project_name": self.project.name, "project_id": crate::md5::hex(self.project.name.as_bytes()),
            "user_id": null, "send_anonymous_usage_stats": false,
            "adapter_type": self.project.definitions.target.adapter,
            "quoting": { "database": true, "schema": true, "identifier": true, "column": null },
        })
    }

    fn node(&self, node: &crate::node::Node) -> Value {
        let mut fields = self.entries.of(node);
        fields.insert(String::from("created_at"), json!(self.making.created_at));
        if let Some(folder) = fields.get("root_path").and_then(Value::as_str) {
            let root = self.making.root.join(folder);
            fields.insert(String::from("root_path"), json!(root.to_string_lossy().trim_end_matches('/')));
        }
        if let Some(sql) = self.compiled.get(node.id.as_str()) {
            fields.extend([
                (String::from("compiled"), json!(true)),
                (String::from("compiled_code"), json!(sql)),
                (String::from("extra_ctes_injected"), json!(true)),
                (String::from("extra_ctes"), json!([])),
            ]);
        }
        Value::Object(fields)
    }

    /// `on-run-start` and `on-run-end`.
    fn run_hooks(&self) -> Vec<(String, Value)> {
        let mut hooks = Vec::new();
        for (moment, tag) in [(HookMoment::Before, "on-run-start"), (HookMoment::After, "on-run-end")] {
            for hook in self.project.run_hooks(moment) {
                let index: u64 = hook.id.rsplit('-').next().and_then(|index| index.parse().ok()).unwrap_or_default();
                let mut node = crate::load::nodes::operation(&hook.package, &hook.name, &hook.text);
                let target = &self.project.definitions.target;
                node.relation.database.clone_from(&target.database);
                node.relation.schema.clone_from(&target.schema);
                node.relation.identifier.clone_from(&hook.name);
                let mut fields = self.entries.of(&node);
                fields.extend([
                    (String::from("resource_type"), json!("operation")),
                    (String::from("original_file_path"), json!("./dbt_project.yml")),
                    (String::from("tags"), json!([tag])),
                    (String::from("index"), json!(index)),
                    (String::from("created_at"), json!(self.making.created_at)),
                ]);
                hooks.push((hook.id.clone(), Value::Object(fields)));
            }
        }
        hooks
    }

    fn group(&self, group: &Group) -> (String, Value) {
        let id = format!("group.{}.{}", group.package, group.name);
        let written = |key: &str| group.written.get(key);
        let owner = |key: &str| written("owner").and_then(|owner| owner.get(key)).cloned();
        let meta = written("config").and_then(|config| config.get("meta")).cloned().unwrap_or_else(|| json!({}));
        let mut shown: Map<String, Value> = written("owner").and_then(Value::as_object).cloned().unwrap_or_default();
        shown.insert(String::from("email"), json!(owner("email")));
        shown.insert(String::from("name"), json!(owner("name")));
        let entry = json!({
            "name": group.name, "resource_type": "group", "package_name": group.package, "unique_id": id,
            "path": group.path.to_string_lossy(), "original_file_path": self.entries.path(&group.package, &group.file),
            "owner": shown, "description": written("description"), "config": { "meta": meta },
        });
        (id, entry)
    }

    fn macros(&self) -> Section {
        let own = self.project.definitions.macros.iter().filter(|definition| definition.file.is_some());
        own.map(|definition| (definition.unique_id.clone(), self.macro_entry(definition))).collect()
    }

    fn macro_entry(&self, definition: &MacroDefinition) -> Value {
        let path = definition.file.as_deref().map(|file| self.entries.path(&definition.package, file));
        let written = |key: &str| definition.written.as_ref().and_then(|(entry, _)| entry.get(key)).cloned();
        let argument = |argument: &Value| {
            let text = |key: &str| argument.get(key).map(crate::config::plain_text);
            json!({ "name": text("name"), "type": text("type"), "description": text("description").unwrap_or_default() })
        };
        let arguments = written("arguments").and_then(|list| list.as_array().cloned()).unwrap_or_default();
        let config = written("config").unwrap_or_default();
        let beside = |key: &str| config.get(key).cloned().or_else(|| written(key));
        let docs = beside("docs").unwrap_or_default();
        let properties = definition.written.as_ref().map(|(_, file)| self.entries.path(&definition.package, file));
        json!({
            "name": definition.name, "resource_type": "macro", "package_name": definition.package, "path": path,
            "original_file_path": path, "unique_id": definition.unique_id, "macro_sql": &*definition.text,
            "depends_on": { "macros": self.called(definition) },
            "description": written("description").map(|text| crate::config::plain_text(&text)).unwrap_or_default(),
            "meta": beside("meta").unwrap_or_else(|| json!({})),
            "docs": {
                "show": docs.get("show").cloned().unwrap_or(Value::Bool(true)), "node_color": docs.get("node_color"),
            },
            "patch_path": properties.map(|file| format!("{}://{file}", definition.package)),
            "arguments": arguments.iter().map(argument).collect::<Vec<_>>(), "supported_languages": null,
            "created_at": self.making.created_at,
        })
    }

    /// Macros whose names are called in the text of one.
    fn called(&self, definition: &MacroDefinition) -> Vec<String> {
        let mut called = Vec::new();
        for (at, _) in definition.text.match_indices('(') {
            let before = definition.text.get(..at).unwrap_or_default();
            let start = before.rfind(|character: char| !(character.is_alphanumeric() || "_.".contains(character)));
            let name = before.get(start.map_or(0, |start| start + 1)..).unwrap_or_default();
            let found = match name.split_once('.') {
                Some((package, name)) => self.project.definitions.macros.in_package(package, name),
                None => self.project.definitions.find_macro(&definition.package, name),
            };
            if let Some(found) = found.filter(|found| found.unique_id != definition.unique_id)
                && !called.contains(&found.unique_id)
            {
                called.push(found.unique_id.clone());
            }
        }
        called
    }

    fn docs(&self) -> Section {
        let entry = |(name, block): (&String, &crate::definitions::DocBlock)| {
            let (package, short) = name.split_once('.').unwrap_or(("", name));
            let id = format!("doc.{name}");
            let fields = json!({
                "name": short, "resource_type": "doc", "package_name": package, "unique_id": id,
                "path": block.path.to_string_lossy(), "original_file_path": self.entries.path(package, &block.file),
                "block_contents": block.text,
            });
            (id, fields)
        };
        self.project.definitions.docs.iter().map(entry).collect()
    }
}
