//! Contracts as artifacts show them, with the digest by which dbt tells that one changed.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::load::generic_test::python_repr;
use crate::node::{Column, Node};

/// A constraint with everything dbt has in one.
pub(super) fn constraint(written: &Value, of_model: bool) -> Value {
    let mut full = Map::new();
    full.insert(String::from("type"), written.get("type").cloned().unwrap_or_default());
    for (key, default) in [
        ("name", Value::Null),
        ("expression", Value::Null),
        ("warn_unenforced", Value::Bool(true)),
        ("warn_unsupported", Value::Bool(true)),
        ("to", Value::Null),
        ("to_columns", json!([])),
    ] {
        full.insert(key.to_owned(), written.get(key).cloned().unwrap_or(default));
    }
    if of_model {
        full.insert(String::from("columns"), written.get("columns").cloned().unwrap_or_else(|| json!([])));
    }
    Value::Object(full)
}

pub(super) fn constraints(written: &[Value], of_model: bool) -> Value {
    written.iter().map(|one| constraint(one, of_model)).collect()
}

/// The contract of a model; its checksum is none unless it is enforced.
pub(super) fn contract(node: &Node, contract: &Value) -> Value {
    let enforced = contract.get("enforced").and_then(crate::config::as_flag).unwrap_or(false);
    let alias_types = contract.get("alias_types").cloned().unwrap_or(Value::Bool(true));
    let checksum = enforced.then(|| checksum(node));
    json!({ "enforced": enforced, "alias_types": alias_types, "checksum": checksum })
}

/// dbt hashes how Python prints the columns and constraints.
fn checksum(node: &Node) -> String {
    let mut columns: Vec<&Column> = node.columns.values().collect();
    columns.sort_by(|one, other| one.name.cmp(&other.name));
    let mut state = String::new();
    for column in columns {
        let data_type = column.data_type.as_deref().unwrap_or("None");
        state.push_str(&format!("|{}{data_type}{}", column.name, printed(&column.constraints, false)));
    }
    let materialized = node.config.materialized();
    if matches!(materialized, "table" | "incremental") {
        state.push_str(&format!("{materialized}{}", printed(&node.constraints, true)));
    }
    Sha256::digest(state.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn printed(written: &[Value], of_model: bool) -> String {
    let name = if of_model { "ModelLevelConstraint" } else { "ColumnLevelConstraint" };
    let one = |written: &Value| {
        let full = constraint(written, of_model);
        let field = |(key, value): (&String, &Value)| match (key.as_str(), value.as_str()) {
            ("type", Some(kind)) => format!("type=<ConstraintType.{kind}: '{kind}'>"),
            _ => format!("{key}={}", python_repr(value)),
        };
        let fields: Vec<String> = full.as_object().into_iter().flatten().map(field).collect();
        format!("{name}({})", fields.join(", "))
    };
    format!("[{}]", written.iter().map(one).collect::<Vec<_>>().join(", "))
}
