//! Which steps a run has, and what each waits for.

use std::collections::{BTreeMap, BTreeSet};

use headwater_project::Failure;
use headwater_transform::{Node, NodeId, ResourceType};

use super::{BuildCommand, BuildRequest};
use crate::project::Project;

/// Steps by unique id, each with the steps that must succeed first.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) needs: BTreeMap<String, BTreeSet<String>>,
}

pub(super) fn plan(project: &Project, request: &BuildRequest) -> Result<Plan, Failure> {
    let selected = project.select(&request.selection)?;
    let nodes: BTreeMap<&NodeId, &Node> = project
        .transform
        .ordered()
        .filter(|node| selected.contains(&node.id) && is_step(node, request.command))
        .map(|node| (&node.id, node))
        .collect();
    if nodes.is_empty() && !request.selection.select.is_empty() {
        return Err(Failure::user("the selection matches nothing to do")
            .with_detail(format!("Selected: {}.", request.selection.select.join(" ")))
            .with_hint("`headwater ls --select ...` shows what a selection matches."));
    }
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (id, node) in &nodes {
        let mut waits = BTreeSet::new();
        for upstream in stored_upstream(project, node) {
            if nodes.contains_key(&upstream) {
                waits.insert(upstream.to_string());
            }
        }
        needs.insert(id.to_string(), waits);
    }
    hold_back_until_tested(project, &nodes, &mut needs);
    Ok(Plan { needs })
}

fn is_step(node: &Node, command: BuildCommand) -> bool {
    command.takes(node.resource_type.as_str()) && !node.is_ephemeral()
}

/// The nodes a node reads from that have a table or view of their own: through ephemeral models to what they stand on.
fn stored_upstream(project: &Project, node: &Node) -> BTreeSet<NodeId> {
    let mut stored = BTreeSet::new();
    let mut waiting: Vec<&NodeId> = node.depends_on.iter().collect();
    while let Some(id) = waiting.pop() {
        let Some(upstream) = project.transform.node(id) else { continue };
        if upstream.is_ephemeral() {
            waiting.extend(&upstream.depends_on);
        } else {
            stored.insert(id.clone());
        }
    }
    stored
}

/// A model waits for the tests of what it stands on, unless the test itself needs the model or something behind it.
fn hold_back_until_tested(
    project: &Project,
    nodes: &BTreeMap<&NodeId, &Node>,
    needs: &mut BTreeMap<String, BTreeSet<String>>,
) {
    let tests: Vec<(String, BTreeSet<NodeId>)> = nodes
        .values()
        .filter(|node| node.resource_type == ResourceType::Test)
        .map(|test| (test.id.to_string(), stored_upstream(project, test)))
        .collect();
    let built: Vec<(String, BTreeSet<NodeId>)> = nodes
        .values()
        .filter(|node| node.resource_type != ResourceType::Test)
        .map(|node| (node.id.to_string(), stored_upstream(project, node)))
        .collect();
    let before = needs.clone();
    let behind = ancestors(&before);
    for (node, upstream) in &built {
        for (test, tested) in &tests {
            // A test of several models holds back only what is behind all of them; waiting for less could never end.
            let concerns = !upstream.is_disjoint(tested);
            let would_wait_for_itself = tested.iter().any(|id| {
                id.as_str() == node || behind.get(id.as_str()).is_some_and(|before| before.contains(node))
            });
            if concerns && !would_wait_for_itself {
                needs.entry(node.clone()).or_default().insert(test.clone());
            }
        }
    }
}

/// Everything before each step.
fn ancestors(needs: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<&str, BTreeSet<String>> {
    let mut all: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for step in needs.keys() {
        let mut before = BTreeSet::new();
        let mut waiting: Vec<&String> = needs.get(step).into_iter().flatten().collect();
        while let Some(next) = waiting.pop() {
            if before.insert(next.clone()) {
                waiting.extend(needs.get(next).into_iter().flatten());
            }
        }
        all.insert(step, before);
    }
    all
}
