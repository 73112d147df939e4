//! Which keys an entry of a properties file has, which belong into its `config:`, and what is said about all others: in dbt's
//! words for it, so that they can be silenced or made errors by their names.

use headwater_project::tree::Tree;
use headwater_project::{Diagnostic, Diagnostics, Span};

use crate::config::{ADAPTER_KEYS, KNOWN_KEYS};
use crate::near::nearest;

/// The keys of one kind of entry.
#[derive(Debug)]
pub(crate) struct Shape {
    pub kind: &'static str,
    pub own: &'static [&'static str],
    /// Keys that are read beside `config:` and belong into it.
    pub moved: &'static [&'static str],
}

const BESIDE: &[&str] = &["meta", "tags", "docs", "access", "group", "contract", "freshness", "enabled"];

pub(crate) const MODEL: Shape = Shape {
    kind: "model",
    own: &[
        "name",
        "description",
        "config",
        "columns",
        "tests",
        "data_tests",
        "constraints",
        "latest_version",
        "deprecation_date",
        "time_spine",
        "versions",
        "version",
        "identifier",
        "primary_key",
        "semantic_model",
        "agg_time_dimension",
        "primary_entity",
        "derived_semantics",
        "metrics",
    ],
    moved: BESIDE,
};

pub(crate) const SEED: Shape =
    Shape { kind: "seed", own: &["name", "description", "config", "columns", "tests", "data_tests"], moved: BESIDE };

pub(crate) const SNAPSHOT: Shape = Shape {
    kind: "snapshot",
    own: &["name", "description", "config", "columns", "tests", "data_tests", "relation"],
    moved: BESIDE,
};

pub(crate) const ANALYSIS: Shape =
    Shape { kind: "analysis", own: &["name", "description", "config", "columns"], moved: BESIDE };

pub(crate) const MACRO: Shape =
    Shape { kind: "macro", own: &["name", "description", "config", "arguments", "docs"], moved: &["meta"] };

pub(crate) const DATA_TEST: Shape = Shape {
    kind: "test",
    own: &["name", "description", "config"],
    moved: &["meta", "tags", "docs", "enabled", "group", "severity", "where", "limit"],
};

pub(crate) const EXPOSURE: Shape = Shape {
    kind: "exposure",
    own: &["name", "description", "config", "label", "type", "maturity", "url", "owner", "depends_on"],
    moved: &["meta", "tags", "enabled"],
};

pub(crate) const SOURCE: Shape = Shape {
    kind: "source",
    own: &["name", "description", "config", "database", "schema", "loader", "quoting", "tables", "catalog"],
    moved: &["meta", "tags", "freshness", "loaded_at_field", "loaded_at_query", "event_time", "enabled"],
};

pub(crate) const TABLE: Shape = Shape {
    kind: "table of a source",
    own: &[
        "name",
        "description",
        "config",
        "identifier",
        "quoting",
        "columns",
        "tests",
        "data_tests",
        "external",
        "loader",
    ],
    moved: &["meta", "tags", "freshness", "loaded_at_field", "loaded_at_query", "event_time", "enabled"],
};

pub(crate) const COLUMN: Shape = Shape {
    kind: "column",
    own: &[
        "name",
        "description",
        "config",
        "quote",
        "constraints",
        "tests",
        "data_tests",
        "data_type",
        "granularity",
        "policy_tags",
        "dimension",
        "entity",
    ],
    moved: &["meta", "tags"],
};

/// Looks at the keys of an entry and of its `config:`.
pub(crate) fn check(tree: &Tree, shape: &Shape, found: &mut Diagnostics) {
    for entry in tree.entries().iter().filter(|entry| !shape.own.contains(&entry.key.as_str())) {
        found.push(beside(&entry.key, entry.key_span, shape));
    }
    for entry in tree.get("config").map(Tree::entries).unwrap_or_default() {
        found.found.extend(unknown_config(&entry.key).map(|problem| problem.at(entry.key_span)));
    }
}

fn beside(key: &str, span: Span, shape: &Shape) -> Diagnostic {
    if shape.kind == "source" && key == "overrides" {
        return Diagnostic::warning("'overrides' of a source is deprecated and without effect")
            .event("SourceOverrideDeprecation")
            .at(span)
            .hint("Disable the source that is not wanted with `enabled: false` instead.");
    }
    if shape.moved.contains(&key) {
        return Diagnostic::warning(format!("'{key}' stands beside `config:` of a {} and belongs into it", shape.kind))
            .event("PropertyMovedToConfigDeprecation")
            .at(span)
            .hint(format!("Write it as `config: {{{key}: ...}}`."));
    }
    let is_config = KNOWN_KEYS.contains(&key);
    let event = if is_config { "PropertyMovedToConfigDeprecation" } else { "CustomKeyInObjectDeprecation" };
    let diagnostic = Diagnostic::warning(format!("unknown key '{key}'")).event(event).at(span);
    match nearest(key, shape.own.iter().chain(shape.moved).copied()) {
        Some(near) if !is_config => diagnostic.hint(format!("Did you mean '{near}'?")),
        _ if is_config => diagnostic.hint("Configuration goes under `config:`."),
        _ => diagnostic.hint("Put values of your own under `config: meta:`."),
    }
}

/// What is wrong with a key of a configuration; nothing when it is one of ours or of an adapter.
pub(crate) fn unknown_config(key: &str) -> Option<Diagnostic> {
    let is_known = |keys: &[&str]| keys.contains(&key.replace('-', "_").as_str());
    if is_known(KNOWN_KEYS) || is_known(ADAPTER_KEYS) {
        return None;
    }
    let diagnostic =
        Diagnostic::warning(format!("unknown configuration '{key}'")).event("CustomKeyInConfigDeprecation");
    Some(match crate::config::misspelt(key) {
        Some(near) => diagnostic.hint(format!("Did you mean '{near}'?")),
        None => diagnostic.hint("Put values of your own under `meta:` of the configuration."),
    })
}

/// What is wrong with how a generic test is given its arguments and configuration.
pub(crate) fn check_test(tree: &Tree, configuration: &[&str], found: &mut Diagnostics) {
    let by_name = tree.get("test_name").is_some();
    let Some(first) = tree.entries().first().filter(|_| !tree.entries().is_empty()) else { return };
    let name = tree.get("test_name").and_then(Tree::as_str).unwrap_or(&first.key);
    let inside = if by_name { tree.entries() } else { first.value.entries() };
    let beside = tree.entries().iter().skip(usize::from(!by_name));
    let beside = if by_name { Vec::new() } else { beside.collect::<Vec<_>>() };
    let known = ["name", "test_name", "description", "config", "arguments", "column_name"];
    let mut has_told = false;
    for entry in inside.iter().chain(beside).filter(|entry| !known.contains(&entry.key.as_str())) {
        if configuration.contains(&entry.key.as_str()) {
            let message = format!("'{}' stands beside `config:` of the test {name} and belongs into it", entry.key);
            let hint = format!("Write it as `config: {{{}: ...}}`.", entry.key);
            let event = "PropertyMovedToConfigDeprecation";
            found.push(Diagnostic::warning(message).event(event).at(entry.key_span).hint(hint));
        } else if !has_told {
            has_told = true;
            found.push(
                Diagnostic::warning(format!("the test {name} is given '{}' outside of `arguments:`", entry.key))
                    .event(MISSING_ARGUMENTS)
                    .at(entry.key_span)
                    .hint("Put the arguments of a test under `arguments:`."),
            );
        }
    }
}

/// dbt tells this only where its flag `require_generic_test_arguments_property` is not turned off.
pub(crate) const MISSING_ARGUMENTS: &str = "MissingArgumentsPropertyInGenericTestDeprecation";
