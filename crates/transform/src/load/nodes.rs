//! Making nodes of the files and properties of one package.

mod more;
mod source;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use headwater_project::{Diagnostic, Diagnostics, Span};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::folder::Folder;
use super::generic_test;
use super::link::{Draft, Linker};
use super::package::{LoadedPackage, SqlFile};
use super::project_file::folder_levels;
use super::properties::version::latest;
use super::properties::{ColumnProperties, Described, Properties, TestProperties};
use crate::config::merge;
use crate::definitions::JsonMap;
use crate::jinja::source::offset;
use crate::near::nearest;
use crate::node::{Column, Node, NodeId, NodeKind, ResourceType, TestKind, Written};
use crate::warehouse::RelationName;

/// Where a package's configuration comes from.
struct Layers<'a> {
    packages: &'a [LoadedPackage],
    package: &'a LoadedPackage,
}

impl Layers<'_> {
    /// What dbt_project.yml says about a node: the package's own file, then the project's.
    fn of(&self, section: &str, fqn: &[String]) -> JsonMap {
        let mut config = JsonMap::new();
        for level in self.levels(section, fqn) {
            merge(&mut config, &level);
        }
        config
    }

    /// The same before it is merged: what a later level says replaces what an earlier one says.
    fn written(&self, section: &str, fqn: &[String]) -> JsonMap {
        self.levels(section, fqn).into_iter().flatten().collect()
    }

    fn levels(&self, section: &str, fqn: &[String]) -> Vec<JsonMap> {
        let root = self.packages.first().filter(|root| root.file.name != self.package.file.name);
        let packages = std::iter::once(self.package).chain(root);
        let sections = packages.flat_map(|package| &package.file.configs).filter(|(name, _)| *name == section);
        sections.flat_map(|(_, tree)| folder_levels(tree, fqn)).collect()
    }
}

pub(crate) fn add_nodes(
    linker: &mut Linker,
    packages: &[LoadedPackage],
    index: usize,
    properties: &Properties,
    folder: &Folder<'_>,
    found: &mut Diagnostics,
) {
    let Some(package) = packages.get(index) else { return };
    let layers = Layers { packages, package };
    let mut models = by_name(&properties.models, "model", found);
    let mut versions = version_files(&mut models);
    for file in &package.models {
        let draft = match versions.remove(&stem(&file.path)) {
            Some(version) => versioned(&layers, file, version),
            None => sql_node(&layers, file, ResourceType::Model, &mut models),
        };
        add_described(linker, &layers, draft, found);
    }
    for (file, version) in &versions {
        let message =
            format!("there is no file '{file}.sql' for version {} of '{}'", version.version, version.described.name);
        found.push(
            Diagnostic::error(message)
                .at(version.described.span)
                .hint("Add the file, or name another with `defined_in:`."),
        );
    }
    let mut seeds = by_name(&properties.seeds, "seed", found);
    for (path, inside) in &package.seeds {
        let draft = seed_node(&layers, path, inside, folder, &mut seeds, found);
        add_described(linker, &layers, draft, found);
    }
    let mut analyses = by_name(&properties.analyses, "analysis", found);
    for file in &package.analyses {
        let draft = sql_node(&layers, file, ResourceType::Analysis, &mut analyses);
        add_described(linker, &layers, draft, found);
    }
    let mut tests = by_name(&properties.tests, "test", found);
    for file in &package.tests {
        let draft = sql_node(&layers, file, ResourceType::Test, &mut tests);
        add_described(linker, &layers, draft, found);
    }
    for source in &properties.sources {
        source::add_source(linker, &layers, source, found);
    }
    let mut snapshots = by_name(&properties.snapshots, "snapshot", found);
    for file in &package.snapshots {
        more::add_snapshot_file(linker, &layers, file, &mut snapshots, found);
    }
    let left: BTreeMap<String, Described> = snapshots.into_iter().collect();
    for snapshot in left.values() {
        more::add_yaml_snapshot(linker, &layers, snapshot, found);
    }
    for exposure in &properties.exposures {
        more::add_exposure(linker, &layers, exposure, found);
    }
    for unit_test in &properties.unit_tests {
        more::add_unit_test(linker, &layers, unit_test, found);
    }
    linker.add_groups(package, &properties.groups);
    report_unused(&models, "model", &package.models.iter().map(|file| stem(&file.path)).collect::<Vec<_>>(), found);
    report_unused(&seeds, "seed", &package.seeds.iter().map(|(path, _)| stem(path)).collect::<Vec<_>>(), found);
}

/// One version of a model, found by the file it is in.
struct VersionFile {
    version: String,
    is_latest: bool,
    is_prerelease: bool,
    latest: Option<String>,
    described: Described,
}

/// Takes the models that have versions out of `models`.
fn version_files(models: &mut HashMap<String, Described>) -> BTreeMap<String, VersionFile> {
    let mut files = BTreeMap::new();
    let versioned: Vec<String> =
        models.values().filter(|model| !model.versions.is_empty()).map(|model| model.name.clone()).collect();
    for name in versioned {
        let Some(model) = models.remove(&name) else { continue };
        let latest = latest(model.latest_version.as_deref(), &model.versions).map(str::to_owned);
        for version in &model.versions {
            let file = version.defined_in.clone().unwrap_or_else(|| format!("{name}_v{}", version.version));
            let is_latest = latest.as_deref() == Some(version.version.as_str());
            let described = version.described.clone();
            let said = latest.clone();
            let number = |text: &str| text.parse::<f64>().ok();
            let latest = latest.as_deref().and_then(number);
            let is_prerelease = number(&version.version).zip(latest).is_some_and(|(own, latest)| own > latest);
            let version = version.version.clone();
            files.insert(file, VersionFile { version, is_latest, is_prerelease, latest: said, described });
        }
    }
    files
}

fn versioned(layers: &Layers<'_>, file: &SqlFile, version: VersionFile) -> DescribedDraft {
    let mut described = sql_node(layers, file, ResourceType::Model, &mut HashMap::new());
    let node = &mut described.draft.node;
    let name = version.described.name.clone();
    node.id = NodeId::new(format!("model.{}.{name}.v{}", node.package, version.version));
    node.fqn.pop();
    node.fqn.extend([name.clone(), format!("v{}", version.version)]);
    described.draft.config = layers.of("models", &node.fqn);
    node.written.config = layers.written("models", &node.fqn);
    node.written.properties.insert(String::from("latest_version"), version.latest.map_or(Value::Null, version_value));
    described.draft.config.entry("alias").or_insert_with(|| format!("{name}_v{}", version.version).into());
    node.name = name;
    node.version = Some(version.version);
    node.is_latest = version.is_latest;
    node.is_prerelease = version.is_prerelease;
    described.described = Some(version.described);
    described
}

/// A node with what its properties file adds.
struct DescribedDraft {
    draft: Draft,
    described: Option<Described>,
}

fn by_name(described: &[Described], what: &str, found: &mut Diagnostics) -> HashMap<String, Described> {
    let mut named: HashMap<String, Described> = HashMap::new();
    for item in described {
        if named.insert(item.name.clone(), item.clone()).is_some() {
            let message = format!("{what} '{}' is described twice", item.name);
            found.push(Diagnostic::error(message).at(item.span).hint("Keep one of the two entries."));
        }
    }
    named
}

fn report_unused(left: &HashMap<String, Described>, what: &str, names: &[String], found: &mut Diagnostics) {
    let sorted: BTreeMap<&String, &Described> = left.iter().collect();
    for (name, item) in sorted {
        let diagnostic =
            Diagnostic::warning(format!("there is no {what} '{name}'")).event("NoNodeForYamlKey").at(item.span);
        found.push(match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => diagnostic.hint(format!("Did you mean '{near}'?")),
            None => diagnostic.hint(format!("Add the {what}, or remove this entry.")),
        });
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn fqn(package: &str, inside: &Path) -> Vec<String> {
    let folders = inside.parent().into_iter().flat_map(Path::components);
    let mut fqn = vec![package.to_owned()];
    fqn.extend(folders.map(|part| part.as_os_str().to_string_lossy().into_owned()));
    fqn.push(stem(inside));
    fqn
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn section_of(resource_type: ResourceType) -> &'static str {
    match resource_type {
        ResourceType::Model => "models",
        ResourceType::Seed => "seeds",
        ResourceType::Source => "sources",
        ResourceType::Test => "data_tests",
        ResourceType::Analysis => "analyses",
        ResourceType::Snapshot => "snapshots",
        ResourceType::UnitTest => "unit_tests",
        ResourceType::Exposure => "exposures",
    }
}

/// A node whose name and place are known and nothing else.
fn blank(package: &str, resource_type: ResourceType, name: String, fqn: Vec<String>, kind: NodeKind) -> Node {
    Node {
        id: NodeId::new(format!("{}.{package}.{name}", resource_type.as_str())),
        name,
        resource_type,
        package: package.to_owned(),
        path: std::path::PathBuf::new(),
        file: None,
        span: None,
        fqn,
        kind,
        config: crate::config::NodeConfig::default(),
        description: String::new(),
        columns: BTreeMap::new(),
        constraints: Vec::new(),
        version: None,
        is_latest: false,
        is_prerelease: false,
        raw_code: Arc::from(""),
        refs: Vec::new(),
        sources: Vec::new(),
        depends_on: std::collections::BTreeSet::new(),
        macros: std::collections::BTreeSet::new(),
        relation: RelationName { database: None, schema: String::new(), identifier: String::new() },
        checksum: String::new(),
        written: Written::default(),
    }
}

/// A hook around a run as the manifest lists it, among the nodes.
pub(crate) fn operation(package: &str, name: &str, text: &str) -> Node {
    let path = vec![package.to_owned(), String::from("hooks"), name.to_owned()];
    let mut node = blank(package, ResourceType::Analysis, name.to_owned(), path, NodeKind::Analysis);
    node.id = NodeId::new(format!("operation.{package}.{name}"));
    node.raw_code = Arc::from(text);
    node.checksum = sha256(text.as_bytes());
    node.written.path = format!("hooks/{name}.sql");
    node
}

/// A version as artifacts have it: a number where it is one.
pub(crate) fn version_value(version: impl AsRef<str>) -> Value {
    let version = version.as_ref();
    let number = version.parse::<i64>().map(Value::from).or_else(|_| version.parse::<f64>().map(Value::from));
    number.unwrap_or_else(|_| Value::from(version))
}

/// A path with the slashes of every system.
fn slashes(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

fn sql_node(
    layers: &Layers<'_>,
    file: &SqlFile,
    resource_type: ResourceType,
    described: &mut HashMap<String, Described>,
) -> DescribedDraft {
    let kind = match resource_type {
        ResourceType::Test => NodeKind::Test(TestKind::Singular),
        ResourceType::Analysis => NodeKind::Analysis,
        _ => NodeKind::Model,
    };
    let package = &layers.package.file.name;
    let mut path = fqn(package, &file.inside);
    if resource_type == ResourceType::Analysis {
        path.insert(1, String::from("analysis"));
    }
    let mut node = blank(package, resource_type, stem(&file.path), path, kind);
    let start = file.text.len() - file.text.trim_start().len();
    let code = file.text.trim();
    node.path.clone_from(&file.path);
    node.file = Some(file.file);
    node.span = Some(Span { file: file.file, start: offset(start), end: offset(start + code.len()) });
    node.raw_code = Arc::from(code);
    node.checksum = sha256(code.as_bytes());
    let within = if resource_type == ResourceType::Analysis { "analysis/" } else { "" };
    node.written.path = format!("{within}{}", slashes(&file.inside));
    // dbt has no section of its own for analyses.
    let section = if resource_type == ResourceType::Analysis { "models" } else { section_of(resource_type) };
    node.written.config = layers.written(section, &node.fqn);
    let described = described.remove(&node.name);
    let draft = Draft {
        config: layers.of(section_of(resource_type), &node.fqn),
        node,
        code: Some((file.text.clone(), start..start + code.len())),
    };
    DescribedDraft { draft, described }
}

fn seed_node(
    layers: &Layers<'_>,
    path: &Path,
    inside: &Path,
    folder: &Folder<'_>,
    described: &mut HashMap<String, Described>,
    found: &mut Diagnostics,
) -> DescribedDraft {
    let package = &layers.package.file.name;
    let kind = NodeKind::Seed { file: path.to_path_buf() };
    let mut node = blank(package, ResourceType::Seed, stem(path), fqn(package, inside), kind);
    node.path = path.to_path_buf();
    node.written.path = slashes(inside);
    node.written.config = layers.written("seeds", &node.fqn);
    match folder.bytes(path) {
        Ok(bytes) => node.checksum = sha256(bytes.trim_ascii()),
        Err(cause) => {
            found.push(Diagnostic::error(format!("{} cannot be read", path.display())).detail(format!("{cause}.")));
        }
    }
    let described = described.remove(&node.name);
    DescribedDraft { draft: Draft { config: layers.of("seeds", &node.fqn), node, code: None }, described }
}

fn add_described(linker: &mut Linker, layers: &Layers<'_>, described: DescribedDraft, found: &mut Diagnostics) {
    let DescribedDraft { mut draft, described } = described;
    let Some(described) = described else {
        linker.add(draft, found);
        return;
    };
    merge(&mut draft.config, &described.config);
    describe(&mut draft.node.written, &described, linker.path_of(described.span));
    draft.node.description.clone_from(&described.description);
    draft.node.columns = columns(&described.columns);
    draft.node.constraints.clone_from(&described.constraints);
    if draft.node.span.is_none() {
        draft.node.span = Some(described.span);
    }
    let id = draft.node.id.clone();
    linker.add(draft, found);
    add_tests(linker, layers, &id, &described, found);
}

/// Notes the entry of a properties file.
fn describe(written: &mut Written, described: &Described, file: std::path::PathBuf) {
    // These may still stand beside `config:`; others that do are no configuration to dbt.
    let beside = ["meta", "docs", "group", "contract", "access"].into_iter();
    written.config.extend(beside.filter_map(|key| Some((key.to_owned(), described.written.get(key)?.clone()))));
    if let Some(Value::Object(config)) = described.written.get("config") {
        written.config.extend(config.clone());
    }
    let latest = written.properties.remove("latest_version");
    written.properties.clone_from(&described.written);
    written.properties.extend(latest.map(|latest| (String::from("latest_version"), latest)));
    written.properties_file = Some(file);
}

fn columns(described: &[ColumnProperties]) -> BTreeMap<String, Column> {
    described.iter().map(|column| (column.column.name.clone(), column.column.clone())).collect()
}

fn add_tests(
    linker: &mut Linker,
    layers: &Layers<'_>,
    tested: &NodeId,
    described: &Described,
    found: &mut Diagnostics,
) {
    for test in &described.tests {
        add_test(linker, layers, tested, test, None, found);
    }
    for column in &described.columns {
        for test in &column.tests {
            add_test(linker, layers, tested, test, Some(column), found);
        }
    }
}

fn add_test(
    linker: &mut Linker,
    layers: &Layers<'_>,
    tested: &NodeId,
    test: &TestProperties,
    column: Option<&ColumnProperties>,
    found: &mut Diagnostics,
) {
    let Some(tested) = linker.graph.nodes.get(tested) else { return };
    if let Some(problem) = linker.unknown_test(&layers.package.file.name, test) {
        found.push(problem);
        return;
    }
    let built = generic_test::build(test, tested, column);
    let package = &layers.package.file.name;
    let kind = NodeKind::Test(TestKind::Generic {
        name: test.name.clone(),
        namespace: test.namespace.clone(),
        arguments: built.arguments,
        column: column.map(|column| column.column.name.clone()),
        attached: tested.id.clone(),
    });
    // A test stands where it is written, not where what it tests stands.
    let written = linker.path_of(test.span);
    let mut path = fqn(package, &layers.package.inside(&written));
    path.pop();
    path.push(built.name.clone());
    let mut node = blank(package, ResourceType::Test, built.name.clone(), path, kind);
    node.id = NodeId::new(format!("test.{package}.{}", built.id_suffix));
    node.path = written;
    node.span = Some(test.span);
    node.file = Some(test.span.file);
    node.description.clone_from(&test.description);
    node.checksum = sha256(built.raw_code.as_bytes());
    node.raw_code = built.raw_code;
    node.written.path = format!("{}.sql", built.alias);
    node.written.code = Some(Arc::from(generic_test::shown(test, &built.name, &built.alias)));
    node.written.config = layers.written("data_tests", &node.fqn);
    node.written.config.extend(generic_test::own_config(test, &built.name, &built.alias));
    node.written.properties_file = Some(node.path.clone());
    let mut config = layers.of("data_tests", &node.fqn);
    if let Some(column) = column {
        config.insert(String::from("tags"), column.column.tags.clone().into());
    }
    merge(&mut config, &serde_json::Map::from_iter([(String::from("alias"), built.alias.into())]));
    merge(&mut config, &test.config);
    linker.add(Draft { node, config, code: None }, found);
}
