//! Nodes as the manifest has them: every field of dbt's schema version 12.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::config::config;
use super::{constraint, doc_calls, ids, refs, sources, unit_test};
use crate::definitions::Definitions;
use crate::graph::Graph;
use crate::node::{Column, Node, NodeId, NodeKind, ResourceType, TestKind};

/// Makes entries of the nodes of one project.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entries<'a> {
    pub graph: &'a Graph,
    pub definitions: &'a Definitions,
}

impl Entries<'_> {
    /// A node, but for when it was read and what it was compiled to.
    pub(crate) fn of(self, node: &Node) -> Map<String, Value> {
        let mut fields = self.common(node);
        match node.resource_type {
            ResourceType::Source => self.add_source(node, &mut fields),
            ResourceType::Exposure => self.add_exposure(node, &mut fields),
            ResourceType::UnitTest => self.add_unit_test(node, &mut fields),
            _ => self.add_node(node, &mut fields),
        }
        fields
    }

    /// A path as dbt gives it: from the folder of the package it is in.
    pub(crate) fn path(self, package: &str, path: &Path) -> String {
        let root = self.definitions.packages.get(package).map(|package| package.root.as_path());
        let inside = root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path);
        inside.to_string_lossy().into_owned()
    }

    fn common(self, node: &Node) -> Map<String, Value> {
        object(json!({
            "name": node.name, "resource_type": node.resource_type.as_str(), "package_name": node.package,
            "path": node.written.path, "original_file_path": self.path(&node.package, &node.path),
            "unique_id": node.id.as_str(), "fqn": node.fqn, "description": node.description,
            "unrendered_config": node.written.config, "config": config(node),
        }))
    }

    fn add_node(self, node: &Node, fields: &mut Map<String, Value>) {
        let of_config = configured(fields);
        let properties = node.written.properties_file.as_ref().filter(|_| node.resource_type != ResourceType::Test);
        fields.extend(object(json!({
            "database": node.relation.database, "schema": node.relation.schema, "alias": node.relation.identifier,
            "checksum": self.checksum(node), "tags": node.tags(), "meta": of_config("meta"), "group": self.group(node),
            "docs": of_config("docs"), "columns": self.columns(node), "build_path": null,
            "patch_path": properties.map(|file| format!("{}://{}", node.package, self.path(&node.package, file))),
            "relation_name": relation_name(node), "raw_code": &**node.written.code.as_ref().unwrap_or(&node.raw_code),
            "doc_blocks": self.doc_blocks(node),
        })));
        if node.resource_type == ResourceType::Seed {
            let root = self.definitions.packages.get(&node.package).map(|package| package.root.to_string_lossy());
            fields.insert(String::from("root_path"), json!(root));
            fields.insert(String::from("depends_on"), json!({ "macros": node.macros }));
            return;
        }
        if node.resource_type == ResourceType::Test {
            fields.insert(String::from("docs"), json!({ "show": true, "node_color": null }));
        }
        fields.extend(object(json!({
            "language": "sql", "refs": refs(node), "sources": sources(node), "metrics": [], "compiled_path": null,
            "depends_on": { "macros": node.macros, "nodes": ids(node) }, "contract": constraint::contract(node, &of_config("contract")),
        })));
        match &node.kind {
            NodeKind::Model => self.add_model(node, fields),
            NodeKind::Test(test) => add_test(node, test, fields),
            _ => {}
        }
    }

    fn add_model(self, node: &Node, fields: &mut Map<String, Value>) {
        let written = |key: &str| node.written.properties.get(key).cloned().unwrap_or_default();
        let access = node.config.text("access").unwrap_or("protected");
        fields.extend(object(json!({
            "access": access, "constraints": constraint::constraints(&node.constraints, true),
            "version": node.version.as_ref().map(crate::load::nodes::version_value),
            "latest_version": written("latest_version"), "deprecation_date": written("deprecation_date"),
            "primary_key": self.primary_key(node), "time_spine": written("time_spine"),
        })));
    }

    fn checksum(self, node: &Node) -> Value {
        if matches!(&node.kind, NodeKind::Test(TestKind::Generic { .. })) {
            return json!({ "name": "none", "checksum": "" });
        }
        json!({ "name": "sha256", "checksum": node.written.checksum.as_ref().unwrap_or(&node.checksum) })
    }

    /// A test belongs to the group of what it tests.
    fn group(self, node: &Node) -> Option<String> {
        let tested = match &node.kind {
            NodeKind::Test(TestKind::Generic { attached, .. }) => self.graph.nodes.get(attached),
            _ => None,
        };
        tested.unwrap_or(node).config.text("group").map(str::to_owned)
    }

    pub(crate) fn columns(self, node: &Node) -> Value {
        let column = |column: &Column| {
            json!({
                "name": column.name, "description": column.description, "meta": column.meta,
                "data_type": column.data_type, "constraints": constraint::constraints(&column.constraints, false),
                "quote": column.quote, "config": { "meta": column.meta, "tags": column.tags }, "tags": column.tags,
                "granularity": null, "doc_blocks": self.docs(&node.package, &column.doc_calls),
            })
        };
        let named = node.columns_in_order().into_iter().map(|described| (described.name.clone(), column(described)));
        Value::Object(named.collect())
    }

    fn doc_blocks(self, node: &Node) -> Vec<String> {
        let written = node.written.properties.get("description").and_then(Value::as_str).unwrap_or_default();
        self.docs(&node.package, &doc_calls(written))
    }

    /// Ids of the documentation blocks that are meant.
    fn docs(self, package: &str, calls: &[String]) -> Vec<String> {
        let root = &self.definitions.root_package;
        let known = |name: &String| self.definitions.docs.contains_key(name);
        let find = |call: &String| {
            let names = [call.clone(), format!("{package}.{call}"), format!("{root}.{call}")];
            names.into_iter().find(known).map(|name| format!("doc.{name}"))
        };
        calls.iter().filter_map(find).collect()
    }

    /// The key dbt takes a model to have: by its constraints, or else by tests that are there.
    fn primary_key(self, node: &Node) -> Vec<String> {
        let is_key = |constraint: &&Value| constraint.get("type").and_then(Value::as_str) == Some("primary_key");
        if let Some(key) = node.constraints.iter().find(is_key) {
            return key.get("columns").map(crate::config::as_list).unwrap_or_default();
        }
        let keyed =
            node.columns_in_order().into_iter().find(|column| column.constraints.iter().any(|one| is_key(&one)));
        if let Some(column) = keyed {
            return vec![column.name.clone()];
        }
        let (unique, not_null) = (self.tested(node, true), self.tested(node, false));
        let both: Vec<String> = unique.intersection(&not_null).cloned().collect();
        if both.is_empty() { unique.into_iter().collect() } else { both }
    }

    /// Columns with tests of uniqueness, or against null.
    fn tested(self, node: &Node, unique: bool) -> BTreeSet<String> {
        let mut columns = BTreeSet::new();
        for test in self.graph.children(&node.id).filter_map(|id| self.graph.nodes.get(id)) {
            let NodeKind::Test(TestKind::Generic { name, arguments, attached, .. }) = &test.kind else { continue };
            let is_unique = matches!(name.as_str(), "unique" | "unique_combination_of_columns");
            if *attached != node.id || if unique { !is_unique } else { name != "not_null" } {
                continue;
            }
            let named = arguments.get("column_name").or_else(|| arguments.get("combination_of_columns"));
            columns.extend(named.map(crate::config::as_list).unwrap_or_default());
        }
        columns
    }

    fn add_source(self, node: &Node, fields: &mut Map<String, Value>) {
        let NodeKind::Source { source, loader } = &node.kind else { return };
        let written = &node.written.properties;
        let of_source = |key: &str| written.get("source").and_then(|source| source.get(key)).cloned();
        let of_config = configured(fields);
        let quoting = |part: &str| {
            let said = |entry: Option<Value>| entry.and_then(|quoting| quoting.get(part).cloned());
            said(written.get("quoting").cloned()).or_else(|| said(of_source("quoting")))
        };
        // A table without a description of its own has that of its source only in templates.
        if !written.contains_key("description") {
            fields.insert(String::from("description"), json!(""));
        }
        let source_meta = of_source("meta").or_else(|| of_source("config")?.get("meta").cloned());
        fields.extend(object(json!({
            "database": node.relation.database, "schema": node.relation.schema, "source_name": source,
            "source_description": of_source("description").unwrap_or_else(|| json!("")),
            "loader": loader.clone().unwrap_or_default(), "identifier": node.relation.identifier,
            "quoting": {
                "database": quoting("database"), "schema": quoting("schema"), "identifier": quoting("identifier"),
                "column": quoting("column"),
            },
            "loaded_at_field": of_config("loaded_at_field"), "loaded_at_query": of_config("loaded_at_query"),
            "freshness": of_config("freshness"), "external": written.get("external"), "columns": self.columns(node),
            "meta": of_config("meta"), "source_meta": source_meta.unwrap_or_else(|| json!({})), "tags": node.tags(),
            "patch_path": null, "relation_name": node.relation.to_string(),
            "unrendered_database": of_source("database"), "unrendered_schema": of_source("schema"),
            "doc_blocks": self.doc_blocks(node),
        })));
    }

    fn add_exposure(self, node: &Node, fields: &mut Map<String, Value>) {
        let written = |key: &str| node.written.properties.get(key).cloned().unwrap_or_default();
        let owner = written("owner");
        let mut owner_fields = object(json!({ "email": owner.get("email"), "name": owner.get("name") }));
        owner_fields.extend(owner.as_object().cloned().unwrap_or_default());
        fields.extend(object(json!({
            "type": written("type"), "owner": owner_fields, "label": written("label"), "maturity": written("maturity"),
            "url": written("url"), "meta": node.config.get("meta").cloned().unwrap_or_else(|| json!({})),
            "tags": node.tags(), "depends_on": { "macros": [], "nodes": ids(node) }, "refs": refs(node),
            "sources": sources(node), "metrics": [],
        })));
    }

    fn add_unit_test(self, node: &Node, fields: &mut Map<String, Value>) {
        let NodeKind::UnitTest(test) = &node.kind else { return };
        fields.remove("unrendered_config");
        let tested = test.tested.as_ref().and_then(|id| self.graph.nodes.get(id)).unwrap_or(node);
        fields.extend(unit_test::fields(test, &node.written.properties, &tested.relation.schema));
        fields.insert(String::from("depends_on"), json!({ "macros": [], "nodes": ids(node) }));
    }

    /// Ids of what a node depends on.
    pub(crate) fn parents(self, id: &NodeId) -> Vec<String> {
        self.graph.parents(id).map(ToString::to_string).collect()
    }
}

/// Looks into the configuration of an entry.
fn configured(fields: &Map<String, Value>) -> impl Fn(&str) -> Value + use<> {
    let config = fields.get("config").cloned().unwrap_or_default();
    move |key| config.get(key).cloned().unwrap_or_default()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// What is kept nowhere has no name in the warehouse.
fn relation_name(node: &Node) -> Option<String> {
    let is_kept = match node.resource_type {
        ResourceType::Analysis => false,
        ResourceType::Test => node.config.flag("store_failures").unwrap_or(false),
        _ => !node.is_ephemeral(),
    };
    is_kept.then(|| node.relation.to_string())
}

fn add_test(node: &Node, test: &TestKind, fields: &mut Map<String, Value>) {
    let TestKind::Generic { name, namespace, arguments, column, attached } = test else { return };
    let mut kwargs = arguments.clone();
    kwargs.insert(String::from("model"), json!(tested_call(node)));
    let section = attached.as_str().split('.').next().unwrap_or_default();
    let is_source = section == "source";
    let described = attached.as_str().split('.').nth(2).unwrap_or_default();
    fields.extend(object(json!({
        "column_name": column, "file_key_name": format!("{section}s.{described}"),
        "attached_node": if is_source { None } else { Some(attached.as_str()) },
        "test_metadata": { "name": name, "kwargs": kwargs, "namespace": namespace },
    })));
}

/// The call that stands for what is tested, as it is in the test's own template.
fn tested_call(node: &Node) -> String {
    let inside = node.raw_code.split_once("(model=").map(|(_, rest)| rest).unwrap_or_default();
    let end = inside.find("))").map_or(inside.len(), |at| at + 2);
    format!("{{{{ {} }}}}", inside.get(..end).unwrap_or_default())
}
