//! Properties files: what is said about models, seeds, sources and macros in YAML.

pub(crate) mod shape;
pub(crate) mod unit_test;
pub(crate) mod version;

use headwater_project::tree::{Node, Tree};
use headwater_project::{Diagnostic, Diagnostics, Span};

use crate::config::{as_list, plain_text};
use crate::definitions::JsonMap;
use crate::near::nearest;
use crate::node::Column;
use shape::Shape;
use unit_test::UnitTestProperties;
use version::VersionProperties;

#[derive(Clone, Debug, Default)]
pub(crate) struct Properties {
    pub models: Vec<Described>,
    pub seeds: Vec<Described>,
    pub analyses: Vec<Described>,
    pub sources: Vec<SourceProperties>,
    pub macros: Vec<Described>,
    pub tests: Vec<Described>,
    pub snapshots: Vec<Described>,
    pub exposures: Vec<ExposureProperties>,
    pub groups: Vec<GroupProperties>,
    pub unit_tests: Vec<UnitTestProperties>,
}

/// Something outside that reads models.
#[derive(Clone, Debug)]
pub(crate) struct ExposureProperties {
    pub described: Described,
    /// `ref(...)` and `source(...)` as written.
    pub depends_on: Vec<String>,
}

/// Models that belong together, and who cares for them.
#[derive(Clone, Debug)]
pub(crate) struct GroupProperties {
    pub name: String,
    pub span: Span,
    pub written: JsonMap,
}

/// A named thing with a description, configuration, columns and tests.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub name: String,
    pub span: Span,
    pub description: String,
    /// Configuration, with the keys that used to stand beside `config:`.
    pub config: JsonMap,
    /// The entry as it is written, without what has a place of its own here.
    pub written: JsonMap,
    pub columns: Vec<ColumnProperties>,
    pub tests: Vec<TestProperties>,
    pub constraints: Vec<serde_json::Value>,
    pub versions: Vec<VersionProperties>,
    pub latest_version: Option<String>,
    /// What a snapshot written in YAML alone reads: `ref('a')`.
    pub relation: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct ColumnProperties {
    pub column: Column,
    pub tests: Vec<TestProperties>,
}

#[derive(Clone, Debug)]
pub(crate) struct TestProperties {
    pub name: String,
    pub namespace: Option<String>,
    pub arguments: JsonMap,
    pub config: JsonMap,
    pub custom_name: Option<String>,
    pub description: String,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct SourceProperties {
    pub source: String,
    pub schema: Option<String>,
    pub database: Option<String>,
    pub loader: Option<String>,
    pub identifier: Option<String>,
    /// The entry of the source itself, without its tables.
    pub written: JsonMap,
    pub table: Described,
}

const SECTIONS: &[&str] = &[
    "version",
    "models",
    "seeds",
    "sources",
    "macros",
    "analyses",
    "data_tests",
    "tests",
    "snapshots",
    "exposures",
    "groups",
    "metrics",
    "semantic_models",
    "saved_queries",
    "unit_tests",
    "functions",
    "anchors",
];

/// Keys that stand beside a test's arguments but configure the test.
pub(crate) const TEST_CONFIG_KEYS: &[&str] = &[
    "severity",
    "tags",
    "enabled",
    "where",
    "limit",
    "warn_if",
    "error_if",
    "fail_calc",
    "store_failures",
    "store_failures_as",
    "meta",
    "database",
    "schema",
    "alias",
];

/// Reads one file into `properties`.
pub(crate) fn read(tree: &Tree, properties: &mut Properties, found: &mut Diagnostics) {
    for entry in tree.entries() {
        let (into, shape) = match entry.key.as_str() {
            "models" => (&mut properties.models, shape::MODEL),
            "seeds" => (&mut properties.seeds, shape::SEED),
            "analyses" => (&mut properties.analyses, shape::ANALYSIS),
            "macros" => (&mut properties.macros, shape::MACRO),
            "data_tests" | "tests" => (&mut properties.tests, shape::DATA_TEST),
            "snapshots" => (&mut properties.snapshots, shape::SNAPSHOT),
            "unit_tests" | "exposures" | "groups" => {
                for item in list(&entry.value, &entry.key, found) {
                    read_other(&entry.key, item, properties, found);
                }
                continue;
            }
            "sources" => {
                for item in list(&entry.value, "sources", found) {
                    read_source(item, &mut properties.sources, found);
                }
                continue;
            }
            key => {
                report_section(key, entry.key_span, found);
                continue;
            }
        };
        for item in list(&entry.value, &entry.key, found) {
            into.extend(described(item, &shape, found));
        }
    }
}

fn report_section(key: &str, span: Span, found: &mut Diagnostics) {
    match key {
        "version" | "anchors" => {}
        "functions" => found.push(
            Diagnostic::warning(format!("'{key}' are not built yet"))
                .at(span)
                .detail("This section is read and left out; everything else in the file is used."),
        ),
        key if SECTIONS.contains(&key) => {}
        key => {
            let message = format!("unknown section '{key}' in a properties file");
            let diagnostic = Diagnostic::warning(message).event("CustomTopLevelKeyDeprecation").at(span);
            found.push(match nearest(key, SECTIONS.iter().copied()) {
                Some(near) => diagnostic.hint(format!("Did you mean '{near}'?")),
                None => diagnostic.hint(format!("A properties file has {}.", SECTIONS.join(", "))),
            });
        }
    }
}

fn list<'a>(tree: &'a Tree, what: &str, found: &mut Diagnostics) -> &'a [Tree] {
    if !matches!(tree.node, Node::Sequence(_) | Node::Null) {
        let message = format!("'{what}' must be a list, not {}", tree.node.kind());
        found.push(Diagnostic::error(message).at(tree.span).hint("Start each item with `- name: ...`."));
    }
    tree.items()
}

fn described(tree: &Tree, shape: &Shape, found: &mut Diagnostics) -> Option<Described> {
    let Some(name) = name_of(tree) else {
        found.push(
            Diagnostic::error("an item without a name")
                .at(tree.span)
                .hint("Add `name:` with the name of what it describes."),
        );
        return None;
    };
    shape::check(tree, shape, found);
    let mut described = Described {
        name,
        span: tree.get("name").map_or(tree.span, |name| name.span),
        description: text(tree, "description"),
        config: config_of(tree),
        written: written(tree),
        columns: tree.get("columns").map(|columns| read_columns(columns, found)).unwrap_or_default(),
        tests: read_tests(tree, found),
        constraints: constraints(tree),
        versions: Vec::new(),
        latest_version: tree.get("latest_version").map(|version| plain_text(&version.to_json())),
        relation: tree.get("relation").and_then(Tree::as_str).map(str::to_owned),
    };
    described.versions = version::read(tree, &described, found);
    Some(described)
}

/// An entry but for its lists of columns, tests, tables and versions.
fn written(tree: &Tree) -> JsonMap {
    let own = tree.entries().iter();
    let own =
        own.filter(|entry| !matches!(entry.key.as_str(), "columns" | "tests" | "data_tests" | "tables" | "versions"));
    own.map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
}

fn constraints(tree: &Tree) -> Vec<serde_json::Value> {
    tree.get("constraints").map(Tree::items).unwrap_or_default().iter().map(Tree::to_json).collect()
}

fn read_other(section: &str, item: &Tree, properties: &mut Properties, found: &mut Diagnostics) {
    match section {
        "unit_tests" => properties.unit_tests.extend(unit_test::read(item, found)),
        "groups" => {
            let group = name_of(item).map(|name| GroupProperties { name, span: item.span, written: written(item) });
            properties.groups.extend(group);
        }
        _ => {
            let Some(described) = described(item, &shape::EXPOSURE, found) else { return };
            found.found.extend(odd_name(&described));
            let depends_on = item.get("depends_on").map(|calls| as_list(&calls.to_json())).unwrap_or_default();
            properties.exposures.push(ExposureProperties { described, depends_on });
        }
    }
}

fn odd_name(exposure: &Described) -> Option<Diagnostic> {
    let is_plain = exposure.name.chars().all(|each| each.is_ascii_alphanumeric() || each == '_');
    let message = format!("the name of the exposure '{}' has more than letters, digits and underscores", exposure.name);
    let problem = Diagnostic::warning(message).event("ExposureNameDeprecation").at(exposure.span);
    (!is_plain).then(|| problem.hint("Give it a plain name, and the other as its `label:`."))
}

fn name_of(tree: &Tree) -> Option<String> {
    tree.get("name").map(|name| plain_text(&name.to_json())).filter(|name| !name.is_empty() && name != "null")
}

fn text(tree: &Tree, key: &str) -> String {
    tree.get(key)
        .map(Tree::to_json)
        .filter(|value| !value.is_null())
        .map(|value| plain_text(&value))
        .unwrap_or_default()
}

/// `config:` and the keys that used to stand beside it.
fn config_of(tree: &Tree) -> JsonMap {
    let mut config = JsonMap::new();
    for key in [
        "meta",
        "tags",
        "docs",
        "access",
        "group",
        "freshness",
        "loaded_at_field",
        "loaded_at_query",
        "contract",
        "external",
    ] {
        if let Some(value) = tree.get(key) {
            config.insert(key.to_owned(), value.to_json());
        }
    }
    let Some(given) = tree.get("config") else { return config };
    crate::config::merge(&mut config, given.to_json().as_object().unwrap_or(&JsonMap::new()));
    config
}

fn read_columns(tree: &Tree, found: &mut Diagnostics) -> Vec<ColumnProperties> {
    let mut columns = Vec::new();
    for item in list(tree, "columns", found) {
        if item.get("include").is_some() {
            continue;
        }
        let Some(name) = name_of(item) else {
            found.push(Diagnostic::error("a column without a name").at(item.span).hint("Add `name:`."));
            continue;
        };
        shape::check(item, &shape::COLUMN, found);
        let config = config_of(item);
        let column = Column {
            name,
            description: text(item, "description"),
            doc_calls: crate::artifact::doc_calls(&text(item, "description")),
            data_type: item.get("data_type").and_then(|value| value.as_str().map(str::to_owned)),
            constraints: constraints(item),
            position: columns.len(),
            tags: config.get("tags").map(as_list).unwrap_or_default(),
            meta: config.get("meta").and_then(|meta| meta.as_object().cloned()).unwrap_or_default(),
            quote: item.get("quote").and_then(Tree::as_bool),
        };
        columns.push(ColumnProperties { column, tests: read_tests(item, found) });
    }
    columns
}

fn read_tests(tree: &Tree, found: &mut Diagnostics) -> Vec<TestProperties> {
    let mut tests = Vec::new();
    for key in ["tests", "data_tests"] {
        let Some(value) = tree.get(key) else { continue };
        for item in list(value, key, found) {
            shape::check_test(item, TEST_CONFIG_KEYS, found);
            match read_test(item) {
                Some(test) => tests.push(test),
                None => found.push(
                    Diagnostic::error("this is not a test")
                        .at(item.span)
                        .hint("Write the name of a test, or the name followed by its arguments, such as `- accepted_values: {values: [a, b]}`."),
                ),
            }
        }
    }
    tests
}

fn read_test(tree: &Tree) -> Option<TestProperties> {
    if let Some(name) = tree.as_str() {
        return Some(test(name, JsonMap::new(), None, tree.span));
    }
    let entries = tree.entries();
    if let Some(name) = tree.get("test_name").and_then(Tree::as_str) {
        let mut given = tree.to_json().as_object().cloned().unwrap_or_default();
        given.remove("test_name");
        return Some(test(name, given, None, tree.span));
    }
    let (first, rest) = entries.split_first()?;
    let mut given = match first.value.to_json() {
        serde_json::Value::Object(given) => given,
        serde_json::Value::Null => JsonMap::new(),
        _ => return None,
    };
    given.extend(rest.iter().map(|entry| (entry.key.clone(), entry.value.to_json())));
    Some(test(&first.key, given, None, first.key_span))
}

fn test(name: &str, mut given: JsonMap, custom_name: Option<String>, span: Span) -> TestProperties {
    let (namespace, name) = match name.split_once('.') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, name.to_owned()),
    };
    let custom_name = given.remove("name").map(|value| plain_text(&value)).or(custom_name);
    let description = given.remove("description").map(|value| plain_text(&value)).unwrap_or_default();
    let mut config = JsonMap::new();
    for key in TEST_CONFIG_KEYS {
        if let Some(value) = given.remove(*key) {
            config.insert((*key).to_owned(), value);
        }
    }
    if let Some(serde_json::Value::Object(nested)) = given.remove("config") {
        crate::config::merge(&mut config, &nested);
    }
    if let Some(serde_json::Value::Object(arguments)) = given.remove("arguments") {
        given.extend(arguments);
    }
    TestProperties { name, namespace, arguments: given, config, custom_name, description, span }
}

fn read_source(tree: &Tree, sources: &mut Vec<SourceProperties>, found: &mut Diagnostics) {
    let Some(source) = name_of(tree) else {
        found.push(Diagnostic::error("a source without a name").at(tree.span).hint("Add `name:`."));
        return;
    };
    shape::check(tree, &shape::SOURCE, found);
    let shared = config_of(tree);
    let optional = |key: &str| Some(text(tree, key)).filter(|text| !text.is_empty());
    let Some(tables) = tree.get("tables") else { return };
    for item in list(tables, "tables", found) {
        let Some(mut table) = described(item, &shape::TABLE, found) else { continue };
        let mut config = shared.clone();
        crate::config::merge(&mut config, &table.config);
        table.config = config;
        if table.description.is_empty() {
            table.description = text(tree, "description");
        }
        sources.push(SourceProperties {
            source: source.clone(),
            schema: optional("schema"),
            database: optional("database"),
            loader: optional("loader"),
            identifier: Some(text(item, "identifier")).filter(|text| !text.is_empty()),
            written: written(tree),
            table,
        });
    }
}
