//! Selectors of selectors.yml: the same criteria, written as YAML.

use std::collections::{BTreeMap, BTreeSet};

use headwater_project::tree::Tree;
use serde_json::{Value, json};

use super::{Criterion, IndirectSelection, Selector, bad};
use crate::config::plain_text;
use crate::error::TransformError;
use crate::near::nearest;
use crate::node::NodeId;

/// Selectors may stand on each other this deep.
const MAX_DEPTH: usize = 32;

/// An entry of selectors.yml.
#[derive(Clone, Debug)]
pub(crate) struct SelectorEntry {
    definition: Value,
    /// Used when nothing else is asked for.
    pub is_default: bool,
    written: Value,
}

/// The entries of selectors.yml by name. `flag` says what a `default:` comes to, which may be a template.
pub(crate) fn entries(file: &Tree, flag: impl Fn(&Value) -> bool) -> BTreeMap<String, SelectorEntry> {
    let items = file.get("selectors").map(Tree::items).unwrap_or_default();
    let named = |item: &Tree| {
        let written = item.to_json();
        let definition = written.get("definition")?.clone();
        let is_default = written.get("default").is_some_and(&flag);
        Some((item.get("name")?.as_str()?.to_owned(), SelectorEntry { definition, is_default, written }))
    };
    items.iter().filter_map(named).collect()
}

impl SelectorEntry {
    /// The entry as the manifest has it.
    pub(crate) fn shown(&self, name: &str) -> Value {
        let description = self.written.get("description").cloned().unwrap_or_default();
        json!({
            "name": name, "description": description, "default": self.is_default, "definition": self.definition,
        })
    }
}

impl Selector<'_> {
    /// What the selector of this name chooses.
    pub(super) fn named(&self, name: &str, depth: usize) -> Result<BTreeSet<NodeId>, TransformError> {
        let Some(definition) = self.selectors.get(name) else {
            let hint = match nearest(name, self.selectors.keys().map(String::as_str)) {
                Some(near) => format!("Did you mean '{near}'?"),
                None => String::from("Define it in selectors.yml."),
            };
            return Err(bad(name, "there is no selector of this name", Some(&hint)));
        };
        self.definition(&definition.definition, name, depth)
    }

    fn definition(&self, definition: &Value, name: &str, depth: usize) -> Result<BTreeSet<NodeId>, TransformError> {
        if depth > MAX_DEPTH {
            return Err(bad(name, "selectors contain each other", None));
        }
        let map = match definition {
            Value::String(text) => return self.union(std::slice::from_ref(text)),
            Value::Object(map) => map,
            _ => return Err(bad(name, "a definition must be text or a mapping", None)),
        };
        for key in ["union", "intersection"] {
            if let Some(Value::Array(parts)) = map.get(key) {
                return self.combined(parts, key == "intersection", name, depth);
            }
        }
        let text = |key: &str| map.get(key).map(plain_text);
        let (method, value) = match (text("method"), text("value")) {
            (Some(method), Some(value)) => (method, value),
            _ => match map.iter().next() {
                Some((method, value)) if map.len() == 1 => (method.clone(), plain_text(value)),
                _ => return Err(bad(name, "a definition needs `method` and `value`", None)),
            },
        };
        if method == "selector" {
            return self.named(&value, depth + 1);
        }
        let flag = |key: &str| map.get(key).and_then(crate::config::as_flag).unwrap_or(false);
        let generations = |key: &str| {
            let depth =
                map.get(&format!("{key}_depth")).and_then(Value::as_u64).and_then(|depth| usize::try_from(depth).ok());
            flag(key).then(|| depth.unwrap_or(usize::MAX))
        };
        let parts = method.split_once('.').map_or((method.as_str(), None), |(method, key)| (method, Some(key)));
        let criterion = Criterion {
            childrens_parents: flag("childrens_parents"),
            parents: generations("parents"),
            children: generations("children"),
            method: Some(parts),
            value: &value,
        };
        let mode = text("indirect_selection").and_then(|mode| IndirectSelection::parse(&mode));
        let chooser = Self { indirect: mode.unwrap_or(self.indirect), ..*self };
        let mut chosen = chooser.expanded(&criterion, &format!("{method}:{value}"))?;
        if let Some(Value::Array(excluded)) = map.get("exclude") {
            for id in self.combined(excluded, false, name, depth)? {
                chosen.remove(&id);
            }
        }
        Ok(chosen)
    }

    fn combined(
        &self,
        parts: &[Value],
        intersection: bool,
        name: &str,
        depth: usize,
    ) -> Result<BTreeSet<NodeId>, TransformError> {
        let mut chosen: Option<BTreeSet<NodeId>> = None;
        let mut excluded = BTreeSet::new();
        for part in parts {
            if let Some(Value::Array(parts)) =
                part.as_object().filter(|map| map.len() == 1).and_then(|map| map.get("exclude"))
            {
                excluded.extend(self.combined(parts, false, name, depth + 1)?);
                continue;
            }
            let found = self.definition(part, name, depth + 1)?;
            chosen = Some(match chosen {
                None => found,
                Some(chosen) if intersection => chosen.intersection(&found).cloned().collect(),
                Some(chosen) => chosen.union(&found).cloned().collect(),
            });
        }
        let mut chosen = chosen.unwrap_or_default();
        chosen.retain(|id| !excluded.contains(id));
        Ok(chosen)
    }
}
