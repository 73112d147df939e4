//! Deferral: what a run does not make it reads where another run has made it.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::NodeId;
use crate::select::PreviousState;
use crate::warehouse::RelationName;

/// Relations another environment has for nodes of this project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deferral {
    relations: BTreeMap<NodeId, RelationName>,
    /// What the run makes itself.
    selected: BTreeSet<NodeId>,
    favor_state: bool,
}

impl Deferral {
    /// `selected` is what the run makes. With `favor_state` everything else is read from the other environment, without it
    /// only what is not in this one.
    pub fn new(state: &PreviousState, selected: BTreeSet<NodeId>, favor_state: bool) -> Self {
        let known = state.nodes.iter().filter_map(|(id, node)| Some((NodeId::new(id), node.relation.clone()?)));
        Self { relations: known.collect(), selected, favor_state }
    }

    /// What the other environment has for a node.
    pub fn elsewhere(&self, node: &NodeId) -> Option<&RelationName> {
        self.relations.get(node)
    }

    /// Whether the other environment's relation is read even where this one has the node.
    pub fn is_favored(&self, node: &NodeId) -> bool {
        self.favor_state && !self.selected.contains(node)
    }
}
