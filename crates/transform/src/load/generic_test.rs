//! Turning a test written in a properties file into a node: its name, its id and its template, all as dbt makes them.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::definitions::JsonMap;
use crate::jinja::scan::{Piece, pieces};
use crate::load::properties::{ColumnProperties, TestProperties};
use crate::node::{Node, NodeKind};
use crate::{md5, warehouse};

/// Names of this length and more are shortened with a digest where they become an alias.
const MAX_NAME: usize = 64;
const SHORT_NAME: usize = 30;
const ID_DIGITS: usize = 10;

/// A test as a node needs it.
#[derive(Debug)]
pub(crate) struct GenericTest {
    pub name: String,
    pub alias: String,
    /// `<name>.<hash>`, the last two parts of the unique id.
    pub id_suffix: String,
    pub raw_code: Arc<str>,
    pub arguments: JsonMap,
}

/// The call that stands for the tested node, as dbt writes it.
fn model_argument(tested: &Node) -> String {
    let reference = match &tested.kind {
        NodeKind::Source { source, .. } => format!("source('{source}', '{}')", tested.name),
        _ => match &tested.version {
            Some(version) => format!("ref('{}', version='{version}')", tested.name),
            None => format!("ref('{}')", tested.name),
        },
    };
    format!("get_where_subquery({reference})")
}

pub(crate) fn build(test: &TestProperties, tested: &Node, column: Option<&ColumnProperties>) -> GenericTest {
    let mut arguments = test.arguments.clone();
    if let Some(column) = column {
        let name = &column.column.name;
        let name = if column.column.quote == Some(true) { warehouse::quoted(name) } else { name.clone() };
        arguments.entry("column_name").or_insert(Json::String(name));
    }
    let prefix = test.namespace.as_ref().map(|namespace| format!("{namespace}_")).unwrap_or_default();
    let target = match &tested.kind {
        NodeKind::Source { source, .. } => format!("source_{prefix}{}_{source}_{}", test.name, tested.name),
        _ => {
            let version = tested.version.as_ref().map(|version| format!("_v{version}")).unwrap_or_default();
            format!("{prefix}{}_{}{version}", test.name, tested.name)
        }
    };
    let (alias, name) = match &test.custom_name {
        Some(name) => (name.clone(), name.clone()),
        None => names(&target, &arguments),
    };
    let model = model_argument(tested);
    let hash = md5::hex(format!("{name}{}", metadata(test, &arguments, &model)).as_bytes());
    let hash = hash.get(hash.len() - ID_DIGITS..).unwrap_or_default();
    GenericTest {
        id_suffix: format!("{name}.{hash}"),
        raw_code: Arc::from(call(test, &arguments, &model)),
        name,
        alias,
        arguments,
    }
}

/// The configuration of a test in the order dbt writes it, with the alias of a name that was shortened.
pub(crate) fn own_config(test: &TestProperties, name: &str, alias: &str) -> JsonMap {
    let mut config = JsonMap::new();
    for key in super::properties::TEST_CONFIG_KEYS {
        if let Some(value) = test.config.get(*key) {
            config.insert((*key).to_owned(), value.clone());
        }
    }
    if alias != name {
        config.entry("alias").or_insert_with(|| alias.into());
    }
    config
}

/// The template as dbt writes it: its macro reads the arguments from the node.
pub(crate) fn shown(test: &TestProperties, name: &str, alias: &str) -> String {
    let package = test.namespace.as_ref().map(|namespace| format!("{namespace}.")).unwrap_or_default();
    let call = format!("{{{{ {package}test_{}(**_dbt_generic_test_kwargs) }}}}", test.name);
    let value = |value: &Json| match value {
        Json::String(text) => format!("\"{}\"", text.replace('"', "\\\"")),
        other => python_text(other),
    };
    let config: Vec<String> =
        own_config(test, name, alias).iter().map(|(key, given)| format!("{key}={}", value(given))).collect();
    if config.is_empty() { call } else { format!("{call}{{{{ config({}) }}}}", config.join(",")) }
}

/// The short name and the full one.
fn names(target: &str, arguments: &JsonMap) -> (String, String) {
    let mut keys: Vec<&String> = arguments.keys().collect();
    keys.sort();
    let mut parts = Vec::new();
    for key in keys {
        match arguments.get(key) {
            Some(Json::Array(items)) => parts.extend(items.iter().map(python_text)),
            Some(Json::Object(map)) => parts.extend(map.values().map(python_text)),
            Some(value) => parts.push(python_text(value)),
            None => {}
        }
    }
    let cleaned: Vec<String> = parts.iter().map(|part| clean(part)).collect();
    let full = format!("{target}_{}", cleaned.join("__"));
    if full.chars().count() < MAX_NAME {
        return (full.clone(), full);
    }
    let head: String = target.chars().take(SHORT_NAME).collect();
    (format!("{head}_{}", md5::hex(full.as_bytes())), full)
}

/// Runs of characters that cannot stand in a name become one underscore.
fn clean(part: &str) -> String {
    let mut cleaned = String::with_capacity(part.len());
    let mut gap = false;
    for character in part.chars() {
        let keep = character.is_ascii_alphanumeric() || character == '_';
        if keep {
            cleaned.push(character);
        } else if !gap {
            cleaned.push('_');
        }
        gap = !keep;
    }
    cleaned
}

/// `str(value)` of Python.
pub(crate) fn python_text(value: &Json) -> String {
    match value {
        Json::Null => String::from("None"),
        Json::Bool(true) => String::from("True"),
        Json::Bool(false) => String::from("False"),
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        Json::Array(_) | Json::Object(_) => python_repr(value),
    }
}

/// `repr(value)` of Python.
pub(crate) fn python_repr(value: &Json) -> String {
    match value {
        Json::String(text) => repr_text(text),
        Json::Array(items) => format!("[{}]", items.iter().map(python_repr).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let pair = |(key, value): (&String, &Json)| format!("{}: {}", repr_text(key), python_repr(value));
            format!("{{{}}}", map.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        other => python_text(other),
    }
}

fn repr_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            _ if character == quote => {
                quoted.push('\\');
                quoted.push(character);
            }
            _ => quoted.push(character),
        }
    }
    quoted.push(quote);
    quoted
}

/// What dbt hashes into a test's id: its name and arguments with all keys sorted and all leaves as text.
fn metadata(test: &TestProperties, arguments: &JsonMap, model: &str) -> String {
    let mut kwargs = arguments.clone();
    kwargs.insert(String::from("model"), Json::String(format!("{{{{ {model} }}}}")));
    let mut all = JsonMap::new();
    all.insert(String::from("kwargs"), Json::Object(kwargs));
    all.insert(String::from("name"), Json::String(test.name.clone()));
    all.insert(String::from("namespace"), test.namespace.clone().map_or(Json::Null, Json::String));
    python_repr(&hashable(&Json::Object(all)))
}

fn hashable(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            Json::Object(keys.into_iter().filter_map(|key| Some((key.clone(), hashable(map.get(key)?)))).collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(hashable).collect()),
        other => Json::String(python_text(other)),
    }
}

/// The template: one call of the test's macro.
fn call(test: &TestProperties, arguments: &JsonMap, model: &str) -> String {
    let package = test.namespace.as_ref().map(|namespace| format!("{namespace}.")).unwrap_or_default();
    let mut written = format!("{{{{ {package}test_{}(model={model}", test.name);
    for (name, value) in arguments {
        written.push_str(&format!(", {name}={}", expression(value)));
    }
    written.push_str(") }}");
    written
}

/// A value of YAML as a Jinja expression. Text that calls `ref`, `var` and the like is an expression itself.
pub(crate) fn expression(value: &Json) -> String {
    match value {
        Json::Null => String::from("none"),
        Json::Array(items) => format!("__list([{}])", items.iter().map(expression).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let pair = |(key, value): (&String, &Json)| format!("{}: {}", literal(key), expression(value));
            format!("__dict({{{}}})", map.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Json::String(text) if is_call(text) => text.trim().to_owned(),
        Json::String(text) => interpolated(text),
        other => other.to_string(),
    }
}

fn is_call(text: &str) -> bool {
    let text = text.trim();
    let Some((name, rest)) = text.split_once('(') else { return false };
    matches!(name.trim_end(), "env_var" | "ref" | "var" | "source" | "doc") && rest.len() > 1 && rest.ends_with(')')
}

/// Text with `{{ ... }}` in it as a concatenation; a single expression stays what it is.
fn interpolated(text: &str) -> String {
    let mut parts = Vec::new();
    let mut copied = 0;
    for piece in pieces(text) {
        let Piece::Expression(inner) = piece else { continue };
        if let Some(before) = text.get(copied..inner.start - 2).filter(|before| !before.is_empty()) {
            parts.push(literal(before));
        }
        let inside = text.get(inner.clone()).unwrap_or_default().trim_matches(['-', '+']).trim();
        parts.push(format!("({inside})"));
        copied = inner.end + 2;
    }
    if let Some(rest) = text.get(copied..).filter(|rest| !rest.is_empty() || parts.is_empty()) {
        parts.push(literal(rest));
    }
    parts.join(" ~ ")
}

fn literal(text: &str) -> String {
    let escaped =
        text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    format!("'{escaped}'")
}

/// The text of a JSON value as a Jinja literal, for a macro call built here.
pub(crate) fn literal_or_none(value: Option<&str>) -> String {
    value.map_or_else(|| String::from("none"), literal)
}
