//! Selecting by what an earlier run left: `state:modified` and its parts, `state:new`, `result:error`, `source_status:fresher`.
//!
//! Nodes are compared as the manifests have them, ours or dbt's, and by the rules of dbt: configuration as it is written, so
//! that another target or a default changes nothing; names as they are configured; a macro by its text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Selector, bad};
use crate::error::TransformError;
use crate::near::nearest;
use crate::node::{Node, NodeId, NodeKind, ResourceType, TestKind};
use crate::warehouse::RelationName;

/// What an earlier run left in its artifacts.
#[derive(Clone, Debug, Default)]
pub struct PreviousState {
    /// Without one there are only results.
    pub has_manifest: bool,
    pub nodes: BTreeMap<String, PreviousNode>,
    /// Status of nodes that were run.
    pub results: BTreeMap<String, String>,
    /// When sources were loaded last, RFC 3339 by unique id.
    pub loaded: BTreeMap<String, String>,
    /// Text of the macros.
    pub macros: BTreeMap<String, String>,
}

/// A node of an earlier manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PreviousNode {
    /// Its entry.
    pub fields: Map<String, Value>,
    /// Where it is kept, when that can be read.
    pub relation: Option<RelationName>,
}

impl PreviousState {
    /// Reads manifest.json, run_results.json and sources.json, those that are there.
    pub fn read(manifest: Option<&Value>, run_results: Option<&Value>, sources: Option<&Value>) -> Self {
        let mut state = Self { has_manifest: manifest.is_some(), ..Self::default() };
        let manifest = manifest.unwrap_or(&Value::Null);
        for section in ["nodes", "sources", "exposures", "unit_tests"] {
            for (id, node) in manifest.get(section).and_then(Value::as_object).into_iter().flatten() {
                let fields = node.as_object().cloned().unwrap_or_default();
                state.nodes.insert(id.clone(), PreviousNode { relation: relation(&fields), fields });
            }
        }
        for (id, definition) in manifest.get("macros").and_then(Value::as_object).into_iter().flatten() {
            state.macros.insert(id.clone(), text(definition, "macro_sql"));
        }
        for result in results(run_results) {
            state.results.insert(text(result, "unique_id"), text(result, "status"));
        }
        state.loaded = loaded_sources(sources);
        state
    }
}

fn results(artifact: Option<&Value>) -> impl Iterator<Item = &Value> {
    artifact.and_then(|artifact| artifact.get("results")?.as_array()).into_iter().flatten()
}

/// When sources.json says that sources were loaded last.
pub fn loaded_sources(sources: Option<&Value>) -> BTreeMap<String, String> {
    let entry = |result: &Value| Some((text(result, "unique_id"), result.get("max_loaded_at")?.as_str()?.to_owned()));
    results(sources).filter_map(entry).collect()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Models, seeds and snapshots that are kept under a name.
fn relation(fields: &Map<String, Value>) -> Option<RelationName> {
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    let is_kept = matches!(text("resource_type")?, "model" | "seed" | "snapshot") && text("relation_name").is_some();
    is_kept.then(|| RelationName {
        database: text("database").map(str::to_owned),
        schema: text("schema").unwrap_or_default().to_owned(),
        identifier: text("alias").unwrap_or_default().to_owned(),
    })
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
        if !state.has_manifest {
            let hint = "There is no manifest.json in the folder that --state names.";
            return Err(bad(criterion, "there is nothing to compare with", Some(hint)));
        }
        if !KINDS.contains(&kind) {
            let hint = match nearest(kind, KINDS.iter().copied()) {
                Some(near) => format!("Did you mean 'state:{near}'?"),
                None => format!("It can be {}.", KINDS.join(", ")),
            };
            return Err(bad(criterion, "this is no state", Some(&hint)));
        }
        let macros = self.changed_macros(state);
        Ok(self.filter(|node| {
            let comparison = Comparison {
                node,
                now: self.entries.of(node),
                known: state.nodes.get(node.id.as_str()).map(|known| &known.fields),
                has_changed_macro: node.macros.iter().any(|id| macros.contains(id)),
            };
            comparison.is(kind)
        }))
    }

    /// Macros of the project and of installed packages whose text is another, that are new, or that are gone.
    fn changed_macros(&self, state: &PreviousState) -> BTreeSet<String> {
        let own = self.entries.definitions.macros.iter().filter(|definition| definition.file.is_some());
        let is_changed = |definition: &&std::sync::Arc<crate::definitions::MacroDefinition>| {
            state.macros.get(&definition.unique_id).map(String::as_str) != Some(&*definition.text)
        };
        own.filter(is_changed).map(|definition| definition.unique_id.clone()).collect()
    }

    /// Sources that were loaded since the earlier look at them.
    pub(super) fn fresher(&self, value: &str, criterion: &str) -> Result<BTreeSet<NodeId>, TransformError> {
        let state = self.state(criterion)?;
        if value != "fresher" {
            return Err(bad(criterion, "this is no status of a source", Some("It can be fresher.")));
        }
        if self.query.loaded.is_empty() {
            let hint = "Run `headwater source freshness` first.";
            return Err(bad(criterion, "the present freshness of sources is not known", Some(hint)));
        }
        let is_fresher = |node: &Node| {
            let now = self.query.loaded.get(node.id.as_str());
            now.is_some_and(|now| state.loaded.get(node.id.as_str()).is_none_or(|then| now > then))
        };
        Ok(self.filter(is_fresher))
    }
}

/// A node as it is and as it was.
struct Comparison<'a> {
    node: &'a Node,
    now: Map<String, Value>,
    known: Option<&'a Map<String, Value>>,
    has_changed_macro: bool,
}

impl Comparison<'_> {
    fn is(&self, kind: &str) -> bool {
        let is_node =
            !matches!(self.node.resource_type, ResourceType::Source | ResourceType::Exposure | ResourceType::UnitTest);
        // What was not there before has changed in every part it has.
        let part = |has_it: bool, differs: bool| has_it && (self.known.is_none() || differs);
        match kind {
            "new" => self.known.is_none(),
            "old" => self.known.is_some(),
            "modified" => self.is_modified(),
            "unmodified" => !self.is_modified(),
            "modified.body" => part(is_node, self.body()),
            "modified.configs" => part(self.node.resource_type != ResourceType::UnitTest, self.configs()),
            "modified.relation" => {
                part(is_node || self.node.resource_type == ResourceType::Source, self.named_differently())
            }
            "modified.macros" => self.has_changed_macro,
            "modified.contract" => part(is_node, self.contract()),
            "modified.persisted_descriptions" => part(is_node, self.descriptions()),
            _ => false,
        }
    }

    /// A source or exposure that was not there before changes nothing that is built.
    fn is_modified(&self) -> bool {
        let differs = match (self.node.resource_type, &self.node.kind) {
            (ResourceType::Source, _) => self.known.is_some() && self.source(),
            (ResourceType::Exposure, _) => self.known.is_some() && self.exposure(),
            _ if self.known.is_none() => true,
            (ResourceType::UnitTest, _) => self.differs("checksum"),
            (_, NodeKind::Test(TestKind::Generic { .. })) => self.configs() || self.differs("fqn"),
            (ResourceType::Model, _) => self.built() || self.any(&["latest_version", "access", "deprecation_date"]),
            _ => self.built(),
        };
        differs || self.has_changed_macro
    }

    fn built(&self) -> bool {
        self.body()
            || self.configs()
            || self.descriptions()
            || self.differs("fqn")
            || self.named_differently()
            || self.contract()
    }

    fn source(&self) -> bool {
        self.named_differently()
            || self.configs()
            || self.any(&["fqn", "quoting", "freshness", "loaded_at_field", "external"])
    }

    fn exposure(&self) -> bool {
        let nodes = |fields: &Map<String, Value>| -> BTreeSet<String> {
            fields
                .get("depends_on")
                .and_then(|on| on.get("nodes"))
                .map(crate::config::as_list)
                .into_iter()
                .flatten()
                .collect()
        };
        self.any(&["fqn", "type", "owner", "maturity", "url", "description", "label"])
            || self.known.is_some_and(|known| nodes(known) != nodes(&self.now))
            || self.configs()
    }

    fn differs(&self, key: &str) -> bool {
        let given = |fields: &Map<String, Value>| fields.get(key).filter(|value| !value.is_null()).cloned();
        self.known.is_some_and(|known| given(known) != given(&self.now))
    }

    fn any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.differs(key))
    }

    fn body(&self) -> bool {
        if self.node.resource_type != ResourceType::Seed {
            return self.differs("raw_code");
        }
        let checksum = |fields: &Map<String, Value>| fields.get("checksum").cloned().unwrap_or_default();
        let Some(known) = self.known.map(checksum) else { return false };
        // dbt knows a large seed by its path alone.
        let is_path = known.get("name").and_then(Value::as_str) == Some("path");
        if is_path { known.get("checksum") != self.now.get("original_file_path") } else { known != checksum(&self.now) }
    }

    /// Configuration as it is written: of a test what decides about its outcome, of other nodes all but names and tags.
    fn configs(&self) -> bool {
        const OF_TESTS: &[&str] =
            &["severity", "where", "limit", "fail_calc", "warn_if", "error_if", "store_failures", "store_failures_as"];
        const NOT_OF_NODES: &[&str] = &["alias", "schema", "database", "tags", "group"];
        let counts = |key: &str| match self.node.resource_type {
            ResourceType::Test => OF_TESTS.contains(&key),
            ResourceType::Source | ResourceType::Exposure => true,
            _ => !NOT_OF_NODES.contains(&key),
        };
        let written = |fields: &Map<String, Value>| -> BTreeMap<String, Value> {
            let config = fields.get("unrendered_config").and_then(Value::as_object).cloned().unwrap_or_default();
            config.into_iter().filter(|(key, _)| counts(key)).collect()
        };
        self.known.is_some_and(|known| written(known) != written(&self.now))
    }

    /// Where a node goes as it is configured, not as it comes out in one environment.
    fn named_differently(&self) -> bool {
        if self.node.resource_type == ResourceType::Source {
            return self.any(&["database", "schema", "identifier"]);
        }
        let named = |fields: &Map<String, Value>| {
            let config = fields.get("unrendered_config").cloned().unwrap_or_default();
            ["database", "schema", "alias"].map(|key| config.get(key).cloned().unwrap_or_default())
        };
        self.known.is_some_and(|known| named(known) != named(&self.now))
    }

    fn contract(&self) -> bool {
        let part =
            |fields: &Map<String, Value>, key: &str| fields.get("contract").and_then(|all| all.get(key)).cloned();
        let is_enforced = |fields: &Map<String, Value>| part(fields, "enforced") == Some(Value::Bool(true));
        let Some(known) = self.known.filter(|_| self.node.resource_type == ResourceType::Model) else { return false };
        match (is_enforced(known), is_enforced(&self.now)) {
            (false, false) => false,
            (true, true) => part(known, "checksum") != part(&self.now, "checksum"),
            _ => true,
        }
    }

    /// Descriptions matter where they are written to the warehouse.
    fn descriptions(&self) -> bool {
        let kept = |what: &str| {
            let docs = self.node.config.get("persist_docs").and_then(|docs| docs.get(what));
            docs.and_then(crate::config::as_flag).unwrap_or(false)
        };
        let of_columns = |fields: &Map<String, Value>| -> BTreeMap<String, Option<Value>> {
            let columns = fields.get("columns").and_then(Value::as_object).into_iter().flatten();
            columns.map(|(name, column)| (name.clone(), column.get("description").cloned())).collect()
        };
        (kept("relation") && self.differs("description"))
            || (kept("columns") && self.known.is_some_and(|known| of_columns(known) != of_columns(&self.now)))
    }
}
