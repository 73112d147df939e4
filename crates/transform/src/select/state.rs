//! Selecting by what an earlier run left: `state:modified` and its parts, `state:new`, `result:error`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Selector, bad};
use crate::definitions::MacroSet;
use crate::error::TransformError;
use crate::near::nearest;
use crate::node::{Node, NodeId, ResourceType};

/// What an earlier run left in its artifacts.
#[derive(Clone, Debug, Default)]
pub struct PreviousState {
    pub nodes: BTreeMap<String, PreviousNode>,
    /// Status of nodes that were run, and of sources whose freshness was looked at.
    pub results: BTreeMap<String, String>,
    /// Text of the macros.
    pub macros: BTreeMap<String, String>,
}

/// A node of an earlier manifest, as far as changes are told by it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PreviousNode {
    pub checksum: String,
    pub config: Value,
    pub relation_name: String,
    pub description: String,
}

impl PreviousState {
    /// Reads manifest.json, and run_results.json and sources.json where they are.
    pub fn read(manifest: &Value, run_results: Option<&Value>, sources: Option<&Value>) -> Self {
        let mut state = Self::default();
        for section in ["nodes", "sources", "exposures", "unit_tests"] {
            for (id, node) in manifest.get(section).and_then(Value::as_object).into_iter().flatten() {
                state.nodes.insert(id.clone(), previous(node));
            }
        }
        for (id, definition) in manifest.get("macros").and_then(Value::as_object).into_iter().flatten() {
            state.macros.insert(id.clone(), text(definition, "macro_sql"));
        }
        for results in [run_results, sources].into_iter().flatten() {
            for result in results.get("results").and_then(Value::as_array).into_iter().flatten() {
                state.results.insert(text(result, "unique_id"), text(result, "status"));
            }
        }
        state
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn previous(node: &Value) -> PreviousNode {
    let checksum = node.get("checksum").map(|checksum| text(checksum, "checksum")).unwrap_or_default();
    PreviousNode {
        checksum,
        config: node.get("config").cloned().unwrap_or_default(),
        relation_name: text(node, "relation_name"),
        description: text(node, "description"),
    }
}

const KINDS: &[&str] = &[
    "new",
    "old",
    "modified",
    "unmodified",
    "modified.body",
    "modified.configs",
    "modified.relation",
    "modified.macros",
    "modified.contract",
    "modified.persisted_descriptions",
];

impl Selector<'_> {
    pub(super) fn state(&self, criterion: &str) -> Result<&PreviousState, TransformError> {
        let hint = "Name the folder of an earlier run's artifacts with --state.";
        self.query.state.as_ref().ok_or_else(|| bad(criterion, "there is nothing to compare with", Some(hint)))
    }

    pub(super) fn changed(&self, kind: &str, criterion: &str) -> Result<BTreeSet<NodeId>, TransformError> {
        let state = self.state(criterion)?;
        if !KINDS.contains(&kind) {
            let hint = match nearest(kind, KINDS.iter().copied()) {
                Some(near) => format!("Did you mean 'state:{near}'?"),
                None => format!("It can be {}.", KINDS.join(", ")),
            };
            return Err(bad(criterion, "this is no state", Some(&hint)));
        }
        Ok(self.filter(|node| {
            let known = state.nodes.get(node.id.as_str());
            match (kind, known) {
                ("new", known) => known.is_none(),
                ("old", known) => known.is_some(),
                ("modified", None) => true,
                ("modified", Some(known)) => is_modified(node, known, state, self.macros),
                ("unmodified", Some(known)) => !is_modified(node, known, state, self.macros),
                (_, None) => kind != "unmodified",
                ("modified.body", Some(known)) => body(node, known),
                ("modified.configs", Some(known)) => configs(node, known),
                ("modified.relation", Some(known)) => relation(node, known),
                ("modified.macros", Some(_)) => macros(node, state, self.macros),
                ("modified.contract", Some(known)) => contract(node) != contract_of(&known.config),
                ("modified.persisted_descriptions", Some(known)) => descriptions(node, known),
                _ => false,
            }
        }))
    }
}

fn is_modified(node: &Node, known: &PreviousNode, state: &PreviousState, now: &MacroSet) -> bool {
    body(node, known)
        || configs(node, known)
        || relation(node, known)
        || macros(node, state, now)
        || contract(node) != contract_of(&known.config)
        || descriptions(node, known)
}

fn body(node: &Node, known: &PreviousNode) -> bool {
    node.checksum != known.checksum && !known.checksum.is_empty()
}

fn configs(node: &Node, known: &PreviousNode) -> bool {
    compared(Some(&node.config.values)) != compared(known.config.as_object())
}

/// Where a node goes and how it is grouped is no change of its configuration, as in dbt.
fn compared(config: Option<&serde_json::Map<String, Value>>) -> std::collections::BTreeMap<&String, &Value> {
    let ignored = ["tags", "group", "alias", "schema", "database", "access", "description"];
    config.into_iter().flatten().filter(|(key, _)| !ignored.contains(&key.as_str())).collect()
}

fn relation(node: &Node, known: &PreviousNode) -> bool {
    let stored = node.resource_type.is_referable() || node.resource_type == ResourceType::Source;
    stored && !known.relation_name.is_empty() && node.relation.to_string() != known.relation_name
}

fn macros(node: &Node, state: &PreviousState, now: &MacroSet) -> bool {
    let text = |id: &str| {
        let (package, name) = id.strip_prefix("macro.")?.split_once('.')?;
        now.in_package(package, name).map(|definition| std::sync::Arc::clone(&definition.text))
    };
    node.macros
        .iter()
        .any(|id| state.macros.get(id).zip(text(id)).is_some_and(|(known, now)| known.as_str() != now.as_ref()))
}

fn contract(node: &Node) -> Value {
    node.config.values.get("contract").cloned().unwrap_or_default()
}

fn contract_of(config: &Value) -> Value {
    config.get("contract").cloned().unwrap_or_default()
}

/// Descriptions matter where they are written to the warehouse.
fn descriptions(node: &Node, known: &PreviousNode) -> bool {
    node.config.get("persist_docs").is_some() && node.description != known.description
}
