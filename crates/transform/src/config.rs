//! Node configuration: merged from dbt_project.yml, properties files and `config()` calls, in this order of increasing weight.
//!
//! Keys nobody knows are kept, as dbt keeps them. Most keys are replaced by the heavier layer; tags and hooks are added up,
//! `meta` is merged key by key.

use crate::definitions::JsonMap;

/// Keys with a meaning; a key close to one of them is probably misspelt.
pub(crate) const KNOWN_KEYS: &[&str] = &[
    "access",
    "alias",
    "batch_size",
    "begin",
    "cluster_by",
    "column_types",
    "concurrent_batches",
    "contract",
    "database",
    "delimiter",
    "description",
    "docs",
    "enabled",
    "error_if",
    "event_time",
    "fail_calc",
    "freshness",
    "full_refresh",
    "grants",
    "group",
    "incremental_predicates",
    "incremental_strategy",
    "limit",
    "lookback",
    "materialized",
    "merge_exclude_columns",
    "merge_update_columns",
    "meta",
    "name",
    "on_configuration_change",
    "on_schema_change",
    "packages",
    "partition_by",
    "persist_docs",
    "post_hook",
    "pre_hook",
    "predicates",
    "quote_columns",
    "quoting",
    "schema",
    "severity",
    "sql_header",
    "dbt_valid_to_current",
    "check_cols",
    "hard_deletes",
    "invalidate_hard_deletes",
    "snapshot_meta_column_names",
    "static_analysis",
    "strategy",
    "target_database",
    "target_schema",
    "updated_at",
    "loaded_at_field",
    "loaded_at_query",
    "external",
    "store_failures",
    "store_failures_as",
    "tags",
    "transient",
    "unique_key",
    "warn_if",
    "where",
];

/// Keys that only mean something to one warehouse or other, and are let be.
pub(crate) const ADAPTER_KEYS: &[&str] = &[
    "as_columnstore",
    "auto_liquid_cluster",
    "auto_refresh",
    "automatic_clustering",
    "backup",
    "base_location_root",
    "base_location_subpath",
    "bind",
    "buckets",
    "catalog",
    "catalog_name",
    "clustered_by",
    "compression",
    "copy_grants",
    "databricks_compute",
    "databricks_tags",
    "dist",
    "enable_refresh",
    "external_volume",
    "file_format",
    "grant_access_to",
    "hours_to_expiration",
    "include_full_name_in_path",
    "indexes",
    "initialize",
    "kms_key_name",
    "labels",
    "labels_from_meta",
    "liquid_clustered_by",
    "location",
    "location_root",
    "matched_condition",
    "max_staleness",
    "merge_with_schema_evolution",
    "not_matched_by_source_action",
    "not_matched_by_source_condition",
    "not_matched_condition",
    "options",
    "partition_expiration_days",
    "partitions",
    "query_tag",
    "refresh_interval_minutes",
    "refresh_mode",
    "require_partition_filter",
    "row_access_policy",
    "schedule",
    "secure",
    "skip_matched_step",
    "skip_not_matched_step",
    "snowflake_warehouse",
    "sort",
    "sort_type",
    "sorted_by",
    "source_alias",
    "table_format",
    "table_tag",
    "table_type",
    "target_alias",
    "target_lag",
    "tblproperties",
    "tmp_relation_type",
    "unlogged",
];

/// The merged configuration of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeConfig {
    pub values: serde_json::Map<String, serde_json::Value>,
}

impl NodeConfig {
    pub fn get(&self, key: &str) -> Option<&serde_json::Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        as_flag(self.get(key)?)
    }

    /// A string, or a list of strings.
    pub fn list(&self, key: &str) -> Vec<String> {
        self.get(key).map(as_list).unwrap_or_default()
    }

    pub fn materialized(&self) -> &str {
        self.text("materialized").unwrap_or("view")
    }

    pub fn enabled(&self) -> bool {
        self.flag("enabled").unwrap_or(true)
    }

    pub fn tags(&self) -> Vec<String> {
        self.list("tags")
    }
}

pub(crate) fn as_flag(value: &serde_json::Value) -> Option<bool> {
    match value {
        serde_json::Value::Bool(flag) => Some(*flag),
        serde_json::Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" => Some(true),
            "false" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

pub(crate) fn as_list(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::String(text) => vec![text.clone()],
        serde_json::Value::Array(items) => items.iter().map(plain_text).collect(),
        _ => Vec::new(),
    }
}

/// A scalar as text, without the quotes JSON would give it.
pub(crate) fn plain_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Lays `over` upon `base`.
pub(crate) fn merge(base: &mut JsonMap, over: &JsonMap) {
    for (key, value) in over {
        let (key, value) = canonical(key, value);
        match key.as_str() {
            "tags" => add_up(base, &key, &value, true),
            "pre_hook" | "post_hook" => add_up(base, &key, &value, false),
            "meta" => merge_mapping(base, &key, &value),
            "grants" => merge_grants(base, &value),
            _ => {
                base.insert(key, value);
            }
        }
    }
}

/// Lays another `config()` call upon those before it: lists grow, mappings are joined, everything else is replaced.
pub(crate) fn add_call(calls: &mut JsonMap, call: JsonMap) {
    let is_first = calls.is_empty();
    for (key, value) in call {
        let key = match key.as_str() {
            "pre_hook" => String::from("pre-hook"),
            "post_hook" => String::from("post-hook"),
            _ => key,
        };
        match key.as_str() {
            "tags" | "pre-hook" | "post-hook" | "packages" if !is_first => add_up(calls, &key, &value, false),
            "meta" | "docs" | "contract" | "column_types" | "quoting" if !is_first => {
                merge_mapping(calls, &key, &value);
            }
            _ => _ = calls.insert(key, value),
        }
    }
}

/// `pre-hook` and `pre_hook` are one key.
fn canonical(key: &str, value: &serde_json::Value) -> (String, serde_json::Value) {
    match key {
        "pre-hook" => (String::from("pre_hook"), value.clone()),
        "post-hook" => (String::from("post_hook"), value.clone()),
        _ => (key.to_owned(), value.clone()),
    }
}

fn add_up(base: &mut JsonMap, key: &str, value: &serde_json::Value, distinct: bool) {
    let mut items = match base.remove(key) {
        Some(serde_json::Value::Array(items)) => items,
        Some(serde_json::Value::Null) | None => Vec::new(),
        Some(other) => vec![other],
    };
    let more = match value {
        serde_json::Value::Array(more) => more.clone(),
        serde_json::Value::Null => Vec::new(),
        other => vec![other.clone()],
    };
    for item in more {
        if !distinct || !items.contains(&item) {
            items.push(item);
        }
    }
    base.insert(key.to_owned(), serde_json::Value::Array(items));
}

fn merge_mapping(base: &mut JsonMap, key: &str, value: &serde_json::Value) {
    match (base.get_mut(key), value) {
        (Some(serde_json::Value::Object(known)), serde_json::Value::Object(more)) => {
            known.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        _ => {
            base.insert(key.to_owned(), value.clone());
        }
    }
}

/// A grant written with `+` is added to what is there, one without replaces it.
fn merge_grants(base: &mut JsonMap, value: &serde_json::Value) {
    let Some(grants) = value.as_object() else { return };
    let mut known = base.get("grants").and_then(|grants| grants.as_object()).cloned().unwrap_or_default();
    for (privilege, grantees) in grants {
        match privilege.strip_prefix('+') {
            Some(privilege) => add_up(&mut known, privilege, grantees, true),
            None => {
                known.insert(privilege.clone(), grantees.clone());
            }
        }
    }
    base.insert(String::from("grants"), serde_json::Value::Object(known));
}

/// A known key that `key` was probably meant to be.
pub(crate) fn misspelt(key: &str) -> Option<&'static str> {
    if KNOWN_KEYS.contains(&key) {
        return None;
    }
    let near = crate::near::nearest(key, KNOWN_KEYS.iter().copied())?;
    (near.replace('_', "-") != key).then_some(near)
}
