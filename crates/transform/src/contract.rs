//! Contracts: the columns a model promises, with their types and constraints.

use headwater_project::Diagnostic;

use crate::config::{NodeConfig, plain_text};
use crate::node::Node;

/// What a model's result must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contract {
    /// In the order the table shall have them.
    pub columns: Vec<ContractColumn>,
    /// Conditions every row must meet, each with its name for messages.
    pub checks: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractColumn {
    pub name: String,
    pub data_type: String,
}

pub(crate) fn is_enforced(config: &NodeConfig) -> bool {
    match config.get("contract") {
        Some(serde_json::Value::Object(contract)) => {
            contract.get("enforced").and_then(crate::config::as_flag).unwrap_or(false)
        }
        _ => false,
    }
}

/// The contract of a model, where one is enforced.
pub(crate) fn contract(node: &Node, config: &NodeConfig) -> Option<Contract> {
    if !is_enforced(config) {
        return None;
    }
    let mut contract = Contract::default();
    for column in node.columns_in_order() {
        let data_type = column.data_type.clone().unwrap_or_default();
        contract.columns.push(ContractColumn { name: column.name.clone(), data_type });
        for constraint in &column.constraints {
            contract.checks.extend(check(constraint, Some(&column.name)));
        }
    }
    for constraint in &node.constraints {
        contract.checks.extend(check(constraint, None));
    }
    Some(contract)
}

/// Keys are declared and not checked, as in most warehouses; what a row alone shows is checked.
fn check(constraint: &serde_json::Value, column: Option<&str>) -> Option<(String, String)> {
    let kind = constraint.get("type")?.as_str()?;
    let of = |column: Option<&str>| column.map(|column| format!(" of {column}")).unwrap_or_default();
    match kind {
        "not_null" | "primary_key" => {
            column.map(|column| (format!("{kind}{}", of(Some(column))), format!("{column} is not null")))
        }
        "check" => {
            let expression = constraint.get("expression").map(plain_text)?;
            Some((format!("check{}", of(column)), expression))
        }
        _ => None,
    }
}

/// What makes a contract impossible to enforce.
pub(crate) fn problems(node: &Node) -> Vec<Diagnostic> {
    if !is_enforced(&node.config) {
        return Vec::new();
    }
    let at = |message: String| {
        let mut problem = Diagnostic::error(message);
        problem.span = node.span;
        problem
    };
    if node.columns.is_empty() {
        let message = format!("the contract of {} names no columns", node.name);
        return vec![at(message).hint("List every column with its `data_type` in a properties file.")];
    }
    let untyped = node.columns_in_order().into_iter().filter(|column| column.data_type.is_none());
    let message = |name: &str| format!("the contract of {} gives column '{name}' no type", node.name);
    untyped.map(|column| at(message(&column.name)).hint("Add `data_type:`, or do not enforce the contract.")).collect()
}
