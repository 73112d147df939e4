//! The nodes of a project and what depends on what.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::near::nearest;
use crate::node::{Node, NodeId, RefCall, ResourceType, SourceCall};

/// All enabled nodes; the ids of disabled ones are kept so that a reference to one can be explained.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub nodes: BTreeMap<NodeId, Node>,
    pub disabled: BTreeMap<NodeId, Node>,
    by_name: HashMap<String, Vec<NodeId>>,
    children: BTreeMap<NodeId, BTreeSet<NodeId>>,
}

/// Why a reference leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unresolved {
    Disabled,
    Ambiguous(Vec<NodeId>),
    NoSuchVersion { known: Vec<String> },
    Missing { near: Option<String> },
}

impl Graph {
    pub(crate) fn insert(&mut self, node: Node) {
        self.by_name.entry(node.name.clone()).or_default().push(node.id.clone());
        self.nodes.insert(node.id.clone(), node);
    }

    /// The node a `ref` means: in the package it names, or else in the project, the caller's package, anywhere.
    pub(crate) fn resolve_ref(&self, root: &str, from: &str, call: &RefCall) -> Result<&Node, Unresolved> {
        let candidates = self.referable(&call.name);
        let candidates = of_version(candidates, call.version.as_deref())?;
        let in_package = |package: &str| candidates.iter().copied().find(|node| node.package == package);
        if let Some(package) = &call.package {
            return in_package(package).ok_or_else(|| self.missing_ref(call));
        }
        if let Some(node) = in_package(root).or_else(|| in_package(from)) {
            return Ok(node);
        }
        match candidates.as_slice() {
            [] => Err(self.missing_ref(call)),
            [node] => Ok(node),
            several => Err(Unresolved::Ambiguous(several.iter().map(|node| node.id.clone()).collect())),
        }
    }

    fn referable(&self, name: &str) -> Vec<&Node> {
        let ids = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.nodes.get(id)).filter(|node| is_referable(node)).collect()
    }

    fn missing_ref(&self, call: &RefCall) -> Unresolved {
        if self.disabled.values().any(|node| node.name == call.name && is_referable(node)) {
            return Unresolved::Disabled;
        }
        let names = self.nodes.values().filter(|node| is_referable(node)).map(|node| node.name.as_str());
        Unresolved::Missing { near: nearest(&call.name, names).map(str::to_owned) }
    }

    pub(crate) fn resolve_source(&self, from: &str, call: &SourceCall) -> Result<&Node, Unresolved> {
        let matches = |node: &&Node| source_names(node) == Some((call.source.as_str(), call.table.as_str()));
        let ids = self.by_name.get(&call.table).map(Vec::as_slice).unwrap_or_default();
        let mut found: Vec<&Node> = ids.iter().filter_map(|id| self.nodes.get(id)).filter(matches).collect();
        if found.len() > 1 {
            found.sort_by_key(|node| node.package != from);
        }
        found.first().copied().ok_or_else(|| self.missing_source(call))
    }

    fn sources(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| node.resource_type == ResourceType::Source)
    }

    fn missing_source(&self, call: &SourceCall) -> Unresolved {
        let matches = |node: &Node| source_names(node) == Some((call.source.as_str(), call.table.as_str()));
        if self.disabled.values().any(matches) {
            return Unresolved::Disabled;
        }
        let wanted = format!("{}.{}", call.source, call.table);
        let names: Vec<String> =
            self.sources().filter_map(source_names).map(|(source, table)| format!("{source}.{table}")).collect();
        Unresolved::Missing { near: nearest(&wanted, names.iter().map(String::as_str)).map(str::to_owned) }
    }

    /// Recomputes who depends on whom; called once all dependencies are known.
    pub(crate) fn link(&mut self) {
        self.children.clear();
        for node in self.nodes.values() {
            for parent in &node.depends_on {
                self.children.entry(parent.clone()).or_default().insert(node.id.clone());
            }
        }
    }

    pub fn parents<'a>(&'a self, id: &NodeId) -> impl Iterator<Item = &'a NodeId> + use<'a> {
        self.nodes.get(id).into_iter().flat_map(|node| node.depends_on.iter())
    }

    pub fn children<'a>(&'a self, id: &NodeId) -> impl Iterator<Item = &'a NodeId> + use<'a> {
        self.children.get(id).into_iter().flatten()
    }

    /// Every dependency before what depends on it; nodes on a cycle are left out.
    pub fn order(&self) -> Vec<NodeId> {
        let mut waiting: BTreeMap<&NodeId, usize> = BTreeMap::new();
        for node in self.nodes.values() {
            waiting.insert(&node.id, node.depends_on.iter().filter(|parent| self.nodes.contains_key(*parent)).count());
        }
        let mut ready: BTreeSet<&NodeId> =
            waiting.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(id) = ready.pop_first() {
            order.push(id.clone());
            for child in self.children(id) {
                let Some(count) = waiting.get_mut(child) else { continue };
                *count -= 1;
                if *count == 0 {
                    ready.insert(child);
                }
            }
        }
        order
    }

    /// Each set of nodes that depend on each other, as a path that returns to its start.
    pub(crate) fn cycles(&self) -> Vec<Vec<NodeId>> {
        let ordered: BTreeSet<NodeId> = self.order().into_iter().collect();
        let mut left: BTreeSet<&NodeId> = self.nodes.keys().filter(|id| !ordered.contains(*id)).collect();
        let mut cycles = Vec::new();
        while let Some(start) = left.first().copied() {
            let path = self.walk_back(start, &left);
            for id in &path {
                left.remove(id);
            }
            left.remove(start);
            if path.len() > 1 {
                cycles.push(path);
            }
        }
        cycles
    }

    /// Follows dependencies among `left` until a node comes up again; empty when the walk ends elsewhere.
    fn walk_back(&self, start: &NodeId, left: &BTreeSet<&NodeId>) -> Vec<NodeId> {
        let mut path: Vec<NodeId> = vec![start.clone()];
        while let Some(current) = path.last().cloned() {
            let Some(next) = self.parents(&current).find(|parent| left.contains(*parent)).cloned() else { break };
            if let Some(at) = path.iter().position(|id| *id == next) {
                let mut cycle = path.split_off(at);
                cycle.push(next);
                return cycle;
            }
            path.push(next);
        }
        Vec::new()
    }
}

fn is_referable(node: &Node) -> bool {
    node.resource_type.is_referable()
}

/// Those of the version asked for, or of the latest where there are versions.
fn of_version<'a>(candidates: Vec<&'a Node>, version: Option<&str>) -> Result<Vec<&'a Node>, Unresolved> {
    let Some(version) = version else {
        return Ok(candidates.into_iter().filter(|node| node.version.is_none() || node.is_latest).collect());
    };
    let known: Vec<String> = candidates.iter().filter_map(|node| node.version.clone()).collect();
    let is_empty = candidates.is_empty();
    let chosen: Vec<&Node> = candidates.into_iter().filter(|node| node.version.as_deref() == Some(version)).collect();
    if chosen.is_empty() && !is_empty { Err(Unresolved::NoSuchVersion { known }) } else { Ok(chosen) }
}

fn source_names(node: &Node) -> Option<(&str, &str)> {
    match &node.kind {
        crate::node::NodeKind::Source { source, .. } => Some((source, &node.name)),
        _ => None,
    }
}
