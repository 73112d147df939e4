//! Tables that something other than the project fills.

use std::path::{Path, PathBuf};

use headwater_project::Diagnostics;
use serde_json::Value;

use super::{Layers, add_tests, blank, columns, slashes};
use crate::config::merge;
use crate::definitions::JsonMap;
use crate::load::link::{Draft, Linker};
use crate::load::properties::SourceProperties;
use crate::node::{NodeId, NodeKind, ResourceType, Written};

pub(super) fn add_source(linker: &mut Linker, layers: &Layers<'_>, source: &SourceProperties, found: &mut Diagnostics) {
    let package = &layers.package.file.name;
    let table = &source.table;
    let kind = NodeKind::Source { source: source.source.clone(), loader: source.loader.clone() };
    let path = vec![package.clone(), source.source.clone(), table.name.clone()];
    let mut node = blank(package, ResourceType::Source, table.name.clone(), path, kind);
    node.id = NodeId::new(format!("source.{package}.{}.{}", source.source, table.name));
    node.span = Some(table.span);
    node.path = linker.path_of(table.span);
    node.file = Some(table.span.file);
    node.description.clone_from(&table.description);
    node.columns = columns(&table.columns);
    node.written = written_source(layers, &node.fqn, source, linker.path_of(table.span));
    let mut config = layers.of("sources", &node.fqn);
    merge(&mut config, &table.config);
    for (key, value) in [("schema", &source.schema), ("database", &source.database), ("alias", &source.identifier)] {
        if let Some(value) = value {
            config.insert(key.to_owned(), serde_json::Value::String(value.clone()));
        }
    }
    let id = node.id.clone();
    linker.add(Draft { node, config, code: None }, found);
    add_tests(linker, layers, &id, table, found);
}

/// What dbt keeps of the configuration of a source: four of its keys always, whether they are said or not.
fn written_source(layers: &Layers<'_>, fqn: &[String], source: &SourceProperties, file: PathBuf) -> Written {
    let mut config = layers.written("sources", fqn);
    for entry in [&source.written, &source.table.written] {
        config.extend(entry.get("config").and_then(Value::as_object).cloned().unwrap_or_default());
    }
    let said = |key: &str| source.table.config.get(key).cloned();
    if let Some(rule) = said("freshness") {
        let rule = if rule.is_null() { rule } else { crate::artifact::freshness(&rule) };
        config.insert(String::from("freshness"), rule);
    }
    for key in ["loaded_at_field", "loaded_at_query"] {
        config.insert(key.to_owned(), said(key).unwrap_or_default());
    }
    config.insert(String::from("meta"), said("meta").unwrap_or_else(|| Value::Object(JsonMap::new())));
    config.insert(String::from("tags"), said("tags").unwrap_or_else(|| Value::Array(Vec::new())));
    let mut properties = source.table.written.clone();
    properties.insert(String::from("source"), Value::Object(source.written.clone()));
    let path = slashes(&within_package(layers, &file));
    Written { path, properties_file: Some(file), properties, config, ..Written::default() }
}

/// A path as seen from the folder of its package.
fn within_package(layers: &Layers<'_>, path: &Path) -> PathBuf {
    path.strip_prefix(&layers.package.root).unwrap_or(path).to_path_buf()
}
