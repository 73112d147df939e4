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
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (id, node) in &nodes {
        let mut waits = BTreeSet::new();
        for upstream in stored_upstream(project, node).into_iter().filter(|_| request.command.is_run()) {
            if nodes.contains_key(&upstream) {
                waits.insert(upstream.to_string());
            }
        }
        needs.insert(id.to_string(), waits);
    }
    unit_tests_first(project, &nodes, &mut needs);
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

/// A model waits for its unit tests, and they for what the model reads: its columns say what the rows written down mean.
fn unit_tests_first(
    project: &Project,
    nodes: &BTreeMap<&NodeId, &Node>,
    needs: &mut BTreeMap<String, BTreeSet<String>>,
) {
    for node in nodes.values().filter(|node| node.resource_type == ResourceType::UnitTest) {
        let mut waits = BTreeSet::new();
        for tested in node.depends_on.iter().filter_map(|id| project.transform.node(id)) {
            let upstream = stored_upstream(project, tested);
            waits.extend(upstream.iter().filter(|id| nodes.contains_key(id)).map(ToString::to_string));
            if let Some(model) = needs.get_mut(tested.id.as_str()) {
                model.insert(node.id.to_string());
            }
        }
        needs.insert(node.id.to_string(), waits);
    }
}

/// A node waits for every test whose subjects all lie before it, as dbt does. A test that also looks at something that is
/// not before the node cannot hold it back: two such tests could wait for each other.
fn hold_back_until_tested(
    project: &Project,
    nodes: &BTreeMap<&NodeId, &Node>,
    needs: &mut BTreeMap<String, BTreeSet<String>>,
) {
    let before = needs.clone();
    let behind = ancestors(&before);
    let is_test = |node: &&&Node| node.resource_type == ResourceType::Test;
    for test in nodes.values().filter(is_test) {
        let subjects: BTreeSet<String> = stored_upstream(project, test)
            .iter()
            .filter(|id| nodes.contains_key(id))
            .map(ToString::to_string)
            .collect();
        if subjects.is_empty() {
            continue;
        }
        for node in nodes.values().filter(|node| !is_test(node)) {
            let before = behind.get(node.id.as_str());
            if before.is_some_and(|before| subjects.is_subset(before)) {
                needs.entry(node.id.to_string()).or_default().insert(test.id.to_string());
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
