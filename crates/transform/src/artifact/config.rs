//! The configuration of a node as artifacts show it: with every key dbt has for its kind.

use serde_json::{Map, Value, json};

use crate::node::{Node, ResourceType};

/// What every node that is built may be told.
fn of_nodes() -> Value {
    json!({
        "enabled": true, "alias": null, "schema": null, "database": null, "tags": [], "meta": {}, "group": null,
        "materialized": "view", "incremental_strategy": null, "batch_size": null, "lookback": 1, "begin": null,
        "persist_docs": {}, "post-hook": [], "pre-hook": [], "quoting": {}, "column_types": {}, "full_refresh": null,
        "unique_key": null, "on_schema_change": "ignore", "on_configuration_change": "apply", "grants": {},
        "packages": [], "docs": { "show": true, "node_color": null },
        "contract": { "enforced": false, "alias_types": true }, "event_time": null, "concurrent_batches": null,
    })
}

fn more(resource_type: ResourceType) -> Value {
    match resource_type {
        ResourceType::Model => json!({ "access": "protected", "freshness": null }),
        ResourceType::Seed => json!({ "materialized": "seed", "delimiter": ",", "quote_columns": null }),
        ResourceType::Snapshot => json!({
            "materialized": "snapshot", "strategy": null, "target_schema": null, "target_database": null,
            "updated_at": null, "check_cols": null, "snapshot_meta_column_names": {
                "dbt_valid_to": null, "dbt_valid_from": null, "dbt_scd_id": null, "dbt_updated_at": null,
                "dbt_is_deleted": null,
            }, "dbt_valid_to_current": null,
        }),
        _ => json!({}),
    }
}

fn of_tests() -> Value {
    json!({
        "enabled": true, "alias": null, "schema": "dbt_test__audit", "database": null, "tags": [], "meta": {},
        "group": null, "materialized": "test", "severity": "ERROR", "store_failures": null, "store_failures_as": null,
        "where": null, "limit": null, "fail_calc": "count(*)", "warn_if": "!= 0", "error_if": "!= 0",
    })
}

fn of_sources() -> Value {
    json!({
        "enabled": true, "event_time": null, "freshness": super::freshness(&Value::Null), "loaded_at_field": null,
        "loaded_at_query": null, "meta": {}, "tags": [],
    })
}

fn defaults(resource_type: ResourceType) -> Map<String, Value> {
    let all = match resource_type {
        ResourceType::Test => of_tests(),
        ResourceType::Source => of_sources(),
        ResourceType::Exposure | ResourceType::UnitTest => json!({ "enabled": true, "tags": [], "meta": {} }),
        _ => of_nodes(),
    };
    [all, more(resource_type)].into_iter().filter_map(|part| part.as_object().cloned()).flatten().collect()
}

/// The configuration as it counts.
pub(crate) fn config(node: &Node) -> Map<String, Value> {
    let mut config = defaults(node.resource_type);
    for (key, value) in &node.config.values {
        match key.as_str() {
            // A name that was made of something else is no configuration.
            "alias" | "schema" | "database" if !node.written.config.contains_key(key) => {}
            "pre_hook" | "post_hook" => _ = config.insert(key.replace('_', "-"), hooks(value)),
            "tags" => _ = config.insert(key.clone(), tags(node)),
            "docs" | "contract" | "snapshot_meta_column_names" => join(&mut config, key, value),
            "freshness" if node.resource_type == ResourceType::Source => {
                config.insert(key.clone(), if value.is_null() { Value::Null } else { super::freshness(value) });
            }
            "materialized" if matches!(node.resource_type, ResourceType::UnitTest | ResourceType::Exposure) => {}
            "begin" => _ = config.insert(key.clone(), begin(value)),
            "freshness" if value.get("build_after").is_none() => {}
            _ => _ = config.insert(key.clone(), value.clone()),
        }
    }
    if node.resource_type == ResourceType::Test {
        store_failures(&mut config);
    }
    config
}

/// Tags a test has of its own; those of what it tests are on the node alone.
fn tags(node: &Node) -> Value {
    let own = if node.resource_type == ResourceType::Test { node.written.config.get("tags") } else { None };
    match (node.resource_type, own) {
        (ResourceType::Test, own) => json!(own.map(crate::config::as_list).unwrap_or_default()),
        _ => json!(node.tags()),
    }
}

/// A day as the moment it begins.
fn begin(value: &Value) -> Value {
    match value.as_str() {
        Some(day) if day.len() == "2024-01-01".len() => json!(format!("{day}T00:00:00")),
        _ => value.clone(),
    }
}

fn hooks(value: &Value) -> Value {
    let hook = |sql: String| json!({ "sql": sql, "transaction": true, "index": null });
    crate::hooks::texts(Some(value)).into_iter().map(hook).collect()
}

fn join(config: &mut Map<String, Value>, key: &str, value: &Value) {
    match (config.get_mut(key), value) {
        (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
        _ => _ = config.insert(key.to_owned(), value.clone()),
    }
}

/// `store_failures` and `store_failures_as` follow each other.
fn store_failures(config: &mut Map<String, Value>) {
    let stored_as = config.get("store_failures_as").and_then(Value::as_str).map(str::to_owned);
    let flag = config.get("store_failures").and_then(crate::config::as_flag);
    let (flag, stored_as) = match (flag, stored_as) {
        (_, Some(kind)) => (Some(kind != "ephemeral"), Some(kind)),
        (Some(flag), None) => (Some(flag), Some(String::from(if flag { "table" } else { "ephemeral" }))),
        (None, None) => (None, None),
    };
    config.insert(String::from("store_failures"), json!(flag));
    config.insert(String::from("store_failures_as"), json!(stored_as));
}
