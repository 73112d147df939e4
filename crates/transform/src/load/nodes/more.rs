//! Nodes that are neither models, seeds nor tests of tables: snapshots, unit tests, exposures.

use std::path::PathBuf;
use std::sync::Arc;

use headwater_project::{Diagnostic, Diagnostics, Span};

use super::{DescribedDraft, Layers, add_described, blank, columns, fqn, sha256, slashes};
use crate::config::merge;
use crate::jinja::scan;
use crate::jinja::source::offset;
use crate::load::link::{Draft, Linker};
use crate::load::package::SqlFile;
use crate::load::properties::unit_test::{UnitTestProperties, csv_rows};
use crate::load::properties::{Described, ExposureProperties};
use crate::node::{FixtureRows, NodeId, NodeKind, ResourceType};

/// The snapshots of one file, each a block.
pub(super) fn add_snapshot_file(
    linker: &mut Linker,
    layers: &Layers<'_>,
    file: &SqlFile,
    described: &mut std::collections::HashMap<String, Described>,
    found: &mut Diagnostics,
) {
    let (blocks, unclosed) = scan::blocks(&file.text, &["snapshot"]);
    for open in unclosed {
        let span = Span { file: file.file, start: offset(open.whole.start), end: offset(open.whole.end) };
        let message = format!("snapshot '{}' has no end", open.name);
        found.push(Diagnostic::error(message).at(span).hint("Close it with {% endsnapshot %}."));
    }
    for block in blocks {
        let body = file.text.get(block.body.clone()).unwrap_or_default();
        let start = block.body.start + (body.len() - body.trim_start().len());
        let code = body.trim();
        let package = &layers.package.file.name;
        let mut path = fqn(package, &file.inside);
        path.push(block.name.clone());
        let mut node = blank(package, ResourceType::Snapshot, block.name.clone(), path, NodeKind::Snapshot);
        node.path.clone_from(&file.path);
        node.file = Some(file.file);
        node.span = Some(Span { file: file.file, start: offset(start), end: offset(start + code.len()) });
        node.raw_code = Arc::from(code);
        node.checksum = sha256(code.as_bytes());
        node.written.path = slashes(&file.inside);
        node.written.code = Some(Arc::from(body));
        node.written.checksum = Some(sha256(file.text.trim().as_bytes()));
        node.written.config = layers.written("snapshots", &node.fqn);
        let config = layers.of("snapshots", &node.fqn);
        let draft = Draft { node, config, code: Some((file.text.clone(), start..start + code.len())) };
        add_described(linker, layers, DescribedDraft { draft, described: described.remove(&block.name) }, found);
    }
}

/// A snapshot that is written in YAML alone.
pub(super) fn add_yaml_snapshot(
    linker: &mut Linker,
    layers: &Layers<'_>,
    described: &Described,
    found: &mut Diagnostics,
) {
    let Some(relation) = &described.relation else {
        let message = format!("there is no snapshot '{}'", described.name);
        found.push(
            Diagnostic::warning(message)
                .at(described.span)
                .hint("Add `relation: ref('...')`, or a {% snapshot %} block of this name."),
        );
        return;
    };
    let package = &layers.package.file.name;
    let path = linker.path_of(described.span);
    let inside = layers.package.inside(&path);
    let mut parts = fqn(package, &inside);
    parts.pop();
    parts.push(described.name.clone());
    let mut node = blank(package, ResourceType::Snapshot, described.name.clone(), parts, NodeKind::Snapshot);
    node.raw_code = Arc::from(format!("select * from {{{{ {relation} }}}}"));
    node.checksum = sha256(node.raw_code.as_bytes());
    node.written.path = format!("{}/{}.sql", slashes(&inside), described.name);
    node.written.config = layers.written("snapshots", &node.fqn);
    node.path = path;
    node.file = Some(described.span.file);
    node.span = Some(described.span);
    let draft = Draft { config: layers.of("snapshots", &node.fqn), node, code: None };
    add_described(linker, layers, DescribedDraft { draft, described: Some(described.clone()) }, found);
}

pub(super) fn add_unit_test(
    linker: &mut Linker,
    layers: &Layers<'_>,
    properties: &UnitTestProperties,
    found: &mut Diagnostics,
) {
    let package = &layers.package.file.name;
    let mut test = properties.test.clone();
    for (place, name) in &properties.fixtures {
        match fixture(layers, name) {
            Ok(rows) => match place.and_then(|index| test.given.get_mut(index)) {
                Some(given) => given.rows = rows,
                None => test.expect = rows,
            },
            Err(problem) => found.push(Diagnostic::error(problem).at(properties.span)),
        }
    }
    let path = linker.path_of(properties.span);
    let mut parts = fqn(package, &layers.package.inside(&path));
    parts.pop();
    parts.push(test.model.clone());
    parts.push(properties.name.clone());
    let id = format!("unit_test.{package}.{}.{}", test.model, properties.name);
    let checksum = sha256(format!("{test:?}").as_bytes());
    let kind = NodeKind::UnitTest(Box::new(test));
    let mut node = blank(package, ResourceType::UnitTest, properties.name.clone(), parts, kind);
    node.id = NodeId::new(id);
    node.written.path = slashes(&layers.package.inside(&path));
    node.written.properties.clone_from(&properties.written);
    node.written.config = layers.written("unit_tests", &node.fqn);
    node.written.config.extend(properties.config.clone());
    node.path = path;
    node.file = Some(properties.span.file);
    node.span = Some(properties.span);
    node.description.clone_from(&properties.description);
    node.checksum = checksum;
    let mut config = layers.of("unit_tests", &node.fqn);
    merge(&mut config, &properties.config);
    linker.add(Draft { node, config, code: None }, found);
}

fn fixture(layers: &Layers<'_>, name: &str) -> Result<FixtureRows, String> {
    let found = layers.package.fixtures.iter().find(|(path, _)| path.file_stem().is_some_and(|stem| stem == name));
    let (path, text) = found.ok_or_else(|| format!("there is no fixture '{name}' in tests/fixtures"))?;
    if path.extension().is_some_and(|ending| ending == "sql") {
        return Ok(FixtureRows::Sql(text.trim().trim_end_matches(';').to_owned()));
    }
    csv_rows(text).map(FixtureRows::Rows)
}

pub(super) fn add_exposure(
    linker: &mut Linker,
    layers: &Layers<'_>,
    exposure: &ExposureProperties,
    found: &mut Diagnostics,
) {
    let package = &layers.package.file.name;
    let described = &exposure.described;
    let path: PathBuf = linker.path_of(described.span);
    let mut parts = fqn(package, &layers.package.inside(&path));
    parts.pop();
    parts.push(described.name.clone());
    let mut node = blank(package, ResourceType::Exposure, described.name.clone(), parts, NodeKind::Exposure);
    let calls: Vec<String> = exposure.depends_on.iter().map(|call| format!("{{{{ {call} }}}}")).collect();
    node.raw_code = Arc::from(calls.join("\n"));
    node.written.path = slashes(&layers.package.inside(&path));
    node.written.properties.clone_from(&described.written);
    node.written.config = layers.written("exposures", &node.fqn);
    if let Some(serde_json::Value::Object(config)) = described.written.get("config") {
        node.written.config.extend(config.clone());
    }
    node.path = path;
    node.file = Some(described.span.file);
    node.span = Some(described.span);
    node.description.clone_from(&described.description);
    node.columns = columns(&described.columns);
    let mut config = layers.of("exposures", &node.fqn);
    merge(&mut config, &described.config);
    linker.add(Draft { node, config, code: None }, found);
}
